//! Rust files: size, names, module docs, reasons, `unsafe`, exhaustive matches.

use std::collections::BTreeSet;

use tidy::{allows, check, code_lines, is_test, rust_files, without_texts};

/// Beyond this a file is listed; beyond the hard limit it needs a line in [`LONG`].
const SOFT_LIMIT: usize = 400;
const HARD_LIMIT: usize = 600;

/// Files over the hard limit, and why they are one idea.
const LONG: &[(&str, &str)] =
    &[("compiler/backend-cpu/src/print/stage.rs", "one stage's printer: every method shares its loops and names")];

/// Names that say nothing.
const NAMES: [&str; 6] = ["utils.rs", "util.rs", "common.rs", "helpers.rs", "helper.rs", "misc.rs"];

/// Where `unsafe` may stand beside `runtime-min`: a mapped file, and the symbols of a library that only tests load.
const UNSAFE: [&str; 2] = ["compiler/onnx/src/mapped.rs", "tests/stand-in-driver/src/lib.rs"];

/// Printers, verifiers, evaluators and lowerings: a new case of a closed set must not slip through them.
const EXHAUSTIVE: &[&str] = &[
    "compiler/graph/src/eval",
    "compiler/graph/src/text",
    "compiler/graph/src/verify",
    "compiler/nest/src/interpret",
    "compiler/nest/src/fuse",
    "compiler/nest/src/text",
    "compiler/nest/src/verify",
    "compiler/plan/src/eval_plan",
    "compiler/plan/src/open",
    "compiler/plan/src/order",
    "compiler/plan/src/text",
    "compiler/plan/src/touch",
    "compiler/plan/src/planner",
    "compiler/backend-cpu/src/print",
    "compiler/emit/src/steps",
    "compiler/ptx/src/print",
    "compiler/ptx/src/verify",
];

/// The closed sets that those files are exhaustive over.
const CLOSED: [&str; 9] =
    ["Op::", "Action::", "Body::", "Code::", "Expr::", "Place::", "Operand::", "Role::", "Stmt::"];

/// Files with a match on a closed set that asks a question of some cases, and which.
const QUESTIONS: &[(&str, &str)] =
    &[("compiler/backend-cpu/src/print/stage.rs", "which expressions are polynomials of sizes; all others are values")];

/// A match that picks fewer than this many cases is a question, not a translation.
const QUESTION: usize = 3;

#[test]
fn files_are_short() {
    let mut wrong = Vec::new();
    for (path, text) in rust_files() {
        let lines = code_lines(&text);
        let reason = LONG.iter().find(|(long, _)| *long == path);
        if is_test(&path) || lines <= SOFT_LIMIT {
            if let Some((long, _)) = reason {
                wrong.push(format!("{long}: {lines} lines now; take it out of LONG"));
            }
        } else if lines <= HARD_LIMIT {
            println!("{path}: {lines} lines ask for a split");
        } else if reason.is_none() {
            wrong.push(format!("{path}: {lines} lines; split it, or give a reason in LONG"));
        }
    }
    check(&wrong, "files over the limit");
}

#[test]
fn names_say_what_is_inside() {
    let named = |path: &str| NAMES.iter().any(|n| path.rsplit('/').next() == Some(n));
    let wrong: Vec<String> = rust_files().into_iter().map(|(path, _)| path).filter(|p| named(p)).collect();
    check(&wrong, "names that say nothing");
}

#[test]
fn every_file_has_a_module_doc() {
    let has_doc = |text: &str| text.starts_with("//! ");
    let wrong: Vec<String> = rust_files().into_iter().filter(|(_, t)| !has_doc(t)).map(|(path, _)| path).collect();
    check(&wrong, "files without a module doc in the first line");
}

#[test]
fn every_allow_has_a_reason() {
    let mut wrong = Vec::new();
    for (path, text) in rust_files().into_iter().filter(|(p, _)| !p.starts_with("tests/tidy/")) {
        let bare = allows(&text).into_iter().filter(|(_, a)| !a.contains("reason = "));
        wrong.extend(bare.map(|(line, allow)| format!("{path}:{line}: {allow})]")));
    }
    check(&wrong, "lints that are allowed without a reason");
}

#[test]
fn unsafe_stands_in_the_runtime_only() {
    let mut wrong = Vec::new();
    for (path, text) in rust_files() {
        if path.starts_with("runtime-min/") || UNSAFE.contains(&path.as_str()) {
            continue;
        }
        for (k, line) in without_texts(&text).lines().enumerate() {
            if line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe") {
                wrong.push(format!("{path}:{}: {}", k + 1, line.trim()));
            }
        }
    }
    check(&wrong, "unsafe code outside runtime-min and the mapped file");
}

/// Every `_ =>` beside arms of a closed set, in the files that must be exhaustive.
#[test]
fn translations_are_exhaustive() {
    let listed = |path: &str| {
        EXHAUSTIVE.iter().any(|stem| path == format!("{stem}.rs") || path.starts_with(&format!("{stem}/")))
    };
    let mut wrong = Vec::new();
    for (path, text) in rust_files().into_iter().filter(|(p, _)| listed(p) && !is_test(p)) {
        if QUESTIONS.iter().any(|(question, _)| *question == path) {
            continue;
        }
        let lines: Vec<&str> = text.lines().take(code_lines(&text)).collect();
        for (k, line) in lines.iter().enumerate() {
            if line.trim_start().starts_with("_ =>") {
                let arms = arms_above(&lines, k);
                let cases: BTreeSet<&str> = arms.into_iter().filter_map(case).collect();
                if cases.len() >= QUESTION {
                    wrong.push(format!("{path}:{}: name the other cases", k + 1));
                }
            }
        }
    }
    check(&wrong, "translations that a new case would slip through");
}

/// The case of a closed set that an arm begins with.
fn case(arm: &str) -> Option<&str> {
    let set = CLOSED.iter().find(|set| arm.starts_with(**set))?;
    let name = arm.get(set.len()..)?;
    name.split(|c: char| !c.is_alphanumeric()).next()
}

/// The arms of the same match above a line, by their indentation.
fn arms_above<'a>(lines: &[&'a str], at: usize) -> Vec<&'a str> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let own = depth(lines[at]);
    let above = lines[..at].iter().rev().take_while(|l| l.trim().is_empty() || depth(l) >= own);
    above.filter(|l| depth(l) == own).map(|l| l.trim_start().trim_start_matches("| ")).collect()
}

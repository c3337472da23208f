//! All node tests through emitted crates, against the status file; the table of results is checked in.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use conformance::case;
use conformance::class::Class;
use conformance::suite::{Outcome, Row, crate_results};

/// Models in one crate: large enough that the runtime is compiled a few times only, small enough for memory.
const MODELS: usize = 220;

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn target() -> PathBuf {
    here().join("../../target/conformance")
}

#[test]
fn emitted_crates_pass_the_node_tests() {
    let cases = case::all(&case::suite_folder());
    if cases.is_empty() {
        println!("the suite is not fetched: run tests/conformance/fetch.sh");
        return;
    }
    let rows = crate_results(&target(), MODELS, "");
    let status = case::known_failures();
    let mut wrong = String::new();
    for (name, row) in &rows {
        match (&row.outcome, status.get(name)) {
            (Outcome::Failed { why }, None) => writeln!(wrong, "{name}: {why}").unwrap(),
            (Outcome::Passed { .. }, Some(reason)) => {
                writeln!(wrong, "{name} passes, but is listed: {reason}").unwrap()
            }
            (Outcome::Passed { .. }, None) | (Outcome::Failed { .. }, Some(_)) => {}
        }
    }
    let unknown: Vec<&String> = status.keys().filter(|n| !rows.contains_key(*n)).collect();
    assert!(unknown.is_empty(), "listed, but no such test: {unknown:?}");
    assert!(wrong.is_empty(), "{wrong}");
    classes_are_covered(&rows);
    write_table(&rows, &status);
}

/// Every hard class has at least ten tests that pass; those whose sizes come from inputs were run on other values too.
fn classes_are_covered(rows: &BTreeMap<String, Row>) {
    for class in Class::ALL {
        let passed = |r: &&Row| r.classes.contains(&class) && matches!(r.outcome, Outcome::Passed { .. });
        let count = rows.values().filter(passed).count();
        let altered: usize = rows.values().filter(passed).map(|r| r.altered).sum();
        println!("{}: {count} passed, {altered} runs on altered inputs", class.name());
        assert!(count >= 10, "{}: {count}", class.name());
    }
}

/// The published table. `BLESS=1` rewrites it; without, only its list of results is compared, as errors differ by processor.
fn write_table(rows: &BTreeMap<String, Row>, status: &BTreeMap<String, String>) {
    let passed = rows.values().filter(|r| matches!(r.outcome, Outcome::Passed { .. })).count();
    let mut text = format!(
        "# Node tests on the CPU target\n\nThe official node tests of onnx 1.22.0 through emitted, compiled crates: {passed} of {} pass. Made by\n`BLESS=1 cargo test -p conformance`.\n\n| class | passed | runs on altered inputs |\n|---|---|---|\n",
        rows.len()
    );
    for class in Class::ALL {
        let of: Vec<&Row> = rows.values().filter(|r| r.classes.contains(&class)).collect();
        let good = of.iter().filter(|r| matches!(r.outcome, Outcome::Passed { .. })).count();
        let altered: usize = of.iter().map(|r| r.altered).sum();
        writeln!(text, "| {} | {good} of {} | {altered} |", class.name(), of.len()).unwrap();
    }
    text.push_str("\n| test | opset | result | max ULP |\n|---|---|---|---|\n");
    for (name, row) in rows {
        let (result, ulp) = match &row.outcome {
            Outcome::Passed { ulp } => ("pass", format!("{ulp:.1}")),
            Outcome::Failed { .. } => (status.get(name).map_or("fail", String::as_str), String::new()),
        };
        writeln!(text, "| {name} | {} | {result} | {ulp} |", row.opset).unwrap();
    }
    let path = here().join("RESULTS.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
        return;
    }
    let without_errors = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|l| l.starts_with("| test_"));
        lines.map(|l| l.rsplitn(3, '|').nth(2).unwrap_or_default().to_string()).collect()
    };
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(without_errors(&known), without_errors(&text), "run BLESS=1 cargo test -p conformance");
}

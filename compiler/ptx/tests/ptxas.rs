//! Every form of the table, as `ptxas` sees it: one module per target with all forms that the target has, and all versions declared
//! as low as the table says.
//!
//! `ptxas` comes from the variable `PTXAS` or from the path; without it the tests say so and pass.

mod samples;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use ptx::{Module, Op, Sm, Version, print, verify};

/// The program, if there is one.
fn ptxas() -> Option<PathBuf> {
    let named = std::env::var_os("PTXAS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        named.into_iter().chain(std::env::split_paths(&path).map(|dir| dir.join("ptxas"))).find(|p| p.is_file());
    if found.is_none() {
        println!("skipped: no ptxas; set PTXAS");
    }
    found
}

/// What `ptxas` says against a text, each with the line it speaks of.
fn complaints(ptxas: &PathBuf, sm: Sm, name: &str, text: &str) -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (input, output) = (folder.join(format!("{name}.ptx")), folder.join(format!("{name}.cubin")));
    std::fs::write(&input, text).unwrap();
    let run = Command::new(ptxas)
        .args(["-O0", &format!("-arch={sm}"), "-o"])
        .args([&output, &input])
        .output()
        .expect("ptxas runs");
    if run.status.success() {
        return Vec::new();
    }
    let said = String::from_utf8_lossy(&run.stderr).into_owned() + &String::from_utf8_lossy(&run.stdout);
    let lines: Vec<&str> = text.lines().collect();
    let explain = |message: &str| {
        let number =
            message.split("line ").nth(1).and_then(|s| s.split(';').next()).and_then(|n| n.trim().parse().ok());
        let line = number.and_then(|n: usize| lines.get(n - 1)).copied().unwrap_or_default();
        format!("{sm}: {message}\n      {}", line.trim())
    };
    said.lines().filter(|m| m.contains("error") || m.contains("fatal")).map(explain).collect()
}

/// All forms of a target, in modules of a version each row of which it needs.
#[track_caller]
fn check(sm: Sm) {
    let entries: Vec<_> = Op::ALL.iter().filter_map(|op| samples::entry(*op, sm)).collect();
    let versions: BTreeSet<Version> = entries.iter().map(|e| e.version().max(sm.version())).collect();
    let mut wrong = Vec::new();
    let mut forms = 0;
    let Some(ptxas) = ptxas() else { return };
    for version in versions {
        let of_version = entries.iter().filter(|e| e.version().max(sm.version()) == version);
        let module = Module::new(sm, of_version.cloned().collect());
        assert_eq!(module.version, version);
        if let Err(problems) = verify(&module) {
            wrong.extend(problems.iter().map(ToString::to_string));
        }
        forms += module.entries.iter().map(|e| e.instructions().count()).sum::<usize>();
        wrong.extend(complaints(&ptxas, sm, &format!("{sm}-{version}"), &print(&module)));
    }
    println!("{sm}: {forms} instructions");
    assert!(wrong.is_empty(), "{} of {forms}:\n  {}", wrong.len(), wrong.join("\n  "));
}

#[test]
fn sm_75() {
    check(Sm::Sm75);
}

#[test]
fn sm_80() {
    check(Sm::Sm80);
}

#[test]
fn sm_86() {
    check(Sm::Sm86);
}

#[test]
fn sm_87() {
    check(Sm::Sm87);
}

#[test]
fn sm_89() {
    check(Sm::Sm89);
}

#[test]
fn sm_90a() {
    check(Sm::Sm90a);
}

#[test]
fn sm_100a() {
    check(Sm::Sm100a);
}

#[test]
fn sm_120a() {
    check(Sm::Sm120a);
}

//! `ptxas`, which comes from the variable `PTXAS` or from the path. Without it tests say so and pass.

use std::path::PathBuf;
use std::process::Command;

use ptx::Sm;

/// Fails if `ptxas` has anything against a text.
#[allow(dead_code, reason = "not every test file asks for one text alone")]
#[track_caller]
pub fn check(sm: Sm, name: &str, text: &str) {
    let wrong = complaints(sm, name, text);
    assert!(wrong.is_empty(), "{}", wrong.join("\n  "));
}

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

/// What `ptxas` says against a text, each with the line it speaks of; nothing without a `ptxas`.
pub fn complaints(sm: Sm, name: &str, text: &str) -> Vec<String> {
    let Some(ptxas) = ptxas() else { return Vec::new() };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (input, output) = (folder.join(format!("{name}.ptx")), folder.join(format!("{name}.cubin")));
    std::fs::write(&input, text).unwrap();
    let run = Command::new(&ptxas)
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

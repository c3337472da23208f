//! Text tests of the graph IR, a function a folder.

fn check(folder: &str) {
    let failures = filetests::run(folder).err().unwrap_or_default();
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn parse() {
    check("graph/parse");
}

#[test]
fn verify() {
    check("graph/verify");
}

#[test]
fn eval() {
    check("graph/eval");
}

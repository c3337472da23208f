//! Text tests of the passes.

#[test]
fn passes() {
    let failures = filetests::run("passes").err().unwrap_or_default();
    assert!(failures.is_empty(), "{failures}");
}

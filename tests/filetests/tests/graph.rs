//! Text tests of the graph IR, a function a folder.

fn check(folder: &str) {
    if let Err(failures) = filetests::run(folder) {
        panic!("{failures}");
    }
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

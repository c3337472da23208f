//! Texts with holes of the files around the generated code. A hole is `{{name}}`.

/// The manifest: `name`, `half`, `bench`, `tool`, `source`.
pub const CARGO_TOML: &str = include_str!("../text/Cargo.toml.txt");
/// The README: `crate`, `model`, `tool`, `source`, `inputs`, `outputs`, `usage`.
pub const README_MD: &str = include_str!("../text/README.md");
/// The report: `model`, `tool`, `source`, `report`.
pub const REPORT_MD: &str = include_str!("../text/REPORT.md");
/// The build script of crates that assemble their weights in.
pub const BUILD_RS: &str = include_str!("../text/build.rs.txt");
/// The example: `header`, `crate`, `samples`.
pub const EXAMPLE_RS: &str = concat!(include_str!("../text/example.rs.txt"), include_str!("../text/sample.rs.txt"));
/// The bench: `header`, `crate`, `samples`.
pub const BENCH_RS: &str = concat!(include_str!("../text/bench.rs.txt"), include_str!("../text/sample.rs.txt"));
/// The test against known values: `header`, `crate`, `golden_inputs`, `golden_outputs`.
pub const GOLDEN_RS: &str = include_str!("../text/golden.rs.txt");
/// The test where no values are known: `header`, `crate`, `samples`.
pub const REPEAT_RS: &str = concat!(include_str!("../text/repeat.rs.txt"), include_str!("../text/sample.rs.txt"));

/// Fills the holes of a text. A hole without a value stays as it is.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        match after.split_once("}}") {
            Some((name, behind)) => {
                match values.iter().find(|(n, _)| *n == name) {
                    Some((_, value)) => out.push_str(value),
                    None => {
                        out.push_str("{{");
                        out.push_str(name);
                        out.push_str("}}");
                    }
                }
                rest = behind;
            }
            None => {
                out.push_str("{{");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_filled_once() {
        assert_eq!(fill("a {{x}} b {{y}} {{", &[("x", "{{y}}"), ("y", "2")]), "a {{y}} b 2 {{");
        assert_eq!(fill("{{z}}", &[]), "{{z}}");
    }
}

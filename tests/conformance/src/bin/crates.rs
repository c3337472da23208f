//! `crates COUNT [FILTER]`: runs node tests through emitted crates of at most COUNT models and prints what fails.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use conformance::suite::{Outcome, crate_results};

fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    let mut args = std::env::args().skip(1);
    let count = args.next().and_then(|c| c.parse().ok()).unwrap_or(250);
    let filter = args.next().unwrap_or_default();
    let results = crate_results(Path::new("target/conformance"), count, &filter);
    let mut passed = 0;
    for (name, row) in &results {
        match &row.outcome {
            Outcome::Passed { .. } => passed += 1,
            Outcome::Failed { why } => {
                let _ = writeln!(out, "{name}: {}", why.lines().take(2).collect::<Vec<_>>().join(" / "));
            }
        }
    }
    let _ = writeln!(out, "{passed} passed, {} failed", results.len() - passed);
    ExitCode::SUCCESS
}

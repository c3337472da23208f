//! `suite STAGE [FILTER]`: runs node tests up to a stage and prints a line for each that fails, then the totals.

use std::io::Write;
use std::process::ExitCode;

use conformance::case;
use conformance::stage::{Stage, run};

fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    let mut args = std::env::args().skip(1);
    let Some(stage) = args.next().and_then(|s| Stage::from_name(&s)) else {
        let stages = "eval|passes|plan|poison|passes-plan|lower|emulate|emulate-generic|ptx";
        let _ = writeln!(out, "usage: suite {stages} [FILTER]");
        return ExitCode::from(2);
    };
    let filter = args.next().unwrap_or_default();
    let cases = case::all(&case::suite_folder());
    let (mut passed, mut failed) = (0, 0);
    for case in cases.iter().filter(|c| c.name.contains(&filter)) {
        match run(case, stage) {
            Ok(_) => passed += 1,
            Err(why) => {
                failed += 1;
                let line: String = why.lines().take(3).collect::<Vec<_>>().join(" / ");
                let _ = writeln!(out, "{}: {}", case.name, line);
            }
        }
    }
    let _ = writeln!(out, "{passed} passed, {failed} failed");
    ExitCode::SUCCESS
}

//! `suite STAGE [FILTER]`: runs node tests up to a stage and prints a line for each that fails, then the totals.
//!
//! `suite gpu [FILTER]` runs them on this machine's GPU, in as many processes as there are cores, in at most a few minutes.
//! Stage `emulate` runs each test on some architectures: with `SM=all` on all, with `SM=sm_80` on that one.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use conformance::stage::{Stage, run};
use conformance::{case, hardware};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_default();
    let filter = args.next().unwrap_or_default();
    match (name.as_str(), Stage::from_name(&name)) {
        (hardware::SERVE, _) => hardware::serve(),
        ("gpu", _) => on_gpu(&filter),
        (_, Some(stage)) => here(stage, &filter),
        (_, None) => {
            let stages = "eval|passes|plan|poison|passes-plan|lower|ptx|emulate|gpu";
            let _ = writeln!(std::io::stdout(), "usage: suite {stages} [FILTER]");
            ExitCode::from(2)
        }
    }
}

fn here(stage: Stage, filter: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let start = Instant::now();
    let cases = case::all(&case::suite_folder());
    let (mut passed, mut failed, mut programs, mut ran) = (0, 0, 0, 0);
    for case in cases.iter().filter(|c| c.name.contains(filter)) {
        match run(case, stage) {
            Ok(p) => {
                passed += 1;
                programs += p.programs;
                ran += p.ran;
            }
            Err(why) => {
                failed += 1;
                let line: String = why.lines().take(3).collect::<Vec<_>>().join(" / ");
                let _ = writeln!(out, "{}: {}", case.name, line);
            }
        }
    }
    let time = start.elapsed();
    let _ = writeln!(out, "{passed} passed, {failed} failed; {programs} programs, {ran} of them ran; {time:.1?}");
    ExitCode::SUCCESS
}

fn on_gpu(filter: &str) -> ExitCode {
    let say = |line: &str| {
        let line: String = line.chars().take(300).collect();
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    };
    let processes = std::thread::available_parallelism().map_or(1, usize::from);
    let report = match hardware::run_all(processes, filter, &say) {
        Ok(report) => report,
        Err(why) => {
            say(&why);
            return ExitCode::FAILURE;
        }
    };
    let programs: usize = report.passed.values().map(|p| p.programs).sum();
    let ran: usize = report.passed.values().map(|p| p.ran).sum();
    say(&format!(
        "{}: {} passed, {} failed; {programs} programs, {ran} of them ran; {:.1?} in {processes} processes",
        report.device,
        report.passed.len(),
        report.wrong.len(),
        report.time
    ));
    ExitCode::SUCCESS
}

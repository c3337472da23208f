//! Runs all cases on GPU 0, a line each; with the argument `sound` those without a fault and without many calls, for tools
//! that report every fault and slow every call down.

#![allow(clippy::print_stdout, reason = "a program whose output is its result")]

use std::process::ExitCode;
use std::time::Instant;

use gpu_checks::{cases, hardware};
use runtime_min::gpu::cudarc_table::driver;
use runtime_min::gpu::owned::device_facts;

fn main() -> ExitCode {
    let driver = match driver() {
        Ok(driver) => driver,
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match device_facts(driver, 0) {
        Ok(facts) => println!("{facts:?}"),
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    }
    let sound = std::env::args().any(|arg| arg == "sound");
    if !sound {
        match hardware::measure(driver) {
            Ok(line) => println!("{line}"),
            Err(what) => println!("no times: {what}"),
        }
    }
    let mut failed = 0;
    let more = if sound { &[][..] } else { hardware::MORE };
    for (name, case) in cases::CASES.iter().chain(hardware::CASES).chain(more) {
        let start = Instant::now();
        let done = case(driver);
        let time = start.elapsed();
        match done {
            Ok(()) => println!("ok    {name} ({time:.1?})"),
            Err(what) => {
                failed += 1;
                println!("WRONG {name}: {what}");
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

//! Every call of the driver fails once, with several answers: an error that names the function, no panic, nothing left.

use super::kernels::device;
use super::programs::*;
use super::runs::{infer, load};
use crate::error::{DeviceError, Error};
use crate::gpu::engine::is_sticky;
use crate::gpu::options::EngineOptions;
use crate::gpu::program::Program;
use crate::stand_in::{Leaks, Script, StandIn};

/// Calls whose failure may change no result: those made while things are given back.
const IGNORED: &[&str] = &[
    "ctx_push_current",
    "stream_synchronize",
    "primary_ctx_release",
    "ctx_pop_current",
    "mem_free",
    "mem_free_host",
    "stream_destroy",
    "event_destroy",
    "module_unload",
    "graph_exec_destroy",
    "graph_destroy",
];

/// Load, session, two calls, a new shape.
fn scenario(driver: &StandIn, program: Program, options: EngineOptions) -> Result<Vec<f32>, Error> {
    let engine = load(driver, program, options)?;
    let mut session = engine.session()?;
    infer(&mut session, &[1.0, 2.0, 3.0, 4.0])?;
    session.prepare(&[&[3]])?;
    session.reset_states()?;
    infer(&mut session, &[1.0, 2.0, 3.0])
}

fn sweep(program: impl Fn() -> Program, options: EngineOptions, expected: &[f32]) {
    for code in [1, 2, 700, 719, 999] {
        let mut failures = 0;
        for n in 1.. {
            let driver = StandIn::new(device(), Script { fail: Some((n, code)), ..Script::default() });
            let done = scenario(&driver, program(), options.clone());
            let Some(function) = driver.failed() else {
                assert_eq!(done.unwrap(), expected);
                break;
            };
            failures += 1;
            check(function, code, n, done, expected);
            let leaks = driver.leaks();
            assert_eq!(leaks, Leaks::default(), "call {n} ({function}) answered {code}");
        }
        assert!(failures > 60, "{failures}");
    }
}

fn check(function: &str, code: u32, n: u64, done: Result<Vec<f32>, Error>, expected: &[f32]) {
    let place = format!("call {n} ({function}) answered {code}");
    let error = match done {
        Err(error) => error,
        Ok(found) => {
            // That a kernel has no more parameters is what is expected.
            let last = function == "func_get_param_info" && code == 1;
            // Where there is no room to spare, what is needed is taken.
            let spare = function == "mem_alloc" && code == 2;
            assert!(last || spare || IGNORED.contains(&function), "{place}: no error");
            assert_eq!(found, expected, "{place}");
            return;
        }
    };
    let text = error.to_string();
    let Error::Device { source, .. } = error else { panic!("{place}: {text}") };
    match source {
        DeviceError::Call { code: found, function: name, .. } => {
            assert!(found == code || IGNORED.contains(&function) || is_sticky(code), "{place}: {text}");
            assert!(name.starts_with("cu"), "{place}: {text}");
        }
        DeviceError::Memory { .. } => assert!(code == 2 || function.starts_with("mem"), "{place}: {text}"),
        DeviceError::Module { .. } => {
            let missing = function == "func_get_param_info" && text.contains("the kernel has none");
            assert!(missing || text.contains(&format!("({code})")), "{place}: {text}");
        }
        DeviceError::Poisoned { by } => assert!(is_sticky(code) && by.contains("cu"), "{place}: {by}"),
        other => panic!("{place}: {other}"),
    }
}

#[test]
fn chains_with_graphs() {
    sweep(chain, EngineOptions::default(), &[4.0, 8.0, 12.0]);
}

#[test]
fn chains_with_a_clock_and_poison() {
    sweep(chain, EngineOptions::default().with_profile().with_poison(), &[4.0, 8.0, 12.0]);
}

#[test]
fn loops_that_read_back() {
    sweep(rounds, EngineOptions::default(), &[8.0, 16.0, 24.0]);
}

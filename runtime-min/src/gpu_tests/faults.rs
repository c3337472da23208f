//! Every call of the driver fails once, with several answers: an error that names the function, no panic, nothing left.

use std::sync::Arc;

use super::kernels::device;
use super::programs::*;
use super::runs::{bytes, floats, infer, load};
use crate::error::{DeviceError, Error};
use crate::gpu::engine::{GpuEngine, is_sticky};
use crate::gpu::options::EngineOptions;
use crate::gpu::owned::{Context, Stream};
use crate::gpu::program::Program;
use crate::gpu::session::GpuSession;
use crate::stand_in::{Leaks, Script, StandIn, lent};

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

/// Answers of a driver: a value it does not take, no memory, a fault of a kernel, another one, an unknown error, and one while
/// a stream captures.
const CODES: [u32; 6] = [1, 2, 700, 719, 999, 901];

/// What is done with a driver that fails, up to an answer.
type Scenario = fn(&StandIn, Program, EngineOptions) -> Result<Vec<f32>, Error>;

/// Load, session, two calls, a new shape.
fn calls(driver: &StandIn, program: Program, options: EngineOptions) -> Result<Vec<f32>, Error> {
    let engine = load(driver, program, options)?;
    let mut session = engine.session()?;
    infer(&mut session, &[1.0, 2.0, 3.0, 4.0])?;
    session.prepare(&[&[3]])?;
    session.reset_states()?;
    infer(&mut session, &[1.0, 2.0, 3.0])
}

/// Three sessions over one engine, which goes before them; shapes in turn.
fn sessions(driver: &StandIn, program: Program, options: EngineOptions) -> Result<Vec<f32>, Error> {
    let engine = load(driver, program, options)?;
    let mut sessions = [engine.session()?, engine.session()?, engine.session()?];
    drop(engine);
    let mut last = Vec::new();
    for x in [&[1.0, 2.0, 3.0, 4.0][..], &[7.0], &[1.0, 2.0, 3.0]] {
        for session in &mut sessions {
            last = infer(session, x)?;
        }
    }
    Ok(last)
}

/// Memory of the caller: with graphs, without, inside a capture of the caller; then a call with memory of the host.
fn enqueued(driver: &StandIn, program: Program, options: EngineOptions) -> Result<Vec<f32>, Error> {
    let engine = load(driver, program, options)?;
    let context = Arc::clone(&engine.shared().context);
    let _entered = context.enter()?;
    let mut session = engine.session()?;
    let stream = Stream::new(&context)?;
    for x in [&[1.0, 2.0, 3.0, 4.0][..], &[1.0, 2.0, 3.0]] {
        lend(&context, &stream, &mut session, x)?;
    }
    let input = lent::memory(&context, &bytes(&[1.0, 2.0, 3.0, 4.0]))?;
    let output = lent::memory(&context, &[0; 64])?;
    let graph = lent::capture(&mut session, &stream, &[(&[4], &input)], &[Some(&output)])?;
    graph.launch(&stream)?;
    let captured = floats(&lent::contents(&context, &output, 16)?);
    assert_eq!(captured, lend(&context, &stream, &mut session, &[1.0, 2.0, 3.0, 4.0])?);
    infer(&mut session, &[1.0, 2.0, 3.0])
}

/// A call on new memory of the device.
fn lend(context: &Arc<Context>, stream: &Stream, session: &mut GpuSession, x: &[f32]) -> Result<Vec<f32>, Error> {
    let (input, output) = (lent::memory(context, &bytes(x))?, lent::memory(context, &vec![0; x.len() * 4])?);
    lent::enqueue(session, stream, &[(&[x.len()], &input)], &[Some(&output)])?;
    Ok(floats(&lent::contents(context, &output, x.len() * 4)?))
}

fn sweep(scenario: Scenario, program: impl Fn() -> Program, options: EngineOptions, expected: &[f32]) {
    for code in CODES {
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
        // At least so many calls are made where nothing fails.
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
    sweep(calls, chain, EngineOptions::default(), &[4.0, 8.0, 12.0]);
}

#[test]
fn chains_with_a_clock_and_poison() {
    sweep(calls, chain, EngineOptions::default().with_profile().with_poison(), &[4.0, 8.0, 12.0]);
}

#[test]
fn loops_that_read_back() {
    sweep(calls, rounds, EngineOptions::default(), &[8.0, 16.0, 24.0]);
}

#[test]
fn loops_in_a_graph() {
    sweep(rows, turns, EngineOptions::default(), &[2.0, 4.0, 4.0, 8.0, 8.0, 16.0]);
}

/// As [`calls`], for outputs of two dims.
fn rows(driver: &StandIn, program: Program, options: EngineOptions) -> Result<Vec<f32>, Error> {
    let engine: GpuEngine = load(driver, program, options)?;
    let mut session = engine.session()?;
    let data = bytes(&[1.0, 2.0, 3.0, 4.0]);
    let input = |n: usize| crate::gpu::session::HostInput {
        dims: if n == 4 { &[4] } else { &[2] },
        value: crate::gpu::session::HostValue::Bytes(&data[..n * 4]),
    };
    session.infer(&[input(4)])?;
    session.prepare(&[&[2]])?;
    session.infer(&[input(2)])?;
    Ok(floats(session.output::<2>(0).map_err(crate::error::StepError::at_border)?.0))
}

#[test]
fn memory_of_the_host() {
    sweep(calls, chain, EngineOptions::default().with_host_memory(true), &[4.0, 8.0, 12.0]);
}

#[test]
fn several_sessions() {
    sweep(sessions, chain, EngineOptions::default(), &[4.0, 8.0, 12.0]);
}

#[test]
fn memory_of_the_caller() {
    sweep(enqueued, chain, EngineOptions::default(), &[4.0, 8.0, 12.0]);
    sweep(enqueued, chain, EngineOptions::default().without_graphs(), &[4.0, 8.0, 12.0]);
}

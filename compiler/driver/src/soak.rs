//! Many inferences in several sessions over one engine: results stay those of the first run, and memory does not grow.

use std::sync::Barrier;

use graph::datum::Datum;
use runtime_min::error::Error as RunError;
use runtime_min::gpu::engine::GpuEngine;

use crate::error::Error;
use crate::in_process;
use crate::verify::{Check, bits_of};

/// Bytes that a process may grow by: what allocators and the driver keep for themselves.
const SLACK: i64 = 4 << 20;

/// What the sessions give: the number of results that differ.
type Counted = Result<usize, Error>;

/// Runs cases again and again, `repeat` times in all, on one thread for each session.
pub fn soak(
    engine: &GpuEngine,
    cases: &[(Vec<Datum>, Vec<Datum>)],
    sessions: usize,
    repeat: usize,
) -> Result<Check, Error> {
    let expected: Vec<(&[Datum], String)> = cases.iter().map(|(i, o)| (i.as_slice(), bits_of(o))).collect();
    let outputs = cases.first().map_or(0, |(_, outputs)| outputs.len());
    let barrier = Barrier::new(sessions + 1);
    let run = |start: usize| -> Counted {
        let call = |session: &mut _, (inputs, bits): &(&[Datum], String)| -> Result<usize, Error> {
            Ok(usize::from(bits_of(&in_process::run(session, outputs, inputs)?) != *bits))
        };
        let many = |session: &mut _, count: usize| -> Counted {
            let turn = expected.iter().cycle().skip(start).take(count);
            turn.map(|case| call(session, case)).sum()
        };
        // Every session has its memory once it has seen all cases.
        let mut session = engine.session().map_err(Error::from);
        let first = match &mut session {
            Ok(session) => many(session, expected.len()),
            Err(_) => Ok(0),
        };
        barrier.wait();
        barrier.wait();
        let rest = match &mut session {
            Ok(session) => many(session, repeat / sessions),
            Err(_) => Ok(0),
        };
        barrier.wait();
        // Sessions live until memory has been measured.
        barrier.wait();
        session?;
        Ok(first? + rest?)
    };
    let (found, before, after) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..sessions).map(|k| scope.spawn(move || run(k))).collect();
        barrier.wait();
        let before = measure(engine);
        barrier.wait();
        barrier.wait();
        let after = measure(engine);
        barrier.wait();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(usize::MAX / 2)));
        (joined.sum::<Counted>(), before, after)
    });
    let (wrong, before, after) = (found?, before?, after?);
    let (device, host) = (before.0 - after.0, after.1 - before.1);
    let text = format!(
        "{repeat} inferences in {sessions} sessions: {wrong} other results; memory of the device grew by {device} bytes, of \
         the process by {host}"
    );
    Ok(Check { text, passed: wrong == 0 && device <= 0 && host <= SLACK })
}

/// Free bytes of the device, and bytes of the process that are in memory (0 where the system does not tell).
fn measure(engine: &GpuEngine) -> Result<(i64, i64), Error> {
    let context = &engine.shared().context;
    let entered = context.enter().map_err(RunError::from)?;
    let (free, _) = context.api.memory_info().map_err(RunError::from)?;
    drop(entered);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<i64>().ok());
    Ok((free as i64, kilobytes.unwrap_or(0) * 1024))
}

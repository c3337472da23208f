//! Many calls on four threads, a session each, over one engine: results stay those of single calls, memory stays as it is.

use std::sync::Barrier;

use runtime_min::gpu::driver::DriverTable;
use runtime_min::gpu::options::EngineOptions;
use runtime_min::gpu::session::GpuSession;

use crate::cases::{infer, load, text};
use crate::programs;

const THREADS: usize = 4;

/// Bytes that a process may grow by: what the allocator and the driver keep for themselves.
const SLACK: i64 = 4 << 20;

/// Shapes of one thread: the prepared one, and others.
fn inputs(thread: usize) -> Vec<Vec<f32>> {
    let lengths = [100, 1, 64, 257, 1000, 33 + thread, 100, 700 * (thread + 1)];
    let value = |n: usize, k: usize| (k as f32 - n as f32 / 3.0) * (thread as f32 + 0.37);
    lengths.into_iter().map(|n| (0..n).map(|k| value(n, k)).collect()).collect()
}

fn call(session: &mut GpuSession, x: &[f32]) -> Result<Vec<u8>, String> {
    infer(session, &[x.len()], x).map_err(text)
}

/// `rounds` calls on each thread. Where `measured`, an error if memory of the device or of the process grows meanwhile.
pub fn soak(driver: &'static DriverTable, rounds: usize, measured: bool) -> Result<(), String> {
    let engine = load(driver, programs::chain(false), EngineOptions::default()).map_err(text)?;
    // Single calls, each in a session of its own.
    let mut expected = Vec::new();
    for thread in 0..THREADS {
        let single = |x: &Vec<f32>| call(&mut engine.session().map_err(text)?, x);
        expected.push(inputs(thread).iter().map(single).collect::<Result<Vec<_>, _>>()?);
    }
    let (warm, done) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    std::thread::scope(|scope| {
        let run = |thread: usize| {
            let made = engine.session().map_err(text);
            let inputs = inputs(thread);
            let pairs = || inputs.iter().zip(expected.get(thread).into_iter().flatten());
            let first = || {
                let mut session = made?;
                pairs().try_for_each(|(x, y)| same_bits(thread, &call(&mut session, x)?, y))?;
                Ok::<_, String>(session)
            };
            let session = first();
            warm.wait();
            let many = session.and_then(|mut session| {
                let mut calls = pairs().cycle().take(rounds);
                calls.try_for_each(|(x, y)| same_bits(thread, &call(&mut session, x)?, y))?;
                Ok(session)
            });
            done.wait();
            // The session lives until memory has been measured.
            done.wait();
            many.map(drop)
        };
        let threads: Vec<_> = (0..THREADS).map(|k| scope.spawn(move || run(k))).collect();
        warm.wait();
        let before = measure(&engine.shared().context);
        done.wait();
        let after = measure(&engine.shared().context);
        done.wait();
        for thread in threads {
            thread.join().map_err(|_| "a panic".to_string())??;
        }
        if measured { compare(before?, after?) } else { Ok(()) }
    })
}

fn same_bits(thread: usize, found: &[u8], expected: &[u8]) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("thread {thread}: not what a single call gives")) }
}

/// Free bytes of the device, and bytes of the process that are in memory (0 where the system does not tell).
fn measure(context: &runtime_min::gpu::owned::Context) -> Result<(i64, i64), String> {
    let entered = context.enter().map_err(|e| e.to_string())?;
    let (free, _) = context.api.memory_info().map_err(|e| e.to_string())?;
    drop(entered);
    Ok((free as i64, resident_bytes()))
}

/// Bytes of this process that are in memory; 0 where the system does not tell.
pub fn resident_bytes() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<i64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

fn compare(before: (i64, i64), after: (i64, i64)) -> Result<(), String> {
    let (device, host) = (before.0 - after.0, after.1 - before.1);
    if device <= 0 && host <= SLACK {
        return Ok(());
    }
    Err(format!("{device} bytes more of the device, {host} bytes more of the process"))
}

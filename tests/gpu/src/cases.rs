//! Cases that the emulator and a GPU both run.

use std::sync::Arc;

use runtime_min::error::Error;
use runtime_min::gpu::driver::DriverTable;
use runtime_min::gpu::engine::GpuEngine;
use runtime_min::gpu::options::{EngineOptions, NoHost};
use runtime_min::gpu::program::Program;
use runtime_min::gpu::session::{GpuSession, HostInput, HostValue};
use runtime_min::weights::Weights;

use crate::lent;
use crate::programs;
use crate::soak::soak;

/// A case: what is wrong, if anything.
pub type Case = fn(&'static DriverTable) -> Result<(), String>;

/// All of them by name. Those of the second list need features that not every device has.
pub const CASES: &[(&str, Case)] = &[
    ("graphs, plain launches, growing memory", chain),
    ("dependent launches", dependent),
    ("without graphs", without_graphs),
    ("poison", poison),
    ("memory of the host", hosted),
    ("a loop in a graph", turns),
    ("times of steps", times),
    ("read-back and loop", rounds),
    ("divisors", division),
    ("clusters", ranks),
    ("tensor map", tile),
    ("threads", threads),
    ("memory of the caller", lent::pointers),
    ("a capture of the caller", lent::captured),
    ("four sessions at once", |driver| soak(driver, 12, false)),
    ("more memory than there is", too_large),
];

/// Loads a program without weights.
pub fn load(driver: &'static DriverTable, program: Program, options: EngineOptions) -> Result<GpuEngine, Error> {
    GpuEngine::load(driver, program, Weights::none(), Arc::new(NoHost), options)
}

/// Runs a session on n elements.
pub fn infer(session: &mut GpuSession, dims: &[usize], x: &[f32]) -> Result<Vec<u8>, Error> {
    let data: Vec<u8> = x.iter().flat_map(|v| v.to_le_bytes()).collect();
    session.infer(&[HostInput { dims, value: HostValue::Bytes(&data) }])?;
    let datum = session.output_datum(0).map_err(runtime_min::error::StepError::at_border)?;
    datum.tensor().map(|t| t.data.clone()).map_err(|what| runtime_min::error::DeviceError::Refused { what }.into())
}

/// Elements of 4 bytes.
pub fn words(bytes: &[u8]) -> Vec<[u8; 4]> {
    bytes.chunks_exact(4).filter_map(|c| c.try_into().ok()).collect()
}

/// Floats.
pub fn floats(bytes: &[u8]) -> Vec<f32> {
    words(bytes).into_iter().map(f32::from_le_bytes).collect()
}

/// Unsigned integers.
pub fn integers(bytes: &[u8]) -> Vec<u32> {
    words(bytes).into_iter().map(u32::from_le_bytes).collect()
}

/// An error unless both are equal.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: expected {expected:?}, found {found:?}")) }
}

/// An error's words.
pub fn text(error: Error) -> String {
    error.to_string()
}

fn ramp(n: usize) -> Vec<f32> {
    (0..n).map(|k| k as f32 - 3.5).collect()
}

fn run_chain(session: &mut GpuSession, n: usize) -> Result<(), String> {
    let x = ramp(n);
    let expected: Vec<f32> = x.iter().map(|v| v * 8.0).collect();
    let found = floats(&infer(session, &[n], &x).map_err(text)?);
    same(&format!("{n} elements"), &found, &expected)
}

/// Prepared shapes, others, larger ones that move all memory, and prepared ones again with their nodes changed.
fn run_chains(driver: &'static DriverTable, program: Program, options: EngineOptions) -> Result<(), String> {
    let engine = load(driver, program, options).map_err(text)?;
    let mut session = engine.session().map_err(text)?;
    for n in [100, 100, 7, 1000, 100, 0] {
        run_chain(&mut session, n)?;
    }
    session.prepare(&[&[1000]]).map_err(text)?;
    for n in [1000, 100, 5000, 1000, 100] {
        run_chain(&mut session, n)?;
    }
    Ok(())
}

fn chain(driver: &'static DriverTable) -> Result<(), String> {
    run_chains(driver, programs::chain(false), EngineOptions::default())
}

fn dependent(driver: &'static DriverTable) -> Result<(), String> {
    run_chains(driver, programs::chain(true), EngineOptions::default())
}

fn without_graphs(driver: &'static DriverTable) -> Result<(), String> {
    run_chains(driver, programs::chain(true), EngineOptions::default().without_graphs())
}

fn poison(driver: &'static DriverTable) -> Result<(), String> {
    run_chains(driver, programs::chain(false), EngineOptions::default().with_poison())
}

/// Inputs and outputs where the host has them.
fn hosted(driver: &'static DriverTable) -> Result<(), String> {
    run_chains(driver, programs::chain(true), EngineOptions::default().with_host_memory(true))
}

/// Sixteen iterations, as nodes of a graph and step by step.
fn turns(driver: &'static DriverTable) -> Result<(), String> {
    for options in [EngineOptions::default(), EngineOptions::default().without_graphs()] {
        let engine = load(driver, programs::turns(), options).map_err(text)?;
        let mut session = engine.session().map_err(text)?;
        for n in [100, 7, 300, 100] {
            let x = ramp(n);
            let expected: Vec<f32> = (1..17).flat_map(|turn| x.iter().map(move |v| v * (1 << turn) as f32)).collect();
            let found = floats(&infer(&mut session, &[n], &x).map_err(text)?);
            same(&format!("{n} elements"), &found, &expected)?;
        }
    }
    Ok(())
}

fn times(driver: &'static DriverTable) -> Result<(), String> {
    let engine = load(driver, programs::chain(false), EngineOptions::default().with_profile()).map_err(text)?;
    let mut session = engine.session().map_err(text)?;
    run_chain(&mut session, 1000)?;
    let timed = session.profile().iter().filter(|(_, time)| !time.is_zero()).count();
    same("steps with a time", &timed, &5)
}

fn rounds(driver: &'static DriverTable) -> Result<(), String> {
    let engine = load(driver, programs::rounds(), EngineOptions::default()).map_err(text)?;
    let mut session = engine.session().map_err(text)?;
    for x in [&[1.0, -1.0, 2.0, 0.0][..], &[-1.0], &[0.5; 9]] {
        let rounds = x.iter().filter(|v| **v > 0.0).count();
        let expected: Vec<f32> = x.iter().map(|v| v * (1 << rounds) as f32).collect();
        let found = floats(&infer(&mut session, &[x.len()], x).map_err(text)?);
        same(&format!("{x:?}"), &found, &expected)?;
    }
    Ok(())
}

fn division(driver: &'static DriverTable) -> Result<(), String> {
    let engine = load(driver, programs::division(), EngineOptions::default()).map_err(text)?;
    let mut session = engine.session().map_err(text)?;
    for n in [1, 2, 3, 7, 64, 100, 641, 999, 1000, 2000] {
        let expected: Vec<u32> = (0..1000).map(|i| i / n as u32 + 5).collect();
        let found = integers(&infer(&mut session, &[n], &vec![0.0; n]).map_err(text)?);
        same(&format!("divisor {n}"), &found, &expected)?;
    }
    Ok(())
}

fn ranks(driver: &'static DriverTable) -> Result<(), String> {
    let engine = load(driver, programs::ranks(), EngineOptions::default()).map_err(text)?;
    let mut session = engine.session().map_err(text)?;
    let found = integers(&infer(&mut session, &[0], &[]).map_err(text)?);
    same("ranks", &found, &vec![0, 1, 0, 1, 0, 1, 0, 1])
}

fn tile(driver: &'static DriverTable) -> Result<(), String> {
    let engine = load(driver, programs::tile(), EngineOptions::default()).map_err(text)?;
    let mut session = engine.session().map_err(text)?;
    for rows in [16, 9, 64] {
        let x: Vec<f32> = (0..rows * 32).map(|k| k as f32).collect();
        let at = |row: usize, column: usize| {
            let inside = row + 3 < rows && column + 28 < 32;
            if inside { ((row + 3) * 32 + column + 28) as f32 } else { 0.0 }
        };
        let expected: Vec<f32> = (0..64).map(|k| at(k / 8, k % 8)).collect();
        let found = floats(&infer(&mut session, &[rows, 32], &x).map_err(text)?);
        same(&format!("{rows} rows"), &found, &expected)?;
    }
    Ok(())
}

fn threads(driver: &'static DriverTable) -> Result<(), String> {
    let engine = load(driver, programs::chain(false), EngineOptions::default()).map_err(text)?;
    std::thread::scope(|scope| {
        let run = |k: usize| {
            let mut session = engine.session().map_err(text)?;
            (1..20).try_for_each(|n| run_chain(&mut session, n * 50 + k))
        };
        let threads: Vec<_> = (0..4).map(|k| scope.spawn(move || run(k))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().map_err(|_| "a panic".to_string())?;
        threads.into_iter().try_for_each(join)
    })
}

fn too_large(driver: &'static DriverTable) -> Result<(), String> {
    match load(driver, programs::large(1 << 50), EngineOptions::default()) {
        Ok(_) => Err("a petabyte was granted".to_string()),
        Err(error) => {
            let words = error.to_string();
            // The output has 4000 bytes.
            let expected = "1125899906846624 bytes of GPU memory are needed, ";
            if words.starts_with(expected) && words.ends_with(" are free") { Ok(()) } else { Err(words) }
        }
    }
}

#[cfg(test)]
mod tests {
    use runtime_min::stand_in::{Leaks, Script, StandIn};

    use super::*;
    use crate::emulated::Emulated;

    #[test]
    fn cases_hold_on_the_emulator() {
        for (name, case) in CASES {
            let driver = StandIn::new(Box::new(Emulated::default()), Script::default());
            let done = case(driver.table());
            let leaks = driver.leaks();
            assert_eq!((done, leaks), (Ok(()), Leaks::default()), "{name}");
        }
    }

    #[test]
    fn times_are_told() {
        let driver = StandIn::new(Box::new(Emulated::default()), Script::default());
        let line = crate::hardware::measure(driver.table()).unwrap();
        assert!(line.starts_with("graph: 500.0µs a round, ") && line.contains("; step by step: 500.0µs"), "{line}");
    }

    /// A fault of a kernel is an error of the call, and the emulator's words are there to be read.
    #[test]
    fn faults_are_errors() {
        let driver = StandIn::new(Box::new(Emulated::default()), Script::default());
        let engine = load(driver.table(), programs::stray(), EngineOptions::default()).unwrap();
        let error = infer(&mut engine.session().unwrap(), &[0], &[]).unwrap_err().to_string();
        assert!(error.starts_with("cuStreamSynchronize: CUDA_ERROR_LAUNCH_FAILED (719)"), "{error}");
        let misuse = driver.leaks().misuse;
        assert!(misuse.len() == 1 && misuse[0].contains("st.global.u32"), "{misuse:?}");
    }
}

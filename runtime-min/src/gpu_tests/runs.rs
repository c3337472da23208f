//! Whole programs: results, graphs, what is patched, what is taken from the system.

use std::sync::Arc;

use super::kernels::device;
use super::programs::*;
use crate::gpu::engine::GpuEngine;
use crate::gpu::link::{KernelFacts, Linker};
use crate::gpu::options::{EngineOptions, NoHost};
use crate::gpu::program::*;
use crate::gpu::session::{DeviceInput, GpuSession, HostInput, HostValue};
use crate::stand_in::{Leaks, Script, StandIn};
use crate::weights::{Fill, HEADER, LINE, Manifest, Weights, checksum, header};

pub fn load(driver: &StandIn, program: Program, options: EngineOptions) -> Result<GpuEngine, crate::error::Error> {
    let weights = Weights::Embedded(Box::leak(weights().into_boxed_slice()));
    GpuEngine::load(driver.table(), program, weights, Arc::new(NoHost), options)
}

pub fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

pub fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect()
}

pub fn infer(session: &mut GpuSession, x: &[f32]) -> Result<Vec<f32>, crate::error::Error> {
    let data = bytes(x);
    session.infer(&[HostInput { dims: &[x.len()], value: HostValue::Bytes(&data) }])?;
    let (found, dims) = session.output::<1>(0).map_err(|e| e.at_border())?;
    assert_eq!(dims[0] * 4, found.len());
    Ok(floats(found))
}

fn start() -> StandIn {
    StandIn::new(device(), Script::default())
}

fn expected(x: &[f32]) -> Vec<f32> {
    x.iter().zip(1..).map(|(x, k)| 2.0 * (x + k as f32)).collect()
}

#[test]
fn prepared_shapes_are_launched_as_graphs_and_others_step_by_step() {
    let driver = start();
    let engine = load(&driver, chain(), EngineOptions::default()).unwrap();
    let mut session = engine.session().unwrap();
    let x = [1.0, -2.0, 0.5, 8.0, 3.0];
    assert_eq!(infer(&mut session, &x[..4]).unwrap(), expected(&x[..4]));
    let counts = driver.counts();
    assert_eq!((counts.graph_launches, counts.instantiations, counts.patched_nodes), (1, 1, 0));
    assert_eq!(infer(&mut session, &x).unwrap(), expected(&x));
    assert_eq!(infer(&mut session, &[]).unwrap(), expected(&[]));
    assert_eq!(driver.counts().graph_launches, 1);
    session.prepare(&[&[5]]).unwrap();
    assert_eq!(infer(&mut session, &x).unwrap(), expected(&x));
    assert_eq!(driver.counts().graph_launches, 2);
    assert_eq!(driver.counts().dependent_launches, 3);
}

/// A kernel that may begin early does so behind a launch alone: in graphs, in plain launches, where nodes have other addresses.
#[test]
fn early_starts_are_asked_for_in_graphs_and_launches() {
    let driver = start();
    let engine = load(&driver, chain(), EngineOptions::default()).unwrap();
    let mut session = engine.session().unwrap();
    // Of clear, addition, doubling and copy, the doubling; once while the session captured.
    let counts = |driver: &StandIn| (driver.counts().dependent_launches, driver.counts().dependent_nodes);
    assert_eq!(counts(&driver), (1, 0));
    infer(&mut session, &[1.0; 4]).unwrap();
    assert_eq!(counts(&driver), (1, 1));
    infer(&mut session, &[1.0; 3]).unwrap();
    assert_eq!(counts(&driver), (2, 1));
    let mut program = chain();
    program.kernels.to_mut().iter_mut().for_each(|kernel| kernel.dependent = false);
    let engine = load(&driver, program, EngineOptions::default()).unwrap();
    infer(&mut engine.session().unwrap(), &[1.0; 4]).unwrap();
    assert_eq!(counts(&driver), (2, 1));
}

#[test]
fn a_session_with_its_memory_takes_nothing_more() {
    let driver = start();
    let engine = load(&driver, chain(), EngineOptions::default()).unwrap();
    let mut session = engine.session().unwrap();
    let before = driver.counts();
    for n in [4, 16, 0, 7, 4] {
        let x = vec![1.5; n];
        assert_eq!(infer(&mut session, &x).unwrap(), expected(&x));
    }
    let after = driver.counts();
    assert_eq!((after.allocations, after.modules), (before.allocations, before.modules));
    assert_eq!(after.synchronizations, before.synchronizations + 5);
}

#[test]
fn nothing_is_left_behind() {
    let driver = start();
    let engine = load(&driver, chain(), EngineOptions::default().with_profile()).unwrap();
    let mut sessions = [engine.session().unwrap(), engine.session().unwrap()];
    drop(engine);
    for session in &mut sessions {
        assert_eq!(infer(session, &[1.0]).unwrap(), [4.0]);
    }
    assert!(driver.leaks().device_bytes > 0);
    drop(sessions);
    assert_eq!(driver.leaks(), Leaks::default());
}

/// Calls on a caller's memory change the nodes that hold an address of inputs or outputs, and no others.
#[test]
fn other_addresses_patch_only_their_nodes() {
    let driver = start();
    let engine = load(&driver, chain(), EngineOptions::default()).unwrap();
    let mut session = engine.session().unwrap();
    let x = [1.0, 2.0, 3.0, 4.0];
    let (input, output) = driver.executor(|device| {
        let (input, output) = (device.alloc(16), device.alloc(16));
        assert!(device.write(input, &bytes(&x)));
        (input, output)
    });
    let stream = driver.foreign_stream();
    let call = |session: &mut GpuSession, output: u64| {
        let inputs = [DeviceInput { dims: &[4], address: input }];
        // SAFETY: both are memory of the device, of 16 bytes.
        #[allow(unsafe_code, reason = "the function under test")]
        unsafe { session.enqueue(stream, &inputs, &[output]) }.unwrap();
        driver.counts().patched_nodes
    };
    assert_eq!(call(&mut session, output), 2);
    assert_eq!(call(&mut session, output), 2);
    // The next call on the session's own stream waits for the caller's.
    assert_eq!(infer(&mut session, &x).unwrap(), expected(&x));
    assert_eq!(driver.counts().patched_nodes, 4);
    let found = driver.executor(|device| device.read(output, 16)).unwrap();
    assert_eq!(floats(&found), expected(&x));
    // Without an address the output stays in the session's memory.
    call(&mut session, 0);
    assert_eq!(infer(&mut session, &x).unwrap(), expected(&x));
    let own = session.output_address(0);
    assert_eq!(floats(&driver.executor(|device| device.read(own, 16)).unwrap()), expected(&x));
    drop((session, engine));
    assert_eq!(driver.leaks().misuse, Vec::<String>::new());
}

/// Where memory grows, a prepared shape's nodes follow; a driver that does not tell its nodes captures anew.
#[test]
fn graphs_follow_memory_that_grows() {
    let check = |tells_nodes: bool, instantiations: u64, patched_nodes: u64| {
        let driver = StandIn::new(device(), Script { tells_nodes, ..Script::default() });
        let mut program = chain();
        program.inputs.to_mut()[0].memory.most = None;
        program.outputs.to_mut()[0].memory.most = None;
        let engine = load(&driver, program, EngineOptions::default()).unwrap();
        let mut session = engine.session().unwrap();
        for n in [4, 9, 4, 4] {
            let x = vec![0.5; n];
            assert_eq!(infer(&mut session, &x).unwrap(), expected(&x));
        }
        let counts = driver.counts();
        assert_eq!((counts.instantiations, counts.patched_nodes), (instantiations, patched_nodes));
        drop((session, engine));
        assert_eq!(driver.leaks(), Leaks::default());
    };
    check(true, 1, 2);
    check(false, 2, 0);
}

#[test]
fn loops_read_back_and_states_stay() {
    let driver = start();
    let engine = load(&driver, rounds(), EngineOptions::default()).unwrap();
    let mut session = engine.session().unwrap();
    let mut check = |x: &[f32], kept: &[f32], calls: f32| {
        assert_eq!(infer(&mut session, x).unwrap(), kept, "{x:?}");
        let (found, []) = session.output(1).unwrap();
        assert_eq!(floats(found), [calls], "{x:?}");
    };
    check(&[3.0, 1.0, -5.0], &[12.0, 4.0], 3.0);
    check(&[5.0; 7], &[160.0; 7], 8.0);
    check(&[-1.0], &[], 7.0);
    session.reset_states().unwrap();
    drop((session, engine));
    assert_eq!(driver.leaks(), Leaks::default());
}

/// Several sizes are read in one wait; a choice by a size waits for nothing.
#[test]
fn sizes_are_read_back_together() {
    let driver = start();
    let engine = load(&driver, pairs(), EngineOptions::default()).unwrap();
    let mut session = engine.session().unwrap();
    assert_eq!(infer(&mut session, &[3.0, 1.0, -5.0]).unwrap(), [6.0, 2.0]);
    assert_eq!(infer(&mut session, &[-1.0]).unwrap(), [] as [f32; 0]);
    assert_eq!(infer(&mut session, &[4.0; 5]).unwrap(), [8.0; 5]);
    let before = driver.counts();
    assert_eq!(infer(&mut session, &[4.0; 5]).unwrap(), [8.0; 5]);
    let counts = driver.counts();
    assert_eq!(counts.synchronizations - before.synchronizations, 2, "one for both sizes, one for the output");
    assert_eq!(counts.downloads - before.downloads, 3);
}

/// Weights that repeat a line of the file lie behind it on the device too.
#[test]
fn weights_behind_the_file_are_on_the_device() {
    let manifest = Manifest { bytes: HEADER + LINE, checksum: checksum(&weights()[HEADER..]) };
    let mut file = weights();
    file[..HEADER].copy_from_slice(&header(manifest));
    let driver = start();
    let mut program = chain();
    program.buffers.to_mut()[1].place = Place::Weight { offset: (HEADER + 2 * LINE) as u64, bytes: 64 };
    let stored = Weights::embedded(Box::leak(file.into_boxed_slice()), manifest).unwrap();
    let filled = stored.filled(&[Fill { lines: 2, from: HEADER }]).unwrap();
    let engine = GpuEngine::load(driver.table(), program, filled, Arc::new(NoHost), EngineOptions::default()).unwrap();
    assert_eq!(infer(&mut engine.session().unwrap(), &[1.0, 5.0]).unwrap(), expected(&[1.0, 5.0]));
}

/// The session's own work waits for a call that still runs on a caller's stream.
#[test]
fn work_of_a_callers_stream_is_waited_for() {
    let driver = start();
    let engine = load(&driver, rounds(), EngineOptions::default()).unwrap();
    let mut session = engine.session().unwrap();
    let x = driver.executor(|device| {
        let x = device.alloc(8);
        assert!(device.write(x, &bytes(&[5.0, -1.0])));
        x
    });
    let stream = driver.foreign_stream();
    let inputs = [DeviceInput { dims: &[2], address: x }];
    // SAFETY: memory of the device, of 8 bytes.
    #[allow(unsafe_code, reason = "the function under test")]
    unsafe { session.enqueue(stream, &inputs, &[0, 0]) }.unwrap();
    let text = session.output_datum(1).unwrap_err().to_string();
    assert_eq!(text, "output 1 has not been fetched; call infer first");
    session.reset_states().unwrap();
    infer(&mut session, &[3.0]).unwrap();
    assert_eq!(floats(session.output::<0>(1).unwrap().0), [3.0]);
}

/// What a shape needs is taken when it is prepared, also where nothing limits the sizes.
#[test]
fn prepared_shapes_take_nothing_more() {
    let driver = start();
    let mut program = chain();
    program.inputs.to_mut()[0].memory.most = None;
    program.outputs.to_mut()[0].memory.most = None;
    let engine = load(&driver, program, EngineOptions::default()).unwrap();
    let mut session = engine.session().unwrap();
    session.prepare(&[&[16]]).unwrap();
    let before = driver.counts().allocations;
    for n in [16, 3, 4, 16] {
        let x = vec![2.0; n];
        assert_eq!(infer(&mut session, &x).unwrap(), expected(&x));
    }
    assert_eq!(driver.counts().allocations, before);
}

#[test]
fn poison_does_not_reach_results() {
    let driver = start();
    let engine = load(&driver, chain(), EngineOptions::default().with_poison()).unwrap();
    let mut session = engine.session().unwrap();
    assert_eq!(infer(&mut session, &[1.0, 2.0, 3.0, 4.0]).unwrap(), expected(&[1.0, 2.0, 3.0, 4.0]));
}

/// What reads a place of the arena that it should not read finds another buffer's values, and with poison NaN.
#[test]
fn poison_shows_what_is_read_unwritten() {
    let driver = start();
    let x = [1.0, 2.0, 3.0, 4.0];
    let run = |options: EngineOptions| {
        let engine = load(&driver, stale(), options).unwrap();
        infer(&mut engine.session().unwrap(), &x).unwrap()
    };
    assert_eq!(run(EngineOptions::default()), expected(&x));
    assert!(run(EngineOptions::default().with_poison()).iter().all(|v| v.is_nan()));
}

#[test]
fn times_are_taken_by_step() {
    let driver = start();
    let engine = load(&driver, chain(), EngineOptions::default().with_profile()).unwrap();
    let mut session = engine.session().unwrap();
    infer(&mut session, &[1.0; 4]).unwrap();
    let half = std::time::Duration::from_micros(500);
    let times: Vec<(&str, bool)> = session.profile().iter().map(|(node, t)| (node.op, *t == half)).collect();
    assert_eq!(times, [("First", true), ("Second", true), ("Second", true), ("Second", true)]);
    assert_eq!(driver.counts().graph_launches, 0);
}

#[test]
fn rounds_are_timed() {
    let driver = start();
    let engine = load(&driver, chain(), EngineOptions::default()).unwrap();
    let mut session = engine.session().unwrap();
    let data = bytes(&[1.0; 4]);
    let times = session.time(&[HostInput { dims: &[4], value: HostValue::Bytes(&data) }], 5).unwrap();
    assert_eq!(times, [std::time::Duration::from_micros(500); 5]);
    assert_eq!(driver.counts().graph_launches, 6);
    drop((session, engine));
    assert_eq!(driver.leaks(), Leaks::default());
}

/// Tools get machine code from the driver, on several threads at once.
#[test]
fn the_driver_links() {
    let driver = start();
    let linker = Linker::open(driver.table(), 0).unwrap();
    let target = Target { capability: 90, specific: true };
    let codes = std::thread::scope(|scope| {
        let link = || linker.link("all", super::kernels::TEXT, target).unwrap();
        let threads = [scope.spawn(link), scope.spawn(link)];
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(codes[0], codes[1]);
    let facts = linker.facts(&codes[0], "add", [32, 1, 1], 1024).unwrap();
    assert_eq!(facts, KernelFacts { resident: 2, ..KernelFacts::default() });
    let text = linker.link("all", "wrong", target).unwrap_err().to_string();
    assert_eq!(
        text,
        "kernel \"all\": cuLinkAddData: CUDA_ERROR_INVALID_PTX (218): as the script says: line 1: no such instruction"
    );
    drop(linker);
    assert_eq!(driver.leaks(), Leaks::default());
}

#[test]
fn sessions_run_on_several_threads() {
    let driver = start();
    let engine = load(&driver, chain(), EngineOptions::default()).unwrap();
    std::thread::scope(|scope| {
        for k in 0..4 {
            let engine = engine.clone();
            scope.spawn(move || {
                let mut session = engine.session().unwrap();
                for n in 1..9 {
                    let x = vec![k as f32; n];
                    assert_eq!(infer(&mut session, &x).unwrap(), expected(&x));
                }
            });
        }
    });
    drop(engine);
    assert_eq!(driver.leaks(), Leaks::default());
}

//! Calls of a session that has its memory take nothing from the system: counted by the allocator of this program, and at the
//! table of the driver's functions.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use super::kernels::device;
use super::programs::*;
use super::runs::{bytes, load};
use crate::gpu::engine::GpuEngine;
use crate::gpu::options::EngineOptions;
use crate::gpu::owned::Stream;
use crate::gpu::program::Program;
use crate::gpu::session::{DeviceInput, GpuSession, HostInput, HostValue};
use crate::stand_in::{Counts, Script, StandIn, in_driver, lent};

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// Counts what each thread asks for outside the driver.
struct Counting;

// SAFETY: passes everything on to the system's allocator.
#[allow(unsafe_code, reason = "an allocator")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !in_driver() {
            TAKEN.with(|taken| taken.set(taken.get() + 1));
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What calls take: of the host, of the device or page-locked, and graphs made.
#[derive(Debug, Default, PartialEq, Eq)]
struct Taken {
    host: u64,
    device: u64,
    graphs: u64,
}

/// What some work takes, and what else it made the driver do.
fn counted(driver: &StandIn, work: impl FnOnce()) -> (Taken, Counts) {
    let before = driver.counts();
    let host = TAKEN.get();
    work();
    let host = TAKEN.get() - host;
    let after = driver.counts();
    let taken = Taken {
        host,
        device: after.allocations - before.allocations,
        graphs: after.instantiations - before.instantiations,
    };
    let counts = Counts {
        launches: after.launches - before.launches,
        graph_launches: after.graph_launches - before.graph_launches,
        ..Counts::default()
    };
    (taken, counts)
}

fn start(program: Program) -> (StandIn, GpuEngine, GpuSession) {
    let driver = StandIn::new(device(), Script::default());
    let engine = load(&driver, program, EngineOptions::default()).unwrap();
    let session = engine.session().unwrap();
    (driver, engine, session)
}

fn infer(session: &mut GpuSession, data: &[u8]) {
    session.infer(&[HostInput { dims: &[data.len() / 4], value: HostValue::Bytes(data) }]).unwrap();
}

/// Inferences on and off the prepared shape, from the first one on.
#[test]
fn inferences_take_nothing() {
    for program in [chain(), turns()] {
        let (driver, _engine, mut session) = start(program);
        let data = bytes(&[0.25; 16]);
        for n in [4, 16, 0, 7, 4, 1] {
            let (taken, counts) = counted(&driver, || infer(&mut session, &data[..n * 4]));
            assert_eq!(taken, Taken::default(), "{n}");
            let prepared = n == 4;
            assert_eq!(counts.graph_launches, u64::from(prepared), "{n}");
            assert_eq!(counts.launches == 0, prepared || n == 0, "{n}");
        }
    }
}

/// Read-backs and growing memory: nothing once the largest call has been made.
#[test]
fn sizes_found_while_running_take_nothing_more() {
    let (driver, _engine, mut session) = start(rounds());
    let data = bytes(&[0.25; 8]);
    infer(&mut session, &data);
    for n in [8, 1, 5, 8] {
        assert_eq!(counted(&driver, || infer(&mut session, &data[..n * 4])).0, Taken::default(), "{n}");
    }
}

/// Memory of the caller, new and old, at the prepared shape and at others; and inside a caller's capture.
#[test]
fn enqueued_calls_take_nothing() {
    for program in [chain(), turns()] {
        let (driver, engine, mut session) = start(program);
        let context = engine.shared().context.clone();
        let entered = context.enter().unwrap();
        let stream = Stream::new(&context).unwrap();
        let memory: Vec<_> = (0..4).map(|_| lent::memory(&context, &[0; 192]).unwrap()).collect();
        let call = |session: &mut GpuSession, n: usize, input: usize, output: usize| {
            let inputs = [DeviceInput { dims: &[n], address: memory[input].address() }];
            let outputs = [memory[output].address()];
            counted(&driver, || {
                // SAFETY: memory of the device, of 192 bytes each.
                #[allow(unsafe_code, reason = "the function under test")]
                unsafe { session.enqueue(stream.handle().0, &inputs, &outputs) }.unwrap();
            })
        };
        for (n, input, output) in [(4, 0, 1), (4, 0, 1), (4, 2, 3), (9, 0, 1), (9, 2, 3), (4, 0, 1)] {
            let (taken, counts) = call(&mut session, n, input, output);
            assert_eq!(taken, Taken::default(), "{n}");
            assert_eq!(counts.graph_launches, u64::from(n == 4), "{n}");
            stream.synchronize().unwrap();
        }
        context.api.begin_capture(stream.handle()).unwrap();
        assert_eq!(call(&mut session, 4, 0, 1).0, Taken::default(), "in a capture");
        let graph = context.api.end_capture(stream.handle()).unwrap();
        drop(crate::gpu::owned::Graph::own(&context, graph));
        drop(entered);
    }
}

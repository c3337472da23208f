//! Loops whose number of iterations is known: part of one graph, and never waited for.

use super::kernels::device;
use super::programs::*;
use super::runs::{bytes, floats, load};
use crate::gpu::options::EngineOptions;
use crate::gpu::owned::Stream;
use crate::gpu::program::{Action, Program};
use crate::gpu::session::{GpuSession, HostInput, HostValue};
use crate::stand_in::{Counts, Leaks, Script, StandIn, lent};

fn check(session: &mut GpuSession, x: &[f32]) {
    let data = bytes(x);
    session.infer(&[HostInput { dims: &[x.len()], value: HostValue::Bytes(&data) }]).unwrap();
    let (found, dims) = session.output::<2>(0).unwrap();
    let expected: Vec<f32> = [2.0, 4.0, 8.0].iter().flat_map(|f| x.iter().map(move |v| v * f)).collect();
    assert_eq!((floats(found), dims), (expected, [3, x.len()]));
}

/// What calls at these lengths cost: graphs and synchronizations.
fn costs(program: Program, options: EngineOptions, lengths: &[usize]) -> (u64, u64) {
    let driver = StandIn::new(device(), Script::default());
    let engine = load(&driver, program, options).unwrap();
    let mut session = engine.session().unwrap();
    let before = driver.counts();
    for n in lengths {
        check(&mut session, &vec![1.5; *n]);
    }
    let Counts { graph_launches, synchronizations, .. } = driver.counts();
    drop((session, engine));
    assert_eq!(driver.leaks(), Leaks::default());
    (graph_launches - before.graph_launches, synchronizations - before.synchronizations)
}

#[test]
fn all_iterations_are_given_to_the_device_at_once() {
    let options = EngineOptions::default;
    assert_eq!(costs(turns(), options(), &[4, 4, 7, 4, 0]), (3, 5));
    assert_eq!(costs(turns(), options().without_graphs(), &[4, 7]), (0, 2));
    assert_eq!(costs(turns(), options().with_poison(), &[4, 4]), (2, 2));
}

/// A loop of more steps than a graph may have runs step by step.
#[test]
fn long_loops_are_no_graphs() {
    let mut program = turns();
    program.sizes.to_mut()[4] = crate::gpu::program::SizeOp::Const(4000);
    program.outputs.to_mut()[0].memory.most = None;
    let driver = StandIn::new(device(), Script { memory: 1 << 20, ..Script::default() });
    let engine = load(&driver, program, EngineOptions::default()).unwrap();
    let mut session = engine.session().unwrap();
    let data = bytes(&[0.0; 4]);
    session.infer(&[HostInput { dims: &[4], value: HostValue::Bytes(&data) }]).unwrap();
    assert_eq!((session.output::<2>(0).unwrap().1, driver.counts().graph_launches), ([4000, 4], 0));
}

/// A loop with a condition is no part of a graph.
#[test]
fn conditions_are_read_back() {
    let mut program = turns();
    let flag = program.buffers[1];
    program.buffers.to_mut().push(flag);
    if let Action::Loop { condition, .. } = &mut program.steps.to_mut()[1].action {
        let view =
            crate::gpu::program::View { buffer: crate::gpu::program::Buf(4), offset: crate::gpu::program::Size(2) };
        *condition = Some(view);
    }
    let driver = StandIn::new(device(), Script::default());
    let engine = load(&driver, program, EngineOptions::default()).unwrap();
    let mut session = engine.session().unwrap();
    let data = bytes(&[0.0; 4]);
    session.infer(&[HostInput { dims: &[4], value: HostValue::Bytes(&data) }]).unwrap();
    // The values are zero, so that the condition is false at once.
    assert_eq!((session.output::<2>(0).unwrap().1, driver.counts().graph_launches), ([0, 4], 0));
}

/// Nodes of all iterations follow the addresses of a caller.
#[test]
fn iterations_follow_other_addresses() {
    let driver = StandIn::new(device(), Script::default());
    let engine = load(&driver, turns(), EngineOptions::default()).unwrap();
    let context = engine.shared().context.clone();
    let mut session = engine.session().unwrap();
    let entered = context.enter().unwrap();
    let stream = Stream::new(&context).unwrap();
    for x in [[1.0, 2.0, 3.0, 4.0], [-1.0, 0.5, 0.0, 9.0]] {
        let (input, output) = (lent::memory(&context, &bytes(&x)).unwrap(), lent::memory(&context, &[0; 48]).unwrap());
        lent::enqueue(&mut session, &stream, &[(&[4], &input)], &[Some(&output)]).unwrap();
        let found = lent::contents(&context, &output, 48).unwrap();
        let expected: Vec<f32> = [2.0, 4.0, 8.0].iter().flat_map(|f| x.iter().map(move |v| v * f)).collect();
        assert_eq!(floats(&found), expected);
    }
    // The first copy of x, and one copy to y an iteration; twice.
    let counts = driver.counts();
    assert_eq!((counts.graph_launches, counts.instantiations, counts.patched_nodes), (2, 1, 8));
    drop(entered);
}

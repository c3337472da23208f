//! Times of steps, calls and rotations on the stand-in driver, for which half a millisecond lies between any two events.

use std::time::Duration;

use super::kernels::device;
use super::programs::*;
use super::runs::{bytes, floats, infer, load};
use crate::gpu::options::EngineOptions;
use crate::gpu::session::{GpuSession, HostInput, HostValue};
use crate::stand_in::{Leaks, Script, StandIn};

const X: [f32; 4] = [1.0, -2.0, 0.5, 8.0];
const HALF: Duration = Duration::from_micros(500);

/// Hands a session of the chain and its inputs to a check; nothing may leak.
fn check(work: impl FnOnce(&mut GpuSession, &[HostInput<'_>])) {
    let driver = StandIn::new(device(), Script::default());
    let engine = load(&driver, chain(), EngineOptions::default()).unwrap();
    let mut session = engine.session().unwrap();
    let data = bytes(&X);
    work(&mut session, &[HostInput { dims: &[4], value: HostValue::Bytes(&data) }]);
    // What was timed computes the same afterwards.
    let found = infer(&mut session, &X).unwrap();
    assert_eq!(found, X.iter().zip(1..).map(|(x, k)| 2.0 * (x + k as f32)).collect::<Vec<f32>>());
    drop((session, engine));
    assert_eq!(driver.leaks(), Leaks::default());
}

#[test]
fn a_timeline_names_every_step() {
    check(|session, inputs| {
        assert!(session.timeline().unwrap_err().to_string().contains("call it first"));
        session.infer(inputs).unwrap();
        let steps = session.timeline().unwrap();
        assert!(steps.len() > 1 && steps.iter().all(|s| !s.node.op.is_empty() && !s.kernel.is_empty()), "{steps:?}");
        assert!(steps.iter().all(|s| s.device == [HALF, HALF] && s.host[0] <= s.host[1]), "{steps:?}");
        assert_eq!(floats(session.output::<1>(0).unwrap().0).len(), 4);
    });
}

#[test]
fn calls_and_steps_are_timed_in_parts() {
    check(|session, inputs| {
        let calls = session.time_calls(inputs, 3).unwrap();
        assert_eq!(calls.len(), 3);
        assert!(
            calls.iter().all(|c| [c.upload, c.compute, c.download] == [HALF; 3] && c.call >= c.enqueue),
            "{calls:?}"
        );
        let steps = session.time_steps(inputs, 5, 3).unwrap();
        assert!(steps.len() > 1 && steps.iter().all(|(_, time)| *time == HALF / 5), "{steps:?}");
    });
}

#[test]
fn runs_take_turns_on_copies() {
    check(|session, inputs| {
        let before = session.memory_kinds();
        assert!(before.weights > 0 && before.inputs > 0 && before.outputs > 0 && before.pinned > 0, "{before:?}");
        let rotation = session.rotation(inputs, 3, 8).unwrap();
        assert_eq!(session.time_rotation(&rotation, 2).unwrap(), [HALF / 8; 2]);
        assert_eq!(session.memory_kinds(), before);
    });
}

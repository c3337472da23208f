//! GPUs whose memory is the host's: weights, inputs and outputs are read and written where the host has them.

use super::kernels::device;
use super::programs::*;
use super::runs::{bytes, floats, infer, load};
use crate::gpu::options::EngineOptions;
use crate::gpu::owned::Stream;
use crate::gpu::program::Program;
use crate::stand_in::{Counts, Leaks, Script, StandIn, lent};

/// Results for inputs in turn; copies between host and device; bytes of the device's own.
fn run(program: Program, script: Script, options: EngineOptions, xs: &[&[f32]]) -> (Vec<Vec<f32>>, [u64; 2], usize) {
    let driver = StandIn::new(device(), script);
    let engine = load(&driver, program, options).unwrap();
    let mut session = engine.session().unwrap();
    let found = xs.iter().map(|x| infer(&mut session, x).unwrap()).collect();
    let Counts { uploads, downloads, .. } = driver.counts();
    let taken = driver.leaks().device_bytes;
    drop((session, engine));
    assert_eq!(driver.leaks(), Leaks::default());
    (found, [uploads, downloads], taken)
}

const XS: [&[f32]; 5] = [&[1.0, -2.0, 0.5, 8.0], &[3.0], &[4.0, 4.0, 4.0, 4.0], &[], &[1.0, 2.0, 3.0, 4.0, 5.0]];

#[test]
fn nothing_is_copied() {
    let script = Script { integrated: true, ..Script::default() };
    let options = EngineOptions::default;
    let (expected, copies, taken) = run(chain(), Script::default(), options(), &XS);
    assert_eq!((copies, taken), ([5, 4], 320 + 512 + 64 + 64));
    // The device has the intermediate values alone.
    assert_eq!(run(chain(), script.clone(), options(), &XS), (expected.clone(), [0, 0], 512));
    let (poisoned, copies, _) = run(chain(), script.clone(), options().with_poison(), &XS);
    assert_eq!((poisoned, copies), (expected.clone(), [0, 0]));
    assert_eq!(run(chain(), script, options().with_host_memory(false), &XS), (expected, copies_of(5, 4), 960));
}

fn copies_of(uploads: u64, downloads: u64) -> [u64; 2] {
    [uploads, downloads]
}

/// Sizes without limit: page-locked memory grows, and graphs follow it. Outputs that grow while steps run are copied.
#[test]
fn memory_grows() {
    let script = Script { integrated: true, ..Script::default() };
    let mut program = chain();
    program.inputs.to_mut()[0].memory.most = None;
    program.outputs.to_mut()[0].memory.most = None;
    let (expected, ..) = run(program.clone(), Script::default(), EngineOptions::default(), &XS);
    let (found, copies, _) = run(program, script.clone(), EngineOptions::default(), &XS);
    assert_eq!((found, copies), (expected, [0, 0]));
    let xs: [&[f32]; 2] = [&[1.0, 2.0], &[5.0; 7]];
    let (expected, ..) = run(rounds(), Script::default(), EngineOptions::default(), &xs);
    assert_eq!(run(rounds(), script, EngineOptions::default(), &xs).0, expected);
}

/// Memory of the caller is used as it is.
#[test]
fn callers_memory_is_used_as_it_is() {
    let driver = StandIn::new(device(), Script { integrated: true, ..Script::default() });
    let engine = load(&driver, chain(), EngineOptions::default()).unwrap();
    let context = engine.shared().context.clone();
    let mut session = engine.session().unwrap();
    let entered = context.enter().unwrap();
    let stream = Stream::new(&context).unwrap();
    let x = [1.0, 2.0, 3.0, 4.0];
    let (input, output) = (lent::memory(&context, &bytes(&x)).unwrap(), lent::memory(&context, &[0; 16]).unwrap());
    lent::enqueue(&mut session, &stream, &[(&[4], &input)], &[Some(&output)]).unwrap();
    assert_eq!(floats(&lent::contents(&context, &output, 16).unwrap()), [4.0, 8.0, 12.0, 16.0]);
    assert_eq!(infer(&mut session, &x).unwrap(), [4.0, 8.0, 12.0, 16.0]);
    drop((input, output, stream, entered, session, engine, context));
    assert_eq!(driver.leaks(), Leaks::default());
}

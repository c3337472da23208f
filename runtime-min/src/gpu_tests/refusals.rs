//! What is refused, and what the errors say.

use std::borrow::Cow;

use super::kernels::{TEXT, device};
use super::programs::*;
use super::runs::{infer, load};
use crate::datum::Datum;
use crate::gpu::options::EngineOptions;
use crate::gpu::program::*;
use crate::gpu::session::{HostInput, HostValue};
use crate::stand_in::{Leaks, Script, StandIn, machine_code};

/// Loads and runs; the error's words.
fn words(script: Script, options: EngineOptions, program: Program, x: &[f32]) -> String {
    let driver = StandIn::new(device(), script);
    let run = || infer(&mut load(&driver, program, options)?.session()?, x);
    let text = run().unwrap_err().to_string();
    let leaks = Leaks { misuse: driver.leaks().misuse, ..Leaks::default() };
    assert_eq!(driver.leaks(), leaks);
    text
}

fn check(script: Script, options: EngineOptions, program: Program, expected: &str) {
    assert_eq!(words(script, options, program, &[1.0; 3]), expected);
}

#[test]
fn devices_that_do_not_fit() {
    let plain = EngineOptions::default;
    let script = Script { devices: 0, ..Script::default() };
    check(script, plain(), chain(), "GPU: found as the script says, needed an NVIDIA GPU");
    let found = "GPU: found 1 GPUs, needed one of number 3, counted from 0";
    check(Script::default(), plain().with_device(3), chain(), found);
    let script = Script { capability: 75, ..Script::default() };
    let found =
        "GPU: found Stand-in of compute capability 7.5, needed 8.0 or later, as the crate was compiled for sm_80";
    check(script, plain(), chain(), found);
    let mut program = chain();
    program.target = Target { capability: 90, specific: true };
    let script = Script { capability: 100, ..Script::default() };
    let found = "GPU: found Stand-in of compute capability 10.0, needed 9.0, as the crate was compiled for sm_90a";
    check(script, plain(), program, found);
}

#[test]
fn memory_that_is_not_there() {
    // Weights: 320 bytes; a session: 512 of intermediate values, 64 of inputs and of outputs.
    let script = Script { memory: 900, ..Script::default() };
    let found = "960 bytes of GPU memory are needed, 900 are free";
    check(script, EngineOptions::default(), chain(), found);
    let found = "640 bytes of GPU memory are needed, 1073741824 are free, the options allow 600";
    check(Script::default(), EngineOptions::default().with_memory_limit(600), chain(), found);
    // What grows while a call runs is held to the limit as well.
    let found = "144 bytes of GPU memory are needed, 1073741820 are free, the options allow 140";
    check(Script::default(), EngineOptions::default().with_memory_limit(140), rounds(), found);
}

/// Where sizes have no limit, what a shape needs is known before any of it is taken.
#[test]
fn memory_of_a_shape_that_is_not_there() {
    let mut program = chain();
    program.inputs.to_mut()[0].memory.most = None;
    program.outputs.to_mut()[0].memory.most = None;
    program.arena.most = None;
    let driver = StandIn::new(device(), Script { memory: 900, ..Script::default() });
    let mut session = load(&driver, program, EngineOptions::default()).unwrap().session().unwrap();
    let before = (driver.counts().allocations, driver.leaks().device_bytes);
    assert_eq!(before.1, 320 + 512 + 16 + 16);
    let text = session.prepare(&[&[16]]).unwrap_err().to_string();
    assert_eq!(text, "96 bytes of GPU memory are needed, 36 are free");
    assert_eq!((driver.counts().allocations, driver.leaks().device_bytes), before);
}

/// Inputs that are not what the program takes: what was expected and what was given.
#[test]
fn inputs_of_another_size() {
    let driver = StandIn::new(device(), Script::default());
    let engine = load(&driver, chain(), EngineOptions::default()).unwrap();
    let mut session = engine.session().unwrap();
    let data = [0; 64];
    let mut check = |inputs: &[HostInput<'_>], expected: &str| {
        assert_eq!(session.infer(inputs).unwrap_err().to_string(), expected);
    };
    let input = |dims, bytes: usize| HostInput { dims, value: HostValue::Bytes(&data[..bytes]) };
    check(&[], "the model has 1 inputs, 0 were given");
    check(&[input(&[4], 12)], "input \"x\": expected 4 elements, found 3");
    check(&[input(&[2, 2], 16)], "input \"x\": expected shape f32 [n], found [2, 2]");
    check(&[HostInput { dims: &[99], value: HostValue::Staged }], "size \"n\" is 99, allowed are 0 to 16");
    let object = Datum::Seq(Vec::new());
    check(
        &[HostInput { dims: &[4], value: HostValue::Object(&object) }],
        "input \"x\": expected f32 [n], found a sequence",
    );
}

#[test]
fn shapes_and_sizes() {
    let run = |x: &[f32]| words(Script::default(), EngineOptions::default(), chain(), x);
    assert_eq!(run(&[0.0; 17]), "size \"n\" is 17, allowed are 0 to 16");
    let run = |x: &[f32]| words(Script::default(), EngineOptions::default(), rounds(), x);
    assert_eq!(run(&[1.0; 13]), "size \"positives\" is 13, allowed are 0 to 12, at Second \"n1\"");
}

#[test]
fn kernels_that_do_not_load() {
    let with = |ptx: &'static str, cubins: Vec<Cubin>| {
        let mut program = chain();
        program.modules = vec![Module { name: "all", ptx: Cow::Borrowed(ptx), cubins: cubins.into() }].into();
        program
    };
    let (plain, options) = (Script::default, EngineOptions::default);
    let found = "kernel \"all\": cuLinkAddData: CUDA_ERROR_INVALID_PTX (218): as the script says: line 1: no such \
                 instruction";
    check(plain(), options(), with("wrong", vec![]), found);
    let none = "kernel \"all\": no machine code for compute capability 9.0, and no PTX that may be compiled: allow it in the \
                options, or compile the crate with machine code for this GPU";
    check(plain(), options().without_jit(), with(TEXT, vec![]), none);
    let cubin = |bytes: Vec<u8>| Cubin { capability: 90, specific: true, bytes: bytes.into() };
    let cut = machine_code(TEXT)[..150].to_vec();
    check(plain(), options(), with("", vec![cubin(cut)]), "kernel \"all\": machine code that is cut short");
    let other = "entry add 8 8 8\n".to_string() + TEXT;
    let found = "kernel \"add\": parameter 3 of 8 bytes is passed, the kernel has none";
    check(plain(), options(), with(Box::leak(other.into_boxed_str()), vec![]), found);
    let driver = StandIn::new(device(), plain());
    let engine = load(&driver, with("", vec![cubin(machine_code(TEXT))]), options().without_jit()).unwrap();
    assert_eq!((engine.info().from_cubin, engine.info().compiled), (1, 0));
    assert_eq!(infer(&mut engine.session().unwrap(), &[1.0]).unwrap(), [4.0]);
}

/// A kernel that goes wrong spoils the context for the process; later calls say so.
#[test]
fn a_kernel_that_traps_poisons_the_engine() {
    let mut program = chain();
    program.points = Cow::default();
    for step in program.steps.to_mut() {
        if let Action::Launch { kernel, args, .. } = &mut step.action
            && *kernel == DOUBLE
        {
            *kernel = TRAP;
            args.to_mut().truncate(1);
        }
    }
    let driver = StandIn::new(device(), Script::default());
    let engine = load(&driver, program.clone(), EngineOptions::default()).unwrap();
    let (mut session, mut other) = (engine.session().unwrap(), engine.session().unwrap());
    let text = infer(&mut session, &[1.0]).unwrap_err().to_string();
    let found = "cuStreamSynchronize: CUDA_ERROR_LAUNCH_FAILED (719): as the script says; with the option `profile` the \
                 error names its step";
    assert_eq!(text, found);
    let text = infer(&mut other, &[1.0]).unwrap_err().to_string();
    assert!(text.starts_with("the GPU context is unusable since an earlier error (cuStreamSynchronize"), "{text}");
    assert!(engine.session().is_err());
    drop((engine, session, other));
    assert_eq!(driver.leaks(), Leaks { misuse: vec!["trap traps".to_string()], ..Leaks::default() });
    drop(driver);
    // With a clock the step is known.
    let driver = StandIn::new(device(), Script::default());
    let engine = load(&driver, program, EngineOptions::default().with_profile()).unwrap();
    let text = infer(&mut engine.session().unwrap(), &[1.0]).unwrap_err().to_string();
    assert!(text.ends_with("at Second \"n1\""), "{text}");
}

/// As the documentation promises.
#[test]
fn engines_are_shared_and_sessions_move() {
    fn shared<T: Send + Sync + Clone>() {}
    fn moves<T: Send + 'static>() {}
    shared::<crate::gpu::engine::GpuEngine>();
    moves::<crate::gpu::session::GpuSession>();
}

#[test]
fn programs_that_lead_nowhere() {
    let mut program = chain();
    program.steps.to_mut()[0].node = 9;
    program.buffers.to_mut()[0].bytes = Size(99);
    let found = "the program breaks 2 rules: buffers[0]: size 99 of 8; steps[0]: node 9 of 2";
    check(Script::default(), EngineOptions::default(), program, found);
}

//! Cases that only a GPU shows: how many CTAs it holds, machine code from its driver, a lost context.

use std::borrow::Cow;
use std::ffi::CString;
use std::time::Instant;

use runtime_min::gpu::driver::DriverTable;
use runtime_min::gpu::options::EngineOptions;
use runtime_min::gpu::owned::Context;
use runtime_min::gpu::program::{Cubin, Program};
use runtime_min::gpu::session::{HostInput, HostValue};

use crate::cases::{Case, floats, infer, integers, load, same, text};
use crate::programs;
use crate::soak::soak;

/// Those without a fault, by name.
pub const CASES: &[(&str, Case)] = &[
    ("cooperative launch at the device's limit", together),
    ("machine code from the driver", linked),
    ("compiling on several threads", many),
];

/// Ten thousand calls, and faults; the last one leaves the process without a GPU.
pub const MORE: &[(&str, Case)] = &[
    ("ten thousand inferences", |driver| soak(driver, 2_500, true)),
    ("PTX that is wrong", wrong),
    ("a kernel that strays", stray),
];

/// What a call of four small steps costs: the device's time for a round as a graph and step by step, and the whole call.
pub fn measure(driver: &'static DriverTable) -> Result<String, String> {
    let mut out = Vec::new();
    let data = [0; 400];
    let inputs = [HostInput { dims: &[100], value: HostValue::Bytes(&data) }];
    let options = [("graph", EngineOptions::default()), ("step by step", EngineOptions::default().without_graphs())];
    for (name, options) in options {
        let engine = load(driver, programs::chain(true), options).map_err(text)?;
        let mut session = engine.session().map_err(text)?;
        let mut rounds = session.time(&inputs, 200).map_err(text)?;
        rounds.sort();
        let start = Instant::now();
        for _ in 0..200 {
            session.infer(&inputs).map_err(text)?;
        }
        let (round, call) = (rounds.get(100).copied().unwrap_or_default(), start.elapsed() / 200);
        out.push(format!("{name}: {round:.1?} a round, {call:.1?} a call"));
    }
    Ok(out.join("; "))
}

fn together(driver: &'static DriverTable) -> Result<(), String> {
    let engine = load(driver, programs::together(), EngineOptions::default()).map_err(text)?;
    let mut session = engine.session().map_err(text)?;
    for _ in 0..3 {
        let found = integers(&infer(&mut session, &[0], &[]).map_err(text)?);
        if !matches!(found[..], [ctas] if ctas >= 1) {
            return Err(format!("CTAs: {found:?}"));
        }
    }
    Ok(())
}

/// Links every module with the driver, and runs the program without compiling anything.
fn linked(driver: &'static DriverTable) -> Result<(), String> {
    let context = Context::open(driver, 0).map_err(|e| e.to_string())?;
    let entered = context.enter().map_err(|e| e.to_string())?;
    let mut program = programs::chain(true);
    let capability = context.facts.capability;
    for module in program.modules.to_mut() {
        let ptx = CString::new(module.ptx.as_bytes()).map_err(|e| e.to_string())?;
        let bytes = context.api.link(&ptx, c"module", None).map_err(|(error, log)| format!("{error}: {log}"))?;
        let again = context.api.link(&ptx, c"module", None).map_err(|(error, log)| format!("{error}: {log}"))?;
        if bytes != again {
            return Err("two links of one text differ".to_string());
        }
        module.cubins = vec![Cubin { capability, specific: false, bytes: Cow::Owned(bytes) }].into();
        module.ptx = Cow::Borrowed("");
    }
    drop(entered);
    let engine = load(driver, program, EngineOptions::default().without_jit()).map_err(text)?;
    same("modules from machine code", &engine.info().from_cubin, &2)?;
    let mut session = engine.session().map_err(text)?;
    let found = floats(&infer(&mut session, &[3], &[1.0, 2.0, 3.0]).map_err(text)?);
    same("values", &found, &vec![8.0, 16.0, 24.0])
}

/// Thirty-two modules, each with another name in it.
fn many(driver: &'static DriverTable) -> Result<(), String> {
    let mut program = programs::division();
    let modules = program.modules.to_mut();
    let Some(first) = modules.first().cloned() else { return Err("no module".to_string()) };
    for k in 1..32 {
        let ptx = Cow::Owned(format!("{}// {k}\n", first.ptx));
        modules.push(runtime_min::gpu::program::Module { ptx, ..first.clone() });
    }
    let engine = load(driver, program, EngineOptions::default()).map_err(text)?;
    same("compiled", &engine.info().compiled, &32)
}

fn wrong(driver: &'static DriverTable) -> Result<(), String> {
    let mut program: Program = programs::division();
    let mut line = 0;
    if let Some(module) = program.modules.to_mut().first_mut() {
        line = 1 + module.ptx.lines().take_while(|l| !l.contains("mad.hi.u32")).count();
        module.ptx = Cow::Owned(module.ptx.replace("mad.hi.u32", "mad.high.u32"));
    }
    match load(driver, program, EngineOptions::default()) {
        Ok(_) => Err("it was compiled".to_string()),
        Err(error) => {
            let words = error.to_string();
            let said = words.starts_with("kernel \"divide\": cu")
                && words.contains("CUDA_ERROR_INVALID_PTX (218)")
                && words.contains(&format!("line {line};"));
            if said { Ok(()) } else { Err(words) }
        }
    }
}

fn stray(driver: &'static DriverTable) -> Result<(), String> {
    let engine = load(driver, programs::stray(), EngineOptions::default()).map_err(text)?;
    let mut session = engine.session().map_err(text)?;
    let first = infer(&mut session, &[0], &[]).map(|_| String::new()).unwrap_or_else(text);
    if !first.contains("CUDA_ERROR_ILLEGAL_ADDRESS (700)") {
        return Err(format!("first call: {first}"));
    }
    let later = infer(&mut session, &[0], &[]).map(|_| String::new()).unwrap_or_else(text);
    if !later.starts_with("the GPU context is unusable since an earlier error (") {
        return Err(format!("later call: {later}"));
    }
    Ok(())
}

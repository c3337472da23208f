//! Loading kernels: machine code where it fits the device, else PTX, which the driver compiles on several threads.

use std::cmp::Reverse;
use std::ffi::CString;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::error::DeviceError;
use super::calls::Answer;
use super::driver::{FunctionHandle, ModuleHandle, numbers};
use super::image::Image;
use super::kernel_calls::{LaunchShape, ParameterBytes};
use super::options::EngineOptions;
use super::owned::{Context, DeviceFacts, Module};
use super::program::{Action, Arg, Cubin, Kernel, Program, SizeOp, Target};

/// All kernels of a program, on the device.
#[derive(Debug)]
pub struct Kernels {
    kernels: Vec<Loaded>,
    /// Modules that came as machine code, and that were compiled.
    pub from_cubin: usize,
    pub compiled: usize,
    modules: Vec<Module>,
}

/// A kernel that is ready to be launched.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    pub function: FunctionHandle,
    /// Everything but grid and shared memory.
    pub shape: LaunchShape,
    /// CTAs that the device holds at once; 0 where nobody asks.
    pub resident: i64,
}

/// Static shared memory that every device has; more must be asked for.
const PLAIN_SHARED: u32 = 48 * 1024;

/// Most CTAs of a cluster on every device that has clusters.
const PLAIN_CLUSTER: u32 = 8;

impl Kernels {
    /// Loads all kernels of a program; the context is current.
    pub fn load(context: &Arc<Context>, program: &Program, options: &EngineOptions) -> Answer<Kernels> {
        check_target(&context.facts, program.target)?;
        let count = program.modules.len();
        let mut loaded: Vec<Option<Module>> = Vec::with_capacity(count);
        let mut ptx = Vec::new();
        for (index, module) in program.modules.iter().enumerate() {
            let cubin = choose(&module.cubins, context.facts.capability);
            match cubin.map(|cubin| load_cubin(context, cubin)) {
                Some(Ok(module)) => loaded.push(Some(module)),
                // The driver takes this machine code for another device's.
                Some(Err(DeviceError::Call { code: 200 | 209, .. })) | None if !module.ptx.is_empty() => {
                    loaded.push(None);
                    ptx.push(index);
                }
                Some(Err(error)) => return Err(explain(module.name, error, String::new())),
                None => return Err(no_code(context, module.name)),
            }
        }
        if let Some(first) = ptx.first().filter(|_| !options.jit) {
            return Err(no_code(context, program.modules.get(*first).map_or("", |m| m.name)));
        }
        // The longest first, so that no thread is left with one of them in the end.
        ptx.sort_by_key(|index| Reverse(program.modules.get(*index).map_or(0, |m| m.ptx.len())));
        for (index, module) in compile(context, program, &ptx)? {
            if let Some(place) = loaded.get_mut(index) {
                *place = Some(module);
            }
        }
        let modules: Vec<Module> = loaded.into_iter().flatten().collect();
        let (compiled, from_cubin) = (ptx.len(), count - ptx.len());
        let mut kernels = Vec::with_capacity(program.kernels.len());
        for (index, kernel) in program.kernels.iter().enumerate() {
            let handle = modules.get(kernel.module as usize).map(Module::handle).unwrap_or_default();
            kernels.push(prepare(context, program, index, kernel, handle)?);
        }
        Ok(Kernels { kernels, from_cubin, compiled, modules })
    }

    /// Kernel `index`.
    pub fn get(&self, index: u32) -> Option<&Loaded> {
        self.kernels.get(index as usize)
    }

    /// How many modules are loaded.
    pub fn modules(&self) -> usize {
        self.modules.len()
    }

    /// CTAs of each kernel that the device holds at once.
    pub fn resident(&self) -> Vec<i64> {
        self.kernels.iter().map(|k| k.resident).collect()
    }
}

/// `sm_90a`.
pub fn spell(target: Target) -> String {
    format!("sm_{}{}", target.capability, if target.specific { "a" } else { "" })
}

fn check_target(facts: &DeviceFacts, target: Target) -> Answer<()> {
    let fits =
        if target.specific { facts.capability == target.capability } else { facts.capability >= target.capability };
    if fits {
        return Ok(());
    }
    let (major, minor) = (target.capability / 10, target.capability % 10);
    let later = if target.specific { "" } else { " or later" };
    Err(DeviceError::Unfit {
        found: format!("{} of compute capability {}.{}", facts.name, facts.capability / 10, facts.capability % 10),
        needed: format!("{major}.{minor}{later}, as the crate was compiled for {}", spell(target)),
    })
}

/// The machine code that fits a capability best: its own, else the latest of the same major number.
fn choose(cubins: &[Cubin], capability: u32) -> Option<&Cubin> {
    let fits = |cubin: &&Cubin| {
        let same = cubin.capability / 10 == capability / 10 && cubin.capability <= capability && !cubin.specific;
        cubin.capability == capability || same
    };
    cubins.iter().filter(fits).max_by_key(|cubin| (cubin.capability, cubin.specific))
}

fn load_cubin(context: &Arc<Context>, cubin: &Cubin) -> Answer<Module> {
    let refused = || DeviceError::Module { module: String::new(), what: "machine code that is cut short".to_string() };
    let image = Image::new(&cubin.bytes).ok_or_else(refused)?;
    Ok(Module::own(context, context.api.load_cubin(image)?))
}

/// Compiles modules, several at a time. The error, if any, is that of the first module that has one.
fn compile(context: &Arc<Context>, program: &Program, list: &[usize]) -> Answer<Vec<(usize, Module)>> {
    let done: Mutex<Vec<(usize, Answer<Module>)>> = Mutex::new(Vec::with_capacity(list.len()));
    let next = AtomicUsize::new(0);
    let work = || {
        let entered = context.enter();
        while let Some(index) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
            let module = match &entered {
                Ok(_) => load_ptx(context, program, *index),
                Err(error) => Err(error.clone()),
            };
            done.lock().unwrap_or_else(PoisonError::into_inner).push((*index, module));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(list.len());
    std::thread::scope(|scope| {
        // The caller's thread works as well, so that a system that refuses threads is only slower.
        for _ in 1..threads {
            let _ = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(index, module)| Ok((index, module?))).collect()
}

/// Linked first: drivers link on several threads at once, but compile one text at a time where it is loaded as PTX.
fn load_ptx(context: &Arc<Context>, program: &Program, index: usize) -> Answer<Module> {
    let Some(module) = program.modules.get(index) else { return Err(no_code(context, "")) };
    let text = CString::new(module.ptx.as_bytes()).unwrap_or_default();
    let name = CString::new(module.name).unwrap_or_default();
    let specific = if program.target.specific { numbers::JIT_SPECIFIC } else { 0 };
    let linked = context.api.link(&text, &name, Some(context.facts.capability + specific));
    let code = linked.map_err(|(error, log)| explain(module.name, error, log))?;
    let refused = || DeviceError::Module {
        module: module.name.to_string(),
        what: "the driver's machine code is not whole".to_string(),
    };
    let image = Image::new(&code).ok_or_else(refused)?;
    let loaded = context.api.load_cubin(image).map_err(|error| explain(module.name, error, String::new()))?;
    Ok(Module::own(context, loaded))
}

fn explain(module: &str, error: DeviceError, log: String) -> DeviceError {
    match error {
        DeviceError::Module { what, .. } => DeviceError::Module { module: module.to_string(), what },
        DeviceError::Call { code: numbers::OUT_OF_MEMORY, .. } => error,
        _ if log.is_empty() => DeviceError::Module { module: module.to_string(), what: error.to_string() },
        _ => DeviceError::Module { module: module.to_string(), what: format!("{error}: {log}") },
    }
}

fn no_code(context: &Context, module: &str) -> DeviceError {
    let capability = context.facts.capability;
    let what = format!(
        "no machine code for compute capability {}.{}, and no PTX that may be compiled: allow it in the options, or \
         compile the crate with machine code for this GPU",
        capability / 10,
        capability % 10
    );
    DeviceError::Module { module: module.to_string(), what }
}

/// Finds a kernel's function, and makes it ready for every launch of the program.
fn prepare(
    context: &Context,
    program: &Program,
    index: usize,
    kernel: &Kernel,
    module: ModuleHandle,
) -> Answer<Loaded> {
    let api = context.api;
    let fail = |error| explain(kernel.entry, error, String::new());
    let name = CString::new(kernel.entry).unwrap_or_default();
    let function = api.function(module, &name).map_err(fail)?;
    api.load_function(function).map_err(fail)?;
    let fixed = u32::try_from(api.function_attribute(function, numbers::FUNCTION_SHARED)?).unwrap_or(0);
    let refused = |what: String| DeviceError::Module { module: kernel.entry.to_string(), what };
    let shared = fixed.saturating_add(kernel.shared_limit);
    if shared > context.facts.shared_limit {
        let limit = context.facts.shared_limit;
        return Err(refused(format!("needs {shared} bytes of shared memory, {} has {limit}", context.facts.name)));
    }
    if shared > PLAIN_SHARED {
        let limit = i32::try_from(kernel.shared_limit).unwrap_or(i32::MAX);
        api.set_function_attribute(function, numbers::FUNCTION_SHARED_LIMIT, limit)?;
    }
    let ctas: u32 = kernel.cluster.iter().product();
    if ctas > PLAIN_CLUSTER {
        api.set_function_attribute(function, numbers::FUNCTION_LARGE_CLUSTERS, 1)?;
    }
    if kernel.cooperative && !context.facts.cooperative {
        return Err(refused(format!("is launched cooperatively, which {} cannot do", context.facts.name)));
    }
    check_parameters(context, program, index, function)?;
    let shape = LaunchShape {
        grid: [1, 1, 1],
        block: kernel.block,
        cluster: kernel.cluster,
        shared: kernel.shared_limit,
        cooperative: kernel.cooperative,
        dependent: false,
    };
    let asked = |op: &SizeOp| matches!(op, SizeOp::Resident { kernel } if *kernel as usize == index);
    let resident = match program.sizes.iter().any(asked) {
        true if ctas > 1 => i64::from(api.resident_clusters(function, &shape)?) * i64::from(ctas),
        true => i64::from(api.resident_blocks(function, &shape)?) * i64::from(context.facts.multiprocessors),
        false => 0,
    };
    Ok(Loaded { function, shape, resident })
}

/// Compares the parameters of every launch of a kernel with those that the kernel has, where the driver can tell.
fn check_parameters(context: &Context, program: &Program, index: usize, function: FunctionHandle) -> Answer<()> {
    let entry = program.kernels.get(index).map_or("", |k| k.entry);
    let refused = |what: String| Err(DeviceError::Module { module: entry.to_string(), what });
    for step in program.steps.iter() {
        let Action::Launch { kernel, args, .. } = &step.action else { continue };
        if *kernel as usize != index {
            continue;
        }
        for (k, arg) in args.iter().enumerate() {
            let given = match arg {
                Arg::Read(_) | Arg::Write(_) | Arg::Size64(_) | Arg::Divisor(_) => 8,
                Arg::Size32(_) => 4,
                Arg::Map(_) => 128,
            };
            let found = match context.api.parameter_bytes(function, k)? {
                ParameterBytes::Unknown => return Ok(()),
                ParameterBytes::Some(bytes) if bytes == given => continue,
                ParameterBytes::Some(bytes) => format!("one of {bytes} bytes"),
                ParameterBytes::None => "none".to_string(),
            };
            return refused(format!("parameter {k} of {given} bytes is passed, the kernel has {found}"));
        }
        // Asking for one more is an error to the driver, which tools report.
        if cfg!(debug_assertions)
            && let ParameterBytes::Some(bytes) = context.api.parameter_bytes(function, args.len())?
        {
            return refused(format!("{} parameters are passed, the kernel has one more of {bytes} bytes", args.len()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn cubin(capability: u32, specific: bool) -> Cubin {
        Cubin { capability, specific, bytes: Cow::Borrowed(&[]) }
    }

    #[test]
    fn the_best_machine_code_is_chosen() {
        let list = [cubin(80, false), cubin(86, false), cubin(90, true), cubin(120, false)];
        let check = |capability: u32, expected: Option<u32>| {
            assert_eq!(choose(&list, capability).map(|c| c.capability), expected, "{capability}");
        };
        check(80, Some(80));
        check(87, Some(86));
        check(75, None);
        check(90, Some(90));
        check(91, None);
        check(121, Some(120));
    }
}

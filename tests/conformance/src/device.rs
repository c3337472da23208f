//! An emulated GPU: the stand-in driver over the PTX emulator. Models run on it as they do on hardware: planned, lowered,
//! loaded, and run by a session of the runtime.

use graph::datum::Datum;
use graph::graph::Model;
use onnx2crate::gpu::{Gpu, GpuCode};
use onnx2crate::in_process;
use plan::plan::Plan;
use ptx::Sm;
use ptx_emu::{Device, Launch, Module};
use runtime_min::gpu::driver::Address;
use runtime_min::gpu::kernel_calls::LaunchShape;
use runtime_min::gpu::options::EngineOptions;
use runtime_min::stand_in::{Executor, Script, StandIn};

/// A device whose kernels are interpreted.
#[derive(Debug, Default)]
pub struct Emulator {
    device: Device,
    modules: Vec<Module>,
}

impl Executor for Emulator {
    fn alloc(&mut self, bytes: usize) -> Address {
        self.device.alloc(bytes as u64)
    }

    fn free(&mut self, address: Address) -> bool {
        self.device.free(address).is_ok()
    }

    fn write(&mut self, address: Address, bytes: &[u8]) -> bool {
        self.device.write(address, bytes).is_ok()
    }

    fn read(&mut self, address: Address, bytes: usize) -> Option<Vec<u8>> {
        self.device.read_any(address, bytes as u64).ok()
    }

    fn load(&mut self, text: &str) -> Result<usize, String> {
        self.modules.push(Module::parse(text).map_err(|e| e.to_string())?);
        Ok(self.modules.len() - 1)
    }

    fn parameters(&mut self, module: usize, entry: &str) -> Option<Vec<(usize, usize)>> {
        let (list, _) = self.modules.get(module)?.params(entry)?;
        Some(list.into_iter().map(|(offset, size)| (offset as usize, size as usize)).collect())
    }

    fn launch(&mut self, module: usize, entry: &str, shape: &LaunchShape, params: &[u8]) -> Result<(), String> {
        let module = self.modules.get(module).ok_or("no such module")?;
        let launch = Launch {
            cluster: shape.cluster,
            dynamic_shared: shape.shared,
            cooperative: shape.cooperative,
            ..Launch::new(entry, shape.grid, shape.block, params)
        };
        let told = |faults: Vec<ptx_emu::Fault>| {
            let shown: Vec<String> = faults.iter().take(3).map(ToString::to_string).collect();
            format!("{entry}: {}", shown.join(" / "))
        };
        self.device.launch(module, &launch).map(drop).map_err(told)
    }
}

/// Plans a model for an architecture and runs it on an emulated device of that architecture.
///
/// With `families`, kernel families take what they can; else everything goes the generic way.
pub fn run(model: &Model, inputs: &[Datum], sm: Sm, families: bool) -> Result<Vec<Datum>, String> {
    let gpu = Gpu { sm };
    let plan = if families { gpu.plan(model) } else { gpu.plan_generic(model) };
    run_plan(&plan.map_err(|e| format!("plan: {e}"))?, inputs, sm)
}

/// Runs a plan on an emulated device of its architecture.
pub fn run_plan(plan: &Plan<GpuCode>, inputs: &[Datum], sm: Sm) -> Result<Vec<Datum>, String> {
    let gpu = Gpu { sm };
    let script = Script { capability: sm.number() as i32, ..Script::default() };
    let driver = StandIn::new(Box::new(Emulator::default()), script);
    let engine = in_process::load(driver.table(), plan, &gpu, EngineOptions::default());
    let engine = engine.map_err(|e| format!("load: {e}"))?;
    let mut session = engine.session().map_err(|e| format!("session: {e}"))?;
    in_process::run(&mut session, plan.outputs.len(), inputs).map_err(|e| {
        // The driver's answer is a number; what the emulator found is with the stand-in.
        let found = driver.leaks().misuse;
        format!("run: {}", if found.is_empty() { e.to_string() } else { found.join("; ") })
    })
}

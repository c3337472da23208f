//! The PTX emulator as the device of the driver that stands in.

use std::collections::BTreeMap;

use ptx_emu::{Device, Launch, Module};
use runtime_min::gpu::kernel_calls::LaunchShape;
use runtime_min::stand_in::Executor;

/// A device that interprets PTX.
#[derive(Default)]
pub struct Emulated {
    device: Device,
    modules: Vec<Module>,
    /// The emulator hands out bytes that hold nothing; allocations of the driver are remembered by their first address.
    live: BTreeMap<u64, usize>,
}

impl Executor for Emulated {
    fn alloc(&mut self, bytes: usize) -> u64 {
        let address = self.device.alloc(bytes as u64);
        self.live.insert(address, bytes);
        address
    }

    fn free(&mut self, address: u64) -> bool {
        self.live.remove(&address).is_some() && self.device.free(address).is_ok()
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        self.device.write(address, bytes).is_ok()
    }

    fn read(&mut self, address: u64, bytes: usize) -> Option<Vec<u8>> {
        self.device.read(address, bytes as u64).ok()
    }

    fn copy(&mut self, to: u64, from: u64, bytes: usize) -> bool {
        self.device.copy(to, from, bytes as u64).is_ok()
    }

    fn load(&mut self, text: &str) -> Result<usize, String> {
        let module = Module::parse(text).map_err(|error| error.to_string())?;
        self.modules.push(module);
        Ok(self.modules.len() - 1)
    }

    fn parameters(&mut self, module: usize, entry: &str) -> Option<Vec<(usize, usize)>> {
        let (list, _) = self.modules.get(module)?.params(entry)?;
        Some(list.into_iter().map(|(offset, bytes)| (offset as usize, bytes as usize)).collect())
    }

    fn launch(&mut self, module: usize, entry: &str, shape: &LaunchShape, params: &[u8]) -> Result<(), String> {
        let module = self.modules.get(module).ok_or("the module is gone")?;
        let launch = Launch {
            cluster: shape.cluster,
            dynamic_shared: shape.shared,
            cooperative: shape.cooperative,
            ..Launch::new(entry, shape.grid, shape.block, params)
        };
        let done = self.device.launch(module, &launch);
        done.map(|_| ()).map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }
}

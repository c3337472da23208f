//! The public face: a device with memory, and launches.

use std::collections::BTreeMap;

use crate::block::WRITTEN;
use crate::fault::{Fault, FaultKind};
use crate::machine::Machine;
use crate::memory::{Global, MemoryError};
use crate::module::Module;

/// How carefully to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Faults after which a launch stops.
    pub max_faults: usize,
    /// Instructions of one warp after which a launch counts as endless.
    pub max_instructions: u64,
    /// Whether to look for data races, in shared memory and in allocations of up to 8 MiB; makes memory accesses about three times
    /// as slow.
    pub races: bool,
    /// Runs the CTAs from the last to the first: results must not depend on it.
    pub reverse: bool,
    /// Shared memory that a CTA may have.
    pub max_shared: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options { max_faults: 16, max_instructions: 1 << 26, races: true, reverse: false, max_shared: 232_448 }
    }
}

/// One launch.
#[derive(Clone, Debug)]
pub struct Launch<'a> {
    pub entry: &'a str,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    /// Zero where the launch says nothing: the kernel's own `.reqnctapercluster`, or 1.
    pub cluster: [u32; 3],
    pub dynamic_shared: u32,
    /// All CTAs are resident at once, so that they may wait for one another.
    pub cooperative: bool,
    /// The parameters as they lie in the parameter space.
    pub params: &'a [u8],
}

impl<'a> Launch<'a> {
    /// A launch without clusters and dynamic shared memory.
    pub fn new(entry: &'a str, grid: [u32; 3], block: [u32; 3], params: &'a [u8]) -> Self {
        Launch { entry, grid, block, cluster: [0; 3], dynamic_shared: 0, cooperative: false, params }
    }
}

/// What a launch did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Instructions of warps, predicated-off ones included.
    pub warp_instructions: u64,
    /// Instructions of threads.
    pub thread_instructions: u64,
    pub ctas: u64,
    pub global_bytes_read: u64,
    pub global_bytes_written: u64,
}

/// A device: memory that lives as long as it does.
#[derive(Debug)]
pub struct Device {
    pub(crate) global: Global,
    options: Options,
    /// Addresses of the variables of each module that was launched.
    variables: BTreeMap<u64, Vec<u64>>,
}

impl Default for Device {
    fn default() -> Self {
        Device::new(Options::default())
    }
}

impl Device {
    pub fn new(options: Options) -> Device {
        Device { global: Global::new(options.races), options, variables: BTreeMap::new() }
    }

    /// Bytes that hold nothing yet; reading them before a write is a fault.
    pub fn alloc(&mut self, size: u64) -> u64 {
        self.global.alloc(size, 1)
    }

    /// An allocation with contents.
    pub fn alloc_with(&mut self, bytes: &[u8]) -> u64 {
        let address = self.alloc(bytes.len() as u64);
        if let Ok((block, at)) = self.global.range(address, bytes.len() as u64) {
            block.data[at..at + bytes.len()].copy_from_slice(bytes);
            block.state[at..at + bytes.len()].fill(WRITTEN);
        }
        address
    }

    /// # Errors
    /// No live allocation begins at the address.
    pub fn free(&mut self, address: u64) -> Result<(), MemoryError> {
        self.global.free(address)
    }

    /// # Errors
    /// The range does not lie in one live allocation.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        self.global.write(address, bytes)
    }

    /// # Errors
    /// The range does not lie in one live allocation, or has bytes that nothing wrote.
    pub fn read(&mut self, address: u64, size: u64) -> Result<Vec<u8>, MemoryError> {
        let (block, at) = self.global.range(address, size)?;
        let end = at + size as usize;
        if let Some(k) = block.state[at..end].iter().position(|s| s & WRITTEN == 0) {
            return Err(MemoryError { address: address + k as u64, what: "nothing wrote this byte".to_string() });
        }
        Ok(block.data[at..end].to_vec())
    }

    /// As [`Device::read`], with zeros for bytes that nothing wrote.
    ///
    /// # Errors
    /// The range does not lie in one live allocation.
    pub fn read_any(&mut self, address: u64, size: u64) -> Result<Vec<u8>, MemoryError> {
        let (block, at) = self.global.range(address, size)?;
        Ok(block.data[at..at + size as usize].to_vec())
    }

    /// Copies between allocations; bytes that hold nothing stay so.
    ///
    /// # Errors
    /// A range does not lie in one live allocation.
    pub fn copy(&mut self, to: u64, from: u64, size: u64) -> Result<(), MemoryError> {
        let (block, at) = self.global.range(from, size)?;
        let end = at + size as usize;
        let (data, state) = (block.data[at..end].to_vec(), block.state[at..end].to_vec());
        let (block, at) = self.global.range(to, size)?;
        let end = at + size as usize;
        block.data[at..end].copy_from_slice(&data);
        block.state[at..end].copy_from_slice(&state);
        Ok(())
    }

    /// Runs a kernel to its end.
    ///
    /// # Errors
    /// The first faults, in the order in which they happened.
    pub fn launch(&mut self, module: &Module, launch: &Launch) -> Result<Stats, Vec<Fault>> {
        let refuse = |detail: String| {
            Err(vec![Fault {
                kind: FaultKind::Launch,
                line: 0,
                text: String::new(),
                cta: [0; 3],
                thread: [0; 3],
                address: None,
                detail,
            }])
        };
        let Some(entry) = module.entries.get(launch.entry) else {
            return refuse(format!("no entry `{}`; there are {:?}", launch.entry, module.entries.keys()));
        };
        if let Some(problem) = crate::machine::problem(entry, launch, &self.options) {
            return refuse(problem);
        }
        let variables = self.place_variables(module);
        self.global.launch += 1;
        let mut machine = Machine::new(module, entry, launch, &self.options, &mut self.global, variables);
        machine.run();
        machine.finish()
    }

    fn place_variables(&mut self, module: &Module) -> Vec<u64> {
        if let Some(found) = self.variables.get(&module.id) {
            return found.clone();
        }
        let mut out = Vec::new();
        for variable in &module.variables {
            let address = self.global.alloc(variable.size, variable.align);
            let mut bytes = variable.init.clone();
            bytes.resize(variable.size as usize, 0);
            if let Ok((block, at)) = self.global.range(address, variable.size) {
                block.data[at..at + bytes.len()].copy_from_slice(&bytes);
                block.state[at..at + bytes.len()].fill(WRITTEN);
            }
            out.push(address);
        }
        self.variables.insert(module.id, out.clone());
        out
    }
}

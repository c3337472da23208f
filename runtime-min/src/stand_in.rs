//! A driver without a GPU, for tests: another [`DriverTable`], whose device is an [`Executor`].
//!
//! Work given to a stream waits until something waits for it, as late as a real driver may do it; memory, streams, modules
//! and graphs are counted; misuse (a second free, a copy out of range, a call without context) is noted; and a [`Script`]
//! makes the n-th call fail. An executor runs kernels: closures in the tests here, a PTX emulator elsewhere.
//!
//! The driver is one for the whole process, as a real one is; a [`StandIn`] holds a lock, so that tests take turns.

#![allow(unsafe_code, reason = "C functions over raw pointers, for tests only")]

mod functions;
mod kernels;
pub mod lent;
pub mod tables;
mod world;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::gpu::driver::{Address, DriverTable};
use crate::gpu::kernel_calls::LaunchShape;

pub use world::{Counts, Leaks, in_driver};

/// A device: memory and kernels.
pub trait Executor: Send {
    /// Bytes that hold anything.
    fn alloc(&mut self, bytes: usize) -> Address;
    /// Gives them back; false if nothing begins there.
    fn free(&mut self, address: Address) -> bool;
    /// False if the range does not lie in one allocation.
    fn write(&mut self, address: Address, bytes: &[u8]) -> bool;
    /// None if the range does not lie in one allocation, or nothing ever wrote a part of it.
    fn read(&mut self, address: Address, bytes: usize) -> Option<Vec<u8>>;
    /// False if a range does not lie in one allocation.
    fn copy(&mut self, to: Address, from: Address, bytes: usize) -> bool {
        self.read(from, bytes).is_some_and(|found| self.write(to, &found))
    }
    /// Takes PTX, or the text inside machine code of [`machine_code`]; the compiler's words if it refuses.
    fn load(&mut self, text: &str) -> Result<usize, String>;
    /// Offset and bytes of every parameter of an entry.
    fn parameters(&mut self, module: usize, entry: &str) -> Option<Vec<(usize, usize)>>;
    /// Bytes of each thread of a kernel that lie in memory, as registers do not suffice.
    fn spilled(&mut self, _module: usize, _entry: &str) -> u32 {
        0
    }
    /// Runs a kernel to its end; what is wrong with it if it cannot.
    fn launch(&mut self, module: usize, entry: &str, shape: &LaunchShape, params: &[u8]) -> Result<(), String>;
    /// What is wrong with a tensor map, if anything.
    fn refuses(&mut self, map: &MapFields) -> Option<String> {
        let aligned = map.address.is_multiple_of(16) && map.strides.iter().all(|s| s.is_multiple_of(16));
        (!aligned || map.extents.contains(&0)).then(|| format!("no tensor map can be made of {map:?}"))
    }
    /// The 128 bytes of a tensor map.
    fn encode(&mut self, map: &MapFields) -> [u64; 16] {
        let mut out = [0; 16];
        let fields = [map.address, map.extents.len() as u64].into_iter().chain(map.extents.iter().copied());
        out.iter_mut().zip(fields.chain(map.strides.iter().copied())).for_each(|(slot, field)| *slot = field);
        out
    }
}

/// What a tensor map is made from, with the numbers of the driver's interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapFields {
    pub address: Address,
    pub element: u32,
    pub extents: Vec<u64>,
    pub strides: Vec<u64>,
    pub element_strides: Vec<u32>,
    /// Of a tiled map.
    pub tile: Vec<u32>,
    /// Corners, channels and pixels of an im2col map.
    pub lower: Vec<i32>,
    pub upper: Vec<i32>,
    pub channels: u32,
    pub pixels: u32,
    pub swizzle: u32,
    pub promotion: u32,
    pub fill: u32,
}

/// What the driver pretends to be, and which call fails.
#[derive(Clone, Debug)]
pub struct Script {
    /// The call that fails, counted from 1, and its answer.
    pub fail: Option<(u64, u32)>,
    pub devices: i32,
    /// Compute capability times ten.
    pub capability: i32,
    pub multiprocessors: i32,
    pub shared_limit: i32,
    /// CTAs that a multiprocessor holds.
    pub resident: i32,
    pub memory: usize,
    /// Whether the device's memory is the host's.
    pub integrated: bool,
    pub version: i32,
    /// Whether a capture tells its nodes.
    pub tells_nodes: bool,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            fail: None,
            devices: 1,
            capability: 90,
            multiprocessors: 132,
            shared_limit: 232_448,
            resident: 2,
            memory: 1 << 30,
            integrated: false,
            version: 13_020,
            tells_nodes: true,
        }
    }
}

static TURN: Mutex<()> = Mutex::new(());

/// The stand-in is in place until this goes.
pub struct StandIn {
    _turn: MutexGuard<'static, ()>,
}

impl StandIn {
    /// Puts a device in place; waits for others to go.
    pub fn new(executor: Box<dyn Executor>, script: Script) -> StandIn {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        world::install(executor, script);
        StandIn { _turn: turn }
    }

    /// The driver.
    pub fn table(&self) -> &'static DriverTable {
        &functions::TABLE
    }

    /// What has been called so far.
    pub fn counts(&self) -> Counts {
        world::with(|world| world.counts.clone())
    }

    /// What is still alive, and what was done wrong.
    pub fn leaks(&self) -> Leaks {
        world::with(|world| world.leaks())
    }

    /// The function that the script made fail, once it has.
    pub fn failed(&self) -> Option<&'static str> {
        world::with(|world| world.failed)
    }

    /// Runs code on the executor.
    pub fn executor<T>(&self, look: impl FnOnce(&mut dyn Executor) -> T) -> T {
        world::with(|world| look(world.executor.as_mut()))
    }

    /// A stream of someone else's, in the primary context; never destroyed.
    pub fn foreign_stream(&self) -> usize {
        world::with(|world| world.foreign_stream())
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        world::remove();
    }
}

/// A file that counts as whole machine code, with a text inside.
pub fn machine_code(text: &str) -> Vec<u8> {
    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(40, 0);
    out.extend(64u64.to_le_bytes());
    out.resize(58, 0);
    out.extend([64, 0, 1, 0]);
    out.resize(64, 0);
    out.extend([0, 0, 0, 0, 1, 0, 0, 0]);
    out.resize(64 + 24, 0);
    out.extend(128u64.to_le_bytes());
    out.extend((text.len() as u64).to_le_bytes());
    out.resize(128, 0);
    out.extend(text.as_bytes());
    out
}

/// Memory for executors: allocations at multiples of 256, with room between them.
#[derive(Clone, Debug, Default)]
pub struct PlainMemory {
    live: BTreeMap<Address, Vec<u8>>,
    next: Address,
}

impl PlainMemory {
    pub fn alloc(&mut self, bytes: usize) -> Address {
        // Addresses are never used twice, so that a stale one is found out.
        let address = self.next.max(0x10_0000);
        self.next = (address + bytes as Address + 256).next_multiple_of(256);
        self.live.insert(address, vec![0xCD; bytes]);
        address
    }

    pub fn free(&mut self, address: Address) -> bool {
        self.live.remove(&address).is_some()
    }

    pub fn bytes(&mut self, address: Address, bytes: usize) -> Option<&mut [u8]> {
        let (start, block) = self.live.range_mut(..=address).next_back()?;
        let at = usize::try_from(address - start).ok()?;
        block.get_mut(at..at.checked_add(bytes)?)
    }
}

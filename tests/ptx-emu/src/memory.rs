//! Global memory: allocations that never reuse an address, with unmapped zones between them.

use std::cell::Cell;
use std::fmt;

use crate::block::{Block, WRITTEN};

const FIRST: u64 = 0x10_0000_0000;
const ALIGN: u64 = 512;
/// Unmapped bytes between two allocations, beside the size of the first: addresses are free.
const RED_ZONE: u64 = 1 << 20;

/// Largest allocation whose bytes get stamps: a word's take 28 bytes.
const RACES: u64 = 8 << 20;

/// One allocation.
#[derive(Debug)]
pub(crate) struct Allocation {
    pub start: u64,
    pub size: u64,
    pub freed: bool,
    pub block: Block,
    /// The launch that the stamps belong to.
    launch: u64,
}

/// All allocations of a device, by ascending address.
#[derive(Debug)]
pub(crate) struct Global {
    pub list: Vec<Allocation>,
    /// Where the last address was found.
    recent: Cell<usize>,
    next: u64,
    pub launch: u64,
    pub races: bool,
}

/// A host access that global memory does not have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryError {
    /// The address that was given.
    pub address: u64,
    /// What was found there.
    pub what: String,
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {:#x}: {}", self.address, self.what)
    }
}

impl std::error::Error for MemoryError {}

impl Global {
    pub fn new(races: bool) -> Global {
        Global { list: Vec::new(), recent: Cell::new(0), next: FIRST, launch: 0, races }
    }

    pub fn alloc(&mut self, size: u64, align: u64) -> u64 {
        let start = self.next.next_multiple_of(align.max(ALIGN));
        self.next = start + 2 * size + RED_ZONE;
        let block = Block::new(size as usize, 0);
        self.list.push(Allocation { start, size, freed: false, block, launch: 0 });
        start
    }

    /// Frees an allocation; its addresses stay unusable.
    pub fn free(&mut self, address: u64) -> Result<(), MemoryError> {
        let found = self.list.iter_mut().find(|a| a.start == address && !a.freed);
        let Some(allocation) = found else {
            return Err(MemoryError { address, what: "no allocation begins there".to_string() });
        };
        allocation.freed = true;
        allocation.block = Block::default();
        Ok(())
    }

    /// The last allocation that begins at or before an address.
    #[inline]
    pub fn find(&self, address: u64) -> Option<usize> {
        let inside = |a: &Allocation| a.start <= address && address - a.start < a.size;
        if self.list.get(self.recent.get()).is_some_and(inside) {
            return Some(self.recent.get());
        }
        let found = self.list.partition_point(|a| a.start <= address).checked_sub(1);
        self.recent.set(found.unwrap_or(0));
        found
    }

    /// Stamps of earlier launches mean nothing.
    #[inline]
    pub fn fresh(&mut self, k: usize) -> &mut Allocation {
        let (launch, races) = (self.launch, self.races);
        let allocation = &mut self.list[k];
        if races && allocation.launch != launch && allocation.size <= RACES {
            allocation.launch = launch;
            allocation.block.stamps.reset(allocation.size as usize);
        }
        allocation
    }

    /// What lies at an address, for a report.
    pub fn describe(&self, address: u64) -> String {
        let Some(k) = self.find(address) else { return "below every allocation".to_string() };
        let a = &self.list[k];
        let past = address - a.start;
        match past.checked_sub(a.size) {
            Some(0) => format!("just past the end of allocation {k} of {} bytes", a.size),
            Some(beyond) => format!("{beyond} bytes past the end of allocation {k} of {} bytes", a.size),
            None => format!("byte {past} of allocation {k} of {} bytes", a.size),
        }
    }

    pub fn range(&mut self, address: u64, size: u64) -> Result<(&mut Block, usize), MemoryError> {
        let refuse = |what: String| Err(MemoryError { address, what });
        let Some(k) = self.find(address) else { return refuse("below every allocation".to_string()) };
        let a = &self.list[k];
        let offset = address - a.start;
        if a.freed {
            return refuse("freed".to_string());
        }
        if offset.checked_add(size).is_none_or(|end| end > a.size) {
            return refuse(format!("{size} bytes from byte {offset} of an allocation of {} bytes", a.size));
        }
        Ok((&mut self.list[k].block, offset as usize))
    }

    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        let (block, at) = self.range(address, bytes.len() as u64)?;
        block.data[at..at + bytes.len()].copy_from_slice(bytes);
        block.state[at..at + bytes.len()].fill(WRITTEN);
        Ok(())
    }
}

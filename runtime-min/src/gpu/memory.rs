//! Memory of a session on the device, region by region.

use std::sync::Arc;

use super::super::error::{DeviceError, StepError};
use super::driver::{Address, StreamHandle};
use super::engine::Shared;
use super::owned::{DeviceMemory, Stream};
use super::regions::{Kind, Region};

/// Bytes that make NaN of every floating-point type.
const POISON: u8 = 0xFF;

/// The regions of a session: its own memory, the engine's weights, and what callers lend.
#[derive(Debug)]
pub struct SessionMemory {
    own: Vec<Option<DeviceMemory>>,
    /// Regions that are the host's.
    hosted: Vec<Option<(Address, u64)>>,
    /// Where each region is in this call, and how many bytes there are.
    pub(super) places: Vec<(Address, u64)>,
    limit: Option<u64>,
}

impl SessionMemory {
    /// Everything whose size has a limit; the context is current.
    pub fn new(shared: &Shared) -> Result<SessionMemory, StepError> {
        let count = shared.regions.count();
        let limit = shared.options.memory_limit.map(|limit| limit as u64);
        let mut own = Vec::with_capacity(count);
        own.resize_with(count, || None);
        let mut memory = SessionMemory { own, hosted: vec![None; count], places: vec![(0, 0); count], limit };
        let weights = &shared.weight_memory;
        if let Some(place) = memory.places.get_mut(shared.regions.weights()) {
            *place = (weights.address(), weights.bytes());
        }
        for region in 0..count {
            if let Some(most) = shared.regions.memory(&shared.program, region).most
                && !shared.is_of_host(region)
            {
                memory.take(shared, region, most)?;
            }
        }
        Ok(memory)
    }

    /// Where a region is in this call.
    pub fn address(&self, region: Region) -> Address {
        self.places.get(region).map_or(0, |place| place.0)
    }

    /// Bytes of a region in this call.
    pub fn bytes(&self, region: Region) -> u64 {
        self.places.get(region).map_or(0, |place| place.1)
    }

    /// All addresses.
    pub fn addresses(&self) -> impl Iterator<Item = Address> + '_ {
        self.places.iter().map(|place| place.0)
    }

    /// Bytes of the session's own memory.
    pub fn taken(&self) -> u64 {
        self.own.iter().flatten().map(DeviceMemory::bytes).sum()
    }

    /// Uses a caller's memory for a region, until [`SessionMemory::restore`].
    pub fn lend(&mut self, region: Region, address: Address) {
        if let Some(place) = self.places.get_mut(region) {
            *place = (address, u64::MAX);
        }
    }

    /// Uses the session's own memory again.
    pub fn restore(&mut self, region: Region) {
        let hosted = self.hosted.get(region).copied().flatten();
        let own = self.own.get(region).and_then(Option::as_ref).map(|m| (m.address(), m.bytes()));
        if let Some(place) = self.places.get_mut(region) {
            *place = hosted.or(own).unwrap_or((0, 0));
        }
    }

    /// Uses memory of the host for a region.
    pub fn host(&mut self, region: Region, address: Address, bytes: u64) {
        if let Some(hosted) = self.hosted.get_mut(region) {
            *hosted = Some((address, bytes));
        }
        self.restore(region);
    }

    /// An error if regions that are to hold so many bytes each ask for more than there is; nothing is taken.
    pub fn check(&self, shared: &Shared, needed: impl Iterator<Item = u64>) -> Result<(), StepError> {
        let mut more: u64 = 0;
        for (region, bytes) in needed.enumerate().filter(|(region, bytes)| !self.holds(*region, *bytes)) {
            let own = self.own.get(region).and_then(Option::as_ref).map_or(0, DeviceMemory::bytes);
            more = more.saturating_add(bytes.saturating_sub(own));
        }
        if more == 0 {
            return Ok(());
        }
        let free = shared.context.api.memory_info()?.0 as u64;
        let needed = self.taken().saturating_add(more);
        if let Some(limit) = self.limit.filter(|limit| needed > *limit) {
            return Err(DeviceError::Memory { needed, free, limit: Some(limit) }.into());
        }
        if more > free {
            return Err(DeviceError::Memory { needed: more, free, limit: None }.into());
        }
        Ok(())
    }

    /// Whether a region has so many bytes.
    pub fn holds(&self, region: Region, bytes: u64) -> bool {
        self.bytes(region) >= bytes
    }

    /// Makes a region hold so many bytes. With `keep`, contents stay, and new bytes are zero. Waits for the stream, as what
    /// it runs may use the old memory.
    pub fn grow(
        &mut self,
        shared: &Shared,
        region: Region,
        bytes: u64,
        keep: bool,
        stream: &Arc<Stream>,
    ) -> Result<(), StepError> {
        if self.holds(region, bytes) {
            return Ok(());
        }
        stream.synchronize()?;
        let old = self.own.get_mut(region).and_then(Option::take);
        // What is kept needs both; what is not kept makes room first.
        let old = if keep { old } else { None };
        // Growing by half at least, where there is room, keeps loops that append from copying each time.
        let before = old.as_ref().map_or(0, DeviceMemory::bytes);
        let spare = before.saturating_add(before / 2);
        let taken = match self.take(shared, region, bytes.max(spare)) {
            Err(StepError::Device { source: DeviceError::Memory { .. } }) if spare > bytes => {
                self.take(shared, region, bytes)
            }
            taken => taken,
        };
        if let Err(error) = taken {
            if let Some(place) = self.own.get_mut(region) {
                *place = old;
            }
            self.restore(region);
            return Err(error);
        }
        if keep {
            let (address, api) = (self.address(region), shared.context.api);
            let kept = old.as_ref().map_or(0, DeviceMemory::bytes);
            if let Some(old) = &old {
                api.copy(address, old.address(), length(kept), stream.handle())?;
            }
            let state = matches!(shared.regions.kind(region), Kind::State(_));
            let new = if shared.options.poison && !state { POISON } else { 0 };
            api.fill(address + kept, new, length(self.bytes(region) - kept), stream.handle())?;
            stream.synchronize()?;
        }
        Ok(())
    }

    /// Fills what a call must write before it reads it with NaN: everything of the session's own but inputs and states.
    pub fn poison(&self, shared: &Shared, stream: StreamHandle) -> Result<(), StepError> {
        for (region, place) in self.places.iter().enumerate() {
            let own = self.own.get(region).and_then(Option::as_ref).filter(|m| m.bytes() > 0);
            let kind = shared.regions.kind(region);
            if let Some(memory) = own.filter(|m| m.address() == place.0)
                && matches!(kind, Kind::Arena | Kind::Apart(_) | Kind::Growable | Kind::Output(_))
            {
                shared.context.api.fill(memory.address(), POISON, length(memory.bytes()), stream)?;
            }
        }
        Ok(())
    }

    /// Zeroes a region.
    pub fn clear(&self, shared: &Shared, region: Region, stream: &Stream) -> Result<(), StepError> {
        let (address, bytes) = (self.address(region), self.bytes(region));
        if bytes == 0 {
            return Ok(());
        }
        Ok(shared.context.api.fill(address, 0, length(bytes), stream.handle())?)
    }

    fn take(&mut self, shared: &Shared, region: Region, bytes: u64) -> Result<(), StepError> {
        let needed = self.taken().saturating_add(bytes);
        if let Some(limit) = self.limit.filter(|limit| needed > *limit) {
            let free = shared.context.api.memory_info()?.0 as u64;
            return Err(DeviceError::Memory { needed, free, limit: Some(limit) }.into());
        }
        let memory = DeviceMemory::new(&shared.context, bytes)?;
        // States begin as zero; memory of other kinds is written before it is read.
        if matches!(shared.regions.kind(region), Kind::State(_)) && bytes > 0 {
            let stream = Stream::new(&shared.context)?;
            shared.context.api.fill(memory.address(), 0, length(bytes), stream.handle())?;
            stream.synchronize()?;
        }
        if let Some(place) = self.own.get_mut(region) {
            *place = Some(memory);
        }
        self.restore(region);
        Ok(())
    }
}

/// Bytes as a length; memory of more than the address space does not occur.
pub fn length(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

//! Steps of the device: launches with their parameters, copies and clears, given to a stream or put into a graph's nodes.

use super::super::error::StepError;
use super::super::sizes;
use super::divisor::Divisor;
use super::driver::{
    Address, FunctionHandle, GraphExecHandle, GraphNodeHandle, Memcpy3d, MemcpyEnd, MemsetParams, numbers,
};
use super::kernel_calls::LaunchShape;
use super::memory::length;
use super::program::{Action, Arg, Buf, Place, Size, View};
use super::session::{Call, GpuSession};
use super::tensor_map;

/// Largest extents of a grid.
const GRID: [i64; 3] = [i32::MAX as i64, 65_535, 65_535];

/// A step of the device with all sizes known. A launch's parameters are in the session's `params`.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    Nothing,
    Launch { function: FunctionHandle, shape: LaunchShape },
    Copy { from: Address, to: Address, bytes: usize },
    Clear { to: Address, bytes: usize },
}

impl GpuSession {
    /// Gives a step to the call's stream; true if the stream got something to do.
    pub(super) fn issue(&mut self, call: &mut Call<'_>, action: &Action) -> Result<bool, StepError> {
        let work = self.work(action)?;
        let api = self.shared.context.api;
        match work {
            Work::Nothing => return Ok(false),
            Work::Launch { function, mut shape } => {
                // Only a launch may be overtaken by the next one.
                shape.dependent = shape.dependent && call.after_launch;
                api.launch(function, &shape, &mut self.params, call.stream)?;
            }
            Work::Copy { from, to, bytes } => api.copy(to, from, bytes, call.stream)?,
            Work::Clear { to, bytes } => api.fill(to, 0, bytes, call.stream)?,
        }
        call.after_launch = matches!(work, Work::Launch { .. });
        Ok(true)
    }

    /// Gives the node of a step the addresses of this call.
    pub(super) fn patch(
        &mut self,
        exec: GraphExecHandle,
        node: GraphNodeHandle,
        action: &Action,
    ) -> Result<(), StepError> {
        let (api, context) = (self.shared.context.api, self.shared.context.handle);
        match self.work(action)? {
            Work::Nothing => {}
            Work::Launch { function, shape } => api.set_kernel_node(exec, node, function, &shape, &mut self.params)?,
            Work::Copy { from, to, bytes } => {
                let end = |device| MemcpyEnd { kind: numbers::MEMORY_DEVICE, device, ..MemcpyEnd::default() };
                let params = Memcpy3d { from: end(from), to: end(to), width: bytes, height: 1, depth: 1 };
                api.set_copy_node(exec, node, &params, context)?;
            }
            Work::Clear { to, bytes } => {
                let params = MemsetParams { to, pitch: 0, value: 0, element_bytes: 1, width: bytes, height: 1 };
                api.set_fill_node(exec, node, &params, context)?;
            }
        }
        Ok(())
    }

    fn work(&mut self, action: &Action) -> Result<Work, StepError> {
        match action {
            Action::Launch { kernel, grid, shared, args } => self.launch(*kernel, grid, *shared, args),
            Action::Copy { from, to, bytes } => {
                let bytes = self.values.get(*bytes);
                let (from, to) = (self.address(*from, bytes)?, self.address(*to, bytes)?);
                Ok(if bytes == 0 { Work::Nothing } else { Work::Copy { from, to, bytes: sizes::length(bytes)? } })
            }
            Action::Clear { to, bytes } => {
                let bytes = self.values.get(*bytes);
                let to = self.address(*to, bytes)?;
                Ok(if bytes == 0 { Work::Nothing } else { Work::Clear { to, bytes: sizes::length(bytes)? } })
            }
            _ => Ok(Work::Nothing),
        }
    }

    fn launch(&mut self, kernel: u32, grid: &[Size; 3], shared: Size, args: &[Arg]) -> Result<Work, StepError> {
        let refused = |what: String| StepError::Kernel { what };
        let Some(loaded) = self.shared.kernels.get(kernel).copied() else {
            return Err(refused(format!("kernel {kernel} does not exist")));
        };
        let mut shape = loaded.shape;
        for ((place, size), most) in shape.grid.iter_mut().zip(grid).zip(GRID) {
            let extent = self.values.get(*size);
            if !(0..=most).contains(&extent) {
                return Err(refused(format!("a grid extent is {extent}, allowed are 0 to {most}")));
            }
            *place = extent as u32;
        }
        if shape.grid.contains(&0) {
            return Ok(Work::Nothing);
        }
        let bytes = self.values.get(shared);
        if !(0..=i64::from(shape.shared)).contains(&bytes) {
            let most = shape.shared;
            return Err(refused(format!("{bytes} bytes of shared memory are asked for, {most} are prepared")));
        }
        shape.shared = bytes as u32;
        shape.dependent = self.shared.program.kernels.get(kernel as usize).is_some_and(|k| k.dependent);
        self.params.clear();
        for arg in args {
            let pushed = match *arg {
                Arg::Read(view) | Arg::Write(view) => {
                    let address = self.address(view, 0)?;
                    self.params.push(address)
                }
                Arg::Size64(size) => self.params.push(self.values.get(size) as u64),
                Arg::Size32(size) => self.params.push(narrow(self.values.get(size))?),
                Arg::Divisor(size) => {
                    // Nothing is divided by an extent of 0: there is no index to divide.
                    let value = self.values.get(size);
                    let divisor = Divisor::new(value.max(1)).filter(|_| value >= 0);
                    let divisor = divisor.ok_or(StepError::Size { found: value })?;
                    self.params.push(u64::from_le_bytes(divisor.to_bytes()))
                }
                Arg::Map(map) => {
                    let map = tensor_map::encode(self, map)?;
                    self.params.push_map(&map)
                }
            };
            if !pushed {
                return Err(refused(format!("{} parameters are too many", args.len())));
            }
        }
        Ok(Work::Launch { function: loaded.function, shape })
    }

    /// The address of a view, of which `bytes` bytes lie in its memory.
    pub(super) fn address(&self, view: View, bytes: i64) -> Result<Address, StepError> {
        let unsigned = |value: i64| u64::try_from(value).map_err(|_| StepError::Size { found: value });
        self.address_at(view.buffer, unsigned(self.values.get(view.offset))?, unsigned(bytes)?)
    }

    /// The address of byte `offset` of a buffer, from where `bytes` bytes lie in its memory.
    pub(super) fn address_at(&self, buffer: Buf, offset: u64, bytes: u64) -> Result<Address, StepError> {
        let (base, memory) = self.place(buffer)?;
        if offset.checked_add(bytes).is_none_or(|end| end > memory) {
            let (start, bytes, memory) = (length(offset), length(bytes), length(memory));
            return Err(StepError::Span { start, bytes, memory });
        }
        Ok(base.wrapping_add(offset))
    }

    /// Address of a buffer, and bytes from there to the end of its memory.
    pub(super) fn place(&self, buffer: Buf) -> Result<(Address, u64), StepError> {
        let shared = &self.shared;
        let missing = || StepError::Kernel { what: format!("buffer {} is not on the device", buffer.0) };
        let region = shared.regions.of(buffer).ok_or_else(missing)?;
        let place = shared.program.buffers.get(buffer.0 as usize).map(|b| b.place).ok_or_else(missing)?;
        let offset = match place {
            Place::Arena { .. } if shared.options.poison => 0,
            Place::Arena { offset } => {
                let offset = self.values.get(offset);
                u64::try_from(offset).map_err(|_| StepError::Size { found: offset })?
            }
            Place::Weight { offset, .. } => offset,
            _ => 0,
        };
        let memory = self.memory.bytes(region);
        if offset > memory {
            return Err(StepError::Span { start: length(offset), bytes: 0, memory: length(memory) });
        }
        Ok((self.memory.address(region) + offset, memory - offset))
    }
}

/// A value that fits a signed or an unsigned 32-bit integer.
fn narrow(value: i64) -> Result<u64, StepError> {
    let fits = (i64::from(i32::MIN)..=i64::from(u32::MAX)).contains(&value);
    if fits { Ok(u64::from(value as u32)) } else { Err(StepError::Size { found: value }) }
}

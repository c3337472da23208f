//! Launches: what the target makes of a code, with the values of this launch.

use std::borrow::Cow;

use graph::dim::{Dim, SymId};
use nest::abstraction::apply_sizes;
use plan::plan::{Code, Launch, View};
use runtime_min::gpu::program::{self, Action, Arg, HostView, Kernel, Module, Size, SizeOp};

use super::buffers::{buf, datum_dtype, stored_bytes};
use super::steps::Lines;
use super::{HostEntry, Lowering};
use crate::error::EmitError;
use crate::gpu::target::{GpuArg, GpuKernel};
use crate::slots::is_object;

/// Most shared memory that a CTA can ask for on any device.
const MOST_SHARED: i64 = 227 * 1024;

impl<C> Lowering<'_, '_, '_, C> {
    pub(super) fn launch(&mut self, lines: &mut Lines, launch: &Launch, node: u32) -> Result<(), EmitError> {
        let missing = EmitError::NoCode { code: launch.code.0, count: self.plan.codes.len() };
        let kernels = self.codes.get(launch.code.0 as usize).ok_or(missing.clone())?;
        for view in launch.writes.iter().chain(&launch.workspace) {
            self.grow(lines, view, node)?;
        }
        let Some(kernels) = kernels else {
            return self.launch_on_host(lines, launch, node);
        };
        for view in &launch.writes {
            self.clear_packed(lines, view, node)?;
        }
        let values = launch.sizes.iter().map(|d| self.sizes.dim(d)).collect::<Result<Vec<_>, _>>()?;
        for (k, kernel) in kernels.launches.iter().enumerate() {
            let known = self.kept.never.get(&(self.number, k)).copied();
            let never = known.unwrap_or_else(|| self.is_never(kernel, launch));
            self.kept.never.insert((self.number, k), never);
            if never {
                continue;
            }
            let number = self.kernel(kernel, launch)?;
            let mut grid = [Size(0); 3];
            for (slot, extent) in grid.iter_mut().zip(&kernel.grid) {
                *slot = self.sizes.of_code(extent, &values)?;
            }
            if kernel.cooperative {
                let resident = self.sizes.op(SizeOp::Resident { kernel: number });
                let [first, ..] = grid;
                let first = self.sizes.op(SizeOp::Min(first, resident));
                let [_, second, third] = grid;
                grid = [first, second, third];
            }
            let shared = self.sizes.of_code(&kernel.dynamic_shared, &values)?;
            let args = kernel.args.iter().map(|arg| self.arg(arg, launch, &values)).collect::<Result<Vec<_>, _>>()?;
            lines.push(Action::Launch { kernel: number, grid, shared, args: args.into() }, node);
        }
        Ok(())
    }

    /// Whether the sizes of this launch rule a kernel out: it is for others.
    fn is_never(&self, kernel: &GpuKernel, launch: &Launch) -> bool {
        let (symbols, values) = (self.sizes.symbols(), |id: SymId| launch.sizes.get(id.0 as usize).cloned());
        let empty = |extent: &Dim| symbols.range(&symbols.substitute(extent, &values)).upper() == Some(0);
        kernel.grid.iter().any(empty)
    }

    /// Elements below 8 bits are written by changing words of 32 bits, whose other bits must hold something.
    fn clear_packed(&mut self, lines: &mut Lines, view: &View, node: u32) -> Result<(), EmitError> {
        let buffer = self.buffer(view.buffer)?;
        let whole = view.access.offset.is(0) && view.access.is_dense(&view.shape);
        if is_object(buffer) || buffer.dtype.bits() >= 8 || !whole {
            return Ok(());
        }
        let bytes = stored_bytes(buffer.dtype, &Dim::product(&view.shape));
        let (to, bytes) = (self.start(view)?, self.sizes.dim(&bytes)?);
        lines.push(Action::Clear { to, bytes }, node);
        Ok(())
    }

    fn arg(&mut self, arg: &GpuArg, launch: &Launch, values: &[Size]) -> Result<Arg, EmitError> {
        let missing = |k: usize, count: usize| EmitError::NoBuffer { buffer: k as u32, count };
        let (located_reads, located_writes) = self.located(launch);
        Ok(match arg {
            GpuArg::Read(k) => {
                let view = launch.reads.get(*k).ok_or(missing(*k, launch.reads.len()))?;
                Arg::Read(self.address(view, *k < located_reads)?)
            }
            GpuArg::Write(k) => {
                let view = launch.writes.get(*k).ok_or(missing(*k, launch.writes.len()))?;
                Arg::Write(self.address(view, located_writes)?)
            }
            GpuArg::Workspace { offset } => {
                let view = launch.workspace.as_ref().ok_or(missing(0, 0))?;
                let offset = self.sizes.of_code(offset, values)?;
                Arg::Write(program::View { buffer: buf(view.buffer), offset })
            }
            GpuArg::Size64(dim) => Arg::Size64(self.sizes.of_code(dim, values)?),
            GpuArg::Size32(dim) => Arg::Size32(self.sizes.of_code(dim, values)?),
            GpuArg::Divisor(dim) => Arg::Divisor(self.sizes.of_code(dim, values)?),
            GpuArg::Stride { read, dim } => {
                let view = launch.reads.get(*read).ok_or(missing(*read, launch.reads.len()))?;
                let stride = view.access.strides.get(*dim).cloned().unwrap_or_default();
                Arg::Size64(self.sizes.dim(&stride)?)
            }
        })
    }

    /// Which addresses are those of the view: the first so many reads, and the writes.
    fn located(&self, launch: &Launch) -> (usize, bool) {
        match self.plan.codes.get(launch.code.0 as usize) {
            Some(Code::Claimed(claimed)) => (claimed.operands + claimed.derived, claimed.epilogue.is_none()),
            Some(Code::Kernel(_)) | None => (0, false),
        }
    }

    fn address(&mut self, view: &View, located: bool) -> Result<program::View, EmitError> {
        if located {
            return self.start(view);
        }
        Ok(program::View { buffer: buf(view.buffer), offset: self.sizes.constant(0) })
    }

    /// The number of a kernel; equal ones are one.
    fn kernel(&mut self, kernel: &GpuKernel, launch: &Launch) -> Result<u32, EmitError> {
        let module = Module {
            name: self.kept.texts.leak(&kernel.name),
            ptx: Cow::Owned(kernel.ptx.clone()),
            cubins: kernel.cubins.clone().into(),
        };
        let module = match self.modules.iter().position(|m| m.ptx == module.ptx) {
            Some(known) => known,
            None => {
                self.modules.push(module);
                self.modules.len() - 1
            }
        };
        let values = |id: SymId| launch.sizes.get(id.0 as usize).cloned();
        let symbols = self.sizes.symbols();
        let shared = symbols.substitute(&kernel.dynamic_shared, &values);
        let shared = symbols.range(&shared).upper().unwrap_or(MOST_SHARED).clamp(0, MOST_SHARED) as u32;
        let mut new = Kernel {
            module: module as u32,
            entry: self.kept.texts.leak(&kernel.entry),
            block: kernel.block,
            cluster: kernel.cluster,
            shared_limit: 0,
            cooperative: kernel.cooperative,
            dependent: kernel.dependent,
        };
        let known = self.kernels.iter_mut().enumerate().find(|(_, k)| {
            new.shared_limit = k.shared_limit;
            **k == new
        });
        if let Some((number, known)) = known {
            known.shared_limit = known.shared_limit.max(shared);
            return Ok(number as u32);
        }
        new.shared_limit = shared;
        self.kernels.push(new);
        Ok(self.kernels.len() as u32 - 1)
    }

    /// A kernel over strings: a host step over whole buffers.
    fn launch_on_host(&mut self, lines: &mut Lines, launch: &Launch, node: u32) -> Result<(), EmitError> {
        let Some(Code::Kernel(kernel)) = self.plan.codes.get(launch.code.0 as usize) else {
            return Err(EmitError::NoCode { code: launch.code.0, count: self.plan.codes.len() });
        };
        if launch.sizes.iter().any(|d| d.as_const().is_none()) {
            return Err(EmitError::Strings { what: "a size of it is found while running" });
        }
        let entry = HostEntry::Kernel(Box::new(apply_sizes(kernel.clone(), &launch.sizes)));
        let call = self.host_entry(entry);
        let operands = launch.reads.iter().map(|v| self.whole(v)).collect::<Result<Vec<_>, _>>()?;
        for view in &launch.writes {
            let buffer = self.buffer(view.buffer)?;
            if !is_object(buffer) && (!view.access.offset.is(0) || !view.access.is_dense(&view.shape)) {
                return Err(EmitError::Strings { what: "it writes a part of a buffer" });
            }
        }
        let results = launch.writes.iter().map(|v| self.host_view(v)).collect::<Result<Vec<_>, _>>()?;
        let (operands, results) = (operands.into(), results.into());
        lines.push(Action::Host { call, operands, results, binds: Vec::new().into() }, node);
        Ok(())
    }

    /// The whole buffer that a view lies in; an object as it is.
    fn whole(&mut self, view: &View) -> Result<HostView, EmitError> {
        let buffer = self.buffer(view.buffer)?;
        if is_object(buffer) {
            return self.host_view(view);
        }
        let (dtype, elements) = (datum_dtype(buffer.dtype), buffer.elements.clone());
        let dims = vec![self.sizes.dim(&elements)?];
        Ok(HostView { buffer: buf(view.buffer), dtype, dims: dims.into(), offset: self.sizes.constant(0) })
    }

    /// A dense tensor or an object, as host operators take it.
    pub(super) fn host_view(&mut self, view: &View) -> Result<HostView, EmitError> {
        let dtype = datum_dtype(self.buffer(view.buffer)?.dtype);
        let dims = view.shape.iter().map(|d| self.sizes.dim(d)).collect::<Result<Vec<_>, _>>()?;
        let offset: &Dim = &view.access.offset;
        let offset = self.sizes.dim(offset)?;
        Ok(HostView { buffer: buf(view.buffer), dtype, dims: dims.into(), offset })
    }

    /// The number of something that the host runs; equal ones are one.
    pub(super) fn host_entry(&mut self, entry: HostEntry) -> u32 {
        let known = self.hosts.iter().position(|h| *h == entry);
        known.unwrap_or_else(|| {
            self.hosts.push(entry);
            self.hosts.len() - 1
        }) as u32
    }
}

//! The bytes of a running plan.

use graph::datum::Datum;
use graph::eval::Bindings;
use graph::tensor::{Packer, Tensor};

use crate::eval_plan::EvalPlanError;
use crate::plan::{Buffer, BufferId, Place, Plan, View};

/// All memory: one arena, and what lies elsewhere.
#[derive(Default)]
pub(super) struct Memory {
    arena: Vec<u8>,
    cells: Vec<Cell>,
}

enum Cell {
    /// Offset and length in the arena.
    Arena(usize, usize),
    Bytes(Vec<u8>),
    Object(Option<Datum>),
}

const POISON: u8 = 0xFF;

impl Memory {
    pub fn new<C>(plan: &Plan<C>, bindings: &Bindings, poison: bool) -> Result<Memory, EvalPlanError> {
        let size = |dim: &graph::dim::Dim| size(dim, bindings);
        let mut memory = Memory { arena: vec![POISON; size(&plan.arena)?], cells: Vec::new() };
        for buffer in &plan.buffers {
            let length = || size(&crate::arena::bytes(buffer));
            memory.cells.push(match &buffer.place {
                Place::Arena { .. } if poison => Cell::Bytes(vec![POISON; length()?]),
                Place::Arena { offset } => Cell::Arena(size(offset)?, length()?),
                Place::Growable | Place::Weight(_) => Cell::Bytes(Vec::new()),
                Place::Object(_) => Cell::Object(None),
                Place::Input(_) | Place::Output(_) | Place::State(_) if is_object(buffer) => Cell::Object(None),
                // Extents of an output may be known only later.
                Place::Output(_) => Cell::Bytes(Vec::new()),
                Place::Input(_) | Place::State(_) => Cell::Bytes(vec![POISON; length()?]),
            });
        }
        Ok(memory)
    }

    pub fn set_weight<C>(&mut self, plan: &Plan<C>, index: usize, tensor: &Tensor) -> Result<(), EvalPlanError> {
        for (cell, buffer) in self.cells.iter_mut().zip(&plan.buffers) {
            if buffer.place == Place::Weight(index) {
                *cell = match is_object(buffer) {
                    true => Cell::Object(Some(Datum::Tensor(tensor.clone()))),
                    false => Cell::Bytes(tensor.bytes().to_vec()),
                };
            }
        }
        Ok(())
    }

    pub fn clear<C>(&mut self, plan: &Plan<C>, id: BufferId, bindings: &Bindings) -> Result<(), EvalPlanError> {
        let buffer = buffer(plan, id)?;
        match self.cells.get_mut(id.0 as usize) {
            Some(Cell::Arena(start, length)) => {
                let range = *start..*start + *length;
                self.arena.get_mut(range).ok_or(EvalPlanError::Malformed("a buffer outside the arena"))?.fill(0);
                Ok(())
            }
            Some(Cell::Bytes(bytes)) => {
                if buffer.place == Place::Growable {
                    let need = size(&crate::arena::bytes(buffer), bindings)?;
                    bytes.resize(need.max(bytes.len()), POISON);
                }
                bytes.fill(0);
                Ok(())
            }
            Some(Cell::Object(_)) | None => Err(EvalPlanError::Malformed("an object cannot be cleared")),
        }
    }

    fn bytes(&self, id: BufferId) -> Option<&[u8]> {
        match self.cells.get(id.0 as usize)? {
            Cell::Arena(start, length) => self.arena.get(*start..*start + *length),
            Cell::Bytes(bytes) => Some(bytes),
            Cell::Object(_) => None,
        }
    }

    pub fn read<C>(&self, plan: &Plan<C>, view: &View, bindings: &Bindings) -> Result<Datum, EvalPlanError> {
        if let Some(Cell::Object(object)) = self.cells.get(view.buffer.0 as usize) {
            return object.clone().ok_or(EvalPlanError::Malformed("an object is read before it is written"));
        }
        let buffer = buffer(plan, view.buffer)?;
        let bytes = self.bytes(view.buffer).ok_or(EvalPlanError::Malformed("no such buffer"))?;
        let bits = buffer.dtype.bits() as usize;
        let count = bytes.len() * 8 / bits.max(1);
        let (shape, addresses) = addresses(view, bindings)?;
        let mut packer = Packer::new(buffer.dtype, addresses.len()).ok_or(EvalPlanError::Malformed("too large"))?;
        for address in addresses {
            let at = usize::try_from(address).ok().filter(|a| *a < count);
            let at = at.ok_or(EvalPlanError::Address { step: "read", address, elements: count })?;
            packer.push(element(bytes, at, bits));
        }
        Ok(Datum::Tensor(Tensor::from_bytes(buffer.dtype, shape, packer.finish())?))
    }

    pub fn write<C>(
        &mut self,
        plan: &Plan<C>,
        view: &View,
        datum: Datum,
        bindings: &Bindings,
    ) -> Result<(), EvalPlanError> {
        let buffer = buffer(plan, view.buffer)?;
        if let Some(Cell::Object(object)) = self.cells.get_mut(view.buffer.0 as usize) {
            *object = Some(datum);
            return Ok(());
        }
        let tensor = datum.as_tensor().ok_or(EvalPlanError::Malformed("an object is written to bytes"))?;
        let (shape, addresses) = addresses(view, bindings)?;
        if shape != tensor.shape() || tensor.dtype() != buffer.dtype {
            return Err(EvalPlanError::Malformed("a result has another shape or dtype than its view"));
        }
        let bits = buffer.dtype.bits() as usize;
        let top = addresses.iter().max().map_or(0, |a| usize::try_from(*a).unwrap_or(0) + 1);
        let bytes = match self.cells.get_mut(view.buffer.0 as usize) {
            Some(Cell::Arena(start, length)) => self.arena.get_mut(*start..*start + *length),
            Some(Cell::Bytes(bytes)) => {
                if matches!(buffer.place, Place::Growable | Place::Output(_)) {
                    let need = (top * bits).div_ceil(8);
                    if bytes.len() < need {
                        bytes.resize(need, POISON);
                    }
                }
                Some(bytes.as_mut_slice())
            }
            Some(Cell::Object(_)) | None => None,
        };
        let bytes = bytes.ok_or(EvalPlanError::Malformed("no such buffer"))?;
        let count = bytes.len() * 8 / bits.max(1);
        for (address, scalar) in addresses.into_iter().zip(tensor.scalars()) {
            let at = usize::try_from(address).ok().filter(|a| *a < count);
            let at = at.ok_or(EvalPlanError::Address { step: "write", address, elements: count })?;
            set_element(bytes, at, bits, scalar.bits);
        }
        Ok(())
    }
}

fn size(dim: &graph::dim::Dim, bindings: &Bindings) -> Result<usize, EvalPlanError> {
    let value = bindings.dim(dim).and_then(|v| usize::try_from(v).ok());
    value.ok_or_else(|| EvalPlanError::UnknownSize { dim: format!("{dim:?}") })
}

fn buffer<C>(plan: &Plan<C>, id: BufferId) -> Result<&Buffer, EvalPlanError> {
    plan.buffers.get(id.0 as usize).ok_or(EvalPlanError::Malformed("no such buffer"))
}

fn is_object(buffer: &Buffer) -> bool {
    buffer.dtype == graph::dtype::DType::Str
}

/// Extents of a view, and the address of every element in row-major order.
fn addresses(view: &View, bindings: &Bindings) -> Result<(Vec<usize>, Vec<i64>), EvalPlanError> {
    let size =
        |dim: &graph::dim::Dim| bindings.dim(dim).ok_or_else(|| EvalPlanError::UnknownSize { dim: format!("{dim:?}") });
    let shape =
        view.shape.iter().map(|d| size(d).map(|v| usize::try_from(v).unwrap_or(0))).collect::<Result<Vec<_>, _>>()?;
    let strides = view.access.strides.iter().map(size).collect::<Result<Vec<_>, _>>()?;
    let offset = size(&view.access.offset)?;
    let count: usize = shape.iter().product();
    let mut out = Vec::with_capacity(count);
    let mut index = vec![0i64; shape.len()];
    for _ in 0..count {
        let mut address = offset;
        for (d, (i, stride)) in index.iter().zip(&strides).enumerate() {
            address += match view.access.block.filter(|b| b.dim == d) {
                Some(b) => (i / b.factor) * stride + i % b.factor,
                None => i * stride,
            };
        }
        out.push(address);
        for (i, extent) in index.iter_mut().zip(&shape).rev() {
            *i += 1;
            if (*i as usize) < *extent {
                break;
            }
            *i = 0;
        }
    }
    Ok((shape, out))
}

fn element(bytes: &[u8], at: usize, bits: usize) -> u64 {
    if bits >= 8 {
        let width = bits / 8;
        let mut word = [0u8; 8];
        word[..width].copy_from_slice(&bytes[at * width..(at + 1) * width]);
        return u64::from_le_bytes(word);
    }
    let per_byte = 8 / bits;
    (u64::from(bytes[at / per_byte]) >> ((at % per_byte) * bits)) & ((1 << bits) - 1)
}

fn set_element(bytes: &mut [u8], at: usize, bits: usize, value: u64) {
    if bits >= 8 {
        let width = bits / 8;
        bytes[at * width..(at + 1) * width].copy_from_slice(&value.to_le_bytes()[..width]);
        return;
    }
    let per_byte = 8 / bits;
    let shift = (at % per_byte) * bits;
    let mask = (((1u64 << bits) - 1) << shift) as u8;
    let slot = &mut bytes[at / per_byte];
    *slot = (*slot & !mask) | ((value << shift) as u8 & mask);
}

//! Buffers: numbers stay, places and bytes become sizes.

use graph::dim::{Dim, Pred};
use graph::dtype::DType;
use graph::symbol::Symbols;
use plan::arena::bytes;
use plan::plan::{self as planned, BufferId};
use runtime_min::datum::DType as DatumType;
use runtime_min::gpu::program::{Action, Buf, Buffer, Memory, Place, Size, SizeOp, View};

use super::Lowering;
use super::steps::Lines;
use crate::error::EmitError;
use crate::slots::{Slot, is_object, storage_count};
use crate::steps::end_of;

/// A buffer's number in the program.
pub(super) fn buf(id: BufferId) -> Buf {
    Buf(id.0)
}

impl<C> Lowering<'_, '_, '_, C> {
    /// A buffer of the plan.
    pub(super) fn buffer(&self, id: BufferId) -> Result<&planned::Buffer, EmitError> {
        let count = self.plan.buffers.len();
        self.plan.buffers.get(id.0 as usize).ok_or(EmitError::NoBuffer { buffer: id.0, count })
    }

    pub(super) fn place_buffers(&mut self) -> Result<(), EmitError> {
        for (index, buffer) in self.plan.buffers.iter().enumerate() {
            let place = self.place_of(index, buffer)?;
            let bytes = if is_object(buffer) { self.sizes.constant(0) } else { self.sizes.dim(&held(buffer))? };
            self.buffers.push(Buffer { bytes, place });
        }
        Ok(())
    }

    fn place_of(&mut self, index: usize, buffer: &planned::Buffer) -> Result<Place, EmitError> {
        let missing = EmitError::NoBuffer { buffer: index as u32, count: self.plan.buffers.len() };
        Ok(match &buffer.place {
            planned::Place::Arena { offset } => Place::Arena { offset: self.sizes.dim(offset)? },
            planned::Place::Weight(k) => match self.weights.get(*k) {
                Some(Slot::Weight { offset, .. }) => {
                    let bytes = bytes(buffer).as_size().ok_or(missing)?;
                    Place::Weight { offset: *offset as u64, bytes: bytes as u64 }
                }
                Some(Slot::Constant(k)) => {
                    self.constants = self.constants.max(*k as u32 + 1);
                    Place::Constant(*k as u32)
                }
                _ => return Err(missing),
            },
            planned::Place::Input(k) => {
                let number = *self.given.get(k).ok_or(missing)?;
                if is_object(buffer) { Place::InputObject(number) } else { Place::Input(number) }
            }
            planned::Place::Output(k) if is_object(buffer) => self.object(Some((true, *k))),
            planned::Place::State(k) if is_object(buffer) => self.object(Some((false, *k))),
            planned::Place::Output(k) => Place::Output(*k as u32),
            planned::Place::State(k) => Place::State(*k as u32),
            planned::Place::Growable => Place::Growable,
            planned::Place::Object(_) => self.object(None),
        })
    }

    /// An object of the session; one for all buffers of an output or a state.
    fn object(&mut self, shared: Option<(bool, usize)>) -> Place {
        if let Some(known) = shared.and_then(|key| self.object_places.get(&key)) {
            return Place::Object(*known);
        }
        let number = self.objects;
        self.objects += 1;
        if let Some(key) = shared {
            self.object_places.insert(key, number);
        }
        Place::Object(number)
    }

    /// Memory of its own of so many bytes.
    pub(super) fn memory(&mut self, bytes: &Dim) -> Result<Memory, EmitError> {
        if !self.sizes.known_at_start(bytes) {
            return Ok(Memory { bytes: None, most: None });
        }
        let most = self.sizes.symbols().range(bytes).upper().and_then(|most| u64::try_from(most).ok());
        Ok(Memory { bytes: Some(self.sizes.dim(bytes)?), most })
    }

    pub(super) fn memory_of(&mut self, buffer: &planned::Buffer) -> Result<Memory, EmitError> {
        self.memory(&held(buffer))
    }

    /// Whether a buffer is made larger by the steps that write it.
    fn grows(&self, buffer: &planned::Buffer) -> bool {
        match buffer.place {
            planned::Place::Growable => true,
            planned::Place::Output(_) | planned::Place::State(_) => {
                !is_object(buffer) && !self.sizes.known_at_start(&buffer.elements)
            }
            planned::Place::Arena { .. }
            | planned::Place::Weight(_)
            | planned::Place::Input(_)
            | planned::Place::Object(_) => false,
        }
    }

    /// A step that makes room for a view, where its buffer grows.
    pub(super) fn grow(&mut self, lines: &mut Lines, view: &planned::View, node: u32) -> Result<(), EmitError> {
        let buffer = self.buffer(view.buffer)?;
        if is_object(buffer) || !self.grows(buffer) {
            return Ok(());
        }
        let end = end_of(view, self.sizes.symbols());
        let dtype = buffer.dtype;
        let bytes = self.sizes.dim(&stored_bytes(dtype, &end))?;
        lines.push(Action::Grow { buffer: buf(view.buffer), bytes }, node);
        Ok(())
    }

    /// Bytes of so many elements of the storage type.
    fn bytes_of(&mut self, dtype: DType, count: &Dim) -> Result<Size, EmitError> {
        let width = i64::from(dtype.bits()).max(8) / 8;
        self.sizes.dim(&(count * &Dim::constant(width)))
    }

    /// Bytes of so many elements, packed ones rounded up.
    pub(super) fn packed_bytes(&mut self, dtype: DType, count: &Dim) -> Result<Size, EmitError> {
        self.bytes_of(dtype, &storage_count(dtype, count))
    }

    /// Where a view's element 0 lies.
    pub(super) fn start(&mut self, view: &planned::View) -> Result<View, EmitError> {
        let dtype = self.buffer(view.buffer)?.dtype;
        let offset = match i64::from(dtype.bits()) {
            bits @ 1..8 => {
                let (per, symbols) = (Dim::constant(8 / bits), self.sizes.symbols());
                let whole = symbols.prove(&Pred::Divides(per.clone(), view.access.offset.clone()));
                if whole != Some(true) {
                    return Err(EmitError::Packed { buffer: view.buffer.0, dtype: dtype.to_string() });
                }
                let (offset, per) = (self.sizes.dim(&view.access.offset)?, self.sizes.dim(&per)?);
                self.sizes.op(SizeOp::FloorDiv(offset, per))
            }
            _ => self.bytes_of(dtype, &view.access.offset)?,
        };
        Ok(View { buffer: buf(view.buffer), offset })
    }
}

/// Bytes that a buffer has.
fn held(buffer: &planned::Buffer) -> Dim {
    match buffer.place {
        planned::Place::Weight(_) => bytes(buffer),
        planned::Place::Arena { .. }
        | planned::Place::Input(_)
        | planned::Place::Output(_)
        | planned::Place::State(_)
        | planned::Place::Growable
        | planned::Place::Object(_) => stored_bytes(buffer.dtype, &buffer.elements),
    }
}

/// Bytes of so many elements; packed ones take whole words of 32 bits, as kernels write them.
pub(super) fn stored_bytes(dtype: DType, elements: &Dim) -> Dim {
    let bits = i64::from(dtype.bits());
    if bits >= 8 {
        return elements * &Dim::constant(bits / 8);
    }
    let words = Symbols::default().ceil_div(&(elements * &Dim::constant(bits)), &Dim::constant(32));
    &words * &Dim::constant(4)
}

/// The element type as the runtime names it.
pub(super) fn datum_dtype(dtype: DType) -> DatumType {
    match dtype {
        DType::F32 => DatumType::F32,
        DType::F64 => DatumType::F64,
        DType::F16 => DatumType::F16,
        DType::BF16 => DatumType::BF16,
        DType::F8E4M3FN => DatumType::F8E4M3FN,
        DType::F8E4M3FNUZ => DatumType::F8E4M3FNUZ,
        DType::F8E5M2 => DatumType::F8E5M2,
        DType::F8E5M2FNUZ => DatumType::F8E5M2FNUZ,
        DType::F8E8M0 => DatumType::F8E8M0,
        DType::F4E2M1 => DatumType::F4E2M1,
        DType::I64 => DatumType::I64,
        DType::I32 => DatumType::I32,
        DType::I16 => DatumType::I16,
        DType::I8 => DatumType::I8,
        DType::I4 => DatumType::I4,
        DType::I2 => DatumType::I2,
        DType::U64 => DatumType::U64,
        DType::U32 => DatumType::U32,
        DType::U16 => DatumType::U16,
        DType::U8 => DatumType::U8,
        DType::U4 => DatumType::U4,
        DType::U2 => DatumType::U2,
        DType::Bool => DatumType::Bool,
        DType::Str => DatumType::Str,
    }
}

//! Writing results: columns become the bytes of a tensor.

use bytes::Bytes;

use crate::datum::Datum;
use crate::dtype::{Class, DType};
use crate::eval::Problem;
use crate::eval::column::{Column, Vals};
use crate::eval::source::Ranks;
use crate::narrow;
use crate::scalar::Scalar;
use crate::tensor::{Packer, Tensor, element_count};

/// A result under construction, filled in row-major order.
pub(super) struct Sink {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
    packer: Option<Packer>,
    strings: Vec<String>,
}

impl Sink {
    /// An empty result.
    pub(super) fn new(dtype: DType, shape: Vec<usize>) -> Result<Sink, Problem> {
        let too_large = || Problem::TooLarge { dtype, shape: shape.clone() };
        let count = element_count(&shape).ok_or_else(too_large)?;
        let size = dtype.bytes_for(count).filter(|b| *b <= isize::MAX as usize).ok_or_else(too_large)?;
        let packer = if matches!(dtype.bits(), 1..8) { Packer::new(dtype, count) } else { None };
        let mut bytes = Vec::new();
        if packer.is_none() {
            bytes.try_reserve_exact(size).map_err(|_| too_large())?;
        }
        Ok(Sink { dtype, shape, bytes, packer, strings: Vec::new() })
    }

    /// Appends `count` elements.
    pub(super) fn push(&mut self, column: &Column, count: usize, ranks: &Ranks) {
        if let Some(packer) = &mut self.packer {
            for point in 0..count {
                let scalar = match column {
                    Column::F(v) => v.at(point).map(|v| Scalar::from_f64(self.dtype, plain(v))),
                    Column::I(v) => v.at(point).map(|v| Scalar::from_i64(self.dtype, v)),
                };
                packer.push(scalar.map_or(0, |s| s.bits));
            }
            return;
        }
        let out = &mut self.bytes;
        match (column, self.dtype) {
            (Column::F(v), DType::F32) => extend(out, v, count, |x| (plain(x) as f32).to_le_bytes()),
            (Column::F(v), DType::F64) => extend(out, v, count, |x| plain(x).to_le_bytes()),
            (Column::F(v), DType::F16 | DType::BF16) => {
                let dtype = self.dtype;
                extend(out, v, count, |x| (narrow::encode(dtype, plain(x), false) as u16).to_le_bytes());
            }
            (Column::F(v), dtype) => extend(out, v, count, |x| [Scalar::from_f64(dtype, plain(x)).bits as u8]),
            (Column::I(v), DType::Str) => {
                self.strings.extend((0..count).map(|p| ranks.string(v.at(p).unwrap_or(0))));
            }
            (Column::I(v), dtype) => match dtype.bits() {
                64 => extend(out, v, count, i64::to_le_bytes),
                32 => extend(out, v, count, |x| (x as i32).to_le_bytes()),
                16 => extend(out, v, count, |x| (x as i16).to_le_bytes()),
                _ => extend(out, v, count, |x| [x as u8]),
            },
        }
    }

    /// The tensor.
    pub(super) fn finish(self) -> Result<Datum, Problem> {
        let tensor = match (self.dtype.class(), self.packer) {
            (Class::Str, _) => Tensor::from_strings(self.shape, self.strings)?,
            (Class::Float | Class::Signed | Class::Unsigned | Class::Bool, Some(packer)) => {
                Tensor::from_bytes(self.dtype, self.shape, packer.finish())?
            }
            (Class::Float | Class::Signed | Class::Unsigned | Class::Bool, None) => {
                Tensor::from_bytes(self.dtype, self.shape, Bytes::from(self.bytes))?
            }
        };
        Ok(Datum::Tensor(tensor))
    }
}

/// A whole tensor from one column.
pub(super) fn tensor(dtype: DType, shape: Vec<usize>, column: &Column, ranks: &Ranks) -> Result<Datum, Problem> {
    let count = element_count(&shape).unwrap_or(usize::MAX);
    let mut sink = Sink::new(dtype, shape)?;
    sink.push(column, count, ranks);
    sink.finish()
}

/// The same value, NaN without sign and payload, which hosts set differently.
pub(super) fn plain(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

fn extend<T: Copy, const W: usize>(out: &mut Vec<u8>, values: &Vals<T>, count: usize, encode: impl Fn(T) -> [u8; W]) {
    match values {
        Vals::One(v) => {
            let bytes = encode(*v);
            (0..count).for_each(|_| out.extend_from_slice(&bytes));
        }
        Vals::Many(vs) => {
            let start = out.len();
            out.resize(start + vs.len().min(count) * W, 0);
            if let Some(tail) = out.get_mut(start..) {
                tail.as_chunks_mut().0.iter_mut().zip(vs).for_each(|(slot, v)| *slot = encode(*v));
            }
        }
    }
}

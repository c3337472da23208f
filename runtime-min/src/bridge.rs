//! Between the memory of a session and [`Datum`]s: operands and results of host steps, and inputs and outputs that are
//! given by position.

use super::copy::{copy, copy_packed};
use super::datum::{DType, Datum, TensorDatum};
use super::error::{Error, StepError};
use super::memory::Memory;
use super::sizes::{count, extents, size};

/// Bytes of so many elements, those below 8 bits packed.
pub fn byte_length(dtype: DType, elements: usize) -> usize {
    elements.saturating_mul(dtype.bits()).div_ceil(8)
}

/// A tensor as a datum: `bytes` are those of a buffer, the tensor starts at element `offset` of it.
pub fn datum<const N: usize>(dtype: DType, shape: [i64; N], bytes: &[u8], offset: i64) -> Result<Datum, StepError> {
    let shape = extents(shape)?.to_vec();
    let whole = TensorDatum {
        dtype,
        shape: vec![bytes.len() * 8 / dtype.bits().max(1)],
        data: bytes.to_vec(),
        strings: Vec::new(),
    };
    let elements = count(&shape);
    let start = usize::try_from(offset).map_err(|_| StepError::Size { found: offset })?;
    if start == 0 {
        let data = bytes.get(..byte_length(dtype, elements));
        let data = data.ok_or(StepError::Span { start, bytes: elements, memory: bytes.len() })?.to_vec();
        return Ok(Datum::Tensor(TensorDatum { dtype, shape, data, strings: Vec::new() }));
    }
    let mut part = TensorDatum::empty(dtype);
    part.append(&whole, start..start.saturating_add(elements));
    if part.data.len() != byte_length(dtype, elements) {
        return Err(StepError::Span { start, bytes: elements, memory: bytes.len() });
    }
    Ok(Datum::Tensor(part.with_shape(shape)))
}

/// A dense tensor as a datum.
pub fn tensor(dtype: DType, shape: &[usize], bytes: &[u8]) -> Datum {
    Datum::Tensor(TensorDatum { dtype, shape: shape.to_vec(), data: bytes.to_vec(), strings: Vec::new() })
}

/// Bytes of a datum at an aligned address.
pub fn aligned(bytes: &[u8]) -> Result<Memory, StepError> {
    let mut memory = Memory::zeroed(bytes.len())?;
    memory.bytes_mut().copy_from_slice(bytes);
    Ok(memory)
}

/// The tensor in a datum, if it is of this dtype and shape.
pub fn tensor_of<const N: usize>(value: &Datum, dtype: DType, shape: [i64; N]) -> Result<&TensorDatum, StepError> {
    let tensor = value.tensor().map_err(|what| StepError::Host { what })?;
    let expected = extents(shape)?;
    if tensor.dtype != dtype || tensor.shape != expected {
        let what = format!("expected {dtype:?} {expected:?}, found {:?} {:?}", tensor.dtype, tensor.shape);
        return Err(StepError::Host { what });
    }
    Ok(tensor)
}

/// Writes a tensor to a buffer, from element `offset` on.
pub fn store<const N: usize>(
    value: &Datum,
    dtype: DType,
    shape: [i64; N],
    bytes: &mut [u8],
    offset: i64,
) -> Result<(), StepError> {
    let tensor = tensor_of(value, dtype, shape)?;
    let bits = dtype.bits();
    if matches!(bits, 2 | 4) {
        return copy_packed(bits, &tensor.data, 0, bytes, offset, size(tensor.len()));
    }
    let width = size(bits / 8);
    copy(&tensor.data, 0, bytes, offset.wrapping_mul(width), size(tensor.data.len()))
}

/// A constant object of the engine.
pub fn constant(constants: &[Datum], position: usize) -> Result<&Datum, StepError> {
    constants.get(position).ok_or(StepError::Size { found: size(position) })
}

/// Extent `axis` of a tensor.
pub fn extent(value: &Datum, axis: usize) -> Result<i64, StepError> {
    let tensor = value.tensor().map_err(|what| StepError::Host { what })?;
    let found = tensor.shape.get(axis).copied().and_then(|d| i64::try_from(d).ok());
    found.ok_or_else(|| StepError::Host { what: format!("a result of rank {} has no axis {axis}", tensor.shape.len()) })
}

/// Exactly so many results.
pub fn results<const N: usize>(values: Result<Vec<Datum>, String>) -> Result<[Datum; N], StepError> {
    let values = values.map_err(|what| StepError::Host { what })?;
    let found = values.len();
    <[Datum; N]>::try_from(values).map_err(|_| StepError::Host { what: format!("expected {N} results, found {found}") })
}

/// The strings of a buffer.
pub fn strings(value: &Datum) -> Result<&[String], StepError> {
    value.strings().map_err(|what| StepError::Host { what })
}

/// A buffer of strings made ready for these extents.
pub fn strings_mut<const N: usize>(value: &mut Datum, shape: [i64; N]) -> Result<&mut Vec<String>, StepError> {
    let shape = extents(shape)?.to_vec();
    let elements = count(&shape);
    if !matches!(value, Datum::Tensor(t) if t.dtype == DType::Str) {
        *value = no_strings();
    }
    match value {
        Datum::Tensor(tensor) => {
            tensor.shape = shape;
            tensor.strings.resize(elements, String::new());
            Ok(&mut tensor.strings)
        }
        Datum::Seq(_) | Datum::Opt(_) | Datum::Map { .. } => Err(StepError::Size { found: 0 }),
    }
}

/// A tensor without strings.
pub fn no_strings() -> Datum {
    Datum::Tensor(TensorDatum::empty(DType::Str))
}

/// A constant tensor of strings.
pub fn constant_strings(shape: &[usize], strings: &[&str]) -> Datum {
    Datum::Tensor(TensorDatum::from_strings(shape.to_vec(), strings.iter().map(|s| (*s).to_string()).collect()))
}

/// An input given by position: the tensor in it, if it is of this dtype and its bytes are as many as its shape says.
pub fn input_tensor<'a>(
    value: &'a Datum,
    input: &'static str,
    expected: &'static str,
    dtype: DType,
) -> Result<&'a TensorDatum, Error> {
    let wrong = |found: String| Error::InputType { input, expected, found };
    let tensor = value.tensor().map_err(|_| wrong(value.kind().to_string()))?;
    if tensor.dtype != dtype {
        return Err(wrong(format!("{:?}", tensor.dtype)));
    }
    let expected = count(&tensor.shape);
    let whole = tensor.data.len() == byte_length(dtype, expected);
    if !whole || (dtype == DType::Str && tensor.strings.len() != expected) {
        return Err(Error::InputLength { input, expected, found: tensor.strings.len() + tensor.data.len() });
    }
    Ok(tensor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_go_through_buffers() {
        let value = Datum::Tensor(TensorDatum::from_i64s(vec![2, 1], &[5, -6]));
        let mut buffer = [0u8; 24];
        store(&value, DType::I64, [2, 1], &mut buffer, 0).unwrap();
        assert_eq!(datum(DType::I64, [2, 1], &buffer, 0).unwrap(), value);
        let second = Datum::Tensor(TensorDatum::from_i64s(vec![1], &[-6]));
        assert_eq!(datum(DType::I64, [1], &buffer, 1).unwrap(), second);
        assert!(datum(DType::I64, [4], &buffer, 0).is_err());
        assert!(store(&value, DType::I64, [1, 2], &mut buffer, 0).is_err());
        assert_eq!(extent(&value, 0), Ok(2));
        assert!(extent(&value, 2).is_err());
    }

    #[test]
    fn string_buffers_take_a_shape() {
        let mut buffer = Datum::Seq(Vec::new());
        strings_mut(&mut buffer, [2]).unwrap()[1] = "b".to_string();
        assert_eq!(strings(&buffer).unwrap(), &[String::new(), "b".to_string()]);
    }
}

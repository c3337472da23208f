//! Constant tensors: dtype, shape and dense row-major bytes (little endian, sub-byte elements packed), shared without copying.

use std::sync::OnceLock;

use bytes::Bytes;

use crate::dtype::DType;
use crate::scalar::Scalar;

/// A dense tensor in memory; a slice of a mapped file or owned. Strings are kept beside the bytes. One element that repeats takes
/// no bytes until [`Tensor::bytes`] is asked for; a clone made before still takes none.
#[derive(Clone, Debug)]
pub struct Tensor {
    dtype: DType,
    shape: Vec<usize>,
    data: Data,
    strings: Vec<String>,
}

/// What a tensor holds.
#[derive(Clone, Debug)]
enum Data {
    Bytes(Bytes),
    Repeated { element: Scalar, bytes: OnceLock<Bytes> },
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Tensor) -> bool {
        let same = match (&self.data, &other.data) {
            (Data::Repeated { element: a, .. }, Data::Repeated { element: b, .. }) => a == b || self.is_empty(),
            _ => self.bytes() == other.bytes(),
        };
        self.dtype == other.dtype && self.shape == other.shape && same && self.strings == other.strings
    }
}

impl Eq for Tensor {}

/// Why bytes do not make a tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    #[error("a tensor of shape {shape:?} has more elements than memory can hold")]
    TooLarge { shape: Vec<usize> },
    #[error("a tensor of dtype {dtype} and shape {shape:?} takes {expected} bytes, found {found}")]
    Length { dtype: DType, shape: Vec<usize>, expected: usize, found: usize },
}

/// Number of elements of a shape; `None` on overflow.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |acc, d| acc.checked_mul(*d))
}

impl Tensor {
    /// Bytes that elements of a dtype and shape occupy; `None` on overflow.
    pub fn bytes_of(dtype: DType, shape: &[usize]) -> Option<usize> {
        element_count(shape).and_then(|n| dtype.bytes_for(n))
    }

    /// A tensor over bytes that are already dense, row-major and little endian.
    pub fn from_bytes(dtype: DType, shape: Vec<usize>, data: Bytes) -> Result<Tensor, TensorError> {
        let expected = element_count(&shape)
            .and_then(|n| dtype.bytes_for(n))
            .ok_or_else(|| TensorError::TooLarge { shape: shape.clone() })?;
        if dtype == DType::Str || data.len() != expected {
            return Err(TensorError::Length { dtype, shape, expected, found: data.len() });
        }
        Ok(Tensor { dtype, shape, data: Data::Bytes(data), strings: Vec::new() })
    }

    /// A tensor of strings.
    pub fn from_strings(shape: Vec<usize>, strings: Vec<String>) -> Result<Tensor, TensorError> {
        let expected = element_count(&shape).ok_or_else(|| TensorError::TooLarge { shape: shape.clone() })?;
        if strings.len() != expected {
            let found = strings.len();
            return Err(TensorError::Length { dtype: DType::Str, shape, expected, found });
        }
        Ok(Tensor { dtype: DType::Str, shape, data: Data::Bytes(Bytes::new()), strings })
    }

    /// A tensor of elements in row-major order; all must be of `dtype`, which the bits are taken as.
    pub fn from_scalars(dtype: DType, shape: Vec<usize>, elements: &[Scalar]) -> Result<Tensor, TensorError> {
        let count = element_count(&shape).ok_or_else(|| TensorError::TooLarge { shape: shape.clone() })?;
        if count != elements.len() {
            return Err(TensorError::Length { dtype, shape, expected: count, found: elements.len() });
        }
        let mut packer = Packer::new(dtype, count).ok_or(TensorError::TooLarge { shape: shape.clone() })?;
        elements.iter().for_each(|e| packer.push(e.bits));
        Tensor::from_bytes(dtype, shape, packer.finish())
    }

    /// A tensor of one repeated element.
    pub fn splat(value: Scalar, shape: Vec<usize>) -> Result<Tensor, TensorError> {
        let bytes = Tensor::bytes_of(value.dtype, &shape).filter(|bytes| *bytes <= isize::MAX as usize);
        let Some(bytes) = bytes else { return Err(TensorError::TooLarge { shape }) };
        if value.dtype == DType::Str {
            return Err(TensorError::Length { dtype: value.dtype, shape, expected: bytes, found: 0 });
        }
        let data = Data::Repeated { element: value, bytes: OnceLock::new() };
        Ok(Tensor { dtype: value.dtype, shape, data, strings: Vec::new() })
    }

    /// A rank-1 tensor of 64-bit integers.
    pub fn from_i64s(values: &[i64]) -> Tensor {
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Tensor {
            dtype: DType::I64,
            shape: vec![values.len()],
            data: Data::Bytes(Bytes::from(data)),
            strings: Vec::new(),
        }
    }

    /// A rank-1 tensor of 32-bit floats.
    pub fn from_f32s(values: &[f32]) -> Tensor {
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Tensor {
            dtype: DType::F32,
            shape: vec![values.len()],
            data: Data::Bytes(Bytes::from(data)),
            strings: Vec::new(),
        }
    }

    /// A tensor of rank 0.
    pub fn scalar(value: Scalar) -> Tensor {
        let mut packer = Packer { dtype: value.dtype, out: Vec::with_capacity(8), pending: 0, filled: 0 };
        packer.push(value.bits);
        Tensor { dtype: value.dtype, shape: Vec::new(), data: Data::Bytes(packer.finish()), strings: Vec::new() }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extents.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True if there are no elements.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// The dense bytes; empty for strings. Those of a repeated element are made at the first call and kept.
    pub fn bytes(&self) -> &Bytes {
        match &self.data {
            Data::Bytes(bytes) => bytes,
            Data::Repeated { element, bytes } => bytes.get_or_init(|| repeat(*element, self.len())),
        }
    }

    /// The strings in row-major order; empty for other dtypes.
    pub fn strings(&self) -> &[String] {
        &self.strings
    }

    /// The same elements under another shape of the same count.
    pub fn reshaped(mut self, shape: Vec<usize>) -> Result<Tensor, TensorError> {
        if element_count(&shape) != Some(self.len()) {
            let (expected, found) = (self.len(), element_count(&shape).unwrap_or(usize::MAX));
            return Err(TensorError::Length { dtype: self.dtype, shape, expected, found });
        }
        self.shape = shape;
        Ok(self)
    }

    /// The element at a row-major position; `None` beyond the end and for strings.
    pub fn get(&self, index: usize) -> Option<Scalar> {
        if index >= self.len() {
            return None;
        }
        let data = match &self.data {
            Data::Bytes(bytes) => bytes,
            Data::Repeated { element, .. } => return Some(masked(*element)),
        };
        let bits = self.dtype.bits() as usize;
        let raw = match bits {
            0 => return None,
            8 | 16 | 32 | 64 => {
                let width = bits / 8;
                let mut word = [0u8; 8];
                let source = data.get(index * width..(index + 1) * width)?;
                word.get_mut(..width)?.copy_from_slice(source);
                u64::from_le_bytes(word)
            }
            _ => {
                let per_byte = 8 / bits;
                let byte = u64::from(*data.get(index / per_byte)?);
                (byte >> ((index % per_byte) * bits)) & ((1 << bits) - 1)
            }
        };
        Some(Scalar { dtype: self.dtype, bits: raw })
    }

    /// All elements in row-major order; none for strings.
    pub fn scalars(&self) -> impl Iterator<Item = Scalar> + '_ {
        (0..self.len()).map_while(|i| self.get(i))
    }

    /// All elements as integers (floats truncated).
    pub fn to_i64s(&self) -> Vec<i64> {
        self.scalars().map(Scalar::as_i64).collect()
    }

    /// All elements as floats.
    pub fn to_f64s(&self) -> Vec<f64> {
        self.scalars().map(Scalar::as_f64).collect()
    }

    /// The element of a tensor that was made as one that repeats; others may be such without being known to be.
    pub fn repeated(&self) -> Option<Scalar> {
        match &self.data {
            Data::Repeated { element, .. } => Some(masked(*element)),
            Data::Bytes(_) => None,
        }
    }

    /// The element that all others equal, if there is one (bit equality).
    pub fn as_splat(&self) -> Option<Scalar> {
        let first = self.get(0)?;
        let Data::Bytes(data) = &self.data else { return Some(first) };
        let width = self.dtype.bits() as usize / 8;
        if width > 0 {
            let head = data.get(..width)?;
            return data.chunks_exact(width).all(|c| c == head).then_some(first);
        }
        self.scalars().all(|s| s == first).then_some(first)
    }

    /// The hash of dtype, shape and contents (BLAKE3, first 16 bytes).
    pub fn hash(&self) -> Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.dtype.name().as_bytes());
        self.shape.iter().for_each(|d| {
            hasher.update(&(*d as u64).to_le_bytes());
        });
        hasher.update(&[0xFF]);
        match &self.data {
            Data::Bytes(data) => {
                hasher.update(data);
            }
            Data::Repeated { element, .. } => {
                // Equal contents have equal hashes, in whatever form.
                let mut left = self.len();
                let block = repeat(*element, left.min(BLOCK));
                while left >= BLOCK {
                    hasher.update(&block);
                    left -= BLOCK;
                }
                hasher.update(&repeat(*element, left));
            }
        }
        for s in &self.strings {
            hasher.update(&(s.len() as u64).to_le_bytes());
            hasher.update(s.as_bytes());
        }
        let mut short = [0u8; 16];
        short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Hash(short)
    }
}

/// Elements of a repeated one that are made at a time; a multiple of those in a byte.
const BLOCK: usize = 1 << 14;

/// So many times an element's bytes.
fn repeat(element: Scalar, count: usize) -> Bytes {
    let width = element.dtype.bits() as usize / 8;
    if let Some(word) = element.bits.to_le_bytes().get(..width).filter(|w| !w.is_empty()) {
        return Bytes::from(word.repeat(count));
    }
    let mut packer = Packer { dtype: element.dtype, out: Vec::new(), pending: 0, filled: 0 };
    (0..count).for_each(|_| packer.push(element.bits));
    packer.finish()
}

/// An element with the bits that it takes in a tensor, and no others.
fn masked(element: Scalar) -> Scalar {
    let width = element.dtype.bits();
    let mask = if width >= 64 { u64::MAX } else { (1 << width) - 1 };
    Scalar { dtype: element.dtype, bits: element.bits & mask }
}

/// A content hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 16]);

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// Writes elements one after the other, packing those below 8 bits.
pub struct Packer {
    dtype: DType,
    out: Vec<u8>,
    pending: u8,
    filled: u32,
}

impl Packer {
    /// Room for `count` elements; `None` if that many bytes cannot be counted.
    pub fn new(dtype: DType, count: usize) -> Option<Packer> {
        let bytes = dtype.bytes_for(count)?;
        Some(Packer { dtype, out: Vec::with_capacity(bytes.min(1 << 30)), pending: 0, filled: 0 })
    }

    /// Appends one element by its bits.
    pub fn push(&mut self, bits: u64) {
        let width = self.dtype.bits();
        if width >= 8 {
            let bytes = bits.to_le_bytes();
            self.out.extend(bytes.iter().take(width as usize / 8));
        } else if width > 0 {
            self.pending |= ((bits & ((1 << width) - 1)) as u8) << self.filled;
            self.filled += width;
            if self.filled == 8 {
                self.out.push(self.pending);
                (self.pending, self.filled) = (0, 0);
            }
        }
    }

    /// The bytes written, the last one padded with zero bits.
    pub fn finish(mut self) -> Bytes {
        if self.filled > 0 {
            self.out.push(self.pending);
        }
        Bytes::from(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_elements_are_low_bits_first() {
        let elements: Vec<Scalar> = [1, -2, 7].iter().map(|v| Scalar::from_i64(DType::I4, *v)).collect();
        let t = Tensor::from_scalars(DType::I4, vec![3], &elements).unwrap();
        assert_eq!(t.bytes().as_ref(), &[0xE1, 0x07]);
        assert_eq!(t.to_i64s(), vec![1, -2, 7]);
    }

    #[test]
    fn wrong_length_is_refused() {
        let err = Tensor::from_bytes(DType::F32, vec![2, 3], Bytes::from_static(&[0; 20])).unwrap_err();
        assert_eq!(err.to_string(), "a tensor of dtype f32 and shape [2, 3] takes 24 bytes, found 20");
    }

    #[test]
    fn splat_is_recognised() {
        assert_eq!(Tensor::from_f32s(&[2.0, 2.0]).as_splat(), Some(Scalar::f32(2.0)));
        assert_eq!(Tensor::from_f32s(&[0.0, -0.0]).as_splat(), None);
    }

    #[test]
    fn a_repeated_element_is_its_bytes() {
        for (element, count) in
            [(Scalar::f32(-2.5), 40_000), (Scalar::from_i64(DType::I4, -3), 7), (Scalar::f32(1.0), 0)]
        {
            let repeated = Tensor::splat(element, vec![count]).unwrap();
            let dense = Tensor::from_scalars(element.dtype, vec![count], &vec![element; count]).unwrap();
            assert_eq!(repeated.hash(), dense.hash());
            assert_eq!(repeated.get(count / 2), dense.get(count / 2));
            assert_eq!(repeated, dense);
        }
        assert_eq!(Tensor::splat(Scalar::f32(1.0), vec![1 << 45]).unwrap().as_splat(), Some(Scalar::f32(1.0)));
    }
}

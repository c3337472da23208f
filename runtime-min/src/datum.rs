//! Values of host steps: tensors of any element type, sequences, optionals and maps, and the attributes of a step.
//!
//! A host step is `fn run(attrs: &[(&str, Attr)], inputs: &[&Datum]) -> Result<Vec<Datum>, String>`. Tensors are dense,
//! row-major and little endian; elements below 8 bits are packed, low bits first; strings are kept beside the bytes.

use std::ops::Range;

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// IEEE 16-bit float.
    F16,
    /// 16-bit float with 8 exponent bits.
    BF16,
    /// 8-bit float: 4 exponent bits, no infinity.
    F8E4M3FN,
    /// The same without negative zero.
    F8E4M3FNUZ,
    /// 8-bit float: 5 exponent bits.
    F8E5M2,
    /// The same without infinity and negative zero.
    F8E5M2FNUZ,
    /// 8-bit power of two.
    F8E8M0,
    /// 4-bit float.
    F4E2M1,
    /// 64-bit integer.
    I64,
    /// 32-bit integer.
    I32,
    /// 16-bit integer.
    I16,
    /// 8-bit integer.
    I8,
    /// 4-bit integer.
    I4,
    /// 2-bit integer.
    I2,
    /// 64-bit unsigned integer.
    U64,
    /// 32-bit unsigned integer.
    U32,
    /// 16-bit unsigned integer.
    U16,
    /// 8-bit unsigned integer.
    U8,
    /// 4-bit unsigned integer.
    U4,
    /// 2-bit unsigned integer.
    U2,
    /// Truth value, one byte: 0 or 1.
    Bool,
    /// UTF-8 string.
    Str,
}

impl DType {
    /// Bits of one element; 0 for strings.
    pub fn bits(self) -> usize {
        match self {
            DType::F64 | DType::I64 | DType::U64 => 64,
            DType::F32 | DType::I32 | DType::U32 => 32,
            DType::F16 | DType::BF16 | DType::I16 | DType::U16 => 16,
            DType::F8E4M3FN | DType::F8E4M3FNUZ | DType::F8E5M2 | DType::F8E5M2FNUZ | DType::F8E8M0 => 8,
            DType::I8 | DType::U8 | DType::Bool => 8,
            DType::F4E2M1 | DType::I4 | DType::U4 => 4,
            DType::I2 | DType::U2 => 2,
            DType::Str => 0,
        }
    }
}

/// One attribute of a host step.
#[derive(Clone, Debug, PartialEq)]
pub enum Attr {
    Int(i64),
    Ints(Vec<i64>),
    Float(f64),
    Str(String),
    Strs(Vec<String>),
    Bool(bool),
    DType(DType),
}

/// The attributes of a host step.
pub type Attrs<'a> = &'a [(&'a str, Attr)];

/// An integer attribute.
pub fn attr_int(attrs: Attrs<'_>, name: &str) -> Option<i64> {
    match find(attrs, name) {
        Some(Attr::Int(v)) => Some(*v),
        _ => None,
    }
}

/// A truth value; false where it is missing.
pub fn attr_bool(attrs: Attrs<'_>, name: &str) -> bool {
    matches!(find(attrs, name), Some(Attr::Bool(true)))
}

/// A string attribute.
pub fn attr_str<'a>(attrs: Attrs<'a>, name: &str) -> Option<&'a str> {
    match find(attrs, name) {
        Some(Attr::Str(v)) => Some(v),
        _ => None,
    }
}

/// A list of strings; empty where it is missing.
pub fn attr_strs<'a>(attrs: Attrs<'a>, name: &str) -> &'a [String] {
    match find(attrs, name) {
        Some(Attr::Strs(v)) => v,
        _ => &[],
    }
}

/// An element type.
pub fn attr_dtype(attrs: Attrs<'_>, name: &str) -> Option<DType> {
    match find(attrs, name) {
        Some(Attr::DType(v)) => Some(*v),
        _ => None,
    }
}

fn find<'a>(attrs: Attrs<'a>, name: &str) -> Option<&'a Attr> {
    attrs.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
}

/// A dense tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorDatum {
    /// Element type.
    pub dtype: DType,
    /// Extents.
    pub shape: Vec<usize>,
    /// Elements; empty for strings.
    pub data: Vec<u8>,
    /// Elements of a string tensor; empty for other element types.
    pub strings: Vec<String>,
}

/// A value at run time.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    /// A tensor.
    Tensor(TensorDatum),
    /// A sequence.
    Seq(Vec<Datum>),
    /// An optional.
    Opt(Option<Box<Datum>>),
    /// A map.
    Map {
        /// Integers or strings, rank 1.
        keys: TensorDatum,
        /// In the order of the keys.
        values: Vec<Datum>,
    },
}

impl TensorDatum {
    /// A tensor without elements yet, to be filled by [`TensorDatum::append`].
    pub fn empty(dtype: DType) -> TensorDatum {
        TensorDatum { dtype, shape: vec![0], data: Vec::new(), strings: Vec::new() }
    }

    /// Strings in row-major order.
    pub fn from_strings(shape: Vec<usize>, strings: Vec<String>) -> TensorDatum {
        TensorDatum { dtype: DType::Str, shape, data: Vec::new(), strings }
    }

    /// 64-bit integers in row-major order.
    pub fn from_i64s(shape: Vec<usize>, values: &[i64]) -> TensorDatum {
        let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        TensorDatum { dtype: DType::I64, shape, data, strings: Vec::new() }
    }

    /// Truth values in row-major order.
    pub fn from_bools(shape: Vec<usize>, values: &[bool]) -> TensorDatum {
        TensorDatum {
            dtype: DType::Bool,
            shape,
            data: values.iter().map(|v| u8::from(*v)).collect(),
            strings: Vec::new(),
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True if there are no elements.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// Bits of the element at a row-major position; 0 beyond the end and for strings.
    pub fn bits(&self, index: usize) -> u64 {
        let width = self.dtype.bits();
        if width >= 8 {
            let bytes = width / 8;
            let source = self.data.get(index * bytes..(index + 1) * bytes).unwrap_or(&[]);
            return source.iter().rev().fold(0, |acc, b| acc << 8 | u64::from(*b));
        }
        if width == 0 {
            return 0;
        }
        let per_byte = 8 / width;
        let byte = u64::from(self.data.get(index / per_byte).copied().unwrap_or(0));
        byte >> ((index % per_byte) * width) & ((1 << width) - 1)
    }

    /// The element at a row-major position as an integer, if the element type is one or bool.
    pub fn integer(&self, index: usize) -> Option<i64> {
        let (bits, width) = (self.bits(index), self.dtype.bits());
        match self.dtype {
            DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::I4 | DType::I2 => {
                Some((bits << (64 - width)) as i64 >> (64 - width))
            }
            DType::U64 | DType::U32 | DType::U16 | DType::U8 | DType::U4 | DType::U2 | DType::Bool => Some(bits as i64),
            DType::F32 | DType::F64 | DType::F16 | DType::BF16 => None,
            DType::F8E4M3FN | DType::F8E4M3FNUZ | DType::F8E5M2 | DType::F8E5M2FNUZ | DType::F8E8M0 => None,
            DType::F4E2M1 | DType::Str => None,
        }
    }

    /// All elements as integers, if the element type is one or bool.
    pub fn integers(&self) -> Option<Vec<i64>> {
        (0..self.len()).map(|i| self.integer(i)).collect()
    }

    /// Appends a run of elements of a tensor of the same element type and counts them as rank 1.
    pub fn append(&mut self, from: &TensorDatum, run: Range<usize>) {
        let width = self.dtype.bits();
        let start = self.len();
        self.shape = vec![start + run.len()];
        if width == 0 {
            self.strings.extend_from_slice(from.strings.get(run).unwrap_or(&[]));
        } else if width >= 8 {
            let bytes = width / 8;
            self.data.extend_from_slice(from.data.get(run.start * bytes..run.end * bytes).unwrap_or(&[]));
        } else {
            let per_byte = 8 / width;
            for (k, source) in run.enumerate() {
                let shift = ((start + k) % per_byte) * width;
                let bits = (from.bits(source) as u8) << shift;
                match self.data.last_mut() {
                    Some(last) if shift > 0 => *last |= bits,
                    _ => self.data.push(bits),
                }
            }
        }
    }

    /// The same elements under another shape of the same count.
    pub fn with_shape(mut self, shape: Vec<usize>) -> TensorDatum {
        self.shape = shape;
        self
    }
}

impl Datum {
    /// The tensor, or a message naming what is there instead.
    pub fn tensor(&self) -> Result<&TensorDatum, String> {
        match self {
            Datum::Tensor(t) => Ok(t),
            Datum::Seq(_) | Datum::Opt(_) | Datum::Map { .. } => {
                Err(format!("expected a tensor, found {}", self.kind()))
            }
        }
    }

    /// The elements of a sequence, or a message naming what is there instead.
    pub fn sequence(&self) -> Result<&[Datum], String> {
        match self {
            Datum::Seq(items) => Ok(items),
            Datum::Tensor(_) | Datum::Opt(_) | Datum::Map { .. } => {
                Err(format!("expected a sequence, found {}", self.kind()))
            }
        }
    }

    /// The strings of a string tensor, or a message naming what is there instead.
    pub fn strings(&self) -> Result<&[String], String> {
        let tensor = self.tensor()?;
        if tensor.dtype == DType::Str {
            return Ok(&tensor.strings);
        }
        Err(format!("expected strings, found {:?}", tensor.dtype))
    }

    /// The only element of an integer tensor, or a message naming what is there instead.
    pub fn index(&self) -> Result<i64, String> {
        let tensor = self.tensor()?;
        match (tensor.len(), tensor.integer(0)) {
            (1, Some(value)) => Ok(value),
            _ => Err(format!("expected one integer, found {:?} {:?}", tensor.dtype, tensor.shape)),
        }
    }

    /// What kind of value this is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Datum::Tensor(_) => "a tensor",
            Datum::Seq(_) => "a sequence",
            Datum::Opt(_) => "an optional",
            Datum::Map { .. } => "a map",
        }
    }
}

/// Operand `position` of a host step.
pub fn input<'a>(inputs: &[&'a Datum], position: usize) -> Result<&'a Datum, String> {
    inputs.get(position).copied().ok_or_else(|| format!("operand {position} is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_elements_append_across_bytes() {
        let from = TensorDatum { dtype: DType::I4, shape: vec![3], data: vec![0xF1, 0x02], strings: Vec::new() };
        let mut to = TensorDatum::empty(DType::I4);
        to.append(&from, 0..3);
        to.append(&from, 1..3);
        assert_eq!(to.integers(), Some(vec![1, -1, 2, -1, 2]));
        assert_eq!(to.data, vec![0xF1, 0xF2, 0x02]);
    }

    #[test]
    fn kinds_are_named() {
        let message = Datum::Seq(Vec::new()).tensor().unwrap_err();
        assert_eq!(message, "expected a tensor, found a sequence");
    }
}

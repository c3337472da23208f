//! Element types: every tensor dtype of ONNX except complex, with one property table.

/// Element type of a tensor. Names follow ONNX `TensorProto.DataType` in Rust spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DType {
    F32,
    F64,
    F16,
    BF16,
    F8E4M3FN,
    F8E4M3FNUZ,
    F8E5M2,
    F8E5M2FNUZ,
    F8E8M0,
    F4E2M1,
    I64,
    I32,
    I16,
    I8,
    I4,
    I2,
    U64,
    U32,
    U16,
    U8,
    U4,
    U2,
    Bool,
    /// UTF-8 strings; only at model borders, in host operators, and where a `Compute` moves them.
    Str,
}

/// How values of a dtype behave in arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Float,
    Signed,
    Unsigned,
    Bool,
    Str,
}

/// One row of the property table.
#[derive(Clone, Copy, Debug)]
pub struct Properties {
    /// The dtype the row is about.
    pub dtype: DType,
    /// Spelling in every text form.
    pub name: &'static str,
    /// Arithmetic class.
    pub class: Class,
    /// Bits of one element in memory; below 8 the elements are packed, low bits first. 0 for strings.
    pub bits: u32,
    /// Code in ONNX `TensorProto.DataType`.
    pub onnx: i32,
}

const fn row(dtype: DType, name: &'static str, class: Class, bits: u32, onnx: i32) -> Properties {
    Properties { dtype, name, class, bits, onnx }
}

/// The property table, in the order of the enum.
pub const TABLE: [Properties; 24] = [
    row(DType::F32, "f32", Class::Float, 32, 1),
    row(DType::F64, "f64", Class::Float, 64, 11),
    row(DType::F16, "f16", Class::Float, 16, 10),
    row(DType::BF16, "bf16", Class::Float, 16, 16),
    row(DType::F8E4M3FN, "f8e4m3fn", Class::Float, 8, 17),
    row(DType::F8E4M3FNUZ, "f8e4m3fnuz", Class::Float, 8, 18),
    row(DType::F8E5M2, "f8e5m2", Class::Float, 8, 19),
    row(DType::F8E5M2FNUZ, "f8e5m2fnuz", Class::Float, 8, 20),
    row(DType::F8E8M0, "f8e8m0", Class::Float, 8, 24),
    row(DType::F4E2M1, "f4e2m1", Class::Float, 4, 23),
    row(DType::I64, "i64", Class::Signed, 64, 7),
    row(DType::I32, "i32", Class::Signed, 32, 6),
    row(DType::I16, "i16", Class::Signed, 16, 5),
    row(DType::I8, "i8", Class::Signed, 8, 3),
    row(DType::I4, "i4", Class::Signed, 4, 22),
    row(DType::I2, "i2", Class::Signed, 2, 26),
    row(DType::U64, "u64", Class::Unsigned, 64, 13),
    row(DType::U32, "u32", Class::Unsigned, 32, 12),
    row(DType::U16, "u16", Class::Unsigned, 16, 4),
    row(DType::U8, "u8", Class::Unsigned, 8, 2),
    row(DType::U4, "u4", Class::Unsigned, 4, 21),
    row(DType::U2, "u2", Class::Unsigned, 2, 25),
    row(DType::Bool, "bool", Class::Bool, 8, 9),
    row(DType::Str, "str", Class::Str, 0, 8),
];

impl DType {
    /// The row of the property table.
    pub fn properties(self) -> &'static Properties {
        &TABLE[self as usize]
    }

    /// Spelling in text forms.
    pub fn name(self) -> &'static str {
        self.properties().name
    }

    /// Arithmetic class.
    pub fn class(self) -> Class {
        self.properties().class
    }

    /// Bits of one element (0 for strings).
    pub fn bits(self) -> u32 {
        self.properties().bits
    }

    /// True for every float format.
    pub fn is_float(self) -> bool {
        self.class() == Class::Float
    }

    /// True for signed and unsigned integers, not for bool.
    pub fn is_int(self) -> bool {
        matches!(self.class(), Class::Signed | Class::Unsigned)
    }

    /// Bytes that `count` elements occupy, sub-byte elements packed; `None` on overflow.
    pub fn bytes_for(self, count: usize) -> Option<usize> {
        let bits = (count as u128) * u128::from(self.bits());
        usize::try_from(bits.div_ceil(8)).ok()
    }

    /// The dtype of an ONNX `TensorProto.DataType` code.
    pub fn from_onnx(code: i32) -> Option<DType> {
        TABLE.iter().find(|p| p.onnx == code).map(|p| p.dtype)
    }

    /// The dtype of a spelling in text forms.
    pub fn from_name(name: &str) -> Option<DType> {
        TABLE.iter().find(|p| p.name == name).map(|p| p.dtype)
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_in_enum_order() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.dtype as usize, index);
            assert_eq!(DType::from_onnx(row.onnx), Some(row.dtype));
            assert_eq!(DType::from_name(row.name), Some(row.dtype));
        }
    }

    #[test]
    fn sub_byte_elements_are_packed() {
        assert_eq!(DType::U4.bytes_for(3), Some(2));
        assert_eq!(DType::I2.bytes_for(5), Some(2));
        assert_eq!(DType::F64.bytes_for(usize::MAX), None);
    }
}

//! `TensorProto` to a dense tensor. Raw and external data are shared, typed data are packed anew.
//!
//! Dims, limits and the length of the data are checked before anything is allocated.

mod sparse;

pub use sparse::decode_sparse;

use bytes::Bytes;
use graph::dtype::{Class, DType};
use graph::tensor::{Packer, Tensor, element_count};

use crate::external::ExternalFiles;
use crate::options::Options;
use crate::problem::{Code, Fault};
use crate::proto::TensorProto;
use crate::proto::tensor_proto::DataLocation;

/// What decoding a tensor needs from around it.
pub struct Source<'a> {
    pub files: &'a mut ExternalFiles,
    pub options: &'a Options,
}

/// The tensor of a message.
pub fn decode(proto: &TensorProto, source: &mut Source<'_>) -> Result<Tensor, Fault> {
    let dtype = dtype(proto.data_type())?;
    let shape = shape(&proto.dims, source.options)?;
    let too_large = || Fault::new(Code::Dims, "a tensor that fits into memory", format!("shape {:?}", proto.dims));
    let count = element_count(&shape).ok_or_else(too_large)?;
    if proto.segment.is_some() {
        return Err(Fault::new(Code::DataField, "a whole tensor", "a segment of one"));
    }
    if dtype == DType::Str {
        return strings(proto, shape, count);
    }
    let length = dtype.bytes_for(count).ok_or_else(too_large)?;
    let external = proto.data_location() == DataLocation::External;
    let present = fields(proto, external);
    let field = match present.as_slice() {
        [] => None,
        [field] => Some(*field),
        [first, second, ..] => {
            return Err(Fault::new(Code::DataField, "data in one field", format!("{first} and {second}")));
        }
    };
    let data = match field {
        Some("external_data") => source.files.read(&proto.external_data, length)?,
        Some("raw_data") => proto.raw_data.clone().unwrap_or_default(),
        Some(field) if field == field_of(dtype) => typed(proto, dtype, count)?,
        Some(field) => {
            let expected = format!("{} for dtype {dtype}", field_of(dtype));
            return Err(Fault::new(Code::DataField, expected, field));
        }
        None => Bytes::new(),
    };
    if data.len() != length {
        let expected = format!("{length} bytes for {dtype}{shape:?}");
        return Err(Fault::new(Code::DataLength, expected, format!("{} bytes", data.len())));
    }
    let data = canonical(dtype, count, data);
    Tensor::from_bytes(dtype, shape, data).map_err(|e| Fault::new(Code::DataLength, "a whole tensor", e.to_string()))
}

/// The dtype of an ONNX code.
pub fn dtype(code: i32) -> Result<DType, Fault> {
    DType::from_onnx(code).ok_or_else(|| {
        let name = match crate::proto::tensor_proto::DataType::try_from(code) {
            Ok(known) => known.as_str_name().to_string(),
            Err(_) => format!("code {code}"),
        };
        Fault::new(Code::DType, "a supported tensor dtype", name)
    })
}

/// Dims as extents, within the limits.
pub fn shape(dims: &[i64], options: &Options) -> Result<Vec<usize>, Fault> {
    if dims.len() > options.limits.rank {
        let expected = format!("at most {} dims", options.limits.rank);
        return Err(Fault::new(Code::Limit, expected, dims.len().to_string()).about("rank"));
    }
    let mut product: i128 = 1;
    let mut shape = Vec::with_capacity(dims.len());
    for dim in dims {
        let extent =
            usize::try_from(*dim).map_err(|_| Fault::new(Code::Dims, "extents of 0 or more", format!("{dims:?}")))?;
        product = product.saturating_mul(i128::from(*dim));
        shape.push(extent);
    }
    if product > i128::from(options.limits.elements) {
        let expected = format!("at most {}", options.limits.elements);
        return Err(Fault::new(Code::Limit, expected, format!("{dims:?}")).about("elements"));
    }
    Ok(shape)
}

/// Names of the fields that hold data.
fn fields(proto: &TensorProto, external: bool) -> Vec<&'static str> {
    let held = [
        ("external_data", external),
        ("raw_data", proto.raw_data.as_ref().is_some_and(|d| !d.is_empty())),
        ("float_data", !proto.float_data.is_empty()),
        ("int32_data", !proto.int32_data.is_empty()),
        ("string_data", !proto.string_data.is_empty()),
        ("int64_data", !proto.int64_data.is_empty()),
        ("double_data", !proto.double_data.is_empty()),
        ("uint64_data", !proto.uint64_data.is_empty()),
    ];
    held.iter().filter(|(_, held)| *held).map(|(name, _)| *name).collect()
}

/// The typed field of a dtype.
fn field_of(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float_data",
        DType::F64 => "double_data",
        DType::I64 => "int64_data",
        DType::U64 | DType::U32 => "uint64_data",
        DType::Str => "string_data",
        DType::F16
        | DType::BF16
        | DType::F8E4M3FN
        | DType::F8E4M3FNUZ
        | DType::F8E5M2
        | DType::F8E5M2FNUZ
        | DType::F8E8M0
        | DType::F4E2M1
        | DType::I32
        | DType::I16
        | DType::I8
        | DType::I4
        | DType::I2
        | DType::U16
        | DType::U8
        | DType::U4
        | DType::U2
        | DType::Bool => "int32_data",
    }
}

/// Data of a typed field as dense little-endian bytes.
fn typed(proto: &TensorProto, dtype: DType, count: usize) -> Result<Bytes, Fault> {
    let length = |found: usize, expected: usize| {
        if found == expected {
            return Ok(());
        }
        let expected = format!("{expected} elements in {}", field_of(dtype));
        Err(Fault::new(Code::DataLength, expected, found.to_string()))
    };
    match dtype {
        DType::F32 => {
            length(proto.float_data.len(), count)?;
            Ok(proto.float_data.iter().flat_map(|v| v.to_le_bytes()).collect())
        }
        DType::F64 => {
            length(proto.double_data.len(), count)?;
            Ok(proto.double_data.iter().flat_map(|v| v.to_le_bytes()).collect())
        }
        DType::I64 => {
            length(proto.int64_data.len(), count)?;
            Ok(proto.int64_data.iter().flat_map(|v| v.to_le_bytes()).collect())
        }
        DType::U64 => {
            length(proto.uint64_data.len(), count)?;
            Ok(proto.uint64_data.iter().flat_map(|v| v.to_le_bytes()).collect())
        }
        DType::U32 => {
            length(proto.uint64_data.len(), count)?;
            let words: Result<Vec<u32>, Fault> =
                proto.uint64_data.iter().map(|v| u32::try_from(*v).map_err(|_| out_of_range(dtype, v))).collect();
            Ok(words?.iter().flat_map(|v| v.to_le_bytes()).collect())
        }
        // Elements below 8 bits come packed, one byte an entry; all others one an entry.
        _ => {
            let bits = dtype.bits().max(8);
            let entries = if dtype.bits() < 8 { dtype.bytes_for(count).unwrap_or(usize::MAX) } else { count };
            length(proto.int32_data.len(), entries)?;
            let container = if bits == 8 { DType::U8 } else { dtype };
            let mut packer = Packer::new(container, entries).ok_or_else(|| {
                Fault::new(Code::Dims, "a tensor that fits into memory", format!("{entries} elements"))
            })?;
            for value in &proto.int32_data {
                let wide = i64::from(*value);
                let fits = match dtype.class() {
                    Class::Signed if dtype.bits() >= 8 => wide >= -(1 << (bits - 1)) && wide < 1 << (bits - 1),
                    Class::Unsigned | Class::Bool => wide >= 0 && wide < 1 << bits,
                    // A bit pattern, as an unsigned or as a sign-extended number.
                    Class::Float | Class::Signed | Class::Str => wide >= -(1 << (bits - 1)) && wide < 1 << bits,
                };
                if !fits {
                    return Err(out_of_range(dtype, value));
                }
                packer.push(wide as u64);
            }
            Ok(packer.finish())
        }
    }
}

fn out_of_range(dtype: DType, value: impl std::fmt::Display) -> Fault {
    Fault::new(Code::DataField, format!("values of dtype {dtype}"), value.to_string())
}

fn strings(proto: &TensorProto, shape: Vec<usize>, count: usize) -> Result<Tensor, Fault> {
    let present = fields(proto, proto.data_location() == DataLocation::External);
    if let Some(field) = present.iter().find(|f| **f != "string_data") {
        return Err(Fault::new(Code::DataField, "string_data for dtype str", *field));
    }
    if proto.string_data.len() != count {
        let expected = format!("{count} elements in string_data");
        return Err(Fault::new(Code::DataLength, expected, proto.string_data.len().to_string()));
    }
    let texts: Result<Vec<String>, Fault> = proto.string_data.iter().map(|bytes| text(bytes)).collect();
    Tensor::from_strings(shape, texts?).map_err(|e| Fault::new(Code::DataLength, "a whole tensor", e.to_string()))
}

/// Bytes as UTF-8.
pub fn text(bytes: &[u8]) -> Result<String, Fault> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_string()),
        Err(e) => Err(Fault::new(Code::Text, "UTF-8", e.to_string())),
    }
}

/// One form per value: bool is 0 or 1, bits behind the last packed element are 0.
fn canonical(dtype: DType, count: usize, data: Bytes) -> Bytes {
    if dtype == DType::Bool && data.iter().any(|b| *b > 1) {
        return data.iter().map(|b| u8::from(*b != 0)).collect();
    }
    let used = (count as u128 * u128::from(dtype.bits()) % 8) as u32;
    let mask = (1u8 << used).wrapping_sub(1);
    match data.last() {
        Some(last) if used != 0 && last & !mask != 0 => {
            let mut owned = data.to_vec();
            if let Some(last) = owned.last_mut() {
                *last &= mask;
            }
            Bytes::from(owned)
        }
        Some(_) | None => data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::SparseTensorProto;

    fn read(proto: &TensorProto) -> Result<Tensor, Fault> {
        let options = Options::default();
        decode(proto, &mut Source { files: &mut ExternalFiles::new(None, false), options: &options })
    }

    fn of(dtype: DType, dims: &[i64]) -> TensorProto {
        TensorProto { data_type: Some(dtype.properties().onnx), dims: dims.to_vec(), ..TensorProto::default() }
    }

    #[track_caller]
    fn check(proto: &TensorProto, expected: &[f64]) {
        assert_eq!(read(proto).map(|t| t.to_f64s()), Ok(expected.to_vec()));
    }

    #[test]
    fn int32_data_hold_every_narrow_dtype() {
        let data = |dtype, dims: &[i64], values: &[i32]| TensorProto { int32_data: values.to_vec(), ..of(dtype, dims) };
        check(&data(DType::I8, &[2], &[-128, 127]), &[-128.0, 127.0]);
        check(&data(DType::U16, &[2], &[0, 65535]), &[0.0, 65535.0]);
        check(&data(DType::Bool, &[3], &[0, 1, 1]), &[0.0, 1.0, 1.0]);
        check(&data(DType::F16, &[2], &[0x3C00, 0xC000]), &[1.0, -2.0]);
        check(&data(DType::F16, &[1], &[-0x4000]), &[-2.0]);
        check(&data(DType::BF16, &[1], &[0x3F80]), &[1.0]);
        check(&data(DType::F8E4M3FN, &[1], &[0x38]), &[1.0]);
        check(&data(DType::I4, &[3], &[0xE1, 0x07]), &[1.0, -2.0, 7.0]);
        check(&data(DType::U2, &[5], &[0b11_10_01_00, 0b01]), &[0.0, 1.0, 2.0, 3.0, 1.0]);
        check(&data(DType::I32, &[1], &[i32::MIN]), &[f64::from(i32::MIN)]);
        assert!(read(&data(DType::I4, &[3], &[1, 2, 3])).is_err());
        assert!(read(&data(DType::I8, &[1], &[128])).is_err());
    }

    #[test]
    fn raw_data_are_shared_and_canonical() {
        let raw = |dtype, dims: &[i64], bytes: &'static [u8]| TensorProto {
            raw_data: Some(Bytes::from_static(bytes)),
            ..of(dtype, dims)
        };
        let proto = raw(DType::F32, &[1], &[0, 0, 0x80, 0x3F]);
        let shared = read(&proto).unwrap();
        assert_eq!(shared.bytes().as_ptr(), proto.raw_data.as_ref().unwrap().as_ptr());
        assert_eq!(read(&raw(DType::Bool, &[2], &[2, 0])).unwrap().bytes().as_ref(), [1, 0]);
        assert_eq!(read(&raw(DType::U4, &[1], &[0xF3])).unwrap().bytes().as_ref(), [0x03]);
        check(&raw(DType::I64, &[0], &[]), &[]);
        check(&of(DType::F32, &[3, 0]), &[]);
    }

    #[test]
    fn typed_data_of_wide_dtypes() {
        check(&TensorProto { double_data: vec![0.5], ..of(DType::F64, &[]) }, &[0.5]);
        check(&TensorProto { uint64_data: vec![7], ..of(DType::U32, &[1]) }, &[7.0]);
        check(&TensorProto { uint64_data: vec![1 << 63], ..of(DType::U64, &[1]) }, &[9223372036854775808.0]);
        let words = TensorProto { string_data: vec![b"a".to_vec(), "ü".into()], ..of(DType::Str, &[2]) };
        assert_eq!(read(&words).unwrap().strings(), ["a", "ü"]);
    }

    #[test]
    fn sparse_tensors_become_dense() {
        let options = Options::default();
        let check = |dims: &[i64], indices: TensorProto, expected: &[f64]| {
            let values = TensorProto { float_data: vec![5.0, 6.0], ..of(DType::F32, &[2]) };
            let proto = SparseTensorProto { values: Some(values), indices: Some(indices), dims: dims.to_vec() };
            let mut files = ExternalFiles::new(None, false);
            let tensor = decode_sparse(&proto, &mut Source { files: &mut files, options: &options }).unwrap();
            assert_eq!(tensor.to_f64s(), expected);
        };
        check(&[4], TensorProto { int64_data: vec![1, 3], ..of(DType::I64, &[2]) }, &[0.0, 5.0, 0.0, 6.0]);
        let pairs = TensorProto { int64_data: vec![0, 1, 1, 0], ..of(DType::I64, &[2, 2]) };
        check(&[2, 2], pairs, &[0.0, 5.0, 6.0, 0.0]);
    }
}

//! `SparseTensorProto` to a dense tensor.

use graph::dtype::DType;
use graph::tensor::{Packer, Tensor, element_count};

use crate::problem::{Code, Fault};
use crate::proto::{SparseTensorProto, TensorProto};
use crate::tensor::{Source, decode, shape};

/// The dense tensor of a sparse one. Positions must rise, so that none occurs twice.
pub fn decode_sparse(proto: &SparseTensorProto, source: &mut Source<'_>) -> Result<Tensor, Fault> {
    let fault = |expected: &str, found: String| Fault::new(Code::Sparse, expected, found);
    let dims = shape(&proto.dims, source.options)?;
    let count = element_count(&dims).ok_or_else(|| fault("a tensor that fits into memory", format!("{dims:?}")))?;
    let values =
        decode(proto.values.as_ref().unwrap_or(&TensorProto::default()), source).map_err(|f| f.about("values"))?;
    let bytes = values.dtype().bytes_for(count).unwrap_or(usize::MAX);
    if bytes > source.options.dense_bytes {
        let expected = format!("at most {} bytes", source.options.dense_bytes);
        return Err(Fault::new(Code::Limit, expected, bytes.to_string()).about("dense-bytes"));
    }
    let [stored] = values.shape() else {
        return Err(fault("values of rank 1", format!("shape {:?}", values.shape())));
    };
    if values.dtype() == DType::Str {
        return Err(fault("values that are numbers", "strings".to_string()));
    }
    let positions = positions(proto, &dims, *stored, source)?;
    if positions.len() != *stored {
        return Err(fault("one position a value", format!("{} for {stored}", positions.len())));
    }
    let mut packer = Packer::new(values.dtype(), count)
        .ok_or_else(|| fault("a tensor that fits into memory", format!("{dims:?}")))?;
    let mut next = 0usize;
    for (position, value) in positions.iter().zip(values.scalars()) {
        if *position < next || *position >= count {
            let found = format!("{position} of {count}, after {next} positions");
            return Err(fault("rising positions inside the tensor", found));
        }
        (next..*position).for_each(|_| packer.push(0));
        packer.push(value.bits);
        next = position + 1;
    }
    (next..count).for_each(|_| packer.push(0));
    Tensor::from_bytes(values.dtype(), dims, packer.finish()).map_err(|e| fault("a whole tensor", e.to_string()))
}

/// Row-major positions of the values.
fn positions(
    proto: &SparseTensorProto,
    dims: &[usize],
    stored: usize,
    source: &mut Source<'_>,
) -> Result<Vec<usize>, Fault> {
    let fault = |expected: String, found: String| Fault::new(Code::Sparse, expected, found);
    let empty = TensorProto { data_type: Some(DType::I64.properties().onnx), dims: vec![0], ..TensorProto::default() };
    let indices = decode(proto.indices.as_ref().unwrap_or(&empty), source).map_err(|f| f.about("indices"))?;
    if indices.dtype() != DType::I64 {
        return Err(fault("indices of dtype i64".to_string(), indices.dtype().to_string()));
    }
    let numbers = indices.to_i64s();
    let outside = |index: i64| fault(format!("indices inside {dims:?}"), index.to_string());
    match indices.shape() {
        [n] if *n == stored => numbers.iter().map(|i| usize::try_from(*i).map_err(|_| outside(*i))).collect(),
        [n, rank] if *n == stored && *rank == dims.len() => numbers
            .chunks(dims.len().max(1))
            .map(|index| {
                let mut linear = 0usize;
                for (i, extent) in index.iter().zip(dims) {
                    let i = usize::try_from(*i).ok().filter(|i| i < extent).ok_or_else(|| outside(*i))?;
                    linear = linear * extent + i;
                }
                Ok(linear)
            })
            .collect(),
        other => {
            let expected = format!("indices of shape [{stored}] or [{stored}, {}]", dims.len());
            Err(fault(expected, format!("{other:?}")))
        }
    }
}

//! Runs the runtime files of host operators under the evaluator, so that both mean the same by construction.
//!
//! An operator's file has `use runtime_min::datum; #[path = "runtime/NAME.rs"] mod runtime;`, the runtime file has
//! `use super::datum::…`: the same text compiles here and in the `runtime` folder of a generated crate.

use bytes::Bytes;
use graph::attrs;
use graph::datum::Datum;
use graph::dtype::DType;
use graph::host::HostError;
use graph::tensor::Tensor;
use runtime_min::datum as rt;

/// What a runtime file exports as `run`.
pub type Run = fn(rt::Attrs<'_>, &[&rt::Datum]) -> Result<Vec<rt::Datum>, String>;

/// Calls a runtime file on the evaluator's values.
pub fn eval(run: Run, attrs: &attrs::Attrs, inputs: &[Datum]) -> Result<Vec<Datum>, HostError> {
    let attrs: Vec<(&str, rt::Attr)> =
        attrs.0.iter().filter_map(|(name, value)| Some((name.as_str(), to_attr(value)?))).collect();
    let inputs: Vec<rt::Datum> = inputs.iter().map(to_datum).collect();
    let refs: Vec<&rt::Datum> = inputs.iter().collect();
    let outputs = run(&attrs, &refs).map_err(|what| HostError::Value { what })?;
    outputs.into_iter().map(from_datum).collect()
}

/// An attribute as generated crates see it; `None` for lists of sizes, which host operators take as operands instead.
pub fn to_attr(attr: &attrs::Attr) -> Option<rt::Attr> {
    Some(match attr {
        attrs::Attr::Int(v) => rt::Attr::Int(*v),
        attrs::Attr::Ints(v) => rt::Attr::Ints(v.clone()),
        attrs::Attr::Scalar(v) => rt::Attr::Float(v.as_f64()),
        attrs::Attr::Str(v) => rt::Attr::Str(v.clone()),
        attrs::Attr::Strs(v) => rt::Attr::Strs(v.clone()),
        attrs::Attr::Bool(v) => rt::Attr::Bool(*v),
        attrs::Attr::DType(v) => rt::Attr::DType(to_dtype(*v)),
        attrs::Attr::Dims(_) => return None,
    })
}

/// A value as generated crates see it.
pub fn to_datum(value: &Datum) -> rt::Datum {
    match value {
        Datum::Tensor(t) => rt::Datum::Tensor(to_tensor(t)),
        Datum::Seq(items) => rt::Datum::Seq(items.iter().map(to_datum).collect()),
        Datum::Opt(inner) => rt::Datum::Opt(inner.as_ref().map(|v| Box::new(to_datum(v)))),
        Datum::Map { keys, values } => {
            rt::Datum::Map { keys: to_tensor(keys), values: values.iter().map(to_datum).collect() }
        }
    }
}

/// A value of a generated crate as the evaluator sees it.
pub fn from_datum(value: rt::Datum) -> Result<Datum, HostError> {
    Ok(match value {
        rt::Datum::Tensor(t) => Datum::Tensor(from_tensor(t)?),
        rt::Datum::Seq(items) => Datum::Seq(items.into_iter().map(from_datum).collect::<Result<_, _>>()?),
        rt::Datum::Opt(None) => Datum::Opt(None),
        rt::Datum::Opt(Some(v)) => Datum::Opt(Some(Box::new(from_datum(*v)?))),
        rt::Datum::Map { keys, values } => Datum::Map {
            keys: from_tensor(keys)?,
            values: values.into_iter().map(from_datum).collect::<Result<_, _>>()?,
        },
    })
}

fn to_tensor(tensor: &Tensor) -> rt::TensorDatum {
    rt::TensorDatum {
        dtype: to_dtype(tensor.dtype()),
        shape: tensor.shape().to_vec(),
        data: tensor.bytes().to_vec(),
        strings: tensor.strings().to_vec(),
    }
}

fn from_tensor(tensor: rt::TensorDatum) -> Result<Tensor, HostError> {
    let made = match tensor.dtype {
        rt::DType::Str => Tensor::from_strings(tensor.shape, tensor.strings),
        other => Tensor::from_bytes(from_dtype(other), tensor.shape, Bytes::from(tensor.data)),
    };
    made.map_err(|e| HostError::Value { what: e.to_string() })
}

/// Both crates' spellings of the element types.
macro_rules! dtypes {
    ($($name:ident)*) => {
        /// An element type as generated crates see it.
        pub fn to_dtype(dtype: DType) -> rt::DType {
            match dtype { $(DType::$name => rt::DType::$name,)* }
        }

        fn from_dtype(dtype: rt::DType) -> DType {
            match dtype { $(rt::DType::$name => DType::$name,)* }
        }
    };
}

dtypes!(F32 F64 F16 BF16 F8E4M3FN F8E4M3FNUZ F8E5M2 F8E5M2FNUZ F8E8M0 F4E2M1 I64 I32 I16 I8 I4 I2 U64 U32 U16 U8 U4 U2 Bool Str);

#[cfg(test)]
mod tests {
    use super::*;
    use graph::dtype::TABLE;

    #[test]
    fn element_types_agree() {
        for row in &TABLE {
            assert_eq!(from_dtype(to_dtype(row.dtype)), row.dtype);
            assert_eq!(to_dtype(row.dtype).bits(), row.bits as usize);
        }
    }

    #[test]
    fn values_go_there_and_back() {
        let strings = Tensor::from_strings(vec![1, 2], vec!["a".into(), "é".into()]).unwrap();
        let value = Datum::Seq(vec![Datum::Tensor(strings), Datum::Opt(None), Tensor::from_i64s(&[1, -2]).into()]);
        assert_eq!(from_datum(to_datum(&value)).unwrap(), value);
    }
}

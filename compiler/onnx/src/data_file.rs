//! Test data: `input_0.pb` and the like hold a tensor, a sequence or an optional, which only the expected type tells.

use std::path::Path;

use graph::datum::Datum;
use graph::dtype::DType;
use graph::tensor::Tensor;
use graph::ty::Type;

use crate::external::ExternalFiles;
use crate::load;
use crate::options::Options;
use crate::problem::{Code, Fault, Problem, Problems};
use crate::proto::{MapProto, OptionalProto, SequenceProto, TensorProto};
use crate::tensor::{Source, decode, text};

/// The value in a test data file; `expected` says what kind it is.
pub fn read_tensor_file(path: &Path, expected: &Type) -> Result<Datum, Problems> {
    let mut files = ExternalFiles::new(path.parent(), false);
    let options = Options::default();
    let mut source = Source { files: &mut files, options: &options };
    load::read(path)
        .and_then(|bytes| match expected {
            Type::Tensor(_) | Type::Ragged { .. } => tensor(&load::decode(bytes, "a tensor")?, &mut source),
            Type::Seq(_) => sequence(&load::decode(bytes, "a sequence")?, expected, &mut source),
            Type::Opt(_) => optional(&load::decode(bytes, "an optional")?, expected, &mut source),
            Type::Map { .. } => map(&load::decode(bytes, "a map")?, expected, &mut source),
        })
        .map_err(|fault| Problem { file: Some(path.display().to_string()), node: None, fault }.into())
}

fn tensor(proto: &TensorProto, source: &mut Source<'_>) -> Result<Datum, Fault> {
    decode(proto, source).map(Datum::Tensor)
}

fn sequence(proto: &SequenceProto, expected: &Type, source: &mut Source<'_>) -> Result<Datum, Fault> {
    let Type::Seq(element) = expected else { return Err(mismatch(expected, "a sequence")) };
    let items: Result<Vec<Datum>, Fault> = match &**element {
        Type::Tensor(_) | Type::Ragged { .. } => proto.tensor_values.iter().map(|t| tensor(t, source)).collect(),
        Type::Seq(_) => proto.sequence_values.iter().map(|s| sequence(s, element, source)).collect(),
        Type::Opt(_) => proto.optional_values.iter().map(|o| optional(o, element, source)).collect(),
        Type::Map { .. } => proto.map_values.iter().map(|m| map(m, element, source)).collect(),
    };
    items.map(Datum::Seq)
}

fn optional(proto: &OptionalProto, expected: &Type, source: &mut Source<'_>) -> Result<Datum, Fault> {
    let Type::Opt(element) = expected else { return Err(mismatch(expected, "an optional")) };
    let inner = match &**element {
        Type::Tensor(_) | Type::Ragged { .. } => proto.tensor_value.as_ref().map(|t| tensor(t, source)),
        Type::Seq(_) => proto.sequence_value.as_ref().map(|s| sequence(s, element, source)),
        Type::Opt(_) => proto.optional_value.as_ref().map(|o| optional(o, element, source)),
        Type::Map { .. } => proto.map_value.as_ref().map(|m| map(m, element, source)),
    };
    Ok(Datum::Opt(inner.transpose()?.map(Box::new)))
}

fn map(proto: &MapProto, expected: &Type, source: &mut Source<'_>) -> Result<Datum, Fault> {
    let Type::Map { key, value } = expected else { return Err(mismatch(expected, "a map")) };
    let keys = if *key == DType::Str {
        let keys = proto.string_keys.iter().map(|k| text(k)).collect::<Result<Vec<String>, Fault>>()?;
        Tensor::from_strings(vec![keys.len()], keys).map_err(|e| mismatch(expected, &e.to_string()))?
    } else {
        Tensor::from_i64s(&proto.keys)
    };
    let empty = SequenceProto::default();
    let list = Type::Seq(value.clone());
    match sequence(proto.values.as_ref().unwrap_or(&empty), &list, source)? {
        Datum::Seq(values) if values.len() == keys.len() => Ok(Datum::Map { keys, values }),
        other => Err(mismatch(expected, &format!("{} keys and a {}", keys.len(), other.describe()))),
    }
}

fn mismatch(expected: &Type, found: &str) -> Fault {
    Fault::new(Code::Decode, format!("{expected:?}"), found)
}

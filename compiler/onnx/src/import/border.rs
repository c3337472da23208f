//! The border of a model: its inputs become graph inputs, its outputs are checked against what the file declares.

use std::collections::{BTreeMap, BTreeSet};

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::{Model, ValueId};
use graph::text::dim::Names;
use graph::text::ty::print_type;
use graph::ty::Type;

use crate::import::{Entry, Import};
use crate::late;
use crate::names::initializer_names;
use crate::problem::{Code, Fault};
use crate::proto::{GraphProto, TypeProto, tensor_shape_proto::dimension, type_proto};
use crate::tensor::dtype;
use crate::value::ImportValue;

impl<'m> Import<'_, 'm> {
    /// Graph inputs for the model's inputs. One that is also an initializer is a constant.
    pub(super) fn inputs(
        &mut self,
        b: &mut Builder,
        graph: &'m GraphProto,
        ir_version: i64,
    ) -> BTreeMap<&'m str, Entry> {
        let constants: BTreeSet<&str> = initializer_names(graph).collect();
        let mut names = BTreeMap::new();
        for info in &graph.input {
            let name = info.name();
            if names.contains_key(name) {
                continue;
            }
            if constants.contains(name) {
                // Before IR version 4 every initializer had to be an input too.
                if ir_version >= 4 {
                    let fault =
                        Fault::new(Code::DefaultInput, "an input or a constant", "an input with a default value");
                    self.report.warn(fault.about(format!("input {name:?}")));
                }
                continue;
            }
            let entry = match self.dims.input_type(b, self.options, name, info.r#type.as_ref()) {
                Ok(ty) => Entry::Value(ImportValue::Value(b.input(name, ty))),
                Err(fault) => {
                    self.report.push(None, fault.about(format!("input {name:?}")));
                    Entry::Poisoned
                }
            };
            names.insert(name, entry);
        }
        for option in self.dims.unused(self.options) {
            let known: Vec<&str> = self.dims.names().collect();
            let expected = if known.is_empty() {
                "no --dim, since no input dim of this model is open".to_string()
            } else {
                format!("one of {}", known.join(", "))
            };
            self.report.push(None, Fault::new(Code::DimOption, expected, format!("--dim {option}")));
        }
        names
    }

    /// Graph outputs for the model's outputs, each with its name.
    pub(super) fn outputs(&mut self, b: &mut Builder, graph: &'m GraphProto) -> Vec<(String, ValueId)> {
        let mut outputs: Vec<(String, ValueId)> = Vec::new();
        b.set_origins(Vec::new());
        for info in &graph.output {
            let entry = self.frames.last().and_then(|f| f.names.get(info.name())).cloned();
            let Some(Entry::Value(value)) = entry else { continue };
            let inputs = b.graph().inputs.clone();
            let taken = |id: &ValueId| inputs.contains(id) || outputs.iter().any(|(_, o)| o == id);
            let built = self
                .materialise(b, &value, info.r#type.as_ref())
                .and_then(|id| if taken(&id) { copy(b, id).map_err(Fault::from) } else { Ok(id) })
                .and_then(|id| {
                    self.check_declared(b, id, info.name(), info.r#type.as_ref())?;
                    Ok(id)
                });
            match built {
                Ok(id) => {
                    b.output(id);
                    outputs.push((info.name().to_string(), id));
                }
                Err(fault) => self.report.push(None, fault.about(format!("output {:?}", info.name()))),
            }
        }
        outputs
    }

    /// One graph value; sequences of known length and optionals of known presence are put together at run time.
    fn materialise(&self, b: &mut Builder, value: &ImportValue, proto: Option<&TypeProto>) -> Result<ValueId, Fault> {
        let wanted = proto.and_then(|p| self.dims.declared(p));
        late::materialise(b, value, wanted.as_ref()).map_err(Fault::from)
    }

    /// What the file declares of an output must not be refuted; what nothing proves becomes a guard.
    fn check_declared(&self, b: &mut Builder, id: ValueId, name: &str, proto: Option<&TypeProto>) -> Result<(), Fault> {
        let Some(value) = proto.and_then(|p| p.value.as_ref()) else { return Ok(()) };
        let actual = b.ty(id)?.clone();
        let text = print_type(&actual, &Names::new(&b.model().symbols));
        let refuse = |found: String| Err(Fault::new(Code::DeclaredOutput, text.clone(), found));
        let (Type::Tensor(tensor), type_proto::Value::TensorType(declared)) = (&actual, value) else {
            let same = matches!(
                (&actual, value),
                (Type::Seq(_), type_proto::Value::SequenceType(_))
                    | (Type::Opt(_), type_proto::Value::OptionalType(_))
                    | (Type::Map { .. }, type_proto::Value::MapType(_))
            );
            return if same { Ok(()) } else { refuse(format!("{} declared", kind(value))) };
        };
        let dtype = dtype(declared.elem_type())?;
        if dtype != tensor.dtype {
            return refuse(format!("dtype {dtype} declared"));
        }
        let Some(shape) = &declared.shape else { return Ok(()) };
        if shape.dim.len() != tensor.rank() {
            return refuse(format!("rank {} declared", shape.dim.len()));
        }
        for (axis, (dim, extent)) in shape.dim.iter().zip(&tensor.shape).enumerate() {
            let declared = match &dim.value {
                Some(dimension::Value::DimValue(v)) => Dim::constant(*v),
                Some(dimension::Value::DimParam(name)) => match self.dims.by_name(name) {
                    Some(dim) => dim.clone(),
                    None => continue,
                },
                None => continue,
            };
            let what = format!("declared size of output {name:?}, dim {axis}");
            if b.assume_equal(extent, &declared, &what).is_err() {
                return refuse(format!("another size declared for dim {axis}"));
            }
        }
        Ok(())
    }
}

/// The finished model; each output value has its output's name.
pub(super) fn finish(b: Builder, outputs: &[(String, ValueId)]) -> Model {
    let mut model = b.finish();
    for (name, id) in outputs {
        if let Some(value) = model.graph.values.get_mut(id.0 as usize) {
            value.name = Some(name.clone());
        }
    }
    model
}

fn kind(value: &type_proto::Value) -> &'static str {
    match value {
        type_proto::Value::TensorType(_) => "a tensor",
        type_proto::Value::SequenceType(_) => "a sequence",
        type_proto::Value::OptionalType(_) => "an optional",
        type_proto::Value::MapType(_) => "a map",
        type_proto::Value::SparseTensorType(_) => "a sparse tensor",
        type_proto::Value::OpaqueType(_) => "an opaque value",
    }
}

/// A copy, for a value that is an input or an output already.
fn copy(b: &mut Builder, id: ValueId) -> Result<ValueId, BuildError> {
    match b.ty(id)? {
        Type::Tensor(t) if t.dtype != DType::Str => b.map(&[id], |_, v| v[0]),
        Type::Tensor(_) | Type::Seq(_) | Type::Opt(_) | Type::Map { .. } | Type::Ragged { .. } => Ok(id),
    }
}

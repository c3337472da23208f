//! What an operator sees of its node.

use std::collections::BTreeMap;

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::{Graph, ValueId};
use graph::tensor::Tensor;
use graph::ty::Type;

use crate::value::ImportValue;

/// A decoded attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum AttrValue {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Floats(Vec<f32>),
    String(String),
    Strings(Vec<String>),
    /// Sparse tensors arrive here as dense ones.
    Tensor(Tensor),
    Graph(Body),
    Type(Type),
}

/// A subgraph attribute, by its number in the importer's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body(pub usize);

/// What the importer does for operators that have subgraphs.
pub trait Importer {
    /// Declared inputs and outputs of a body: name and type, as far as the file says.
    fn signature(&self, body: Body) -> Signature;

    /// Names that a body takes from the graphs around it, in order of first use, with what they stand for there.
    fn captures(&self, body: Body) -> Vec<(String, ImportValue)>;

    /// Imports the nodes of a body into the builder's innermost scope. `inputs` stand for its declared inputs in order,
    /// `captured` for names from outside. Yields its declared outputs.
    fn import_body(
        &mut self,
        b: &mut Builder,
        body: Body,
        inputs: Vec<ImportValue>,
        captured: Vec<(String, ImportValue)>,
    ) -> Result<Vec<ImportValue>, BuildError>;
}

/// Names and declared types of a body's inputs and outputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signature {
    pub inputs: Vec<(String, Option<Type>)>,
    pub outputs: Vec<(String, Option<Type>)>,
}

/// A node under import: its inputs, attributes and wanted outputs, and the builder to add to.
pub struct Ctx<'a> {
    pub b: &'a mut Builder,
    pub importer: &'a mut dyn Importer,
    pub opset: i64,
    pub op_type: &'a str,
    pub inputs: &'a [Option<ImportValue>],
    pub attrs: &'a BTreeMap<String, AttrValue>,
    /// For each output of the node, whether it has a name.
    pub wanted: &'a [bool],
    /// Declared types of the outputs, where the file says.
    pub declared: &'a [Option<Type>],
}

impl Ctx<'_> {
    /// The tensor at an input position, which must be there.
    pub fn input(&self, position: usize) -> Result<ValueId, BuildError> {
        match self.value(position)? {
            ImportValue::Value(id) => Ok(*id),
            other => Err(BuildError::Operand {
                what: format!("input {position}"),
                expected: "a tensor".to_string(),
                found: format!("{other:?}"),
            }),
        }
    }

    /// Whatever is at an input position, which must be there.
    pub fn value(&self, position: usize) -> Result<&ImportValue, BuildError> {
        self.inputs.get(position).and_then(Option::as_ref).ok_or_else(|| BuildError::Operand {
            what: format!("input {position}"),
            expected: "a value".to_string(),
            found: "nothing".to_string(),
        })
    }

    /// The tensor at an input position, if the node has one there.
    pub fn optional(&self, position: usize) -> Result<Option<ValueId>, BuildError> {
        match self.inputs.get(position) {
            Some(Some(_)) => self.input(position).map(Some),
            Some(None) | None => Ok(None),
        }
    }

    /// All inputs, which must be tensors that are there.
    pub fn all_inputs(&self) -> Result<Vec<ValueId>, BuildError> {
        (0..self.inputs.len()).map(|i| self.input(i)).collect()
    }

    /// Whether the node names an output.
    pub fn wants(&self, output: usize) -> bool {
        self.wanted.get(output).copied().unwrap_or(false)
    }

    /// Dtype of the tensor at an input position.
    pub fn dtype(&self, position: usize) -> Result<DType, BuildError> {
        self.b.dtype(self.input(position)?)
    }

    /// Shape of the tensor at an input position.
    pub fn shape(&self, position: usize) -> Result<Vec<Dim>, BuildError> {
        self.b.shape(self.input(position)?)
    }

    /// An integer attribute.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.attrs.get(name) {
            Some(AttrValue::Int(v)) => Some(*v),
            _ => None,
        }
    }

    /// An integer attribute, or a default.
    pub fn int_or(&self, name: &str, default: i64) -> i64 {
        self.int(name).unwrap_or(default)
    }

    /// A list of integers.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attrs.get(name) {
            Some(AttrValue::Ints(v)) => Some(v),
            _ => None,
        }
    }

    /// A float attribute.
    pub fn float(&self, name: &str) -> Option<f32> {
        match self.attrs.get(name) {
            Some(AttrValue::Float(v)) => Some(*v),
            _ => None,
        }
    }

    /// A float attribute, or a default.
    pub fn float_or(&self, name: &str, default: f32) -> f32 {
        match self.attrs.get(name) {
            Some(AttrValue::Float(v)) => *v,
            _ => default,
        }
    }

    /// A list of floats.
    pub fn floats(&self, name: &str) -> Option<&[f32]> {
        match self.attrs.get(name) {
            Some(AttrValue::Floats(v)) => Some(v),
            _ => None,
        }
    }

    /// A string attribute.
    pub fn string(&self, name: &str) -> Option<&str> {
        match self.attrs.get(name) {
            Some(AttrValue::String(v)) => Some(v),
            _ => None,
        }
    }

    /// A list of strings.
    pub fn strings(&self, name: &str) -> Option<&[String]> {
        match self.attrs.get(name) {
            Some(AttrValue::Strings(v)) => Some(v),
            _ => None,
        }
    }

    /// A tensor attribute.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        match self.attrs.get(name) {
            Some(AttrValue::Tensor(v)) => Some(v),
            _ => None,
        }
    }

    /// A subgraph attribute.
    pub fn body(&self, name: &str) -> Option<Body> {
        match self.attrs.get(name) {
            Some(AttrValue::Graph(v)) => Some(*v),
            _ => None,
        }
    }

    /// A type attribute.
    pub fn type_attr(&self, name: &str) -> Option<&Type> {
        match self.attrs.get(name) {
            Some(AttrValue::Type(v)) => Some(v),
            _ => None,
        }
    }

    /// The dtype that an integer attribute (`to`, `dtype` …) names by its ONNX code.
    pub fn dtype_attr(&self, name: &str) -> Result<Option<DType>, BuildError> {
        let Some(code) = self.int(name) else { return Ok(None) };
        let dtype = i32::try_from(code).ok().and_then(DType::from_onnx);
        dtype.map(Some).ok_or_else(|| BuildError::Attr {
            name: name.to_string(),
            expected: "the code of a supported tensor dtype".to_string(),
            found: code.to_string(),
        })
    }

    /// As [`Ctx::dtype_attr`], with 0 for no dtype.
    pub fn dtype_or_none(&self, name: &str) -> Result<Option<DType>, BuildError> {
        if self.int_or(name, 0) == 0 { Ok(None) } else { self.dtype_attr(name) }
    }

    /// Contents of a constant integer tensor at an input position; `None` if the input is missing.
    pub fn const_ints(&mut self, position: usize) -> Result<Option<Vec<i64>>, BuildError> {
        let Some(value) = self.optional(position)? else { return Ok(None) };
        match self.b.const_tensor(value) {
            Some(tensor) => Ok(Some(tensor.to_i64s())),
            None => Err(BuildError::Unsupported {
                what: format!("input {position} of {} computed at run time", self.op_type),
                closest: "a constant".to_string(),
            }),
        }
    }

    /// Elements of an integer tensor as sizes, at most two for every dim that a tensor may have. Those that only the running model
    /// knows are read by a `Bind` each.
    pub fn dims(&mut self, position: usize, lo: i64, hi: Option<i64>) -> Result<Vec<Dim>, BuildError> {
        let value = self.input(position)?;
        let ty = self.b.tensor(value)?;
        if !ty.dtype.is_int() {
            return Err(BuildError::Operand {
                what: format!("input {position} of {}", self.op_type),
                expected: "integers".to_string(),
                found: ty.dtype.to_string(),
            });
        }
        let most = 2 * self.b.limits().rank;
        if let Some(count) = ty.count().as_size().filter(|count| *count > most) {
            let (found, limit) = (count.to_string(), most.to_string());
            return Err(BuildError::Limit { what: "sizes in one input", found, limit });
        }
        self.b.dims_of(value, lo, hi)
    }

    /// Opens a body in the builder: `values` become its first inputs, then every captured name of `bodies`. Yields the
    /// operands for the captures (in the graph around), the inner values for `values`, and the captured names inside.
    pub fn open_body(&mut self, values: &[ValueId], bodies: &[Body]) -> Result<OpenBody, BuildError> {
        let mut names: Vec<(String, ImportValue)> = Vec::new();
        for body in bodies {
            for (name, value) in self.importer.captures(*body) {
                if !names.iter().any(|(n, _)| *n == name) {
                    names.push((name, value));
                }
            }
        }
        let constants: Vec<Option<Tensor>> =
            names.iter().map(|(_, v)| v.as_value().and_then(|id| self.b.const_tensor(id))).collect();
        self.b.begin_body()?;
        let inner = self.b.body_inputs(values)?;
        let mut operands = Vec::new();
        let mut captured = Vec::with_capacity(names.len());
        for ((name, value), constant) in names.into_iter().zip(constants) {
            let inside = match constant {
                Some(tensor) => ImportValue::Value(self.b.constant(tensor)?),
                None => self.capture(&value, &mut operands)?,
            };
            captured.push((name, inside));
        }
        Ok(OpenBody { operands, inner, captured })
    }

    /// Imports a body into the scope that [`Ctx::open_body`] opened, declares its outputs (tensors and run-time sequences
    /// only) and closes it.
    pub fn finish_body(
        &mut self,
        body: Body,
        inputs: Vec<ImportValue>,
        captured: Vec<(String, ImportValue)>,
    ) -> Result<(Graph, Vec<ImportValue>), BuildError> {
        let outputs = self.importer.import_body(self.b, body, inputs, captured);
        if let Ok(values) = &outputs {
            values.iter().for_each(|v| v.for_each_value(&mut |id| self.b.output(id)));
        }
        let graph = self.b.end_body();
        Ok((graph, outputs?))
    }

    fn capture(&mut self, outer: &ImportValue, operands: &mut Vec<ValueId>) -> Result<ImportValue, BuildError> {
        Ok(match outer {
            ImportValue::Value(id) => {
                operands.push(*id);
                ImportValue::Value(self.b.capture(*id)?)
            }
            ImportValue::Seq(items) => {
                ImportValue::Seq(items.iter().map(|i| self.capture(i, operands)).collect::<Result<_, _>>()?)
            }
            ImportValue::Opt(Some(inner)) => ImportValue::Opt(Some(Box::new(self.capture(inner, operands)?))),
            ImportValue::Opt(None) => ImportValue::Opt(None),
        })
    }
}

/// A body that [`Ctx::open_body`] opened.
pub struct OpenBody {
    /// Captured values of the graph around: the last operands of the node.
    pub operands: Vec<ValueId>,
    /// Inputs inside for the values that were passed.
    pub inner: Vec<ValueId>,
    /// Captured names inside.
    pub captured: Vec<(String, ImportValue)>,
}

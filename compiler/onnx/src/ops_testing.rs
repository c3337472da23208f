//! How the tests of operators build, run and compare: a node with given inputs and attributes, the evaluator, the expected
//! tensors.
//!
//! ```text
//! check(&OPERATOR, &[("axis", int(1))], &[value(f32s(&[2, 2], &[1.0, 2.0, 3.0, 4.0])), missing()], &[f32s(..)]);
//! let error = refusal(&OPERATOR, &[("axis", int(7))], &[value(f32s(&[2], &[1.0, 2.0]))]);
//! let case = Case::new(&OPERATOR).opset(11).attr("axis", int(0)).value(x).constant(k).outputs(2);
//! ```

use std::collections::BTreeMap;

use graph::builder::{BuildError, Builder};
use graph::datum::Datum;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::eval;
use graph::graph::{Model, ValueId};
use graph::scalar::Scalar;
use graph::symbol::Symbols;
use graph::tensor::Tensor;
use graph::text::{self, Registry};
use graph::ty::Type;
use graph::verify;

use crate::operator::{AttrValue, Body, Ctx, Importer, Operator, Signature};
use crate::value::ImportValue;

/// An input of the node under test.
#[derive(Clone, Debug)]
pub enum Arg {
    /// Given when the model runs.
    Value(Tensor),
    /// Known when the model is built.
    Constant(Tensor),
    /// A model input of this type; such a case can be built, not run.
    Typed(Type),
    /// Not there.
    Missing,
}

/// An input given at run time.
pub fn value(tensor: Tensor) -> Arg {
    Arg::Value(tensor)
}

/// A constant input.
pub fn constant(tensor: Tensor) -> Arg {
    Arg::Constant(tensor)
}

/// An input of a type, for cases that are only built.
pub fn typed(dtype: DType, shape: &[Dim]) -> Arg {
    Arg::Typed(Type::tensor(dtype, shape))
}

/// An input left out.
pub fn missing() -> Arg {
    Arg::Missing
}

/// An integer attribute.
pub fn int(v: i64) -> AttrValue {
    AttrValue::Int(v)
}

/// An attribute of integers.
pub fn ints(v: &[i64]) -> AttrValue {
    AttrValue::Ints(v.to_vec())
}

/// A float attribute.
pub fn float(v: f32) -> AttrValue {
    AttrValue::Float(v)
}

/// A string attribute.
pub fn string(v: &str) -> AttrValue {
    AttrValue::String(v.to_string())
}

/// A tensor of any numeric dtype.
pub fn tensor(dtype: DType, shape: &[usize], values: &[f64]) -> Tensor {
    let scalars: Vec<Scalar> = values.iter().map(|v| Scalar::from_f64(dtype, *v)).collect();
    Tensor::from_scalars(dtype, shape.to_vec(), &scalars).unwrap()
}

/// A tensor of 32-bit floats.
pub fn f32s(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_f32s(values).reshaped(shape.to_vec()).unwrap()
}

/// A tensor of 64-bit integers.
pub fn i64s(shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::from_i64s(values).reshaped(shape.to_vec()).unwrap()
}

/// A tensor of truth values.
pub fn bools(shape: &[usize], values: &[bool]) -> Tensor {
    let scalars: Vec<Scalar> = values.iter().map(|v| Scalar::bool(*v)).collect();
    Tensor::from_scalars(DType::Bool, shape.to_vec(), &scalars).unwrap()
}

/// A tensor of strings.
pub fn strings(shape: &[usize], values: &[&str]) -> Tensor {
    Tensor::from_strings(shape.to_vec(), values.iter().map(|v| v.to_string()).collect()).unwrap()
}

/// Runs an operator of the newest opset and compares all outputs: integers exactly, floats within 1e-5 relative.
#[track_caller]
pub fn check(op: &'static Operator, attrs: &[(&str, AttrValue)], inputs: &[Arg], expected: &[Tensor]) {
    Case::of(op, attrs, inputs).outputs(expected.len()).expect(expected);
}

/// The error that an operator of the newest opset is refused with.
#[track_caller]
pub fn refusal(op: &'static Operator, attrs: &[(&str, AttrValue)], inputs: &[Arg]) -> BuildError {
    Case::of(op, attrs, inputs).build().err().expect("the case is refused")
}

/// One node with its inputs.
#[derive(Clone)]
pub struct Case {
    op: &'static Operator,
    opset: i64,
    attrs: BTreeMap<String, AttrValue>,
    inputs: Vec<Arg>,
    outputs: usize,
    symbols: Symbols,
}

/// A node that was built: the model around it and what its outputs are.
pub struct Built {
    pub model: Model,
    pub outputs: Vec<ImportValue>,
    /// Values of the model's inputs, for [`Arg::Value`] inputs.
    pub feed: Vec<Datum>,
}

impl Case {
    /// A node without attributes and inputs, of opset 25 or the newest that the operator has changed in.
    pub fn new(op: &'static Operator) -> Case {
        let opset = op.versions.iter().copied().fold(25, i64::max);
        Case { op, opset, attrs: BTreeMap::new(), inputs: Vec::new(), outputs: 1, symbols: Symbols::default() }
    }

    /// A node with attributes and inputs.
    pub fn of(op: &'static Operator, attrs: &[(&str, AttrValue)], inputs: &[Arg]) -> Case {
        let mut case = Case::new(op);
        case.attrs = attrs.iter().map(|(k, v)| (k.to_string(), v.clone())).collect();
        case.inputs = inputs.to_vec();
        case
    }

    /// In another opset.
    pub fn opset(mut self, opset: i64) -> Case {
        self.opset = opset;
        self
    }

    /// With one more attribute.
    pub fn attr(mut self, name: &str, value: AttrValue) -> Case {
        self.attrs.insert(name.to_string(), value);
        self
    }

    /// With one more input given at run time.
    pub fn value(mut self, tensor: Tensor) -> Case {
        self.inputs.push(Arg::Value(tensor));
        self
    }

    /// With one more constant input.
    pub fn constant(mut self, tensor: Tensor) -> Case {
        self.inputs.push(Arg::Constant(tensor));
        self
    }

    /// With one more input, of whatever sort.
    pub fn arg(mut self, arg: Arg) -> Case {
        self.inputs.push(arg);
        self
    }

    /// With so many named outputs.
    pub fn outputs(mut self, count: usize) -> Case {
        self.outputs = count;
        self
    }

    /// With these symbols in the shapes of typed inputs.
    pub fn symbols(mut self, symbols: Symbols) -> Case {
        self.symbols = symbols;
        self
    }

    /// Builds the node and declares its tensor outputs as the model's.
    pub fn build(&self) -> Result<Built, BuildError> {
        let mut b = Builder::new("case");
        b.set_string_pick(&crate::ops::list::string_pick::HOST);
        b.model_mut().symbols = self.symbols.clone();
        let mut feed = Vec::new();
        let mut inputs = Vec::new();
        for (k, arg) in self.inputs.iter().enumerate() {
            inputs.push(match arg {
                Arg::Value(t) => {
                    let shape: Vec<Dim> = t.shape().iter().map(|d| Dim::from(*d)).collect();
                    feed.push(Datum::Tensor(t.clone()));
                    Some(b.input(&format!("in{k}"), Type::tensor(t.dtype(), shape)).into())
                }
                Arg::Constant(t) => Some(b.constant(t.clone())?.into()),
                Arg::Typed(ty) => Some(b.input(&format!("in{k}"), ty.clone()).into()),
                Arg::Missing => None,
            });
        }
        let wanted = vec![true; self.outputs];
        let declared = vec![None; self.outputs];
        let mut ctx = Ctx {
            b: &mut b,
            importer: &mut NoBodies,
            opset: self.opset,
            op_type: self.op.name,
            inputs: &inputs,
            attrs: &self.attrs,
            wanted: &wanted,
            declared: &declared,
        };
        let outputs = (self.op.build)(&mut ctx)?;
        outputs.iter().take(self.outputs).for_each(|o| o.for_each_value(&mut |id| b.output(id)));
        let model = b.finish();
        judge(&model);
        Ok(Built { model, outputs, feed })
    }

    /// Shapes of the tensor outputs, as sizes.
    #[track_caller]
    pub fn shapes(&self) -> Vec<Vec<Dim>> {
        let built = self.build().unwrap();
        let graph = &built.model.graph;
        graph.outputs.iter().map(|o| graph.tensor(*o).unwrap().shape.clone()).collect()
    }

    /// Builds and runs the node.
    #[track_caller]
    pub fn run(&self) -> Result<Vec<Datum>, eval::EvalError> {
        let built = self.build().unwrap();
        eval::model(&built.model, &built.feed)
    }

    /// Runs the node and compares its outputs.
    #[track_caller]
    pub fn expect(&self, expected: &[Tensor]) {
        let found = self.run().unwrap();
        assert_eq!(found.len(), expected.len(), "number of outputs");
        for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
            let found = found.as_tensor().expect("a tensor");
            assert_eq!((found.dtype(), found.shape()), (expected.dtype(), expected.shape()), "type of output {k}");
            assert!(close(found, expected), "output {k}: {} is not {}", show(found), show(expected));
        }
    }
}

/// The model has no violations, and survives being printed.
#[track_caller]
fn judge(model: &Model) {
    let violations = verify::model(model).err().unwrap_or_default();
    let lines: Vec<String> = violations.iter().map(|v| format!("{v}\n    {}", v.context)).collect();
    assert!(lines.is_empty(), "{}\n{}", lines.join("\n"), text::print(model));
    let registry = Registry { host_ops: crate::HOST_OPS, placeholders: true, ..Registry::default() };
    assert_eq!(text::parse(&text::print(model), &registry).as_ref(), Ok(model));
}

/// Several nodes in one model, for what one operator leaves to the next.
pub struct Chain {
    pub b: Builder,
}

impl Chain {
    /// An empty model.
    pub fn new() -> Chain {
        Chain { b: Builder::new("chain") }
    }

    /// A model input whose dims are constants or names.
    pub fn input(&mut self, dtype: DType, dims: &[&str]) -> ValueId {
        let shape: Vec<Dim> = dims
            .iter()
            .map(|d| d.parse().map(Dim::constant).unwrap_or_else(|_| self.b.input_symbol(d, 0, None)))
            .collect();
        self.b.input("", Type::tensor(dtype, shape))
    }

    /// A constant list of integers.
    pub fn list(&mut self, values: &[i64]) -> ValueId {
        self.b.constant(Tensor::from_i64s(values)).unwrap()
    }

    /// A constant integer of rank 0.
    pub fn scalar(&mut self, value: i64) -> ValueId {
        self.b.constant(Tensor::scalar(Scalar::i64(value))).unwrap()
    }

    /// The first output of an operator of opset 18.
    #[track_caller]
    pub fn op(&mut self, name: &str, attrs: &[(&str, AttrValue)], inputs: &[ValueId]) -> ValueId {
        let op = crate::ops::find("", name).unwrap();
        let inputs: Vec<Option<ImportValue>> = inputs.iter().map(|v| Some((*v).into())).collect();
        let attrs: BTreeMap<String, AttrValue> = attrs.iter().map(|(k, v)| (k.to_string(), v.clone())).collect();
        let mut ctx = Ctx {
            b: &mut self.b,
            importer: &mut NoBodies,
            opset: 18,
            op_type: op.name,
            inputs: &inputs,
            attrs: &attrs,
            wanted: &[true],
            declared: &[None],
        };
        let outputs = (op.build)(&mut ctx).unwrap();
        outputs.first().and_then(ImportValue::as_value).unwrap()
    }

    /// A size by its text: a constant, a symbol, or a product of them.
    pub fn dim(&self, text: &str) -> Dim {
        let factors: Vec<Dim> = text
            .split('*')
            .map(|f| {
                let symbol = || Dim::symbol(self.b.model().symbols.by_name(f).unwrap());
                f.parse().map(Dim::constant).unwrap_or_else(|_| symbol())
            })
            .collect();
        Dim::product(&factors)
    }

    /// Compares a shape, written as in [`Chain::dim`]; neither guards nor sizes read at run time may have come up.
    #[track_caller]
    pub fn expect(&self, value: ValueId, shape: &[&str]) {
        let expected: Vec<Dim> = shape.iter().map(|d| self.dim(d)).collect();
        assert_eq!(self.b.shape(value).unwrap(), expected);
        assert_eq!(self.b.model().guards, Vec::new());
        assert!(self.b.graph().nodes.iter().all(|n| n.op.name() != "bind"));
    }
}

fn close(a: &Tensor, b: &Tensor) -> bool {
    if !a.dtype().is_float() {
        return a == b;
    }
    a.to_f64s()
        .iter()
        .zip(b.to_f64s())
        .all(|(x, y)| (x.is_nan() && y.is_nan()) || *x == y || (x - y).abs() <= 1e-6 + 1e-5 * y.abs())
}

fn show(t: &Tensor) -> String {
    match t.dtype() {
        DType::Str => format!("{:?}", t.strings()),
        dtype if dtype.is_float() => format!("{:?}", t.to_f64s()),
        _ => format!("{:?}", t.to_i64s()),
    }
}

/// An importer for nodes without subgraphs.
struct NoBodies;

impl Importer for NoBodies {
    fn signature(&self, _body: Body) -> Signature {
        Signature::default()
    }

    fn captures(&self, _body: Body) -> Vec<(String, ImportValue)> {
        Vec::new()
    }

    fn import_body(
        &mut self,
        _b: &mut Builder,
        _body: Body,
        _inputs: Vec<ImportValue>,
        _captured: Vec<(String, ImportValue)>,
    ) -> Result<Vec<ImportValue>, BuildError> {
        Err(BuildError::Unsupported { what: "a subgraph in a unit test".into(), closest: "the node suite".into() })
    }
}

//! The network definition API: builds a [`Model`] node by node, with shape inference by construction.
//!
//! Values are named by [`ValueId`]s of the innermost open scope; [`Builder::begin_body`] and [`Builder::end_body`] open and
//! close the graph of an `If`, `Loop`, `Scan` or region. Every method checks what it is given and returns an error, never
//! a wrong node. Small integer tensors are followed as sizes ([`Builder::contents`]), so that shape arithmetic never
//! becomes run-time work.
//!
//! ```text
//! let mut b = Builder::new("relu");
//! let x = b.input("x", Type::tensor(DType::F32, [Dim::from(4)]));
//! let y = b.compute(&[x], vec![Dim::from(4)], |p| {
//!     let i = p.index(0); let v = p.load(0, &[i]); let z = p.zero(DType::F32); let r = p.max(v, z); p.out(r)
//! })?;
//! ```

mod contents;
mod control;
mod error;
mod limits;
mod movement;
mod order;
mod point;
mod pointwise;
mod reduction;
mod strings;

use std::sync::Arc;

pub use control::Mark;
pub use error::BuildError;
pub use movement::wrap_index;
pub use point::Point;

use crate::attrs::Attrs;
use crate::datum::Datum;
use crate::dim::{Dim, Pred, SymId};
use crate::dtype::DType;
use crate::eval;
use crate::graph::{Graph, Guard, Model, Origin, ValueId};
use crate::node::{Blob, Compute, Const, Host, Node, Op, OriginId, Region};
use crate::region::RegionKind;
use crate::scalar::Scalar;
use crate::symbol::SymSource;
use crate::tensor::{Hash, Tensor};
use crate::ty::{TensorType, Type};

/// Bounds on what a model may ask for. All can be raised by flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Dims of a tensor.
    pub rank: usize,
    /// Elements of a tensor.
    pub elements: i64,
    /// Bytes that constant folding may produce in one value.
    pub fold_bytes: usize,
    /// Elements of an integer tensor that is followed as sizes.
    pub contents: usize,
    /// Bytes up to which a constant is printed in full.
    pub inline_bytes: usize,
    /// Bodies inside bodies.
    pub nesting: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { rank: 32, elements: 1 << 40, fold_bytes: 1 << 26, contents: 1024, inline_bytes: 64, nesting: 64 }
    }
}

/// Builds a model.
pub struct Builder {
    model: Model,
    limits: Limits,
    scopes: Vec<Scope>,
    origins: Vec<OriginId>,
    /// Picks strings by number.
    string_pick: Option<&'static crate::host::HostOp>,
}

/// A graph under construction.
#[derive(Default)]
struct Scope {
    graph: Graph,
    /// For every value, the index of its node, if a node defines it.
    defs: Vec<Option<usize>>,
    /// For every value, its folded tensor, once asked for.
    folded: Vec<Option<Option<Tensor>>>,
}

impl Builder {
    /// An empty model with default limits.
    pub fn new(name: &str) -> Builder {
        Builder::with_limits(name, Limits::default())
    }

    /// An empty model.
    pub fn with_limits(name: &str, limits: Limits) -> Builder {
        let model = Model { name: name.to_string(), ..Model::default() };
        Builder { model, limits, scopes: vec![Scope::default()], origins: Vec::new(), string_pick: None }
    }

    /// A builder that continues a model, for passes that add nodes to a graph of it. The graph is taken out of the model;
    /// [`Builder::finish`] puts the one built here in its place.
    pub fn resume(mut model: Model, limits: Limits) -> Builder {
        model.graph = Graph::default();
        Builder { model, limits, scopes: vec![Scope::default()], origins: Vec::new(), string_pick: None }
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The model's tables (symbols, guards, origins); its graph is still empty.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The model's tables, to add to.
    pub fn model_mut(&mut self) -> &mut Model {
        &mut self.model
    }

    /// The graph of the innermost scope.
    pub fn graph(&self) -> &Graph {
        &self.scope().graph
    }

    /// Registers an ONNX node.
    pub fn add_origin(&mut self, origin: Origin) -> OriginId {
        self.model.origins.push(origin);
        OriginId((self.model.origins.len() - 1) as u32)
    }

    /// Nodes built from now on stem from these ONNX nodes; returns the former setting.
    pub fn set_origins(&mut self, origins: Vec<OriginId>) -> Vec<OriginId> {
        std::mem::replace(&mut self.origins, origins)
    }

    /// The ONNX nodes that nodes built now stem from.
    pub fn origins(&self) -> &[OriginId] {
        &self.origins
    }

    /// A new input of the innermost graph.
    pub fn input(&mut self, name: &str, ty: Type) -> ValueId {
        let name = (!name.is_empty()).then(|| name.to_string());
        let id = self.add_value(ty, name);
        self.scope_mut().graph.inputs.push(id);
        id
    }

    /// Declares an output of the innermost graph.
    pub fn output(&mut self, value: ValueId) {
        self.scope_mut().graph.outputs.push(value);
    }

    /// Gives a value the name it has in the ONNX file, unless it has one.
    pub fn name_value(&mut self, value: ValueId, name: &str) {
        if let Some(v) = self.scope_mut().graph.values.get_mut(value.0 as usize) {
            v.name.get_or_insert_with(|| name.to_string());
        }
    }

    /// A symbol for a named input dim, found or made (`lo..=hi`).
    pub fn input_symbol(&mut self, name: &str, lo: i64, hi: Option<i64>) -> Dim {
        let found = self.model.symbols.by_name(name);
        Dim::symbol(found.unwrap_or_else(|| self.model.symbols.add(name, lo, hi, SymSource::Input)))
    }

    /// Closes the model.
    pub fn finish(mut self) -> Model {
        self.model.graph = self.scopes.pop().map(|s| s.graph).unwrap_or_default();
        self.model
    }

    /// Type of a value.
    pub fn ty(&self, value: ValueId) -> Result<&Type, BuildError> {
        self.graph().value(value).map(|v| &v.ty).ok_or(BuildError::NoValue { value: value.0 })
    }

    /// Tensor type of a value.
    pub fn tensor(&self, value: ValueId) -> Result<&TensorType, BuildError> {
        let ty = self.ty(value)?;
        ty.as_tensor().ok_or_else(|| BuildError::NotATensor { found: format!("{ty:?}") })
    }

    /// Shape of a tensor value.
    pub fn shape(&self, value: ValueId) -> Result<Vec<Dim>, BuildError> {
        Ok(self.tensor(value)?.shape.clone())
    }

    /// Dtype of a tensor value.
    pub fn dtype(&self, value: ValueId) -> Result<DType, BuildError> {
        Ok(self.tensor(value)?.dtype)
    }

    /// Rank of a tensor value.
    pub fn rank(&self, value: ValueId) -> Result<usize, BuildError> {
        Ok(self.tensor(value)?.rank())
    }

    /// Elements of a small integer or bool tensor, where all are known as sizes.
    pub fn contents(&self, value: ValueId) -> Option<Arc<[Dim]>> {
        self.graph().value(value)?.contents.clone()
    }

    /// A constant of any size; repeated elements are stored once.
    pub fn constant(&mut self, tensor: Tensor) -> Result<ValueId, BuildError> {
        let shape: Vec<Dim> = tensor.shape().iter().map(|d| Dim::from(*d)).collect();
        let ty = Type::tensor(tensor.dtype(), shape);
        let contents = contents::of_tensor(&tensor, self.limits.contents);
        let bytes =
            if tensor.dtype() == DType::Str { Some(0) } else { Tensor::bytes_of(tensor.dtype(), tensor.shape()) };
        let op = if bytes.is_some_and(|bytes| bytes <= self.limits.inline_bytes) {
            Const::Inline(tensor)
        } else if let Some(value) = tensor.as_splat() {
            Const::Splat(value)
        } else if tensor.dtype() == DType::Str {
            Const::Inline(tensor)
        } else {
            let hash: Hash = tensor.hash();
            Const::Blob(Blob { hash, tensor })
        };
        let results = self.push(Op::Const(op), Vec::new(), vec![ty], Vec::new())?;
        let id = one(&results)?;
        self.set_contents(id, contents);
        Ok(id)
    }

    /// A constant of one repeated element; the shape may be symbolic.
    pub fn splat(&mut self, value: Scalar, shape: Vec<Dim>) -> Result<ValueId, BuildError> {
        if shape.iter().all(|d| d.as_size().is_some()) {
            let ty = Type::tensor(value.dtype, shape);
            let results = self.push(Op::Const(Const::Splat(value)), Vec::new(), vec![ty], Vec::new())?;
            let id = one(&results)?;
            let tensor = self.small_const(id);
            self.set_contents(id, tensor.and_then(|t| contents::of_tensor(&t, self.limits.contents)));
            return Ok(id);
        }
        self.compute(&[], shape, |p| {
            let e = p.constant(value);
            p.out(e);
        })
    }

    /// A 64-bit integer scalar whose value is a size.
    pub fn dim_scalar(&mut self, dim: &Dim) -> Result<ValueId, BuildError> {
        let dim = dim.clone();
        self.compute(&[], Vec::new(), |p| {
            let e = p.dim(&dim);
            p.out(e);
        })
    }

    /// A rank-1 tensor of 64-bit integers whose elements are sizes.
    pub fn dims_tensor(&mut self, dims: &[Dim]) -> Result<ValueId, BuildError> {
        let constants: Option<Vec<i64>> = dims.iter().map(Dim::as_const).collect();
        if let Some(values) = constants {
            return self.constant(Tensor::from_i64s(&values));
        }
        self.compute(&[], vec![Dim::from(dims.len())], |p| {
            let i = p.index(0);
            let mut value = p.int(0);
            for (k, dim) in dims.iter().enumerate() {
                let (d, here) = (p.dim(dim), p.int(k as i64));
                let hit = p.eq(i, here);
                value = p.select(hit, d, value);
            }
            p.out(value);
        })
    }

    /// A `Compute` with one result. The closure describes one point of the domain.
    pub fn compute(
        &mut self,
        operands: &[ValueId],
        shape: Vec<Dim>,
        describe: impl FnOnce(&mut Point<'_>),
    ) -> Result<ValueId, BuildError> {
        one(&self.compute_many(operands, shape, describe)?)
    }

    /// A `Compute` with as many results as the closure calls [`Point::out`].
    pub fn compute_many(
        &mut self,
        operands: &[ValueId],
        shape: Vec<Dim>,
        describe: impl FnOnce(&mut Point<'_>),
    ) -> Result<Vec<ValueId>, BuildError> {
        let types = operands.iter().map(|v| self.tensor(*v).cloned()).collect::<Result<Vec<_>, _>>()?;
        let mut point = Point::new(&types, shape.len());
        describe(&mut point);
        let (exprs, reduce, accs, outs) = point.finish()?;
        let compute = Compute { shape, reduce, exprs, accs, outs };
        self.add_compute(compute, operands.to_vec())
    }

    /// Adds a finished `Compute`.
    pub fn add_compute(&mut self, compute: Compute, operands: Vec<ValueId>) -> Result<Vec<ValueId>, BuildError> {
        let mut strings = compute.outs.iter().any(|o| compute.exprs.dtype(*o) == DType::Str);
        for operand in &operands {
            strings |= self.dtype(*operand)? == DType::Str;
        }
        if let Some(pick) = self.string_pick.filter(|_| strings) {
            return self.move_strings(pick, compute, operands);
        }
        let types: Vec<Type> =
            compute.outs.iter().map(|o| Type::tensor(compute.exprs.dtype(*o), compute.shape.clone())).collect();
        let contents = contents::of_compute(self, &compute, &operands);
        let results = self.push(Op::Compute(compute), operands, types, Vec::new())?;
        for (result, elements) in results.iter().zip(contents) {
            self.set_contents(*result, elements);
        }
        Ok(results)
    }

    /// A region of a kind over operands: its body is generated, its results typed by it.
    pub fn region(
        &mut self,
        kind: &'static RegionKind,
        attrs: Attrs,
        operands: &[ValueId],
    ) -> Result<Vec<ValueId>, BuildError> {
        self.begin_body()?;
        let built = self.region_body(kind, &attrs, operands);
        let body = self.end_body();
        built?;
        let types: Vec<Type> = body.outputs.iter().filter_map(|o| body.value(*o)).map(|v| v.ty.clone()).collect();
        let region = Region { kind, attrs, body: Box::new(body) };
        self.push(Op::Region(region), operands.to_vec(), types, Vec::new())
    }

    /// A region with one result.
    pub fn region_one(
        &mut self,
        kind: &'static RegionKind,
        attrs: Attrs,
        operands: &[ValueId],
    ) -> Result<ValueId, BuildError> {
        one(&self.region(kind, attrs, operands)?)
    }

    fn region_body(&mut self, kind: &RegionKind, attrs: &Attrs, operands: &[ValueId]) -> Result<(), BuildError> {
        let inputs = self.body_inputs(operands)?;
        let results = (kind.body)(self, attrs, &inputs)?;
        results.into_iter().for_each(|r| self.output(r));
        Ok(())
    }

    /// A host operator over operands.
    pub fn host(
        &mut self,
        op: &'static crate::host::HostOp,
        attrs: Attrs,
        operands: &[ValueId],
    ) -> Result<Vec<ValueId>, BuildError> {
        let types = operands.iter().map(|v| self.ty(*v).cloned()).collect::<Result<Vec<_>, _>>()?;
        let (results, binds) = (op.infer)(&attrs, &types, &mut self.model.symbols)?;
        self.push(Op::Host(Host { op, attrs }), operands.to_vec(), results, binds)
    }

    /// Adds a node of any kind. Checks the limits on the results' types, not the node's own rules (the verifier does).
    pub fn push(
        &mut self,
        op: Op,
        operands: Vec<ValueId>,
        types: Vec<Type>,
        binds: Vec<SymId>,
    ) -> Result<Vec<ValueId>, BuildError> {
        for ty in &types {
            self.check_limits(ty)?;
        }
        let index = self.scope().graph.nodes.len();
        let mut results = Vec::with_capacity(types.len());
        for ty in types {
            let id = self.add_value(ty, None);
            if let Some(slot) = self.scope_mut().defs.get_mut(id.0 as usize) {
                *slot = Some(index);
            }
            results.push(id);
        }
        let origins = self.origins.clone();
        let node = Node { op, operands, results: results.clone(), binds, origins };
        self.scope_mut().graph.nodes.push(node);
        Ok(results)
    }

    /// Assumes a condition: nothing if it is certain, an error if it is refuted, else a guard that is checked at run time.
    pub fn assume(&mut self, pred: Pred, what: &str) -> Result<(), BuildError> {
        match self.model.symbols.prove(&pred) {
            Some(true) => Ok(()),
            Some(false) => Err(BuildError::Refuted { what: what.to_string(), pred: format!("{pred:?}") }),
            None => {
                let guard = Guard { pred, origin: self.origins.last().copied(), what: what.to_string() };
                if !self.model.guards.contains(&guard) {
                    self.model.guards.push(guard);
                }
                Ok(())
            }
        }
    }

    /// Assumes that two extents are equal.
    pub fn assume_equal(&mut self, a: &Dim, b: &Dim, what: &str) -> Result<(), BuildError> {
        self.assume(Pred::Eq(a.clone(), b.clone()), what)
    }

    /// Whether a condition is certain.
    pub fn proves(&self, pred: &Pred) -> bool {
        self.model.symbols.prove(pred) == Some(true)
    }

    /// The value as a constant tensor, evaluating what it is made of if that is constant and within the fold budget.
    pub fn const_tensor(&mut self, value: ValueId) -> Option<Tensor> {
        let slot = value.0 as usize;
        if let Some(Some(known)) = self.scope().folded.get(slot) {
            return known.clone();
        }
        let tensor = self.fold(value);
        if let Some(entry) = self.scope_mut().folded.get_mut(slot) {
            *entry = Some(tensor.clone());
        }
        tensor
    }

    fn fold(&mut self, value: ValueId) -> Option<Tensor> {
        if let Some(elements) = self.contents(value)
            && let Some(tensor) = self.tensor_of_contents(value, &elements)
        {
            return Some(tensor);
        }
        let shape = self.tensor(value).ok()?.static_shape()?;
        let dtype = self.dtype(value).ok()?;
        let bytes = crate::tensor::element_count(&shape).and_then(|n| dtype.bytes_for(n))?;
        let index = (*self.scope().defs.get(value.0 as usize)?)?;
        let node = self.scope().graph.nodes.get(index)?.clone();
        if let Op::Const(Const::Blob(blob)) = &node.op {
            return Some(blob.tensor.clone());
        }
        if bytes > self.limits.fold_bytes || !node.binds.is_empty() {
            return None;
        }
        let operands: Option<Vec<Datum>> =
            node.operands.iter().map(|o| self.const_tensor(*o).map(Datum::Tensor)).collect();
        let results = eval::node(&self.scope().graph, &node, &operands?, &mut eval::Bindings::default()).ok()?;
        let position = node.results.iter().position(|r| *r == value)?;
        results.into_iter().nth(position).and_then(|d| match d {
            Datum::Tensor(t) => Some(t),
            Datum::Seq(_) | Datum::Opt(_) | Datum::Map { .. } => None,
        })
    }

    fn tensor_of_contents(&self, value: ValueId, elements: &[Dim]) -> Option<Tensor> {
        let ty = self.tensor(value).ok()?;
        let scalars: Option<Vec<Scalar>> =
            elements.iter().map(|d| d.as_const().map(|v| Scalar::from_i64(ty.dtype, v))).collect();
        Tensor::from_scalars(ty.dtype, ty.static_shape()?, &scalars?).ok()
    }

    fn small_const(&self, value: ValueId) -> Option<Tensor> {
        let ty = self.tensor(value).ok()?;
        let shape = ty.static_shape()?;
        let count = crate::tensor::element_count(&shape)?;
        let index = (*self.scope().defs.get(value.0 as usize)?)?;
        match &self.scope().graph.nodes.get(index)?.op {
            Op::Const(Const::Splat(s)) if count <= self.limits.contents => Tensor::splat(*s, shape).ok(),
            Op::Const(Const::Inline(t)) => Some(t.clone()),
            _ => None,
        }
    }

    /// The elements of an integer tensor as sizes: known ones as they are, unknown ones each through a `Bind` with the
    /// range `lo..=hi`. The tensor needs a static shape.
    pub fn dims_of(&mut self, value: ValueId, lo: i64, hi: Option<i64>) -> Result<Vec<Dim>, BuildError> {
        if let Some(known) = self.contents(value) {
            return Ok(known.to_vec());
        }
        if let Some(tensor) = self.const_tensor(value) {
            return Ok(tensor.to_i64s().into_iter().map(Dim::constant).collect());
        }
        let ty = self.tensor(value)?.clone();
        let count = ty.count().as_size().filter(|c| *c <= self.limits.contents).ok_or(BuildError::Unsupported {
            what: "sizes taken from a tensor whose own length is not known".to_string(),
            closest: "a tensor of static length".to_string(),
        })?;
        let flat = self.reshape(value, vec![Dim::from(count)])?;
        let mut dims = Vec::with_capacity(count);
        for k in 0..count {
            let element = self.compute(&[flat], Vec::new(), |p| {
                let at = p.int(k as i64);
                let v = p.load(0, &[at]);
                let wide = p.cast(v, DType::I64);
                p.out(wide);
            })?;
            dims.push(self.bind(element, lo, hi)?);
        }
        if !ty.dtype.is_float() {
            self.set_contents(value, Some(dims.clone().into()));
        }
        Ok(dims)
    }

    /// Makes a size of an i64 scalar (rank 0).
    pub fn bind(&mut self, scalar: ValueId, lo: i64, hi: Option<i64>) -> Result<Dim, BuildError> {
        let ty = self.tensor(scalar)?;
        if ty.dtype != DType::I64 || !ty.shape.is_empty() {
            return Err(BuildError::Operand {
                what: "bind".to_string(),
                expected: "an i64 scalar".to_string(),
                found: format!("{ty:?}"),
            });
        }
        if let Some(known) = self.contents(scalar)
            && let [dim] = &known[..]
        {
            return Ok(dim.clone());
        }
        let name = format!("n{}", self.model.symbols.len());
        let symbol = self.model.symbols.add(&name, lo, hi, SymSource::Bind);
        self.push(Op::Bind, vec![scalar], Vec::new(), vec![symbol])?;
        self.set_contents(scalar, Some(vec![Dim::symbol(symbol)].into()));
        Ok(Dim::symbol(symbol))
    }

    /// Records what a value's elements are known to be.
    pub fn set_contents(&mut self, value: ValueId, contents: Option<Arc<[Dim]>>) {
        if let (Some(v), Some(c)) = (self.scope_mut().graph.values.get_mut(value.0 as usize), contents)
            && v.ty.as_tensor().is_some_and(|t| t.dtype.is_int() || t.dtype == DType::Bool)
        {
            v.contents = Some(c);
        }
    }

    fn add_value(&mut self, ty: Type, name: Option<String>) -> ValueId {
        let scope = self.scope_mut();
        let id = scope.graph.add_value(ty, name);
        scope.defs.push(None);
        scope.folded.push(None);
        id
    }

    fn scope(&self) -> &Scope {
        match self.scopes.last() {
            Some(scope) => scope,
            None => &EMPTY,
        }
    }

    fn scope_mut(&mut self) -> &mut Scope {
        if self.scopes.is_empty() {
            self.scopes.push(Scope::default());
        }
        let last = self.scopes.len() - 1;
        &mut self.scopes[last]
    }
}

static EMPTY: Scope = Scope {
    graph: Graph { values: Vec::new(), nodes: Vec::new(), inputs: Vec::new(), outputs: Vec::new(), binds: Vec::new() },
    defs: Vec::new(),
    folded: Vec::new(),
};

/// The only element.
fn one(values: &[ValueId]) -> Result<ValueId, BuildError> {
    match values {
        [value] => Ok(*value),
        _ => Err(BuildError::Results { expected: 1, found: values.len() }),
    }
}

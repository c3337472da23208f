//! Plans a model: one block per graph, over tables that the whole plan shares.
//!
//! In a block: cover by claims, groups, inlining, layouts, then steps in an order that respects values and symbols. Arena
//! offsets come last, over all blocks ([`crate::arena`]).

mod block;
mod claimed;
mod concat;
mod control;
mod cover;
mod generic;
mod layouts;
mod rows;
mod tuned;
mod units;

use std::collections::{BTreeMap, BTreeSet};

use graph::datum::Datum;
use graph::dim::{Dim, SymId};
use graph::dtype::DType;
use graph::graph::{Graph, Model, NodeId, ValueId};
use graph::node::{Const, Op};
use graph::symbol::Symbols;
use graph::tensor::{Hash, Tensor};
use graph::ty::Type;
use nest::abstraction::{Constants, abstract_sizes, own_symbols};
use nest::kernel::Kernel;
use nest::layout::Access;

use crate::error::PlanError;
use crate::open::open_regions;
use crate::plan::{Border, Buffer, BufferId, Code, CodeId, Launch, Place, Plan, View, Weight};
use crate::target::Target;
use crate::tuning::Asked;

/// Plans a verified model for a target.
pub fn plan_model<C: Clone + PartialEq + std::fmt::Debug>(
    model: &Model,
    target: &Target<'_, C>,
) -> Result<Plan<C>, PlanError> {
    plan_tuned(model, target).map(|(plan, _)| plan)
}

/// Plans a verified model, and yields what the target's tuning was asked.
pub fn plan_tuned<C: Clone + PartialEq + std::fmt::Debug>(
    model: &Model,
    target: &Target<'_, C>,
) -> Result<(Plan<C>, Vec<Asked>), PlanError> {
    let planner = Planner::new(model, target);
    let graph = planner.open(&model.graph);
    planner.plan_top(model, &graph)
}

/// Tables of the plan under construction.
pub(crate) struct Planner<'a, C> {
    pub symbols: Symbols,
    pub target: &'a Target<'a, C>,
    pub plan: Plan<C>,
    weights: BTreeMap<Hash, BufferId>,
    /// Guards that no step checks yet, by index.
    pub pending_guards: Vec<usize>,
    /// What tuning was asked, each question once.
    pub asked: Vec<Asked>,
}

impl<'a, C: Clone + PartialEq + std::fmt::Debug> Planner<'a, C> {
    fn new(model: &Model, target: &'a Target<'a, C>) -> Planner<'a, C> {
        let plan = Plan {
            name: model.name.clone(),
            symbols: Symbols::default(),
            guards: model.guards.clone(),
            origins: model.origins.clone(),
            states: model.states.clone(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            weights: Vec::new(),
            buffers: Vec::new(),
            codes: Vec::new(),
            arena: Dim::constant(0),
            body: crate::plan::Block::default(),
        };
        Planner {
            symbols: model.symbols.clone(),
            target,
            plan,
            weights: BTreeMap::new(),
            pending_guards: (0..model.guards.len()).collect(),
            asked: Vec::new(),
        }
    }

    /// Opens every region that no claimant wants.
    fn open(&self, graph: &Graph) -> Graph {
        open_regions(graph, &|graph| {
            let facts = crate::facts::Facts::of(graph);
            let constants = |value| constant_of(graph, &facts, value);
            let site = crate::claim::Site { graph, symbols: &self.symbols, facts: &facts, constants: &constants };
            let wanted = |node: NodeId| self.target.claimants.iter().any(|c| !c.claims(&site, node).is_empty());
            let regions = graph.iter().filter(|(_, node)| matches!(node.op, Op::Region(_)));
            regions.map(|(id, _)| id).filter(|id| wanted(*id)).collect()
        })
    }

    fn plan_top(mut self, model: &Model, graph: &Graph) -> Result<(Plan<C>, Vec<Asked>), PlanError> {
        let mut views = BTreeMap::new();
        for (position, input) in graph.inputs.iter().enumerate() {
            let value = graph.value(*input).ok_or(PlanError::NoView { value: input.0 })?;
            let state = model.states.iter().position(|s| s.input == position);
            let place = match state {
                Some(k) => Place::State(k),
                None => Place::Input(position),
            };
            let view = self.new_view(&value.ty, place);
            views.insert(*input, view.clone());
            let name = value.name.clone().unwrap_or_else(|| format!("input_{position}"));
            self.plan.inputs.push(Border { name, ty: value.ty.clone(), view });
        }
        let mut targets = Vec::new();
        for (position, output) in graph.outputs.iter().enumerate() {
            let value = graph.value(*output).ok_or(PlanError::NoView { value: output.0 })?;
            let view = self.new_view(&value.ty, Place::Output(position));
            let declared = model.graph.outputs.get(position).and_then(|o| model.graph.value(*o));
            let name = declared.and_then(|v| v.name.clone()).unwrap_or_else(|| format!("output_{position}"));
            self.plan.outputs.push(Border { name, ty: value.ty.clone(), view: view.clone() });
            targets.push(Some(view));
        }
        let known = self.symbols.iter().filter(|(_, s)| s.source == graph::symbol::SymSource::Input);
        let known: BTreeSet<SymId> = known.map(|(id, _)| id).collect();
        let (block, _) = self.plan_block(graph, views, &known, &targets)?;
        self.plan.body = block;
        self.plan.symbols = self.symbols.clone();
        crate::arena::assign(&mut self.plan);
        crate::order::add_dependencies(&mut self.plan);
        Ok((self.plan, self.asked))
    }

    /// A new dense buffer for a value, as a view of all of it.
    pub(crate) fn new_view(&mut self, ty: &Type, place: Place) -> View {
        match ty {
            Type::Tensor(t) if t.dtype != DType::Str => {
                let elements = t.count();
                self.buffer_view(t.dtype, t.shape.clone(), elements, Access::dense(&t.shape), place)
            }
            Type::Tensor(t) => {
                let place = self.object_place(ty, place);
                self.buffer_view(t.dtype, t.shape.clone(), t.count(), Access::dense(&t.shape), place)
            }
            Type::Seq(_) | Type::Opt(_) | Type::Map { .. } | Type::Ragged { .. } => {
                let place = self.object_place(ty, place);
                self.buffer_view(DType::Str, Vec::new(), Dim::constant(1), Access::dense(&[]), place)
            }
        }
    }

    /// Objects at the border keep the border's place; all others are session objects.
    fn object_place(&self, ty: &Type, place: Place) -> Place {
        match place {
            Place::Input(_) | Place::Output(_) | Place::State(_) => place,
            Place::Arena { .. } | Place::Weight(_) | Place::Growable | Place::Object(_) => Place::Object(ty.clone()),
        }
    }

    /// A new buffer and a view of it.
    pub(crate) fn buffer_view(
        &mut self,
        dtype: DType,
        shape: Vec<Dim>,
        elements: Dim,
        access: Access,
        place: Place,
    ) -> View {
        self.plan.buffers.push(Buffer { dtype, elements, place });
        View { buffer: BufferId((self.plan.buffers.len() - 1) as u32), shape, access }
    }

    /// A buffer for an intermediate value: in the arena, or growable where nothing that is known when a call starts bounds
    /// its size.
    pub(crate) fn temporary_place(&self, ty: &Type) -> Place {
        let bounded = ty.as_tensor().is_none_or(|t| crate::bound::upper(&self.symbols, &t.count()).is_some());
        if bounded { Place::Arena { offset: Dim::constant(0) } } else { Place::Growable }
    }

    /// A launch of a kernel over sizes of the plan: its code, which is added or found, the values of its parameters, and the
    /// scratch that the target wants for it.
    pub(crate) fn launch_of(&mut self, kernel: Kernel, reads: Vec<View>, writes: Vec<View>) -> Launch {
        let (kernel, sizes) = match self.target.constants {
            Constants::Parameters => abstract_sizes(kernel, Constants::Parameters),
            Constants::Code => own_symbols(kernel),
        };
        let bytes = (self.target.workspace)(&kernel);
        let bytes = self.symbols.substitute(&bytes, &|id| sizes.get(id.0 as usize).cloned());
        let workspace = self.scratch(&bytes, DType::I64);
        let code = self.add_code(Code::Kernel(kernel));
        Launch { code, reads, writes, sizes, workspace, meaning: None }
    }

    /// Scratch of so many bytes, as elements of a type.
    pub(crate) fn scratch(&mut self, bytes: &Dim, dtype: DType) -> Option<View> {
        if bytes.is(0) {
            return None;
        }
        let count = self.symbols.ceil_div(bytes, &Dim::constant(i64::from(dtype.bits()) / 8));
        let shape = vec![count.clone()];
        let place = self.temporary_place(&Type::tensor(dtype, shape.clone()));
        let access = Access::dense(&shape);
        Some(self.buffer_view(dtype, shape, count, access, place))
    }

    /// Adds code, or finds the equal one.
    pub(crate) fn add_code(&mut self, code: Code<C>) -> CodeId {
        if let Some(position) = self.plan.codes.iter().position(|c| *c == code) {
            return CodeId(position as u32);
        }
        self.plan.codes.push(code);
        CodeId((self.plan.codes.len() - 1) as u32)
    }

    /// The view of a constant in the weight table; equal constants share an entry.
    pub(crate) fn weight_view(&mut self, name: &str, tensor: Tensor) -> View {
        let hash = tensor.hash();
        let shape: Vec<Dim> = tensor.shape().iter().map(|d| Dim::from(*d)).collect();
        let access = Access::dense(&shape);
        if let Some(buffer) = self.weights.get(&hash) {
            return View { buffer: *buffer, shape, access };
        }
        let (dtype, extents) = (tensor.dtype(), tensor.shape().to_vec());
        let index = self.plan.weights.len();
        let source = crate::plan::Source::Constant(tensor);
        self.plan.weights.push(Weight { name: name.to_string(), source, dtype, shape: extents });
        let view = self.buffer_view(dtype, shape.clone(), Dim::product(&shape), access, Place::Weight(index));
        self.weights.insert(hash, view.buffer);
        view
    }
}

/// The tensor that a value is, if a `Const` node defines it.
pub(crate) fn constant_of(graph: &Graph, facts: &crate::facts::Facts, value: ValueId) -> Option<Tensor> {
    let (node, _) = facts.definition(value)?;
    let node = graph.node(node)?;
    match &node.op {
        Op::Const(Const::Inline(tensor)) => Some(tensor.clone()),
        Op::Const(Const::Blob(blob)) => Some(blob.tensor.clone()),
        Op::Const(Const::Splat(_) | Const::Iota) => {
            let values = graph::eval::node(graph, node, &[], &mut graph::eval::Bindings::default()).ok()?;
            values.first().and_then(Datum::as_tensor).cloned()
        }
        _ => None,
    }
}

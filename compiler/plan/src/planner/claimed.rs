//! Steps of claims: operands in the wanted layouts, derived constants, the epilogue as a kernel, and the meaning.

use std::collections::BTreeMap;

use graph::dtype::DType;
use graph::expr::ExprId;
use graph::graph::{Graph, NodeId, ValueId};
use graph::node::{Compute, Node, Op};
use graph::tensor::Tensor;
use graph::ty::Type;
use nest::abstraction::abstract_sizes;
use nest::build::kernel_of_fused;
use nest::fuse::{Fused, FusedOperand};
use nest::layout::Access;

use crate::claim::{Claim, Derived, Want};
use crate::error::PlanError;
use crate::plan::{Action, Claimed, Code, Launch, Place, Source, View, Weight};
use crate::planner::block::BlockState;
use crate::planner::units::Built;
use crate::planner::{Planner, constant_of};
use crate::tuning::Asked;

impl<C: Clone + PartialEq + std::fmt::Debug> Planner<'_, C> {
    pub(super) fn emit_claimed(
        &mut self,
        state: &mut BlockState<'_>,
        built: &Built,
        claim: &Claim<C>,
        fused: &Fused,
    ) -> Result<(), PlanError> {
        let fused = match claim.epilogue {
            true => Some(with_virtual_first(state.graph, fused, &claim.results)?),
            false => None,
        };
        let chosen = self.tuned(state, built, claim, fused.as_ref());
        let claim = chosen.as_ref().map_or(claim, |(claim, _)| claim);
        let question = chosen.as_ref().map(|(_, asked)| asked);
        let mut reads = Vec::new();
        for operand in &claim.operands {
            reads.push(self.operand_view(state, operand.value, &operand.want)?);
        }
        for derived in &claim.derived {
            reads.push(self.derived_view(state, derived)?);
        }
        let Some(fused) = fused else {
            return self.emit_direct(state, built, (claim, question), reads);
        };
        let mut accesses: Vec<Access> = Vec::with_capacity(fused.operands.len());
        for (k, operand) in fused.operands.iter().enumerate() {
            if k < claim.results.len() {
                accesses.push(Access::dense(&operand.shape));
            } else {
                let view = self.view(state, operand.value)?;
                accesses.push(view.access.clone());
                reads.push(view);
            }
        }
        let writes = fused.results.iter().map(|r| self.place(state, *r)).collect::<Result<Vec<_>, _>>()?;
        let result_access: Vec<Access> = writes.iter().map(|v| v.access.clone()).collect();
        let epilogue = kernel_of_fused(&fused, &accesses, &result_access)
            .ok_or(PlanError::Malformed { op: "epilogue", what: "no index expressions" })?;
        let (epilogue, epilogue_sizes) = abstract_sizes(epilogue, self.target.constants);
        let code = self.add_code(Code::Claimed(Claimed {
            code: claim.code.clone(),
            operands: claim.operands.len(),
            derived: claim.derived.len(),
            sizes: claim.sizes.len(),
            results: claim.results.len(),
            epilogue: Some(epilogue),
        }));
        let mut sizes = claim.sizes.clone();
        sizes.extend(epilogue_sizes);
        self.remember(question, code, &sizes);
        let workspace = self.scratch(&claim.workspace, DType::F32);
        let meaning = meaning_of(state, claim, &fused)?;
        let launch = Launch { code, reads, writes, sizes, workspace, meaning: Some(Box::new(meaning)) };
        state.push(Action::Launch(launch), &fused.origins);
        Ok(())
    }

    /// A claim that writes its results itself.
    fn emit_direct(
        &mut self,
        state: &mut BlockState<'_>,
        built: &Built,
        (claim, question): (&Claim<C>, Option<&Asked>),
        reads: Vec<View>,
    ) -> Result<(), PlanError> {
        let writes = claim.results.iter().map(|r| self.place(state, *r)).collect::<Result<Vec<_>, _>>()?;
        let code = self.add_code(Code::Claimed(Claimed {
            code: claim.code.clone(),
            operands: claim.operands.len(),
            derived: claim.derived.len(),
            sizes: claim.sizes.len(),
            results: claim.results.len(),
            epilogue: None,
        }));
        let workspace = self.scratch(&claim.workspace, DType::F32);
        let meaning = meaning_of_root(state, claim)?;
        let sizes = claim.sizes.clone();
        self.remember(question, code, &sizes);
        let launch = Launch { code, reads, writes, sizes, workspace, meaning: Some(Box::new(meaning)) };
        let origins = built.fused.as_ref().map(|f| f.origins.clone()).unwrap_or_default();
        state.push(Action::Launch(launch), &origins);
        Ok(())
    }

    fn operand_view(&mut self, state: &mut BlockState<'_>, value: ValueId, want: &Want) -> Result<View, PlanError> {
        match want {
            Want::Layout(layout) => self.in_layout(state, value, Some(layout)),
            Want::Dense => self.in_layout(state, value, None),
            Want::Strided(strided) => {
                let mut view = self.view(state, value)?;
                if !strided.fits(&view.access, &view.shape, &self.symbols) {
                    view = self.in_layout(state, value, None)?;
                    // The claim reads all strides, those of extents of 1 included.
                    view.access = Access { offset: view.access.offset, ..Access::dense(&view.shape) };
                }
                Ok(view)
            }
        }
    }

    /// The weight that a derived constant is; equal derivations share an entry.
    fn derived_view(&mut self, state: &BlockState<'_>, derived: &Derived) -> Result<View, PlanError> {
        let inputs: Option<Vec<Tensor>> =
            derived.inputs.iter().map(|v| constant_of(state.graph, &state.facts, *v)).collect();
        let inputs = inputs.ok_or(PlanError::Malformed { op: "derived", what: "an input is not a constant" })?;
        let ty = derived.graph.outputs.first().and_then(|o| derived.graph.tensor(*o));
        let ty = ty.ok_or(PlanError::Malformed { op: "derived", what: "no tensor output" })?.clone();
        let extents = ty.static_shape().ok_or(PlanError::Malformed { op: "derived", what: "not of static shape" })?;
        let known = self.plan.weights.iter().position(|w| match &w.source {
            Source::Derived { graph, inputs: known } => {
                w.dtype == ty.dtype && w.shape == extents && **graph == derived.graph && *known == inputs
            }
            Source::Constant(_) => false,
        });
        let access = Access::dense(&ty.shape);
        if let Some(index) = known
            && let Some(buffer) = self.plan.buffers.iter().position(|b| b.place == Place::Weight(index))
        {
            let buffer = crate::plan::BufferId(buffer as u32);
            return Ok(View { buffer, shape: ty.shape, access });
        }
        let index = self.plan.weights.len();
        let source = Source::Derived { graph: Box::new(derived.graph.clone()), inputs };
        self.plan.weights.push(Weight { name: derived.name.clone(), source, dtype: ty.dtype, shape: extents });
        Ok(self.buffer_view(ty.dtype, ty.shape.clone(), ty.count(), access, Place::Weight(index)))
    }
}

/// What a claim's nodes compute from its operands.
fn meaning_of_root<C>(state: &BlockState<'_>, claim: &Claim<C>) -> Result<Graph, PlanError> {
    let inputs: Vec<ValueId> = claim.operands.iter().map(|o| o.value).collect();
    extract(state.graph, &state.facts, &claim.nodes, &inputs, &claim.results)
        .ok_or(PlanError::Malformed { op: "claim", what: "its nodes read a value that it does not name" })
}

/// The claim's nodes, then the epilogue as a Compute on their results and on what it reads beyond them.
fn meaning_of<C>(state: &BlockState<'_>, claim: &Claim<C>, fused: &Fused) -> Result<Graph, PlanError> {
    let mut out = meaning_of_root(state, claim)?;
    let mut operands = out.outputs.clone();
    for operand in fused.operands.iter().skip(claim.results.len()) {
        let id = out.add_value(Type::tensor(operand.dtype, operand.shape.clone()), None);
        out.inputs.push(id);
        operands.push(id);
    }
    let add = |out_value: &ExprId| Type::tensor(fused.exprs.dtype(*out_value), fused.shape.clone());
    let results: Vec<ValueId> = fused.outs.iter().map(|e| out.add_value(add(e), None)).collect();
    let compute = Compute {
        shape: fused.shape.clone(),
        reduce: fused.reduce.clone(),
        exprs: fused.exprs.clone(),
        accs: fused.accs.clone(),
        outs: fused.outs.clone(),
    };
    out.outputs = results.clone();
    out.nodes.push(Node { op: Op::Compute(compute), operands, results, binds: Vec::new(), origins: Vec::new() });
    Ok(out)
}

/// The same group with the claim's results as its first operands, in order, used or not.
fn with_virtual_first(graph: &Graph, fused: &Fused, results: &[ValueId]) -> Result<Fused, PlanError> {
    let mut operands: Vec<FusedOperand> = Vec::new();
    for result in results {
        let t = graph.tensor(*result).ok_or(PlanError::Malformed { op: "claim", what: "a result is not a tensor" })?;
        operands.push(FusedOperand { value: *result, dtype: t.dtype, shape: t.shape.clone() });
    }
    operands.extend(fused.operands.iter().filter(|o| !results.contains(&o.value)).cloned());
    Ok(fused.with_operands(operands)?)
}

/// The closed graph of some nodes: `inputs` in order, constants copied in, `outputs` in order. `None` if a node reads
/// something else.
pub(crate) fn extract(
    graph: &Graph,
    facts: &crate::facts::Facts,
    nodes: &[NodeId],
    inputs: &[ValueId],
    outputs: &[ValueId],
) -> Option<Graph> {
    let mut out = Graph::default();
    let mut map: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    for input in inputs {
        let id = ValueId(out.values.len() as u32);
        out.values.push(graph.value(*input)?.clone());
        out.inputs.push(id);
        map.entry(*input).or_insert(id);
    }
    let mut pending: Vec<NodeId> = nodes.to_vec();
    pending.sort();
    let mut queue: std::collections::VecDeque<NodeId> = pending.into();
    while let Some(id) = queue.pop_front() {
        let node = graph.node(id)?;
        let missing: Vec<NodeId> = node
            .operands
            .iter()
            .filter(|o| !map.contains_key(o))
            .map(|o| facts.definition(*o).map(|(n, _)| n))
            .collect::<Option<Vec<_>>>()?;
        if !missing.is_empty() {
            queue.push_front(id);
            for m in missing {
                // Operands that are not inputs are constants, or cheap producers that were inlined.
                if queue.contains(&m) && m > id {
                    return None;
                }
                queue.retain(|q| *q != m);
                queue.push_front(m);
            }
            continue;
        }
        let mut copy = node.clone();
        copy.operands = node.operands.iter().filter_map(|o| map.get(o).copied()).collect();
        copy.results.clear();
        for result in &node.results {
            let new = ValueId(out.values.len() as u32);
            out.values.push(graph.value(*result)?.clone());
            map.insert(*result, new);
            copy.results.push(new);
        }
        out.nodes.push(copy);
    }
    out.outputs = outputs.iter().map(|o| map.get(o).copied()).collect::<Option<Vec<_>>>()?;
    Some(out)
}

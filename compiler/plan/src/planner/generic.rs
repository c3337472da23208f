//! Steps of the generic way: fused nests, aliases, whole-tensor primitives, host calls.

use graph::dim::Dim;
use graph::expr::{Expr, Exprs, Leaves};
use graph::graph::{Graph, ValueId};
use graph::node::{Host, Node, Scatter, Sort};
use nest::build::kernel_of_fused;
use nest::fuse::Fused;
use nest::kernel::{Body, Kernel, Port, ScatterKernel};
use nest::layout::{Access, Layout};

use crate::claim::Claim;
use crate::error::PlanError;
use crate::plan::{Action, HostCall, View};
use crate::planner::Planner;
use crate::planner::block::BlockState;
use crate::planner::units::Built;

impl<C: Clone + PartialEq + std::fmt::Debug> Planner<'_, C> {
    pub(super) fn emit_group(
        &mut self,
        state: &mut BlockState<'_>,
        built: &Built,
        claims: &[Claim<C>],
    ) -> Result<(), PlanError> {
        let Some(fused) = &built.fused else { return Ok(()) };
        if let Some(claim) = built.group.claim.and_then(|c| claims.get(c)) {
            return self.emit_claimed(state, built, claim, fused);
        }
        if let Some(rows) = &built.rows {
            return self.launch_rows(state, built, rows);
        }
        if let Some(rests) = built.group.stored.first().and_then(|v| state.in_place.rests.get(v)).cloned() {
            return self.emit_rests(state, &rests);
        }
        if self.try_alias(state, fused)? {
            return Ok(());
        }
        let reads = self.views(state, fused.operands.iter().map(|o| o.value))?;
        let writes = fused.results.iter().map(|r| self.place(state, *r)).collect::<Result<Vec<_>, _>>()?;
        self.launch_fused(state, fused, &reads, &writes)
    }

    pub(super) fn views(
        &mut self,
        state: &mut BlockState<'_>,
        values: impl Iterator<Item = ValueId>,
    ) -> Result<Vec<View>, PlanError> {
        values.map(|v| self.view(state, v)).collect()
    }

    /// A launch of a fused group as one nest.
    pub(super) fn launch_fused(
        &mut self,
        state: &mut BlockState<'_>,
        fused: &Fused,
        reads: &[View],
        writes: &[View],
    ) -> Result<(), PlanError> {
        let operand_access: Vec<Access> = reads.iter().map(|v| v.access.clone()).collect();
        let result_access: Vec<Access> = writes.iter().map(|v| v.access.clone()).collect();
        let kernel = kernel_of_fused(fused, &operand_access, &result_access)
            .ok_or(PlanError::Malformed { op: "compute", what: "no index expressions" })?;
        self.launch_kernel(state, kernel, reads.to_vec(), writes.to_vec(), &fused.origins);
        Ok(())
    }

    pub(super) fn launch_kernel(
        &mut self,
        state: &mut BlockState<'_>,
        kernel: Kernel,
        reads: Vec<View>,
        writes: Vec<View>,
        origins: &[graph::node::OriginId],
    ) {
        let launch = self.launch_of(kernel, reads, writes);
        state.push(Action::Launch(launch), origins);
    }

    /// A group that only looks at its operand through other strides needs no step: its result is a view.
    fn try_alias(&mut self, state: &mut BlockState<'_>, fused: &Fused) -> Result<bool, PlanError> {
        let ([out], [result], [operand]) = (fused.outs.as_slice(), fused.results.as_slice(), fused.operands.as_slice())
        else {
            return Ok(false);
        };
        if state.targets.contains_key(result) || state.in_place.parts.contains_key(result) || !fused.reduce.is_empty() {
            return Ok(false);
        }
        let Some(Expr::Load { index, or: None, .. }) = fused.exprs.get(*out) else { return Ok(false) };
        let source = self.view(state, operand.value)?;
        if self.is_object(&source) || operand.dtype.bits() < 8 {
            return Ok(false);
        }
        let space = fused.space(&self.symbols);
        let Some(polynomials) = index.iter().map(|i| space.polynomial(&fused.exprs, *i)).collect::<Option<Vec<_>>>()
        else {
            return Ok(false);
        };
        let address = space.recombine(source.access.address(&polynomials, space.symbols()));
        let Some(affine) = space.affine(&address) else { return Ok(false) };
        let access = Access { offset: affine.constant, strides: affine.coefs, block: None };
        // A layout that was chosen for the result is another reason to move the elements, unless they lie so already.
        if let Some(layout) = state.layouts.get(result) {
            let wanted = layout.access(&fused.shape, &self.symbols);
            let padded = layout.elements(&fused.shape, &self.symbols) != Dim::product(&fused.shape);
            if padded || !access.is_same(&wanted, &fused.shape) {
                return Ok(false);
            }
        }
        let view = View { buffer: source.buffer, shape: fused.shape.clone(), access };
        state.views.insert(*result, view);
        Ok(true)
    }

    /// A fused group that copies a value.
    pub(super) fn identity(&self, graph: &Graph, value: ValueId) -> Result<Fused, PlanError> {
        let tensor =
            graph.tensor(value).ok_or(PlanError::Malformed { op: "copy", what: "the value is not a tensor" })?;
        let dtypes = [tensor.dtype];
        let leaves = Leaves { operands: &dtypes, accs: &[] };
        let mut exprs = Exprs::default();
        let index =
            (0..tensor.rank()).map(|d| exprs.add(Expr::Index(d as u32), leaves)).collect::<Result<Vec<_>, _>>()?;
        let out = exprs.add(Expr::Load { operand: 0, index, or: None }, leaves)?;
        let operand = nest::fuse::FusedOperand { value, dtype: tensor.dtype, shape: tensor.shape.clone() };
        Ok(Fused {
            shape: tensor.shape.clone(),
            operands: vec![operand],
            reduce: Vec::new(),
            exprs,
            accs: Vec::new(),
            outs: vec![out],
            results: vec![value],
            origins: Vec::new(),
        })
    }

    /// A value in a layout (`None`: dense), copied there if it does not lie so.
    pub(super) fn in_layout(
        &mut self,
        state: &mut BlockState<'_>,
        value: ValueId,
        layout: Option<&Layout>,
    ) -> Result<View, PlanError> {
        let view = self.view(state, value)?;
        let fits = match layout {
            Some(layout) => {
                let wanted = layout.access(&view.shape, &self.symbols);
                view.access.is_same(&wanted, &view.shape)
            }
            None => view.access.is_dense(&view.shape),
        };
        if fits {
            return Ok(view);
        }
        let key = (value, layout.cloned());
        if let Some(known) = state.reformatted.get(&key) {
            return Ok(known.clone());
        }
        let graph = state.graph;
        let ty = graph.value(value).map(|v| v.ty.clone()).ok_or(PlanError::NoView { value: value.0 })?;
        let place = self.temporary_place(&ty);
        let dtype = self.plan.buffers.get(view.buffer.0 as usize).map(|b| b.dtype);
        let dtype = dtype.ok_or(PlanError::NoView { value: value.0 })?;
        let target = match layout {
            Some(layout) => {
                let access = layout.access(&view.shape, &self.symbols);
                let elements = layout.elements(&view.shape, &self.symbols);
                let padded = elements != Dim::product(&view.shape);
                let target = self.buffer_view(dtype, view.shape.clone(), elements, access, place);
                if padded {
                    state.push(Action::Clear { buffer: target.buffer }, &[]);
                }
                target
            }
            None => self.new_view(&ty, place),
        };
        let identity = self.identity(graph, value)?;
        self.launch_fused(state, &identity, &[view], std::slice::from_ref(&target))?;
        state.reformatted.insert(key, target.clone());
        Ok(target)
    }

    pub(super) fn emit_scatter(
        &mut self,
        state: &mut BlockState<'_>,
        node: &Node,
        scatter: &Scatter,
    ) -> Result<(), PlanError> {
        let body = Body::Scatter(ScatterKernel {
            domain: scatter.domain.clone(),
            exprs: scatter.exprs.clone(),
            index: scatter.index.clone(),
            value: scatter.value,
            mode: scatter.mode,
        });
        self.emit_primitive(state, node, body)
    }

    pub(super) fn emit_sort(&mut self, state: &mut BlockState<'_>, node: &Node, sort: &Sort) -> Result<(), PlanError> {
        self.emit_primitive(state, node, Body::Sort { axis: sort.axis, descending: sort.descending })
    }

    /// A kernel that reads the node's operands and writes its results as they are.
    pub(super) fn emit_primitive(
        &mut self,
        state: &mut BlockState<'_>,
        node: &Node,
        body: Body,
    ) -> Result<(), PlanError> {
        let reads = self.views(state, node.operands.iter().copied())?;
        let writes = node.results.iter().map(|r| self.place(state, *r)).collect::<Result<Vec<_>, _>>()?;
        let graph = state.graph;
        let port = |value: &ValueId, view: &View| {
            let tensor = graph.tensor(*value).ok_or(PlanError::Malformed { op: "primitive", what: "not a tensor" })?;
            Ok(Port { dtype: tensor.dtype, shape: tensor.shape.clone(), access: view.access.clone() })
        };
        let operands =
            node.operands.iter().zip(&reads).map(|(v, view)| port(v, view)).collect::<Result<Vec<_>, PlanError>>()?;
        let results =
            node.results.iter().zip(&writes).map(|(v, view)| port(v, view)).collect::<Result<Vec<_>, PlanError>>()?;
        let kernel = Kernel { params: 0, operands, results, body };
        let launch = self.launch_of(kernel, reads, writes);
        state.push(Action::Launch(launch), &node.origins);
        Ok(())
    }

    pub(super) fn emit_host(&mut self, state: &mut BlockState<'_>, node: &Node, host: &Host) -> Result<(), PlanError> {
        let mut operands = Vec::with_capacity(node.operands.len());
        for operand in &node.operands {
            let view = self.view(state, *operand)?;
            let dense = self.is_object(&view) || view.access.is_dense(&view.shape);
            operands.push(if dense { view } else { self.in_layout(state, *operand, None)? });
        }
        let results = node.results.iter().map(|r| self.place(state, *r)).collect::<Result<Vec<_>, _>>()?;
        let result_types = node.results.iter().filter_map(|r| state.graph.value(*r)).map(|v| v.ty.clone()).collect();
        let call = HostCall {
            op: host.op,
            attrs: host.attrs.clone(),
            operands,
            results,
            result_types,
            binds: node.binds.clone(),
        };
        state.push(Action::Host(call), &node.origins);
        state.known.extend(node.binds.iter());
        Ok(())
    }
}

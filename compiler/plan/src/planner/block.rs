//! One graph becomes one block.

use std::collections::{BTreeMap, BTreeSet};

use graph::dim::SymId;
use graph::graph::{Graph, NodeId, ValueId};
use graph::node::{Node, Op, OriginId};
use nest::abstraction::Constants;
use nest::fuse::Fused;
use nest::layout::Layout;

use crate::claim::Claim;
use crate::error::PlanError;
use crate::facts::Facts;
use crate::group::{fuse_compute_group, fuse_epilogue, fuse_nothing, should_inline, splat_of};
use crate::plan::{Action, Block, Place, Step, View};
use crate::planner::concat::InPlace;
use crate::planner::units::{Built, Unit, order};
use crate::planner::{Planner, constant_of, layouts};

/// A block under construction.
pub(super) struct BlockState<'g> {
    pub graph: &'g Graph,
    pub facts: Facts,
    /// Where each value lies.
    pub views: BTreeMap<ValueId, View>,
    /// Layouts chosen for values, dense ones left out.
    pub layouts: BTreeMap<ValueId, Layout>,
    /// Values that are made inside others.
    pub in_place: InPlace,
    /// Where outputs are wanted.
    pub targets: BTreeMap<ValueId, View>,
    /// Copies of values in other layouts.
    pub reformatted: BTreeMap<(ValueId, Option<Layout>), View>,
    /// Symbols that have a value.
    pub known: BTreeSet<SymId>,
    pub steps: Vec<Step>,
    /// Number of each claim's claimant.
    pub families: Vec<usize>,
}

impl<'g> BlockState<'g> {
    pub fn push(&mut self, action: Action, origins: &[OriginId]) {
        self.steps.push(Step { action, after: Vec::new(), origins: origins.to_vec() });
    }

    /// Reads a symbol's value back, in the wait before if no step lies between that does more than check a guard.
    fn read_back(&mut self, from: View, symbol: SymId, origins: &[OriginId]) {
        let last = self.steps.iter_mut().rfind(|step| !matches!(step.action, Action::Check { .. }));
        if let Some(Step { action: Action::ReadBack { reads }, origins: all, .. }) = last
            && !mentions(&from, reads)
        {
            reads.push((from, symbol));
            all.extend(origins.iter().filter(|o| !all.contains(o)).copied().collect::<Vec<_>>());
            return;
        }
        self.push(Action::ReadBack { reads: vec![(from, symbol)] }, origins);
    }
}

/// Whether a view is over a symbol that is read.
fn mentions(view: &View, reads: &[(View, SymId)]) -> bool {
    let mut found = false;
    let sizes = view.shape.iter().chain(&view.access.strides).chain([&view.access.offset]);
    sizes.for_each(|d| d.for_each_symbol(&mut |s| found |= reads.iter().any(|(_, read)| *read == s)));
    found
}

impl<C: Clone + PartialEq + std::fmt::Debug> Planner<'_, C> {
    /// Plans a graph whose inputs lie in `views`. An output with a target is produced or copied there. Yields the block and
    /// the views of the outputs.
    pub(super) fn plan_block(
        &mut self,
        graph: &Graph,
        views: BTreeMap<ValueId, View>,
        known: &BTreeSet<SymId>,
        targets: &[Option<View>],
    ) -> Result<(Block, Vec<View>), PlanError> {
        let facts = Facts::of(graph);
        let (families, claims): (Vec<usize>, Vec<Claim<C>>) = self.cover(graph, &facts).into_iter().unzip();
        let mut groups = self.build_groups(graph, &facts, &claims)?;
        self.inline_groups(graph, &facts, &claims, &mut groups)?;
        for built in &mut groups {
            if let Some(fused) = &mut built.fused {
                fused.simplify(&self.symbols)?;
            }
        }
        let fixed: BTreeSet<ValueId> = views.keys().copied().collect();
        let layouts = layouts::assign(graph, &facts, &claims, &groups, &fixed);
        self.straighten(&layouts, &mut groups)?;
        self.merge_rows(graph, &facts, &layouts, &mut groups);
        let units = order(graph, &groups, self.target.constants == Constants::Code)?;
        let in_place = self.in_place(graph, &facts, &claims, &groups, &layouts)?;
        let mut wanted = BTreeMap::new();
        for (output, target) in graph.outputs.iter().zip(targets) {
            if let Some(target) = target {
                wanted.entry(*output).or_insert_with(|| target.clone());
            }
        }
        let mut state = BlockState {
            graph,
            facts,
            views,
            layouts,
            in_place,
            targets: wanted,
            reformatted: BTreeMap::new(),
            known: known.clone(),
            steps: Vec::new(),
            families,
        };
        self.check_guards(&mut state);
        for unit in units {
            match unit {
                Unit::Group(g) => self.emit_group(&mut state, &groups[g], &claims)?,
                Unit::Node(n) => self.emit_node(&mut state, n)?,
            }
            self.check_guards(&mut state);
        }
        let mut outputs = Vec::new();
        for (position, output) in graph.outputs.iter().enumerate() {
            let mut view = self.view(&mut state, *output)?;
            if let Some(Some(target)) = targets.get(position)
                && view != *target
            {
                self.copy_to(&mut state, *output, &view, target)?;
                view = target.clone();
            }
            outputs.push(view);
        }
        Ok((Block { steps: state.steps }, outputs))
    }

    fn build_groups(&self, graph: &Graph, facts: &Facts, claims: &[Claim<C>]) -> Result<Vec<Built>, PlanError> {
        let mut out = Vec::new();
        for group in self.groups(graph, facts, claims) {
            let claim = group.claim.and_then(|c| claims.get(c));
            let fused = match claim {
                Some(claim) if claim.epilogue => fuse_epilogue(graph, &group, &claim.results),
                Some(_) => Some(fuse_nothing(graph, &group)),
                None => fuse_compute_group(graph, &group),
            };
            let fused = fused.ok_or(PlanError::Malformed { op: "compute", what: "operands are not tensors" })?;
            let operands = claim.map(|c| c.operands.iter().map(|o| o.value).collect()).unwrap_or_default();
            let results = claim.map(|c| c.results.clone()).unwrap_or_default();
            out.push(Built { group, fused: Some(fused), operands, results, rows: None });
        }
        Ok(out)
    }

    /// Applies the inlining law to groups in order, and puts repeated elements into expressions.
    fn inline_groups(
        &self,
        graph: &Graph,
        facts: &Facts,
        claims: &[Claim<C>],
        groups: &mut [Built],
    ) -> Result<(), PlanError> {
        for built in groups.iter_mut() {
            let Some(fused) = &mut built.fused else { continue };
            let splats: Vec<_> =
                fused.operands.iter().filter_map(|o| splat_of(graph, facts, o.value).map(|s| (o.value, s))).collect();
            for (value, element) in splats {
                fused.inline_splat(value, element, &self.symbols)?;
            }
        }
        let mut grouped = vec![false; graph.nodes.len()];
        for built in groups.iter() {
            built.group.roots.iter().chain(&built.group.members).for_each(|n| grouped[n.0 as usize] = true);
        }
        let claimed: BTreeSet<ValueId> = claims.iter().flat_map(|c| c.operands.iter().map(|o| o.value)).collect();
        for g in 0..groups.len() {
            let Some(producer) = groups[g].fused.clone() else { continue };
            let free = groups[g].group.claim.is_none()
                && groups[g].group.stored.iter().all(|v| {
                    !facts.is_output(*v)
                        && !claimed.contains(v)
                        && facts.readers(*v).iter().all(|r| grouped[r.0 as usize])
                });
            if !free {
                continue;
            }
            let reads = |b: &Built| {
                b.fused.as_ref().is_some_and(|f| f.operands.iter().any(|o| producer.results.contains(&o.value)))
            };
            let readers: Vec<usize> = (0..groups.len()).filter(|k| *k != g && reads(&groups[*k])).collect();
            let fused: Vec<&Fused> = readers.iter().filter_map(|k| groups[*k].fused.as_ref()).collect();
            if readers.is_empty() || !should_inline(&producer, &fused, &self.symbols) {
                continue;
            }
            for k in readers {
                if let Some(reader) = &mut groups[k].fused {
                    reader.inline(&producer, &self.symbols)?;
                    for origin in &producer.origins {
                        if !reader.origins.contains(origin) {
                            reader.origins.push(*origin);
                        }
                    }
                }
            }
            groups[g].fused = None;
        }
        Ok(())
    }

    /// Where a value lies; constants enter the weight table when they are first asked for.
    pub(super) fn view(&mut self, state: &mut BlockState<'_>, value: ValueId) -> Result<View, PlanError> {
        if let Some(view) = state.views.get(&value) {
            return Ok(view.clone());
        }
        let tensor = constant_of(state.graph, &state.facts, value).ok_or(PlanError::NoView { value: value.0 })?;
        let name =
            state.graph.value(value).and_then(|v| v.name.clone()).unwrap_or_else(|| format!("constant_{}", value.0));
        let view = self.weight_view(&name, tensor);
        state.views.insert(value, view.clone());
        Ok(view)
    }

    /// A place for a value that a step is about to write: the output's if it is one, else a new buffer in its layout.
    pub(super) fn place(&mut self, state: &mut BlockState<'_>, value: ValueId) -> Result<View, PlanError> {
        if let Some(target) = state.targets.get(&value) {
            let view = target.clone();
            state.views.insert(value, view.clone());
            return Ok(view);
        }
        let ty = state.graph.value(value).map(|v| v.ty.clone()).ok_or(PlanError::NoView { value: value.0 })?;
        if let (Some(part), Some(tensor)) = (state.in_place.parts.get(&value).cloned(), ty.as_tensor()) {
            let view = self.place_part(state, &part, tensor.shape.clone())?;
            state.views.insert(value, view.clone());
            return Ok(view);
        }
        let place = self.temporary_place(&ty);
        let view = match (state.layouts.get(&value), ty.as_tensor()) {
            (Some(layout), Some(tensor)) => {
                let access = layout.access(&tensor.shape, &self.symbols);
                let elements = layout.elements(&tensor.shape, &self.symbols);
                let padded = elements != tensor.count();
                let view = self.buffer_view(tensor.dtype, tensor.shape.clone(), elements, access, place);
                if padded {
                    state.push(Action::Clear { buffer: view.buffer }, &[]);
                }
                view
            }
            _ => self.new_view(&ty, place),
        };
        state.views.insert(value, view.clone());
        Ok(view)
    }

    /// Copies a value to where it is wanted, whatever its layout.
    pub(super) fn copy_to(
        &mut self,
        state: &mut BlockState<'_>,
        value: ValueId,
        from: &View,
        to: &View,
    ) -> Result<(), PlanError> {
        let object = self.is_object(from);
        let dense = from.access.is_dense(&from.shape) && to.access.is_dense(&to.shape);
        if object || dense {
            state.push(Action::Copy { from: from.clone(), to: to.clone() }, &[]);
            return Ok(());
        }
        let identity = self.identity(state.graph, value)?;
        self.launch_fused(state, &identity, std::slice::from_ref(from), std::slice::from_ref(to))
    }

    pub(super) fn is_object(&self, view: &View) -> bool {
        let buffer = self.plan.buffers.get(view.buffer.0 as usize);
        buffer.is_some_and(|b| matches!(b.place, Place::Object(_)) || b.dtype == graph::dtype::DType::Str)
    }

    /// Checks for guards whose symbols have become known.
    fn check_guards(&mut self, state: &mut BlockState<'_>) {
        let mut checks = Vec::new();
        let guards = &self.plan.guards;
        self.pending_guards.retain(|g| {
            let Some(guard) = guards.get(*g) else { return false };
            let mut ready = true;
            guard.pred.for_each_symbol(&mut |s| ready &= state.known.contains(&s));
            if ready {
                checks.push((*g, guard.origin));
            }
            !ready
        });
        for (guard, origin) in checks {
            state.push(Action::Check { guard }, origin.as_slice());
        }
    }

    fn emit_node(&mut self, state: &mut BlockState<'_>, id: NodeId) -> Result<(), PlanError> {
        let graph = state.graph;
        let node: &Node = graph.node(id).ok_or(PlanError::Circle)?;
        match &node.op {
            Op::Const(_) => Ok(()),
            Op::Compute(_) => Err(PlanError::Malformed { op: "compute", what: "it is in no group" }),
            Op::Region(region) => Err(PlanError::Region { kind: region.kind.name }),
            Op::Scatter(scatter) => self.emit_scatter(state, node, scatter),
            Op::Sort(sort) => self.emit_sort(state, node, sort),
            Op::Compact(_) => self.emit_primitive(state, node, nest::kernel::Body::Compact),
            Op::Prefix(prefix) => self.emit_primitive(
                state,
                node,
                nest::kernel::Body::Prefix {
                    axis: prefix.axis,
                    combiner: prefix.combiner,
                    exclusive: prefix.exclusive,
                    reverse: prefix.reverse,
                },
            ),
            Op::Bind => {
                let operand = *node.operands.first().ok_or(PlanError::Malformed { op: "bind", what: "no operand" })?;
                let symbol = *node.binds.first().ok_or(PlanError::Malformed { op: "bind", what: "no symbol" })?;
                let from = self.view(state, operand)?;
                state.read_back(from, symbol, &node.origins);
                state.known.insert(symbol);
                Ok(())
            }
            Op::Host(host) => self.emit_host(state, node, host),
            Op::Scan(scan) => self.emit_scan(state, node, scan),
            Op::Loop(looped) => self.emit_loop(state, node, looped),
            Op::If(choice) => self.emit_if(state, node, choice),
        }
    }
}

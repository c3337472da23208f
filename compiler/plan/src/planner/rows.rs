//! Groups over the same rows become one launch, so that a row is read once: reductions of rows, what is computed from them for every
//! position, and reductions of that.
//!
//! Only for targets that know sizes when they print kernels: there a row of known length stays in registers. A merge begins at a
//! reduction and takes in neighbours as long as no way leads out of the merged groups and back.

use std::collections::{BTreeMap, BTreeSet};

use graph::dim::Dim;
use graph::expr::{Expr, ExprId};
use graph::graph::{Graph, NodeId, ValueId};
use nest::abstraction::Constants;
use nest::fuse::{Fused, FusedOperand};
use nest::layout::{Access, Layout};
use nest::rows::{Role, RowGroup, RowShape};

use crate::error::PlanError;
use crate::facts::Facts;
use crate::group::{Group, estimate};
use crate::planner::Planner;
use crate::planner::block::BlockState;
use crate::planner::units::{Built, order};

/// Elements of a row that threads of one CTA hold.
const ROW: std::ops::RangeInclusive<i64> = 16..=32 << 10;
/// Groups of one launch: each is a stage of the kernel, written out.
const STAGES: usize = 12;

impl<C: Clone + PartialEq + std::fmt::Debug> Planner<'_, C> {
    /// Writes reductions over dims that lie in order in memory.
    pub(super) fn straighten(
        &self,
        layouts: &BTreeMap<ValueId, Layout>,
        groups: &mut [Built],
    ) -> Result<(), PlanError> {
        if self.target.constants != Constants::Code {
            return Ok(());
        }
        for built in groups.iter_mut().filter(|b| is_free(b)) {
            if let Some(fused) = &mut built.fused {
                fused.straighten(&self.symbols, &|operand| self.access(operand, layouts))?;
            }
        }
        Ok(())
    }

    /// Where an operand lies, if it is no view of another.
    fn access(&self, operand: &FusedOperand, layouts: &BTreeMap<ValueId, Layout>) -> Access {
        match layouts.get(&operand.value) {
            Some(layout) => layout.access(&operand.shape, &self.symbols),
            None => Access::dense(&operand.shape),
        }
    }

    /// Merges groups whose rows one launch can keep.
    pub(super) fn merge_rows(
        &self,
        graph: &Graph,
        facts: &Facts,
        layouts: &BTreeMap<ValueId, Layout>,
        groups: &mut Vec<Built>,
    ) {
        if self.target.constants != Constants::Code {
            return;
        }
        for seed in 0..groups.len() {
            let Some(fused) = groups.get(seed).filter(|b| is_free(b)).and_then(|b| b.fused.as_ref()) else { continue };
            let shapes = RowShape::reduced_by(fused).into_iter().filter(is_kept);
            let shapes = shapes.filter(|rows| rows.is_of_operand(fused) || self.lies_along(fused, layouts));
            let chosen = shapes.map(|rows| {
                let chosen = Merge { graph, groups, rows: &rows }.grow(seed);
                (rows, chosen)
            });
            let Some((rows, chosen)) = chosen.into_iter().find(|(_, chosen)| chosen.len() > 1) else { continue };
            let merged = merged(facts, groups, &rows, &chosen);
            let before: Vec<(usize, Option<Fused>)> = chosen.iter().map(|k| (*k, groups[*k].fused.take())).collect();
            groups.push(merged);
            if order(graph, groups, false).is_err() {
                groups.pop();
                for (k, fused) in before {
                    groups[k].fused = fused;
                }
            }
        }
    }

    /// Whether neighbouring steps of a reduction read neighbouring elements of its largest operand.
    fn lies_along(&self, fused: &Fused, layouts: &BTreeMap<ValueId, Layout>) -> bool {
        let largest = fused.operands.iter().max_by_key(|o| estimate(&Dim::product(&o.shape), &self.symbols));
        let (Some(largest), Some(last)) = (largest, (fused.shape.len() + fused.reduce.len()).checked_sub(1)) else {
            return false;
        };
        let access = self.access(largest, layouts);
        let space = fused.space(&self.symbols);
        let next = |index: &[ExprId]| {
            let at = index.iter().map(|i| space.polynomial(&fused.exprs, *i)).collect::<Option<Vec<Dim>>>()?;
            let address = space.recombine(access.address(&at, space.symbols()));
            space.affine(&address)?.coefs.get(last).map(|stride| stride.is(1))
        };
        fused.exprs.iter().all(|(_, expr)| match expr {
            Expr::Load { operand, index, .. } if fused.operands.get(*operand as usize) == Some(largest) => {
                next(index) == Some(true)
            }
            _ => true,
        })
    }

    /// The launch of merged groups.
    pub(super) fn launch_rows(
        &mut self,
        state: &mut BlockState<'_>,
        built: &Built,
        rows: &RowGroup,
    ) -> Result<(), PlanError> {
        let reads = self.views(state, rows.operands().iter().map(|o| o.value))?;
        let stored = &built.group.stored;
        let writes = stored.iter().map(|r| self.place(state, *r)).collect::<Result<Vec<_>, _>>()?;
        let operand_access: Vec<Access> = reads.iter().map(|v| v.access.clone()).collect();
        let result_access: Vec<Access> = writes.iter().map(|v| v.access.clone()).collect();
        let kernel = rows.kernel(&operand_access, stored, &result_access)?;
        let origins = built.fused.as_ref().map(|f| f.origins.clone()).unwrap_or_default();
        self.launch_kernel(state, kernel, reads, writes, &origins);
        Ok(())
    }
}

/// Whether a group is one that may be merged.
fn is_free(built: &Built) -> bool {
    built.group.claim.is_none() && built.rows.is_none() && built.fused.is_some()
}

/// Whether one launch can keep the elements of a row.
fn is_kept(rows: &RowShape) -> bool {
    let elements = rows.row().iter().map(|e| e.as_const()).product::<Option<i64>>();
    elements.is_some_and(|n| ROW.contains(&n))
}

struct Merge<'a> {
    graph: &'a Graph,
    groups: &'a [Built],
    rows: &'a RowShape,
}

impl Merge<'_> {
    fn fused(&self, k: usize) -> Option<&Fused> {
        self.groups.get(k).filter(|b| is_free(b)).and_then(|b| b.fused.as_ref())
    }

    fn role(&self, k: usize) -> Option<Role> {
        let fused = self.fused(k)?;
        let wide = |dtype: graph::dtype::DType| dtype.bits() >= 8;
        let values =
            fused.operands.iter().all(|o| wide(o.dtype)) && fused.outs.iter().all(|o| wide(fused.exprs.dtype(*o)));
        if values { self.rows.role(fused) } else { None }
    }

    /// Groups that go with a reduction, ascending.
    fn grow(&self, seed: usize) -> Vec<usize> {
        let mut chosen: BTreeSet<usize> = BTreeSet::from([seed]);
        loop {
            let next = (0..self.groups.len()).find(|k| !chosen.contains(k) && self.fits(&chosen, *k));
            match next {
                Some(k) if chosen.len() < STAGES => chosen.insert(k),
                _ => break,
            };
        }
        self.in_order(&chosen)
    }

    /// Whether a group reads one of the chosen, or is read by one, in place; and no way leads out and back.
    fn fits(&self, chosen: &BTreeSet<usize>, k: usize) -> bool {
        let Some(role) = self.role(k) else { return false };
        let mut touches = false;
        for other in chosen {
            let Some(of) = self.role(*other) else { return false };
            for (reader, role, producer, of) in [(k, role, *other, of), (*other, of, k, role)] {
                let (Some(reader), Some(producer)) = (self.fused(reader), self.fused(producer)) else { return false };
                for value in producer.results.iter().filter(|v| reader.operand_of(**v).is_some()) {
                    touches = true;
                    if !self.rows.reads_in_place(reader, role, *value, of) {
                        return false;
                    }
                }
            }
        }
        let mut all = chosen.clone();
        all.insert(k);
        touches && self.is_convex(&all)
    }

    /// Whether nothing outside depends on the groups and is needed by them.
    fn is_convex(&self, chosen: &BTreeSet<usize>) -> bool {
        let mut own: BTreeSet<NodeId> = BTreeSet::new();
        let mut inside: BTreeSet<ValueId> = BTreeSet::new();
        let mut last = NodeId(0);
        for built in chosen.iter().filter_map(|k| self.groups.get(*k)) {
            own.extend(built.group.roots.iter().chain(&built.group.members));
            inside.extend(&built.group.stored);
            last = last.max(own.iter().next_back().copied().unwrap_or(last));
        }
        let Some(first) = own.iter().next().copied() else { return false };
        let mut tainted: BTreeSet<ValueId> = BTreeSet::new();
        for (id, node) in self.graph.iter().skip(first.0 as usize) {
            if id > last {
                break;
            }
            if own.contains(&id) {
                continue;
            }
            if node.operands.iter().any(|o| inside.contains(o) || tainted.contains(o)) {
                tainted.extend(&node.results);
            }
        }
        // What a group reads is known after inlining only.
        let mut reads = chosen.iter().filter_map(|k| self.fused(*k)).flat_map(|f| &f.operands);
        !reads.any(|o| tainted.contains(&o.value))
    }

    /// Each after those that it reads.
    fn in_order(&self, chosen: &BTreeSet<usize>) -> Vec<usize> {
        let mut left: Vec<usize> = chosen.iter().copied().collect();
        let mut out = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let ready = left.iter().position(|k| {
                left.iter().filter(|other| *other != k).all(|other| match (self.fused(*k), self.fused(*other)) {
                    (Some(reader), Some(producer)) => producer.results.iter().all(|v| reader.operand_of(*v).is_none()),
                    _ => true,
                })
            });
            let Some(ready) = ready else { return Vec::new() };
            out.push(left.remove(ready));
        }
        out
    }
}

/// One group of several, in the order in which they run.
fn merged(facts: &Facts, groups: &[Built], rows: &RowShape, chosen: &[usize]) -> Built {
    let members: Vec<&Built> = chosen.iter().filter_map(|k| groups.get(*k)).collect();
    let mut roots: Vec<NodeId> =
        members.iter().flat_map(|b| b.group.roots.iter().chain(&b.group.members)).copied().collect();
    roots.sort_unstable();
    let stages: Vec<Fused> = members.iter().filter_map(|b| b.fused.clone()).collect();
    let group = RowGroup { rows: rows.clone(), stages };
    let others: Vec<&Fused> =
        groups.iter().enumerate().filter(|(k, _)| !chosen.contains(k)).filter_map(|(_, b)| b.fused.as_ref()).collect();
    let stored: Vec<ValueId> = members.iter().flat_map(|b| b.group.stored.iter().copied()).collect();
    // Readers that went into their own readers do not read themselves.
    let gone = groups.iter().filter(|b| b.fused.is_none()).flat_map(|b| b.group.roots.iter().chain(&b.group.members));
    let gone: BTreeSet<NodeId> = gone.copied().collect();
    let is_wanted = |v: &ValueId| {
        facts.is_output(*v)
            || facts.readers(*v).iter().any(|r| !roots.contains(r) && !gone.contains(r))
            || others.iter().any(|f| f.operand_of(*v).is_some())
    };
    let stored: Vec<ValueId> = stored.into_iter().filter(is_wanted).collect();
    let mut origins = Vec::new();
    for origin in group.stages.iter().flat_map(|s| &s.origins) {
        if !origins.contains(origin) {
            origins.push(*origin);
        }
    }
    let fused = Fused {
        shape: rows.shape.get(..rows.first).unwrap_or_default().to_vec(),
        operands: group.operands(),
        reduce: group.extents(),
        exprs: graph::expr::Exprs::default(),
        accs: Vec::new(),
        outs: Vec::new(),
        results: stored.clone(),
        origins,
    };
    let group_of = Group { claim: None, roots, members: Vec::new(), stored };
    Built { group: group_of, fused: Some(fused), operands: Vec::new(), results: Vec::new(), rows: Some(group) }
}

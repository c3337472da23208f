//! Concatenations in place: the kernels that make the parts write them where they lie in the whole, so that nothing is copied.
//!
//! A part can lie in the whole if a group of kernels stores it, if it has the whole's layout, and if no claim reads it, which would
//! want it on its own. No kernel may read the buffer that it writes, so a part whose kernel reads another one stays apart. What is
//! no such part is copied to its place, a launch each; so one at most, unless most of the whole is in place.
//!
//! ```text
//! %3 = concat(%1, %2) along 1      %1 writes ^0[.., 0..64, ..], %2 writes ^0[.., 64..96, ..], no step for %3
//! ```

use std::collections::{BTreeMap, BTreeSet};

use graph::dim::Dim;
use graph::expr::{Expr, ExprId, Leaves};
use graph::graph::{Graph, ValueId};
use nest::abstraction::Constants;
use nest::fuse::{Fused, FusedOperand};
use nest::layout::{Access, Layout};

use crate::claim::Claim;
use crate::error::PlanError;
use crate::facts::Facts;
use crate::group::estimate;
use crate::plan::View;
use crate::planner::Planner;
use crate::planner::block::BlockState;
use crate::planner::units::Built;

/// Where a value lies in another one.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub whole: ValueId,
    pub axis: usize,
    pub start: Dim,
}

/// A part that is copied to its place.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    part: Part,
    /// Makes the part's elements.
    fused: Fused,
}

/// What is in place.
#[derive(Clone, Debug, Default)]
pub(super) struct InPlace {
    /// Values that lie in others.
    pub parts: BTreeMap<ValueId, Part>,
    /// For every whole, what is copied there.
    pub rests: BTreeMap<ValueId, Vec<Rest>>,
}

/// A concatenation as its group spells it.
struct Concat {
    axis: usize,
    pieces: Vec<Piece>,
}

struct Piece {
    /// The operand that this is all of, if it is no more than that.
    operand: Option<FusedOperand>,
    /// The element at an index of the whole.
    value: ExprId,
    start: Dim,
    extent: Dim,
}

impl<C: Clone + PartialEq + std::fmt::Debug> Planner<'_, C> {
    /// Finds concatenations that can be made in place.
    pub(super) fn in_place(
        &self,
        graph: &Graph,
        facts: &Facts,
        claims: &[Claim<C>],
        groups: &[Built],
        layouts: &BTreeMap<ValueId, Layout>,
    ) -> Result<InPlace, PlanError> {
        let mut out = InPlace::default();
        if self.target.constants != Constants::Code {
            return Ok(out);
        }
        let claimed: BTreeSet<ValueId> = claims.iter().flat_map(|c| c.operands.iter().map(|o| o.value)).collect();
        let makers = makers(groups);
        for built in groups {
            let Some((whole, concat)) = self.concat_of(built) else { continue };
            let layout = layouts.get(&whole);
            if out.parts.contains_key(&whole) || layout.is_some_and(|l| l.block.is_some()) {
                continue;
            }
            let mut inside: BTreeSet<ValueId> = BTreeSet::new();
            for piece in &concat.pieces {
                let Some(operand) = &piece.operand else { continue };
                let value = operand.value;
                let Some(maker) = makers.get(&value).and_then(|m| groups.get(*m)) else { continue };
                let stores = maker.group.claim.and_then(|c| claims.get(c)).is_none_or(|c| c.epilogue);
                let apart = !claimed.contains(&value) && !facts.is_output(value) && !out.rests.contains_key(&value);
                let free = !out.parts.contains_key(&value) && layouts.get(&value) == layout;
                let mixes = |maker: &Built, with: &BTreeSet<ValueId>| {
                    maker.reads().iter().any(|v| sources(*v, groups, &makers).iter().any(|s| with.contains(s)))
                };
                let own = BTreeSet::from([value]);
                let others = inside.iter().filter_map(|v| makers.get(v)).filter_map(|m| groups.get(*m));
                let hazard = mixes(maker, &inside) || others.into_iter().any(|m| mixes(m, &own));
                if stores && apart && free && !hazard {
                    inside.insert(value);
                }
            }
            let is_inside = |p: &Piece| p.operand.as_ref().is_some_and(|o| inside.contains(&o.value));
            let size = |p: &&Piece| estimate(&p.extent, &self.symbols);
            let placed: u64 = concat.pieces.iter().filter(|p| is_inside(p)).map(|p| size(&p)).sum();
            let all: u64 = concat.pieces.iter().map(|p| size(&p)).sum();
            let rest = concat.pieces.iter().filter(|p| !is_inside(p)).count();
            if inside.is_empty() || rest > 2 || (rest == 2 && placed * 2 < all) {
                continue;
            }
            let (mut parts, mut rests) = (Vec::new(), Vec::new());
            for piece in concat.pieces {
                let part = Part { whole, axis: concat.axis, start: piece.start.clone() };
                match &piece.operand {
                    Some(operand) if inside.remove(&operand.value) => parts.push((operand.value, part)),
                    Some(_) | None => {
                        let fused = built.fused.as_ref().ok_or(PlanError::Circle)?;
                        let fused = self.piece(graph, fused, whole, &piece, concat.axis)?;
                        rests.push(Rest { part, fused });
                    }
                }
            }
            let own: BTreeSet<ValueId> = parts.iter().map(|(value, _)| *value).collect();
            let read = rests.iter().flat_map(|r| &r.fused.operands).flat_map(|o| sources(o.value, groups, &makers));
            if read.into_iter().all(|v| !own.contains(&v)) {
                out.parts.extend(parts);
                out.rests.insert(whole, rests);
            }
        }
        Ok(out)
    }

    /// The concatenation that a group is, of two pieces or more.
    fn concat_of(&self, built: &Built) -> Option<(ValueId, Concat)> {
        let fused = built.fused.as_ref().filter(|f| f.reduce.is_empty())?;
        let ([out], [whole], None, None) = (&fused.outs[..], &fused.results[..], built.group.claim, &built.rows) else {
            return None;
        };
        let space = fused.space(&self.symbols);
        let mut found: Vec<(Option<FusedOperand>, ExprId, Option<(usize, Dim)>)> = Vec::new();
        let mut next = Some(*out);
        while let Some(id) = next {
            match fused.exprs.get(id)? {
                Expr::Load { operand, index, or } => {
                    let operand = fused.operands.get(*operand as usize)?;
                    let shifts = index.iter().enumerate().map(|(d, at)| {
                        let mut from = space.polynomial(&fused.exprs, *at)?;
                        if fused.shape.get(d).is_none_or(|extent| !extent.is(1)) {
                            from = &from - &space.variable(d);
                        }
                        (!space.has_variable(&from)).then(|| -&from)
                    });
                    let shifts: Option<Vec<Dim>> = shifts.collect();
                    let shifted = |shifts: Vec<Dim>| {
                        let same = |d: usize| operand.shape.get(d) == fused.shape.get(d);
                        let axes: Vec<usize> = (0..shifts.len()).filter(|d| !same(*d)).collect();
                        let [axis] = axes[..] else { return None };
                        let others = shifts.iter().enumerate().all(|(d, s)| d == axis || s.is(0));
                        others.then(|| Some((axis, shifts.get(axis)?.clone()))).flatten()
                    };
                    let place = shifts.and_then(shifted).filter(|_| operand.shape.len() == fused.shape.len());
                    let whole = place.is_some().then(|| operand.clone());
                    found.push((whole, id, place));
                    next = *or;
                }
                Expr::Select(_, value, or) => {
                    found.push((None, *value, None));
                    next = Some(*or);
                }
                Expr::Const(_) => next = None,
                Expr::Index(_)
                | Expr::Acc(_)
                | Expr::Dim(_)
                | Expr::Unary(..)
                | Expr::Binary(..)
                | Expr::Compare(..)
                | Expr::Fma(..)
                | Expr::Cast { .. }
                | Expr::Bitcast { .. } => return None,
            }
        }
        let axis = found.iter().find_map(|(_, _, place)| place.as_ref().map(|(axis, _)| *axis))?;
        let total = fused.shape.get(axis)?;
        let (mut pieces, mut end): (Vec<Piece>, Dim) = (Vec::new(), Dim::constant(0));
        for (k, (operand, value, place)) in found.iter().enumerate() {
            let start = end.clone();
            end = match (operand, place) {
                (Some(operand), Some((at, from))) if *at == axis && *from == start => {
                    &start + operand.shape.get(axis)?
                }
                (None, None) => match found.get(k + 1) {
                    Some((_, _, Some((at, from)))) if *at == axis => from.clone(),
                    Some(_) => return None,
                    None => total.clone(),
                },
                _ => return None,
            };
            pieces.push(Piece { operand: operand.clone(), value: *value, start: start.clone(), extent: &end - &start });
        }
        let complete = end == *total && pieces.len() > 1;
        complete.then_some((*whole, Concat { axis, pieces }))
    }

    /// What makes the elements of a piece.
    fn piece(
        &self,
        graph: &Graph,
        concat: &Fused,
        whole: ValueId,
        piece: &Piece,
        axis: usize,
    ) -> Result<Fused, PlanError> {
        let mut value = piece.value;
        let mut inner = concat.clone();
        if let Some(Expr::Load { operand, index, .. }) = concat.exprs.get(value).cloned() {
            let operands: Vec<_> = concat.operands.iter().map(|o| o.dtype).collect();
            let leaves = Leaves { operands: &operands, accs: &[] };
            value = inner.exprs.add(Expr::Load { operand, index, or: None }, leaves)?;
        }
        inner.outs = vec![value];
        let mut fused = self.identity(graph, whole)?;
        let shape = fused.shape.clone();
        let dtypes = [concat.exprs.dtype(piece.value)];
        let leaves = Leaves { operands: &dtypes, accs: &[] };
        let mut exprs = graph::expr::Exprs::default();
        let mut index = Vec::with_capacity(shape.len());
        for d in 0..shape.len() {
            let mut at = exprs.add(Expr::Index(d as u32), leaves)?;
            if d == axis {
                let start = match piece.start.as_const() {
                    Some(start) => Expr::Const(graph::scalar::Scalar::i64(start)),
                    None => Expr::Dim(piece.start.clone()),
                };
                let start = exprs.add(start, leaves)?;
                at = exprs.add(Expr::Binary(graph::expr::BinOp::Add, at, start), leaves)?;
            }
            index.push(at);
        }
        fused.outs = vec![exprs.add(Expr::Load { operand: 0, index, or: None }, leaves)?];
        fused.exprs = exprs;
        if let Some(slot) = fused.shape.get_mut(axis) {
            *slot = piece.extent.clone();
        }
        fused.inline(&inner, &self.symbols)?;
        fused.simplify(&self.symbols)?;
        fused.origins = concat.origins.clone();
        Ok(fused)
    }

    /// The place of a part inside its whole, which gets its own if it has none yet.
    pub(super) fn place_part(
        &mut self,
        state: &mut BlockState<'_>,
        part: &Part,
        shape: Vec<Dim>,
    ) -> Result<View, PlanError> {
        let whole = match state.views.get(&part.whole) {
            Some(view) => view.clone(),
            None => self.place(state, part.whole)?,
        };
        let stride = whole.access.strides.get(part.axis).cloned().unwrap_or_default();
        let offset = &whole.access.offset + &(&part.start * &stride);
        Ok(View { buffer: whole.buffer, shape, access: Access { offset, ..whole.access } })
    }

    /// Copies what is not in place.
    pub(super) fn emit_rests(&mut self, state: &mut BlockState<'_>, rests: &[Rest]) -> Result<(), PlanError> {
        for rest in rests {
            let reads = self.views(state, rest.fused.operands.iter().map(|o| o.value))?;
            let to = self.place_part(state, &rest.part, rest.fused.shape.clone())?;
            self.launch_fused(state, &rest.fused, &reads, std::slice::from_ref(&to))?;
        }
        Ok(())
    }
}

/// For every value that a group stores, the group.
fn makers(groups: &[Built]) -> BTreeMap<ValueId, usize> {
    let stores = groups.iter().enumerate().filter(|(_, b)| b.fused.is_some());
    stores.flat_map(|(k, b)| b.group.stored.iter().map(move |v| (*v, k))).collect()
}

/// A value, and what it may be a view of.
fn sources(value: ValueId, groups: &[Built], makers: &BTreeMap<ValueId, usize>) -> Vec<ValueId> {
    let mut out = vec![value];
    while let Some(fused) = out.last().and_then(|v| groups.get(*makers.get(v)?)?.fused.as_ref()) {
        let ([one], [only]) = (&fused.outs[..], &fused.operands[..]) else { break };
        // A claim's epilogue that changes nothing reads what it stores.
        let own = out.contains(&only.value);
        if own || !matches!(fused.exprs.get(*one), Some(Expr::Load { .. })) || !fused.reduce.is_empty() {
            break;
        }
        out.push(only.value);
    }
    out
}

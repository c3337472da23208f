//! Dependencies between the steps of each block: a partial order that keeps every value, size and reused byte right.

use std::collections::BTreeSet;

use graph::dim::Dim;

use crate::plan::{Action, Block, Buffer, BufferId, Place, Plan};
use crate::touch::Touch;

/// Fills `after` of every step.
pub fn add_dependencies<C>(plan: &mut Plan<C>) {
    let overlaps = overlapping(&plan.buffers);
    let mut body = std::mem::take(&mut plan.body);
    let sizes = Sizes { buffers: &plan.buffers, guards: &plan.guards };
    visit(&mut body, &overlaps, sizes);
    plan.body = body;
}

/// Tables whose sizes steps use.
#[derive(Clone, Copy)]
struct Sizes<'a> {
    buffers: &'a [Buffer],
    guards: &'a [graph::graph::Guard],
}

fn visit(block: &mut Block, overlaps: &[Vec<BufferId>], sizes: Sizes<'_>) {
    for step in &mut block.steps {
        match &mut step.action {
            Action::Loop(inner) => visit(&mut inner.body, overlaps, sizes),
            Action::If(inner) => {
                visit(&mut inner.then_block, overlaps, sizes);
                visit(&mut inner.else_block, overlaps, sizes);
            }
            Action::Launch(_)
            | Action::Copy { .. }
            | Action::Clear { .. }
            | Action::Host(_)
            | Action::ReadBack { .. }
            | Action::Let { .. }
            | Action::Check { .. } => {}
        }
    }
    let mut touches: Vec<Touch> = block.steps.iter().map(|s| Touch::of(&s.action)).collect();
    for touch in &mut touches {
        for guard in touch.guards.iter().filter_map(|g| sizes.guards.get(*g)) {
            guard.pred.for_each_symbol(&mut |s| touch.checks.push(s));
        }
        touch.uses.extend(&touch.checks);
        for buffer in touch.clears.iter().filter_map(|b| sizes.buffers.get(b.0 as usize)) {
            if buffer.place == Place::Growable {
                buffer.elements.for_each_symbol(&mut |s| touch.uses.push(s));
            }
        }
        // A place that shares bytes with what is touched counts as touched.
        let share = |buffers: &[BufferId]| -> Vec<BufferId> {
            buffers.iter().flat_map(|b| overlaps.get(b.0 as usize).into_iter().flatten().copied()).collect()
        };
        let (reads, writes) = (share(&touch.reads), share(&touch.writes));
        touch.reads.extend(reads);
        touch.writes.extend(writes);
    }
    for i in 0..block.steps.len() {
        let mut after: BTreeSet<usize> = BTreeSet::new();
        let mut settled: BTreeSet<usize> = BTreeSet::new();
        for j in (0..i).rev() {
            if settled.contains(&j) || !conflict(&touches[j], &touches[i]) {
                continue;
            }
            after.insert(j);
            // What j already waits for need not be named again.
            let mut stack = vec![j];
            while let Some(k) = stack.pop() {
                for earlier in &block.steps[k].after {
                    if settled.insert(*earlier) {
                        stack.push(*earlier);
                    }
                }
            }
        }
        block.steps[i].after = after.into_iter().collect();
    }
}

fn conflict(earlier: &Touch, later: &Touch) -> bool {
    let meets = |a: &[BufferId], b: &[BufferId]| a.iter().any(|x| b.contains(x));
    meets(&earlier.writes, &later.reads)
        || meets(&earlier.reads, &later.writes)
        || meets(&earlier.writes, &later.writes)
        || earlier.defines.iter().any(|s| later.uses.contains(s) || later.defines.contains(s))
        || earlier.uses.iter().any(|s| later.defines.contains(s))
        // What is reckoned with a size waits until the guards over it hold.
        || earlier.checks.iter().any(|s| later.uses.contains(s))
}

/// For every buffer, the other arena buffers that may share bytes with it.
fn overlapping(buffers: &[Buffer]) -> Vec<Vec<BufferId>> {
    let span = |b: &Buffer| match &b.place {
        Place::Arena { offset } => Some((offset.clone(), crate::arena::bytes(b))),
        _ => None,
    };
    let spans: Vec<Option<(Dim, Dim)>> = buffers.iter().map(span).collect();
    let apart = |a: &(Dim, Dim), b: &(Dim, Dim)| match (a.0.as_const(), a.1.as_const(), b.0.as_const(), b.1.as_const())
    {
        (Some(ao), Some(al), Some(bo), Some(bl)) => ao + al <= bo || bo + bl <= ao,
        // With sizes that depend on symbols, buffers share a slot (one offset) or nothing.
        _ => a.0 != b.0,
    };
    spans
        .iter()
        .enumerate()
        .map(|(i, a)| {
            let Some(a) = a else { return Vec::new() };
            spans
                .iter()
                .enumerate()
                .filter(|(j, b)| *j != i && b.as_ref().is_some_and(|b| !apart(a, b)))
                .map(|(j, _)| BufferId(j as u32))
                .collect()
        })
        .collect()
}

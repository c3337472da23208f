//! Control flow of a body: blocks of statements, their successors and predecessors, and what is reached on every way to an end.

use std::ops::Range;

use crate::form::Effect;
use crate::inst::{Inst, Operand, Stmt};
use crate::module::Entry;

/// Statements that run one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub stmts: Range<usize>,
    pub next: Vec<usize>,
    pub before: Vec<usize>,
    /// Whether an end is next, or may be.
    pub ends: bool,
    /// Whether the body's end is next, without an instruction that ends it.
    pub falls_off: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub blocks: Vec<Block>,
    /// Blocks that are reached, each after as many of those before it as loops allow.
    pub order: Vec<usize>,
}

impl Flow {
    /// The flow of a body whose labels are placed.
    pub fn of(entry: &Entry) -> Flow {
        let ranges = cut(entry);
        let mut targets: Vec<Option<usize>> = vec![None; entry.labels.len()];
        for (at, range) in ranges.iter().enumerate() {
            if let Some(Stmt::Label(label)) = entry.body.get(range.start)
                && let Ok(label) = usize::try_from(label.0)
            {
                set(&mut targets, label, Some(at));
            }
        }
        let mut blocks: Vec<Block> = Vec::with_capacity(ranges.len());
        for (at, range) in ranges.iter().enumerate() {
            let last = entry.body.get(range.clone()).and_then(|s| s.last()).and_then(Stmt::as_inst);
            let mut block =
                Block { stmts: range.clone(), next: Vec::new(), before: Vec::new(), ends: false, falls_off: false };
            let goes_on = last.is_none_or(|inst| !is_jump(inst) || inst.guard.is_some());
            if let Some(inst) = last {
                block.ends = inst.form.effect() == Effect::End;
                block.next.extend(target(inst).and_then(|label| targets.get(label).copied().flatten()));
            }
            if goes_on && at + 1 < ranges.len() {
                block.next.push(at + 1);
            }
            block.falls_off = goes_on && at + 1 == ranges.len();
            block.next.dedup();
            blocks.push(block);
        }
        for at in 0..blocks.len() {
            let next = blocks.get(at).map(|b| b.next.clone()).unwrap_or_default();
            for to in next {
                if let Some(block) = blocks.get_mut(to) {
                    block.before.push(at);
                }
            }
        }
        let order = forward(&blocks);
        Flow { blocks, order }
    }

    pub fn block(&self, at: usize) -> Option<&Block> {
        self.blocks.get(at)
    }

    /// For each block the next one that every way to an end goes through; the number of blocks stands for the end itself, `None`
    /// for blocks from which no end is reached.
    pub fn joins(&self) -> Vec<Option<usize>> {
        let end = self.blocks.len();
        let mut rank = vec![usize::MAX; end + 1];
        let order = self.backward();
        for (at, block) in order.iter().enumerate() {
            set(&mut rank, *block, at);
        }
        let mut join: Vec<Option<usize>> = vec![None; end + 1];
        set(&mut join, end, Some(end));
        let mut changed = true;
        while changed {
            changed = false;
            for at in order.iter().copied().filter(|at| *at != end) {
                let Some(block) = self.block(at) else { continue };
                let out = block.next.iter().copied().chain((block.ends || block.falls_off).then_some(end));
                let known = out.filter(|to| join.get(*to).is_some_and(Option::is_some));
                let next = known.reduce(|a, b| meet(&join, &rank, a, b));
                if next.is_some() && join.get(at).copied().flatten() != next {
                    set(&mut join, at, next);
                    changed = true;
                }
            }
        }
        join.truncate(end);
        join
    }

    /// Blocks that are reached from some blocks without going through one.
    pub fn between(&self, from: &[usize], until: Option<usize>) -> Vec<usize> {
        let mut seen = vec![false; self.blocks.len()];
        let mut todo: Vec<usize> = from.to_vec();
        let mut out = Vec::new();
        while let Some(at) = todo.pop() {
            if Some(at) == until || seen.get(at).copied().unwrap_or(true) {
                continue;
            }
            set(&mut seen, at, true);
            out.push(at);
            todo.extend(self.block(at).map(|b| b.next.clone()).unwrap_or_default());
        }
        out.sort_unstable();
        out
    }

    /// From the end backwards, each block after as many of its successors as loops allow.
    fn backward(&self) -> Vec<usize> {
        let end = self.blocks.len();
        let ending = |(_, b): &(usize, &Block)| b.ends || b.falls_off;
        let ends: Vec<usize> = self.blocks.iter().enumerate().filter(ending).map(|(at, _)| at).collect();
        let before = |at: usize| match self.block(at) {
            Some(block) => block.before.clone(),
            None => ends.clone(),
        };
        post_order(end, end + 1, before)
    }
}

/// The block that both ways from two blocks go through next.
fn meet(join: &[Option<usize>], rank: &[usize], a: usize, b: usize) -> usize {
    let (mut a, mut b) = (a, b);
    let rank_of = |at: usize| rank.get(at).copied().unwrap_or(usize::MAX);
    let up = |at: usize| join.get(at).copied().flatten().unwrap_or(join.len() - 1);
    while a != b {
        if rank_of(a) > rank_of(b) {
            a = up(a);
        } else {
            b = up(b);
        }
    }
    a
}

fn forward(blocks: &[Block]) -> Vec<usize> {
    if blocks.is_empty() {
        return Vec::new();
    }
    post_order(0, blocks.len(), |at| blocks.get(at).map(|b| b.next.clone()).unwrap_or_default())
}

/// Reversed post-order of what is reached from a node.
fn post_order(start: usize, count: usize, next: impl Fn(usize) -> Vec<usize>) -> Vec<usize> {
    let mut seen = vec![false; count];
    let mut out = Vec::new();
    let mut stack = vec![(start, next(start))];
    set(&mut seen, start, true);
    while let Some((at, rest)) = stack.last_mut() {
        let at = *at;
        match rest.pop() {
            Some(to) if !seen.get(to).copied().unwrap_or(true) => {
                set(&mut seen, to, true);
                stack.push((to, next(to)));
            }
            Some(_) => {}
            None => {
                out.push(at);
                stack.pop();
            }
        }
    }
    out.reverse();
    out
}

/// A block begins at each label and after each jump.
fn cut(entry: &Entry) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut start = 0;
    for (at, stmt) in entry.body.iter().enumerate() {
        let label = matches!(stmt, Stmt::Label(_));
        if label && at > start {
            out.push(start..at);
            start = at;
        }
        if stmt.as_inst().is_some_and(is_jump) {
            out.push(start..at + 1);
            start = at + 1;
        }
    }
    if start < entry.body.len() {
        out.push(start..entry.body.len());
    }
    out
}

fn is_jump(inst: &Inst) -> bool {
    matches!(inst.form.effect(), Effect::Control | Effect::End)
}

fn target(inst: &Inst) -> Option<usize> {
    let label = inst.operands.iter().find_map(|o| if let Operand::Label(l) = o { Some(l.0) } else { None });
    label.and_then(|l| usize::try_from(l).ok())
}

fn set<T>(list: &mut [T], at: usize, value: T) {
    if let Some(place) = list.get_mut(at) {
        *place = value;
    }
}

//! The runs of steps that become graphs: steps of the device that are the same in every call of one shape.
//!
//! A loop is among them if its number of iterations follows from the shape, and so do all sizes inside: those of the counter, and of
//! slots that the loop sets from such sizes. Its iterations then stand in the graph one after the other.

use std::collections::BTreeSet;

use super::program::{Action, Arg, Assign, Program, Set, Size, SizeOp, Span, Step, View};

/// The segments of a program.
#[derive(Clone, Debug, Default)]
pub struct Segments {
    list: Vec<Segment>,
    /// The segment that begins at each step.
    starts: Vec<Option<usize>>,
}

/// Steps of one block that become one graph.
#[derive(Clone, Debug)]
pub struct Segment {
    pub span: Span,
    /// What the steps inside give values to; what the values are depends on the shape alone.
    pub sets: Vec<Set>,
}

/// Fewest steps that are worth a graph.
const FEWEST: u32 = 2;

impl Segments {
    /// The segments of a program that has been verified.
    pub fn new(program: &Program) -> Segments {
        let mut found = Segments { list: Vec::new(), starts: vec![None; program.steps.len()] };
        let slots = slots_of_sizes(program);
        found.add(&Fixed { program, slots }, program.body);
        let prepared = |size: &Size| size.0 < program.prepared;
        if let [whole] = found.list.as_mut_slice()
            && whole.span == program.body
            && program.outputs.iter().all(|port| port.dims.iter().all(prepared))
        {
            // Nobody asks for the values afterwards.
            whole.sets.clear();
        }
        found
    }

    pub fn list(&self) -> &[Segment] {
        &self.list
    }

    /// The segment that begins at a step, by its number.
    pub fn at(&self, step: u32) -> Option<(usize, Span)> {
        let index = self.starts.get(step as usize).copied().flatten()?;
        Some((index, self.list.get(index)?.span))
    }

    fn add(&mut self, fixed: &Fixed<'_>, block: Span) {
        let mut start = block.start;
        let (mut known, mut sets, mut loops) = (BTreeSet::new(), Vec::new(), false);
        for k in block.start..=block.end {
            let step = fixed.program.steps.get(k as usize).filter(|_| k < block.end);
            let before = sets.len();
            if let Some(step) = step
                && fixed.step(step, &mut known, &mut sets)
            {
                loops |= matches!(step.action, Action::Loop { .. });
                continue;
            }
            sets.truncate(before);
            if k - start >= FEWEST || loops {
                if let Some(place) = self.starts.get_mut(start as usize) {
                    *place = Some(self.list.len());
                }
                self.list.push(Segment { span: Span { start, end: k }, sets: std::mem::take(&mut sets) });
            }
            start = k + 1;
            (known, sets, loops) = (BTreeSet::new(), Vec::new(), false);
            match step.map(|s| &s.action) {
                Some(Action::Loop { body, .. }) => self.add(fixed, *body),
                Some(Action::If { then_block, else_block, .. }) => {
                    self.add(fixed, *then_block);
                    self.add(fixed, *else_block);
                }
                _ => {}
            }
        }
    }
}

/// The slots that each size needs.
fn slots_of_sizes(program: &Program) -> Vec<BTreeSet<u32>> {
    let mut out: Vec<BTreeSet<u32>> = Vec::with_capacity(program.sizes.len());
    for op in program.sizes.iter() {
        let of = |size: Size| out.get(size.0 as usize).into_iter().flatten().copied();
        let mut slots: BTreeSet<u32> = op.operands().flat_map(of).collect();
        if let SizeOp::Slot(slot) = op {
            slots.insert(*slot);
        }
        out.push(slots);
    }
    out
}

struct Fixed<'a> {
    program: &'a Program,
    slots: Vec<BTreeSet<u32>>,
}

impl Fixed<'_> {
    /// Whether a step does the same in every call of one shape, given the slots that are known; the slots that it sets become
    /// known.
    fn step(&self, step: &Step, known: &mut BTreeSet<u32>, sets: &mut Vec<Set>) -> bool {
        let size = |size: &Size| self.size(*size, known);
        let view = |view: &View| size(&view.offset);
        match &step.action {
            Action::Launch { grid, shared, args, .. } => {
                grid.iter().all(size)
                    && size(shared)
                    && args.iter().all(|arg| match arg {
                        Arg::Read(at) | Arg::Write(at) => view(at),
                        Arg::Size64(value) | Arg::Size32(value) | Arg::Divisor(value) => size(value),
                        Arg::Map(map) => self.program.maps.get(*map as usize).is_some_and(|map| {
                            view(&map.view) && map.extents.iter().all(size) && map.strides.iter().all(size)
                        }),
                    })
            }
            Action::Copy { from, to, bytes } => view(from) && view(to) && size(bytes),
            Action::Clear { to, bytes } => view(to) && size(bytes),
            Action::Let { values } => self.assigned(values, known, sets),
            Action::Loop { counter, trip: Some(trip), limit: None, condition: None, first, body, next, count } => {
                self.size(*trip, known)
                    && self.repeat([counter, count.as_ref().unwrap_or(counter)], [first, next], *body, known, sets)
            }
            Action::Loop { .. }
            | Action::CopyObject { .. }
            | Action::Grow { .. }
            | Action::Host { .. }
            | Action::ReadBack { .. }
            | Action::Check { .. }
            | Action::If { .. } => false,
        }
    }

    fn size(&self, size: Size, known: &BTreeSet<u32>) -> bool {
        self.slots.get(size.0 as usize).is_some_and(|slots| slots.is_subset(known))
    }

    fn assigned(&self, list: &[Assign], known: &mut BTreeSet<u32>, sets: &mut Vec<Set>) -> bool {
        let all = list.iter().all(|assign| self.size(assign.value, known));
        if all {
            known.extend(list.iter().map(|assign| assign.set.slot));
            sets.extend(list.iter().map(|assign| assign.set));
        }
        all
    }

    /// A loop whose number of iterations is known.
    fn repeat(
        &self,
        [counter, count]: [&Set; 2],
        [first, next]: [&[Assign]; 2],
        body: Span,
        known: &mut BTreeSet<u32>,
        sets: &mut Vec<Set>,
    ) -> bool {
        let mut inside = known.clone();
        if !self.assigned(first, &mut inside, sets) {
            return false;
        }
        let after = inside.clone();
        inside.insert(counter.slot);
        // What an iteration hands to the next must have had a value before the first one.
        let handed = next.iter().all(|assign| inside.contains(&assign.set.slot));
        sets.extend([*counter, *count]);
        let steps = self.program.steps.get(body.start as usize..body.end as usize).unwrap_or(&[]);
        let same = handed
            && steps.iter().all(|step| self.step(step, &mut inside, sets))
            && next.iter().all(|assign| self.size(assign.value, &inside));
        *known = after;
        known.insert(count.slot);
        same
    }
}

//! Offsets in the arena: buffers whose live ranges are disjoint share bytes.
//!
//! Live ranges come from one numbering of all steps, bodies included. What a loop's body shares with the outside lives as
//! long as the loop. With constant sizes, the largest buffer is placed first at the lowest free offset; with sizes that
//! depend on symbols, buffers share slots whose size is the largest of their members'.

use std::collections::BTreeMap;

use graph::dim::Dim;
use graph::symbol::Symbols;

use crate::plan::{Action, Block, Buffer, BufferId, Condition, Place, Plan};
use crate::touch::Touch;

/// Every offset is a multiple of this many bytes.
pub const ALIGNMENT: i64 = 64;

#[derive(Clone, Copy, Debug)]
struct Live {
    first: usize,
    last: usize,
}

impl Live {
    fn meets(self, other: Live) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Bytes of a buffer.
pub fn bytes(buffer: &Buffer) -> Dim {
    let bits = i64::from(buffer.dtype.bits());
    if bits >= 8 {
        return &buffer.elements * &Dim::constant(bits / 8);
    }
    Symbols::default().ceil_div(&(&buffer.elements * &Dim::constant(bits)), &Dim::constant(8))
}

/// Gives every arena buffer its offset, and the plan the arena's size.
pub fn assign<C>(plan: &mut Plan<C>) {
    bound_sizes(plan);
    let live = live_ranges(&plan.body);
    let mut wanted: Vec<(BufferId, Live, Dim)> = Vec::new();
    for (index, buffer) in plan.buffers.iter().enumerate() {
        if let Place::Arena { .. } = buffer.place {
            let id = BufferId(index as u32);
            let range = live.get(&id).copied().unwrap_or(Live { first: 0, last: 0 });
            wanted.push((id, range, rounded(&bytes(buffer), &plan.symbols)));
        }
    }
    let constants: Option<Vec<i64>> = wanted.iter().map(|w| w.2.as_const()).collect();
    let (offsets, total) = match constants {
        Some(sizes) => place_constant(&wanted, &sizes),
        None => place_in_slots(&wanted, &plan.symbols),
    };
    for ((id, _, _), offset) in wanted.iter().zip(offsets) {
        if let Some(buffer) = plan.buffers.get_mut(id.0 as usize) {
            buffer.place = Place::Arena { offset };
        }
    }
    plan.arena = total;
}

/// An arena buffer's size must be known when a call starts: sizes found while running count at their bounds.
fn bound_sizes<C>(plan: &mut Plan<C>) {
    let symbols = &plan.symbols;
    for buffer in &mut plan.buffers {
        if let Place::Arena { .. } = buffer.place
            && let Some(bound) = crate::bound::upper(symbols, &buffer.elements)
        {
            buffer.elements = bound;
        }
    }
}

fn rounded(bytes: &Dim, symbols: &Symbols) -> Dim {
    let unit = Dim::constant(ALIGNMENT);
    &symbols.ceil_div(bytes, &unit) * &unit
}

fn live_ranges(block: &Block) -> BTreeMap<BufferId, Live> {
    let mut walk = Walk::default();
    walk.block(block);
    for (start, end) in &walk.loops {
        for live in walk.live.values_mut() {
            let inside = live.first <= *end && live.last >= *start;
            let outside = live.first < *start || live.last > *end;
            if inside && outside {
                live.first = live.first.min(*start);
                live.last = live.last.max(*end);
            }
        }
    }
    walk.live
}

#[derive(Default)]
struct Walk {
    now: usize,
    live: BTreeMap<BufferId, Live>,
    /// First and last number of every loop, inner ones first.
    loops: Vec<(usize, usize)>,
}

impl Walk {
    fn touch(&mut self, buffers: impl Iterator<Item = BufferId>) {
        for id in buffers {
            let now = self.now;
            let live = self.live.entry(id).or_insert(Live { first: now, last: now });
            live.last = now;
        }
    }

    fn block(&mut self, block: &Block) {
        for step in &block.steps {
            self.now += 1;
            match &step.action {
                Action::Loop(inner) => {
                    let start = self.now;
                    self.touch(inner.limit.iter().chain(&inner.condition).map(|v| v.buffer));
                    self.block(&inner.body);
                    self.now += 1;
                    self.touch(inner.carry.iter().flat_map(|c| [c.from.buffer, c.to.buffer]));
                    self.touch(inner.condition.iter().map(|v| v.buffer));
                    self.loops.push((start, self.now));
                }
                Action::If(inner) => {
                    if let Condition::Value(condition) = &inner.condition {
                        self.touch(std::iter::once(condition.buffer));
                    }
                    self.block(&inner.then_block);
                    self.block(&inner.else_block);
                }
                other => {
                    let touch = Touch::of(other);
                    self.touch(touch.reads.into_iter().chain(touch.writes));
                }
            }
        }
    }
}

fn place_constant(wanted: &[(BufferId, Live, Dim)], sizes: &[i64]) -> (Vec<Dim>, Dim) {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(sizes[*i]), wanted[*i].1.first, *i));
    let mut offsets = vec![0i64; wanted.len()];
    let mut placed: Vec<usize> = Vec::new();
    let mut total = 0;
    for i in order {
        let mut busy: Vec<(i64, i64)> = placed
            .iter()
            .filter(|j| wanted[**j].1.meets(wanted[i].1))
            .map(|j| (offsets[*j], offsets[*j] + sizes[*j]))
            .collect();
        busy.sort_unstable();
        let mut at = 0;
        for (start, end) in busy {
            if at + sizes[i] <= start {
                break;
            }
            at = at.max(end);
        }
        offsets[i] = at;
        total = total.max(at + sizes[i]);
        placed.push(i);
    }
    (offsets.into_iter().map(Dim::constant).collect(), Dim::constant(total))
}

struct Slot {
    size: Dim,
    members: Vec<Live>,
}

fn place_in_slots(wanted: &[(BufferId, Live, Dim)], symbols: &Symbols) -> (Vec<Dim>, Dim) {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|i| (wanted[*i].1.first, *i));
    let mut slots: Vec<Slot> = Vec::new();
    let mut slot_of = vec![0usize; wanted.len()];
    for i in order {
        let (_, live, size) = &wanted[i];
        let need = crate::group::estimate(size, symbols);
        let free = |s: &Slot| !s.members.iter().any(|m| m.meets(*live));
        let distance = |s: &Slot| crate::group::estimate(&s.size, symbols).abs_diff(need);
        let best = slots
            .iter()
            .enumerate()
            .filter(|(_, s)| free(s))
            .min_by_key(|(k, s)| (s.size != *size, distance(s), *k))
            .map(|(k, _)| k);
        let chosen = match best {
            Some(k) => k,
            None => {
                slots.push(Slot { size: size.clone(), members: Vec::new() });
                slots.len() - 1
            }
        };
        slots[chosen].size = symbols.max(&slots[chosen].size, size);
        slots[chosen].members.push(*live);
        slot_of[i] = chosen;
    }
    let mut starts = Vec::with_capacity(slots.len());
    let mut total = Dim::constant(0);
    for slot in &slots {
        starts.push(total.clone());
        total = &total + &slot.size;
    }
    (slot_of.into_iter().map(|k| starts[k].clone()).collect(), total)
}

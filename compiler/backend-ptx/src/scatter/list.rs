//! Lists of the updates of one element, in the scratch: a thread sorts its list by merging runs of 1, 2, 4 … in place.
//!
//! ```text
//! links[n]     the update after update n in its list; below 0: none
//! ```

use ptx::{Space, Type};
use ptx_expr::{Convert, Int, IntOp, Relation, Width};

use crate::error::PtxError;
use crate::index::Ix;
use crate::writer::{V, Writer};

/// Positions of updates in the scratch, -1 for none: of 32 bits where all positions have so many.
#[derive(Clone, Copy)]
pub struct Slots {
    pub base: V,
    pub narrow: bool,
}

impl Slots {
    pub fn bytes(self) -> i64 {
        if self.narrow { 4 } else { 8 }
    }

    /// The address of a slot.
    pub fn address(self, w: &mut Writer, at: V) -> V {
        w.global_address(self.base, Ix::Wide, at, self.bytes())
    }

    /// What a slot has, in 64 bits.
    pub fn load(self, w: &mut Writer, at: V) -> V {
        let address = self.address(w, at);
        if !self.narrow {
            return w.load64(address);
        }
        let address = w.address(address);
        let number = w.b().ld(Space::Global, Type::B32, address);
        let number = w.value_of(number);
        w.m.convert(Convert::ExtendSigned, number)
    }

    /// Sets a slot to a number of 64 bits.
    pub fn store(self, w: &mut Writer, at: V, number: V) {
        let address = self.address(w, at);
        if !self.narrow {
            return w.store64(address, number);
        }
        let number = w.low(number);
        let (address, number) = (w.address(address), w.reg(number, Type::B32));
        w.b().st(Space::Global, Type::B32, address, number);
    }
}

/// The update after one.
pub fn next(w: &mut Writer, links: Slots, at: V) -> V {
    links.load(w, at)
}

fn is_one(w: &mut Writer, at: V) -> V {
    let zero = w.m.i64(0);
    w.m.icmp(Relation::Ge, Int::S64, at, zero)
}

fn is_some(w: &mut Writer, count: V) -> V {
    let zero = w.m.i64(0);
    w.m.icmp(Relation::Gt, Int::S64, count, zero)
}

fn step(w: &mut Writer, count: V, by: i64) {
    let by = w.m.i64(by);
    let new = w.m.int2(IntOp::Add, Int::S64, count, by);
    w.set(count, new);
}

/// The first of a list (a register that may be moved on) after it was sorted, lowest first.
pub fn sorted(w: &mut Writer, links: Slots, head: V) -> Result<V, PtxError> {
    let list = w.var(Width::B64, head);
    let none = w.m.i64(-1);
    let second = w.var(Width::B64, none);
    let any = is_one(w, list);
    w.when(any, |w| {
        let after = next(w, links, list);
        w.set(second, after);
        Ok(())
    })?;
    let several = is_one(w, second);
    w.when(several, |w| sort(w, links, list))?;
    Ok(list)
}

/// Registers of a pass over a list.
struct Pass {
    list: V,
    /// The run that is merged with the next one, and that one; with what is left of them.
    p: V,
    q: V,
    left_p: V,
    left_q: V,
    /// The last that was put in order.
    tail: V,
    run: V,
    merges: V,
}

fn sort(w: &mut Writer, links: Slots, list: V) -> Result<(), PtxError> {
    let (none, zero, one, two) = (w.m.i64(-1), w.m.i64(0), w.m.i64(1), w.m.i64(2));
    let mut var = |start: V| w.var(Width::B64, start);
    let pass = Pass {
        list,
        p: var(none),
        q: var(none),
        left_p: var(zero),
        left_q: var(zero),
        tail: var(none),
        run: var(one),
        merges: var(two),
    };
    w.while_loop(
        |w| Ok(w.m.icmp(Relation::Gt, Int::S64, pass.merges, one)),
        |w| {
            w.set(pass.p, pass.list);
            w.set(pass.list, none);
            w.set(pass.tail, none);
            w.set(pass.merges, zero);
            w.while_loop(
                |w| Ok(is_one(w, pass.p)),
                |w| {
                    step(w, pass.merges, 1);
                    pass.merge(w, links)
                },
            )?;
            links.store(w, pass.tail, none);
            let double = w.m.int2(IntOp::Add, Int::S64, pass.run, pass.run);
            w.set(pass.run, double);
            Ok(())
        },
    )
}

impl Pass {
    /// Merges the run that begins at `p` with the one after it.
    fn merge(&self, w: &mut Writer, links: Slots) -> Result<(), PtxError> {
        let zero = w.m.i64(0);
        w.set(self.q, self.p);
        w.set(self.left_p, zero);
        w.while_loop(
            |w| {
                let short = w.m.icmp(Relation::Lt, Int::S64, self.left_p, self.run);
                let there = is_one(w, self.q);
                Ok(w.both(short, there))
            },
            |w| {
                step(w, self.left_p, 1);
                let after = next(w, links, self.q);
                w.set(self.q, after);
                Ok(())
            },
        )?;
        w.set(self.left_q, self.run);
        w.while_loop(
            |w| {
                let (has_p, has_q) = self.heads(w);
                Ok(w.m.or(Width::Pred, has_p, has_q))
            },
            |w| {
                let (has_p, has_q) = self.heads(w);
                let no_q = w.m.not(Width::Pred, has_q);
                let lower = w.m.icmp(Relation::Lt, Int::S64, self.p, self.q);
                let first = w.m.or(Width::Pred, no_q, lower);
                let takes_p = w.both(has_p, first);
                let takes_q = w.m.not(Width::Pred, takes_p);
                let taken = w.m.select(Width::B64, takes_p, self.p, self.q);
                let after = next(w, links, taken);
                w.set_if(takes_p, self.p, after);
                w.set_if(takes_q, self.q, after);
                let less = w.m.i64(-1);
                let (left_p, left_q) = (
                    w.m.int2(IntOp::Add, Int::S64, self.left_p, less),
                    w.m.int2(IntOp::Add, Int::S64, self.left_q, less),
                );
                w.set_if(takes_p, self.left_p, left_p);
                w.set_if(takes_q, self.left_q, left_q);
                let follows = is_one(w, self.tail);
                w.when(follows, |w| {
                    links.store(w, self.tail, taken);
                    Ok(())
                })?;
                let begins = w.m.not(Width::Pred, follows);
                w.set_if(begins, self.list, taken);
                w.set(self.tail, taken);
                Ok(())
            },
        )?;
        w.set(self.p, self.q);
        Ok(())
    }

    /// Whether something is left of the two runs.
    fn heads(&self, w: &mut Writer) -> (V, V) {
        let has_p = is_some(w, self.left_p);
        let (left, there) = (is_some(w, self.left_q), is_one(w, self.q));
        (has_p, w.both(left, there))
    }
}

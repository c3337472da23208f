//! cp.async.bulk: loads that signal an mbarrier, stores in groups, reductions. Loads happen when the mbarrier is asked for; the
//! sources of stores are read at `wait_group.read`, and their bytes reach memory at `wait_group` or at the end of the CTA.

use crate::exec::atomic::combine;
use crate::exec::mbarrier::Where;
use crate::exec::spaces::Place;
use crate::fault::FaultKind;
use crate::inst::{AtomOp, Bulk};
use crate::machine::Machine;
use crate::race::View;
use crate::types::{Space, Ty};
use crate::warp::{Copy, Warp, lanes};

/// A run of bytes of a bulk copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// Offset in shared memory, before the swizzle.
    pub shared: u32,
    pub bytes: u32,
    /// The other side; `None` outside of the tensor, where loads fill and stores do nothing.
    pub other: Option<(Place, usize)>,
}

/// One copy, resolved at issue.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    pub pieces: Vec<Piece>,
    /// Mask of the address bits that the swizzle exchanges: 0, 1, 3 or 7.
    pub swizzle: u32,
    /// Two bytes that fill what lies outside.
    pub fill: u16,
    pub element: Ty,
}

/// What happens for an mbarrier.
#[derive(Debug)]
pub(crate) enum Effect {
    Load { transfer: Transfer, lane: u32 },
    Arrive { warp: u32, lane: u32, copies: Vec<Copy> },
}

/// In flight, for the mbarrier at an offset of the CTA that holds it.
#[derive(Debug)]
pub(crate) struct Pending {
    pub at: u32,
    pub line: u32,
    /// The resident CTA that issued it.
    pub from: usize,
    pub effect: Effect,
}

/// Stores of a thread between two commits.
#[derive(Debug, Default)]
pub(crate) struct Group {
    lane: u32,
    committed: bool,
    stores: Vec<Store>,
}

#[derive(Debug)]
struct Store {
    transfer: Transfer,
    reduce: Option<AtomOp>,
    line: u32,
    /// The source, once it is read.
    bytes: Option<Vec<u8>>,
}

impl Transfer {
    /// Where a byte of shared memory lies after the swizzle.
    pub fn place(&self, at: u32) -> usize {
        (at ^ (at >> 7 & self.swizzle) << 4) as usize
    }

    pub fn total(&self) -> i64 {
        self.pieces.iter().map(|p| i64::from(p.bytes)).sum()
    }

    /// Runs in shared memory that the swizzle keeps together, with their distance from the piece's start.
    pub fn runs(&self, piece: Piece) -> impl Iterator<Item = (usize, u32, u32)> + use<'_> {
        let mut done = 0;
        std::iter::from_fn(move || {
            let at = piece.shared + done;
            let length = (16 - at % 16).min(piece.bytes - done);
            let found = (length > 0).then(|| (self.place(at), done, length));
            done += length;
            found
        })
    }
}

impl Machine<'_> {
    pub fn bulk(&mut self, warp: &mut Warp, bulk: &Bulk, mask: u32, line: u32) {
        self.events += 1;
        for lane in lanes(mask) {
            if bulk.to == Space::Global {
                self.bulk_store(warp, bulk, lane, line);
            } else {
                self.bulk_load(warp, bulk, lane, line);
            }
            if self.stop {
                return;
            }
        }
    }

    fn bulk_load(&mut self, warp: &mut Warp, bulk: &Bulk, lane: usize, line: u32) {
        let Some(mbarrier) = &bulk.mbarrier else { return };
        let mut ranks = vec![];
        if let Some(multicast) = &bulk.multicast {
            self.check1(warp, multicast, 1 << lane, line);
            let wanted = warp.copy(multicast)[lane] as u32 & 0xffff;
            ranks.extend(lanes(wanted).map(|r| r as u64));
        }
        let found = self.bulk_address(warp, mbarrier, bulk.to, lane, 8, line);
        let Some((Place::Shared(home), barrier)) = found else { return };
        let Some((transfer, target, target_cta)) = self.transfer(warp, bulk, lane, line) else { return };
        let homes: Vec<usize> = if bulk.multicast.is_some() {
            let mut out = Vec::new();
            for rank in ranks {
                match self.of_rank(rank) {
                    Ok(c) => out.push(c),
                    Err((kind, detail)) => self.fault(warp, lane as u32, kind, line, None, &detail),
                }
            }
            out
        } else {
            if home != target_cta {
                let detail = "the mbarrier lies in another CTA than the target";
                self.fault(warp, lane as u32, FaultKind::Operand, line, Some(target), detail);
            }
            vec![target_cta]
        };
        for c in homes {
            let at: Where = (c, barrier as u32);
            if !self.known(warp, lane, at, barrier as u64, line) {
                continue;
            }
            for piece in &transfer.pieces {
                for (at, _, length) in transfer.runs(*piece) {
                    self.begin_write(warp, lane, Place::Shared(c), at, length as usize, line);
                }
            }
            self.contribute(warp, at);
            let effect = Effect::Load { transfer: transfer.clone(), lane: lane as u32 };
            self.ctas[c].pending.push(Pending { at: at.1, line, from: self.cta, effect });
        }
        // The source is read by the asynchronous proxy; the checks of its reads are done at issue.
        for piece in &transfer.pieces {
            if let Some((place, at)) = piece.other {
                self.begin_read(warp, lane, place, at, piece.bytes as usize, line);
            }
        }
    }

    /// The target of an asynchronous write: free of other work, and what was there is ordered before.
    fn begin_write(&mut self, warp: &Warp, lane: usize, place: Place, at: usize, bytes: usize, line: u32) {
        let unfenced = match place {
            Place::Shared(c) if c == self.cta => self.unfenced(warp, c, at, bytes),
            _ => None,
        };
        let view = View { clock: &warp.clock, lane: lane as u32, strong: false };
        let view = self.options.races.then_some(view);
        let Some(block) = self.block(place) else { return };
        let mut wrong = block.expect(at, bytes);
        if let (Some(view), false) = (&view, block.shadow.is_empty()) {
            for k in at..at + bytes {
                if let Some(other) = block.shadow[k].write(view, false) {
                    wrong = wrong.or(Some(crate::block::Wrong { kind: FaultKind::Race, at: k, other }));
                }
            }
        }
        if let Some(wrong) = wrong {
            self.wrong(warp, lane, line, at as u64, at, wrong);
        }
        if let Some(thread) = unfenced {
            self.unfenced_fault(warp, lane, line, at, thread);
        }
    }

    /// The source of an asynchronous read; it stays held until it is read when it lies in shared memory.
    pub fn begin_read(&mut self, warp: &Warp, lane: usize, place: Place, at: usize, bytes: usize, line: u32) {
        let view = View { clock: &warp.clock, lane: lane as u32, strong: false };
        let view = self.options.races.then_some(view);
        if let Place::Shared(c) = place
            && let Some(thread) = self.unfenced(warp, c, at, bytes)
        {
            self.unfenced_fault(warp, lane, line, at, thread);
        }
        let Some(block) = self.block(place) else { return };
        let wrong = block.reads(at, bytes, view.as_ref());
        if matches!(place, Place::Shared(_)) {
            block.hold(at, bytes);
        }
        if let Some(wrong) = wrong {
            self.wrong(warp, lane, line, at as u64, at, wrong);
        }
    }

    fn unfenced_fault(&mut self, warp: &Warp, lane: usize, line: u32, at: usize, thread: u32) {
        let detail = format!("thread {thread} wrote these bytes and executed no fence.proxy.async after that");
        self.fault(warp, lane as u32, FaultKind::MissingFence, line, Some(at as u64), &detail);
    }

    /// A thread of the CTA that wrote into a range of its shared memory and executed no proxy fence since.
    fn unfenced(&self, running: &Warp, c: usize, at: usize, bytes: usize) -> Option<u32> {
        let marks = self.ctas[c].shared.writer.get(at / 4..=(at + bytes - 1) / 4)?;
        marks.iter().filter(|m| **m != 0).find_map(|mark| {
            let (thread, fences) = (mark >> 20, mark & 0xf_ffff);
            let (index, lane) = (thread / 32, thread % 32);
            let here = c == self.cta && index == running.index;
            let warp = if here { running } else { self.ctas[c].warps.get(index as usize)? };
            let now = warp.proxy_fences.get(lane as usize)? & 0xf_ffff;
            (now == fences).then_some(thread)
        })
    }

    fn bulk_store(&mut self, warp: &mut Warp, bulk: &Bulk, lane: usize, line: u32) {
        let Some((transfer, _, _)) = self.transfer(warp, bulk, lane, line) else { return };
        let own = self.cta;
        let reduce = bulk.reduce.map(|(op, _)| op);
        for piece in &transfer.pieces {
            for (at, _, length) in transfer.runs(*piece) {
                self.begin_read(warp, lane, Place::Shared(own), at, length as usize, line);
            }
            if let Some((place, at)) = piece.other {
                if reduce.is_some() {
                    self.note_reduction(warp, lane, place, at, piece.bytes as usize, line);
                } else {
                    self.begin_write(warp, lane, place, at, piece.bytes as usize, line);
                }
            }
        }
        let lane = lane as u32;
        let store = Store { transfer, reduce, line, bytes: None };
        match warp.bulk.iter_mut().find(|g| g.lane == lane && !g.committed) {
            Some(group) => group.stores.push(store),
            None => warp.bulk.push(Group { lane, committed: false, stores: vec![store] }),
        }
    }

    fn note_reduction(&mut self, warp: &Warp, lane: usize, place: Place, at: usize, bytes: usize, line: u32) {
        let view = View { clock: &warp.clock, lane: lane as u32, strong: true };
        let view = self.options.races.then_some(view);
        let Some(block) = self.block(place) else { return };
        if let Some(wrong) = block.reads(at, bytes, view.as_ref()) {
            self.wrong(warp, lane, line, at as u64, at, wrong);
        }
    }

    pub fn bulk_commit(&mut self, warp: &mut Warp, mask: u32) {
        for lane in lanes(mask) {
            let lane = lane as u32;
            match warp.bulk.iter_mut().find(|g| g.lane == lane && !g.committed) {
                Some(group) => group.committed = true,
                None => warp.bulk.push(Group { lane, committed: true, stores: Vec::new() }),
            }
        }
    }

    pub fn bulk_wait(&mut self, warp: &mut Warp, keep: u32, read: bool, mask: u32) {
        let mut groups = std::mem::take(&mut warp.bulk);
        let mut counts = [0u32; 32];
        let mut done = Vec::new();
        for (k, group) in groups.iter().enumerate().rev() {
            let lane = group.lane as usize;
            if !group.committed || mask >> lane & 1 == 0 {
                continue;
            }
            if counts[lane] >= keep {
                done.push(k);
            }
            counts[lane] += 1;
        }
        for k in done.into_iter().rev() {
            for store in &mut groups[k].stores {
                self.read_source(store);
                if !read {
                    self.write_target(store);
                }
            }
            if !read {
                groups[k].stores.clear();
                groups[k].lane = u32::MAX;
            }
        }
        groups.retain(|g| g.lane != u32::MAX);
        warp.bulk = groups;
    }

    fn read_source(&mut self, store: &mut Store) {
        if store.bytes.is_some() {
            return;
        }
        let shared = &mut self.ctas[self.cta].shared;
        let mut bytes = Vec::with_capacity(store.transfer.total() as usize);
        for piece in &store.transfer.pieces {
            for (at, _, length) in store.transfer.runs(*piece) {
                bytes.extend_from_slice(&shared.data[at..at + length as usize]);
                shared.unhold(at, length as usize);
            }
        }
        store.bytes = Some(bytes);
    }

    fn write_target(&mut self, store: &mut Store) {
        self.events += 1;
        let Some(bytes) = store.bytes.take() else { return };
        let mut at_byte = 0;
        for piece in &store.transfer.pieces {
            let part = &bytes[at_byte..at_byte + piece.bytes as usize];
            at_byte += piece.bytes as usize;
            let Some((place, at)) = piece.other else { continue };
            self.stats.global_bytes_written += u64::from(piece.bytes);
            let (element, size) = (store.transfer.element, store.transfer.element.bytes() as usize);
            let Some(block) = self.block(place) else { continue };
            match store.reduce {
                None => block.arrive(at, part, None),
                Some(op) => {
                    for (k, value) in part.chunks_exact(size).enumerate() {
                        let value = value.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b));
                        let old = block.peek(at + k * size, size);
                        block.poke(at + k * size, size, combine(op, element, old, value, None));
                    }
                }
            }
        }
    }

    /// Everything in flight for an mbarrier happens.
    pub fn deliver(&mut self, running: &mut Warp, at: Where) {
        let all = std::mem::take(&mut self.ctas[at.0].pending);
        let (mine, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|p| p.at == at.1);
        self.ctas[at.0].pending = others;
        for pending in mine {
            self.happen(running, at, pending);
        }
    }

    fn happen(&mut self, running: &mut Warp, at: Where, pending: Pending) {
        self.events += 1;
        match pending.effect {
            Effect::Load { transfer, lane } => {
                self.load_now(at.0, &transfer);
                self.complete_bytes(running, lane, at, transfer.total(), pending.line);
            }
            Effect::Arrive { warp, lane, copies } => {
                let here = self.cta;
                self.cta = pending.from;
                if here == pending.from && warp == running.index {
                    copies.iter().for_each(|c| self.do_copy(running, c));
                    self.arrive_at(running, lane as usize, at, 1, false, pending.line);
                } else {
                    let mut other = std::mem::take(&mut self.ctas[pending.from].warps[warp as usize]);
                    copies.iter().for_each(|c| self.do_copy(&other, c));
                    self.arrive_at(&mut other, lane as usize, at, 1, false, pending.line);
                    self.ctas[pending.from].warps[warp as usize] = other;
                }
                self.cta = here;
            }
        }
    }

    fn load_now(&mut self, cta: usize, transfer: &Transfer) {
        for piece in &transfer.pieces {
            let mut bytes: Vec<u8> = (0..piece.bytes).map(|k| transfer.fill.to_le_bytes()[(k % 2) as usize]).collect();
            if let Some((place, at)) = piece.other
                && let Some(block) = self.block(place)
            {
                bytes.copy_from_slice(&block.data[at..at + piece.bytes as usize]);
                if matches!(place, Place::Shared(_)) {
                    block.unhold(at, piece.bytes as usize);
                }
                self.stats.global_bytes_read += u64::from(piece.bytes);
            }
            for (at, from, length) in transfer.runs(*piece) {
                let part = &bytes[from as usize..(from + length) as usize];
                self.ctas[cta].shared.arrive(at, part, None);
            }
        }
    }

    /// Arrivals after copies of the warp happen before it waits for the copies.
    pub fn settle_arrivals(&mut self, warp: &mut Warp, mask: u32) {
        let own = self.cta;
        for c in 0..self.ctas.len() {
            let all = std::mem::take(&mut self.ctas[c].pending);
            let mine = |p: &Pending| {
                matches!(&p.effect, Effect::Arrive { warp: w, lane, .. } if *w == warp.index && mask >> lane & 1 == 1)
                    && p.from == own
            };
            let (mine, others): (Vec<_>, Vec<_>) = all.into_iter().partition(mine);
            self.ctas[c].pending = others;
            for pending in mine {
                let at = (c, pending.at);
                self.happen(warp, at, pending);
            }
        }
    }

    /// Nothing else can go on: everything in flight happens. False where nothing was in flight.
    pub fn complete_everything(&mut self) -> bool {
        let mut any = false;
        for c in 0..self.ctas.len() {
            for pending in std::mem::take(&mut self.ctas[c].pending) {
                any = true;
                let at = (c, pending.at);
                let mut nobody = Warp { index: u32::MAX, ..Warp::default() };
                self.happen(&mut nobody, at, pending);
            }
        }
        any
    }

    /// A thread exits: its bulk stores must have been read.
    pub fn leaving(&mut self, warp: &mut Warp, mask: u32, line: u32) {
        if warp.wgmma.in_flight() {
            let detail = "a wgmma is in flight at the end of the thread";
            self.fault(warp, mask.trailing_zeros(), FaultKind::MissingWait, line, None, detail);
        }
        let mut groups = std::mem::take(&mut warp.bulk);
        for group in groups.iter_mut().filter(|g| mask >> g.lane & 1 == 1) {
            for store in &mut group.stores {
                if store.bytes.is_none() {
                    let detail = "a bulk store may still read its source when the thread exits";
                    self.fault(warp, group.lane, FaultKind::MissingWait, store.line, None, detail);
                }
                self.read_source(store);
                self.write_target(store);
            }
            group.lane = u32::MAX;
        }
        groups.retain(|g| g.lane != u32::MAX);
        warp.bulk = groups;
    }

    /// A CTA is gone: nothing may still write into its shared memory.
    pub fn leave_bulk(&mut self, c: usize) {
        let Some(pending) = self.ctas[c].pending.first() else { return };
        let line = pending.line;
        if let Some(warp) = self.ctas[c].warps.first_mut() {
            let warp = std::mem::take(warp);
            let detail = "the copy is in flight when the CTA exits";
            self.fault(&warp, 0, FaultKind::MissingWait, line, None, detail);
        }
    }
}

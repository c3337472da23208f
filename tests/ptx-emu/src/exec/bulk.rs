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
}

//! What is in flight for an mbarrier, and when it arrives: when somebody asks for the phase, when a thread waits for its copies, or when
//! nothing else can go on.

use crate::exec::bulk::{Effect, Pending, Transfer};
use crate::exec::mbarrier::Where;
use crate::exec::spaces::Place;
use crate::fault::FaultKind;
use crate::machine::Machine;
use crate::warp::Warp;

impl Machine<'_> {
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

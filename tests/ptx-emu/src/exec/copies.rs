//! cp.async: issued copies wait in the thread's groups and happen when the thread waits for them.

use crate::exec::spaces::Place;
use crate::inst::{Inst, Op};
use crate::machine::Machine;
use crate::race::View;
use crate::types::Space;
use crate::warp::{Copy, Warp, lanes};

/// A committed group: the lanes that committed, and their copies.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub lanes: u32,
    pub copies: Vec<Copy>,
}

impl Machine<'_> {
    pub fn cp_async(&mut self, warp: &mut Warp, inst: &Inst, mask: u32) {
        let Op::CpAsync { to, from, size, source_size, ignore } = &inst.op else { return };
        let line = inst.line;
        let targets = self.addresses(warp, to, mask, line);
        let sources = self.addresses(warp, from, mask, line);
        let mut sizes = [u64::from(*size); 32];
        if let Some(source_size) = source_size {
            self.check1(warp, source_size, mask, line);
            sizes = warp.copy(source_size).map(|s| s.min(u64::from(*size)));
        }
        if let Some(ignore) = ignore {
            let ignored = warp.pred(ignore);
            lanes(mask & ignored).for_each(|l| sizes[l] = 0);
        }
        self.events += 1;
        for lane in lanes(mask) {
            let target = match self.locate(Space::Shared, targets[lane], u64::from(*size)) {
                Ok((_, at)) => at,
                Err((kind, detail)) => {
                    self.fault(warp, lane as u32, kind, line, Some(targets[lane]), &detail);
                    continue;
                }
            };
            if sizes[lane] > 0 {
                let misaligned = sources[lane] & u64::from(size - 1);
                // A shorter source is only bounded by its own size.
                let found = self.locate(Space::Generic, sources[lane] - misaligned, 1).and_then(|_| {
                    if misaligned != 0 {
                        return Err((crate::fault::FaultKind::Misaligned, format!("no multiple of {size}")));
                    }
                    self.locate(Space::Generic, sources[lane] + sizes[lane] - 1, 1)
                });
                if let Err((kind, detail)) = found {
                    self.fault(warp, lane as u32, kind, line, Some(sources[lane]), &detail);
                    continue;
                }
            }
            let view = View { clock: &warp.clock, lane: lane as u32, strong: false };
            let view = self.options.races.then_some(view);
            let block = &mut self.ctas[self.cta].shared;
            let wrong = block.expect(target, *size as usize, view.as_ref());
            if let Some(wrong) = wrong {
                self.wrong(warp, lane, line, targets[lane], target, wrong);
            }
            warp.open_copies.push(Copy {
                lane: lane as u32,
                line,
                to: target as u32,
                from: sources[lane],
                size: *size,
                source_size: sizes[lane] as u32,
            });
        }
    }

    pub fn cp_async_commit(&mut self, warp: &mut Warp, mask: u32) {
        let all = std::mem::take(&mut warp.open_copies);
        let (mine, others) = all.into_iter().partition(|c: &Copy| mask >> c.lane & 1 == 1);
        warp.open_copies = others;
        warp.copy_groups.push(Group { lanes: mask, copies: mine });
    }

    pub fn cp_async_wait(&mut self, warp: &mut Warp, keep: Option<u32>, mask: u32) {
        self.settle_arrivals(warp, mask);
        let mut counts = [0u32; 32];
        let mut groups = std::mem::take(&mut warp.copy_groups);
        let mut ready = Vec::new();
        for group in groups.iter_mut().rev() {
            let waits = |lane: u32| mask >> lane & 1 == 1 && keep.is_none_or(|k| counts[lane as usize] >= k);
            let (done, left) = std::mem::take(&mut group.copies).into_iter().partition(|c: &Copy| waits(c.lane));
            group.copies = left;
            ready.push(done);
            let gone = lanes(group.lanes).filter(|l| waits(*l as u32)).fold(0, |m, l| m | 1 << l);
            lanes(group.lanes).for_each(|l| counts[l] += 1);
            group.lanes &= !gone;
        }
        groups.retain(|g| g.lanes != 0);
        warp.copy_groups = groups;
        let mut copies: Vec<Copy> = ready.into_iter().rev().flatten().collect();
        if keep.is_none() {
            let all = std::mem::take(&mut warp.open_copies);
            let (mine, others) = all.into_iter().partition(|c: &Copy| mask >> c.lane & 1 == 1);
            warp.open_copies = others;
            copies.extend::<Vec<Copy>>(mine);
        }
        for copy in copies {
            self.do_copy(warp, &copy);
        }
    }

    /// The bytes move now.
    pub fn do_copy(&mut self, warp: &Warp, copy: &Copy) {
        self.events += 1;
        let mut bytes = [0u8; 16];
        let count = copy.source_size as usize;
        if count > 0 {
            // The start is aligned and the end lies in the same allocation.
            if let Ok((place, at)) = self.locate(Space::Generic, copy.from, 1) {
                let view = View { clock: &warp.clock, lane: copy.lane, strong: false };
                let view = self.options.races.then_some(view);
                let mut wrong = None;
                if let Some(block) = self.block(place) {
                    wrong = block.reads(at, count, view.as_ref());
                    bytes[..count].copy_from_slice(&block.data[at..at + count]);
                }
                if matches!(place, Place::Global(_)) {
                    self.stats.global_bytes_read += count as u64;
                }
                if let Some(wrong) = wrong {
                    self.wrong(warp, copy.lane as usize, copy.line, copy.from, at, wrong);
                }
            }
        }
        let view = View { clock: &warp.clock, lane: copy.lane, strong: false };
        let view = self.options.races.then_some(view);
        let mark = super::access::write_mark(warp, copy.lane as usize);
        let block = &mut self.ctas[self.cta].shared;
        block.arrive(copy.to as usize, &bytes[..copy.size as usize], view.as_ref());
        // cp.async without bulk is a generic write.
        block.written_by(copy.to as usize, copy.size as usize, mark);
    }
}

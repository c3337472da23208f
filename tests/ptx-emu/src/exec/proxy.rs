//! The asynchronous proxy's accesses: what must be true of memory when a bulk copy or wgmma is issued.

use crate::exec::spaces::Place;
use crate::fault::FaultKind;
use crate::machine::Machine;
use crate::race::View;
use crate::warp::Warp;

impl Machine<'_> {
    /// The target of an asynchronous write: free of other work, and what was there is ordered before.
    pub fn begin_write(&mut self, warp: &Warp, lane: usize, place: Place, at: usize, bytes: usize, line: u32) {
        let unfenced = match place {
            Place::Shared(c) if c == self.cta => self.unfenced(warp, c, at, bytes),
            _ => None,
        };
        let view = View { clock: &warp.clock, lane: lane as u32, strong: false };
        let view = self.options.races.then_some(view);
        let Some(block) = self.block(place) else { return };
        let wrong = block.expect(at, bytes, view.as_ref());
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
}

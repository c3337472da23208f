//! Bytes with shadow state: a global allocation or the shared memory of a CTA. One state byte a byte; the stamps of the race check
//! and the marks of the asynchronous proxy exist only where they are asked for.

use crate::fault::FaultKind;
use crate::race::View;
use crate::stamps::Stamps;

/// The byte was written.
pub(crate) const WRITTEN: u8 = 1;
/// An asynchronous copy to the byte is in flight.
pub(crate) const ARRIVING: u8 = 2;
/// The byte belongs to an mbarrier.
pub(crate) const OBJECT: u8 = 4;

/// Bytes that one in-flight mark of the asynchronous proxy covers.
const CHUNK: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Block {
    pub data: Vec<u8>,
    pub state: Vec<u8>,
    pub stamps: Stamps,
    /// Thread and fence count of the last generic write, by word; empty where nothing reads asynchronously.
    pub writer: Vec<u32>,
    /// In-flight asynchronous reads, by chunk; empty until there is one.
    busy: Vec<u16>,
    busy_total: u32,
}

/// What is wrong with an access, beside its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wrong {
    pub kind: FaultKind,
    /// Offset of the byte.
    pub at: usize,
    /// The other access of a race.
    pub other: u64,
}

impl Block {
    pub fn new(bytes: usize, state: u8) -> Block {
        Block { data: vec![0; bytes], state: vec![state; bytes], ..Block::default() }
    }

    /// Up to eight bytes as a number.
    #[inline]
    pub fn peek(&self, at: usize, bytes: usize) -> u64 {
        match bytes {
            4 => self.data.get(at..at + 4).map_or(0, |b| u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
            _ => {
                let mut out = [0; 8];
                if let Some(found) = self.data.get(at..at + bytes) {
                    out[..bytes].copy_from_slice(found);
                }
                u64::from_le_bytes(out)
            }
        }
    }

    #[inline]
    pub fn poke(&mut self, at: usize, bytes: usize, value: u64) {
        if let Some(place) = self.data.get_mut(at..at + bytes) {
            place.copy_from_slice(&value.to_le_bytes()[..bytes]);
        }
    }

    /// Checks a read; `None` where all is well.
    #[inline]
    pub fn reads(&mut self, at: usize, bytes: usize, view: Option<&View>) -> Option<Wrong> {
        let state = self.state.get(at..at + bytes).unwrap_or(&[]);
        let mut wrong = None;
        let all = match bytes {
            4 => state == [WRITTEN; 4],
            16 => state == [WRITTEN; 16],
            _ => state.iter().all(|s| *s == WRITTEN),
        };
        if !all {
            let k = state.iter().position(|s| *s != WRITTEN).unwrap_or(0);
            wrong = Some(Wrong { kind: state_fault(state[k]), at: at + k, other: 0 });
        }
        if let (Some(view), false) = (view, self.stamps.is_empty())
            && let Some((at, other)) = self.stamps.read(at, bytes, view)
        {
            wrong = wrong.or(Some(Wrong { kind: FaultKind::Race, at, other }));
        }
        wrong
    }

    /// Checks a write of a value and marks the bytes as written.
    #[inline]
    pub fn writes(&mut self, at: usize, bytes: usize, value: u64, view: Option<&View>) -> Option<Wrong> {
        let mut wrong = None;
        if let Some(state) = self.state.get_mut(at..at + bytes)
            && *state != [WRITTEN; 4]
        {
            for (k, s) in state.iter_mut().enumerate() {
                if *s > WRITTEN {
                    wrong = Some(Wrong { kind: state_fault(*s), at: at + k, other: 0 });
                }
                *s |= WRITTEN;
            }
        }
        if self.busy_total > 0 && (at / CHUNK..=(at + bytes - 1) / CHUNK).any(|c| self.busy[c] > 0) {
            wrong = Some(Wrong { kind: FaultKind::MissingWait, at, other: 0 });
        }
        if let (Some(view), false) = (view, self.stamps.is_empty()) {
            let (new, data) = (value.to_le_bytes(), &self.data);
            let same = |k: usize| data[k] == new[k - at];
            if let Some((at, other)) = self.stamps.write(at, bytes, view, same) {
                wrong = wrong.or(Some(Wrong { kind: FaultKind::Race, at, other }));
            }
        }
        wrong
    }

    /// Records the writer of words for the check of proxy fences.
    #[inline]
    pub fn written_by(&mut self, at: usize, bytes: usize, mark: u32) {
        if !self.writer.is_empty() {
            self.writer[at / 4..=(at + bytes - 1) / 4].fill(mark);
        }
    }

    /// The asynchronous proxy begins to read a range.
    pub fn hold(&mut self, at: usize, bytes: usize) {
        if self.busy.is_empty() {
            self.busy = vec![0; self.data.len().div_ceil(CHUNK)];
        }
        for chunk in at / CHUNK..(at + bytes).div_ceil(CHUNK).min(self.busy.len()) {
            self.busy[chunk] = self.busy[chunk].saturating_add(1);
            self.busy_total += 1;
        }
    }

    /// And is done with it.
    pub fn unhold(&mut self, at: usize, bytes: usize) {
        for chunk in at / CHUNK..(at + bytes).div_ceil(CHUNK).min(self.busy.len()) {
            self.busy[chunk] = self.busy[chunk].saturating_sub(1);
            self.busy_total = self.busy_total.saturating_sub(1);
        }
    }

    /// An asynchronous copy to a range begins.
    pub fn expect(&mut self, at: usize, bytes: usize, view: Option<&View>) -> Option<Wrong> {
        let found = self.state.get_mut(at..at + bytes)?;
        let mut wrong = None;
        for (k, s) in found.iter_mut().enumerate() {
            if *s > WRITTEN {
                wrong = Some(Wrong { kind: state_fault(*s), at: at + k, other: 0 });
            }
            *s |= ARRIVING;
        }
        if self.busy_total > 0 && (at / CHUNK..=(at + bytes - 1) / CHUNK).any(|c| self.busy[c] > 0) {
            wrong = Some(Wrong { kind: FaultKind::MissingWait, at, other: 0 });
        }
        if let (Some(view), false) = (view, self.stamps.is_empty())
            && let Some((at, other)) = self.stamps.write(at, bytes, view, |_| false)
        {
            wrong = wrong.or(Some(Wrong { kind: FaultKind::Race, at, other }));
        }
        wrong
    }

    /// The bytes of an asynchronous copy arrive.
    pub fn arrive(&mut self, at: usize, bytes: &[u8], view: Option<&View>) {
        let end = at + bytes.len();
        if end > self.data.len() {
            return;
        }
        self.data[at..end].copy_from_slice(bytes);
        for s in &mut self.state[at..end] {
            *s = (*s & !ARRIVING) | WRITTEN;
        }
        if let (Some(view), false) = (view, self.stamps.is_empty()) {
            self.stamps.set_write(at, bytes.len(), view);
        }
        if !self.writer.is_empty() && !bytes.is_empty() {
            self.writer[at / 4..=(end - 1) / 4].fill(0);
        }
    }
}

fn state_fault(state: u8) -> FaultKind {
    if state & ARRIVING != 0 {
        FaultKind::MissingWait
    } else if state & OBJECT != 0 {
        FaultKind::Mbarrier
    } else {
        FaultKind::UninitialisedMemory
    }
}

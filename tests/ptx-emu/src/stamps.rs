//! Stamps of the last accesses to the bytes of a block: one for a word while its bytes share their history, else one a byte.

use std::ops::Range;

use crate::race::{Shadow, View};

/// Empty without race detection.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    words: Vec<Shadow>,
    /// For each word 0, or one more than the place of its bytes.
    apart: Vec<u32>,
    bytes: Vec<[Shadow; 4]>,
    free: Vec<u32>,
}

impl Stamps {
    /// No access to any of so many bytes yet.
    pub fn reset(&mut self, bytes: usize) {
        let words = bytes.div_ceil(4);
        self.words.clear();
        self.words.resize(words, Shadow::default());
        self.apart.clear();
        self.apart.resize(words, 0);
        self.bytes.clear();
        self.free.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// A read: the first byte that races, and the access that it races with.
    #[inline]
    pub fn read(&mut self, at: usize, bytes: usize, view: &View) -> Option<(usize, u64)> {
        self.each(at, bytes, |shadow, range| shadow.read(view).map(|other| (range.start, other)))
    }

    /// A write, where `same` tells the bytes that keep their value.
    #[inline]
    pub fn write(
        &mut self,
        at: usize,
        bytes: usize,
        view: &View,
        same: impl Fn(usize) -> bool,
    ) -> Option<(usize, u64)> {
        self.each(at, bytes, |shadow, range| {
            // An equal byte cannot hide one that differs.
            let differs = range.clone().find(|k| !same(*k));
            shadow.write(view, differs.is_none()).map(|other| (differs.unwrap_or(range.start), other))
        })
    }

    /// A write that nothing is asked about.
    pub fn set_write(&mut self, at: usize, bytes: usize, view: &View) {
        self.each(at, bytes, |shadow, _| {
            shadow.set_write(view);
            None
        });
    }

    /// The histories of all bytes, with their offsets.
    pub fn all(&self) -> impl Iterator<Item = (usize, Shadow)> + '_ {
        self.words.iter().zip(&self.apart).enumerate().flat_map(|(word, (one, apart))| {
            let four = self.bytes.get((*apart as usize).wrapping_sub(1)).copied().unwrap_or([*one; 4]);
            (4 * word..).zip(four)
        })
    }

    /// Takes the histories of some bytes one by one; yields the first answer.
    #[inline]
    fn each(
        &mut self,
        at: usize,
        bytes: usize,
        mut f: impl FnMut(&mut Shadow, Range<usize>) -> Option<(usize, u64)>,
    ) -> Option<(usize, u64)> {
        let mut found = None;
        let mut next = at;
        while next < at + bytes {
            let word = next / 4;
            let range = next..(at + bytes).min(4 * word + 4);
            next = range.end;
            let whole = range.len() == 4;
            if whole && self.apart[word] == 0 {
                found = found.or(f(&mut self.words[word], range));
                continue;
            }
            let place = self.split(word);
            let shadows = &mut self.bytes[place];
            for k in range {
                let answer = f(&mut shadows[k % 4], k..k + 1);
                found = found.or(answer);
            }
            if whole && shadows.iter().all(|s| *s == shadows[0]) {
                self.words[word] = shadows[0];
                self.free.push(std::mem::take(&mut self.apart[word]));
            }
        }
        found
    }

    /// The place of a word's bytes.
    fn split(&mut self, word: usize) -> usize {
        if self.apart[word] == 0 {
            let four = [self.words[word]; 4];
            self.apart[word] = match self.free.pop() {
                Some(place) => {
                    self.bytes[place as usize - 1] = four;
                    place
                }
                None => {
                    self.bytes.push(four);
                    self.bytes.len() as u32
                }
            };
        }
        self.apart[word] as usize - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::Clock;

    /// Bytes of a word that have histories of their own keep them, and share one again after a whole write.
    #[test]
    fn bytes_of_a_word() {
        let clocks = [Clock::new(1, 0, 2), Clock::new(1, 1, 2)];
        let view = |warp: usize| View { clock: &clocks[warp], lane: 0, strong: false };
        let mut stamps = Stamps::default();
        stamps.reset(10);
        assert_eq!(stamps.write(4, 2, &view(0), |_| false), None);
        assert_eq!(stamps.read(6, 2, &view(1)), None);
        let (byte, _) = stamps.read(4, 4, &view(1)).unwrap();
        assert_eq!(byte, 4);
        let (byte, _) = stamps.write(6, 4, &view(0), |_| false).unwrap();
        assert_eq!(byte, 6);
        assert_eq!(stamps.bytes.len(), 2);
        stamps.set_write(4, 4, &view(0));
        assert_eq!(stamps.apart[1], 0);
        assert_eq!(stamps.read(4, 4, &view(0)), None);
        assert_eq!(stamps.read(7, 1, &view(1)).map(|(byte, _)| byte), Some(7));
    }

    #[test]
    fn an_equal_byte_hides_no_other() {
        let clocks = [Clock::new(1, 0, 2), Clock::new(1, 1, 2)];
        let view = |warp: usize| View { clock: &clocks[warp], lane: 0, strong: false };
        for (differs, wanted) in [(None, None), (Some(0), Some(0)), (Some(3), Some(3))] {
            let mut stamps = Stamps::default();
            stamps.reset(4);
            stamps.set_write(0, 4, &view(0));
            let found = stamps.write(0, 4, &view(1), |k| Some(k) != differs);
            assert_eq!(found.map(|(byte, _)| byte), wanted);
        }
    }
}

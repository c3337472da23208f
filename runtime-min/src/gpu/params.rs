//! The parameters of a launch: their bytes, and pointers to each.

use super::driver::TensorMapBytes;

/// Bytes behind the last parameter, and pointers beyond the last one: a kernel that takes more or larger parameters than it
/// is given reads zeros. (Where the driver can tell, such a kernel is refused when it is loaded.)
const SPARE_BYTES: usize = 4096;
const MOST: usize = 1024;

/// A run of 64 bytes at a 64-byte boundary.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
struct Line([u64; 8]);

/// The parameters of one launch at a time.
#[derive(Debug)]
pub struct Params {
    lines: Vec<Line>,
    /// Offset of each parameter in words of 8 bytes.
    starts: Vec<usize>,
    next: usize,
    pointers: Vec<usize>,
}

impl Params {
    /// Room for launches of at most so many parameters.
    pub fn new(most: usize) -> Params {
        // A tensor map takes two lines and may begin a new one.
        let lines = most.saturating_mul(3) + SPARE_BYTES / 64;
        let most = most.max(MOST);
        Params {
            lines: vec![Line::default(); lines],
            starts: Vec::with_capacity(most),
            next: 0,
            pointers: vec![0; most],
        }
    }

    /// Forgets all parameters.
    pub fn clear(&mut self) {
        self.starts.clear();
        self.next = 0;
    }

    /// Adds a parameter of up to 8 bytes; false if there is no room.
    pub fn push(&mut self, value: u64) -> bool {
        self.add(&[value], 1)
    }

    /// Adds a tensor map; false if there is no room.
    pub fn push_map(&mut self, map: &TensorMapBytes) -> bool {
        self.add(&map.0, 8)
    }

    fn add(&mut self, words: &[u64], boundary: usize) -> bool {
        let start = self.next.next_multiple_of(boundary);
        let end = start + words.len();
        if end + SPARE_BYTES / 8 > self.lines.len() * 8 || self.starts.len() >= self.pointers.len() {
            return false;
        }
        for (k, word) in words.iter().enumerate() {
            if let Some(slot) = self.lines.get_mut((start + k) / 8).and_then(|line| line.0.get_mut((start + k) % 8)) {
                *slot = *word;
            }
        }
        self.starts.push(start);
        self.next = end;
        true
    }

    /// Addresses of all parameters, and beyond them of zeros.
    pub fn pointers(&mut self) -> &mut [usize] {
        let spare = self.lines.len() * 8 - SPARE_BYTES / 8;
        let base = self.lines.as_mut_ptr().expose_provenance();
        let starts = self.starts.iter().copied().chain(std::iter::repeat(spare));
        self.pointers.iter_mut().zip(starts).for_each(|(pointer, start)| *pointer = base + start * 8);
        &mut self.pointers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of parameter `index`.
    fn words(params: &Params, index: usize, count: usize) -> Vec<u64> {
        let start = params.starts[index];
        (start..start + count).map(|k| params.lines[k / 8].0[k % 8]).collect()
    }

    #[test]
    fn parameters_lie_where_their_pointers_say() {
        let mut params = Params::new(3);
        assert!(params.push(7) && params.push_map(&TensorMapBytes([9; 16])) && params.push(8));
        assert_eq!(
            (words(&params, 0, 1), words(&params, 1, 16), words(&params, 2, 1)),
            (vec![7], vec![9; 16], vec![8])
        );
        let pointers = params.pointers().to_vec();
        assert_eq!(pointers.len(), MOST);
        assert_eq!((pointers[1] - pointers[0], pointers[1] % 64, pointers[2] - pointers[1]), (64, 0, 128));
        assert!(pointers[3..].iter().all(|p| *p == pointers[3] && *p > pointers[2]));
        params.clear();
        assert!((0..24).all(|_| params.push(1)) && !(0..64).all(|_| params.push(1)));
    }
}

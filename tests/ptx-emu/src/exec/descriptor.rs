//! Shared-memory descriptors of wgmma: where each 16-byte row of an operand's tile lies.
//!
//! A descriptor holds, in units of 16 bytes, the start (bits 0–13), the leading offset (16–29) and the stride offset (32–45), and the
//! swizzle in bits 62–63 (0 none, 1 128 B, 2 64 B, 3 32 B). With W the width of the swizzle (16 without one):
//!
//! - K-major: row r, byte b: start + (r / 8)·stride + (r mod 8)·W + b; without swizzle byte b is in core matrix b / 16, which lies
//!   (b / 16)·leading further.
//! - MN-major, 16-bit only: column k, chunk of eight rows c: start + (k mod 8)·W + (c mod W/16)·16 + (c / (W/16))·leading + (k / 8)·stride;
//!   without swizzle c·stride + (k mod 8)·16 + (k / 8)·leading.
//!
//! The swizzle exchanges chunks by the bits of the final address.

/// A decoded descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Descriptor {
    start: u32,
    leading: u32,
    stride: u32,
    /// 1, 2, 4 or 8 chunks of 16 bytes.
    chunks: u32,
}

impl Descriptor {
    /// `Err` says what is not allowed.
    pub fn new(bits: u64) -> Result<Descriptor, String> {
        let field = |at: u32| ((bits >> at & 0x3fff) << 4) as u32;
        let base = bits >> 49 & 7;
        if base != 0 {
            return Err(format!("a base offset of {base}; the tile must be aligned to its swizzle's 8 rows"));
        }
        let chunks = [1, 8, 4, 2][(bits >> 62) as usize];
        Ok(Descriptor { start: field(0), leading: field(16), stride: field(32), chunks })
    }

    fn swizzled(self, at: u32) -> u32 {
        at ^ (at >> 7 & (self.chunks - 1)) << 4
    }

    /// Address of a 16-byte row: chunk `c` (along K) of row `r`.
    pub fn along_k(self, r: u32, c: u32) -> u32 {
        let width = self.chunks * 16;
        let inside = if self.chunks == 1 { c * self.leading } else { c * 16 };
        self.swizzled(self.start + r / 8 * self.stride + r % 8 * width + inside)
    }

    /// Address of eight 16-bit elements along M or N: chunk `c` of column `k`.
    pub fn along_mn(self, k: u32, c: u32) -> u32 {
        let width = self.chunks * 16;
        if self.chunks == 1 {
            return self.start + c * self.stride + k % 8 * 16 + k / 8 * self.leading;
        }
        let at = k % 8 * width + c % self.chunks * 16 + c / self.chunks * self.leading + k / 8 * self.stride;
        self.swizzled(self.start + at)
    }
}

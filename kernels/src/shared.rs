//! Tiles in shared memory, with an exchange of 16-byte chunks that keeps `ldmatrix` and the copies free of bank conflicts.
//!
//! A row of a tile is 32 to 512 bytes. Within each line of 128 bytes (several rows, or a part of one), the chunk's number is
//! xored with the number of the line, so that the eight rows of a matrix lie in eight different groups of banks:
//!
//! ```text
//! rows of 64 bytes      line 0: r0c0 r0c1 r0c2 r0c3 r1c0 r1c1 r1c2 r1c3
//!                       line 1: r2c1 r2c0 r2c3 r2c2 r3c1 r3c0 r3c3 r3c2
//! ```
//!
//! Source of the idea: the swizzles of CUTLASS 2 and of the tensor memory accelerator.

use ptx::Builder;

use crate::val::Val;

/// Bytes of a chunk, the unit that is moved about.
pub const CHUNK: u32 = 16;

/// A tile: rows of so many bytes, a power of two from 32 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedTile {
    pub rows: u32,
    pub row_bytes: u32,
}

impl SharedTile {
    pub fn bytes(&self) -> u32 {
        self.rows * self.row_bytes
    }

    /// Rows after which the exchange repeats, so that they are a constant distance apart.
    pub fn period(&self) -> u32 {
        let lines = self.row_bytes.min(128) / CHUNK;
        if self.row_bytes >= 128 { 8 } else { 128 / self.row_bytes * lines }
    }

    /// What the chunks of a row are xored with.
    pub fn key(&self, b: &mut Builder, row: Val) -> Val {
        let chunks = self.row_bytes.min(128) / CHUNK;
        let rows_per_line = 128_u32.div_ceil(self.row_bytes);
        let line = row.shr(b, rows_per_line.trailing_zeros());
        line.and(b, chunks - 1)
    }

    /// Byte offset of a chunk: its row's key xored into its number.
    pub fn chunk(&self, b: &mut Builder, row: Val, key: Val, chunk: Val) -> Val {
        let start = row.mul(b, self.row_bytes);
        let placed = chunk.xor(b, key);
        let within = placed.mul(b, CHUNK);
        start.add(b, within)
    }

    /// Byte offset of a byte of a row.
    pub fn byte(&self, b: &mut Builder, row: Val, byte: Val) -> Val {
        let key = self.key(b, row);
        let chunk = byte.shr(b, 4);
        let within = byte.and(b, CHUNK - 1);
        let start = self.chunk(b, row, key, chunk);
        start.add(b, within)
    }
}

/// Where the bytes of a tile go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// As [`SharedTile`] says.
    Exchanged(SharedTile),
    /// Rows this many bytes apart.
    Rows { pitch: u32 },
    /// Panels of 128 bytes of all so many rows, one after the other, each as [`SharedTile`] says.
    Panels { rows: u32 },
    /// Words of 4 bytes, turned: word `w` of row `r` is word `r` of the row `w`; these are so many bytes apart.
    Turned { pitch: u32 },
}

impl Placement {
    /// Byte offset of a byte of a row.
    pub fn byte(&self, b: &mut Builder, row: Val, byte: Val) -> Val {
        let (far, near) = match self {
            Placement::Exchanged(tile) => return tile.byte(b, row, byte),
            Placement::Rows { pitch } => (row.mul(b, *pitch), byte),
            Placement::Panels { rows } => {
                let panel = byte.shr(b, 7).mul(b, rows * 128);
                let within = byte.and(b, 127);
                (panel, SharedTile { rows: *rows, row_bytes: 128 }.byte(b, row, within))
            }
            Placement::Turned { pitch } => (byte.shr(b, 2).mul(b, *pitch), row.mul(b, 4)),
        };
        far.add(b, near)
    }

    /// Rows after which the placement repeats, and the bytes between neighbours of such rows.
    pub fn period(&self) -> (u32, u32) {
        match self {
            Placement::Exchanged(tile) => (tile.period(), tile.row_bytes),
            Placement::Rows { pitch } => (1, *pitch),
            Placement::Panels { .. } => (8, 128),
            Placement::Turned { .. } => (1, 4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The eight rows of every matrix that `ldmatrix` may read lie in eight different groups of four banks.
    #[test]
    fn matrices_have_no_bank_conflicts() {
        for row_bytes in [32, 64, 128, 256, 512] {
            let tile = SharedTile { rows: 64, row_bytes };
            let mut b = Builder::new("test");
            let mut place = |row: u32, chunk: u32| {
                let key = tile.key(&mut b, row.into());
                tile.chunk(&mut b, row.into(), key, chunk.into()).as_const().unwrap()
            };
            let mut seen = std::collections::BTreeSet::new();
            for chunk in 0..row_bytes / CHUNK {
                for start in (0..64).step_by(8) {
                    let banks: std::collections::BTreeSet<u32> =
                        (start..start + 8).map(|row| place(row, chunk) / CHUNK % 8).collect();
                    assert_eq!(banks.len(), 8, "rows of {row_bytes} bytes, chunk {chunk}");
                }
                seen.extend((0..64).map(|row| place(row, chunk)));
            }
            assert_eq!(seen.len() as u32, tile.bytes() / CHUNK);
            let p = tile.period();
            assert!((0..64 - p).all(|row| place(row + p, 0) == place(row, 0) + p * row_bytes));
        }
    }
}

//! Physical layouts, and the address maps they give.
//!
//! A layout orders the dims from outermost to innermost and may split one of them into blocks, whose elements then lie
//! innermost; the split dim is padded to whole blocks, and the padding is zero by contract. An [`Access`] is a layout
//! applied to extents, or any strided view.
//!
//! ```text
//! layout(0, 1, 2, 3; block 1 by 16)   of [N, C, H, W]:  address = ((n*ceil(C/16) + c/16)*H + h)*W*16 + w*16 + c%16
//! ```

use graph::dim::Dim;
use graph::symbol::Symbols;

/// Order of dims in memory, and the blocked one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layout {
    /// A permutation: dims from outermost to innermost.
    pub order: Vec<usize>,
    pub block: Option<Block>,
}

/// A dim split into blocks of `factor` elements that lie innermost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    pub dim: usize,
    pub factor: i64,
}

/// Address of an element: `offset + Σ strides[d] * i[d]`, where a blocked dim contributes `strides[d] * (i[d] / factor) +
/// i[d] % factor`. In elements, not bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access {
    pub offset: Dim,
    pub strides: Vec<Dim>,
    pub block: Option<Block>,
}

impl Layout {
    /// Row-major without blocks.
    pub fn dense(rank: usize) -> Layout {
        Layout { order: (0..rank).collect(), block: None }
    }

    /// Row-major with one dim in blocks.
    pub fn blocked(rank: usize, dim: usize, factor: i64) -> Layout {
        Layout { order: (0..rank).collect(), block: Some(Block { dim, factor }) }
    }

    /// Whether this is row-major without blocks.
    pub fn is_dense(&self) -> bool {
        self.block.is_none() && self.order.iter().enumerate().all(|(i, d)| i == *d)
    }

    /// Extents in memory: a blocked dim counts its blocks.
    fn physical(&self, shape: &[Dim], symbols: &Symbols) -> Vec<Dim> {
        let mut out = shape.to_vec();
        if let Some(block) = self.block
            && let Some(extent) = out.get_mut(block.dim)
        {
            *extent = symbols.ceil_div(extent, &Dim::constant(block.factor));
        }
        out
    }

    /// The address map for these extents.
    pub fn access(&self, shape: &[Dim], symbols: &Symbols) -> Access {
        let physical = self.physical(shape, symbols);
        let mut strides = vec![Dim::constant(0); shape.len()];
        let mut stride = Dim::constant(self.block.map_or(1, |b| b.factor));
        for d in self.order.iter().rev() {
            if let (Some(slot), Some(extent)) = (strides.get_mut(*d), physical.get(*d)) {
                *slot = stride.clone();
                stride = &stride * extent;
            }
        }
        Access { offset: Dim::constant(0), strides, block: self.block }
    }

    /// Elements in memory for these extents, padding included.
    pub fn elements(&self, shape: &[Dim], symbols: &Symbols) -> Dim {
        let factor = Dim::constant(self.block.map_or(1, |b| b.factor));
        &Dim::product(&self.physical(shape, symbols)) * &factor
    }
}

impl Access {
    /// Row-major, starting at 0.
    pub fn dense(shape: &[Dim]) -> Access {
        let mut strides = vec![Dim::constant(1); shape.len()];
        let mut stride = Dim::constant(1);
        for (slot, extent) in strides.iter_mut().zip(shape).rev() {
            *slot = stride.clone();
            stride = &stride * extent;
        }
        Access { offset: Dim::constant(0), strides, block: None }
    }

    /// Whether this is row-major without gaps for these extents, whatever the offset. Strides of extents of 1 do not count.
    pub fn is_dense(&self, shape: &[Dim]) -> bool {
        let dense = Access::dense(shape);
        let same = |((a, b), extent): ((&Dim, &Dim), &Dim)| a == b || extent.is(1);
        self.block.is_none() && self.strides.iter().zip(&dense.strides).zip(shape).all(same)
    }

    /// Whether all elements lie in the same places. Strides of extents of 1 do not count.
    pub fn is_same(&self, other: &Access, shape: &[Dim]) -> bool {
        let blocked = |d: usize| self.block.is_some_and(|b| b.dim == d);
        let same = |(d, ((a, b), extent)): (usize, ((&Dim, &Dim), &Dim))| a == b || (extent.is(1) && !blocked(d));
        let strides = self.strides.iter().zip(&other.strides).zip(shape).enumerate();
        self.offset == other.offset && self.block == other.block && strides.into_iter().all(same)
    }

    /// The address as a polynomial of indices.
    pub fn address(&self, index: &[Dim], symbols: &Symbols) -> Dim {
        let mut sum = self.offset.clone();
        for (d, (i, stride)) in index.iter().zip(&self.strides).enumerate() {
            let part = match self.block.filter(|b| b.dim == d) {
                Some(b) => {
                    let factor = Dim::constant(b.factor);
                    &(&symbols.floor_div(i, &factor) * stride) + &symbols.modulo(i, &factor)
                }
                None => i * stride,
            };
            sum = &sum + &part;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocked_strides_count_blocks() {
        let symbols = Symbols::default();
        let shape: Vec<Dim> = [1i64, 20, 4, 5].into_iter().map(Dim::constant).collect();
        let layout = Layout::blocked(4, 1, 16);
        let access = layout.access(&shape, &symbols);
        let strides: Vec<i64> = access.strides.iter().filter_map(Dim::as_const).collect();
        assert_eq!(strides, vec![640, 320, 80, 16]);
        assert_eq!(layout.elements(&shape, &symbols), Dim::constant(640));
        let at: Vec<Dim> = [0i64, 17, 1, 2].into_iter().map(Dim::constant).collect();
        assert_eq!(access.address(&at, &symbols), Dim::constant(320 + 80 + 32 + 1));
    }

    #[test]
    fn dense_ignores_strides_of_ones() {
        let shape: Vec<Dim> = [2i64, 1, 3].into_iter().map(Dim::constant).collect();
        let mut access = Access::dense(&shape);
        access.strides[1] = Dim::constant(99);
        assert!(access.is_dense(&shape));
        access.strides[0] = Dim::constant(4);
        assert!(!access.is_dense(&shape));
    }
}

//! What the GPU's kernel families emit: everything that is code. Sizes are over the claim's own parameters, in the order
//!
//! ```text
//! batch extents …, rows' extents …, columns, depth     of a convolution then: height, width, pad above, pad to the left
//! ```

use graph::region::attention::Labels;
use ptx::Sm;

use crate::attention::{AttentionVariant, Mask};
use crate::cluster;
use crate::depthwise::DepthwiseVariant;
use crate::fragment::Input;
use crate::gemm::GemmVariant;
use crate::image::Window;
use crate::recurrent::{Recurrent, RecurrentVariant};
use crate::simt::SimtVariant;
use crate::wide::WideVariant;

/// Code of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpuCode {
    Product(ProductCode),
    Depthwise(DepthwiseCode),
    Attention(AttentionCode),
    Recurrent(RecurrentCode),
}

/// The steps of a recurrent layer. Its sizes are steps and rows of the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecurrentCode {
    pub problem: Recurrent,
    pub variant: RecurrentVariant,
}

/// An attention. Its sizes are the batch dims, queries, keys, and keys before the first query.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionCode {
    pub input: Input,
    /// Elements of a query and of a value.
    pub depth: u32,
    pub width: u32,
    /// What the dims of queries, keys, values and result are.
    pub labels: Labels,
    /// Bytes that may be copied at once.
    pub chunk: u32,
    pub scale: f32,
    /// With the labels of the dims of the mask that are not repeated, `.` for one that is.
    pub mask: Option<(Mask, String)>,
    pub causal: bool,
    pub zero_empty: bool,
    /// Neighbouring columns that are finished together.
    pub vector: u32,
    pub variant: AttentionVariant,
}

// Scales and fills are finite or infinite, never NaN.
impl Eq for AttentionCode {}

impl AttentionCode {
    /// Labels of the batch dims.
    pub fn batch(&self) -> Vec<char> {
        "bh".chars().filter(|l| self.labels.q.contains(*l)).collect()
    }

    /// Number of the claim's parameters.
    pub fn sizes(&self) -> usize {
        self.batch().len() + 3
    }
}

/// A depthwise convolution. Its sizes are batch, height and width of the result, height and width of the data, pad above, pad to
/// the left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepthwiseCode {
    pub input: Input,
    /// Channels of the result, and how many a channel of the data has.
    pub columns: u32,
    pub multiplier: u32,
    pub window: Window,
    /// Spatial dims of the result; with one, it has one row of pixels.
    pub spatial: usize,
    pub variant: DepthwiseVariant,
}

impl DepthwiseCode {
    /// Number of the claim's parameters.
    pub const SIZES: usize = 7;
}

/// A batched product, or a convolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductCode {
    pub input: Input,
    /// Sizes that are code.
    pub columns: Option<u32>,
    pub depth: Option<u32>,
    /// Numbers of batch dims and of dims that the rows run over.
    pub batch: usize,
    pub rows: usize,
    /// What the dims of the first operand are; empty if it is gathered.
    pub a: Vec<Label>,
    pub a_chunk: u32,
    pub b: Second,
    pub b_chunk: u32,
    pub result: Vec<Label>,
    pub window: Option<Window>,
    /// The window is each pixel by itself: rows of the first operand are pixels as they lie.
    pub flat: bool,
    /// Neighbouring columns that are finished together.
    pub vector: u32,
    pub variant: Variant,
}

/// What a dim is of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    Batch(usize),
    Row(usize),
    Column,
    Depth,
}

/// The second operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Second {
    /// The first derived constant: rows of the sum (`crossed`) or of the result, so many elements apart.
    Packed { crossed: bool, lead: u32 },
    /// The second operand, its last dim contiguous.
    Strided(Vec<Label>),
}

/// A variant of one of the families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    Gemm(GemmVariant),
    Simt(SimtVariant),
    Wide(WideVariant),
}

impl Variant {
    /// Whether parts of the sum go through scratch to a second launch.
    pub fn has_parts(&self, sm: Sm) -> bool {
        match self {
            Variant::Gemm(v) => v.splits > 1 && !cluster::takes(sm, v.splits),
            Variant::Wide(v) => v.splits > 1 && !cluster::takes(sm, v.splits),
            Variant::Simt(v) => v.splits > 1,
        }
    }

    pub const fn splits(&self) -> u32 {
        match self {
            Variant::Gemm(v) => v.splits,
            Variant::Simt(v) => v.splits,
            Variant::Wide(v) => v.splits,
        }
    }

    /// The same tile with its sum in one part.
    pub const fn whole(self) -> Variant {
        match self {
            Variant::Gemm(v) => Variant::Gemm(GemmVariant { splits: 1, ..v }),
            Variant::Simt(v) => Variant::Simt(SimtVariant { splits: 1, ..v }),
            Variant::Wide(v) => Variant::Wide(WideVariant { splits: 1, ..v }),
        }
    }

    /// Written out, as a lock holds it; different among the variants of a family.
    pub fn name(&self) -> String {
        match self {
            Variant::Gemm(v) => v.name(),
            Variant::Simt(v) => v.name(),
            Variant::Wide(v) => v.name(),
        }
    }
}

impl ProductCode {
    /// Groups of columns that are one dim of the result, if there are several.
    pub fn groups(&self) -> Option<u32> {
        self.window.map(|window| window.groups).filter(|groups| *groups > 1)
    }

    /// Number of the claim's parameters.
    pub const fn sizes(&self) -> usize {
        self.batch + self.rows + 2 + if self.window.is_some() { 4 } else { 0 }
    }
}

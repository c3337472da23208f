//! What the CPU's kernel families emit: everything that is code, nothing that is a size.

mod text;

/// Code of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CpuCode {
    Gemm(GemmCode),
    Conv(ConvCode),
    Depthwise(WindowCode),
    Pool { window: WindowCode, mode: PoolMode },
    Rows(RowsCode),
    Recurrent(RecurrentCode),
    Nms(NmsCode),
}

/// A batched matrix product. Sizes: the batch extents, m, n, k.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GemmCode {
    /// For every batch dim of the result: the dim of each operand that it is, if it has one.
    pub batch: Vec<(Option<usize>, Option<usize>)>,
    /// Dim of the first operand that is its rows; `None`: its rows are dense and run over all dims but the batch and the last.
    pub a_row: Option<usize>,
    pub a_k: usize,
    pub b: GemmB,
    /// Dims of the result that rows run over, row-major, and the dim that columns are.
    pub result_rows: Vec<usize>,
    pub result_column: usize,
}

/// The second operand of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GemmB {
    /// Packed at compile time: the first derived constant.
    Packed,
    /// Packed for every batch into the workspace: the second operand, with these dims as k and n.
    Strided { k: usize, n: usize },
}

/// A convolution. Sizes: batch, input channels, output channels, input depth, height and width, output depth, height and width,
/// pads in front, above and to the left. Dims that the convolution lacks have extent 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvCode {
    pub kind: ConvKind,
    /// Groups as the kernel sees them: several of the operator may be one.
    pub groups: i64,
    pub kernel: [i64; 3],
    pub strides: [i64; 3],
    pub dilations: [i64; 3],
}

/// Which kernel of convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvKind {
    /// Channel blocks.
    Blocks,
    /// Few plain channels.
    Stem,
    /// The transposed convolution of channel blocks.
    Transposed,
}

/// A window walk over channel blocks. Sizes: batch, channels, input height and width, output height and width, pads above
/// and to the left, pads below and to the right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowCode {
    pub kernel: [i64; 2],
    pub strides: [i64; 2],
    pub dilations: [i64; 2],
}

/// What a pool takes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMode {
    Max,
    Average { count_padding: bool },
}

/// Work on whole rows along the last dim. Sizes: extents of the dims before it, its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsCode {
    Softmax {
        log: bool,
    },
    /// `eps` by its bits.
    Norm {
        center: bool,
        eps: u32,
    },
}

/// All steps of a recurrent layer. Sizes: steps, batch, hidden size. Operands: the input's part of the gates, the state; LSTM: the
/// cell; what `cell` and `lengths` say. Derived: the state's weights, packed; GRU: of update and reset gate, of the hidden gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecurrentCode {
    pub cell: CellCode,
    /// Bound on what enters the activations, by its bits.
    pub clip: Option<u32>,
    /// Whether sequences have lengths of their own.
    pub lengths: bool,
}

/// What a step computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellCode {
    Lstm {
        input_forget: bool,
        peepholes: bool,
    },
    /// `bias`: both biases of all gates follow as an operand.
    Gru {
        linear_before_reset: bool,
        bias: bool,
    },
    Plain(PlainCell),
}

/// The function of a plain cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainCell {
    Tanh,
    Relu,
    Sigmoid,
}

/// Suppression of boxes. Sizes: batches, classes, boxes, boxes kept at most. Operands: boxes, scores, the threshold; with `floor` what
/// scores must be above. Results: boxes kept, and which entries are such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NmsCode {
    /// Whether boxes are given by center and size.
    pub centered: bool,
    pub floor: bool,
}

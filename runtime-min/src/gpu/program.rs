//! What a session of a GPU crate runs: plain tables, `static` in generated crates, built in process by the tool.
//!
//! ```text
//! sizes    0: InputDim{0, 0}   1: Const(4)   2: Mul(0, 1) │ prepared = 3 │ 3: Slot(0)   4: Mul(3, 1)
//! buffers  0: Input(0), size 2   1: Arena{at 1}, size 2   2: Output(0), size 2
//! kernels  0: module 0, entry "relu", block [256, 1, 1]
//! steps    0: Launch{kernel 0, grid [5, 6, 6], args [Read{0}, Write{1}, Size64(0)]}   1: Copy{..}
//! body     0..2
//! ```
//!
//! - Value k of `sizes` uses values before k only. Those before `prepared` need nothing but the extents of the inputs (and
//!   facts of the device), and are computed once per shape. The others need a slot; the step that sets the slot names the
//!   values to be computed anew ([`Set::then`]).
//! - Blocks are spans of `steps`; a `Loop` or `If` names spans that lie behind it, so that blocks nest without a cycle.
//! - Steps run in order. A run of launches, copies and clears whose sizes are all prepared becomes one CUDA graph.
//! - Before a step writes a growable buffer, a `Grow` step makes it large enough. Moves of a loop's carried values, and of
//!   outputs that replace states, are `Copy` steps at the end of the body.
//! - [`Program::verify`] lists every reference that leads nowhere.

use std::borrow::Cow;

use super::super::datum::DType;
use super::super::error::Node;

/// A table: borrowed in generated crates, owned where it is built in process.
pub type Table<T> = Cow<'static, [T]>;

/// Index into [`Program::sizes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u32);

/// Index into [`Program::buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Buf(pub u32);

/// Half-open range of sizes or steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

/// A whole program for one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    pub name: &'static str,
    pub target: Target,
    pub sizes: Table<SizeOp>,
    /// Values before this one need no slot.
    pub prepared: u32,
    /// Number of slots: symbols that steps set.
    pub slots: u32,
    /// Checked once per shape, in order, before anything is allocated.
    pub bounds: Table<Bound>,
    pub guards: Table<Guard>,
    pub inputs: Table<InputPort>,
    pub outputs: Table<OutputPort>,
    pub states: Table<Memory>,
    /// Bytes of the intermediate values; prepared.
    pub arena: Memory,
    pub buffers: Table<Buffer>,
    /// Number of objects (strings, sequences, optionals, maps) that a session holds.
    pub objects: u32,
    /// Constant objects that the host supplies.
    pub constants: u32,
    pub modules: Table<Module>,
    pub kernels: Table<Kernel>,
    pub maps: Table<TensorMap>,
    pub nodes: Table<Node>,
    pub steps: Table<Step>,
    pub body: Span,
    /// Shapes at which a session makes its graphs when it is created.
    pub points: Table<Point>,
}

/// The architecture that a program's PTX asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Compute capability times ten: 90 for sm_90a.
    pub capability: u32,
    /// Whether it runs on this capability only (`sm_90a`), and not on later ones.
    pub specific: bool,
}

/// Scalar code, one value each; wrapping at 64 bits; truth values are 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SizeOp {
    Const(i64),
    InputDim {
        input: u32,
        axis: u32,
    },
    /// A symbol that a step sets.
    Slot(u32),
    /// Multiprocessors of the device.
    Multiprocessors,
    /// CTAs of a kernel that the device holds at once, at the kernel's block and its `shared_limit`.
    Resident {
        kernel: u32,
    },
    Add(Size, Size),
    Mul(Size, Size),
    /// Rounded down; 0 for a zero divisor.
    FloorDiv(Size, Size),
    /// Rounded up; 0 for a zero divisor.
    CeilDiv(Size, Size),
    /// With the sign of the divisor; 0 for a zero divisor.
    Mod(Size, Size),
    Min(Size, Size),
    Max(Size, Size),
    Eq(Size, Size),
    /// First is not greater than second.
    Le(Size, Size),
    /// First divides second; 0 divides 0 only.
    Divides(Size, Size),
    Not(Size),
    And(Size, Size),
    Or(Size, Size),
    /// The second where the first is not 0, else the third.
    Select(Size, Size, Size),
}

impl SizeOp {
    /// The values that it is computed from.
    pub fn operands(&self) -> impl Iterator<Item = Size> {
        let all = match *self {
            SizeOp::Const(_)
            | SizeOp::InputDim { .. }
            | SizeOp::Slot(_)
            | SizeOp::Multiprocessors
            | SizeOp::Resident { .. } => [None, None, None],
            SizeOp::Not(a) => [Some(a), None, None],
            SizeOp::Add(a, b)
            | SizeOp::Mul(a, b)
            | SizeOp::FloorDiv(a, b)
            | SizeOp::CeilDiv(a, b)
            | SizeOp::Mod(a, b)
            | SizeOp::Min(a, b)
            | SizeOp::Max(a, b)
            | SizeOp::Eq(a, b)
            | SizeOp::Le(a, b)
            | SizeOp::Divides(a, b)
            | SizeOp::And(a, b)
            | SizeOp::Or(a, b) => [Some(a), Some(b), None],
            SizeOp::Select(a, b, c) => [Some(a), Some(b), Some(c)],
        };
        all.into_iter().flatten()
    }
}

/// The range of a symbol that inputs give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    pub symbol: &'static str,
    pub value: Size,
    pub lo: i64,
    pub hi: Option<i64>,
}

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// A truth value. Prepared ones are checked once per shape, the others by `Check` steps.
    pub holds: Size,
    pub what: &'static str,
    /// Index into [`Program::nodes`].
    pub node: Option<u32>,
}

/// An input that callers give (states are not inputs).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputPort {
    pub name: &'static str,
    /// Element type and extents as text, for errors.
    pub expected: &'static str,
    /// `None` for an object: strings, a sequence, an optional or a map.
    pub dtype: Option<DType>,
    /// Extents, prepared; what callers give must be equal. Empty for objects but strings.
    pub dims: Table<Size>,
    /// Its bytes on the device.
    pub memory: Memory,
}

/// An output: where it is found when the body has run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPort {
    pub name: &'static str,
    /// `None` for an object.
    pub dtype: Option<DType>,
    pub dims: Table<Size>,
    /// Dense from byte 0 of this buffer on.
    pub buffer: Buf,
    /// Its memory; of no bytes where the buffer's place is not `Output`.
    pub memory: Memory,
}

/// Bytes of memory of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Made ready before a call starts, if prepared; `None`: grown by `Grow` steps only.
    pub bytes: Option<Size>,
    /// The most there can be, if there is a limit: taken when the session is created.
    pub most: Option<u64>,
}

/// Memory that steps read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    pub bytes: Size,
    pub place: Place,
}

/// Where a buffer lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the session's arena, at this byte (a multiple of 64); prepared.
    Arena {
        offset: Size,
    },
    /// In the weights, at this byte of the file.
    Weight {
        offset: u64,
        bytes: u64,
    },
    Input(u32),
    Output(u32),
    /// Outlives a call; zero at first.
    State(u32),
    /// Memory of this buffer alone; keeps its contents when it grows.
    Growable,
    /// An object of the session, of the caller, of the engine.
    Object(u32),
    InputObject(u32),
    Constant(u32),
}

/// PTX of one kernel, and what was linked from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// For errors: the kernel family or the name of its file.
    pub name: &'static str,
    pub ptx: Cow<'static, str>,
    pub cubins: Table<Cubin>,
}

/// Machine code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cubin {
    /// Compute capability times ten.
    pub capability: u32,
    /// Whether it runs on this capability only, and not on later minor ones.
    pub specific: bool,
    pub bytes: Cow<'static, [u8]>,
}

/// A kernel and how it is launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    pub module: u32,
    pub entry: &'static str,
    pub block: [u32; 3],
    /// CTAs of a cluster; [1, 1, 1] for none.
    pub cluster: [u32; 3],
    /// The most dynamic shared memory that a launch asks for, in bytes.
    pub shared_limit: u32,
    /// All CTAs run at once.
    pub cooperative: bool,
    /// May begin before the launch ahead of it has ended (it waits by itself, `griddepcontrol.wait`).
    pub dependent: bool,
}

/// A place in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    pub buffer: Buf,
    /// In bytes.
    pub offset: Size,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub action: Action,
    /// Index into [`Program::nodes`]: for errors and times.
    pub node: u32,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Skipped where an extent of the grid is 0.
    Launch {
        kernel: u32,
        grid: [Size; 3],
        /// Dynamic shared memory in bytes.
        shared: Size,
        args: Table<Arg>,
    },
    /// Bytes of the device; the two do not overlap.
    Copy {
        from: View,
        to: View,
        bytes: Size,
    },
    CopyObject {
        from: Buf,
        to: Buf,
    },
    /// Zeroes bytes.
    Clear {
        to: View,
        bytes: Size,
    },
    /// Makes a growable buffer, or an output or state whose size is not prepared, hold so many bytes.
    Grow {
        buffer: Buf,
        bytes: Size,
    },
    /// Calls a host operator: number `call` of those that the host supplies.
    Host {
        call: u32,
        operands: Table<HostView>,
        results: Table<HostView>,
        /// After the call, before results are stored.
        binds: Table<Bind>,
    },
    /// Waits for the device once and reads scalars; all are read before any slot is set.
    ReadBack {
        values: Table<ReadScalar>,
    },
    /// Gives slots values; all are read before any is written.
    Let {
        values: Table<Assign>,
    },
    /// Checks a guard.
    Check {
        guard: u32,
    },
    Loop {
        /// Takes the number of the iteration.
        counter: Set,
        /// Number of iterations, where it is a size.
        trip: Option<Size>,
        /// i64 scalar: upper limit found while running.
        limit: Option<View>,
        /// bool scalar: looked at before every iteration.
        condition: Option<View>,
        /// Before the first iteration; all read before any is written.
        first: Table<Assign>,
        body: Span,
        /// After every iteration; all read before any is written.
        next: Table<Assign>,
        /// Takes the number of iterations that ran.
        count: Option<Set>,
    },
    If {
        condition: Condition,
        then_block: Span,
        else_block: Span,
    },
}

/// What a choice looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A bool scalar of the device.
    Value(View),
    /// A size that is not 0.
    Size(Size),
}

/// A scalar of the device that a slot takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadScalar {
    pub from: View,
    pub scalar: Scalar,
    pub set: Set,
}

/// One parameter of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// 8 bytes: address of a buffer plus an offset in bytes.
    Read(View),
    Write(View),
    /// 8 bytes.
    Size64(Size),
    /// 4 bytes; must fit a signed or an unsigned 32-bit integer.
    Size32(Size),
    /// 8 bytes: u32 multiplier, then u32 shift ([`super::divisor`]); the size must be 1 to 2^31 - 1.
    Divisor(Size),
    /// 128 bytes at a 64-byte boundary; index into [`Program::maps`].
    Map(u32),
}

/// Width of a scalar that is read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    I64,
    I32,
    Bool,
}

/// A slot that takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    pub slot: u32,
    /// For errors.
    pub symbol: &'static str,
    pub lo: i64,
    pub hi: Option<i64>,
    /// Sizes to be computed anew.
    pub then: Span,
}

/// A slot and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assign {
    pub value: Size,
    pub set: Set,
}

/// A slot that takes an extent of a host operator's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind {
    pub result: u32,
    pub axis: u32,
    pub set: Set,
}

/// An operand or result of a host operator: a dense tensor, or an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostView {
    pub buffer: Buf,
    /// Of the tensor; of no meaning for objects.
    pub dtype: DType,
    pub dims: Table<Size>,
    /// In elements.
    pub offset: Size,
}

/// A tensor map: what the copy engine needs to know of a tensor. Fastest dimension first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorMap {
    pub view: View,
    pub element: MapElement,
    /// 1 to 5 extents in elements.
    pub extents: Table<Size>,
    /// In bytes, of all dimensions but the fastest; multiples of 16.
    pub strides: Table<Size>,
    /// Steps between elements that are copied.
    pub element_strides: Table<u32>,
    pub shape: MapShape,
    pub swizzle: Swizzle,
    pub promotion: Promotion,
    /// Whether elements outside are NaN and not zero.
    pub nan_fill: bool,
}

/// What one copy takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapShape {
    Tiled {
        /// Elements in each dimension.
        tile: Table<u32>,
    },
    /// 3 to 5 dimensions; corners are of the spatial ones.
    Im2col { lower: Table<i32>, upper: Table<i32>, channels: u32, pixels: u32 },
}

/// Element type of a tensor map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapElement {
    U8,
    U16,
    U32,
    I32,
    U64,
    I64,
    F16,
    F32,
    F64,
    BF16,
    /// Flushes subnormal numbers.
    F32Ftz,
    TF32,
    TF32Ftz,
}

/// How 16-byte chunks are spread over the banks of shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swizzle {
    None,
    B32,
    B64,
    B128,
}

/// How much the L2 cache fetches at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promotion {
    None,
    B64,
    B128,
    B256,
}

/// A shape: the extents of all inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Of every input, one after the other.
    pub dims: Table<i64>,
}

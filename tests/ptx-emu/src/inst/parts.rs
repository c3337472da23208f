//! What instructions consist of: functions, accesses, matrices, copies.

use crate::inst::{Addr, PReg, PSrc, Reg, Src};
use crate::types::{Space, Ty};

/// Functions of up to four values, lane by lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum F {
    Add,
    Sub,
    Mul,
    MulHi,
    MulWide,
    Mad,
    MadHi,
    MadWide,
    Fma,
    Sad,
    Div,
    Rem,
    Abs,
    Neg,
    Min,
    Max,
    MinNan,
    MaxNan,
    Rcp,
    Sqrt,
    Rsqrt,
    Sin,
    Cos,
    Lg2,
    Ex2,
    Tanh,
    Copysign,
    Popc,
    Clz,
    Bfind,
    BfindShift,
    Brev,
    Bfe,
    Bfi,
    Bmsk,
    And,
    Or,
    Xor,
    Not,
    Cnot,
    Lop3,
    ShfL,
    ShfR,
    Shl,
    Shr,
    Prmt,
    Dp4a,
    Slct,
    Mov,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AtomOp {
    Add,
    Min,
    Max,
    Inc,
    Dec,
    And,
    Or,
    Xor,
    Exch,
    Cas,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ShflMode {
    Up,
    Down,
    Bfly,
    Idx,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum VoteMode {
    All,
    Any,
    Uni,
    Ballot,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BarKind {
    Sync,
    Arrive,
    RedAnd,
    RedOr,
    RedPopc,
}

/// Memory ordering of an access.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Order {
    /// volatile, relaxed, acquire, release: no data race with other strong accesses.
    pub strong: bool,
    pub acquire: bool,
    pub release: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub space: Space,
    pub ty: Ty,
    pub order: Order,
    pub addr: Addr,
    /// Destinations of a load; `None` is the sink `_`.
    pub to: Vec<Option<Reg>>,
    /// Sources of a store.
    pub from: Vec<Src>,
}

#[derive(Clone, Debug)]
pub(crate) struct Atom {
    pub space: Space,
    pub op: AtomOp,
    pub ty: Ty,
    pub order: Order,
    pub addr: Addr,
    /// Absent for `red`.
    pub to: Vec<Option<Reg>>,
    pub from: Vec<Src>,
    pub swap: Option<Src>,
}

#[derive(Clone, Debug)]
pub(crate) struct Mma {
    pub m: u32,
    pub n: u32,
    pub k: u32,
    pub dty: Ty,
    pub aty: Ty,
    pub bty: Ty,
    pub cty: Ty,
    pub sat: bool,
    pub d: Vec<Reg>,
    pub a: Vec<Src>,
    pub b: Vec<Src>,
    pub c: Vec<Src>,
}

/// Operand A of wgmma: registers or a shared-memory descriptor.
#[derive(Clone, Debug)]
pub(crate) enum WgmmaA {
    Registers(Vec<Reg>),
    Descriptor(Src),
}

#[derive(Clone, Debug)]
pub(crate) struct Wgmma {
    pub n: u32,
    pub k: u32,
    pub dty: Ty,
    pub aty: Ty,
    pub bty: Ty,
    pub sat: bool,
    pub d: Vec<Reg>,
    pub a: WgmmaA,
    pub b: Src,
    pub scale_d: PSrc,
    pub negate_a: bool,
    pub negate_b: bool,
    pub transpose_a: bool,
    pub transpose_b: bool,
}

/// Bulk copies, the asynchronous proxy's way of moving bytes.
#[derive(Clone, Debug)]
pub(crate) struct Bulk {
    pub from: Space,
    pub to: Space,
    /// The address that is no tensor: the destination of a load, the source of a store.
    pub shared: Option<Addr>,
    /// The other address of a plain copy.
    pub plain: Option<Addr>,
    pub size: Option<Src>,
    pub tensor: Option<TensorPart>,
    pub mbarrier: Option<Addr>,
    pub multicast: Option<Src>,
    pub reduce: Option<(AtomOp, Option<Ty>)>,
}

#[derive(Clone, Debug)]
pub(crate) struct TensorPart {
    pub map: Addr,
    pub coords: Vec<Src>,
    /// Present for im2col: offsets inside the filter window.
    pub offsets: Option<Vec<Src>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Mbar {
    Init {
        count: Src,
    },
    Inval,
    Arrive {
        count: Option<Src>,
        expect: Option<Src>,
        state: Option<Reg>,
        drop: bool,
    },
    ExpectTx {
        bytes: Src,
    },
    CompleteTx {
        bytes: Src,
    },
    /// Of a state token, or of a parity.
    Wait {
        done: PReg,
        token: Src,
        parity: bool,
    },
    /// Arrive when all earlier cp.async of the thread are done.
    AfterCopies {
        counted: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FenceKind {
    /// membar, fence.acq_rel, fence.sc, fence.mbarrier_init
    Memory,
    ProxyAsync,
    /// Fences of tensor maps and aliases; they order like memory fences.
    ProxyOther,
}

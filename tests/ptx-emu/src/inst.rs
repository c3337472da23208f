//! Decoded instructions: registers by index, modifiers as data, nothing left to look up while running.

use crate::types::{Compare, Logic, Mode, Round, Space, Special, Ty};

pub(crate) type Reg = u32;
pub(crate) type PReg = u32;

/// A value operand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Src {
    Reg(Reg),
    Imm(u64),
    Special(Special),
    /// Generic address of a variable of the module, plus an offset.
    Variable(u32, i64),
}

/// A predicate operand; `None` is the constant true (false when negated).
#[derive(Clone, Copy, Debug)]
pub(crate) struct PSrc {
    pub reg: Option<PReg>,
    pub not: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Addr {
    pub base: Src,
    pub offset: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Inst {
    pub guard: Option<PSrc>,
    pub line: u32,
    pub op: Op,
}

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

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Alu {
        f: F,
        ty: Ty,
        mode: Mode,
        d: Reg,
        s: [Src; 4],
    },
    Setp {
        cmp: Compare,
        ty: Ty,
        ftz: bool,
        d: Option<PReg>,
        q: Option<PReg>,
        a: Src,
        b: Src,
        with: Option<(Logic, PSrc)>,
    },
    Set {
        cmp: Compare,
        ty: Ty,
        ftz: bool,
        to: Ty,
        d: Reg,
        a: Src,
        b: Src,
        with: Option<(Logic, PSrc)>,
    },
    Testp {
        class: u8,
        ty: Ty,
        d: PReg,
        a: Src,
    },
    Selp {
        d: Reg,
        a: Src,
        b: Src,
        p: PSrc,
    },
    PLogic {
        f: Logic,
        d: PReg,
        a: PSrc,
        b: PSrc,
    },
    Pack {
        d: Reg,
        parts: Vec<Src>,
        bits: u32,
    },
    Unpack {
        d: Vec<Option<Reg>>,
        a: Src,
        bits: u32,
    },
    Cvt {
        to: Ty,
        from: Ty,
        round: Option<Round>,
        integral: bool,
        ftz: bool,
        sat: bool,
        relu: bool,
        d: Reg,
        a: Src,
        b: Option<Src>,
    },
    Cvta {
        space: Space,
        to_space: bool,
        d: Reg,
        a: Src,
    },
    IsSpace {
        space: Space,
        d: PReg,
        a: Src,
    },
    Mapa {
        d: Reg,
        a: Src,
        rank: Src,
        generic: bool,
    },
    CtaRank {
        d: Reg,
        a: Src,
        generic: bool,
    },
    Ld(Box<Access>),
    St(Box<Access>),
    Atom(Box<Atom>),
    Fence(FenceKind),
    Bra {
        target: u32,
    },
    BrxIdx {
        index: Src,
        targets: Vec<u32>,
    },
    Exit,
    Trap,
    /// Instructions without an effect that a program can see.
    Nothing,
    Nanosleep,
    Shfl {
        mode: ShflMode,
        d: Reg,
        p: Option<PReg>,
        a: Src,
        b: Src,
        c: Src,
        mask: Src,
    },
    Vote {
        mode: VoteMode,
        d: Reg,
        p: PReg,
        a: PSrc,
        mask: Src,
    },
    Match {
        all: bool,
        d: Option<Reg>,
        p: Option<PReg>,
        a: Src,
        mask: Src,
    },
    Redux {
        op: AtomOp,
        signed: bool,
        d: Reg,
        a: Src,
        mask: Src,
    },
    Elect {
        d: Option<Reg>,
        p: Option<PReg>,
        mask: Src,
    },
    ActiveMask {
        d: Reg,
    },
    Bar {
        kind: BarKind,
        id: Src,
        count: Option<Src>,
        p: Option<PSrc>,
        to: Option<Reg>,
        to_pred: Option<PReg>,
        aligned: bool,
    },
    BarWarp {
        mask: Src,
    },
    BarCluster {
        wait: bool,
        aligned: bool,
    },
    LdMatrix {
        number: u32,
        transpose: bool,
        d: Vec<Reg>,
        addr: Addr,
        space: Space,
    },
    StMatrix {
        number: u32,
        transpose: bool,
        s: Vec<Src>,
        addr: Addr,
        space: Space,
    },
    MovMatrix {
        d: Reg,
        a: Src,
    },
    Mma(Box<Mma>),
    CpAsync {
        to: Addr,
        from: Addr,
        size: u32,
        source_size: Option<Src>,
        ignore: Option<PSrc>,
    },
    CpAsyncCommit,
    /// All but the latest groups; `None` waits for everything.
    CpAsyncWait {
        keep: Option<u32>,
    },
    Mbar {
        f: Mbar,
        addr: Addr,
        space: Space,
    },
    Bulk(Box<Bulk>),
    BulkCommit,
    BulkWait {
        keep: u32,
        read: bool,
    },
    WgmmaFence,
    WgmmaCommit,
    WgmmaWait {
        keep: u32,
    },
    Wgmma(Box<Wgmma>),
    SetMaxNreg,
    GridWait,
}

impl Op {
    /// `.aligned`: all threads of a warp must execute it together.
    pub fn for_whole_warp(&self) -> bool {
        match self {
            Op::Bar { aligned, .. } | Op::BarCluster { aligned, .. } => *aligned,
            Op::LdMatrix { .. }
            | Op::StMatrix { .. }
            | Op::MovMatrix { .. }
            | Op::Mma(_)
            | Op::Wgmma(_)
            | Op::WgmmaFence
            | Op::WgmmaCommit
            | Op::WgmmaWait { .. }
            | Op::SetMaxNreg => true,
            _ => false,
        }
    }
}

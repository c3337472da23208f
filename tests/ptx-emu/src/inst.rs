//! Decoded instructions: registers by index, modifiers as data, nothing left to look up while running.

mod parts;

pub(crate) use parts::*;

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
        /// Whether an arrival shows others what came before it.
        releases: bool,
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

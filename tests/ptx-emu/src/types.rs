//! Types of instructions and the closed sets of their modifiers.

/// A type modifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ty {
    Pred,
    B8,
    B16,
    B32,
    B64,
    B128,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F16,
    F16x2,
    Bf16,
    Bf16x2,
    Tf32,
    F32,
    F64,
    E4m3,
    E5m2,
    E4m3x2,
    E5m2x2,
    U4,
    S4,
    B1,
}

const TYPES: &[(&str, Ty, u32)] = &[
    ("pred", Ty::Pred, 1),
    ("b8", Ty::B8, 8),
    ("b16", Ty::B16, 16),
    ("b32", Ty::B32, 32),
    ("b64", Ty::B64, 64),
    ("b128", Ty::B128, 128),
    ("u8", Ty::U8, 8),
    ("u16", Ty::U16, 16),
    ("u32", Ty::U32, 32),
    ("u64", Ty::U64, 64),
    ("s8", Ty::S8, 8),
    ("s16", Ty::S16, 16),
    ("s32", Ty::S32, 32),
    ("s64", Ty::S64, 64),
    ("f16", Ty::F16, 16),
    ("f16x2", Ty::F16x2, 32),
    ("bf16", Ty::Bf16, 16),
    ("bf16x2", Ty::Bf16x2, 32),
    ("tf32", Ty::Tf32, 32),
    ("f32", Ty::F32, 32),
    ("f64", Ty::F64, 64),
    ("e4m3", Ty::E4m3, 8),
    ("e5m2", Ty::E5m2, 8),
    ("e4m3x2", Ty::E4m3x2, 16),
    ("e5m2x2", Ty::E5m2x2, 16),
    ("u4", Ty::U4, 4),
    ("s4", Ty::S4, 4),
    ("b1", Ty::B1, 1),
];

impl Ty {
    pub fn parse(word: &str) -> Option<Ty> {
        TYPES.iter().find(|(name, _, _)| *name == word).map(|(_, ty, _)| *ty)
    }

    pub fn bits(self) -> u32 {
        TYPES.iter().find(|(_, ty, _)| *ty == self).map_or(0, |(_, _, bits)| *bits)
    }

    pub fn bytes(self) -> u32 {
        self.bits().div_ceil(8)
    }

    pub fn signed(self) -> bool {
        matches!(self, Ty::S8 | Ty::S16 | Ty::S32 | Ty::S64 | Ty::S4)
    }

    pub fn integer(self) -> bool {
        matches!(self, Ty::U8 | Ty::U16 | Ty::U32 | Ty::U64) || self.signed()
    }

    pub fn float(self) -> bool {
        matches!(self, Ty::F16 | Ty::F16x2 | Ty::Bf16 | Ty::Bf16x2 | Ty::Tf32 | Ty::F32 | Ty::F64)
    }

    /// Width that a float literal of this type is read with.
    pub fn float_bits(self) -> Option<u32> {
        match self {
            Ty::F32 | Ty::Tf32 => Some(32),
            Ty::F64 => Some(64),
            _ => None,
        }
    }
}

/// Rounding of a float result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Round {
    #[default]
    Nearest,
    /// Ties away from zero.
    Away,
    Zero,
    Down,
    Up,
}

/// Modifiers of an arithmetic instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Mode {
    pub round: Round,
    pub ftz: bool,
    pub sat: bool,
    pub relu: bool,
    pub approx: bool,
    /// Table of lop3, mode of prmt, wrap of shf, signs of dp4a.
    pub extra: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Equ,
    Neu,
    Ltu,
    Leu,
    Gtu,
    Geu,
    Num,
    Nan,
}

pub(crate) const COMPARES: &[(&str, Compare)] = &[
    ("eq", Compare::Eq),
    ("ne", Compare::Ne),
    ("lt", Compare::Lt),
    ("le", Compare::Le),
    ("gt", Compare::Gt),
    ("ge", Compare::Ge),
    ("lo", Compare::Lt),
    ("ls", Compare::Le),
    ("hi", Compare::Gt),
    ("hs", Compare::Ge),
    ("equ", Compare::Equ),
    ("neu", Compare::Neu),
    ("ltu", Compare::Ltu),
    ("leu", Compare::Leu),
    ("gtu", Compare::Gtu),
    ("geu", Compare::Geu),
    ("num", Compare::Num),
    ("nan", Compare::Nan),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Logic {
    And,
    Or,
    Xor,
}

pub(crate) const LOGICS: &[(&str, Logic)] = &[("and", Logic::And), ("or", Logic::Or), ("xor", Logic::Xor)];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Space {
    Generic,
    Global,
    Shared,
    SharedCluster,
    Local,
    Param,
    Const,
}

pub(crate) const SPACES: &[(&str, Space)] = &[
    ("global", Space::Global),
    ("shared", Space::Shared),
    ("shared::cta", Space::Shared),
    ("shared::cluster", Space::SharedCluster),
    ("local", Space::Local),
    ("param", Space::Param),
    ("param::entry", Space::Param),
    ("const", Space::Const),
];

/// Special registers that are read as operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Special {
    Tid(u8),
    Ntid(u8),
    Ctaid(u8),
    Nctaid(u8),
    LaneId,
    WarpId,
    NwarpId,
    ClusterId(u8),
    NclusterId(u8),
    ClusterCtaid(u8),
    ClusterNctaid(u8),
    ClusterCtaRank,
    ClusterNctaRank,
    LaneMask(MaskOf),
    Clock,
    DynamicShared,
    TotalShared,
    SmId,
    NsmId,
    GridId,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MaskOf {
    Eq,
    Le,
    Lt,
    Ge,
    Gt,
}

const SPECIALS: &[(&str, Special)] = &[
    ("laneid", Special::LaneId),
    ("warpid", Special::WarpId),
    ("nwarpid", Special::NwarpId),
    ("cluster_ctarank", Special::ClusterCtaRank),
    ("cluster_nctarank", Special::ClusterNctaRank),
    ("lanemask_eq", Special::LaneMask(MaskOf::Eq)),
    ("lanemask_le", Special::LaneMask(MaskOf::Le)),
    ("lanemask_lt", Special::LaneMask(MaskOf::Lt)),
    ("lanemask_ge", Special::LaneMask(MaskOf::Ge)),
    ("lanemask_gt", Special::LaneMask(MaskOf::Gt)),
    ("clock", Special::Clock),
    ("clock64", Special::Clock),
    ("globaltimer", Special::Clock),
    ("globaltimer_lo", Special::Clock),
    ("dynamic_smem_size", Special::DynamicShared),
    ("total_smem_size", Special::TotalShared),
    ("smid", Special::SmId),
    ("nsmid", Special::NsmId),
    ("gridid", Special::GridId),
];

impl Special {
    /// `%tid.x` and the like.
    pub fn parse(word: &str) -> Option<Special> {
        let name = word.strip_prefix('%')?;
        if let Some((_, special)) = SPECIALS.iter().find(|(n, _)| *n == name) {
            return Some(*special);
        }
        let (stem, axis) = name.split_once('.')?;
        let axis = ["x", "y", "z"].iter().position(|a| *a == axis)? as u8;
        Some(match stem {
            "tid" => Special::Tid(axis),
            "ntid" => Special::Ntid(axis),
            "ctaid" => Special::Ctaid(axis),
            "nctaid" => Special::Nctaid(axis),
            "clusterid" => Special::ClusterId(axis),
            "nclusterid" => Special::NclusterId(axis),
            "cluster_ctaid" => Special::ClusterCtaid(axis),
            "cluster_nctaid" => Special::ClusterNctaid(axis),
            _ => return None,
        })
    }
}

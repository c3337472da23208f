//! The table of opcodes: one row per opcode, with slots for what varies. A new opcode is a new row.
//!
//! A row is: name, spelling (`{n}` is a dot and slot n's text, `<n>` the text alone), what each slot takes, operands in the order
//! of the text, lowest PTX version, architectures, effect. Slots are independent: a combination that does not exist, or that needs
//! more than the others, has a row of its own.
//!
//! Operands: `D` is written, `S` read (register or immediate), `R` read (register); a number is the slot that has the type, a name
//! the type itself. `Da` stands after `|` and may be `_`.

use crate::form::{Access, Effect, Many, Role, Row, SpaceOf, Spec, TypeOf};
use crate::target::{Arch, Sm, Version};
use crate::token::*;

macro_rules! rows {
    ($($name:ident $spelling:literal [$($slot:expr),*] [$($operand:expr),*] $version:ident $arch:ident $effect:ident;)*) => {
        /// A row of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Op { $($name),* }

        impl Op {
            pub const ALL: &'static [Op] = &[$(Op::$name),*];

            pub const fn row(self) -> &'static Row {
                match self {
                    $(Op::$name => {
                        const ROW: &Row = &Row {
                            spelling: $spelling,
                            slots: &[$($slot),*],
                            operands: &[$($operand),*],
                            version: $version,
                            arch: $arch,
                            effect: Effect::$effect,
                        };
                        ROW
                    }),*
                }
            }
        }
    };
}

macro_rules! list {
    ($kind:ident: $($value:ident)*) => { &[$(Modifier::$kind($kind::$value)),*] };
    ($($value:literal)*) => { &[$(Modifier::Number($value)),*] };
}

type Slot = &'static [Modifier];

const INT: Slot = list!(Type: U16 S16 U32 S32 U64 S64);
const SIGNED: Slot = list!(Type: S16 S32 S64);
const NARROW: Slot = list!(Type: U16 S16 U32 S32);
const WIDE: Slot = list!(Type: U32 S32 U64 S64);
const INT32: Slot = list!(Type: U32 S32);
const BITS: Slot = list!(Type: B16 B32 B64);
const BITS_PRED: Slot = list!(Type: Pred B16 B32 B64);
const BITS_WIDE: Slot = list!(Type: B32 B64);
const FLOAT: Slot = list!(Type: F32 F64);
const HALF: Slot = list!(Type: F16 F16x2);
const BHALF: Slot = list!(Type: Bf16 Bf16x2);
const HALVES: Slot = list!(Type: F16 F16x2 Bf16 Bf16x2);
const F16_BF16: Slot = list!(Type: F16 Bf16);
const FP8: Slot = list!(Type: E4m3 E5m2);
const FP8X2: Slot = list!(Type: E4m3x2 E5m2x2);
const BYTE: Slot = list!(Type: U8 S8);
const ANY_INT: Slot = list!(Type: U8 S8 U16 S16 U32 S32 U64 S64);
const MEMORY: Slot = list!(Type: B8 U8 S8 B16 U16 S16 B32 U32 S32 B64 U64 S64 F32 F64);
const ANY: Slot = list!(Type: B16 B32 B64 U16 S16 U32 S32 U64 S64 F32 F64);
const ANY_PRED: Slot = list!(Type: Pred B16 B32 B64 U16 S16 U32 S32 U64 S64 F32 F64);

const CMP_INT: Slot = list!(Cmp: Eq Ne Lt Le Gt Ge);
const CMP_BITS: Slot = list!(Cmp: Eq Ne);
const CMP_FLOAT: Slot = list!(Cmp: Eq Ne Lt Le Gt Ge Equ Neu Ltu Leu Gtu Geu Num Nan);
const ROUND: Slot = list!(Round: Rn Rz Rm Rp);
const ROUND_INT: Slot = list!(Round: Rni Rzi Rmi Rpi);
const RN_RZ: Slot = list!(Round: Rn Rz);
const FTZ: Slot = list!(Ftz: No Ftz);
const RELU: Slot = list!(Relu: No Relu);
const TEST: Slot = list!(Test: Finite Infinite Number Nan Normal Subnormal);
const SIDE: Slot = list!(Side: L R);
const AMOUNT: Slot = list!(Amount: Clamp Wrap);
const SATFINITE: Slot = list!(Satfinite: No Satfinite);

const LOADED: Slot = list!(Space: Global Shared Local Param Const);
const STORED: Slot = list!(Space: Global Shared Local);
const GLOBAL_SHARED: Slot = list!(Space: Global Shared);
const SCALAR_V2: Slot = list!(Vector: One V2);
const V4: Slot = list!(Vector: V4);
const MEMORY32: Slot = list!(Type: B8 U8 S8 B16 U16 S16 B32 U32 S32 F32);
const LOAD_CACHE: Slot =
    list!(LoadCache: Nc Cg Cs Lu Cv NoAllocate EvictFirst EvictLast NcNoAllocate NcEvictFirst NcEvictLast);
const STORE_CACHE: Slot = list!(StoreCache: Cg Cs Wt NoAllocate EvictFirst EvictLast);
const FETCH: Slot = list!(Fetch: Default L2B64 L2B128);
const FETCH_ASYNC: Slot = list!(Fetch: Default L2B64 L2B128 L2B256);
const EVICT: Slot = list!(Evict: First Last Normal Unchanged);
const LEVEL: Slot = list!(Level: L1 L2);
const ADD: Slot = list!(Atomic: Add);
const MIN_MAX: Slot = list!(Atomic: Min Max);
const ADD_MIN_MAX: Slot = list!(Atomic: Add Min Max);
const LOGIC: Slot = list!(Atomic: And Or Xor);
const COUNTER: Slot = list!(Atomic: Inc Dec);
const ORDER: Slot = list!(Order: Default RelaxedCta RelaxedGpu RelaxedSys AcquireGpu ReleaseGpu AcqRelGpu AcqRelCta);
const RED_ORDER: Slot = list!(Order: Default RelaxedCta RelaxedGpu RelaxedSys ReleaseGpu);
const LOAD_ORDER: Slot = list!(Order: RelaxedCta RelaxedGpu RelaxedSys AcquireGpu);
const STORE_ORDER: Slot = list!(Order: RelaxedCta RelaxedGpu RelaxedSys ReleaseGpu);
const STRENGTH: Slot = list!(Strength: AcqRel Sc);
const SCOPE: Slot = list!(Scope: Cta Gpu Sys);
const MEMBAR: Slot = list!(Membar: Cta Gl Sys);
const SHUFFLE: Slot = list!(Shuffle: Idx Up Down Bfly);
const VOTE: Slot = list!(Vote: All Any Uni);
const COUNT: Slot = list!(Count: X1 X2 X4);
const TRANS: Slot = list!(Trans: No Trans);
const NOINC: Slot = list!(Noinc: No Noinc);
const RANK: Slot = list!(Rank: D1 D2 D3 D4 D5);
const RANK_IM2COL: Slot = list!(Rank: D3 D4 D5);
const READS: Slot = list!(Reads: No Read);
const ARRIVE: Slot = list!(ArriveOrder: Default Release Relaxed);
const CHANGE: Slot = list!(Change: Inc Dec);
const N8: Slot = list!(8 16 24 32 40 48 56 64 72 80 88 96 104 112 120 128 136 144 152 160 168 176 184 192 200 208 216 224 232 240 248 256);
const N16: Slot = list!(8 16 24 32 48 64 80 96 112 128 144 160 176 192 208 224 240 256);

const V60: Version = Version(6, 0);
const V62: Version = Version(6, 2);
const V63: Version = Version(6, 3);
const V65: Version = Version(6, 5);
const V70: Version = Version(7, 0);
const V71: Version = Version(7, 1);
const V74: Version = Version(7, 4);
const V77: Version = Version(7, 7);
const V78: Version = Version(7, 8);
const V80: Version = Version(8, 0);
const V81: Version = Version(8, 1);
const V84: Version = Version(8, 4);
const V86: Version = Version(8, 6);

const ALL: Arch = Arch::From(0);
const S80: Arch = Arch::From(80);
const S89: Arch = Arch::From(89);
const S90: Arch = Arch::From(90);
const H90: Arch = Arch::Only(&[Sm::Sm90a]);
const A90: Arch = Arch::Only(&[Sm::Sm90a, Sm::Sm100a, Sm::Sm120a]);
const A100: Arch = Arch::Only(&[Sm::Sm100a]);

const fn one(role: Role, ty: TypeOf) -> Spec {
    Spec { role, ty, count: Many::One }
}

const fn fixed(role: Role, ty: Type) -> Spec {
    one(role, TypeOf::Fixed(ty))
}

const fn address(access: Access, space: SpaceOf) -> Spec {
    fixed(Role::Address(access, space), Type::B64)
}

const D0: Spec = one(Role::Write, TypeOf::Slot(0));
const D1: Spec = one(Role::Write, TypeOf::Slot(1));
const D2: Spec = one(Role::Write, TypeOf::Slot(2));
const D3: Spec = one(Role::Write, TypeOf::Slot(3));
const DWIDE: Spec = one(Role::Write, TypeOf::Wide(0));
const S0: Spec = one(Role::Read, TypeOf::Slot(0));
const S1: Spec = one(Role::Read, TypeOf::Slot(1));
const S2: Spec = one(Role::Read, TypeOf::Slot(2));
const S3: Spec = one(Role::Read, TypeOf::Slot(3));
const SWIDE: Spec = one(Role::Read, TypeOf::Wide(0));
const R0: Spec = one(Role::ReadRegister, TypeOf::Slot(0));
const R1: Spec = one(Role::ReadRegister, TypeOf::Slot(1));
const SOURCE0: Spec = one(Role::Source, TypeOf::Slot(0));
const DP: Spec = fixed(Role::Write, Type::Pred);
const DAP: Spec = Spec { role: Role::WriteOrSink, ty: TypeOf::Fixed(Type::Pred), count: Many::Also };
const RP: Spec = fixed(Role::ReadRegister, Type::Pred);
const D16: Spec = fixed(Role::Write, Type::B16);
const R16: Spec = fixed(Role::ReadRegister, Type::B16);
const D32: Spec = fixed(Role::Write, Type::B32);
const R32: Spec = fixed(Role::ReadRegister, Type::B32);
const DU32: Spec = fixed(Role::Write, Type::U32);
const SU32: Spec = fixed(Role::Read, Type::U32);
const SS32: Spec = fixed(Role::Read, Type::S32);
const DS32: Spec = fixed(Role::Write, Type::S32);
const DSINK32: Spec = fixed(Role::WriteOrSink, Type::B32);
const DSINK64: Spec = fixed(Role::WriteOrSink, Type::B64);
const S32: Spec = fixed(Role::Read, Type::B32);
const DF32: Spec = fixed(Role::Write, Type::F32);
const SF32: Spec = fixed(Role::Read, Type::F32);
const DF64: Spec = fixed(Role::Write, Type::F64);
const SF64: Spec = fixed(Role::Read, Type::F64);
const D64: Spec = fixed(Role::Write, Type::B64);
const R64: Spec = fixed(Role::ReadRegister, Type::B64);
const I32: Spec = fixed(Role::Constant, Type::U32);
const IS32: Spec = fixed(Role::Constant, Type::S32);
const LABEL: Spec = fixed(Role::Label, Type::Pred);

/// Lists of registers in braces.
const fn d32(n: u8) -> Spec {
    Spec { role: Role::Write, ty: TypeOf::Fixed(Type::B32), count: Many::List(n) }
}
const fn r32(n: u8) -> Spec {
    Spec { role: Role::ReadRegister, ty: TypeOf::Fixed(Type::B32), count: Many::List(n) }
}
const fn d64(n: u8) -> Spec {
    Spec { role: Role::Write, ty: TypeOf::Fixed(Type::F64), count: Many::List(n) }
}
const fn r64(n: u8) -> Spec {
    Spec { role: Role::ReadRegister, ty: TypeOf::Fixed(Type::F64), count: Many::List(n) }
}
const fn d16(n: u8) -> Spec {
    Spec { role: Role::Write, ty: TypeOf::Fixed(Type::B16), count: Many::List(n) }
}
const fn r16(n: u8) -> Spec {
    Spec { role: Role::ReadRegister, ty: TypeOf::Fixed(Type::B16), count: Many::List(n) }
}
/// As many as slot 0 says.
const D32_COUNT0: Spec = Spec { role: Role::Write, ty: TypeOf::Fixed(Type::B32), count: Many::Slot(0) };
const R32_COUNT0: Spec = Spec { role: Role::ReadRegister, ty: TypeOf::Fixed(Type::B32), count: Many::Slot(0) };
const IM2COL: Spec = Spec { role: Role::ReadRegister, ty: TypeOf::Fixed(Type::B16), count: Many::RankLess2(0) };
/// An accumulator of a warp group: N / 2 registers of 32 bits, or N / 4 of pairs.
const ACC: Spec = Spec { role: Role::Update, ty: TypeOf::Fixed(Type::B32), count: Many::Per(0, 2) };
const ACC16: Spec = Spec { role: Role::Update, ty: TypeOf::Fixed(Type::B32), count: Many::Per(0, 4) };

/// What a load or store moves: type in the slot of the first number, vector in that of the second.
const fn loaded(ty: u8, vector: u8) -> Spec {
    Spec { role: Role::Write, ty: TypeOf::Memory(ty), count: Many::Slot(vector) }
}
const fn stored(ty: u8, vector: u8) -> Spec {
    Spec { role: Role::ReadRegister, ty: TypeOf::Memory(ty), count: Many::Slot(vector) }
}

const READ_IN0: Spec = address(Access::Read, SpaceOf::Slot(0));
const READ_IN1: Spec = address(Access::Read, SpaceOf::Slot(1));
const WRITE_IN0: Spec = address(Access::Write, SpaceOf::Slot(0));
const WRITE_IN1: Spec = address(Access::Write, SpaceOf::Slot(1));
const BOTH_IN1: Spec = address(Access::Both, SpaceOf::Slot(1));
const READ_GLOBAL: Spec = address(Access::Read, SpaceOf::Fixed(Space::Global));
const WRITE_GLOBAL: Spec = address(Access::Write, SpaceOf::Fixed(Space::Global));
const BOTH_GLOBAL: Spec = address(Access::Both, SpaceOf::Fixed(Space::Global));
const NEAR_GLOBAL: Spec = address(Access::None, SpaceOf::Fixed(Space::Global));
const READ_SHARED: Spec = address(Access::Read, SpaceOf::Fixed(Space::Shared));
const WRITE_SHARED: Spec = address(Access::Write, SpaceOf::Fixed(Space::Shared));
const BOTH_SHARED: Spec = address(Access::Both, SpaceOf::Fixed(Space::Shared));
const READ_CLUSTER: Spec = address(Access::Read, SpaceOf::Fixed(Space::Cluster));
const WRITE_CLUSTER: Spec = address(Access::Write, SpaceOf::Fixed(Space::Cluster));
const BOTH_CLUSTER: Spec = address(Access::Both, SpaceOf::Fixed(Space::Cluster));
const NEAR_GENERIC: Spec = address(Access::None, SpaceOf::Generic);
const READ_TENSOR: Spec = Spec { role: Role::Tensor(Access::Read), ty: TypeOf::Fixed(Type::S32), count: Many::Slot(0) };
const WRITE_TENSOR: Spec =
    Spec { role: Role::Tensor(Access::Write), ty: TypeOf::Fixed(Type::S32), count: Many::Slot(0) };
const BOTH_TENSOR: Spec = Spec { role: Role::Tensor(Access::Both), ty: TypeOf::Fixed(Type::S32), count: Many::Slot(0) };
const NEAR_TENSOR: Spec = Spec { role: Role::Tensor(Access::None), ty: TypeOf::Fixed(Type::S32), count: Many::Slot(0) };

rows! {
    // Integers
    Add "add{0}" [INT] [D0, S0, S0] V60 ALL Pure;
    Sub "sub{0}" [INT] [D0, S0, S0] V60 ALL Pure;
    MulLo "mul.lo{0}" [INT] [D0, S0, S0] V60 ALL Pure;
    MulHi "mul.hi{0}" [INT] [D0, S0, S0] V60 ALL Pure;
    MulWide "mul.wide{0}" [NARROW] [DWIDE, S0, S0] V60 ALL Pure;
    MadLo "mad.lo{0}" [INT] [D0, S0, S0, S0] V60 ALL Pure;
    MadHi "mad.hi{0}" [INT] [D0, S0, S0, S0] V60 ALL Pure;
    MadWide "mad.wide{0}" [NARROW] [DWIDE, S0, S0, SWIDE] V60 ALL Pure;
    Div "div{0}" [INT] [D0, S0, S0] V60 ALL Pure;
    Rem "rem{0}" [INT] [D0, S0, S0] V60 ALL Pure;
    Abs "abs{0}" [SIGNED] [D0, S0] V60 ALL Pure;
    Neg "neg{0}" [SIGNED] [D0, S0] V60 ALL Pure;
    Min "min{0}" [INT] [D0, S0, S0] V60 ALL Pure;
    Max "max{0}" [INT] [D0, S0, S0] V60 ALL Pure;
    Dp4a "dp4a{0}{1}" [INT32, INT32] [DS32, SS32, SS32, SS32] V60 ALL Pure;

    // Bits
    And "and{0}" [BITS_PRED] [D0, S0, S0] V60 ALL Pure;
    Or "or{0}" [BITS_PRED] [D0, S0, S0] V60 ALL Pure;
    Xor "xor{0}" [BITS_PRED] [D0, S0, S0] V60 ALL Pure;
    Not "not{0}" [BITS_PRED] [D0, S0] V60 ALL Pure;
    Shl "shl{0}" [BITS] [D0, S0, SU32] V60 ALL Pure;
    Shr "shr{0}" [INT] [D0, S0, SU32] V60 ALL Pure;
    Shf "shf{0}{1}.b32" [SIDE, AMOUNT] [D32, S32, S32, SU32] V60 ALL Pure;
    Popc "popc{0}" [BITS_WIDE] [DU32, S0] V60 ALL Pure;
    Clz "clz{0}" [BITS_WIDE] [DU32, S0] V60 ALL Pure;
    Bfind "bfind{0}" [WIDE] [DU32, S0] V60 ALL Pure;
    Brev "brev{0}" [BITS_WIDE] [D0, S0] V60 ALL Pure;
    Bfe "bfe{0}" [WIDE] [D0, S0, SU32, SU32] V60 ALL Pure;
    Bfi "bfi{0}" [BITS_WIDE] [D0, S0, S0, SU32, SU32] V60 ALL Pure;
    Prmt "prmt.b32" [] [D32, S32, S32, S32] V60 ALL Pure;
    Lop3 "lop3.b32" [] [D32, S32, S32, S32, I32] V60 ALL Pure;

    // Moves and choices
    Mov "mov{0}" [ANY_PRED] [D0, SOURCE0] V60 ALL Pure;
    Pack16 "mov.b32" [] [D32, r16(2)] V60 ALL Pure;
    Unpack16 "mov.b32" [] [d16(2), R32] V60 ALL Pure;
    Pack16x4 "mov.b64" [] [D64, r16(4)] V60 ALL Pure;
    Unpack16x4 "mov.b64" [] [d16(4), R64] V60 ALL Pure;
    Pack32 "mov.b64" [] [D64, r32(2)] V60 ALL Pure;
    Unpack32 "mov.b64" [] [d32(2), R64] V60 ALL Pure;
    Selp "selp{0}" [ANY] [D0, S0, S0, RP] V60 ALL Pure;
    Setp "setp{0}{1}" [CMP_INT, INT] [DP, S1, S1] V60 ALL Pure;
    SetpBits "setp{0}{1}" [CMP_BITS, BITS] [DP, S1, S1] V60 ALL Pure;
    SetpFloat "setp{0}{1}" [CMP_FLOAT, FLOAT] [DP, S1, S1] V60 ALL Pure;
    SetpHalf "setp{0}.f16" [CMP_FLOAT] [DP, R16, R16] V60 ALL Pure;
    SetpBhalf "setp{0}.bf16" [CMP_FLOAT] [DP, R16, R16] V78 S90 Pure;

    // Floats
    AddFloat "add{0}{1}" [ROUND, FLOAT] [D1, S1, S1] V60 ALL Pure;
    SubFloat "sub{0}{1}" [ROUND, FLOAT] [D1, S1, S1] V60 ALL Pure;
    MulFloat "mul{0}{1}" [ROUND, FLOAT] [D1, S1, S1] V60 ALL Pure;
    FmaFloat "fma{0}{1}" [ROUND, FLOAT] [D1, S1, S1, S1] V60 ALL Pure;
    DivFloat "div{0}{1}" [ROUND, FLOAT] [D1, S1, S1] V60 ALL Pure;
    RcpFloat "rcp{0}{1}" [ROUND, FLOAT] [D1, S1] V60 ALL Pure;
    SqrtFloat "sqrt{0}{1}" [ROUND, FLOAT] [D1, S1] V60 ALL Pure;
    MinFloat "min{0}" [FLOAT] [D0, S0, S0] V60 ALL Pure;
    MaxFloat "max{0}" [FLOAT] [D0, S0, S0] V60 ALL Pure;
    MinNan "min.NaN.f32" [] [DF32, SF32, SF32] V70 S80 Pure;
    MaxNan "max.NaN.f32" [] [DF32, SF32, SF32] V70 S80 Pure;
    AbsFloat "abs{0}" [FLOAT] [D0, S0] V60 ALL Pure;
    NegFloat "neg{0}" [FLOAT] [D0, S0] V60 ALL Pure;
    Copysign "copysign{0}" [FLOAT] [D0, S0, S0] V60 ALL Pure;
    Testp "testp{0}{1}" [TEST, FLOAT] [DP, S1] V60 ALL Pure;
    DivApprox "div.approx{0}.f32" [FTZ] [DF32, SF32, SF32] V60 ALL Pure;
    DivFull "div.full{0}.f32" [FTZ] [DF32, SF32, SF32] V60 ALL Pure;
    RcpApprox "rcp.approx{0}.f32" [FTZ] [DF32, SF32] V60 ALL Pure;
    RcpApproxF64 "rcp.approx.ftz.f64" [] [DF64, SF64] V60 ALL Pure;
    SqrtApprox "sqrt.approx{0}.f32" [FTZ] [DF32, SF32] V60 ALL Pure;
    RsqrtApprox "rsqrt.approx{0}.f32" [FTZ] [DF32, SF32] V60 ALL Pure;
    RsqrtApproxF64 "rsqrt.approx.f64" [] [DF64, SF64] V60 ALL Pure;
    Ex2Approx "ex2.approx{0}.f32" [FTZ] [DF32, SF32] V60 ALL Pure;
    Lg2Approx "lg2.approx{0}.f32" [FTZ] [DF32, SF32] V60 ALL Pure;
    SinApprox "sin.approx{0}.f32" [FTZ] [DF32, SF32] V60 ALL Pure;
    CosApprox "cos.approx{0}.f32" [FTZ] [DF32, SF32] V60 ALL Pure;
    TanhApprox "tanh.approx.f32" [] [DF32, SF32] V70 ALL Pure;

    // Floats of 16 bits, alone and in pairs
    AddHalf "add.rn{0}" [HALF] [D0, R0, R0] V60 ALL Pure;
    SubHalf "sub.rn{0}" [HALF] [D0, R0, R0] V60 ALL Pure;
    MulHalf "mul.rn{0}" [HALF] [D0, R0, R0] V60 ALL Pure;
    FmaHalf "fma.rn{0}" [HALF] [D0, R0, R0, R0] V60 ALL Pure;
    AbsHalf "abs{0}" [HALF] [D0, R0] V65 ALL Pure;
    NegHalf "neg{0}" [HALF] [D0, R0] V60 ALL Pure;
    AddBhalf "add.rn{0}" [BHALF] [D0, R0, R0] V78 S90 Pure;
    SubBhalf "sub.rn{0}" [BHALF] [D0, R0, R0] V78 S90 Pure;
    MulBhalf "mul.rn{0}" [BHALF] [D0, R0, R0] V78 S90 Pure;
    FmaBhalf "fma.rn{0}" [BHALF] [D0, R0, R0, R0] V70 S80 Pure;
    FmaRelu "fma.rn.relu{0}" [HALVES] [D0, R0, R0, R0] V70 S80 Pure;
    AbsBhalf "abs{0}" [BHALF] [D0, R0] V70 S80 Pure;
    NegBhalf "neg{0}" [BHALF] [D0, R0] V70 S80 Pure;
    MinHalf "min{0}" [HALVES] [D0, R0, R0] V70 S80 Pure;
    MaxHalf "max{0}" [HALVES] [D0, R0, R0] V70 S80 Pure;
    MinNanHalf "min.NaN{0}" [HALVES] [D0, R0, R0] V70 S80 Pure;
    MaxNanHalf "max.NaN{0}" [HALVES] [D0, R0, R0] V70 S80 Pure;
    Ex2Half "ex2.approx{0}" [HALF] [D0, R0] V70 ALL Pure;
    Ex2Bhalf "ex2.approx.ftz{0}" [BHALF] [D0, R0] V78 S90 Pure;
    TanhHalf "tanh.approx{0}" [HALF] [D0, R0] V70 ALL Pure;
    TanhBhalf "tanh.approx{0}" [BHALF] [D0, R0] V78 S90 Pure;

    // Conversions
    CvtInt "cvt{0}{1}" [ANY_INT, ANY_INT] [D0, S1] V60 ALL Pure;
    CvtSat8 "cvt.sat{0}{1}" [BYTE, INT] [D0, S1] V60 ALL Pure;
    CvtSat16 "cvt.sat{0}{1}" [list!(Type: U16 S16), WIDE] [D0, S1] V60 ALL Pure;
    CvtSat32 "cvt.sat{0}{1}" [INT32, list!(Type: U64 S64)] [D0, S1] V60 ALL Pure;
    CvtIntToFloat "cvt{0}{1}{2}" [ROUND, list!(Type: F16 F32 F64), ANY_INT] [D1, S2] V60 ALL Pure;
    CvtIntToBf16 "cvt{0}.bf16{1}" [RN_RZ, INT] [D16, S1] V78 S90 Pure;
    CvtFloatToInt "cvt{0}{1}{2}" [ROUND_INT, ANY_INT, FLOAT] [D1, S2] V60 ALL Pure;
    CvtHalfToInt "cvt{0}{1}.f16" [ROUND_INT, ANY_INT] [D1, R16] V60 ALL Pure;
    CvtBf16ToInt "cvt{0}{1}.bf16" [ROUND_INT, INT] [D1, R16] V78 S90 Pure;
    CvtHalfToFloat "cvt{0}.f16" [FLOAT] [D0, R16] V60 ALL Pure;
    CvtF32ToF64 "cvt.f64.f32" [] [DF64, SF32] V60 ALL Pure;
    CvtBf16ToF32 "cvt.f32.bf16" [] [DF32, R16] V78 S90 Pure;
    CvtF64ToF32 "cvt{0}.f32.f64" [ROUND] [DF32, SF64] V60 ALL Pure;
    CvtFloatToHalf "cvt{0}.f16{1}" [ROUND, FLOAT] [D16, S1] V60 ALL Pure;
    CvtF32ToBf16 "cvt{0}{1}.bf16.f32" [RN_RZ, RELU] [D16, SF32] V70 S80 Pure;
    CvtF32ToHalfRelu "cvt{0}.relu.f16.f32" [RN_RZ] [D16, SF32] V70 S80 Pure;
    CvtF32ToPair "cvt{0}{1}{2}.f32" [RN_RZ, RELU, list!(Type: F16x2 Bf16x2)] [D2, SF32, SF32] V70 S80 Pure;
    CvtF32ToTf32 "cvt.rna.tf32.f32" [] [D32, SF32] V70 S80 Pure;
    CvtF32ToFp8 "cvt.rn.satfinite{0}{1}.f32" [RELU, FP8X2] [D1, SF32, SF32] V81 S89 Pure;
    CvtHalfToFp8 "cvt.rn.satfinite{0}{1}.f16x2" [RELU, FP8X2] [D1, R32] V81 S89 Pure;
    CvtFp8ToHalf "cvt.rn{0}.f16x2{1}" [RELU, FP8X2] [D32, R16] V81 S89 Pure;
    RoundFloat "cvt{0}{1}{1}" [ROUND_INT, FLOAT] [D1, S1] V60 ALL Pure;
    RoundHalf "cvt{0}.f16.f16" [ROUND_INT] [D16, R16] V60 ALL Pure;
    Saturate "cvt.sat{0}{0}" [FLOAT] [D0, S0] V60 ALL Pure;

    // Addresses
    CvtaTo "cvta.to{0}.u64" [list!(Space: Global Shared Local Const)] [D64, R64] V60 ALL Pure;
    Cvta "cvta{0}.u64" [list!(Space: Global Shared Local Const)] [D64, R64] V60 ALL Pure;
    CvtaParam "cvta.param.u64" [] [D64, R64] V77 ALL Pure;
    Mapa "mapa.shared::cluster.u32" [] [D32, R32, SU32] V78 S90 Pure;

    // Loads and stores
    Ld "ld{0}{1}{2}" [LOADED, SCALAR_V2, MEMORY] [loaded(2, 1), READ_IN0] V60 ALL Memory;
    LdV4 "ld{0}{1}{2}" [LOADED, V4, MEMORY32] [loaded(2, 1), READ_IN0] V60 ALL Memory;
    LdCached "ld.global{0}{1}{2}{3}" [LOAD_CACHE, FETCH, SCALAR_V2, MEMORY] [loaded(3, 2), READ_GLOBAL] V60 ALL Memory;
    LdCachedV4 "ld.global{0}{1}{2}{3}" [LOAD_CACHE, FETCH, V4, MEMORY32] [loaded(3, 2), READ_GLOBAL] V60 ALL Memory;
    LdPolicy "ld.global.L2::cache_hint{0}{1}" [SCALAR_V2, MEMORY] [loaded(1, 0), READ_GLOBAL, R64] V74 S80 Memory;
    LdPolicyV4 "ld.global.L2::cache_hint{0}{1}" [V4, MEMORY32] [loaded(1, 0), READ_GLOBAL, R64] V74 S80 Memory;
    LdOrdered "ld{0}{1}{2}{3}" [LOAD_ORDER, GLOBAL_SHARED, SCALAR_V2, MEMORY] [loaded(3, 2), READ_IN1] V60 ALL Memory;
    LdVolatile "ld.volatile{0}{1}" [GLOBAL_SHARED, MEMORY] [one(Role::Write, TypeOf::Memory(1)), READ_IN0] V60 ALL Memory;
    LdCluster "ld.shared::cluster{0}{1}" [SCALAR_V2, MEMORY] [loaded(1, 0), READ_CLUSTER] V78 S90 Memory;
    LdClusterV4 "ld.shared::cluster{0}{1}" [V4, MEMORY32] [loaded(1, 0), READ_CLUSTER] V78 S90 Memory;
    St "st{0}{1}{2}" [STORED, SCALAR_V2, MEMORY] [WRITE_IN0, stored(2, 1)] V60 ALL Memory;
    StV4 "st{0}{1}{2}" [STORED, V4, MEMORY32] [WRITE_IN0, stored(2, 1)] V60 ALL Memory;
    StCached "st.global{0}{1}{2}" [STORE_CACHE, SCALAR_V2, MEMORY] [WRITE_GLOBAL, stored(2, 1)] V60 ALL Memory;
    StCachedV4 "st.global{0}{1}{2}" [STORE_CACHE, V4, MEMORY32] [WRITE_GLOBAL, stored(2, 1)] V60 ALL Memory;
    StOrdered "st{0}{1}{2}{3}" [STORE_ORDER, GLOBAL_SHARED, SCALAR_V2, MEMORY] [WRITE_IN1, stored(3, 2)] V60 ALL Memory;
    StCluster "st.shared::cluster{0}{1}" [SCALAR_V2, MEMORY] [WRITE_CLUSTER, stored(1, 0)] V78 S90 Memory;
    StClusterV4 "st.shared::cluster{0}{1}" [V4, MEMORY32] [WRITE_CLUSTER, stored(1, 0)] V78 S90 Memory;
    Prefetch "prefetch.global{0}" [LEVEL] [NEAR_GLOBAL] V60 ALL Hint;
    PrefetchTensormap "prefetch.tensormap" [] [NEAR_GENERIC] V80 S90 Hint;
    CreatePolicy "createpolicy.fractional{0}.b64" [EVICT] [D64, SF32] V74 S80 Pure;

    // Atomics
    Atom "atom{0}{1}{2}{3}" [ORDER, GLOBAL_SHARED, ADD, list!(Type: U32 S32 U64 F32 F64)] [D3, BOTH_IN1, S3] V60 ALL Memory;
    AtomMinMax "atom{0}{1}{2}{3}" [ORDER, GLOBAL_SHARED, MIN_MAX, WIDE] [D3, BOTH_IN1, S3] V60 ALL Memory;
    AtomLogic "atom{0}{1}{2}{3}" [ORDER, GLOBAL_SHARED, LOGIC, BITS_WIDE] [D3, BOTH_IN1, S3] V60 ALL Memory;
    AtomCount "atom{0}{1}{2}.u32" [ORDER, GLOBAL_SHARED, COUNTER] [DU32, BOTH_IN1, SU32] V60 ALL Memory;
    AtomExch "atom{0}{1}.exch{2}" [ORDER, GLOBAL_SHARED, BITS_WIDE] [D2, BOTH_IN1, S2] V60 ALL Memory;
    AtomCas "atom{0}{1}.cas{2}" [ORDER, GLOBAL_SHARED, BITS_WIDE] [D2, BOTH_IN1, S2, S2] V60 ALL Memory;
    AtomCas16 "atom{0}{1}.cas.b16" [ORDER, GLOBAL_SHARED] [D16, BOTH_IN1, R16, R16] V63 ALL Memory;
    AtomAddHalf "atom{0}{1}.add.noftz{2}" [ORDER, GLOBAL_SHARED, HALF] [D2, BOTH_IN1, one(Role::ReadRegister, TypeOf::Slot(2))] V63 ALL Memory;
    AtomAddBhalf "atom{0}{1}.add.noftz{2}" [ORDER, GLOBAL_SHARED, BHALF] [D2, BOTH_IN1, one(Role::ReadRegister, TypeOf::Slot(2))] V78 S90 Memory;
    Red "red{0}{1}{2}{3}" [RED_ORDER, GLOBAL_SHARED, ADD, list!(Type: U32 S32 U64 F32 F64)] [BOTH_IN1, S3] V60 ALL Memory;
    RedMinMax "red{0}{1}{2}{3}" [RED_ORDER, GLOBAL_SHARED, MIN_MAX, WIDE] [BOTH_IN1, S3] V60 ALL Memory;
    RedLogic "red{0}{1}{2}{3}" [RED_ORDER, GLOBAL_SHARED, LOGIC, BITS_WIDE] [BOTH_IN1, S3] V60 ALL Memory;
    RedAddHalf "red{0}{1}.add.noftz{2}" [RED_ORDER, GLOBAL_SHARED, HALF] [BOTH_IN1, one(Role::ReadRegister, TypeOf::Slot(2))] V63 ALL Memory;
    RedAddBhalf "red{0}{1}.add.noftz{2}" [RED_ORDER, GLOBAL_SHARED, BHALF] [BOTH_IN1, one(Role::ReadRegister, TypeOf::Slot(2))] V78 S90 Memory;

    // Barriers and fences
    BarSync "bar.sync" [] [SU32] V60 ALL Barrier;
    BarSyncSome "bar.sync" [] [SU32, SU32] V60 ALL NamedBarrier;
    BarrierSync "barrier.sync" [] [SU32] V60 ALL Barrier;
    BarrierSyncSome "barrier.sync" [] [SU32, SU32] V60 ALL NamedBarrier;
    BarArrive "bar.arrive" [] [SU32, SU32] V60 ALL NamedBarrier;
    BarPopc "bar.red.popc.u32" [] [DU32, SU32, RP] V60 ALL Barrier;
    BarLogic "bar.red{0}.pred" [list!(Atomic: And Or)] [DP, SU32, RP] V60 ALL Barrier;
    BarWarp "bar.warp.sync" [] [SU32] V60 ALL Collective;
    ClusterArrive "barrier.cluster.arrive{0}.aligned" [ARRIVE] [] V80 S90 ClusterBarrier;
    ClusterWait "barrier.cluster.wait.aligned" [] [] V78 S90 ClusterBarrier;
    Membar "membar{0}" [MEMBAR] [] V60 ALL Order;
    Fence "fence{0}{1}" [STRENGTH, SCOPE] [] V60 ALL Order;
    FenceCluster "fence{0}.cluster" [STRENGTH] [] V78 S90 Order;
    FenceMbarrierInit "fence.mbarrier_init.release.cluster" [] [] V80 S90 Order;
    FenceProxyAsync "fence.proxy.async" [] [] V80 S90 Order;
    FenceProxyAsyncGlobal "fence.proxy.async.global" [] [] V80 S90 Order;
    FenceProxyAsyncShared "fence.proxy.async.shared::cta" [] [] V80 S90 Order;
    FenceProxyAsyncCluster "fence.proxy.async.shared::cluster" [] [] V80 S90 Order;
    DependencyWait "griddepcontrol.wait" [] [] V78 S90 DependencyWait;
    DependencyLaunch "griddepcontrol.launch_dependents" [] [] V78 S90 Hint;

    // Warps
    Shfl "shfl.sync{0}.b32" [SHUFFLE] [D32, R32, SU32, SU32, SU32] V60 ALL Collective;
    ShflPred "shfl.sync{0}.b32" [SHUFFLE] [D32, DAP, R32, SU32, SU32, SU32] V60 ALL Collective;
    Vote "vote.sync{0}.pred" [VOTE] [DP, RP, SU32] V60 ALL Collective;
    Ballot "vote.sync.ballot.b32" [] [D32, RP, SU32] V60 ALL Collective;
    MatchAny "match.any.sync{0}" [BITS_WIDE] [D32, R0, SU32] V60 ALL Collective;
    MatchAll "match.all.sync{0}" [BITS_WIDE] [D32, DAP, R0, SU32] V60 ALL Collective;
    Activemask "activemask.b32" [] [D32] V62 ALL Collective;
    Redux "redux.sync{0}{1}" [ADD_MIN_MAX, INT32] [D1, R1, SU32] V70 S80 Collective;
    ReduxLogic "redux.sync{0}.b32" [LOGIC] [D32, R32, SU32] V70 S80 Collective;
    ReduxFloat "redux.sync{0}{1}.f32" [MIN_MAX, list!(NanMode: No Nan)] [DF32, R32, SU32] V86 A100 Collective;
    Elect "elect.sync" [] [DSINK32, DAP, SU32] V80 S90 Collective;

    // Asynchronous copies
    CpAsyncCa "cp.async.ca.shared.global{0}" [FETCH_ASYNC] [WRITE_SHARED, READ_GLOBAL, I32] V70 S80 Memory;
    CpAsyncCg "cp.async.cg.shared.global{0}" [FETCH_ASYNC] [WRITE_SHARED, READ_GLOBAL, I32] V70 S80 Memory;
    CpAsyncCaZfill "cp.async.ca.shared.global{0}" [FETCH_ASYNC] [WRITE_SHARED, READ_GLOBAL, I32, SU32] V70 S80 Memory;
    CpAsyncCgZfill "cp.async.cg.shared.global{0}" [FETCH_ASYNC] [WRITE_SHARED, READ_GLOBAL, I32, SU32] V70 S80 Memory;
    CpAsyncCommit "cp.async.commit_group" [] [] V70 S80 Order;
    CpAsyncWait "cp.async.wait_group" [] [I32] V70 S80 Order;
    CpAsyncWaitAll "cp.async.wait_all" [] [] V70 S80 Order;
    CpAsyncArrive "cp.async.mbarrier.arrive{0}.shared.b64" [NOINC] [BOTH_SHARED] V70 S80 Memory;
    LdMatrix "ldmatrix.sync.aligned.m8n8{0}{1}.shared.b16" [COUNT, TRANS] [D32_COUNT0, READ_SHARED] V65 ALL Collective;
    StMatrix "stmatrix.sync.aligned.m8n8{0}{1}.shared.b16" [COUNT, TRANS] [WRITE_SHARED, R32_COUNT0] V78 S90 Collective;

    // Matrix products of a warp
    Mma16816 "mma.sync.aligned.m16n8k16.row.col.f32{0}{0}.f32" [F16_BF16] [d32(4), r32(4), r32(2), r32(4)] V70 S80 Collective;
    Mma16816F16 "mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16" [] [d32(2), r32(4), r32(2), r32(2)] V70 S80 Collective;
    Mma1688 "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32" [] [d32(4), r32(2), r32(1), r32(4)] V65 ALL Collective;
    Mma1688F16 "mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16" [] [d32(2), r32(2), r32(1), r32(2)] V65 ALL Collective;
    Mma1688Bf16 "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32" [] [d32(4), r32(2), r32(1), r32(4)] V70 S80 Collective;
    Mma1688Tf32 "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32" [] [d32(4), r32(4), r32(2), r32(4)] V70 S80 Collective;
    Mma1684Tf32 "mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32" [] [d32(4), r32(2), r32(1), r32(4)] V70 S80 Collective;
    Mma16832Int "mma.sync.aligned.m16n8k32.row.col{0}.s32{1}{2}.s32" [SATFINITE, BYTE, BYTE] [d32(4), r32(4), r32(2), r32(4)] V70 S80 Collective;
    Mma16816Int "mma.sync.aligned.m16n8k16.row.col{0}.s32{1}{2}.s32" [SATFINITE, BYTE, BYTE] [d32(4), r32(2), r32(1), r32(4)] V70 S80 Collective;
    Mma8816Int "mma.sync.aligned.m8n8k16.row.col{0}.s32{1}{2}.s32" [SATFINITE, BYTE, BYTE] [d32(2), r32(1), r32(1), r32(2)] V65 ALL Collective;
    Mma16832Fp8 "mma.sync.aligned.m16n8k32.row.col.f32{0}{1}.f32" [FP8, FP8] [d32(4), r32(4), r32(2), r32(4)] V84 S89 Collective;
    Mma884F64 "mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64" [] [d64(2), r64(1), r64(1), r64(2)] V70 S80 Collective;

    // Barriers in shared memory
    MbarrierInit "mbarrier.init.shared.b64" [] [WRITE_SHARED, SU32] V70 S80 Memory;
    MbarrierInval "mbarrier.inval.shared.b64" [] [WRITE_SHARED] V70 S80 Memory;
    MbarrierArrive "mbarrier.arrive.shared.b64" [] [D64, BOTH_SHARED] V70 S80 Memory;
    MbarrierArriveDrop "mbarrier.arrive_drop.shared.b64" [] [D64, BOTH_SHARED] V70 S80 Memory;
    MbarrierArriveMany "mbarrier.arrive.shared::cta.b64" [] [DSINK64, BOTH_SHARED, SU32] V78 S90 Memory;
    MbarrierArriveExpect "mbarrier.arrive.expect_tx.shared::cta.b64" [] [DSINK64, BOTH_SHARED, SU32] V80 S90 Memory;
    MbarrierArriveRemote "mbarrier.arrive.release.cluster.shared::cluster.b64" [] [fixed(Role::Sink, Type::Pred), BOTH_CLUSTER] V80 S90 Memory;
    MbarrierArriveExpectRemote "mbarrier.arrive.expect_tx.release.cluster.shared::cluster.b64" [] [fixed(Role::Sink, Type::Pred), BOTH_CLUSTER, SU32] V80 S90 Memory;
    MbarrierExpect "mbarrier.expect_tx.relaxed.cta.shared::cta.b64" [] [BOTH_SHARED, SU32] V80 S90 Memory;
    MbarrierTestWait "mbarrier.test_wait.shared.b64" [] [DP, READ_SHARED, R64] V70 S80 Memory;
    MbarrierTestParity "mbarrier.test_wait.parity.shared.b64" [] [DP, READ_SHARED, SU32] V71 S80 Memory;
    MbarrierTryParity "mbarrier.try_wait.parity.shared::cta.b64" [] [DP, READ_SHARED, SU32] V78 S90 Memory;
    MbarrierTryParityCluster "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64" [] [DP, READ_SHARED, SU32] V80 S90 Memory;
    MbarrierTryParityFor "mbarrier.try_wait.parity.shared::cta.b64" [] [DP, READ_SHARED, SU32, SU32] V78 S90 Memory;

    // Bulk copies
    BulkLoad "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes" [] [WRITE_CLUSTER, READ_GLOBAL, SU32, BOTH_SHARED] V80 S90 Memory;
    BulkLoadPolicy "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint" [] [WRITE_CLUSTER, READ_GLOBAL, SU32, BOTH_SHARED, R64] V80 S90 Memory;
    BulkMulticast "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster" [] [WRITE_CLUSTER, READ_GLOBAL, SU32, BOTH_SHARED, R16] V80 S90 Memory;
    BulkShare "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes" [] [WRITE_CLUSTER, READ_SHARED, SU32, BOTH_CLUSTER] V80 S90 Memory;
    BulkStore "cp.async.bulk.global.shared::cta.bulk_group" [] [WRITE_GLOBAL, READ_SHARED, SU32] V80 S90 Memory;
    BulkReduce "cp.reduce.async.bulk.global.shared::cta.bulk_group{0}{1}" [ADD, list!(Type: U32 S32 U64 F32 F64)] [BOTH_GLOBAL, READ_SHARED, SU32] V80 S90 Memory;
    BulkPrefetch "cp.async.bulk.prefetch.L2.global" [] [NEAR_GLOBAL, SU32] V80 S90 Hint;
    BulkCommit "cp.async.bulk.commit_group" [] [] V80 S90 Order;
    BulkWait "cp.async.bulk.wait_group{0}" [READS] [I32] V80 S90 Order;
    TensorLoad "cp.async.bulk.tensor{0}.shared::cluster.global.tile.mbarrier::complete_tx::bytes" [RANK] [WRITE_CLUSTER, READ_TENSOR, BOTH_SHARED] V80 S90 Memory;
    TensorLoadPolicy "cp.async.bulk.tensor{0}.shared::cluster.global.tile.mbarrier::complete_tx::bytes.L2::cache_hint" [RANK] [WRITE_CLUSTER, READ_TENSOR, BOTH_SHARED, R64] V80 S90 Memory;
    TensorMulticast "cp.async.bulk.tensor{0}.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster" [RANK] [WRITE_CLUSTER, READ_TENSOR, BOTH_SHARED, R16] V80 S90 Memory;
    TensorIm2col "cp.async.bulk.tensor{0}.shared::cluster.global.im2col.mbarrier::complete_tx::bytes" [RANK_IM2COL] [WRITE_CLUSTER, READ_TENSOR, BOTH_SHARED, IM2COL] V80 S90 Memory;
    TensorIm2colMulticast "cp.async.bulk.tensor{0}.shared::cluster.global.im2col.mbarrier::complete_tx::bytes.multicast::cluster" [RANK_IM2COL] [WRITE_CLUSTER, READ_TENSOR, BOTH_SHARED, IM2COL, R16] V80 S90 Memory;
    TensorStore "cp.async.bulk.tensor{0}.global.shared::cta.tile.bulk_group" [RANK] [WRITE_TENSOR, READ_SHARED] V80 S90 Memory;
    TensorReduce "cp.reduce.async.bulk.tensor{0}.global.shared::cta{1}.tile.bulk_group" [RANK, ADD_MIN_MAX] [BOTH_TENSOR, READ_SHARED] V80 S90 Memory;
    TensorPrefetch "cp.async.bulk.prefetch.tensor{0}.L2.global.tile" [RANK] [NEAR_TENSOR] V80 S90 Hint;

    // Matrix products of a warp group
    WgmmaFence "wgmma.fence.sync.aligned" [] [] V80 H90 Collective;
    WgmmaCommit "wgmma.commit_group.sync.aligned" [] [] V80 H90 Collective;
    WgmmaWait "wgmma.wait_group.sync.aligned" [] [I32] V80 H90 Collective;
    Wgmma "wgmma.mma_async.sync.aligned.m64n<0>k16.f32{1}{1}" [N8, F16_BF16] [ACC, R64, R64, RP, IS32, IS32, IS32, IS32] V80 H90 Collective;
    WgmmaF16 "wgmma.mma_async.sync.aligned.m64n<0>k16.f16.f16.f16" [N8] [ACC16, R64, R64, RP, IS32, IS32, IS32, IS32] V80 H90 Collective;
    WgmmaRegisters "wgmma.mma_async.sync.aligned.m64n<0>k16.f32{1}{1}" [N8, F16_BF16] [ACC, r32(4), R64, RP, IS32, IS32, IS32] V80 H90 Collective;
    WgmmaTf32 "wgmma.mma_async.sync.aligned.m64n<0>k8.f32.tf32.tf32" [N8] [ACC, R64, R64, RP, IS32, IS32] V80 H90 Collective;
    WgmmaTf32Registers "wgmma.mma_async.sync.aligned.m64n<0>k8.f32.tf32.tf32" [N8] [ACC, r32(4), R64, RP, IS32, IS32] V80 H90 Collective;
    WgmmaInt "wgmma.mma_async.sync.aligned.m64n<0>k32.s32{1}{1}" [N16, BYTE] [ACC, R64, R64, RP] V80 H90 Collective;
    WgmmaU8S8 "wgmma.mma_async.sync.aligned.m64n<0>k32.s32.u8.s8" [N16] [ACC, R64, R64, RP] V84 H90 Collective;
    WgmmaS8U8 "wgmma.mma_async.sync.aligned.m64n<0>k32.s32.s8.u8" [N16] [ACC, R64, R64, RP] V84 H90 Collective;
    WgmmaFp8 "wgmma.mma_async.sync.aligned.m64n<0>k32.f32{1}{2}" [N8, FP8, FP8] [ACC, R64, R64, RP, IS32, IS32] V80 H90 Collective;
    Setmaxnreg "setmaxnreg{0}.sync.aligned.u32" [CHANGE] [I32] V80 A90 Collective;

    // Control
    Bra "bra" [] [LABEL] V60 ALL Control;
    BraUni "bra.uni" [] [LABEL] V60 ALL Control;
    Ret "ret" [] [] V60 ALL End;
    Exit "exit" [] [] V60 ALL End;
    Trap "trap" [] [] V60 ALL End;
    Nanosleep "nanosleep.u32" [] [SU32] V63 ALL Hint;
    NoUnroll ".pragma \"nounroll\"" [] [] V60 ALL Hint;
}

//! Modifiers: the variable parts of an opcode's spelling, as closed enums. Table rows list which of them each slot takes.

/// Enums with the text of each value, and [`Modifier`], which is any of them.
macro_rules! tokens {
    ($($(#[$doc:meta])* $name:ident { $($value:ident $text:literal),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub enum $name { $($value),* }

            impl $name {
                pub const ALL: &'static [$name] = &[$($name::$value),*];

                /// As it stands in an opcode, without the dot before it; empty where nothing is written.
                pub const fn text(self) -> &'static str {
                    match self { $($name::$value => $text),* }
                }
            }

            impl From<$name> for Modifier {
                fn from(value: $name) -> Modifier {
                    Modifier::$name(value)
                }
            }
        )*

        /// A value in a slot of an opcode's spelling.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Modifier {
            $($name($name),)*
            /// A number within a shape, as in `m64n128k16`.
            Number(u16),
        }

        impl std::fmt::Display for Modifier {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Modifier::$name(value) => f.write_str(value.text()),)*
                    Modifier::Number(value) => write!(f, "{value}"),
                }
            }
        }
    };
}

tokens! {
    /// How an instruction reads the bits of an operand.
    Type {
        Pred "pred", B8 "b8", U8 "u8", S8 "s8", B16 "b16", U16 "u16", S16 "s16", B32 "b32", U32 "u32", S32 "s32",
        B64 "b64", U64 "u64", S64 "s64", F16 "f16", Bf16 "bf16", F16x2 "f16x2", Bf16x2 "bf16x2", F32 "f32", F64 "f64",
        Tf32 "tf32", E4m3 "e4m3", E5m2 "e5m2", E4m3x2 "e4m3x2", E5m2x2 "e5m2x2",
    }
    /// Comparison; those with a `u` also hold where an operand is NaN; `lo` to `hs` are not needed, the type tells.
    Cmp {
        Eq "eq", Ne "ne", Lt "lt", Le "le", Gt "gt", Ge "ge",
        Equ "equ", Neu "neu", Ltu "ltu", Leu "leu", Gtu "gtu", Geu "geu", Num "num", Nan "nan",
    }
    /// Rounding: to nearest even, to zero, down, up; with `i` to an integer.
    Round { Rn "rn", Rz "rz", Rm "rm", Rp "rp", Rni "rni", Rzi "rzi", Rmi "rmi", Rpi "rpi" }
    /// Whether subnormals are read and written as zero.
    Ftz { No "", Ftz "ftz" }
    /// Whether negative results become zero.
    Relu { No "", Relu "relu" }
    /// Whether a result is clamped to the range of its type.
    Sat { No "", Sat "sat" }
    /// Class of a float.
    Test { Finite "finite", Infinite "infinite", Number "number", Nan "notanumber", Normal "normal", Subnormal "subnormal" }
    /// Direction of a funnel shift.
    Side { L "l", R "r" }
    /// What a funnel shift does with amounts of 32 and more.
    Amount { Clamp "clamp", Wrap "wrap" }
    /// Memory of its own kind of address.
    Space { Global "global", Shared "shared", Local "local", Param "param", Const "const", Cluster "shared::cluster" }
    /// How many registers a load or store moves.
    Vector { One "", V2 "v2", V4 "v4" }
    /// How a load uses the caches.
    LoadCache {
        Default "", Nc "nc", Cg "cg", Cs "cs", Lu "lu", Cv "cv",
        NoAllocate "L1::no_allocate", EvictFirst "L1::evict_first", EvictLast "L1::evict_last",
        NcNoAllocate "nc.L1::no_allocate", NcEvictFirst "nc.L1::evict_first", NcEvictLast "nc.L1::evict_last",
    }
    /// How a store uses the caches.
    StoreCache {
        Default "", Cg "cg", Cs "cs", Wt "wt",
        NoAllocate "L1::no_allocate", EvictFirst "L1::evict_first", EvictLast "L1::evict_last",
    }
    /// How much of the line around the address is fetched into L2.
    Fetch { Default "", L2B64 "L2::64B", L2B128 "L2::128B", L2B256 "L2::256B" }
    /// What a policy does with its part of the lines in L2.
    Evict { First "L2::evict_first", Last "L2::evict_last", Normal "L2::evict_normal", Unchanged "L2::evict_unchanged" }
    /// A cache.
    Level { L1 "L1", L2 "L2" }
    /// Operation of an atomic, a reduction, or a collective over a warp.
    Atomic { Add "add", Min "min", Max "max", Inc "inc", Dec "dec", And "and", Or "or", Xor "xor" }
    /// Order and scope of an atomic or a fence-like access.
    Order {
        Default "", RelaxedCta "relaxed.cta", RelaxedGpu "relaxed.gpu", RelaxedSys "relaxed.sys", AcquireGpu "acquire.gpu",
        ReleaseGpu "release.gpu", AcqRelGpu "acq_rel.gpu", AcqRelCta "acq_rel.cta",
    }
    /// Who sees an access in order.
    Scope { Cta "cta", Cluster "cluster", Gpu "gpu", Sys "sys" }
    /// Strength of a fence.
    Strength { AcqRel "acq_rel", Sc "sc" }
    /// Reach of the older fence.
    Membar { Cta "cta", Gl "gl", Sys "sys" }
    /// Where a lane's value comes from.
    Shuffle { Idx "idx", Up "up", Down "down", Bfly "bfly" }
    /// What lanes vote on.
    Vote { All "all", Any "any", Uni "uni" }
    /// Number of 8x8 matrices.
    Count { X1 "x1", X2 "x2", X4 "x4" }
    /// Whether matrices are transposed on the way.
    Trans { No "", Trans "trans" }
    /// Whether `cp.async`'s arrival counts beyond what the barrier expects.
    Noinc { No "", Noinc "noinc" }
    /// Number of dimensions of a tensor map.
    Rank { D1 "1d", D2 "2d", D3 "3d", D4 "4d", D5 "5d" }
    /// Whether only the reads of bulk copies are waited for.
    Reads { No "", Read "read" }
    /// Order of an arrival at the cluster's barrier.
    ArriveOrder { Default "", Release "release", Relaxed "relaxed" }
    /// What happens to a warp group's share of registers.
    Change { Inc "inc", Dec "dec" }
    /// Whether sums that leave the range of their type stop at its ends.
    Satfinite { No "", Satfinite "satfinite" }
    /// Whether NaN wins.
    NanMode { No "", Nan "NaN" }
}

/// A kind of register. Registers are bits; instructions say how they read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    Pred,
    B16,
    B32,
    B64,
}

impl Class {
    pub const ALL: [Class; 4] = [Class::Pred, Class::B16, Class::B32, Class::B64];

    /// Width in bits; a predicate has one.
    pub const fn bits(self) -> u32 {
        match self {
            Class::Pred => 1,
            Class::B16 => 16,
            Class::B32 => 32,
            Class::B64 => 64,
        }
    }
}

/// What the bits of a type mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    Truth,
    Bits,
    Unsigned,
    Signed,
    Float,
    /// Two floats.
    Pair,
}

impl Type {
    /// Bits in memory, and what they mean.
    pub const fn properties(self) -> (u32, Meaning) {
        match self {
            Type::Pred => (1, Meaning::Truth),
            Type::B8 => (8, Meaning::Bits),
            Type::U8 => (8, Meaning::Unsigned),
            Type::S8 => (8, Meaning::Signed),
            Type::B16 => (16, Meaning::Bits),
            Type::U16 => (16, Meaning::Unsigned),
            Type::S16 => (16, Meaning::Signed),
            Type::B32 => (32, Meaning::Bits),
            Type::U32 => (32, Meaning::Unsigned),
            Type::S32 => (32, Meaning::Signed),
            Type::B64 => (64, Meaning::Bits),
            Type::U64 => (64, Meaning::Unsigned),
            Type::S64 => (64, Meaning::Signed),
            Type::F16 | Type::Bf16 => (16, Meaning::Float),
            Type::F32 | Type::Tf32 => (32, Meaning::Float),
            Type::F64 => (64, Meaning::Float),
            Type::E4m3 | Type::E5m2 => (8, Meaning::Float),
            Type::F16x2 | Type::Bf16x2 => (32, Meaning::Pair),
            Type::E4m3x2 | Type::E5m2x2 => (16, Meaning::Pair),
        }
    }

    pub const fn bits(self) -> u32 {
        self.properties().0
    }

    pub const fn meaning(self) -> Meaning {
        self.properties().1
    }

    /// Registers that hold it. A byte has no register of its own width: it stands in 32 bits.
    pub const fn class(self) -> Class {
        match self.bits() {
            1 => Class::Pred,
            16 => Class::B16,
            64 => Class::B64,
            _ => Class::B32,
        }
    }

    pub const fn is_signed(self) -> bool {
        matches!(self.meaning(), Meaning::Signed)
    }

    pub const fn is_float(self) -> bool {
        matches!(self.meaning(), Meaning::Float | Meaning::Pair)
    }

    /// The type of the same width that says nothing about the bits.
    pub const fn untyped(self) -> Type {
        match self.bits() {
            1 => Type::Pred,
            8 => Type::B8,
            16 => Type::B16,
            64 => Type::B64,
            _ => Type::B32,
        }
    }

    /// The integer type of twice the width.
    pub const fn wide(self) -> Option<Type> {
        match self {
            Type::U16 => Some(Type::U32),
            Type::S16 => Some(Type::S32),
            Type::U32 => Some(Type::U64),
            Type::S32 => Some(Type::S64),
            _ => None,
        }
    }
}

impl Vector {
    pub const fn count(self) -> usize {
        match self {
            Vector::One => 1,
            Vector::V2 => 2,
            Vector::V4 => 4,
        }
    }

    /// The vector of so many.
    pub const fn of(count: usize) -> Option<Vector> {
        match count {
            1 => Some(Vector::One),
            2 => Some(Vector::V2),
            4 => Some(Vector::V4),
            _ => None,
        }
    }
}

impl Count {
    pub const fn count(self) -> usize {
        match self {
            Count::X1 => 1,
            Count::X2 => 2,
            Count::X4 => 4,
        }
    }
}

impl Rank {
    pub const fn count(self) -> usize {
        match self {
            Rank::D1 => 1,
            Rank::D2 => 2,
            Rank::D3 => 3,
            Rank::D4 => 4,
            Rank::D5 => 5,
        }
    }
}

impl Cmp {
    /// The comparison that holds exactly where this one does not; for floats it is the one with the other view of NaN.
    pub const fn negated(self, float: bool) -> Cmp {
        match (self, float) {
            (Cmp::Eq, false) | (Cmp::Equ, _) => Cmp::Ne,
            (Cmp::Ne, false) | (Cmp::Neu, _) => Cmp::Eq,
            (Cmp::Lt, false) | (Cmp::Ltu, _) => Cmp::Ge,
            (Cmp::Le, false) | (Cmp::Leu, _) => Cmp::Gt,
            (Cmp::Gt, false) | (Cmp::Gtu, _) => Cmp::Le,
            (Cmp::Ge, false) | (Cmp::Geu, _) => Cmp::Lt,
            (Cmp::Eq, true) => Cmp::Neu,
            (Cmp::Ne, true) => Cmp::Equ,
            (Cmp::Lt, true) => Cmp::Geu,
            (Cmp::Le, true) => Cmp::Gtu,
            (Cmp::Gt, true) => Cmp::Leu,
            (Cmp::Ge, true) => Cmp::Ltu,
            (Cmp::Num, _) => Cmp::Nan,
            (Cmp::Nan, _) => Cmp::Num,
        }
    }
}

//! Instructions and their operands.

use crate::form::{Form, Role};
use crate::token::{Class, Type};

/// A virtual register. Numbers count per class; every class has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg {
    pub class: Class,
    pub index: u32,
}

/// A kernel parameter, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Param(pub u32);

/// A variable of the entry, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Variable(pub u32);

/// A place in a body, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(pub u32);

/// What an instruction runs under: a predicate, or its opposite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guard {
    pub reg: Reg,
    pub negated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inst {
    pub form: Form,
    pub guard: Option<Guard>,
    /// In the order of the row.
    pub operands: Vec<Operand>,
}

impl Inst {
    /// Registers that it reads, its guard's among them.
    pub fn reads(&self) -> Vec<Reg> {
        let mut out: Vec<Reg> = self.guard.iter().map(|guard| guard.reg).collect();
        for (role, operand) in self.roles() {
            match operand {
                Operand::Reg(reg) if role.is_read() => out.push(*reg),
                Operand::Vector(regs) if role.is_read() => out.extend(regs),
                Operand::Address(address) => out.extend(address.register()),
                Operand::Tensor(map, coordinates) => {
                    out.extend(map.register().into_iter().chain(coordinates.iter().copied()))
                }
                _ => {}
            }
        }
        out
    }

    /// Registers that it writes, if its guard lets it.
    pub fn writes(&self) -> Vec<Reg> {
        let mut out = Vec::new();
        for (role, operand) in self.roles() {
            match operand {
                Operand::Reg(reg) if role.is_written() => out.push(*reg),
                Operand::Vector(regs) if role.is_written() => out.extend(regs),
                _ => {}
            }
        }
        out
    }

    /// Operands with what their row says of them.
    pub fn roles(&self) -> impl Iterator<Item = (Role, &Operand)> {
        self.form.row().operands.iter().map(|spec| spec.role).zip(&self.operands)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    Reg(Reg),
    /// Bits, as wide as the operand's type; what is above is zero.
    Imm(u64),
    /// Registers in braces.
    Vector(Vec<Reg>),
    Address(Address),
    /// A tensor map and the coordinates of a box.
    Tensor(Address, Vec<Reg>),
    Special(Special),
    /// The address of a variable within its space.
    Variable(Variable),
    /// The address of a parameter within the parameters.
    Param(Param),
    Label(Label),
    /// A result that nobody needs.
    Sink,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Base {
    Reg(Reg),
    Param(Param),
    Variable(Variable),
}

/// A base and a constant number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    pub base: Base,
    pub offset: i64,
}

impl Address {
    /// The register that it counts from.
    pub const fn register(self) -> Option<Reg> {
        match self.base {
            Base::Reg(reg) => Some(reg),
            Base::Param(_) | Base::Variable(_) => None,
        }
    }

    /// The address some bytes on.
    pub fn plus(self, bytes: i64) -> Address {
        Address { base: self.base, offset: self.offset.saturating_add(bytes) }
    }
}

macro_rules! addresses {
    ($($name:ident)*) => {$(
        impl From<$name> for Address {
            fn from(base: $name) -> Address {
                Address { base: Base::$name(base), offset: 0 }
            }
        }

        impl From<($name, i64)> for Address {
            fn from((base, offset): ($name, i64)) -> Address {
                Address { base: Base::$name(base), offset }
            }
        }

        impl From<$name> for Operand {
            fn from(value: $name) -> Operand {
                Operand::$name(value)
            }
        }
    )*};
}

addresses! { Reg Param Variable }

macro_rules! operands {
    ($($name:ident: $from:ty => $to:expr;)*) => {$(
        impl From<$from> for Operand {
            fn from($name: $from) -> Operand {
                $to
            }
        }
    )*};
}

operands! {
    value: u32 => Operand::Imm(u64::from(value));
    value: i32 => Operand::Imm(i64::from(value).cast_unsigned());
    value: u64 => Operand::Imm(value);
    value: i64 => Operand::Imm(value.cast_unsigned());
    value: f32 => Operand::Imm(u64::from(value.to_bits()));
    value: f64 => Operand::Imm(value.to_bits());
    value: bool => Operand::Imm(u64::from(value));
    value: Address => Operand::Address(value);
    value: Special => Operand::Special(value);
    value: Label => Operand::Label(value);
    value: Vec<Reg> => Operand::Vector(value);
    value: &[Reg] => Operand::Vector(value.to_vec());
}

impl<const N: usize> From<[Reg; N]> for Operand {
    fn from(value: [Reg; N]) -> Operand {
        Operand::Vector(value.to_vec())
    }
}

/// Special registers with their text and type.
macro_rules! specials {
    ($($name:ident $text:literal $ty:ident $varies:ident)*) => {
        /// A register that the hardware sets.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Special { $($name),* }

        impl Special {
            pub const ALL: &'static [Special] = &[$(Special::$name),*];

            /// Without the `%`.
            pub const fn text(self) -> &'static str {
                match self { $(Special::$name => $text),* }
            }

            pub const fn ty(self) -> Type {
                match self { $(Special::$name => Type::$ty),* }
            }

            /// Over which threads it may differ.
            pub const fn varies(self) -> Varies {
                match self { $(Special::$name => Varies::$varies),* }
            }
        }
    };
}

/// Over which threads of a CTA a value may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Varies {
    /// The same in all.
    No,
    /// The same in the threads of a warp.
    Warps,
    Lanes,
}

specials! {
    TidX "tid.x" U32 Lanes
    TidY "tid.y" U32 Lanes
    TidZ "tid.z" U32 Lanes
    NtidX "ntid.x" U32 No
    NtidY "ntid.y" U32 No
    NtidZ "ntid.z" U32 No
    CtaidX "ctaid.x" U32 No
    CtaidY "ctaid.y" U32 No
    CtaidZ "ctaid.z" U32 No
    NctaidX "nctaid.x" U32 No
    NctaidY "nctaid.y" U32 No
    NctaidZ "nctaid.z" U32 No
    Laneid "laneid" U32 Lanes
    Warpid "warpid" U32 Warps
    Smid "smid" U32 No
    Nsmid "nsmid" U32 No
    LanemaskEq "lanemask_eq" U32 Lanes
    LanemaskLt "lanemask_lt" U32 Lanes
    LanemaskLe "lanemask_le" U32 Lanes
    LanemaskGt "lanemask_gt" U32 Lanes
    LanemaskGe "lanemask_ge" U32 Lanes
    ClusteridX "clusterid.x" U32 No
    ClusteridY "clusterid.y" U32 No
    ClusteridZ "clusterid.z" U32 No
    NclusteridX "nclusterid.x" U32 No
    NclusteridY "nclusterid.y" U32 No
    NclusteridZ "nclusterid.z" U32 No
    ClusterCtaidX "cluster_ctaid.x" U32 No
    ClusterCtaidY "cluster_ctaid.y" U32 No
    ClusterCtaidZ "cluster_ctaid.z" U32 No
    ClusterCtarank "cluster_ctarank" U32 No
    ClusterNctarank "cluster_nctarank" U32 No
    DynamicSmemSize "dynamic_smem_size" U32 No
    Clock "clock" U32 Lanes
    Clock64 "clock64" U64 Lanes
    Globaltimer "globaltimer" U64 Lanes
}

impl Special {
    /// Whether a target has it.
    pub const fn needs_cluster(self) -> bool {
        use Special::*;
        matches!(
            self,
            ClusteridX
                | ClusteridY
                | ClusteridZ
                | NclusteridX
                | NclusteridY
                | NclusteridZ
                | ClusterCtaidX
                | ClusterCtaidY
                | ClusterCtaidZ
                | ClusterCtarank
                | ClusterNctarank
        )
    }
}

/// An instruction, or what stands between instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stmt {
    Inst(Inst),
    Label(Label),
    /// One line, without the `//`.
    Comment(String),
}

impl Stmt {
    pub fn as_inst(&self) -> Option<&Inst> {
        match self {
            Stmt::Inst(inst) => Some(inst),
            Stmt::Label(_) | Stmt::Comment(_) => None,
        }
    }
}

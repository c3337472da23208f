//! Forms: a row of the table with its slots filled, and what a row says about operands, needs and effects.
//!
//! ```
//! use ptx::{Form, Op, Round, Type};
//! let form = Form::new(Op::FmaFloat, (Round::Rn, Type::F32));
//! assert_eq!(form.to_string(), "fma.rn.f32");
//! assert!(form.is_known());
//! ```

use std::fmt;

use crate::table::Op;
use crate::target::{Arch, Version};
use crate::token::{Class, Count, LoadCache, Modifier, Rank, Space, StoreCache, Type, Vector};

/// The most slots that a spelling has.
pub const SLOTS: usize = 5;

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// The opcode; `{n}` is a dot and the text of slot n (nothing where that is empty), `<n>` the text alone.
    pub spelling: &'static str,
    /// What each slot takes.
    pub slots: &'static [&'static [Modifier]],
    /// In the order of the text.
    pub operands: &'static [Spec],
    pub version: Version,
    pub arch: Arch,
    pub effect: Effect,
}

/// What an instruction does besides computing its results. Reads and writes of memory follow from its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Pure,
    /// Moves data, now or later.
    Memory,
    /// Waits for all threads of the CTA.
    Barrier,
    /// Waits for, or tells, some threads of the CTA.
    NamedBarrier,
    /// All threads of the warp (or of those in a mask) must get there together.
    Collective,
    /// All threads of the cluster take part.
    ClusterBarrier,
    /// Orders accesses to memory.
    Order,
    /// The next instruction is another one.
    Control,
    /// Ends the thread.
    End,
    /// Waits for the kernels that this one depends on.
    DependencyWait,
    /// Tells something to the hardware or to `ptxas`.
    Hint,
}

/// What an operand may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    pub role: Role,
    pub ty: TypeOf,
    pub count: Many,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A register that is written; may be `_` where the flag says so.
    Write,
    /// As `Write`, but `_` may stand for a result that nobody needs.
    WriteOrSink,
    /// `_`: a result that has no register.
    Sink,
    /// A register or an immediate.
    Read,
    /// A register.
    ReadRegister,
    /// A register that is read and written.
    Update,
    /// An immediate.
    Constant,
    /// A register, an immediate, a special register, or the address of a variable or parameter.
    Source,
    /// An address.
    Address(Access, SpaceOf),
    /// A tensor map and coordinates.
    Tensor(Access),
    Label,
}

impl Role {
    pub const fn is_read(self) -> bool {
        matches!(self, Role::Read | Role::ReadRegister | Role::Update | Role::Source)
    }

    pub const fn is_written(self) -> bool {
        matches!(self, Role::Write | Role::WriteOrSink | Role::Update)
    }
}

/// What happens at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    None,
    Read,
    Write,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpaceOf {
    Slot(u8),
    Fixed(Space),
    Generic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeOf {
    Slot(u8),
    /// As a load or store has it: 8 bits, and integers of 16 bits, stand in 32.
    Memory(u8),
    /// The integer of twice the width.
    Wide(u8),
    Fixed(Type),
}

/// How many registers an operand is, in braces where that is a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Many {
    One,
    /// Always in braces.
    List(u8),
    /// As the slot's vector, matrix count or rank says; a vector of one has no braces.
    Slot(u8),
    /// The slot's number divided by this.
    Per(u8, u16),
    /// Two less than the slot's rank.
    RankLess2(u8),
    /// A second result of the one before, after `|`.
    Also,
}

/// An opcode with nothing left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Form {
    pub op: Op,
    modifiers: [Option<Modifier>; SLOTS],
}

impl Form {
    /// The row's form with these in its slots, in order. The verifier tells if a slot does not take its modifier.
    pub fn new(op: Op, modifiers: impl Modifiers) -> Form {
        Form { op, modifiers: modifiers.list() }
    }

    /// The row that this is a form of.
    pub fn row(self) -> &'static Row {
        self.op.row()
    }

    pub fn modifiers(self) -> impl Iterator<Item = Modifier> {
        self.modifiers.into_iter().flatten()
    }

    pub fn modifier(self, slot: u8) -> Option<Modifier> {
        self.modifiers.get(usize::from(slot)).copied().flatten()
    }

    /// Whether every slot of the row has a modifier that it takes.
    pub fn is_known(self) -> bool {
        let slots = self.row().slots;
        let fits = |(at, m): (usize, &Option<Modifier>)| match (slots.get(at), m) {
            (Some(slot), Some(m)) => slot.contains(m),
            (None, None) => true,
            _ => false,
        };
        self.modifiers.iter().enumerate().all(fits)
    }

    /// The lowest PTX version that has it.
    pub fn version(self) -> Version {
        let extra = self.modifiers().filter_map(modifier_version);
        extra.fold(self.row().version, Version::max)
    }

    pub fn arch(self) -> Arch {
        self.row().arch
    }

    pub fn effect(self) -> Effect {
        self.row().effect
    }

    /// The type of an operand.
    pub fn type_of(self, ty: TypeOf) -> Option<Type> {
        match ty {
            TypeOf::Fixed(ty) => Some(ty),
            TypeOf::Slot(slot) | TypeOf::Memory(slot) => self.slot_type(slot),
            TypeOf::Wide(slot) => self.slot_type(slot)?.wide(),
        }
    }

    /// The registers that an operand stands in.
    pub fn class_of(self, ty: TypeOf) -> Option<Class> {
        let class = self.type_of(ty)?.class();
        let extended = matches!(ty, TypeOf::Memory(_)) && self.type_of(ty).is_some_and(is_extended);
        Some(if extended { Class::B32 } else { class })
    }

    /// How many registers an operand is, and whether they stand in braces.
    pub fn count_of(self, count: Many) -> Option<(usize, bool)> {
        match count {
            Many::One | Many::Also => Some((1, false)),
            Many::List(n) => Some((usize::from(n), true)),
            Many::Slot(slot) => match self.modifier(slot)? {
                Modifier::Vector(v) => Some((v.count(), v != Vector::One)),
                Modifier::Count(c) => Some((Count::count(c), true)),
                Modifier::Rank(r) => Some((Rank::count(r), true)),
                _ => None,
            },
            Many::Per(slot, by) => match self.modifier(slot)? {
                Modifier::Number(n) => Some((usize::from(n / by), true)),
                _ => None,
            },
            Many::RankLess2(slot) => match self.modifier(slot)? {
                Modifier::Rank(r) => Some((r.count().saturating_sub(2), true)),
                _ => None,
            },
        }
    }

    /// The memory that an address operand is in; `None` if generic.
    pub fn space_of(self, space: SpaceOf) -> Option<Space> {
        match space {
            SpaceOf::Fixed(space) => Some(space),
            SpaceOf::Generic => None,
            SpaceOf::Slot(slot) => match self.modifier(slot)? {
                Modifier::Space(space) => Some(space),
                _ => None,
            },
        }
    }

    /// Bytes that a load, store or atomic moves, where the form says so.
    pub fn access_bytes(self) -> Option<u64> {
        let types = self.modifiers().filter_map(|m| if let Modifier::Type(ty) = m { Some(ty) } else { None });
        let vector = self.modifiers().find_map(|m| if let Modifier::Vector(v) = m { Some(v) } else { None });
        let count = u64::try_from(vector.map_or(1, Vector::count)).unwrap_or(1);
        types.last().map(|ty| u64::from(ty.bits().div_ceil(8)) * count)
    }

    /// All forms of a row, in the order of the slots' lists.
    pub fn all(op: Op) -> Vec<Form> {
        let mut out = vec![Form { op, modifiers: [None; SLOTS] }];
        for (at, slot) in op.row().slots.iter().enumerate() {
            let with = |form: &Form, m: &Modifier| {
                let mut next = *form;
                if let Some(place) = next.modifiers.get_mut(at) {
                    *place = Some(*m);
                }
                next
            };
            out = out.iter().flat_map(|form| slot.iter().map(move |m| with(form, m))).collect();
        }
        out
    }

    fn slot_type(self, slot: u8) -> Option<Type> {
        match self.modifier(slot)? {
            Modifier::Type(ty) => Some(ty),
            _ => None,
        }
    }
}

/// Bytes, and integers of 16 bits, are extended to 32 by loads and cut by stores.
const fn is_extended(ty: Type) -> bool {
    matches!(ty, Type::B8 | Type::U8 | Type::S8 | Type::U16 | Type::S16)
}

/// What a modifier needs beyond its row.
fn modifier_version(modifier: Modifier) -> Option<Version> {
    let plain_load = [LoadCache::Default, LoadCache::Nc, LoadCache::Cg, LoadCache::Cs, LoadCache::Lu, LoadCache::Cv];
    let plain_store = [StoreCache::Default, StoreCache::Cg, StoreCache::Cs, StoreCache::Wt];
    match modifier {
        Modifier::LoadCache(cache) if !plain_load.contains(&cache) => Some(Version(7, 4)),
        Modifier::StoreCache(cache) if !plain_store.contains(&cache) => Some(Version(7, 4)),
        Modifier::Fetch(fetch) if !fetch.text().is_empty() => Some(Version(7, 4)),
        _ => None,
    }
}

/// The opcode's text: the one spelling that both the printer and the parser know.
impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::print::write_opcode(f, *self)
    }
}

/// Up to [`SLOTS`] modifiers: nothing, one, a tuple, or a slice.
pub trait Modifiers {
    fn list(self) -> [Option<Modifier>; SLOTS];
}

impl Modifiers for () {
    fn list(self) -> [Option<Modifier>; SLOTS] {
        [None; SLOTS]
    }
}

impl<M: Into<Modifier>> Modifiers for M {
    fn list(self) -> [Option<Modifier>; SLOTS] {
        [Some(self.into()), None, None, None, None]
    }
}

impl<A: Into<Modifier>, B: Into<Modifier>> Modifiers for (A, B) {
    fn list(self) -> [Option<Modifier>; SLOTS] {
        [Some(self.0.into()), Some(self.1.into()), None, None, None]
    }
}

impl<A: Into<Modifier>, B: Into<Modifier>, C: Into<Modifier>> Modifiers for (A, B, C) {
    fn list(self) -> [Option<Modifier>; SLOTS] {
        [Some(self.0.into()), Some(self.1.into()), Some(self.2.into()), None, None]
    }
}

impl<A: Into<Modifier>, B: Into<Modifier>, C: Into<Modifier>, D: Into<Modifier>> Modifiers for (A, B, C, D) {
    fn list(self) -> [Option<Modifier>; SLOTS] {
        [Some(self.0.into()), Some(self.1.into()), Some(self.2.into()), Some(self.3.into()), None]
    }
}

impl<A, B, C, D, E> Modifiers for (A, B, C, D, E)
where
    A: Into<Modifier>,
    B: Into<Modifier>,
    C: Into<Modifier>,
    D: Into<Modifier>,
    E: Into<Modifier>,
{
    fn list(self) -> [Option<Modifier>; SLOTS] {
        [Some(self.0.into()), Some(self.1.into()), Some(self.2.into()), Some(self.3.into()), Some(self.4.into())]
    }
}

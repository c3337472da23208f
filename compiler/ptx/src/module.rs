//! Entries and modules.

use crate::inst::{Inst, Stmt};
use crate::target::{Sm, Version};
use crate::token::{Class, Space};

/// What a parameter is, as far as the rules for dependent launch ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParamRole {
    /// A number.
    Scalar,
    /// A pointer to, or a tensor map of, memory that no kernel of a run writes.
    Weights,
    /// A pointer to, or a tensor map of, memory that an earlier kernel may write.
    Data,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamInfo {
    pub size: u32,
    pub align: u32,
    pub role: ParamRole,
}

/// Memory of an entry: shared by a CTA, a thread's own, or constant for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableInfo {
    pub space: Space,
    pub name: String,
    /// Bytes; 0 for the shared memory whose size the launch gives.
    pub size: u32,
    pub align: u32,
    /// The contents, if constant; empty otherwise.
    pub data: Vec<u8>,
}

impl VariableInfo {
    /// Whether its size comes with the launch.
    pub fn is_dynamic(&self) -> bool {
        self.space == Space::Shared && self.size == 0
    }
}

/// A kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    /// Lines above it, without `//`: nodes of the graph, shape, schedule.
    pub comments: Vec<String>,
    pub params: Vec<ParamInfo>,
    pub variables: Vec<VariableInfo>,
    /// Number of registers of each class, in the order of [`Class::ALL`].
    pub registers: [u32; 4],
    /// Names of labels, by number; equal ones are told apart by the printer.
    pub labels: Vec<String>,
    /// The block's extents at launch, exactly.
    pub block: Option<[u32; 3]>,
    /// The most threads of a block; not together with `block`.
    pub max_threads: Option<u32>,
    /// CTAs that a multiprocessor should hold.
    pub min_ctas: Option<u32>,
    /// The most registers a thread may have.
    pub max_registers: Option<u32>,
    /// CTAs of a cluster.
    pub cluster: Option<[u32; 3]>,
    pub body: Vec<Stmt>,
}

impl Entry {
    pub fn instructions(&self) -> impl Iterator<Item = &Inst> {
        self.body.iter().filter_map(Stmt::as_inst)
    }

    pub fn register_count(&self, class: Class) -> u32 {
        let [pred, b16, b32, b64] = self.registers;
        match class {
            Class::Pred => pred,
            Class::B16 => b16,
            Class::B32 => b32,
            Class::B64 => b64,
        }
    }

    /// The lowest PTX version that has all its forms.
    pub fn version(&self) -> Version {
        let forms = self.instructions().map(|inst| inst.form.version());
        let cluster = self.cluster.map(|_| Version(7, 8));
        forms.chain(cluster).fold(Version(6, 0), Version::max)
    }
}

/// What one PTX text holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    pub version: Version,
    pub target: Sm,
    pub entries: Vec<Entry>,
}

impl Module {
    /// With the lowest version that has the target and all forms.
    pub fn new(target: Sm, entries: Vec<Entry>) -> Module {
        let version = entries.iter().map(Entry::version).fold(target.version(), Version::max);
        Module { version, target, entries }
    }
}

//! Rules that a module must hold before it is printed. All violations are reported, each with its rule's number.
//!
//! | rule | what holds | where |
//! |---|---|---|
//! | P01 | the slots of a form have modifiers that its row takes | shape |
//! | P02 | an instruction has as many operands as its row | shape |
//! | P03 | an operand is of a kind that its row takes | shape |
//! | P04 | a register has the class that the operand's type asks for | shape |
//! | P05 | a list has as many registers as the form says | shape |
//! | P06 | an immediate is no wider than its type, which can be written | shape |
//! | P07 | an address has a base of the right class or space | shape |
//! | P08 | a constant offset from an aligned base is divisible by what is moved | shape |
//! | P09 | a guard is a predicate | shape |
//! | P10 | registers, labels, parameters and variables exist | shape |
//! | P11 | the target has the form, and the special register | shape |
//! | P12 | the module's version has the form and the target | shape |
//! | P13 | a label is placed once | shape |
//! | P14 | names are identifiers, and different | names |
//! | P15 | extents, sizes and alignments are possible | names |
//! | P16 | a register is defined on every path before it is read | definitions |
//! | P17 | no path runs over the end of the body | definitions |
//! | P18 | a barrier of all threads is not under a condition that differs between threads | threads |
//! | P19 | what a warp does together is not under a condition that differs between its lanes | threads |
//! | P20 | before the wait for earlier kernels, global memory is read through weight parameters only | dependent |
//! | P21 | before that wait, no global memory is written | dependent |
//! | P22 | where there is that wait, it is on every path to an end | dependent |
//! | P23 | where registers change hands, the entry says how many a thread begins with | names |

mod definitions;
mod dependent;
mod names;
mod shape;
mod threads;

use std::fmt;

use crate::flow::Flow;
use crate::module::{Entry, Module};
use crate::print::print_inst;
use crate::target::{Arch, Sm, Version};
use crate::token::{Class, Type};

/// Checks a module; all problems, in the order of entries and statements.
pub fn verify(module: &Module) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    names::check(module, &mut problems);
    for entry in &module.entries {
        let before = problems.len();
        shape::check(module, entry, &mut problems);
        // The rules on flow ask for operands that are what their row says.
        if problems.len() == before {
            let flow = Flow::of(entry);
            definitions::check(entry, &flow, &mut problems);
            threads::check(entry, &flow, &mut problems);
            dependent::check(entry, &flow, &mut problems);
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub entry: String,
    /// Number of the statement in the body, and its text; none for the entry as a whole.
    pub stmt: Option<(usize, String)>,
}

impl Place {
    fn entry(entry: &Entry) -> Place {
        Place { entry: entry.name.clone(), stmt: None }
    }

    fn stmt(entry: &Entry, at: usize) -> Place {
        let inst = entry.body.get(at).and_then(|stmt| stmt.as_inst());
        let text = inst.map(|inst| print_inst(entry, inst)).unwrap_or_default();
        Place { entry: entry.name.clone(), stmt: Some((at, text)) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stmt {
            Some((at, text)) => write!(f, "entry `{}`, statement {at}, `{text}`", self.entry),
            None => write!(f, "entry `{}`", self.entry),
        }
    }
}

/// A rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("P{:02} {place}: {fault}", fault.rule())]
pub struct Problem {
    pub place: Place,
    pub fault: Fault,
}

/// What is wrong; one variant a rule, in the rules' order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the row does not take these modifiers; see its slots in the table")]
    Form,
    #[error("{found} operands, the row has {expected}")]
    Count { found: usize, expected: usize },
    #[error("operand {operand} is not of a kind that the row takes there ({expected})")]
    Kind { operand: usize, expected: &'static str },
    #[error("operand {operand} is a register of class {found:?}, its type asks for {expected:?}")]
    Class { operand: usize, found: Class, expected: Class },
    #[error("operand {operand} has {found} registers, the form moves {expected}")]
    List { operand: usize, found: usize, expected: usize },
    #[error("operand {operand}: the immediate 0x{bits:X} cannot be written as {ty:?}; move it into a register")]
    Immediate { operand: usize, bits: u64, ty: Type },
    #[error("operand {operand}: an address needs {expected}")]
    Base { operand: usize, expected: &'static str },
    #[error("operand {operand}: offset {offset} is not divisible by {bytes}, or its base is not aligned to that")]
    Alignment { operand: usize, offset: i64, bytes: u64 },
    #[error("the guard is a register of class {found:?}; compute a predicate with setp")]
    Guard { found: Class },
    #[error("{what} {number} does not exist; there are {count}")]
    Missing { what: &'static str, number: u32, count: usize },
    #[error("{target} does not have this; it needs {needs}: legalize for the target first")]
    Target { target: Sm, needs: Arch },
    #[error("the module declares version {found}; this needs {needs}: build the module with Module::new")]
    Version { found: Version, needs: Version },
    #[error("label {label} is placed {times} times; once is right")]
    Label { label: u32, times: usize },
    #[error("the name `{name}` is not an identifier, or is there twice")]
    Name { name: String },
    #[error("{what} cannot be {value}")]
    Extent { what: &'static str, value: u64 },
    #[error("{class:?} register {index} may be read before it is written; define it on every path")]
    Undefined { class: Class, index: u32 },
    #[error("control runs over the end of the body; end it with ret or exit")]
    End,
    #[error("this barrier waits for all threads, but the branch at statement {branch} may send threads around it")]
    DivergentBarrier { branch: usize },
    #[error("all lanes must get here together, but the branch at statement {branch} may part them")]
    DivergentWarp { branch: usize },
    #[error("global memory is read before the wait for earlier kernels, and not only through weight parameters")]
    EarlyRead,
    #[error("global memory is written before the wait for earlier kernels")]
    EarlyWrite,
    #[error("this end can be reached without the wait for earlier kernels")]
    NoWait,
    #[error("setmaxnreg is ignored unless the number of registers at entry is known; set max_registers or min_ctas")]
    RegistersAtEntry,
}

impl Fault {
    /// The number of the rule.
    pub fn rule(&self) -> u32 {
        match self {
            Fault::Form => 1,
            Fault::Count { .. } => 2,
            Fault::Kind { .. } => 3,
            Fault::Class { .. } => 4,
            Fault::List { .. } => 5,
            Fault::Immediate { .. } => 6,
            Fault::Base { .. } => 7,
            Fault::Alignment { .. } => 8,
            Fault::Guard { .. } => 9,
            Fault::Missing { .. } => 10,
            Fault::Target { .. } => 11,
            Fault::Version { .. } => 12,
            Fault::Label { .. } => 13,
            Fault::Name { .. } => 14,
            Fault::Extent { .. } => 15,
            Fault::Undefined { .. } => 16,
            Fault::End => 17,
            Fault::DivergentBarrier { .. } => 18,
            Fault::DivergentWarp { .. } => 19,
            Fault::EarlyRead => 20,
            Fault::EarlyWrite => 21,
            Fault::NoWait => 22,
            Fault::RegistersAtEntry => 23,
        }
    }
}

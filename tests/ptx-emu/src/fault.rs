//! What the emulator reports: texts that are no PTX, and faults of a running kernel.

use std::fmt;

/// A text that is not PTX, or has a form that the emulator does not execute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseError {
    /// Line of the text, from 1.
    pub line: u32,
    /// The statement, as far as it is known.
    pub text: String,
    /// What is wrong.
    pub what: String,
}

impl ParseError {
    pub(crate) fn new(line: u32, what: impl Into<String>) -> Self {
        ParseError { line, text: String::new(), what: what.into() }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)?;
        if self.text.is_empty() { Ok(()) } else { write!(f, "\n  {}", self.text) }
    }
}

impl std::error::Error for ParseError {}

/// Classes of faults.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FaultKind {
    /// The launch itself is refused: unknown entry, shape beyond the limits, wrong size of parameters.
    Launch,
    /// An address outside of every allocation, or outside of the CTA's shared memory.
    OutOfBounds,
    /// An address that is no multiple of the access size.
    Misaligned,
    /// An access to an allocation that was freed.
    UseAfterFree,
    /// A read of bytes that nothing wrote.
    UninitialisedMemory,
    /// A read of a register that nothing wrote in this lane.
    UninitialisedRegister,
    /// Two accesses, one of them a write, with nothing that orders them.
    Race,
    /// A barrier at which not all threads arrive.
    BarrierDivergence,
    /// A collective whose mask names a lane that does not take part, or leaves out one that does.
    Collective,
    /// Use of the target, source or registers of an asynchronous operation before the wait for it.
    MissingWait,
    /// A fence is missing: generic writes read by the asynchronous proxy, or registers of wgmma.
    MissingFence,
    /// Nothing can go on.
    Deadlock,
    /// The bound on executed instructions is reached.
    Endless,
    /// `trap`.
    Trap,
    /// An operand that the instruction does not allow: a bad descriptor, a bad shape of a tensor map, a count that is no multiple of 32.
    Operand,
    /// An mbarrier used wrongly: not initialised, count underflow, transaction count out of range.
    Mbarrier,
}

/// One fault, with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    pub kind: FaultKind,
    /// Line of the PTX text, from 1; 0 where no instruction is at fault.
    pub line: u32,
    /// That line.
    pub text: String,
    pub cta: [u32; 3],
    pub thread: [u32; 3],
    pub address: Option<u64>,
    /// What was found and what is allowed.
    pub detail: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [cx, cy, cz] = self.cta;
        let [tx, ty, tz] = self.thread;
        write!(
            f,
            "{:?}: line {}: `{}`: CTA ({cx},{cy},{cz}) thread ({tx},{ty},{tz})",
            self.kind, self.line, self.text
        )?;
        if let Some(address) = self.address {
            write!(f, " address {address:#x}")?;
        }
        write!(f, ": {}", self.detail)
    }
}

impl std::error::Error for Fault {}

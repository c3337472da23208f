//! A parsed module: entries with decoded bodies, variables, and the text's lines for faults.

use std::collections::BTreeMap;

use crate::fault::ParseError;
use crate::inst::Inst;

/// PTX text, parsed and decoded.
///
/// ```
/// let module = ptx_emu::Module::parse(
///     ".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry nothing() { ret; }",
/// )?;
/// assert_eq!(module.entries().collect::<Vec<_>>(), ["nothing"]);
/// # Ok::<(), ptx_emu::ParseError>(())
/// ```
#[derive(Debug)]
pub struct Module {
    pub(crate) id: u64,
    pub(crate) version: (u32, u32),
    pub(crate) target: String,
    pub(crate) lines: Vec<String>,
    pub(crate) entries: BTreeMap<String, Entry>,
    pub(crate) variables: Vec<Variable>,
}

/// A `.global` or `.const` variable.
#[derive(Debug)]
pub(crate) struct Variable {
    pub name: String,
    pub size: u64,
    pub align: u64,
    /// Bytes of the initialiser; zero where it is shorter.
    pub init: Vec<u8>,
}

/// A kernel.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub params: Vec<Param>,
    pub param_bytes: u32,
    pub body: Vec<Inst>,
    /// Bits of each register.
    pub regs: Vec<u8>,
    pub preds: u32,
    /// Static shared memory, and where dynamic shared memory begins.
    pub shared_bytes: u32,
    pub dynamic_base: u32,
    pub local_bytes: u32,
    /// Most threads of a CTA, from .maxntid; .reqntid asks for exactly these.
    pub max_threads: Option<[u32; 3]>,
    pub exact_threads: Option<[u32; 3]>,
    pub cluster: Option<[u32; 3]>,
    /// Whether anything reads or writes shared memory through the asynchronous proxy.
    pub async_proxy: bool,
    /// Registers that wgmma uses.
    pub wgmma_regs: Vec<u32>,
}

#[derive(Debug)]
pub(crate) struct Param {
    pub name: String,
    pub offset: u32,
    pub size: u32,
}

impl Module {
    /// Parses PTX text.
    ///
    /// # Errors
    /// The first statement that is no PTX, or that the emulator cannot execute, with its line.
    pub fn parse(text: &str) -> Result<Module, ParseError> {
        let lines: Vec<String> = text.lines().map(|l| l.trim().to_string()).collect();
        let shown = lines.clone();
        crate::parse::module(text, lines).map_err(|mut e| {
            if e.text.is_empty() {
                e.text = shown.get(e.line as usize - 1).cloned().unwrap_or_default();
            }
            e
        })
    }

    /// Names of the kernels.
    pub fn entries(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// `.version`
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// `.target`
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Offset and size of each parameter of a kernel, and the bytes of all.
    pub fn params(&self, entry: &str) -> Option<(Vec<(u32, u32)>, u32)> {
        let entry = self.entries.get(entry)?;
        Some((entry.params.iter().map(|p| (p.offset, p.size)).collect(), entry.param_bytes))
    }

    pub(crate) fn line(&self, line: u32) -> String {
        (line as usize).checked_sub(1).and_then(|k| self.lines.get(k)).cloned().unwrap_or_default()
    }
}

//! Statements → decoded instructions. One file a group of opcodes; each takes an opcode's modifiers in order and refuses what is left.

mod arith;
mod asynchronous;
mod bulk;
mod collective;
mod convert;
mod matrix;
mod memory;
mod names;

pub(crate) use names::{Names, PARAM_BASE};

use std::collections::BTreeMap;

use crate::fault::ParseError;
use crate::inst::{Addr, Inst, Op, PReg, PSrc, Reg, Src};
use crate::module::Entry;
use crate::raw::{Arg, Raw};
use crate::types::{Special, Ty};

/// A statement of a body.
#[derive(Debug)]
pub(crate) enum Statement<'t> {
    Inst(Raw<'t>),
    Label(&'t str, u32),
    Table(&'t str, Vec<&'t str>),
    Registers { ty: Ty, names: Vec<(&'t str, Option<u32>)> },
    Open,
    Close,
}

/// Decodes a body into the entry.
pub(crate) fn body(statements: &[Statement], names: &mut Names, entry: &mut Entry) -> Result<(), ParseError> {
    let mut count = 0u32;
    let mut tables = BTreeMap::new();
    for statement in statements {
        match statement {
            Statement::Inst(_) => count += 1,
            Statement::Label(name, line) => {
                if names.labels.insert((*name).to_string(), count).is_some() {
                    return Err(ParseError::new(*line, format!("label `{name}` is there twice")));
                }
            }
            Statement::Table(name, targets) => {
                tables.insert((*name).to_string(), targets.iter().map(|t| (*t).to_string()).collect::<Vec<_>>());
            }
            Statement::Registers { .. } | Statement::Open | Statement::Close => {}
        }
    }
    names.tables = tables;
    for statement in statements {
        match statement {
            Statement::Inst(raw) => {
                let inst = instruction(raw, names)?;
                entry.body.push(inst);
            }
            Statement::Registers { ty, names: list } => {
                list.iter().for_each(|(n, count)| names.declare(n, *count, *ty))
            }
            Statement::Open => names.open(),
            Statement::Close => names.close(),
            Statement::Label(..) | Statement::Table(..) => {}
        }
    }
    entry.body.push(Inst { guard: None, line: entry.body.last().map_or(0, |i| i.line), op: Op::Exit });
    entry.regs = names.widths();
    entry.preds = names.predicates();
    entry.async_proxy = entry.body.iter().any(|i| matches!(i.op, Op::Bulk(_) | Op::Wgmma(_)));
    entry.wgmma_regs = matrix::wgmma_registers(&entry.body);
    Ok(())
}

fn instruction(raw: &Raw, names: &mut Names) -> Result<Inst, ParseError> {
    let guard = match raw.guard {
        Some((name, not)) => Some(PSrc { reg: Some(names.pred(raw.line, name)?), not }),
        None => None,
    };
    let mut ctx = Ctx { line: raw.line, op: raw.op, args: &raw.args, names, parts: raw.op.split('.').collect(), at: 1 };
    let op = ctx.operation()?;
    if let Some(left) = ctx.parts.get(ctx.at) {
        return Err(ctx.error(format!("modifier `.{left}` of `{}` is not known here", raw.op)));
    }
    Ok(Inst { guard, line: raw.line, op })
}

/// An instruction being decoded: its modifiers and operands.
pub(crate) struct Ctx<'c, 't> {
    pub line: u32,
    op: &'t str,
    args: &'c [Arg<'t>],
    pub names: &'c mut Names,
    parts: Vec<&'t str>,
    at: usize,
}

pub(crate) type Decoded<T> = Result<T, ParseError>;

impl<'t> Ctx<'_, 't> {
    fn operation(&mut self) -> Decoded<Op> {
        let mnemonic = self.parts.first().copied().unwrap_or_default();
        type Group = fn(&mut Ctx, &str) -> Decoded<Option<Op>>;
        let groups: [Group; 8] = [
            arith::decode,
            convert::decode,
            memory::decode,
            collective::decode,
            matrix::decode,
            asynchronous::decode,
            bulk::decode,
            control,
        ];
        for group in groups {
            if let Some(op) = group(self, mnemonic)? {
                return Ok(op);
            }
        }
        Err(self.error(format!("`{}` is no instruction that the emulator executes", self.op)))
    }

    pub fn error(&self, what: impl Into<String>) -> ParseError {
        ParseError::new(self.line, what)
    }

    // Modifiers.

    pub fn modifier(&self) -> Option<&'t str> {
        self.parts.get(self.at).copied()
    }

    pub fn has(&self, word: &str) -> bool {
        self.parts.contains(&word)
    }

    pub fn eat(&mut self, word: &str) -> bool {
        let found = self.modifier() == Some(word);
        self.at += usize::from(found);
        found
    }

    pub fn eat_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|w| self.eat(w))
    }

    pub fn need(&mut self, word: &str) -> Decoded<()> {
        if self.eat(word) { Ok(()) } else { Err(self.error(format!("`.{word}` expected in `{}`", self.op))) }
    }

    pub fn one_of<T: Copy>(&mut self, table: &[(&str, T)]) -> Option<T> {
        let word = self.modifier()?;
        let found = table.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        self.at += usize::from(found.is_some());
        found
    }

    pub fn ty(&mut self) -> Decoded<Ty> {
        let found = self.modifier().and_then(Ty::parse);
        self.at += usize::from(found.is_some());
        found.ok_or_else(|| self.error(format!("a type expected in `{}`", self.op)))
    }

    /// `.L1::…`, `.L2::…` and `.level::…` hints change nothing that a program can see.
    pub fn hints(&mut self) -> usize {
        let mut policies = 0;
        while let Some(word) = self.modifier().filter(|w| w.starts_with("L1::") || w.starts_with("L2::")) {
            policies += usize::from(word == "L2::cache_hint");
            self.at += 1;
        }
        policies
    }

    // Operands.

    pub fn count(&self) -> usize {
        self.args.len()
    }

    pub fn arg(&self, k: usize) -> Decoded<&Arg<'t>> {
        self.args.get(k).ok_or_else(|| self.error(format!("`{}` needs an operand {}", self.op, k + 1)))
    }

    pub fn need_count(&self, allowed: std::ops::RangeInclusive<usize>) -> Decoded<()> {
        if allowed.contains(&self.args.len()) {
            return Ok(());
        }
        let (low, high) = (allowed.start(), allowed.end());
        Err(self.error(format!("`{}` takes {low} to {high} operands, found {}", self.op, self.args.len())))
    }

    fn word(&self, arg: &Arg<'t>) -> Decoded<(&'t str, bool, bool)> {
        match arg {
            Arg::Word { text, not, minus } => Ok((text, *not, *minus)),
            Arg::Vector(_) | Arg::Address { .. } | Arg::Pair(..) => {
                Err(self.error(format!("a register or a number expected in `{}`", self.op)))
            }
        }
    }

    pub fn reg(&mut self, k: usize) -> Decoded<Reg> {
        let (text, _, _) = self.word(self.arg(k)?)?;
        self.names.reg(self.line, text)
    }

    /// A destination, `None` for the sink.
    pub fn sink(&mut self, arg: &Arg<'t>) -> Decoded<Option<Reg>> {
        let (text, _, _) = self.word(arg)?;
        if text == "_" { Ok(None) } else { self.names.reg(self.line, text).map(Some) }
    }

    pub fn pred(&mut self, k: usize) -> Decoded<PReg> {
        let (text, _, _) = self.word(self.arg(k)?)?;
        self.names.pred(self.line, text)
    }

    pub fn pred_sink(&mut self, arg: &Arg<'t>) -> Decoded<Option<PReg>> {
        let (text, _, _) = self.word(arg)?;
        if text == "_" { Ok(None) } else { self.names.pred(self.line, text).map(Some) }
    }

    /// A predicate operand: register, negation, or a constant.
    pub fn psrc(&mut self, k: usize) -> Decoded<PSrc> {
        let (text, not, _) = self.word(self.arg(k)?)?;
        match crate::lex::number(text, false, None) {
            Some(value) => Ok(PSrc { reg: None, not: (value == 0) ^ not }),
            None => Ok(PSrc { reg: Some(self.names.pred(self.line, text)?), not }),
        }
    }

    pub fn is_pred(&self, k: usize) -> bool {
        matches!(self.args.get(k), Some(Arg::Word { text, .. }) if self.names.is_pred(text))
    }

    pub fn src(&mut self, k: usize, ty: Ty) -> Decoded<Src> {
        let arg = self.arg(k)?.clone();
        self.src_of(&arg, ty)
    }

    pub fn src_of(&mut self, arg: &Arg<'t>, ty: Ty) -> Decoded<Src> {
        let (text, _, minus) = self.word(arg)?;
        if let Some(value) = crate::lex::number(text, minus, ty.float_bits()) {
            let bits = ty.bits().max(8);
            return Ok(Src::Imm(if bits >= 64 { value } else { value & ((1 << bits) - 1) }));
        }
        if text == "WARP_SZ" {
            return Ok(Src::Imm(32));
        }
        if let Some(special) = Special::parse(text) {
            return Ok(Src::Special(special));
        }
        self.names.value(self.line, text)
    }

    /// An integer constant.
    pub fn constant(&mut self, k: usize) -> Decoded<u64> {
        match self.src(k, Ty::U64)? {
            Src::Imm(value) => Ok(value),
            Src::Reg(_) | Src::Special(_) | Src::Variable(..) => {
                Err(self.error(format!("operand {} of `{}` must be a constant", k + 1, self.op)))
            }
        }
    }

    pub fn addr(&mut self, k: usize) -> Decoded<Addr> {
        match self.arg(k)?.clone() {
            Arg::Address { base, offset, .. } => self.addr_of(base, offset),
            Arg::Word { .. } | Arg::Vector(_) | Arg::Pair(..) => {
                Err(self.error(format!("operand {} of `{}` must be an address", k + 1, self.op)))
            }
        }
    }

    pub fn is_addr(&self, k: usize) -> bool {
        matches!(self.args.get(k), Some(Arg::Address { .. }))
    }

    pub fn addr_of(&mut self, base: Option<&'t str>, offset: i64) -> Decoded<Addr> {
        let base = match base {
            Some(name) => self.names.value(self.line, name)?,
            None => Src::Imm(0),
        };
        Ok(Addr { base, offset })
    }

    /// The elements of a vector operand, or the operand itself.
    pub fn elements(&self, k: usize) -> Decoded<Vec<Arg<'t>>> {
        Ok(match self.arg(k)? {
            Arg::Vector(list) => list.clone(),
            other => vec![other.clone()],
        })
    }

    pub fn regs(&mut self, k: usize) -> Decoded<Vec<Reg>> {
        let list = self.elements(k)?;
        let mut out = Vec::with_capacity(list.len());
        for arg in &list {
            let (text, _, _) = self.word(arg)?;
            out.push(self.names.reg(self.line, text)?);
        }
        Ok(out)
    }

    pub fn sinks(&mut self, k: usize) -> Decoded<Vec<Option<Reg>>> {
        self.elements(k)?.iter().map(|arg| self.sink(arg)).collect()
    }

    pub fn srcs(&mut self, k: usize, ty: Ty) -> Decoded<Vec<Src>> {
        self.elements(k)?.iter().map(|arg| self.src_of(arg, ty)).collect()
    }

    /// `d|p`, or `d` alone.
    pub fn pair(&self, k: usize) -> Decoded<(Arg<'t>, Option<Arg<'t>>)> {
        Ok(match self.arg(k)? {
            Arg::Pair(first, second) => ((**first).clone(), Some((**second).clone())),
            other => (other.clone(), None),
        })
    }

    pub fn label(&self, k: usize) -> Decoded<u32> {
        let (text, _, _) = self.word(self.arg(k)?)?;
        self.names.label(self.line, text)
    }
}

fn control(ctx: &mut Ctx, mnemonic: &str) -> Decoded<Option<Op>> {
    Ok(Some(match mnemonic {
        "bra" => {
            ctx.eat("uni");
            ctx.need_count(1..=1)?;
            Op::Bra { target: ctx.label(0)? }
        }
        "brx" => {
            ctx.need("idx")?;
            ctx.eat("uni");
            ctx.need_count(2..=2)?;
            let index = ctx.src(0, Ty::U32)?;
            let (table, _, _) = ctx.word(ctx.arg(1)?)?;
            let labels = ctx.names.tables.get(table).cloned();
            let labels = labels.ok_or_else(|| ctx.error(format!("`{table}` is no table of branch targets")))?;
            let targets: Decoded<Vec<u32>> = labels.iter().map(|l| ctx.names.label(ctx.line, l)).collect();
            Op::BrxIdx { index, targets: targets? }
        }
        "ret" | "exit" => {
            ctx.eat("uni");
            Op::Exit
        }
        "trap" => Op::Trap,
        "brkpt" | "pmevent" => Op::Nothing,
        "nanosleep" => {
            ctx.need("u32")?;
            Op::Nanosleep
        }
        "setmaxnreg" => {
            if !ctx.eat_any(&["inc", "dec"]) {
                return Err(ctx.error("`.inc` or `.dec` expected"));
            }
            ctx.need("sync")?;
            ctx.need("aligned")?;
            ctx.need("u32")?;
            let count = ctx.constant(0)?;
            if !(24..=256).contains(&count) || count % 8 != 0 {
                return Err(ctx.error(format!("{count} registers: a multiple of 8 from 24 to 256 is allowed")));
            }
            Op::SetMaxNreg
        }
        "griddepcontrol" => {
            if ctx.eat("wait") {
                Op::GridWait
            } else {
                ctx.need("launch_dependents")?;
                Op::Nothing
            }
        }
        _ => return Ok(None),
    }))
}

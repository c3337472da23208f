//! Module-level PTX: directives, variables, entries; bodies go to the decoder statement by statement.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::decode::{self, Names};
use crate::fault::ParseError;
use crate::lex::{self, Kind};
use crate::module::{Entry, Module, Param, Variable};
use crate::raw::{Cursor, Raw};
use crate::types::Ty;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

pub(crate) fn module(text: &str, lines: Vec<String>) -> Result<Module, ParseError> {
    let tokens = lex::tokens(text)?;
    let mut at = Cursor::new(&tokens);
    let mut module = Module {
        id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
        version: (0, 0),
        target: String::new(),
        lines,
        entries: BTreeMap::new(),
        variables: Vec::new(),
    };
    let mut shared = Vec::new();
    while at.peek().is_some() {
        let line = at.line();
        let word = at.word()?;
        match word {
            ".version" => {
                let number = at.word()?;
                let parts = number.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
                module.version =
                    parts.ok_or_else(|| ParseError::new(line, format!("`{number}` is no version of PTX")))?;
            }
            ".target" => {
                module.target = at.word()?.to_string();
                while at.eat(',') {
                    at.word()?;
                }
            }
            ".address_size" => {
                if at.integer()? != 64 {
                    return Err(ParseError::new(line, "only 64-bit addresses are executed"));
                }
            }
            ".visible" | ".extern" | ".weak" => {}
            ".entry" => entry(&mut at, &mut module, &shared)?,
            ".global" | ".const" => {
                let found = variable(&mut at)?;
                module.variables.extend(found);
            }
            ".shared" => shared.extend(variable(&mut at)?),
            ".file" => skip_line(&mut at, line),
            _ => return Err(ParseError::new(line, format!("`{word}` is no directive that the emulator knows here"))),
        }
    }
    if module.version == (0, 0) || module.target.is_empty() {
        return Err(ParseError::new(1, ".version and .target are missing"));
    }
    Ok(module)
}

fn skip_line(at: &mut Cursor, line: u32) {
    while at.peek().is_some() && at.line() == line {
        at.next();
    }
}

/// Declarators after a state space, to the semicolon.
fn variable(at: &mut Cursor) -> Result<Vec<Variable>, ParseError> {
    let (mut align, mut ty) = (None, None);
    let mut vector = 1;
    loop {
        let line = at.line();
        let Some(Kind::Word(word)) = at.peek() else { break };
        let Some(modifier) = word.strip_prefix('.') else { break };
        at.next();
        match modifier {
            "align" => align = Some(at.integer()?),
            "v2" => vector = 2,
            "v4" => vector = 4,
            "ptr" | "volatile" | "global" | "const" | "shared" | "param" => {}
            _ => {
                ty = Some(
                    Ty::parse(modifier).ok_or_else(|| ParseError::new(line, format!("`.{modifier}` is no type")))?,
                )
            }
        }
    }
    let line = at.line();
    let ty = ty.ok_or_else(|| ParseError::new(line, "a variable needs a type"))?;
    let element = u64::from(ty.bytes()) * vector;
    let mut out = Vec::new();
    loop {
        let name = at.word()?.to_string();
        let mut count = 1u64;
        while at.eat('[') {
            if at.eat(']') {
                count = 0;
            } else {
                count = count.saturating_mul(at.integer()?);
                at.expect(']')?;
            }
        }
        let init = if at.eat('=') { initialiser(at, ty)? } else { Vec::new() };
        let size = if count == 0 { init.len() as u64 } else { count.saturating_mul(element) };
        out.push(Variable { name, size, align: align.unwrap_or(element.max(1)), init });
        if !at.eat(',') {
            break;
        }
    }
    at.expect(';')?;
    Ok(out)
}

fn initialiser(at: &mut Cursor, ty: Ty) -> Result<Vec<u8>, ParseError> {
    let mut out = Vec::new();
    let list = at.eat('{');
    loop {
        if list && at.eat('{') {
            return Err(ParseError::new(at.line(), "nested initialisers are not executed"));
        }
        let line = at.line();
        let minus = at.eat('-');
        let word = at.word()?;
        let value = lex::number(word, minus, ty.float_bits())
            .ok_or_else(|| ParseError::new(line, format!("`{word}` is no number")))?;
        out.extend_from_slice(&value.to_le_bytes()[..ty.bytes().min(8) as usize]);
        if !list || !at.eat(',') {
            break;
        }
    }
    if list {
        at.expect('}')?;
    }
    Ok(out)
}

fn entry(at: &mut Cursor, module: &mut Module, shared: &[Variable]) -> Result<(), ParseError> {
    let name = at.word()?.to_string();
    let mut entry = Entry::default();
    if at.eat('(') {
        while !at.eat(')') {
            param(at, &mut entry)?;
            if !at.eat(',') {
                at.expect(')')?;
                break;
            }
        }
    }
    let mut unsized_shared = Vec::new();
    let mut names = Names::new(module.variables.iter().map(|v| v.name.clone()).collect(), &entry.params);
    for variable in shared {
        place_shared(variable, &mut entry, &mut names, &mut unsized_shared);
    }
    loop {
        let line = at.line();
        if at.eat('{') {
            break;
        }
        let word = at.word()?;
        match word {
            ".maxntid" => entry.max_threads = Some(triple(at)?),
            ".reqntid" => entry.exact_threads = Some(triple(at)?),
            ".reqnctapercluster" => entry.cluster = Some(triple(at)?),
            ".minnctapersm" | ".maxnreg" | ".maxclusterrank" => {
                at.integer()?;
            }
            ".explicitcluster" | ".blocksareclusters" | ".noreturn" => {}
            ".pragma" => skip_statement(at),
            _ => return Err(ParseError::new(line, format!("`{word}` is no directive of an entry"))),
        }
    }
    let mut raws = Vec::new();
    body(at, &mut entry, &mut names, &mut unsized_shared, &mut raws)?;
    entry.dynamic_base = entry.shared_bytes.next_multiple_of(16);
    for (_, align) in &unsized_shared {
        entry.dynamic_base = entry.dynamic_base.next_multiple_of(*align);
    }
    let base = entry.dynamic_base;
    names.shared.extend(unsized_shared.into_iter().map(|(name, _)| (name, base)));
    decode::body(&raws, &mut names, &mut entry)?;
    module.entries.insert(name, entry);
    Ok(())
}

fn skip_statement(at: &mut Cursor) {
    while at.peek().is_some() && !at.eat(';') {
        at.next();
    }
}

fn triple(at: &mut Cursor) -> Result<[u32; 3], ParseError> {
    let mut out = [1; 3];
    for (k, slot) in out.iter_mut().enumerate() {
        if k > 0 && !at.eat(',') {
            break;
        }
        *slot = at.integer()? as u32;
    }
    Ok(out)
}

fn param(at: &mut Cursor, entry: &mut Entry) -> Result<(), ParseError> {
    let line = at.line();
    if !at.eat_word(".param") {
        return Err(ParseError::new(line, "`.param` expected"));
    }
    let (mut align, mut ty) = (None, None);
    while let Some(Kind::Word(word)) = at.peek() {
        let Some(modifier) = word.strip_prefix('.') else { break };
        at.next();
        match modifier {
            // `.ptr .global .align n` says what the pointer points to.
            "ptr" => {
                at.eat_word(".global");
                if at.eat_word(".align") {
                    at.integer()?;
                }
            }
            "align" => align = Some(at.integer()? as u32),
            _ => ty = Ty::parse(modifier),
        }
    }
    let ty = ty.ok_or_else(|| ParseError::new(line, "a parameter needs a type"))?;
    let name = at.word()?.to_string();
    let mut size = ty.bytes();
    if at.eat('[') {
        size *= at.integer()? as u32;
        at.expect(']')?;
    }
    let offset = entry.param_bytes.next_multiple_of(align.unwrap_or(ty.bytes()).max(1));
    entry.params.push(Param { name, offset, size });
    entry.param_bytes = offset + size;
    Ok(())
}

fn place_shared(variable: &Variable, entry: &mut Entry, names: &mut Names, unsized_shared: &mut Vec<(String, u32)>) {
    let align = variable.align.max(1) as u32;
    if variable.size == 0 {
        unsized_shared.push((variable.name.clone(), align));
        return;
    }
    let offset = entry.shared_bytes.next_multiple_of(align);
    names.shared.insert(variable.name.clone(), offset);
    entry.shared_bytes = offset + variable.size as u32;
}

/// Statements to the closing brace; an inner block has names of its own.
fn body<'t>(
    at: &mut Cursor<'_, 't>,
    entry: &mut Entry,
    names: &mut Names,
    unsized_shared: &mut Vec<(String, u32)>,
    raws: &mut Vec<decode::Statement<'t>>,
) -> Result<(), ParseError> {
    loop {
        let line = at.line();
        if at.eat('}') {
            return Ok(());
        }
        if at.eat('{') {
            raws.push(decode::Statement::Open);
            body(at, entry, names, unsized_shared, raws)?;
            raws.push(decode::Statement::Close);
            continue;
        }
        let Some(Kind::Word(word)) = at.peek() else {
            raws.push(decode::Statement::Inst(at.instruction()?));
            continue;
        };
        match word {
            ".reg" => {
                at.next();
                raws.push(registers(at, line)?);
            }
            ".shared" => {
                at.next();
                for variable in variable(at)? {
                    place_shared(&variable, entry, names, unsized_shared);
                }
            }
            ".extern" => {
                at.next();
            }
            ".local" => {
                at.next();
                for variable in variable(at)? {
                    let offset = entry.local_bytes.next_multiple_of(variable.align.max(1) as u32);
                    names.local.insert(variable.name, offset);
                    entry.local_bytes = offset + variable.size as u32;
                }
            }
            ".pragma" => skip_statement(at),
            ".loc" => skip_line(at, line),
            _ if at.peek_second() == Some(Kind::Punct(':')) => {
                at.next();
                at.next();
                if at.eat_word(".branchtargets") {
                    let mut targets = Vec::new();
                    loop {
                        targets.push(at.word()?);
                        if !at.eat(',') {
                            break;
                        }
                    }
                    at.expect(';')?;
                    raws.push(decode::Statement::Table(word, targets));
                } else {
                    raws.push(decode::Statement::Label(word, line));
                }
            }
            _ if word.starts_with('.') => {
                return Err(ParseError::new(line, format!("`{word}` is no statement that the emulator knows")));
            }
            _ => {
                let raw: Raw = at.instruction()?;
                raws.push(decode::Statement::Inst(raw));
            }
        }
    }
}

fn registers<'t>(at: &mut Cursor<'_, 't>, line: u32) -> Result<decode::Statement<'t>, ParseError> {
    let word = at.word()?;
    let ty = word.strip_prefix('.').and_then(Ty::parse);
    let ty = ty.ok_or_else(|| ParseError::new(line, format!("`{word}` is no type of a register")))?;
    let mut names = Vec::new();
    loop {
        let name = at.word()?;
        let mut count = None;
        if at.eat('<') {
            count = Some(at.integer()? as u32);
            at.expect('>')?;
        }
        names.push((name, count));
        if !at.eat(',') {
            break;
        }
    }
    at.expect(';')?;
    Ok(decode::Statement::Registers { ty, names })
}

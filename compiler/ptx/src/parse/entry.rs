//! Entries: what stands above, parameters, directives, declarations.

use super::statement::Names;
use super::{Lines, ParseError, error, statement};
use crate::inst::{Param, Stmt, Variable};
use crate::module::{Entry, ParamInfo, ParamRole, VariableInfo};
use crate::print::{prefix, role};
use crate::token::{Class, Space};

pub(super) fn parse(lines: &mut Lines<'_>) -> Result<Entry, ParseError> {
    let mut entry = Entry {
        name: String::new(),
        comments: Vec::new(),
        params: Vec::new(),
        variables: Vec::new(),
        registers: [0; 4],
        labels: Vec::new(),
        block: None,
        max_threads: None,
        min_ctas: None,
        max_registers: None,
        cluster: None,
        body: Vec::new(),
    };
    let mut variables = Vec::new();
    loop {
        let (at, line) = lines.next().ok_or(error(0, "", "an entry"))?;
        if let Some(comment) = line.strip_prefix("//") {
            entry.comments.push(comment.strip_prefix(' ').unwrap_or(comment).to_string());
        } else if let Some(head) = line.strip_prefix(".visible .entry ") {
            let (name, rest) = head.split_once('(').ok_or(error(at, line, "the head of an entry"))?;
            entry.name = name.to_string();
            if rest != ")" {
                params(lines, &mut entry)?;
            }
            break;
        } else {
            variables.push(variable(line).ok_or(error(at, line, "a variable or the head of an entry"))?);
        }
    }
    directives(lines, &mut entry)?;
    declarations(lines, &mut entry, &mut variables)?;
    variables.sort_by_key(|(number, _)| *number);
    entry.variables = variables.into_iter().map(|(_, info)| info).collect();
    strip_prefixes(&mut entry);
    body(lines, &mut entry)?;
    Ok(entry)
}

/// `    .param .b64 p0, // data` up to `)`.
fn params(lines: &mut Lines<'_>, entry: &mut Entry) -> Result<(), ParseError> {
    while let Some((at, line)) = lines.next() {
        if line == ")" {
            return Ok(());
        }
        entry.params.push(param(line).ok_or(error(at, line, "a parameter"))?);
    }
    Err(error(0, "", "`)` after the parameters"))
}

fn param(line: &str) -> Option<ParamInfo> {
    let (declared, word) = line.trim().strip_prefix(".param ")?.split_once(" // ")?;
    let role = [ParamRole::Scalar, ParamRole::Weights, ParamRole::Data].into_iter().find(|r| role(*r) == word)?;
    let declared = declared.trim_end_matches(',');
    if let Some(rest) = declared.strip_prefix(".align ") {
        let (align, rest) = rest.split_once(' ')?;
        let size = rest.split_once('[')?.1.strip_suffix(']')?;
        return Some(ParamInfo { size: size.parse().ok()?, align: align.parse().ok()?, role });
    }
    let bits: u32 = declared.strip_prefix(".b")?.split_once(' ')?.0.parse().ok()?;
    Some(ParamInfo { size: bits / 8, align: bits / 8, role })
}

/// Up to `{`.
fn directives(lines: &mut Lines<'_>, entry: &mut Entry) -> Result<(), ParseError> {
    while let Some((at, line)) = lines.next() {
        if line == "{" {
            return Ok(());
        }
        let mut read = || {
            let (word, value) = line.split_once(' ')?;
            let numbers: Option<Vec<u32>> = value.split(", ").map(|n| n.parse().ok()).collect();
            let numbers = numbers?;
            let place = match word {
                ".maxntid" => &mut entry.max_threads,
                ".minnctapersm" => &mut entry.min_ctas,
                ".maxnreg" => &mut entry.max_registers,
                ".reqntid" => {
                    entry.block = Some(numbers.try_into().ok()?);
                    return Some(());
                }
                ".reqnctapercluster" => {
                    entry.cluster = Some(numbers.try_into().ok()?);
                    return Some(());
                }
                _ => return None,
            };
            *place = numbers.first().copied();
            Some(())
        };
        read().ok_or(error(at, line, "a directive of an entry"))?;
    }
    Err(error(0, "", "`{` before the body"))
}

fn declarations(
    lines: &mut Lines<'_>,
    entry: &mut Entry,
    variables: &mut Vec<(usize, VariableInfo)>,
) -> Result<(), ParseError> {
    while let Some(line) = lines.peek() {
        let declared = line.trim();
        let is_variable = declared.starts_with(".shared ") || declared.starts_with(".local ");
        if !is_variable && !declared.starts_with(".reg ") {
            break;
        }
        let (at, line) = lines.next().unwrap_or((0, ""));
        if is_variable {
            variables.push(variable(declared).ok_or(error(at, line, "a variable"))?);
        } else {
            registers(declared, entry).ok_or(error(at, line, "registers"))?;
        }
    }
    Ok(())
}

/// `.reg .b32 %r<12>;`
fn registers(line: &str, entry: &mut Entry) -> Option<()> {
    let (name, count) = line.strip_suffix(">;")?.rsplit_once(' ')?.1.split_once('<')?;
    let class = Class::ALL.iter().position(|class| prefix(*class) == name)?;
    *entry.registers.get_mut(class)? = count.parse().ok()?;
    Some(())
}

/// `.shared .align 16 .b8 tile[1024]; // 0`, with its number.
fn variable(line: &str) -> Option<(usize, VariableInfo)> {
    let (declared, number) = line.rsplit_once(" // ")?;
    let declared = declared.strip_suffix(';')?;
    let declared = declared.strip_prefix(".extern ").unwrap_or(declared);
    let (space, rest) = declared.strip_prefix('.')?.split_once(" .align ")?;
    let space = [Space::Shared, Space::Local, Space::Const].into_iter().find(|s| s.text() == space)?;
    let (align, rest) = rest.split_once(" .b8 ")?;
    let (name, rest) = rest.split_once('[')?;
    let (size, rest) = rest.split_once(']')?;
    let size = if size.is_empty() { 0 } else { size.parse().ok()? };
    let data = match rest.strip_prefix(" = {") {
        Some(list) => list.strip_suffix('}')?.split(", ").map(|n| n.parse().ok()).collect::<Option<Vec<u8>>>()?,
        None => Vec::new(),
    };
    let info = VariableInfo { space, name: name.to_string(), size, align: align.parse().ok()?, data };
    Some((number.parse().ok()?, info))
}

/// Names outside an entry carry the entry's.
fn strip_prefixes(entry: &mut Entry) {
    for variable in &mut entry.variables {
        if variable.space == Space::Const || variable.is_dynamic() {
            let own = variable.name.strip_prefix(&entry.name).and_then(|n| n.strip_prefix('_'));
            variable.name = own.unwrap_or(&variable.name).to_string();
        }
    }
}

/// Statements up to `}`.
fn body(lines: &mut Lines<'_>, entry: &mut Entry) -> Result<(), ParseError> {
    let mut names = Names::default();
    for (at, variable) in (0_u32..).zip(&entry.variables) {
        let outside = variable.space == Space::Const || variable.is_dynamic();
        let name = if outside { format!("{}_{}", entry.name, variable.name) } else { variable.name.clone() };
        names.variables.insert(name, Variable(at));
    }
    for at in (0_u32..).take(entry.params.len()) {
        names.params.insert(format!("p{at}"), Param(at));
    }
    while let Some((at, line)) = lines.next() {
        let text = line.trim();
        if text == "}" {
            let count = names.labels.keys().next_back().map_or(0, |last| last + 1);
            entry.labels = (0..count).map(|l| names.labels.get(&l).cloned().unwrap_or_default()).collect();
            return Ok(());
        }
        let stmt = if let Some(comment) = text.strip_prefix("//") {
            Some(Stmt::Comment(comment.strip_prefix(' ').unwrap_or(comment).to_string()))
        } else if let Some(label) = text.strip_suffix(':') {
            names.label(label).map(Stmt::Label)
        } else {
            statement::parse(text, &mut names).map(Stmt::Inst)
        };
        entry.body.push(stmt.ok_or(error(at, line, "an instruction of the table with its operands"))?);
    }
    Err(error(0, "", "`}` after the body"))
}

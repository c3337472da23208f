//! Text of blocks and steps: number, action, `after […]`, `@origins`, then what is inside.

use graph::attrs::Attrs;
use graph::dim::{Dim, SymId};
use graph::host::HostOp;
use graph::node::OriginId;
use graph::text::attrs::{parse_attrs, print_attrs};
use graph::text::cursor::Cursor;
use graph::text::dim::{Names, parse_dim, parse_dims, parse_symbol, print_dim, print_dims};
use graph::text::lexer::{Token, name_text};
use graph::text::ty::{parse_type, print_type};
use graph::text::{ParseError, ParseErrorKind, Registry, parse_graph_at, print_graph_at};
use nest::text::Lines;

use crate::plan::{Action, Block, BufferId, Carry, CodeId, Condition, HostCall, IfStep, Launch, LoopStep, Step};
use crate::text::view::{parse_view, parse_views, print_view, print_views};

/// Appends a block, from brace to brace.
pub(super) fn print_block(lines: &mut Lines<'_>, block: &Block, names: &Names<'_>) {
    lines.out.push_str("{\n");
    lines.indent += 1;
    for (index, step) in block.steps.iter().enumerate() {
        lines.pad();
        let head = print_action(&step.action, names);
        lines.out.push_str(&format!("{index}: {head}{}", print_tail(step)));
        print_inside(lines, &step.action, names);
        lines.out.push('\n');
    }
    lines.indent -= 1;
    lines.pad();
    lines.out.push('}');
}

fn print_tail(step: &Step) -> String {
    let after = if step.after.is_empty() { String::new() } else { format!(" after {:?}", step.after) };
    let origins: String = step.origins.iter().map(|o| format!(" @{}", o.0)).collect();
    format!("{after}{origins}")
}

/// An action but for the graphs and blocks inside.
fn print_action(action: &Action, names: &Names<'_>) -> String {
    let view = |v| print_view(v, names);
    match action {
        Action::Launch(Launch { code, reads, writes, sizes, workspace, meaning: _ }) => {
            let (reads, writes) = (print_views(reads, names), print_views(writes, names));
            let sizes = if sizes.is_empty() { String::new() } else { format!(" sizes {}", print_dims(sizes, names)) };
            let workspace = workspace.as_ref().map_or(String::new(), |v| format!(" workspace {}", view(v)));
            format!("launch !{} {reads} -> {writes}{sizes}{workspace}", code.0)
        }
        Action::Copy { from, to } => format!("copy {} to {}", view(from), view(to)),
        Action::Clear { buffer } => format!("clear ^{}", buffer.0),
        Action::Host(HostCall { op, attrs, operands, results, result_types, binds }) => {
            let attrs = if attrs.0.is_empty() { String::new() } else { format!(" {}", print_attrs(attrs, names)) };
            let (operands, results) = (print_views(operands, names), print_views(results, names));
            let types: Vec<String> = result_types.iter().map(|ty| print_type(ty, names)).collect();
            let binds: Vec<String> = binds.iter().map(|s| names.spell(*s)).collect();
            let binds = if binds.is_empty() { String::new() } else { format!(" binds [{}]", binds.join(", ")) };
            format!("host {} {operands} -> {results} types ({}){attrs}{binds}", name_text(op.name), types.join(", "))
        }
        Action::ReadBack { reads } => {
            let reads: Vec<String> = reads.iter().map(|(v, s)| format!("{} to {}", view(v), names.spell(*s))).collect();
            format!("readback {}", reads.join(", "))
        }
        Action::Let { symbol, value } => format!("let {} = {}", names.spell(*symbol), print_dim(value, names)),
        Action::Check { guard } => format!("check {guard}"),
        Action::Loop(inner) => print_loop(inner, names),
        Action::If(inner) => match &inner.condition {
            Condition::Value(condition) => format!("if {}", view(condition)),
            Condition::Size(size) => format!("if size {}", print_dim(size, names)),
        },
    }
}

fn print_loop(inner: &LoopStep, names: &Names<'_>) -> String {
    let LoopStep { counter, trip, limit, condition, first, body: _, carry, next, count } = inner;
    let mut out = format!("loop {}", names.spell(*counter));
    out.extend(trip.iter().map(|d| format!(" trip {}", print_dim(d, names))));
    out.extend(limit.iter().map(|v| format!(" limit {}", print_view(v, names))));
    out.extend(condition.iter().map(|v| format!(" condition {}", print_view(v, names))));
    for (word, sizes) in [("first", first), ("next", next)] {
        if !sizes.is_empty() {
            let sizes: Vec<String> =
                sizes.iter().map(|(s, d)| format!("{} = {}", names.spell(*s), print_dim(d, names))).collect();
            out.push_str(&format!(" {word} [{}]", sizes.join(", ")));
        }
    }
    out.extend(count.iter().map(|s| format!(" count {}", names.spell(*s))));
    if !carry.is_empty() {
        let moves: Vec<String> = carry
            .iter()
            .map(|Carry { from, to }| format!("{} to {}", print_view(from, names), print_view(to, names)))
            .collect();
        out.push_str(&format!(" carry [{}]", moves.join(", ")));
    }
    out
}

fn print_inside(lines: &mut Lines<'_>, action: &Action, names: &Names<'_>) {
    match action {
        Action::Launch(launch) => {
            if let Some(meaning) = &launch.meaning {
                lines.out.push_str(" meaning ");
                print_graph_at(meaning, names, lines.indent, lines.out);
            }
        }
        Action::Loop(inner) => {
            lines.out.push(' ');
            print_block(lines, &inner.body, names);
        }
        Action::If(inner) => {
            for (word, block) in [(" then ", &inner.then_block), (" else ", &inner.else_block)] {
                lines.out.push_str(word);
                print_block(lines, block, names);
            }
        }
        Action::Copy { .. }
        | Action::Clear { .. }
        | Action::Host(_)
        | Action::ReadBack { .. }
        | Action::Let { .. }
        | Action::Check { .. } => {}
    }
}

/// Reads a block, from brace to brace.
pub(super) fn parse_block(c: &mut Cursor<'_>, names: &Names<'_>, registry: &Registry<'_>) -> Result<Block, ParseError> {
    c.enter()?;
    c.mark("{")?;
    let mut steps = Vec::new();
    while !c.take_mark("}") {
        let pos = c.pos();
        let found = c.integer("step number")?;
        if found as usize != steps.len() {
            return Err(pos.error(ParseErrorKind::Order { what: "step number", expected: steps.len(), found }));
        }
        c.mark(":")?;
        let mut step = parse_action(c, names, registry)?;
        parse_inside(c, &mut step.action, names, registry)?;
        steps.push(step);
    }
    c.leave();
    Ok(Block { steps })
}

/// Reads a step whose blocks are still empty.
fn parse_action(c: &mut Cursor<'_>, names: &Names<'_>, registry: &Registry<'_>) -> Result<Step, ParseError> {
    let pos = c.pos();
    let action = match c.word("an action")? {
        "launch" => Action::Launch(parse_launch(c, names)?),
        "copy" => {
            let from = parse_view(c, names)?;
            c.keyword("to")?;
            Action::Copy { from, to: parse_view(c, names)? }
        }
        "clear" => Action::Clear { buffer: BufferId(c.id('^')?) },
        "host" => Action::Host(parse_host(c, names, registry)?),
        "readback" => {
            let mut reads = Vec::new();
            loop {
                let from = parse_view(c, names)?;
                c.keyword("to")?;
                reads.push((from, parse_symbol(c, names)?));
                if !c.take_mark(",") {
                    break;
                }
            }
            Action::ReadBack { reads }
        }
        "let" => {
            let (symbol, value) = parse_size(c, names)?;
            Action::Let { symbol, value }
        }
        "check" => Action::Check { guard: c.integer("guard number")? },
        "loop" => Action::Loop(parse_loop(c, names)?),
        "if" => {
            let condition = match c.take_keyword("size") {
                true => Condition::Size(parse_dim(c, names)?),
                false => Condition::Value(parse_view(c, names)?),
            };
            Action::If(IfStep { condition, then_block: Block::default(), else_block: Block::default() })
        }
        other => {
            let next_step = "the actions are launch, copy, clear, host, readback, let, check, loop, if";
            return Err(pos.error(ParseErrorKind::Unknown { what: "action", name: other.to_string(), next_step }));
        }
    };
    let after = if c.take_keyword("after") { c.list("[", "]", |c| c.integer("step number"))? } else { Vec::new() };
    let origins = std::iter::from_fn(|| c.take_id('@').map(OriginId)).collect();
    Ok(Step { action, after, origins })
}

fn parse_launch(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<Launch, ParseError> {
    let code = CodeId(c.id('!')?);
    let reads = parse_views(c, names)?;
    c.mark("->")?;
    let writes = parse_views(c, names)?;
    let sizes = if c.take_keyword("sizes") { parse_dims(c, names)? } else { Vec::new() };
    let workspace = if c.take_keyword("workspace") { Some(parse_view(c, names)?) } else { None };
    Ok(Launch { code, reads, writes, sizes, workspace, meaning: None })
}

fn parse_host(c: &mut Cursor<'_>, names: &Names<'_>, registry: &Registry<'_>) -> Result<HostCall, ParseError> {
    let pos = c.pos();
    let name = c.name("a host operator")?;
    let found: Option<&'static HostOp> = registry.host_ops.iter().find(|op| op.name == name).copied();
    let next_step = "give the registry the operators that the text names";
    let op = found.ok_or_else(|| pos.error(ParseErrorKind::Unknown { what: "host operator", name, next_step }))?;
    let operands = parse_views(c, names)?;
    c.mark("->")?;
    let results = parse_views(c, names)?;
    c.keyword("types")?;
    let result_types = c.list("(", ")", |c| parse_type(c, names))?;
    let attrs = if *c.peek() == Token::Mark("{") { parse_attrs(c, names)? } else { Attrs::new() };
    let binds = if c.take_keyword("binds") { c.list("[", "]", |c| parse_symbol(c, names))? } else { Vec::new() };
    Ok(HostCall { op, attrs, operands, results, result_types, binds })
}

/// `n = 4*m`.
fn parse_size(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<(SymId, Dim), ParseError> {
    let symbol = parse_symbol(c, names)?;
    c.mark("=")?;
    Ok((symbol, parse_dim(c, names)?))
}

fn parse_loop(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<LoopStep, ParseError> {
    let counter = parse_symbol(c, names)?;
    let trip = if c.take_keyword("trip") { Some(parse_dim(c, names)?) } else { None };
    let limit = if c.take_keyword("limit") { Some(parse_view(c, names)?) } else { None };
    let condition = if c.take_keyword("condition") { Some(parse_view(c, names)?) } else { None };
    let sizes = |c: &mut Cursor<'_>, word: &str| {
        if c.take_keyword(word) { c.list("[", "]", |c| parse_size(c, names)) } else { Ok(Vec::new()) }
    };
    let (first, next) = (sizes(c, "first")?, sizes(c, "next")?);
    let count = if c.take_keyword("count") { Some(parse_symbol(c, names)?) } else { None };
    let carry = if c.take_keyword("carry") {
        c.list("[", "]", |c| {
            let from = parse_view(c, names)?;
            c.keyword("to")?;
            Ok(Carry { from, to: parse_view(c, names)? })
        })?
    } else {
        Vec::new()
    };
    Ok(LoopStep { counter, trip, limit, condition, first, body: Block::default(), carry, next, count })
}

fn parse_inside(
    c: &mut Cursor<'_>,
    action: &mut Action,
    names: &Names<'_>,
    registry: &Registry<'_>,
) -> Result<(), ParseError> {
    match action {
        Action::Launch(launch) => {
            if c.take_keyword("meaning") {
                launch.meaning = Some(Box::new(parse_graph_at(c, names, registry)?));
            }
        }
        Action::Loop(inner) => inner.body = parse_block(c, names, registry)?,
        Action::If(inner) => {
            c.keyword("then")?;
            inner.then_block = parse_block(c, names, registry)?;
            c.keyword("else")?;
            inner.else_block = parse_block(c, names, registry)?;
        }
        Action::Copy { .. }
        | Action::Clear { .. }
        | Action::Host(_)
        | Action::ReadBack { .. }
        | Action::Let { .. }
        | Action::Check { .. } => {}
    }
    Ok(())
}

//! Text of nodes: results, the operation's name and kind, operands, its own words, `binds […]`, `@origins`, block or bodies.

use crate::attrs::Attrs;
use crate::dim::SymId;
use crate::graph::{Graph, ValueId};
use crate::host::HostOp;
use crate::node::{Compact, Host, If, Loop, Node, Op, OriginId, Prefix, Region, Scan, Sort};
use crate::region::{RegionKind, by_name};
use crate::text::attrs::{parse_attrs, print_attrs};
use crate::text::constant::{parse_const, print_const};
use crate::text::cursor::Cursor;
use crate::text::dim::{Names, parse_dim, print_dim};
use crate::text::graph::{
    GraphParser, GraphPrinter, parse_binds, parse_graph, parse_values, print_binds, print_value, print_values,
};
use crate::text::lexer::{Pos, Token, name_text};
use crate::text::point::{parse_combiner, parse_compute, parse_scatter, print_compute, print_scatter};
use crate::text::{ParseError, ParseErrorKind};

/// Appends a node, with what is inside it.
pub(super) fn print_node(p: &mut GraphPrinter<'_>, out: &mut String, node: &Node) {
    let results: Vec<String> = node.results.iter().map(|v| p.declare(*v)).collect();
    let dtypes = p.dtypes(&node.operands);
    p.pad(out);
    out.push_str(&join_results(results, print_op(p.graph, node, p.names)));
    let lines = match &node.op {
        Op::Compute(compute) => Some(print_compute(compute, &dtypes, p.names)),
        Op::Scatter(scatter) => Some(print_scatter(scatter, &dtypes, p.names)),
        Op::Scan(_) | Op::If(_) | Op::Loop(_) | Op::Region(_) => {
            for (body, word) in node.op.bodies().into_iter().zip(body_words(&node.op)) {
                out.push_str(&format!(" {word} "));
                GraphPrinter::new(body, p.names, p.indent).print(out);
            }
            None
        }
        Op::Const(_) | Op::Sort(_) | Op::Compact(_) | Op::Prefix(_) | Op::Bind | Op::Host(_) => None,
    };
    if let Some(lines) = lines {
        out.push_str(" {\n");
        p.indent += 1;
        lines.iter().for_each(|line| p.line(out, line));
        p.indent -= 1;
        p.pad(out);
        out.push('}');
    }
    out.push('\n');
}

/// A node without its block and bodies, on one line.
pub fn print_header(graph: &Graph, node: &Node, names: &Names<'_>) -> String {
    let results = node.results.iter().map(|v| match graph.value(*v) {
        Some(value) => print_value(*v, value, names),
        None => format!("%{}", v.0),
    });
    join_results(results.collect(), print_op(graph, node, names))
}

/// Words before the bodies of a node.
pub(crate) fn body_words(op: &Op) -> &'static [&'static str] {
    match op {
        Op::If(_) => &["then", "else"],
        Op::Scan(_) | Op::Loop(_) | Op::Region(_) => &["body"],
        Op::Const(_)
        | Op::Compute(_)
        | Op::Scatter(_)
        | Op::Sort(_)
        | Op::Compact(_)
        | Op::Prefix(_)
        | Op::Bind
        | Op::Host(_) => &[],
    }
}

fn join_results(results: Vec<String>, op: String) -> String {
    if results.is_empty() { op } else { format!("{} = {op}", results.join(", ")) }
}

fn print_op(graph: &Graph, node: &Node, names: &Names<'_>) -> String {
    let flag = |set, word| if set { word } else { "" };
    let (kind, rest) = match &node.op {
        Op::Const(constant) => {
            let ty = node.results.first().and_then(|r| graph.value(*r)).map(|v| &v.ty);
            (String::new(), print_const(constant, ty))
        }
        Op::Compute(_) | Op::Scatter(_) | Op::If(_) | Op::Bind => (String::new(), String::new()),
        Op::Sort(Sort { axis, descending, limit }) => {
            let limit = limit.as_ref().map_or(String::new(), |d| format!(" limit {}", print_dim(d, names)));
            (String::new(), format!("axis {axis}{}{limit}", flag(*descending, " descending")))
        }
        Op::Compact(Compact { bound }) => (String::new(), format!("bound {}", print_dim(bound, names))),
        Op::Prefix(Prefix { axis, combiner, exclusive, reverse }) => {
            let flags = format!("{}{}", flag(*exclusive, " exclusive"), flag(*reverse, " reverse"));
            (combiner.name().to_string(), format!("axis {axis}{flags}"))
        }
        Op::Scan(Scan { trip, carried, scanned, body: _ }) => {
            (String::new(), format!("trip {} carried {carried} scanned {scanned}", print_dim(trip, names)))
        }
        Op::Loop(Loop { carried, body: _ }) => (String::new(), format!("carried {carried}")),
        Op::Host(Host { op, attrs }) => (name_text(op.name), nonempty_attrs(attrs, names)),
        Op::Region(Region { kind, attrs, body: _ }) => (name_text(kind.name), nonempty_attrs(attrs, names)),
    };
    let silent = matches!(node.op, Op::Const(_)) && node.operands.is_empty();
    let operands = if silent { String::new() } else { format!("({})", print_values(&node.operands)) };
    let binds = print_binds(&node.binds, names);
    let origins: Vec<String> = node.origins.iter().map(|o| format!("@{}", o.0)).collect();
    let parts = [node.op.name().to_string(), kind, operands, rest, binds.trim_start().to_string(), origins.join(" ")];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn nonempty_attrs(attrs: &Attrs, names: &Names<'_>) -> String {
    if attrs.0.is_empty() { String::new() } else { print_attrs(attrs, names) }
}

/// Reads a node and appends it.
pub(super) fn parse_node(p: &mut GraphParser<'_>, c: &mut Cursor<'_>, into: &mut Vec<Node>) -> Result<(), ParseError> {
    let mut results = Vec::new();
    if matches!(c.peek(), Token::Id('%', _)) {
        results.push(p.definition(c)?);
        while c.take_mark(",") {
            results.push(p.definition(c)?);
        }
        c.mark("=")?;
    }
    let pos = c.pos();
    let word = c.word("a node")?;
    let (op, operands, Tail { binds, origins }) = match word {
        "const" => parse_const_node(p, c, results.first().copied())?,
        "scan" | "if" | "loop" | "region" => parse_node_with_bodies(p, c, word)?,
        _ => parse_plain_node(p, c, word, pos)?,
    };
    into.push(Node { op, operands, results, binds, origins });
    Ok(())
}

/// What stands at the end of every node's line.
struct Tail {
    binds: Vec<SymId>,
    origins: Vec<OriginId>,
}

type Parsed = (Op, Vec<ValueId>, Tail);

fn parse_tail(p: &GraphParser<'_>, c: &mut Cursor<'_>) -> Result<Tail, ParseError> {
    let binds = parse_binds(c, p.names)?;
    let origins = std::iter::from_fn(|| c.take_id('@').map(OriginId)).collect();
    Ok(Tail { binds, origins })
}

fn parse_const_node(p: &GraphParser<'_>, c: &mut Cursor<'_>, result: Option<ValueId>) -> Result<Parsed, ParseError> {
    let operands = if *c.peek() == Token::Mark("(") { parse_values(c)? } else { Vec::new() };
    let constant = parse_const(c, result.and_then(|r| p.ty(r)), p.registry)?;
    Ok((Op::Const(constant), operands, parse_tail(p, c)?))
}

/// Nodes without bodies.
fn parse_plain_node(p: &GraphParser<'_>, c: &mut Cursor<'_>, word: &str, pos: Pos) -> Result<Parsed, ParseError> {
    let names = p.names;
    let (op, operands) = match word {
        "sort" => {
            let operands = parse_values(c)?;
            c.keyword("axis")?;
            let axis = c.integer("axis")?;
            let descending = c.take_keyword("descending");
            let limit = if c.take_keyword("limit") { Some(parse_dim(c, names)?) } else { None };
            (Op::Sort(Sort { axis, descending, limit }), operands)
        }
        "compact" => {
            let operands = parse_values(c)?;
            c.keyword("bound")?;
            (Op::Compact(Compact { bound: parse_dim(c, names)? }), operands)
        }
        "prefix" => {
            let combiner = parse_combiner(c)?;
            let operands = parse_values(c)?;
            c.keyword("axis")?;
            let axis = c.integer("axis")?;
            let (exclusive, reverse) = (c.take_keyword("exclusive"), c.take_keyword("reverse"));
            (Op::Prefix(Prefix { axis, combiner, exclusive, reverse }), operands)
        }
        "compute" => {
            let operands = parse_values(c)?;
            let tail = parse_tail(p, c)?;
            let compute = parse_compute(c, &p.dtypes(&operands), names)?;
            return Ok((Op::Compute(compute), operands, tail));
        }
        "scatter" => {
            let operands = parse_values(c)?;
            let tail = parse_tail(p, c)?;
            let scatter = parse_scatter(c, &p.dtypes(&operands), names)?;
            return Ok((Op::Scatter(scatter), operands, tail));
        }
        "bind" => (Op::Bind, parse_values(c)?),
        "host" => {
            let op = parse_host_op(p, c)?;
            let operands = parse_values(c)?;
            (Op::Host(Host { op, attrs: parse_attrs_if_any(p, c)? }), operands)
        }
        other => {
            let next_step =
                "the nodes are const, compute, scatter, sort, compact, prefix, scan, if, loop, bind, host, region";
            return Err(pos.error(ParseErrorKind::Unknown { what: "node", name: other.to_string(), next_step }));
        }
    };
    Ok((op, operands, parse_tail(p, c)?))
}

/// Nodes with bodies. What precedes the bodies is read by functions of their own, to keep the recursion's frames small.
fn parse_node_with_bodies(p: &GraphParser<'_>, c: &mut Cursor<'_>, word: &str) -> Result<Parsed, ParseError> {
    let (mut op, operands, tail) = parse_before_bodies(p, c, word)?;
    let words = body_words(&op);
    for (body, word) in op.bodies_mut().into_iter().zip(words) {
        c.keyword(word)?;
        parse_graph(c, p.names, p.registry, body)?;
    }
    Ok((op, operands, tail))
}

/// A node whose bodies are still empty.
fn parse_before_bodies(p: &GraphParser<'_>, c: &mut Cursor<'_>, word: &str) -> Result<Parsed, ParseError> {
    let kind = if word == "region" { Some(parse_region_kind(p, c)?) } else { None };
    let operands = parse_values(c)?;
    let body = Box::<Graph>::default();
    let op = match (word, kind) {
        (_, Some(kind)) => Op::Region(Region { kind, attrs: parse_attrs_if_any(p, c)?, body }),
        ("scan", None) => {
            c.keyword("trip")?;
            let trip = parse_dim(c, p.names)?;
            c.keyword("carried")?;
            let carried = c.integer("number of carried values")?;
            c.keyword("scanned")?;
            let scanned = c.integer("number of scanned values")?;
            Op::Scan(Scan { trip, carried, scanned, body })
        }
        ("loop", None) => {
            c.keyword("carried")?;
            Op::Loop(Loop { carried: c.integer("number of carried values")?, body })
        }
        (_, None) => Op::If(If { then_body: body, else_body: Box::default() }),
    };
    Ok((op, operands, parse_tail(p, c)?))
}

fn parse_attrs_if_any(p: &GraphParser<'_>, c: &mut Cursor<'_>) -> Result<Attrs, ParseError> {
    if *c.peek() == Token::Mark("{") { parse_attrs(c, p.names) } else { Ok(Attrs::new()) }
}

fn parse_host_op(p: &GraphParser<'_>, c: &mut Cursor<'_>) -> Result<&'static HostOp, ParseError> {
    let pos = c.pos();
    let name = c.name("a host operator")?;
    let found = p.registry.host_ops.iter().find(|op| op.name == name).copied();
    let next_step = "give the registry the operators that the text names";
    found.ok_or_else(|| pos.error(ParseErrorKind::Unknown { what: "host operator", name, next_step }))
}

fn parse_region_kind(p: &GraphParser<'_>, c: &mut Cursor<'_>) -> Result<&'static RegionKind, ParseError> {
    let pos = c.pos();
    let name = c.name("a region kind")?;
    let found = p.registry.region_kinds.iter().find(|kind| kind.name == name).copied().or_else(|| by_name(&name));
    let next_step = "`region/list.rs` has the canonical kinds; the registry may add others";
    found.ok_or_else(|| pos.error(ParseErrorKind::Unknown { what: "region kind", name, next_step }))
}

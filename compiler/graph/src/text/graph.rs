//! Text of graphs: `(%0 "x": f32[n]) -> (%1) {` nodes `}`.
//!
//! A value's type, name and contents stand where it is first an input or a result; a value that nothing defines is declared
//! by a line `value %7: f32[]`. The dtype of an operand is known to the expressions that load it once it is declared.

use std::collections::{BTreeMap, BTreeSet};

use crate::dim::SymId;
use crate::dtype::DType;
use crate::graph::{Graph, Value, ValueId};
use crate::text::cursor::Cursor;
use crate::text::dim::{Names, parse_dims, parse_symbol, print_dims};
use crate::text::lexer::{Pos, Token, quote};
use crate::text::node::{parse_node, print_node};
use crate::text::ty::{parse_type, print_type};
use crate::text::{ParseError, ParseErrorKind, Registry};
use crate::ty::Type;

/// A graph being printed, and which of its values are declared by now.
pub(super) struct GraphPrinter<'a> {
    pub(super) graph: &'a Graph,
    pub(super) names: &'a Names<'a>,
    pub(super) indent: usize,
    declared: BTreeSet<ValueId>,
}

impl<'a> GraphPrinter<'a> {
    pub(super) fn new(graph: &'a Graph, names: &'a Names<'a>, indent: usize) -> GraphPrinter<'a> {
        GraphPrinter { graph, names, indent, declared: BTreeSet::new() }
    }

    /// Appends the graph, from its inputs to the closing brace.
    pub(super) fn print(mut self, out: &mut String) {
        let inputs: Vec<String> = self.graph.inputs.iter().map(|v| self.declare(*v)).collect();
        let outputs = print_values(&self.graph.outputs);
        let binds = print_binds(&self.graph.binds, self.names);
        out.push_str(&format!("({}) -> ({outputs}){binds} {{\n", inputs.join(", ")));
        self.indent += 1;
        for id in self.undefined() {
            let text = self.declare(id);
            self.line(out, &format!("value {text}"));
        }
        for node in &self.graph.nodes {
            print_node(&mut self, out, node);
        }
        self.indent -= 1;
        self.pad(out);
        out.push('}');
    }

    fn undefined(&self) -> Vec<ValueId> {
        let mut defined: BTreeSet<ValueId> = self.graph.inputs.iter().copied().collect();
        defined.extend(self.graph.nodes.iter().flat_map(|n| &n.results));
        (0..self.graph.values.len()).map(|i| ValueId(i as u32)).filter(|id| !defined.contains(id)).collect()
    }

    /// The text of a value where it is defined: in full the first time.
    pub(super) fn declare(&mut self, id: ValueId) -> String {
        match self.graph.value(id) {
            Some(value) if self.declared.insert(id) => print_value(id, value, self.names),
            Some(_) | None => format!("%{}", id.0),
        }
    }

    /// Dtypes of operands as far as they are declared tensors; strings stand for the others.
    pub(super) fn dtypes(&self, operands: &[ValueId]) -> Vec<DType> {
        let known = |id: &ValueId| self.declared.contains(id).then(|| self.graph.tensor(*id)).flatten();
        operands.iter().map(|id| known(id).map_or(DType::Str, |t| t.dtype)).collect()
    }

    pub(super) fn pad(&self, out: &mut String) {
        (0..self.indent).for_each(|_| out.push_str("  "));
    }

    pub(super) fn line(&self, out: &mut String, text: &str) {
        self.pad(out);
        out.push_str(text);
        out.push('\n');
    }
}

/// The text of a value's declaration.
pub(super) fn print_value(id: ValueId, value: &Value, names: &Names<'_>) -> String {
    let name = value.name.as_ref().map_or(String::new(), |n| format!(" {}", quote(n)));
    let contents = value.contents.as_ref().map_or(String::new(), |c| format!(" is {}", print_dims(c, names)));
    format!("%{}{name}: {}{contents}", id.0, print_type(&value.ty, names))
}

pub(super) fn print_values(ids: &[ValueId]) -> String {
    let items: Vec<String> = ids.iter().map(|v| format!("%{}", v.0)).collect();
    items.join(", ")
}

pub(super) fn print_binds(binds: &[SymId], names: &Names<'_>) -> String {
    if binds.is_empty() {
        return String::new();
    }
    let items: Vec<String> = binds.iter().map(|s| names.spell(*s)).collect();
    format!(" binds [{}]", items.join(", "))
}

/// What the parser of a graph's nodes knows.
pub(super) struct GraphParser<'a> {
    pub(super) names: &'a Names<'a>,
    pub(super) registry: &'a Registry<'a>,
    values: BTreeMap<u32, Value>,
}

impl GraphParser<'_> {
    /// Reads a value where it is defined; its type if one is written.
    pub(super) fn definition(&mut self, c: &mut Cursor<'_>) -> Result<ValueId, ParseError> {
        let pos = c.pos();
        let id = c.id('%')?;
        let name = c.take_string();
        if name.is_none() && *c.peek() != Token::Mark(":") {
            return Ok(ValueId(id));
        }
        c.mark(":")?;
        let ty = parse_type(c, self.names)?;
        let contents = if c.take_keyword("is") { Some(parse_dims(c, self.names)?.into()) } else { None };
        match self.values.insert(id, Value { ty, name, contents }) {
            Some(_) => Err(pos.error(ParseErrorKind::Duplicate { what: "type of value", name: format!("%{id}") })),
            None => Ok(ValueId(id)),
        }
    }

    /// The type of a value declared so far.
    pub(super) fn ty(&self, id: ValueId) -> Option<&Type> {
        self.values.get(&id.0).map(|v| &v.ty)
    }

    /// See [`GraphPrinter::dtypes`].
    pub(super) fn dtypes(&self, operands: &[ValueId]) -> Vec<DType> {
        let dtype = |id: &ValueId| self.ty(*id).and_then(Type::as_tensor).map_or(DType::Str, |t| t.dtype);
        operands.iter().map(dtype).collect()
    }
}

/// Reads a graph, from its inputs to the closing brace, into an empty one.
pub(super) fn parse_graph(
    c: &mut Cursor<'_>,
    names: &Names<'_>,
    registry: &Registry<'_>,
    into: &mut Graph,
) -> Result<(), ParseError> {
    c.enter()?;
    let pos = c.pos();
    let mut parser = GraphParser { names, registry, values: BTreeMap::new() };
    parse_graph_header(&mut parser, c, into)?;
    while !c.take_mark("}") {
        if c.take_keyword("value") {
            parser.definition(c)?;
        } else {
            parse_node(&mut parser, c, &mut into.nodes)?;
        }
    }
    into.values = dense(parser.values, pos)?;
    c.leave();
    Ok(())
}

fn parse_graph_header(p: &mut GraphParser<'_>, c: &mut Cursor<'_>, into: &mut Graph) -> Result<(), ParseError> {
    into.inputs = c.list("(", ")", |c| p.definition(c))?;
    c.mark("->")?;
    into.outputs = parse_values(c)?;
    into.binds = parse_binds(c, p.names)?;
    c.mark("{")
}

/// The values in order of their numbers, which have no gaps.
fn dense(values: BTreeMap<u32, Value>, pos: Pos) -> Result<Vec<Value>, ParseError> {
    let last = values.keys().next_back().copied().unwrap_or(0);
    let mut out = Vec::with_capacity(values.len());
    for (id, value) in values {
        if id as usize != out.len() {
            return Err(pos.error(ParseErrorKind::Gap { missing: out.len() as u32, last }));
        }
        out.push(value);
    }
    Ok(out)
}

pub(super) fn parse_values(c: &mut Cursor<'_>) -> Result<Vec<ValueId>, ParseError> {
    c.list("(", ")", |c| c.id('%').map(ValueId))
}

pub(super) fn parse_binds(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<Vec<SymId>, ParseError> {
    if c.take_keyword("binds") { c.list("[", "]", |c| parse_symbol(c, names)) } else { Ok(Vec::new()) }
}

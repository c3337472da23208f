//! Text of the plan's own tables: weights, buffers, borders, codes.

use graph::dim::Dim;
use graph::dtype::DType;
use graph::text::cursor::Cursor;
use graph::text::dim::{Names, parse_dim, print_dim};
use graph::text::lexer::quote;
use graph::text::scalar::parse_tensor_type;
use graph::text::ty::{parse_dtype, parse_type, print_type};
use graph::text::{ParseError, ParseErrorKind, Registry, parse_graph_at, print_graph_at};
use nest::text::Lines;

use crate::plan::{Border, Buffer, Claimed, Code, Place, Source, Weight};
use crate::text::CodeText;
use crate::text::view::{parse_constant, parse_view, print_constant, print_view};

pub(super) fn print_weights(lines: &mut Lines<'_>, weights: &[Weight], names: &Names<'_>) {
    for (index, weight) in weights.iter().enumerate() {
        lines.pad();
        let head = format!("weight &{index} {}: {}{:?} = ", quote(&weight.name), weight.dtype, weight.shape);
        lines.out.push_str(&head);
        match &weight.source {
            Source::Constant(tensor) => lines.out.push_str(&print_constant(tensor)),
            Source::Derived { graph, inputs } => {
                let inputs: Vec<String> = inputs.iter().map(print_constant).collect();
                lines.out.push_str(&format!("derived ({}) ", inputs.join(", ")));
                print_graph_at(graph, names, lines.indent, lines.out);
            }
        }
        lines.out.push('\n');
    }
}

pub(super) fn parse_weights(
    c: &mut Cursor<'_>,
    names: &Names<'_>,
    registry: &Registry<'_>,
) -> Result<Vec<Weight>, ParseError> {
    let mut out = Vec::new();
    while c.take_keyword("weight") {
        parse_number(c, '&', "weight number", out.len())?;
        let name = c.string("the weight's name")?;
        c.mark(":")?;
        let (dtype, shape) = parse_tensor_type(c)?;
        c.mark("=")?;
        let source = if c.take_keyword("derived") {
            let inputs = c.list("(", ")", |c| parse_constant(c, registry))?;
            Source::Derived { graph: Box::new(parse_graph_at(c, names, registry)?), inputs }
        } else {
            Source::Constant(parse_constant(c, registry)?)
        };
        out.push(Weight { name, source, dtype, shape });
    }
    Ok(out)
}

/// A numbered name that must be the next of its table.
fn parse_number(c: &mut Cursor<'_>, sigil: char, what: &'static str, expected: usize) -> Result<(), ParseError> {
    let pos = c.pos();
    let found = c.id(sigil)?;
    if found as usize == expected { Ok(()) } else { Err(pos.error(ParseErrorKind::Order { what, expected, found })) }
}

pub(super) fn print_buffers(lines: &mut Lines<'_>, buffers: &[Buffer], names: &Names<'_>) {
    for (index, buffer) in buffers.iter().enumerate() {
        let place = match &buffer.place {
            Place::Arena { offset } => format!("arena {}", print_dim(offset, names)),
            Place::Weight(k) => format!("weight {k}"),
            Place::Input(k) => format!("input {k}"),
            Place::Output(k) => format!("output {k}"),
            Place::State(k) => format!("state {k}"),
            Place::Growable => "growable".to_string(),
            Place::Object(ty) => format!("object {}", print_type(ty, names)),
        };
        let elements = print_dim(&buffer.elements, names);
        lines.line(&format!("buffer ^{index}: {} elements {elements} {place}", buffer.dtype));
    }
}

pub(super) fn parse_buffers(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<Vec<Buffer>, ParseError> {
    let mut out = Vec::new();
    while c.take_keyword("buffer") {
        parse_number(c, '^', "buffer number", out.len())?;
        c.mark(":")?;
        let dtype: DType = parse_dtype(c)?;
        c.keyword("elements")?;
        let elements: Dim = parse_dim(c, names)?;
        out.push(Buffer { dtype, elements, place: parse_place(c, names)? });
    }
    Ok(out)
}

fn parse_place(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<Place, ParseError> {
    if c.take_keyword("arena") {
        return Ok(Place::Arena { offset: parse_dim(c, names)? });
    }
    if c.take_keyword("growable") {
        return Ok(Place::Growable);
    }
    if c.take_keyword("object") {
        return parse_type(c, names).map(Place::Object);
    }
    if c.take_keyword("weight") {
        return c.integer("weight").map(Place::Weight);
    }
    if c.take_keyword("input") {
        return c.integer("input").map(Place::Input);
    }
    if c.take_keyword("output") {
        return c.integer("output").map(Place::Output);
    }
    if c.take_keyword("state") {
        return c.integer("state").map(Place::State);
    }
    c.expected("a place (`arena`, `weight`, `input`, `output`, `state`, `growable` or `object`)")
}

pub(super) fn print_borders(lines: &mut Lines<'_>, word: &str, borders: &[Border], names: &Names<'_>) {
    for border in borders {
        let (ty, view) = (print_type(&border.ty, names), print_view(&border.view, names));
        lines.line(&format!("{word} {}: {ty} at {view}", quote(&border.name)));
    }
}

pub(super) fn parse_borders(c: &mut Cursor<'_>, word: &str, names: &Names<'_>) -> Result<Vec<Border>, ParseError> {
    let mut out = Vec::new();
    while c.take_keyword(word) {
        let name = c.string("the name at the border")?;
        c.mark(":")?;
        let ty = parse_type(c, names)?;
        c.keyword("at")?;
        out.push(Border { name, ty, view: parse_view(c, names)? });
    }
    Ok(out)
}

pub(super) fn print_codes<C: CodeText>(lines: &mut Lines<'_>, codes: &[Code<C>]) {
    for (index, code) in codes.iter().enumerate() {
        lines.pad();
        lines.out.push_str(&format!("code !{index} "));
        match code {
            Code::Kernel(kernel) => nest::text::print_at(kernel, lines.indent, lines.out),
            Code::Claimed(claimed) => {
                let Claimed { code, operands, derived, sizes, results, epilogue } = claimed;
                let counts = format!("operands {operands} derived {derived} sizes {sizes} results {results}");
                lines.out.push_str(&format!("claimed {counts} code ({})", code.print()));
                if let Some(epilogue) = epilogue {
                    lines.out.push_str(" epilogue ");
                    nest::text::print_at(epilogue, lines.indent, lines.out);
                }
            }
        }
        lines.out.push('\n');
    }
}

pub(super) fn parse_codes<C: CodeText>(c: &mut Cursor<'_>) -> Result<Vec<Code<C>>, ParseError> {
    let mut out = Vec::new();
    while c.take_keyword("code") {
        parse_number(c, '!', "code number", out.len())?;
        let code = if c.take_keyword("claimed") {
            Code::Claimed(parse_claimed(c)?)
        } else {
            Code::Kernel(nest::text::parse_at(c)?)
        };
        out.push(code);
    }
    Ok(out)
}

fn parse_claimed<C: CodeText>(c: &mut Cursor<'_>) -> Result<Claimed<C>, ParseError> {
    let mut count = |word: &'static str| {
        c.keyword(word)?;
        c.integer(word)
    };
    let (operands, derived, sizes) = (count("operands")?, count("derived")?, count("sizes")?);
    let results = count("results")?;
    c.keyword("code")?;
    c.mark("(")?;
    let code = C::parse(c)?;
    c.mark(")")?;
    let epilogue = if c.take_keyword("epilogue") { Some(nest::text::parse_at(c)?) } else { None };
    Ok(Claimed { code, operands, derived, sizes, results, epilogue })
}

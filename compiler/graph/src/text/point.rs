//! Text of the blocks of `compute` and `scatter`: sections in a fixed order, the expressions in the order of the arena.

use crate::dtype::DType;
use crate::expr::{Expr, ExprId, Exprs, Leaves};
use crate::node::{Acc, Combiner, Compute, Extent, Scatter, ScatterMode};
use crate::text::cursor::Cursor;
use crate::text::dim::{Names, parse_dim, parse_dims, print_dim, print_dims};
use crate::text::expr::{parse_definition, parse_id, print_definition, print_ids};
use crate::text::lexer::Token;
use crate::text::ty::parse_dtype;
use crate::text::{ParseError, ParseErrorKind};

/// The lines of a `compute` over operands of these dtypes.
pub(super) fn print_compute(compute: &Compute, operands: &[DType], names: &Names<'_>) -> Vec<String> {
    let mut lines = vec![format!("shape {}", print_dims(&compute.shape, names))];
    lines.extend(print_point(&compute.reduce, &compute.exprs, &compute.accs, operands, names));
    lines.push(format!("out [{}]", print_ids(&compute.outs)));
    lines
}

/// The lines between the domain and the results: reduction dims, expressions, accumulators.
pub fn print_point(
    reduce: &[Extent],
    exprs: &Exprs,
    accs: &[Acc],
    operands: &[DType],
    names: &Names<'_>,
) -> Vec<String> {
    let mut lines = Vec::new();
    if !reduce.is_empty() {
        let extents: Vec<String> = reduce
            .iter()
            .map(|extent| {
                let size = extent.size.map_or(String::new(), |e| format!(" size e{}", e.0));
                format!("{}{size}", print_dim(&extent.bound, names))
            })
            .collect();
        lines.push(format!("reduce [{}]", extents.join(", ")));
    }
    let mut accs = accs.iter().enumerate().peekable();
    let mut known: Vec<DType> = Vec::new();
    for (id, expr) in exprs.iter() {
        while let Some((k, acc)) =
            accs.next_if(|(k, acc)| acc.value < id || matches!(expr, Expr::Acc(read) if *k <= *read as usize))
        {
            lines.push(print_acc(k, acc));
            known.push(acc.dtype);
        }
        lines.push(print_definition(exprs, id, Leaves { operands, accs: &known }, names));
    }
    lines.extend(accs.map(|(k, acc)| print_acc(k, acc)));
    lines
}

fn print_acc(k: usize, acc: &Acc) -> String {
    format!("acc{k}: {} = {} e{}", acc.dtype, acc.combiner.name(), acc.value.0)
}

/// Reads the block of a `compute` over operands of these dtypes.
pub(super) fn parse_compute(c: &mut Cursor<'_>, operands: &[DType], names: &Names<'_>) -> Result<Compute, ParseError> {
    c.mark("{")?;
    c.keyword("shape")?;
    let shape = parse_dims(c, names)?;
    let (reduce, exprs, accs) = parse_point(c, operands, names)?;
    let outs = c.list("[", "]", parse_id)?;
    c.mark("}")?;
    Ok(Compute { shape, reduce, exprs, accs, outs })
}

/// Reads what [`print_point`] prints, and the word `out` after it.
pub fn parse_point(
    c: &mut Cursor<'_>,
    operands: &[DType],
    names: &Names<'_>,
) -> Result<(Vec<Extent>, Exprs, Vec<Acc>), ParseError> {
    let reduce = if c.take_keyword("reduce") { c.list("[", "]", |c| parse_extent(c, names))? } else { Vec::new() };
    let mut exprs = Exprs::default();
    let mut accs: Vec<Acc> = Vec::new();
    let mut known: Vec<DType> = Vec::new();
    while !c.take_keyword("out") {
        if matches!(c.peek(), Token::Word(w) if w.starts_with("acc")) {
            let acc = parse_acc(c, accs.len())?;
            known.push(acc.dtype);
            accs.push(acc);
        } else {
            parse_definition(c, &mut exprs, Leaves { operands, accs: &known }, names)?;
        }
    }
    Ok((reduce, exprs, accs))
}

fn parse_extent(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<Extent, ParseError> {
    let bound = parse_dim(c, names)?;
    let size = if c.take_keyword("size") { Some(parse_id(c)?) } else { None };
    Ok(Extent { bound, size })
}

fn parse_acc(c: &mut Cursor<'_>, expected: usize) -> Result<Acc, ParseError> {
    let pos = c.pos();
    let found = c.numbered("acc")?;
    if found as usize != expected {
        return Err(pos.error(ParseErrorKind::Order { what: "accumulator number", expected, found }));
    }
    c.mark(":")?;
    let dtype = parse_dtype(c)?;
    c.mark("=")?;
    let combiner = parse_combiner(c)?;
    let value: ExprId = parse_id(c)?;
    Ok(Acc { combiner, dtype, value })
}

/// Reads a combiner.
pub fn parse_combiner(c: &mut Cursor<'_>) -> Result<Combiner, ParseError> {
    let pos = c.pos();
    let name = c.word("a combiner")?;
    let next_step = "the combiners are sum, prod, max, min, any, all, argmax, argmax_last, argmin, argmin_last";
    let unknown = || pos.error(ParseErrorKind::Unknown { what: "combiner", name: name.to_string(), next_step });
    Combiner::ALL.into_iter().find(|k| k.name() == name).ok_or_else(unknown)
}

/// The lines of a `scatter` over operands of these dtypes.
pub fn print_scatter(scatter: &Scatter, operands: &[DType], names: &Names<'_>) -> Vec<String> {
    let leaves = Leaves { operands, accs: &[] };
    let mut lines = vec![format!("domain {}", print_dims(&scatter.domain, names))];
    lines.extend(scatter.exprs.iter().map(|(id, _)| print_definition(&scatter.exprs, id, leaves, names)));
    lines.push(format!("index [{}]", print_ids(&scatter.index)));
    lines.push(format!("value e{}", scatter.value.0));
    lines.push(match scatter.mode {
        ScatterMode::Last => "last".to_string(),
        ScatterMode::Combine(combiner) => format!("combine {}", combiner.name()),
    });
    lines
}

/// Reads the block of a `scatter` over operands of these dtypes.
pub fn parse_scatter(c: &mut Cursor<'_>, operands: &[DType], names: &Names<'_>) -> Result<Scatter, ParseError> {
    c.mark("{")?;
    c.keyword("domain")?;
    let domain = parse_dims(c, names)?;
    let mut exprs = Exprs::default();
    while !c.take_keyword("index") {
        parse_definition(c, &mut exprs, Leaves { operands, accs: &[] }, names)?;
    }
    let index = c.list("[", "]", parse_id)?;
    c.keyword("value")?;
    let value = parse_id(c)?;
    let mode = if c.take_keyword("last") {
        ScatterMode::Last
    } else {
        c.keyword("combine")?;
        ScatterMode::Combine(parse_combiner(c)?)
    };
    c.mark("}")?;
    Ok(Scatter { domain, exprs, index, value, mode })
}

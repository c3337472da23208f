//! Text of what a kernel does.

use graph::dtype::DType;
use graph::expr::ExprId;
use graph::node::Scatter;
use graph::text::ParseError;
use graph::text::cursor::Cursor;
use graph::text::dim::{Names, parse_dims, print_dims};
use graph::text::expr::{parse_id, print_ids};
use graph::text::point::{parse_combiner, parse_point, parse_scatter, print_point, print_scatter};

use crate::kernel::{Body, Kernel, Nest, Out, Port, ScatterKernel, Stage, Target};
use crate::text::Lines;

/// Appends the body of a kernel.
pub(super) fn print_body(lines: &mut Lines<'_>, kernel: &Kernel, names: &Names<'_>) {
    let flag = |set, word| if set { word } else { "" };
    match &kernel.body {
        Body::Nest(nest) => {
            lines.block(&format!("nest outer {}", print_dims(&nest.outer, names)), |lines| {
                for (k, stage) in nest.stages.iter().enumerate() {
                    print_stage(lines, stage, &dtypes(&kernel.operands, nest, k), names);
                }
            });
        }
        Body::Scatter(ScatterKernel { domain, exprs, index, value, mode }) => {
            let (domain, exprs, index) = (domain.clone(), exprs.clone(), index.clone());
            let scatter = Scatter { domain, exprs, index, value: *value, mode: *mode };
            let operands: Vec<DType> = kernel.operands.iter().map(|o| o.dtype).collect();
            lines.block("scatter", |lines| {
                print_scatter(&scatter, &operands, names).iter().for_each(|line| lines.line(line));
            });
        }
        Body::Sort { axis, descending } => lines.line(&format!("sort axis {axis}{}", flag(*descending, " descending"))),
        Body::Compact => lines.line("compact"),
        Body::Prefix { axis, combiner, exclusive, reverse } => {
            let flags = format!("{}{}", flag(*exclusive, " exclusive"), flag(*reverse, " reverse"));
            lines.line(&format!("prefix {} axis {axis}{flags}", combiner.name()));
        }
    }
}

/// Dtypes of what the loads of a stage may name.
fn dtypes(operands: &[Port], nest: &Nest, stage: usize) -> Vec<DType> {
    let kept = nest.kept_before(stage).into_iter().map(|(dtype, _)| dtype);
    operands.iter().map(|o| o.dtype).chain(kept).collect()
}

fn print_stage(lines: &mut Lines<'_>, stage: &Stage, operands: &[DType], names: &Names<'_>) {
    lines.block(&format!("stage inner {}", print_dims(&stage.inner, names)), |lines| {
        let point = print_point(&stage.reduce, &stage.exprs, &stage.accs, operands, names);
        point.iter().for_each(|line| lines.line(line));
        let outs: Vec<String> = stage.outs.iter().map(print_out).collect();
        lines.line(&format!("out [{}]", outs.join(", ")));
    });
}

fn print_out(out: &Out) -> String {
    match &out.target {
        Target::Keep => format!("e{} keep", out.value.0),
        Target::Store { result, index } => format!("e{} to {result} [{}]", out.value.0, print_ids(index)),
    }
}

/// Reads the body of a kernel with these operands.
pub(super) fn parse_body(c: &mut Cursor<'_>, operands: &[Port], names: &Names<'_>) -> Result<Body, ParseError> {
    const EXPECTED: &str = "a body (`nest`, `scatter`, `sort`, `compact` or `prefix`)";
    let dtypes: Vec<DType> = operands.iter().map(|o| o.dtype).collect();
    if c.take_keyword("nest") {
        return parse_nest(c, dtypes, names).map(Body::Nest);
    }
    if c.take_keyword("scatter") {
        let Scatter { domain, exprs, index, value, mode } = parse_scatter(c, &dtypes, names)?;
        return Ok(Body::Scatter(ScatterKernel { domain, exprs, index, value, mode }));
    }
    if c.take_keyword("sort") {
        c.keyword("axis")?;
        return Ok(Body::Sort { axis: c.integer("axis")?, descending: c.take_keyword("descending") });
    }
    if c.take_keyword("compact") {
        return Ok(Body::Compact);
    }
    if c.take_keyword("prefix") {
        let combiner = parse_combiner(c)?;
        c.keyword("axis")?;
        let axis = c.integer("axis")?;
        let (exclusive, reverse) = (c.take_keyword("exclusive"), c.take_keyword("reverse"));
        return Ok(Body::Prefix { axis, combiner, exclusive, reverse });
    }
    c.expected(EXPECTED)
}

fn parse_nest(c: &mut Cursor<'_>, mut dtypes: Vec<DType>, names: &Names<'_>) -> Result<Nest, ParseError> {
    c.keyword("outer")?;
    let outer = parse_dims(c, names)?;
    c.mark("{")?;
    let mut stages = Vec::new();
    while c.take_keyword("stage") {
        let stage = parse_stage(c, &dtypes, names)?;
        let kept = stage.outs.iter().filter(|o| o.target == Target::Keep);
        dtypes.extend(kept.map(|o| stage.exprs.dtype(o.value)));
        stages.push(stage);
    }
    c.mark("}")?;
    Ok(Nest { outer, stages })
}

fn parse_stage(c: &mut Cursor<'_>, operands: &[DType], names: &Names<'_>) -> Result<Stage, ParseError> {
    c.keyword("inner")?;
    let inner = parse_dims(c, names)?;
    c.mark("{")?;
    let (reduce, exprs, accs) = parse_point(c, operands, names)?;
    let outs = c.list("[", "]", parse_out)?;
    c.mark("}")?;
    Ok(Stage { inner, reduce, exprs, accs, outs })
}

fn parse_out(c: &mut Cursor<'_>) -> Result<Out, ParseError> {
    let value: ExprId = parse_id(c)?;
    let target = if c.take_keyword("keep") {
        Target::Keep
    } else if c.take_keyword("to") {
        let result = c.integer("result")?;
        Target::Store { result, index: c.list("[", "]", parse_id)? }
    } else {
        return c.expected("`keep` or `to`");
    };
    Ok(Out { value, target })
}

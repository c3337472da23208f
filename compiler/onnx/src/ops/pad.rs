//! Pad: the input with margins: a constant, the nearest edge, reflected, or wrapped around. Negative pads crop.
//!
//! <https://onnx.ai/onnx/operators/onnx__Pad.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 2 | `paddings` is `pads` |
//! | 11 | signed integers, unsigned integers; `pads` is an input; `value` gone; input `constant_value` |
//! | 13 | complex, bfloat16, bool, strings |
//! | 18 | input `axes` |
//! | 19 | mode wrap |
//! | 21 | 8-bit floats, 4-bit integers |
//! | 23 | float4e2m1 |
//! | 24 | float8e8m0 |
//! | 25 | 2-bit integers |
//!
//! Dtypes: all but strings.
//!
//! Refused: `pads` of unknown length.

use graph::builder::{BuildError, Point};
use graph::dim::{Dim, Pred};
use graph::expr::{BinOp, ExprId};
use graph::graph::ValueId;
use graph::scalar::Scalar;
use graph::tensor::Tensor;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;
use crate::{indexing, pointwise, sizes};

pub const OPERATOR: Operator = Operator {
    name: "Pad",
    domain: "",
    versions: &[1, 2, 11, 13, 18, 19, 21, 23, 24, 25],
    inputs: between(1, 4),
    outputs: exactly(1),
    attrs: &[
        attr("mode", AttrKind::String),
        attr("paddings", AttrKind::Ints),
        attr("pads", AttrKind::Ints),
        attr("value", AttrKind::Float),
    ],
    build,
};

/// What stands in the margins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Constant,
    Edge,
    Reflect,
    Wrap,
}

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let from = ctx.shape(0)?;
    let rank = from.len();
    let mode = mode(ctx)?;
    let pads = match ctx.ints("pads").or(ctx.ints("paddings")) {
        Some(pads) => pads.iter().map(|d| Dim::constant(*d)).collect(),
        None => ctx.dims(1, i64::MIN, None)?,
    };
    let axes = sizes::axes(ctx, 3, rank)?.unwrap_or_else(|| sizes::all_axes(rank));
    sizes::require_count("pads", pads.len(), 2 * axes.len())?;
    let (before, behind) = pads.split_at(axes.len());
    let fill = if mode == Mode::Constant { fill(ctx)? } else { None };
    let zero = Dim::constant(0);
    let mut shape = Vec::with_capacity(rank);
    let mut margins = Vec::with_capacity(rank);
    for (d, extent) in from.iter().enumerate() {
        let begin = sizes::at_axis(ctx.b, &axes, before, d, rank, &zero);
        let end = sizes::at_axis(ctx.b, &axes, behind, d, rank, &zero);
        let total = &(extent + &begin) + &end;
        shape.push(ctx.b.model().symbols.max(&zero, &total));
        margins.push((begin, end));
    }
    if margins.iter().all(|(begin, end)| begin.is(0) && end.is(0)) {
        return Ok(vec![x.into()]);
    }
    let one = Dim::constant(1);
    let filled = from.iter().all(|e| ctx.b.proves(&Pred::Le(one.clone(), e.clone())));
    let operands: Vec<ValueId> = std::iter::once(x).chain(fill).collect();
    let y = ctx.b.compute(&operands, shape, |p| {
        let index: Vec<ExprId> = margins
            .iter()
            .enumerate()
            .map(|(d, (begin, end))| {
                let i = p.index(d);
                if begin.is(0) && end.is(0) { i } else { source(p, mode, i, begin, &from[d]) }
            })
            .collect();
        let value = match mode {
            Mode::Constant if operands.len() > 1 => {
                let fill = p.load(1, &[]);
                p.load_or(0, &index, fill)
            }
            Mode::Constant => indexing::load(p, &index, false),
            Mode::Edge | Mode::Reflect | Mode::Wrap => indexing::load(p, &index, filled),
        };
        p.out(value);
    })?;
    Ok(vec![y.into()])
}

fn mode(ctx: &Ctx<'_>) -> Result<Mode, BuildError> {
    match ctx.string("mode").unwrap_or("constant") {
        "constant" => Ok(Mode::Constant),
        "edge" => Ok(Mode::Edge),
        "reflect" => Ok(Mode::Reflect),
        "wrap" => Ok(Mode::Wrap),
        other => Err(BuildError::Attr {
            name: "mode".to_string(),
            expected: "constant, edge, reflect or wrap".to_string(),
            found: other.to_string(),
        }),
    }
}

/// The value of the margins, if it is not 0.
fn fill(ctx: &mut Ctx<'_>) -> Result<Option<ValueId>, BuildError> {
    if ctx.opset >= 11 {
        return pointwise::scalar(ctx, 2);
    }
    let dtype = ctx.dtype(0)?;
    let value = Scalar::from_f64(dtype, f64::from(ctx.float_or("value", 0.0)));
    ctx.b.constant(Tensor::scalar(value)).map(Some)
}

/// The position in the input that result position `i` shows.
fn source(p: &mut Point<'_>, mode: Mode, i: ExprId, begin: &Dim, extent: &Dim) -> ExprId {
    let inner = indexing::stride(p, i, &-begin, &Dim::constant(1));
    let last = extent - &Dim::constant(1);
    match mode {
        Mode::Constant => inner,
        Mode::Edge => {
            let (zero, last) = (p.int(0), p.dim(&last));
            let raised = p.max(inner, zero);
            p.min(raised, last)
        }
        Mode::Reflect => {
            let (period, last) = (p.dim(&(&last + &last)), p.dim(&last));
            let phase = p.binary(BinOp::Mod, inner, period);
            let mirrored = p.sub(period, phase);
            let forth = p.le(phase, last);
            p.select(forth, phase, mirrored)
        }
        Mode::Wrap => {
            let extent = p.dim(extent);
            p.binary(BinOp::Mod, inner, extent)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, constant, i64s, refusal, string, value};

    fn with(mode: &str, x: &[i64], pads: &[i64], y: &[i64]) {
        let inputs = [value(i64s(&[x.len()], x)), value(i64s(&[2], pads))];
        check(&OPERATOR, &[("mode", string(mode))], &inputs, &[i64s(&[y.len()], y)]);
    }

    #[test]
    fn every_mode_beyond_one_period() {
        with("edge", &[1, 2, 3], &[2, 1], &[1, 1, 1, 2, 3, 3]);
        with("reflect", &[1, 2, 3], &[3, 5], &[2, 3, 2, 1, 2, 3, 2, 1, 2, 3, 2]);
        with("wrap", &[1, 2, 3], &[4, 1], &[3, 1, 2, 3, 1, 2, 3, 1]);
        with("reflect", &[7], &[1, 1], &[7, 7, 7]);
    }

    #[test]
    fn pads_of_either_sign_on_one_axis() {
        let x = i64s(&[2, 2], &[1, 2, 3, 4]);
        let inputs = [x, i64s(&[2], &[-1, 2]), i64s(&[], &[9]), i64s(&[1], &[-1])].map(value);
        check(&OPERATOR, &[], &inputs, &[i64s(&[2, 3], &[2, 9, 9, 4, 9, 9])]);
    }

    #[test]
    fn an_unknown_mode_is_refused() {
        let inputs = [value(i64s(&[1], &[1])), constant(i64s(&[2], &[0, 0]))];
        let error = refusal(&OPERATOR, &[("mode", string("symmetric"))], &inputs);
        assert_eq!(error.to_string(), "attribute mode: expected constant, edge, reflect or wrap, found symmetric");
    }
}

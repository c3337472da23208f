//! Conversion between dtypes by the rules of ONNX, for Cast and CastLike.

use graph::attrs::{Attr, Attrs};
use graph::builder::BuildError;
use graph::dtype::{Class, DType};
use graph::expr::{Expr, Rounding};
use graph::graph::ValueId;

use crate::late;
use crate::operator::Ctx;
use crate::ops::list::cast;
use crate::pointwise::Outputs;

/// Input 0 as another dtype. `saturate` holds for 8-bit floats only. A float out of an integer's range, which ONNX leaves
/// undefined, becomes the nearest end.
pub fn convert(ctx: &mut Ctx<'_>, to: DType) -> Outputs {
    let x = ctx.input(0)?;
    let from = ctx.dtype(0)?;
    let rounding = rounding(ctx)?;
    if from == to {
        return Ok(vec![x.into()]);
    }
    if to == DType::Str {
        return to_text(ctx, x, from);
    }
    if from == DType::Str {
        return from_text(ctx, x, to);
    }
    let saturate = match to.class() {
        Class::Float if to.bits() == 8 => ctx.int_or("saturate", 1) != 0,
        Class::Float | Class::Bool | Class::Str => false,
        Class::Signed | Class::Unsigned => from.is_float() && to.bits() >= 8,
    };
    let rounding = if to == DType::F8E8M0 { rounding } else { Rounding::Nearest };
    let y = ctx.b.map(&[x], |p, v| p.add_expr(Expr::Cast { to, saturate, rounding, value: v[0] }))?;
    Ok(vec![y.into()])
}

/// Numbers as strings; the host writes the wide dtypes, others are widened first.
fn to_text(ctx: &mut Ctx<'_>, x: ValueId, from: DType) -> Outputs {
    let wide = match from.class() {
        Class::Float if from != DType::F64 => DType::F32,
        Class::Signed => DType::I64,
        Class::Unsigned => DType::U64,
        Class::Float | Class::Bool | Class::Str => from,
    };
    let x = ctx.b.cast(x, wide)?;
    Ok(vec![late::one(ctx.b.host(&cast::TO_TEXT_HOST, Attrs::new(), &[x])?)?.into()])
}

/// Strings as numbers; the host reads the wide dtypes, others are narrowed after.
fn from_text(ctx: &mut Ctx<'_>, x: ValueId, to: DType) -> Outputs {
    let wide = match to.class() {
        Class::Float if to != DType::F64 => DType::F32,
        Class::Unsigned => DType::U64,
        Class::Float => to,
        Class::Signed | Class::Bool | Class::Str => DType::I64,
    };
    let attrs = Attrs::new().with("to", Attr::DType(wide));
    let y = late::one(ctx.b.host(&cast::FROM_TEXT_HOST, attrs, &[x])?)?;
    Ok(vec![ctx.b.cast(y, to)?.into()])
}

fn rounding(ctx: &Ctx<'_>) -> Result<Rounding, BuildError> {
    match ctx.string("round_mode").unwrap_or("up") {
        "up" => Ok(Rounding::Up),
        "down" => Ok(Rounding::Down),
        "nearest" => Ok(Rounding::Nearest),
        other => Err(BuildError::Attr {
            name: "round_mode".to_string(),
            expected: "up, down or nearest".to_string(),
            found: other.to_string(),
        }),
    }
}

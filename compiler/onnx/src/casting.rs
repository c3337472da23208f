//! Conversion between dtypes by the rules of ONNX, for Cast and CastLike.

use graph::builder::BuildError;
use graph::dtype::{Class, DType};
use graph::expr::{Expr, Rounding};

use crate::operator::Ctx;
use crate::pointwise::{self, Outputs};

/// Input 0 as another dtype. `saturate` holds for 8-bit floats only. A float out of an integer's range, which ONNX leaves
/// undefined, becomes the nearest end.
pub fn convert(ctx: &mut Ctx<'_>, to: DType) -> Outputs {
    let x = ctx.input(0)?;
    pointwise::require_class(ctx, 0, pointwise::NOT_STRINGS)?;
    if to == DType::Str {
        return Err(BuildError::Unsupported {
            what: format!("{} to strings", ctx.op_type),
            closest: "a conversion between numbers".to_string(),
        });
    }
    let from = ctx.dtype(0)?;
    let rounding = rounding(ctx)?;
    if from == to {
        return Ok(vec![x.into()]);
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

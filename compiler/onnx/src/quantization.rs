//! Scales, zero points and axes of QuantizeLinear and DequantizeLinear.

use graph::builder::BuildError;
use graph::graph::ValueId;

use crate::operator::Ctx;

/// The scale, the zero point if there is one, the axis and the block size (0: none).
pub struct Parameters {
    pub scale: ValueId,
    pub zero_point: Option<ValueId>,
    pub axis: usize,
    pub block: usize,
}

/// Reads inputs 1 and 2, `axis` and `block_size`. A tensor of one element is one scale for all.
pub fn parameters(ctx: &mut Ctx<'_>) -> Result<Parameters, BuildError> {
    let rank = ctx.shape(0)?.len();
    let block = usize::try_from(ctx.int_or("block_size", 0)).map_err(|_| BuildError::Attr {
        name: "block_size".to_string(),
        expected: "0 or more".to_string(),
        found: ctx.int_or("block_size", 0).to_string(),
    })?;
    let (mut scale, mut zero_point) = (ctx.input(1)?, ctx.optional(2)?);
    if ctx.b.shape(scale)?.iter().all(|d| d.is(1)) {
        scale = ctx.b.reshape(scale, Vec::new())?;
        zero_point = zero_point.map(|z| ctx.b.reshape(z, Vec::new())).transpose()?;
    }
    let scales = ctx.b.rank(scale)?;
    if block == 0 && scales > 1 {
        return Err(BuildError::Rank {
            what: "a scale without block_size".to_string(),
            expected: "0 or 1".to_string(),
            found: scales,
        });
    }
    let axis = if scales == 0 { 0 } else { ctx.b.axis(ctx.int_or("axis", 1), rank)? };
    Ok(Parameters { scale, zero_point, axis, block })
}

//! MatMulNBits of ONNX Runtime: a product with a matrix of few bits an element, which has a scale and a zero point a block.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftmatmulnbits>
//!
//! ```text
//! B [N, blocks, block_size * bits / 8]: low bits first     y = A W'     W[n, k] = (B[n, k] - zero[n, k / block]) * scale[n, k / block]
//! ```
//!
//! Zero points are packed as B is, a row in whole bytes, or are of the scale's dtype; without them they are half of the range.
//!
//! Dtypes: A and scales floats, summed in f32. 2, 4 or 8 bits. Refused: `g_idx`, and other numbers of bits.

use graph::builder::{BuildError, Builder, Point};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, ExprId};
use graph::graph::ValueId;
use graph::region::contract::accumulator;

use super::mat_mul::mat_mul;
use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly, required};
use crate::pointwise::{self, Outputs};

pub const OPERATOR: Operator = Operator {
    name: "MatMulNBits",
    domain: "com.microsoft",
    versions: &[1],
    inputs: between(3, 6),
    outputs: exactly(1),
    attrs: &[
        required("K", AttrKind::Int),
        required("N", AttrKind::Int),
        attr("accuracy_level", AttrKind::Int),
        attr("bits", AttrKind::Int),
        required("block_size", AttrKind::Int),
        attr("weight_prepacked", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Outputs {
    pointwise::require_class(ctx, 0, pointwise::FLOATS)?;
    let bits = ctx.int_or("bits", 4);
    let [n, k, block] = ["N", "K", "block_size"].map(|name| ctx.int_or(name, 0));
    if ![2, 4, 8].contains(&bits) || n < 1 || k < 1 || block < 8 / bits {
        let found = format!("bits {bits}, N {n}, K {k}, block_size {block}");
        let expected = "2, 4 or 8, and positive sizes".to_string();
        return Err(BuildError::Attr { name: "bits".to_string(), expected, found });
    }
    if let Some(order) = ctx.optional(4)?
        && !ctx.b.shape(order)?.iter().any(|d| d.is(0))
    {
        let what = format!("input g_idx of {}", ctx.op_type);
        return Err(BuildError::Unsupported { what, closest: "blocks in their order".to_string() });
    }
    let (a, packed, scale) = (ctx.input(0)?, ctx.input(1)?, ctx.input(2)?);
    let dtype = ctx.dtype(0)?;
    let layout = Layout { bits, block, blocks: (k + block - 1) / block };
    let zero = ctx.optional(3)?;
    let weights = layout.weights(ctx.b, [n, k], (packed, scale, zero), dtype)?;
    let weights = ctx.b.transpose(weights, &[1, 0])?;
    let mut y = mat_mul(ctx.b, a, weights, accumulator(dtype))?;
    if let Some(bias) = ctx.optional(5)? {
        y = ctx.b.map(&[y, bias], |p, v| {
            let bias = p.cast(v[1], p.dtype(v[0]));
            p.add(v[0], bias)
        })?;
    }
    Ok(vec![ctx.b.cast(y, dtype)?.into()])
}

struct Layout {
    bits: i64,
    block: i64,
    /// Blocks of a row.
    blocks: i64,
}

impl Layout {
    fn weights(
        &self,
        b: &mut Builder,
        [n, k]: [i64; 2],
        (packed, scale, zero): (ValueId, ValueId, Option<ValueId>),
        dtype: DType,
    ) -> Result<ValueId, BuildError> {
        let [rows, depth, blocks] = [n, k, self.blocks].map(Dim::constant);
        let bytes = Dim::constant(self.blocks * self.block * self.bits / 8);
        let packed = b.reshape(packed, vec![rows.clone(), bytes])?;
        let scale = b.reshape(scale, vec![rows.clone(), blocks.clone()])?;
        let zero = match zero {
            Some(zero) if b.dtype(zero)? == DType::U8 => {
                let bytes = Dim::constant((self.blocks * self.bits + 7) / 8);
                Some((b.reshape(zero, vec![rows.clone(), bytes])?, true))
            }
            Some(zero) => Some((b.reshape(zero, vec![rows.clone(), blocks])?, false)),
            None => None,
        };
        let operands: Vec<ValueId> = [packed, scale].into_iter().chain(zero.map(|(zero, _)| zero)).collect();
        let wide = pointwise::wide(dtype);
        b.compute(&operands, vec![rows, depth], |p| {
            let (row, at) = (p.index(0), p.index(1));
            let size = p.int(self.block);
            let block = p.binary(BinOp::FloorDiv, at, size);
            let element = self.unpacked(p, 0, row, at);
            let element = p.cast(element, wide);
            let zero = match zero {
                None => p.number(wide, (1i64 << (self.bits - 1)) as f64),
                Some((_, true)) => {
                    let zero = self.unpacked(p, 2, row, block);
                    p.cast(zero, wide)
                }
                Some((_, false)) => {
                    let zero = p.load(2, &[row, block]);
                    p.cast(zero, wide)
                }
            };
            let scale = p.load(1, &[row, block]);
            let scale = p.cast(scale, wide);
            let centred = p.sub(element, zero);
            let weight = p.mul(centred, scale);
            let weight = p.cast(weight, dtype);
            p.out(weight);
        })
    }

    /// Element `at` of a row of packed bytes, as i64.
    fn unpacked(&self, p: &mut Point<'_>, operand: usize, row: ExprId, at: ExprId) -> ExprId {
        let in_byte = p.int(8 / self.bits);
        let byte = p.binary(BinOp::FloorDiv, at, in_byte);
        let byte = p.load(operand, &[row, byte]);
        let byte = p.cast(byte, DType::I64);
        if self.bits == 8 {
            return byte;
        }
        let rest = p.binary(BinOp::Mod, at, in_byte);
        let (bits, mask) = (p.int(self.bits), p.int((1 << self.bits) - 1));
        let shift = p.mul(rest, bits);
        let moved = p.binary(BinOp::Shr, byte, shift);
        p.and(moved, mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::AttrValue;
    use crate::ops_testing::{check, f32s, i64s, int, missing, refusal, tensor, value};

    fn attrs(bits: i64, k: i64) -> [(&'static str, AttrValue); 4] {
        [("N", int(2)), ("K", int(k)), ("block_size", int(2)), ("bits", int(bits))]
    }

    /// Rows `(1, 2 | 3, 0)` and `(15, 8 | 7, 9)` of 4 bits in two blocks, the last element of which is behind the end.
    #[test]
    fn four_bits_with_and_without_zero_points() {
        let a = || value(f32s(&[1, 3], &[1.0, 10.0, 100.0]));
        let b = || value(tensor(DType::U8, &[2, 2, 1], &[33.0, 3.0, 143.0, 151.0]));
        let scale = || value(f32s(&[4], &[1.0, 2.0, 1.0, 0.5]));
        let y = f32s(&[1, 2], &[-7.0 - 60.0 - 1000.0, 7.0 - 50.0]);
        check(&OPERATOR, &attrs(4, 3), &[a(), b(), scale()], &[y]);
        let zero = value(tensor(DType::U8, &[2], &[1.0 + 3.0 * 16.0, 15.0 + 7.0 * 16.0]));
        let y = f32s(&[1, 2], &[10.0, -70.0]);
        check(&OPERATOR, &attrs(4, 3), &[a(), b(), scale(), zero], &[y]);
    }

    #[test]
    fn an_order_of_blocks_is_refused() {
        let a = value(f32s(&[1, 2], &[1.0, 1.0]));
        let b = value(tensor(DType::U8, &[2, 1, 2], &[0.0; 4]));
        let order = value(i64s(&[2], &[0, 0]));
        let inputs = [a, b, value(f32s(&[2], &[1.0, 1.0])), missing(), order];
        let error = refusal(&OPERATOR, &attrs(8, 2), &inputs);
        assert!(error.to_string().contains("input g_idx"), "{error}");
    }
}

//! DeformConv: a convolution whose taps read between elements, each moved by its own offset and weighted by a mask.
//!
//! <https://onnx.ai/onnx/operators/onnx__DeformConv.html>
//!
//! | opset | change |
//! |---|---|
//! | 19 | first |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats, summed in f32 or wider. Any number of spatial dims; outside the data reads as zero.

use graph::builder::{BuildError, Builder};
use graph::dim::{Dim, Pred};
use graph::dtype::DType;
use graph::expr::{BinOp, ExprId};
use graph::graph::ValueId;
use graph::node::Combiner;
use graph::region::contract::accumulator;
use graph::region::conv::Conv;

use super::conv::{attributes, biased};
use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::sampling::{Beyond, Kernel, Tap, product, taps};
use crate::sliding;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "DeformConv",
    domain: "",
    versions: &[19, 22],
    inputs: between(3, 5),
    outputs: exactly(1),
    attrs: &[
        sliding::ATTRS[1],
        sliding::ATTRS[2],
        sliding::ATTRS[3],
        sliding::ATTRS[4],
        attr("group", AttrKind::Int),
        attr("offset_group", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, w, offset) = (ctx.input(0)?, ctx.input(1)?, ctx.input(2)?);
    let (bias, mask) = (ctx.optional(3)?, ctx.optional(4)?);
    let dtype = ctx.b.dtype(x)?;
    let conv = attributes(ctx, x, w, accumulator(dtype))?;
    let groups = Dim::constant(ctx.int_or("offset_group", 1));
    let columns = Columns { conv: &conv, kernel: ctx.b.shape(w)?[2..].to_vec(), groups, mask: mask.is_some() };
    let operands: Vec<ValueId> = [x, offset].into_iter().chain(mask).collect();
    let columns = columns.build(ctx.b, &operands)?;
    let y = product_with(ctx.b, &conv, columns, w)?;
    Ok(vec![biased(ctx.b, y, bias, dtype)?.into()])
}

/// What every tap of every window reads: `[N, C, taps, windows]`.
struct Columns<'a> {
    conv: &'a Conv,
    kernel: Vec<Dim>,
    /// Groups of channels that share offsets.
    groups: Dim,
    mask: bool,
}

impl Columns<'_> {
    fn build(&self, b: &mut Builder, operands: &[ValueId]) -> Result<ValueId, BuildError> {
        let shape = b.shape(operands[0])?;
        let offsets = b.shape(operands[1])?;
        let rank = self.kernel.len();
        self.conv.window.check(b, rank)?;
        let count = Dim::product(&self.kernel);
        if offsets.len() != rank + 2 {
            let what = "offset of DeformConv".to_string();
            return Err(BuildError::Rank { what, expected: (rank + 2).to_string(), found: offsets.len() });
        }
        let expected = &(&self.groups * &count) * &Dim::from(rank);
        b.assume_equal(&offsets[1], &expected, "offsets: one a group, tap and spatial dim")?;
        for (found, own) in offsets[2..].iter().zip(&self.conv.window.output) {
            b.assume_equal(found, own, "offsets of every window")?;
        }
        b.assume(Pred::Divides(self.groups.clone(), shape[1].clone()), "offset_group divides the channels")?;
        let per_group = b.model().symbols.floor_div(&shape[1], &self.groups);
        let wide = self.conv.acc;
        let mut result = vec![shape[0].clone(), shape[1].clone(), count.clone()];
        result.extend(self.conv.window.output.iter().cloned());
        let columns = b.compute(operands, result, |p| {
            let index = p.indices();
            let (n, c, tap) = (index[0], index[1], index[2]);
            let size = p.dim(&per_group);
            let group = p.binary(BinOp::FloorDiv, c, size);
            let taps_of_group = p.dim(&count);
            let first = p.mul(group, taps_of_group);
            let row = p.add(first, tap);
            let mut rest = tap;
            let mut steps: Vec<ExprId> = Vec::new();
            for extent in self.kernel.iter().rev() {
                let extent = p.dim(extent);
                steps.push(p.binary(BinOp::Mod, rest, extent));
                rest = p.binary(BinOp::FloorDiv, rest, extent);
            }
            steps.reverse();
            let mut found: Vec<Tap> = Vec::new();
            for (d, k) in steps.into_iter().enumerate() {
                let place = self.conv.window.position(p, d, index[3 + d], k);
                let (dims, axis) = (p.int(rank as i64), p.int(d as i64));
                let scaled = p.mul(row, dims);
                let mut at = vec![n, p.add(scaled, axis)];
                at.extend_from_slice(&index[3..]);
                let moved = p.load(1, &at);
                let (moved, place) = (p.cast(moved, wide), p.cast(place, wide));
                let coordinate = p.add(place, moved);
                found.push(taps(p, coordinate, &shape[2 + d], Kernel::Linear, Beyond::Zero));
            }
            let mut source = vec![n, c];
            source.extend(found.iter().map(|t| t.position));
            let zero = p.zero(p.dtype_of_operand(0));
            let value = p.load_or(0, &source, zero);
            let mut value = p.cast(value, wide);
            if let Some(weight) = product(p, &found) {
                value = p.mul(value, weight);
            }
            let mut sum = p.acc(Combiner::Sum, value);
            if self.mask {
                let mut at = vec![n, row];
                at.extend_from_slice(&index[3..]);
                let mask = p.load(2, &at);
                let mask = p.cast(mask, wide);
                sum = p.mul(sum, mask);
            }
            p.out(sum);
        })?;
        let mut flat = vec![shape[0].clone(), shape[1].clone(), count];
        flat.push(Dim::product(&self.conv.window.output));
        b.reshape(columns, flat)
    }
}

/// Columns times weight, group by group, as `[N, O, windows…]`.
fn product_with(b: &mut Builder, conv: &Conv, columns: ValueId, w: ValueId) -> Result<ValueId, BuildError> {
    let (from, weight) = (b.shape(columns)?, b.shape(w)?);
    let groups = Dim::constant(conv.groups);
    b.assume_equal(&from[1], &(&weight[1] * &groups), "channels of X are those of W times groups")?;
    b.assume(Pred::Divides(groups.clone(), weight[0].clone()), "groups divide the output channels")?;
    let outputs = b.model().symbols.floor_div(&weight[0], &groups);
    let split = vec![from[0].clone(), groups.clone(), weight[1].clone(), from[2].clone(), from[3].clone()];
    let columns = b.reshape(columns, split)?;
    let w = b.reshape(w, vec![groups, outputs, weight[1].clone(), from[2].clone()])?;
    let w = if b.dtype(w)? == DType::F64 { w } else { b.cast(w, conv.acc)? };
    let y = b.contract("ngckw,gock->ngow", columns, w)?;
    let mut result = vec![from[0].clone(), weight[0].clone()];
    result.extend(conv.window.output.iter().cloned());
    b.reshape(y, result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, int, refusal, value};

    #[test]
    fn half_a_step_with_two_offset_groups() {
        let x = f32s(&[1, 2, 3], &[1.0, 2.0, 4.0, 10.0, 20.0, 40.0]);
        let w = f32s(&[1, 2, 1], &[1.0, 1.0]);
        let offset = f32s(&[1, 2, 3], &[0.5, 0.0, 0.5, 0.0, 1.0, 9.0]);
        let mask = f32s(&[1, 2, 3], &[1.0, 1.0, 1.0, 2.0, 1.0, 1.0]);
        let inputs = [value(x), value(w), value(offset), value(f32s(&[1], &[100.0])), value(mask)];
        let y = f32s(&[1, 1, 3], &[1.5 + 20.0 + 100.0, 2.0 + 40.0 + 100.0, 2.0 + 100.0]);
        check(&OPERATOR, &[("offset_group", int(2))], &inputs, &[y]);
    }

    #[test]
    fn too_few_offsets_are_refused() {
        let x = f32s(&[1, 1, 2], &[0.0; 2]);
        let inputs = [value(x.clone()), value(x), value(f32s(&[1, 1, 1], &[0.0]))];
        let error = refusal(&OPERATOR, &[], &inputs);
        assert!(error.to_string().contains("one a group, tap and spatial dim"), "{error}");
    }
}

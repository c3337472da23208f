//! MaxPool: the maximum of sliding windows, and on demand where in X it lies.
//!
//! <https://onnx.ai/onnx/operators/onnx__MaxPool.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 8 | output `Indices`, `storage_order` |
//! | 10 | `ceil_mode`, `dilations` |
//! | 11 | defaults written down |
//! | 12 | 8-bit integers |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats, all integers. Refused: no spatial dim.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::expr::BinOp;
use graph::region::pool::{Mode, Pool};

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::sliding;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "MaxPool",
    domain: "",
    versions: &[1, 8, 10, 11, 12, 22],
    inputs: exactly(1),
    outputs: between(1, 2),
    attrs: &[
        sliding::ATTRS[0],
        sliding::ATTRS[1],
        sliding::ATTRS[2],
        sliding::ATTRS[3],
        sliding::ATTRS[4],
        attr("ceil_mode", AttrKind::Int),
        attr("storage_order", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let indices = ctx.wants(1);
    let pool = attributes(ctx, Mode::Max { indices })?;
    let x = ctx.input(0)?;
    let results = ctx.b.pool(&pool, x)?;
    let mut outputs: Vec<ImportValue> = results.iter().take(1).map(|r| (*r).into()).collect();
    if let Some(within) = results.get(1) {
        let (from, shape) = (ctx.b.shape(x)?, ctx.b.shape(*within)?);
        let column_major = ctx.int_or("storage_order", 0) != 0;
        let flat = ctx.b.compute(&[*within], shape, |p| {
            let index = p.indices();
            let mut position = p.load(0, &index);
            if column_major {
                let mut linear = None;
                let mut rest = position;
                let mut stride = Dim::constant(1);
                let mut strides = Vec::new();
                for extent in &from[2..] {
                    strides.push(stride.clone());
                    stride = &stride * extent;
                }
                for (extent, stride) in from[2..].iter().zip(&strides).rev() {
                    let (extent, stride) = (p.dim(extent), p.dim(stride));
                    let at = p.binary(BinOp::Mod, rest, extent);
                    rest = p.binary(BinOp::FloorDiv, rest, extent);
                    let term = p.mul(at, stride);
                    linear = Some(match linear {
                        Some(sum) => p.add(sum, term),
                        None => term,
                    });
                }
                position = linear.unwrap_or(position);
            }
            let (channels, size) = (p.dim(&from[1]), p.dim(&Dim::product(&from[2..])));
            let plane = p.mul(index[0], channels);
            let plane = p.add(plane, index[1]);
            let start = p.mul(plane, size);
            let flat = p.add(start, position);
            p.out(flat);
        })?;
        outputs.push(flat.into());
    }
    Ok(outputs)
}

/// The region's attributes, from the node's.
pub fn attributes(ctx: &Ctx<'_>, mode: Mode) -> Result<Pool, BuildError> {
    let input = sliding::spatial(&ctx.shape(0)?, "pool input X")?;
    let kernel = sliding::kernel_shape(ctx, input.len())?;
    let sizes: Vec<Dim> = kernel.iter().map(|k| Dim::constant(*k)).collect();
    let window = sliding::window(ctx, &input, &sizes, ctx.int_or("ceil_mode", 0) != 0)?;
    Ok(Pool { mode, kernel, window })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{Case, check, f32s, i64s, int, ints, refusal, value};

    #[test]
    fn ceil_mode_with_pads_and_column_major_indices() {
        let x = f32s(&[1, 1, 2, 3], &[1.0, 5.0, 3.0, 4.0, 2.0, 6.0]);
        let attrs = [
            ("kernel_shape", ints(&[2, 2])),
            ("strides", ints(&[2, 2])),
            ("pads", ints(&[0, 0, 0, 0])),
            ("ceil_mode", int(1)),
            ("storage_order", int(1)),
        ];
        let (y, at) = (f32s(&[1, 1, 1, 2], &[5.0, 6.0]), i64s(&[1, 1, 1, 2], &[2, 5]));
        check(&OPERATOR, &attrs, &[value(x)], &[y, at]);
    }

    #[test]
    fn window_beyond_the_input_is_refused() {
        let error = refusal(&OPERATOR, &[("kernel_shape", ints(&[4]))], &[value(f32s(&[1, 1, 2], &[0.0; 2]))]);
        assert!(error.to_string().contains("no larger than the padded input"), "{error}");
    }

    #[test]
    fn symbolic_extents_pass() {
        let mut b = graph::builder::Builder::new("sizes");
        let h = b.input_symbol("h", 1, None);
        let case = Case::new(&OPERATOR)
            .arg(crate::ops_testing::typed(graph::dtype::DType::F32, &[Dim::from(1i64), Dim::from(1i64), h.clone()]))
            .attr("kernel_shape", ints(&[1]))
            .attr("strides", ints(&[3]))
            .symbols(b.model().symbols.clone());
        let third = b.model().symbols.ceil_div(&h, &Dim::from(3i64));
        assert_eq!(case.shapes()[0][2], third);
    }
}

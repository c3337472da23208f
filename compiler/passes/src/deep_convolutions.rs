//! Convolutions over three spatial dims as those over two: the taps of the first dim count as channels, and the positions along it
//! as images. For targets whose kernels are of one or two dims; others keep them
//! ([`Options::cpu_kernels`](crate::Options::cpu_kernels)).
//!
//! Before: `fold_affine` has folded scales into weights, `transposed` has made convolutions of transposed ones. After: no convolution of constant weights over three dims is left.
//!
//! ```text
//! y[n, o, d, …] = Σ_t Σ_i x[n, i, d*s + t*e - pad, …] * w[o, i, t, …]
//!   → compute [n*D, T*I, …] { load 0 [i0 / D, i1 mod I, (i0 mod D)*s + (i1 / I)*e - pad, …] or 0 } · region conv · compute [n, O, D, …]
//! ```

use graph::builder::{BuildError, Point};
use graph::dim::Dim;
use graph::expr::{BinOp, ExprId};
use graph::graph::{Model, ValueId};
use graph::node::{Node, Op};
use graph::region::conv::{self, Conv};
use graph::region::window::Window;

use crate::rewrite::{Patch, Site, Stateless, rewrite};
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "deep_convolutions",
    run,
    reason: "kernels of planes serve volumes too",
    after: &["fold_affine", "transposed"],
    before: &["precision"],
};

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    if ctx.options.cpu_kernels {
        return Ok(Changes(0));
    }
    rewrite(model, ctx, PASS.name, &mut Stateless(rule))
}

fn rule(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    let Op::Region(region) = &node.op else { return Ok(None) };
    let ([data, weight], [_]) = (&node.operands[..], &node.results[..]) else { return Ok(None) };
    if region.kind != &conv::KIND || !site.facts.is_const(site.old, *weight) {
        return Ok(None);
    }
    flat(site, &Conv::from_attrs(&region.attrs)?, *data, *weight)
}

fn flat(site: &mut Site<'_>, conv: &Conv, data: ValueId, weight: ValueId) -> Result<Patch, BuildError> {
    let (Some(from), Some(kernel)) = (site.tensor(data).cloned(), site.tensor(weight).cloned()) else {
        return Ok(None);
    };
    let Some(kernel) = kernel.shape.iter().map(Dim::as_const).collect::<Option<Vec<i64>>>() else { return Ok(None) };
    let ([images, _, _, height, width], [outputs, inputs, taps, rows, columns]) = (&from.shape[..], &kernel[..]) else {
        return Ok(None);
    };
    let window = &conv.window;
    let rest = |values: &[Dim]| values.iter().skip(1).cloned().collect::<Vec<Dim>>();
    let plain = Window {
        strides: window.strides.iter().skip(1).copied().collect(),
        dilations: window.dilations.iter().skip(1).copied().collect(),
        pads_begin: rest(&window.pads_begin),
        pads_end: rest(&window.pads_end),
        output: rest(&window.output),
    };
    let (Some(depth), Some(pad)) = (window.output.first(), window.pads_begin.first()) else { return Ok(None) };
    let (data, weight) = (site.get(data)?, site.get(weight)?);
    let channels = Dim::constant(inputs * taps * conv.groups);
    let shape = vec![images * depth, channels, height.clone(), width.clone()];
    let planes = site.b.compute(&[data], shape, |p| {
        let (image, depth) = (p.index(0), p.dim(depth));
        let (n, d) = (p.binary(BinOp::FloorDiv, image, depth), p.binary(BinOp::Mod, image, depth));
        let [group, tap, c] = digits(p, 1, [*taps, *inputs]);
        let above = scaled(p, group, *inputs);
        let (start, reach) = (scaled(p, d, window.strides[0]), scaled(p, tap, window.dilations[0]));
        let (at, pad) = (p.add(start, reach), p.dim(pad));
        let at = [n, p.add(above, c), p.sub(at, pad), p.index(2), p.index(3)];
        let zero = p.zero(p.dtype_of_operand(0));
        let value = p.load_or(0, &at, zero);
        p.out(value);
    })?;
    let shape = [*outputs, inputs * taps, *rows, *columns].map(Dim::constant).to_vec();
    let weights = site.b.compute(&[weight], shape, |p| {
        let i = p.index(1);
        let (tap, c) = (digit(p, i, *inputs, *taps), digit(p, i, 1, *inputs));
        let at = [p.index(0), c, tap, p.index(2), p.index(3)];
        let value = p.load(0, &at);
        p.out(value);
    })?;
    let Some(weights) = site.b.const_tensor(weights) else { return Ok(None) };
    let weights = site.b.constant(weights)?;
    let plain = Conv { window: plain, ..conv.clone() };
    let planes = site.b.conv(&plain, planes, weights)?;
    let mut shape = vec![images.clone(), Dim::constant(*outputs)];
    shape.extend(window.output.iter().cloned());
    let placed = site.b.compute(&[planes], shape, |p| {
        let (n, depth, d) = (p.index(0), p.dim(depth), p.index(2));
        let above = p.mul(n, depth);
        let at = [p.add(above, d), p.index(1), p.index(3), p.index(4)];
        let value = p.load(0, &at);
        p.out(value);
    })?;
    Ok(Some(vec![placed]))
}

/// The digits of an index variable, the first of which has no bound.
fn digits(p: &mut Point<'_>, index: usize, extents: [i64; 2]) -> [ExprId; 3] {
    let i = p.index(index);
    let whole = p.int(extents[0] * extents[1]);
    [p.binary(BinOp::FloorDiv, i, whole), digit(p, i, extents[1], extents[0]), digit(p, i, 1, extents[1])]
}

/// `i / below mod extent`.
fn digit(p: &mut Point<'_>, i: ExprId, below: i64, extent: i64) -> ExprId {
    if extent == 1 {
        return p.int(0);
    }
    let above = if below == 1 {
        i
    } else {
        let below = p.int(below);
        p.binary(BinOp::FloorDiv, i, below)
    };
    let extent = p.int(extent);
    p.binary(BinOp::Mod, above, extent)
}

fn scaled(p: &mut Point<'_>, i: ExprId, by: i64) -> ExprId {
    if by == 1 {
        return i;
    }
    let by = p.int(by);
    p.mul(i, by)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, run_pass};
    use graph::builder::Builder;
    use graph::datum::Datum;
    use graph::dtype::DType;
    use graph::region::contract::Maths;
    use graph::tensor::Tensor;
    use graph::ty::Type;

    fn numbers(shape: &[i64]) -> Tensor {
        let count: i64 = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|k| ((k * 37 + 11) % 23) as f32 - 11.0).collect();
        Tensor::from_f32s(&values).reshaped(shape.iter().map(|d| *d as usize).collect()).unwrap()
    }

    /// The pass on a model of one convolution: what is left of `left`, and the same values.
    #[track_caller]
    fn check(from: &[i64], weight: &[i64], left: &str, build: impl FnOnce(&mut Builder, ValueId, ValueId) -> ValueId) {
        let mut b = Builder::new("test");
        let x = b.input("x", Type::tensor(DType::F32, from.iter().map(|d| Dim::constant(*d)).collect::<Vec<_>>()));
        let w = b.constant(numbers(weight)).unwrap();
        let y = build(&mut b, x, w);
        b.output(y);
        let mut model = b.finish();
        let inputs = [Datum::Tensor(numbers(from))];
        let before = graph::eval::model(&model, &inputs).unwrap();
        run_pass(&mut model, "deep_convolutions", &Options::default()).unwrap();
        let kind = |node: &Node| match &node.op {
            Op::Region(region) => Some(format!("{} {}", region.kind.name, region.attrs.ints("strides").unwrap().len())),
            _ => None,
        };
        let kinds: Vec<String> = model.graph.nodes.iter().filter_map(kind).collect();
        assert_eq!(kinds.join(", "), left);
        assert_eq!(graph::eval::model(&model, &inputs).unwrap(), before);
    }

    #[test]
    fn deep_convolutions_are_flat_ones_of_more_channels() {
        let deep = |groups: i64, strides: [i64; 3], dilations: [i64; 3], pads: [i64; 3]| {
            let from = [2, 4, 5, 6, 4];
            let weight = [6, 4 / groups, 3, 2, 3];
            check(&from, &weight, "conv 2", |b, x, w| {
                let dims = |values: &[i64]| values.iter().map(|v| Dim::constant(*v)).collect::<Vec<Dim>>();
                let window = Window::fitting(
                    &b.model().symbols,
                    (&dims(&from[2..]), &dims(&weight[2..])),
                    (strides.to_vec(), dilations.to_vec()),
                    (dims(&pads), dims(&pads)),
                );
                b.conv(&Conv { window, groups, acc: DType::F32, maths: Maths::Exact }, x, w).unwrap()
            });
        };
        deep(1, [1, 1, 1], [1, 1, 1], [1, 1, 1]);
        deep(2, [2, 1, 2], [1, 2, 1], [2, 0, 1]);
        deep(1, [1, 2, 1], [2, 1, 1], [0, 0, 0]);
    }
}

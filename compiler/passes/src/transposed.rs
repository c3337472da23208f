//! Transposed convolutions as convolutions of the same data, whose results are put in order.
//!
//! With stride `s`, the output at `q*s + r` is a sum over the taps `t*s + r` alone: for each remainder `r` a convolution with
//! stride 1 and `ceil(k / s)` taps. All remainders read the same window, so they are channels of one convolution (the sub-pixel
//! convolution of Shi et al. 2016, <https://arxiv.org/abs/1609.07009>), and a view puts each where it belongs. A kernel that `s`
//! does not divide is filled up with zeros.
//!
//! Before: the normal form; scales behind the region are folded into its weight. After: no `conv_transpose` of a constant weight
//! with constant pads; what is left has dilation and stride in one dim, is cut off beyond its kernel, or is what
//! [`Options::cpu_kernels`](crate::Options) keeps. Runs once.
//!
//! ```text
//! %1 = conv_transpose {strides = [2, 2]} (f32 [N, C, H, W] %0, f32 [C, O, 2, 2] w)
//!   → %1 = conv (%0, f32 [4*O, C, 1, 1] w') · %2 = compute [N, O, 2*H, 2*W] { load %1 [i0, (i2%2*2 + i3%2)*O + i1, i2/2, i3/2] }
//! ```

use bytes::Bytes;
use graph::builder::BuildError;
use graph::dim::Dim;
use graph::expr::BinOp;
use graph::graph::{Model, ValueId};
use graph::node::{Blob, Const, Node, Op};
use graph::region::conv::Conv;
use graph::region::conv_transpose::{self, ConvTranspose};
use graph::region::window::Window;
use graph::tensor::Tensor;

use crate::rewrite::{Patch, Site, Stateless, rewrite};
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "transposed",
    run,
    reason: "a transposed convolution then runs in the kernels of convolutions, at their speed",
    after: &["fold_affine", "dce"],
    before: &["precision"],
};

/// How many times larger than the kernel the taps of all remainders may be.
const MOST_ZEROS: usize = 4;

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    rewrite(model, ctx, PASS.name, &mut Stateless(rule))
}

/// One spatial dim.
struct Axis {
    kernel: usize,
    stride: usize,
    /// Taps of the convolution, and how far apart they are.
    taps: usize,
    dilation: i64,
    /// Position of the first output within its `stride` elements.
    rest: i64,
}

impl Axis {
    /// The axis with what the convolution pads it by at its start; `None` where no convolution does the same.
    fn of(window: &Window, d: usize, kernel: usize) -> Option<(Axis, i64)> {
        let (stride, dilation) = (*window.strides.get(d)?, *window.dilations.get(d)?);
        if stride > 1 && dilation > 1 {
            return None;
        }
        let pad = window.pads_begin.get(d)?.as_const()?;
        let taps = kernel.div_ceil(usize::try_from(stride).ok()?);
        let begin = dilation * (i64::try_from(taps).ok()? - 1) - pad.div_euclid(stride);
        let axis = Axis { kernel, stride: usize::try_from(stride).ok()?, taps, dilation, rest: pad.rem_euclid(stride) };
        (begin >= 0).then_some((axis, begin))
    }
}

fn rule(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    let Op::Region(region) = &node.op else { return Ok(None) };
    let ([data, weight], [result]) = (node.operands.as_slice(), node.results.as_slice()) else { return Ok(None) };
    if region.kind != &conv_transpose::KIND {
        return Ok(None);
    }
    let conv = ConvTranspose::from_attrs(&region.attrs)?;
    if site.ctx.options.cpu_kernels && conv.groups == 1 && conv.window.strides.len() <= 3 {
        return Ok(None);
    }
    let (Some(x), Some(y)) = (site.tensor(*data), site.tensor(*result)) else { return Ok(None) };
    let Some((Op::Const(Const::Inline(weight) | Const::Blob(Blob { tensor: weight, .. })), _)) =
        site.definition(*weight).map(|(node, at)| (&node.op, at))
    else {
        return Ok(None);
    };
    let Some((axes, window)) = convolution(site, &conv, weight, &x.shape) else { return Ok(None) };
    let Some(phases) = phases(weight, conv.groups, &axes) else { return Ok(None) };
    let phases = site.b.constant(phases)?;
    let data = site.get(*data)?;
    let all = site.b.conv(&Conv { window, groups: conv.groups, acc: conv.acc, maths: conv.maths }, data, phases)?;
    if axes.iter().all(|a| a.stride == 1) {
        return Ok(Some(vec![all]));
    }
    let per_group = weight.shape().get(1).copied().unwrap_or(1);
    in_order(site, all, &axes, per_group, y.shape.clone()).map(|value| Some(vec![value]))
}

/// The axes, and the window of the convolution.
fn convolution(site: &Site<'_>, conv: &ConvTranspose, weight: &Tensor, x: &[Dim]) -> Option<(Vec<Axis>, Window)> {
    let old = &conv.window;
    let mut axes = Vec::new();
    let mut window = Window {
        strides: vec![1; old.strides.len()],
        dilations: Vec::new(),
        pads_begin: Vec::new(),
        pads_end: Vec::new(),
        output: Vec::new(),
    };
    for (d, kernel) in weight.shape().iter().skip(2).enumerate() {
        let (axis, begin) = Axis::of(old, d, *kernel)?;
        let stride = Dim::constant(*old.strides.get(d)?);
        let output = site.b.model().symbols.ceil_div(&(old.output.get(d)? + &Dim::constant(axis.rest)), &stride);
        let reach = axis.dilation * (i64::try_from(axis.taps).ok()? - 1);
        let end = &(&(&output - x.get(2 + d)?) + &Dim::constant(reach)) - &Dim::constant(begin);
        end.as_const().filter(|end| *end >= 0)?;
        window.dilations.push(axis.dilation);
        window.pads_begin.push(Dim::constant(begin));
        window.pads_end.push(end);
        window.output.push(output);
        axes.push(axis);
    }
    Some((axes, window))
}

/// `[C, O/groups, kernel…]` as `[groups * strides… * O/groups, C/groups, taps…]`, the taps backwards.
fn phases(weight: &Tensor, groups: i64, axes: &[Axis]) -> Option<Tensor> {
    let groups = usize::try_from(groups).ok()?;
    let [channels, per_group, ..] = weight.shape() else { return None };
    // Zeros that a stride makes of a small kernel are not worth it.
    let all: usize = axes.iter().map(|a| a.taps * a.stride).product();
    if all > MOST_ZEROS * axes.iter().map(|a| a.kernel).product::<usize>() || weight.dtype().bits() % 8 != 0 {
        return None;
    }
    let (inner, size) = (channels / groups, usize::try_from(weight.dtype().bits() / 8).ok()?);
    let strides: usize = axes.iter().map(|a| a.stride).product();
    let taps: usize = axes.iter().map(|a| a.taps).product();
    let mut shape = vec![groups * strides * per_group, inner];
    shape.extend(axes.iter().map(|a| a.taps));
    // Where each remainder and tap is within a kernel, in the order of the result.
    let positions: Vec<Option<usize>> =
        (0..strides).flat_map(|r| (0..taps).map(move |u| position(axes, r, u))).collect();
    let kernel: usize = axes.iter().map(|a| a.kernel).product();
    let mut out = vec![0; shape.iter().product::<usize>() * size];
    let mut slots = out.chunks_exact_mut(size);
    for group in 0..groups {
        for of_phase in positions.chunks_exact(taps) {
            for o in 0..*per_group {
                for c in 0..inner {
                    let start = ((group * inner + c) * per_group + o) * kernel;
                    for (at, slot) in of_phase.iter().zip(&mut slots) {
                        let from = at.map(|at| (start + at) * size);
                        if let Some(element) = from.and_then(|from| weight.bytes().get(from..from + size)) {
                            slot.copy_from_slice(element);
                        }
                    }
                }
            }
        }
    }
    Tensor::from_bytes(weight.dtype(), shape, Bytes::from(out)).ok()
}

/// The place in a kernel of tap `u` of remainder `r`, both counted through all dims, the last the fastest; `None` is beyond it.
fn position(axes: &[Axis], mut r: usize, mut u: usize) -> Option<usize> {
    let (mut place, mut step) = (0, 1);
    for axis in axes.iter().rev() {
        let tap = axis.taps - 1 - u % axis.taps;
        let k = tap * axis.stride + r % axis.stride;
        if k >= axis.kernel {
            return None;
        }
        place += k * step;
        step *= axis.kernel;
        (r, u) = (r / axis.stride, u / axis.taps);
    }
    Some(place)
}

/// The channels of all remainders as one image.
fn in_order(
    site: &mut Site<'_>,
    all: ValueId,
    axes: &[Axis],
    per_group: usize,
    shape: Vec<Dim>,
) -> Result<ValueId, BuildError> {
    let strides: usize = axes.iter().map(|a| a.stride).product();
    let per_group = per_group as i64;
    site.b.compute(&[all], shape, |p| {
        let (n, o) = (p.index(0), p.index(1));
        let mut at = vec![n];
        let mut phase = p.int(0);
        let mut places = Vec::with_capacity(axes.len());
        for (d, axis) in axes.iter().enumerate() {
            let j = p.index(2 + d);
            let (rest, stride) = (p.int(axis.rest), p.int(axis.stride as i64));
            let j = p.add(j, rest);
            places.push(p.binary(BinOp::FloorDiv, j, stride));
            let remainder = p.binary(BinOp::Mod, j, stride);
            let before = p.mul(phase, stride);
            phase = p.add(before, remainder);
        }
        let size = p.int(per_group);
        let (group, inner) = (p.binary(BinOp::FloorDiv, o, size), p.binary(BinOp::Mod, o, size));
        let count = p.int(strides as i64);
        let before = p.mul(group, count);
        let row = p.add(before, phase);
        let start = p.mul(row, size);
        at.push(p.add(start, inner));
        at.extend(places);
        let value = p.load(0, &at);
        p.out(value);
    })
}

#[cfg(test)]
mod tests {
    use graph::builder::Builder;
    use graph::datum::Datum;
    use graph::dtype::DType;
    use graph::eval;
    use graph::region::contract::Maths;
    use graph::ty::Type;

    use super::*;
    use crate::{Options, run_pass};

    /// Kernel, stride, dilation, pad, and output along each dim of data of 3 by 4 (1-D: 4).
    type Along = (usize, i64, i64, i64, i64);

    fn check(groups: i64, along: &[Along], becomes_convolution: bool) {
        let mut b = Builder::new("test");
        let numbers = |count: usize| (0..count).map(|i| ((i * 7 + 3) % 11) as f32 - 4.0).collect::<Vec<_>>();
        let mut shape = vec![2, 4];
        shape.extend_from_slice(if along.len() == 1 { &[4] } else { &[3, 4] });
        let n = b.input_symbol("n", 1, None);
        let mut dims = vec![n];
        dims.extend(shape.iter().skip(1).map(|s| Dim::constant(*s as i64)));
        let x = b.input("x", Type::tensor(DType::F32, dims));
        let mut kernel = vec![4, 3];
        kernel.extend(along.iter().map(|a| a.0));
        let values = numbers(kernel.iter().product());
        let w = b.constant(Tensor::from_f32s(&values).reshaped(kernel).unwrap()).unwrap();
        let dims = |of: fn(&Along) -> i64| along.iter().map(|a| Dim::constant(of(a))).collect::<Vec<_>>();
        let window = Window {
            strides: along.iter().map(|a| a.1).collect(),
            dilations: along.iter().map(|a| a.2).collect(),
            pads_begin: dims(|a| a.3),
            pads_end: dims(|_| 0),
            output: dims(|a| a.4),
        };
        let conv = ConvTranspose { window, groups, acc: DType::F32, maths: Maths::Exact };
        let y = b.conv_transpose(&conv, x, w).unwrap();
        b.output(y);
        let before = b.finish();
        let mut after = before.clone();
        run_pass(&mut after, PASS.name, &Options::default()).unwrap();
        let has = |model: &Model, kind: &str| {
            model.graph.nodes.iter().any(|n| matches!(&n.op, Op::Region(r) if r.kind.name == kind))
        };
        assert_eq!(has(&after, "conv"), becomes_convolution, "{along:?}");
        let data = numbers(shape.iter().product());
        let input = [Datum::Tensor(Tensor::from_f32s(&data).reshaped(shape).unwrap())];
        assert_eq!(eval::model(&before, &input).unwrap(), eval::model(&after, &input).unwrap(), "{groups} {along:?}");
    }

    #[test]
    fn strides_that_divide_the_kernel() {
        check(1, &[(2, 2, 1, 0, 6), (2, 2, 1, 0, 8)], true);
        check(1, &[(4, 2, 1, 1, 6), (4, 2, 1, 1, 8)], true);
        check(2, &[(6, 3, 1, 2, 11)], true);
    }

    #[test]
    fn strides_that_do_not() {
        check(1, &[(3, 2, 1, 1, 5), (3, 2, 1, 1, 8)], true);
        check(2, &[(3, 2, 1, 0, 7), (5, 3, 1, 2, 11)], true);
        check(4, &[(2, 3, 1, 0, 11)], true);
    }

    #[test]
    fn without_strides() {
        check(1, &[(3, 1, 2, 0, 7), (3, 1, 1, 1, 4)], true);
        check(2, &[(3, 1, 2, 3, 3)], true);
    }

    #[test]
    fn what_no_convolution_does() {
        check(1, &[(3, 2, 2, 0, 11)], false);
        check(1, &[(3, 2, 1, 5, 4)], false);
        check(1, &[(1, 8, 1, 0, 25)], false);
    }
}

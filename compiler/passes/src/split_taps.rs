//! Convolutions with few outputs as a product with the weights of all taps, and a sum over what lies a tap apart.
//!
//! A product of a GPU makes 16 columns or more at once: with 3 channels of output most of them are padding, and every tap reads the
//! data again. With the taps as columns the data is read once, and the sum reads `taps * O` numbers for an output.
//!
//! Before: the normal form; scales behind the region are folded into its weight. After: no `conv` of one group, stride 1 and a constant
//! weight over large images that has at most [`MOST_OUTPUTS`] outputs and at least [`CHANNELS_EACH`] times as many channels. Rounds
//! differently: sums go over the channels first. Runs once.
//!
//! ```text
//! %1 = conv (f32 [N, C, H, W] %0, f32 [O, C, 3, 3] w)
//!   → %1 = contract "nhwc,oc->nohw" (%0, f32 [9*O, C] w') · %2 = compute [N, O, H, W] { sum over k, l of load %1 [i0, (3*k + l)*O + i1, i2 + k - 1, i3 + l - 1] or 0 }
//! ```

use bytes::Bytes;
use graph::builder::BuildError;
use graph::dim::Dim;
use graph::graph::{Model, ValueId};
use graph::node::{Blob, Combiner, Const, Node, Op};
use graph::region::contract::{self, Contract};
use graph::region::conv::{self, Conv};
use graph::region::window::Window;
use graph::tensor::Tensor;

use crate::rewrite::{Patch, Site, Stateless, rewrite};
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "split_taps",
    run,
    reason: "the last convolution of super-resolution and generators makes an image of few channels from many",
    after: &["fold_affine", "transposed", "dce"],
    before: &["precision"],
};

/// Outputs that leave most columns of a product empty.
const MOST_OUTPUTS: usize = 4;
/// Channels for each output, from which on reading the data for every tap takes longer than reading the sums.
const CHANNELS_EACH: usize = 8;
/// Taps from which on it is worth it.
const LEAST_TAPS: usize = 4;
/// Positions from which on another kernel is worth it.
const LEAST_POSITIONS: i64 = 16_384;

/// Outputs of the product that are stored at once.
const ROWS_TOGETHER: usize = 4;

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    if ctx.options.cpu_kernels {
        return Ok(Changes(0));
    }
    rewrite(model, ctx, PASS.name, &mut Stateless(rule))
}

fn rule(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    let Op::Region(region) = &node.op else { return Ok(None) };
    let ([data, weight], [result]) = (node.operands.as_slice(), node.results.as_slice()) else { return Ok(None) };
    if region.kind != &conv::KIND {
        return Ok(None);
    }
    let conv = Conv::from_attrs(&region.attrs)?;
    let Some(y) = site.tensor(*result) else { return Ok(None) };
    let Some((Op::Const(Const::Inline(weight) | Const::Blob(Blob { tensor: weight, .. })), _)) =
        site.definition(*weight).map(|(node, at)| (&node.op, at))
    else {
        return Ok(None);
    };
    if !is_worth_it(&conv, weight, &y.shape) {
        return Ok(None);
    }
    let Some(taps) = by_tap(weight) else { return Ok(None) };
    let rank = conv.window.strides.len();
    let (shape, kernel) = (y.shape.clone(), weight.shape().iter().skip(2).copied().collect::<Vec<_>>());
    let taps = site.b.constant(taps)?;
    let data = site.get(*data)?;
    // The sum reads positions of one tap next to each other: planes of them, whatever the data lies in.
    let mut last: Vec<usize> = (0..rank + 2).filter(|d| *d != 1).collect();
    last.push(1);
    let data = site.b.transpose(data, &last)?;
    let positions: String = ('e'..).take(rank).collect();
    let contract = Contract {
        a: format!("a{positions}c"),
        b: "bc".to_string(),
        result: format!("ab{positions}"),
        acc: conv.acc,
        maths: conv.maths,
    };
    let all = site.b.region_one(&contract::KIND, contract.to_attrs(), &[data, taps])?;
    sum(site, &conv.window, all, &kernel, shape).map(|value| Some(vec![value]))
}

fn is_worth_it(conv: &Conv, weight: &Tensor, y: &[Dim]) -> bool {
    let [outputs, channels, kernel @ ..] = weight.shape() else { return false };
    let taps: usize = kernel.iter().product();
    let positions = y.iter().skip(2).fold(Dim::constant(1), |all, d| &all * d);
    conv.groups == 1
        && conv.window.strides.iter().all(|s| *s == 1)
        && (1..=MOST_OUTPUTS).contains(outputs)
        && *channels >= CHANNELS_EACH * outputs
        && taps >= LEAST_TAPS
        && positions.as_const().is_none_or(|p| p >= LEAST_POSITIONS)
}

/// `[O, C, kernel…]` as `[kernel… * O, C]`, filled up with zeros.
fn by_tap(weight: &Tensor) -> Option<Tensor> {
    let [outputs, channels, kernel @ ..] = weight.shape() else { return None };
    let taps: usize = kernel.iter().product();
    let size = usize::try_from(weight.dtype().bits() / 8).ok().filter(|s| *s > 0)?;
    let mut out = Vec::with_capacity(taps * outputs * channels * size);
    for tap in 0..taps {
        for row in 0..outputs * channels {
            let at = (row * taps + tap) * size;
            out.extend_from_slice(weight.bytes().get(at..at + size)?);
        }
    }
    let rows = (taps * outputs).next_multiple_of(ROWS_TOGETHER);
    out.resize(rows * channels * size, 0);
    Tensor::from_bytes(weight.dtype(), vec![rows, *channels], Bytes::from(out)).ok()
}

/// The sum over taps, each where the window has it.
fn sum(
    site: &mut Site<'_>,
    window: &Window,
    all: ValueId,
    kernel: &[usize],
    shape: Vec<Dim>,
) -> Result<ValueId, BuildError> {
    let outputs = shape.get(1).cloned().unwrap_or(Dim::constant(1));
    site.b.compute(&[all], shape, |p| {
        let (n, o) = (p.index(0), p.index(1));
        let taps: Vec<_> = kernel.iter().map(|extent| p.reduce(&Dim::constant(*extent as i64))).collect();
        let mut tap = p.int(0);
        let mut places = Vec::with_capacity(kernel.len());
        for (d, (k, extent)) in taps.into_iter().zip(kernel).enumerate() {
            let extent = p.int(*extent as i64);
            let before = p.mul(tap, extent);
            tap = p.add(before, k);
            let i = p.index(2 + d);
            places.push(window.position(p, d, i, k));
        }
        let outputs = p.dim(&outputs);
        let start = p.mul(tap, outputs);
        let mut at = vec![n, p.add(start, o)];
        at.extend(places);
        let zero = p.zero(p.dtype_of_operand(0));
        let value = p.load_or(0, &at, zero);
        let total = p.acc(Combiner::Sum, value);
        p.out(total);
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

    /// Of `[1, channels, n, 4]` with `n` open, so that any size may come.
    fn check(outputs: usize, channels: usize, kernel: [usize; 2], dilation: i64, pad: i64, fires: bool) {
        let mut b = Builder::new("test");
        let n = b.input_symbol("n", 4, None);
        let dims = vec![Dim::constant(1), Dim::constant(channels as i64), n.clone(), Dim::constant(4)];
        let x = b.input("x", Type::tensor(DType::F32, dims));
        let numbers = |count: usize| (0..count).map(|i| ((i * 7 + 3) % 11) as f32 - 4.0).collect::<Vec<_>>();
        let shape = vec![outputs, channels, kernel[0], kernel[1]];
        let w = Tensor::from_f32s(&numbers(shape.iter().product())).reshaped(shape).unwrap();
        let w = b.constant(w).unwrap();
        let pads = vec![Dim::constant(pad); 2];
        let taps = kernel.map(|k| Dim::constant(k as i64));
        let window = Window::fitting(
            &b.model().symbols,
            (&[n, Dim::constant(4)], &taps),
            (vec![1, 1], vec![dilation; 2]),
            (pads.clone(), pads),
        );
        let y = b.conv(&Conv { window, groups: 1, acc: DType::F32, maths: Maths::Exact }, x, w).unwrap();
        b.output(y);
        let before = b.finish();
        let mut after = before.clone();
        let Changes(count) = run_pass(&mut after, PASS.name, &Options::default()).unwrap();
        assert_eq!(count, usize::from(fires), "{outputs} of {channels}, {kernel:?}");
        let data = numbers(channels * 20);
        let input = [Datum::Tensor(Tensor::from_f32s(&data).reshaped(vec![1, channels, 5, 4]).unwrap())];
        assert_eq!(eval::model(&before, &input).unwrap(), eval::model(&after, &input).unwrap(), "{kernel:?}");
    }

    #[test]
    fn images_from_many_channels() {
        check(3, 24, [3, 3], 1, 1, true);
        check(1, 8, [3, 2], 1, 0, true);
        check(2, 16, [2, 2], 2, 1, true);
    }

    #[test]
    fn others_stay() {
        check(5, 64, [3, 3], 1, 1, false);
        check(2, 15, [3, 3], 1, 1, false);
        check(1, 32, [1, 1], 1, 0, false);
    }
}

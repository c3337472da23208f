//! Faults planted into the kernels that models become, one at a time: the emulator reports each, or the results are wrong.

use std::collections::BTreeMap;

use conformance::compare::{Tolerance, outputs};
use conformance::device::{self, Place, Ready};
use conformance::planted::{Kind, Planted, planted};
use graph::builder::{BuildError, Builder};
use graph::datum::Datum;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, ExprId};
use graph::graph::{Model, ValueId};
use graph::node::{Combiner, ScatterMode};
use graph::region::activation::Activation;
use graph::region::attention::{Attention, Labels};
use graph::region::contract::Maths;
use graph::region::conv::Conv;
use graph::region::rnn::{self, Cell, Rnn};
use graph::region::softmax::Softmax;
use graph::region::window::Window;
use graph::scalar::Scalar;
use graph::tensor::Tensor;
use graph::ty::Type;
use ptx::Sm;

/// Numbers from -1 to 1.
fn numbers(dtype: DType, shape: &[usize], seed: usize) -> Tensor {
    let count: usize = shape.iter().product();
    let value = |i: usize| ((i * 7919 + seed * 104_729) % 127) as f64 / 64.0 - 1.0;
    let values: Vec<Scalar> = (0..count).map(|i| Scalar::from_f64(dtype, value(i))).collect();
    Tensor::from_scalars(dtype, shape.to_vec(), &values).unwrap()
}

fn dims(shape: &[usize]) -> Vec<Dim> {
    shape.iter().map(|d| Dim::from(*d)).collect()
}

/// A model of some inputs, and those.
type Case = (Model, Vec<Tensor>);

fn model_of(inputs: Vec<Tensor>, build: impl FnOnce(&mut Builder, &[ValueId]) -> Result<ValueId, BuildError>) -> Case {
    let mut b = Builder::new("model");
    let values: Vec<ValueId> = inputs.iter().map(|t| b.input("x", Type::tensor(t.dtype(), dims(t.shape())))).collect();
    let y = build(&mut b, &values).unwrap();
    b.output(y);
    (b.finish(), inputs)
}

/// A model of one input.
fn model(
    dtype: DType,
    shape: &[usize],
    build: impl FnOnce(&mut Builder, ValueId) -> Result<ValueId, BuildError>,
) -> Case {
    model_of(vec![numbers(dtype, shape, 3)], |b, values| build(b, values[0]))
}

/// Faults of a kind that change nothing: what stands in the line, the one before and the one after, and the reason.
type Harmless = (Kind, &'static str, &'static str);

/// What is planted where.
struct Check {
    ready: Ready,
    inputs: Vec<Datum>,
    expected: Vec<Datum>,
    harmless: Vec<Harmless>,
}

impl Check {
    /// A case whose claims are in the variants of these names.
    #[track_caller]
    fn of((model, inputs): Case, sm: Sm, variants: &[(&str, &str)]) -> Check {
        let ready = device::prepare_in(&model, sm, variants).unwrap();
        let inputs: Vec<Datum> = inputs.into_iter().map(Datum::Tensor).collect();
        let expected = graph::eval::model(&model, &inputs).unwrap();
        let check = Check { ready, inputs, expected, harmless: Vec::new() };
        assert_eq!(check.run(check.ready.clone()), Ok(()));
        check
    }

    fn harmless(mut self, list: &[Harmless]) -> Check {
        self.harmless.extend_from_slice(list);
        self
    }

    /// Whether results are right and nothing is reported.
    fn run(&self, ready: Ready) -> Result<(), String> {
        let found = ready.run(Place::Emulator, &[self.inputs.as_slice()])?;
        outputs(&found[0], &self.expected, Tolerance { relative: 4e-3, absolute: 4e-3 }).map(drop)
    }

    fn run_text(&self, k: usize, text: String) -> Result<(), String> {
        let mut ready = self.ready.clone();
        ready.set_kernel(k, text);
        let found = self.run(ready);
        let refused = found.as_ref().err().filter(|e| e.starts_with("load:"));
        assert_eq!(refused, None, "a fault must be one of a program that runs");
        found
    }

    /// Plants every fault of order, and leaves out every launch.
    #[track_caller]
    fn order(self) -> BTreeMap<Kind, usize> {
        let counts = self.plant(|fault| Kind::ORDER.contains(&fault.kind));
        let launches = self.ready.launches();
        for step in &launches {
            let mut ready = self.ready.clone();
            ready.drop_step(*step);
            assert!(self.run(ready).is_err(), "launch {step} of {launches:?} is left out, and nothing tells");
        }
        counts
    }

    /// Plants every fault of order, of which there must be some of each of these kinds.
    #[track_caller]
    fn order_with(self, kinds: &[Kind]) {
        let counts = self.order();
        kinds.iter().for_each(|kind| assert!(counts.contains_key(kind), "no {kind} among {counts:?}"));
    }

    /// Plants the faults that are wanted; yields how many of each kind were found.
    #[track_caller]
    fn plant(&self, wanted: impl Fn(&Planted) -> bool) -> BTreeMap<Kind, usize> {
        let kernels: Vec<(String, String)> =
            self.ready.kernels().map(|(n, t)| (n.to_string(), t.to_string())).collect();
        let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
        let (mut missed, mut unreached) = (Vec::new(), 0);
        for (k, (name, text)) in kernels.iter().enumerate() {
            for fault in planted(text).into_iter().filter(&wanted) {
                if self.run_text(k, fault.text).is_err() {
                    *counts.entry(fault.kind).or_default() += 1;
                    continue;
                }
                let place = with_neighbours(text, fault.line);
                if self.harmless.iter().any(|(kind, at, _)| *kind == fault.kind && place.contains(at)) {
                    continue;
                }
                if fault.reached.is_some_and(|probe| self.run_text(k, probe).is_ok()) {
                    unreached += 1;
                    continue;
                }
                missed.push(format!("{name}: {}, line {}: {place}", fault.kind, fault.line));
            }
        }
        println!("found {counts:?} in {} kernels, {unreached} without effect, {} missed", kernels.len(), missed.len());
        if !missed.is_empty() {
            let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
            let thread = std::thread::current().name().unwrap_or("kernels").replace("::", "_");
            let file = folder.join(format!("{thread}.ptx"));
            let texts: Vec<&str> = kernels.iter().map(|(_, text)| text.as_str()).collect();
            std::fs::write(&file, texts.join("\n")).unwrap();
            panic!("missed, in {}:\n{}", file.display(), missed.join("\n"));
        }
        counts
    }
}

/// A line with its neighbours.
fn with_neighbours(text: &str, line: usize) -> String {
    let lines: Vec<&str> = text.lines().skip(line.saturating_sub(2)).take(3).map(str::trim).collect();
    lines.join(" | ")
}

/// `a w`, rows of `a` against a constant.
fn product(dtype: DType, rows: usize, depth: usize, columns: usize) -> Case {
    model(dtype, &[rows, depth], |b, x| {
        let w = b.constant(numbers(dtype, &[depth, columns], 1))?;
        let y = b.contract("ij,jk->ik", x, w)?;
        b.cast(y, dtype)
    })
}

#[test]
fn products_in_f32() {
    let kinds = [Kind::DroppedBarrier, Kind::DroppedWait, Kind::LooseWait, Kind::DroppedCommit];
    Check::of(product(DType::F32, 37, 50, 20), Sm::Sm80, &[]).order_with(&kinds);
}

/// What every product with asynchronous copies has.
const STAGED: [Kind; 4] = [Kind::DroppedBarrier, Kind::DroppedWait, Kind::LooseWait, Kind::DroppedCommit];

#[test]
fn products_on_tensor_cores() {
    Check::of(product(DType::F16, 37, 192, 40), Sm::Sm80, &[]).order_with(&STAGED);
    Check::of(product(DType::F16, 20, 72, 24), Sm::Sm75, &[]).order_with(&[Kind::DroppedBarrier]);
}

#[test]
fn products_of_several_tiles() {
    Check::of(product(DType::F16, 130, 576, 136), Sm::Sm90a, &[]).order_with(&STAGED);
}

/// What products of warp groups have besides.
const WIDE: [Kind; 6] = [
    Kind::DroppedBarrier,
    Kind::DroppedWait,
    Kind::LooseWait,
    Kind::DroppedCommit,
    Kind::DroppedFence,
    Kind::WrongDescriptor,
];

fn product_in(variant: &str, [rows, depth, columns]: [usize; 3]) -> Check {
    Check::of(product(DType::F16, rows, depth, columns), Sm::Sm90a, &[("product", variant)])
}

/// Slots are filled again while products run: one tile behind, or none. The last tile lies in the first slot, where results pass.
#[test]
fn products_of_warp_groups() {
    product_in("w64x64_1x1_4_p", [70, 520, 56]).order_with(&WIDE);
    product_in("w128x32_2x1_5", [130, 680, 40]).order_with(&WIDE);
}

/// Parts of a sum meet in a cluster.
const CLUSTERED: [Kind; 4] = [Kind::DroppedBarrier, Kind::RelaxedBarrier, Kind::DroppedWait, Kind::WrongRank];

#[test]
fn sums_split_in_a_cluster() {
    product_in("w64x32_1x1_6_k3", [66, 1344, 24]).order_with(&CLUSTERED);
    product_in("32x32x64_1x2_6_k2", [34, 1024, 40]).order_with(&CLUSTERED);
}

/// Where there are no clusters, parts go through memory.
#[test]
fn sums_split_over_launches() {
    let check = Check::of(product(DType::F16, 3, 2048, 16), Sm::Sm80, &[("product", "16x64x64_1x4_6_k4")]);
    assert_eq!(check.ready.launches().len(), 2);
    check.order_with(&STAGED);
}

/// A convolution with channels of both sides and groups.
fn convolution(dtype: DType, data: &[usize], weight: &[usize], groups: i64) -> Case {
    model(dtype, data, |b, x| {
        let w = b.constant(numbers(dtype, weight, 4))?;
        let (extent, kernel) = (dims(&data[2..]), dims(&weight[2..]));
        let pads = || vec![Dim::from(1_usize); 2];
        let window =
            Window::fitting(&b.model().symbols, (&extent, &kernel), (vec![1; 2], vec![1; 2]), (pads(), pads()));
        let y = b.conv(&Conv { window, groups, acc: DType::F32, maths: Maths::Exact }, x, w)?;
        b.cast(y, dtype)
    })
}

#[test]
fn convolutions() {
    Check::of(convolution(DType::F16, &[1, 16, 9, 7], &[24, 16, 3, 3], 1), Sm::Sm80, &[]).order_with(&STAGED);
    Check::of(convolution(DType::F16, &[1, 16, 9, 7], &[16, 1, 3, 3], 16), Sm::Sm80, &[]).order();
}

#[test]
fn convolutions_of_warp_groups() {
    let case = convolution(DType::F16, &[1, 64, 9, 8], &[24, 64, 3, 3], 1);
    Check::of(case, Sm::Sm90a, &[("conv", "w64x16_1x1_8")]).order_with(&WIDE);
}

/// Attention over queries, keys and values of several heads.
fn attention(dtype: DType, [batch, length, heads, depth]: [usize; 4]) -> Case {
    let shape = [batch, length, heads, depth];
    let inputs = (1..4).map(|seed| numbers(dtype, &shape, seed)).collect();
    model_of(inputs, |b, values| {
        let attention = Attention {
            causal: Some(Dim::constant(0)),
            labels: Labels::parse("bshd,bthd,bthe->bshe").unwrap(),
            ..Attention::plain(DType::F32)
        };
        b.attention(&attention, values).map(|(result, _)| result)
    })
}

#[test]
fn attention_in_f32() {
    Check::of(attention(DType::F32, [1, 75, 1, 16]), Sm::Sm80, &[("attention", "16x32_4_2")]).order_with(&STAGED);
    Check::of(attention(DType::F32, [1, 70, 1, 16]), Sm::Sm75, &[]).order_with(&[Kind::DroppedBarrier]);
}

#[test]
fn attention_on_tensor_cores() {
    Check::of(attention(DType::F16, [1, 130, 1, 32]), Sm::Sm80, &[("attention", "32x32_2_3")]).order_with(&STAGED);
}

/// One group, a pair of groups that meet by turns, and two teams of a group. Results of heads of 128 reach into the values of the
/// last block.
#[test]
fn attention_of_warp_groups() {
    for variant in ["w64x64_4_2", "w128x64_8_4", "w64x64_8_2"] {
        let case = attention(DType::F16, [1, 300, 1, 128]);
        Check::of(case, Sm::Sm90a, &[("attention", variant)]).order_with(&WIDE);
    }
}

/// A recurrent layer over `[T, B, I]`: a product for all steps, and the steps.
fn recurrent([steps, batch, input, hidden]: [usize; 4]) -> Case {
    let rnn = Rnn {
        cell: Cell::Lstm { input_forget: false },
        activations: vec![Activation::Sigmoid, Activation::Tanh, Activation::Tanh],
        clip: None,
        bias: false,
        lengths: false,
        peepholes: false,
    };
    let f32 = DType::F32;
    let inputs = vec![
        numbers(f32, &[steps, batch, input], 1),
        numbers(f32, &[batch, hidden], 4),
        numbers(f32, &[batch, hidden], 5),
    ];
    model_of(inputs, |b, values| {
        let weight = b.constant(numbers(f32, &[4 * hidden, input], 2))?;
        let again = b.constant(numbers(f32, &[4 * hidden, hidden], 3))?;
        let operands = [values[0], weight, again, values[1], values[2]];
        b.region(&rnn::KIND, rnn.to_attrs(), &operands).map(|results| results[0])
    })
}

#[test]
fn steps_of_a_recurrent_layer() {
    let alone = Check::of(recurrent([4, 3, 40, 32]), Sm::Sm80, &[("recurrent", "c1_8_256_1")]);
    alone.order_with(&[Kind::DroppedBarrier]);
    let clustered = Check::of(recurrent([4, 3, 40, 32]), Sm::Sm90a, &[("recurrent", "c2_8_256_1")]);
    clustered.order_with(&CLUSTERED);
}

#[test]
fn reductions() {
    let all = |axes: &'static [usize]| move |b: &mut Builder, x: ValueId| b.reduce(x, axes, false, Combiner::Max);
    for (shape, axes) in [([3, 5000], &[1][..]), ([3, 5000], &[0, 1]), ([700, 40], &[0]), ([4, 40_000], &[1])] {
        Check::of(model(DType::F32, &shape, all(axes)), Sm::Sm80, &[]).order_with(&[Kind::DroppedBarrier]);
    }
}

/// Rows that are held in registers, and rows that are too long for it.
#[test]
fn softmax() {
    let of = |b: &mut Builder, x: ValueId| b.softmax(Softmax { axis: 1, log: false }, x);
    for length in [1500, 20_000] {
        Check::of(model(DType::F32, &[3, length], of), Sm::Sm80, &[]).order_with(&[Kind::DroppedBarrier]);
    }
}

#[test]
fn transposes() {
    let of = |b: &mut Builder, x: ValueId| b.transpose(x, &[1, 0]);
    Check::of(model(DType::F32, &[70, 45], of), Sm::Sm80, &[]).order_with(&[Kind::DroppedBarrier]);
}

/// Updates of elements, several of one each.
fn updates(dtype: DType, mode: ScatterMode, [elements, count]: [usize; 2]) -> Case {
    let at: Vec<Scalar> = (0..count).map(|i| Scalar::i64((i * i * 31 % elements) as i64)).collect();
    let at = Tensor::from_scalars(DType::I64, vec![count], &at).unwrap();
    let whole = |shape: &[usize], seed: usize| {
        let values: Vec<Scalar> =
            (0..shape[0]).map(|i| Scalar::from_f64(dtype, ((i * 7919 + seed) % 127) as f64)).collect();
        Tensor::from_scalars(dtype, shape.to_vec(), &values).unwrap()
    };
    model_of(vec![whole(&[elements], 5), at, whole(&[count], 9)], |b, values| {
        b.scatter(values, dims(&[count]), mode, |p| {
            let i = p.index(0);
            let index: ExprId = p.load(1, &[i]);
            (vec![index], p.load(2, &[i]))
        })
    })
}

#[test]
fn scatters() {
    for combiner in [Combiner::Sum, Combiner::Max] {
        let case = updates(DType::I32, ScatterMode::Combine(combiner), [50, 700]);
        Check::of(case, Sm::Sm80, &[]).order_with(&[Kind::TornAtomic]);
    }
    Check::of(updates(DType::F32, ScatterMode::Last, [50, 700]), Sm::Sm80, &[]).order_with(&[Kind::TornAtomic]);
    let sums = updates(DType::F32, ScatterMode::Combine(Combiner::Sum), [50, 700]);
    Check::of(sums, Sm::Sm80, &[]).order_with(&[Kind::TornAtomic]);
}

#[test]
fn sorts() {
    let sorted = |b: &mut Builder, x: ValueId| b.sort(&[x], 1, true, None).map(|found| found[0]);
    let barriers = [Kind::DroppedBarrier];
    Check::of(model(DType::F32, &[2, 500], sorted), Sm::Sm80, &[]).order_with(&barriers);
    Check::of(model(DType::F64, &[2, 500], sorted), Sm::Sm80, &[]).order_with(&barriers);
    let first = |b: &mut Builder, x: ValueId| b.sort(&[x], 0, false, Some(Dim::from(5_usize))).map(|found| found[1]);
    Check::of(model(DType::I32, &[6000], first), Sm::Sm80, &[]).order_with(&barriers);
}

#[test]
fn sorts_of_several_blocks() {
    let sorted = |b: &mut Builder, x: ValueId| b.sort(&[x], 0, false, None).map(|found| found[0]);
    let check = Check::of(model(DType::F32, &[9000], sorted), Sm::Sm80, &[]);
    assert_eq!(check.ready.launches().len(), 3);
    check.order_with(&[Kind::DroppedBarrier]);
}

#[test]
fn running_combinations() {
    let running = |b: &mut Builder, x: ValueId| b.prefix(x, 1, Combiner::Max, false, false);
    Check::of(model(DType::F32, &[2, 3000], running), Sm::Sm80, &[]).order_with(&[Kind::DroppedBarrier]);
}

/// A line in segments of two turns, so long that it takes CTAs of two launches.
#[test]
fn running_combinations_of_segments() {
    let running = |b: &mut Builder, x: ValueId| b.prefix(x, 0, Combiner::Max, true, false);
    let check = Check::of(model(DType::F32, &[66_000], running), Sm::Sm80, &[]);
    assert_eq!(check.ready.launches().len(), 2);
    check.order_with(&[Kind::DroppedBarrier]);
}

#[test]
fn positions_of_a_mask() {
    let positions = |b: &mut Builder, x: ValueId| {
        let zero = b.splat(Scalar::f32(0.0), Vec::new())?;
        let keep = b.map(&[zero, x], |p, e| p.lt(e[0], e[1]))?;
        b.compact(keep, Dim::from(9000_usize)).map(|(found, _)| found)
    };
    Check::of(model(DType::F32, &[9000], positions), Sm::Sm80, &[]).order_with(&[Kind::DroppedBarrier]);
}

/// Faults in numbers, where every comparison and factor of the kernel matters.
#[test]
fn wrong_numbers() {
    let halves = |b: &mut Builder, x: ValueId| {
        let half = b.splat(Scalar::f32(0.5), Vec::new())?;
        b.binary(BinOp::Mul, x, half)
    };
    let clamped: &[Harmless] =
        &[(Kind::OffByOne, "setp.lt.u32", "addresses are clamped: the last element is written twice, with one value")];
    let check = Check::of(model(DType::F32, &[2045], halves), Sm::Sm80, &[]).harmless(clamped);
    check.plant(|fault| Kind::NUMBERS.contains(&fault.kind));
}

/// Faults in numbers that are reached and change nothing.
const REACHED: &[Harmless] = &[
    (
        Kind::WrongStride,
        ", 5; | mul.lo.u32",
        "the part of shared memory that a warp passes its results through is further from the others', and still inside",
    ),
    (
        Kind::OffByOne,
        "cp.async.commit_group; | setp.gt.s32",
        "a tile behind the last is copied to a slot that nothing reads or writes any more",
    ),
    (Kind::OffByOne, "wgmma.commit_group.sync.aligned; | setp.gt.s32", "as above"),
    (Kind::OffByOne, "K_LOOP_0: | setp.gt.s32", "as above"),
    (Kind::OffByOne, ", 4; | setp.gt.s32", "as above, of a sum of four tiles"),
    (
        Kind::OffByOne,
        ", -1; | setp.gt.s32",
        "a round more multiplies the zeros that are in the place of a tile behind the last",
    ),
    (Kind::OffByOne, ", 1; | @%p", "parts of a tile behind the last are read, and not multiplied"),
    (Kind::OffByOne, "bar.sync 0; | setp.lt.u32", "two lanes of a hidden unit store one value"),
    (Kind::OffByOne, ", 1; | setp.lt.u32", "as above"),
    (Kind::OffByOne, "| min.u32", "addresses are clamped: the last element is written twice, with one value"),
];

/// Of convolutions.
const PIXELS: &[Harmless] =
    &[(Kind::OffByOne, "| setp.lt.u32", "the pixels of tiles behind the last are compared, and not copied")];

/// Some faults in numbers: every `among`-th, from one on that the text decides.
fn some_numbers(check: Check, among: usize) {
    let chosen = |fault: &Planted| {
        let hash = fault.was.bytes().fold(fault.line, |h, c| (h * 31 + usize::from(c)) % 1_000_003);
        Kind::NUMBERS.contains(&fault.kind) && hash.is_multiple_of(among)
    };
    let counts = check.harmless(REACHED).plant(chosen);
    Kind::NUMBERS.iter().for_each(|kind| assert!(counts.contains_key(kind), "no {kind} among {counts:?}"));
}

#[test]
fn wrong_numbers_of_products() {
    some_numbers(Check::of(product(DType::F16, 37, 200, 40), Sm::Sm80, &[]), 1);
    some_numbers(product_in("w64x64_1x1_4_p", [70, 328, 56]), 1);
    let pixels = convolution(DType::F16, &[1, 80, 9, 7], &[24, 80, 3, 3], 1);
    some_numbers(Check::of(pixels, Sm::Sm80, &[]).harmless(PIXELS), 1);
}

#[test]
fn wrong_numbers_of_attention_and_recurrent_layers() {
    some_numbers(Check::of(attention(DType::F16, [1, 70, 2, 32]), Sm::Sm80, &[("attention", "32x32_2_3")]), 3);
    some_numbers(Check::of(recurrent([3, 3, 40, 32]), Sm::Sm80, &[("recurrent", "c1_8_256_1")]), 3);
}

#[test]
fn wrong_numbers_of_generic_kernels() {
    let sorted = |b: &mut Builder, x: ValueId| b.sort(&[x], 1, true, None).map(|found| found[0]);
    some_numbers(Check::of(model(DType::F32, &[2, 512], sorted), Sm::Sm80, &[]), 2);
    let running = |b: &mut Builder, x: ValueId| b.prefix(x, 1, Combiner::Sum, false, false);
    some_numbers(Check::of(model(DType::F32, &[2, 3000], running), Sm::Sm80, &[]), 2);
    some_numbers(Check::of(updates(DType::I32, ScatterMode::Combine(Combiner::Sum), [1100, 3000]), Sm::Sm80, &[]), 2);
}

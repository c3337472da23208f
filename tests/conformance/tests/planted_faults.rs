//! Faults planted into the kernels that models become, one at a time: the emulator reports each, or the results are wrong.

use std::collections::BTreeMap;

use conformance::compare::{Tolerance, outputs};
use conformance::device::{self, Place};
use conformance::planted::{Kind, planted};
use graph::builder::{BuildError, Builder};
use graph::datum::Datum;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::BinOp;
use graph::graph::{Model, ValueId};
use graph::node::Combiner;
use graph::region::contract::Maths;
use graph::region::conv::Conv;
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

/// A model of one input.
fn model(
    dtype: DType,
    shape: &[usize],
    build: impl FnOnce(&mut Builder, ValueId) -> Result<ValueId, BuildError>,
) -> (Model, Tensor) {
    let mut b = Builder::new("model");
    let x = b.input("x", Type::tensor(dtype, dims(shape)));
    let y = build(&mut b, x).unwrap();
    b.output(y);
    (b.finish(), numbers(dtype, shape, 3))
}

/// Faults of a kind that change nothing: what stands in the line, the one before and the one after, and the reason.
type Harmless = (Kind, &'static str, &'static str);

/// Products whose operands come through several stages of shared memory.
const STAGED: &[Harmless] = &[
    (
        Kind::DroppedWait,
        "K_DONE_1: | cp.async.wait_group 0;",
        "groups past the last round are empty, the rounds waited for the others",
    ),
    (Kind::LooseWait, "K_DONE_1: | cp.async.wait_group 0;", "as above"),
    (Kind::DroppedWait, "wgmma.wait_group.sync.aligned 0; | cp.async.wait_group 0;", "as above"),
    (Kind::LooseWait, "wgmma.wait_group.sync.aligned 0; | cp.async.wait_group 0;", "as above"),
    (
        Kind::DroppedBarrier,
        "| bar.warp.sync 0xFFFFFFFF; | st.shared",
        "orders a round of results behind the one before, here is one round",
    ),
];

/// Of those, the ones whose fragments are in registers before the last barrier of the rounds: nothing reads shared memory between that
/// barrier and the one behind the rounds.
const REGISTERS: &[Harmless] = &[
    (Kind::DroppedBarrier, "cp.async.wait_group 0; | bar.sync 0;", "the last read stands before the last barrier"),
    (Kind::DroppedBarrier, "K_DONE_1: | bar.sync 0;", "as above, without asynchronous copies"),
];

/// Whether what follows a line touches no shared memory: a barrier there orders nothing.
fn is_behind_shared_memory(text: &str, line: usize) -> bool {
    let labels: Vec<&str> = text.lines().take(line).filter_map(|l| l.trim().strip_suffix(':')).collect();
    let back = |l: &str| l.contains("bra ") && labels.iter().any(|label| l.contains(label));
    !text.lines().skip(line).any(|l| l.contains(".shared") || back(l))
}

/// A line with its neighbours.
fn with_neighbours(text: &str, line: usize) -> String {
    let lines: Vec<&str> = text.lines().skip(line.saturating_sub(2)).take(3).map(str::trim).collect();
    lines.join(" | ")
}

/// Plants every fault of some kinds into every kernel.
#[track_caller]
fn check((model, input): (Model, Tensor), sm: Sm, kinds: &[Kind], harmless: &[&[Harmless]]) {
    let harmless = harmless.concat();
    let inputs = [Datum::Tensor(input)];
    let expected = graph::eval::model(&model, &inputs).unwrap();
    let tolerance = Tolerance { relative: 2e-2, absolute: 2e-2 };
    let right = |k: usize, text: Option<String>| -> Result<(), String> {
        let mut ready = device::prepare(&model, sm, true).unwrap();
        if let Some(text) = text {
            ready.set_kernel(k, text);
        }
        let found = ready.run(Place::Emulator, &[inputs.as_slice()])?;
        outputs(&found[0], &expected, tolerance).map(drop)
    };
    assert_eq!(right(0, None), Ok(()));
    let kernels: Vec<(String, String)> =
        device::prepare(&model, sm, true).unwrap().kernels().map(|(n, t)| (n.to_string(), t.to_string())).collect();
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    let mut missed = Vec::new();
    for (k, (name, text)) in kernels.iter().enumerate() {
        for fault in planted(text).into_iter().filter(|f| kinds.contains(&f.kind)) {
            *counts.entry(fault.kind).or_default() += 1;
            let place = with_neighbours(text, fault.line);
            let known = harmless.iter().any(|(kind, at, _)| *kind == fault.kind && place.contains(at))
                || fault.kind == Kind::DroppedBarrier && is_behind_shared_memory(text, fault.line);
            if right(k, Some(fault.text)).is_ok() && !known {
                missed.push(format!("{name}: {}, line {}: {}", fault.kind, fault.line, fault.was));
            }
        }
    }
    println!("{counts:?} in {} kernels, {} missed", kernels.len(), missed.len());
    if !missed.is_empty() {
        let texts: Vec<&String> = kernels.iter().map(|(_, text)| text).collect();
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
        let file =
            folder.join(format!("{}.ptx", std::thread::current().name().unwrap_or("kernels").replace("::", "_")));
        std::fs::write(&file, texts.into_iter().cloned().collect::<Vec<_>>().join("\n")).unwrap();
        panic!("missed, in {}:\n{}", file.display(), missed.join("\n"));
    }
}

/// `a w`, rows of `a` against a constant.
fn product(dtype: DType, rows: usize, depth: usize, columns: usize) -> (Model, Tensor) {
    model(dtype, &[rows, depth], |b, x| {
        let w = b.constant(numbers(dtype, &[depth, columns], 1))?;
        let y = b.contract("ij,jk->ik", x, w)?;
        b.cast(y, dtype)
    })
}

#[test]
fn products_in_f32() {
    check(product(DType::F32, 37, 50, 20), Sm::Sm80, &Kind::ORDER, &[]);
}

#[test]
fn products_on_tensor_cores() {
    check(product(DType::F16, 37, 192, 40), Sm::Sm80, &Kind::ORDER, &[STAGED, REGISTERS]);
    check(product(DType::F16, 20, 72, 24), Sm::Sm75, &Kind::ORDER, &[STAGED, REGISTERS]);
}

#[test]
fn products_of_several_tiles() {
    check(product(DType::F16, 130, 576, 136), Sm::Sm90a, &Kind::ORDER, &[STAGED, REGISTERS]);
}

#[test]
fn split_sums() {
    check(product(DType::F16, 3, 2048, 16), Sm::Sm80, &Kind::ORDER, &[STAGED, REGISTERS]);
}

/// A convolution with channels of both sides and groups.
fn convolution(dtype: DType, data: &[usize], weight: &[usize], groups: i64) -> (Model, Tensor) {
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
    check(convolution(DType::F16, &[1, 16, 9, 7], &[24, 16, 3, 3], 1), Sm::Sm80, &Kind::ORDER, &[STAGED, REGISTERS]);
    check(convolution(DType::F16, &[1, 16, 9, 7], &[16, 1, 3, 3], 16), Sm::Sm80, &Kind::ORDER, &[]);
}

#[test]
fn reductions() {
    let all = |axes: &'static [usize]| move |b: &mut Builder, x: ValueId| b.reduce(x, axes, false, Combiner::Max);
    check(model(DType::F32, &[3, 5000], all(&[1])), Sm::Sm80, &Kind::ORDER, &[]);
    check(model(DType::F32, &[3, 5000], all(&[0, 1])), Sm::Sm80, &Kind::ORDER, &[]);
    check(model(DType::F32, &[700, 40], all(&[0])), Sm::Sm80, &Kind::ORDER, &[]);
}

#[test]
fn softmax() {
    let of = |b: &mut Builder, x: ValueId| b.softmax(Softmax { axis: 1, log: false }, x);
    check(model(DType::F32, &[3, 1500], of), Sm::Sm80, &Kind::ORDER, &[]);
}

#[test]
fn transposes() {
    let of = |b: &mut Builder, x: ValueId| b.transpose(x, &[1, 0]);
    check(model(DType::F32, &[70, 45], of), Sm::Sm80, &Kind::ORDER, &[]);
}

#[test]
fn sorting_running_sums_and_positions() {
    let sorted = |b: &mut Builder, x: ValueId| b.sort(&[x], 1, true, None).map(|found| found[0]);
    check(model(DType::F32, &[2, 500], sorted), Sm::Sm80, &Kind::ORDER, &[]);
    let running = |b: &mut Builder, x: ValueId| b.prefix(x, 1, Combiner::Max, false, false);
    check(model(DType::F32, &[2, 3000], running), Sm::Sm80, &Kind::ORDER, &[]);
    let positions = |b: &mut Builder, x: ValueId| {
        let zero = b.splat(Scalar::f32(0.0), Vec::new())?;
        let keep = b.map(&[zero, x], |p, e| p.lt(e[0], e[1]))?;
        b.positions(keep).map(|(found, _)| found)
    };
    let freed: &[Harmless] =
        &[(Kind::DroppedBarrier, "bar.sync 0; | ld.param.u64", "frees the sums of warps, which nothing uses again")];
    check(model(DType::F32, &[3000], positions), Sm::Sm80, &Kind::ORDER, &[freed]);
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
    check(model(DType::F32, &[2045], halves), Sm::Sm80, &[Kind::OffByOne, Kind::WrongStride], &[clamped]);
}

//! Models in each precision on the emulated GPU: near the evaluator on the imported model, within what `verify` allows, and where
//! rounding happens as near to the evaluator on the rounded model as f32 is to f32.

use std::path::Path;

use conformance::device;
use graph::builder::{BuildError, Builder};
use graph::datum::Datum;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::{Model, ValueId};
use graph::node::Combiner;
use graph::region::contract::Maths;
use graph::region::conv::Conv;
use graph::region::conv_transpose::ConvTranspose;
use graph::region::norm::Norm;
use graph::region::pool::{Mode, Pool};
use graph::region::softmax::Softmax;
use graph::region::window::Window;
use graph::scalar::Scalar;
use graph::tensor::Tensor;
use graph::ty::Type;
use onnx2crate::compare::{distance, tolerance_of};
use passes::{Options, Precision};
use ptx::Sm;

fn values(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|k| ((k * 37 + seed * 11) % 61) as f32 / 61.0 - 0.4).collect()
}

fn tensor(shape: &[usize], seed: usize) -> Tensor {
    Tensor::from_f32s(&values(shape.iter().product(), seed)).reshaped(shape.to_vec()).unwrap()
}

/// Runs a model in a precision on the emulated GPU: within the tolerance of the exact result, and of the rounded model's within what
/// sums in another order and single roundings to the neighbour make.
#[track_caller]
fn check(imported: &Model, input: Tensor, precision: Precision, sm: Sm) {
    let mut model = imported.clone();
    passes::run_pipeline(&mut model, &Options { precision, ..Options::default() }).unwrap();
    let inputs = [Datum::Tensor(input)];
    let exact = graph::eval::model(imported, &inputs).unwrap();
    let rounded = graph::eval::model(&model, &inputs).unwrap();
    let found = device::run(&model, &inputs, sm, true).unwrap();
    for ((found, exact), rounded) in found.iter().zip(&exact).zip(&rounded) {
        let (far, near) = (distance(found, exact).unwrap(), distance(found, rounded).unwrap());
        let limit = tolerance_of(exact, precision);
        assert!(far.relative_l2 <= limit, "{precision} {sm}: {far:?}");
        let near_limit = if precision == Precision::F32 { 1e-5 } else { limit / 4.0 };
        assert!(near.relative_l2 <= near_limit, "{precision} {sm}, against the rounded model: {near:?}");
        if precision == Precision::F16 || precision == Precision::Bf16 {
            assert!(far.relative_l2 > 1e-5, "{precision} {sm} rounds nothing");
        }
    }
}

fn everywhere(model: &Model, input: &Tensor) {
    for (precision, sm) in [
        (Precision::F32, Sm::Sm80),
        (Precision::Tf32, Sm::Sm80),
        (Precision::F16, Sm::Sm75),
        (Precision::F16, Sm::Sm90a),
        (Precision::Bf16, Sm::Sm80),
    ] {
        check(model, input.clone(), precision, sm);
    }
}

#[test]
fn digits() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits/digits.onnx");
    let model = onnx::import_file(&file, &onnx::Options::default()).unwrap().model;
    everywhere(&model, &tensor(&[2, 1, 8, 8], 3));
}

fn conv(b: &mut Builder, x: ValueId, weight: Tensor, pad: i64) -> Result<ValueId, BuildError> {
    let w = b.constant(weight)?;
    let output = b.shape(x)?[2..].to_vec();
    let pads = vec![Dim::constant(pad); 2];
    let window =
        Window { strides: vec![1, 1], dilations: vec![1, 1], pads_begin: pads.clone(), pads_end: pads, output };
    let groups = b.shape(x)?[1].as_const().unwrap() / b.shape(w)?[1].as_const().unwrap();
    b.conv(&Conv { window, groups, acc: DType::F32, maths: Maths::Exact }, x, w)
}

fn relu(b: &mut Builder, x: ValueId) -> Result<ValueId, BuildError> {
    b.map(&[x], |p, v| {
        let zero = p.zero(p.dtype(v[0]));
        p.max(v[0], zero)
    })
}

/// Convolutions around a residual, a depthwise one, a pool and a concatenation.
fn network() -> Result<Model, BuildError> {
    let mut b = Builder::new("network");
    let x = b.input("x", Type::tensor(DType::F32, [1, 3, 6, 6].map(Dim::constant)));
    let stem = conv(&mut b, x, tensor(&[8, 3, 3, 3], 1), 1)?;
    let stem = relu(&mut b, stem)?;
    let deep = conv(&mut b, stem, tensor(&[8, 1, 3, 3], 2), 1)?;
    let deep = relu(&mut b, deep)?;
    let deep = conv(&mut b, deep, tensor(&[8, 8, 1, 1], 3), 0)?;
    let sum = b.map(&[deep, stem], |p, v| p.add(v[0], v[1]))?;
    let sum = relu(&mut b, sum)?;
    let wide = conv(&mut b, stem, tensor(&[16, 8, 1, 1], 4), 0)?;
    let wide = relu(&mut b, wide)?;
    let both = b.concat(&[sum, wide], 1)?;
    let mixed = conv(&mut b, both, tensor(&[8, 24, 1, 1], 5), 0)?;
    let none = vec![Dim::constant(0); 2];
    let window = Window {
        strides: vec![2, 2],
        dilations: vec![1, 1],
        pads_begin: none.clone(),
        pads_end: none,
        output: vec![Dim::constant(3); 2],
    };
    let pool = Pool { mode: Mode::Max { indices: false }, kernel: vec![2, 2], window };
    let pooled = b.pool(&pool, mixed)?[0];
    let mean = b.reduce(pooled, &[2, 3], false, Combiner::Sum)?;
    let weight = b.constant(tensor(&[8, 5], 6))?;
    let scores = b.contract("nc,ck->nk", mean, weight)?;
    b.output(scores);
    Ok(b.finish())
}

#[test]
fn convolutions() {
    everywhere(&network().unwrap(), &tensor(&[1, 3, 6, 6], 7));
}

/// Two transposed convolutions, the second of a kernel that its stride does not divide, around a product with a weight that f16 cannot
/// hold as it is.
fn upsampling() -> Result<Model, BuildError> {
    let mut b = Builder::new("upsampling");
    let mut x = b.input("x", Type::tensor(DType::F32, [1, 8, 3, 5].map(Dim::constant)));
    for (kernel, pad, output) in [(2, 0, [6, 10]), (3, 1, [11, 20])] {
        let mut weight = tensor(&[8, 8, 1, 1], 21);
        if kernel == 2 {
            let small: Vec<f32> = weight.to_f64s().iter().map(|w| (w * 1e-7) as f32).collect();
            weight = Tensor::from_f32s(&small).reshaped(vec![8, 8, 1, 1]).unwrap();
        }
        let branch = conv(&mut b, x, weight, 0)?;
        let branch = b.map(&[branch], |p, v| {
            let factor = p.number(DType::F32, if kernel == 2 { 1e6 } else { 0.25 });
            p.mul(v[0], factor)
        })?;
        x = b.map(&[x, branch], |p, v| p.add(v[0], v[1]))?;
        let window = Window {
            strides: vec![2, 2],
            dilations: vec![1, 1],
            pads_begin: vec![Dim::constant(pad); 2],
            pads_end: vec![Dim::constant(pad); 2],
            output: output.map(Dim::constant).to_vec(),
        };
        let w = b.constant(tensor(&[8, 8, kernel, kernel], 22))?;
        x = b.conv_transpose(&ConvTranspose { window, groups: 1, acc: DType::F32, maths: Maths::Exact }, x, w)?;
        x = relu(&mut b, x)?;
    }
    b.output(x);
    Ok(b.finish())
}

/// A transposed convolution without a bias next to what it is concatenated with, as in a U-Net.
fn skip() -> Result<Model, BuildError> {
    let mut b = Builder::new("skip");
    let x = b.input("x", Type::tensor(DType::F32, [1, 8, 4, 6].map(Dim::constant)));
    let early = conv(&mut b, x, tensor(&[8, 8, 3, 3], 31), 1)?;
    let early = relu(&mut b, early)?;
    let none = vec![Dim::constant(0); 2];
    let window = Window {
        strides: vec![2, 2],
        dilations: vec![1, 1],
        pads_begin: none.clone(),
        pads_end: none.clone(),
        output: [2, 3].map(Dim::constant).to_vec(),
    };
    let pool = Pool { mode: Mode::Max { indices: false }, kernel: vec![2, 2], window: window.clone() };
    let low = b.pool(&pool, early)?[0];
    let low = conv(&mut b, low, tensor(&[8, 8, 3, 3], 32), 1)?;
    let low = relu(&mut b, low)?;
    let window = Window { output: [4, 6].map(Dim::constant).to_vec(), ..window };
    let w = b.constant(tensor(&[8, 8, 2, 2], 33))?;
    let high = b.conv_transpose(&ConvTranspose { window, groups: 1, acc: DType::F32, maths: Maths::Exact }, low, w)?;
    let both = b.concat(&[high, early], 1)?;
    let y = conv(&mut b, both, tensor(&[8, 16, 3, 3], 34), 1)?;
    b.output(y);
    Ok(b.finish())
}

#[test]
fn transposed_convolutions() {
    everywhere(&upsampling().unwrap(), &tensor(&[1, 8, 3, 5], 23));
    everywhere(&skip().unwrap(), &tensor(&[1, 8, 4, 6], 35));
}

/// An image of two channels from sixteen, of any height, so that it may be a large one.
fn last_layer() -> Result<Model, BuildError> {
    let mut b = Builder::new("last layer");
    let height = b.input_symbol("height", 1, None);
    let dims = vec![Dim::constant(1), Dim::constant(16), height, Dim::constant(7)];
    let x = b.input("x", Type::tensor(DType::F32, dims));
    let x = conv(&mut b, x, tensor(&[16, 16, 1, 1], 24), 0)?;
    let x = relu(&mut b, x)?;
    let y = conv(&mut b, x, tensor(&[2, 16, 3, 3], 25), 1)?;
    let bias = b.constant(tensor(&[2, 1, 1], 26))?;
    let y = b.map(&[y, bias], |p, v| p.add(v[0], v[1]))?;
    b.output(y);
    Ok(b.finish())
}

#[test]
fn few_outputs() {
    everywhere(&last_layer().unwrap(), &tensor(&[1, 16, 9, 7], 27));
}

/// A block of a transformer: norm, merged products, attention spelled out, residual.
fn block() -> Result<Model, BuildError> {
    let mut b = Builder::new("block");
    let x = b.input("x", Type::tensor(DType::F32, [1, 10, 32].map(Dim::constant)));
    let norm = Norm { axes: vec![2], center: true, eps: Scalar::f32(1e-5), stats: DType::F32 };
    let y = b.norm(&norm, x)?.value;
    let mut heads = Vec::new();
    for seed in 0..3 {
        let weight = b.constant(tensor(&[32, 32], 11 + seed))?;
        let product = b.contract("bsd,de->bse", y, weight)?;
        let split = b.reshape(product, [1, 10, 2, 16].map(Dim::constant).to_vec())?;
        heads.push(b.transpose(split, &[0, 2, 1, 3])?);
    }
    let scores = b.contract("bhsd,bhtd->bhst", heads[0], heads[1])?;
    let scaled = b.map(&[scores], |p, v| {
        let scale = p.number(DType::F32, 0.25);
        p.mul(v[0], scale)
    })?;
    let weights = b.softmax(Softmax { axis: 3, log: false }, scaled)?;
    let mixed = b.contract("bhst,bhtd->bhsd", weights, heads[2])?;
    let merged = b.transpose(mixed, &[0, 2, 1, 3])?;
    let merged = b.reshape(merged, [1, 10, 32].map(Dim::constant).to_vec())?;
    let weight = b.constant(tensor(&[32, 32], 20))?;
    let out = b.contract("bsd,de->bse", merged, weight)?;
    let sum = b.map(&[out, x], |p, v| p.add(v[0], v[1]))?;
    b.output(sum);
    Ok(b.finish())
}

#[test]
fn attention() {
    everywhere(&block().unwrap(), &tensor(&[1, 10, 32], 9));
}

/// Attention of a decoder: a head of keys and of values for two of queries, each behind those of earlier calls.
fn decoder() -> Result<Model, BuildError> {
    let mut b = Builder::new("decoder");
    let x = b.input("x", Type::tensor(DType::F32, [1, 5, 32].map(Dim::constant)));
    let weight = b.constant(tensor(&[32, 32], 41))?;
    let q = b.contract("bsd,de->bse", x, weight)?;
    let q = b.reshape(q, [1, 5, 2, 16].map(Dim::constant).to_vec())?;
    let q = b.transpose(q, &[0, 2, 1, 3])?;
    let mut heads = Vec::new();
    for seed in 42..44 {
        let weight = b.constant(tensor(&[32, 16], seed))?;
        let product = b.contract("bsd,de->bse", x, weight)?;
        let head = b.reshape(product, [1, 1, 5, 16].map(Dim::constant).to_vec())?;
        let earlier = b.constant(tensor(&[1, 1, 6, 16], seed + 2))?;
        let all = b.concat(&[earlier, head], 2)?;
        let one = b.reshape(all, [1, 1, 1, 11, 16].map(Dim::constant).to_vec())?;
        let two = b.expand(one, [1, 1, 2, 11, 16].map(Dim::constant).to_vec())?;
        heads.push(b.reshape(two, [1, 2, 11, 16].map(Dim::constant).to_vec())?);
    }
    let keys = b.transpose(heads[0], &[0, 1, 3, 2])?;
    let scores = b.contract("bhsd,bhdt->bhst", q, keys)?;
    let scaled = b.map(&[scores], |p, v| {
        let scale = p.number(DType::F32, 0.25);
        p.mul(v[0], scale)
    })?;
    let weights = b.softmax(Softmax { axis: 3, log: false }, scaled)?;
    let mixed = b.contract("bhst,bhte->bhse", weights, heads[1])?;
    let merged = b.transpose(mixed, &[0, 2, 1, 3])?;
    let merged = b.reshape(merged, [1, 5, 32].map(Dim::constant).to_vec())?;
    b.output(merged);
    Ok(b.finish())
}

#[test]
fn attention_with_a_cache() {
    let imported = decoder().unwrap();
    let mut model = imported.clone();
    passes::run_pipeline(&mut model, &Options::default()).unwrap();
    let ready = device::prepare(&model, Sm::Sm80, true).unwrap();
    let kernels: Vec<&str> = ready.kernels().map(|(name, _)| name).collect();
    assert!(kernels.iter().any(|name| name.contains("attention")), "{kernels:?}");
    everywhere(&imported, &tensor(&[1, 5, 32], 46));
}

//! Small networks of the shapes that large ones have: planned with no family and with those of the CPU, plans verify, texts
//! parse back to equal data, and values agree with the model's.

use backend_cpu::claim::CLAIMANTS;
use backend_cpu::code::CpuCode;
use filetests::{Numbers, random_value};
use graph::builder::Builder;
use graph::datum::Datum;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, UnOp};
use graph::graph::{Model, ValueId};
use graph::node::Combiner;
use graph::region::contract::Maths;
use graph::region::conv::Conv;
use graph::region::norm::Norm;
use graph::region::pool::{Mode, Pool};
use graph::region::softmax::Softmax;
use graph::region::window::Window;
use graph::scalar::Scalar;
use graph::symbol::Symbols;
use graph::tensor::Tensor;
use graph::text::Registry;
use graph::ty::Type;
use plan::claim::Claimant;
use plan::eval_plan::{Options, eval_plan};
use plan::plan::Plan;
use plan::text::CodeText;

fn weight(b: &mut Builder, shape: &[usize], seed: u64) -> ValueId {
    let mut numbers = Numbers::new(seed);
    let elements: Vec<f32> = (0..shape.iter().product()).map(|_| numbers.below(17) as f32 / 32.0 - 0.25).collect();
    b.constant(Tensor::from_f32s(&elements).reshaped(shape.to_vec()).unwrap()).unwrap()
}

fn dims(extents: &[i64]) -> Vec<Dim> {
    extents.iter().map(|d| Dim::constant(*d)).collect()
}

/// A 3x3 convolution that keeps the extents, a bias, and a relu.
fn conv(b: &mut Builder, x: ValueId, channels: usize, groups: usize, seed: u64) -> ValueId {
    let shape = b.shape(x).unwrap();
    let depth = shape[1].as_size().unwrap() / groups;
    let w = weight(b, &[channels, depth, 3, 3], seed);
    let kernel = dims(&[3, 3]);
    let window = Window::fitting(
        &b.model().symbols,
        (&shape[2..], &kernel),
        (vec![1, 1], vec![1, 1]),
        (dims(&[1, 1]), dims(&[1, 1])),
    );
    let conv = Conv { window, groups: groups as i64, acc: DType::F32, maths: Maths::Exact };
    let y = b.conv(&conv, x, w).unwrap();
    let bias = weight(b, &[1, channels, 1, 1], seed + 1);
    let y = b.binary(BinOp::Add, y, bias).unwrap();
    let zero = b.splat(Scalar::f32(0.0), Vec::new()).unwrap();
    b.binary(BinOp::Max, y, zero).unwrap()
}

fn max_pool(b: &mut Builder, x: ValueId) -> ValueId {
    let shape = b.shape(x).unwrap();
    let window = Window::fitting(
        &Symbols::default(),
        (&shape[2..], &dims(&[2, 2])),
        (vec![2, 2], vec![1, 1]),
        (dims(&[0, 0]), dims(&[0, 0])),
    );
    b.pool(&Pool { mode: Mode::Max { indices: false }, kernel: vec![2, 2], window }, x).unwrap()[0]
}

/// Convolutions, a depthwise one, a residual, a pool, a mean, a classifier.
fn classifier() -> Model {
    let mut b = Builder::new("classifier");
    let batch = b.input_symbol("batch", 1, Some(8));
    let x = b.input("x", Type::tensor(DType::F32, [vec![batch], dims(&[3, 8, 8])].concat()));
    let a = conv(&mut b, x, 16, 1, 1);
    let c = conv(&mut b, a, 16, 16, 2);
    let d = conv(&mut b, c, 16, 1, 3);
    let sum = b.binary(BinOp::Add, a, d).unwrap();
    let pooled = max_pool(&mut b, sum);
    let mean = b.reduce(pooled, &[2, 3], false, Combiner::Sum).unwrap();
    let w = weight(&mut b, &[16, 10], 4);
    let logits = b.contract("bi,io->bo", mean, w).unwrap();
    let y = b.softmax(Softmax { axis: 1, log: false }, logits).unwrap();
    b.output(y);
    b.finish()
}

/// Down, up and beside: channels are concatenated.
fn encoder_decoder() -> Model {
    let mut b = Builder::new("encoder_decoder");
    let x = b.input("x", Type::tensor(DType::F32, dims(&[1, 4, 8, 8])));
    let a = conv(&mut b, x, 6, 1, 1);
    let down = max_pool(&mut b, a);
    let c = conv(&mut b, down, 10, 1, 2);
    let shape = dims(&[1, 10, 4, 1, 4, 1]);
    let apart = b.reshape(c, shape).unwrap();
    let wide = b.expand(apart, dims(&[1, 10, 4, 2, 4, 2])).unwrap();
    let up = b.reshape(wide, dims(&[1, 10, 8, 8])).unwrap();
    let joined = b.concat(&[a, up], 1).unwrap();
    let y = conv(&mut b, joined, 5, 1, 3);
    b.output(y);
    b.finish()
}

/// A block of a transformer over symbolic batch and length.
fn transformer() -> Model {
    let mut b = Builder::new("transformer");
    let batch = b.input_symbol("batch", 1, Some(4));
    let length = b.input_symbol("length", 1, None);
    let x = b.input("x", Type::tensor(DType::F32, [batch.clone(), length.clone(), Dim::constant(16)]));
    let norm = Norm { axes: vec![2], center: true, eps: Scalar::f32(1e-5), stats: DType::F32 };
    let normed = b.norm(&norm, x).unwrap().value;
    let heads = |b: &mut Builder, seed| {
        let w = weight(b, &[16, 16], seed);
        let y = b.contract("bli,io->blo", normed, w).unwrap();
        let apart = b.reshape(y, vec![batch.clone(), length.clone(), Dim::constant(2), Dim::constant(8)]).unwrap();
        b.transpose(apart, &[0, 2, 1, 3]).unwrap()
    };
    let (q, k, v) = (heads(&mut b, 1), heads(&mut b, 2), heads(&mut b, 3));
    let scores = b.contract("bhqd,bhkd->bhqk", q, k).unwrap();
    let scale = b.splat(Scalar::f32(0.353_553_4), Vec::new()).unwrap();
    let scores = b.binary(BinOp::Mul, scores, scale).unwrap();
    let weights = b.softmax(Softmax { axis: 3, log: false }, scores).unwrap();
    let mixed = b.contract("bhqk,bhkd->bhqd", weights, v).unwrap();
    let back = b.transpose(mixed, &[0, 2, 1, 3]).unwrap();
    let flat = b.reshape(back, vec![batch, length, Dim::constant(16)]).unwrap();
    let w = weight(&mut b, &[16, 32], 4);
    let wide = b.contract("bli,io->blo", flat, w).unwrap();
    let active = b.unary(UnOp::Tanh, wide).unwrap();
    let w = weight(&mut b, &[32, 16], 5);
    let narrow = b.contract("bli,io->blo", active, w).unwrap();
    let y = b.binary(BinOp::Add, narrow, x).unwrap();
    b.output(y);
    b.finish()
}

/// Boxes above a threshold: what is kept is found while running.
fn detector() -> Model {
    let mut b = Builder::new("detector");
    let x = b.input("scores", Type::tensor(DType::F32, dims(&[12])));
    let limit = b.splat(Scalar::f32(0.5), Vec::new()).unwrap();
    let keep = b.map(&[limit, x], |p, e| p.lt(e[0], e[1])).unwrap();
    let (positions, _) = b.positions(keep).unwrap();
    let kept = b.gather(x, positions, 0).unwrap();
    let order = b.sort(&[kept], 0, true, None).unwrap();
    let y = b.unary(UnOp::Exp, order[0]).unwrap();
    b.output(y);
    b.finish()
}

fn check(model: &Model) {
    graph::verify::model(model).unwrap_or_else(|v| panic!("{v:?}"));
    let blobs = graph::text::blobs(&model.graph);
    let text = graph::text::print(model);
    let again = graph::text::parse(&text, &Registry { blobs: &blobs, ..Registry::default() });
    assert_eq!(again.as_ref(), Ok(model), "{text}");
    let none: &[&dyn Claimant<Code = CpuCode>] = &[];
    for claimants in [none, CLAIMANTS] {
        check_plan(model, &plan::plan_model(model, &plan::Target::lines(claimants)).unwrap());
    }
}

fn check_plan<C: CodeText + PartialEq + std::fmt::Debug>(model: &Model, plan: &Plan<C>) {
    let text = plan::text::print(plan);
    plan::verify::plan(plan).unwrap_or_else(|v| panic!("{v:?}\n{text}"));
    let blobs = plan::text::blobs(plan);
    let again = plan::text::parse::<C>(&text, &Registry { blobs: &blobs, ..Registry::default() });
    assert!(again.as_ref() == Ok(plan), "{text}");
    let mut numbers = Numbers::new(5);
    let sizes = model.symbols.iter().map(|(id, s)| (id, s.lo.max(3).min(s.hi.unwrap_or(3)))).collect();
    let values = model.graph.inputs.iter().filter_map(|v| model.graph.value(*v));
    let inputs: Vec<Datum> = values.map(|v| random_value(&v.ty, &sizes, &mut numbers)).collect();
    let expected = graph::eval::model(model, &inputs).unwrap();
    for poison in [false, true] {
        let found = eval_plan(plan, &inputs, Options { poison }).unwrap_or_else(|e| panic!("{e}\n{text}"));
        for (e, f) in expected.iter().zip(&found) {
            let (e, f) = (e.as_tensor().unwrap(), f.as_tensor().unwrap());
            assert_eq!(e.shape(), f.shape());
            let near = |(a, b): (f64, f64)| (a - b).abs() <= 1e-5 * a.abs().max(1.0);
            assert!(e.to_f64s().into_iter().zip(f.to_f64s()).all(near), "{e:?}\n{f:?}\n{text}");
        }
    }
}

#[test]
fn classifiers() {
    check(&classifier());
}

#[test]
fn encoder_decoders() {
    check(&encoder_decoder());
}

#[test]
fn transformers() {
    check(&transformer());
}

#[test]
fn detectors() {
    check(&detector());
}

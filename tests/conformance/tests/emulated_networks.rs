//! Whole networks on the emulated GPU, at the smallest sizes that they accept, against the evaluator on the imported model: f32 within
//! 1e-5, f16 within 1e-2, and no fault of the emulator.
//!
//! `EMULATED_NETWORKS.md` has their sizes, instructions and times, and those that are too large.

use std::time::Instant;

use conformance::resize::Resize;
use conformance::{device, networks};
use graph::datum::Datum;
use graph::graph::Model;
use graph::scalar::Scalar;
use graph::tensor::Tensor;
use onnx2crate::compare::{distance, tolerance_of};
use passes::{Options, Precision};
use ptx::Sm;

const NONE: Resize = Resize { inputs: &[], weights: &[], shapes: &[], pools: &[] };

/// Architectures and precisions of most networks.
const BOTH: &[(Precision, Sm)] = &[(Precision::F32, Sm::Sm90a), (Precision::F16, Sm::Sm90a)];
const ALL: &[(Precision, Sm)] =
    &[(Precision::F32, Sm::Sm90a), (Precision::F16, Sm::Sm90a), (Precision::F32, Sm::Sm75), (Precision::F16, Sm::Sm75)];

/// Runs a network in each way.
#[track_caller]
fn check(name: &str, dims: &[(&str, &str)], resize: &Resize, ways: &[(Precision, Sm)]) {
    let imported = networks::import_resized(name, dims, resize).unwrap();
    check_model(name, &imported, ways);
}

/// Runs a network of the official test data, whose weights repeat 0.02. With that the values of most are too large for f16, and are
/// stored as its largest number.
#[track_caller]
fn check_light(name: &str, resize: &Resize) {
    let file = conformance::case::suite_folder().with_file_name("light").join(format!("{name}.onnx"));
    if !file.exists() {
        println!("skipped: the suite is not fetched; run tests/conformance/fetch.sh");
        return;
    }
    let imported = networks::import_file_resized(&file, &[], resize).unwrap();
    check_model(name, &imported, BOTH);
}

#[track_caller]
fn check_model(name: &str, imported: &Model, ways: &[(Precision, Sm)]) {
    let inputs = inputs(imported);
    let start = Instant::now();
    let exact = graph::eval::model(imported, &inputs).unwrap();
    println!("{name}: evaluated in {:.1?}", start.elapsed());
    for (precision, sm) in ways {
        let mut model = imported.clone();
        passes::run_pipeline(&mut model, &Options { precision: *precision, ..Options::default() }).unwrap();
        let start = Instant::now();
        let ready = device::prepare(&model, *sm, true).unwrap();
        let prepared = start.elapsed();
        let start = Instant::now();
        let (found, executed) = ready.run_counted(&[&inputs]).unwrap();
        let run = start.elapsed();
        assert_eq!(found[0].len(), exact.len(), "{name} {precision} {sm}");
        for (k, (found, exact)) in found[0].iter().zip(&exact).enumerate() {
            let far = distance(found, exact).unwrap();
            println!(
                "{name} {precision} {sm}: output {k} {}, {:.1} M instructions of warps in {run:.1?} (planned in {prepared:.1?}), error {:.2e}",
                exact.describe(),
                executed as f64 / 1e6,
                far.relative_l2
            );
            let limit = tolerance_of(exact, *precision);
            assert!(far.relative_l2 <= limit, "{name} {precision} {sm}: output {k}: {far:?}");
        }
    }
}

/// Inputs of a model whose sizes are known: floats around zero, identifiers from the whole of a small range.
fn inputs(model: &Model) -> Vec<Datum> {
    let graph = &model.graph;
    let tensor = |(k, id): (usize, &graph::graph::ValueId)| {
        let ty = graph.tensor(*id).unwrap();
        let shape: Vec<usize> = ty.shape.iter().map(|d| d.as_size().unwrap()).collect();
        let mut state = 77 + k as u32;
        let mut next = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state) / f64::from(u32::MAX)
        };
        let named = |part: &str| graph.value(*id).and_then(|v| v.name.as_ref()).is_some_and(|n| n.contains(part));
        let mut element = || match ty.dtype {
            dtype if dtype.is_float() => Scalar::from_f64(dtype, (next() - 0.5) * 3.4),
            dtype if named("mask") => Scalar::from_i64(dtype, 1),
            dtype if named("type") => Scalar::from_i64(dtype, i64::from(next() > 0.5)),
            dtype => Scalar::from_i64(dtype, (next() * 1000.0) as i64),
        };
        let elements: Vec<Scalar> = (0..shape.iter().product()).map(|_| element()).collect();
        Datum::Tensor(Tensor::from_scalars(ty.dtype, shape, &elements).unwrap())
    };
    graph.inputs.iter().enumerate().map(tensor).collect()
}

/// An image of other sizes.
const fn image(sizes: &'static [(i64, i64)]) -> Resize<'static> {
    Resize { inputs: sizes, ..NONE }
}

#[test]
fn espcn() {
    check("espcn", &[("batch", "1"), ("height", "8"), ("width", "9")], &NONE, ALL);
}

#[test]
fn srcnn() {
    check("srcnn", &[("batch", "1"), ("height", "8"), ("width", "9")], &NONE, ALL);
}

#[test]
fn unet() {
    check("unet", &[("batch", "1"), ("h", "16"), ("w", "16")], &NONE, BOTH);
}

#[test]
fn lstm() {
    check("lstm", &[("batch", "2"), ("time", "3")], &NONE, BOTH);
}

#[test]
fn resnet18() {
    check("resnet18", &[("batch", "1")], &image(&[(224, 32)]), BOTH);
}

#[test]
fn resnet50() {
    check("resnet50", &[("batch", "1")], &image(&[(224, 32)]), BOTH);
}

#[test]
fn mobilenet_v2() {
    check("mobilenet_v2", &[("batch", "1")], &image(&[(224, 32)]), ALL);
}

#[test]
fn fcn_resnet101() {
    check("fcn_resnet101", &[("batch", "1"), ("height", "16"), ("width", "16")], &NONE, BOTH);
}

#[test]
fn yolov5s() {
    check("yolov5s", &[("batch", "1")], &image(&[(640, 32)]), BOTH);
}

#[test]
fn bert_base() {
    let resize = Resize { weights: &[(30_522, 1000)], ..NONE };
    check("bert_base", &[("batch", "1"), ("sequence", "4")], &resize, BOTH);
}

#[test]
fn minilm() {
    let resize = Resize { weights: &[(30_522, 1000)], ..NONE };
    check("minilm", &[("batch", "2"), ("sequence", "5")], &resize, BOTH);
}

#[test]
fn gpt2() {
    let resize = Resize { inputs: &[(128, 4)], weights: &[(50_257, 1000)], shapes: &[(128, 4)], ..NONE };
    check("gpt2", &[], &resize, BOTH);
}

/// 4 patches and the class: 5 tokens in place of 197.
#[test]
fn vit_b_16() {
    let tokens: &[(i64, i64)] = &[(196, 4), (197, 5)];
    let resize = Resize { inputs: &[(224, 32)], weights: tokens, shapes: tokens, ..NONE };
    check("vit_b_16", &[], &resize, BOTH);
}

#[test]
fn swin_t() {
    check("swin_t", &[("batch", "1")], &image(&[(224, 32)]), BOTH);
}

/// With an eighth of the channels, and the 4 best boxes of a class in place of 400: sorting, and what depends on how many boxes
/// there are.
#[test]
fn ssd300_vgg16() {
    let weights: &[(i64, i64)] = &[(64, 8), (128, 16), (256, 32), (512, 64), (1024, 128)];
    check("ssd300_vgg16", &[], &Resize { weights, shapes: &[(400, 4)], ..NONE }, &BOTH[..1]);
}

#[test]
fn light_bvlc_alexnet() {
    check_light("light_bvlc_alexnet", &Resize { inputs: &[(224, 64)], shapes: &[(9216, 256)], ..NONE });
}

#[test]
fn light_densenet121() {
    check_light("light_densenet121", &image(&[(224, 32)]));
}

#[test]
fn light_inception_v1() {
    check_light("light_inception_v1", &Resize { inputs: &[(224, 64)], pools: &[(7, 2)], ..NONE });
}

#[test]
fn light_inception_v2() {
    check_light("light_inception_v2", &Resize { inputs: &[(224, 32)], pools: &[(7, 1)], ..NONE });
}

#[test]
fn light_resnet50() {
    check_light("light_resnet50", &Resize { inputs: &[(224, 32)], pools: &[(7, 1)], ..NONE });
}

#[test]
fn light_shufflenet() {
    check_light("light_shufflenet", &NONE);
}

#[test]
fn light_squeezenet() {
    check_light("light_squeezenet", &image(&[(224, 48)]));
}

#[test]
fn light_vgg19() {
    check_light("light_vgg19", &Resize { inputs: &[(224, 32)], shapes: &[(25088, 512)], ..NONE });
}

#[test]
fn light_zfnet512() {
    check_light("light_zfnet512", &Resize { inputs: &[(224, 64)], shapes: &[(18432, 512)], ..NONE });
}

//! Models on emulated GPUs, through the runtime's sessions: all node tests on several architectures, and the digits model at several
//! batches.

use std::path::Path;

use conformance::architectures::Architectures;
use conformance::compare::{Tolerance, outputs};
use conformance::device;
use conformance::stage::{Stage, node_tests};
use graph::datum::Datum;
use graph::tensor::Tensor;
use ptx::Sm;

/// Every test that is not listed in `status.txt` passes on the device, with kernel families and without.
#[test]
fn node_tests_pass_on_emulated_gpus() {
    let architectures = Architectures::from_env().unwrap();
    println!("{architectures}");
    let Some(totals) = node_tests(Stage::Emulate(architectures)) else { return };
    assert!(totals.wrong.is_empty(), "{}", totals.wrong.join("\n"));
    assert!(totals.passed > 1700, "{}", totals.passed);
}

#[test]
fn digits_at_several_batches() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits/digits.onnx");
    let mut model = onnx::import_file(&file, &onnx::Options::default()).unwrap().model;
    let imported = model.clone();
    passes::run_pipeline(&mut model, &passes::Options::default()).unwrap();
    for batch in [1usize, 3] {
        let pixels: Vec<f32> = (0..batch * 64).map(|k| ((k * 37 + 11) % 17) as f32 / 16.0).collect();
        let image = Tensor::from_f32s(&pixels).reshaped(vec![batch, 1, 8, 8]).unwrap();
        let inputs = [Datum::Tensor(image)];
        let expected = graph::eval::model(&imported, &inputs).unwrap();
        let found = device::run(&model, &inputs, Sm::Sm80, false).unwrap();
        outputs(&found, &expected, Tolerance { relative: 1e-5, absolute: 1e-6 }).unwrap();
    }
}

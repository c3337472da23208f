//! The committed lock answers every question of the networks that it was made for.

use std::path::Path;

use conformance::networks;
use onnx2crate::gpu::Gpu;
use onnx2crate::locked::Locked;
use passes::Precision::{self, F16, F32};
use ptx::Sm;

/// With these sizes and precision nothing is left to the cost model, and nothing belongs to older kernels.
fn check(network: &str, sizes: &[(&str, &str)], precision: Precision) {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut model = match network {
        "digits" => networks::import_file(&examples.join("digits/digits.onnx"), sizes).unwrap(),
        name => networks::import(name, sizes).unwrap(),
    };
    let options = passes::Options { precision, ..passes::Options::default() };
    passes::run_pipeline(&mut model, &options).unwrap();
    let locked = Locked::open(examples.join("locks/h200"), true).unwrap();
    let (_, answers) = locked.plan(Gpu { sm: Sm::Sm90a }, &model).map_err(|e| e.to_string()).unwrap();
    assert!(answers.known > 0 && answers.modelled == 0 && answers.stale == 0, "{answers:?}");
}

#[test]
fn digits() {
    check("digits", &[], F32);
    check("digits", &[], F16);
}

#[test]
fn resnet50() {
    check("resnet50", &[("batch", "1")], F32);
    check("resnet50", &[("batch", "1")], F16);
    check("resnet50", &[("batch", "64")], F16);
}

#[test]
fn mobilenet_v2() {
    check("mobilenet_v2", &[("batch", "1")], F32);
    check("mobilenet_v2", &[("batch", "1")], F16);
}

#[test]
fn bert_base() {
    let sizes = [("batch", "1"), ("sequence", "128")];
    check("bert_base", &sizes, F32);
    check("bert_base", &sizes, F16);
}

#[test]
fn lstm() {
    let sizes = [("batch", "1"), ("time", "50")];
    check("lstm", &sizes, F32);
    check("lstm", &sizes, F16);
}

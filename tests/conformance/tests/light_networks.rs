//! Networks of repeated weights: no crate has them as bytes, for the CPU or for GPUs; on the CPU they give the outputs that the onnx
//! package expects.

use std::path::Path;

use conformance::light;
use onnx2crate::compiler::Compiled;
use onnx2crate::verify::{Accept, Way, verify};
use onnx2crate::{Compiler, Target};
use plan::plan::{Plan, Source};
use tempfile::TempDir;

/// Bytes of the largest file of weights; as tensors of bytes they would be 548 MB in the largest model. What is left are small kernels
/// whose folded batch norms scale each channel by a number of its own (868,224 bytes in light_inception_v2, at most 39,424 in others).
const WEIGHTS: usize = 1 << 20;

/// Bytes of the largest crate.
const CRATE: usize = 4 << 20;

fn compiler(model: &Path, target: Target) -> Compiler {
    Compiler::new(model).targets(&[target]).golden(false)
}

fn crate_bytes(compiler: &Compiler, compiled: &Compiled) -> (usize, usize) {
    let files = compiler.crate_files(compiled).unwrap();
    let bytes = |contents: &emit::Contents| contents.0.iter().map(|piece| piece.len()).sum::<usize>();
    let weights = files.get("weights.bin").map_or(0, bytes);
    (weights, files.values().map(bytes).sum())
}

/// Bytes of the constants that a plan holds, those that repeat one element left out.
fn held<C>(plan: &Plan<C>) -> usize {
    let tensors = plan.weights.iter().flat_map(|weight| match &weight.source {
        Source::Constant(tensor) => std::slice::from_ref(tensor),
        Source::Derived { inputs, .. } => inputs.as_slice(),
    });
    tensors.filter(|t| t.repeated().is_none()).map(|t| t.bytes().len()).sum()
}

/// Weights of each crate, at most [`WEIGHTS`], and the whole of it, at most [`CRATE`].
fn check_sizes(target: Target) {
    for (name, model) in light::models() {
        let compiler = compiler(&model, target);
        let compiled = compiler.compile().unwrap();
        let held = match &compiled.plans {
            onnx2crate::planned::Planned::Cpu(plan) => held(plan),
            onnx2crate::planned::Planned::Gpus(plans) => plans.iter().map(|(_, plan)| held(plan)).sum(),
        };
        let (weights, whole) = crate_bytes(&compiler, &compiled);
        println!("{name}: {held} bytes of constants in the plan, {weights} of weights, {whole} in the crate");
        assert!(held <= WEIGHTS, "{name}: the plan holds {held} bytes of constants");
        assert!(weights <= WEIGHTS, "{name}: {weights} bytes of weights");
        assert!(whole <= CRATE, "{name}: a crate of {whole} bytes");
    }
}

#[test]
fn repeated_weights_are_no_bytes_of_cpu_crates() {
    check_sizes(Target::Cpu);
}

#[test]
fn repeated_weights_are_no_bytes_of_gpu_crates() {
    check_sizes("sm_90a".parse().unwrap());
}

/// The crate as cargo builds it gives what the package expects.
fn check_outputs(name: &str) {
    let Some((_, model)) = light::models().into_iter().find(|(found, _)| found == name) else {
        println!("the suite is not fetched: run tests/conformance/fetch.sh");
        return;
    };
    let folder = TempDir::new().unwrap();
    light::write_data_set(&model, &folder.path().join("test_data_set_0")).unwrap();
    let outcome =
        verify(&compiler(&model, Target::Cpu), &[folder.path().to_path_buf()], Accept::default(), &Way::Crate).unwrap();
    assert_eq!(outcome.lines.len(), 1);
    assert!(outcome.passed(), "{}", outcome.text());
}

#[test]
fn squeezenet_gives_the_expected_outputs() {
    check_outputs("light_squeezenet");
}

#[test]
fn alexnet_gives_the_expected_outputs() {
    check_outputs("light_bvlc_alexnet");
}

#[test]
fn densenet_gives_the_expected_outputs() {
    check_outputs("light_densenet121");
}

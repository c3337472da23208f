//! Kernels of networks: NVIDIA's assembler takes all of them and none keeps values in memory, as registers suffice; each form of a
//! collective or asynchronous instruction in them has a probe with the output of real hardware.
//!
//! Sizes are those of the measured points, and arguments where a size is left open. Architectures are chosen as in the emulator's
//! tests: sm_75 and sm_90a always, the others in one run of three; `SM=all` asks for all, `SM=sm_80` for that one, `SEED=2` for
//! another choice. Kernels are those that the cost model puts first; `CANDIDATES=16` asks for as many variants of each problem as
//! tuning times. Without `ptxas` (variable `PTXAS`, or on the path) the tests say so and look at forms alone.

use std::path::{Path, PathBuf};

use conformance::architectures::Architectures;
use conformance::texts_of_kernels::Texts;
use conformance::{assembler, forms, networks};
use onnx2crate::gpu::Gpu;
use onnx2crate::trial::in_parallel;
use passes::Precision;
use plan::tuning::{Question, Tuning};

/// Sizes of named dims.
type Sizes = &'static [(&'static str, &'static str)];

/// Precisions in which networks are measured.
const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Tf32, Precision::F16];

/// All kernels of a network are assembled, and spill nothing.
fn check(network: &str, sizes: &[Sizes], precisions: &[Precision]) {
    let architectures = Architectures::from_env().unwrap();
    println!("{architectures}");
    let runs: Vec<(Sizes, Precision)> = sizes.iter().flat_map(|s| precisions.iter().map(|p| (*s, *p))).collect();
    let mut texts = Texts::default();
    for found in in_parallel(&runs, |(sizes, precision)| of_run(network, sizes, *precision, architectures)) {
        texts.merge(found.unwrap());
    }
    let without = forms::without_probe(&texts).unwrap();
    assert!(without.is_empty(), "forms without a recorded probe, and where they are: {without:#?}");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(network);
    let Some(report) = assembler::assemble(&texts, &folder).unwrap() else { return };
    assert!(report.refused.is_empty(), "{}", report.refused.join("\n"));
    assert!(report.spills.is_empty(), "{:#?}", report.spills);
}

fn of_run(network: &str, sizes: Sizes, precision: Precision, architectures: Architectures) -> Result<Texts, String> {
    let mut model = match network {
        "digits" => {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits/digits.onnx");
            networks::import_file(&file, sizes)?
        }
        name => networks::import(name, sizes)?,
    };
    let options = passes::Options { precision, ..passes::Options::default() };
    passes::run_pipeline(&mut model, &options).map_err(|e| e.to_string())?;
    let mut name = format!("{network} in {precision}");
    sizes.iter().for_each(|(dim, size)| name.push_str(&format!(", {dim} {size}")));
    let candidates: usize = match std::env::var("CANDIDATES") {
        Ok(text) => text.parse().map_err(|_| format!("CANDIDATES: expected a number, found {text:?}"))?,
        Err(_) => 1,
    };
    let mut texts = Texts::default();
    for sm in architectures.of(&name) {
        texts.add(&model, sm, &name, false)?;
        for k in 1..candidates {
            let choose = |question: &Question| question.variants.get(k).map(|v| v.name.clone());
            let (plan, _) = Gpu { sm }
                .plan_tuned(&model, Tuning { choose: &choose, variants: candidates })
                .map_err(|e| format!("{name}: {sm}: {e}"))?;
            texts.add_plan(&plan, Gpu { sm }, &format!("{name}, candidate {k}"))?;
        }
    }
    Ok(texts)
}

#[test]
fn digits() {
    check("digits", &[&[], &[("batch", "64")]], &[Precision::F32, Precision::Tf32, Precision::F16, Precision::Bf16]);
}

#[test]
fn resnet50() {
    check("resnet50", &[&[], &[("batch", "1")], &[("batch", "64")]], &PRECISIONS);
}

#[test]
fn mobilenet_v2() {
    check("mobilenet_v2", &[&[], &[("batch", "1")], &[("batch", "64")]], &PRECISIONS);
}

#[test]
fn bert_base() {
    let sizes: [Sizes; 3] = [&[], &[("batch", "1"), ("sequence", "128")], &[("batch", "64"), ("sequence", "128")]];
    check("bert_base", &sizes, &PRECISIONS);
}

#[test]
fn lstm() {
    let sizes: [Sizes; 3] = [&[], &[("batch", "1"), ("time", "50")], &[("batch", "64"), ("time", "50")]];
    check("lstm", &sizes, &PRECISIONS);
}

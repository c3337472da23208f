//! Poison on the emulated GPU: where intermediate values share no memory and are NaN before they are written, results have the
//! same bits.

use conformance::case::{all, suite_folder};
use conformance::device::{self, Place};
use conformance::stage;
use graph::datum::Datum;
use graph::graph::Model;
use onnx2crate::datums;
use ptx::Sm;
use runtime_min::gpu::options::EngineOptions;

/// What runs of one model's inputs give with poison and without; nothing where the plain one is refused.
fn equal(model: &Model, inputs: &[Datum]) -> Option<Result<(), String>> {
    let mut model = model.clone();
    passes::run_pipeline(&mut model, &passes::Options::default()).ok()?;
    let run = |options: EngineOptions| {
        let mut ready = device::prepare(&model, Sm::Sm80, true)?;
        ready.options = options;
        ready.run(Place::Emulator, &[inputs]).map(|found| found.into_iter().flatten().collect::<Vec<_>>())
    };
    let plain = run(EngineOptions::default()).ok()?;
    let poisoned = run(EngineOptions::default().with_poison());
    Some(poisoned.and_then(|poisoned| {
        let same = datums::to_bytes(&poisoned) == datums::to_bytes(&plain);
        if same { Ok(()) } else { Err("other results".to_string()) }
    }))
}

/// Node tests with several steps that share memory: control flow, recurrent cells, attention, operators as functions; and every
/// twentieth of the others.
#[test]
#[allow(clippy::print_stdout, reason = "a line in the log of a test")]
fn node_tests() {
    let cases = all(&suite_folder());
    if cases.is_empty() {
        println!("the suite is not fetched: run tests/conformance/fetch.sh");
        return;
    }
    const SEVERAL: [&str; 9] = ["loop", "scan", "lstm", "gru", "rnn", "attention", "_if_", "unique", "resize_tf"];
    let chosen = |(k, name): (usize, &str)| k % 20 == 0 || SEVERAL.iter().any(|part| name.contains(part));
    let (mut equals, mut wrong) = (0, Vec::new());
    for (_, case) in cases.iter().enumerate().filter(|(k, case)| chosen((*k, &case.name))) {
        let Ok(model) = stage::import(case) else { continue };
        for set in case.data_sets(&model).unwrap_or_default() {
            match equal(&model, &set.inputs) {
                Some(Ok(())) => equals += 1,
                Some(Err(what)) => wrong.push(format!("{}: {what}", case.name)),
                None => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(equals > 100, "{equals}");
}

#[test]
fn digits() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits/digits.onnx");
    let model = onnx::import_file(&file, &onnx::Options::default()).unwrap().model;
    let pixels: Vec<f32> = (0..3 * 64).map(|k| (k % 17) as f32 / 16.0).collect();
    let image = graph::tensor::Tensor::from_f32s(&pixels).reshaped(vec![3, 1, 8, 8]).unwrap();
    assert_eq!(equal(&model, &[Datum::Tensor(image)]), Some(Ok(())));
}

//! `bench --in-process` on an emulated GPU: everything that it tells is there. Times mean nothing here.

use std::path::Path;
use std::time::Duration;

use gpu_checks::emulated::Emulated;
use onnx2crate::bench::gpu::{Effort, Measurement};
use onnx2crate::bench::{measure, trace};
use onnx2crate::{Compiler, Target};
use ptx::Sm;
use runtime_min::stand_in::{Script, StandIn};

fn digits() -> Measurement {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits/digits.onnx");
    let compiler = Compiler::new(model).targets(&[Target::Gpu(Sm::Sm90a)]).dim("batch", "2").unwrap();
    let compiled = compiler.compile().unwrap();
    let driver = StandIn::new(Box::new(Emulated::default()), Script { capability: 90, ..Script::default() });
    measure(driver.table(), &compiled, Effort { time: Duration::ZERO, iterations: 1 }).unwrap()
}

#[test]
fn a_measurement_has_all_of_its_parts() {
    let found = digits();
    let text = found.text();
    for part in [
        "Throughput: ",
        "Latency: min = ",
        "Enqueue Time: min = ",
        "H2D Latency: min = ",
        "GPU Compute Time: min = ",
        "D2H Latency: min = ",
        "percentile(99%) = ",
        "GPU Compute Time, back to back: ",
        "Device memory: weights 0.",
        "Energy per inference: not available",
        "Engine load time: ",
        "Conv",
        "Gemm",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&found.json().unwrap()).unwrap();
    for key in ["median_ms", "p90_ms", "p99_ms", "per_second", "peak_bytes", "load_ms", "first_ms"] {
        assert!(json[key].is_number(), "{key}: {json}");
    }
    for key in ["latency", "enqueue", "h2d", "compute", "d2h", "compute_back_to_back"] {
        assert!(json[key]["p95"].is_number(), "{key}: {json}");
    }
    let steps = json["steps"].as_array().unwrap();
    let share: f64 = steps.iter().map(|s| s["share"].as_f64().unwrap()).sum();
    assert!(steps.len() > 2 && (share - 1.0).abs() < 1e-9, "{share}: {steps:?}");
    let products = steps.iter().filter(|s| s["gflop_per_s"].as_f64().is_some_and(|v| v > 0.0));
    assert!(products.count() > 1 && steps.iter().all(|s| s["gb_per_s"].as_f64().is_some()), "{steps:?}");

    let trace = trace::trace(&found.model, &found.device, &found.timeline);
    let back: serde_json::Value = serde_json::from_str(&trace.to_string()).unwrap();
    let names: Vec<&str> = back["traceEvents"].as_array().unwrap().iter().filter_map(|e| e["name"].as_str()).collect();
    assert!(names.iter().any(|n| n.starts_with("Conv") && n.contains('"')), "{names:?}");
}

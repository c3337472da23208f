//! `lab` on an emulated GPU: every operator is built, planned, run and compared with the evaluator. Times mean nothing here.

use std::path::Path;
use std::time::Duration;

use gpu_checks::emulated::Emulated;
use onnx2crate::Targets;
use onnx2crate::lab::jobs::{self, Case};
use onnx2crate::lab::measure::{Effort, Row};
use onnx2crate::lab::{Listener, line, run_cases};
use ptx::Sm;
use runtime_min::stand_in::{Script, StandIn};

const JOBS: &str = r#"
[[job]]
op = "copy"
sizes = [[1000]]

[[job]]
op = "bias_relu"
sizes = [[2, 3, 5, 7]]

[[job]]
op = "row_sum"
sizes = [[3, 300]]

[[job]]
op = "softmax"
sizes = [[3, 40]]
dtypes = ["f32", "f16"]

[[job]]
op = "layer_norm"
sizes = [[3, 40]]

[[job]]
op = "transpose"
perm = [0, 2, 1]
sizes = [[2, 5, 33]]

[[job]]
op = "gather"
sizes = [[11, 8, 5]]

[[job]]
op = "concat"
axis = 1
sizes = [[3, 20]]

[[job]]
op = "gemm"
sizes = [[17, 24, 32]]
dtypes = ["f32", "f16"]
epilogue = ["bias", "gelu", "residual"]

[[job]]
op = "gemm"
sizes = [[2, 16, 16, 16]]
generic = true

[[job]]
op = "conv"
sizes = [[1, 4, 8, 8, 3, 1, 1], [1, 8, 8, 8, 3, 2, 1, 8]]
epilogue = ["bias", "relu"]
warm = true

[[job]]
op = "attention"
sizes = [[1, 2, 5, 5, 8]]
"#;

fn cases(text: &str) -> Vec<Case> {
    jobs::parse(text, Path::new("jobs.toml")).unwrap()
}

fn rows(cases: &[Case]) -> Vec<Row> {
    let driver = StandIn::new(Box::new(Emulated::default()), Script { capability: 90, ..Script::default() });
    let targets = Targets::Gpus(vec![Sm::Sm90a]);
    let effort = Effort { time: Duration::ZERO, rotated: 30e3, ..Effort::default() };
    let mut heard = Heard::default();
    run_cases(driver.table(), &targets, cases, &effort, &mut heard).unwrap();
    heard.rows
}

/// The rows as they come; every entrant is announced.
#[derive(Default)]
struct Heard {
    rows: Vec<Row>,
    begun: Vec<(usize, String)>,
}

impl Listener for Heard {
    fn begin(&mut self, case: usize, variant: &str) {
        self.begun.push((case, variant.to_string()));
    }

    fn end(&mut self, case: usize, rows: &[Row]) -> bool {
        let begun = |row: &Row| row.failure.is_some() || self.begun.contains(&(case, row.variant.clone()));
        assert!(rows.iter().all(begun), "{rows:?}");
        self.rows.extend(rows.iter().cloned());
        true
    }
}

#[test]
fn every_operator_runs_and_is_right() {
    let cases = cases(JOBS);
    for (row, case) in rows(&cases).iter().zip(&cases) {
        let bound = if case.dtype == "f16" { 2e-3 } else { 1e-5 };
        assert!(row.failure.is_none() && row.error.is_some_and(|e| e < bound), "{row:?}");
        assert!(line(row).starts_with(&row.name), "{row:?}");
    }
}

#[test]
fn a_case_that_fails_is_its_own() {
    let text = "[[job]]\nop = \"gemm\"\nsizes = [[4], [4, 4, 4]]\n[[job]]\nop = \"model\"\nmodel = \"no.onnx\"\n";
    let failures: Vec<bool> = rows(&cases(text)).iter().map(|row| row.failure.is_some()).collect();
    assert_eq!(failures, [true, false, true]);
}

#[test]
fn variants_run_against_each_other() {
    let text = "[[job]]\nop = \"gemm\"\nsizes = [[32, 32, 64]]\ndtypes = [\"f16\"]\nvariants = 3\n";
    let found = rows(&cases(text));
    let names: std::collections::BTreeSet<&str> = found.iter().map(|row| row.variant.as_str()).collect();
    assert_eq!((found.len(), names.len()), (3, 3), "{found:?}");
    assert!(found.iter().all(|row| row.failure.is_none() && row.error.is_some_and(|e| e < 2e-3)), "{found:?}");
    let text = "[[job]]\nop = \"gemm\"\nsizes = [[32, 32, 64]]\nvariants = [\"no such\"]\n";
    assert!(rows(&cases(text))[0].failure.as_ref().is_some_and(|why| why.contains("no such")));
}

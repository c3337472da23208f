//! Runs the official ONNX backend tests on the evaluator: import, verify, evaluate, compare, one line a test, totals.
//!
//! `cargo run -p onnx --example suite [--data FOLDER] [--failures] [--expect COUNT] [--absolute TOLERANCE]
//! [FILTER…]` after `tests/conformance/fetch.sh`. A filter is a part of a test's name, or `=NAME`. Tolerances are those of the ONNX runner:
//! relative 1e-3, absolute 1e-7; integers, truth values and strings must be equal.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use graph::datum::Datum;
use graph::eval;
use graph::graph::Model;
use graph::tensor::Tensor;
use graph::verify;
use onnx::{Options, import_file, read_tensor_file};

const RELATIVE: f64 = 1e-3;
const ABSOLUTE: f64 = 1e-7;
/// Tests whose expected values come from another random generator: only types are compared.
const RANDOM: &[&str] = &[
    "test_bernoulli",
    "test_bernoulli_double",
    "test_bernoulli_double_expanded",
    "test_bernoulli_expanded",
    "test_bernoulli_seed",
    "test_bernoulli_seed_expanded",
    "test_training_dropout",
    "test_training_dropout_default",
    "test_training_dropout_default_mask",
    "test_training_dropout_mask",
];
/// Expression DAGs are walked recursively in places.
const STACK: usize = 256 << 20;

struct Arguments {
    data: PathBuf,
    failures: bool,
    /// Tests that must pass for success; all that run if not given.
    expect: Option<usize>,
    /// Difference that is allowed whatever the size of the value.
    absolute: f64,
    filters: Vec<String>,
}

/// Where a test failed, and why.
enum Failure {
    Data(String),
    Import(String),
    Verify(String),
    Evaluate(String),
    Compare(String),
    Panic,
}

impl Failure {
    fn stage(&self) -> &'static str {
        match self {
            Failure::Data(_) => "data",
            Failure::Import(_) => "import",
            Failure::Verify(_) => "verify",
            Failure::Evaluate(_) => "evaluate",
            Failure::Compare(_) => "compare",
            Failure::Panic => "panic",
        }
    }

    fn reason(&self) -> &str {
        match self {
            Failure::Data(why)
            | Failure::Import(why)
            | Failure::Verify(why)
            | Failure::Evaluate(why)
            | Failure::Compare(why) => why,
            Failure::Panic => "see above",
        }
    }
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    let run = std::thread::Builder::new().stack_size(STACK).spawn(move || run(&arguments));
    match run.map(std::thread::JoinHandle::join) {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false) | Err(_)) | Err(_) => ExitCode::FAILURE,
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let data = PathBuf::from("target/onnx-suite/1.22.0/node");
    let mut out = Arguments { data, failures: false, expect: None, absolute: ABSOLUTE, filters: Vec::new() };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--data" => out.data = PathBuf::from(args.next().ok_or("--data takes a folder")?),
            "--failures" => out.failures = true,
            "--expect" => {
                let count = args.next().and_then(|c| c.parse().ok());
                out.expect = Some(count.ok_or("--expect takes a number")?);
            }
            "--absolute" => {
                let tolerance = args.next().and_then(|t| t.parse().ok());
                out.absolute = tolerance.ok_or("--absolute takes a number")?;
            }
            _ => out.filters.push(arg),
        }
    }
    Ok(out)
}

fn run(arguments: &Arguments) -> bool {
    let mut tests = folders(&arguments.data);
    if !arguments.filters.is_empty() {
        tests.retain(|t| arguments.filters.iter().any(|f| matches(&name(t), f)));
    }
    if tests.is_empty() {
        eprintln!("no tests in {}; run tests/conformance/fetch.sh first", arguments.data.display());
        return false;
    }
    let mut failed: BTreeMap<&'static str, usize> = BTreeMap::new();
    for test in &tests {
        let outcome = std::panic::catch_unwind(|| check(test, arguments.absolute)).unwrap_or(Err(Failure::Panic));
        match outcome {
            Ok(()) if arguments.failures => {}
            Ok(()) => println!("ok       {}", name(test)),
            Err(failure) => {
                *failed.entry(failure.stage()).or_default() += 1;
                println!("{:8} {}: {}", failure.stage(), name(test), failure.reason());
            }
        }
    }
    let passed = tests.len() - failed.values().sum::<usize>();
    let detail: Vec<String> = failed.iter().map(|(stage, count)| format!("{stage} {count}")).collect();
    println!("{passed} of {} pass; failed: {}", tests.len(), detail.join(", "));
    passed >= arguments.expect.unwrap_or(tests.len())
}

fn matches(name: &str, filter: &str) -> bool {
    match filter.strip_prefix('=') {
        Some(whole) => name == whole,
        None => name.contains(filter),
    }
}

fn folders(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data).into_iter().flatten();
    let mut out: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| p.join("model.onnx").exists()).collect();
    out.sort();
    out
}

fn name(test: &Path) -> String {
    test.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn check(test: &Path, absolute: f64) -> Result<(), Failure> {
    let imported = import_file(&test.join("model.onnx"), &Options::default())
        .map_err(|problems| Failure::Import(one_line(&problems.to_string())))?;
    let model = &imported.model;
    if let Err(violations) = verify::model(model) {
        let first = violations.first().map(ToString::to_string).unwrap_or_default();
        return Err(Failure::Verify(one_line(&format!("{first} ({} in all)", violations.len()))));
    }
    let data = test.join("test_data_set_0");
    let inputs = read(&data, "input", model, &model.graph.inputs)?;
    let expected = read(&data, "output", model, &model.graph.outputs)?;
    let found = eval::model(model, &inputs).map_err(|error| Failure::Evaluate(one_line(&error.to_string())))?;
    if found.len() != expected.len() {
        let why = format!("expected {} outputs, found {}", expected.len(), found.len());
        return Err(Failure::Compare(why));
    }
    let random = RANDOM.contains(&name(test).as_str());
    for (k, (found, expected)) in found.iter().zip(&expected).enumerate() {
        if random && found.describe() == expected.describe() {
            continue;
        }
        compare(found, expected, absolute).map_err(|why| Failure::Compare(format!("output {k}: {why}")))?;
    }
    Ok(())
}

fn read(data: &Path, kind: &str, model: &Model, values: &[graph::graph::ValueId]) -> Result<Vec<Datum>, Failure> {
    let mut out = Vec::with_capacity(values.len());
    for (k, id) in values.iter().enumerate() {
        let value = model.graph.value(*id).ok_or_else(|| Failure::Data(format!("{kind} {k} is no value")))?;
        let file = data.join(format!("{kind}_{k}.pb"));
        let datum = read_tensor_file(&file, &value.ty).map_err(|p| Failure::Data(one_line(&p.to_string())))?;
        out.push(datum);
    }
    Ok(out)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn compare(found: &Datum, expected: &Datum, absolute: f64) -> Result<(), String> {
    match (found, expected) {
        (Datum::Tensor(a), Datum::Tensor(b)) => compare_tensors(a, b, absolute),
        (Datum::Seq(a), Datum::Seq(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .try_for_each(|(k, (a, b))| compare(a, b, absolute).map_err(|why| format!("[{k}] {why}"))),
        (Datum::Opt(None), Datum::Opt(None)) => Ok(()),
        (Datum::Opt(Some(a)), Datum::Opt(Some(b))) => compare(a, b, absolute),
        (Datum::Map { keys: a, values: v }, Datum::Map { keys: b, values: w }) if v.len() == w.len() => {
            compare_tensors(a, b, absolute)?;
            v.iter().zip(w).try_for_each(|(a, b)| compare(a, b, absolute))
        }
        _ => Err(format!("expected {}, found {}", expected.describe(), found.describe())),
    }
}

fn compare_tensors(found: &Tensor, expected: &Tensor, absolute: f64) -> Result<(), String> {
    if (found.dtype(), found.shape()) != (expected.dtype(), expected.shape()) {
        let (a, b) = (expected, found);
        return Err(format!("expected {}{:?}, found {}{:?}", a.dtype(), a.shape(), b.dtype(), b.shape()));
    }
    if !expected.dtype().is_float() {
        let at = expected.scalars().zip(found.scalars()).position(|(a, b)| a != b);
        return match at {
            Some(at) => Err(format!("element {at}: expected {}, found {}", integer(expected, at), integer(found, at))),
            None if found.strings() == expected.strings() => Ok(()),
            None => Err(format!("expected {:?}, found {:?}", expected.strings(), found.strings())),
        };
    }
    let (a, b) = (expected.to_f64s(), found.to_f64s());
    match a.iter().zip(&b).position(|(a, b)| !close(*a, *b, absolute)) {
        Some(at) => Err(format!("element {at}: expected {}, found {}", a[at], b[at])),
        None => Ok(()),
    }
}

fn integer(tensor: &Tensor, at: usize) -> i64 {
    tensor.get(at).map_or(0, |s| s.as_i64())
}

fn close(expected: f64, found: f64, absolute: f64) -> bool {
    if expected.is_nan() || found.is_nan() {
        return expected.is_nan() && found.is_nan();
    }
    expected == found || (expected - found).abs() <= absolute + RELATIVE * expected.abs()
}

//! Imports every model of the ONNX backend suite and reads its test data, when `tests/conformance/fetch.sh` has put them
//! into `target/`. Nothing may panic; what is refused is counted and printed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use graph::ty::Type;
use onnx::{Options, Problem};

#[test]
fn suite_models_import_without_panic() {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("target/onnx-suite/1.22.0");
    if !suite.is_dir() {
        println!("skipped: {} is missing, run tests/conformance/fetch.sh", suite.display());
        return;
    }
    let mut histogram: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut models, mut imported) = (0, 0);
    let mut panicked = Vec::new();
    let mut data_problems = Vec::new();
    for folder in folders(&suite.join("node")).into_iter().chain(folders(&suite.join("simple"))) {
        models += 1;
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let result = std::panic::catch_unwind(|| onnx::import_file(&folder.join("model.onnx"), &Options::default()));
        match result {
            Err(_) => panicked.push(name),
            Ok(Ok(done)) => {
                imported += 1;
                data_problems.extend(read_data(&folder, &done));
            }
            Ok(Err(problems)) => {
                for problem in problems.iter() {
                    let tests = histogram.entry(kind(problem)).or_default();
                    if tests.last() != Some(&name) {
                        tests.push(name.clone());
                    }
                }
            }
        }
    }
    println!("{imported} of {models} models import");
    let mut rows: Vec<_> = histogram.iter().collect();
    rows.sort_by_key(|(_, tests)| std::cmp::Reverse(tests.len()));
    for (kind, tests) in rows {
        println!("{:5} {kind}   ({})", tests.len(), tests[0]);
    }
    assert_eq!(panicked, Vec::<String>::new());
    assert_eq!(data_problems, Vec::<String>::new());
}

/// The kind of a problem without names and numbers of one model.
fn kind(problem: &Problem) -> String {
    let operator = problem.node.as_ref().map_or("", |n| n.operator.as_str());
    match problem.fault.code {
        onnx::problem::Code::UnknownOperator => format!("{} {operator}: not supported", problem.fault.code.id()),
        _ => {
            let text = problem.fault.to_string();
            format!("{} {operator}: {}", problem.fault.code.id(), text.chars().take(110).collect::<String>())
        }
    }
}

/// Reads the inputs and outputs of all data sets.
fn read_data(folder: &Path, imported: &onnx::Imported) -> Vec<String> {
    let graph = &imported.model.graph;
    let mut problems = Vec::new();
    for set in folders(folder) {
        for (prefix, ids) in [("input", &graph.inputs), ("output", &graph.outputs)] {
            for (position, id) in ids.iter().enumerate() {
                let ty: &Type = &graph.value(*id).unwrap().ty;
                let path = set.join(format!("{prefix}_{position}.pb"));
                if let Err(problem) = onnx::read_tensor_file(&path, ty) {
                    problems.push(problem.to_string());
                }
            }
        }
    }
    problems
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    found.sort();
    found
}

//! `verify`: builds the crate and compares what it gives with test data, or with the evaluator.

use std::path::{Path, PathBuf};

use graph::datum::Datum;
use runtime_min::gpu::options::EngineOptions;

use crate::compare::{Distance, distance, tolerance_of};
use crate::compiler::{Compiled, Compiler};
use crate::crate_run::CrateRun;
use crate::error::Error;
use crate::in_process;
use crate::progress::Progress;

/// One set of inputs with the outputs that are expected.
pub struct Case {
    pub name: String,
    pub inputs: Vec<Datum>,
    pub expected: Vec<Datum>,
}

/// What came of one output of one case.
#[derive(Clone, Debug)]
pub struct Line {
    pub case: String,
    pub output: String,
    pub distance: Result<Distance, String>,
    pub passed: bool,
}

/// How a model is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As a crate that cargo builds.
    Crate,
    /// On this machine's GPU, without a crate.
    InProcess,
}

/// Sets of random inputs where there are no test data.
const RANDOM_CASES: u64 = 2;

/// Runs every case through the built crate, or in process. With `limit`, that is the greatest relative L2 error instead of what its dtype and the precision allow.
pub fn verify(compiler: &Compiler, data: &[PathBuf], limit: Option<f64>, way: Way) -> Result<Vec<Line>, Error> {
    let compiled = compiler.compile()?;
    let progress = Progress::start("reading test data");
    let mut cases = Vec::new();
    for folder in data {
        cases.extend(read_cases(&compiled, folder)?);
    }
    if data.is_empty() {
        progress.next("running the evaluator");
        cases = random_cases(&compiled)?;
    }
    let mut run: Box<dyn FnMut(&[Datum]) -> Result<Vec<Datum>, Error>> = match way {
        Way::Crate => {
            progress.next("writing the crate");
            let files = compiler.clone().golden(false).crate_files(&compiled)?;
            let run = CrateRun::new(&compiled.name, &files)?;
            progress.next("building the crate");
            run.build()?;
            Box::new(move |inputs| run.answer(inputs))
        }
        Way::InProcess => {
            progress.next("loading the program");
            let mut session = in_process::open(&compiled.plans, &compiled.lock, EngineOptions::default())?.session()?;
            let outputs = compiled.plans.outputs().len();
            Box::new(move |inputs| in_process::run(&mut session, outputs, inputs))
        }
    };
    progress.next("running the cases");
    let mut lines = Vec::new();
    for case in &cases {
        let found = run(&case.inputs)?;
        for (position, expected) in case.expected.iter().enumerate() {
            let output = compiled.plans.outputs().get(position).map_or_else(String::new, |b| b.name.clone());
            let outcome = match found.get(position) {
                Some(found) => distance(found, expected),
                None => Err("no such output".to_string()),
            };
            let bound = limit.unwrap_or_else(|| tolerance_of(expected, compiled.precision));
            let passed = outcome.as_ref().is_ok_and(|d| d.relative_l2 <= bound);
            lines.push(Line { case: case.name.clone(), output, distance: outcome, passed });
        }
    }
    progress.end();
    Ok(lines)
}

/// The lines as a table.
pub fn table(lines: &[Line]) -> String {
    let mut out = format!("{:<24} {:<24} {:>11} {:>11} {:>11}\n", "data", "output", "max abs", "rel L2", "max ULP");
    for line in lines {
        let mark = if line.passed { "" } else { "  FAILED" };
        let values = match &line.distance {
            Ok(d) => format!("{:>11.3e} {:>11.3e} {:>11.1}", d.max_abs, d.relative_l2, d.max_ulp),
            Err(what) => what.clone(),
        };
        out.push_str(&format!("{:<24} {:<24} {values}{mark}\n", line.case, line.output));
    }
    out
}

/// The test data in a folder: one set, or folders `test_data_set_N` of one each.
fn read_cases(compiled: &Compiled, folder: &Path) -> Result<Vec<Case>, Error> {
    let mut sets: Vec<PathBuf> = Vec::new();
    let entries = std::fs::read_dir(folder).map_err(|e| Error::file(folder, e))?;
    for entry in entries {
        let path = entry.map_err(|e| Error::file(folder, e))?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && name.starts_with("test_data_set_") {
            sets.push(path);
        }
    }
    sets.sort();
    if sets.is_empty() {
        sets.push(folder.to_path_buf());
    }
    sets.iter().map(|set| read_case(compiled, set)).collect()
}

fn read_case(compiled: &Compiled, folder: &Path) -> Result<Case, Error> {
    let graph = &compiled.imported.model.graph;
    let read = |kind: &str, values: &[graph::graph::ValueId], must: bool| {
        let mut out = Vec::new();
        for (k, value) in values.iter().enumerate() {
            let path = folder.join(format!("{kind}_{k}.pb"));
            if !must && !path.exists() {
                break;
            }
            let Some(value) = graph.value(*value) else { break };
            out.push(onnx::read_tensor_file(&path, &value.ty)?);
        }
        Ok::<_, Error>(out)
    };
    let inputs = read("input", &graph.inputs, true)?;
    let expected = read("output", &graph.outputs, false)?;
    if expected.is_empty() && !graph.outputs.is_empty() {
        return Err(Error::file(folder.join("output_0.pb"), "no such file; a set has input_M.pb and output_M.pb"));
    }
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Case { name, inputs, expected })
}

fn random_cases(compiled: &Compiled) -> Result<Vec<Case>, Error> {
    let mut out = Vec::new();
    for seed in 0..RANDOM_CASES {
        let inputs = compiled.plans.sample_inputs(seed).ok_or_else(|| Error::Option {
            what: "--data".to_string(),
            expected: "test data, as inputs that are no tensors cannot be made up".to_string(),
            found: "none".to_string(),
        })?;
        let expected = graph::eval::model(&compiled.imported.model, &inputs)?;
        out.push(Case { name: format!("random {seed}"), inputs, expected });
    }
    Ok(out)
}

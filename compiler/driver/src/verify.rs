//! `verify`: builds the crate and compares what it gives with test data, or with the evaluator.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use graph::datum::Datum;
use passes::Precision;
use runtime_min::gpu::options::EngineOptions;

use crate::compare::{Distance, distance, tolerance_of};
use crate::compiler::{Compiled, Compiler};
use crate::crate_run::CrateRun;
use crate::datums;
use crate::error::Error;
use crate::in_process;
use crate::progress::Progress;
use crate::row_order::{self, RowAxis, RowSet, Rows};
use crate::soak;

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
    /// Hash of the output's bits: equal for equal results, whatever way the model was run.
    pub bits: String,
    /// The rows that it shares with other outputs, where they are compared in any order.
    pub rows: Option<Rows>,
    pub passed: bool,
}

/// What counts as equal.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Accept {
    /// The greatest relative L2 error, in place of what an output's dtype and the precision allow.
    pub limit: Option<f64>,
    /// Compares outputs that share rows along this axis as sets of rows.
    pub rows: Option<RowAxis>,
}

/// How a model is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// As a crate that cargo builds.
    Crate,
    /// On this machine's GPU, without a crate.
    InProcess(InProcess),
}

/// What is done beside comparing, where a model runs in process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InProcess {
    /// Runs every case once more with intermediate values that are NaN before they are written and share no memory; results
    /// must be equal bit for bit.
    pub poison: bool,
    /// Inferences after the comparison, which must give the same bits and take no more memory.
    pub repeat: usize,
    /// Sessions, each on a thread of its own, that these are shared among.
    pub sessions: usize,
    /// Writes inputs and outputs of every case there, as the programs of generated crates read and write them.
    pub save: Option<PathBuf>,
}

/// Sets of random inputs where there are no test data.
const RANDOM_CASES: u64 = 2;

/// Runs every case through the built crate, or in process.
pub fn verify(compiler: &Compiler, data: &[PathBuf], accept: Accept, way: &Way) -> Result<Outcome, Error> {
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
    let names: Vec<String> = compiled.plans.outputs().iter().map(|border| border.name.clone()).collect();
    let sets = cases.iter().map(|case| accept.sets(&names, case)).collect::<Result<Vec<_>, _>>()?;
    let outputs = names.len();
    let mut engine = None;
    let mut run: Box<dyn FnMut(&[Datum]) -> Result<Vec<Datum>, Error>> = match way {
        Way::Crate => {
            progress.next("writing the crate");
            let files = compiler.clone().golden(false).crate_files(&compiled)?;
            let run = CrateRun::new(&compiled.name, &files)?;
            progress.next("building the crate");
            run.build()?;
            Box::new(move |inputs| run.answer(inputs))
        }
        Way::InProcess(_) => {
            progress.next("loading the program");
            let loaded = in_process::open(&compiled.plans, &compiled.lock, EngineOptions::default())?;
            let mut session = loaded.session()?;
            engine = Some(loaded);
            Box::new(move |inputs| in_process::run(&mut session, outputs, inputs))
        }
    };
    progress.next("running the cases");
    let mut lines = Vec::new();
    let mut known = Vec::new();
    for (case, sets) in cases.iter().zip(&sets) {
        let found = run(&case.inputs)?;
        lines.extend(accept.lines(case, &names, sets, &found, compiled.precision));
        known.push((case.inputs.clone(), found));
    }
    let mut checks = Vec::new();
    if let (Way::InProcess(more), Some(engine)) = (way, &engine) {
        if let Some(folder) = &more.save {
            save(folder, &known)?;
        }
        if more.poison {
            progress.next("running with poison");
            let poisoned = in_process::open(&compiled.plans, &compiled.lock, EngineOptions::default().with_poison())?;
            let mut session = poisoned.session()?;
            for ((inputs, expected), case) in known.iter().zip(&cases) {
                let same = bits_of(&in_process::run(&mut session, outputs, inputs)?) == bits_of(expected);
                let what = if same { "equal results" } else { "OTHER results" };
                checks.push(Check { text: format!("{}: {what} with poison", case.name), passed: same });
            }
        }
        if more.repeat > 0 {
            progress.next("repeating");
            checks.push(soak::soak(engine, &known, more.sessions.max(1), more.repeat)?);
        }
    }
    progress.end();
    Ok(Outcome { lines, checks })
}

impl Accept {
    /// The sets of rows among a case's outputs.
    fn sets(&self, names: &[String], case: &Case) -> Result<Vec<RowSet>, Error> {
        let Some(axis) = self.rows else { return Ok(Vec::new()) };
        let outputs: Vec<(String, &Datum)> = names.iter().cloned().zip(&case.expected).collect();
        row_order::sets(&outputs, axis)
    }

    /// A line for each output of a case.
    fn lines(
        &self,
        case: &Case,
        names: &[String],
        sets: &[RowSet],
        found: &[Datum],
        precision: Precision,
    ) -> Vec<Line> {
        let mut in_sets = BTreeMap::new();
        for set in sets {
            match set.pair(found, &case.expected) {
                Ok(paired) => {
                    let tensors = set.outputs.iter().zip(paired.found.into_iter().zip(paired.expected));
                    in_sets
                        .extend(tensors.map(|(k, (f, e))| (*k, (distance(&f.into(), &e.into()), Some(paired.rows)))));
                }
                Err(what) => in_sets.extend(set.outputs.iter().map(|k| (*k, (Err(what.clone()), None)))),
            }
        }
        let line = |(position, expected): (usize, &Datum)| {
            let value = found.get(position);
            let (distance, rows) = in_sets.remove(&position).unwrap_or_else(|| match value {
                Some(found) => (distance(found, expected), None),
                None => (Err("no such output".to_string()), None),
            });
            let bound = self.limit.unwrap_or_else(|| tolerance_of(expected, precision));
            let near = distance.as_ref().is_ok_and(|d| d.relative_l2 <= bound);
            Line {
                case: case.name.clone(),
                output: names.get(position).cloned().unwrap_or_default(),
                distance,
                bits: value.map_or_else(String::new, bits),
                rows,
                passed: near && rows.is_none_or(|rows| rows.alone == 0),
            }
        };
        case.expected.iter().enumerate().map(line).collect()
    }
}

/// What a verification found.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub lines: Vec<Line>,
    pub checks: Vec<Check>,
}

/// Something else that was checked, in words.
#[derive(Clone, Debug)]
pub struct Check {
    pub text: String,
    pub passed: bool,
}

impl Outcome {
    pub fn passed(&self) -> bool {
        self.lines.iter().all(|line| line.passed) && self.checks.iter().all(|check| check.passed)
    }

    /// A table, and a line for each check.
    pub fn text(&self) -> String {
        let checks = self.checks.iter().map(|c| format!("{}{}\n", c.text, if c.passed { "" } else { "  FAILED" }));
        table(&self.lines) + &checks.collect::<String>()
    }
}

/// A hash of a value's bits.
fn bits(value: &Datum) -> String {
    bits_of(std::slice::from_ref(value))
}

/// A hash of several values' bits.
pub(crate) fn bits_of(values: &[Datum]) -> String {
    blake3::hash(&datums::to_bytes(values)).to_hex().chars().take(16).collect()
}

fn save(folder: &Path, known: &[(Vec<Datum>, Vec<Datum>)]) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
    for (k, (inputs, outputs)) in known.iter().enumerate() {
        for (kind, values) in [("inputs", inputs), ("outputs", outputs)] {
            let path = folder.join(format!("{kind}_{k}.bin"));
            std::fs::write(&path, datums::to_bytes(values)).map_err(|e| Error::file(&path, e))?;
        }
    }
    Ok(())
}

/// The lines as a table; with a column of rows that stood elsewhere, where rows were compared in any order.
pub fn table(lines: &[Line]) -> String {
    let head = ["data", "output", "max abs", "rel L2", "max ULP", "elsewhere", "bits"];
    let [data, output, abs, l2, ulp, elsewhere, bits] = head;
    let any_rows = lines.iter().any(|line| line.rows.is_some());
    let column = |text: &str| if any_rows { format!(" {text:>13}") } else { String::new() };
    let mut out = format!("{data:<24} {output:<24} {abs:>11} {l2:>11} {ulp:>11}{}  {bits}\n", column(elsewhere));
    for line in lines {
        let mark = if line.passed { "" } else { "  FAILED" };
        let values = match &line.distance {
            Ok(d) => {
                let rows = line.rows.map_or(String::new(), |rows| format!("{}/{}", rows.elsewhere, rows.expected));
                format!("{:>11.3e} {:>11.3e} {:>11.1}{}", d.max_abs, d.relative_l2, d.max_ulp, column(&rows))
            }
            Err(what) => what.clone(),
        };
        let alone = line.rows.filter(|rows| rows.alone > 0);
        let alone = alone.map_or(String::new(), |r| format!("  found {} rows, expected {}", r.found, r.expected));
        out.push_str(&format!("{:<24} {:<24} {values}  {}{alone}{mark}\n", line.case, line.output, line.bits));
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

//! Node tests through emitted crates: many models in one crate, compiled once, asked in one run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use backend_cpu::claim::CLAIMANTS;
use backend_cpu::code::CpuCode;
use emit::{Contents, Options, WeightMode, emit_modules, write_files};
use graph::datum::Datum;
use graph::graph::Model;
use onnx2crate::cpu::Cpu;
use onnx2crate::datums;
use plan::plan::Plan;
use runtime_min::exchange;

const RUNNER: &str = include_str!("runner.rs.txt");

/// A model for a crate.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    pub model: Model,
    /// Inputs to run it on.
    pub requests: Vec<Vec<Datum>>,
}

/// For every entry, the answer to each of its requests, or why it has none.
pub type Answers = BTreeMap<String, Result<Vec<Result<Vec<Datum>, String>>, String>>;

/// The plan of a model as the tool makes it.
fn plan_of(model: &Model) -> Result<Plan<CpuCode>, String> {
    let mut model = model.clone();
    passes::run_pipeline(&mut model, &passes::Options::cpu()).map_err(|e| format!("passes: {e}"))?;
    plan::plan_model(&model, &plan::Target::lines(CLAIMANTS)).map_err(|e| format!("plan: {e}"))
}

fn options(name: &str) -> Options {
    Options {
        name: name.to_string(),
        source: "the ONNX node tests".to_string(),
        tool_version: env!("CARGO_PKG_VERSION").to_string(),
        weights: WeightMode::Embed,
        report: String::new(),
        golden: None,
    }
}

/// Emits, compiles and runs all entries as one crate in a folder.
pub fn run(name: &str, folder: &Path, entries: &[Entry]) -> Answers {
    let mut answers = Answers::new();
    let mut plans: Vec<(String, Plan<CpuCode>)> = Vec::new();
    for entry in entries {
        let alone = plan_of(&entry.model).and_then(|plan| {
            let pair = [(entry.name.clone(), plan)];
            emit_modules(&pair, &Cpu, &options(name)).map_err(|e| format!("emit: {e}"))?;
            let [pair] = pair;
            Ok(pair)
        });
        match alone {
            Ok(pair) => plans.push(pair),
            Err(why) => {
                answers.insert(entry.name.clone(), Err(why));
            }
        }
    }
    let program = loop {
        match build(name, folder, &plans) {
            Ok(program) => break program,
            Err(Broken::Models(broken)) => {
                plans.retain(|(known, _)| !broken.contains_key(known));
                answers.extend(broken.into_iter().map(|(name, why)| (name, Err(why))));
            }
            Err(Broken::Crate(why)) => {
                answers.extend(plans.iter().map(|(name, _)| (name.clone(), Err(why.clone()))));
                return answers;
            }
        }
    };
    let asked: Vec<&Entry> = entries.iter().filter(|e| plans.iter().any(|(name, _)| *name == e.name)).collect();
    match ask(&program, folder, &asked) {
        Ok(found) => answers.extend(found),
        Err(why) => answers.extend(asked.iter().map(|e| (e.name.clone(), Err(why.clone())))),
    }
    answers
}

/// Why a crate was not built.
enum Broken {
    /// These models' modules do not compile.
    Models(BTreeMap<String, String>),
    Crate(String),
}

fn build(name: &str, folder: &Path, plans: &[(String, Plan<CpuCode>)]) -> Result<PathBuf, Broken> {
    let whole = |what: String| Broken::Crate(what);
    let mut files = emit_modules(plans, &Cpu, &options(name)).map_err(|e| whole(e.to_string()))?;
    files.insert("src/main.rs".to_string(), Contents::text(RUNNER.replace("{{crate}}", name)));
    let shared = runtime_min::sources::file("exchange.rs").map(|f| f.text).unwrap_or_default();
    files.insert("src/exchange.rs".to_string(), Contents::text(shared));
    let _ = std::fs::remove_dir_all(folder.join("src"));
    write_files(folder, &files).map_err(|e| whole(e.to_string()))?;
    // Cargo runs in the folder, so a path from here would not be the same there.
    let target = std::path::absolute(folder.join("target")).map_err(|e| whole(e.to_string()))?;
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--message-format", "short"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "0")
        .output()
        .map_err(|e| whole(format!("cargo: {e}")))?;
    if output.status.success() {
        return Ok(target.join("debug").join(name));
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let mut broken: BTreeMap<String, String> = BTreeMap::new();
    for line in text.lines().filter(|l| l.contains(": error")) {
        let module = line.strip_prefix("src/").and_then(|l| l.split('/').next()).unwrap_or_default();
        let model = plans.iter().find(|(known, _)| emit::names::snake(known) == module);
        if let Some((known, _)) = model {
            broken.entry(known.clone()).or_insert_with(|| format!("rustc: {line}"));
        }
    }
    if broken.is_empty() {
        return Err(Broken::Crate(format!("cargo build: {}", text.lines().last().unwrap_or_default())));
    }
    Err(Broken::Models(broken))
}

fn ask(program: &Path, folder: &Path, entries: &[&Entry]) -> Result<Answers, String> {
    let mut requests = Vec::new();
    for entry in entries {
        for inputs in &entry.requests {
            requests.extend_from_slice(entry.name.as_bytes());
            requests.push(0);
            requests.extend(datums::to_bytes(inputs));
        }
    }
    let (given, wanted) = (folder.join("requests.bin"), folder.join("answers.bin"));
    std::fs::write(&given, requests).map_err(|e| e.to_string())?;
    let output = Command::new(program).arg(&given).arg(&wanted).output().map_err(|e| e.to_string())?;
    if !output.status.success() {
        return Err(format!("the program failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let bytes = std::fs::read(&wanted).map_err(|e| e.to_string())?;
    let mut rest = &bytes[..];
    let mut answers = Answers::new();
    for entry in entries {
        let mut all = Vec::new();
        for _ in &entry.requests {
            all.push(answer(&mut rest)?);
        }
        answers.insert(entry.name.clone(), Ok(all));
    }
    Ok(answers)
}

fn answer(rest: &mut &[u8]) -> Result<Result<Vec<Datum>, String>, String> {
    let (kind, tail) = rest.split_first().ok_or("an answer is missing")?;
    *rest = tail;
    if *kind == 0 {
        let before = *rest;
        exchange::read_all(rest).ok_or("an answer cannot be read")?;
        let used = before.len() - rest.len();
        let values = datums::from_bytes(before.get(..used).unwrap_or_default()).map_err(|e| e.to_string())?;
        return Ok(Ok(values));
    }
    let end = rest.iter().position(|b| *b == 0).ok_or("an error text without end")?;
    let (text, tail) = rest.split_at(end);
    *rest = tail.get(1..).unwrap_or_default();
    Ok(Err(String::from_utf8_lossy(text).into_owned()))
}

/// Names that occur more than once after they became identifiers would share a module; the suite has none.
pub fn clashes(entries: &[Entry]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    entries.iter().map(|e| emit::names::snake(&e.name)).filter(|n| !seen.insert(n.clone())).collect()
}

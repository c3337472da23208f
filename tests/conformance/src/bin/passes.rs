//! `passes MODEL…`: imports models, runs the pipeline, and prints how many nodes of each kind there were before and after, what
//! arithmetic on shapes is left, and what each pass did. With `--eval` the results of a data set beside the model are
//! compared before and after. With `--print`, the text of the result.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use conformance::case::Case;
use conformance::compare::{SUITE, outputs};
use graph::graph::{Graph, Model};
use graph::node::Op;

fn main() -> ExitCode {
    let (flags, models): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|a| a.starts_with("--"));
    let has = |name: &str| flags.iter().any(|f| f == name);
    let mut out = std::io::stdout().lock();
    let mut failed = models.is_empty();
    for model in &models {
        let report = report(Path::new(model), has("--eval"), has("--print"));
        failed |= report.is_err();
        let _ = match report {
            Ok(text) => writeln!(out, "{model}\n{text}"),
            Err(error) => writeln!(out, "{model}: {error}"),
        };
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn report(path: &Path, eval: bool, print: bool) -> Result<String, String> {
    let before = onnx::import_file(path, &onnx::Options::default()).map_err(|e| e.to_string())?.model;
    let mut after = before.clone();
    let start = Instant::now();
    let report = passes::run_pipeline(&mut after, &passes::Options::default()).map_err(|e| e.to_string())?;
    let mut out = format!("  {report}, {} ms\n", start.elapsed().as_millis());
    for (word, model) in [("before", &before), ("after", &after)] {
        let shapes = passes::shape_arithmetic(&model.graph).len();
        out +=
            &format!("  {word:6} {}, shape arithmetic {shapes}, guards {}\n", kinds(&model.graph), model.guards.len());
    }
    if eval {
        out += &format!("  {}\n", compare(path, &before, &after)?);
    }
    if print {
        out += &graph::text::print(&after);
    }
    Ok(out)
}

fn kinds(graph: &Graph) -> String {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for node in &graph.nodes {
        let name = match &node.op {
            Op::Region(r) => r.kind.name.to_string(),
            Op::Host(h) => h.op.name.to_string(),
            other => other.name().to_string(),
        };
        *kinds.entry(name).or_default() += 1;
    }
    let parts: Vec<String> = kinds.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!("{} nodes: {}", graph.nodes.len(), parts.join(", "))
}

fn compare(path: &Path, before: &Model, after: &Model) -> Result<String, String> {
    let folder: PathBuf = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let case = Case { name: String::new(), folder };
    let mut worst = 0f64;
    for set in case.data_sets(before)? {
        let run = |model: &Model| graph::eval::model(model, &set.inputs).map_err(|e| e.to_string());
        let (old, new) = (run(before)?, run(after)?);
        worst = worst.max(outputs(&new, &old, SUITE)?);
    }
    Ok(format!("equal, {worst} units in the last place at most"))
}

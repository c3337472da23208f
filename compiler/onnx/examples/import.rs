//! Imports a model and prints its problems, or a summary. `--dim NAME=RANGE` fixes or bounds an input dim.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use std::path::Path;
use std::process::ExitCode;

use onnx::Options;

fn main() -> ExitCode {
    let mut options = Options::default();
    let mut models = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--dim" {
            let text = args.next().unwrap_or_default();
            let parsed = text.split_once('=').and_then(|(name, range)| Some((name.to_string(), range.parse().ok()?)));
            let Some((name, range)) = parsed else {
                eprintln!("--dim NAME=VALUE, NAME=LO..HI or NAME=LO..: found {text:?}");
                return ExitCode::FAILURE;
            };
            options.dims.insert(name, range);
        } else {
            models.push(arg);
        }
    }
    let mut failed = models.is_empty();
    if failed {
        eprintln!("usage: import [--dim NAME=RANGE] MODEL…");
    }
    for model in &models {
        match onnx::import_file(Path::new(model), &options) {
            Ok(imported) => print_summary(model, &imported),
            Err(problems) => {
                println!("{problems}");
                failed = true;
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn print_summary(file: &str, imported: &onnx::Imported) {
    let (info, model) = (&imported.info, &imported.model);
    println!("{file}: {}", info.name);
    println!("  IR {}, opsets {:?}, by {}", info.ir_version, info.opsets, info.producer);
    println!(
        "  {} parameters in {} initializers, {} bytes",
        info.parameters, info.initializers, info.initializer_bytes
    );
    info.inputs.iter().for_each(|i| println!("  in  {}: {}", i.name, i.ty));
    info.outputs.iter().for_each(|o| println!("  out {}: {}", o.name, o.ty));
    let mut kinds = std::collections::BTreeMap::new();
    for node in &model.graph.nodes {
        let name = match &node.op {
            graph::node::Op::Region(r) => format!("region:{}", r.kind.name),
            graph::node::Op::Host(h) => format!("host:{}", h.op.name),
            other => other.name().to_string(),
        };
        *kinds.entry(name).or_insert(0usize) += 1;
    }
    println!("  {} nodes: {kinds:?}, {} guards", model.graph.nodes.len(), model.guards.len());
    for ((_, op), count) in &info.operators {
        println!("    {:5} {op}", count.nodes);
    }
    imported.warnings.iter().for_each(|w| println!("  warning{w}"));
}

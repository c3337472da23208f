//! `inspect`: what a model is, and what of it is not supported.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use graph::dim::{Dim, SymId};
use graph::graph::{Graph, Model};
use graph::node::Op;
use graph::symbol::SymSource;

use crate::error::Error;

/// The facts of a model file as text, one a line.
pub fn text(path: &Path, options: &onnx::Options) -> Result<String, Error> {
    let info = onnx::inspect(path)?;
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<12} {value}");
    };
    line("model", info.name.clone());
    line("producer", info.producer.clone());
    line("ir version", info.ir_version.to_string());
    for input in &info.inputs {
        line("input", format!("{}: {}", input.name, input.ty));
    }
    for output in &info.outputs {
        line("output", format!("{}: {}", output.name, output.ty));
    }
    line("parameters", info.parameters.to_string());
    line("weights", format!("{} bytes in {} tensors", info.initializer_bytes, info.initializers));
    for file in &info.external_files {
        line("external", file.clone());
    }
    for ((domain, operator), count) in &info.operators {
        let domain = if domain.is_empty() { String::new() } else { format!("{domain}.") };
        let mark = if count.supported { "" } else { "  not supported" };
        line("operator", format!("{:>6} {domain}{operator}{mark}", count.nodes));
    }
    match onnx::import_file(path, options) {
        Ok(imported) => {
            let sizes = imported.model.symbols.iter().filter(|(_, s)| s.source == SymSource::Input);
            let sizes: BTreeMap<SymId, i64> = sizes.map(|(id, s)| (id, s.lo.max(1))).collect();
            let named: Vec<String> = sizes
                .iter()
                .filter_map(|(id, v)| imported.model.symbols.get(*id).map(|s| format!("{}={v}", s.name)))
                .collect();
            let at = if named.is_empty() { String::new() } else { format!(" at {}", named.join(", ")) };
            line("flops", format!("{}{at}", work(&imported.model, &sizes)));
        }
        Err(problems) => line("problems", problems.len().to_string()),
    }
    Ok(out)
}

/// Arithmetic of one call: two for every element of a reduction, one for every other element. Loops whose end is found while
/// running count once.
pub fn work(model: &Model, sizes: &BTreeMap<SymId, i64>) -> u64 {
    let value = |id: SymId| {
        let known = sizes.get(&id).copied();
        known.or_else(|| model.symbols.get(id).map(|s| s.lo.max(1)))
    };
    graph_work(&model.graph, &value)
}

fn graph_work(graph: &Graph, value: &dyn Fn(SymId) -> Option<i64>) -> u64 {
    let size = |dim: &Dim| dim.eval(value).and_then(|v| u64::try_from(v).ok()).unwrap_or(0);
    let count = |dims: &[Dim]| dims.iter().fold(1u64, |n, d| n.saturating_mul(size(d)));
    graph.nodes.iter().fold(0u64, |total, node| {
        let own = match &node.op {
            Op::Compute(compute) => {
                let reduced = compute.reduce.iter().fold(1u64, |n, e| n.saturating_mul(size(&e.bound)));
                let factor = if compute.reduce.is_empty() { 1 } else { 2 };
                count(&compute.shape).saturating_mul(reduced).saturating_mul(factor)
            }
            Op::Scatter(scatter) => count(&scatter.domain),
            Op::Scan(scan) => graph_work(&scan.body, value).saturating_mul(size(&scan.trip)),
            Op::Region(region) => graph_work(&region.body, value),
            Op::If(choice) => graph_work(&choice.then_body, value).max(graph_work(&choice.else_body, value)),
            Op::Loop(repeat) => graph_work(&repeat.body, value),
            Op::Sort(_) | Op::Compact(_) | Op::Prefix(_) => {
                let operand = node.operands.first().and_then(|o| graph.tensor(*o));
                operand.map_or(0, |t| count(&t.shape))
            }
            Op::Const(_) | Op::Bind | Op::Host(_) => 0,
        };
        total.saturating_add(own)
    })
}

//! Every model and plan verifies, and its text parses back to equal data.

use graph::graph::Model;
use graph::host::HostOp;
use graph::text::Registry;
use plan::plan::Plan;
use plan::text::CodeText;

/// Verifies a model, prints it and parses it back.
pub fn check_model(model: &Model, host_ops: &[&'static HostOp]) -> Result<(), String> {
    graph::verify::model(model).map_err(|violations| first("graph", &violations))?;
    let blobs = graph::text::blobs(&model.graph);
    let registry = Registry { host_ops, blobs: &blobs, ..Registry::default() };
    let text = graph::text::print(model);
    let again = graph::text::parse(&text, &registry).map_err(|e| format!("graph text: {e}"))?;
    if again == *model && graph::text::print(&again) == text {
        Ok(())
    } else {
        Err("graph text: not equal".to_string())
    }
}

/// Verifies a plan, prints it and parses it back.
pub fn check_plan<C: CodeText + PartialEq>(plan: &Plan<C>, host_ops: &[&'static HostOp]) -> Result<(), String> {
    plan::verify::plan(plan).map_err(|violations| first("plan", &violations))?;
    let blobs = plan::text::blobs(plan);
    let registry = Registry { host_ops, blobs: &blobs, ..Registry::default() };
    let text = plan::text::print(plan);
    let again = plan::text::parse::<C>(&text, &registry).map_err(|e| format!("plan text: {e}"))?;
    if again == *plan && plan::text::print(&again) == text { Ok(()) } else { Err("plan text: not equal".to_string()) }
}

fn first(what: &str, violations: &[impl std::fmt::Display]) -> String {
    let first = violations.first().map_or(String::new(), ToString::to_string);
    format!("{what}: {} violations: {first}", violations.len())
}

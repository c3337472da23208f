//! The table of steps: what each is, its time, and what it achieves.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use graph::dim::SymId;
use kernels::GpuCode;
use plan::plan::{Action, Code, Plan, Step};
use runtime_min::error::Node;
use serde::Serialize;

use super::work::{self, Work};

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepLine {
    /// Its number.
    pub step: usize,
    /// Names and operators of the ONNX nodes that it stems from.
    pub nodes: String,
    pub operators: String,
    /// The kernel family, or what else the step does.
    pub kind: String,
    /// The family's variant, or the entry of a generic kernel.
    pub variant: String,
    /// Launches, copies and clears of a run; more than those of the plan in loops.
    pub launches: usize,
    /// Of a run, by itself.
    pub us: f64,
    pub gb_per_s: Option<f64>,
    pub gflop_per_s: Option<f64>,
    /// Of the time of all steps.
    pub share: f64,
}

/// What was measured of the launches of a plan's step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    pub launches: usize,
    pub us: f64,
    pub node: Option<Node>,
}

/// The lines of all steps that took time, from the measured ones by number.
pub fn lines(plan: &Plan<GpuCode>, sizes: &BTreeMap<SymId, i64>, measured: &BTreeMap<u32, Measured>) -> Vec<StepLine> {
    let steps = work::steps(plan);
    let total: f64 = measured.values().map(|m| m.us).sum();
    let mut out = Vec::with_capacity(measured.len());
    for (number, found) in measured {
        let step = steps.get(*number as usize).copied();
        let Work { bytes, flops } = step.map(|step| work::work(plan, step, sizes)).unwrap_or_default();
        let (kind, variant) = step.map_or_else(|| ("copy", String::new()), |step| kind(plan, step));
        let rate = |amount: f64| (amount > 0.0 && found.us > 0.0).then(|| amount / found.us / 1e3);
        out.push(StepLine {
            step: *number as usize,
            nodes: found.node.map_or_else(String::new, |node| node.name.to_string()),
            operators: found.node.map_or_else(String::new, |node| node.op.to_string()),
            kind: kind.to_string(),
            variant,
            launches: found.launches,
            us: found.us,
            gb_per_s: bytes.and_then(rate),
            gflop_per_s: rate(flops),
            share: if total > 0.0 { found.us / total } else { 0.0 },
        });
    }
    out
}

fn kind(plan: &Plan<GpuCode>, step: &Step) -> (&'static str, String) {
    match &step.action {
        Action::Launch(launch) => match plan.codes.get(launch.code.0 as usize) {
            Some(Code::Claimed(claimed)) => {
                (crate::report::gpu_family(&claimed.code), crate::gpu::variant(&claimed.code))
            }
            Some(Code::Kernel(kernel)) => (crate::gpu::kind(kernel), String::new()),
            None => ("launch", String::new()),
        },
        Action::Copy { .. } => ("copy", String::new()),
        Action::Clear { .. } => ("clear", String::new()),
        Action::Host(call) => ("host", call.op.name.to_string()),
        Action::ReadBack { .. } => ("size read back", String::new()),
        Action::Let { .. } => ("size", String::new()),
        Action::Check { .. } => ("check", String::new()),
        Action::Loop(_) => ("loop", String::new()),
        Action::If(_) => ("choice", String::new()),
    }
}

/// The table, the heaviest steps first.
pub fn table(lines: &[StepLine]) -> String {
    let mut out = format!(
        "{:>5} {:>9} {:>6} {:>8} {:>9} {:>3}  {:<14} {:<24} nodes\n",
        "step", "us", "share", "GB/s", "GFLOP/s", "n", "kind", "variant"
    );
    let mut sorted: Vec<&StepLine> = lines.iter().collect();
    sorted.sort_by(|a, b| b.us.total_cmp(&a.us));
    for line in sorted {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_string(), |v| format!("{v:.0}"));
        let (rate, flops) = (number(line.gb_per_s), number(line.gflop_per_s));
        let (step, us, share, launches) = (line.step, line.us, line.share * 100.0, line.launches);
        let (kind, variant) = (&line.kind, &line.variant);
        let (operators, nodes) = (&line.operators, &line.nodes);
        let _ = writeln!(
            out,
            "{step:>5} {us:>9.2} {share:>5.1}% {rate:>8} {flops:>9} {launches:>3}  {kind:<14} {variant:<24} {operators} {nodes}"
        );
    }
    out
}

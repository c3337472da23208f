//! The report of a crate: what runs where, and what memory it takes.

use std::collections::BTreeMap;
use std::fmt::Write;

use backend_cpu::code::CpuCode;
use emit::EmitError;
use emit::gpu::GpuTarget;
use kernels::GpuCode;
use plan::plan::{Action, Block, Code, Plan};

use crate::compiler::Compiled;
use crate::gpu::Gpu;
use crate::locked::{Answers, Locked, kernel_texts};
use crate::planned::Planned;

/// The report as Markdown.
pub fn text(compiled: &Compiled) -> Result<String, EmitError> {
    let mut out = String::new();
    match &compiled.plans {
        Planned::Cpu(plan) => target_text(&mut out, plan, family),
        Planned::Gpus(list) => {
            let _ = writeln!(out, "Precision: {}.\n", compiled.precision);
            let mut answers = compiled.answers.iter();
            for (gpu, plan) in list {
                let _ = writeln!(out, "For {}:\n", gpu.sm);
                target_text(&mut out, plan, gpu_family);
                lock_text(&mut out, (*gpu, plan), &compiled.lock, answers.next())?;
                out.push('\n');
            }
        }
    }
    let _ = writeln!(out, "\nPasses: {}.", compiled.passes);
    if !compiled.imported.warnings.is_empty() {
        let _ = writeln!(out, "\nNoticed at import:\n");
        for warning in &compiled.imported.warnings {
            let _ = writeln!(out, "- {}", emit::names::one_line(&warning.fault.to_string()));
        }
    }
    Ok(out.trim_end().to_string())
}

/// What came from the lock.
fn lock_text(
    out: &mut String,
    (gpu, plan): (Gpu, &Plan<GpuCode>),
    lock: &Locked,
    answers: Option<&Answers>,
) -> Result<(), EmitError> {
    let Some(answers) = answers.filter(|_| lock.folder().is_some()) else { return Ok(()) };
    let Answers { known, modelled, stale } = answers;
    let of = lock.lock.devices.get(gpu.name());
    let of = of.map_or_else(String::new, |d| format!(" ({}, driver {})", emit::names::one_line(&d.name), d.driver));
    let _ = writeln!(
        out,
        "\nVariants of kernels: {known} from the lock{of}, {modelled} from the cost model ({stale} answers of the lock are stale)."
    );
    let texts = kernel_texts(plan, &lock.target(gpu))?;
    let linked = texts.values().filter(|text| text.linked).count();
    let rest = texts.len() - linked;
    let others = match rest {
        0 => String::new(),
        _ => format!("; {rest} are PTX alone, which the driver compiles when an engine loads"),
    };
    let _ = writeln!(out, "\nMachine code: {linked} of {} kernels{others}.", texts.len());
    Ok(())
}

/// What runs on one target.
fn target_text<C>(out: &mut String, plan: &Plan<C>, family: fn(&C) -> &'static str) {
    let mut counts = Counts::default();
    counts.block(plan, &plan.body, family);
    let _ = writeln!(out, "| steps | number |\n|---|---|");
    for (kind, number) in &counts.kinds {
        let _ = writeln!(out, "| {kind} | {number} |");
    }
    let weights: usize = plan.weights.iter().map(|w| w.shape.iter().product::<usize>()).sum();
    let sizes = emit::size::SizeTable::new(&plan.symbols);
    let _ = writeln!(
        out,
        "\nMemory: {} bytes of intermediate values, {weights} elements of weights.",
        emit::names::one_line(&sizes.text(&plan.arena))
    );
    if !counts.generic.is_empty() {
        let _ = writeln!(out, "\nRun by generic loop nests, for no kernel family takes them:\n");
        for name in &counts.generic {
            let _ = writeln!(out, "- {}", emit::names::one_line(name));
        }
    }
}

#[derive(Default)]
struct Counts {
    kinds: BTreeMap<&'static str, usize>,
    generic: Vec<String>,
}

impl Counts {
    fn block<C>(&mut self, plan: &Plan<C>, block: &Block, family: fn(&C) -> &'static str) {
        for step in &block.steps {
            let kind = match &step.action {
                Action::Launch(launch) => match plan.codes.get(launch.code.0 as usize) {
                    Some(Code::Claimed(claimed)) => family(&claimed.code),
                    Some(Code::Kernel(_)) | None => {
                        let names = step.origins.iter().filter_map(|o| plan.origins.get(o.0 as usize));
                        let names: Vec<String> = names.map(|o| format!("{} {}", o.op_type, o.name)).collect();
                        self.generic.extend((!names.is_empty()).then(|| names.join(" + ")));
                        "loop nest"
                    }
                },
                Action::Copy { .. } => "copy",
                Action::Clear { .. } => "clear",
                Action::Host(_) => "host operator",
                Action::ReadBack { .. } => "size read back",
                Action::Let { .. } => "size",
                Action::Check { .. } => "check",
                Action::Loop(inner) => {
                    self.block(plan, &inner.body, family);
                    "loop"
                }
                Action::If(inner) => {
                    self.block(plan, &inner.then_block, family);
                    self.block(plan, &inner.else_block, family);
                    "choice"
                }
            };
            *self.kinds.entry(kind).or_default() += 1;
        }
    }
}

fn family(code: &CpuCode) -> &'static str {
    match code {
        CpuCode::Gemm(_) => "matrix product",
        CpuCode::Conv(_) => "convolution",
        CpuCode::Depthwise(_) => "depthwise convolution",
        CpuCode::Pool { .. } => "pooling",
        CpuCode::Rows(_) => "softmax or norm",
        CpuCode::Recurrent(_) => "recurrent layer",
        CpuCode::Nms(_) => "suppression of boxes",
    }
}

/// The kernel family of code.
pub fn gpu_family(code: &GpuCode) -> &'static str {
    match code {
        GpuCode::Product(code) if code.window.is_some() => "convolution",
        GpuCode::Product(_) => "matrix product",
        GpuCode::Depthwise(_) => "depthwise convolution",
        GpuCode::Attention(_) => "attention",
        GpuCode::Recurrent(_) => "recurrent layer",
    }
}

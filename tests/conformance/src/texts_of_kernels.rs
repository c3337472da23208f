//! The kernels that models become on architectures, as texts: equal ones once.

use std::collections::{BTreeMap, BTreeSet};

use emit::gpu::GpuTarget;
use graph::dtype::DType;
use graph::graph::Model;
use onnx2crate::gpu::{Gpu, GpuCode};
use plan::plan::{Code, Plan};
use ptx::Sm;

use crate::device::body;

/// A kernel: where it was met, and the version of PTX that it declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    pub places: BTreeSet<String>,
    pub version: (u32, u32),
}

/// Texts without comments and without the lines that name version and architecture.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    pub of: BTreeMap<Sm, BTreeMap<String, Met>>,
}

impl Texts {
    /// Adds the kernels of a model in its normal form: with kernel families, and if asked for those of the generic way.
    pub fn add(&mut self, model: &Model, sm: Sm, name: &str, generic: bool) -> Result<(), String> {
        let gpu = Gpu { sm };
        let wrong = |e: &dyn std::fmt::Display| format!("{name}: {sm}: {e}");
        let plan = gpu.plan(model).map_err(|e| wrong(&e))?;
        self.add_plan(&plan, gpu, name)?;
        if generic && plan.codes.iter().any(|code| matches!(code, Code::Claimed(_))) {
            let plan = gpu.plan_generic(model).map_err(|e| wrong(&e))?;
            self.add_plan(&plan, gpu, name)?;
        }
        Ok(())
    }

    /// Adds the kernels of a plan.
    pub fn add_plan(&mut self, plan: &Plan<GpuCode>, gpu: Gpu, name: &str) -> Result<(), String> {
        let texts = self.of.entry(gpu.sm).or_default();
        for code in &plan.codes {
            // The host moves strings.
            if let Code::Kernel(kernel) = code
                && kernel.operands.iter().chain(&kernel.results).any(|p| p.dtype == DType::Str)
            {
                continue;
            }
            let kernels = gpu.kernels(code).map_err(|e| format!("{name}: {}: {e}", gpu.sm))?;
            for kernel in kernels.launches {
                let lines = body(&kernel.ptx).lines().filter(|l| !l.trim_start().starts_with("//"));
                let text = lines.collect::<Vec<_>>().join("\n");
                let none = || Met { places: BTreeSet::new(), version: version(&kernel.ptx) };
                let place = format!("{name}: {}", kernel.entry);
                texts.entry(text).or_insert_with(none).places.insert(place);
            }
        }
        Ok(())
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Texts) {
        for (sm, texts) in other.of {
            let here = self.of.entry(sm).or_default();
            for (text, met) in texts {
                let none = || Met { places: BTreeSet::new(), version: met.version };
                here.entry(text).or_insert_with(none).places.extend(met.places);
            }
        }
    }

    /// How many there are for all architectures, and how many differ from those of every other.
    pub fn counts(&self) -> (usize, usize) {
        let mut all: Vec<&String> = self.of.values().flat_map(BTreeMap::keys).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        (count, all.len())
    }
}

fn version(ptx: &str) -> (u32, u32) {
    let line = ptx.lines().find_map(|l| l.strip_prefix(".version ")).unwrap_or_default();
    let parts = line.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.trim().parse().ok()?)));
    parts.unwrap_or((6, 3))
}

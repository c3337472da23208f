//! From a kernel to its launches.

use graph::dim::{Dim, Pred};
use graph::symbol::Symbols;
use nest::kernel::{Body, Kernel, Nest};
use ptx::Sm;

use crate::blocks;
use crate::compact;
use crate::contract;
use crate::error::PtxError;
use crate::facts::Limits;
use crate::flat::{Flat, Memory, Merge, Reads, flatten, parameter_symbols};
use crate::index::Ix;
use crate::launch::{GpuKernel, Kernels};
use crate::memory::Region;
use crate::moves;
use crate::point::Place;
use crate::points::{self, Sinks};
use crate::prefix;
use crate::reduce::{self, Share};
use crate::rows;
use crate::scatter;
use crate::schedule::{Schedule, THREADS, Variant, variants};
use crate::sort;
use crate::tile;
use crate::writer::Writer;

/// The launches of a kernel for a target.
pub fn compile(kernel: &Kernel, sm: Sm) -> Result<Kernels, PtxError> {
    compile_within(kernel, sm, &Limits::default())
}

/// As [`compile`], with other limits.
pub fn compile_within(kernel: &Kernel, sm: Sm, limits: &Limits) -> Result<Kernels, PtxError> {
    let integers = moves::as_integers(kernel);
    let kernel = integers.as_ref().unwrap_or(kernel);
    let symbols = kernel_symbols(kernel);
    let ctx = Ctx { kernel, symbols: &symbols, sm, limits };
    let launches = match &kernel.body {
        Body::Nest(nest) => nest_launches(ctx, nest)?,
        Body::Scatter(body) => scatter::launches(ctx, body)?,
        Body::Sort { axis, descending } => sort::launches(ctx, *axis, *descending)?,
        Body::Compact => compact::launches(ctx)?,
        Body::Prefix { axis, combiner, exclusive, reverse } => prefix::launches(
            ctx,
            *axis,
            prefix::Order { combiner: *combiner, exclusive: *exclusive, reverse: *reverse },
        )?,
    };
    Ok(Kernels { launches, workspace: workspace_within(kernel, limits) })
}

/// Bytes of scratch that the launches of a kernel need; 0 for a kernel that cannot be compiled.
pub fn workspace(kernel: &Kernel) -> Dim {
    workspace_within(kernel, &Limits::default())
}

fn workspace_within(kernel: &Kernel, limits: &Limits) -> Dim {
    let symbols = kernel_symbols(kernel);
    match &kernel.body {
        Body::Nest(nest) => nest_workspace(kernel, nest, &symbols, limits).unwrap_or_default(),
        Body::Scatter(body) => scatter::workspace(kernel, body),
        Body::Sort { axis, .. } => sort::workspace(kernel, *axis, &symbols, limits),
        Body::Compact => compact::workspace(kernel, &symbols),
        Body::Prefix { .. } => Dim::constant(0),
    }
}

/// What the launches of a kernel are made from.
#[derive(Clone, Copy)]
pub struct Ctx<'a> {
    pub kernel: &'a Kernel,
    pub symbols: &'a Symbols,
    pub sm: Sm,
    pub limits: &'a Limits,
}

impl Ctx<'_> {
    /// A launch whose grid is 0 unless the predicate holds.
    pub fn launch(&self, w: Writer, when: &Pred, grid: [Dim; 3], threads: u32) -> Result<GpuKernel, PtxError> {
        let [x, y, z] = grid;
        let x = self.symbols.select(when, &x, &Dim::constant(0));
        w.finish([x, y, z], [threads, 1, 1])
    }
}

/// The parameters of a kernel, with what its extents say about them.
pub fn kernel_symbols(kernel: &Kernel) -> Symbols {
    let ports = kernel.operands.iter().chain(&kernel.results).flat_map(|p| p.shape.iter().cloned());
    let mut extents: Vec<Dim> = ports.collect();
    match &kernel.body {
        Body::Nest(nest) => {
            extents.extend(nest.outer.iter().cloned());
            for stage in &nest.stages {
                extents.extend(stage.inner.iter().cloned());
                extents.extend(stage.reduce.iter().map(|e| e.bound.clone()));
            }
        }
        Body::Scatter(scatter) => extents.extend(scatter.domain.iter().cloned()),
        Body::Sort { .. } | Body::Compact | Body::Prefix { .. } => {}
    }
    parameter_symbols(kernel.params, &extents)
}

/// The only stage of a nest, collapsed; `None` if there are several, or one that keeps.
fn only_stage(kernel: &Kernel, nest: &Nest, symbols: &Symbols) -> Result<Option<Flat>, PtxError> {
    let [stage] = nest.stages.as_slice() else { return Ok(None) };
    let reads = Reads { operands: &kernel.operands, kept: &[] };
    Ok(Some(flatten(symbols, &nest.outer, stage, reads, &kernel.results, Merge::All)?))
}

fn nest_workspace(kernel: &Kernel, nest: &Nest, symbols: &Symbols, limits: &Limits) -> Option<Dim> {
    match only_stage(kernel, nest, symbols).ok()? {
        Some(flat) => {
            let mut most = Dim::constant(0);
            for variant in variants(&flat, symbols, limits) {
                if let Schedule::Reduce { parts, .. } = variant.schedule
                    && parts > 1
                {
                    let bytes = reduce::parked_bytes(&flat, parts);
                    most = symbols.max(&most, &symbols.select(&variant.when, &bytes, &Dim::constant(0)));
                }
            }
            Some(most)
        }
        None => {
            let rows = rows::rows(kernel, nest, symbols).ok()?;
            let mut most = Dim::constant(0);
            for variant in rows::variants(&rows, symbols, limits).iter().filter(|v| !v.shared) {
                let bytes = &Dim::product(&rows.outer) * &rows.bytes;
                most = symbols.max(&most, &symbols.select(&variant.when, &bytes, &Dim::constant(0)));
            }
            Some(most)
        }
    }
}

fn nest_launches(ctx: Ctx<'_>, nest: &Nest) -> Result<Vec<GpuKernel>, PtxError> {
    let mut out = Vec::new();
    let Some(flat) = only_stage(ctx.kernel, nest, ctx.symbols)? else {
        let rows = rows::rows(ctx.kernel, nest, ctx.symbols)?;
        for variant in rows::variants(&rows, ctx.symbols, ctx.limits) {
            let mut w = Writer::new("rows", ctx.sm);
            w.headline(&format!("{} stages, {variant:?}", rows.stages.len()));
            let results = w.results(ctx.kernel)?;
            let ctas = rows::emit(&mut w, ctx.kernel, &rows, &variant, &results)?;
            out.push(ctx.launch(w, &variant.when, [ctas, Dim::constant(1), Dim::constant(1)], variant.threads())?);
        }
        return Ok(out);
    };
    for variant in variants(&flat, ctx.symbols, ctx.limits) {
        out.extend(stage_launches(ctx, &flat, &variant)?);
    }
    Ok(out)
}

/// The places of a stage's sources among the kernel's operands.
pub fn operand_places(w: &mut Writer, kernel: &Kernel, flat: &Flat) -> Result<Vec<Place>, PtxError> {
    let mut out = Vec::with_capacity(flat.sources.len());
    for source in &flat.sources {
        match source.memory {
            Memory::Operand(k) => out.push(Place::Region(w.operand(kernel, k)?)),
            Memory::Kept(_) => return Err(PtxError::Malformed("a kept value of no stage")),
        }
    }
    Ok(out)
}

fn stage_launches(ctx: Ctx<'_>, flat: &Flat, variant: &Variant) -> Result<Vec<GpuKernel>, PtxError> {
    let ix = Ix::of(variant.wide);
    let one = || Dim::constant(1);
    let start = |name: &str| -> Result<(Writer, Vec<Place>, Vec<Region>), PtxError> {
        let mut w = Writer::new(name, ctx.sm);
        w.headline(&format!("{:?}{}", variant.schedule, if variant.wide { ", 64-bit indices" } else { "" }));
        let places = operand_places(&mut w, ctx.kernel, flat)?;
        let results = w.results(ctx.kernel)?;
        Ok((w, places, results))
    };
    match variant.schedule {
        Schedule::Points { vector, unroll } => {
            let (mut w, places, results) = start("points")?;
            let sinks = Sinks { results: &results, kept: &[] };
            let ctas = points::emit(&mut w, flat, ix, (vector, unroll), places, &sinks)?;
            Ok(vec![ctx.launch(w, &variant.when, [ctas, one(), one()], THREADS)?])
        }
        Schedule::Contract => {
            let (mut w, places, results) = start("contract")?;
            let sinks = Sinks { results: &results, kept: &[] };
            let plan = contract::contraction(flat).ok_or(PtxError::Malformed("a contraction that is none"))?;
            let ctas = contract::emit(&mut w, flat, &plan, places, &sinks)?;
            Ok(vec![ctx.launch(w, &variant.when, [ctas, one(), one()], THREADS)?])
        }
        Schedule::Blocks { dim, side } => {
            let (mut w, places, results) = start("blocks")?;
            let sinks = Sinks { results: &results, kept: &[] };
            let ctas = blocks::emit(&mut w, flat, (dim, side), places, &sinks)?;
            Ok(vec![ctx.launch(w, &variant.when, [ctas, one(), one()], THREADS)?])
        }
        Schedule::Tile { dim } => {
            let (mut w, places, results) = start("tile")?;
            let sinks = Sinks { results: &results, kept: &[] };
            let sources = tile::across(flat).map(|(_, sources)| sources).unwrap_or_default();
            let ctas = tile::emit(&mut w, flat, (dim, &sources), places, &sinks)?;
            Ok(vec![ctx.launch(w, &variant.when, [ctas, one(), one()], THREADS)?])
        }
        Schedule::Reduce { points, lanes, vector, rows, parts } => {
            let share = Share { points, lanes, vector, rows, parts };
            let (mut w, places, results) = start("reduce")?;
            let sinks = Sinks { results: &results, kept: &[] };
            let grid = reduce::emit(&mut w, flat, ix, share, places, &sinks)?;
            let mut out = vec![ctx.launch(w, &variant.when, grid, share.threads())?];
            if parts > 1 {
                let (mut w, places, results) = start("reduce_parts")?;
                let sinks = Sinks { results: &results, kept: &[] };
                let grid = reduce::emit_parts(&mut w, flat, ix, parts, places, &sinks)?;
                out.push(ctx.launch(w, &variant.when, grid, 128)?);
            }
            Ok(out)
        }
    }
}

//! From a kernel to its launches.

use graph::dim::{Dim, Pred};
use graph::symbol::Symbols;
use nest::kernel::{Body, Kernel, Nest, Stage as NestStage};
use ptx::Sm;

use crate::blocks;
use crate::compact;
use crate::contract;
use crate::error::PtxError;
use crate::facts::{Limits, all};
use crate::flat::{Flat, Memory, Merge, Reads, flatten, parameter_symbols};
use crate::index::Ix;
use crate::launch::{GpuKernel, Kernels};
use crate::memory::Region;
use crate::moves;
use crate::point::Place;
use crate::points::{self, Sinks};
use crate::prefix;
use crate::reduce::columns::{self, Columns};
use crate::reduce::{self, Share};
use crate::rows::{self, Rows, RowsVariant};
use crate::scatter;
use crate::schedule::{Schedule, THREADS, Variant, is_along_rows, variants};
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
        Body::Nest(nest) => {
            let ways = ways(kernel, nest, &symbols, limits)?;
            let workspace = ways.workspace(&symbols);
            return Ok(Kernels { launches: nest_launches(ctx, &ways)?, workspace });
        }
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
        Body::Nest(nest) => {
            ways(kernel, nest, &symbols, limits).map(|ways| ways.workspace(&symbols)).unwrap_or_default()
        }
        Body::Scatter(body) => scatter::workspace(kernel, body),
        Body::Sort { axis, .. } => sort::workspace(kernel, *axis, &symbols, limits),
        Body::Compact => compact::workspace(kernel, &symbols),
        Body::Prefix { axis, combiner, .. } => prefix::workspace(kernel, *axis, *combiner, &symbols),
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

/// How a nest runs: rows in registers or a stage after the other for each outer index, and ways of its only stage.
struct Ways {
    rows: Option<(Rows, Vec<RowsVariant>)>,
    flat: Option<(Flat, Vec<Variant>)>,
}

impl Ways {
    /// Bytes of scratch.
    fn workspace(&self, symbols: &Symbols) -> Dim {
        let mut most = Dim::constant(0);
        if let Some((flat, variants)) = &self.flat {
            for variant in variants {
                let parts = match variant.schedule {
                    Schedule::Reduce { parts, .. } | Schedule::Columns(Columns { parts, .. }) => parts,
                    Schedule::Points { .. } | Schedule::Blocks(_) | Schedule::Tile { .. } | Schedule::Contract => 1,
                };
                if parts > 1 {
                    let bytes = reduce::parked_bytes(flat, parts);
                    most = symbols.max(&most, &symbols.select(&variant.when, &bytes, &Dim::constant(0)));
                }
            }
        }
        if let Some((rows, variants)) = &self.rows {
            for variant in variants.iter().filter(|v| !v.shared) {
                let bytes = &Dim::product(&rows.outer) * &rows.bytes;
                most = symbols.max(&most, &symbols.select(&variant.when, &bytes, &Dim::constant(0)));
            }
        }
        most
    }
}

fn ways(kernel: &Kernel, nest: &Nest, symbols: &Symbols, limits: &Limits) -> Result<Ways, PtxError> {
    let Some(flat) = only_stage(kernel, nest, symbols)? else {
        let rows = rows::rows(kernel, nest, symbols)?;
        let variants = rows::variants(&rows, symbols, limits);
        return Ok(Ways { rows: Some((rows, variants)), flat: None });
    };
    let mut list = variants(&flat, symbols, limits);
    let held = match nest.stages.as_slice() {
        [stage] if is_row_reduction(&flat) && nest.outer.is_empty() => {
            let only = NestStage { inner: Vec::new(), ..stage.clone() };
            let rows = rows::rows(kernel, &Nest { outer: stage.inner.clone(), stages: vec![only] }, symbols)?;
            let variants: Vec<RowsVariant> =
                rows::variants(&rows, symbols, limits).into_iter().filter(|v| v.held.is_some()).collect();
            (!variants.is_empty()).then_some((rows, variants))
        }
        _ => None,
    };
    // Registers hold all rows whose addresses fit 32 bits.
    list.retain(|v| v.wide || held.is_none());
    for when in held.iter().flat_map(|(_, variants)| variants.iter().map(|v| v.when.clone())) {
        let not = Pred::Not(Box::new(when));
        list.iter_mut().for_each(|v| v.when = all([not.clone(), v.when.clone()], symbols));
    }
    list.retain(|v| v.when != Pred::Const(false));
    Ok(Ways { rows: held, flat: Some((flat, list)) })
}

/// Whether a reduction is one of rows that registers hold, and there are CTAs enough with one row each.
fn is_row_reduction(flat: &Flat) -> bool {
    let steps = match flat.reduce.as_slice() {
        [one] if one.size.is_none() => one.bound.as_const(),
        _ => None,
    };
    let many = flat.points().as_const().is_none_or(|points| points >= 256);
    is_along_rows(flat) && steps.is_some_and(|n| n > 8 && (n <= 4096 || many))
}

fn nest_launches(ctx: Ctx<'_>, ways: &Ways) -> Result<Vec<GpuKernel>, PtxError> {
    let mut out = Vec::new();
    if let Some((rows, variants)) = &ways.rows {
        for variant in variants {
            let mut w = Writer::new("rows", ctx.sm);
            w.headline(&format!("{} stages, {variant:?}", rows.stages.len()));
            let results = w.results(ctx.kernel)?;
            let ctas = rows::emit(&mut w, ctx.kernel, rows, variant, &results)?;
            out.push(ctx.launch(w, &variant.when, [ctas, Dim::constant(1), Dim::constant(1)], variant.threads())?);
        }
    }
    if let Some((flat, variants)) = &ways.flat {
        for variant in variants {
            out.extend(stage_launches(ctx, flat, variant)?);
        }
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
        Schedule::Blocks(block) => {
            let (mut w, places, results) = start("blocks")?;
            let sinks = Sinks { results: &results, kept: &[] };
            let ctas = blocks::emit(&mut w, flat, block, places, &sinks)?;
            Ok(vec![ctx.launch(w, &variant.when, [ctas, one(), one()], THREADS)?])
        }
        Schedule::Tile { dim } => {
            let (mut w, places, results) = start("tile")?;
            let sinks = Sinks { results: &results, kept: &[] };
            let sources = tile::across(flat).map(|(_, sources)| sources).unwrap_or_default();
            let ctas = tile::emit(&mut w, flat, (dim, &sources), places, &sinks)?;
            Ok(vec![ctx.launch(w, &variant.when, [ctas, one(), one()], THREADS)?])
        }
        Schedule::Columns(columns) => {
            let (mut w, places, results) = start("columns")?;
            let sinks = Sinks { results: &results, kept: &[] };
            let grid = columns::emit(&mut w, flat, ix, columns, places, &sinks)?;
            let mut out = vec![ctx.launch(w, &variant.when, grid, columns.threads)?];
            if columns.parts > 1 {
                out.push(parts_launch(ctx, flat, variant, columns.parts)?);
            }
            Ok(out)
        }
        Schedule::Reduce { points, lanes, vector, rows, parts } => {
            let share = Share { points, lanes, vector, rows, parts };
            let (mut w, places, results) = start("reduce")?;
            let sinks = Sinks { results: &results, kept: &[] };
            let grid = reduce::emit(&mut w, flat, ix, share, places, &sinks)?;
            let mut out = vec![ctx.launch(w, &variant.when, grid, share.threads())?];
            if parts > 1 {
                out.push(parts_launch(ctx, flat, variant, parts)?);
            }
            Ok(out)
        }
    }
}

/// The launch that combines what the parts of a reduction left.
fn parts_launch(ctx: Ctx<'_>, flat: &Flat, variant: &Variant, parts: u32) -> Result<GpuKernel, PtxError> {
    let mut w = Writer::new("reduce_parts", ctx.sm);
    let places = operand_places(&mut w, ctx.kernel, flat)?;
    let results = w.results(ctx.kernel)?;
    let sinks = Sinks { results: &results, kept: &[] };
    let grid = reduce::emit_parts(&mut w, flat, Ix::of(variant.wide), parts, places, &sinks)?;
    ctx.launch(w, &variant.when, grid, 128)
}

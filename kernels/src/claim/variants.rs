//! The variants of products and convolutions: which there are, which the model puts first, and one by its name.

use std::collections::BTreeMap;

use graph::dim::{Dim, SymId};
use graph::symbol::Symbols;
use plan::claim::Claim;
use plan::tuning::Problem;

use crate::claim::contract::fits;
use crate::claim::typical;
use crate::code::{GpuCode, Label, ProductCode, Second, Variant};
use crate::device::{Device, Shape, Work};
use crate::fragment::Input;
use crate::lower::workspace;
use crate::{cluster, gemm, simt, wide};

/// Of the kernels of products and convolutions: a change of their speed makes it another.
const REVISION: u32 = 5;
/// How often a sum may be cut, and the fewest terms of a part.
const SPLITS: [u32; 8] = [1, 2, 3, 4, 6, 8, 12, 16];
const LEAST_DEPTH: f64 = 128.0;
/// How many splits of one tile are listed at most, so that other tiles have their turn.
const OF_TILE: usize = 3;

/// The variant with the least estimated time that fits, and that time.
pub(super) fn choose(device: &Device, work: &Work, fits: &dyn Fn(&Variant) -> bool) -> Option<(Variant, f64)> {
    by_cost(device, work).into_iter().find(|(variant, _)| fits(variant))
}

/// What is to be tuned of a product.
pub(super) fn problem(claim: &Claim<GpuCode>) -> Option<Problem> {
    let code = product(claim)?;
    Some(Problem { revision: REVISION, text: text(code), chosen: code.variant.name() })
}

/// The cheapest variants of a product whose kernels can be emitted, few of each tile.
pub(super) fn variants(
    device: &Device,
    symbols: &Symbols,
    claim: &Claim<GpuCode>,
    most: usize,
) -> Vec<plan::tuning::Variant> {
    let Some(code) = product(claim) else { return Vec::new() };
    let mut listed: BTreeMap<Variant, usize> = BTreeMap::new();
    let mut out = Vec::new();
    for (variant, cost) in by_cost(device, &work(symbols, claim, code)) {
        let of_tile = listed.entry(variant.whole()).or_default();
        if out.len() < most && *of_tile < OF_TILE && fits(code, &variant, device) {
            *of_tile += 1;
            out.push(plan::tuning::Variant { name: variant.name(), cost });
        }
    }
    out
}

/// A product in a variant.
pub(super) fn apply(device: &Device, symbols: &Symbols, claim: &Claim<GpuCode>, name: &str) -> Option<Claim<GpuCode>> {
    let code = product(claim)?;
    let all = by_cost(device, &work(symbols, claim, code)).into_iter();
    let (variant, cost) = all.into_iter().find(|(v, _)| v.name() == name).filter(|(v, _)| fits(code, v, device))?;
    let code = GpuCode::Product(ProductCode { variant, ..code.clone() });
    let value_of = |s: SymId| claim.sizes.get(s.0 as usize).cloned();
    let workspace = symbols.substitute(&workspace(&code, device.sm), &value_of);
    Some(Claim { code, workspace, cost, ..claim.clone() })
}

fn product(claim: &Claim<GpuCode>) -> Option<&ProductCode> {
    match &claim.code {
        GpuCode::Product(code) => Some(code),
        GpuCode::Depthwise(_) | GpuCode::Attention(_) | GpuCode::Recurrent(_) => None,
    }
}

/// A product at typical sizes.
fn work(symbols: &Symbols, claim: &Claim<GpuCode>, code: &ProductCode) -> Work {
    let of = |from: usize, count: usize| Dim::product(claim.sizes.iter().skip(from).take(count));
    let matrix = code.batch + code.rows;
    Work {
        rows: typical(symbols, &of(code.batch, code.rows)),
        columns: typical(symbols, &of(matrix, 1)),
        depth: typical(symbols, &of(matrix + 1, 1)),
        batch: typical(symbols, &of(0, code.batch)),
        input: code.input,
        result: f64::from(code.input.bytes()),
        taps: code.window.map_or(1.0, |w| f64::from(w.kernel[0] * w.kernel[1])),
    }
}

/// `f16 product brk/16 packed/16 to brc/8 n768 k768`: what is multiplied, the dims of each operand from the slowest on with the
/// bytes of a copy, those of the result with the columns finished at once, and the sizes that are code.
fn text(code: &ProductCode) -> String {
    let labels = |list: &[Label]| -> String {
        let letter = |label: &Label| match label {
            Label::Batch(d) => format!("b{d}"),
            Label::Row(d) => format!("r{d}"),
            Label::Column => "n".to_string(),
            Label::Depth => "k".to_string(),
        };
        list.iter().map(letter).collect()
    };
    let (kind, first) = match &code.window {
        Some(w) => {
            let pair = |[y, x]: [u32; 2]| format!("{y}x{x}");
            let (kernel, strides, dilations) = (pair(w.kernel), pair(w.strides), pair(w.dilations));
            let groups = if w.groups > 1 { format!(" groups {}", w.groups) } else { String::new() };
            let flat = if code.flat { " flat" } else { "" };
            ("conv", format!("c{} {kernel} strides {strides} dilations {dilations}{groups}{flat}", w.channels))
        }
        None => ("product", labels(&code.a)),
    };
    let second = match &code.b {
        Second::Packed { crossed: true, .. } => "packed-crossed".to_string(),
        Second::Packed { crossed: false, .. } => "packed".to_string(),
        Second::Strided(list) => labels(list),
    };
    let size = |name: &str, size: Option<u32>| size.map_or_else(String::new, |v| format!(" {name}{v}"));
    format!(
        "{} {kind} {first}/{} {second}/{} to {}/{}{}{}",
        code.input.name(),
        code.a_chunk,
        code.b_chunk,
        labels(&code.result),
        code.vector,
        size("n", code.columns),
        size("k", code.depth)
    )
}

/// All variants that fit into shared memory, the cheapest first.
fn by_cost(device: &Device, work: &Work) -> Vec<(Variant, f64)> {
    let mut out = Vec::new();
    for splits in SPLITS {
        if splits > 1 && work.depth < f64::from(splits) * LEAST_DEPTH {
            break;
        }
        let held =
            candidates(device, work, splits).into_iter().filter(|(_, shape)| shape.shared <= most_shared(device));
        out.extend(held.map(|(variant, shape)| (variant, device.estimate(work, &shape))));
    }
    out.sort_by(|a, b| a.1.total_cmp(&b.1));
    out
}

/// Bytes of shared memory that a CTA may have.
const fn most_shared(device: &Device) -> u32 {
    device.shared - if device.sm.number() >= 80 { 1024 } else { 0 }
}

fn candidates(device: &Device, work: &Work, splits: u32) -> Vec<(Variant, Shape)> {
    let group = |rows: u32| ((work.rows / f64::from(rows)).ceil() as u32).clamp(1, 8).next_power_of_two();
    if work.input == Input::F32 {
        let of = |v: &simt::SimtVariant| {
            let v = simt::SimtVariant { splits, group: group(v.rows), ..*v };
            let warp = [f64::from(v.thread[0] * 8), f64::from(v.thread[1] * 4)];
            let shared = (v.rows + v.columns + 8) * v.depth * 8;
            (Variant::Simt(v), shape(v.rows, v.columns, v.threads(), shared, splits, warp))
        };
        return simt::VARIANTS.iter().map(of).collect();
    }
    let of = |v: &gemm::GemmVariant| {
        let v = gemm::GemmVariant { splits, group: group(v.rows), ..*v };
        let warp = [f64::from(v.rows / v.warps[0]), f64::from(v.columns / v.warps[1])];
        let shared = (v.rows + v.columns) * v.depth * 2 * v.stages;
        let clustered = cluster::takes(device.sm, splits);
        (Variant::Gemm(v), Shape { clustered, ..shape(v.rows, v.columns, v.threads(), shared, splits, warp) })
    };
    let mut out: Vec<_> = gemm::VARIANTS.iter().map(of).collect();
    if device.sm == ptx::Sm::Sm90a && matches!(work.input, Input::F16 | Input::Bf16) {
        let of = |v: &wide::WideVariant| {
            let v = wide::WideVariant { splits, group: group(v.rows), ..*v };
            let part = [f64::from(v.rows / v.groups[0]), f64::from(v.columns / v.groups[1])];
            let clustered = cluster::takes(device.sm, splits);
            let shape = shape(v.rows, v.columns, v.threads(), v.shared(), splits, part);
            (Variant::Wide(v), Shape { clustered, wide: true, ..shape })
        };
        out.extend(wide::VARIANTS.iter().map(of));
    }
    out
}

fn shape(rows: u32, columns: u32, threads: u32, shared: u32, splits: u32, warp: [f64; 2]) -> Shape {
    Shape {
        rows: rows.into(),
        columns: columns.into(),
        threads,
        shared,
        splits: splits.into(),
        clustered: false,
        wide: false,
        warp,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn check_names(input: Input, depth: f64, least: usize) {
        let work = Work { rows: 512.0, columns: 512.0, depth, batch: 1.0, input, result: 4.0, taps: 1.0 };
        let all = by_cost(&Device::of(ptx::Sm::Sm90a), &work);
        let names: BTreeSet<String> = all.iter().map(|(v, _)| v.name()).collect();
        assert_eq!(names.len(), all.len(), "two variants of {} have one name", input.name());
        assert!(all.len() >= least, "{} variants of {}", all.len(), input.name());
        assert!(all.is_sorted_by(|a, b| a.1 <= b.1));
    }

    #[test]
    fn names_tell_variants_apart() {
        check_names(Input::F32, 4096.0, 40);
        check_names(Input::F16, 4096.0, 80);
        check_names(Input::F16, 64.0, 10);
    }
}

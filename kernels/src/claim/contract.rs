//! Contractions as batched matrix products.
//!
//! Labels fall into four sorts: batch (in both operands and the result), rows (first and result), columns (second and
//! result), sum (both operands only). Taken: one column label, one sum label, any batch labels, any row labels that lie next to
//! each other in the first operand. The last dim of an operand is the sum's, or the rows' or columns'.

use graph::dim::Dim;
use graph::graph::NodeId;
use graph::region::contract::Contract;
use graph::symbol::Symbols;
use plan::claim::{Claim, ClaimOperand, Claimant, Derived, Site, Strided, Want};
use plan::tuning::{self, Problem};

use crate::claim::variants::{self, choose};
use crate::claim::{as_code, chunk, input, pack, region_at, typical, vector};
use crate::code::{GpuCode, Label, ProductCode, Second, Variant};
use crate::device::{Device, Work};
use crate::fragment::Input;
use crate::gemm;
use crate::lower::workspace;

/// The family.
pub struct Contractions {
    pub device: Device,
}

impl Claimant for Contractions {
    type Code = GpuCode;

    fn name(&self) -> &'static str {
        "product"
    }

    fn claims(&self, site: &Site<'_>, seed: NodeId) -> Vec<Claim<GpuCode>> {
        claim(&self.device, site, seed).into_iter().collect()
    }

    fn problem(&self, claim: &Claim<GpuCode>) -> Option<Problem> {
        variants::problem(claim)
    }

    fn variants(&self, symbols: &Symbols, claim: &Claim<GpuCode>, most: usize) -> Vec<tuning::Variant> {
        variants::variants(&self.device, symbols, claim, most)
    }

    fn apply(&self, symbols: &Symbols, claim: &Claim<GpuCode>, variant: &str) -> Option<Claim<GpuCode>> {
        variants::apply(&self.device, symbols, claim, variant)
    }
}

/// The largest grid along z.
const MOST_BATCHES: i64 = 65_535;

fn claim(device: &Device, site: &Site<'_>, seed: NodeId) -> Option<Claim<GpuCode>> {
    let (node, region) = region_at(site.graph, seed, "contract")?;
    let contract = Contract::from_attrs(&region.attrs).ok()?;
    let ([a, b], [result]) = (node.operands.as_slice(), node.results.as_slice()) else { return None };
    let (ta, tb) = (site.graph.tensor(*a)?, site.graph.tensor(*b)?);
    let input = input(device, [ta.dtype, tb.dtype], contract.acc, contract.maths)?;
    let letters = |text: &str| text.chars().collect::<Vec<char>>();
    let (la, lb, lr) = (letters(&contract.a), letters(&contract.b), letters(&contract.result));
    if [&la, &lb, &lr].into_iter().any(|l| has_repeats(l)) {
        return None;
    }
    let of = |in_a: bool, in_b: bool| -> Vec<char> {
        lr.iter().copied().filter(|l| la.contains(l) == in_a && lb.contains(l) == in_b).collect()
    };
    let (batch, rows, columns) = (of(true, true), of(true, false), of(false, true));
    let sums: Vec<char> = la.iter().copied().filter(|l| lb.contains(l) && !lr.contains(l)).collect();
    let ([n], [k]) = (columns.as_slice(), sums.as_slice()) else { return None };
    let complete = la.len() == batch.len() + rows.len() + 1 && lb.len() == batch.len() + 2;
    let together = la.windows(rows.len().max(1)).any(|w| w == rows.as_slice());
    if !complete || rows.is_empty() || !together {
        return None;
    }
    let label = |l: &char| -> Label {
        let at = |list: &[char]| list.iter().position(|x| x == l);
        match (at(&batch), at(&rows)) {
            (Some(d), _) => Label::Batch(d),
            (None, Some(d)) => Label::Row(d),
            (None, None) if l == n => Label::Column,
            (None, None) => Label::Depth,
        }
    };
    let labels = |l: &[char]| l.iter().map(label).collect::<Vec<_>>();
    let extent = |l: &char| {
        let at =
            |labels: &[char], shape: &[Dim]| labels.iter().position(|x| x == l).and_then(|d| shape.get(d)).cloned();
        at(&la, &ta.shape).or_else(|| at(&lb, &tb.shape))
    };
    let (n_extent, k_extent) = (extent(n)?, extent(k)?);
    let (columns, depth) = (as_code(&n_extent)?, as_code(&k_extent)?);
    let (a_labels, b_labels) = (labels(&la), labels(&lb));
    let last_row = Label::Row(rows.len() - 1);
    let a_crossed = a_labels.last() == Some(&last_row);
    let b_crossed = b_labels.last() == Some(&Label::Column);
    if !(a_crossed || a_labels.last() == Some(&Label::Depth)) || !(b_crossed || b_labels.last() == Some(&Label::Depth))
    {
        return None;
    }
    let constant = batch.is_empty() && (site.constants)(*b).is_some();
    // Without a packed second operand, tf32 takes terms of the sum that lie next to each other only.
    let input = match input {
        Input::Tf32 if a_crossed || (b_crossed && !constant) => Input::F32,
        other => other,
    };
    let bytes = input.bytes();
    // Chunks begin at multiples of their size; the rows are walked as one.
    let strided = |chunk: u32, merged: Vec<usize>| {
        Want::Strided(Strided { contiguous_last: true, multiple: i64::from(chunk / bytes), merged })
    };
    let a_chunk = narrowed(input, chunk(site.symbols, ta.shape.last()?, bytes));
    let merged = a_labels.iter().enumerate().filter(|(_, l)| matches!(l, Label::Row(d) if d + 1 < rows.len()));
    let merged = merged.map(|(dim, _)| dim).collect();
    let mut operands = vec![ClaimOperand { value: *a, want: strided(a_chunk, merged) }];
    let mut derived = Vec::new();
    let (second, b_chunk) = if constant {
        let at = |l: &char| lb.iter().position(|x| x == l);
        let crossed = input == Input::F32;
        let (graph, lead) = pack::matrix(tb.dtype, &tb.shape, at(k)?, at(n)?, crossed).ok()?;
        derived.push(Derived { name: "packed".to_string(), graph, inputs: vec![*b] });
        (Second::Packed { crossed, lead }, 16)
    } else {
        let b_chunk = narrowed(input, chunk(site.symbols, tb.shape.last()?, bytes));
        operands.push(ClaimOperand { value: *b, want: strided(b_chunk, Vec::new()) });
        (Second::Strided(b_labels), b_chunk)
    };
    let mut sizes: Vec<Dim> = batch.iter().chain(&rows).map(extent).collect::<Option<_>>()?;
    let batches = Dim::product(sizes.iter().take(batch.len()));
    if batches.as_const().is_some_and(|b| b > MOST_BATCHES / 16) {
        return None;
    }
    let row_count = Dim::product(sizes.iter().skip(batch.len()));
    sizes.extend([n_extent.clone(), k_extent.clone()]);
    let work = Work {
        rows: typical(site.symbols, &row_count),
        columns: typical(site.symbols, &n_extent),
        depth: typical(site.symbols, &k_extent),
        batch: typical(site.symbols, &batches),
        input,
        result: f64::from(input.bytes()),
        taps: 1.0,
    };
    let mut code = ProductCode {
        input,
        columns,
        depth,
        batch: batch.len(),
        rows: rows.len(),
        a: a_labels,
        a_chunk,
        b: second,
        b_chunk,
        result: labels(&lr),
        window: None,
        flat: false,
        vector: vector(site.symbols, &n_extent),
        variant: Variant::Gemm(*gemm::VARIANTS.first()?),
    };
    let (variant, cost) = choose(device, &work, &|variant| fits(&code, variant, device))?;
    code.variant = variant;
    let code = GpuCode::Product(code);
    let scratch = workspace(&code, device.sm);
    let value_of = |s: graph::dim::SymId| sizes.get(s.0 as usize).cloned();
    Some(Claim {
        nodes: vec![seed],
        operands,
        derived,
        results: vec![*result],
        result_layout: None,
        epilogue: true,
        workspace: site.symbols.substitute(&scratch, &value_of),
        sizes,
        cost,
        code,
    })
}

/// f32 without tensor cores takes chunks of 4 and 16 bytes only.
pub(super) fn narrowed(input: Input, chunk: u32) -> u32 {
    if input == Input::F32 && chunk == 8 { 4 } else { chunk }
}

/// Whether the kernel of a variant can be emitted for these operands.
pub(super) fn fits(code: &ProductCode, variant: &Variant, device: &Device) -> bool {
    crate::lower::check(&ProductCode { variant: *variant, ..code.clone() }, device.sm).is_ok()
}

fn has_repeats(labels: &[char]) -> bool {
    labels.iter().enumerate().any(|(i, l)| labels.iter().take(i).any(|m| m == l))
}

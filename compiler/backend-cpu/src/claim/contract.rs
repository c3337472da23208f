//! Contractions as batched matrix products.
//!
//! Labels fall into four sorts: batch (in both operands and the result), rows (first and result), columns (second and
//! result), sum (both operands only). Taken: one column label, one sum label, any batch labels, and rows that are one label,
//! or several that lie dense in the first operand.

use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::NodeId;
use graph::region::contract::Contract;
use plan::claim::{Claim, ClaimOperand, Claimant, Derived, Site, Strided, Want};

use crate::claim::{cost, f32_shape, pack, region_at};
use crate::code::{CpuCode, GemmB, GemmCode};

/// The family.
pub(super) struct Contractions;

impl Claimant for Contractions {
    type Code = CpuCode;

    fn name(&self) -> &'static str {
        "gemm"
    }

    fn claims(&self, site: &Site<'_>, seed: NodeId) -> Vec<Claim<CpuCode>> {
        claim(site, seed).into_iter().collect()
    }
}

fn claim(site: &Site<'_>, seed: NodeId) -> Option<Claim<CpuCode>> {
    let (node, region) = region_at(site.graph, seed, "contract")?;
    let contract = Contract::from_attrs(&region.attrs).ok()?;
    let ([a, b], [result]) = (node.operands.as_slice(), node.results.as_slice()) else { return None };
    if contract.acc != DType::F32 {
        return None;
    }
    let (a_shape, b_shape) = (f32_shape(site.graph, *a)?, f32_shape(site.graph, *b)?);
    let (la, lb, lr): (Vec<char>, Vec<char>, Vec<char>) =
        (contract.a.chars().collect(), contract.b.chars().collect(), contract.result.chars().collect());
    if has_repeats(&la) || has_repeats(&lb) || has_repeats(&lr) {
        return None;
    }
    let batch: Vec<char> = lr.iter().copied().filter(|l| la.contains(l) && lb.contains(l)).collect();
    let rows: Vec<char> = lr.iter().copied().filter(|l| la.contains(l) && !lb.contains(l)).collect();
    let columns: Vec<char> = lr.iter().copied().filter(|l| !la.contains(l) && lb.contains(l)).collect();
    let sums: Vec<char> = la.iter().copied().filter(|l| lb.contains(l) && !lr.contains(l)).collect();
    let ([n], [k]) = (columns.as_slice(), sums.as_slice()) else { return None };
    let all = batch.len() + rows.len() + 1;
    if la.len() != all || lr.len() != all || lb.len() != batch.len() + 2 {
        return None;
    }
    let at = |labels: &[char], l: char| labels.iter().position(|x| *x == l);
    let extent =
        |l: char| at(&la, l).and_then(|d| a_shape.get(d)).or_else(|| at(&lb, l).and_then(|d| b_shape.get(d))).cloned();
    let k_last = la.last() == Some(k);
    let a_row = match rows.as_slice() {
        [row] => Some(at(&la, *row)?),
        [] => return None,
        // Several row labels must lie together, in the result's order, before the summed one.
        several => {
            let tail: Vec<char> = la.iter().copied().skip(la.len() - several.len() - 1).collect();
            let wanted: Vec<char> = several.iter().copied().chain([*k]).collect();
            if tail != wanted || !batch.is_empty() {
                return None;
            }
            None
        }
    };
    let m: Dim = rows.iter().map(|l| extent(*l)).try_fold(Dim::constant(1), |acc, e| Some(&acc * &e?))?;
    let (n_extent, k_extent) = (extent(*n)?, extent(*k)?);
    let constant = batch.is_empty() && (site.constants)(*b).is_some();
    let (bk, bn) = (at(&lb, *k)?, at(&lb, *n)?);
    let mut operands = vec![ClaimOperand {
        value: *a,
        want: match a_row {
            None => Want::Dense,
            Some(_) => Want::Strided(Strided { contiguous_last: k_last, ..Strided::default() }),
        },
    }];
    let mut derived = Vec::new();
    let four = Dim::constant(4);
    let sixteen = Dim::constant(16);
    let mut workspace = Dim::constant(0);
    let code_b = if constant {
        let graph = pack::matrix(b_shape, bk, bn).ok()?;
        derived.push(Derived { name: "packed".to_string(), graph, inputs: vec![*b] });
        GemmB::Packed
    } else {
        operands.push(ClaimOperand { value: *b, want: Want::Strided(Strided::default()) });
        let panels = site.symbols.ceil_div(&n_extent, &sixteen);
        workspace = &Dim::product([&panels, &k_extent, &sixteen]) * &four;
        GemmB::Strided { k: bk, n: bn }
    };
    if !k_last {
        let blocks = site.symbols.ceil_div(&k_extent, &sixteen);
        workspace = &workspace + &(&Dim::product([&blocks, &m, &sixteen]) * &four);
    }
    let mut sizes: Vec<Dim> = batch.iter().map(|l| extent(*l)).collect::<Option<_>>()?;
    let total = &Dim::product(&sizes) * &Dim::product([&m, &n_extent, &k_extent]);
    sizes.extend([m, n_extent, k_extent]);
    let code = GemmCode {
        batch: batch.iter().map(|l| (at(&la, *l), at(&lb, *l))).collect(),
        a_row,
        a_k: at(&la, *k)?,
        b: code_b,
        result_rows: rows.iter().map(|l| at(&lr, *l)).collect::<Option<_>>()?,
        result_column: at(&lr, *n)?,
    };
    Some(Claim {
        nodes: vec![seed],
        operands,
        derived,
        results: vec![*result],
        result_layout: None,
        epilogue: true,
        sizes,
        workspace,
        cost: cost(site.symbols, &total),
        code: CpuCode::Gemm(code),
    })
}

fn has_repeats(labels: &[char]) -> bool {
    labels.iter().enumerate().any(|(i, l)| labels[..i].contains(l))
}

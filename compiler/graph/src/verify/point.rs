//! V17, V18, V20, V21, V23: `compute` and `scatter`.

use crate::dtype::{Class, DType};
use crate::node::{Acc, Combiner, Compute, Scatter, ScatterMode};
use crate::text::dim::print_dims;
use crate::ty::{TensorType, Type};
use crate::verify::Rule;
use crate::verify::checker::Checker;
use crate::verify::expr::{self, Domain, Reads, check_root, expect_i64, expect_no_acc, expect_parallel};

pub(super) fn check_compute(c: &mut Checker<'_>, compute: &Compute, operands: &[&Type], results: &[&Type]) {
    let accs: Vec<DType> = compute.accs.iter().map(|acc| acc.dtype).collect();
    let (rank, reduce) = (compute.shape.len(), compute.reduce.len());
    let domain = Domain { exprs: &compute.exprs, operands, rank, reduce, accs: &accs };
    let reads = expr::check(c, &domain);
    for (k, extent) in compute.reduce.iter().enumerate() {
        let Some(size) = extent.size else { continue };
        let what = format!("the size of reduction dim {k}");
        if let Some((dtype, reads)) = check_root(c, &domain, &reads, &what, size) {
            expect_i64(c, &what, size, dtype);
            expect_parallel(c, &what, size, reads);
            expect_no_acc(c, &what, size, reads);
        }
    }
    for (k, acc) in compute.accs.iter().enumerate() {
        check_acc(c, &domain, &reads, k, acc);
    }
    let counted = c.expect_count(Rule::Compute, "results, one an `out`", compute.outs.len(), results.len());
    for (k, out) in compute.outs.iter().enumerate() {
        let what = format!("result {k}");
        let Some((dtype, reads)) = check_root(c, &domain, &reads, &what, *out) else { continue };
        expect_parallel(c, &what, *out, reads);
        if let Some(found) = results.get(k).filter(|_| counted) {
            let expected = TensorType { dtype, shape: compute.shape.clone() };
            c.expect_type(Rule::Compute, &what, &Type::Tensor(expected), found);
        }
    }
}

fn check_acc(c: &mut Checker<'_>, domain: &Domain<'_>, reads: &[Reads], k: usize, acc: &Acc) {
    let what = format!("the value of accumulator {k}");
    let Some((value, reads)) = check_root(c, domain, reads, &what, acc.value) else { return };
    expect_no_acc(c, &what, acc.value, reads);
    if !is_defined_on(acc.combiner, value) {
        c.report(Rule::Accumulators, format!("accumulator {k}: {} is not defined on {value}", acc.combiner.name()));
    }
    let expected = match acc.combiner {
        Combiner::ArgMax { last: _ } | Combiner::ArgMin { last: _ } => DType::I64,
        Combiner::Sum | Combiner::Prod | Combiner::Max | Combiner::Min | Combiner::Any | Combiner::All => value,
    };
    if acc.dtype != expected {
        c.report(Rule::Accumulators, format!("accumulator {k}: expected dtype {expected}, found {}", acc.dtype));
    }
}

/// Whether values of a dtype can be combined so.
pub fn is_defined_on(combiner: Combiner, dtype: DType) -> bool {
    match combiner {
        Combiner::Any | Combiner::All => dtype == DType::Bool,
        Combiner::Sum
        | Combiner::Prod
        | Combiner::Max
        | Combiner::Min
        | Combiner::ArgMax { last: _ }
        | Combiner::ArgMin { last: _ } => matches!(dtype.class(), Class::Float | Class::Signed | Class::Unsigned),
    }
}

pub(super) fn check_scatter(c: &mut Checker<'_>, scatter: &Scatter, operands: &[&Type], results: &[&Type]) {
    let domain = Domain { exprs: &scatter.exprs, operands, rank: scatter.domain.len(), reduce: 0, accs: &[] };
    let reads = expr::check(c, &domain);
    for (k, id) in scatter.index.iter().enumerate() {
        let what = format!("index {k}");
        if let Some((dtype, _)) = check_root(c, &domain, &reads, &what, *id) {
            expect_i64(c, &what, *id, dtype);
        }
    }
    let value = check_root(c, &domain, &reads, "the value", scatter.value);
    let Some(base) = operands.first() else {
        return c.report(Rule::Scatter, "expected the base as operand 0, found no operands".to_string());
    };
    let Some(tensor) = c.expect_tensor(Rule::Scatter, "the base", base) else { return };
    if scatter.index.len() != tensor.rank() {
        let (found, shape) = (scatter.index.len(), print_dims(&tensor.shape, &c.names));
        c.report(Rule::Scatter, format!("{found} indices into a base of shape {shape}"));
    }
    if let Some((dtype, _)) = value.filter(|(dtype, _)| *dtype != tensor.dtype) {
        c.report(Rule::Scatter, format!("a value of dtype {dtype} for a base of dtype {}", tensor.dtype));
    }
    match scatter.mode {
        ScatterMode::Last => {}
        ScatterMode::Combine(combiner @ (Combiner::ArgMax { last: _ } | Combiner::ArgMin { last: _ })) => {
            c.report(Rule::Scatter, format!("updates cannot be combined by {}", combiner.name()));
        }
        ScatterMode::Combine(
            combiner @ (Combiner::Sum | Combiner::Prod | Combiner::Max | Combiner::Min | Combiner::Any | Combiner::All),
        ) => {
            if !is_defined_on(combiner, tensor.dtype) {
                c.report(Rule::Scatter, format!("{} is not defined on {}", combiner.name(), tensor.dtype));
            }
        }
    }
    if c.expect_count(Rule::Scatter, "result", 1, results.len()) {
        results.iter().for_each(|found| c.expect_type(Rule::Scatter, "the result", base, found));
    }
}

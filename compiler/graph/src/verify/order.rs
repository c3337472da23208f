//! V24 to V26 and V30: `sort`, `compact`, `prefix`, `bind`.

use crate::dim::Pred;
use crate::dtype::DType;
use crate::node::{Combiner, Compact, Node, Prefix, Sort};
use crate::text::dim::{print_dim, print_dims};
use crate::ty::{TensorType, Type};
use crate::verify::Rule;
use crate::verify::checker::Checker;
use crate::verify::point::is_defined_on;

pub(super) fn check_sort(c: &mut Checker<'_>, sort: &Sort, operands: &[&Type], results: &[&Type]) {
    let keys: Vec<&TensorType> = operands.iter().filter_map(|ty| c.expect_tensor(Rule::Sort, "a key", ty)).collect();
    let Some(first) = keys.first().filter(|_| keys.len() == operands.len()) else {
        if operands.is_empty() {
            c.report(Rule::Sort, "expected one or more keys, found none".to_string());
        }
        return;
    };
    for (k, key) in keys.iter().enumerate().skip(1) {
        if !c.facts.same_shape(&first.shape, &key.shape) {
            let (a, b) = (print_dims(&first.shape, &c.names), print_dims(&key.shape, &c.names));
            c.report(Rule::Sort, format!("key 0 has shape {a}, key {k} has {b}"));
        }
    }
    let mut shape = first.shape.clone();
    let rank = shape.len();
    let Some(extent) = shape.get_mut(sort.axis) else {
        return c.report(Rule::Sort, format!("axis {} of keys of rank {rank}", sort.axis));
    };
    if let Some(limit) = &sort.limit {
        if c.model.symbols.prove(&Pred::Le(limit.clone(), extent.clone())) == Some(false) {
            let (limit, extent) = (print_dim(limit, &c.names), print_dim(extent, &c.names));
            c.report(Rule::Sort, format!("limit {limit} is above the extent {extent}"));
        }
        extent.clone_from(limit);
    }
    if c.expect_count(Rule::Sort, "results: the keys and their positions", keys.len() + 1, results.len()) {
        let dtypes = keys.iter().map(|key| key.dtype).chain([DType::I64]);
        for (k, (dtype, found)) in dtypes.zip(results).enumerate() {
            c.expect_type(Rule::Sort, &format!("result {k}"), &Type::tensor(dtype, shape.clone()), found);
        }
    }
}

pub(super) fn check_compact(c: &mut Checker<'_>, compact: &Compact, operands: &[&Type], results: &[&Type]) {
    if c.expect_count(Rule::Compact, "operand", 1, operands.len()) {
        for ty in operands {
            let mask = ty.as_tensor().is_some_and(|t| t.dtype == DType::Bool && t.rank() == 1);
            if !mask {
                c.report(Rule::Compact, format!("expected a mask of dtype bool and rank 1, found {}", c.show(ty)));
            }
        }
    }
    if c.expect_count(Rule::Compact, "results: positions and count", 2, results.len()) {
        let expected = [Type::tensor(DType::I64, [compact.bound.clone()]), Type::tensor(DType::I64, [])];
        for ((expected, found), what) in expected.iter().zip(results).zip(["the positions", "the count"]) {
            c.expect_type(Rule::Compact, what, expected, found);
        }
    }
}

pub(super) fn check_prefix(c: &mut Checker<'_>, prefix: &Prefix, operands: &[&Type], results: &[&Type]) {
    let one = c.expect_count(Rule::Prefix, "operand", 1, operands.len());
    let Some(operand) = operands.first().filter(|_| one) else { return };
    let Some(tensor) = c.expect_tensor(Rule::Prefix, "the operand", operand) else { return };
    if prefix.axis >= tensor.rank() {
        c.report(Rule::Prefix, format!("axis {} of an operand of rank {}", prefix.axis, tensor.rank()));
    }
    let name = prefix.combiner.name();
    match prefix.combiner {
        Combiner::Sum | Combiner::Prod | Combiner::Max | Combiner::Min => {
            if !is_defined_on(prefix.combiner, tensor.dtype) {
                c.report(Rule::Prefix, format!("{name} is not defined on {}", tensor.dtype));
            }
        }
        Combiner::Any | Combiner::All | Combiner::ArgMax { last: _ } | Combiner::ArgMin { last: _ } => {
            c.report(Rule::Prefix, format!("{name} does not run along an axis; sum, prod, max and min do"));
        }
    }
    if c.expect_count(Rule::Prefix, "result", 1, results.len()) {
        results.iter().for_each(|found| c.expect_type(Rule::Prefix, "the result", operand, found));
    }
}

pub(super) fn check_bind(c: &mut Checker<'_>, node: &Node, operands: &[&Type], results: &[&Type]) {
    if c.expect_count(Rule::Bind, "operand", 1, operands.len()) {
        let expected = Type::tensor(DType::I64, []);
        operands.iter().for_each(|found| c.expect_type(Rule::Bind, "the operand", &expected, found));
    }
    c.expect_count(Rule::Bind, "results", 0, results.len());
    c.expect_count(Rule::Bind, "symbol", 1, node.binds.len());
}

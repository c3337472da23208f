//! Sort, compact, prefix, scatter.

use super::{check, floats, ints};
use crate::builder::{Builder, Point};
use crate::dim::Dim;
use crate::dtype::DType;
use crate::expr::{Expr, Exprs, Leaves};
use crate::graph::ValueId;
use crate::node::{Combiner, Compact, Op, Prefix, Scatter, ScatterMode, Sort};
use crate::tensor::Tensor;
use crate::ty::Type;

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

fn ty(t: &Tensor) -> Type {
    Type::tensor(t.dtype(), t.shape().iter().map(|d| Dim::from(*d)).collect::<Vec<_>>())
}

/// Runs one node over inputs; `expected` also gives the results' types.
fn check_node(op: Op, inputs: &[Tensor], expected: &[Tensor]) {
    let build = |b: &mut Builder| {
        let operands: Vec<ValueId> = inputs.iter().map(|t| b.input("x", ty(t))).collect();
        b.push(op, operands, expected.iter().map(ty).collect(), Vec::new()).unwrap()
    };
    check(build, inputs, expected);
}

#[test]
fn sort_is_stable_and_nan_is_largest() {
    let x = || floats(DType::F32, &[6], &[2., NAN, -0., 0., -INF, 2.]);
    check_node(
        Op::Sort(Sort { axis: 0, descending: false, limit: None }),
        &[x()],
        &[floats(DType::F32, &[6], &[-INF, -0., 0., 2., 2., NAN]), ints(DType::I64, &[6], &[4, 2, 3, 0, 5, 1])],
    );
    check_node(
        Op::Sort(Sort { axis: 0, descending: true, limit: Some(Dim::from(4usize)) }),
        &[x()],
        &[floats(DType::F32, &[4], &[NAN, 2., 2., -0.]), ints(DType::I64, &[4], &[1, 0, 5, 2])],
    );
}

#[test]
fn sort_compares_keys_in_order_along_an_inner_axis() {
    check_node(
        Op::Sort(Sort { axis: 0, descending: false, limit: None }),
        &[ints(DType::U8, &[3, 2], &[2, 255, 1, 0, 1, 7]), ints(DType::I64, &[3, 2], &[0, 1, 9, 2, 8, 3])],
        &[
            ints(DType::U8, &[3, 2], &[1, 0, 1, 7, 2, 255]),
            ints(DType::I64, &[3, 2], &[8, 2, 9, 3, 0, 1]),
            ints(DType::I64, &[3, 2], &[2, 1, 1, 2, 0, 0]),
        ],
    );
}

#[test]
fn compact_lists_the_true_positions() {
    for (bound, positions, count) in [(4, vec![1, 2, 4, 0], 3), (2, vec![1, 2], 2), (0, vec![], 0)] {
        check_node(
            Op::Compact(Compact { bound: Dim::from(bound as i64) }),
            &[ints(DType::Bool, &[5], &[0, 1, 1, 0, 1])],
            &[ints(DType::I64, &[bound], &positions), ints(DType::I64, &[], &[count])],
        );
    }
}

#[test]
fn prefixes_run_both_ways() {
    let x = || ints(DType::I8, &[2, 3], &[100, 50, 1, 4, 5, 6]);
    let prefix = |axis, combiner, exclusive, reverse| Op::Prefix(Prefix { axis, combiner, exclusive, reverse });
    let out = |v: &[i64]| [ints(DType::I8, &[2, 3], v)];
    check_node(prefix(1, Combiner::Sum, false, false), &[x()], &out(&[100, -106, -105, 4, 9, 15]));
    check_node(prefix(1, Combiner::Sum, true, false), &[x()], &out(&[0, 100, -106, 0, 4, 9]));
    check_node(prefix(1, Combiner::Sum, true, true), &[x()], &out(&[51, 1, 0, 11, 6, 0]));
    check_node(prefix(0, Combiner::Max, false, true), &[x()], &out(&[100, 50, 6, 4, 5, 6]));
    check_node(prefix(0, Combiner::Prod, true, false), &[x()], &out(&[1, 1, 1, 100, 50, 1]));
}

/// Scatters `updates` into a vector at `index`.
fn check_scatter(mode: ScatterMode, base: Tensor, index: &[i64], updates: Tensor, expected: Tensor) {
    let dtypes = [base.dtype(), DType::I64, updates.dtype()];
    let leaves = Leaves { operands: &dtypes, accs: &[] };
    let mut exprs = Exprs::default();
    let i = exprs.add(Expr::Index(0), leaves).unwrap();
    let at = exprs.add(Expr::Load { operand: 1, index: vec![i], or: None }, leaves).unwrap();
    let value = exprs.add(Expr::Load { operand: 2, index: vec![i], or: None }, leaves).unwrap();
    let scatter = Scatter { domain: vec![Dim::from(index.len())], exprs, index: vec![at], value, mode };
    check_node(Op::Scatter(scatter), &[base, ints(DType::I64, &[index.len()], index), updates], &[expected]);
}

#[test]
fn scatter_updates_in_order() {
    let f = |v: &[f64]| floats(DType::F32, &[v.len()], v);
    let sum = ScatterMode::Combine(Combiner::Sum);
    check_scatter(ScatterMode::Last, f(&[0., 0., 0.]), &[2, 0, 2, 5, -1], f(&[1., 2., 3., 4., 5.]), f(&[2., 0., 3.]));
    check_scatter(sum, f(&[1., 0., 0.]), &[2, 0, 2], f(&[1., 2., 3.]), f(&[3., 0., 4.]));
    let max = ScatterMode::Combine(Combiner::Max);
    check_scatter(max, f(&[1., 0., 0.]), &[0, 1, 1, 2], f(&[0., NAN, 5., 2.]), f(&[1., NAN, 2.]));
    check_scatter(
        sum,
        ints(DType::U8, &[2], &[250, 1]),
        &[0, 0],
        ints(DType::U8, &[2], &[5, 5]),
        ints(DType::U8, &[2], &[4, 1]),
    );
    check_scatter(ScatterMode::Last, f(&[]), &[0], f(&[1.]), f(&[]));
}

#[test]
fn iota_and_splat_take_the_result_type() {
    let iota = crate::node::Const::Iota;
    check_node(Op::Const(iota), &[], &[ints(DType::U4, &[5], &[0, 1, 2, 3, 4])]);
    check(
        |b| {
            let n = b.input_symbol("n", 0, None);
            let x = b.input("x", Type::tensor(DType::Bool, vec![n.clone()]));
            let scalar = |p: &mut Point<'_>| {
                let i = p.index(0);
                let extent = p.dim(&n);
                let rest = p.sub(extent, i);
                p.out(rest);
            };
            vec![b.compute(&[x], vec![n.clone()], scalar).unwrap()]
        },
        &[ints(DType::Bool, &[3], &[0, 0, 0])],
        &[ints(DType::I64, &[3], &[3, 2, 1])],
    );
}

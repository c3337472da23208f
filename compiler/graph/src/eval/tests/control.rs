//! If, Loop, Scan, regions.

use super::{check, check_error, floats, ints};
use crate::attrs::Attrs;
use crate::builder::Builder;
use crate::datum::Datum;
use crate::dim::Dim;
use crate::dtype::DType;
use crate::expr::{BinOp, UnOp};
use crate::graph::ValueId;
use crate::region::RegionKind;
use crate::tensor::Tensor;
use crate::ty::Type;

fn scalar(dtype: DType) -> Type {
    Type::tensor(dtype, Vec::<Dim>::new())
}

fn vector(dtype: DType, extent: Dim) -> Type {
    Type::tensor(dtype, vec![extent])
}

/// `if outer { if inner { -x } else { x } } else { x + x }`.
fn nested(b: &mut Builder) -> Vec<ValueId> {
    let outer = b.input("outer", scalar(DType::Bool));
    let inner = b.input("inner", scalar(DType::Bool));
    let x = b.input("x", scalar(DType::F32));
    b.begin_body().unwrap();
    let (inner_1, x_1) = (b.capture(inner).unwrap(), b.capture(x).unwrap());
    b.begin_body().unwrap();
    let x_2 = b.capture(x_1).unwrap();
    let negative = b.unary(UnOp::Neg, x_2).unwrap();
    b.output(negative);
    let negate = b.end_body();
    b.begin_body().unwrap();
    let x_2 = b.capture(x_1).unwrap();
    b.output(x_2);
    let keep = b.end_body();
    let chosen = b.if_else(vec![inner_1, x_1], negate, keep, vec![scalar(DType::F32)], Vec::new()).unwrap();
    b.output(chosen[0]);
    let then_body = b.end_body();
    b.begin_body().unwrap();
    let (_, x_1) = (b.capture(inner).unwrap(), b.capture(x).unwrap());
    let double = b.binary(BinOp::Add, x_1, x_1).unwrap();
    b.output(double);
    let else_body = b.end_body();
    b.if_else(vec![outer, inner, x], then_body, else_body, vec![scalar(DType::F32)], Vec::new()).unwrap()
}

#[test]
fn ifs_nest() {
    for (outer, inner, expected) in [(1, 1, -3.), (1, 0, 3.), (0, 1, 6.)] {
        check(
            nested,
            &[ints(DType::Bool, &[], &[outer]), ints(DType::Bool, &[], &[inner]), floats(DType::F32, &[], &[3.])],
            &[floats(DType::F32, &[], &[expected])],
        );
    }
}

/// Adds the iteration number to a sum while it is below 10; stacks the sums.
fn sum_up(b: &mut Builder) -> Vec<ValueId> {
    let trip = b.input("trip", scalar(DType::I64));
    let go = b.input("go", scalar(DType::Bool));
    let start = b.input("start", scalar(DType::I64));
    let limit = b.input("limit", scalar(DType::I64));
    b.begin_body().unwrap();
    let i = b.input("i", scalar(DType::I64));
    let sum = b.input("sum", scalar(DType::I64));
    let limit_1 = b.capture(limit).unwrap();
    let next = b.binary(BinOp::Add, sum, i).unwrap();
    let more = b.map(&[next, limit_1], |p, v| p.lt(v[0], v[1])).unwrap();
    [more, next, next].into_iter().for_each(|v| b.output(v));
    let body = b.end_body();
    let count = b.fresh_symbol(0, None);
    let types = vec![scalar(DType::I64), vector(DType::I64, Dim::symbol(count))];
    b.loop_while(1, vec![trip, go, start, limit], body, types, vec![count]).unwrap()
}

#[test]
fn loops_stop_and_stack() {
    let run = |trip: i64, go: i64| {
        [
            ints(DType::I64, &[], &[trip]),
            ints(DType::Bool, &[], &[go]),
            ints(DType::I64, &[], &[0]),
            ints(DType::I64, &[], &[10]),
        ]
    };
    let out = |sum: i64, sums: &[i64]| [ints(DType::I64, &[], &[sum]), ints(DType::I64, &[sums.len()], sums)];
    check(sum_up, &run(3, 1), &out(3, &[0, 1, 3]));
    check(sum_up, &run(100, 1), &out(10, &[0, 1, 3, 6, 10]));
    check(sum_up, &run(3, 0), &out(0, &[]));
    check(sum_up, &run(-1, 1), &out(0, &[]));
}

/// Doubles a vector's length at every iteration.
fn grow(b: &mut Builder) -> Vec<ValueId> {
    let trip = b.input("trip", scalar(DType::I64));
    let go = b.input("go", scalar(DType::Bool));
    let x = b.input("x", vector(DType::U8, Dim::from(1i64)));
    b.begin_body().unwrap();
    b.input("i", scalar(DType::I64));
    let n = b.fresh_symbol(0, None);
    let v = b.input("v", vector(DType::U8, Dim::symbol(n)));
    let longer = b.concat(&[v, v], 0).unwrap();
    let yes = b.constant(ints(DType::Bool, &[], &[1])).unwrap();
    [yes, longer].into_iter().for_each(|v| b.output(v));
    let mut body = b.end_body();
    body.binds = vec![n];
    let end = b.fresh_symbol(0, None);
    b.loop_while(1, vec![trip, go, x], body, vec![vector(DType::U8, Dim::symbol(end))], vec![end]).unwrap()
}

#[test]
fn carried_values_may_grow() {
    check(
        grow,
        &[ints(DType::I64, &[], &[3]), ints(DType::Bool, &[], &[1]), ints(DType::U8, &[1], &[5])],
        &[ints(DType::U8, &[8], &[5; 8])],
    );
}

#[test]
fn stacked_slices_have_one_shape() {
    let build = |b: &mut Builder| {
        let trip = b.input("trip", scalar(DType::I64));
        let yes = b.constant(ints(DType::Bool, &[], &[1])).unwrap();
        let zero = b.constant(ints(DType::I64, &[], &[1])).unwrap();
        b.begin_body().unwrap();
        let i = b.input("i", scalar(DType::I64));
        let yes_1 = b.capture(yes).unwrap();
        let zero_1 = b.capture(zero).unwrap();
        let n = b.bind(i, 0, None).unwrap();
        let slice = b.reshape(zero_1, vec![Dim::from(1i64)]).unwrap();
        let slice = b.expand(slice, vec![n]).unwrap();
        [yes_1, slice].into_iter().for_each(|v| b.output(v));
        let body = b.end_body();
        let (count, width) = (b.fresh_symbol(0, None), b.fresh_symbol(0, None));
        let ty = Type::tensor(DType::I64, vec![Dim::symbol(count), Dim::symbol(width)]);
        b.loop_while(0, vec![trip, yes, yes, zero], body, vec![ty], vec![count, width]).unwrap()
    };
    check_error(
        build,
        &[ints(DType::I64, &[], &[2])],
        "node 2 (loop): iteration 1 yields i64[1] to be stacked, iteration 0 i64[0]",
    );
    check(build, &[ints(DType::I64, &[], &[1])], &[ints(DType::I64, &[1, 0], &[])]);
}

/// Running sums of rows, and the rows halved.
fn scan_rows(b: &mut Builder) -> Vec<ValueId> {
    let n = b.input_symbol("n", 0, None);
    let start = b.input("start", vector(DType::F32, Dim::from(2i64)));
    let rows = b.input("rows", Type::tensor(DType::F32, vec![n.clone(), Dim::from(2i64)]));
    b.begin_body().unwrap();
    let state = b.input("state", vector(DType::F32, Dim::from(2i64)));
    let row = b.input("row", vector(DType::F32, Dim::from(2i64)));
    let next = b.binary(BinOp::Add, state, row).unwrap();
    let half = b
        .map(&[row], |p, v| {
            let two = p.number(DType::F32, 2.0);
            p.div(v[0], two)
        })
        .unwrap();
    [next, half].into_iter().for_each(|v| b.output(v));
    let body = b.end_body();
    b.scan(n, 1, 1, vec![start, rows], body).unwrap()
}

#[test]
fn scans_carry_and_stack() {
    check(
        scan_rows,
        &[floats(DType::F32, &[2], &[1., 1.]), floats(DType::F32, &[3, 2], &[1., 2., 3., 4., 5., 6.])],
        &[floats(DType::F32, &[2], &[10., 13.]), floats(DType::F32, &[3, 2], &[0.5, 1., 1.5, 2., 2.5, 3.])],
    );
    check(
        scan_rows,
        &[floats(DType::F32, &[2], &[1., 1.]), floats(DType::F32, &[0, 2], &[])],
        &[floats(DType::F32, &[2], &[1., 1.]), floats(DType::F32, &[0, 2], &[])],
    );
}

static DOUBLE: RegionKind =
    RegionKind { name: "double", body: |b, _, operands| Ok(vec![b.binary(BinOp::Add, operands[0], operands[0])?]) };

#[test]
fn regions_mean_their_bodies() {
    check(
        |b| {
            let x = b.input("x", vector(DType::F32, Dim::from(2i64)));
            b.region(&DOUBLE, Attrs::new(), &[x]).unwrap()
        },
        &[floats(DType::F32, &[2], &[1., 2.])],
        &[floats(DType::F32, &[2], &[2., 4.])],
    );
}

#[test]
fn sequences_pass_through_branches() {
    let mut b = Builder::new("test");
    let condition = b.input("c", scalar(DType::Bool));
    let ty = Type::Seq(Box::new(Type::Ragged { dtype: DType::F32, rank: None }));
    let s = b.input("s", ty.clone());
    let mut bodies = Vec::new();
    for _ in 0..2 {
        b.begin_body().unwrap();
        let s = b.capture(s).unwrap();
        b.output(s);
        bodies.push(b.end_body());
    }
    let (then_body, else_body) = (bodies.remove(0), bodies.remove(0));
    let out = b.if_else(vec![condition, s], then_body, else_body, vec![ty], Vec::new()).unwrap();
    b.output(out[0]);
    let sequence = Datum::Seq(vec![Tensor::from_f32s(&[1.]).into(), Tensor::from_f32s(&[]).into()]);
    let inputs = [ints(DType::Bool, &[], &[1]).into(), sequence.clone()];
    assert_eq!(crate::eval::model(&b.finish(), &inputs).unwrap(), vec![sequence]);
}

#[test]
fn a_short_scanned_operand_is_an_error() {
    check_error(
        |b| {
            let rows = b.input("rows", vector(DType::F32, Dim::from(2i64)));
            b.begin_body().unwrap();
            let row = b.input("row", scalar(DType::F32));
            b.output(row);
            let body = b.end_body();
            b.scan(Dim::from(3i64), 0, 1, vec![rows], body).unwrap()
        },
        &[floats(DType::F32, &[2], &[1., 2.])],
        "node 0 (scan): operand 0: expected at least 3 slices along axis 0, found f32[2]",
    );
}

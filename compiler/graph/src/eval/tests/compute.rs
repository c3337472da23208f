//! Pointwise maps and reductions.

use super::{check, check_error, floats, ints};
use crate::builder::Builder;
use crate::dim::Dim;
use crate::dtype::DType;
use crate::expr::BinOp;
use crate::graph::ValueId;
use crate::node::Combiner;
use crate::tensor::Tensor;
use crate::ty::Type;

const NAN: f64 = f64::NAN;

fn shape(shape: &[usize]) -> Vec<Dim> {
    shape.iter().map(|d| Dim::from(*d)).collect()
}

fn input(b: &mut Builder, dtype: DType, extents: &[usize]) -> ValueId {
    b.input("x", Type::tensor(dtype, shape(extents)))
}

/// Reduces one tensor.
fn check_reduce(x: Tensor, axes: &[usize], combiner: Combiner, expected: Tensor) {
    let inputs = [x];
    check(
        |b| {
            let x = input(b, inputs[0].dtype(), inputs[0].shape());
            vec![b.reduce(x, axes, false, combiner).unwrap()]
        },
        &inputs,
        &[expected],
    );
}

#[test]
fn broadcasting_adds() {
    check(
        |b| {
            let (x, y) = (input(b, DType::F32, &[2, 3]), input(b, DType::F32, &[3]));
            vec![b.binary(BinOp::Add, x, y).unwrap()]
        },
        &[floats(DType::F32, &[2, 3], &[1., 2., 3., 4., 5., 6.]), floats(DType::F32, &[3], &[10., 20., 30.])],
        &[floats(DType::F32, &[2, 3], &[11., 22., 33., 14., 25., 36.])],
    );
}

#[test]
fn transposes_and_reshapes_move_elements() {
    check(
        |b| {
            let x = input(b, DType::I32, &[2, 3, 4]);
            let t = b.transpose(x, &[2, 0, 1]).unwrap();
            vec![b.reshape(t, shape(&[3, 8])).unwrap()]
        },
        &[ints(DType::I32, &[2, 3, 4], &(0..24).collect::<Vec<_>>())],
        &[ints(
            DType::I32,
            &[3, 8],
            &[0, 4, 8, 12, 16, 20, 1, 5, 9, 13, 17, 21, 2, 6, 10, 14, 18, 22, 3, 7, 11, 15, 19, 23],
        )],
    );
}

#[test]
fn reshapes_between_coprime_extents_move_elements() {
    for (from, to) in [(vec![6, 35], vec![14, 15]), (vec![4, 9, 5], vec![10, 18]), (vec![210], vec![7, 1, 6, 5])] {
        let count: usize = from.iter().product();
        let values: Vec<i64> = (0..count as i64).collect();
        check(
            |b| {
                let x = input(b, DType::I16, &from);
                vec![b.reshape(x, shape(&to)).unwrap()]
            },
            &[ints(DType::I16, &from, &values)],
            &[ints(DType::I16, &to, &values)],
        );
    }
}

#[test]
fn index_divisions_round_down_below_zero() {
    // A roll, and runs of four that start before zero.
    let values: Vec<i64> = (0..8).collect();
    check(
        |b| {
            let x = input(b, DType::I32, &[8]);
            let wrapped = |add: i64, by: i64, op: BinOp| {
                move |p: &mut crate::builder::Point<'_>| {
                    let i = p.index(0);
                    let (add, by) = (p.int(add), p.int(by));
                    let moved = p.add(i, add);
                    let at = p.binary(op, moved, by);
                    let minus = p.number(DType::I32, -1.0);
                    let v = p.load_or(0, &[at], minus);
                    p.out(v);
                }
            };
            vec![
                b.compute(&[x], shape(&[8]), wrapped(-3, 8, BinOp::Mod)).unwrap(),
                b.compute(&[x], shape(&[8]), wrapped(-2, 4, BinOp::FloorDiv)).unwrap(),
                b.compute(&[x], shape(&[8]), wrapped(0, 4, BinOp::FloorDiv)).unwrap(),
                b.compute(&[x], shape(&[8]), wrapped(-5, 4, BinOp::Div)).unwrap(),
            ]
        },
        &[ints(DType::I32, &[8], &values)],
        &[
            ints(DType::I32, &[8], &[5, 6, 7, 0, 1, 2, 3, 4]),
            ints(DType::I32, &[8], &[-1, -1, 0, 0, 0, 0, 1, 1]),
            ints(DType::I32, &[8], &[0, 0, 0, 0, 1, 1, 1, 1]),
            ints(DType::I32, &[8], &[-1, -1, 0, 0, 0, 0, 0, 0]),
        ],
    );
}

#[test]
fn concat_of_packed_elements() {
    check(
        |b| {
            let (x, y) = (input(b, DType::I4, &[2, 1]), input(b, DType::I4, &[2, 2]));
            vec![b.concat(&[x, y], 1).unwrap()]
        },
        &[ints(DType::I4, &[2, 1], &[-1, 2]), ints(DType::I4, &[2, 2], &[3, -4, 5, -6])],
        &[ints(DType::I4, &[2, 3], &[-1, 3, -4, 2, 5, -6])],
    );
}

#[test]
fn long_domains_cross_blocks() {
    let values: Vec<f64> = (0..5000).map(f64::from).collect();
    let doubled: Vec<f64> = values.iter().map(|v| v * 2.0).collect();
    check(
        |b| {
            let x = input(b, DType::F64, &[25, 200]);
            vec![b.binary(BinOp::Add, x, x).unwrap()]
        },
        &[floats(DType::F64, &[25, 200], &values)],
        &[floats(DType::F64, &[25, 200], &doubled)],
    );
    check_reduce(floats(DType::F64, &[5000], &values), &[0], Combiner::Sum, floats(DType::F64, &[], &[12_497_500.]));
}

#[test]
fn gather_wraps_negative_indices_and_takes_zero_outside() {
    check(
        |b| {
            let (x, i) = (input(b, DType::F16, &[3, 2]), input(b, DType::I32, &[2, 2]));
            vec![b.gather(x, i, 0).unwrap()]
        },
        &[floats(DType::F16, &[3, 2], &[1., 2., 3., 4., 5., 6.]), ints(DType::I32, &[2, 2], &[2, -3, -1, 9])],
        &[floats(DType::F16, &[2, 2, 2], &[5., 6., 1., 2., 5., 6., 0., 0.])],
    );
}

#[test]
fn sums_run_along_any_axis() {
    let x = || floats(DType::F32, &[2, 3], &[0., 1., 2., 3., 4., 5.]);
    check_reduce(x(), &[0], Combiner::Sum, floats(DType::F32, &[3], &[3., 5., 7.]));
    check_reduce(x(), &[1], Combiner::Sum, floats(DType::F32, &[2], &[3., 12.]));
    check_reduce(x(), &[0, 1], Combiner::Sum, floats(DType::F32, &[], &[15.]));
    check_reduce(x(), &[1], Combiner::Prod, floats(DType::F32, &[2], &[0., 60.]));
}

#[test]
fn sums_are_wide_and_wrap() {
    // In f32, 2^24 + 1 + 1 would stay 2^24.
    let x = floats(DType::F32, &[3], &[16_777_216., 1., 1.]);
    check_reduce(x, &[0], Combiner::Sum, floats(DType::F32, &[], &[16_777_218.]));
    check_reduce(ints(DType::I8, &[3], &[100, 100, 100]), &[0], Combiner::Sum, ints(DType::I8, &[], &[44]));
}

#[test]
fn sums_of_products_add_exact_products() {
    // The square has no f32; rounded, it would cancel.
    let e = f64::from(f32::EPSILON);
    let x = floats(DType::F32, &[2], &[1.0 + e, -1.0]);
    let y = floats(DType::F32, &[2], &[1.0 + e, 1.0 + 2.0 * e]);
    check(
        |b| {
            let (x, y) = (input(b, DType::F32, &[2]), input(b, DType::F32, &[2]));
            vec![
                b.compute(&[x, y], Vec::new(), |p| {
                    let r = p.reduce(&Dim::from(2usize));
                    let (a, c) = (p.load(0, &[r]), p.load(1, &[r]));
                    let value = p.mul(a, c);
                    let sum = p.acc(Combiner::Sum, value);
                    p.out(sum);
                })
                .unwrap(),
            ]
        },
        &[x, y],
        &[floats(DType::F32, &[], &[e * e])],
    );
}

#[test]
fn zero_extents_give_neutral_elements() {
    let x = |d: DType| floats(d, &[2, 0], &[]);
    check_reduce(x(DType::F32), &[1], Combiner::Sum, floats(DType::F32, &[2], &[0., 0.]));
    check_reduce(x(DType::F32), &[1], Combiner::Max, floats(DType::F32, &[2], &[f64::NEG_INFINITY; 2]));
    check_reduce(x(DType::I8), &[1], Combiner::Min, ints(DType::I8, &[2], &[127, 127]));
    check_reduce(x(DType::I32), &[1], Combiner::ArgMax { last: true }, ints(DType::I64, &[2], &[0, 0]));
    check_reduce(x(DType::F32), &[0], Combiner::Sum, floats(DType::F32, &[0], &[]));
    check_reduce(ints(DType::Bool, &[2, 0], &[]), &[1], Combiner::All, ints(DType::Bool, &[2], &[1, 1]));
    check(
        |b| {
            let (x, y) = (input(b, DType::F32, &[0, 2]), input(b, DType::F32, &[1, 2]));
            vec![b.concat(&[x, y], 0).unwrap()]
        },
        &[floats(DType::F32, &[0, 2], &[]), floats(DType::F32, &[1, 2], &[1., 2.])],
        &[floats(DType::F32, &[1, 2], &[1., 2.])],
    );
}

#[test]
fn nan_is_the_extreme() {
    let x = || floats(DType::F32, &[2, 3], &[1., NAN, 3., -1., -2., -3.]);
    check_reduce(x(), &[1], Combiner::Max, floats(DType::F32, &[2], &[NAN, -1.]));
    check_reduce(x(), &[1], Combiner::Min, floats(DType::F32, &[2], &[NAN, -3.]));
    check_reduce(x(), &[1], Combiner::ArgMax { last: false }, ints(DType::I64, &[2], &[1, 0]));
    check_reduce(x(), &[1], Combiner::ArgMin { last: false }, ints(DType::I64, &[2], &[1, 2]));
}

#[test]
fn ties_go_to_the_first_unless_told() {
    let x = || ints(DType::U64, &[5], &[1, -1, 3, -1, 1]);
    check_reduce(x(), &[0], Combiner::ArgMax { last: false }, ints(DType::I64, &[], &[1]));
    check_reduce(x(), &[0], Combiner::ArgMax { last: true }, ints(DType::I64, &[], &[3]));
    check_reduce(x(), &[0], Combiner::ArgMin { last: false }, ints(DType::I64, &[], &[0]));
    check_reduce(x(), &[0], Combiner::ArgMin { last: true }, ints(DType::I64, &[], &[4]));
    let nans = || floats(DType::F32, &[4], &[1., NAN, NAN, 0.]);
    check_reduce(nans(), &[0], Combiner::ArgMin { last: true }, ints(DType::I64, &[], &[2]));
}

#[test]
fn windows_adapt_to_the_output_index() {
    // Window of output i: from floor(5 i / 3) to ceil(5 (i + 1) / 3).
    check(
        |b| {
            let x = input(b, DType::F32, &[5]);
            b.compute_many(&[x], shape(&[3]), |p| {
                let i = p.index(0);
                let (five, three, two) = (p.int(5), p.int(3), p.int(2));
                let scaled = p.mul(i, five);
                let start = p.binary(BinOp::FloorDiv, scaled, three);
                let next = p.add(scaled, five);
                let rounded = p.add(next, two);
                let end = p.binary(BinOp::FloorDiv, rounded, three);
                let size = p.sub(end, start);
                let r = p.reduce_sized(size, &Dim::from(3usize));
                let at = p.add(start, r);
                let v = p.load(0, &[at]);
                let max = p.acc(Combiner::Max, v);
                let best = p.acc(Combiner::ArgMax { last: false }, v);
                p.out(max);
                p.out(best);
            })
            .unwrap()
        },
        &[floats(DType::F32, &[5], &[9., 1., 7., 2., 3.])],
        &[floats(DType::F32, &[3], &[9., 7., 3.]), ints(DType::I64, &[3], &[0, 1, 1])],
    );
}

#[test]
fn loads_out_of_range_are_errors() {
    check_error(
        |b| {
            let x = input(b, DType::F32, &[3]);
            let v = b.compute(&[x], shape(&[4]), |p| {
                let i = p.index(0);
                let v = p.load(0, &[i]);
                p.out(v);
            });
            vec![v.unwrap()]
        },
        &[floats(DType::F32, &[3], &[1., 2., 3.])],
        "node 0 (compute): operand 0 is read at 3 along dim 0, outside its extent 3",
    );
    check_error(
        |b| {
            let (x, i) = (input(b, DType::F32, &[3]), input(b, DType::I64, &[2]));
            let v = b.compute(&[x, i], shape(&[2]), |p| {
                let i = p.index(0);
                let at = p.load(1, &[i]);
                let v = p.load(0, &[at]);
                p.out(v);
            });
            vec![v.unwrap()]
        },
        &[floats(DType::F32, &[3], &[1., 2., 3.]), ints(DType::I64, &[2], &[0, -1])],
        "node 0 (compute): operand 0 is read at -1 along dim 0, outside its extent 3",
    );
}

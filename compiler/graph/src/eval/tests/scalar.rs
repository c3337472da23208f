//! Operations on one element: wrap, NaN, casts, bits.

use super::{check, floats, ints};
use crate::builder::{Builder, Point};
use crate::dim::Dim;
use crate::dtype::DType;
use crate::expr::{BinOp, Expr, ExprId, Rounding, UnOp};
use crate::graph::ValueId;
use crate::tensor::Tensor;
use crate::ty::Type;

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

/// Applies an expression to the elements of one or two tensors of one shape.
fn check_map(inputs: &[Tensor], expected: Tensor, f: impl FnOnce(&mut Point<'_>, &[ExprId]) -> ExprId) {
    let build = |b: &mut Builder| {
        let ids: Vec<ValueId> = inputs
            .iter()
            .map(|t| b.input("x", Type::tensor(t.dtype(), t.shape().iter().map(|d| Dim::from(*d)).collect::<Vec<_>>())))
            .collect();
        vec![b.map(&ids, f).unwrap()]
    };
    check(build, inputs, &[expected]);
}

fn check_cast(from: Tensor, saturate: bool, rounding: Rounding, expected: Tensor) {
    let to = expected.dtype();
    check_map(&[from], expected, |p, v| p.add_expr(Expr::Cast { to, saturate, rounding, value: v[0] }));
}

fn check_binary(op: BinOp, dtype: DType, a: &[i64], b: &[i64], expected: &[i64]) {
    let n = [a.len()];
    check_map(&[ints(dtype, &n, a), ints(dtype, &n, b)], ints(dtype, &n, expected), |p, v| p.binary(op, v[0], v[1]));
}

#[test]
fn integers_wrap_at_their_width() {
    check_binary(BinOp::Add, DType::I8, &[127, -128], &[1, -1], &[-128, 127]);
    check_binary(BinOp::Mul, DType::U8, &[16, 255], &[17, 255], &[16, 1]);
    check_binary(BinOp::Sub, DType::U4, &[0, 3], &[1, 2], &[15, 1]);
    check_binary(BinOp::Mul, DType::I64, &[i64::MAX], &[2], &[-2]);
}

#[test]
fn integer_division_is_total() {
    check_binary(BinOp::Div, DType::I32, &[-7, 7, 5, i32::MIN as i64], &[2, -2, 0, -1], &[-3, -3, 0, i32::MIN as i64]);
    check_binary(BinOp::FloorDiv, DType::I64, &[-7, 7, 5], &[2, -2, 0], &[-4, -4, 0]);
    check_binary(BinOp::Rem, DType::I64, &[-7, 7, 5, i64::MIN], &[2, -2, 0, -1], &[-1, 1, 0, 0]);
    check_binary(BinOp::Mod, DType::I64, &[-7, 7, 5], &[2, -2, 0], &[1, -1, 0]);
    check_binary(BinOp::Div, DType::U64, &[-1, -1], &[2, 0], &[i64::MAX, 0]);
    check_binary(BinOp::Max, DType::U64, &[-1, 3], &[1, 4], &[-1, 4]);
}

#[test]
fn area_cosine_has_no_value_below_one() {
    let x = floats(DType::F64, &[4], &[1., 0., -1., -1e5]);
    check_map(&[x], floats(DType::F64, &[4], &[0., NAN, NAN, NAN]), |p, v| p.unary(UnOp::Acosh, v[0]));
}

#[test]
fn integer_powers_wrap_and_have_no_fractions() {
    check_binary(
        BinOp::Pow,
        DType::I32,
        &[2, 2, -1, -1, 1, 0, 3],
        &[31, -1, -3, -2, -5, -1, 4],
        &[i32::MIN as i64, 0, -1, 1, 1, 0, 81],
    );
}

#[test]
fn shifts_by_the_width_or_more_leave_the_sign() {
    check_binary(BinOp::Shl, DType::U8, &[1, 1, 255], &[7, 8, 1], &[128, 0, 254]);
    check_binary(BinOp::Shr, DType::U8, &[128, 128, 1], &[7, 8, 200], &[1, 0, 0]);
    check_binary(BinOp::Shr, DType::I8, &[-128, -1, 64, -128], &[7, 8, 100, -1], &[-1, -1, 0, -1]);
}

#[test]
fn bits_are_counted_in_the_width() {
    check_map(&[ints(DType::I8, &[3], &[-1, 0, 5])], ints(DType::I8, &[3], &[8, 0, 2]), |p, v| {
        p.unary(UnOp::PopCount, v[0])
    });
    check_map(&[ints(DType::U2, &[3], &[0, 1, 3])], ints(DType::U2, &[3], &[3, 2, 0]), |p, v| p.not(v[0]));
}

#[test]
fn nan_wins_in_min_and_max_and_loses_comparisons() {
    let x = floats(DType::F32, &[4], &[NAN, 1., -0., 2.]);
    let y = floats(DType::F32, &[4], &[1., NAN, 0., 3.]);
    check_map(&[x.clone(), y.clone()], floats(DType::F32, &[4], &[NAN, NAN, -0., 3.]), |p, v| p.max(v[0], v[1]));
    check_map(&[x.clone(), y.clone()], floats(DType::F32, &[4], &[NAN, NAN, -0., 2.]), |p, v| p.min(v[0], v[1]));
    check_map(&[x.clone(), y.clone()], ints(DType::Bool, &[4], &[0, 0, 0, 1]), |p, v| p.lt(v[0], v[1]));
    check_map(&[x.clone(), x], ints(DType::Bool, &[4], &[1, 0, 0, 0]), |p, v| p.ne(v[0], v[1]));
}

#[test]
fn floats_round_after_every_operation() {
    let x = floats(DType::F16, &[2], &[2048., 60000.]);
    let y = floats(DType::F16, &[2], &[1., 10000.]);
    check_map(&[x.clone(), y.clone()], floats(DType::F16, &[2], &[2048., INF]), |p, v| p.add(v[0], v[1]));
    // 2048 + 1 rounds down before the second addition.
    check_map(&[x, y], floats(DType::F16, &[2], &[2048., INF]), |p, v| {
        let once = p.add(v[0], v[1]);
        p.add(once, v[1])
    });
}

#[test]
fn fused_multiply_add_rounds_once() {
    let a = 1.0 + f64::from(f32::EPSILON);
    let x = floats(DType::F32, &[1], &[a]);
    let c = floats(DType::F32, &[1], &[-1.0 - 2.0 * f64::from(f32::EPSILON)]);
    let expected = floats(DType::F32, &[1], &[f64::from(f32::EPSILON) * f64::from(f32::EPSILON)]);
    check_map(&[x, c], expected, |p, v| p.add_expr(Expr::Fma(v[0], v[0], v[1])));
}

#[test]
fn float_remainders_follow_their_sign_rule() {
    let x = floats(DType::F32, &[4], &[-7., 7., -4., 5.]);
    let y = floats(DType::F32, &[4], &[3., -3., 2., 0.]);
    check_map(&[x.clone(), y.clone()], floats(DType::F32, &[4], &[-1., 1., -0., NAN]), |p, v| {
        p.binary(BinOp::Rem, v[0], v[1])
    });
    check_map(&[x, y], floats(DType::F32, &[4], &[2., -2., 0., NAN]), |p, v| p.binary(BinOp::Mod, v[0], v[1]));
}

#[test]
fn rounding_ties_go_to_even() {
    let x = floats(DType::F32, &[5], &[0.5, 1.5, -2.5, 2.6, NAN]);
    check_map(&[x], floats(DType::F32, &[5], &[0., 2., -2., 3., NAN]), |p, v| p.unary(UnOp::Round, v[0]));
}

#[test]
fn casts_to_eight_bit_floats_saturate_on_demand() {
    let x = || floats(DType::F32, &[6], &[1e6, -1e6, INF, NAN, 0.3, -0.]);
    let n = Rounding::Nearest;
    let e4 = DType::F8E4M3FN;
    check_cast(x(), true, n, floats(e4, &[6], &[448., -448., 448., NAN, 0.3125, -0.]));
    check_cast(x(), false, n, floats(e4, &[6], &[NAN, NAN, NAN, NAN, 0.3125, -0.]));
    let e4z = DType::F8E4M3FNUZ;
    check_cast(x(), true, n, floats(e4z, &[6], &[240., -240., 240., NAN, 0.3125, 0.]));
    check_cast(x(), false, n, floats(e4z, &[6], &[NAN, NAN, NAN, NAN, 0.3125, 0.]));
    let e5 = DType::F8E5M2;
    check_cast(x(), true, n, floats(e5, &[6], &[57344., -57344., 57344., NAN, 0.3125, -0.]));
    check_cast(x(), false, n, floats(e5, &[6], &[INF, -INF, INF, NAN, 0.3125, -0.]));
    let e5z = DType::F8E5M2FNUZ;
    check_cast(x(), true, n, floats(e5z, &[6], &[57344., -57344., 57344., NAN, 0.3125, 0.]));
    check_cast(x(), false, n, floats(e5z, &[6], &[NAN, NAN, NAN, NAN, 0.3125, 0.]));
    check_cast(floats(DType::F32, &[3], &[100., -5.1, 0.2]), false, n, floats(DType::F4E2M1, &[3], &[6., -6., 0.]));
}

#[test]
fn casts_to_scales_round_as_told() {
    let x = || floats(DType::F32, &[4], &[1., 1.4, 1.5, 3.9]);
    let e8 = DType::F8E8M0;
    check_cast(x(), true, Rounding::Up, floats(e8, &[4], &[1., 2., 2., 4.]));
    check_cast(x(), true, Rounding::Down, floats(e8, &[4], &[1., 1., 1., 2.]));
    check_cast(x(), true, Rounding::Nearest, floats(e8, &[4], &[1., 1., 2., 4.]));
}

#[test]
fn casts_to_integers_truncate_then_wrap_or_saturate() {
    let x = || floats(DType::F32, &[5], &[-1.9, 300.7, NAN, 1e30, -1e30]);
    let n = Rounding::Nearest;
    check_cast(x(), false, n, ints(DType::U8, &[5], &[255, 44, 0, 255, 0]));
    check_cast(x(), true, n, ints(DType::U8, &[5], &[0, 255, 0, 255, 0]));
    check_cast(x(), true, n, ints(DType::I8, &[5], &[-1, 127, 0, 127, -128]));
    check_cast(x(), true, n, ints(DType::U64, &[5], &[0, 300, 0, -1, 0]));
    check_cast(ints(DType::I64, &[3], &[-9, 9, 300]), true, n, ints(DType::I4, &[3], &[-8, 7, 7]));
    check_cast(ints(DType::U64, &[1], &[-1]), true, n, ints(DType::I32, &[1], &[i64::from(i32::MAX)]));
}

#[test]
fn casts_of_large_integers_round_once() {
    // Half way between two f32, plus one: rounding to f64 first would lose the one and round to even, down.
    let value = (1i64 << 62) + (1i64 << 38) + 1;
    let expected = ((1i64 << 62) + (1i64 << 39)) as f64;
    check_cast(ints(DType::I64, &[1], &[value]), false, Rounding::Nearest, floats(DType::F32, &[1], &[expected]));
    check_cast(ints(DType::U64, &[1], &[-1]), false, Rounding::Nearest, floats(DType::F64, &[1], &[2f64.powi(64)]));
}

#[test]
fn bitcasts_keep_the_bits() {
    let x = floats(DType::F32, &[2], &[1., -0.]);
    check_map(&[x], ints(DType::I32, &[2], &[0x3F80_0000, i64::from(i32::MIN)]), |p, v| {
        p.add_expr(Expr::Bitcast { to: DType::I32, value: v[0] })
    });
    check_map(&[ints(DType::U16, &[1], &[0x3C00])], floats(DType::F16, &[1], &[1.]), |p, v| {
        p.add_expr(Expr::Bitcast { to: DType::F16, value: v[0] })
    });
}

#[test]
fn strings_move_and_compare() {
    let words = |shape: &[usize], w: &[&str]| {
        Tensor::from_strings(shape.to_vec(), w.iter().map(|s| s.to_string()).collect()).unwrap()
    };
    let x = words(&[2, 2], &["b", "a", "", "é"]);
    let y = words(&[2, 2], &["b", "c", "", "e"]);
    check_map(&[x.clone(), y.clone()], ints(DType::Bool, &[2, 2], &[1, 0, 1, 0]), |p, v| p.eq(v[0], v[1]));
    let ty = || Type::tensor(DType::Str, vec![Dim::from(2i64), Dim::from(2i64)]);
    check(
        |b| {
            let (x, y) = (b.input("x", ty()), b.input("y", ty()));
            let joined = b.concat(&[x, y], 1).unwrap();
            vec![b.transpose(joined, &[1, 0]).unwrap()]
        },
        &[x, y],
        &[words(&[4, 2], &["b", "", "a", "é", "b", "", "c", "e"])],
    );
}

//! The blocked way of sums of products against the general way: equal bits on odd shapes.

use super::floats;
use crate::builder::{Builder, Point};
use crate::datum::Datum;
use crate::dim::Dim;
use crate::dtype::DType;
use crate::eval::{Bindings, compute, contract};
use crate::expr::{BinOp, ExprId};
use crate::node::{Combiner, Op};
use crate::tensor::Tensor;
use crate::ty::Type;

/// Numbers without pattern, of a dtype.
fn noise(dtype: DType, shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed;
    let count = shape.iter().product();
    let values: Vec<f64> = (0..count)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let unit = (state >> 33) as f64 / f64::from(1u32 << 31) - 0.5;
            if dtype.is_float() { unit } else { (unit * 255.0).round() }
        })
        .collect();
    floats(dtype, shape, &values)
}

/// Runs one compute node both ways.
fn check(a: Tensor, b: Tensor, shape: &[usize], describe: impl FnOnce(&mut Point<'_>)) {
    let mut builder = Builder::new("contraction");
    let ty = |t: &Tensor| Type::tensor(t.dtype(), t.shape().iter().map(|d| Dim::from(*d)).collect::<Vec<_>>());
    let x = builder.input("a", ty(&a));
    let y = builder.input("b", ty(&b));
    let shape: Vec<Dim> = shape.iter().map(|d| Dim::from(*d)).collect();
    builder.compute(&[x, y], shape, describe).unwrap();
    let model = builder.finish();
    let Op::Compute(node) = &model.graph.nodes[0].op else { panic!("expected a compute") };
    let operands = [Datum::Tensor(a), Datum::Tensor(b)];
    let general = compute::run(node, &operands, &Bindings::default(), |_, _, _| Ok(None)).unwrap();
    let blocked = compute::run(node, &operands, &Bindings::default(), |program, a, b| {
        let sums = contract::run(program, a, b)?;
        assert!(sums.is_some(), "the blocked way takes it");
        Ok(sums)
    });
    assert_eq!(general, blocked.unwrap());
}

fn product(p: &mut Point<'_>, a: ExprId, b: ExprId) {
    let value = p.mul(a, b);
    let sum = p.acc(Combiner::Sum, value);
    p.out(sum);
}

#[test]
fn matrix_products_of_odd_shapes_agree() {
    for (dtype, m, n, k) in [
        (DType::F32, 7, 13, 61),
        (DType::F32, 300, 5, 270),
        (DType::F64, 2, 301, 33),
        (DType::F16, 33, 17, 65),
        (DType::I32, 19, 23, 29),
    ] {
        check(noise(dtype, &[m, k], 1), noise(dtype, &[k, n], 2), &[m, n], |p| {
            let r = p.reduce(&Dim::from(k));
            let (i, j) = (p.index(0), p.index(1));
            let (a, b) = (p.load(0, &[i, r]), p.load(1, &[r, j]));
            product(p, a, b);
        });
    }
}

#[test]
fn batched_transposed_products_agree() {
    check(noise(DType::F32, &[3, 65, 31], 3), noise(DType::F32, &[3, 9, 65], 4), &[3, 31, 9], |p| {
        let r = p.reduce(&Dim::from(65usize));
        let (z, i, j) = (p.index(0), p.index(1), p.index(2));
        let (a, b) = (p.load(0, &[z, r, i]), p.load(1, &[z, j, r]));
        product(p, a, b);
    });
}

#[test]
fn quantized_products_agree() {
    check(noise(DType::I8, &[21, 77], 5), noise(DType::I8, &[77, 18], 6), &[21, 18], |p| {
        let r = p.reduce(&Dim::from(77usize));
        let (i, j) = (p.index(0), p.index(1));
        let (a, b) = (p.load(0, &[i, r]), p.load(1, &[r, j]));
        let (a, b) = (p.cast(a, DType::I32), p.cast(b, DType::I32));
        let zero_point = p.number(DType::I32, 3.0);
        let a = p.sub(a, zero_point);
        product(p, a, b);
    });
}

/// A padded, strided, dilated, grouped convolution of `[n, c, h, w]` with `[o, c / groups, kh, kw]`.
#[test]
fn convolutions_agree() {
    for (groups, stride, dilation, pad) in [(1, 1, 1, 1), (1, 2, 1, 0), (3, 1, 2, 2), (2, 3, 1, 1)] {
        let (n, c, o, h, w) = (2usize, 6usize, 12usize, 11i64, 13i64);
        let (kh, kw) = (3i64, 2i64);
        let extent = |size: i64, kernel: i64| ((size + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1) as usize;
        let x = noise(DType::F32, &[n, c, h as usize, w as usize], 7);
        let weights = noise(DType::F32, &[o, c / groups, kh as usize, kw as usize], 8);
        check(x, weights, &[n, o, extent(h, kh), extent(w, kw)], |p| {
            let index = p.indices();
            let (rc, ry, rx) = (p.reduce(&Dim::from(c / groups)), p.reduce(&Dim::from(kh)), p.reduce(&Dim::from(kw)));
            let per_group = p.int((o / groups) as i64);
            let group = p.binary(BinOp::FloorDiv, index[1], per_group);
            let channels = p.int((c / groups) as i64);
            let first = p.mul(group, channels);
            let channel = p.add(first, rc);
            let mut along = |i: ExprId, r: ExprId| {
                let (s, d, back) = (p.int(stride), p.int(dilation), p.int(-pad));
                let (i, r) = (p.mul(i, s), p.mul(r, d));
                let sum = p.add(i, r);
                p.add(sum, back)
            };
            let (y, z) = (along(index[2], ry), along(index[3], rx));
            let zero = p.zero(DType::F32);
            let a = p.load_or(0, &[index[0], channel, y, z], zero);
            let b = p.load(1, &[index[1], rc, ry, rx]);
            product(p, a, b);
        });
    }
}

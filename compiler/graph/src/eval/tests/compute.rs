//! Pointwise maps and reductions.

use super::{check, floats, ints};
use crate::dim::Dim;
use crate::dtype::DType;
use crate::node::Combiner;
use crate::ty::Type;

fn static_shape(shape: &[usize]) -> Vec<Dim> {
    shape.iter().map(|d| Dim::from(*d)).collect()
}

#[test]
fn broadcasting_adds() {
    check(
        |b| {
            let x = b.input("x", Type::tensor(DType::F32, static_shape(&[2, 3])));
            let y = b.input("y", Type::tensor(DType::F32, static_shape(&[3])));
            vec![b.binary(crate::expr::BinOp::Add, x, y).unwrap()]
        },
        &[floats(DType::F32, &[2, 3], &[1., 2., 3., 4., 5., 6.]), floats(DType::F32, &[3], &[10., 20., 30.])],
        &[floats(DType::F32, &[2, 3], &[11., 22., 33., 14., 25., 36.])],
    );
}

#[test]
fn transposes_and_reshapes_move_elements() {
    check(
        |b| {
            let x = b.input("x", Type::tensor(DType::I32, static_shape(&[2, 3, 4])));
            let t = b.transpose(x, &[2, 0, 1]).unwrap();
            vec![b.reshape(t, static_shape(&[3, 8])).unwrap()]
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
fn sums_run_along_any_axis() {
    let values: Vec<f64> = (0..6).map(f64::from).collect();
    for (axes, shape, expected) in
        [(vec![0], vec![3], vec![3., 5., 7.]), (vec![1], vec![2], vec![3., 12.]), (vec![0, 1], vec![], vec![15.])]
    {
        check(
            |b| {
                let x = b.input("x", Type::tensor(DType::F32, static_shape(&[2, 3])));
                vec![b.reduce(x, &axes, false, Combiner::Sum).unwrap()]
            },
            &[floats(DType::F32, &[2, 3], &values)],
            &[floats(DType::F32, &shape, &expected)],
        );
    }
}

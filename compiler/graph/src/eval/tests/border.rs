//! The model's border: input sizes, guards, `Bind`, places in errors.

use super::{check, check_error, floats, ints};
use crate::builder::Builder;
use crate::dim::Dim;
use crate::dtype::DType;
use crate::expr::BinOp;
use crate::graph::{Origin, ValueId};
use crate::ty::Type;

fn origin(b: &mut Builder, name: &str, op_type: &str) {
    let id = b.add_origin(Origin { name: name.to_string(), op_type: op_type.to_string(), domain: String::new() });
    b.set_origins(vec![id]);
}

fn add_two(b: &mut Builder) -> Vec<ValueId> {
    let (n, m) = (b.input_symbol("n", 1, Some(4)), b.input_symbol("m", 0, None));
    let x = b.input("x", Type::tensor(DType::F32, vec![n.clone(), Dim::from(2i64)]));
    let y = b.input("y", Type::tensor(DType::F32, vec![m, Dim::from(2i64)]));
    origin(b, "sum", "Add");
    vec![b.binary(BinOp::Add, x, y).unwrap()]
}

#[test]
fn sizes_come_from_the_inputs() {
    let x = || floats(DType::F32, &[2, 2], &[1., 2., 3., 4.]);
    check(add_two, &[x(), x()], &[floats(DType::F32, &[2, 2], &[2., 4., 6., 8.])]);
}

#[test]
fn failed_guards_name_the_node() {
    let (x, y) = (floats(DType::F32, &[1, 2], &[1.; 2]), floats(DType::F32, &[3, 2], &[1.; 6]));
    check_error(
        add_two,
        &[x, y],
        "sum (Add): the model assumes that broadcasting, but 1 is not 3; change the input shapes",
    );
}

#[test]
fn inputs_must_have_their_types() {
    let f = |shape: &[usize]| floats(DType::F32, shape, &vec![0.; shape.iter().product()]);
    check_error(add_two, &[f(&[1, 2])], "expected 2 inputs, found 1");
    check_error(add_two, &[f(&[1, 2]), f(&[2])], "input 1 (y): expected f32[m, 2], found f32[2]");
    check_error(add_two, &[f(&[1, 3]), f(&[1, 2])], "input 0 (x): expected f32[n, 2], found f32[1, 3]");
    let int = ints(DType::I32, &[1, 2], &[0, 0]);
    check_error(add_two, &[int, f(&[1, 2])], "input 0 (x): expected f32[n, 2], found i32[1, 2]");
    check_error(add_two, &[f(&[9, 2]), f(&[9, 2])], "size n is 9, outside its range 1..=4");
}

#[test]
fn equal_names_mean_equal_sizes() {
    let build = |b: &mut Builder| {
        let n = b.input_symbol("n", 0, None);
        let x = b.input("x", Type::tensor(DType::F32, vec![n.clone()]));
        b.input("y", Type::tensor(DType::F32, vec![&(&n * &Dim::from(2i64)) + &Dim::from(1i64)]));
        b.input("z", Type::tensor(DType::F32, vec![n]));
        vec![x]
    };
    let f = |n: usize| floats(DType::F32, &[n], &vec![0.; n]);
    check(build, &[f(3), f(7), f(3)], &[f(3)]);
    let conflict = "size n is 3 by one input and 4 by another; give inputs of matching shapes";
    check_error(build, &[f(3), f(7), f(4)], conflict);
    let error = super::run(build, &[f(3), f(6), f(3)]).unwrap_err().to_string();
    assert!(error.starts_with("input 1 (y): expected f32["), "{error}");
}

#[test]
fn a_size_can_be_solved_from_an_expression() {
    let build = |b: &mut Builder| {
        let n = b.input_symbol("n", 0, None);
        b.input("y", Type::tensor(DType::F32, vec![&(&n * &Dim::from(2i64)) + &Dim::from(1i64)]));
        vec![b.dim_scalar(&n).unwrap()]
    };
    check(build, &[floats(DType::F32, &[7], &[0.; 7])], &[ints(DType::I64, &[], &[3])]);
}

/// `x` repeated as often as the input `count` says, which must be at most 3.
fn repeated(b: &mut Builder) -> Vec<ValueId> {
    let x = b.input("x", Type::tensor(DType::I32, vec![Dim::from(1i64)]));
    let count = b.input("count", Type::tensor(DType::I64, Vec::<Dim>::new()));
    origin(b, "grow", "Expand");
    let n = b.bind(count, 0, Some(3)).unwrap();
    b.assume(crate::dim::Pred::Divides(Dim::from(2i64), n.clone()), "the count is even").unwrap();
    vec![b.expand(x, vec![n]).unwrap()]
}

#[test]
fn values_become_sizes() {
    let run = |n: i64| [ints(DType::I32, &[1], &[7]), ints(DType::I64, &[], &[n])];
    check(repeated, &run(2), &[ints(DType::I32, &[2], &[7, 7])]);
    check(repeated, &run(0), &[ints(DType::I32, &[0], &[])]);
    check_error(repeated, &run(4), "grow (Expand): size n0 is 4, outside its range 0..=3");
    check_error(
        repeated,
        &run(3),
        "grow (Expand): the model assumes that the count is even, but 2 does not divide 3; change the input shapes",
    );
}

#[test]
fn observers_see_every_value() {
    let mut b = Builder::new("test");
    let x = b.input("x", Type::tensor(DType::F32, vec![Dim::from(1i64)]));
    let y = b.binary(BinOp::Add, x, x).unwrap();
    b.output(y);
    let model = b.finish();
    let mut seen = Vec::new();
    let mut observer = |_: &crate::graph::Graph, id: ValueId, d: &crate::datum::Datum| seen.push((id, d.describe()));
    crate::eval::model_with(&model, &[floats(DType::F32, &[1], &[1.]).into()], &mut observer).unwrap();
    assert_eq!(seen, vec![(x, "f32[1]".to_string()), (y, "f32[1]".to_string())]);
}

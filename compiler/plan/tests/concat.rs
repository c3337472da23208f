//! Concatenations: what is written in place, how many launches are left, and that the plan means what the model means.

use graph::builder::Builder;
use graph::datum::Datum;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::UnOp;
use graph::graph::ValueId;
use graph::node::Combiner;
use graph::tensor::Tensor;
use graph::ty::Type;
use nest::abstraction::Constants;
use plan::eval_plan::{Options, eval_plan};
use plan::plan::{Action, Plan};

/// A model over one input `[2, 3, 4]`: so many launches, of which so many write a part of a larger buffer.
#[track_caller]
fn check(launches: usize, parts: usize, build: impl FnOnce(&mut Builder, ValueId) -> Vec<ValueId>) {
    let mut b = Builder::new("test");
    let x = b.input("x", Type::tensor(DType::F32, [2, 3, 4].map(Dim::constant)));
    build(&mut b, x).into_iter().for_each(|v| b.output(v));
    let model = b.finish();
    let target =
        plan::Target { claimants: &[], workspace: &|_| Dim::constant(0), constants: Constants::Code, tuning: None };
    let plan: Plan<()> = plan::plan_model(&model, &target).unwrap();
    plan::verify::plan(&plan).unwrap();
    let found: Vec<_> =
        plan.body.steps.iter().filter_map(|s| if let Action::Launch(l) = &s.action { Some(l) } else { None }).collect();
    assert_eq!(found.len(), launches, "{plan:?}");
    let is_part = |v: &plan::plan::View| Dim::product(&v.shape) != plan.buffers[v.buffer.0 as usize].elements;
    assert_eq!(found.iter().filter(|l| l.writes.iter().any(is_part)).count(), parts, "{plan:?}");
    let values: Vec<f32> = (0..24).map(|k| 0.25 + (k * 7 % 24) as f32 / 8.0).collect();
    let input = [Datum::Tensor(Tensor::from_f32s(&values).reshaped(vec![2, 3, 4]).unwrap())];
    let expected = graph::eval::model(&model, &input).unwrap();
    for poison in [false, true] {
        assert_eq!(eval_plan(&plan, &input, Options { poison }).unwrap(), expected);
    }
}

fn exp(b: &mut Builder, x: ValueId) -> ValueId {
    b.unary(UnOp::Exp, x).unwrap()
}

fn log(b: &mut Builder, x: ValueId) -> ValueId {
    b.unary(UnOp::Log, x).unwrap()
}

#[test]
fn parts_are_written_where_they_lie() {
    for axis in 0..3 {
        check(2, 2, |b, x| {
            let (y, z) = (exp(b, x), log(b, x));
            let sum = b.reduce(z, &[axis], true, Combiner::Sum).unwrap();
            let root = b.unary(UnOp::Sqrt, sum).unwrap();
            vec![b.concat(&[y, root], axis).unwrap()]
        });
    }
}

#[test]
fn what_is_no_part_is_copied() {
    check(2, 2, |b, x| {
        let y = exp(b, x);
        vec![b.concat(&[x, y], 1).unwrap()]
    });
}

#[test]
fn no_kernel_reads_the_buffer_that_it_writes() {
    check(3, 2, |b, x| {
        let y = exp(b, x);
        let turned = b.transpose(y, &[0, 2, 1]).unwrap();
        let last = log(b, turned);
        let back = b.reshape(last, [2, 3, 4].map(Dim::constant).to_vec()).unwrap();
        let z = exp(b, back);
        vec![b.concat(&[y, z], 2).unwrap()]
    });
}

#[test]
fn a_value_twice_is_no_part() {
    check(2, 0, |b, x| {
        let y = exp(b, x);
        vec![b.concat(&[y, y], 1).unwrap()]
    });
}

#[test]
fn an_output_keeps_its_own_memory() {
    check(3, 2, |b, x| {
        let (y, z) = (exp(b, x), log(b, x));
        let sum = b.reduce(z, &[0], true, Combiner::Sum).unwrap();
        vec![b.concat(&[y, sum], 0).unwrap(), y]
    });
}

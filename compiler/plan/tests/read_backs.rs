//! Sizes that are read back on a device: how many waits there are, and that the plan means what the model means.

use graph::builder::Builder;
use graph::datum::Datum;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::ValueId;
use graph::tensor::Tensor;
use graph::ty::Type;
use nest::abstraction::Constants;
use plan::eval_plan::{Options, eval_plan};
use plan::plan::{Action, Plan};

/// A model over one input of 24 integers: so many sizes are read in each wait.
#[track_caller]
fn check(waits: &[usize], constants: Constants, build: impl FnOnce(&mut Builder, ValueId)) {
    let mut b = Builder::new("test");
    let x = b.input("x", Type::tensor(DType::I64, vec![Dim::constant(24)]));
    build(&mut b, x);
    let model = b.finish();
    let target = plan::Target { claimants: &[], workspace: &|_| Dim::constant(0), constants, tuning: None };
    let plan: Plan<()> = plan::plan_model(&model, &target).unwrap();
    plan::verify::plan(&plan).unwrap();
    let found: Vec<usize> = plan
        .body
        .steps
        .iter()
        .filter_map(|s| if let Action::ReadBack { reads } = &s.action { Some(reads.len()) } else { None })
        .collect();
    assert_eq!(found, waits);
    let input = [Datum::Tensor(Tensor::from_i64s(&(0..24).map(|k| k * 7 % 24).collect::<Vec<_>>()))];
    let expected = graph::eval::model(&model, &input).unwrap();
    for poison in [false, true] {
        assert_eq!(eval_plan(&plan, &input, Options { poison }).unwrap(), expected);
    }
}

/// The positions of elements above a limit, as many as there are; an output too.
fn above(b: &mut Builder, x: ValueId, limit: i64) -> ValueId {
    let shape = b.shape(x).unwrap();
    let mask = b
        .compute(&[x], shape.clone(), |p| {
            let at = p.indices();
            let (limit, v) = (p.int(limit), p.load(0, &at));
            let holds = p.lt(limit, v);
            p.out(holds);
        })
        .unwrap();
    let (found, _) = b.positions(mask).unwrap();
    b.output(found);
    found
}

#[test]
fn sizes_that_depend_on_nothing_unread_are_one_wait() {
    check(&[3], Constants::Code, |b, x| {
        [3, 11, 17].into_iter().for_each(|limit| {
            above(b, x, limit);
        })
    });
}

#[test]
fn a_size_of_what_another_size_bounds_is_a_wait_more() {
    check(&[2, 1], Constants::Code, |b, x| {
        let first = above(b, x, 5);
        above(b, first, 9);
        above(b, x, 20);
    });
}

/// Where reading is free, values are made and used in the order of the graph.
#[test]
fn without_a_device_sizes_are_read_where_they_are_made() {
    check(&[1, 1, 1], Constants::Parameters, |b, x| {
        [3, 11, 17].into_iter().for_each(|limit| {
            above(b, x, limit);
        })
    });
}

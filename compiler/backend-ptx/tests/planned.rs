//! What is planned for GPUs without kernel families: how many launches, and that each does what it means.

#[path = "../../ptx/tests/assembler/mod.rs"]
mod assembler;
mod emulated;

use emulated::{Numbers, Tolerance, assemble, check_with, shape_of};
use graph::builder::Builder;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::ValueId;
use graph::node::Combiner;
use graph::region::norm::Norm;
use graph::region::softmax::Softmax;
use graph::scalar::Scalar;
use graph::tensor::Tensor;
use graph::ty::Type;
use nest::abstraction::Constants;
use plan::plan::{Action, Code, Plan};

fn input(b: &mut Builder, dtype: DType, shape: &[i64]) -> ValueId {
    let shape: Vec<Dim> = shape.iter().copied().map(Dim::constant).collect();
    b.input("x", Type::tensor(dtype, shape))
}

/// Plans what a closure builds: so many launches, each of which does on the emulator what it means.
#[track_caller]
fn check(name: &str, launches: usize, tolerance: Tolerance, build: impl FnOnce(&mut Builder) -> Vec<ValueId>) {
    let mut b = Builder::new("test");
    build(&mut b).into_iter().for_each(|v| b.output(v));
    let target =
        plan::Target { claimants: &[], workspace: &backend_ptx::workspace, constants: Constants::Code, tuning: None };
    let plan: Plan<()> = plan::plan_model(&b.finish(), &target).unwrap();
    if let Err(violations) = plan::verify::plan(&plan) {
        panic!("{violations:?}");
    }
    let steps = plan.body.steps.iter().filter(|s| matches!(s.action, Action::Launch(_))).count();
    assert_eq!(steps, launches, "{plan:?}");
    for (k, code) in plan.codes.iter().enumerate() {
        let Code::Kernel(kernel) = code else { panic!("a claim of nobody") };
        nest::verify::kernel(kernel).unwrap();
        assemble(kernel, &format!("{name}_{k}"));
        let mut numbers = Numbers(3);
        let operands: Vec<Tensor> = kernel.operands.iter().map(|o| numbers.tensor(o.dtype, shape_of(o, &[]))).collect();
        check_with(kernel, &[], &operands, tolerance);
    }
}

#[test]
fn a_softmax_is_one_launch() {
    for (dtype, tolerance) in [(DType::F32, Tolerance::Ulp(4)), (DType::F16, Tolerance::Ulp(1 << 13))] {
        check(&format!("softmax_{dtype}"), 1, tolerance, |b| {
            let x = input(b, dtype, &[2, 3, 40]);
            vec![b.softmax(Softmax { axis: 2, log: false }, x).unwrap()]
        });
        check(&format!("log_softmax_{dtype}"), 1, tolerance, |b| {
            let x = input(b, dtype, &[3, 200]);
            vec![b.softmax(Softmax { axis: 1, log: true }, x).unwrap()]
        });
    }
}

#[test]
fn a_norm_with_what_is_around_it_is_one_launch() {
    check("norm", 1, Tolerance::Ulp(16), |b| {
        let (x, residual) = (input(b, DType::F32, &[3, 4, 64]), input(b, DType::F32, &[3, 4, 64]));
        let (scale, bias) = (input(b, DType::F32, &[64]), input(b, DType::F32, &[64]));
        let sum = b.map(&[x, residual], |p, v| p.add(v[0], v[1])).unwrap();
        let norm = Norm { axes: vec![2], center: true, eps: Scalar::f32(1e-5), stats: DType::F32 };
        let normed = b.norm(&norm, sum).unwrap();
        let value = b.map(&[normed.value, scale, bias], |p, v| {
            let scaled = p.mul(v[0], v[1]);
            p.add(scaled, v[2])
        });
        vec![value.unwrap(), sum]
    });
}

#[test]
fn a_norm_of_a_transposed_input_is_one_launch() {
    check("norm_of_transposed", 1, Tolerance::Ulp(16), |b| {
        let x = input(b, DType::F32, &[5, 3, 64]);
        let turned = b.transpose(x, &[1, 0, 2]).unwrap();
        let norm = Norm { axes: vec![2], center: true, eps: Scalar::f32(1e-5), stats: DType::F32 };
        vec![b.norm(&norm, turned).unwrap().value]
    });
}

#[test]
fn rows_over_several_dims() {
    check("instance_norm", 1, Tolerance::Ulp(16), |b| {
        let x = input(b, DType::F32, &[2, 3, 4, 9]);
        let norm = Norm { axes: vec![2, 3], center: true, eps: Scalar::f32(1e-5), stats: DType::F32 };
        vec![b.norm(&norm, x).unwrap().value]
    });
}

#[test]
fn transposes_in_blocks() {
    for (dtype, sum) in [("f32", "e3"), ("f16", "e3"), ("i64", "e3"), ("f32", "e5"), ("f16", "e5"), ("bf16", "e5")] {
        let text = format!(
            "kernel params 0 {{ operand {dtype}[2, 40, 72] operand {dtype}[40] result {dtype}[2, 72, 40]
               nest outer [] {{ stage inner [2, 72, 40] {{ e0 = index 0 e1 = index 1 e2 = index 2
                 e3 = load 0 [e0, e2, e1] e4 = load 1 [e2] e5 = add e3, e4 out [{sum} to 0 [e0, e1, e2]] }} }} }}"
        );
        emulated::check(&format!("blocks_{dtype}_{sum}"), &text, &[&[]], Tolerance::Exact);
    }
}

#[test]
fn transposes_with_one_aligned_side() {
    for dtype in ["f16", "u16"] {
        for (rows, columns) in [(40, 49), (49, 40), (16, 9)] {
            let text = format!(
                "kernel params 0 {{ operand {dtype}[2, {rows}, {columns}] result {dtype}[2, {columns}, {rows}]
                   nest outer [] {{ stage inner [2, {columns}, {rows}] {{ e0 = index 0 e1 = index 1 e2 = index 2
                     e3 = load 0 [e0, e2, e1] e4 = add e3, e3 out [e4 to 0 [e0, e1, e2]] }} }} }}"
            );
            emulated::check(&format!("one_side_{dtype}_{rows}_{columns}"), &text, &[&[]], Tolerance::Exact);
        }
    }
}

#[test]
fn parts_along_the_last_dim_in_runs() {
    for (first, second) in [(16, 24), (5, 3), (8, 4)] {
        check(&format!("parts_{first}_{second}"), 1, Tolerance::Exact, |b| {
            let parts = [input(b, DType::F16, &[7, first]), input(b, DType::F16, &[7, second])];
            vec![b.concat(&parts, 1).unwrap()]
        });
    }
}

#[test]
fn columns_stay_apart() {
    check("columns", 4, Tolerance::Ulp(4), |b| {
        let x = input(b, DType::F32, &[2, 20, 3]);
        vec![b.softmax(Softmax { axis: 1, log: false }, x).unwrap()]
    });
}

/// A maximum over rows is needed between two steps over the rows: no launch has both.
#[test]
fn a_way_out_and_back_stays_apart() {
    check("out_and_back", 3, Tolerance::Ulp(4), |b| {
        let x = input(b, DType::F32, &[6, 32]);
        let top = b.reduce(x, &[1], true, Combiner::Max).unwrap();
        let turned = b.transpose(top, &[1, 0]).unwrap();
        let spread = b.reduce(turned, &[1], true, Combiner::Max).unwrap();
        vec![
            b.map(&[x, top, spread], |p, v| {
                let below = p.sub(v[0], v[1]);
                let power = p.unary(graph::expr::UnOp::Exp, below);
                p.sub(power, v[2])
            })
            .unwrap(),
        ]
    });
}

//! The PTX that small expressions become, as text.

use graph::dtype::DType;
use graph::expr::{BinOp, UnOp};
use ptx::{Builder, Module, Reg, Sm};
use ptx_expr::{Arith, Float, Machine, MathsMode, Value, Width, binary, unary};

/// The body's instructions, without declarations and the return.
fn body(build: impl FnOnce(&mut Builder, [Reg; 2])) -> String {
    let mut b = Builder::new("k");
    let regs = [b.reg(ptx::Class::B32), b.reg(ptx::Class::B32)];
    build(&mut b, regs);
    let text = ptx::print(&Module::new(Sm::Sm80, vec![b.finish()]));
    let lines = text.lines().map(str::trim).skip_while(|l| *l != "{").skip(1);
    let lines = lines.filter(|l| !l.is_empty() && !l.starts_with(".reg") && *l != "ret;" && *l != "}");
    lines.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(build: impl FnOnce(&mut Machine<'_>, [Value; 2]), expected: &str) {
    let text = body(|b, regs| build(&mut Machine::new(b, Sm::Sm80), regs.map(Value::Reg)));
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    assert_eq!(text, expected.join("\n"));
}

fn f32(value: f32) -> Value {
    Value::Const(Width::B32, u64::from(value.to_bits()))
}

#[test]
fn equal_operations_are_emitted_once() {
    check(
        |m, [x, y]| {
            let a = binary(m, BinOp::Add, DType::F32, x, y).unwrap();
            let b = binary(m, BinOp::Add, DType::F32, x, y).unwrap();
            binary(m, BinOp::Mul, DType::F32, a, b).unwrap();
        },
        "add.rn.f32 %r2, %r0, %r1;
         mul.rn.f32 %r3, %r2, %r2;",
    );
}

#[test]
fn constants_fold() {
    check(
        |m, [x, _]| {
            let six = binary(m, BinOp::Mul, DType::F32, f32(2.0), f32(3.0)).unwrap();
            binary(m, BinOp::Add, DType::F32, x, six).unwrap();
            let zero = m.u32(0);
            assert_eq!(binary(m, BinOp::Add, DType::I32, x, zero).unwrap(), x);
        },
        "add.rn.f32 %r2, %r0, 0f40C00000;",
    );
}

#[test]
fn a_limit_that_is_a_number_takes_two_instructions() {
    check(
        |m, [x, _]| {
            binary(m, BinOp::Max, DType::F32, x, f32(0.0)).unwrap();
        },
        "setp.lt.f32 %p0, %r0, 0f00000000;
         selp.b32 %r2, 0, %r0, %p0;",
    );
}

#[test]
fn f16_rounds_through_f32() {
    check(
        |m, [x, y]| {
            binary(m, BinOp::Mul, DType::F16, x, y).unwrap();
        },
        "mul.rn.f32 %r2, %r0, %r1;
         cvt.rn.f16.f32 %h0, %r2;
         cvt.u32.u16 %r3, %h0;
         cvt.u16.u32 %h1, %r3;
         cvt.f32.f16 %r4, %h1;",
    );
}

#[test]
fn fast_functions_are_the_hardwares() {
    check(
        |m, [x, _]| {
            unary(m, MathsMode::Fast, UnOp::Exp, DType::F32, x).unwrap();
            unary(m, MathsMode::Fast, UnOp::Tanh, DType::F32, x).unwrap();
        },
        "mul.rn.f32 %r2, %r0, 0f3FB8AA3B;
         ex2.approx.f32 %r3, %r2;
         tanh.approx.f32 %r4, %r0;",
    );
}

#[test]
fn known_exponents_need_no_logarithm() {
    check(
        |m, [x, _]| {
            binary(m, BinOp::Pow, DType::F32, x, f32(2.0)).unwrap();
            binary(m, BinOp::Pow, DType::F32, x, f32(-1.0)).unwrap();
        },
        "mul.rn.f32 %r2, %r0, %r0;
         rcp.rn.f32 %r3, %r0;",
    );
}

/// What is computed in a block that may not run is not used behind it.
#[test]
fn blocks_forget_what_they_computed() {
    check(
        |m, [x, y]| {
            let low = m.fcmp(ptx_expr::Relation::Lt, Float::F32, x, y);
            let joined = m.when(low, &[x], |m| vec![m.add(Float::F32, x, y)]);
            let sum = m.add(Float::F32, x, y);
            m.mul(Float::F32, sum, joined[0]);
        },
        "setp.lt.f32 %p0, %r0, %r1;
         mov.b32 %r2, %r0;
         @!%p0 bra otherwise_0;
         add.rn.f32 %r3, %r0, %r1;
         mov.b32 %r2, %r3;
         otherwise_0:
         add.rn.f32 %r4, %r0, %r1;
         mul.rn.f32 %r5, %r4, %r2;",
    );
}

/// Values that change places are kept before they are overwritten.
#[test]
fn turns_may_swap_their_values() {
    check(
        |m, [x, y]| {
            m.iterate(&[x, y], |m, state| {
                let again = m.fcmp(ptx_expr::Relation::Lt, Float::F32, state[0], state[1]);
                (vec![state[1], state[0]], again)
            });
        },
        "mov.b32 %r2, %r0;
         mov.b32 %r3, %r1;
         turn_0:
         setp.lt.f32 %p0, %r2, %r3;
         mov.b32 %r4, %r3;
         mov.b32 %r5, %r2;
         mov.b32 %r2, %r4;
         mov.b32 %r3, %r5;
         @%p0 bra turn_0;",
    );
}

//! Print, parse: equal data, for every form of the table and for everything around the body.

#[cfg(test)]
mod samples;

use ptx::{Builder, Cmp, Module, Op, ParamRole, Sm, Space, Special, Type, parse, print};

#[track_caller]
fn check(module: &Module) {
    let text = print(module);
    let back = parse(&text);
    // Statement by statement first, for a message that can be read.
    for (before, after) in module.entries.iter().zip(back.iter().flat_map(|m| &m.entries)) {
        for (a, b) in before.body.iter().zip(&after.body) {
            assert_eq!(a, b, "in {}", before.name);
        }
    }
    assert_eq!(back.as_ref().map(print), Ok(text));
    assert_eq!(back, Ok(module.clone()));
}

#[test]
fn every_form() {
    for sm in [Sm::Sm75, Sm::Sm90a, Sm::Sm100a] {
        for op in Op::ALL {
            if let Some(entry) = samples::entry(*op, sm) {
                check(&Module::new(sm, vec![entry]));
            }
        }
    }
}

#[test]
fn everything_around_a_body() {
    let mut b = Builder::new("around");
    b.headline("MatMul_1 + Relu_2\n\n128 x 256, tile 64 x 64");
    let params = [
        b.pointer_param(ParamRole::Weights),
        b.scalar_param(Type::U32),
        b.tensor_map_param(ParamRole::Data),
        b.param(1, 1, ParamRole::Scalar),
        b.param(24, 4, ParamRole::Scalar),
    ];
    let _ = b.ld_param(Type::U64, params[0]);
    b.block([128, 2, 1]);
    b.min_ctas(2);
    b.max_registers(128);
    b.cluster([2, 1, 1]);
    let stack = b.local("stack", 32, 8);
    let table = b.constant("table", 4, vec![1, 2, 3, 255]);
    let tile = b.shared("tile", 512, 128);
    let dynamic = b.dynamic_shared(1024);
    for variable in [stack, tile, dynamic] {
        b.mov(Type::U32, variable);
    }
    let first = b.ld(Space::Const, Type::U32, table);
    b.comment("a remark");
    let lane = b.special(Special::Laneid);
    let p = b.setp(Cmp::Lt, Type::S32, lane, -5);
    b.if_else(p, |b| b.add(Type::S64, i64::MIN, i64::MAX), |b| b.mul(Type::F32, 1.5_f32, f32::NAN));
    b.guarded_not(p, |b| b.mov_to(Type::U32, first, u32::MAX));
    b.for_loop(Type::U32, 0_u32, 10_u32, 1_u32, |b, i| {
        b.mad(Type::F64, 0.5_f64, -0.0_f64, f64::from(3)).index + i.index
    });
    check(&Module::new(Sm::Sm90a, vec![b.finish(), Builder::new("empty").finish()]));
}

#[test]
fn what_is_not_ours_is_an_error() {
    let error = parse(".version 8.0\n.target sm_90a\n.address_size 32\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 3: `.address_size 32` is not `.address_size 64`; only text that `print` wrote can be read"
    );
    let text = ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry x()\n{\n    add.q32 %r0, %r0, %r0;\n}\n";
    assert_eq!(parse(text).unwrap_err().line, 6);
}

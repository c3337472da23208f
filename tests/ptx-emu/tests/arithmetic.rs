//! Meaning of arithmetic, logic and conversions: one word in, one word out per lane, results computed by hand.

mod kernel;

use kernel::{Kernel, WORDS};

/// Runs `instruction` with `%r1` loaded from the inputs and `%r2` as result.
fn unary(instruction: &str, inputs: &[u32]) -> Vec<u32> {
    let body = format!("{WORDS} ld.global.b32 %r1, [%rd0];\n{instruction}\nst.global.b32 [%rd1], %r2;");
    let threads = inputs.len() as u32;
    Kernel::new(&body).threads(threads).words(inputs).empty(inputs.len() * 4).out(1)
}

#[track_caller]
fn check(instruction: &str, cases: &[(u32, u32)]) {
    let inputs: Vec<u32> = cases.iter().map(|c| c.0).collect();
    let expected: Vec<u32> = cases.iter().map(|c| c.1).collect();
    let found = unary(instruction, &inputs);
    let hex = |v: &[u32]| v.iter().map(|w| format!("{w:#010x}")).collect::<Vec<_>>();
    assert_eq!(hex(&found), hex(&expected), "{instruction} on {:?}", hex(&inputs));
}

/// As `check`, on the bits of floats.
#[track_caller]
fn check_floats(instruction: &str, cases: &[(f32, f32)]) {
    let bits: Vec<(u32, u32)> = cases.iter().map(|(a, b)| (a.to_bits(), b.to_bits())).collect();
    check(instruction, &bits);
}

const NAN: u32 = 0x7fff_ffff;

#[test]
fn integers_wrap() {
    check("add.s32 %r2, %r1, 1;", &[(0x7fff_ffff, 0x8000_0000), (u32::MAX, 0)]);
    check("sub.u32 %r2, %r1, 1;", &[(0, u32::MAX)]);
    check("mul.lo.s32 %r2, %r1, %r1;", &[(0x10000, 0), (3, 9), (0xffff_fffd, 9)]);
    check("mul.hi.u32 %r2, %r1, 0x10000;", &[(0xffff_0000, 0xffff), (5, 0)]);
    check("mul.hi.s32 %r2, %r1, 0x10000;", &[(0xffff_0000, 0xffff_ffff)]);
    check("mad.lo.s32 %r2, %r1, 3, -1;", &[(5, 14), (0, u32::MAX)]);
    check("mad.hi.u32 %r2, %r1, 2, 7;", &[(0x8000_0000, 8)]);
    check("neg.s32 %r2, %r1;", &[(1, u32::MAX), (0x8000_0000, 0x8000_0000)]);
    check("abs.s32 %r2, %r1;", &[(0xffff_fffb, 5), (0x8000_0000, 0x8000_0000)]);
    check("sad.u32 %r2, %r1, 10, 100;", &[(3, 107), (13, 103)]);
}

#[test]
fn saturation() {
    check("add.sat.s32 %r2, %r1, 1;", &[(0x7fff_ffff, 0x7fff_ffff), (1, 2)]);
    check("sub.sat.s32 %r2, %r1, 1;", &[(0x8000_0000, 0x8000_0000)]);
}

#[test]
fn division() {
    check("div.u32 %r2, %r1, 7;", &[(100, 14), (u32::MAX, 613_566_756)]);
    check("div.s32 %r2, %r1, -7;", &[(100, (-14i32) as u32), ((-100i32) as u32, 14)]);
    check("rem.s32 %r2, %r1, 7;", &[((-100i32) as u32, (-2i32) as u32)]);
    check("mov.u32 %r3, 0; div.u32 %r2, %r1, %r3;", &[(5, u32::MAX)]);
    check("mov.u32 %r3, 0; rem.u32 %r2, %r1, %r3;", &[(5, u32::MAX)]);
    check("div.s32 %r2, %r1, -1;", &[(0x8000_0000, 0x8000_0000)]);
}

#[test]
fn shifts_clamp() {
    check("shl.b32 %r2, 1, %r1;", &[(0, 1), (31, 1 << 31), (32, 0), (u32::MAX, 0)]);
    check("shr.u32 %r2, 0x80000000, %r1;", &[(31, 1), (32, 0), (1000, 0)]);
    check("shr.s32 %r2, 0x80000000, %r1;", &[(31, u32::MAX), (32, u32::MAX), (1000, u32::MAX)]);
    check("shf.l.wrap.b32 %r2, 0x80000001, 0xf, %r1;", &[(0, 0xf), (4, 0xf8), (36, 0xf8)]);
    check("shf.l.clamp.b32 %r2, 0x80000001, 0xf, %r1;", &[(36, 0x8000_0001)]);
    check("shf.r.wrap.b32 %r2, 0x80000001, 0xf, %r1;", &[(4, 0xf800_0000), (33, 0xc000_0000)]);
    check("shf.r.clamp.b32 %r2, 0x80000001, 0xf, %r1;", &[(33, 0xf)]);
}

#[test]
fn bits() {
    check("and.b32 %r2, %r1, 0xff;", &[(0x1234, 0x34)]);
    check("or.b32 %r2, %r1, 0xf;", &[(0x1230, 0x123f)]);
    check("xor.b32 %r2, %r1, -1;", &[(0xf0f0_f0f0, 0x0f0f_0f0f)]);
    check("not.b32 %r2, %r1;", &[(0, u32::MAX)]);
    check("cnot.b32 %r2, %r1;", &[(0, 1), (7, 0)]);
    check("popc.b32 %r2, %r1;", &[(0xff, 8), (0, 0)]);
    check("clz.b32 %r2, %r1;", &[(0, 32), (1, 31), (0x8000_0000, 0)]);
    check("brev.b32 %r2, %r1;", &[(1, 1 << 31), (6, 0x6000_0000)]);
    check("bfind.u32 %r2, %r1;", &[(0, u32::MAX), (1, 0), (0x8000_0000, 31)]);
    check("bfind.s32 %r2, %r1;", &[(u32::MAX, u32::MAX), (0xffff_fff0, 3), (5, 2)]);
    check("bfind.shiftamt.u32 %r2, %r1;", &[(1, 31)]);
    check("bfe.u32 %r2, %r1, 4, 8;", &[(0xabcd_ef12, 0xf1)]);
    check("bfe.s32 %r2, %r1, 4, 8;", &[(0xabcd_ef12, 0xffff_fff1), (0x7f0, 0x7f)]);
    check("bfe.s32 %r2, %r1, 28, 8;", &[(0xa000_0000, 0xffff_fffa)]);
    check("bfi.b32 %r2, 0xff, %r1, 8, 4;", &[(0, 0xf00), (u32::MAX, u32::MAX)]);
    check(
        "lop3.b32 %r2, %r1, 0xff00, 0xf0f0, 0xe8;",
        &[(0x0ff0, 0xfff0 & (0xff00 & 0x0ff0 | 0xff00 & 0xf0f0 | 0x0ff0 & 0xf0f0))],
    );
    check("lop3.b32 %r2, %r1, 0x0f0f, 0x3333, 0x96;", &[(0x5555, 0x5555 ^ 0x0f0f ^ 0x3333)]);
    check("prmt.b32 %r2, %r1, 0x77665544, 0x7610;", &[(0x3322_1100, 0x7766_1100)]);
    check("prmt.b32 %r2, %r1, 0, 0x8880;", &[(0x80, 0xffff_ff80), (0x7f, 0x7f)]);
    check("bmsk.clamp.b32 %r2, %r1, 4;", &[(3, 0x78), (30, 0xc000_0000)]);
    check("dp4a.s32.s32 %r2, %r1, 0x01020304, 10;", &[(0xff01_0203, (10 - 1 + 2 + 6 + 12) as u32)]);
    check("dp4a.u32.u32 %r2, %r1, 0x01020304, 10;", &[(0xff01_0203, 10 + 255 + 2 + 6 + 12)]);
}

#[test]
fn wide_and_64_bits() {
    check("mul.wide.u32 %rd2, %r1, %r1; shr.u64 %rd2, %rd2, 32; cvt.u32.u64 %r2, %rd2;", &[(u32::MAX, 0xffff_fffe)]);
    check("mul.wide.s32 %rd2, %r1, 4; shr.u64 %rd2, %rd2, 32; cvt.u32.u64 %r2, %rd2;", &[(u32::MAX, u32::MAX)]);
    check("mad.wide.u32 %rd2, %r1, 16, 1; cvt.u32.u64 %r2, %rd2;", &[(3, 49)]);
    check("mov.b64 %rd2, {%r1, 7}; mov.b64 {_, %r2}, %rd2;", &[(3, 7)]);
    check("mov.b64 %rd2, {%r1, 7}; add.u64 %rd2, %rd2, 0x100000001; mov.b64 {%r2, _}, %rd2;", &[(u32::MAX, 0)]);
    check("cvt.u64.u32 %rd2, %r1; div.u64 %rd2, %rd2, 10; cvt.u32.u64 %r2, %rd2;", &[(1234, 123)]);
}

#[test]
fn selection() {
    check("setp.lt.s32 %p1, %r1, 0; selp.b32 %r2, 1, 2, %p1;", &[(u32::MAX, 1), (0, 2)]);
    check("setp.lo.u32 %p1, %r1, 5; selp.b32 %r2, 1, 2, %p1;", &[(u32::MAX, 2), (4, 1)]);
    check("setp.gt.s32 %p1|%p2, %r1, 3; selp.b32 %r2, 1, 2, %p2;", &[(4, 2), (3, 1)]);
    check(
        "setp.eq.s32 %p1, %r1, 3; setp.ne.or.s32 %p2, %r1, 4, %p1; selp.b32 %r2, 1, 0, %p2;",
        &[(3, 1), (4, 0), (5, 1)],
    );
    check("setp.eq.s32 %p1, %r1, 3; @!%p1 mov.u32 %r2, 9; @%p1 mov.u32 %r2, 8;", &[(3, 8), (4, 9)]);
    check("set.lt.u32.s32 %r2, %r1, 0;", &[(u32::MAX, u32::MAX), (1, 0)]);
    check("slct.s32.s32 %r2, 1, 2, %r1;", &[(u32::MAX, 2), (0, 1)]);
    check(
        "setp.ne.s32 %p1, %r1, 0; setp.gt.s32 %p2, %r1, 5; and.pred %p3, %p1, !%p2; selp.u32 %r2, 1, 0, %p3;",
        &[(0, 0), (3, 1), (6, 0)],
    );
}

#[test]
fn floats_round_as_ieee() {
    check_floats("add.f32 %r2, %r1, 0f3F800000;", &[(1.0, 2.0), (1e-9, 1.0), (f32::INFINITY, f32::INFINITY)]);
    check_floats("mul.rn.f32 %r2, %r1, %r1;", &[(3.0, 9.0), (1.1, 1.1 * 1.1)]);
    let fused = 1.1f32.mul_add(1.1, -1.21);
    check_floats("fma.rn.f32 %r2, %r1, %r1, 0fBF9AE148;", &[(1.1, fused)]);
    check_floats("div.rn.f32 %r2, %r1, 0f40400000;", &[(1.0, 1.0 / 3.0)]);
    check_floats("sqrt.rn.f32 %r2, %r1;", &[(2.0, 2f32.sqrt()), (-0.0, -0.0)]);
    check("sqrt.rn.f32 %r2, %r1;", &[((-1f32).to_bits(), NAN)]);
    check("add.f32 %r2, %r1, %r1;", &[(0xffc0_1234, NAN)]);
    check("add.rz.f32 %r2, %r1, 0f3F800000;", &[(1e-9f32.to_bits(), 0x3f80_0000)]);
    check("add.rp.f32 %r2, %r1, 0f3F800000;", &[(1e-9f32.to_bits(), 0x3f80_0001)]);
    check("add.rm.f32 %r2, %r1, 0f3F800000;", &[((-1e-9f32).to_bits(), 0x3f7f_ffff)]);
    check("mul.ftz.f32 %r2, %r1, 0f3F800000;", &[(1, 0), (0x8000_0001, 0x8000_0000)]);
    check("mul.f32 %r2, %r1, 0f3F800000;", &[(1, 1)]);
    check_floats("add.sat.f32 %r2, %r1, 0f3F000000;", &[(3.0, 1.0), (-3.0, 0.0), (f32::NAN, 0.0)]);
}

#[test]
fn doubles_round_as_asked() {
    let third = |form: &str| {
        let body = format!("cvt.f64.f32 %fd1, %r1; mov.f64 %fd2, 0d3FF0000000000000; {form} mov.b64 {{%r2, _}}, %fd3;");
        unary(&body, &[3f32.to_bits()])[0]
    };
    let near = (1f64 / 3.0).to_bits() as u32;
    assert_eq!(third("div.rn.f64 %fd3, %fd2, %fd1;"), near);
    assert_eq!(third("div.rz.f64 %fd3, %fd2, %fd1;"), near);
    assert_eq!(third("div.rp.f64 %fd3, %fd2, %fd1;"), near + 1);
    assert_eq!(third("mov.f64 %fd4, 0d3B00000000000000; add.rp.f64 %fd3, %fd2, %fd4;"), 1);
    assert_eq!(third("mov.f64 %fd4, 0d3B00000000000000; sub.rz.f64 %fd3, %fd2, %fd4;"), u32::MAX);
    assert_eq!(third("mov.f64 %fd4, 0dBB00000000000000; fma.rm.f64 %fd3, %fd2, %fd2, %fd4;"), u32::MAX);
    assert_eq!(third("mov.u64 %rd3, 9007199254740993; cvt.rp.f64.u64 %fd3, %rd3;"), 1);
    assert_eq!(third("mov.u64 %rd3, 9007199254740993; cvt.rn.f64.u64 %fd3, %rd3;"), 0);
}

#[test]
fn extrema_and_nan() {
    check("min.f32 %r2, %r1, 0f3F800000;", &[(NAN, 0x3f80_0000), (0, 0)]);
    check("max.f32 %r2, %r1, 0f80000000;", &[(0, 0), (0x8000_0000, 0x8000_0000)]);
    check("max.NaN.f32 %r2, %r1, 0f3F800000;", &[(0x7fc0_0000, NAN)]);
    check("setp.lt.f32 %p1, %r1, 0f3F800000; selp.u32 %r2, 1, 0, %p1;", &[(NAN, 0), (0, 1)]);
    check("setp.ltu.f32 %p1, %r1, 0f3F800000; selp.u32 %r2, 1, 0, %p1;", &[(NAN, 1)]);
    check("setp.nan.f32 %p1, %r1, %r1; selp.u32 %r2, 1, 0, %p1;", &[(NAN, 1), (0, 0)]);
    check("testp.infinite.f32 %p1, %r1; selp.u32 %r2, 1, 0, %p1;", &[(0x7f80_0000, 1), (0, 0)]);
    check("neg.f32 %r2, %r1;", &[(0, 1 << 31)]);
    check("copysign.f32 %r2, 0f80000000, %r1;", &[(0x3f80_0000, 0xbf80_0000)]);
}

#[test]
fn conversions() {
    check(
        "cvt.rzi.s32.f32 %r2, %r1;",
        &[(2.9f32.to_bits(), 2), ((-2.9f32).to_bits(), (-2i32) as u32), (NAN, 0), (1e30f32.to_bits(), 0x7fff_ffff)],
    );
    check("cvt.rni.s32.f32 %r2, %r1;", &[(2.5f32.to_bits(), 2), (3.5f32.to_bits(), 4)]);
    check("cvt.rmi.s32.f32 %r2, %r1;", &[((-2.1f32).to_bits(), (-3i32) as u32)]);
    check("cvt.rzi.u32.f32 %r2, %r1;", &[((-1f32).to_bits(), 0), (1e30f32.to_bits(), u32::MAX)]);
    check("cvt.rn.f32.s32 %r2, %r1;", &[(16_777_217, 16_777_216f32.to_bits()), (u32::MAX, (-1f32).to_bits())]);
    check("cvt.rpi.f32.f32 %r2, %r1;", &[(1.2f32.to_bits(), 2f32.to_bits())]);
    check("cvt.sat.s8.s32 %r2, %r1;", &[(300, 127), ((-300i32) as u32, (-128i32) as u32)]);
    check("cvt.s32.s8 %r2, %r1;", &[(0x80, 0xffff_ff80), (0x17f, 0x7f)]);
    check("cvt.u32.u16 %r2, %h1;".replace("%h1", "%r1").as_str(), &[(0x1_2345, 0x2345)]);
    check(
        "cvt.rn.f16.f32 %h1, %r1; mov.b32 %r2, {%h1, 0};",
        &[(1f32.to_bits(), 0x3c00), (65520f32.to_bits(), 0x7c00), (1e-8f32.to_bits(), 0)],
    );
    check("cvt.rn.bf16.f32 %h1, %r1; mov.b32 %r2, {%h1, 0};", &[(0x3f80_8000, 0x3f80), (0x3f81_8000, 0x3f82)]);
    check("mov.b32 {%h1, _}, %r1; cvt.f32.f16 %r2, %h1;", &[(0x3c00, 1f32.to_bits()), (1, 2f32.powi(-24).to_bits())]);
    check("cvt.rn.f16x2.f32 %r2, 0f40000000, %r1;", &[(1f32.to_bits(), 0x4000_3c00)]);
    check("cvt.rna.tf32.f32 %r2, %r1;", &[(0x3f80_1000, 0x3f80_2000), (0x3f80_0fff, 0x3f80_0000)]);
    check("cvt.rn.satfinite.e4m3x2.f32 %h1, 0f44000000, %r1; mov.b32 %r2, {%h1, 0};", &[(1f32.to_bits(), 0x7e38)]);
    check("mov.b32 {%h1, _}, %r1; cvt.rn.f16x2.e4m3x2 %r2, %h1;", &[(0x7e38, 0x5f00_3c00)]);
    check(
        "cvt.f64.f32 %fd1, %r1; add.f64 %fd1, %fd1, 0d3FF0000000000000; cvt.rn.f32.f64 %r2, %fd1;",
        &[(1f32.to_bits(), 2f32.to_bits())],
    );
    check(
        "cvt.relu.rn.f16.f32"
            .replace("relu.rn", "rn.relu")
            .as_str()
            .to_owned()
            .as_str()
            .replace("f32", "f32 %h1, %r1; mov.b32 %r2, {%h1, 0};")
            .as_str(),
        &[((-1f32).to_bits(), 0), (1f32.to_bits(), 0x3c00)],
    );
}

#[test]
fn halves() {
    check("add.f16x2 %r2, %r1, %r1;", &[(0x3c00_4000, 0x4000_4400)]);
    check("fma.rn.f16x2 %r2, %r1, %r1, %r1;", &[(0x3c00_4000, 0x4000_4600)]);
    check("mul.bf16x2 %r2, %r1, %r1;", &[(0x3f80_4000, 0x3f80_4080)]);
    check("mov.b32 %r3, 0; max.f16x2 %r2, %r1, %r3;", &[(0xbc00_3c00, 0x0000_3c00)]);
    check("mov.b32 {%h1, %h2}, %r1; sub.f16 %h3, %h1, %h2; mov.b32 %r2, {%h3, 0};", &[(0x3c00_4000, 0x3c00)]);
    check("fma.rn.relu.bf16x2 %r2, %r1, %r1, %r1;", &[(0xbf80_bf80, 0)]);
}

#[test]
fn approximations_stay_near() {
    let near = |instruction: &str, f: fn(f64) -> f64, bound: f64| {
        let inputs: Vec<f32> = (1..257).map(|k| k as f32 * 0.0371).collect();
        let bits: Vec<u32> = inputs.iter().map(|x| x.to_bits()).collect();
        for (x, found) in inputs.iter().zip(unary(instruction, &bits)) {
            let (exact, found) = (f(f64::from(*x)), f64::from(f32::from_bits(found)));
            assert!((found - exact).abs() <= bound * exact.abs().max(1e-3), "{instruction}: {x}: {found} for {exact}");
        }
    };
    near("ex2.approx.ftz.f32 %r2, %r1;", f64::exp2, 2.4e-7);
    near("rcp.approx.ftz.f32 %r2, %r1;", f64::recip, 1.2e-7);
    near("sqrt.approx.f32 %r2, %r1;", f64::sqrt, 1.2e-7);
    near("rsqrt.approx.f32 %r2, %r1;", |x| x.sqrt().recip(), 1.3e-7);
    near("tanh.approx.f32 %r2, %r1;", f64::tanh, 4.9e-4);
    near("sin.approx.f32 %r2, %r1;", f64::sin, 1e-1);
    check_floats("ex2.approx.f32 %r2, %r1;", &[(0.0, 1.0), (f32::NEG_INFINITY, 0.0)]);
    check_floats("rcp.approx.f32 %r2, %r1;", &[(0.0, f32::INFINITY)]);
}

#[test]
fn special_registers() {
    check("mov.u32 %r2, %laneid;", &[(0, 0), (0, 1), (0, 2)]);
    check("mov.u32 %r2, %ntid.x;", &[(0, 2), (0, 2)]);
    check("mov.u32 %r2, %lanemask_lt;", &[(0, 0), (0, 1), (0, 3), (0, 7)]);
    check("mov.u32 %r2, %nctaid.y;", &[(0, 1)]);
}

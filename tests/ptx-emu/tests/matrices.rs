//! Meaning of ldmatrix, stmatrix, movmatrix and mma.sync, by the layouts of the PTX manual written out.

#![allow(clippy::unwrap_used, reason = "only tests are here")]

mod kernel;

use kernel::{Kernel, WORDS};

/// A 16 × 16 matrix of 16-bit words in shared memory, element (r, c) = 16 r + c; the body leaves its result in `%r8`.
fn from_tile(body: &str) -> Vec<u32> {
    let globals = ".shared .align 16 .b8 tile[512];";
    let start = "mov.u32 %r1, tile;\nmov.u32 %r2, 0;\nFILL: shl.b32 %r3, %r2, 5;\nadd.u32 %r3, %r3, %r0;\nshl.b32 %r4, %r3, 1;\nadd.u32 %r4, %r4, %r1;\ncvt.u16.u32 %h1, %r3;\nst.shared.u16 [%r4], %h1;\nadd.u32 %r2, %r2, 1;\nsetp.lt.u32 %p1, %r2, 8;\n@%p1 bra FILL;\nbar.warp.sync -1;\nand.b32 %r5, %r0, 15;\nshl.b32 %r5, %r5, 5;\nadd.u32 %r5, %r5, %r1;\nshr.u32 %r6, %r0, 4;\nshl.b32 %r6, %r6, 4;\nadd.u32 %r5, %r5, %r6;";
    Kernel::with_globals(globals, &format!("{WORDS}{start}\n{body}\nst.global.u32 [%rd1], %r8;"))
        .words(&[0; 32])
        .empty(128)
        .out(1)
}

fn pairs(f: impl Fn(u32, u32) -> [u32; 2]) -> Vec<u32> {
    (0..32).map(|l| f(l / 4, l % 4)).map(|[low, high]| low | high << 16).collect()
}

#[test]
fn ldmatrix() {
    let at = |r: u32, c: u32| 16 * r + c;
    let one = |which: &str| {
        format!("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{%r10, %r11, %r12, %r13}}, [%r5];\nmov.u32 %r8, {which};")
    };
    assert_eq!(from_tile(&one("%r10")), pairs(|g, t| [at(g, 2 * t), at(g, 2 * t + 1)]));
    assert_eq!(from_tile(&one("%r11")), pairs(|g, t| [at(g + 8, 2 * t), at(g + 8, 2 * t + 1)]));
    assert_eq!(from_tile(&one("%r12")), pairs(|g, t| [at(g, 2 * t + 8), at(g, 2 * t + 9)]));
    let transposed = "ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%r8}, [%r5];";
    assert_eq!(from_tile(transposed), pairs(|g, t| [at(2 * t, g), at(2 * t + 1, g)]));
    let moved = "ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r9, %r10}, [%r5];\nmovmatrix.sync.aligned.m8n8.trans.b16 %r8, %r10;";
    assert_eq!(from_tile(moved), pairs(|g, t| [at(2 * t + 8, g), at(2 * t + 9, g)]));
}

#[test]
fn stmatrix() {
    // Written transposed, read back as it lies.
    let body = "ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r10, %r11}, [%r5];\nbar.warp.sync -1;\nstmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%r5], {%r10, %r11};\nbar.warp.sync -1;\nldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r10, %r8}, [%r5];";
    assert_eq!(from_tile(body), pairs(|g, t| [16 * (2 * t + 8) + g, 16 * (2 * t + 9) + g]));
}

type Place = (usize, usize);

/// One shape: where each element of each operand lies, by register and part, from group and thread in group.
struct Shape {
    form: &'static str,
    size: [usize; 3],
    /// Elements in a register.
    per: usize,
    bits: u32,
    a: fn(usize, usize, usize, usize) -> Place,
    b: fn(usize, usize, usize, usize) -> Place,
}

/// Small values that every type holds.
fn value(r: usize, c: usize, salt: usize) -> i64 {
    ((r * 7 + c * 3 + salt) % 7) as i64 - 3
}

fn encode(form: &str, v: i64) -> u64 {
    let x = v as f32;
    if form.contains("f64") {
        return (v as f64).to_bits();
    }
    if form.contains("tf32") {
        return u64::from(x.to_bits());
    }
    if form.contains("bf16") {
        return u64::from(x.to_bits() >> 16);
    }
    if form.contains(".s8") {
        return v as u8 as u64;
    }
    // f16: small integers are exact.
    let magnitude = [0u64, 0x3c00, 0x4000, 0x4200][v.unsigned_abs() as usize];
    magnitude | u64::from(v < 0) << 15
}

fn check(shape: &Shape) {
    let [m, n, k] = shape.size;
    let fragment = |elements: usize, place: &dyn Fn(usize, usize, usize, usize) -> Place, salt: usize| -> Vec<u64> {
        let registers = elements / 32 / shape.per;
        let mut out = Vec::new();
        for register in 0..registers {
            for lane in 0..32 {
                let part = |j: usize| {
                    let (r, c) = place(lane / 4, lane % 4, register, j);
                    encode(shape.form, value(r, c, salt)) << (j as u32 * shape.bits)
                };
                out.push((0..shape.per).fold(0, |v, j| v | part(j)));
            }
        }
        out
    };
    let wide = shape.form.contains("f64");
    let (a, b) = (fragment(m * k, &shape.a, 0), fragment(n * k, &shape.b, 5));
    let (ra, rb, rc) = (a.len() / 32, b.len() / 32, m * n / 32);
    let (load, bytes, reg) = if wide { ("f64", 8, "%fd") } else { ("b32", 4, "%r1") };
    let list =
        |from: usize, count: usize| (from..from + count).map(|k| format!("{reg}{k}")).collect::<Vec<_>>().join(", ");
    let mut body = String::from(
        "mov.u32 %r0, %tid.x;\nld.param.u64 %rd1, [p0];\nld.param.u64 %rd2, [p1];\nld.param.u64 %rd3, [p2];\n",
    );
    body += &format!(
        "mul.wide.u32 %rd4, %r0, {bytes};\nadd.s64 %rd1, %rd1, %rd4;\nadd.s64 %rd2, %rd2, %rd4;\nadd.s64 %rd3, %rd3, %rd4;\n"
    );
    for k in 0..ra {
        body += &format!("ld.global.{load} {reg}{k}, [%rd1+{}];\n", k * 32 * bytes);
    }
    for k in 0..rb {
        body += &format!("ld.global.{load} {reg}{}, [%rd2+{}];\n", ra + k, k * 32 * bytes);
    }
    let c = ra + rb;
    let floats = !wide && !shape.form.contains("s32");
    for k in 0..rc {
        let one = if wide {
            "0d3FF0000000000000"
        } else if floats {
            "0f3F800000"
        } else {
            "1"
        };
        body += &format!("mov.{load} {reg}{}, {one};\n", c + k);
    }
    // The accumulators of a float form are f32 registers.
    let (acc, into) = if floats { ("%f", "f32") } else { (reg, load) };
    let list_acc = (c..c + rc).map(|k| format!("{acc}{k}")).collect::<Vec<_>>().join(", ");
    if floats {
        for k in c..c + rc {
            body += &format!("mov.b32 %f{k}, {reg}{k};\n");
        }
    }
    body += &format!(
        "mma.sync.aligned.m{m}n{n}k{k}.row.col.{} {{{list_acc}}}, {{{}}}, {{{}}}, {{{list_acc}}};\n",
        shape.form,
        list(0, ra),
        list(ra, rb)
    );
    for k in 0..rc {
        body += &format!("st.global.{into} [%rd3+{}], {acc}{};\n", k * 32 * bytes, c + k);
    }
    let pack = |v: &[u64]| -> Vec<u8> { v.iter().flat_map(|w| w.to_le_bytes()[..bytes].to_vec()).collect() };
    let out = &Kernel::new(&body).buffer(pack(&a)).buffer(pack(&b)).empty(rc * 32 * bytes).run()[2];
    for register in 0..rc {
        for lane in 0..32 {
            let (r, c) = (lane / 4 + 8 * (register / 2), 2 * (lane % 4) + register % 2);
            let expected = 1 + (0..k).map(|i| value(r, i, 0) * value(i, c, 5)).sum::<i64>();
            let at = (register * 32 + lane) * bytes;
            let found = match (wide, floats) {
                (true, _) => f64::from_le_bytes(out[at..at + 8].try_into().unwrap()) as i64,
                (false, true) => f32::from_le_bytes(out[at..at + 4].try_into().unwrap()) as i64,
                (false, false) => i64::from(i32::from_le_bytes(out[at..at + 4].try_into().unwrap())),
            };
            assert_eq!(found, expected, "{} m{m}n{n}k{k} D({r}, {c})", shape.form);
        }
    }
}

#[test]
fn mma_of_16_bits() {
    for form in ["f32.f16.f16.f32", "f32.bf16.bf16.f32"] {
        check(&Shape {
            form,
            size: [16, 8, 16],
            per: 2,
            bits: 16,
            a: |g, t, i, j| [(g, 2 * t + j), (g + 8, 2 * t + j), (g, 2 * t + 8 + j), (g + 8, 2 * t + 8 + j)][i],
            b: |g, t, i, j| [(2 * t + j, g), (2 * t + 8 + j, g)][i],
        });
        check(&Shape {
            form,
            size: [16, 8, 8],
            per: 2,
            bits: 16,
            a: |g, t, i, j| [(g, 2 * t + j), (g + 8, 2 * t + j)][i],
            b: |g, t, _, j| (2 * t + j, g),
        });
    }
}

#[test]
fn mma_of_tf32() {
    check(&Shape {
        form: "f32.tf32.tf32.f32",
        size: [16, 8, 8],
        per: 1,
        bits: 32,
        a: |g, t, i, _| [(g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)][i],
        b: |g, t, i, _| [(t, g), (t + 4, g)][i],
    });
    check(&Shape {
        form: "f32.tf32.tf32.f32",
        size: [16, 8, 4],
        per: 1,
        bits: 32,
        a: |g, t, i, _| [(g, t), (g + 8, t)][i],
        b: |g, t, _, _| (t, g),
    });
}

#[test]
fn mma_of_bytes() {
    check(&Shape {
        form: "s32.s8.s8.s32",
        size: [16, 8, 32],
        per: 4,
        bits: 8,
        a: |g, t, i, j| [(g, 4 * t + j), (g + 8, 4 * t + j), (g, 4 * t + 16 + j), (g + 8, 4 * t + 16 + j)][i],
        b: |g, t, i, j| [(4 * t + j, g), (4 * t + 16 + j, g)][i],
    });
    check(&Shape {
        form: "s32.s8.s8.s32",
        size: [16, 8, 16],
        per: 4,
        bits: 8,
        a: |g, t, i, j| [(g, 4 * t + j), (g + 8, 4 * t + j)][i],
        b: |g, t, _, j| (4 * t + j, g),
    });
    check(&Shape {
        form: "s32.s8.s8.s32",
        size: [8, 8, 16],
        per: 4,
        bits: 8,
        a: |g, t, _, j| (g, 4 * t + j),
        b: |g, t, _, j| (4 * t + j, g),
    });
}

#[test]
fn mma_of_f64() {
    check(&Shape {
        form: "f64.f64.f64.f64",
        size: [8, 8, 4],
        per: 1,
        bits: 64,
        a: |g, t, _, _| (g, t),
        b: |g, t, _, _| (t, g),
    });
    check(&Shape {
        form: "f64.f64.f64.f64",
        size: [16, 8, 8],
        per: 1,
        bits: 64,
        a: |g, t, i, _| (g + 8 * (i % 2), t + 4 * (i / 2)),
        b: |g, t, i, _| (t + 4 * i, g),
    });
}

#[test]
fn mma_saturates_and_halves_round() {
    let body = |form: &str, c: &str| {
        format!(
            "{WORDS} mov.b32 %r1, 0x7f7f7f7f;\nmov.b32 %r2, {c};\nmma.sync.aligned.m8n8k16.row.col{form}.s32.s8.s8.s32 {{%r3, %r4}}, {{%r1}}, {{%r1}}, {{%r2, %r2}};\nst.global.b32 [%rd1], %r3;"
        )
    };
    let run = |form: &str, c: &str| Kernel::new(&body(form, c)).words(&[0; 32]).empty(128).out(1)[0];
    assert_eq!(run("", "5"), 16 * 127 * 127 + 5);
    assert_eq!(run(".satfinite", "0x7fffffff"), 0x7fff_ffff);
    assert_eq!(run("", "0x7fffffff"), 0x7fff_ffffu32.wrapping_add(16 * 127 * 127));
    // f16 accumulators hold two elements each.
    let half = format!(
        "{WORDS} mov.b32 %r1, 0x3c003c00;\nmov.b32 %r2, 0x40003c00;\nmma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {{%r3, %r4}}, {{%r1, %r1}}, {{%r1}}, {{%r2, %r2}};\nst.global.b32 [%rd1], %r3;"
    );
    assert_eq!(Kernel::new(&half).words(&[0; 32]).empty(128).out(1), [0x4900_4880; 32]);
}

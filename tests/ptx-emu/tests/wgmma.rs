//! wgmma: meaning for each layout of its operands, and what is reported when order is missing.

mod kernel;

use kernel::Kernel;
use ptx_emu::{Element, FaultKind, Swizzle, TensorMap};

fn value(r: usize, c: usize, salt: usize) -> i64 {
    ((r * 5 + c * 3 + salt) % 7) as i64 - 3
}

/// Small integers as f16.
fn half(v: i64) -> u16 {
    [0u16, 0x3c00, 0x4000, 0x4200][v.unsigned_abs() as usize] | u16::from(v < 0) << 15
}

fn halves(rows: usize, columns: usize, salt: usize) -> Vec<u8> {
    (0..rows * columns).flat_map(|k| half(value(k / columns, k % columns, salt)).to_le_bytes()).collect()
}

fn descriptor(register: &str, from: &str, leading: u64, stride: u64, swizzle: u64) -> String {
    let rest = (leading >> 4) << 16 | (stride >> 4) << 32 | swizzle << 62;
    format!("shr.u32 %r20, {from}, 4;\ncvt.u64.u32 {register}, %r20;\nor.b64 {register}, {register}, {:#x};\n", rest)
}

const ACC: &str = "{%f0, %f1, %f2, %f3}";
const ZERO: &str =
    "mov.f32 %f0, 0f00000000;\nmov.f32 %f1, 0f00000000;\nmov.f32 %f2, 0f00000000;\nmov.f32 %f3, 0f00000000;\n";
const STORE: &str = "st.global.v4.f32 [%rd3], {%f0, %f1, %f2, %f3};";

/// 128 threads; A (64 × 16) and B (8 × 16) of f16 are copied as they are given, by generic stores, to `tile` and `tile + 4096`.
fn generic(a: Vec<u8>, b: Vec<u8>, fence: &str, body: &str) -> Kernel {
    let copy = "mov.u32 %r2, %r0;\nCOPY:\nmul.wide.u32 %rd4, %r2, 4;\nadd.s64 %rd5, %rd0, %rd4;\nld.global.u32 %r3, [%rd5];\nshl.b32 %r4, %r2, 2;\nadd.u32 %r4, %r4, %r1;\nst.shared.u32 [%r4], %r3;\nadd.u32 %r2, %r2, 128;\nsetp.lt.u32 %p1, %r2, 1152;\n@%p1 bra COPY;\n";
    let start = "mov.u32 %r0, %tid.x;\nmov.u32 %r1, tile;\nld.param.u64 %rd0, [p0];\nld.param.u64 %rd3, [p1];\nmul.wide.u32 %rd4, %r0, 16;\nadd.s64 %rd3, %rd3, %rd4;\nadd.u32 %r6, %r1, 4096;\nsetp.eq.u32 %p2, %r0, 5000;\n";
    let mut both = a;
    both.resize(4096, 0);
    both.extend(b);
    both.resize(4608, 0);
    Kernel::with_globals(
        ".shared .align 1024 .b8 tile[4608];",
        &format!("{start}{copy}{fence}\nbar.sync 0;\n{ZERO}{body}\n{STORE}"),
    )
    .threads(128)
    .buffer(both)
    .empty(128 * 16)
}

/// D (64 × 8) against the product.
#[track_caller]
fn check(kernel: &Kernel, k: usize, times: f32) {
    let out = kernel.out_floats(1);
    for thread in 0..128 {
        let (warp, g, t) = (thread / 32, thread % 32 / 4, thread % 4);
        for i in 0..4 {
            let (r, c) = (16 * warp + g + 8 * (i / 2), 2 * t + i % 2);
            let expected: i64 = (0..k).map(|j| value(r, j, 0) * value(c, j, 5)).sum();
            assert_eq!(out[thread * 4 + i], expected as f32 * times, "D({r}, {c})");
        }
    }
}

/// Without a swizzle: core matrices of 8 rows × 16 bytes, one after another, along K first.
fn cores(rows: usize, matrix: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for group in 0..rows / 8 {
        for chunk in 0..2 {
            for r in 0..8 {
                let at = (group * 8 + r) * 32 + chunk * 16;
                out.extend_from_slice(&matrix[at..at + 16]);
            }
        }
    }
    out
}

fn plain(fence: &str, body: &str) -> Kernel {
    let (a, b) = (cores(64, &halves(64, 16, 0)), cores(8, &halves(8, 16, 5)));
    let descriptors = descriptor("%rd1", "%r1", 128, 256, 0) + &descriptor("%rd2", "%r6", 128, 256, 0);
    generic(a, b, fence, &format!("{descriptors}{body}"))
}

fn product(scale: &str) -> String {
    format!("wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {ACC}, %rd1, %rd2, {scale}, 1, 1, 0, 0;\n")
}

const PROXY: &str = "fence.proxy.async.shared::cta;";
const FENCE: &str = "wgmma.fence.sync.aligned;\n";
const WAIT: &str = "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n";

#[test]
fn core_matrices() {
    check(&plain(PROXY, &format!("{FENCE}{}{WAIT}", product("%p2"))), 16, 1.0);
    // Twice in a row into the same accumulators needs no second fence.
    check(&plain(PROXY, &format!("{FENCE}{}{}{WAIT}", product("%p2"), product("1"))), 16, 2.0);
}

#[test]
fn what_is_missing_is_reported() {
    let one = product("1");
    plain("", &format!("{FENCE}{one}{WAIT}")).faults(FaultKind::MissingFence, "wgmma.mma_async");
    plain(PROXY, &format!("{one}{WAIT}")).faults(FaultKind::MissingFence, "wgmma.mma_async");
    plain(PROXY, &format!("{FENCE}mov.f32 %f0, 0f3F800000;\n{one}{WAIT}"))
        .faults(FaultKind::MissingFence, "wgmma.mma_async");
    plain(PROXY, &format!("{FENCE}{one}")).faults(FaultKind::MissingWait, "st.global.v4.f32");
    plain(PROXY, &format!("{FENCE}{one}wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 1;\n"))
        .faults(FaultKind::MissingWait, "st.global.v4.f32");
    plain(PROXY, &format!("{FENCE}{one}mov.f32 %f0, 0f3F800000;\n{WAIT}"))
        .faults(FaultKind::MissingWait, "wgmma.mma_async");
    plain(PROXY, &format!("{FENCE}{one}bar.sync 0;\nst.shared.u32 [%r1], 0;\n{WAIT}"))
        .faults(FaultKind::MissingWait, "st.shared.u32 [%r1], 0;");
    plain(PROXY, &format!("add.s64 %rd2, %rd2, 0x1000;\n{FENCE}{one}{WAIT}"))
        .faults(FaultKind::OutOfBounds, "wgmma.mma_async");
    let part = "setp.lt.u32 %p3, %r0, 16;\n@%p3 bra SKIP;\n";
    plain(PROXY, &format!("{part}{FENCE}SKIP:\n{one}{WAIT}")).faults(FaultKind::Collective, "wgmma.fence");
}

#[test]
fn operand_in_registers() {
    // The fragments of A, loaded by ldmatrix-like addressing from a dense copy.
    let load = "and.b32 %r7, %r0, 31;\nshr.u32 %r8, %r0, 5;\nshr.u32 %r9, %r7, 2;\nmad.lo.u32 %r9, %r8, 16, %r9;\nand.b32 %r10, %r7, 3;\nshl.b32 %r9, %r9, 5;\nshl.b32 %r10, %r10, 2;\nadd.u32 %r9, %r9, %r10;\nadd.u32 %r9, %r9, %r1;\nld.shared.b32 %r11, [%r9];\nld.shared.b32 %r12, [%r9+256];\nld.shared.b32 %r13, [%r9+16];\nld.shared.b32 %r14, [%r9+272];\n";
    let descriptors = descriptor("%rd2", "%r6", 128, 256, 0);
    let body = |change: &str| {
        format!(
            "{load}{descriptors}{FENCE}wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {ACC}, {{%r11, %r12, %r13, %r14}}, %rd2, %p2, 1, -1, 0;\n{change}{WAIT}"
        )
    };
    let kernel = |change: &str| generic(halves(64, 16, 0), cores(8, &halves(8, 16, 5)), PROXY, &body(change));
    check(&kernel(""), 16, -1.0);
    kernel("mov.b32 %r11, 0;\n").faults(FaultKind::MissingWait, "wgmma.mma_async");
}

#[test]
fn transposed_operands() {
    // MN-major without a swizzle: core matrices of 8 columns of K × 8 rows.
    let turned = |rows: usize, salt: usize| {
        let mut out = Vec::new();
        for group in 0..rows / 8 {
            for k8 in 0..2 {
                for k in 0..8 {
                    out.extend((0..8).flat_map(|r| half(value(group * 8 + r, k8 * 8 + k, salt)).to_le_bytes()));
                }
            }
        }
        out
    };
    let descriptors = descriptor("%rd1", "%r1", 128, 256, 0) + &descriptor("%rd2", "%r6", 128, 256, 0);
    let product = product("%p2").replace("1, 1, 0, 0;", "1, 1, 1, 1;");
    check(&generic(turned(64, 0), turned(8, 5), PROXY, &format!("{descriptors}{FENCE}{product}{WAIT}")), 16, 1.0);
}

/// A and B of K = 64 come by TMA with a swizzle; four products step through the atom.
#[test]
fn swizzled_tiles_from_tensor_maps() {
    let map = TensorMap::tiled(Element::F16, 0, &[64, 72], &[64, 72], Swizzle::B128);
    let mut both = halves(64, 64, 0);
    both.extend(halves(8, 64, 5));
    let mut body = String::from(
        "mov.u32 %r0, %tid.x;\nmov.u32 %r1, tile;\nmov.u32 %r5, bar;\nld.param.u64 %rd3, [p1];\nmul.wide.u32 %rd4, %r0, 16;\nadd.s64 %rd3, %rd3, %rd4;\nsetp.eq.u32 %p1, %r0, 0;\nsetp.eq.u32 %p2, %r0, 5000;\n@%p1 mbarrier.init.shared::cta.b64 [%r5], 1;\nfence.mbarrier_init.release.cluster;\nbar.sync 0;\nmov.b64 %rd6, map;\n@%p1 mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r5], 9216;\n@%p1 cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%rd6, {0, 0}], [%r5];\nmov.u32 %r7, 0;\nWAIT: mbarrier.try_wait.parity.shared::cta.b64 %p3, [%r5], %r7;\n@!%p3 bra WAIT;\nadd.u32 %r6, %r1, 8192;\n",
    );
    body += &descriptor("%rd1", "%r1", 16, 1024, 1);
    body += &descriptor("%rd2", "%r6", 16, 1024, 1);
    body += ZERO;
    body += FENCE;
    for step in 0..4 {
        body += &product(if step == 0 { "%p2" } else { "1" });
        body += "add.s64 %rd1, %rd1, 2;\nadd.s64 %rd2, %rd2, 2;\n";
    }
    body += WAIT;
    body += STORE;
    let globals = ".shared .align 1024 .b8 tile[9216];\n.shared .align 8 .b64 bar;";
    let kernel = Kernel::with_globals(globals, &body).threads(128).buffer(both).empty(2048).map(map.encode());
    check(&kernel, 64, 1.0);
}

#[test]
fn bytes() {
    // s8: K is 32 bytes, as for f16.
    let matrix =
        |rows: usize, salt: usize| -> Vec<u8> { (0..rows * 32).map(|k| value(k / 32, k % 32, salt) as u8).collect() };
    let descriptors = descriptor("%rd1", "%r1", 128, 256, 0) + &descriptor("%rd2", "%r6", 128, 256, 0);
    let zero = "mov.b32 %r40, 0;\nmov.b32 %r41, 0;\nmov.b32 %r42, 0;\nmov.b32 %r43, 0;\n";
    let body = format!(
        "{zero}{descriptors}{FENCE}wgmma.mma_async.sync.aligned.m64n8k32.s32.s8.s8 {{%r40, %r41, %r42, %r43}}, %rd1, %rd2, 1;\n{WAIT}cvt.rn.f32.s32 %f0, %r40;\ncvt.rn.f32.s32 %f1, %r41;\ncvt.rn.f32.s32 %f2, %r42;\ncvt.rn.f32.s32 %f3, %r43;"
    );
    check(&generic(cores(64, &matrix(64, 0)), cores(8, &matrix(8, 5)), PROXY, &body), 32, 1.0);
}

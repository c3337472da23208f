//! Bulk copies, tensor maps and clusters: meaning, and what is reported.

mod kernel;

use kernel::Kernel;
use ptx_emu::{Element, FaultKind, Im2col, Swizzle, TensorMap};

/// Thread 0 initialises `bar` with one arrival; `%r5` is its address, `%r1` that of the tile, `%p1` says thread 0, `%rd0..` the buffers.
const START: &str = "mov.u32 %r0, %tid.x;\nld.param.u64 %rd0, [p0];\nld.param.u64 %rd1, [p1];\nmul.wide.u32 %rd31, %r0, 4;\nadd.s64 %rd2, %rd1, %rd31;\nmov.u32 %r1, tile;\nshl.b32 %r2, %r0, 2;\nadd.u32 %r2, %r2, %r1;\nmov.u32 %r5, bar;\nsetp.eq.u32 %p1, %r0, 0;\n@%p1 mbarrier.init.shared::cta.b64 [%r5], 1;\nfence.mbarrier_init.release.cluster;\nbar.sync 0;\nmov.u32 %r7, 0;\n";

const WAIT: &str = "WAIT: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r5], %r7;\n@!%p2 bra WAIT;\n";

fn bulk(body: &str) -> Kernel {
    let words: Vec<u32> = (0..1024).collect();
    let globals = ".shared .align 1024 .b8 tile[4096];\n.shared .align 8 .b64 bar;";
    Kernel::with_globals(globals, &format!("{START}{body}")).words(&words).empty(4096)
}

const LOAD: &str = "@%p1 mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r5], 128;\n@%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%rd0], 128, [%r5];\n";
const READ: &str = "ld.shared.u32 %r3, [%r2];\nst.global.u32 [%rd2], %r3;\n";

#[test]
fn bulk_loads_signal_an_mbarrier() {
    assert_eq!(bulk(&format!("{LOAD}{WAIT}{READ}")).out(1)[..32], (0..32).collect::<Vec<u32>>());
    bulk(&format!("{LOAD}{READ}")).faults(FaultKind::MissingWait, "ld.shared.u32 %r3, [%r2];");
    bulk(LOAD).faults(FaultKind::MissingWait, "cp.async.bulk.shared::cluster.global");
    // Too few bytes expected: the phase ends too early, or never.
    let short = LOAD.replace("[%r5], 128;", "[%r5], 256;");
    bulk(&format!("{short}{WAIT}{READ}")).faults(FaultKind::Deadlock, "");
    let odd = format!("mov.u32 %r9, 120;\n{}", LOAD.replace("[%rd0], 128,", "[%rd0], %r9,"));
    bulk(&format!("{odd}{WAIT}{READ}")).faults(FaultKind::Operand, "cp.async.bulk");
    let far = LOAD.replace("[%rd0], 128", "[%rd0+4080], 128");
    bulk(&format!("{far}{WAIT}{READ}")).faults(FaultKind::OutOfBounds, "cp.async.bulk");
}

#[test]
fn a_stage_is_reused_after_its_consumers_only() {
    // The second load must wait until all lanes have read the first.
    let twice = |between: &str| {
        format!(
            "{LOAD}{WAIT}{READ}{between}\n{}mov.u32 %r7, 1;\nWAIT2: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r5], %r7;\n@!%p2 bra WAIT2;\n{READ}",
            LOAD.replace("[%rd0]", "[%rd0+128]")
        )
    };
    assert_eq!(bulk(&twice("bar.sync 0;")).threads(32).out(1)[..32], (32..64).collect::<Vec<u32>>());
    bulk(&twice("")).faults(FaultKind::Race, "[%rd0+128]");
}

#[test]
fn bulk_stores_need_fence_and_wait() {
    let store = |fence: &str, wait: &str| {
        bulk(&format!(
            "st.shared.u32 [%r2], %r0;\n{fence}\nbar.sync 0;\n@%p1 cp.async.bulk.global.shared::cta.bulk_group [%rd1], [%r1], 128;\n@%p1 cp.async.bulk.commit_group;\n{wait}"
        ))
    };
    let wait = "@%p1 cp.async.bulk.wait_group.read 0;";
    assert_eq!(store("fence.proxy.async.shared::cta;", wait).out(1)[..32], (0..32).collect::<Vec<u32>>());
    store("", wait).faults(FaultKind::MissingFence, "cp.async.bulk.global");
    store("fence.proxy.async;", "").faults(FaultKind::MissingWait, "cp.async.bulk.global");
    // The source may not change before it is read.
    let early =
        store("fence.proxy.async;", "bar.sync 0;\nst.shared.u32 [%r2], 0;\n@%p1 cp.async.bulk.wait_group.read 0;");
    early.faults(FaultKind::MissingWait, "st.shared.u32 [%r2], 0;");
    // Nor may the target be read.
    let soon = store("fence.proxy.async;", "@%p1 cp.async.bulk.wait_group.read 0;\n@%p1 ld.global.u32 %r3, [%rd1];");
    soon.faults(FaultKind::MissingWait, "ld.global.u32 %r3, [%rd1];");
}

#[test]
fn bulk_reductions() {
    let body = "st.shared.u32 [%r2], %r0;\nfence.proxy.async;\nbar.sync 0;\n@%p1 cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%rd0], [%r1], 128;\n@%p1 cp.async.bulk.commit_group;\n@%p1 cp.async.bulk.wait_group 0;";
    assert_eq!(bulk(body).ctas(3).out(0)[..33], (0..32).map(|k| 4 * k).chain([32]).collect::<Vec<u32>>());
}

/// A load of a box at coordinates (4, 2), then every word of the tile goes to the output.
fn tensor(map: TensorMap, bytes: u32, load: &str) -> Kernel {
    let body = format!(
        "mov.b64 %rd3, map;\ncvta.param.u64 %rd3, %rd3;\n@%p1 mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r5], {bytes};\n{load}\n{WAIT}mov.u32 %r8, 0;\nCOPY:\nadd.u32 %r9, %r2, %r8;\nld.shared.u32 %r3, [%r9];\ncvt.u64.u32 %rd4, %r8;\nadd.s64 %rd4, %rd4, %rd2;\nst.global.u32 [%rd4], %r3;\nadd.u32 %r8, %r8, 128;\nsetp.lt.u32 %p3, %r8, {bytes};\n@%p3 bra COPY;"
    );
    bulk(&body).map(map.encode())
}

const BOX: &str = "@%p1 cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r1], [%rd3, {4, 2}], [%r5];";

#[test]
fn boxes_of_tensors() {
    let map = TensorMap::tiled(Element::F32, 0, &[32, 32], &[8, 4], Swizzle::None);
    let expected = |r: u32, c: u32| 32 * (r + 2) + c + 4;
    assert_eq!(tensor(map, 128, BOX).out(1)[..32], (0..32).map(|k| expected(k / 8, k % 8)).collect::<Vec<u32>>());
    // The outside is zero, and counts.
    let corner = BOX.replace("{4, 2}", "{28, -1}");
    let outside = |k: u32| if k / 8 == 0 || k % 8 >= 4 { 0 } else { 32 * (k / 8 - 1) + 28 + k % 8 };
    assert_eq!(tensor(map, 128, &corner).out(1)[..32], (0..32).map(outside).collect::<Vec<u32>>());
    tensor(map, 128, &BOX.replace("[%r1]", "[%r1+64]")).faults(FaultKind::Misaligned, "cp.async.bulk.tensor");
    let wide = TensorMap::tiled(Element::F32, 0, &[32, 64], &[8, 4], Swizzle::None);
    tensor(wide, 128, &BOX.replace("{4, 2}", "{0, 40}")).faults(FaultKind::OutOfBounds, "cp.async.bulk.tensor");
}

#[test]
fn swizzles_exchange_chunks() {
    for (swizzle, width, mask) in [(Swizzle::B128, 32, 7), (Swizzle::B64, 16, 3), (Swizzle::B32, 8, 1)] {
        let map = TensorMap::tiled(Element::F32, 0, &[32, 32], &[width as u16, 8], swizzle);
        let bytes = width * 8 * 4;
        let load = BOX.replace("{4, 2}", "{0, 0}");
        let found = tensor(map, bytes, &load).out(1);
        for r in 0..8 {
            for c in 0..width {
                let at = (r * width + c) * 4;
                let swizzled = at ^ (at >> 7 & mask) << 4;
                assert_eq!(found[swizzled as usize / 4], 32 * r + c, "{swizzle:?} ({r}, {c})");
            }
        }
    }
}

#[test]
fn tensor_stores_leave_the_outside_alone() {
    let map = TensorMap::tiled(Element::F32, 0, &[6 + 2, 3], &[8, 4], Swizzle::None);
    let body = "mov.b64 %rd3, map;\nst.shared.u32 [%r2], %r0;\nfence.proxy.async;\nbar.sync 0;\n@%p1 cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%rd3, {4, 1}], [%r1];\n@%p1 cp.async.bulk.commit_group;\n@%p1 cp.async.bulk.wait_group 0;";
    let out = bulk(body).map(map.encode()).out(0);
    let expected: Vec<u32> = (0..32)
        .map(|k| if (1..3).contains(&(k / 8)) && k % 8 >= 4 { (k / 8 - 1) * 8 + k % 8 - 4 } else { k })
        .collect();
    assert_eq!(out[..32], expected);
    let reduce = body.replace(
        "cp.async.bulk.tensor.2d.global.shared::cta.tile",
        "cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile",
    );
    let map = TensorMap { element: Element::U32, ..map };
    let added: Vec<u32> =
        expected.iter().enumerate().map(|(k, v)| if *v == k as u32 { *v } else { v + k as u32 }).collect();
    assert_eq!(bulk(&reduce).map(map.encode()).out(0)[..32], added);
}

#[test]
fn im2col_walks_pixels() {
    // N 2, H 4, W 4, C 4 of f32: element (n, h, w, c) = ((n 4 + h) 4 + w) 4 + c. A 3 × 3 filter with padding 1, stride 1.
    let mut map = TensorMap::tiled(Element::F32, 0, &[4, 4, 4, 2], &[4, 1, 1, 1], Swizzle::None);
    map.im2col = Some(Im2col { lower: [-1, -1, 0], upper: [-1, -1, 0], channels: 4, pixels: 8 });
    let load = |w: i32, h: i32, n: i32, s: u32, r: u32| {
        format!(
            "mov.u16 %h1, {s};\nmov.u16 %h2, {r};\n@%p1 cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%r1], [%rd3, {{0, {w}, {h}, {n}}}], [%r5], {{%h1, %h2}};"
        )
    };
    let element = |n: i32, h: i32, w: i32, c: u32| {
        let inside = (0..4).contains(&h) && (0..4).contains(&w) && (0..2).contains(&n);
        if inside { (((n * 4 + h) * 4 + w) * 4) as u32 + c } else { 0 }
    };
    // From output pixel (h 2, w 2) of the first image, filter position (s 2, r 0): input (h + r - 1, w + s - 1).
    let found = tensor(map, 128, &load(1, 1, 0, 2, 0)).out(1);
    let mut expected = Vec::new();
    for pixel in 10..18 {
        let (n, q) = (pixel / 16, pixel % 16);
        expected.extend((0..4).map(|c| element(n, q / 4 - 1, q % 4 - 1 + 2, c)));
    }
    assert_eq!(found[..32], expected);
}

#[test]
fn clusters_share_memory() {
    let globals = ".shared .align 16 .b8 tile[128];";
    let body = |arrive: &str| {
        format!(
            "mov.u32 %r0, %tid.x;\nmov.u32 %r1, %cluster_ctarank;\nmov.u32 %r2, tile;\nshl.b32 %r3, %r0, 2;\nadd.u32 %r3, %r3, %r2;\nmad.lo.u32 %r4, %r1, 100, %r0;\nst.shared.u32 [%r3], %r4;\n{arrive}\nxor.b32 %r5, %r1, 1;\nmapa.shared::cluster.u32 %r6, %r3, %r5;\nld.shared::cluster.u32 %r7, [%r6];\nbarrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;\nld.param.u64 %rd0, [p0];\nmad.lo.u32 %r8, %r1, 32, %r0;\nmul.wide.u32 %rd1, %r8, 4;\nadd.s64 %rd0, %rd0, %rd1;\nst.global.u32 [%rd0], %r7;"
        )
    };
    let sync = "barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;";
    let kernel = |arrive: &str| Kernel::with_globals(globals, &body(arrive)).ctas(2).cluster(2).empty(256);
    assert_eq!(kernel(sync).out(0), (100..132).chain(0..32).collect::<Vec<u32>>());
    let faults = kernel("").try_run().unwrap_err();
    assert!(faults.iter().any(|f| matches!(f.kind, FaultKind::Race | FaultKind::UninitialisedMemory)), "{faults:?}");
    kernel(sync).cluster(1).faults(FaultKind::OutOfBounds, "mapa.shared::cluster.u32");
    // An arrival that releases nothing holds threads back, but shows nobody what was written.
    let relaxed = sync.replace("arrive", "arrive.relaxed");
    kernel(&relaxed).faults(FaultKind::Race, "ld.shared::cluster.u32");
}

/// Rank 0 reads from rank 1, which waits for it before it exits, or does not.
#[test]
fn shared_memory_of_a_cta_that_exits() {
    let globals = ".shared .align 16 .b8 tile[128];";
    let sync = "barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;";
    let body = |end: &str| {
        format!(
            "mov.u32 %r0, %tid.x;\nmov.u32 %r1, %cluster_ctarank;\nmov.u32 %r2, tile;\nshl.b32 %r3, %r0, 2;\nadd.u32 %r3, %r3, %r2;\nst.shared.u32 [%r3], %r0;\n{sync}\nsetp.ne.u32 %p1, %r1, 0;\n@%p1 bra END;\nmapa.shared::cluster.u32 %r6, %r3, 1;\nld.shared::cluster.u32 %r7, [%r6];\nld.param.u64 %rd0, [p0];\nmul.wide.u32 %rd1, %r0, 4;\nadd.s64 %rd0, %rd0, %rd1;\nst.global.u32 [%rd0], %r7;\nEND:\n{end}"
        )
    };
    let kernel = |end: &str| Kernel::with_globals(globals, &body(end)).ctas(2).cluster(2).empty(128);
    assert_eq!(kernel(sync).out(0), (0..32).collect::<Vec<u32>>());
    assert!(kernel("").faults(FaultKind::Race, "ret").detail.contains("may have exited"));
    // Whoever only arrives may be gone before the others are there.
    kernel("barrier.cluster.arrive.aligned;").faults(FaultKind::Race, "ret");
}

#[test]
fn remote_arrivals_and_multicast() {
    // Rank 0 loads for both; each waits for its own barrier; the other rank says first that it is ready.
    let globals = ".shared .align 128 .b8 tile[128];\n.shared .align 8 .b64 full;\n.shared .align 8 .b64 ready;";
    let body = "mov.u32 %r0, %tid.x;\nmov.u32 %r1, %cluster_ctarank;\nld.param.u64 %rd0, [p0];\nld.param.u64 %rd1, [p1];\nmov.u32 %r2, tile;\nmov.u32 %r3, full;\nmov.u32 %r4, ready;\nsetp.eq.u32 %p1, %r0, 0;\n@%p1 mbarrier.init.shared::cta.b64 [%r3], 1;\n@%p1 mbarrier.init.shared::cta.b64 [%r4], 2;\nfence.mbarrier_init.release.cluster;\nbarrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;\nmov.u32 %r7, 0;\n@!%p1 bra JOIN;\nmbarrier.arrive.expect_tx.shared::cta.b64 _, [%r3], 128;\nmov.u32 %r8, 0;\nmapa.shared::cluster.u32 %r9, %r4, %r8;\nmbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r9];\nsetp.ne.u32 %p3, %r1, 0;\n@%p3 bra JOIN;\nREADY: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r4], %r7;\n@!%p2 bra READY;\nmov.u16 %h1, 3;\ncp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%r2], [%rd0], 128, [%r3], %h1;\nJOIN:\nbar.warp.sync -1;\nFULL: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r3], %r7;\n@!%p2 bra FULL;\nshl.b32 %r10, %r0, 2;\nadd.u32 %r11, %r10, %r2;\nld.shared.u32 %r12, [%r11];\nmad.lo.u32 %r13, %r1, 128, %r10;\ncvt.u64.u32 %rd2, %r13;\nadd.s64 %rd1, %rd1, %rd2;\nadd.u32 %r12, %r12, %r1;\nst.global.u32 [%rd1], %r12;";
    let words: Vec<u32> = (0..32).collect();
    let kernel = Kernel::with_globals(globals, body).ctas(2).cluster(2).words(&words).empty(256);
    assert_eq!(kernel.out(1), (0..32).chain(1..33).collect::<Vec<u32>>());
}

//! cp.async and mbarrier: meaning, and what is reported when a wait is missing.

mod kernel;

use kernel::Kernel;
use ptx_emu::FaultKind;

const START: &str = "mov.u32 %r0, %tid.x;\nld.param.u64 %rd0, [p0];\nld.param.u64 %rd1, [p1];\nmul.wide.u32 %rd31, %r0, 4;\nadd.s64 %rd1, %rd1, %rd31;\nmul.wide.u32 %rd30, %r0, 16;\nadd.s64 %rd0, %rd0, %rd30;\nmov.u32 %r1, tile;\nshl.b32 %r2, %r0, 4;\nadd.u32 %r2, %r2, %r1;\n";

/// Each of 32 lanes copies 16 bytes; the body reads what it wants.
fn copies(body: &str) -> Kernel {
    let words: Vec<u32> = (0..256).collect();
    Kernel::with_globals(".shared .align 16 .b8 tile[1024];", &format!("{START}{body}")).words(&words).empty(128)
}

const READ: &str = "ld.shared.u32 %r3, [%r2+8];\nst.global.u32 [%rd1], %r3;";

#[test]
fn copies_arrive_at_the_wait() {
    let copy = "cp.async.ca.shared.global [%r2], [%rd0], 16;\ncp.async.commit_group;\n";
    let expected: Vec<u32> = (0..32).map(|l| 4 * l + 2).collect();
    assert_eq!(copies(&format!("{copy}cp.async.wait_group 0;\n{READ}")).out(1), expected);
    assert_eq!(
        copies(&format!("cp.async.cg.shared.global [%r2], [%rd0], 16;\ncp.async.wait_all;\n{READ}")).out(1),
        expected
    );
    copies(&format!("{copy}{READ}")).faults(FaultKind::MissingWait, "ld.shared.u32 %r3, [%r2+8];");
    copies(&format!("{copy}cp.async.wait_group 1;\n{READ}")).faults(FaultKind::MissingWait, "ld.shared.u32");
    // Without a commit nothing is waited for.
    copies(&format!("cp.async.ca.shared.global [%r2], [%rd0], 16;\ncp.async.wait_group 0;\n{READ}"))
        .faults(FaultKind::MissingWait, "ld.shared.u32");
}

#[test]
fn groups_complete_in_order() {
    let both = "cp.async.ca.shared.global [%r2], [%rd0], 16;\ncp.async.commit_group;\ncp.async.ca.shared.global [%r2+512], [%rd0], 16;\ncp.async.commit_group;\ncp.async.wait_group 1;\n";
    let expected: Vec<u32> = (0..32).map(|l| 4 * l + 2).collect();
    assert_eq!(copies(&format!("{both}{READ}")).out(1), expected);
    copies(&format!("{both}ld.shared.u32 %r3, [%r2+520];\nst.global.u32 [%rd1], %r3;"))
        .faults(FaultKind::MissingWait, "[%r2+520]");
}

#[test]
fn copies_fill_with_zeros() {
    let copy = "mov.u32 %r4, 8;\nsetp.gt.u32 %p1, %r0, 3;\n@%p1 mov.u32 %r4, 0;\ncp.async.ca.shared.global [%r2], [%rd0], 16, %r4;\ncp.async.wait_all;\nld.shared.v4.u32 {%r5, %r6, %r7, %r8}, [%r2];\nadd.u32 %r5, %r5, %r6;\nadd.u32 %r5, %r5, %r7;\nadd.u32 %r5, %r5, %r8;\nst.global.u32 [%rd1], %r5;";
    assert_eq!(copies(copy).out(1)[..5], [1, 9, 17, 25, 0]);
}

#[test]
fn copies_of_other_threads_need_a_barrier_too() {
    let neighbour = |between: &str| {
        copies(&format!(
            "cp.async.ca.shared.global [%r2], [%rd0], 16;\ncp.async.wait_all;\n{between}\nxor.b32 %r4, %r0, 1;\nshl.b32 %r4, %r4, 4;\nadd.u32 %r4, %r4, %r1;\nld.shared.u32 %r3, [%r4];\nst.global.u32 [%rd1], %r3;"
        ))
    };
    assert_eq!(neighbour("bar.sync 0;").out(1)[..2], [4, 0]);
    neighbour("").faults(FaultKind::Race, "ld.shared.u32 %r3, [%r4]");
}

#[test]
fn a_buffer_in_use_is_not_written() {
    // The second copy begins while the first reader may still read.
    let body = "cp.async.ca.shared.global [%r2], [%rd0], 16;\ncp.async.wait_all;\nbar.sync 0;\nxor.b32 %r4, %r0, 1;\nshl.b32 %r4, %r4, 4;\nadd.u32 %r4, %r4, %r1;\nld.shared.u32 %r3, [%r4];\nBARRIER\ncp.async.ca.shared.global [%r2], [%rd0+16], 16;\ncp.async.wait_all;\nst.global.u32 [%rd1], %r3;";
    assert_eq!(copies(&body.replace("BARRIER", "bar.sync 0;")).out(1)[..2], [4, 0]);
    copies(&body.replace("BARRIER", "")).faults(FaultKind::Race, "cp.async.ca.shared.global [%r2], [%rd0+16]");
}

#[test]
fn copies_out_of_bounds() {
    copies("cp.async.ca.shared.global [%r2], [%rd0+1024], 16;").faults(FaultKind::OutOfBounds, "cp.async");
    copies("cp.async.ca.shared.global [%r2], [%rd0+8], 16;").faults(FaultKind::Misaligned, "cp.async");
    copies("cp.async.ca.shared.global [%r2+1024], [%rd0], 16;").faults(FaultKind::OutOfBounds, "cp.async");
}

/// Two warps; the barrier `bar` with `count` arrivals is initialised by thread 0.
fn barrier(count: u32, body: &str) -> Kernel {
    let init = format!(
        "mov.u32 %r5, bar;\nsetp.eq.u32 %p1, %r0, 0;\n@%p1 mbarrier.init.shared.b64 [%r5], {count};\nbar.sync 0;\n"
    );
    let words: Vec<u32> = (0..256).collect();
    Kernel::with_globals(
        ".shared .align 16 .b8 tile[1024];\n.shared .align 8 .b64 bar;",
        &format!("{START}{init}{body}"),
    )
    .threads(64)
    .words(&words)
    .empty(256)
}

const WAIT: &str = "mbarrier.try_wait.parity.shared.b64 %p2, [%r5], %r7;\n@!%p2 bra WAIT;\n";

#[test]
fn mbarrier_orders_producer_and_consumer() {
    let body = |arrive: &str, wait: &str| {
        format!(
            "mov.u32 %r7, 0;\nand.b32 %r8, %r0, 31;\nshl.b32 %r8, %r8, 2;\nadd.u32 %r8, %r8, %r1;\nsetp.ge.u32 %p1, %r0, 32;\n@%p1 bra CONSUME;\nst.shared.u32 [%r8], %r0;\n{arrive}\nbra DONE;\nCONSUME:\n{wait}ld.shared.u32 %r9, [%r8];\nst.global.u32 [%rd1], %r9;\nDONE:"
        )
    };
    let good = barrier(32, &body("mbarrier.arrive.shared.b64 _, [%r5];", &format!("WAIT: {WAIT}")));
    assert_eq!(good.out(1)[32..], (0..32).collect::<Vec<u32>>());
    // 31 arrivals are not enough.
    let stuck = barrier(33, &body("mbarrier.arrive.shared.b64 _, [%r5];", &format!("WAIT: {WAIT}")));
    stuck.faults(FaultKind::Deadlock, "");
    let racing = barrier(32, &body("mbarrier.arrive.shared.b64 _, [%r5];", ""));
    racing.faults(FaultKind::Race, "st.shared.u32 [%r8], %r0;");
    let many = barrier(
        31,
        &body(
            "mbarrier.arrive.shared.b64 _, [%r5], 1;\nmbarrier.arrive.shared.b64 _, [%r5], 40;",
            &format!("WAIT: {WAIT}"),
        ),
    );
    many.faults(FaultKind::Mbarrier, "40;");
}

#[test]
fn mbarrier_phases_and_tokens() {
    let body = "mov.u32 %r7, 0;\nmov.u32 %r10, 0;\nLOOP:\nmbarrier.arrive.shared.b64 %rd5, [%r5];\nWAIT: mbarrier.test_wait.shared.b64 %p2, [%r5], %rd5;\n@!%p2 bra WAIT;\nadd.u32 %r10, %r10, 1;\nsetp.lt.u32 %p3, %r10, 5;\n@%p3 bra LOOP;\nmbarrier.test_wait.parity.shared.b64 %p2, [%r5], 0;\nselp.u32 %r11, 1, 0, %p2;\nst.global.u32 [%rd1], %r11;";
    // Five phases are complete: the incomplete one is odd, so that even parity has passed.
    assert_eq!(barrier(64, body).out(1), [1; 64]);
}

#[test]
fn mbarrier_must_be_initialised_and_seen() {
    let globals = ".shared .align 8 .b64 bar;\n.shared .align 16 .b8 tile[1024];";
    let kernel = |body: &str| {
        Kernel::with_globals(globals, &format!("{START}mov.u32 %r5, bar;\n{body}"))
            .threads(64)
            .words(&[0; 256])
            .empty(256)
    };
    kernel("mbarrier.arrive.shared.b64 _, [%r5];").faults(FaultKind::Mbarrier, "mbarrier.arrive");
    let unseen =
        "setp.eq.u32 %p1, %r0, 0;\n@%p1 mbarrier.init.shared.b64 [%r5], 64;\nmbarrier.arrive.shared.b64 _, [%r5];";
    kernel(unseen).faults(FaultKind::Race, "mbarrier.arrive");
    let overwritten =
        "setp.eq.u32 %p1, %r0, 0;\n@%p1 mbarrier.init.shared.b64 [%r5], 64;\n@%p1 st.shared.u32 [%r5], 0;";
    kernel(overwritten).faults(FaultKind::Mbarrier, "st.shared.u32 [%r5], 0;");
}

#[test]
fn copies_arrive_on_an_mbarrier() {
    let body = format!(
        "mov.u32 %r7, 0;\ncp.async.ca.shared.global [%r2], [%rd0], 16;\ncp.async.mbarrier.arrive.noinc.shared.b64 [%r5];\nWAIT: {WAIT}xor.b32 %r4, %r0, 1;\nshl.b32 %r4, %r4, 4;\nadd.u32 %r4, %r4, %r1;\nld.shared.u32 %r3, [%r4];\nst.global.u32 [%rd1], %r3;"
    );
    assert_eq!(barrier(64, &body).out(1)[..4], [4, 0, 12, 8]);
}

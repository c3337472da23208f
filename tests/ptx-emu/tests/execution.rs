//! Meaning of memory accesses, control flow, barriers, collectives and atomics.

mod kernel;

use kernel::{Kernel, WORDS};

/// 32 lanes with `%r1` = lane + 100; the body leaves its result in `%r2`.
fn lanes(body: &str) -> Vec<u32> {
    Kernel::new(&format!("{WORDS} add.u32 %r1, %r0, 100;\n{body}\nst.global.u32 [%rd1], %r2;"))
        .words(&[0; 32])
        .empty(128)
        .out(1)
}

#[track_caller]
fn check(body: &str, expected: impl Fn(u32) -> u32) {
    assert_eq!(lanes(body), (0..32).map(expected).collect::<Vec<_>>(), "{body}");
}

#[test]
fn shuffles() {
    check("shfl.sync.bfly.b32 %r2, %r1, 1, 31, -1;", |l| 100 + (l ^ 1));
    check("shfl.sync.down.b32 %r2, %r1, 4, 31, -1;", |l| 100 + if l + 4 < 32 { l + 4 } else { l });
    check("shfl.sync.up.b32 %r2, %r1, 4, 0, -1;", |l| 100 + if l >= 4 { l - 4 } else { l });
    check("shfl.sync.idx.b32 %r2, %r1, 3, 31, -1;", |_| 103);
    // Segments of eight lanes: c = (mask 0x18) << 8 | clamp.
    check("shfl.sync.idx.b32 %r2, %r1, 3, 0x181f, -1;", |l| 100 + (l / 8 * 8 + 3));
    check("shfl.sync.down.b32 %r2, %r1, 4, 0x1807, -1;", |l| 100 + if l % 8 < 4 { l + 4 } else { l });
    check("shfl.sync.up.b32 %r3|%p1, %r1, 4, 0, -1; selp.u32 %r2, 1, 0, %p1;", |l| u32::from(l >= 4));
}

#[test]
fn votes_and_matches() {
    check("setp.lt.u32 %p1, %r0, 5; vote.sync.ballot.b32 %r2, %p1, -1;", |_| 31);
    check("setp.lt.u32 %p1, %r0, 5; vote.sync.any.pred %p2, %p1, -1; selp.u32 %r2, 1, 0, %p2;", |_| 1);
    check("setp.lt.u32 %p1, %r0, 5; vote.sync.all.pred %p2, %p1, -1; selp.u32 %r2, 1, 0, %p2;", |_| 0);
    check("setp.lt.u32 %p1, %r0, 50; vote.sync.uni.pred %p2, %p1, -1; selp.u32 %r2, 1, 0, %p2;", |_| 1);
    check("and.b32 %r3, %r0, 3; match.any.sync.b32 %r2, %r3, -1;", |l| 0x1111_1111 << (l & 3));
    check("mov.u32 %r3, 7; match.all.sync.b32 %r2|%p1, %r3, -1;", |_| u32::MAX);
    check("match.all.sync.b32 %r2|%p1, %r0, -1;", |_| 0);
    check("redux.sync.add.u32 %r2, %r0, -1;", |_| 496);
    check("sub.s32 %r3, 5, %r0; redux.sync.min.s32 %r2, %r3, -1;", |_| -26i32 as u32);
    check("elect.sync %r3|%p1, -1; selp.u32 %r2, 1, 0, %p1;", |l| u32::from(l == 0));
}

#[test]
fn collectives_of_a_part() {
    let body = "setp.lt.u32 %p1, %r0, 8;\nmov.u32 %r2, 0;\n@!%p1 bra DONE;\nactivemask.b32 %r3;\nredux.sync.add.u32 %r2, %r0, %r3;\nDONE:\nadd.u32 %r2, %r2, 1;";
    check(body, |l| if l < 8 { 29 } else { 1 });
}

/// Both ways of a branch reach the collective; the earlier lanes wait for the later ones.
#[test]
fn lanes_meet_again() {
    let body = "setp.lt.u32 %p1, %r0, 8;\nmov.u32 %r2, 0;\n@%p1 bra A;\nmov.u32 %r3, 1;\nbra B;\nA: mov.u32 %r3, 2;\nB: redux.sync.add.u32 %r2, %r3, -1;";
    check(body, |_| 24 + 16);
}

#[test]
fn loops_of_different_length() {
    let body = "mov.u32 %r2, 0;\nmov.u32 %r3, 0;\nLOOP: setp.ge.u32 %p1, %r3, %r0;\n@%p1 bra DONE;\nadd.u32 %r2, %r2, %r3;\nadd.u32 %r3, %r3, 1;\nbra LOOP;\nDONE:";
    check(body, |l| l * l.saturating_sub(1) / 2);
    let switch = "and.b32 %r3, %r0, 1;\nT: .branchtargets A, B;\nbrx.idx %r3, T;\nA: mov.u32 %r2, 5;\nbra DONE;\nB: mov.u32 %r2, 6;\nDONE:";
    check(switch, |l| 5 + l % 2);
}

/// The lower lanes reach the barrier and the fragment load first, though the others come there too, from further down the text.
#[test]
fn lanes_from_below_come_along() {
    let body = "setp.lt.u32 %p1, %r0, 8;\nmov.u32 %r2, 1;\n@!%p1 bra BELOW;\nJOIN: bar.sync 0;\nmovmatrix.sync.aligned.m8n8.trans.b16 %r3, %r2;\nbra DONE;\nBELOW: mov.u32 %r2, 2;\nbra JOIN;\nDONE:";
    check(body, |l| if l < 8 { 1 } else { 2 });
    let exits = "setp.lt.u32 %p1, %r0, 8;\nmov.u32 %r2, 1;\n@!%p1 bra BELOW;\nJOIN: bar.red.popc.u32 %r2, 0, %p1;\nbra DONE;\nBELOW: bra JOIN;\nDONE:";
    check(exits, |_| 8);
}

#[test]
fn order_of_ctas() {
    // Each CTA appends its number; what comes out depends on the order, which is an error that running backwards shows.
    let body = "ld.param.u64 %rd0, [p0];\nld.param.u64 %rd1, [p1];\nmov.u32 %r0, %ctaid.x;\natom.global.add.u32 %r1, [%rd0], 1;\nmul.wide.u32 %rd2, %r1, 4;\nadd.s64 %rd1, %rd1, %rd2;\nst.global.u32 [%rd1], %r0;";
    let mut kernel = Kernel::new(body).threads(1).ctas(4).words(&[0]).empty(16);
    assert_eq!(kernel.out(1), [0, 1, 2, 3]);
    kernel.options.reverse = true;
    assert_eq!(kernel.out(1), [3, 2, 1, 0]);
}

#[test]
fn a_lane_may_wait_for_its_neighbour() {
    // Lane 0 spins on a flag that lane 1 sets later in the text.
    let body = "ld.param.u64 %rd2, [p0];\nsetp.eq.u32 %p1, %r0, 0;\n@!%p1 bra SET;\nSPIN: ld.volatile.global.u32 %r3, [%rd2];\nsetp.eq.u32 %p2, %r3, 0;\n@%p2 bra SPIN;\nbra DONE;\nSET: st.volatile.global.u32 [%rd2], 1;\nDONE: mov.u32 %r2, 3;";
    check(body, |_| 3);
}

#[test]
fn widths_of_accesses() {
    let load = |form: &str, expected: u32| {
        let body = format!("ld.param.u64 %rd2, [p0];\n{form}\nst.global.u32 [%rd1], %r2;");
        let out = Kernel::new(&format!("{WORDS} {body}")).words(&[0x8182_8384; 32]).empty(128).out(1);
        assert_eq!(out, [expected; 32], "{form}");
    };
    load("ld.global.u8 %r2, [%rd2];", 0x84);
    load("ld.global.s8 %r2, [%rd2];", 0xffff_ff84);
    load("ld.global.s16 %r2, [%rd2+2];", 0xffff_8182);
    load("ld.global.b16 %h1, [%rd2+2]; mov.b32 %r2, {%h1, 0};", 0x8182);
    load("ld.global.v4.u32 {_, %r2, _, _}, [%rd2];", 0x8182_8384);
    load("ld.global.nc.L1::no_allocate.L2::128B.v2.b64 {%rd3, _}, [%rd2]; cvt.u32.u64 %r2, %rd3;", 0x8182_8384);
    load("ld.global.s32 %rd3, [%rd2]; shr.u64 %rd3, %rd3, 32; cvt.u32.u64 %r2, %rd3;", u32::MAX);
}

#[test]
fn generic_addresses() {
    let globals = ".shared .align 4 .b8 tile[128];\n.global .align 4 .u32 table[4] = {5, 6, 7, 8};\n.const .align 4 .f32 one = 0f3F800000;";
    let body = "cvta.shared.u64 %rd2, %rd3;";
    let _ = body;
    let body = "mov.u64 %rd2, tile;\ncvta.shared.u64 %rd3, %rd2;\nmul.wide.u32 %rd4, %r0, 4;\nadd.s64 %rd3, %rd3, %rd4;\nst.u32 [%rd3], %r0;\nisspacep.shared %p1, %rd3;\nld.u32 %r3, [%rd3];\nmov.u64 %rd5, table;\nld.global.u32 %r4, [%rd5+8];\nld.const.f32 %f1, [one];\ncvt.rni.u32.f32 %r5, %f1;\nadd.u32 %r2, %r3, %r4;\nadd.u32 %r2, %r2, %r5;\n@!%p1 mov.u32 %r2, 0;\nst.global.u32 [%rd1], %r2;";
    let kernel = Kernel::with_globals(globals, &format!("{WORDS} {body}")).words(&[0; 32]).empty(128);
    assert_eq!(kernel.out(1), (0..32).map(|l| l + 8).collect::<Vec<u32>>());
}

#[test]
fn local_memory() {
    let body = ".local .align 4 .b8 buffer[64];\nmov.u32 %r3, buffer;\nand.b32 %r4, %r0, 15;\nshl.b32 %r4, %r4, 2;\nadd.u32 %r3, %r3, %r4;\nst.local.u32 [%r3], %r0;\nld.local.u32 %r2, [%r3];";
    check(body, |l| l);
}

#[test]
fn dynamic_shared_memory() {
    let globals = ".extern .shared .align 128 .b8 pool[];\n.shared .align 4 .b8 first[4];";
    let body = "mov.u32 %r2, pool;\nshl.b32 %r3, %r0, 2;\nadd.u32 %r3, %r3, %r2;\nst.shared.u32 [%r3], %r2;\nld.shared.u32 %r4, [%r3];\nst.global.u32 [%rd1], %r4;";
    let kernel = Kernel::with_globals(globals, &format!("{WORDS} {body}")).words(&[0; 32]).empty(128).dynamic(128);
    assert_eq!(kernel.out(1), [128; 32]);
}

#[test]
fn atomics() {
    let atomic = |form: &str, start: u32| {
        let body = format!("{WORDS} ld.param.u64 %rd2, [p0];\n{form}");
        Kernel::new(&body).words(&[start; 32]).empty(128).out(0)[0]
    };
    assert_eq!(atomic("atom.global.add.u32 %r1, [%rd2], %r0;", 4), 500);
    assert_eq!(atomic("red.global.max.s32 [%rd2], %r0;", -5i32 as u32), 31);
    assert_eq!(atomic("red.global.min.u32 [%rd2], %r0;", 7), 0);
    assert_eq!(atomic("atom.global.inc.u32 %r1, [%rd2], 9;", 0), 2);
    assert_eq!(atomic("atom.global.dec.u32 %r1, [%rd2], 9;", 0), 8);
    assert_eq!(atomic("red.global.or.b32 [%rd2], %r0;", 0), 31);
    assert_eq!(atomic("atom.global.exch.b32 %r1, [%rd2], 3;", 0), 3);
    assert_eq!(atomic("atom.global.cas.b32 %r1, [%rd2], %r0, 77;", 5), 77);
    assert_eq!(atomic("atom.acq_rel.gpu.global.add.f32 %r1, [%rd2], 0f3F800000;", 1f32.to_bits()), 33f32.to_bits());
    assert_eq!(
        atomic(
            "red.relaxed.gpu.global.add.noftz.f16x2 [%rd2], %r3;"
                .replace("%r3", "%r4")
                .as_str()
                .replace("red", "mov.b32 %r4, 0x3c003c00; red")
                .as_str(),
            0
        ),
        0x5000_5000
    );
    // Old values come back, each once.
    let body =
        format!("{WORDS} ld.param.u64 %rd2, [p0];\natom.global.add.u32 %r1, [%rd2], 1;\nst.global.u32 [%rd1], %r1;");
    let mut old = Kernel::new(&body).words(&[0; 32]).empty(128).out(1);
    old.sort_unstable();
    assert_eq!(old, (0..32).collect::<Vec<u32>>());
}

#[test]
fn named_barriers_pass_work_on() {
    // Warp 0 produces, warp 1 consumes; full is barrier 1, empty barrier 2.
    let globals = ".shared .align 4 .b8 tile[128];";
    let body = "mov.u32 %r2, tile;\nand.b32 %r3, %r0, 31;\nshl.b32 %r3, %r3, 2;\nadd.u32 %r3, %r3, %r2;\nmov.u32 %r4, 0;\nmov.u32 %r5, 0;\nsetp.ge.u32 %p1, %r0, 32;\n@%p1 bra CONSUME;\nPRODUCE:\nbar.sync 2, 64;\nadd.u32 %r6, %r0, %r4;\nst.shared.u32 [%r3], %r6;\nbar.arrive 1, 64;\nadd.u32 %r4, %r4, 1;\nsetp.lt.u32 %p2, %r4, 3;\n@%p2 bra PRODUCE;\nbra DONE;\nCONSUME:\nbar.arrive 2, 64;\nbar.sync 1, 64;\nld.shared.u32 %r6, [%r3];\nadd.u32 %r5, %r5, %r6;\nadd.u32 %r4, %r4, 1;\nsetp.lt.u32 %p2, %r4, 3;\n@%p2 bra CONSUME;\nDONE:\nst.global.u32 [%rd1], %r5;";
    let kernel = Kernel::with_globals(globals, &format!("{WORDS} {body}")).threads(64).words(&[0; 64]).empty(256);
    let expected: Vec<u32> = (0..64).map(|t| if t < 32 { 0 } else { 3 * (t - 32) + 3 }).collect();
    assert_eq!(kernel.out(1), expected);
}

#[test]
fn barrier_reductions() {
    let body = "setp.lt.u32 %p1, %r0, 40;\nbar.red.popc.u32 %r2, 0, %p1;\nbar.red.and.pred %p2, 0, %p1;\nbar.red.or.pred %p3, 0, %p1;\n@%p2 add.u32 %r2, %r2, 100;\n@%p3 add.u32 %r2, %r2, 1000;\nst.global.u32 [%rd1], %r2;";
    let kernel = Kernel::new(&format!("{WORDS} {body}")).threads(64).words(&[0; 64]).empty(256);
    assert_eq!(kernel.out(1), [1040; 64]);
}

#[test]
fn block_sums_over_a_grid() {
    // A tree reduction in shared memory, then one atomic for each CTA.
    let globals = ".shared .align 4 .b8 tile[512];";
    let body = "mov.u32 %r0, %tid.x;\nmov.u32 %r1, %ctaid.x;\nmad.lo.u32 %r1, %r1, 128, %r0;\nld.param.u64 %rd0, [p0];\nld.param.u64 %rd1, [p1];\nmul.wide.u32 %rd2, %r1, 4;\nadd.s64 %rd0, %rd0, %rd2;\nld.global.u32 %r2, [%rd0];\nmov.u32 %r3, tile;\nshl.b32 %r4, %r0, 2;\nadd.u32 %r3, %r3, %r4;\nst.shared.u32 [%r3], %r2;\nmov.u32 %r5, 64;\nLOOP:\nbar.sync 0;\nsetp.ge.u32 %p1, %r0, %r5;\n@%p1 bra NEXT;\nshl.b32 %r6, %r5, 2;\nadd.u32 %r6, %r6, %r3;\nld.shared.u32 %r7, [%r6];\nld.shared.u32 %r8, [%r3];\nadd.u32 %r7, %r7, %r8;\nst.shared.u32 [%r3], %r7;\nNEXT:\nshr.u32 %r5, %r5, 1;\nsetp.ne.u32 %p1, %r5, 0;\n@%p1 bra LOOP;\nsetp.ne.u32 %p1, %r0, 0;\n@%p1 ret;\nld.shared.u32 %r7, [%r3];\nred.global.add.u32 [%rd1], %r7;";
    let words: Vec<u32> = (0..1024).collect();
    let kernel = Kernel::with_globals(globals, body).threads(128).ctas(8).words(&words).words(&[0]);
    assert_eq!(kernel.out(1), [1023 * 512]);
}

#[test]
fn ctas_wait_for_one_another_when_cooperative() {
    // A grid barrier by a counter.
    let body = "ld.param.u64 %rd0, [p0];\nld.param.u64 %rd1, [p1];\nmov.u32 %r0, %ctaid.x;\nmov.u32 %r1, %nctaid.x;\nmul.wide.u32 %rd2, %r0, 4;\nadd.s64 %rd2, %rd2, %rd1;\nst.global.u32 [%rd2], %r0;\nmembar.gl;\nred.global.add.u32 [%rd0], 1;\nWAIT: ld.acquire.gpu.global.u32 %r2, [%rd0];\nsetp.lt.u32 %p1, %r2, %r1;\n@%p1 bra WAIT;\nadd.u32 %r3, %r0, 1;\nrem.u32 %r3, %r3, %r1;\nmul.wide.u32 %rd3, %r3, 4;\nadd.s64 %rd3, %rd3, %rd1;\nld.global.u32 %r4, [%rd3];\nld.param.u64 %rd4, [p2];\nmul.wide.u32 %rd3, %r0, 4;\nadd.s64 %rd4, %rd4, %rd3;\nst.global.u32 [%rd4], %r4;";
    let mut kernel = Kernel::new(body).threads(1).ctas(4).words(&[0]).empty(16).empty(16);
    kernel.cooperative = true;
    assert_eq!(kernel.out(2), [1, 2, 3, 0]);
}

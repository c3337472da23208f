//! Planted faults: each is found, on the line where it is.

mod kernel;

use kernel::{Kernel, WORDS};
use ptx_emu::{FaultKind, Options};

/// `WORDS` for 64 threads with a word of shared memory each in `%r3`.
fn shared(body: &str) -> Kernel {
    let globals = ".shared .align 16 .b8 tile[256];";
    let start = "mov.u32 %r2, tile; shl.b32 %r3, %r0, 2; add.s32 %r3, %r3, %r2;";
    let words: Vec<u32> = (0..64).collect();
    Kernel::with_globals(globals, &format!("{WORDS}\n{start}\nld.global.u32 %r1, [%rd0];\n{body}"))
        .threads(64)
        .words(&words)
        .empty(256)
}

#[test]
fn one_past_the_end() {
    let kernel = Kernel::new(&format!("{WORDS} ld.global.u32 %r1, [%rd0+4];\nst.global.u32 [%rd1], %r1;"));
    let fault = kernel.words(&[0; 32]).empty(128).faults(FaultKind::OutOfBounds, "ld.global.u32 %r1, [%rd0+4]");
    assert_eq!(fault.thread, [31, 0, 0]);
    assert!(fault.detail.contains("just past the end"), "{}", fault.detail);
}

#[test]
fn wrong_stride() {
    let kernel = Kernel::new(&format!(
        "{WORDS} mul.lo.u32 %r2, %r0, 8;\ncvt.u64.u32 %rd3, %r2;\nld.param.u64 %rd4, [p0];\nadd.s64 %rd4, %rd4, %rd3;\nld.global.u32 %r1, [%rd4];\nst.global.u32 [%rd1], %r1;"
    ));
    let fault = kernel.words(&[0; 32]).empty(128).faults(FaultKind::OutOfBounds, "ld.global.u32 %r1, [%rd4]");
    assert_eq!(fault.thread, [16, 0, 0]);
}

#[test]
fn misaligned() {
    let kernel = Kernel::new(&format!("{WORDS} ld.global.v2.u32 {{%r1, %r2}}, [%rd0];"));
    let fault = kernel.words(&[0; 64]).empty(128).faults(FaultKind::Misaligned, "ld.global.v2.u32");
    assert_eq!(fault.thread, [1, 0, 0]);
}

#[test]
fn freed_memory() {
    use ptx_emu::{Device, Launch, Module};
    let text = ".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 p)\n{ .reg .b64 %rd<2>;\n.reg .b32 %r<2>;\nld.param.u64 %rd1, [p];\nld.global.u32 %r1, [%rd1];\nret; }";
    let module = Module::parse(text).unwrap();
    let mut device = Device::default();
    let data = device.alloc_with(&[0; 64]);
    device.free(data).unwrap();
    let faults = device.launch(&module, &Launch::new("k", [1; 3], [1; 3], &data.to_le_bytes())).unwrap_err();
    assert_eq!((faults[0].kind, faults[0].line, faults[0].address), (FaultKind::UseAfterFree, 8, Some(data)));
}

#[test]
fn memory_that_nothing_wrote() {
    let kernel = Kernel::new(&format!("{WORDS} ld.global.u32 %r1, [%rd1];\nst.global.u32 [%rd0], %r1;"));
    kernel.words(&[0; 32]).empty(128).faults(FaultKind::UninitialisedMemory, "ld.global.u32 %r1, [%rd1]");
    shared("ld.shared.u32 %r1, [%r3];").faults(FaultKind::UninitialisedMemory, "ld.shared.u32");
}

#[test]
fn register_that_nothing_wrote() {
    let kernel = Kernel::new(&format!("{WORDS} add.u32 %r1, %r9, 1;\nst.global.u32 [%rd0], %r1;"));
    kernel.words(&[0; 32]).empty(128).faults(FaultKind::UninitialisedRegister, "add.u32 %r1, %r9, 1;");
    let some = "setp.lt.u32 %p1, %r0, 5;\n@%p1 mov.u32 %r1, 1;\nst.global.u32 [%rd0], %r1;";
    let kernel = Kernel::new(&format!("{WORDS} {some}")).words(&[0; 32]).empty(128);
    assert_eq!(kernel.faults(FaultKind::UninitialisedRegister, "st.global.u32").thread, [5, 0, 0]);
}

/// Neighbours exchange through shared memory; `between` orders them, or does not.
fn exchange(between: &str) -> Kernel {
    shared(&format!(
        "st.shared.u32 [%r3], %r1;\n{between}\nxor.b32 %r4, %r0, 32;\nshl.b32 %r4, %r4, 2;\nadd.s32 %r4, %r4, %r2;\nld.shared.u32 %r5, [%r4];\nst.global.u32 [%rd1], %r5;"
    ))
}

#[test]
fn barrier_orders_and_its_absence_is_a_race() {
    let expected: Vec<u32> = (0..64).map(|k| k ^ 32).collect();
    assert_eq!(exchange("bar.sync 0;").out(1), expected);
    let kernel = exchange("");
    let faults = kernel.try_run().unwrap_err();
    // The first warp reads what the second has not written; the second reads after the first without an order.
    assert!(faults.iter().any(|f| f.kind == FaultKind::UninitialisedMemory), "{faults:?}");
    kernel.faults(FaultKind::Race, "ld.shared.u32");
}

#[test]
fn second_barrier_of_a_loop_is_missing() {
    let rounds = |last: &str| {
        shared(&format!(
            "mov.u32 %r6, 0;\nLOOP:\nst.shared.u32 [%r3], %r1;\nbar.sync 0;\nxor.b32 %r4, %r0, 32;\nshl.b32 %r4, %r4, 2;\nadd.s32 %r4, %r4, %r2;\nld.shared.u32 %r1, [%r4];\nadd.u32 %r1, %r1, 1;\n{last}\nadd.u32 %r6, %r6, 1;\nsetp.lt.u32 %p1, %r6, 3;\n@%p1 bra LOOP;\nst.global.u32 [%rd1], %r1;"
        ))
    };
    let expected: Vec<u32> = (0..64).map(|k| (k ^ 32) + 3).collect();
    assert_eq!(rounds("bar.sync 0;").out(1), expected);
    rounds("").faults(FaultKind::Race, "st.shared.u32 [%r3], %r1;");
}

#[test]
fn lanes_of_a_warp_need_a_warp_barrier() {
    let lanes = |between: &str| {
        shared(&format!(
            "st.shared.u32 [%r3], %r1;\n{between}\nxor.b32 %r4, %r0, 1;\nshl.b32 %r4, %r4, 2;\nadd.s32 %r4, %r4, %r2;\nld.shared.u32 %r5, [%r4];\nst.global.u32 [%rd1], %r5;"
        ))
    };
    let expected: Vec<u32> = (0..64).map(|k| k ^ 1).collect();
    assert_eq!(lanes("bar.warp.sync 0xffffffff;").out(1), expected);
    lanes("").faults(FaultKind::Race, "ld.shared.u32");
}

#[test]
fn ctas_race_in_global_memory() {
    // Every CTA adds to the same words without an atomic.
    let body = format!(
        "{WORDS} ld.global.u32 %r1, [%rd0];\nmov.u32 %r2, %ctaid.x;\nadd.u32 %r2, %r2, 1;\nst.global.u32 [%rd0], %r2;"
    );
    Kernel::new(&body).ctas(2).words(&[7; 32]).empty(128).faults(FaultKind::Race, "ld.global.u32 %r1, [%rd0]");
    let atomic = format!("{WORDS} red.global.add.u32 [%rd0], 1;");
    assert_eq!(Kernel::new(&atomic).ctas(4).words(&[7; 32]).empty(128).out(0), [11; 32]);
}

/// Each CTA writes a word, the last to count adds all up. `fences` stands before and after the count.
fn last_arriver(before: &str, after: &str) -> Kernel {
    let body = format!(
        "ld.param.u64 %rd0, [p0];\nld.param.u64 %rd1, [p1];\nld.param.u64 %rd2, [p2];\nmov.u32 %r0, %ctaid.x;\nmul.wide.u32 %rd3, %r0, 4;\nadd.s64 %rd3, %rd3, %rd0;\nadd.u32 %r1, %r0, 10;\nst.global.u32 [%rd3], %r1;\n{before}\natom.global.add.u32 %r2, [%rd1], 1;\nmov.u32 %r3, %nctaid.x;\nsub.u32 %r3, %r3, 1;\nsetp.ne.u32 %p1, %r2, %r3;\n@%p1 ret;\n{after}\nmov.u32 %r4, 0;\nmov.u32 %r5, 0;\nLOOP:\nmul.wide.u32 %rd3, %r5, 4;\nadd.s64 %rd3, %rd3, %rd0;\nld.global.u32 %r6, [%rd3];\nadd.u32 %r4, %r4, %r6;\nadd.u32 %r5, %r5, 1;\nsetp.le.u32 %p1, %r5, %r3;\n@%p1 bra LOOP;\nst.global.u32 [%rd2], %r4;"
    );
    Kernel::new(&body).threads(1).ctas(5).empty(20).words(&[0]).empty(4)
}

#[test]
fn flags_order_ctas_with_fences_only() {
    assert_eq!(last_arriver("membar.gl;", "membar.gl;").out(2), [60]);
    last_arriver("", "membar.gl;").faults(FaultKind::Race, "ld.global.u32 %r6");
    last_arriver("membar.gl;", "").faults(FaultKind::Race, "ld.global.u32 %r6");
}

#[test]
fn barrier_in_a_branch() {
    let kernel = shared("setp.lt.u32 %p1, %r0, 40;\n@%p1 bar.sync 0;\nst.global.u32 [%rd1], %r1;");
    kernel.faults(FaultKind::BarrierDivergence, "@%p1 bar.sync 0;");
    let kernel = shared("setp.lt.u32 %p1, %r0, 32;\n@%p1 bar.sync 0;\nst.global.u32 [%rd1], %r1;");
    let fault = kernel.faults(FaultKind::BarrierDivergence, "@%p1 bar.sync 0;");
    assert!(fault.detail.contains("32 of 64 threads"), "{}", fault.detail);
}

#[test]
fn barrier_after_an_exit() {
    let kernel = shared("setp.ge.u32 %p1, %r0, 40;\n@%p1 ret;\nbar.sync 0;\nst.global.u32 [%rd1], %r1;");
    let fault = kernel.faults(FaultKind::BarrierDivergence, "bar.sync 0;");
    assert!(fault.detail.contains("24 threads have exited"), "{}", fault.detail);
}

#[test]
fn barrier_counts() {
    shared("mov.u32 %r6, 48;\nbar.sync 1, %r6;").faults(FaultKind::Operand, "bar.sync 1, %r6;");
    shared("setp.lt.u32 %p1, %r0, 32;\n@%p1 bra A;\nbar.sync 1, 64;\nbra B;\nA: bar.sync 1, 32;\nB: mov.u32 %r5, 0;")
        .faults(FaultKind::BarrierDivergence, "bar.sync 1, 64;");
}

#[test]
fn collective_without_all_of_its_mask() {
    let kernel = shared("setp.lt.u32 %p1, %r0, 5;\n@%p1 shfl.sync.idx.b32 %r5, %r1, 0, 31, 0xffffffff;");
    kernel.faults(FaultKind::Collective, "shfl.sync.idx.b32");
    let kernel = shared("setp.lt.u32 %p1, %r0, 5;\n@%p1 ret;\nvote.sync.any.pred %p2, %p1, 0xffffffff;");
    kernel.faults(FaultKind::Collective, "vote.sync.any.pred");
    shared("shfl.sync.idx.b32 %r5, %r1, 0, 31, 0xffff;").faults(FaultKind::Collective, "shfl.sync.idx.b32");
    shared("shfl.sync.down.b32 %r5, %r1, 1, 31, %r9;").faults(FaultKind::UninitialisedRegister, "shfl.sync.down.b32");
}

#[test]
fn endless_loop() {
    let mut kernel = Kernel::new("LOOP:\nbra LOOP;");
    kernel.options = Options { max_instructions: 100_000, ..Options::default() };
    kernel.faults(FaultKind::Endless, "bra LOOP;");
}

#[test]
fn trap_and_launch() {
    Kernel::new("trap;").faults(FaultKind::Trap, "trap;");
    Kernel::new("").threads(2000).faults(FaultKind::Launch, "");
    Kernel::new("").dynamic(300_000).faults(FaultKind::Launch, "");
}

#[test]
fn faults_are_limited() {
    let loads = "ld.global.u32 %r1, [%rd0+4096];\n".repeat(30);
    let kernel = Kernel::new(&format!("{WORDS} {loads}")).words(&[0; 32]).empty(128);
    assert_eq!(kernel.try_run().unwrap_err().len(), Options::default().max_faults);
}

#[test]
fn text_that_is_no_ptx() {
    let check = |body: &str, expected: &str| {
        let text = format!(
            ".version 7.0\n.target sm_80\n.address_size 64\n.entry k()\n{{\n.reg .b32 %r<2>; .reg .pred %p<2>;\n{body}\n}}"
        );
        let error = ptx_emu::Module::parse(&text).unwrap_err();
        assert_eq!(error.line, 7, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.text.contains(body), "{error}");
    };
    check("frobnicate.u32 %r0, 1;", "no instruction");
    check("add.u32.strange %r0, 1, 2;", "`.strange`");
    check("add.u32 %r7, 1, 2;", "`%r7` is no declared register");
    check("add.u32 %p1, 1, 2;", "is a predicate");
    check("bra NOWHERE;", "label `NOWHERE`");
    check("add.u32 %r0, 1;", "3 to 3 operands");
    check("mma.sync.aligned.m16n8k17.row.col.f32.f16.f16.f32 %r0, %r0, %r0, %r0;", "no mma");
}

/// A text cut off anywhere, or with a word left out, is an error or a program, and never a panic.
#[test]
fn damaged_texts() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("probes");
    for name in ["cluster_share", "mma_m16n8k16_f16", "wgmma_registers", "tensor_im2col_5d", "vote", "cp_async_zfill"] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.ptx"))).unwrap();
        for cut in 0..text.len() {
            let _ = ptx_emu::Module::parse(&text[..cut]);
        }
        let words: Vec<&str> = text.split_inclusive([' ', ',', '.', '{', '}', '[', ']']).collect();
        for k in 0..words.len() {
            let without: String = words.iter().enumerate().filter(|(at, _)| *at != k).map(|(_, w)| *w).collect();
            let _ = ptx_emu::Module::parse(&without);
            let doubled: String =
                words.iter().enumerate().map(|(at, w)| if at == k { w.repeat(2) } else { w.to_string() }).collect();
            let _ = ptx_emu::Module::parse(&doubled);
        }
        assert!(ptx_emu::Module::parse(&text).is_ok(), "{name}");
    }
}

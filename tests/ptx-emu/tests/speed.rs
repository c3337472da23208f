//! How fast the emulator is: prints instructions of warps and threads per second. Only the results are asserted.

#![allow(clippy::print_stdout, reason = "it says how fast it is")]

mod kernel;

use std::time::Instant;

use kernel::Kernel;

fn measure(name: &str, races: bool, kernel: &mut Kernel) -> Vec<Vec<u8>> {
    kernel.options.races = races;
    let start = Instant::now();
    let (out, stats) = kernel.run_with_stats();
    let seconds = start.elapsed().as_secs_f64();
    let rate = |n: u64| n as f64 / seconds / 1e6;
    let races = if races { "with" } else { "without" };
    println!(
        "{name} {races} races: {:.1} M warp instructions/s, {:.0} M thread instructions/s ({:.2} s)",
        rate(stats.warp_instructions),
        rate(stats.thread_instructions),
        seconds
    );
    out
}

/// fma, add, compare, branch.
const ARITHMETIC: &str = "mov.u32 %r0, %tid.x;\nld.param.u64 %rd0, [p0];\nmul.wide.u32 %rd1, %r0, 4;\nadd.s64 %rd0, %rd0, %rd1;\nmov.f32 %f1, 0f00000000;\nmov.f32 %f2, 0f3F800000;\nmov.u32 %r1, 0;\nLOOP:\nfma.rn.f32 %f1, %f2, %f2, %f1;\nfma.rn.f32 %f3, %f1, %f2, %f2;\nadd.u32 %r1, %r1, 1;\nxor.b32 %r2, %r1, %r0;\nshl.b32 %r3, %r2, 3;\nmul.wide.u32 %rd2, %r3, 4;\nadd.s64 %rd3, %rd2, %rd1;\nsetp.lt.u32 %p1, %r1, 20000;\n@%p1 bra LOOP;\nst.global.f32 [%rd0], %f1;";

/// Each thread walks over global memory in strides, through shared memory.
const MEMORY: &str = "mov.u32 %r0, %tid.x;\nld.param.u64 %rd0, [p0];\nmul.wide.u32 %rd1, %r0, 4;\nadd.s64 %rd0, %rd0, %rd1;\nmov.u32 %r2, tile;\nshl.b32 %r3, %r0, 2;\nadd.u32 %r3, %r3, %r2;\nmov.u32 %r1, 0;\nmov.f32 %f1, 0f00000000;\nmov.u64 %rd2, %rd0;\nLOOP:\nld.global.f32 %f2, [%rd2];\nst.shared.f32 [%r3], %f2;\nld.shared.f32 %f3, [%r3];\nadd.f32 %f1, %f1, %f3;\nadd.s64 %rd2, %rd2, 512;\nadd.u32 %r1, %r1, 1;\nsetp.lt.u32 %p1, %r1, 512;\n@%p1 bra LOOP;\nld.param.u64 %rd3, [p1];\nadd.s64 %rd3, %rd3, %rd1;\nst.global.f32 [%rd3], %f1;";

#[test]
fn arithmetic() {
    for races in [false, true] {
        let out = measure("arithmetic", races, &mut Kernel::new(ARITHMETIC).threads(128).empty(512));
        assert_eq!(out[0][..4], 20000f32.to_le_bytes());
    }
}

#[test]
fn memory() {
    let ones = vec![1f32; 512 * 128];
    for races in [false, true] {
        let kernel = Kernel::with_globals(".shared .align 4 .b8 tile[512];", MEMORY).threads(128);
        let out = measure("memory", races, &mut kernel.floats(&ones).empty(512));
        assert_eq!(out[1][..4], 512f32.to_le_bytes());
    }
}

#[test]
fn matrices() {
    let body = "mov.b32 %r1, 0x3c003c00;\nmov.u32 %r2, 0;\nmov.f32 %f0, 0f00000000;\nmov.f32 %f1, %f0;\nmov.f32 %f2, %f0;\nmov.f32 %f3, %f0;\nLOOP:\nmma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f0, %f1, %f2, %f3}, {%r1, %r1, %r1, %r1}, {%r1, %r1}, {%f0, %f1, %f2, %f3};\nadd.u32 %r2, %r2, 1;\nsetp.lt.u32 %p1, %r2, 20000;\n@%p1 bra LOOP;\nld.param.u64 %rd0, [p0];\nst.global.f32 [%rd0], %f0;";
    let out = measure("mma m16n8k16", false, &mut Kernel::new(body).empty(4));
    assert_eq!(out[0], 320_000f32.to_le_bytes());
}

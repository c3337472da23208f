//! Prints GFLOP/s of the kernels at the shapes of ResNet-50 and BERT, next to the measured multiply-add peak of one core.
#![allow(unsafe_code, reason = "times raw vector instructions")]
#![allow(clippy::print_stdout, reason = "a program that prints")]
use runtime_min::cpu::conv::{Conv2d, conv};
use runtime_min::cpu::depthwise::depthwise;
use runtime_min::cpu::gemm::{Gemm, gemm};
use runtime_min::cpu::isa::{Isa, Level, Work, vectorize};
use runtime_min::cpu::pack::{pack_b, packed_b_len};
use runtime_min::cpu::pool::max_pool;
use runtime_min::cpu::stem::{Stem, conv_stem};
use runtime_min::cpu::tile::Tile;
use runtime_min::cpu::window::Window;
use std::arch::x86_64::*;
use std::hint::black_box;
use std::time::Instant;

/// Multiply-adds on 24 independent chains: seconds for `2 * 24 * lanes * ROUNDS` operations.
macro_rules! peak {
    ($name:ident, $feature:literal, $chains:literal, $set:ident, $fma:ident) => {
        #[target_feature(enable = $feature)]
        fn $name() {
            let (a, b) = ($set(black_box(0.999)), $set(black_box(0.001)));
            let mut acc = [$set(0.5); $chains];
            for _ in 0..ROUNDS {
                for v in &mut acc {
                    *v = $fma(*v, a, b);
                }
            }
            black_box(acc);
        }
    };
}
const ROUNDS: usize = 200_000;
peak!(peak_avx512, "avx512f", 24, _mm512_set1_ps, _mm512_fmadd_ps);
peak!(peak_avx2, "avx2,fma", 12, _mm256_set1_ps, _mm256_fmadd_ps);

fn peak(isa: Isa) -> f64 {
    // SAFETY: an `Isa` proves its level.
    let wide = || unsafe { peak_avx512() };
    // SAFETY: as above.
    let middle = || unsafe { peak_avx2() };
    let (lanes, time) = match isa.level() {
        Level::Avx512 => (16 * 24, best(wide)),
        Level::Avx2 => (8 * 12, best(middle)),
        // Half of what AVX2 would give on the same ports, multiply and add apart: not measured.
        Level::Portable => (8, 1e-9 * ROUNDS as f64 / 3.0),
    };
    2e-9 * (lanes * ROUNDS) as f64 / time
}

fn best(mut f: impl FnMut()) -> f64 {
    let mut least = f64::INFINITY;
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < 0.25 {
        let t = Instant::now();
        f();
        least = least.min(t.elapsed().as_secs_f64());
    }
    least
}

fn noise(len: usize) -> Vec<f32> {
    (0..len as u32).map(|i| (i.wrapping_mul(2654435761) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

fn bench_gemm(isa: Isa, peak: f64, m: usize, n: usize, k: usize) {
    let (a, b) = (noise(m * k), noise(k * n));
    let mut packed = vec![0.0; packed_b_len(k, n).unwrap_or(0)];
    let t_pack = best(|| assert!(pack_b(k, n, &b, n, 1, &mut packed).is_ok()));
    let mut c = vec![0.0f32; m * n];
    let t = best(|| {
        let mut store = |t: &Tile, acc: &[f32]| {
            for xi in 0..t.xs {
                let at = (t.x + xi) * n + t.c;
                c[at..at + t.cs].copy_from_slice(&acc[xi * t.stride..xi * t.stride + t.cs]);
            }
        };
        gemm(isa, &Gemm::rows(m, n, k, &a, &packed), &mut store).ok();
    });
    let rate = 2e-9 * (m * n * k) as f64 / t;
    println!(
        "gemm {m:5} x {n:5} x {k:5}   {rate:7.1} GFLOP/s {:3.0} %   B {:5.1} GB/s   pack {:5.1} GB/s",
        100.0 * rate / peak,
        4e-9 * (k * n) as f64 / t,
        4e-9 * (k * n) as f64 / t_pack
    );
}

fn bench_depthwise(isa: Isa, channels: usize, size: usize, stride: usize) {
    let out = size.div_ceil(stride);
    let w = Window {
        batch: 1,
        blocks: channels / 16,
        input: [size; 2],
        output: [out; 2],
        kernel: [3; 2],
        strides: [stride; 2],
        dilations: [1; 2],
        pads: [1; 2],
        pads_end: [1; 2],
    };
    let (x, f) = (noise(channels * size * size), noise(channels * 9));
    let mut y = vec![0.0f32; channels * out * out];
    let mut run = |kind: usize| {
        best(|| {
            let mut store = |t: &Tile, acc: &[f32]| vectorize(isa, Relu { t, acc, y: &mut y, out });
            match kind {
                0 => depthwise(isa, &w, w.planes(), &x, &f, &mut store).ok(),
                _ => max_pool(isa, &w, w.planes(), &x, &mut store).ok(),
            };
        })
    };
    let (t, pool) = (run(0), run(1));
    let (work, bytes) =
        (2e-9 * (9 * channels * out * out) as f64, 4e-9 * (channels * (size * size + out * out)) as f64);
    println!(
        "depthwise {channels:4}, {size:3}^2, 3x3/{stride}   {:6.1} GFLOP/s {:5.1} GB/s   max pool {:5.1} GB/s",
        work / t,
        bytes / t,
        bytes / pool
    );
}

/// Rectifies and writes channel blocks, as a generated store does.
struct Relu<'a> {
    t: &'a Tile,
    acc: &'a [f32],
    y: &'a mut [f32],
    out: usize,
}

impl Work for Relu<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { t, acc, y, out } = self;
        for block in 0..t.cs / 16 {
            let at = (((t.c / 16 + block) * out + t.y) * out + t.x) * 16;
            let pixels = y[at..at + t.xs * 16].as_chunks_mut::<16>().0;
            for (pixel, acc) in pixels.iter_mut().zip(acc[block * 16..].chunks(t.stride)) {
                if let Some(values) = acc.first_chunk::<16>() {
                    *pixel = values.map(|v| if v < 0.0 { 0.0 } else { v });
                }
            }
        }
    }
}

fn bench_conv(isa: Isa, peak: f64, ic: usize, oc: usize, size: usize, kernel: usize, stride: usize) {
    let out = size.div_ceil(stride);
    let shape = Conv2d {
        batch: 1,
        in_blocks: ic.div_ceil(16),
        out_blocks: oc / 16,
        groups: 1,
        input: [size; 2],
        output: [out; 2],
        kernel: [kernel; 2],
        strides: [stride; 2],
        dilations: [1; 2],
        pads: [kernel / 2; 2],
    };
    let stem = Stem { in_channels: ic, conv: shape };
    let x = noise(ic.next_multiple_of(16) * size * size);
    let w = noise(ic.next_multiple_of(16) * oc * kernel * kernel);
    let mut y = vec![0.0f32; oc * out * out];
    let mut scratch = vec![0.0f32; stem.scratch_len().unwrap_or(0)];
    let t = best(|| {
        let mut store = |t: &Tile, acc: &[f32]| {
            vectorize(isa, Relu { t, acc, y: &mut y, out });
        };
        if ic < 16 {
            conv_stem(isa, &stem, &shape.whole(), &x, &w, &mut scratch, &mut store).ok();
        } else {
            conv(isa, &shape, &shape.whole(), &x, &w, &mut store).ok();
        }
    });
    let rate = 2e-9 * (out * out * oc * ic * kernel * kernel) as f64 / t;
    println!(
        "conv {ic:4} -> {oc:4}, {size:3}^2, {kernel}x{kernel}/{stride}   {rate:7.1} GFLOP/s {:3.0} %",
        100.0 * rate / peak
    );
}

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    for isa in Isa::LEVELS.iter().rev().filter_map(|&l| Isa::with_level(l)) {
        if !format!("{isa:?}").contains(&only) {
            continue;
        }
        let peak = peak(isa);
        println!("{isa:?}: peak {peak:.1} GFLOP/s");
        for (ic, oc, size, kernel, stride) in [
            (3, 64, 224, 7, 2),
            (64, 64, 56, 1, 1),
            (64, 64, 56, 3, 1),
            (64, 256, 56, 1, 1),
            (256, 64, 56, 1, 1),
            (256, 128, 56, 1, 1),
            (128, 128, 56, 3, 2),
            (256, 512, 56, 1, 2),
            (128, 512, 28, 1, 1),
            (512, 128, 28, 1, 1),
            (128, 128, 28, 3, 1),
            (256, 256, 28, 3, 2),
            (256, 256, 14, 3, 1),
            (256, 1024, 14, 1, 1),
            (1024, 256, 14, 1, 1),
            (512, 512, 14, 3, 2),
            (512, 512, 7, 3, 1),
            (512, 2048, 7, 1, 1),
            (2048, 512, 7, 1, 1),
        ] {
            bench_conv(isa, peak, ic, oc, size, kernel, stride);
        }
        for (channels, size, stride) in [(32, 112, 1), (96, 112, 2), (144, 56, 1), (384, 14, 1), (960, 7, 1)] {
            bench_depthwise(isa, channels, size, stride);
        }
        for (m, n, k) in [
            (128, 3072, 768),
            (128, 768, 3072),
            (128, 768, 768),
            (128, 2304, 768),
            (128, 128, 64),
            (128, 64, 128),
            (512, 512, 512),
            (384, 1024, 1024),
            (256, 1024, 4096),
            (12, 1024, 1024),
            (8, 1024, 1024),
            (4, 1024, 1024),
            (2, 1024, 1024),
            (1, 1024, 1024),
            (1, 1000, 2048),
            (1, 4096, 4096),
        ] {
            bench_gemm(isa, peak, m, n, k);
        }
    }
}

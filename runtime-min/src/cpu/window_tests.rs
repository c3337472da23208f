//! Depthwise convolution and pooling against naive f64 loops, at odd shapes, on every level.
use super::BLOCK;
use super::depthwise::depthwise;
use super::isa::Isa;
use super::noise::noise;
use super::pool::{average_pool, max_pool};
use super::tile::Tile;
use super::window::Window;

fn check(w: Window) {
    let size = w.input[0] * w.input[1];
    let (x, f) = (noise(w.batch * w.blocks * size * BLOCK, 5), noise(w.blocks * w.kernel[0] * w.kernel[1] * BLOCK, 6));
    let cells = w.output[0] * w.output[1];
    for isa in Isa::LEVELS.iter().filter_map(|&level| Isa::with_level(level)) {
        for kind in 0..4 {
            let mut y = vec![f32::NAN; w.batch * w.blocks * cells * BLOCK];
            let mut store = |t: &Tile, acc: &[f32]| {
                for xi in 0..t.xs {
                    for ci in 0..t.cs {
                        let at = (((t.n * w.blocks + t.c / BLOCK) * w.output[0] + t.y) * w.output[1] + t.x + xi)
                            * BLOCK
                            + ci;
                        assert!(y[at].is_nan(), "written twice");
                        y[at] = acc[xi * t.stride + ci];
                    }
                }
            };
            let done = match kind {
                0 => depthwise(isa, &w, w.planes(), &x, &f, &mut store),
                1 => max_pool(isa, &w, w.planes(), &x, &mut store),
                _ => average_pool(isa, &w, kind == 3, w.planes(), &x, &mut store),
            };
            assert_eq!(done, Ok(()));
            for (at, &got) in y.iter().enumerate() {
                let (c, p) = (at % BLOCK, at / BLOCK);
                let (plane, oy, ox) = (p / cells, p % cells / w.output[1], p % w.output[1]);
                let (mut sum, mut max, mut seen, mut padded) = (0f64, f64::NEG_INFINITY, 0, 0);
                for (kh, kw) in (0..w.kernel[0]).flat_map(|a| (0..w.kernel[1]).map(move |b| (a, b))) {
                    let iy = (oy * w.strides[0] + kh * w.dilations[0]) as isize - w.pads[0] as isize;
                    let ix = (ox * w.strides[1] + kw * w.dilations[1]) as isize - w.pads[1] as isize;
                    let within = |v: isize, axis: usize| v < (w.input[axis] + w.pads_end[axis]) as isize;
                    padded += usize::from(within(iy, 0) && within(ix, 1));
                    if iy >= 0 && ix >= 0 && (iy as usize) < w.input[0] && (ix as usize) < w.input[1] {
                        let v = x[((plane * w.input[0] + iy as usize) * w.input[1] + ix as usize) * BLOCK + c] as f64;
                        let weight = f[((plane % w.blocks * w.kernel[0] + kh) * w.kernel[1] + kw) * BLOCK + c] as f64;
                        sum += if kind == 0 { v * weight } else { v };
                        max = max.max(v);
                        seen += 1;
                    }
                }
                let want = match kind {
                    0 => sum,
                    1 => max,
                    2 => sum / seen as f64,
                    _ => sum / padded as f64,
                };
                let same = got as f64 == want || (got as f64 - want).abs() < 1e-5 || (got.is_nan() && want.is_nan());
                assert!(same, "{isa:?} kind {kind} {w:?} at {at}: {got} {want}");
            }
        }
    }
}

fn window(
    io: [[usize; 2]; 2],
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    pads: [usize; 2],
) -> Window {
    Window { batch: 2, blocks: 2, input: io[0], output: io[1], kernel, strides, dilations, pads, pads_end: pads }
}

#[test]
fn odd_shapes() {
    check(window([[7, 9], [7, 9]], [3, 3], [1, 1], [1, 1], [1, 1]));
    check(window([[5, 41], [3, 21]], [3, 3], [2, 2], [1, 1], [1, 1]));
    check(window([[6, 37], [6, 37]], [5, 3], [1, 1], [1, 2], [2, 2]));
    check(window([[4, 4], [1, 1]], [4, 4], [1, 1], [1, 1], [0, 0]));
    check(window([[1, 3], [1, 5]], [1, 3], [1, 1], [1, 1], [0, 2]));
    check(window([[2, 2], [4, 4]], [2, 3], [1, 1], [2, 1], [2, 2]));
}

#[test]
fn ceil_mode_overhang_is_not_counted() {
    check(window([[5, 5], [3, 3]], [2, 2], [2, 2], [1, 1], [0, 0]));
    check(window([[6, 6], [4, 4]], [3, 3], [2, 2], [1, 1], [1, 1]));
}

#[test]
fn nan_wins_the_maximum() {
    let w = Window { batch: 1, blocks: 1, ..window([[1, 3], [1, 1]], [1, 3], [1, 1], [1, 1], [0, 0]) };
    for at in 0..3 {
        let mut x = [1.0f32; 48];
        x[at * BLOCK] = f32::NAN;
        let mut first = 0.0;
        assert_eq!(max_pool(Isa::detect(), &w, 0..1, &x, &mut |_: &Tile, acc: &[f32]| first = acc[0]), Ok(()));
        assert!(first.is_nan());
    }
}

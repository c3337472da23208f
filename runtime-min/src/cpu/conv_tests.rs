//! Convolutions against a naive f64 sum, at odd shapes, on every level.
use super::BLOCK;
use super::conv::{ConvShape, Part, conv};
use super::isa::Isa;
use super::noise::noise;
use super::pack::{Filter, pack_conv_weights, pack_stem_weights, packed_conv_len, packed_stem_len};
use super::stem::{Stem, conv_stem};
use super::tile::Tile;

/// `[n, ic, oc, groups]`, input, kernel, strides, dilations, pads begin, pads end.
type Case = ([usize; 4], [[usize; 3]; 6]);

/// Two spatial dims.
fn flat((channels, sizes): ([usize; 4], [[usize; 2]; 6])) -> Case {
    let front = [1, 1, 1, 1, 0, 0];
    (channels, std::array::from_fn(|k| [front[k], sizes[k][0], sizes[k][1]]))
}

fn positions([d, h, w]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..d * h * w).map(move |at| [at / w / h, at / w % h, at % w])
}

fn reference(case: &Case, out: [usize; 3], x: &[f32], w: &[f32]) -> Vec<f64> {
    let ([n, ic, oc, groups], [input, kernel, strides, dilations, pads, _]) = *case;
    let (icg, ocg) = (ic / groups, oc / groups);
    let linear = |at: [usize; 3], size: [usize; 3]| (at[0] * size[1] + at[1]) * size[2] + at[2];
    let volume = |size: [usize; 3]| size.iter().product::<usize>();
    let mut y = Vec::new();
    for b in 0..n {
        for o in 0..oc {
            for to in positions(out) {
                let mut sum = 0.0;
                for (i, k) in (0..icg).flat_map(|i| positions(kernel).map(move |k| (i, k))) {
                    let from: [usize; 3] =
                        std::array::from_fn(|d| (to[d] * strides[d] + k[d] * dilations[d]).wrapping_sub(pads[d]));
                    if (0..3).all(|d| from[d] < input[d]) {
                        let c = o / ocg * icg + i;
                        sum += x[(b * ic + c) * volume(input) + linear(from, input)] as f64
                            * w[(o * icg + i) * volume(kernel) + linear(k, kernel)] as f64;
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

fn blocked(x: &[f32], n: usize, c: usize, size: usize) -> Vec<f32> {
    let cb = c.div_ceil(BLOCK);
    let mut out = vec![0.0; n * cb * size * BLOCK];
    for b in 0..n {
        for ch in 0..c {
            for p in 0..size {
                out[((b * cb + ch / BLOCK) * size + p) * BLOCK + ch % BLOCK] = x[(b * c + ch) * size + p];
            }
        }
    }
    out
}

fn check(case: Case) {
    let ([n, ic, oc, groups], [input, kernel, strides, dilations, pads, pads_end]) = case;
    let out: [usize; 3] = std::array::from_fn(|i| {
        (input[i] + pads[i] + pads_end[i] - (kernel[i] - 1) * dilations[i] - 1) / strides[i] + 1
    });
    let f = Filter { oc, ic: ic / groups, kh: kernel[0] * kernel[1], kw: kernel[2] };
    let pixels = input[0] * input[1] * input[2];
    let (x, w) = (noise(n * ic * pixels, 3), noise(oc * f.ic * f.kh * f.kw, 4));
    let want = reference(&case, out, &x, &w);
    let shape = ConvShape {
        batch: n,
        in_blocks: ic.div_ceil(BLOCK),
        out_blocks: oc.div_ceil(BLOCK),
        groups,
        input,
        output: out,
        kernel,
        strides,
        dilations,
        pads,
    };
    let xb = blocked(&x, n, ic, pixels);
    let mut wp = vec![f32::NAN; packed_conv_len(f).unwrap_or(0)];
    assert_eq!(pack_conv_weights(f, &w, &mut wp), Ok(()));
    let mut ws = vec![f32::NAN; packed_stem_len(f).unwrap_or(0)];
    assert_eq!(pack_stem_weights(f, &w, &mut ws), Ok(()));
    let stem = Stem { in_channels: ic, conv: shape };
    let mut scratch = vec![f32::NAN; stem.scratch_len().unwrap_or(0)];
    for isa in Isa::LEVELS.iter().filter_map(|&level| Isa::with_level(level)) {
        for as_stem in [false, true] {
            if as_stem && (groups > 1 || input[0] > 1) {
                continue;
            }
            let (rows, size) = (out[0] * out[1], out[0] * out[1] * out[2]);
            let mut y = vec![f32::NAN; n * oc.next_multiple_of(BLOCK) * size];
            let mut store = |t: &Tile, acc: &[f32]| {
                for xi in 0..t.xs {
                    for ci in 0..t.cs {
                        let at = ((t.n * oc.next_multiple_of(BLOCK) + t.c + ci) * rows + t.y) * out[2] + t.x + xi;
                        assert!(y[at].is_nan(), "written twice");
                        y[at] = acc[xi * t.stride + ci];
                    }
                }
            };
            let Part { images, pixels, blocks } = shape.whole();
            let cut = pixels.end / 3;
            for pixels in [0..cut, cut..pixels.end] {
                let part = Part { images: images.clone(), pixels, blocks: blocks.clone() };
                let done = if as_stem {
                    conv_stem(isa, &stem, &part, &x, &ws, &mut scratch, &mut store)
                } else {
                    conv(isa, &shape, &part, &xb, &wp, &mut store)
                };
                assert_eq!(done, Ok(()));
            }
            for b in 0..n {
                for p in 0..oc.next_multiple_of(BLOCK) * size {
                    let got = y[b * oc.next_multiple_of(BLOCK) * size + p] as f64;
                    let want = if p < oc * size { want[b * oc * size + p] } else { 0.0 };
                    assert!((got - want).abs() < 1e-4, "{isa:?} {as_stem} {case:?} at {p}: {got} {want}");
                }
            }
        }
    }
}

#[test]
fn odd_shapes() {
    check(flat(([1, 16, 16, 1], [[5, 7], [3, 3], [1, 1], [1, 1], [1, 1], [1, 1]])));
    check(flat(([2, 3, 20, 1], [[9, 8], [7, 7], [2, 2], [1, 1], [3, 3], [3, 3]])));
    check(flat(([1, 32, 48, 1], [[6, 5], [1, 1], [1, 1], [1, 1], [0, 0], [0, 0]])));
    check(flat(([1, 20, 33, 1], [[6, 5], [1, 1], [2, 2], [1, 1], [0, 0], [0, 0]])));
    check(flat(([1, 16, 80, 1], [[4, 13], [3, 5], [2, 1], [2, 3], [2, 5], [1, 8]])));
    check(flat(([1, 64, 32, 2], [[5, 5], [3, 3], [1, 1], [1, 1], [1, 1], [1, 1]])));
    check(flat(([2, 48, 48, 3], [[3, 4], [2, 2], [1, 2], [1, 1], [0, 1], [1, 0]])));
    check(flat(([1, 4, 16, 1], [[1, 40], [1, 9], [1, 1], [1, 4], [0, 16], [0, 16]])));
}

#[test]
fn three_spatial_dims() {
    check(([1, 16, 16, 1], [[3, 4, 5], [3, 3, 3], [1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1]]));
    check(([2, 20, 33, 1], [[5, 4, 6], [1, 3, 2], [2, 1, 2], [1, 2, 1], [0, 2, 1], [0, 1, 0]]));
    check(([1, 32, 64, 2], [[4, 3, 3], [2, 1, 3], [1, 2, 1], [2, 1, 1], [1, 0, 1], [2, 0, 1]]));
}

#[test]
fn more_taps_than_one_list_holds() {
    check(flat(([1, 2, 16, 1], [[12, 14], [11, 11], [1, 1], [1, 1], [5, 5], [5, 5]])));
    check(flat(([1, 1, 40, 1], [[3, 40], [1, 37], [1, 1], [1, 1], [0, 18], [0, 18]])));
}

#[test]
fn pads_wider_than_the_image() {
    check(flat(([1, 16, 16, 1], [[2, 2], [3, 3], [1, 1], [1, 1], [4, 5], [3, 6]])));
}

#[test]
fn wrong_sizes_are_refused() {
    let mut never = |_: &Tile, _: &[f32]| panic!("stored");
    let one = [1, 1, 1];
    let shape = ConvShape {
        batch: 1,
        in_blocks: 1,
        out_blocks: 1,
        groups: 1,
        input: [1, 2, 2],
        output: [1, 2, 2],
        kernel: one,
        strides: one,
        dilations: one,
        pads: [0, 0, 0],
    };
    let w = [0.0; 256];
    assert!(conv(Isa::detect(), &shape, &shape.whole(), &[0.0; 63], &w, &mut never).is_err());
    assert!(conv(Isa::detect(), &shape, &shape.whole(), &[0.0; 64], &w[1..], &mut never).is_err());
    let part = Part { images: 0..1, pixels: 0..5, blocks: 0..1 };
    assert!(conv(Isa::detect(), &shape, &part, &[0.0; 64], &w, &mut never).is_err());
}

//! Transposed convolutions against a naive f64 sum, at odd shapes, on every level.
use super::BLOCK;
use super::conv::{ConvShape, Part};
use super::conv_transpose::conv_transpose;
use super::isa::Isa;
use super::noise::noise;
use super::tile::Tile;

/// Input channels, output channels; input, output, kernel, strides, dilations, pads.
type Case = ([usize; 2], [[usize; 3]; 6]);

/// Two spatial dims.
fn flat((channels, sizes): ([usize; 2], [[usize; 2]; 6])) -> Case {
    let front = [1, 1, 1, 1, 1, 0];
    (channels, std::array::from_fn(|k| [front[k], sizes[k][0], sizes[k][1]]))
}

/// Two images; channels are not padded.
fn reference(([ic, oc], [input, output, kernel, strides, dilations, pads]): Case, x: &[f32], w: &[f32]) -> Vec<f64> {
    let volume = |size: [usize; 3]| size.iter().product::<usize>();
    let linear = |at: [usize; 3], size: [usize; 3]| (at[0] * size[1] + at[1]) * size[2] + at[2];
    let positions = |[d, h, w]: [usize; 3]| (0..d * h * w).map(move |at| [at / w / h, at / w % h, at % w]);
    let mut y = vec![0.0; 2 * oc * volume(output)];
    for [n, c, o] in positions([2, ic, oc]) {
        for (from, k) in positions(input).flat_map(|from| positions(kernel).map(move |k| (from, k))) {
            let to: [usize; 3] =
                std::array::from_fn(|d| (from[d] * strides[d] + k[d] * dilations[d]).wrapping_sub(pads[d]));
            if (0..3).all(|d| to[d] < output[d]) {
                let value = x[(n * ic + c) * volume(input) + linear(from, input)] as f64;
                let weight = w[(c * oc + o) * volume(kernel) + linear(k, kernel)] as f64;
                y[(n * oc + o) * volume(output) + linear(to, output)] += value * weight;
            }
        }
    }
    y
}

fn check(case: Case) {
    let ([ic, oc], [input, output, kernel, strides, dilations, pads]) = case;
    let volume = |size: [usize; 3]| size.iter().product::<usize>();
    let (x, w) = (noise(2 * ic * volume(input), 3), noise(ic * oc * volume(kernel), 4));
    let want = reference(case, &x, &w);
    let (in_blocks, out_blocks) = (ic.div_ceil(BLOCK), oc.div_ceil(BLOCK));
    let shape =
        ConvShape { batch: 2, in_blocks, out_blocks, groups: 1, input, output, kernel, strides, dilations, pads };
    let (from, to, taps) = (volume(input), volume(output), volume(kernel));
    let mut blocked = vec![0.0; 2 * in_blocks * from * BLOCK];
    for (at, value) in x.iter().enumerate() {
        let (n, c, p) = (at / from / ic, at / from % ic, at % from);
        blocked[((n * in_blocks + c / BLOCK) * from + p) * BLOCK + c % BLOCK] = *value;
    }
    let mut packed = vec![0.0; out_blocks * taps * in_blocks * BLOCK * BLOCK];
    for (at, value) in w.iter().enumerate() {
        let (c, o, tap) = (at / taps / oc, at / taps % oc, at % taps);
        let line = ((o / BLOCK * taps + tap) * in_blocks + c / BLOCK) * BLOCK + c % BLOCK;
        packed[line * BLOCK + o % BLOCK] = *value;
    }
    for isa in Isa::LEVELS.iter().filter_map(|&level| Isa::with_level(level)) {
        let mut y = vec![f32::NAN; 2 * out_blocks * BLOCK * to];
        let mut store = |t: &Tile, acc: &[f32]| {
            for (xi, ci) in (0..t.xs).flat_map(|xi| (0..t.cs).map(move |ci| (xi, ci))) {
                let at = ((t.n * out_blocks * BLOCK + t.c + ci) * output[0] * output[1] + t.y) * output[2] + t.x + xi;
                assert!(y[at].is_nan(), "written twice");
                y[at] = acc[xi * t.stride + ci];
            }
        };
        let Part { images, pixels, blocks } = shape.whole();
        for pixels in [0..pixels.end / 3, pixels.end / 3..pixels.end] {
            let part = Part { images: images.clone(), pixels, blocks: blocks.clone() };
            assert_eq!(conv_transpose(isa, &shape, &part, &blocked, &packed, &mut store), Ok(()));
        }
        for (at, got) in y.iter().enumerate() {
            let (n, c, p) = (at / to / (out_blocks * BLOCK), at / to % (out_blocks * BLOCK), at % to);
            let want = if c < oc { want[(n * oc + c) * to + p] } else { 0.0 };
            assert!((*got as f64 - want).abs() < 1e-4, "{isa:?} {case:?} at {at}: {got} {want}");
        }
    }
}

#[test]
fn odd_shapes() {
    check(flat(([16, 16], [[3, 5], [6, 10], [2, 2], [2, 2], [1, 1], [0, 0]])));
    check(flat(([20, 33], [[4, 27], [8, 54], [4, 4], [2, 2], [1, 1], [1, 1]])));
    check(flat(([16, 40], [[3, 4], [7, 10], [3, 3], [2, 3], [1, 1], [0, 1]])));
    check(flat(([5, 3], [[3, 4], [5, 9], [3, 2], [1, 1], [2, 5], [1, 0]])));
    check(flat(([16, 130], [[2, 3], [3, 15], [2, 4], [1, 5], [1, 1], [0, 2]])));
}

#[test]
fn three_spatial_dims() {
    check(([16, 16], [[2, 3, 5], [4, 6, 10], [2, 2, 2], [2, 2, 2], [1, 1, 1], [0, 0, 0]]));
    check(([5, 20], [[3, 2, 4], [4, 5, 7], [3, 2, 3], [1, 3, 2], [1, 2, 1], [1, 0, 1]]));
}

#[test]
fn columns_that_no_tap_sees() {
    check(flat(([16, 16], [[2, 3], [6, 17], [1, 2], [3, 6], [1, 1], [0, 0]])));
    check(flat(([16, 16], [[2, 3], [9, 40], [3, 3], [2, 2], [1, 1], [0, 0]])));
}

#[test]
fn more_taps_than_one_list_holds() {
    check(flat(([4, 16], [[6, 7], [16, 17], [11, 11], [1, 1], [1, 1], [0, 0]])));
}

#[test]
fn wrong_sizes_are_refused() {
    let mut never = |_: &Tile, _: &[f32]| panic!("stored");
    let (kernel, dilations, pads) = ([1, 1, 1], [1, 1, 1], [0, 0, 0]);
    let (input, output) = ([1, 2, 2], [1, 2, 2]);
    let good = ConvShape {
        batch: 1,
        in_blocks: 2,
        out_blocks: 2,
        groups: 1,
        input,
        output,
        kernel,
        strides: [1, 1, 1],
        dilations,
        pads,
    };
    let (x, w) = ([0.0; 128], [0.0; 1024]);
    let mut refused =
        |conv: &ConvShape| conv_transpose(Isa::detect(), conv, &conv.whole(), &x, &w, &mut never).is_err();
    assert!(refused(&ConvShape { groups: 2, ..good }));
    assert!(refused(&ConvShape { strides: [1, 1, 0], ..good }));
    assert!(refused(&ConvShape { batch: 2, ..good }));
}

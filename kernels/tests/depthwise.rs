//! Depthwise convolutions on the emulator against plain loops in f64: every variant, inputs of all dtypes, strides, dilations, pads
//! on some sides only, channels a channel.

#[allow(dead_code, reason = "each test uses its part")]
mod harness;

use harness::{decode, divisor, encode, number, run_entry};
use kernels::depthwise::{Depthwise, DepthwiseVariant, VARIANTS, emit};
use kernels::finish::{Finish, Stored};
use kernels::fragment::Input;
use kernels::image::Window;
use kernels::launch::{Role, Tensor};
use ptx::Sm;
use ptx_emu::{Device, Options};

/// Extents of the data, pads before and after.
#[derive(Clone, Copy)]
struct Shape {
    batch: usize,
    data: [usize; 2],
    before: [usize; 2],
    after: [usize; 2],
}

fn stored(input: Input) -> Stored {
    match input {
        Input::F16 => Stored::F16,
        Input::Bf16 => Stored::Bf16,
        Input::Tf32 | Input::F32 => Stored::F32,
    }
}

fn check(input: Input, window: Window, multiplier: u32, variant: &DepthwiseVariant, shape: Shape) {
    let columns = window.channels * multiplier;
    let dtype = stored(input);
    let finish = Finish::Store { dtype, vector: variant.lanes };
    let problem = Depthwise { input, columns, multiplier, window, finish };
    let kernel = emit(&problem, variant, Sm::Sm80).unwrap();
    let Shape { batch, data, before, after } = shape;
    let result = [0, 1].map(|d: usize| {
        let reach = (window.kernel[d] as usize - 1) * window.dilations[d] as usize + 1;
        (data[d] + before[d] + after[d] - reach) / window.strides[d] as usize + 1
    });
    let (c, o) = (window.channels as usize, columns as usize);
    let x = |n: usize, y: usize, x: usize, c_at: usize| number(1, ((n * data[0] + y) * data[1] + x) * c + c_at);
    let w = |r: usize, s: usize, at: usize| number(2, (r * window.kernel[1] as usize + s) * o + at);
    let taps = (window.kernel[0] * window.kernel[1]) as usize;
    let mut device = Device::new(Options { reverse: true, ..Options::default() });
    let image: Vec<u8> = (0..batch * data[0] * data[1] * c).flat_map(|i| encode(input, number(1, i))).collect();
    let weights: Vec<u8> = (0..taps * o).flat_map(|i| encode(Input::F32, number(2, i))).collect();
    let (image, weights) = (device.alloc_with(&image), device.alloc_with(&weights));
    let pixels = batch * result[0] * result[1];
    let bytes = dtype.bytes() as usize;
    let out = device.alloc((pixels * o * bytes) as u64);
    let tiles = [0, 1].map(|d: usize| result[d].div_ceil(kernel.tile[d] as usize));
    let narrow = |v: usize| (v as u32).to_le_bytes().to_vec();
    let value = |role: &Role| match role {
        Role::Pointer(Tensor::Read(0)) => image.to_le_bytes().to_vec(),
        Role::Pointer(Tensor::Read(_)) => weights.to_le_bytes().to_vec(),
        Role::Pointer(Tensor::Write(_)) => out.to_le_bytes().to_vec(),
        Role::Lead(_) => (o as u64).to_le_bytes().to_vec(),
        Role::Extent(d) => narrow(data[*d as usize]),
        Role::Pad(d) => narrow(before[*d as usize]),
        Role::ResultHeight => narrow(result[0]),
        Role::ResultWidth => narrow(result[1]),
        Role::Tiles(d) => narrow(tiles[*d as usize]),
        Role::TilesDivisor(d) => divisor(tiles[*d as usize] as u64).to_vec(),
        other => panic!("{other:?}"),
    };
    let grid = [kernel.channel_tiles * (tiles[0] * tiles[1] * batch) as u32, 1, 1];
    run_entry(&mut device, (kernel.entry, &kernel.roles), Sm::Sm80, &value, (grid, 1, 0));
    let half_ulp = match dtype {
        Stored::F32 => 0.0,
        Stored::F16 => f64::powi(2.0, -11),
        Stored::Bf16 => f64::powi(2.0, -8),
    };
    let found = decode(dtype, &device.read(out, (pixels * o * bytes) as u64).unwrap());
    let mut at = 0;
    for n in 0..batch {
        for p in 0..result[0] {
            for q in 0..result[1] {
                for k in 0..o {
                    let (mut sum, mut size) = (0.0, 0.0);
                    for r in 0..window.kernel[0] as usize {
                        for s in 0..window.kernel[1] as usize {
                            let from = |o: usize, t: usize, d: usize| {
                                (o * window.strides[d] as usize + t * window.dilations[d] as usize)
                                    .checked_sub(before[d])
                                    .filter(|y| *y < data[d])
                            };
                            if let (Some(y), Some(z)) = (from(p, r, 0), from(q, s, 1)) {
                                let term = x(n, y, z, k / multiplier as usize) * w(r, s, k);
                                sum += term;
                                size += f64::abs(term);
                            }
                        }
                    }
                    let bound = size * taps as f64 * f64::powi(2.0, -24) + f64::abs(sum) * half_ulp;
                    let name = variant.name();
                    assert!((found[at] - sum).abs() <= bound, "{name} [{n}][{p}][{q}][{k}] {} for {sum}", found[at]);
                    at += 1;
                }
            }
        }
    }
}

const THREE: Window = Window { channels: 16, kernel: [3, 3], strides: [1, 1], dilations: [1, 1], groups: 1 };

fn shape(batch: usize, data: [usize; 2], pad: usize) -> Shape {
    Shape { batch, data, before: [pad; 2], after: [pad; 2] }
}

/// Images of a pixel more than a tile.
#[test]
fn every_variant_with_remainders() {
    for v in VARIANTS {
        let [down, across] = v.tile().map(|t| t as usize + 1);
        let input = if v.lanes <= 4 { Input::F32 } else { Input::F16 };
        check(input, THREE, 1, v, shape(2, [down, across], 1));
    }
}

#[test]
fn every_dtype_and_width_of_loads() {
    for input in [Input::F16, Input::Bf16, Input::F32] {
        for lanes in [1, 2, 4, 8] {
            if lanes * input.bytes() <= 16 {
                let v = DepthwiseVariant::new([1, 2], lanes, [2, 2], 3);
                check(input, Window { channels: lanes * 5, ..THREE }, 1, &v, shape(1, [3, 5], 1));
            }
        }
    }
}

#[test]
fn strides_dilations_and_pads_on_some_sides() {
    let v = &VARIANTS[0];
    check(Input::F16, Window { strides: [2, 2], ..THREE }, 1, v, shape(1, [9, 11], 1));
    check(Input::F16, Window { strides: [3, 2], dilations: [2, 3], ..THREE }, 1, v, shape(1, [12, 13], 2));
    let lopsided = Shape { batch: 2, data: [6, 5], before: [0, 1], after: [1, 0] };
    check(Input::F16, Window { strides: [2, 2], ..THREE }, 1, v, lopsided);
    check(Input::F16, Window { kernel: [1, 5], ..THREE }, 1, v, shape(1, [1, 9], 0));
}

#[test]
fn large_windows_walk() {
    let wide = Window { kernel: [5, 5], channels: 8, ..THREE };
    check(Input::F16, wide, 1, &VARIANTS[0], shape(1, [7, 6], 2));
    let wide = Window { kernel: [7, 7], ..wide };
    check(Input::F16, wide, 1, &VARIANTS[6], shape(1, [9, 6], 3));
    check(Input::F32, Window { dilations: [2, 1], ..wide }, 1, &VARIANTS[7], shape(1, [13, 8], 3));
}

#[test]
fn several_channels_a_channel() {
    for (multiplier, lanes) in [(2, 8), (4, 8), (8, 8), (2, 2), (2, 4)] {
        let v = DepthwiseVariant::new([2, 2], lanes, [2, 2], 4);
        check(Input::F16, Window { channels: 8, ..THREE }, multiplier, &v, shape(1, [4, 5], 1));
    }
}

/// What does not fit is refused with a reason.
#[test]
fn misfits_are_refused() {
    let refused = |columns: u32, multiplier: u32, variant: DepthwiseVariant, expected: &str| {
        let finish = Finish::Store { dtype: Stored::F16, vector: variant.lanes };
        let window = Window { channels: columns / multiplier, ..THREE };
        let problem = Depthwise { input: Input::F16, columns, multiplier, window, finish };
        let error = emit(&problem, &variant, Sm::Sm80).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(12, 1, VARIANTS[0], "divide the channels");
    refused(24, 3, VARIANTS[0], "the multiplier must divide");
    refused(16, 1, DepthwiseVariant::new([4, 4], 8, [4, 4], 8), "64 registers");
    refused(16, 1, DepthwiseVariant::new([1, 1], 16, [4, 4], 8), "16 bytes");
}

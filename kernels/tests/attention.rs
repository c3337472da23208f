//! Attention against plain f64 arithmetic, on the emulator.

use half::{bf16, f16};
use kernels::attention::{Attention, AttentionVariant, Mask, plain, tensor, wide};
use kernels::finish::{Finish, Stored};
use kernels::fragment::Input;
use kernels::launch::{Role, Tensor};
use ptx::{Module, Sm};
use ptx_emu::{Device, Launch, Options};

/// Batch, heads, queries, keys; queries, keys and values are parts of one tensor `[B][S or T][3][H][D]`.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    past: usize,
}

const SMALL: Sizes = Sizes { batch: 2, heads: 3, queries: 21, keys: 45, past: 0 };

fn number(seed: u32, at: usize) -> f64 {
    let x = (at as u64).wrapping_add(u64::from(seed) * 7919).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((x >> 40) % 63) as f64 / 16.0 - 2.0
}

fn encode(input: Input, value: f64) -> Vec<u8> {
    match input {
        Input::F16 => f16::from_f64(value).to_le_bytes().to_vec(),
        Input::Bf16 => bf16::from_f64(value).to_le_bytes().to_vec(),
        Input::Tf32 | Input::F32 => (value as f32).to_le_bytes().to_vec(),
    }
}

fn mask_at(mask: Mask, [b, h, s, t]: [usize; 4]) -> f64 {
    let at = ((b * 7 + h) * 1013 + s) * 91 + t;
    match mask {
        Mask::F32 | Mask::F16 | Mask::Bf16 => number(5, at),
        // A row of nothing, else three of four.
        Mask::Bool { .. } if s == 2 => 0.0,
        Mask::Bool { .. } => f64::from(number(5, at) > -1.0),
    }
}

fn problem(input: Input, [depth, width]: [u32; 2], mask: Option<Mask>) -> Attention {
    Attention {
        input,
        batch_dims: 2,
        depth,
        width,
        chunk: 16,
        scale: 0.25,
        mask,
        causal: false,
        zero_empty: false,
        finish: Finish::Store { dtype: Stored::F32, vector: 4 },
    }
}

fn divisor(d: u64) -> [u8; 8] {
    let s = 64 - (d - 1).leading_zeros();
    let m = (((1_u64 << s) - d) << 32) / d + 1;
    ((m & 0xFFFF_FFFF) | u64::from(s) << 32).to_le_bytes()
}

fn check(problem: &Attention, variant: &AttentionVariant, sm: Sm, sizes: Sizes) {
    let kernel = match problem.input {
        Input::F32 | Input::Tf32 => plain::emit(problem, variant, sm),
        Input::F16 | Input::Bf16 if variant.wide => wide::emit(problem, variant, sm),
        Input::F16 | Input::Bf16 => tensor::emit(problem, variant, sm),
    };
    let kernel = kernel.unwrap();
    let Sizes { batch, heads, queries, keys, past } = sizes;
    let (depth, width) = (problem.depth as usize, problem.width as usize);
    let bytes = problem.input.bytes() as usize;
    // All three lie in rows of as many elements as the largest.
    let (length, head) = (queries.max(keys), depth.max(width));
    let element =
        |part: usize, b: usize, at: usize, h: usize, d: usize| (((b * length + at) * 3 + part) * heads + h) * head + d;
    let value = |part: usize, b: usize, at: usize, h: usize, d: usize| number(1, element(part, b, at, h, d)) / 2.0;
    let count = batch * length * 3 * heads * head;
    let data: Vec<u8> = (0..count).flat_map(|i| encode(problem.input, number(1, i) / 2.0)).collect();
    let mask_value = |b, h, s, t| problem.mask.map(|mask| mask_at(mask, [b, h, s, t]));
    let mut masks: Vec<u8> = Vec::new();
    if let Some(mask) = problem.mask {
        for at in 0..batch * heads * queries * keys {
            let (rest, t) = (at / keys, at % keys);
            let (rest, s) = (rest / queries, rest % queries);
            let value = mask_at(mask, [rest / heads, rest % heads, s, t]);
            match mask {
                Mask::F32 => masks.extend((value as f32).to_le_bytes()),
                Mask::F16 => masks.extend(encode(Input::F16, value)),
                Mask::Bf16 => masks.extend(encode(Input::Bf16, value)),
                Mask::Bool { .. } => masks.push(value as u8),
            }
        }
    }
    let mut device = Device::new(Options { races: true, reverse: true, ..Options::default() });
    let all = device.alloc_with(&data);
    let mask = device.alloc_with(if masks.is_empty() { &[0; 16] } else { &masks });
    let out = device.alloc((batch * queries * heads * width * 4) as u64);
    let part = |n: u32| all + (n as usize * heads * head * bytes) as u64;
    let wide = |v: usize| (v as u64).to_le_bytes().to_vec();
    let narrow = |v: usize| (v as u32).to_le_bytes().to_vec();
    let mut params: Vec<u8> = Vec::new();
    for role in &kernel.roles {
        let value = match role {
            Role::Pointer(Tensor::Read(3)) => mask.to_le_bytes().to_vec(),
            Role::Pointer(Tensor::Read(n)) => part(*n).to_le_bytes().to_vec(),
            Role::Pointer(Tensor::Write(_)) => out.to_le_bytes().to_vec(),
            Role::BatchStride(Tensor::Read(3), d) => wide([heads * queries * keys, queries * keys, 1][*d as usize]),
            Role::BatchStride(Tensor::Read(_), d) => wide([length * 3 * heads * head, head][*d as usize]),
            Role::BatchStride(Tensor::Write(_), d) => wide([queries * heads * width, width][*d as usize]),
            Role::Lead(Tensor::Read(3)) => wide(keys),
            Role::Lead(Tensor::Read(_)) => wide(3 * heads * head),
            Role::Lead(Tensor::Write(_)) => wide(heads * width),
            Role::Rows => narrow(queries),
            Role::Depth => narrow(keys),
            Role::Past => narrow(past),
            Role::BatchExtent(d) => narrow([batch, heads][*d as usize]),
            Role::BatchDivisor(d) => divisor([batch, heads][*d as usize] as u64).to_vec(),
            other => panic!("{other:?}"),
        };
        params.resize(params.len().div_ceil(value.len()) * value.len(), 0);
        params.extend(value);
    }
    let blocks = queries.div_ceil(variant.queries as usize) as u32;
    let entry = kernel.entry.name.clone();
    let block = kernel.entry.block.unwrap();
    let module = Module::new(sm, vec![kernel.entry]);
    if let Err(problems) = ptx::verify(&module) {
        panic!("{entry}: {:?}", problems.first());
    }
    let module = ptx_emu::Module::parse(&ptx::print(&module)).unwrap_or_else(|e| panic!("{entry}: {e:?}"));
    let grid = [(batch * heads) as u32, blocks, 1];
    let launch = Launch { dynamic_shared: kernel.shared, ..Launch::new(&entry, grid, block, &params) };
    if let Err(faults) = device.launch(&module, &launch) {
        panic!("{entry}: {:#?}", faults.iter().take(3).collect::<Vec<_>>());
    }
    let tolerance = match problem.input {
        Input::F32 | Input::Tf32 => 4e-6,
        Input::F16 => 1e-3,
        Input::Bf16 => 8e-3,
    };
    for (b, h, s) in (0..batch * heads * queries).map(|i| (i / queries / heads, i / queries % heads, i % queries)) {
        let score = |t: usize| {
            let sum: f64 = (0..depth).map(|d| value(0, b, s, h, d) * value(1, b, t, h, d)).sum();
            let score = sum * f64::from(problem.scale);
            let score = match (problem.mask, mask_value(b, h, s, t)) {
                (Some(Mask::Bool { fill }), Some(0.0)) => f64::from(fill),
                (Some(Mask::Bool { .. }), _) | (None, _) => score,
                (Some(_), mask) => score + mask.unwrap(),
            };
            if problem.causal && t > s + past { f64::NEG_INFINITY } else { score }
        };
        let scores: Vec<f64> = (0..keys).map(score).collect();
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = scores.iter().map(|x| (x - top).exp()).collect();
        let total: f64 = powers.iter().sum();
        let row = out + (((b * queries + s) * heads + h) * width * 4) as u64;
        let found = device.read(row, (width * 4) as u64).unwrap();
        for (e, found) in found.chunks(4).enumerate() {
            let found = f64::from(f32::from_le_bytes(found.try_into().unwrap()));
            let terms = powers.iter().enumerate().map(|(t, p)| p / total * value(2, b, t, h, e));
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), x: f64| (sum + x, size + x.abs()));
            if sum.is_nan() {
                let right = if problem.zero_empty { found == 0.0 } else { found.is_nan() };
                assert!(right, "{entry}: [{b}][{h}][{s}][{e}] is {found} in a row of nothing");
                continue;
            }
            let bound = tolerance * (size + 0.01);
            assert!((found - sum).abs() <= bound, "{entry}: [{b}][{h}][{s}][{e}] is {found}, not {sum}");
        }
    }
}

#[test]
fn tensor_variants() {
    for variant in tensor::VARIANTS {
        check(&problem(Input::F16, [64, 64], None), variant, Sm::Sm80, SMALL);
    }
}

#[test]
fn tensor_masks() {
    let variant = &tensor::VARIANTS[1];
    let never = f32::NEG_INFINITY;
    let masks = [Mask::F32, Mask::F16, Mask::Bf16, Mask::Bool { fill: never }, Mask::Bool { fill: -1e4 }];
    for mask in masks {
        check(&problem(Input::F16, [32, 32], Some(mask)), variant, Sm::Sm90a, SMALL);
    }
    let zeros = Attention { zero_empty: true, ..problem(Input::Bf16, [16, 32], Some(Mask::Bool { fill: never })) };
    check(&zeros, variant, Sm::Sm80, SMALL);
}

#[test]
fn tensor_sizes() {
    let causal = |p: Attention| Attention { causal: true, ..p };
    let sizes = Sizes { batch: 1, heads: 2, queries: 70, keys: 75, past: 5 };
    check(&causal(problem(Input::F16, [128, 128], None)), &tensor::VARIANTS[2], Sm::Sm80, sizes);
    check(&causal(problem(Input::F16, [80, 96], None)), &tensor::VARIANTS[1], Sm::Sm80, sizes);
    let one = Sizes { batch: 1, heads: 1, queries: 1, keys: 1, past: 0 };
    check(&problem(Input::Bf16, [96, 80], None), &tensor::VARIANTS[0], Sm::Sm80, one);
    let unaligned = Attention { chunk: 4, ..problem(Input::F16, [64, 64], None) };
    check(&unaligned, &tensor::VARIANTS[0], Sm::Sm80, one);
}

/// Variants by their names.
fn wide_variant(name: &str) -> &'static AttentionVariant {
    wide::VARIANTS.iter().find(|variant| variant.name() == name).unwrap()
}

#[test]
fn wide_variants() {
    let sizes = Sizes { batch: 1, heads: 1, queries: 70, keys: 300, past: 0 };
    for variant in wide::VARIANTS {
        check(&problem(Input::F16, [64, 64], None), variant, Sm::Sm90a, sizes);
    }
}

#[test]
fn wide_masks() {
    let never = f32::NEG_INFINITY;
    let masks = [Mask::F32, Mask::F16, Mask::Bf16, Mask::Bool { fill: never }, Mask::Bool { fill: -1e4 }];
    let sizes = Sizes { batch: 2, heads: 1, ..SMALL };
    for mask in masks {
        check(&problem(Input::F16, [32, 32], Some(mask)), wide_variant("w64x64_4_2"), Sm::Sm90a, sizes);
    }
    let zeros = Attention { zero_empty: true, ..problem(Input::Bf16, [16, 32], Some(Mask::Bool { fill: never })) };
    check(&zeros, wide_variant("w64x64_8_2"), Sm::Sm90a, Sizes { keys: 80, ..sizes });
}

#[test]
fn wide_sizes() {
    let causal = |p: Attention| Attention { causal: true, ..p };
    let sizes = Sizes { batch: 1, heads: 2, queries: 70, keys: 75, past: 5 };
    check(&causal(problem(Input::F16, [128, 128], None)), wide_variant("w64x64_4_2"), Sm::Sm90a, sizes);
    check(&causal(problem(Input::F16, [80, 96], None)), wide_variant("w128x64_8_2"), Sm::Sm90a, sizes);
    let long = Sizes { queries: 140, keys: 270, past: 120, ..sizes };
    check(&causal(problem(Input::F16, [64, 128], None)), wide_variant("w128x128_8_2"), Sm::Sm90a, long);
    check(&causal(problem(Input::F16, [128, 64], None)), wide_variant("w64x64_12_2"), Sm::Sm90a, long);
    let one = Sizes { batch: 1, heads: 1, queries: 1, keys: 1, past: 0 };
    check(&problem(Input::Bf16, [96, 80], None), wide_variant("w64x64_8_2"), Sm::Sm90a, one);
    let unaligned = Attention { chunk: 4, scale: -0.25, ..problem(Input::F16, [64, 64], None) };
    check(&unaligned, wide_variant("w64x64_4_2"), Sm::Sm90a, one);
}

#[test]
fn plain_variants() {
    for variant in plain::VARIANTS {
        check(&problem(Input::F32, [64, 64], None), variant, Sm::Sm80, SMALL);
    }
    check(&problem(Input::F32, [64, 64], None), &plain::VARIANTS[0], Sm::Sm75, SMALL);
}

#[test]
fn plain_masks_and_sizes() {
    let masks = [Mask::F32, Mask::Bool { fill: f32::NEG_INFINITY }, Mask::Bool { fill: -1e4 }];
    for mask in masks {
        let problem = Attention { zero_empty: true, ..problem(Input::F32, [32, 32], Some(mask)) };
        check(&problem, &plain::VARIANTS[1], Sm::Sm90a, SMALL);
    }
    let sizes = Sizes { batch: 1, heads: 2, queries: 70, keys: 75, past: 5 };
    let causal = |p: Attention| Attention { causal: true, ..p };
    check(&causal(problem(Input::F32, [80, 96], None)), &plain::VARIANTS[0], Sm::Sm80, sizes);
    check(&causal(problem(Input::F32, [128, 128], None)), &plain::VARIANTS[0], Sm::Sm80, sizes);
    let unaligned = Attention { chunk: 4, ..problem(Input::F32, [16, 48], None) };
    check(&unaligned, &plain::VARIANTS[3], Sm::Sm80, Sizes { batch: 1, heads: 1, queries: 1, keys: 1, past: 0 });
}

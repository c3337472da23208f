//! Products and convolutions on tensor cores, on the emulator: every variant with remainders, every input, both forms of both
//! operands, every chunk.

#[allow(dead_code, reason = "each test uses its part")]
mod harness;

use harness::{Image, Sizes, check};
use kernels::finish::{Finish, Stored};
use kernels::fragment::Input;
use kernels::gemm::{GemmVariant, VARIANTS, emit};
use kernels::image::Window;
use kernels::product::{Product, Side};
use kernels::wide;
use ptx::Sm;

fn side(crossed: bool, chunk: u32) -> Side {
    Side { crossed, chunk, weights: false }
}

fn problem(input: Input, sizes: &Sizes, [a, b]: [Side; 2], dtype: Stored, vector: u32) -> Product {
    Product {
        input,
        columns: Some(sizes.columns as u32),
        depth: Some(sizes.depth as u32),
        batch_dims: sizes.batch.len() as u32,
        a,
        b,
        finish: Finish::Store { dtype, vector },
        window: None,
    }
}

fn sizes(rows: usize, columns: usize, depth: usize) -> Sizes {
    Sizes { rows, columns, depth, batch: Vec::new(), image: None }
}

fn run(problem: &Product, variant: &GemmVariant, sm: Sm, sizes: &Sizes) {
    check(problem, emit(problem, variant, sm).unwrap(), sm, sizes);
}

const SMALL: GemmVariant = GemmVariant::new([32, 32, 64], [1, 2], 3);

/// A row more than a tile, less than a tile of columns, and a sum that ends within a slot.
#[test]
fn every_variant_with_remainders() {
    for v in VARIANTS {
        let s = sizes(v.rows as usize + 1, 40, v.depth as usize * 2 + 8);
        let p = problem(Input::F16, &s, [side(false, 16); 2], Stored::F16, 8);
        run(&p, v, Sm::Sm80, &s);
    }
}

#[test]
fn fewer_slots_than_stages() {
    let s = sizes(5, 8, 8);
    run(&problem(Input::F16, &s, [side(false, 16); 2], Stored::F32, 4), &VARIANTS[11], Sm::Sm80, &s);
}

#[test]
fn bf16_and_tf32() {
    let s = sizes(37, 36, 84);
    run(&problem(Input::Bf16, &s, [side(false, 8); 2], Stored::Bf16, 4), &SMALL, Sm::Sm90a, &s);
    run(&problem(Input::Tf32, &s, [side(false, 16); 2], Stored::F32, 4), &SMALL, Sm::Sm90a, &s);
}

#[test]
fn crossed_operands() {
    let s = sizes(41, 36, 70);
    for (a, b) in [(true, true), (true, false), (false, true)] {
        let p = problem(Input::F16, &s, [side(a, 4), side(b, 4)], Stored::F32, 4);
        run(&p, &SMALL, Sm::Sm80, &s);
    }
    let s = sizes(136, 200, 40);
    run(&problem(Input::F16, &s, [side(true, 16); 2], Stored::F16, 8), &VARIANTS[2], Sm::Sm80, &s);
}

#[test]
fn odd_sizes_by_single_elements() {
    let s = sizes(33, 35, 67);
    for (a, b) in [(false, false), (true, true)] {
        let p = problem(Input::F16, &s, [side(a, 2), side(b, 2)], Stored::F16, 1);
        run(&p, &SMALL, Sm::Sm80, &s);
        run(&p, &SMALL, Sm::Sm75, &s);
    }
}

#[test]
fn sm_75_goes_through_registers() {
    let s = sizes(70, 40, 72);
    let p = problem(Input::F16, &s, [side(false, 16); 2], Stored::F16, 8);
    run(&p, &VARIANTS[7], Sm::Sm75, &s);
}

#[test]
fn splits_and_batches() {
    let s = Sizes { batch: vec![2, 3], ..sizes(33, 16, 200) };
    let p = problem(Input::F16, &s, [side(false, 16); 2], Stored::F16, 8);
    for splits in [1, 3, 8] {
        run(&p, &GemmVariant { splits, group: 2, ..SMALL }, Sm::Sm80, &s);
    }
    let p = Product { columns: None, depth: None, ..p };
    run(&p, &SMALL, Sm::Sm80, &s);
}

/// Parts of a sum are added inside a cluster where there are clusters: 3 and 8 of them, one without a term; more go through scratch.
#[test]
fn splits_inside_clusters() {
    let s = Sizes { batch: vec![2], ..sizes(33, 40, 200) };
    let p = problem(Input::F16, &s, [side(false, 16); 2], Stored::F16, 8);
    for splits in [2, 3, 8, 12] {
        run(&p, &GemmVariant { splits, group: 2, ..SMALL }, Sm::Sm90a, &s);
    }
    let s = sizes(70, 35, 300);
    let p = problem(Input::F16, &s, [side(false, 4); 2], Stored::F32, 1);
    run(&p, &GemmVariant { splits: 4, group: 1, ..VARIANTS[7] }, Sm::Sm100a, &s);
    run(&p, &GemmVariant { splits: 4, group: 1, ..VARIANTS[11] }, Sm::Sm90a, &s);
}

/// A window over images, at a batch of two.
fn convolve(window: Window, data: [usize; 2], pads: [usize; 2], columns: usize, chunk: u32) {
    let extent = |d: usize| {
        let reach = window.dilations[d] as usize * (window.kernel[d] as usize - 1) + 1;
        (data[d] + 2 * pads[d] - reach) / window.strides[d] as usize + 1
    };
    let result = [extent(0), extent(1)];
    let image = Some(Image { batch: 2, data, result, pads });
    let s = Sizes { image, ..sizes(2 * result[0] * result[1], columns, window.depth() as usize) };
    let p = Product {
        window: Some(window),
        ..problem(Input::F16, &s, [side(false, chunk), side(false, 4)], Stored::F16, 1)
    };
    run(&p, &SMALL, Sm::Sm80, &s);
}

#[test]
fn convolutions() {
    let window = Window { channels: 8, kernel: [3, 3], strides: [1, 1], dilations: [1, 1], groups: 1 };
    convolve(window, [5, 6], [1, 1], 9, 16);
    convolve(Window { channels: 72, ..window }, [4, 4], [1, 1], 17, 16);
    convolve(Window { strides: [2, 3], dilations: [2, 1], ..window }, [9, 8], [2, 1], 5, 16);
    convolve(Window { channels: 4, kernel: [7, 7], strides: [2, 2], ..window }, [11, 9], [3, 3], 33, 8);
    convolve(Window { channels: 16, kernel: [1, 1], ..window }, [4, 3], [0, 0], 7, 16);
}

/// Warp groups: every variant with a row more than a tile, less than a tile of columns, and a sum that ends within a slot.
#[test]
fn warp_groups_with_remainders() {
    for v in wide::VARIANTS {
        let s = sizes(v.rows as usize + 1, 40, 64 * 5 + 8);
        let p = problem(Input::F16, &s, [side(false, 16); 2], Stored::F16, 8);
        check(&p, wide::emit(&p, v, Sm::Sm90a).unwrap(), Sm::Sm90a, &s);
    }
}

#[test]
fn warp_groups_with_few_slots_and_splits() {
    let v = wide::WideVariant::new([64, 64], [1, 1], 4);
    let s = sizes(5, 8, 8);
    let p = problem(Input::Bf16, &s, [side(false, 16); 2], Stored::F32, 4);
    check(&p, wide::emit(&p, &v, Sm::Sm90a).unwrap(), Sm::Sm90a, &s);
    let s = Sizes { batch: vec![2], ..sizes(70, 35, 500) };
    let p = problem(Input::F16, &s, [side(false, 8), side(false, 4)], Stored::F16, 1);
    for splits in [3, 8, 9] {
        let v = wide::WideVariant { splits, ..v };
        check(&p, wide::emit(&p, &v, Sm::Sm90a).unwrap(), Sm::Sm90a, &s);
    }
    assert!(wide::emit(&p, &v, Sm::Sm100a).unwrap_err().to_string().contains("sm_90"));
}

#[test]
fn warp_groups_convolve() {
    let window = Window { channels: 8, kernel: [3, 3], strides: [2, 1], dilations: [1, 2], groups: 1 };
    let image = Image { batch: 2, data: [9, 8], result: [5, 6], pads: [1, 1] };
    let s = Sizes { image: Some(image), ..sizes(60, 24, window.depth() as usize) };
    let p =
        Product { window: Some(window), ..problem(Input::F16, &s, [side(false, 16), side(false, 16)], Stored::F16, 8) };
    let v = wide::WideVariant::new([64, 64], [1, 1], 4);
    check(&p, wide::emit(&p, &v, Sm::Sm90a).unwrap(), Sm::Sm90a, &s);
}

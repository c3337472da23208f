//! Products and convolutions in f32 on the emulator: every variant at sizes with remainders, both forms of both operands.

#[allow(dead_code, reason = "each test uses its part")]
mod harness;

use harness::{Image, Sizes, check};
use kernels::finish::{Finish, Stored};
use kernels::fragment::Input;
use kernels::image::Window;
use kernels::product::{Product, Side};
use kernels::simt::{SimtVariant, VARIANTS, emit};
use ptx::Sm;

fn side(crossed: bool, chunk: u32) -> Side {
    Side { crossed, chunk, weights: false }
}

fn problem(columns: u32, depth: u32, a: Side, b: Side, vector: u32) -> Product {
    let finish = Finish::Store { dtype: Stored::F32, vector };
    Product { input: Input::F32, columns: Some(columns), depth: Some(depth), batch_dims: 0, a, b, finish, window: None }
}

fn sizes(rows: usize, columns: usize, depth: usize) -> Sizes {
    Sizes { rows, columns, depth, batch: Vec::new(), image: None }
}

fn run(problem: &Product, variant: &SimtVariant, sm: Sm, sizes: &Sizes) {
    check(problem, emit(problem, variant, sm).unwrap(), sm, sizes);
}

/// One row and column more than a tile, and a partial slot.
#[test]
fn every_variant_with_remainders() {
    for v in VARIANTS {
        let (m, n, k) = (v.rows + 1, v.columns + 4, v.depth * 2 + 4);
        let p = problem(n, k, side(false, 16), side(false, 16), 4);
        run(&p, v, Sm::Sm75, &sizes(m as usize, n as usize, k as usize));
    }
}

#[test]
fn a_single_element() {
    let p = problem(1, 1, side(false, 4), side(false, 4), 1);
    run(&p, &VARIANTS[7], Sm::Sm75, &sizes(1, 1, 1));
}

#[test]
fn crossed_operands_through_registers() {
    let p = problem(36, 21, side(true, 4), side(true, 16), 2);
    run(&p, &VARIANTS[7], Sm::Sm75, &sizes(33, 36, 21));
    run(&p, &VARIANTS[4], Sm::Sm75, &sizes(65, 36, 21));
}

#[test]
fn split_sums() {
    for splits in [2, 3] {
        let v = SimtVariant { splits, group: 2, ..VARIANTS[7] };
        let p = problem(35, 50, side(false, 4), side(false, 4), 1);
        run(&p, &v, Sm::Sm75, &sizes(67, 35, 50));
    }
}

#[test]
fn batches_with_strides_and_sizes_as_arguments() {
    let finish = Finish::Store { dtype: Stored::F16, vector: 4 };
    let (a, b) = (side(false, 16), side(false, 4));
    let p = Product { input: Input::F32, columns: None, depth: None, batch_dims: 2, a, b, finish, window: None };
    let s = Sizes { rows: 5, columns: 12, depth: 36, batch: vec![2, 3], image: None };
    run(&p, &VARIANTS[7], Sm::Sm75, &s);
    run(&p, &SimtVariant { splits: 2, ..VARIANTS[7] }, Sm::Sm75, &s);
}

/// A window over images, at a batch of two.
fn convolve(window: Window, data: [usize; 2], pads: [usize; 2], columns: u32, chunk: u32) {
    let extent = |d: usize| {
        let reach = window.dilations[d] as usize * (window.kernel[d] as usize - 1) + 1;
        (data[d] + 2 * pads[d] - reach) / window.strides[d] as usize + 1
    };
    let result = [extent(0), extent(1)];
    let image = Image { batch: 2, data, result, pads };
    let mut p = problem(columns, window.depth(), side(false, chunk), side(false, 4), 1);
    p.window = Some(window);
    let rows = 2 * result[0] * result[1];
    let s = Sizes {
        rows,
        columns: columns as usize,
        depth: window.depth() as usize,
        batch: Vec::new(),
        image: Some(image),
    };
    run(&p, &VARIANTS[7], Sm::Sm75, &s);
}

#[test]
fn convolutions() {
    let window = Window { channels: 8, kernel: [3, 3], strides: [1, 1], dilations: [1, 1], groups: 1 };
    convolve(window, [5, 6], [1, 1], 9, 16);
    convolve(Window { strides: [2, 3], dilations: [2, 1], ..window }, [9, 8], [2, 1], 5, 16);
    convolve(Window { channels: 3, kernel: [7, 5], strides: [2, 2], ..window }, [11, 9], [3, 2], 33, 4);
    convolve(Window { channels: 20, kernel: [1, 1], ..window }, [4, 3], [0, 0], 7, 16);
    convolve(Window { channels: 1, kernel: [2, 3], ..window }, [4, 5], [0, 1], 3, 4);
}

//! Tests of collapsing and of the choice of schedules, on the text of kernels.

use graph::dim::Dim;
use nest::kernel::{Body, Kernel};

use crate::facts::Limits;
use crate::flat::{Flat, Merge, Reads, flatten, parameter_symbols};
use crate::schedule::variants;

/// The only stage of a kernel, collapsed.
fn flat(text: &str) -> (Kernel, Flat) {
    let kernel = nest::text::parse(text).unwrap_or_else(|e| panic!("{e}"));
    nest::verify::kernel(&kernel).unwrap();
    let Body::Nest(nest) = &kernel.body else { panic!("not a nest") };
    let extents: Vec<Dim> = nest.stages[0].inner.clone();
    let symbols = parameter_symbols(kernel.params, &extents);
    let reads = Reads { operands: &kernel.operands, kept: &[] };
    let flat = flatten(&symbols, &nest.outer, &nest.stages[0], reads, &kernel.results, Merge::All).unwrap();
    (kernel, flat)
}

fn dims(dims: &[Dim]) -> String {
    format!("{:?}", dims.iter().map(|d| d.as_const().unwrap_or(-1)).collect::<Vec<_>>())
}

fn check(text: &str, parallel: &str, reduce: &str, expected: &[&str]) {
    let (kernel, flat) = flat(text);
    assert_eq!(dims(&flat.parallel), parallel);
    let bounds: Vec<Dim> = flat.reduce.iter().map(|e| e.bound.clone()).collect();
    assert_eq!(dims(&bounds), reduce);
    let symbols = parameter_symbols(kernel.params, &flat.extents());
    let found: Vec<String> = variants(&flat, &symbols, &Limits::default())
        .iter()
        .map(|v| format!("{}{:?}", if v.wide { "wide " } else { "" }, v.schedule))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn bias_over_channels_keeps_two_dims() {
    check(
        "kernel params 0 { operand f32[2, 3, 4, 5] operand f32[3] result f32[2, 3, 4, 5]
         nest outer [] { stage inner [2, 3, 4, 5] {
           e0 = index 0 e1 = index 1 e2 = index 2 e3 = index 3
           e4 = load 0 [e0, e1, e2, e3] e5 = load 1 [e1] e6 = add e4, e5
           out [e6 to 0 [e0, e1, e2, e3]] } } }",
        "[2, 3, 20]",
        "[]",
        &["Points { vector: 4, unroll: 2 }"],
    );
}

#[test]
fn dense_elementwise_is_one_dim() {
    check(
        "kernel params 0 { operand f16[7, 3, 5] result f16[7, 3, 5]
         nest outer [] { stage inner [7, 3, 5] {
           e0 = index 0 e1 = index 1 e2 = index 2 e3 = load 0 [e0, e1, e2] e4 = neg e3
           out [e4 to 0 [e0, e1, e2]] } } }",
        "[105]",
        "[]",
        &["Points { vector: 1, unroll: 4 }"],
    );
}

#[test]
fn unknown_sizes_have_variants() {
    check(
        "kernel params 1 { operand f32[p0] result f32[p0]
         nest outer [] { stage inner [p0] {
           e0 = index 0 e1 = load 0 [e0] e2 = neg e1 out [e2 to 0 [e0]] } } }",
        "[-1]",
        "[]",
        &["Points { vector: 4, unroll: 2 }", "Points { vector: 1, unroll: 4 }", "wide Points { vector: 1, unroll: 1 }"],
    );
}

#[test]
fn results_decide_the_order_of_dims() {
    check(
        "kernel params 0 { operand f32[2, 3, 8] result f32[2, 3, 8] strides [24, 1, 3]
         nest outer [] { stage inner [2, 3, 8] {
           e0 = index 0 e1 = index 1 e2 = index 2 e3 = load 0 [e0, e1, e2]
           out [e3 to 0 [e0, e1, e2]] } } }",
        "[2, 8, 3]",
        "[]",
        &["Points { vector: 1, unroll: 4 }"],
    );
}

#[test]
fn rows_are_reduced_by_warps_and_ctas() {
    let kernel = |n: &str| {
        format!(
            "kernel params 0 {{ operand f32[128, 2, {n}] result f32[128]
             nest outer [] {{ stage inner [128] {{ reduce [2, {n}]
               e0 = index 0 e1 = index 1 e2 = index 2 e3 = load 0 [e0, e1, e2] acc0: f32 = sum e3 e4 = acc 0
               out [e4 to 0 [e0]] }} }} }}"
        )
    };
    let of = |points, lanes, vector, rows, parts| {
        format!("Reduce {{ points: {points}, lanes: {lanes}, vector: {vector}, rows: {rows}, parts: {parts} }}")
    };
    check(&kernel("100"), "[128]", "[200]", &[&of(8, 32, 4, true, 1)]);
    check(&kernel("2048"), "[128]", "[4096]", &[&of(1, 256, 4, true, 1)]);
    check(&kernel("4096"), "[128]", "[8192]", &[&of(1, 1024, 4, true, 1)]);
    check(&kernel("3"), "[128]", "[6]", &["Columns(Columns { vector: 1, lanes: 1, parts: 1, threads: 256 })"]);
}

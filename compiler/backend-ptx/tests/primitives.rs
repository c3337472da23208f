//! Scatter, sort, compact and prefix on the emulator.

#[path = "../../ptx/tests/assembler/mod.rs"]
mod assembler;
mod emulated;

use emulated::Tolerance::{self, Exact, Ulp};
use emulated::check;

fn prefix(dtype: &str, what: &str, shapes: &[&[i64]], tolerance: Tolerance) {
    for axis in [0, 1] {
        let text = format!(
            "kernel params 2 {{ operand {dtype}[p0, p1] result {dtype}[p0, p1] {} }}",
            what.replace("axis", &format!("axis {axis}"))
        );
        check(&format!("prefix_{dtype}_{}_{axis}", what.replace(' ', "_")), &text, shapes, tolerance);
    }
}

#[test]
fn prefixes() {
    let shapes: &[&[i64]] = &[&[0, 3], &[2, 1], &[3, 5], &[2, 130], &[130, 2], &[1, 700]];
    prefix("f32", "prefix sum axis", shapes, Ulp(1));
    prefix("f32", "prefix sum axis exclusive", shapes, Ulp(1));
    prefix("i8", "prefix sum axis reverse", shapes, Exact);
    prefix("i64", "prefix max axis exclusive reverse", shapes, Exact);
    prefix("f16", "prefix min axis", shapes, Exact);
    prefix("bool", "prefix any axis", shapes, Exact);
}

#[test]
fn prefixes_of_long_lines() {
    for (dtype, what) in [("f32", "sum axis 1"), ("i32", "sum axis 1 exclusive"), ("i16", "max axis 1 reverse")] {
        let text = format!("kernel params 1 {{ operand {dtype}[p0, 17000] result {dtype}[p0, 17000] prefix {what} }}");
        check(&format!("long_{dtype}"), &text, &[&[1], &[2]], Ulp(1));
    }
}

fn sort(keys: &[&str], axis: usize, limit: &str, descending: bool, shapes: &[&[i64]]) {
    let operands: String = keys.iter().map(|k| format!("operand {k}[p0, p1] ")).collect();
    let shape = if axis == 0 { format!("[{limit}, p1]") } else { format!("[p0, {limit}]") };
    let results: String = keys.iter().chain(&["i64"]).map(|k| format!("result {k}{shape} ")).collect();
    let word = if descending { " descending" } else { "" };
    let text = format!("kernel params 3 {{ {operands} {results} sort axis {axis}{word} }}");
    check(&format!("sort_{}_{axis}{}", keys.join("_"), word.trim()), &text, shapes, Exact);
}

#[test]
fn sorts() {
    sort(&["f32"], 1, "p1", false, &[&[0, 3, 0], &[2, 1, 0], &[3, 7, 0], &[2, 64, 0], &[1, 600, 0]]);
    sort(&["f32"], 0, "p2", true, &[&[5, 2, 3], &[70, 3, 70]]);
    sort(&["i8"], 1, "p2", true, &[&[2, 40, 5]]);
    sort(&["i64"], 1, "p2", true, &[&[2, 40, 5]]);
    sort(&["f16", "u8"], 1, "p1", false, &[&[2, 100, 0]]);
    sort(&["bool"], 1, "p1", false, &[&[2, 33, 0]]);
}

#[test]
fn sorts_in_scratch() {
    sort(&["i32"], 1, "p2", false, &[&[1, 5000, 10]]);
    sort(&["f64"], 1, "p2", false, &[&[1, 4100, 4100]]);
}

#[test]
fn compacts() {
    let text = "kernel params 2 { operand bool[p0] result i64[p1] result i64[] compact }";
    check("compact", text, &[&[0, 0], &[0, 3], &[5, 5], &[5, 1], &[1000, 1000], &[3000, 3000], &[2100, 7]], Exact);
}

fn scatter(dtype: &str, mode: &str, shapes: &[&[i64]]) {
    let text = format!(
        "kernel params 3 {{ operand {dtype}[p0, p2] operand i64[p1] operand {dtype}[p1, p2] result {dtype}[p0, p2]
         scatter {{ domain [p1, p2]
           e0 = index 0 e1 = index 1 e2 = load 1 [e0] e3 = load 2 [e0, e1] index [e2, e1] value e3 {mode} }} }}"
    );
    check(&format!("scatter_{dtype}_{}", mode.replace(' ', "_")), &text, shapes, Exact);
}

#[test]
fn scatters() {
    let shapes: &[&[i64]] = &[&[0, 4, 2], &[4, 0, 2], &[9, 40, 3], &[17, 100, 8]];
    scatter("f32", "last", shapes);
    scatter("u4", "last", shapes);
    scatter("f32", "combine sum", shapes);
    scatter("f16", "combine prod", shapes);
    scatter("i32", "combine sum", shapes);
    scatter("i64", "combine max", shapes);
    scatter("u64", "combine min", shapes);
    scatter("i8", "combine sum", shapes);
    scatter("bool", "combine any", shapes);
    scatter("f32", "combine max", shapes);
    // Elements with hundreds of updates.
    scatter("f32", "combine sum", &[&[1, 300, 2], &[20, 700, 1]]);
}

/// Lines of known length, which many CTAs sort.
fn known(key: &str, extent: i64, limit: i64, descending: bool, lines: &[&[i64]]) {
    let word = if descending { " descending" } else { "" };
    let text = format!(
        "kernel params 1 {{ operand {key}[p0, {extent}] result {key}[p0, {limit}] result i64[p0, {limit}] sort axis 1{word} }}"
    );
    check(&format!("sort_{key}_{extent}_{limit}{}", word.trim()), &text, lines, Exact);
}

#[test]
fn sorts_by_many_ctas() {
    known("f32", 2, 2, false, &[&[3]]);
    known("f32", 1000, 1000, false, &[&[2]]);
    known("f16", 1000, 5, true, &[&[3]]);
    known("i32", 4097, 4097, true, &[&[1]]);
    known("f32", 9000, 9000, false, &[&[2]]);
    known("i8", 9000, 100, true, &[&[2]]);
    known("f32", 9000, 3000, true, &[&[1]]);
}

#[test]
fn not_a_number_comes_last() {
    let text = "kernel params 0 { operand f32[600] result f32[600] result i64[600] sort axis 0 }";
    let kernel = nest::text::parse(text).unwrap();
    let element = |k: usize| match k % 5 {
        0 => f64::NAN,
        1 => -0.0,
        2 => 0.0,
        3 => f64::NEG_INFINITY,
        _ => f64::INFINITY,
    };
    let elements: Vec<_> =
        (0..600).map(|k| graph::scalar::Scalar::from_f64(graph::dtype::DType::F32, element(k))).collect();
    let keys = graph::tensor::Tensor::from_scalars(graph::dtype::DType::F32, vec![600], &elements).unwrap();
    emulated::check_with(&kernel, &[], &[keys], Exact);
}

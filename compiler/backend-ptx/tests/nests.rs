//! Nests on the emulator.

#[path = "../../ptx/tests/assembler/mod.rs"]
mod assembler;
mod emulated;

use emulated::Tolerance::{Exact, Ulp};
use emulated::check;

#[test]
fn negation_of_a_row() {
    let text = "kernel params 1 { operand f32[p0] result f32[p0]
      nest outer [] { stage inner [p0] { e0 = index 0 e1 = load 0 [e0] e2 = neg e1 out [e2 to 0 [e0]] } } }";
    check("negation", text, &[&[0], &[1], &[7], &[1024], &[2052], &[5000]], Exact);
}

#[test]
fn bias_over_channels() {
    let text = "kernel params 0 { operand f32[2, 3, 4, 5] operand f32[3] result f32[2, 3, 4, 5]
      nest outer [] { stage inner [2, 3, 4, 5] {
        e0 = index 0 e1 = index 1 e2 = index 2 e3 = index 3
        e4 = load 0 [e0, e1, e2, e3] e5 = load 1 [e1] e6 = add e4, e5
        out [e6 to 0 [e0, e1, e2, e3]] } } }";
    check("bias", text, &[&[]], Exact);
}

#[test]
fn sums_of_rows() {
    let text = "kernel params 2 { operand f32[p0, p1] result f32[p0]
      nest outer [] { stage inner [p0] { reduce [p1]
        e0 = index 0 e1 = index 1 e2 = load 0 [e0, e1] acc0: f32 = sum e2 e3 = acc 0 out [e3 to 0 [e0]] } } }";
    check("sums", text, &[&[3, 0], &[3, 5], &[17, 64], &[5, 1000], &[3, 2048], &[1, 70000]], Ulp(1));
}

#[test]
fn sums_of_columns() {
    let text = "kernel params 2 { operand f32[p0, p1] result f32[p1]
      nest outer [] { stage inner [p1] { reduce [p0]
        e0 = index 0 e1 = index 1 e2 = load 0 [e1, e0] acc0: f32 = sum e2 e3 = acc 0 out [e3 to 0 [e0]] } } }";
    check("columns", text, &[&[0, 3], &[5, 3], &[300, 40], &[17000, 5]], Ulp(1));
}

#[test]
fn softmax_of_rows() {
    let text = include_str!("../../../tests/filetests/kernel/softmax.ir");
    let text: String = text.lines().filter(|l| !l.starts_with(';')).collect::<Vec<_>>().join("\n");
    check("softmax", &text, &[&[2, 1], &[3, 100], &[2, 300], &[2, 1024], &[1, 12000]], Ulp(4));
}

fn pointwise(name: &str, operands: &str, result: &str, inner: &str, body: &str, sizes: &[&[i64]]) {
    let text = format!(
        "kernel params 4 {{ {operands} result {result} nest outer [] {{ stage inner [{inner}] {{ {body} }} }} }}"
    );
    check(name, &text, sizes, Exact);
}

#[test]
fn transposes_go_through_tiles() {
    for (dtype, name) in [("f32", "f32"), ("u8", "u8"), ("f16", "f16"), ("i64", "i64"), ("bool", "bool")] {
        pointwise(
            &format!("transpose_{name}"),
            &format!("operand {dtype}[p0, p2, p1]"),
            &format!("{dtype}[p0, p1, p2]"),
            "p0, p1, p2",
            "e0 = index 0 e1 = index 1 e2 = index 2 e3 = load 0 [e0, e2, e1] out [e3 to 0 [e0, e1, e2]]",
            &[&[2, 40, 33, 0], &[1, 5, 70, 0]],
        );
    }
}

#[test]
fn a_transposed_sum_with_a_bias() {
    pointwise(
        "transposed_sum",
        "operand f32[p1, p0] operand f32[p0, p1] operand f32[p1]",
        "f32[p0, p1]",
        "p0, p1",
        "e0 = index 0 e1 = index 1 e2 = load 0 [e1, e0] e3 = load 1 [e0, e1] e4 = load 2 [e1] e5 = add e2, e3
         e6 = mul e5, e4 out [e6 to 0 [e0, e1]]",
        &[&[40, 50, 0, 0], &[64, 32, 0, 0]],
    );
}

#[test]
fn parts_of_a_concatenation_are_guarded_runs() {
    pointwise(
        "concat",
        "operand f32[p0, 3, 20] operand f32[p0, 5, 20]",
        "f32[p0, 8, 20]",
        "p0, 8, 20",
        "e0 = index 0 e1 = index 1 e2 = index 2 e3 = const i64 3 e4 = sub e1, e3 e5 = const f32 0.0
         e6 = load 1 [e0, e4, e2] or e5 e7 = load 0 [e0, e1, e2] or e6 out [e7 to 0 [e0, e1, e2]]",
        &[&[1, 0, 0, 0], &[7, 0, 0, 0]],
    );
}

#[test]
fn rows_of_a_gather_are_runs() {
    pointwise(
        "gather",
        "operand f32[33, 24] operand i8[p0]",
        "f32[p0, 24]",
        "p0, 24",
        "e0 = index 0 e1 = index 1 e2 = load 1 [e0] e3 = cast i64 e2 e4 = const i64 16 e5 = add e3, e4
         e6 = load 0 [e5, e1] out [e6 to 0 [e0, e1]]",
        &[&[1, 0, 0, 0], &[70, 0, 0, 0]],
    );
}

#[test]
fn padding_is_checked_where_it_varies() {
    pointwise(
        "padding",
        "operand f16[p0, p1]",
        "f16[p2, p3]",
        "p2, p3",
        "e0 = index 0 e1 = index 1 e2 = const i64 2 e3 = sub e0, e2 e4 = sub e1, e2 e5 = const f16 1.0
         e6 = load 0 [e3, e4] or e5 out [e6 to 0 [e0, e1]]",
        &[&[5, 6, 9, 10], &[30, 64, 34, 68]],
    );
}

#[test]
fn products_of_matrices() {
    for (dtype, tolerance) in
        [("f32", Ulp(8)), ("f64", Ulp(1)), ("f16", Ulp(1 << 13)), ("i32", Exact), ("u8", Exact), ("i64", Exact)]
    {
        let text = format!(
            "kernel params 4 {{ operand {dtype}[p0, p1, p2] operand {dtype}[p2, p3] result {dtype}[p0, p1, p3]
             nest outer [] {{ stage inner [p0, p1, p3] {{ reduce [p2]
               e0 = index 0 e1 = index 1 e2 = index 2 e3 = index 3
               e4 = load 0 [e0, e1, e3] e5 = load 1 [e3, e2] e6 = mul e4, e5 acc0: {dtype} = sum e6 e7 = acc 0
               out [e7 to 0 [e0, e1, e2]] }} }} }}"
        );
        check(&format!("product_{dtype}"), &text, &[&[2, 17, 33, 20]], tolerance);
    }
}

#[test]
fn convolutions() {
    let text =
        "kernel params 0 { operand f32[2, 5, 9, 9] operand f32[20, 5, 3, 3] operand f32[20] result f32[2, 20, 9, 9]
      nest outer [] { stage inner [2, 20, 9, 9] { reduce [5, 3, 3]
        e0 = index 0 e1 = index 1 e2 = index 2 e3 = index 3 e4 = index 4 e5 = index 5 e6 = index 6
        e7 = const i64 1 e8 = add e2, e5 e9 = sub e8, e7 e10 = add e3, e6 e11 = sub e10, e7 e12 = const f32 0.0
        e13 = load 0 [e0, e4, e9, e11] or e12 e14 = load 1 [e1, e4, e5, e6] e15 = mul e13, e14
        acc0: f32 = sum e15 e16 = acc 0 e17 = load 2 [e1] e18 = add e16, e17 out [e18 to 0 [e0, e1, e2, e3]] } } }";
    check("convolution", text, &[&[]], Ulp(16));
}

/// Softmax of rows of so many elements, with what it keeps between its stages.
fn softmax_of(dtype: &str, columns: i64) -> String {
    let text = include_str!("../../../tests/filetests/kernel/softmax.ir");
    let text: String = text.lines().filter(|l| !l.starts_with(';')).collect::<Vec<_>>().join("\n");
    text.replace("params 2", "params 1").replace("p1", &columns.to_string()).replace("f32", dtype)
}

#[test]
fn rows_are_held_in_registers() {
    for columns in [1, 5, 48, 49, 128, 768, 1024, 3000, 4098] {
        check(&format!("softmax_{columns}"), &softmax_of("f32", columns), &[&[1], &[3], &[17]], Ulp(4));
    }
    for columns in [40, 1000] {
        check(&format!("softmax_f16_{columns}"), &softmax_of("f16", columns), &[&[5]], Ulp(1 << 14));
    }
}

#[test]
fn norms_of_rows() {
    let text = "kernel params 1 { operand f32[p0, 96] operand f32[96] result f32[p0, 96] result f32[p0]
      nest outer [p0] {
        stage inner [] { reduce [96]
          e0 = index 0 e1 = index 1 e2 = load 0 [e0, e1] acc0: f32 = sum e2 e3 = acc 0 e4 = const f32 96.0
          e5 = div e3, e4 out [e5 keep, e5 to 1 [e0]] }
        stage inner [] { reduce [96]
          e0 = index 0 e1 = index 1 e2 = load 0 [e0, e1] e3 = load 2 [] e4 = sub e2, e3 e5 = mul e4, e4
          acc0: f32 = sum e5 e6 = acc 0 e7 = sqrt e6 out [e7 keep] }
        stage inner [96] {
          e0 = index 0 e1 = index 1 e2 = load 0 [e0, e1] e3 = load 2 [] e4 = sub e2, e3 e5 = load 3 [] e6 = div e4, e5
          e7 = load 1 [e1] e8 = mul e6, e7 out [e8 to 0 [e0, e1]] } } }";
    check("norm", text, &[&[1], &[10]], Ulp(4));
}

/// Mean, variance and values of groups of channels that lie innermost: a row has two dims.
#[test]
fn norms_of_groups() {
    for (group, pixels) in [(4, 35), (3, 64), (16, 600)] {
        let (channels, count) = (group * 2, group * pixels);
        let at = |first: u32| {
            format!("e0 = index 0 e1 = index 1 e2 = index 2 e3 = index 3 e4 = const i64 {group} e5 = mul e1, e4 e6 = add e5, e3
              e7 = load 0 [e0, e2, e6] e8 = cast f32 e7 e9 = load {first} [] e10 = sub e8, e9")
        };
        let text = format!(
            "kernel params 0 {{ operand f16[3, {pixels}, {channels}] result f32[3, 2] result f16[3, {pixels}, {channels}]
              nest outer [3, 2] {{
                stage inner [] {{ reduce [{pixels}, {group}]
                  e0 = index 0 e1 = index 1 e2 = index 2 e3 = index 3 e4 = const i64 {group} e5 = mul e1, e4 e6 = add e5, e3
                  e7 = load 0 [e0, e2, e6] e8 = cast f32 e7 acc0: f32 = sum e8 e9 = acc 0 e10 = const f32 {count}.0
                  e11 = div e9, e10 out [e11 keep] }}
                stage inner [] {{ reduce [{pixels}, {group}]
                  {} e11 = mul e10, e10 acc0: f32 = sum e11 e12 = acc 0 out [e12 keep, e12 to 0 [e0, e1]] }}
                stage inner [{pixels}, {group}] {{
                  {} e11 = load 2 [] e12 = sqrt e11 e13 = div e10, e12 e14 = cast f16 e13 out [e14 to 1 [e0, e2, e6]] }}
              }} }}",
            at(1),
            at(1)
        );
        check(&format!("group_{group}_{pixels}"), &text, &[&[]], Ulp(1 << 14));
    }
}

/// A reduction of one operand; all elements are small whole numbers and quarters, so that ties occur.
fn reduction(name: &str, dtype: &str, from: &str, to: &str, reduce: &str, index: &str, acc: &str, sizes: &[&[i64]]) {
    let rank = to.split(',').count();
    let indices: String = (0..rank + reduce.split(',').count()).map(|k| format!("e{k} = index {k} ")).collect();
    let out: Vec<String> = (0..rank).map(|k| format!("e{k}")).collect();
    let result = if acc.starts_with("arg") { "i64" } else { dtype };
    let text = format!(
        "kernel params 2 {{ operand {dtype}[{from}] result {result}[{to}] nest outer [] {{ stage inner [{to}] {{ reduce [{reduce}]
           {indices} e20 = load 0 [{index}] acc0: {result} = {acc} e20 e21 = acc 0 out [e21 to 0 [{}]] }} }} }}",
        out.join(", ")
    )
    .replace("e20", &format!("e{}", rank + reduce.split(',').count()))
    .replace("e21", &format!("e{}", rank + reduce.split(',').count() + 1));
    check(&format!("{name}_{dtype}_{acc}"), &text, sizes, Ulp(1));
}

#[test]
fn positions_of_the_best() {
    for acc in ["argmax", "argmax_last", "argmin", "argmin_last"] {
        for dtype in ["f32", "i8", "f16"] {
            reduction("row", dtype, "p0, 200", "p0", "200", "e0, e1", acc, &[&[3, 0]]);
            reduction("column", dtype, "p0, 24", "24", "p0", "e1, e0", acc, &[&[1, 0], &[70, 0]]);
        }
    }
}

#[test]
fn reductions_of_held_rows() {
    for acc in ["sum", "max"] {
        reduction("held", "f32", "p0, 64", "p0", "64", "e0, e1", acc, &[&[1, 0], &[37, 0]]);
        reduction("held_49", "f16", "p0, 49", "p0", "49", "e0, e1", acc, &[&[5, 0]]);
    }
    reduction("held_long", "f32", "p0, 5000", "p0", "5000", "e0, e1", "sum", &[&[2, 0]]);
}

#[test]
fn columns_and_windows() {
    for acc in ["sum", "max"] {
        for dtype in ["f32", "f16"] {
            reduction("pool", dtype, "p0, 7, 7, 40", "p0, 40", "7, 7", "e0, e2, e3, e1", acc, &[&[3, 0]]);
            reduction("window", dtype, "p0, 3, 40", "p0, 40", "3", "e0, e2, e1", acc, &[&[5, 0]]);
        }
    }
    for (dtype, acc) in [("f32", "sum"), ("f16", "sum"), ("f16", "max"), ("f16", "argmax"), ("i8", "argmin")] {
        reduction("strip", dtype, "3, 7, 7, 40", "3, 40", "7, 7", "e0, e2, e3, e1", acc, &[&[]]);
        reduction("tall", dtype, "1000, 24", "24", "1000", "e1, e0", acc, &[&[]]);
    }
    reduction("tall", "f32", "3000, 40", "40", "3000", "e1, e0", "sum", &[&[]]);
    reduction("tall_5", "f32", "p0, 5", "5", "p0", "e1, e0", "sum", &[&[3000, 0], &[20000, 0]]);
}

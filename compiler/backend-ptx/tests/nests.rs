//! Nests on the emulator.

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

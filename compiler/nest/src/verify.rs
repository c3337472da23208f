//! The verifier of kernels: takes any data without failing, and yields all violations.
//!
//! Tables
//! - N01 Sizes nest at most [`graph::MAX_NESTING`] deep. Where they do not, no other rule is checked.
//! - N02 Sizes name parameters below `params`.
//! - N03 Extents are not certainly negative.
//! - N04 Access maps have one stride a dim; a blocked dim exists, its factor is 1 or more.
//!
//! Expressions (of stages and `scatter`). Equal ones may stand twice.
//! - N05 Children come before their readers.
//! - N06 An expression has the dtype that its kind and children give. Strings are loaded and selected, nothing else.
//! - N07 Constants have bits of their dtype's width only; bools are 0 or 1; there are no strings.
//! - N08 Index variables are below the number of outer, inner and reduction dims; what is outside the accumulators reads no
//!   reduction's.
//! - N09 Accumulators are read in outputs only and exist; their dtype is the value's (i64 for `argmax`, `argmin`), and one
//!   that the combiner is defined on.
//! - N10 A load reads an operand of the kernel, with one index a dim, or what an earlier stage keeps, with one index a dim
//!   of that stage's inner ones.
//! - N11 Expressions that a stage or `scatter` names exist; sizes of reduction dims and indices of stores and updates are
//!   i64.
//!
//! Bodies
//! - N12 A store goes to a result that exists, with one index a dim and a value of its dtype. An index that is an index
//!   variable runs over the extent of its dim.
//! - N13 Every result of a nest is stored exactly once.
//! - N14 `scatter`: a base and one result of its type, one index a dim, a value of its dtype, a combiner defined on it.
//! - N15 `sort`: keys of one shape with the axis, sorted keys of their dtypes and i64 positions of one shape.
//! - N16 `compact`: a bool mask of rank 1, i64 positions of rank 1 and an i64 count of rank 0.
//! - N17 `prefix`: an operand with the axis and a result of its type, a combiner defined on it.

mod body;
mod checker;
mod rule;

pub use rule::{Rule, Violation};

use crate::kernel::Kernel;

/// All violations of a kernel.
pub fn kernel(kernel: &Kernel) -> Result<(), Vec<Violation>> {
    let mut c = checker::Checker::new(kernel);
    if c.check_nesting() {
        c.check_sizes();
        c.check_ports();
        body::check(&mut c);
    }
    c.finish()
}

#[cfg(test)]
mod tests {
    use graph::dim::{Atom, Dim};

    use crate::text;

    const GOOD: &str = "kernel params 2 {
  operand f32[p0, p1]
  result f32[p0, p1]
  nest outer [p0] {
    stage inner [] {
      reduce [p1]
      e0 = index 0
      e1 = index 1
      e2 = load 0 [e0, e1]
      acc0: f32 = max e2
      e3 = acc 0
      out [e3 keep]
    }
    stage inner [p1] {
      e0 = index 0
      e1 = index 1
      e2 = load 0 [e0, e1]
      e3 = load 1 []
      e4 = sub e2, e3
      out [e4 to 0 [e0, e1]]
    }
  }
}";
    const SCATTER: &str = "kernel params 1 {
  operand f32[p0]
  operand i64[4]
  result f32[p0]
  scatter {
    domain [4]
    e0 = index 0
    e1 = load 1 [e0]
    e2 = const f32 1.0
    index [e1]
    value e2
    combine sum
  }
}";

    /// The violations of a kernel that is good but for one edit.
    fn check(good: &str, from: &str, to: &str, expected: &[&str]) {
        assert!(good.contains(from), "{from}");
        let kernel = text::parse(&good.replacen(from, to, 1)).unwrap_or_else(|e| panic!("{e}"));
        let found: Vec<String> =
            super::kernel(&kernel).err().unwrap_or_default().iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn good_kernels_pass() {
        check(GOOD, "p0", "p0", &[]);
        check(SCATTER, "p0", "p0", &[]);
        check("kernel params 0 { operand f32[3] result f32[2] result i64[2] sort axis 0 }", "3", "3", &[]);
        check("kernel params 0 { operand bool[3] result i64[3] result i64[] compact }", "3", "3", &[]);
        check("kernel params 0 { operand f32[3] result f32[3] prefix sum axis 0 }", "f", "f", &[]);
    }

    #[test]
    fn n01_nesting() {
        let mut kernel = text::parse(GOOD).unwrap();
        let wrap = |d: Dim| Dim::atom(Atom::Min(Box::new(d), Box::new(Dim::constant(2))));
        kernel.operands[0].shape[0] = (0..5000).fold(Dim::constant(1), |d, _| wrap(d));
        let found = super::kernel(&kernel).unwrap_err();
        assert_eq!(found[0].to_string(), "N01 operand 0: a size nests more than 128 deep");
        // What nests so deep cannot be dropped by recursion either.
        std::mem::forget(kernel);
    }

    #[test]
    fn n02_parameters() {
        check(GOOD, "reduce [p1]", "reduce [$7]", &["N02 stage 0: parameter 7 does not exist; there are 2"]);
    }

    #[test]
    fn n03_extents() {
        check(GOOD, "[p0, p1]", "[p0, -1]", &["N03 operand 0: the extent -1 is negative"]);
    }

    #[test]
    fn n04_access_maps() {
        check(GOOD, "[p0, p1]", "[p0, p1] strides [1]", &["N04 operand 0: 1 strides for rank 2"]);
        check(GOOD, "[p0, p1]", "[p0, p1] block 2 by 4", &["N04 operand 0: dim 2 is blocked, the rank is 2"]);
        check(GOOD, "[p0, p1]", "[p0, p1] block 1 by 0", &["N04 operand 0: blocks of 0 elements"]);
    }

    #[test]
    fn n05_order() {
        check(GOOD, "e2 = load 0 [e0, e1]", "e2: f32 = load 0 [e0, e3]", &["N05 stage 0: e2: e3 is not before it"]);
    }

    #[test]
    fn n06_dtypes() {
        check(GOOD, "e4 = sub", "e4: f32 = lt", &["N06 stage 1: e4: the dtype is bool, not f32"]);
    }

    #[test]
    fn n07_constants() {
        check(
            SCATTER,
            "const f32 1.0",
            "const f32 0xfffffffff",
            &["N07 scatter: e2: 0xfffffffff has bits beyond the 32 of f32"],
        );
    }

    #[test]
    fn n08_index_variables() {
        check(GOOD, "e1 = index 1", "e1 = index 2", &["N08 stage 0: e1: index variable 2 does not exist; there are 2"]);
        check(
            GOOD,
            "out [e3 keep]",
            "out [e2 keep]",
            &["N08 stage 0: output 0 reads a reduction's index variable through e2"],
        );
    }

    #[test]
    fn n09_accumulators() {
        check(GOOD, "= max e2", "= any e2", &["N09 stage 0: accumulator 0: any is not defined on f32"]);
        check(GOOD, "= max e2", "= argmax e2", &["N09 stage 0: accumulator 0: expected dtype i64, found f32"]);
        check(
            GOOD,
            "= max e2",
            "= max e3",
            &["N09 stage 0: the value of accumulator 0 reads an accumulator through e3"],
        );
    }

    #[test]
    fn n10_loads() {
        check(GOOD, "load 1 []", "load 1 [e0]", &["N10 stage 1: e3: 1 indices into operand 1, which has rank 0"]);
        check(
            GOOD,
            "e3 = load 1 []",
            "e3: f32 = load 2 []",
            &["N10 stage 1: e3: operand 2 does not exist; there are 2"],
        );
    }

    #[test]
    fn n11_names() {
        check(
            GOOD,
            "reduce [p1]",
            "reduce [p1 size e2]",
            &[
                "N11 stage 0: the size of reduction dim 0 is e2 of dtype f32, expected i64",
                "N08 stage 0: the size of reduction dim 0 reads a reduction's index variable through e2",
            ],
        );
        check(
            GOOD,
            "[e0, e1]]",
            "[e0, e9]]",
            &["N11 stage 1: index 1 of output 0 names e9, which does not exist; there are 5"],
        );
    }

    #[test]
    fn n12_stores() {
        check(GOOD, "to 0 [e0, e1]", "to 0 [e0]", &["N12 stage 1: output 0 has 1 indices into result 0 of rank 2"]);
        check(
            GOOD,
            "inner [p1]",
            "inner [p0]",
            &["N12 stage 1: output 0 runs over another extent than dim 1 of result 0"],
        );
        check(GOOD, "result f32", "result i64", &["N12 stage 1: output 0 is a f32, result 0 holds i64"]);
    }

    #[test]
    fn n13_results() {
        check(GOOD, "out [e4 to 0 [e0, e1]]", "out [e4 keep]", &["N13 result 0: stored 0 times"]);
        check(GOOD, "out [e4", "out [e4 to 0 [e0, e1], e4", &["N13 result 0: stored 2 times"]);
        check(
            GOOD,
            "to 0 [e0, e1]",
            "to 1 [e0, e1]",
            &["N12 stage 1: output 0 goes to result 1; there are 1", "N13 result 0: stored 0 times"],
        );
    }

    #[test]
    fn n14_scatter() {
        check(SCATTER, "index [e1]", "index []", &["N14 scatter: 0 indices into a base of rank 1"]);
        check(SCATTER, "value e2", "value e1", &["N14 scatter: a value of dtype i64 for a base of dtype f32"]);
        check(SCATTER, "combine sum", "combine argmax", &["N14 scatter: updates cannot be combined by argmax"]);
        check(SCATTER, "result f32[p0]", "", &["N14 scatter: expected 1 result, found 0"]);
    }

    #[test]
    fn n15_sort() {
        let good = "kernel params 0 { operand f32[3] result f32[2] result i64[2] sort axis 0 }";
        check(good, "axis 0", "axis 1", &["N15 sort: axis 1 of rank 1"]);
        check(good, "result i64[2]", "", &["N15 sort: expected 2 results, found 1"]);
        check(good, "result f32", "result i64", &["N15 sort: result 0 is a i64, expected f32"]);
    }

    #[test]
    fn n16_compact() {
        let good = "kernel params 0 { operand bool[3] result i64[3] result i64[] compact }";
        check(good, "bool", "i8", &["N16 compact: operand 0 is i8 of rank 1, expected bool of rank 1"]);
        check(good, "i64[]", "i64[1]", &["N16 compact: result 1 is i64 of rank 1, expected i64 of rank 0"]);
    }

    #[test]
    fn n17_prefix() {
        let good = "kernel params 0 { operand f32[3] result f32[3] prefix sum axis 0 }";
        check(good, "sum", "any", &["N17 prefix: any is not defined on f32"]);
        check(good, "result f32[3]", "result f32[4]", &["N17 prefix: the result has another type than the operand"]);
    }
}

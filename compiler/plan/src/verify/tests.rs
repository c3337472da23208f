//! Each rule of the verifier has a plan that breaks it, and nothing else.

use graph::datum::Datum;
use graph::dim::{Atom, Dim};
use graph::host::{HostError, HostOp};
use graph::text::cursor::Cursor;
use graph::text::{ParseError, Registry};

use crate::plan::Plan;
use crate::text::{CodeText, parse};

/// No kernel family.
#[derive(Clone, Debug, PartialEq)]
struct Unit;

impl CodeText for Unit {
    fn print(&self) -> String {
        "unit".to_string()
    }

    fn parse(c: &mut Cursor<'_>) -> Result<Unit, ParseError> {
        c.keyword("unit").map(|()| Unit)
    }
}

static NOTHING: HostOp = HostOp {
    name: "nothing",
    infer: |_, _, _| Err(HostError::Attr { name: "none", expected: "none" }),
    eval: |_, values: &[Datum]| Ok(values.to_vec()),
    runtime: "",
};
static OPS: &[&HostOp] = &[&NOTHING];

/// Adds a weight twice, then copies.
const LINE: &str = r#"plan "line" {
  symbol n = 1..=8 input
  origin @0 "act" Relu
  guard le(n, 6) @0 "small"
  weight &0 "w": f32[4] = f32[4] [1.0, 2.0, 3.0, 4.0]
  buffer ^0: f32 elements 4*n input 0
  buffer ^1: f32 elements 4 weight 0
  buffer ^2: f32 elements 4*n arena 0
  buffer ^3: f32 elements 4*n arena 128
  buffer ^4: f32 elements 4*n output 0
  input "x": f32[n, 4] at ^0[n, 4]
  output "y": f32[n, 4] at ^4[n, 4]
  code !0 kernel params 1 {
    operand f32[p0, 4]
    operand f32[4]
    result f32[p0, 4]
    nest outer [] {
      stage inner [p0, 4] {
        e0 = index 0
        e1 = index 1
        e2 = load 0 [e0, e1]
        e3 = load 1 [e1]
        e4 = add e2, e3
        out [e4 to 0 [e0, e1]]
      }
    }
  }
  arena 256
  body {
    0: check 0 @0
    1: launch !0 (^0[n, 4], ^1[4]) -> (^2[n, 4]) sizes [n] after [0] @0
    2: launch !0 (^2[n, 4], ^1[4]) -> (^3[n, 4]) sizes [n] after [1]
    3: copy ^3[n, 4] to ^4[n, 4] after [2]
  }
}
"#;

/// A size read back, a choice, a loop, a host call.
const CONTROL: &str = r#"plan "control" {
  symbol n = 1..=8 input
  symbol k = 0..=4 bind
  symbol m = 0..=9 bind
  symbol i = 0..=7 bind
  symbol s = 0..=9 bind
  symbol l = 0..=9 bind
  symbol h = 0.. bind
  guard le(k, 3) "few"
  state "st" input 0 output 0
  buffer ^0: f32 elements n state 0
  buffer ^1: i64 elements 1 input 1
  buffer ^2: bool elements 1 input 2
  buffer ^3: f32 elements n output 0
  buffer ^4: f32 elements 8*n arena 0
  buffer ^5: f32 elements n arena 256
  buffer ^6: f32 elements h growable
  buffer ^7: str elements 1 object seq<f32[n]>
  buffer ^8: f32 elements n growable
  input "a": f32[n] at ^0[n]
  input "b": i64[] at ^1[]
  input "c": bool[] at ^2[]
  output "y": f32[n] at ^3[n]
  arena 512
  body {
    0: readback ^1[] to k
    1: check 0 after [0]
    2: if ^2[] after [1] then {
      0: let m = k + 1
      1: copy ^0[n] to ^5[n]
    } else {
      0: let m = 2
      1: clear ^5
      2: copy ^0[n] to ^5[n] after [1]
    }
    3: loop i trip n first [s = m] next [s = s] count l after [2] {
      0: copy ^0[n] to ^4[n] offset i*n
    }
    4: copy ^5[n] to ^3[n] after [2]
    5: host nothing (^4[n, 8]) -> (^6[h], ^7[]) types (f32[h], seq<f32[n]>) binds [h] after [3]
  }
}
"#;

/// A claim with an epilogue, and one without.
const CLAIM: &str = r#"plan "claimed" {
  weight &0 "w": f32[4] = derived (f32[4] [1.0, 2.0, 3.0, 4.0]) graph (%0: f32[4]) -> (%0) {
  }
  buffer ^0: f32 elements 8 input 0
  buffer ^1: f32 elements 8 arena 0
  buffer ^2: f32 elements 8 output 0
  buffer ^3: f32 elements 4 weight 0
  buffer ^4: f32 elements 16 arena 64
  input "x": f32[8] at ^0[8]
  output "y": f32[8] at ^2[8]
  code !0 claimed operands 1 derived 1 sizes 1 results 1 code (unit) epilogue kernel params 1 {
    operand f32[p0]
    operand f32[p0]
    result f32[p0]
    nest outer [] {
      stage inner [p0] {
        e0 = index 0
        e1 = load 0 [e0]
        e2 = load 1 [e0]
        e3 = add e1, e2
        out [e3 to 0 [e0]]
      }
    }
  }
  code !1 claimed operands 1 derived 0 sizes 0 results 1 code (unit)
  arena 128
  body {
    0: launch !1 (^0[8]) -> (^1[8]) meaning graph (%0: f32[8]) -> (%0) {
    }
    1: launch !0 (^0[8], ^3[4], ^1[8]) -> (^2[8]) sizes [8, 8] workspace ^4[16] after [0] meaning graph (%0: f32[8], %1: f32[8]) -> (%1) {
    }
  }
}
"#;

fn plan(text: &str) -> Plan<Unit> {
    let registry = Registry { host_ops: OPS, ..Registry::default() };
    parse(text, &registry).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// The violations of a plan that is good but for one edit.
fn check(good: &str, from: &str, to: &str, expected: &[&str]) {
    assert!(good.contains(from), "{from}");
    let plan = plan(&good.replacen(from, to, 1));
    let found: Vec<String> = super::plan(&plan).err().unwrap_or_default().iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn good_plans_pass() {
    check(LINE, "", "", &[]);
    check(CONTROL, "", "", &[]);
    check(CLAIM, "", "", &[]);
}

#[test]
fn p01_nesting() {
    let mut plan = plan(LINE);
    let wrap = |d: Dim| Dim::atom(Atom::Min(Box::new(d), Box::new(Dim::constant(2))));
    plan.arena = (0..200).fold(Dim::constant(1), |d, _| wrap(d));
    let found = super::plan(&plan).unwrap_err();
    assert_eq!(found[0].to_string(), "P01 arena: a size nests more than 128 deep");
    assert_eq!(found.len(), 1);
}

#[test]
fn p02_symbols() {
    check(CONTROL, "symbol l = 0..=9", "symbol l = 9..=0", &["P02 symbols/5: the range 9..=0 is empty"]);
    check(
        CONTROL,
        "symbol l = 0..=9 bind",
        "symbol l = 0..=9 bind symbol l = 0.. bind",
        &["P02 symbols/6: another symbol is named l"],
    );
}

#[test]
fn p03_origins() {
    check(
        LINE,
        "sizes [n] after [0] @0",
        "sizes [n] after [0] @1",
        &["P03 body/1: origin @1 is not in the table of 1"],
    );
    check(LINE, "guard le(n, 6) @0", "guard le(n, 6) @7", &["P03 guards/0: origin @7 is not in the table of 1"]);
}

#[test]
fn p04_states() {
    check(CONTROL, "output 0\n  buffer", "output 3\n  buffer", &["P04 states/0: there is no output 3"]);
    check(LINE, "weight &0", "state \"s\" input 1 output 0 weight &0", &["P04 states/0: there is no input 1"]);
}

#[test]
fn p05_codes() {
    check(
        LINE,
        "e4 to 0",
        "e4 to 1",
        &[
            "P05 codes/0: the kernel breaks N12 stage 0: output 0 goes to result 1; there are 1",
            "P05 codes/0: the kernel breaks N13 result 0: stored 0 times",
        ],
    );
    check(
        CLAIM,
        "e0 = index 0",
        "e0 = const i64 0",
        &["P05 codes/0: e1 loads result 0 of the claim elsewhere than at its own index"],
    );
    check(CLAIM, "inner [p0] {", "inner [p0] { reduce [4]", &["P05 codes/0: an epilogue has outer dims or reductions"]);
}

#[test]
fn p06_weights() {
    check(LINE, "\"w\": f32[4]", "\"w\": f32[2, 2]", &["P06 weights/0: the constant is f32[4], not f32[2, 2]"]);
    check(
        CLAIM,
        "graph (%0: f32[4]) -> (%0)",
        "graph (%0: f32[5]) -> (%0)",
        &[
            "P06 weights/0: input 0 has another type than the constant",
            "P06 weights/0: the graph's first output has another type than the weight",
        ],
    );
    check(
        CLAIM,
        "-> (%0) {",
        "-> (%0, %7) {",
        &["P06 weights/0: the graph breaks V06 graph: value %7, an output, does not exist; the graph has 1"],
    );
}

#[test]
fn p07_places() {
    check(
        LINE,
        "elements 4*n input 0",
        "elements 4*n input 1",
        &["P07 buffers/0: there is no input 1", "P07 inputs/0: buffer ^0 is not the place of this border"],
    );
    check(
        LINE,
        "\"x\": f32[n, 4] at ^0[n, 4]",
        "\"x\": f32[n, 4] at ^0[n, 4] strides [1, n]",
        &["P07 inputs/0: a border is not dense"],
    );
    check(
        LINE,
        "\"x\": f32[n, 4]",
        "\"x\": f32[4, n]",
        &["P07 inputs/0: the view has another dtype or shape than the border"],
    );
    check(
        LINE,
        "f32 elements 4 weight",
        "f32 elements 5 weight",
        &["P07 buffers/1: weight 0 has another dtype or another number of elements"],
    );
}

#[test]
fn p08_arena() {
    check(LINE, "arena 128", "arena 32*n + 64", &["P08 buffers/3: offset 96 is not a multiple of 64, where n = 1"]);
    check(LINE, "arena 256", "arena 192", &["P08 buffers/3: bytes 128..208 of an arena of 192, where n = 5"]);
    check(
        CONTROL,
        "elements n arena 256",
        "elements n + k arena 256",
        &["P08 buffers/5: the number of elements depends on k, which is no input symbol"],
    );
}

#[test]
fn p09_lifetimes() {
    check(
        LINE,
        "arena 128",
        "arena 64",
        &["P09 buffers/2: bytes 0..80 meet 64..144 of buffer ^3, which is live at the same time, where n = 5"],
    );
}

#[test]
fn p10_names() {
    check(LINE, "launch !0 (^0", "launch !0 (^9", &["P10 body/1 (act): read 0: buffer ^9 does not exist"]);
    check(LINE, "1: launch !0", "1: launch !3", &["P10 body/1 (act): code !3 does not exist"]);
    check(LINE, "after [2]\n", "after [2]\n 4: check 4\n", &["P10 body/4: guard 4 does not exist"]);
}

#[test]
fn p11_views() {
    check(LINE, "(^0[n, 4]", "(^0[n, 4] strides [4]", &["P11 body/1 (act): read 0: 1 strides for rank 2"]);
    check(
        LINE,
        "(^0[n, 4]",
        "(^0[n, 4] block 5 by 0",
        &[
            "P11 body/1 (act): read 0: dim 5 is blocked, the rank is 2",
            "P11 body/1 (act): read 0: blocks of 0 elements",
        ],
    );
}

#[test]
fn p12_addresses() {
    check(
        LINE,
        "copy ^3[n, 4]",
        "copy ^3[n, 4] offset 1",
        &["P12 body/3: from: addresses 1 to 4 of buffer ^3, which has 4*n elements, where n = 1"],
    );
    check(
        CONTROL,
        "offset i*n",
        "offset i*n + 57",
        &[
            "P12 body/3/body/0: to: addresses 57 to 57 of buffer ^4, which has 8*n elements, where n = 1, k = 0, m = 1, i = 0, s = 1",
        ],
    );
}

#[test]
fn p13_launch_counts() {
    check(LINE, "sizes [n] after [0] @0", "after [0] @0", &["P13 body/1 (act): expected 1 sizes, found 0"]);
    check(CLAIM, "sizes [8, 8]", "sizes [8]", &["P13 body/1: expected 2 sizes, found 1"]);
}

#[test]
fn p14_ports() {
    check(
        LINE,
        "sizes [n] after [0] @0",
        "sizes [n + 1] after [0] @0",
        &[
            "P14 body/1 (act): read 0: extents [n, 4] with strides [4, 1] are not what the code takes, where n = 1",
            "P14 body/1 (act): write 0: extents [n, 4] with strides [4, 1] are not what the code takes, where n = 1",
        ],
    );
    check(
        CLAIM,
        "(^1[8]) meaning",
        "(^1[4] strides [2]) meaning",
        &["P14 body/0: write 0 to ^1 is not dense, and the code has no epilogue"],
    );
}

#[test]
fn p15_overwrites() {
    check(
        LINE,
        "-> (^3[n, 4])",
        "-> (^2[n, 4])",
        &[
            "P15 body/2: buffer ^2 is read and written",
            "P23 body/3: buffer ^3 is not written on every path that leads here",
        ],
    );
}

#[test]
fn p16_meaning() {
    check(
        CLAIM,
        "graph (%0: f32[8], %1: f32[8]) -> (%1)",
        "graph (%0: f32[8]) -> (%0)",
        &["P16 body/1: expected 2 inputs of the meaning, found 1"],
    );
    check(CLAIM, " meaning graph (%0: f32[8]) -> (%0) {\n    }", "", &["P16 body/0: claimed code without a meaning"]);
}

#[test]
fn p17_copies() {
    check(LINE, "copy ^3[n, 4]", "copy ^3[n, 3]", &["P17 body/3: the shapes differ: [n, 3] and [n, 4]"]);
    check(LINE, "to ^4[n, 4]", "to ^4[n, 4] strides [1, n]", &["P17 body/3: to is not dense"]);
}

#[test]
fn p18_host() {
    check(CONTROL, "types (f32[h], seq<f32[n]>)", "types (f32[h])", &["P18 body/5: expected 2 result types, found 1"]);
    check(CONTROL, "types (f32[h]", "types (i8[h]", &["P18 body/5: result 0 is i8, buffer ^6 holds f32"]);
}

#[test]
fn p19_scalars() {
    check(CONTROL, "if ^2[]", "if ^1[]", &["P19 body/2: the condition is i64[], expected a scalar of dtype bool"]);
}

#[test]
fn p20_loops() {
    check(CONTROL, "next [s = s]", "next [l = s]", &["P20 body/3: l has a next value but no first one"]);
    check(CONTROL, "loop i trip n", "loop i", &["P20 body/3: nothing ends the loop"]);
    check(
        CONTROL,
        "count l after",
        "count l carry [^0[n] to ^5[n], ^1[] to ^5[n]] after",
        &[
            "P20 body/3/body: carry 1 is between unequal dtypes",
            "P27 body/4: step 3 need not have ended, but both touch buffer ^5",
        ],
    );
}

#[test]
fn p21_symbols() {
    check(CONTROL, "0: let m = 2", "0: let m = h", &["P21 body/2/else/0: h is not known here"]);
    check(
        CONTROL,
        "0: let m = 2\n",
        "0: check 7\n",
        &["P10 body/2/else/0: guard 7 does not exist", "P21 body/3: m is not known here"],
    );
}

#[test]
fn p22_definitions() {
    check(
        CONTROL,
        "let m = k + 1",
        "let n = k + 1",
        &[
            "P22 body/2/then/0: n has a value already",
            "P21 body/3: m is not known here",
            "P27 body/2/then/1: step 0 need not have ended, but both touch symbol $0",
        ],
    );
}

#[test]
fn p23_written() {
    check(
        CONTROL,
        "      1: copy ^0[n] to ^5[n]\n",
        "",
        &["P23 body/4: buffer ^5 is not written on every path that leads here"],
    );
    check(
        CONTROL,
        "      2: copy ^0[n] to ^5[n] after [1]\n",
        "",
        &["P23 body/4: buffer ^5 is not written on every path that leads here"],
    );
}

#[test]
fn p24_outputs() {
    check(
        LINE,
        "    3: copy ^3[n, 4] to ^4[n, 4] after [2]\n",
        "",
        &["P24 outputs/0: buffer ^4 is not written on every path"],
    );
}

#[test]
fn p25_guards() {
    check(
        CONTROL,
        "check 0 after [0]",
        "copy ^0[n] to ^8[n] after [0]",
        &["P25 body: guard 0, le(k, 3), is not checked on every path"],
    );
    check(LINE, "after [2]\n", "after [2]\n 4: check 0 after [0]\n", &["P25 body/4: guard 0 was checked before"]);
}

#[test]
fn p26_after() {
    check(LINE, "after [2]", "after [2, 1]", &["P26 body/3: step 1 is not in ascending order"]);
    check(LINE, "after [2]", "after [2, 3]", &["P26 body/3: step 3 is not before this one"]);
}

#[test]
fn p27_hazards() {
    check(LINE, "after [1]", "after [0]", &["P27 body/2: step 1 need not have ended, but both touch buffer ^2"]);
    check(
        CONTROL,
        "check 0 after [0]",
        "check 0",
        &[
            "P27 body/1: step 0 need not have ended, but both touch symbol $1",
            "P27 body/2: step 0 need not have ended, but both touch symbol $1",
        ],
    );
    check(
        LINE,
        "sizes [n] after [0] @0",
        "sizes [n] @0",
        &[
            "P27 body/1 (act): step 0 need not have ended, but both touch symbol $0",
            "P27 body/2: step 0 need not have ended, but both touch symbol $0",
            "P27 body/3: step 0 need not have ended, but both touch symbol $0",
        ],
    );
}

//! Plans of every kind of step print, and parse back to equal data.

use std::collections::BTreeMap;

use graph::datum::Datum;
use graph::host::{HostError, HostOp};
use graph::text::Registry;

use super::*;

/// A code that is its name.
#[derive(Clone, Debug, PartialEq)]
struct Name(String);

impl CodeText for Name {
    fn print(&self) -> String {
        quote(&self.0)
    }

    fn parse(c: &mut Cursor<'_>) -> Result<Name, ParseError> {
        c.string("a name").map(Name)
    }
}

static NOTHING: HostOp = HostOp {
    name: "nothing",
    infer: |_, _, _| Err(HostError::Attr { name: "none", expected: "none" }),
    eval: |_, values: &[Datum]| Ok(values.to_vec()),
    runtime: "",
};
static OPS: &[&HostOp] = &[&NOTHING];

/// The text is what it prints as.
fn check(text: &str) {
    let tensor = Tensor::from_f32s(&[0.5; 20]);
    let blobs = BTreeMap::from([(tensor.hash(), tensor)]);
    let registry = Registry { host_ops: OPS, blobs: &blobs, ..Registry::default() };
    let plan = parse::<Name>(text, &registry).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(print(&plan), text);
    assert_eq!(parse::<Name>(&print(&plan), &registry), Ok(plan));
}

#[test]
fn every_table_survives() {
    let hash = Tensor::from_f32s(&[0.5; 20]).hash();
    check(&format!(
        r#"plan "a \"b\"" {{
  symbol n = 1..=64 input
  origin @0 "conv" Conv
  guard eq(n, 4) @0 "sizes"
  state "kv" input 0 output 1
  weight &0 "w": f32[2] = f32[2] [1.0, -2.0]
  weight &1 "big": f32[20] = blob f32[20] #{hash}
  weight &2 "odd": i8[7] = str[1] ["x"]
  weight &3 "packed": f32[20] = derived (blob f32[20] #{hash}, i64[] [3]) graph (%0: f32[20], %1: i64[]) -> (%0) {{
  }}
  buffer ^0: f32 elements 4*n input 0
  buffer ^1: f32 elements 64 arena 64*n + 128
  buffer ^2: f32 elements 2 weight 0
  buffer ^3: i4 elements n output 1
  buffer ^4: f32 elements n state 0
  buffer ^5: f32 elements n growable
  buffer ^6: str elements 1 object seq<str[n]>
  input "x": f32[n, 4] at ^0[n, 4]
  output "y": opt<f32[]> at ^9[] offset 3 strides [1, n] block 0 by 16
  code !0 kernel params 1 {{
    operand f32[p0]
    result f32[p0]
    prefix sum axis 0
  }}
  code !1 claimed operands 2 derived 1 sizes 3 results 1 code ("gemm") epilogue kernel params 0 {{
    nest outer [] {{
    }}
  }}
  code !2 claimed operands 0 derived 0 sizes 0 results 9 code ("")
  arena 64*n + 384
  body {{
  }}
}}
"#
    ));
}

#[test]
fn every_action_survives() {
    check(
        r#"plan "actions" {
  symbol n = 0.. input
  symbol i = 0.. bind
  symbol k = 0.. bind
  arena 0
  body {
    0: launch !0 (^0[n], ^1[2] offset n) -> (^2[n] strides [2]) sizes [n, 4*n] workspace ^3[16] @0 @1
    1: launch !1 () -> () after [0] meaning graph (%0: f32[n]) -> (%0) {
    }
    2: copy ^0[n] to ^1[n] offset 4
    3: clear ^1
    4: host nothing (^0[n]) -> (^1[], ^2[]) types (str[n]) {axis = 1} binds [k, i] after [0, 3] @1
    5: readback ^1[] to k, ^2[] offset n to i
    6: let k = n + 1
    7: check 3
    8: loop i after [1] {
    }
    9: loop i trip n limit ^1[] condition ^2[] first [k = n] next [k = k + 1] count i carry [^1[k] to ^2[k], ^3[] to ^4[]] after [1] @0 {
      0: if ^2[] after [9] then {
        0: let k = 1
      } else {
      }
      1: clear ^7
      2: if size n + 1 then {
      } else {
      }
    }
  }
}
"#,
    );
}

#[test]
fn what_breaks_rules_survives() {
    check(
        r#"plan "" {
  symbol a = 9..=1 input
  symbol a = 0.. input
  buffer ^0: bool elements -$7 weight 99
  arena a - $1
  body {
    0: launch !77 (^99[] strides [3]) -> (^0[$9]) after [5, 5, 0] @8
    1: let $8 = a
  }
}
"#,
    );
}

#[test]
fn refusals_say_where_and_what() {
    let refused = |text: &str| parse::<Name>(text, &Registry::default()).map(|_| ()).unwrap_err().to_string();
    assert_eq!(refused("model"), "1:1: expected `plan`, found `model`");
    assert_eq!(
        refused("plan \"\" {\n  buffer ^1: f32 elements 1 growable\n}"),
        "2:10: expected buffer number 0 here, found 1; they are numbered in order"
    );
    assert_eq!(
        refused("plan \"\" { arena 0 body { 0: walk } }"),
        "1:29: unknown action `walk`; the actions are launch, copy, clear, host, readback, let, check, loop, if"
    );
    let deep = "0: if ^0[] then { ".repeat(200);
    assert_eq!(refused(&format!("plan \"\" {{ arena 0 body {{ {deep}")), "1:2328: nested more than 128 deep");
}

#[test]
fn blobs_are_those_that_the_text_names() {
    let tensor = Tensor::from_f32s(&[0.5; 20]);
    let text = format!(
        "plan \"\" {{ weight &0 \"w\": f32[20] = blob f32[20] #{} weight &1 \"v\": i8[1] = i8[1] [1] arena 0 body {{ }} }}",
        tensor.hash()
    );
    let known = BTreeMap::from([(tensor.hash(), tensor)]);
    let plan = parse::<Name>(&text, &Registry { blobs: &known, ..Registry::default() }).unwrap();
    assert_eq!(blobs(&plan), known);
}

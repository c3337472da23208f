//! Text of a whole model, and of a graph by itself.

use std::collections::BTreeMap;

use crate::graph::{Graph, Model};
use crate::node::{Const, Op};
use crate::symbol::Symbols;
use crate::tensor::{Hash, Tensor};
use crate::text::cursor::Cursor;
use crate::text::dim::Names;
use crate::text::graph::{GraphPrinter, parse_graph as parse_graph_body};
use crate::text::lexer::quote;
use crate::text::tables::{Tables, parse_tables, print_tables};
use crate::text::{ParseError, Registry};

/// The text of a model.
pub fn print(model: &Model) -> String {
    let names = Names::new(&model.symbols);
    let mut out = format!("model {} {{\n", quote(&model.name));
    print_tables(&model.symbols, &model.origins, &model.guards, &model.states, &mut out);
    out.push_str("  graph ");
    GraphPrinter::new(&model.graph, &names, 1).print(&mut out);
    out.push_str("\n}\n");
    out
}

/// The text of a graph, its symbols spelled as in a table.
pub fn print_graph(graph: &Graph, symbols: &Symbols) -> String {
    let names = Names::new(symbols);
    let mut out = "graph ".to_string();
    GraphPrinter::new(graph, &names, 0).print(&mut out);
    out.push('\n');
    out
}

/// Every tensor that a graph's text names by hash, bodies included.
pub fn blobs(graph: &Graph) -> BTreeMap<Hash, Tensor> {
    let mut out = BTreeMap::new();
    for node in &graph.nodes {
        if let Op::Const(Const::Blob(blob)) = &node.op {
            out.insert(blob.hash, blob.tensor.clone());
        }
        node.op.bodies().into_iter().for_each(|body| out.extend(blobs(body)));
    }
    out
}

/// Appends a graph, from the word `graph` to the closing brace.
pub fn print_graph_at(graph: &Graph, names: &Names<'_>, indent: usize, out: &mut String) {
    out.push_str("graph ");
    GraphPrinter::new(graph, names, indent).print(out);
}

/// Reads a model.
pub fn parse(text: &str, registry: &Registry<'_>) -> Result<Model, ParseError> {
    let mut c = Cursor::new(text)?;
    c.keyword("model")?;
    let name = c.string("the model's name")?;
    c.mark("{")?;
    let Tables { symbols, origins, guards, states } = parse_tables(&mut c)?;
    let names = Names::new(&symbols);
    if !c.take_keyword("graph") {
        return c.expected("`symbol`, `origin`, `guard`, `state`, in this order, or `graph`");
    }
    let mut graph = Graph::default();
    parse_graph_body(&mut c, &names, registry, &mut graph)?;
    c.mark("}")?;
    c.end()?;
    Ok(Model { name, guards, origins, states, graph, symbols })
}

/// Reads a graph, its symbols spelled as in a table.
pub fn parse_graph(text: &str, symbols: &Symbols, registry: &Registry<'_>) -> Result<Graph, ParseError> {
    let mut c = Cursor::new(text)?;
    let graph = parse_graph_at(&mut c, &Names::new(symbols), registry)?;
    c.end()?;
    Ok(graph)
}

/// Reads what [`print_graph_at`] appends.
pub fn parse_graph_at(c: &mut Cursor<'_>, names: &Names<'_>, registry: &Registry<'_>) -> Result<Graph, ParseError> {
    c.keyword("graph")?;
    let mut graph = Graph::default();
    parse_graph_body(c, names, registry, &mut graph)?;
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attrs::Attr;
    use crate::attrs::Attrs;
    use crate::builder::Builder;
    use crate::dim::{Dim, SymId};
    use crate::dtype::DType;
    use crate::expr::{Expr, ExprId, Exprs};
    use crate::graph::ValueId;
    use crate::host::HostOp;
    use crate::node::{Acc, Combiner, Compute, Node};
    use crate::region::RegionKind;
    use crate::scalar::Scalar;
    use crate::ty::Type;

    static UPPER: HostOp = HostOp {
        name: "upper",
        infer: |_, types, _| Ok((types.to_vec(), Vec::new())),
        eval: |_, values| Ok(values.to_vec()),
        runtime: "",
    };

    static TWICE: RegionKind = RegionKind {
        name: "twice",
        body: |b, _, operands| Ok(vec![b.binary(crate::expr::BinOp::Add, operands[0], operands[0])?]),
    };

    static OPS: &[&HostOp] = &[&UPPER];
    static KINDS: &[&RegionKind] = &[&TWICE];

    fn registry(blobs: &BTreeMap<crate::tensor::Hash, Tensor>) -> Registry<'_> {
        Registry { host_ops: OPS, region_kinds: KINDS, blobs, placeholders: false }
    }

    /// The text is what it prints as.
    fn check(text: &str) {
        let blobs = BTreeMap::new();
        let model = parse(text, &registry(&blobs)).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(print(&model), text);
    }

    /// The model is what its text parses to.
    fn check_model(model: &Model, blobs: &BTreeMap<crate::tensor::Hash, Tensor>) {
        let text = print(model);
        let again = parse(&text, &registry(blobs)).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(&again, model, "{text}");
        assert_eq!(print(&again), text);
    }

    fn refused(text: &str, expected: &str) {
        let blobs = BTreeMap::new();
        assert_eq!(parse(text, &registry(&blobs)).map(|_| ()).unwrap_err().to_string(), expected);
    }

    #[test]
    fn every_table_survives() {
        check(
            r#"model "a \"b\"" {
  symbol batch = 1..=64 input
  symbol "past + 1" = 0.. input
  symbol n3 = -5..=-1 bind
  origin @0 "conv1" Conv
  origin @1 "" "odd type" "ai.onnx.ml"
  guard eq(batch, "past + 1") @1 "broadcasting"
  guard true ""
  state "kv" input 0 output 1
  graph () -> () {
  }
}
"#,
        );
    }

    #[test]
    fn every_node_survives() {
        check(
            r#"model "nodes" {
  symbol n = 0.. input
  symbol m = 0..=8 bind
  symbol k = 0.. bind
  graph (%0 "x": f32[n, 4], %1: seq<str[2]>) -> (%3, %3) {
    %2: i64[2] is [n, 4] = const [3, -4] @0 @1
    %3: f32[2] = const splat -inf
    %4: u8[5] = const iota
    %5: str[1] = const ["a\n"]
    %6: i4[3] = const [-8, 7, 0]
    %7: f32[n], %8: i64[n] = compute (%0) {
      shape [n]
      reduce [4, n + 1 size e0]
      e0 = index 0
      e1 = index 1
      e2 = load 0 [e0, e1]
      acc0: f32 = sum e2
      acc1: i64 = argmax_last e2
      e3 = acc 0
      e4 = acc 1
      out [e3, e4]
    }
    %9: f32[n, 4] = scatter (%0, %8) @0 {
      domain [n]
      e0 = index 0
      e1 = load 1 [e0]
      e2 = const f32 1.0
      index [e1, e0]
      value e2
      combine max
    }
    %10: f32[n, 2], %11: i64[n, 2] = sort (%0) axis 1 descending limit 2
    %12: i64[m], %13: i64[] = compact (%2) bound m
    bind (%13) binds [m] @0
    %14: f32[n, 4] = prefix prod (%0) axis 0 exclusive reverse
    %15: f32[4] = scan (%14, %0) trip n carried 1 scanned 1 body (%0: f32[4], %1: f32[4]) -> (%0) {
    }
    %16: f32[k] = if (%2, %7) binds [k] then (%0: f32[n]) -> (%0) {
    } else (%0: f32[n]) -> (%1) {
      %1: f32[0] = const []
    }
    %17: f32[k] = loop (%13, %13, %16) carried 1 binds [k] body (%0: i64[], %1: f32[m]) -> (%0, %1) binds [m] {
    }
    %18: seq<str[2]> = host upper (%1) {flag = true, "odd name" = dims [n]}
    %19: f32[n] = region twice (%7) {axis = 1} @1 body (%0: f32[n]) -> (%1) {
      %1: f32[n] = compute (%0) {
        shape [n]
        e0 = index 0
        e1 = load 0 [e0]
        out [e1]
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
            r#"model "broken" {
  symbol a = 9..=1 input
  symbol a = 0.. input
  guard eq(a, $1 + $7) @9 "x"
  state "s" input 7 output 8
  graph (%0: f32[], %0) -> (%77) binds [$7] {
    value %2 "never": f32[-3] is []
    %1: f32[2], %0, %99 = const (%2) f32[3] [1.0, 2.0, 0x7fc00000]
    const splat bool 0x7
    %3: f32[a] = compute (%4, %3) {
      shape []
      e0: f32 = load 0 []
      e1: f32 = load 1 [e0, e9]
      acc0: f32 = any e9
      out []
    }
    %4: i8[] = const [1]
  }
}
"#,
        );
    }

    #[test]
    fn built_models_survive() {
        let mut b = Builder::new("built");
        let n = b.input_symbol("n", 1, Some(9));
        let x = b.input("x", Type::tensor(DType::F32, [n.clone(), Dim::constant(6)]));
        let weights: Vec<f32> = (0..24).map(|v| v as f32 / 3.0).collect();
        let w = b.constant(Tensor::from_f32s(&weights)).unwrap();
        let w = b.reshape(w, vec![Dim::constant(4), Dim::constant(6)]).unwrap();
        let joined = b.concat(&[x, w], 0).unwrap();
        let sum = b.reduce(joined, &[1], false, Combiner::Sum).unwrap();
        let shape = b.dims_tensor(&[n.clone(), n]).unwrap();
        let pair = b.region(&TWICE, Attrs::new().with("k", Attr::Scalar(Scalar::f32(f32::NAN))), &[sum]).unwrap();
        b.name_value(pair[0], "y");
        b.output(pair[0]);
        b.output(shape);
        let model = b.finish();
        check_model(&model, &blobs(&model.graph));
        let unknown = parse(&print(&model), &Registry { region_kinds: KINDS, ..Registry::default() }).unwrap_err();
        assert!(unknown.to_string().contains("unknown blob"), "{unknown}");
        let placeholders = Registry { region_kinds: KINDS, placeholders: true, ..Registry::default() };
        assert_eq!(parse(&print(&model), &placeholders).as_ref(), Ok(&model));
    }

    #[test]
    fn accumulators_out_of_order_survive() {
        let mut exprs = Exprs::default();
        exprs.push_raw(Expr::Acc(1), DType::I64);
        exprs.push_raw(Expr::Index(0), DType::I64);
        let acc = |value| Acc { combiner: Combiner::Sum, dtype: DType::I64, value: ExprId(value) };
        let accs = vec![acc(5), acc(1), acc(0)];
        let compute = Compute { shape: Vec::new(), reduce: Vec::new(), exprs, accs, outs: Vec::new() };
        let mut model = Model::default();
        model.graph.nodes.push(Node {
            op: Op::Compute(compute),
            operands: vec![ValueId(3)],
            results: Vec::new(),
            binds: vec![SymId(4)],
            origins: Vec::new(),
        });
        check_model(&model, &BTreeMap::new());
    }

    #[test]
    fn refusals_say_where_and_what() {
        refused("model x", "1:7: expected the model's name (a string), found `x`");
        refused(
            "model \"\" {\n  guard true \"\"\n  symbol n = 0.. input\n}",
            "3:3: expected `symbol`, `origin`, `guard`, `state`, in this order, or `graph`, found `symbol`",
        );
        refused(
            "model \"\" {\n  graph () -> () {\n    %1: f32[] = const [1.0]\n  }\n}",
            "2:9: value %0 has no type, but %1 has; number the values of a graph without gaps",
        );
        refused(
            "model \"\" {\n  graph (%0: f32[]) -> () {\n    %0: f32[] = const [1.0]\n  }\n}",
            "3:5: type of value `%0` is defined twice; remove one definition",
        );
        refused(
            "model \"\" {\n  graph () -> () {\n    host lower ()\n  }\n}",
            "3:10: unknown host operator `lower`; give the registry the operators that the text names",
        );
        let deep = "region twice () body () -> () { ".repeat(200);
        refused(&format!("model \"\" {{ graph () -> () {{ {deep}"), "1:4114: nested more than 128 deep");
    }
}

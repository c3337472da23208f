//! Kernel families made for the tests of plans.

use graph::dim::Dim;
use graph::expr::{BinOp, Expr, Exprs, Leaves};
use graph::graph::{Graph, NodeId};
use graph::node::{Compute, Node, Op};
use graph::text::ParseError;
use graph::text::cursor::Cursor;
use graph::text::lexer::quote;
use graph::ty::{TensorType, Type};
use nest::layout::Layout;
use plan::claim::{Claim, ClaimOperand, Claimant, Derived, Site, Strided, Want};
use plan::text::CodeText;

/// The name of the family.
#[derive(Clone, Debug, PartialEq)]
pub struct TestCode(pub &'static str);

impl CodeText for TestCode {
    fn print(&self) -> String {
        quote(self.0)
    }

    fn parse(c: &mut Cursor<'_>) -> Result<TestCode, ParseError> {
        let names = [BLOCKED, DIRECT, SCALED];
        match names.into_iter().find(|name| c.peek() == &graph::text::lexer::Token::Str(name.to_string())) {
            Some(name) => c.string("a family").map(|_| TestCode(name)),
            None => c.expected("a family of the tests"),
        }
    }
}

const BLOCKED: &str = "blocked";
const DIRECT: &str = "direct";
const SCALED: &str = "scaled";

/// The families that a test asks for by name.
pub fn families(names: &str) -> Vec<&'static dyn Claimant<Code = TestCode>> {
    let all: [&'static dyn Claimant<Code = TestCode>; 3] = [&Blocked, &Direct, &Scaled];
    all.into_iter().filter(|family| names.split(' ').any(|name| name == family.name())).collect()
}

/// The node, if it is a region of a kind with one result.
fn region<'a>(site: &Site<'a>, seed: NodeId, kind: &str) -> Option<(&'a Node, &'a TensorType)> {
    let node = site.graph.node(seed)?;
    let Op::Region(region) = &node.op else { return None };
    let result = site.graph.tensor(*node.results.first()?)?;
    (region.kind.name == kind && node.results.len() == 1).then_some((node, result))
}

fn claim(node: &Node, seed: NodeId, code: &'static str, want: &Want) -> Claim<TestCode> {
    Claim {
        nodes: vec![seed],
        operands: node.operands.iter().map(|value| ClaimOperand { value: *value, want: want.clone() }).collect(),
        derived: Vec::new(),
        results: node.results.clone(),
        result_layout: None,
        epilogue: true,
        sizes: Vec::new(),
        workspace: Dim::constant(0),
        cost: 0.0,
        code: TestCode(code),
    }
}

/// Claims `test_twice` in blocks of 4 along dim 1.
struct Blocked;

impl Claimant for Blocked {
    type Code = TestCode;

    fn name(&self) -> &'static str {
        BLOCKED
    }

    fn claims(&self, site: &Site<'_>, seed: NodeId) -> Vec<Claim<TestCode>> {
        let Some((node, result)) = region(site, seed, "test_twice").filter(|(_, t)| t.rank() > 1) else {
            return Vec::new();
        };
        let layout = Layout::blocked(result.rank(), 1, 4);
        let offer = claim(node, seed, BLOCKED, &Want::Layout(layout.clone()));
        vec![Claim { result_layout: Some(layout), sizes: result.shape.clone(), ..offer }]
    }
}

/// Claims `test_twice` and writes its result itself.
struct Direct;

impl Claimant for Direct {
    type Code = TestCode;

    fn name(&self) -> &'static str {
        DIRECT
    }

    fn claims(&self, site: &Site<'_>, seed: NodeId) -> Vec<Claim<TestCode>> {
        let Some((node, _)) = region(site, seed, "test_twice") else { return Vec::new() };
        let offer = claim(node, seed, DIRECT, &Want::Strided(Strided { contiguous_last: true, ..Strided::default() }));
        vec![Claim { epilogue: false, workspace: Dim::constant(100), ..offer }]
    }
}

/// Claims `test_scale` by a constant, which it takes doubled.
struct Scaled;

impl Claimant for Scaled {
    type Code = TestCode;

    fn name(&self) -> &'static str {
        SCALED
    }

    fn claims(&self, site: &Site<'_>, seed: NodeId) -> Vec<Claim<TestCode>> {
        let Some((node, result)) = region(site, seed, "test_scale") else { return Vec::new() };
        let [x, w] = node.operands[..] else { return Vec::new() };
        let Some(graph) = (site.constants)(w).and_then(|_| doubled(result)) else { return Vec::new() };
        let mut offer = claim(node, seed, SCALED, &Want::Dense);
        offer.operands.retain(|operand| operand.value == x);
        let derived = Derived { name: "doubled".to_string(), graph, inputs: vec![w] };
        vec![Claim { derived: vec![derived], workspace: &result.count() * &Dim::constant(4), ..offer }]
    }
}

/// The graph that adds its input to itself.
fn doubled(ty: &TensorType) -> Option<Graph> {
    let mut graph = Graph::default();
    let input = graph.add_value(Type::Tensor(ty.clone()), None);
    let output = graph.add_value(Type::Tensor(ty.clone()), None);
    let leaves = Leaves { operands: &[ty.dtype], accs: &[] };
    let mut exprs = Exprs::default();
    let index = (0..ty.rank()).map(|d| exprs.add(Expr::Index(d as u32), leaves).ok()).collect::<Option<Vec<_>>>()?;
    let x = exprs.add(Expr::Load { operand: 0, index, or: None }, leaves).ok()?;
    let sum = exprs.add(Expr::Binary(BinOp::Add, x, x), leaves).ok()?;
    let compute = Compute { shape: ty.shape.clone(), reduce: Vec::new(), exprs, accs: Vec::new(), outs: vec![sum] };
    let (operands, results) = (vec![input], vec![output]);
    graph.nodes.push(Node { op: Op::Compute(compute), operands, results, binds: Vec::new(), origins: Vec::new() });
    (graph.inputs, graph.outputs) = (vec![input], vec![output]);
    Some(graph)
}

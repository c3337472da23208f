//! A measure: integer arithmetic on shapes that is left to run.

use graph::dtype::DType;
use graph::graph::{Graph, NodeId};
use graph::node::{Node, Op};

/// Computes of integers or truth values that read something, and all they read goes back to sizes and constants. In normal
/// form there are none, but for tensors beyond the limit on known contents.
pub fn shape_arithmetic(graph: &Graph) -> Vec<NodeId> {
    let mut from_sizes = vec![false; graph.values.len()];
    let mut found = Vec::new();
    for (id, node) in graph.iter() {
        let known = node.operands.iter().all(|v| from_sizes.get(v.0 as usize).copied().unwrap_or(false));
        if !known || !is_integer_work(graph, node) {
            continue;
        }
        for result in &node.results {
            if let Some(slot) = from_sizes.get_mut(result.0 as usize) {
                *slot = true;
            }
        }
        if matches!(node.op, Op::Compute(_)) && !node.operands.is_empty() {
            found.push(id);
        }
    }
    found
}

fn is_integer_work(graph: &Graph, node: &Node) -> bool {
    let integers =
        node.results.iter().all(|r| graph.tensor(*r).is_some_and(|t| t.dtype.is_int() || t.dtype == DType::Bool));
    integers && matches!(node.op, Op::Const(_) | Op::Compute(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, run_pipeline};
    use graph::builder::Builder;
    use graph::dim::Dim;
    use graph::expr::BinOp;
    use graph::tensor::Tensor;
    use graph::ty::Type;

    #[test]
    fn a_chain_that_is_known_does_not_run() {
        let mut b = Builder::new("shapes");
        let n = b.input_symbol("n", 1, None);
        let x = b.input("x", Type::tensor(DType::F32, [n.clone(), Dim::from(6i64)]));
        let sizes = b.dims_tensor(&[n, Dim::from(6i64)]).unwrap();
        let twice = b.constant(Tensor::from_i64s(&[2, 3])).unwrap();
        let product = b.binary(BinOp::Mul, sizes, twice).unwrap();
        let shape = b.contents(product).unwrap().to_vec();
        let y = b.map(&[x, product], |p, v| {
            let size = p.cast(v[1], DType::F32);
            p.add(v[0], size)
        });
        assert!(y.is_err(), "6 and 2 do not broadcast");
        let first = b.slice(product, 0, &Dim::constant(0), 1, Dim::constant(1)).unwrap();
        let y = b.map(&[x, first], |p, v| {
            let size = p.cast(v[1], DType::F32);
            p.add(v[0], size)
        });
        b.output(y.unwrap());
        let mut model = b.finish();
        assert_eq!(shape_arithmetic(&model.graph).len(), 2, "{shape:?}");
        run_pipeline(&mut model, &Options::default()).unwrap();
        assert_eq!(shape_arithmetic(&model.graph), []);
        assert_eq!(model.graph.nodes.len(), 1);
    }
}

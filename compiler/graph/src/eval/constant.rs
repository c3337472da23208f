//! Constants as values.

use crate::datum::Datum;
use crate::eval::{Bindings, Problem};
use crate::graph::Graph;
use crate::node::{Const, Node};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, element_count};

/// The value of a constant; splats and iotas take shape and dtype from the node's result.
pub(super) fn run(graph: &Graph, node: &Node, value: &Const, bindings: &Bindings) -> Result<Vec<Datum>, Problem> {
    let tensor = match value {
        Const::Inline(tensor) => tensor.clone(),
        Const::Blob(blob) => blob.tensor.clone(),
        Const::Splat(scalar) => {
            let ty = node.results.first().and_then(|r| graph.tensor(*r));
            let ty = ty.ok_or(Problem::Malformed { what: "a splat has one tensor result" })?;
            Tensor::splat(*scalar, bindings.shape(&ty.shape)?)?
        }
        Const::Iota => {
            let ty = node.results.first().and_then(|r| graph.tensor(*r));
            let ty = ty.ok_or(Problem::Malformed { what: "an iota has one tensor result" })?;
            let shape = bindings.shape(&ty.shape)?;
            let too_large = || Problem::TooLarge { dtype: ty.dtype, shape: shape.clone() };
            let count = element_count(&shape).filter(|n| *n <= isize::MAX as usize / 16).ok_or_else(too_large)?;
            let mut elements = Vec::new();
            elements.try_reserve_exact(count).map_err(|_| too_large())?;
            elements.extend((0..count).map(|i| Scalar::from_i64(ty.dtype, i as i64)));
            Tensor::from_scalars(ty.dtype, shape, &elements)?
        }
    };
    Ok(vec![Datum::Tensor(tensor)])
}

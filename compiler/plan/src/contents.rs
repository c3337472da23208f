//! Contents of weights: constants, and what is derived from them.
//!
//! What is derived from an element that repeats mostly repeats itself along whole axes: the packed form of a splat. Such contents
//! are evaluated, and kept, at extents of 1 there, so that they take next to no memory.
//!
//! ```text
//! f32[25088, 4096] splat 0.02, packed to [256, 25088, 16]   →   [1, 1, 1] of shape [256, 25088, 16]
//! ```

use graph::datum::Datum;
use graph::dim::Dim;
use graph::eval::Bindings;
use graph::expr::{Expr, ExprId};
use graph::graph::Graph;
use graph::node::{Compute, Op};
use graph::tensor::{Hash, Tensor};
use graph::ty::Type;

use crate::eval_plan::EvalPlanError;
use crate::plan::Source;

/// The contents of a weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    shape: Vec<usize>,
    /// Of the same rank; an extent of 1 stands for all of an axis.
    tensor: Tensor,
}

impl Contents {
    /// Evaluates a weight's source.
    pub fn of(source: &Source) -> Result<Contents, EvalPlanError> {
        match source {
            Source::Constant(tensor) => {
                let shape = tensor.shape().to_vec();
                let tensor = match tensor.repeated().filter(|e| e.dtype.bits() >= 8 && !tensor.is_empty()) {
                    Some(element) => Tensor::splat(element, vec![1; shape.len()])?,
                    None => tensor.clone(),
                };
                Ok(Contents { shape, tensor })
            }
            Source::Derived { graph, inputs } => {
                let (reduced, shape) = match reduced(graph, inputs) {
                    Some((reduced, shape)) => (Some(reduced), Some(shape)),
                    None => (None, None),
                };
                let data: Vec<Datum> = inputs.iter().cloned().map(Datum::Tensor).collect();
                let results = graph::eval::graph(reduced.as_ref().unwrap_or(graph), &data, &mut Bindings::default())?;
                let tensor = results.into_iter().next().and_then(|d| d.as_tensor().cloned());
                let tensor = tensor.ok_or(EvalPlanError::Malformed("a derived constant is no tensor"))?;
                Ok(Contents { shape: shape.unwrap_or_else(|| tensor.shape().to_vec()), tensor })
            }
        }
    }

    /// The tensor, where no axis is left out.
    pub fn as_dense(&self) -> Option<&Tensor> {
        (self.tensor.shape() == self.shape).then_some(&self.tensor)
    }

    /// The tensor at its full extents.
    pub fn to_tensor(&self) -> Result<Tensor, EvalPlanError> {
        if let Some(dense) = self.as_dense() {
            return Ok(dense.clone());
        }
        if let Some(element) = self.tensor.as_splat() {
            return Ok(Tensor::splat(element, self.shape.clone())?);
        }
        let mut bytes = Vec::new();
        self.for_each_part(&mut |part| {
            bytes.extend_from_slice(part);
            true
        });
        Ok(Tensor::from_bytes(self.tensor.dtype(), self.shape.clone(), bytes.into())?)
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of bytes at full extents.
    pub fn bytes(&self) -> usize {
        Tensor::bytes_of(self.tensor.dtype(), &self.shape).unwrap_or(usize::MAX)
    }

    /// A hash of the axes that are left out and what is there.
    pub fn hash(&self) -> Hash {
        let extents = Tensor::from_i64s(&self.shape.iter().map(|d| *d as i64).collect::<Vec<_>>());
        let both = [self.tensor.hash().0, extents.hash().0].concat();
        Tensor::from_i64s(&both.iter().map(|b| i64::from(*b)).collect::<Vec<_>>()).hash()
    }

    /// The bytes at full extents, part after part, for as long as `visit` wants more.
    pub fn for_each_part(&self, visit: &mut dyn FnMut(&[u8]) -> bool) {
        if self.as_dense().is_some() || self.elements() == 0 {
            visit(self.tensor.bytes());
            return;
        }
        // Parts go along the first axis that has an extent.
        let axis = self.shape.iter().position(|d| *d > 1).unwrap_or(0);
        let inner = self.inner(axis);
        let mut part = Vec::new();
        for k in 0..self.shape.get(axis).copied().unwrap_or(1) {
            let there = self.tensor.shape().get(axis).copied().unwrap_or(1);
            if k < there {
                part.clear();
                self.append(axis + 1, k * inner, &mut part);
            }
            if !visit(&part) {
                return;
            }
        }
    }

    /// Elements that are there for one index of an axis.
    fn inner(&self, axis: usize) -> usize {
        self.tensor.shape().iter().skip(axis + 1).product()
    }

    /// Appends the bytes of the axes from `axis` on, from element `at` of what is there.
    fn append(&self, axis: usize, at: usize, out: &mut Vec<u8>) {
        let width = self.tensor.dtype().bits() as usize / 8;
        let there = self.tensor.shape().get(axis..).unwrap_or(&[]);
        if there == self.shape.get(axis..).unwrap_or(&[]) {
            let count: usize = there.iter().product();
            out.extend_from_slice(self.tensor.bytes().get(at * width..(at + count) * width).unwrap_or(&[]));
            return;
        }
        let (extent, inner) = (self.shape.get(axis).copied().unwrap_or(1), self.inner(axis));
        if there.first() == Some(&extent) {
            (0..extent).for_each(|k| self.append(axis + 1, at + k * inner, out));
            return;
        }
        let start = out.len();
        self.append(axis + 1, at, out);
        let end = out.len();
        (1..extent).for_each(|_| out.extend_from_within(start..end));
    }
}

/// The graph of one pointwise node over elements that repeat, at extents of 1 where its values do not depend on the index; and the
/// shape that it has in full. `None` if there is no such axis.
fn reduced(graph: &Graph, inputs: &[Tensor]) -> Option<(Graph, Vec<usize>)> {
    let [node] = graph.nodes.as_slice() else { return None };
    let (Op::Compute(compute), [result], [output]) = (&node.op, &node.results[..], &graph.outputs[..]) else {
        return None;
    };
    let ty = graph.tensor(*result).filter(|ty| result == output && ty.dtype.bits() >= 8)?.clone();
    let shape = ty.static_shape().filter(|shape| !shape.contains(&0) && shape.len() < 64)?;
    let operands: Option<Vec<&Tensor>> = node
        .operands
        .iter()
        .map(|v| graph.inputs.iter().position(|input| input == v).and_then(|k| inputs.get(k)))
        .collect();
    let needed = dependences(compute, &shape, &operands?)?;
    let extents: Vec<usize> =
        shape.iter().enumerate().map(|(d, e)| if needed >> d & 1 == 1 { *e } else { 1 }).collect();
    if extents == shape {
        return None;
    }
    let dims: Vec<Dim> = extents.iter().map(|e| Dim::from(*e)).collect();
    let mut reduced = graph.clone();
    let compute = Compute { shape: dims.clone(), ..compute.clone() };
    reduced.nodes.first_mut()?.op = Op::Compute(compute);
    reduced.values.get_mut(result.0 as usize)?.ty = Type::tensor(ty.dtype, dims);
    Some((reduced, shape))
}

/// The axes whose index the result depends on, a bit each. `None` for a reduction.
fn dependences(compute: &Compute, shape: &[usize], operands: &[&Tensor]) -> Option<u64> {
    if !compute.reduce.is_empty() || !compute.accs.is_empty() {
        return None;
    }
    let [out] = compute.outs.as_slice() else { return None };
    let mut of: Vec<u64> = Vec::with_capacity(compute.exprs.len());
    for (_, expr) in compute.exprs.iter() {
        let at = |e: &ExprId| of.get(e.0 as usize).copied().unwrap_or(u64::MAX);
        let mut found = 0;
        match expr {
            Expr::Index(d) => found |= 1 << d,
            Expr::Load { operand, index, or } => {
                let tensor = operands.get(*operand as usize)?;
                let repeats = tensor.repeated().is_some();
                for (axis, e) in index.iter().enumerate() {
                    let inside = match compute.exprs.get(*e) {
                        Some(Expr::Index(d)) => {
                            shape.get(*d as usize).zip(tensor.shape().get(axis)).is_some_and(|(n, m)| n <= m)
                        }
                        _ => false,
                    };
                    // Of an element that repeats, only whether the index is inside matters.
                    if !(repeats && (inside || or.is_none())) {
                        found |= at(e);
                    }
                }
                found |= or.as_ref().map_or(0, at);
            }
            other => other.for_each_child(&mut |e| found |= at(&e)),
        }
        of.push(found);
    }
    of.get(out.0 as usize).copied()
}

#[cfg(test)]
mod tests {
    use graph::builder::Builder;
    use graph::dtype::DType;
    use graph::scalar::Scalar;

    use super::*;

    /// `[K, N]` to `[N / 4][K][4]`, zeros beyond the last column.
    fn packed(k: usize, n: usize) -> Graph {
        let dims = |extents: &[usize]| extents.iter().map(|e| Dim::from(*e)).collect::<Vec<_>>();
        let mut b = Builder::new("packed");
        let x = b.input("", Type::tensor(DType::F32, dims(&[k, n])));
        let y = b
            .compute(&[x], dims(&[n.div_ceil(4), k, 4]), |p| {
                let at = p.indices();
                let four = p.int(4);
                let start = p.mul(at[0], four);
                let column = p.add(start, at[2]);
                let zero = p.zero(DType::F32);
                let v = p.load_or(0, &[at[1], column], zero);
                p.out(v);
            })
            .unwrap();
        b.output(y);
        b.finish().graph
    }

    /// Contents are those of the evaluator, and take so many elements.
    fn check(k: usize, n: usize, input: Tensor, elements: usize) {
        let graph = packed(k, n);
        let dense = Tensor::from_bytes(DType::F32, input.shape().to_vec(), input.clone().bytes().clone()).unwrap();
        let expected = graph::eval::graph(&graph, &[Datum::Tensor(dense)], &mut Bindings::default()).unwrap();
        let found = Contents::of(&Source::Derived { graph: Box::new(graph), inputs: vec![input] }).unwrap();
        assert_eq!(found.to_tensor().unwrap(), *expected[0].as_tensor().unwrap());
        assert_eq!(found.tensor.len(), elements);
        let mut bytes = 0;
        found.for_each_part(&mut |part| {
            bytes += part.len();
            true
        });
        assert_eq!(bytes, found.bytes());
    }

    #[test]
    fn rows_of_a_repeated_element_are_one_row() {
        let splat = |k, n| Tensor::splat(Scalar::f32(0.5), vec![k, n]).unwrap();
        check(7, 8, splat(7, 8), 8);
        check(7, 6, splat(7, 6), 8);
        check(
            3,
            5,
            Tensor::from_f32s(&(0..15).map(|v| v as f32).collect::<Vec<_>>()).reshaped(vec![3, 5]).unwrap(),
            24,
        );
    }

    #[test]
    fn a_repeated_constant_is_one_element() {
        let splat = Tensor::splat(Scalar::f32(2.0), vec![5, 1 << 20]).unwrap();
        let found = Contents::of(&Source::Constant(splat.clone())).unwrap();
        assert_eq!((found.tensor.len(), found.elements()), (1, 5 << 20));
        assert_eq!(found.to_tensor().unwrap(), splat);
    }
}

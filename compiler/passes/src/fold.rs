//! Folds constants, and makes sizes of integers that are known as sizes.
//!
//! Before: anything. After: a node whose operands are constants is a constant, if that takes at most
//! [`Options::fold_bytes`](crate::Options::fold_bytes) more than the operands that nothing else reads (weights that are only
//! moved or scaled always fold, and so do weights in eight bits that are made floats) and the work is bounded. An integer tensor whose elements are known is a constant, or where symbols occur one Compute of sizes that reads
//! nothing, so that no arithmetic on shapes is left to run. First of a round: every other pass looks for constants.
//!
//! ```text
//! %1 = compute … (%0)        contents {n, n*4}
//! %1 = compute [2] { e0 = i0 · e1 = dim n · e2 = dim n*4 … select } ()
//! ```

use graph::builder::BuildError;
use graph::datum::Datum;
use graph::dim::Dim;
use graph::eval::{self, Bindings};
use graph::graph::{Graph, Model, ValueId};
use graph::node::{Node, Op};
use graph::scalar::Scalar;
use graph::tensor::Tensor;
use graph::ty::TensorType;

use crate::rewrite::{Patch, Site, Stateless, rewrite};
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "fold",
    run,
    reason: "what is known now is not computed again on every call",
    after: &[],
    before: &["no_op", "algebra", "cse", "dce"],
};

/// Elements of a tensor that is written as a chain of selections between sizes.
const SIZES: usize = 64;

/// Elements that may be computed or accumulated to fold one node.
const WORK: i64 = 1 << 31;

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    rewrite(model, ctx, PASS.name, &mut Stateless(rule))
}

fn rule(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    if matches!(node.op, Op::Const(_) | Op::Bind) || !node.binds.is_empty() || node.results.is_empty() {
        return Ok(None);
    }
    match known_contents(site, node)? {
        Some(values) => Ok(Some(values)),
        None => evaluated(site, node),
    }
}

/// Results that are all known as sizes.
fn known_contents(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    let mut plans = Vec::with_capacity(node.results.len());
    for result in &node.results {
        let Some(value) = site.old.value(*result) else { return Ok(None) };
        let (Some(ty), Some(contents)) = (value.ty.as_tensor(), value.contents.clone()) else { return Ok(None) };
        let constant = contents.iter().all(|d| d.as_const().is_some());
        if !constant && (is_of_sizes(node) || contents.len() > SIZES || !contents.iter().all(|d| site.knows(d))) {
            return Ok(None);
        }
        plans.push((ty.clone(), contents));
    }
    let mut values = Vec::with_capacity(plans.len());
    for (ty, contents) in plans {
        match constant(&ty, &contents) {
            Some(tensor) => values.push(site.b.constant(tensor)?),
            None => values.push(sizes(site, &ty, &contents)?),
        }
    }
    Ok(Some(values))
}

/// Whether a node is a Compute that reads nothing.
pub(crate) fn is_of_sizes(node: &Node) -> bool {
    matches!(&node.op, Op::Compute(c) if node.operands.is_empty() && c.reduce.is_empty())
}

fn constant(ty: &TensorType, contents: &[Dim]) -> Option<Tensor> {
    let elements: Option<Vec<Scalar>> =
        contents.iter().map(|d| d.as_const().map(|v| Scalar::from_i64(ty.dtype, v))).collect();
    Tensor::from_scalars(ty.dtype, ty.static_shape()?, &elements?).ok()
}

/// A Compute that selects the size at an index.
fn sizes(site: &mut Site<'_>, ty: &TensorType, contents: &[Dim]) -> Result<ValueId, BuildError> {
    site.b.compute(&[], ty.shape.clone(), |p| {
        let mut linear = None;
        for (d, extent) in ty.shape.iter().enumerate().filter(|(_, extent)| !extent.is(1)) {
            let (extent, index) = (p.dim(extent), p.index(d));
            linear = Some(match linear {
                None => index,
                Some(outer) => {
                    let scaled = p.mul(outer, extent);
                    p.add(scaled, index)
                }
            });
        }
        let linear = linear.unwrap_or_else(|| p.int(0));
        let mut groups: Vec<(Dim, usize)> = Vec::new();
        for (k, dim) in contents.iter().enumerate() {
            match groups.last_mut() {
                Some((last, end)) if last == dim => *end = k,
                _ => groups.push((dim.clone(), k)),
            }
        }
        let mut value = p.int(0);
        for (k, (dim, end)) in groups.iter().enumerate().rev() {
            let size = p.dim(dim);
            value = if k + 1 == groups.len() {
                size
            } else {
                let last = p.int(*end as i64);
                let here = p.le(linear, last);
                p.select(here, size, value)
            };
        }
        let value = p.cast(value, ty.dtype);
        p.out(value);
    })
}

/// Results of a node that reads constants only.
fn evaluated(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    if work(&node.op).is_none_or(|work| work > WORK) {
        return Ok(None);
    }
    let mut bytes = 0usize;
    for result in &node.results {
        let shape = site.tensor(*result).and_then(|t| t.static_shape().map(|s| (t.dtype, s)));
        let Some(size) = shape.and_then(|(dtype, shape)| Tensor::bytes_of(dtype, &shape)) else { return Ok(None) };
        bytes = bytes.saturating_add(size);
    }
    let (mut operands, mut given) = (Vec::with_capacity(node.operands.len()), 0usize);
    for operand in &node.operands {
        let Some(tensor) = site.b.const_tensor(site.get(*operand)?) else { return Ok(None) };
        if site.facts.uses(*operand) == 1 {
            given = given.saturating_add(tensor.bytes().len());
        }
        operands.push(Datum::Tensor(tensor));
    }
    if is_from_eight_bits(site, node) {
        given = given.saturating_mul(4);
    }
    if bytes > given.saturating_add(site.ctx.options.fold_bytes) {
        return Ok(None);
    }
    let Ok(results) = eval::node(site.old, node, &operands, &mut Bindings::default()) else { return Ok(None) };
    let tensors: Option<Vec<Tensor>> = results
        .into_iter()
        .map(|datum| match datum {
            Datum::Tensor(tensor) => Some(tensor),
            Datum::Seq(_) | Datum::Opt(_) | Datum::Map { .. } => None,
        })
        .collect();
    let Some(tensors) = tensors else { return Ok(None) };
    tensors.into_iter().map(|t| site.b.constant(t)).collect::<Result<Vec<_>, _>>().map(Some)
}

/// Whether a node widens weights in eight bits: kernels of products take weights that are constants, so the wide ones have to be
/// there when the model is compiled, whatever they take.
fn is_from_eight_bits(site: &Site<'_>, node: &Node) -> bool {
    let (Some(from), [result]) = (node.operands.first().and_then(|x| site.tensor(*x)), &node.results[..]) else {
        return false;
    };
    let widens = match &node.op {
        Op::Region(region) => region.kind.name == "dequantize",
        Op::Compute(compute) => compute.reduce.is_empty(),
        _ => false,
    };
    widens && from.dtype.bits() == 8 && site.tensor(*result).is_some_and(|to| to.shape == from.shape)
}

/// Elements that a node computes or accumulates; `None` if only running it tells.
fn work(op: &Op) -> Option<i64> {
    let body = |graph: &Graph| graph.nodes.iter().try_fold(1i64, |sum, n| Some(sum.saturating_add(work(&n.op)?)));
    match op {
        Op::Compute(c) => {
            let extents = c.shape.iter().chain(c.reduce.iter().map(|e| &e.bound));
            extents.map(Dim::as_const).try_fold(1i64, |product, extent| Some(product.saturating_mul(extent?)))
        }
        Op::Scatter(s) => s.domain.iter().try_fold(1i64, |product, e| Some(product.saturating_mul(e.as_const()?))),
        Op::Scan(s) => Some(s.trip.as_const()?.saturating_mul(body(&s.body)?)),
        Op::If(i) => Some(body(&i.then_body)?.max(body(&i.else_body)?)),
        Op::Region(r) => body(&r.body),
        Op::Const(_) | Op::Sort(_) | Op::Compact(_) | Op::Prefix(_) | Op::Bind | Op::Host(_) => Some(1),
        Op::Loop(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use graph::builder::Builder;
    use graph::dtype::DType;
    use graph::region::dequantize::Dequantize;

    use super::*;
    use crate::{Options, run_pipeline};

    /// Whether sixteen weights become floats where folding may add 16 bytes.
    fn check(dtype: DType, folds: bool) {
        let mut b = Builder::new("test");
        let elements: Vec<Scalar> = (0..16).map(|v| Scalar::from_i64(dtype, v)).collect();
        let x = b.constant(Tensor::from_scalars(dtype, vec![2, 8], &elements).unwrap()).unwrap();
        let scale = b.constant(Tensor::from_f32s(&[0.5]).reshaped(Vec::new()).unwrap()).unwrap();
        let dequantize = Dequantize { to: DType::F32, axis: 0, block: 0 };
        let y = b.dequantize(dequantize, x, scale, None).unwrap();
        b.output(y);
        let mut model = b.finish();
        run_pipeline(&mut model, &Options { fold_bytes: 16, ..Options::default() }).unwrap();
        let left = model.graph.nodes.iter().filter(|n| matches!(n.op, Op::Region(_))).count();
        assert_eq!(left, usize::from(!folds), "{dtype:?}");
    }

    #[test]
    fn weights_in_eight_bits_become_floats() {
        check(DType::I8, true);
        check(DType::U8, true);
        check(DType::I16, false);
    }
}

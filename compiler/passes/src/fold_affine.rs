//! Folds scales behind a convolution or contraction into its constant weight: batch normalisation, scaled products.
//!
//! Before: `fold` has made constants of what batch normalisation computes from its statistics; `pointwise_first` has brought
//! scales next to the products. After: behind a conv, conv_transpose or contract with constant weight, read by nothing else,
//! stands no multiplication by constants of its output channels; all constants that are added are one. A weight that
//! something else reads stays as it is. Rounds differently.
//!
//! ```text
//! %2 = region conv (%0, %w) · %3 = %2 + b[c] · %4 = %3 * s[c] + t[c]
//!   → %2 = region conv (%0, %w * s[c]) · %4 = %2 + (b*s + t)[c]
//! ```

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::BinOp;
use graph::graph::{Model, ValueId};
use graph::node::{Node, Op, Region};
use graph::region::contract::{self, Contract};
use graph::region::conv;
use graph::region::conv_transpose::{self, ConvTranspose};
use graph::tensor::Tensor;

use crate::affine::{self, Affine};
use crate::rewrite::{Patch, Site, Stateless, rewrite};
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "fold_affine",
    run,
    reason: "batch normalisation in inference is part of the convolution",
    after: &["fold", "pointwise_first"],
    before: &["cse", "dce"],
};

/// The least f16 with all its digits.
const LEAST_F16: f64 = 6.103_515_625e-5;

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    rewrite(model, ctx, PASS.name, &mut Stateless(rule))
}

/// A weight, and where each of its dims that is an output channel stands in the result.
struct Weight {
    operand: usize,
    /// For every dim of the result that the weight knows: `Ok` dim of the weight, or what a grouped channel is made of.
    channels: Vec<(usize, Channel)>,
}

enum Channel {
    Dim(usize),
    /// Dim 0 counts the data's channels over all groups, dim 1 the output's within a group.
    Grouped(i64),
}

fn rule(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    let Some(id) = node.results.first().and_then(|r| site.definition(*r)) else { return Ok(None) };
    let Some(affine) = affine::behind_region(site, id.0) else { return Ok(None) };
    let Op::Region(region) = &affine.region.op else { return Ok(None) };
    let Some(weight) = weight_of(site, affine.region, region) else { return Ok(None) };
    if affine.scale.is_none() && (affine.links < 2 || affine.shift.is_none()) {
        return Ok(None);
    }
    let shared = affine.region.operands.get(weight.operand).is_none_or(|v| site.facts.uses(*v) > 1);
    if shared && affine.scale.is_some() {
        return Ok(None);
    }
    let [result] = node.results[..] else { return Ok(None) };
    let Some(ty) = site.tensor(result).cloned() else { return Ok(None) };
    let known: Vec<usize> = weight.channels.iter().map(|(d, _)| *d).collect();
    let dims: Vec<usize> = affine.dims(affine.scale).union(&affine.dims(affine.shift)).copied().collect();
    if !dims.iter().all(|d| known.contains(d)) {
        return Ok(None);
    }
    let weights = match affine.scale {
        None => None,
        Some(scale) => {
            let scaled = affine.tensor(site, scale, &ty.shape, &dims)?;
            let Some(scale) = scaled else { return Ok(None) };
            match scaled_weight(site, &affine, &weight, scale, &dims)? {
                Some(weights) => Some(weights),
                None => return Ok(None),
            }
        }
    };
    let shift = match affine.shift {
        None => None,
        Some(shift) => match affine.tensor(site, shift, &ty.shape, &dims)? {
            Some(tensor) => Some(tensor),
            None => return Ok(None),
        },
    };
    let mut operands = site.get_all(&affine.region.operands)?;
    if let (Some(tensor), Some(slot)) = (weights, operands.get_mut(weight.operand)) {
        *slot = site.b.constant(tensor)?;
    }
    let mut origins = affine.region.origins.clone();
    origins.extend(node.origins.iter().filter(|o| !affine.region.origins.contains(o)));
    site.b.set_origins(origins);
    let product = site.b.region_one(region.kind, region.attrs.clone(), &operands)?;
    Ok(Some(vec![shifted(site, product, shift, &dims, ty.dtype)?]))
}

fn weight_of(site: &Site<'_>, node: &Node, region: &Region) -> Option<Weight> {
    let constant = |k: usize| {
        let value = *node.operands.get(k)?;
        let float = matches!(site.tensor(value)?.dtype, DType::F32 | DType::F64 | DType::F16 | DType::BF16);
        (site.facts.is_const(site.old, value) && float).then_some(k)
    };
    if region.kind == &conv::KIND {
        return Some(Weight { operand: constant(1)?, channels: vec![(1, Channel::Dim(0))] });
    }
    if region.kind == &conv_transpose::KIND {
        let groups = ConvTranspose::from_attrs(&region.attrs).ok()?.groups;
        return Some(Weight { operand: constant(1)?, channels: vec![(1, Channel::Grouped(groups))] });
    }
    if region.kind == &contract::KIND {
        let contract = Contract::from_attrs(&region.attrs).ok()?;
        let operand = constant(1).or_else(|| constant(0))?;
        let labels = if operand == 1 { &contract.b } else { &contract.a };
        let channels = contract.result.chars().enumerate();
        let channels = channels.filter_map(|(d, l)| labels.find(l).map(|at| (d, Channel::Dim(at)))).collect();
        return Some(Weight { operand, channels });
    }
    None
}

/// The weight times the scale of its channels; `None` if an element would not be finite any more, or all of them lose digits.
fn scaled_weight(
    site: &mut Site<'_>,
    affine: &Affine<'_>,
    weight: &Weight,
    scale: Tensor,
    dims: &[usize],
) -> Result<Option<Tensor>, BuildError> {
    let Some(old) = affine.region.operands.get(weight.operand).copied() else { return Ok(None) };
    let value = site.get(old)?;
    let (shape, dtype) = (site.b.shape(value)?, site.b.dtype(value)?);
    let scale = site.b.constant(scale)?;
    let wide = affine.dtype();
    let scaled = site.b.compute(&[value, scale], shape.clone(), |p| {
        let index = p.indices();
        let mut at = Vec::with_capacity(dims.len());
        for d in dims {
            let channel = weight.channels.iter().find(|(k, _)| k == d).map(|(_, c)| c);
            at.push(match channel {
                Some(Channel::Dim(dim)) => index[*dim],
                Some(Channel::Grouped(groups)) => {
                    let per_group = shape.first().map_or(1, |c| c.as_const().unwrap_or(1) / groups.max(&1));
                    let (inner, outputs) = (p.int(per_group.max(1)), p.dim(shape.get(1).unwrap_or(&Dim::constant(1))));
                    let group = p.binary(BinOp::FloorDiv, index[0], inner);
                    let start = p.mul(group, outputs);
                    p.add(start, index[1])
                }
                None => p.int(0),
            });
        }
        let (w, s) = (p.load(0, &index), p.load(1, &at));
        let w = p.cast(w, wide);
        let product = p.mul(w, s);
        let product = p.cast(product, dtype);
        p.out(product);
    })?;
    let tensor = site.b.const_tensor(scaled);
    let least = if dtype == DType::F16 { LEAST_F16 } else { 0.0 };
    Ok(tensor.filter(|t| {
        let values = t.to_f64s();
        let largest = values.iter().fold(0f64, |most, v| most.max(v.abs()));
        values.iter().all(|v| v.is_finite()) && (largest == 0.0 || largest >= least)
    }))
}

/// The product with a constant of its channels added, in a dtype.
fn shifted(
    site: &mut Site<'_>,
    product: ValueId,
    shift: Option<Tensor>,
    dims: &[usize],
    dtype: DType,
) -> Result<ValueId, BuildError> {
    let Some(shift) = shift else { return site.b.cast(product, dtype) };
    let (shape, shift) = (site.b.shape(product)?, site.b.constant(shift)?);
    site.b.compute(&[product, shift], shape, |p| {
        let index = p.indices();
        let at: Vec<_> = dims.iter().filter_map(|d| index.get(*d).copied()).collect();
        let (x, s) = (p.load(0, &index), p.load(1, &at));
        let s = p.cast(s, p.dtype(x));
        let sum = p.add(x, s);
        let sum = p.cast(sum, dtype);
        p.out(sum);
    })
}

//! Products of 8-bit integers run in f32, where that is exact.
//!
//! Before: contractions and convolutions sum integers in i32, whose operands are elements of 8 bits less their zero points. After:
//! those of which the sums of magnitudes stay below 2^24 are products in f32 and a cast; every partial sum is then an integer that
//! f32 holds, so the result is the same in any order. Longer sums are split along the summed axis, a product each. After
//! `precision`, which would round the operands or store the sums in fewer bits.
//! Reason: kernels of products multiply floats, integers would go the generic way.
//!
//! ```text
//! %2 = contract acc i32 (%0, %1)   →   %3 = cast f32 %0 · %4 = cast f32 %1 · %5 = contract acc f32 (%3, %4) · cast i32 %5
//! ```

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, Expr, ExprId, UnOp};
use graph::graph::{Model, ValueId};
use graph::node::{Compute, Node, Op};
use graph::region::contract::{self, Contract};
use graph::region::conv::{self, Conv};
use graph::tensor::Tensor;

use crate::rewrite::{Patch, Site, Stateless, rewrite};
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "integer_products",
    run,
    reason: "kernels of products multiply floats",
    after: &["precision"],
    before: &[],
};

/// Integers up to here are f32.
const EXACT: f64 = 16_777_216.0;
/// Most products that one is split into.
const PARTS: i64 = 16;
/// Nodes that a bound is followed through.
const DEPTH: usize = 8;

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    rewrite(model, ctx, PASS.name, &mut Stateless(rule))
}

/// What is multiplied: the axes that are summed over, one of them to be split, and the axes of the second operand that are not.
struct Product {
    split: Option<(usize, usize)>,
    kept: Vec<usize>,
    attrs: graph::attrs::Attrs,
}

fn rule(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    let Some((product, kind)) = product_of(node)? else { return Ok(None) };
    let [a, b] = node.operands[..] else { return Ok(None) };
    let Some(bound) = magnitude(site, a, DEPTH) else { return Ok(None) };
    let (a, b) = (site.get(a)?, site.get(b)?);
    let Some(weights) = site.b.const_tensor(b) else { return Ok(None) };
    let extent = product.split.and_then(|(_, axis)| weights.shape().get(axis).copied()).unwrap_or(1) as i64;
    let fitting = (1..=PARTS.min(extent.max(1))).find(|parts| {
        let pieces = pieces(extent, *parts);
        pieces.iter().all(|piece| bound * largest_sum(&weights, &product, *piece) < EXACT)
    });
    let Some(parts) = fitting else { return Ok(None) };
    let mut sum: Option<ValueId> = None;
    for piece in pieces(extent, parts) {
        let (mut x, mut y) = (a, b);
        if let Some((a_axis, b_axis)) = product.split.filter(|_| parts > 1) {
            let (start, count) = (Dim::constant(piece.0), Dim::constant(piece.1 - piece.0));
            x = site.b.slice(x, a_axis, &start, 1, count.clone())?;
            y = site.b.slice(y, b_axis, &start, 1, count)?;
        }
        let (x, y) = (site.b.cast(x, DType::F32)?, site.b.cast(y, DType::F32)?);
        let part = site.b.region_one(kind, product.attrs.clone(), &[x, y])?;
        let part = site.b.cast(part, DType::I32)?;
        sum = Some(match sum {
            Some(sum) => site.b.binary(BinOp::Add, sum, part)?,
            None => part,
        });
    }
    Ok(sum.map(|sum| vec![sum]))
}

/// A product that sums in i32, as one in f32.
fn product_of(node: &Node) -> Result<Option<(Product, &'static graph::region::RegionKind)>, BuildError> {
    let Op::Region(region) = &node.op else { return Ok(None) };
    if region.attrs.dtype("acc") != Some(DType::I32) {
        return Ok(None);
    }
    if region.kind == &contract::KIND {
        let contract = Contract { acc: DType::F32, ..Contract::from_attrs(&region.attrs)? };
        let summed: Vec<char> = contract.b.chars().filter(|l| !contract.result.contains(*l)).collect();
        let [label] = summed.as_slice() else { return Ok(None) };
        let at = |labels: &str| labels.chars().position(|l| l == *label);
        let kept = contract.b.chars().enumerate().filter(|(_, l)| l != label).map(|(d, _)| d).collect();
        let split = at(&contract.a).zip(at(&contract.b));
        return Ok(Some((Product { split, kept, attrs: contract.to_attrs() }, &contract::KIND)));
    }
    if region.kind == &conv::KIND {
        let conv = Conv { acc: DType::F32, ..Conv::from_attrs(&region.attrs)? };
        let split = (conv.groups == 1).then_some((1, 1));
        return Ok(Some((Product { split, kept: vec![0], attrs: conv.to_attrs() }, &conv::KIND)));
    }
    Ok(None)
}

/// An extent in so many pieces, whole blocks of 16 where that is possible.
fn pieces(extent: i64, parts: i64) -> Vec<(i64, i64)> {
    let each = (extent + parts - 1) / parts.max(1);
    let each = if parts > 1 { (each + 15) / 16 * 16 } else { each.max(1) };
    let count = (extent + each - 1) / each;
    (0..count.max(1)).map(|k| (k * each, extent.min((k + 1) * each))).collect()
}

/// The largest sum of magnitudes over the axes that are summed, of a piece of the one that is split.
fn largest_sum(weights: &Tensor, product: &Product, (start, end): (i64, i64)) -> f64 {
    let shape = weights.shape();
    let split = product.split.map(|(_, axis)| axis);
    let kept: usize = product.kept.iter().filter_map(|d| shape.get(*d)).product();
    let mut sums = vec![0.0f64; kept.max(1)];
    let mut at = vec![0usize; shape.len()];
    for value in weights.scalars() {
        let inside = split.and_then(|d| at.get(d)).is_none_or(|k| (start..end).contains(&(*k as i64)));
        if inside {
            let place = product
                .kept
                .iter()
                .fold(0, |place, d| place * shape.get(*d).copied().unwrap_or(1) + at.get(*d).copied().unwrap_or(0));
            if let Some(sum) = sums.get_mut(place) {
                *sum += value.as_f64().abs();
            }
        }
        for (index, extent) in at.iter_mut().zip(shape).rev() {
            *index += 1;
            if *index < *extent {
                break;
            }
            *index = 0;
        }
    }
    sums.into_iter().fold(0.0, f64::max)
}

/// A bound on the magnitude of a value's elements, if what they are made of has one.
fn magnitude(site: &Site<'_>, value: ValueId, depth: usize) -> Option<f64> {
    let (low, high) = range(site, value, depth)?;
    Some(f64::max(-low, high))
}

fn range(site: &Site<'_>, value: ValueId, depth: usize) -> Option<(f64, f64)> {
    match site.tensor(value)?.dtype {
        DType::U8 => return Some((0.0, 255.0)),
        DType::I8 => return Some((-128.0, 127.0)),
        _ => {}
    }
    let (node, position) = site.definition(value)?;
    let Op::Compute(compute) = &node.op else { return None };
    if depth == 0 || !compute.accs.is_empty() {
        return None;
    }
    range_of(site, node, compute, *compute.outs.get(position)?, depth)
}

fn range_of(site: &Site<'_>, node: &Node, compute: &Compute, id: ExprId, depth: usize) -> Option<(f64, f64)> {
    let of = |id: &ExprId| range_of(site, node, compute, *id, depth);
    let both = |a: (f64, f64), b: (f64, f64)| (a.0.min(b.0), a.1.max(b.1));
    match compute.exprs.get(id)? {
        Expr::Const(c) => Some((c.as_f64(), c.as_f64())),
        Expr::Cast { to: DType::I32, value, .. } if !compute.exprs.dtype(*value).is_float() => of(value),
        Expr::Binary(BinOp::Sub, a, b) => {
            let (a, b) = (of(a)?, of(b)?);
            Some((a.0 - b.1, a.1 - b.0))
        }
        Expr::Unary(UnOp::Neg, a) => of(a).map(|(low, high)| (-high, -low)),
        Expr::Select(_, a, b) => Some(both(of(a)?, of(b)?)),
        Expr::Load { operand, or, .. } => {
            let loaded = range(site, *node.operands.get(*operand as usize)?, depth - 1)?;
            match or {
                Some(or) => Some(both(loaded, of(or)?)),
                None => Some(loaded),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use graph::builder::Builder;
    use graph::datum::Datum;
    use graph::eval;
    use graph::scalar::Scalar;
    use graph::ty::Type;

    use super::*;
    use crate::{Options, run_pipeline};

    /// `[3, k]` of u8 less 7, times `[k, 2]` of a constant weight: how many products in f32 it becomes, if it does, and equal results.
    fn check(k: usize, weight: i64, expected: Option<usize>) {
        let mut b = Builder::new("test");
        let x = b.input("x", Type::tensor(DType::U8, vec![Dim::constant(3), Dim::from(k)]));
        let zero = b.constant(Tensor::from_scalars(DType::U8, Vec::new(), &[Scalar::from_i64(DType::U8, 7)]).unwrap());
        let zero = zero.unwrap();
        let centred = b.map(&[x, zero], |p, v| {
            let (x, zero) = (p.cast(v[0], DType::I32), p.cast(v[1], DType::I32));
            p.sub(x, zero)
        });
        let signed: Vec<Scalar> =
            (0..2 * k).map(|at| Scalar::from_i64(DType::I32, if at % 3 == 0 { -weight } else { weight })).collect();
        let weights = b.constant(Tensor::from_scalars(DType::I32, vec![k, 2], &signed).unwrap()).unwrap();
        let attrs = Contract::parse("mk,kn->mn", DType::I32).unwrap().to_attrs();
        let y = b.region_one(&contract::KIND, attrs, &[centred.unwrap(), weights]).unwrap();
        b.output(y);
        let plain = b.finish();
        let mut model = plain.clone();
        run_pipeline(&mut model, &Options::default()).unwrap();
        let dtypes: Vec<Option<DType>> = model
            .graph
            .nodes
            .iter()
            .filter_map(|n| if let Op::Region(r) = &n.op { Some(r.attrs.dtype("acc")) } else { None })
            .collect();
        match expected {
            Some(count) => assert_eq!(dtypes, vec![Some(DType::F32); count], "{k} {weight}"),
            None => assert_eq!(dtypes, [Some(DType::I32)], "{k} {weight}"),
        }
        let elements: Vec<Scalar> = (0..3 * k).map(|v| Scalar::from_i64(DType::U8, (v * 37 % 256) as i64)).collect();
        let input = Datum::Tensor(Tensor::from_scalars(DType::U8, vec![3, k], &elements).unwrap());
        let run = |model: &Model| eval::model(model, std::slice::from_ref(&input)).unwrap();
        assert_eq!(run(&model), run(&plain));
    }

    #[test]
    fn sums_that_f32_holds() {
        check(20, 127, Some(1));
        check(500, 127, Some(1));
    }

    #[test]
    fn longer_sums_are_split() {
        check(600, 127, Some(2));
        check(2000, 127, Some(4));
    }

    #[test]
    fn wide_weights_stay_integers() {
        check(40, 1 << 20, None);
    }

    #[test]
    fn pieces_are_whole_blocks() {
        assert_eq!(pieces(40, 1), [(0, 40)]);
        assert_eq!(pieces(40, 2), [(0, 32), (32, 40)]);
        assert_eq!(pieces(0, 1), [(0, 0)]);
    }
}

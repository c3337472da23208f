//! Moves scalar factors of a contraction's operands behind it: `(c*x) · y` is `c * (x · y)`.
//!
//! Before: `views` has brought maps together. After: no operand of a float contraction is `x * c` with one constant `c`, if
//! nothing else reads it; the factor is an epilogue, and what stood before the scaling stands before the contraction.
//! Rounds differently; only factors that no product overflows by. After `fold_affine`, which folds what can be a
//! weight's.
//!
//! ```text
//! %2 = %0 * 0.125 · %3 = contract(%2, %1)   →   %3 = contract(%0, %1) · %4 = %3 * 0.125
//! ```

use graph::builder::BuildError;
use graph::dtype::DType;
use graph::expr::BinOp;
use graph::graph::{Model, ValueId};
use graph::node::{Node, Op};
use graph::region::contract;

use crate::pattern::Term;
use crate::rewrite::{Patch, Site, Stateless, rewrite};
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "scale_out",
    run,
    reason: "attention scales queries or keys in a pass of their own, an epilogue does it for nothing",
    after: &["views", "pointwise_first", "fold_affine"],
    before: &["relabel", "dce"],
};

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    rewrite(model, ctx, PASS.name, &mut Stateless(rule))
}

fn rule(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    let Op::Region(region) = &node.op else { return Ok(None) };
    let acc = region.attrs.dtype("acc");
    if region.kind != &contract::KIND || !matches!(acc, Some(DType::F32 | DType::F64)) {
        return Ok(None);
    }
    let (mut factor, mut operands) = (1.0, Vec::with_capacity(2));
    for operand in &node.operands {
        match scaled(site, *operand) {
            Some((inner, c)) => {
                factor *= c;
                operands.push(site.get(inner)?);
            }
            None => operands.push(site.get(*operand)?),
        }
    }
    if operands == site.get_all(&node.operands)? {
        return Ok(None);
    }
    let product = site.b.region_one(region.kind, region.attrs.clone(), &operands)?;
    let scaled = site.b.map(&[product], |p, v| {
        let c = p.number(p.dtype(v[0]), factor);
        p.mul(v[0], c)
    })?;
    Ok(Some(vec![scaled]))
}

/// `x` and `c`, if a value that nothing else reads is `x * c`.
fn scaled(site: &Site<'_>, value: ValueId) -> Option<(ValueId, f64)> {
    if site.facts.uses(value) != 1 {
        return None;
    }
    let term = Term::of_value(site, value)?;
    let Some(graph::expr::Expr::Binary(BinOp::Mul, a, b)) = term.expr() else { return None };
    let (x, c) = (Term { id: *a, ..term }, Term { id: *b, ..term });
    let (inner, c) = (x.value(site)?, c.constant()?);
    let ty = site.tensor(inner)?;
    let wide = matches!(ty.dtype, DType::F32 | DType::F64) && Some(ty) == site.tensor(value);
    (wide && c.is_finite() && c != 0.0 && (1e-6..=1e6).contains(&c.abs())).then_some((inner, c))
}

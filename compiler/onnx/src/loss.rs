//! The negative log-likelihood of targets, which two operators share.

use graph::builder::{BuildError, Point};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{ExprId, UnOp};
use graph::graph::ValueId;
use graph::node::Combiner;
use graph::region::contract::accumulator;

use crate::operator::Ctx;

/// `-w[t] * x[n, t, d…]` for every target `t = target[n, d…]`, reduced as the attribute `reduction` says; zero where the
/// target is `ignore_index`. The mean divides by the sum of the weights.
pub fn negative_log_likelihood(
    ctx: &mut Ctx<'_>,
    x: ValueId,
    target: ValueId,
    weight: Option<ValueId>,
) -> Result<ValueId, BuildError> {
    let (from, shape) = (ctx.b.shape(x)?, ctx.b.shape(target)?);
    if from.len() < 2 || shape.len() + 1 != from.len() {
        let expected = format!("one less than the {} of the input, which is 2 or more", from.len());
        return Err(BuildError::Rank { what: "target".to_string(), expected, found: shape.len() });
    }
    for (extent, own) in shape.iter().zip(from[..1].iter().chain(&from[2..])) {
        ctx.b.assume_equal(extent, own, "extents of input and target")?;
    }
    let reduction = ctx.string("reduction").unwrap_or("mean").to_string();
    let ignore = ctx.int("ignore_index");
    let dtype = ctx.b.dtype(x)?;
    let wide = accumulator(dtype);
    let operands: Vec<ValueId> = [x, target].into_iter().chain(weight).collect();
    let term = Term { wide, ignore, weighted: weight.is_some() };
    match reduction.as_str() {
        "none" => ctx.b.compute(&operands, shape, |p| {
            let index = p.indices();
            let (loss, _) = term.at(p, &index);
            let loss = p.cast(loss, dtype);
            p.out(loss);
        }),
        "mean" | "sum" => ctx.b.compute(&operands, Vec::new(), |p| {
            let index: Vec<ExprId> = shape.iter().map(|extent| p.reduce(extent)).collect();
            let (loss, weight) = term.at(p, &index);
            let mut total = p.acc(Combiner::Sum, loss);
            if reduction == "mean" {
                let weights = if ignore.is_some() || term.weighted {
                    p.acc(Combiner::Sum, weight)
                } else {
                    let count = p.dim(&Dim::product(&shape));
                    p.cast(count, wide)
                };
                total = p.div(total, weights);
            }
            let total = p.cast(total, dtype);
            p.out(total);
        }),
        other => Err(BuildError::Attr {
            name: "reduction".to_string(),
            expected: "none, mean or sum".to_string(),
            found: other.to_string(),
        }),
    }
}

struct Term {
    wide: DType,
    ignore: Option<i64>,
    weighted: bool,
}

impl Term {
    /// Loss and weight of the target at an index.
    fn at(&self, p: &mut Point<'_>, index: &[ExprId]) -> (ExprId, ExprId) {
        let target = p.load(1, index);
        let target = p.cast(target, DType::I64);
        let mut at = index.to_vec();
        at.insert(1, target);
        let zero = p.zero(p.dtype_of_operand(0));
        let value = p.load_or(0, &at, zero);
        let value = p.cast(value, self.wide);
        let loss = p.unary(UnOp::Neg, value);
        let nothing = p.zero(self.wide);
        let mut weight = if self.weighted {
            let zero = p.zero(p.dtype_of_operand(2));
            let weight = p.load_or(2, &[target], zero);
            p.cast(weight, self.wide)
        } else {
            p.number(self.wide, 1.0)
        };
        let mut loss = p.mul(loss, weight);
        if let Some(ignore) = self.ignore {
            let ignore = p.int(ignore);
            let ignored = p.eq(target, ignore);
            weight = p.select(ignored, nothing, weight);
            loss = p.select(ignored, nothing, loss);
        }
        (loss, weight)
    }
}

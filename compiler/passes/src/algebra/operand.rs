//! Loads of what is known without memory: constants of which all elements are one, constants that count up along their
//! dims, and Computes that read nothing themselves (positions, masks, sizes).

use graph::expr::{BinOp, Expr, ExprId, Exprs};
use graph::scalar::Scalar;
use graph::tensor::Tensor;

use super::arena::Simplifier;

/// Expressions of a Compute that is computed again by each reader.
pub(super) const INLINED: usize = 24;
/// Elements of a constant that is looked at.
pub(super) const COUNTED: usize = 1 << 16;

pub(super) fn rule(s: &mut Simplifier, expr: &Expr) -> Option<ExprId> {
    let Expr::Load { operand, index, or: None } = expr else { return None };
    let known = s.operands.get(*operand as usize)?;
    if let Some(element) = known.element {
        return Some(s.add(Expr::Const(element)));
    }
    if let Some(Count { start, steps }) = known.count.clone() {
        return Some(counted(s, start, &steps, index));
    }
    let (exprs, root) = known.body.clone()?;
    Some(inlined(s, &exprs, root, index))
}

/// `start + sum of step * index` over the dims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Count {
    start: i64,
    steps: Vec<i64>,
}

impl Count {
    /// How the elements of a tensor of 64-bit integers count up.
    pub(super) fn of(tensor: &Tensor) -> Option<Count> {
        let shape = tensor.shape();
        if tensor.dtype() != graph::dtype::DType::I64 || tensor.len() < 2 || tensor.len() > COUNTED {
            return None;
        }
        let at = |linear: usize| tensor.get(linear).map(|s| s.as_i64());
        let start = at(0)?;
        let (mut steps, mut stride) = (vec![0i64; shape.len()], 1usize);
        for (d, extent) in shape.iter().enumerate().rev() {
            if *extent > 1 {
                steps[d] = at(stride)?.checked_sub(start)?;
            }
            stride *= extent;
        }
        let expected = |mut linear: usize| {
            let mut value = start;
            for (step, extent) in steps.iter().zip(shape).rev() {
                value = value.wrapping_add(step.wrapping_mul((linear % extent) as i64));
                linear /= extent;
            }
            value
        };
        (0..tensor.len()).all(|linear| at(linear) == Some(expected(linear))).then_some(Count { start, steps })
    }
}

fn counted(s: &mut Simplifier, start: i64, steps: &[i64], index: &[ExprId]) -> ExprId {
    let mut total = s.add(Expr::Const(Scalar::i64(start)));
    for (step, at) in steps.iter().zip(index).filter(|(step, _)| **step != 0) {
        let step = s.add(Expr::Const(Scalar::i64(*step)));
        let part = s.add(Expr::Binary(BinOp::Mul, *at, step));
        total = s.add(Expr::Binary(BinOp::Add, part, total));
    }
    total
}

/// The expression of another arena at an index.
fn inlined(s: &mut Simplifier, exprs: &Exprs, root: ExprId, index: &[ExprId]) -> ExprId {
    let mut map = vec![ExprId(0); exprs.len()];
    for id in super::arena::reached(exprs, &[root]) {
        let Some(expr) = exprs.get(id) else { continue };
        map[id.0 as usize] = match expr {
            Expr::Index(k) => index.get(*k as usize).copied().unwrap_or(ExprId(0)),
            _ => s.add(expr.map_children(&mut |child| map.get(child.0 as usize).copied().unwrap_or(ExprId(0)))),
        };
    }
    map.get(root.0 as usize).copied().unwrap_or(root)
}

//! Values that end in floats of 16 bits and less: there the hardware's approximations are precise enough.
//!
//! An expression is *coarse* if all that reads it rounds what it makes of it to 16 bits. Differences make small errors large, so what
//! they are taken of is not coarse, unless both sides are certainly not negative; nor is what is compared, or made an integer.

use std::collections::BTreeSet;

use graph::dtype::DType;
use graph::expr::{BinOp, Expr, ExprId, Exprs, UnOp};
use graph::node::Combiner;

use crate::flat::{Flat, Memory, Sink};

/// Whether a dtype has 16 bits or less of a float.
fn is_narrow(dtype: DType) -> bool {
    dtype.is_float() && dtype.bits() <= 16
}

/// What is known of kept values, by number.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Read by coarse expressions only.
    pub coarse: BTreeSet<usize>,
    /// Not negative.
    pub positive: BTreeSet<usize>,
}

/// For each expression of a stage, whether it is coarse.
pub fn coarse(flat: &Flat, kept: &Kept) -> Vec<bool> {
    let exprs = &flat.exprs;
    let mut fine = vec![false; exprs.len()];
    let mut read = vec![false; exprs.len()];
    let mark = |fine: &mut Vec<bool>, read: &mut Vec<bool>, id: ExprId, is_fine: bool| {
        if let (Some(fine), Some(read)) = (fine.get_mut(id.0 as usize), read.get_mut(id.0 as usize)) {
            *fine |= is_fine;
            *read = true;
        }
    };
    let mut accs_fine = vec![false; flat.accs.len()];
    for (value, sink) in &flat.outs {
        let is_fine = match sink {
            Sink::Strided { .. } | Sink::Indexed { .. } => !is_narrow(exprs.dtype(*value)),
            Sink::Keep { kept: k, .. } => !is_narrow(exprs.dtype(*value)) && !kept.coarse.contains(k),
        };
        mark(&mut fine, &mut read, *value, is_fine);
    }
    // Outputs come after accumulators, so that they are known when their values are met.
    for pass in 0..2 {
        for position in (0..exprs.len()).rev() {
            let id = ExprId(position as u32);
            if !read.get(position).copied().unwrap_or(false) {
                continue;
            }
            let own = fine.get(position).copied().unwrap_or(true);
            let Some(expr) = exprs.get(id) else { continue };
            if let Expr::Acc(k) = expr {
                accs_fine.iter_mut().skip(*k as usize).take(1).for_each(|f| *f |= own);
            }
            let below = asks_fine(flat, kept, expr, own);
            expr.for_each_child(&mut |child| mark(&mut fine, &mut read, child, below));
        }
        if pass == 0 {
            for (acc, own) in flat.accs.iter().zip(&accs_fine) {
                let steady = match acc.combiner {
                    Combiner::Sum => is_positive(flat, kept, acc.value),
                    Combiner::Prod | Combiner::Max | Combiner::Min => true,
                    Combiner::Any | Combiner::All | Combiner::ArgMax { .. } | Combiner::ArgMin { .. } => false,
                };
                mark(&mut fine, &mut read, acc.value, *own || !steady);
            }
        }
    }
    fine.into_iter().zip(read).map(|(fine, read)| read && !fine).collect()
}

/// Whether an expression needs precise operands.
fn asks_fine(flat: &Flat, kept: &Kept, expr: &Expr, own: bool) -> bool {
    match expr {
        Expr::Cast { to, .. } => {
            if is_narrow(*to) {
                false
            } else {
                own || !to.is_float()
            }
        }
        Expr::Binary(BinOp::Add, a, b) => own || !is_positive(flat, kept, *a) || !is_positive(flat, kept, *b),
        Expr::Binary(BinOp::Mul | BinOp::Div | BinOp::Min | BinOp::Max, ..) | Expr::Select(..) => own,
        Expr::Unary(
            UnOp::Neg | UnOp::Abs | UnOp::Sqrt | UnOp::Recip | UnOp::Exp | UnOp::Sigmoid | UnOp::Tanh | UnOp::Erf,
            _,
        ) => own,
        Expr::Const(_) | Expr::Index(_) | Expr::Dim(_) | Expr::Acc(_) => own,
        Expr::Unary(..)
        | Expr::Binary(..)
        | Expr::Compare(..)
        | Expr::Fma(..)
        | Expr::Bitcast { .. }
        | Expr::Load { .. } => true,
    }
}

/// Whether a value is certainly not negative.
pub fn is_positive(flat: &Flat, kept: &Kept, id: ExprId) -> bool {
    let exprs: &Exprs = &flat.exprs;
    match exprs.get(id) {
        Some(Expr::Const(c)) => c.dtype.is_float() && c.as_f64() >= 0.0,
        Some(Expr::Unary(UnOp::Exp | UnOp::Sigmoid | UnOp::Sqrt | UnOp::Abs, _)) => true,
        Some(Expr::Binary(BinOp::Mul, a, b)) => a == b || (is_positive(flat, kept, *a) && is_positive(flat, kept, *b)),
        Some(Expr::Cast { value, .. }) => exprs.dtype(*value).is_float() && is_positive(flat, kept, *value),
        Some(Expr::Load { operand, or: None, .. }) => match flat.source(*operand).map(|s| s.memory) {
            Some(Memory::Kept(k)) => kept.positive.contains(&k),
            Some(Memory::Operand(_)) | None => false,
        },
        Some(Expr::Acc(k)) => flat.accs.get(*k as usize).is_some_and(|acc| {
            matches!(acc.combiner, Combiner::Sum | Combiner::Max) && is_positive(flat, kept, acc.value)
        }),
        _ => false,
    }
}

/// Kept values of stages that follow each other.
pub fn kept(stages: &[Flat]) -> Kept {
    let mut known = Kept::default();
    for flat in stages {
        for (value, sink) in &flat.outs {
            if let Sink::Keep { kept, .. } = sink
                && is_positive(flat, &known, *value)
            {
                known.positive.insert(*kept);
            }
        }
    }
    // The last stage first, as what it makes of its values decides for those before.
    let mut seen: BTreeSet<usize> = BTreeSet::new();
    for flat in stages.iter().rev() {
        let own = coarse(flat, &known);
        for (id, expr) in flat.exprs.iter() {
            let Expr::Load { operand, .. } = expr else { continue };
            let Some(Memory::Kept(k)) = flat.source(*operand).map(|s| s.memory) else { continue };
            let is_coarse = own.get(id.0 as usize).copied().unwrap_or(false);
            if is_coarse && seen.insert(k) {
                known.coarse.insert(k);
            } else if !is_coarse {
                seen.insert(k);
                known.coarse.remove(&k);
            }
        }
    }
    known
}

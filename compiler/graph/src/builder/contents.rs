//! Evaluates expressions over sizes: what an integer tensor contains, in symbols.

use std::sync::Arc;

use crate::builder::Builder;
use crate::dim::{Dim, Pred};
use crate::dtype::{Class, DType};
use crate::expr::{BinOp, CmpOp, Expr, ExprId, UnOp};
use crate::graph::ValueId;
use crate::node::{Combiner, Compute};
use crate::symbol::Symbols;
use crate::tensor::{Tensor, element_count};

type Elements = Arc<[Dim]>;

/// Contents of a constant, if it is a small integer or bool tensor.
pub(super) fn of_tensor(tensor: &Tensor, limit: usize) -> Option<Elements> {
    if !followed(tensor.dtype()) || tensor.len() > limit {
        return None;
    }
    Some(tensor.scalars().map(|s| Dim::constant(s.as_i64())).collect())
}

/// Contents of each result of a `Compute`, where every element that is read is known.
pub(super) fn of_compute(b: &Builder, compute: &Compute, operands: &[ValueId]) -> Vec<Option<Elements>> {
    let none = vec![None; compute.outs.len()];
    if !compute.outs.iter().any(|o| followed(compute.exprs.dtype(*o))) {
        return none;
    }
    let Some(shape) = compute.shape.iter().map(Dim::as_size).collect::<Option<Vec<usize>>>() else { return none };
    let Some(extents) = compute
        .reduce
        .iter()
        .map(|e| if e.size.is_none() { e.bound.as_size() } else { None })
        .collect::<Option<Vec<usize>>>()
    else {
        return none;
    };
    let (Some(count), Some(steps)) = (element_count(&shape), element_count(&extents)) else { return none };
    if count.saturating_mul(steps.max(1)) > b.limits.contents {
        return none;
    }
    let evaluator = Evaluator { b, compute, operands, shape: &shape, extents: &extents };
    compute
        .outs
        .iter()
        .map(|out| {
            if !followed(compute.exprs.dtype(*out)) {
                return None;
            }
            (0..count)
                .map(|linear| evaluator.element(*out, linear, steps))
                .collect::<Option<Vec<Dim>>>()
                .map(Into::into)
        })
        .collect()
}

/// Dtypes whose values are 64-bit integers without wrapping in between.
/// Weight up to which a quotient that is rounded to zero is followed: a dividend of unknown sign is there three times.
const TRUNCATED: usize = 64;

fn followed(dtype: DType) -> bool {
    matches!(
        dtype,
        DType::I64 | DType::I32 | DType::Bool | DType::U8 | DType::I8 | DType::I16 | DType::U16 | DType::U32
    )
}

struct Evaluator<'a> {
    b: &'a Builder,
    compute: &'a Compute,
    operands: &'a [ValueId],
    shape: &'a [usize],
    extents: &'a [usize],
}

impl Evaluator<'_> {
    fn symbols(&self) -> &Symbols {
        &self.b.model.symbols
    }

    fn element(&self, out: ExprId, linear: usize, steps: usize) -> Option<Dim> {
        let parallel = unravel(linear, self.shape);
        let mut accs = Vec::with_capacity(self.compute.accs.len());
        for acc in &self.compute.accs {
            let mut total: Option<Dim> = None;
            for step in 0..steps {
                let mut index = parallel.clone();
                index.extend(unravel(step, self.extents));
                let value = self.expr(acc.value, &index, &[])?;
                total = Some(match total {
                    None => value,
                    Some(t) => self.combine(acc.combiner, &t, &value)?,
                });
            }
            accs.push(match total {
                Some(t) => t,
                None => Dim::constant(acc.combiner.neutral(acc.dtype).as_i64()),
            });
        }
        self.expr(out, &parallel, &accs)
    }

    fn combine(&self, combiner: Combiner, a: &Dim, b: &Dim) -> Option<Dim> {
        match combiner {
            Combiner::Sum => Some(a + b),
            Combiner::Prod => Some(a * b),
            Combiner::Max => Some(self.symbols().max(a, b)),
            Combiner::Min => Some(self.symbols().min(a, b)),
            Combiner::Any => Some(self.symbols().max(a, b)),
            Combiner::All => Some(self.symbols().min(a, b)),
            Combiner::ArgMax { .. } | Combiner::ArgMin { .. } => None,
        }
    }

    fn expr(&self, id: ExprId, index: &[usize], accs: &[Dim]) -> Option<Dim> {
        let sub = |e: &ExprId| self.expr(*e, index, accs);
        let dtype = self.compute.exprs.dtype(id);
        match self.compute.exprs.get(id)? {
            Expr::Const(s) => followed(s.dtype).then(|| Dim::constant(s.as_i64())),
            Expr::Index(k) => index.get(*k as usize).map(|v| Dim::from(*v)),
            Expr::Acc(k) => accs.get(*k as usize).cloned(),
            Expr::Dim(d) => Some(d.clone()),
            Expr::Unary(op, a) => self.unary(*op, dtype, &sub(a)?),
            Expr::Binary(op, a, b) => self.binary(*op, dtype, &sub(a)?, &sub(b)?),
            Expr::Compare(op, a, b) => {
                let pred = compare(*op, sub(a)?, sub(b)?);
                Some(self.symbols().select(&pred, &Dim::constant(1), &Dim::constant(0)))
            }
            Expr::Select(c, a, b) => match sub(c)?.as_const() {
                Some(0) => sub(b),
                Some(_) => sub(a),
                None => {
                    let zero = Pred::Eq(sub(c)?, Dim::constant(0));
                    Some(self.symbols().select(&zero, &sub(b)?, &sub(a)?))
                }
            },
            Expr::Fma(a, b, c) => Some(&(&sub(a)? * &sub(b)?) + &sub(c)?),
            Expr::Cast { to, value, .. } => {
                let from = self.compute.exprs.dtype(*value);
                self.cast(from, *to, &sub(value)?)
            }
            Expr::Bitcast { .. } => None,
            Expr::Load { operand, index: at, or } => {
                let value = *self.operands.get(*operand as usize)?;
                let shape = self.b.tensor(value).ok()?.static_shape()?;
                let contents = self.b.contents(value)?;
                let mut linear = 0usize;
                for (extent, i) in shape.iter().zip(at) {
                    let i = usize::try_from(sub(i)?.as_const()?).ok().filter(|i| i < extent);
                    match (i, or) {
                        (Some(i), _) => linear = linear * extent + i,
                        (None, Some(or)) => return sub(or),
                        (None, None) => return None,
                    }
                }
                contents.get(linear).cloned()
            }
        }
    }

    fn unary(&self, op: UnOp, dtype: DType, a: &Dim) -> Option<Dim> {
        let zero = Dim::constant(0);
        match op {
            UnOp::Neg => Some(-a),
            UnOp::Abs => Some(self.symbols().max(a, &-a)),
            UnOp::Not if dtype == DType::Bool => Some(&Dim::constant(1) - a),
            UnOp::Sign => {
                let positive = self.symbols().select(&Pred::Le(a.clone(), zero.clone()), &zero, &Dim::constant(1));
                let negative = self.symbols().select(&Pred::Le(zero.clone(), a.clone()), &zero, &Dim::constant(1));
                Some(&positive - &negative)
            }
            _ => None,
        }
    }

    fn binary(&self, op: BinOp, dtype: DType, a: &Dim, b: &Dim) -> Option<Dim> {
        let s = self.symbols();
        let natural = |d: &Dim| s.range(d).lo >= 0;
        match op {
            BinOp::Add => Some(a + b),
            BinOp::Sub => Some(a - b),
            BinOp::Mul => Some(a * b),
            BinOp::FloorDiv => Some(s.floor_div(a, b)),
            BinOp::Mod => Some(s.modulo(a, b)),
            BinOp::Div | BinOp::Rem => match (a.as_const(), b.as_const()) {
                (Some(_), Some(0)) => Some(Dim::constant(0)),
                (Some(x), Some(y)) if op == BinOp::Div => Some(Dim::constant(x.wrapping_div(y))),
                (Some(x), Some(y)) => Some(Dim::constant(x.wrapping_rem(y))),
                _ if natural(a) && natural(b) && op == BinOp::Div => Some(s.floor_div(a, b)),
                _ if natural(a) && natural(b) => Some(s.modulo(a, b)),
                _ if s.range(b).lo > 0 && a.weight() <= TRUNCATED => {
                    let quotient =
                        s.select(&Pred::Le(Dim::constant(0), a.clone()), &s.floor_div(a, b), &s.ceil_div(a, b));
                    Some(if op == BinOp::Div { quotient } else { a - &(&quotient * b) })
                }
                _ => None,
            },
            BinOp::Min => Some(s.min(a, b)),
            BinOp::Max => Some(s.max(a, b)),
            BinOp::And if dtype == DType::Bool => Some(s.min(a, b)),
            BinOp::Or if dtype == DType::Bool => Some(s.max(a, b)),
            BinOp::Pow => {
                let (base, exponent) = (a.as_const()?, u32::try_from(b.as_const()?).ok()?);
                Some(Dim::constant(base.wrapping_pow(exponent)))
            }
            BinOp::Xor | BinOp::And | BinOp::Or | BinOp::Shl | BinOp::Shr | BinOp::Atan2 => None,
        }
    }

    fn cast(&self, from: DType, to: DType, value: &Dim) -> Option<Dim> {
        if !followed(from) || !followed(to) {
            return None;
        }
        if to == DType::Bool {
            let zero = Pred::Eq(value.clone(), Dim::constant(0));
            return Some(self.symbols().select(&zero, &Dim::constant(0), &Dim::constant(1)));
        }
        let range = self.symbols().range(value);
        let bits = to.bits();
        let (lo, hi) = match to.class() {
            Class::Unsigned => (0i128, (1i128 << bits) - 1),
            _ => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
        };
        // A size symbol without an upper bound still names an extent that fits the narrower integer.
        let open = range.upper().is_none() && bits >= 32;
        (range.lo >= lo && (range.hi <= hi || open)).then(|| value.clone())
    }
}

fn compare(op: CmpOp, a: Dim, b: Dim) -> Pred {
    match op {
        CmpOp::Eq => Pred::Eq(a, b),
        CmpOp::Ne => Pred::Not(Box::new(Pred::Eq(a, b))),
        CmpOp::Le => Pred::Le(a, b),
        CmpOp::Lt => Pred::Le(&a + &Dim::constant(1), b),
    }
}

fn unravel(mut linear: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (slot, extent) in index.iter_mut().zip(shape).rev() {
        *slot = linear % extent.max(&1);
        linear /= extent.max(&1);
    }
    index
}

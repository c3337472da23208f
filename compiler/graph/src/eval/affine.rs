//! Which integer expressions are affine in the index, so that a load becomes a run of bytes at a stride.
//!
//! The domain's dims become *variables*. One that is divided by a constant is split in two, so that the index maps of
//! reshapes are affine too; neighbours that every form walks as one are merged again, so that runs get long.

use crate::dim::{floor_div, floor_mod};
use crate::dtype::DType;
use crate::expr::{BinOp, CmpOp, Expr, ExprId, Exprs, UnOp};
use crate::scalar::Num;

/// `base + Σ coefs[v] * variable[v]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Affine {
    pub base: i64,
    pub coefs: Vec<i64>,
}

/// A loop variable. `size` names the reduction dim whose run-time size it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Var {
    pub extent: i64,
    pub size: Option<usize>,
    /// Variables are merged within a group only; groups stand in order, the first (0) is [`PARALLEL`].
    pub group: u8,
}

/// The group of the parallel dims.
pub(super) const PARALLEL: u8 = 0;
/// The group of the reduction dims.
pub(super) const REDUCE: u8 = 1;

/// The variables by group, and the index of every original dim in terms of them.
#[derive(Clone, Debug)]
pub(super) struct Domain {
    pub vars: Vec<Var>,
    pub index: Vec<Affine>,
}

/// A variable to split, and the extent of its lower part.
#[derive(Clone, Copy, Debug)]
struct Split {
    var: usize,
    chunk: i64,
}

const MAX_SPLITS: usize = 16;

impl Domain {
    /// One variable a dim; dims of extent 1 have none. `reduce` gives bounds and whether the size is known at run time only.
    pub(super) fn new(shape: &[usize], reduce: &[(usize, bool)]) -> Domain {
        let parallel = shape.iter().map(|e| Var { extent: *e as i64, size: None, group: PARALLEL });
        let reduced = reduce.iter().enumerate().map(|(k, (e, sized))| Var {
            extent: *e as i64,
            size: sized.then_some(k),
            group: REDUCE,
        });
        let all: Vec<Var> = parallel.chain(reduced).collect();
        let kept: Vec<usize> = (0..all.len()).filter(|d| all[*d].extent != 1 || all[*d].size.is_some()).collect();
        let index = (0..all.len())
            .map(|d| Affine { base: 0, coefs: kept.iter().map(|k| i64::from(*k == d)).collect() })
            .collect();
        Domain { vars: kept.iter().map(|d| all[*d]).collect(), index }
    }

    /// The variables of a group, as positions.
    pub(super) fn group(&self, group: u8) -> std::ops::Range<usize> {
        let from = self.vars.iter().take_while(|v| v.group < group).count();
        let len = self.vars.iter().filter(|v| v.group == group).count();
        from..from + len
    }

    /// Number of parallel variables.
    pub(super) fn parallel(&self) -> usize {
        self.group(PARALLEL).len()
    }

    /// Extents of all variables.
    pub(super) fn extents(&self) -> Vec<i64> {
        self.vars.iter().map(|v| v.extent).collect()
    }

    /// The affine forms of all expressions that have one; splits variables to find more.
    pub(super) fn analyze(
        &mut self,
        exprs: &Exprs,
        size_of: &dyn Fn(&crate::dim::Dim) -> Option<i64>,
    ) -> Vec<Option<Affine>> {
        for _ in 0..MAX_SPLITS {
            let mut split = None;
            let forms = self.pass(exprs, size_of, &mut split);
            match split {
                Some(wanted) => self.split(wanted),
                None => return forms,
            }
        }
        self.pass(exprs, size_of, &mut None)
    }

    /// Least and greatest value over the domain, which must not be empty.
    pub(super) fn range(&self, a: &Affine) -> (i128, i128) {
        let (mut lo, mut hi) = (i128::from(a.base), i128::from(a.base));
        for (coef, var) in a.coefs.iter().zip(&self.vars) {
            let reach = i128::from(*coef) * i128::from((var.extent - 1).max(0));
            if reach < 0 { lo += reach } else { hi += reach }
        }
        (lo, hi)
    }

    /// Merges neighbouring variables that all these forms walk as one.
    pub(super) fn merge(&mut self, forms: &mut [&mut Affine]) {
        let mut d = self.vars.len();
        while d > 1 {
            d -= 1;
            let (outer, inner) = (self.vars[d - 1], self.vars[d]);
            let Some(extent) = outer.extent.checked_mul(inner.extent) else { continue };
            let fits = outer.group == inner.group
                && outer.size.is_none()
                && inner.size.is_none()
                && forms.iter().all(|f| Some(f.coefs[d - 1]) == f.coefs[d].checked_mul(inner.extent));
            if !fits {
                continue;
            }
            self.vars[d].extent = extent;
            self.vars.remove(d - 1);
            forms.iter_mut().for_each(|f| {
                f.coefs.remove(d - 1);
            });
        }
    }

    fn split(&mut self, Split { var, chunk }: Split) {
        let whole = self.vars[var];
        self.vars[var].extent = whole.extent / chunk;
        self.vars.insert(var + 1, Var { extent: chunk, size: None, group: whole.group });
        for a in &mut self.index {
            let coef = a.coefs[var];
            a.coefs[var] = coef.wrapping_mul(chunk);
            a.coefs.insert(var + 1, coef);
        }
    }

    fn pass(
        &self,
        exprs: &Exprs,
        size_of: &dyn Fn(&crate::dim::Dim) -> Option<i64>,
        split: &mut Option<Split>,
    ) -> Vec<Option<Affine>> {
        let mut forms: Vec<Option<Affine>> = Vec::with_capacity(exprs.len());
        for (id, expr) in exprs.iter() {
            let dtype = exprs.dtype(id);
            let followed = dtype == DType::I64 || dtype == DType::Bool;
            let form = if followed { self.form(expr, &forms, exprs, size_of, split) } else { None };
            let fits = |a: &Affine| {
                let (lo, hi) = self.range(a);
                lo >= i128::from(i64::MIN) && hi <= i128::from(i64::MAX)
            };
            forms.push(form.filter(fits));
        }
        forms
    }

    fn form(
        &self,
        expr: &Expr,
        forms: &[Option<Affine>],
        exprs: &Exprs,
        size_of: &dyn Fn(&crate::dim::Dim) -> Option<i64>,
        split: &mut Option<Split>,
    ) -> Option<Affine> {
        let of = |id: &ExprId| forms.get(id.0 as usize).and_then(Option::as_ref);
        let constant = |base: i64| Some(Affine { base, coefs: vec![0; self.vars.len()] });
        match expr {
            Expr::Const(s) => match s.num() {
                Num::I(v) => constant(v),
                Num::F(_) => None,
            },
            Expr::Dim(d) => constant(size_of(d)?),
            Expr::Index(k) => self.index.get(*k as usize).cloned(),
            Expr::Unary(UnOp::Neg, a) => of(a)?.scaled(-1),
            Expr::Binary(op, a, b) => {
                if exprs.dtype(*a) != DType::I64 {
                    return None;
                }
                self.binary(*op, of(a)?, of(b)?, split)
            }
            Expr::Compare(op, a, b) => {
                let difference = of(a)?.plus(&of(b)?.scaled(-1)?)?;
                let (lo, hi) = self.range(&difference);
                let known = match op {
                    CmpOp::Eq if lo == 0 && hi == 0 => true,
                    CmpOp::Eq if lo > 0 || hi < 0 => false,
                    CmpOp::Ne if lo == 0 && hi == 0 => false,
                    CmpOp::Ne if lo > 0 || hi < 0 => true,
                    CmpOp::Lt if hi < 0 => true,
                    CmpOp::Lt if lo >= 0 => false,
                    CmpOp::Le if hi <= 0 => true,
                    CmpOp::Le if lo > 0 => false,
                    CmpOp::Eq | CmpOp::Ne | CmpOp::Lt | CmpOp::Le => return None,
                };
                constant(i64::from(known))
            }
            Expr::Select(c, a, b) => {
                let condition = of(c)?.constant()?;
                of(if condition != 0 { a } else { b }).cloned()
            }
            Expr::Acc(_)
            | Expr::Unary(..)
            | Expr::Fma(..)
            | Expr::Cast { .. }
            | Expr::Bitcast { .. }
            | Expr::Load { .. } => None,
        }
    }

    fn binary(&self, op: BinOp, a: &Affine, b: &Affine, split: &mut Option<Split>) -> Option<Affine> {
        let ((a_lo, a_hi), (b_lo, b_hi)) = (self.range(a), self.range(b));
        match op {
            BinOp::Add => a.plus(b),
            BinOp::Sub => a.plus(&b.scaled(-1)?),
            BinOp::Mul => match (a.constant(), b.constant()) {
                (Some(c), _) => b.scaled(c),
                (_, Some(c)) => a.scaled(c),
                (None, None) => None,
            },
            BinOp::Min if a_hi <= b_lo => Some(a.clone()),
            BinOp::Min if b_hi <= a_lo => Some(b.clone()),
            BinOp::Max if a_lo >= b_hi => Some(a.clone()),
            BinOp::Max if b_lo >= a_hi => Some(b.clone()),
            BinOp::FloorDiv => self.divide(a, b.constant()?, split).map(|(q, _)| q),
            BinOp::Mod => self.divide(a, b.constant()?, split).map(|(_, r)| r),
            BinOp::Div if a_lo >= 0 => self.divide(a, b.constant()?, split).map(|(q, _)| q),
            BinOp::Rem if a_lo >= 0 => self.divide(a, b.constant()?, split).map(|(_, r)| r),
            BinOp::Min
            | BinOp::Max
            | BinOp::Div
            | BinOp::Rem
            | BinOp::Pow
            | BinOp::Atan2
            | BinOp::And
            | BinOp::Or
            | BinOp::Xor
            | BinOp::Shl
            | BinOp::Shr => None,
        }
    }

    /// Quotient and remainder by a positive constant, or a variable to split so that there are such.
    fn divide(&self, a: &Affine, by: i64, split: &mut Option<Split>) -> Option<(Affine, Affine)> {
        if by <= 0 {
            return None;
        }
        let part = |keep: bool| a.coefs.iter().map(move |c| if (c % by == 0) == keep { *c } else { 0 });
        let quotient = Affine { base: floor_div(a.base, by), coefs: part(true).map(|c| c / by).collect() };
        let rest = Affine { base: floor_mod(a.base, by), coefs: part(false).collect() };
        let (lo, hi) = self.range(&rest);
        if lo >= 0 && hi < i128::from(by) {
            return Some((quotient, rest));
        }
        if split.is_none() {
            *split = rest.coefs.iter().zip(&self.vars).enumerate().find_map(|(var, (coef, v))| {
                if *coef <= 0 || by % coef != 0 || v.size.is_some() {
                    return None;
                }
                let chunk = by / coef;
                (v.extent > chunk && v.extent % chunk == 0).then_some(Split { var, chunk })
            });
        }
        None
    }
}

impl Affine {
    /// The value, if no variable occurs.
    pub(super) fn constant(&self) -> Option<i64> {
        self.coefs.iter().all(|c| *c == 0).then_some(self.base)
    }

    /// The value at a point.
    pub(super) fn at(&self, point: &[i64]) -> i64 {
        self.coefs.iter().zip(point).fold(self.base, |sum, (c, v)| sum.wrapping_add(c.wrapping_mul(*v)))
    }

    /// `self + other`, unless it overflows.
    pub(super) fn plus(&self, other: &Affine) -> Option<Affine> {
        let coefs = self.coefs.iter().zip(&other.coefs).map(|(x, y)| x.checked_add(*y)).collect::<Option<_>>()?;
        Some(Affine { base: self.base.checked_add(other.base)?, coefs })
    }

    /// `self * by`, unless it overflows.
    pub(super) fn scaled(&self, by: i64) -> Option<Affine> {
        let coefs = self.coefs.iter().map(|c| c.checked_mul(by)).collect::<Option<_>>()?;
        Some(Affine { base: self.base.checked_mul(by)?, coefs })
    }
}

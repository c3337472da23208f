//! Polynomials of sizes and index variables back to expressions.

use graph::dim::{Atom, Dim, Pred, Term};
use graph::expr::{BinOp, CmpOp, Expr, ExprError, ExprId, UnOp};
use graph::scalar::Scalar;

use crate::fuse::Rewriter;
use crate::index::IndexSpace;

impl Rewriter {
    /// A polynomial of sizes and index variables as an expression.
    pub(super) fn polynomial(&mut self, dim: &Dim, space: &IndexSpace) -> Result<ExprId, ExprError> {
        if !space.has_variable(dim) {
            return self.size(dim);
        }
        let mut sum: Option<ExprId> = None;
        let mut sizes = Vec::new();
        for term in dim.terms() {
            let single = Dim::from_terms(vec![term.clone()]);
            if !space.has_variable(&single) {
                sizes.push(term.clone());
                continue;
            }
            let (inner, outer): (Vec<Atom>, Vec<Atom>) =
                term.factors.iter().cloned().partition(|a| space.has_variable(&Dim::atom(a.clone())));
            let mut product: Option<ExprId> = None;
            for atom in &inner {
                let value = self.atom(atom, space)?;
                product = Some(match product {
                    None => value,
                    Some(p) => self.add(Expr::Binary(BinOp::Mul, p, value))?,
                });
            }
            let scale = Dim::from_terms(vec![Term { factors: outer, coef: term.coef }]);
            let mut value = match product {
                Some(p) => p,
                None => self.int(1)?,
            };
            if !scale.is(1) {
                let scale = self.size(&scale)?;
                value = self.add(Expr::Binary(BinOp::Mul, value, scale))?;
            }
            sum = Some(match sum {
                None => value,
                Some(s) => self.add(Expr::Binary(BinOp::Add, s, value))?,
            });
        }
        let rest = Dim::from_terms(sizes);
        match (sum, rest.is(0)) {
            (Some(s), true) => Ok(s),
            (Some(s), false) => {
                let rest = self.size(&rest)?;
                self.add(Expr::Binary(BinOp::Add, s, rest))
            }
            (None, _) => self.size(&rest),
        }
    }

    fn atom(&mut self, atom: &Atom, space: &IndexSpace) -> Result<ExprId, ExprError> {
        match atom {
            Atom::Sym(id) => match space.as_variable(*id) {
                Some(k) => self.add(Expr::Index(k as u32)),
                None => self.add(Expr::Dim(Dim::symbol(*id))),
            },
            Atom::FloorDiv(a, b) => self.pair(BinOp::FloorDiv, a, b, space),
            Atom::Mod(a, b) => self.pair(BinOp::Mod, a, b, space),
            Atom::Min(a, b) => self.pair(BinOp::Min, a, b, space),
            Atom::Max(a, b) => self.pair(BinOp::Max, a, b, space),
            Atom::CeilDiv(a, b) => {
                // ceil(a / b) = -floor(-a / b)
                let negative = self.polynomial(&-&**a, space)?;
                let divisor = self.polynomial(b, space)?;
                let quotient = self.add(Expr::Binary(BinOp::FloorDiv, negative, divisor))?;
                self.add(Expr::Unary(UnOp::Neg, quotient))
            }
            Atom::Select(p, a, b) => {
                let condition = self.predicate(p, space)?;
                let (a, b) = (self.polynomial(a, space)?, self.polynomial(b, space)?);
                self.add(Expr::Select(condition, a, b))
            }
        }
    }

    fn pair(&mut self, op: BinOp, a: &Dim, b: &Dim, space: &IndexSpace) -> Result<ExprId, ExprError> {
        let (a, b) = (self.polynomial(a, space)?, self.polynomial(b, space)?);
        self.add(Expr::Binary(op, a, b))
    }

    fn predicate(&mut self, pred: &Pred, space: &IndexSpace) -> Result<ExprId, ExprError> {
        match pred {
            Pred::Const(b) => self.add(Expr::Const(Scalar::bool(*b))),
            Pred::Eq(a, b) => {
                let (a, b) = (self.polynomial(a, space)?, self.polynomial(b, space)?);
                self.add(Expr::Compare(CmpOp::Eq, a, b))
            }
            Pred::Le(a, b) => {
                let (a, b) = (self.polynomial(a, space)?, self.polynomial(b, space)?);
                self.add(Expr::Compare(CmpOp::Le, a, b))
            }
            Pred::Divides(a, b) => {
                let (a, b) = (self.polynomial(a, space)?, self.polynomial(b, space)?);
                let remainder = self.add(Expr::Binary(BinOp::Mod, b, a))?;
                let zero = self.int(0)?;
                self.add(Expr::Compare(CmpOp::Eq, remainder, zero))
            }
            Pred::Not(p) => {
                let p = self.predicate(p, space)?;
                self.add(Expr::Unary(UnOp::Not, p))
            }
            Pred::And(ps) => self.joined(BinOp::And, true, ps, space),
            Pred::Or(ps) => self.joined(BinOp::Or, false, ps, space),
        }
    }

    fn joined(&mut self, op: BinOp, empty: bool, preds: &[Pred], space: &IndexSpace) -> Result<ExprId, ExprError> {
        let mut all = None;
        for p in preds {
            let p = self.predicate(p, space)?;
            all = Some(match all {
                None => p,
                Some(rest) => self.add(Expr::Binary(op, rest, p))?,
            });
        }
        match all {
            Some(e) => Ok(e),
            None => self.add(Expr::Const(Scalar::bool(empty))),
        }
    }
}

//! How large a value can be that is rounded to a narrow type: from what an expression says itself.
//!
//! ```text
//! min(max(x, 0), 6)      6, whatever x is         cast f32 (an f16)      65504, or infinite
//! sigmoid(x)             1                        x * sigmoid(x)         1 * what x can be
//! ```

use graph::dtype::DType;
use graph::expr::{BinOp, Expr, ExprId, Exprs, UnOp};

use crate::algebra::arena::reached;

/// The largest number of f16.
const LARGEST: f64 = 65_504.0;

/// Whether what is rounded to a type can be beyond it.
pub(super) fn saturates(to: DType) -> bool {
    to == DType::F16
}

/// What is known of an expression's value, unless that is NaN.
#[derive(Clone, Copy)]
struct Known {
    /// No value is below or above these.
    least: f64,
    most: f64,
    /// No finite value is larger in magnitude.
    size: f64,
}

const NOTHING: Known = Known { least: f64::NEG_INFINITY, most: f64::INFINITY, size: f64::INFINITY };

impl Known {
    fn between(least: f64, most: f64) -> Known {
        Known { least, most, size: least.abs().max(most.abs()) }
    }

    /// Each of the three says something of its own.
    fn whole(self) -> Known {
        Known { size: self.size.min(self.least.abs().max(self.most.abs())), ..self }
    }
}

/// Whether no finite value of an expression of f32 is beyond the type.
pub(super) fn fits(exprs: &Exprs, root: ExprId, to: DType) -> bool {
    let mut known = vec![NOTHING; exprs.len()];
    for id in reached(exprs, &[root]) {
        let of = |id: &ExprId| known.get(id.0 as usize).copied().unwrap_or(NOTHING);
        let found = exprs.get(id).map_or(NOTHING, |expr| known_of(exprs, expr, &of));
        if let Some(slot) = known.get_mut(id.0 as usize) {
            *slot = found;
        }
    }
    !saturates(to) || known.get(root.0 as usize).is_some_and(|k| k.size <= LARGEST)
}

fn known_of(exprs: &Exprs, expr: &Expr, of: &dyn Fn(&ExprId) -> Known) -> Known {
    match expr {
        Expr::Const(value) if value.dtype.is_float() && !value.as_f64().is_nan() => {
            let value = value.as_f64();
            Known { size: if value.is_finite() { value.abs() } else { 0.0 }, least: value, most: value }
        }
        Expr::Cast { to: DType::F32, value, .. } if exprs.dtype(*value) == DType::F16 => {
            Known { size: LARGEST, ..NOTHING }
        }
        Expr::Unary(UnOp::Sigmoid, _) => Known::between(0.0, 1.0),
        Expr::Unary(UnOp::Tanh | UnOp::Erf | UnOp::Sin | UnOp::Cos, _) => Known::between(-1.0, 1.0),
        Expr::Unary(UnOp::Neg, x) => {
            let x = of(x);
            Known { least: -x.most, most: -x.least, size: x.size }
        }
        Expr::Unary(UnOp::Abs, x) => Known { least: 0.0, size: of(x).size, ..NOTHING },
        Expr::Binary(BinOp::Min, x, y) => {
            let (x, y) = (of(x), of(y));
            let size = x.size.max(y.size);
            Known { least: x.least.min(y.least), most: x.most.min(y.most), size }.whole()
        }
        Expr::Binary(BinOp::Max, x, y) => {
            let (x, y) = (of(x), of(y));
            let size = x.size.max(y.size);
            Known { least: x.least.max(y.least), most: x.most.max(y.most), size }.whole()
        }
        Expr::Binary(BinOp::Mul, x, y) => {
            // Both are numbers, as anything times an infinity is no finite number.
            let size = of(x).size * of(y).size;
            Known { size: if size.is_nan() { f64::INFINITY } else { size }, ..NOTHING }
        }
        Expr::Select(_, x, y) => {
            let (x, y) = (of(x), of(y));
            Known { least: x.least.min(y.least), most: x.most.max(y.most), size: x.size.max(y.size) }
        }
        _ => NOTHING,
    }
}

#[cfg(test)]
mod tests {
    use graph::expr::{Leaves, Rounding};
    use graph::scalar::Scalar;

    use super::*;

    /// Builds an expression of an f32 and an f16 (as f32) operand.
    #[track_caller]
    fn check(expected: bool, build: impl FnOnce(&mut dyn FnMut(Expr) -> ExprId, ExprId, ExprId) -> ExprId) {
        let mut exprs = Exprs::default();
        let leaves = Leaves { operands: &[DType::F32, DType::F16], accs: &[] };
        let mut add = |expr| exprs.add(expr, leaves).unwrap();
        let loads = [0, 1].map(|operand| add(Expr::Load { operand, index: vec![], or: None }));
        let rounding = Rounding::Nearest;
        let half = add(Expr::Cast { to: DType::F32, saturate: false, rounding, value: loads[1] });
        let root = build(&mut add, loads[0], half);
        assert_eq!(fits(&exprs, root, DType::F16), expected);
        assert!(fits(&exprs, root, DType::BF16));
    }

    fn number(value: f32) -> Expr {
        Expr::Const(Scalar::f32(value))
    }

    #[test]
    fn ranges_of_expressions() {
        check(false, |_, x, _| x);
        check(true, |_, _, half| half);
        check(true, |add, x, _| add(Expr::Unary(UnOp::Sigmoid, x)));
        check(false, |add, x, _| {
            let zero = add(number(0.0));
            add(Expr::Binary(BinOp::Max, x, zero))
        });
        check(true, |add, _, half| {
            let zero = add(number(0.0));
            add(Expr::Binary(BinOp::Max, half, zero))
        });
        check(true, |add, x, _| {
            let (zero, six) = (add(number(0.0)), add(number(6.0)));
            let above = add(Expr::Binary(BinOp::Max, x, zero));
            add(Expr::Binary(BinOp::Min, above, six))
        });
        check(true, |add, _, half| {
            let gate = add(Expr::Unary(UnOp::Sigmoid, half));
            add(Expr::Binary(BinOp::Mul, half, gate))
        });
        check(false, |add, _, half| add(Expr::Binary(BinOp::Add, half, half)));
        check(false, |add, _, half| {
            let two = add(number(2.0));
            add(Expr::Binary(BinOp::Mul, half, two))
        });
    }

    /// The larger of an infinite half and a small number is small, the smaller of it and a large one large.
    #[test]
    fn infinite_halves_choose_the_other() {
        check(false, |add, _, half| {
            let large = add(number(1e30));
            add(Expr::Binary(BinOp::Min, half, large))
        });
        check(true, |add, _, half| {
            let infinite = add(number(f32::INFINITY));
            add(Expr::Binary(BinOp::Min, half, infinite))
        });
    }
}

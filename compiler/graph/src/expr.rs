//! The scalar language: a typed, hash-consed DAG of what one point of a node's domain computes.
//!
//! `e0 = load 0 [i0, i1]` reads operand 0 of the node. Semantics, in one place:
//! - Integers wrap at their width. `Div` truncates, `FloorDiv` rounds down, `Rem` has the sign of the dividend, `Mod` that
//!   of the divisor; a zero divisor gives 0 for integers. `Pow` of integers wraps; a negative exponent gives 0, but for
//!   bases 1 and -1.
//! - Floats round to their dtype after every operation (half to even); maths functions are those of the `libm` crate in
//!   `f64`, rounded once. `Min`, `Max` return NaN if either side is NaN, and the first of two equal values (the two
//!   zeros). `Mod` of floats that leaves nothing is a zero of the divisor's sign.
//! - NaN has neither sign nor payload: every NaN that is stored is the canonical quiet one of its dtype.
//! - `Compare` with NaN is false, `Ne` true. `Select` evaluates neither side lazily: a
//!   `Load` without `or` must be in range at every point of the domain.
//! - `Load … or e`: `e` where an index is outside the operand's shape. Where no point takes `e`, it may stay unevaluated.
//! - `Shl`, `Shr` by the width or more give 0 (arithmetic `Shr` of a negative value gives -1); a negative amount counts
//!   as more than the width.
//! - Strings only move: loads and selections. (The evaluator can compare them too, by their bytes; the verifier refuses.)

use std::collections::HashMap;

use crate::dim::Dim;
use crate::dtype::{Class, DType};
use crate::scalar::Scalar;

/// Position in an [`Exprs`] arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExprId(pub u32);

/// Operations on one value; the result has the operand's dtype unless the table says bool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnOp {
    Neg,
    Abs,
    /// -1, 0 or 1; NaN stays.
    Sign,
    /// Logical for bool, bitwise for integers.
    Not,
    Floor,
    Ceil,
    /// To the nearest integer, ties to even.
    Round,
    Trunc,
    Sqrt,
    Recip,
    Exp,
    Expm1,
    Log,
    Log1p,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Sigmoid,
    Erf,
    /// Result bool.
    IsNan,
    /// Result bool; both signs.
    IsInf,
    /// Number of one bits.
    PopCount,
}

/// Operations on two values of one dtype, which is also the result's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BinOp {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Rem,
    Mod,
    Min,
    Max,
    Pow,
    Atan2,
    And,
    Or,
    Xor,
    Shl,
    Shr,
}

/// Comparisons; the result is bool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CmpOp {
    Eq,
    Ne,
    Lt,
    Le,
}

/// Rounding of a cast to a narrower float.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rounding {
    /// Half to even (`f8e8m0`: half up).
    Nearest,
    /// Toward +infinity (`f8e8m0` only).
    Up,
    /// Toward zero (`f8e8m0` only).
    Down,
}

/// One node of the DAG.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expr {
    Const(Scalar),
    /// Index variable, i64: the node's parallel dims first, then its reduction dims.
    Index(u32),
    /// Result of accumulator `n`; only in `outs`.
    Acc(u32),
    /// A size, i64.
    Dim(Dim),
    Unary(UnOp, ExprId),
    Binary(BinOp, ExprId, ExprId),
    Compare(CmpOp, ExprId, ExprId),
    /// Condition, value if true, value if false.
    Select(ExprId, ExprId, ExprId),
    /// `a * b + c` with one rounding.
    Fma(ExprId, ExprId, ExprId),
    /// Float to integer truncates, NaN to 0; `saturate`: out of range becomes the nearest end, else the integer wraps
    /// (a float beyond `i64`, for u64 and values from 0 beyond `u64`, first becomes the nearest end of that) and a float
    /// becomes infinity or NaN. Integer to float rounds once. To bool: `value != 0`.
    Cast {
        to: DType,
        saturate: bool,
        rounding: Rounding,
        value: ExprId,
    },
    /// The same bits as another dtype of equal width. A NaN gives the canonical bits of its dtype.
    Bitcast {
        to: DType,
        value: ExprId,
    },
    /// Element of an operand; with `or`, that value outside the shape.
    Load {
        operand: u32,
        index: Vec<ExprId>,
        or: Option<ExprId>,
    },
}

/// A row of the unary table.
pub struct UnaryRow {
    pub op: UnOp,
    pub name: &'static str,
    /// Classes the operand may have.
    pub classes: &'static [Class],
    /// Whether the result is bool.
    pub to_bool: bool,
}

const FLOAT: &[Class] = &[Class::Float];
const INT: &[Class] = &[Class::Signed, Class::Unsigned];
const NUMBER: &[Class] = &[Class::Float, Class::Signed, Class::Unsigned];
const BITS: &[Class] = &[Class::Signed, Class::Unsigned, Class::Bool];

const fn unary(op: UnOp, name: &'static str, classes: &'static [Class], to_bool: bool) -> UnaryRow {
    UnaryRow { op, name, classes, to_bool }
}

/// The unary operations, in the order of the enum.
pub const UNARY: [UnaryRow; 31] = [
    unary(UnOp::Neg, "neg", NUMBER, false),
    unary(UnOp::Abs, "abs", NUMBER, false),
    unary(UnOp::Sign, "sign", NUMBER, false),
    unary(UnOp::Not, "not", BITS, false),
    unary(UnOp::Floor, "floor", FLOAT, false),
    unary(UnOp::Ceil, "ceil", FLOAT, false),
    unary(UnOp::Round, "round", FLOAT, false),
    unary(UnOp::Trunc, "trunc", FLOAT, false),
    unary(UnOp::Sqrt, "sqrt", FLOAT, false),
    unary(UnOp::Recip, "recip", FLOAT, false),
    unary(UnOp::Exp, "exp", FLOAT, false),
    unary(UnOp::Expm1, "expm1", FLOAT, false),
    unary(UnOp::Log, "log", FLOAT, false),
    unary(UnOp::Log1p, "log1p", FLOAT, false),
    unary(UnOp::Sin, "sin", FLOAT, false),
    unary(UnOp::Cos, "cos", FLOAT, false),
    unary(UnOp::Tan, "tan", FLOAT, false),
    unary(UnOp::Asin, "asin", FLOAT, false),
    unary(UnOp::Acos, "acos", FLOAT, false),
    unary(UnOp::Atan, "atan", FLOAT, false),
    unary(UnOp::Sinh, "sinh", FLOAT, false),
    unary(UnOp::Cosh, "cosh", FLOAT, false),
    unary(UnOp::Tanh, "tanh", FLOAT, false),
    unary(UnOp::Asinh, "asinh", FLOAT, false),
    unary(UnOp::Acosh, "acosh", FLOAT, false),
    unary(UnOp::Atanh, "atanh", FLOAT, false),
    unary(UnOp::Sigmoid, "sigmoid", FLOAT, false),
    unary(UnOp::Erf, "erf", FLOAT, false),
    unary(UnOp::IsNan, "isnan", FLOAT, true),
    unary(UnOp::IsInf, "isinf", FLOAT, true),
    unary(UnOp::PopCount, "popcount", INT, false),
];

/// A row of the binary table.
pub struct BinaryRow {
    pub op: BinOp,
    pub name: &'static str,
    /// Classes the operands may have.
    pub classes: &'static [Class],
    /// Whether the operands may be swapped.
    pub commutes: bool,
}

const fn binary(op: BinOp, name: &'static str, classes: &'static [Class], commutes: bool) -> BinaryRow {
    BinaryRow { op, name, classes, commutes }
}

/// The binary operations, in the order of the enum.
pub const BINARY: [BinaryRow; 16] = [
    binary(BinOp::Add, "add", NUMBER, true),
    binary(BinOp::Sub, "sub", NUMBER, false),
    binary(BinOp::Mul, "mul", NUMBER, true),
    binary(BinOp::Div, "div", NUMBER, false),
    binary(BinOp::FloorDiv, "floordiv", INT, false),
    binary(BinOp::Rem, "rem", NUMBER, false),
    binary(BinOp::Mod, "mod", NUMBER, false),
    binary(BinOp::Min, "min", NUMBER, true),
    binary(BinOp::Max, "max", NUMBER, true),
    binary(BinOp::Pow, "pow", NUMBER, false),
    binary(BinOp::Atan2, "atan2", FLOAT, false),
    binary(BinOp::And, "and", BITS, true),
    binary(BinOp::Or, "or", BITS, true),
    binary(BinOp::Xor, "xor", BITS, true),
    binary(BinOp::Shl, "shl", INT, false),
    binary(BinOp::Shr, "shr", INT, false),
];

impl UnOp {
    /// The row of the table.
    pub fn row(self) -> &'static UnaryRow {
        &UNARY[self as usize]
    }
}

impl BinOp {
    /// The row of the table.
    pub fn row(self) -> &'static BinaryRow {
        &BINARY[self as usize]
    }
}

impl CmpOp {
    /// Spelling in text.
    pub fn name(self) -> &'static str {
        match self {
            CmpOp::Eq => "eq",
            CmpOp::Ne => "ne",
            CmpOp::Lt => "lt",
            CmpOp::Le => "le",
        }
    }
}

/// Why an expression has no type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExprError {
    #[error("expression e{id} refers to e{to}, which is not before it")]
    Order { id: u32, to: u32 },
    #[error("{op} is not defined on {dtype}")]
    Class { op: &'static str, dtype: DType },
    #[error("{op} takes values of one dtype, found {left} and {right}")]
    Mixed { op: &'static str, left: DType, right: DType },
    #[error("a bitcast from {from} to {to} changes the width")]
    Width { from: DType, to: DType },
    #[error("operand {operand} is not a tensor the node has")]
    Operand { operand: u32 },
    #[error("accumulator {acc} does not exist here")]
    Acc { acc: u32 },
}

/// An arena of expressions. Equal expressions have equal ids; children come before their readers.
#[derive(Clone, Debug, Default)]
pub struct Exprs {
    nodes: Vec<Expr>,
    types: Vec<DType>,
    known: HashMap<Expr, ExprId>,
}

impl PartialEq for Exprs {
    fn eq(&self, other: &Exprs) -> bool {
        self.nodes == other.nodes && self.types == other.types
    }
}

impl Eq for Exprs {}

/// What an arena must know to type leaves: dtypes of the node's operands and accumulators.
#[derive(Clone, Copy, Debug)]
pub struct Leaves<'a> {
    pub operands: &'a [DType],
    pub accs: &'a [DType],
}

impl Exprs {
    /// Adds an expression, or finds the equal one.
    pub fn add(&mut self, expr: Expr, leaves: Leaves<'_>) -> Result<ExprId, ExprError> {
        if let Some(id) = self.known.get(&expr) {
            return Ok(*id);
        }
        let dtype = self.infer(&expr, leaves)?;
        Ok(self.push_raw(expr, dtype))
    }

    /// Appends an expression with a dtype as they are, for parsers; [`crate::verify`] finds what is wrong with them.
    pub fn push_raw(&mut self, expr: Expr, dtype: DType) -> ExprId {
        let id = ExprId(self.nodes.len() as u32);
        self.nodes.push(expr.clone());
        self.types.push(dtype);
        self.known.entry(expr).or_insert(id);
        id
    }

    /// The expression at an id.
    pub fn get(&self, id: ExprId) -> Option<&Expr> {
        self.nodes.get(id.0 as usize)
    }

    /// The dtype of the expression at an id; `Bool` for an id that does not exist (the verifier reports it).
    pub fn dtype(&self, id: ExprId) -> DType {
        self.types.get(id.0 as usize).copied().unwrap_or(DType::Bool)
    }

    /// All expressions in order.
    pub fn iter(&self) -> impl Iterator<Item = (ExprId, &Expr)> {
        self.nodes.iter().enumerate().map(|(i, e)| (ExprId(i as u32), e))
    }

    /// Number of expressions.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// True if there are no expressions.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The same arena with every size replaced. Ids stay the same, so equal expressions may stand twice in it.
    pub fn map_dims(&self, map: &mut dyn FnMut(&Dim) -> Dim) -> Exprs {
        let mut out = Exprs::default();
        for (expr, dtype) in self.nodes.iter().zip(&self.types) {
            let expr = match expr {
                Expr::Dim(dim) => Expr::Dim(map(dim)),
                other => other.clone(),
            };
            out.push_raw(expr, *dtype);
        }
        out
    }

    /// The dtype an expression would have here.
    pub fn infer(&self, expr: &Expr, leaves: Leaves<'_>) -> Result<DType, ExprError> {
        let id = self.nodes.len() as u32;
        let typed = |to: &ExprId| self.types.get(to.0 as usize).copied().ok_or(ExprError::Order { id, to: to.0 });
        let same = |op, a: &ExprId, b: &ExprId| {
            let (left, right) = (typed(a)?, typed(b)?);
            if left == right { Ok(left) } else { Err(ExprError::Mixed { op, left, right }) }
        };
        match expr {
            Expr::Const(s) => Ok(s.dtype),
            Expr::Index(_) | Expr::Dim(_) => Ok(DType::I64),
            Expr::Acc(acc) => leaves.accs.get(*acc as usize).copied().ok_or(ExprError::Acc { acc: *acc }),
            Expr::Unary(op, a) => {
                let dtype = typed(a)?;
                if !op.row().classes.contains(&dtype.class()) {
                    return Err(ExprError::Class { op: op.row().name, dtype });
                }
                Ok(if op.row().to_bool { DType::Bool } else { dtype })
            }
            Expr::Binary(op, a, b) => {
                let dtype = same(op.row().name, a, b)?;
                if !op.row().classes.contains(&dtype.class()) {
                    return Err(ExprError::Class { op: op.row().name, dtype });
                }
                Ok(dtype)
            }
            Expr::Compare(op, a, b) => same(op.name(), a, b).map(|_| DType::Bool),
            Expr::Select(c, a, b) => {
                let condition = typed(c)?;
                if condition != DType::Bool {
                    return Err(ExprError::Class { op: "select", dtype: condition });
                }
                same("select", a, b)
            }
            Expr::Fma(a, b, c) => {
                same("fma", a, b)?;
                same("fma", b, c)
            }
            Expr::Cast { to, value, .. } => typed(value).map(|_| *to),
            Expr::Bitcast { to, value } => {
                let from = typed(value)?;
                if from.bits() == to.bits() { Ok(*to) } else { Err(ExprError::Width { from, to: *to }) }
            }
            Expr::Load { operand, index, or } => {
                let dtype =
                    leaves.operands.get(*operand as usize).copied().ok_or(ExprError::Operand { operand: *operand })?;
                for i in index {
                    let found = typed(i)?;
                    if found != DType::I64 {
                        return Err(ExprError::Mixed { op: "load index", left: DType::I64, right: found });
                    }
                }
                if let Some(or) = or {
                    let found = typed(or)?;
                    if found != dtype {
                        return Err(ExprError::Mixed { op: "load or", left: dtype, right: found });
                    }
                }
                Ok(dtype)
            }
        }
    }
}

impl Expr {
    /// Calls `visit` for every child.
    pub fn for_each_child(&self, visit: &mut dyn FnMut(ExprId)) {
        match self {
            Expr::Const(_) | Expr::Index(_) | Expr::Acc(_) | Expr::Dim(_) => {}
            Expr::Unary(_, a) | Expr::Cast { value: a, .. } | Expr::Bitcast { value: a, .. } => visit(*a),
            Expr::Binary(_, a, b) | Expr::Compare(_, a, b) => [*a, *b].into_iter().for_each(visit),
            Expr::Select(a, b, c) | Expr::Fma(a, b, c) => [*a, *b, *c].into_iter().for_each(visit),
            Expr::Load { index, or, .. } => index.iter().chain(or).copied().for_each(visit),
        }
    }

    /// The same expression with its children replaced.
    pub fn map_children(&self, map: &mut dyn FnMut(ExprId) -> ExprId) -> Expr {
        match self {
            Expr::Const(_) | Expr::Index(_) | Expr::Acc(_) | Expr::Dim(_) => self.clone(),
            Expr::Unary(op, a) => Expr::Unary(*op, map(*a)),
            Expr::Binary(op, a, b) => Expr::Binary(*op, map(*a), map(*b)),
            Expr::Compare(op, a, b) => Expr::Compare(*op, map(*a), map(*b)),
            Expr::Select(a, b, c) => Expr::Select(map(*a), map(*b), map(*c)),
            Expr::Fma(a, b, c) => Expr::Fma(map(*a), map(*b), map(*c)),
            Expr::Cast { to, saturate, rounding, value } => {
                Expr::Cast { to: *to, saturate: *saturate, rounding: *rounding, value: map(*value) }
            }
            Expr::Bitcast { to, value } => Expr::Bitcast { to: *to, value: map(*value) },
            Expr::Load { operand, index, or } => {
                Expr::Load { operand: *operand, index: index.iter().map(|i| map(*i)).collect(), or: or.map(map) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Leaves<'static> = Leaves { operands: &[DType::F32], accs: &[] };

    #[test]
    fn tables_are_in_enum_order() {
        UNARY.iter().enumerate().for_each(|(i, row)| assert_eq!(row.op as usize, i));
        BINARY.iter().enumerate().for_each(|(i, row)| assert_eq!(row.op as usize, i));
    }

    #[test]
    fn equal_expressions_share_an_id() {
        let mut e = Exprs::default();
        let i = e.add(Expr::Index(0), NONE).unwrap();
        let a = e.add(Expr::Load { operand: 0, index: vec![i], or: None }, NONE).unwrap();
        let b = e.add(Expr::Load { operand: 0, index: vec![i], or: None }, NONE).unwrap();
        assert_eq!(a, b);
        assert_eq!(e.dtype(a), DType::F32);
    }

    #[test]
    fn mixed_dtypes_are_refused() {
        let mut e = Exprs::default();
        let i = e.add(Expr::Index(0), NONE).unwrap();
        let x = e.add(Expr::Const(Scalar::f32(1.0)), NONE).unwrap();
        let err = e.add(Expr::Binary(BinOp::Add, i, x), NONE).unwrap_err();
        assert_eq!(err.to_string(), "add takes values of one dtype, found i64 and f32");
    }
}

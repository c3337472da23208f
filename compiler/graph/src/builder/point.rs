//! One point of a `Compute`'s domain, described expression by expression.

use crate::dim::Dim;
use crate::dtype::DType;
use crate::expr::{BinOp, CmpOp, Expr, ExprError, ExprId, Exprs, Leaves, Rounding, UnOp};
use crate::node::{Acc, Combiner, Extent};
use crate::scalar::Scalar;
use crate::ty::TensorType;

/// Builds the expressions of a `Compute`. Methods return ids and never fail; the first error is reported by the builder
/// method that called the closure.
pub struct Point<'a> {
    operands: &'a [TensorType],
    dtypes: Vec<DType>,
    rank: usize,
    exprs: Exprs,
    reduce: Vec<Extent>,
    accs: Vec<Acc>,
    acc_dtypes: Vec<DType>,
    outs: Vec<ExprId>,
    error: Option<ExprError>,
}

type Parts = (Exprs, Vec<Extent>, Vec<Acc>, Vec<ExprId>);

impl<'a> Point<'a> {
    pub(super) fn new(operands: &'a [TensorType], rank: usize) -> Point<'a> {
        Point {
            operands,
            dtypes: operands.iter().map(|t| t.dtype).collect(),
            rank,
            exprs: Exprs::default(),
            reduce: Vec::new(),
            accs: Vec::new(),
            acc_dtypes: Vec::new(),
            outs: Vec::new(),
            error: None,
        }
    }

    pub(super) fn finish(self) -> Result<Parts, ExprError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok((self.exprs, self.reduce, self.accs, self.outs)),
        }
    }

    /// Any expression.
    pub fn add_expr(&mut self, expr: Expr) -> ExprId {
        let leaves = Leaves { operands: &self.dtypes, accs: &self.acc_dtypes };
        match self.exprs.add(expr, leaves) {
            Ok(id) => id,
            Err(error) => {
                self.error.get_or_insert(error);
                ExprId(0)
            }
        }
    }

    /// Dtype of an expression.
    pub fn dtype(&self, e: ExprId) -> DType {
        self.exprs.dtype(e)
    }

    /// Shape of an operand.
    pub fn shape(&self, operand: usize) -> &'a [Dim] {
        self.operands.get(operand).map_or(&[], |t| &t.shape)
    }

    /// Dtype of an operand; `Bool` for one that does not exist (the load reports it).
    pub fn dtype_of_operand(&self, operand: usize) -> DType {
        self.dtypes.get(operand).copied().unwrap_or(DType::Bool)
    }

    /// Number of parallel dims.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Index along a parallel dim.
    pub fn index(&mut self, dim: usize) -> ExprId {
        self.add_expr(Expr::Index(dim as u32))
    }

    /// Indices along all parallel dims.
    pub fn indices(&mut self) -> Vec<ExprId> {
        (0..self.rank).map(|d| self.index(d)).collect()
    }

    /// Adds a reduction dim; yields its index.
    pub fn reduce(&mut self, extent: &Dim) -> ExprId {
        self.reduce.push(Extent { bound: extent.clone(), size: None });
        self.index(self.rank + self.reduce.len() - 1)
    }

    /// Adds a reduction dim whose extent depends on the parallel index and is at most `bound`.
    pub fn reduce_sized(&mut self, size: ExprId, bound: &Dim) -> ExprId {
        self.reduce.push(Extent { bound: bound.clone(), size: Some(size) });
        self.index(self.rank + self.reduce.len() - 1)
    }

    /// Combines a value over all reduction dims.
    pub fn acc(&mut self, combiner: Combiner, value: ExprId) -> ExprId {
        let dtype = match combiner {
            Combiner::ArgMax { .. } | Combiner::ArgMin { .. } => DType::I64,
            _ => self.dtype(value),
        };
        self.accs.push(Acc { combiner, dtype, value });
        self.acc_dtypes.push(dtype);
        self.add_expr(Expr::Acc((self.accs.len() - 1) as u32))
    }

    /// Adds a result.
    pub fn out(&mut self, e: ExprId) {
        self.outs.push(e);
    }

    /// A constant.
    pub fn constant(&mut self, value: Scalar) -> ExprId {
        self.add_expr(Expr::Const(value))
    }

    /// A 64-bit integer.
    pub fn int(&mut self, value: i64) -> ExprId {
        self.constant(Scalar::i64(value))
    }

    /// A constant of any dtype from a float.
    pub fn number(&mut self, dtype: DType, value: f64) -> ExprId {
        self.constant(Scalar::from_f64(dtype, value))
    }

    /// Zero of a dtype.
    pub fn zero(&mut self, dtype: DType) -> ExprId {
        self.constant(Scalar::zero(dtype))
    }

    /// A size.
    pub fn dim(&mut self, dim: &Dim) -> ExprId {
        match dim.as_const() {
            Some(value) => self.int(value),
            None => self.add_expr(Expr::Dim(dim.clone())),
        }
    }

    /// Element of an operand; the index must be in range at every point.
    pub fn load(&mut self, operand: usize, index: &[ExprId]) -> ExprId {
        self.add_expr(Expr::Load { operand: operand as u32, index: index.to_vec(), or: None })
    }

    /// Element of an operand, or `or` outside its shape.
    pub fn load_or(&mut self, operand: usize, index: &[ExprId], or: ExprId) -> ExprId {
        self.add_expr(Expr::Load { operand: operand as u32, index: index.to_vec(), or: Some(or) })
    }

    /// Element of an operand under NumPy broadcasting to the parallel dims (dims aligned at the end; extents of 1 repeat).
    pub fn load_broadcast(&mut self, operand: usize) -> ExprId {
        let shape = self.shape(operand);
        let offset = self.rank.saturating_sub(shape.len());
        let index: Vec<ExprId> = shape
            .iter()
            .enumerate()
            .map(|(d, extent)| if extent.is(1) { self.int(0) } else { self.index(offset + d) })
            .collect();
        self.load(operand, &index)
    }

    /// A unary operation.
    pub fn unary(&mut self, op: UnOp, a: ExprId) -> ExprId {
        self.add_expr(Expr::Unary(op, a))
    }

    /// A binary operation.
    pub fn binary(&mut self, op: BinOp, a: ExprId, b: ExprId) -> ExprId {
        self.add_expr(Expr::Binary(op, a, b))
    }

    /// `a + b`.
    pub fn add(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.binary(BinOp::Add, a, b)
    }

    /// `a - b`.
    pub fn sub(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.binary(BinOp::Sub, a, b)
    }

    /// `a * b`.
    pub fn mul(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.binary(BinOp::Mul, a, b)
    }

    /// `a / b`, truncating for integers.
    pub fn div(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.binary(BinOp::Div, a, b)
    }

    /// The smaller, NaN if either is.
    pub fn min(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.binary(BinOp::Min, a, b)
    }

    /// The larger, NaN if either is.
    pub fn max(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.binary(BinOp::Max, a, b)
    }

    /// `a == b`.
    pub fn eq(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.add_expr(Expr::Compare(CmpOp::Eq, a, b))
    }

    /// `a != b`.
    pub fn ne(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.add_expr(Expr::Compare(CmpOp::Ne, a, b))
    }

    /// `a < b`.
    pub fn lt(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.add_expr(Expr::Compare(CmpOp::Lt, a, b))
    }

    /// `a <= b`.
    pub fn le(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.add_expr(Expr::Compare(CmpOp::Le, a, b))
    }

    /// Logical or bitwise and.
    pub fn and(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.binary(BinOp::And, a, b)
    }

    /// Logical or bitwise or.
    pub fn or(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.binary(BinOp::Or, a, b)
    }

    /// Logical or bitwise not.
    pub fn not(&mut self, a: ExprId) -> ExprId {
        self.unary(UnOp::Not, a)
    }

    /// `a` where the condition holds, else `b`.
    pub fn select(&mut self, condition: ExprId, a: ExprId, b: ExprId) -> ExprId {
        self.add_expr(Expr::Select(condition, a, b))
    }

    /// Conversion, wrapping (integers) or to infinity (floats) out of range; the same expression if nothing changes.
    pub fn cast(&mut self, value: ExprId, to: DType) -> ExprId {
        if self.dtype(value) == to {
            return value;
        }
        self.add_expr(Expr::Cast { to, saturate: false, rounding: Rounding::Nearest, value })
    }
}

//! Operations on elements in working form.

use graph::dtype::DType;
use graph::expr::{BinOp, CmpOp, Expr, Exprs, Leaves, Rounding, UnOp};
use graph::scalar::Scalar;
use graph::symbol::Symbols;
use nest::index::IndexSpace;
use ptx::{Space, Type};
use ptx_expr::{Cast, Convert, Int, IntOp, Load, Machine, MathsMode, Options, Relation, Value, Whole, Width};

use crate::error::PtxError;
use crate::writer::{V, Writer};

impl Writer {
    /// A constant in working form.
    pub fn constant(&mut self, scalar: Scalar) -> Result<V, PtxError> {
        Ok(ptx_expr::constant(&mut self.m.machine(), scalar)?)
    }

    pub fn unary(&mut self, op: UnOp, dtype: DType, x: V) -> Result<V, PtxError> {
        self.unary_with(MathsMode::Precise, op, dtype, x)
    }

    pub fn unary_with(&mut self, maths: MathsMode, op: UnOp, dtype: DType, x: V) -> Result<V, PtxError> {
        Ok(ptx_expr::unary(&mut self.m.machine(), maths, op, dtype, x)?)
    }

    pub fn binary(&mut self, op: BinOp, dtype: DType, x: V, y: V) -> Result<V, PtxError> {
        Ok(ptx_expr::binary(&mut self.m.machine(), op, dtype, x, y)?)
    }

    pub fn compare(&mut self, op: CmpOp, dtype: DType, x: V, y: V) -> Result<V, PtxError> {
        Ok(ptx_expr::compare(&mut self.m.machine(), op, dtype, x, y)?)
    }

    pub fn fma(&mut self, dtype: DType, x: V, y: V, z: V) -> Result<V, PtxError> {
        let mut exprs = Exprs::default();
        let leaves = Leaves { operands: &[], accs: &[dtype, dtype, dtype] };
        let mut ids = Vec::new();
        for k in 0..3 {
            ids.push(exprs.add(Expr::Acc(k), leaves)?);
        }
        let [a, b, c] = ids.as_slice() else { return Err(PtxError::Malformed("three factors")) };
        let sum = exprs.add(Expr::Fma(*a, *b, *c), leaves)?;
        let space = IndexSpace::new(&Symbols::default(), &[]);
        let mut machine = self.m.machine();
        let mut emitter = ptx_expr::Emitter::new(&mut machine, &exprs, &space, Options::default());
        for (id, value) in ids.iter().zip([x, y, z]) {
            emitter.give(*id, value);
        }
        Ok(emitter.value(sum, &mut NoLeaves)?)
    }

    pub fn cast_with(
        &mut self,
        from: DType,
        to: DType,
        saturate: bool,
        rounding: Rounding,
        x: V,
    ) -> Result<V, PtxError> {
        Ok(Cast { from, to, saturate, rounding }.emit(&mut self.m.machine(), x)?)
    }

    /// Rounded to the nearest, as after an operation.
    pub fn cast(&mut self, from: DType, to: DType, x: V) -> Result<V, PtxError> {
        if from == to {
            return Ok(x);
        }
        self.cast_with(from, to, false, Rounding::Nearest, x)
    }

    /// An integer of the dtype's register taken into its width.
    pub fn wrap(&mut self, dtype: DType, x: V) -> Result<V, PtxError> {
        let register = match dtype.bits() {
            64 => return Ok(x),
            _ if crate::state::int_of(dtype) == Int::S32 => DType::I32,
            _ => DType::U32,
        };
        self.cast(register, dtype, x)
    }

    pub fn bitcast(&mut self, from: DType, to: DType, x: V) -> Result<V, PtxError> {
        Ok(ptx_expr::bitcast(&mut self.m.machine(), from, to, x)?)
    }

    pub fn from_bits(&mut self, dtype: DType, raw: V) -> Result<V, PtxError> {
        Ok(ptx_expr::from_memory(&mut self.m.machine(), dtype, raw)?)
    }

    /// The bits of an element; a NaN stays the one that it is.
    pub fn to_bits(&mut self, dtype: DType, value: V) -> Result<V, PtxError> {
        Ok(ptx_expr::to_memory(&mut self.m.machine(), dtype, value, false)?)
    }

    /// One of two values of a dtype.
    pub fn select(&mut self, dtype: DType, c: V, x: V, y: V) -> V {
        let width = match dtype {
            DType::Bool => Width::Pred,
            _ => crate::state::stored_width(dtype),
        };
        self.m.select(width, c, x, y)
    }

    /// A predicate as 0 or 1.
    pub fn bit(&mut self, pred: V) -> V {
        let (one, zero) = (self.m.u32(1), self.m.u32(0));
        self.m.select(Width::B32, pred, one, zero)
    }

    pub fn is_not_zero(&mut self, value: V) -> V {
        let zero = self.m.u32(0);
        self.m.icmp(Relation::Ne, Int::U32, value, zero)
    }

    /// Both predicates.
    pub fn both(&mut self, a: V, b: V) -> V {
        self.m.and(Width::Pred, a, b)
    }

    /// The low 32 bits.
    pub fn low(&mut self, value: V) -> V {
        self.m.convert(Convert::Low, value)
    }

    pub fn load64(&mut self, address: V) -> V {
        let at = self.address(address);
        let reg = self.b().ld(Space::Global, Type::B64, at);
        Value::Reg(reg)
    }

    pub fn store64(&mut self, address: V, value: V) {
        let (at, value) = (self.address(address), self.reg(value, Type::B64));
        self.b().st(Space::Global, Type::B64, at, value);
    }

    /// `a << b` in 32 bits.
    pub fn shift_left(&mut self, a: V, b: V) -> V {
        self.m.int2(IntOp::Shl, Int::U32, a, b)
    }
}
/// For expressions whose leaves are all given.
struct NoLeaves;

impl<'b> ptx_expr::Leaves<Machine<'b>> for NoLeaves {
    fn index(&mut self, _: &mut Machine<'b>, index: u32) -> Result<Whole<V>, ptx_expr::Error> {
        Err(ptx_expr::Error::Index { index })
    }

    fn symbol(&mut self, _: &mut Machine<'b>, symbol: graph::dim::SymId) -> Result<Whole<V>, ptx_expr::Error> {
        Err(ptx_expr::Error::Symbol { symbol: symbol.0 })
    }

    fn load(&mut self, _: &mut ptx_expr::Emitter<'_, Machine<'b>>, load: Load<'_>) -> Result<V, ptx_expr::Error> {
        Err(ptx_expr::Error::Operand { operand: load.operand })
    }
}

//! The machine as PTX: every operation is an instruction of the builder, but what is known now, and what was computed before.
//!
//! Operations on constants are folded (by [`crate::host`], so to the same bits), equal operations are emitted once. A machine
//! therefore serves one stretch of straight code: the registers given to it must not be written while it lives.

use std::collections::BTreeMap;

use ptx::{Builder, Cmp, Form, Ftz, Operand, Reg, Round, Sm, Type};

use crate::arith::Arith;
use crate::host::evaluate;
use crate::op::{Approx, BitOp, Convert, Feature, Float, FloatOp, Int, IntOp, Number, Op, Relation, Width};

/// A register or a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Reg(Reg),
    Const(Width, u64),
}

/// Emits at the end of a builder.
pub struct Machine<'b> {
    builder: &'b mut Builder,
    sm: Sm,
    /// Results of operations; one map for each block that is open, what is inside is forgotten behind it.
    results: Vec<BTreeMap<(Op, Vec<Value>), Value>>,
}

impl<'b> Machine<'b> {
    pub fn new(builder: &'b mut Builder, sm: Sm) -> Machine<'b> {
        Machine { builder, sm, results: vec![BTreeMap::new()] }
    }

    /// The builder, to emit something else.
    pub fn builder(&mut self) -> &mut Builder {
        self.builder
    }

    pub fn sm(&self) -> Sm {
        self.sm
    }

    /// A register that holds the value.
    pub fn register(&mut self, value: Value) -> Reg {
        match value {
            Value::Reg(reg) => reg,
            Value::Const(Width::Pred, bits) => {
                let zero = self.builder.mov(Type::U32, 0u32);
                self.builder.setp(if bits != 0 { Cmp::Eq } else { Cmp::Ne }, Type::U32, zero, 0u32)
            }
            Value::Const(Width::B32, bits) => self.builder.mov(Type::B32, Operand::Imm(bits)),
            Value::Const(Width::B64, bits) => self.builder.mov(Type::B64, Operand::Imm(bits)),
        }
    }

    /// What an operation before yielded.
    fn result(&self, key: &(Op, Vec<Value>)) -> Option<Value> {
        self.results.iter().rev().find_map(|known| known.get(key)).copied()
    }

    fn emit(&mut self, op: Op, args: &[Value]) -> Reg {
        let given: Vec<Operand> = args.iter().map(|v| self.operand(*v)).collect();
        let arg = |k: usize| given.get(k).cloned().unwrap_or(Operand::Imm(0));
        let (x, y, z) = (arg(0), arg(1), arg(2));
        let b = &mut *self.builder;
        match op {
            Op::Float(op, f) => float(b, op, float_type(f), args, x, y, z),
            Op::Approx(op) => match op {
                Approx::Ex2 => b.ex2_approx(Ftz::No, x),
                Approx::Lg2 => b.lg2_approx(Ftz::No, x),
                Approx::Tanh => b.tanh_approx(x),
                Approx::Sin => b.sin_approx(Ftz::No, x),
                Approx::Cos => b.cos_approx(Ftz::No, x),
                Approx::Rcp => b.rcp_approx(Ftz::No, x),
                Approx::Sqrt => b.sqrt_approx(Ftz::No, x),
                Approx::Rsqrt => b.rsqrt_approx(Ftz::No, x),
            },
            Op::Int(op, ty) => int(b, op, ty, x, y, z),
            Op::Bits(op, width) => {
                let ty = bits_type(width);
                match op {
                    BitOp::And => b.and(ty, x, y),
                    BitOp::Or => b.or(ty, x, y),
                    BitOp::Xor => b.xor(ty, x, y),
                    BitOp::Not => b.not(ty, x),
                    BitOp::Ones => b.popc(ty, x),
                    BitOp::LeadingZeros => b.clz(ty, x),
                }
            }
            Op::Compare(relation, Number::Float(f)) => {
                let cmp = if relation == Relation::Ne { Cmp::Neu } else { comparison(relation) };
                b.setp(cmp, float_type(f), x, y)
            }
            Op::Compare(relation, Number::Int(ty)) => b.setp(comparison(relation), int_type(ty), x, y),
            Op::Select(width) => {
                let condition = self.register(args.first().copied().unwrap_or(Value::Const(Width::Pred, 0)));
                self.builder.selp(bits_type(width), y, z, condition)
            }
            Op::Convert(op) => self.convert(op, args, x),
            Op::FmaF16 => half_fma(b, Type::F16, [x, y, z]),
            Op::FmaBf16 => half_fma(b, Type::Bf16, [x, y, z]),
        }
    }

    fn operand(&mut self, value: Value) -> Operand {
        match value {
            Value::Reg(reg) => Operand::Reg(reg),
            Value::Const(Width::Pred, _) => Operand::Reg(self.register(value)),
            Value::Const(_, bits) => Operand::Imm(bits),
        }
    }

    fn convert(&mut self, op: Convert, args: &[Value], x: Operand) -> Reg {
        let b = &mut *self.builder;
        match op {
            Convert::F32ToF64 => b.cvt(Type::F64, Type::F32, x),
            Convert::F64ToF32 => b.cvt(Type::F32, Type::F64, x),
            Convert::F64ToF32ToZero => b.cvt_round(Round::Rz, Type::F32, Type::F64, x),
            Convert::IntToFloat(ty, f) => b.cvt(float_type(f), int_type(ty), x),
            Convert::IntToF32ToZero(ty) => b.cvt_round(Round::Rz, Type::F32, int_type(ty), x),
            Convert::FloatToInt(f, ty) => b.cvt(int_type(ty), float_type(f), x),
            Convert::ExtendSigned => b.cvt(Type::S64, Type::S32, x),
            Convert::ExtendZero => b.cvt(Type::U64, Type::U32, x),
            Convert::Low => b.cvt(Type::U32, Type::U64, x),
            Convert::High => {
                let upper = b.shr(Type::U64, x, 32u32);
                b.cvt(Type::U32, Type::U64, upper)
            }
            Convert::Pack => {
                let parts: Vec<Reg> = args.iter().map(|v| self.register(*v)).collect();
                self.builder.pack(&parts)
            }
            Convert::SignExtend(bits) => b.bfe(Type::S32, x, 0u32, u32::from(bits)),
            Convert::F16ToF32 => {
                let half = b.cvt(Type::U16, Type::U32, x);
                b.cvt(Type::F32, Type::F16, half)
            }
            Convert::F32ToF16 => {
                let half = b.cvt(Type::F16, Type::F32, x);
                b.cvt(Type::U32, Type::U16, half)
            }
            Convert::F32ToBf16 => {
                let half = b.cvt(Type::Bf16, Type::F32, x);
                b.cvt(Type::U32, Type::U16, half)
            }
        }
    }

    /// What a block yields, in registers of its own.
    fn copies(&mut self, values: &[Value]) -> Vec<Reg> {
        values
            .iter()
            .map(|v| match v {
                Value::Reg(reg) => {
                    let ty = class_type(reg.class);
                    self.builder.mov(ty, *reg)
                }
                Value::Const(..) => self.register(*v),
            })
            .collect()
    }

    fn assign(&mut self, to: &[Reg], values: &[Value]) {
        for (reg, value) in to.iter().zip(values) {
            if *value == Value::Reg(*reg) {
                continue;
            }
            let operand = self.operand(*value);
            self.builder.mov_to(class_type(reg.class), *reg, operand);
        }
    }
}

impl Arith for Machine<'_> {
    type Value = Value;

    fn constant(&mut self, width: Width, bits: u64) -> Value {
        Value::Const(width, bits)
    }

    fn known(&self, value: Value) -> Option<u64> {
        match value {
            Value::Reg(_) => None,
            Value::Const(_, bits) => Some(bits),
        }
    }

    fn apply(&mut self, op: Op, args: &[Value]) -> Value {
        if let Some(value) = simplified(op, args) {
            return value;
        }
        let key = (op, args.to_vec());
        if let Some(value) = self.result(&key) {
            return value;
        }
        let value = Value::Reg(self.emit(op, args));
        if let Some(known) = self.results.last_mut() {
            known.insert(key, value);
        }
        value
    }

    fn when(
        &mut self,
        condition: Value,
        otherwise: &[Value],
        body: impl FnOnce(&mut Self) -> Vec<Value>,
    ) -> Vec<Value> {
        let condition = match condition {
            Value::Const(_, 0) => return otherwise.to_vec(),
            Value::Const(..) => return body(self),
            Value::Reg(reg) => reg,
        };
        let results = self.copies(otherwise);
        let end = self.builder.label("otherwise");
        self.builder.bra_unless(condition, end);
        self.results.push(BTreeMap::new());
        let values = body(self);
        self.assign(&results, &values);
        self.results.pop();
        self.builder.place(end);
        results.into_iter().map(Value::Reg).collect()
    }

    fn iterate(
        &mut self,
        start: &[Value],
        mut body: impl FnMut(&mut Self, &[Value]) -> (Vec<Value>, Value),
    ) -> Vec<Value> {
        let state = self.copies(start);
        let given: Vec<Value> = state.iter().copied().map(Value::Reg).collect();
        let head = self.builder.label("turn");
        self.builder.place(head);
        self.results.push(BTreeMap::new());
        let (next, again) = body(self, &given);
        // A next value that is another one's old value is kept before it is overwritten.
        let moved: Vec<Value> = next
            .iter()
            .enumerate()
            .map(|(k, v)| match given.iter().position(|g| g == v) {
                Some(old) if old != k => self.copies(&[*v]).first().copied().map_or(*v, Value::Reg),
                _ => *v,
            })
            .collect();
        self.assign(&state, &moved);
        match again {
            Value::Reg(reg) => self.builder.bra_if(reg, head),
            Value::Const(_, 0) => {}
            Value::Const(..) => self.builder.bra(head),
        }
        self.results.pop();
        given
    }

    fn has(&self, feature: Feature) -> bool {
        match feature {
            Feature::Bf16 => {
                let form = Form::new(ptx::Op::CvtF32ToBf16, (Round::Rn, ptx::Relu::No));
                form.arch().has(self.sm)
            }
        }
    }
}

/// A result that needs no instruction.
fn simplified(op: Op, args: &[Value]) -> Option<Value> {
    let bits: Option<Vec<u64>> = args
        .iter()
        .map(|v| match v {
            Value::Const(_, bits) => Some(*bits),
            Value::Reg(_) => None,
        })
        .collect();
    if let Some(bits) = bits
        && !matches!(op, Op::Approx(_))
    {
        return Some(Value::Const(op.result(), evaluate(op, &bits)));
    }
    let constant = |k: usize| match args.get(k) {
        Some(Value::Const(_, bits)) => Some(*bits),
        _ => None,
    };
    let (first, second) = (args.first().copied()?, args.get(1).copied());
    match op {
        Op::Int(IntOp::Add, _) | Op::Bits(BitOp::Or | BitOp::Xor, _) if constant(0) == Some(0) => second,
        Op::Int(IntOp::Add | IntOp::Sub | IntOp::Shl | IntOp::Shr, _) | Op::Bits(BitOp::Or | BitOp::Xor, _)
            if constant(1) == Some(0) =>
        {
            Some(first)
        }
        Op::Int(IntOp::Mul, _) if constant(0) == Some(1) => second,
        Op::Int(IntOp::Mul | IntOp::Div, _) if constant(1) == Some(1) => Some(first),
        Op::Int(IntOp::Mul, ty) if constant(0) == Some(0) || constant(1) == Some(0) => {
            Some(Value::Const(ty.width(), 0))
        }
        Op::Bits(BitOp::And, Width::Pred) if constant(0) == Some(1) => second,
        Op::Bits(BitOp::And, Width::Pred) if constant(1) == Some(1) => Some(first),
        Op::Bits(BitOp::And, width) if constant(0) == Some(0) || constant(1) == Some(0) => Some(Value::Const(width, 0)),
        Op::Bits(BitOp::Or, Width::Pred) if constant(0) == Some(1) || constant(1) == Some(1) => {
            Some(Value::Const(Width::Pred, 1))
        }
        Op::Int(IntOp::Mad, _) if constant(0) == Some(0) || constant(1) == Some(0) => args.get(2).copied(),
        Op::Select(_) => {
            let third = args.get(2).copied();
            match constant(0) {
                Some(0) => third,
                Some(_) => second,
                None if second == third => second,
                None => None,
            }
        }
        _ => None,
    }
}

fn float(b: &mut Builder, op: FloatOp, ty: Type, args: &[Value], x: Operand, y: Operand, z: Operand) -> Reg {
    let one = match ty {
        Type::F64 => 1f64.to_bits(),
        _ => u64::from(1f32.to_bits()),
    };
    match op {
        FloatOp::Add => b.add(ty, x, y),
        FloatOp::Sub => b.sub(ty, x, y),
        FloatOp::Mul => b.mul(ty, x, y),
        FloatOp::Div if matches!(args.first(), Some(Value::Const(_, bits)) if *bits == one) => b.rcp(ty, y),
        FloatOp::Div => b.div(ty, x, y),
        FloatOp::Fma => b.mad(ty, x, y, z),
        FloatOp::MinNan => b.min_nan(ty, x, y),
        FloatOp::MaxNan => b.max_nan(ty, x, y),
        FloatOp::Neg => b.neg(ty, x),
        FloatOp::Abs => b.abs(ty, x),
        FloatOp::Sqrt => b.sqrt(ty, x),
        FloatOp::Rint => b.round(Round::Rni, ty, x),
        FloatOp::Floor => b.round(Round::Rmi, ty, x),
        FloatOp::Ceil => b.round(Round::Rpi, ty, x),
        FloatOp::Trunc => b.round(Round::Rzi, ty, x),
    }
}

fn int(b: &mut Builder, op: IntOp, ty: Int, x: Operand, y: Operand, z: Operand) -> Reg {
    let t = int_type(ty);
    match op {
        IntOp::Add => b.add(t, x, y),
        IntOp::Sub => b.sub(t, x, y),
        IntOp::Mul => b.mul(t, x, y),
        IntOp::MulHigh => b.mul_hi(t, x, y),
        IntOp::Mad => b.mad(t, x, y, z),
        IntOp::MulWide => b.mul_wide(t, x, y),
        IntOp::Div => b.div(t, x, y),
        IntOp::Rem => b.rem(t, x, y),
        IntOp::Min => b.min(t, x, y),
        IntOp::Max => b.max(t, x, y),
        IntOp::Shl => b.shl(bits_type(ty.width()), x, y),
        IntOp::Shr => b.shr(t, x, y),
    }
}

fn half_fma(b: &mut Builder, ty: Type, patterns: [Operand; 3]) -> Reg {
    let [x, y, z] = patterns.map(|p| b.cvt(Type::U16, Type::U32, p));
    let sum = b.mad(ty, x, y, z);
    b.cvt(Type::U32, Type::U16, sum)
}

fn comparison(relation: Relation) -> Cmp {
    match relation {
        Relation::Eq => Cmp::Eq,
        Relation::Ne => Cmp::Ne,
        Relation::Lt => Cmp::Lt,
        Relation::Le => Cmp::Le,
        Relation::Gt => Cmp::Gt,
        Relation::Ge => Cmp::Ge,
    }
}

fn float_type(f: Float) -> Type {
    match f {
        Float::F32 => Type::F32,
        Float::F64 => Type::F64,
    }
}

fn int_type(ty: Int) -> Type {
    match ty {
        Int::S32 => Type::S32,
        Int::U32 => Type::U32,
        Int::S64 => Type::S64,
        Int::U64 => Type::U64,
    }
}

fn bits_type(width: Width) -> Type {
    match width {
        Width::Pred => Type::Pred,
        Width::B32 => Type::B32,
        Width::B64 => Type::B64,
    }
}

fn class_type(class: ptx::Class) -> Type {
    match class {
        ptx::Class::Pred => Type::Pred,
        ptx::Class::B16 => Type::B16,
        ptx::Class::B32 => Type::B32,
        ptx::Class::B64 => Type::B64,
    }
}

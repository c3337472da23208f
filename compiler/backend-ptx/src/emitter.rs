//! Operations on values, emitted at the end of an entry; equal operations of one stretch of straight code are emitted once.
//!
//! Registers that are written again ([`Emitter::changes`]) are no part of that. What is computed inside a block is forgotten
//! behind it ([`Emitter::open`], [`Emitter::close`]).

use std::collections::{BTreeMap, BTreeSet};

use ptx::{Builder, Reg, Sm};
use ptx_expr::{Arith, BitOp, Convert, Float, FloatOp, Int, IntOp, Number, Op, Relation, Width};
use ptx_expr::{Machine, Value};

/// A builder with what was computed before.
pub struct Emitter {
    pub builder: Builder,
    sm: Sm,
    results: Vec<BTreeMap<(Op, Vec<Value>), Value>>,
    changing: BTreeSet<Reg>,
}

impl Emitter {
    pub fn new(builder: Builder, sm: Sm) -> Emitter {
        Emitter { builder, sm, results: vec![BTreeMap::new()], changing: BTreeSet::new() }
    }

    /// A machine for a stretch of straight code that changes no register.
    pub fn machine(&mut self) -> Machine<'_> {
        Machine::new(&mut self.builder, self.sm)
    }

    /// The register is written again.
    pub fn changes(&mut self, reg: Reg) {
        self.changing.insert(reg);
    }

    /// Begins a block that may not run.
    pub fn open(&mut self) {
        self.results.push(BTreeMap::new());
    }

    pub fn close(&mut self) {
        self.results.pop();
    }

    pub fn register(&mut self, value: Value) -> Reg {
        self.machine().register(value)
    }

    pub fn known(&self, value: Value) -> Option<u64> {
        match value {
            Value::Reg(_) => None,
            Value::Const(_, bits) => Some(bits),
        }
    }

    pub fn apply(&mut self, op: Op, args: &[Value]) -> Value {
        let steady = args.iter().all(|v| !matches!(v, Value::Reg(reg) if self.changing.contains(reg)));
        let key = (op, args.to_vec());
        if steady && let Some(known) = self.results.iter().rev().find_map(|known| known.get(&key)) {
            return *known;
        }
        let value = self.machine().apply(op, args);
        if steady && let Some(known) = self.results.last_mut() {
            known.insert(key, value);
        }
        value
    }

    pub fn constant(&mut self, width: Width, bits: u64) -> Value {
        Value::Const(width, bits)
    }

    pub fn bool(&mut self, value: bool) -> Value {
        Value::Const(Width::Pred, u64::from(value))
    }

    pub fn u32(&mut self, value: u32) -> Value {
        Value::Const(Width::B32, u64::from(value))
    }

    pub fn i32(&mut self, value: i32) -> Value {
        self.u32(value.cast_unsigned())
    }

    pub fn u64(&mut self, value: u64) -> Value {
        Value::Const(Width::B64, value)
    }

    pub fn i64(&mut self, value: i64) -> Value {
        self.u64(value.cast_unsigned())
    }

    pub fn float(&mut self, f: Float, value: f64) -> Value {
        self.machine().float(f, value)
    }

    pub fn int(&mut self, ty: Int, value: i64) -> Value {
        self.machine().int(ty, value)
    }

    pub fn add(&mut self, f: Float, x: Value, y: Value) -> Value {
        self.apply(Op::Float(FloatOp::Add, f), &[x, y])
    }

    pub fn mul(&mut self, f: Float, x: Value, y: Value) -> Value {
        self.apply(Op::Float(FloatOp::Mul, f), &[x, y])
    }

    pub fn fma(&mut self, f: Float, x: Value, y: Value, z: Value) -> Value {
        self.apply(Op::Float(FloatOp::Fma, f), &[x, y, z])
    }

    pub fn int2(&mut self, op: IntOp, ty: Int, x: Value, y: Value) -> Value {
        self.apply(Op::Int(op, ty), &[x, y])
    }

    pub fn and(&mut self, width: Width, x: Value, y: Value) -> Value {
        self.apply(Op::Bits(BitOp::And, width), &[x, y])
    }

    pub fn or(&mut self, width: Width, x: Value, y: Value) -> Value {
        self.apply(Op::Bits(BitOp::Or, width), &[x, y])
    }

    pub fn xor(&mut self, width: Width, x: Value, y: Value) -> Value {
        self.apply(Op::Bits(BitOp::Xor, width), &[x, y])
    }

    pub fn not(&mut self, width: Width, x: Value) -> Value {
        self.apply(Op::Bits(BitOp::Not, width), &[x])
    }

    pub fn compare(&mut self, relation: Relation, number: Number, x: Value, y: Value) -> Value {
        self.apply(Op::Compare(relation, number), &[x, y])
    }

    pub fn icmp(&mut self, relation: Relation, ty: Int, x: Value, y: Value) -> Value {
        self.compare(relation, Number::Int(ty), x, y)
    }

    pub fn is_nan(&mut self, f: Float, x: Value) -> Value {
        self.compare(Relation::Ne, Number::Float(f), x, x)
    }

    pub fn convert(&mut self, convert: Convert, x: Value) -> Value {
        self.apply(Op::Convert(convert), &[x])
    }

    pub fn select(&mut self, width: Width, c: Value, x: Value, y: Value) -> Value {
        match width {
            Width::B32 | Width::B64 => self.apply(Op::Select(width), &[c, x, y]),
            Width::Pred => {
                let yes = self.and(width, c, x);
                let other = self.not(width, c);
                let no = self.and(width, other, y);
                self.or(width, yes, no)
            }
        }
    }
}

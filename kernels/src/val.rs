//! Numbers of 32 bits that may be known when code is emitted: constants fold, the rest becomes instructions.

use ptx::{Builder, Cmp, Operand, Reg, Type};

/// An unsigned number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Val {
    Const(u32),
    Reg(Reg),
}

impl From<u32> for Val {
    fn from(value: u32) -> Val {
        Val::Const(value)
    }
}

impl From<Reg> for Val {
    fn from(reg: Reg) -> Val {
        Val::Reg(reg)
    }
}

impl From<Val> for Operand {
    fn from(value: Val) -> Operand {
        match value {
            Val::Const(value) => value.into(),
            Val::Reg(reg) => reg.into(),
        }
    }
}

impl Val {
    pub fn as_const(self) -> Option<u32> {
        match self {
            Val::Const(value) => Some(value),
            Val::Reg(_) => None,
        }
    }

    /// In a register.
    pub fn reg(self, b: &mut Builder) -> Reg {
        match self {
            Val::Const(value) => b.mov(Type::U32, value),
            Val::Reg(reg) => reg,
        }
    }

    pub fn add(self, b: &mut Builder, other: impl Into<Val>) -> Val {
        match (self, other.into()) {
            (Val::Const(x), Val::Const(y)) => Val::Const(x.wrapping_add(y)),
            (Val::Const(0), x) | (x, Val::Const(0)) => x,
            (Val::Const(x), y) => b.add(Type::U32, y, x).into(),
            (x, y) => b.add(Type::U32, x, y).into(),
        }
    }

    pub fn sub(self, b: &mut Builder, other: impl Into<Val>) -> Val {
        match (self, other.into()) {
            (Val::Const(x), Val::Const(y)) => Val::Const(x.wrapping_sub(y)),
            (x, Val::Const(0)) => x,
            (x, y) => b.sub(Type::U32, x, y).into(),
        }
    }

    pub fn mul(self, b: &mut Builder, other: impl Into<Val>) -> Val {
        match (self, other.into()) {
            (Val::Const(x), Val::Const(y)) => Val::Const(x.wrapping_mul(y)),
            (Val::Const(0), _) | (_, Val::Const(0)) => Val::Const(0),
            (Val::Const(1), x) | (x, Val::Const(1)) => x,
            (Val::Const(x), y) | (y, Val::Const(x)) if x.is_power_of_two() => {
                b.shl(Type::B32, y, x.trailing_zeros()).into()
            }
            (Val::Const(x), y) => b.mul(Type::U32, y, x).into(),
            (x, y) => b.mul(Type::U32, x, y).into(),
        }
    }

    /// Quotient by a power of two.
    pub fn shr(self, b: &mut Builder, bits: u32) -> Val {
        match self {
            Val::Const(x) => Val::Const(x >> bits),
            x if bits == 0 => x,
            x => b.shr(Type::U32, x, bits).into(),
        }
    }

    pub fn and(self, b: &mut Builder, mask: u32) -> Val {
        match self {
            Val::Const(x) => Val::Const(x & mask),
            _ if mask == 0 => Val::Const(0),
            x => b.and(Type::B32, x, mask).into(),
        }
    }

    pub fn xor(self, b: &mut Builder, other: impl Into<Val>) -> Val {
        match (self, other.into()) {
            (Val::Const(x), Val::Const(y)) => Val::Const(x ^ y),
            (Val::Const(0), x) | (x, Val::Const(0)) => x,
            (Val::Const(x), y) | (y, Val::Const(x)) => b.xor(Type::B32, y, x).into(),
            (x, y) => b.xor(Type::B32, x, y).into(),
        }
    }

    pub fn min(self, b: &mut Builder, other: impl Into<Val>) -> Val {
        match (self, other.into()) {
            (Val::Const(x), Val::Const(y)) => Val::Const(x.min(y)),
            (Val::Const(x), y) | (y, Val::Const(x)) => b.min(Type::U32, y, x).into(),
            (x, y) => b.min(Type::U32, x, y).into(),
        }
    }

    /// Divided by a constant, rounded up.
    pub fn ceil_div(self, b: &mut Builder, by: u32) -> Val {
        match self {
            Val::Const(x) => Val::Const(x.div_ceil(by)),
            _ if by == 1 => self,
            _ => {
                let sum = self.add(b, by - 1);
                if by.is_power_of_two() { sum.shr(b, by.trailing_zeros()) } else { b.div(Type::U32, sum, by).into() }
            }
        }
    }

    /// Quotient and remainder by a constant.
    pub fn div_rem(self, b: &mut Builder, by: u32) -> (Val, Val) {
        match self {
            Val::Const(x) => (Val::Const(x / by), Val::Const(x % by)),
            _ if by == 1 => (self, Val::Const(0)),
            _ if by.is_power_of_two() => (self.shr(b, by.trailing_zeros()), self.and(b, by - 1)),
            _ => (b.div(Type::U32, self, by).into(), b.rem(Type::U32, self, by).into()),
        }
    }

    /// The predicate `self < other`.
    pub fn less(self, b: &mut Builder, other: impl Into<Val>) -> Reg {
        let left = self.reg(b);
        b.setp(Cmp::Lt, Type::U32, left, other.into())
    }
}

/// `base + index * bytes`, an address of 64 bits.
pub fn address(b: &mut Builder, base: Reg, index: Val, bytes: impl Into<Val>) -> Reg {
    match (index, bytes.into()) {
        (Val::Const(0), _) | (_, Val::Const(0)) => base,
        (Val::Reg(index), Val::Const(1)) => {
            let index = b.cvt(Type::U64, Type::U32, index);
            b.add(Type::U64, base, index)
        }
        (Val::Const(index), Val::Const(bytes)) => {
            b.add(Type::U64, base, u64::from(index).wrapping_mul(u64::from(bytes)))
        }
        (Val::Const(index), Val::Reg(bytes)) => b.mad_wide(Type::U32, bytes, index, base),
        (Val::Reg(index), bytes) => b.mad_wide(Type::U32, index, bytes, base),
    }
}

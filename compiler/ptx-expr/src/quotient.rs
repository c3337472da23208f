//! Quotients and remainders in index maps: by powers of two a shift, by other constants a product and a shift, by sizes the launch's
//! fast divisor, else a division.

use graph::dim::{Atom, Dim};

use crate::arith::Arith;
use crate::emitter::{Emitter, Leaves, Whole};
use crate::error::Error;
use crate::index::{HIGHEST, signed};
use crate::integer;
use crate::op::{Int, IntOp, Relation};

impl<A: Arith> Emitter<'_, A> {
    /// `floor(x / y)`; 0 by zero.
    pub(crate) fn quotient(&mut self, x: &Dim, y: &Dim, leaves: &mut dyn Leaves<A>) -> Result<Whole<A::Value>, Error> {
        let range = self.symbols.range(x);
        let value = self.whole(x, leaves)?;
        let ty = signed(value.wide);
        if let Some(divisor) = y.as_const() {
            if divisor == 0 {
                return Ok(Whole { value: self.arith.int(ty, 0), wide: value.wide });
            }
            if divisor > 0 && divisor.count_ones() == 1 {
                let by = self.arith.u32(divisor.trailing_zeros());
                return Ok(Whole { value: self.arith.int2(IntOp::Shr, ty, value.value, by), wide: value.wide });
            }
            if !value.wide && (1..=HIGHEST).contains(&i128::from(divisor)) {
                let divisor = divisor as u32;
                if range.lo >= 0 {
                    return Ok(Whole { value: self.magic(value.value, divisor), wide: false });
                }
                // Moved up by whole divisors, a negative dividend becomes one that is not.
                let turns = -range.lo.div_euclid(i128::from(divisor));
                let moved = turns * i128::from(divisor);
                if moved + range.hi <= HIGHEST {
                    let (moved, turns) = (self.arith.i32(moved as i32), self.arith.i32(turns as i32));
                    let sum = self.arith.int2(IntOp::Add, ty, value.value, moved);
                    let quotient = self.magic(sum, divisor);
                    return Ok(Whole { value: self.arith.int2(IntOp::Sub, ty, quotient, turns), wide: false });
                }
            }
        }
        let by = self.symbols.range(y);
        let divisor = self.whole(y, leaves)?;
        let natural = range.lo >= 0 && by.lo >= 0;
        if natural
            && !value.wide
            && !divisor.wide
            && y.as_const().is_none()
            && let Some((multiplier, shift)) = leaves.divisor(self.arith, y)?
        {
            let high = self.arith.int2(IntOp::MulHigh, Int::U32, value.value, multiplier);
            let sum = self.arith.int2(IntOp::Add, Int::U32, high, value.value);
            let quotient = self.arith.int2(IntOp::Shr, Int::U32, sum, shift);
            let quotient = self.unless_zero(by.lo, Int::S32, divisor.value, quotient);
            return Ok(Whole { value: quotient, wide: false });
        }
        let wide = value.wide || divisor.wide;
        let (x, y) = (self.resized(value, wide), self.resized(divisor, wide));
        let value = if natural {
            let unsigned = if wide { Int::U64 } else { Int::U32 };
            let quotient = self.arith.int2(IntOp::Div, unsigned, x, y);
            self.unless_zero(by.lo, unsigned, y, quotient)
        } else {
            integer::floor_div(self.arith, signed(wide), x, y)
        };
        Ok(Whole { value, wide })
    }

    /// Remainder with the sign of the divisor; 0 by zero.
    pub(crate) fn rest(&mut self, x: &Dim, y: &Dim, leaves: &mut dyn Leaves<A>) -> Result<Whole<A::Value>, Error> {
        let value = self.whole(x, leaves)?;
        let wide = value.wide;
        let ty = signed(wide);
        if let Some(divisor) = y.as_const().filter(|d| *d > 0 && d.count_ones() == 1)
            && (wide || i128::from(divisor) <= HIGHEST)
        {
            let mask = self.arith.int(ty, divisor - 1);
            return Ok(Whole { value: self.arith.and(ty.width(), value.value, mask), wide });
        }
        let by = self.symbols.range(y);
        let quotient = self.atom(&Atom::FloorDiv(Box::new(x.clone()), Box::new(y.clone())), leaves)?;
        let divisor = self.whole(y, leaves)?;
        let wide = wide || divisor.wide || quotient.wide;
        let ty = signed(wide);
        let [x, y, quotient] = [value, divisor, quotient].map(|v| self.resized(v, wide));
        let whole = self.arith.int2(IntOp::Mul, ty, quotient, y);
        let rest = self.arith.int2(IntOp::Sub, ty, x, whole);
        Ok(Whole { value: self.unless_zero(by.lo, ty, y, rest), wide })
    }

    /// 0 where the divisor is, if it can be.
    fn unless_zero(&mut self, lowest: i128, ty: Int, divisor: A::Value, value: A::Value) -> A::Value {
        if lowest > 0 {
            return value;
        }
        let zero = self.arith.int(ty, 0);
        let by_zero = self.arith.icmp(Relation::Eq, ty, divisor, zero);
        self.arith.select(ty.width(), by_zero, zero, value)
    }

    /// The quotient of a number below 2^31 by one that is no power of two: a product and a shift.
    fn magic(&mut self, x: A::Value, divisor: u32) -> A::Value {
        // With l = ceil(log2 d) and m = floor(2^(31+l) / d) + 1 < 2^32: x / d = (x m) >> (31 + l).
        let length = 32 - (divisor - 1).leading_zeros();
        let multiplier = (1u64 << (31 + length)) / u64::from(divisor) + 1;
        let (multiplier, shift) = (self.arith.u32(multiplier as u32), self.arith.u32(length - 1));
        let high = self.arith.int2(IntOp::MulHigh, Int::U32, x, multiplier);
        self.arith.int2(IntOp::Shr, Int::U32, high, shift)
    }
}

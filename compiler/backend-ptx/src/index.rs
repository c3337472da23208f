//! Index arithmetic in 32 or 64 bits: unravelling, and addresses of views.
//!
//! Narrow arithmetic holds where every index and every address is below 2^31 ([`crate::flat::Flat::fits_narrow`]); sums on
//! the way wrap and come out right. Divisions are by constants or by divisors that the host prepares.

use graph::dim::Dim;
use nest::layout::Access;
use ptx_expr::{Convert, Int, IntOp, Width};

use crate::launch::divisor;
use crate::writer::{V, Writer};

/// Width of index arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ix {
    Narrow,
    Wide,
}

impl Ix {
    pub fn of(wide: bool) -> Ix {
        if wide { Ix::Wide } else { Ix::Narrow }
    }

    pub fn int(self) -> Int {
        match self {
            Ix::Narrow => Int::U32,
            Ix::Wide => Int::U64,
        }
    }

    pub fn width(self) -> Width {
        self.int().width()
    }
}

impl Writer {
    pub fn ix_const(&mut self, ix: Ix, value: i64) -> V {
        self.m.int(ix.int(), value)
    }

    pub fn ix_add(&mut self, ix: Ix, a: V, b: V) -> V {
        match (self.m.known(a), self.m.known(b)) {
            (Some(0), _) => b,
            (_, Some(0)) => a,
            _ => self.m.int2(IntOp::Add, ix.int(), a, b),
        }
    }

    pub fn ix_sub(&mut self, ix: Ix, a: V, b: V) -> V {
        match self.m.known(b) {
            Some(0) => a,
            _ => self.m.int2(IntOp::Sub, ix.int(), a, b),
        }
    }

    pub fn ix_mul(&mut self, ix: Ix, a: V, b: V) -> V {
        match (self.m.known(a), self.m.known(b)) {
            (Some(0), _) | (_, Some(1)) => a,
            (_, Some(0)) | (Some(1), _) => b,
            _ => self.m.int2(IntOp::Mul, ix.int(), a, b),
        }
    }

    /// `a * b + c`.
    pub fn ix_mad(&mut self, ix: Ix, a: V, b: V, c: V) -> V {
        if self.m.known(c) == Some(0) {
            return self.ix_mul(ix, a, b);
        }
        match (self.m.known(a), self.m.known(b)) {
            (Some(0), _) | (_, Some(0)) => c,
            (Some(1), _) => self.ix_add(ix, b, c),
            (_, Some(1)) => self.ix_add(ix, a, c),
            _ => self.m.apply(ptx_expr::Op::Int(IntOp::Mad, ix.int()), &[a, b, c]),
        }
    }

    pub fn ix_min(&mut self, ix: Ix, a: V, b: V) -> V {
        self.m.int2(IntOp::Min, ix.int(), a, b)
    }

    /// `a < b`.
    pub fn ix_less(&mut self, ix: Ix, a: V, b: V) -> V {
        self.m.icmp(ptx_expr::Relation::Lt, ix.int(), a, b)
    }

    /// A 32-bit number that is not negative, in this width.
    pub fn ix_from32(&mut self, ix: Ix, value: V) -> V {
        match ix {
            Ix::Narrow => value,
            Ix::Wide => self.m.convert(Convert::ExtendZero, value),
        }
    }

    /// An index as i64.
    pub fn ix_to64(&mut self, ix: Ix, value: V) -> V {
        match ix {
            Ix::Wide => value,
            Ix::Narrow => match self.m.known(value) {
                Some(bits) => self.m.u64(bits & 0xffff_ffff),
                None => self.m.convert(Convert::ExtendZero, value),
            },
        }
    }

    /// Quotient and remainder by an extent, which is at least 1 where this runs.
    pub fn ix_divide(&mut self, ix: Ix, n: V, by: &Dim) -> (V, V) {
        if by.is(1) {
            let zero = self.ix_const(ix, 0);
            return (n, zero);
        }
        let quotient = match ix {
            Ix::Narrow => self.divide_narrow(n, by),
            Ix::Wide => {
                let by = self.size(ix, by);
                self.m.int2(IntOp::Div, Int::U64, n, by)
            }
        };
        let by = self.size(ix, by);
        let whole = self.ix_mul(ix, quotient, by);
        let rest = self.ix_sub(ix, n, whole);
        (quotient, rest)
    }

    fn divide_narrow(&mut self, n: V, by: &Dim) -> V {
        if let Some(d) = by.as_const().filter(|d| *d > 0 && *d < (1 << 31)) {
            if d.cast_unsigned().is_power_of_two() {
                let shift = self.m.u32(d.trailing_zeros());
                return self.m.int2(IntOp::Shr, Int::U32, n, shift);
            }
            let (multiplier, shift) = divisor(d).unwrap_or((1, 0));
            let (multiplier, shift) = (self.m.u32(multiplier), self.m.u32(shift));
            return self.divide_by(n, multiplier, shift);
        }
        let (multiplier, shift) = self.divisor(by);
        self.divide_by(n, multiplier, shift)
    }

    fn divide_by(&mut self, n: V, multiplier: V, shift: V) -> V {
        let high = self.m.int2(IntOp::MulHigh, Int::U32, n, multiplier);
        let sum = self.m.int2(IntOp::Add, Int::U32, high, n);
        self.m.int2(IntOp::Shr, Int::U32, sum, shift)
    }

    /// Row-major position to indices.
    pub fn unravel(&mut self, ix: Ix, linear: V, extents: &[Dim]) -> Vec<V> {
        let mut out = Vec::with_capacity(extents.len());
        let mut rest = linear;
        for (k, extent) in extents.iter().enumerate().rev() {
            if k == 0 {
                out.push(rest);
            } else {
                let (quotient, remainder) = self.ix_divide(ix, rest, extent);
                out.push(remainder);
                rest = quotient;
            }
        }
        out.reverse();
        out
    }

    /// Indices to row-major position.
    pub fn ravel(&mut self, ix: Ix, index: &[V], extents: &[Dim]) -> V {
        let mut sum = self.ix_const(ix, 0);
        for (i, extent) in index.iter().zip(extents) {
            let extent = self.size(ix, extent);
            sum = self.ix_mad(ix, sum, extent, *i);
        }
        sum
    }

    /// The address of a view, in elements. A blocked dim is the caller's care.
    pub fn view_address(&mut self, ix: Ix, access: &Access, index: &[V]) -> V {
        let mut sum = self.size(ix, &access.offset);
        for (d, (i, stride)) in index.iter().zip(&access.strides).enumerate() {
            if stride.is(0) {
                continue;
            }
            let stride = self.size(ix, stride);
            match access.block.filter(|b| b.dim == d) {
                None => sum = self.ix_mad(ix, *i, stride, sum),
                Some(block) => {
                    let (whole, rest) = self.ix_divide(ix, *i, &Dim::constant(block.factor));
                    sum = self.ix_mad(ix, whole, stride, sum);
                    sum = self.ix_add(ix, sum, rest);
                }
            }
        }
        sum
    }
}

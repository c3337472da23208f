//! Conversions between dtypes, by value and by bits.

use crate::dtype::{Class, DType};
use crate::eval::Problem;
use crate::eval::column::{Column, Vals};
use crate::eval::sink::plain;
use crate::eval::{float, integer};
use crate::expr::Rounding;
use crate::narrow;
use crate::scalar::{Num, Scalar};

/// What a cast does, all but its operand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cast {
    pub from: DType,
    pub to: DType,
    pub saturate: bool,
    pub rounding: Rounding,
}

impl Cast {
    /// The values under the cast.
    pub(super) fn run(self, value: &Column) -> Result<Column, Problem> {
        let Cast { from, to, saturate, rounding } = self;
        if from == DType::Str || to == DType::Str {
            let dtype = if from == to { return Ok(value.clone()) } else { DType::Str };
            return Err(Problem::Undefined { what: "cast", dtype });
        }
        Ok(match (value, to.class()) {
            (Column::F(v), Class::Bool) => Column::I(v.map(|x| i64::from(x != 0.0))),
            (Column::I(v), Class::Bool) => Column::I(v.map(|x| i64::from(x != 0))),
            (Column::F(v), Class::Float) => Column::F(to_float(to, saturate, rounding, v)),
            (Column::I(v), Class::Float) => {
                let wide = if to == DType::F64 {
                    if from == DType::U64 { v.map(|x| x as u64 as f64) } else { v.map(|x| x as f64) }
                } else if from == DType::U64 {
                    v.map(|x| float::from_int(i128::from(x as u64)))
                } else {
                    v.map(|x| float::from_int(i128::from(x)))
                };
                Column::F(to_float(to, saturate, rounding, &wide))
            }
            (Column::F(v), Class::Signed | Class::Unsigned | Class::Str) => Column::I(float_to_int(to, saturate, v)),
            (Column::I(v), Class::Signed | Class::Unsigned | Class::Str) if saturate => {
                let (lo, hi) = limits(to);
                Column::I(v.map(|x| {
                    let exact = if from == DType::U64 { i128::from(x as u64) } else { i128::from(x) };
                    exact.clamp(lo, hi) as i64
                }))
            }
            (Column::I(v), Class::Signed | Class::Unsigned | Class::Str) => Column::I(integer::wrap(to, v.clone())),
        })
    }
}

/// The same bits as another dtype; of NaN, the canonical ones.
pub(super) fn bitcast(from: DType, to: DType, value: &Column) -> Column {
    let bits = match value {
        Column::F(v) => v.map(|x| narrow::encode(from, plain(x), false)),
        Column::I(v) => v.map(|x| Scalar::from_i64(from, x).bits),
    };
    let to_num = |bits: u64| Scalar { dtype: to, bits }.num();
    if to.is_float() {
        Column::F(bits.map(|b| to_num(b).as_f64()))
    } else {
        Column::I(bits.map(|b| match to_num(b) {
            Num::I(v) => v,
            Num::F(v) => v as i64,
        }))
    }
}

fn to_float(to: DType, saturate: bool, rounding: Rounding, v: &Vals<f64>) -> Vals<f64> {
    if to == DType::F8E8M0 {
        return v.map(|x| to_e8m0(x, saturate, rounding));
    }
    if to == DType::F64 {
        return v.clone();
    }
    if to == DType::F32 {
        return v.map(|x| f64::from(x as f32));
    }
    v.map(|x| narrow::decode(to, narrow::encode(to, x, saturate)))
}

/// Powers of two only. `Nearest` rounds a significand of 1.5 or more up.
fn to_e8m0(x: f64, saturate: bool, rounding: Rounding) -> f64 {
    let up = || narrow::decode(DType::F8E8M0, narrow::encode(DType::F8E8M0, x, saturate));
    if !x.is_finite() {
        return up();
    }
    let fraction = x.to_bits() & ((1 << 52) - 1);
    let down = match rounding {
        Rounding::Up => false,
        Rounding::Down => true,
        Rounding::Nearest => fraction < 1 << 51,
    };
    if !down {
        return up();
    }
    let power = f64::from_bits(x.abs().to_bits() - fraction);
    narrow::decode(DType::F8E8M0, narrow::encode(DType::F8E8M0, power, saturate))
}

/// Truncates. NaN is 0. Beyond the range: the nearest end with `saturate`; else the low bits of the nearest `i64` (`u64`
/// for u64 and values from 0).
fn float_to_int(to: DType, saturate: bool, v: &Vals<f64>) -> Vals<i64> {
    let (lo, hi) = limits(to);
    if saturate {
        return v.map(|x| (x as i128).clamp(lo, hi) as i64);
    }
    if to == DType::U64 {
        return v.map(|x| if x >= 0.0 { x as u64 as i64 } else { x as i64 });
    }
    integer::wrap(to, v.map(|x| x as i64))
}

/// The least and greatest value of an integer dtype.
fn limits(dtype: DType) -> (i128, i128) {
    let bits = dtype.bits().max(1);
    match dtype.class() {
        Class::Signed => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
        Class::Unsigned | Class::Bool | Class::Float | Class::Str => (0, (1i128 << bits) - 1),
    }
}

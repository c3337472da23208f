//! Pooling: the maximum, mean or p-norm of sliding windows over each channel of `[N, C, spatial…]`.
//!
//! - `max`: outside the data reads as the lowest value. With `indices`, a second result (i64): the position of the maximum
//!   within its channel, row-major over the spatial dims; of equal values the first in the window.
//! - `average`: the sum divided by the number of taps inside the data, or with `count_padding` inside the padded data.
//! - `lp`: `(sum of |x|^p)^(1/p)`.
//!
//! Floats narrower than 32 bits are summed in f32 and rounded at the end. Results have the operand's dtype.

use crate::attrs::{Attr, Attrs};
use crate::builder::{BuildError, Builder, Point};
use crate::dim::Dim;
use crate::expr::{BinOp, ExprId, UnOp};
use crate::graph::ValueId;
use crate::node::Combiner;
use crate::region::contract::accumulator;
use crate::region::window::{Window, scale};
use crate::region::{RegionKind, attribute, operands};
use crate::scalar::Scalar;

pub const KIND: RegionKind = RegionKind { name: "pool", body };

/// What is taken of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Max { indices: bool },
    Average { count_padding: bool },
    Lp { p: i64 },
}

/// Attributes of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    pub mode: Mode,
    pub kernel: Vec<i64>,
    pub window: Window,
}

impl Pool {
    /// As attributes of a region.
    pub fn to_attrs(&self) -> Attrs {
        let attrs = Attrs::new().with("kernel", Attr::Ints(self.kernel.clone()));
        let attrs = match self.mode {
            Mode::Max { indices } => attrs.with("mode", Attr::Str("max".into())).with("indices", Attr::Bool(indices)),
            Mode::Average { count_padding } => {
                attrs.with("mode", Attr::Str("average".into())).with("count_padding", Attr::Bool(count_padding))
            }
            Mode::Lp { p } => attrs.with("mode", Attr::Str("lp".into())).with("p", Attr::Int(p)),
        };
        self.window.to_attrs(attrs)
    }

    /// From attributes of a region.
    pub fn from_attrs(attrs: &Attrs) -> Result<Pool, BuildError> {
        let mode = match attrs.str("mode") {
            Some("max") => Mode::Max { indices: attribute("indices", attrs.bool("indices"), "a truth value")? },
            Some("average") => Mode::Average {
                count_padding: attribute("count_padding", attrs.bool("count_padding"), "a truth value")?,
            },
            Some("lp") => Mode::Lp { p: attribute("p", attrs.int("p").filter(|p| *p > 0), "a positive number")? },
            _ => return attribute("mode", None, "max, average or lp"),
        };
        let kernel = attribute("kernel", attrs.ints("kernel"), "integers")?.to_vec();
        Ok(Pool { mode, kernel, window: Window::from_attrs(attrs)? })
    }
}

impl Builder {
    /// Pools data; one result, or two with `indices`.
    pub fn pool(&mut self, pool: &Pool, data: ValueId) -> Result<Vec<ValueId>, BuildError> {
        self.region(&KIND, pool.to_attrs(), &[data])
    }
}

fn body(b: &mut Builder, attrs: &Attrs, values: &[ValueId]) -> Result<Vec<ValueId>, BuildError> {
    let pool = Pool::from_attrs(attrs)?;
    let [data] = operands(KIND.name, values)?;
    let from = b.shape(data)?;
    let rank = pool.kernel.len();
    if from.len() != rank + 2 {
        let what = "pool operand".to_string();
        return Err(BuildError::Rank { what, expected: (rank + 2).to_string(), found: from.len() });
    }
    pool.window.check(b, rank)?;
    let taps: Vec<Dim> = pool.kernel.iter().map(|k| Dim::constant(*k)).collect();
    let inside = pool.window.inside(&b.model().symbols, &from[2..], &taps);
    let mut shape = from[..2].to_vec();
    shape.extend(pool.window.output.iter().cloned());
    b.compute_many(&[data], shape, |p| {
        let mut at = vec![p.index(0), p.index(1)];
        for (d, extent) in taps.iter().enumerate() {
            let k = p.reduce(extent);
            let i = p.index(2 + d);
            at.push(pool.window.position(p, d, i, k));
        }
        let outside = match pool.mode {
            Mode::Max { .. } => Scalar::lowest(p.dtype_of_operand(0)),
            Mode::Average { .. } | Mode::Lp { .. } => Scalar::zero(p.dtype_of_operand(0)),
        };
        let x = if inside {
            p.load(0, &at)
        } else {
            let outside = p.constant(outside);
            p.load_or(0, &at, outside)
        };
        match pool.mode {
            Mode::Max { indices } => maximum(p, &pool, &from, x, indices),
            Mode::Average { count_padding } => average(p, &pool, &from, x, inside, count_padding),
            Mode::Lp { p: power } => norm(p, x, power),
        }
    })
}

fn maximum(p: &mut Point<'_>, pool: &Pool, from: &[Dim], x: ExprId, indices: bool) {
    let best = p.acc(Combiner::Max, x);
    p.out(best);
    if !indices {
        return;
    }
    let mut tap = p.acc(Combiner::ArgMax { last: false }, x);
    let mut coordinates = Vec::new();
    for d in (0..pool.kernel.len()).rev() {
        let extent = p.int(pool.kernel[d]);
        let k = if d == 0 { tap } else { p.binary(BinOp::Mod, tap, extent) };
        tap = p.binary(BinOp::FloorDiv, tap, extent);
        let i = p.index(2 + d);
        coordinates.push(pool.window.position(p, d, i, k));
    }
    let mut linear = p.int(0);
    for (d, at) in coordinates.into_iter().rev().enumerate() {
        let extent = p.dim(&from[2 + d]);
        let scaled = p.mul(linear, extent);
        linear = p.add(scaled, at);
    }
    p.out(linear);
}

fn average(p: &mut Point<'_>, pool: &Pool, from: &[Dim], x: ExprId, inside: bool, count_padding: bool) {
    let dtype = p.dtype(x);
    let wide = accumulator(dtype);
    let x = p.cast(x, wide);
    let sum = p.acc(Combiner::Sum, x);
    let count = if inside {
        p.int(pool.kernel.iter().product())
    } else {
        let mut count = p.int(1);
        for d in 0..pool.kernel.len() {
            let taps = taps_inside(p, pool, d, &from[2 + d], count_padding);
            count = p.mul(count, taps);
        }
        count
    };
    let count = p.cast(count, wide);
    let mean = p.div(sum, count);
    let mean = p.cast(mean, dtype);
    p.out(mean);
}

/// Number of taps of a window along a dim that lie inside the data, or the padded data.
fn taps_inside(p: &mut Point<'_>, pool: &Pool, d: usize, extent: &Dim, padded: bool) -> ExprId {
    let window = &pool.window;
    let i = p.index(2 + d);
    let start = scale(p, i, window.strides[d]);
    let (kernel, dilation, zero) = (p.int(pool.kernel[d]), p.int(window.dilations[d]), p.int(0));
    let first_from = |p: &mut Point<'_>, position: ExprId| {
        let distance = p.sub(position, start);
        let round = p.int(window.dilations[d] - 1);
        let distance = p.add(distance, round);
        let steps = p.binary(BinOp::FloorDiv, distance, dilation);
        let steps = p.max(steps, zero);
        p.min(steps, kernel)
    };
    // Positions here count from the beginning of the padding.
    let (begin, end) = if padded {
        (zero, p.dim(&window.padded(d, extent)))
    } else {
        (p.dim(&window.pads_begin[d]), p.dim(&(&window.pads_begin[d] + extent)))
    };
    let (first, last) = (first_from(p, begin), first_from(p, end));
    p.sub(last, first)
}

fn norm(p: &mut Point<'_>, x: ExprId, power: i64) {
    let dtype = p.dtype(x);
    let wide = accumulator(dtype);
    let x = p.cast(x, wide);
    let result = match power {
        1 => {
            let value = p.unary(UnOp::Abs, x);
            p.acc(Combiner::Sum, value)
        }
        2 => {
            let value = p.mul(x, x);
            let sum = p.acc(Combiner::Sum, value);
            p.unary(UnOp::Sqrt, sum)
        }
        _ => {
            let (exponent, root) = (p.number(wide, power as f64), p.number(wide, 1.0 / power as f64));
            let size = p.unary(UnOp::Abs, x);
            let value = p.binary(BinOp::Pow, size, exponent);
            let sum = p.acc(Combiner::Sum, value);
            p.binary(BinOp::Pow, sum, root)
        }
    };
    let result = p.cast(result, dtype);
    p.out(result);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::ty::Type;

    fn check(mode: Mode, kernel: i64, expected: Result<usize, &str>) {
        let mut b = Builder::new("test");
        let x = b.input("x", Type::tensor(DType::F16, [2, 3, 7].map(Dim::constant)));
        let k = |v: i64| vec![Dim::constant(v)];
        let window = Window { strides: vec![2], dilations: vec![1], pads_begin: k(1), pads_end: k(0), output: k(4) };
        let pool = Pool { mode, kernel: vec![kernel], window };
        match (b.pool(&pool, x), expected) {
            (Ok(ys), Ok(count)) => {
                assert_eq!(Pool::from_attrs(&pool.to_attrs()).unwrap(), pool);
                assert_eq!(ys.len(), count);
                assert_eq!(b.dtype(ys[0]).unwrap(), DType::F16);
                ys.iter().for_each(|y| assert_eq!(b.shape(*y).unwrap(), [2, 3, 4].map(Dim::constant)));
            }
            (Err(e), Err(text)) => assert!(e.to_string().contains(text), "{e}"),
            (found, _) => assert!(found.is_err(), "expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn every_mode_types() {
        check(Mode::Max { indices: true }, 3, Ok(2));
        check(Mode::Average { count_padding: false }, 3, Ok(1));
        check(Mode::Lp { p: 3 }, 3, Ok(1));
    }

    #[test]
    fn a_power_of_zero_is_refused() {
        check(Mode::Lp { p: 0 }, 3, Err("a positive number"));
    }
}

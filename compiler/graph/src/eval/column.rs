//! The values of one expression over a block of points.

use crate::scalar::{Num, Scalar};

/// One value for all points of a block, or one for each.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Vals<T> {
    One(T),
    Many(Vec<T>),
}

/// The values of one expression: floats as `f64`, everything else as `i64` (u64 by bits, strings by rank).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Column {
    F(Vals<f64>),
    I(Vals<i64>),
}

impl<T: Copy> Vals<T> {
    /// The value at a point; the first beyond the end.
    pub(super) fn at(&self, point: usize) -> Option<T> {
        match self {
            Vals::One(v) => Some(*v),
            Vals::Many(vs) => vs.get(point).copied(),
        }
    }

    pub(super) fn map<R>(&self, f: impl Fn(T) -> R) -> Vals<R> {
        match self {
            Vals::One(v) => Vals::One(f(*v)),
            Vals::Many(vs) => Vals::Many(vs.iter().map(|v| f(*v)).collect()),
        }
    }

    pub(super) fn zip<U: Copy, R>(&self, other: &Vals<U>, f: impl Fn(T, U) -> R) -> Vals<R> {
        match (self, other) {
            (Vals::One(a), Vals::One(b)) => Vals::One(f(*a, *b)),
            (Vals::One(a), Vals::Many(bs)) => Vals::Many(bs.iter().map(|b| f(*a, *b)).collect()),
            (Vals::Many(xs), Vals::One(b)) => Vals::Many(xs.iter().map(|a| f(*a, *b)).collect()),
            (Vals::Many(xs), Vals::Many(bs)) => Vals::Many(xs.iter().zip(bs).map(|(a, b)| f(*a, *b)).collect()),
        }
    }

    /// `self` where the condition is not 0, else `other`.
    pub(super) fn select(&self, other: &Vals<T>, condition: &Vals<i64>) -> Vals<T> {
        match (condition, self, other) {
            (Vals::One(0), _, _) => other.clone(),
            (Vals::One(_), _, _) => self.clone(),
            (Vals::Many(cs), Vals::Many(xs), Vals::Many(ys)) => {
                Vals::Many(cs.iter().zip(xs).zip(ys).map(|((c, x), y)| if *c != 0 { *x } else { *y }).collect())
            }
            (Vals::Many(cs), Vals::One(x), Vals::One(y)) => {
                Vals::Many(cs.iter().map(|c| if *c != 0 { *x } else { *y }).collect())
            }
            (Vals::Many(cs), Vals::Many(xs), Vals::One(y)) => {
                Vals::Many(cs.iter().zip(xs).map(|(c, x)| if *c != 0 { *x } else { *y }).collect())
            }
            (Vals::Many(cs), Vals::One(x), Vals::Many(ys)) => {
                Vals::Many(cs.iter().zip(ys).map(|(c, y)| if *c != 0 { *x } else { *y }).collect())
            }
        }
    }

    /// The values at some points.
    pub(super) fn slice(&self, points: std::ops::Range<usize>) -> Vals<T> {
        match self {
            Vals::One(v) => Vals::One(*v),
            Vals::Many(vs) => Vals::Many(vs.get(points).unwrap_or_default().to_vec()),
        }
    }

    /// As one value a point.
    pub(super) fn spread(&self, count: usize) -> Vec<T> {
        match self {
            Vals::One(v) => vec![*v; count],
            Vals::Many(vs) => vs.clone(),
        }
    }
}

impl Column {
    /// A constant.
    pub(super) fn one(value: Scalar) -> Column {
        match value.num() {
            Num::F(v) => Column::F(Vals::One(v)),
            Num::I(v) => Column::I(Vals::One(v)),
        }
    }

    pub(super) fn as_i(&self) -> Option<&Vals<i64>> {
        match self {
            Column::I(v) => Some(v),
            Column::F(_) => None,
        }
    }

    pub(super) fn as_f(&self) -> Option<&Vals<f64>> {
        match self {
            Column::F(v) => Some(v),
            Column::I(_) => None,
        }
    }
}

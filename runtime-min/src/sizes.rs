//! Arithmetic of sizes as the shape program uses it: total and wrapping at 64 bits; what does not fit is refused where
//! memory is touched.

use super::error::{Error, Node, StepError};

/// `a + b + …`
pub fn sum<const N: usize>(terms: [i64; N]) -> i64 {
    terms.into_iter().fold(0, i64::wrapping_add)
}

/// `a * b * …`
pub fn product<const N: usize>(factors: [i64; N]) -> i64 {
    factors.into_iter().fold(1, i64::wrapping_mul)
}

/// Quotient rounded down; 0 for a zero divisor.
pub fn floor_div(a: i64, b: i64) -> i64 {
    if b == 0 {
        return 0;
    }
    let q = a.wrapping_div(b);
    if a.wrapping_rem(b) != 0 && (a < 0) != (b < 0) { q.wrapping_sub(1) } else { q }
}

/// Quotient rounded up; 0 for a zero divisor.
pub fn ceil_div(a: i64, b: i64) -> i64 {
    if b == 0 {
        return 0;
    }
    let q = a.wrapping_div(b);
    if a.wrapping_rem(b) != 0 && (a < 0) == (b < 0) { q.wrapping_add(1) } else { q }
}

/// Remainder with the sign of the divisor; 0 for a zero divisor.
pub fn floor_mod(a: i64, b: i64) -> i64 {
    if b == 0 {
        return 0;
    }
    let r = a.wrapping_rem(b);
    if r != 0 && (r < 0) != (b < 0) { r.wrapping_add(b) } else { r }
}

/// Whether `a` divides `b`; 0 divides 0 only.
pub fn divides(a: i64, b: i64) -> bool {
    if a == 0 { b == 0 } else { b.wrapping_rem(a) == 0 }
}

/// `a` or `b`.
pub fn select(condition: bool, a: i64, b: i64) -> i64 {
    if condition { a } else { b }
}

/// The size itself, if it lies in its range.
pub fn in_range(symbol: &'static str, found: i64, lo: i64, hi: Option<i64>) -> Result<i64, StepError> {
    if found < lo || hi.is_some_and(|hi| found > hi) {
        return Err(StepError::Range { symbol, found, lo, hi });
    }
    Ok(found)
}

/// An error unless the condition holds.
pub fn guard(holds: bool, what: &'static str) -> Result<(), StepError> {
    if holds { Ok(()) } else { Err(StepError::Guard { what }) }
}

/// An error at a node unless the condition holds.
pub fn guard_at(holds: bool, what: &'static str, node: Option<Node>) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Guard { what, node }) }
}

/// A size as a length in memory.
pub fn length(size: i64) -> Result<usize, StepError> {
    usize::try_from(size).map_err(|_| StepError::Size { found: size })
}

/// Sizes as extents in memory.
pub fn extents<const N: usize>(sizes: [i64; N]) -> Result<[usize; N], StepError> {
    let mut out = [0; N];
    for (slot, size) in out.iter_mut().zip(sizes) {
        *slot = length(size)?;
    }
    Ok(out)
}

/// A length in memory as a size; lengths beyond 63 bits do not occur.
pub fn size(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Number of elements of these extents; saturates.
pub fn count(extents: &[usize]) -> usize {
    if extents.contains(&0) {
        return 0;
    }
    extents.iter().fold(1, |n, d| n.saturating_mul(*d))
}

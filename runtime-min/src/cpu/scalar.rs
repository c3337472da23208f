//! What printed loops call: reads and writes that cannot go wrong, rows as slices, integer arithmetic that is total, and the
//! rounding of formats narrower than what they are computed in.
//!
//! Division by zero is 0 for integers; shifts by the width or more are 0 (arithmetic ones keep the sign); float minima and
//! maxima are NaN if either side is. An element outside its slice reads as zero and is not written: kernels that were verified
//! never ask for one.

use core::cmp::Ordering;

use super::math::{Int, int_pow};
use super::narrow;
use super::{BLOCK, KernelError};

/// The element at a position.
#[inline(always)]
pub fn load<T: Copy + Default>(x: &[T], at: i64) -> T {
    usize::try_from(at).ok().and_then(|at| x.get(at)).copied().unwrap_or_default()
}

/// Writes the element at a position.
#[inline(always)]
pub fn store<T>(y: &mut [T], at: i64, value: T) {
    if let Some(slot) = usize::try_from(at).ok().and_then(|at| y.get_mut(at)) {
        *slot = value;
    }
}

/// The string at a position.
#[inline]
pub fn string(x: &[String], at: i64) -> String {
    usize::try_from(at).ok().and_then(|at| x.get(at)).cloned().unwrap_or_default()
}

/// A size as a count; nothing if it is not positive.
#[inline(always)]
pub fn count(size: i64) -> usize {
    if size > 0 { size as usize } else { 0 }
}

/// `count` elements from a position on; none if `count` is not positive.
#[inline(always)]
pub fn row<T>(x: &[T], at: i64, count: i64) -> Result<&[T], KernelError> {
    if count <= 0 {
        return Ok(&[]);
    }
    let (at, count) = (at as usize, count as usize);
    let outside = KernelError::Length { what: "a row of an operand", expected: at.wrapping_add(count), found: x.len() };
    x.get(at..).and_then(|rest| rest.get(..count)).ok_or(outside)
}

/// [`row`], to be written.
#[inline(always)]
pub fn row_mut<T>(y: &mut [T], at: i64, count: i64) -> Result<&mut [T], KernelError> {
    if count <= 0 {
        return Ok(&mut []);
    }
    let (at, count) = (at as usize, count as usize);
    let outside = KernelError::Length { what: "a row of a result", expected: at.wrapping_add(count), found: y.len() };
    y.get_mut(at..).and_then(|rest| rest.get_mut(..count)).ok_or(outside)
}

/// Sixteen elements from a position on.
#[inline(always)]
pub fn lanes<T>(x: &[T], at: i64) -> Result<&[T; BLOCK], KernelError> {
    let at = at as usize;
    let what = KernelError::Length { what: "a row of an operand", expected: at.wrapping_add(BLOCK), found: x.len() };
    x.get(at..).and_then(|rest| rest.first_chunk()).ok_or(what)
}

/// [`lanes`], to be written.
#[inline(always)]
pub fn lanes_mut<T>(y: &mut [T], at: i64) -> Result<&mut [T; BLOCK], KernelError> {
    let at = at as usize;
    let what = KernelError::Length { what: "a row of a result", expected: at.wrapping_add(BLOCK), found: y.len() };
    y.get_mut(at..).and_then(|rest| rest.first_chunk_mut()).ok_or(what)
}

/// Sixteen elements, `step` apart from a position on, of which those of the lanes from `from` to `to` are read; the others are
/// those of `or`, as is what lies outside the slice.
#[inline(always)]
pub fn gather<T: Copy>(x: &[T], at: i64, step: i64, (from, to): (i64, i64), or: [T; BLOCK]) -> [T; BLOCK] {
    if from >= to {
        return or;
    }
    let whole = step == 1 && from <= 0 && to >= BLOCK as i64;
    match usize::try_from(at).ok().and_then(|at| x.get(at..)).and_then(|rest| rest.first_chunk()) {
        Some(values) if whole => *values,
        _ => gather_some(x, at, step, (from, to), or),
    }
}

/// [`gather`] where not all lanes lie side by side; out of line, as nests have many of them.
#[inline(never)]
fn gather_some<T: Copy>(x: &[T], at: i64, step: i64, (from, to): (i64, i64), mut out: [T; BLOCK]) -> [T; BLOCK] {
    let (from, to) = (from.max(0), to.min(BLOCK as i64));
    let first = usize::try_from(at.wrapping_add(step.wrapping_mul(from))).ok().and_then(|first| x.get(first..));
    let slots = out.iter_mut().take(count(to)).skip(count(from));
    match (usize::try_from(step), first) {
        (Ok(step), Some(rest)) if step > 0 => {
            slots.zip(rest.iter().step_by(step)).for_each(|(slot, value)| *slot = *value);
        }
        _ => {
            for (lane, slot) in (from..).zip(slots) {
                let place = usize::try_from(at.wrapping_add(step.wrapping_mul(lane))).ok();
                *slot = place.and_then(|place| x.get(place)).copied().unwrap_or(*slot);
            }
        }
    }
    out
}

/// Writes the first `count` of sixteen elements to a position.
#[inline(always)]
pub fn put<T: Copy>(y: &mut [T], at: i64, values: &[T; BLOCK], count: i64) -> Result<(), KernelError> {
    if count >= BLOCK as i64 {
        *lanes_mut(y, at)? = *values;
        return Ok(());
    }
    row_mut(y, at, count)?.iter_mut().zip(values).for_each(|(slot, value)| *slot = *value);
    Ok(())
}

/// Writes a block of sixteen elements to a position; from `count` on it is padding, which is zero.
#[inline(always)]
pub fn put_block<T: Copy + Default>(y: &mut [T], at: i64, values: &[T; BLOCK], count: i64) -> Result<(), KernelError> {
    let block = lanes_mut(y, at)?;
    *block = *values;
    if count < BLOCK as i64 {
        block.iter_mut().skip(self::count(count)).for_each(|slot| *slot = T::default());
    }
    Ok(())
}

macro_rules! floats {
    ($($ty:ty, $min:ident, $max:ident, $sign:ident;)*) => {
        $(
            /// The smaller; NaN if either is; the first of equals.
            #[inline(always)]
            pub fn $min(a: $ty, b: $ty) -> $ty {
                if a.is_nan() || a <= b { a } else { b }
            }

            /// The larger; NaN if either is; the first of equals.
            #[inline(always)]
            pub fn $max(a: $ty, b: $ty) -> $ty {
                if a.is_nan() || a >= b { a } else { b }
            }

            /// -1, 0 or 1; zero and NaN stay as they are.
            #[inline(always)]
            pub fn $sign(a: $ty) -> $ty {
                if a > 0.0 { 1.0 } else if a < 0.0 { -1.0 } else { a }
            }
        )*
    };
}

floats! {
    f32, min_f32, max_f32, sign_f32;
    f64, min_f64, max_f64, sign_f64;
}

/// `1 / (1 + exp(-x))`, without overflow.
#[inline]
pub fn sigmoid_f64(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

/// Values that have an order, with NaN above everything.
pub trait Ranked: Copy + PartialOrd {
    /// Whether this is NaN.
    fn nan(self) -> bool;
}

macro_rules! ranked {
    ($($ty:ty)*) => { $(impl Ranked for $ty { #[inline(always)] fn nan(self) -> bool { false } })* };
}

ranked!(i8 i16 i32 i64 u8 u16 u32 u64 bool);

impl Ranked for f32 {
    #[inline(always)]
    fn nan(self) -> bool {
        self.is_nan()
    }
}

impl Ranked for f64 {
    #[inline(always)]
    fn nan(self) -> bool {
        self.is_nan()
    }
}

/// Whether `v` takes the place of the best so far in a search for the largest; the first NaN wins.
#[inline(always)]
pub fn is_above<T: Ranked>(v: T, best: T) -> bool {
    v > best || (v.nan() && !best.nan())
}

/// Whether `v` takes the place of the best so far in a search for the smallest; the first NaN wins.
#[inline(always)]
pub fn is_below<T: Ranked>(v: T, best: T) -> bool {
    v < best || (v.nan() && !best.nan())
}

/// Whether two values tie.
#[inline(always)]
pub fn same<T: Ranked>(v: T, best: T) -> bool {
    v == best || (v.nan() && best.nan())
}

/// The order of a sort: NaN is the largest, zeros are equal.
#[inline]
pub fn order_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Puts the first `count` items of an order there, in order; the others stand behind them in any.
pub fn sort_first<T>(items: &mut [T], count: usize, mut order: impl FnMut(&T, &T) -> Ordering) {
    let first = match count.checked_sub(1) {
        Some(last) if count < items.len() => items.select_nth_unstable_by(last, &mut order).0,
        Some(_) => items,
        None => &mut [],
    };
    first.sort_unstable_by(order);
}

/// Integers with division, shifts and conversions.
pub trait Integer: Int {
    /// Quotient toward zero; wraps.
    fn quotient(self, by: Self) -> Self;
    /// Quotient rounded down.
    fn floor_quotient(self, by: Self) -> Self;
    /// As `i64`, unsigned 64-bit values saturated.
    fn exponent(self) -> i64;
    /// Shifted left by a distance below the width.
    fn left(self, by: u32) -> Self;
    /// Shifted right by a distance below the width.
    fn right(self, by: u32) -> Self;
    /// What a shift to the right by the width or more leaves.
    fn all_shifted_out(self) -> Self;
    /// Zero.
    fn zero() -> Self;
}

macro_rules! integers {
    ($signed:expr; $($ty:ty)*) => {
        $(impl Integer for $ty {
            #[inline(always)]
            fn quotient(self, by: Self) -> Self {
                if by == 0 { 0 } else { self.wrapping_div(by) }
            }
            #[inline(always)]
            #[allow(unused_comparisons, reason = "one text for signed and unsigned")]
            fn floor_quotient(self, by: Self) -> Self {
                if by == 0 {
                    return 0;
                }
                let q = self.wrapping_div(by);
                if self.wrapping_rem(by) != 0 && (self < 0) != (by < 0) { q.wrapping_sub(1) } else { q }
            }
            #[inline(always)]
            fn exponent(self) -> i64 {
                i64::try_from(self).unwrap_or(i64::MAX)
            }
            #[inline(always)]
            fn left(self, by: u32) -> Self {
                self.wrapping_shl(by)
            }
            #[inline(always)]
            fn right(self, by: u32) -> Self {
                self.wrapping_shr(by)
            }
            #[inline(always)]
            #[allow(unused_comparisons, reason = "one text for signed and unsigned")]
            fn all_shifted_out(self) -> Self {
                if $signed && self < 0 { (0 as $ty).wrapping_sub(1) } else { 0 }
            }
            #[inline(always)]
            fn zero() -> Self {
                0
            }
        })*
    };
}

integers!(true; i8 i16 i32 i64);
integers!(false; u8 u16 u32 u64);

/// Quotient toward zero.
#[inline(always)]
pub fn div<T: Integer>(a: T, b: T) -> T {
    a.quotient(b)
}

/// Quotient rounded down.
#[inline(always)]
pub fn floor_div<T: Integer>(a: T, b: T) -> T {
    a.floor_quotient(b)
}

/// Power; wraps; a negative exponent gives 0 but for bases 1 and -1.
#[inline]
pub fn pow_int<T: Integer>(a: T, b: T) -> T {
    int_pow(a, b.exponent())
}

/// Shift to the left within `bits`.
#[inline(always)]
pub fn shl<T: Integer>(a: T, by: T, bits: u32) -> T {
    match u32::try_from(by.exponent()) {
        Ok(by) if by < bits => a.left(by),
        _ => T::zero(),
    }
}

/// Shift to the right within `bits`.
#[inline(always)]
pub fn shr<T: Integer>(a: T, by: T, bits: u32) -> T {
    match u32::try_from(by.exponent()) {
        Ok(by) if by < bits => a.right(by),
        _ => a.all_shifted_out(),
    }
}

/// Numbers as wide integers, floats truncated, NaN as 0.
pub trait Wide {
    /// The conversion.
    fn wide(self) -> i128;
}

macro_rules! wide {
    ($($ty:ty)*) => { $(impl Wide for $ty { #[inline(always)] fn wide(self) -> i128 { self as i128 } })* };
}

wide!(f32 f64 i8 i16 i32 i64 u8 u16 u32 u64);

/// A number as an integer within bounds.
#[inline]
pub fn clamp_int<T: Wide>(value: T, lo: i128, hi: i128) -> i128 {
    value.wide().clamp(lo, hi)
}

macro_rules! wraps {
    ($($name:ident, $ty:ty, $shift:literal;)*) => {
        $(
            /// The low bits, extended to the type by the format's sign rule.
            #[inline(always)]
            pub fn $name(v: $ty) -> $ty {
                (v << $shift) >> $shift
            }
        )*
    };
}

wraps! {
    wrap_i4, i8, 4;
    wrap_i2, i8, 6;
    wrap_u4, u8, 4;
    wrap_u2, u8, 6;
}

/// To the nearest `f8e4m3fn`.
#[inline]
pub fn round_e4m3fn(v: f32) -> f32 {
    narrow::e4m3fn_to_f32(narrow::f32_to_e4m3fn(v, false))
}

/// To the nearest `f8e4m3fnuz`.
#[inline]
pub fn round_e4m3fnuz(v: f32) -> f32 {
    narrow::e4m3fnuz_to_f32(narrow::f32_to_e4m3fnuz(v, false))
}

/// To the nearest `f8e5m2`.
#[inline]
pub fn round_e5m2(v: f32) -> f32 {
    narrow::e5m2_to_f32(narrow::f32_to_e5m2(v, false))
}

/// To the nearest `f8e5m2fnuz`.
#[inline]
pub fn round_e5m2fnuz(v: f32) -> f32 {
    narrow::e5m2fnuz_to_f32(narrow::f32_to_e5m2fnuz(v, false))
}

/// To the next power of two that is no smaller.
#[inline]
pub fn round_e8m0(v: f32) -> f32 {
    narrow::e8m0_to_f32(narrow::f32_to_e8m0(v, false, narrow::ScaleRounding::Up))
}

/// To the nearest `f4e2m1`.
#[inline]
pub fn round_e2m1(v: f32) -> f32 {
    narrow::e2m1_to_f32(narrow::f32_to_e2m1(v))
}

macro_rules! packed {
    ($($get:ident, $set:ident, $ty:ty, $read:expr, $write:expr, $per_byte:literal;)*) => {
        $(
            /// The packed element at a position.
            #[inline]
            pub fn $get(x: &[u8], at: i64) -> $ty {
                match usize::try_from(at) {
                    Ok(at) if at / $per_byte < x.len() => $read(x, at),
                    _ => <$ty>::default(),
                }
            }

            /// Writes the packed element at a position.
            #[inline]
            pub fn $set(y: &mut [u8], at: i64, value: $ty) {
                if let Ok(at) = usize::try_from(at)
                    && at / $per_byte < y.len()
                {
                    $write(y, at, value);
                }
            }
        )*
    };
}

packed! {
    get_u4, set_u4, u8, narrow::get_u4, narrow::set_4, 2;
    get_i4, set_i4, i8, narrow::get_i4, |y, at, v| narrow::set_4(y, at, v as u8), 2;
    get_u2, set_u2, u8, narrow::get_u2, narrow::set_2, 4;
    get_i2, set_i2, i8, narrow::get_i2, |y, at, v| narrow::set_2(y, at, v as u8), 4;
    get_e2m1, set_e2m1, f32, |x, at| narrow::e2m1_to_f32(narrow::get_u4(x, at)),
        |y, at, v| narrow::set_4(y, at, narrow::f32_to_e2m1(v)), 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_elements_outside_are_refused() {
        let x = [1, 2, 3];
        assert_eq!(row(&x, 1, 2), Ok(&x[1..]));
        assert!(row(&x, 2, 2).is_err() && row(&x, -1, 1).is_err());
        assert_eq!((load(&x, 2), load(&x, 3), load(&x, -1)), (3, 0, 0));
    }

    #[test]
    fn lanes_are_gathered_within_their_bounds() {
        let x: Vec<i64> = (0..60).collect();
        let none = [-1; BLOCK];
        let check = |at, step, bounds, expected: &dyn Fn(i64) -> i64| {
            let found = gather(&x, at, step, bounds, none);
            assert_eq!(found, core::array::from_fn(|lane| expected(lane as i64)), "{at} {step} {bounds:?}");
        };
        check(3, 1, (0, 16), &|lane| 3 + lane);
        check(-4, 1, (4, 99), &|lane| if lane < 4 { -1 } else { lane - 4 });
        check(50, 1, (-9, 16), &|lane| if lane < 10 { 50 + lane } else { -1 });
        check(1, 3, (2, 5), &|lane| if (2..5).contains(&lane) { 1 + 3 * lane } else { -1 });
        check(20, -2, (0, 16), &|lane| if lane <= 10 { 20 - 2 * lane } else { -1 });
        check(7, 0, (0, 3), &|lane| if lane < 3 { 7 } else { -1 });
        check(0, 1, (5, 5), &|_| -1);
    }

    #[test]
    fn blocks_are_stored_with_their_padding() {
        let values = core::array::from_fn(|lane| lane as i32 + 1);
        let mut y = [-1; 20];
        assert_eq!(put_block(&mut y, 2, &values, 3), Ok(()));
        assert_eq!(y[..6], [-1, -1, 1, 2, 3, 0]);
        assert_eq!((y[17], y[18]), (0, -1));
        assert_eq!(put(&mut y, 17, &values, 3), Ok(()));
        assert_eq!(y[16..], [0, 1, 2, 3]);
        assert!(put(&mut y, 18, &values, 3).is_err() && put_block(&mut y, 5, &values, 1).is_err());
        assert_eq!((put(&mut y, 4, &values, 16), y[19]), (Ok(()), 16));
    }

    #[test]
    fn integer_arithmetic_is_total() {
        assert_eq!((div(7i32, 0), div(i32::MIN, -1), floor_div(-7i64, 2)), (0, i32::MIN, -4));
        assert_eq!((shl(1u8, 8, 8), shr(-1i8, 9, 8), shr(0x80u8, 7, 8)), (0, -1, 1));
        assert_eq!((pow_int(3i64, 4), pow_int(2i64, -1)), (81, 0));
    }

    #[test]
    fn nan_wins_and_sorts_last() {
        assert!(min_f32(1.0, f32::NAN).is_nan() && max_f32(f32::NAN, 1.0).is_nan());
        assert!(is_above(f32::NAN, 9.0) && !is_above(9.0, f32::NAN));
        assert_eq!(order_floats(f64::NAN, f64::INFINITY), Ordering::Greater);
    }

    #[test]
    fn as_many_are_sorted_as_are_asked_for() {
        let all: Vec<i64> = (0..97).map(|i| i * 37 % 97 / 2).collect();
        let mut sorted = all.clone();
        sorted.sort_unstable();
        for count in [0, 1, 2, 50, 96, 97, 200] {
            let mut items = all.clone();
            sort_first(&mut items, count, i64::cmp);
            let first = count.min(items.len());
            assert_eq!(items[..first], sorted[..first]);
            items.sort_unstable();
            assert_eq!(items, sorted);
        }
        sort_first(&mut [0i64; 0], 3, i64::cmp);
    }

    #[test]
    fn packed_elements_come_back() {
        let mut bytes = [0u8; 2];
        set_i4(&mut bytes, 2, -3);
        set_i4(&mut bytes, 3, 7);
        assert_eq!((get_i4(&bytes, 2), get_i4(&bytes, 3), get_i4(&bytes, 9)), (-3, 7, 0));
        assert_eq!((wrap_i4(9), wrap_u2(5)), (-7, 1));
    }
}

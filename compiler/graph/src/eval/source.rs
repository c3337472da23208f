//! Reading operands: runs and scattered elements as columns, straight from the stored bytes.

use std::borrow::Cow;

use crate::datum::Datum;
use crate::dtype::DType;
use crate::eval::Problem;
use crate::eval::column::{Column, Vals};
use crate::narrow;
use crate::scalar::{Num, Scalar};
use crate::tensor::Tensor;

/// An operand to read from. Strings are read as ranks (see [`Ranks`]).
pub(super) struct Source<'a> {
    pub dtype: DType,
    pub shape: Vec<i64>,
    pub strides: Vec<i64>,
    words: Words<'a>,
}

/// Elements by width; the class of the dtype says how to widen them.
enum Words<'a> {
    F32(&'a [[u8; 4]]),
    F64(&'a [[u8; 8]]),
    F16(&'a [[u8; 2]]),
    BF16(&'a [[u8; 2]]),
    /// Floats of 8 bits and their values.
    Table(&'a [u8], Box<[f64; 256]>),
    I64(Cow<'a, [[u8; 8]]>),
    I32(&'a [[u8; 4]]),
    U32(&'a [[u8; 4]]),
    I16(&'a [[u8; 2]]),
    U16(&'a [[u8; 2]]),
    I8(&'a [u8]),
    U8(&'a [u8]),
    /// Sub-byte elements, and one that repeats.
    Packed(&'a Tensor),
}

/// Order of all strings of a node's operands, and the empty one: lets strings pass through integer columns.
#[derive(Default)]
pub(super) struct Ranks {
    sorted: Vec<String>,
}

impl Ranks {
    /// The ranks of all strings in these operands.
    pub(super) fn of(operands: &[Datum]) -> Ranks {
        let tensors = operands.iter().filter_map(Datum::as_tensor);
        let mut sorted: Vec<String> = tensors.flat_map(|t| t.strings()).cloned().collect();
        if sorted.is_empty() {
            return Ranks { sorted: vec![String::new()] };
        }
        sorted.push(String::new());
        sorted.sort();
        sorted.dedup();
        Ranks { sorted }
    }

    /// The string of a rank.
    pub(super) fn string(&self, rank: i64) -> String {
        usize::try_from(rank).ok().and_then(|r| self.sorted.get(r)).cloned().unwrap_or_default()
    }

    fn rank(&self, string: &str) -> i64 {
        self.sorted.binary_search_by(|s| s.as_str().cmp(string)).unwrap_or(0) as i64
    }
}

/// All operands of a node as sources.
pub(super) fn all<'a>(operands: &'a [Datum], ranks: &Ranks) -> Result<Vec<Source<'a>>, Problem> {
    let each = operands.iter().enumerate().map(|(position, datum)| {
        let tensor = datum.as_tensor().ok_or_else(|| Problem::Operand {
            position,
            expected: "a tensor".to_string(),
            found: datum.describe(),
        })?;
        Ok(Source::new(tensor, ranks))
    });
    each.collect()
}

impl<'a> Source<'a> {
    /// A source over a tensor.
    pub(super) fn new(tensor: &'a Tensor, ranks: &Ranks) -> Source<'a> {
        let shape: Vec<i64> = tensor.shape().iter().map(|d| *d as i64).collect();
        let mut strides = vec![0; shape.len()];
        let mut step = 1i64;
        for (slot, extent) in strides.iter_mut().zip(&shape).rev() {
            *slot = step;
            step = step.wrapping_mul(*extent);
        }
        Source { dtype: tensor.dtype(), shape, strides, words: words(tensor, ranks) }
    }

    /// `len` elements from `start` by `step`, appended to a column. Fails if one lies outside of the tensor.
    pub(super) fn run_f(&self, start: i64, step: i64, len: usize, out: &mut Vec<f64>) -> Option<()> {
        match &self.words {
            Words::F32(w) => run(w, start, step, len, out, |b| f64::from(f32::from_le_bytes(b))),
            Words::F64(w) => run(w, start, step, len, out, f64::from_le_bytes),
            Words::F16(w) => run(w, start, step, len, out, |b| half::f16::from_le_bytes(b).to_f64()),
            Words::BF16(w) => run(w, start, step, len, out, |b| half::bf16::from_le_bytes(b).to_f64()),
            Words::Table(w, table) => run(w, start, step, len, out, |b| table[usize::from(b)]),
            Words::Packed(t) => run_packed(t, start, step, len, out, |s| s.num().as_f64()),
            Words::I64(_)
            | Words::I32(_)
            | Words::U32(_)
            | Words::I16(_)
            | Words::U16(_)
            | Words::I8(_)
            | Words::U8(_) => None,
        }
    }

    /// As [`Source::run_f`], for dtypes whose columns are integers.
    pub(super) fn run_i(&self, start: i64, step: i64, len: usize, out: &mut Vec<i64>) -> Option<()> {
        match &self.words {
            Words::I64(w) => run(w, start, step, len, out, i64::from_le_bytes),
            Words::I32(w) => run(w, start, step, len, out, |b| i64::from(i32::from_le_bytes(b))),
            Words::U32(w) => run(w, start, step, len, out, |b| i64::from(u32::from_le_bytes(b))),
            Words::I16(w) => run(w, start, step, len, out, |b| i64::from(i16::from_le_bytes(b))),
            Words::U16(w) => run(w, start, step, len, out, |b| i64::from(u16::from_le_bytes(b))),
            Words::I8(w) => run(w, start, step, len, out, |b| i64::from(b as i8)),
            Words::U8(w) => run(w, start, step, len, out, i64::from),
            Words::Packed(t) => run_packed(t, start, step, len, out, Scalar::as_i64),
            Words::F32(_) | Words::F64(_) | Words::F16(_) | Words::BF16(_) | Words::Table(..) => None,
        }
    }

    /// The elements at these positions; at negative ones, those of `or`.
    pub(super) fn gather(&self, at: &Vals<i64>, or: Option<&Column>) -> Option<Column> {
        if self.dtype.is_float() {
            let one = |position: i64| {
                let mut out = Vec::with_capacity(1);
                self.run_f(position, 0, 1, &mut out).and_then(|()| out.first().copied())
            };
            let or = or.and_then(Column::as_f);
            Some(Column::F(match at {
                Vals::One(p) if *p >= 0 => Vals::One(one(*p)?),
                Vals::One(_) => or?.clone(),
                Vals::Many(ps) => Vals::Many(self.gather_f(ps, or)?),
            }))
        } else {
            let one = |position: i64| {
                let mut out = Vec::with_capacity(1);
                self.run_i(position, 0, 1, &mut out).and_then(|()| out.first().copied())
            };
            let or = or.and_then(Column::as_i);
            Some(Column::I(match at {
                Vals::One(p) if *p >= 0 => Vals::One(one(*p)?),
                Vals::One(_) => or?.clone(),
                Vals::Many(ps) => Vals::Many(self.gather_i(ps, or)?),
            }))
        }
    }

    fn gather_f(&self, at: &[i64], or: Option<&Vals<f64>>) -> Option<Vec<f64>> {
        match &self.words {
            Words::F32(w) => pick(w, at, or, |b| f64::from(f32::from_le_bytes(b))),
            Words::F64(w) => pick(w, at, or, f64::from_le_bytes),
            Words::F16(w) => pick(w, at, or, |b| half::f16::from_le_bytes(b).to_f64()),
            Words::BF16(w) => pick(w, at, or, |b| half::bf16::from_le_bytes(b).to_f64()),
            Words::Table(w, table) => pick(w, at, or, |b| table[usize::from(b)]),
            Words::Packed(t) => pick_packed(t, at, or, |s| s.num().as_f64()),
            Words::I64(_)
            | Words::I32(_)
            | Words::U32(_)
            | Words::I16(_)
            | Words::U16(_)
            | Words::I8(_)
            | Words::U8(_) => None,
        }
    }

    fn gather_i(&self, at: &[i64], or: Option<&Vals<i64>>) -> Option<Vec<i64>> {
        match &self.words {
            Words::I64(w) => pick(w, at, or, i64::from_le_bytes),
            Words::I32(w) => pick(w, at, or, |b| i64::from(i32::from_le_bytes(b))),
            Words::U32(w) => pick(w, at, or, |b| i64::from(u32::from_le_bytes(b))),
            Words::I16(w) => pick(w, at, or, |b| i64::from(i16::from_le_bytes(b))),
            Words::U16(w) => pick(w, at, or, |b| i64::from(u16::from_le_bytes(b))),
            Words::I8(w) => pick(w, at, or, |b| i64::from(b as i8)),
            Words::U8(w) => pick(w, at, or, i64::from),
            Words::Packed(t) => pick_packed(t, at, or, Scalar::as_i64),
            Words::F32(_) | Words::F64(_) | Words::F16(_) | Words::BF16(_) | Words::Table(..) => None,
        }
    }
}

/// All elements of a tensor, in its class's working form.
pub(super) fn read_all(tensor: &Tensor, ranks: &Ranks) -> Option<Column> {
    let source = Source::new(tensor, ranks);
    let len = tensor.len();
    if tensor.dtype().is_float() {
        let mut out = Vec::new();
        out.try_reserve_exact(len).ok()?;
        source.run_f(0, 1, len, &mut out)?;
        Some(Column::F(Vals::Many(out)))
    } else {
        let mut out = Vec::new();
        out.try_reserve_exact(len).ok()?;
        source.run_i(0, 1, len, &mut out)?;
        Some(Column::I(Vals::Many(out)))
    }
}

fn words<'a>(tensor: &'a Tensor, ranks: &Ranks) -> Words<'a> {
    if tensor.repeated().is_some() {
        return Words::Packed(tensor);
    }
    let bytes: &'a [u8] = tensor.bytes();
    match tensor.dtype() {
        DType::F32 => Words::F32(bytes.as_chunks().0),
        DType::F64 => Words::F64(bytes.as_chunks().0),
        DType::F16 => Words::F16(bytes.as_chunks().0),
        DType::BF16 => Words::BF16(bytes.as_chunks().0),
        dtype @ (DType::F8E4M3FN | DType::F8E4M3FNUZ | DType::F8E5M2 | DType::F8E5M2FNUZ | DType::F8E8M0) => {
            let mut table = Box::new([0.0; 256]);
            table.iter_mut().enumerate().for_each(|(bits, slot)| *slot = narrow::decode(dtype, bits as u64));
            Words::Table(bytes, table)
        }
        DType::I64 | DType::U64 => Words::I64(Cow::Borrowed(bytes.as_chunks().0)),
        DType::I32 => Words::I32(bytes.as_chunks().0),
        DType::U32 => Words::U32(bytes.as_chunks().0),
        DType::I16 => Words::I16(bytes.as_chunks().0),
        DType::U16 => Words::U16(bytes.as_chunks().0),
        DType::I8 => Words::I8(bytes),
        DType::U8 | DType::Bool => Words::U8(bytes),
        DType::F4E2M1 | DType::I4 | DType::I2 | DType::U4 | DType::U2 => Words::Packed(tensor),
        DType::Str => Words::I64(tensor.strings().iter().map(|s| ranks.rank(s).to_le_bytes()).collect()),
    }
}

fn run<W: Copy, T: Copy>(
    words: &[W],
    start: i64,
    step: i64,
    len: usize,
    out: &mut Vec<T>,
    widen: impl Fn(W) -> T,
) -> Option<()> {
    let first = usize::try_from(start).ok()?;
    match step {
        1 => out.extend(words.get(first..first.checked_add(len)?)?.iter().map(|w| widen(*w))),
        0 => {
            let value = widen(*words.get(first)?);
            out.extend(std::iter::repeat_n(value, len));
        }
        _ => {
            let mut position = start;
            for _ in 0..len {
                out.push(widen(*words.get(usize::try_from(position).ok()?)?));
                position = position.wrapping_add(step);
            }
        }
    }
    Some(())
}

fn run_packed<T: Copy>(
    tensor: &Tensor,
    start: i64,
    step: i64,
    len: usize,
    out: &mut Vec<T>,
    widen: impl Fn(Scalar) -> T,
) -> Option<()> {
    if let Some(element) = tensor.repeated() {
        let last = start.checked_add(step.checked_mul(i64::try_from(len).ok()?.saturating_sub(1))?)?;
        let inside = |p: i64| usize::try_from(p).is_ok_and(|p| p < tensor.len());
        if len > 0 && !(inside(start) && inside(last)) {
            return None;
        }
        let value = widen(element);
        out.extend((0..len).map(|_| value));
        return Some(());
    }
    let mut position = start;
    for _ in 0..len {
        out.push(widen(tensor.get(usize::try_from(position).ok()?)?));
        position = position.wrapping_add(step);
    }
    Some(())
}

fn pick<W: Copy, T: Copy>(words: &[W], at: &[i64], or: Option<&Vals<T>>, widen: impl Fn(W) -> T) -> Option<Vec<T>> {
    let mut out = Vec::with_capacity(at.len());
    for (point, position) in at.iter().enumerate() {
        match usize::try_from(*position) {
            Ok(p) => out.push(widen(*words.get(p)?)),
            Err(_) => out.push(or?.at(point)?),
        }
    }
    Some(out)
}

fn pick_packed<T: Copy>(
    tensor: &Tensor,
    at: &[i64],
    or: Option<&Vals<T>>,
    widen: impl Fn(Scalar) -> T,
) -> Option<Vec<T>> {
    let mut out = Vec::with_capacity(at.len());
    for (point, position) in at.iter().enumerate() {
        match usize::try_from(*position) {
            Ok(p) => out.push(widen(tensor.get(p)?)),
            Err(_) => out.push(or?.at(point)?),
        }
    }
    Some(out)
}

impl From<Num> for Column {
    fn from(value: Num) -> Column {
        match value {
            Num::F(v) => Column::F(Vals::One(v)),
            Num::I(v) => Column::I(Vals::One(v)),
        }
    }
}

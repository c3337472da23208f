//! Loads: runs at a stride, runs clipped to the operand's extents, gathers.

use crate::eval::Problem;
use crate::eval::affine::{Affine, Domain};
use crate::eval::block::Block;
use crate::eval::column::{Column, Vals};
use crate::eval::program::{Columns, Form, MALFORMED, Program};
use crate::eval::source::Source;
use crate::expr::ExprId;

impl Program<'_> {
    pub(super) fn strided(&self, operand: u32, position: &Affine, block: &Block) -> Result<Column, Problem> {
        let source = self.sources.get(operand as usize).ok_or(MALFORMED)?;
        if !block.varies(position) {
            return source.gather(&Vals::One(block.first(position)), None).ok_or(MALFORMED);
        }
        if source.dtype.is_float() {
            let mut out = Vec::with_capacity(block.count);
            for (len, start, step) in block.segments(position) {
                source.run_f(start, step, len, &mut out).ok_or(MALFORMED)?;
            }
            Ok(Column::F(Vals::Many(out)))
        } else {
            let mut out = Vec::with_capacity(block.count);
            for (len, start, step) in block.segments(position) {
                source.run_i(start, step, len, &mut out).ok_or(MALFORMED)?;
            }
            Ok(Column::I(Vals::Many(out)))
        }
    }

    pub(super) fn clipped(
        &self,
        operand: u32,
        dims: &[(Affine, i64)],
        position: &Affine,
        or: Option<&Column>,
        block: &Block,
    ) -> Result<Column, Problem> {
        let source = self.sources.get(operand as usize).ok_or(MALFORMED)?;
        let inside = block.inside(dims);
        if inside.iter().all(|(from, to)| from == to)
            && let Some(or) = or
        {
            return Ok(or.clone());
        }
        let mut offset = 0;
        let mut parts = Vec::with_capacity(inside.len());
        for ((from, to), (len, start, step)) in inside.into_iter().zip(block.segments(position)) {
            if to - from < len && or.is_none() {
                return Err(outside(operand, dims, block));
            }
            parts.push((offset, from, to, len, start.wrapping_add(step.wrapping_mul(from as i64)), step));
            offset += len;
        }
        if source.dtype.is_float() {
            let or = or.and_then(Column::as_f);
            let mut out = Vec::with_capacity(block.count);
            for (offset, from, to, len, start, step) in parts {
                fill(or, offset..offset + from, &mut out);
                if from < to {
                    source.run_f(start, step, to - from, &mut out).ok_or(MALFORMED)?;
                }
                fill(or, offset + to..offset + len, &mut out);
            }
            Ok(Column::F(Vals::Many(out)))
        } else {
            let or = or.and_then(Column::as_i);
            let mut out = Vec::with_capacity(block.count);
            for (offset, from, to, len, start, step) in parts {
                fill(or, offset..offset + from, &mut out);
                if from < to {
                    source.run_i(start, step, to - from, &mut out).ok_or(MALFORMED)?;
                }
                fill(or, offset + to..offset + len, &mut out);
            }
            Ok(Column::I(Vals::Many(out)))
        }
    }

    pub(super) fn gathered(
        &self,
        operand: u32,
        index: &[ExprId],
        or: Option<&Column>,
        columns: &Columns,
    ) -> Result<Column, Problem> {
        let source = self.sources.get(operand as usize).ok_or(MALFORMED)?;
        if index.len() != source.shape.len() {
            return Err(Problem::Malformed { what: "a load has one index a dim" });
        }
        let mut position = Vals::One(0i64);
        for (dim, id) in index.iter().enumerate() {
            let (extent, stride) = (source.shape[dim], source.strides[dim]);
            let values = self.column(columns, *id)?.as_i().ok_or(MALFORMED)?;
            if or.is_none() {
                let bad = |v: &i64| *v < 0 || *v >= extent;
                let found = match values {
                    Vals::One(v) => Some(v).filter(|v| bad(v)),
                    Vals::Many(vs) => vs.iter().find(|v| bad(v)),
                };
                if let Some(found) = found {
                    let (operand, extent) = (operand as usize, extent as usize);
                    return Err(Problem::OutOfRange { operand, dim, index: *found, extent });
                }
            }
            position = position.zip(values, |p, v| if p < 0 || v < 0 || v >= extent { -1 } else { p + v * stride });
        }
        source.gather(&position, or).ok_or(MALFORMED)
    }
}

/// The form of a load all of whose indices are affine.
pub(super) fn load_form(
    source: &Source<'_>,
    index: &[ExprId],
    or: Option<ExprId>,
    domain: &Domain,
    affine: &[Option<Affine>],
) -> Option<Form> {
    if index.len() != source.shape.len() {
        return None;
    }
    let mut position = Affine { base: 0, coefs: vec![0; domain.vars.len()] };
    let mut dims = Vec::new();
    for ((id, extent), stride) in index.iter().zip(&source.shape).zip(&source.strides) {
        let a = affine.get(id.0 as usize)?.as_ref()?;
        let (lo, hi) = domain.range(a);
        if lo < 0 || hi >= i128::from(*extent) {
            dims.push((a.clone(), *extent));
        }
        position = position.plus(&a.scaled(*stride)?)?;
    }
    Some(if dims.is_empty() { Form::Strided(position) } else { Form::Clipped { dims, position, or } })
}

/// The values of `or` over a range of points.
fn fill<T: Copy>(or: Option<&Vals<T>>, points: std::ops::Range<usize>, out: &mut Vec<T>) {
    match or {
        Some(Vals::One(v)) => out.extend(std::iter::repeat_n(*v, points.len())),
        Some(Vals::Many(vs)) => out.extend(vs.get(points).into_iter().flatten()),
        None => {}
    }
}

/// Which index of a load without alternative is out of range.
fn outside(operand: u32, dims: &[(Affine, i64)], block: &Block) -> Problem {
    for (dim, (form, extent)) in dims.iter().enumerate() {
        let values = block.column(form).spread(block.count);
        if let Some(index) = values.into_iter().find(|v| *v < 0 || v >= extent) {
            return Problem::OutOfRange { operand: operand as usize, dim, index, extent: *extent as usize };
        }
    }
    MALFORMED
}

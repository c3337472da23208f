//! Building blocks that move elements: each is one pure index map.

use crate::builder::{BuildError, Builder, Point};
use crate::dim::Dim;
use crate::expr::{BinOp, ExprId};
use crate::graph::ValueId;

impl Builder {
    /// A possibly negative axis as a position.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, BuildError> {
        let shifted = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(shifted).ok().filter(|a| *a < rank).ok_or(BuildError::Axis { found: axis, rank })
    }

    /// Repeats extents of 1 to fill a shape; other extents must equal it.
    pub fn expand(&mut self, a: ValueId, shape: Vec<Dim>) -> Result<ValueId, BuildError> {
        let from = self.shape(a)?;
        if from == shape {
            return Ok(a);
        }
        let joint = self.broadcast_shapes(&[from, shape])?;
        self.compute(&[a], joint, |p| {
            let v = p.load_broadcast(0);
            p.out(v);
        })
    }

    /// The same elements in row-major order under another shape. Equal counts are assumed where they cannot be shown.
    pub fn reshape(&mut self, a: ValueId, shape: Vec<Dim>) -> Result<ValueId, BuildError> {
        let from = self.shape(a)?;
        if from == shape {
            return Ok(a);
        }
        let (old, new) = (Dim::product(&from), Dim::product(&shape));
        self.assume_equal(&old, &new, "reshape keeps the number of elements").map_err(|_| BuildError::Shapes {
            what: "reshape".to_string(),
            left: format!("{from:?}"),
            right: format!("{shape:?}"),
        })?;
        let contents = self.contents(a);
        let groups = reshape_groups(&from, &shape);
        let id = self.compute(&[a], shape.clone(), |p| {
            let mut index = Vec::with_capacity(from.len());
            for (old, new) in &groups {
                reshape_group(p, &from, &shape, old.clone(), new.clone(), &mut index);
            }
            let v = p.load(0, &index);
            p.out(v);
        })?;
        self.set_contents(id, contents);
        Ok(id)
    }

    /// Permutes dims: dim `d` of the result is dim `perm[d]` of the operand.
    pub fn transpose(&mut self, a: ValueId, perm: &[usize]) -> Result<ValueId, BuildError> {
        let from = self.shape(a)?;
        let mut position = vec![None; from.len()];
        for (d, source) in perm.iter().enumerate() {
            if let Some(slot) = position.get_mut(*source) {
                *slot = Some(d);
            }
        }
        let position: Option<Vec<usize>> = position.into_iter().collect();
        let Some(position) = position.filter(|p| p.len() == perm.len()) else {
            return Err(BuildError::Operand {
                what: "transpose".to_string(),
                expected: format!("a permutation of {} axes", from.len()),
                found: format!("{perm:?}"),
            });
        };
        if perm.iter().enumerate().all(|(i, p)| i == *p) {
            return Ok(a);
        }
        let shape: Vec<Dim> = perm.iter().filter_map(|d| from.get(*d).cloned()).collect();
        self.compute(&[a], shape, |p| {
            let index: Vec<ExprId> = position.iter().map(|d| p.index(*d)).collect();
            let v = p.load(0, &index);
            p.out(v);
        })
    }

    /// Elements `start + step * i` along an axis, `count` of them. The caller has clamped them into range.
    pub fn slice(
        &mut self,
        a: ValueId,
        axis: usize,
        start: &Dim,
        step: i64,
        count: Dim,
    ) -> Result<ValueId, BuildError> {
        let mut shape = self.shape(a)?;
        if start.is(0) && step == 1 && shape.get(axis) == Some(&count) {
            return Ok(a);
        }
        let rank = shape.len();
        *shape.get_mut(axis).ok_or(BuildError::Axis { found: axis as i64, rank })? = count;
        self.compute(&[a], shape, |p| {
            let mut index = p.indices();
            let scaled = scale(p, index[axis], step);
            index[axis] = offset(p, scaled, start);
            let v = p.load(0, &index);
            p.out(v);
        })
    }

    /// Joins tensors along an axis. Their other extents are assumed equal.
    pub fn concat(&mut self, parts: &[ValueId], axis: usize) -> Result<ValueId, BuildError> {
        if let [only] = parts {
            return Ok(*only);
        }
        let shapes = parts.iter().map(|v| self.shape(*v)).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = shapes.first() else { return Err(BuildError::Results { expected: 1, found: 0 }) };
        let rank = first.len();
        let mut shape = first.clone();
        let mut starts = vec![Dim::constant(0)];
        let mut total = first.get(axis).cloned().ok_or(BuildError::Axis { found: axis as i64, rank })?;
        for other in shapes.iter().skip(1) {
            if other.len() != rank {
                return Err(BuildError::Rank {
                    what: "concat operand".to_string(),
                    expected: rank.to_string(),
                    found: other.len(),
                });
            }
            for (d, (a, b)) in shape.iter().zip(other).enumerate() {
                if d != axis {
                    self.assume_equal(a, b, "concat of equal extents")?;
                }
            }
            starts.push(total.clone());
            total = &total + &other[axis];
        }
        shape[axis] = total;
        self.compute(parts, shape, |p| {
            let index = p.indices();
            let dtype = p.dtype_of_operand(0);
            let mut value = p.zero(dtype);
            for (k, start) in starts.iter().enumerate().rev() {
                let mut at = index.clone();
                let negative = -start;
                at[axis] = offset(p, index[axis], &negative);
                value = p.load_or(k, &at, value);
            }
            p.out(value);
        })
    }

    /// Elements of `a` along an axis at the positions in `indices` (any integer dtype, negative counts from the end).
    /// The result's shape is `a`'s with the axis replaced by the shape of `indices`. Out of range gives 0.
    pub fn gather(&mut self, a: ValueId, indices: ValueId, axis: usize) -> Result<ValueId, BuildError> {
        let (from, at) = (self.shape(a)?, self.shape(indices)?);
        let extent = from.get(axis).cloned().ok_or(BuildError::Axis { found: axis as i64, rank: from.len() })?;
        let mut shape = from.clone();
        shape.splice(axis..=axis, at.iter().cloned());
        self.compute(&[a, indices], shape, |p| {
            let all = p.indices();
            let position = p.load(1, &all[axis..axis + at.len()]);
            let position = wrap_index(p, position, &extent);
            let mut index = all[..axis].to_vec();
            index.push(position);
            index.extend_from_slice(&all[axis + at.len()..]);
            let dtype = p.dtype_of_operand(0);
            let zero = p.zero(dtype);
            let v = p.load_or(0, &index, zero);
            p.out(v);
        })
    }

    /// Adds dims of extent 1 at positions of the result.
    pub fn unsqueeze(&mut self, a: ValueId, axes: &[usize]) -> Result<ValueId, BuildError> {
        let mut from = self.shape(a)?.into_iter();
        let rank = from.len() + axes.len();
        let shape: Vec<Dim> =
            (0..rank).filter_map(|d| if axes.contains(&d) { Some(Dim::constant(1)) } else { from.next() }).collect();
        self.reshape(a, shape)
    }

    /// Removes dims, which are assumed to have extent 1.
    pub fn squeeze(&mut self, a: ValueId, axes: &[usize]) -> Result<ValueId, BuildError> {
        let from = self.shape(a)?;
        for axis in axes {
            let extent = from.get(*axis).ok_or(BuildError::Axis { found: *axis as i64, rank: from.len() })?;
            self.assume_equal(extent, &Dim::constant(1), "a squeezed extent is 1")?;
        }
        let shape = from.into_iter().enumerate().filter(|(d, _)| !axes.contains(d)).map(|(_, e)| e).collect();
        self.reshape(a, shape)
    }
}

/// An index of any integer dtype as i64, negative ones counted from the end of `extent`.
pub fn wrap_index(p: &mut Point<'_>, position: ExprId, extent: &Dim) -> ExprId {
    let position = p.cast(position, crate::dtype::DType::I64);
    let (zero, extent) = (p.int(0), p.dim(extent));
    let negative = p.lt(position, zero);
    let wrapped = p.add(position, extent);
    p.select(negative, wrapped, position)
}

fn scale(p: &mut Point<'_>, index: ExprId, step: i64) -> ExprId {
    if step == 1 {
        return index;
    }
    let step = p.int(step);
    p.mul(index, step)
}

fn offset(p: &mut Point<'_>, index: ExprId, by: &Dim) -> ExprId {
    if by.is(0) {
        return index;
    }
    let by = p.dim(by);
    p.add(index, by)
}

type Span = std::ops::Range<usize>;

/// Splits a reshape into the smallest runs of old and new dims with equal products, so that index arithmetic stays local.
fn reshape_groups(old: &[Dim], new: &[Dim]) -> Vec<(Span, Span)> {
    let mut groups = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        let (i0, j0) = (i, j);
        let (mut a, mut b) = (Dim::constant(1), Dim::constant(1));
        if let Some(d) = old.get(i) {
            a = d.clone();
            i += 1;
        }
        if let Some(d) = new.get(j) {
            b = d.clone();
            j += 1;
        }
        while a != b && (i < old.len() || j < new.len()) {
            let grow_old = match (a.as_const(), b.as_const()) {
                (Some(x), Some(y)) => x < y,
                (Some(_), None) => true,
                _ => a.terms().first().map(|t| t.factors.len()) < b.terms().first().map(|t| t.factors.len()),
            };
            if (grow_old || j >= new.len()) && i < old.len() {
                a = &a * &old[i];
                i += 1;
            } else if j < new.len() {
                b = &b * &new[j];
                j += 1;
            } else {
                a = &a * &old[i];
                i += 1;
            }
        }
        if a != b {
            return vec![(0..old.len(), 0..new.len())];
        }
        groups.push((i0..i, j0..j));
    }
    groups
}

/// Appends the old indices of one group: ravel the new ones, unravel over the old extents.
fn reshape_group(p: &mut Point<'_>, from: &[Dim], to: &[Dim], old: Span, new: Span, out: &mut Vec<ExprId>) {
    let news: Vec<usize> = new.filter(|d| !to[*d].is(1)).collect();
    let olds: Vec<usize> = old.clone().filter(|d| !from[*d].is(1)).collect();
    if let ([d], [_]) = (news.as_slice(), olds.as_slice()) {
        let index = p.index(*d);
        for axis in old {
            let value = if from[axis].is(1) { p.int(0) } else { index };
            out.push(value);
        }
        return;
    }
    let mut linear = p.int(0);
    for (n, d) in news.iter().enumerate() {
        let i = p.index(*d);
        if n == 0 {
            linear = i;
        } else {
            let extent = p.dim(&to[*d]);
            let scaled = p.mul(linear, extent);
            linear = p.add(scaled, i);
        }
    }
    let mut indices = vec![None; from.len()];
    for (n, d) in olds.iter().enumerate().rev() {
        let extent = p.dim(&from[*d]);
        indices[*d] = Some(if n == 0 {
            linear
        } else {
            let remainder = p.binary(BinOp::Mod, linear, extent);
            linear = p.binary(BinOp::FloorDiv, linear, extent);
            remainder
        });
    }
    for axis in old {
        let value = match indices[axis] {
            Some(e) => e,
            None => p.int(0),
        };
        out.push(value);
    }
}

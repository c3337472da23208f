//! The `Sort` and `Compact` nodes.

use std::cmp::Ordering;

use crate::datum::Datum;
use crate::dtype::DType;
use crate::eval::column::{Column, Vals};
use crate::eval::source::{self, Ranks};
use crate::eval::{Bindings, Problem, sink};
use crate::node::{Compact, Sort};
use crate::tensor::Tensor;

/// The results of a `Sort`. Strings compare by their bytes, -0 equals +0.
pub(super) fn sort(sort: &Sort, operands: &[Datum], bindings: &Bindings) -> Result<Vec<Datum>, Problem> {
    let ranks = Ranks::of(operands);
    let tensors: Vec<&Tensor> = operands.iter().filter_map(Datum::as_tensor).collect();
    let shape = tensors.first().map(|t| t.shape().to_vec()).unwrap_or_default();
    if tensors.len() != operands.len() || tensors.iter().any(|t| t.shape() != shape) || sort.axis >= shape.len() {
        return Err(Problem::Malformed { what: "sort takes tensors of one shape and an axis of it" });
    }
    let extent = shape[sort.axis];
    let keep = match &sort.limit {
        Some(limit) => bindings.extent(limit)?,
        None => extent,
    };
    if keep > extent {
        let (expected, found) = (format!("a limit of at most {extent}"), keep.to_string());
        return Err(Problem::Operand { position: 0, expected, found });
    }
    let mut keys = Vec::with_capacity(tensors.len());
    for tensor in &tensors {
        let key = source::read_all(tensor, &ranks);
        keys.push(key.ok_or_else(|| Problem::TooLarge { dtype: tensor.dtype(), shape: shape.clone() })?);
    }
    let compare = |a: usize, b: usize| {
        let mut orders = keys.iter().zip(&tensors).map(|(key, tensor)| compare(key, tensor.dtype(), a, b));
        let order = orders.find(|o| o.is_ne()).unwrap_or(Ordering::Equal);
        if sort.descending { order.reverse() } else { order }
    };
    // Extents beside a zero may be too large to multiply.
    let span = |extents: &[usize]| if shape.contains(&0) { 0 } else { extents.iter().product() };
    let (outer, inner): (usize, usize) = (span(&shape[..sort.axis]), span(&shape[sort.axis + 1..]));
    let mut sources = vec![0usize; outer * keep * inner];
    for o in 0..outer {
        for i in 0..inner {
            let at = |k: usize| (o * extent + k) * inner + i;
            let mut lane: Vec<usize> = (0..extent).collect();
            lane.sort_by(|a, b| compare(at(*a), at(*b)));
            for (k, source) in lane.into_iter().take(keep).enumerate() {
                sources[(o * keep + k) * inner + i] = source;
            }
        }
    }
    let mut result_shape = shape.clone();
    result_shape[sort.axis] = keep;
    let mut results = Vec::with_capacity(keys.len() + 1);
    let moved = |position: usize| {
        let (o, i) = (position / (keep * inner), position % inner);
        (o * extent + sources[position]) * inner + i
    };
    for (key, tensor) in keys.iter().zip(&tensors) {
        let column = match key {
            Column::F(v) => Column::F(Vals::Many((0..sources.len()).filter_map(|p| v.at(moved(p))).collect())),
            Column::I(v) => Column::I(Vals::Many((0..sources.len()).filter_map(|p| v.at(moved(p))).collect())),
        };
        results.push(sink::tensor(tensor.dtype(), result_shape.clone(), &column, &ranks)?);
    }
    let index = Column::I(Vals::Many(sources.iter().map(|s| *s as i64).collect()));
    results.push(sink::tensor(DType::I64, result_shape, &index, &ranks)?);
    Ok(results)
}

/// Order of two elements of a key, NaN the largest.
fn compare(key: &Column, dtype: DType, a: usize, b: usize) -> Ordering {
    match key {
        Column::F(v) => {
            let (x, y) = (v.at(a).unwrap_or(f64::NAN), v.at(b).unwrap_or(f64::NAN));
            x.partial_cmp(&y).unwrap_or_else(|| x.is_nan().cmp(&y.is_nan()))
        }
        Column::I(v) => {
            let flip = if dtype == DType::U64 { i64::MIN } else { 0 };
            v.at(a).map(|x| x ^ flip).cmp(&v.at(b).map(|y| y ^ flip))
        }
    }
}

/// The results of a `Compact`.
pub(super) fn compact(compact: &Compact, operands: &[Datum], bindings: &Bindings) -> Result<Vec<Datum>, Problem> {
    let mask = operands.first().and_then(Datum::as_tensor).filter(|t| t.dtype() == DType::Bool);
    let mask = mask.ok_or(Problem::Malformed { what: "compact takes a bool tensor" })?;
    let bound = bindings.extent(&compact.bound)?;
    let mut positions: Vec<i64> = Vec::new();
    positions.try_reserve_exact(bound).map_err(|_| Problem::TooLarge { dtype: DType::I64, shape: vec![bound] })?;
    let set = mask.bytes().iter().enumerate().filter(|(_, b)| **b != 0).map(|(i, _)| i as i64);
    positions.extend(set.take(bound));
    let count = positions.len() as i64;
    positions.resize(bound, 0);
    Ok(vec![Datum::Tensor(Tensor::from_i64s(&positions)), crate::datum::scalar_i64(count)])
}

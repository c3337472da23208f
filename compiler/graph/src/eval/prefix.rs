//! The `Prefix` node: running combinations along an axis.

use crate::datum::Datum;
use crate::eval::column::{Column, Vals};
use crate::eval::combine::Running;
use crate::eval::source::{self, Ranks};
use crate::eval::{Problem, sink};
use crate::node::Prefix;

/// The result of the node. Floats run in `f64`; every result is rounded once.
pub(super) fn run(prefix: &Prefix, operands: &[Datum]) -> Result<Vec<Datum>, Problem> {
    let tensor = operands.first().and_then(Datum::as_tensor).filter(|t| prefix.axis < t.shape().len());
    let tensor = tensor.ok_or(Problem::Malformed { what: "prefix takes a tensor and an axis of it" })?;
    if tensor.is_empty() {
        return Ok(vec![Datum::Tensor(tensor.clone())]);
    }
    let (dtype, shape) = (tensor.dtype(), tensor.shape().to_vec());
    let ranks = Ranks::default();
    let values = source::read_all(tensor, &ranks).ok_or_else(|| Problem::TooLarge { dtype, shape: shape.clone() })?;
    let mut out = values.clone();
    let extent = shape[prefix.axis];
    let inner: usize = shape[prefix.axis + 1..].iter().product();
    let outer: usize = shape[..prefix.axis].iter().product();
    for lane in 0..outer * inner {
        let start = (lane / inner) * extent * inner + lane % inner;
        let mut running = Running::new(prefix.combiner, dtype, 1)?;
        for k in 0..extent {
            let at = start + inner * if prefix.reverse { extent - 1 - k } else { k };
            if prefix.exclusive {
                set(&mut out, at, &running.first());
            }
            running.add_each(&pick(&values, at), k as i64)?;
            if !prefix.exclusive {
                set(&mut out, at, &running.first());
            }
        }
    }
    Ok(vec![sink::tensor(dtype, shape, &out, &ranks)?])
}

fn pick(values: &Column, at: usize) -> Column {
    match values {
        Column::F(v) => Column::F(Vals::One(v.at(at).unwrap_or(0.0))),
        Column::I(v) => Column::I(Vals::One(v.at(at).unwrap_or(0))),
    }
}

fn set(out: &mut Column, at: usize, value: &Column) {
    match (out, value) {
        (Column::F(Vals::Many(slots)), Column::F(Vals::One(v))) => {
            slots.get_mut(at).into_iter().for_each(|slot| *slot = *v);
        }
        (Column::I(Vals::Many(slots)), Column::I(Vals::One(v))) => {
            slots.get_mut(at).into_iter().for_each(|slot| *slot = *v);
        }
        (Column::F(_) | Column::I(_), _) => {}
    }
}

//! The `Scatter` node: updates in row-major order of the domain.

use crate::datum::Datum;
use crate::dtype::DType;
use crate::eval::affine::Domain;
use crate::eval::block::{BLOCK, Block};
use crate::eval::column::{Column, Vals};
use crate::eval::program::{Columns, Program};
use crate::eval::sink;
use crate::eval::source::{self, Ranks};
use crate::eval::{Bindings, Problem, float, integer};
use crate::node::{Combiner, Scatter, ScatterMode};
use crate::tensor::element_count;

/// The result of the node. Float sums and products run in `f64` and round once, when all updates are done.
pub(super) fn run(scatter: &Scatter, operands: &[Datum], bindings: &Bindings) -> Result<Vec<Datum>, Problem> {
    let malformed = || Problem::Malformed { what: "scatter changes a tensor, with one index a dim" };
    let base = operands.first().and_then(Datum::as_tensor).ok_or_else(malformed)?;
    if scatter.index.len() != base.shape().len() {
        return Err(malformed());
    }
    let shape = bindings.shape(&scatter.domain)?;
    let count = element_count(&shape).ok_or_else(|| Problem::TooLarge { dtype: DType::I64, shape: shape.clone() })?;
    if count == 0 || base.is_empty() {
        return Ok(vec![Datum::Tensor(base.clone())]);
    }
    let ranks = Ranks::of(operands);
    let sources = source::all(operands, &ranks)?;
    let mut target = source::read_all(base, &ranks)
        .ok_or_else(|| Problem::TooLarge { dtype: base.dtype(), shape: base.shape().to_vec() })?;
    let mut roots = scatter.index.clone();
    roots.push(scatter.value);
    let program = Program::new(&scatter.exprs, &sources, Domain::new(&shape, &[]), bindings, &roots)?;
    let schedule = program.schedule(&roots);
    let extents = program.domain.extents();
    let zero = vec![0; extents.len()];
    let mut columns = Columns::new();
    for first in (0..count).step_by(BLOCK) {
        let block = Block::new(&extents, &zero, 0, extents.len(), first, BLOCK.min(count - first));
        program.run(&schedule, Some(&roots), &block, &[], &mut columns)?;
        let mut position = Vals::One(0i64);
        for (index, extent) in scatter.index.iter().zip(base.shape()) {
            let extent = *extent as i64;
            let values = program.column(&columns, *index)?.as_i().ok_or_else(malformed)?;
            position = position.zip(values, |p, v| if p < 0 || v < 0 || v >= extent { -1 } else { p * extent + v });
        }
        let values = program.column(&columns, scatter.value)?;
        update(scatter.mode, base.dtype(), &mut target, &position, values, block.count)?;
    }
    let target = match target {
        Column::F(v) => Column::F(float::round(base.dtype(), v)),
        Column::I(v) => Column::I(integer::wrap(base.dtype(), v)),
    };
    Ok(vec![sink::tensor(base.dtype(), base.shape().to_vec(), &target, &ranks)?])
}

fn update(
    mode: ScatterMode,
    dtype: DType,
    target: &mut Column,
    position: &Vals<i64>,
    values: &Column,
    count: usize,
) -> Result<(), Problem> {
    let undefined = |combiner: Combiner| Problem::Undefined { what: combiner.name(), dtype };
    let flip = if dtype == DType::U64 { i64::MIN } else { 0 };
    match (target, values) {
        (Column::F(Vals::Many(slots)), Column::F(values)) => match mode {
            ScatterMode::Last => apply(slots, position, values, count, |_, new| new),
            ScatterMode::Combine(Combiner::Sum) => apply(slots, position, values, count, |old, new| old + new),
            ScatterMode::Combine(Combiner::Prod) => apply(slots, position, values, count, |old, new| old * new),
            ScatterMode::Combine(Combiner::Max) => apply(slots, position, values, count, float::max),
            ScatterMode::Combine(Combiner::Min) => apply(slots, position, values, count, float::min),
            ScatterMode::Combine(
                c @ (Combiner::Any | Combiner::All | Combiner::ArgMax { .. } | Combiner::ArgMin { .. }),
            ) => return Err(undefined(c)),
        },
        (Column::I(Vals::Many(slots)), Column::I(values)) => match mode {
            ScatterMode::Last => apply(slots, position, values, count, |_, new| new),
            ScatterMode::Combine(Combiner::Sum) => apply(slots, position, values, count, i64::wrapping_add),
            ScatterMode::Combine(Combiner::Prod) => apply(slots, position, values, count, i64::wrapping_mul),
            ScatterMode::Combine(Combiner::Max) => {
                apply(slots, position, values, count, |a, b| if a ^ flip >= b ^ flip { a } else { b });
            }
            ScatterMode::Combine(Combiner::Min) => {
                apply(slots, position, values, count, |a, b| if a ^ flip <= b ^ flip { a } else { b });
            }
            ScatterMode::Combine(Combiner::Any) => apply(slots, position, values, count, |a, b| a | b),
            ScatterMode::Combine(Combiner::All) => apply(slots, position, values, count, |a, b| a & b),
            ScatterMode::Combine(c @ (Combiner::ArgMax { .. } | Combiner::ArgMin { .. })) => {
                return Err(undefined(c));
            }
        },
        (Column::F(_) | Column::I(_), _) => {
            return Err(Problem::Malformed { what: "a scattered value has the base's dtype" });
        }
    }
    Ok(())
}

fn apply<T: Copy>(slots: &mut [T], position: &Vals<i64>, values: &Vals<T>, count: usize, f: impl Fn(T, T) -> T) {
    for point in 0..count {
        let slot = position.at(point).and_then(|p| usize::try_from(p).ok()).and_then(|p| slots.get_mut(p));
        if let (Some(slot), Some(value)) = (slot, values.at(point)) {
            *slot = f(*slot, value);
        }
    }
}

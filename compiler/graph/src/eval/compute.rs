//! The `Compute` node: pointwise maps and reductions, block by block.
//!
//! A reduction runs along the parallel points (one reduction step for a whole block) or along the reduction steps (one
//! point at a time), whichever is longer. Both combine in the row-major order of the steps, so they agree bit for bit.

use crate::datum::Datum;
use crate::eval::affine::Domain;
use crate::eval::block::{BLOCK, Block, unravel};
use crate::eval::column::{Column, Vals};
use crate::eval::combine::Running;
use crate::eval::program::{Columns, Program};
use crate::eval::sink::Sink;
use crate::eval::source::{self, Ranks};
use crate::eval::{Bindings, Problem, float, integer};
use crate::expr::{BinOp, Expr, ExprId};
use crate::node::{Acc, Combiner, Compute};
use crate::tensor::element_count;

/// A faster way to the values of a single sum of products at all points, where there is one. Gives the same bits.
pub(super) type Shortcut = fn(&Program<'_>, ExprId, ExprId) -> Result<Option<Column>, Problem>;

/// The results of the node.
pub(super) fn run(
    compute: &Compute,
    operands: &[Datum],
    bindings: &Bindings,
    shortcut: Shortcut,
) -> Result<Vec<Datum>, Problem> {
    let ranks = Ranks::of(operands);
    let sources = source::all(operands, &ranks)?;
    let shape = bindings.shape(&compute.shape)?;
    let mut sinks = Vec::with_capacity(compute.outs.len());
    for out in &compute.outs {
        sinks.push(Sink::new(compute.exprs.dtype(*out), shape.clone())?);
    }
    let count = element_count(&shape).unwrap_or(0);
    if count > 0 {
        let bounds = compute.reduce.iter().map(|e| Ok((bindings.extent(&e.bound)?, e.size.is_some())));
        let bounds = bounds.collect::<Result<Vec<_>, Problem>>()?;
        let domain = Domain::new(&shape, &bounds);
        let mut roots = compute.outs.clone();
        roots.extend(compute.accs.iter().map(|a| a.value));
        roots.extend(compute.reduce.iter().filter_map(|e| e.size));
        let program = Program::new(&compute.exprs, &sources, domain, bindings, &roots)?;
        let mut reduction = Reduction::new(&program, compute, &bounds, shortcut)?;
        let outs = program.schedule(&compute.outs);
        let extents: Vec<i64> = program.domain.extents();
        let zero = vec![0; extents.len()];
        let mut columns = Columns::new();
        for first in (0..count).step_by(BLOCK) {
            let points = BLOCK.min(count - first);
            let block = Block::new(&extents, &zero, 0, program.domain.parallel(), first, points);
            let accs = reduction.block(&block, first)?;
            program.run(&outs, Some(&compute.outs), &block, &accs, &mut columns)?;
            for (sink, out) in sinks.iter_mut().zip(&compute.outs) {
                sink.push(program.column(&columns, *out)?, points, &ranks);
            }
        }
    }
    sinks.into_iter().map(Sink::finish).collect()
}

/// The values of one accumulator before they are combined.
#[derive(Clone, Copy)]
enum Input {
    Plain(ExprId),
    /// The unrounded product of two floats.
    Product(ExprId, ExprId),
}

struct Reduction<'p, 'a> {
    program: &'p Program<'a>,
    accs: &'p [Acc],
    inputs: Vec<Input>,
    /// Expressions that the inputs need.
    wanted: Vec<ExprId>,
    schedule: Vec<ExprId>,
    /// Size expressions of the reduction dims, with their bounds.
    sizes: Vec<(Option<ExprId>, i64)>,
    size_schedule: Vec<ExprId>,
    /// Whether to run along the parallel points.
    along_points: bool,
    /// The accumulator at all points, if the shortcut took it.
    whole: Option<Column>,
    columns: Columns,
}

impl<'p, 'a> Reduction<'p, 'a> {
    fn new(
        program: &'p Program<'a>,
        compute: &'p Compute,
        bounds: &[(usize, bool)],
        shortcut: Shortcut,
    ) -> Result<Self, Problem> {
        let inputs: Vec<Input> = compute.accs.iter().map(|acc| input(program, acc)).collect();
        let wanted: Vec<ExprId> = inputs
            .iter()
            .flat_map(|input| match *input {
                Input::Plain(e) => vec![e],
                Input::Product(a, b) => vec![a, b],
            })
            .collect();
        let sizes: Vec<(Option<ExprId>, i64)> =
            compute.reduce.iter().zip(bounds).map(|(e, (bound, _))| (e.size, *bound as i64)).collect();
        let size_roots: Vec<ExprId> = compute.reduce.iter().filter_map(|e| e.size).collect();
        let schedule = program.schedule(&wanted);
        let along_points = size_roots.is_empty() && prefers_points(program, &schedule);
        Ok(Reduction {
            program,
            accs: &compute.accs,
            inputs,
            wanted,
            schedule,
            sizes,
            size_schedule: program.schedule(&size_roots),
            along_points,
            whole: whole(program, &compute.accs, shortcut)?,
            columns: Columns::new(),
        })
    }

    /// The accumulators of a block of parallel points.
    fn block(&mut self, block: &Block, first: usize) -> Result<Vec<Column>, Problem> {
        if let (Some(whole), [acc]) = (&self.whole, self.accs) {
            let dtype = self.program.exprs.dtype(acc.value);
            let points = first..first + block.count;
            return Ok(vec![match whole {
                Column::F(v) => Column::F(float::round(dtype, v.slice(points))),
                Column::I(v) => Column::I(integer::wrap(dtype, v.slice(points))),
            }]);
        }
        let mut running = Vec::with_capacity(self.accs.len());
        for acc in self.accs {
            running.push(Running::new(acc.combiner, self.program.exprs.dtype(acc.value), block.count)?);
        }
        if running.is_empty() {
            return Ok(Vec::new());
        }
        if self.along_points {
            self.points(block, &mut running)?;
        } else if self.size_schedule.is_empty() {
            let extents: Vec<i64> = self.program.domain.extents();
            for point in 0..block.count {
                self.steps(first + point, point, &extents, &mut running)?;
            }
        } else {
            self.sized(block, first, &mut running)?;
        }
        Ok(running.into_iter().map(Running::finish).collect())
    }

    /// One reduction step after the other, each for all points of the block.
    fn points(&mut self, block: &Block, running: &mut [Running]) -> Result<(), Problem> {
        let program = self.program;
        let parallel = program.domain.parallel();
        let extents: Vec<i64> = program.domain.vars.iter().skip(parallel).map(|v| v.extent).collect();
        let steps = extents.iter().fold(1i64, |n, e| n.saturating_mul(*e));
        let moving = program.dependent(&|v| v >= parallel);
        let (inner, outer): (Vec<ExprId>, Vec<ExprId>) =
            self.schedule.iter().partition(|id| moving.get(id.0 as usize) == Some(&true));
        let mut columns = std::mem::take(&mut self.columns);
        let mut block = block.clone();
        let mut at = vec![0; extents.len()];
        if steps > 0 {
            program.run(&outer, None, &block, &[], &mut columns)?;
        }
        for step in 0..steps {
            unravel(step, &extents, &mut at);
            block.fix(parallel, &at);
            program.run(&inner, Some(&self.wanted), &block, &[], &mut columns)?;
            for (running, input) in running.iter_mut().zip(&self.inputs) {
                match *input {
                    Input::Plain(e) => running.add_each(program.column(&columns, e)?, step)?,
                    Input::Product(a, b) => running.add_each(&product(program, &columns, a, b)?, step)?,
                }
            }
        }
        self.columns = columns;
        Ok(())
    }

    /// All reduction steps of one point, a block of them at a time.
    fn steps(
        &mut self,
        position: usize,
        point: usize,
        extents: &[i64],
        running: &mut [Running],
    ) -> Result<(), Problem> {
        let program = self.program;
        let parallel = program.domain.parallel();
        let mut fixed = vec![0; extents.len()];
        unravel(position as i64, &extents[..parallel], &mut fixed[..parallel]);
        let reduced = extents[parallel..].iter().fold(1i64, |n, e| n.saturating_mul(*e));
        let total = usize::try_from(reduced).unwrap_or(0);
        let sized = !self.size_schedule.is_empty();
        let mut columns = std::mem::take(&mut self.columns);
        for first in (0..total).step_by(BLOCK) {
            let count = BLOCK.min(total - first);
            let block = Block::new(extents, &fixed, parallel, extents.len(), first, count);
            program.run(&self.schedule, Some(&self.wanted), &block, &[], &mut columns)?;
            let positions = Vals::Many((first..first + count).map(|s| self.position(s, extents, sized)).collect());
            for (running, input) in running.iter_mut().zip(&self.inputs) {
                match *input {
                    Input::Plain(e) => running.add_run(point, program.column(&columns, e)?, count, &positions)?,
                    Input::Product(a, b) => {
                        running.add_run(point, &product(program, &columns, a, b)?, count, &positions)?;
                    }
                }
            }
        }
        self.columns = columns;
        Ok(())
    }

    /// Each point with its own sizes.
    fn sized(&mut self, block: &Block, first: usize, running: &mut [Running]) -> Result<(), Problem> {
        let program = self.program;
        let mut columns = std::mem::take(&mut self.columns);
        program.run(&self.size_schedule, None, block, &[], &mut columns)?;
        let mut sizes = Vec::with_capacity(self.sizes.len());
        for (size, bound) in &self.sizes {
            sizes.push(match size {
                Some(e) => program.column(&columns, *e)?.as_i().map(|v| v.map(|s| s.clamp(0, *bound))),
                None => None,
            });
        }
        self.columns = columns;
        let mut extents: Vec<i64> = program.domain.extents();
        for point in 0..block.count {
            for (extent, var) in extents.iter_mut().zip(&program.domain.vars) {
                let size = var.size.and_then(|k| sizes.get(k)).and_then(Option::as_ref).and_then(|v| v.at(point));
                *extent = size.unwrap_or(var.extent);
            }
            self.steps(first + point, point, &extents, running)?;
        }
        Ok(())
    }

    /// The row-major position of a reduction step within the bounds.
    fn position(&self, step: usize, extents: &[i64], sized: bool) -> i64 {
        if !sized {
            return step as i64;
        }
        let parallel = self.program.domain.parallel();
        let mut at = vec![0; extents.len() - parallel];
        unravel(step as i64, &extents[parallel..], &mut at);
        let vars = self.program.domain.vars.iter().skip(parallel);
        at.iter().zip(vars).fold(0i64, |sum, (i, var)| sum.wrapping_mul(var.extent).wrapping_add(*i))
    }
}

/// The values of a single sum of products at all points, if the shortcut takes it.
fn whole(program: &Program<'_>, accs: &[Acc], shortcut: Shortcut) -> Result<Option<Column>, Problem> {
    let [Acc { combiner: Combiner::Sum, value, .. }] = accs else { return Ok(None) };
    let Some(Expr::Binary(BinOp::Mul, a, b)) = program.exprs.get(*value) else { return Ok(None) };
    shortcut(program, *a, *b)
}

/// What an accumulator combines: a sum takes the product of two floats unrounded.
fn input(program: &Program<'_>, acc: &Acc) -> Input {
    if let Some(Expr::Binary(BinOp::Mul, a, b)) = program.exprs.get(acc.value)
        && acc.combiner == Combiner::Sum
        && program.exprs.dtype(acc.value).is_float()
    {
        return Input::Product(*a, *b);
    }
    Input::Plain(acc.value)
}

fn product(program: &Program<'_>, columns: &Columns, a: ExprId, b: ExprId) -> Result<Column, Problem> {
    match (program.column(columns, a)?, program.column(columns, b)?) {
        (Column::F(a), Column::F(b)) => Ok(Column::F(a.zip(b, |x, y| x * y))),
        (Column::F(_) | Column::I(_), _) => Err(Problem::Malformed { what: "a product of floats has float factors" }),
    }
}

/// Whether blocks of points are longer than blocks of steps; if both are as long, whether they read closer together.
fn prefers_points(program: &Program<'_>, schedule: &[ExprId]) -> bool {
    let vars = &program.domain.vars;
    let parallel = program.domain.parallel();
    let size =
        |vars: &[crate::eval::affine::Var]| vars.iter().fold(1i64, |n, v| n.saturating_mul(v.extent)).min(BLOCK as i64);
    let (points, steps) = (size(&vars[..parallel]), size(&vars[parallel..]));
    if points.min(64) != steps.min(64) {
        return points > steps;
    }
    let along_points = parallel.checked_sub(1).map_or(0, |v| program.load_steps(schedule, v));
    let along_steps = vars.len().checked_sub(1).map_or(0, |v| program.load_steps(schedule, v));
    along_points <= along_steps
}

//! Sums of products over large domains: matrix products, convolutions, einsums.
//!
//! The parallel variables fall into those of both factors (batch), of the first only (rows) and of the second only
//! (columns). Each factor is evaluated once a panel, whatever it is made of (casts, padding, zero points), and panels are
//! multiplied in register tiles. Every sum runs over the reduction steps in row-major order, as in [`super::compute`],
//! so both ways agree bit for bit.
//!
//! ```text
//!              columns 0..PANEL ->            tile: ROWS x COLS sums in registers
//!   rows |  [tile][tile]...                   packed rows:    [tile][step][ROWS]
//!        v  [tile][tile]...                   packed columns: [tile][step][COLS]
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::eval::Problem;
use crate::eval::block::{Block, unravel};
use crate::eval::column::{Column, Vals};
use crate::eval::program::{Columns, Program};
use crate::expr::ExprId;

const ROWS: usize = 4;
const COLS: usize = 4;
/// Rows and columns of a panel. At most [`super::block::BLOCK`].
const PANEL: usize = 256;
/// Reduction steps of a panel. At most [`super::block::BLOCK`].
const STEPS: usize = 256;
/// Products from which on packing pays.
const WORTH: i64 = 1 << 12;
/// Products from which on threads pay.
const THREADED: i64 = 1 << 23;

type Tile<T> = [[T; COLS]; ROWS];

/// The sums of `a * b` for all parallel points in row-major order, unrounded; `None` if the general way is as good.
pub(super) fn run(program: &Program<'_>, a: ExprId, b: ExprId) -> Result<Option<Column>, Problem> {
    let Some(split) = Contraction::new(program, a, b) else { return Ok(None) };
    if program.exprs.dtype(a).is_float() {
        let sums = split.run::<f64>()?;
        Ok(Some(Column::F(Vals::Many(sums))))
    } else {
        let sums = split.run::<i64>()?;
        Ok(Some(Column::I(Vals::Many(sums))))
    }
}

/// What is multiplied and summed.
trait Number: Copy + Default + Send + Sync {
    fn step(sum: Self, a: Self, b: Self) -> Self;
    fn values(column: &Column) -> Option<&Vals<Self>>;
}

impl Number for f64 {
    fn step(sum: f64, a: f64, b: f64) -> f64 {
        sum + a * b
    }

    fn values(column: &Column) -> Option<&Vals<f64>> {
        column.as_f()
    }
}

impl Number for i64 {
    fn step(sum: i64, a: i64, b: i64) -> i64 {
        sum.wrapping_add(a.wrapping_mul(b))
    }

    fn values(column: &Column) -> Option<&Vals<i64>> {
        column.as_i()
    }
}

/// One factor as a matrix: a batch of lanes (rows of the first, columns of the second) by reduction steps.
struct Factor<'a> {
    program: Program<'a>,
    root: ExprId,
    schedule: Vec<ExprId>,
    extents: Vec<i64>,
    /// Whether to evaluate along the lanes, one step at a time, or the other way round.
    along_lanes: bool,
}

const BATCH: u8 = 0;
const LANE: u8 = 1;
const STEP: u8 = 2;

struct Contraction<'a> {
    a: Factor<'a>,
    b: Factor<'a>,
    batches: usize,
    rows: usize,
    columns: usize,
    steps: usize,
    /// Row-major position among the parallel points, as the sum of these three.
    batch_at: Vec<usize>,
    row_at: Vec<usize>,
    column_at: Vec<usize>,
}

/// A panel of the result.
#[derive(Clone, Copy)]
struct Job {
    batch: usize,
    row: usize,
    column: usize,
}

impl<'a> Contraction<'a> {
    fn new(program: &Program<'a>, a: ExprId, b: ExprId) -> Option<Contraction<'a>> {
        let domain = &program.domain;
        let parallel = domain.parallel();
        if domain.vars.iter().any(|v| v.size.is_some()) {
            return None;
        }
        let (mut batch, mut rows, mut columns) = (Vec::new(), Vec::new(), Vec::new());
        for var in 0..parallel {
            let moves = program.dependent(&|v| v == var);
            let depends = |e: ExprId| moves.get(e.0 as usize) == Some(&true);
            match (depends(a), depends(b)) {
                (true, true) => batch.push(var),
                (_, false) => rows.push(var),
                (false, true) => columns.push(var),
            }
        }
        let steps: Vec<usize> = (parallel..domain.vars.len()).collect();
        let count = |vars: &[usize]| vars.iter().fold(1i64, |n, v| n.saturating_mul(domain.vars[*v].extent));
        let (m, n, k) = (count(&rows), count(&columns), count(&steps));
        if m.min(n) < 2 || m.saturating_mul(n).saturating_mul(k) < WORTH {
            return None;
        }
        let mut strides = vec![1i64; parallel];
        for v in (1..parallel).rev() {
            strides[v - 1] = strides[v].checked_mul(domain.vars[v].extent)?;
        }
        let positions = |vars: &[usize]| {
            let extents: Vec<i64> = vars.iter().map(|v| domain.vars[*v].extent).collect();
            let mut at = vec![0; vars.len()];
            let position = |i: i64| {
                unravel(i, &extents, &mut at);
                at.iter().zip(vars).map(|(i, v)| i * strides[*v]).sum::<i64>() as usize
            };
            (0..count(vars)).map(position).collect::<Vec<usize>>()
        };
        Some(Contraction {
            batches: usize::try_from(count(&batch)).ok()?,
            rows: usize::try_from(m).ok()?,
            columns: usize::try_from(n).ok()?,
            steps: usize::try_from(k).ok()?,
            batch_at: positions(&batch),
            row_at: positions(&rows),
            column_at: positions(&columns),
            a: Factor::new(program, a, &batch, &rows, &steps),
            b: Factor::new(program, b, &batch, &columns, &steps),
        })
    }

    fn run<T: Number>(&self) -> Result<Vec<T>, Problem> {
        let mut jobs = Vec::new();
        for batch in 0..self.batches {
            for column in (0..self.columns).step_by(PANEL) {
                for row in (0..self.rows).step_by(PANEL) {
                    jobs.push(Job { batch, row, column });
                }
            }
        }
        let products =
            [self.batches, self.rows, self.columns, self.steps].iter().fold(1i64, |n, d| n.saturating_mul(*d as i64));
        let threads = if products < THREADED { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) };
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            let mut scratch = Scratch::default();
            while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.push((*job, self.panel::<T>(*job, &mut scratch)?));
            }
            Ok::<_, Problem>(done)
        };
        let mut parts = Vec::new();
        if threads.min(jobs.len()) < 2 {
            parts.push(work());
        } else {
            std::thread::scope(|scope| {
                let handles: Vec<_> = (0..threads.min(jobs.len())).map(|_| scope.spawn(work)).collect();
                for handle in handles {
                    let lost = |_| Err(Problem::Malformed { what: "a thread of the evaluator did not finish" });
                    parts.push(handle.join().unwrap_or_else(lost));
                }
            });
        }
        let mut out = vec![T::default(); self.batches * self.rows * self.columns];
        for part in parts {
            for (job, tiles) in part? {
                self.store(job, &tiles, &mut out);
            }
        }
        Ok(out)
    }

    /// One panel of sums, as tiles: all of the first tile column, then of the second …
    fn panel<T: Number>(&self, job: Job, scratch: &mut Scratch<T>) -> Result<Vec<Tile<T>>, Problem> {
        let (rows, columns) = (PANEL.min(self.rows - job.row), PANEL.min(self.columns - job.column));
        let row_tiles = rows.div_ceil(ROWS);
        let mut tiles = vec![[[T::default(); COLS]; ROWS]; row_tiles * columns.div_ceil(COLS)];
        for step in (0..self.steps).step_by(STEPS) {
            let steps = STEPS.min(self.steps - step);
            self.a.pack::<T, ROWS>(job.batch, (job.row, rows), (step, steps), &mut scratch.columns, &mut scratch.a)?;
            self.b.pack::<T, COLS>(
                job.batch,
                (job.column, columns),
                (step, steps),
                &mut scratch.columns,
                &mut scratch.b,
            )?;
            let slices = scratch.b.chunks_exact(steps * COLS).zip(tiles.chunks_exact_mut(row_tiles));
            for (b, tiles) in slices {
                for (a, tile) in scratch.a.chunks_exact(steps * ROWS).zip(tiles) {
                    multiply(a, b, tile);
                }
            }
        }
        Ok(tiles)
    }

    fn store<T: Number>(&self, job: Job, tiles: &[Tile<T>], out: &mut [T]) {
        let (rows, columns) = (PANEL.min(self.rows - job.row), PANEL.min(self.columns - job.column));
        let row_tiles = rows.div_ceil(ROWS);
        for row in 0..rows {
            let start = self.batch_at[job.batch] + self.row_at[job.row + row];
            for column in 0..columns {
                let tile = &tiles[(column / COLS) * row_tiles + row / ROWS];
                out[start + self.column_at[job.column + column]] = tile[row % ROWS][column % COLS];
            }
        }
    }
}

/// Buffers that panels share.
struct Scratch<T> {
    columns: Columns,
    a: Vec<T>,
    b: Vec<T>,
}

impl<T> Default for Scratch<T> {
    fn default() -> Scratch<T> {
        Scratch { columns: Columns::new(), a: Vec::new(), b: Vec::new() }
    }
}

impl<'a> Factor<'a> {
    fn new(program: &Program<'a>, root: ExprId, batch: &[usize], lanes: &[usize], steps: &[usize]) -> Factor<'a> {
        let group = |vars: &[usize], group: u8| vars.iter().map(move |v| (*v, group)).collect::<Vec<_>>();
        let order = [group(batch, BATCH), group(lanes, LANE), group(steps, STEP)].concat();
        let program = program.over(&order, root);
        let schedule = program.schedule(&[root]);
        let (lane, step) = (program.domain.group(LANE), program.domain.group(STEP));
        // The longer runs win, at equal length those that read closer together.
        let last = |vars: &std::ops::Range<usize>| vars.clone().last();
        let run = |vars: &std::ops::Range<usize>| last(vars).map_or(1, |v| program.domain.vars[v].extent.min(64));
        let reach = |vars: &std::ops::Range<usize>| last(vars).map_or(0, |v| program.load_steps(&schedule, v));
        let along_lanes = match run(&lane).cmp(&run(&step)) {
            std::cmp::Ordering::Equal => reach(&lane) <= reach(&step),
            order => order.is_gt(),
        };
        let extents = program.domain.extents();
        Factor { program, root, schedule, extents, along_lanes }
    }

    /// Values of some lanes and steps, lanes in tiles of `W`, missing ones 0.
    fn pack<T: Number, const W: usize>(
        &self,
        batch: usize,
        (lane, lanes): (usize, usize),
        (step, steps): (usize, usize),
        columns: &mut Columns,
        out: &mut Vec<T>,
    ) -> Result<(), Problem> {
        out.clear();
        out.resize(lanes.div_ceil(W) * W * steps, T::default());
        let domain = &self.program.domain;
        let (batch_vars, lane_vars, step_vars) = (domain.group(BATCH), domain.group(LANE), domain.group(STEP));
        let mut fixed = vec![0; self.extents.len()];
        unravel(batch as i64, &self.extents[batch_vars.clone()], &mut fixed[batch_vars]);
        let (run, other) = if self.along_lanes { (lane_vars, step_vars) } else { (step_vars, lane_vars) };
        let ((first, count), (from, times)) =
            if self.along_lanes { ((lane, lanes), (step, steps)) } else { ((step, steps), (lane, lanes)) };
        let mut block = Block::new(&self.extents, &fixed, run.start, run.end, first, count);
        let mut at = vec![0; other.len()];
        for k in 0..times {
            unravel((from + k) as i64, &self.extents[other.clone()], &mut at);
            block.fix(other.start, &at);
            self.program.run(&self.schedule, Some(&[self.root]), &block, &[], columns)?;
            let column = self.program.column(columns, self.root)?;
            let values = T::values(column).ok_or(Problem::Malformed { what: "factors are of one class" })?;
            if self.along_lanes {
                let slots = out.chunks_mut(W * steps).map(|tile| &mut tile[k * W..(k + 1) * W]);
                match values {
                    Vals::One(v) => slots.flatten().take(lanes).for_each(|slot| *slot = *v),
                    Vals::Many(vs) => slots.zip(vs.chunks(W)).for_each(|(slot, v)| slot[..v.len()].copy_from_slice(v)),
                }
            } else {
                let tile = &mut out[(k / W) * W * steps..];
                let slots = tile[k % W..].iter_mut().step_by(W).take(steps);
                match values {
                    Vals::One(v) => slots.for_each(|slot| *slot = *v),
                    Vals::Many(vs) => slots.zip(vs).for_each(|(slot, v)| *slot = *v),
                }
            }
        }
        Ok(())
    }
}

/// Adds the products of packed rows and columns to a tile, step by step.
fn multiply<T: Number>(a: &[T], b: &[T], tile: &mut Tile<T>) {
    let mut sums = *tile;
    for (a, b) in a.as_chunks::<ROWS>().0.iter().zip(b.as_chunks::<COLS>().0) {
        for (sums, a) in sums.iter_mut().zip(a) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = T::step(*sum, *a, *b);
            }
        }
    }
    *tile = sums;
}

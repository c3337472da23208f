//! Sums of products whose factors each depend on other dims: register-blocked tiles in shared memory.
//!
//! ```text
//! CTA: 64 rows x 64 columns of one batch index, 16 steps at a time       rows: dims of the first factor alone
//! thread (x, y): rows (or columns) y + 16 i, columns (or rows) x + 16 j  columns: dims of the second factor alone
//! ```
//!
//! A factor is any expression: what it loads is computed once for each place of its tile. The products of 16 steps are added
//! first, then their sum to the total, so that the error of n terms is within (16 + n / 16) units of rounding; floats below 64
//! bits run in f32. Memory traffic: each factor once for every 64 places of the other.

use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, Expr, ExprId};
use graph::node::Combiner;
use ptx::{Reg, Space, Type};
use ptx_expr::{Float, Width};

use crate::error::PtxError;
use crate::facts::Along;
use crate::flat::{Flat, Way};
use crate::index::Ix;
use crate::point::{Place, Point, Stage};
use crate::points::{Sinks, blocks, store};
use crate::state::stored_width;
use crate::writer::{V, Writer};

const SIDE: u32 = 64;
const STEPS: u32 = 16;
const THREADS: u32 = 256;
/// Threads along each side of a tile, and rows or columns of a thread.
const ACROSS: u32 = 16;
const EACH: u32 = SIDE / ACROSS;
/// Places of a step in shared memory.
const PITCH: u32 = SIDE + 1;

/// A sum of products with rows and columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contraction {
    pub factors: [ExprId; 2],
    /// Parallel dims of each side: those that one factor alone depends on.
    pub sides: [Vec<usize>; 2],
    /// The other parallel dims.
    pub batch: Vec<usize>,
    /// The side that neighbouring threads run along.
    pub fast: usize,
    /// Whether neighbouring threads load neighbouring steps of a factor, else neighbouring places of its side.
    pub by_step: [bool; 2],
}

/// The dims that an expression depends on.
fn depends(flat: &Flat, root: ExprId) -> Vec<bool> {
    let mut out = vec![false; flat.parallel.len() + flat.reduce.len()];
    let mut seen = vec![false; flat.exprs.len()];
    let mut stack = vec![root];
    while let Some(id) = stack.pop() {
        match seen.get_mut(id.0 as usize) {
            Some(seen) if !*seen => *seen = true,
            Some(_) | None => continue,
        }
        match flat.exprs.get(id) {
            Some(Expr::Index(k)) => out.iter_mut().skip(*k as usize).take(1).for_each(|d| *d = true),
            Some(Expr::Load { operand, index, or }) => match flat.source(*operand).map(|s| &s.way) {
                Some(Way::View { map, varies, .. }) => {
                    stack.extend(or);
                    for ((slot, stride), varies) in out.iter_mut().zip(&map.access.strides).zip(varies) {
                        *slot |= !stride.is(0) || *varies;
                    }
                }
                Some(Way::Indexed { .. }) | None => stack.extend(index.iter().chain(or)),
            },
            Some(other) => other.for_each_child(&mut |c| stack.push(c)),
            None => {}
        }
    }
    out
}

/// A stage as a contraction, if it is one.
pub fn contraction(flat: &Flat) -> Option<Contraction> {
    let [acc] = flat.accs.as_slice() else { return None };
    let Some(Expr::Binary(BinOp::Mul, a, b)) = flat.exprs.get(acc.value) else { return None };
    let dtype = flat.exprs.dtype(acc.value);
    let fits = dtype.is_float() || dtype.is_int();
    if acc.combiner != Combiner::Sum || !fits || flat.reduce.iter().any(|e| e.size.is_some()) {
        return None;
    }
    let of = [depends(flat, *a), depends(flat, *b)];
    let has = |side: usize, d: usize| of.get(side).and_then(|of| of.get(d)).copied().unwrap_or(false);
    let parallel = 0..flat.parallel.len();
    let alone = |side: usize| parallel.clone().filter(|d| has(side, *d) && !has(1 - side, *d)).collect::<Vec<_>>();
    let sides = [alone(0), alone(1)];
    let batch = parallel.clone().filter(|d| has(0, *d) == has(1, *d)).collect();
    if sides.iter().any(Vec::is_empty) {
        return None;
    }
    let fast = usize::from(sides[1].contains(&(flat.parallel.len() - 1)));
    let last = flat.parallel.len() + flat.reduce.len();
    let by_step = [*a, *b].map(|root| runs_along(flat, root, last.saturating_sub(1)));
    Some(Contraction { factors: [*a, *b], sides, batch, fast, by_step })
}

/// Whether a load of an expression finds neighbours along a dim.
fn runs_along(flat: &Flat, root: ExprId, dim: usize) -> bool {
    let mut stack = vec![root];
    while let Some(id) = stack.pop() {
        match flat.exprs.get(id) {
            Some(Expr::Load { operand, .. }) => {
                if let Some(Way::View { map, .. }) = flat.source(*operand).map(|s| &s.way) {
                    return crate::facts::along(&map.access, dim) == Along::Next;
                }
            }
            Some(other) => other.for_each_child(&mut |c| stack.push(c)),
            None => {}
        }
    }
    false
}

impl Contraction {
    pub fn extents(&self, flat: &Flat, side: usize) -> Vec<Dim> {
        let dims = self.sides.get(side).map(Vec::as_slice).unwrap_or_default();
        dims.iter().filter_map(|d| flat.parallel.get(*d)).cloned().collect()
    }
}

/// A CTA's tile.
struct Tile<'s, 'a> {
    stage: &'s Stage<'a>,
    plan: &'s Contraction,
    dtype: DType,
    /// Indices of the batch dims, by dim.
    batch: Vec<(usize, V)>,
    /// First place of the tile on each side.
    first: [V; 2],
    /// Shared memory of each factor.
    memory: [V; 2],
}

impl Tile<'_, '_> {
    fn width(&self) -> Width {
        stored_width(self.dtype)
    }

    fn ty(&self) -> Type {
        match (self.dtype.is_float(), self.width()) {
            (true, Width::B64) => Type::F64,
            (true, _) => Type::F32,
            (false, Width::B64) => Type::S64,
            (false, _) => Type::S32,
        }
    }

    fn bytes(&self) -> u32 {
        if self.width() == Width::B64 { 8 } else { 4 }
    }

    /// The index of a point: places on both sides, taken to the last beyond an end; and which of them are no ends.
    fn index(&self, w: &mut Writer, places: [Option<V>; 2], steps: &[V]) -> (Vec<V>, V) {
        let flat = self.stage.flat;
        let zero = w.m.u32(0);
        let mut index = vec![zero; flat.parallel.len()];
        let mut inside = w.m.bool(true);
        for (d, i) in &self.batch {
            if let Some(slot) = index.get_mut(*d) {
                *slot = *i;
            }
        }
        for (side, place) in places.into_iter().enumerate() {
            let Some(place) = place else { continue };
            let extents = self.plan.extents(flat, side);
            let total = Dim::product(&extents);
            let end = w.size(Ix::Narrow, &total);
            let below = w.ix_less(Ix::Narrow, place, end);
            inside = w.both(inside, below);
            let last = w.size(Ix::Narrow, &(&total - &Dim::constant(1)));
            let place = w.ix_min(Ix::Narrow, place, last);
            let own = w.unravel(Ix::Narrow, place, &extents);
            let dims = self.plan.sides.get(side).map(Vec::as_slice).unwrap_or_default();
            for (d, i) in dims.iter().zip(own) {
                if let Some(slot) = index.get_mut(*d) {
                    *slot = i;
                }
            }
        }
        index.extend(steps);
        (index, inside)
    }

    /// Puts the values of one factor for 16 steps into shared memory.
    fn fill(&self, w: &mut Writer, side: usize, first_step: V, total: &Dim) -> Result<(), PtxError> {
        let flat = self.stage.flat;
        let bounds: Vec<Dim> = flat.reduce.iter().map(|e| e.bound.clone()).collect();
        let (root, first, memory) = (self.plan.factors[side], self.first[side], self.memory[side]);
        let thread = w.thread();
        for r in 0..SIDE * STEPS / THREADS {
            let offset = w.m.u32(r * THREADS);
            let at = w.ix_add(Ix::Narrow, thread, offset);
            let by = if self.plan.by_step[side] { STEPS } else { SIDE };
            let (high, low) = w.ix_divide(Ix::Narrow, at, &Dim::constant(i64::from(by)));
            let (step, place) = if self.plan.by_step[side] { (low, high) } else { (high, low) };
            let k = w.ix_add(Ix::Narrow, first_step, step);
            let end = w.size(Ix::Narrow, total);
            let real = w.ix_less(Ix::Narrow, k, end);
            let last = w.size(Ix::Narrow, &(total - &Dim::constant(1)));
            let k = w.ix_min(Ix::Narrow, k, last);
            let steps = w.unravel(Ix::Narrow, k, &bounds);
            let mine = w.ix_add(Ix::Narrow, first, place);
            let mut places = [None, None];
            places[side] = Some(mine);
            let (index, _) = self.index(w, places, &steps);
            let value = Point::new(self.stage, index).value(w, root)?;
            let none = w.m.constant(self.width(), 0);
            let value = w.m.select(self.width(), real, value, none);
            let pitch = w.m.u32(PITCH);
            let slot = w.ix_mad(Ix::Narrow, step, pitch, place);
            let bytes = w.m.u32(self.bytes());
            let address = w.ix_mad(Ix::Narrow, slot, bytes, memory);
            let (address, value) = (w.address(address), w.reg(value, self.ty()));
            let ty = if self.width() == Width::B64 { Type::B64 } else { Type::B32 };
            w.b().st(Space::Shared, ty, address, value);
        }
        Ok(())
    }

    /// Values of one side of a thread at a step.
    fn values(&self, w: &mut Writer, side: usize, own: V, step: u32) -> Vec<Reg> {
        let bytes = w.m.u32(self.bytes());
        let base = w.ix_mad(Ix::Narrow, own, bytes, self.memory[side]);
        let base = w.address(base);
        let ty = if self.width() == Width::B64 { Type::B64 } else { Type::B32 };
        let offset = |k: u32| i64::from((step * PITCH + k * ACROSS) * self.bytes());
        (0..EACH).map(|k| w.b().ld(Space::Shared, ty, base.plus(offset(k)))).collect()
    }
}

/// The whole stage; yields the number of CTAs.
pub fn emit(
    w: &mut Writer,
    flat: &Flat,
    plan: &Contraction,
    places: Vec<Place>,
    sinks: &Sinks<'_>,
) -> Result<Dim, PtxError> {
    let malformed = PtxError::Malformed("a contraction without a sum");
    let acc = flat.accs.first().ok_or(malformed)?;
    let dtype = flat.exprs.dtype(acc.value);
    let stage = Stage::new(flat, Ix::Narrow, places);
    let mut grid: Vec<Dim> = plan.batch.iter().filter_map(|d| flat.parallel.get(*d)).cloned().collect();
    let tiles = [0, 1].map(|side| blocks(&Dim::product(&plan.extents(flat, side)), SIDE));
    grid.extend(tiles);
    let cta = w.cta(Ix::Narrow);
    let mut at = w.unravel(Ix::Narrow, cta, &grid);
    let side = w.m.u32(SIDE);
    let column = at.pop().unwrap_or(side);
    let row = at.pop().unwrap_or(side);
    let first = [row, column].map(|t| w.ix_mul(Ix::Narrow, t, side));
    let bytes = STEPS * PITCH * if stored_width(dtype) == Width::B64 { 8 } else { 4 };
    let memory = ["rows", "columns"].map(|name| w.shared(name, bytes));
    let batch = plan.batch.iter().copied().zip(at).collect();
    let tile = Tile { stage: &stage, plan, dtype, batch, first, memory };
    let thread = w.thread();
    let (y, x) = w.ix_divide(Ix::Narrow, thread, &Dim::constant(i64::from(ACROSS)));
    let own = if plan.fast == 1 { [y, x] } else { [x, y] };
    let zero = w.m.constant(tile.width(), 0);
    let count = (EACH * EACH) as usize;
    let sums: Vec<V> = (0..count).map(|_| w.var(tile.width(), zero)).collect();
    let total = flat.steps();
    let (start, end, step) = (w.m.u32(0), w.size(Ix::Narrow, &total), w.m.u32(STEPS));
    w.count(Ix::Narrow, start, end, step, |w, k| {
        tile.fill(w, 0, k, &total)?;
        tile.fill(w, 1, k, &total)?;
        w.barrier();
        multiply(w, &tile, own, &sums);
        w.barrier();
        Ok(())
    })?;
    for i in 0..EACH {
        for j in 0..EACH {
            let offsets = [i, j].map(|k| w.m.u32(k * ACROSS));
            let mut places = [None, None];
            for side in [0, 1] {
                let place = w.ix_add(Ix::Narrow, tile.first[side], own[side]);
                places[side] = Some(w.ix_add(Ix::Narrow, place, offsets[side]));
            }
            let none: Vec<V> = flat.reduce.iter().map(|_| w.m.u32(0)).collect();
            let (index, inside) = tile.index(w, places, &none);
            let sum = sums.get((i * EACH + j) as usize).copied().ok_or(PtxError::Malformed("a sum less"))?;
            let sum = match (dtype.is_float(), dtype) {
                (true, DType::F64) => sum,
                (true, _) => w.cast(DType::F32, dtype, sum)?,
                (false, _) => w.wrap(dtype, sum)?,
            };
            let mut point = Point::new(&stage, index.clone());
            point.set_accs(vec![sum]);
            let parallel = index.get(..flat.parallel.len()).unwrap_or_default();
            store(w, &stage, &mut [point], parallel, sinks, Some(inside))?;
        }
    }
    Ok(Dim::product(&grid))
}

/// Adds the products of 16 steps to a thread's sums.
fn multiply(w: &mut Writer, tile: &Tile<'_, '_>, own: [V; 2], sums: &[V]) {
    let ty = tile.ty();
    let float = match ty {
        Type::F32 => Some(Float::F32),
        Type::F64 => Some(Float::F64),
        _ => None,
    };
    let zero = w.m.constant(tile.width(), 0);
    let parts: Vec<V> = match float {
        Some(_) => sums.iter().map(|_| w.var(tile.width(), zero)).collect(),
        None => sums.to_vec(),
    };
    for step in 0..STEPS {
        let rows = tile.values(w, 0, own[0], step);
        let columns = tile.values(w, 1, own[1], step);
        let pairs = rows.iter().flat_map(|a| columns.iter().map(move |b| (*a, *b)));
        for ((a, b), part) in pairs.zip(&parts) {
            let part = w.reg(*part, ty);
            w.b().accumulate(ty, a, b, part);
        }
    }
    if let Some(f) = float {
        for (sum, part) in sums.iter().zip(&parts) {
            let new = w.m.add(f, *sum, *part);
            w.set(*sum, new);
        }
    }
}

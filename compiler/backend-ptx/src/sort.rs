//! Stable sorts along an axis. One key of up to 32 bits over a known extent: many CTAs ([`merge`]). Else a CTA sorts one line by a
//! bitonic network over elements of 64 bits, in shared memory or in
//! the scratch.
//!
//! With one key of up to 32 bits, an element is the key's order (above) and its position (below), so that elements compare as
//! numbers and equal keys keep their order. Otherwise an element is a position, and keys are read to compare.

mod merge;

use graph::dim::{Dim, Pred};
use graph::dtype::{Class, DType};
use graph::symbol::Symbols;
use nest::kernel::Kernel;
use ptx::{Space, Type};
use ptx_expr::{Convert, Float, Int, IntOp, Number, Relation, Width};

use crate::compile::Ctx;
use crate::error::PtxError;
use crate::facts::{Limits, all, at_most};
use crate::index::Ix;
use crate::launch::GpuKernel;
use crate::memory::Region;
use crate::prefix::{along_line, lines};
use crate::state::number_of;
use crate::writer::{V, Writer};

const SORTERS: u32 = 512;

/// Bytes of scratch: twice the elements of all lines, where they do not fit shared memory.
pub fn workspace(kernel: &Kernel, axis: usize, symbols: &Symbols, limits: &Limits) -> Dim {
    if let Some(sorting) = merge::sorting(kernel, axis, limits) {
        return sorting.workspace();
    }
    let Some(shape) = kernel.operands.first().map(|o| &o.shape) else { return Dim::constant(0) };
    let Some(extent) = shape.get(axis) else { return Dim::constant(0) };
    let bytes = &Dim::product(shape) * &Dim::constant(16);
    symbols.select(&at_most(extent, limits.sorted), &Dim::constant(0), &bytes)
}

pub fn launches(ctx: Ctx<'_>, axis: usize, descending: bool) -> Result<Vec<GpuKernel>, PtxError> {
    if let Some(sorting) = merge::sorting(ctx.kernel, axis, ctx.limits) {
        return merge::launches(ctx, axis, descending, &sorting);
    }
    let shape = ctx.kernel.operands.first().map(|o| o.shape.clone());
    let shape = shape.ok_or(PtxError::Malformed("a sort of nothing"))?;
    let extent = shape.get(axis).ok_or(PtxError::Malformed("no such axis"))?;
    let count = Dim::product(&lines(&shape, axis));
    let single = matches!(ctx.kernel.operands.as_slice(), [key] if key.dtype.bits() <= 32);
    let short = at_most(extent, ctx.limits.sorted);
    let not = |p: &Pred| Pred::Not(Box::new(p.clone()));
    let numbers = all([at_most(extent, ctx.limits.narrow), not(&short)], ctx.symbols);
    let mut ways = vec![(short.clone(), true, single)];
    if single {
        ways.push((numbers, false, true));
        let wide = [not(&at_most(extent, ctx.limits.narrow)), not(&short)];
        ways.push((all(wide, ctx.symbols), false, false));
    } else {
        ways.push((not(&short), false, false));
    }
    let mut out = Vec::new();
    for (when, shared, composite) in ways {
        if ctx.symbols.prove(&when) == Some(false) {
            continue;
        }
        let mut w = Writer::new("sort", ctx.sm);
        let sorter = Sorter::new(&mut w, ctx, axis, descending, &shape, (shared, composite))?;
        sorter.emit(&mut w)?;
        out.push(ctx.launch(w, &when, [count.clone(), Dim::constant(1), Dim::constant(1)], SORTERS)?);
    }
    Ok(out)
}

struct Sorter<'a> {
    ctx: Ctx<'a>,
    axis: usize,
    descending: bool,
    composite: bool,
    line: Vec<V>,
    extent: V,
    keys: Vec<Region>,
    results: Vec<Region>,
    space: Space,
    base: V,
}

impl<'a> Sorter<'a> {
    fn new(
        w: &mut Writer,
        ctx: Ctx<'a>,
        axis: usize,
        descending: bool,
        shape: &[Dim],
        (shared, composite): (bool, bool),
    ) -> Result<Sorter<'a>, PtxError> {
        let extent = shape.get(axis).ok_or(PtxError::Malformed("no such axis"))?;
        let cta = w.cta(Ix::Wide);
        let line = w.unravel(Ix::Wide, cta, &lines(shape, axis));
        let mut keys = Vec::new();
        for k in 0..ctx.kernel.operands.len() {
            keys.push(w.operand(ctx.kernel, k)?);
        }
        let (space, base) = if shared {
            let most = extent.as_size().map_or(ctx.limits.sorted, |e| e.max(1) as i64);
            (Space::Shared, w.shared("elements", (most.cast_unsigned().next_power_of_two() * 8) as u32))
        } else {
            let scratch = w.workspace(&Dim::constant(0));
            let bytes = w.size(Ix::Wide, &(extent * &Dim::constant(16)));
            (Space::Global, w.ix_mad(Ix::Wide, cta, bytes, scratch))
        };
        let results = w.results(ctx.kernel)?;
        let extent = w.size(Ix::Wide, extent);
        Ok(Sorter { ctx, axis, descending, composite, line, extent, keys, results, space, base })
    }

    fn emit(&self, w: &mut Writer) -> Result<(), PtxError> {
        let thread = w.thread();
        let thread = w.ix_from32(Ix::Wide, thread);
        let step = w.m.i64(i64::from(SORTERS));
        let whole = self.whole(w);
        w.count(Ix::Wide, thread, whole, step, |w, i| {
            let none = w.m.u64(u64::MAX);
            let element = w.var(Width::B64, none);
            let inside = w.ix_less(Ix::Wide, i, self.extent);
            w.when(inside, |w| {
                let new = self.element(w, i)?;
                w.set(element, new);
                Ok(())
            })?;
            self.put(w, i, element);
            Ok(())
        })?;
        w.barrier();
        self.network(w, thread, whole)?;
        let limit = self.ctx.kernel.results.first().and_then(|r| r.shape.get(self.axis));
        let limit = limit.cloned().ok_or(PtxError::Malformed("a sort without results"))?;
        let limit = w.size(Ix::Wide, &limit);
        w.count(Ix::Wide, thread, limit, step, |w, i| self.output(w, i))
    }

    /// The number of elements rounded up to a power of two.
    fn whole(&self, w: &mut Writer) -> V {
        if let Some(known) = w.m.known(self.extent) {
            return w.m.u64(known.max(1).next_power_of_two());
        }
        let one = w.m.i64(1);
        let below = w.m.int2(IntOp::Sub, Int::S64, self.extent, one);
        let zeros = w.m.apply(ptx_expr::Op::Bits(ptx_expr::BitOp::LeadingZeros, Width::B64), &[below]);
        let all = w.m.u32(64);
        let bits = w.m.int2(IntOp::Sub, Int::U32, all, zeros);
        w.m.int2(IntOp::Shl, Int::U64, one, bits)
    }

    /// Compares and swaps in distances `j` within blocks of `k`, for all k up to the whole and all j below each.
    fn network(&self, w: &mut Writer, thread: V, whole: V) -> Result<(), PtxError> {
        let (one, two) = (w.m.i64(1), w.m.i64(2));
        let shift = w.m.u32(1);
        let k = w.var(Width::B64, two);
        let j = w.var(Width::B64, one);
        let pairs = w.m.int2(IntOp::Shr, Int::U64, whole, shift);
        let step = w.m.i64(i64::from(SORTERS));
        w.while_loop(
            |w| Ok(w.m.icmp(Relation::Le, Int::U64, k, whole)),
            |w| {
                let half = w.m.int2(IntOp::Shr, Int::U64, k, shift);
                w.set(j, half);
                w.while_loop(
                    |w| Ok(w.m.icmp(Relation::Gt, Int::U64, j, w_zero())),
                    |w| {
                        w.count(Ix::Wide, thread, pairs, step, |w, t| self.exchange(w, t, j, k))?;
                        w.barrier();
                        let next = w.m.int2(IntOp::Shr, Int::U64, j, shift);
                        w.set(j, next);
                        Ok(())
                    },
                )?;
                let next = w.m.int2(IntOp::Shl, Int::U64, k, shift);
                w.set(k, next);
                Ok(())
            },
        )
    }

    fn exchange(&self, w: &mut Writer, t: V, j: V, k: V) -> Result<(), PtxError> {
        let one = w.m.i64(1);
        let mask = w.m.int2(IntOp::Sub, Int::U64, j, one);
        let low = w.m.and(Width::B64, t, mask);
        let twice = w.m.int2(IntOp::Add, Int::U64, t, t);
        let i = w.m.int2(IntOp::Sub, Int::U64, twice, low);
        let l = w.m.int2(IntOp::Add, Int::U64, i, j);
        let (a, b) = (self.get(w, i), self.get(w, l));
        let in_block = w.m.and(Width::B64, i, k);
        let zero = w.m.i64(0);
        let up = w.m.icmp(Relation::Eq, Int::U64, in_block, zero);
        // Elements are all different, so one comparison decides both directions.
        let wrong = self.less(w, b, a)?;
        let swap = w.m.not(Width::Pred, up);
        let swap = w.m.xor(Width::Pred, wrong, swap);
        let same = w.m.icmp(Relation::Eq, Int::U64, a, b);
        let differ = w.m.not(Width::Pred, same);
        let swap = w.both(swap, differ);
        w.when(swap, |w| {
            self.put(w, i, b);
            self.put(w, l, a);
            Ok(())
        })
    }

    fn slot(&self, w: &mut Writer, i: V) -> ptx::Address {
        let at = match self.space {
            Space::Shared => {
                let (i, eight) = (w.low(i), w.m.u32(8));
                w.ix_mad(Ix::Narrow, i, eight, self.base)
            }
            _ => w.global_address(self.base, Ix::Wide, i, 8),
        };
        w.address(at)
    }

    fn get(&self, w: &mut Writer, i: V) -> V {
        let at = self.slot(w, i);
        let reg = w.b().ld(self.space, Type::B64, at);
        w.value_of(reg)
    }

    fn put(&self, w: &mut Writer, i: V, value: V) {
        let at = self.slot(w, i);
        let value = w.reg(value, Type::B64);
        w.b().st(self.space, Type::B64, at, value);
    }

    fn key(&self, w: &mut Writer, k: usize, at: V) -> Result<V, PtxError> {
        let malformed = PtxError::Malformed("a sort without keys");
        let port = self.ctx.kernel.operands.get(k).ok_or(malformed.clone())?;
        let region = self.keys.get(k).ok_or(malformed)?;
        let index = along_line(&self.line, self.axis, at);
        let address = w.view_address(Ix::Wide, &port.access, &index);
        w.load(region, Ix::Wide, address, None)
    }

    /// The element for position `i` of the line.
    fn element(&self, w: &mut Writer, i: V) -> Result<V, PtxError> {
        if !self.composite {
            return Ok(i);
        }
        let dtype = self.keys.first().map(|k| k.dtype).ok_or(PtxError::Malformed("a sort without keys"))?;
        let key = self.key(w, 0, i)?;
        let mut order = ordered(w, dtype, key);
        if self.descending {
            order = w.m.not(Width::B32, order);
        }
        let high = w.m.convert(Convert::ExtendZero, order);
        let shift = w.m.u32(32);
        let high = w.m.int2(IntOp::Shl, Int::U64, high, shift);
        Ok(w.m.or(Width::B64, high, i))
    }

    /// Whether one element comes before another.
    fn less(&self, w: &mut Writer, a: V, b: V) -> Result<V, PtxError> {
        let numbers = w.m.icmp(Relation::Lt, Int::U64, a, b);
        if self.composite {
            return Ok(numbers);
        }
        // Positions beyond the line come last.
        let highest = w.m.int2(IntOp::Max, Int::U64, a, b);
        let inside = w.ix_less(Ix::Wide, highest, self.extent);
        let start = w.bit(numbers);
        let result = w.var(Width::B32, start);
        w.when(inside, |w| {
            let mut before = w.m.bool(false);
            let mut equal = w.m.bool(true);
            for (k, region) in self.keys.iter().enumerate() {
                let (x, y) = (self.key(w, k, a)?, self.key(w, k, b)?);
                let (x, y) = if self.descending { (y, x) } else { (x, y) };
                let (less, same) = compared(w, region.dtype, x, y);
                let here = w.both(equal, less);
                before = w.m.or(Width::Pred, before, here);
                equal = w.both(equal, same);
            }
            let tie = w.both(equal, numbers);
            before = w.m.or(Width::Pred, before, tie);
            let before = w.bit(before);
            w.set(result, before);
            Ok(())
        })?;
        Ok(w.is_not_zero(result))
    }

    fn output(&self, w: &mut Writer, i: V) -> Result<(), PtxError> {
        let element = self.get(w, i);
        let source = if self.composite {
            let low = w.low(element);
            w.ix_from32(Ix::Wide, low)
        } else {
            element
        };
        let index = along_line(&self.line, self.axis, i);
        for (k, (region, port)) in self.results.iter().zip(&self.ctx.kernel.results).enumerate() {
            let value = if k < self.keys.len() { self.key(w, k, source)? } else { source };
            let at = w.view_address(Ix::Wide, &port.access, &index);
            w.store(region, Ix::Wide, at, value, None)?;
        }
        Ok(())
    }
}

fn w_zero() -> V {
    ptx_expr::Value::Const(Width::B64, 0)
}

/// A key of up to 32 bits as an unsigned number of the same order; -0 as +0, NaN highest.
fn ordered(w: &mut Writer, dtype: DType, key: V) -> V {
    let top = w.m.u32(1 << 31);
    match dtype.class() {
        Class::Float => {
            let zero = w.m.float(Float::F32, 0.0);
            let plain = w.m.add(Float::F32, key, zero);
            let negative = w.m.icmp(Relation::Lt, Int::S32, plain, zero);
            let (down, up) = (w.m.not(Width::B32, plain), w.m.or(Width::B32, plain, top));
            let order = w.m.select(Width::B32, negative, down, up);
            let nan = w.m.is_nan(Float::F32, key);
            let highest = w.m.u32(u32::MAX);
            w.m.select(Width::B32, nan, highest, order)
        }
        Class::Signed => w.m.xor(Width::B32, key, top),
        Class::Bool => w.bit(key),
        Class::Unsigned | Class::Str => key,
    }
}

/// Whether one key is before another, and whether they are equal.
fn compared(w: &mut Writer, dtype: DType, x: V, y: V) -> (V, V) {
    if dtype == DType::Bool {
        let (x, y) = (w.bit(x), w.bit(y));
        return (w.m.icmp(Relation::Lt, Int::U32, x, y), w.m.icmp(Relation::Eq, Int::U32, x, y));
    }
    let number = number_of(dtype);
    let less = w.m.compare(Relation::Lt, number, x, y);
    let same = w.m.compare(Relation::Eq, number, x, y);
    let Number::Float(f) = number else { return (less, same) };
    let (nan_x, nan_y) = (w.m.is_nan(f, x), w.m.is_nan(f, y));
    let number_x = w.m.not(Width::Pred, nan_x);
    let rises = w.both(number_x, nan_y);
    let both = w.both(nan_x, nan_y);
    (w.m.or(Width::Pred, less, rises), w.m.or(Width::Pred, same, both))
}

//! Values of expressions at one point of a collapsed stage.
//!
//! Index expressions whose values fit 32 bits by their ranges are computed in 32 bits. Views are read by strides; a run of
//! them may be read ahead ([`Point::preload`]). Other loads are checked where they have an `or`.

pub mod coarse;
mod range;

use std::collections::BTreeMap;

use graph::dim::{Dim, Pred};
use graph::dtype::DType;
use graph::expr::{BinOp, CmpOp, Expr, ExprId, UnOp};
use graph::symbol::Symbols;
use ptx_expr::{Approx, Convert, Float, Int, IntOp, MathsMode, Relation, Width};

use crate::error::PtxError;
use crate::facts::{Along, access_width, aligned, along, is_steady};
use crate::flat::{Check, Flat, Map, Source, Way};
use crate::index::Ix;
use crate::memory::Region;
use crate::point::range::range;
use crate::writer::{V, Writer};

/// Where the sources of a stage lie.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    Region(Region),
    /// A kept value that is the same at every inner index, in working form.
    Value(V),
}

/// An integer of index arithmetic.
#[derive(Clone, Copy, Debug)]
pub enum Whole {
    /// i32.
    Small(V),
    /// i64.
    Large(V),
}

/// What is known about a stage while its points are computed.
pub struct Stage<'a> {
    pub flat: &'a Flat,
    pub ix: Ix,
    /// By source.
    pub places: Vec<Place>,
    /// Least and largest value of index expressions, where they fit 32 bits.
    ranges: Vec<Option<(i64, i64)>>,
    /// By source: whether points, or the steps of a reduction, read it.
    read: Vec<bool>,
    /// By expression: whether approximations are precise enough.
    coarse: Vec<bool>,
}

/// One point.
pub struct Point<'s, 'a> {
    stage: &'s Stage<'a>,
    /// In the width of the stage, one per index variable.
    index: Vec<V>,
    accs: Vec<V>,
    loaded: BTreeMap<u32, V>,
    known: BTreeMap<ExprId, V>,
    wholes: BTreeMap<ExprId, Whole>,
}

impl<'a> Stage<'a> {
    pub fn new(flat: &'a Flat, ix: Ix, places: Vec<Place>) -> Stage<'a> {
        Stage::among(flat, ix, places, &coarse::Kept::default())
    }

    /// A stage of several, that keep values.
    pub fn among(flat: &'a Flat, ix: Ix, places: Vec<Place>, kept: &coarse::Kept) -> Stage<'a> {
        let mut ranges = Vec::with_capacity(flat.exprs.len());
        let extents = flat.extents();
        for (_, expr) in flat.exprs.iter() {
            let range = range(expr, &ranges, &extents);
            ranges.push(range.filter(|(lo, hi)| *lo >= i64::from(i32::MIN) && *hi <= i64::from(i32::MAX)));
        }
        Stage { flat, ix, places, ranges, read: read(flat), coarse: coarse::coarse(flat, kept) }
    }

    fn range(&self, id: ExprId) -> Option<(i64, i64)> {
        self.ranges.get(id.0 as usize).copied().flatten()
    }

    fn maths(&self, id: ExprId) -> MathsMode {
        let coarse = self.coarse.get(id.0 as usize).copied().unwrap_or(false);
        if coarse { MathsMode::Fast } else { MathsMode::Precise }
    }

    pub fn place(&self, source: u32) -> Result<Place, PtxError> {
        self.places.get(source as usize).copied().ok_or(PtxError::Malformed("a source without a place"))
    }
}

/// Sources that the values of accumulators need, or outputs where there are none.
fn read(flat: &Flat) -> Vec<bool> {
    let mut read = vec![false; flat.sources.len()];
    let mut seen = vec![false; flat.exprs.len()];
    let mut stack: Vec<ExprId> = flat.accs.iter().map(|a| a.value).collect();
    if flat.accs.is_empty() {
        stack.extend(flat.outs.iter().map(|(value, _)| *value));
    }
    while let Some(id) = stack.pop() {
        match seen.get_mut(id.0 as usize) {
            Some(seen) if !*seen => *seen = true,
            Some(_) | None => continue,
        }
        let Some(expr) = flat.exprs.get(id) else { continue };
        if let Expr::Load { operand, .. } = expr {
            read.iter_mut().skip(*operand as usize).take(1).for_each(|r| *r = true);
            if let Some(Way::View { map, checks, .. }) = flat.source(*operand).map(|s| &s.way) {
                let maps = checks.iter().map(|c| &c.map).chain([map]);
                stack.extend(maps.flat_map(|m| m.terms.iter().map(|(_, id)| *id)));
            }
        }
        expr.for_each_child(&mut |c| stack.push(c));
    }
    read
}

impl<'s, 'a> Point<'s, 'a> {
    pub fn new(stage: &'s Stage<'a>, index: Vec<V>) -> Point<'s, 'a> {
        Point {
            stage,
            index,
            accs: Vec::new(),
            loaded: BTreeMap::new(),
            known: BTreeMap::new(),
            wholes: BTreeMap::new(),
        }
    }

    /// Results of the accumulators, for outputs.
    pub fn set_accs(&mut self, accs: Vec<V>) {
        self.accs = accs;
    }

    /// The value of a view at this point, read ahead.
    pub fn preload(&mut self, source: u32, value: V) {
        self.loaded.insert(source, value);
    }

    /// The value of an expression in working form.
    pub fn value(&mut self, w: &mut Writer, id: ExprId) -> Result<V, PtxError> {
        if let Some(known) = self.known.get(&id) {
            return Ok(*known);
        }
        let exprs = &self.stage.flat.exprs;
        let dtype = exprs.dtype(id);
        let value = if dtype == DType::I64 {
            match self.whole(w, id)? {
                Whole::Large(v) => v,
                Whole::Small(v) => match w.m.known(v) {
                    Some(bits) => w.m.i64(i64::from(bits as u32 as i32)),
                    None => w.m.convert(Convert::ExtendSigned, v),
                },
            }
        } else {
            self.scalar(w, id, dtype)?
        };
        self.known.insert(id, value);
        Ok(value)
    }

    fn scalar(&mut self, w: &mut Writer, id: ExprId, dtype: DType) -> Result<V, PtxError> {
        let exprs = &self.stage.flat.exprs;
        let expr = exprs.get(id).ok_or(PtxError::Malformed("no such expression"))?;
        match expr {
            Expr::Const(c) => w.constant(*c),
            Expr::Acc(k) => {
                self.accs.get(*k as usize).copied().ok_or(PtxError::Malformed("an accumulator without a value"))
            }
            Expr::Index(_) | Expr::Dim(_) => Err(PtxError::Malformed("an index that is not i64")),
            Expr::Unary(op, a) => {
                let from = exprs.dtype(*a);
                let a = self.value(w, *a)?;
                // Tangents and logarithms of the hardware are coarser than 16 bits ask for.
                let maths = match op {
                    UnOp::Tanh | UnOp::Log => MathsMode::Precise,
                    _ => self.stage.maths(id),
                };
                w.unary_with(maths, *op, from, a)
            }
            Expr::Binary(BinOp::Div, a, b) if dtype == DType::F32 && self.stage.maths(id) == MathsMode::Fast => {
                let (a, b) = (self.value(w, *a)?, self.value(w, *b)?);
                let inverse = w.m.apply(ptx_expr::Op::Approx(Approx::Rcp), &[b]);
                Ok(w.m.mul(Float::F32, a, inverse))
            }
            Expr::Binary(op, a, b) => {
                let (a, b) = (self.value(w, *a)?, self.value(w, *b)?);
                w.binary(*op, dtype, a, b)
            }
            Expr::Compare(op, a, b) => self.compare(w, *op, *a, *b),
            Expr::Select(c, a, b) => {
                let (c, a, b) = (self.value(w, *c)?, self.value(w, *a)?, self.value(w, *b)?);
                Ok(w.select(dtype, c, a, b))
            }
            Expr::Fma(a, b, c) => {
                let (a, b, c) = (self.value(w, *a)?, self.value(w, *b)?, self.value(w, *c)?);
                w.fma(dtype, a, b, c)
            }
            Expr::Cast { to, saturate, rounding, value } => {
                let from = exprs.dtype(*value);
                let value = self.value(w, *value)?;
                w.cast_with(from, *to, *saturate, *rounding, value)
            }
            Expr::Bitcast { to, value } => {
                let from = exprs.dtype(*value);
                let value = self.value(w, *value)?;
                w.bitcast(from, *to, value)
            }
            Expr::Load { operand, index, or } => self.load(w, *operand, index, *or),
        }
    }

    /// A comparison; of small integers in 32 bits.
    fn compare(&mut self, w: &mut Writer, op: CmpOp, a: ExprId, b: ExprId) -> Result<V, PtxError> {
        let dtype = self.stage.flat.exprs.dtype(a);
        if dtype == DType::I64
            && let (Whole::Small(a), Whole::Small(b)) = (self.whole(w, a)?, self.whole(w, b)?)
        {
            let relation = match op {
                CmpOp::Eq => Relation::Eq,
                CmpOp::Ne => Relation::Ne,
                CmpOp::Lt => Relation::Lt,
                CmpOp::Le => Relation::Le,
            };
            return Ok(w.m.icmp(relation, Int::S32, a, b));
        }
        let (a, b) = (self.value(w, a)?, self.value(w, b)?);
        w.compare(op, dtype, a, b)
    }

    /// The value of an i64 expression, in 32 bits where its range allows.
    pub fn whole(&mut self, w: &mut Writer, id: ExprId) -> Result<Whole, PtxError> {
        if let Some(known) = self.wholes.get(&id) {
            return Ok(*known);
        }
        let whole = self.new_whole(w, id)?;
        self.wholes.insert(id, whole);
        Ok(whole)
    }

    fn new_whole(&mut self, w: &mut Writer, id: ExprId) -> Result<Whole, PtxError> {
        let stage = self.stage;
        let expr = stage.flat.exprs.get(id).ok_or(PtxError::Malformed("no such expression"))?;
        let small = stage.range(id).is_some();
        Ok(match expr {
            Expr::Const(c) if small => Whole::Small(w.m.i32(c.as_i64() as i32)),
            Expr::Dim(d) if small => Whole::Small(w.m.i32(d.as_const().unwrap_or(0) as i32)),
            Expr::Dim(d) => Whole::Large(w.size(Ix::Wide, d)),
            Expr::Index(k) => {
                let index = self.index.get(*k as usize).copied().ok_or(PtxError::Malformed("no such index"))?;
                match stage.ix {
                    Ix::Narrow => Whole::Small(index),
                    Ix::Wide => Whole::Large(index),
                }
            }
            Expr::Unary(UnOp::Neg, a) if small => match self.whole(w, *a)? {
                Whole::Small(a) => {
                    let zero = w.m.i32(0);
                    Whole::Small(w.m.int2(IntOp::Sub, Int::S32, zero, a))
                }
                Whole::Large(a) => Whole::Large(w.unary(UnOp::Neg, DType::I64, a)?),
            },
            Expr::Binary(op, a, b) if small => {
                let (x, y) = (self.whole(w, *a)?, self.whole(w, *b)?);
                match (x, y) {
                    (Whole::Small(x), Whole::Small(y)) => Whole::Small(self.small(w, *op, (*a, x), (*b, y))?),
                    _ => {
                        let (x, y) = (self.value(w, *a)?, self.value(w, *b)?);
                        Whole::Large(w.binary(*op, DType::I64, x, y)?)
                    }
                }
            }
            Expr::Select(c, a, b) if small => {
                let c = self.value(w, *c)?;
                match (self.whole(w, *a)?, self.whole(w, *b)?) {
                    (Whole::Small(a), Whole::Small(b)) => Whole::Small(w.m.select(Width::B32, c, a, b)),
                    _ => {
                        let (a, b) = (self.value(w, *a)?, self.value(w, *b)?);
                        Whole::Large(w.m.select(Width::B64, c, a, b))
                    }
                }
            }
            _ => Whole::Large(self.scalar(w, id, DType::I64)?),
        })
    }

    /// An operation on integers whose operands and result fit 32 bits.
    fn small(&mut self, w: &mut Writer, op: BinOp, (a, x): (ExprId, V), (b, y): (ExprId, V)) -> Result<V, PtxError> {
        let plain = match op {
            BinOp::Add => Some(IntOp::Add),
            BinOp::Sub => Some(IntOp::Sub),
            BinOp::Mul => Some(IntOp::Mul),
            BinOp::Min => Some(IntOp::Min),
            BinOp::Max => Some(IntOp::Max),
            _ => None,
        };
        if let Some(plain) = plain {
            return Ok(w.m.int2(plain, Int::S32, x, y));
        }
        let nonnegative = self.stage.range(a).is_some_and(|(lo, _)| lo >= 0);
        let divisor = self.stage.range(b).filter(|(lo, hi)| lo == hi && *lo > 0).map(|(lo, _)| Dim::constant(lo));
        match (op, divisor) {
            (BinOp::FloorDiv | BinOp::Div, Some(d)) if nonnegative => Ok(w.ix_divide(Ix::Narrow, x, &d).0),
            (BinOp::Mod | BinOp::Rem, Some(d)) if nonnegative => Ok(w.ix_divide(Ix::Narrow, x, &d).1),
            _ => w.binary(op, DType::I32, x, y),
        }
    }

    fn load(&mut self, w: &mut Writer, operand: u32, index: &[ExprId], or: Option<ExprId>) -> Result<V, PtxError> {
        let stage = self.stage;
        let source = stage.flat.source(operand).ok_or(PtxError::Malformed("no such source"))?;
        if let Some(known) = self.loaded.get(&operand).copied() {
            let Way::View { checks, .. } = &source.way else { return Ok(known) };
            return match self.checked(w, checks)? {
                Some(inside) => self.otherwise(w, source.dtype, inside, known, or),
                None => Ok(known),
            };
        }
        let region = match stage.place(operand)? {
            Place::Value(value) => return Ok(value),
            Place::Region(region) => region,
        };
        let access = match &source.way {
            Way::View { map, checks, .. } => {
                let at = self.map_address(w, map)?;
                let Some(inside) = self.checked(w, checks)? else { return w.load(&region, stage.ix, at, None) };
                let loaded = w.load(&region, stage.ix, at, Some(inside))?;
                return self.otherwise(w, source.dtype, inside, loaded, or);
            }
            Way::Indexed { access } => access,
        };
        let inside = if or.is_some() { self.inside(w, source, index)? } else { None };
        let mut at = Vec::with_capacity(index.len());
        for i in index {
            at.push(self.index_value(w, *i)?);
        }
        let at = w.view_address(self.stage.ix, access, &at);
        let loaded = w.load(&region, stage.ix, at, inside)?;
        match inside {
            Some(inside) => self.otherwise(w, source.dtype, inside, loaded, or),
            None => Ok(loaded),
        }
    }

    /// What was loaded, or the other value where it is not there.
    fn otherwise(
        &mut self,
        w: &mut Writer,
        dtype: DType,
        inside: V,
        loaded: V,
        or: Option<ExprId>,
    ) -> Result<V, PtxError> {
        let Some(or) = or else { return Ok(loaded) };
        let or = self.value(w, or)?;
        Ok(w.select(dtype, inside, loaded, or))
    }

    /// The address of a map, right where it is in range.
    fn map_address(&mut self, w: &mut Writer, map: &Map) -> Result<V, PtxError> {
        let ix = self.stage.ix;
        let mut at = w.view_address(ix, &map.access, &self.index);
        for (coef, term) in &map.terms {
            let value = self.index_value(w, *term)?;
            let coef = w.size(ix, coef);
            at = w.ix_mad(ix, value, coef, at);
        }
        Ok(at)
    }

    /// Whether all checks hold; `None`: there are none.
    fn checked(&mut self, w: &mut Writer, checks: &[Check]) -> Result<Option<V>, PtxError> {
        let mut all: Option<V> = None;
        for check in checks {
            // As unsigned numbers, negative ones are beyond any extent. Values from data may be beyond 32 bits.
            let ix = if check.map.terms.is_empty() { self.stage.ix } else { Ix::Wide };
            let index: Vec<V> = self.index.clone();
            let index: Vec<V> = if ix == self.stage.ix {
                index
            } else {
                index.into_iter().map(|i| w.ix_to64(self.stage.ix, i)).collect()
            };
            let mut value = w.view_address(ix, &check.map.access, &index);
            for (coef, term) in &check.map.terms {
                let term = self.value(w, *term)?;
                let coef = w.size(ix, coef);
                value = w.ix_mad(ix, term, coef, value);
            }
            let extent = w.size(ix, &check.extent);
            let fits = w.ix_less(ix, value, extent);
            all = Some(match all {
                Some(all) => w.both(all, fits),
                None => fits,
            });
        }
        Ok(all)
    }

    /// Whether indices are within the shape; `None`: they certainly are.
    fn inside(&mut self, w: &mut Writer, source: &Source, index: &[ExprId]) -> Result<Option<V>, PtxError> {
        let mut all: Option<V> = None;
        for (i, extent) in index.iter().zip(&source.shape) {
            let range = self.stage.range(*i);
            let (known, most) = (range.is_some_and(|(lo, _)| lo >= 0), extent.as_const());
            if known && most.zip(range).is_some_and(|(extent, (_, hi))| hi < extent) {
                continue;
            }
            // As unsigned numbers, negative ones are beyond any extent.
            let fits = match (self.whole(w, *i)?, most.filter(|e| *e <= i64::from(i32::MAX))) {
                (Whole::Small(i), Some(extent)) => {
                    let extent = w.m.u32(extent.max(0) as u32);
                    w.m.icmp(Relation::Lt, Int::U32, i, extent)
                }
                _ => {
                    let i = self.value(w, *i)?;
                    let extent = w.size(Ix::Wide, extent);
                    w.m.icmp(Relation::Lt, Int::U64, i, extent)
                }
            };
            all = Some(match all {
                Some(all) => w.m.and(Width::Pred, all, fits),
                None => fits,
            });
        }
        Ok(all)
    }

    /// An index in the width of the stage.
    pub fn index_value(&mut self, w: &mut Writer, id: ExprId) -> Result<V, PtxError> {
        Ok(match (self.whole(w, id)?, self.stage.ix) {
            (Whole::Small(i), Ix::Narrow) => i,
            (Whole::Large(i), Ix::Wide) => i,
            (Whole::Large(i), Ix::Narrow) => w.low(i),
            (Whole::Small(_), Ix::Wide) => self.value(w, id)?,
        })
    }

    /// What a view has at this point; zero where its checks do not hold.
    pub fn read_view(&mut self, w: &mut Writer, source: u32) -> Result<V, PtxError> {
        let stage = self.stage;
        let (Some(Way::View { map, checks, .. }), Place::Region(region)) =
            (stage.flat.source(source).map(|s| &s.way), stage.place(source)?)
        else {
            return Err(PtxError::Malformed("a source that is no view"));
        };
        let at = self.map_address(w, map)?;
        let guard = self.checked(w, checks)?;
        w.load(&region, stage.ix, at, guard)
    }

    /// A run of a view from this point on along a dim, along which its elements follow each other.
    pub fn run_of(&mut self, w: &mut Writer, source: u32, dim: usize, count: u32) -> Result<Vec<V>, PtxError> {
        let stage = self.stage;
        let (Some(Way::View { map, checks, .. }), Place::Region(region)) =
            (stage.flat.source(source).map(|s| &s.way), stage.place(source)?)
        else {
            return Err(PtxError::Malformed("a source that is no view"));
        };
        if along(&map.access, dim) != Along::Next {
            return Err(PtxError::Malformed("a run of elements that lie apart"));
        }
        let at = self.map_address(w, map)?;
        let guard = self.checked(w, checks)?;
        w.load_run(&region, stage.ix, at, count, guard)
    }

    /// Reads views ahead for a run of `count` points from this one on along `dim`: the values of each point.
    pub fn run_ahead(&mut self, w: &mut Writer, dim: usize, count: u32) -> Result<Vec<Vec<(u32, V)>>, PtxError> {
        let stage = self.stage;
        let mut out = vec![Vec::new(); count as usize];
        for (k, source) in stage.flat.sources.iter().enumerate() {
            let Way::View { map, checks, varies } = &source.way else { continue };
            let Place::Region(region) = stage.place(k as u32)? else { continue };
            if !stage.read.get(k).copied().unwrap_or(false) || self.loaded.contains_key(&(k as u32)) {
                continue;
            }
            // What else depends on the dim is read where it is wanted.
            let varied = varies.get(dim).copied().unwrap_or(false);
            if count > 1 && varied {
                let width = access_width(source.dtype.bits(), count);
                let lies = aligned(&map.access, dim, width, &Symbols::default());
                if !is_steady(map, checks, varies, dim, count) || lies != Pred::Const(true) {
                    continue;
                }
            }
            let at = self.map_address(w, map)?;
            let guard = self.checked(w, checks)?;
            let values = match along(&map.access, dim) {
                Along::Same => vec![w.load(&region, stage.ix, at, guard)?; count as usize],
                Along::Next => w.load_run(&region, stage.ix, at, count, guard)?,
                Along::Apart => {
                    let stride = map.access.strides.get(dim).cloned().unwrap_or_default();
                    let stride = w.size(stage.ix, &stride);
                    let mut at = at;
                    let mut values = Vec::with_capacity(count as usize);
                    for j in 0..count {
                        if j > 0 {
                            at = w.ix_add(stage.ix, at, stride);
                        }
                        values.push(w.load(&region, stage.ix, at, guard)?);
                    }
                    values
                }
            };
            for (point, value) in out.iter_mut().zip(values) {
                point.push((k as u32, value));
            }
        }
        Ok(out)
    }
}

//! Sizes as straight-line code, equal ones once.
//!
//! Lowering runs twice over it: the first time finds which sizes occur; [`SizeCode::settle`] then orders them (those that need
//! nothing but inputs first, each of the others behind the last slot that it needs); the second time names them by their
//! place.

use std::collections::{BTreeMap, BTreeSet};

use graph::dim::{Atom, Dim, Pred, SymId};
use graph::symbol::{SymSource, Symbols};
use runtime_min::gpu::program::{Set, Size, SizeOp, Span};
use runtime_min::sizes;

use crate::error::EmitError;

/// The sizes of one program.
pub struct SizeCode<'a> {
    symbols: &'a Symbols,
    /// Where the value of an input's symbol is found: input and axis.
    extents: BTreeMap<SymId, (u32, u32)>,
    /// Slots of the other symbols, numbered as they are first asked for.
    slots: BTreeMap<SymId, u32>,
    ops: Vec<SizeOp>,
    known: BTreeMap<SizeOp, Size>,
    prepared: u32,
    /// Values to be computed when a slot was set.
    spans: Vec<Span>,
}

/// What symbols stand for inside a size.
pub enum Names<'n> {
    /// Symbols of the plan.
    Plan,
    /// Parameters of a code, with their values.
    Parameters(&'n [Size]),
}

impl<'a> SizeCode<'a> {
    /// No sizes yet.
    pub fn new(symbols: &'a Symbols, extents: BTreeMap<SymId, (u32, u32)>) -> SizeCode<'a> {
        let (slots, known) = (BTreeMap::new(), BTreeMap::new());
        SizeCode { symbols, extents, slots, ops: Vec::new(), known, prepared: 0, spans: Vec::new() }
    }

    /// The plan's symbols.
    pub fn symbols(&self) -> &'a Symbols {
        self.symbols
    }

    /// The code, and the number of values that need no slot.
    pub fn finish(self) -> (Vec<SizeOp>, u32, u32) {
        let slots = self.slots.len() as u32;
        (self.ops, self.prepared, slots)
    }

    /// Whether a size needs nothing but inputs.
    pub fn known_at_start(&self, dim: &Dim) -> bool {
        let mut known = true;
        dim.for_each_symbol(&mut |id| known &= self.is_input(id));
        known
    }

    /// Whether a condition needs nothing but inputs.
    pub fn pred_known_at_start(&self, pred: &Pred) -> bool {
        let mut known = true;
        pred.for_each_symbol(&mut |id| known &= self.is_input(id));
        known
    }

    fn is_input(&self, id: SymId) -> bool {
        self.symbols.get(id).is_some_and(|s| s.source == SymSource::Input)
    }

    /// A constant.
    pub fn constant(&mut self, value: i64) -> Size {
        self.op(SizeOp::Const(value))
    }

    /// A size over the plan's symbols.
    pub fn dim(&mut self, dim: &Dim) -> Result<Size, EmitError> {
        self.formula(dim, &Names::Plan)
    }

    /// A size over a code's parameters.
    pub fn of_code(&mut self, dim: &Dim, values: &[Size]) -> Result<Size, EmitError> {
        self.formula(dim, &Names::Parameters(values))
    }

    /// A condition over the plan's symbols.
    pub fn condition(&mut self, pred: &Pred) -> Result<Size, EmitError> {
        self.pred(pred, &Names::Plan)
    }

    /// The slot of a symbol, its range, and what to compute once it is set.
    pub fn set(&mut self, id: SymId, leak: &mut dyn FnMut(&str) -> &'static str) -> Set {
        let slot = self.slot(id);
        let symbol = self.symbols.get(id);
        let then = self.spans.get(slot as usize).copied().unwrap_or_default();
        Set {
            slot,
            symbol: leak(symbol.map_or("", |s| s.name.as_str())),
            lo: symbol.map_or(i64::MIN, |s| s.lo),
            hi: symbol.and_then(|s| s.hi),
            then,
        }
    }

    fn slot(&mut self, id: SymId) -> u32 {
        let next = self.slots.len() as u32;
        *self.slots.entry(id).or_insert(next)
    }

    fn symbol(&mut self, id: SymId, names: &Names<'_>) -> Result<Size, EmitError> {
        let name = || self.symbols.get(id).map_or_else(|| format!("parameter {}", id.0), |s| s.name.clone());
        match names {
            Names::Parameters(values) => {
                let unknown = EmitError::Unbound { symbol: format!("parameter {}", id.0) };
                values.get(id.0 as usize).copied().ok_or(unknown)
            }
            Names::Plan if self.is_input(id) => match self.extents.get(&id).copied() {
                Some((input, axis)) => Ok(self.op(SizeOp::InputDim { input, axis })),
                None => Err(EmitError::Unbound { symbol: name() }),
            },
            Names::Plan => {
                let slot = self.slot(id);
                Ok(self.op(SizeOp::Slot(slot)))
            }
        }
    }

    fn formula(&mut self, dim: &Dim, names: &Names<'_>) -> Result<Size, EmitError> {
        let mut sum = None;
        for term in dim.terms() {
            let mut product = None;
            for atom in &term.factors {
                let factor = self.atom(atom, names)?;
                product = Some(match product {
                    Some(product) => self.op(SizeOp::Mul(product, factor)),
                    None => factor,
                });
            }
            let coefficient = self.constant(term.coef);
            let product = match product {
                Some(product) => self.op(SizeOp::Mul(product, coefficient)),
                None => coefficient,
            };
            sum = Some(match sum {
                Some(sum) => self.op(SizeOp::Add(sum, product)),
                None => product,
            });
        }
        Ok(sum.unwrap_or_else(|| self.constant(0)))
    }

    fn atom(&mut self, atom: &Atom, names: &Names<'_>) -> Result<Size, EmitError> {
        let mut two = |a: &Dim, b: &Dim| Ok::<_, EmitError>((self.formula(a, names)?, self.formula(b, names)?));
        let op = match atom {
            Atom::Sym(id) => return self.symbol(*id, names),
            Atom::FloorDiv(a, b) => two(a, b).map(|(a, b)| SizeOp::FloorDiv(a, b))?,
            Atom::CeilDiv(a, b) => two(a, b).map(|(a, b)| SizeOp::CeilDiv(a, b))?,
            Atom::Mod(a, b) => two(a, b).map(|(a, b)| SizeOp::Mod(a, b))?,
            Atom::Min(a, b) => two(a, b).map(|(a, b)| SizeOp::Min(a, b))?,
            Atom::Max(a, b) => two(a, b).map(|(a, b)| SizeOp::Max(a, b))?,
            Atom::Select(p, a, b) => {
                let (a, b) = two(a, b)?;
                SizeOp::Select(self.pred(p, names)?, a, b)
            }
        };
        Ok(self.op(op))
    }

    fn pred(&mut self, pred: &Pred, names: &Names<'_>) -> Result<Size, EmitError> {
        let op = match pred {
            Pred::Const(value) => SizeOp::Const(i64::from(*value)),
            Pred::Eq(a, b) => SizeOp::Eq(self.formula(a, names)?, self.formula(b, names)?),
            Pred::Le(a, b) => SizeOp::Le(self.formula(a, names)?, self.formula(b, names)?),
            Pred::Divides(a, b) => SizeOp::Divides(self.formula(a, names)?, self.formula(b, names)?),
            Pred::Not(p) => SizeOp::Not(self.pred(p, names)?),
            Pred::And(ps) => {
                let mut all = self.constant(1);
                for p in ps {
                    let p = self.pred(p, names)?;
                    all = self.op(SizeOp::And(all, p));
                }
                return Ok(all);
            }
            Pred::Or(ps) => {
                let mut any = self.constant(0);
                for p in ps {
                    let p = self.pred(p, names)?;
                    any = self.op(SizeOp::Or(any, p));
                }
                return Ok(any);
            }
        };
        Ok(self.op(op))
    }

    /// The value of an operation: a known one, or a new one.
    pub fn op(&mut self, op: SizeOp) -> Size {
        let op = match self.folded(op) {
            Ok(op) => op,
            Err(size) => return size,
        };
        if let Some(size) = self.known.get(&op) {
            return *size;
        }
        let size = Size(self.ops.len() as u32);
        self.ops.push(op);
        self.known.insert(op, size);
        size
    }

    fn value(&self, size: Size) -> Option<i64> {
        match self.ops.get(size.0 as usize) {
            Some(SizeOp::Const(value)) => Some(*value),
            _ => None,
        }
    }

    /// The operation with constants folded, or an operand that it is equal to.
    fn folded(&self, op: SizeOp) -> Result<SizeOp, Size> {
        let two = |a: Size, b: Size, f: fn(i64, i64) -> i64| match (self.value(a), self.value(b)) {
            (Some(a), Some(b)) => SizeOp::Const(f(a, b)),
            _ => op,
        };
        Ok(match op {
            SizeOp::Add(a, b) if self.value(b) == Some(0) => return Err(a),
            SizeOp::Add(a, b) if self.value(a) == Some(0) => return Err(b),
            SizeOp::Mul(a, b) if self.value(b) == Some(1) => return Err(a),
            SizeOp::Mul(a, b) if self.value(a) == Some(1) => return Err(b),
            SizeOp::Mul(a, b) if self.value(a) == Some(0) || self.value(b) == Some(0) => SizeOp::Const(0),
            SizeOp::FloorDiv(a, b) | SizeOp::CeilDiv(a, b) if self.value(b) == Some(1) => return Err(a),
            SizeOp::Select(p, a, b) => match self.value(p) {
                Some(0) => return Err(b),
                Some(_) => return Err(a),
                None => op,
            },
            SizeOp::And(a, b) if self.value(a) == Some(1) => return Err(b),
            SizeOp::Or(a, b) if self.value(a) == Some(0) => return Err(b),
            SizeOp::Add(a, b) => two(a, b, i64::wrapping_add),
            SizeOp::Mul(a, b) => two(a, b, i64::wrapping_mul),
            SizeOp::FloorDiv(a, b) => two(a, b, sizes::floor_div),
            SizeOp::CeilDiv(a, b) => two(a, b, sizes::ceil_div),
            SizeOp::Mod(a, b) => two(a, b, sizes::floor_mod),
            SizeOp::Min(a, b) => two(a, b, i64::min),
            SizeOp::Max(a, b) => two(a, b, i64::max),
            SizeOp::Eq(a, b) => two(a, b, |a, b| i64::from(a == b)),
            SizeOp::Le(a, b) => two(a, b, |a, b| i64::from(a <= b)),
            SizeOp::Divides(a, b) => two(a, b, |a, b| i64::from(sizes::divides(a, b))),
            SizeOp::And(a, b) => two(a, b, |a, b| i64::from(a != 0 && b != 0)),
            SizeOp::Or(a, b) => two(a, b, |a, b| i64::from(a != 0 || b != 0)),
            SizeOp::Not(a) => self.value(a).map_or(op, |a| SizeOp::Const(i64::from(a == 0))),
            SizeOp::Const(_)
            | SizeOp::InputDim { .. }
            | SizeOp::Slot(_)
            | SizeOp::Multiprocessors
            | SizeOp::Resident { .. } => op,
        })
    }

    /// Orders the values that are known so far.
    pub fn settle(&mut self) {
        let mut needs: Vec<BTreeSet<u32>> = Vec::with_capacity(self.ops.len());
        for op in &self.ops {
            let mut own = BTreeSet::new();
            if let SizeOp::Slot(slot) = op {
                own.insert(*slot);
            }
            renamed(*op, &mut |size| {
                own.extend(needs.get(size.0 as usize).into_iter().flatten());
                size
            });
            needs.push(own);
        }
        let last = |k: &usize| needs.get(*k).and_then(|n| n.last()).map_or(0, |s| s + 1);
        let mut order: Vec<usize> = (0..self.ops.len()).collect();
        order.sort_by_key(last);
        let mut places = vec![Size(0); order.len()];
        for (place, k) in order.iter().enumerate() {
            if let Some(slot) = places.get_mut(*k) {
                *slot = Size(place as u32);
            }
        }
        let mut place = |s: Size| places.get(s.0 as usize).copied().unwrap_or(s);
        self.prepared = order.iter().filter(|k| last(k) == 0).count() as u32;
        self.ops = order.iter().filter_map(|k| self.ops.get(*k)).map(|op| renamed(*op, &mut place)).collect();
        self.known = self.ops.iter().enumerate().map(|(k, op)| (*op, Size(k as u32))).collect();
        self.spans = vec![Span::default(); self.slots.len()];
        for (at, k) in order.iter().enumerate() {
            for slot in needs.get(*k).into_iter().flatten() {
                let Some(span) = self.spans.get_mut(*slot as usize) else { continue };
                let start = if span.start == span.end { at as u32 } else { span.start };
                *span = Span { start, end: at as u32 + 1 };
            }
        }
    }
}

/// The operation over other names of its operands.
fn renamed(op: SizeOp, name: &mut dyn FnMut(Size) -> Size) -> SizeOp {
    match op {
        SizeOp::Const(_)
        | SizeOp::InputDim { .. }
        | SizeOp::Slot(_)
        | SizeOp::Multiprocessors
        | SizeOp::Resident { .. } => op,
        SizeOp::Add(a, b) => SizeOp::Add(name(a), name(b)),
        SizeOp::Mul(a, b) => SizeOp::Mul(name(a), name(b)),
        SizeOp::FloorDiv(a, b) => SizeOp::FloorDiv(name(a), name(b)),
        SizeOp::CeilDiv(a, b) => SizeOp::CeilDiv(name(a), name(b)),
        SizeOp::Mod(a, b) => SizeOp::Mod(name(a), name(b)),
        SizeOp::Min(a, b) => SizeOp::Min(name(a), name(b)),
        SizeOp::Max(a, b) => SizeOp::Max(name(a), name(b)),
        SizeOp::Eq(a, b) => SizeOp::Eq(name(a), name(b)),
        SizeOp::Le(a, b) => SizeOp::Le(name(a), name(b)),
        SizeOp::Divides(a, b) => SizeOp::Divides(name(a), name(b)),
        SizeOp::Not(a) => SizeOp::Not(name(a)),
        SizeOp::And(a, b) => SizeOp::And(name(a), name(b)),
        SizeOp::Or(a, b) => SizeOp::Or(name(a), name(b)),
        SizeOp::Select(p, a, b) => SizeOp::Select(name(p), name(a), name(b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_inputs_come_first_and_slots_name_what_needs_them() {
        let mut symbols = Symbols::default();
        let found = symbols.add("found", 0, None, SymSource::Bind);
        let batch = symbols.add("batch", 1, None, SymSource::Input);
        let extents = BTreeMap::from([(batch, (0, 0))]);
        let mut code = SizeCode::new(&symbols, extents);
        let late = &Dim::symbol(found) * &Dim::symbol(batch);
        let early = &Dim::symbol(batch) * &Dim::constant(4);
        let names = |code: &mut SizeCode<'_>| (code.dim(&late).unwrap(), code.dim(&early).unwrap());
        names(&mut code);
        code.settle();
        let (late, early) = names(&mut code);
        let set = code.set(found, &mut |_| "found");
        let (ops, prepared, slots) = code.finish();
        assert_eq!((slots, set.slot), (1, 0));
        assert!(early.0 < prepared && late.0 >= prepared, "{ops:?}");
        assert_eq!((set.then.start, set.then.end), (prepared, ops.len() as u32));
        assert_eq!(ops.iter().filter(|op| matches!(op, SizeOp::InputDim { .. })).count(), 1);
    }

    #[test]
    fn constants_are_folded() {
        let symbols = Symbols::default();
        let mut code = SizeCode::new(&symbols, BTreeMap::new());
        let values = [code.constant(6), code.constant(4)];
        let sum = &(&Dim::symbol(SymId(0)) * &Dim::constant(3)) + &Dim::symbol(SymId(1));
        let sum = code.of_code(&sum, &values).unwrap();
        assert_eq!(code.value(sum), Some(22));
    }
}

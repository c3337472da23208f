//! Values of symbols at which sizes are tried.
//!
//! Input symbols take small and large values of their ranges, all the same one or each another; assignments that a guard
//! forbids are left out. What a step defines is reckoned from them (`let`), or takes values of its range.

use graph::dim::{Dim, SymId};
use graph::eval::Bindings;
use graph::graph::Guard;
use graph::symbol::{SymSource, Symbols};

/// At most so many assignments at a time.
const LIMIT: usize = 24;

/// Assignments that may all occur.
#[derive(Clone, Debug)]
pub(super) struct Samples(pub Vec<Bindings>);

impl Samples {
    /// Assignments of the input symbols.
    pub fn of_inputs(symbols: &Symbols, guards: &[Guard]) -> Samples {
        let inputs: Vec<(SymId, i64, i64)> = symbols
            .iter()
            .filter(|(_, s)| s.source == SymSource::Input && s.hi.is_none_or(|hi| hi >= s.lo))
            .map(|(id, s)| (id, s.lo, s.hi.unwrap_or(s.lo.saturating_add(200))))
            .collect();
        let all_at = |value: i64| {
            let mut out = Bindings::default();
            inputs.iter().for_each(|(id, lo, hi)| out.set(*id, value.clamp(*lo, *hi)));
            out
        };
        let each_at = |step: i64| {
            let mut out = Bindings::default();
            for (k, (id, lo, hi)) in inputs.iter().enumerate() {
                let value = lo.saturating_add(step.wrapping_mul(k as i64 + 1) % 17);
                out.set(*id, value.clamp(*lo, *hi));
            }
            out
        };
        let mut out: Vec<Bindings> = Vec::new();
        let same = [0, 1, 2, 3, 5, 8, 16, 64, i64::MAX >> 40].into_iter().map(all_at);
        for sample in same.chain([3, 5, 7].into_iter().map(each_at)) {
            if !out.contains(&sample) {
                out.push(sample);
            }
        }
        let mut samples = Samples(out);
        guards.iter().for_each(|guard| samples.assume(guard));
        samples
    }

    /// Drops assignments in which a guard fails.
    pub fn assume(&mut self, guard: &Guard) {
        self.0.retain(|sample| guard.pred.eval(&|id| sample.get(id)) != Some(false));
    }

    /// Gives a symbol the value of a size.
    pub fn define(&mut self, symbol: SymId, value: &Dim) {
        for sample in &mut self.0 {
            match sample.dim(value) {
                Some(value) => sample.set(symbol, value),
                None => sample.unset(symbol),
            }
        }
    }

    /// Gives a symbol values of its range: the ends, those beside them and the middle.
    pub fn choose(&mut self, symbol: SymId, symbols: &Symbols) {
        let Some(known) = symbols.get(symbol) else { return };
        let lo = known.lo;
        let hi = known.hi.unwrap_or(lo.saturating_add(9)).max(lo);
        let values = [lo, hi, (lo / 2).saturating_add(hi / 2), lo.saturating_add(1), hi.saturating_sub(1)];
        let mut out = Vec::new();
        for turn in 0..values.len() {
            for (k, sample) in self.0.iter().enumerate() {
                let mut chosen = sample.clone();
                let value = values.get((k + turn) % values.len()).copied().unwrap_or(lo);
                chosen.set(symbol, value.clamp(lo, hi));
                if out.len() < LIMIT && !out.contains(&chosen) {
                    out.push(chosen);
                }
            }
        }
        self.0 = out;
    }

    /// Assignments inside a loop: those in which it runs, at its first and last iteration.
    pub fn iterate(&self, counter: SymId, trip: Option<&Dim>) -> Samples {
        let mut out = Vec::new();
        for sample in &self.0 {
            let last = match trip.map(|trip| sample.dim(trip)) {
                Some(Some(trip)) if trip > 0 => trip - 1,
                Some(Some(_)) => continue,
                Some(None) | None => 0,
            };
            for value in [0, last] {
                let mut inner = sample.clone();
                inner.set(counter, value);
                if !out.contains(&inner) {
                    out.push(inner);
                }
            }
        }
        Samples(out).bounded()
    }

    /// Assignments of either, in turn.
    pub fn join(self, other: Samples) -> Samples {
        let (mut a, mut b) = (self.0.into_iter(), other.0.into_iter());
        let mut out = Vec::new();
        loop {
            let (x, y) = (a.next(), b.next());
            if x.is_none() && y.is_none() {
                return Samples(out).bounded();
            }
            for sample in x.into_iter().chain(y) {
                if !out.contains(&sample) {
                    out.push(sample);
                }
            }
        }
    }

    fn bounded(mut self) -> Samples {
        self.0.truncate(LIMIT);
        self
    }
}

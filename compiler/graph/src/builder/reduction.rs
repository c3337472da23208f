//! Reductions along axes.

use crate::builder::{BuildError, Builder, Point};
use crate::dim::Dim;
use crate::expr::ExprId;
use crate::graph::ValueId;
use crate::node::Combiner;

impl Builder {
    /// Combines `before(element)` along axes, then applies `after(accumulator)`. With `keep`, reduced dims stay with
    /// extent 1.
    pub fn reduce_with(
        &mut self,
        a: ValueId,
        axes: &[usize],
        keep: bool,
        combiner: Combiner,
        before: impl FnOnce(&mut Point<'_>, ExprId) -> ExprId,
        after: impl FnOnce(&mut Point<'_>, ExprId) -> ExprId,
    ) -> Result<ValueId, BuildError> {
        let from = self.shape(a)?;
        if let Some(axis) = axes.iter().find(|axis| **axis >= from.len()) {
            return Err(BuildError::Axis { found: *axis as i64, rank: from.len() });
        }
        let mut shape = Vec::new();
        for (d, extent) in from.iter().enumerate() {
            match (axes.contains(&d), keep) {
                (false, _) => shape.push(extent.clone()),
                (true, true) => shape.push(Dim::constant(1)),
                (true, false) => {}
            }
        }
        self.compute(&[a], shape, |p| {
            let mut parallel = 0;
            let mut index = Vec::with_capacity(from.len());
            for (d, extent) in from.iter().enumerate() {
                if axes.contains(&d) {
                    index.push(p.reduce(extent));
                    parallel += usize::from(keep);
                } else {
                    index.push(p.index(parallel));
                    parallel += 1;
                }
            }
            let element = p.load(0, &index);
            let value = before(p, element);
            let acc = p.acc(combiner, value);
            let out = after(p, acc);
            p.out(out);
        })
    }

    /// Combines elements along axes.
    pub fn reduce(
        &mut self,
        a: ValueId,
        axes: &[usize],
        keep: bool,
        combiner: Combiner,
    ) -> Result<ValueId, BuildError> {
        self.reduce_with(a, axes, keep, combiner, |_, e| e, |_, acc| acc)
    }
}

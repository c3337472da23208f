//! Elementwise building blocks under NumPy broadcasting.

use crate::builder::{BuildError, Builder, Point};
use crate::dim::Dim;
use crate::dtype::DType;
use crate::expr::{BinOp, ExprId, UnOp};
use crate::graph::ValueId;

impl Builder {
    /// Shape that operands broadcast to. Two unknown extents are assumed equal (a guard).
    pub fn broadcast_shapes(&mut self, shapes: &[Vec<Dim>]) -> Result<Vec<Dim>, BuildError> {
        let rank = shapes.iter().map(Vec::len).max().unwrap_or(0);
        let mut out = Vec::with_capacity(rank);
        for d in 0..rank {
            let mut extent = Dim::constant(1);
            for shape in shapes {
                let Some(other) = (d + shape.len()).checked_sub(rank).and_then(|i| shape.get(i)) else { continue };
                extent = self.broadcast_extents(&extent, other)?;
            }
            out.push(extent);
        }
        Ok(out)
    }

    /// The extent that two extents broadcast to.
    pub fn broadcast_extents(&mut self, a: &Dim, b: &Dim) -> Result<Dim, BuildError> {
        if a == b || b.is(1) {
            return Ok(a.clone());
        }
        if a.is(1) {
            return Ok(b.clone());
        }
        self.assume_equal(a, b, "broadcasting").map_err(|_| BuildError::Shapes {
            what: "broadcasting".to_string(),
            left: format!("{a:?}"),
            right: format!("{b:?}"),
        })?;
        Ok(simpler(a, b).clone())
    }

    /// Applies an expression to the elements of operands that broadcast to one shape.
    pub fn map(
        &mut self,
        operands: &[ValueId],
        describe: impl FnOnce(&mut Point<'_>, &[ExprId]) -> ExprId,
    ) -> Result<ValueId, BuildError> {
        let shapes = operands.iter().map(|v| self.shape(*v)).collect::<Result<Vec<_>, _>>()?;
        let shape = self.broadcast_shapes(&shapes)?;
        self.compute(operands, shape, |p| {
            let loads: Vec<ExprId> = (0..operands.len()).map(|k| p.load_broadcast(k)).collect();
            let out = describe(p, &loads);
            p.out(out);
        })
    }

    /// A unary operation on every element.
    pub fn unary(&mut self, op: UnOp, a: ValueId) -> Result<ValueId, BuildError> {
        self.map(&[a], |p, v| p.unary(op, v[0]))
    }

    /// A binary operation on every pair of elements.
    pub fn binary(&mut self, op: BinOp, a: ValueId, b: ValueId) -> Result<ValueId, BuildError> {
        self.map(&[a, b], |p, v| p.binary(op, v[0], v[1]))
    }

    /// Conversion of every element; the same value if nothing changes.
    pub fn cast(&mut self, a: ValueId, to: DType) -> Result<ValueId, BuildError> {
        if self.dtype(a)? == to {
            return Ok(a);
        }
        self.map(&[a], |p, v| p.cast(v[0], to))
    }

    /// `a` where the condition holds, else `b`.
    pub fn select(&mut self, condition: ValueId, a: ValueId, b: ValueId) -> Result<ValueId, BuildError> {
        self.map(&[condition, a, b], |p, v| p.select(v[0], v[1], v[2]))
    }
}

/// Of two extents that are assumed equal, the one to go on with: a constant, a symbol, the one of less weight. What is built on
/// it is as large as it is, layer after layer.
fn simpler<'a>(a: &'a Dim, b: &'a Dim) -> &'a Dim {
    let weight = |d: &Dim| (d.as_const().is_none(), d.as_symbol().is_none(), d.weight());
    if weight(b) < weight(a) { b } else { a }
}

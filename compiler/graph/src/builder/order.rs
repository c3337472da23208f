//! Nodes whose results depend on the values they meet: sorting, compaction, running combinations, scattered updates.

use crate::builder::{BuildError, Builder, Point};
use crate::dim::Dim;
use crate::dtype::DType;
use crate::expr::ExprId;
use crate::graph::ValueId;
use crate::node::{Combiner, Compact, Op, Prefix, Scatter, ScatterMode, Sort};
use crate::ty::Type;

impl Builder {
    /// Sorts keys of one shape along an axis (see [`Sort`]). Yields the sorted keys, then the source positions.
    pub fn sort(
        &mut self,
        keys: &[ValueId],
        axis: usize,
        descending: bool,
        limit: Option<Dim>,
    ) -> Result<Vec<ValueId>, BuildError> {
        let mut types = Vec::with_capacity(keys.len() + 1);
        let mut shape = Vec::new();
        for key in keys {
            let mut ty = self.tensor(*key)?.clone();
            let rank = ty.rank();
            let extent = ty.shape.get_mut(axis).ok_or(BuildError::Axis { found: axis as i64, rank })?;
            if let Some(limit) = &limit {
                *extent = limit.clone();
            }
            shape.clone_from(&ty.shape);
            types.push(Type::Tensor(ty));
        }
        types.push(Type::tensor(DType::I64, shape));
        self.push(Op::Sort(Sort { axis, descending, limit }), keys.to_vec(), types, Vec::new())
    }

    /// Positions of the true elements of a rank-1 mask (at most `bound`) and their count (see [`Compact`]).
    pub fn compact(&mut self, mask: ValueId, bound: Dim) -> Result<(ValueId, ValueId), BuildError> {
        let types = vec![Type::tensor(DType::I64, [bound.clone()]), Type::tensor(DType::I64, [])];
        let results = self.push(Op::Compact(Compact { bound }), vec![mask], types, Vec::new())?;
        match results.as_slice() {
            [positions, count] => Ok((*positions, *count)),
            _ => Err(BuildError::Results { expected: 2, found: results.len() }),
        }
    }

    /// Positions of the true elements of a rank-1 mask as a tensor of exactly their number, and that number.
    pub fn positions(&mut self, mask: ValueId) -> Result<(ValueId, Dim), BuildError> {
        let shape = self.shape(mask)?;
        let [bound] = shape.as_slice() else {
            return Err(BuildError::Rank { what: "a mask".into(), expected: "1".into(), found: shape.len() });
        };
        let (positions, count) = self.compact(mask, bound.clone())?;
        let found = self.bind(count, 0, self.model().symbols.range(bound).upper())?;
        let exact = self.slice(positions, 0, &Dim::constant(0), 1, found.clone())?;
        Ok((exact, found))
    }

    /// Running combination along an axis (see [`Prefix`]).
    pub fn prefix(
        &mut self,
        a: ValueId,
        axis: usize,
        combiner: Combiner,
        exclusive: bool,
        reverse: bool,
    ) -> Result<ValueId, BuildError> {
        let ty = self.ty(a)?.clone();
        let results =
            self.push(Op::Prefix(Prefix { axis, combiner, exclusive, reverse }), vec![a], vec![ty], Vec::new())?;
        super::one(&results)
    }

    /// A copy of operand 0, updated at every point of a domain (see [`Scatter`]). The closure yields the index into the base
    /// and the value; its loads count operands from the base.
    pub fn scatter(
        &mut self,
        operands: &[ValueId],
        domain: Vec<Dim>,
        mode: ScatterMode,
        describe: impl FnOnce(&mut Point<'_>) -> (Vec<ExprId>, ExprId),
    ) -> Result<ValueId, BuildError> {
        let types = operands.iter().map(|v| self.tensor(*v).cloned()).collect::<Result<Vec<_>, _>>()?;
        let base = types.first().cloned().ok_or(BuildError::Results { expected: 1, found: 0 })?;
        let mut point = Point::new(&types, domain.len());
        let (index, value) = describe(&mut point);
        let (exprs, _, _, _) = point.finish()?;
        let op = Op::Scatter(Scatter { domain, exprs, index, value, mode });
        let results = self.push(op, operands.to_vec(), vec![Type::Tensor(base)], Vec::new())?;
        super::one(&results)
    }
}

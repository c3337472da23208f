//! What the optimizers share: inputs R (learning rate), T (number of updates so far), then lists of one length: the tensors,
//! their gradients and their states; outputs: the new tensors, then the new states.

use graph::builder::{BuildError, Point};
use graph::dtype::DType;
use graph::expr::ExprId;
use graph::graph::ValueId;

use crate::operator::Ctx;
use crate::value::ImportValue;

/// One element under update, all in the tensor's dtype but the count.
pub struct Update {
    pub rate: ExprId,
    /// i64.
    pub count: ExprId,
    pub x: ExprId,
    pub gradient: ExprId,
    pub states: Vec<ExprId>,
    pub dtype: DType,
}

/// Applies an update rule to every tensor; it yields the new element and its new states.
pub fn optimize(
    ctx: &mut Ctx<'_>,
    states: usize,
    mut rule: impl FnMut(&mut Point<'_>, &Update) -> Vec<ExprId>,
) -> Result<Vec<ImportValue>, BuildError> {
    let inputs = ctx.all_inputs()?;
    let kinds = 2 + states;
    let [rate, count, tensors @ ..] = inputs.as_slice() else {
        return Err(BuildError::Results { expected: 2 + kinds, found: inputs.len() });
    };
    if !tensors.len().is_multiple_of(kinds) {
        return Err(BuildError::Operand {
            what: format!("tensors of {}", ctx.op_type),
            expected: format!("a multiple of {kinds}"),
            found: tensors.len().to_string(),
        });
    }
    let (rate, count) = (ctx.b.reshape(*rate, Vec::new())?, ctx.b.reshape(*count, Vec::new())?);
    let n = tensors.len() / kinds;
    let mut outputs: Vec<Vec<ImportValue>> = vec![Vec::new(); 1 + states];
    for i in 0..n {
        let own: Vec<ValueId> = (0..kinds).map(|k| tensors[k * n + i]).collect();
        let (shape, dtype) = (ctx.b.shape(own[0])?, ctx.b.dtype(own[0])?);
        for other in &own[1..] {
            for (a, b) in ctx.b.shape(*other)?.iter().zip(&shape) {
                ctx.b.assume_equal(a, b, "a tensor, its gradient and its states have one shape")?;
            }
        }
        let operands: Vec<ValueId> = [rate, count].into_iter().chain(own).collect();
        let results = ctx.b.compute_many(&operands, shape, |p| {
            let index = p.indices();
            let (rate, count) = (p.load(0, &[]), p.load(1, &[]));
            let rate = p.cast(rate, dtype);
            let (x, gradient) = (p.load(2, &index), p.load(3, &index));
            let states = (4..4 + states).map(|k| p.load(k, &index)).collect();
            let update = Update { rate, count: p.cast(count, DType::I64), x, gradient, states, dtype };
            rule(p, &update).into_iter().for_each(|e| p.out(e));
        })?;
        outputs.iter_mut().zip(results).for_each(|(list, result)| list.push(result.into()));
    }
    Ok(outputs.into_iter().flatten().collect())
}

impl Update {
    /// The gradient plus that of `coefficient / 2 * x^2`.
    pub fn regularized(&self, p: &mut Point<'_>, coefficient: f32) -> ExprId {
        let coefficient = self.number(p, coefficient);
        let own = p.mul(coefficient, self.x);
        p.add(own, self.gradient)
    }

    /// A constant in the tensor's dtype.
    pub fn number(&self, p: &mut Point<'_>, value: f32) -> ExprId {
        p.number(self.dtype, f64::from(value))
    }
}

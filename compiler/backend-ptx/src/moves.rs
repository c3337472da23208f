//! Kernels that only move floats move their bits, as integers: nothing is converted, rounded or looked at.
//!
//! ```text
//! e3 = load 0 [e0, e2, e1] (f16)   out [e3 to 0 [e0, e1, e2]]     ─►     the same with u16 in operand, expression and result
//! ```

use std::collections::HashMap;

use graph::dtype::DType;
use graph::expr::{Expr, ExprError, ExprId, Exprs, Leaves};
use graph::scalar::Scalar;
use nest::kernel::{Body, Kernel, Nest, Stage};

/// The kernel over integers; `None` if it computes with floats, or has none.
pub fn as_integers(kernel: &Kernel) -> Option<Kernel> {
    let Body::Nest(nest) = &kernel.body else { return None };
    let ports = kernel.operands.iter().chain(&kernel.results);
    if !ports.clone().any(|p| p.dtype.is_float()) || !nest.stages.iter().all(only_moves) {
        return None;
    }
    let mut out = kernel.clone();
    out.operands.iter_mut().chain(&mut out.results).for_each(|p| p.dtype = integer(p.dtype));
    let mut stages: Vec<Stage> = Vec::with_capacity(nest.stages.len());
    for stage in &nest.stages {
        let so_far = Nest { outer: nest.outer.clone(), stages };
        let mut dtypes: Vec<DType> = out.operands.iter().map(|p| p.dtype).collect();
        dtypes.extend(so_far.kept_before(so_far.stages.len()).into_iter().map(|(dtype, _)| dtype));
        stages = so_far.stages;
        stages.push(moved(stage, &dtypes).ok()?);
    }
    out.body = Body::Nest(Nest { outer: nest.outer.clone(), stages });
    Some(out)
}

/// The unsigned integer of the same width.
fn integer(dtype: DType) -> DType {
    match (dtype.is_float(), dtype.bits()) {
        (true, 64) => DType::U64,
        (true, 32) => DType::U32,
        (true, 16) => DType::U16,
        (true, 8) => DType::U8,
        (true, 4) => DType::U4,
        (true, 2) => DType::U2,
        _ => dtype,
    }
}

/// Whether floats are loaded, chosen and stored, and nothing else.
fn only_moves(stage: &Stage) -> bool {
    let exprs = &stage.exprs;
    stage.accs.is_empty()
        && stage.reduce.is_empty()
        && exprs.iter().all(|(id, expr)| {
            let moves = matches!(expr, Expr::Load { .. } | Expr::Select(..));
            let mut floats = exprs.dtype(id).is_float();
            expr.for_each_child(&mut |child| floats |= exprs.dtype(child).is_float());
            !floats || moves || matches!(expr, Expr::Const(_))
        })
}

fn moved(stage: &Stage, operands: &[DType]) -> Result<Stage, ExprError> {
    let mut exprs = Exprs::default();
    let mut map: HashMap<ExprId, ExprId> = HashMap::new();
    let leaves = Leaves { operands, accs: &[] };
    for (id, expr) in stage.exprs.iter() {
        let new = match expr {
            Expr::Const(c) => Expr::Const(Scalar { dtype: integer(c.dtype), bits: c.bits }),
            other => other.map_children(&mut |child| map.get(&child).copied().unwrap_or(child)),
        };
        map.insert(id, exprs.add(new, leaves)?);
    }
    let mut out = stage.clone();
    let renamed = |id: &mut ExprId| *id = map.get(id).copied().unwrap_or(*id);
    for store in &mut out.outs {
        renamed(&mut store.value);
        if let nest::kernel::Target::Store { index, .. } = &mut store.target {
            index.iter_mut().for_each(renamed);
        }
    }
    out.exprs = exprs;
    Ok(out)
}

//! Kernels from fused groups and whole-tensor primitives.

use graph::dim::Dim;
use graph::expr::{Expr, ExprId, Exprs, Leaves};

use crate::fuse::{Fused, FusedOperand};
use crate::kernel::{Body, Kernel, Nest, Out, Port, Stage, Target};
use crate::layout::Access;

/// One stage that stores every output at its own index. `operands` and `results` give the address maps in order.
pub fn kernel_of_fused(fused: &Fused, operands: &[Access], results: &[Access]) -> Option<Kernel> {
    let ports =
        |o: &FusedOperand, access: &Access| Port { dtype: o.dtype, shape: o.shape.clone(), access: access.clone() };
    let mut exprs = fused.exprs.clone();
    let index = identity_index(&mut exprs, fused.shape.len())?;
    let outs = fused
        .outs
        .iter()
        .enumerate()
        .map(|(result, value)| Out { value: *value, target: Target::Store { result, index: index.clone() } })
        .collect();
    let result_ports = fused
        .outs
        .iter()
        .zip(results)
        .map(|(out, access)| Port {
            dtype: fused.exprs.dtype(*out),
            shape: fused.shape.clone(),
            access: access.clone(),
        })
        .collect();
    let stage =
        Stage { inner: fused.shape.clone(), reduce: fused.reduce.clone(), exprs, accs: fused.accs.clone(), outs };
    Some(Kernel {
        params: 0,
        operands: fused.operands.iter().zip(operands).map(|(o, a)| ports(o, a)).collect(),
        results: result_ports,
        body: Body::Nest(Nest { outer: Vec::new(), stages: vec![stage] }),
    })
}

/// The index expressions `i0, i1, …` in an arena.
fn identity_index(exprs: &mut Exprs, rank: usize) -> Option<Vec<ExprId>> {
    let leaves = Leaves { operands: &[], accs: &[] };
    (0..rank).map(|d| exprs.add(Expr::Index(d as u32), leaves).ok()).collect()
}

/// A dense port.
pub fn dense_port(dtype: graph::dtype::DType, shape: &[Dim]) -> Port {
    Port { dtype, shape: shape.to_vec(), access: Access::dense(shape) }
}

//! The launch of a recurrent layer: a cluster for some rows of the batch.

use graph::dim::{Dim, SymId};
use ptx::{Module, Sm};

use crate::code::RecurrentCode;
use crate::epilogue::symbols;
use crate::launch::{KernelError, Role, Tensor};
use crate::lower::{Argument, Lowered, LoweredKernel};
use crate::recurrent::{RecurrentKernel, emit};

pub(super) fn lower(code: &RecurrentCode, sm: Sm) -> Result<Lowered, KernelError> {
    let RecurrentKernel { entry, roles, shared } = emit(&code.problem, &code.variant, sm)?;
    let (steps, batch) = (Dim::symbol(SymId(0)), Dim::symbol(SymId(1)));
    let clusters = symbols(2).ceil_div(&batch, &Dim::constant(code.variant.rows.into()));
    let argument = |role: &Role| match role {
        Role::Pointer(Tensor::Read(k)) => Argument::Read(*k as usize),
        Role::Pointer(Tensor::Write(k)) => Argument::Write(*k as usize),
        Role::Columns => Argument::Size32(batch.clone()),
        _ => Argument::Size32(steps.clone()),
    };
    let launch = LoweredKernel {
        entry: entry.name.clone(),
        block: entry.block.unwrap_or([code.variant.threads, 1, 1]),
        grid: [&clusters * &Dim::constant(code.variant.ctas.into()), Dim::constant(1), Dim::constant(1)],
        cluster: [code.variant.ctas, 1, 1],
        shared,
        args: roles.iter().map(argument).collect(),
        module: Module::new(sm, vec![ptx::legalize(entry, sm)]),
    };
    Ok(Lowered { launches: vec![launch], workspace: Dim::constant(0) })
}

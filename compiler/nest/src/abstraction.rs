//! Sizes become parameters, so that kernels that differ in sizes only are equal data.
//!
//! Kept as they are: 0 and 1 (strides that decide how a loop is written) and short reduction extents (windows that are
//! unrolled). Everything else is a parameter. Equal extents share one; an offset or a stride has its own, so that sizes which
//! happen to be equal do not make kernels different.
//!
//! Targets whose kernels gain from known sizes keep every constant in the code ([`Constants::Code`]); what is symbolic is a
//! parameter there too.

use graph::dim::{Dim, SymId};
use graph::expr::Exprs;

use crate::kernel::{Body, Kernel, Port};

/// Reduction extents up to this stay constants.
const WINDOW: i64 = 16;

/// What becomes of constant sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constants {
    /// Parameters, but for those that decide how a loop is written.
    Parameters,
    /// Part of the code.
    Code,
}

/// What a size is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Extent,
    /// An extent of a reduction.
    Window,
    /// An offset or a stride.
    Address,
}

/// A kernel over sizes of the plan: the kernel over its own parameters, and their values in order.
pub fn abstract_sizes(mut kernel: Kernel, constants: Constants) -> (Kernel, Vec<Dim>) {
    let mut values: Vec<Dim> = Vec::new();
    let mut shared: Vec<usize> = Vec::new();
    let mut parameter = |dim: &Dim, role: Role| {
        let keep = if role == Role::Window { WINDOW } else { 1 };
        if dim.as_const().is_some_and(|v| constants == Constants::Code || (0..=keep).contains(&v)) {
            return dim.clone();
        }
        let known = match role {
            Role::Extent | Role::Window => shared.iter().copied().find(|k| values.get(*k) == Some(dim)),
            Role::Address => None,
        };
        let position = known.unwrap_or_else(|| {
            values.push(dim.clone());
            if role != Role::Address {
                shared.push(values.len() - 1);
            }
            values.len() - 1
        });
        Dim::symbol(SymId(position as u32))
    };
    for_each_size(&mut kernel, &mut parameter);
    kernel.params = values.len();
    (kernel, values)
}

/// Puts values back in the place of the parameters.
pub fn apply_sizes(mut kernel: Kernel, values: &[Dim]) -> Kernel {
    let mut value = |dim: &Dim, _role: Role| match dim.as_symbol() {
        Some(id) => values.get(id.0 as usize).cloned().unwrap_or_else(|| dim.clone()),
        None => dim.clone(),
    };
    for_each_size(&mut kernel, &mut value);
    kernel.params = 0;
    kernel
}

fn for_each_size(kernel: &mut Kernel, map: &mut dyn FnMut(&Dim, Role) -> Dim) {
    match &mut kernel.body {
        Body::Nest(nest) => {
            nest.outer.iter_mut().for_each(|d| *d = map(d, Role::Extent));
            for stage in &mut nest.stages {
                stage.inner.iter_mut().for_each(|d| *d = map(d, Role::Extent));
                stage.reduce.iter_mut().for_each(|e| e.bound = map(&e.bound, Role::Window));
                stage.exprs = exprs(&stage.exprs, map);
            }
        }
        Body::Scatter(scatter) => {
            scatter.domain.iter_mut().for_each(|d| *d = map(d, Role::Extent));
            scatter.exprs = exprs(&scatter.exprs, map);
        }
        Body::Sort { .. } | Body::Compact | Body::Prefix { .. } => {}
    }
    for port in kernel.operands.iter_mut().chain(&mut kernel.results) {
        port_sizes(port, map);
    }
}

fn port_sizes(port: &mut Port, map: &mut dyn FnMut(&Dim, Role) -> Dim) {
    port.shape.iter_mut().for_each(|d| *d = map(d, Role::Extent));
    port.access.offset = map(&port.access.offset, Role::Address);
    port.access.strides.iter_mut().for_each(|d| *d = map(d, Role::Address));
}

fn exprs(from: &Exprs, map: &mut dyn FnMut(&Dim, Role) -> Dim) -> Exprs {
    from.map_dims(&mut |dim: &Dim| map(dim, Role::Extent))
}

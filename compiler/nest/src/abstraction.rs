//! Sizes become parameters, so that kernels that differ in sizes only are equal data.
//!
//! Kept as they are: 0 and 1 (strides that decide how a loop is written) and short reduction extents (windows that are
//! unrolled). Everything else is a parameter; equal sizes share one.

use graph::dim::{Dim, SymId};
use graph::expr::Exprs;

use crate::kernel::{Body, Kernel, Port};

/// Reduction extents up to this stay constants.
const WINDOW: i64 = 16;

/// A kernel over sizes of the plan: the kernel over its own parameters, and their values in order.
pub fn abstract_sizes(mut kernel: Kernel) -> (Kernel, Vec<Dim>) {
    let mut values: Vec<Dim> = Vec::new();
    let mut parameter = |dim: &Dim, keep: i64| {
        if dim.as_const().is_some_and(|v| (0..=keep).contains(&v)) {
            return dim.clone();
        }
        let position = values.iter().position(|v| v == dim).unwrap_or_else(|| {
            values.push(dim.clone());
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
    let mut value = |dim: &Dim, _keep: i64| match dim.as_symbol() {
        Some(id) => values.get(id.0 as usize).cloned().unwrap_or_else(|| dim.clone()),
        None => dim.clone(),
    };
    for_each_size(&mut kernel, &mut value);
    kernel.params = 0;
    kernel
}

fn for_each_size(kernel: &mut Kernel, map: &mut dyn FnMut(&Dim, i64) -> Dim) {
    match &mut kernel.body {
        Body::Nest(nest) => {
            nest.outer.iter_mut().for_each(|d| *d = map(d, 1));
            for stage in &mut nest.stages {
                stage.inner.iter_mut().for_each(|d| *d = map(d, 1));
                stage.reduce.iter_mut().for_each(|e| e.bound = map(&e.bound, WINDOW));
                stage.exprs = exprs(&stage.exprs, map);
            }
        }
        Body::Scatter(scatter) => {
            scatter.domain.iter_mut().for_each(|d| *d = map(d, 1));
            scatter.exprs = exprs(&scatter.exprs, map);
        }
        Body::Sort { .. } | Body::Compact | Body::Prefix { .. } => {}
    }
    for port in kernel.operands.iter_mut().chain(&mut kernel.results) {
        port_sizes(port, map);
    }
}

fn port_sizes(port: &mut Port, map: &mut dyn FnMut(&Dim, i64) -> Dim) {
    port.shape.iter_mut().for_each(|d| *d = map(d, 1));
    port.access.offset = map(&port.access.offset, 1);
    port.access.strides.iter_mut().for_each(|d| *d = map(d, 1));
}

fn exprs(from: &Exprs, map: &mut dyn FnMut(&Dim, i64) -> Dim) -> Exprs {
    from.map_dims(&mut |dim: &Dim| map(dim, 1))
}

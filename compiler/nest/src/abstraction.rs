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
use graph::symbol::Symbols;

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

/// A kernel over sizes of the plan: over the symbols that occur in it, numbered as they come, and these symbols. Sizes stay the
/// polynomials that they are, so that how strides follow from extents stays known.
pub fn own_symbols(mut kernel: Kernel) -> (Kernel, Vec<Dim>) {
    let none = Symbols::default();
    let mut own: Vec<SymId> = Vec::new();
    let mut renamed = |dim: &Dim, _role: Role| {
        dim.for_each_symbol(&mut |id| {
            if !own.contains(&id) {
                own.push(id);
            }
        });
        let number = |id: SymId| own.iter().position(|o| *o == id).map(|k| Dim::symbol(SymId(k as u32)));
        none.substitute(dim, &number)
    };
    for_each_size(&mut kernel, &mut renamed);
    kernel.params = own.len();
    (kernel, own.into_iter().map(Dim::symbol).collect())
}

/// Puts values back in the place of the parameters.
pub fn apply_sizes(mut kernel: Kernel, values: &[Dim]) -> Kernel {
    let none = Symbols::default();
    let mut value = |dim: &Dim, _role: Role| none.substitute(dim, &|id: SymId| values.get(id.0 as usize).cloned());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    #[test]
    fn own_symbols_keep_what_strides_have_of_extents() {
        let kernel = text::parse(
            "kernel params 9 {
               operand f32[p7, p4, 3]
               result f32[p7, p4, 3]
               nest outer [] {
                 stage inner [p7, p4, 3] {
                   e0 = index 0 e1 = index 1 e2 = index 2 e3 = load 0 [e0, e1, e2] out [e3 to 0 [e0, e1, e2]]
                 }
               }
             }",
        )
        .unwrap();
        let (own, values) = own_symbols(kernel.clone());
        assert_eq!(own.params, 2);
        assert_eq!(values, [Dim::symbol(SymId(7)), Dim::symbol(SymId(4))]);
        assert!(own.operands.iter().all(|o| o.access.is_dense(&o.shape)));
        let back = apply_sizes(own, &values);
        assert_eq!((back.operands, back.body), (kernel.operands, kernel.body));
    }
}

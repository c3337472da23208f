//! `plan.rs` of a model: sizes, buffers and steps.

mod buffers;
pub(crate) mod extents;

use std::collections::BTreeSet;

use graph::dim::SymId;
use graph::symbol::SymSource;
use graph::ty::Type;
use plan::plan::{Border, Place, Plan};
use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

use crate::error::EmitError;
use crate::mentions::{mentions, mentions_module};
use crate::names::one_line;
use crate::size::SizeTable;
use crate::slots::{BorderNames, Slots, is_object};
use crate::steps::{PrintedSteps, Steps};
use crate::target::TargetPrinter;
use crate::weight_table::WeightTable;

/// Everything about a plan that printing needs.
pub struct PlanContext<'a, C> {
    pub plan: &'a Plan<C>,
    pub names: BorderNames,
    pub sizes: SizeTable<'a>,
    pub slots: Slots,
    pub weights: WeightTable,
    /// Symbols that inputs give values, in order.
    pub dims: Vec<SymId>,
}

impl<'a, C> PlanContext<'a, C> {
    /// Places weights and buffers.
    pub fn new(plan: &'a Plan<C>) -> Result<Self, EmitError> {
        PlanContext::over(plan, WeightTable::of(plan)?)
    }

    /// Places buffers over a table that has the weights.
    pub fn over(plan: &'a Plan<C>, weights: WeightTable) -> Result<Self, EmitError> {
        let names = BorderNames::of(plan);
        let sizes = SizeTable::new(&plan.symbols);
        let slots = Slots::of(plan, &names, &weights, &sizes)?;
        if !sizes.known_at_start(&plan.arena) {
            return Err(EmitError::Arena { size: sizes.text(&plan.arena) });
        }
        let mut bound = BTreeSet::new();
        for border in &plan.inputs {
            let shape = border.ty.as_tensor().map_or(&[][..], |t| t.shape.as_slice());
            bound.extend(shape.iter().filter_map(|d| d.as_symbol()));
        }
        let known = |id: &SymId| plan.symbols.get(*id).is_some_and(|s| s.source == SymSource::Input);
        let dims = bound.into_iter().filter(known).collect();
        Ok(PlanContext { plan, names, sizes, slots, weights, dims })
    }

    /// Whether an input is given by the caller, and not kept by the session.
    pub fn is_given(&self, border: &Border) -> bool {
        let buffer = self.plan.buffers.get(border.view.buffer.0 as usize);
        !buffer.is_some_and(|b| matches!(b.place, Place::State(_)))
    }
}

/// Whether a border is a tensor of bytes.
pub fn is_tensor<C>(plan: &Plan<C>, border: &Border) -> bool {
    plan.buffers.get(border.view.buffer.0 as usize).is_some_and(|b| !is_object(b))
}

/// The file, and the host operators that it calls.
pub fn print<C>(
    cx: &PlanContext<'_, C>,
    target: &dyn TargetPrinter<C>,
) -> Result<(TokenStream, Vec<&'static graph::host::HostOp>), EmitError> {
    let steps = Steps::print(cx.plan, target, &cx.slots, &cx.sizes)?;
    let outputs = buffers::print_outputs(cx)?;
    let states = buffers::print_states(cx)?;
    let buffers = buffers::print_buffers(cx);
    let io = buffers::print_io(cx);
    let dims = extents::print_dims(cx);
    let guards = extents::print_guards(cx);
    // Last, as everything above asks for sizes.
    let sizes = extents::print_sizes(cx, guards)?;
    let PrintedSteps { body, functions, nodes, hosts } = steps;
    let count = Literal::usize_unsuffixed(nodes.len());
    let nodes = nodes.iter().map(|(name, op)| {
        let (name, op) = (Literal::string(name), Literal::string(op));
        quote!(Node { name: #name, op: #op })
    });
    let run = if body.is_empty() && states.is_empty() { quote!(_run) } else { quote!(run) };
    let items = quote! {
        /// The ONNX nodes of every step.
        pub const NODES: [Node; #count] = [#(#nodes),*];

        #dims
        #sizes
        #io
        #buffers

        /// A call under way.
        pub struct Run<'a> {
            pub io: Io<'a>,
            pub buffers: &'a mut Buffers,
            pub sizes: &'a mut Sizes,
            pub profile: &'a mut Profile,
            #[allow(dead_code, reason = "only claims and nests are cut")]
            pub crew: &'a mut Crew,
        }

        /// Runs the model: sizes and buffers are made ready, then every step runs.
        pub fn call(dims: Dims, run: &mut Run<'_>) -> Result<(), Error> {
            run.sizes.prepare(dims)?;
            run.buffers.prepare(run.sizes).map_err(StepError::at_border)?;
            steps(run).map_err(|e| run.profile.error(&NODES, e))?;
            run.profile.end();
            Ok(())
        }

        fn steps(#run: &mut Run<'_>) -> Result<(), StepError> {
            #body
            #states
            Ok(())
        }

        #(#functions)*
        #outputs
    };
    let mut uses = TokenStream::new();
    for module in ["bridge", "copy", "datum", "host", "memory", "sizes"] {
        if mentions_module(&items, module) {
            let module = format_ident!("{module}");
            uses.extend(quote!(use super::runtime::#module;));
        }
    }
    if mentions_module(&items, "kernels") {
        uses.extend(quote!(
            use super::kernels;
        ));
    }
    if mentions_module(&items, "runtime") {
        uses.extend(quote!(
            use super::runtime;
        ));
    }
    if mentions(&items, "Datum") {
        uses.extend(quote!(
            use super::runtime::datum::Datum;
        ));
    }
    if mentions(&items, "Weights") {
        uses.extend(quote!(
            use super::runtime::weights::Weights;
        ));
    }
    let file = quote! {
        #uses
        use super::runtime::crew::Crew;
        use super::runtime::engine::Profile;
        use super::runtime::error::{Error, Node, StepError};
        use super::runtime::memory::{Budget, Memory};
        #items
    };
    Ok((file, hosts))
}

fn symbol_name<C>(cx: &PlanContext<'_, C>, id: SymId) -> String {
    cx.plan.symbols.get(id).map_or_else(String::new, |s| one_line(&s.name))
}

/// A border's type as text, symbols by name.
pub fn shape_text<C>(cx: &PlanContext<'_, C>, border: &Border) -> String {
    type_text(&cx.sizes, &border.ty)
}

/// A type as text: extents for a tensor, words for the rest.
pub fn type_text(sizes: &SizeTable<'_>, ty: &Type) -> String {
    match ty {
        Type::Tensor(t) => {
            let dims: Vec<String> = t.shape.iter().map(|d| one_line(&sizes.text(d))).collect();
            format!("[{}]", dims.join(", "))
        }
        Type::Seq(inner) => format!("sequence of {}", type_text(sizes, inner)),
        Type::Opt(inner) => format!("optional {}", type_text(sizes, inner)),
        Type::Map { key, value } => format!("map from {key} to {}", type_text(sizes, value)),
        Type::Ragged { dtype, .. } => format!("{dtype} tensors of differing shapes"),
    }
}

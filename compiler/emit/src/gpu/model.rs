//! One model for GPUs as a tree of modules: its root (the typed API), `plan` (a program for each architecture), `weights`, and
//! the kernels as files of PTX.

use graph::dtype::DType;
use graph::host::HostOp;
use plan::plan::Plan;
use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

use crate::api::{Api, Runs};
use crate::error::EmitError;
use crate::gpu::lower::{HostEntry, Lowered, lower};
use crate::gpu::print::print_program;
use crate::gpu::target::GpuTarget;
use crate::mentions::{mentions, mentions_module};
use crate::model::{Contents, Files, ModelFiles, borders, docs, header, weight_module};
use crate::names::{ident, snake};
use crate::options::{Options, Placement};
use crate::plan_file::PlanContext;
use crate::plan_file::extents::print_dims;
use crate::print;
use crate::steps::host_attr;
use crate::weight_table::WeightTable;

/// Runtime files of GPU crates beyond those that every crate has.
const RUNTIME: &[&str] = &["gpu"];

/// Prints a model's plans, one for each architecture, over one table of weights.
pub fn print_gpu_model<C>(
    plans: &[(Plan<C>, &dyn GpuTarget<C>)],
    options: &Options,
    placement: &Placement,
) -> Result<ModelFiles, EmitError> {
    let (plan, _) = plans.first().ok_or(EmitError::NoTarget)?;
    let (weights, places) = WeightTable::of_all(plans.iter().map(|(plan, _)| plan))?;
    let mut lowered = Vec::with_capacity(plans.len());
    for ((plan, target), places) in plans.iter().zip(&places) {
        lowered.push((lower(plan, *target, places)?, target.name()));
    }
    let cx = PlanContext::over(plan, weights.placed(places.into_iter().next().unwrap_or_default()))?;
    let names: Vec<&str> = lowered.iter().map(|(_, name)| *name).collect();
    let target = names.join(", ");
    let mut files = Files::new();
    let programs = programs(&lowered, &mut files);
    let api = Api::new(&cx, &target, Runs::OnGpu);
    let (host, hosts) = print_hosts(&lowered)?;
    let results = api.print_gpu_results();
    let dims = print_dims(&cx);
    let plan_items = plan_file(quote!(#programs #dims #host #results));
    let head = header(options);
    let mut add = |path: &str, doc: &str, items: TokenStream| -> Result<(), EmitError> {
        let text = print::file(path, &format!("{head}//! {doc}\n"), items)?;
        files.insert(path.to_string(), Contents::text(text));
        Ok(())
    };
    add("plan.rs", "Programs: sizes, buffers, kernels and steps.", plan_items)?;
    let (weight_items, watched) = weight_module(&cx, options, placement, Runs::OnGpu);
    add("weights.rs", "Where the weights are.", weight_items)?;
    let root = root(&api.print());
    let weights = (!cx.weights.is_empty()).then(|| Contents(cx.weights.pieces()));
    let (inputs, outputs) = (borders(&cx, &plan.inputs), borders(&cx, &plan.outputs));
    let docs = docs(plan, &target, &inputs, &outputs);
    let is_half = |d: DType| matches!(d, DType::F16 | DType::BF16);
    let half = plan.inputs.iter().chain(&plan.outputs).any(|b| b.ty.as_tensor().is_some_and(|t| is_half(t.dtype)));
    let runtime = RUNTIME.to_vec();
    let borders = (inputs, outputs);
    Ok(ModelFiles { root, docs, files, weights, watched, runtime, hosts, half, gpu: true, borders })
}

/// The programs as statics, and the list of them; their kernels as files.
fn programs(lowered: &[(Lowered, &'static str)], files: &mut Files) -> TokenStream {
    let (mut items, mut names) = (TokenStream::new(), Vec::new());
    for (lowered, name) in lowered {
        let name = format_ident!("{}", name.to_uppercase());
        let prefix = match lowered.program.target {
            target if target.specific => format!("sm_{}a_", target.capability),
            target => format!("sm_{}_", target.capability),
        };
        let printed = print_program(&lowered.program, &name.to_string(), &prefix);
        items.extend(printed.items);
        files.extend(printed.files);
        names.push(name);
    }
    quote! {
        #items

        /// The programs, one for each architecture.
        pub static PROGRAMS: &[&Program] = &[#(&#names),*];
    }
}

/// What `Host` steps call. All programs of a model call the same operators under the same numbers.
fn print_hosts(lowered: &[(Lowered, &'static str)]) -> Result<(TokenStream, Vec<&'static HostOp>), EmitError> {
    let entries = lowered.first().map_or(&[][..], |(l, _)| l.hosts.as_slice());
    if lowered.iter().any(|(l, _)| l.hosts != entries) {
        return Err(EmitError::Strings { what: "the targets differ in what the host runs" });
    }
    let (mut arms, mut hosts) = (TokenStream::new(), Vec::new());
    for (number, entry) in entries.iter().enumerate() {
        let HostEntry::Operator { op, attrs } = entry else {
            return Err(EmitError::Strings {
                what: "generated crates for GPUs cannot run one yet; use the target cpu",
            });
        };
        if !hosts.contains(op) {
            hosts.push(*op);
        }
        let (number, module) = (Literal::u32_unsuffixed(number as u32), ident(&snake(op.name)));
        let mut list = Vec::new();
        for (name, value) in &attrs.0 {
            let value = host_attr(op.name, name, value)?;
            list.push(quote!((#name, #value)));
        }
        arms.extend(quote!(#number => host::#module::run(&[#(#list),*], operands),));
    }
    let operands = if arms.is_empty() { quote!(_operands) } else { quote!(operands) };
    let items = quote! {
        /// What runs on the host.
        #[derive(Debug)]
        pub struct Host {
            pub constants: Vec<Datum>,
        }

        impl HostOps for Host {
            fn call(&self, call: u32, #operands: &[&Datum]) -> Result<Vec<Datum>, String> {
                match call {
                    #arms
                    _ => Err(format!("the program has no host operator {call}")),
                }
            }

            fn constant(&self, index: u32) -> Option<&Datum> {
                self.constants.get(usize::try_from(index).ok()?)
            }
        }
    };
    Ok((items, hosts))
}

/// `plan.rs` with its imports.
fn plan_file(items: TokenStream) -> TokenStream {
    const TYPES: &[&str] = &[
        "Action",
        "Arg",
        "Assign",
        "Bind",
        "Bound",
        "Buf",
        "Buffer",
        "Condition",
        "Cubin",
        "Guard",
        "HostView",
        "InputPort",
        "Kernel",
        "MapElement",
        "MapShape",
        "Memory",
        "Module",
        "OutputPort",
        "Place",
        "Point",
        "Program",
        "Promotion",
        "ReadScalar",
        "Scalar",
        "Set",
        "Size",
        "SizeOp",
        "Span",
        "Step",
        "Swizzle",
        "Target",
        "TensorMap",
        "View",
    ];
    let types = TYPES.iter().filter(|name| mentions(&items, name)).map(|name| ident(name));
    let mut uses = TokenStream::new();
    for module in ["datum", "host", "memory", "sizes"] {
        if mentions_module(&items, module) {
            let module = ident(module);
            uses.extend(quote!(use super::runtime::#module;));
        }
    }
    if mentions(&items, "DType") {
        uses.extend(quote!(
            use super::runtime::datum::DType;
        ));
    }
    let node = if mentions(&items, "Node") { quote!(Node,) } else { TokenStream::new() };
    quote! {
        use std::borrow::Cow;

        #uses
        use super::runtime::datum::Datum;
        use super::runtime::error::{Error, #node StepError};
        use super::runtime::gpu::options::HostOps;
        use super::runtime::gpu::program::{#(#types),*};
        use super::runtime::gpu::session::GpuSession;
        #items
    }
}

/// Modules, imports and items of the root module.
fn root(api: &TokenStream) -> TokenStream {
    let mut uses = TokenStream::new();
    for module in ["bridge", "datum", "memory", "sizes", "tensor"] {
        if mentions_module(api, module) {
            let module = ident(module);
            uses.extend(quote!(use runtime::#module;));
        }
    }
    for (name, path) in [("HostInput", quote!(HostInput)), ("HostValue", quote!(HostValue))] {
        if mentions(api, name) {
            uses.extend(quote!(use runtime::gpu::session::#path;));
        }
    }
    let device = match mentions(api, "DeviceInput") {
        true => quote!(
            pub use runtime::gpu::session::DeviceInput;
        ),
        false => TokenStream::new(),
    };
    quote! {
        mod plan;
        mod weights;

        use std::sync::Arc;
        use std::time::Duration;

        #uses
        use runtime::error::StepError;
        use runtime::gpu;
        use runtime::gpu::engine::GpuEngine;
        use runtime::gpu::session::GpuSession;
        pub use runtime::datum::{DType, Datum, TensorDatum};
        pub use runtime::error::{DeviceError, Error, Node};
        pub use runtime::gpu::options::{EngineOptions, Info};
        pub use runtime::gpu::timeline::StepTime;
        #device
        pub use runtime::tensor::{Input, Shaped, TensorView, TensorViewMut};

        #api
    }
}

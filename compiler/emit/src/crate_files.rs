//! Whole crates: one model, or many that share one runtime.

use std::collections::BTreeSet;

use bytes::Bytes;
use plan::plan::Plan;
use proc_macro2::{Literal, TokenStream};
use quote::quote;

use crate::error::EmitError;
use crate::golden;
use crate::gpu::GpuTarget;
use crate::gpu::model::print_gpu_model;
use crate::model::{Contents, Files, ModelFiles, header, print_model};
use crate::names::{Namer, ident, snake};
use crate::options::{Options, Placement, WeightMode};
use crate::print;
use crate::samples;
use crate::target::TargetPrinter;

/// Runtime files of every crate.
const RUNTIME: &[&str] = &[
    "bridge.rs",
    "copy.rs",
    "crew.rs",
    "datum.rs",
    "engine.rs",
    "error.rs",
    "memory.rs",
    "sizes.rs",
    "tensor.rs",
    "weights.rs",
];

/// The files of a crate of one model.
pub fn emit_crate<C>(plan: &Plan<C>, target: &dyn TargetPrinter<C>, options: &Options) -> Result<Files, EmitError> {
    whole_crate(plan, print_model(plan, target, options, &Placement::Crate)?, options)
}

/// The files of a crate of one model for GPUs: a plan of it for each architecture.
pub fn emit_gpu_crate<C>(plans: &[(Plan<C>, &dyn GpuTarget<C>)], options: &Options) -> Result<Files, EmitError> {
    let (plan, _) = plans.first().ok_or(EmitError::NoTarget)?;
    whole_crate(plan, print_gpu_model(plans, options, &Placement::Crate)?, options)
}

/// The files of a GPU module for `OUT_DIR`: `NAME.rs` to be included, and the folder `NAME` beside it.
pub fn emit_gpu_out_dir<C>(plans: &[(Plan<C>, &dyn GpuTarget<C>)], options: &Options) -> Result<Files, EmitError> {
    let placement = Placement::OutDir { name: snake(&options.name) };
    let own = Options { name: snake(&options.name), ..options.clone() };
    out_dir(print_gpu_model(plans, &own, &placement)?, &own)
}

fn whole_crate<C>(plan: &Plan<C>, model: ModelFiles, options: &Options) -> Result<Files, EmitError> {
    let mut files = Files::new();
    for (path, contents) in &model.files {
        files.insert(format!("src/{path}"), contents.clone());
    }
    add_runtime(&mut files, "src/runtime", std::slice::from_ref(&model), &header(options))?;
    let lints = quote! {
        #![deny(missing_docs)]
    };
    let items = &model.root;
    let root = quote! {
        #lints
        #[allow(unused, reason = "copied as a whole; a model needs a part of it")]
        mod runtime;
        #items
    };
    files.insert("src/lib.rs".to_string(), root_text("src/lib.rs", options, &model.docs, root)?);
    if let Some(weights) = &model.weights {
        files.insert("weights.bin".to_string(), weights.clone());
    }
    let texts = samples::texts(plan, &model, options)?;
    files.extend(texts);
    if let Some(golden) = &options.golden {
        files.extend(golden::files(golden));
    }
    Ok(files)
}

/// The files of a crate of many models: a module each, one runtime; `MODELS` runs them by name.
pub fn emit_modules<C>(
    models: &[(String, Plan<C>)],
    target: &dyn TargetPrinter<C>,
    options: &Options,
) -> Result<Files, EmitError> {
    let mut files = Files::new();
    let mut printed = Vec::new();
    let mut namer = Namer::without(&["runtime"]);
    let (mut modules, mut rows) = (TokenStream::new(), Vec::new());
    for (name, plan) in models {
        let module = namer.unique(snake(name));
        let placement = Placement::Module { name: module.to_string() };
        let own = Options { name: module.to_string(), ..options.clone() };
        let model = print_model(plan, target, &own, &placement)?;
        add_module(&mut files, &format!("src/{module}"), &model, &own)?;
        let label = Literal::string(name);
        modules.extend(quote!(pub mod #module;));
        rows.push(quote!((#label, |inputs| {
            #module::Engine::load(EngineOptions::default())?.session()?.run_datums(inputs)
        })));
        printed.push(model);
    }
    add_runtime(&mut files, "src/runtime", &printed, &header(options))?;
    let root = quote! {
        #[allow(unused, reason = "copied as a whole; the models need a part of it")]
        pub mod runtime;
        #modules

        use runtime::datum::Datum;
        use runtime::engine::EngineOptions;
        use runtime::error::Error;

        /// Runs a model on inputs by position.
        pub type Runner = fn(&[Datum]) -> Result<Vec<Datum>, Error>;

        /// All models by name.
        pub const MODELS: &[(&str, Runner)] = &[#(#rows),*];
    };
    let docs = vec![format!("{} models.", models.len())];
    files.insert("src/lib.rs".to_string(), root_text("src/lib.rs", options, &docs, root)?);
    files.insert("Cargo.toml".to_string(), Contents::text(samples::manifest(options, &printed, false)));
    files.insert("rustfmt.toml".to_string(), Contents::text(samples::RUSTFMT.to_string()));
    Ok(files)
}

/// The files of a module for `OUT_DIR`: `NAME.rs` to be included, and the folder `NAME` beside it.
pub fn emit_out_dir<C>(plan: &Plan<C>, target: &dyn TargetPrinter<C>, options: &Options) -> Result<Files, EmitError> {
    let module = snake(&options.name);
    let placement = Placement::OutDir { name: module.clone() };
    let own = Options { name: module.clone(), ..options.clone() };
    out_dir(print_model(plan, target, &own, &placement)?, &own)
}

fn out_dir(model: ModelFiles, own: &Options) -> Result<Files, EmitError> {
    let (module, options) = (own.name.clone(), own);
    let mut files = Files::new();
    add_module(&mut files, &module, &model, own)?;
    add_runtime(&mut files, &format!("{module}/runtime"), std::slice::from_ref(&model), &header(options))?;
    let name = ident(&module);
    // Inside an included file a path counts from that file's folder.
    let path = format!("{module}/mod.rs");
    let include = quote! {
        #[path = #path]
        pub mod #name;
    };
    files.insert(format!("{module}.rs"), Contents::text(print::file(&module, &header(options), include)?));
    Ok(files)
}

/// A model as the folder of a module; its runtime is a module of the parent, or of its own folder.
fn add_module(files: &mut Files, folder: &str, model: &ModelFiles, options: &Options) -> Result<(), EmitError> {
    for (path, contents) in &model.files {
        files.insert(format!("{folder}/{path}"), contents.clone());
    }
    let items = &model.root;
    let runtime = match folder.starts_with("src/") {
        true => quote!(
            use super::runtime;
        ),
        false => quote! {
            #[allow(unused, reason = "copied as a whole; a model needs a part of it")]
            mod runtime;
        },
    };
    let root = quote!(#runtime #items);
    let path = format!("{folder}/mod.rs");
    let text = root_text(&path, options, &model.docs, root)?;
    files.insert(path, text);
    if let Some(weights) = &model.weights {
        files.insert(format!("{folder}/weights.bin"), weights.clone());
    }
    Ok(())
}

fn root_text(path: &str, options: &Options, docs: &[String], root: TokenStream) -> Result<Contents, EmitError> {
    let mut head = header(options);
    for line in docs {
        head.push_str(format!("//! {line}").trim_end());
        head.push('\n');
    }
    head.push('\n');
    Ok(Contents::text(print::file(path, &head, root)?))
}

/// Copies what the models need of the runtime, and gathers it in a module.
fn add_runtime(files: &mut Files, folder: &str, models: &[ModelFiles], header: &str) -> Result<(), EmitError> {
    let mut paths: BTreeSet<&str> = RUNTIME.iter().copied().collect();
    let half = models.iter().any(|m| m.half);
    for path in models.iter().flat_map(|m| m.runtime.iter().copied()) {
        // A folder stands for all of its files.
        let inside = format!("{path}/");
        paths.extend(runtime_min::sources::paths().filter(|p| *p == path || p.starts_with(&inside)));
        if !runtime_min::sources::paths().any(|p| p == path || p.starts_with(&inside)) {
            return Err(EmitError::Runtime { path: path.to_string() });
        }
    }
    match half {
        true => paths.extend(["half_elements.rs"]),
        false => paths.retain(|p| !p.starts_with("half_")),
    }
    let mut modules: BTreeSet<String> = BTreeSet::new();
    for path in paths {
        let file = runtime_min::sources::file(path).ok_or(EmitError::Runtime { path: path.to_string() })?;
        files.insert(format!("{folder}/{path}"), Contents(vec![Bytes::from(file.text)]));
        let top = path.split('/').next().unwrap_or(path);
        modules.insert(top.trim_end_matches(".rs").to_string());
    }
    let hosts: Vec<_> = models.iter().flat_map(|m| m.hosts.iter().copied()).collect();
    if !hosts.is_empty() {
        let mut names: BTreeSet<String> = BTreeSet::new();
        for host in hosts {
            let name = snake(host.name);
            let text = without_tests(host.runtime);
            files.insert(format!("{folder}/host/{name}.rs"), Contents::text(text));
            names.insert(name);
        }
        let names = names.iter().map(|n| ident(n));
        let items = quote!(use super::datum; #(pub mod #names;)*);
        let text = print::file("host/mod.rs", &format!("{header}//! Host operators.\n\n"), items)?;
        files.insert(format!("{folder}/host/mod.rs"), Contents::text(text));
        modules.insert("host".to_string());
    }
    let modules = modules.iter().map(|m| ident(m));
    let items = quote!(#(pub mod #modules;)*);
    let doc = format!("{header}//! The parts of the runtime that the model uses, copied.\n\n");
    files.insert(format!("{folder}/mod.rs"), Contents::text(print::file("runtime/mod.rs", &doc, items)?));
    Ok(())
}

/// A host operator's file up to its tests.
fn without_tests(text: &str) -> String {
    let body = text.split("#[cfg(test)]").next().unwrap_or(text);
    format!("{}\n", body.trim_end())
}

/// Whether the generated code must be told of a changed weight file.
pub fn watches(model: &ModelFiles, options: &Options) -> bool {
    model.watched && options.weights == WeightMode::Embed
}

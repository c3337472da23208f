//! The files around the generated code: manifest, texts, test, example, bench.

use graph::dtype::DType;
use graph::tensor::Tensor;
use graph::ty::Type;
use plan::plan::Plan;
use templates::fill;

use crate::error::EmitError;
use crate::golden;
use crate::model::{Contents, Files, ModelFiles, header};
use crate::names::{camel, code_span, one_line, snake};
use crate::options::Options;
use crate::smallest::smallest_sizes;

/// Keeps `cargo fmt` from touching generated files.
pub const RUSTFMT: &str = "# The files are formatted by the generator.\ndisable_all_formatting = true\n";

/// Finds the driver's library when a GPU crate runs; the version is that of the interface that it must have at least.
const CUDARC: &str = "cudarc = { version = \"0.19.5\", default-features = false, features = [\"cuda-12000\", \
                      \"driver\", \"dynamic-loading\", \"std\"] }\n";

/// The runtime's GPU files stand behind a feature.
const FEATURES: &str = "[features]\ndefault = [\"cuda\"]\ncuda = []\nthreads = []\n\n";

/// Sessions of several threads.
const THREADS: &str = "[features]\nthreads = []\n\n";

const BENCH_OPTIONS: &str = "{\n        let threads = args.iter().skip_while(|a| *a != \"--threads\").nth(1);\n        \
                             EngineOptions::default().with_threads(threads.and_then(|s| s.parse().ok()).unwrap_or(1))\n    }";

const BENCH: &str = "[[bench]]\nname = \"infer\"\nharness = false\n\n";

/// The manifest of a crate.
pub fn manifest(options: &Options, models: &[ModelFiles], bench: bool) -> String {
    let half = if models.iter().any(|m| m.half) { "half = \"2.7\"\n" } else { "" };
    let gpu = models.iter().any(|m| m.gpu);
    let values = [
        ("name", crate_name(options)),
        ("half", half.to_string()),
        ("cudarc", if gpu { CUDARC.to_string() } else { String::new() }),
        ("features", if gpu { FEATURES } else { THREADS }.to_string()),
        ("bench", if bench { BENCH.to_string() } else { String::new() }),
        ("tool", options.tool_version.clone()),
        ("source", one_line(&options.source).replace(['"', '\\'], "'")),
    ];
    fill(templates::CARGO_TOML, &pairs(&values))
}

/// The name of the package: the crate's identifier.
pub fn crate_name(options: &Options) -> String {
    snake(&options.name)
}

/// All files of a crate of one model that are not its code.
pub fn texts<C>(plan: &Plan<C>, model: &ModelFiles, options: &Options) -> Result<Files, EmitError> {
    let name = crate_name(options);
    let list = |borders: &[(String, String)]| {
        let rows: Vec<String> =
            borders.iter().map(|(n, t)| format!("| {} | {} |", code_span(n), code_span(t))).collect();
        rows.join("\n")
    };
    let values = [
        ("header", header(options)),
        ("crate", name.clone()),
        ("model", code_span(&plan.name)),
        ("tool", options.tool_version.clone()),
        ("source", one_line(&options.source)),
        ("inputs", list(&model.borders.0)),
        ("outputs", list(&model.borders.1)),
        ("report", options.report.clone()),
        ("samples", sample_inputs(plan)),
        ("usage", usage(plan, &name)),
        ("fill", if plan.inputs.is_empty() { String::new() } else { "session.fill_datums(&inputs)?;".to_string() }),
        (
            "more",
            if model.gpu { "" } else { ",\n//! with the feature `threads` `-- --threads N` for several threads" }
                .to_string(),
        ),
        ("engine_options", if model.gpu { "EngineOptions::default()" } else { BENCH_OPTIONS }.to_string()),
        ("golden_inputs", golden_list(options, "input")),
        ("golden_outputs", golden_list(options, "output")),
        ("golden_tolerance", options.golden.as_ref().map_or_else(String::new, |g| format!("{:e}", g.tolerance))),
    ];
    let values = pairs(&values);
    let mut files = Files::new();
    let mut add = |path: &str, template: &str| {
        files.insert(path.to_string(), Contents::text(fill(template, &values)));
    };
    add("README.md", templates::README_MD);
    add("REPORT.md", templates::REPORT_MD);
    add("examples/infer.rs", templates::EXAMPLE_RS);
    add("benches/infer.rs", templates::BENCH_RS);
    match options.golden {
        Some(_) => add("tests/golden.rs", templates::GOLDEN_RS),
        None => add("tests/golden.rs", templates::REPEAT_RS),
    }
    if crate::crate_files::watches(model, options) {
        add("build.rs", templates::BUILD_RS);
    }
    files.insert("Cargo.toml".to_string(), Contents::text(manifest(options, std::slice::from_ref(model), true)));
    files.insert("rustfmt.toml".to_string(), Contents::text(RUSTFMT.to_string()));
    files.insert(".gitignore".to_string(), Contents::text("/target\n".to_string()));
    Ok(files)
}

fn pairs<'a>(values: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    values.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// Sample inputs by position as a list of expressions: seeded values at small extents.
fn sample_inputs<C>(plan: &Plan<C>) -> String {
    let given = |b: &&plan::plan::Border| {
        let buffer = plan.buffers.get(b.view.buffer.0 as usize);
        !buffer.is_some_and(|b| matches!(b.place, plan::plan::Place::State(_)))
    };
    let sizes = smallest_sizes(plan);
    let mut lines = Vec::new();
    for border in plan.inputs.iter().filter(given) {
        lines.push(match &border.ty {
            Type::Tensor(t) => {
                let symbol = |id| sizes.get(&id).copied();
                let extents: Vec<String> =
                    t.shape.iter().map(|d| d.eval(&symbol).unwrap_or(1).max(0).to_string()).collect();
                format!("        sample(DType::{:?}, &[{}]),", t.dtype, extents.join(", "))
            }
            _ => "        Datum::Seq(Vec::new()),".to_string(),
        });
    }
    lines.join("\n")
}

/// The typed call, as the README shows it.
fn usage<C>(plan: &Plan<C>, name: &str) -> String {
    let fields: Vec<String> = plan.inputs.iter().map(|b| snake(&b.name)).collect();
    let output = plan.outputs.first().map_or_else(|| "output".to_string(), |b| snake(&b.name));
    let mut newtypes = std::collections::BTreeSet::new();
    let lets: Vec<String> = plan
        .inputs
        .iter()
        .zip(&fields)
        .map(|(b, field)| match crate::kinds::of_input(b) {
            crate::kinds::Form::Static { .. } | crate::kinds::Form::Leading { .. } => {
                format!("let {field} = Input::from_slice(&{field}_values)?;")
            }
            crate::kinds::Form::View { symbols, .. } => {
                let dims: Vec<String> = symbols
                    .iter()
                    .map(|id| {
                        let symbol = plan.symbols.get(*id).map_or_else(String::new, |s| s.name.clone());
                        newtypes.insert(camel(&symbol));
                        format!("{}({})", camel(&symbol), snake(&symbol))
                    })
                    .collect();
                let dims = if dims.len() == 1 { dims.join("") } else { format!("({})", dims.join(", ")) };
                format!("let {field} = Input::with_dims(&{field}_values, {dims});")
            }
            crate::kinds::Form::Datum => format!("let {field} = &{field}_datum;"),
        })
        .collect();
    let imports: String = newtypes.iter().map(|n| format!("{n}, ")).collect();
    format!(
        "use {name}::{{{}Engine, EngineOptions, Input, Inputs}};\n\n\
         let engine = Engine::load(EngineOptions::default())?;\n\
         let mut session = engine.session()?;\n\
         {}\nlet out = session.infer(&Inputs {{ {} }})?;\nlet {output} = out.{output}();",
        imports,
        lets.join("\n"),
        fields.join(", ")
    )
}

fn golden_list(options: &Options, kind: &str) -> String {
    let Some(golden) = &options.golden else { return String::new() };
    let tensors: &[Tensor] = if kind == "input" { &golden.inputs } else { &golden.outputs };
    let whole = tensors.iter().all(|t| t.dtype() != DType::Str);
    if !whole {
        return String::new();
    }
    let line = |(k, t): (usize, &Tensor)| format!("        {},", golden::expression(kind, k, t));
    tensors.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

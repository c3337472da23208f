//! From a decoded model to a graph.
//!
//! [`crate::check`] looks at everything that needs no operator code; then the nodes are imported in order of definition.
//! A node that fails poisons its outputs: what depends on them is passed over silently, the rest still imports, so that
//! all problems of a model are shown at once. What comes out has passed the verifier.

mod border;
mod node;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;
use graph::builder::Builder;
use graph::graph::Model;
use graph::tensor::Tensor;

use crate::check::{Checker, Report};
use crate::external::ExternalFiles;
use crate::functions::{Functions, opsets};
use crate::info::Info;
use crate::load;
use crate::names::Opsets;
use crate::options::Options;
use crate::problem::{Code, Fault, Problem, Problems};
use crate::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TypeProto};
use crate::tensor::{Source, decode, decode_sparse};
use crate::types::Dims;
use crate::value::ImportValue;

/// IR versions that can be read.
const IR_VERSIONS: std::ops::RangeInclusive<i64> = 3..=13;

/// A model and what was noticed on the way.
#[derive(Clone, Debug)]
pub struct Imported {
    pub model: Model,
    /// Remarks that stop nothing.
    pub warnings: Vec<Problem>,
    pub info: Info,
}

/// Imports a model from its file; external data are looked for in the file's folder.
pub fn import_file(path: &Path, options: &Options) -> Result<Imported, Problems> {
    let file = Some(path.display().to_string());
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    match load::read(path) {
        Ok(bytes) => import(bytes, Some(folder), options, file),
        Err(fault) => Err(Problem { file, node: None, fault }.into()),
    }
}

/// Imports a model from bytes; without a folder it may have no external data.
pub fn import_bytes(bytes: Bytes, folder: Option<&Path>, options: &Options) -> Result<Imported, Problems> {
    import(bytes, folder, options, None)
}

fn import(bytes: Bytes, folder: Option<&Path>, options: &Options, file: Option<String>) -> Result<Imported, Problems> {
    let model: ModelProto = load::decode(bytes, "an ONNX model")
        .map_err(|fault| Problems::from(Problem { file: file.clone(), node: None, fault }))?;
    let mut report = Report { file, ..Report::default() };
    let opsets = check_header(&model, &mut report);
    let Some(graph) = &model.graph else {
        report.push(None, Fault::new(Code::NoGraph, "a graph", "none"));
        return Err(report.problems);
    };
    let functions = Functions::new(&model, options, &mut |fault| report.push(None, fault));
    if !functions.endless {
        let expanded = functions.expanded(&graph.node);
        if expanded > options.nodes as u64 {
            let expected = format!("at most {} nodes", options.nodes);
            report.push(None, Fault::new(Code::Expansion, expected, expanded.to_string()));
            return Err(report.problems);
        }
    }
    let mut files = ExternalFiles::new(folder, options.allow_external_links);
    let source = Source { files: &mut files, options };
    let mut checker = Checker { functions: &functions, source, report: &mut report, failed: BTreeSet::new() };
    checker.model(graph, &opsets);
    let failed = std::mem::take(&mut checker.failed);
    if functions.endless {
        return Err(report.problems);
    }
    let info = Info::new(&model, &opsets);
    let importer = Import {
        options,
        report,
        functions: &functions,
        files,
        dims: Dims::default(),
        failed,
        frames: Vec::new(),
        bodies: Vec::new(),
        nodes: 0,
        body_failed: None,
    };
    importer.run(graph, opsets, info)
}

/// IR version and operator sets.
fn check_header(model: &ModelProto, report: &mut Report) -> Opsets {
    let version = model.ir_version();
    if !IR_VERSIONS.contains(&version) {
        let expected = format!("an IR version in {IR_VERSIONS:?}");
        let found = if model.ir_version.is_some() { version.to_string() } else { "none".to_string() };
        report.push(None, Fault::new(Code::IrVersion, expected, found));
    }
    let (opsets, faults) = opsets(&model.opset_import);
    faults.into_iter().for_each(|fault| report.push(None, fault));
    if opsets.is_empty() {
        report.push(None, Fault::new(Code::Opset, "an import of operator set ai.onnx", "no import at all"));
    }
    if !model.training_info.is_empty() {
        report.warn(Fault::new(Code::Training, "an inference model", "training information, which is ignored"));
    }
    opsets
}

/// What a name stands for.
#[derive(Clone)]
enum Entry {
    Value(ImportValue),
    /// An input that the caller of a function left out.
    Absent,
    /// The result of a node that failed.
    Poisoned,
}

/// What nodes of one graph or function share.
struct Around<'m> {
    /// Names of the calls and bodies around, each with a slash behind.
    path: String,
    opsets: Rc<Opsets>,
    /// Attributes of the function around.
    attrs: BTreeMap<&'m str, &'m AttributeProto>,
}

/// A graph or function under import.
struct Frame<'m> {
    around: Rc<Around<'m>>,
    names: BTreeMap<&'m str, Entry>,
    declared: BTreeMap<&'m str, &'m TypeProto>,
}

/// A graph attribute that an operator was given.
struct Body<'m> {
    graph: &'m GraphProto,
    around: Rc<Around<'m>>,
    /// Names from around it, in order of first use.
    captures: Vec<(String, ImportValue)>,
    absent: Vec<&'m str>,
}

/// An import under way.
struct Import<'a, 'm> {
    options: &'a Options,
    report: Report,
    functions: &'a Functions<'m>,
    files: ExternalFiles,
    dims: Dims,
    /// Nodes that the check refused, by address.
    failed: BTreeSet<*const NodeProto>,
    frames: Vec<Frame<'m>>,
    bodies: Vec<Body<'m>>,
    /// Nodes imported so far.
    nodes: usize,
    /// Problems of a body that was not imported whole. Operators import bodies on trial, so they count only if the
    /// operator fails in the end.
    body_failed: Option<Vec<Problem>>,
}

impl<'m> Import<'_, 'm> {
    fn run(mut self, graph: &'m GraphProto, opsets: Opsets, mut info: Info) -> Result<Imported, Problems> {
        let mut b = Builder::with_limits(graph.name(), self.options.limits.clone());
        b.set_string_pick(&crate::ops::list::string_pick::HOST);
        let around = Around { path: String::new(), opsets: Rc::new(opsets), attrs: BTreeMap::new() };
        let names = self.inputs(&mut b, graph, info.ir_version);
        self.frames.push(Frame { around: Rc::new(around), names, declared: declared(graph) });
        self.initializers(&mut b, graph);
        self.import_nodes(&mut b, &graph.node);
        let outputs = self.outputs(&mut b, graph);
        if !self.report.problems.is_empty() {
            self.report.problems.deduplicate();
            return Err(self.report.problems);
        }
        let model = border::finish(b, &outputs);
        if let Err(violations) = graph::verify::model(&model) {
            for violation in violations {
                let fault = Fault::new(Code::Verifier, "a graph that the verifier accepts", violation.to_string());
                self.report.push(None, fault.about("import"));
            }
            return Err(self.report.problems);
        }
        info.borders(&model, outputs.into_iter().map(|(name, _)| name));
        Ok(Imported { model, warnings: self.report.warnings, info })
    }

    /// Constants of the innermost frame. Names that stand for something already (inputs of a body) stay what they are.
    fn initializers(&mut self, b: &mut Builder, graph: &'m GraphProto) {
        let used: BTreeSet<&str> =
            graph.node.iter().flat_map(crate::names::used_names).chain(graph.output.iter().map(|o| o.name())).collect();
        for proto in &graph.initializer {
            let tensor = decode(proto, &mut Source { files: &mut self.files, options: self.options });
            self.initializer(b, proto.name(), used.contains(proto.name()), tensor);
        }
        for proto in &graph.sparse_initializer {
            let name = proto.values.as_ref().map_or("", |v| v.name());
            let tensor = decode_sparse(proto, &mut Source { files: &mut self.files, options: self.options });
            self.initializer(b, name, used.contains(name), tensor);
        }
    }

    fn initializer(&mut self, b: &mut Builder, name: &'m str, used: bool, tensor: Result<Tensor, Fault>) {
        let Some(frame) = self.frames.last_mut() else { return };
        if frame.names.contains_key(name) {
            return;
        }
        let value = match tensor {
            Ok(_) if !used => return,
            Ok(tensor) => b.constant(tensor).map_err(Fault::from),
            Err(fault) => Err(fault),
        };
        let entry = match value {
            Ok(id) => {
                b.name_value(id, name);
                Entry::Value(ImportValue::Value(id))
            }
            Err(fault) => {
                // The check has reported those of bodies.
                if frame.around.path.is_empty() {
                    self.report.push(None, fault.about(format!("initializer {name:?}")));
                }
                Entry::Poisoned
            }
        };
        frame.names.insert(name, entry);
    }

    /// Enters a function or body; none where that is too deep (the thread's stack is the reason, so bodies and functions
    /// count together).
    fn enter(&mut self, frame: Frame<'m>) -> Option<Fault> {
        if self.frames.len() > self.options.limits.nesting {
            let expected = format!("at most {} functions and bodies inside each other", self.options.limits.nesting);
            return Some(Fault::new(Code::Limit, expected, "more").about("nesting"));
        }
        self.frames.push(frame);
        None
    }

    fn import_nodes(&mut self, b: &mut Builder, nodes: &'m [NodeProto]) {
        let order = crate::names::order(nodes);
        for index in order.sorted.into_iter().chain(order.stuck) {
            if let Some(node) = nodes.get(index) {
                self.node(b, node, index);
            }
        }
    }
}

/// Declared types of a graph's values and outputs.
fn declared(graph: &GraphProto) -> BTreeMap<&str, &TypeProto> {
    let infos = graph.value_info.iter().chain(&graph.output);
    infos.filter_map(|info| info.r#type.as_ref().map(|ty| (info.name(), ty))).collect()
}

//! What a model file says about itself; also for models whose operators are not all supported.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use graph::dtype::DType;
use graph::graph::Model;
use graph::text::dim::Names;
use graph::text::ty::print_type;

use crate::check::version_fault;
use crate::functions::opsets;
use crate::load;
use crate::names::{Opsets, domain, for_each_node};
use crate::ops;
use crate::problem::{Problem, Problems};
use crate::proto::{ModelProto, TensorProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto};

/// Facts about a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    pub name: String,
    pub ir_version: i64,
    pub producer: String,
    pub opsets: Opsets,
    pub inputs: Vec<Border>,
    pub outputs: Vec<Border>,
    /// By domain and name, nodes of bodies and functions included.
    pub operators: BTreeMap<(String, String), Count>,
    pub functions: usize,
    pub initializers: usize,
    pub initializer_bytes: u64,
    /// Elements of float initializers.
    pub parameters: u64,
    /// Files of external data, as the model names them.
    pub external_files: BTreeSet<String>,
}

/// How often an operator occurs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub nodes: usize,
    /// An operator of the imported version, or a model-local function.
    pub supported: bool,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Border {
    pub name: String,
    /// `f32[batch, 3, 224, 224]`
    pub ty: String,
}

/// The facts of a model file.
pub fn inspect(path: &Path) -> Result<Info, Problems> {
    let problem = |fault| Problems::from(Problem { file: Some(path.display().to_string()), node: None, fault });
    let bytes = load::read(path).map_err(problem)?;
    let model: ModelProto = load::decode(bytes, "an ONNX model").map_err(problem)?;
    Ok(Info::new(&model, &opsets(&model.opset_import).0))
}

impl Info {
    /// The facts that a decoded model shows; borders as declared.
    pub fn new(model: &ModelProto, imports: &Opsets) -> Info {
        let mut info = Info {
            ir_version: model.ir_version(),
            producer: format!("{} {}", model.producer_name(), model.producer_version()).trim().to_string(),
            opsets: imports.clone(),
            functions: model.functions.len(),
            ..Info::default()
        };
        let Some(graph) = &model.graph else { return info };
        info.name = graph.name().to_string();
        let constants: BTreeSet<&str> = crate::names::initializer_names(graph).collect();
        let border = |info: &ValueInfoProto| Border { name: info.name().to_string(), ty: declared(info) };
        info.inputs = graph.input.iter().filter(|i| !constants.contains(i.name())).map(border).collect();
        info.outputs = graph.output.iter().map(border).collect();
        graph.initializer.iter().for_each(|t| info.initializer(t));
        graph.sparse_initializer.iter().filter_map(|s| s.values.as_ref()).for_each(|t| info.initializer(t));
        let functions: BTreeSet<(&str, &str)> =
            model.functions.iter().map(|f| (domain(f.domain()), f.name())).collect();
        let mut count = |nodes, imports: &Opsets| {
            for_each_node(nodes, &mut |node| {
                let domain = domain(node.domain());
                let op = ops::find(domain, node.op_type());
                let supported = op.is_some_and(|op| version_fault(op, imports.get(domain).copied()).is_none());
                let key = (domain.to_string(), node.op_type().to_string());
                let entry = info.operators.entry(key).or_insert(Count { nodes: 0, supported: true });
                entry.nodes += 1;
                entry.supported &= supported || functions.contains(&(domain, node.op_type()));
            });
        };
        count(&graph.node, imports);
        model.functions.iter().for_each(|f| count(&f.node, &opsets(&f.opset_import).0));
        info
    }

    /// Operators that are not supported.
    pub fn unsupported(&self) -> impl Iterator<Item = (&str, &str, usize)> {
        let missing = self.operators.iter().filter(|(_, count)| !count.supported);
        missing.map(|((domain, name), count)| (domain.as_str(), name.as_str(), count.nodes))
    }

    /// Replaces the declared borders by those of the graph.
    pub(crate) fn borders(&mut self, model: &Model, outputs: impl Iterator<Item = String>) {
        let names = Names::new(&model.symbols);
        let border = |id, name: Option<String>| {
            let value = model.graph.value(id)?;
            let name = name.or_else(|| value.name.clone()).unwrap_or_default();
            Some(Border { name, ty: print_type(&value.ty, &names) })
        };
        self.inputs = model.graph.inputs.iter().filter_map(|id| border(*id, None)).collect();
        self.outputs = model.graph.outputs.iter().zip(outputs).filter_map(|(id, n)| border(*id, Some(n))).collect();
    }

    fn initializer(&mut self, tensor: &TensorProto) {
        self.initializers += 1;
        let count = tensor.dims.iter().fold(1u64, |n, d| n.saturating_mul(u64::try_from(*d).unwrap_or(0)));
        let dtype = DType::from_onnx(tensor.data_type());
        let bits = u64::from(dtype.map_or(0, DType::bits));
        self.initializer_bytes = self.initializer_bytes.saturating_add(count.saturating_mul(bits).div_ceil(8));
        if dtype.is_some_and(DType::is_float) {
            self.parameters = self.parameters.saturating_add(count);
        }
        let location = tensor.external_data.iter().find(|e| e.key() == "location");
        self.external_files.extend(location.map(|e| e.value().to_string()));
    }
}

/// A declared type as text.
fn declared(info: &ValueInfoProto) -> String {
    let Some(value) = info.r#type.as_ref().and_then(|t| t.value.as_ref()) else { return "unknown".to_string() };
    let tensor = match value {
        type_proto::Value::TensorType(t) => t,
        type_proto::Value::SequenceType(_) => return "sequence".to_string(),
        type_proto::Value::OptionalType(_) => return "optional".to_string(),
        type_proto::Value::MapType(_) => return "map".to_string(),
        type_proto::Value::SparseTensorType(_) => return "sparse tensor".to_string(),
        type_proto::Value::OpaqueType(_) => return "opaque".to_string(),
    };
    let dtype = DType::from_onnx(tensor.elem_type()).map_or("unknown", DType::name);
    let Some(shape) = &tensor.shape else { return format!("{dtype} of unknown rank") };
    let dims: Vec<String> = shape
        .dim
        .iter()
        .map(|d| match &d.value {
            Some(dimension::Value::DimValue(v)) => v.to_string(),
            Some(dimension::Value::DimParam(name)) => name.clone(),
            None => "?".to_string(),
        })
        .collect();
    format!("{dtype}[{}]", dims.join(", "))
}

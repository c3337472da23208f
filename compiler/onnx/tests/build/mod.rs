//! Messages for tests, built with few words.
#![allow(dead_code, reason = "each test file uses a part of it")]

use bytes::Bytes;
use onnx::proto::*;
use onnx::{Imported, Options, Problems};
use prost::Message;

/// A model of newest IR version and opset 22 with `x: f32[2]` in and `y: f32[2]` out.
pub fn model(nodes: Vec<NodeProto>) -> ModelProto {
    let graph = GraphProto {
        name: Some("g".into()),
        node: nodes,
        input: vec![value("x", 1, &["2"])],
        output: vec![value("y", 1, &["2"])],
        ..GraphProto::default()
    };
    let opset = OperatorSetIdProto { domain: Some(String::new()), version: Some(22) };
    ModelProto { ir_version: Some(13), opset_import: vec![opset], graph: Some(graph), ..ModelProto::default() }
}

/// The model, changed.
pub fn with(mut model: ModelProto, change: impl FnOnce(&mut ModelProto)) -> ModelProto {
    change(&mut model);
    model
}

/// The model, its graph changed.
pub fn graph_with(nodes: Vec<NodeProto>, change: impl FnOnce(&mut GraphProto)) -> ModelProto {
    with(model(nodes), |m| change(m.graph.as_mut().unwrap()))
}

/// A model `y = x + w` with this initializer.
pub fn weight(tensor: TensorProto) -> ModelProto {
    graph_with(vec![node("Add", "x w", "y")], |g| g.initializer.push(tensor))
}

pub fn node(op: &str, inputs: &str, outputs: &str) -> NodeProto {
    let names = |text: &str| text.split(' ').filter(|n| !n.is_empty()).map(|n| n.replace('_', "")).collect();
    NodeProto { op_type: Some(op.into()), input: names(inputs), output: names(outputs), ..NodeProto::default() }
}

pub fn in_domain(domain: &str, mut node: NodeProto) -> NodeProto {
    node.domain = Some(domain.into());
    node
}

pub fn attrs(mut node: NodeProto, attrs: Vec<AttributeProto>) -> NodeProto {
    node.attribute = attrs;
    node
}

/// An attribute of a type, by its code, with nothing in it.
pub fn attr(name: &str, code: i32) -> AttributeProto {
    AttributeProto { name: Some(name.into()), r#type: Some(code), ..AttributeProto::default() }
}

pub fn float(name: &str, v: f32) -> AttributeProto {
    AttributeProto { f: Some(v), ..attr(name, 1) }
}

pub fn int(name: &str, v: i64) -> AttributeProto {
    AttributeProto { i: Some(v), ..attr(name, 2) }
}

pub fn text(name: &str, v: &[u8]) -> AttributeProto {
    AttributeProto { s: Some(v.to_vec()), ..attr(name, 3) }
}

pub fn tensor_attr(name: &str, t: TensorProto) -> AttributeProto {
    AttributeProto { t: Some(t), ..attr(name, 4) }
}

pub fn graph_attr(name: &str, nodes: Vec<NodeProto>, output: &str) -> AttributeProto {
    let output = ValueInfoProto { name: Some(output.into()), ..ValueInfoProto::default() };
    let g = GraphProto { node: nodes, output: vec![output], ..GraphProto::default() };
    AttributeProto { g: Some(g), ..attr(name, 5) }
}

pub fn reference(name: &str, to: &str, code: i32) -> AttributeProto {
    AttributeProto { ref_attr_name: Some(to.into()), ..attr(name, code) }
}

/// A border value; dims are numbers, names or `?`.
pub fn value(name: &str, dtype: i32, dims: &[&str]) -> ValueInfoProto {
    let dim = dims
        .iter()
        .map(|d| tensor_shape_proto::Dimension {
            value: match d.parse() {
                Ok(v) => Some(tensor_shape_proto::dimension::Value::DimValue(v)),
                Err(_) if *d == "?" => None,
                Err(_) => Some(tensor_shape_proto::dimension::Value::DimParam(d.to_string())),
            },
            denotation: None,
        })
        .collect();
    let tensor = type_proto::Tensor { elem_type: Some(dtype), shape: Some(TensorShapeProto { dim }) };
    let ty = TypeProto { denotation: None, value: Some(type_proto::Value::TensorType(tensor)) };
    ValueInfoProto { name: Some(name.into()), r#type: Some(ty), ..ValueInfoProto::default() }
}

/// A tensor `w` without data.
pub fn tensor(dtype: i32, dims: &[i64]) -> TensorProto {
    TensorProto { name: Some("w".into()), data_type: Some(dtype), dims: dims.to_vec(), ..TensorProto::default() }
}

pub fn floats(dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto { float_data: values.to_vec(), ..tensor(1, dims) }
}

pub fn int64s(values: &[i64]) -> TensorProto {
    TensorProto { int64_data: values.to_vec(), ..tensor(7, &[values.len() as i64]) }
}

pub fn raw(dtype: i32, dims: &[i64], bytes: &[u8]) -> TensorProto {
    TensorProto { raw_data: Some(Bytes::copy_from_slice(bytes)), ..tensor(dtype, dims) }
}

/// A tensor `w: f32[2]` in a file.
pub fn external(entries: &[(&str, &str)]) -> TensorProto {
    let external_data =
        entries.iter().map(|(k, v)| StringStringEntryProto { key: Some(k.to_string()), value: Some(v.to_string()) });
    TensorProto { external_data: external_data.collect(), data_location: Some(1), ..tensor(1, &[2]) }
}

pub fn sparse(dims: &[i64], values: TensorProto, indices: TensorProto) -> SparseTensorProto {
    SparseTensorProto { values: Some(values), indices: Some(indices), dims: dims.to_vec() }
}

/// A function `local::name(a) -> b`.
pub fn function(name: &str, nodes: Vec<NodeProto>) -> FunctionProto {
    let opset = |domain: &str, version| OperatorSetIdProto { domain: Some(domain.into()), version: Some(version) };
    FunctionProto {
        name: Some(name.into()),
        domain: Some("local".into()),
        input: vec!["a".into()],
        output: vec!["b".into()],
        node: nodes,
        opset_import: vec![opset("", 22), opset("local", 1)],
        ..FunctionProto::default()
    }
}

/// A call of a function from the model's graph or another function.
pub fn call(name: &str, inputs: &str, outputs: &str) -> NodeProto {
    in_domain("local", node(name, inputs, outputs))
}

/// A model `y = local::f(x)` with functions.
pub fn calling(functions: Vec<FunctionProto>) -> ModelProto {
    with(model(vec![call("f", "x", "y")]), |m| {
        m.functions = functions;
        m.opset_import.push(OperatorSetIdProto { domain: Some("local".into()), version: Some(1) });
    })
}

pub fn import(model: &ModelProto, options: &Options) -> Result<Imported, Problems> {
    onnx::import_bytes(Bytes::from(model.encode_to_vec()), None, options)
}

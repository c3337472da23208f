//! `AttributeProto` to [`AttrValue`], and which type an attribute really has.

use graph::ty::Type;

use crate::operator::{AttrKind, AttrValue};
use crate::problem::{Code, Fault};
use crate::proto::AttributeProto;
use crate::proto::attribute_proto::AttributeType;
use crate::tensor::{Source, decode, decode_sparse, text};
use crate::types::static_type;

/// The type of an attribute: the declared one, which the field that is filled must agree with. Models of the first two IR
/// versions, and some writers since, leave the type out.
pub fn kind(attr: &AttributeProto) -> Result<AttrKind, Fault> {
    let held: Vec<AttributeType> = held(attr);
    let declared = AttributeType::try_from(attr.r#type.unwrap_or_default())
        .map_err(|_| type_fault(attr, "an attribute type", &format!("code {}", attr.r#type.unwrap_or_default())))?;
    let found = match (declared, held.as_slice()) {
        (AttributeType::Undefined, [only]) => *only,
        (AttributeType::Undefined, _) => return Err(type_fault(attr, "an attribute with a type", "none")),
        (declared, []) => declared,
        (declared, [only]) if *only == declared => declared,
        (declared, held) => {
            let names: Vec<&str> = held.iter().map(|h| name(*h)).collect();
            return Err(type_fault(attr, name(declared), &names.join(" and ")));
        }
    };
    match found {
        AttributeType::Int => Ok(AttrKind::Int),
        AttributeType::Ints => Ok(AttrKind::Ints),
        AttributeType::Float => Ok(AttrKind::Float),
        AttributeType::Floats => Ok(AttrKind::Floats),
        AttributeType::String => Ok(AttrKind::String),
        AttributeType::Strings => Ok(AttrKind::Strings),
        AttributeType::Tensor => Ok(AttrKind::Tensor),
        AttributeType::SparseTensor => Ok(AttrKind::SparseTensor),
        AttributeType::Graph => Ok(AttrKind::Graph),
        AttributeType::TypeProto => Ok(AttrKind::Type),
        AttributeType::Undefined
        | AttributeType::Tensors
        | AttributeType::Graphs
        | AttributeType::SparseTensors
        | AttributeType::TypeProtos => Err(type_fault(attr, "a type that an operator takes", name(found))),
    }
}

/// The value of an attribute that is not a graph and not a reference.
pub fn value(attr: &AttributeProto, kind: AttrKind, source: &mut Source<'_>) -> Result<AttrValue, Fault> {
    let about = |f: Fault| f.about(format!("attribute `{}`", attr.name()));
    let missing = || type_fault(attr, kind_name(kind), "nothing");
    Ok(match kind {
        AttrKind::Int => AttrValue::Int(attr.i()),
        AttrKind::Ints => AttrValue::Ints(attr.ints.clone()),
        AttrKind::Float => AttrValue::Float(attr.f()),
        AttrKind::Floats => AttrValue::Floats(attr.floats.clone()),
        AttrKind::String => AttrValue::String(text(attr.s()).map_err(about)?),
        AttrKind::Strings => {
            AttrValue::Strings(attr.strings.iter().map(|s| text(s)).collect::<Result<_, _>>().map_err(about)?)
        }
        AttrKind::Tensor => {
            let proto = attr.t.as_ref().ok_or_else(missing)?;
            AttrValue::Tensor(decode(proto, source).map_err(about)?)
        }
        AttrKind::SparseTensor => {
            let proto = attr.sparse_tensor.as_ref().ok_or_else(missing)?;
            AttrValue::Tensor(decode_sparse(proto, source).map_err(about)?)
        }
        AttrKind::Type => {
            let proto = attr.tp.as_ref().ok_or_else(missing)?;
            let ty: Type = static_type(proto).map_err(about)?;
            AttrValue::Type(ty)
        }
        AttrKind::Graph => return Err(missing()),
    })
}

/// An attribute type in words.
pub fn kind_name(kind: AttrKind) -> &'static str {
    match kind {
        AttrKind::Int => "an integer",
        AttrKind::Ints => "a list of integers",
        AttrKind::Float => "a float",
        AttrKind::Floats => "a list of floats",
        AttrKind::String => "a string",
        AttrKind::Strings => "a list of strings",
        AttrKind::Tensor => "a tensor",
        AttrKind::SparseTensor => "a sparse tensor",
        AttrKind::Graph => "a graph",
        AttrKind::Type => "a type",
    }
}

fn type_fault(attr: &AttributeProto, expected: &str, found: &str) -> Fault {
    Fault::new(Code::AttrType, expected, found).about(format!("attribute `{}`", attr.name()))
}

/// The types whose fields are filled.
fn held(attr: &AttributeProto) -> Vec<AttributeType> {
    let fields = [
        (AttributeType::Float, attr.f.is_some()),
        (AttributeType::Int, attr.i.is_some()),
        (AttributeType::String, attr.s.is_some()),
        (AttributeType::Tensor, attr.t.is_some()),
        (AttributeType::Graph, attr.g.is_some()),
        (AttributeType::SparseTensor, attr.sparse_tensor.is_some()),
        (AttributeType::TypeProto, attr.tp.is_some()),
        (AttributeType::Floats, !attr.floats.is_empty()),
        (AttributeType::Ints, !attr.ints.is_empty()),
        (AttributeType::Strings, !attr.strings.is_empty()),
        (AttributeType::Tensors, !attr.tensors.is_empty()),
        (AttributeType::Graphs, !attr.graphs.is_empty()),
        (AttributeType::SparseTensors, !attr.sparse_tensors.is_empty()),
        (AttributeType::TypeProtos, !attr.type_protos.is_empty()),
    ];
    fields.iter().filter(|(_, held)| *held).map(|(ty, _)| *ty).collect()
}

fn name(ty: AttributeType) -> &'static str {
    match ty {
        AttributeType::Undefined => "no type",
        AttributeType::Float => "a float",
        AttributeType::Int => "an integer",
        AttributeType::String => "a string",
        AttributeType::Tensor => "a tensor",
        AttributeType::Graph => "a graph",
        AttributeType::SparseTensor => "a sparse tensor",
        AttributeType::TypeProto => "a type",
        AttributeType::Floats => "a list of floats",
        AttributeType::Ints => "a list of integers",
        AttributeType::Strings => "a list of strings",
        AttributeType::Tensors => "a list of tensors",
        AttributeType::Graphs => "a list of graphs",
        AttributeType::SparseTensors => "a list of sparse tensors",
        AttributeType::TypeProtos => "a list of types",
    }
}

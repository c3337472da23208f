//! `TypeProto` to [`Type`]: types of model inputs, which bring symbols into being, and declared types, which do not.

use std::collections::{BTreeMap, BTreeSet};

use graph::builder::Builder;
use graph::dim::Dim;
use graph::dtype::{Class, DType};
use graph::symbol::SymSource;
use graph::ty::Type;

use crate::options::{DimRange, Options};
use crate::problem::{Code, Fault};
use crate::proto::tensor_shape_proto::{Dimension, dimension};
use crate::proto::{TensorShapeProto, TypeProto, type_proto};
use crate::tensor::dtype;

/// The dims of model inputs that have names.
#[derive(Default)]
pub struct Dims {
    named: BTreeMap<String, Dim>,
    /// Options that named a dim.
    used: BTreeSet<String>,
}

impl Dims {
    /// The type of a model input. Named dims become symbols or, by option, constants; unknown dims of a tensor get the name
    /// `INPUT_dN`. Tensors inside sequences, maps and optionals that are not static become ragged.
    pub fn input_type(
        &mut self,
        b: &mut Builder,
        options: &Options,
        name: &str,
        proto: Option<&TypeProto>,
    ) -> Result<Type, Fault> {
        let value = proto.and_then(|p| p.value.as_ref()).ok_or_else(|| missing("a declared type", "none"))?;
        let type_proto::Value::TensorType(tensor) = value else {
            return proto.map_or_else(|| Err(missing("a declared type", "none")), static_type);
        };
        let dtype = dtype(tensor.elem_type())?;
        let shape = tensor.shape.as_ref().ok_or_else(|| missing("a declared shape", "unknown rank"))?;
        let mut extents = Vec::with_capacity(shape.dim.len());
        for (axis, dim) in shape.dim.iter().enumerate() {
            extents.push(match known(dim)? {
                Some(extent) => Dim::constant(extent),
                None => self.symbol(b, options, &param(dim).unwrap_or_else(|| format!("{name}_d{axis}"))),
            });
        }
        check_limits(&extents, options)?;
        Ok(Type::tensor(dtype, extents))
    }

    /// The dim of a name.
    pub fn by_name(&self, name: &str) -> Option<&Dim> {
        self.named.get(name)
    }

    /// Options that name no dim of the model.
    pub fn unused<'a>(&self, options: &'a Options) -> Vec<&'a str> {
        options.dims.keys().map(String::as_str).filter(|name| !self.used.contains(*name)).collect()
    }

    /// Names of all dims.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    fn symbol(&mut self, b: &mut Builder, options: &Options, name: &str) -> Dim {
        if let Some(known) = self.named.get(name) {
            return known.clone();
        }
        let option = options.dims.get_key_value(name);
        let range = option.map_or(DimRange { lo: 0, hi: None }, |(_, range)| *range);
        if let Some((used, _)) = option {
            self.used.insert(used.clone());
        }
        let dim = match range.fixed() {
            Some(value) => Dim::constant(value),
            None => Dim::symbol(b.model_mut().symbols.add(name, range.lo, range.hi, SymSource::Input)),
        };
        self.named.insert(name.to_string(), dim.clone());
        dim
    }

    /// A declared type: exact where every extent is a constant or a named dim of the inputs, else ragged. None where the
    /// file does not say, or not in a way that can be read.
    pub fn declared(&self, proto: &TypeProto) -> Option<Type> {
        declared(proto, &|name| self.named.get(name).cloned())
    }
}

/// A type without symbols: a tensor whose extents are not all constants is ragged.
pub fn static_type(proto: &TypeProto) -> Result<Type, Fault> {
    let value = proto.value.as_ref().ok_or_else(|| missing("a declared type", "none"))?;
    let inner = |elem: &Option<Box<TypeProto>>| match elem {
        Some(elem) => static_type(elem).map(Box::new),
        None => Err(missing("a declared element type", "none")),
    };
    Ok(match value {
        type_proto::Value::TensorType(t) => tensor_type(dtype(t.elem_type())?, t.shape.as_ref(), &|_| None)?,
        type_proto::Value::SequenceType(s) => Type::Seq(Box::new(ragged(*inner(&s.elem_type)?))),
        type_proto::Value::OptionalType(o) => Type::Opt(inner(&o.elem_type)?),
        type_proto::Value::MapType(m) => {
            let key = dtype(m.key_type())?;
            if !matches!(key.class(), Class::Signed | Class::Unsigned | Class::Str) {
                return Err(missing("a map from integers or strings", key.name()));
            }
            Type::Map { key, value: Box::new(ragged(*inner(&m.value_type)?)) }
        }
        type_proto::Value::SparseTensorType(_) => return Err(missing("a dense tensor", "a sparse tensor")),
        type_proto::Value::OpaqueType(_) => return Err(missing("a tensor", "an opaque value")),
    })
}

fn declared(proto: &TypeProto, named: &dyn Fn(&str) -> Option<Dim>) -> Option<Type> {
    match proto.value.as_ref()? {
        type_proto::Value::TensorType(t) => {
            let dtype = DType::from_onnx(t.elem_type())?;
            tensor_type(dtype, t.shape.as_ref(), named).ok()
        }
        type_proto::Value::SequenceType(_)
        | type_proto::Value::OptionalType(_)
        | type_proto::Value::MapType(_)
        | type_proto::Value::SparseTensorType(_)
        | type_proto::Value::OpaqueType(_) => static_type(proto).ok(),
    }
}

fn tensor_type(
    dtype: DType,
    shape: Option<&TensorShapeProto>,
    named: &dyn Fn(&str) -> Option<Dim>,
) -> Result<Type, Fault> {
    let Some(shape) = shape else { return Ok(Type::Ragged { dtype, rank: None }) };
    let mut extents = Vec::with_capacity(shape.dim.len());
    for dim in &shape.dim {
        let extent = known(dim)?.map(Dim::constant).or_else(|| param(dim).and_then(|name| named(&name)));
        match extent {
            Some(extent) => extents.push(extent),
            None => return Ok(Type::Ragged { dtype, rank: Some(shape.dim.len()) }),
        }
    }
    Ok(Type::tensor(dtype, extents))
}

/// Elements of sequences and maps may differ in shape whatever the file declares.
fn ragged(ty: Type) -> Type {
    match ty {
        Type::Tensor(t) => Type::Ragged { dtype: t.dtype, rank: Some(t.rank()) },
        Type::Seq(_) | Type::Opt(_) | Type::Map { .. } | Type::Ragged { .. } => ty,
    }
}

/// The constant extent of a dim, if it has one.
fn known(dim: &Dimension) -> Result<Option<i64>, Fault> {
    match &dim.value {
        Some(dimension::Value::DimValue(v)) if *v < 0 => {
            let fault = Fault::new(Code::Dims, "an extent of 0 or more", v.to_string());
            Err(fault.help("give a dim that is not known a name instead of a number"))
        }
        Some(dimension::Value::DimValue(v)) => Ok(Some(*v)),
        Some(dimension::Value::DimParam(_)) | None => Ok(None),
    }
}

fn param(dim: &Dimension) -> Option<String> {
    match &dim.value {
        Some(dimension::Value::DimParam(name)) if !name.is_empty() => Some(name.clone()),
        Some(dimension::Value::DimParam(_) | dimension::Value::DimValue(_)) | None => None,
    }
}

fn check_limits(extents: &[Dim], options: &Options) -> Result<(), Fault> {
    let constants: Vec<i64> = extents.iter().filter_map(Dim::as_const).collect();
    crate::tensor::shape(&constants, options)?;
    if extents.len() > options.limits.rank {
        let expected = format!("at most {} dims", options.limits.rank);
        return Err(Fault::new(Code::Limit, expected, extents.len().to_string()).about("rank"));
    }
    Ok(())
}

fn missing(expected: &str, found: &str) -> Fault {
    Fault::new(Code::TypeMissing, expected, found)
}

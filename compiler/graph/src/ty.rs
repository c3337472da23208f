//! Types of values.

use crate::dim::Dim;
use crate::dtype::DType;

/// Type of a value. Sequences, optionals and maps occur only at model borders and in `Host`, `If` and `Loop` nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    Tensor(TensorType),
    Seq(Box<Type>),
    Opt(Box<Type>),
    Map {
        key: DType,
        value: Box<Type>,
    },
    /// A tensor inside a sequence or optional whose shape differs from element to element; `rank` if that is common.
    Ragged {
        dtype: DType,
        rank: Option<usize>,
    },
}

/// Dtype and extents of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TensorType {
    pub dtype: DType,
    pub shape: Vec<Dim>,
}

impl TensorType {
    /// Number of dims.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    pub fn count(&self) -> Dim {
        Dim::product(&self.shape)
    }

    /// The shape if every extent is a constant.
    pub fn static_shape(&self) -> Option<Vec<usize>> {
        self.shape.iter().map(Dim::as_size).collect()
    }
}

impl Type {
    /// A tensor type.
    pub fn tensor(dtype: DType, shape: impl Into<Vec<Dim>>) -> Type {
        Type::Tensor(TensorType { dtype, shape: shape.into() })
    }

    /// The tensor type, if this is one.
    pub fn as_tensor(&self) -> Option<&TensorType> {
        match self {
            Type::Tensor(t) => Some(t),
            Type::Seq(_) | Type::Opt(_) | Type::Map { .. } | Type::Ragged { .. } => None,
        }
    }

    /// Calls `visit` for every extent inside.
    pub fn for_each_dim<'a>(&'a self, visit: &mut dyn FnMut(&'a Dim)) {
        match self {
            Type::Tensor(t) => t.shape.iter().for_each(visit),
            Type::Seq(inner) | Type::Opt(inner) | Type::Map { value: inner, .. } => inner.for_each_dim(visit),
            Type::Ragged { .. } => {}
        }
    }
}

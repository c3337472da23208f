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

    /// The least type that holds the values of both; `None` if there is none. Tensors of unequal shapes become
    /// [`Type::Ragged`], which only an element of a sequence or optional may be.
    pub fn join(&self, other: &Type) -> Option<Type> {
        if self == other {
            return Some(self.clone());
        }
        match (self, other) {
            (Type::Seq(a), Type::Seq(b)) => Some(Type::Seq(Box::new(a.join(b)?))),
            (Type::Opt(a), Type::Opt(b)) => Some(Type::Opt(Box::new(a.join(b)?))),
            (Type::Map { key, value: a }, Type::Map { key: k, value: b }) if key == k => {
                Some(Type::Map { key: *key, value: Box::new(a.join(b)?) })
            }
            (a, b) => {
                let ((left, a), (right, b)) = (a.ragged()?, b.ragged()?);
                (left == right).then_some(Type::Ragged { dtype: left, rank: if a == b { a } else { None } })
            }
        }
    }

    /// Whether every value of the other type is one of this.
    pub fn holds(&self, other: &Type) -> bool {
        self.join(other).as_ref() == Some(self)
    }

    /// Dtype and rank of a tensor whose shape does not matter.
    pub fn ragged(&self) -> Option<(DType, Option<usize>)> {
        match self {
            Type::Tensor(t) => Some((t.dtype, Some(t.rank()))),
            Type::Ragged { dtype, rank } => Some((*dtype, *rank)),
            Type::Seq(_) | Type::Opt(_) | Type::Map { .. } => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unequal_elements_join_to_ragged_ones() {
        let seq = |shape: &[i64]| {
            let dims: Vec<Dim> = shape.iter().map(|d| Dim::constant(*d)).collect();
            Type::Seq(Box::new(Type::tensor(DType::F32, dims)))
        };
        let joint = seq(&[2, 3]).join(&seq(&[2, 4])).unwrap();
        assert_eq!(joint, Type::Seq(Box::new(Type::Ragged { dtype: DType::F32, rank: Some(2) })));
        assert!(joint.holds(&seq(&[1, 1])) && !seq(&[1, 1]).holds(&joint));
        assert_eq!(joint.join(&Type::tensor(DType::F32, [])), None);
    }
}

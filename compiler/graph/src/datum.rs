//! Values at run time, as the evaluator and host operators see them.

use crate::dtype::DType;
use crate::tensor::Tensor;

/// A run-time value.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    Tensor(Tensor),
    Seq(Vec<Datum>),
    Opt(Option<Box<Datum>>),
    /// Keys (integers or strings) as a rank-1 tensor, values in the same order.
    Map {
        keys: Tensor,
        values: Vec<Datum>,
    },
}

impl Datum {
    /// The tensor, if this is one.
    pub fn as_tensor(&self) -> Option<&Tensor> {
        match self {
            Datum::Tensor(t) => Some(t),
            Datum::Seq(_) | Datum::Opt(_) | Datum::Map { .. } => None,
        }
    }

    /// The elements, if this is a sequence.
    pub fn as_seq(&self) -> Option<&[Datum]> {
        match self {
            Datum::Seq(s) => Some(s),
            Datum::Tensor(_) | Datum::Opt(_) | Datum::Map { .. } => None,
        }
    }

    /// What kind of value this is, in words.
    pub fn describe(&self) -> String {
        match self {
            Datum::Tensor(t) => format!("{}{:?}", t.dtype(), t.shape()),
            Datum::Seq(s) => format!("sequence of {}", s.len()),
            Datum::Opt(None) => "empty optional".to_string(),
            Datum::Opt(Some(v)) => format!("optional of {}", v.describe()),
            Datum::Map { values, .. } => format!("map of {}", values.len()),
        }
    }
}

impl From<Tensor> for Datum {
    fn from(tensor: Tensor) -> Datum {
        Datum::Tensor(tensor)
    }
}

/// An integer scalar as a datum.
pub fn scalar_i64(value: i64) -> Datum {
    Datum::Tensor(Tensor::scalar(crate::scalar::Scalar::from_i64(DType::I64, value)))
}

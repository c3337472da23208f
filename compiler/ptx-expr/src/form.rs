//! How the values of each dtype stand in the machine.

use graph::dtype::{Class, DType};

use crate::error::Error;
use crate::op::{Float, Int, Number, Width};

/// What a value of a dtype is computed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Pred,
    Int(Int),
    /// Narrow floats are computed in f32 and rounded after every operation.
    Float(Float),
}

impl Form {
    /// The form of a dtype.
    pub fn of(dtype: DType) -> Result<Form, Error> {
        Ok(match (dtype.class(), dtype.bits()) {
            (Class::Float, 64) => Form::Float(Float::F64),
            (Class::Float, _) => Form::Float(Float::F32),
            (Class::Signed, 64) => Form::Int(Int::S64),
            (Class::Signed, _) => Form::Int(Int::S32),
            (Class::Unsigned, 64) => Form::Int(Int::U64),
            (Class::Unsigned, _) => Form::Int(Int::U32),
            (Class::Bool, _) => Form::Pred,
            (Class::Str, _) => return Err(Error::DType { what: "a value", dtype }),
        })
    }

    pub fn width(self) -> Width {
        match self {
            Form::Pred => Width::Pred,
            Form::Int(ty) => ty.width(),
            Form::Float(f) => f.width(),
        }
    }

    /// How values compare; predicates do not.
    pub fn number(self) -> Option<Number> {
        match self {
            Form::Pred => None,
            Form::Int(ty) => Some(Number::Int(ty)),
            Form::Float(f) => Some(Number::Float(f)),
        }
    }
}

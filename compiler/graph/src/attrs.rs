//! Named attributes of regions and host operators, in a fixed order so that text and equality are exact.

use std::collections::BTreeMap;

use crate::dim::Dim;
use crate::dtype::DType;
use crate::scalar::Scalar;

/// One attribute value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attr {
    Int(i64),
    Ints(Vec<i64>),
    /// A float by its bits, so that equality is exact.
    Scalar(Scalar),
    Str(String),
    Strs(Vec<String>),
    Bool(bool),
    DType(DType),
    Dims(Vec<Dim>),
}

/// A map of attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attrs(pub BTreeMap<String, Attr>);

impl Attrs {
    /// No attributes.
    pub fn new() -> Attrs {
        Attrs::default()
    }

    /// With one more attribute.
    pub fn with(mut self, name: &str, value: Attr) -> Attrs {
        self.0.insert(name.to_string(), value);
        self
    }

    /// An integer.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.0.get(name) {
            Some(Attr::Int(v)) => Some(*v),
            _ => None,
        }
    }

    /// A list of integers.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.0.get(name) {
            Some(Attr::Ints(v)) => Some(v),
            _ => None,
        }
    }

    /// A float.
    pub fn float(&self, name: &str) -> Option<f64> {
        match self.0.get(name) {
            Some(Attr::Scalar(v)) => Some(v.as_f64()),
            _ => None,
        }
    }

    /// A truth value.
    pub fn bool(&self, name: &str) -> Option<bool> {
        match self.0.get(name) {
            Some(Attr::Bool(v)) => Some(*v),
            _ => None,
        }
    }

    /// A string.
    pub fn str(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Attr::Str(v)) => Some(v),
            _ => None,
        }
    }

    /// A list of strings.
    pub fn strs(&self, name: &str) -> Option<&[String]> {
        match self.0.get(name) {
            Some(Attr::Strs(v)) => Some(v),
            _ => None,
        }
    }

    /// A dtype.
    pub fn dtype(&self, name: &str) -> Option<DType> {
        match self.0.get(name) {
            Some(Attr::DType(v)) => Some(*v),
            _ => None,
        }
    }

    /// A list of sizes.
    pub fn dims(&self, name: &str) -> Option<&[Dim]> {
        match self.0.get(name) {
            Some(Attr::Dims(v)) => Some(v),
            _ => None,
        }
    }
}

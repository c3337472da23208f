//! Contraction: `result[i] = sum over the labels that the result lacks of a[..] * b[..]`, written as in Einstein notation.
//!
//! Operands: `a`, `b` of any dtypes. Every dim has a label (an ASCII letter); equal labels have equal extents. A label may
//! repeat inside an operand (a diagonal). Elements are converted to `acc`, multiplied, summed and left in `acc`: what
//! narrows, scales or adds afterwards is pointwise work behind the region.
//!
//! ```text
//! %2 = region contract {labels = "bij,bjk->bik", acc = f32, maths = "exact"} (%0, %1)
//! ```

use crate::attrs::{Attr, Attrs};
use crate::builder::{BuildError, Builder};
use crate::dim::Dim;
use crate::dtype::{Class, DType};
use crate::graph::ValueId;
use crate::node::Combiner;
use crate::region::{RegionKind, attribute, operands};

pub const KIND: RegionKind = RegionKind { name: "contract", body };

/// How exactly products are formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maths {
    /// In the accumulator's dtype.
    Exact,
    /// Operands of 32 bits may be rounded to 10 bits of mantissa before they are multiplied.
    Tf32,
}

/// Attributes of a contraction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// Labels of the dims of the first operand, the second and the result.
    pub a: String,
    pub b: String,
    pub result: String,
    /// Dtype of products, sums and the result.
    pub acc: DType,
    pub maths: Maths,
}

impl Contract {
    /// Attributes from `"bij,bjk->bik"`.
    pub fn parse(labels: &str, acc: DType) -> Result<Contract, BuildError> {
        let parts = labels.split_once("->").and_then(|(from, to)| from.split_once(',').map(|(a, b)| (a, b, to)));
        let letters = labels.chars().all(|c| c.is_ascii_alphabetic() || ",->".contains(c));
        match parts.filter(|_| letters) {
            Some((a, b, result)) => {
                Ok(Contract { a: a.into(), b: b.into(), result: result.into(), acc, maths: Maths::Exact })
            }
            None => Err(BuildError::Attr {
                name: "labels".to_string(),
                expected: "two operands and a result, like \"bij,bjk->bik\"".to_string(),
                found: labels.to_string(),
            }),
        }
    }

    /// As attributes of a region.
    pub fn to_attrs(&self) -> Attrs {
        Attrs::new()
            .with("labels", Attr::Str(format!("{},{}->{}", self.a, self.b, self.result)))
            .with("acc", Attr::DType(self.acc))
            .with("maths", Attr::Str(self.maths.name().to_string()))
    }

    /// From attributes of a region.
    pub fn from_attrs(attrs: &Attrs) -> Result<Contract, BuildError> {
        let labels = attribute("labels", attrs.str("labels"), "a string")?;
        let acc = attribute("acc", attrs.dtype("acc"), "a dtype")?;
        Ok(Contract { maths: Maths::from_attrs(attrs)?, ..Contract::parse(labels, acc)? })
    }
}

impl Maths {
    /// Spelling in attributes.
    pub fn name(self) -> &'static str {
        match self {
            Maths::Exact => "exact",
            Maths::Tf32 => "tf32",
        }
    }

    /// The attribute `maths`.
    pub fn from_attrs(attrs: &Attrs) -> Result<Maths, BuildError> {
        let name = attrs.str("maths");
        let found = [Maths::Exact, Maths::Tf32].into_iter().find(|m| Some(m.name()) == name);
        attribute("maths", found, "exact or tf32")
    }
}

/// The dtype in which products of elements of `dtype` are summed: at least f32 for floats; integers wrap in their own.
pub fn accumulator(dtype: DType) -> DType {
    match (dtype.class(), dtype) {
        (Class::Float, DType::F64) => DType::F64,
        (Class::Float, _) => DType::F32,
        (Class::Signed | Class::Unsigned | Class::Bool | Class::Str, _) => dtype,
    }
}

impl Builder {
    /// A contraction of two operands of one dtype; the result has [`accumulator`]'s.
    pub fn contract(&mut self, labels: &str, a: ValueId, b: ValueId) -> Result<ValueId, BuildError> {
        let contract = Contract::parse(labels, accumulator(self.dtype(a)?))?;
        self.region_one(&KIND, contract.to_attrs(), &[a, b])
    }
}

fn body(b: &mut Builder, attrs: &Attrs, values: &[ValueId]) -> Result<Vec<ValueId>, BuildError> {
    let contract = Contract::from_attrs(attrs)?;
    let [left, right] = operands(KIND.name, values)?;
    let extents = label_extents(b, &[(left, &contract.a), (right, &contract.b)])?;
    let extent_of = |label: char| extents.iter().find(|(l, _)| *l == label).map(|(_, e)| e.clone());
    let mut shape = Vec::new();
    for label in contract.result.chars() {
        let repeated = contract.result.matches(label).count() > 1;
        shape.push(extent_of(label).filter(|_| !repeated).ok_or_else(|| BuildError::Attr {
            name: "labels".to_string(),
            expected: "labels of the operands, each at most once in the result".to_string(),
            found: label.to_string(),
        })?);
    }
    let result = b.compute(&[left, right], shape, |p| {
        let mut index = Vec::new();
        for (d, label) in contract.result.chars().enumerate() {
            index.push((label, p.index(d)));
        }
        for (label, extent) in &extents {
            if !contract.result.contains(*label) {
                index.push((*label, p.reduce(extent)));
            }
        }
        let at = |labels: &str| -> Vec<_> {
            labels.chars().filter_map(|l| index.iter().find(|(m, _)| *m == l).map(|(_, i)| *i)).collect()
        };
        let (x, y) = (p.load(0, &at(&contract.a)), p.load(1, &at(&contract.b)));
        let (x, y) = (p.cast(x, contract.acc), p.cast(y, contract.acc));
        let mut value = p.mul(x, y);
        if extents.len() > contract.result.len() {
            value = p.acc(Combiner::Sum, value);
        }
        p.out(value);
    })?;
    Ok(vec![result])
}

/// Extent of every label, in order of first use; equal ones are assumed equal.
fn label_extents(b: &mut Builder, parts: &[(ValueId, &String)]) -> Result<Vec<(char, Dim)>, BuildError> {
    let mut extents: Vec<(char, Dim)> = Vec::new();
    for (value, labels) in parts {
        let shape = b.shape(*value)?;
        if shape.len() != labels.len() {
            let what = "contract operand".to_string();
            return Err(BuildError::Rank { what, expected: labels.len().to_string(), found: shape.len() });
        }
        for (label, extent) in labels.chars().zip(shape) {
            match extents.iter_mut().find(|(l, _)| *l == label) {
                Some((_, known)) => {
                    b.assume_equal(known, &extent, &format!("extents of label {label}"))?;
                    if extent.as_const().is_some() {
                        *known = extent;
                    }
                }
                None => extents.push((label, extent)),
            }
        }
    }
    Ok(extents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ty::Type;

    fn check(labels: &str, a: &[i64], b: &[i64], expected: Result<&[i64], &str>) {
        let mut builder = Builder::new("test");
        let dims = |shape: &[i64]| shape.iter().map(|d| Dim::constant(*d)).collect::<Vec<_>>();
        let x = builder.input("a", Type::tensor(DType::F16, dims(a)));
        let y = builder.input("b", Type::tensor(DType::F16, dims(b)));
        match (builder.contract(labels, x, y), expected) {
            (Ok(v), Ok(shape)) => {
                assert_eq!(builder.shape(v).unwrap(), dims(shape));
                assert_eq!(builder.dtype(v).unwrap(), DType::F32);
            }
            (Err(e), Err(text)) => assert!(e.to_string().contains(text), "{e}"),
            (found, _) => assert!(found.is_err(), "{labels}: expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn labels_say_the_shape() {
        check("bij,bjk->bik", &[2, 3, 4], &[2, 4, 5], Ok(&[2, 3, 5]));
        check("ij,kj->ki", &[3, 4], &[5, 4], Ok(&[5, 3]));
        check("ii,->i", &[3, 3], &[], Ok(&[3]));
        check("i,i->", &[0], &[0], Ok(&[]));
    }

    #[test]
    fn misfits_are_refused() {
        check("ij,jk->ik", &[2, 3], &[4, 5], Err("extents of label j"));
        check("ij,jk->iz", &[2, 3], &[3, 5], Err("labels of the operands"));
        check("ij,jk", &[2, 3], &[3, 5], Err("two operands and a result"));
        check("i,jk->ik", &[2, 3], &[3, 5], Err("rank 2 of contract operand"));
    }

    #[test]
    fn attributes_survive_a_round_trip() {
        let contract = Contract { maths: Maths::Tf32, ..Contract::parse("ij,jk->ik", DType::F32).unwrap() };
        assert_eq!(Contract::from_attrs(&contract.to_attrs()).unwrap(), contract);
    }
}

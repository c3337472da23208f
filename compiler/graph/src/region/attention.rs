//! Scaled dot-product attention: `softmax(scale * q k' under a mask) v`, heads of the queries sharing those of the keys.
//!
//! Operands, in this order: queries `[B, H, S, D]`, keys `[B, G, T, D]`, values `[B, G, T, E]` with G dividing H (head h uses
//! key head `h / (H/G)`); with `mask` a tensor that broadcasts to `[B, H, S, T]` (bool: true takes part; float: added; its
//! last dim may be shorter than T, then what is missing takes no part); with `lengths` the number of keys of each sequence,
//! i64 `[B]`. Results: `[B, H, S, E]` in the queries' dtype; with `scores` what they name, `[B, H, S, T]`.
//!
//! Scores are computed in f32 or wider. A row in which nothing takes part gives NaN.

use crate::attrs::{Attr, Attrs};
use crate::builder::{BuildError, Builder, Point};
use crate::dim::{Dim, Pred};
use crate::dtype::DType;
use crate::expr::{ExprId, UnOp};
use crate::graph::ValueId;
use crate::region::softmax::Softmax;
use crate::region::{RegionKind, attribute};
use crate::scalar::Scalar;

pub const KIND: RegionKind = RegionKind { name: "attention", body };

/// A stage of the scores that is also a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scores {
    /// Scaled products.
    Product,
    /// After the soft cap.
    Capped,
    /// After the mask.
    Masked,
    /// After the softmax.
    Weights,
}

/// Attributes of an attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention {
    /// `None`: one over the root of D.
    pub scale: Option<Scalar>,
    /// Scores become `cap * tanh(score / cap)`.
    pub softcap: Option<Scalar>,
    /// Key t takes part for query s only where `t <= s + past`.
    pub causal: Option<Dim>,
    pub mask: bool,
    pub lengths: bool,
    pub scores: Option<Scores>,
    /// Dtype that scores are rounded to before the softmax.
    pub precision: DType,
}

impl Scores {
    const ALL: [Scores; 4] = [Scores::Product, Scores::Capped, Scores::Masked, Scores::Weights];

    /// Spelling in attributes.
    pub fn name(self) -> &'static str {
        match self {
            Scores::Product => "product",
            Scores::Capped => "capped",
            Scores::Masked => "masked",
            Scores::Weights => "weights",
        }
    }
}

impl Attention {
    /// As attributes of a region.
    pub fn to_attrs(&self) -> Attrs {
        let mut attrs = Attrs::new()
            .with("mask", Attr::Bool(self.mask))
            .with("lengths", Attr::Bool(self.lengths))
            .with("precision", Attr::DType(self.precision));
        let optional = [
            ("scale", self.scale.map(Attr::Scalar)),
            ("softcap", self.softcap.map(Attr::Scalar)),
            ("causal", self.causal.clone().map(|past| Attr::Dims(vec![past]))),
            ("scores", self.scores.map(|s| Attr::Str(s.name().to_string()))),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                attrs = attrs.with(name, value);
            }
        }
        attrs
    }

    /// From attributes of a region.
    pub fn from_attrs(attrs: &Attrs) -> Result<Attention, BuildError> {
        let scalar = |name: &str| match attrs.0.get(name) {
            Some(Attr::Scalar(s)) => Some(*s),
            _ => None,
        };
        let scores = match attrs.str("scores") {
            Some(name) => {
                let found = Scores::ALL.into_iter().find(|s| s.name() == name);
                Some(attribute("scores", found, "product, capped, masked or weights")?)
            }
            None => None,
        };
        Ok(Attention {
            scale: scalar("scale"),
            softcap: scalar("softcap"),
            causal: attrs.dims("causal").and_then(|d| d.first().cloned()),
            mask: attribute("mask", attrs.bool("mask"), "a truth value")?,
            lengths: attribute("lengths", attrs.bool("lengths"), "a truth value")?,
            scores,
            precision: attribute("precision", attrs.dtype("precision"), "a dtype")?,
        })
    }
}

fn body(b: &mut Builder, attrs: &Attrs, values: &[ValueId]) -> Result<Vec<ValueId>, BuildError> {
    let attention = Attention::from_attrs(attrs)?;
    let expected = 3 + usize::from(attention.mask) + usize::from(attention.lengths);
    let ([q, k, v], rest) = match values {
        [q, k, v, rest @ ..] if values.len() == expected => ([*q, *k, *v], rest),
        _ => return Err(BuildError::Results { expected, found: values.len() }),
    };
    let (mask, lengths) = rest.split_at(usize::from(attention.mask));
    let dtype = b.dtype(q)?;
    let (qs, ks) = (b.shape(q)?, b.shape(k)?);
    let ([batch, heads, queries, depth], [_, groups, keys, _]) = (qs.as_slice(), ks.as_slice()) else {
        let what = "attention operand".to_string();
        return Err(BuildError::Rank { what, expected: "4".to_string(), found: qs.len().min(ks.len()) });
    };
    b.assume(Pred::Divides(groups.clone(), heads.clone()), "key heads divide query heads")?;
    let shared = b.model().symbols.floor_div(heads, groups);
    let shape = vec![batch.clone(), heads.clone(), queries.clone(), keys.clone()];
    // Query heads that share a key head are one more dim of the contractions.
    let split =
        |last: &Dim, inner: &Dim| vec![batch.clone(), groups.clone(), shared.clone(), inner.clone(), last.clone()];
    let product = if shared.is(1) {
        b.contract("bhsd,bhtd->bhst", q, k)?
    } else {
        let grouped = b.reshape(q, split(depth, queries))?;
        let product = b.contract("bhgsd,bhtd->bhgst", grouped, k)?;
        b.reshape(product, shape.clone())?
    };
    let product = b.map(&[product], |p, v| {
        let wide = p.dtype(v[0]);
        let scale = match attention.scale {
            Some(scale) => p.number(wide, scale.as_f64()),
            None => {
                let depth = p.dim(depth);
                let depth = p.cast(depth, wide);
                let root = p.unary(UnOp::Sqrt, depth);
                p.unary(UnOp::Recip, root)
            }
        };
        p.mul(v[0], scale)
    })?;
    let capped = match attention.softcap {
        Some(cap) => b.map(&[product], |p, v| {
            let cap = p.number(p.dtype(v[0]), cap.as_f64());
            let below = p.div(v[0], cap);
            let bounded = p.unary(UnOp::Tanh, below);
            p.mul(bounded, cap)
        })?,
        None => product,
    };
    let masked = if attention.mask || attention.lengths || attention.causal.is_some() {
        let operands: Vec<ValueId> = [capped].iter().chain(mask).chain(lengths).copied().collect();
        b.compute(&operands, shape.clone(), |p| apply_masks(p, &attention, keys))?
    } else {
        capped
    };
    let rounded = b.cast(masked, attention.precision)?;
    let weights = b.softmax(Softmax { axis: 3, log: false }, rounded)?;
    let mixed = if shared.is(1) {
        b.contract("bhst,bhte->bhse", weights, v)?
    } else {
        let grouped = b.reshape(weights, split(keys, queries))?;
        let mixed = b.contract("bhgst,bhte->bhgse", grouped, v)?;
        let last = b.shape(mixed)?.last().cloned().unwrap_or_default();
        b.reshape(mixed, vec![batch.clone(), heads.clone(), queries.clone(), last])?
    };
    let mut results = vec![b.cast(mixed, dtype)?];
    if let Some(scores) = attention.scores {
        let stage = match scores {
            Scores::Product => product,
            Scores::Capped => capped,
            Scores::Masked => masked,
            Scores::Weights => weights,
        };
        results.push(b.cast(stage, dtype)?);
    }
    Ok(results)
}

/// Operand 0 where a pair takes part, else -infinity.
fn apply_masks(p: &mut Point<'_>, attention: &Attention, keys: &Dim) {
    let index = p.indices();
    let mut score = p.load(0, &index);
    let wide = p.dtype(score);
    let never = p.constant(Scalar::lowest(wide));
    if attention.mask {
        let mask = load_mask(p, &index, keys);
        score = if p.dtype(mask) == DType::Bool {
            p.select(mask, score, never)
        } else {
            let mask = p.cast(mask, wide);
            p.add(score, mask)
        };
    }
    if let Some(past) = &attention.causal {
        let past = p.dim(past);
        let last = p.add(index[2], past);
        let visible = p.le(index[3], last);
        score = p.select(visible, score, never);
    }
    if attention.lengths {
        let position = 1 + usize::from(attention.mask);
        let length = p.load(position, &index[..1]);
        let inside = p.lt(index[3], length);
        score = p.select(inside, score, never);
    }
    p.out(score);
}

/// The mask (operand 1) under broadcasting; beyond a last dim that is shorter than the keys nothing takes part.
fn load_mask(p: &mut Point<'_>, index: &[ExprId], keys: &Dim) -> ExprId {
    let shape = p.shape(1);
    let offset = index.len().saturating_sub(shape.len());
    let at: Vec<ExprId> = shape
        .iter()
        .enumerate()
        .map(|(d, extent)| {
            let last = d + 1 == shape.len();
            if extent.is(1) && !last { p.int(0) } else { index[(offset + d).min(index.len() - 1)] }
        })
        .collect();
    let dtype = p.dtype_of_operand(1);
    if shape.last() == Some(keys) {
        return p.load(1, &at);
    }
    let never = p.constant(Scalar::lowest(dtype));
    p.load_or(1, &at, never)
}

impl Builder {
    /// Attention; the second value is there if `scores` is.
    pub fn attention(
        &mut self,
        attention: &Attention,
        operands: &[ValueId],
    ) -> Result<(ValueId, Option<ValueId>), BuildError> {
        let results = self.region(&KIND, attention.to_attrs(), operands)?;
        match results.as_slice() {
            [value] => Ok((*value, None)),
            [value, scores] => Ok((*value, Some(*scores))),
            _ => Err(BuildError::Results { expected: 1, found: results.len() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ty::Type;

    fn check(groups: i64, mask: &[i64], expected: Result<(), &str>) {
        let mut b = Builder::new("test");
        let mut tensor = |dtype, shape: &[i64]| {
            let dims: Vec<Dim> = shape.iter().map(|d| Dim::constant(*d)).collect();
            b.input("", Type::tensor(dtype, dims))
        };
        let operands = [
            tensor(DType::F16, &[2, 6, 3, 4]),
            tensor(DType::F16, &[2, groups, 5, 4]),
            tensor(DType::F16, &[2, groups, 5, 7]),
            tensor(DType::Bool, mask),
        ];
        let attention = Attention {
            scale: None,
            softcap: Some(Scalar::f32(2.0)),
            causal: Some(Dim::constant(2)),
            mask: true,
            lengths: false,
            scores: Some(Scores::Masked),
            precision: DType::F32,
        };
        match (b.attention(&attention, &operands), expected) {
            (Ok((y, Some(scores))), Ok(())) => {
                assert_eq!(Attention::from_attrs(&attention.to_attrs()).unwrap(), attention);
                assert_eq!(b.shape(y).unwrap(), [2, 6, 3, 7].map(Dim::constant));
                assert_eq!(b.shape(scores).unwrap(), [2, 6, 3, 5].map(Dim::constant));
                assert_eq!(b.dtype(scores).unwrap(), DType::F16);
            }
            (Err(e), Err(text)) => assert!(e.to_string().contains(text), "{e}"),
            (found, _) => assert!(found.is_err(), "expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn heads_share_keys() {
        check(2, &[3, 5], Ok(()));
        check(6, &[2, 1, 1, 4], Ok(()));
    }

    #[test]
    fn uneven_heads_are_refused() {
        check(4, &[3, 5], Err("key heads divide query heads"));
    }
}

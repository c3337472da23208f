//! Scaled dot-product attention: `softmax(scale * q k' under a mask) v`, heads of the queries sharing those of the keys.
//!
//! Operands, in this order: queries `[B, H, S, D]`, keys `[B, G, T, D]`, values `[B, G, T, E]` with G dividing H (head h uses
//! key head `h / (H/G)`); with `mask` a tensor that broadcasts to `[B, H, S, T]` (bool: true takes part; float: added; its
//! last dim may be shorter than T, then what is missing takes no part); with `lengths` the number of keys of each sequence,
//! i64 `[B]`. Results: `[B, H, S, E]` in the queries' dtype; with `scores` what they name, `[B, H, S, T]`.
//!
//! [`Attention::labels`] says in which order the dims of queries, keys, values and result lie, as a contraction's do; `b`, `h` or
//! both may be missing from all four. Heads share keys in the usual order only.
//!
//! Scores are computed in f32 or wider. A row in which nothing takes part gives NaN, or zeros if `zero_empty` says so.

use crate::attrs::{Attr, Attrs};
use crate::builder::{BuildError, Builder, Point};
use crate::dim::{Dim, Pred};
use crate::dtype::DType;
use crate::expr::{ExprId, UnOp};
use crate::graph::ValueId;
use crate::region::contract::{self, Contract, Maths, accumulator};
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
    pub labels: Labels,
    /// Score of a pair that a mask of truth values leaves out; `None`: minus infinity.
    pub fill: Option<Scalar>,
    /// Whether a row whose weights are NaN gives zeros: one in which nothing takes part.
    pub zero_empty: bool,
    pub maths: Maths,
}

/// What the dims of queries, keys, values and result are: `b`atch, `h`eads, querie`s`, keys (`t`), `d`epth, `e`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    pub q: String,
    pub k: String,
    pub v: String,
    pub result: String,
}

impl Default for Labels {
    fn default() -> Labels {
        Labels { q: "bhsd".into(), k: "bhtd".into(), v: "bhte".into(), result: "bhse".into() }
    }
}

impl std::fmt::Display for Labels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{},{},{}->{}", self.q, self.k, self.v, self.result)
    }
}

impl Labels {
    /// From `"bshd,bthd,bthe->bshe"`.
    pub fn parse(text: &str) -> Option<Labels> {
        let (from, result) = text.split_once("->")?;
        let [q, k, v] = from.split(',').collect::<Vec<_>>()[..] else { return None };
        let labels = Labels { q: q.into(), k: k.into(), v: v.into(), result: result.into() };
        let shared: String = "bh".chars().filter(|l| q.contains(*l)).collect();
        let has = |text: &str, own: &str| {
            text.len() == shared.len() + 2 && shared.chars().chain(own.chars()).all(|l| text.contains(l))
        };
        (has(q, "sd") && has(k, "td") && has(v, "te") && has(result, "se")).then_some(labels)
    }

    /// The labels of the scores.
    pub fn scores(&self) -> String {
        "bhst".chars().filter(|l| "st".contains(*l) || self.q.contains(*l)).collect()
    }
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
    /// Attention without masks, divided by the root of D.
    pub fn plain(precision: DType) -> Attention {
        Attention {
            scale: None,
            softcap: None,
            causal: None,
            mask: false,
            lengths: false,
            scores: None,
            precision,
            labels: Labels::default(),
            fill: None,
            zero_empty: false,
            maths: Maths::Exact,
        }
    }

    /// As attributes of a region.
    pub fn to_attrs(&self) -> Attrs {
        let mut attrs = Attrs::new()
            .with("labels", Attr::Str(self.labels.to_string()))
            .with("mask", Attr::Bool(self.mask))
            .with("maths", Attr::Str(self.maths.name().to_string()))
            .with("lengths", Attr::Bool(self.lengths))
            .with("precision", Attr::DType(self.precision))
            .with("zero_empty", Attr::Bool(self.zero_empty));
        let optional = [
            ("fill", self.fill.map(Attr::Scalar)),
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
            labels: attribute("labels", attrs.str("labels").and_then(Labels::parse), "labels of four tensors")?,
            fill: scalar("fill"),
            zero_empty: attribute("zero_empty", attrs.bool("zero_empty"), "a truth value")?,
            maths: Maths::from_attrs(attrs)?,
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
    let labels = &attention.labels;
    let order = labels.scores();
    let (queries, depth) = (extent(b, q, &labels.q, 's')?, extent(b, q, &labels.q, 'd')?);
    let keys = extent(b, k, &labels.k, 't')?;
    let split = if *labels == Labels::default() { shared_heads(b, q, k)? } else { None };
    let shape = order
        .chars()
        .map(|l| if l == 't' { Ok(keys.clone()) } else { extent(b, q, &labels.q, l) })
        .collect::<Result<Vec<Dim>, _>>()?;
    // Query heads that share a key head are one more dim of the contractions.
    let product = match &split {
        None => contraction(b, &attention, &format!("{},{}->{order}", labels.q, labels.k), q, k)?,
        Some([batch, _, groups, shared]) => {
            let grouped = vec![batch.clone(), groups.clone(), shared.clone(), queries.clone(), depth.clone()];
            let grouped = b.reshape(q, grouped)?;
            let product = contraction(b, &attention, "bhgsd,bhtd->bhgst", grouped, k)?;
            b.reshape(product, shape.clone())?
        }
    };
    let unscaled = attention.scale.is_some_and(|scale| scale.as_f64() == 1.0);
    let product = if unscaled {
        product
    } else {
        b.map(&[product], |p, v| {
            let wide = p.dtype(v[0]);
            let scale = match attention.scale {
                Some(scale) => p.number(wide, scale.as_f64()),
                None => {
                    let depth = p.dim(&depth);
                    let depth = p.cast(depth, wide);
                    let root = p.unary(UnOp::Sqrt, depth);
                    p.unary(UnOp::Recip, root)
                }
            };
            p.mul(v[0], scale)
        })?
    };
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
        b.compute(&operands, shape.clone(), |p| apply_masks(p, &attention, &keys))?
    } else {
        capped
    };
    let rounded = b.cast(masked, attention.precision)?;
    let weights = b.softmax(Softmax { axis: order.len() - 1, log: false }, rounded)?;
    let weights = if attention.zero_empty {
        b.map(&[weights], |p, v| {
            let empty = p.unary(UnOp::IsNan, v[0]);
            let zero = p.zero(p.dtype(v[0]));
            p.select(empty, zero, v[0])
        })?
    } else {
        weights
    };
    // As the values are, so that both are multiplied as such.
    let factors = b.cast(weights, dtype)?;
    let mixed = match &split {
        None => contraction(b, &attention, &format!("{order},{}->{}", labels.v, labels.result), factors, v)?,
        Some([batch, heads, groups, shared]) => {
            let grouped = vec![batch.clone(), groups.clone(), shared.clone(), queries.clone(), keys.clone()];
            let grouped = b.reshape(factors, grouped)?;
            let mixed = contraction(b, &attention, "bhgst,bhte->bhgse", grouped, v)?;
            let last = b.shape(mixed)?.last().cloned().unwrap_or_default();
            b.reshape(mixed, vec![batch.clone(), heads.clone(), queries.clone(), last])?
        }
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

/// The extent of a label.
fn extent(b: &Builder, value: ValueId, labels: &str, label: char) -> Result<Dim, BuildError> {
    let shape = b.shape(value)?;
    if shape.len() != labels.len() {
        let what = "attention operand".to_string();
        return Err(BuildError::Rank { what, expected: labels.len().to_string(), found: shape.len() });
    }
    let found = labels.chars().zip(shape).find(|(l, _)| *l == label).map(|(_, extent)| extent);
    attribute("labels", found, "labels of four tensors")
}

/// Batch, query heads, key heads and how many query heads share each, where that is not one.
fn shared_heads(b: &mut Builder, q: ValueId, k: ValueId) -> Result<Option<[Dim; 4]>, BuildError> {
    let labels = Labels::default();
    let batch = extent(b, q, &labels.q, 'b')?;
    let (heads, groups) = (extent(b, q, &labels.q, 'h')?, extent(b, k, &labels.k, 'h')?);
    b.assume(Pred::Divides(groups.clone(), heads.clone()), "key heads divide query heads")?;
    let shared = b.model().symbols.floor_div(&heads, &groups);
    Ok((!shared.is(1)).then_some([batch, heads, groups, shared]))
}

fn contraction(
    b: &mut Builder,
    attention: &Attention,
    labels: &str,
    x: ValueId,
    y: ValueId,
) -> Result<ValueId, BuildError> {
    let contract = Contract { maths: attention.maths, ..Contract::parse(labels, accumulator(b.dtype(x)?))? };
    b.region_one(&contract::KIND, contract.to_attrs(), &[x, y])
}

/// Operand 0 where a pair takes part, else -infinity.
fn apply_masks(p: &mut Point<'_>, attention: &Attention, keys: &Dim) {
    let index = p.indices();
    let (query, key) = (p.index(index.len().saturating_sub(2)), p.index(index.len().saturating_sub(1)));
    let mut score = p.load(0, &index);
    let wide = p.dtype(score);
    let never = p.constant(Scalar::lowest(wide));
    if attention.mask {
        let mask = load_mask(p, &index, keys);
        score = if p.dtype(mask) == DType::Bool {
            let fill = attention.fill.map_or(never, |fill| p.number(wide, fill.as_f64()));
            p.select(mask, score, fill)
        } else {
            let mask = p.cast(mask, wide);
            p.add(score, mask)
        };
    }
    if let Some(past) = &attention.causal {
        let past = p.dim(past);
        let last = p.add(query, past);
        let visible = p.le(key, last);
        score = p.select(visible, score, never);
    }
    if attention.lengths {
        let position = 1 + usize::from(attention.mask);
        let length = p.load(position, &index[..1]);
        let inside = p.lt(key, length);
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
            softcap: Some(Scalar::f32(2.0)),
            causal: Some(Dim::constant(2)),
            mask: true,
            scores: Some(Scores::Masked),
            ..Attention::plain(DType::F32)
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

//! TfIdfVectorizer: how often each n-gram of a pool occurs in a row of tokens, with gaps, optionally weighted.
//!
//! <https://onnx.ai/onnx/operators/onnx__TfIdfVectorizer.html>
//!
//! | opset | change |
//! |---|---|
//! | 9 | first |
//!
//! Dtypes: i32, i64, strings (looked up by the host first). `hits[g] = sum over starts i and gaps s of
//! (token[i + j (s + 1)] = pool[g][j] for all j)`, single tokens without gaps only; then `Y[ngram_indexes[g]] += hits[g]`.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::ValueId;
use graph::node::{Combiner, ScatterMode};
use graph::scalar::Scalar;
use graph::tensor::Tensor;

use super::label_encoder;
use crate::operator::{AttrKind, Ctx, Operator, attr, exactly, required};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "TfIdfVectorizer",
    domain: "",
    versions: &[9],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[
        required("max_gram_length", AttrKind::Int),
        required("max_skip_count", AttrKind::Int),
        required("min_gram_length", AttrKind::Int),
        required("mode", AttrKind::String),
        required("ngram_counts", AttrKind::Ints),
        required("ngram_indexes", AttrKind::Ints),
        attr("pool_int64s", AttrKind::Ints),
        attr("pool_strings", AttrKind::Strings),
        attr("weights", AttrKind::Floats),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (tokens, pool) = tokens(ctx)?;
    let shape = ctx.b.shape(tokens)?;
    let (rows, tokens) = match shape.as_slice() {
        [_, _] => (shape[0].clone(), tokens),
        [length] => (Dim::constant(1), ctx.b.reshape(tokens, vec![Dim::constant(1), length.clone()])?),
        _ => {
            let found = shape.len();
            return Err(BuildError::Rank { what: "X of TfIdfVectorizer".into(), expected: "1 or 2".into(), found });
        }
    };
    let outputs = ctx.ints("ngram_indexes").unwrap_or_default().iter().copied().max().unwrap_or(-1).saturating_add(1);
    let width = Dim::constant(outputs.max(0));
    let grams = grams(ctx, &pool)?;
    let counts = match grams.width {
        0 => ctx.b.splat(Scalar::f32(0.0), vec![rows.clone(), width.clone()])?,
        _ => count(ctx, tokens, &rows, &grams, &width)?,
    };
    let y = weighted(ctx, counts)?;
    let y = if shape.len() == 1 { ctx.b.reshape(y, vec![width])? } else { y };
    Ok(vec![y.into()])
}

/// The tokens as i64 and the pool in the same numbers.
fn tokens(ctx: &mut Ctx<'_>) -> Result<(ValueId, Vec<i64>), BuildError> {
    let x = ctx.input(0)?;
    match (ctx.strings("pool_strings"), ctx.ints("pool_int64s")) {
        (Some(words), _) => {
            let words = words.to_vec();
            let mut place = std::collections::BTreeMap::new();
            words.iter().enumerate().for_each(|(i, w)| {
                place.entry(w.clone()).or_insert(i as i64);
            });
            let numbers = words.iter().map(|w| place.get(w).copied().unwrap_or(-1)).collect();
            let keys = ctx.b.constant(Tensor::from_strings(vec![words.len()], words)?)?;
            Ok((label_encoder::index(ctx.b, x, keys)?, numbers))
        }
        (None, Some(numbers)) => {
            let numbers = numbers.to_vec();
            if !matches!(ctx.b.dtype(x)?, DType::I32 | DType::I64) {
                let found = ctx.b.dtype(x)?;
                return Err(BuildError::DType { what: "tokens".into(), expected: "i32 or i64".into(), found });
            }
            Ok((ctx.b.cast(x, DType::I64)?, numbers))
        }
        (None, None) => Err(BuildError::Attr {
            name: "pool_int64s".into(),
            expected: "pool_int64s or pool_strings".into(),
            found: "neither".into(),
        }),
    }
}

/// The n-grams of the pool that count: tokens filled up to the longest, lengths, places in the output.
#[derive(Default)]
struct Grams {
    tokens: Vec<i64>,
    lengths: Vec<i64>,
    places: Vec<i64>,
    width: usize,
}

fn grams(ctx: &Ctx<'_>, pool: &[i64]) -> Result<Grams, BuildError> {
    let bad = |what: &str| BuildError::Attr {
        name: what.to_string(),
        expected: "n-grams of the pool".into(),
        found: "others".into(),
    };
    let starts = ctx.ints("ngram_counts").unwrap_or_default();
    let indexes = ctx.ints("ngram_indexes").unwrap_or_default();
    let (shortest, longest) = (ctx.int_or("min_gram_length", 1), ctx.int_or("max_gram_length", 1));
    let mut lists = Vec::new();
    let mut number = 0;
    for (k, start) in starts.iter().enumerate() {
        let end = starts.get(k + 1).copied().unwrap_or(pool.len() as i64);
        let (Ok(start), Ok(end)) = (usize::try_from(*start), usize::try_from(end)) else {
            return Err(bad("ngram_counts"));
        };
        let part = pool.get(start..end).ok_or_else(|| bad("ngram_counts"))?;
        let length = k + 1;
        for gram in part.chunks_exact(length) {
            let place = *indexes.get(number).filter(|i| **i >= 0).ok_or_else(|| bad("ngram_indexes"))?;
            number += 1;
            if (shortest..=longest).contains(&(length as i64)) {
                lists.push((gram, place));
            }
        }
    }
    let width = lists.iter().map(|(gram, _)| gram.len()).max().unwrap_or(0);
    let mut out = Grams { width, ..Grams::default() };
    for (gram, place) in lists {
        out.tokens.extend_from_slice(gram);
        out.tokens.extend((gram.len()..width).map(|_| 0));
        out.lengths.push(gram.len() as i64);
        out.places.push(place);
    }
    Ok(out)
}

/// `[rows, width]` counts.
fn count(ctx: &mut Ctx<'_>, tokens: ValueId, rows: &Dim, grams: &Grams, width: &Dim) -> Result<ValueId, BuildError> {
    let total = Dim::from(grams.lengths.len());
    let pool = Tensor::from_i64s(&grams.tokens).reshaped(vec![grams.lengths.len(), grams.width])?;
    let pool = ctx.b.constant(pool)?;
    let lengths = ctx.b.constant(Tensor::from_i64s(&grams.lengths))?;
    let places = ctx.b.constant(Tensor::from_i64s(&grams.places))?;
    let length = ctx.b.shape(tokens)?.swap_remove(1);
    let gaps = Dim::constant(ctx.int_or("max_skip_count", 0).max(0) + 1);
    let hits = ctx.b.compute(&[tokens, pool, lengths], vec![rows.clone(), total.clone()], |p| {
        let (row, gram) = (p.index(0), p.index(1));
        let (start, gap) = (p.reduce(&length), p.reduce(&gaps));
        let size = p.load(2, &[gram]);
        let (one, zero) = (p.int(1), p.int(0));
        let stride = p.add(gap, one);
        let (single, ungapped) = (p.le(size, one), p.eq(gap, zero));
        let several = p.not(single);
        let mut hit = p.or(several, ungapped);
        let end = p.dim(&length);
        for j in 0..grams.width {
            let j = p.int(j as i64);
            let unused = p.le(size, j);
            let reach = p.mul(j, stride);
            let at = p.add(start, reach);
            let inside = p.lt(at, end);
            let (token, wanted) = (p.load_or(0, &[row, at], zero), p.load(1, &[gram, j]));
            let equal = p.eq(token, wanted);
            let fits = p.and(inside, equal);
            let fits = p.or(unused, fits);
            hit = p.and(hit, fits);
        }
        let number = p.cast(hit, DType::F32);
        let sum = p.acc(Combiner::Sum, number);
        p.out(sum);
    })?;
    let zeros = ctx.b.splat(Scalar::f32(0.0), vec![rows.clone(), width.clone()])?;
    ctx.b.scatter(&[zeros, hits, places], vec![rows.clone(), total], ScatterMode::Combine(Combiner::Sum), |p| {
        let (row, gram) = (p.index(0), p.index(1));
        let (place, value) = (p.load(2, &[gram]), p.load(1, &[row, gram]));
        (vec![row, place], value)
    })
}

fn weighted(ctx: &mut Ctx<'_>, counts: ValueId) -> Result<ValueId, BuildError> {
    let weights = match ctx.floats("weights").map(<[f32]>::to_vec) {
        Some(weights) => Some(ctx.b.constant(Tensor::from_f32s(&weights))?),
        None => None,
    };
    let once = match ctx.string("mode").unwrap_or("") {
        "TF" => return Ok(counts),
        "IDF" => true,
        "TFIDF" => false,
        other => {
            return Err(BuildError::Attr {
                name: "mode".into(),
                expected: "TF, IDF or TFIDF".into(),
                found: other.to_string(),
            });
        }
    };
    let mut operands = vec![counts];
    operands.extend(weights);
    ctx.b.map(&operands, |p, v| {
        let (zero, one) = (p.constant(Scalar::f32(0.0)), p.constant(Scalar::f32(1.0)));
        let some = p.lt(zero, v[0]);
        let flag = p.select(some, one, zero);
        let number = if once { flag } else { v[0] };
        v.get(1).map_or(number, |weight| p.mul(number, *weight))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::AttrValue;
    use crate::ops_testing::*;

    fn attrs(mode: &str, pool: (&'static str, AttrValue)) -> Vec<(&'static str, AttrValue)> {
        vec![
            ("mode", string(mode)),
            ("min_gram_length", int(1)),
            ("max_gram_length", int(2)),
            ("max_skip_count", int(1)),
            ("ngram_counts", ints(&[0, 2])),
            ("ngram_indexes", ints(&[2, 0, 1])),
            pool,
        ]
    }

    #[test]
    fn pairs_count_with_gaps_and_single_tokens_without() {
        // Pool: 5, 7, (5 7). Tokens: 5 7 7: pairs at distance 1 and 2.
        let attrs = attrs("TF", ("pool_int64s", ints(&[5, 7, 5, 7])));
        check(&OPERATOR, &attrs, &[value(i64s(&[3], &[5, 7, 7]))], &[f32s(&[3], &[2.0, 2.0, 1.0])]);
    }

    #[test]
    fn strings_are_looked_up() {
        let pool: Vec<String> = ["a", "b", "a", "b"].map(String::from).to_vec();
        let attrs = attrs("IDF", ("pool_strings", AttrValue::Strings(pool)));
        let x = Tensor::from_strings(vec![1, 3], ["b", "x", "b"].map(String::from).to_vec()).unwrap();
        check(&OPERATOR, &attrs, &[value(x)], &[f32s(&[1, 3], &[1.0, 0.0, 0.0])]);
    }

    #[test]
    fn an_unknown_mode_is_refused() {
        let attrs = attrs("BM25", ("pool_int64s", ints(&[5, 7, 5, 7])));
        assert!(refusal(&OPERATOR, &attrs, &[value(i64s(&[1], &[5]))]).to_string().contains("BM25"));
    }
}

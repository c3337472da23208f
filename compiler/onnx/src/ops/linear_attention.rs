//! LinearAttention: attention as a recurrence over a state of keys times values, step by step.
//!
//! <https://onnx.ai/onnx/operators/onnx__LinearAttention.html>
//!
//! ```text
//! S = exp(decay) * S        (gated, gated_delta)         v = beta * (v - S' k)        (delta, gated_delta)
//! S = S + k v'              out = scale * q' S           query heads share the states of key heads in groups
//! ```
//!
//! | opset | change |
//! |---|---|
//! | 27 | first |
//!
//! Dtypes: all floats, computed in f32 or wider. `chunk_size` is a hint without effect on the result. Refused: inputs that the
//! update rule does not use.

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::UnOp;
use graph::graph::ValueId;
use graph::region::contract::accumulator;
use graph::scalar::Scalar;
use graph::ty::Type;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, required};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "LinearAttention",
    domain: "",
    versions: &[27],
    inputs: between(3, 6),
    outputs: between(1, 2),
    attrs: &[
        attr("chunk_size", AttrKind::Int),
        required("kv_num_heads", AttrKind::Int),
        required("q_num_heads", AttrKind::Int),
        attr("scale", AttrKind::Float),
        attr("update_rule", AttrKind::String),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (gated, delta) = match ctx.string("update_rule").unwrap_or("gated_delta") {
        "linear" => (false, false),
        "gated" => (true, false),
        "delta" => (false, true),
        "gated_delta" => (true, true),
        other => {
            return Err(BuildError::Attr {
                name: "update_rule".to_string(),
                expected: "linear, gated, delta or gated_delta".to_string(),
                found: other.to_string(),
            });
        }
    };
    let (past, decay, beta) = (ctx.optional(3)?, ctx.optional(4)?, ctx.optional(5)?);
    for (name, given, used) in [("decay", decay.is_some(), gated), ("beta", beta.is_some(), delta)] {
        if given != used {
            return Err(BuildError::Operand {
                what: format!("{name} of LinearAttention"),
                expected: if used { "a value" } else { "nothing" }.to_string(),
                found: if given { "a value" } else { "nothing" }.to_string(),
            });
        }
    }
    let (q_heads, heads) = (ctx.int_or("q_num_heads", 0), ctx.int_or("kv_num_heads", 0));
    if heads < 1 || q_heads < 1 || q_heads % heads != 0 {
        return Err(BuildError::Attr {
            name: "q_num_heads".to_string(),
            expected: "a positive multiple of kv_num_heads".to_string(),
            found: format!("{q_heads} and {heads}"),
        });
    }
    let (q, k, v) = (ctx.input(0)?, ctx.input(1)?, ctx.input(2)?);
    let dtype = ctx.b.dtype(q)?;
    let wide = accumulator(dtype);
    let (h, shared) = (Dim::constant(heads), Dim::constant(q_heads / heads));
    let mut steps = vec![
        time_first(ctx.b, q, &[h.clone(), shared], wide)?,
        time_first(ctx.b, k, std::slice::from_ref(&h), wide)?,
        time_first(ctx.b, v, std::slice::from_ref(&h), wide)?,
    ];
    // Of decay and beta, the last dim is one a head, one a head and key element, or one for all.
    if let Some(decay) = decay {
        steps.push(time_first(ctx.b, decay, std::slice::from_ref(&h), wide)?);
    }
    if let Some(beta) = beta {
        let last = ctx.b.shape(beta)?.get(2).cloned().unwrap_or_default();
        let own = if last == h { h.clone() } else { Dim::constant(1) };
        steps.push(time_first(ctx.b, beta, std::slice::from_ref(&own), wide)?);
    }
    let (qs, vs) = (ctx.b.shape(steps[0])?, ctx.b.shape(steps[2])?);
    let (trip, batch, depth, width) = (qs[0].clone(), qs[1].clone(), qs[4].clone(), vs[3].clone());
    let shape = vec![batch.clone(), h, depth.clone(), width.clone()];
    let (state, kept) = match past {
        Some(past) => {
            let kept = ctx.b.dtype(past)?;
            (ctx.b.cast(past, wide)?, kept)
        }
        None => (ctx.b.splat(Scalar::zero(wide), shape)?, dtype),
    };
    let given = f64::from(ctx.float_or("scale", 0.0));
    let recurrence = Recurrence { gated, delta, scale: (given != 0.0).then_some(given), depth };
    let results = recurrence.run(ctx.b, trip.clone(), state, &steps)?;
    let [last, all] = results[..] else { return Err(BuildError::Results { expected: 2, found: results.len() }) };
    // [T, B, H, G, E] to [B, T, H * G * E].
    let all = ctx.b.transpose(all, &[1, 0, 2, 3, 4])?;
    let packed = vec![batch, trip, &Dim::constant(q_heads) * &width];
    let all = ctx.b.reshape(all, packed)?;
    let y = ctx.b.cast(all, dtype)?;
    Ok(vec![y.into(), ctx.b.cast(last, kept)?.into()])
}

/// `[B, T, heads… * size]` as `[T, B, heads…, size]` in the wide dtype.
fn time_first(b: &mut Builder, x: ValueId, heads: &[Dim], wide: DType) -> Result<ValueId, BuildError> {
    let shape = b.shape(x)?;
    let [batch, time, packed] = shape.as_slice() else {
        let what = "packed input of LinearAttention".to_string();
        return Err(BuildError::Rank { what, expected: "3".to_string(), found: shape.len() });
    };
    let size = b.model().symbols.floor_div(packed, &Dim::product(heads));
    let mut split = vec![batch.clone(), time.clone()];
    split.extend_from_slice(heads);
    split.push(size);
    let mut order: Vec<usize> = (0..split.len()).collect();
    order.swap(0, 1);
    let split = b.reshape(x, split)?;
    let turned = b.transpose(split, &order)?;
    b.cast(turned, wide)
}

struct Recurrence {
    gated: bool,
    delta: bool,
    /// `None`: one over the root of the key size.
    scale: Option<f64>,
    depth: Dim,
}

impl Recurrence {
    /// The last state, and the outputs of all steps.
    fn run(&self, b: &mut Builder, trip: Dim, state: ValueId, steps: &[ValueId]) -> Result<Vec<ValueId>, BuildError> {
        let shapes = steps.iter().map(|s| b.tensor(*s).cloned()).collect::<Result<Vec<_>, _>>()?;
        let ty = b.ty(state)?.clone();
        b.begin_body()?;
        let built: Result<(), BuildError> = (|| {
            let state = b.input("", ty);
            let slices: Vec<ValueId> =
                shapes.iter().map(|t| b.input("", Type::tensor(t.dtype, t.shape[1..].to_vec()))).collect();
            let (new, out) = self.step(b, state, &slices)?;
            b.output(new);
            b.output(out);
            Ok(())
        })();
        let body = b.end_body();
        built?;
        let operands = [state].iter().chain(steps).copied().collect();
        b.scan(trip, 1, steps.len(), operands, body)
    }

    fn step(&self, b: &mut Builder, state: ValueId, slices: &[ValueId]) -> Result<(ValueId, ValueId), BuildError> {
        let (q, k, mut v) = (slices[0], slices[1], slices[2]);
        let mut state = state;
        if self.gated {
            let decay = b.unsqueeze(slices[3], &[3])?;
            state = b.map(&[state, decay], |p, v| {
                let factor = p.unary(UnOp::Exp, v[1]);
                p.mul(v[0], factor)
            })?;
        }
        if self.delta {
            let known = b.contract("bhdm,bhd->bhm", state, k)?;
            v = b.map(&[v, known, slices[slices.len() - 1]], |p, v| {
                let rest = p.sub(v[0], v[1]);
                p.mul(v[2], rest)
            })?;
        }
        let (column, row) = (b.unsqueeze(k, &[3])?, b.unsqueeze(v, &[2])?);
        state = b.map(&[state, column, row], |p, v| {
            let product = p.mul(v[1], v[2]);
            p.add(v[0], product)
        })?;
        let out = b.contract("bhgd,bhdm->bhgm", q, state)?;
        let out = b.map(&[out], |p, v| {
            let dtype = p.dtype(v[0]);
            let scale = match self.scale {
                Some(scale) => p.number(dtype, scale),
                None => {
                    let depth = p.dim(&self.depth);
                    let depth = p.cast(depth, dtype);
                    let root = p.unary(UnOp::Sqrt, depth);
                    p.unary(UnOp::Recip, root)
                }
            };
            p.mul(v[0], scale)
        })?;
        Ok((state, out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, float, int, missing, refusal, string, value};

    #[test]
    fn two_queries_share_a_delta_state() {
        let q = f32s(&[1, 2, 2], &[1.0, 2.0, 1.0, 3.0]);
        let (k, v) = (f32s(&[1, 2, 1], &[1.0, 1.0]), f32s(&[1, 2, 1], &[4.0, 10.0]));
        let beta = f32s(&[1, 2, 1], &[1.0, 0.5]);
        let inputs = [value(q), value(k), value(v), missing(), missing(), value(beta)];
        let attrs = [
            ("q_num_heads", int(2)),
            ("kv_num_heads", int(1)),
            ("update_rule", string("delta")),
            ("scale", float(1.0)),
        ];
        // S = 4, then 4 + 0.5 * (10 - 4) = 7.
        let outputs = [f32s(&[1, 2, 2], &[4.0, 8.0, 7.0, 21.0]), f32s(&[1, 1, 1, 1], &[7.0])];
        check(&OPERATOR, &attrs, &inputs, &outputs);
    }

    #[test]
    fn a_decay_that_is_not_used_is_refused() {
        let x = f32s(&[1, 1, 1], &[1.0]);
        let inputs = [value(x.clone()), value(x.clone()), value(x.clone()), missing(), value(x)];
        let attrs = [("q_num_heads", int(1)), ("kv_num_heads", int(1)), ("update_rule", string("linear"))];
        let error = refusal(&OPERATOR, &attrs, &inputs);
        assert_eq!(error.to_string(), "decay of LinearAttention: expected nothing, found a value");
    }
}

//! FlexAttention: attention whose scores and probabilities pass through subgraphs.
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxpreview_FlexAttention.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//!
//! Dtypes: all floats; scores in `softmax_precision`, by default f32 or wider. Key heads are shared by groups of query heads.

use graph::builder::BuildError;
use graph::dim::{Dim, Pred};
use graph::expr::UnOp;
use graph::graph::ValueId;
use graph::region::contract::accumulator;
use graph::region::softmax::Softmax;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "FlexAttention",
    domain: "ai.onnx.preview",
    versions: &[1],
    inputs: exactly(3),
    outputs: exactly(1),
    attrs: &[
        attr("prob_mod", AttrKind::Graph),
        attr("scale", AttrKind::Float),
        attr("score_mod", AttrKind::Graph),
        attr("softmax_precision", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (q, k, v) = (ctx.input(0)?, ctx.input(1)?, ctx.input(2)?);
    let (qs, ks, vs) = (ctx.b.shape(q)?, ctx.b.shape(k)?, ctx.b.shape(v)?);
    let ([batch, heads, queries, depth], [_, groups, keys, _], [_, _, _, width]) =
        (qs.as_slice(), ks.as_slice(), vs.as_slice())
    else {
        let what = "Q, K or V".to_string();
        let found = qs.len().min(ks.len()).min(vs.len());
        return Err(BuildError::Rank { what, expected: "4".to_string(), found });
    };
    ctx.b.assume(Pred::Divides(groups.clone(), heads.clone()), "key heads divide query heads")?;
    let dtype = ctx.b.dtype(q)?;
    let wide = accumulator(dtype);
    let precision = ctx.dtype_attr("softmax_precision")?.unwrap_or(wide);
    let given = ctx.attrs.contains_key("scale").then(|| f64::from(ctx.float_or("scale", 1.0)));
    let shared = ctx.b.model().symbols.floor_div(heads, groups);
    let split =
        |inner: &Dim, last: &Dim| vec![batch.clone(), groups.clone(), shared.clone(), inner.clone(), last.clone()];
    let grouped = ctx.b.reshape(q, split(queries, depth))?;
    let product = ctx.b.contract("bhgsd,bhtd->bhgst", grouped, k)?;
    let joined = vec![batch.clone(), heads.clone(), queries.clone(), keys.clone()];
    let product = ctx.b.reshape(product, joined)?;
    let scores = ctx.b.map(&[product], |p, v| {
        let scale = match given {
            Some(scale) => p.number(wide, scale),
            None => {
                let depth = p.dim(depth);
                let depth = p.cast(depth, wide);
                let root = p.unary(UnOp::Sqrt, depth);
                p.unary(UnOp::Recip, root)
            }
        };
        let score = p.mul(v[0], scale);
        p.cast(score, precision)
    })?;
    let scores = modified(ctx, "score_mod", scores)?;
    let probabilities = ctx.b.softmax(Softmax { axis: 3, log: false }, scores)?;
    let probabilities = modified(ctx, "prob_mod", probabilities)?;
    let grouped = ctx.b.reshape(probabilities, split(queries, keys))?;
    let mixed = ctx.b.contract("bhgst,bhte->bhgse", grouped, v)?;
    let result = vec![batch.clone(), heads.clone(), queries.clone(), width.clone()];
    let y = ctx.b.reshape(mixed, result)?;
    Ok(vec![ctx.b.cast(y, dtype)?.into()])
}

/// A value after the subgraph of this name, if there is one; it must keep its type.
fn modified(ctx: &mut Ctx<'_>, name: &str, value: ValueId) -> Result<ValueId, BuildError> {
    let Some(body) = ctx.body(name) else { return Ok(value) };
    let captured = ctx.importer.captures(body);
    let outputs = ctx.importer.import_body(ctx.b, body, vec![value.into()], captured)?;
    match outputs.as_slice() {
        [ImportValue::Value(new)] if ctx.b.ty(*new)? == ctx.b.ty(value)? => Ok(*new),
        _ => Err(BuildError::Operand {
            what: format!("outputs of {name}"),
            expected: format!("one tensor of the input's type {:?}", ctx.b.ty(value)?),
            found: format!("{outputs:?}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, float, refusal, value};

    #[test]
    fn heads_share_a_key() {
        let q = f32s(&[1, 2, 1, 1], &[0.0, 100.0]);
        let (k, v) = (f32s(&[1, 1, 2, 1], &[1.0, -1.0]), f32s(&[1, 1, 2, 1], &[3.0, 5.0]));
        let inputs = [value(q), value(k), value(v)];
        check(&OPERATOR, &[("scale", float(1.0))], &inputs, &[f32s(&[1, 2, 1, 1], &[4.0, 3.0])]);
    }

    #[test]
    fn rank_three_is_refused() {
        let x = f32s(&[1, 1, 1], &[0.0]);
        let error = refusal(&OPERATOR, &[], &[value(x.clone()), value(x.clone()), value(x)]);
        assert!(error.to_string().contains("rank 3 of Q, K or V"), "{error}");
    }
}

//! MatMul: products of the matrices in the last two dims, under NumPy's rules for vectors and for broadcasting the rest.
//!
//! <https://onnx.ai/onnx/operators/onnx__MatMul.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 9 | integers |
//! | 13 | bfloat16 |
//!
//! Dtypes: all floats, summed in f32 or wider and rounded once; all integers, which wrap. Refused: scalars.

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::ValueId;
use graph::region::contract::{Contract, KIND, accumulator};

use crate::operator::{Ctx, Operator, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "MatMul",
    domain: "",
    versions: &[1, 9, 13],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (a, b) = (ctx.input(0)?, ctx.input(1)?);
    let dtype = ctx.b.dtype(a)?;
    let product = mat_mul(ctx.b, a, b, accumulator(dtype))?;
    Ok(vec![ctx.b.cast(product, dtype)?.into()])
}

/// The product, left in the accumulator's dtype.
pub fn mat_mul(b: &mut Builder, left: ValueId, right: ValueId, acc: DType) -> Result<ValueId, BuildError> {
    let (ls, rs) = (b.shape(left)?, b.shape(right)?);
    if ls.is_empty() || rs.is_empty() {
        let what = "MatMul operand".to_string();
        return Err(BuildError::Rank { what, expected: "1 or more".to_string(), found: 0 });
    }
    let batch = ls.len().max(rs.len()).saturating_sub(2);
    let mut batch_labels = ('a'..='z').filter(|c| !"mkn".contains(*c)).chain('A'..='Z');
    let (mut l, mut r, mut out) = (String::new(), String::new(), String::new());
    let (mut drop_l, mut drop_r) = (Vec::new(), Vec::new());
    let (offset_l, offset_r) = ((batch + 2).saturating_sub(ls.len()), (batch + 2).saturating_sub(rs.len()));
    for d in 0..batch {
        let label = batch_labels.next().ok_or(BuildError::Limit {
            what: "batch dims of MatMul",
            found: batch.to_string(),
            limit: "49".to_string(),
        })?;
        let (x, y) = (d.checked_sub(offset_l), d.checked_sub(offset_r));
        let one = |at: Option<usize>, shape: &[Dim]| at.is_none_or(|i| shape[i].is(1));
        let both = one(x, &ls) && one(y, &rs);
        match x {
            Some(i) if ls[i].is(1) && !both => drop_l.push(i),
            Some(_) => l.push(label),
            None => {}
        }
        match y {
            Some(i) if rs[i].is(1) && !both => drop_r.push(i),
            Some(_) => r.push(label),
            None => {}
        }
        out.push(label);
    }
    l.push_str(if ls.len() == 1 { "k" } else { "mk" });
    r.push_str(if rs.len() == 1 { "k" } else { "kn" });
    if ls.len() > 1 {
        out.push('m');
    }
    if rs.len() > 1 {
        out.push('n');
    }
    let left = if drop_l.is_empty() { left } else { b.squeeze(left, &drop_l)? };
    let right = if drop_r.is_empty() { right } else { b.squeeze(right, &drop_r)? };
    let contract = Contract::parse(&format!("{l},{r}->{out}"), acc)?;
    b.region_one(&KIND, contract.to_attrs(), &[left, right])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, refusal, value};

    #[test]
    fn batches_broadcast_both_ways() {
        let a = f32s(&[2, 1, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
        let b = f32s(&[3, 2, 1], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        let y = f32s(&[2, 3, 1, 1], &[1.0, 2.0, 3.0, 3.0, 4.0, 7.0]);
        check(&OPERATOR, &[], &[value(a), value(b)], &[y]);
    }

    #[test]
    fn vectors_lose_their_dim() {
        let v = f32s(&[2], &[1.0, 2.0]);
        let m = f32s(&[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
        check(&OPERATOR, &[], &[value(v.clone()), value(m.clone())], &[f32s(&[1, 2], &[7.0, 10.0])]);
        check(&OPERATOR, &[], &[value(m), value(v.clone())], &[f32s(&[1, 2], &[5.0, 11.0])]);
        check(&OPERATOR, &[], &[value(v.clone()), value(v)], &[f32s(&[], &[5.0])]);
    }

    #[test]
    fn misfits_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1, 2], &[0.0; 2])), value(f32s(&[3, 1], &[0.0; 3]))]);
        assert!(error.to_string().contains("extents of label k"), "{error}");
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[], &[0.0])), value(f32s(&[3], &[0.0; 3]))]);
        assert!(error.to_string().contains("rank 0 of MatMul operand"), "{error}");
    }
}

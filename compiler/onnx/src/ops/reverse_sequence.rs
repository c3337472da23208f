//! ReverseSequence: the first `sequence_lens[b]` elements along `time_axis` reversed, for every `b` of `batch_axis`.
//!
//! <https://onnx.ai/onnx/operators/onnx__ReverseSequence.html>
//!
//! | opset | change |
//! |---|---|
//! | 10 | first |
//!
//! Dtypes: all but strings.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::dtype::DType;

use crate::indexing;
use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "ReverseSequence",
    domain: "",
    versions: &[10],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("batch_axis", AttrKind::Int), attr("time_axis", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, lengths) = (ctx.input(0)?, ctx.input(1)?);
    let shape = ctx.shape(0)?;
    let batch = ctx.b.axis(ctx.int_or("batch_axis", 1), shape.len())?;
    let time = ctx.b.axis(ctx.int_or("time_axis", 0), shape.len())?;
    let [count] = <[Dim; 1]>::try_from(ctx.shape(1)?).map_err(|found| BuildError::Rank {
        what: "sequence_lens".to_string(),
        expected: "1".to_string(),
        found: found.len(),
    })?;
    ctx.b.assume_equal(&count, &shape[batch], "one length a sequence")?;
    let y = ctx.b.compute(&[x, lengths], shape, |p| {
        let mut index = p.indices();
        let here = index[time];
        let length = p.load(1, &[index[batch]]);
        let length = p.cast(length, DType::I64);
        let inside = p.lt(here, length);
        let (one, from_end) = (p.int(1), p.sub(length, here));
        let mirrored = p.sub(from_end, one);
        index[time] = p.select(inside, mirrored, here);
        let value = indexing::load(p, &index, false);
        p.out(value);
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, i64s, int, refusal, value};

    #[test]
    fn lengths_of_zero_and_all() {
        let x = i64s(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let attrs = [("batch_axis", int(0)), ("time_axis", int(1))];
        check(&OPERATOR, &attrs, &[value(x), value(i64s(&[2], &[0, 3]))], &[i64s(&[2, 3], &[1, 2, 3, 6, 5, 4])]);
    }

    #[test]
    fn a_length_for_every_sequence() {
        let x = i64s(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let error = refusal(&OPERATOR, &[], &[value(x), value(i64s(&[2], &[0, 1]))]);
        assert!(error.to_string().starts_with("one length a sequence cannot hold"), "{error}");
    }
}

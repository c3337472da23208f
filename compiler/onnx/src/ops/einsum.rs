//! Einsum: sums of products over labelled dims, `"bij,bjk->bik"`, with ellipses and repeated labels.
//!
//! <https://onnx.ai/onnx/operators/onnx__Einsum.html>
//!
//! | opset | change |
//! |---|---|
//! | 12 | first |
//!
//! Dtypes: all floats, summed in f32 or wider; integers, which wrap. Several operands are contracted from left to right.
//! Without `->` the result has the labels that occur once, in alphabetical order, behind those of the ellipsis.

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::ValueId;
use graph::node::Combiner;
use graph::region::contract::{Contract, KIND, accumulator};

use crate::operator::{AttrKind, Ctx, Operator, at_least, exactly, required};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Einsum",
    domain: "",
    versions: &[12],
    inputs: at_least(1),
    outputs: exactly(1),
    attrs: &[required("equation", AttrKind::String)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let values = ctx.all_inputs()?;
    let equation: String = ctx.string("equation").unwrap_or_default().chars().filter(|c| *c != ' ').collect();
    let ranks = values.iter().map(|v| ctx.b.rank(*v)).collect::<Result<Vec<_>, _>>()?;
    let (mut terms, result) = parse(&equation, &ranks)?;
    let dtype = ctx.b.dtype(values[0])?;
    let acc = accumulator(dtype);
    let mut values = values;
    drop_broadcast(ctx.b, &mut values, &mut terms)?;
    let mut rest = values.into_iter().zip(terms);
    let Some((mut value, mut labels)) = rest.next() else { return Err(malformed(&equation)) };
    let rest: Vec<(ValueId, String)> = rest.collect();
    if rest.is_empty() {
        value = reduced(ctx.b, value, &labels, &result, acc)?;
    }
    for (k, (other, term)) in rest.iter().enumerate() {
        let later: String = rest[k + 1..].iter().map(|(_, t)| t.as_str()).collect();
        let last = k + 1 == rest.len();
        let kept = if last {
            result.clone()
        } else {
            let mut kept = String::new();
            for label in labels.chars().chain(term.chars()) {
                if !kept.contains(label) && (result.contains(label) || later.contains(label)) {
                    kept.push(label);
                }
            }
            kept
        };
        let contract = Contract::parse(&format!("{labels},{term}->{kept}"), acc)?;
        value = ctx.b.region_one(&KIND, contract.to_attrs(), &[value, *other])?;
        labels = kept;
    }
    Ok(vec![ctx.b.cast(value, dtype)?.into()])
}

fn malformed(equation: &str) -> BuildError {
    BuildError::Attr {
        name: "equation".to_string(),
        expected: "one term an input, with as many labels as the input has dims".to_string(),
        found: equation.to_string(),
    }
}

/// Labels of every operand and of the result, the ellipsis replaced by letters that the equation does not use.
fn parse(equation: &str, ranks: &[usize]) -> Result<(Vec<String>, String), BuildError> {
    let (inputs, result) = match equation.split_once("->") {
        Some((inputs, result)) => (inputs, Some(result)),
        None => (equation, None),
    };
    let terms: Vec<&str> = inputs.split(',').collect();
    if terms.len() != ranks.len() {
        return Err(malformed(equation));
    }
    let mut hidden = Vec::new();
    for (term, rank) in terms.iter().zip(ranks) {
        let named = term.replace("...", "").len();
        let extra = rank.checked_sub(named).ok_or_else(|| malformed(equation))?;
        if (extra > 0 && !term.contains("...")) || !term.replace("...", "").chars().all(|c| c.is_ascii_alphabetic()) {
            return Err(malformed(equation));
        }
        hidden.push(extra);
    }
    let widest = hidden.iter().copied().max().unwrap_or(0);
    let free: String = ('A'..='Z').chain('a'..='z').filter(|c| !equation.contains(*c)).take(widest).collect();
    if free.len() < widest {
        return Err(malformed(equation));
    }
    let expand = |term: &str, extra: usize| term.replace("...", &free[widest - extra..]);
    let terms: Vec<String> = terms.iter().zip(&hidden).map(|(t, extra)| expand(t, *extra)).collect();
    let all: String = terms.concat();
    let result = match result {
        Some(result) => expand(result, widest),
        None => {
            let mut once: Vec<char> =
                all.chars().filter(|c| !free.contains(*c) && all.matches(*c).count() == 1).collect();
            once.sort_unstable();
            free.chars().chain(once).collect()
        }
    };
    Ok((terms, result))
}

/// Takes dims of extent 1 off operands where another operand has more under the same label.
fn drop_broadcast(b: &mut Builder, values: &mut [ValueId], terms: &mut [String]) -> Result<(), BuildError> {
    let shapes = values.iter().map(|v| b.shape(*v)).collect::<Result<Vec<_>, _>>()?;
    let more = |label: char, terms: &[String]| {
        let mut pairs = terms.iter().zip(&shapes).flat_map(|(t, s)| t.chars().zip(s));
        pairs.any(|(l, extent)| l == label && !extent.is(1))
    };
    let before = terms.to_vec();
    for (k, value) in values.iter_mut().enumerate() {
        let ones: Vec<usize> = before[k]
            .chars()
            .enumerate()
            .filter(|(d, label)| shapes[k][*d].is(1) && more(*label, &before))
            .map(|(d, _)| d)
            .collect();
        if !ones.is_empty() {
            *value = b.squeeze(*value, &ones)?;
            terms[k] = before[k].chars().enumerate().filter(|(d, _)| !ones.contains(d)).map(|(_, c)| c).collect();
        }
    }
    Ok(())
}

/// One operand with dims summed, taken along diagonals and reordered.
fn reduced(b: &mut Builder, x: ValueId, labels: &str, result: &str, acc: DType) -> Result<ValueId, BuildError> {
    let from = b.shape(x)?;
    let extent = |label: char| -> Option<Dim> { labels.chars().position(|l| l == label).map(|d| from[d].clone()) };
    let shape: Option<Vec<Dim>> = result.chars().map(extent).collect();
    let shape = shape.ok_or_else(|| malformed(&format!("{labels}->{result}")))?;
    b.compute(&[x], shape, |p| {
        let mut known: Vec<(char, _)> = Vec::new();
        for (d, label) in result.chars().enumerate() {
            known.push((label, p.index(d)));
        }
        let mut at = Vec::new();
        let mut summed = false;
        for (d, label) in labels.chars().enumerate() {
            let found = known.iter().find(|(l, _)| *l == label).map(|(_, i)| *i);
            at.push(found.unwrap_or_else(|| {
                summed = true;
                let i = p.reduce(&from[d]);
                known.push((label, i));
                i
            }));
        }
        let value = p.load(0, &at);
        let value = p.cast(value, acc);
        let value = if summed { p.acc(Combiner::Sum, value) } else { value };
        p.out(value);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, refusal, string, value};

    fn run(equation: &str, inputs: &[(&[usize], &[f32])], expected: (&[usize], &[f32])) {
        let inputs: Vec<_> = inputs.iter().map(|(s, v)| value(f32s(s, v))).collect();
        check(&OPERATOR, &[("equation", string(equation))], &inputs, &[f32s(expected.0, expected.1)]);
    }

    #[test]
    fn one_operand() {
        let m: (&[usize], &[f32]) = (&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        run("ii", &[m], (&[], &[5.0]));
        run("ii->i", &[m], (&[2], &[1.0, 4.0]));
        run("ba", &[m], (&[2, 2], &[1.0, 3.0, 2.0, 4.0]));
        run("...j->...", &[m], (&[2], &[3.0, 7.0]));
    }

    #[test]
    fn several_operands_and_broadcasting() {
        let v: (&[usize], &[f32]) = (&[2], &[1.0, 2.0]);
        run("i,j,i->j", &[v, v, v], (&[2], &[5.0, 10.0]));
        let row: (&[usize], &[f32]) = (&[1, 2], &[3.0, 4.0]);
        let column: (&[usize], &[f32]) = (&[2, 1], &[1.0, 10.0]);
        run("...,...->...", &[row, column], (&[2, 2], &[3.0, 4.0, 30.0, 40.0]));
    }

    #[test]
    fn too_few_labels_are_refused() {
        let error = refusal(&OPERATOR, &[("equation", string("i->i"))], &[value(f32s(&[1, 1], &[0.0]))]);
        assert!(error.to_string().contains("attribute equation"), "{error}");
    }
}

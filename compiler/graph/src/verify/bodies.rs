//! V27 to V29, V31, V32: nodes that run bodies, and host operators.

use std::collections::BTreeSet;

use crate::dim::SymId;
use crate::dtype::DType;
use crate::graph::Graph;
use crate::node::{Host, If, Loop, Node, Region, Scan};
use crate::ty::{TensorType, Type};
use crate::verify::Rule;
use crate::verify::checker::Checker;

/// Types of the inputs and outputs of a body, if they all exist.
fn border<'a>(c: &Checker<'a>, body: &'a Graph) -> Option<(Vec<&'a Type>, Vec<&'a Type>)> {
    c.types(body, &body.inputs).zip(c.types(body, &body.outputs))
}

/// Reports the values of a list that are not of the types of another.
fn expect_types(c: &mut Checker<'_>, rule: Rule, what: &str, expected: &[&Type], found: &[&Type]) {
    if c.expect_count(rule, &format!("{what}s"), expected.len(), found.len()) {
        for (k, (expected, found)) in expected.iter().zip(found).enumerate() {
            c.expect_type(rule, &format!("{what} {k}"), expected, found);
        }
    }
}

/// Reports unless a value can be had as another type, but for extents that mention free symbols.
fn expect_fit(c: &mut Checker<'_>, rule: Rule, what: &str, expected: &Type, found: &Type, free: &BTreeSet<SymId>) {
    if !c.facts.fits(expected, found, free) {
        let message = format!("expected {what} to have type {}, found {}", c.show(expected), c.show(found));
        c.report(rule, message);
    }
}

fn symbols(binds: &[SymId]) -> BTreeSet<SymId> {
    binds.iter().copied().collect()
}

pub(super) fn check_region<'a>(c: &mut Checker<'a>, region: &'a Region, operands: &[&Type], results: &[&Type]) {
    let Some((inputs, outputs)) = border(c, &region.body) else { return };
    expect_types(c, Rule::Region, "body input", operands, &inputs);
    expect_types(c, Rule::Region, "result", &outputs, results);
}

pub(super) fn check_if<'a>(c: &mut Checker<'a>, branch: &'a If, node: &Node, operands: &[&Type], results: &[&Type]) {
    let Some((condition, captures)) = operands.split_first() else {
        return c.report(Rule::If, "expected a condition as operand 0, found no operands".to_string());
    };
    c.expect_type(Rule::If, "the condition", &Type::tensor(DType::Bool, []), condition);
    let free = symbols(&node.binds);
    for (word, body) in [("then", &branch.then_body), ("else", &branch.else_body)] {
        let Some((inputs, outputs)) = border(c, body) else { continue };
        expect_types(c, Rule::If, &format!("{word} input"), captures, &inputs);
        if c.expect_count(Rule::If, &format!("outputs of {word}"), results.len(), outputs.len()) {
            for (k, (result, output)) in results.iter().zip(outputs).enumerate() {
                expect_fit(c, Rule::If, &format!("{word} output {k}"), result, output, &free);
            }
        }
    }
}

pub(super) fn check_scan<'a>(c: &mut Checker<'a>, scan: &'a Scan, operands: &[&Type], results: &[&Type]) {
    let Some((inputs, outputs)) = border(c, &scan.body) else { return };
    let (states, rest) = operands.split_at(scan.carried.min(operands.len()));
    let (slices, captures) = rest.split_at(scan.scanned.min(rest.len()));
    if states.len() != scan.carried || slices.len() != scan.scanned || outputs.len() < scan.carried {
        let (operands, outputs) = (operands.len(), outputs.len());
        let message = format!(
            "{} carried and {} scanned values do not fit {operands} operands and {outputs} body outputs",
            scan.carried, scan.scanned
        );
        return c.report(Rule::Scan, message);
    }
    let mut expected: Vec<Type> = states.iter().map(|ty| (*ty).clone()).collect();
    for ty in slices {
        let Some(tensor) = c.expect_tensor(Rule::Scan, "what is scanned", ty) else { return };
        let Some((extent, slice)) = tensor.shape.split_first() else {
            return c.report(Rule::Scan, "a tensor of rank 0 cannot be scanned".to_string());
        };
        if !c.facts.same(extent, &scan.trip) {
            c.report(Rule::Scan, format!("{} is not scanned in exactly the trips", c.show(ty)));
        }
        expected.push(Type::tensor(tensor.dtype, slice));
    }
    expected.extend(captures.iter().map(|ty| (*ty).clone()));
    expect_types(c, Rule::Scan, "body input", &expected.iter().collect::<Vec<_>>(), &inputs);
    if !c.expect_count(Rule::Scan, "results, one a body output", outputs.len(), results.len()) {
        return;
    }
    for (k, (output, result)) in outputs.iter().zip(results).enumerate() {
        match states.get(k) {
            Some(state) => {
                c.expect_type(Rule::Scan, &format!("body output {k}"), state, output);
                c.expect_type(Rule::Scan, &format!("result {k}"), state, result);
            }
            None => {
                let Some(tensor) = c.expect_tensor(Rule::Scan, "what is stacked", output) else { continue };
                let shape = std::iter::once(&scan.trip).chain(&tensor.shape).cloned().collect();
                let stacked = Type::Tensor(TensorType { dtype: tensor.dtype, shape });
                c.expect_type(Rule::Scan, &format!("result {k}"), &stacked, result);
            }
        }
    }
}

pub(super) fn check_loop<'a>(
    c: &mut Checker<'a>,
    repeat: &'a Loop,
    node: &Node,
    operands: &[&Type],
    results: &[&Type],
) {
    let Some((inputs, outputs)) = border(c, &repeat.body) else { return };
    let ([limit, condition, rest @ ..], [number, inner @ ..], [goes_on, yielded @ ..]) =
        (operands, &inputs[..], &outputs[..])
    else {
        let message = "expected trip limit and condition as operands, the trip as body input, the condition as output";
        return c.report(Rule::Loop, message.to_string());
    };
    let (int, bool) = (Type::tensor(DType::I64, []), Type::tensor(DType::Bool, []));
    for (what, expected, found) in [
        ("the trip limit", &int, limit),
        ("the condition", &bool, condition),
        ("the body's trip number", &int, number),
        ("the body's condition", &bool, goes_on),
    ] {
        c.expect_type(Rule::Loop, what, expected, found);
    }
    let carried = repeat.carried;
    if !c.expect_count(Rule::Loop, "body inputs after the trip number", rest.len(), inner.len()) {
        return;
    }
    if rest.len() < carried || yielded.len() < carried || results.len() != yielded.len() {
        let (rest, yielded, results) = (rest.len(), yielded.len(), results.len());
        let message = format!(
            "{carried} carried values do not fit {rest} operands, {yielded} outputs of the body and {results} results"
        );
        return c.report(Rule::Loop, message);
    }
    let (varying, open) = (symbols(&repeat.body.binds), symbols(&node.binds));
    for (k, (initial, input)) in rest.iter().zip(inner).enumerate() {
        if k < carried {
            expect_fit(c, Rule::Loop, &format!("initial value {k}"), input, initial, &varying);
        } else {
            c.expect_type(Rule::Loop, &format!("capture {k}"), input, initial);
        }
    }
    for (k, (output, result)) in yielded.iter().zip(results).enumerate() {
        match inner.get(k).filter(|_| k < carried) {
            Some(input) => {
                expect_fit(c, Rule::Loop, &format!("body output {}", k + 1), input, output, &varying);
                expect_fit(c, Rule::Loop, &format!("what is carried into result {k}"), result, input, &open);
            }
            None => check_stacked(c, k, output, result, &open),
        }
    }
}

/// The number of trips is not known, so the first extent of what is stacked is free.
fn check_stacked(c: &mut Checker<'_>, k: usize, output: &Type, result: &Type, open: &BTreeSet<SymId>) {
    let Some(slice) = c.expect_tensor(Rule::Loop, "what is stacked", output) else { return };
    let Some(stacked) = c.expect_tensor(Rule::Loop, "a stacked result", result) else { return };
    let found = stacked.shape.split_first().map(|(_, shape)| Type::tensor(stacked.dtype, shape));
    match found {
        Some(found) => {
            expect_fit(c, Rule::Loop, &format!("slices of result {k}"), &found, &Type::Tensor(slice.clone()), open)
        }
        None => c.report(Rule::Loop, format!("result {k} is stacked and has rank 0")),
    }
}

pub(super) fn check_host<'a>(c: &mut Checker<'a>, host: &'a Host, node: &Node, operands: &[&Type], results: &[&Type]) {
    let mut table = c.model.symbols.clone();
    let first = table.len();
    let types: Vec<Type> = operands.iter().map(|ty| (*ty).clone()).collect();
    match (host.op.infer)(&host.attrs, &types, &mut table) {
        Err(error) => c.report(Rule::Host, format!("{}: {error}", host.op.name)),
        Ok((expected, binds)) => {
            c.expect_count(Rule::Host, "symbols", binds.len(), node.binds.len());
            let fresh: BTreeSet<SymId> = table.iter().skip(first).map(|(id, _)| id).collect();
            if c.expect_count(Rule::Host, "results", expected.len(), results.len()) {
                for (k, (expected, found)) in expected.iter().zip(results).enumerate() {
                    expect_fit(c, Rule::Host, &format!("result {k}"), expected, found, &fresh);
                }
            }
        }
    }
}

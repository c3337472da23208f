//! Scan: runs a subgraph over the slices of tensors, carries states, stacks its other outputs.
//!
//! <https://onnx.ai/onnx/operators/onnx__Scan.html>
//!
//! | opset | change |
//! |---|---|
//! | 8 | first; a batch axis in front of everything, optional sequence lengths |
//! | 9 | no batch axis; axes and directions of scan inputs and outputs |
//! | 11 | negative axes |
//! | 16, 19, 21, 23, 24, 25 | dtypes |
//!
//! Dtypes: all. Other axes and directions are transposed and reversed before and after. Refused in opset 8: sequence lengths,
//! and a batch that is not a constant of at most 64 (each element is scanned on its own).

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::graph::ValueId;
use graph::ty::{TensorType, Type};

use crate::operator::{AttrKind, Body, Ctx, Operator, at_least, attr, required};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Scan",
    domain: "",
    versions: &[8, 9, 11, 16, 19, 21, 23, 24, 25],
    inputs: at_least(1),
    outputs: at_least(1),
    attrs: &[
        required("body", AttrKind::Graph),
        required("num_scan_inputs", AttrKind::Int),
        attr("directions", AttrKind::Ints),
        attr("scan_input_axes", AttrKind::Ints),
        attr("scan_input_directions", AttrKind::Ints),
        attr("scan_output_axes", AttrKind::Ints),
        attr("scan_output_directions", AttrKind::Ints),
    ],
    build,
};

/// Most elements of a batch in opset 8.
const BATCH: usize = 64;

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let body = ctx.body("body").ok_or_else(|| BuildError::Attr {
        name: "body".into(),
        expected: "a graph".into(),
        found: "nothing".into(),
    })?;
    let first = usize::from(ctx.opset < 9);
    let operands = (first..ctx.inputs.len()).map(|k| ctx.input(k)).collect::<Result<Vec<_>, _>>()?;
    let scanned = usize::try_from(ctx.int_or("num_scan_inputs", 1)).unwrap_or(usize::MAX);
    let carried = operands.len().checked_sub(scanned).filter(|_| scanned > 0).ok_or_else(|| BuildError::Attr {
        name: "num_scan_inputs".into(),
        expected: format!("1 to {}", operands.len()),
        found: scanned.to_string(),
    })?;
    let results =
        if ctx.opset < 9 { batched(ctx, body, &operands, carried)? } else { single(ctx, body, &operands, carried)? };
    Ok(results.into_iter().map(ImportValue::from).collect())
}

/// Opset 9 and later.
fn single(ctx: &mut Ctx<'_>, body: Body, operands: &[ValueId], carried: usize) -> Result<Vec<ValueId>, BuildError> {
    let mut moved = operands.to_vec();
    for (k, operand) in moved.iter_mut().skip(carried).enumerate() {
        let rank = ctx.b.rank(*operand)?;
        let axis = ctx.b.axis(nth(ctx, "scan_input_axes", k), rank)?;
        *operand = to_front(ctx, *operand, axis)?;
        if nth(ctx, "scan_input_directions", k) != 0 {
            *operand = reversed(ctx, *operand)?;
        }
    }
    let mut results = scan(ctx, body, &moved, carried)?;
    for (k, result) in results.iter_mut().skip(carried).enumerate() {
        if nth(ctx, "scan_output_directions", k) != 0 {
            *result = reversed(ctx, *result)?;
        }
        let rank = ctx.b.rank(*result)?;
        let axis = ctx.b.axis(nth(ctx, "scan_output_axes", k), rank)?;
        let mut perm: Vec<usize> = (1..rank).collect();
        perm.insert(axis, 0);
        *result = ctx.b.transpose(*result, &perm)?;
    }
    Ok(results)
}

/// Opset 8: everything has a batch axis in front, scan inputs and outputs are along axis 1.
fn batched(ctx: &mut Ctx<'_>, body: Body, operands: &[ValueId], carried: usize) -> Result<Vec<ValueId>, BuildError> {
    if ctx.optional(0)?.is_some() {
        return Err(BuildError::Unsupported {
            what: "Scan of opset 8 with sequence lengths".into(),
            closest: "without them".into(),
        });
    }
    let extent = operands.first().map(|v| ctx.b.shape(*v)).transpose()?.and_then(|s| s.first().cloned());
    let batch = extent.as_ref().and_then(Dim::as_size).filter(|b| (1..=BATCH).contains(b));
    let batch = batch.ok_or_else(|| BuildError::Unsupported {
        what: format!("Scan of opset 8 with batch {extent:?}"),
        closest: format!("a constant batch of 1 to {BATCH}"),
    })?;
    let mut parts: Vec<Vec<ValueId>> = Vec::new();
    for element in 0..batch {
        let mut own = Vec::with_capacity(operands.len());
        for (k, operand) in operands.iter().enumerate() {
            let row = ctx.b.slice(*operand, 0, &Dim::from(element), 1, Dim::constant(1))?;
            let mut row = ctx.b.squeeze(row, &[0])?;
            if k >= carried && nth(ctx, "directions", k - carried) != 0 {
                row = reversed(ctx, row)?;
            }
            own.push(row);
        }
        let results = scan(ctx, body, &own, carried)?;
        parts.resize_with(results.len(), Vec::new);
        for (part, result) in parts.iter_mut().zip(results) {
            part.push(ctx.b.unsqueeze(result, &[0])?);
        }
    }
    parts.iter().map(|part| ctx.b.concat(part, 0)).collect()
}

/// Over axis 0 of the scanned operands.
fn scan(ctx: &mut Ctx<'_>, body: Body, operands: &[ValueId], carried: usize) -> Result<Vec<ValueId>, BuildError> {
    let types = operands.iter().map(|v| ctx.b.tensor(*v).cloned()).collect::<Result<Vec<_>, _>>()?;
    let mut inner = Vec::with_capacity(types.len());
    let mut trip: Option<Dim> = None;
    for (k, ty) in types.into_iter().enumerate() {
        if k < carried {
            inner.push(ty);
            continue;
        }
        let Some((extent, slice)) = ty.shape.split_first() else {
            return Err(BuildError::Rank { what: "a scan input".into(), expected: "at least 1".into(), found: 0 });
        };
        match &trip {
            Some(trip) => ctx.b.assume_equal(trip, extent, "scan inputs have one length")?,
            None => trip = Some(extent.clone()),
        }
        inner.push(TensorType { dtype: ty.dtype, shape: slice.to_vec() });
    }
    let open = ctx.open_body(&[], &[body])?;
    let built = inside(ctx, body, &inner, carried, open.captured);
    let mut graph = ctx.b.end_body();
    built?;
    graph.inputs.rotate_left(open.operands.len());
    let mut all = operands.to_vec();
    all.extend(open.operands);
    ctx.b.scan(trip.unwrap_or_default(), carried, operands.len() - carried, all, graph)
}

fn inside(
    ctx: &mut Ctx<'_>,
    body: Body,
    types: &[TensorType],
    carried: usize,
    captured: Vec<(String, ImportValue)>,
) -> Result<(), BuildError> {
    let mark = ctx.b.mark();
    let inputs = types.iter().map(|ty| ctx.b.input("", Type::Tensor(ty.clone())).into()).collect();
    let outputs = ctx.importer.import_body(ctx.b, body, inputs, captured)?;
    for (k, output) in outputs.iter().enumerate() {
        let id = output.as_value().ok_or_else(|| BuildError::NotATensor { found: format!("{output:?}") })?;
        if let Some(state) = types.get(k).filter(|_| k < carried) {
            // States keep their shapes: what cannot be shown is checked.
            let kept = ctx.b.reshape(id, state.shape.clone())?;
            ctx.b.output(kept);
            continue;
        }
        if let Some(extent) = ctx.b.shape(id)?.iter().find(|d| ctx.b.is_since(mark, d)) {
            return Err(BuildError::Unsupported {
                what: format!("a scan output whose extent {extent:?} is computed in the body"),
                closest: "an extent that is known before the scan".into(),
            });
        }
        ctx.b.output(id);
    }
    Ok(())
}

fn nth(ctx: &Ctx<'_>, name: &str, k: usize) -> i64 {
    ctx.ints(name).and_then(|v| v.get(k)).copied().unwrap_or(0)
}

fn to_front(ctx: &mut Ctx<'_>, value: ValueId, axis: usize) -> Result<ValueId, BuildError> {
    let mut perm: Vec<usize> = (0..ctx.b.rank(value)?).filter(|d| *d != axis).collect();
    perm.insert(0, axis);
    ctx.b.transpose(value, &perm)
}

fn reversed(ctx: &mut Ctx<'_>, value: ValueId) -> Result<ValueId, BuildError> {
    let Some(extent) = ctx.b.shape(value)?.into_iter().next() else { return Ok(value) };
    let last = &extent - &Dim::constant(1);
    ctx.b.slice(value, 0, &last, -1, extent)
}

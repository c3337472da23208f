//! What LSTM, GRU and RNN share: directions, layouts, optional inputs, activation lists. One `rnn` region a direction.

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::ValueId;
use graph::region::activation::Activation;
use graph::region::rnn::{Cell, KIND, Rnn};
use graph::scalar::Scalar;

use crate::operator::{AttrKind, AttrSpec, Ctx, attr};
use crate::value::ImportValue;

/// The attributes that all three have.
pub const ATTRS: [AttrSpec; 8] = [
    attr("activation_alpha", AttrKind::Floats),
    attr("activation_beta", AttrKind::Floats),
    attr("activations", AttrKind::Strings),
    attr("clip", AttrKind::Float),
    attr("direction", AttrKind::String),
    attr("hidden_size", AttrKind::Int),
    attr("layout", AttrKind::Int),
    attr("output_sequence", AttrKind::Int),
];

/// Which ways the steps are taken, in the order of the weights' first dim.
fn directions(ctx: &Ctx<'_>) -> Result<&'static [bool], BuildError> {
    match ctx.string("direction") {
        None | Some("forward") => Ok(&[false]),
        Some("reverse") => Ok(&[true]),
        Some("bidirectional") => Ok(&[false, true]),
        Some(other) => Err(BuildError::Attr {
            name: "direction".to_string(),
            expected: "forward, reverse or bidirectional".to_string(),
            found: other.to_string(),
        }),
    }
}

/// The layer: Y `[T, D, B, H]`, Y_h `[D, B, H]`, LSTM: Y_c; in layout 1 with the batch first.
pub fn layer(ctx: &mut Ctx<'_>, cell: Cell) -> Result<Vec<ImportValue>, BuildError> {
    let lstm = matches!(cell, Cell::Lstm { .. });
    let directions = directions(ctx)?;
    let functions = activations(ctx, cell, directions.len())?;
    let batch_first = ctx.int_or("layout", 0) != 0;
    let (x, w, r) = (ctx.input(0)?, ctx.input(1)?, ctx.input(2)?);
    let x = if batch_first { ctx.b.transpose(x, &[1, 0, 2])? } else { x };
    let (shape, recurrent) = (ctx.b.shape(x)?, ctx.b.shape(r)?);
    let ([trip, batch, _], [ways, _, hidden]) = (shape.as_slice(), recurrent.as_slice()) else {
        let what = "input X, W or R".to_string();
        return Err(BuildError::Rank { what, expected: "3".to_string(), found: shape.len().min(recurrent.len()) });
    };
    ctx.b.assume_equal(ways, &Dim::from(directions.len()), "one weight a direction")?;
    let bias = ctx.optional(3)?;
    let lengths = sequence_lengths(ctx, trip)?;
    let state = initial(ctx, 5, batch_first)?;
    let memory = if lstm { initial(ctx, 6, batch_first)? } else { None };
    let peepholes = if lstm { ctx.optional(7)? } else { None };
    let clip = ctx.attrs.contains_key("clip").then(|| Scalar::f32(ctx.float_or("clip", 0.0)));
    let dtype = ctx.b.dtype(x)?;
    let mut parts: [Vec<ValueId>; 3] = Default::default();
    for (d, reverse) in directions.iter().enumerate() {
        let input = if *reverse { reversed(ctx.b, x, lengths)? } else { x };
        let mut operands = vec![input, pick(ctx.b, w, d)?, pick(ctx.b, r, d)?];
        for given in [Some(state), lstm.then_some(memory)].into_iter().flatten() {
            operands.push(match given {
                Some(value) => pick(ctx.b, value, d)?,
                None => ctx.b.splat(Scalar::zero(dtype), vec![batch.clone(), hidden.clone()])?,
            });
        }
        if let Some(bias) = bias {
            operands.push(pick(ctx.b, bias, d)?);
        }
        operands.extend(lengths);
        if let Some(peepholes) = peepholes {
            operands.push(pick(ctx.b, peepholes, d)?);
        }
        let rnn = Rnn {
            cell,
            activations: functions[d].clone(),
            clip,
            bias: bias.is_some(),
            lengths: lengths.is_some(),
            peepholes: peepholes.is_some(),
        };
        let results = ctx.b.region(&KIND, rnn.to_attrs(), &operands)?;
        for (k, (part, result)) in parts.iter_mut().zip(results).enumerate() {
            part.push(if k == 0 && *reverse { reversed(ctx.b, result, lengths)? } else { result });
        }
    }
    let mut outputs = Vec::new();
    for (k, part) in parts.iter().enumerate().filter(|(_, part)| !part.is_empty()) {
        let axis = usize::from(k == 0);
        let stacked = part.iter().map(|v| ctx.b.unsqueeze(*v, &[axis])).collect::<Result<Vec<_>, _>>()?;
        let joined = ctx.b.concat(&stacked, axis)?;
        let placed = match (batch_first, k) {
            (true, 0) => ctx.b.transpose(joined, &[2, 0, 1, 3])?,
            (true, _) => ctx.b.transpose(joined, &[1, 0, 2])?,
            (false, _) => joined,
        };
        outputs.push(placed.into());
    }
    Ok(outputs)
}

/// Activation functions of each direction, by default the cell's own.
fn activations(ctx: &Ctx<'_>, cell: Cell, directions: usize) -> Result<Vec<Vec<Activation>>, BuildError> {
    let own = match cell {
        Cell::Lstm { .. } => vec![Activation::Sigmoid, Activation::Tanh, Activation::Tanh],
        Cell::Gru { .. } => vec![Activation::Sigmoid, Activation::Tanh],
        Cell::Plain => vec![Activation::Tanh],
    };
    let names = match ctx.strings("activations") {
        Some(names) if !names.is_empty() => names,
        _ => return Ok(vec![own; directions]),
    };
    // RNN lists one function a direction; its default lists two, whatever the direction.
    if names.len() < own.len() * directions {
        return Err(BuildError::Attr {
            name: "activations".to_string(),
            expected: format!("{} names", own.len() * directions),
            found: format!("{names:?}"),
        });
    }
    let constants = |name| ctx.floats(name).unwrap_or_default().iter().copied();
    let mut given = [constants("activation_alpha"), constants("activation_beta")];
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        // Constants are taken by those functions that have some, in order.
        let mut take = |k: usize| given.get_mut(k).and_then(Iterator::next);
        found.push(Activation::from_name(name, &mut take).ok_or_else(|| {
            BuildError::Attr {
                name: "activations".to_string(),
                expected: "Relu, Tanh, Sigmoid, Affine, LeakyRelu, ThresholdedRelu, ScaledTanh, HardSigmoid, Elu, \
                       Softsign or Softplus"
                    .to_string(),
                found: name.clone(),
            }
        })?);
    }
    Ok(found.chunks(own.len()).take(directions).map(<[Activation]>::to_vec).collect())
}

/// The input `sequence_lens` as i64, unless all sequences are known to be as long as the input.
fn sequence_lengths(ctx: &mut Ctx<'_>, trip: &Dim) -> Result<Option<ValueId>, BuildError> {
    let Some(lengths) = ctx.optional(4)? else { return Ok(None) };
    if let Some(known) = ctx.b.contents(lengths)
        && known.iter().all(|l| l == trip)
    {
        return Ok(None);
    }
    ctx.b.cast(lengths, DType::I64).map(Some)
}

/// An initial state as `[D, B, H]`.
fn initial(ctx: &mut Ctx<'_>, position: usize, batch_first: bool) -> Result<Option<ValueId>, BuildError> {
    match ctx.optional(position)? {
        Some(value) if batch_first => ctx.b.transpose(value, &[1, 0, 2]).map(Some),
        other => Ok(other),
    }
}

/// Entry `d` along the first dim.
fn pick(b: &mut Builder, value: ValueId, d: usize) -> Result<ValueId, BuildError> {
    let one = b.slice(value, 0, &Dim::from(d), 1, Dim::constant(1))?;
    b.squeeze(one, &[0])
}

/// The steps of `[T, B, …]` backwards, of each sequence within its length; what lies behind stays.
fn reversed(b: &mut Builder, x: ValueId, lengths: Option<ValueId>) -> Result<ValueId, BuildError> {
    let shape = b.shape(x)?;
    let operands: Vec<ValueId> = [x].into_iter().chain(lengths).collect();
    let last = &shape[0] - &Dim::constant(1);
    b.compute(&operands, shape, |p| {
        let mut index = p.indices();
        index[0] = match lengths {
            None => {
                let last = p.dim(&last);
                p.sub(last, index[0])
            }
            Some(_) => {
                let (length, one) = (p.load(1, &index[1..2]), p.int(1));
                let last = p.sub(length, one);
                let mirrored = p.sub(last, index[0]);
                let inside = p.le(index[0], last);
                p.select(inside, mirrored, index[0])
            }
        };
        let v = p.load(0, &index);
        p.out(v);
    })
}

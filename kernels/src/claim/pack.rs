//! Constants in the layouts of the kernels, as graphs over the model's weights.

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::ExprId;
use graph::graph::Graph;
use graph::ty::Type;

/// A graph of one input and one output: `out[i] = in[index(i)]`, or 0 where that is outside.
fn gather(
    dtype: DType,
    from: &[Dim],
    to: Vec<Dim>,
    index: impl FnOnce(&mut graph::builder::Point<'_>, &[ExprId]) -> Vec<ExprId>,
) -> Result<Graph, BuildError> {
    let mut b = Builder::new("packed");
    let x = b.input("", Type::tensor(dtype, from.to_vec()));
    let y = b.compute(&[x], to, |p| {
        let at = p.indices();
        let at = index(p, &at);
        let zero = p.zero(dtype);
        let v = p.load_or(0, &at, zero);
        p.out(v);
    })?;
    b.output(y);
    Ok(b.finish().graph)
}

/// An extent rounded up to whole chunks of 16 bytes.
fn padded(extent: &Dim, dtype: DType) -> i64 {
    let unit = i64::from(128 / dtype.bits());
    let extent = extent.as_const().unwrap_or(0);
    (extent + unit - 1) / unit * unit
}

/// Second operand of a product, dims `k` and `n` of a matrix: rows of the sum if `crossed`, else of columns. Also the elements
/// between rows.
pub(super) fn matrix(
    dtype: DType,
    shape: &[Dim],
    k: usize,
    n: usize,
    crossed: bool,
) -> Result<(Graph, u32), BuildError> {
    let (far, near) = if crossed { (k, n) } else { (n, k) };
    let lead = padded(&shape[near], dtype);
    let graph = gather(dtype, shape, vec![shape[far].clone(), Dim::constant(lead)], |_, at| {
        let mut index = vec![at[0]; 2];
        index[far] = at[0];
        index[near] = at[1];
        index
    })?;
    Ok((graph, lead as u32))
}

/// Weights of a convolution `[O, I, taps…]` with `channels` in memory: `[O][taps…][channels]`, rows rounded up to whole chunks;
/// `crossed`: of each of the groups `[taps…][channels][O / groups]` likewise. Also the elements between rows.
pub(super) fn conv(
    dtype: DType,
    shape: &[Dim],
    (channels, groups): (i64, i64),
    crossed: bool,
) -> Result<(Graph, u32), BuildError> {
    let taps = shape.get(2..).unwrap_or(&[]).to_vec();
    let terms = &Dim::product(&taps) * &Dim::constant(channels);
    let outputs = shape[0].as_const().unwrap_or(0) / groups.max(1);
    let per_group = Dim::constant(outputs);
    let lead = padded(if crossed { &per_group } else { &terms }, dtype);
    let to = if crossed {
        vec![Dim::constant(groups), terms.clone(), Dim::constant(lead)]
    } else {
        vec![shape[0].clone(), Dim::constant(lead)]
    };
    let beyond = shape[0].clone();
    let graph = gather(dtype, shape, to, |p, at| {
        let (o, term) = if crossed {
            // A column beyond its group's last is no output.
            let (first, limit) = (p.int(outputs), p.dim(&beyond));
            let start = p.mul(at[0], first);
            let o = p.add(start, at[2]);
            let inside = p.lt(at[2], first);
            (p.select(inside, o, limit), at[1])
        } else {
            (at[0], at[1])
        };
        let per_tap = p.int(channels);
        let mut rest = p.binary(graph::expr::BinOp::FloorDiv, term, per_tap);
        let c = p.binary(graph::expr::BinOp::Mod, term, per_tap);
        let mut place = Vec::new();
        for (d, extent) in taps.iter().enumerate().rev() {
            if d == 0 {
                place.push(rest);
                break;
            }
            let extent = p.dim(extent);
            place.push(p.binary(graph::expr::BinOp::Mod, rest, extent));
            rest = p.binary(graph::expr::BinOp::FloorDiv, rest, extent);
        }
        place.reverse();
        [o, c].into_iter().chain(place).collect()
    })?;
    Ok((graph, lead as u32))
}

/// Weights of a depthwise convolution `[O, 1, taps…]`: `[taps…][O]` in f32.
pub(super) fn depthwise(dtype: DType, shape: &[Dim]) -> Result<Graph, BuildError> {
    let mut b = Builder::new("packed");
    let x = b.input("", Type::tensor(dtype, shape.to_vec()));
    let mut to: Vec<Dim> = shape.get(2..).unwrap_or(&[]).to_vec();
    to.extend(shape.first().cloned());
    let y = b.compute(&[x], to, |p| {
        let at = p.indices();
        let zero = p.int(0);
        let (taps, channel) = at.split_at(at.len().saturating_sub(1));
        let index: Vec<ExprId> = channel.iter().copied().chain([zero]).chain(taps.iter().copied()).collect();
        let v = p.load(0, &index);
        let v = p.cast(v, DType::F32);
        p.out(v);
    })?;
    b.output(y);
    Ok(b.finish().graph)
}

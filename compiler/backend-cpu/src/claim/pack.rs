//! Constants in the layouts of the kernels, as graphs over the model's weights.

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::ExprId;
use graph::graph::Graph;
use graph::ty::Type;

use crate::claim::BLOCK;

/// A graph of one f32 input and one output: `out[i] = in[index(i)]`, or 0 where that is outside.
fn gather(
    from: &[Dim],
    to: Vec<Dim>,
    index: impl FnOnce(&mut graph::builder::Point<'_>, &[ExprId]) -> Vec<ExprId>,
) -> Result<Graph, BuildError> {
    let mut b = Builder::new("packed");
    let x = b.input("", Type::tensor(DType::F32, from.to_vec()));
    let y = b.compute(&[x], to, |p| {
        let at = p.indices();
        let at = index(p, &at);
        let zero = p.zero(DType::F32);
        let v = p.load_or(0, &at, zero);
        p.out(v);
    })?;
    b.output(y);
    Ok(b.finish().graph)
}

fn blocks(extent: &Dim) -> Dim {
    graph::symbol::Symbols::default().ceil_div(extent, &Dim::constant(BLOCK))
}

fn in_block(p: &mut graph::builder::Point<'_>, block: ExprId, lane: ExprId) -> ExprId {
    let width = p.int(BLOCK);
    let start = p.mul(block, width);
    p.add(start, lane)
}

/// Second operand of a product, dims `k` and `n` of a matrix: `[N/16][K][16]`.
pub(super) fn matrix(shape: &[Dim], k: usize, n: usize) -> Result<Graph, BuildError> {
    let to = vec![blocks(&shape[n]), shape[k].clone(), Dim::constant(BLOCK)];
    gather(shape, to, |p, at| {
        let column = in_block(p, at[0], at[2]);
        let mut index = vec![at[1]; 2];
        index[k] = at[1];
        index[n] = column;
        index
    })
}

/// `count` rows of a matrix `[R, K]` from row `first` on, as columns of a second operand: `[count/16][K][16]`. What fills the last
/// block up is no result.
pub(super) fn rows(shape: &[Dim], first: i64, count: &Dim) -> Result<Graph, BuildError> {
    let to = vec![blocks(count), shape[1].clone(), Dim::constant(BLOCK)];
    gather(shape, to, |p, at| {
        let column = in_block(p, at[0], at[2]);
        let start = p.int(first);
        vec![p.add(start, column), at[1]]
    })
}

/// Weights of a convolution `[O, I, KH, KW]`, or `[I, O, KH, KW]` of a transposed one: `[O/16][KH][KW][I/16][16 i][16 o]`.
pub(super) fn conv(shape: &[Dim], transposed: bool) -> Result<Graph, BuildError> {
    let width = Dim::constant(BLOCK);
    let (outputs, inputs) = if transposed { (&shape[1], &shape[0]) } else { (&shape[0], &shape[1]) };
    let to = vec![blocks(outputs), shape[2].clone(), shape[3].clone(), blocks(inputs), width.clone(), width];
    gather(shape, to, |p, at| {
        let o = in_block(p, at[0], at[5]);
        let i = in_block(p, at[3], at[4]);
        let [first, second] = if transposed { [i, o] } else { [o, i] };
        vec![first, second, at[1], at[2]]
    })
}

/// Weights of a convolution of few channels: `[O/16][I][KH][KW][16 o]`.
pub(super) fn stem(shape: &[Dim]) -> Result<Graph, BuildError> {
    let to = vec![blocks(&shape[0]), shape[1].clone(), shape[2].clone(), shape[3].clone(), Dim::constant(BLOCK)];
    gather(shape, to, |p, at| {
        let o = in_block(p, at[0], at[4]);
        vec![o, at[1], at[2], at[3]]
    })
}

/// Weights of a depthwise convolution `[C, 1, KH, KW]`: `[C/16][KH][KW][16]`.
pub(super) fn depthwise(shape: &[Dim]) -> Result<Graph, BuildError> {
    let to = vec![blocks(&shape[0]), shape[2].clone(), shape[3].clone(), Dim::constant(BLOCK)];
    gather(shape, to, |p, at| {
        let c = in_block(p, at[0], at[3]);
        let zero = p.int(0);
        vec![c, zero, at[1], at[2]]
    })
}

//! Constants in the layouts of the kernels, as graphs over the model's weights.

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, ExprId};
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

/// Groups of a convolution, of which `merged` neighbours become one.
#[derive(Clone, Copy)]
pub(super) struct Groups {
    pub count: i64,
    pub merged: i64,
}

/// Weights of a convolution `[O, I, taps…]`: `[O/16][taps…][I*merged/16][16 i][16 o]`. Where neighbouring groups become one, the
/// weights between channels that had different groups are zero.
pub(super) fn conv(shape: &[Dim], groups: Groups) -> Result<Graph, BuildError> {
    let (width, merged) = (Dim::constant(BLOCK), Dim::constant(groups.merged));
    let mut to = vec![blocks(&shape[0])];
    to.extend(shape[2..].iter().cloned());
    to.extend([blocks(&(&shape[1] * &merged)), width.clone(), width]);
    let per_group = graph::symbol::Symbols::default().floor_div(&shape[0], &Dim::constant(groups.count.max(1)));
    gather(shape, to, |p, at| {
        let [block, taps @ .., inputs, i, o] = at else { return Vec::new() };
        let (o, i) = (in_block(p, *block, *o), in_block(p, *inputs, *i));
        let mut index = vec![o, i];
        if groups.merged > 1 {
            // Input channels of a group before this output's lie before 0, those of a group after it beyond the extent.
            let (size, merged, inputs) = (p.dim(&per_group), p.int(groups.merged), p.dim(&shape[1]));
            let group = p.binary(BinOp::FloorDiv, o, size);
            let within = p.binary(BinOp::Mod, group, merged);
            let start = p.mul(within, inputs);
            index[1] = p.sub(i, start);
        }
        index.extend(taps);
        index
    })
}

/// Weights of a transposed convolution `[I, O, taps…]`: `[O/16][taps…][I/16][16 i][16 o]`.
pub(super) fn conv_transpose(shape: &[Dim]) -> Result<Graph, BuildError> {
    let width = Dim::constant(BLOCK);
    let mut to = vec![blocks(&shape[1])];
    to.extend(shape[2..].iter().cloned());
    to.extend([blocks(&shape[0]), width.clone(), width]);
    gather(shape, to, |p, at| {
        let [block, taps @ .., inputs, i, o] = at else { return Vec::new() };
        let mut index = vec![in_block(p, *inputs, *i), in_block(p, *block, *o)];
        index.extend(taps);
        index
    })
}

/// Weights of a convolution of few channels `[O, I, taps…]`: `[O/16][I][taps…][16 o]`.
pub(super) fn stem(shape: &[Dim]) -> Result<Graph, BuildError> {
    let mut to = vec![blocks(&shape[0])];
    to.extend(shape[1..].iter().cloned());
    to.push(Dim::constant(BLOCK));
    gather(shape, to, |p, at| {
        let [block, rest @ .., o] = at else { return Vec::new() };
        let mut index = vec![in_block(p, *block, *o)];
        index.extend(rest);
        index
    })
}

/// Weights of a depthwise convolution `[C, 1, taps…]`: `[C/16][taps…][16]`.
pub(super) fn depthwise(shape: &[Dim]) -> Result<Graph, BuildError> {
    let mut to = vec![blocks(&shape[0])];
    to.extend(shape[2..].iter().cloned());
    to.push(Dim::constant(BLOCK));
    gather(shape, to, |p, at| {
        let [block, taps @ .., c] = at else { return Vec::new() };
        let mut index = vec![in_block(p, *block, *c), p.int(0)];
        index.extend(taps);
        index
    })
}

#[cfg(test)]
mod tests {
    use graph::datum::Datum;
    use graph::eval::Bindings;
    use graph::tensor::Tensor;

    use super::*;

    /// Packed weights of a 1-D convolution against what stands for `(o, i, tap)` there; weights count from 1.
    fn check(outputs: i64, per_group: i64, groups: Groups) {
        let shape = [outputs, per_group, 2];
        let weights: Vec<f32> = (1..=shape.iter().product()).map(|v| v as f32).collect();
        let input = Tensor::from_f32s(&weights).reshaped(shape.iter().map(|v| *v as usize).collect()).unwrap();
        let graph = conv(&shape.map(Dim::constant), groups).unwrap();
        let found = graph::eval::graph(&graph, &[Datum::Tensor(input)], &mut Bindings::default()).unwrap();
        let found = found[0].as_tensor().unwrap();
        let (in_blocks, of_group) = ((per_group * groups.merged + 15) / 16, outputs / groups.count);
        let mut at = 0;
        for (block, tap, in_block) in
            (0..(outputs + 15) / 16).flat_map(|b| (0..2).flat_map(move |t| (0..in_blocks).map(move |i| (b, t, i))))
        {
            for (i, o) in (0..16).flat_map(|i| (0..16).map(move |o| (in_block * 16 + i, block * 16 + o))) {
                // The group of each within the groups that became one.
                let own = i / per_group == o / of_group % groups.merged;
                let expected = match o < outputs && own {
                    true => ((o * per_group + i % per_group) * 2 + tap + 1) as f64,
                    false => 0.0,
                };
                assert_eq!(found.get(at).map(|v| v.as_f64()), Some(expected), "o {o} i {i} tap {tap}");
                at += 1;
            }
        }
        assert_eq!(at, found.len());
    }

    #[test]
    fn merged_groups_have_zeros_between_them() {
        check(20, 5, Groups { count: 1, merged: 1 });
        check(32, 8, Groups { count: 4, merged: 2 });
        check(24, 4, Groups { count: 8, merged: 4 });
        check(9, 5, Groups { count: 3, merged: 3 });
    }
}

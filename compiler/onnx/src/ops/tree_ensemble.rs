//! TreeEnsemble (ai.onnx.ml): walks every tree from its root to a leaf and combines the leaves' weights by target.
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html>
//!
//! | opset | change |
//! |---|---|
//! | 5 | first, in place of the classifier and regressor |
//!
//! Dtypes: f16, f32, f64. All rows and trees step down together, as often as the deepest tree is deep. Refused: the post
//! transforms SOFTMAX_ZERO and PROBIT; trees with cycles.

use graph::builder::{BuildError, Point};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{ExprId, UnOp};
use graph::graph::ValueId;
use graph::node::Combiner;
use graph::scalar::Scalar;
use graph::tensor::Tensor;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly, required};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "TreeEnsemble",
    domain: "ai.onnx.ml",
    versions: &[5],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[
        attr("aggregate_function", AttrKind::Int),
        required("leaf_targetids", AttrKind::Ints),
        required("leaf_weights", AttrKind::Tensor),
        attr("membership_values", AttrKind::Tensor),
        attr("n_targets", AttrKind::Int),
        required("nodes_falseleafs", AttrKind::Ints),
        required("nodes_falsenodeids", AttrKind::Ints),
        required("nodes_featureids", AttrKind::Ints),
        attr("nodes_hitrates", AttrKind::Tensor),
        attr("nodes_missing_value_tracks_true", AttrKind::Ints),
        required("nodes_modes", AttrKind::Tensor),
        required("nodes_splits", AttrKind::Tensor),
        required("nodes_trueleafs", AttrKind::Ints),
        required("nodes_truenodeids", AttrKind::Ints),
        attr("post_transform", AttrKind::Int),
        required("tree_roots", AttrKind::Ints),
    ],
    build,
};

/// The mode of a node that asks whether a feature is in a set.
const MEMBER: i64 = 6;

/// The trees as tables over places: inner nodes first, then leaves.
struct Trees {
    nodes: usize,
    roots: Vec<i64>,
    yes: Vec<i64>,
    no: Vec<i64>,
    features: Vec<i64>,
    modes: Vec<i64>,
    missing: Vec<i64>,
    /// Where a node's set begins in `members`, and its size.
    starts: Vec<i64>,
    sizes: Vec<i64>,
    members: Vec<Scalar>,
    depth: usize,
}

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let ty = ctx.b.tensor(x)?.clone();
    let [rows, _] = ty.shape.as_slice() else {
        return Err(BuildError::Rank { what: "X of TreeEnsemble".into(), expected: "2".into(), found: ty.rank() });
    };
    let weights = ctx.tensor("leaf_weights").cloned().ok_or_else(|| bad("leaf_weights", "a tensor"))?;
    let splits = ctx.tensor("nodes_splits").cloned().ok_or_else(|| bad("nodes_splits", "a tensor"))?;
    if !matches!(ty.dtype, DType::F16 | DType::F32 | DType::F64) || splits.dtype() != ty.dtype {
        let expected = format!("{} like nodes_splits", splits.dtype());
        return Err(BuildError::DType { what: "X of TreeEnsemble".into(), expected, found: ty.dtype });
    }
    let targets = ctx.ints("leaf_targetids").unwrap_or_default().to_vec();
    if targets.len() != weights.len() || weights.dtype() != ty.dtype {
        return Err(bad("leaf_targetids", "one for each of leaf_weights, in the dtype of X"));
    }
    let trees = trees(ctx, splits.len(), targets.len())?;
    let leaves = walk(ctx, x, rows, &trees, &splits)?;
    let sums = combine(ctx, leaves, rows, &trees, weights, &targets)?;
    Ok(vec![transform(ctx, sums)?.into()])
}

fn bad(name: &str, expected: &str) -> BuildError {
    BuildError::Attr { name: name.to_string(), expected: expected.to_string(), found: "something else".into() }
}

fn trees(ctx: &Ctx<'_>, nodes: usize, leaves: usize) -> Result<Trees, BuildError> {
    let list = |name: &str| -> Result<Vec<i64>, BuildError> {
        let values = ctx.ints(name).unwrap_or_default();
        if values.len() == nodes { Ok(values.to_vec()) } else { Err(bad(name, "one number a node")) }
    };
    let child = |ids: Vec<i64>, flags: Vec<i64>, name: &str| -> Result<Vec<i64>, BuildError> {
        let pairs = ids.into_iter().zip(flags);
        pairs
            .map(|(id, leaf)| {
                let (limit, offset) = if leaf != 0 { (leaves, nodes as i64) } else { (nodes, 0) };
                let known = usize::try_from(id).is_ok_and(|id| id < limit);
                if known { Ok(id + offset) } else { Err(bad(name, "ids of nodes and leaves")) }
            })
            .collect()
    };
    let yes = child(list("nodes_truenodeids")?, list("nodes_trueleafs")?, "nodes_truenodeids")?;
    let no = child(list("nodes_falsenodeids")?, list("nodes_falseleafs")?, "nodes_falsenodeids")?;
    let modes = ctx.tensor("nodes_modes").map(Tensor::to_i64s).filter(|m| m.len() == nodes);
    let modes = modes.filter(|m| m.iter().all(|m| (0..=MEMBER).contains(m)));
    let modes = modes.ok_or_else(|| bad("nodes_modes", "one of 0 to 6 a node"))?;
    let missing = match ctx.ints("nodes_missing_value_tracks_true") {
        Some(v) if v.len() == nodes => v.to_vec(),
        _ => vec![0; nodes],
    };
    let (starts, sizes, members) = sets(ctx, &modes)?;
    let mut roots = ctx.ints("tree_roots").unwrap_or_default().to_vec();
    if roots.is_empty() || !roots.iter().all(|r| usize::try_from(*r).is_ok_and(|r| r < nodes)) {
        return Err(bad("tree_roots", "ids of nodes"));
    }
    // A node whose two branches are one leaf stands for a tree that is that leaf.
    for root in &mut roots {
        let at = *root as usize;
        if yes[at] == no[at] && yes[at] >= nodes as i64 {
            *root = yes[at];
        }
    }
    let depth = depth(&roots, &yes, &no).ok_or_else(|| bad("nodes_truenodeids", "trees without cycles"))?;
    let features = list("nodes_featureids")?;
    Ok(Trees { nodes, roots, yes, no, features, modes, missing, starts, sizes, members, depth })
}

type Sets = (Vec<i64>, Vec<i64>, Vec<Scalar>);

/// The sets of the nodes that ask for membership: lists that end with NaN, in the order of the nodes.
fn sets(ctx: &Ctx<'_>, modes: &[i64]) -> Result<Sets, BuildError> {
    let values: Vec<Scalar> = ctx.tensor("membership_values").map(|t| t.scalars().collect()).unwrap_or_default();
    let (mut starts, mut sizes, mut at) = (Vec::new(), Vec::new(), 0);
    for mode in modes {
        let rest = values.get(at..).unwrap_or_default();
        let size = if *mode == MEMBER {
            let end = rest.iter().position(|v| v.as_f64().is_nan());
            end.ok_or_else(|| bad("membership_values", "a list that ends with NaN for each node of mode 6"))?
        } else {
            0
        };
        starts.push(at as i64);
        sizes.push(size as i64);
        at += if *mode == MEMBER { size + 1 } else { 0 };
    }
    Ok((starts, sizes, values))
}

/// Steps from the roots to the farthest leaf; `None` if some walk never ends.
fn depth(roots: &[i64], yes: &[i64], no: &[i64]) -> Option<usize> {
    let inner = |id: &i64| usize::try_from(*id).ok().filter(|i| *i < yes.len());
    let mut level: Vec<usize> = roots.iter().filter_map(inner).collect();
    let mut steps = 0;
    while !level.is_empty() {
        if steps > yes.len() {
            return None;
        }
        let mut below: Vec<usize> = level.iter().flat_map(|i| [inner(&yes[*i]), inner(&no[*i])]).flatten().collect();
        below.sort_unstable();
        below.dedup();
        level = below;
        steps += 1;
    }
    Some(steps)
}

/// The place of the leaf that each row reaches in each tree.
fn walk(ctx: &mut Ctx<'_>, x: ValueId, rows: &Dim, trees: &Trees, splits: &Tensor) -> Result<ValueId, BuildError> {
    let roots = ctx.b.constant(Tensor::from_i64s(&trees.roots))?;
    let shape = vec![rows.clone(), Dim::from(trees.roots.len())];
    let start = ctx.b.expand(roots, shape.clone())?;
    ctx.b.begin_body()?;
    let state = ctx.b.input("", graph::ty::Type::tensor(DType::I64, shape));
    let built = step(ctx, state, x, trees, splits);
    let body = ctx.b.end_body();
    built?;
    let results = ctx.b.scan(Dim::from(trees.depth), 1, 0, vec![start, x], body)?;
    results.first().copied().ok_or(BuildError::Results { expected: 1, found: 0 })
}

fn step(ctx: &mut Ctx<'_>, state: ValueId, x: ValueId, trees: &Trees, splits: &Tensor) -> Result<(), BuildError> {
    let x = ctx.b.capture(x)?;
    let mut operands = vec![state, x, ctx.b.constant(splits.clone().reshaped(vec![splits.len()])?)?];
    for table in [&trees.yes, &trees.no, &trees.features, &trees.modes, &trees.missing, &trees.starts, &trees.sizes] {
        operands.push(ctx.b.constant(Tensor::from_i64s(table))?);
    }
    let most = trees.sizes.iter().copied().max().unwrap_or(0);
    if most > 0 {
        let members = Tensor::from_scalars(splits.dtype(), vec![trees.members.len()], &trees.members)?;
        operands.push(ctx.b.constant(members)?);
    }
    let shape = ctx.b.shape(state)?;
    let next = ctx.b.compute(&operands, shape, |p| {
        let (row, tree) = (p.index(0), p.index(1));
        let at = p.load(0, &[row, tree]);
        let (nodes, zero) = (p.int(trees.nodes as i64), p.int(0));
        let inner = p.lt(at, nodes);
        let node = p.select(inner, at, zero);
        let feature = p.load(5, &[node]);
        let value = p.load(1, &[row, feature]);
        let split = p.load(2, &[node]);
        let mode = p.load(6, &[node]);
        let mut holds = compare(p, mode, value, split);
        if most > 0 {
            let size = p.load(9, &[node]);
            let k = p.reduce_sized(size, &Dim::constant(most));
            let start = p.load(8, &[node]);
            let place = p.add(start, k);
            let member = p.load(10, &[place]);
            let equal = p.eq(value, member);
            let found = p.acc(Combiner::Any, equal);
            let six = p.int(MEMBER);
            let asks = p.eq(mode, six);
            holds = p.select(asks, found, holds);
        }
        let nan = p.ne(value, value);
        let tracks = p.load(7, &[node]);
        let tracks = p.ne(tracks, zero);
        let missing = p.and(nan, tracks);
        let holds = p.or(holds, missing);
        let (yes, no) = (p.load(3, &[node]), p.load(4, &[node]));
        let below = p.select(holds, yes, no);
        let next = p.select(inner, below, at);
        p.out(next);
    })?;
    ctx.b.output(next);
    Ok(())
}

/// `value <= < >= > == != split`, by mode 0 to 5.
fn compare(p: &mut Point<'_>, mode: ExprId, value: ExprId, split: ExprId) -> ExprId {
    let tests = [
        p.le(value, split),
        p.lt(value, split),
        p.le(split, value),
        p.lt(split, value),
        p.eq(value, split),
        p.ne(value, split),
    ];
    let mut holds = tests[0];
    for (k, test) in tests.into_iter().enumerate().skip(1) {
        let k = p.int(k as i64);
        let this = p.eq(mode, k);
        holds = p.select(this, test, holds);
    }
    holds
}

fn combine(
    ctx: &mut Ctx<'_>,
    leaves: ValueId,
    rows: &Dim,
    trees: &Trees,
    weights: Tensor,
    targets: &[i64],
) -> Result<ValueId, BuildError> {
    let dtype = weights.dtype();
    let (combiner, neutral, share) = match ctx.int_or("aggregate_function", 1) {
        0 => (Combiner::Sum, Scalar::zero(dtype), 1.0 / trees.roots.len() as f64),
        1 => (Combiner::Sum, Scalar::zero(dtype), 1.0),
        2 => (Combiner::Min, largest(dtype), 1.0),
        3 => (Combiner::Max, Scalar::from_f64(dtype, -largest(dtype).as_f64()), 1.0),
        _ => return Err(bad("aggregate_function", "0 to 3")),
    };
    let count = ctx.int_or("n_targets", targets.iter().copied().max().unwrap_or(0) + 1);
    let weights = weights.reshaped(vec![targets.len()])?;
    let operands = [leaves, ctx.b.constant(weights)?, ctx.b.constant(Tensor::from_i64s(targets))?];
    ctx.b.compute(&operands, vec![rows.clone(), Dim::constant(count)], |p| {
        let (row, target) = (p.index(0), p.index(1));
        let tree = p.reduce(&Dim::from(trees.roots.len()));
        let place = p.load(0, &[row, tree]);
        let nodes = p.int(trees.nodes as i64);
        let leaf = p.sub(place, nodes);
        let (weight, own) = (p.load(1, &[leaf]), p.load(2, &[leaf]));
        let (hit, neutral) = (p.eq(own, target), p.constant(neutral));
        let value = p.select(hit, weight, neutral);
        let acc = p.acc(combiner, value);
        let share = p.number(dtype, share);
        let y = p.mul(acc, share);
        p.out(y);
    })
}

/// The largest finite value.
fn largest(dtype: DType) -> Scalar {
    match dtype {
        DType::F16 => Scalar::from_f64(dtype, 65504.0),
        DType::F64 => Scalar::from_f64(dtype, f64::MAX),
        _ => Scalar::from_f64(dtype, f64::from(f32::MAX)),
    }
}

fn transform(ctx: &mut Ctx<'_>, sums: ValueId) -> Result<ValueId, BuildError> {
    match ctx.int_or("post_transform", 0) {
        0 => Ok(sums),
        1 => {
            let top = ctx.b.reduce(sums, &[1], true, Combiner::Max)?;
            let powers = ctx.b.map(&[sums, top], |p, v| {
                let below = p.sub(v[0], v[1]);
                p.unary(UnOp::Exp, below)
            })?;
            let total = ctx.b.reduce(powers, &[1], true, Combiner::Sum)?;
            ctx.b.map(&[powers, total], |p, v| p.div(v[0], v[1]))
        }
        2 => ctx.b.unary(UnOp::Sigmoid, sums),
        other => Err(BuildError::Unsupported {
            what: format!("post transform {other} of TreeEnsemble"),
            closest: "0 (none), 1 (softmax) or 2 (logistic)".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::AttrValue;
    use crate::ops_testing::*;

    /// Two trees: `x0 <= 1 ? (x1 in {2, 3} ? leaf 0 : leaf 1) : leaf 2`, and leaf 3 alone.
    fn attrs(aggregate: i64) -> Vec<(&'static str, AttrValue)> {
        let floats = |v: &[f32]| AttrValue::Tensor(f32s(&[v.len()], v));
        vec![
            ("aggregate_function", int(aggregate)),
            ("leaf_targetids", ints(&[0, 1, 1, 0])),
            ("leaf_weights", floats(&[10.0, 20.0, 30.0, 4.0])),
            ("membership_values", floats(&[2.0, 3.0, f32::NAN])),
            ("n_targets", int(2)),
            ("nodes_falseleafs", ints(&[1, 1, 1])),
            ("nodes_falsenodeids", ints(&[2, 1, 3])),
            ("nodes_featureids", ints(&[0, 1, 0])),
            ("nodes_missing_value_tracks_true", ints(&[1, 0, 0])),
            ("nodes_modes", AttrValue::Tensor(tensor(DType::U8, &[3], &[0.0, 6.0, 0.0]))),
            ("nodes_splits", floats(&[1.0, 0.0, 0.0])),
            ("nodes_trueleafs", ints(&[0, 1, 1])),
            ("nodes_truenodeids", ints(&[1, 0, 3])),
            ("tree_roots", ints(&[0, 2])),
        ]
    }

    #[test]
    fn members_missing_values_and_a_lone_leaf() {
        let x = value(f32s(&[4, 2], &[0.0, 3.0, f32::NAN, 5.0, 2.0, 2.0, 1.0, 2.0]));
        let y = f32s(&[4, 2], &[14.0, 0.0, 4.0, 20.0, 4.0, 30.0, 14.0, 0.0]);
        check(&OPERATOR, &attrs(1), std::slice::from_ref(&x), &[y]);
        let y = f32s(&[4, 2], &[7.0, 0.0, 2.0, 10.0, 2.0, 15.0, 7.0, 0.0]);
        check(&OPERATOR, &attrs(0), &[x], &[y]);
    }

    #[test]
    fn cycles_are_refused() {
        let mut attrs = attrs(1);
        attrs[11] = ("nodes_trueleafs", ints(&[0, 0, 1]));
        let error = refusal(&OPERATOR, &attrs, &[value(f32s(&[1, 2], &[0.0, 0.0]))]);
        assert!(error.to_string().contains("cycles"));
    }
}

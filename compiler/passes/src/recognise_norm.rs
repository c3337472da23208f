//! Recognises normalisations that exporters spell out: `(x - mean x) / sqrt(mean (x - mean x)^2 + eps)`, and without the mean.
//!
//! Before: `algebra` has made a product of the square, `cse` has merged second copies. After: such a chain is a `norm` region;
//! scale and bias behind it stay pointwise. The chain's own nodes stay if something else reads them.
//!
//! ```text
//! %5 = %1 / sqrt(%4 + eps)   →   %5, … = region norm {axes, center, eps, stats} (%0)
//! ```

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, UnOp};
use graph::graph::{Model, ValueId};
use graph::node::{Combiner, Node};
use graph::region::norm::Norm;
use graph::scalar::Scalar;

use crate::pattern::{Reduction, Term};
use crate::rewrite::{Patch, Site, Stateless, rewrite};
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "recognise_norm",
    run,
    reason: "models before opset 17, and RMS norms, come spelled out",
    after: &["algebra"],
    before: &["views", "dce"],
};

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    rewrite(model, ctx, PASS.name, &mut Stateless(rule))
}

fn rule(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    let found = node.results.first().and_then(|r| site.definition(*r)).and_then(|(node, _)| matched(site, node));
    let Some((x, norm)) = found else { return Ok(None) };
    let x = site.get(x)?;
    Ok(Some(vec![site.b.norm(&norm, x)?.value]))
}

fn matched<'a>(site: &Site<'a>, node: &'a Node) -> Option<(ValueId, Norm)> {
    let term = Term::of_node(node)?;
    let divided = term.binary(site, BinOp::Div).and_then(|(x, root)| Some((x, root.unary(site, UnOp::Sqrt)?)));
    let multiplied = || term.binary(site, BinOp::Mul).and_then(|(x, by)| Some((x, inverted(site, by)?)));
    let swapped = || term.binary(site, BinOp::Mul).and_then(|(by, x)| Some((x, inverted(site, by)?)));
    let (centered, sum) = divided.or_else(multiplied).or_else(swapped)?;
    let (variance, eps) = sum.binary(site, BinOp::Add)?;
    let (variance, eps) = match eps.constant() {
        Some(eps) => (variance, eps),
        None => (eps, variance.constant()?),
    };
    let centered = centered.value(site)?;
    let ty = site.tensor(centered).filter(|t| t.shape == term.compute.shape)?;
    let (axes, square) = mean(site, variance.value(site)?)?;
    if squared(site, square)? != centered || !matches!(ty.dtype, DType::F32 | DType::F64) || eps < 0.0 {
        return None;
    }
    let norm = |center| Norm { axes: axes.clone(), center, eps: Scalar::from_f64(ty.dtype, eps), stats: ty.dtype };
    match minus_mean(site, centered) {
        Some((x, over)) if over == axes => Some((x, norm(true))),
        _ => Some((centered, norm(false))),
    }
}

/// `t` of `1 / sqrt(t)`.
fn inverted<'a>(site: &Site<'a>, term: Term<'a>) -> Option<Term<'a>> {
    let root = term.unary(site, UnOp::Recip).or_else(|| {
        let (one, root) = term.binary(site, BinOp::Div)?;
        (one.constant() == Some(1.0)).then_some(root)
    })?;
    root.unary(site, UnOp::Sqrt)
}

/// Axes of a mean that keeps its dims, and what it is the mean of.
fn mean<'a>(site: &Site<'a>, value: ValueId) -> Option<(Vec<usize>, Term<'a>)> {
    let reduction = Reduction::of_value(site, value, Combiner::Sum)?;
    let operand = reduction.value.node.operands.first()?;
    let extents = reduction.axes.iter().map(|a| site.tensor(*operand)?.shape.get(*a)).collect::<Option<Vec<&Dim>>>()?;
    let count = Dim::product(extents).as_const()? as f64;
    let divided =
        reduction.out.binary(site, BinOp::Div).is_some_and(|(acc, by)| acc.is_acc() && by.constant() == Some(count));
    let scaled = |(acc, by): (Term<'_>, Term<'_>)| acc.is_acc() && by.constant().is_some_and(|by| by * count == 1.0);
    let multiplied = reduction.out.binary(site, BinOp::Mul).is_some_and(scaled);
    (divided || multiplied).then_some((reduction.axes, reduction.value))
}

/// The value that a term inside a reduction is the square of.
fn squared<'a>(site: &Site<'a>, term: Term<'a>) -> Option<ValueId> {
    if let Some(graph::expr::Expr::Binary(BinOp::Mul, a, b)) = term.expr() {
        return (a == b).then(|| Term { id: *a, ..term }.reduced_value()).flatten();
    }
    let (a, b) = Term::of_value(site, term.reduced_value()?)?.binary(site, BinOp::Mul)?;
    (a.id == b.id).then(|| a.value(site)).flatten()
}

/// `x` and the axes, if a value is `x - mean x`.
fn minus_mean(site: &Site<'_>, value: ValueId) -> Option<(ValueId, Vec<usize>)> {
    let (x, centre) = Term::of_value(site, value)?.binary(site, BinOp::Sub)?;
    let x = x.value(site)?;
    let (axes, of) = mean(site, centre.value(site)?)?;
    (of.reduced_value() == Some(x) && site.tensor(x) == site.tensor(value)).then_some((x, axes))
}

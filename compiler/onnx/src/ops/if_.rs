//! If: the outputs of one of two subgraphs.
//!
//! <https://onnx.ai/onnx/operators/onnx__If.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 11 | outputs of unequal shapes |
//! | 13 | sequences |
//! | 16 | optionals |
//! | 19, 21, 23, 24, 25 | dtypes |
//!
//! Dtypes: all. Of a constant condition only the taken branch is imported. Extents in which the branches differ become sizes.
//! Sequences and optionals of equal structure stay dissolved, others become run-time values. Where one branch has more leading
//! extents of 1 the other gets them too, which only an operator that asks for the rank can tell. Refused: branches whose
//! outputs differ in dtype, or in rank otherwise.

use graph::builder::{BuildError, Mark};
use graph::dim::SymId;
use graph::dtype::DType;
use graph::graph::{Graph, ValueId};
use graph::ty::Type;

use crate::operator::{AttrKind, Body, Ctx, Operator, at_least, exactly, required};
use crate::value::ImportValue;
use crate::{late, looping};

pub const OPERATOR: Operator = Operator {
    name: "If",
    domain: "",
    versions: &[1, 11, 13, 16, 19, 21, 23, 24, 25],
    inputs: exactly(1),
    outputs: at_least(1),
    attrs: &[required("else_branch", AttrKind::Graph), required("then_branch", AttrKind::Graph)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (Some(then_body), Some(else_body)) = (ctx.body("then_branch"), ctx.body("else_branch")) else {
        return Err(BuildError::Attr {
            name: "then_branch, else_branch".into(),
            expected: "two graphs".into(),
            found: "fewer".into(),
        });
    };
    let condition = looping::scalar(ctx.b, ctx.input(0)?, DType::Bool)?;
    if let Some(taken) = ctx.b.const_tensor(condition).and_then(|t| t.get(0)) {
        let body = if taken.bits != 0 { then_body } else { else_body };
        let captured = ctx.importer.captures(body);
        return ctx.importer.import_body(ctx.b, body, Vec::new(), captured);
    }
    let bodies = [then_body, else_body];
    let mark = ctx.b.mark();
    let mut branches = [branch(ctx, then_body, &bodies, &[])?, branch(ctx, else_body, &bodies, &[])?];
    let wanted = wanted(&branches, ctx.declared)?;
    if wanted.iter().any(Option::is_some) {
        ctx.b.forget_since(mark);
        branches = [branch(ctx, then_body, &bodies, &wanted)?, branch(ctx, else_body, &bodies, &wanted)?];
    }
    let [yes, no] = branches;
    let mut binds = Vec::new();
    let mut types = Vec::with_capacity(yes.types.len());
    for (a, b) in yes.types.iter().zip(&no.types) {
        types.push(result(ctx, a, b, mark, &mut binds)?);
    }
    let mut operands = vec![condition];
    operands.extend(&yes.operands);
    let results = ctx.b.if_else(operands, yes.body, no.body, types, binds)?;
    let mut results = results.into_iter();
    yes.outputs.iter().map(|o| renamed(o, &mut results)).collect()
}

/// An imported branch.
struct Branch {
    body: Graph,
    operands: Vec<ValueId>,
    outputs: Vec<ImportValue>,
    /// What each output would be at run time, where something says.
    kinds: Vec<Option<Type>>,
    /// Types of the body's outputs.
    types: Vec<Type>,
}

/// Imports a branch; outputs with a wanted type become run-time values.
fn branch(ctx: &mut Ctx<'_>, body: Body, bodies: &[Body], wanted: &[Option<Type>]) -> Result<Branch, BuildError> {
    let open = ctx.open_body(&[], bodies)?;
    let built = inside(ctx, body, open.captured, wanted);
    let graph = ctx.b.end_body();
    let (outputs, kinds, types) = built?;
    Ok(Branch { body: graph, operands: open.operands, outputs, kinds, types })
}

type Inside = (Vec<ImportValue>, Vec<Option<Type>>, Vec<Type>);

fn inside(
    ctx: &mut Ctx<'_>,
    body: Body,
    captured: Vec<(String, ImportValue)>,
    wanted: &[Option<Type>],
) -> Result<Inside, BuildError> {
    let mut outputs = ctx.importer.import_body(ctx.b, body, Vec::new(), captured)?;
    let kinds = outputs.iter().map(|o| late::type_of(ctx.b, o)).collect::<Result<_, _>>()?;
    for (output, wanted) in outputs.iter_mut().zip(wanted) {
        if let Some(ty) = wanted {
            let mut id = late::materialise(ctx.b, output, Some(ty))?;
            if let Type::Tensor(longer) = ty {
                let missing = longer.rank().saturating_sub(ctx.b.rank(id)?);
                id = ctx.b.unsqueeze(id, &(0..missing).collect::<Vec<_>>())?;
            }
            *output = id.into();
        }
    }
    let mut leaves = Vec::new();
    outputs.iter().for_each(|o| o.for_each_value(&mut |id| leaves.push(id)));
    let types = leaves.iter().map(|id| ctx.b.ty(*id).cloned()).collect::<Result<_, _>>()?;
    leaves.into_iter().for_each(|id| ctx.b.output(id));
    Ok((outputs, kinds, types))
}

/// For each output, the run-time type it needs because the branches differ in structure.
fn wanted(branches: &[Branch; 2], declared: &[Option<Type>]) -> Result<Vec<Option<Type>>, BuildError> {
    let [yes, no] = branches;
    if yes.outputs.len() != no.outputs.len() {
        return Err(BuildError::Results { expected: yes.outputs.len(), found: no.outputs.len() });
    }
    let kinds = yes.kinds.iter().zip(&no.kinds);
    let declared = declared.iter().cloned().chain(std::iter::repeat(None));
    let mut out = Vec::with_capacity(yes.outputs.len());
    for (((a, b), (left, right)), declared) in yes.outputs.iter().zip(&no.outputs).zip(kinds).zip(declared) {
        if alike(a, b) {
            out.push(longer(left.as_ref(), right.as_ref()));
            continue;
        }
        let ty = match (left.clone(), right.clone()) {
            (Some(Type::Opt(a)), Some(b)) if !matches!(b, Type::Opt(_)) => Type::Opt(Box::new(late::join(&a, &b)?)),
            (Some(a), Some(Type::Opt(b))) if !matches!(a, Type::Opt(_)) => Type::Opt(Box::new(late::join(&a, &b)?)),
            (Some(a), Some(b)) => late::join(&a, &b)?,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => declared.ok_or_else(|| BuildError::Operand {
                what: "outputs of the branches of If".into(),
                expected: "a type, declared in the model".into(),
                found: "empty sequences or absent optionals only".into(),
            })?,
        };
        out.push(Some(ty));
    }
    Ok(out)
}

/// The type of higher rank, if it has that rank by leading extents of 1 only.
fn longer(a: Option<&Type>, b: Option<&Type>) -> Option<Type> {
    let (Some(Type::Tensor(a)), Some(Type::Tensor(b))) = (a, b) else { return None };
    let (short, long) = if a.rank() < b.rank() { (a, b) } else { (b, a) };
    let extra = long.rank() - short.rank();
    let leading = extra > 0 && a.dtype == b.dtype && long.shape.iter().take(extra).all(|d| d.is(1));
    leading.then(|| Type::Tensor(long.clone()))
}

/// Whether two outputs have the same structure above their tensors.
fn alike(a: &ImportValue, b: &ImportValue) -> bool {
    match (a, b) {
        (ImportValue::Value(_), ImportValue::Value(_)) => true,
        (ImportValue::Seq(a), ImportValue::Seq(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (ImportValue::Opt(Some(a)), ImportValue::Opt(Some(b))) => alike(a, b),
        (ImportValue::Opt(None), ImportValue::Opt(None)) => true,
        (ImportValue::Value(_) | ImportValue::Seq(_) | ImportValue::Opt(_), _) => false,
    }
}

/// The type of a result from the types in both branches.
fn result(ctx: &mut Ctx<'_>, a: &Type, b: &Type, mark: Mark, binds: &mut Vec<SymId>) -> Result<Type, BuildError> {
    let (Type::Tensor(x), Type::Tensor(y)) = (a, b) else { return late::join(a, b) };
    if x.dtype != y.dtype || x.rank() != y.rank() {
        return Err(BuildError::Unsupported {
            what: format!("an If that yields {} of rank {} or {} of rank {}", x.dtype, x.rank(), y.dtype, y.rank()),
            closest: "branches of one dtype and rank".into(),
        });
    }
    let mut shape = Vec::with_capacity(x.rank());
    for (one, other) in x.shape.iter().zip(&y.shape) {
        if one == other {
            shape.push(looping::lasting(ctx.b, mark, one, binds));
            continue;
        }
        let symbols = &ctx.b.model().symbols;
        let (left, right) = (symbols.range(one), symbols.range(other));
        let lo = i64::try_from(left.lo.min(right.lo).max(0)).unwrap_or(0);
        let hi = left.upper().zip(right.upper()).map(|(a, b)| a.max(b));
        let symbol = ctx.b.fresh_symbol(lo, hi);
        binds.push(symbol);
        shape.push(graph::dim::Dim::symbol(symbol));
    }
    Ok(Type::tensor(x.dtype, shape))
}

/// The same structure over the node's results.
fn renamed(value: &ImportValue, results: &mut std::vec::IntoIter<ValueId>) -> Result<ImportValue, BuildError> {
    Ok(match value {
        ImportValue::Value(_) => {
            results.next().ok_or(BuildError::Results { expected: 1, found: 0 }).map(ImportValue::Value)?
        }
        ImportValue::Seq(items) => {
            ImportValue::Seq(items.iter().map(|i| renamed(i, results)).collect::<Result<_, _>>()?)
        }
        ImportValue::Opt(Some(inner)) => ImportValue::Opt(Some(Box::new(renamed(inner, results)?))),
        ImportValue::Opt(None) => ImportValue::Opt(None),
    })
}

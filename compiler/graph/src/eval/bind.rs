//! From values to sizes: input symbols, the `Bind` node, sizes of results; and the guards.

use crate::datum::Datum;
use crate::dim::{Atom, Dim, Pred, SymId};
use crate::eval::{Bindings, Context, EvalError, Place, Problem};
use crate::graph::{Graph, Model, NodeId};
use crate::node::Node;
use crate::symbol::{SymSource, Symbols};
use crate::ty::Type;

/// Binds the input symbols of a model from the values given, and checks that these have the declared types.
pub(super) fn inputs(model: &Model, inputs: &[Datum], bindings: &mut Bindings) -> Result<(), EvalError> {
    let ids = &model.graph.inputs;
    if ids.len() != inputs.len() {
        return Err(Problem::InputCount { expected: ids.len(), found: inputs.len() }.into());
    }
    let mut binder = Binder {
        bindings,
        symbols: Some(&model.symbols),
        may_bind: &|id| model.symbols.get(id).is_some_and(|s| s.source == SymSource::Input),
    };
    let mut types = Vec::with_capacity(ids.len());
    for (position, (id, datum)) in ids.iter().zip(inputs).enumerate() {
        let Some(value) = model.graph.value(*id) else {
            return Err(Problem::Malformed { what: "an input is not a value of the graph" }.into());
        };
        let mismatch = move || Problem::Input {
            position,
            name: value.name.clone().unwrap_or_default(),
            expected: describe(&value.ty, Some(&model.symbols)),
            found: datum.describe(),
        };
        if !fits_kind(&value.ty, datum) {
            return Err(mismatch().into());
        }
        types.push((&value.ty, datum, mismatch));
    }
    for solve in [false, true] {
        for (ty, datum, _) in &types {
            binder.take(ty, datum, solve)?;
        }
    }
    for (ty, datum, mismatch) in &types {
        if !binder.agrees(ty, datum)? {
            return Err(mismatch().into());
        }
    }
    Ok(())
}

/// Binds the symbols that a node's results bring into being, and checks the results against their types.
pub(super) fn results(
    graph: &Graph,
    node: &Node,
    results: &[Datum],
    bindings: &mut Bindings,
    ctx: &Context<'_>,
) -> Result<(), EvalError> {
    let types: Vec<&Type> = node.results.iter().filter_map(|r| graph.value(*r)).map(|v| &v.ty).collect();
    shapes(&types, results, &node.binds, bindings, ctx)
}

/// Binds `binds` anew from values of these types.
pub(super) fn shapes(
    types: &[&Type],
    data: &[Datum],
    binds: &[SymId],
    bindings: &mut Bindings,
    ctx: &Context<'_>,
) -> Result<(), EvalError> {
    binds.iter().for_each(|id| bindings.unset(*id));
    let mut binder = Binder { bindings, symbols: ctx.symbols, may_bind: &|id| binds.contains(&id) };
    for solve in [false, true] {
        for (ty, datum) in types.iter().zip(data) {
            binder.take(ty, datum, solve)?;
        }
    }
    for (position, (ty, datum)) in types.iter().zip(data).enumerate() {
        if !fits_kind(ty, datum) || !binder.agrees(ty, datum)? {
            let (expected, found) = (describe(ty, ctx.symbols), datum.describe());
            return Err(Problem::Result { position, expected, found }.into());
        }
    }
    check_guards(ctx, bindings, Some(binds))
}

/// The `Bind` node.
pub(super) fn bind(
    node: &Node,
    operands: &[Datum],
    bindings: &mut Bindings,
    ctx: &Context<'_>,
) -> Result<(), EvalError> {
    let value = scalar_i64(operands, 0)?;
    let [id] = node.binds[..] else {
        return Err(Problem::Malformed { what: "bind brings one symbol into being" }.into());
    };
    check_range(ctx.symbols, id, value)?;
    bindings.set(id, value);
    check_guards(ctx, bindings, Some(&[id]))
}

/// Operand `position` as one integer.
pub(super) fn scalar_i64(operands: &[Datum], position: usize) -> Result<i64, Problem> {
    let datum = operands.get(position);
    let tensor = datum.and_then(Datum::as_tensor).filter(|t| t.len() == 1);
    tensor.and_then(|t| t.get(0)).map(|s| s.as_i64()).ok_or_else(|| Problem::Operand {
        position,
        expected: "one number".to_string(),
        found: datum.map_or("nothing".to_string(), Datum::describe),
    })
}

/// Checks the guards whose symbols are all known; with `only`, those that mention one of these symbols.
pub(super) fn check_guards(ctx: &Context<'_>, bindings: &Bindings, only: Option<&[SymId]>) -> Result<(), EvalError> {
    for guard in ctx.guards {
        if let Some(only) = only {
            let mut concerned = false;
            guard.pred.for_each_symbol(&mut |id| concerned |= only.contains(&id));
            if !concerned {
                continue;
            }
        }
        if guard.pred.eval(&|id| bindings.get(id)) == Some(false) {
            let problem = Problem::Guard { what: guard.what.clone(), pred: failed(&guard.pred, bindings) };
            let place = guard.origin.map(|origin| Place {
                node: NodeId(u32::MAX),
                op: "guard",
                origin: Some(origin),
                name: None,
            });
            return Err(EvalError { problem: Box::new(problem), place });
        }
    }
    Ok(())
}

/// What is the case instead of a condition, in numbers.
fn failed(pred: &Pred, bindings: &Bindings) -> String {
    let number = |d: &Dim| bindings.dim(d).map_or_else(|| "?".to_string(), |v| v.to_string());
    match pred {
        Pred::Eq(a, b) => format!("{} is not {}", number(a), number(b)),
        Pred::Le(a, b) => format!("{} is more than {}", number(a), number(b)),
        Pred::Divides(a, b) => format!("{} does not divide {}", number(a), number(b)),
        Pred::Const(_) | Pred::Not(_) | Pred::And(_) | Pred::Or(_) => "it does not hold".to_string(),
    }
}

fn check_range(symbols: Option<&Symbols>, id: SymId, value: i64) -> Result<(), Problem> {
    let Some(symbol) = symbols.and_then(|s| s.get(id)) else { return Ok(()) };
    let hi = symbol.hi.unwrap_or(i64::MAX);
    if value < symbol.lo || value > hi {
        return Err(Problem::SizeRange { name: symbol.name.clone(), found: value, lo: symbol.lo, hi });
    }
    Ok(())
}

struct Binder<'a> {
    bindings: &'a mut Bindings,
    symbols: Option<&'a Symbols>,
    may_bind: &'a dyn Fn(SymId) -> bool,
}

impl Binder<'_> {
    /// Binds what the extents of a value decide. First plain symbols; with `solve`, `c * symbol + k` too.
    fn take(&mut self, ty: &Type, datum: &Datum, solve: bool) -> Result<(), Problem> {
        match (ty, datum) {
            (Type::Tensor(t), Datum::Tensor(found)) => {
                for (dim, extent) in t.shape.iter().zip(found.shape()) {
                    self.take_dim(dim, i64::try_from(*extent).unwrap_or(i64::MAX), solve)?;
                }
                Ok(())
            }
            (Type::Seq(inner), Datum::Seq(items)) => items.iter().try_for_each(|d| self.take(inner, d, solve)),
            (Type::Opt(inner), Datum::Opt(Some(item))) => self.take(inner, item, solve),
            (Type::Map { value, .. }, Datum::Map { values, .. }) => {
                values.iter().try_for_each(|d| self.take(value, d, solve))
            }
            (Type::Tensor(_) | Type::Seq(_) | Type::Opt(_) | Type::Map { .. } | Type::Ragged { .. }, _) => Ok(()),
        }
    }

    fn take_dim(&mut self, dim: &Dim, extent: i64, solve: bool) -> Result<(), Problem> {
        let found = if solve { solve_linear(dim, extent) } else { dim.as_symbol().map(|id| (id, extent)) };
        let Some((id, value)) = found.filter(|(id, _)| (self.may_bind)(*id)) else { return Ok(()) };
        match self.bindings.get(id) {
            Some(first) if first != value && !solve => {
                let name = self.symbols.and_then(|s| s.get(id)).map_or_else(|| format!("{id:?}"), |s| s.name.clone());
                Err(Problem::SizeConflict { name, first, second: value })
            }
            Some(_) => Ok(()),
            None => {
                check_range(self.symbols, id, value)?;
                self.bindings.set(id, value);
                Ok(())
            }
        }
    }

    /// Whether the extents of a value are what its type says.
    fn agrees(&self, ty: &Type, datum: &Datum) -> Result<bool, Problem> {
        match (ty, datum) {
            (Type::Tensor(t), Datum::Tensor(found)) => Ok(self.bindings.shape(&t.shape)? == found.shape()),
            (Type::Seq(inner), Datum::Seq(items)) => self.all_agree(inner, items),
            (Type::Opt(inner), Datum::Opt(Some(item))) => self.agrees(inner, item),
            (Type::Map { value, .. }, Datum::Map { values, .. }) => self.all_agree(value, values),
            (Type::Tensor(_) | Type::Seq(_) | Type::Opt(_) | Type::Map { .. } | Type::Ragged { .. }, _) => Ok(true),
        }
    }

    fn all_agree(&self, ty: &Type, data: &[Datum]) -> Result<bool, Problem> {
        for datum in data {
            if !self.agrees(ty, datum)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The symbol and its value, if `dim` is `c * symbol + k` and there is one.
fn solve_linear(dim: &Dim, extent: i64) -> Option<(SymId, i64)> {
    let mut offset = 0i64;
    let mut found = None;
    for term in dim.terms() {
        match term.factors.as_slice() {
            [] => offset = term.coef,
            [Atom::Sym(id)] if found.is_none() => found = Some((*id, term.coef)),
            _ => return None,
        }
    }
    let (id, coef) = found?;
    let rest = extent.checked_sub(offset)?;
    (rest.checked_rem(coef)? == 0).then_some((id, rest.checked_div(coef)?))
}

/// Whether a value is of a type's kind, dtype and rank.
fn fits_kind(ty: &Type, datum: &Datum) -> bool {
    match (ty, datum) {
        (Type::Tensor(t), Datum::Tensor(found)) => t.dtype == found.dtype() && t.rank() == found.shape().len(),
        (Type::Ragged { dtype, rank }, Datum::Tensor(found)) => {
            *dtype == found.dtype() && rank.is_none_or(|r| r == found.shape().len())
        }
        (Type::Seq(inner), Datum::Seq(items)) => items.iter().all(|d| fits_kind(inner, d)),
        (Type::Opt(inner), Datum::Opt(item)) => item.as_deref().is_none_or(|d| fits_kind(inner, d)),
        (Type::Map { key, value }, Datum::Map { keys, values }) => {
            *key == keys.dtype() && values.iter().all(|d| fits_kind(value, d))
        }
        (Type::Tensor(_) | Type::Ragged { .. } | Type::Seq(_) | Type::Opt(_) | Type::Map { .. }, _) => false,
    }
}

fn describe(ty: &Type, symbols: Option<&Symbols>) -> String {
    match ty {
        Type::Tensor(t) => {
            let extents: Vec<String> = t.shape.iter().map(|d| describe_dim(d, symbols)).collect();
            format!("{}[{}]", t.dtype, extents.join(", "))
        }
        Type::Ragged { dtype, .. } => format!("{dtype} of any shape"),
        Type::Seq(inner) => format!("sequence of {}", describe(inner, symbols)),
        Type::Opt(inner) => format!("optional of {}", describe(inner, symbols)),
        Type::Map { key, value } => format!("map from {key} to {}", describe(value, symbols)),
    }
}

fn describe_dim(dim: &Dim, symbols: Option<&Symbols>) -> String {
    if let Some(value) = dim.as_const() {
        return value.to_string();
    }
    let symbol = dim.as_symbol().and_then(|id| symbols.and_then(|s| s.get(id)));
    symbol.map_or_else(|| format!("{dim:?}"), |s| s.name.clone())
}

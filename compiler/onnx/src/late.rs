//! Run-time forms of sequences and optionals: where the static structure of an [`ImportValue`] must become one value of the
//! graph (model outputs, loop states, results of unequal branches), and how tensors come out of such a value again.

use graph::attrs::{Attr, Attrs};
use graph::builder::{BuildError, Builder};
use graph::dim::{Dim, SymId};
use graph::dtype::DType;
use graph::graph::ValueId;
use graph::host::HostError;
use graph::symbol::{SymSource, Symbols};
use graph::ty::Type;

use crate::operator::Ctx;
use crate::ops;
use crate::value::ImportValue;

/// What an import value's type would be at run time; `None` where nothing says (an empty sequence, an absent optional).
pub fn type_of(b: &Builder, value: &ImportValue) -> Result<Option<Type>, BuildError> {
    Ok(match value {
        ImportValue::Value(id) => Some(b.ty(*id)?.clone()),
        ImportValue::Seq(items) => join_all(b, items)?.map(|t| Type::Seq(Box::new(t))),
        ImportValue::Opt(Some(inner)) => type_of(b, inner)?.map(|t| Type::Opt(Box::new(t))),
        ImportValue::Opt(None) => None,
    })
}

fn join_all(b: &Builder, items: &[ImportValue]) -> Result<Option<Type>, BuildError> {
    let mut joint: Option<Type> = None;
    for item in items {
        let Some(ty) = type_of(b, item)? else { continue };
        joint = Some(match joint {
            None => ty,
            Some(so_far) => join(&so_far, &ty)?,
        });
    }
    Ok(joint)
}

/// The least type of both, or an error that shows them.
pub fn join(a: &Type, b: &Type) -> Result<Type, BuildError> {
    a.join(b).ok_or_else(|| BuildError::Operand {
        what: "elements of one sequence, or values of one name".into(),
        expected: format!("one kind and dtype: {a:?}"),
        found: format!("{b:?}"),
    })
}

/// One graph value for an import value. `wanted` is the type where the value does not say: what an empty sequence holds, and
/// whether a plain value is to become a present optional.
pub fn materialise(b: &mut Builder, value: &ImportValue, wanted: Option<&Type>) -> Result<ValueId, BuildError> {
    match (value, wanted) {
        (ImportValue::Value(id), Some(Type::Opt(_))) if !matches!(b.ty(*id)?, Type::Opt(_)) => some(b, *id),
        (ImportValue::Value(id), _) => Ok(*id),
        (ImportValue::Seq(_), Some(Type::Opt(inner))) => {
            let id = materialise(b, value, Some(inner))?;
            some(b, id)
        }
        (ImportValue::Seq(items), _) => {
            let element = match wanted {
                Some(Type::Seq(element)) => Some((**element).clone()),
                _ => None,
            };
            let ids = items.iter().map(|i| materialise(b, i, element.as_ref())).collect::<Result<Vec<_>, _>>()?;
            construct(b, &ids, element.as_ref())
        }
        (ImportValue::Opt(Some(inner)), _) => {
            let element = match wanted {
                Some(Type::Opt(element)) => Some(&**element),
                _ => None,
            };
            let id = materialise(b, inner, element)?;
            some(b, id)
        }
        (ImportValue::Opt(None), _) => {
            let element = match wanted {
                Some(Type::Opt(element)) => (**element).clone(),
                _ => Type::Ragged { dtype: DType::F32, rank: None },
            };
            one(b.host(&ops::list::optional::NONE_HOST, describe(&element), &[])?)
        }
    }
}

/// A run-time sequence of values; `element` says what an empty one holds.
pub fn construct(b: &mut Builder, items: &[ValueId], element: Option<&Type>) -> Result<ValueId, BuildError> {
    let attrs = match element {
        Some(ty) => describe(ty),
        None => Attrs::new(),
    };
    one(b.host(&ops::list::sequence_construct::HOST, attrs, items)?)
}

/// The graph value of a sequence, run-time already or made so.
pub fn sequence(b: &mut Builder, value: &ImportValue) -> Result<ValueId, BuildError> {
    let id = materialise(b, value, None)?;
    match b.ty(id)? {
        Type::Seq(_) => Ok(id),
        other => Err(BuildError::Operand {
            what: "input 0".into(),
            expected: "a sequence".into(),
            found: format!("{other:?}"),
        }),
    }
}

fn some(b: &mut Builder, id: ValueId) -> Result<ValueId, BuildError> {
    one(b.host(&ops::list::optional::SOME_HOST, Attrs::new(), &[id])?)
}

/// The only result of a host operator.
pub fn one(results: Vec<ValueId>) -> Result<ValueId, BuildError> {
    match results[..] {
        [id] => Ok(id),
        _ => Err(BuildError::Results { expected: 1, found: results.len() }),
    }
}

/// The type inside a sequence or optional as attributes, for host operators without operands.
fn describe(element: &Type) -> Attrs {
    let (inner, sequence) = match element {
        Type::Seq(inner) => (&**inner, true),
        other => (other, false),
    };
    let (dtype, rank) = inner.ragged().unwrap_or((DType::F32, None));
    let rank = rank.and_then(|r| i64::try_from(r).ok()).unwrap_or(-1);
    let attrs = Attrs::new()
        .with("dtype", Attr::DType(dtype))
        .with("rank", Attr::Int(rank))
        .with("sequence", Attr::Bool(sequence));
    let shape = inner.as_tensor().and_then(|t| t.shape.iter().map(Dim::as_const).collect());
    match shape {
        Some(shape) => attrs.with("shape", Attr::Ints(shape)),
        None => attrs,
    }
}

/// The type that [`describe`] wrote down.
pub fn described(attrs: &Attrs) -> Type {
    let dtype = attrs.dtype("dtype").unwrap_or(DType::F32);
    let element = match attrs.ints("shape") {
        Some(shape) => Type::tensor(dtype, shape.iter().map(|d| Dim::constant(*d)).collect::<Vec<_>>()),
        None => Type::Ragged { dtype, rank: attrs.int("rank").and_then(|r| usize::try_from(r).ok()) },
    };
    if attrs.bool("sequence") == Some(true) { Type::Seq(Box::new(element)) } else { element }
}

/// Type of a value taken out of a sequence or optional: a tensor of unknown shape gets a fresh size for each dim.
pub fn taken(element: &Type, symbols: &mut Symbols) -> Result<(Type, Vec<SymId>), HostError> {
    let Type::Ragged { dtype, rank } = element else { return Ok((element.clone(), Vec::new())) };
    let rank = rank.ok_or_else(|| HostError::Operand {
        position: 0,
        expected: "elements of one known rank; declare the shapes of the sequence or optional in the model",
        found: format!("{element:?}"),
    })?;
    Ok(fresh_tensor(*dtype, rank, symbols))
}

/// A tensor type with a fresh size for each dim.
pub fn fresh_tensor(dtype: DType, rank: usize, symbols: &mut Symbols) -> (Type, Vec<SymId>) {
    let binds: Vec<SymId> = (0..rank)
        .map(|_| {
            let name = format!("n{}", symbols.len());
            symbols.add(&name, 0, None, SymSource::Bind)
        })
        .collect();
    let shape: Vec<Dim> = binds.iter().map(|s| Dim::symbol(*s)).collect();
    (Type::tensor(dtype, shape), binds)
}

/// The element type of a sequence operand of a host operator.
pub fn element(types: &[Type], position: usize) -> Result<&Type, HostError> {
    match types.get(position) {
        Some(Type::Seq(element)) => Ok(element),
        other => Err(HostError::Operand { position, expected: "a sequence", found: format!("{other:?}") }),
    }
}

/// Whether a type is a tensor of strings.
pub fn is_strings(ty: &Type) -> bool {
    ty.as_tensor().is_some_and(|t| t.dtype == DType::Str)
}

/// The two inputs of an operator on strings, brought to one shape.
pub fn string_pair(ctx: &mut Ctx<'_>) -> Result<[ValueId; 2], BuildError> {
    let pair = [ctx.input(0)?, ctx.input(1)?];
    for id in pair {
        let found = ctx.b.dtype(id)?;
        if found != DType::Str {
            return Err(BuildError::DType { what: ctx.op_type.to_string(), expected: "strings".into(), found });
        }
    }
    let shapes = [ctx.b.shape(pair[0])?, ctx.b.shape(pair[1])?];
    let shape = ctx.b.broadcast_shapes(&shapes)?;
    Ok([ctx.b.expand(pair[0], shape.clone())?, ctx.b.expand(pair[1], shape)?])
}

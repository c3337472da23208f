//! What is known of a loop's states, and how a round over the body widens it.

use graph::builder::{BuildError, Builder};
use graph::dim::{Dim, SymId};
use graph::dtype::DType;
use graph::ty::{TensorType, Type};

use crate::late;
use crate::value::ImportValue;

/// What is known of a state.
pub(super) struct State {
    pub(super) ty: Type,
    /// Which extents differ from iteration to iteration.
    pub(super) free: Vec<bool>,
    /// It begins as an empty sequence or absent optional: the first round gets it as it is, to see what the body makes of
    /// it; the declared type counts only if that says nothing.
    pub(super) guess: bool,
    /// The body yields a plain value for what begins as an optional.
    pub(super) bare: bool,
}

impl State {
    pub(super) fn of(b: &Builder, value: &ImportValue, hint: Option<&Type>) -> Result<State, BuildError> {
        let known = late::type_of(b, value)?;
        let guess = known.is_none();
        let unknown = Type::Ragged { dtype: DType::F32, rank: None };
        let ty = match (known, hint, value) {
            (Some(ty), _, _) => ty,
            (None, Some(hint), _) => loosened(hint),
            (None, None, ImportValue::Opt(_)) => Type::Opt(Box::new(unknown)),
            (None, None, _) => Type::Seq(Box::new(unknown)),
        };
        let rank = ty.as_tensor().map_or(0, TensorType::rank);
        Ok(State { ty, free: vec![false; rank], guess, bare: false })
    }

    /// The type of the state inside, with fresh sizes for free extents.
    pub(super) fn inside(&self, b: &mut Builder, binds: &mut Vec<SymId>) -> Type {
        let Type::Tensor(t) = &self.ty else { return self.ty.clone() };
        let mut shape = t.shape.clone();
        for (extent, free) in shape.iter_mut().zip(&self.free) {
            if *free {
                let symbol = b.fresh_symbol(0, None);
                binds.push(symbol);
                *extent = Dim::symbol(symbol);
            }
        }
        Type::tensor(t.dtype, shape)
    }

    /// Widens to what the body yields; whether anything changed.
    pub(super) fn meet(&mut self, inside: &Type, found: Option<Type>) -> Result<bool, BuildError> {
        let guess = std::mem::take(&mut self.guess);
        let Some(found) = found else { return Ok(guess) };
        if let (Type::Tensor(was), Type::Tensor(is)) = (inside, &found) {
            if was.dtype != is.dtype || was.rank() != is.rank() {
                return Err(BuildError::Unsupported {
                    what: format!(
                        "a loop state that begins as {} of rank {} and becomes {} of rank {}",
                        was.dtype,
                        was.rank(),
                        is.dtype,
                        is.rank()
                    ),
                    closest: "states that keep dtype and rank".into(),
                });
            }
            let mut changed = false;
            for ((free, a), b) in self.free.iter_mut().zip(&was.shape).zip(&is.shape) {
                if !*free && a != b {
                    *free = true;
                    changed = true;
                }
            }
            return Ok(changed);
        }
        let found = match (&self.ty, found) {
            (Type::Opt(_), found @ Type::Opt(_)) => found,
            (Type::Opt(_), found) => {
                self.bare = true;
                Type::Opt(Box::new(found))
            }
            (_, found) => found,
        };
        let wider = if guess { loosened(&found) } else { late::join(&self.ty, &loosened(&found))? };
        let changed = guess || wider != self.ty;
        self.ty = wider;
        Ok(changed)
    }
}

/// A sequence or optional type whose elements may have any shape.
fn loosened(ty: &Type) -> Type {
    match ty {
        Type::Seq(inner) => Type::Seq(Box::new(loosened_element(inner))),
        Type::Opt(inner) => Type::Opt(Box::new(loosened_element(inner))),
        other => other.clone(),
    }
}

fn loosened_element(ty: &Type) -> Type {
    match ty.ragged() {
        Some(_) if ty.as_tensor().is_some_and(|t| t.static_shape().is_some()) => ty.clone(),
        Some((dtype, rank)) => Type::Ragged { dtype, rank },
        None => loosened(ty),
    }
}

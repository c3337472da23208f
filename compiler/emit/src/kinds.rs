//! What inputs and outputs look like in Rust.

use graph::dim::{Dim, SymId};
use graph::dtype::DType;
use graph::ty::Type;
use plan::plan::Border;
use proc_macro2::{Ident, Literal, TokenStream};
use quote::quote;

/// The form of one input or output.
pub enum Form {
    /// Nested arrays.
    Static { element: TokenStream },
    /// A slice of nested arrays; the first extent is this size.
    Leading { element: TokenStream, first: Dim },
    /// Elements with extents beside them.
    View { element: TokenStream, rank: usize, symbols: Vec<SymId> },
    /// A datum: strings, sequences, optionals, maps, packed elements.
    Datum,
}

/// The form of an input.
pub fn of_input(border: &Border) -> Form {
    let form = of(border);
    let Type::Tensor(ty) = &border.ty else { return form };
    // Extents that are neither known nor a size by themselves cannot be told from the caller's types.
    let plain = ty.shape.iter().all(|d| d.as_const().is_some() || d.as_symbol().is_some());
    if plain { form } else { Form::Datum }
}

/// The form of an output.
pub fn of(border: &Border) -> Form {
    let Type::Tensor(ty) = &border.ty else { return Form::Datum };
    let Some(element) = element(ty.dtype) else { return Form::Datum };
    if let Some(extents) = ty.static_shape() {
        return Form::Static { element: nest(element, &extents) };
    }
    let rest: Option<Vec<usize>> = ty.shape.iter().skip(1).map(Dim::as_size).collect();
    match (ty.shape.first(), rest) {
        (Some(first), Some(rest)) if !rest.contains(&0) => {
            Form::Leading { element: nest(element, &rest), first: first.clone() }
        }
        _ => {
            let mut symbols = Vec::new();
            for dim in &ty.shape {
                dim.for_each_symbol(&mut |id| {
                    if !symbols.contains(&id) {
                        symbols.push(id);
                    }
                });
            }
            Form::View { element, rank: ty.shape.len(), symbols }
        }
    }
}

/// The element type at the border; none where elements are no Rust type.
pub fn element(dtype: DType) -> Option<TokenStream> {
    match dtype {
        DType::Bool => Some(quote!(bool)),
        DType::Str | DType::F4E2M1 | DType::I4 | DType::U4 | DType::I2 | DType::U2 => None,
        DType::F32
        | DType::F64
        | DType::F16
        | DType::BF16
        | DType::F8E4M3FN
        | DType::F8E4M3FNUZ
        | DType::F8E5M2
        | DType::F8E5M2FNUZ
        | DType::F8E8M0
        | DType::I64
        | DType::I32
        | DType::I16
        | DType::I8
        | DType::U64
        | DType::U32
        | DType::U16
        | DType::U8 => Some(crate::slots::storage(dtype)),
    }
}

/// Arrays of arrays.
fn nest(element: TokenStream, extents: &[usize]) -> TokenStream {
    extents.iter().rev().fold(element, |inner, extent| {
        let extent = Literal::usize_unsuffixed(*extent);
        quote!([#inner; #extent])
    })
}

/// The kind of an input, as `Input<'_, KIND>` names it; none for datums.
pub fn input_kind(form: &Form, newtype: &dyn Fn(SymId) -> Ident) -> Option<TokenStream> {
    match form {
        Form::Static { element } => Some(element.clone()),
        Form::Leading { element, .. } => Some(quote!([#element])),
        Form::View { element, symbols, .. } => {
            let names = symbols.iter().map(|id| newtype(*id));
            Some(match symbols.len() {
                1 => quote!(Shaped<#element, #(#names),*>),
                _ => quote!(Shaped<#element, (#(#names),*)>),
            })
        }
        Form::Datum => None,
    }
}

//! Sizes: found in the shapes of the inputs, computed once per shape, checked.

use std::collections::BTreeSet;

use graph::dim::SymId;
use graph::symbol::SymSource;
use graph::ty::Type;
use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use crate::error::EmitError;
use crate::names::{code_span, one_line};
use crate::plan_file::{PlanContext, shape_text, symbol_name};
use crate::size::literal;
use crate::steps::{describe, option};

/// The struct of sizes that inputs give, and the function that finds them in the inputs' shapes.
pub(crate) fn print_dims<C>(cx: &PlanContext<'_, C>) -> TokenStream {
    let fields: Vec<Ident> = cx.dims.iter().map(|id| cx.sizes.field(*id)).collect();
    let docs = cx.dims.iter().map(|id| Literal::string(&format!(" {}", code_span(&symbol_name(cx, *id)))));
    let mut params = Vec::new();
    let mut body = TokenStream::new();
    let mut seen: BTreeSet<SymId> = BTreeSet::new();
    let mut checks = TokenStream::new();
    for (border, name) in cx.plan.inputs.iter().zip(&cx.names.inputs) {
        let Type::Tensor(ty) = &border.ty else { continue };
        if !cx.is_given(border) {
            continue;
        }
        let name = format_ident!("given_{name}");
        params.push(quote!(#name: &[usize]));
        let extents: Vec<Ident> = (0..ty.shape.len()).map(|k| format_ident!("{name}_{k}")).collect();
        let label = Literal::string(&one_line(&border.name));
        let expected = Literal::string(&shape_text(cx, border));
        let error = quote!(Error::InputShape { input: #label, expected: #expected, found: #name.to_vec() });
        body.extend(quote!(let [#(#extents),*] = *#name else { return Err(#error); };));
        let mut conditions = Vec::new();
        for (dim, extent) in ty.shape.iter().zip(&extents) {
            match dim.as_symbol() {
                Some(id) if seen.insert(id) => {
                    let field = cx.sizes.field(id);
                    body.extend(quote!(let #field = sizes::size(#extent);));
                }
                Some(id) => {
                    let field = cx.sizes.field(id);
                    conditions.push(quote!(sizes::size(#extent) != #field));
                }
                None => match dim.as_const() {
                    Some(value) => {
                        let value = literal(value);
                        conditions.push(quote!(#extent != #value));
                    }
                    None => {
                        let value = cx.sizes.local(dim);
                        conditions.push(quote!(sizes::size(#extent) != #value));
                    }
                },
            }
        }
        if !conditions.is_empty() {
            checks.extend(quote!(if #(#conditions)||* { return Err(#error); }));
        }
    }
    quote! {
        /// Sizes that the shapes of the inputs give.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Dims { #(#[doc = #docs] pub #fields: i64,)* }

        /// Finds the sizes in the shapes of the inputs, and checks every extent.
        pub fn dims(#(#params),*) -> Result<Dims, Error> {
            #body
            #checks
            Ok(Dims { #(#fields),* })
        }
    }
}

/// Guards whose sizes are known when a call starts; the others must be checked by steps.
pub(super) fn print_guards<C>(cx: &PlanContext<'_, C>) -> TokenStream {
    let mut out = TokenStream::new();
    for guard in &cx.plan.guards {
        if !cx.sizes.pred_known_at_start(&guard.pred) {
            continue;
        }
        let holds = cx.sizes.pred(&guard.pred, &quote!(self));
        let what = Literal::string(&one_line(&guard.what));
        let node = match guard.origin {
            Some(origin) => {
                let (name, op) = describe(&cx.plan.origins, &[origin], "guard");
                quote!(Some(Node { name: #name, op: #op }))
            }
            None => quote!(None),
        };
        out.extend(quote!(sizes::guard_at(#holds, #what, #node)?;));
    }
    out
}

pub(super) fn print_sizes<C>(cx: &PlanContext<'_, C>, guards: TokenStream) -> Result<TokenStream, EmitError> {
    for (id, symbol) in cx.plan.symbols.iter() {
        if symbol.source == SymSource::Input && !cx.dims.contains(&id) && cx.sizes.is_used(id) {
            return Err(EmitError::Unbound { symbol: symbol.name.clone() });
        }
    }
    let mut fields = TokenStream::new();
    for (id, symbol) in cx.plan.symbols.iter() {
        if cx.sizes.is_used(id) || cx.dims.contains(&id) {
            let (field, doc) = (cx.sizes.field(id), Literal::string(&format!(" {}", code_span(&symbol.name))));
            fields.extend(quote!(#[doc = #doc] pub #field: i64,));
        }
    }
    let mut set = TokenStream::new();
    for id in &cx.dims {
        let (field, symbol) = (cx.sizes.field(*id), cx.plan.symbols.get(*id));
        let (lo, hi) = symbol.map_or((0, None), |s| (s.lo, s.hi));
        let (name, lo, hi) = (Literal::string(&symbol_name(cx, *id)), literal(lo), option(hi));
        set.extend(quote! {
            self.#field = sizes::in_range(#name, dims.#field, #lo, #hi).map_err(StepError::at_border)?;
        });
    }
    // Guards may have asked for sizes, so these come after them.
    let stored = cx.sizes.stored();
    let mut assign = Vec::new();
    for size in &stored {
        let (field, value) = (&size.field, &size.value);
        let doc = Literal::string(&format!(" {}", code_span(&size.text)));
        fields.extend(quote!(#[doc = #doc] pub #field: i64,));
        assign.push(quote!(self.#field = #value;));
    }
    let mut parts = TokenStream::new();
    let mut calls = TokenStream::new();
    if assign.len() <= 100 {
        calls.extend(quote!(#(#assign)*));
    } else {
        for (k, chunk) in assign.chunks(100).enumerate() {
            let name = format_ident!("prepare_{k}");
            calls.extend(quote!(self.#name();));
            parts.extend(quote!(fn #name(&mut self) { #(#chunk)* }));
        }
    }
    Ok(quote! {
        /// The values of all sizes: those that the inputs give are computed once per shape.
        #[derive(Clone, Debug, Default)]
        pub struct Sizes {
            dims: Option<Dims>,
            #fields
        }

        impl Sizes {
            /// Computes the sizes that the inputs give, unless they are those of the last call.
            pub fn prepare(&mut self, dims: Dims) -> Result<(), Error> {
                if self.dims == Some(dims) {
                    return Ok(());
                }
                self.dims = None;
                #set
                #calls
                #guards
                self.dims = Some(dims);
                Ok(())
            }
            #parts
        }
    })
}

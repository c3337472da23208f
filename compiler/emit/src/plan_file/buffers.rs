//! Memory: what a call reads, what a session holds, where the outputs are found.

use graph::ty::Type;
use plan::plan::Place;
use proc_macro2::{Ident, Literal, TokenStream};
use quote::quote;

use crate::error::EmitError;
use crate::mentions::mentions;
use crate::names::code_span;
use crate::plan_file::{PlanContext, is_tensor};
use crate::size::literal;
use crate::slots::{Slot, storage, storage_count};

pub(super) fn print_io<C>(cx: &PlanContext<'_, C>) -> TokenStream {
    let mut fields = TokenStream::new();
    for (border, name) in cx.plan.inputs.iter().zip(&cx.names.inputs) {
        if !cx.is_given(border) {
            continue;
        }
        let doc = Literal::string(&format!(" Input {}", code_span(&border.name)));
        match (is_tensor(cx.plan, border), &border.ty) {
            (true, Type::Tensor(ty)) => {
                let ty = storage(ty.dtype);
                fields.extend(quote!(#[doc = #doc] pub #name: &'a [#ty],));
            }
            _ => fields.extend(quote!(#[doc = #doc] pub #name: &'a Datum,)),
        }
    }
    quote! {
        /// What a call reads: weights and inputs.
        #[allow(dead_code, reason = "a model need not read all of it")]
        pub struct Io<'a> {
            pub weights: &'a Weights,
            pub constants: &'a [Datum],
            #fields
        }
    }
}

pub(super) fn print_buffers<C>(cx: &PlanContext<'_, C>) -> TokenStream {
    let sizes = quote!(sizes);
    let memories: Vec<&Ident> = cx.slots.memories.iter().map(|(field, _)| field).collect();
    let objects = &cx.slots.objects;
    let mut ready = TokenStream::new();
    let arena = cx.sizes.expr(&cx.plan.arena, &sizes);
    let has_arena = cx.plan.buffers.iter().any(|b| matches!(b.place, Place::Arena { .. }));
    if has_arena {
        ready.extend(quote!(self.arena.ensure(#arena, &mut self.budget)?;));
    }
    for (field, bytes) in &cx.slots.memories {
        if let Some(bytes) = bytes {
            let bytes = cx.sizes.expr(bytes, &sizes);
            ready.extend(quote!(self.#field.ensure(#bytes, &mut self.budget)?;));
        }
    }
    // Where the sizes have upper bounds, everything is taken when the session starts.
    let mut bounds = TokenStream::new();
    let upper = |dim| cx.plan.symbols.range(dim).upper();
    let mut bound = |field: TokenStream, dim| {
        if let Some(most) = upper(dim).filter(|b| *b > 0) {
            let most = literal(most);
            bounds.extend(quote!(buffers.#field.reserve(#most, &mut buffers.budget)?;));
        }
    };
    if has_arena {
        bound(quote!(arena), &cx.plan.arena);
    }
    for (field, bytes) in &cx.slots.memories {
        if let Some(bytes) = bytes {
            bound(quote!(#field), bytes);
        }
    }
    let unused = if mentions(&ready, "sizes") { quote!(sizes) } else { quote!(_sizes) };
    let start = if bounds.is_empty() { quote!(let buffers) } else { quote!(let mut buffers) };
    let total: Vec<TokenStream> = memories.iter().map(|m| quote!(self.#m.len())).collect();
    let (arena_field, arena_new, arena_len) = match has_arena {
        true => {
            let bytes = code_span(&cx.sizes.text(&cx.plan.arena));
            let doc = Literal::string(&format!(" Intermediate values: {bytes} bytes."));
            (quote!(#[doc = #doc] pub arena: Memory,), quote!(arena: Memory::default(),), quote!(self.arena.len()))
        }
        false => (TokenStream::new(), TokenStream::new(), quote!(0)),
    };
    quote! {
        /// The memory of a session.
        #[derive(Debug)]
        pub struct Buffers {
            pub budget: Budget,
            #arena_field
            #(pub #memories: Memory,)*
            #(pub #objects: Datum,)*
        }

        impl Buffers {
            /// Memory of a new session, at most so many bytes.
            pub fn new(limit: Option<usize>) -> Result<Buffers, StepError> {
                #start = Buffers {
                    budget: Budget::new(limit),
                    #arena_new
                    #(#memories: Memory::default(),)*
                    #(#objects: Datum::Seq(Vec::new()),)*
                };
                #bounds
                Ok(buffers)
            }

            /// Makes sure that there is room for a call of these sizes.
            pub fn prepare(&mut self, #unused: &Sizes) -> Result<(), StepError> {
                #ready
                Ok(())
            }

            /// Bytes taken.
            pub fn bytes(&self) -> usize {
                #arena_len #(+ #total)*
            }
        }
    }
}

/// Moves the outputs that replace states.
pub(super) fn print_states<C>(cx: &PlanContext<'_, C>) -> Result<TokenStream, EmitError> {
    let mut out = TokenStream::new();
    for state in &cx.plan.states {
        let (Some(input), Some(output)) = (cx.plan.inputs.get(state.input), cx.plan.outputs.get(state.output)) else {
            continue;
        };
        let (to, from) = (cx.slots.get(input.view.buffer)?, cx.slots.get(output.view.buffer)?);
        match (&from.slot, &to.slot) {
            (Slot::Memory { field: from, .. }, Slot::Memory { field: to, bytes: Some(bytes) }) => {
                let bytes = cx.sizes.expr(bytes, &quote!(run.sizes));
                out.extend(quote! {
                    run.buffers.#to.take(&run.buffers.#from, #bytes)?;
                });
            }
            (Slot::Object { field: from }, Slot::Object { field: to }) => {
                out.extend(quote!(run.buffers.#to.clone_from(&run.buffers.#from);));
            }
            _ => return Err(EmitError::Output { name: output.name.clone() }),
        }
    }
    Ok(out)
}

/// The outputs of the last call, as they lie in memory.
pub(super) fn print_outputs<C>(cx: &PlanContext<'_, C>) -> Result<TokenStream, EmitError> {
    let (mut fields, mut values) = (TokenStream::new(), TokenStream::new());
    let base = quote!(sizes);
    for (border, name) in cx.plan.outputs.iter().zip(&cx.names.outputs) {
        let entry = cx.slots.get(border.view.buffer)?;
        let doc = Literal::string(&format!(" Output {}", code_span(&border.name)));
        match (&entry.slot, &border.ty) {
            (Slot::Memory { field, bytes }, Type::Tensor(ty)) => {
                let elements = storage(ty.dtype);
                let rank = Literal::usize_unsuffixed(ty.shape.len());
                let shape = border.view.shape.iter().map(|d| cx.sizes.expr(d, &base));
                let count = match bytes {
                    Some(_) => storage_count(ty.dtype, &entry.elements),
                    None => storage_count(ty.dtype, &graph::dim::Dim::product(&border.view.shape)),
                };
                let count = cx.sizes.expr(&count, &base);
                fields.extend(quote!(#[doc = #doc] pub #name: (&'a [#elements], [usize; #rank]),));
                values.extend(quote! {
                    #name: (buffers.#field.slice::<#elements>(#count)?, sizes::extents([#(#shape),*])?),
                });
            }
            (Slot::Object { field }, _) => {
                fields.extend(quote!(#[doc = #doc] pub #name: &'a Datum,));
                values.extend(quote!(#name: &buffers.#field,));
            }
            _ => return Err(EmitError::Output { name: border.name.clone() }),
        }
    }
    let sizes = if mentions(&values, "sizes") { quote!(sizes) } else { quote!(_sizes) };
    let sizes = if uses_field(&values) { sizes } else { quote!(_sizes) };
    Ok(quote! {
        /// The outputs of the last call, as they lie in memory.
        pub struct Results<'a> { #fields }

        /// Finds the outputs of the last call.
        pub fn results<'a>(buffers: &'a Buffers, #sizes: &Sizes) -> Result<Results<'a>, StepError> {
            Ok(Results { #values })
        }
    })
}

/// Whether tokens read a field of `sizes`, and not only call functions of the module of that name.
fn uses_field(tokens: &TokenStream) -> bool {
    tokens.to_string().replace(' ', "").contains("sizes.")
}

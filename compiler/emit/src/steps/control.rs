//! Blocks, loops and choices.

use graph::node::OriginId;
use plan::plan::{Block, IfStep, LoopStep};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::error::EmitError;
use crate::steps::Steps;

/// Most steps in one function: what rustc needs grows faster than a function does.
const CHUNK: usize = 64;

/// Most steps that are written in place inside a loop or a choice.
const INLINE: usize = 8;

impl<C> Steps<'_, C> {
    /// Statements of a block: the steps, or calls of functions that hold them.
    pub(super) fn block(&self, block: &Block) -> Result<TokenStream, EmitError> {
        let mut printed = Vec::with_capacity(block.steps.len());
        for step in &block.steps {
            let tokens = self.step(step)?;
            if !tokens.is_empty() {
                printed.push(tokens);
            }
        }
        if printed.len() <= INLINE {
            return Ok(printed.into_iter().collect());
        }
        let mut calls = TokenStream::new();
        for chunk in printed.chunks(CHUNK) {
            let mut functions = self.functions.borrow_mut();
            let name = format_ident!("part_{}", functions.len());
            functions.push(quote! {
                fn #name(run: &mut Run<'_>) -> Result<(), Error> {
                    #(#chunk)*
                    Ok(())
                }
            });
            calls.extend(quote!(#name(run)?;));
        }
        Ok(calls)
    }

    pub(super) fn repeat(&self, step: &LoopStep, origins: &[OriginId]) -> Result<TokenStream, EmitError> {
        let mut out = TokenStream::new();
        let mut start = TokenStream::new();
        let mut test = quote!(iteration < end);
        let end = match (&step.trip, &step.limit) {
            (Some(trip), _) => self.size(trip),
            (None, _) => quote!(i64::MAX),
        };
        if let Some(limit) = &step.limit {
            let (prelude, value) = self.scalar(limit)?;
            start.extend(quote!(#prelude end = i64::min(end, #value);));
        }
        // All values are read before any symbol is set.
        let values: Vec<TokenStream> = step.first.iter().map(|(_, d)| self.size(d)).collect();
        start.extend(self.set_all(&step.first, &values));
        let changes = step.limit.is_some();
        out.extend(if changes { quote!(let mut end = #end;) } else { quote!(let end = #end;) });
        if !start.is_empty() {
            out.extend(self.timed(origins, "loop", quote!(#start Ok(()))));
        }
        out.extend(quote!(let mut iteration: i64 = 0;));
        let mut condition = TokenStream::new();
        if let Some(view) = &step.condition {
            let (prelude, value) = self.scalar(view)?;
            let timed = self.timed(origins, "loop condition", quote!(#prelude go = #value != 0; Ok(())));
            condition = quote! {
                let mut go = iteration < end;
                if go { #timed }
            };
            test = quote!(go);
        }
        let counter = self.sizes.field(step.counter);
        let body = self.block(&step.body)?;
        let mut moves = TokenStream::new();
        for carry in &step.carry {
            let copy = self.copy(&carry.from, &carry.to)?;
            moves.extend(quote!({ #copy }));
        }
        let values: Vec<TokenStream> = step.next.iter().map(|(_, d)| self.size(d)).collect();
        moves.extend(self.set_all(&step.next, &values));
        let moves = match moves.is_empty() {
            true => moves,
            false => self.timed(origins, "loop carry", quote!(#moves Ok(()))),
        };
        let round = quote! {
            run.sizes.#counter = iteration;
            #body
            #moves
            iteration = iteration.saturating_add(1);
        };
        out.extend(match condition.is_empty() {
            true => quote!(while #test { #round }),
            false => quote!(loop { #condition if !#test { break; } #round }),
        });
        if let Some(count) = step.count {
            let set = self.set(count, &quote!(iteration), false);
            out.extend(match self.plain(&set) {
                true => set,
                false => self.timed(origins, "loop count", quote!(#set Ok(()))),
            });
        }
        Ok(quote!({ #out }))
    }

    /// Sets symbols to values that were computed before.
    fn set_all(&self, pairs: &[(graph::dim::SymId, graph::dim::Dim)], values: &[TokenStream]) -> TokenStream {
        let mut out = TokenStream::new();
        match (pairs, values) {
            ([(symbol, _)], [value]) => out.extend(self.set(*symbol, value, false)),
            _ if pairs.is_empty() => {}
            _ => {
                let names: Vec<_> = (0..pairs.len()).map(|k| format_ident!("next_{k}")).collect();
                out.extend(quote!(let (#(#names),*) = (#(#values),*);));
                for ((symbol, _), name) in pairs.iter().zip(&names) {
                    out.extend(self.set(*symbol, &quote!(#name), false));
                }
            }
        }
        out
    }

    /// Whether setting a symbol cannot fail.
    fn plain(&self, set: &TokenStream) -> bool {
        !set.to_string().contains("in_range")
    }

    pub(super) fn choose(&self, step: &IfStep, origins: &[OriginId]) -> Result<TokenStream, EmitError> {
        let (prelude, value) = self.scalar(&step.condition)?;
        let test = self.timed(origins, "condition", quote!(#prelude condition = #value != 0; Ok(())));
        let (then_block, else_block) = (self.block(&step.then_block)?, self.block(&step.else_block)?);
        let otherwise = if else_block.is_empty() { TokenStream::new() } else { quote!(else { #else_block }) };
        Ok(quote! {{
            let mut condition = false;
            #test
            if condition { #then_block } #otherwise
        }})
    }
}

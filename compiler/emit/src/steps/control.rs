//! Blocks, loops and choices.

use graph::node::OriginId;
use plan::plan::{Block, Condition, IfStep, LoopStep};
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
                fn #name(run: &mut Run<'_>) -> Result<(), StepError> {
                    #(#chunk)*
                    Ok(())
                }
            });
            calls.extend(quote!(#name(run)?;));
        }
        Ok(calls)
    }

    pub(super) fn repeat(&self, step: &LoopStep, origins: &[OriginId]) -> Result<TokenStream, EmitError> {
        let mut out = self.begin(origins, "loop");
        let trip = step.trip.as_ref().map(|trip| self.size(trip));
        let limit = match &step.limit {
            Some(limit) => {
                let (prelude, value) = self.scalar(limit)?;
                Some(quote!({ #prelude #value }))
            }
            None => None,
        };
        let end = match (trip, limit) {
            (Some(trip), Some(limit)) => quote!(i64::min(#trip, #limit)),
            (Some(end), None) | (None, Some(end)) => end,
            (None, None) => quote!(i64::MAX),
        };
        // All values are read before any symbol is set.
        let values: Vec<TokenStream> = step.first.iter().map(|(_, d)| self.size(d)).collect();
        let first = self.set_all(&step.first, &values);
        out.extend(quote!(let end: i64 = #end; #first let mut iteration: i64 = 0;));
        let test = match &step.condition {
            Some(view) => {
                let (prelude, value) = self.scalar(view)?;
                let begin = self.begin(origins, "loop condition");
                quote! {
                    #begin
                    let go = { #prelude #value != 0 };
                    if !go {
                        break;
                    }
                }
            }
            None => TokenStream::new(),
        };
        let counter = self.sizes.field(step.counter);
        let body = self.block(&step.body)?;
        let mut moves = TokenStream::new();
        for carry in &step.carry {
            let copy = self.copy(&carry.from, &carry.to)?;
            moves.extend(quote!({ #copy }));
        }
        let values: Vec<TokenStream> = step.next.iter().map(|(_, d)| self.size(d)).collect();
        moves.extend(self.set_all(&step.next, &values));
        if !moves.is_empty() {
            let begin = self.begin(origins, "loop carry");
            moves = quote!(#begin #moves);
        }
        out.extend(quote! {
            while iteration < end {
                #test
                run.sizes.#counter = iteration;
                #body
                #moves
                iteration = iteration.saturating_add(1);
            }
        });
        if let Some(count) = step.count {
            out.extend(self.set(count, &quote!(iteration), false));
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

    pub(super) fn choose(&self, step: &IfStep, origins: &[OriginId]) -> Result<TokenStream, EmitError> {
        let holds = match &step.condition {
            Condition::Value(view) => {
                let (prelude, value) = self.scalar(view)?;
                quote!({ #prelude #value != 0 })
            }
            Condition::Size(size) => {
                let value = self.size(size);
                quote!(#value != 0)
            }
        };
        let begin = self.begin(origins, "condition");
        let (then_block, else_block) = (self.block(&step.then_block)?, self.block(&step.else_block)?);
        let otherwise = if else_block.is_empty() { TokenStream::new() } else { quote!(else { #else_block }) };
        Ok(quote! {{
            #begin
            let condition = #holds;
            if condition { #then_block } #otherwise
        }})
    }
}

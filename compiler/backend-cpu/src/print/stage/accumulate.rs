//! Accumulators: how they start, what a step does, what comes out.

use graph::dtype::{Class, DType};
use graph::expr::BinOp;
use graph::node::{Acc, Combiner};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use crate::error::PrintError;
use crate::print::expr::{binary, literal, rounded};
use crate::print::types::working_type;

/// An accumulator as Rust: declarations of further variables, the first value, one step on the place where it lies, and the
/// result from there.
pub(super) struct Accumulator {
    pub more: TokenStream,
    pub ty: TokenStream,
    pub start: TokenStream,
    pub step: TokenStream,
    pub end: TokenStream,
}

/// The accumulator that lies at `place`. Sums and products of 32-bit and narrower floats run in f64, in order.
pub(super) fn accumulator(
    acc: &Acc,
    from: DType,
    name: &Ident,
    place: &TokenStream,
    value: &TokenStream,
) -> Result<Accumulator, PrintError> {
    let neutral = literal(acc.combiner.neutral(acc.dtype));
    let ty = working_type(acc.dtype);
    let plain = |step: TokenStream| Accumulator {
        more: TokenStream::new(),
        ty: ty.clone(),
        start: neutral.clone(),
        step,
        end: place.clone(),
    };
    Ok(match acc.combiner {
        Combiner::Sum | Combiner::Prod if acc.dtype.is_float() => {
            let (start, op) = match acc.combiner {
                Combiner::Sum => (quote!(0.0f64), quote!(+=)),
                _ => (quote!(1.0f64), quote!(*=)),
            };
            let (step, end) = (quote!(#place #op (#value) as f64;), rounded(acc.dtype, quote!((#place as #ty))));
            Accumulator { more: TokenStream::new(), ty: quote!(f64), start, step, end }
        }
        Combiner::Sum => {
            let next = rounded(acc.dtype, quote!(#place.wrapping_add(#value)));
            plain(quote!(#place = #next;))
        }
        Combiner::Prod => {
            let next = rounded(acc.dtype, quote!(#place.wrapping_mul(#value)));
            plain(quote!(#place = #next;))
        }
        Combiner::Max | Combiner::Min => {
            let op = if acc.combiner == Combiner::Max { BinOp::Max } else { BinOp::Min };
            let next = match acc.dtype.class() {
                Class::Bool if op == BinOp::Max => quote!(#place | (#value)),
                Class::Bool => quote!(#place & (#value)),
                _ => binary(op, acc.dtype, place, value)?,
            };
            plain(quote!(#place = #next;))
        }
        Combiner::Any => plain(quote!(#place |= #value;)),
        Combiner::All => plain(quote!(#place &= #value;)),
        Combiner::ArgMax { last } | Combiner::ArgMin { last } => {
            let max = matches!(acc.combiner, Combiner::ArgMax { .. });
            let best = format_ident!("{name}_best");
            let from_ty = working_type(from);
            let better = match (max, from.is_float()) {
                (true, true) => quote!(scalar::is_above(v, b)),
                (false, true) => quote!(scalar::is_below(v, b)),
                (true, false) => quote!(v > b),
                (false, false) => quote!(v < b),
            };
            let ties = if last { quote!(|| scalar::same(v, b)) } else { TokenStream::new() };
            let step = quote! {
                let v = #value;
                let wins = match #best { None => true, Some(b) => #better #ties };
                if wins { #best = Some(v); #place = position; }
            };
            let more = quote!(let mut #best: Option<#from_ty> = None;);
            Accumulator { more, ty: quote!(i64), start: quote!(0), step, end: place.clone() }
        }
    })
}

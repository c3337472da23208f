//! Steps of a program as tokens.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use runtime_min::gpu::program::{Action, Arg, Assign, Bind, Condition, HostView, Set, Size, Step};

use super::{dtype, number, optional, size, size_table, span, table, view};
use crate::size::literal;
use crate::steps::option;

pub(super) fn step(step: &Step) -> TokenStream {
    let (action, node) = (action(&step.action), number(step.node));
    quote!(Step { action: #action, node: #node })
}

fn action(action: &Action) -> TokenStream {
    match action {
        Action::Launch { kernel, grid, shared, args } => {
            let (kernel, shared) = (number(*kernel), size(*shared));
            let grid = grid.iter().map(|g| size(*g));
            let args = table(args.iter().map(|a| arg(*a)));
            quote!(Action::Launch { kernel: #kernel, grid: [#(#grid),*], shared: #shared, args: #args })
        }
        Action::Copy { from, to, bytes } => {
            let (from, to, bytes) = (view(*from), view(*to), size(*bytes));
            quote!(Action::Copy { from: #from, to: #to, bytes: #bytes })
        }
        Action::CopyObject { from, to } => {
            let (from, to) = (number(from.0), number(to.0));
            quote!(Action::CopyObject { from: Buf(#from), to: Buf(#to) })
        }
        Action::Clear { to, bytes } => {
            let (to, bytes) = (view(*to), size(*bytes));
            quote!(Action::Clear { to: #to, bytes: #bytes })
        }
        Action::Grow { buffer, bytes } => {
            let (buffer, bytes) = (number(buffer.0), size(*bytes));
            quote!(Action::Grow { buffer: Buf(#buffer), bytes: #bytes })
        }
        Action::Host { call, operands, results, binds } => {
            let call = number(*call);
            let (operands, results) = (table(operands.iter().map(host)), table(results.iter().map(host)));
            let binds = table(binds.iter().map(bind));
            quote!(Action::Host { call: #call, operands: #operands, results: #results, binds: #binds })
        }
        Action::ReadBack { values } => {
            let values = table(values.iter().map(|value| {
                let (from, into) = (view(value.from), set(&value.set));
                let scalar = format_ident!("{}", format!("{:?}", value.scalar));
                quote!(ReadScalar { from: #from, scalar: Scalar::#scalar, set: #into })
            }));
            quote!(Action::ReadBack { values: #values })
        }
        Action::Let { values } => {
            let values = assigns(values);
            quote!(Action::Let { values: #values })
        }
        Action::Check { guard } => {
            let guard = number(*guard);
            quote!(Action::Check { guard: #guard })
        }
        Action::Loop { counter, trip, limit, condition, first, body, next, count } => {
            let (counter, trip) = (set(counter), optional(trip.map(|t: Size| size(t))));
            let (limit, condition) = (optional(limit.map(view)), optional(condition.map(view)));
            let (first, next, body) = (assigns(first), assigns(next), span(*body));
            let count = optional(count.as_ref().map(set));
            quote! {
                Action::Loop {
                    counter: #counter,
                    trip: #trip,
                    limit: #limit,
                    condition: #condition,
                    first: #first,
                    body: #body,
                    next: #next,
                    count: #count,
                }
            }
        }
        Action::If { condition, then_block, else_block } => {
            let (condition, then_block, else_block) = (holds(condition), span(*then_block), span(*else_block));
            quote!(Action::If { condition: #condition, then_block: #then_block, else_block: #else_block })
        }
    }
}

fn holds(condition: &Condition) -> TokenStream {
    match condition {
        Condition::Value(place) => {
            let place = view(*place);
            quote!(Condition::Value(#place))
        }
        Condition::Size(value) => {
            let value = size(*value);
            quote!(Condition::Size(#value))
        }
    }
}

fn arg(arg: Arg) -> TokenStream {
    match arg {
        Arg::Read(place) => {
            let place = view(place);
            quote!(Arg::Read(#place))
        }
        Arg::Write(place) => {
            let place = view(place);
            quote!(Arg::Write(#place))
        }
        Arg::Size64(value) => {
            let value = size(value);
            quote!(Arg::Size64(#value))
        }
        Arg::Size32(value) => {
            let value = size(value);
            quote!(Arg::Size32(#value))
        }
        Arg::Divisor(value) => {
            let value = size(value);
            quote!(Arg::Divisor(#value))
        }
        Arg::Map(map) => {
            let map = number(map);
            quote!(Arg::Map(#map))
        }
    }
}

fn host(place: &HostView) -> TokenStream {
    let (buffer, kind) = (number(place.buffer.0), dtype(place.dtype));
    let (dims, offset) = (size_table(&place.dims), size(place.offset));
    quote!(HostView { buffer: Buf(#buffer), dtype: #kind, dims: #dims, offset: #offset })
}

fn set(set: &Set) -> TokenStream {
    let (slot, symbol, lo, hi, then) = (number(set.slot), set.symbol, literal(set.lo), option(set.hi), span(set.then));
    quote!(Set { slot: #slot, symbol: #symbol, lo: #lo, hi: #hi, then: #then })
}

fn assigns(list: &[Assign]) -> TokenStream {
    table(list.iter().map(|assign| {
        let (value, into) = (size(assign.value), set(&assign.set));
        quote!(Assign { value: #value, set: #into })
    }))
}

fn bind(bind: &Bind) -> TokenStream {
    let (result, axis, into) = (number(bind.result), number(bind.axis), set(&bind.set));
    quote!(Bind { result: #result, axis: #axis, set: #into })
}

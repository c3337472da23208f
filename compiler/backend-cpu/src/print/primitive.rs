//! Scatter, sort, compact and prefix as Rust: scalar loops, and the runtime's orders.

use std::collections::BTreeMap;

use graph::dim::{Dim, SymId};
use graph::dtype::{Class, DType};
use graph::expr::BinOp;
use graph::node::{Combiner, ScatterMode};
use graph::symbol::Symbols;
use nest::kernel::{Kernel, ScatterKernel};
use nest::layout::Access;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use crate::error::PrintError;
use crate::print::address::{SizePrinter, integer};
use crate::print::expr::{binary, literal, rounded};
use crate::print::function::{extents, operand, result};
use crate::print::stage::{Sink, Source, StagePrinter, StageSpec, element, store};

fn size(dim: &Dim) -> TokenStream {
    let symbols = Symbols::default();
    let name = |id: SymId| {
        let name = format_ident!("p{}", id.0);
        quote!(#name)
    };
    SizePrinter { symbols: &symbols, name: &name }.size(dim)
}

/// The address at named indices.
fn address(access: &Access, index: &[TokenStream]) -> TokenStream {
    let offset = size(&access.offset);
    let mut sum = quote!(#offset);
    for (d, (i, stride)) in index.iter().zip(&access.strides).enumerate() {
        let stride = size(stride);
        sum = match access.block.filter(|b| b.dim == d) {
            Some(b) => {
                let factor = integer(b.factor);
                quote!(#sum + (#i / #factor) * #stride + #i % #factor)
            }
            None => quote!(#sum + #i * #stride),
        };
    }
    quote!((#sum))
}

/// Loops over extents, around a body that knows the indices.
fn loops(shape: &[Dim], prefix: &str, body: impl FnOnce(&[TokenStream]) -> TokenStream) -> TokenStream {
    let names: Vec<Ident> = (0..shape.len()).map(|d| format_ident!("{prefix}{d}")).collect();
    let index: Vec<TokenStream> = names.iter().map(|n| quote!(#n)).collect();
    let mut out = body(&index);
    for (name, extent) in names.iter().zip(shape).rev() {
        let extent = size(extent);
        out = quote!(for #name in 0..#extent { #out });
    }
    out
}

pub(super) fn scatter(
    kernel: &Kernel,
    scatter: &ScatterKernel,
    sources: Vec<Source>,
) -> Result<TokenStream, PrintError> {
    let (Some(base), Some(target)) = (kernel.operands.first(), kernel.results.first()) else {
        return Err(PrintError::Malformed("a scatter without a base"));
    };
    let (x, y) = (operand(0), result(0));
    let copy = loops(&base.shape, "b", |index| {
        let (from, to) = (address(&base.access, index), address(&target.access, index));
        let value = element(&x, base.dtype, &from);
        store(&y, target.dtype, &to, value)
    });
    let spec = StageSpec {
        parallel: &scatter.domain,
        reduce: &[],
        exprs: &scatter.exprs,
        accs: &[],
        sources: &sources,
        block: None,
        given: BTreeMap::new(),
        tile: None,
        slab: false,
        lanes: None,
    };
    let mut values = scatter.index.clone();
    values.push(scatter.value);
    let (mode, dtype) = (scatter.mode, base.dtype);
    let access = target.access.clone();
    let shape: Vec<TokenStream> = target.shape.iter().map(size).collect();
    let combined = match mode {
        ScatterMode::Last => quote!(value),
        ScatterMode::Combine(combiner) => combine(combiner, dtype, &quote!(old), &quote!(value))?,
    };
    let print = Box::new(move |printed: &[TokenStream]| {
        let (value, index) = match printed.split_last() {
            Some(parts) => parts,
            None => return TokenStream::new(),
        };
        let names: Vec<TokenStream> = (0..index.len())
            .map(|d| {
                let name = format_ident!("at{d}");
                quote!(#name)
            })
            .collect();
        let to = address(&access, &names);
        let old = match mode {
            ScatterMode::Last => TokenStream::new(),
            ScatterMode::Combine(_) => {
                let old = element(&y, dtype, &quote!(to));
                quote!(let old = #old;)
            }
        };
        let write = store(&y, dtype, &quote!(to), combined.clone());
        quote! {
            #(let #names: i64 = #index;)*
            if #(#names >= 0 && #names < #shape &&)* true {
                let to = #to;
                let value = #value;
                #old
                #write
            }
        }
    });
    let updates = StagePrinter::new(&spec, kernel.params, &extents(kernel)).print(&[Sink::Custom { values, print }])?;
    Ok(quote!(#copy #updates))
}

fn combine(
    combiner: Combiner,
    dtype: DType,
    old: &TokenStream,
    value: &TokenStream,
) -> Result<TokenStream, PrintError> {
    let boolean = dtype.class() == Class::Bool;
    Ok(match combiner {
        Combiner::Sum => binary(BinOp::Add, dtype, old, value)?,
        Combiner::Prod => binary(BinOp::Mul, dtype, old, value)?,
        Combiner::Max if boolean => quote!(#old | #value),
        Combiner::Min if boolean => quote!(#old & #value),
        Combiner::Max => binary(BinOp::Max, dtype, old, value)?,
        Combiner::Min => binary(BinOp::Min, dtype, old, value)?,
        Combiner::Any => quote!(#old | #value),
        Combiner::All => quote!(#old & #value),
        Combiner::ArgMax { .. } | Combiner::ArgMin { .. } => {
            return Err(PrintError::Malformed("a position cannot be combined"));
        }
    })
}

/// Sorts lines along an axis: positions are put in order in scratch, by keys and then by position, which makes it stable. Only as
/// many are sorted as are stored.
pub(super) fn sort(kernel: &Kernel, axis: usize, descending: bool) -> Result<TokenStream, PrintError> {
    let keys = kernel.operands.len();
    let (Some(first), Some(limit)) = (kernel.operands.first(), kernel.results.first()) else {
        return Err(PrintError::Malformed("a sort without keys"));
    };
    let extent = first.shape.get(axis).ok_or(PrintError::Malformed("no such axis"))?;
    let count = limit.shape.get(axis).ok_or(PrintError::Malformed("no such axis"))?;
    let (extent, count) = (size(extent), size(count));
    let mut lines = first.shape.clone();
    lines[axis] = Dim::constant(1);
    let mut order = TokenStream::new();
    for (k, port) in kernel.operands.iter().enumerate() {
        let name = operand(k);
        let line = |at: &Ident, index: &[TokenStream]| {
            let mut index = index.to_vec();
            index[axis] = quote!(#at);
            element(&name, port.dtype, &address(&port.access, &index))
        };
        let names: Vec<TokenStream> = (0..lines.len())
            .map(|d| {
                let n = format_ident!("l{d}");
                quote!(#n)
            })
            .collect();
        let (a, b) = (line(&format_ident!("a"), &names), line(&format_ident!("b"), &names));
        let compare = match port.dtype.class() {
            Class::Float => quote!(scalar::order_floats((#a) as f64, (#b) as f64)),
            Class::Signed | Class::Unsigned | Class::Bool | Class::Str => quote!((#a).cmp(&(#b))),
        };
        let compare = if descending { quote!(#compare.reverse()) } else { compare };
        order = if k == 0 { compare } else { quote!(#order.then_with(|| #compare)) };
    }
    let mut writes = TokenStream::new();
    for (k, port) in kernel.results.iter().enumerate() {
        let (name, to) = (result(k), line_address(&port.access, lines.len(), axis, &quote!(i)));
        let value = if k < keys {
            let port = &kernel.operands[k];
            element(&operand(k), port.dtype, &line_address(&port.access, lines.len(), axis, &quote!(from)))
        } else {
            quote!(from)
        };
        writes.extend(store(&name, port.dtype, &to, value));
    }
    let lines_loops = loops(&lines, "l", |_| {
        quote! {
            for (i, slot) in scratch.iter_mut().enumerate() { *slot = i as i64; }
            let count = scalar::count(#count);
            scalar::sort_first(scratch, count, |a, b| { let (a, b) = (*a, *b); (#order).then(a.cmp(&b)) });
            for (i, from) in scratch.iter().copied().enumerate().take(count) {
                let i = i as i64;
                #writes
            }
        }
    });
    Ok(quote! {
        let scratch = scalar::row_mut(scratch, 0, #extent)?;
        #lines_loops
    })
}

fn line_address(access: &Access, rank: usize, axis: usize, at: &TokenStream) -> TokenStream {
    let index: Vec<TokenStream> = (0..rank)
        .map(|d| {
            let name = format_ident!("l{d}");
            if d == axis { at.clone() } else { quote!(#name) }
        })
        .collect();
    address(access, &index)
}

pub(super) fn compact(kernel: &Kernel) -> Result<TokenStream, PrintError> {
    let ([mask], [positions, count]) = (kernel.operands.as_slice(), kernel.results.as_slice()) else {
        return Err(PrintError::Malformed("a compact without a mask or a count"));
    };
    let (Some(extent), Some(bound)) = (mask.shape.first(), positions.shape.first()) else {
        return Err(PrintError::Malformed("a mask of rank 0"));
    };
    let (extent, bound) = (size(extent), size(bound));
    let flag = element(&operand(0), DType::Bool, &address(&mask.access, &[quote!(i)]));
    let put = store(&result(0), DType::I64, &address(&positions.access, &[quote!(found)]), quote!(i));
    let rest = store(&result(0), DType::I64, &address(&positions.access, &[quote!(k)]), quote!(0i64));
    let total = store(&result(1), DType::I64, &address(&count.access, &[]), quote!(found));
    Ok(quote! {
        let mut found = 0i64;
        for i in 0..#extent {
            if #flag && found < #bound {
                #put
                found += 1;
            }
        }
        for k in found..#bound {
            #rest
        }
        #total
    })
}

pub(super) fn prefix(
    kernel: &Kernel,
    axis: usize,
    combiner: Combiner,
    exclusive: bool,
    reverse: bool,
) -> Result<TokenStream, PrintError> {
    let ([from], [to]) = (kernel.operands.as_slice(), kernel.results.as_slice()) else {
        return Err(PrintError::Malformed("a prefix of several tensors"));
    };
    let mut lines = from.shape.clone();
    let extent = lines.get(axis).cloned().ok_or(PrintError::Malformed("no such axis"))?;
    lines[axis] = Dim::constant(1);
    let extent = size(&extent);
    let dtype = from.dtype;
    let wide = dtype.is_float() && matches!(combiner, Combiner::Sum | Combiner::Prod);
    let (start, next, value) = if wide {
        let neutral = if combiner == Combiner::Sum { quote!(0.0f64) } else { quote!(1.0f64) };
        let op = if combiner == Combiner::Sum { quote!(+) } else { quote!(*) };
        let ty = crate::print::types::working_type(dtype);
        (neutral, quote!(run #op (v as f64)), rounded(dtype, quote!((run as #ty))))
    } else {
        (literal(combiner.neutral(dtype)), combine(combiner, dtype, &quote!(run), &quote!(v))?, quote!(run))
    };
    let read = element(&operand(0), dtype, &line_address(&from.access, lines.len(), axis, &quote!(i)));
    let write = store(&result(0), dtype, &line_address(&to.access, lines.len(), axis, &quote!(i)), value);
    let step =
        if exclusive { quote!(let v = #read; #write run = #next;) } else { quote!(let v = #read; run = #next; #write) };
    let position = if reverse { quote!(#extent - 1 - k) } else { quote!(k) };
    Ok(loops(&lines, "l", |_| {
        quote! {
            let mut run = #start;
            for k in 0..#extent {
                let i = #position;
                #step
            }
        }
    }))
}

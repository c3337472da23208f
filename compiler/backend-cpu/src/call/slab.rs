//! The call of a loop nest that threads may share in slabs of its result.

use nest::kernel::{Body, Kernel};
use plan::plan::View;
use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use super::CallSite;
use crate::claim::BLOCK;
use crate::error::PrintError;
use crate::print::{lanes_dim, slab_dims};

/// Operations of an element of the result, about, beside those of its reductions.
const PER_ELEMENT: i64 = 16;
/// Operations below which a nest is never cut.
const SMALL: i64 = 1 << 19;

/// The call of a nest with a parameter for its slab: in slabs, or as a whole where it is known to be small. None: it has no
/// such parameter.
pub(super) fn call(
    site: &CallSite<'_>,
    kernel: &Kernel,
    name: &Ident,
    sizes: &[TokenStream],
) -> Result<Option<TokenStream>, PrintError> {
    let dims = slab_dims(kernel);
    let (reads, [view], [write]) = (site.reads, site.launch.writes.as_slice(), site.writes) else { return Ok(None) };
    if dims.is_empty() {
        return Ok(None);
    }
    let factors = factors(site, kernel, view);
    let known = factors.iter().try_fold(PER_ELEMENT, |product, factor| match factor {
        Factor::Known(value) => product.checked_mul((*value).max(0)),
        Factor::Size(_) => None,
    });
    let other_blocks = view.access.block.is_some_and(|b| b.factor != BLOCK);
    if known.is_some_and(|work| work < SMALL) || other_blocks {
        return Ok(Some(quote! {
            kernels::nests::#name(
                runtime::cpu::isa::Isa::detect(), #(#reads,)* #write, &runtime::cpu::slab::Slab::ALL, &[#(#sizes),*]
            )
        }));
    }
    let names: Vec<Ident> = (0..reads.len()).map(|k| format_ident!("x{k}")).collect();
    let lanes = lanes_dim(kernel);
    let axes = (0..view.shape.len()).map(|d| axis(site, view, d, dims.contains(&d), lanes == Some(d)));
    let axes = axes.collect::<Result<Vec<_>, _>>()?;
    let offset = (site.size)(&view.access.offset);
    let work = factors.iter().map(|factor| match factor {
        Factor::Known(value) => {
            let value = Literal::i64_unsuffixed((*value).max(0));
            quote!(#value)
        }
        Factor::Size(tokens) => quote!(runtime::cpu::scalar::count(#tokens)),
    });
    let per_element = Literal::i64_unsuffixed(PER_ELEMENT);
    Ok(Some(quote! {{
        let isa = runtime::cpu::isa::Isa::detect();
        #(let #names = #reads;)*
        let y0 = #write;
        let sizes = [#(#sizes),*];
        let work = runtime::crew::work(&[#(#work,)* #per_element]);
        let axes = [#(#axes),*];
        runtime::cpu::slab::slabs(run.crew, work, &axes, #offset, y0, |slab, y0| {
            kernels::nests::#name(isa, #(#names,)* y0, slab, &sizes)
        })
    }}))
}

/// A factor of the work of a nest.
enum Factor {
    Known(i64),
    Size(TokenStream),
}

/// Extents of the result, and of the reductions of the stage that has most.
fn factors(site: &CallSite<'_>, kernel: &Kernel, view: &View) -> Vec<Factor> {
    let factor = |dim: &graph::dim::Dim| dim.as_const().map_or_else(|| Factor::Size((site.size)(dim)), Factor::Known);
    let mut out: Vec<Factor> = view.shape.iter().map(factor).collect();
    let Body::Nest(nest) = &kernel.body else { return out };
    let Some(stage) = nest.stages.iter().max_by_key(|stage| stage.reduce.len()) else { return out };
    // Other bounds than a parameter count as 1.
    let parameter = |dim: &graph::dim::Dim| {
        let param = dim.as_symbol()?;
        site.launch.sizes.get(param.0 as usize).map(factor)
    };
    out.extend(stage.reduce.iter().filter_map(|extent| match extent.bound.as_const() {
        Some(value) => Some(Factor::Known(value)),
        None => parameter(&extent.bound),
    }));
    out
}

/// The axis of a dim of the result; one that runs in lanes is cut between blocks.
fn axis(site: &CallSite<'_>, view: &View, d: usize, cut: bool, lanes: bool) -> Result<TokenStream, PrintError> {
    let missing = PrintError::Malformed("no such dim");
    let extent = view.shape.get(d).map(site.size).ok_or(missing.clone())?;
    let stride = view.access.strides.get(d).map(site.size).ok_or(missing)?;
    let role = if cut {
        let d = Literal::usize_unsuffixed(d);
        quote!(runtime::crew::Role::Dim(#d))
    } else {
        quote!(runtime::crew::Role::X)
    };
    let blocked = view.access.block.is_some_and(|b| b.dim == d);
    Ok(if blocked || (cut && lanes) {
        quote!(runtime::crew::Axis { role: #role, ..runtime::crew::Axis::channels(1, #extent, #stride, #blocked) })
    } else {
        quote!(runtime::crew::Axis::dim(#role, 1, 1, #extent, #stride))
    })
}

//! How the call of a claim is cut for the threads of a session: the axes of its results, and what its kernel can be cut along.

use plan::plan::{Plan, View};
use proc_macro2::TokenStream;
use quote::quote;

use super::{CallSite, tile_map};
use crate::claim::BLOCK;
use crate::code::CpuCode;
use crate::error::PrintError;
use crate::print::TileMap;

/// Expressions for each result, and for the cut over `axes`.
pub(super) struct Parts {
    /// Arrays of axes.
    pub axes: Vec<TokenStream>,
    /// First elements.
    pub offsets: Vec<TokenStream>,
    pub cut: TokenStream,
}

/// What a claim's call is cut into; `sizes` are the kernel's own.
pub(super) fn parts(
    plan: &Plan<CpuCode>,
    site: &CallSite<'_>,
    code: &CpuCode,
    sizes: &[TokenStream],
) -> Result<Parts, PrintError> {
    let rank = site.launch.writes.first().map_or(0, |w| w.shape.len());
    let map = tile_map(code, rank);
    let mut axes = Vec::new();
    let mut offsets = Vec::new();
    let mut whole = false;
    for view in &site.launch.writes {
        axes.push(axes_of(view, &map, code, site)?);
        offsets.push((site.size)(&view.access.offset));
        // Packed elements have no slices of their own, and other blocks no axes.
        let bits = plan.buffers.get(view.buffer.0 as usize).map_or(0, |b| b.dtype.bits());
        whole |= bits < 8 || view.access.block.is_some_and(|b| b.dim != map.c || b.factor != BLOCK);
    }
    let roles: &[&str] = match code {
        _ if whole => &[],
        CpuCode::Conv(_) => &["N", "C", "Y", "X"],
        CpuCode::Depthwise(_) | CpuCode::Pool { .. } => &["N", "C"],
        CpuCode::Gemm(_) => &["N", "X", "C"],
        CpuCode::Rows(_) => &["N"],
        CpuCode::Recurrent(_) | CpuCode::Nms(_) => &[],
    };
    let roles = roles.iter().map(|r| quote::format_ident!("{r}"));
    let (count, scale) = work(code, sizes);
    let results = (0..axes.len()).map(proc_macro2::Literal::usize_unsuffixed);
    let cut = quote! {
        runtime::crew::Cut::of(
            run.crew.parts(),
            runtime::crew::work(&[#(#count,)* #scale]),
            &[#(runtime::crew::Role::#roles),*],
            &[#(&axes[#results]),*],
        )
    };
    Ok(Parts { axes, offsets, cut })
}

/// Sizes, and a number, whose product is about the multiply-adds of a call.
fn work<'a>(code: &CpuCode, sizes: &'a [TokenStream]) -> (Vec<&'a TokenStream>, TokenStream) {
    let some = |positions: &[usize]| positions.iter().filter_map(|p| sizes.get(*p)).collect::<Vec<_>>();
    let number = |value: i64| {
        let value = proc_macro2::Literal::i64_unsuffixed(value.max(1));
        quote!(#value)
    };
    match code {
        CpuCode::Gemm(_) => (sizes.iter().collect(), number(1)),
        CpuCode::Conv(conv) => {
            (some(&[0, 1, 2, 6, 7, 8]), number(conv.kernel.iter().product::<i64>() / conv.groups.max(1)))
        }
        CpuCode::Depthwise(window) | CpuCode::Pool { window, .. } => {
            (some(&[0, 1, 4, 5]), number(window.kernel[0] * window.kernel[1]))
        }
        CpuCode::Rows(_) | CpuCode::Recurrent(_) | CpuCode::Nms(_) => (sizes.iter().collect(), number(8)),
    }
}

fn axes_of(view: &View, map: &TileMap, code: &CpuCode, site: &CallSite<'_>) -> Result<TokenStream, PrintError> {
    let missing = PrintError::Malformed("no such dim");
    let extent = |d: usize| view.shape.get(d).map(site.size).ok_or(missing.clone());
    let stride = |d: usize| view.access.strides.get(d).map(site.size).ok_or(missing.clone());
    let product = |dims: &[usize]| -> Result<TokenStream, PrintError> {
        let factors = dims.iter().map(|d| extent(*d)).collect::<Result<Vec<_>, _>>()?;
        Ok(quote!(1 #(* #factors)*))
    };
    let mut out = Vec::new();
    for (role, dims, before) in [("N", &map.n, &[][..]), ("Y", &map.y, &[]), ("X", &map.x, &map.y)] {
        let role = quote::format_ident!("{role}");
        for (k, d) in dims.iter().enumerate() {
            let (done, left) = dims.split_at(k);
            let outer: Vec<usize> = before.iter().chain(done).copied().collect();
            let (outer, inner) = (product(&outer)?, product(left.get(1..).unwrap_or_default())?);
            let (extent, stride) = (extent(*d)?, stride(*d)?);
            out.push(quote!(runtime::crew::Axis::dim(runtime::crew::Role::#role, #outer, #inner, #extent, #stride)));
        }
    }
    // Windows walk over planes: blocks can be cut where there is one image.
    let outer = match code {
        CpuCode::Depthwise(_) | CpuCode::Pool { .. } => product(&map.n)?,
        CpuCode::Conv(_) | CpuCode::Gemm(_) | CpuCode::Rows(_) | CpuCode::Recurrent(_) | CpuCode::Nms(_) => {
            quote!(1)
        }
    };
    let (extent, stride, blocked) = (extent(map.c)?, stride(map.c)?, view.access.block.is_some());
    out.push(quote!(runtime::crew::Axis::channels(#outer, #extent, #stride, #blocked)));
    Ok(quote!([#(#out),*]))
}

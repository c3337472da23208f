//! The call of a launch, and the files with the functions that calls name.

mod cut;
mod nms;
mod recurrent;
mod slab;

use graph::dim::Dim;
use nest::kernel::{Body, Kernel};
use plan::plan::{Action, Block, Claimed, Code, CodeId, Launch, Plan, View};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::code::{ConvCode, ConvKind, CpuCode, GemmB, GemmCode, PoolMode, RowsCode, WindowCode};
use crate::error::PrintError;
use crate::print::{TileMap, float32, print_epilogue, print_kernel};

/// What a call may refer to: expressions for the slices of its launch and for sizes.
pub struct CallSite<'a> {
    pub launch: &'a Launch,
    pub reads: &'a [TokenStream],
    pub writes: &'a [TokenStream],
    pub workspace: Option<TokenStream>,
    pub size: &'a dyn Fn(&Dim) -> TokenStream,
}

/// The file with all kernels, and the one with all epilogues, by module name; empty ones are left out.
pub fn kernel_files(plan: &Plan<CpuCode>) -> Result<Vec<(&'static str, TokenStream)>, PrintError> {
    let mut nests = TokenStream::new();
    let mut epilogues = TokenStream::new();
    for (k, code) in plan.codes.iter().enumerate() {
        let doc = describe(plan, CodeId(k as u32));
        match code {
            Code::Kernel(kernel) => nests.extend(print_kernel(kernel, &format!("k{k}"), &doc)?.tokens),
            Code::Claimed(claimed) => {
                if let Some(epilogue) = &claimed.epilogue {
                    let map = tile_map(&claimed.code, rank(epilogue)?);
                    let name = format!("e{k}");
                    epilogues.extend(print_epilogue(epilogue, claimed.results, &map, &name, &doc)?.tokens);
                }
            }
        }
    }
    let mut files = Vec::new();
    for (name, doc, items) in [
        ("nests", " Loop nests: everything that no kernel family runs.", nests),
        ("epilogues", " What follows on the results of kernel families, one tile at a time.", epilogues),
    ] {
        if items.is_empty() {
            continue;
        }
        let uses = uses(&items.to_string());
        files.push((name, quote!(#![doc = #doc] #uses #items)));
    }
    Ok(files)
}

/// The imports that a text needs.
fn uses(text: &str) -> TokenStream {
    let mut out = TokenStream::new();
    let mut add = |needle: &str, import: TokenStream| {
        if text.contains(needle) {
            out.extend(import);
        }
    };
    add(
        "KernelError",
        quote!(
            use super::super::runtime::cpu::KernelError;
        ),
    );
    add(
        "Isa",
        quote!(
            use super::super::runtime::cpu::isa::Isa;
        ),
    );
    add(
        "vectorize",
        quote!(
            use super::super::runtime::cpu::isa::vectorize;
        ),
    );
    add(
        "Work for",
        quote!(
            use super::super::runtime::cpu::isa::Work;
        ),
    );
    add(
        "math ::",
        quote!(
            use super::super::runtime::cpu::math;
        ),
    );
    add(
        "narrow ::",
        quote!(
            use super::super::runtime::cpu::narrow;
        ),
    );
    add(
        "scalar ::",
        quote!(
            use super::super::runtime::cpu::scalar;
        ),
    );
    add(
        "Slab",
        quote!(
            use super::super::runtime::cpu::slab::Slab;
        ),
    );
    add(
        "Tile",
        quote!(
            use super::super::runtime::cpu::tile::Tile;
        ),
    );
    add(
        "half_round ::",
        quote!(
            use super::super::runtime::half_round;
        ),
    );
    add(
        "size ::",
        quote!(
            use super::super::runtime::sizes as size;
        ),
    );
    out
}

/// Names of the ONNX nodes that a code runs, for its doc comment.
fn describe(plan: &Plan<CpuCode>, code: CodeId) -> String {
    let mut names: Vec<String> = Vec::new();
    collect(&plan.body, code, &mut |origins| {
        for origin in origins {
            if let Some(origin) = plan.origins.get(origin.0 as usize) {
                // Within a code span nothing is markup.
                let name = format!("{} {:?}", origin.op_type.escape_debug(), origin.name).replace('`', "'");
                if !names.contains(&name) && names.len() < 8 {
                    names.push(name);
                }
            }
        }
    });
    if names.is_empty() { " Moves values.".to_string() } else { format!(" `{}`", names.join("`, `")) }
}

fn collect(block: &Block, code: CodeId, visit: &mut dyn FnMut(&[graph::node::OriginId])) {
    for step in &block.steps {
        match &step.action {
            Action::Launch(launch) if launch.code == code => visit(&step.origins),
            Action::Loop(inner) => collect(&inner.body, code, visit),
            Action::If(inner) => {
                collect(&inner.then_block, code, visit);
                collect(&inner.else_block, code, visit);
            }
            Action::Launch(_)
            | Action::Copy { .. }
            | Action::Clear { .. }
            | Action::Host(_)
            | Action::ReadBack { .. }
            | Action::Let { .. }
            | Action::Check { .. } => {}
        }
    }
}

fn rank(epilogue: &Kernel) -> Result<usize, PrintError> {
    match &epilogue.body {
        Body::Nest(nest) => nest.stages.first().map(|s| s.inner.len()).ok_or(PrintError::Malformed("no stage")),
        Body::Scatter(_) | Body::Sort { .. } | Body::Compact | Body::Prefix { .. } => {
            Err(PrintError::Malformed("an epilogue that is no nest"))
        }
    }
}

pub(crate) fn tile_map(code: &CpuCode, rank: usize) -> TileMap {
    match code {
        CpuCode::Gemm(gemm) => {
            let batch = (0..rank).filter(|d| !gemm.result_rows.contains(d) && *d != gemm.result_column).collect();
            TileMap { n: batch, y: Vec::new(), x: gemm.result_rows.clone(), c: gemm.result_column }
        }
        // The last dim is columns, what lies between it and the channels rows.
        CpuCode::Conv(_) | CpuCode::Depthwise(_) | CpuCode::Pool { .. } => {
            let last = rank.saturating_sub(1);
            TileMap { n: vec![0], y: (2..last).collect(), x: vec![last], c: 1 }
        }
        CpuCode::Rows(_) | CpuCode::Recurrent(_) | CpuCode::Nms(_) => {
            let last = rank.saturating_sub(1);
            TileMap { n: (0..last).collect(), y: Vec::new(), x: Vec::new(), c: last }
        }
    }
}

/// The call: an expression of type `Result<(), KernelError>`.
pub fn print_call(plan: &Plan<CpuCode>, site: &CallSite<'_>) -> Result<TokenStream, PrintError> {
    let code = plan.codes.get(site.launch.code.0 as usize).ok_or(PrintError::Malformed("no such code"))?;
    let sizes: Vec<TokenStream> = site.launch.sizes.iter().map(|d| (site.size)(d)).collect();
    let id = site.launch.code.0;
    let (reads, writes) = (site.reads, site.writes);
    match code {
        Code::Kernel(kernel) => {
            let name = format_ident!("k{id}");
            if let Some(call) = slab::call(site, kernel, &name, &sizes)? {
                return Ok(call);
            }
            let scratch = match (&kernel.body, &site.workspace) {
                (Body::Sort { .. }, Some(workspace)) => quote!(#workspace,),
                (Body::Sort { .. }, None) => return Err(PrintError::Malformed("a sort without scratch")),
                _ => TokenStream::new(),
            };
            Ok(quote! {
                kernels::nests::#name(
                    runtime::cpu::isa::Isa::detect(), #(#reads,)* #(#writes,)* #scratch &[#(#sizes),*]
                )
            })
        }
        Code::Claimed(claimed) => claimed_call(plan, site, claimed, id, &sizes),
    }
}

fn claimed_call(
    plan: &Plan<CpuCode>,
    site: &CallSite<'_>,
    claimed: &Claimed<CpuCode>,
    id: u32,
    sizes: &[TokenStream],
) -> Result<TokenStream, PrintError> {
    let missing = PrintError::Malformed("a launch with too few operands or sizes");
    let counts: Vec<TokenStream> = sizes.iter().map(|s| quote!(runtime::cpu::scalar::count(#s))).collect();
    match &claimed.code {
        CpuCode::Recurrent(code) => return recurrent::recurrent_call(site, code, claimed.derived, &counts),
        CpuCode::Nms(code) => return nms::nms_call(site, *code, &counts),
        CpuCode::Gemm(_) | CpuCode::Conv(_) | CpuCode::Depthwise(_) | CpuCode::Pool { .. } | CpuCode::Rows(_) => {}
    }
    let own = claimed.operands + claimed.derived;
    let (inputs, extra) = site.reads.split_at_checked(own).ok_or(missing.clone())?;
    let (own_sizes, epilogue_sizes) = sizes.split_at_checked(claimed.sizes).ok_or(missing.clone())?;
    let names: Vec<_> = (0..inputs.len()).map(|k| format_ident!("x{k}")).collect();
    let extras: Vec<_> = (0..extra.len()).map(|k| format_ident!("z{k}")).collect();
    let results: Vec<_> = (0..site.writes.len()).map(|k| format_ident!("y{k}")).collect();
    let writes = site.writes;
    // A product takes its operands' offsets as numbers; the others start at the slice's first element.
    let by_number = matches!(claimed.code, CpuCode::Gemm(_));
    let inputs: Vec<TokenStream> = inputs
        .iter()
        .zip(&site.launch.reads)
        .map(|(slice, view)| if by_number { slice.clone() } else { offset(view, site, slice.clone()) })
        .collect();
    let values: Vec<TokenStream> = own_sizes.iter().map(|s| quote!(runtime::cpu::scalar::count(#s))).collect();
    let workspace = match &site.workspace {
        Some(workspace) => quote!(let workspace: &mut [f32] = #workspace;),
        None => quote!(let workspace: &mut [f32] = &mut [];),
    };
    let parts = cut::parts(plan, site, &claimed.code, &values)?;
    let epilogue = format_ident!("e{id}");
    let call = family_call(site, &claimed.code, &values)?;
    let lend = call.to_string().contains("workspace").then(|| {
        quote! {
            let workspace: &mut [f32] = match space {
                Some(own) => own,
                None => scratch,
            };
        }
    });
    let lent = if lend.is_some() { [quote!(space), quote!(scratch)] } else { [quote!(_), quote!(_)] };
    let [space, own_scratch] = lent;
    let (axes, offsets, cut) = (&parts.axes, &parts.offsets, &parts.cut);
    let count = results.len();
    let (positions, own): (Vec<_>, Vec<_>) =
        (0..count).map(|k| (proc_macro2::Literal::usize_unsuffixed(k), format_ident!("t{k}"))).unzip();
    Ok(quote! {{
        let isa = runtime::cpu::isa::Isa::detect();
        #(let #names = #inputs;)*
        #(let #extras = #extra;)*
        #(let mut #results = #writes;)*
        #workspace
        let scratch = workspace.len();
        let sizes = [#(#epilogue_sizes),*];
        let axes = [#(#axes),*];
        let cut = #cut;
        let (mut space, mut at) = (Some(workspace), [0i64; #count]);
        let mut states: [_; runtime::crew::MOST] = core::array::from_fn(|part| (
            (#(cut.take(part, &mut #results, &mut at[#positions], #offsets, &axes[#positions]),)*),
            space.take(),
            Ok(()),
        ));
        let states = states.get_mut(..cut.parts()).unwrap_or_default();
        let done = run.crew.each(states, scratch, |part, ((#(#own,)*), #space, done), #own_scratch| {
            #lend
            let starts = [#(#own.0),*];
            let mut failed = None;
            let mut store = |tile: &runtime::cpu::tile::Tile, acc: &[f32]| {
                let done =
                    kernels::epilogues::#epilogue(isa, tile, acc, #(#extras,)* #(&mut *#own.1,)* &starts, &sizes);
                if let Err(error) = done {
                    failed.get_or_insert(error);
                }
            };
            let called = #call;
            *done = called.and_then(|()| failed.map_or(Ok(()), Err));
        });
        match done {
            Ok(()) => states.iter().try_for_each(|state| state.2),
            Err(_) => Err(runtime::cpu::KernelError::Shape { rule: "every thread of the session lives" }),
        }
    }})
}

fn family_call(site: &CallSite<'_>, code: &CpuCode, sizes: &[TokenStream]) -> Result<TokenStream, PrintError> {
    match code {
        CpuCode::Gemm(gemm) => gemm_call(site, gemm, sizes),
        CpuCode::Conv(conv) => conv_call(conv, sizes),
        CpuCode::Depthwise(window) => {
            let window = window_tokens(window, sizes)?;
            Ok(quote! {{
                let window = #window;
                runtime::cpu::depthwise::depthwise(isa, &window, window.part(&cut, part), x0, x1, &mut store)
            }})
        }
        CpuCode::Pool { window, mode } => {
            let window = window_tokens(window, sizes)?;
            let call = match mode {
                PoolMode::Max => {
                    quote!(runtime::cpu::pool::max_pool(isa, &window, window.part(&cut, part), x0, &mut store))
                }
                PoolMode::Average { count_padding } => quote! {
                    runtime::cpu::pool::average_pool(isa, &window, #count_padding, window.part(&cut, part), x0, &mut store)
                },
            };
            Ok(quote!({ let window = #window; #call }))
        }
        CpuCode::Recurrent(_) | CpuCode::Nms(_) => Err(PrintError::Malformed("a family that takes no epilogue")),
        CpuCode::Rows(rows) => {
            let (length, outer) = sizes.split_last().ok_or(PrintError::Malformed("rows without a length"))?;
            let work = match rows {
                RowsCode::Softmax { log: false } => quote!(Softmax),
                RowsCode::Softmax { log: true } => quote!(LogSoftmax),
                RowsCode::Norm { center, eps } => {
                    let eps = float32(f32::from_bits(*eps));
                    if *center { quote!(LayerNorm { eps: #eps }) } else { quote!(RmsNorm { eps: #eps }) }
                }
            };
            Ok(quote! {{
                let rows = 1 #(* #outer)*;
                let some = cut.range(runtime::crew::Role::N, part, rows);
                runtime::cpu::each_row::each_row(
                    isa, runtime::cpu::each_row::RowWork::#work, some, (rows, #length), x0, workspace, &mut store
                )
            }})
        }
    }
}

/// The slice from a view's first element on.
fn offset(view: &View, site: &CallSite<'_>, slice: TokenStream) -> TokenStream {
    if view.access.offset.is(0) {
        return slice;
    }
    let at = (site.size)(&view.access.offset);
    quote!(#slice.get(runtime::cpu::scalar::count(#at)..).unwrap_or_default())
}

/// The same of what is written.
fn offset_mut(view: &View, site: &CallSite<'_>, slice: TokenStream) -> TokenStream {
    if view.access.offset.is(0) {
        return slice;
    }
    let at = (site.size)(&view.access.offset);
    quote!(#slice.get_mut(runtime::cpu::scalar::count(#at)..).unwrap_or_default())
}

fn gemm_call(site: &CallSite<'_>, gemm: &GemmCode, sizes: &[TokenStream]) -> Result<TokenStream, PrintError> {
    let missing = PrintError::Malformed("a product with too few operands or sizes");
    let (batch, mnk) = sizes.split_at_checked(gemm.batch.len()).ok_or(missing.clone())?;
    let [m, n, k] = mnk else { return Err(missing) };
    let a = site.launch.reads.first().ok_or(missing.clone())?;
    let stride = |view: &View, dim: usize| {
        let stride = view.access.strides.get(dim).ok_or(PrintError::Malformed("no such dim"))?;
        Ok::<_, PrintError>((site.size)(stride))
    };
    let a_offset = (site.size)(&a.access.offset);
    let a_columns = stride(a, gemm.a_k)?;
    let a_rows = match gemm.a_row {
        Some(dim) => stride(a, dim)?,
        None => quote!(#k as i64),
    };
    let b = site.launch.reads.get(1).ok_or(missing.clone())?;
    let second = match gemm.b {
        GemmB::Packed => quote!(Packed(x1)),
        GemmB::Strided { k, n } => {
            let (offset, rows, columns) = ((site.size)(&b.access.offset), stride(b, k)?, stride(b, n)?);
            quote! {
                Strided(runtime::cpu::product::Matrix { data: x1, offset: #offset, rows: #rows, columns: #columns })
            }
        }
    };
    let mut dims = Vec::new();
    for ((in_a, in_b), extent) in gemm.batch.iter().zip(batch) {
        let a = in_a.map_or_else(|| Ok(quote!(0)), |d| stride(a, d))?;
        let b = in_b.map_or_else(|| Ok(quote!(0)), |d| stride(b, d))?;
        dims.push(quote!(runtime::cpu::product::Batch { extent: #extent, a: #a, b: #b }));
    }
    Ok(quote! {{
        let batch: &[runtime::cpu::product::Batch] = &[#(#dims),*];
        runtime::cpu::product::product(
            isa,
            &runtime::cpu::product::Share::of(&cut, part, batch, (#m, #n)),
            batch,
            (#m, #n, #k),
            runtime::cpu::product::Matrix { data: x0, offset: #a_offset, rows: #a_rows, columns: #a_columns },
            runtime::cpu::product::Second::#second,
            workspace,
            &mut store,
        )
    }})
}

fn array<const N: usize>(values: [i64; N]) -> TokenStream {
    let values = values.map(|v| proc_macro2::Literal::i64_unsuffixed(v.max(0)));
    quote!([#(#values),*])
}

fn conv_call(conv: &ConvCode, sizes: &[TokenStream]) -> Result<TokenStream, PrintError> {
    let [batch, inputs, outputs, d, h, w, od, oh, ow, front, top, left] = sizes else {
        return Err(PrintError::Malformed("a convolution needs twelve sizes"));
    };
    let (kernel, strides, dilations) = (array(conv.kernel), array(conv.strides), array(conv.dilations));
    let groups = proc_macro2::Literal::i64_unsuffixed(conv.groups.max(1));
    let described = quote! {
        runtime::cpu::conv::ConvShape {
            batch: #batch,
            in_blocks: #inputs.div_ceil(16),
            out_blocks: #outputs.div_ceil(16),
            groups: #groups,
            input: [#d, #h, #w],
            output: [#od, #oh, #ow],
            kernel: #kernel,
            strides: #strides,
            dilations: #dilations,
            pads: [#front, #top, #left],
        }
    };
    Ok(match conv.kind {
        ConvKind::Stem => quote! {{
            let stem = runtime::cpu::stem::Stem { in_channels: #inputs, conv: #described };
            let own = stem.conv.part(&cut, part);
            runtime::cpu::stem::conv_stem(isa, &stem, &own, x0, x1, workspace, &mut store)
        }},
        ConvKind::Blocks => quote! {{
            let conv = #described;
            runtime::cpu::conv::conv(isa, &conv, &conv.part(&cut, part), x0, x1, &mut store)
        }},
        ConvKind::Transposed => quote! {{
            let conv = #described;
            runtime::cpu::conv_transpose::conv_transpose(isa, &conv, &conv.part(&cut, part), x0, x1, &mut store)
        }},
    })
}

fn window_tokens(window: &WindowCode, sizes: &[TokenStream]) -> Result<TokenStream, PrintError> {
    let [batch, channels, h, w, oh, ow, top, left, bottom, right] = sizes else {
        return Err(PrintError::Malformed("a window walk needs ten sizes"));
    };
    let (kernel, strides, dilations) = (array(window.kernel), array(window.strides), array(window.dilations));
    Ok(quote! {
        runtime::cpu::window::Window {
            batch: #batch,
            blocks: #channels.div_ceil(16),
            input: [#h, #w],
            output: [#oh, #ow],
            kernel: #kernel,
            strides: #strides,
            dilations: #dilations,
            pads: [#top, #left],
            pads_end: [#bottom, #right],
        }
    })
}

/// Files of the runtime that a plan's kernels and calls need, as paths under the runtime's sources.
pub fn runtime_files(plan: &Plan<CpuCode>) -> Vec<&'static str> {
    if plan.codes.is_empty() { Vec::new() } else { RUNTIME.to_vec() }
}

const RUNTIME: &[&str] = &["cpu", "half_round.rs"];

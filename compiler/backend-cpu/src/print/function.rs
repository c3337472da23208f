//! Whole functions.

use std::collections::BTreeMap;

use graph::dim::Dim;
use nest::kernel::{Body, Kernel, Nest, Stage, Target};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use crate::error::PrintError;
use crate::print::primitive;
use crate::print::slab::slab_dims;
use crate::print::stage::{Lanes, Sink, Source, StagePrinter, StageSpec, TileLoop, entries, slice_type};

/// A printed function.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: Ident,
    pub tokens: TokenStream,
}

/// Names of operands and results in a function.
pub(super) fn operand(k: usize) -> Ident {
    format_ident!("x{k}")
}

pub(super) fn result(k: usize) -> Ident {
    format_ident!("y{k}")
}

/// Parameters of a function over slices.
pub(super) fn parameters(kernel: &Kernel, skip: usize) -> Vec<TokenStream> {
    let reads = kernel.operands.iter().enumerate().skip(skip).map(|(k, port)| {
        let (name, ty) = (operand(k), slice_type(port.dtype));
        quote!(#name: &#ty)
    });
    let writes = kernel.results.iter().enumerate().map(|(k, port)| {
        let (name, ty) = (result(k), slice_type(port.dtype));
        quote!(#name: &mut #ty)
    });
    reads.chain(writes).collect()
}

/// `let [p0, p1, …] = *p;`
pub(super) fn unpack(params: usize) -> TokenStream {
    let names = (0..params).map(|k| format_ident!("p{k}"));
    quote!(let [#(#names),*] = *p;)
}

/// Every extent of a kernel's ports and domains: what a parameter that is not negative may be.
pub(super) fn extents(kernel: &Kernel) -> Vec<Dim> {
    let ports = kernel.operands.iter().chain(&kernel.results).flat_map(|p| p.shape.iter().cloned());
    let mut out: Vec<Dim> = ports.collect();
    match &kernel.body {
        Body::Nest(nest) => {
            out.extend(nest.outer.iter().cloned());
            for stage in &nest.stages {
                out.extend(stage.inner.iter().cloned());
                out.extend(stage.reduce.iter().map(|e| e.bound.clone()));
            }
        }
        Body::Scatter(scatter) => out.extend(scatter.domain.iter().cloned()),
        Body::Sort { .. } | Body::Compact | Body::Prefix { .. } => {}
    }
    out
}

fn memory(kernel: &Kernel) -> Vec<Source> {
    let sources = kernel.operands.iter().enumerate();
    sources.map(|(k, port)| Source::Memory { name: operand(k), port: port.clone() }).collect()
}

/// A kernel as `pub fn name(isa, operands…, results…, p) -> Result<(), KernelError>`; a nest with [`slab_dims`] takes its slab
/// before `p`, a sort scratch for one position per element of its axis.
pub fn print_kernel(kernel: &Kernel, name: &str, doc: &str) -> Result<Function, PrintError> {
    let body = match &kernel.body {
        Body::Nest(nest) => nest_body(kernel, nest)?,
        Body::Scatter(scatter) => primitive::scatter(kernel, scatter, memory(kernel))?,
        Body::Sort { axis, descending } => primitive::sort(kernel, *axis, *descending)?,
        Body::Compact => primitive::compact(kernel)?,
        Body::Prefix { axis, combiner, exclusive, reverse } => {
            primitive::prefix(kernel, *axis, *combiner, *exclusive, *reverse)?
        }
    };
    let wide = matches!(kernel.body, Body::Nest(_)) && is_vectorised(kernel);
    Ok(function(kernel, name, doc, body, wide))
}

/// Only float and integer work on whole elements gains from wide vectors; the rest is compiled once.
fn is_vectorised(kernel: &Kernel) -> bool {
    kernel.results.iter().all(|r| r.dtype.bits() >= 8)
}

fn function(kernel: &Kernel, name: &str, doc: &str, body: TokenStream, wide: bool) -> Function {
    let name = format_ident!("{name}");
    let params = parameters(kernel, 0);
    let scratch = matches!(kernel.body, Body::Sort { .. }).then(|| quote!(scratch: &mut [i64],));
    let count = kernel.params;
    let unpack = unpack(count);
    let tokens = if wide {
        let mut given = slices(kernel, 0);
        if !slab_dims(kernel).is_empty() {
            given.push(Slice { name: format_ident!("slab"), ty: quote!(Slab), mutable: false });
        }
        shell(&name, doc, &given, count, &body)
    } else {
        quote! {
            #[doc = #doc]
            pub fn #name(_isa: Isa, #(#params,)* #scratch p: &[i64; #count]) -> Result<(), KernelError> {
                #unpack
                #body
                Ok(())
            }
        }
    };
    Function { name, tokens }
}

/// Names and types of the slices of a function, as references.
fn slices(kernel: &Kernel, skip: usize) -> Vec<Slice> {
    let slice = |name: Ident, dtype, mutable| Slice { name, ty: slice_type(dtype), mutable };
    let reads = kernel.operands.iter().enumerate().skip(skip).map(|(k, port)| slice(operand(k), port.dtype, false));
    reads.chain(kernel.results.iter().enumerate().map(|(k, port)| slice(result(k), port.dtype, true))).collect()
}

/// A parameter by reference.
struct Slice {
    name: Ident,
    ty: TokenStream,
    mutable: bool,
}

/// A function that runs its body in code compiled for the level at hand: the body is a function of references, so that the
/// compiler knows that they do not overlap; a `Work` takes it into the shell of each level.
fn shell(name: &Ident, doc: &str, slices: &[Slice], count: usize, body: &TokenStream) -> TokenStream {
    let (inner, work) = (format_ident!("{name}_body"), format_ident!("{}", name.to_string().to_uppercase()));
    let typed = |lifetime: &TokenStream| -> Vec<TokenStream> {
        let one = |s: &Slice| {
            let (name, ty) = (&s.name, &s.ty);
            if s.mutable { quote!(#name: &#lifetime mut #ty) } else { quote!(#name: &#lifetime #ty) }
        };
        slices.iter().map(one).collect()
    };
    let (fields, params) = (typed(&quote!('a)), typed(&TokenStream::new()));
    let names: Vec<&Ident> = slices.iter().map(|s| &s.name).collect();
    let unpack = unpack(count);
    quote! {
        #[doc = #doc]
        pub fn #name(isa: Isa, #(#params,)* p: &[i64; #count]) -> Result<(), KernelError> {
            vectorize(isa, #work { #(#names,)* p })
        }

        struct #work<'a> {
            #(#fields,)*
            p: &'a [i64; #count],
        }

        impl Work for #work<'_> {
            type Output = Result<(), KernelError>;
            #[inline(always)]
            fn run(self) -> Self::Output {
                #inner(#(self.#names,)* self.p)
            }
        }

        #[inline(always)]
        fn #inner(#(#params,)* p: &[i64; #count]) -> Result<(), KernelError> {
            #unpack
            #body
            Ok(())
        }
    }
}

fn nest_body(kernel: &Kernel, nest: &Nest) -> Result<TokenStream, PrintError> {
    let extents = extents(kernel);
    let slab = !slab_dims(kernel).is_empty();
    let mut given = BTreeMap::new();
    let mut sources = memory(kernel);
    let mut stages = TokenStream::new();
    let outer: Vec<Ident> = (0..nest.outer.len()).map(|d| format_ident!("o{d}")).collect();
    for (d, name) in outer.iter().enumerate() {
        given.insert(d, quote!(#name));
    }
    let mut kept = 0;
    for stage in &nest.stages {
        let parallel: Vec<Dim> = nest.outer.iter().chain(&stage.inner).cloned().collect();
        let spec = StageSpec {
            parallel: &parallel,
            reduce: &stage.reduce,
            exprs: &stage.exprs,
            accs: &stage.accs,
            sources: &sources,
            block: first_block(kernel, stage),
            given: given.clone(),
            tile: None,
            slab: slab && nest.stages.len() == 1,
            lanes: if nest.stages.len() == 1 { Lanes::of(kernel, nest.outer.len(), stage) } else { None },
        };
        let mut sinks = Vec::new();
        let mut names = Vec::new();
        for out in &stage.outs {
            match &out.target {
                Target::Store { result: k, index } => {
                    let port = kernel.results.get(*k).ok_or(PrintError::Malformed("no such result"))?.clone();
                    sinks.push(Sink::Store {
                        name: result(*k),
                        port,
                        value: out.value,
                        index: index.clone(),
                        start: slab.then(|| quote!(slab.start)),
                    });
                }
                Target::Keep => {
                    if !stage.inner.is_empty() {
                        return Err(PrintError::Unsupported("a kept row"));
                    }
                    let name = format_ident!("k{kept}");
                    kept += 1;
                    let slot = name.clone();
                    let print = Box::new(move |values: &[TokenStream]| {
                        let value = &values[0];
                        quote!(#slot = #value;)
                    });
                    sinks.push(Sink::Custom { values: vec![out.value], print });
                    names.push((name, stage.exprs.dtype(out.value)));
                }
            }
        }
        let tokens = StagePrinter::new(&spec, kernel.params, &extents).print(&sinks)?;
        for (name, dtype) in names {
            let ty = crate::print::types::working_type(dtype);
            stages.extend(quote!(let #name: #ty;));
            sources.push(Source::Value(quote!(#name)));
        }
        stages.extend(if nest.outer.is_empty() && nest.stages.len() == 1 { tokens } else { quote!({ #tokens }) });
    }
    let name = |id: graph::dim::SymId| {
        let name = format_ident!("p{}", id.0);
        quote!(#name)
    };
    let symbols = graph::symbol::Symbols::default();
    let printer = crate::print::address::SizePrinter { symbols: &symbols, name: &name };
    for (d, extent) in nest.outer.iter().enumerate().rev() {
        let (name, extent) = (&outer[d], printer.size(extent));
        let entries = entries(Some(d), &extent, slab);
        stages = quote!(for #name in #entries { #stages });
    }
    Ok(stages)
}

/// The block of the first stored result.
pub(super) fn first_block(kernel: &Kernel, stage: &Stage) -> Option<nest::layout::Block> {
    stage.outs.iter().find_map(|out| match &out.target {
        Target::Store { result, .. } => kernel.results.get(*result).and_then(|p| p.access.block),
        Target::Keep => None,
    })
}

/// How a claim's tile coordinates map to the dims of its result: `n`, `y` and `x` run over dims in row-major order, `c` over
/// one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileMap {
    pub n: Vec<usize>,
    pub y: Vec<usize>,
    pub x: Vec<usize>,
    pub c: usize,
}

/// An epilogue as a function over one tile: `pub fn name(tile: &Tile, acc: &[f32], operands…, results…, starts, p)`. The first
/// `virtual_operands` operands are the tile's values; `starts` are the positions in the buffers at which the results begin.
pub fn print_epilogue(
    kernel: &Kernel,
    virtual_operands: usize,
    map: &TileMap,
    name: &str,
    doc: &str,
) -> Result<Function, PrintError> {
    let Body::Nest(nest) = &kernel.body else { return Err(PrintError::Malformed("an epilogue that is no nest")) };
    let [stage] = nest.stages.as_slice() else { return Err(PrintError::Malformed("an epilogue of several stages")) };
    if virtual_operands != 1 {
        return Err(PrintError::Unsupported("a claim of several results"));
    }
    let rank = stage.inner.len();
    let mut given = BTreeMap::new();
    let symbols = graph::symbol::Symbols::default();
    let param = |id: graph::dim::SymId| {
        let name = format_ident!("p{}", id.0);
        quote!(#name)
    };
    let printer = crate::print::address::SizePrinter { symbols: &symbols, name: &param };
    let mut lets = TokenStream::new();
    let channels = stage.inner.get(map.c).ok_or(PrintError::Malformed("no such dim"))?;
    let channels = printer.size(channels);
    let coordinates = [("n", &map.n), ("y", &map.y), ("x", &map.x)];
    for (coordinate, dims) in coordinates {
        let source = format_ident!("t_{coordinate}");
        let mut rest = quote!(#source);
        for (k, d) in dims.iter().enumerate().rev() {
            let name = format_ident!("g{d}");
            let extent = stage.inner.get(*d).ok_or(PrintError::Malformed("no such dim"))?;
            let extent = printer.size(extent);
            if k == 0 {
                lets.extend(quote!(let #name: i64 = #rest;));
            } else {
                lets.extend(quote!(let #name: i64 = (#rest) % #extent;));
                rest = quote!((#rest) / #extent);
            }
            given.insert(*d, quote!(#name));
        }
    }
    for d in 0..rank {
        if !given.contains_key(&d) && d != map.c {
            return Err(PrintError::Malformed("a dim that no tile coordinate covers"));
        }
    }
    let mut sources = vec![Source::Tile(format_ident!("values"))];
    sources.extend(memory(kernel).into_iter().skip(1));
    let mut sinks = Vec::new();
    for out in &stage.outs {
        if let Target::Store { result: k, index } = &out.target {
            let port = kernel.results.get(*k).ok_or(PrintError::Malformed("no such result"))?.clone();
            let start = format_ident!("s{k}");
            let start = Some(quote!(#start));
            sinks.push(Sink::Store { name: result(*k), port, value: out.value, index: index.clone(), start });
        }
    }
    let extents = extents(kernel);
    let lanes = |count: Option<TokenStream>| {
        let tile = TileLoop { dim: map.c, block: quote!(block), count: count.clone() };
        let spec = StageSpec {
            parallel: &stage.inner,
            reduce: &[],
            exprs: &stage.exprs,
            accs: &[],
            sources: &sources,
            block: None,
            given: given.clone(),
            tile: Some(tile),
            slab: false,
            lanes: None,
        };
        let tokens = StagePrinter::new(&spec, kernel.params, &extents).print(&sinks)?;
        let count = count.unwrap_or_else(|| quote!(16));
        Ok::<_, PrintError>(quote! {
            for xi in 0..tile.xs {
                let t_x = (tile.x + xi) as i64;
                let values = scalar::row(acc, (xi * tile.stride) as i64 + done, #count)?;
                #lets
                #tokens
            }
        })
    };
    let (whole, part) = (lanes(None)?, lanes(Some(quote!(count)))?);
    let starts = (0..kernel.results.len()).map(|k| format_ident!("s{k}"));
    let count = kernel.results.len();
    let body = quote! {
        let [#(#starts),*] = *starts;
        let (t_n, t_y) = (tile.n as i64, tile.y as i64);
        let width = i64::min(tile.cs as i64, #channels - tile.c as i64);
        for cb in 0..size::ceil_div(width, 16) {
            let (block, done) = (tile.c as i64 / 16 + cb, 16 * cb);
            let count = i64::min(16, width - done);
            if count == 16 { #whole } else { #part }
        }
    };
    let name = format_ident!("{name}");
    let reference = |name: &str, ty: TokenStream| Slice { name: format_ident!("{name}"), ty, mutable: false };
    let mut given = vec![reference("tile", quote!(Tile)), reference("acc", quote!([f32]))];
    given.extend(slices(kernel, 1));
    given.push(reference("starts", quote!([i64; #count])));
    let tokens = shell(&name, doc, &given, kernel.params, &body);
    Ok(Function { name, tokens })
}

//! A program as `static` tables of a crate, its PTX and machine code as files beside them.
//!
//! ```text
//! static PROGRAM: Program = Program { name: "digits", .., sizes: Cow::Borrowed(&[SizeOp::Const(4), ..]), .. };
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use runtime_min::gpu::program::{
    Bound, Buffer, Guard, InputPort, Kernel, MapShape, Memory, Module, OutputPort, Place, Point, Program, Size, SizeOp,
    Span, TensorMap, View,
};

use crate::model::Contents;
use crate::names::snake;
use crate::size::literal;
use crate::steps::option;

mod steps;

/// A program's items, and its files by path relative to the file of the items.
pub struct PrintedProgram {
    pub items: TokenStream,
    pub files: BTreeMap<String, Contents>,
}

/// Prints a program as the static of this name; its kernels' files begin with `prefix`.
pub fn print_program(program: &Program, name: &str, prefix: &str) -> PrintedProgram {
    let mut files = BTreeMap::new();
    let modules: Vec<TokenStream> =
        program.modules.iter().enumerate().map(|(k, m)| module(m, &format!("{prefix}{k:03}"), &mut files)).collect();
    let modules = table(modules);
    let doc = Literal::string(&format!(
        " Sizes, buffers, {} kernels and {} steps for {}.",
        program.kernels.len(),
        program.steps.len(),
        spell(program)
    ));
    let name = format_ident!("{name}");
    let Program {
        name: model,
        target,
        sizes,
        prepared,
        slots,
        bounds,
        guards,
        inputs,
        outputs,
        states,
        arena,
        buffers,
        objects,
        constants,
        modules: _,
        kernels,
        maps,
        nodes,
        steps: _,
        body,
        points,
    } = program;
    let (capability, specific) = (number(target.capability), target.specific);
    let (prepared, slots, objects, constants) =
        (number(*prepared), number(*slots), number(*objects), number(*constants));
    let sizes = table(sizes.iter().map(|op| size_op(*op)));
    let bounds = table(bounds.iter().map(bound));
    let guards = table(guards.iter().map(guard));
    let inputs = table(inputs.iter().map(input));
    let outputs = table(outputs.iter().map(output));
    let states = table(states.iter().map(memory));
    let arena = memory(arena);
    let buffers = table(buffers.iter().map(buffer));
    let kernels = table(kernels.iter().map(kernel));
    let maps = table(maps.iter().map(map));
    let nodes = table(nodes.iter().map(|n| {
        let (name, op) = (n.name, n.op);
        quote!(Node { name: #name, op: #op })
    }));
    let steps = table(program.steps.iter().map(steps::step));
    let body = span(*body);
    let points = table(points.iter().map(point));
    let items = quote! {
        #[doc = #doc]
        pub static #name: Program = Program {
            name: #model,
            target: Target { capability: #capability, specific: #specific },
            sizes: #sizes,
            prepared: #prepared,
            slots: #slots,
            bounds: #bounds,
            guards: #guards,
            inputs: #inputs,
            outputs: #outputs,
            states: #states,
            arena: #arena,
            buffers: #buffers,
            objects: #objects,
            constants: #constants,
            modules: #modules,
            kernels: #kernels,
            maps: #maps,
            nodes: #nodes,
            steps: #steps,
            body: #body,
            points: #points,
        };
    };
    PrintedProgram { items, files }
}

/// The target as users know it.
pub fn spell(program: &Program) -> String {
    let suffix = if program.target.specific { "a" } else { "" };
    format!("sm_{}{suffix}", program.target.capability)
}

fn table(items: impl IntoIterator<Item = TokenStream>) -> TokenStream {
    let items = items.into_iter();
    quote!(Cow::Borrowed(&[#(#items),*]))
}

fn number(value: u32) -> Literal {
    Literal::u32_unsuffixed(value)
}

fn numbers(values: &[u32]) -> TokenStream {
    let values = values.iter().map(|v| number(*v));
    quote!([#(#values),*])
}

fn optional(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(Some(#value)),
        None => quote!(None),
    }
}

fn size(size: Size) -> TokenStream {
    let k = number(size.0);
    quote!(Size(#k))
}

fn size_table(sizes: &[Size]) -> TokenStream {
    table(sizes.iter().map(|s| size(*s)))
}

fn span(span: Span) -> TokenStream {
    let (start, end) = (number(span.start), number(span.end));
    quote!(Span { start: #start, end: #end })
}

fn size_op(op: SizeOp) -> TokenStream {
    let one = |name: &str, a: Size| {
        let (name, a) = (format_ident!("{name}"), size(a));
        quote!(SizeOp::#name(#a))
    };
    let two = |name: &str, a: Size, b: Size| {
        let (name, a, b) = (format_ident!("{name}"), size(a), size(b));
        quote!(SizeOp::#name(#a, #b))
    };
    match op {
        SizeOp::Const(value) => {
            let value = literal(value);
            quote!(SizeOp::Const(#value))
        }
        SizeOp::InputDim { input, axis } => {
            let (input, axis) = (number(input), number(axis));
            quote!(SizeOp::InputDim { input: #input, axis: #axis })
        }
        SizeOp::Slot(slot) => {
            let slot = number(slot);
            quote!(SizeOp::Slot(#slot))
        }
        SizeOp::Multiprocessors => quote!(SizeOp::Multiprocessors),
        SizeOp::Resident { kernel } => {
            let kernel = number(kernel);
            quote!(SizeOp::Resident { kernel: #kernel })
        }
        SizeOp::Add(a, b) => two("Add", a, b),
        SizeOp::Mul(a, b) => two("Mul", a, b),
        SizeOp::FloorDiv(a, b) => two("FloorDiv", a, b),
        SizeOp::CeilDiv(a, b) => two("CeilDiv", a, b),
        SizeOp::Mod(a, b) => two("Mod", a, b),
        SizeOp::Min(a, b) => two("Min", a, b),
        SizeOp::Max(a, b) => two("Max", a, b),
        SizeOp::Eq(a, b) => two("Eq", a, b),
        SizeOp::Le(a, b) => two("Le", a, b),
        SizeOp::Divides(a, b) => two("Divides", a, b),
        SizeOp::Not(a) => one("Not", a),
        SizeOp::And(a, b) => two("And", a, b),
        SizeOp::Or(a, b) => two("Or", a, b),
        SizeOp::Select(p, a, b) => {
            let (p, a, b) = (size(p), size(a), size(b));
            quote!(SizeOp::Select(#p, #a, #b))
        }
    }
}

fn bound(bound: &Bound) -> TokenStream {
    let (symbol, value, lo, hi) = (bound.symbol, size(bound.value), literal(bound.lo), option(bound.hi));
    quote!(Bound { symbol: #symbol, value: #value, lo: #lo, hi: #hi })
}

fn guard(guard: &Guard) -> TokenStream {
    let (holds, what) = (size(guard.holds), guard.what);
    let node = optional(guard.node.map(|n| {
        let n = number(n);
        quote!(#n)
    }));
    quote!(Guard { holds: #holds, what: #what, node: #node })
}

fn dtype(dtype: runtime_min::datum::DType) -> TokenStream {
    let name = format_ident!("{}", format!("{dtype:?}"));
    quote!(DType::#name)
}

fn memory(memory: &Memory) -> TokenStream {
    let bytes = optional(memory.bytes.map(size));
    let most = optional(memory.most.map(|most| {
        let most = Literal::u64_unsuffixed(most);
        quote!(#most)
    }));
    quote!(Memory { bytes: #bytes, most: #most })
}

fn input(port: &InputPort) -> TokenStream {
    let (name, expected, dims) = (port.name, port.expected, size_table(&port.dims));
    let (kind, memory) = (optional(port.dtype.map(dtype)), memory(&port.memory));
    quote!(InputPort { name: #name, expected: #expected, dtype: #kind, dims: #dims, memory: #memory })
}

fn output(port: &OutputPort) -> TokenStream {
    let (name, dims, buffer) = (port.name, size_table(&port.dims), number(port.buffer.0));
    let (kind, memory) = (optional(port.dtype.map(dtype)), memory(&port.memory));
    quote!(OutputPort { name: #name, dtype: #kind, dims: #dims, buffer: Buf(#buffer), memory: #memory })
}

fn buffer(buffer: &Buffer) -> TokenStream {
    let bytes = size(buffer.bytes);
    let numbered = |name: &str, k: u32| {
        let (name, k) = (format_ident!("{name}"), number(k));
        quote!(Place::#name(#k))
    };
    let place = match buffer.place {
        Place::Arena { offset } => {
            let offset = size(offset);
            quote!(Place::Arena { offset: #offset })
        }
        Place::Weight { offset, bytes } => {
            let (offset, bytes) = (Literal::u64_unsuffixed(offset), Literal::u64_unsuffixed(bytes));
            quote!(Place::Weight { offset: #offset, bytes: #bytes })
        }
        Place::Input(k) => numbered("Input", k),
        Place::Output(k) => numbered("Output", k),
        Place::State(k) => numbered("State", k),
        Place::Growable => quote!(Place::Growable),
        Place::Object(k) => numbered("Object", k),
        Place::InputObject(k) => numbered("InputObject", k),
        Place::Constant(k) => numbered("Constant", k),
    };
    quote!(Buffer { bytes: #bytes, place: #place })
}

fn module(module: &Module, stem: &str, files: &mut BTreeMap<String, Contents>) -> TokenStream {
    let name = module.name;
    let stem = format!("kernels/{stem}_{}", snake(name));
    let ptx = format!("{stem}.ptx");
    files.insert(ptx.clone(), Contents::text(module.ptx.to_string()));
    let cubins: Vec<TokenStream> = module
        .cubins
        .iter()
        .map(|cubin| {
            let suffix = if cubin.specific { "a" } else { "" };
            let path = format!("{stem}.sm_{}{suffix}.cubin", cubin.capability);
            files.insert(path.clone(), Contents(vec![Bytes::copy_from_slice(&cubin.bytes)]));
            let (capability, specific) = (number(cubin.capability), cubin.specific);
            quote! {
                Cubin {
                    capability: #capability,
                    specific: #specific,
                    bytes: Cow::Borrowed(include_bytes!(#path)),
                }
            }
        })
        .collect();
    let cubins = table(cubins);
    quote!(Module { name: #name, ptx: Cow::Borrowed(include_str!(#ptx)), cubins: #cubins })
}

fn kernel(kernel: &Kernel) -> TokenStream {
    let (module, entry, shared) = (number(kernel.module), kernel.entry, number(kernel.shared_limit));
    let (block, cluster) = (numbers(&kernel.block), numbers(&kernel.cluster));
    let (cooperative, dependent) = (kernel.cooperative, kernel.dependent);
    quote! {
        Kernel {
            module: #module,
            entry: #entry,
            block: #block,
            cluster: #cluster,
            shared_limit: #shared,
            cooperative: #cooperative,
            dependent: #dependent,
        }
    }
}

fn view(view: View) -> TokenStream {
    let (buffer, offset) = (number(view.buffer.0), size(view.offset));
    quote!(View { buffer: Buf(#buffer), offset: #offset })
}

fn map(map: &TensorMap) -> TokenStream {
    let (view, nan_fill) = (view(map.view), map.nan_fill);
    let (extents, strides) = (size_table(&map.extents), size_table(&map.strides));
    let steps = numbers(&map.element_strides);
    let element = format_ident!("{}", format!("{:?}", map.element));
    let swizzle = format_ident!("{}", format!("{:?}", map.swizzle));
    let promotion = format_ident!("{}", format!("{:?}", map.promotion));
    let shape = match &map.shape {
        MapShape::Tiled { tile } => {
            let tile = numbers(tile);
            quote!(MapShape::Tiled { tile: Cow::Borrowed(&#tile) })
        }
        MapShape::Im2col { lower, upper, channels, pixels } => {
            let corner = |list: &[i32]| {
                let list = list.iter().map(|v| literal(i64::from(*v)));
                quote!(Cow::Borrowed(&[#(#list),*]))
            };
            let (lower, upper) = (corner(lower), corner(upper));
            let (channels, pixels) = (number(*channels), number(*pixels));
            quote!(MapShape::Im2col { lower: #lower, upper: #upper, channels: #channels, pixels: #pixels })
        }
    };
    quote! {
        TensorMap {
            view: #view,
            element: MapElement::#element,
            extents: #extents,
            strides: #strides,
            element_strides: Cow::Borrowed(&#steps),
            shape: #shape,
            swizzle: Swizzle::#swizzle,
            promotion: Promotion::#promotion,
            nan_fill: #nan_fill,
        }
    }
}

fn point(point: &Point) -> TokenStream {
    let dims = point.dims.iter().map(|d| literal(*d));
    quote!(Point { dims: Cow::Borrowed(&[#(#dims),*]) })
}

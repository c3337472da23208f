//! `plan.rs` of a model: sizes, buffers and steps.

use std::collections::BTreeSet;

use graph::dim::SymId;
use graph::symbol::SymSource;
use graph::ty::Type;
use plan::plan::{Border, Place, Plan};
use proc_macro2::{Ident, Literal, Spacing, TokenStream, TokenTree};
use quote::{format_ident, quote};

use crate::error::EmitError;
use crate::names::one_line;
use crate::size::{SizeTable, literal};
use crate::slots::{BorderNames, Slot, Slots, is_object, storage, storage_count};
use crate::steps::{PrintedSteps, Steps, describe, option};
use crate::target::TargetPrinter;
use crate::weight_table::WeightTable;

/// Everything about a plan that printing needs.
pub struct PlanContext<'a, C> {
    pub plan: &'a Plan<C>,
    pub names: BorderNames,
    pub sizes: SizeTable<'a>,
    pub slots: Slots,
    pub weights: WeightTable,
    /// Symbols that inputs give values, in order.
    pub dims: Vec<SymId>,
}

impl<'a, C> PlanContext<'a, C> {
    /// Places weights and buffers.
    pub fn new(plan: &'a Plan<C>) -> Result<Self, EmitError> {
        let names = BorderNames::of(plan);
        let sizes = SizeTable::new(&plan.symbols);
        let weights = WeightTable::of(plan)?;
        let slots = Slots::of(plan, &names, &weights, &sizes)?;
        if !sizes.known_at_start(&plan.arena) {
            return Err(EmitError::Arena { size: sizes.text(&plan.arena) });
        }
        let mut bound = BTreeSet::new();
        for border in &plan.inputs {
            let shape = border.ty.as_tensor().map_or(&[][..], |t| t.shape.as_slice());
            bound.extend(shape.iter().filter_map(|d| d.as_symbol()));
        }
        let known = |id: &SymId| plan.symbols.get(*id).is_some_and(|s| s.source == SymSource::Input);
        let dims = bound.into_iter().filter(known).collect();
        Ok(PlanContext { plan, names, sizes, slots, weights, dims })
    }

    /// Whether an input is given by the caller, and not kept by the session.
    pub fn is_given(&self, border: &Border) -> bool {
        let buffer = self.plan.buffers.get(border.view.buffer.0 as usize);
        !buffer.is_some_and(|b| matches!(b.place, Place::State(_)))
    }
}

/// Whether a border is a tensor of bytes.
pub fn is_tensor<C>(plan: &Plan<C>, border: &Border) -> bool {
    plan.buffers.get(border.view.buffer.0 as usize).is_some_and(|b| !is_object(b))
}

/// The file, and the host operators that it calls.
pub fn print<C>(
    cx: &PlanContext<'_, C>,
    target: &dyn TargetPrinter<C>,
) -> Result<(TokenStream, Vec<&'static graph::host::HostOp>), EmitError> {
    let steps = Steps::print(cx.plan, target, &cx.slots, &cx.sizes)?;
    let outputs = print_outputs(cx)?;
    let states = print_states(cx)?;
    let buffers = print_buffers(cx);
    let io = print_io(cx);
    let dims = print_dims(cx);
    let guards = print_guards(cx);
    // Last, as everything above asks for sizes.
    let sizes = print_sizes(cx, guards)?;
    let PrintedSteps { body, functions, nodes, hosts } = steps;
    let count = Literal::usize_unsuffixed(nodes.len());
    let nodes = nodes.iter().map(|(name, op)| {
        let (name, op) = (Literal::string(name), Literal::string(op));
        quote!(Node { name: #name, op: #op })
    });
    let run = if body.is_empty() && states.is_empty() { quote!(_run) } else { quote!(run) };
    let items = quote! {
        /// The ONNX nodes of every step.
        pub const NODES: [Node; #count] = [#(#nodes),*];

        #dims
        #sizes
        #io
        #buffers

        /// A call under way.
        pub struct Run<'a> {
            pub io: Io<'a>,
            pub buffers: &'a mut Buffers,
            pub sizes: &'a mut Sizes,
            pub profile: &'a mut Profile,
        }

        /// Runs the model: sizes and buffers are made ready, then every step runs.
        pub fn call(dims: Dims, run: &mut Run<'_>) -> Result<(), Error> {
            run.sizes.prepare(dims)?;
            run.buffers.prepare(run.sizes).map_err(StepError::at_border)?;
            steps(run).map_err(|e| run.profile.error(&NODES, e))?;
            run.profile.end();
            Ok(())
        }

        fn steps(#run: &mut Run<'_>) -> Result<(), StepError> {
            #body
            #states
            Ok(())
        }

        #(#functions)*
        #outputs
    };
    let mut uses = TokenStream::new();
    for module in ["bridge", "copy", "datum", "host", "memory", "sizes"] {
        if mentions_module(&items, module) {
            let module = format_ident!("{module}");
            uses.extend(quote!(use super::runtime::#module;));
        }
    }
    if mentions_module(&items, "kernels") {
        uses.extend(quote!(
            use super::kernels;
        ));
    }
    if mentions_module(&items, "runtime") {
        uses.extend(quote!(
            use super::runtime;
        ));
    }
    if mentions(&items, "Datum") {
        uses.extend(quote!(
            use super::runtime::datum::Datum;
        ));
    }
    if mentions(&items, "Weights") {
        uses.extend(quote!(
            use super::runtime::weights::Weights;
        ));
    }
    let file = quote! {
        #uses
        use super::runtime::engine::Profile;
        use super::runtime::error::{Error, Node, StepError};
        use super::runtime::memory::{Budget, Memory};
        #items
    };
    Ok((file, hosts))
}

/// Whether a type of this name occurs.
pub fn mentions(tokens: &TokenStream, name: &str) -> bool {
    occurs(tokens, name, &|_| true)
}

/// Whether something is named by a path that starts with this module.
pub fn mentions_module(tokens: &TokenStream, name: &str) -> bool {
    let colon = |next: Option<&TokenTree>| matches!(next, Some(TokenTree::Punct(p)) if p.as_char() == ':' && p.spacing() == Spacing::Joint);
    occurs(tokens, name, &colon)
}

/// Whether an identifier occurs that is not behind `::` or `.`, and is followed by what is asked for.
fn occurs(tokens: &TokenStream, name: &str, followed: &dyn Fn(Option<&TokenTree>) -> bool) -> bool {
    let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
    trees.iter().enumerate().any(|(k, tree)| match tree {
        TokenTree::Ident(found) => {
            let before = k.checked_sub(1).and_then(|k| trees.get(k));
            let inside = matches!(before, Some(TokenTree::Punct(p)) if matches!(p.as_char(), ':' | '.') && p.spacing() == Spacing::Alone)
                && !matches!(k.checked_sub(2).and_then(|k| trees.get(k)), Some(TokenTree::Ident(_)));
            found == name && !inside && followed(trees.get(k + 1))
        }
        TokenTree::Group(group) => occurs(&group.stream(), name, followed),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// Whether a lifetime occurs.
pub fn mentions_lifetime(tokens: &TokenStream) -> bool {
    tokens.clone().into_iter().any(|t| match t {
        TokenTree::Punct(punct) => punct.as_char() == '\'',
        TokenTree::Group(group) => mentions_lifetime(&group.stream()),
        TokenTree::Ident(_) | TokenTree::Literal(_) => false,
    })
}

/// The struct of sizes that inputs give, and the function that finds them in the inputs' shapes.
fn print_dims<C>(cx: &PlanContext<'_, C>) -> TokenStream {
    let fields: Vec<Ident> = cx.dims.iter().map(|id| cx.sizes.field(*id)).collect();
    let docs = cx.dims.iter().map(|id| Literal::string(&format!(" `{}`", symbol_name(cx, *id))));
    let mut params = Vec::new();
    let mut body = TokenStream::new();
    let mut seen: BTreeSet<SymId> = BTreeSet::new();
    let mut checks = TokenStream::new();
    for (border, name) in cx.plan.inputs.iter().zip(&cx.names.inputs) {
        let Type::Tensor(ty) = &border.ty else { continue };
        if !cx.is_given(border) {
            continue;
        }
        let name = format_ident!("given_{name}");
        params.push(quote!(#name: &[usize]));
        let extents: Vec<Ident> = (0..ty.shape.len()).map(|k| format_ident!("{name}_{k}")).collect();
        let label = Literal::string(&one_line(&border.name));
        let expected = Literal::string(&shape_text(cx, border));
        let error = quote!(Error::InputShape { input: #label, expected: #expected, found: #name.to_vec() });
        body.extend(quote!(let [#(#extents),*] = *#name else { return Err(#error); };));
        let mut conditions = Vec::new();
        for (dim, extent) in ty.shape.iter().zip(&extents) {
            match dim.as_symbol() {
                Some(id) if seen.insert(id) => {
                    let field = cx.sizes.field(id);
                    body.extend(quote!(let #field = sizes::size(#extent);));
                }
                Some(id) => {
                    let field = cx.sizes.field(id);
                    conditions.push(quote!(sizes::size(#extent) != #field));
                }
                None => match dim.as_const() {
                    Some(value) => {
                        let value = literal(value);
                        conditions.push(quote!(#extent != #value));
                    }
                    None => {
                        let value = cx.sizes.local(dim);
                        conditions.push(quote!(sizes::size(#extent) != #value));
                    }
                },
            }
        }
        if !conditions.is_empty() {
            checks.extend(quote!(if #(#conditions)||* { return Err(#error); }));
        }
    }
    quote! {
        /// Sizes that the shapes of the inputs give.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Dims { #(#[doc = #docs] pub #fields: i64,)* }

        /// Finds the sizes in the shapes of the inputs, and checks every extent.
        pub fn dims(#(#params),*) -> Result<Dims, Error> {
            #body
            #checks
            Ok(Dims { #(#fields),* })
        }
    }
}

/// Guards whose sizes are known when a call starts; the others must be checked by steps.
fn print_guards<C>(cx: &PlanContext<'_, C>) -> TokenStream {
    let mut out = TokenStream::new();
    for guard in &cx.plan.guards {
        if !cx.sizes.pred_known_at_start(&guard.pred) {
            continue;
        }
        let holds = cx.sizes.pred(&guard.pred, &quote!(self));
        let what = Literal::string(&one_line(&guard.what));
        let node = match guard.origin {
            Some(origin) => {
                let (name, op) = describe(&cx.plan.origins, &[origin], "guard");
                quote!(Some(Node { name: #name, op: #op }))
            }
            None => quote!(None),
        };
        out.extend(quote!(sizes::guard_at(#holds, #what, #node)?;));
    }
    out
}

fn print_sizes<C>(cx: &PlanContext<'_, C>, guards: TokenStream) -> Result<TokenStream, EmitError> {
    for (id, symbol) in cx.plan.symbols.iter() {
        if symbol.source == SymSource::Input && !cx.dims.contains(&id) && cx.sizes.is_used(id) {
            return Err(EmitError::Unbound { symbol: symbol.name.clone() });
        }
    }
    let mut fields = TokenStream::new();
    for (id, symbol) in cx.plan.symbols.iter() {
        if cx.sizes.is_used(id) || cx.dims.contains(&id) {
            let (field, doc) = (cx.sizes.field(id), Literal::string(&format!(" `{}`", one_line(&symbol.name))));
            fields.extend(quote!(#[doc = #doc] pub #field: i64,));
        }
    }
    let mut set = TokenStream::new();
    for id in &cx.dims {
        let (field, symbol) = (cx.sizes.field(*id), cx.plan.symbols.get(*id));
        let (lo, hi) = symbol.map_or((0, None), |s| (s.lo, s.hi));
        let (name, lo, hi) = (Literal::string(&symbol_name(cx, *id)), literal(lo), option(hi));
        set.extend(quote! {
            self.#field = sizes::in_range(#name, dims.#field, #lo, #hi).map_err(StepError::at_border)?;
        });
    }
    // Guards may have asked for sizes, so these come after them.
    let stored = cx.sizes.stored();
    let mut assign = Vec::new();
    for size in &stored {
        let (field, value) = (&size.field, &size.value);
        let doc = Literal::string(&format!(" `{}`", one_line(&size.text)));
        fields.extend(quote!(#[doc = #doc] pub #field: i64,));
        assign.push(quote!(self.#field = #value;));
    }
    let mut parts = TokenStream::new();
    let mut calls = TokenStream::new();
    if assign.len() <= 100 {
        calls.extend(quote!(#(#assign)*));
    } else {
        for (k, chunk) in assign.chunks(100).enumerate() {
            let name = format_ident!("prepare_{k}");
            calls.extend(quote!(self.#name();));
            parts.extend(quote!(fn #name(&mut self) { #(#chunk)* }));
        }
    }
    Ok(quote! {
        /// The values of all sizes: those that the inputs give are computed once per shape.
        #[derive(Clone, Debug, Default)]
        pub struct Sizes {
            dims: Option<Dims>,
            #fields
        }

        impl Sizes {
            /// Computes the sizes that the inputs give, unless they are those of the last call.
            pub fn prepare(&mut self, dims: Dims) -> Result<(), Error> {
                if self.dims == Some(dims) {
                    return Ok(());
                }
                self.dims = None;
                #set
                #calls
                #guards
                self.dims = Some(dims);
                Ok(())
            }
            #parts
        }
    })
}

fn print_io<C>(cx: &PlanContext<'_, C>) -> TokenStream {
    let mut fields = TokenStream::new();
    for (border, name) in cx.plan.inputs.iter().zip(&cx.names.inputs) {
        if !cx.is_given(border) {
            continue;
        }
        let doc = Literal::string(&format!(" Input `{}`", one_line(&border.name)));
        match (is_tensor(cx.plan, border), &border.ty) {
            (true, Type::Tensor(ty)) => {
                let ty = storage(ty.dtype);
                fields.extend(quote!(#[doc = #doc] pub #name: &'a [#ty],));
            }
            _ => fields.extend(quote!(#[doc = #doc] pub #name: &'a Datum,)),
        }
    }
    quote! {
        /// What a call reads: weights and inputs.
        #[allow(dead_code, reason = "a model need not read all of it")]
        pub struct Io<'a> {
            pub weights: &'a Weights,
            pub constants: &'a [Datum],
            #fields
        }
    }
}

fn print_buffers<C>(cx: &PlanContext<'_, C>) -> TokenStream {
    let sizes = quote!(sizes);
    let memories: Vec<&Ident> = cx.slots.memories.iter().map(|(field, _)| field).collect();
    let objects = &cx.slots.objects;
    let mut ready = TokenStream::new();
    let arena = cx.sizes.expr(&cx.plan.arena, &sizes);
    let has_arena = cx.plan.buffers.iter().any(|b| matches!(b.place, Place::Arena { .. }));
    if has_arena {
        ready.extend(quote!(self.arena.ensure(#arena, &mut self.budget)?;));
    }
    for (field, bytes) in &cx.slots.memories {
        if let Some(bytes) = bytes {
            let bytes = cx.sizes.expr(bytes, &sizes);
            ready.extend(quote!(self.#field.ensure(#bytes, &mut self.budget)?;));
        }
    }
    // Where the sizes have upper bounds, everything is taken when the session starts.
    let mut bounds = TokenStream::new();
    let upper = |dim| cx.plan.symbols.range(dim).upper();
    let mut bound = |field: TokenStream, dim| {
        if let Some(most) = upper(dim).filter(|b| *b > 0) {
            let most = literal(most);
            bounds.extend(quote!(buffers.#field.reserve(#most, &mut buffers.budget)?;));
        }
    };
    if has_arena {
        bound(quote!(arena), &cx.plan.arena);
    }
    for (field, bytes) in &cx.slots.memories {
        if let Some(bytes) = bytes {
            bound(quote!(#field), bytes);
        }
    }
    let unused = if mentions(&ready, "sizes") { quote!(sizes) } else { quote!(_sizes) };
    let start = if bounds.is_empty() { quote!(let buffers) } else { quote!(let mut buffers) };
    let total: Vec<TokenStream> = memories.iter().map(|m| quote!(self.#m.len())).collect();
    let (arena_field, arena_new, arena_len) = match has_arena {
        true => {
            let doc = Literal::string(&format!(" Intermediate values: {} bytes.", cx.sizes.text(&cx.plan.arena)));
            (quote!(#[doc = #doc] pub arena: Memory,), quote!(arena: Memory::default(),), quote!(self.arena.len()))
        }
        false => (TokenStream::new(), TokenStream::new(), quote!(0)),
    };
    quote! {
        /// The memory of a session.
        #[derive(Debug)]
        pub struct Buffers {
            pub budget: Budget,
            #arena_field
            #(pub #memories: Memory,)*
            #(pub #objects: Datum,)*
        }

        impl Buffers {
            /// Memory of a new session, at most so many bytes.
            pub fn new(limit: Option<usize>) -> Result<Buffers, StepError> {
                #start = Buffers {
                    budget: Budget::new(limit),
                    #arena_new
                    #(#memories: Memory::default(),)*
                    #(#objects: Datum::Seq(Vec::new()),)*
                };
                #bounds
                Ok(buffers)
            }

            /// Makes sure that there is room for a call of these sizes.
            pub fn prepare(&mut self, #unused: &Sizes) -> Result<(), StepError> {
                #ready
                Ok(())
            }

            /// Bytes taken.
            pub fn bytes(&self) -> usize {
                #arena_len #(+ #total)*
            }
        }
    }
}

/// Moves the outputs that replace states.
fn print_states<C>(cx: &PlanContext<'_, C>) -> Result<TokenStream, EmitError> {
    let mut out = TokenStream::new();
    for state in &cx.plan.states {
        let (Some(input), Some(output)) = (cx.plan.inputs.get(state.input), cx.plan.outputs.get(state.output)) else {
            continue;
        };
        let (to, from) = (cx.slots.get(input.view.buffer)?, cx.slots.get(output.view.buffer)?);
        match (&from.slot, &to.slot) {
            (Slot::Memory { field: from, .. }, Slot::Memory { field: to, bytes: Some(bytes) }) => {
                let bytes = cx.sizes.expr(bytes, &quote!(run.sizes));
                out.extend(quote! {
                    run.buffers.#to.take(&run.buffers.#from, #bytes)?;
                });
            }
            (Slot::Object { field: from }, Slot::Object { field: to }) => {
                out.extend(quote!(run.buffers.#to.clone_from(&run.buffers.#from);));
            }
            _ => return Err(EmitError::Output { name: output.name.clone() }),
        }
    }
    Ok(out)
}

/// The outputs of the last call, as they lie in memory.
fn print_outputs<C>(cx: &PlanContext<'_, C>) -> Result<TokenStream, EmitError> {
    let (mut fields, mut values) = (TokenStream::new(), TokenStream::new());
    let base = quote!(sizes);
    for (border, name) in cx.plan.outputs.iter().zip(&cx.names.outputs) {
        let entry = cx.slots.get(border.view.buffer)?;
        let doc = Literal::string(&format!(" Output `{}`", one_line(&border.name)));
        match (&entry.slot, &border.ty) {
            (Slot::Memory { field, bytes }, Type::Tensor(ty)) => {
                let elements = storage(ty.dtype);
                let rank = Literal::usize_unsuffixed(ty.shape.len());
                let shape = border.view.shape.iter().map(|d| cx.sizes.expr(d, &base));
                let count = match bytes {
                    Some(_) => storage_count(ty.dtype, &entry.elements),
                    None => storage_count(ty.dtype, &graph::dim::Dim::product(&border.view.shape)),
                };
                let count = cx.sizes.expr(&count, &base);
                fields.extend(quote!(#[doc = #doc] pub #name: (&'a [#elements], [usize; #rank]),));
                values.extend(quote! {
                    #name: (buffers.#field.slice::<#elements>(#count)?, sizes::extents([#(#shape),*])?),
                });
            }
            (Slot::Object { field }, _) => {
                fields.extend(quote!(#[doc = #doc] pub #name: &'a Datum,));
                values.extend(quote!(#name: &buffers.#field,));
            }
            _ => return Err(EmitError::Output { name: border.name.clone() }),
        }
    }
    let sizes = if mentions(&values, "sizes") { quote!(sizes) } else { quote!(_sizes) };
    let sizes = if uses_field(&values) { sizes } else { quote!(_sizes) };
    Ok(quote! {
        /// The outputs of the last call, as they lie in memory.
        pub struct Results<'a> { #fields }

        /// Finds the outputs of the last call.
        pub fn results<'a>(buffers: &'a Buffers, #sizes: &Sizes) -> Result<Results<'a>, StepError> {
            Ok(Results { #values })
        }
    })
}

/// Whether tokens read a field of `sizes`, and not only call functions of the module of that name.
fn uses_field(tokens: &TokenStream) -> bool {
    tokens.to_string().replace(' ', "").contains("sizes.")
}

fn symbol_name<C>(cx: &PlanContext<'_, C>, id: SymId) -> String {
    cx.plan.symbols.get(id).map_or_else(String::new, |s| one_line(&s.name))
}

/// A border's type as text, symbols by name.
pub fn shape_text<C>(cx: &PlanContext<'_, C>, border: &Border) -> String {
    type_text(&cx.sizes, &border.ty)
}

/// A type as text: extents for a tensor, words for the rest.
pub fn type_text(sizes: &SizeTable<'_>, ty: &Type) -> String {
    match ty {
        Type::Tensor(t) => {
            let dims: Vec<String> = t.shape.iter().map(|d| one_line(&sizes.text(d))).collect();
            format!("[{}]", dims.join(", "))
        }
        Type::Seq(inner) => format!("sequence of {}", type_text(sizes, inner)),
        Type::Opt(inner) => format!("optional {}", type_text(sizes, inner)),
        Type::Map { key, value } => format!("map from {key} to {}", type_text(sizes, value)),
        Type::Ragged { dtype, .. } => format!("{dtype} tensors of differing shapes"),
    }
}

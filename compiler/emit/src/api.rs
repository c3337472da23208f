//! The typed API of a model: `Engine`, `Session`, `Inputs`, `Outputs`, one newtype per symbolic size.

use graph::dim::{Dim, SymId};
use graph::dtype::DType;
use graph::ty::Type;
use plan::plan::Border;
use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use crate::kinds::{Form, input_kind, of, of_input};
use crate::names::{Namer, camel, code_span, one_line};
use crate::plan_file::{PlanContext, is_tensor, shape_text};
use crate::slots::datum_dtype;

mod by_position;
mod engine;
mod gpu;
mod outputs;
mod owned;

/// Names that a symbol's newtype must not take.
const TAKEN: &[&str] = &[
    "Arc",
    "Box",
    "Clone",
    "Copy",
    "Crew",
    "DType",
    "Datum",
    "Debug",
    "Default",
    "Duration",
    "Engine",
    "EngineOptions",
    "Error",
    "Info",
    "Input",
    "Inputs",
    "InputsMut",
    "Memory",
    "Node",
    "Option",
    "Outputs",
    "Owned",
    "Profile",
    "Result",
    "Session",
    "Shaped",
    "Shared",
    "StepError",
    "String",
    "TensorDatum",
    "TensorView",
    "TensorViewMut",
    "Vec",
    "Weights",
];

/// What the API's parts are printed from.
pub struct Api<'a, 'p, C> {
    cx: &'a PlanContext<'p, C>,
    inputs: Vec<Port<'a>>,
    outputs: Vec<Port<'a>>,
    newtypes: Vec<(SymId, Ident)>,
    target: &'a str,
    runs: Runs,
}

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// By steps in Rust.
    OnCpu,
    /// By a program of the GPU runtime.
    OnGpu,
}

struct Port<'a> {
    border: &'a Border,
    name: &'a Ident,
    form: Form,
}

impl<'a, 'p, C> Api<'a, 'p, C> {
    /// The API of a plan for a target of this name.
    pub fn new(cx: &'a PlanContext<'p, C>, target: &'a str, runs: Runs) -> Self {
        let given = |border: &&Border| cx.is_given(border);
        let inputs = cx.plan.inputs.iter().zip(&cx.names.inputs).filter(|(b, _)| given(b)).map(|(border, name)| {
            let form = if is_tensor(cx.plan, border) { of_input(border) } else { Form::Datum };
            Port { border, name, form }
        });
        let outputs = cx.plan.outputs.iter().zip(&cx.names.outputs).map(|(border, name)| {
            let form = if is_tensor(cx.plan, border) { of(border) } else { Form::Datum };
            Port { border, name, form }
        });
        let mut namer = Namer::without(TAKEN);
        let name_of = |id: &SymId| cx.plan.symbols.get(*id).map_or_else(String::new, |s| s.name.clone());
        let newtypes = cx.dims.iter().map(|id| (*id, namer.unique(camel(&name_of(id))))).collect();
        Api { cx, inputs: inputs.collect(), outputs: outputs.collect(), newtypes, target, runs }
    }

    fn newtype(&self, id: SymId) -> Ident {
        let found = self.newtypes.iter().find(|(known, _)| *known == id);
        found.map_or_else(|| format_ident!("usize"), |(_, name)| name.clone())
    }

    /// All items of the model's root module but its `mod` lines.
    pub fn print(&self) -> TokenStream {
        let newtypes = self.print_newtypes();
        let inputs = self.print_inputs();
        let outputs = self.print_outputs();
        let engine = self.print_engine();
        let session = self.print_session();
        let owned = self.print_owned();
        quote!(#newtypes #inputs #outputs #engine #session #owned)
    }

    fn print_newtypes(&self) -> TokenStream {
        let mut out = TokenStream::new();
        for (id, name) in &self.newtypes {
            let Some(symbol) = self.cx.plan.symbols.get(*id) else { continue };
            let range = match symbol.hi {
                Some(hi) => format!("{} to {hi}", symbol.lo),
                None => format!("{} or more", symbol.lo),
            };
            let doc = Literal::string(&format!(" Size {}: {range}.", code_span(&symbol.name)));
            out.extend(quote! {
                #[doc = #doc]
                #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
                pub struct #name(pub usize);
            });
        }
        out
    }

    fn doc(&self, port: &Port<'_>) -> Literal {
        let what = match &port.border.ty {
            Type::Tensor(t) => format!("{} {}", t.dtype, shape_text(self.cx, port.border)),
            _ => shape_text(self.cx, port.border),
        };
        Literal::string(&format!(" {}: {}.", code_span(&port.border.name), code_span(&what)))
    }

    fn print_inputs(&self) -> TokenStream {
        if self.inputs.is_empty() {
            return quote! {
                /// The model has no inputs.
                #[derive(Clone, Copy, Debug, Default)]
                pub struct Inputs {}
            };
        }
        let fields = self.inputs.iter().map(|port| {
            let (name, doc) = (port.name, self.doc(port));
            match input_kind(&port.form, &|id| self.newtype(id)) {
                Some(kind) => quote!(#[doc = #doc] pub #name: Input<'a, #kind>),
                None => quote!(#[doc = #doc] pub #name: &'a Datum),
            }
        });
        quote! {
            /// The inputs of one call.
            #[derive(Clone, Copy, Debug)]
            pub struct Inputs<'a> { #(#fields,)* }
        }
    }

    /// `Inputs` with its lifetime, if it has one.
    fn inputs_type(&self) -> TokenStream {
        if self.inputs.is_empty() { quote!(Inputs) } else { quote!(Inputs<'_>) }
    }

    fn print_session(&self) -> TokenStream {
        let inputs_type = self.inputs_type();
        if self.runs == Runs::OnGpu {
            return self.print_gpu_session();
        }
        let (lengths, given) = self.borrowed();
        let (shapes, io) = io_of(&given);
        let (own_checks, given) = self.owned_io();
        let (own_shapes, own_io) = io_of(&given);
        let by_position = self.print_by_position();
        let resize = self.print_resize();
        let inputs_mut = self.print_inputs_mut_method();
        let states = self.print_states();
        let fill = self.print_fill();
        let inputs_name = if io.is_empty() { quote!(_inputs) } else { quote!(inputs) };
        quote! {
            /// An execution context: its memory, its outputs, and inputs that can be written in place.
            #[derive(Debug)]
            pub struct Session {
                shared: Arc<Shared>,
                buffers: plan::Buffers,
                sizes: plan::Sizes,
                profile: Profile,
                crew: Crew,
                owned: Owned,
            }

            impl Session {
                fn new(shared: Arc<Shared>) -> Result<Session, StepError> {
                    let buffers = plan::Buffers::new(shared.options.memory_limit)?;
                    let profile = Profile::new(&plan::NODES, shared.options.profile);
                    let owned = Owned::new(Owned::SMALLEST)?;
                    let crew = Crew::new(shared.options.threads);
                    Ok(Session { shared, buffers, sizes: plan::Sizes::default(), profile, crew, owned })
                }

                /// Runs the model on these inputs.
                pub fn infer(&mut self, #inputs_name: &#inputs_type) -> Result<Outputs<'_>, Error> {
                    #lengths
                    let dims = plan::dims(#(#shapes),*)?;
                    let io = plan::Io { weights: &self.shared.weights, constants: &self.shared.constants, #io };
                    let (buffers, sizes, profile) = (&mut self.buffers, &mut self.sizes, &mut self.profile);
                    let crew = &mut self.crew;
                    plan::call(dims, &mut plan::Run { io, buffers, sizes, profile, crew })?;
                    Outputs::of(&self.buffers, &self.sizes)
                }

                /// Runs the model on the session's own inputs.
                pub fn run(&mut self) -> Result<Outputs<'_>, Error> {
                    #own_checks
                    let dims = plan::dims(#(#own_shapes),*)?;
                    let io = plan::Io { weights: &self.shared.weights, constants: &self.shared.constants, #own_io };
                    let (buffers, sizes, profile) = (&mut self.buffers, &mut self.sizes, &mut self.profile);
                    let crew = &mut self.crew;
                    plan::call(dims, &mut plan::Run { io, buffers, sizes, profile, crew })?;
                    Outputs::of(&self.buffers, &self.sizes)
                }

                #inputs_mut
                #resize
                #by_position
                #fill
                #states

                /// Bytes that the session has taken for intermediate values, outputs and states.
                pub fn memory_bytes(&self) -> usize {
                    self.buffers.bytes()
                }

                /// The steps' nodes and the time spent in each, if the options ask for it.
                pub fn profile(&self) -> &[(Node, Duration)] {
                    self.profile.steps()
                }

                /// Sets the times of all steps to zero.
                pub fn reset_profile(&mut self) {
                    self.profile.reset();
                }
            }
        }
    }

    /// For `infer`: checks of lengths, and every input.
    fn borrowed(&self) -> (TokenStream, Vec<Given>) {
        let (mut lengths, mut out) = (TokenStream::new(), Vec::new());
        for port in &self.inputs {
            let name = port.name;
            let Type::Tensor(ty) = &port.border.ty else {
                out.push(Given::object(name, None, quote!(inputs.#name)));
                continue;
            };
            let extents: Vec<TokenStream> = match &port.form {
                Form::Static { .. } => ty.shape.iter().map(|d| constant(d)).collect(),
                Form::Leading { .. } => {
                    let first = quote!(inputs.#name.dims());
                    std::iter::once(first).chain(ty.shape.iter().skip(1).map(constant)).collect()
                }
                Form::View { symbols, .. } => {
                    let label = Literal::string(&one_line(&port.border.name));
                    let shape = format_ident!("{name}_shape");
                    let dims = format_ident!("{name}_dims");
                    let extent = |d: &Dim| match d.as_symbol().and_then(|id| symbols.iter().position(|s| *s == id)) {
                        Some(_) if symbols.len() == 1 => quote!(#dims.0),
                        Some(k) => {
                            let k = Literal::usize_unsuffixed(k);
                            quote!(#dims.#k.0)
                        }
                        None => constant(d),
                    };
                    let extents = ty.shape.iter().map(extent);
                    lengths.extend(quote! {
                        let #dims = inputs.#name.dims();
                        let #shape = [#(#extents),*];
                        tensor::fits(#label, &#shape, inputs.#name.elements().len())?;
                    });
                    out.push(Given::tensor(name, ty.dtype, quote!(&#shape), quote!(inputs.#name.elements())));
                    continue;
                }
                Form::Datum => {
                    let checked = self.checked(port, &quote!(inputs.#name));
                    lengths.extend(quote!(let #name = #checked;));
                    let shape = quote!(&#name.shape);
                    out.push(match is_tensor(self.cx.plan, port.border) {
                        true => Given::bytes(name, shape, quote!(&#name.data)),
                        false => Given::object(name, Some(shape), quote!(inputs.#name)),
                    });
                    continue;
                }
            };
            out.push(Given::tensor(name, ty.dtype, quote!(&[#(#extents),*]), quote!(inputs.#name.elements())));
        }
        (lengths, out)
    }

    /// The tensor in a datum, checked, as an expression.
    fn checked(&self, port: &Port<'_>, datum: &TokenStream) -> TokenStream {
        let Some(ty) = port.border.ty.as_tensor() else { return TokenStream::new() };
        let (label, dtype) = (Literal::string(&one_line(&port.border.name)), datum_dtype(ty.dtype));
        let expected = Literal::string(&format!("{} {}", ty.dtype, shape_text(self.cx, port.border)));
        quote!(bridge::input_tensor(#datum, #label, #expected, #dtype)?)
    }

    fn print_states(&self) -> TokenStream {
        let mut resets = TokenStream::new();
        for state in &self.cx.plan.states {
            let Some(border) = self.cx.plan.inputs.get(state.input) else { continue };
            match self.cx.slots.get(border.view.buffer).map(|e| &e.slot) {
                Ok(crate::slots::Slot::Memory { field, .. }) => {
                    resets.extend(quote!(self.buffers.#field.bytes_mut().fill(0);));
                }
                Ok(crate::slots::Slot::Object { field }) => {
                    resets.extend(quote!(self.buffers.#field = Datum::Seq(Vec::new());));
                }
                _ => {}
            }
        }
        if resets.is_empty() {
            return resets;
        }
        quote! {
            /// Sets everything that the session keeps between calls to zero.
            pub fn reset_states(&mut self) {
                #resets
            }
        }
    }
}

/// A constant extent.
fn constant(dim: &Dim) -> TokenStream {
    let value = Literal::usize_unsuffixed(dim.as_size().unwrap_or(0));
    quote!(#value)
}

/// An input of a call.
struct Given {
    name: Ident,
    /// Its extents; none where it has none.
    shape: Option<TokenStream>,
    /// The field of `Io`: elements, bytes, or a reference to an object.
    value: TokenStream,
    kind: GivenKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GivenKind {
    Elements,
    Bytes,
    Object,
}

impl Given {
    /// Elements of a type; truth values are read as bytes.
    fn tensor(name: &Ident, dtype: DType, shape: TokenStream, elements: TokenStream) -> Given {
        match dtype {
            DType::Bool => Given::bytes(name, shape, quote!(memory::as_bytes(#elements))),
            _ => Given { name: name.clone(), shape: Some(shape), value: elements, kind: GivenKind::Elements },
        }
    }

    fn bytes(name: &Ident, shape: TokenStream, bytes: TokenStream) -> Given {
        Given { name: name.clone(), shape: Some(shape), value: bytes, kind: GivenKind::Bytes }
    }

    fn object(name: &Ident, shape: Option<TokenStream>, object: TokenStream) -> Given {
        Given { name: name.clone(), shape, value: object, kind: GivenKind::Object }
    }
}

/// A shape for every input that has one, and the fields of `Io`.
fn io_of(given: &[Given]) -> (Vec<TokenStream>, TokenStream) {
    let shapes = given.iter().filter_map(|g| g.shape.clone()).collect();
    let fields = given.iter().map(|g| {
        let (name, value) = (&g.name, &g.value);
        if name.to_string() == value.to_string() { quote!(#name,) } else { quote!(#name: #value,) }
    });
    (shapes, fields.collect())
}

//! Engine and session over the GPU runtime; what a user sees of them is what CPU crates have.

use graph::dtype::DType;
use graph::ty::Type;
use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

use crate::api::{Api, Given, GivenKind, constant};
use crate::plan_file::is_tensor;

impl<C> Api<'_, '_, C> {
    pub(super) fn print_gpu_engine(&self) -> TokenStream {
        let constants = self.constants();
        quote! {
            /// The model with its weights on a GPU; cheap to clone, shared between threads.
            #[derive(Clone, Debug)]
            pub struct Engine {
                engine: GpuEngine,
            }

            impl Engine {
                /// Loads kernels and weights.
                pub fn load(options: EngineOptions) -> Result<Engine, Error> {
                    let driver = gpu::cudarc_table::driver()?;
                    let program = gpu::fitting::fitting(driver, options.device, plan::PROGRAMS)?;
                    let weights = weights::load(&options)?;
                    let host = Arc::new(plan::Host { constants: vec![#(#constants),*] });
                    let engine = GpuEngine::load(driver, program.clone(), weights, host, options)?;
                    Ok(Engine { engine })
                }

                /// A new execution context with memory, a stream and graphs of its own.
                pub fn session(&self) -> Result<Session, Error> {
                    let owned = Owned::new(Owned::SMALLEST).map_err(StepError::at_border)?;
                    Ok(Session { session: self.engine.session()?, owned })
                }

                /// Facts about the engine: GPU, target, machine code or compiled by the driver, memory.
                pub fn info(&self) -> Info {
                    self.engine.info()
                }
            }
        }
    }

    pub(super) fn print_gpu_session(&self) -> TokenStream {
        let inputs_type = self.inputs_type();
        let (lengths, given) = self.borrowed();
        let given: Vec<TokenStream> = given.iter().map(host_input).collect();
        let (own_checks, own_given) = self.owned_io();
        let own_given: Vec<TokenStream> = own_given.iter().map(host_input).collect();
        let by_position = self.print_gpu_by_position();
        let enqueue = self.print_enqueue();
        let resize = self.print_resize();
        let prepare = self.print_prepare();
        let inputs_mut = self.print_inputs_mut_method();
        let fill = self.print_fill();
        let inputs_name = if given.is_empty() { quote!(_inputs) } else { quote!(inputs) };
        let reset = match self.cx.plan.states.is_empty() {
            true => TokenStream::new(),
            false => quote! {
                /// Sets everything that the session keeps between calls to zero.
                pub fn reset_states(&mut self) -> Result<(), Error> {
                    self.session.reset_states()
                }
            },
        };
        quote! {
            /// An execution context: its memory on the GPU, its outputs, and inputs that can be written in place.
            #[derive(Debug)]
            pub struct Session {
                session: GpuSession,
                owned: Owned,
            }

            impl Session {
                /// Runs the model on these inputs.
                pub fn infer(&mut self, #inputs_name: &#inputs_type) -> Result<Outputs<'_>, Error> {
                    #lengths
                    self.session.infer(&[#(#given),*])?;
                    Outputs::of(&self.session)
                }

                /// Runs the model on the session's own inputs.
                pub fn run(&mut self) -> Result<Outputs<'_>, Error> {
                    #own_checks
                    self.session.infer(&[#(#own_given),*])?;
                    Outputs::of(&self.session)
                }

                #inputs_mut
                #resize
                #prepare
                #by_position
                #fill
                #enqueue
                #reset

                /// Bytes of GPU memory that the session has taken.
                pub fn memory_bytes(&self) -> usize {
                    usize::try_from(self.session.memory_bytes()).unwrap_or(usize::MAX)
                }

                /// The steps' nodes and the time spent in each, if the options ask for it.
                pub fn profile(&self) -> &[(Node, Duration)] {
                    self.session.profile()
                }

                /// Sets the times of all steps to zero.
                pub fn reset_profile(&mut self) {
                    self.session.reset_profile();
                }

                /// Runs the steps of the last call of [`Session::infer`] again, without any option, and tells when each began
                /// and ended on the host and on the GPU. States go on by some calls.
                pub fn timeline(&mut self) -> Result<Vec<StepTime>, Error> {
                    self.session.timeline()
                }
            }
        }
    }

    /// The method that makes graphs for sizes; none where there is but one shape, which sessions begin with.
    fn print_prepare(&self) -> TokenStream {
        if self.newtypes.is_empty() {
            return TokenStream::new();
        }
        let mut shapes = Vec::new();
        for port in &self.inputs {
            let shape = port.border.ty.as_tensor().map_or(&[][..], |t| t.shape.as_slice());
            let mut extents = Vec::new();
            for dim in shape {
                extents.push(match dim.as_symbol().filter(|id| self.newtypes.iter().any(|(known, _)| known == id)) {
                    Some(id) => {
                        let field = self.cx.sizes.field(id);
                        quote!(#field.0)
                    }
                    None => constant(dim),
                });
            }
            shapes.push(quote!(&[#(#extents),*]));
        }
        let params = self.newtypes.iter().map(|(id, name)| {
            let field = self.cx.sizes.field(*id);
            quote!(#field: #name)
        });
        quote! {
            /// Makes memory and graphs ready for these sizes: calls of them take nothing from the system, and are launched at
            /// once.
            pub fn prepare(&mut self, #(#params),*) -> Result<(), Error> {
                self.session.prepare(&[#(#shapes),*])
            }
        }
    }

    fn print_gpu_by_position(&self) -> TokenStream {
        let names: Vec<_> = self.inputs.iter().map(|p| p.name).collect();
        let count = Literal::usize_unsuffixed(names.len());
        let mut checks = TokenStream::new();
        let mut given = Vec::new();
        for port in &self.inputs {
            let name = port.name;
            if !matches!(port.border.ty, Type::Tensor(_)) {
                given.push(host_input(&Given::object(name, None, quote!(#name))));
                continue;
            }
            let tensor = format_ident!("{name}_tensor");
            let checked = self.checked(port, &quote!(#name));
            checks.extend(quote!(let #tensor = #checked;));
            let shape = quote!(&#tensor.shape);
            given.push(host_input(&match is_tensor(self.cx.plan, port.border) {
                true => Given::bytes(name, shape, quote!(&#tensor.data)),
                false => Given::object(name, Some(shape), quote!(#name)),
            }));
        }
        let outputs = (0..self.outputs.len()).map(|k| {
            let k = Literal::usize_unsuffixed(k);
            quote!(self.session.output_datum(#k).map_err(StepError::at_border)?)
        });
        quote! {
            /// Runs the model on inputs by position, for tools. Kinds, element types and shapes are checked; it allocates.
            pub fn run_datums(&mut self, inputs: &[Datum]) -> Result<Vec<Datum>, Error> {
                let [#(#names),*] = inputs else {
                    return Err(Error::InputCount { expected: #count, found: inputs.len() });
                };
                #checks
                self.session.infer(&[#(#given),*])?;
                Ok(Vec::from([#(#outputs),*]))
            }
        }
    }

    /// Runs on memory of the device; for models whose inputs and outputs are tensors.
    fn print_enqueue(&self) -> TokenStream {
        let tensors = self.inputs.iter().chain(&self.outputs).all(|p| is_tensor(self.cx.plan, p.border));
        if !tensors {
            return TokenStream::new();
        }
        // The runtime's files are the only ones with unsafe code.
        quote!(gpu::session::enqueue!(DeviceInput<'_>, Error);)
    }

    /// `plan::results` of a GPU crate: the outputs of the last call, as they lie in page-locked memory.
    pub fn print_gpu_results(&self) -> TokenStream {
        let (mut fields, mut values) = (TokenStream::new(), TokenStream::new());
        for (k, port) in self.outputs.iter().enumerate() {
            let (name, k) = (port.name, Literal::usize_unsuffixed(k));
            let doc = Literal::string(&format!(" Output {}", crate::names::code_span(&port.border.name)));
            match &port.border.ty {
                Type::Tensor(ty) if is_tensor(self.cx.plan, port.border) => {
                    let elements = crate::slots::storage(ty.dtype);
                    let rank = Literal::usize_unsuffixed(ty.shape.len());
                    fields.extend(quote!(#[doc = #doc] pub #name: (&'a [#elements], [usize; #rank]),));
                    values.extend(match ty.dtype {
                        DType::U8 => quote!(#name: session.output::<#rank>(#k)?,),
                        _ => quote! {
                            #name: {
                                let (bytes, shape) = session.output::<#rank>(#k)?;
                                (memory::typed::<#elements>(bytes)?, shape)
                            },
                        },
                    });
                }
                _ => {
                    fields.extend(quote!(#[doc = #doc] pub #name: &'a Datum,));
                    values.extend(quote!(#name: session.output_object(#k).ok_or(StepError::Size { found: #k })?,));
                }
            }
        }
        let session = if values.is_empty() { quote!(_session) } else { quote!(session) };
        quote! {
            /// The outputs of the last call, as they lie in memory.
            pub struct Results<'a> { #fields }

            /// Finds the outputs of the last call.
            pub fn results(#session: &GpuSession) -> Result<Results<'_>, StepError> {
                Ok(Results { #values })
            }
        }
    }
}

/// An input as the runtime's session takes it.
fn host_input(given: &Given) -> TokenStream {
    let value = &given.value;
    let dims = given.shape.clone().unwrap_or_else(|| quote!(&[]));
    match given.kind {
        GivenKind::Elements => quote!(HostInput { dims: #dims, value: HostValue::Bytes(memory::as_bytes(#value)) }),
        GivenKind::Bytes => quote!(HostInput { dims: #dims, value: HostValue::Bytes(#value) }),
        GivenKind::Object => quote!(HostInput { dims: #dims, value: HostValue::Object(#value) }),
    }
}

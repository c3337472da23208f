//! The engine: the model with its weights.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use crate::api::{Api, Runs};
use crate::names::one_line;

impl<C> Api<'_, '_, C> {
    /// The constants that are no bytes, as expressions.
    pub(super) fn constants(&self) -> impl Iterator<Item = TokenStream> {
        self.cx.weights.strings.iter().map(|t| {
            let shape = t.shape().iter().map(|d| Literal::usize_unsuffixed(*d));
            let strings = t.strings().iter().map(|s| Literal::string(s));
            quote!(bridge::constant_strings(&[#(#shape),*], &[#(#strings),*]))
        })
    }

    pub(super) fn print_engine(&self) -> TokenStream {
        if self.runs == Runs::OnGpu {
            return self.print_gpu_engine();
        }
        let (model, target) = (Literal::string(&one_line(&self.cx.plan.name)), Literal::string(self.target));
        let constants = self.constants();
        let arena = match self.cx.plan.symbols.range(&self.cx.plan.arena).upper() {
            Some(bytes) => {
                let bytes = crate::size::literal(bytes.max(0));
                quote!(Some(#bytes))
            }
            None => quote!(None),
        };
        quote! {
            /// The model with its weights; cheap to clone, shared between threads.
            #[derive(Clone, Debug)]
            pub struct Engine {
                shared: Arc<Shared>,
            }

            #[derive(Debug)]
            struct Shared {
                weights: Weights,
                constants: Vec<Datum>,
                options: EngineOptions,
            }

            impl Engine {
                /// Loads the weights.
                pub fn load(options: EngineOptions) -> Result<Engine, Error> {
                    let weights = weights::load(&options)?;
                    let constants = vec![#(#constants),*];
                    Ok(Engine { shared: Arc::new(Shared { weights, constants, options }) })
                }

                /// A new execution context with memory of its own.
                pub fn session(&self) -> Result<Session, Error> {
                    Session::new(Arc::clone(&self.shared)).map_err(StepError::at_border)
                }

                /// Facts about the engine.
                pub fn info(&self) -> Info {
                    Info {
                        model: #model,
                        target: #target,
                        weight_bytes: self.shared.weights.bytes().len(),
                        arena_bytes: #arena,
                    }
                }
            }
        }
    }
}

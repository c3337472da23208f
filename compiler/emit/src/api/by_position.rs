//! The path for tools: inputs and outputs by position, checked while running. It allocates.

use graph::dtype::DType;
use graph::ty::Type;
use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

use crate::api::Api;
use crate::plan_file::is_tensor;
use crate::slots::{datum_dtype, storage};

impl<C> Api<'_, '_, C> {
    pub(super) fn print_by_position(&self) -> TokenStream {
        let names: Vec<_> = self.inputs.iter().map(|p| p.name).collect();
        let count = Literal::usize_unsuffixed(names.len());
        let (mut checks, mut memories, mut shapes, mut io) =
            (TokenStream::new(), TokenStream::new(), Vec::new(), TokenStream::new());
        for port in &self.inputs {
            let name = port.name;
            let Type::Tensor(ty) = &port.border.ty else {
                io.extend(quote!(#name,));
                continue;
            };
            if !is_tensor(self.cx.plan, port.border) {
                let shape = format_ident!("{name}_shape");
                let checked = self.checked(port, &quote!(#name));
                checks.extend(quote!(let #shape = &#checked.shape;));
                shapes.push(quote!(#shape));
                io.extend(quote!(#name,));
                continue;
            }
            let (check, memory, ty) =
                (self.checked(port, &quote!(#name)), format_ident!("{name}_memory"), storage(ty.dtype));
            checks.extend(quote! {
                let #name = #check;
                let #memory = bridge::aligned(&#name.data).map_err(StepError::at_border)?;
            });
            memories.extend(quote!(#name: #memory.whole::<#ty>().map_err(StepError::at_border)?,));
            shapes.push(quote!(&#name.shape));
        }
        let mut results = Vec::new();
        for port in &self.outputs {
            let name = port.name;
            results.push(match &port.border.ty {
                Type::Tensor(ty) if is_tensor(self.cx.plan, port.border) => {
                    let dtype = datum_dtype(ty.dtype);
                    let bytes = match ty.dtype {
                        DType::U8 | DType::Bool => quote!(results.#name.0),
                        _ => quote!(memory::as_bytes(results.#name.0)),
                    };
                    quote!(bridge::tensor(#dtype, &results.#name.1, #bytes))
                }
                _ => quote!(results.#name.clone()),
            });
        }
        let results_name = if results.is_empty() { quote!(_results) } else { quote!(results) };
        quote! {
            /// Runs the model on inputs by position, for tools. Kinds, element types and shapes are checked; it allocates.
            pub fn run_datums(&mut self, inputs: &[Datum]) -> Result<Vec<Datum>, Error> {
                let [#(#names),*] = inputs else {
                    return Err(Error::InputCount { expected: #count, found: inputs.len() });
                };
                #checks
                let dims = plan::dims(#(#shapes),*)?;
                let io = plan::Io {
                    weights: &self.shared.weights,
                    constants: &self.shared.constants,
                    #memories
                    #io
                };
                let (buffers, sizes, profile) = (&mut self.buffers, &mut self.sizes, &mut self.profile);
                let crew = &mut self.crew;
                    plan::call(dims, &mut plan::Run { io, buffers, sizes, profile, crew })?;
                let #results_name = plan::results(&self.buffers, &self.sizes).map_err(StepError::at_border)?;
                Ok(Vec::from([#(#results),*]))
            }
        }
    }
}

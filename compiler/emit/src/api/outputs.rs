//! The outputs of a call, typed.

use graph::dtype::DType;
use graph::ty::Type;
use proc_macro2::{Literal, TokenStream};
use quote::quote;

use crate::api::{Api, Runs};
use crate::kinds::Form;
use crate::mentions::mentions_lifetime;
use crate::names::one_line;
use crate::plan_file::is_tensor;
use crate::slots::datum_dtype;

impl<C> Api<'_, '_, C> {
    pub(super) fn print_outputs(&self) -> TokenStream {
        let (mut fields, mut methods, mut values) = (TokenStream::new(), TokenStream::new(), TokenStream::new());
        for port in &self.outputs {
            let (name, doc) = (port.name, self.doc(port));
            let label = Literal::string(&one_line(&port.border.name));
            let elements = match port.border.ty.as_tensor().map(|t| t.dtype) {
                Some(DType::Bool) => quote!(memory::bools(results.#name.0).map_err(StepError::at_border)?),
                _ => quote!(results.#name.0),
            };
            let (ty, value) = match &port.form {
                Form::Static { element } => (quote!(&'a #element), quote!(tensor::one::<#element>(#label, #elements)?)),
                Form::Leading { element, .. } => {
                    (quote!(&'a [#element]), quote!(tensor::many::<#element>(#label, #elements, &results.#name.1)?))
                }
                Form::View { element, rank, .. } => {
                    let rank = Literal::usize_unsuffixed(*rank);
                    let ty = quote!(TensorView<'a, #element, #rank>);
                    (ty, quote!(TensorView::new(#elements, results.#name.1)?))
                }
                Form::Datum => (quote!(&'a Datum), quote!(results.#name)),
            };
            if let (Form::Datum, true, Type::Tensor(t)) =
                (&port.form, is_tensor(self.cx.plan, port.border), &port.border.ty)
            {
                // Packed elements: the datum is made here.
                let dtype = datum_dtype(t.dtype);
                fields.extend(quote!(#name: Datum,));
                methods.extend(quote!(#[doc = #doc] pub fn #name(&self) -> &Datum { &self.#name }));
                values.extend(quote! {
                    #name: bridge::tensor(#dtype, &results.#name.1, memory::as_bytes(results.#name.0)),
                });
                continue;
            }
            fields.extend(quote!(#name: #ty,));
            methods.extend(quote!(#[doc = #doc] pub fn #name(&self) -> #ty { self.#name }));
            values.extend(quote!(#name: #value,));
        }
        let phantom = if fields.is_empty() || !mentions_lifetime(&fields) {
            (quote!(session: std::marker::PhantomData<&'a ()>,), quote!(session: std::marker::PhantomData,))
        } else {
            (TokenStream::new(), TokenStream::new())
        };
        let (phantom_field, phantom_value) = phantom;
        let (params, results) = match self.runs {
            Runs::OnCpu => {
                (quote!(buffers: &'a plan::Buffers, sizes: &plan::Sizes), quote!(plan::results(buffers, sizes)))
            }
            Runs::OnGpu => (quote!(session: &'a GpuSession), quote!(plan::results(session))),
        };
        quote! {
            /// The outputs of one call, in the session's memory.
            #[derive(Clone, Debug)]
            pub struct Outputs<'a> { #fields #phantom_field }

            impl<'a> Outputs<'a> {
                fn of(#params) -> Result<Outputs<'a>, Error> {
                    let results = #results.map_err(StepError::at_border)?;
                    Ok(Outputs { #values #phantom_value })
                }
                #methods
            }
        }
    }
}

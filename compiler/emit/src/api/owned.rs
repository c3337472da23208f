//! Inputs in the session's memory: written in place, then run.

use graph::dim::Dim;
use graph::ty::Type;
use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

use crate::api::{Api, Given, constant};
use crate::kinds::Form;
use crate::mentions::mentions;
use crate::plan_file::is_tensor;
use crate::size::literal;
use crate::smallest::smallest_sizes;

impl<C> Api<'_, '_, C> {
    /// The session's own inputs, and the way to write them.
    pub(super) fn print_owned(&self) -> TokenStream {
        let (mut fields, mut values, mut methods) = (TokenStream::new(), TokenStream::new(), TokenStream::new());
        for port in &self.inputs {
            let (name, doc) = (port.name, self.doc(port));
            let method = format_ident!("{name}_mut");
            match &port.form {
                Form::Static { element } => {
                    fields.extend(quote!(#name: Box<[#element; 1]>,));
                    values.extend(quote!(#name: memory::zeroed::<#element>()?,));
                    methods.extend(quote! {
                        #[doc = #doc]
                        pub fn #method(&mut self) -> &mut #element {
                            let [value] = &mut *self.owned.#name;
                            value
                        }
                    });
                }
                Form::Leading { element, first } => {
                    let count = self.length(first);
                    fields.extend(quote!(#name: Vec<#element>,));
                    values.extend(quote!(#name: memory::zeroes::<#element>(#count)?,));
                    methods.extend(quote! {
                        #[doc = #doc]
                        pub fn #method(&mut self) -> &mut [#element] {
                            &mut self.owned.#name
                        }
                    });
                }
                Form::View { element, rank, .. } => {
                    let shape = port.border.ty.as_tensor().map_or(&[][..], |t| t.shape.as_slice());
                    let extents = shape.iter().map(|d| self.size(d));
                    let rank = Literal::usize_unsuffixed(*rank);
                    fields.extend(quote!(#name: (Vec<#element>, [usize; #rank]),));
                    values.extend(quote!(#name: tensor::owned(sizes::extents([#(#extents),*])?)?,));
                    methods.extend(quote! {
                        #[doc = #doc]
                        pub fn #method(&mut self) -> TensorViewMut<'_, #element, #rank> {
                            TensorViewMut::over(&mut self.owned.#name.0, self.owned.#name.1)
                        }
                    });
                }
                Form::Datum => {
                    fields.extend(quote!(#name: Datum,));
                    values.extend(quote!(#name: Datum::Seq(Vec::new()),));
                    methods.extend(quote! {
                        #[doc = #doc]
                        pub fn #method(&mut self) -> &mut Datum {
                            &mut self.owned.#name
                        }
                    });
                }
            }
        }
        let sizes = smallest_sizes(self.cx.plan);
        let smallest = self.newtypes.iter().map(|(id, _)| {
            let (field, value) = (self.cx.sizes.field(*id), literal(sizes.get(id).copied().unwrap_or(1)));
            quote!(#field: #value)
        });
        let dims = if mentions(&values, "dims") { quote!(dims) } else { quote!(_dims) };
        let inputs_mut = match self.inputs.is_empty() {
            true => TokenStream::new(),
            false => quote! {
                /// The session's own inputs, to be written in place.
                #[derive(Debug)]
                pub struct InputsMut<'a> {
                    owned: &'a mut Owned,
                }

                impl InputsMut<'_> { #methods }
            },
        };
        quote! {
            #inputs_mut

            #[derive(Debug)]
            struct Owned { #fields }

            impl Owned {
                const SMALLEST: plan::Dims = plan::Dims { #(#smallest),* };

                fn new(#dims: plan::Dims) -> Result<Owned, StepError> {
                    Ok(Owned { #values })
                }
            }
        }
    }

    /// An extent as `i64`, from `dims`.
    fn size(&self, dim: &Dim) -> TokenStream {
        match (dim.as_const(), dim.as_symbol()) {
            (Some(value), _) => literal(value),
            (None, Some(id)) => {
                let field = self.cx.sizes.field(id);
                quote!(dims.#field)
            }
            (None, None) => quote!(0),
        }
    }

    fn length(&self, dim: &Dim) -> TokenStream {
        let size = self.size(dim);
        quote!(sizes::length(#size)?)
    }

    pub(super) fn print_inputs_mut_method(&self) -> TokenStream {
        if self.inputs.is_empty() {
            return TokenStream::new();
        }
        quote! {
            /// The session's own inputs, to be written in place before [`Session::run`].
            pub fn inputs_mut(&mut self) -> InputsMut<'_> {
                InputsMut { owned: &mut self.owned }
            }
        }
    }

    pub(super) fn print_resize(&self) -> TokenStream {
        if self.newtypes.is_empty() {
            return TokenStream::new();
        }
        let params = self.newtypes.iter().map(|(id, name)| {
            let field = self.cx.sizes.field(*id);
            quote!(#field: #name)
        });
        let values = self.newtypes.iter().map(|(id, _)| {
            let field = self.cx.sizes.field(*id);
            quote!(#field: sizes::size(#field.0))
        });
        quote! {
            /// Gives the session's own inputs these sizes; they are zero afterwards.
            pub fn resize(&mut self, #(#params),*) -> Result<(), Error> {
                self.owned = Owned::new(plan::Dims { #(#values),* }).map_err(StepError::at_border)?;
                Ok(())
            }
        }
    }

    /// The way for tools to fill the session's own inputs.
    pub(super) fn print_fill(&self) -> TokenStream {
        if self.inputs.is_empty() {
            return TokenStream::new();
        }
        let names: Vec<_> = self.inputs.iter().map(|p| p.name).collect();
        let count = Literal::usize_unsuffixed(names.len());
        let (mut checks, mut shapes, mut fills) = (TokenStream::new(), Vec::new(), TokenStream::new());
        for port in &self.inputs {
            let name = port.name;
            if matches!(port.border.ty, Type::Tensor(_)) {
                let tensor = format_ident!("{name}_tensor");
                let checked = self.checked(port, &quote!(#name));
                checks.extend(quote!(let #tensor = #checked;));
                shapes.push(quote!(&#tensor.shape));
                let target = match &port.form {
                    Form::Static { .. } => Some(quote!(self.owned.#name.as_mut_slice())),
                    Form::Leading { .. } => Some(quote!(&mut self.owned.#name)),
                    Form::View { .. } => Some(quote!(&mut self.owned.#name.0)),
                    Form::Datum => None,
                };
                if let Some(target) = target {
                    fills.extend(quote!(memory::fill(#target, &#tensor.data).map_err(StepError::at_border)?;));
                    continue;
                }
            }
            fills.extend(quote!(self.owned.#name.clone_from(#name);));
        }
        quote! {
            /// Fills the session's own inputs from values by position, for tools.
            pub fn fill_datums(&mut self, inputs: &[Datum]) -> Result<(), Error> {
                let [#(#names),*] = inputs else {
                    return Err(Error::InputCount { expected: #count, found: inputs.len() });
                };
                #checks
                let dims = plan::dims(#(#shapes),*)?;
                self.owned = Owned::new(dims).map_err(StepError::at_border)?;
                #fills
                Ok(())
            }
        }
    }

    /// For `run`: checks, and every input.
    pub(super) fn owned_io(&self) -> (TokenStream, Vec<Given>) {
        let (mut checks, mut out) = (TokenStream::new(), Vec::new());
        for port in &self.inputs {
            let name = port.name;
            let Type::Tensor(tensor) = &port.border.ty else {
                out.push(Given::object(name, None, quote!(&self.owned.#name)));
                continue;
            };
            let rest = tensor.shape.iter().skip(1).map(constant);
            match &port.form {
                Form::Static { .. } => {
                    let extents = tensor.shape.iter().map(constant);
                    let elements = quote!(memory::flat(self.owned.#name.as_slice()));
                    out.push(Given::tensor(name, tensor.dtype, quote!(&[#(#extents),*]), elements));
                }
                Form::Leading { .. } => {
                    let shape = quote!(&[self.owned.#name.len(), #(#rest),*]);
                    out.push(Given::tensor(name, tensor.dtype, shape, quote!(memory::flat(&self.owned.#name))));
                }
                Form::View { .. } => {
                    let (shape, elements) = (quote!(&self.owned.#name.1), quote!(&self.owned.#name.0));
                    out.push(Given::tensor(name, tensor.dtype, shape, elements));
                }
                Form::Datum => {
                    let checked = self.checked(port, &quote!(&self.owned.#name));
                    checks.extend(quote!(let #name = #checked;));
                    let shape = quote!(&#name.shape);
                    out.push(match is_tensor(self.cx.plan, port.border) {
                        true => Given::bytes(name, shape, quote!(&#name.data)),
                        false => Given::object(name, Some(shape), quote!(&self.owned.#name)),
                    });
                }
            }
        }
        (checks, out)
    }
}

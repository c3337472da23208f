//! Calls of host operators: operands become datums, results are stored, open extents become known.

use graph::attrs::Attr;
use graph::dim::SymId;
use plan::plan::{HostCall, View};
use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

use crate::error::EmitError;
use crate::names::{ident, snake};
use crate::slots::{Slot, datum_dtype};
use crate::steps::Steps;

impl<C> Steps<'_, C> {
    pub(super) fn host(&self, call: &HostCall) -> Result<TokenStream, EmitError> {
        let mut hosts = self.hosts.borrow_mut();
        if !hosts.contains(&call.op) {
            hosts.push(call.op);
        }
        drop(hosts);
        let module = ident(&snake(call.op.name));
        let mut attrs = Vec::new();
        for (name, value) in &call.attrs.0 {
            let name = Literal::string(name);
            let value = attr(call.op.name, &name.to_string(), value)?;
            attrs.push(quote!((#name, #value)));
        }
        let mut operands = Vec::new();
        for view in &call.operands {
            operands.push(self.operand(view)?);
        }
        let results: Vec<_> = (0..call.results.len()).map(|k| format_ident!("result_{k}")).collect();
        let owned: Vec<TokenStream> = operands.iter().filter_map(|(make, _)| make.clone()).collect();
        let mut named = 0usize;
        let refs: Vec<TokenStream> = operands
            .iter()
            .map(|(make, object)| match make {
                Some(_) => {
                    named += 1;
                    let name = format_ident!("operand_{}", named - 1);
                    quote!(&#name)
                }
                None => object.clone(),
            })
            .collect();
        let names: Vec<_> = (0..owned.len()).map(|k| format_ident!("operand_{k}")).collect();
        let mut out = quote! {
            #(let #names = #owned;)*
            let [#(#results),*] = bridge::results(host::#module::run(&[#(#attrs),*], &[#(#refs),*]))?;
        };
        for symbol in &call.binds {
            let (k, axis) = self.source_of(call, *symbol)?;
            let (result, axis) = (format_ident!("result_{k}"), Literal::usize_unsuffixed(axis));
            out.extend(self.set(*symbol, &quote!(bridge::extent(&#result, #axis)?), false));
        }
        for (view, result) in call.results.iter().zip(&results) {
            out.extend(self.store(view, &quote!(#result))?);
        }
        Ok(out)
    }

    /// An operand: the datum to be made, or a reference to one that is there.
    fn operand(&self, view: &View) -> Result<(Option<TokenStream>, TokenStream), EmitError> {
        let entry = self.slots.get(view.buffer)?;
        if matches!(entry.slot, Slot::Object { .. } | Slot::InputObject { .. } | Slot::Constant(_)) {
            return Ok((None, self.object(view.buffer)?));
        }
        let access = self.access(&[view.buffer], &[], &[])?;
        let (prelude, bytes) = (&access.prelude, access.read_bytes(self, 0)?);
        let dtype = datum_dtype(entry.dtype);
        let shape = view.shape.iter().map(|d| self.size(d));
        let offset = self.size(&view.access.offset);
        let make = quote!(bridge::datum(#dtype, [#(#shape),*], #bytes, #offset)?);
        let make = if prelude.is_empty() { make } else { quote!({ #prelude #make }) };
        Ok((Some(make), TokenStream::new()))
    }

    /// Statements that put a result where it belongs.
    fn store(&self, view: &View, result: &TokenStream) -> Result<TokenStream, EmitError> {
        let entry = self.slots.get(view.buffer)?;
        if let Slot::Object { field } = &entry.slot {
            return Ok(quote!(run.buffers.#field = #result;));
        }
        let access = self.access(&[], &[view.buffer], &[view])?;
        let (prelude, bytes) = (&access.prelude, access.written_bytes(self, 0)?);
        let dtype = datum_dtype(entry.dtype);
        let shape = view.shape.iter().map(|d| self.size(d));
        let offset = self.size(&view.access.offset);
        Ok(quote!({ #prelude bridge::store(&#result, #dtype, [#(#shape),*], #bytes, #offset)?; }))
    }

    /// The result and axis whose extent a symbol is.
    fn source_of(&self, call: &HostCall, symbol: SymId) -> Result<(usize, usize), EmitError> {
        for (k, ty) in call.result_types.iter().enumerate() {
            let shape = ty.as_tensor().map_or(&[][..], |t| t.shape.as_slice());
            if let Some(axis) = shape.iter().position(|d| d.as_symbol() == Some(symbol)) {
                return Ok((k, axis));
            }
        }
        let name = self.sizes.symbols().get(symbol).map_or_else(String::new, |s| s.name.clone());
        Err(EmitError::HostBind { op: call.op.name, symbol: name })
    }
}

pub(crate) fn attr(op: &'static str, name: &str, value: &Attr) -> Result<TokenStream, EmitError> {
    Ok(match value {
        Attr::Int(v) => {
            let v = crate::size::literal(*v);
            quote!(datum::Attr::Int(#v))
        }
        Attr::Ints(vs) => {
            let vs = vs.iter().map(|v| crate::size::literal(*v));
            quote!(datum::Attr::Ints(vec![#(#vs),*]))
        }
        Attr::Scalar(v) => {
            let bits = Literal::u64_unsuffixed(v.as_f64().to_bits());
            quote!(datum::Attr::Float(f64::from_bits(#bits)))
        }
        Attr::Str(v) => {
            let v = Literal::string(v);
            quote!(datum::Attr::Str(String::from(#v)))
        }
        Attr::Strs(vs) => {
            let vs = vs.iter().map(|v| Literal::string(v));
            quote!(datum::Attr::Strs(vec![#(String::from(#vs)),*]))
        }
        Attr::Bool(v) => quote!(datum::Attr::Bool(#v)),
        Attr::DType(v) => {
            let v = datum_dtype(*v);
            quote!(datum::Attr::DType(#v))
        }
        Attr::Dims(_) => return Err(EmitError::HostAttr { op, attr: name.to_string() }),
    })
}

//! The buffers of one step as slices: statements that lend them out, then an expression each.

use plan::plan::{BufferId, View};
use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use crate::error::EmitError;
use crate::slots::{Slot, SlotEntry, storage, storage_count};
use crate::steps::{Steps, base};

/// Statements, and what they give names to.
pub(super) struct Access {
    pub prelude: TokenStream,
    reads: Vec<Lent>,
    writes: Vec<Lent>,
}

struct Lent {
    buffer: BufferId,
    /// Bytes lent out by the arena.
    part: Option<Ident>,
}

impl<C> Steps<'_, C> {
    /// Lends buffers to a step. `written` are the views behind `writes`, as far as buffers have to grow for them.
    pub(super) fn access(
        &self,
        reads: &[BufferId],
        writes: &[BufferId],
        written: &[&View],
    ) -> Result<Access, EmitError> {
        for (k, id) in writes.iter().enumerate() {
            if reads.contains(id) || writes.iter().skip(k + 1).any(|other| other == id) {
                return Err(EmitError::Shared { buffer: id.0 });
            }
        }
        let mut prelude = TokenStream::new();
        for view in written {
            prelude.extend(self.grow(view)?);
        }
        let mut spans = (Vec::new(), Vec::new());
        let mut lent = (Vec::new(), Vec::new());
        for id in reads {
            let part = self.span(*id, &mut spans.0)?.map(|k| format_ident!("r{k}"));
            lent.0.push(Lent { buffer: *id, part });
        }
        for id in writes {
            let part = self.span(*id, &mut spans.1)?.map(|k| format_ident!("w{k}"));
            lent.1.push(Lent { buffer: *id, part });
        }
        let (read, write) = (&spans.0, &spans.1);
        if !(read.is_empty() && write.is_empty()) {
            let names = |lent: &[Lent]| lent.iter().filter_map(|l| l.part.clone()).collect::<Vec<_>>();
            let (r, w) = (names(&lent.0), names(&lent.1));
            prelude.extend(quote! {
                let ([#(#r),*], [#(#w),*]) = run.buffers.arena.split([#(#read),*], [#(#write),*])?;
            });
        }
        Ok(Access { prelude, reads: lent.0, writes: lent.1 })
    }

    /// Adds an arena buffer's span to the list, and yields its position.
    fn span(&self, id: BufferId, spans: &mut Vec<TokenStream>) -> Result<Option<usize>, EmitError> {
        let Slot::Arena { offset, bytes } = &self.slots.get(id)?.slot else { return Ok(None) };
        let (offset, bytes) = (self.sizes.expr(offset, &base()), self.sizes.expr(bytes, &base()));
        spans.push(quote!((#offset, #bytes)));
        Ok(Some(spans.len() - 1))
    }

    /// Grows a buffer until it holds a view.
    fn grow(&self, view: &View) -> Result<TokenStream, EmitError> {
        let entry = self.slots.get(view.buffer)?;
        let Slot::Memory { field, bytes: None } = &entry.slot else { return Ok(TokenStream::new()) };
        let end = end_of(view, self.sizes.symbols());
        let count = storage_count(entry.dtype, &end);
        let width = graph::dim::Dim::constant(i64::from(entry.dtype.bits()).max(8) / 8);
        let bytes = self.sizes.expr(&(&count * &width), &base());
        Ok(quote!(run.buffers.#field.ensure(#bytes, &mut run.buffers.budget)?;))
    }
}

/// An upper bound of the last address of a view, plus one.
pub(crate) fn end_of(view: &View, symbols: &graph::symbol::Symbols) -> graph::dim::Dim {
    use graph::dim::Dim;
    let mut end = &view.access.offset + &Dim::constant(1);
    if view.access.is_dense(&view.shape) {
        return &view.access.offset + &Dim::product(&view.shape);
    }
    for (d, (extent, stride)) in view.shape.iter().zip(&view.access.strides).enumerate() {
        let part = match view.access.block.filter(|b| b.dim == d) {
            Some(b) => {
                let blocks = symbols.ceil_div(extent, &Dim::constant(b.factor));
                &(&blocks * stride) + &Dim::constant(b.factor)
            }
            None => extent * stride,
        };
        end = &end + &part;
    }
    end
}

impl Access {
    /// A read buffer as a slice of its storage type.
    pub fn read<C>(&self, steps: &Steps<'_, C>, k: usize) -> Result<TokenStream, EmitError> {
        let (lent, entry) = find(&self.reads, steps, k)?;
        if let Some(part) = &lent.part {
            let ty = storage(entry.dtype);
            return Ok(quote!(memory::typed::<#ty>(#part)?));
        }
        if matches!(entry.slot, Slot::Object { .. } | Slot::InputObject { .. } | Slot::Constant(_)) {
            let object = steps.object(lent.buffer)?;
            return Ok(quote!(bridge::strings(#object)?));
        }
        slice(entry, steps, &storage(entry.dtype), entry.dtype)
    }

    /// A read buffer as bytes.
    pub fn read_bytes<C>(&self, steps: &Steps<'_, C>, k: usize) -> Result<TokenStream, EmitError> {
        let (lent, entry) = find(&self.reads, steps, k)?;
        if let Some(part) = &lent.part {
            return Ok(quote!(#part));
        }
        let typed = slice(entry, steps, &storage(entry.dtype), entry.dtype)?;
        Ok(quote!(memory::as_bytes(#typed)))
    }

    /// A written buffer as a mutable slice of its storage type; strings get the view's shape.
    pub fn written<C>(&self, steps: &Steps<'_, C>, k: usize, view: Option<&View>) -> Result<TokenStream, EmitError> {
        let (lent, entry) = find(&self.writes, steps, k)?;
        let ty = storage(entry.dtype);
        if let Some(part) = &lent.part {
            return Ok(quote!(memory::typed_mut::<#ty>(#part)?));
        }
        match &entry.slot {
            Slot::Object { field } => {
                let shape = view.iter().flat_map(|v| &v.shape).map(|d| steps.size(d));
                Ok(quote!(bridge::strings_mut(&mut run.buffers.#field, [#(#shape),*])?))
            }
            Slot::Memory { field, bytes: Some(_) } => {
                let count = steps.size(&storage_count(entry.dtype, &entry.elements));
                Ok(quote!(run.buffers.#field.slice_mut::<#ty>(#count)?))
            }
            Slot::Memory { field, bytes: None } => Ok(quote!(run.buffers.#field.whole_mut::<#ty>()?)),
            Slot::Arena { .. }
            | Slot::Weight { .. }
            | Slot::Constant(_)
            | Slot::Input { .. }
            | Slot::InputObject { .. } => Err(EmitError::Shared { buffer: lent.buffer.0 }),
        }
    }

    /// A written buffer as mutable bytes.
    pub fn written_bytes<C>(&self, steps: &Steps<'_, C>, k: usize) -> Result<TokenStream, EmitError> {
        let (lent, entry) = find(&self.writes, steps, k)?;
        if let Some(part) = &lent.part {
            return Ok(quote!(#part));
        }
        match &entry.slot {
            Slot::Memory { field, .. } => Ok(quote!(run.buffers.#field.bytes_mut())),
            _ => Err(EmitError::Shared { buffer: lent.buffer.0 }),
        }
    }
}

fn find<'s, 'l, C>(
    list: &'l [Lent],
    steps: &'s Steps<'_, C>,
    k: usize,
) -> Result<(&'l Lent, &'s SlotEntry), EmitError> {
    let missing = EmitError::NoBuffer { buffer: u32::MAX, count: list.len() };
    let lent = list.get(k).ok_or(missing)?;
    Ok((lent, steps.slots.get(lent.buffer)?))
}

/// A buffer that does not lie in the arena, as a slice.
fn slice<C>(
    entry: &SlotEntry,
    steps: &Steps<'_, C>,
    ty: &TokenStream,
    dtype: graph::dtype::DType,
) -> Result<TokenStream, EmitError> {
    Ok(match &entry.slot {
        Slot::Weight { offset, elements } => {
            let (offset, count) = (Literal::usize_unsuffixed(*offset), Literal::usize_unsuffixed(*elements));
            quote!(run.io.weights.part::<#ty>(#offset, #count)?)
        }
        Slot::Input { field } => quote!(run.io.#field),
        Slot::Memory { field, bytes: Some(_) } => {
            let count = steps.size(&storage_count(dtype, &entry.elements));
            quote!(run.buffers.#field.slice::<#ty>(#count)?)
        }
        Slot::Memory { field, bytes: None } => quote!(run.buffers.#field.whole::<#ty>()?),
        Slot::Arena { .. } | Slot::Constant(_) | Slot::InputObject { .. } | Slot::Object { .. } => {
            return Err(EmitError::NoBuffer { buffer: u32::MAX, count: 0 });
        }
    })
}

//! Text of views and tensors.

use graph::dtype::DType;
use graph::tensor::Tensor;
use graph::text::cursor::Cursor;
use graph::text::dim::{Names, parse_dims, print_dims};
use graph::text::scalar::{parse_tensor, print_tensor, print_tensor_type};
use graph::text::{ParseError, Registry, parse_blob};
use nest::text::{parse_access, print_access};

use crate::plan::{BufferId, View};
use crate::text::INLINE;

/// `^3[n, 4] offset 8 strides [1, n]`.
pub(super) fn print_view(view: &View, names: &Names<'_>) -> String {
    let access = print_access(&view.access, &view.shape, names);
    format!("^{}{}{access}", view.buffer.0, print_dims(&view.shape, names))
}

/// Views in parentheses.
pub(super) fn print_views(views: &[View], names: &Names<'_>) -> String {
    let items: Vec<String> = views.iter().map(|v| print_view(v, names)).collect();
    format!("({})", items.join(", "))
}

/// Reads a view.
pub(super) fn parse_view(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<View, ParseError> {
    let buffer = BufferId(c.id('^')?);
    let shape = parse_dims(c, names)?;
    let access = parse_access(c, &shape, names)?;
    Ok(View { buffer, shape, access })
}

/// Reads views in parentheses.
pub(super) fn parse_views(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<Vec<View>, ParseError> {
    c.list("(", ")", |c| parse_view(c, names))
}

/// Whether a tensor is named by its hash.
pub(super) fn is_named(tensor: &Tensor) -> bool {
    tensor.dtype() != DType::Str && tensor.bytes().len() > INLINE
}

/// A tensor in full, or its type and hash.
pub(super) fn print_constant(tensor: &Tensor) -> String {
    match is_named(tensor) {
        true => format!("blob {} #{}", print_tensor_type(tensor), tensor.hash()),
        false => print_tensor(tensor),
    }
}

/// Reads a tensor, or finds it in the registry.
pub(super) fn parse_constant(c: &mut Cursor<'_>, registry: &Registry<'_>) -> Result<Tensor, ParseError> {
    if c.take_keyword("blob") { parse_blob(c, None, registry).map(|blob| blob.tensor) } else { parse_tensor(c) }
}

//! Text of constants: `const [1, 2]`, `const splat 0.5`, `const iota`, `const blob #0123…`.
//!
//! Dtype and shape are those of the result, written out only where they differ.

use crate::dtype::DType;
use crate::node::{Blob, Const};
use crate::scalar::Scalar;
use crate::tensor::{Hash, Tensor};
use crate::text::cursor::Cursor;
use crate::text::lexer::Token;
use crate::text::scalar::{
    parse_elements, parse_scalar, parse_tensor_type, print_elements, print_scalar, print_tensor_type,
};
use crate::text::ty::parse_dtype;
use crate::text::{ParseError, ParseErrorKind, Registry};
use crate::ty::{TensorType, Type};

/// Bytes that a placeholder for an unknown blob may have.
const PLACEHOLDER_BYTES: usize = 1 << 32;

/// The text of a constant whose result has this type.
pub(super) fn print_const(constant: &Const, result: Option<&Type>) -> String {
    let result = result.and_then(Type::as_tensor);
    match constant {
        Const::Inline(tensor) => format!("{}{}", print_difference(tensor, result), print_elements(tensor)),
        Const::Splat(s) if result.map(|t| t.dtype) == Some(s.dtype) => format!("splat {}", print_scalar(*s)),
        Const::Splat(s) => format!("splat {} {}", s.dtype, print_scalar(*s)),
        Const::Iota => "iota".to_string(),
        Const::Blob(blob) => {
            let difference = print_difference(&blob.tensor, result);
            format!("blob {difference}#{}", blob.hash)
        }
    }
}

fn print_difference(tensor: &Tensor, result: Option<&TensorType>) -> String {
    let same = result.is_some_and(|t| t.dtype == tensor.dtype() && t.static_shape().as_deref() == Some(tensor.shape()));
    if same { String::new() } else { format!("{} ", print_tensor_type(tensor)) }
}

/// Reads a constant whose result has this type.
pub(super) fn parse_const(
    c: &mut Cursor<'_>,
    result: Option<&Type>,
    registry: &Registry<'_>,
) -> Result<Const, ParseError> {
    let result = result.and_then(Type::as_tensor);
    if c.take_keyword("iota") {
        return Ok(Const::Iota);
    }
    if c.take_keyword("splat") {
        return parse_splat(c, result).map(Const::Splat);
    }
    if c.take_keyword("blob") {
        return parse_blob(c, result, registry).map(Const::Blob);
    }
    let (dtype, shape) = parse_tensor_type_or(c, result)?;
    parse_elements(c, dtype, shape).map(Const::Inline)
}

fn parse_splat(c: &mut Cursor<'_>, result: Option<&TensorType>) -> Result<Scalar, ParseError> {
    let written = matches!(c.peek(), Token::Word(w) if DType::from_name(w).is_some());
    let dtype = match result {
        Some(ty) if !written => ty.dtype,
        Some(_) | None => parse_dtype(c)?,
    };
    parse_scalar(c, dtype)
}

/// Reads a blob after the word `blob`: dtype and shape, if they are not those of the result, and the hash.
pub fn parse_blob(
    c: &mut Cursor<'_>,
    result: Option<&TensorType>,
    registry: &Registry<'_>,
) -> Result<Blob, ParseError> {
    let (dtype, shape) = parse_tensor_type_or(c, result)?;
    let pos = c.pos();
    let Token::Bytes(bytes) = c.advance() else {
        return Err(
            pos.error(ParseErrorKind::Expected { expected: "`#` and a hash".to_string(), found: "no `#`".to_string() })
        );
    };
    let length = bytes.len();
    let Ok(hash) = <[u8; 16]>::try_from(bytes).map(Hash) else {
        let expected = "16 bytes".to_string();
        return Err(pos.error(ParseErrorKind::Range { what: "hash of bytes", found: length.to_string(), expected }));
    };
    if let Some(tensor) = registry.blobs.get(&hash) {
        return Ok(Blob { hash, tensor: tensor.clone() });
    }
    let bytes = Tensor::bytes_of(dtype, &shape).filter(|n| registry.placeholders && *n <= PLACEHOLDER_BYTES);
    match bytes.map(|n| Tensor::from_bytes(dtype, shape, vec![0; n].into())) {
        Some(Ok(tensor)) => Ok(Blob { hash, tensor }),
        Some(Err(error)) => Err(pos.error(error.into())),
        None => Err(pos.error(ParseErrorKind::Unknown {
            what: "blob",
            name: hash.to_string(),
            next_step: "give the registry its tensor, or ask it for placeholders",
        })),
    }
}

/// Dtype and shape if written, else those of the result.
fn parse_tensor_type_or(c: &mut Cursor<'_>, result: Option<&TensorType>) -> Result<(DType, Vec<usize>), ParseError> {
    if matches!(c.peek(), Token::Word(_)) {
        return parse_tensor_type(c);
    }
    match result.and_then(|t| t.static_shape().map(|shape| (t.dtype, shape))) {
        Some(found) => Ok(found),
        None => c.expected("dtype and shape, as the result has no static ones"),
    }
}

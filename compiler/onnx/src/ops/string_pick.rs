//! `string_pick`, the host operator behind every movement of strings (Reshape, Gather, Concat … on string tensors): the builder
//! moves numbers instead, and this picks the strings (`graph::builder`, `strings`).

use graph::dtype::DType;
use graph::host::{HostError, HostOp};
use graph::ty::Type;
use runtime_min::datum;

use crate::{hosted, late};

#[path = "runtime/string_pick.rs"]
mod runtime;

/// Numbers and strings become strings.
pub const HOST: HostOp = HostOp {
    name: "string_pick",
    infer: |_, types, _| match types {
        [Type::Tensor(numbers), strings @ ..] if strings.iter().all(late::is_strings) => {
            Ok((vec![Type::tensor(DType::Str, numbers.shape.clone())], Vec::new()))
        }
        _ => Err(HostError::Operand { position: 0, expected: "numbers, then strings", found: format!("{types:?}") }),
    },
    eval: |attrs, inputs| hosted::eval(runtime::run, attrs, inputs),
    runtime: include_str!("runtime/string_pick.rs"),
};

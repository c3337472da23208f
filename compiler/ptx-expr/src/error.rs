//! What cannot be expressed, and what does not fit together.

use graph::dtype::DType;

/// Why a sequence cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{what} is not defined on {dtype} on the GPU; strings and their comparison belong to host operators")]
    DType { what: &'static str, dtype: DType },
    #[error("expression e{expr} does not exist")]
    Expression { expr: u32 },
    #[error("index variable {index} has no value here")]
    Index { index: u32 },
    #[error("accumulator {acc} has no value here")]
    Acc { acc: u32 },
    #[error("size parameter {symbol} has no value here")]
    Symbol { symbol: u32 },
    #[error("operand {operand} cannot be loaded here")]
    Operand { operand: u32 },
    #[error("operand {operand} has {found} indices, expected {expected}")]
    Rank { operand: u32, found: usize, expected: usize },
    #[error("{lanes} elements of {dtype} are no whole {unit}; give every thread as many as fill it")]
    Lanes { dtype: DType, lanes: usize, unit: &'static str },
}

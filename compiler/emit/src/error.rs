//! Why a plan cannot become a crate.

use std::path::PathBuf;

/// What emission refuses.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EmitError {
    #[error("buffer {buffer} is not in the plan's table of {count}")]
    NoBuffer { buffer: u32, count: usize },
    #[error("code {code} is not in the plan's table of {count}")]
    NoCode { code: u32, count: usize },
    #[error("symbol {symbol}: no extent of an input gives its value")]
    Unbound { symbol: String },
    #[error("guard \"{what}\" has a size that is found while running, and no step checks it")]
    Unchecked { what: String },
    #[error("the arena's size {size} depends on what is found while running")]
    Arena { size: String },
    #[error("output {name} does not lie in a place of its own")]
    Output { name: String },
    #[error("a step writes buffer {buffer} that it also reads, or writes it twice")]
    Shared { buffer: u32 },
    #[error("host operator {op}: attribute {attr} is a list of sizes, which generated code cannot hold")]
    HostAttr { op: &'static str, attr: String },
    #[error("host operator {op}: no result has an extent that is symbol {symbol}")]
    HostBind { op: &'static str, symbol: String },
    #[error("target {target}: {what}")]
    Target { target: &'static str, what: String },
    #[error("derived weight {name}: {what}")]
    Derived { name: String, what: String },
    #[error("buffer {buffer} of packed {dtype} elements: a step reads or writes it from the middle of a byte on")]
    Packed { buffer: u32, dtype: String },
    #[error("no target is named")]
    NoTarget,
    #[error("a kernel over strings runs on the host, but {what}")]
    Strings { what: &'static str },
    #[error("the program does not hold together: {problems}")]
    Program { problems: String },
    #[error("runtime file {path} is not there")]
    Runtime { path: String },
    #[error("generated file {path} does not parse: {what}")]
    Syntax { path: String, what: String },
    #[error("{path}: {what}")]
    File { path: PathBuf, what: String },
    #[error("{path} exists and was not made by onnx2crate; name another folder or remove it")]
    Foreign { path: PathBuf },
}

//! From a file to a decoded message. Tensors' raw data stay slices of the file.

use std::path::Path;

use bytes::Bytes;
use prost::Message;

use crate::mapped;
use crate::problem::{Code, Fault};

/// The bytes of a file that the user named (links are followed: the name is the user's own).
pub fn read(path: &Path) -> Result<Bytes, Fault> {
    let fault = |e: std::io::Error| Fault::new(Code::Read, "a readable file", e.to_string());
    let metadata = std::fs::metadata(path).map_err(fault)?;
    if !metadata.is_file() {
        return Err(Fault::new(Code::Read, "a file", if metadata.is_dir() { "a folder" } else { "no regular file" }));
    }
    let file = std::fs::File::open(path).map_err(fault)?;
    mapped::contents(file).map_err(fault)
}

/// Decodes a message; `name` says which one.
pub fn decode<M: Message + Default>(bytes: Bytes, name: &str) -> Result<M, Fault> {
    M::decode(bytes).map_err(|e| Fault::new(Code::Decode, name, e.to_string()))
}

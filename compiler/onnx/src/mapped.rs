//! Files as bytes: large ones mapped, small ones read.
#![allow(unsafe_code, reason = "a memory map is the one way to share a file's pages; the argument is below")]

use std::fs::File;
use std::io::{Read, Result};

use bytes::Bytes;
use memmap2::Mmap;

/// Files below this many bytes are read: a copy is cheaper than a mapping.
const READ_BELOW: u64 = 1 << 16;

/// The contents of an open regular file. Slices of a large file share its mapping and keep it alive.
pub fn contents(mut file: File) -> Result<Bytes> {
    let length = file.metadata()?.len();
    if length < READ_BELOW {
        let mut data = Vec::new();
        file.read_to_end(&mut data)?;
        return Ok(Bytes::from(data));
    }
    // SAFETY: the mapping is read-only, no code here writes through it, and it lives as long as any slice of it. What Rust
    // cannot rule out is another process that changes or truncates the file meanwhile. The map is private, and a user who
    // edits a model while it is compiled gets wrong constants or a fault signal that ends the process: the same trust in
    // the file's owner that reading it twice takes. Lengths and offsets are checked against the length of the mapping,
    // never against bytes inside it that are read again.
    let map = unsafe { Mmap::map(&file)? };
    Ok(Bytes::from_owner(map))
}

//! Files as bytes: large ones mapped, small ones read.
#![allow(unsafe_code)] // A memory map is the one way to share a file's pages; the argument is below.

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
    // SAFETY: the mapping is read-only and private to this process, it stays alive as long as any slice of it, and no
    // code here writes through it. What cannot be ruled out is another process that changes the file meanwhile: then
    // bytes read may differ from one read to the next, and reading beyond a truncated end is a fault signal that ends
    // the process. Every decision about lengths and offsets is made on the length of the mapping, never on contents
    // read twice; a user who lets a model be edited while it is compiled loses the process, nothing else.
    let map = unsafe { Mmap::map(&file)? };
    Ok(Bytes::from_owner(map))
}

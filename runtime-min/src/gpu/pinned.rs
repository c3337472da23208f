//! Page-locked memory of the host, through which inputs and outputs go. One of the few files with `unsafe` code.
//!
//! Copies between it and the device run while the program goes on; the memory remembers the last of them, and every look at
//! the bytes waits for it.

#![allow(unsafe_code, reason = "views of memory that the driver hands out; each block says why it is sound")]

use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use super::calls::Answer;
use super::driver::Address;
use super::owned::{Context, Stream};

/// Page-locked bytes.
#[derive(Debug)]
pub struct Pinned {
    context: Arc<Context>,
    start: NonNull<u8>,
    len: usize,
    /// The last copy that may still run.
    copy: Option<(Arc<Stream>, u64)>,
    /// Whether a copy that may still run writes the bytes.
    written: bool,
}

// SAFETY: the memory belongs to this value alone and is not tied to a thread; copies of the device are waited for.
unsafe impl Send for Pinned {}

// SAFETY: a shared reference gives away nothing that can be written.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// So many bytes, zeroed; the context is current.
    pub fn new(context: &Arc<Context>, len: usize) -> Answer<Pinned> {
        let mut start = NonNull::dangling();
        if len > 0 {
            start = context.api.alloc_host(len)?;
            // SAFETY: `len` bytes were allocated at `start` just now, and nobody else knows them.
            unsafe { start.write_bytes(0, len) };
        }
        Ok(Pinned { context: Arc::clone(context), start, len, copy: None, written: false })
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Waits until no copy runs.
    pub fn settle(&mut self) -> Answer<()> {
        if let Some((stream, ticket)) = self.copy.take()
            && !stream.has_done(ticket)
        {
            let waited = stream.synchronize();
            if waited.is_err() {
                self.copy = Some((stream, ticket));
                return waited;
            }
        }
        self.written = false;
        Ok(())
    }

    /// The bytes, once no copy writes them.
    pub fn readable(&mut self) -> Answer<&[u8]> {
        if self.written {
            self.settle()?;
        }
        // SAFETY: `len` bytes at `start`, initialised by `new`, live as long as `self`; the device at most reads them.
        Ok(unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) })
    }

    /// The bytes, once no copy runs.
    pub fn bytes(&mut self) -> Answer<&[u8]> {
        self.settle()?;
        // SAFETY: `len` bytes at `start`, initialised by `new`, live as long as `self`; no copy of the device writes them.
        Ok(unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) })
    }

    /// The bytes for a shared reader; nothing if a copy may still run.
    pub fn settled(&self) -> Option<&[u8]> {
        let idle = self.copy.as_ref().is_none_or(|(stream, ticket)| stream.has_done(*ticket));
        // SAFETY: as for `bytes`.
        idle.then(|| unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) })
    }

    /// The bytes to be written, once no copy runs.
    pub fn bytes_mut(&mut self) -> Answer<&mut [u8]> {
        self.settle()?;
        // SAFETY: as for `bytes`; borrowed mutably, and no copy of the device reads them.
        Ok(unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) })
    }

    /// Copies the first `bytes` bytes (or all there are) to the device.
    pub fn upload(&mut self, to: Address, bytes: usize, stream: &Arc<Stream>) -> Answer<()> {
        let bytes = bytes.min(self.len);
        if bytes == 0 {
            return Ok(());
        }
        self.begin(stream)?;
        // SAFETY: the bytes live until `drop`, which waits for this copy as every view does.
        unsafe { self.context.api.upload(to, self.start.as_ptr(), bytes, stream.handle()) }
    }

    /// Copies the first `bytes` bytes (or all there are) from the device.
    pub fn download(&mut self, from: Address, bytes: usize, stream: &Arc<Stream>) -> Answer<()> {
        self.download_to(0, from, bytes, stream)
    }

    /// Copies `bytes` bytes (or as many as there are) from the device to those from `at` on.
    pub fn download_to(&mut self, at: usize, from: Address, bytes: usize, stream: &Arc<Stream>) -> Answer<()> {
        let at = at.min(self.len);
        let bytes = bytes.min(self.len - at);
        if bytes == 0 {
            return Ok(());
        }
        self.begin(stream)?;
        self.written = true;
        // SAFETY: `at + bytes` is at most `len`; the bytes live until `drop`, which waits for this copy as every view does.
        unsafe { self.context.api.download(self.start.as_ptr().add(at), from, bytes, stream.handle()) }
    }

    /// Where the device finds the bytes without a copy.
    pub fn device_address(&self) -> Answer<Address> {
        if self.len == 0 { Ok(0) } else { self.context.api.host_address(self.start) }
    }

    /// Remembers the copy to come; copies on another stream are waited for first.
    fn begin(&mut self, stream: &Arc<Stream>) -> Answer<()> {
        match &mut self.copy {
            Some((known, ticket)) if Arc::ptr_eq(known, stream) => *ticket = stream.ticket(),
            _ => {
                self.settle()?;
                self.copy = Some((Arc::clone(stream), stream.ticket()));
            }
        }
        Ok(())
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        let entered = self.context.enter();
        // Where this fails the context is lost and its copies have stopped; else the driver waits as it takes the memory back.
        if entered.is_ok() {
            let _ = self.settle();
        }
        let _ = self.context.api.free_host(self.start);
    }
}

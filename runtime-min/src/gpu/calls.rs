//! Calls of driver functions for devices, memory, streams and events, with their answers as `Result`s; those for kernels and
//! graphs are in `kernel_calls`. One of the few files with `unsafe` code.
//!
//! What makes the calls sound, beside the reason at each: a table holds functions of the driver's interface (or of a
//! stand-in for it) with the signatures of the header; handles come from the driver and are destroyed once, by the owners
//! in `owned` and `pinned`; addresses of device memory are numbers to this process, and a wrong one is an error of the
//! device, never a write to memory of the host.

#![allow(unsafe_code, reason = "calls of C functions; each block says why it is sound")]

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::ptr::{self, NonNull};

use super::super::error::DeviceError;
use super::driver::{
    Address, Code, ContextHandle, DeviceId, DriverTable, EventHandle, GraphHandle, GraphNodeHandle, StreamHandle,
    numbers,
};

/// Answers of calls.
pub type Answer<T> = Result<T, DeviceError>;

/// The driver's functions as methods.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    pub(super) table: &'static DriverTable,
}

impl Api {
    /// The functions of a table.
    pub fn new(table: &'static DriverTable) -> Api {
        Api { table }
    }

    pub(super) fn answer(self, function: &'static str, code: Code) -> Answer<()> {
        if code == 0 { Ok(()) } else { Err(self.error(function, code)) }
    }

    /// An error with the driver's words.
    pub fn error(self, function: &'static str, code: Code) -> DeviceError {
        let text = |get: unsafe extern "C" fn(Code, *mut *const c_char) -> Code| {
            let mut text: *const c_char = ptr::null();
            // SAFETY: the pointer is valid for one pointer; the text, if any, is a constant of the driver that ends in zero.
            unsafe {
                if get(code, &raw mut text) != 0 || text.is_null() {
                    return "unknown".to_string();
                }
                CStr::from_ptr(text).to_string_lossy().into_owned()
            }
        };
        let (name, text) = (text(self.table.get_error_name), text(self.table.get_error_string));
        DeviceError::Call { function, code, name, text }
    }

    pub fn init(self) -> Answer<()> {
        // SAFETY: 0 is the only value of the flags.
        self.answer("cuInit", unsafe { (self.table.init)(0) })
    }

    pub fn version(self) -> Answer<c_int> {
        let mut version = 0;
        // SAFETY: the pointer is valid for one integer.
        self.answer("cuDriverGetVersion", unsafe { (self.table.driver_get_version)(&raw mut version) })?;
        Ok(version)
    }

    pub fn device_count(self) -> Answer<c_int> {
        let mut count = 0;
        // SAFETY: the pointer is valid for one integer.
        self.answer("cuDeviceGetCount", unsafe { (self.table.device_get_count)(&raw mut count) })?;
        Ok(count)
    }

    pub fn device(self, ordinal: c_int) -> Answer<DeviceId> {
        let mut device = 0;
        // SAFETY: the pointer is valid for one integer.
        self.answer("cuDeviceGet", unsafe { (self.table.device_get)(&raw mut device, ordinal) })?;
        Ok(device)
    }

    pub fn device_name(self, device: DeviceId) -> Answer<String> {
        let mut name = [0u8; 256];
        let length = name.len() as c_int - 1;
        // SAFETY: the buffer holds `length` bytes and one more, which stays zero.
        let code = unsafe { (self.table.device_get_name)(name.as_mut_ptr().cast(), length, device) };
        self.answer("cuDeviceGetName", code)?;
        let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
        Ok(name.to_string_lossy().into_owned())
    }

    pub fn device_attribute(self, device: DeviceId, attribute: c_uint) -> Answer<c_int> {
        let mut value = 0;
        // SAFETY: the pointer is valid for one integer.
        let code = unsafe { (self.table.device_get_attribute)(&raw mut value, attribute, device) };
        self.answer("cuDeviceGetAttribute", code)?;
        Ok(value)
    }

    pub fn device_memory(self, device: DeviceId) -> Answer<usize> {
        let mut bytes = 0;
        // SAFETY: the pointer is valid for one integer.
        self.answer("cuDeviceTotalMem", unsafe { (self.table.device_total_mem)(&raw mut bytes, device) })?;
        Ok(bytes)
    }

    pub fn device_uuid(self, device: DeviceId) -> Answer<[u8; 16]> {
        let mut uuid = [0; 16];
        // SAFETY: the pointer is valid for 16 bytes.
        self.answer("cuDeviceGetUuid", unsafe { (self.table.device_get_uuid)(&raw mut uuid, device) })?;
        Ok(uuid)
    }

    pub fn primary_retain(self, device: DeviceId) -> Answer<ContextHandle> {
        let mut context = ContextHandle::default();
        // SAFETY: the pointer is valid for one handle.
        let code = unsafe { (self.table.primary_ctx_retain)(&raw mut context, device) };
        self.answer("cuDevicePrimaryCtxRetain", code)?;
        Ok(context)
    }

    pub fn primary_release(self, device: DeviceId) -> Answer<()> {
        // SAFETY: called once for each `primary_retain`, by the owner.
        self.answer("cuDevicePrimaryCtxRelease", unsafe { (self.table.primary_ctx_release)(device) })
    }

    pub fn push(self, context: ContextHandle) -> Answer<()> {
        // SAFETY: the context is retained by its owner.
        self.answer("cuCtxPushCurrent", unsafe { (self.table.ctx_push_current)(context) })
    }

    pub fn pop(self) -> Answer<ContextHandle> {
        let mut context = ContextHandle::default();
        // SAFETY: the pointer is valid for one handle.
        self.answer("cuCtxPopCurrent", unsafe { (self.table.ctx_pop_current)(&raw mut context) })?;
        Ok(context)
    }

    /// Free and total bytes of the current device.
    pub fn memory_info(self) -> Answer<(usize, usize)> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: the pointers are valid for one integer each.
        self.answer("cuMemGetInfo", unsafe { (self.table.mem_get_info)(&raw mut free, &raw mut total) })?;
        Ok((free, total))
    }

    pub fn alloc(self, bytes: usize) -> Answer<Address> {
        let mut address = 0;
        // SAFETY: the pointer is valid for one address.
        self.answer("cuMemAlloc", unsafe { (self.table.mem_alloc)(&raw mut address, bytes) })?;
        Ok(address)
    }

    pub fn free(self, address: Address) -> Answer<()> {
        // SAFETY: allocated by `alloc`, freed once by its owner.
        self.answer("cuMemFree", unsafe { (self.table.mem_free)(address) })
    }

    /// Page-locked memory of the host, for all contexts.
    pub fn alloc_host(self, bytes: usize) -> Answer<NonNull<u8>> {
        let mut pointer = ptr::null_mut();
        let flags = numbers::HOST_ALLOC_PORTABLE | numbers::HOST_ALLOC_MAPPED;
        // SAFETY: the pointer is valid for one pointer.
        self.answer("cuMemHostAlloc", unsafe { (self.table.mem_host_alloc)(&raw mut pointer, bytes, flags) })?;
        NonNull::new(pointer.cast()).ok_or_else(|| self.error("cuMemHostAlloc", numbers::OUT_OF_MEMORY))
    }

    pub fn free_host(self, pointer: NonNull<u8>) -> Answer<()> {
        // SAFETY: allocated by `alloc_host`, freed once by its owner, which lets no view of it live on.
        self.answer("cuMemFreeHost", unsafe { (self.table.mem_free_host)(pointer.as_ptr().cast()) })
    }

    /// Where the device finds page-locked memory.
    pub fn host_address(self, pointer: NonNull<u8>) -> Answer<Address> {
        let mut address = 0;
        // SAFETY: the pointer is valid for one address; the memory was allocated by `alloc_host` and is alive.
        let code = unsafe { (self.table.mem_host_get_device_pointer)(&raw mut address, pointer.as_ptr().cast(), 0) };
        self.answer("cuMemHostGetDevicePointer", code)?;
        Ok(address)
    }

    /// Whether an address is one of device memory.
    pub fn is_device_memory(self, address: Address) -> Answer<bool> {
        let mut kind: c_uint = 0;
        // SAFETY: the value of this attribute is one unsigned integer, for which the pointer is valid.
        let code = unsafe {
            (self.table.pointer_get_attribute)((&raw mut kind).cast(), numbers::POINTER_MEMORY_TYPE, address)
        };
        self.answer("cuPointerGetAttribute", code)?;
        Ok(kind == numbers::MEMORY_DEVICE)
    }

    /// Copies to the device.
    ///
    /// # Safety
    /// `from` stays valid for `bytes` bytes, and they stay as they are, until the stream has done the copy.
    pub unsafe fn upload(self, to: Address, from: *const u8, bytes: usize, stream: StreamHandle) -> Answer<()> {
        // SAFETY: the caller's promise.
        let code = unsafe { (self.table.memcpy_htod_async)(to, from.cast(), bytes, stream) };
        self.answer("cuMemcpyHtoDAsync", code)
    }

    /// Copies to the device, and waits.
    pub fn upload_now(self, to: Address, from: &[u8], stream: StreamHandle) -> Answer<()> {
        // SAFETY: the slice is borrowed until the stream is idle. Where waiting fails the context is unusable, and the copy
        // from pageable memory has been staged or has been given up.
        unsafe { self.upload(to, from.as_ptr(), from.len(), stream)? };
        self.synchronize(stream)
    }

    /// Copies from the device.
    ///
    /// # Safety
    /// `to` stays valid for `bytes` bytes, and nobody looks at them, until the stream has done the copy.
    pub unsafe fn download(self, to: *mut u8, from: Address, bytes: usize, stream: StreamHandle) -> Answer<()> {
        // SAFETY: the caller's promise.
        let code = unsafe { (self.table.memcpy_dtoh_async)(to.cast(), from, bytes, stream) };
        self.answer("cuMemcpyDtoHAsync", code)
    }

    pub fn copy(self, to: Address, from: Address, bytes: usize, stream: StreamHandle) -> Answer<()> {
        // SAFETY: both are addresses of the device.
        self.answer("cuMemcpyDtoDAsync", unsafe { (self.table.memcpy_dtod_async)(to, from, bytes, stream) })
    }

    pub fn fill(self, to: Address, value: u8, bytes: usize, stream: StreamHandle) -> Answer<()> {
        // SAFETY: an address of the device.
        self.answer("cuMemsetD8Async", unsafe { (self.table.memset_d8_async)(to, value, bytes, stream) })
    }

    pub fn fill_words(self, to: Address, value: u32, words: usize, stream: StreamHandle) -> Answer<()> {
        // SAFETY: an address of the device.
        self.answer("cuMemsetD32Async", unsafe { (self.table.memset_d32_async)(to, value, words, stream) })
    }

    pub fn create_stream(self) -> Answer<StreamHandle> {
        let mut stream = StreamHandle::default();
        // SAFETY: the pointer is valid for one handle.
        let code = unsafe { (self.table.stream_create)(&raw mut stream, numbers::STREAM_NON_BLOCKING) };
        self.answer("cuStreamCreate", code)?;
        Ok(stream)
    }

    pub fn destroy_stream(self, stream: StreamHandle) -> Answer<()> {
        // SAFETY: destroyed once by its owner.
        self.answer("cuStreamDestroy", unsafe { (self.table.stream_destroy)(stream) })
    }

    pub fn synchronize(self, stream: StreamHandle) -> Answer<()> {
        // SAFETY: the stream is alive.
        self.answer("cuStreamSynchronize", unsafe { (self.table.stream_synchronize)(stream) })
    }

    /// Whether all work of a stream is done.
    pub fn is_idle(self, stream: StreamHandle) -> Answer<bool> {
        // SAFETY: the stream is alive.
        match unsafe { (self.table.stream_query)(stream) } {
            numbers::NOT_READY => Ok(false),
            code => self.answer("cuStreamQuery", code).map(|()| true),
        }
    }

    pub fn wait_event(self, stream: StreamHandle, event: EventHandle) -> Answer<()> {
        // SAFETY: stream and event are alive.
        self.answer("cuStreamWaitEvent", unsafe { (self.table.stream_wait_event)(stream, event, 0) })
    }

    pub fn begin_capture(self, stream: StreamHandle) -> Answer<()> {
        // SAFETY: the stream is alive.
        let code = unsafe { (self.table.stream_begin_capture)(stream, numbers::CAPTURE_THREAD_LOCAL) };
        self.answer("cuStreamBeginCapture", code)
    }

    pub fn end_capture(self, stream: StreamHandle) -> Answer<GraphHandle> {
        let mut graph = GraphHandle::default();
        // SAFETY: the pointer is valid for one handle; the stream is alive.
        self.answer("cuStreamEndCapture", unsafe { (self.table.stream_end_capture)(stream, &raw mut graph) })?;
        Ok(graph)
    }

    pub fn is_capturing(self, stream: StreamHandle) -> Answer<bool> {
        let mut status = numbers::CAPTURE_NONE;
        // SAFETY: the pointer is valid for one integer; the stream is alive.
        let code = unsafe { (self.table.stream_is_capturing)(stream, &raw mut status) };
        self.answer("cuStreamIsCapturing", code)?;
        Ok(status != numbers::CAPTURE_NONE)
    }

    /// The node that a capture has just made: the only one that the stream's next work would wait for. `None` if the driver
    /// cannot tell in these terms.
    pub fn last_captured(self, stream: StreamHandle) -> Answer<Option<GraphNodeHandle>> {
        let (mut status, mut id, mut graph) = (numbers::CAPTURE_NONE, 0, GraphHandle::default());
        let (mut last, mut count): (*const GraphNodeHandle, usize) = (ptr::null(), 0);
        // SAFETY: the pointers are valid for one value each; the stream is alive.
        let code = unsafe {
            let get = self.table.stream_get_capture_info;
            get(stream, &raw mut status, &raw mut id, &raw mut graph, &raw mut last, &raw mut count)
        };
        if code == numbers::LOSSY_QUERY {
            return Ok(None);
        }
        self.answer("cuStreamGetCaptureInfo", code)?;
        if count != 1 || last.is_null() {
            return Ok(None);
        }
        // SAFETY: the driver lends `count` handles until the next call on this stream.
        Ok(Some(unsafe { *last }))
    }

    pub fn create_event(self, timing: bool) -> Answer<EventHandle> {
        let mut event = EventHandle::default();
        let flags = if timing { numbers::EVENT_TIMING } else { numbers::EVENT_NO_TIMING };
        // SAFETY: the pointer is valid for one handle.
        self.answer("cuEventCreate", unsafe { (self.table.event_create)(&raw mut event, flags) })?;
        Ok(event)
    }

    pub fn record_event(self, event: EventHandle, stream: StreamHandle) -> Answer<()> {
        // SAFETY: event and stream are alive.
        self.answer("cuEventRecord", unsafe { (self.table.event_record)(event, stream) })
    }

    pub fn synchronize_event(self, event: EventHandle) -> Answer<()> {
        // SAFETY: the event is alive.
        self.answer("cuEventSynchronize", unsafe { (self.table.event_synchronize)(event) })
    }

    /// Milliseconds between two events that have happened.
    pub fn elapsed(self, start: EventHandle, end: EventHandle) -> Answer<f32> {
        let mut milliseconds = 0.0;
        // SAFETY: the pointer is valid for one number; the events are alive.
        let code = unsafe { (self.table.event_elapsed_time)(&raw mut milliseconds, start, end) };
        self.answer("cuEventElapsedTime", code)?;
        Ok(milliseconds)
    }

    pub fn destroy_event(self, event: EventHandle) -> Answer<()> {
        // SAFETY: destroyed once by its owner.
        self.answer("cuEventDestroy", unsafe { (self.table.event_destroy)(event) })
    }
}

//! The driver as this runtime sees it: a table of C functions, the types in their signatures, and the numbers they take.
//!
//! Everything that runs on a GPU goes through a `&'static DriverTable`. `cudarc_table` fills one from the driver of the
//! system; tests have others: one that fails on demand, and an emulator whose `launch_kernel` interprets PTX.
//!
//! All functions have been in the driver under these symbols since CUDA 12.0; those in `Later` came afterwards.

use std::ffi::{c_char, c_int, c_uint, c_void};

use super::driver_functions::driver_functions;

/// What every function answers; 0 is success.
pub type Code = c_uint;

/// A device's number in the driver.
pub type DeviceId = c_int;

/// Address of device memory.
pub type Address = u64;

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident)*) => {
        $(
            $(#[$doc])*
            #[repr(transparent)]
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(pub usize);
        )*
    };
}

handles! {
    /// A context; never looked into, so a number.
    ContextHandle
    /// A stream; 0 is the default stream.
    StreamHandle
    EventHandle
    ModuleHandle
    FunctionHandle
    GraphHandle
    GraphNodeHandle
    GraphExecHandle
    LinkHandle
}

macro_rules! table {
    ($($field:ident $symbol:literal ($($name:ident: $ty:ty),*);)*) => {
        /// The driver's functions.
        #[derive(Clone, Copy, Debug)]
        pub struct DriverTable {
            $(#[doc = concat!("`", $symbol, "`")] pub $field: unsafe extern "C" fn($($name: $ty),*) -> Code,)*
            pub later: Later,
        }

        /// The symbols of the functions that every driver must have.
        pub const SYMBOLS: &[&str] = &[$($symbol),*];
    };
}

driver_functions!(table);

/// Functions that not every driver has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Later {
    /// `cuFuncGetParamInfo`: offset and size of a kernel's parameter; lets parameters be checked when a kernel is loaded.
    pub func_get_param_info: Option<unsafe extern "C" fn(FunctionHandle, usize, *mut usize, *mut usize) -> Code>,
    /// `cuFuncLoad`: loads a function whose module is loaded lazily.
    pub func_load: Option<unsafe extern "C" fn(FunctionHandle) -> Code>,
}

/// How a kernel is launched.
#[repr(C)]
#[derive(Debug)]
pub struct LaunchConfig {
    pub grid: [c_uint; 3],
    pub block: [c_uint; 3],
    pub shared: c_uint,
    pub stream: StreamHandle,
    pub attributes: *const LaunchAttribute,
    pub count: c_uint,
}

/// One attribute of a launch: 4 bytes of number, 4 of padding, 64 of value.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct LaunchAttribute {
    pub id: c_uint,
    pub padding: c_uint,
    pub value: [c_uint; 16],
}

/// Parameters of a kernel node.
#[repr(C)]
#[derive(Debug)]
pub struct KernelNodeParams {
    pub function: FunctionHandle,
    pub grid: [c_uint; 3],
    pub block: [c_uint; 3],
    pub shared: c_uint,
    pub params: *mut *mut c_void,
    pub extra: *mut *mut c_void,
    pub kernel: usize,
    pub context: ContextHandle,
}

/// Parameters of a memset node.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct MemsetParams {
    pub to: Address,
    pub pitch: usize,
    pub value: c_uint,
    pub element_bytes: c_uint,
    pub width: usize,
    pub height: usize,
}

/// Parameters of a memcpy node.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Memcpy3d {
    pub from: MemcpyEnd,
    pub to: MemcpyEnd,
    pub width: usize,
    pub height: usize,
    pub depth: usize,
}

/// Source or target of a memcpy node.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct MemcpyEnd {
    pub x: usize,
    pub y: usize,
    pub z: usize,
    pub lod: usize,
    pub kind: c_uint,
    pub host: usize,
    pub device: Address,
    pub array: usize,
    pub reserved: usize,
    pub pitch: usize,
    pub height: usize,
}

/// An encoded tensor map.
#[repr(C, align(128))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TensorMapBytes(pub [u64; 16]);

/// Numbers of the driver's interface.
pub mod numbers {
    use std::ffi::c_uint;

    pub const OUT_OF_MEMORY: c_uint = 2;
    pub const NO_DEVICE: c_uint = 100;
    pub const INVALID_VALUE: c_uint = 1;
    pub const LOSSY_QUERY: c_uint = 402;
    pub const NOT_READY: c_uint = 600;

    pub const ATTRIBUTE_MULTIPROCESSORS: c_uint = 16;
    pub const ATTRIBUTE_INTEGRATED: c_uint = 18;
    pub const ATTRIBUTE_MAJOR: c_uint = 75;
    pub const ATTRIBUTE_MINOR: c_uint = 76;
    pub const ATTRIBUTE_COOPERATIVE: c_uint = 95;
    pub const ATTRIBUTE_SHARED_LIMIT: c_uint = 97;

    pub const FUNCTION_SHARED: c_uint = 1;
    pub const FUNCTION_LOCAL: c_uint = 3;
    pub const FUNCTION_REGISTERS: c_uint = 4;
    pub const FUNCTION_SHARED_LIMIT: c_uint = 8;
    pub const FUNCTION_LARGE_CLUSTERS: c_uint = 14;

    pub const JIT_INFO_LOG: c_uint = 3;
    pub const JIT_INFO_LOG_BYTES: c_uint = 4;
    pub const JIT_ERROR_LOG: c_uint = 5;
    pub const JIT_ERROR_LOG_BYTES: c_uint = 6;
    pub const JIT_TARGET: c_uint = 9;
    /// Added to the target of an architecture that later devices do not run.
    pub const JIT_SPECIFIC: c_uint = 0x10000;
    pub const JIT_LOG_VERBOSE: c_uint = 12;
    pub const LINK_INPUT_PTX: c_uint = 1;

    pub const LAUNCH_COOPERATIVE: c_uint = 2;
    pub const LAUNCH_CLUSTER: c_uint = 4;
    pub const LAUNCH_DEPENDENT: c_uint = 6;

    pub const STREAM_NON_BLOCKING: c_uint = 1;
    pub const CAPTURE_THREAD_LOCAL: c_uint = 1;
    pub const CAPTURE_NONE: c_uint = 0;
    pub const EVENT_TIMING: c_uint = 0;
    pub const EVENT_NO_TIMING: c_uint = 2;
    pub const HOST_ALLOC_PORTABLE: c_uint = 1;
    pub const HOST_ALLOC_MAPPED: c_uint = 2;
    pub const MEMORY_DEVICE: c_uint = 2;
    pub const POINTER_MEMORY_TYPE: c_uint = 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes and offsets as the C header has them on 64-bit systems.
    #[test]
    fn layouts_are_those_of_the_header() {
        assert_eq!((size_of::<LaunchConfig>(), std::mem::offset_of!(LaunchConfig, stream)), (56, 32));
        assert_eq!((size_of::<LaunchAttribute>(), std::mem::offset_of!(LaunchAttribute, value)), (72, 8));
        assert_eq!((size_of::<KernelNodeParams>(), std::mem::offset_of!(KernelNodeParams, params)), (72, 40));
        assert_eq!((size_of::<MemsetParams>(), size_of::<Memcpy3d>()), (40, 200));
        assert_eq!(std::mem::offset_of!(MemcpyEnd, device), 48);
        assert_eq!((size_of::<TensorMapBytes>(), align_of::<TensorMapBytes>()), (128, 128));
    }

    #[test]
    fn symbols_are_distinct() {
        let all: std::collections::BTreeSet<&str> = SYMBOLS.iter().copied().collect();
        assert_eq!(all.len(), SYMBOLS.len());
    }
}

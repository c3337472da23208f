//! The driver as this runtime sees it: a table of C functions, the types in their signatures, and the numbers they take.
//!
//! Everything that runs on a GPU goes through a `&'static DriverTable`. `cudarc_table` fills one from the driver of the
//! system; tests have others: one that fails on demand, and an emulator whose `launch_kernel` interprets PTX.
//!
//! All functions have been in the driver under these symbols since CUDA 12.0; those in `Later` came afterwards.

use std::ffi::{c_char, c_int, c_uint, c_void};

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

/// Hands all functions to a macro: field, symbol, parameters.
macro_rules! driver_functions {
    ($with:ident) => {
        $with! {
            init "cuInit" (flags: c_uint);
            driver_get_version "cuDriverGetVersion" (version: *mut c_int);
            device_get_count "cuDeviceGetCount" (count: *mut c_int);
            device_get "cuDeviceGet" (device: *mut DeviceId, ordinal: c_int);
            device_get_name "cuDeviceGetName" (name: *mut c_char, length: c_int, device: DeviceId);
            device_get_attribute "cuDeviceGetAttribute" (value: *mut c_int, attribute: c_uint, device: DeviceId);
            device_total_mem "cuDeviceTotalMem_v2" (bytes: *mut usize, device: DeviceId);
            device_get_uuid "cuDeviceGetUuid_v2" (uuid: *mut [u8; 16], device: DeviceId);
            primary_ctx_retain "cuDevicePrimaryCtxRetain" (context: *mut ContextHandle, device: DeviceId);
            primary_ctx_release "cuDevicePrimaryCtxRelease_v2" (device: DeviceId);
            ctx_push_current "cuCtxPushCurrent_v2" (context: ContextHandle);
            ctx_pop_current "cuCtxPopCurrent_v2" (context: *mut ContextHandle);
            mem_get_info "cuMemGetInfo_v2" (free: *mut usize, total: *mut usize);
            mem_alloc "cuMemAlloc_v2" (address: *mut Address, bytes: usize);
            mem_free "cuMemFree_v2" (address: Address);
            mem_host_alloc "cuMemHostAlloc" (pointer: *mut *mut c_void, bytes: usize, flags: c_uint);
            mem_free_host "cuMemFreeHost" (pointer: *mut c_void);
            mem_host_get_device_pointer "cuMemHostGetDevicePointer_v2" (address: *mut Address, pointer: *mut c_void, flags: c_uint);
            pointer_get_attribute "cuPointerGetAttribute" (value: *mut c_void, attribute: c_uint, address: Address);
            memcpy_htod_async "cuMemcpyHtoDAsync_v2" (to: Address, from: *const c_void, bytes: usize, stream: StreamHandle);
            memcpy_dtoh_async "cuMemcpyDtoHAsync_v2" (to: *mut c_void, from: Address, bytes: usize, stream: StreamHandle);
            memcpy_dtod_async "cuMemcpyDtoDAsync_v2" (to: Address, from: Address, bytes: usize, stream: StreamHandle);
            memset_d8_async "cuMemsetD8Async" (to: Address, value: u8, count: usize, stream: StreamHandle);
            memset_d32_async "cuMemsetD32Async" (to: Address, value: c_uint, count: usize, stream: StreamHandle);
            stream_create "cuStreamCreate" (stream: *mut StreamHandle, flags: c_uint);
            stream_destroy "cuStreamDestroy_v2" (stream: StreamHandle);
            stream_synchronize "cuStreamSynchronize" (stream: StreamHandle);
            stream_query "cuStreamQuery" (stream: StreamHandle);
            stream_wait_event "cuStreamWaitEvent" (stream: StreamHandle, event: EventHandle, flags: c_uint);
            stream_begin_capture "cuStreamBeginCapture_v2" (stream: StreamHandle, mode: c_uint);
            stream_end_capture "cuStreamEndCapture" (stream: StreamHandle, graph: *mut GraphHandle);
            stream_is_capturing "cuStreamIsCapturing" (stream: StreamHandle, status: *mut c_uint);
            stream_get_capture_info "cuStreamGetCaptureInfo_v2" (stream: StreamHandle, status: *mut c_uint, id: *mut u64, graph: *mut GraphHandle, last: *mut *const GraphNodeHandle, count: *mut usize);
            event_create "cuEventCreate" (event: *mut EventHandle, flags: c_uint);
            event_record "cuEventRecord" (event: EventHandle, stream: StreamHandle);
            event_synchronize "cuEventSynchronize" (event: EventHandle);
            event_elapsed_time "cuEventElapsedTime" (milliseconds: *mut f32, start: EventHandle, end: EventHandle);
            event_destroy "cuEventDestroy_v2" (event: EventHandle);
            module_load_data_ex "cuModuleLoadDataEx" (module: *mut ModuleHandle, image: *const c_void, count: c_uint, options: *mut c_uint, values: *mut *mut c_void);
            module_unload "cuModuleUnload" (module: ModuleHandle);
            module_get_function "cuModuleGetFunction" (function: *mut FunctionHandle, module: ModuleHandle, name: *const c_char);
            func_get_attribute "cuFuncGetAttribute" (value: *mut c_int, attribute: c_uint, function: FunctionHandle);
            func_set_attribute "cuFuncSetAttribute" (function: FunctionHandle, attribute: c_uint, value: c_int);
            launch_kernel_ex "cuLaunchKernelEx" (config: *const LaunchConfig, function: FunctionHandle, params: *mut *mut c_void, extra: *mut *mut c_void);
            occupancy_blocks "cuOccupancyMaxActiveBlocksPerMultiprocessor" (blocks: *mut c_int, function: FunctionHandle, threads: c_int, shared: usize);
            occupancy_clusters "cuOccupancyMaxActiveClusters" (clusters: *mut c_int, function: FunctionHandle, config: *const LaunchConfig);
            graph_instantiate "cuGraphInstantiateWithFlags" (exec: *mut GraphExecHandle, graph: GraphHandle, flags: u64);
            graph_upload "cuGraphUpload" (exec: GraphExecHandle, stream: StreamHandle);
            graph_launch "cuGraphLaunch" (exec: GraphExecHandle, stream: StreamHandle);
            graph_exec_kernel_set_params "cuGraphExecKernelNodeSetParams_v2" (exec: GraphExecHandle, node: GraphNodeHandle, params: *const KernelNodeParams);
            graph_exec_memcpy_set_params "cuGraphExecMemcpyNodeSetParams" (exec: GraphExecHandle, node: GraphNodeHandle, params: *const Memcpy3d, context: ContextHandle);
            graph_exec_memset_set_params "cuGraphExecMemsetNodeSetParams" (exec: GraphExecHandle, node: GraphNodeHandle, params: *const MemsetParams, context: ContextHandle);
            graph_exec_destroy "cuGraphExecDestroy" (exec: GraphExecHandle);
            graph_destroy "cuGraphDestroy" (graph: GraphHandle);
            link_create "cuLinkCreate_v2" (count: c_uint, options: *mut c_uint, values: *mut *mut c_void, state: *mut LinkHandle);
            link_add_data "cuLinkAddData_v2" (state: LinkHandle, kind: c_uint, data: *mut c_void, bytes: usize, name: *const c_char, count: c_uint, options: *mut c_uint, values: *mut *mut c_void);
            link_complete "cuLinkComplete" (state: LinkHandle, cubin: *mut *mut c_void, bytes: *mut usize);
            link_destroy "cuLinkDestroy" (state: LinkHandle);
            tensor_map_encode_tiled "cuTensorMapEncodeTiled" (map: *mut TensorMapBytes, element: c_uint, rank: c_uint, address: *mut c_void, extents: *const u64, strides: *const u64, tile: *const c_uint, element_strides: *const c_uint, interleave: c_uint, swizzle: c_uint, promotion: c_uint, fill: c_uint);
            tensor_map_encode_im2col "cuTensorMapEncodeIm2col" (map: *mut TensorMapBytes, element: c_uint, rank: c_uint, address: *mut c_void, extents: *const u64, strides: *const u64, lower: *const c_int, upper: *const c_int, channels: c_uint, pixels: c_uint, element_strides: *const c_uint, interleave: c_uint, swizzle: c_uint, promotion: c_uint, fill: c_uint);
            get_error_name "cuGetErrorName" (code: Code, text: *mut *const c_char);
            get_error_string "cuGetErrorString" (code: Code, text: *mut *const c_char);
        }
    };
}
#[allow(unused_imports, reason = "used where a table is filled")]
pub(super) use driver_functions;

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

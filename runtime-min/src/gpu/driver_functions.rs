//! The functions of the driver that this runtime calls: field of the table, symbol, parameters.

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

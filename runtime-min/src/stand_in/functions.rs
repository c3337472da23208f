//! The driver's functions over the stand-in's state: devices, memory, streams, events. Kernels and graphs are in `kernels`.

use std::ffi::{c_char, c_int, c_uint, c_void};

use super::kernels;
use super::world::{CONTEXT, CONTEXTS, Capture, Inside, Work, World, with};
use crate::gpu::driver::{
    Address, Code, ContextHandle, DeviceId, DriverTable, EventHandle, GraphHandle, GraphNodeHandle, Later,
    StreamHandle, numbers,
};

/// The stand-in's table.
pub static TABLE: DriverTable = DriverTable {
    init,
    driver_get_version,
    device_get_count,
    device_get,
    device_get_name,
    device_get_attribute,
    device_total_mem,
    device_get_uuid,
    primary_ctx_retain,
    primary_ctx_release,
    ctx_push_current,
    ctx_pop_current,
    mem_get_info,
    mem_alloc,
    mem_free,
    mem_host_alloc,
    mem_free_host,
    mem_host_get_device_pointer,
    pointer_get_attribute,
    memcpy_htod_async,
    memcpy_dtoh_async,
    memcpy_dtod_async,
    memset_d8_async,
    memset_d32_async,
    stream_create,
    stream_destroy,
    stream_synchronize,
    stream_query,
    stream_wait_event,
    stream_begin_capture,
    stream_end_capture,
    stream_is_capturing,
    stream_get_capture_info,
    event_create,
    event_record,
    event_synchronize,
    event_elapsed_time,
    event_destroy,
    module_load_data_ex: kernels::module_load_data_ex,
    module_unload: kernels::module_unload,
    module_get_function: kernels::module_get_function,
    func_get_attribute: kernels::func_get_attribute,
    func_set_attribute: kernels::func_set_attribute,
    launch_kernel_ex: kernels::launch_kernel_ex,
    occupancy_blocks: kernels::occupancy_blocks,
    occupancy_clusters: kernels::occupancy_clusters,
    graph_instantiate: kernels::graph_instantiate,
    graph_upload: kernels::graph_upload,
    graph_launch: kernels::graph_launch,
    graph_exec_kernel_set_params: kernels::graph_exec_kernel_set_params,
    graph_exec_memcpy_set_params: kernels::graph_exec_memcpy_set_params,
    graph_exec_memset_set_params: kernels::graph_exec_memset_set_params,
    graph_exec_destroy: kernels::graph_exec_destroy,
    graph_destroy: kernels::graph_destroy,
    link_create: kernels::link_create,
    link_add_data: kernels::link_add_data,
    link_complete: kernels::link_complete,
    link_destroy: kernels::link_destroy,
    tensor_map_encode_tiled: kernels::tensor_map_encode_tiled,
    tensor_map_encode_im2col: kernels::tensor_map_encode_im2col,
    get_error_name,
    get_error_string,
    later: Later { func_get_param_info: Some(kernels::func_get_param_info), func_load: Some(kernels::func_load) },
};

/// What a function needs before it does anything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    Context,
    /// Gives something back: does so even where it answers with an error.
    Release,
}

/// Counts the call, lets it fail if the script says so, else does it.
pub fn call(name: &'static str, needs: Needs, act: impl FnOnce(&mut World) -> Code) -> Code {
    let _inside = Inside::new();
    with(|world| {
        world.counts.calls += 1;
        let mut code = world.lost.unwrap_or(0);
        if let Some((n, failure)) = world.script.fail
            && n == world.counts.calls
        {
            world.failed = Some(name);
            code = failure;
            if crate::gpu::engine::is_sticky(failure) {
                world.lost = Some(failure);
            }
        }
        if needs == Needs::Context && CONTEXTS.with_borrow(Vec::is_empty) {
            world.wrong(format!("{name} without a context"));
            return 201;
        }
        if code == 0 || needs == Needs::Release {
            let done = act(world);
            code = if code == 0 { done } else { code };
        }
        code
    })
}

/// # Safety
/// The pointer is valid for a value.
pub unsafe fn put<T>(pointer: *mut T, value: T) {
    // SAFETY: the caller's promise.
    unsafe { pointer.write(value) }
}

macro_rules! functions {
    ($($name:ident $needs:ident ($world:pat, $($arg:ident: $ty:ty),*) $body:block)*) => {
        $(
            pub unsafe extern "C" fn $name($($arg: $ty),*) -> Code {
                call(stringify!($name), Needs::$needs, |$world| {
                    #[allow(unused_unsafe, reason = "some bodies need none")]
                    // SAFETY: the caller keeps the contract of the driver's function of this name.
                    unsafe { $body }
                })
            }
        )*
    };
}
pub(super) use functions;

functions! {
    init Nothing (world, _flags: c_uint) { if world.script.devices == 0 { numbers::NO_DEVICE } else { 0 } }
    driver_get_version Nothing (world, out: *mut c_int) { put(out, world.script.version); 0 }
    device_get_count Nothing (world, out: *mut c_int) { put(out, world.script.devices); 0 }
    device_get Nothing (world, out: *mut DeviceId, ordinal: c_int) {
        put(out, ordinal);
        if ordinal < world.script.devices { 0 } else { 101 }
    }
    device_get_name Nothing (_, out: *mut c_char, _length: c_int, _device: DeviceId) {
        for (k, byte) in b"Stand-in\0".iter().enumerate() {
            put(out.add(k), *byte as c_char);
        }
        0
    }
    device_get_attribute Nothing (world, out: *mut c_int, attribute: c_uint, _device: DeviceId) {
        let script = &world.script;
        put(out, match attribute {
            numbers::ATTRIBUTE_MULTIPROCESSORS => script.multiprocessors,
            numbers::ATTRIBUTE_INTEGRATED => i32::from(script.integrated),
            numbers::ATTRIBUTE_MAJOR => script.capability / 10,
            numbers::ATTRIBUTE_MINOR => script.capability % 10,
            numbers::ATTRIBUTE_COOPERATIVE => 1,
            numbers::ATTRIBUTE_SHARED_LIMIT => script.shared_limit,
            _ => 0,
        });
        0
    }
    device_total_mem Nothing (world, out: *mut usize, _device: DeviceId) { put(out, world.script.memory); 0 }
    device_get_uuid Nothing (_, out: *mut [u8; 16], _device: DeviceId) { put(out, [7; 16]); 0 }
    primary_ctx_retain Nothing (world, out: *mut ContextHandle, _device: DeviceId) {
        world.contexts += 1;
        put(out, ContextHandle(CONTEXT));
        0
    }
    primary_ctx_release Release (world, _device: DeviceId) {
        world.contexts -= 1;
        if world.contexts < 0 {
            world.wrong("a context is released twice");
        }
        0
    }
    ctx_push_current Nothing (world, context: ContextHandle) {
        CONTEXTS.with_borrow_mut(|stack| stack.push(context.0));
        world.pushed += 1;
        0
    }
    ctx_pop_current Release (world, out: *mut ContextHandle) {
        let popped = CONTEXTS.with_borrow_mut(Vec::pop);
        put(out, ContextHandle(popped.unwrap_or(0)));
        world.pushed -= 1;
        if popped.is_none() {
            world.wrong("no context to pop");
        }
        0
    }
    mem_get_info Context (world, free: *mut usize, total: *mut usize) {
        let taken: usize = world.device.values().sum();
        put(free, world.script.memory.saturating_sub(taken));
        put(total, world.script.memory);
        0
    }
    mem_alloc Context (world, out: *mut Address, bytes: usize) {
        let taken: usize = world.device.values().sum();
        if bytes == 0 {
            return numbers::INVALID_VALUE;
        }
        let thread = std::thread::current().id();
        if world.captures.values().any(|capture| capture.thread == thread) {
            world.wrong("memory is taken while a stream captures");
            return 900;
        }
        if taken.saturating_add(bytes) > world.script.memory {
            return numbers::OUT_OF_MEMORY;
        }
        world.counts.allocations += 1;
        let address = world.executor.alloc(bytes);
        world.device.insert(address, bytes);
        put(out, address);
        0
    }
    mem_free Release (world, address: Address) {
        let code = if world.lost.is_some() { 0 } else { world.run_all() };
        if world.device.remove(&address).is_none() || !world.executor.free(address) {
            world.wrong("device memory is freed twice");
        }
        code
    }
    mem_host_alloc Context (world, out: *mut *mut c_void, bytes: usize, _flags: c_uint) {
        world.counts.allocations += 1;
        let mut block = vec![0xAB; bytes].into_boxed_slice();
        let pointer = block.as_mut_ptr();
        world.host.insert(pointer as usize, block);
        put(out, pointer.cast());
        0
    }
    mem_free_host Release (world, pointer: *mut c_void) {
        let code = if world.lost.is_some() { 0 } else { world.run_all() };
        if world.host.remove(&(pointer as usize)).is_none() {
            world.wrong("host memory is freed twice");
        }
        if let Some(mirror) = world.mirrors.remove(&(pointer as usize)) {
            world.executor.free(mirror);
        }
        code
    }
    mem_host_get_device_pointer Context (world, out: *mut Address, pointer: *mut c_void, _flags: c_uint) {
        match world.mirror(pointer as usize) {
            Some(address) => {
                put(out, address);
                0
            }
            None => numbers::INVALID_VALUE,
        }
    }
    pointer_get_attribute Context (world, out: *mut c_void, _attribute: c_uint, address: Address) {
        let known = world.device.range(..=address).next_back();
        let inside = known.is_some_and(|(start, bytes)| address < start + *bytes as Address);
        put(out.cast::<c_uint>(), numbers::MEMORY_DEVICE);
        if inside { 0 } else { numbers::INVALID_VALUE }
    }
    memcpy_htod_async Context (world, to: Address, from: *const c_void, bytes: usize, stream: StreamHandle) {
        world.counts.uploads += 1;
        if world.is_pinned(from as usize, bytes) {
            return world.give(stream.0, Work::Upload { to, from: from as usize, bytes });
        }
        // Memory that is not page-locked is staged before the call returns.
        let bytes = std::slice::from_raw_parts(from.cast::<u8>(), bytes).to_vec();
        world.give(stream.0, Work::Write { to, bytes })
    }
    memcpy_dtoh_async Context (world, to: *mut c_void, from: Address, bytes: usize, stream: StreamHandle) {
        world.counts.downloads += 1;
        world.give(stream.0, Work::Download { to: to as usize, from, bytes })
    }
    memcpy_dtod_async Context (world, to: Address, from: Address, bytes: usize, stream: StreamHandle) {
        world.give(stream.0, Work::Copy { to, from, bytes })
    }
    memset_d8_async Context (world, to: Address, value: u8, count: usize, stream: StreamHandle) {
        world.give(stream.0, Work::Fill { to, word: u32::from(value), width: 1, count })
    }
    memset_d32_async Context (world, to: Address, word: c_uint, count: usize, stream: StreamHandle) {
        world.give(stream.0, Work::Fill { to, word, width: 4, count })
    }
    stream_create Context (world, out: *mut StreamHandle, _flags: c_uint) {
        let stream = world.handle();
        world.streams.insert(stream, std::collections::VecDeque::new());
        put(out, StreamHandle(stream));
        0
    }
    stream_destroy Release (world, stream: StreamHandle) {
        let code = if world.lost.is_some() { 0 } else { world.run(stream.0) };
        if world.captures.contains_key(&stream.0) {
            world.wrong("a stream is destroyed that captures");
        }
        if world.streams.remove(&stream.0).is_none() {
            world.wrong("a stream is destroyed twice");
        }
        code
    }
    stream_synchronize Context (world, stream: StreamHandle) {
        world.counts.synchronizations += 1;
        if world.captures.contains_key(&stream.0) {
            world.wrong("a stream is waited for while it captures");
            return 900;
        }
        world.run(stream.0)
    }
    stream_query Context (world, stream: StreamHandle) { world.run(stream.0) }
    stream_wait_event Context (world, stream: StreamHandle, event: EventHandle, _flags: c_uint) {
        world.wait(stream.0, event.0)
    }
    stream_begin_capture Context (world, stream: StreamHandle, _mode: c_uint) {
        let thread = std::thread::current().id();
        let capture = Capture { thread, nodes: Vec::new(), last: Box::new(0) };
        if world.captures.insert(stream.0, capture).is_some() {
            world.wrong("a stream captures twice at once");
            return 900;
        }
        0
    }
    stream_end_capture Release (world, stream: StreamHandle, out: *mut GraphHandle) {
        put(out, GraphHandle(0));
        let Some(capture) = world.captures.remove(&stream.0) else {
            world.wrong("a capture ends that has not begun");
            return 901;
        };
        // Where the call fails by the script the capture is void.
        if world.failed == Some("stream_end_capture") || world.lost.is_some() {
            return 901;
        }
        let graph = world.handle();
        world.graphs.insert(graph, capture.nodes);
        put(out, GraphHandle(graph));
        0
    }
    stream_is_capturing Context (world, stream: StreamHandle, out: *mut c_uint) {
        put(out, c_uint::from(world.captures.contains_key(&stream.0)));
        0
    }
    stream_get_capture_info Context (
        world,
        stream: StreamHandle,
        status: *mut c_uint,
        _id: *mut u64,
        _graph: *mut GraphHandle,
        last: *mut *const GraphNodeHandle,
        count: *mut usize
    ) {
        put(status, c_uint::from(world.captures.contains_key(&stream.0)));
        if !world.script.tells_nodes {
            return numbers::LOSSY_QUERY;
        }
        if let Some(capture) = world.captures.get(&stream.0) {
            put(last, (&raw const *capture.last).cast());
            put(count, capture.nodes.len().min(1));
        }
        0
    }
    event_create Context (world, out: *mut EventHandle, _flags: c_uint) {
        let event = world.handle();
        world.events.insert(event, super::world::Event::default());
        put(out, EventHandle(event));
        0
    }
    event_record Context (world, event: EventHandle, stream: StreamHandle) { world.record(event.0, stream.0) }
    event_synchronize Context (world, event: EventHandle) {
        let turn = world.event_turn(event.0);
        world.happen(event.0, turn)
    }
    event_elapsed_time Context (_, out: *mut f32, _start: EventHandle, _end: EventHandle) { put(out, 0.5); 0 }
    event_destroy Release (world, event: EventHandle) {
        if world.events.remove(&event.0).is_none() {
            world.wrong("an event is destroyed twice");
        }
        0
    }
}

unsafe extern "C" fn get_error_name(code: Code, out: *mut *const c_char) -> Code {
    let name = match code {
        1 => c"CUDA_ERROR_INVALID_VALUE",
        2 => c"CUDA_ERROR_OUT_OF_MEMORY",
        100 => c"CUDA_ERROR_NO_DEVICE",
        218 => c"CUDA_ERROR_INVALID_PTX",
        700 => c"CUDA_ERROR_ILLEGAL_ADDRESS",
        719 => c"CUDA_ERROR_LAUNCH_FAILED",
        _ => return numbers::INVALID_VALUE,
    };
    // SAFETY: the caller's pointer is valid for one pointer.
    unsafe { put(out, name.as_ptr()) };
    0
}

unsafe extern "C" fn get_error_string(_code: Code, out: *mut *const c_char) -> Code {
    // SAFETY: the caller's pointer is valid for one pointer.
    unsafe { put(out, c"as the script says".as_ptr()) };
    0
}

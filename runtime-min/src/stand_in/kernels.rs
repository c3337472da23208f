//! The driver's functions for modules, launches, graphs, links and tensor maps.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use super::functions::{Needs, call, functions, put};
use super::world::{Function, Work, World};
use super::{MapFields, machine_code};
use crate::gpu::driver::{
    Address, Code, ContextHandle, FunctionHandle, GraphExecHandle, GraphHandle, GraphNodeHandle, KernelNodeParams,
    LaunchConfig, LinkHandle, Memcpy3d, MemsetParams, ModuleHandle, StreamHandle, TensorMapBytes, numbers,
};
use crate::gpu::kernel_calls::LaunchShape;

functions! {
    module_load_data_ex Context (
        world,
        out: *mut ModuleHandle,
        image: *const c_void,
        count: c_uint,
        options: *mut c_uint,
        values: *mut *mut c_void
    ) {
        let text = text_of(image);
        let linked = world.linked.get(&text).copied();
        match linked.map_or_else(|| world.executor.load(&text), Ok) {
            Ok(module) => {
                let handle = world.handle();
                world.modules.insert(handle, module);
                world.counts.modules += 1;
                put(out, ModuleHandle(handle));
                0
            }
            Err(log) => {
                write_log(log_of(count, options, values), &log);
                218
            }
        }
    }
    module_unload Release (world, module: ModuleHandle) {
        let code = if world.lost.is_some() { 0 } else { world.run_all() };
        if world.modules.remove(&module.0).is_none() {
            world.wrong("a module is unloaded twice");
        }
        code
    }
    module_get_function Context (world, out: *mut FunctionHandle, module: ModuleHandle, name: *const c_char) {
        let entry = CStr::from_ptr(name).to_string_lossy().into_owned();
        let Some(module) = world.modules.get(&module.0).copied() else { return 400 };
        let Some(params) = world.executor.parameters(module, &entry) else { return 500 };
        let handle = world.handle();
        world.functions.insert(handle, Function { module, entry, params, shared_limit: 48 * 1024 });
        put(out, FunctionHandle(handle));
        0
    }
    func_get_attribute Context (world, out: *mut c_int, attribute: c_uint, function: FunctionHandle) {
        let Some(known) = world.functions.get(&function.0) else { return 400 };
        let local = attribute == numbers::FUNCTION_LOCAL;
        put(out, if local { world.executor.spilled(known.module, &known.entry) as c_int } else { 0 });
        0
    }
    func_set_attribute Context (world, function: FunctionHandle, attribute: c_uint, value: c_int) {
        let shared = attribute == numbers::FUNCTION_SHARED_LIMIT;
        match world.functions.get_mut(&function.0) {
            Some(known) if shared => known.shared_limit = value as u32,
            Some(_) => {}
            None => return 400,
        }
        0
    }
    launch_kernel_ex Context (
        world,
        config: *const LaunchConfig,
        function: FunctionHandle,
        params: *mut *mut c_void,
        _extra: *mut *mut c_void
    ) {
        let config = &*config;
        let mut shape = LaunchShape { grid: config.grid, block: config.block, shared: config.shared, ..Default::default() };
        for k in 0..config.count as usize {
            let attribute = config.attributes.add(k).read();
            let [x, y, z, ..] = attribute.value;
            match attribute.id {
                numbers::LAUNCH_CLUSTER => shape.cluster = [x, y, z],
                numbers::LAUNCH_COOPERATIVE => shape.cooperative = x != 0,
                numbers::LAUNCH_DEPENDENT => shape.dependent = x != 0,
                _ => world.wrong("an unknown attribute of a launch"),
            }
        }
        let Some(known) = world.functions.get(&function.0) else { return 400 };
        if shape.grid.contains(&0) || shape.shared > known.shared_limit {
            return numbers::INVALID_VALUE;
        }
        let params = packed(known, params);
        world.counts.launches += 1;
        world.counts.dependent_launches += u64::from(shape.dependent);
        world.give(config.stream.0, Work::Launch { function: function.0, shape, params })
    }
    occupancy_blocks Context (world, out: *mut c_int, _function: FunctionHandle, _threads: c_int, _shared: usize) {
        put(out, world.script.resident);
        0
    }
    occupancy_clusters Context (world, out: *mut c_int, _function: FunctionHandle, _config: *const LaunchConfig) {
        put(out, world.script.resident);
        0
    }
    graph_instantiate Context (world, out: *mut GraphExecHandle, graph: GraphHandle, _flags: u64) {
        let Some(nodes) = world.graphs.get(&graph.0).cloned() else { return 400 };
        let exec = world.handle();
        world.execs.insert(exec, nodes);
        world.counts.instantiations += 1;
        put(out, GraphExecHandle(exec));
        0
    }
    graph_upload Context (world, exec: GraphExecHandle, _stream: StreamHandle) {
        if world.execs.contains_key(&exec.0) { 0 } else { 400 }
    }
    graph_launch Context (world, exec: GraphExecHandle, stream: StreamHandle) {
        let Some(nodes) = world.execs.get(&exec.0).cloned() else { return 400 };
        world.counts.graph_launches += 1;
        let dependent = |work: &Work| matches!(work, Work::Launch { shape, .. } if shape.dependent);
        world.counts.dependent_nodes += nodes.iter().filter(|(_, work)| dependent(work)).count() as u64;
        nodes.into_iter().map(|(_, work)| world.give(stream.0, work)).find(|code| *code != 0).unwrap_or(0)
    }
    graph_exec_kernel_set_params Context (
        world,
        exec: GraphExecHandle,
        node: GraphNodeHandle,
        params: *const KernelNodeParams
    ) {
        let given = &*params;
        let Some(known) = world.functions.get(&given.function.0) else { return 400 };
        let params = packed(known, given.params);
        change(world, exec, node, |work| match work {
            Work::Launch { function, shape, params: old } if *function == given.function.0 => {
                (shape.grid, shape.block, shape.shared) = (given.grid, given.block, given.shared);
                *old = params;
                true
            }
            _ => false,
        })
    }
    graph_exec_memcpy_set_params Context (
        world,
        exec: GraphExecHandle,
        node: GraphNodeHandle,
        params: *const Memcpy3d,
        _context: ContextHandle
    ) {
        let given = &*params;
        change(world, exec, node, |work| match work {
            Work::Copy { to, from, bytes } => {
                (*to, *from, *bytes) = (given.to.device, given.from.device, given.width);
                true
            }
            _ => false,
        })
    }
    graph_exec_memset_set_params Context (
        world,
        exec: GraphExecHandle,
        node: GraphNodeHandle,
        params: *const MemsetParams,
        _context: ContextHandle
    ) {
        let given = &*params;
        change(world, exec, node, |work| match work {
            Work::Fill { to, word, width, count } => {
                (*to, *word, *width, *count) = (given.to, given.value, given.element_bytes as usize, given.width);
                true
            }
            _ => false,
        })
    }
    graph_exec_destroy Release (world, exec: GraphExecHandle) {
        if world.execs.remove(&exec.0).is_none() {
            world.wrong("an executable graph is destroyed twice");
        }
        0
    }
    graph_destroy Release (world, graph: GraphHandle) {
        if world.graphs.remove(&graph.0).is_none() {
            world.wrong("a graph is destroyed twice");
        }
        0
    }
    link_create Context (
        world,
        count: c_uint,
        options: *mut c_uint,
        values: *mut *mut c_void,
        out: *mut LinkHandle
    ) {
        let link = world.handle();
        world.links.insert(link, (log_of(count, options, values) as usize, Vec::new()));
        put(out, LinkHandle(link));
        0
    }
    link_add_data Context (
        world,
        state: LinkHandle,
        _kind: c_uint,
        data: *mut c_void,
        _bytes: usize,
        _name: *const c_char,
        _count: c_uint,
        _options: *mut c_uint,
        _values: *mut *mut c_void
    ) {
        let text = text_of(data);
        match world.executor.load(&text) {
            Ok(module) => {
                let code = machine_code(&text);
                world.linked.insert(text, module);
                world.links.entry(state.0).and_modify(|link| link.1 = code);
                0
            }
            Err(log) => {
                write_log(world.links.get(&state.0).map_or(0, |link| link.0) as *mut u8, &log);
                218
            }
        }
    }
    link_complete Context (world, state: LinkHandle, cubin: *mut *mut c_void, bytes: *mut usize) {
        let Some((_, code)) = world.links.get_mut(&state.0) else { return 400 };
        put(cubin, code.as_mut_ptr().cast());
        put(bytes, code.len());
        0
    }
    link_destroy Release (world, state: LinkHandle) {
        if world.links.remove(&state.0).is_none() {
            world.wrong("a link is destroyed twice");
        }
        0
    }
    tensor_map_encode_tiled Context (
        world,
        out: *mut TensorMapBytes,
        element: c_uint,
        rank: c_uint,
        address: *mut c_void,
        extents: *const u64,
        strides: *const u64,
        tile: *const c_uint,
        element_strides: *const c_uint,
        _interleave: c_uint,
        swizzle: c_uint,
        promotion: c_uint,
        fill: c_uint
    ) {
        let rank = rank as usize;
        let map = MapFields {
            address: address as Address,
            element,
            extents: list(extents, rank),
            strides: list(strides, rank.saturating_sub(1)),
            element_strides: list(element_strides, rank),
            tile: list(tile, rank),
            swizzle,
            promotion,
            fill,
            ..MapFields::default()
        };
        encode(world, out, &map)
    }
    tensor_map_encode_im2col Context (
        world,
        out: *mut TensorMapBytes,
        element: c_uint,
        rank: c_uint,
        address: *mut c_void,
        extents: *const u64,
        strides: *const u64,
        lower: *const c_int,
        upper: *const c_int,
        channels: c_uint,
        pixels: c_uint,
        element_strides: *const c_uint,
        _interleave: c_uint,
        swizzle: c_uint,
        promotion: c_uint,
        fill: c_uint
    ) {
        let rank = rank as usize;
        let map = MapFields {
            address: address as Address,
            element,
            extents: list(extents, rank),
            strides: list(strides, rank.saturating_sub(1)),
            element_strides: list(element_strides, rank),
            lower: list(lower, rank.saturating_sub(2)),
            upper: list(upper, rank.saturating_sub(2)),
            channels,
            pixels,
            swizzle,
            promotion,
            fill,
            ..MapFields::default()
        };
        encode(world, out, &map)
    }
    func_get_param_info Context (
        world,
        function: FunctionHandle,
        index: usize,
        offset: *mut usize,
        bytes: *mut usize
    ) {
        match world.functions.get(&function.0).and_then(|known| known.params.get(index)) {
            Some((at, size)) => {
                put(offset, *at);
                put(bytes, *size);
                0
            }
            None => numbers::INVALID_VALUE,
        }
    }
    func_load Context (world, function: FunctionHandle) {
        if world.functions.contains_key(&function.0) { 0 } else { 400 }
    }
}

/// The buffer for the compiler's words among the options; null if there is none.
///
/// # Safety
/// There are `count` options and values.
unsafe fn log_of(count: c_uint, options: *mut c_uint, values: *mut *mut c_void) -> *mut u8 {
    // SAFETY: the caller's promise.
    let log = (0..count as usize).find(|k| unsafe { options.add(*k).read() } == numbers::JIT_ERROR_LOG);
    // SAFETY: as above.
    log.map_or(std::ptr::null_mut(), |k| unsafe { values.add(k).read() }.cast())
}

/// Writes words that end in zero.
///
/// # Safety
/// The buffer is null, or has room for them.
unsafe fn write_log(buffer: *mut u8, log: &str) {
    for (at, byte) in log.bytes().chain([0]).enumerate().filter(|_| !buffer.is_null()) {
        // SAFETY: the caller's promise.
        unsafe { put(buffer.add(at), byte) };
    }
}

/// The text of PTX, or inside machine code.
///
/// # Safety
/// The image ends in a zero byte, or is of [`machine_code`].
unsafe fn text_of(image: *const c_void) -> String {
    let start: *const u8 = image.cast();
    // SAFETY: the caller's promise; machine code has its text's length at byte 96.
    unsafe {
        let magic = [start.read(), start.add(1).read()];
        let bytes = if magic == *b"\x7fE" {
            let length = start.add(96).cast::<u64>().read_unaligned();
            std::slice::from_raw_parts(start.add(128), length as usize)
        } else {
            CStr::from_ptr(start.cast()).to_bytes()
        };
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// The parameters as they lie in a kernel's parameter space.
///
/// # Safety
/// There is a pointer for every parameter, valid for its bytes.
unsafe fn packed(function: &Function, params: *mut *mut c_void) -> Vec<u8> {
    let mut out = Vec::new();
    for (k, (offset, bytes)) in function.params.iter().enumerate() {
        out.resize(out.len().max(offset + bytes), 0);
        // SAFETY: the caller's promise.
        let value = unsafe { std::slice::from_raw_parts(params.add(k).read().cast::<u8>(), *bytes) };
        if let Some(place) = out.get_mut(*offset..offset + bytes) {
            place.copy_from_slice(value);
        }
    }
    out
}

/// # Safety
/// The pointer is valid for so many values.
unsafe fn list<T: Copy>(start: *const T, count: usize) -> Vec<T> {
    // SAFETY: the caller's promise.
    (0..count).map(|k| unsafe { start.add(k).read() }).collect()
}

/// # Safety
/// The pointer is valid for a map.
unsafe fn encode(world: &mut World, out: *mut TensorMapBytes, map: &MapFields) -> Code {
    world.counts.encodings += 1;
    if let Some(what) = world.executor.refuses(map) {
        world.wrong(what);
        return numbers::INVALID_VALUE;
    }
    // SAFETY: the caller's promise.
    unsafe { put(out, TensorMapBytes(world.executor.encode(map))) };
    0
}

fn change(
    world: &mut World,
    exec: GraphExecHandle,
    node: GraphNodeHandle,
    set: impl FnOnce(&mut Work) -> bool,
) -> Code {
    let nodes = world.execs.get_mut(&exec.0);
    let found = nodes.and_then(|nodes| nodes.iter_mut().find(|(handle, _)| *handle == node.0));
    world.counts.patched_nodes += 1;
    match found.map(|(_, work)| set(work)) {
        Some(true) => 0,
        Some(false) => 910,
        None => 400,
    }
}

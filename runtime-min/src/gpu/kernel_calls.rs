//! Calls of driver functions for kernels, graphs and tensor maps. One of the few files with `unsafe` code; why the calls are
//! sound is said in `calls`, and at each.

#![allow(unsafe_code, reason = "calls of C functions; each block says why it is sound")]

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::ptr;

use super::super::error::DeviceError;
use super::calls::{Answer, Api};
use super::driver::{
    Address, ContextHandle, FunctionHandle, GraphExecHandle, GraphHandle, GraphNodeHandle, KernelNodeParams,
    LaunchAttribute, LaunchConfig, LinkHandle, Memcpy3d, MemsetParams, ModuleHandle, StreamHandle, TensorMapBytes,
    numbers,
};
use super::image::Image;
use super::params::Params;

/// Grid, block and the rest of a launch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaunchShape {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub cluster: [u32; 3],
    pub shared: u32,
    pub cooperative: bool,
    pub dependent: bool,
}

/// A tensor map with all sizes known.
#[derive(Clone, Copy, Debug)]
pub struct MapRequest<'a> {
    pub address: Address,
    pub element: u32,
    pub extents: &'a [u64],
    /// One fewer than extents.
    pub strides: &'a [u64],
    pub element_strides: &'a [u32],
    pub copy: MapCopy<'a>,
    pub swizzle: u32,
    pub promotion: u32,
    pub fill: u32,
}

/// What one copy of a tensor map takes.
#[derive(Clone, Copy, Debug)]
pub enum MapCopy<'a> {
    Tiled { tile: &'a [u32] },
    Im2col { lower: &'a [i32], upper: &'a [i32], channels: u32, pixels: u32 },
}

/// What a driver tells of a kernel's parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterBytes {
    /// This driver cannot tell.
    Unknown,
    /// There is no such parameter.
    None,
    Some(usize),
}

impl Api {
    /// Loads machine code. It must be whole, which `image` checks.
    pub fn load_cubin(self, cubin: Image<'_>) -> Answer<ModuleHandle> {
        let mut module = ModuleHandle::default();
        let (none, image) = (ptr::null_mut(), cubin.bytes().as_ptr().cast());
        // SAFETY: the image is whole, so that the driver finds its end in its header; no options are passed.
        let code = unsafe { (self.table.module_load_data_ex)(&raw mut module, image, 0, none, ptr::null_mut()) };
        self.answer("cuModuleLoadDataEx", code)?;
        Ok(module)
    }

    pub fn unload(self, module: ModuleHandle) -> Answer<()> {
        // SAFETY: unloaded once by its owner.
        self.answer("cuModuleUnload", unsafe { (self.table.module_unload)(module) })
    }

    pub fn function(self, module: ModuleHandle, name: &CStr) -> Answer<FunctionHandle> {
        let mut function = FunctionHandle::default();
        // SAFETY: the pointer is valid for one handle; the name ends in zero.
        let code = unsafe { (self.table.module_get_function)(&raw mut function, module, name.as_ptr()) };
        self.answer("cuModuleGetFunction", code)?;
        Ok(function)
    }

    /// Makes sure that a function is on the device, not only its module's text.
    pub fn load_function(self, function: FunctionHandle) -> Answer<()> {
        match self.table.later.func_load {
            // SAFETY: the function's module is alive.
            Some(load) => self.answer("cuFuncLoad", unsafe { load(function) }),
            None => self.function_attribute(function, numbers::FUNCTION_REGISTERS).map(|_| ()),
        }
    }

    /// Bytes of a function's parameter.
    pub fn parameter_bytes(self, function: FunctionHandle, index: usize) -> Answer<ParameterBytes> {
        let Some(get) = self.table.later.func_get_param_info else { return Ok(ParameterBytes::Unknown) };
        let (mut offset, mut bytes) = (0, 0);
        // SAFETY: the pointers are valid for one integer each; the function's module is alive.
        match unsafe { get(function, index, &raw mut offset, &raw mut bytes) } {
            numbers::INVALID_VALUE => Ok(ParameterBytes::None),
            code => self.answer("cuFuncGetParamInfo", code).map(|()| ParameterBytes::Some(bytes)),
        }
    }

    pub fn function_attribute(self, function: FunctionHandle, attribute: c_uint) -> Answer<c_int> {
        let mut value = 0;
        // SAFETY: the pointer is valid for one integer; the function's module is alive.
        let code = unsafe { (self.table.func_get_attribute)(&raw mut value, attribute, function) };
        self.answer("cuFuncGetAttribute", code)?;
        Ok(value)
    }

    pub fn set_function_attribute(self, function: FunctionHandle, attribute: c_uint, value: c_int) -> Answer<()> {
        // SAFETY: the function's module is alive.
        let code = unsafe { (self.table.func_set_attribute)(function, attribute, value) };
        self.answer("cuFuncSetAttribute", code)
    }

    /// CTAs of one multiprocessor.
    pub fn resident_blocks(self, function: FunctionHandle, shape: &LaunchShape) -> Answer<c_int> {
        let mut blocks = 0;
        let threads: u32 = shape.block.iter().product();
        // SAFETY: the pointer is valid for one integer; the function's module is alive.
        let code = unsafe {
            (self.table.occupancy_blocks)(&raw mut blocks, function, threads as c_int, shape.shared as usize)
        };
        self.answer("cuOccupancyMaxActiveBlocksPerMultiprocessor", code)?;
        Ok(blocks)
    }

    /// Clusters of the whole device.
    pub fn resident_clusters(self, function: FunctionHandle, shape: &LaunchShape) -> Answer<c_int> {
        let mut clusters = 0;
        let (attributes, count) = attributes(shape);
        let config = config(shape, StreamHandle(0), &attributes, count);
        // SAFETY: the pointers are valid for the call; the function's module is alive.
        let code = unsafe { (self.table.occupancy_clusters)(&raw mut clusters, function, &raw const config) };
        self.answer("cuOccupancyMaxActiveClusters", code)?;
        Ok(clusters)
    }

    pub fn launch(
        self,
        function: FunctionHandle,
        shape: &LaunchShape,
        params: &mut Params,
        stream: StreamHandle,
    ) -> Answer<()> {
        let (attributes, count) = attributes(shape);
        let config = config(shape, stream, &attributes, count);
        let params = params.pointers().as_mut_ptr().cast();
        // SAFETY: the pointers are valid for the call, which copies the parameters. `Params` holds readable bytes for every
        // parameter that a kernel can have.
        let code = unsafe { (self.table.launch_kernel_ex)(&raw const config, function, params, ptr::null_mut()) };
        self.answer("cuLaunchKernelEx", code)
    }

    pub fn instantiate(self, graph: GraphHandle) -> Answer<GraphExecHandle> {
        let mut exec = GraphExecHandle::default();
        // SAFETY: the pointer is valid for one handle; the graph is alive.
        let code = unsafe { (self.table.graph_instantiate)(&raw mut exec, graph, 0) };
        self.answer("cuGraphInstantiateWithFlags", code)?;
        Ok(exec)
    }

    pub fn upload_graph(self, exec: GraphExecHandle, stream: StreamHandle) -> Answer<()> {
        // SAFETY: graph and stream are alive.
        self.answer("cuGraphUpload", unsafe { (self.table.graph_upload)(exec, stream) })
    }

    pub fn launch_graph(self, exec: GraphExecHandle, stream: StreamHandle) -> Answer<()> {
        // SAFETY: graph and stream are alive.
        self.answer("cuGraphLaunch", unsafe { (self.table.graph_launch)(exec, stream) })
    }

    /// Gives a kernel node of an executable graph other parameters.
    pub fn set_kernel_node(
        self,
        exec: GraphExecHandle,
        node: GraphNodeHandle,
        function: FunctionHandle,
        shape: &LaunchShape,
        params: &mut Params,
    ) -> Answer<()> {
        let node_params = KernelNodeParams {
            function,
            grid: shape.grid,
            block: shape.block,
            shared: shape.shared,
            params: params.pointers().as_mut_ptr().cast(),
            extra: ptr::null_mut(),
            kernel: 0,
            context: ContextHandle(0),
        };
        // SAFETY: as for `launch`; the node belongs to the graph that `exec` was made from, which its owner keeps.
        let code = unsafe { (self.table.graph_exec_kernel_set_params)(exec, node, &raw const node_params) };
        self.answer("cuGraphExecKernelNodeSetParams", code)
    }

    pub fn set_copy_node(
        self,
        exec: GraphExecHandle,
        node: GraphNodeHandle,
        params: &Memcpy3d,
        context: ContextHandle,
    ) -> Answer<()> {
        // SAFETY: as for `set_kernel_node`; both ends are addresses of the device.
        let code = unsafe { (self.table.graph_exec_memcpy_set_params)(exec, node, params, context) };
        self.answer("cuGraphExecMemcpyNodeSetParams", code)
    }

    pub fn set_fill_node(
        self,
        exec: GraphExecHandle,
        node: GraphNodeHandle,
        params: &MemsetParams,
        context: ContextHandle,
    ) -> Answer<()> {
        // SAFETY: as for `set_kernel_node`; the target is an address of the device.
        let code = unsafe { (self.table.graph_exec_memset_set_params)(exec, node, params, context) };
        self.answer("cuGraphExecMemsetNodeSetParams", code)
    }

    pub fn destroy_exec(self, exec: GraphExecHandle) -> Answer<()> {
        // SAFETY: destroyed once by its owner.
        self.answer("cuGraphExecDestroy", unsafe { (self.table.graph_exec_destroy)(exec) })
    }

    pub fn destroy_graph(self, graph: GraphHandle) -> Answer<()> {
        // SAFETY: destroyed once by its owner.
        self.answer("cuGraphDestroy", unsafe { (self.table.graph_destroy)(graph) })
    }

    /// Links PTX to machine code, for the current device or for another target: its capability times ten, plus
    /// [`numbers::JIT_SPECIFIC`] for `sm_90a` and its like. Yields the machine code, or the error and the compiler's words.
    pub fn link(self, ptx: &CStr, name: &CStr, target: Option<c_uint>) -> Result<Vec<u8>, (DeviceError, String)> {
        let mut logs = Logs::new();
        let (options, values) = logs.options();
        let mut options: Vec<c_uint> = options.to_vec();
        let mut values: Vec<*mut c_void> = values.to_vec();
        if let Some(target) = target {
            options.push(numbers::JIT_TARGET);
            values.push(number(target as usize));
        }
        let (mut state, count) = (LinkHandle::default(), options.len() as c_uint);
        // SAFETY: there are as many values as options, sizes where the option is a size, and pointers to buffers of those sizes
        // where it is a buffer; all live until the state is destroyed below.
        let code =
            unsafe { (self.table.link_create)(count, options.as_mut_ptr(), values.as_mut_ptr(), &raw mut state) };
        if let Err(error) = self.answer("cuLinkCreate", code) {
            return Err((error, logs.error()));
        }
        let linked = self.link_in(state, ptx, name);
        // SAFETY: created above, destroyed once; the machine code has been copied.
        let destroyed = self.answer("cuLinkDestroy", unsafe { (self.table.link_destroy)(state) });
        let cubin = linked.map_err(|error| (error, logs.error()))?;
        destroyed.map_err(|error| (error, String::new()))?;
        Ok(cubin)
    }

    fn link_in(self, state: LinkHandle, ptx: &CStr, name: &CStr) -> Answer<Vec<u8>> {
        let text = ptx.to_bytes_with_nul();
        let (none, nothing) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the text has so many bytes and ends in zero, and is only read; the state is alive.
        let code = unsafe {
            let data = text.as_ptr().cast_mut().cast();
            (self.table.link_add_data)(
                state,
                numbers::LINK_INPUT_PTX,
                data,
                text.len(),
                name.as_ptr(),
                0,
                none,
                nothing,
            )
        };
        self.answer("cuLinkAddData", code)?;
        let (mut cubin, mut bytes) = (ptr::null_mut(), 0);
        // SAFETY: the pointers are valid for one value each; the state is alive.
        let code = unsafe { (self.table.link_complete)(state, &raw mut cubin, &raw mut bytes) };
        self.answer("cuLinkComplete", code)?;
        if cubin.is_null() {
            return Ok(Vec::new());
        }
        // SAFETY: the driver lends `bytes` bytes until the state is destroyed.
        Ok(unsafe { std::slice::from_raw_parts(cubin.cast_const().cast::<u8>(), bytes) }.to_vec())
    }

    /// Encodes a tensor map. Lists that are too short for the rank are an error here.
    pub fn encode(self, request: &MapRequest<'_>) -> Answer<TensorMapBytes> {
        const NAME: &str = "cuTensorMapEncode";
        let rank = request.extents.len();
        let spatial = rank.saturating_sub(2);
        let fits = (1..=5).contains(&rank)
            && request.strides.len() + 1 == rank
            && request.element_strides.len() == rank
            && match request.copy {
                MapCopy::Tiled { tile } => tile.len() == rank,
                MapCopy::Im2col { lower, upper, .. } => lower.len() == spatial && upper.len() == spatial && rank >= 3,
            };
        if !fits {
            return Err(self.error(NAME, numbers::INVALID_VALUE));
        }
        let mut map = TensorMapBytes::default();
        let address = number(request.address as usize);
        let (extents, strides) = (request.extents.as_ptr(), request.strides.as_ptr());
        let steps = request.element_strides.as_ptr();
        let (element, swizzle, promotion, fill) = (request.element, request.swizzle, request.promotion, request.fill);
        let out = &raw mut map;
        // SAFETY: the lists are as long as the rank asks for, as checked above; the address is only encoded.
        let code = unsafe {
            match request.copy {
                MapCopy::Tiled { tile } => (self.table.tensor_map_encode_tiled)(
                    out,
                    element,
                    rank as c_uint,
                    address,
                    extents,
                    strides,
                    tile.as_ptr(),
                    steps,
                    0,
                    swizzle,
                    promotion,
                    fill,
                ),
                MapCopy::Im2col { lower, upper, channels, pixels } => (self.table.tensor_map_encode_im2col)(
                    out,
                    element,
                    rank as c_uint,
                    address,
                    extents,
                    strides,
                    lower.as_ptr(),
                    upper.as_ptr(),
                    channels,
                    pixels,
                    steps,
                    0,
                    swizzle,
                    promotion,
                    fill,
                ),
            }
        };
        self.answer(NAME, code)?;
        Ok(map)
    }
}

/// A number where the driver takes a pointer.
fn number(value: usize) -> *mut c_void {
    ptr::without_provenance_mut(value)
}

fn attributes(shape: &LaunchShape) -> ([LaunchAttribute; 3], usize) {
    let mut list = [LaunchAttribute::default(); 3];
    let mut count = 0;
    let mut add = |id: c_uint, value: [u32; 3]| {
        if let Some(slot) = list.get_mut(count) {
            slot.id = id;
            slot.value.iter_mut().zip(value).for_each(|(word, v)| *word = v);
            count += 1;
        }
    };
    if shape.cluster.iter().any(|c| *c > 1) {
        add(numbers::LAUNCH_CLUSTER, shape.cluster);
    }
    if shape.cooperative {
        add(numbers::LAUNCH_COOPERATIVE, [1, 0, 0]);
    }
    if shape.dependent {
        add(numbers::LAUNCH_DEPENDENT, [1, 0, 0]);
    }
    (list, count)
}

fn config(shape: &LaunchShape, stream: StreamHandle, attributes: &[LaunchAttribute; 3], count: usize) -> LaunchConfig {
    LaunchConfig {
        grid: shape.grid,
        block: shape.block,
        shared: shape.shared,
        stream,
        attributes: attributes.as_ptr(),
        count: count as c_uint,
    }
}

/// What the driver's compiler says.
struct Logs {
    info: Vec<u8>,
    error: Vec<u8>,
}

impl Logs {
    const BYTES: usize = 16 * 1024;

    fn new() -> Logs {
        Logs { info: vec![0; Logs::BYTES], error: vec![0; Logs::BYTES] }
    }

    fn options(&mut self) -> ([c_uint; 5], [*mut c_void; 5]) {
        let options = [
            numbers::JIT_INFO_LOG,
            numbers::JIT_INFO_LOG_BYTES,
            numbers::JIT_ERROR_LOG,
            numbers::JIT_ERROR_LOG_BYTES,
            numbers::JIT_LOG_VERBOSE,
        ];
        let (info, error) = (self.info.as_mut_ptr().cast(), self.error.as_mut_ptr().cast());
        let bytes = number(Logs::BYTES - 1);
        (options, [info, bytes, error, bytes, number(1)])
    }

    fn error(&self) -> String {
        text(&self.error)
    }
}

fn text(bytes: &[u8]) -> String {
    let text = CStr::from_bytes_until_nul(bytes).unwrap_or_default();
    text.to_string_lossy().trim().to_string()
}

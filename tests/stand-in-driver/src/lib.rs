//! The driver that stands in for NVIDIA's, over the PTX emulator, as a shared library with the driver's symbols. A program that
//! finds it as `libcuda.so.1` runs as it was built, without a GPU.
//!
//! `STAND_IN_CAPABILITY` is the compute capability times ten (90 if not set), `STAND_IN_MEMORY` the bytes of its memory,
//! `STAND_IN_VERSION` the CUDA version of the driver (13020 is 13.2). Where `STAND_IN_COUNTS` names a file, what was called
//! is written there whenever a context is given back: `launches 3` and so on, a line each.

#![allow(unsafe_code, reason = "C functions that hand their arguments on to functions of the same signature")]

#[path = "../../../runtime-min/src/gpu/driver_functions.rs"]
mod driver_functions;

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

use driver_functions::driver_functions;
use gpu_checks::emulated::Emulated;
use runtime_min::gpu::driver::{
    Address, Code, ContextHandle, DeviceId, DriverTable, EventHandle, FunctionHandle, GraphExecHandle, GraphHandle,
    GraphNodeHandle, KernelNodeParams, LaunchConfig, LinkHandle, Memcpy3d, MemsetParams, ModuleHandle, StreamHandle,
    TensorMapBytes,
};
use runtime_min::stand_in::{Script, StandIn};

/// The device, put in place by the first call.
fn stand_in() -> &'static StandIn {
    static PLACE: OnceLock<Shared> = OnceLock::new();
    let shared = PLACE.get_or_init(|| {
        let script = Script {
            capability: variable("STAND_IN_CAPABILITY").unwrap_or(90),
            memory: variable("STAND_IN_MEMORY").unwrap_or(8 << 30),
            version: variable("STAND_IN_VERSION").unwrap_or(Script::default().version),
            ..Script::default()
        };
        Shared(Box::leak(Box::new(StandIn::new(Box::new(Emulated::default()), script))))
    });
    shared.0
}

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// The stand-in for all threads.
struct Shared(&'static StandIn);

// SAFETY: what the guard inside locks stays locked as long as the process runs; everything else is behind a lock.
unsafe impl Send for Shared {}

// SAFETY: as above.
unsafe impl Sync for Shared {}

fn table() -> &'static DriverTable {
    stand_in().table()
}

macro_rules! export {
    ($($field:ident $symbol:literal ($($name:ident: $ty:ty),*);)*) => {
        $(
            /// The driver's function.
            ///
            /// # Safety
            /// As the driver's.
            #[unsafe(export_name = $symbol)]
            pub unsafe extern "C" fn $field($($name: $ty),*) -> Code {
                // SAFETY: the caller's promise.
                let code = unsafe { (table().$field)($($name),*) };
                if $symbol == "cuDevicePrimaryCtxRelease_v2" {
                    write_counts();
                }
                code
            }
        )*
    };
}

driver_functions!(export);

/// `cuFuncGetParamInfo`.
///
/// # Safety
/// As the driver's.
#[unsafe(export_name = "cuFuncGetParamInfo")]
pub unsafe extern "C" fn func_get_param_info(
    function: FunctionHandle,
    index: usize,
    offset: *mut usize,
    bytes: *mut usize,
) -> Code {
    // SAFETY: the caller's promise.
    table().later.func_get_param_info.map_or(500, |get| unsafe { get(function, index, offset, bytes) })
}

/// `cuFuncLoad`.
///
/// # Safety
/// As the driver's.
#[unsafe(export_name = "cuFuncLoad")]
pub unsafe extern "C" fn func_load(function: FunctionHandle) -> Code {
    // SAFETY: the caller's promise.
    table().later.func_load.map_or(500, |load| unsafe { load(function) })
}

fn write_counts() {
    let Some(path) = std::env::var_os("STAND_IN_COUNTS") else { return };
    let (counts, leaks) = (stand_in().counts(), stand_in().leaks());
    let lines = [
        ("launches", counts.launches),
        ("graph_launches", counts.graph_launches),
        ("instantiations", counts.instantiations),
        ("allocations", counts.allocations),
        ("uploads", counts.uploads),
        ("downloads", counts.downloads),
        ("misuse", leaks.misuse.len() as u64),
    ];
    let text: String = lines.iter().map(|(name, count)| format!("{name} {count}\n")).collect();
    // A test that finds no file fails.
    let _ = std::fs::write(path, text);
}

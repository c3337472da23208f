//! The driver of this system as a [`DriverTable`]; the only file that names `cudarc`. One of the few files with `unsafe` code.
//!
//! Symbols are looked up by name in the library that `cudarc` finds, so that neither the version feature it is built with
//! nor its own tables matter, and what is missing is an error and not a panic.

#![allow(unsafe_code, reason = "symbols of a C library; each block says why it is sound")]

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

use cudarc::driver::sys;

use super::super::error::DeviceError;
use super::driver::{
    Address, Code, ContextHandle, DeviceId, DriverTable, EventHandle, FunctionHandle, GraphExecHandle, GraphHandle,
    GraphNodeHandle, KernelNodeParams, Later, LaunchConfig, LinkHandle, Memcpy3d, MemsetParams, ModuleHandle,
    StreamHandle, TensorMapBytes,
};
use super::driver_functions::driver_functions;

/// The least version of the driver's interface, as `cuDriverGetVersion` tells it.
pub const LEAST_VERSION: c_int = 12_000;

/// The driver's functions, or what is wrong with the driver.
pub fn driver() -> Result<&'static DriverTable, DeviceError> {
    static TABLE: OnceLock<Result<DriverTable, DeviceError>> = OnceLock::new();
    TABLE.get_or_init(fill).as_ref().map_err(Clone::clone)
}

fn fill() -> Result<DriverTable, DeviceError> {
    // SAFETY: opens and closes the driver's library, whose initialisers are meant to run in any process.
    if !unsafe { sys::is_culib_present() } {
        return Err(no_library());
    }
    // SAFETY: the signature is that of the header.
    let version = unsafe { find::<unsafe extern "C" fn(*mut c_int) -> Code>("cuDriverGetVersion") };
    let Some(version) = version else {
        return Err(missing(&["cuDriverGetVersion"], 0));
    };
    let mut found: c_int = 0;
    // SAFETY: the pointer is valid for one integer; the function may be called before `cuInit`.
    let code = unsafe { version(&raw mut found) };
    new_enough(code, found)?;
    all(found)
}

/// An error if the driver does not tell its version, or is too old.
fn new_enough(code: Code, version: c_int) -> Result<(), DeviceError> {
    if code == 0 && version >= LEAST_VERSION {
        return Ok(());
    }
    let found = if code == 0 { spell(version) } else { format!("cuDriverGetVersion failed with {code}") };
    Err(DeviceError::Driver { found, needed: needed("a driver for CUDA") })
}

fn no_library() -> DeviceError {
    let found = "no driver library (libcuda.so.1 or nvcuda.dll)".to_string();
    DeviceError::Driver { found, needed: needed("an NVIDIA driver for CUDA") }
}

macro_rules! look_up {
    ($($field:ident $symbol:literal ($($name:ident: $ty:ty),*);)*) => {
        fn all(version: c_int) -> Result<DriverTable, DeviceError> {
            let mut absent: Vec<&'static str> = Vec::new();
            $(
                // SAFETY: the signature is that of the header, the same in all versions that have the symbol.
                let $field = unsafe { find::<unsafe extern "C" fn($($name: $ty),*) -> Code>($symbol) };
                if $field.is_none() {
                    absent.push($symbol);
                }
            )*
            let later = Later {
                // SAFETY: as above.
                func_get_param_info: unsafe { find("cuFuncGetParamInfo") },
                // SAFETY: as above.
                func_load: unsafe { find("cuFuncLoad") },
            };
            $(
                let Some($field) = $field else { return Err(missing(&absent, version)) };
            )*
            Ok(DriverTable { $($field,)* later })
        }
    };
}

driver_functions!(look_up);

/// A function of the library.
///
/// # Safety
/// `F` is the type of the function of this name; the library has been found.
unsafe fn find<F: Copy>(symbol: &'static str) -> Option<F> {
    // SAFETY: the library is never closed, so that the function outlives the table; the type is the caller's promise.
    unsafe { sys::culib().get::<F>(symbol.as_bytes()).ok().map(|f| *f) }
}

fn missing(absent: &[&str], version: c_int) -> DeviceError {
    let found = format!("{} without {}", spell(version), absent.join(", "));
    DeviceError::Driver { found, needed: needed("a driver for CUDA") }
}

fn needed(what: &str) -> String {
    format!("{what} {} or later; install or update the driver", LEAST_VERSION / 1000)
}

fn spell(version: c_int) -> String {
    format!("a driver for CUDA {}.{}", version / 1000, version % 1000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where there is no driver this is an error that says so, and no panic.
    #[test]
    fn a_missing_driver_is_an_error() {
        let Err(error) = driver() else { return };
        let text = error.to_string();
        assert!(text.contains("found ") && text.contains("CUDA 12 or later"), "{text}");
    }

    #[test]
    fn versions_are_spelled() {
        assert_eq!(spell(12_040), "a driver for CUDA 12.4");
    }

    /// What was found, what is needed, and what to do.
    #[test]
    fn errors_of_drivers() {
        let check = |found: Result<(), DeviceError>, expected: &str| {
            assert_eq!(found.map_err(|error| error.to_string()), Err(expected.to_string()));
        };
        check(
            Err(no_library()),
            "NVIDIA driver: found no driver library (libcuda.so.1 or nvcuda.dll), needed an NVIDIA driver for CUDA 12 or \
             later; install or update the driver",
        );
        check(
            new_enough(0, 11_080),
            "NVIDIA driver: found a driver for CUDA 11.8, needed a driver for CUDA 12 or later; install or update the driver",
        );
        check(
            new_enough(3, 0),
            "NVIDIA driver: found cuDriverGetVersion failed with 3, needed a driver for CUDA 12 or later; install or \
             update the driver",
        );
        check(
            Err(missing(&["cuGraphLaunch", "cuEventRecord"], 12_000)),
            "NVIDIA driver: found a driver for CUDA 12.0 without cuGraphLaunch, cuEventRecord, needed a driver for CUDA 12 \
             or later; install or update the driver",
        );
        assert_eq!(new_enough(0, LEAST_VERSION), Ok(()));
    }
}

//! Machine code from PTX by the driver's linker, for tools; and what the driver says of a kernel's use of the device.

use std::ffi::CString;
use std::sync::Arc;

use super::super::error::DeviceError;
use super::calls::Answer;
use super::driver::{DriverTable, numbers};
use super::image::Image;
use super::kernel_calls::LaunchShape;
use super::owned::{Context, DeviceFacts, Module};
use super::program::Target;

/// The linker of a device's driver. Threads may share it; they link at the same time.
#[derive(Clone, Debug)]
pub struct Linker {
    context: Arc<Context>,
}

/// What a kernel takes of a multiprocessor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelFacts {
    /// Of each thread.
    pub registers: u32,
    /// Bytes of each thread in memory: spilled registers and local arrays.
    pub local_bytes: u32,
    /// Static shared memory of each CTA.
    pub shared_bytes: u32,
    /// CTAs that one multiprocessor holds, at this block and dynamic shared memory.
    pub resident: u32,
}

impl Linker {
    /// The linker of device `ordinal`.
    pub fn open(driver: &'static DriverTable, ordinal: u32) -> Answer<Linker> {
        Ok(Linker { context: Context::open(driver, ordinal)? })
    }

    /// Facts about the device.
    pub fn device(&self) -> &DeviceFacts {
        &self.context.facts
    }

    /// The machine code of PTX for a target: the device's own architecture, or another. The same text gives the same bytes.
    pub fn link(&self, name: &str, ptx: &str, target: Target) -> Answer<Vec<u8>> {
        let refused = |what: String| DeviceError::Module { module: name.to_string(), what };
        let (text, label) = match (CString::new(ptx), CString::new(name)) {
            (Ok(text), Ok(label)) => (text, label),
            _ => return Err(refused("a zero byte in PTX or name".to_string())),
        };
        let number = target.capability + if target.specific { numbers::JIT_SPECIFIC } else { 0 };
        let _entered = self.context.enter()?;
        let linked = self.context.api.link(&text, &label, Some(number));
        let code =
            linked.map_err(|(error, log)| refused(format!("{error}: {log}").trim_end_matches(": ").to_string()))?;
        if Image::new(&code).is_none() {
            return Err(refused("the driver's machine code is not whole".to_string()));
        }
        Ok(code)
    }

    /// What a kernel of this machine code takes of the device.
    pub fn facts(&self, cubin: &[u8], entry: &str, block: [u32; 3], shared: u32) -> Answer<KernelFacts> {
        let refused = |what: &str| DeviceError::Module { module: entry.to_string(), what: what.to_string() };
        let image = Image::new(cubin).ok_or_else(|| refused("machine code that is cut short"))?;
        let name = CString::new(entry).map_err(|_| refused("a zero byte in the name"))?;
        let _entered = self.context.enter()?;
        let api = self.context.api;
        let module = Module::own(&self.context, api.load_cubin(image)?);
        let function = api.function(module.handle(), &name)?;
        api.load_function(function)?;
        let attribute = |k| Ok(u32::try_from(api.function_attribute(function, k)?).unwrap_or(0));
        if shared > 0 {
            let limit = i32::try_from(shared).unwrap_or(i32::MAX);
            api.set_function_attribute(function, numbers::FUNCTION_SHARED_LIMIT, limit)?;
        }
        let shape = LaunchShape { grid: [1; 3], block, shared, ..Default::default() };
        Ok(KernelFacts {
            registers: attribute(numbers::FUNCTION_REGISTERS)?,
            local_bytes: attribute(numbers::FUNCTION_LOCAL)?,
            shared_bytes: attribute(numbers::FUNCTION_SHARED)?,
            resident: u32::try_from(api.resident_blocks(function, &shape)?).unwrap_or(0),
        })
    }
}

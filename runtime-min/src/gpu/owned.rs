//! Owners of what the driver hands out: each destroys its own once, in a context that it keeps alive.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::error::DeviceError;
use super::calls::{Answer, Api};
use super::driver::{
    Address, ContextHandle, DeviceId, DriverTable, EventHandle, GraphExecHandle, GraphHandle, ModuleHandle,
    StreamHandle, numbers,
};

/// The primary context of a device, which other libraries in the process use as well.
#[derive(Debug)]
pub struct Context {
    pub api: Api,
    pub handle: ContextHandle,
    pub facts: DeviceFacts,
    device: DeviceId,
}

/// What an engine wants to know of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Its number.
    pub ordinal: u32,
    pub name: String,
    pub uuid: [u8; 16],
    /// Compute capability times ten.
    pub capability: u32,
    pub multiprocessors: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Whether its memory is the host's.
    pub integrated: bool,
    pub cooperative: bool,
    /// Most shared memory of a CTA in bytes.
    pub shared_limit: u32,
    /// Version of the driver's interface: 12040 for 12.4.
    pub driver: u32,
}

/// Facts about device `ordinal`, without a context on it.
pub fn device_facts(table: &'static DriverTable, ordinal: u32) -> Answer<DeviceFacts> {
    let api = Api::new(table);
    let device = find(api, ordinal)?;
    facts(api, device, ordinal)
}

/// Device `ordinal` of the driver.
fn find(api: Api, ordinal: u32) -> Answer<DeviceId> {
    let none = |found: String| DeviceError::Unfit { found, needed: "an NVIDIA GPU".to_string() };
    match api.init() {
        Err(DeviceError::Call { code: numbers::NO_DEVICE, text, .. }) => return Err(none(text)),
        answer => answer?,
    }
    let count = api.device_count()?;
    if count == 0 {
        return Err(none("none".to_string()));
    }
    let number = c_int::try_from(ordinal).unwrap_or(c_int::MAX);
    if number >= count {
        let (found, needed) = (format!("{count} GPUs"), format!("one of number {ordinal}, counted from 0"));
        return Err(DeviceError::Unfit { found, needed });
    }
    api.device(number)
}

impl Context {
    /// The context of device `ordinal`.
    pub fn open(table: &'static DriverTable, ordinal: u32) -> Answer<Arc<Context>> {
        let api = Api::new(table);
        let device = find(api, ordinal)?;
        let facts = facts(api, device, ordinal)?;
        let handle = api.primary_retain(device)?;
        Ok(Arc::new(Context { api, handle, facts, device }))
    }

    /// Makes the context current until the guard goes.
    pub fn enter(&self) -> Answer<Entered> {
        self.api.push(self.handle)?;
        Ok(Entered { api: self.api })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // Nothing can be done about an answer here, nor in the owners below, which try even where the context is lost.
        let _ = self.api.primary_release(self.device);
    }
}

fn facts(api: Api, device: DeviceId, ordinal: u32) -> Answer<DeviceFacts> {
    let attribute = |k| Ok(u32::try_from(api.device_attribute(device, k)?).unwrap_or(0));
    Ok(DeviceFacts {
        ordinal,
        name: api.device_name(device)?,
        uuid: api.device_uuid(device)?,
        capability: attribute(numbers::ATTRIBUTE_MAJOR)? * 10 + attribute(numbers::ATTRIBUTE_MINOR)?,
        multiprocessors: attribute(numbers::ATTRIBUTE_MULTIPROCESSORS)?,
        memory: api.device_memory(device)? as u64,
        integrated: attribute(numbers::ATTRIBUTE_INTEGRATED)? != 0,
        cooperative: attribute(numbers::ATTRIBUTE_COOPERATIVE)? != 0,
        shared_limit: attribute(numbers::ATTRIBUTE_SHARED_LIMIT)?,
        driver: u32::try_from(api.version()?).unwrap_or(0),
    })
}

/// A context is current.
#[derive(Debug)]
pub struct Entered {
    api: Api,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let _ = self.api.pop();
    }
}

/// Memory of the device.
#[derive(Debug)]
pub struct DeviceMemory {
    context: Arc<Context>,
    address: Address,
    bytes: u64,
}

impl DeviceMemory {
    /// So many bytes, their contents undefined; the context is current. No bytes have address 0.
    pub fn new(context: &Arc<Context>, bytes: u64) -> Answer<DeviceMemory> {
        let refused = |free: u64| DeviceError::Memory { needed: bytes, free, limit: None };
        let address = match usize::try_from(bytes) {
            Ok(0) => 0,
            Ok(count) => match context.api.alloc(count) {
                Err(DeviceError::Call { code: numbers::OUT_OF_MEMORY, .. }) => {
                    return Err(refused(context.api.memory_info().map_or(0, |(free, _)| free as u64)));
                }
                answer => answer?,
            },
            Err(_) => return Err(refused(0)),
        };
        Ok(DeviceMemory { context: Arc::clone(context), address, bytes })
    }

    pub fn address(&self) -> Address {
        self.address
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        if self.address != 0 {
            let _entered = self.context.enter();
            let _ = self.context.api.free(self.address);
        }
    }
}

/// A stream of our own, which counts what it is given: whoever lends it memory can tell whether it is still in use.
#[derive(Debug)]
pub struct Stream {
    context: Arc<Context>,
    handle: StreamHandle,
    given: AtomicU64,
    done: AtomicU64,
}

impl Stream {
    /// A stream that does not wait for the default stream; the context is current.
    pub fn new(context: &Arc<Context>) -> Answer<Arc<Stream>> {
        let handle = context.api.create_stream()?;
        let (given, done) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Arc::new(Stream { context: Arc::clone(context), handle, given, done }))
    }

    pub fn handle(&self) -> StreamHandle {
        self.handle
    }

    /// The number of a piece of work that the stream is about to be given.
    pub fn ticket(&self) -> u64 {
        self.given.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether that work has been waited for.
    pub fn has_done(&self, ticket: u64) -> bool {
        self.done.load(Ordering::Acquire) >= ticket
    }

    /// Waits for everything.
    pub fn synchronize(&self) -> Answer<()> {
        let given = self.given.load(Ordering::Relaxed);
        self.context.api.synchronize(self.handle)?;
        self.done.fetch_max(given, Ordering::Release);
        Ok(())
    }

    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _entered = self.context.enter();
        let _ = self.context.api.destroy_stream(self.handle);
    }
}

macro_rules! owners {
    ($($(#[$doc:meta])* $name:ident($handle:ident) $destroy:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name {
                context: Arc<Context>,
                handle: $handle,
            }

            impl $name {
                /// Takes over a handle.
                pub fn own(context: &Arc<Context>, handle: $handle) -> $name {
                    $name { context: Arc::clone(context), handle }
                }

                pub fn handle(&self) -> $handle {
                    self.handle
                }
            }

            impl Drop for $name {
                fn drop(&mut self) {
                    let _entered = self.context.enter();
                    let _ = self.context.api.$destroy(self.handle);
                }
            }
        )*
    };
}

owners! {
    /// An event.
    Event(EventHandle) destroy_event;
    /// A loaded module.
    Module(ModuleHandle) unload;
    /// A captured graph; the handles of its nodes live as long.
    Graph(GraphHandle) destroy_graph;
    /// A graph that can be launched.
    GraphExec(GraphExecHandle) destroy_exec;
}

impl Event {
    /// A new event; the context is current.
    pub fn new(context: &Arc<Context>, timing: bool) -> Answer<Event> {
        Ok(Event::own(context, context.api.create_event(timing)?))
    }
}

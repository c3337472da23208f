//! The engine: a program with its kernels and weights on one GPU, shared by sessions of many threads.

use std::sync::{Arc, OnceLock};

use super::super::error::{DeviceError, Error};
use super::super::weights::Weights;
use super::calls::Answer;
use super::driver::{Address, DriverTable};
use super::memory::length;
use super::modules::{Kernels, spell};
use super::options::{EngineOptions, HostOps, Info};
use super::owned::{Context, DeviceMemory, Stream};
use super::pinned::Pinned;
use super::program::{Place, Program};
use super::regions::{Kind, Region, Regions};
use super::segments::Segments;
use super::session::GpuSession;

/// A program on a GPU; cheap to clone.
#[derive(Clone, Debug)]
pub struct GpuEngine {
    shared: Arc<Shared>,
}

/// What all sessions of an engine use.
#[derive(Debug)]
pub struct Shared {
    pub program: Program,
    pub regions: Regions,
    pub segments: Segments,
    pub kernels: Kernels,
    pub weight_memory: WeightMemory,
    pub host: Arc<dyn HostOps>,
    pub options: EngineOptions,
    pub context: Arc<Context>,
    /// The error that made the context unusable.
    lost: OnceLock<String>,
}

/// Where the weights are.
#[derive(Debug)]
pub enum WeightMemory {
    Device(DeviceMemory),
    /// In the host's, with the device's address of it.
    Host {
        memory: Pinned,
        address: Address,
    },
}

impl WeightMemory {
    pub fn address(&self) -> Address {
        match self {
            WeightMemory::Device(memory) => memory.address(),
            WeightMemory::Host { address, .. } => *address,
        }
    }

    pub fn bytes(&self) -> u64 {
        match self {
            WeightMemory::Device(memory) => memory.bytes(),
            WeightMemory::Host { memory, .. } => memory.len() as u64,
        }
    }
}

impl GpuEngine {
    /// Loads kernels and weights. What is needed of the GPU's memory is known before any of it is taken.
    pub fn load(
        driver: &'static DriverTable,
        program: Program,
        weights: Weights,
        host: Arc<dyn HostOps>,
        options: EngineOptions,
    ) -> Result<GpuEngine, Error> {
        if let Err(problems) = program.verify() {
            let list: Vec<String> = problems.iter().take(4).map(ToString::to_string).collect();
            let what = format!("the program breaks {} rules: {}", problems.len(), list.join("; "));
            return Err(DeviceError::Refused { what }.into());
        }
        let weight_bytes = check_weights(&program, &weights)?;
        let regions = Regions::new(&program, options.poison);
        let segments = Segments::new(&program);
        let context = Context::open(driver, options.device)?;
        let _entered = context.enter()?;
        let kernels = Kernels::load(&context, &program, &options)?;
        let session_bytes = session_bytes(&program, &regions);
        check_memory(&context, weight_bytes, session_bytes, &options)?;
        let weight_memory = match options.host_memory.unwrap_or(context.facts.integrated) {
            true => place(&context, &weights, weight_bytes)?,
            false => upload(&context, &weights, weight_bytes)?,
        };
        // The host's copy has done its work.
        drop(weights);
        let lost = OnceLock::new();
        let shared = Shared { program, regions, segments, kernels, weight_memory, host, options, context, lost };
        Ok(GpuEngine { shared: Arc::new(shared) })
    }

    /// A new execution context with memory and a stream of its own.
    pub fn session(&self) -> Result<GpuSession, Error> {
        self.shared.check()?;
        GpuSession::new(&self.shared).map_err(|error| self.shared.note(error))
    }

    /// Facts about the engine.
    pub fn info(&self) -> Info {
        let shared = &self.shared;
        let facts = &shared.context.facts;
        Info {
            model: shared.program.name,
            device: facts.name.clone(),
            capability: (facts.capability / 10, facts.capability % 10),
            driver: (facts.driver / 1000, facts.driver % 1000 / 10),
            target: spell(shared.program.target),
            from_cubin: shared.kernels.from_cubin,
            compiled: shared.kernels.compiled,
            weight_bytes: length(shared.weight_memory.bytes()),
            session_bytes: length(session_bytes(&shared.program, &shared.regions)),
        }
    }

    /// What the sessions share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Shared {
    /// Whether a region of a session is page-locked memory of the host, which callers write and read in place.
    pub fn is_of_host(&self, region: Region) -> bool {
        self.options.host_memory.unwrap_or(self.context.facts.integrated)
            && match self.regions.kind(region) {
                Kind::Input(k) => self.program.inputs.get(k).is_some_and(|port| port.dtype.is_some()),
                // What grows while steps run is the device's.
                Kind::Output(k) => self.program.outputs.get(k).is_some_and(|port| port.memory.bytes.is_some()),
                Kind::Arena | Kind::Weights | Kind::State(_) | Kind::Growable | Kind::Apart(_) => false,
            }
    }

    /// An error if the context has become unusable.
    pub fn check(&self) -> Answer<()> {
        match self.lost.get() {
            Some(by) => Err(DeviceError::Poisoned { by: by.clone() }),
            None => Ok(()),
        }
    }

    /// Remembers an error after which the context is unusable. Where no step is known, says how to learn it.
    pub fn note(&self, mut error: Error) -> Error {
        if let Error::Device { node, source: DeviceError::Call { code, text, .. } } = &mut error
            && is_sticky(*code)
        {
            if node.is_none() && !self.options.profile {
                text.push_str("; with the option `profile` the error names its step");
            }
            self.lost.get_or_init(|| error.to_string());
        }
        error
    }
}

/// Whether every later call in this context fails as well.
pub fn is_sticky(code: u32) -> bool {
    matches!(code, 214 | 220 | 226 | 700 | 702 | 710 | 714..=719 | 721)
}

/// Bytes of the weights that buffers need; an error if a buffer lies beyond their end.
fn check_weights(program: &Program, weights: &Weights) -> Result<u64, Error> {
    let found = weights.parts().iter().map(|part| part.len() as u64).sum();
    let mut needed = 0;
    for buffer in program.buffers.iter() {
        if let Place::Weight { offset, bytes } = buffer.place {
            needed = needed.max(offset.saturating_add(bytes));
        }
    }
    if needed > found {
        let what = format!("{needed} bytes are needed, {found} are there");
        return Err(Error::Weights { place: program.name.to_string(), what });
    }
    Ok(needed)
}

/// Bytes of GPU memory that a session takes when it is created.
fn session_bytes(program: &Program, regions: &Regions) -> u64 {
    (0..regions.count()).filter_map(|k| regions.memory(program, k).most).fold(0, u64::saturating_add)
}

fn check_memory(context: &Context, weights: u64, session: u64, options: &EngineOptions) -> Result<(), Error> {
    let free = context.api.memory_info()?.0 as u64;
    let limit = options.memory_limit.map(|limit| limit as u64);
    let needed = weights.saturating_add(session);
    if needed > free {
        return Err(DeviceError::Memory { needed, free, limit: None }.into());
    }
    if limit.is_some_and(|limit| session > limit) {
        return Err(DeviceError::Memory { needed: session, free, limit }.into());
    }
    Ok(())
}

/// Most bytes that are copied at once.
const CHUNK: usize = 64 << 20;

/// The weights in memory of the host that the GPU reads.
fn place(context: &Arc<Context>, weights: &Weights, bytes: u64) -> Result<WeightMemory, Error> {
    let mut memory = Pinned::new(context, length(bytes))?;
    let mut rest = memory.bytes_mut()?;
    for part in weights.parts() {
        let count = part.len().min(rest.len());
        let (place, after) = rest.split_at_mut(count);
        place.copy_from_slice(part.get(..count).unwrap_or(&[]));
        rest = after;
    }
    let address = memory.device_address()?;
    Ok(WeightMemory::Host { memory, address })
}

fn upload(context: &Arc<Context>, weights: &Weights, bytes: u64) -> Result<WeightMemory, Error> {
    let memory = DeviceMemory::new(context, bytes)?;
    if bytes == 0 {
        return Ok(WeightMemory::Device(memory));
    }
    let stream = Stream::new(context)?;
    let mut done = 0;
    for part in weights.parts() {
        let used = part.get(..part.len().min(length(bytes - done))).unwrap_or(&[]);
        for chunk in used.chunks(CHUNK) {
            context.api.upload_now(memory.address() + done, chunk, stream.handle())?;
            done += chunk.len() as u64;
        }
    }
    Ok(WeightMemory::Device(memory))
}

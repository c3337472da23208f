//! How an engine is loaded, what is told about it, and what a host supplies.

use std::fmt;
use std::path::PathBuf;

use super::super::datum::Datum;

/// How to load an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineOptions {
    /// The weight file, for crates that do not embed their weights.
    pub weights: Option<PathBuf>,
    /// Number of the GPU, counted from 0.
    pub device: u32,
    /// Whether the driver may compile PTX where there is no machine code for the GPU.
    pub jit: bool,
    /// Most bytes of GPU memory that one session may take.
    pub memory_limit: Option<usize>,
    /// Whether sessions take the time of every step; steps then run one at a time.
    pub profile: bool,
    /// Whether intermediate values are filled with NaN before every call.
    pub poison: bool,
    /// Whether sessions launch prepared shapes as CUDA graphs.
    pub graphs: bool,
    /// Whether weights, inputs and outputs lie in memory of the host, where the GPU reads and writes them without a copy.
    /// Otherwise so where the GPU has no memory of its own.
    pub host_memory: Option<bool>,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions {
            weights: None,
            device: 0,
            jit: true,
            memory_limit: None,
            profile: false,
            poison: false,
            graphs: true,
            host_memory: None,
        }
    }
}

impl EngineOptions {
    /// With this weight file.
    pub fn with_weights(mut self, path: impl Into<PathBuf>) -> Self {
        self.weights = Some(path.into());
        self
    }

    /// On this GPU, counted from 0.
    pub fn with_device(mut self, device: u32) -> Self {
        self.device = device;
        self
    }

    /// Without compiling PTX: an error where there is no machine code for the GPU.
    pub fn without_jit(mut self) -> Self {
        self.jit = false;
        self
    }

    /// With at most so many bytes of GPU memory a session.
    pub fn with_memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// With a clock for every step.
    pub fn with_profile(mut self) -> Self {
        self.profile = true;
        self
    }

    /// With intermediate values filled with NaN before every call.
    pub fn with_poison(mut self) -> Self {
        self.poison = true;
        self
    }

    /// With weights, inputs and outputs in memory of the host, or in memory of the GPU.
    pub fn with_host_memory(mut self, host: bool) -> Self {
        self.host_memory = Some(host);
        self
    }

    /// Without CUDA graphs.
    pub fn without_graphs(mut self) -> Self {
        self.graphs = false;
        self
    }
}

/// Facts about a loaded engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Name of the model.
    pub model: &'static str,
    /// Name of the GPU.
    pub device: String,
    /// Its compute capability: 9.0 is (9, 0).
    pub capability: (u32, u32),
    /// The driver's interface: 12.4 is (12, 4).
    pub driver: (u32, u32),
    /// What the crate was compiled for: `sm_90a`.
    pub target: String,
    /// Kernels that came as machine code.
    pub from_cubin: usize,
    /// Kernels that the driver compiled from PTX.
    pub compiled: usize,
    /// Bytes of the weights on the GPU.
    pub weight_bytes: usize,
    /// Bytes that a session takes when it is created.
    pub session_bytes: usize,
}

/// What a program needs of the host: its operators, and constants that are no bytes.
pub trait HostOps: Send + Sync + fmt::Debug {
    /// Calls operator `call` of the program.
    fn call(&self, call: u32, operands: &[&Datum]) -> Result<Vec<Datum>, String>;

    /// Constant `index` of the program.
    fn constant(&self, index: u32) -> Option<&Datum>;
}

/// The host of programs without host operators and constant objects.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHost;

impl HostOps for NoHost {
    fn call(&self, call: u32, _operands: &[&Datum]) -> Result<Vec<Datum>, String> {
        Err(format!("the program has no host operator {call}"))
    }

    fn constant(&self, _index: u32) -> Option<&Datum> {
        None
    }
}

//! What engines and sessions of every model share: options, facts, the clock of the steps.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::error::{Error, Node, StepError};

/// How to load an engine.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EngineOptions {
    /// The weight file, for crates that do not embed their weights.
    pub weights: Option<PathBuf>,
    /// Most bytes that one session may take.
    pub memory_limit: Option<usize>,
    /// Whether sessions take the time of every step.
    pub profile: bool,
    /// Threads of a session; 0 and 1 are the caller's alone.
    pub threads: usize,
}

impl EngineOptions {
    /// With this weight file.
    pub fn with_weights(mut self, path: impl Into<PathBuf>) -> Self {
        self.weights = Some(path.into());
        self
    }

    /// With at most so many bytes a session.
    pub fn with_memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// With so many threads in every session, the caller's among them. Results do not depend on their number. Without the
    /// crate's feature `threads` it is the caller's alone.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// With a clock for every step.
    pub fn with_profile(mut self) -> Self {
        self.profile = true;
        self
    }
}

/// Facts about a loaded engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Name of the model.
    pub model: &'static str,
    /// What the crate was compiled for.
    pub target: &'static str,
    /// Bytes of the weights.
    pub weight_bytes: usize,
    /// Bytes of a session's arena where they are known before it runs.
    pub arena_bytes: Option<usize>,
}

/// Which step runs, and the time spent in each, if asked for.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    current: usize,
    started: Option<Instant>,
    steps: Vec<(Node, Duration)>,
}

impl Profile {
    /// A clock for these steps, or none.
    pub fn new(nodes: &[Node], enabled: bool) -> Profile {
        let nodes = if enabled { nodes } else { &[] };
        Profile { steps: nodes.iter().map(|n| (*n, Duration::ZERO)).collect(), ..Profile::default() }
    }

    /// A step begins, and the one before it ends.
    pub fn begin(&mut self, step: usize) {
        if !self.steps.is_empty() {
            self.end();
            self.started = Some(Instant::now());
        }
        self.current = step;
    }

    /// The last step ends.
    pub fn end(&mut self) {
        if let (Some(start), Some((_, time))) = (self.started.take(), self.steps.get_mut(self.current)) {
            *time += start.elapsed();
        }
    }

    /// An error of the step that runs, with its node.
    pub fn error(&mut self, nodes: &[Node], error: StepError) -> Error {
        self.end();
        error.at(nodes.get(self.current).copied().unwrap_or(Node { name: "", op: "step" }))
    }

    /// Steps and the time spent in each so far.
    pub fn steps(&self) -> &[(Node, Duration)] {
        &self.steps
    }

    /// Sets all times to zero.
    pub fn reset(&mut self) {
        self.steps.iter_mut().for_each(|(_, time)| *time = Duration::ZERO);
    }
}

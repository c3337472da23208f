//! Errors of generated crates. Each names the ONNX node at which it arose, where there is one.

use std::error;
use std::fmt;

/// The ONNX nodes that a step stems from: names and operators, several joined by `+`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Names in the model file.
    pub name: &'static str,
    /// Operators.
    pub op: &'static str,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\"", self.op, self.name)
    }
}

/// Why a call did not end in an answer.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Not as many inputs as the model has.
    InputCount {
        /// Inputs of the model.
        expected: usize,
        /// Inputs given.
        found: usize,
    },
    /// An input of another kind or element type than the model's.
    InputType {
        /// Name of the input.
        input: &'static str,
        /// What the model takes.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// An input of another shape than the model's.
    InputShape {
        /// Name of the input.
        input: &'static str,
        /// Its shape in the model, symbols by name.
        expected: &'static str,
        /// The extents given.
        found: Vec<usize>,
    },
    /// An input with another number of elements than its extents ask for.
    InputLength {
        /// Name of the input; empty where it is not known yet.
        input: &'static str,
        /// Elements of a tensor of these extents, or the number it must be a multiple of.
        expected: usize,
        /// Elements given.
        found: usize,
    },
    /// A size outside the range that the crate was compiled for.
    Range {
        /// Name of the symbolic size.
        symbol: &'static str,
        /// Its value in this call.
        found: i64,
        /// Least value allowed.
        lo: i64,
        /// Greatest value allowed; none if there is no limit.
        hi: Option<i64>,
        /// Where it was found; none for an input.
        node: Option<Node>,
    },
    /// Sizes that do not fit each other.
    Guard {
        /// What does not hold.
        what: &'static str,
        /// The node that needs it.
        node: Option<Node>,
    },
    /// Weights that are missing, cut short or not this model's.
    Weights {
        /// Where they were looked for.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// More memory than the options allow, or than there is.
    Memory {
        /// Bytes asked for.
        needed: usize,
        /// Bytes left of the limit; none where the system refused.
        left: Option<usize>,
    },
    /// A step that could not run.
    Step {
        /// The step's nodes.
        node: Node,
        /// What is wrong.
        source: StepError,
    },
    /// A GPU or its driver refused, or is not what the crate was compiled for.
    Device {
        /// The node at work; none while a call or a session is prepared.
        node: Option<Node>,
        /// What is wrong.
        source: DeviceError,
    },
}

/// What is wrong with a GPU, its driver or the work given to it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// No driver, or an old one.
    Driver {
        /// What there is.
        found: String,
        /// What is needed.
        needed: String,
    },
    /// No GPU of that number, or of another architecture.
    Unfit {
        /// What there is.
        found: String,
        /// What is needed.
        needed: String,
    },
    /// A kernel that could not be loaded.
    Module {
        /// Its name.
        module: String,
        /// The words of the driver's compiler or loader.
        what: String,
    },
    /// More memory than the GPU has free, or than the options allow.
    Memory {
        /// Bytes asked for.
        needed: u64,
        /// Bytes free on the GPU.
        free: u64,
        /// Bytes that the options allow.
        limit: Option<u64>,
    },
    /// A function of the driver failed.
    Call {
        /// The function.
        function: &'static str,
        /// Its answer.
        code: u32,
        /// The name of the answer.
        name: String,
        /// The driver's words.
        text: String,
    },
    /// An earlier error has made the GPU's context unusable for the whole process.
    Poisoned {
        /// That error.
        by: String,
    },
    /// What the caller asks for cannot be done.
    Refused {
        /// What, and what to do instead.
        what: String,
    },
}

/// Why a step could not run.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepError {
    /// A size that is negative or does not fit memory.
    Size {
        /// The size.
        found: i64,
    },
    /// A range of bytes outside its memory, or two that must not overlap do.
    Span {
        /// First byte.
        start: usize,
        /// Number of bytes.
        bytes: usize,
        /// Bytes there are.
        memory: usize,
    },
    /// More memory than the options allow, or than there is.
    Memory {
        /// Bytes asked for.
        needed: usize,
        /// Bytes left of the limit; none where the system refused.
        left: Option<usize>,
    },
    /// A byte that is no truth value.
    Bool {
        /// The byte.
        found: u8,
    },
    /// A value found while running is outside its range.
    Range {
        /// Name of the symbolic size.
        symbol: &'static str,
        /// Its value.
        found: i64,
        /// Least value allowed.
        lo: i64,
        /// Greatest value allowed; none if there is no limit.
        hi: Option<i64>,
    },
    /// Sizes that do not fit each other.
    Guard {
        /// What does not hold.
        what: &'static str,
    },
    /// A kernel refused its arguments.
    Kernel {
        /// The kernel's words.
        what: String,
    },
    /// A host operator refused its operands.
    Host {
        /// The operator's words.
        what: String,
    },
    /// A GPU or its driver refused.
    Device {
        /// What is wrong.
        source: DeviceError,
    },
}

impl From<DeviceError> for StepError {
    fn from(source: DeviceError) -> StepError {
        StepError::Device { source }
    }
}

impl From<DeviceError> for Error {
    fn from(source: DeviceError) -> Error {
        Error::Device { node: None, source }
    }
}

impl StepError {
    /// What a kernel of any target says.
    pub fn kernel(error: impl fmt::Display) -> StepError {
        StepError::Kernel { what: error.to_string() }
    }

    /// The same error at a node.
    pub fn at(self, node: Node) -> Error {
        match self {
            StepError::Range { symbol, found, lo, hi } => Error::Range { symbol, found, lo, hi, node: Some(node) },
            StepError::Guard { what } => Error::Guard { what, node: Some(node) },
            StepError::Memory { needed, left } => Error::Memory { needed, left },
            StepError::Device { source } => Error::Device { node: Some(node), source },
            source => Error::Step { node, source },
        }
    }

    /// The same error where no node is at work: while a call or a session is prepared.
    pub fn at_border(self) -> Error {
        match self {
            StepError::Range { symbol, found, lo, hi } => Error::Range { symbol, found, lo, hi, node: None },
            StepError::Guard { what } => Error::Guard { what, node: None },
            StepError::Memory { needed, left } => Error::Memory { needed, left },
            StepError::Device { source } => Error::Device { node: None, source },
            source => Error::Step { node: Node { name: "", op: "border" }, source },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::InputCount { expected, found } => write!(f, "the model has {expected} inputs, {found} were given"),
            Error::InputType { input, expected, found } => {
                write!(f, "input \"{input}\": expected {expected}, found {found}")
            }
            Error::InputShape { input, expected, found } => {
                write!(f, "input \"{input}\": expected shape {expected}, found {found:?}")
            }
            Error::InputLength { input, expected, found } => {
                write!(f, "input \"{input}\": expected {expected} elements, found {found}")
            }
            Error::Range { symbol, found, lo, hi, node } => {
                range(f, symbol, *found, *lo, *hi)?;
                node.map_or(Ok(()), |n| write!(f, ", at {n}"))
            }
            Error::Guard { what, node } => {
                write!(f, "sizes do not fit: {what}")?;
                node.map_or(Ok(()), |n| write!(f, ", at {n}"))
            }
            Error::Weights { place, what } => write!(f, "weights ({place}): {what}"),
            Error::Memory { needed, left } => memory(f, *needed, *left),
            Error::Step { node, source } => write!(f, "{node}: {source}"),
            Error::Device { node, source } => {
                write!(f, "{source}")?;
                node.map_or(Ok(()), |n| write!(f, ", at {n}"))
            }
        }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepError::Size { found } => write!(f, "{found} is not a size that memory can hold"),
            StepError::Span { start, bytes, memory } => {
                write!(f, "bytes {start}..{start}+{bytes} do not fit memory of {memory} bytes or overlap others")
            }
            StepError::Memory { needed, left } => memory(f, *needed, *left),
            StepError::Bool { found } => write!(f, "byte {found} is no truth value"),
            StepError::Range { symbol, found, lo, hi } => range(f, symbol, *found, *lo, *hi),
            StepError::Guard { what } => write!(f, "sizes do not fit: {what}"),
            StepError::Kernel { what } | StepError::Host { what } => f.write_str(what),
            StepError::Device { source } => write!(f, "{source}"),
        }
    }
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::Driver { found, needed } => write!(f, "NVIDIA driver: found {found}, needed {needed}"),
            DeviceError::Unfit { found, needed } => write!(f, "GPU: found {found}, needed {needed}"),
            DeviceError::Module { module, what } => write!(f, "kernel \"{module}\": {what}"),
            DeviceError::Memory { needed, free, limit } => {
                write!(f, "{needed} bytes of GPU memory are needed, {free} are free")?;
                limit.map_or(Ok(()), |limit| write!(f, ", the options allow {limit}"))
            }
            DeviceError::Call { function, code, name, text } => write!(f, "{function}: {name} ({code}): {text}"),
            DeviceError::Poisoned { by } => {
                write!(f, "the GPU context is unusable since an earlier error ({by}); the process must start anew")
            }
            DeviceError::Refused { what } => f.write_str(what),
        }
    }
}

fn range(f: &mut fmt::Formatter<'_>, symbol: &str, found: i64, lo: i64, hi: Option<i64>) -> fmt::Result {
    match hi {
        Some(hi) => write!(f, "size \"{symbol}\" is {found}, allowed are {lo} to {hi}"),
        None => write!(f, "size \"{symbol}\" is {found}, allowed are {lo} and more"),
    }
}

fn memory(f: &mut fmt::Formatter<'_>, needed: usize, left: Option<usize>) -> fmt::Result {
    match left {
        Some(left) => write!(f, "{needed} bytes are needed, the memory limit leaves {left}"),
        None => write!(f, "the system has no {needed} bytes of memory to give"),
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Error::Step { source, .. } => Some(source),
            Error::Device { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl error::Error for StepError {}

impl error::Error for DeviceError {}

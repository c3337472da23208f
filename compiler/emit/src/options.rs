//! How a crate is to be emitted.

/// Options of one crate or module.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Name of the crate or module.
    pub name: String,
    /// Where the model comes from, for headers: file name and hash, never a path.
    pub source: String,
    /// Version of the tool, for headers.
    pub tool_version: String,
    pub weights: WeightMode,
    /// Text of the report, Markdown.
    pub report: String,
    /// Inputs and the outputs that they must give.
    pub golden: Option<Golden>,
}

/// Where a generated crate has its weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightMode {
    /// In the program.
    #[default]
    Embed,
    /// In a file beside it.
    File,
}

/// Values for the generated crate's own test.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    pub inputs: Vec<graph::tensor::Tensor>,
    pub outputs: Vec<graph::tensor::Tensor>,
    /// The relative L2 error that an output of floats may have.
    pub tolerance: f64,
}

/// Where a model's root module and weight file lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The root of a crate.
    Crate,
    /// A module of a crate, in the folder `src/NAME`.
    Module { name: String },
    /// A module that `include!` brings in from `OUT_DIR/NAME`.
    OutDir { name: String },
}

impl Placement {
    /// The variable that names the root folder, and the weight file's path under it.
    pub fn weight_path(&self) -> (&'static str, String) {
        match self {
            Placement::Crate => ("CARGO_MANIFEST_DIR", "weights.bin".to_string()),
            Placement::Module { name } => ("CARGO_MANIFEST_DIR", format!("src/{name}/weights.bin")),
            Placement::OutDir { name } => ("OUT_DIR", format!("{name}/weights.bin")),
        }
    }
}

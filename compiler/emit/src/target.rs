//! What a target adds: its kernels as files, and the call of each launch.

use graph::dim::Dim;
use plan::plan::{Launch, Plan};
use proc_macro2::TokenStream;

use crate::error::EmitError;

/// A module of the emitted crate: `src/kernels/NAME.rs`.
///
/// It reaches the copied runtime as `super::super::runtime`, other kernel files as `super::OTHER`.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Name of the module, a Rust identifier.
    pub name: String,
    /// Its items, inner doc comments first.
    pub items: TokenStream,
}

/// The arguments of one launch, as expressions inside a function that returns `Result<_, StepError>`.
pub struct Call<'a> {
    pub launch: &'a Launch,
    /// For every read view, the whole buffer it lies in as a slice: `&[f32]`, `&[i64]`, `&[f16]` …; bool, 8-bit floats and
    /// packed elements as `&[u8]`; strings as `&[String]`. Offsets and strides of the view are up to the call.
    pub reads: &'a [TokenStream],
    /// For every written view, the whole buffer as a mutable slice; strings as `&mut Vec<String>` of the right length. No
    /// buffer is both read and written.
    pub writes: &'a [TokenStream],
    /// The whole buffer of the workspace.
    pub workspace: Option<TokenStream>,
    /// The value of a size, an expression of type `i64`.
    pub size: &'a dyn Fn(&Dim) -> TokenStream,
}

/// A target, as emission sees it.
pub trait TargetPrinter<C> {
    /// Name in reports and in `engine.info()`.
    fn name(&self) -> &'static str;

    /// The kernels of a plan. Equal plans give equal files.
    fn kernels(&self, plan: &Plan<C>) -> Result<Vec<SourceFile>, EmitError>;

    /// A launch: an expression of type `Result<(), E>` with `E: Display`, that calls `kernels::NAME::…` or
    /// `runtime::cpu::…`.
    fn call(&self, plan: &Plan<C>, call: &Call<'_>) -> Result<TokenStream, EmitError>;

    /// Files of the runtime that the kernels and calls need beyond those every crate has, as paths under `runtime-min/src`; a
    /// folder stands for all of its files, and files `half_*` are left out where no 16-bit float occurs.
    fn runtime_files(&self, plan: &Plan<C>) -> Vec<&'static str>;
}

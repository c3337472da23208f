//! The CPU target as emission sees it.

use backend_cpu::call::{CallSite, kernel_files, print_call, runtime_files};
use backend_cpu::code::CpuCode;
use emit::{Call, EmitError, SourceFile, TargetPrinter};
use plan::plan::Plan;
use proc_macro2::TokenStream;

/// The CPU target.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;

impl TargetPrinter<CpuCode> for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn kernels(&self, plan: &Plan<CpuCode>) -> Result<Vec<SourceFile>, EmitError> {
        let files = kernel_files(plan).map_err(|e| self.fail(&e))?;
        Ok(files.into_iter().map(|(name, items)| SourceFile { name: name.to_string(), items }).collect())
    }

    fn call(&self, plan: &Plan<CpuCode>, call: &Call<'_>) -> Result<TokenStream, EmitError> {
        let site = CallSite {
            launch: call.launch,
            reads: call.reads,
            writes: call.writes,
            workspace: call.workspace.clone(),
            size: call.size,
        };
        print_call(plan, &site).map_err(|e| self.fail(&e))
    }

    fn runtime_files(&self, plan: &Plan<CpuCode>) -> Vec<&'static str> {
        runtime_files(plan)
    }
}

impl Cpu {
    fn fail(&self, error: &backend_cpu::error::PrintError) -> EmitError {
        EmitError::Target { target: "cpu", what: error.to_string() }
    }
}

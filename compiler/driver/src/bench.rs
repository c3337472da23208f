//! `bench`: builds the crate and times its calls.

use crate::compiler::Compiler;
use crate::crate_run::CrateRun;
use crate::error::Error;
use crate::progress::Progress;

/// The lines of the crate's bench; the last one is a JSON object.
pub fn bench(compiler: &Compiler, seconds: f64, threads: usize) -> Result<String, Error> {
    let compiled = compiler.compile()?;
    let progress = Progress::start("writing the crate");
    let files = compiler.clone().golden(false).crate_files(&compiled)?;
    let run = CrateRun::new(&compiled.name, &files)?;
    progress.next("building and timing the crate");
    let text = run.bench(seconds, threads)?;
    progress.end();
    Ok(text)
}

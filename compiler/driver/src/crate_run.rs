//! Builds a crate in a folder of its own and runs programs of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use emit::{Contents, Files, write_files};
use graph::datum::Datum;

use crate::datums;
use crate::error::Error;

/// The program that answers: reads values from a file, writes the model's outputs to another.
const RUNNER: &str = include_str!("crate_run/runner.rs.txt");

/// A crate under a temporary folder, removed when dropped.
pub struct CrateRun {
    folder: PathBuf,
    /// Variables of the programs that it runs.
    variables: Vec<(&'static str, OsString)>,
}

impl CrateRun {
    /// Writes a crate, with the program that answers, to a folder that nobody else uses.
    pub fn new(name: &str, files: &Files) -> Result<CrateRun, Error> {
        let folder = std::env::temp_dir().join(format!("onnx2crate-{}-{name}", std::process::id()));
        let mut files = files.clone();
        let runner = templates_fill(RUNNER, name);
        files.insert("examples/answer/main.rs".to_string(), Contents::text(runner));
        for path in ["exchange.rs"] {
            let file = runtime_min::sources::file(path).map(|f| f.text).unwrap_or_default();
            files.insert(format!("examples/answer/{path}"), Contents::text(file));
        }
        let run = CrateRun { folder, variables: Vec::new() };
        write_files(&run.folder, &files)?;
        Ok(run)
    }

    /// Sets a variable for the programs of the crate.
    pub fn variable(mut self, name: &'static str, value: impl Into<OsString>) -> CrateRun {
        self.variables.push((name, value.into()));
        self
    }

    /// The crate's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Compiles everything that [`CrateRun::answer`] and [`CrateRun::bench`] run.
    pub fn build(&self) -> Result<(), Error> {
        self.cargo(&["build", "--release", "--example", "answer"]).map(|_| ())
    }

    /// The outputs for these inputs.
    pub fn answer(&self, inputs: &[Datum]) -> Result<Vec<Datum>, Error> {
        let (given, wanted) = (self.folder.join("inputs.bin"), self.folder.join("outputs.bin"));
        std::fs::write(&given, datums::to_bytes(inputs)).map_err(|e| Error::file(&given, e))?;
        let program = self.folder.join("target/release/examples/answer");
        let mut command = Command::new(&program);
        command.arg(&given).arg(&wanted).envs(self.variables.iter().map(|(name, value)| (name, value)));
        let output = command.output().map_err(|e| Error::file(&program, e))?;
        checked("answer", output)?;
        let bytes = std::fs::read(&wanted).map_err(|e| Error::file(&wanted, e))?;
        datums::from_bytes(&bytes)
    }

    /// The output of the crate's bench.
    pub fn bench(&self, seconds: f64, threads: usize) -> Result<String, Error> {
        let (seconds, number) = (seconds.to_string(), threads.to_string());
        let mut args = vec!["bench", "--bench", "infer"];
        if threads > 1 {
            args.extend(["--features", "threads"]);
        }
        args.extend(["--", "--json", "--seconds", &seconds]);
        if threads > 1 {
            args.extend(["--threads", &number]);
        }
        self.cargo(&args)
    }

    fn cargo(&self, args: &[&str]) -> Result<String, Error> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(&cargo)
            .args(args)
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            .env_remove("RUSTFLAGS")
            .output()
            .map_err(|e| Error::file(Path::new(&cargo), e))?;
        checked(&format!("cargo {}", args.join(" ")), output)
    }
}

impl Drop for CrateRun {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn checked(command: &str, output: Output) -> Result<String, Error> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(Error::Command { command: command.to_string(), output: text(&output.stderr) })
}

fn templates_fill(text: &str, name: &str) -> String {
    text.replace("{{crate}}", name)
}

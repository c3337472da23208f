//! NVIDIA's assembler over many kernels: several in one file, files in parallel.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use ptx::Sm;

use crate::texts_of_kernels::{Met, Texts};

/// Kernels in one file: starting the assembler takes as long as a few small kernels.
const CHUNK: usize = 24;

/// What the assembler said.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub kernels: usize,
    /// Kernels that it refuses, with its words.
    pub refused: Vec<String>,
    /// Bytes that kernels spill, by where they were met, with the architectures.
    pub spills: BTreeMap<String, Vec<(Sm, u64)>>,
}

/// The assembler, from the variable `PTXAS` or the path.
pub fn program() -> Option<PathBuf> {
    let named = std::env::var_os("PTXAS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    named.into_iter().chain(std::env::split_paths(&path).map(|dir| dir.join("ptxas"))).find(|p| p.is_file())
}

/// Assembles all kernels of all architectures; files are made in `folder`.
pub fn assemble(program: &Path, texts: &Texts, folder: &Path) -> Report {
    let mut chunks: Vec<(Sm, Vec<(&String, &Met)>)> = Vec::new();
    for (sm, kernels) in &texts.of {
        let kernels: Vec<_> = kernels.iter().collect();
        chunks.extend(kernels.chunks(CHUNK).map(|chunk| (*sm, chunk.to_vec())));
    }
    let queue = Mutex::new(chunks.iter().enumerate());
    let report = Mutex::new(Report::default());
    let work = || {
        while let Some((number, (sm, chunk))) = queue.lock().ok().and_then(|mut q| q.next()) {
            let said = run(program, *sm, chunk, &folder.join(format!("{sm}_{number}.ptx")));
            let Ok(mut report) = report.lock() else { return };
            report.kernels += chunk.len();
            match said {
                Ok(spills) => {
                    for (k, bytes) in spills {
                        let place = chunk.get(k).map(|(_, met)| met.place.clone()).unwrap_or_default();
                        report.spills.entry(place).or_default().push((*sm, bytes));
                    }
                }
                Err(why) => report.refused.push(why),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    report.into_inner().unwrap_or_default()
}

/// Number in the file and bytes of each kernel that spills.
fn run(program: &Path, sm: Sm, chunk: &[(&String, &Met)], file: &Path) -> Result<Vec<(usize, u64)>, String> {
    std::fs::write(file, together(sm, chunk)).map_err(|e| format!("{}: {e}", file.display()))?;
    let arguments = ["-v", "-arch", sm.name(), "-o", "/dev/null"];
    let run = Command::new(program).args(arguments).arg(file).output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&run.stderr).into_owned() + &String::from_utf8_lossy(&run.stdout);
    if !run.status.success() {
        let errors: Vec<&str> = said.lines().filter(|l| l.contains("error")).take(3).collect();
        let places: Vec<&str> = chunk.iter().map(|(_, met)| met.place.as_str()).collect();
        return Err(format!("{sm}: {}, in {}", errors.join(" / "), places.join(", ")));
    }
    std::fs::remove_file(file).map_err(|e| e.to_string())?;
    Ok(spills(&said))
}

/// Several kernels as one module: their names, and those of their variables, are made different.
fn together(sm: Sm, chunk: &[(&String, &Met)]) -> String {
    let version = chunk.iter().map(|(_, met)| met.version).max().unwrap_or_default();
    let mut out = String::new();
    let _ = writeln!(out, ".version {}.{}\n.target {sm}\n.address_size 64", version.0, version.1);
    for (number, (text, _)) in chunk.iter().enumerate() {
        let text = text.trim_start_matches(".address_size 64");
        let (before, from) = text.split_at(text.find(".visible .entry").unwrap_or(0));
        let entry = from.trim_start_matches(".visible .entry ").split('(').next().unwrap_or_default();
        let variables = before.lines().filter_map(|l| l.split(['[', '=', ';']).next()?.split_whitespace().last());
        let mut text = renamed(text, entry, &format!("k{number}"));
        for variable in variables {
            text = renamed(&text, variable, &format!("{variable}_k{number}"));
        }
        let _ = writeln!(out, "{text}");
    }
    out
}

/// A text with another word in place of one.
fn renamed(text: &str, from: &str, to: &str) -> String {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '%' | '.');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from).filter(|_| !from.is_empty()) {
        let (before, behind) = rest.split_at(at);
        let after = behind.strip_prefix(from).unwrap_or_default();
        out.push_str(before);
        let whole = !out.ends_with(inside) && !after.starts_with(inside);
        out.push_str(if whole { to } else { from });
        rest = after;
    }
    out + rest
}

/// The kernels `k0`, `k1`, … that spill, from the assembler's words.
fn spills(said: &str) -> Vec<(usize, u64)> {
    let mut out = Vec::new();
    let mut kernel = None;
    for line in said.lines() {
        if let Some(name) = line.split("Function properties for ").nth(1) {
            kernel = name.trim().strip_prefix('k').and_then(|n| n.parse::<usize>().ok());
        }
        let bytes = |what: &str| -> u64 {
            let before = line.split(what).next().filter(|b| b.len() < line.len());
            before.and_then(|b| b.split_whitespace().last()?.parse().ok()).unwrap_or(0)
        };
        let spilled = bytes(" bytes spill stores") + bytes(" bytes spill loads");
        if spilled > 0
            && let Some(kernel) = kernel
        {
            out.push((kernel, spilled));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_words() {
        assert_eq!(renamed("nest(nest_1, %nest) nest", "nest", "k3"), "k3(nest_1, %nest) k3");
    }

    #[test]
    fn spills_are_read() {
        let said = "ptxas info    : Function properties for k0\n    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n\
            ptxas info    : Function properties for k7\n    8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads\n";
        assert_eq!(spills(said), [(7, 28)]);
    }

    #[test]
    fn modules_become_one() {
        let text = ".address_size 64\n\n.extern .shared .align 16 .b8 shared[];\n.visible .entry sum(\n)\n{\n    mov.u32 %r0, shared;\n}".to_string();
        let met = Met { place: String::new(), version: (7, 0) };
        let found = together(Sm::Sm80, &[(&text, &met), (&text, &met)]);
        assert!(found.starts_with(".version 7.0\n.target sm_80\n.address_size 64\n"), "{found}");
        assert!(
            found.contains(".b8 shared_k1[];\n.visible .entry k1(") && found.contains("%r0, shared_k0;"),
            "{found}"
        );
    }
}

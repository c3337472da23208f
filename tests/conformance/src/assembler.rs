//! NVIDIA's assembler over many kernels: several in one file, files in parallel.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use ptx::Sm;

use crate::texts_of_kernels::{Met, Texts};

/// Most kernels, and about the most bytes, in one file: starting the assembler takes as long as a few small kernels.
const CHUNK: (usize, usize) = (32, 400_000);

/// A kernel that keeps values in memory, as registers do not suffice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spill {
    pub sm: Sm,
    pub places: BTreeSet<String>,
    /// Bytes of a thread that are stored, and that are loaded.
    pub bytes: u64,
    /// The file that was assembled, and the kernel's name in it.
    pub file: PathBuf,
    pub entry: String,
}

/// What the assembler said.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub kernels: usize,
    /// Kernels that it refuses or warns of, with its words.
    pub refused: Vec<String>,
    pub spills: Vec<Spill>,
}

/// The assembler, from the variable `PTXAS` or the path.
pub fn program() -> Option<PathBuf> {
    let named = std::env::var_os("PTXAS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    named.into_iter().chain(std::env::split_paths(&path).map(|dir| dir.join("ptxas"))).find(|p| p.is_file())
}

/// Assembles all kernels of all architectures, which is said; files are made in `folder`. `None` without an assembler.
#[allow(clippy::print_stdout, reason = "a line in the log of a test")]
pub fn assemble(texts: &Texts, folder: &Path) -> std::io::Result<Option<Report>> {
    let Some(program) = program() else {
        println!("skipped: no ptxas; set PTXAS");
        return Ok(None);
    };
    std::fs::create_dir_all(folder)?;
    let start = std::time::Instant::now();
    let report = assemble_with(&program, texts, folder);
    let (all, distinct) = texts.counts();
    let each: Vec<String> = texts.of.iter().map(|(sm, kernels)| format!("{sm} {}", kernels.len())).collect();
    println!("{all} kernels ({distinct} texts; {}) assembled in {:.1?}", each.join(", "), start.elapsed());
    Ok(Some(report))
}

/// Kernels that go into one file.
type Chunk<'a> = Vec<(&'a String, &'a Met)>;

/// Files of all architectures, the largest first, so that no thread begins with a long one when the others end.
fn chunks(texts: &Texts) -> Vec<(Sm, Chunk<'_>)> {
    let mut out: Vec<(Sm, Chunk<'_>)> = Vec::new();
    for (sm, kernels) in &texts.of {
        let mut kernels: Chunk<'_> = kernels.iter().collect();
        // Long ones by themselves, short ones together; equal lengths in the order of their texts.
        kernels.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        let mut room = 0;
        for kernel in kernels {
            match out.last_mut() {
                Some((last, chunk)) if *last == *sm && chunk.len() < CHUNK.0 && kernel.0.len() <= room => {
                    room -= kernel.0.len();
                    chunk.push(kernel);
                }
                Some(_) | None => {
                    room = CHUNK.1.saturating_sub(kernel.0.len());
                    out.push((*sm, vec![kernel]));
                }
            }
        }
    }
    out.sort_by_key(|(_, chunk)| std::cmp::Reverse(chunk.iter().map(|(text, _)| text.len()).sum::<usize>()));
    out
}

fn assemble_with(program: &Path, texts: &Texts, folder: &Path) -> Report {
    let chunks = chunks(texts);
    let queue = Mutex::new(chunks.iter().enumerate());
    let report = Mutex::new(Report::default());
    let work = || {
        while let Some((number, (sm, chunk))) = queue.lock().ok().and_then(|mut q| q.next()) {
            let file = folder.join(format!("{sm}_{number}.ptx"));
            let said = run(program, *sm, chunk, &file);
            let Ok(mut report) = report.lock() else { return };
            report.kernels += chunk.len();
            match said {
                Ok(spills) => report.spills.extend(spills.into_iter().map(|(k, bytes)| Spill {
                    sm: *sm,
                    places: chunk.get(k).map(|(_, met)| met.places.clone()).unwrap_or_default(),
                    bytes,
                    file: file.clone(),
                    entry: format!("k{k}"),
                })),
                Err(why) => report.refused.push(why),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let mut report = report.into_inner().unwrap_or_default();
    report.refused.sort();
    report.spills.sort();
    report
}

/// Number in the file and bytes of each kernel that spills. Where there are such, the file stays.
fn run(program: &Path, sm: Sm, chunk: &Chunk<'_>, file: &Path) -> Result<Vec<(usize, u64)>, String> {
    std::fs::write(file, together(sm, chunk)).map_err(|e| format!("{}: {e}", file.display()))?;
    let arguments = ["-v", "-arch", sm.name(), "-o", "/dev/null"];
    let run = Command::new(program).args(arguments).arg(file).output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&run.stderr).into_owned() + &String::from_utf8_lossy(&run.stdout);
    let wrong = |l: &&str| ["error", "warning", "serialized"].iter().any(|word| l.contains(word));
    let wrong: Vec<&str> = said.lines().filter(wrong).take(3).collect();
    if !run.status.success() || !wrong.is_empty() {
        let places: Vec<&String> = chunk.iter().filter_map(|(_, met)| met.places.first()).collect();
        return Err(format!("{}: {}, in some of {places:?}", file.display(), wrong.join(" / ")));
    }
    let spills = spills(&said);
    if spills.is_empty() {
        std::fs::remove_file(file).map_err(|e| e.to_string())?;
    }
    Ok(spills)
}

/// Several kernels as one module: their names, and those of their variables, are made different.
fn together(sm: Sm, chunk: &Chunk<'_>) -> String {
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
        let met = Met { places: BTreeSet::new(), version: (7, 0) };
        let found = together(Sm::Sm80, &vec![(&text, &met), (&text, &met)]);
        assert!(found.starts_with(".version 7.0\n.target sm_80\n.address_size 64\n"), "{found}");
        assert!(
            found.contains(".b8 shared_k1[];\n.visible .entry k1(") && found.contains("%r0, shared_k0;"),
            "{found}"
        );
    }
}

//! Runs the files of a folder.

use std::path::{Path, PathBuf};

use graph::text;

use crate::{COMMANDS, Case, registry};

/// Runs every `*.ir` file of a folder of this package. The error lists every file that fails, and how; with `BLESS` set,
/// files are rewritten to what comes out instead.
pub fn run(folder: &str) -> Result<(), String> {
    let files = files(folder)?;
    let failures: Vec<String> = files
        .iter()
        .filter_map(|file| run_file(file).err().map(|error| format!("{}:\n{error}", file.display())))
        .collect();
    if failures.is_empty() { Ok(()) } else { Err(format!("\n{}\n", failures.join("\n"))) }
}

/// The `*.ir` files of a folder of this package, sorted; an error if there are none.
pub fn files(folder: &str) -> Result<Vec<PathBuf>, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let failed = |error: std::io::Error| format!("{folder}: {error}");
    let mut out = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|extension| extension == "ir") {
            out.push(file);
        }
    }
    if out.is_empty() {
        return Err(format!("{folder} has no tests"));
    }
    out.sort();
    Ok(out)
}

fn run_file(file: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let given = Case::read(&text);
    if given.commands().next().is_none() {
        return Err("  no line `; test NAME`".to_string());
    }
    let mut right = given.clone();
    for line in given.commands() {
        let name = line.split(' ').next().unwrap_or(line);
        let command = COMMANDS.iter().find(|command| command.name == name);
        let command = command.ok_or_else(|| format!("  unknown command `{name}`"))?;
        right = (command.run)(&right).map_err(|error| format!("  {name}: {error}"))?;
    }
    check_round_trip(&given.body)?;
    if right == given {
        return Ok(());
    }
    if std::env::var_os("BLESS").is_some() {
        return std::fs::write(file, right.write()).map_err(|error| error.to_string());
    }
    Err(difference(&given.write(), &right.write()))
}

/// What parses prints as text that parses to equal data, which prints as the same text.
fn check_round_trip(body: &str) -> Result<(), String> {
    let Ok(model) = text::parse(body, &registry()) else { return Ok(()) };
    let printed = text::print(&model);
    let again = text::parse(&printed, &registry()).map_err(|error| format!("  printed text: {error}\n{printed}"))?;
    if again != model || text::print(&again) != printed {
        return Err(format!("  printed text parses to another model:\n{printed}"));
    }
    Ok(())
}

/// The lines of either text that the other has not.
fn difference(given: &str, right: &str) -> String {
    let only = |a: &str, b: &str, mark: &str| -> Vec<String> {
        let other: Vec<&str> = b.lines().collect();
        a.lines().filter(|line| !other.contains(line)).map(|line| format!("  {mark} {line}")).collect()
    };
    let mut lines = only(given, right, "-");
    lines.extend(only(right, given, "+"));
    if lines.is_empty() {
        lines.push("  the same lines in another order, or other blank lines".to_string());
    }
    lines.join("\n")
}

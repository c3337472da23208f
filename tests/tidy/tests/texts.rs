//! All text files: no absolute paths, no hosts of package registries; the README's commands; sizes of examples.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use tidy::{File, Manifest, check, files, manifests, root};

/// Largest file of an example.
const EXAMPLE_BYTES: usize = 500_000;

/// Files that name registries because cargo writes them so.
fn is_machine_written(path: &str) -> bool {
    path == "Cargo.lock" || path.starts_with("examples/") && path.ends_with("/Cargo.lock")
}

/// Where the options of the command line stand.
const DRIVER: [&str; 3] =
    ["compiler/driver/src/main.rs", "compiler/driver/src/cli_lab.rs", "compiler/driver/src/cli_lock.rs"];

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Lines of all text files in which `found` finds something.
fn lines_with(found: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut out = Vec::new();
    for file in files() {
        let Some(text) = file.text() else { continue };
        if is_machine_written(&file.path) {
            continue;
        }
        let hits = text.lines().enumerate().filter_map(|(k, line)| Some((k, found(line)?)));
        out.extend(hits.map(|(k, hit)| format!("{}:{}: {hit}", file.path, k + 1)));
    }
    out
}

#[test]
fn no_absolute_paths() {
    let roots: Vec<String> = ["home", "Users", "work", "root", "tmp", "mnt"].map(|r| format!("/{r}/")).to_vec();
    let wrong = lines_with(|line| {
        let at = roots.iter().find_map(|root| line.find(root.as_str()))?;
        let before = line[..at].chars().next_back();
        let absolute = before.is_none_or(|c| !(c.is_alphanumeric() || "._-/}*".contains(c)));
        absolute.then(|| line.trim().to_string())
    });
    check(&wrong, "absolute paths");
}

#[test]
fn no_registry_hosts() {
    let hosts = [["crates", "io"], ["pypi", "org"], ["pythonhosted", "org"], ["npmjs", "com"]].map(|h| h.join("."));
    let wrong = lines_with(|line| hosts.iter().find(|h| line.contains(h.as_str())).cloned());
    check(&wrong, "hosts of package registries; clients know theirs");
}

/// Lines of the README's blocks of shell commands.
fn readme_commands() -> Vec<String> {
    let (mut inside, mut out) = (false, Vec::new());
    for line in read("README.md").lines() {
        if let Some(language) = line.strip_prefix("```") {
            inside = !inside && language == "sh";
        } else if inside {
            let command = line.split(" #").next().unwrap_or(line).trim();
            out.extend((!command.is_empty()).then(|| command.to_string()));
        }
    }
    out
}

#[test]
fn readme_commands_exist() {
    let driver = DRIVER.map(read).concat();
    let mut wrong = Vec::new();
    for command in readme_commands() {
        let mut words = command.split_whitespace();
        let program = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        match program {
            "onnx2crate" => {
                let flags = words.iter().filter_map(|w| w.strip_prefix("--"));
                for flag in flags.map(|f| f.split('=').next().unwrap_or(f)) {
                    let field = format!("{}:", flag.replace('-', "_"));
                    if !driver.contains(&field) && !driver.contains(&format!("long = \"{flag}\"")) {
                        wrong.push(format!("{command}: no option --{flag}"));
                    }
                }
                let verb = words.first().copied().unwrap_or_default();
                let known = verb.contains('.') || driver.contains(&format!("    {} {{", capital(verb)));
                if !known {
                    wrong.push(format!("{command}: no command {verb}"));
                }
            }
            "cargo" => {
                let path = words.iter().skip_while(|w| **w != "--path" && **w != "--manifest-path").nth(1);
                if path.is_some_and(|p| !root().join(p).exists()) {
                    wrong.push(format!("{command}: no such path"));
                }
            }
            _ if !is_executable(program) => wrong.push(format!("{command}: no such program")),
            _ => {}
        }
    }
    check(&wrong, "commands of README.md that do not work");
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

#[cfg(unix)]
fn is_executable(path: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(root().join(path)).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &str) -> bool {
    root().join(path).is_file()
}

#[test]
fn ci_runs_the_test_command_of_the_readme() {
    let command = "./test.sh";
    assert!(readme_commands().iter().any(|c| c == command), "README.md must show {command}");
    let ci = read(".ci/run");
    let last = ci.lines().rfind(|l| !l.trim().is_empty()).unwrap_or_default();
    assert_eq!(last, format!("exec {command}"), "CI adds nothing that a developer cannot run");
}

#[test]
fn documents_point_at_what_exists() {
    let mut wrong = Vec::new();
    for file in files().into_iter().filter(|f| f.path.ends_with(".md") && !f.path.starts_with("templates/")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in links(&file) {
            let path = root().join(folder).join(&target);
            if !path.exists() {
                wrong.push(format!("{}: {target}", file.path));
            }
        }
    }
    check(&wrong, "links to files that are not there");
}

/// Targets of a document's links that are files.
fn links(file: &File) -> Vec<String> {
    let text = file.text().unwrap_or_default();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let inside = targets.filter(|t| !t.contains("://") && !t.starts_with('#'));
    inside.map(|t| t.split('#').next().unwrap_or(t).to_string()).collect()
}

#[test]
fn architecture_names_every_crate() {
    let text = read("ARCHITECTURE.md");
    let folder = |m: &Manifest| m.path.trim_end_matches("/Cargo.toml").to_string();
    let wrong: Vec<String> = manifests().iter().map(folder).filter(|f| !text.contains(&format!("| `{f}` |"))).collect();
    check(&wrong, "crates that the table of ARCHITECTURE.md lacks");
}

/// A checklist that grows past this many lines means that the design needs a fix.
const CHECKLIST_LINES: usize = 10;

#[test]
fn checklists_are_short() {
    let mut wrong = Vec::new();
    for section in read("CONTRIBUTING.md").split("\n## ").skip(1) {
        let (title, body) = section.split_once('\n').unwrap_or((section, ""));
        let lines = body.lines().filter(|l| !l.trim().is_empty()).count();
        if lines > CHECKLIST_LINES {
            wrong.push(format!("{title}: {lines} lines"));
        }
    }
    check(&wrong, "checklists of CONTRIBUTING.md of more than ten lines");
}

#[test]
fn examples_are_small() {
    let large = files().into_iter().filter(|f| f.path.starts_with("examples/") && f.bytes.len() > EXAMPLE_BYTES);
    let wrong: Vec<String> = large.map(|f| format!("{}: {} bytes", f.path, f.bytes.len())).collect();
    check(&wrong, "files of examples that are too large");
}

#[test]
fn examples_agree_on_packages() {
    let mut pins: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for file in files().into_iter().filter(|f| f.path.starts_with("examples/") && f.path.ends_with("/requirements.txt"))
    {
        for line in file.text().unwrap_or_default().lines() {
            match line.split_once("==") {
                Some((name, version)) => _ = pins.entry(name.to_string()).or_default().insert(version.to_string()),
                None => wrong.push(format!("{}: {line} has no version", file.path)),
            }
        }
    }
    wrong.extend(
        pins.iter().filter(|(_, versions)| versions.len() > 1).map(|(name, versions)| format!("{name}: {versions:?}")),
    );
    check(&wrong, "Python packages of examples, which share an environment");
}

#[test]
#[cfg(unix)]
fn scripts_of_examples_parse() {
    let mut wrong = Vec::new();
    for file in files().into_iter().filter(|f| f.path.starts_with("examples/")) {
        let (program, arguments): (&str, &[&str]) = match file.path.rsplit_once('.') {
            Some((_, "sh")) => ("bash", &["-n"]),
            Some((_, "py")) => ("python3", &["-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())"]),
            _ => continue,
        };
        let output = Command::new(program).args(arguments).arg(root().join(&file.path)).output();
        let parses = output.as_ref().is_ok_and(|o| o.status.success());
        (!parses).then(|| wrong.push(format!("{}: {output:?}", file.path)));
        if file.path.ends_with("/run.sh") && !is_executable(&file.path) {
            wrong.push(format!("{} is not executable", file.path));
        }
    }
    check(&wrong, "scripts of examples that do not parse");
}

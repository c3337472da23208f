//! Which crate may use which, and which packages from outside may be used at all.

use std::collections::BTreeSet;

use tidy::{Manifest, check, manifests, root, sections};

/// Each crate and the ones of ours that it may depend on, dev-dependencies included. Downhill only: a crate stands below those
/// that it names.
const EDGES: &[(&str, &[&str])] = &[
    ("graph", &[]),
    ("runtime-min", &[]),
    ("templates", &[]),
    // runtime-min: a host operator's runtime file is compiled into the front end and is its evaluator.
    ("onnx", &["graph", "runtime-min"]),
    ("passes", &["graph"]),
    ("nest", &["graph"]),
    ("plan", &["graph", "nest"]),
    // ptx-emu: tests run what is made.
    ("ptx", &["ptx-emu"]),
    ("tune", &[]),
    ("ptx-expr", &["graph", "nest", "ptx", "ptx-emu"]),
    // plan: an example times operators as they are planned.
    ("backend-ptx", &["graph", "nest", "plan", "ptx", "ptx-expr", "ptx-emu"]),
    ("kernels", &["graph", "nest", "plan", "ptx", "ptx-expr", "ptx-emu"]),
    ("backend-cpu", &["graph", "nest", "plan"]),
    ("emit", &["graph", "nest", "plan", "runtime-min", "templates"]),
    (
        "onnx2crate",
        &[
            "graph",
            "onnx",
            "passes",
            "nest",
            "plan",
            "ptx",
            "kernels",
            "backend-cpu",
            "backend-ptx",
            "emit",
            "runtime-min",
            "templates",
            "tune",
        ],
    ),
    ("filetests", &["graph", "onnx", "passes", "nest", "plan", "backend-cpu"]),
    (
        "conformance",
        &[
            "graph",
            "kernels",
            "nest",
            "onnx",
            "passes",
            "plan",
            "ptx",
            "ptx-emu",
            "backend-cpu",
            "backend-ptx",
            "emit",
            "onnx2crate",
            "runtime-min",
            "stand-in-driver",
            "gpu-checks",
        ],
    ),
    ("gpu-checks", &["ptx-emu", "runtime-min"]),
    // The file that lists the driver's functions is compiled into both.
    ("stand-in-driver", &["gpu-checks", "runtime-min"]),
    ("onnx-proto", &[]),
    // Nothing of ours: what checks the printed PTX must not share a mistake with it.
    ("ptx-emu", &[]),
    ("tidy", &[]),
];

#[test]
fn crates_depend_downhill_only() {
    let known: BTreeSet<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    let mut wrong = Vec::new();
    for manifest in manifests() {
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == manifest.name) else {
            wrong.push(format!(
                "{}: `{}` is not in the table of tests/tidy/tests/edges.rs",
                manifest.path, manifest.name
            ));
            continue;
        };
        let ours = manifest.dependencies().into_iter().filter(|d| known.contains(d.as_str()));
        let uphill = ours.filter(|d| !allowed.contains(&d.as_str()));
        wrong.extend(uphill.map(|d| format!("{}: `{}` may not use `{d}`", manifest.path, manifest.name)));
    }
    check(&wrong, "edges that the architecture does not have; take what is needed as an argument");
}

/// The table itself has no way round.
#[test]
fn edges_have_no_cycle() {
    let mut below: BTreeSet<&str> = BTreeSet::new();
    while below.len() < EDGES.len() {
        let ready = EDGES.iter().filter(|(n, to)| !below.contains(n) && to.iter().all(|t| below.contains(t)));
        let ready: Vec<&str> = ready.map(|(name, _)| *name).collect();
        assert!(!ready.is_empty(), "a cycle or an unknown name among {:?}", EDGES);
        below.extend(ready);
    }
}

#[test]
fn packages_from_outside_have_a_decision() {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let decisions = std::fs::read_to_string(root().join("DECISIONS.md")).unwrap();
    let workspace = Manifest { name: String::new(), path: "Cargo.toml".into(), lines: sections(&text) };
    let inside = |name: &str| {
        let is_path = |(_, line): &&(String, String)| line.starts_with(&format!("{name} ")) && line.contains("path =");
        workspace.lines.iter().any(|l| is_path(&l))
    };
    let outside = workspace.keys("workspace.dependencies").into_iter().filter(|n| !inside(n));
    let missing = outside.filter(|name| !decisions.contains(&format!("`{name}`")));
    let wrong: Vec<String> = missing.map(|name| format!("{name}: not in DECISIONS.md")).collect();
    check(&wrong, "packages without a reason");
}

#[test]
fn versions_stand_in_the_workspace() {
    let mut wrong = Vec::new();
    for manifest in manifests() {
        for (section, line) in &manifest.lines {
            if section.ends_with("dependencies") && !line.contains("workspace = true") {
                wrong.push(format!("{}: {line}: write `NAME.workspace = true`", manifest.path));
            }
        }
        for key in ["version", "edition", "rust-version", "license"] {
            if !manifest.lines.iter().any(|(s, l)| s == "package" && l == &format!("{key}.workspace = true")) {
                wrong.push(format!("{}: `{key}.workspace = true` is missing", manifest.path));
            }
        }
        if !manifest.lines.iter().any(|(s, l)| s == "lints" && l == "workspace = true") {
            wrong.push(format!("{}: `[lints] workspace = true` is missing", manifest.path));
        }
    }
    check(&wrong, "manifests that leave the workspace's table");
}

/// Generated crates hold copies of the runtime, so that both need the same compiler.
#[test]
fn one_compiler_version() {
    let version = |path: &str| {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        let line = text.lines().find(|l| l.starts_with("rust-version = ")).unwrap_or_default().to_string();
        line.split('"').nth(1).unwrap_or_default().to_string()
    };
    let ours = version("Cargo.toml");
    assert_eq!(version("templates/text/Cargo.toml.txt"), ours);
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains(&format!("Rust {ours}")), "README.md must ask for Rust {ours}");
}

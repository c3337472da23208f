//! Models that were changed at random, and models whose every text is hostile: import, passes, planning and emission end with a
//! crate or an error, never a panic; within stated time and memory; without reading outside the model's folder; and no text of the
//! model is code in the crate.

#[path = "../../onnx/tests/build/mod.rs"]
mod build;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use build::*;
use onnx::proto::*;
use onnx2crate::{Compiler, Error, Target};
use prost::Message;
use world::World;

/// Every so manyth of the ONNX node tests gives a seed.
const STEP: usize = 43;

/// Mutants of each seed.
const MUTANTS: usize = 8;

/// Seconds of processor time that one mutant may take.
const SECONDS: f64 = 20.0;

/// Bytes of memory that all of them may take at most.
const BYTES: u64 = 2 << 30;

/// A word that stands in hostile texts, and in the crate's code must not.
const WORD: &str = "INJECTED";

const TEXTS: [&str; 20] = [
    "",
    "fn",
    "Self",
    "a\"; INJECTED!(); //",
    "*/ INJECTED /*",
    "x\nINJECTED\n",
    "x\r\nINJECTED",
    "\u{2028}INJECTED",
    "\u{202E}INJECTED\u{202C}",
    "```\nINJECTED",
    "    INJECTED",
    "#![INJECTED]",
    "{{samples}} {{INJECTED}}",
    "`<script>INJECTED</script>`",
    "../../INJECTED",
    "\0INJECTED\u{1B}[2J",
    "__comment!(\"INJECTED\")",
    "\\\"INJECTED\\",
    "r#INJECTED",
    "größe 漢字 नमस्ते",
];

/// Places of external data, none of which may be read but the first.
const LOCATIONS: [&str; 7] =
    ["w.bin", "../secret/weights.bin", "link.bin", "up/weights.bin", "hard.bin", "/proc/self/environ", "inside"];

const INTEGERS: [i64; 14] =
    [0, 1, -1, 2, 3, 7, -7, 1 << 20, 1 << 31, 1 << 40, -(1 << 40), i64::MAX, i64::MIN, i64::MAX - 1];

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound.max(1)
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        let at = self.below(list.len());
        list.get(at)
    }

    fn pick<'a, T>(&mut self, list: &'a mut [T]) -> Option<&'a mut T> {
        let at = self.below(list.len());
        list.get_mut(at)
    }

    fn integer(&mut self) -> i64 {
        self.of(&INTEGERS).copied().unwrap_or_default()
    }

    fn text(&mut self) -> String {
        self.of(&TEXTS).map(|t| t.to_string()).unwrap_or_default()
    }
}

/// One change to a model's structure.
type Change = fn(&mut ModelProto, &mut Numbers) -> Option<()>;

const CHANGES: [Change; 21] = [
    |m, n| n.pick(&mut n_of(m)?.node).map(|node| node.input.reverse()),
    |m, n| {
        let graph = n_of(m)?;
        let names: Vec<String> = graph.node.iter().flat_map(|node| node.output.clone()).collect();
        let (name, node) = (n.of(&names)?.clone(), n.pick(&mut graph.node)?);
        *n.pick(&mut node.input)? = name;
        Some(())
    },
    |m, n| {
        let graph = n_of(m)?;
        let names: Vec<String> = graph.input.iter().map(|i| i.name().to_string()).collect();
        let (name, node) = (n.of(&names)?.clone(), n.pick(&mut graph.node)?);
        *n.pick(&mut node.input)? = name;
        Some(())
    },
    |m, n| n.pick(&mut n_of(m)?.node)?.input.pop().map(drop),
    |m, n| {
        let operator = n.of(onnx::OPERATORS)?;
        let node = n.pick(&mut n_of(m)?.node)?;
        (node.op_type, node.domain) = (Some(operator.name.to_string()), Some(operator.domain.to_string()));
        Some(())
    },
    |m, n| {
        let graph = n_of(m)?;
        let (at, to) = (n.below(graph.node.len()), n.below(graph.node.len()));
        (!graph.node.is_empty()).then(|| graph.node.swap(at, to))
    },
    |m, n| {
        let graph = n_of(m)?;
        let at = n.below(graph.node.len());
        (at < graph.node.len()).then(|| drop(graph.node.remove(at)))
    },
    |m, n| attribute(m, n).map(|(attribute, n)| attribute.i = Some(n.integer())),
    |m, n| attribute(m, n).map(|(attribute, n)| attribute.ints.push(n.integer())),
    |m, n| {
        let (attribute, n) = attribute(m, n)?;
        *n.pick(&mut attribute.ints)? = n.integer();
        Some(())
    },
    |m, n| {
        let (attribute, n) = attribute(m, n)?;
        attribute.f = n.of(&[0.0, -1.0, f32::NAN, f32::INFINITY, 1e38]).copied();
        Some(())
    },
    |m, n| attribute(m, n).map(|(attribute, n)| attribute.s = Some(n.text().into_bytes())),
    |m, n| {
        let node = n.pick(&mut n_of(m)?.node)?;
        node.attribute.pop().map(drop)
    },
    |m, n| {
        let dims = dims(m, n)?;
        n.pick(dims)?.value = Some(tensor_shape_proto::dimension::Value::DimValue(n.integer()));
        Some(())
    },
    |m, n| {
        let dims = dims(m, n)?;
        for dim in dims {
            let name = n.of(&["batch", "length", ""])?.to_string();
            dim.value = Some(tensor_shape_proto::dimension::Value::DimParam(name));
        }
        Some(())
    },
    |m, n| {
        let info = n.pick(&mut n_of(m)?.input)?;
        let type_proto::Value::TensorType(tensor) = info.r#type.as_mut()?.value.as_mut()? else { return None };
        tensor.elem_type = Some(n.below(27) as i32);
        Some(())
    },
    |m, n| {
        let tensor = tensor_of(m, n)?;
        *n.pick(&mut tensor.dims)? = n.integer();
        Some(())
    },
    |m, n| {
        let tensor = tensor_of(m, n)?;
        if let Some(value) = n.pick(&mut tensor.int64_data) {
            *value = n.integer();
        } else if let Some(raw) = tensor.raw_data.as_mut().filter(|_| tensor.data_type == Some(7)) {
            let mut bytes = raw.to_vec();
            let at = n.below(bytes.len() / 8) * 8;
            bytes.get_mut(at..at + 8)?.copy_from_slice(&n.integer().to_le_bytes());
            *raw = bytes.into();
        }
        Some(())
    },
    |m, n| {
        let location = n.of(&LOCATIONS)?;
        let moved = external(&[("location", location)]);
        let tensor = tensor_of(m, n)?;
        *tensor = TensorProto { name: tensor.name.clone(), ..moved };
        Some(())
    },
    |m, n| {
        n.pick(&mut m.opset_import)?.version = Some(n.below(30) as i64);
        Some(())
    },
    |m, n| {
        hostile_names(m, n);
        Some(())
    },
];

fn n_of(model: &mut ModelProto) -> Option<&mut GraphProto> {
    model.graph.as_mut()
}

fn attribute<'a>(model: &'a mut ModelProto, n: &'a mut Numbers) -> Option<(&'a mut AttributeProto, &'a mut Numbers)> {
    let mut with: Vec<&mut NodeProto> =
        n_of(model)?.node.iter_mut().filter(|node| !node.attribute.is_empty()).collect();
    let at = n.below(with.len());
    let node = (at < with.len()).then(|| with.swap_remove(at))?;
    let at = n.below(node.attribute.len());
    Some((node.attribute.get_mut(at)?, n))
}

fn dims<'a>(model: &'a mut ModelProto, n: &mut Numbers) -> Option<&'a mut Vec<tensor_shape_proto::Dimension>> {
    let info = n.pick(&mut n_of(model)?.input)?;
    let type_proto::Value::TensorType(tensor) = info.r#type.as_mut()?.value.as_mut()? else { return None };
    Some(&mut tensor.shape.as_mut()?.dim)
}

/// An initializer, or the value of a constant.
fn tensor_of<'a>(model: &'a mut ModelProto, n: &mut Numbers) -> Option<&'a mut TensorProto> {
    let graph = n_of(model)?;
    let constants = graph.node.iter_mut().flat_map(|node| &mut node.attribute).filter_map(|a| a.t.as_mut());
    let mut all: Vec<&mut TensorProto> = graph.initializer.iter_mut().chain(constants).collect();
    let at = n.below(all.len());
    (at < all.len()).then(|| all.swap_remove(at))
}

/// Gives every text of a model a hostile one; names stay what joins nodes.
fn hostile_names(model: &mut ModelProto, n: &mut Numbers) {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut rename = |name: &mut String, n: &mut Numbers| {
        if !name.is_empty() {
            let count = known.len();
            let new = known.entry(name.clone()).or_insert_with(|| format!("{}{count}", n.text()));
            name.clone_from(new);
        }
    };
    model.doc_string = Some(n.text());
    model.producer_name = Some(n.text());
    let Some(graph) = n_of(model) else { return };
    (graph.name, graph.doc_string) = (Some(n.text()), Some(n.text()));
    for info in graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info) {
        rename(info.name.get_or_insert_default(), n);
        info.doc_string = Some(n.text());
        let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_mut().and_then(|t| t.value.as_mut()) else {
            continue;
        };
        for dim in tensor.shape.iter_mut().flat_map(|s| &mut s.dim) {
            if let Some(tensor_shape_proto::dimension::Value::DimParam(name)) = &mut dim.value {
                *name = n.text();
            }
        }
    }
    for tensor in &mut graph.initializer {
        rename(tensor.name.get_or_insert_default(), n);
    }
    for node in &mut graph.node {
        (node.name, node.doc_string) = (Some(n.text()), Some(n.text()));
        for name in node.input.iter_mut().chain(&mut node.output) {
            rename(name, n);
        }
    }
}

/// A model's bytes, changed: cut off, with other bytes, or with other structure.
fn mutant(seed: &[u8], n: &mut Numbers) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    match n.below(8) {
        0 => bytes.truncate(n.below(seed.len())),
        1 => {
            for _ in 0..1 + n.below(4) {
                let value = n.below(256) as u8;
                if let Some(byte) = n.pick(&mut bytes) {
                    *byte = value;
                }
            }
        }
        _ => {
            let mut model = ModelProto::decode(seed).unwrap();
            for _ in 0..1 + n.below(3) {
                let change = *n.of(&CHANGES).unwrap();
                let _ = change(&mut model, n);
            }
            bytes = model.encode_to_vec();
        }
    }
    bytes
}

fn suite() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/onnx-suite/1.22.0/node");
    let folder = std::env::var_os("ONNX_SUITE").map_or(root, PathBuf::from);
    let Ok(entries) = fs::read_dir(&folder) else {
        println!("skipped: {} is missing, run tests/conformance/fetch.sh", folder.display());
        return Vec::new();
    };
    let mut models: Vec<PathBuf> = entries.map(|e| e.unwrap().path().join("model.onnx")).collect();
    models.sort();
    models
}

/// How compilations ended.
#[derive(Debug, Default)]
struct Endings {
    crates: usize,
    refused: usize,
    /// What is no fault of the model.
    ours: Vec<String>,
    slowest: (f64, String),
}

/// Compiles one model for a target and looks at what comes out.
fn compile(world: &World, name: &str, bytes: &[u8], target: Target, endings: &mut Endings) {
    let path = world.root.join("model/model.onnx");
    fs::write(&path, bytes).unwrap();
    let compiler = Compiler::new(&path).targets(&[target]).name("engine");
    let start = processor_seconds();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let compiled = compiler.compile()?;
        compiler.crate_files(&compiled)
    }));
    let seconds = processor_seconds() - start;
    if seconds > endings.slowest.0 {
        endings.slowest = (seconds, name.to_string());
    }
    match outcome {
        Ok(Ok(files)) => {
            endings.crates += 1;
            let files = files.iter().map(|(path, contents)| (path.as_str(), contents.to_bytes()));
            endings.ours.extend(
                files.flat_map(|(path, contents)| faults_of_file(path, &contents)).map(|f| format!("{name}: {f}")),
            );
        }
        Ok(Err(Error::Model(_) | Error::File { .. })) => endings.refused += 1,
        Ok(Err(error)) => endings.ours.push(format!("{name}: {error}")),
        Err(_) => endings.ours.push(format!("{name}: panic")),
    }
}

/// What a file of a crate must not hold, whatever the model's texts are.
fn faults_of_file(path: &str, contents: &[u8]) -> Vec<String> {
    let mut faults = Vec::new();
    let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !path.split('/').all(|part| plain(part) && !part.trim_matches('.').is_empty()) {
        faults.push(format!("path {path:?}"));
    }
    // The runtime is the same in every crate.
    if path.starts_with("src/runtime/") || path.ends_with(".bin") {
        return faults;
    }
    let Ok(text) = std::str::from_utf8(contents) else { return vec![format!("{path} is not UTF-8")] };
    let odd = |c: char| (c.is_control() && c != '\t') || matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    faults.extend(text.lines().filter(|l| l.contains(odd)).map(|l| format!("{path}: {l:?}")));
    for line in text.lines().filter(|l| l.contains(WORD)) {
        let documentation = line.trim_start().strip_prefix("///").or(line.trim_start().strip_prefix("//!"));
        let markup = documentation.is_some_and(|words| {
            let outside: String = words.split('`').step_by(2).collect();
            outside.contains(WORD) || words.trim_start().starts_with("```")
        });
        if markup || (path.ends_with(".ptx") && !line.trim_start().starts_with("//")) || path == "Cargo.toml" {
            faults.push(format!("{path}: {line:?}"));
        }
    }
    if path.ends_with(".rs") {
        match text.parse() {
            Ok(tokens) => faults.extend(identifiers(tokens).into_iter().map(|i| format!("{path}: {i} is code"))),
            Err(error) => faults.push(format!("{path}: {error}")),
        }
    }
    faults
}

fn identifiers(tokens: proc_macro2::TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    for token in tokens {
        match token {
            proc_macro2::TokenTree::Ident(name) if name.to_string().contains(WORD) => found.push(name.to_string()),
            proc_macro2::TokenTree::Group(group) => found.extend(identifiers(group.stream())),
            _ => {}
        }
    }
    found
}

/// Seconds that this process has computed, in hundredths, as Linux tells; elsewhere nothing passes.
fn processor_seconds() -> f64 {
    let Ok(text) = fs::read_to_string("/proc/self/stat") else { return 0.0 };
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields[11..13].iter().map(|f| f.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// Most bytes that this process ever held, as Linux tells.
fn peak_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or_default() * 1024
}

fn finish(world: World, endings: &Endings) {
    println!(
        "{} crates, {} refused, slowest {:?}, {} bytes",
        endings.crates,
        endings.refused,
        endings.slowest,
        peak_bytes()
    );
    assert!(endings.ours.is_empty(), "{} faults:\n{}", endings.ours.len(), endings.ours.join("\n"));
    assert!(!(world.sees_reads && world.was_read()), "a file outside the model's folder was read");
    assert!(endings.slowest.0 < SECONDS, "{:?}", endings.slowest);
    assert!(peak_bytes() < BYTES, "{} bytes of memory", peak_bytes());
    fs::remove_dir_all(&world.root).unwrap();
}

#[test]
fn mutants_become_crates_or_errors() {
    let world = World::new("mutated");
    let mut seeds = vec![("digits".to_string(), include_bytes!("../../../examples/digits/digits.onnx").to_vec())];
    for path in suite().iter().step_by(STEP) {
        let name = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        seeds.push((name, fs::read(path).unwrap()));
    }
    world.forget_reads();
    let (mut endings, mut numbers) = (Endings::default(), Numbers(1));
    let targets = [Target::Cpu, "sm_90a".parse().unwrap()];
    for (name, seed) in &seeds {
        for k in 0..MUTANTS {
            let bytes = mutant(seed, &mut numbers);
            compile(&world, &format!("{name}, mutant {k}"), &bytes, targets[k % 2], &mut endings);
        }
    }
    assert!(endings.crates > seeds.len() && endings.refused > seeds.len(), "{endings:?}");
    finish(world, &endings);
}

#[test]
fn hostile_texts_stay_texts() {
    let world = World::new("hostile-texts");
    world.forget_reads();
    let mut endings = Endings::default();
    let digits = ModelProto::decode(&include_bytes!("../../../examples/digits/digits.onnx")[..]).unwrap();
    let nodes = vec![node("Add", "x x", "a"), node("Softmax", "a", "b"), node("TopK", "b k", "y i")];
    let small = graph_with(nodes, |g| {
        g.input[0] = value("x", 1, &["n", "m"]);
        g.initializer.push(TensorProto { name: Some("k".into()), ..int64s(&[1]) });
        g.output = vec![value("y", 1, &["n", "1"]), value("i", 7, &["n", "1"])];
    });
    for (name, model, count) in [("digits", digits, 4), ("small", small, 24)] {
        for k in 0..count {
            let mut hostile = model.clone();
            hostile_names(&mut hostile, &mut Numbers(k));
            for target in [Target::Cpu, "sm_90a".parse().unwrap()] {
                compile(&world, &format!("{name} {k} {target:?}"), &hostile.encode_to_vec(), target, &mut endings);
            }
        }
    }
    assert_eq!(endings.refused, 0, "{endings:?}");
    finish(world, &endings);
}

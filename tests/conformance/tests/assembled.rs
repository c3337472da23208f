//! Kernels of networks, for every architecture: each form of a collective or asynchronous instruction in them has a probe with the
//! output of real hardware, and NVIDIA's assembler takes those of the digits network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use conformance::texts_of_kernels::Texts;
use conformance::{assembler, networks};
use passes::Precision;
use ptx::Sm;

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Networks with sizes and precisions: sizes as arguments, and the smallest batch.
const RUNS: &[(&str, &[(&str, &str)], Precision)] = &[
    ("resnet50", &[], Precision::F32),
    ("resnet50", &[("batch", "1")], Precision::F16),
    ("mobilenet_v2", &[], Precision::F32),
    ("mobilenet_v2", &[("batch", "1")], Precision::F16),
    ("bert_base", &[], Precision::F32),
    ("bert_base", &[("batch", "1"), ("sequence", "128")], Precision::F16),
    ("bert_base", &[("batch", "1"), ("sequence", "128")], Precision::Tf32),
    ("lstm", &[], Precision::F32),
    ("lstm", &[("batch", "1"), ("time", "50")], Precision::F16),
    ("digits", &[], Precision::F32),
    ("digits", &[], Precision::Bf16),
];

/// Kernels of a network.
fn of_network(network: &str) -> Texts {
    let mut texts = Texts::default();
    for (name, dims, precision) in RUNS.iter().filter(|(name, ..)| *name == network) {
        let imported = match *name {
            "digits" => networks::import_file(&here().join("../../examples/digits/digits.onnx"), dims),
            name => networks::import(name, dims),
        };
        let mut model = imported.unwrap();
        let options = passes::Options { precision: *precision, ..passes::Options::default() };
        passes::run_pipeline(&mut model, &options).unwrap();
        for sm in Sm::ALL {
            texts.add(&model, sm, &format!("{name} in {precision}"), false).unwrap();
        }
    }
    texts
}

/// Assembles all, and yields the bytes that kernels spill by the place where they were met.
fn assemble(name: &str, texts: &Texts) -> BTreeMap<String, Vec<(Sm, u64)>> {
    let Some(program) = assembler::program() else {
        println!("skipped: no ptxas; set PTXAS");
        return BTreeMap::new();
    };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let start = Instant::now();
    let report = assembler::assemble(&program, texts, &folder);
    let (all, distinct) = texts.counts();
    println!("{} of {all} kernels ({distinct} texts) assembled in {:.1?}", report.kernels, start.elapsed());
    assert!(report.refused.is_empty(), "{}", report.refused.join("\n"));
    report.spills
}

#[test]
fn kernels_of_digits_spill_nothing() {
    let spills = assemble("digits", &of_network("digits"));
    assert!(spills.is_empty(), "{spills:?}");
}

#[test]
fn forms_in_networks_have_recorded_probes() {
    for network in networks::NETWORKS.iter().chain(&["digits"]) {
        forms_have_probes(&of_network(network));
    }
}

/// How collective and asynchronous instructions begin.
const GROUPS: &[&str] = &[
    "mma.",
    "wgmma.",
    "ldmatrix.",
    "stmatrix.",
    "movmatrix.",
    "cp.async",
    "cp.reduce.async",
    "mbarrier.",
    "shfl.",
    "vote.",
    "match.",
    "redux.",
    "elect.",
    "activemask",
    "bar.red",
    "barrier.cta.red",
    "barrier.cluster",
    "mapa.",
    "red.async",
    "st.async",
];

/// The forms of a text that need a probe. Hints for caches change no value, and waits for mbarriers and groups are told by what
/// they wait for.
fn forms(text: &str) -> BTreeSet<String> {
    let opcode = |line: &str| -> Option<String> {
        let line = line.trim_start();
        let line = if line.starts_with('@') { line.split_once(' ')?.1.trim_start() } else { line };
        let word = line.split([' ', ';']).next()?;
        GROUPS.iter().any(|group| word.starts_with(group)).then(|| plain(word))
    };
    text.lines().filter_map(opcode).collect()
}

/// A spelling without what means the same: hints, `::cta`, the number of columns of wgmma.
fn plain(word: &str) -> String {
    // Without a word for it, a cluster's threads arrive with release and wait with acquire.
    let ordered = |p: &str| word.starts_with("barrier.cluster.") && matches!(p, "release" | "acquire");
    let parts = word.split('.').filter(|p| !p.starts_with("L2::") && !p.is_empty() && !ordered(p));
    let parts = parts.map(|part| {
        let columns = word.starts_with("wgmma.mma_async") && part.starts_with("m64n");
        let part = if columns {
            part.find('k').map_or(part.to_string(), |k| format!("m64n*{}", &part[k..]))
        } else {
            part.to_string()
        };
        part.replace("shared::cta", "shared")
    });
    parts.collect::<Vec<_>>().join(".")
}

/// Forms in probes whose output on real hardware is recorded.
fn recorded() -> BTreeSet<String> {
    let folder = here().join("../ptx-emu/probes");
    let mut out = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "probe") {
            let text = std::fs::read_to_string(&path).unwrap();
            if text.lines().any(|l| l.starts_with("recorded ")) {
                out.extend(forms(&std::fs::read_to_string(path.with_extension("ptx")).unwrap()));
            }
        }
    }
    out
}

fn forms_have_probes(texts: &Texts) {
    let recorded = recorded();
    let mut without: BTreeMap<String, String> = BTreeMap::new();
    for kernels in texts.of.values() {
        for (text, met) in kernels {
            for form in forms(text).difference(&recorded) {
                without.entry(form.clone()).or_insert_with(|| met.place.clone());
            }
        }
    }
    assert!(without.is_empty(), "forms without a recorded probe, and where they are: {without:#?}");
}

#[test]
fn forms_are_found_in_texts() {
    let found = forms(
        "    @%p1 shfl.sync.bfly.b32 %r1, %r2, 1, 31, -1;\n  cp.async.cg.shared.global.L2::128B [%r1], [%d1], 16;\n add.f32 a, b, c;",
    );
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["cp.async.cg.shared.global", "shfl.sync.bfly.b32"]);
}

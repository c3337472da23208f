//! Collective and asynchronous instructions: their forms in texts, and those whose output on real hardware is recorded by a probe.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::texts_of_kernels::Texts;

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
pub fn forms(text: &str) -> BTreeSet<String> {
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
            part.find('k').and_then(|k| part.get(k..)).map_or(part.to_string(), |k| format!("m64n*{k}"))
        } else {
            part.to_string()
        };
        part.replace("shared::cta", "shared")
    });
    parts.collect::<Vec<_>>().join(".")
}

/// Forms in probes whose output on real hardware is recorded.
pub fn recorded() -> std::io::Result<BTreeSet<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ptx-emu/probes");
    let mut out = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "probe") {
            let text = std::fs::read_to_string(&path)?;
            if text.lines().any(|l| l.starts_with("recorded ")) {
                out.extend(forms(&std::fs::read_to_string(path.with_extension("ptx"))?));
            }
        }
    }
    Ok(out)
}

/// Forms without a recorded probe, and a kernel that has each.
pub fn without_probe(texts: &Texts) -> std::io::Result<BTreeMap<String, String>> {
    let recorded = recorded()?;
    let mut without: BTreeMap<String, String> = BTreeMap::new();
    for (text, met) in texts.of.values().flatten() {
        for form in forms(text).difference(&recorded) {
            without.entry(form.clone()).or_insert_with(|| met.places.first().cloned().unwrap_or_default());
        }
    }
    Ok(without)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_found_in_texts() {
        let found = forms(
            "    @%p1 shfl.sync.bfly.b32 %r1, %r2, 1, 31, -1;\n  cp.async.cg.shared.global.L2::128B [%r1], [%d1], 16;\n add.f32 a, b, c;",
        );
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["cp.async.cg.shared.global", "shfl.sync.bfly.b32"]);
        let found = forms("wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {%f1}, %d1, %d2, 1, 1, 1, 0, 0;");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["wgmma.mma_async.sync.aligned.m64n*k16.f32.f16.f16"]);
    }
}

//! The texts of the runtime's files, for the generator to copy. Not copied itself.

/// A file under `src`: its path, and its text without tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeFile {
    pub path: &'static str,
    pub text: String,
}

/// The file at a path under `src`.
pub fn file(path: &str) -> Option<RuntimeFile> {
    let (path, text) = FILES.iter().find(|(name, _)| *name == path)?;
    Some(RuntimeFile { path, text: without_tests(text) })
}

/// All paths.
pub fn paths() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(path, _)| *path)
}

macro_rules! files {
    ($($path:literal)*) => {
        const FILES: &[(&str, &str)] = &[$(($path, include_str!($path)),)*];
    };
}

files! {
    "bridge.rs"
    "copy.rs"
    "cpu/conv.rs"
    "cpu/conv_transpose.rs"
    "cpu/depthwise.rs"
    "cpu/each_row.rs"
    "cpu/gemm.rs"
    "cpu/gru.rs"
    "cpu/isa.rs"
    "cpu/lanes.rs"
    "cpu/lstm.rs"
    "cpu/math/erf.rs"
    "cpu/math/exp.rs"
    "cpu/math/inverse.rs"
    "cpu/math/log.rs"
    "cpu/math/mod.rs"
    "cpu/math/power.rs"
    "cpu/math/round.rs"
    "cpu/math/trig.rs"
    "cpu/micro.rs"
    "cpu/micro_avx2.rs"
    "cpu/micro_avx512.rs"
    "cpu/micro_portable.rs"
    "cpu/mod.rs"
    "cpu/narrow.rs"
    "cpu/nms.rs"
    "cpu/pack.rs"
    "cpu/pool.rs"
    "cpu/product.rs"
    "cpu/rnn.rs"
    "cpu/rows.rs"
    "cpu/scalar.rs"
    "cpu/slab.rs"
    "cpu/stem.rs"
    "cpu/tile.rs"
    "cpu/window.rs"
    "crew.rs"
    "datum.rs"
    "engine.rs"
    "error.rs"
    "exchange.rs"
    "gpu/calls.rs"
    "gpu/cudarc_table.rs"
    "gpu/divisor.rs"
    "gpu/driver.rs"
    "gpu/driver_functions.rs"
    "gpu/engine.rs"
    "gpu/enqueue.rs"
    "gpu/fitting.rs"
    "gpu/graphs.rs"
    "gpu/host_steps.rs"
    "gpu/image.rs"
    "gpu/infer.rs"
    "gpu/issue.rs"
    "gpu/kernel_calls.rs"
    "gpu/link.rs"
    "gpu/memory.rs"
    "gpu/mod.rs"
    "gpu/modules.rs"
    "gpu/options.rs"
    "gpu/owned.rs"
    "gpu/params.rs"
    "gpu/pinned.rs"
    "gpu/program.rs"
    "gpu/regions.rs"
    "gpu/segments.rs"
    "gpu/session.rs"
    "gpu/shape.rs"
    "gpu/steps.rs"
    "gpu/tensor_map.rs"
    "gpu/timeline.rs"
    "gpu/verify.rs"
    "half_elements.rs"
    "half_round.rs"
    "memory.rs"
    "sizes.rs"
    "tensor.rs"
    "weights.rs"
}

/// The condition under which this crate has a file that crates for GPUs always have.
const GPU_ONLY: &str = "#[cfg(feature = \"cuda\")]";

/// The condition of a module for tools, which no crate gets.
const TOOL_ONLY: &str = "#[cfg(any(test, feature = \"tool\"))]";

/// Cuts `#[cfg(test)]` modules: those of a file of their own, and one at the end of the file; and conditions of this crate.
fn without_tests(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line == GPU_ONLY {
            continue;
        }
        if line == TOOL_ONLY {
            lines.next();
            continue;
        }
        if line == "#[cfg(test)]" {
            match lines.peek() {
                Some(next) if next.starts_with("mod ") && next.ends_with(';') => {
                    lines.next();
                    continue;
                }
                Some(next) if next.starts_with("mod ") => break,
                _ => {}
            }
        }
        out.push_str(line);
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_cut() {
        let text = "a\n#[cfg(test)]\nmod b_tests;\nmod c;\n\n#[cfg(test)]\nmod tests {\n    x\n}\n";
        assert_eq!(without_tests(text), "a\nmod c;\n");
        assert_eq!(without_tests("#[cfg(feature = \"cuda\")]\nmod d;\n"), "mod d;\n");
        assert_eq!(without_tests("a\n#[cfg(any(test, feature = \"tool\"))]\npub mod e;\nb\n"), "a\nb\n");
    }

    #[test]
    fn every_file_is_listed() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = Vec::new();
        list(&folder, "", &mut found);
        let texts: Vec<String> = found.iter().map(|p| std::fs::read_to_string(folder.join(p)).unwrap()).collect();
        let of_tests = |path: &str| {
            let stem = path.trim_end_matches(".rs").rsplit('/').next().unwrap_or(path);
            texts.iter().any(|t| t.contains(&format!("#[cfg(test)]\nmod {stem};\n")))
        };
        let of_tools = |path: &str| {
            let stem = path.trim_end_matches(".rs").rsplit('/').next().unwrap_or(path);
            texts.iter().any(|t| t.contains(&format!("{TOOL_ONLY}\npub mod {stem};\n")))
        };
        let for_tests = |path: &str| {
            path.starts_with("stand_in") || path.starts_with("gpu_tests") || of_tests(path) || of_tools(path)
        };
        found.retain(|p| p != "lib.rs" && p != "sources.rs" && !for_tests(p));
        found.sort();
        let listed: Vec<String> = paths().map(str::to_string).collect();
        assert_eq!(listed, found, "list them in sources.rs");
    }

    fn list(folder: &std::path::Path, prefix: &str, out: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_name().unwrap().to_string_lossy());
            if path.is_dir() { list(&path, &format!("{name}/"), out) } else { out.push(name) }
        }
    }
}

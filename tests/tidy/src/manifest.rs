//! `Cargo.toml` files, as far as the checks look into them: sections, and the keys of lines `key = …` and `key.… = …`.

use crate::files;

/// A crate of the workspace.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Name of the package.
    pub name: String,
    /// From the root, with `/`.
    pub path: String,
    /// Section and line of every line but comments and blanks.
    pub lines: Vec<(String, String)>,
}

impl Manifest {
    /// Names in a section, in order.
    pub fn keys(&self, section: &str) -> Vec<String> {
        self.lines.iter().filter(|(s, _)| s == section).filter_map(|(_, line)| key(line)).collect()
    }

    /// Names of all packages that it depends on, of any kind and for any target.
    pub fn dependencies(&self) -> Vec<String> {
        let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
        let is_one = |section: &str| kinds.iter().any(|k| section == *k || section.ends_with(&format!(".{k}")));
        let mut out: Vec<String> =
            self.lines.iter().filter(|(s, _)| is_one(s)).filter_map(|(_, line)| key(line)).collect();
        // `[dependencies.name]`
        for (section, _) in &self.lines {
            if let Some((_, name)) = kinds.iter().find_map(|k| section.split_once(&format!("{k}."))) {
                out.push(name.to_string());
            }
        }
        out.sort();
        out.dedup();
        out
    }
}

/// All manifests of the repository but those of examples, which are no part of the workspace.
pub fn manifests() -> Vec<Manifest> {
    let mut out = Vec::new();
    for file in files() {
        let inside = file.path.ends_with("/Cargo.toml") && !file.path.starts_with("examples/");
        let Some(text) = file.text().filter(|_| inside) else { continue };
        let lines = sections(text);
        let name = lines.iter().find(|(s, l)| s == "package" && l.starts_with("name"));
        let name = name.and_then(|(_, l)| l.split('"').nth(1)).unwrap_or_default().to_string();
        out.push(Manifest { name, path: file.path.clone(), lines });
    }
    out
}

/// Section and line of every line but comments and blanks.
pub fn sections(text: &str) -> Vec<(String, String)> {
    let (mut section, mut out) = (String::new(), Vec::new());
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        match line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            Some(name) if !line.contains('=') => section = name.to_string(),
            _ => out.push((section.clone(), line.to_string())),
        }
    }
    out
}

fn key(line: &str) -> Option<String> {
    let (left, _) = line.split_once('=')?;
    Some(left.split('.').next()?.trim().trim_matches('"').to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_of_every_kind() {
        let text = "[package]\nname = \"a\"\n[dependencies]\ngraph.workspace = true\n\n# half = \"1\"\n[dev-dependencies]\n\
                    onnx = { path = \"..\" }\n[target.'cfg(unix)'.dependencies]\nlibc = \"1\"\n[dependencies.half]\nversion = \"2\"\n";
        let manifest = Manifest { name: "a".into(), path: String::new(), lines: sections(text) };
        assert_eq!(manifest.dependencies(), ["graph", "half", "libc", "onnx"]);
        assert_eq!(manifest.keys("package"), ["name"]);
    }
}

//! Crates on disk: written beside the place where they go, then moved into it.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::EmitError;
use crate::model::Files;

/// The line of a manifest that says who made the crate.
pub const MARKER: &str = "[package.metadata.onnx2crate]";

/// Writes the files to a folder. An existing folder is replaced if its manifest has the marker, and refused if not; what
/// cargo built in it is kept.
pub fn write_crate(folder: &Path, files: &Files) -> Result<(), EmitError> {
    let exists = folder.exists();
    if exists && !is_ours(folder) {
        return Err(EmitError::Foreign { path: folder.to_path_buf() });
    }
    let (fresh, old) = (beside(folder, "new"), beside(folder, "old"));
    remove(&fresh)?;
    remove(&old)?;
    write_files(&fresh, files).inspect_err(|_| {
        let _ = fs::remove_dir_all(&fresh);
    })?;
    if exists {
        for kept in ["target", "Cargo.lock"] {
            let from = folder.join(kept);
            if from.exists() {
                fs::rename(&from, fresh.join(kept)).map_err(|e| fail(&from, &e))?;
            }
        }
        fs::rename(folder, &old).map_err(|e| fail(folder, &e))?;
    }
    fs::rename(&fresh, folder).map_err(|e| fail(folder, &e))?;
    remove(&old)
}

/// Writes the files into a folder as it is, for `OUT_DIR`. Files with equal contents stay untouched.
pub fn write_files(folder: &Path, files: &Files) -> Result<(), EmitError> {
    for (name, contents) in files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|e| fail(parent, &e))?;
        let length: u64 = contents.0.iter().map(|p| p.len() as u64).sum();
        if fs::metadata(&path).is_ok_and(|m| m.len() == length)
            && fs::read(&path).is_ok_and(|found| found == contents.to_bytes())
        {
            continue;
        }
        let mut file = fs::File::create(&path).map_err(|e| fail(&path, &e))?;
        for piece in &contents.0 {
            file.write_all(piece).map_err(|e| fail(&path, &e))?;
        }
    }
    Ok(())
}

/// Whether a folder is empty or holds a crate of ours.
fn is_ours(folder: &Path) -> bool {
    let manifest = fs::read_to_string(folder.join("Cargo.toml"));
    if manifest.is_ok_and(|text| text.lines().any(|l| l.trim() == MARKER)) {
        return true;
    }
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

fn beside(folder: &Path, kind: &str) -> PathBuf {
    let mut name: OsString = folder.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{kind}-{}", std::process::id()));
    folder.with_file_name(name)
}

fn remove(folder: &Path) -> Result<(), EmitError> {
    match fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(fail(folder, &e)),
    }
}

fn fail(path: &Path, error: &std::io::Error) -> EmitError {
    EmitError::File { path: path.to_path_buf(), what: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Contents;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("o2c-write-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn files(text: &str) -> Files {
        let manifest = format!("[package]\n{MARKER}\n");
        let mut files = Files::new();
        files.insert("Cargo.toml".to_string(), Contents::text(manifest));
        files.insert("src/lib.rs".to_string(), Contents::text(text.to_string()));
        files
    }

    #[test]
    fn our_folder_is_replaced_and_keeps_what_cargo_built() {
        let folder = scratch("ours");
        write_crate(&folder, &files("one")).unwrap();
        fs::create_dir_all(folder.join("target")).unwrap();
        fs::write(folder.join("src/stale.rs"), "x").unwrap();
        write_crate(&folder, &files("two")).unwrap();
        assert_eq!(fs::read_to_string(folder.join("src/lib.rs")).unwrap(), "two");
        assert!(folder.join("target").is_dir() && !folder.join("src/stale.rs").exists());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_foreign_folder_is_refused() {
        let folder = scratch("foreign");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("Cargo.toml"), "[package]\n").unwrap();
        assert!(matches!(write_crate(&folder, &files("x")), Err(EmitError::Foreign { .. })));
        fs::remove_dir_all(&folder).unwrap();
    }
}

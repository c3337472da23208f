//! Crates on disk: written beside the place where they go, then moved into it.

mod disk;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::EmitError;
use crate::model::Files;
use crate::write::disk::{Disk, System};

/// The line of a manifest that says who made the crate.
pub const MARKER: &str = "[package.metadata.onnx2crate]";

/// What cargo makes in a crate's folder, and a new crate in its place keeps.
const KEPT: [&str; 2] = ["target", "Cargo.lock"];

/// Writes the files to a folder. An existing folder is replaced if its manifest has the marker, and refused if not; what
/// cargo built in it is kept. After an error everything is as before.
pub fn write_crate(folder: &Path, files: &Files) -> Result<(), EmitError> {
    write_crate_on(&mut System, folder, files)
}

/// Writes the files into a folder as it is, for `OUT_DIR`. Files with equal contents stay untouched.
pub fn write_files(folder: &Path, files: &Files) -> Result<(), EmitError> {
    write_files_on(&mut System, folder, files)
}

fn write_crate_on(disk: &mut impl Disk, folder: &Path, files: &Files) -> Result<(), EmitError> {
    let exists = folder.exists();
    if exists && !is_ours(folder) {
        return Err(EmitError::Foreign { path: folder.to_path_buf() });
    }
    // A link stays one, and `.` has a name.
    let folder = match exists {
        true => fs::canonicalize(folder).map_err(|e| fail(folder, &e))?,
        false => folder.to_path_buf(),
    };
    let (fresh, old) = (beside(&folder, "new"), beside(&folder, "old"));
    remove(disk, &fresh)?;
    remove(disk, &old)?;
    let parents: Vec<&Path> =
        fresh.ancestors().skip(1).take_while(|p| !p.as_os_str().is_empty() && !p.exists()).collect();
    let placed = write_files_on(disk, &fresh, files).and_then(|()| place(disk, &folder, &fresh, &old, exists));
    if placed.is_err() {
        let _ = disk.remove(&fresh);
        for parent in parents {
            let _ = fs::remove_dir(parent);
        }
    }
    placed?;
    if exists { remove(disk, &old) } else { Ok(()) }
}

/// Moves the new crate into place. If a step fails, those before it are undone.
fn place(disk: &mut impl Disk, folder: &Path, fresh: &Path, old: &Path, exists: bool) -> Result<(), EmitError> {
    let mut moves = vec![(fresh.to_path_buf(), folder.to_path_buf())];
    if exists {
        moves.insert(0, (folder.to_path_buf(), old.to_path_buf()));
        let kept = KEPT.iter().filter(|name| folder.join(name).exists());
        moves.extend(kept.map(|name| (old.join(name), folder.join(name))));
    }
    for (done, (from, to)) in moves.iter().enumerate() {
        if let Err(error) = disk.rename(from, to) {
            for (from, to) in moves.iter().take(done).rev() {
                let _ = disk.rename(to, from);
            }
            return Err(fail(from, &error));
        }
    }
    Ok(())
}

fn write_files_on(disk: &mut impl Disk, folder: &Path, files: &Files) -> Result<(), EmitError> {
    for (name, contents) in files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        disk.make(parent).map_err(|e| fail(parent, &e))?;
        let length: u64 = contents.0.iter().map(|p| p.len() as u64).sum();
        if fs::metadata(&path).is_ok_and(|m| m.len() == length)
            && fs::read(&path).is_ok_and(|found| found == contents.to_bytes())
        {
            continue;
        }
        disk.write(&path, &contents.0).map_err(|e| fail(&path, &e))?;
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

fn remove(disk: &mut impl Disk, folder: &Path) -> Result<(), EmitError> {
    match disk.remove(folder) {
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
    use std::collections::BTreeMap;

    use super::disk::Failing;
    use super::*;
    use crate::model::Contents;

    fn scratch(name: &str) -> PathBuf {
        let folder =
            fs::canonicalize(std::env::temp_dir()).unwrap().join(format!("o2c-write-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn files(text: &str) -> Files {
        let manifest = format!("[package]\n{MARKER}\n");
        let mut files = Files::new();
        files.insert("Cargo.toml".to_string(), Contents::text(manifest));
        files.insert("src/lib.rs".to_string(), Contents::text(text.to_string()));
        files.insert("src/plan.rs".to_string(), Contents::text(text.repeat(2)));
        files
    }

    /// Every path below a folder with its contents.
    fn everything(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut out = BTreeMap::new();
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            out.extend(everything(&path));
            let contents = if path.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
            out.insert(path, contents);
        }
        out
    }

    /// A folder, with a crate `engine` of ours that cargo has built where `exists`; and everything in it.
    fn before(name: &str, exists: bool) -> (PathBuf, BTreeMap<PathBuf, Vec<u8>>) {
        let root = scratch(name);
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("neighbour"), "theirs").unwrap();
        if exists {
            write_crate(&root.join("engine"), &files("old")).unwrap();
            fs::create_dir_all(root.join("engine/target")).unwrap();
            for kept in ["engine/target/built", "engine/Cargo.lock"] {
                fs::write(root.join(kept), kept).unwrap();
            }
        }
        let all = everything(&root);
        (root, all)
    }

    #[test]
    fn our_folder_is_replaced_and_keeps_what_cargo_built() {
        let (root, mut expected) = before("ours", true);
        fs::write(root.join("engine/src/stale.rs"), "x").unwrap();
        write_crate(&root.join("engine"), &files("new")).unwrap();
        expected.insert(root.join("engine/src/lib.rs"), b"new".to_vec());
        expected.insert(root.join("engine/src/plan.rs"), b"newnew".to_vec());
        assert_eq!(everything(&root), expected);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_foreign_folder_is_refused() {
        let folder = scratch("foreign");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("Cargo.toml"), "[package]\n").unwrap();
        assert!(matches!(write_crate(&folder, &files("x")), Err(EmitError::Foreign { .. })));
        let file = folder.join("Cargo.toml");
        assert!(matches!(write_crate(&file, &files("x")), Err(EmitError::Foreign { .. })));
        assert_eq!(everything(&folder), [(file, b"[package]\n".to_vec())].into());
        fs::remove_dir_all(&folder).unwrap();
    }

    /// Lets each step fail in turn: each time everything is as before, and what fails is named.
    #[test]
    fn a_step_that_fails_changes_nothing() {
        for (exists, out) in [(false, "engine"), (false, "some/where/engine"), (true, "engine")] {
            let (root, expected) = before("fails", exists);
            let mut step = 0;
            loop {
                let mut disk = Failing::at(step, false);
                let outcome = write_crate_on(&mut disk, &root.join(out), &files("new"));
                // The last step takes what was there before away, when the new crate is in place.
                if disk.steps <= step || disk.failed_last(&root, "engine.old") {
                    break;
                }
                let error = outcome.expect_err("the step failed").to_string();
                assert!(error.contains("engine") && error.contains("disk is full"), "{error}");
                assert_eq!(everything(&root), expected, "{out}: step {step}");
                step += 1;
            }
            assert!(step >= if exists { 12 } else { 8 }, "{step} steps");
            fs::remove_dir_all(&root).unwrap();
        }
    }

    /// Ends at each step, as a process that is killed: a whole crate, old or new, is in place, or the old one is whole beside
    /// it; the next call writes the new one.
    #[test]
    fn what_is_killed_loses_no_crate() {
        let (root, _) = before("killed", true);
        let folder = root.join("engine");
        let at = |folder: &Path| everything(folder).into_values().collect::<Vec<_>>();
        let (old_crate, mut step) = (at(&folder), 0);
        loop {
            let mut disk = Failing::at(step, true);
            let outcome = write_crate_on(&mut disk, &folder, &files("new"));
            if disk.steps <= step {
                outcome.unwrap();
                break;
            }
            let aside = beside(&folder, "old");
            let text = |folder: &Path, file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
            let whole = |folder: &Path, word: &str| {
                text(folder, "src/lib.rs") == word && text(folder, "src/plan.rs") == word.repeat(2)
            };
            assert!(
                at(&folder) == old_crate || (!folder.exists() && at(&aside) == old_crate) || whole(&folder, "new"),
                "step {step}: {:?}",
                everything(&root)
            );
            write_crate(&folder, &files("new")).unwrap();
            assert!(whole(&folder, "new"), "step {step}");
            fs::remove_dir_all(&root).unwrap();
            before("killed", true);
            step += 1;
        }
        assert!(step >= 12, "{step} steps");
        fs::remove_dir_all(&root).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_one() {
        let (root, _) = before("link", true);
        std::os::unix::fs::symlink("engine", root.join("link")).unwrap();
        write_crate(&root.join("link"), &files("new")).unwrap();
        assert_eq!(fs::read_to_string(root.join("engine/src/lib.rs")).unwrap(), "new");
        assert!(fs::symlink_metadata(root.join("link")).unwrap().is_symlink());
        fs::remove_dir_all(&root).unwrap();
    }
}

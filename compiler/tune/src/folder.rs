//! The lock folder: `tuning.toml`, and the kernels that a driver linked, as `cubin/TARGET-HASH.cubin`.
//!
//! A file is written beside its place and moved there, so that whoever stops the program leaves a valid lock. The hash is of
//! the PTX text: changed text finds no cubin.

use std::path::{Path, PathBuf};

use crate::error::LockError;
use crate::lock::{FORMAT, Lock, TextError};

/// A lock on disk.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder at a path; it may not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Folder {
        Folder { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lock in the folder; an empty one if there is no folder.
    pub fn load(&self) -> Result<Lock, LockError> {
        let path = self.path.join("tuning.toml");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Lock::default()),
            Err(source) => return Err(LockError::File { path, source }),
        };
        Lock::from_text(&text).map_err(|e| match e {
            TextError::Malformed(why) => LockError::Text { path, why },
            TextError::Format(found) => LockError::Format { path, found, expected: FORMAT },
        })
    }

    /// Replaces the lock in the folder.
    pub fn save(&self, lock: &Lock) -> Result<(), LockError> {
        write(&self.path.join("tuning.toml"), lock.to_text()?.as_bytes())
    }

    /// The linked kernel for a target and a PTX text, if it is there.
    pub fn cubin(&self, target: &str, ptx: &str) -> Result<Option<Vec<u8>>, LockError> {
        let path = self.cubin_path(target, ptx);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LockError::File { path, source }),
        }
    }

    /// Keeps a linked kernel.
    pub fn keep_cubin(&self, target: &str, ptx: &str, cubin: &[u8]) -> Result<(), LockError> {
        write(&self.cubin_path(target, ptx), cubin)
    }

    /// Files of linked kernels of a target whose text is none of these.
    pub fn unused(&self, target: &str, texts: &[&str]) -> Result<Vec<PathBuf>, LockError> {
        let wanted: Vec<PathBuf> = texts.iter().map(|t| self.cubin_path(target, t)).collect();
        let folder = self.path.join("cubin");
        let prefix = format!("{target}-");
        let listing = match std::fs::read_dir(&folder) {
            Ok(listing) => listing,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(LockError::File { path: folder, source }),
        };
        let mut unused = Vec::new();
        for entry in listing {
            let path = entry.map_err(|source| LockError::File { path: folder.clone(), source })?.path();
            let named = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&prefix));
            if named && !wanted.contains(&path) {
                unused.push(path);
            }
        }
        unused.sort();
        Ok(unused)
    }

    /// Removes what [`Folder::unused`] yields; says how many.
    pub fn prune(&self, target: &str, texts: &[&str]) -> Result<usize, LockError> {
        let unused = self.unused(target, texts)?;
        for path in &unused {
            std::fs::remove_file(path).map_err(|source| LockError::File { path: path.clone(), source })?;
        }
        Ok(unused.len())
    }

    fn cubin_path(&self, target: &str, ptx: &str) -> PathBuf {
        self.path.join("cubin").join(format!("{target}-{}.cubin", hash_of(ptx)))
    }
}

/// First half of the BLAKE3 hash of a text, in hexadecimal digits.
pub fn hash_of(ptx: &str) -> String {
    blake3::hash(ptx.as_bytes()).to_hex().chars().take(32).collect()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), LockError> {
    let failed = |source| LockError::File { path: path.to_path_buf(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let beside = path.with_extension("part");
    std::fs::write(&beside, bytes).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{Entry, ProblemKey};

    #[test]
    fn a_lock_is_read_as_it_was_saved() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path().join("lock"));
        assert_eq!(folder.load().unwrap(), Lock::default());
        let mut lock = Lock::default();
        let key = ProblemKey { target: "t".to_string(), family: "f".to_string(), key: "k".to_string() };
        lock.problems.insert(key, Entry { revision: 1, variant: "v".to_string(), nanoseconds: None });
        folder.save(&lock).unwrap();
        assert_eq!(folder.load().unwrap(), lock);
    }

    #[test]
    fn cubins_are_found_by_target_and_text() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path());
        folder.keep_cubin("sm_80", "text", b"linked").unwrap();
        assert_eq!(folder.cubin("sm_80", "text").unwrap().as_deref(), Some(&b"linked"[..]));
        assert_eq!(folder.cubin("sm_90a", "text").unwrap(), None);
        assert_eq!(folder.cubin("sm_80", "other text").unwrap(), None);
        assert_eq!(folder.prune("sm_80", &["text"]).unwrap(), 0);
        assert_eq!(folder.unused("sm_80", &["other text"]).unwrap().len(), 1);
        assert_eq!(folder.prune("sm_90a", &[]).unwrap(), 0);
        assert_eq!(folder.prune("sm_80", &[]).unwrap(), 1);
        assert_eq!(folder.cubin("sm_80", "text").unwrap(), None);
    }

    #[test]
    fn a_broken_lock_is_named() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("tuning.toml"), "format = 7").unwrap();
        let error = Folder::new(place.path()).load().unwrap_err().to_string();
        assert!(error.contains("tuning.toml has format 7, this tool reads format 1"), "{error}");
    }
}

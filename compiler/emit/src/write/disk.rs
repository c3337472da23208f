//! The steps of writing that change a disk, so that tests can let each of them fail.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;

/// What writing a crate does.
pub trait Disk {
    /// Makes a folder and those above it.
    fn make(&mut self, folder: &Path) -> io::Result<()>;
    /// Writes a file of these pieces.
    fn write(&mut self, path: &Path, pieces: &[Bytes]) -> io::Result<()>;
    /// Moves a file or a folder.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a folder with everything in it.
    fn remove(&mut self, folder: &Path) -> io::Result<()>;
}

/// The disk as it is.
pub struct System;

impl Disk for System {
    fn make(&mut self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    fn write(&mut self, path: &Path, pieces: &[Bytes]) -> io::Result<()> {
        let mut file = File::create(path)?;
        pieces.iter().try_for_each(|piece| file.write_all(piece))
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&mut self, folder: &Path) -> io::Result<()> {
        fs::remove_dir_all(folder)
    }
}

/// A disk that is full at one step, or from it on; a file that is being written then is cut off.
#[cfg(test)]
pub struct Failing {
    /// Steps so far.
    pub steps: usize,
    at: usize,
    and_later: bool,
    /// What the step that failed was about.
    failed: std::path::PathBuf,
}

#[cfg(test)]
impl Failing {
    pub fn at(step: usize, and_later: bool) -> Failing {
        Failing { steps: 0, at: step, and_later, failed: std::path::PathBuf::new() }
    }

    /// Whether what failed was to take away the folder whose name begins so, after something else had been done with it.
    pub fn failed_last(&self, root: &Path, name: &str) -> bool {
        let parent = self.failed.parent() == Some(root);
        let file = self.failed.file_name().unwrap_or_default().to_string_lossy();
        parent && file.starts_with(name) && self.at > 1
    }

    fn step(&mut self, about: &Path) -> io::Result<()> {
        let step = self.steps;
        self.steps += 1;
        if step == self.at || (self.and_later && step > self.at) {
            self.failed = about.to_path_buf();
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is full"));
        }
        Ok(())
    }
}

#[cfg(test)]
impl Disk for Failing {
    fn make(&mut self, folder: &Path) -> io::Result<()> {
        self.step(folder)?;
        System.make(folder)
    }

    fn write(&mut self, path: &Path, pieces: &[Bytes]) -> io::Result<()> {
        self.step(path).inspect_err(|_| {
            if let Some(piece) = pieces.first() {
                let _ = System.write(path, &[piece.slice(..piece.len() / 2)]);
            }
        })?;
        System.write(path, pieces)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(from)?;
        System.rename(from, to)
    }

    fn remove(&mut self, folder: &Path) -> io::Result<()> {
        self.step(folder)?;
        System.remove(folder)
    }
}

//! External data: the one place that opens a file because a model says so.
//!
//! A location is a relative path below the model's folder, taken component by component: no `..`, nothing absolute, no
//! symbolic link anywhere below the folder, a regular file with one hard link. The file that was opened is compared with
//! the one that was looked at, before and after. Offset and length are checked against the file before anything is
//! allocated; a file is mapped once, and tensors are slices of it.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::mapped;
use crate::problem::{Code, Fault};
use crate::proto::StringStringEntryProto;

/// Keys of `TensorProto.external_data`. A checksum is not verified, a base path not followed.
const KEYS: [&str; 5] = ["location", "offset", "length", "checksum", "basepath"];

/// The external data files of a model.
pub struct ExternalFiles {
    /// The model's folder; none for a model that came as bytes.
    folder: Option<PathBuf>,
    allow_links: bool,
    open: BTreeMap<String, Bytes>,
}

impl ExternalFiles {
    /// No file is open yet.
    pub fn new(folder: Option<&Path>, allow_links: bool) -> ExternalFiles {
        ExternalFiles { folder: folder.map(Path::to_path_buf), allow_links, open: BTreeMap::new() }
    }

    /// The bytes that `entries` describe, which must be `expected` many.
    pub fn read(&mut self, entries: &[StringStringEntryProto], expected: usize) -> Result<Bytes, Fault> {
        let entry = Entry::parse(entries)?;
        let about = format!("external data {:?}", entry.location);
        if let Some(length) = entry.length
            && length != expected as u64
        {
            return Err(
                Fault::new(Code::DataLength, format!("{expected} bytes"), format!("length {length}")).about(about)
            );
        }
        let data = match self.open.get(entry.location) {
            Some(data) => data.clone(),
            None => {
                let file = self.open_contained(entry.location).map_err(|f| f.about(about.clone()))?;
                let data = mapped::contents(file)
                    .map_err(|e| Fault::new(Code::Location, "a readable file", e.to_string()).about(about.clone()))?;
                self.open.insert(entry.location.to_string(), data.clone());
                data
            }
        };
        let range = usize::try_from(entry.offset)
            .ok()
            .and_then(|start| start.checked_add(expected).map(|end| start..end))
            .filter(|range| range.end <= data.len());
        match range {
            Some(range) => Ok(data.slice(range)),
            None => {
                let found = format!("{expected} bytes at offset {} of {}", entry.offset, data.len());
                Err(Fault::new(Code::Bounds, "bytes inside the file", found).about(about))
            }
        }
    }

    /// Opens a file below the model's folder.
    fn open_contained(&self, location: &str) -> Result<File, Fault> {
        let folder = self.folder.as_deref().ok_or_else(|| {
            Fault::new(Code::Location, "a model that is read from a file", "a model without a folder")
        })?;
        let parts = components(location)?;
        let before = self.walk(folder, &parts)?;
        let path = parts.iter().fold(folder.to_path_buf(), |p, part| p.join(part));
        let file = File::open(&path).map_err(io_fault)?;
        let opened = file.metadata().map_err(io_fault)?;
        let after = self.walk(folder, &parts)?;
        if !same_file(&before, &opened) || !same_file(&after, &opened) {
            return Err(Fault::new(Code::Link, "the file that was looked at", "another one in its place"));
        }
        self.check_file(&opened)?;
        Ok(file)
    }

    /// Looks at every component; yields what is known of the file.
    fn walk(&self, folder: &Path, parts: &[&str]) -> Result<Metadata, Fault> {
        let mut path = folder.to_path_buf();
        for (depth, part) in parts.iter().enumerate() {
            path.push(part);
            let mut metadata = std::fs::symlink_metadata(&path).map_err(io_fault)?;
            if metadata.is_symlink() {
                if !self.allow_links {
                    return Err(Fault::new(Code::Link, "no symbolic link", format!("{part:?} is one")));
                }
                metadata = std::fs::metadata(&path).map_err(io_fault)?;
            }
            if depth + 1 == parts.len() {
                self.check_file(&metadata)?;
                return Ok(metadata);
            }
            if !metadata.is_dir() {
                return Err(Fault::new(Code::Location, "a folder", format!("{part:?} is none")));
            }
        }
        Err(Fault::new(Code::Location, "the name of a file", "nothing"))
    }

    fn check_file(&self, metadata: &Metadata) -> Result<(), Fault> {
        if !metadata.is_file() {
            return Err(Fault::new(Code::Location, "a regular file", "something else"));
        }
        let links = link_count(metadata);
        if links > 1 && !self.allow_links {
            return Err(Fault::new(Code::Link, "a file with one hard link", format!("{links} links")));
        }
        Ok(())
    }
}

/// The values of the whitelisted keys.
struct Entry<'a> {
    location: &'a str,
    offset: u64,
    length: Option<u64>,
}

impl<'a> Entry<'a> {
    fn parse(entries: &'a [StringStringEntryProto]) -> Result<Entry<'a>, Fault> {
        let mut values: BTreeMap<&str, &str> = BTreeMap::new();
        for entry in entries {
            let (key, value) = (entry.key(), entry.value());
            if !KEYS.contains(&key) {
                let expected = format!("one of {}", KEYS.join(", "));
                return Err(Fault::new(Code::ExternalKeys, expected, format!("key {key:?}")).about("external data"));
            }
            if values.insert(key, value).is_some() {
                let found = format!("{key:?} twice");
                return Err(Fault::new(Code::ExternalKeys, "each key once", found).about("external data"));
            }
        }
        let number = |key: &str| match values.get(key) {
            None => Ok(None),
            Some(text) => text.parse::<u64>().map(Some).map_err(|_| {
                Fault::new(Code::ExternalKeys, "a number of 0 or more", format!("{key} {text:?}"))
                    .about("external data")
            }),
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let location = values
            .get("location")
            .copied()
            .ok_or_else(|| Fault::new(Code::ExternalKeys, "a location", "none").about("external data"))?;
        Ok(Entry { location, offset, length })
    }
}

/// The names a location consists of. What another platform reads as a separator or a drive is refused on all.
fn components(location: &str) -> Result<Vec<&str>, Fault> {
    let refuse = |found: &str| Err(Fault::new(Code::Location, "a relative path below the model's folder", found));
    if location.starts_with('/') {
        return refuse("an absolute path");
    }
    if location.contains(['\\', ':', '\0']) {
        return refuse("a path with a backslash, colon or zero byte");
    }
    let mut parts = Vec::new();
    for part in location.split('/') {
        match part {
            "" => return refuse("an empty component"),
            ".." => return refuse("`..`"),
            "." => {}
            name => parts.push(name),
        }
    }
    if parts.is_empty() { refuse("no file name") } else { Ok(parts) }
}

fn io_fault(error: std::io::Error) -> Fault {
    Fault::new(Code::Location, "a readable file", error.to_string())
}

#[cfg(unix)]
fn same_file(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(unix)]
fn link_count(metadata: &Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    metadata.nlink()
}

// Other hosts show neither the identity of a file nor its links in stable Rust: length and time stand in.
#[cfg(not(unix))]
fn same_file(a: &Metadata, b: &Metadata) -> bool {
    a.len() == b.len() && a.modified().ok() == b.modified().ok()
}

#[cfg(not(unix))]
fn link_count(_: &Metadata) -> u64 {
    1
}

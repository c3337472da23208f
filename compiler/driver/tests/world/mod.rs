//! A folder for models that are wrong, with what they must not reach.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A folder with `model/` (the model and its data), `secret/` beside it, which nothing may read, `engine`, a crate of ours, and
/// `temporary` for temporary files.
pub struct World {
    pub root: PathBuf,
    /// Whether the file system tells that a file was read.
    pub sees_reads: bool,
}

const SECRET: &str = "secret/weights.bin";

impl World {
    /// A fresh one.
    pub fn new(name: &str) -> World {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&root);
        for folder in ["model/inside", "secret", "temporary"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in ["model/w.bin", "model/inside/w.bin"] {
            fs::write(root.join(file), [0x3F; 16]).unwrap();
        }
        fs::write(root.join(SECRET), [0x40; 16]).unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("../secret/weights.bin", root.join("model/link.bin")).unwrap();
            std::os::unix::fs::symlink("../secret", root.join("model/up")).unwrap();
        }
        fs::hard_link(root.join(SECRET), root.join("model/hard.bin")).unwrap();
        let mut world = World { root, sees_reads: false };
        world.forget_reads();
        fs::read(world.root.join(SECRET)).unwrap();
        world.sees_reads = world.was_read();
        if !world.sees_reads {
            println!("skipped: this file system keeps no times of access, so reading outside the folder is not seen");
        }
        world
    }

    /// Sets the secret's time of access far back; the next read moves it.
    pub fn forget_reads(&self) {
        let file = File::options().write(true).open(self.root.join(SECRET)).unwrap();
        file.set_times(FileTimes::new().set_accessed(Self::long_ago())).unwrap();
    }

    /// Whether the secret was read since.
    pub fn was_read(&self) -> bool {
        fs::metadata(self.root.join(SECRET)).unwrap().accessed().unwrap() != Self::long_ago()
    }

    fn long_ago() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
    }

    /// Every path below the folder with its contents; of links, where they lead.
    pub fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let (mut out, mut folders) = (BTreeMap::new(), vec![self.root.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let kind = fs::symlink_metadata(&path).unwrap();
                let contents = if kind.is_symlink() {
                    fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
                } else if kind.is_dir() {
                    folders.push(path.clone());
                    Vec::new()
                } else {
                    fs::read(&path).unwrap()
                };
                out.insert(path, contents);
            }
        }
        out
    }
}

//! The weights of a model: embedded in the program, or a file that is mapped (read, where the system cannot map).
//! One of the few files with `unsafe` code.
//!
//! A weight file is a header of 256 bytes, then tensors at multiples of 256 bytes:
//!
//! ```text
//! 0..8 "o2cw" 0 0 0 1 │ 8..16 length of the file │ 16..24 checksum of everything after the header │ 24..256 zero
//! ```

#![allow(unsafe_code, reason = "a mapped file and an embedded symbol; each block says why it is sound")]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::{Error, StepError};
use super::memory::{Element, Memory, typed};

/// Bytes before the first tensor, and the boundary that tensors lie at.
pub const HEADER: usize = 256;

/// First bytes of a weight file.
pub const MAGIC: [u8; 8] = *b"o2cw\0\0\0\x01";

/// What the weights of a model must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Bytes of the file, header included.
    pub bytes: usize,
    /// Of everything after the header.
    pub checksum: u64,
}

/// The weights of a model.
#[derive(Debug)]
pub enum Weights {
    /// In the program.
    Embedded(&'static [u8]),
    /// Read into memory.
    Read(Memory),
    /// Mapped into memory.
    #[cfg(all(unix, target_pointer_width = "64"))]
    Mapped(Map),
    /// One of the others, and what is made of its lines: tensors behind its last byte.
    Filled(Box<(Weights, Memory)>),
}

/// Bytes of a line that fills repeat.
pub const LINE: usize = 64;

/// So many copies of one line of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Copies.
    pub lines: usize,
    /// Where the line is, in bytes.
    pub from: usize,
}

impl Weights {
    /// The weights of a model that has none.
    pub fn none() -> Weights {
        Weights::Embedded(&[])
    }

    /// Weights in the program; only the header is looked at.
    pub fn embedded(bytes: &'static [u8], manifest: Manifest) -> Result<Weights, Error> {
        check_header(bytes, manifest).map_err(|what| fail("embedded", what))?;
        Ok(Weights::Embedded(bytes))
    }

    /// Weights in a file, which is checked as a whole.
    pub fn from_path(path: &Path, manifest: Manifest) -> Result<Weights, Error> {
        open(path, manifest).map_err(|what| fail(&path.display().to_string(), what))
    }

    /// Weights in the first of these files that exists.
    pub fn find(places: &[PathBuf], manifest: Manifest) -> Result<Weights, Error> {
        match places.iter().find(|p| p.is_file()) {
            Some(path) => Weights::from_path(path, manifest),
            None => {
                let tried: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
                Err(fail(&tried.join(", "), "no such file; pass its path in the options".to_string()))
            }
        }
    }

    /// With tensors of repeated lines, one fill after the other; they lie behind the last byte of the file.
    pub fn filled(self, fills: &[Fill]) -> Result<Weights, Error> {
        if fills.is_empty() {
            return Ok(self);
        }
        let lines = fills.iter().try_fold(0usize, |sum, f| sum.checked_add(f.lines));
        let bytes = lines.and_then(|l| l.checked_mul(LINE)).unwrap_or(usize::MAX);
        let mut memory = Memory::zeroed(bytes).map_err(StepError::at_border)?;
        let mut slots = memory.bytes_mut().as_chunks_mut::<LINE>().0.iter_mut();
        for fill in fills {
            let line = self.bytes().get(fill.from..).and_then(|rest| rest.first_chunk::<LINE>());
            let line = line.ok_or_else(|| fail("fills", format!("no line at byte {}", fill.from)))?;
            slots.by_ref().take(fill.lines).for_each(|slot| *slot = *line);
        }
        Ok(Weights::Filled(Box::new((self, memory))))
    }

    /// The bytes of the file, header included, and those behind it.
    pub fn parts(&self) -> [&[u8]; 2] {
        match self {
            Weights::Filled(both) => [both.0.bytes(), both.1.bytes()],
            _ => [self.bytes(), &[]],
        }
    }

    /// All bytes of the file, header included.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Weights::Filled(both) => both.0.bytes(),
            Weights::Embedded(bytes) => bytes,
            Weights::Read(memory) => memory.bytes(),
            #[cfg(all(unix, target_pointer_width = "64"))]
            Weights::Mapped(map) => map.bytes(),
        }
    }

    /// One tensor: `count` elements from byte `offset` on.
    pub fn part<T: Element>(&self, offset: usize, count: usize) -> Result<&[T], StepError> {
        let bytes = count.saturating_mul(size_of::<T>());
        let (all, start) = match self {
            Weights::Filled(both) if offset >= both.0.bytes().len() => (both.1.bytes(), offset - both.0.bytes().len()),
            _ => (self.bytes(), offset),
        };
        let refused = StepError::Span { start, bytes, memory: all.len() };
        let end = start.checked_add(bytes).ok_or(refused.clone())?;
        typed(all.get(start..end).ok_or(refused)?)
    }
}

fn fail(place: &str, what: String) -> Error {
    Error::Weights { place: place.to_string(), what }
}

fn open(path: &Path, manifest: Manifest) -> Result<Weights, String> {
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    if usize::try_from(length) != Ok(manifest.bytes) {
        return Err(format!("expected {} bytes, found {length}", manifest.bytes));
    }
    #[cfg(all(unix, target_pointer_width = "64"))]
    if let Some(map) = Map::of(&file, manifest.bytes) {
        check(map.bytes(), manifest)?;
        return Ok(Weights::Mapped(map));
    }
    let mut memory = Memory::zeroed(manifest.bytes).map_err(|e| e.to_string())?;
    file.read_exact(memory.bytes_mut()).map_err(|e| e.to_string())?;
    check(memory.bytes(), manifest)?;
    Ok(Weights::Read(memory))
}

fn check_header(bytes: &[u8], manifest: Manifest) -> Result<(), String> {
    if bytes.len() != manifest.bytes {
        return Err(format!("expected {} bytes, found {}", manifest.bytes, bytes.len()));
    }
    if bytes.get(..HEADER) == Some(&header(manifest)[..]) {
        return Ok(());
    }
    Err("not the weights of this model: header differs".to_string())
}

fn check(bytes: &[u8], manifest: Manifest) -> Result<(), String> {
    check_header(bytes, manifest)?;
    let found = checksum(bytes.get(HEADER..).unwrap_or(&[]));
    if found == manifest.checksum {
        return Ok(());
    }
    Err(format!("damaged: expected checksum {:016x}, found {found:016x}", manifest.checksum))
}

/// The header of a weight file.
pub fn header(manifest: Manifest) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    let fields = [MAGIC, (manifest.bytes as u64).to_le_bytes(), manifest.checksum.to_le_bytes()];
    for (slot, byte) in out.iter_mut().zip(fields.iter().flatten()) {
        *slot = *byte;
    }
    out
}

const FACTORS: [u64; 4] = [0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 0x27D4_EB2F_1656_67C5];

/// A checksum against damage, not against intent: four lanes of multiply and rotate over 8-byte words.
#[derive(Clone, Copy, Debug)]
pub struct Checksum {
    lanes: [u64; 4],
    bytes: u64,
}

impl Default for Checksum {
    fn default() -> Checksum {
        Checksum { lanes: FACTORS, bytes: 0 }
    }
}

impl Checksum {
    /// Adds bytes; every call but the last must add a multiple of 32.
    pub fn add(&mut self, bytes: &[u8]) {
        for block in bytes.chunks(32) {
            for ((lane, factor), word) in self.lanes.iter_mut().zip(FACTORS).zip(block.chunks(8)) {
                let mut padded = [0; 8];
                for (slot, byte) in padded.iter_mut().zip(word) {
                    *slot = *byte;
                }
                *lane = (*lane ^ u64::from_le_bytes(padded)).wrapping_mul(factor).rotate_left(29);
            }
        }
        self.bytes = self.bytes.wrapping_add(bytes.len() as u64);
    }

    /// The checksum of everything added.
    pub fn finish(&self) -> u64 {
        let start = self.bytes.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mix =
            |sum: u64, lane: &u64| (sum ^ lane ^ (lane >> 32)).wrapping_mul(0xC2B2_AE3D_27D4_EB4F).rotate_left(31);
        self.lanes.iter().fold(start, mix)
    }
}

/// The checksum of these bytes.
pub fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = Checksum::default();
    sum.add(bytes);
    sum.finish()
}

/// A file in memory, read only.
#[cfg(all(unix, target_pointer_width = "64"))]
#[derive(Debug)]
pub struct Map {
    start: std::ptr::NonNull<u8>,
    len: usize,
}

// SAFETY: the mapped bytes are never written by this program.
#[cfg(all(unix, target_pointer_width = "64"))]
unsafe impl Send for Map {}

// SAFETY: as above.
#[cfg(all(unix, target_pointer_width = "64"))]
unsafe impl Sync for Map {}

#[cfg(all(unix, target_pointer_width = "64"))]
unsafe extern "C" {
    fn mmap(at: *mut u8, len: usize, protection: i32, flags: i32, file: i32, offset: i64) -> *mut u8;
    fn munmap(at: *mut u8, len: usize) -> i32;
}

#[cfg(all(unix, target_pointer_width = "64"))]
impl Map {
    fn of(file: &File, len: usize) -> Option<Map> {
        use std::os::fd::AsRawFd;
        const READ: i32 = 1;
        const PRIVATE: i32 = 2;
        if len == 0 {
            return None;
        }
        // SAFETY: a fresh private read-only mapping of an open file of at least `len` bytes, at an address of the system's
        // choice. The contract of `--weights file` is that nobody shortens the file while the program runs.
        let start = unsafe { mmap(std::ptr::null_mut(), len, READ, PRIVATE, file.as_raw_fd(), 0) };
        if start.addr() == usize::MAX {
            return None;
        }
        std::ptr::NonNull::new(start).map(|start| Map { start, len })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: `len` readable bytes are mapped at `start` until drop.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

#[cfg(all(unix, target_pointer_width = "64"))]
impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: mapped by `of` with this length, and no view outlives `self`.
        let _ = unsafe { munmap(self.start.as_ptr(), self.len) };
    }
}

/// Bytes at a 256-byte boundary.
#[repr(C, align(256))]
pub struct Aligned<const N: usize>(pub [u8; N]);

/// Items that give `fn embedded() -> &'static [u8]`, the bytes of a weight file in the program:
/// `embed!(Aligned, symbol, path, length, section)`. Assembled in by `.incbin` where the object format allows, which takes a
/// fraction of the time and memory that `include_bytes!` does.
#[allow(unused_macros, reason = "used by crates with large embedded weights")]
macro_rules! embed {
    ($aligned:path, $symbol:literal, $path:expr, $length:literal, $section:literal) => {
        #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
        #[allow(unsafe_code, reason = "assembles bytes into a section, and nothing else")]
        mod assembled {
            std::arch::global_asm!(
                concat!(".pushsection ", $section),
                ".balign 256",
                concat!(".globl ", $symbol),
                concat!(".hidden ", $symbol),
                concat!($symbol, ":"),
                concat!(".incbin \"", $path, "\""),
                ".popsection",
                options(raw)
            );
        }

        #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
        #[allow(unsafe_code, reason = "an embedded symbol")]
        fn embedded() -> &'static [u8] {
            unsafe extern "C" {
                #[link_name = $symbol]
                static BYTES: [u8; $length];
            }
            // SAFETY: the symbol above, with exactly the length of the file (the generator writes both).
            unsafe { &*(&raw const BYTES) }
        }

        #[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
        fn embedded() -> &'static [u8] {
            use $aligned as Aligned;
            static BYTES: Aligned<$length> = Aligned(*include_bytes!($path));
            &BYTES.0
        }
    };
}
#[allow(unused_imports, reason = "used by crates with large embedded weights")]
pub(crate) use embed;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, contents: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("o2c-weights-{}-{name}", std::process::id()));
        std::fs::write(&path, contents).unwrap();
        path
    }

    #[test]
    fn a_file_is_checked_as_a_whole() {
        let body = vec![3u8; 300];
        let manifest = Manifest { bytes: HEADER + body.len(), checksum: checksum(&body) };
        let mut whole = header(manifest).to_vec();
        whole.extend_from_slice(&body);
        let path = file("good", &whole);
        let weights = Weights::from_path(&path, manifest).unwrap();
        assert_eq!(weights.part::<u8>(256, 2).unwrap(), &[3, 3]);
        assert!(weights.part::<u8>(556, 1).is_err());
        whole[400] ^= 1;
        let damaged = file("damaged", &whole);
        let message = Weights::from_path(&damaged, manifest).unwrap_err().to_string();
        assert!(message.contains("damaged: expected checksum"), "{message}");
        let short = file("short", &whole[..100]);
        let message = Weights::from_path(&short, manifest).unwrap_err().to_string();
        assert!(message.contains("expected 556 bytes, found 100"), "{message}");
        let missing = Weights::find(&[PathBuf::from("no/such.bin")], manifest).unwrap_err().to_string();
        assert!(missing.contains("no such file"), "{missing}");
        [path, damaged, short].iter().for_each(|p| std::fs::remove_file(p).unwrap());
    }

    #[test]
    fn fills_lie_behind_the_file() {
        let mut whole = vec![0u8; HEADER + 2 * LINE];
        whole[HEADER..HEADER + LINE].fill(1);
        whole[HEADER + LINE..].fill(2);
        let (one, two) = (Fill { lines: 3, from: HEADER }, Fill { lines: 1, from: HEADER + LINE });
        let stored = || Weights::Embedded(Box::leak(whole.clone().into_boxed_slice()));
        let weights = stored().filled(&[one, two]).unwrap();
        let end = whole.len();
        assert_eq!(weights.bytes(), whole);
        assert_eq!(weights.part::<u8>(end - 1, 1).unwrap(), &[2]);
        assert_eq!(weights.part::<u8>(end, 3 * LINE).unwrap(), &[1; 3 * LINE]);
        assert_eq!(weights.part::<u8>(end + 3 * LINE, LINE).unwrap(), &[2; LINE]);
        assert!(weights.part::<u8>(end + 4 * LINE, 1).is_err());
        assert!(stored().filled(&[Fill { lines: 1, from: end - 1 }]).is_err());
    }

    #[test]
    fn the_checksum_sees_order_and_length() {
        assert_ne!(checksum(&[0; 8]), checksum(&[0; 16]));
        assert_ne!(checksum(b"abcdefgh12345678"), checksum(b"12345678abcdefgh"));
    }
}

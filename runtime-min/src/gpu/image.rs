//! Machine code of a kernel: an ELF file, checked to be whole, as the driver takes its length from its header.

/// Machine code that is whole.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    bytes: &'a [u8],
}

impl<'a> Image<'a> {
    /// The bytes of a 64-bit little-endian ELF file whose tables lie inside it.
    pub fn new(bytes: &'a [u8]) -> Option<Image<'a>> {
        if bytes.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let half = |at: usize| Some(u64::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)));
        let length = bytes.len() as u64;
        let table = |start: u64, entry: u64, count: u64| Some(start.checked_add(entry.checked_mul(count)?)? <= length);
        let (sections, entry, count) = (word(40)?, half(58)?, half(60)?);
        if !table(word(32)?, half(54)?, half(56)?)? || !table(sections, entry, count)? {
            return None;
        }
        for k in 0..count {
            let at = usize::try_from(sections.checked_add(k.checked_mul(entry)?)?).ok()?;
            let kind = u32::from_le_bytes(bytes.get(at + 4..at + 8)?.try_into().ok()?);
            let (start, size) = (word(at + 24)?, word(at + 32)?);
            // Type 8 takes no bytes of the file.
            if kind != 8 && start.checked_add(size)? > length {
                return None;
            }
        }
        Some(Image { bytes })
    }

    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest file that counts as whole, with `tail` after the header and one section over it.
    fn whole(tail: &[u8]) -> Vec<u8> {
        let mut out = b"\x7fELF\x02\x01\x01".to_vec();
        out.resize(64, 0);
        out[40..48].copy_from_slice(&64u64.to_le_bytes());
        out[58] = 64;
        out[60] = 1;
        let mut section = [0; 64];
        section[4] = 1;
        section[24..32].copy_from_slice(&128u64.to_le_bytes());
        section[32..40].copy_from_slice(&(tail.len() as u64).to_le_bytes());
        out.extend(section);
        out.extend(tail);
        out
    }

    #[test]
    fn cut_files_are_refused() {
        let file = whole(b"code");
        assert!(Image::new(&file).is_some());
        for cut in 0..file.len() {
            assert!(Image::new(&file[..cut]).is_none(), "{cut}");
        }
        assert!(Image::new(b".version 8.0").is_none());
    }
}

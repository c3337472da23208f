//! What the caller decides about an import.

use std::collections::BTreeMap;
use std::str::FromStr;

use graph::builder::Limits;

/// Settings of an import.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Bounds on tensors, folding and nesting.
    pub limits: Limits,
    /// Nodes that may be imported, function bodies counted once a call.
    pub nodes: usize,
    /// Functions inside functions.
    pub function_depth: usize,
    /// Bytes that a sparse tensor may take once it is dense.
    pub dense_bytes: usize,
    /// Input dims by name: `--dim NAME=VALUE`.
    pub dims: BTreeMap<String, DimRange>,
    /// External data may be behind symbolic or hard links (`--allow-external-links`).
    pub allow_external_links: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            limits: Limits::default(),
            nodes: 1 << 20,
            function_depth: 32,
            dense_bytes: 1 << 30,
            dims: BTreeMap::new(),
            allow_external_links: false,
        }
    }
}

/// Sizes an input dim may take: `8`, `1..64` (both ends included) or `1..`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DimRange {
    pub lo: i64,
    pub hi: Option<i64>,
}

impl DimRange {
    /// The only size, if there is one.
    pub fn fixed(self) -> Option<i64> {
        (self.hi == Some(self.lo)).then_some(self.lo)
    }
}

/// Why a text is no range of sizes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a size, LO..HI or LO.. with 0 <= LO <= HI, found {found:?}")]
pub struct DimRangeError {
    pub found: String,
}

impl FromStr for DimRange {
    type Err = DimRangeError;

    fn from_str(text: &str) -> Result<DimRange, DimRangeError> {
        let error = || DimRangeError { found: text.to_string() };
        let size = |part: &str| part.trim().parse::<i64>().ok().filter(|v| *v >= 0).ok_or_else(error);
        let range = match text.split_once("..") {
            None => {
                let value = size(text)?;
                DimRange { lo: value, hi: Some(value) }
            }
            Some((lo, hi)) if hi.trim().is_empty() => DimRange { lo: size(lo)?, hi: None },
            Some((lo, hi)) => DimRange { lo: size(lo)?, hi: Some(size(hi.trim_start_matches('='))?) },
        };
        if range.hi.is_some_and(|hi| hi < range.lo) { Err(error()) } else { Ok(range) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_refused() {
        let check = |text: &str, expected: Option<(i64, Option<i64>)>| {
            assert_eq!(text.parse::<DimRange>().ok().map(|r| (r.lo, r.hi)), expected, "{text}");
        };
        check("8", Some((8, Some(8))));
        check("1..64", Some((1, Some(64))));
        check("1..=64", Some((1, Some(64))));
        check("0..", Some((0, None)));
        check("64..1", None);
        check("-1", None);
        check("", None);
        check("a..b", None);
    }
}

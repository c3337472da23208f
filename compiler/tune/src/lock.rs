//! The lock as data: what was measured, on what, and the answers.
//!
//! ```text
//! format = 1
//!
//! [[device]]
//! target = "sm_90a"
//! name = "NVIDIA H200"
//! multiprocessors = 132
//! driver = "13.0"
//!
//! [[problem]]
//! target = "sm_90a"
//! family = "product"
//! key = "f16 product r0k/16 packed/16 to r0n/8n768k768; sizes 128 768 768; epilogue 0a4be1c2f7d6e8a9"
//! revision = 1
//! variant = "64x64x64_2x2_4_k3"
//! nanoseconds = 4210
//! ```
//!
//! Entries are sorted and unique, so equal answers are equal bytes. Networks, precisions and targets share a lock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::LockError;

/// Format of the text that this version writes and reads.
pub const FORMAT: u32 = 1;

/// Answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// Where the times of a target were taken last, by target as PTX spells it: `sm_90a`.
    pub devices: BTreeMap<String, DeviceFacts>,
    pub problems: BTreeMap<ProblemKey, Entry>,
}

/// A device, as far as it tells why times were what they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFacts {
    pub name: String,
    pub multiprocessors: u32,
    /// Version of the driver's interface: `13.0`.
    pub driver: String,
}

/// What a family is asked: sizes, dtypes, access classes and epilogue, written out by the family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProblemKey {
    /// As PTX spells it: `sm_90a`.
    pub target: String,
    pub family: String,
    pub key: String,
}

impl std::fmt::Display for ProblemKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {} with {}", self.family, self.target, self.key)
    }
}

/// The answer to one problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Of the family's code; an answer to an older one is stale.
    pub revision: u32,
    /// Written out by the family.
    pub variant: String,
    /// Median time; `None` if the cost model chose.
    pub nanoseconds: Option<u64>,
}

impl Lock {
    /// The answer to a problem: `Ok(None)` if there is none, an error if the family's code has changed since.
    pub fn answer(&self, problem: &ProblemKey, revision: u32) -> Result<Option<&Entry>, LockError> {
        let Some(entry) = self.problems.get(problem) else { return Ok(None) };
        if entry.revision != revision {
            return Err(LockError::Stale { problem: problem.clone(), found: entry.revision, expected: revision });
        }
        Ok(Some(entry))
    }

    /// As [`Lock::answer`], where an answer must be there.
    pub fn required(&self, problem: &ProblemKey, revision: u32) -> Result<&Entry, LockError> {
        self.answer(problem, revision)?.ok_or_else(|| LockError::Missing { problem: problem.clone() })
    }

    /// The text of `tuning.toml`.
    pub fn to_text(&self) -> Result<String, LockError> {
        let problem = |(key, entry): (&ProblemKey, &Entry)| ProblemText {
            target: key.target.clone(),
            family: key.family.clone(),
            key: key.key.clone(),
            revision: entry.revision,
            variant: entry.variant.clone(),
            nanoseconds: entry.nanoseconds,
        };
        let device = |(target, facts): (&String, &DeviceFacts)| DeviceText {
            target: target.clone(),
            name: facts.name.clone(),
            multiprocessors: facts.multiprocessors,
            driver: facts.driver.clone(),
        };
        let text = LockText {
            format: FORMAT,
            device: self.devices.iter().map(device).collect(),
            problem: self.problems.iter().map(problem).collect(),
        };
        toml::to_string(&text).map_err(|e| LockError::Unwritable { why: e.to_string() })
    }

    /// Reads the text of `tuning.toml`.
    pub fn from_text(text: &str) -> Result<Lock, TextError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version = toml::from_str(text).map_err(|e| TextError::Malformed(e.to_string()))?;
        if version.format != FORMAT {
            return Err(TextError::Format(version.format));
        }
        let read: LockText = toml::from_str(text).map_err(|e| TextError::Malformed(e.to_string()))?;
        let mut lock = Lock::default();
        for d in read.device {
            let facts = DeviceFacts { name: d.name, multiprocessors: d.multiprocessors, driver: d.driver };
            if lock.devices.insert(d.target.clone(), facts).is_some() {
                return Err(TextError::Malformed(format!("two devices for {}", d.target)));
            }
        }
        for p in read.problem {
            let key = ProblemKey { target: p.target, family: p.family, key: p.key };
            let entry = Entry { revision: p.revision, variant: p.variant, nanoseconds: p.nanoseconds };
            if lock.problems.insert(key.clone(), entry).is_some() {
                return Err(TextError::Malformed(format!("two entries for {key}")));
            }
        }
        Ok(lock)
    }
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextError {
    Malformed(String),
    Format(u32),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockText {
    format: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    device: Vec<DeviceText>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    problem: Vec<ProblemText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceText {
    target: String,
    name: String,
    multiprocessors: u32,
    driver: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProblemText {
    target: String,
    family: String,
    key: String,
    revision: u32,
    variant: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nanoseconds: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(family: &str, key: &str) -> ProblemKey {
        ProblemKey { target: "sm_90a".to_string(), family: family.to_string(), key: key.to_string() }
    }

    fn sample() -> Lock {
        let device = DeviceFacts { name: "GPU \"X\"".to_string(), multiprocessors: 132, driver: "13.0".to_string() };
        let mut lock = Lock::default();
        lock.devices.insert("sm_90a".to_string(), device);
        let entry = |variant: &str, ns| Entry { revision: 2, variant: variant.to_string(), nanoseconds: ns };
        lock.problems.insert(key("gemm", "m=2"), entry("tile 64x64", Some(1200)));
        lock.problems.insert(key("conv", "m=2"), entry("tile 32x64", None));
        lock
    }

    #[test]
    fn text_reads_back_and_is_sorted() {
        let text = sample().to_text().unwrap();
        assert_eq!(Lock::from_text(&text).unwrap(), sample());
        assert!(text.find("conv").unwrap() < text.find("gemm").unwrap(), "{text}");
    }

    fn check_refused(text: &str, expected: &str) {
        let error = Lock::from_text(text).unwrap_err();
        assert!(format!("{error:?}").contains(expected), "{error:?}");
    }

    #[test]
    fn other_texts_are_refused() {
        check_refused("format = 2", "Format(2)");
        check_refused("", "format");
        check_refused("format = 1\nmore = 3", "more");
        let entry = "[[problem]]\ntarget = \"t\"\nfamily = \"f\"\nrevision = 1\nkey = \"k\"\nvariant = \"v\"\n";
        check_refused(&format!("format = 1\n{entry}{entry}"), "two entries for f on t with k");
    }

    #[test]
    fn answers_of_older_code_are_stale() {
        let lock = sample();
        let ask = |name: &str, revision| {
            let answer = lock.required(&key("gemm", name), revision);
            answer.map(|e| e.variant.clone()).map_err(|e| e.to_string())
        };
        assert_eq!(ask("m=2", 2), Ok("tile 64x64".to_string()));
        assert!(ask("m=2", 3).unwrap_err().contains("is of revision 2, the family is at revision 3"));
        assert!(ask("m=3", 2).unwrap_err().contains("no entry for gemm on sm_90a with m=3"));
    }
}

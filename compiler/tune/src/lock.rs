//! The lock as data: what was measured, on what, and the answers.
//!
//! ```text
//! format = 1
//!
//! [device]
//! name = "NVIDIA H200"
//! target = "sm_90a"
//! multiprocessors = 132
//! driver = "13.0"
//!
//! [[problem]]
//! family = "gemm"
//! revision = 1
//! key = "m=128 n=768 k=768 f16 f16 f32"
//! variant = "tile 64x64x32 warps 2x2 stages 4 split 3"
//! nanoseconds = 4210
//!
//! [[decision]]
//! network = "5b3c0d…"
//! what = "layout of /conv1/Conv"
//! choice = "nhwc"
//! ```
//!
//! Entries are sorted and unique, so equal answers are equal bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::LockError;

/// Format of the text that this version writes and reads.
pub const FORMAT: u32 = 1;

/// Answers of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// Where the times were taken; `None` if nothing was timed.
    pub device: Option<DeviceFacts>,
    pub problems: BTreeMap<ProblemKey, Entry>,
    /// By hash of the network and what was decided.
    pub decisions: BTreeMap<Decision, String>,
}

/// A device, as far as it tells why times were what they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFacts {
    pub name: String,
    /// As PTX spells it: `sm_90a`.
    pub target: String,
    pub multiprocessors: u32,
    /// Version of the driver's interface: `13.0`.
    pub driver: String,
}

/// What a family is asked: sizes, dtypes, access classes and epilogue, written out by the family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProblemKey {
    pub family: String,
    pub key: String,
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

/// A choice for one network beyond its kernels: a cover, a layout, a precision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decision {
    /// Content hash of the network.
    pub network: String,
    pub what: String,
}

impl Lock {
    /// The answer to a problem: `Ok(None)` if there is none, an error if the family's code has changed since or does not offer
    /// the variant.
    pub fn answer(
        &self,
        problem: &ProblemKey,
        revision: u32,
        offered: &dyn Fn(&str) -> bool,
    ) -> Result<Option<&Entry>, LockError> {
        let Some(entry) = self.problems.get(problem) else { return Ok(None) };
        let (family, key) = (problem.family.clone(), problem.key.clone());
        if entry.revision != revision {
            return Err(LockError::Stale { family, key, found: entry.revision, expected: revision });
        }
        if !offered(&entry.variant) {
            return Err(LockError::Unknown { family, key, variant: entry.variant.clone() });
        }
        Ok(Some(entry))
    }

    /// As [`Lock::answer`], where an answer must be there.
    pub fn required(
        &self,
        problem: &ProblemKey,
        revision: u32,
        offered: &dyn Fn(&str) -> bool,
    ) -> Result<&Entry, LockError> {
        self.answer(problem, revision, offered)?
            .ok_or_else(|| LockError::Missing { family: problem.family.clone(), key: problem.key.clone() })
    }

    /// Takes over the answers of another lock of the same device; its answers win.
    pub fn merge(&mut self, other: Lock) {
        self.device = other.device.or_else(|| self.device.take());
        self.problems.extend(other.problems);
        self.decisions.extend(other.decisions);
    }

    /// The text of `tuning.toml`.
    pub fn to_text(&self) -> Result<String, LockError> {
        let problem = |(key, entry): (&ProblemKey, &Entry)| ProblemText {
            family: key.family.clone(),
            revision: entry.revision,
            key: key.key.clone(),
            variant: entry.variant.clone(),
            nanoseconds: entry.nanoseconds,
        };
        let decision = |(of, choice): (&Decision, &String)| DecisionText {
            network: of.network.clone(),
            what: of.what.clone(),
            choice: choice.clone(),
        };
        let text = LockText {
            format: FORMAT,
            device: self.device.clone(),
            problem: self.problems.iter().map(problem).collect(),
            decision: self.decisions.iter().map(decision).collect(),
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
        let mut lock = Lock { device: read.device, ..Lock::default() };
        for p in read.problem {
            let key = ProblemKey { family: p.family, key: p.key };
            let entry = Entry { revision: p.revision, variant: p.variant, nanoseconds: p.nanoseconds };
            if lock.problems.insert(key.clone(), entry).is_some() {
                return Err(TextError::Malformed(format!("two entries for {} with {}", key.family, key.key)));
            }
        }
        for d in read.decision {
            let of = Decision { network: d.network, what: d.what };
            if lock.decisions.insert(of.clone(), d.choice).is_some() {
                return Err(TextError::Malformed(format!("two decisions on {} of {}", of.what, of.network)));
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<DeviceFacts>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    problem: Vec<ProblemText>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    decision: Vec<DecisionText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProblemText {
    family: String,
    revision: u32,
    key: String,
    variant: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nanoseconds: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DecisionText {
    network: String,
    what: String,
    choice: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(family: &str, key: &str) -> ProblemKey {
        ProblemKey { family: family.to_string(), key: key.to_string() }
    }

    fn sample() -> Lock {
        let device = DeviceFacts {
            name: "GPU \"X\"".to_string(),
            target: "sm_90a".to_string(),
            multiprocessors: 132,
            driver: "13.0".to_string(),
        };
        let mut lock = Lock { device: Some(device), ..Lock::default() };
        let entry = |variant: &str, ns| Entry { revision: 2, variant: variant.to_string(), nanoseconds: ns };
        lock.problems.insert(key("gemm", "m=2"), entry("tile 64x64", Some(1200)));
        lock.problems.insert(key("conv", "m=2"), entry("tile 32x64", None));
        let of = Decision { network: "ab".to_string(), what: "layout".to_string() };
        lock.decisions.insert(of, "nhwc".to_string());
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
        let entry = "[[problem]]\nfamily = \"f\"\nrevision = 1\nkey = \"k\"\nvariant = \"v\"\n";
        check_refused(&format!("format = 1\n{entry}{entry}"), "two entries for f with k");
    }

    #[test]
    fn answers_of_older_code_are_stale() {
        let lock = sample();
        let ask = |revision, offered: bool| {
            let answer = lock.required(&key("gemm", "m=2"), revision, &|_| offered);
            answer.map(|e| e.variant.clone()).map_err(|e| e.to_string())
        };
        assert_eq!(ask(2, true), Ok("tile 64x64".to_string()));
        assert!(ask(3, true).unwrap_err().contains("is of revision 2, the family is at revision 3"));
        assert!(ask(2, false).unwrap_err().contains("which the family does not offer"));
        let missing = lock.required(&key("gemm", "m=3"), 2, &|_| true).unwrap_err();
        assert!(missing.to_string().contains("no entry for gemm with m=3"));
    }
}

//! The kernels that may keep values in memory, as registers do not suffice: a committed table, and what differs from it.
//!
//! ```text
//! # Why: for the kernels below, up to the next reason.
//! test_name: entry: sm_80 sm_86
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ptx::Sm;

use crate::assembler::Spill;

/// Architectures by kernel (test and entry), by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub reasons: BTreeMap<String, BTreeMap<String, BTreeSet<Sm>>>,
}

/// The reason of kernels that nobody gave one.
const NONE: &str = "no reason is given yet";

impl Table {
    /// Reads a table.
    pub fn parse(text: &str) -> Result<Table, String> {
        let mut out = Table::default();
        let mut reason = NONE;
        for line in text.lines().filter(|l| !l.trim().is_empty()) {
            if let Some(said) = line.strip_prefix("# ") {
                reason = said;
                continue;
            }
            let wrong = || format!("expected `TEST: ENTRY: ARCHITECTURES`, found {line:?}");
            let (place, names) = line.rsplit_once(": ").ok_or_else(wrong)?;
            let sms = names.split(' ').map(|n| Sm::named(n).ok_or_else(wrong)).collect::<Result<BTreeSet<_>, _>>()?;
            out.reasons.entry(reason.to_string()).or_default().entry(place.to_string()).or_default().extend(sms);
        }
        Ok(out)
    }

    /// Writes it as it is read.
    pub fn print(&self) -> String {
        let mut out = String::new();
        for (reason, places) in &self.reasons {
            let _ = writeln!(out, "# {reason}");
            for (place, sms) in places {
                let names: Vec<&str> = sms.iter().map(|sm| sm.name()).collect();
                let _ = writeln!(out, "{place}: {}", names.join(" "));
            }
        }
        out
    }

    /// The table as it should be, and what is wrong with this one: kernels that spill and are not listed, those that are listed and
    /// spill no more, those without a reason. `assembled` tells which tests were assembled for which architectures.
    pub fn refreshed(&self, spills: &[Spill], assembled: &dyn Fn(&str, Sm) -> bool) -> (Table, Vec<String>) {
        let each = spills.iter().flat_map(|s| s.places.iter().map(|place| ((place.as_str(), s.sm), s.bytes)));
        let mut found: BTreeMap<(&str, Sm), u64> = each.collect();
        let (mut table, mut wrong) = (Table::default(), Vec::new());
        for (reason, places) in &self.reasons {
            for (place, sms) in places {
                for sm in sms {
                    let spilled = found.remove(&(place.as_str(), *sm)).is_some();
                    let test = place.split(": ").next().unwrap_or_default();
                    if spilled || !assembled(test, *sm) {
                        table.add(reason, place, *sm);
                    } else {
                        wrong.push(format!("{place} on {sm} spills no more"));
                    }
                    if reason == NONE {
                        wrong.push(format!("{place} on {sm} has no reason"));
                    }
                }
            }
        }
        for ((place, sm), bytes) in found {
            wrong.push(format!("{place} on {sm} spills {bytes} bytes and is not listed"));
            table.add(NONE, place, sm);
        }
        (table, wrong)
    }

    fn add(&mut self, reason: &str, place: &str, sm: Sm) {
        self.reasons.entry(reason.to_string()).or_default().entry(place.to_string()).or_default().insert(sm);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const TABLE: &str = "# few registers\nold: nest: sm_75\nseldom: nest: sm_75 sm_80\ntest: nest: sm_75\n";

    fn spill(sm: Sm, places: &[&str]) -> Spill {
        let places = places.iter().map(ToString::to_string).collect();
        Spill { sm, places, bytes: 8, file: PathBuf::new(), entry: String::new() }
    }

    #[test]
    fn tables_are_read_as_they_were_written() {
        assert_eq!(Table::parse(TABLE).unwrap().print(), TABLE);
        assert!(Table::parse("test nest").unwrap_err().contains("TEST: ENTRY"));
        assert!(Table::parse("test: nest: sm_42").is_err());
    }

    #[test]
    fn what_is_new_or_stale_is_told() {
        let table = Table::parse(TABLE).unwrap();
        let spills = [spill(Sm::Sm75, &["test: nest", "seldom: nest"]), spill(Sm::Sm90a, &["new: rows"])];
        // Nothing was assembled for sm_80, so what is listed for it stays.
        let (refreshed, wrong) = table.refreshed(&spills, &|_, sm| sm != Sm::Sm80);
        assert_eq!(
            wrong,
            ["old: nest on sm_75 spills no more", "new: rows on sm_90a spills 8 bytes and is not listed"]
        );
        let expected = "# few registers\nseldom: nest: sm_75 sm_80\ntest: nest: sm_75\n# no reason is given yet\nnew: rows: sm_90a\n";
        assert_eq!(refreshed.print(), expected);
        assert_eq!(refreshed.refreshed(&spills, &|_, sm| sm != Sm::Sm80).1, ["new: rows on sm_90a has no reason"]);
        assert_eq!(table.refreshed(&[], &|_, _| false), (table.clone(), Vec::new()));
    }
}

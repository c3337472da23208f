//! Faults planted into the text of a kernel: each is one changed line.

use std::fmt;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A barrier of a CTA, warp or cluster is not there.
    DroppedBarrier,
    /// A wait for copies, products or an mbarrier is not there.
    DroppedWait,
    /// A wait leaves one more group open.
    LooseWait,
    /// Copies or products are not closed as a group.
    DroppedCommit,
    /// A fence is not there.
    DroppedFence,
    /// A comparison of integers counts the bound in, or out.
    OffByOne,
    /// A constant factor of an address is doubled.
    WrongStride,
}

impl Kind {
    /// Those whose fault is one of order between threads.
    pub const ORDER: [Kind; 5] =
        [Kind::DroppedBarrier, Kind::DroppedWait, Kind::LooseWait, Kind::DroppedCommit, Kind::DroppedFence];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::DroppedBarrier => "dropped barrier",
            Kind::DroppedWait => "dropped wait",
            Kind::LooseWait => "loose wait",
            Kind::DroppedCommit => "dropped commit",
            Kind::DroppedFence => "dropped fence",
            Kind::OffByOne => "off by one",
            Kind::WrongStride => "wrong stride",
        })
    }
}

/// A text with a fault.
#[derive(Clone, Debug)]
pub struct Planted {
    pub kind: Kind,
    /// Number of the line, from 1, and what it was.
    pub line: usize,
    pub was: String,
    pub text: String,
}

/// All texts with one fault.
pub fn planted(text: &str) -> Vec<Planted> {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        for (kind, changed) in changes(line) {
            let mut lines = lines.clone();
            lines.splice(at..=at, [changed.as_str()]);
            let text = lines.join("\n") + "\n";
            out.push(Planted { kind, line: at + 1, was: line.trim().to_string(), text });
        }
    }
    out
}

/// What a line becomes with each fault that it can have.
fn changes(line: &str) -> Vec<(Kind, String)> {
    let trimmed = line.trim();
    let (guard, rest) = match trimmed.split_once(' ') {
        Some((guard, rest)) if guard.starts_with('@') => (guard, rest.trim_start()),
        Some(_) | None => ("", trimmed),
    };
    let opcode = rest.split([' ', ';']).next().unwrap_or_default();
    let begins = |list: &[&str]| list.iter().any(|p| opcode.starts_with(p));
    let dropped = |kind| vec![(kind, String::new())];
    if begins(&["bar.sync", "bar.warp.sync", "barrier.sync", "barrier.cta.sync", "barrier.cluster.wait"]) {
        return dropped(Kind::DroppedBarrier);
    }
    if begins(&["fence.", "membar.", "wgmma.fence"]) {
        return dropped(Kind::DroppedFence);
    }
    if begins(&["cp.async.commit_group", "cp.async.bulk.commit_group", "wgmma.commit_group"]) {
        return dropped(Kind::DroppedCommit);
    }
    if begins(&["cp.async.wait_", "cp.async.bulk.wait_group", "wgmma.wait_group"]) {
        let mut out = dropped(Kind::DroppedWait);
        let operand = rest.strip_prefix(opcode).unwrap_or_default().trim().trim_end_matches(';');
        if let Ok(open) = operand.parse::<u32>() {
            out.push((Kind::LooseWait, format!("{guard} {opcode} {};", open + 1)));
        }
        return out;
    }
    if begins(&["mbarrier.try_wait", "mbarrier.test_wait"]) {
        let done = rest.strip_prefix(opcode).and_then(|r| r.trim().split(',').next()).unwrap_or_default();
        return vec![(Kind::DroppedWait, format!("setp.eq.u32 {done}, 0, 0;"))];
    }
    if opcode.starts_with("setp.") && [".u32", ".s32", ".u64", ".s64"].iter().any(|t| opcode.ends_with(t)) {
        let pairs = [(".lt.", ".le."), (".le.", ".lt."), (".gt.", ".ge."), (".ge.", ".gt.")];
        let found = pairs.iter().find(|(from, _)| opcode.contains(from));
        return found.map(|(from, to)| (Kind::OffByOne, line.replacen(from, to, 1))).into_iter().collect();
    }
    if begins(&["mul.wide.", "mad.wide.", "mul.lo.", "mad.lo."]) {
        // Destination, factor, factor, addend.
        let mut operands: Vec<&str> = rest.strip_prefix(opcode).unwrap_or_default().trim().split(", ").collect();
        let factor = operands.get(2).and_then(|o| o.trim_end_matches(';').parse::<u64>().ok()).filter(|f| *f > 0);
        let end = if operands.len() == 3 { ";" } else { "" };
        if let (Some(factor), Some(place)) = (factor, operands.get_mut(2)) {
            let doubled = format!("{}{end}", factor * 2);
            *place = &doubled;
            return vec![(Kind::WrongStride, format!("{guard} {opcode} {}", operands.join(", ")))];
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &[&str]) {
        let found: Vec<String> =
            changes(line).into_iter().map(|(kind, line)| format!("{kind}: {}", line.trim())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn lines_become_faults() {
        check("    bar.sync 0;", &["dropped barrier: "]);
        check("    cp.async.wait_group 2;", &["dropped wait: ", "loose wait: cp.async.wait_group 3;"]);
        check("    @%p3 wgmma.commit_group.sync.aligned;", &["dropped commit: "]);
        check("    fence.proxy.async.shared::cta;", &["dropped fence: "]);
        check(
            "    mbarrier.try_wait.parity.shared::cta.b64 %p1, [%r1], %r2;",
            &["dropped wait: setp.eq.u32 %p1, 0, 0;"],
        );
        check("    setp.lt.u32 %p1, %r1, %r2;", &["off by one: setp.le.u32 %p1, %r1, %r2;"]);
        check("    setp.lt.f32 %p1, %r1, %r2;", &[]);
        check("    mul.wide.u32 %d1, %r1, 4;", &["wrong stride: mul.wide.u32 %d1, %r1, 8;"]);
        check("    mad.lo.u32 %r1, %r2, 20, %r3;", &["wrong stride: mad.lo.u32 %r1, %r2, 40, %r3;"]);
        check("    mad.lo.u32 %r1, %r2, %r4, %r3;", &[]);
    }
}

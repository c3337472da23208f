//! Faults planted into the text of a kernel: each is a changed line or two.

use std::collections::BTreeSet;
use std::fmt;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A barrier of a CTA, warp or cluster is not there.
    DroppedBarrier,
    /// An arrival at a cluster's barrier shows nobody what came before it.
    RelaxedBarrier,
    /// A wait for copies, products, an mbarrier or a cluster is not there.
    DroppedWait,
    /// A wait leaves one more group open.
    LooseWait,
    /// Copies or products are not closed as a group.
    DroppedCommit,
    /// A fence is not there.
    DroppedFence,
    /// An atomic operation is a load and a store.
    TornAtomic,
    /// The shared memory of another CTA than the one that is meant.
    WrongRank,
    /// A descriptor of shared memory has the wrong distance between rows, or the wrong exchange of chunks.
    WrongDescriptor,
    /// A comparison of integers counts the bound in, or out.
    OffByOne,
    /// A constant factor of an address is doubled.
    WrongStride,
}

impl Kind {
    /// Those whose fault is one of order between threads, or of the memory of others.
    pub const ORDER: [Kind; 9] = [
        Kind::DroppedBarrier,
        Kind::RelaxedBarrier,
        Kind::DroppedWait,
        Kind::LooseWait,
        Kind::DroppedCommit,
        Kind::DroppedFence,
        Kind::TornAtomic,
        Kind::WrongRank,
        Kind::WrongDescriptor,
    ];

    /// Those that are wrong in numbers.
    pub const NUMBERS: [Kind; 2] = [Kind::OffByOne, Kind::WrongStride];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::DroppedBarrier => "dropped barrier",
            Kind::RelaxedBarrier => "relaxed barrier",
            Kind::DroppedWait => "dropped wait",
            Kind::LooseWait => "loose wait",
            Kind::DroppedCommit => "dropped commit",
            Kind::DroppedFence => "dropped fence",
            Kind::TornAtomic => "torn atomic",
            Kind::WrongRank => "wrong rank",
            Kind::WrongDescriptor => "wrong descriptor",
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
    /// For faults in numbers, the text without the fault, but with a trap where the fault makes a difference.
    pub reached: Option<String>,
}

/// What stands in the place of a line.
struct Change {
    kind: Kind,
    /// Lines that go.
    lines: usize,
    text: String,
    /// What is put before the line, to trap where the change makes a difference.
    reached: Option<String>,
}

impl Change {
    fn new(kind: Kind, text: impl Into<String>) -> Change {
        Change { kind, lines: 1, text: text.into(), reached: None }
    }
}

/// All texts with one fault.
pub fn planted(text: &str) -> Vec<Planted> {
    let lines: Vec<&str> = text.lines().collect();
    let high = high_halves(&lines);
    let mut out = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let next = lines.get(at + 1).copied().unwrap_or_default();
        for change in changes(line, next).into_iter().chain(descriptors(line, &high)) {
            let mut with = lines.clone();
            with.splice(at..at + change.lines, [change.text.as_str()]);
            let reached = change.reached.map(|probe| {
                let mut with = lines.clone();
                with.insert(at, &probe);
                with.join("\n") + "\n"
            });
            let (kind, text) = (change.kind, with.join("\n") + "\n");
            out.push(Planted { kind, line: at + 1, was: line.trim().to_string(), text, reached });
        }
    }
    out
}

/// Guard with a space behind it, opcode, operands.
fn parts(line: &str) -> (String, &str, Vec<&str>) {
    let trimmed = line.trim();
    let (guard, rest) = match trimmed.split_once(' ') {
        Some((guard, rest)) if guard.starts_with('@') => (format!("{guard} "), rest.trim_start()),
        Some(_) | None => (String::new(), trimmed),
    };
    let opcode = rest.split([' ', ';']).next().unwrap_or_default();
    let operands = rest.strip_prefix(opcode).unwrap_or_default().trim().trim_end_matches(';');
    (guard, opcode, operands.split(", ").collect())
}

/// What a line becomes with each fault that it can have.
fn changes(line: &str, next: &str) -> Vec<Change> {
    let (guard, opcode, operands) = parts(line);
    let begins = |list: &[&str]| list.iter().any(|p| opcode.starts_with(p));
    let dropped = |kind| vec![Change::new(kind, "")];
    if begins(&["bar.sync", "bar.warp.sync", "barrier.sync", "barrier.cta.sync"]) {
        return dropped(Kind::DroppedBarrier);
    }
    if begins(&["barrier.cluster.arrive"]) {
        let mut out = Vec::new();
        if !opcode.contains("relaxed") {
            let relaxed = line.replacen(".release", "", 1).replacen(".arrive", ".arrive.relaxed", 1);
            out.push(Change::new(Kind::RelaxedBarrier, relaxed));
        }
        if next.contains("barrier.cluster.wait") {
            out.push(Change { lines: 2, ..Change::new(Kind::DroppedBarrier, "") });
        }
        return out;
    }
    if begins(&["barrier.cluster.wait"]) {
        return dropped(Kind::DroppedWait);
    }
    if begins(&["fence.", "membar.", "wgmma.fence"]) {
        return dropped(Kind::DroppedFence);
    }
    if begins(&["cp.async.commit_group", "cp.async.bulk.commit_group", "wgmma.commit_group"]) {
        return dropped(Kind::DroppedCommit);
    }
    if begins(&["cp.async.wait_", "cp.async.bulk.wait_group", "wgmma.wait_group"]) {
        let mut out = dropped(Kind::DroppedWait);
        if let Some(open) = operands.first().and_then(|o| o.parse::<u32>().ok()) {
            out.push(Change::new(Kind::LooseWait, format!("{guard}{opcode} {};", open + 1)));
        }
        return out;
    }
    if begins(&["mbarrier.try_wait", "mbarrier.test_wait"]) {
        let done = operands.first().copied().unwrap_or_default();
        return vec![Change::new(Kind::DroppedWait, format!("setp.eq.u32 {done}, 0, 0;"))];
    }
    if begins(&["mapa."])
        && let [to, from, rank] = operands.as_slice()
    {
        let other = rank.parse::<u32>().map_or(0, |rank| rank ^ 1);
        return vec![Change::new(Kind::WrongRank, format!("{guard}{opcode} {to}, {from}, {other};"))];
    }
    if begins(&["red.", "atom."]) {
        return torn(&guard, opcode, &operands).into_iter().collect();
    }
    wrong_number(line, &guard, opcode, operands).into_iter().collect()
}

/// An atomic operation as a load, if its result is used, and a store.
fn torn(guard: &str, opcode: &str, operands: &[&str]) -> Option<Change> {
    let bits: u32 = opcode.rsplit('.').next()?.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().ok()?;
    let space = if opcode.contains(".shared") { "shared" } else { "global" };
    let text = match operands {
        [at, value] => format!("{guard}st.{space}.b{bits} {at}, {value};"),
        [to, at, value] => {
            format!("{guard}ld.{space}.b{bits} {to}, {at};\n{guard}st.{space}.b{bits} {at}, {value};")
        }
        _ => return None,
    };
    Some(Change::new(Kind::TornAtomic, text))
}

/// The predicate of a probe.
const PROBE: &str = "%planted";

fn probe(guard: &str, comparison: &str, ty: &str, [a, b]: [&str; 2]) -> Option<String> {
    Some(format!(".reg .pred {PROBE};\n{guard}setp.{comparison}.{ty} {PROBE}, {a}, {b};\n@{PROBE} trap;"))
}

fn wrong_number(line: &str, guard: &str, opcode: &str, operands: Vec<&str>) -> Option<Change> {
    let ty = opcode.rsplit('.').next().filter(|ty| ["u32", "s32", "u64", "s64"].contains(ty))?;
    if opcode.starts_with("setp.") {
        let pairs = [(".lt.", ".le."), (".le.", ".lt."), (".gt.", ".ge."), (".ge.", ".gt.")];
        let (from, to) = pairs.iter().find(|(from, _)| opcode.contains(from))?;
        let sides = [*operands.get(1)?, *operands.get(2)?];
        let reached = probe(guard, "eq", ty, sides);
        return Some(Change { reached, ..Change::new(Kind::OffByOne, line.replacen(from, to, 1)) });
    }
    if !["mul.wide.", "mad.wide.", "mul.lo.", "mad.lo."].iter().any(|p| opcode.starts_with(p)) {
        return None;
    }
    let factor = operands.get(2)?.parse::<u64>().ok().filter(|f| *f > 0)?;
    let doubled = (factor * 2).to_string();
    let reached = probe(guard, "ne", ty, [*operands.get(1)?, "0"]);
    let mut changed = operands;
    *changed.get_mut(2)? = &doubled;
    let text = format!("{guard}{opcode} {};", changed.join(", "));
    Some(Change { reached, ..Change::new(Kind::WrongStride, text) })
}

/// Registers that hold the high halves of descriptors of wgmma.
fn high_halves<'t>(lines: &[&'t str]) -> BTreeSet<&'t str> {
    let of_products = lines.iter().filter(|l| l.trim_start().starts_with("wgmma.mma_async"));
    let wide: BTreeSet<&str> = of_products.flat_map(|l| l.split([' ', ',']).filter(|o| o.starts_with("%d"))).collect();
    let packed = lines.iter().filter_map(|l| l.trim().strip_prefix("mov.b64 "));
    let halves = packed.filter_map(|l| l.split_once(", {").filter(|(to, _)| wide.contains(to)));
    halves.filter_map(|(_, halves)| halves.trim_end_matches("};").split(", ").nth(1)).collect()
}

/// A high half that is loaded, with rows twice as far apart, and without the exchange of chunks.
fn descriptors(line: &str, high: &BTreeSet<&str>) -> Vec<Change> {
    let (_, opcode, operands) = parts(line);
    let &[to, value] = operands.as_slice() else { return Vec::new() };
    let bits = value.strip_prefix("0x").and_then(|v| u32::from_str_radix(v, 16).ok());
    let Some(bits) = bits.filter(|_| opcode.starts_with("mov.") && high.contains(to)) else { return Vec::new() };
    let far = bits & !0x3FFF | (bits & 0x3FFF) * 2;
    let plain = bits & 0x3FFF_FFFF;
    [far, plain].map(|bits| Change::new(Kind::WrongDescriptor, format!("{opcode} {to}, {bits:#010x};"))).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &[&str]) {
        let found: Vec<String> =
            changes(line, "").into_iter().map(|c| format!("{}: {}", c.kind, c.text.trim())).collect();
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
        check("    mapa.shared::cluster.u32 %r1, %r2, 2;", &["wrong rank: mapa.shared::cluster.u32 %r1, %r2, 3;"]);
        check("    mapa.shared::cluster.u32 %r1, %r2, %r3;", &["wrong rank: mapa.shared::cluster.u32 %r1, %r2, 0;"]);
        check("    @%p1 red.global.add.s32 [%d1+4], %r1;", &["torn atomic: @%p1 st.global.b32 [%d1+4], %r1;"]);
        check(
            "    atom.global.exch.b64 %d2, [%d1], %d3;",
            &["torn atomic: ld.global.b64 %d2, [%d1];\nst.global.b64 [%d1], %d3;"],
        );
        check("    barrier.cluster.arrive.aligned;", &["relaxed barrier: barrier.cluster.arrive.relaxed.aligned;"]);
    }

    #[test]
    fn faults_of_several_lines() {
        let text = "barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;\nmov.u32 %r9, 0x40000040;\nmov.b64 %d1, {%r1, %r9};\nwgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%r3, %r4}, %d1, %d1, %p1, 1, 1, 0, 0;\n";
        let found: Vec<(Kind, usize)> = planted(text).into_iter().map(|p| (p.kind, p.line)).collect();
        let expected = [
            (Kind::RelaxedBarrier, 1),
            (Kind::DroppedBarrier, 1),
            (Kind::DroppedWait, 2),
            (Kind::WrongDescriptor, 3),
            (Kind::WrongDescriptor, 3),
        ];
        assert_eq!(found, expected);
        let dropped = planted(text).into_iter().find(|p| p.kind == Kind::DroppedBarrier).unwrap();
        assert!(dropped.text.starts_with("\nmov.u32"), "{}", dropped.text);
        assert!(planted(text).iter().any(|p| p.text.contains("mov.u32 %r9, 0x40000080;")));
        assert!(planted(text).iter().any(|p| p.text.contains("mov.u32 %r9, 0x00000040;")));
    }

    #[test]
    fn probes_trap_where_a_fault_matters() {
        let found = planted("@%p2 setp.lt.u32 %p1, %r1, %r2;\n");
        let reached = found.first().and_then(|p| p.reached.as_deref()).unwrap();
        let lines: Vec<&str> = reached.lines().collect();
        let expected = [
            ".reg .pred %planted;",
            "@%p2 setp.eq.u32 %planted, %r1, %r2;",
            "@%planted trap;",
            "@%p2 setp.lt.u32 %p1, %r1, %r2;",
        ];
        assert_eq!(lines, expected);
    }
}

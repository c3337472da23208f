//! Legalization: each form that a target lacks either becomes forms that it has, or stands in the list of those without a rule; what
//! comes out verifies and assembles.

#[cfg(test)]
mod assembler;
#[cfg(test)]
mod samples;

use std::collections::BTreeSet;

use ptx::{Arch, Builder, Module, Op, Order, ParamRole, Sm, Space, Type, legalize, print, verify};

/// What no rule replaces: products and copies that kernels choose by target, and formats that the target's arithmetic does not know.
fn without_rule(op: Op) -> bool {
    let text = op.row().spelling;
    let starts = |list: &[&str]| list.iter().any(|start| text.starts_with(start));
    starts(&["mma.", "wgmma.", "setmaxnreg", "mapa", "mbarrier.", "cp.async.mbarrier", "cp.async.bulk", "cp.reduce"])
        || starts(&["fence", "barrier.cluster", "prefetch.tensormap", "ld.shared::cluster", "st.shared::cluster"])
        || matches!(op, Op::CvtF32ToFp8 | Op::CvtHalfToFp8 | Op::CvtFp8ToHalf)
}

/// All rows on a target.
#[track_caller]
fn check(sm: Sm) {
    let newest = Sm::Sm100a;
    let mut entries = Vec::new();
    let mut wrong = Vec::new();
    for op in Op::ALL {
        let arch = op.row().arch;
        if arch.has(sm) || !arch.has(newest) && arch != Arch::Only(&[Sm::Sm90a]) {
            continue;
        }
        let Some(entry) = samples::entry(*op, newest) else { continue };
        let entry = legalize(entry, sm);
        let left: BTreeSet<Op> =
            entry.instructions().map(|i| i.form).filter(|f| !f.arch().has(sm)).map(|f| f.op).collect();
        match (left.is_empty(), without_rule(*op)) {
            (true, _) => entries.push(entry),
            (false, true) => {}
            (false, false) => wrong.push(format!("{op:?} leaves {left:?}")),
        }
    }
    assert!(wrong.is_empty(), "{sm}:\n  {}", wrong.join("\n  "));
    let module = Module::new(sm, entries);
    let problems: Vec<String> = verify(&module).err().unwrap_or_default().iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{sm}: {}", problems.join("\n  "));
    assembler::check(sm, &format!("legal-{sm}"), &print(&module));
}

#[test]
fn rows_on_sm_75() {
    check(Sm::Sm75);
}

#[test]
fn rows_on_sm_80() {
    check(Sm::Sm80);
}

#[test]
fn rows_on_sm_89() {
    check(Sm::Sm89);
}

#[test]
fn rows_on_sm_90a() {
    check(Sm::Sm90a);
}

/// What an entry becomes: the opcodes after the parameter is loaded.
#[track_caller]
fn check_opcodes(sm: Sm, body: impl FnOnce(&mut Builder, ptx::Reg), expected: &[&str]) {
    let mut b = Builder::new("x");
    let p = b.pointer_param(ParamRole::Data);
    let p = b.ld_param(Type::U64, p);
    body(&mut b, p);
    let entry = legalize(b.finish(), sm);
    let opcodes: Vec<String> = entry.instructions().skip(1).map(|i| i.form.to_string()).collect();
    assert_eq!(opcodes, expected);
}

#[test]
fn sums_of_bf16_are_one_fma_where_there_is_fma() {
    let body = |b: &mut Builder, p| {
        let x = b.ld(Space::Global, Type::Bf16, p);
        b.add(Type::Bf16, x, x);
    };
    check_opcodes(Sm::Sm90a, body, &["ld.global.b16", "add.rn.bf16", "ret"]);
    check_opcodes(Sm::Sm86, body, &["ld.global.b16", "mov.b16", "fma.rn.bf16", "ret"]);
}

#[test]
fn groups_of_copies_vanish_before_sm_80() {
    let body = |b: &mut Builder, p| {
        let tile = b.shared("tile", 16, 16);
        b.cp_async(ptx::Fetch::Default, tile, p, 16);
        b.cp_async_commit();
        b.cp_async_wait(0);
    };
    check_opcodes(Sm::Sm75, body, &["ld.global.v4.b32", "st.shared.v4.b32", "ret"]);
}

#[test]
fn forms_that_the_target_has_stay() {
    let body = |b: &mut Builder, p| {
        b.red(Order::Default, Space::Global, ptx::Atomic::Add, Type::F16x2, p, 0_u32);
    };
    check_opcodes(Sm::Sm75, body, &["mov.b32", "red.global.add.noftz.f16x2", "ret"]);
}

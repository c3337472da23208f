//! Every form of the table, as `ptxas` sees it: one module per target with all forms that the target has, and all versions declared
//! as low as the table says.
//!
//! Without `ptxas` the tests say so and pass.

#[cfg(test)]
mod assembler;
#[cfg(test)]
mod samples;

use std::collections::BTreeSet;

use ptx::{Module, Op, Sm, Version, print, verify};

/// All forms of a target, in modules of a version each row of which it needs.
#[track_caller]
fn check(sm: Sm) {
    let entries: Vec<_> = Op::ALL.iter().filter_map(|op| samples::entry(*op, sm)).collect();
    let versions: BTreeSet<Version> = entries.iter().map(|e| e.version().max(sm.version())).collect();
    let mut wrong = Vec::new();
    let mut forms = 0;
    for version in versions {
        let of_version = entries.iter().filter(|e| e.version().max(sm.version()) == version);
        let module = Module::new(sm, of_version.cloned().collect());
        assert_eq!(module.version, version);
        if let Err(problems) = verify(&module) {
            wrong.extend(problems.iter().map(ToString::to_string));
        }
        forms += module.entries.iter().map(|e| e.instructions().count()).sum::<usize>();
        wrong.extend(assembler::complaints(sm, &format!("{sm}-{version}"), &print(&module)));
    }
    assert!(wrong.is_empty(), "{} of {forms}:\n  {}", wrong.len(), wrong.join("\n  "));
}

#[test]
fn sm_75() {
    check(Sm::Sm75);
}

#[test]
fn sm_80() {
    check(Sm::Sm80);
}

#[test]
fn sm_86() {
    check(Sm::Sm86);
}

#[test]
fn sm_87() {
    check(Sm::Sm87);
}

#[test]
fn sm_89() {
    check(Sm::Sm89);
}

#[test]
fn sm_90a() {
    check(Sm::Sm90a);
}

#[test]
fn sm_100a() {
    check(Sm::Sm100a);
}

#[test]
fn sm_120a() {
    check(Sm::Sm120a);
}

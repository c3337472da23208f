//! The emulator reads every form of the table but those that are named here: what has no arm there may not be emitted.

#[cfg(test)]
mod samples;

use ptx::{Form, Modifier, Module, Op, Round, Sm, Type, print};

/// Forms that the emulator does not execute.
fn without_arm(form: Form) -> bool {
    let mut modifiers = form.modifiers();
    let directed = modifiers.any(|m| matches!(m, Modifier::Round(Round::Rz | Round::Rm | Round::Rp)));
    let f64_arithmetic = form.modifiers().last() == Some(Type::F64.into())
        && matches!(
            form.op,
            Op::AddFloat | Op::SubFloat | Op::MulFloat | Op::FmaFloat | Op::DivFloat | Op::RcpFloat | Op::SqrtFloat
        );
    directed && f64_arithmetic || matches!(form.op, Op::RcpApproxF64 | Op::RsqrtApproxF64 | Op::ReduxFloat)
}

#[test]
fn every_form_is_read() {
    let mut wrong = Vec::new();
    for sm in [Sm::Sm90a, Sm::Sm100a] {
        for op in Op::ALL {
            let entry = samples::entry_of(*op, |form| form.arch().has(sm) && !without_arm(form));
            let text = entry.map(|entry| print(&Module::new(sm, vec![entry]))).unwrap_or_default();
            if let Some(error) = Some(text).filter(|t| !t.is_empty()).and_then(|t| ptx_emu::Module::parse(&t).err()) {
                wrong.push(format!("{op:?}: {error}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

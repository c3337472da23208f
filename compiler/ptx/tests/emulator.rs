//! Every form of the table, as the emulator reads it: a form that cannot be run cannot be tested without a GPU.

#[cfg(test)]
mod samples;

use ptx::{Module, Op, Sm, print};

/// Forms that the emulator does not execute, and why.
const REFUSED: &[(&str, &str)] = &[("ReduxFloat", "sm_100a only")];

#[test]
fn every_form_is_executed() {
    let mut wrong = Vec::new();
    for sm in Sm::ALL {
        for op in Op::ALL {
            let Some(entry) = samples::entry(*op, sm) else { continue };
            let text = print(&Module::new(sm, vec![entry]));
            let refused = REFUSED.iter().any(|(name, _)| *name == format!("{op:?}"));
            match ptx_emu::Module::parse(&text) {
                Ok(_) if refused => wrong.push(format!("{sm}: {op:?} is executed now; take it out of REFUSED")),
                Err(e) if !refused => wrong.push(format!("{sm}: {op:?}: {e}")),
                Ok(_) | Err(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

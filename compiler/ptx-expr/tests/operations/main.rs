//! Every operation on every dtype, over edges and random values: on the host, and as PTX in the emulator, against the evaluator.
//!
//! Bits must be equal, NaN the canonical one; elementary functions may be off by 2 steps of f32, 4 of f64, one of what is narrower
//! (they are rounded through f32).

#[cfg(test)]
mod cases;
#[cfg(test)]
mod run;

use graph::dtype::{DType, TABLE};

use cases::Case;

/// All dtypes but strings.
fn dtypes() -> impl Iterator<Item = DType> {
    TABLE.iter().map(|row| row.dtype).filter(|d| *d != DType::Str)
}

/// Runs all cases everywhere.
#[track_caller]
fn check(cases: &[Case]) {
    let mut wrong = Vec::new();
    for case in cases {
        let expected = run::evaluate(case);
        wrong.extend(run::compare(case, "host", &expected, &run::host(case)));
        for sm in run::targets(case) {
            match run::emulate(case, sm) {
                Ok(found) => wrong.extend(run::compare(case, sm.name(), &expected, &found)),
                Err(error) => wrong.push(error),
            }
        }
    }
    let shown: Vec<&str> = wrong.iter().take(40).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), shown.join("\n"));
}

#[test]
fn unary_on_floats() {
    check(&cases::unary(|d| d.is_float() && d != DType::F64));
}

#[test]
fn unary_on_f64() {
    check(&cases::unary(|d| d == DType::F64));
}

#[test]
fn unary_on_integers_and_bools() {
    check(&cases::unary(|d| !d.is_float()));
}

#[test]
fn binary_on_floats() {
    check(&cases::binary(|d| d.is_float()));
}

#[test]
fn binary_on_integers_and_bools() {
    check(&cases::binary(|d| !d.is_float()));
}

#[test]
fn binary_with_constants() {
    check(&cases::with_constants());
}

#[test]
fn fast_functions_are_within_a_step_of_16_bits() {
    check(&cases::fast());
}

#[test]
fn comparisons() {
    check(&cases::comparisons());
}

#[test]
fn selections_and_fused_products() {
    check(&cases::selections());
    check(&cases::fused());
}

#[test]
fn casts_from_floats() {
    check(&cases::casts(|from| from.is_float()));
}

#[test]
fn casts_from_integers_and_bools() {
    check(&cases::casts(|from| !from.is_float()));
}

#[test]
fn bitcasts() {
    check(&cases::bitcasts());
}

/// All cases of a target in a few modules.
#[track_caller]
fn assemble(sm: ptx::Sm) {
    let all = [
        cases::unary(|_| true),
        cases::binary(|_| true),
        cases::comparisons(),
        cases::selections(),
        cases::fused(),
        cases::casts(|_| true),
        cases::bitcasts(),
        cases::fast(),
    ];
    let mut wrong = Vec::new();
    for (k, cases) in all.into_iter().enumerate() {
        let entries = cases.iter().map(|case| run::entry(case, sm)).collect();
        let module = ptx::Module::new(sm, entries);
        if let Err(problems) = ptx::verify(&module) {
            wrong.extend(problems.iter().map(ToString::to_string));
        }
        wrong.extend(run::complaints(sm, &format!("operations-{sm}-{k}"), &ptx::print(&module)));
    }
    wrong.truncate(40);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_assemble_for_sm_75() {
    assemble(ptx::Sm::Sm75);
}

#[test]
fn all_assemble_for_sm_80() {
    assemble(ptx::Sm::Sm80);
}

#[test]
fn all_assemble_for_sm_90a() {
    assemble(ptx::Sm::Sm90a);
}

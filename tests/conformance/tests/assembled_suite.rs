//! Kernels of the node tests, with kernel families and without: NVIDIA's assembler takes all of them, those that keep values in memory
//! are listed in `spills.txt`, and each form of a collective or asynchronous instruction has a probe with the output of real hardware.
//!
//! Architectures are chosen as in the emulator's tests: sm_75 and sm_90a always, the others for one test of three; `SM=all` asks for
//! all, `SM=sm_80` for that one, `SEED=2` for another choice, `FILTER=resize` for the tests with this in their names. Without
//! `ptxas` (variable `PTXAS`, or on the path) the test says so and looks at forms alone.

use std::path::PathBuf;
use std::time::Instant;

use conformance::architectures::Architectures;
use conformance::case::{Case, all, known_failures, suite_folder};
use conformance::spills::Table;
use conformance::texts_of_kernels::Texts;
use conformance::{assembler, forms, stage};
use onnx2crate::trial::in_parallel;

#[test]
fn kernels_of_node_tests_assemble() {
    let architectures = Architectures::from_env().unwrap();
    println!("{architectures}");
    let known = known_failures();
    let filter = std::env::var("FILTER").unwrap_or_default();
    let mut cases = all(&suite_folder());
    cases.retain(|case| case.name.contains(&filter));
    if cases.is_empty() {
        println!("the suite is not fetched: run tests/conformance/fetch.sh");
        return;
    }
    let start = Instant::now();
    let mut texts = Texts::default();
    let mut wrong = Vec::new();
    for (case, found) in cases.iter().zip(in_parallel(&cases, |case| of_case(case, architectures))) {
        match found {
            Ok(found) => texts.merge(found),
            Err(_) if known.contains_key(&case.name) => {}
            Err(why) => wrong.push(why),
        }
    }
    println!("kernels of {} tests in {:.1?}", cases.len(), start.elapsed());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let without = forms::without_probe(&texts).unwrap();
    assert!(without.is_empty(), "forms without a recorded probe, and where they are: {without:#?}");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("node_tests");
    let Some(report) = assembler::assemble(&texts, &folder).unwrap() else { return };
    assert!(report.refused.is_empty(), "{}", report.refused.join("\n"));
    let table = Table::parse(include_str!("../spills.txt")).unwrap();
    let (refreshed, wrong) =
        table.refreshed(&report.spills, &|test, sm| test.contains(&filter) && architectures.of(test).contains(&sm));
    let file = folder.join("spills.txt");
    std::fs::write(&file, refreshed.print()).unwrap();
    assert!(wrong.is_empty(), "tests/conformance/spills.txt is not true, {} is:\n{}", file.display(), wrong.join("\n"));
}

fn of_case(case: &Case, architectures: Architectures) -> Result<Texts, String> {
    let model = stage::normal(&stage::import(case)?)?;
    let mut texts = Texts::default();
    for sm in architectures.of(&case.name) {
        texts.add(&model, sm, &case.name, true)?;
    }
    Ok(texts)
}

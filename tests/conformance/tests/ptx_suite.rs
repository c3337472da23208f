//! All node tests on the plan, with the kernels of the generic way as PTX on the emulator.

use conformance::case;
use conformance::stage::{Stage, run};

/// Every test whose plan gives the right results on the evaluator does so with its kernels as PTX, each of which computes what
/// it means.
#[test]
fn kernels_as_ptx_pass_the_node_tests() {
    let cases = case::all(&case::suite_folder());
    if cases.is_empty() {
        println!("the suite is not fetched: run tests/conformance/fetch.sh");
        return;
    }
    let mut wrong = Vec::new();
    let mut passed = 0;
    for case in &cases {
        match run(case, Stage::Ptx) {
            Ok(_) => passed += 1,
            Err(why) if run(case, Stage::PassesPlan).is_ok() => wrong.push(format!("{}: {why}", case.name)),
            Err(_) => {}
        }
    }
    println!("{passed} of {} passed", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(passed > 1500, "{passed}");
}

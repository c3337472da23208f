//! All node tests on the plan, with the kernels of the generic way as PTX on the emulator.

use conformance::stage::{Stage, node_tests};

/// Every test whose plan gives the right results on the evaluator does so with its kernels as PTX, each of which computes what
/// it means.
#[test]
fn kernels_as_ptx_pass_the_node_tests() {
    let Some(totals) = node_tests(Stage::Ptx) else { return };
    assert!(totals.wrong.is_empty(), "{}", totals.wrong.join("\n"));
    assert!(totals.passed > 1500, "{}", totals.passed);
}

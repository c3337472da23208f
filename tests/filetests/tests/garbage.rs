//! Parser, printer and verifier take any text and any model without failing.

use std::collections::BTreeSet;

use filetests::{Case, Numbers, files, mutate, registry};
use graph::{text, verify};

fn cases(folder: &str) -> Result<Vec<Case>, String> {
    let read = |file| std::fs::read_to_string(file).map_err(|error| error.to_string());
    files(folder)?.iter().map(|file| read(file).map(|text| Case::read(&text))).collect()
}

#[test]
fn mutated_texts_are_refused_or_survive() {
    let mut numbers = Numbers::new(1);
    let (mut parsed, mut accepted) = (0, 0);
    let folders = ["graph/parse", "graph/verify", "graph/eval"];
    for Case { body, header: _ } in folders.iter().flat_map(|folder| cases(folder).unwrap()) {
        for _ in 0..60 {
            let mutant = mutate(&body, &mut numbers);
            let Ok(model) = text::parse(&mutant, &registry()) else { continue };
            parsed += 1;
            let printed = text::print(&model);
            match text::parse(&printed, &registry()) {
                Ok(again) => assert_eq!(again, model, "{mutant}\n{printed}"),
                Err(error) => panic!("{error}\n{printed}"),
            }
            accepted += usize::from(verify::model(&model).is_ok());
        }
    }
    assert!(parsed > 500 && parsed > accepted && accepted > 100, "{parsed} mutants parsed, {accepted} verified");
}

#[test]
fn every_rule_that_text_can_break_has_a_test() {
    let broken: BTreeSet<String> = cases("graph/verify")
        .unwrap()
        .into_iter()
        .flat_map(|case| case.header)
        .filter_map(|line| line.strip_prefix("error: ").and_then(|rest| rest.split(' ').next().map(str::to_string)))
        .collect();
    let missing: Vec<String> =
        verify::Rule::ALL.iter().map(ToString::to_string).filter(|rule| !broken.contains(rule)).collect();
    // The parser refuses what nests too deep; the rule's test builds it in memory.
    assert_eq!(missing, ["V01"]);
}

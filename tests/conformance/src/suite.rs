//! All node tests through emitted crates: outcome, classes and error of each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use graph::datum::Datum;

use crate::altered::altered;
use crate::case::{self, Case};
use crate::class::{Class, classes};
use crate::compare::{SUITE, outputs};
use crate::crates::{Entry, run};
use crate::stage::import_with_info;

/// How a test ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Largest distance in units of the last place.
    Passed {
        ulp: f64,
    },
    Failed {
        why: String,
    },
}

/// One test.
#[derive(Clone, Debug)]
pub struct Row {
    /// Opset of the default domain; 0 where the model was not imported.
    pub opset: i64,
    pub classes: BTreeSet<Class>,
    /// Runs on altered inputs that were compared with the evaluator.
    pub altered: usize,
    pub outcome: Outcome,
}

/// What each request must give.
struct Expected {
    opset: i64,
    classes: BTreeSet<Class>,
    altered: usize,
    outputs: Vec<Vec<Datum>>,
}

/// Runs every test whose name contains `filter` through crates of at most `count` models.
pub fn crate_results(folder: &Path, count: usize, filter: &str) -> BTreeMap<String, Row> {
    let cases = case::all(&case::suite_folder());
    let cases: Vec<&Case> = cases.iter().filter(|c| c.name.contains(filter)).collect();
    let mut rows = BTreeMap::new();
    for (k, chunk) in cases.chunks(count.max(1)).enumerate() {
        let mut entries = Vec::new();
        let mut expected: BTreeMap<String, Expected> = BTreeMap::new();
        for case in chunk {
            match entry(case) {
                Ok((entry, wanted)) => {
                    expected.insert(case.name.clone(), wanted);
                    entries.push(entry);
                }
                Err(why) => {
                    let outcome = Outcome::Failed { why };
                    rows.insert(case.name.clone(), Row { opset: 0, classes: BTreeSet::new(), altered: 0, outcome });
                }
            }
        }
        let answers = run(&format!("suite_{k}"), &folder.join(format!("suite_{k}")), &entries);
        for (name, wanted) in expected {
            let outcome = match answers.get(&name) {
                Some(Ok(found)) => compare(found, &wanted.outputs),
                Some(Err(why)) => Err(why.clone()),
                None => Err("no answer".to_string()),
            };
            let outcome = match outcome {
                Ok(ulp) => Outcome::Passed { ulp },
                Err(why) => Outcome::Failed { why },
            };
            rows.insert(name, Row { opset: wanted.opset, classes: wanted.classes, altered: wanted.altered, outcome });
        }
    }
    rows
}

fn entry(case: &Case) -> Result<(Entry, Expected), String> {
    let imported = import_with_info(case)?;
    let (mut model, opset) = (imported.model, imported.info.opsets.get("").copied().unwrap_or(0));
    let sets = case.data_sets(&model)?;
    let classes = classes(&model, &sets);
    if classes.contains(&Class::InputSizes) {
        // The tests declare the extents of their one data set; on other values they would be refused.
        model.guards.retain(|g| !g.what.starts_with("declared size of output"));
    }
    let mut requests = Vec::new();
    let mut wanted = Vec::new();
    let mut count = 0;
    for set in &sets {
        requests.push(set.inputs.clone());
        wanted.push(set.outputs.clone());
        if classes.contains(&Class::InputSizes) {
            for (inputs, outputs) in altered(&model, &set.inputs) {
                requests.push(inputs);
                wanted.push(outputs);
                count += 1;
            }
        }
    }
    let entry = Entry { name: case.name.clone(), model, requests };
    Ok((entry, Expected { opset, classes, altered: count, outputs: wanted }))
}

fn compare(found: &[Result<Vec<Datum>, String>], expected: &[Vec<Datum>]) -> Result<f64, String> {
    let mut worst = 0f64;
    for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
        let run = |what: &str| if k == 0 { what.to_string() } else { format!("run {k} on altered inputs: {what}") };
        let found = found.as_ref().map_err(|e| run(e))?;
        worst = worst.max(outputs(found, expected, SUITE).map_err(|e| run(&e))?);
    }
    Ok(worst)
}

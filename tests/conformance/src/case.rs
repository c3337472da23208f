//! Test cases: a folder with a model and data sets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use graph::datum::Datum;
use graph::graph::Model;

/// A node test.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub folder: PathBuf,
}

/// Inputs of a data set and what must come out.
#[derive(Clone, Debug)]
pub struct DataSet {
    pub inputs: Vec<Datum>,
    pub outputs: Vec<Datum>,
}

/// Where the suite is unpacked: the variable `ONNX_SUITE`, or where `fetch.sh` puts it.
pub fn suite_folder() -> PathBuf {
    if let Some(named) = std::env::var_os("ONNX_SUITE") {
        return PathBuf::from(named);
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).unwrap_or(here);
    root.join("target/onnx-suite/1.22.0/node")
}

/// Names and reasons of the tests that are known not to pass, from `status.txt`.
pub fn known_failures() -> BTreeMap<String, String> {
    let lines = include_str!("../status.txt").lines().filter(|l| !l.starts_with('#'));
    lines.filter_map(|l| l.split_once(' ')).map(|(name, reason)| (name.to_string(), reason.to_string())).collect()
}

/// All node tests by name; none if the suite has not been fetched.
pub fn all(folder: &Path) -> Vec<Case> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut cases: Vec<Case> = entries
        .flatten()
        .filter(|e| e.path().join("model.onnx").exists())
        .map(|e| Case { name: e.file_name().to_string_lossy().into_owned(), folder: e.path() })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

impl Case {
    /// The model file.
    pub fn model(&self) -> PathBuf {
        self.folder.join("model.onnx")
    }

    /// The data sets; values are read by the types of the model's inputs and outputs.
    pub fn data_sets(&self, model: &Model) -> Result<Vec<DataSet>, String> {
        let mut sets = Vec::new();
        for k in 0.. {
            let folder = self.folder.join(format!("test_data_set_{k}"));
            if !folder.exists() {
                break;
            }
            let read = |kind: &str, values: &[graph::graph::ValueId]| {
                values
                    .iter()
                    .enumerate()
                    .map(|(i, v)| {
                        let ty = model.graph.value(*v).map(|v| v.ty.clone()).ok_or("no such value")?;
                        let path = folder.join(format!("{kind}_{i}.pb"));
                        onnx::read_tensor_file(&path, &ty).map_err(|e| e.to_string())
                    })
                    .collect::<Result<Vec<_>, String>>()
            };
            let inputs = read("input", &model.graph.inputs)?;
            let outputs = read("output", &model.graph.outputs)?;
            sets.push(DataSet { inputs, outputs });
        }
        Ok(sets)
    }
}

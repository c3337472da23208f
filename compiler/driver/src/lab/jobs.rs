//! Files of jobs: TOML, each `[[job]]` an operator (or a model) with lists of sizes and dtypes; every combination is a case.
//!
//! ```toml
//! [[job]]
//! op = "softmax"
//! sizes = [[32768, 1024], [8192, 4096]]
//! dtypes = ["f32", "f16"]
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::Error;

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    #[serde(default)]
    pub job: Vec<Job>,
}

/// One entry of a file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// What is computed: see [`Op`].
    pub op: String,
    /// Each a case; what the numbers mean says [`Op`].
    #[serde(default)]
    pub sizes: Vec<Vec<i64>>,
    /// `f32`, `tf32`, `f16`, `bf16`; of a model its precision. `f32` unless told otherwise.
    #[serde(default)]
    pub dtypes: Vec<String>,
    /// Of `transpose`.
    #[serde(default)]
    pub perm: Vec<usize>,
    /// Of `concat`: how many parts of the size lie along which axis.
    #[serde(default)]
    pub parts: Option<usize>,
    #[serde(default)]
    pub axis: Option<usize>,
    /// Pointwise work behind a product or convolution: `bias`, `relu`, `gelu`, `residual`.
    #[serde(default)]
    pub epilogue: Vec<String>,
    /// Whether a product's second operand is an input and no constant.
    #[serde(default)]
    pub free_weights: bool,
    /// Without kernel families.
    #[serde(default)]
    pub generic: bool,
    /// The variants of a family that are timed against each other; without it, the one that the cost model or a lock chooses.
    #[serde(default)]
    pub variants: Option<Variants>,
    /// A lock folder, relative to the file of jobs.
    #[serde(default)]
    pub lock: Option<PathBuf>,
    /// Whether runs use the same memory over and over, so that what fits the cache stays there.
    #[serde(default)]
    pub warm: bool,
    /// An ONNX file, for `op = "model"`; relative to the file of jobs.
    #[serde(default)]
    pub model: Option<PathBuf>,
    /// Each a case: sizes of the model's named dims.
    #[serde(default)]
    pub dims: Vec<BTreeMap<String, i64>>,
}

/// Variants of a kernel family.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Variants {
    /// So many that the cost model puts first.
    First(usize),
    /// By their names.
    Named(Vec<String>),
    /// `"all"`
    All(All),
}

/// The word for all variants.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum All {
    All,
}

/// What a case computes, and its numbers in `sizes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `[extents …]`: the device's copy, which other cases are compared with.
    Copy,
    /// `[n, c, extents …]`: `max(x + bias[c], 0)`.
    BiasRelu,
    /// `[extents …]`, along the last dim.
    RowSum,
    Softmax,
    LayerNorm,
    /// `[extents …]` and `perm`.
    Transpose,
    /// `[table, row, indices]`: so many rows of a table.
    Gather,
    /// `[extents …]` of each part, `parts` and `axis`.
    Concat,
    /// `[m, n, k]` or `[batch, m, n, k]`.
    Gemm,
    /// `[batch, channels, extent, filters, kernel, stride, pad]`, groups last if there are more than one; channels last.
    Conv,
    /// `[batch, heads, queries, keys, size]`.
    Attention,
    /// An ONNX file.
    Model,
}

impl Op {
    /// All, by their names in files.
    pub const ALL: [(&'static str, Op); 12] = [
        ("copy", Op::Copy),
        ("bias_relu", Op::BiasRelu),
        ("row_sum", Op::RowSum),
        ("softmax", Op::Softmax),
        ("layer_norm", Op::LayerNorm),
        ("transpose", Op::Transpose),
        ("gather", Op::Gather),
        ("concat", Op::Concat),
        ("gemm", Op::Gemm),
        ("conv", Op::Conv),
        ("attention", Op::Attention),
        ("model", Op::Model),
    ];
}

/// One problem: a job at one size and dtype.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub name: String,
    pub op: Op,
    pub size: Vec<i64>,
    pub dtype: String,
    pub dims: BTreeMap<String, i64>,
    pub job: Job,
}

/// The cases of a file, in order.
pub fn read(path: &Path) -> Result<Vec<Case>, Error> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
    parse(&text, path)
}

/// The cases of a file's text; `path` is for errors, and models lie relative to its folder.
pub fn parse(text: &str, path: &Path) -> Result<Vec<Case>, Error> {
    let file: File = toml::from_str(text).map_err(|e| Error::file(path, e))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut cases = Vec::new();
    for mut job in file.job {
        job.model = job.model.map(|model| folder.join(model));
        job.lock = job.lock.map(|lock| folder.join(lock));
        cases.extend(expand(&job).map_err(|what| Error::file(path, format!("job {:?}: {what}", job.op)))?);
    }
    Ok(cases)
}

fn expand(job: &Job) -> Result<Vec<Case>, String> {
    let Some((_, op)) = Op::ALL.iter().find(|(name, _)| *name == job.op) else {
        let names: Vec<&str> = Op::ALL.iter().map(|(name, _)| *name).collect();
        return Err(format!("expected one of {}", names.join(", ")));
    };
    let model = *op == Op::Model;
    if model != job.model.is_some() {
        return Err("`model` names the file of an op `model`, and of no other".to_string());
    }
    if !model && job.sizes.is_empty() {
        return Err("expected `sizes`, a list of lists of numbers".to_string());
    }
    let dtypes = if job.dtypes.is_empty() { vec!["f32".to_string()] } else { job.dtypes.clone() };
    let sizes = if model { vec![Vec::new()] } else { job.sizes.clone() };
    let dims = if job.dims.is_empty() { vec![BTreeMap::new()] } else { job.dims.clone() };
    let mut cases = Vec::new();
    for size in &sizes {
        for dims in &dims {
            for dtype in &dtypes {
                let name = name(job, size, dims, dtype);
                let (size, dims, dtype) = (size.clone(), dims.clone(), dtype.clone());
                cases.push(Case { name, op: *op, size, dtype, dims, job: job.clone() });
            }
        }
    }
    Ok(cases)
}

fn name(job: &Job, size: &[i64], dims: &BTreeMap<String, i64>, dtype: &str) -> String {
    let mut words = Vec::new();
    match job.model.as_deref() {
        Some(model) => {
            // Many models are called model.onnx; their folders tell them apart.
            let stem = model.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            let folder = model.parent().and_then(Path::file_name).map(|s| s.to_string_lossy().into_owned());
            words.push(folder.filter(|_| stem == "model").unwrap_or(stem));
        }
        None => words.push(job.op.clone()),
    }
    if !size.is_empty() {
        words.push(size.iter().map(ToString::to_string).collect::<Vec<_>>().join("x"));
    }
    words.extend(dims.iter().map(|(name, value)| format!("{name}={value}")));
    words.push(dtype.to_string());
    words.extend((!job.epilogue.is_empty()).then(|| job.epilogue.join("+")));
    words.extend(job.generic.then(|| "generic".to_string()));
    words.extend(job.warm.then(|| "warm".to_string()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&[&str], &str>) {
        let file: File = toml::from_str(text).unwrap();
        let cases: Result<Vec<Vec<Case>>, String> = file.job.iter().map(expand).collect();
        let names = cases.map(|list| list.into_iter().flatten().map(|case| case.name).collect::<Vec<_>>());
        match expected {
            Ok(expected) => assert_eq!(names.unwrap(), expected),
            Err(part) => assert!(names.clone().unwrap_err().contains(part), "{names:?}"),
        }
    }

    #[test]
    fn every_combination_is_a_case() {
        let text = "[[job]]\nop = \"softmax\"\nsizes = [[8, 16], [4, 4]]\ndtypes = [\"f32\", \"f16\"]\n";
        check(text, Ok(&["softmax 8x16 f32", "softmax 8x16 f16", "softmax 4x4 f32", "softmax 4x4 f16"]));
        let text = "[[job]]\nop = \"model\"\nmodel = \"a/model.onnx\"\ndims = [{ batch = 1 }, { batch = 8 }]\n";
        check(text, Ok(&["a batch=1 f32", "a batch=8 f32"]));
    }

    #[test]
    fn what_is_wrong_is_said() {
        check("[[job]]\nop = \"sofmax\"\nsizes = [[1]]\n", Err("softmax"));
        check("[[job]]\nop = \"softmax\"\n", Err("`sizes`"));
        check("[[job]]\nop = \"gemm\"\nmodel = \"a.onnx\"\n", Err("`model` names"));
        assert!(toml::from_str::<File>("[[job]]\nop = \"gemm\"\nsize = [1]\n").is_err());
    }

    #[test]
    fn the_files_of_the_repository_are_read() {
        for name in ["bandwidth", "products"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../kernels/lab/{name}.toml"));
            assert!(!read(&path).unwrap().is_empty(), "{name}");
        }
    }
}

//! The structures of networks, from `networks/NAME.onnx`: their weights are numbers made up here, so that nothing is downloaded and the
//! compiler makes the kernels that it makes from the whole networks.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use graph::graph::Model;

/// Their names.
pub const NETWORKS: [&str; 4] = ["resnet50", "mobilenet_v2", "bert_base", "lstm"];

/// Bytes of the largest weight and the places of all, for every network.
const BYTES: u64 = 96 << 20;

/// Imports a network with these sizes of named dims.
pub fn import(name: &str, dims: &[(&str, &str)]) -> Result<Model, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |e: std::io::Error| format!("{name}: {e}");
    let folder = here.join("../../target/networks");
    fs::create_dir_all(&folder).map_err(text)?;
    weights(&folder).map_err(text)?;
    let file = folder.join(format!("{name}.onnx"));
    fs::copy(here.join(format!("networks/{name}.onnx")), &file).map_err(text)?;
    import_file(&file, dims)
}

/// Imports a file with these sizes of named dims.
pub fn import_file(file: &Path, dims: &[(&str, &str)]) -> Result<Model, String> {
    let mut options = onnx::Options::default();
    for (dim, size) in dims {
        let range = size.parse().map_err(|e: onnx::DimRangeError| e.to_string())?;
        options.dims.insert((*dim).to_string(), range);
    }
    onnx::import_file(file, &options).map(|i| i.model).map_err(|e| e.to_string())
}

/// Makes the file of weights: small numbers that do not repeat.
fn weights(folder: &Path) -> std::io::Result<PathBuf> {
    let path = folder.join("weights.bin");
    if fs::metadata(&path).is_ok_and(|found| found.len() == BYTES) {
        return Ok(path);
    }
    let unfinished = folder.join(format!("weights.{}", std::process::id()));
    let mut out = BufWriter::new(fs::File::create(&unfinished)?);
    let mut state = 1u32;
    for _ in 0..BYTES / 4 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let number = (f64::from(state) / f64::from(u32::MAX) - 0.5) * 0.06;
        out.write_all(&(number as f32).to_le_bytes())?;
    }
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    fs::rename(&unfinished, &path)?;
    Ok(path)
}

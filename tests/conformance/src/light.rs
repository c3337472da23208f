//! The nine networks of the onnx package whose weights are repeated elements, with the outputs that the package expects of them.

use std::path::{Path, PathBuf};

use crate::case::suite_folder;

/// Extents of the one input of each of them.
pub const IMAGE: [usize; 4] = [1, 3, 224, 224];

/// Their names and model files; none if the suite has not been fetched.
pub fn models() -> Vec<(String, PathBuf)> {
    let folder = suite_folder().parent().map(|root| root.join("light")).unwrap_or_default();
    let Ok(entries) = std::fs::read_dir(&folder) else { return Vec::new() };
    let mut found: Vec<(String, PathBuf)> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|path| path.extension().is_some_and(|e| e == "onnx"))
        .filter_map(|path| Some((path.file_stem()?.to_string_lossy().into_owned(), path)))
        .collect();
    found.sort();
    found
}

/// The input for which the package has outputs: positions over their number.
pub fn input() -> Vec<f32> {
    let count: usize = IMAGE.iter().product();
    (0..count).map(|k| (k as f64 / count as f64) as f32).collect()
}

/// Writes that input and the expected output of a model as a data set.
pub fn write_data_set(model: &Path, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("input_0.pb"), tensor_file(&IMAGE, &input()))?;
    let stem = model.file_stem().unwrap_or_default().to_string_lossy();
    std::fs::copy(model.with_file_name(format!("{stem}_output_0.pb")), folder.join("output_0.pb")).map(|_| ())
}

/// A `TensorProto` of floats: `dims`, `data_type` and `raw_data`.
fn tensor_file(dims: &[usize], values: &[f32]) -> Vec<u8> {
    let mut out = Vec::new();
    for dim in dims {
        out.push(1 << 3);
        varint(*dim, &mut out);
    }
    out.extend([2 << 3, 1, 9 << 3 | 2]);
    varint(values.len() * 4, &mut out);
    out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    out
}

fn varint(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

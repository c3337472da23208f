//! The structures of networks, from `networks/NAME.onnx`: their weights are numbers made up here, so that nothing is downloaded and the
//! compiler makes the kernels that it makes from the whole networks.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use graph::graph::Model;
use graph::node::{Blob, Const, Op};
use graph::tensor::Tensor;
use graph::ty::TensorType;

use crate::resize::Resize;

/// Those whose kernels are assembled for every architecture.
pub const NETWORKS: [&str; 4] = ["resnet50", "mobilenet_v2", "bert_base", "lstm"];

/// Bytes of the largest weight and the places of all, for every network.
const BYTES: u64 = 160 << 20;

/// Behind those stand so many bytes of zeros, and as many of ones.
const SPLAT: u64 = 64 << 10;

/// The numbers lie between minus and plus this, evenly.
const HALF: f64 = 0.03;

/// Imports a network with these sizes of named dims.
pub fn import(name: &str, dims: &[(&str, &str)]) -> Result<Model, String> {
    let file = in_folder(name)?;
    import_file(&file, dims)
}

/// Imports a network at other sizes, with weights of the mean and deviation that its own have.
pub fn import_resized(name: &str, dims: &[(&str, &str)], resize: &Resize) -> Result<Model, String> {
    let mut model = import_file_resized(&in_folder(name)?, dims, resize)?;
    scale(&mut model)?;
    Ok(model)
}

/// Imports a file at other sizes.
pub fn import_file_resized(file: &Path, dims: &[(&str, &str)], resize: &Resize) -> Result<Model, String> {
    let text = |e: String| format!("{}: {e}", file.display());
    let bytes = fs::read(file).map_err(|e| text(e.to_string()))?;
    let bytes = resize.apply(&bytes).map_err(text)?;
    onnx::import_bytes(bytes.into(), file.parent(), &options(dims)?).map(|i| i.model).map_err(|e| e.to_string())
}

/// Imports a file with these sizes of named dims.
pub fn import_file(file: &Path, dims: &[(&str, &str)]) -> Result<Model, String> {
    onnx::import_file(file, &options(dims)?).map(|i| i.model).map_err(|e| e.to_string())
}

fn options(dims: &[(&str, &str)]) -> Result<onnx::Options, String> {
    let mut options = onnx::Options::default();
    for (dim, size) in dims {
        let range = size.parse().map_err(|e: onnx::DimRangeError| e.to_string())?;
        options.dims.insert((*dim).to_string(), range);
    }
    Ok(options)
}

/// A copy of a network beside the file of weights.
fn in_folder(name: &str) -> Result<PathBuf, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |e: std::io::Error| format!("{name}: {e}");
    let folder = here.join("../../target/networks");
    fs::create_dir_all(&folder).map_err(text)?;
    weights(&folder).map_err(text)?;
    let file = folder.join(format!("{name}.onnx"));
    // Others may be reading the file.
    let unfinished = unfinished(&folder, name);
    fs::copy(here.join(format!("networks/{name}.onnx")), &unfinished).map_err(text)?;
    fs::rename(&unfinished, &file).map_err(text)?;
    Ok(file)
}

/// A name of this thread alone.
fn unfinished(folder: &Path, name: &str) -> PathBuf {
    let thread = format!("{:?}", std::thread::current().id()).replace(['(', ')'], "");
    folder.join(format!("{name}.{}.{thread}", std::process::id()))
}

/// Makes the file of weights: small numbers that do not repeat.
fn weights(folder: &Path) -> std::io::Result<PathBuf> {
    let path = folder.join("weights.bin");
    if fs::metadata(&path).is_ok_and(|found| found.len() == BYTES + 2 * SPLAT) {
        return Ok(path);
    }
    let unfinished = unfinished(folder, "weights");
    let mut out = BufWriter::new(fs::File::create(&unfinished)?);
    let repeated = [0f32, 1.0].into_iter().flat_map(|value| std::iter::repeat_n(value, (SPLAT / 4) as usize));
    for number in numbers().take((BYTES / 4) as usize).chain(repeated) {
        out.write_all(&number.to_le_bytes())?;
    }
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    fs::rename(&unfinished, &path)?;
    Ok(path)
}

/// Small numbers that do not repeat.
fn numbers() -> impl Iterator<Item = f32> {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let states = std::iter::successors(next(&1), next);
    states.map(|state| ((f64::from(state) / f64::from(u32::MAX) - 0.5) * 2.0 * HALF) as f32)
}

/// Gives weights the mean and the deviation that their names tell: `v7 0 0.021`. Those that are all equal get numbers that are not, so
/// that they are not folded into their readers.
fn scale(model: &mut Model) -> Result<(), String> {
    for node in &mut model.graph.nodes {
        let Op::Const(constant) = &mut node.op else { continue };
        let Some(value) = node.results.first().and_then(|r| model.graph.values.get(r.0 as usize)) else { continue };
        let Some((mean, deviation)) = value.name.as_deref().and_then(told) else { continue };
        let scaled = |tensor: &Tensor| {
            // Even numbers between -1 and 1 have a deviation of the root of a third.
            let factor = deviation * 3f64.sqrt() / HALF;
            let mut values = Vec::with_capacity(tensor.bytes().len());
            let mut put =
                |number: f32| values.extend_from_slice(&((mean + f64::from(number) * factor) as f32).to_le_bytes());
            let given = || tensor.bytes().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            if given().all(|number| number == 0.0 || number == 1.0) {
                numbers().take(given().count()).for_each(&mut put);
            } else {
                given().for_each(&mut put);
            }
            Tensor::from_bytes(tensor.dtype(), tensor.shape().to_vec(), values.into()).map_err(|e| e.to_string())
        };
        match constant {
            Const::Inline(tensor) => *tensor = scaled(tensor)?,
            Const::Blob(blob) => {
                let tensor = scaled(&blob.tensor)?;
                *blob = Blob { hash: tensor.hash(), tensor };
            }
            Const::Splat(element) => {
                let Some(shape) = value.ty.as_tensor().and_then(TensorType::static_shape) else { continue };
                let tensor = scaled(&Tensor::splat(*element, shape).map_err(|e| e.to_string())?)?;
                *constant = Const::Blob(Blob { hash: tensor.hash(), tensor });
            }
            Const::Iota => {}
        }
    }
    Ok(())
}

/// Mean and deviation in a weight's name.
fn told(name: &str) -> Option<(f64, f64)> {
    let mut words = name.split(' ').skip(1);
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

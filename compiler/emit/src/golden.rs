//! Golden values as files of the generated crate: one per tensor, bytes as they lie in memory.

use graph::tensor::Tensor;

use crate::model::{Contents, Files};
use crate::options::Golden;

/// The files under `tests/golden`.
pub fn files(golden: &Golden) -> Files {
    let mut files = Files::new();
    for (kind, tensors) in [("input", &golden.inputs), ("output", &golden.outputs)] {
        for (k, tensor) in tensors.iter().enumerate() {
            files.insert(path(kind, k), Contents(vec![tensor.bytes().clone()]));
        }
    }
    files
}

/// Path of one tensor's file.
fn path(kind: &str, position: usize) -> String {
    format!("tests/golden/{kind}_{position}.bin")
}

/// A tensor as an expression of the generated test.
pub fn expression(kind: &str, position: usize, tensor: &Tensor) -> String {
    let file = format!("golden/{kind}_{position}.bin");
    let shape: Vec<String> = tensor.shape().iter().map(usize::to_string).collect();
    format!("tensor(DType::{:?}, &[{}], include_bytes!(\"{file}\"))", tensor.dtype(), shape.join(", "))
}

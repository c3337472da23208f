//! Networks at other sizes than their files have: numbers of the file are replaced by others.

use onnx::proto::tensor_shape_proto::dimension::Value as Size;
use onnx::proto::type_proto::Value as Kind;
use onnx::proto::{ModelProto, TensorProto, ValueInfoProto};
use prost::Message;

/// What takes the place of what: `(224, 32)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resize<'a> {
    /// Dims of inputs.
    pub inputs: &'a [(i64, i64)],
    /// Dims of floating-point initializers; they keep their first elements.
    pub weights: &'a [(i64, i64)],
    /// Dims of other initializers and constants, and the elements of shapes among them.
    pub shapes: &'a [(i64, i64)],
    /// Extents of average pools.
    pub pools: &'a [(i64, i64)],
}

/// A size, or what takes its place.
fn other(pairs: &[(i64, i64)], size: i64) -> i64 {
    pairs.iter().find(|(from, _)| *from == size).map_or(size, |(_, to)| *to)
}

impl Resize<'_> {
    /// A model file with the sizes replaced.
    pub fn apply(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut model = ModelProto::decode(bytes).map_err(|e| e.to_string())?;
        let graph = model.graph.as_mut().ok_or("no graph")?;
        graph.input.iter_mut().for_each(|input| self.input(input));
        for tensor in &mut graph.initializer {
            match tensor.data_type {
                Some(1) => resize_weight(tensor, self.weights),
                _ => self.shape(tensor)?,
            }
        }
        let constants = graph.node.iter_mut().filter(|n| n.op_type.as_deref() == Some("Constant"));
        for tensor in constants.flat_map(|n| &mut n.attribute).filter_map(|a| a.t.as_mut()) {
            if tensor.data_type == Some(7) {
                self.shape(tensor)?;
            }
        }
        let pools = graph.node.iter_mut().filter(|n| n.op_type.as_deref() == Some("AveragePool"));
        for attribute in pools.flat_map(|n| &mut n.attribute) {
            if attribute.name.as_deref() == Some("kernel_shape") {
                attribute.ints.iter_mut().for_each(|extent| *extent = other(self.pools, *extent));
            }
        }
        // What the file says of outputs need not hold any more.
        for output in &mut graph.output {
            if let Some(Kind::TensorType(tensor)) = output.r#type.as_mut().and_then(|t| t.value.as_mut()) {
                tensor.shape = None;
            }
        }
        Ok(model.encode_to_vec())
    }

    fn input(&self, input: &mut ValueInfoProto) {
        let Some(Kind::TensorType(tensor)) = input.r#type.as_mut().and_then(|t| t.value.as_mut()) else { return };
        for dim in tensor.shape.iter_mut().flat_map(|s| &mut s.dim) {
            if let Some(Size::DimValue(size)) = &mut dim.value {
                *size = other(self.inputs, *size);
            }
        }
    }

    /// Integers and masks: their first elements along each dim; elements of small ones are sizes.
    fn shape(&self, tensor: &mut TensorProto) -> Result<(), String> {
        let Some(raw) = tensor.raw_data.clone().filter(|_| !self.shapes.is_empty()) else { return Ok(()) };
        let old = tensor.dims.clone();
        tensor.dims.iter_mut().for_each(|d| *d = other(self.shapes, *d));
        let count: i64 = old.iter().product();
        let width = raw.len() / usize::try_from(count.max(1)).map_err(|e| e.to_string())?;
        let mut kept = Vec::new();
        for (k, element) in raw.chunks_exact(width.max(1)).enumerate() {
            let mut rest = k as i64;
            let inside = old.iter().zip(&tensor.dims).rev().all(|(old, new)| {
                let at = rest % old;
                rest /= old;
                at < *new
            });
            if inside {
                kept.extend_from_slice(element);
            }
        }
        if tensor.data_type == Some(7) && old.len() == 1 && kept.len() <= 64 {
            for element in kept.chunks_exact_mut(8) {
                let value = element.iter().rev().fold(0i64, |v, b| v << 8 | i64::from(*b));
                element.copy_from_slice(&other(self.shapes, value).to_le_bytes());
            }
        }
        tensor.raw_data = Some(kept.into());
        Ok(())
    }
}

/// A weight that lies in another file.
fn resize_weight(tensor: &mut TensorProto, pairs: &[(i64, i64)]) {
    if tensor.external_data.is_empty() {
        return;
    }
    tensor.dims.iter_mut().for_each(|d| *d = other(pairs, *d));
    let bytes = 4 * tensor.dims.iter().product::<i64>();
    for entry in &mut tensor.external_data {
        if entry.key.as_deref() == Some("length") {
            entry.value = Some(bytes.to_string());
        }
    }
}

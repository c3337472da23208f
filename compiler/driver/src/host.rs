//! The host side of a program that runs in process: host operators by their meaning, kernels over strings by the interpreter.

use emit::gpu::HostEntry;
use graph::datum::Datum;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::tensor::Tensor;
use nest::kernel::{Kernel, Port};
use onnx::hosted::{from_datum, to_datum};
use runtime_min::datum as runtime;
use runtime_min::gpu::options::HostOps;

/// What `Host` steps call, and the constants that are no bytes.
#[derive(Debug)]
pub struct Host {
    entries: Vec<HostEntry>,
    constants: Vec<runtime::Datum>,
}

impl Host {
    /// The host of a program; `constants` are the weights of strings.
    pub fn new(entries: Vec<HostEntry>, constants: &[Tensor]) -> Host {
        let constants = constants.iter().map(|t| to_datum(&Datum::Tensor(t.clone()))).collect();
        Host { entries, constants }
    }
}

impl HostOps for Host {
    fn call(&self, call: u32, operands: &[&runtime::Datum]) -> Result<Vec<runtime::Datum>, String> {
        let entry = self.entries.get(call as usize).ok_or_else(|| format!("the program has no host entry {call}"))?;
        let operands = operands.iter().map(|d| from_datum((*d).clone()).map_err(|e| e.to_string()));
        let operands = operands.collect::<Result<Vec<_>, _>>()?;
        let results = match entry {
            HostEntry::Operator { op, attrs } => (op.eval)(attrs, &operands).map_err(|e| e.to_string())?,
            HostEntry::Kernel(kernel) => run_kernel(kernel, &operands)?,
        };
        Ok(results.iter().map(to_datum).collect())
    }

    fn constant(&self, index: u32) -> Option<&runtime::Datum> {
        self.constants.get(index as usize)
    }
}

/// Runs a kernel of constant sizes. Operands that are no strings are whole buffers.
fn run_kernel(kernel: &Kernel, operands: &[Datum]) -> Result<Vec<Datum>, String> {
    let mut logical = Vec::with_capacity(operands.len());
    for (port, operand) in kernel.operands.iter().zip(operands) {
        let tensor = operand.as_tensor().ok_or_else(|| format!("expected a tensor, found {}", operand.describe()))?;
        logical.push(seen_by(port, tensor)?);
    }
    let results = nest::interpret::run(kernel, &[], &logical).map_err(|e| e.to_string())?;
    Ok(results.into_iter().map(Datum::Tensor).collect())
}

/// The tensor that a port sees in a buffer.
fn seen_by(port: &Port, buffer: &Tensor) -> Result<Tensor, String> {
    let constant = |d: &Dim| d.as_const().ok_or_else(|| "a size is not known".to_string());
    let shape =
        port.shape.iter().map(|d| d.as_size().ok_or("an extent is not known")).collect::<Result<Vec<_>, _>>()?;
    if port.dtype == DType::Str {
        return Tensor::from_strings(shape, buffer.strings().to_vec()).map_err(|e| e.to_string());
    }
    let offset = constant(&port.access.offset)?;
    let strides = port.access.strides.iter().map(constant).collect::<Result<Vec<_>, _>>()?;
    let mut elements = Vec::new();
    for position in 0..shape.iter().product::<usize>() {
        let (mut rest, mut address) = (position, offset);
        for (d, extent) in shape.iter().enumerate().rev() {
            let (index, stride) = ((rest % extent) as i64, strides.get(d).copied().unwrap_or(0));
            rest /= extent;
            address += match port.access.block.filter(|b| b.dim == d) {
                Some(b) => index / b.factor * stride + index % b.factor,
                None => index * stride,
            };
        }
        let element = usize::try_from(address).ok().and_then(|k| buffer.get(k));
        elements.push(element.ok_or_else(|| format!("element {address} is outside of the buffer"))?);
    }
    Tensor::from_scalars(port.dtype, shape, &elements).map_err(|e| e.to_string())
}

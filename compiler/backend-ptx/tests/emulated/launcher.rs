//! Runs the launches of a kernel on the emulator: buffers, grids, arguments.

use backend_ptx::facts::Limits;
use backend_ptx::launch::Addresses;
use graph::dim::SymId;
use graph::dtype::DType;
use graph::scalar::Scalar;
use graph::tensor::{Packer, Tensor};
use nest::kernel::{Kernel, Port};
use ptx::Sm;
use ptx_emu::{Device, Launch, Module, Options};

/// How far a float may be from its meaning.
#[derive(Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// No bit differs.
    Exact,
    /// So many units in the last place of f32; one of a float that has less, as it may be rounded either way.
    Ulp(u32),
}

pub fn shape_of(port: &Port, sizes: &[i64]) -> Vec<usize> {
    port.shape
        .iter()
        .map(|d| usize::try_from(d.eval(&|id: SymId| sizes.get(id.0 as usize).copied()).unwrap()).unwrap())
        .collect()
}

fn value(dim: &graph::dim::Dim, sizes: &[i64]) -> i64 {
    dim.eval(&|id| sizes.get(id.0 as usize).copied()).unwrap()
}

/// Addresses of all elements of a port, in row-major order of its indices.
fn addresses(port: &Port, sizes: &[i64]) -> Vec<usize> {
    let shape = shape_of(port, sizes);
    let count = shape.iter().product::<usize>();
    let mut out = Vec::with_capacity(count);
    for linear in 0..count {
        let (mut rest, mut at) = (linear as i64, value(&port.access.offset, sizes));
        for d in (0..shape.len()).rev() {
            let i = rest % shape[d] as i64;
            rest /= shape[d] as i64;
            let stride = value(&port.access.strides[d], sizes);
            at += match port.access.block.filter(|b| b.dim == d) {
                Some(b) => (i / b.factor) * stride + i % b.factor,
                None => i * stride,
            };
        }
        out.push(usize::try_from(at).unwrap());
    }
    out
}

/// A buffer with the elements of a tensor at the addresses of a port; zeros elsewhere.
fn buffer(port: &Port, sizes: &[i64], tensor: Option<&Tensor>) -> Vec<u8> {
    let at = addresses(port, sizes);
    let length = at.iter().max().map_or(1, |m| m + 1);
    let mut elements = vec![Scalar::zero(port.dtype); length];
    if let Some(tensor) = tensor {
        for (at, scalar) in at.iter().zip(tensor.scalars()) {
            elements[*at] = scalar;
        }
    }
    let mut packer = Packer::new(port.dtype, length).unwrap();
    elements.iter().for_each(|e| packer.push(e.bits));
    let mut bytes = packer.finish().to_vec();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The results of a kernel, by the emulator, or what is wrong with it.
pub fn run(kernel: &Kernel, sizes: &[i64], operands: &[Tensor], limits: &Limits) -> Result<Vec<Tensor>, String> {
    let kernels = backend_ptx::compile_within(kernel, Sm::Sm90a, limits).map_err(|e| e.to_string())?;
    let mut device = Device::new(Options { max_instructions: 1 << 32, ..Options::default() });
    let place = |device: &mut Device, bytes: &[u8]| device.alloc_with(bytes);
    let reads: Vec<u64> = kernel
        .operands
        .iter()
        .zip(operands)
        .map(|(port, tensor)| place(&mut device, &buffer(port, sizes, Some(tensor))))
        .collect();
    let blank: Vec<Vec<u8>> = kernel.results.iter().map(|port| buffer(port, sizes, None)).collect();
    let writes: Vec<u64> = blank.iter().map(|bytes| place(&mut device, bytes)).collect();
    let workspace = device.alloc(u64::try_from(value(&kernels.workspace, sizes).max(1)).unwrap());
    let addresses_of = Addresses { reads: &reads, writes: &writes, workspace };
    for (k, launch) in kernels.launches.iter().enumerate() {
        let text = ptx::print(&launch.module);
        let grid = launch.grid_for(sizes).unwrap();
        if grid.contains(&0) {
            continue;
        }
        let prepared = launch.prepare(sizes, addresses_of).unwrap();
        let module = Module::parse(&text).map_err(|e| format!("launch {k}: {e}\n{text}"))?;
        let mut run = Launch::new(&launch.entry, prepared.grid, launch.block, &prepared.params);
        run.dynamic_shared = prepared.dynamic_shared;
        if let Err(faults) = device.launch(&module, &run) {
            let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
            return Err(format!("launch {k} of {}:\n{}\n{text}", kernels.launches.len(), lines.join("\n")));
        }
    }
    let results = kernel
        .results
        .iter()
        .zip(&writes)
        .zip(&blank)
        .map(|((port, address), blank)| {
            let bytes = device.read(*address, blank.len() as u64).unwrap();
            let length = bytes.len() * 8 / port.dtype.bits() as usize;
            let whole = Tensor::from_bytes(port.dtype, vec![length], bytes.into()).unwrap();
            let elements: Vec<Scalar> = addresses(port, sizes).into_iter().map(|at| whole.get(at).unwrap()).collect();
            Tensor::from_scalars(port.dtype, shape_of(port, sizes), &elements).unwrap()
        })
        .collect();
    Ok(results)
}

fn ulps(a: f64, b: f64) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) {
        return 0.0;
    }
    let spacing = f64::from(f32::EPSILON) * a.abs().max(b.abs()).max(f64::from(f32::MIN_POSITIVE));
    (a - b).abs() / spacing * 2.0
}

/// Whether two values of 16 bits have none between them.
fn are_neighbours(dtype: DType, a: f64, b: f64) -> bool {
    let (fraction, smallest) = match dtype {
        DType::F16 => (10, 2f64.powi(-14)),
        DType::BF16 => (7, 2f64.powi(-126)),
        _ => return false,
    };
    let size = a.abs().max(b.abs()).max(smallest);
    size.is_finite() && (a - b).abs() <= 2f64.powi(size.log2().floor() as i32 - fraction)
}

/// The first element that differs by more than it may.
pub fn difference(found: &Tensor, expected: &Tensor, tolerance: Tolerance) -> Option<String> {
    if found.shape() != expected.shape() {
        return Some(format!("shape {:?}, expected {:?}", found.shape(), expected.shape()));
    }
    found.scalars().zip(expected.scalars()).enumerate().find_map(|(k, (a, b))| {
        let same = match tolerance {
            Tolerance::Exact => a == b,
            Tolerance::Ulp(n) => {
                let (x, y) = (a.as_f64(), b.as_f64());
                a == b || (a.dtype.is_float() && (ulps(x, y) <= f64::from(n) || are_neighbours(a.dtype, x, y)))
            }
        };
        (!same).then(|| format!("element {k}: found {a:?} ({}), expected {b:?} ({})", a.as_f64(), b.as_f64()))
    })
}

//! Runs kernels on the emulator and compares them with their meaning.

mod launcher;

use backend_ptx::facts::Limits;
use graph::dtype::DType;
use graph::scalar::Scalar;
use graph::tensor::Tensor;
use nest::kernel::Kernel;
use ptx::Sm;

use crate::assembler;
pub use launcher::{Tolerance, difference, run, shape_of};

/// A fixed sequence of numbers.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An element: small numbers with fractions, small integers, both truths.
    pub fn element(&mut self, dtype: DType) -> Scalar {
        let n = self.next() % 33;
        let small = n as i64 - 16;
        match dtype {
            DType::Bool => Scalar::bool(n.is_multiple_of(2)),
            _ if dtype.is_float() => Scalar::from_f64(dtype, small as f64 / 4.0),
            _ => Scalar::from_i64(dtype, small),
        }
    }

    pub fn tensor(&mut self, dtype: DType, shape: Vec<usize>) -> Tensor {
        let count = shape.iter().product::<usize>();
        let elements: Vec<Scalar> = (0..count).map(|_| self.element(dtype)).collect();
        Tensor::from_scalars(dtype, shape, &elements).unwrap()
    }
}

/// Every launch of a kernel, seen by `ptxas` for the oldest target, a common one and the newest in use.
pub fn assemble(kernel: &Kernel, name: &str) {
    for sm in [Sm::Sm75, Sm::Sm80, Sm::Sm90a] {
        let kernels = backend_ptx::compile(kernel, sm).unwrap_or_else(|e| panic!("{e}"));
        for (k, launch) in kernels.launches.iter().enumerate() {
            assembler::check(sm, &format!("{name}_{sm}_{k}"), &ptx::print(&launch.module));
        }
    }
}

/// A kernel does on the emulator what it means, for these operands.
#[track_caller]
pub fn check_with(kernel: &Kernel, sizes: &[i64], operands: &[Tensor], tolerance: Tolerance) {
    let expected = nest::interpret::run(kernel, sizes, operands).unwrap();
    // Every way that large sizes take, at small ones.
    for limits in
        [Limits::default(), Limits { narrow: 0, ..Limits::default() }, Limits { narrow: 1 << 20, kept: 0, sorted: 1 }]
    {
        let found = run(kernel, sizes, operands, &limits).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(found.len(), expected.len());
        for (k, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let wrong = difference(found, expected, tolerance);
            assert!(wrong.is_none(), "result {k} for sizes {sizes:?} within {limits:?}: {}", wrong.unwrap_or_default());
        }
    }
}

/// A kernel from text, for several values of its parameters, on numbers from a fixed sequence.
#[track_caller]
pub fn check(name: &str, text: &str, all_sizes: &[&[i64]], tolerance: Tolerance) {
    let kernel = nest::text::parse(text).unwrap_or_else(|e| panic!("{e}"));
    if let Err(violations) = nest::verify::kernel(&kernel) {
        panic!("{}", violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
    assemble(&kernel, name);
    for sizes in all_sizes {
        let mut numbers = Numbers(7);
        let operands: Vec<Tensor> =
            kernel.operands.iter().map(|o| numbers.tensor(o.dtype, shape_of(o, sizes))).collect();
        check_with(&kernel, sizes, &operands, tolerance);
    }
}

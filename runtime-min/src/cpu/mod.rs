//! CPU kernels: safe functions over plain slices, chosen at run time for the processor at hand.
//!
//! No kernel allocates, panics, or knows about the graph. Finished values go to a [`tile::Store`], which the generated code
//! implements (bias, activation, residual, any layout). Sizes are arguments; only register tiles are constants.
//!
//! ```text
//! pack (weights, B) ─► gemm, conv, conv_transpose, stem ─► micro (one register tile over runs of k)
//!                         │                                └► micro_avx512 | micro_avx2 | micro_portable
//!                         └► rnn, lstm, gru
//! depthwise, pool ─► window ─┐
//! rows, math                ─┴► isa::vectorize (plain loops, compiled once per instruction set)
//! nms: boxes that overlap better ones
//! narrow: 8-, 4- and 2-bit formats, integer code
//! ```
#![allow(unsafe_code, reason = "vector intrinsics and the pointers of register tiles; every block has its argument")]

pub mod conv;
#[cfg(test)]
mod conv_tests;
pub mod conv_transpose;
#[cfg(test)]
mod conv_transpose_tests;
pub mod depthwise;
pub mod each_row;
pub mod gemm;
pub mod gru;
pub mod isa;
mod lanes;
pub mod lstm;
pub mod math;
mod micro;
#[cfg(target_arch = "x86_64")]
mod micro_avx2;
#[cfg(target_arch = "x86_64")]
mod micro_avx512;
mod micro_portable;
pub mod narrow;
pub mod nms;
#[cfg(test)]
mod noise;
pub mod pack;
pub mod pool;
pub mod product;
pub mod rnn;
#[cfg(test)]
mod rnn_tests;
pub mod rows;
pub mod scalar;
pub mod slab;
pub mod stem;
pub mod tile;
pub mod window;
#[cfg(test)]
mod window_tests;

/// Channels in one block, and columns in one packed panel, on every instruction set.
pub const BLOCK: usize = 16;

/// What a kernel refuses. Nothing has been written to the store when one of these comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelError {
    /// A slice is shorter than the sizes ask for.
    Length {
        /// The argument.
        what: &'static str,
        /// Least number of elements.
        expected: usize,
        /// Elements found.
        found: usize,
    },
    /// Sizes that contradict each other, or whose product does not fit `usize`.
    Shape {
        /// The rule that does not hold.
        rule: &'static str,
    },
}

impl core::fmt::Display for KernelError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Length { what, expected, found } => {
                write!(f, "`{what}` holds {found} elements, at least {expected} are needed")
            }
            Self::Shape { rule } => write!(f, "kernel sizes: {rule}"),
        }
    }
}

impl core::error::Error for KernelError {}

/// `Ok` if `found` elements are enough.
pub(crate) fn need(what: &'static str, expected: Option<usize>, found: usize) -> Result<(), KernelError> {
    match expected {
        Some(expected) if expected <= found => Ok(()),
        Some(expected) => Err(KernelError::Length { what, expected, found }),
        None => Err(KernelError::Shape { rule: "the element count fits usize" }),
    }
}

/// The product of `sizes`, unless it overflows.
pub(crate) fn product(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1usize, |acc, &size| acc.checked_mul(size))
}

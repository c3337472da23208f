//! The 16-bit floats as elements. Only in crates whose model has them. One of the few files with `unsafe` code.

#![allow(unsafe_code, reason = "two marker traits")]

use half::{bf16, f16};

use super::memory::{Element, Nested, Plain};

macro_rules! elements {
    ($($ty:ty)*) => {
        $(
            // SAFETY: a transparent `u16`; every bit pattern is a value.
            unsafe impl Plain for $ty {}
            // SAFETY: as above.
            unsafe impl Element for $ty {}
            // SAFETY: one element.
            unsafe impl Nested for $ty {
                type Element = $ty;
                const COUNT: usize = 1;
            }
        )*
    };
}

elements!(f16 bf16);

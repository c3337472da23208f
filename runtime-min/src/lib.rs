//! What generated crates need at run time: a few files, copied into each crate as they are.

pub mod datum;

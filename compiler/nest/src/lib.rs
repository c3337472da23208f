//! Loop nests: what is computed by the generic way, after fusion, with physical addresses.
//!
//! - [`layout`]: order and blocking of dims in memory. [`index`]: index expressions as polynomials.
//! - [`kernel`]: the data that back ends print. [`fuse`], [`rows`]: building it from graph nodes. [`verify`]: its rules. [`text`]: print
//!   and parse.

pub mod abstraction;
pub mod build;
pub mod fuse;
pub mod index;
pub mod interpret;
pub mod kernel;
pub mod layout;
pub mod rows;
pub mod text;
pub mod verify;

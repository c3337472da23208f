//! The plan: from a verified graph to buffers and steps for one target.
//!
//! - [`plan`]: the data. [`claim`]: what kernel families offer. [`facts`]: what is asked of a graph again and again.

pub mod claim;
pub mod facts;
pub mod group;
pub mod open;
pub mod plan;

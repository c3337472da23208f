//! The official ONNX node tests, stage by stage.
//!
//! [`case`] finds and loads them, [`stage`] runs one up to a stage, [`compare`] holds results against expectations.

pub mod case;
pub mod compare;
pub mod stage;

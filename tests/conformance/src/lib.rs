//! The official ONNX node tests, stage by stage.
//!
//! [`case`] finds and loads them, [`stage`] runs one up to a stage, [`compare`] holds results against expectations;
//! [`texts`] verifies, prints and parses what comes between.

pub mod case;
pub mod compare;
pub mod stage;
pub mod texts;

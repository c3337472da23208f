//! The official ONNX node tests, stage by stage.
//!
//! [`case`] finds and loads them, [`stage`] runs one up to a stage, [`compare`] holds results against expectations;
//! [`texts`] verifies, prints and parses what comes between.

pub mod altered;
pub mod architectures;
pub mod assembler;
pub mod case;
pub mod class;
pub mod compare;
pub mod crates;
pub mod device;
pub mod emulated;
pub mod forms;
pub mod hardware;
pub mod light;
pub mod lowered;
pub mod networks;
pub mod planted;
pub mod resize;
pub mod spills;
pub mod stage;
pub mod suite;
pub mod texts;
pub mod texts_of_kernels;

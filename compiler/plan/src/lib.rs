//! The plan: from a verified graph to buffers and steps for one target.
//!
//! - [`plan`]: the data; [`verify`]: its rules; [`text`]: print and parse; [`eval_plan`]: the meaning; [`contents`]: of weights.
//! - [`claim`]: what kernel families offer. [`facts`]: what is asked of a graph again and again.
//! - [`target`]: what planning asks of a target. [`tuning`]: which variant a claim runs in.
//! - [`planner`]: the way there: [`open`] regions, [`group`] nodes, choose layouts, lay out steps; then [`arena`] offsets and
//!   the partial [`order`].

pub mod arena;
pub mod bound;
pub mod claim;
pub mod contents;
pub mod error;
pub mod eval_plan;
pub mod facts;
pub mod group;
pub mod open;
pub mod order;
pub mod plan;
pub mod planner;
pub mod target;
pub mod text;
pub mod touch;
pub mod tuning;
pub mod verify;

pub use planner::{plan_model, plan_tuned};
pub use target::Target;

//! The commands, one file each.

mod eval;
mod kernel;
mod parse;
mod pass;
pub(crate) mod plan;
mod plan_text;
mod verify;

use crate::Case;

/// A command: yields the case as it would be if all of its expectations were right.
pub struct Command {
    pub name: &'static str,
    pub run: fn(&Case) -> Result<Case, String>,
}

/// All commands.
pub const COMMANDS: &[Command] = &[
    eval::COMMAND,
    kernel::COMMAND,
    parse::COMMAND,
    pass::COMMAND,
    pass::PIPELINE,
    plan::COMMAND,
    plan_text::COMMAND,
    verify::COMMAND,
];

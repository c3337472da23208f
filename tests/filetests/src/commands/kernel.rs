//! `test kernel`: the body is what the kernel in it prints as, and its violations are the lines `error: RULE PLACE: MESSAGE`;
//! or it is refused with `error: LINE:COLUMN: MESSAGE`.

use nest::{text, verify};

use crate::{Case, Command};

pub const COMMAND: Command = Command { name: "kernel", run };

fn run(case: &Case) -> Result<Case, String> {
    let kernel = match text::parse(&case.body) {
        Ok(kernel) => kernel,
        Err(error) => return Ok(case.with_lines("error: ", [error.to_string()])),
    };
    let violations = verify::kernel(&kernel).err().unwrap_or_default();
    let mut out = case.with_lines("error: ", violations.iter().map(ToString::to_string));
    out.body = text::print(&kernel);
    Ok(out)
}

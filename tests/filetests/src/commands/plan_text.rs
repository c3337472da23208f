//! `test plan-text`: the body is what the plan in it prints as, and its violations are the lines `error: RULE PLACE: MESSAGE`;
//! or it is refused with `error: LINE:COLUMN: MESSAGE`.

use plan::{text, verify};

use crate::{Case, Command, TestCode, registry};

pub const COMMAND: Command = Command { name: "plan-text", run };

fn run(case: &Case) -> Result<Case, String> {
    let plan = match text::parse::<TestCode>(&case.body, &registry()) {
        Ok(plan) => plan,
        Err(error) => return Ok(case.with_lines("error: ", [error.to_string()])),
    };
    let violations = verify::plan(&plan).err().unwrap_or_default();
    let mut out = case.with_lines("error: ", violations.iter().map(ToString::to_string));
    out.body = text::print(&plan);
    Ok(out)
}

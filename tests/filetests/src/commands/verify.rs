//! `test verify`: the violations of the model are the header's lines `error: RULE PLACE: MESSAGE`; without any, it verifies.

use graph::{text, verify};

use crate::{Case, Command, registry};

pub const COMMAND: Command = Command { name: "verify", run };

fn run(case: &Case) -> Result<Case, String> {
    let model = text::parse(&case.body, &registry()).map_err(|error| error.to_string())?;
    let violations = verify::model(&model).err().unwrap_or_default();
    Ok(case.with_lines("error: ", violations.iter().map(ToString::to_string)))
}

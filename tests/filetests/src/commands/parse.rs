//! `test parse`: the body parses and is exactly what the parsed model prints as; or `error: LINE:COLUMN: MESSAGE`, where
//! lines count from the first of the body.

use graph::text;

use crate::{Case, Command, registry};

pub const COMMAND: Command = Command { name: "parse", run };

fn run(case: &Case) -> Result<Case, String> {
    match text::parse(&case.body, &registry()) {
        Ok(model) => {
            let mut out = case.with_lines("error: ", []);
            out.body = text::print(&model);
            Ok(out)
        }
        Err(error) => Ok(case.with_lines("error: ", [error.to_string()])),
    }
}

//! `test eval`: the model verifies, and every line `eval(INPUT, …) == OUTPUT, …` of the header holds, bit for bit. A failure
//! is `== error: MESSAGE`.

use graph::datum::Datum;
use graph::graph::Model;
use graph::text::cursor::Cursor;
use graph::text::datum::{parse_datum, print_datum};
use graph::{eval, text, verify};

use crate::{Case, Command, registry};

pub const COMMAND: Command = Command { name: "eval", run };

pub(super) const PREFIX: &str = "eval(";

fn run(case: &Case) -> Result<Case, String> {
    let model = text::parse(&case.body, &registry()).map_err(|error| error.to_string())?;
    if let Err(violations) = verify::model(&model) {
        let lines: Vec<String> = violations.iter().map(|v| format!("{v}\n    {}", v.context)).collect();
        return Err(lines.join("\n"));
    }
    let mut out = case.clone();
    for line in &mut out.header {
        if let Some(rest) = line.strip_prefix(PREFIX) {
            let (given, inputs) = parse_inputs(rest)?;
            *line = format!("{PREFIX}{given}) == {}", outcome(&model, &inputs));
        }
    }
    Ok(out)
}

/// The inputs of a line after its opening parenthesis: their text in printed form, and their values.
pub(super) fn parse_inputs(rest: &str) -> Result<(String, Vec<Datum>), String> {
    let open = format!("({rest}");
    let mut c = Cursor::new(&open).map_err(|error| error.to_string())?;
    let inputs = c.list("(", ")", parse_datum).map_err(|error| error.to_string())?;
    Ok((print_list(&inputs), inputs))
}

pub(super) fn outcome(model: &Model, inputs: &[Datum]) -> String {
    match eval::model(model, inputs) {
        Ok(outputs) => print_list(&outputs),
        Err(error) => format!("error: {error}"),
    }
}

fn print_list(values: &[Datum]) -> String {
    let items: Vec<String> = values.iter().map(print_datum).collect();
    items.join(", ")
}

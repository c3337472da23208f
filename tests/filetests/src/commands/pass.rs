//! `test pass NAME [PRECISION]` (or `test pipeline`): the pass makes of the model before the line `; becomes` the text after it, and
//! keeps its meaning: every line `eval(INPUT, …) == OUTPUT, …` of the header holds before, and after to 1e-5.

use graph::datum::Datum;
use graph::graph::Model;
use graph::{eval, text};
use passes::{Options, Precision, run_pass, run_pipeline};

use crate::commands::eval::{PREFIX, outcome, parse_inputs};
use crate::{Case, Command, registry};

pub const COMMAND: Command = Command { name: "pass", run: |case| run(case, false) };
pub const PIPELINE: Command = Command { name: "pipeline", run: |case| run(case, true) };

pub(super) const BECOMES: &str = "; becomes\n";

fn run(case: &Case, pipeline: bool) -> Result<Case, String> {
    let given = case.body.split_once(BECOMES).map_or(case.body.as_str(), |(before, _)| before).trim_end();
    let before = text::parse(given, &registry()).map_err(|error| error.to_string())?;
    let mut after = before.clone();
    let mut options = Options::default();
    if pipeline {
        run_pipeline(&mut after, &options).map_err(|error| error.to_string())?;
    } else {
        let name = case.commands().find_map(|c| c.strip_prefix("pass ")).ok_or("expected `; test pass NAME`")?;
        let (name, precision) = name.trim().split_once(' ').unwrap_or((name.trim(), "f32"));
        let precision = Precision::ALL.into_iter().find(|p| p.name() == precision);
        options.precision = precision.ok_or("expected a precision behind the pass")?;
        run_pass(&mut after, name, &options).map_err(|error| error.to_string())?;
        passes::drop_dead(&mut after, &options).map_err(|error| error.to_string())?;
    }
    let mut out = case.clone();
    out.body =
        format!("{given}\n\n{BECOMES}\n{}", if after == before { "; the same\n".into() } else { text::print(&after) });
    for line in &mut out.header {
        if let Some(rest) = line.strip_prefix(PREFIX) {
            let (given, inputs) = parse_inputs(rest)?;
            compare(&before, &after, &inputs).map_err(|why| format!("eval({given}): {why}"))?;
            *line = format!("{PREFIX}{given}) == {}", outcome(&before, &inputs));
        }
    }
    Ok(out)
}

fn compare(before: &Model, after: &Model, inputs: &[Datum]) -> Result<(), String> {
    match (eval::model(before, inputs), eval::model(after, inputs)) {
        (Ok(before), Ok(after)) if before.len() == after.len() => {
            before.iter().zip(&after).try_for_each(|(a, b)| close(a, b))
        }
        (Err(_), Err(_)) => Ok(()),
        (before, after) => Err(format!("{before:?} becomes {after:?}")),
    }
}

/// Unless two values are equal to 1e-5, the difference.
pub(super) fn close(before: &Datum, after: &Datum) -> Result<(), String> {
    let (Some(a), Some(b)) = (before.as_tensor(), after.as_tensor()) else {
        return if before == after { Ok(()) } else { Err(format!("{before:?} becomes {after:?}")) };
    };
    let near = |(a, b): (f64, f64)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-5 * a.abs().max(1.0);
    let same = a.shape() == b.shape() && a.dtype() == b.dtype() && a.strings() == b.strings();
    if same && a.to_f64s().into_iter().zip(b.to_f64s()).all(near) {
        Ok(())
    } else {
        Err(format!("{a:?} becomes {b:?}"))
    }
}

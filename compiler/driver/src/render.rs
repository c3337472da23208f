//! Errors as text: a problem of a model each with its stable code, place and next step.

use std::fmt;

use miette::{Diagnostic, GraphicalReportHandler, NarratableReportHandler, Severity};
use onnx::Problem;

use crate::error::Error;

/// An error for people; plain words where the output is no terminal.
pub fn error(error: &Error, terminal: bool) -> String {
    match error {
        Error::Model(problems) => {
            let mut out: String = problems.iter().map(|p| one(&Shown(p), terminal)).collect();
            let count = problems.len();
            out.push_str(&format!("{count} problem{}\n", if count == 1 { "" } else { "s" }));
            out
        }
        other => format!("error: {other}\n"),
    }
}

fn one(diagnostic: &dyn Diagnostic, terminal: bool) -> String {
    let mut out = String::new();
    let done = match terminal {
        true => GraphicalReportHandler::new().render_report(&mut out, diagnostic),
        false => NarratableReportHandler::new().render_report(&mut out, diagnostic),
    };
    if done.is_err() {
        out = format!("error: {diagnostic}\n");
    }
    out
}

/// A problem as miette shows it.
#[derive(Debug)]
struct Shown<'a>(&'a Problem);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.0.file {
            write!(f, "{file}: ")?;
        }
        if let Some(node) = &self.0.node {
            write!(f, "{node}: ")?;
        }
        write!(f, "{}", self.0.fault)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.0.fault.code.id()))
    }

    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let own = self.0.fault.help.as_deref();
        let help = own.unwrap_or(self.0.fault.code.property().help);
        (!help.is_empty()).then(|| Box::new(help) as Box<dyn fmt::Display>)
    }
}

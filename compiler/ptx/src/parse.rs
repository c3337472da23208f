//! Reads back what `print` writes: printed and parsed, a module is equal data.
//!
//! It knows that text only: one statement a line, registers named by class and number. It is there for tests and tools, not for PTX
//! from elsewhere.

mod entry;
mod statement;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::form::Form;
use crate::module::Module;
use crate::table::Op;
use crate::target::{Sm, Version};

/// What cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: `{text}` is not {expected}; only text that `print` wrote can be read")]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    pub text: String,
    pub expected: &'static str,
}

/// The module of a printed text.
pub fn parse(text: &str) -> Result<Module, ParseError> {
    let mut lines = Lines { rest: text.lines().enumerate().collect() };
    lines.rest.reverse();
    let version = lines.word(".version ", "`.version`", |v| {
        let (major, minor) = v.split_once('.')?;
        Some(Version(major.parse().ok()?, minor.parse().ok()?))
    })?;
    let target = lines.word(".target ", "`.target` with a known architecture", Sm::named)?;
    lines.word(".address_size ", "`.address_size 64`", |bits| (bits == "64").then_some(()))?;
    let mut entries = Vec::new();
    while lines.peek().is_some() {
        entries.push(entry::parse(&mut lines)?);
    }
    Ok(Module { version, target, entries })
}

/// Lines that are left, last first, without blank ones.
struct Lines<'a> {
    rest: Vec<(usize, &'a str)>,
}

impl<'a> Lines<'a> {
    fn peek(&mut self) -> Option<&'a str> {
        while self.rest.last().is_some_and(|(_, line)| line.trim().is_empty()) {
            self.rest.pop();
        }
        self.rest.last().map(|(_, line)| *line)
    }

    fn next(&mut self) -> Option<(usize, &'a str)> {
        self.peek();
        self.rest.pop()
    }

    /// The next line, which begins with something, as what the closure makes of the rest.
    fn word<T>(
        &mut self,
        start: &str,
        expected: &'static str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, ParseError> {
        let (at, line) = self.next().unwrap_or((0, ""));
        line.trim().strip_prefix(start).and_then(read).ok_or(error(at, line, expected))
    }
}

fn error(at: usize, line: &str, expected: &'static str) -> ParseError {
    ParseError { line: at + 1, text: line.trim().to_string(), expected }
}

/// All forms by their spelling.
static FORMS: LazyLock<BTreeMap<String, Vec<Form>>> = LazyLock::new(|| {
    let mut out: BTreeMap<String, Vec<Form>> = BTreeMap::new();
    for form in Op::ALL.iter().flat_map(|op| Form::all(*op)) {
        out.entry(form.to_string()).or_default().push(form);
    }
    out
});

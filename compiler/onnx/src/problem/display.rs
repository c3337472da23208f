//! The plain text form of problems. Unsupported operators are grouped, with counts.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result};

use crate::problem::{Code, Fault, NodePlace, Problem, Problems};

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if !self.what.is_empty() {
            write!(f, "{}: ", self.what)?;
        }
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

impl Display for NodePlace {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} \"{}\" ({})", self.operator, self.name.escape_debug(), self.set())
    }
}

impl NodePlace {
    /// The operator set: `opset 13`, `ai.onnx.ml 3`.
    fn set(&self) -> String {
        let version = self.opset.map_or("not imported".to_string(), |v| v.to_string());
        if self.domain.is_empty() { format!("opset {version}") } else { format!("{} {version}", self.domain) }
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "[{}]: ", self.fault.code.id())?;
        if let Some(node) = &self.node {
            write!(f, "{node}: ")?;
        }
        write!(f, "{}", self.fault)?;
        write_help(f, &self.fault)
    }
}

impl Display for Problems {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut unknown: BTreeMap<(&str, &str), Vec<&Problem>> = BTreeMap::new();
        let file = self.0.iter().find_map(|p| p.file.as_deref());
        if let Some(file) = file {
            writeln!(f, "{file}:")?;
        }
        for problem in &self.0 {
            match &problem.node {
                Some(node) if problem.fault.code == Code::UnknownOperator => {
                    unknown.entry((&node.domain, &node.operator)).or_default().push(problem);
                }
                Some(_) | None => writeln!(f, "error{problem}")?,
            }
        }
        for ((_, operator), problems) in &unknown {
            let (Some(first), count) = (problems.first(), problems.len()) else { continue };
            let Some(node) = &first.node else { continue };
            let nodes = if count == 1 { "1 node".to_string() } else { format!("{count} nodes") };
            write!(f, "error[{}]: {operator} ({}): not supported; ", first.fault.code.id(), node.set())?;
            write!(f, "{nodes}, first \"{}\"", node.name.escape_debug())?;
            write_help(f, &first.fault)?;
            writeln!(f)?;
        }
        let total = self.0.len();
        write!(f, "{total} problem{}", if total == 1 { "" } else { "s" })
    }
}

fn write_help(f: &mut Formatter<'_>, fault: &Fault) -> Result {
    let help = fault.help.as_deref().unwrap_or(fault.code.property().help);
    if help.is_empty() { Ok(()) } else { write!(f, "\n  help: {help}") }
}

//! The text form of kernels: everything prints, and what is printed parses back to equal data.
//!
//! ```text
//! kernel params 2 {
//!   operand f32[p0, p1]
//!   result f32[p0] strides [p1]
//!   nest outer [p0] {
//!     stage inner [] {
//!       reduce [p1]
//!       e0 = index 0
//!       e1 = index 1
//!       e2 = load 0 [e0, e1]
//!       acc0: f32 = max e2
//!       e3 = acc 0
//!       out [e3 to 0 [e0]]
//!     }
//!   }
//! }
//! ```
//!
//! Parameter `k` is spelled `pk`. An access map is written only where it differs from row-major without gaps. The tokens and
//! the text of sizes and expressions are those of [`graph::text`].

mod body;

use graph::dim::Dim;
use graph::symbol::{SymSource, Symbol, Symbols};
use graph::text::ParseError;
use graph::text::cursor::Cursor;
use graph::text::dim::{Names, parse_dim, parse_dims, print_dim, print_dims};
use graph::text::ty::parse_dtype;

use crate::kernel::{Kernel, Port};
use crate::layout::{Access, Block};

/// More parameters than this are spelled `$k`, so that a text that promises billions of them is read without making them.
const SPELLED: usize = 4096;

/// The text of a kernel.
pub fn print(kernel: &Kernel) -> String {
    let mut out = String::new();
    print_at(kernel, 0, &mut out);
    out.push('\n');
    out
}

/// Appends a kernel, from the word `kernel` to the closing brace; its lines stand so many steps in.
pub fn print_at(kernel: &Kernel, indent: usize, out: &mut String) {
    let symbols = parameters(kernel.params);
    let names = Names::new(&symbols);
    let mut lines = Lines { indent: indent + 1, out };
    lines.out.push_str(&format!("kernel params {} {{\n", kernel.params));
    for (word, ports) in [("operand", &kernel.operands), ("result", &kernel.results)] {
        ports.iter().for_each(|port| lines.line(&format!("{word} {}", print_port(port, &names))));
    }
    body::print_body(&mut lines, kernel, &names);
    lines.indent -= 1;
    lines.pad();
    lines.out.push('}');
}

/// Reads a kernel.
pub fn parse(text: &str) -> Result<Kernel, ParseError> {
    let mut c = Cursor::new(text)?;
    let kernel = parse_at(&mut c)?;
    c.end()?;
    Ok(kernel)
}

/// Reads what [`print_at`] appends.
pub fn parse_at(c: &mut Cursor<'_>) -> Result<Kernel, ParseError> {
    c.keyword("kernel")?;
    c.keyword("params")?;
    let params = c.integer("number of parameters")?;
    let symbols = parameters(params);
    let names = Names::new(&symbols);
    c.mark("{")?;
    let mut operands = Vec::new();
    while c.take_keyword("operand") {
        operands.push(parse_port(c, &names)?);
    }
    let mut results = Vec::new();
    while c.take_keyword("result") {
        results.push(parse_port(c, &names)?);
    }
    let body = body::parse_body(c, &operands, &names)?;
    c.mark("}")?;
    Ok(Kernel { params, operands, results, body })
}

/// Parameters as symbols, for their spelling.
pub(crate) fn parameters(count: usize) -> Symbols {
    let symbol = |k| Symbol { name: format!("p{k}"), lo: 0, hi: None, source: SymSource::Input };
    Symbols::from_table((0..count.min(SPELLED)).map(symbol).collect())
}

fn print_port(port: &Port, names: &Names<'_>) -> String {
    format!("{}{}{}", port.dtype, print_dims(&port.shape, names), print_access(&port.access, &port.shape, names))
}

fn parse_port(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<Port, ParseError> {
    let dtype = parse_dtype(c)?;
    let shape = parse_dims(c, names)?;
    let access = parse_access(c, &shape, names)?;
    Ok(Port { dtype, shape, access })
}

/// The text of an access map of a tensor of these extents: nothing if it is row-major from 0.
pub fn print_access(access: &Access, shape: &[Dim], names: &Names<'_>) -> String {
    let mut out = String::new();
    if !access.offset.is(0) {
        out.push_str(&format!(" offset {}", print_dim(&access.offset, names)));
    }
    if access.strides != Access::dense(shape).strides {
        out.push_str(&format!(" strides {}", print_dims(&access.strides, names)));
    }
    if let Some(block) = access.block {
        out.push_str(&format!(" block {} by {}", block.dim, block.factor));
    }
    out
}

/// Reads what [`print_access`] prints.
pub fn parse_access(c: &mut Cursor<'_>, shape: &[Dim], names: &Names<'_>) -> Result<Access, ParseError> {
    let offset = if c.take_keyword("offset") { parse_dim(c, names)? } else { Dim::constant(0) };
    let strides = if c.take_keyword("strides") { parse_dims(c, names)? } else { Access::dense(shape).strides };
    let block = if c.take_keyword("block") {
        let dim = c.integer("blocked dim")?;
        c.keyword("by")?;
        Some(Block { dim, factor: c.integer("factor of a block")? })
    } else {
        None
    };
    Ok(Access { offset, strides, block })
}

/// Text being written line by line.
pub struct Lines<'a> {
    pub indent: usize,
    pub out: &'a mut String,
}

impl Lines<'_> {
    /// The space before a line.
    pub fn pad(&mut self) {
        (0..self.indent).for_each(|_| self.out.push_str("  "));
    }

    /// A whole line.
    pub fn line(&mut self, text: &str) {
        self.pad();
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// A line that opens a brace, lines within, and the closing brace.
    pub fn block(&mut self, head: &str, inner: impl FnOnce(&mut Lines<'_>)) {
        self.line(&format!("{head} {{"));
        inner(&mut Lines { indent: self.indent + 1, out: self.out });
        self.line("}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text is what it prints as.
    fn check(text: &str) {
        let kernel = parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(print(&kernel), text);
        assert_eq!(parse(&print(&kernel)), Ok(kernel));
    }

    fn refused(text: &str, expected: &str) {
        assert_eq!(parse(text).map(|_| ()).unwrap_err().to_string(), expected);
    }

    #[test]
    fn stages_and_access_maps_survive() {
        check(
            "kernel params 3 {
  operand f32[p0, p1]
  operand f32[p1, 4] offset p2 + 1 strides [1, p1] block 1 by 16
  result f32[p0, p1] strides [4*p1, 1]
  nest outer [p0] {
    stage inner [] {
      reduce [p1, 5 size e0]
      e0 = index 0
      e1 = index 1
      e2 = load 0 [e0, e1]
      acc0: f32 = max e2
      e3 = acc 0
      out [e3 keep]
    }
    stage inner [p1] {
      e0 = index 0
      e1 = index 1
      e2 = load 0 [e0, e1]
      e3 = load 2 []
      e4 = sub e2, e3
      out [e4 keep, e4 to 0 [e0, e1]]
    }
    stage inner [] {
      out []
    }
  }
}
",
        );
    }

    #[test]
    fn every_primitive_survives() {
        check(
            "kernel params 1 {
  operand f32[p0]
  operand i64[4]
  result f32[p0]
  scatter {
    domain [4]
    e0 = index 0
    e1 = load 1 [e0]
    e2 = const f32 1.0
    index [e1]
    value e2
    combine sum
  }
}
",
        );
        check("kernel params 0 {\n  operand f32[3]\n  result f32[2]\n  result i64[2]\n  sort axis 0 descending\n}\n");
        check("kernel params 0 {\n  operand bool[3]\n  result i64[3]\n  result i64[]\n  compact\n}\n");
        check("kernel params 0 {\n  operand f32[3]\n  result f32[3]\n  prefix prod axis 0 exclusive reverse\n}\n");
    }

    #[test]
    fn what_breaks_rules_survives() {
        check(
            "kernel params 9000000000 {
  operand f32[p4095, $4096, -1] strides [] block 7 by -3
  nest outer [] {
    stage inner [p7] {
      e0: i8 = load 99 [e5]
      acc0: i64 = any e9
      out [e7 to 3 [e9], e1 keep]
    }
  }
}
",
        );
    }

    #[test]
    fn refusals_say_where_and_what() {
        refused(
            "kernel params 1 {\n  operand f32[q]\n}",
            "2:15: unknown symbol `q`; declare it with `symbol` before the graph",
        );
        refused(
            "kernel params 0 {\n  mill\n}",
            "2:3: expected a body (`nest`, `scatter`, `sort`, `compact` or `prefix`), found `mill`",
        );
        refused(
            "kernel params 0 {\n  nest outer [] {\n    stage inner [] {\n      out [e0]\n    }\n  }\n}",
            "4:14: expected `keep` or `to`, found `]`",
        );
    }
}

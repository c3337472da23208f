//! Text of sizes and conditions: `4*batch + floordiv(height + 1, 2)`, `eq(batch, seq)`.
//!
//! Parsing builds the terms as they stand, without the simplifications that need ranges, so equality survives.

use std::collections::BTreeMap;

use crate::dim::{Atom, Dim, Pred, SymId, Term};
use crate::symbol::Symbols;
use crate::text::cursor::Cursor;
use crate::text::lexer::{Token, name_text, quote};
use crate::text::{ParseError, ParseErrorKind};

/// Functions in sizes; a symbol of such a name is quoted.
const FUNCTIONS: [&str; 6] = ["floordiv", "ceildiv", "mod", "min", "max", "select"];

/// How symbols are spelled. A symbol that has no name of its own (none in the table, or another has it too) is `$id`.
pub struct Names<'a> {
    symbols: &'a Symbols,
    first: BTreeMap<&'a str, SymId>,
}

impl<'a> Names<'a> {
    /// The spelling of a model's symbols.
    pub fn new(symbols: &'a Symbols) -> Names<'a> {
        let mut first = BTreeMap::new();
        for (id, symbol) in symbols.iter() {
            first.entry(symbol.name.as_str()).or_insert(id);
        }
        Names { symbols, first }
    }

    /// The spelling of a symbol.
    pub fn spell(&self, id: SymId) -> String {
        match self.symbols.get(id) {
            Some(symbol) if self.find(&symbol.name) == Some(id) => {
                if FUNCTIONS.contains(&symbol.name.as_str()) {
                    quote(&symbol.name)
                } else {
                    name_text(&symbol.name)
                }
            }
            Some(_) | None => format!("${}", id.0),
        }
    }

    /// The symbol of a name.
    pub fn find(&self, name: &str) -> Option<SymId> {
        self.first.get(name).copied()
    }
}

/// The text of a size.
pub fn print_dim(dim: &Dim, names: &Names<'_>) -> String {
    let (constants, others): (Vec<&Term>, Vec<&Term>) = dim.terms().iter().partition(|t| t.factors.is_empty());
    let mut out = String::new();
    for term in others.into_iter().chain(constants) {
        out.push_str(match (out.is_empty(), term.coef < 0) {
            (true, true) => "-",
            (true, false) => "",
            (false, true) => " - ",
            (false, false) => " + ",
        });
        let mut factors: Vec<String> = term.factors.iter().map(|a| print_atom(a, names)).collect();
        let magnitude = term.coef.unsigned_abs();
        if magnitude != 1 || factors.is_empty() {
            factors.insert(0, magnitude.to_string());
        }
        out.push_str(&factors.join("*"));
    }
    if out.is_empty() { "0".to_string() } else { out }
}

/// The text of a list of sizes, in brackets.
pub fn print_dims(dims: &[Dim], names: &Names<'_>) -> String {
    let items: Vec<String> = dims.iter().map(|d| print_dim(d, names)).collect();
    format!("[{}]", items.join(", "))
}

/// The text of a condition.
pub fn print_pred(pred: &Pred, names: &Names<'_>) -> String {
    let two = |name, a, b| format!("{name}({}, {})", print_dim(a, names), print_dim(b, names));
    let many = |name, ps: &[Pred]| {
        let items: Vec<String> = ps.iter().map(|p| print_pred(p, names)).collect();
        format!("{name}({})", items.join(", "))
    };
    match pred {
        Pred::Const(value) => value.to_string(),
        Pred::Eq(a, b) => two("eq", a, b),
        Pred::Le(a, b) => two("le", a, b),
        Pred::Divides(a, b) => two("divides", a, b),
        Pred::Not(p) => format!("not({})", print_pred(p, names)),
        Pred::And(ps) => many("and", ps),
        Pred::Or(ps) => many("or", ps),
    }
}

fn print_atom(atom: &Atom, names: &Names<'_>) -> String {
    let two = |name, a, b| format!("{name}({}, {})", print_dim(a, names), print_dim(b, names));
    match atom {
        Atom::Sym(id) => names.spell(*id),
        Atom::FloorDiv(a, b) => two("floordiv", a, b),
        Atom::CeilDiv(a, b) => two("ceildiv", a, b),
        Atom::Mod(a, b) => two("mod", a, b),
        Atom::Min(a, b) => two("min", a, b),
        Atom::Max(a, b) => two("max", a, b),
        Atom::Select(p, a, b) => {
            format!("select({}, {}, {})", print_pred(p, names), print_dim(a, names), print_dim(b, names))
        }
    }
}

/// Reads a size.
pub fn parse_dim(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<Dim, ParseError> {
    c.nested(|c| {
        let mut negative = c.take_mark("-");
        let mut terms = Vec::new();
        loop {
            terms.push(parse_term(c, names, negative)?);
            negative = match c.peek() {
                Token::Mark("+") => false,
                Token::Mark("-") => true,
                _ => return Ok(Dim::from_terms(terms)),
            };
            c.advance();
        }
    })
}

/// Reads a list of sizes, in brackets.
pub fn parse_dims(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<Vec<Dim>, ParseError> {
    c.list("[", "]", |c| parse_dim(c, names))
}

/// Reads a condition.
pub fn parse_pred(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<Pred, ParseError> {
    const EXPECTED: &str = "a condition (true, false, eq, le, divides, not, and, or)";
    c.nested(|c| {
        let pos = c.pos();
        let word = c.word(EXPECTED)?;
        match word {
            "true" => Ok(Pred::Const(true)),
            "false" => Ok(Pred::Const(false)),
            "eq" => parse_two(c, names).map(|(a, b)| Pred::Eq(a, b)),
            "le" => parse_two(c, names).map(|(a, b)| Pred::Le(a, b)),
            "divides" => parse_two(c, names).map(|(a, b)| Pred::Divides(a, b)),
            "not" => {
                c.mark("(")?;
                let inner = parse_pred(c, names)?;
                c.mark(")")?;
                Ok(Pred::Not(Box::new(inner)))
            }
            "and" => c.list("(", ")", |c| parse_pred(c, names)).map(Pred::And),
            "or" => c.list("(", ")", |c| parse_pred(c, names)).map(Pred::Or),
            other => {
                Err(pos.error(ParseErrorKind::Expected { expected: EXPECTED.to_string(), found: format!("`{other}`") }))
            }
        }
    })
}

fn parse_term(c: &mut Cursor<'_>, names: &Names<'_>, negative: bool) -> Result<Term, ParseError> {
    let pos = c.pos();
    let mut coef: Option<i128> = Some(if negative { -1 } else { 1 });
    let mut factors = Vec::new();
    loop {
        if let Token::Number(text) = *c.peek() {
            coef = coef.zip(text.parse::<i128>().ok()).and_then(|(a, b)| a.checked_mul(b));
            c.advance();
        } else {
            factors.push(parse_atom(c, names)?);
        }
        if !c.take_mark("*") {
            break;
        }
    }
    match coef.and_then(|v| i64::try_from(v).ok()) {
        Some(coef) => Ok(Term { factors, coef }),
        None => Err(pos.error(ParseErrorKind::Range {
            what: "coefficient",
            found: "of this term".to_string(),
            expected: "a 64-bit integer".to_string(),
        })),
    }
}

fn parse_atom(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<Atom, ParseError> {
    let two = |c: &mut Cursor<'_>| parse_two(c, names).map(|(a, b)| (Box::new(a), Box::new(b)));
    let call = *c.peek_at(1) == Token::Mark("(");
    match *c.peek() {
        Token::Word(name) if call && FUNCTIONS.contains(&name) => {
            c.advance();
            match name {
                "floordiv" => two(c).map(|(a, b)| Atom::FloorDiv(a, b)),
                "ceildiv" => two(c).map(|(a, b)| Atom::CeilDiv(a, b)),
                "mod" => two(c).map(|(a, b)| Atom::Mod(a, b)),
                "min" => two(c).map(|(a, b)| Atom::Min(a, b)),
                "max" => two(c).map(|(a, b)| Atom::Max(a, b)),
                _ => {
                    c.mark("(")?;
                    let pred = parse_pred(c, names)?;
                    c.mark(",")?;
                    let a = parse_dim(c, names)?;
                    c.mark(",")?;
                    let b = parse_dim(c, names)?;
                    c.mark(")")?;
                    Ok(Atom::Select(Box::new(pred), Box::new(a), Box::new(b)))
                }
            }
        }
        Token::Word(_) | Token::Str(_) | Token::Id('$', _) => parse_symbol(c, names).map(Atom::Sym),
        _ => c.expected("a size"),
    }
}

/// Reads a symbol by its name, or `$` and its number.
pub fn parse_symbol(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<SymId, ParseError> {
    if let Some(id) = c.take_id('$') {
        return Ok(SymId(id));
    }
    let pos = c.pos();
    let name = c.name("a symbol")?;
    let next_step = "declare it with `symbol` before the graph";
    names.find(&name).ok_or_else(|| pos.error(ParseErrorKind::Unknown { what: "symbol", name, next_step }))
}

fn parse_two(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<(Dim, Dim), ParseError> {
    c.mark("(")?;
    let a = parse_dim(c, names)?;
    c.mark(",")?;
    let b = parse_dim(c, names)?;
    c.mark(")")?;
    Ok((a, b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbol::SymSource;

    fn symbols() -> Symbols {
        let mut symbols = Symbols::default();
        for name in ["batch", "height", "past + 1", "min"] {
            symbols.add(name, 0, None, SymSource::Input);
        }
        symbols
    }

    fn check(text: &str, expected: &str) {
        let symbols = symbols();
        let names = Names::new(&symbols);
        let found = Cursor::new(text).and_then(|mut c| {
            let dim = parse_dim(&mut c, &names)?;
            c.end()?;
            Ok(dim)
        });
        match found {
            Ok(dim) => {
                let printed = print_dim(&dim, &names);
                assert_eq!(printed, expected);
                assert_eq!(parse_dim(&mut Cursor::new(&printed).unwrap(), &names), Ok(dim));
            }
            Err(error) => assert_eq!(error.to_string(), expected),
        }
    }

    #[test]
    fn sums_print_their_constant_last() {
        check("1 + 4*batch", "4*batch + 1");
        check("-height*batch - 3", "-batch*height - 3");
        check("batch - batch", "0");
        check("2*3*batch*batch", "6*batch*batch");
        check("-9223372036854775808*batch - 9223372036854775808", "-9223372036854775808*batch - 9223372036854775808");
    }

    #[test]
    fn every_atom_survives() {
        check("floordiv(height + 1, 2)*ceildiv(batch, 3)", "floordiv(height + 1, 2)*ceildiv(batch, 3)");
        check("mod(7, 0)", "mod(7, 0)");
        check("min(4, 3) + max(batch, -1)", "min(4, 3) + max(batch, -1)");
        check(
            "select(and(eq(batch, 1), not(le(batch, 2)), or(), divides(2, batch), true), 0, 1)",
            "select(and(eq(batch, 1), not(le(batch, 2)), or(), divides(2, batch), true), 0, 1)",
        );
    }

    #[test]
    fn odd_names_are_quoted() {
        check("\"past + 1\" + \"min\"*min(batch, 1) + $9", "\"past + 1\" + \"min\"*min(batch, 1) + $9");
    }

    #[test]
    fn refusals_say_what_is_missing() {
        check("width", "1:1: unknown symbol `width`; declare it with `symbol` before the graph");
        check("4 * ", "1:5: expected a size, found the end");
        check("9223372036854775808", "1:1: coefficient of this term is out of range; expected a 64-bit integer");
        check(&"min(".repeat(200), "1:513: nested more than 128 deep");
    }
}

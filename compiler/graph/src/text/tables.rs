//! Text of what a model and a plan share: symbols, origins, guards, states, one line each, in this order.

use crate::graph::{Guard, Origin, State};
use crate::node::OriginId;
use crate::symbol::{SymSource, Symbol, Symbols};
use crate::text::cursor::Cursor;
use crate::text::dim::{Names, parse_pred, print_pred};
use crate::text::lexer::{name_text, quote};
use crate::text::{ParseError, ParseErrorKind};

/// The tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
    pub symbols: Symbols,
    pub origins: Vec<Origin>,
    pub guards: Vec<Guard>,
    pub states: Vec<State>,
}

/// Appends the lines of the tables.
pub fn print_tables(symbols: &Symbols, origins: &[Origin], guards: &[Guard], states: &[State], out: &mut String) {
    let names = Names::new(symbols);
    for (_, symbol) in symbols.iter() {
        out.push_str(&print_symbol(symbol));
    }
    for (index, origin) in origins.iter().enumerate() {
        let domain = if origin.domain.is_empty() { String::new() } else { format!(" {}", quote(&origin.domain)) };
        out.push_str(&format!("  origin @{index} {} {}{domain}\n", quote(&origin.name), name_text(&origin.op_type)));
    }
    for guard in guards {
        let origin = guard.origin.map_or(String::new(), |o| format!("@{} ", o.0));
        out.push_str(&format!("  guard {} {origin}{}\n", print_pred(&guard.pred, &names), quote(&guard.what)));
    }
    for state in states {
        out.push_str(&format!("  state {} input {} output {}\n", quote(&state.name), state.input, state.output));
    }
}

fn print_symbol(symbol: &Symbol) -> String {
    let range = match symbol.hi {
        Some(hi) => format!("{}..={hi}", symbol.lo),
        None => format!("{}..", symbol.lo),
    };
    let source = match symbol.source {
        SymSource::Input => "input",
        SymSource::Bind => "bind",
    };
    format!("  symbol {} = {range} {source}\n", name_text(&symbol.name))
}

/// Reads the lines of the tables.
pub fn parse_tables(c: &mut Cursor<'_>) -> Result<Tables, ParseError> {
    let mut table = Vec::new();
    while c.take_keyword("symbol") {
        table.push(parse_symbol(c)?);
    }
    let symbols = Symbols::from_table(table);
    let mut tables = Tables::default();
    while c.take_keyword("origin") {
        tables.origins.push(parse_origin(c, tables.origins.len())?);
    }
    let names = Names::new(&symbols);
    while c.take_keyword("guard") {
        let pred = parse_pred(c, &names)?;
        let origin = c.take_id('@').map(OriginId);
        tables.guards.push(Guard { pred, origin, what: c.string("what the guard is for")? });
    }
    while c.take_keyword("state") {
        tables.states.push(parse_state(c)?);
    }
    Ok(Tables { symbols, ..tables })
}

fn parse_symbol(c: &mut Cursor<'_>) -> Result<Symbol, ParseError> {
    let name = c.name("a symbol's name")?;
    c.mark("=")?;
    let lo = c.integer("lower bound")?;
    let hi = if c.take_mark("..=") {
        Some(c.integer("upper bound")?)
    } else {
        c.mark("..")?;
        None
    };
    let source = if c.take_keyword("input") {
        SymSource::Input
    } else if c.take_keyword("bind") {
        SymSource::Bind
    } else {
        return c.expected("`input` or `bind`");
    };
    Ok(Symbol { name, lo, hi, source })
}

fn parse_origin(c: &mut Cursor<'_>, expected: usize) -> Result<Origin, ParseError> {
    let pos = c.pos();
    let found = c.id('@')?;
    if found as usize != expected {
        return Err(pos.error(ParseErrorKind::Order { what: "origin number", expected, found }));
    }
    let name = c.string("the node's name")?;
    let op_type = c.name("an operator type")?;
    let domain = c.take_string().unwrap_or_default();
    Ok(Origin { name, op_type, domain })
}

fn parse_state(c: &mut Cursor<'_>) -> Result<State, ParseError> {
    let name = c.string("the state's name")?;
    c.keyword("input")?;
    let input = c.integer("input position")?;
    c.keyword("output")?;
    let output = c.integer("output position")?;
    Ok(State { name, input, output })
}

//! Text of expressions: `e3 = load 0 [e1, e2] or e0`.
//!
//! The dtype is written (`e3: f32 = …`) only where it is not the one that [`Exprs::infer`] gives.

use crate::dtype::DType;
use crate::expr::{BINARY, CmpOp, Expr, ExprId, Exprs, Leaves, Rounding, UNARY};
use crate::text::cursor::Cursor;
use crate::text::dim::{Names, parse_dim, print_dim};
use crate::text::scalar::{parse_scalar, print_scalar};
use crate::text::ty::parse_dtype;
use crate::text::{ParseError, ParseErrorKind};

const COMPARISONS: [CmpOp; 4] = [CmpOp::Eq, CmpOp::Ne, CmpOp::Lt, CmpOp::Le];

/// The text of the definition of an expression, on one line.
pub fn print_definition(exprs: &Exprs, id: ExprId, leaves: Leaves<'_>, names: &Names<'_>) -> String {
    let Some(expr) = exprs.get(id) else { return String::new() };
    let mut ordered = true;
    expr.for_each_child(&mut |child| ordered &= child < id);
    let stored = exprs.dtype(id);
    let inferred = ordered && exprs.infer(expr, leaves) == Ok(stored);
    let dtype = if inferred { String::new() } else { format!(": {stored}") };
    format!("e{}{dtype} = {}", id.0, print_expr(expr, names))
}

/// The text of an expression.
pub fn print_expr(expr: &Expr, names: &Names<'_>) -> String {
    match expr {
        Expr::Const(s) => format!("const {} {}", s.dtype, print_scalar(*s)),
        Expr::Index(k) => format!("index {k}"),
        Expr::Acc(k) => format!("acc {k}"),
        Expr::Dim(dim) => format!("dim {}", print_dim(dim, names)),
        Expr::Unary(op, a) => format!("{} {}", op.row().name, print_ids(&[*a])),
        Expr::Binary(op, a, b) => format!("{} {}", op.row().name, print_ids(&[*a, *b])),
        Expr::Compare(op, a, b) => format!("{} {}", op.name(), print_ids(&[*a, *b])),
        Expr::Select(a, b, c) => format!("select {}", print_ids(&[*a, *b, *c])),
        Expr::Fma(a, b, c) => format!("fma {}", print_ids(&[*a, *b, *c])),
        Expr::Cast { to, saturate, rounding, value } => {
            let saturate = if *saturate { " saturate" } else { "" };
            let rounding = match rounding {
                Rounding::Nearest => "",
                Rounding::Up => " up",
                Rounding::Down => " down",
            };
            format!("cast {to} e{}{saturate}{rounding}", value.0)
        }
        Expr::Bitcast { to, value } => format!("bitcast {to} e{}", value.0),
        Expr::Load { operand, index, or } => {
            let or = or.map_or(String::new(), |e| format!(" or e{}", e.0));
            format!("load {operand} [{}]{or}", print_ids(index))
        }
    }
}

/// The text of a list of expressions.
pub fn print_ids(ids: &[ExprId]) -> String {
    let items: Vec<String> = ids.iter().map(|e| format!("e{}", e.0)).collect();
    items.join(", ")
}

/// Reads the definition of the next expression of an arena.
pub fn parse_definition(
    c: &mut Cursor<'_>,
    exprs: &mut Exprs,
    leaves: Leaves<'_>,
    names: &Names<'_>,
) -> Result<ExprId, ParseError> {
    let pos = c.pos();
    let number = c.numbered("e")?;
    if number as usize != exprs.len() {
        let kind = ParseErrorKind::Order { what: "expression number", expected: exprs.len(), found: number };
        return Err(pos.error(kind));
    }
    let written = if c.take_mark(":") { Some(parse_dtype(c)?) } else { None };
    c.mark("=")?;
    let expr = parse_expr(c, names)?;
    let dtype = match written {
        Some(dtype) => dtype,
        None => exprs.infer(&expr, leaves).map_err(|error| pos.error(error.into()))?,
    };
    Ok(exprs.push_raw(expr, dtype))
}

/// Reads an expression.
pub fn parse_expr(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<Expr, ParseError> {
    let pos = c.pos();
    let word = c.word("an expression")?;
    if let Some(row) = UNARY.iter().find(|row| row.name == word) {
        return Ok(Expr::Unary(row.op, parse_id(c)?));
    }
    if let Some(row) = BINARY.iter().find(|row| row.name == word) {
        let [a, b] = parse_operands(c)?;
        return Ok(Expr::Binary(row.op, a, b));
    }
    if let Some(op) = COMPARISONS.into_iter().find(|op| op.name() == word) {
        let [a, b] = parse_operands(c)?;
        return Ok(Expr::Compare(op, a, b));
    }
    match word {
        "const" => {
            let dtype = parse_dtype(c)?;
            parse_scalar(c, dtype).map(Expr::Const)
        }
        "index" => c.integer("index variable").map(Expr::Index),
        "acc" => c.integer("accumulator").map(Expr::Acc),
        "dim" => parse_dim(c, names).map(Expr::Dim),
        "select" => parse_operands(c).map(|[a, b, c]| Expr::Select(a, b, c)),
        "fma" => parse_operands(c).map(|[a, b, c]| Expr::Fma(a, b, c)),
        "cast" => {
            let to: DType = parse_dtype(c)?;
            let value = parse_id(c)?;
            let saturate = c.take_keyword("saturate");
            let rounding = if c.take_keyword("up") {
                Rounding::Up
            } else if c.take_keyword("down") {
                Rounding::Down
            } else {
                Rounding::Nearest
            };
            Ok(Expr::Cast { to, saturate, rounding, value })
        }
        "bitcast" => {
            let to = parse_dtype(c)?;
            Ok(Expr::Bitcast { to, value: parse_id(c)? })
        }
        "load" => {
            let operand = c.integer("operand")?;
            let index = c.list("[", "]", parse_id)?;
            let or = if c.take_keyword("or") { Some(parse_id(c)?) } else { None };
            Ok(Expr::Load { operand, index, or })
        }
        other => Err(pos.error(ParseErrorKind::Unknown {
            what: "expression",
            name: other.to_string(),
            next_step: "`expr.rs` lists all",
        })),
    }
}

/// Reads the name of an expression.
pub fn parse_id(c: &mut Cursor<'_>) -> Result<ExprId, ParseError> {
    c.numbered("e").map(ExprId)
}

fn parse_operands<const N: usize>(c: &mut Cursor<'_>) -> Result<[ExprId; N], ParseError> {
    let mut out = [ExprId(0); N];
    for (position, slot) in out.iter_mut().enumerate() {
        if position > 0 {
            c.mark(",")?;
        }
        *slot = parse_id(c)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbol::Symbols;
    use crate::text::lexer::Token;

    const LEAVES: Leaves<'static> = Leaves { operands: &[DType::F32], accs: &[DType::F32] };

    fn parse(text: &str) -> Result<Exprs, ParseError> {
        let symbols = Symbols::default();
        let mut c = Cursor::new(text)?;
        let mut exprs = Exprs::default();
        while *c.peek() != Token::End {
            parse_definition(&mut c, &mut exprs, LEAVES, &Names::new(&symbols))?;
        }
        Ok(exprs)
    }

    fn check(text: &str) {
        let symbols = Symbols::default();
        let names = Names::new(&symbols);
        let exprs = parse(text).unwrap();
        let lines: Vec<String> = exprs.iter().map(|(id, _)| print_definition(&exprs, id, LEAVES, &names)).collect();
        assert_eq!(lines.join("\n"), text);
        assert_eq!(parse(&lines.join("\n")), Ok(exprs));
    }

    #[test]
    fn every_expression_survives() {
        check(
            "e0 = index 0\ne1 = dim $0 + 1\ne2 = const f32 -0.5\ne3 = load 0 [e0, e1] or e2\ne4 = load 0 []\ne5 = acc 0",
        );
        check(
            "e0 = load 0 []\ne1 = fma e0, e0, e0\ne2 = lt e0, e1\ne3 = select e2, e0, e1\ne4 = cast f8e8m0 e3 saturate up",
        );
        check("e0 = load 0 []\ne1 = bitcast u32 e0\ne2 = popcount e1\ne3 = cast i8 e0 down");
        let all: Vec<String> =
            UNARY.iter().enumerate().map(|(i, row)| format!("e{i}: f32 = {} e99", row.name)).collect();
        check(&all.join("\n"));
        let all: Vec<String> =
            BINARY.iter().enumerate().map(|(i, row)| format!("e{i}: f32 = {} e99, e98", row.name)).collect();
        check(&all.join("\n"));
    }

    #[test]
    fn wrong_types_and_repetitions_are_kept() {
        check("e0: i8 = load 7 []\ne1: f32 = add e0, e2\ne2: bool = acc 5\ne3: bool = acc 5");
    }

    #[test]
    fn refusals() {
        let refused = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(
            refused("e1 = index 0"),
            "1:1: expected expression number 0 here, found 1; they are numbered in order"
        );
        assert_eq!(
            refused("e0 = index 0\ne1 = sqrt e0"),
            "2:1: sqrt is not defined on i64; write the dtype (`e0: f32 = …`) to keep an expression that has no type"
        );
        assert_eq!(refused("e0 = frob e1"), "1:6: unknown expression `frob`; `expr.rs` lists all");
    }
}

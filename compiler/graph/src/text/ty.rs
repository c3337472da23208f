//! Text of types: `f32[batch, 3]`, `seq<f32[4]>`, `opt<…>`, `map<i64, …>`, `ragged<f32, 2>`.

use crate::dtype::DType;
use crate::text::cursor::Cursor;
use crate::text::dim::{Names, parse_dims, print_dims};
use crate::text::{ParseError, ParseErrorKind};
use crate::ty::Type;

/// The text of a type.
pub fn print_type(ty: &Type, names: &Names<'_>) -> String {
    match ty {
        Type::Tensor(t) => format!("{}{}", t.dtype, print_dims(&t.shape, names)),
        Type::Seq(inner) => format!("seq<{}>", print_type(inner, names)),
        Type::Opt(inner) => format!("opt<{}>", print_type(inner, names)),
        Type::Map { key, value } => format!("map<{key}, {}>", print_type(value, names)),
        Type::Ragged { dtype, rank: Some(rank) } => format!("ragged<{dtype}, {rank}>"),
        Type::Ragged { dtype, rank: None } => format!("ragged<{dtype}>"),
    }
}

/// Reads a type.
pub fn parse_type(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<Type, ParseError> {
    c.nested(|c| {
        if c.take_keyword("seq") {
            return inner(c, names).map(|ty| Type::Seq(Box::new(ty)));
        }
        if c.take_keyword("opt") {
            return inner(c, names).map(|ty| Type::Opt(Box::new(ty)));
        }
        if c.take_keyword("map") {
            c.mark("<")?;
            let key = parse_dtype(c)?;
            c.mark(",")?;
            let value = Box::new(parse_type(c, names)?);
            c.mark(">")?;
            return Ok(Type::Map { key, value });
        }
        if c.take_keyword("ragged") {
            c.mark("<")?;
            let dtype = parse_dtype(c)?;
            let rank = if c.take_mark(",") { Some(c.integer("rank")?) } else { None };
            c.mark(">")?;
            return Ok(Type::Ragged { dtype, rank });
        }
        let dtype = parse_dtype(c)?;
        Ok(Type::tensor(dtype, parse_dims(c, names)?))
    })
}

/// Reads a dtype.
pub fn parse_dtype(c: &mut Cursor<'_>) -> Result<DType, ParseError> {
    let pos = c.pos();
    let name = c.word("a dtype")?;
    let next_step = "the dtypes are f32, f64, f16, bf16, i64, i32, bool, str, … (`dtype.rs` lists all)";
    let unknown = || pos.error(ParseErrorKind::Unknown { what: "dtype", name: name.to_string(), next_step });
    DType::from_name(name).ok_or_else(unknown)
}

fn inner(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<Type, ParseError> {
    c.mark("<")?;
    let ty = parse_type(c, names)?;
    c.mark(">")?;
    Ok(ty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbol::Symbols;

    fn check(text: &str, expected: Result<(), &str>) {
        let symbols = Symbols::default();
        let names = Names::new(&symbols);
        let parsed = parse_type(&mut Cursor::new(text).unwrap(), &names);
        match expected {
            Ok(()) => assert_eq!(print_type(&parsed.unwrap(), &names), text),
            Err(message) => assert_eq!(parsed.unwrap_err().to_string(), message),
        }
    }

    #[test]
    fn every_type_survives() {
        check("f32[]", Ok(()));
        check("f8e4m3fnuz[2, $0 + 1]", Ok(()));
        check("seq<opt<map<str, f32[2]>>>", Ok(()));
        check("ragged<i4>", Ok(()));
        check("seq<ragged<u8, 3>>", Ok(()));
    }

    #[test]
    fn refusals() {
        check(
            "c64[]",
            Err(
                "1:1: unknown dtype `c64`; the dtypes are f32, f64, f16, bf16, i64, i32, bool, str, … (`dtype.rs` lists all)",
            ),
        );
        check("seq<f32[]", Err("1:10: expected `>`, found the end"));
        check(&"seq<".repeat(200), Err("1:513: nested more than 128 deep"));
    }
}

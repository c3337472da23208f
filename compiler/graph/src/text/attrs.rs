//! Text of attributes: `{axis = 1, axes = ints [0, 1], eps = f32 1e-5, mode = "linear", to = dtype f16}`.

use crate::attrs::{Attr, Attrs};
use crate::text::cursor::Cursor;
use crate::text::dim::{Names, parse_dims, print_dims};
use crate::text::lexer::{Token, name_text, quote};
use crate::text::scalar::{parse_scalar, print_scalar};
use crate::text::ty::parse_dtype;
use crate::text::{ParseError, ParseErrorKind};

/// The text of attributes, in braces.
pub fn print_attrs(attrs: &Attrs, names: &Names<'_>) -> String {
    let items: Vec<String> =
        attrs.0.iter().map(|(name, attr)| format!("{} = {}", name_text(name), print_attr(attr, names))).collect();
    format!("{{{}}}", items.join(", "))
}

fn print_attr(attr: &Attr, names: &Names<'_>) -> String {
    match attr {
        Attr::Int(v) => v.to_string(),
        Attr::Ints(vs) => format!("ints {vs:?}"),
        Attr::Scalar(s) => format!("{} {}", s.dtype, print_scalar(*s)),
        Attr::Str(v) => quote(v),
        Attr::Strs(vs) => {
            let items: Vec<String> = vs.iter().map(|v| quote(v)).collect();
            format!("strs [{}]", items.join(", "))
        }
        Attr::Bool(v) => v.to_string(),
        Attr::DType(v) => format!("dtype {v}"),
        Attr::Dims(dims) => format!("dims {}", print_dims(dims, names)),
    }
}

/// Reads attributes, in braces.
pub fn parse_attrs(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<Attrs, ParseError> {
    let mut attrs = Attrs::new();
    c.list("{", "}", |c| {
        let pos = c.pos();
        let name = c.name("an attribute's name")?;
        c.mark("=")?;
        let attr = parse_attr(c, names)?;
        match attrs.0.insert(name.clone(), attr) {
            Some(_) => Err(pos.error(ParseErrorKind::Duplicate { what: "attribute", name })),
            None => Ok(()),
        }
    })?;
    Ok(attrs)
}

fn parse_attr(c: &mut Cursor<'_>, names: &Names<'_>) -> Result<Attr, ParseError> {
    if let Some(text) = c.take_string() {
        return Ok(Attr::Str(text));
    }
    let Token::Word(word) = *c.peek() else { return c.integer("attribute").map(Attr::Int) };
    match word {
        "ints" => {
            c.advance();
            c.list("[", "]", |c| c.integer("element")).map(Attr::Ints)
        }
        "strs" => {
            c.advance();
            c.list("[", "]", |c| c.string("an element")).map(Attr::Strs)
        }
        "true" | "false" => {
            c.advance();
            Ok(Attr::Bool(word == "true"))
        }
        "dtype" => {
            c.advance();
            parse_dtype(c).map(Attr::DType)
        }
        "dims" => {
            c.advance();
            parse_dims(c, names).map(Attr::Dims)
        }
        _ => {
            let dtype = parse_dtype(c)?;
            parse_scalar(c, dtype).map(Attr::Scalar)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbol::Symbols;

    fn check(text: &str) {
        let symbols = Symbols::default();
        let names = Names::new(&symbols);
        let attrs = parse_attrs(&mut Cursor::new(text).unwrap(), &names).unwrap();
        assert_eq!(print_attrs(&attrs, &names), text);
    }

    #[test]
    fn every_attribute_survives() {
        check("{}");
        check("{a = -1, axes = ints [0, -2], \"b c\" = strs [\"x\", \"\\n\"], eps = f32 1e-5, s = \"v\"}");
        check("{d = dims [$0 + 1, 2], flag = true, nan = f32 0x7fc00000, t = dtype f8e5m2}");
    }
}

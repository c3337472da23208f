//! Text of run-time values: `f32[2] [1.0, 2.0]`, `seq [i64[] [1]]`, `none`, `some u8[1] [0]`, `map str[1] ["a"] [f32[] [1.0]]`.

use crate::datum::Datum;
use crate::text::ParseError;
use crate::text::cursor::Cursor;
use crate::text::scalar::{parse_tensor, print_tensor};

/// The text of a value.
pub fn print_datum(datum: &Datum) -> String {
    match datum {
        Datum::Tensor(t) => print_tensor(t),
        Datum::Seq(items) => format!("seq {}", print_list(items)),
        Datum::Opt(None) => "none".to_string(),
        Datum::Opt(Some(inner)) => format!("some {}", print_datum(inner)),
        Datum::Map { keys, values } => format!("map {} {}", print_tensor(keys), print_list(values)),
    }
}

fn print_list(items: &[Datum]) -> String {
    let items: Vec<String> = items.iter().map(print_datum).collect();
    format!("[{}]", items.join(", "))
}

/// Reads a value.
pub fn parse_datum(c: &mut Cursor<'_>) -> Result<Datum, ParseError> {
    c.nested(|c| {
        if c.take_keyword("seq") {
            return c.list("[", "]", parse_datum).map(Datum::Seq);
        }
        if c.take_keyword("none") {
            return Ok(Datum::Opt(None));
        }
        if c.take_keyword("some") {
            return parse_datum(c).map(|inner| Datum::Opt(Some(Box::new(inner))));
        }
        if c.take_keyword("map") {
            let keys = parse_tensor(c)?;
            let values = c.list("[", "]", parse_datum)?;
            return Ok(Datum::Map { keys, values });
        }
        parse_tensor(c).map(Datum::Tensor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_survives() {
        for text in [
            "f32[2, 1] [1.0, -0.5]",
            "seq [i64[] [1], str[0] []]",
            "none",
            "some seq []",
            "map str[1] [\"a\"] [some u4[3] [1, 2, 15]]",
        ] {
            let datum = parse_datum(&mut Cursor::new(text).unwrap()).unwrap();
            assert_eq!(print_datum(&datum), text);
        }
    }
}

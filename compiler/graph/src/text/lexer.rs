//! Tokens of every text form of the compiler.
//!
//! Words, numbers, strings, numbered names (`%3`, `@0`, `$1`), bytes (`#00ff`) and marks; `;` begins a comment that runs to
//! the end of its line. Line ends mean nothing. Minus signs are marks of their own.

use crate::text::{ParseError, ParseErrorKind};

/// A place in a text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pos {
    pub line: u32,
    pub column: u32,
}

impl Pos {
    /// The error of a kind at this place.
    pub fn error(self, kind: ParseErrorKind) -> ParseError {
        ParseError { line: self.line, column: self.column, kind }
    }
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// A letter or `_`, then letters, digits and `_`.
    Word(&'a str),
    /// Decimal digits, perhaps with a fraction and an exponent.
    Number(&'a str),
    /// `0x` and up to 16 hexadecimal digits.
    Hex(u64),
    /// A string, its escapes resolved.
    Str(String),
    /// One of `% @ $ & ! ^` and a number.
    Id(char, u32),
    /// `#` and an even number of hexadecimal digits.
    Bytes(Vec<u8>),
    /// One of [`MARKS`].
    Mark(&'static str),
    /// The end of the text.
    End,
}

/// Punctuation; a longer one stands before its prefixes.
pub const MARKS: [&str; 18] =
    ["..=", "->", "..", "==", "(", ")", "[", "]", "{", "}", "<", ">", ",", ":", "=", "+", "-", "*"];

const SIGILS: &str = "%@$&!^";

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Token::Word(text) | Token::Number(text) => write!(f, "`{text}`"),
            Token::Hex(bits) => write!(f, "`{bits:#x}`"),
            Token::Str(text) => write!(f, "string {}", quote(text)),
            Token::Id(sigil, number) => write!(f, "`{sigil}{number}`"),
            Token::Bytes(bytes) => write!(f, "`#` and {} bytes", bytes.len()),
            Token::Mark(mark) => write!(f, "`{mark}`"),
            Token::End => write!(f, "the end"),
        }
    }
}

/// Whether a name can stand as a word, without quotes.
pub fn is_word(name: &str) -> bool {
    name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A name as a word if it can be one, else as a string.
pub fn name_text(name: &str) -> String {
    if is_word(name) { name.to_string() } else { quote(name) }
}

/// A string in quotes, with escapes.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// All tokens of a text, [`Token::End`] the last.
pub fn tokens(text: &str) -> Result<Vec<(Token<'_>, Pos)>, ParseError> {
    Lexer { rest: text, pos: Pos { line: 1, column: 1 } }.run()
}

struct Lexer<'a> {
    rest: &'a str,
    pos: Pos,
}

impl<'a> Lexer<'a> {
    fn run(mut self) -> Result<Vec<(Token<'a>, Pos)>, ParseError> {
        let mut out = Vec::new();
        loop {
            self.skip_blank();
            let pos = self.pos;
            let Some(first) = self.rest.chars().next() else {
                out.push((Token::End, pos));
                return Ok(out);
            };
            out.push((self.token(first)?, pos));
        }
    }

    fn skip_blank(&mut self) {
        while let Some(c) = self.rest.chars().next() {
            match c {
                ';' => {
                    self.take_while(|c| c != '\n');
                }
                c if c.is_whitespace() => self.skip(c),
                _ => return,
            }
        }
    }

    fn token(&mut self, first: char) -> Result<Token<'a>, ParseError> {
        let pos = self.pos;
        if first.is_ascii_alphabetic() || first == '_' {
            return Ok(Token::Word(self.take_while(|c| c.is_ascii_alphanumeric() || c == '_')));
        }
        if first.is_ascii_digit() {
            return self.number();
        }
        if first == '"' {
            return self.string();
        }
        if let Some(mark) = MARKS.iter().find(|m| self.rest.starts_with(**m)) {
            mark.chars().for_each(|c| self.skip(c));
            return Ok(Token::Mark(mark));
        }
        self.skip(first);
        if first == '#' {
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            let bytes = digits.as_bytes().chunks(2).map(|pair| match pair {
                [high, low] => Some(hex_digit(*high)? << 4 | hex_digit(*low)?),
                _ => None,
            });
            let range = ParseErrorKind::Range {
                what: "number of hexadecimal digits",
                found: digits.len().to_string(),
                expected: "an even one".to_string(),
            };
            return bytes.collect::<Option<Vec<u8>>>().map(Token::Bytes).ok_or_else(|| pos.error(range));
        }
        if SIGILS.contains(first) {
            let digits = self.take_while(|c| c.is_ascii_digit());
            let expected = "a number below 2^32".to_string();
            let range = ParseErrorKind::Range { what: "name", found: format!("{first}{digits}"), expected };
            return digits.parse().map(|number| Token::Id(first, number)).map_err(|_| pos.error(range));
        }
        Err(pos.error(ParseErrorKind::Character { found: first }))
    }

    fn number(&mut self) -> Result<Token<'a>, ParseError> {
        let (start, pos) = (self.rest, self.pos);
        let digit = |c: char| c.is_ascii_digit();
        if start.starts_with("0x") {
            ['0', 'x'].into_iter().for_each(|c| self.skip(c));
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            let expected = "1 to 16 hexadecimal digits".to_string();
            let range = ParseErrorKind::Range { what: "bit pattern", found: format!("0x{digits}"), expected };
            return u64::from_str_radix(digits, 16).map(Token::Hex).map_err(|_| pos.error(range));
        }
        self.take_while(digit);
        if self.rest.starts_with('.') && self.rest.chars().nth(1).is_some_and(digit) {
            self.skip('.');
            self.take_while(digit);
        }
        if self.rest.starts_with('e') {
            let mut after = self.rest.chars().skip(1);
            let signed = match after.next() {
                Some('-' | '+') => after.next().is_some_and(digit).then_some(true),
                Some(c) => digit(c).then_some(false),
                None => None,
            };
            if let Some(signed) = signed {
                (0..1 + usize::from(signed)).for_each(|_| self.skip('e'));
                self.take_while(digit);
            }
        }
        let length = start.len() - self.rest.len();
        Ok(Token::Number(start.get(..length).unwrap_or_default()))
    }

    fn string(&mut self) -> Result<Token<'a>, ParseError> {
        let open = self.pos;
        self.skip('"');
        let mut out = String::new();
        loop {
            let pos = self.pos;
            let Some(c) = self.rest.chars().next().filter(|c| *c != '\n') else {
                return Err(open.error(ParseErrorKind::OpenString));
            };
            self.skip(c);
            match c {
                '"' => return Ok(Token::Str(out)),
                '\\' => {
                    let escape = self.escape();
                    out.push(escape.map_err(|found| pos.error(ParseErrorKind::Escape { found }))?);
                }
                c => out.push(c),
            }
        }
    }

    /// The character of an escape, after its backslash; or what stands there.
    fn escape(&mut self) -> Result<char, String> {
        let Some(c) = self.rest.chars().next() else { return Err(String::new()) };
        self.skip(c);
        match c {
            '"' | '\\' => Ok(c),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'u' => {
                let body = self.take_while(|c| c == '{' || c.is_ascii_hexdigit());
                let code =
                    body.strip_prefix('{').and_then(|d| u32::from_str_radix(d, 16).ok()).and_then(char::from_u32);
                match (code, self.rest.starts_with('}')) {
                    (Some(found), true) => {
                        self.skip('}');
                        Ok(found)
                    }
                    _ => Err(format!("u{body}")),
                }
            }
            other => Err(other.to_string()),
        }
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let length = self.rest.find(|c| !keep(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.pos.column += taken.chars().count() as u32;
        taken
    }

    /// Steps over a character of the given width; a line end begins a new line.
    fn skip(&mut self, c: char) {
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        if c == '\n' {
            self.pos = Pos { line: self.pos.line + 1, column: 1 };
        } else {
            self.pos.column += 1;
        }
    }
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = match tokens(text) {
            Ok(tokens) => tokens.iter().map(|(t, p)| format!("{}:{} {t}", p.line, p.column)).collect::<Vec<_>>(),
            Err(error) => vec![error.to_string()],
        };
        assert_eq!(found.join(", "), expected);
    }

    #[test]
    fn tokens_have_positions() {
        check(
            "a1 = %3 ; rest\n  -> \"é\\n\" x",
            "1:1 `a1`, 1:4 `=`, 1:6 `%3`, 2:3 `->`, 2:6 string \"é\\n\", 2:12 `x`, 2:13 the end",
        );
    }

    #[test]
    fn ranges_are_not_fractions() {
        check("1..=64 0..", "1:1 `1`, 1:2 `..=`, 1:5 `64`, 1:8 `0`, 1:9 `..`, 1:11 the end");
        check("1.5e-7 1e30 2e", "1:1 `1.5e-7`, 1:8 `1e30`, 1:13 `2`, 1:14 `e`, 1:15 the end");
    }

    #[test]
    fn bits_and_bytes() {
        check("0x7fc00001 #00ff", "1:1 `0x7fc00001`, 1:12 `#` and 2 bytes, 1:17 the end");
        check("#012", "1:1: number of hexadecimal digits 3 is out of range; expected an even one");
        check("%", "1:1: name % is out of range; expected a number below 2^32");
    }

    #[test]
    fn broken_strings_are_refused_where_they_begin() {
        check("x \"abc", "1:3: a string that does not end on its line; close it with a double quote");
        check("\"a\\q\"", "1:3: escape \\q is not one of \\\" \\\\ \\n \\r \\t \\u{…}");
        check("?", "1:1: character '?' begins no token");
    }

    #[test]
    fn quoting_keeps_every_string() {
        for text in ["", "plain", "a\"b\\c\n\r\t\u{0}\u{7f}é😀"] {
            let quoted = quote(text);
            assert_eq!(tokens(&quoted).unwrap()[0].0, Token::Str(text.to_string()));
        }
    }
}

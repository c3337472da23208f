//! The cursor that parsers of every text form read tokens through.

use crate::MAX_NESTING;
use crate::text::lexer::{Pos, Token, tokens};
use crate::text::{ParseError, ParseErrorKind};

/// Reads tokens one after the other.
pub struct Cursor<'a> {
    tokens: Vec<(Token<'a>, Pos)>,
    at: usize,
    depth: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the first token of a text.
    pub fn new(text: &'a str) -> Result<Cursor<'a>, ParseError> {
        Ok(Cursor { tokens: tokens(text)?, at: 0, depth: 0 })
    }

    /// The next token.
    pub fn peek(&self) -> &Token<'a> {
        self.peek_at(0)
    }

    /// The token some places after the next one.
    pub fn peek_at(&self, ahead: usize) -> &Token<'a> {
        self.tokens.get(self.at + ahead).map_or(&Token::End, |t| &t.0)
    }

    /// Where the next token stands.
    pub fn pos(&self) -> Pos {
        let last = self.tokens.len().saturating_sub(1);
        self.tokens.get(self.at.min(last)).map_or(Pos { line: 1, column: 1 }, |t| t.1)
    }

    /// Takes the next token.
    pub fn advance(&mut self) -> Token<'a> {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    /// The error that something else was expected where the cursor stands.
    pub fn expected<T>(&self, expected: &str) -> Result<T, ParseError> {
        let kind = ParseErrorKind::Expected { expected: expected.to_string(), found: self.peek().to_string() };
        Err(self.pos().error(kind))
    }

    /// Takes a mark if it is next.
    pub fn take_mark(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek(), Token::Mark(m) if *m == mark);
        self.at += usize::from(found);
        found
    }

    /// Takes a mark that must be next.
    pub fn mark(&mut self, mark: &str) -> Result<(), ParseError> {
        if self.take_mark(mark) { Ok(()) } else { self.expected(&format!("`{mark}`")) }
    }

    /// Takes a word if it is next.
    pub fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(w) if *w == keyword);
        self.at += usize::from(found);
        found
    }

    /// Takes a word that must be next.
    pub fn keyword(&mut self, keyword: &str) -> Result<(), ParseError> {
        if self.take_keyword(keyword) { Ok(()) } else { self.expected(&format!("`{keyword}`")) }
    }

    /// Takes any word; `what` says what it names.
    pub fn word(&mut self, what: &str) -> Result<&'a str, ParseError> {
        let Token::Word(word) = *self.peek() else { return self.expected(what) };
        self.at += 1;
        Ok(word)
    }

    /// Takes a string.
    pub fn string(&mut self, what: &str) -> Result<String, ParseError> {
        let Token::Str(text) = self.peek().clone() else { return self.expected(&format!("{what} (a string)")) };
        self.at += 1;
        Ok(text)
    }

    /// Takes a string if one is next.
    pub fn take_string(&mut self) -> Option<String> {
        let Token::Str(text) = self.peek().clone() else { return None };
        self.at += 1;
        Some(text)
    }

    /// Takes a word or a string.
    pub fn name(&mut self, what: &str) -> Result<String, ParseError> {
        match self.take_string() {
            Some(name) => Ok(name),
            None => self.word(what).map(str::to_string),
        }
    }

    /// Takes a numbered name if it is next.
    pub fn take_id(&mut self, sigil: char) -> Option<u32> {
        let Token::Id(found, number) = *self.peek() else { return None };
        if found != sigil {
            return None;
        }
        self.at += 1;
        Some(number)
    }

    /// Takes a numbered name that must be next.
    pub fn id(&mut self, sigil: char) -> Result<u32, ParseError> {
        match self.take_id(sigil) {
            Some(number) => Ok(number),
            None => self.expected(&format!("`{sigil}` and a number")),
        }
    }

    /// Takes a word made of a prefix and a number (`e3`).
    pub fn numbered(&mut self, prefix: &str) -> Result<u32, ParseError> {
        let number = match self.peek() {
            Token::Word(w) => w.strip_prefix(prefix).filter(|d| d.bytes().all(|b| b.is_ascii_digit())),
            _ => None,
        };
        let Some(number) = number.and_then(|d| d.parse().ok()) else {
            return self.expected(&format!("`{prefix}` and a number"));
        };
        self.at += 1;
        Ok(number)
    }

    /// Takes an integer, perhaps negative.
    pub fn integer<T: TryFrom<i128>>(&mut self, what: &'static str) -> Result<T, ParseError> {
        let pos = self.pos();
        let negative = self.take_mark("-");
        let Token::Number(text) = *self.peek() else { return self.expected(&format!("{what} (an integer)")) };
        let Ok(magnitude) = text.parse::<i128>() else { return self.expected(&format!("{what} (an integer)")) };
        let value = if negative { -magnitude } else { magnitude };
        let Ok(value) = T::try_from(value) else {
            let expected = std::any::type_name::<T>().to_string();
            return Err(pos.error(ParseErrorKind::Range { what, found: value.to_string(), expected }));
        };
        self.at += 1;
        Ok(value)
    }

    /// Takes items between marks, with commas between them and perhaps one at the end.
    pub fn list<T>(
        &mut self,
        open: &str,
        close: &str,
        mut item: impl FnMut(&mut Cursor<'a>) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        self.mark(open)?;
        let mut out = Vec::new();
        while !self.take_mark(close) {
            out.push(item(self)?);
            if !self.take_mark(",") {
                self.mark(close)?;
                break;
            }
        }
        Ok(out)
    }

    /// Begins something that may contain itself; [`Cursor::leave`] ends it. At most [`MAX_NESTING`] may be open.
    pub fn enter(&mut self) -> Result<(), ParseError> {
        if self.depth >= MAX_NESTING {
            return Err(self.pos().error(ParseErrorKind::Depth { limit: MAX_NESTING }));
        }
        self.depth += 1;
        Ok(())
    }

    /// Ends what [`Cursor::enter`] began.
    pub fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Parses something that may contain itself, within [`MAX_NESTING`].
    pub fn nested<T>(&mut self, parse: impl FnOnce(&mut Cursor<'a>) -> Result<T, ParseError>) -> Result<T, ParseError> {
        self.enter()?;
        let result = parse(self);
        self.leave();
        result
    }

    /// Nothing may follow.
    pub fn end(&self) -> Result<(), ParseError> {
        if *self.peek() == Token::End { Ok(()) } else { self.expected("the end") }
    }
}

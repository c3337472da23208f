//! Statements as they are spelled: opcode word and operands, before any meaning.

use crate::fault::ParseError;
use crate::lex::{Kind, Token};

/// An operand as written.
#[derive(Clone, Debug)]
pub(crate) enum Arg<'t> {
    Word {
        text: &'t str,
        not: bool,
        minus: bool,
    },
    Vector(Vec<Arg<'t>>),
    /// `[base + offset]`, `[base, {coordinates}]`
    Address {
        base: Option<&'t str>,
        offset: i64,
        coords: Option<Vec<Arg<'t>>>,
    },
    /// `a|b`
    Pair(Box<Arg<'t>>, Box<Arg<'t>>),
}

/// An instruction as written.
#[derive(Clone, Debug)]
pub(crate) struct Raw<'t> {
    pub line: u32,
    pub guard: Option<(&'t str, bool)>,
    pub op: &'t str,
    pub args: Vec<Arg<'t>>,
}

/// A position in the tokens.
pub(crate) struct Cursor<'a, 't> {
    tokens: &'a [Token<'t>],
    at: usize,
}

impl<'a, 't> Cursor<'a, 't> {
    pub fn new(tokens: &'a [Token<'t>]) -> Self {
        Cursor { tokens, at: 0 }
    }

    pub fn line(&self) -> u32 {
        let token = self.tokens.get(self.at).or(self.tokens.last());
        token.map_or(1, |t| t.line)
    }

    pub fn peek(&self) -> Option<Kind<'t>> {
        self.tokens.get(self.at).map(|t| t.kind)
    }

    pub fn peek_second(&self) -> Option<Kind<'t>> {
        self.tokens.get(self.at + 1).map(|t| t.kind)
    }

    pub fn next(&mut self) -> Option<Kind<'t>> {
        let kind = self.peek();
        self.at += 1;
        kind
    }

    pub fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(Kind::Punct(c));
        self.at += usize::from(found);
        found
    }

    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(Kind::Word(word));
        self.at += usize::from(found);
        found
    }

    pub fn expect(&mut self, c: char) -> Result<(), ParseError> {
        let line = self.line();
        if self.eat(c) {
            return Ok(());
        }
        Err(ParseError::new(line, format!("`{c}` expected, found {}", self.found())))
    }

    pub fn word(&mut self) -> Result<&'t str, ParseError> {
        let line = self.line();
        if let Some(Kind::Word(word)) = self.peek() {
            self.at += 1;
            return Ok(word);
        }
        Err(ParseError::new(line, format!("a word expected, found {}", self.found())))
    }

    pub fn integer(&mut self) -> Result<u64, ParseError> {
        let line = self.line();
        let minus = self.eat('-');
        let word = self.word()?;
        crate::lex::number(word, minus, None)
            .ok_or_else(|| ParseError::new(line, format!("an integer expected, found `{word}`")))
    }

    fn found(&self) -> String {
        match self.peek() {
            Some(Kind::Word(w)) => format!("`{w}`"),
            Some(Kind::Text(t)) => format!("{t:?}"),
            Some(Kind::Punct(c)) => format!("`{c}`"),
            None => "the end of the text".to_string(),
        }
    }

    /// `@p op a, b;`
    pub fn instruction(&mut self) -> Result<Raw<'t>, ParseError> {
        let line = self.line();
        let guard = if self.eat('@') {
            let not = self.eat('!');
            Some((self.word()?, not))
        } else {
            None
        };
        let op = self.word()?;
        let mut args = Vec::new();
        if !self.eat(';') {
            loop {
                args.push(self.arg()?);
                if !self.eat(',') {
                    break;
                }
            }
            self.expect(';')?;
        }
        Ok(Raw { line, guard, op, args })
    }

    fn arg(&mut self) -> Result<Arg<'t>, ParseError> {
        let first = self.single()?;
        if self.eat('|') {
            let second = self.single()?;
            return Ok(Arg::Pair(Box::new(first), Box::new(second)));
        }
        Ok(first)
    }

    fn single(&mut self) -> Result<Arg<'t>, ParseError> {
        if self.eat('{') {
            return Ok(Arg::Vector(self.list('}')?));
        }
        if self.eat('[') {
            return self.address();
        }
        let not = self.eat('!');
        let minus = self.eat('-');
        Ok(Arg::Word { text: self.word()?, not, minus })
    }

    fn list(&mut self, end: char) -> Result<Vec<Arg<'t>>, ParseError> {
        let mut out = Vec::new();
        while !self.eat(end) {
            out.push(self.single()?);
            if !self.eat(',') {
                self.expect(end)?;
                break;
            }
        }
        Ok(out)
    }

    fn address(&mut self) -> Result<Arg<'t>, ParseError> {
        let line = self.line();
        let word = self.word()?;
        let mut base = Some(word);
        let mut offset = 0i64;
        if let Some(value) = crate::lex::number(word, false, None) {
            base = None;
            offset = value as i64;
        }
        loop {
            // A minus belongs to the integer.
            if !self.eat('+') && self.peek() != Some(Kind::Punct('-')) {
                break;
            }
            offset = offset.wrapping_add(self.integer()? as i64);
        }
        let mut coords = None;
        if self.eat(',') {
            if !self.eat('{') {
                return Err(ParseError::new(line, "coordinates in braces expected after the tensor map"));
            }
            coords = Some(self.list('}')?);
        }
        self.expect(']')?;
        Ok(Arg::Address { base, offset, coords })
    }
}

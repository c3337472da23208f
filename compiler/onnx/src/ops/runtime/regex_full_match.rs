//! Whether whole strings match a regular expression, in time proportional to pattern times string.
//!
//! The syntax is RE2's: literals, `.`, classes `[a-z]` with `[:alpha:]` inside, `\d \w \s \D \W \S` (ASCII), `^ $ \A \z \b \B`,
//! groups `( ) (?: ) (?P<name> )`, flags `i m s U`, `|`, `* + ? {n} {n,} {n,m}` greedy or not, `\n \t … \x41 \x{1F600}`,
//! `\Q…\E`. Not there: `\p{…}`, `\C`. Repeats go up to 1000.
//!
//! A pattern becomes a tree, the tree a program of states, and all states that a prefix can lead to advance together.

use super::datum::{Attrs, Datum, TensorDatum, attr_str, input};

pub fn run(attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    let program = compile(attr_str(attrs, "pattern").unwrap_or(""))?;
    let words = input(inputs, 0)?;
    let found: Vec<bool> = words.strings()?.iter().map(|word| matches(&program, word)).collect();
    Ok(vec![Datum::Tensor(TensorDatum::from_bools(words.tensor()?.shape.clone(), &found))])
}

/// Most states of a program.
const STATES: usize = 1 << 16;
/// Highest repeat count.
const REPEAT: u32 = 1000;
/// Deepest nesting of groups.
const DEPTH: usize = 200;

/// A set of characters: ranges, or all others; with case folded if asked for.
#[derive(Clone, Debug, Default)]
struct Set {
    ranges: Vec<(char, char)>,
    negated: bool,
    fold: bool,
}

impl Set {
    fn has(&self, c: char) -> bool {
        let inside = |c: char| self.ranges.iter().any(|(lo, hi)| *lo <= c && c <= *hi);
        let hit = inside(c) || self.fold && (c.to_lowercase().any(inside) || c.to_uppercase().any(inside));
        hit != self.negated
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    TextStart,
    TextEnd,
    LineStart,
    LineEnd,
    Boundary,
    NoBoundary,
}

#[derive(Clone, Debug)]
enum Tree {
    Set(Set),
    Place(Place),
    Concat(Vec<Tree>),
    Either(Vec<Tree>),
    Repeat { inner: Box<Tree>, least: u32, most: Option<u32> },
}

#[derive(Clone, Debug)]
enum State {
    Set(Set),
    Place(Place),
    Jump(usize),
    Split(usize, usize),
    Match,
}

#[derive(Clone, Copy, Default)]
struct Flags {
    fold: bool,
    multi_line: bool,
    dot_all: bool,
}

fn compile(pattern: &str) -> Result<Vec<State>, String> {
    let mut parser = Parser { text: pattern.chars().collect(), at: 0, flags: Flags::default(), depth: 0 };
    let tree = parser.either()?;
    if parser.at < parser.text.len() {
        return Err(parser.error("an unmatched )"));
    }
    let mut program = Vec::new();
    emit(&tree, &mut program)?;
    program.push(State::Match);
    Ok(program)
}

struct Parser {
    text: Vec<char>,
    at: usize,
    flags: Flags,
    depth: usize,
}

impl Parser {
    fn error(&self, what: &str) -> String {
        format!("{what} at character {} of the pattern {:?}", self.at, self.text.iter().collect::<String>())
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn eat(&mut self, literal: &str) -> bool {
        let ahead = self.text.get(self.at..).unwrap_or(&[]);
        let fits = literal.chars().count() <= ahead.len() && literal.chars().zip(ahead).all(|(a, b)| a == *b);
        if fits {
            self.at += literal.chars().count();
        }
        fits
    }

    fn next(&mut self) -> Result<char, String> {
        let c = self.peek().ok_or_else(|| self.error("an unfinished pattern"))?;
        self.at += 1;
        Ok(c)
    }

    fn either(&mut self) -> Result<Tree, String> {
        let mut branches = vec![self.concat()?];
        while self.eat("|") {
            branches.push(self.concat()?);
        }
        Ok(Tree::Either(branches))
    }

    fn concat(&mut self) -> Result<Tree, String> {
        let mut items = Vec::new();
        while let Some(c) = self.peek() {
            if c == '|' || c == ')' {
                break;
            }
            if self.eat("\\Q") {
                while !self.eat("\\E") && self.at < self.text.len() {
                    let c = self.next()?;
                    items.push(self.literal(c));
                }
                continue;
            }
            if let Some(atom) = self.atom()? {
                let repeated = self.repeats(atom)?;
                items.push(repeated);
            }
        }
        Ok(Tree::Concat(items))
    }

    fn literal(&self, c: char) -> Tree {
        Tree::Set(Set { ranges: vec![(c, c)], negated: false, fold: self.flags.fold })
    }

    /// One item; nothing for a group that only sets flags.
    fn atom(&mut self) -> Result<Option<Tree>, String> {
        let c = self.next()?;
        Ok(Some(match c {
            '(' => return self.group(),
            '[' => Tree::Set(self.class()?),
            '.' if self.flags.dot_all => Tree::Set(Set { negated: true, ..Set::default() }),
            '.' => Tree::Set(Set { ranges: vec![('\n', '\n')], negated: true, fold: false }),
            '^' if self.flags.multi_line => Tree::Place(Place::LineStart),
            '^' => Tree::Place(Place::TextStart),
            '$' if self.flags.multi_line => Tree::Place(Place::LineEnd),
            '$' => Tree::Place(Place::TextEnd),
            '*' | '+' | '?' => return Err(self.error("nothing to repeat")),
            '\\' => self.escape()?,
            other => self.literal(other),
        }))
    }

    fn group(&mut self) -> Result<Option<Tree>, String> {
        let outside = self.flags;
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.error("groups nested too deeply"));
        }
        if self.eat("?P<") || self.eat("?<") {
            while self.next()? != '>' {}
        } else if self.eat("?") {
            let mut value = true;
            loop {
                match self.next()? {
                    'i' => self.flags.fold = value,
                    'm' => self.flags.multi_line = value,
                    's' => self.flags.dot_all = value,
                    'U' => {}
                    '-' => value = false,
                    ':' => break,
                    ')' => {
                        self.depth -= 1;
                        return Ok(None);
                    }
                    _ => return Err(self.error("an unknown kind of group")),
                }
            }
        }
        let inner = self.either()?;
        if !self.eat(")") {
            return Err(self.error("a missing )"));
        }
        self.flags = outside;
        self.depth -= 1;
        Ok(Some(inner))
    }

    fn escape(&mut self) -> Result<Tree, String> {
        let c = self.next()?;
        Ok(match c {
            'A' => Tree::Place(Place::TextStart),
            'z' => Tree::Place(Place::TextEnd),
            'b' => Tree::Place(Place::Boundary),
            'B' => Tree::Place(Place::NoBoundary),
            _ => match self.named(c) {
                Some(set) => Tree::Set(set),
                None => {
                    let c = self.character(c)?;
                    self.literal(c)
                }
            },
        })
    }

    /// `\d`, `\w`, `\s` and their negations.
    fn named(&self, c: char) -> Option<Set> {
        let ranges = match c.to_ascii_lowercase() {
            'd' => vec![('0', '9')],
            'w' => vec![('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
            's' => vec![('\t', '\n'), ('\u{c}', '\r'), (' ', ' ')],
            _ => return None,
        };
        Some(Set { ranges, negated: c.is_ascii_uppercase(), fold: false })
    }

    /// The character that an escape stands for.
    fn character(&mut self, c: char) -> Result<char, String> {
        Ok(match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'f' => '\u{c}',
            'v' => '\u{b}',
            'a' => '\u{7}',
            'x' => {
                let mut digits = String::new();
                if self.eat("{") {
                    while !self.eat("}") {
                        digits.push(self.next()?);
                    }
                } else {
                    digits.push(self.next()?);
                    digits.push(self.next()?);
                }
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                code.ok_or_else(|| self.error("no character code"))?
            }
            c if c.is_ascii_alphanumeric() => return Err(self.error("an unknown escape")),
            c => c,
        })
    }

    fn class(&mut self) -> Result<Set, String> {
        let mut set = Set { ranges: Vec::new(), negated: self.eat("^"), fold: self.flags.fold };
        let mut first = true;
        while first || self.peek() != Some(']') {
            first = false;
            if self.eat("[:") {
                let negated = self.eat("^");
                let mut name = String::new();
                while !self.eat(":]") {
                    name.push(self.next()?);
                }
                let ranges = posix(&name).ok_or_else(|| self.error("an unknown class name"))?;
                set.ranges.extend(if negated { others(ranges) } else { ranges });
                continue;
            }
            let mut lo = self.next()?;
            if lo == '\\' {
                let c = self.next()?;
                if let Some(named) = self.named(c) {
                    set.ranges.extend(if named.negated { others(named.ranges) } else { named.ranges });
                    continue;
                }
                lo = self.character(c)?;
            }
            let mut hi = lo;
            if self.peek() == Some('-') && self.text.get(self.at + 1).is_some_and(|c| *c != ']') {
                self.at += 1;
                hi = self.next()?;
                if hi == '\\' {
                    let c = self.next()?;
                    hi = self.character(c)?;
                }
                if hi < lo {
                    return Err(self.error("a range that ends before it begins"));
                }
            }
            set.ranges.push((lo, hi));
        }
        self.at += 1;
        Ok(set)
    }

    fn repeats(&mut self, mut tree: Tree) -> Result<Tree, String> {
        loop {
            let (least, most) = match self.peek() {
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('?') => (0, Some(1)),
                Some('{') => match self.counts()? {
                    Some(counts) => counts,
                    None => return Ok(tree),
                },
                _ => return Ok(tree),
            };
            // The repeat sign, or the brace that closes counts.
            self.at += 1;
            self.eat("?");
            tree = Tree::Repeat { inner: Box::new(tree), least, most };
        }
    }

    /// `{n}`, `{n,}`, `{n,m}`, up to the closing brace; `None` if this is no repeat but plain text.
    fn counts(&mut self) -> Result<Option<(u32, Option<u32>)>, String> {
        let from = self.at + 1;
        let Some(length) = self.text.get(from..).and_then(|t| t.iter().position(|c| *c == '}')) else {
            return Ok(None);
        };
        let inside: String = self.text.get(from..from + length).unwrap_or(&[]).iter().collect();
        let (least, most) = match inside.split_once(',') {
            None => (inside.parse().ok(), inside.parse().ok().map(Some)),
            Some((least, "")) => (least.parse().ok(), Some(None)),
            Some((least, most)) => (least.parse().ok(), most.parse().ok().map(Some)),
        };
        let (Some(least), Some(most)) = (least, most) else { return Ok(None) };
        if least > REPEAT || most.is_some_and(|m: u32| m > REPEAT || m < least) {
            return Err(self.error("a repeat count out of bounds"));
        }
        self.at = from + length;
        Ok(Some((least, most)))
    }
}

fn posix(name: &str) -> Option<Vec<(char, char)>> {
    Some(match name {
        "alnum" => vec![('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => vec![('A', 'Z'), ('a', 'z')],
        "ascii" => vec![('\0', '\u{7f}')],
        "blank" => vec![('\t', '\t'), (' ', ' ')],
        "cntrl" => vec![('\0', '\u{1f}'), ('\u{7f}', '\u{7f}')],
        "digit" => vec![('0', '9')],
        "graph" => vec![('!', '~')],
        "lower" => vec![('a', 'z')],
        "print" => vec![(' ', '~')],
        "punct" => vec![('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => vec![('\t', '\r'), (' ', ' ')],
        "upper" => vec![('A', 'Z')],
        "word" => vec![('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        "xdigit" => vec![('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return None,
    })
}

/// All characters that ranges leave out.
fn others(mut ranges: Vec<(char, char)>) -> Vec<(char, char)> {
    ranges.sort_unstable();
    let mut out = Vec::new();
    let mut from = 0u32;
    for (lo, hi) in ranges {
        if let (Some(a), Some(b)) = (char::from_u32(from), u32::from(lo).checked_sub(1).and_then(char::from_u32))
            && a <= b
        {
            out.push((a, b));
        }
        from = from.max(u32::from(hi) + 1);
    }
    if let Some(a) = char::from_u32(from) {
        out.push((a, char::MAX));
    }
    out
}

fn emit(tree: &Tree, program: &mut Vec<State>) -> Result<(), String> {
    if program.len() > STATES {
        return Err("the pattern is too large".to_string());
    }
    match tree {
        Tree::Set(set) => program.push(State::Set(set.clone())),
        Tree::Place(place) => program.push(State::Place(*place)),
        Tree::Concat(items) => return items.iter().try_for_each(|item| emit(item, program)),
        Tree::Either(branches) => {
            let mut ends = Vec::new();
            for (k, branch) in branches.iter().enumerate() {
                let split = program.len();
                if k + 1 < branches.len() {
                    program.push(State::Jump(0));
                }
                emit(branch, program)?;
                if k + 1 < branches.len() {
                    ends.push(program.len());
                    program.push(State::Jump(0));
                    program[split] = State::Split(split + 1, program.len());
                }
            }
            let end = program.len();
            ends.into_iter().for_each(|at| program[at] = State::Jump(end));
        }
        Tree::Repeat { inner, least, most } => {
            for _ in 0..*least {
                emit(inner, program)?;
            }
            match most {
                None => {
                    let split = program.len();
                    program.push(State::Jump(0));
                    emit(inner, program)?;
                    program.push(State::Jump(split));
                    program[split] = State::Split(split + 1, program.len());
                }
                Some(most) => {
                    let mut splits = Vec::new();
                    for _ in *least..*most {
                        splits.push(program.len());
                        program.push(State::Jump(0));
                        emit(inner, program)?;
                    }
                    let end = program.len();
                    splits.into_iter().for_each(|at| program[at] = State::Split(at + 1, end));
                }
            }
        }
    }
    Ok(())
}

fn matches(program: &[State], text: &str) -> bool {
    let mut active = Active { states: Vec::new(), seen: vec![usize::MAX; program.len()] };
    let mut before = None;
    let mut chars = text.chars().peekable();
    active.enter(program, 0, 0, before, chars.peek().copied());
    let mut step = 0;
    while let Some(c) = chars.next() {
        step += 1;
        before = Some(c);
        let states = std::mem::take(&mut active.states);
        for state in states {
            if let Some(State::Set(set)) = program.get(state)
                && set.has(c)
            {
                active.enter(program, state + 1, step, before, chars.peek().copied());
            }
        }
    }
    active.states.iter().any(|s| matches!(program.get(*s), Some(State::Match)))
}

/// The states that the text so far can lead to and that wait for a character or the end.
struct Active {
    states: Vec<usize>,
    /// The step at which a state was last entered.
    seen: Vec<usize>,
}

impl Active {
    /// Enters a state and all that follow from it without a character.
    fn enter(&mut self, program: &[State], start: usize, step: usize, before: Option<char>, after: Option<char>) {
        let mut pending = vec![start];
        while let Some(at) = pending.pop() {
            match self.seen.get_mut(at) {
                Some(seen) if *seen != step => *seen = step,
                _ => continue,
            }
            match &program[at] {
                State::Set(_) | State::Match => self.states.push(at),
                State::Jump(to) => pending.push(*to),
                State::Split(a, b) => pending.extend([*b, *a]),
                State::Place(place) if holds(*place, before, after) => pending.push(at + 1),
                State::Place(_) => {}
            }
        }
    }
}

fn holds(place: Place, before: Option<char>, after: Option<char>) -> bool {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    match place {
        Place::TextStart => before.is_none(),
        Place::TextEnd => after.is_none(),
        Place::LineStart => before.is_none_or(|c| c == '\n'),
        Place::LineEnd => after.is_none_or(|c| c == '\n'),
        Place::Boundary => word(before) != word(after),
        Place::NoBoundary => word(before) == word(after),
    }
}

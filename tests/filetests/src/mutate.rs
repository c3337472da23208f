//! Texts that are almost right: a few tokens replaced by others of the same text.

/// A generator of numbers that look random (the constants are Knuth's, from MMIX).
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Numbers {
        Numbers(seed)
    }

    /// A number below `bound`, which is above 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }
}

/// The text with one or two tokens replaced, most often by ones of their kind.
pub fn mutate(text: &str, numbers: &mut Numbers) -> String {
    let tokens = split(text);
    let mut out = tokens.clone();
    for _ in 0..=numbers.below(2) {
        let to = numbers.below(tokens.len());
        let alike = numbers.below(8) > 0;
        let fits = |i: &usize| !alike || tokens.get(*i).map(|t| kind(t)) == tokens.get(to).map(|t| kind(t));
        let from: Vec<usize> = (0..tokens.len()).filter(fits).collect();
        let from = from.get(numbers.below(from.len())).and_then(|i| tokens.get(*i));
        if let (Some(slot), Some(token)) = (out.get_mut(to), from) {
            *slot = token;
        }
    }
    out.concat()
}

/// What a token begins with: a digit, an `e` of an expression, a lower-case letter, or the character itself.
fn kind(token: &str) -> char {
    match token.chars().next() {
        Some(c) if c.is_ascii_digit() => '0',
        Some('e') if token.chars().skip(1).all(|c| c.is_ascii_digit()) => 'e',
        Some(c) if c.is_ascii_lowercase() => 'a',
        Some(c) => c,
        None => ' ',
    }
}

/// Runs of letters and digits, and everything between, character by character.
fn split(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let part = |c: char| c.is_alphanumeric() || c == '_' || c == '%';
        let length = if part(first) { rest.find(|c| !part(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (token, tail) = rest.split_at(length);
        out.push(token);
        rest = tail;
    }
    out
}

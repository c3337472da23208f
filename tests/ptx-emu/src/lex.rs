//! PTX text → tokens with line numbers. A word keeps its dots and double colons (`ld.shared::cluster.b32`, `%tid.x`), because PTX
//! has no blanks inside them.
//!
//! ```text
//! @!%p1 bra LOOP;   →   Punct(@) Punct(!) Word(%p1) Word(bra) Word(LOOP) Punct(;)
//! ```

use crate::fault::ParseError;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind<'t> {
    Word(&'t str),
    Text(&'t str),
    Punct(char),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'t> {
    pub kind: Kind<'t>,
    pub line: u32,
}

/// All tokens of a text.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let (mut at, mut line) = (0, 1u32);
    while let Some(&c) = bytes.get(at) {
        match c {
            b'\n' => {
                line += 1;
                at += 1;
            }
            b' ' | b'\t' | b'\r' => at += 1,
            b'/' if bytes.get(at + 1) == Some(&b'/') => at += until(&bytes[at..], b"\n"),
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let length = until(&bytes[at..], b"*/") + 2;
                let end = (at + length).min(bytes.len());
                line += bytes[at..end].iter().filter(|&&b| b == b'\n').count() as u32;
                at = end;
            }
            b'"' => {
                let length = until(&bytes[at + 1..], b"\"");
                out.push(Token { kind: Kind::Text(&text[at + 1..at + 1 + length]), line });
                at += length + 2;
            }
            _ if is_word(c) => {
                let length = word_length(&bytes[at..]);
                out.push(Token { kind: Kind::Word(&text[at..at + length]), line });
                at += length;
            }
            _ if c.is_ascii_punctuation() => {
                out.push(Token { kind: Kind::Punct(c as char), line });
                at += 1;
            }
            _ => {
                let found = text[at..].chars().next().unwrap_or(' ');
                return Err(ParseError::new(line, format!("character {found:?} has no place in PTX")));
            }
        }
    }
    Ok(out)
}

fn is_word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'_' | b'$' | b'%' | b'.')
}

/// Length of the word at the start; `::` belongs to it, a single colon does not.
fn word_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&c) = bytes.get(at) {
        let scope = c == b':' && bytes.get(at + 1) == Some(&b':');
        if scope {
            at += 2;
        } else if is_word(c) {
            at += 1;
        } else {
            break;
        }
    }
    at
}

/// Bytes before the first occurrence, or all.
fn until(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|w| w == what).unwrap_or(bytes.len())
}

/// An integer or float literal as the bits that a register of `bits` gets; `None` where the word is no number.
pub(crate) fn number(word: &str, minus: bool, float: Option<u32>) -> Option<u64> {
    let lower = word.to_ascii_lowercase();
    if let Some(hex) = lower.strip_prefix("0f").filter(|h| h.len() == 8) {
        let bits = u32::from_str_radix(hex, 16).ok()?;
        let bits = if minus { bits ^ 0x8000_0000 } else { bits };
        return Some(if float == Some(64) { f64::from(f32::from_bits(bits)).to_bits() } else { u64::from(bits) });
    }
    if let Some(hex) = lower.strip_prefix("0d").filter(|h| h.len() == 16) {
        let bits = u64::from_str_radix(hex, 16).ok()?;
        let bits = if minus { bits ^ (1 << 63) } else { bits };
        return Some(if float == Some(32) { u64::from((f64::from_bits(bits) as f32).to_bits()) } else { bits });
    }
    if !lower.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = lower.strip_suffix('u').unwrap_or(&lower);
    let value = if let Some(hex) = digits.strip_prefix("0x") {
        u64::from_str_radix(hex, 16).ok()
    } else if let Some(binary) = digits.strip_prefix("0b") {
        u64::from_str_radix(binary, 2).ok()
    } else if digits.len() > 1 && digits.starts_with('0') && !digits.contains(['.', 'e']) {
        u64::from_str_radix(&digits[1..], 8).ok()
    } else {
        digits.parse().ok()
    };
    match (value, float) {
        (Some(v), None) => Some(if minus { v.wrapping_neg() } else { v }),
        (_, Some(bits)) => {
            let v: f64 = digits.parse().ok()?;
            let v = if minus { -v } else { v };
            Some(if bits == 64 { v.to_bits() } else { u64::from((v as f32).to_bits()) })
        }
        (None, None) => {
            let v: f64 = digits.parse().ok()?;
            Some(if minus { -v } else { v }.to_bits())
        }
    }
}

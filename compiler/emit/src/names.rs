//! Rust identifiers from model strings: never code, always valid, unique where it matters.

use std::collections::BTreeSet;

use proc_macro2::{Ident, Span};

const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "union", "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "_",
];

/// A snake-case identifier from any text.
pub fn snake(text: &str) -> String {
    let mut out = String::new();
    let mut previous = '_';
    for c in text.chars() {
        if !c.is_ascii_alphanumeric() {
            if !out.is_empty() && previous != '_' {
                out.push('_');
            }
            previous = '_';
            continue;
        }
        if c.is_ascii_uppercase() && (previous.is_ascii_lowercase() || previous.is_ascii_digit()) {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        previous = c;
    }
    let mut out = out.trim_end_matches('_').to_string();
    out.truncate(60);
    if out.is_empty() || out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert_str(0, "n");
    }
    if KEYWORDS.contains(&out.as_str()) {
        out.push('_');
    }
    out
}

/// A camel-case identifier from any text.
pub fn camel(text: &str) -> String {
    let mut out = String::new();
    for part in snake(text).split('_').filter(|p| !p.is_empty()) {
        let mut chars = part.chars();
        out.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        out.extend(chars);
    }
    if out == "Self" { "SelfDim".to_string() } else { out }
}

/// Hands out identifiers, each once.
#[derive(Clone, Debug, Default)]
pub struct Namer {
    taken: BTreeSet<String>,
}

impl Namer {
    /// A namer that never hands out these.
    pub fn without(taken: &[&str]) -> Namer {
        Namer { taken: taken.iter().map(|s| (*s).to_string()).collect() }
    }

    /// The name itself, or with a number where it is taken.
    pub fn unique(&mut self, name: String) -> Ident {
        let mut candidate = name.clone();
        let mut suffix = 1;
        while !self.taken.insert(candidate.clone()) {
            suffix += 1;
            candidate = format!("{}_{suffix}", name.trim_end_matches('_'));
        }
        ident(&candidate)
    }
}

/// An identifier that is known to be valid.
pub fn ident(name: &str) -> Ident {
    Ident::new(name, Span::call_site())
}

/// Any text on one line, without characters that could end a comment or a string, or show it in another order than it has.
pub fn one_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() || is_format(c) { ' ' } else { c };
    let mut out: String = text.chars().take(200).map(clean).collect();
    if text.chars().count() > 200 {
        out.push('…');
    }
    out
}

/// Any text as code within a line of Markdown, for documentation: nothing in it is markup.
pub fn code_span(text: &str) -> String {
    format!("`{}`", one_line(text).replace('`', "'"))
}

/// Whether a character separates lines, is invisible, or turns the direction of others; rustc refuses the last in comments.
fn is_format(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}')
        || matches!(c, '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected_snake: &str, expected_camel: &str) {
        assert_eq!((snake(text).as_str(), camel(text).as_str()), (expected_snake, expected_camel));
    }

    #[test]
    fn any_text_becomes_an_identifier() {
        check("image", "image", "Image");
        check("input.1", "input_1", "Input1");
        check("batchSize", "batch_size", "BatchSize");
        check("1x", "n1x", "N1x");
        check("fn", "fn_", "Fn");
        check("self", "self_", "SelfDim");
        check("", "n", "N");
        check("\"; panic!(); //", "panic", "Panic");
        check("größe", "gr_e", "GrE");
    }

    #[test]
    fn comments_and_documentation_stay_what_they_are() {
        assert_eq!(one_line("a\nb\r\u{2028}c\u{202E}d\u{2066}e\0"), "a b  c d e ");
        assert_eq!(one_line(&"x".repeat(1000)).chars().count(), 201);
        assert_eq!(code_span("a` <b>"), "`a' <b>`");
    }

    #[test]
    fn names_are_handed_out_once() {
        let mut namer = Namer::without(&["out"]);
        assert_eq!(namer.unique("out".into()), "out_2");
        assert_eq!(namer.unique("x".into()), "x");
        assert_eq!(namer.unique("x".into()), "x_2");
    }
}

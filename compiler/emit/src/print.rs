//! Tokens as text: formatted, with a header, comments and blank lines between items.

use proc_macro2::TokenStream;

use crate::error::EmitError;

/// Formats a file. Statements `__comment!("…");` become comments.
pub fn file(path: &str, header: &str, items: TokenStream) -> Result<String, EmitError> {
    let parsed: syn::File =
        syn::parse2(items).map_err(|e| EmitError::Syntax { path: path.to_string(), what: e.to_string() })?;
    let text = prettyplease::unparse(&parsed);
    let mut out = String::with_capacity(text.len() + 256);
    for line in header.lines() {
        out.push_str(line);
        out.push('\n');
    }
    let mut previous = "//!";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if wants_blank(previous, line) {
            out.push('\n');
        }
        // A long comment's words are on a line of their own, the closing bracket on the next.
        let joined = line.ends_with("__comment!(").then(|| {
            let words = lines.next().unwrap_or_default().trim();
            format!("{line}{words}{}", lines.next().unwrap_or_default().trim())
        });
        match comment(joined.as_deref().unwrap_or(line)) {
            Some((indent, words)) => {
                out.push_str(indent);
                out.push_str("// ");
                out.push_str(&words);
            }
            None => out.push_str(line),
        }
        out.push('\n');
        previous = line;
    }
    Ok(out)
}

/// Whether an item begins that the line before does not belong to.
fn wants_blank(previous: &str, line: &str) -> bool {
    let (before, body) = (previous.trim_start(), line.trim_start());
    let depth = line.len() - body.len();
    let import = |l: &str| {
        l.starts_with("use ") || l.starts_with("pub use ") || l.starts_with("mod ") || l.starts_with("pub mod ")
    };
    let starts = ["///", "#[", "pub fn ", "fn ", "pub struct ", "struct ", "impl", "pub const ", "const ", "pub enum "];
    let item = starts.iter().any(|s| body.starts_with(s));
    match depth {
        0 if before.starts_with("//!") => !body.starts_with("//!"),
        0 if before.starts_with("///") || before.starts_with("#[") || before.starts_with(")]") => false,
        0 => item || (import(body) && !import(before) && before.ends_with('}')) || (import(before) && !import(body)),
        4 => item && before == "}",
        _ => false,
    }
}

/// The indentation and words of a comment statement.
fn comment(line: &str) -> Option<(&str, String)> {
    let body = line.trim_start();
    let words = body.strip_prefix("__comment!(\"")?.strip_suffix("\");")?;
    let indent = line.strip_suffix(body)?;
    Some((indent, words.replace("\\\"", "\"").replace("\\\\", "\\")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn long_comments_stay_one_line() {
        let words = "Conv+Add+Relu ".repeat(9);
        let items = quote!(
            fn f() {
                {
                    __comment!(#words);
                    g();
                }
            }
        );
        let text = file("f.rs", "", items).unwrap();
        assert!(text.contains(&format!("        // {words}\n        g();")), "{text}");
    }

    #[test]
    fn comment_statements_become_comments() {
        let items = quote!(
            use a::b;
            fn f() {
                __comment!("Conv \"a\"");
                g();
            }
            /// G.
            fn g() {}
        );
        let expected = "// head\n\nuse a::b;\n\nfn f() {\n    // Conv \"a\"\n    g();\n}\n\n/// G.\nfn g() {}\n";
        assert_eq!(file("f.rs", "// head", items).unwrap(), expected);
    }
}

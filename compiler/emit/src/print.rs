//! Tokens as text: formatted, with a header and comments.

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
    for line in text.lines() {
        match comment(line) {
            Some((indent, words)) => {
                out.push_str(indent);
                out.push_str("// ");
                out.push_str(&words);
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    Ok(out)
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
    fn comment_statements_become_comments() {
        let items = quote!(
            fn f() {
                __comment!("Conv \"a\"");
                g();
            }
        );
        assert_eq!(file("f.rs", "// head", items).unwrap(), "// head\nfn f() {\n    // Conv \"a\"\n    g();\n}\n");
    }
}

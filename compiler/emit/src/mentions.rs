//! Whether generated tokens name something: which imports they need, which parameters they use.

use proc_macro2::{Spacing, TokenStream, TokenTree};

/// Whether a type of this name occurs.
pub fn mentions(tokens: &TokenStream, name: &str) -> bool {
    occurs(tokens, name, &|_| true)
}

/// Whether something is named by a path that starts with this module.
pub fn mentions_module(tokens: &TokenStream, name: &str) -> bool {
    let colon = |next: Option<&TokenTree>| matches!(next, Some(TokenTree::Punct(p)) if p.as_char() == ':' && p.spacing() == Spacing::Joint);
    occurs(tokens, name, &colon)
}

/// Whether an identifier occurs that is not behind `::` or `.`, and is followed by what is asked for.
fn occurs(tokens: &TokenStream, name: &str, followed: &dyn Fn(Option<&TokenTree>) -> bool) -> bool {
    let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
    trees.iter().enumerate().any(|(k, tree)| match tree {
        TokenTree::Ident(found) => {
            let before = k.checked_sub(1).and_then(|k| trees.get(k));
            let inside = matches!(before, Some(TokenTree::Punct(p)) if matches!(p.as_char(), ':' | '.') && p.spacing() == Spacing::Alone)
                && !matches!(k.checked_sub(2).and_then(|k| trees.get(k)), Some(TokenTree::Ident(_)));
            found == name && !inside && followed(trees.get(k + 1))
        }
        TokenTree::Group(group) => occurs(&group.stream(), name, followed),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// Whether a lifetime occurs.
pub fn mentions_lifetime(tokens: &TokenStream) -> bool {
    tokens.clone().into_iter().any(|t| match t {
        TokenTree::Punct(punct) => punct.as_char() == '\'',
        TokenTree::Group(group) => mentions_lifetime(&group.stream()),
        TokenTree::Ident(_) | TokenTree::Literal(_) => false,
    })
}

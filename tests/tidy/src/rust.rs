//! Rust texts, as far as the checks look into them.

/// Number of lines up to the tests inside the file.
pub fn code_lines(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| {
        pair[0].trim() == "#[cfg(test)]" && pair[1].trim_start().starts_with("mod ") && pair[1].ends_with('{')
    });
    tests.unwrap_or(lines.len())
}

/// The text with comments, strings and characters blanked out; lines stay lines.
pub fn without_texts(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        let end = match (c, next) {
            ('/', Some('/')) => find(&chars, at, |k| chars[k] == '\n'),
            ('/', Some('*')) => find(&chars, at + 2, |k| chars[k - 1] == '*' && chars[k] == '/') + 1,
            ('"', _) => string_end(&chars, at),
            ('r', Some('"' | '#')) if !word_before(&chars, at) => match raw_end(&chars, at) {
                Some(end) => end,
                None => at,
            },
            ('\'', Some('\\')) => find(&chars, at + 3, |k| chars[k] == '\'') + 1,
            ('\'', Some(_)) if chars.get(at + 2) == Some(&'\'') => at + 3,
            _ => at,
        };
        if end <= at {
            out.push(c);
            at += 1;
            continue;
        }
        let end = end.min(chars.len());
        out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// First position from `from` at which `found` holds, or the end.
fn find(chars: &[char], from: usize, found: impl Fn(usize) -> bool) -> usize {
    (from.max(1)..chars.len()).find(|k| found(*k)).unwrap_or(chars.len())
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut k = at + 1;
    while let Some(c) = chars.get(k) {
        match c {
            '\\' => k += 2,
            '"' => return k + 1,
            _ => k += 1,
        }
    }
    k
}

fn raw_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes =
        |k: &usize| chars[*k] == '"' && chars[k + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
    (open + 1..chars.len()).find(closes).map(|k| k + 1 + hashes)
}

fn word_before(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
}

/// Line number and text of every `allow(…)` attribute, also one of several lines.
pub fn allows(text: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    for start in ["#[allow(", "#![allow("] {
        for (at, _) in text.match_indices(start) {
            let line = text[..at].matches('\n').count() + 1;
            let quoted = text[..at].rsplit('\n').next().unwrap_or_default().trim_start().starts_with("//");
            let end = text[at..].find(")]").map_or(text.len(), |k| at + k);
            if !quoted {
                out.push((line, text[at..end].to_string()));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_blanked_out() {
        let text =
            "a // unsafe\nlet b = \"x \\\" unsafe\"; r#\"unsafe \" \"# 'c' '\\n' &'a str /* unsafe\n */ for r in";
        let expected = "a          \nlet b =              ;                         &'a str          \n    for r in";
        let found = without_texts(text);
        assert!(!found.contains("unsafe"), "{found}");
        assert_eq!(found.split_whitespace().collect::<Vec<_>>(), expected.split_whitespace().collect::<Vec<_>>());
        assert_eq!(found.lines().count(), text.lines().count());
    }

    #[test]
    fn tests_are_no_code() {
        assert_eq!(code_lines("a\nb\n#[cfg(test)]\nmod tests {\n}\n"), 2);
        assert_eq!(code_lines("a\n#[cfg(test)]\nmod tests;\nb\n"), 4);
    }

    #[test]
    fn attributes_of_several_lines() {
        let found = allows("#![allow(a)]\n// #[allow(b)]\n#[allow(\n    c,\n    reason = \"d\"\n)]\n");
        assert_eq!(found.iter().map(|(l, _)| *l).collect::<Vec<_>>(), [3, 1]);
        assert!(found[0].1.contains("reason"));
    }
}

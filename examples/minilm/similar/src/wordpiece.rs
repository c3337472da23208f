//! Sentences to word pieces, as uncased BERT does it.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Words of more characters are unknown.
const LONGEST_WORD: usize = 100;

/// The word pieces that a network knows, by position.
pub struct WordPieces {
    ids: HashMap<String, i64>,
    unknown: i64,
    start: i64,
    end: i64,
}

impl WordPieces {
    /// From a vocabulary with a piece a line; pieces that go on within a word begin with `##`.
    pub fn new(vocabulary: &str) -> Result<WordPieces, String> {
        let ids: HashMap<String, i64> = vocabulary.lines().map(String::from).zip(0..).collect();
        let id = |piece: &str| ids.get(piece).copied().ok_or(format!("the vocabulary has no {piece}"));
        let (unknown, start, end) = (id("[UNK]")?, id("[CLS]")?, id("[SEP]")?);
        Ok(WordPieces { ids, unknown, start, end })
    }

    /// The pieces of a sentence between those that mark its start and its end, at most `limit` in all.
    pub fn encode(&self, sentence: &str, limit: usize) -> Vec<i64> {
        let mut out = vec![self.start];
        words(sentence).iter().for_each(|word| self.push_word(word, &mut out));
        out.truncate(limit.saturating_sub(1));
        out.push(self.end);
        out
    }

    /// The longest piece that the word begins with, then the longest that what is left begins with, and so on.
    fn push_word(&self, word: &str, out: &mut Vec<i64>) {
        let (before, mut rest) = (out.len(), word);
        let mut mark = "";
        while !rest.is_empty() {
            let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8()).rev();
            let found = ends.filter_map(|end| Some((end, *self.ids.get(&format!("{mark}{}", &rest[..end]))?))).next();
            match found {
                Some((end, id)) if word.chars().count() <= LONGEST_WORD => {
                    out.push(id);
                    (mark, rest) = ("##", &rest[end..]);
                }
                _ => {
                    out.truncate(before);
                    out.push(self.unknown);
                    return;
                }
            }
        }
    }
}

/// Words in lower case without accents; each punctuation mark and each Chinese character is a word.
fn words(sentence: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let plain = sentence.nfd().filter(|c| c.general_category() != GeneralCategory::NonspacingMark);
    for c in plain.flat_map(char::to_lowercase) {
        if c.is_whitespace() {
            words.push(String::new());
        } else if is_chinese(c) || is_punctuation(c) {
            words.extend([String::from(c), String::new()]);
        } else if c.general_category_group() != GeneralCategoryGroup::Other && c != char::REPLACEMENT_CHARACTER {
            words.last_mut().into_iter().for_each(|word| word.push(c));
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || c.general_category_group() == GeneralCategoryGroup::Punctuation
}

/// Ideographs; kana and hangul are written with words.
fn is_chinese(c: char) -> bool {
    matches!(u32::from(c), 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x2_0000..=0x2_ceaf | 0x2_f800..=0x2_fa1f)
}

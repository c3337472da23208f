//! `similar FOLDER SENTENCES`: prints how similar each two sentences of a file are, by the generated crate. FOLDER has the vocabulary and
//! what sentence-transformers found. Fails if a word piece or a printed digit differs from that.

mod wordpiece;

use std::error::Error;
use std::process::ExitCode;

use minilm_engine::{Batch, Engine, EngineOptions, Input, Inputs, Sequence};
use wordpiece::WordPieces;

/// Longer sentences are cut, as the model's authors do.
const MOST_PIECES: usize = 256;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, sentences] = &arguments[..] else { return Err("usage: similar FOLDER SENTENCES".into()) };
    let read = |path: &str| std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"));
    let (vocabulary, original) = (read(&format!("{folder}/vocab.txt"))?, read(&format!("{folder}/original.txt"))?);
    let sentences = read(sentences)?;

    let pieces = WordPieces::new(&vocabulary)?;
    let ids: Vec<Vec<i64>> = sentences.lines().map(|sentence| pieces.encode(sentence, MOST_PIECES)).collect();
    let found = similarities(&embeddings(&ids)?);

    for (sentence, row) in sentences.lines().zip(&found) {
        println!("{}  {sentence}", row.join(" "));
    }
    let count = ids.len();
    let expected: Vec<&str> = original.lines().collect();
    let (their_ids, their_values) = expected.split_at_checked(count).ok_or("original.txt is of other sentences")?;
    let same_ids = ids.iter().zip(their_ids).filter(|(ours, theirs)| printed(ours) == **theirs).count();
    let values = found.iter().zip(their_values).flat_map(|(ours, theirs)| ours.iter().zip(theirs.split(' ')));
    let same_values = values.filter(|(ours, theirs)| theirs.parse().is_ok_and(|v: f64| **ours == digits(v))).count();
    println!("word pieces of {same_ids} of {count} sentences as sentence-transformers'");
    println!("{same_values} of {} similarities as sentence-transformers', to the printed digits", count * count);
    let complete = count > 0 && same_ids == count && same_values == count * count;
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One embedding a sentence; all sentences in one call, the shorter ones filled up with pieces that the mask leaves out.
fn embeddings(ids: &[Vec<i64>]) -> Result<Vec<[f32; 384]>, minilm_engine::Error> {
    let longest = ids.iter().map(Vec::len).max().unwrap_or(0);
    let padded = |row: &Vec<i64>, value: fn(i64) -> i64| {
        let mut row: Vec<i64> = row.iter().map(|id| value(*id)).collect();
        row.resize(longest, 0);
        row
    };
    let input_ids: Vec<i64> = ids.iter().flat_map(|row| padded(row, |id| id)).collect();
    let attention_mask: Vec<i64> = ids.iter().flat_map(|row| padded(row, |_| 1)).collect();

    let dims = (Batch(ids.len()), Sequence(longest));
    let mut session = Engine::load(EngineOptions::default())?.session()?;
    let out = session.infer(&Inputs {
        input_ids: Input::with_dims(&input_ids, dims),
        attention_mask: Input::with_dims(&attention_mask, dims),
    })?;
    Ok(out.embedding().to_vec())
}

/// The cosine of the angle between each two embeddings, which have length 1.
fn similarities(embeddings: &[[f32; 384]]) -> Vec<Vec<String>> {
    let product = |a: &[f32; 384], b: &[f32; 384]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
    embeddings.iter().map(|a| embeddings.iter().map(|b| digits(product(a, b))).collect()).collect()
}

fn digits(value: f64) -> String {
    format!("{value:7.4}")
}

fn printed(ids: &[i64]) -> String {
    ids.iter().map(i64::to_string).collect::<Vec<_>>().join(" ")
}

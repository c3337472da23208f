//! `classify FOLDER`: classifies the images of `images.bin` with the generated crate, all in one call, and compares the labels with
//! those that ONNX Runtime found and with those that were written. Fails if a label is not ONNX Runtime's.

use std::path::Path;
use std::process::ExitCode;

use digits_engine::{Engine, EngineOptions, Input, Inputs};

/// One channel of 8 by 8 pixels, from 0 to 1.
type Image = [[[f32; 8]; 8]; 1];

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: classify FOLDER")?;
    let read = |name: &str| std::fs::read(Path::new(&folder).join(name)).map_err(|e| format!("{folder}/{name}: {e}"));
    let images: Vec<Image> = read("images.bin")?.chunks_exact(64).map(image).collect();
    let (expected, written) = (read("expected_labels.bin")?, read("labels.bin")?);

    let engine = Engine::load(EngineOptions::default())?;
    let mut session = engine.session()?;
    let out = session.infer(&Inputs { image: Input::from_slice(&images)? })?;
    let found: Vec<u8> = out.logits().iter().map(best).collect();

    let agree = |labels: &[u8]| found.iter().zip(labels).filter(|(a, b)| a == b).count();
    let (count, same, right) = (images.len(), agree(&expected), agree(&written));
    println!("{same} of {count} as ONNX Runtime");
    println!("{right} of {count} right ({:.2} %)", 100.0 * right as f64 / count as f64);
    let complete = count > 0 && found.len() == count && expected.len() == count;
    Ok(if complete && same == count { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Pixel values from 0 to 16, row by row.
fn image(pixels: &[u8]) -> Image {
    let mut out = [[[0.0; 8]; 8]; 1];
    out.as_flattened_mut().as_flattened_mut().iter_mut().zip(pixels).for_each(|(v, p)| *v = f32::from(*p) / 16.0);
    out
}

/// The position of the largest score.
fn best(scores: &[f32; 10]) -> u8 {
    (0..10u8).max_by(|a, b| scores[usize::from(*a)].total_cmp(&scores[usize::from(*b)])).unwrap_or(0)
}

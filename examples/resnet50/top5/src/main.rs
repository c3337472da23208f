//! `top5 IMAGE CLASSES CROP`: prints the five best classes of an image (PNG or JPEG), by the generated crate, and writes the part of the
//! image that the network saw. CLASSES has the names of the classes, one a line.

use std::error::Error;

use image::imageops::{FilterType, crop_imm};
use image::{DynamicImage, RgbImage};
use resnet50_engine::{Engine, EngineOptions, Input, Inputs};

/// Pixels of the shorter side, from which the middle is cut; both as in training.
const SHORTER: u32 = 232;
const SIDE: u32 = 224;

/// Mean and deviation of the training images, red, green and blue.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// A batch of one image: channels, rows, columns.
type Image = [[[[f32; SIDE as usize]; SIDE as usize]; 3]; 1];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, picture, classes, crop] = &arguments[..] else { return Err("usage: top5 IMAGE CLASSES CROP".into()) };
    let picture = image::open(picture).map_err(|e| format!("{picture}: {e}"))?;
    let classes = std::fs::read_to_string(classes).map_err(|e| format!("{classes}: {e}"))?;
    let middle = middle(&picture);
    middle.save(crop).map_err(|e| format!("{crop}: {e}"))?;

    let engine = Engine::load(EngineOptions::default())?;
    let mut session = engine.session()?;
    let pixels = normalised(&middle);
    let out = session.infer(&Inputs { image: Input::from_slice(&*pixels)? })?;
    let scores: &[f32; 1000] = &out.scores()[0];

    let mut best: Vec<(&f32, &str)> = scores.iter().zip(classes.lines()).collect();
    best.sort_by(|a, b| b.0.total_cmp(a.0));
    best.iter().take(5).for_each(|(score, class)| println!("{score:8.3}  {class}"));
    Ok(())
}

/// The square in the middle.
fn middle(picture: &DynamicImage) -> RgbImage {
    let (width, height) = (picture.width(), picture.height());
    let scaled = |side: u32| (u64::from(side) * u64::from(SHORTER) / u64::from(width.min(height).max(1))) as u32;
    let (width, height) = (scaled(width).max(SHORTER), scaled(height).max(SHORTER));
    let picture = picture.resize_exact(width, height, FilterType::Triangle).to_rgb8();
    crop_imm(&picture, (width - SIDE) / 2, (height - SIDE) / 2, SIDE, SIDE).to_image()
}

/// Channel by channel, as the network wants it.
fn normalised(picture: &RgbImage) -> Box<Image> {
    let mut out = Box::new([[[[0.0; SIDE as usize]; SIDE as usize]; 3]; 1]);
    for (x, y, pixel) in picture.enumerate_pixels() {
        for (channel, value) in pixel.0.iter().enumerate() {
            out[0][channel][y as usize][x as usize] = (f32::from(*value) / 255.0 - MEAN[channel]) / DEVIATION[channel];
        }
    }
    out
}

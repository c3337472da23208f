//! `segment IMAGE CLASSES FOLDER`: finds the class of each pixel of an image (PNG or JPEG) at two sizes, by one generated crate, and writes
//! `WIDTHxHEIGHT.png` (what the network saw) and `WIDTHxHEIGHT-classes.png` (a palette's colour for each class). CLASSES has their names.

use std::error::Error;
use std::fs::File;
use std::path::Path;

use fcn_engine::{Engine, EngineOptions, Height, Input, Inputs, Session, Width};
use image::RgbImage;
use image::imageops::FilterType;

/// Width and height.
const SIZES: [(u32, u32); 2] = [(224, 224), (320, 256)];

/// Mean and deviation of the training images, red, green and blue.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, picture, names, folder] = &arguments[..] else { return Err("usage: segment IMAGE CLASSES FOLDER".into()) };
    let picture = image::open(picture).map_err(|e| format!("{picture}: {e}"))?;
    let names = std::fs::read_to_string(names).map_err(|e| format!("{names}: {e}"))?;
    let names: Vec<&str> = names.lines().collect();

    let mut session = Engine::load(EngineOptions::default())?.session()?;
    for (width, height) in SIZES {
        let resized = picture.resize_exact(width, height, FilterType::Triangle).to_rgb8();
        let name = format!("{width}x{height}");
        resized.save(Path::new(folder).join(format!("{name}.png")))?;
        let classes = classes(&mut session, &resized)?;
        write(&classes, &resized, &Path::new(folder).join(format!("{name}-classes.png")))?;
        println!("{name}: {}", shares(&classes, &names));
    }
    Ok(())
}

/// The class of each pixel, row by row.
fn classes(session: &mut Session, picture: &RgbImage) -> Result<Vec<u8>, fcn_engine::Error> {
    let channel = |c: usize| picture.pixels().map(move |p| (f32::from(p.0[c]) / 255.0 - MEAN[c]) / DEVIATION[c]);
    let pixels: Vec<f32> = (0..3).flat_map(channel).collect();
    let dims = (Height(picture.height() as usize), Width(picture.width() as usize));
    let out = session.infer(&Inputs { image: Input::with_dims(&pixels, dims) })?;
    Ok(out.classes().elements().to_vec())
}

/// A PNG of one byte a pixel and the colours that they stand for.
fn write(classes: &[u8], picture: &RgbImage, path: &Path) -> Result<(), Box<dyn Error>> {
    let file = File::create(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut encoder = png::Encoder::new(file, picture.width(), picture.height());
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette((0..=u8::MAX).flat_map(colour).collect::<Vec<u8>>());
    encoder.write_header()?.write_image_data(classes)?;
    Ok(())
}

/// The colours of the Pascal VOC data set: the bits of the class, dealt out to red, green and blue, the lowest to the brightest bit.
fn colour(class: u8) -> [u8; 3] {
    [0, 1, 2].map(|channel| (0..).zip((channel..8).step_by(3)).map(|(k, bit)| (class >> bit & 1) << (7 - k)).sum())
}

/// How much of the image each class takes, the largest first; those below 0.5 % are left out.
fn shares(classes: &[u8], names: &[&str]) -> String {
    let count = |class: usize| classes.iter().filter(|c| usize::from(**c) == class).count();
    let mut shares: Vec<(f64, &str)> =
        names.iter().enumerate().map(|(k, name)| (100.0 * count(k) as f64 / classes.len() as f64, *name)).collect();
    shares.sort_by(|a, b| b.0.total_cmp(&a.0));
    let shown = shares.iter().filter(|(share, _)| *share >= 0.5);
    shown.map(|(share, name)| format!("{name} {share:.1} %")).collect::<Vec<_>>().join(", ")
}

//! `enlarge SMALL LARGE`: doubles width and height of an image (PNG or JPEG) by the generated crate, and writes it as PNG.

use std::error::Error;

use image::RgbImage;
use superres_engine::{Engine, EngineOptions, Height, Input, Inputs, Width};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, small, large] = &arguments[..] else { return Err("usage: enlarge SMALL LARGE".into()) };
    let picture = image::open(small).map_err(|e| format!("{small}: {e}"))?.to_rgb8();
    let enlarged = enlarged(&picture)?;
    enlarged.save(large).map_err(|e| format!("{large}: {e}"))?;
    println!("{}x{} pixels from {}x{}", enlarged.width(), enlarged.height(), picture.width(), picture.height());
    Ok(())
}

fn enlarged(picture: &RgbImage) -> Result<RgbImage, superres_engine::Error> {
    let channel = |c: usize| picture.pixels().map(move |p| f32::from(p.0[c]) / 255.0);
    let pixels: Vec<f32> = (0..3).flat_map(channel).collect();
    let dims = (Height(picture.height() as usize), Width(picture.width() as usize));

    let mut session = Engine::load(EngineOptions::default())?.session()?;
    let out = session.infer(&Inputs { image: Input::with_dims(&pixels, dims) })?;
    let values = out.enlarged();
    let level = |x: u32, y: u32, c: usize| (values[[0, c, y as usize, x as usize]] * 255.0 + 0.5) as u8;
    let pixel = |x, y| image::Rgb([0, 1, 2].map(|c| level(x, y, c)));
    Ok(RgbImage::from_fn(2 * picture.width(), 2 * picture.height(), pixel))
}

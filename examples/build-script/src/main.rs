//! Classifies the first images of the digits example with a model that the build script compiled.

/// The module `digits`, as the build script wrote it.
#[allow(dead_code, reason = "a whole API, of which this program uses a part")]
mod model {
    include!(concat!(env!("OUT_DIR"), "/digits.rs"));
}

use model::digits::{Batch, Engine, EngineOptions, Error};

/// How many images are classified.
const COUNT: usize = 12;

const IMAGES: &[u8] = include_bytes!("../../digits/images.bin");
const LABELS: &[u8] = include_bytes!("../../digits/labels.bin");

fn main() -> Result<(), Error> {
    let mut session = Engine::load(EngineOptions::default())?.session()?;
    session.resize(Batch(COUNT))?;
    let mut inputs = session.inputs_mut();
    let values = inputs.image_mut().as_flattened_mut().as_flattened_mut().as_flattened_mut();
    values.iter_mut().zip(IMAGES).for_each(|(value, pixel)| *value = f32::from(*pixel) / 16.0);
    for (scores, label) in session.run()?.logits().iter().zip(LABELS) {
        let best = (0..10).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap_or(0);
        println!("written {label}, found {best}");
    }
    Ok(())
}

//! Calls on memory of the device, as work of a caller's stream: new and old pointers, shapes with graphs and without, and
//! inside a capture of the caller.

use std::sync::Arc;

use runtime_min::error::Error;
use runtime_min::gpu::driver::DriverTable;
use runtime_min::gpu::options::EngineOptions;
use runtime_min::gpu::owned::{Context, DeviceMemory, Stream};
use runtime_min::stand_in::lent;

use crate::cases::{floats, load, same, text};
use crate::programs;

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn ramp(n: usize, start: f32) -> Vec<f32> {
    (0..n).map(|k| k as f32 + start).collect()
}

/// An input with its values, and room for the output.
fn pair(context: &Arc<Context>, x: &[f32]) -> Result<(DeviceMemory, DeviceMemory), Error> {
    Ok((lent::memory(context, &bytes(x))?, lent::memory(context, &bytes(&vec![f32::NAN; x.len()]))?))
}

fn check(context: &Arc<Context>, what: &str, y: &DeviceMemory, x: &[f32]) -> Result<(), String> {
    let found = lent::contents(context, y, x.len() * 4).map_err(|e| e.to_string())?;
    same(what, &floats(&found), &x.iter().map(|v| v * 8.0).collect())
}

/// Two pairs of memory in turn, at a shape with graphs and at one without.
pub fn pointers(driver: &'static DriverTable) -> Result<(), String> {
    let engine = load(driver, programs::chain(true), EngineOptions::default()).map_err(text)?;
    let context = Arc::clone(&engine.shared().context);
    let entered = context.enter().map_err(|e| e.to_string())?;
    let mut session = engine.session().map_err(text)?;
    let stream = Stream::new(&context).map_err(|e| e.to_string())?;
    for n in [100, 130, 100] {
        let (first, second) = (ramp(n, 1.0), ramp(n, -7.0));
        let pairs = [pair(&context, &first).map_err(text)?, pair(&context, &second).map_err(text)?];
        for turn in 0..4 {
            let x = if turn % 2 == 0 { &first } else { &second };
            let Some((input, output)) = pairs.get(turn % 2) else { continue };
            lent::enqueue(&mut session, &stream, &[(&[n], input)], &[Some(output)]).map_err(text)?;
            check(&context, &format!("{n} elements, turn {turn}"), output, x)?;
        }
    }
    drop(entered);
    Ok(())
}

/// A call that a caller captures runs as often as its graph, on what the memory holds then.
pub fn captured(driver: &'static DriverTable) -> Result<(), String> {
    let engine = load(driver, programs::chain(true), EngineOptions::default()).map_err(text)?;
    let context = Arc::clone(&engine.shared().context);
    let entered = context.enter().map_err(|e| e.to_string())?;
    let mut session = engine.session().map_err(text)?;
    let stream = Stream::new(&context).map_err(|e| e.to_string())?;
    let x = ramp(100, 2.0);
    let (input, output) = pair(&context, &x).map_err(text)?;
    let graph = lent::capture(&mut session, &stream, &[(&[100], &input)], &[Some(&output)]).map_err(text)?;
    for start in [2.0, -3.0] {
        let x = ramp(100, start);
        context.api.upload_now(input.address(), &bytes(&x), stream.handle()).map_err(|e| e.to_string())?;
        graph.launch(&stream).map_err(|e| e.to_string())?;
        check(&context, "captured", &output, &x)?;
    }
    drop((graph, entered));
    Ok(())
}

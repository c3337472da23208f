//! Tensor maps of a call: sizes and address put in, then encoded by the driver.

use super::super::error::StepError;
use super::driver::TensorMapBytes;
use super::kernel_calls::{MapCopy, MapRequest};
use super::program::{MapElement, MapShape, Promotion, Size, Swizzle};
use super::session::GpuSession;

/// Drivers up to this version (13.1) set a bit in im2col maps of small tensors that makes copies fail.
const LAST_WRONG_DRIVER: u32 = 13_010;
const SMALL_TENSOR: u64 = 131_072;
const WRONG_BIT: u64 = 1 << 21;

/// Map `index` of the program, for this call.
pub fn encode(session: &GpuSession, index: u32) -> Result<TensorMapBytes, StepError> {
    let shared = &session.shared;
    let refused = || StepError::Kernel { what: format!("tensor map {index} does not exist or has over 5 dimensions") };
    let map = shared.program.maps.get(index as usize).ok_or_else(refused)?;
    let fill = |sizes: &[Size], places: &mut [u64]| {
        for (place, size) in places.iter_mut().zip(sizes) {
            let value = session.values.get(*size);
            *place = u64::try_from(value).map_err(|_| StepError::Size { found: value })?;
        }
        Ok::<(), StepError>(())
    };
    let (mut extents, mut strides) = ([0; 5], [0; 4]);
    fill(&map.extents, &mut extents)?;
    fill(&map.strides, &mut strides)?;
    let extents = extents.get(..map.extents.len()).ok_or_else(refused)?;
    let strides = strides.get(..map.strides.len()).ok_or_else(refused)?;
    let copy = match &map.shape {
        MapShape::Tiled { tile } => MapCopy::Tiled { tile },
        MapShape::Im2col { lower, upper, channels, pixels } => {
            MapCopy::Im2col { lower, upper, channels: *channels, pixels: *pixels }
        }
    };
    let request = MapRequest {
        address: session.address(map.view, 0)?,
        element: element(map.element),
        extents,
        strides,
        element_strides: &map.element_strides,
        copy,
        swizzle: swizzle(map.swizzle),
        promotion: promotion(map.promotion),
        fill: u32::from(map.nan_fill),
    };
    let mut encoded = shared.context.api.encode(&request)?;
    let rows = extents.last().copied().unwrap_or(0);
    let bytes = strides.last().copied().unwrap_or(0).saturating_mul(rows);
    let im2col = matches!(map.shape, MapShape::Im2col { .. });
    if im2col && shared.context.facts.driver <= LAST_WRONG_DRIVER && bytes < SMALL_TENSOR {
        let [_, word, ..] = &mut encoded.0;
        *word &= !WRONG_BIT;
    }
    Ok(encoded)
}

fn element(element: MapElement) -> u32 {
    match element {
        MapElement::U8 => 0,
        MapElement::U16 => 1,
        MapElement::U32 => 2,
        MapElement::I32 => 3,
        MapElement::U64 => 4,
        MapElement::I64 => 5,
        MapElement::F16 => 6,
        MapElement::F32 => 7,
        MapElement::F64 => 8,
        MapElement::BF16 => 9,
        MapElement::F32Ftz => 10,
        MapElement::TF32 => 11,
        MapElement::TF32Ftz => 12,
    }
}

fn swizzle(swizzle: Swizzle) -> u32 {
    match swizzle {
        Swizzle::None => 0,
        Swizzle::B32 => 1,
        Swizzle::B64 => 2,
        Swizzle::B128 => 3,
    }
}

fn promotion(promotion: Promotion) -> u32 {
    match promotion {
        Promotion::None => 0,
        Promotion::B64 => 1,
        Promotion::B128 => 2,
        Promotion::B256 => 3,
    }
}

//! Bulk copies as runs of bytes: plain ranges, boxes of tensors, columns of pixels (im2col).

use crate::exec::bulk::{Piece, Transfer};
use crate::exec::spaces::Place;
use crate::fault::FaultKind;
use crate::inst::{Addr, Bulk, Src, TensorPart};
use crate::machine::Machine;
use crate::tensor_map::{Element, Im2col, Swizzle, TensorMap};
use crate::types::{Space, Ty};
use crate::warp::Warp;

/// Bytes of a tensor map.
const MAP: usize = 128;

impl Machine<'_> {
    /// Place of one lane's address, reported where it is refused.
    pub fn bulk_address(
        &mut self,
        warp: &Warp,
        addr: &Addr,
        space: Space,
        lane: usize,
        align: u64,
        line: u32,
    ) -> Option<(Place, usize)> {
        let address = self.addresses(warp, addr, 1 << lane, line)[lane];
        if !address.is_multiple_of(align) {
            let detail = format!("no multiple of {align}");
            self.fault(warp, lane as u32, FaultKind::Misaligned, line, Some(address), &detail);
            return None;
        }
        match self.locate(space, address, 1) {
            Ok(found) => Some(found),
            Err((kind, detail)) => {
                self.fault(warp, lane as u32, kind, line, Some(address), &detail);
                None
            }
        }
    }

    /// Everything that a lane's instruction moves, with the address and CTA of the shared side.
    pub fn transfer(&mut self, warp: &Warp, bulk: &Bulk, lane: usize, line: u32) -> Option<(Transfer, u64, usize)> {
        let shared = bulk.shared.as_ref()?;
        let stores = bulk.to == Space::Global;
        let space = if stores { bulk.from } else { bulk.to };
        let align = if bulk.tensor.is_some() { 128 } else { 16 };
        let (Place::Shared(cta), start) = self.bulk_address(warp, shared, space, lane, align, line)? else {
            return None;
        };
        let transfer = match &bulk.tensor {
            Some(tensor) => self.tensor_pieces(warp, tensor, start as u32, lane, line)?,
            None => self.plain_pieces(warp, bulk, start as u32, lane, line)?,
        };
        let end = transfer.pieces.iter().map(|p| p.shared + p.bytes).max().unwrap_or(0) as usize;
        let size = self.ctas[cta].shared.data.len();
        if end > size {
            let detail = format!("the copy ends at byte {end} of {size} of shared memory");
            self.fault(warp, lane as u32, FaultKind::OutOfBounds, line, Some(start as u64), &detail);
            return None;
        }
        Some((transfer, start as u64, cta))
    }

    fn plain_pieces(&mut self, warp: &Warp, bulk: &Bulk, start: u32, lane: usize, line: u32) -> Option<Transfer> {
        let size = bulk.size?;
        self.check1(warp, &size, 1 << lane, line);
        let bytes = warp.copy(&size)[lane] as u32;
        if !bytes.is_multiple_of(16) {
            let detail = format!("{bytes} bytes, no multiple of 16");
            self.fault(warp, lane as u32, FaultKind::Operand, line, None, &detail);
            return None;
        }
        let plain = bulk.plain.as_ref()?;
        let space = if bulk.to == Space::Global { Space::Global } else { bulk.from };
        let (place, at) = self.bulk_address(warp, plain, space, lane, 16, line)?;
        let end = self.block(place).map_or(0, |b| b.data.len());
        if at + bytes as usize > end {
            let address = self.addresses(warp, plain, 1 << lane, line)[lane];
            let detail = format!("{bytes} bytes from byte {at} of {end}");
            self.fault(warp, lane as u32, FaultKind::OutOfBounds, line, Some(address), &detail);
            return None;
        }
        let pieces = vec![Piece { shared: start, bytes, other: Some((place, at)) }];
        let element = bulk.reduce.and_then(|(_, ty)| ty).unwrap_or(Ty::B8);
        Some(Transfer { pieces, swizzle: 0, fill: 0, element })
    }

    fn tensor_pieces(
        &mut self,
        warp: &Warp,
        tensor: &TensorPart,
        start: u32,
        lane: usize,
        line: u32,
    ) -> Option<Transfer> {
        let address = self.addresses(warp, &tensor.map, 1 << lane, line)[lane];
        let mut bytes = vec![0; MAP];
        match self.locate(Space::Generic, address, 64) {
            Ok((Place::Param, at)) => bytes.copy_from_slice(self.launch.params.get(at..at + MAP)?),
            Ok((place @ Place::Global(_), at)) => {
                bytes.copy_from_slice(self.block(place)?.data.get(at..at + MAP)?);
            }
            Ok(_) => {}
            Err((kind, detail)) => self.fault(warp, lane as u32, kind, line, Some(address), &detail),
        }
        let values = |machine: &mut Self, list: &[Src]| -> Vec<i64> {
            list.iter()
                .map(|s| {
                    machine.check1(warp, s, 1 << lane, line);
                    i64::from(warp.copy(s)[lane] as i32)
                })
                .collect()
        };
        let coords = values(self, &tensor.coords);
        let offsets = tensor.offsets.as_ref().map(|o| values(self, o));
        let map = TensorMap::decode(&bytes);
        let wrong = match &map {
            None => Some("the operand is no tensor map".to_string()),
            Some(map) if usize::from(map.rank) != coords.len() => {
                Some(format!("a tensor map of rank {} with {} coordinates", map.rank, coords.len()))
            }
            Some(map) if map.im2col.is_some() != offsets.is_some() => Some("tile and im2col are mixed".to_string()),
            // Recorded: an H200 stops with an illegal instruction, where the tensor has a tail of the box outside or not.
            Some(map) if !(coords.first().unwrap_or(&0) * i64::from(map.element.bytes())).rem_euclid(16).eq(&0) => {
                Some("the innermost coordinate is no multiple of 16 bytes".to_string())
            }
            Some(map) => map.problem(),
        };
        if let Some(detail) = wrong {
            self.fault(warp, lane as u32, FaultKind::Operand, line, Some(address), &detail);
            return None;
        }
        let map = map?;
        let runs = match (&map.im2col, offsets) {
            (Some(im2col), Some(offsets)) => columns(&map, im2col, &coords, &offsets),
            _ => boxes(&map, &coords),
        };
        let home = self.locate(Space::Global, map.address, 1).ok().map(|(place, _)| place);
        let mut pieces = Vec::with_capacity(runs.len());
        let mut at = start;
        for (bytes, global) in runs {
            let other = match global {
                Some(address) => match self.locate(Space::Global, address, 1) {
                    Ok((place, offset)) if home == Some(place) && self.fits(place, offset, bytes) => {
                        Some((place, offset))
                    }
                    _ => {
                        let detail = format!("the tensor map reaches {}", self.global.describe(address));
                        self.fault(warp, lane as u32, FaultKind::OutOfBounds, line, Some(address), &detail);
                        return None;
                    }
                },
                None => None,
            };
            pieces.push(Piece { shared: at, bytes, other });
            at += bytes;
        }
        let swizzle = match map.swizzle {
            Swizzle::None => 0,
            Swizzle::B32 => 1,
            Swizzle::B64 => 3,
            Swizzle::B128 => 7,
        };
        let element = element_type(map.element);
        let fill = if map.nan_fill && matches!(map.element, Element::F16 | Element::Bf16) { 0x7fff } else { 0 };
        Some(Transfer { pieces, swizzle, fill, element })
    }

    fn fits(&mut self, place: Place, at: usize, bytes: u32) -> bool {
        self.block(place).is_some_and(|b| at + bytes as usize <= b.data.len())
    }
}

fn element_type(element: Element) -> Ty {
    match element {
        Element::U8 => Ty::U8,
        Element::U16 => Ty::U16,
        Element::U32 => Ty::U32,
        Element::S32 => Ty::S32,
        Element::U64 => Ty::U64,
        Element::S64 => Ty::S64,
        Element::F16 => Ty::F16,
        Element::F32 | Element::Tf32 => Ty::F32,
        Element::F64 => Ty::F64,
        Element::Bf16 => Ty::Bf16,
    }
}

/// A run of bytes in shared memory and where it lies in the tensor.
type Run = (u32, Option<u64>);

/// Elements along the inner dimension, split where the tensor begins and ends.
fn inner(map: &TensorMap, first: i64, count: u32, row: Option<u64>, out: &mut Vec<Run>) {
    let size = map.element.bytes();
    let step = i64::from(map.element_strides[0].max(1));
    if step > 1 {
        for k in 0..i64::from(count) {
            let at = first + k * step;
            let inside = (0..i64::from(map.sizes[0])).contains(&at);
            out.push((size, row.filter(|_| inside).map(|r| r + at as u64 * u64::from(size))));
        }
        return;
    }
    let before = (-first).clamp(0, i64::from(count));
    let inside = (i64::from(map.sizes[0]) - first.max(0)).clamp(0, i64::from(count) - before);
    let after = i64::from(count) - before - inside;
    let start = row.map(|r| r + first.max(0) as u64 * u64::from(size));
    for (n, at) in [(before, None), (inside, start), (after, None)] {
        if n > 0 {
            out.push((n as u32 * size, at));
        }
    }
}

/// The tiles of a box, dimension 0 innermost.
fn boxes(map: &TensorMap, coords: &[i64]) -> Vec<Run> {
    let rank = usize::from(map.rank);
    let counts: Vec<u32> =
        (0..rank).map(|d| u32::from(map.extent[d]).div_ceil(u32::from(map.element_strides[d].max(1)))).collect();
    let rows: u32 = counts[1..].iter().product();
    let mut out = Vec::new();
    for row in 0..rows {
        let (mut rest, mut address) = (row, Some(map.address));
        for d in 1..rank {
            let at = coords[d] + i64::from(rest % counts[d]) * i64::from(map.element_strides[d].max(1));
            rest /= counts[d];
            let inside = (0..i64::from(map.sizes[d])).contains(&at);
            address = address.filter(|_| inside).map(|a| a + at as u64 * map.strides[d - 1]);
        }
        inner(map, coords[0], counts[0], address, &mut out);
    }
    out
}

/// im2col: pixels in the order W, H, D, N from the given one, each with a run of channels at the filter's offset.
fn columns(map: &TensorMap, im2col: &Im2col, coords: &[i64], offsets: &[i64]) -> Vec<Run> {
    let rank = usize::from(map.rank);
    let spatial = rank - 2;
    let lower = |d: usize| i64::from(im2col.lower[d]);
    let end = |d: usize| i64::from(map.sizes[d + 1]) + i64::from(im2col.upper[d]);
    let step = |d: usize| i64::from(map.element_strides[d + 1].max(1));
    let mut pixel: Vec<i64> = coords[1..].to_vec();
    let mut out = Vec::new();
    for _ in 0..im2col.pixels {
        let mut address = Some(map.address);
        for d in 0..=spatial {
            let at = if d < spatial { pixel[d] + offsets[d] } else { pixel[d] };
            let inside = (0..i64::from(map.sizes[d + 1])).contains(&at);
            address = address.filter(|_| inside).map(|a| a + at as u64 * map.strides[d]);
        }
        inner(map, coords[0], u32::from(im2col.channels), address, &mut out);
        for (d, at) in pixel.iter_mut().enumerate() {
            *at += if d == spatial { 1 } else { step(d) };
            if d == spatial || *at < end(d) {
                break;
            }
            *at = lower(d);
        }
    }
    out
}

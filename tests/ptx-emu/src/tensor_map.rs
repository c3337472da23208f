//! Tensor maps: what cuTensorMapEncode makes opaque, in an encoding of the emulator's own.

/// Element types of a tensor map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Element {
    U8,
    U16,
    U32,
    S32,
    U64,
    S64,
    F16,
    F32,
    F64,
    Bf16,
    /// f32 whose low bits the load rounds away.
    Tf32,
}

const ELEMENTS: [(Element, u32); 11] = [
    (Element::U8, 1),
    (Element::U16, 2),
    (Element::U32, 4),
    (Element::S32, 4),
    (Element::U64, 8),
    (Element::S64, 8),
    (Element::F16, 2),
    (Element::F32, 4),
    (Element::F64, 8),
    (Element::Bf16, 2),
    (Element::Tf32, 4),
];

impl Element {
    pub fn bytes(self) -> u32 {
        ELEMENTS.iter().find(|(e, _)| *e == self).map_or(1, |(_, bytes)| *bytes)
    }
}

/// How 16-byte chunks are exchanged in shared memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Swizzle {
    None,
    B32,
    B64,
    B128,
}

/// Corners of im2col mode: the box of pixels, relative to the tensor's, and what one instruction loads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Im2col {
    /// By spatial dimension, the innermost (W) first.
    pub lower: [i16; 3],
    pub upper: [i16; 3],
    pub channels: u16,
    pub pixels: u16,
}

/// A tensor in global memory and the box that one instruction moves; the innermost dimension first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TensorMap {
    pub element: Element,
    pub rank: u8,
    pub address: u64,
    pub sizes: [u32; 5],
    /// Bytes from one element to the next in dimensions 1 to 4.
    pub strides: [u64; 4],
    /// Elements of the box in each dimension.
    pub extent: [u16; 5],
    pub element_strides: [u8; 5],
    pub swizzle: Swizzle,
    /// Out of bounds elements become NaN, not zero.
    pub nan_fill: bool,
    pub im2col: Option<Im2col>,
}

const MAGIC: &[u8; 8] = b"ptxemu01";

impl TensorMap {
    /// A dense tensor with a box, strides following from the sizes.
    pub fn tiled(element: Element, address: u64, sizes: &[u32], extent: &[u16], swizzle: Swizzle) -> TensorMap {
        let mut map = TensorMap {
            element,
            rank: sizes.len().min(5) as u8,
            address,
            sizes: [1; 5],
            strides: [0; 4],
            extent: [1; 5],
            element_strides: [1; 5],
            swizzle,
            nan_fill: false,
            im2col: None,
        };
        let mut stride = u64::from(element.bytes());
        for (k, (size, extent)) in sizes.iter().zip(extent).enumerate().take(5) {
            map.sizes[k] = *size;
            map.extent[k] = *extent;
            stride *= u64::from(*size);
            if k < 4 {
                map.strides[k] = stride;
            }
        }
        map
    }

    /// The 128 bytes that a kernel gets.
    pub fn encode(&self) -> [u8; 128] {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.address.to_le_bytes());
        let element = ELEMENTS.iter().position(|(e, _)| *e == self.element).unwrap_or(0) as u8;
        let flags = u8::from(self.nan_fill) | u8::from(self.im2col.is_some()) << 1;
        out.extend_from_slice(&[element, self.rank, self.swizzle as u8, flags]);
        self.sizes.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        self.strides.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        self.extent.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        out.extend_from_slice(&self.element_strides);
        if let Some(im2col) = &self.im2col {
            im2col.lower.iter().chain(&im2col.upper).for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
            out.extend_from_slice(&im2col.channels.to_le_bytes());
            out.extend_from_slice(&im2col.pixels.to_le_bytes());
        }
        let mut bytes = [0; 128];
        bytes[..out.len()].copy_from_slice(&out);
        bytes
    }

    /// `None` where the bytes are no map of the emulator's.
    pub fn decode(bytes: &[u8]) -> Option<TensorMap> {
        let mut at = 8;
        let mut take = |n: usize| {
            let part = bytes.get(at..at + n)?;
            at += n;
            Some(part.iter().rev().fold(0u64, |v, b| v << 8 | u64::from(*b)))
        };
        if bytes.get(..8)? != MAGIC {
            return None;
        }
        let address = take(8)?;
        let (element, rank, swizzle, flags) = (take(1)?, take(1)?, take(1)?, take(1)?);
        let mut map = TensorMap::tiled(ELEMENTS.get(element as usize)?.0, address, &[], &[], Swizzle::None);
        map.rank = rank as u8;
        map.swizzle = *[Swizzle::None, Swizzle::B32, Swizzle::B64, Swizzle::B128].get(swizzle as usize)?;
        map.nan_fill = flags & 1 != 0;
        for v in &mut map.sizes {
            *v = take(4)? as u32;
        }
        for v in &mut map.strides {
            *v = take(8)?;
        }
        for v in &mut map.extent {
            *v = take(2)? as u16;
        }
        for v in &mut map.element_strides {
            *v = take(1)? as u8;
        }
        if flags & 2 != 0 {
            let mut corners = [0i16; 6];
            for v in &mut corners {
                *v = take(2)? as u16 as i16;
            }
            let [a, b, c, d, e, f] = corners;
            let (channels, pixels) = (take(2)? as u16, take(2)? as u16);
            map.im2col = Some(Im2col { lower: [a, b, c], upper: [d, e, f], channels, pixels });
        }
        Some(map)
    }

    /// What the driver would refuse, in words.
    pub fn problem(&self) -> Option<String> {
        let rank = usize::from(self.rank);
        if !(1..=5).contains(&rank) {
            return Some(format!("a tensor map of rank {rank}"));
        }
        if !self.address.is_multiple_of(16) {
            return Some(format!("the tensor begins at {:#x}, no multiple of 16", self.address));
        }
        if let Some(stride) = self.strides[..rank - 1].iter().find(|s| **s % 16 != 0) {
            return Some(format!("a stride of {stride} bytes, no multiple of 16"));
        }
        let inner = match &self.im2col {
            Some(im2col) => u32::from(im2col.channels),
            None => u32::from(self.extent[0]),
        } * self.element.bytes();
        let most = match self.swizzle {
            Swizzle::None => u32::MAX,
            Swizzle::B32 => 32,
            Swizzle::B64 => 64,
            Swizzle::B128 => 128,
        };
        if !inner.is_multiple_of(16) || inner > most {
            return Some(format!("{inner} bytes in the box's inner dimension; {:?} allows {most}", self.swizzle));
        }
        let boxes = self.im2col.is_none() && self.extent[..rank].iter().any(|e| *e == 0 || *e > 256);
        if boxes || self.sizes[..rank].contains(&0) {
            return Some(format!("a box of {:?} in {:?}", &self.extent[..rank], &self.sizes[..rank]));
        }
        if self.im2col.is_some_and(|i| i.channels > 256 || i.pixels > 1024 || rank < 3) {
            return Some("im2col: at most 256 channels, 1024 pixels, ranks 3 to 5".to_string());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_round_trip() {
        let mut map = TensorMap::tiled(Element::F16, 0x10_0000_0000, &[64, 32, 7], &[64, 8, 1], Swizzle::B128);
        assert_eq!(map.strides[..2], [128, 4096]);
        assert_eq!(TensorMap::decode(&map.encode()), Some(map));
        map.im2col = Some(Im2col { lower: [-1, -2, 0], upper: [1, 0, 3], channels: 64, pixels: 128 });
        map.nan_fill = true;
        assert_eq!(TensorMap::decode(&map.encode()), Some(map));
        assert_eq!(TensorMap::decode(&[0; 128]), None);
    }

    #[test]
    fn what_the_driver_refuses() {
        let map = TensorMap::tiled(Element::F32, 0, &[6, 4], &[4, 4], Swizzle::None);
        assert!(map.problem().unwrap().contains("stride of 24"));
        let map = TensorMap::tiled(Element::F16, 0, &[128, 4], &[128, 4], Swizzle::B128);
        assert!(map.problem().unwrap().contains("256 bytes"));
    }
}

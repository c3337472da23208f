//! The PTX emulator as the device of the driver that stands in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ptx_emu::{Device, Element, Im2col, Launch, Module, Swizzle, TensorMap};
use runtime_min::gpu::kernel_calls::LaunchShape;
use runtime_min::stand_in::{Executor, MapFields};

/// A device that interprets PTX.
#[derive(Default)]
pub struct Emulated {
    device: Device,
    modules: Vec<Module>,
    /// The emulator hands out bytes that hold nothing; allocations of the driver are remembered by their first address.
    live: BTreeMap<u64, usize>,
    executed: Arc<AtomicU64>,
}

impl Emulated {
    /// A device that adds the instructions of its warps to a counter.
    pub fn counting(executed: Arc<AtomicU64>) -> Emulated {
        Emulated { executed, ..Emulated::default() }
    }
}

impl Executor for Emulated {
    fn alloc(&mut self, bytes: usize) -> u64 {
        let address = self.device.alloc(bytes as u64);
        self.live.insert(address, bytes);
        address
    }

    fn free(&mut self, address: u64) -> bool {
        self.live.remove(&address).is_some() && self.device.free(address).is_ok()
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        self.device.write(address, bytes).is_ok()
    }

    fn read(&mut self, address: u64, bytes: usize) -> Option<Vec<u8>> {
        self.device.read(address, bytes as u64).ok()
    }

    fn copy(&mut self, to: u64, from: u64, bytes: usize) -> bool {
        self.device.copy(to, from, bytes as u64).is_ok()
    }

    fn load(&mut self, text: &str) -> Result<usize, String> {
        let module = Module::parse(text).map_err(|error| error.to_string())?;
        self.modules.push(module);
        Ok(self.modules.len() - 1)
    }

    fn parameters(&mut self, module: usize, entry: &str) -> Option<Vec<(usize, usize)>> {
        let (list, _) = self.modules.get(module)?.params(entry)?;
        Some(list.into_iter().map(|(offset, bytes)| (offset as usize, bytes as usize)).collect())
    }

    fn launch(&mut self, module: usize, entry: &str, shape: &LaunchShape, params: &[u8]) -> Result<(), String> {
        let module = self.modules.get(module).ok_or("the module is gone")?;
        let launch = Launch {
            cluster: shape.cluster,
            dynamic_shared: shape.shared,
            cooperative: shape.cooperative,
            ..Launch::new(entry, shape.grid, shape.block, params)
        };
        let done = self.device.launch(module, &launch);
        let stats = done.map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        self.executed.fetch_add(stats.warp_instructions, Ordering::Relaxed);
        Ok(())
    }

    fn refuses(&mut self, map: &MapFields) -> Option<String> {
        tensor_map(map).map_or_else(|| Some(format!("no tensor map can be made of {map:?}")), |m| m.problem())
    }

    fn encode(&mut self, map: &MapFields) -> [u64; 16] {
        let mut out = [0; 16];
        let bytes = tensor_map(map).map_or([0; 128], |m| m.encode());
        for (word, bytes) in out.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        out
    }
}

/// Element types and swizzles by the numbers of the driver's interface.
const ELEMENTS: [Element; 13] = [
    Element::U8,
    Element::U16,
    Element::U32,
    Element::S32,
    Element::U64,
    Element::S64,
    Element::F16,
    Element::F32,
    Element::F64,
    Element::Bf16,
    Element::F32,
    Element::Tf32,
    Element::Tf32,
];
const SWIZZLES: [Swizzle; 4] = [Swizzle::None, Swizzle::B32, Swizzle::B64, Swizzle::B128];

/// The emulator's tensor map; `None` where a number does not fit it.
fn tensor_map(map: &MapFields) -> Option<TensorMap> {
    let element = *ELEMENTS.get(map.element as usize)?;
    let mut out = TensorMap::tiled(element, map.address, &[], &[], *SWIZZLES.get(map.swizzle as usize)?);
    out.rank = u8::try_from(map.extents.len()).ok()?;
    out.nan_fill = map.fill != 0;
    put(&mut out.sizes, &map.extents)?;
    put(&mut out.strides, &map.strides)?;
    put(&mut out.extent, &map.tile)?;
    put(&mut out.element_strides, &map.element_strides)?;
    if map.tile.is_empty() {
        let mut im2col = Im2col {
            lower: [0; 3],
            upper: [0; 3],
            channels: u16::try_from(map.channels).ok()?,
            pixels: u16::try_from(map.pixels).ok()?,
        };
        put(&mut im2col.lower, &map.lower)?;
        put(&mut im2col.upper, &map.upper)?;
        out.im2col = Some(im2col);
    }
    Some(out)
}

/// Values in the first places, each as a narrower number.
fn put<N: TryFrom<W>, W: Copy>(places: &mut [N], values: &[W]) -> Option<()> {
    for (place, value) in places.iter_mut().zip(values) {
        *place = N::try_from(*value).ok()?;
    }
    Some(())
}

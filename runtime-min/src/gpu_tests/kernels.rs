//! A device whose kernels are closures. The text of a module names its entries and the bytes of their parameters:
//! `entry add 8 8 8 8`.

use crate::gpu::divisor::Divisor;
use crate::gpu::driver::Address;
use crate::gpu::kernel_calls::LaunchShape;
use crate::stand_in::{Executor, PlainMemory};

/// The kernels that programs of the tests use.
pub const TEXT: &str = "entry add 8 8 8 8\nentry double 8 8 8\nentry positive 8 8 8\nentry below 8 8 8\nentry trap 8\n\
                        entry divide 8 8 4 8\nentry mapped 128 8\n";

#[derive(Default)]
pub struct Device {
    memory: PlainMemory,
    modules: Vec<String>,
}

/// A boxed device.
pub fn device() -> Box<dyn Executor> {
    Box::new(Device::default())
}

impl Device {
    fn floats(&mut self, at: Address, count: usize) -> Result<Vec<f32>, String> {
        let bytes = self.memory.bytes(at, count * 4).ok_or(format!("{count} floats at {at:#x} are not there"))?;
        Ok(bytes.chunks(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect())
    }

    fn store(&mut self, at: Address, values: &[u8]) -> Result<(), String> {
        let place = self.memory.bytes(at, values.len()).ok_or(format!("a store at {at:#x} is out of range"))?;
        place.copy_from_slice(values);
        Ok(())
    }

    fn store_floats(&mut self, at: Address, values: impl Iterator<Item = f32>) -> Result<(), String> {
        let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        self.store(at, &bytes)
    }
}

impl Executor for Device {
    fn alloc(&mut self, bytes: usize) -> Address {
        self.memory.alloc(bytes)
    }

    fn free(&mut self, address: Address) -> bool {
        self.memory.free(address)
    }

    fn write(&mut self, address: Address, bytes: &[u8]) -> bool {
        self.store(address, bytes).is_ok()
    }

    fn read(&mut self, address: Address, bytes: usize) -> Option<Vec<u8>> {
        self.memory.bytes(address, bytes).map(|b| b.to_vec())
    }

    fn load(&mut self, text: &str) -> Result<usize, String> {
        if text.contains("wrong") {
            return Err("line 1: no such instruction".to_string());
        }
        self.modules.push(text.to_string());
        Ok(self.modules.len() - 1)
    }

    fn parameters(&mut self, module: usize, entry: &str) -> Option<Vec<(usize, usize)>> {
        let text = &self.modules[module];
        let line = text.lines().find(|l| l.split(' ').nth(1) == Some(entry))?;
        let mut end: usize = 0;
        let place = |bytes: usize| {
            let start = end.next_multiple_of(bytes.min(64));
            end = start + bytes;
            (start, bytes)
        };
        Some(line.split(' ').skip(2).map(|b| b.parse().unwrap()).map(place).collect())
    }

    fn launch(&mut self, _module: usize, entry: &str, shape: &LaunchShape, params: &[u8]) -> Result<(), String> {
        let word = |k: usize| u64::from_le_bytes(params[k * 8..k * 8 + 8].try_into().unwrap());
        assert_eq!(shape.block, [32, 1, 1], "{entry}");
        match entry {
            "add" => {
                let count = word(3) as usize;
                let (a, b) = (self.floats(word(0), count)?, self.floats(word(1), count)?);
                self.store_floats(word(2), a.iter().zip(&b).map(|(a, b)| a + b))
            }
            "double" => {
                let values = self.floats(word(0), word(2) as usize)?;
                self.store_floats(word(1), values.iter().map(|v| v * 2.0))
            }
            "positive" => {
                let values = self.floats(word(0), word(2) as usize)?;
                let count = values.iter().filter(|v| **v > 0.0).count() as i64;
                self.store(word(1), &count.to_le_bytes())
            }
            // Whether the sum is below a limit.
            "below" => {
                let [first] = self.floats(word(0), 1)?[..] else { return Err("one float".to_string()) };
                self.store(word(1), &[u8::from(first < word(2) as f32)])
            }
            // Index by index: the index divided, plus an addend of 32 bits.
            "divide" => {
                let (out, count) = (word(0), word(1) as u32);
                let addend = u32::from_le_bytes(params[16..20].try_into().unwrap());
                let divisor = Divisor { multiplier: word(3) as u32, shift: (word(3) >> 32) as u32 };
                let values: Vec<u8> =
                    (0..count).flat_map(|i| (divisor.divide(i).wrapping_add(addend)).to_le_bytes()).collect();
                self.store(out, &values)
            }
            // The first extents of the map, as floats.
            "mapped" => {
                let (address, rank, extent) = (word(0), word(1), word(2));
                let values = self.floats(address, extent as usize)?;
                assert!(rank > 0);
                self.store_floats(word(16), values.into_iter())
            }
            _ => Err(format!("{entry} traps")),
        }
    }
}

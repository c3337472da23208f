//! Probes: one kernel and its inputs as text, and what real hardware answered, once somebody has recorded it.
//!
//! A probe is two files, `NAME.ptx` with one entry `probe`, and `NAME.probe`:
//!
//! ```text
//! # what it shows
//! sm 80
//! grid 1 1 1
//! block 32 1 1
//! cluster 1 1 1
//! shared 0
//! input f16 256 seed 7
//! input word 64 seed 8
//! map f16 input 0 sizes 64 32 box 64 8 swizzle 128
//! output 512
//! match exact
//! recorded GPU NAME, driver VERSION
//! 00ff…
//! ```
//!
//! Parameters: the address of each input, the address of the output (bytes, zero before the run), then the tensor map, aligned to
//! 64. Inputs follow from kind, number of elements and seed alone, by [`Probe::inputs`]. `match` is `exact`, or `f32 T` or `f16 T`:
//! every element within T · (1 + |recorded|). An im2col map has `lower`, `upper`, `channels` and `pixels` in the place of `box`.
//! The hex lines after `recorded` are the output, 32 bytes a line. `record.py` writes them on a machine with a GPU.

use std::fmt::Write as _;

use crate::device::{Device, Launch, Options};
use crate::fault::Fault;
use crate::float::{self, Format};
use crate::module::Module;
use crate::tensor_map::{Element, Im2col, Swizzle, TensorMap};
use crate::types::Round;

/// A probe.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Probe {
    /// Comment lines, without `#`.
    pub about: Vec<String>,
    /// Least compute capability, 80 for 8.0; `a` forms count as their number.
    pub sm: u32,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub cluster: [u32; 3],
    /// Dynamic shared memory.
    pub shared: u32,
    inputs: Vec<(Kind, usize, u64)>,
    /// The tensor map and the input that it describes; its address is filled in by whoever runs the probe.
    pub map: Option<(TensorMap, usize)>,
    /// Bytes of the output.
    pub output: usize,
    /// Format of the elements and tolerance; exact without.
    tolerance: Option<(Format, f64)>,
    /// Where it was recorded, and the output there.
    pub recorded: Option<(String, Vec<u8>)>,
}

/// What the elements of an input are.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    /// Random bits of this many bytes.
    Bits(u32),
    /// Random numbers in -2 .. 2.
    Float(Format),
    Double,
    /// 0, 1, 2 … as 32-bit words.
    Iota,
}

impl Kind {
    fn parse(word: &str) -> Option<Kind> {
        Some(match word {
            "byte" => Kind::Bits(1),
            "word" => Kind::Bits(4),
            "f16" => Kind::Float(float::F16),
            "bf16" => Kind::Float(float::BF16),
            "f32" => Kind::Float(float::F32),
            "e4m3" => Kind::Float(float::E4M3),
            "e5m2" => Kind::Float(float::E5M2),
            "f64" => Kind::Double,
            "iota" => Kind::Iota,
            _ => return None,
        })
    }
}

impl Probe {
    /// # Errors
    /// The line that is not as this module's text says.
    pub fn parse(text: &str) -> Result<Probe, String> {
        let mut probe = Probe { cluster: [1; 3], ..Probe::default() };
        for (k, line) in text.lines().enumerate() {
            let wrong = || format!("line {}: `{line}` is no line of a probe", k + 1);
            let words: Vec<&str> = line.split_whitespace().collect();
            let numbers = || words.iter().skip(1).map(|w| w.parse().ok()).collect::<Option<Vec<u32>>>();
            let triple = || numbers().and_then(|n| <[u32; 3]>::try_from(n).ok()).ok_or_else(wrong);
            let one = || numbers().and_then(|n| n.first().copied()).ok_or_else(wrong);
            match words[..] {
                [] => {}
                ["#", ..] => probe.about.push(line.trim_start_matches('#').trim().to_string()),
                ["sm", _] => probe.sm = one()?,
                ["grid", ..] => probe.grid = triple()?,
                ["block", ..] => probe.block = triple()?,
                ["cluster", ..] => probe.cluster = triple()?,
                ["shared", _] => probe.shared = one()?,
                ["output", _] => probe.output = one()? as usize,
                ["input", kind, count, "seed", seed] => {
                    let kind = Kind::parse(kind).ok_or_else(wrong)?;
                    let (count, seed) = (count.parse().map_err(|_| wrong())?, seed.parse().map_err(|_| wrong())?);
                    probe.inputs.push((kind, count, seed));
                }
                ["map", element, "input", input, ..] => {
                    let map = tensor_map(element, &words[4..]).ok_or_else(wrong)?;
                    probe.map = Some((map, input.parse().map_err(|_| wrong())?));
                }
                ["match", "exact"] => probe.tolerance = None,
                ["match", format, tolerance] => {
                    let Some(Kind::Float(format)) = Kind::parse(format) else { return Err(wrong()) };
                    probe.tolerance = Some((format, tolerance.parse().map_err(|_| wrong())?));
                }
                ["recorded", ..] => probe.recorded = Some((words[1..].join(" "), Vec::new())),
                [hex] if probe.recorded.is_some() => {
                    let bytes: Option<Vec<u8>> =
                        (0..hex.len() / 2).map(|k| u8::from_str_radix(hex.get(2 * k..2 * k + 2)?, 16).ok()).collect();
                    if let Some((_, out)) = &mut probe.recorded {
                        out.extend(bytes.ok_or_else(wrong)?);
                    }
                }
                _ => return Err(wrong()),
            }
        }
        Ok(probe)
    }

    /// The bytes of all inputs.
    pub fn inputs(&self) -> Vec<Vec<u8>> {
        self.inputs.iter().map(|(kind, count, seed)| elements(*kind, *count, *seed)).collect()
    }

    /// The parameters for given addresses of the inputs and the output, and the encoded tensor map.
    pub fn params(&self, addresses: &[u64], map: Option<[u8; 128]>) -> Vec<u8> {
        let mut out: Vec<u8> = addresses.iter().flat_map(|a| a.to_le_bytes()).collect();
        if let Some(map) = map {
            out.resize(out.len().next_multiple_of(64), 0);
            out.extend(map);
        }
        out
    }

    /// The output on the emulator.
    ///
    /// # Errors
    /// The faults of the kernel.
    pub fn run(&self, module: &Module) -> Result<Vec<u8>, Vec<Fault>> {
        let mut device = Device::new(Options::default());
        let mut addresses: Vec<u64> = self.inputs().iter().map(|bytes| device.alloc_with(bytes)).collect();
        let output = device.alloc_with(&vec![0; self.output]);
        let map = self.map.map(|(mut map, input)| {
            map.address = addresses.get(input).copied().unwrap_or(output);
            map.encode()
        });
        addresses.push(output);
        let params = self.params(&addresses, map);
        let launch = Launch {
            cluster: self.cluster,
            dynamic_shared: self.shared,
            ..Launch::new("probe", self.grid, self.block, &params)
        };
        device.launch(module, &launch)?;
        Ok(device.read_any(output, self.output as u64).unwrap_or_default())
    }

    /// Where an output differs from the recorded one, in words; nothing where nothing is recorded.
    pub fn difference(&self, found: &[u8]) -> Option<String> {
        let (place, recorded) = self.recorded.as_ref()?;
        if recorded.len() != found.len() {
            return Some(format!("{} bytes, {} are recorded on {place}", found.len(), recorded.len()));
        }
        let Some((format, tolerance)) = self.tolerance else {
            let k = found.iter().zip(recorded).position(|(a, b)| a != b)?;
            return Some(format!("byte {k} is {:#04x}, on {place} {:#04x}", found[k], recorded[k]));
        };
        let size = ((format.exponent + format.mantissa + 1) / 8) as usize;
        let value = |bytes: &[u8]| format.value(bytes.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b)));
        let pairs = found.chunks_exact(size).zip(recorded.chunks_exact(size)).map(|(a, b)| (value(a), value(b)));
        let near = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= tolerance * (1.0 + b.abs());
        let (k, (a, b)) = pairs.enumerate().find(|(_, (a, b))| !near(*a, *b))?;
        Some(format!("element {k} is {a:e}, on {place} {b:e}"))
    }

    /// The text of a probe file with a recorded output in the place of any earlier one.
    pub fn with_recorded(text: &str, place: &str, output: &[u8]) -> String {
        let head = text.lines().take_while(|l| !l.starts_with("recorded"));
        let mut out: String = head.map(|l| format!("{l}\n")).collect();
        let _ = writeln!(out, "recorded {place}");
        for line in output.chunks(32) {
            let hex: String = line.iter().map(|b| format!("{b:02x}")).collect();
            let _ = writeln!(out, "{hex}");
        }
        out
    }
}

/// The numbers of a seed: SplitMix64.
fn elements(kind: Kind, count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let v = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let v = (v ^ v >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        v ^ v >> 31
    };
    let uniform = |bits: u64| (bits >> 11) as f64 / (1u64 << 51) as f64 - 2.0;
    let mut out = Vec::new();
    for k in 0..count {
        match kind {
            Kind::Bits(bytes) => out.extend_from_slice(&next().to_le_bytes()[..bytes as usize]),
            Kind::Double => out.extend_from_slice(&uniform(next()).to_le_bytes()),
            Kind::Iota => out.extend_from_slice(&(k as u32).to_le_bytes()),
            Kind::Float(format) => {
                let bits = format.round(uniform(next()), Round::Nearest, true);
                let bytes = (format.exponent + format.mantissa + 1) / 8;
                out.extend_from_slice(&bits.to_le_bytes()[..bytes as usize]);
            }
        }
    }
    out
}

/// The words of a `map` line after its input.
fn tensor_map(element: &str, words: &[&str]) -> Option<TensorMap> {
    let element = match element {
        "f16" => Element::F16,
        "f32" => Element::F32,
        "byte" => Element::U8,
        "s32" => Element::S32,
        _ => return None,
    };
    let list = |name: &str| -> Vec<i64> {
        let after = words.iter().skip_while(|w| **w != name).skip(1);
        after.map_while(|w| w.parse().ok()).collect()
    };
    let sizes: Vec<u32> = list("sizes").into_iter().map(|v| v as u32).collect();
    let extent: Vec<u16> = list("box").into_iter().map(|v| v as u16).collect();
    let swizzle = match list("swizzle")[..] {
        [32] => Swizzle::B32,
        [64] => Swizzle::B64,
        [128] => Swizzle::B128,
        _ => Swizzle::None,
    };
    let im2col = words.contains(&"channels");
    let extent = if im2col { vec![1; sizes.len()] } else { extent };
    let mut map = TensorMap::tiled(element, 0, &sizes, &extent, swizzle);
    for (slot, stride) in map.element_strides.iter_mut().zip(list("steps")) {
        *slot = stride as u8;
    }
    if im2col {
        let corner = |name: &str| {
            let values = list(name);
            std::array::from_fn(|k| values.get(k).copied().unwrap_or(0) as i16)
        };
        let first = |name: &str| list(name).first().copied().unwrap_or(0) as u16;
        map.im2col = Some(Im2col {
            lower: corner("lower"),
            upper: corner("upper"),
            channels: first("channels"),
            pixels: first("pixels"),
        });
    }
    (!sizes.is_empty()).then_some(map)
}

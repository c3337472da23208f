//! What an architecture can do, and the time that a tile program takes by it.
//!
//! The estimate orders variants; measured times replace it. A multiprocessor works through its share of the CTAs, each limited by
//! its multiplications or by its share of the L2 cache's rate; a start costs the way of the first tiles from memory.

use ptx::Sm;

use crate::fragment::Input;

/// Rates of a device at its usual clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Device {
    pub sm: Sm,
    pub multiprocessors: u32,
    /// Multiply-adds per nanosecond of one multiprocessor: halves on tensor cores, f32 in plain.
    pub halves: f64,
    pub floats: f64,
    /// Bytes per nanosecond of the whole device.
    pub l2: f64,
    pub memory: f64,
    /// Bytes of shared memory of a multiprocessor.
    pub shared: u32,
}

impl Device {
    /// The largest device of an architecture.
    pub const fn of(sm: Sm) -> Device {
        let (multiprocessors, halves, floats, l2, memory, shared) = match sm {
            Sm::Sm75 => (40, 780.0, 98.0, 1100.0, 320.0, 64),
            Sm::Sm80 => (108, 1440.0, 90.0, 4500.0, 1900.0, 164),
            Sm::Sm86 => (84, 870.0, 217.0, 2500.0, 900.0, 100),
            Sm::Sm87 => (16, 650.0, 160.0, 500.0, 200.0, 164),
            Sm::Sm89 => (128, 1290.0, 320.0, 5000.0, 1000.0, 100),
            Sm::Sm90a => (132, 2400.0, 220.0, 7800.0, 4200.0, 228),
            Sm::Sm100a => (148, 2400.0, 240.0, 9000.0, 7500.0, 228),
            Sm::Sm120a => (170, 1230.0, 308.0, 6000.0, 1700.0, 100),
        };
        Device { sm, multiprocessors, halves, floats, l2, memory, shared: shared * 1024 }
    }

    /// Multiply-adds per nanosecond of a multiprocessor.
    pub const fn rate(&self, input: Input) -> f64 {
        match input {
            Input::F16 | Input::Bf16 => self.halves,
            Input::Tf32 => self.halves / 2.0,
            Input::F32 => self.floats,
        }
    }
}

/// A product as the estimate sees it.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    pub rows: f64,
    pub columns: f64,
    pub depth: f64,
    pub batch: f64,
    pub input: Input,
    /// Bytes of a result.
    pub result: f64,
    /// How often an element of the first operand is read: the taps of a window.
    pub taps: f64,
}

/// A variant as the estimate sees it.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub rows: f64,
    pub columns: f64,
    pub threads: u32,
    pub shared: u32,
    pub splits: f64,
    /// Whether the parts of a split sum are added inside a cluster.
    pub clustered: bool,
    /// Whether warp groups multiply, straight from shared memory.
    pub wide: bool,
    /// Rows and columns of a warp, which say how often a fragment is used.
    pub warp: [f64; 2],
}

/// Nanoseconds of a launch inside a graph, and of the way from memory to the first product.
const LAUNCH: f64 = 1200.0;
const START: f64 = 900.0;
/// Nanoseconds of two barriers of a cluster, and of reading one of its CTAs' parts.
const MEETING: f64 = 1300.0;
const PEER: f64 = 150.0;
/// Nanoseconds that a slot of shared memory is on its way through one CTA.
const SLOT: f64 = 180.0;
/// Bytes per nanosecond that a multiprocessor takes from the L2 cache.
const SHARE: f64 = 105.0;
/// Registers that bound how many CTAs a multiprocessor holds, in threads.
const RESIDENT: u32 = 512;

impl Device {
    /// Nanoseconds of a product in a variant.
    pub fn estimate(&self, work: &Work, shape: &Shape) -> f64 {
        match work.input {
            Input::F32 => self.in_plain(work, shape),
            Input::F16 | Input::Bf16 | Input::Tf32 => self.on_tensor_cores(work, shape),
        }
    }

    /// CTAs, and how many a multiprocessor holds.
    fn ctas(&self, work: &Work, shape: &Shape) -> (f64, f64) {
        let tiles = (work.rows / shape.rows).ceil() * (work.columns / shape.columns).ceil() * work.batch * shape.splits;
        let by_shared = (self.shared / shape.shared.max(1024)).max(1);
        (tiles, f64::from((RESIDENT / shape.threads).max(1).min(by_shared)))
    }

    /// Each multiprocessor's tiles one after the other, limited by products, by the L2 cache, or by the way of a slot through the
    /// kernel; storing overlaps little of that. The factors are fitted to measured times on an H200.
    fn on_tensor_cores(&self, work: &Work, shape: &Shape) -> f64 {
        let sms = f64::from(self.multiprocessors);
        let (tiles, held) = self.ctas(work, shape);
        let rounds = (tiles / sms).ceil();
        let bytes = f64::from(work.input.bytes());
        let slot = 128.0 / bytes;
        let slots = (work.depth / shape.splits / slot).ceil();
        // Warp groups read no fragments; few warps cannot hide the way of their operands.
        let efficiency = if shape.wide { 1.1 } else { 0.52 };
        let filled = (rounds.min(held) * f64::from(shape.threads) / 256.0).min(1.0).sqrt();
        let compute = shape.rows * shape.columns * slots * slot / (self.rate(work.input) * efficiency * filled);
        let share = (self.l2 / sms.min(tiles)).min(SHARE);
        let load = (1.35 * shape.rows + shape.columns) * slots * slot * bytes / share;
        let way = slots * SLOT / rounds.min(held);
        let stored = work.rows * work.columns * work.batch * work.result;
        let read = (work.rows * work.depth / work.taps + work.columns * work.depth) * work.batch * bytes;
        let body = (rounds * compute.max(load).max(way)).max((read + stored) / self.memory);
        let alone = if held < 2.0 { 1.2 } else { 1.0 };
        let parts = stored / work.result * 4.0 * shape.splits * 2.0 / self.l2;
        let second = match (shape.splits > 1.0, shape.clustered) {
            (false, _) => 0.0,
            (true, false) => LAUNCH + START + parts,
            (true, true) => MEETING + PEER * shape.splits,
        };
        LAUNCH + START + body + stored * alone / (0.58 * self.memory) + second
    }

    fn in_plain(&self, work: &Work, shape: &Shape) -> f64 {
        let sms = f64::from(self.multiprocessors);
        let (tiles, held) = self.ctas(work, shape);
        let depth = work.depth / shape.splits;
        let [down, across] = shape.warp;
        let reuse = down * across / (down + across);
        let efficiency = (reuse / (reuse + 2.5)).min(0.9);
        // Few warps cannot hide the way of their operands.
        let busy = (tiles / sms).ceil().min(held) * f64::from(shape.threads);
        let filled = (busy / 256.0).min(1.0).sqrt();
        let compute = shape.rows * shape.columns * depth / (self.rate(work.input) * efficiency * filled);
        let bytes = f64::from(work.input.bytes());
        let load = (shape.rows + shape.columns) * depth * bytes / (self.l2 / sms.min(tiles));
        let rounds = (tiles / sms).ceil();
        let starts = (tiles / (sms * held)).ceil();
        let body = rounds * compute.max(load) + starts * START;
        let read = (work.rows * work.depth / work.taps + work.columns * work.depth) * bytes;
        let traffic = (read + work.rows * work.columns * work.result) * work.batch / self.memory;
        let parts = work.rows * work.columns * work.batch * 4.0 * shape.splits * 2.0 / self.l2;
        let second = if shape.splits > 1.0 { LAUNCH + START + parts } else { 0.0 };
        LAUNCH + body.max(traffic) + second
    }
}

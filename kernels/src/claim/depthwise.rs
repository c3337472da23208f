//! Depthwise convolutions over one or two spatial dims with constant weights, channels last.

use graph::dim::Dim;
use graph::graph::NodeId;
use graph::region::conv::Conv;
use graph::symbol::Symbols;
use nest::layout::Layout;
use plan::claim::{Claim, ClaimOperand, Claimant, Derived, Site, Want};
use plan::tuning::{Problem, Variant};

use crate::claim::tuned::{self, Tuned};
use crate::claim::{input, pack, region_at, typical, vector};
use crate::code::{DepthwiseCode, GpuCode};
use crate::depthwise::{DepthwiseVariant, VARIANTS};
use crate::device::Device;
use crate::fragment::Input;
use crate::image::Window;
use crate::lower::depthwise::check;

/// The family.
pub struct DepthwiseConvolutions {
    pub device: Device,
}

impl Claimant for DepthwiseConvolutions {
    type Code = GpuCode;

    fn name(&self) -> &'static str {
        "depthwise"
    }

    fn claims(&self, site: &Site<'_>, seed: NodeId) -> Vec<Claim<GpuCode>> {
        claim(&self.device, site, seed).into_iter().collect()
    }

    fn problem(&self, claim: &Claim<GpuCode>) -> Option<Problem> {
        tuned::problem::<DepthwiseCode>(claim)
    }

    fn variants(&self, symbols: &Symbols, claim: &Claim<GpuCode>, most: usize) -> Vec<Variant> {
        tuned::variants::<DepthwiseCode>(&self.device, symbols, claim, most)
    }

    fn apply(&self, symbols: &Symbols, claim: &Claim<GpuCode>, variant: &str) -> Option<Claim<GpuCode>> {
        tuned::apply::<DepthwiseCode>(&self.device, symbols, claim, variant)
    }
}

impl Tuned for DepthwiseCode {
    const REVISION: u32 = 2;

    fn of(code: &GpuCode) -> Option<&DepthwiseCode> {
        match code {
            GpuCode::Depthwise(code) => Some(code),
            GpuCode::Product(_) | GpuCode::Attention(_) | GpuCode::Recurrent(_) => None,
        }
    }

    fn into_code(self) -> GpuCode {
        GpuCode::Depthwise(self)
    }

    /// `f16 c96 x1 3x3 strides 2x2 dilations 1x1`: dtype, channels of the data, results a channel, window.
    fn text(&self) -> String {
        let pair = |[y, x]: [u32; 2]| format!("{y}x{x}");
        let Window { channels, kernel, strides, dilations, .. } = self.window;
        let (kernel, strides, dilations) = (pair(kernel), pair(strides), pair(dilations));
        let (input, multiplier) = (self.input.name(), self.multiplier);
        format!("{input} c{channels} x{multiplier} {kernel} strides {strides} dilations {dilations}")
    }

    fn variant(&self) -> String {
        self.variant.name()
    }

    fn candidates(&self, device: &Device, symbols: &Symbols, sizes: &[Dim]) -> Vec<(DepthwiseCode, f64)> {
        let extent = |k: usize| sizes.get(k).map_or(1.0, |size| typical(symbols, size));
        let image = [0, 1, 2, 3, 4].map(extent);
        let most = vector(symbols, &Dim::constant(self.columns.into()));
        let codes = VARIANTS
            .iter()
            .filter(|v| v.lanes <= most && v.lanes * 4 >= most)
            .map(|v| DepthwiseCode { variant: *v, ..self.clone() });
        codes.map(|code| (code.clone(), estimate(device, image, &code))).collect()
    }

    fn runs(&self, device: &Device) -> bool {
        check(self, device.sm).is_ok()
    }
}

/// Channels last, with one spatial dim or two.
pub(super) fn channels_last(spatial: usize) -> Layout {
    Layout { order: [0].into_iter().chain(2..2 + spatial).chain([1]).collect(), block: None }
}

/// One value a spatial dim as two: a dim of extent 1 before a single one.
pub(super) fn two<T: Clone>(values: &[T], before: T) -> Option<[T; 2]> {
    match values {
        [x] => Some([before, x.clone()]),
        [y, x] => Some([y.clone(), x.clone()]),
        _ => None,
    }
}

/// Two constant sizes as code.
pub(super) fn small(values: [&Dim; 2]) -> Option<[u32; 2]> {
    let [y, x] = values.map(|v| v.as_const().and_then(|v| u32::try_from(v).ok()).filter(|v| (1..1 << 16).contains(v)));
    Some([y?, x?])
}

fn claim(device: &Device, site: &Site<'_>, seed: NodeId) -> Option<Claim<GpuCode>> {
    let (node, region) = region_at(site.graph, seed, "conv")?;
    let conv = Conv::from_attrs(&region.attrs).ok()?;
    let ([data, weight], [result]) = (node.operands.as_slice(), node.results.as_slice()) else { return None };
    let (x, w) = (site.graph.tensor(*data)?, site.graph.tensor(*weight)?);
    let input = match input(device, [x.dtype, w.dtype], conv.acc, conv.maths)? {
        Input::Tf32 => Input::F32,
        other => other,
    };
    if w.shape.get(1)?.as_const() != Some(1) || (site.constants)(*weight).is_none() {
        return None;
    }
    let (one, zero) = (Dim::constant(1), Dim::constant(0));
    let spatial = x.shape.len().checked_sub(2)?;
    let kernel = two(w.shape.get(2..)?, one.clone())?;
    let [height, width] = two(x.shape.get(2..)?, one.clone())?;
    let [rows, columns] = two(&conv.window.output, one)?;
    let [above, left] = two(&conv.window.pads_begin, zero)?;
    let pair = |values: &[i64]| two(values, 1).map(|v| v.map(|v| u32::try_from(v).unwrap_or(0)));
    let window = Window {
        channels: u32::try_from(conv.groups).ok()?,
        kernel: small([&kernel[0], &kernel[1]])?,
        strides: pair(&conv.window.strides)?,
        dilations: pair(&conv.window.dilations)?,
        groups: 1,
    };
    let channels = u32::try_from(w.shape.first()?.as_const()?).ok()?;
    if window.channels < 2 || !channels.is_multiple_of(window.channels) || channels > 1 << 20 {
        return None;
    }
    let sizes = vec![x.shape.first()?.clone(), rows, columns, height, width, above, left];
    let code = DepthwiseCode {
        input,
        columns: channels,
        multiplier: channels / window.channels,
        window,
        spatial,
        variant: *VARIANTS.first()?,
    };
    let (code, cost) = tuned::by_cost(&code, device, site.symbols, &sizes).next()?;
    let derived =
        Derived { name: "packed".to_string(), graph: pack::depthwise(w.dtype, &w.shape).ok()?, inputs: vec![*weight] };
    Some(Claim {
        nodes: vec![seed],
        operands: vec![ClaimOperand { value: *data, want: Want::Layout(channels_last(spatial)) }],
        derived: vec![derived],
        results: vec![*result],
        result_layout: Some(channels_last(spatial)),
        epilogue: true,
        workspace: Dim::constant(0),
        sizes,
        cost,
        code: GpuCode::Depthwise(code),
    })
}

/// Nanoseconds of a launch inside a graph, and of a thread's way to its first data.
const LAUNCH: f64 = 1200.0;
const START: f64 = 1000.0;

/// Nanoseconds: the traffic with memory, or the instructions of the busiest multiprocessor. `image` is the batch and the extents
/// of the result and of the data.
fn estimate(device: &Device, image: [f64; 5], code: &DepthwiseCode) -> f64 {
    let DepthwiseCode { input, columns, multiplier, window, variant, .. } = *code;
    let DepthwiseVariant { block: [down, across], lanes, .. } = variant;
    let [batch, rows, width, height_in, width_in] = image;
    let tiles = |extent: f64, d: usize| (extent / f64::from(variant.tile()[d & 1])).ceil();
    let along = f64::from(columns / lanes / variant.channel_threads(columns));
    let warps = batch * tiles(rows, 0) * tiles(width, 1) * along * f64::from(variant.cta(columns).div_ceil(32));
    let reach = |block: u32, d: usize| {
        let Window { strides, dilations, kernel, .. } = window;
        f64::from((block - 1) * strides[d & 1] + (kernel[d & 1] - 1) * dilations[d & 1] + 1)
    };
    let taps = f64::from(window.kernel[0] * window.kernel[1]);
    let (pixels, channels) = (f64::from(down * across), f64::from(lanes));
    let loads = reach(down, 0) * reach(across, 1);
    let weights = taps * (channels / 4.0).max(1.0) * if taps <= 9.0 { 1.0 } else { f64::from(down) };
    let widen = if input == Input::F32 { 0.0 } else { channels };
    let instructions = pixels * (channels * (taps + 4.0) + 30.0) + loads * (7.0 + widen) + weights + 60.0;
    let kept = if taps <= 9.0 { taps } else { 0.0 };
    let registers = 40.0 + channels * (pixels + kept + reach(across, 1) * 0.6);
    // A scheduler issues at most one instruction a cycle, and a warp alone one in about five; registers say how many it has.
    let per_scheduler = (warps / f64::from(device.multiprocessors * 4)).max(1.0);
    let at_once = per_scheduler.min((512.0 / registers).floor()).max(1.0);
    let cycles = instructions * per_scheduler.ceil() * (5.0 / at_once).max(1.4);
    let nanoseconds = cycles / (device.floats / 128.0);
    let elements = batch * f64::from(columns) * (rows * width + height_in * width_in / f64::from(multiplier));
    let traffic = f64::from(input.bytes()) * elements / device.memory / 0.9;
    LAUNCH + START + nanoseconds.max(traffic)
}

#[cfg(test)]
mod tests {
    use ptx::Sm;

    use super::*;

    /// The model's first variant for a layer of MobileNetV2.
    fn check_first(batch: i64, extent: i64, channels: u32, expected: &str) {
        let window = Window { channels, kernel: [3, 3], strides: [1, 1], dilations: [1, 1], groups: 1 };
        let variant = VARIANTS[0];
        let code = DepthwiseCode { input: Input::F16, columns: channels, multiplier: 1, window, spatial: 2, variant };
        let sizes = [batch, extent, extent, extent, extent, 1, 1].map(Dim::constant);
        let device = Device::of(Sm::Sm90a);
        let all: Vec<_> = tuned::by_cost(&code, &device, &Symbols::default(), &sizes).collect();
        assert_eq!(all[0].0.variant.name(), expected);
        let names: std::collections::BTreeSet<String> = all.iter().map(|(code, _)| code.variant.name()).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn large_maps_take_blocks_and_small_ones_threads() {
        check_first(64, 112, 32, "2x4x4_8x4_8");
        check_first(1, 7, 960, "1x1x2_4x8_8");
    }
}

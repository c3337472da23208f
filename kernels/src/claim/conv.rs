//! Convolutions over one or two spatial dims with constant weights, channels last; groups of several channels are a batch of products.
//!
//! Data and results have channels last, padded to whole chunks where their number is none; a window of one pixel with nothing
//! around it is the same family with one tap.

use graph::dim::Dim;
use graph::graph::NodeId;
use graph::region::conv::Conv;
use graph::symbol::Symbols;
use nest::layout::{Block, Layout};
use plan::claim::{Claim, ClaimOperand, Claimant, Derived, Site, Want};
use plan::tuning::{self, Problem};

use crate::claim::contract::{fits, narrowed};
use crate::claim::depthwise::{self, small, two};
use crate::claim::variants::{self, choose};
use crate::claim::{as_code, input, pack, region_at, typical, vector};
use crate::code::{GpuCode, Label, ProductCode, Second, Variant};
use crate::device::{Device, Work};
use crate::fragment::Input;
use crate::gemm;
use crate::image::Window;
use crate::lower::workspace;

/// The family.
pub struct Convolutions {
    pub device: Device,
}

impl Claimant for Convolutions {
    type Code = GpuCode;

    fn name(&self) -> &'static str {
        "conv"
    }

    fn claims(&self, site: &Site<'_>, seed: NodeId) -> Vec<Claim<GpuCode>> {
        claim(&self.device, site, seed).into_iter().collect()
    }

    fn problem(&self, claim: &Claim<GpuCode>) -> Option<Problem> {
        variants::problem(claim)
    }

    fn variants(&self, symbols: &Symbols, claim: &Claim<GpuCode>, most: usize) -> Vec<tuning::Variant> {
        variants::variants(&self.device, symbols, claim, most)
    }

    fn apply(&self, symbols: &Symbols, claim: &Claim<GpuCode>, variant: &str) -> Option<Claim<GpuCode>> {
        variants::apply(&self.device, symbols, claim, variant)
    }
}

/// Channels last, of one spatial dim or two; where a chunk does not divide them, padded to `factor`.
fn channels_last(spatial: usize, factor: Option<i64>) -> Layout {
    Layout { block: factor.map(|factor| Block { dim: 1, factor }), ..depthwise::channels_last(spatial) }
}

/// Channels in memory, bytes of a chunk, and what they are padded to.
fn channels(channels: i64, input: Input) -> (i64, u32, Option<i64>) {
    let bytes = i64::from(input.bytes());
    let unit = 16 / bytes;
    if channels % unit == 0 {
        return (channels, 16, None);
    }
    // Few channels: half a chunk is enough; f32 without tensor cores takes single elements.
    let factor = match input {
        Input::F32 => return (channels, 4, None),
        Input::F16 | Input::Bf16 if channels <= 4 => 4,
        Input::F16 | Input::Bf16 | Input::Tf32 => unit,
    };
    ((channels + factor - 1) / factor * factor, (factor * bytes) as u32, Some(factor))
}

/// The same of a group's channels, which lie between those of others: they are not padded. `None` if not even 4 bytes can be
/// copied at once.
fn group_channels(channels: i64, input: Input) -> Option<(i64, u32, Option<i64>)> {
    let chunk = [16, 8, 4].into_iter().find(|chunk| channels * i64::from(input.bytes()) % chunk == 0)?;
    Some((channels, chunk as u32, None))
}

fn claim(device: &Device, site: &Site<'_>, seed: NodeId) -> Option<Claim<GpuCode>> {
    let (node, region) = region_at(site.graph, seed, "conv")?;
    let conv = Conv::from_attrs(&region.attrs).ok()?;
    let ([data, weight], [result]) = (node.operands.as_slice(), node.results.as_slice()) else { return None };
    let (x, w) = (site.graph.tensor(*data)?, site.graph.tensor(*weight)?);
    let input = input(device, [x.dtype, w.dtype], conv.acc, conv.maths)?;
    let spatial = x.shape.len().checked_sub(2)?;
    let (per_group, outputs) = (w.shape.get(1)?.as_const()?, w.shape.first()?.clone());
    // Depthwise convolutions have a family of their own.
    if (site.constants)(*weight).is_none() || (conv.groups > 1 && per_group == 1) {
        return None;
    }
    let (one, zero) = (Dim::constant(1), Dim::constant(0));
    let kernel = two(w.shape.get(2..)?, one.clone())?;
    let output = two(&conv.window.output, one.clone())?;
    let extents = two(x.shape.get(2..)?, one)?;
    let pads = two(&conv.window.pads_begin, zero.clone())?;
    let pair = |values: &[i64]| two(values, 1).map(|v| v.map(|v| u32::try_from(v).unwrap_or(0)));
    let (in_memory, chunk, factor) =
        if conv.groups == 1 { channels(per_group, input) } else { group_channels(per_group, input)? };
    let window = Window {
        channels: u32::try_from(in_memory).ok()?,
        kernel: small([&kernel[0], &kernel[1]])?,
        strides: pair(&conv.window.strides)?,
        dilations: pair(&conv.window.dilations)?,
        groups: u32::try_from(conv.groups).ok().filter(|groups| *groups <= MOST_GROUPS)?,
    };
    let flat = window.groups == 1
        && window.kernel == [1, 1]
        && window.strides == [1, 1]
        && pads.iter().all(|pad| *pad == zero)
        && output == extents;
    let batch = usize::from(window.groups > 1);
    let group_columns = match outputs.as_const() {
        Some(outputs) => Dim::constant(outputs / conv.groups),
        None if batch == 0 => outputs,
        None => return None,
    };
    let crossed = input == Input::F32;
    let (graph, lead) = pack::conv(w.dtype, &w.shape, (in_memory, conv.groups), crossed).ok()?;
    let mut sizes = vec![Dim::constant(conv.groups); batch];
    sizes.push(x.shape.first()?.clone());
    sizes.extend(conv.window.output.iter().cloned());
    let rows = Dim::product(sizes.iter().skip(batch));
    sizes.extend([group_columns.clone(), Dim::constant(i64::from(window.depth()))]);
    sizes.extend(extents.into_iter().chain(pads));
    let work = Work {
        rows: typical(site.symbols, &rows),
        columns: typical(site.symbols, &group_columns),
        depth: f64::from(window.depth()),
        batch: f64::from(window.groups),
        input,
        result: f64::from(input.bytes()),
        taps: f64::from(window.kernel[0] * window.kernel[1]),
    };
    let mut code = ProductCode {
        input,
        columns: as_code(&group_columns)?,
        depth: Some(window.depth()),
        batch,
        rows: 1 + spatial,
        a: Vec::new(),
        a_chunk: narrowed(input, chunk),
        b: Second::Packed { crossed, lead },
        b_chunk: 16,
        result: [Label::Row(0), Label::Column].into_iter().chain((1..=spatial).map(Label::Row)).collect(),
        window: Some(window),
        flat,
        vector: vector(site.symbols, &group_columns),
        variant: Variant::Gemm(*gemm::VARIANTS.first()?),
    };
    let (variant, cost) = choose(device, &work, &|variant| fits(&code, variant, device))?;
    code.variant = variant;
    let code = GpuCode::Product(code);
    let scratch = workspace(&code, device.sm);
    let value_of = |s: graph::dim::SymId| sizes.get(s.0 as usize).cloned();
    Some(Claim {
        nodes: vec![seed],
        operands: vec![ClaimOperand { value: *data, want: Want::Layout(channels_last(spatial, factor)) }],
        derived: vec![Derived { name: "packed".to_string(), graph, inputs: vec![*weight] }],
        results: vec![*result],
        result_layout: Some(channels_last(spatial, None)),
        epilogue: true,
        workspace: site.symbols.substitute(&scratch, &value_of),
        sizes,
        cost,
        code,
    })
}

/// Groups and splits together are the grid's extent along z.
const MOST_GROUPS: u32 = 4095;

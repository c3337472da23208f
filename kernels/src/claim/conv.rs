//! 2-D convolutions of one group with constant weights, channels last.
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

/// Channels last; where a chunk does not divide them, padded to `factor`.
fn channels_last(factor: Option<i64>) -> Layout {
    Layout { order: vec![0, 2, 3, 1], block: factor.map(|factor| Block { dim: 1, factor }) }
}

/// Channels in memory, bytes of a chunk, and the layout.
fn channels(channels: i64, input: Input) -> (i64, u32, Layout) {
    let bytes = i64::from(input.bytes());
    let unit = 16 / bytes;
    if channels % unit == 0 {
        return (channels, 16, channels_last(None));
    }
    // Few channels: half a chunk is enough; f32 without tensor cores takes single elements.
    let factor = match input {
        Input::F32 => return (channels, 4, channels_last(None)),
        Input::F16 | Input::Bf16 if channels <= 4 => 4,
        Input::F16 | Input::Bf16 | Input::Tf32 => unit,
    };
    ((channels + factor - 1) / factor * factor, (factor * bytes) as u32, channels_last(Some(factor)))
}

fn claim(device: &Device, site: &Site<'_>, seed: NodeId) -> Option<Claim<GpuCode>> {
    let (node, region) = region_at(site.graph, seed, "conv")?;
    let conv = Conv::from_attrs(&region.attrs).ok()?;
    let ([data, weight], [result]) = (node.operands.as_slice(), node.results.as_slice()) else { return None };
    let (x, w) = (site.graph.tensor(*data)?, site.graph.tensor(*weight)?);
    let input = input(device, [x.dtype, w.dtype], conv.acc, conv.maths)?;
    if x.shape.len() != 4 || conv.groups != 1 || (site.constants)(*weight).is_none() {
        return None;
    }
    let extent = |d: &Dim| d.as_const().and_then(|v| u32::try_from(v).ok()).filter(|v| *v > 0);
    let pair = |values: &[i64]| <[i64; 2]>::try_from(values).ok().map(|v| v.map(|v| v as u32));
    let (in_memory, chunk, layout) = channels(w.shape[1].as_const()?, input);
    let window = Window {
        channels: u32::try_from(in_memory).ok()?,
        kernel: [extent(&w.shape[2])?, extent(&w.shape[3])?],
        strides: pair(&conv.window.strides)?,
        dilations: pair(&conv.window.dilations)?,
    };
    let columns = as_code(&w.shape[0])?;
    let crossed = input == Input::F32;
    let (graph, lead) = pack::conv(w.dtype, &w.shape, in_memory, crossed).ok()?;
    let output = &conv.window.output;
    let sizes = vec![
        x.shape[0].clone(),
        output[0].clone(),
        output[1].clone(),
        w.shape[0].clone(),
        Dim::constant(i64::from(window.depth())),
        x.shape[2].clone(),
        x.shape[3].clone(),
        conv.window.pads_begin[0].clone(),
        conv.window.pads_begin[1].clone(),
    ];
    let rows = Dim::product(sizes.iter().take(3));
    let work = Work {
        rows: typical(site.symbols, &rows),
        columns: typical(site.symbols, &w.shape[0]),
        depth: f64::from(window.depth()),
        batch: 1.0,
        input,
        result: 4.0,
    };
    let mut code = ProductCode {
        input,
        columns,
        depth: Some(window.depth()),
        batch: 0,
        rows: 3,
        a: Vec::new(),
        a_chunk: narrowed(input, chunk),
        b: Second::Packed { crossed, lead },
        b_chunk: 16,
        result: vec![Label::Row(0), Label::Column, Label::Row(1), Label::Row(2)],
        window: Some(window),
        vector: vector(site.symbols, &w.shape[0]),
        variant: Variant::Gemm(*gemm::VARIANTS.first()?),
    };
    let (variant, cost) = choose(device, &work, &|variant| fits(&code, variant, device))?;
    code.variant = variant;
    let code = GpuCode::Product(code);
    let scratch = workspace(&code, device.sm);
    let value_of = |s: graph::dim::SymId| sizes.get(s.0 as usize).cloned();
    Some(Claim {
        nodes: vec![seed],
        operands: vec![ClaimOperand { value: *data, want: Want::Layout(layout) }],
        derived: vec![Derived { name: "packed".to_string(), graph, inputs: vec![*weight] }],
        results: vec![*result],
        result_layout: Some(channels_last(None)),
        epilogue: true,
        workspace: site.symbols.substitute(&scratch, &value_of),
        sizes,
        cost,
        code,
    })
}

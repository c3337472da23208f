//! 2-D convolutions with constant weights over channel blocks: dense and grouped, depthwise, transposed, and the stem of few
//! channels.

use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::NodeId;
use graph::region::conv::Conv;
use graph::region::conv_transpose::ConvTranspose;
use nest::layout::Layout;
use plan::claim::{Claim, ClaimOperand, Claimant, Derived, Site, Want};

use crate::claim::{BLOCK, cost, f32_shape, pack, region_at};
use crate::code::{ConvCode, ConvKind, CpuCode, WindowCode};

/// The family.
pub(super) struct Convolutions;

/// Input channels up to which the stem beats padding them to a block.
const STEM: i64 = 8;

impl Claimant for Convolutions {
    type Code = CpuCode;

    fn name(&self) -> &'static str {
        "conv"
    }

    fn claims(&self, site: &Site<'_>, seed: NodeId) -> Vec<Claim<CpuCode>> {
        claim(site, seed).or_else(|| claim_transposed(site, seed)).into_iter().collect()
    }
}

/// `[N, C/16, H, W, 16]`.
pub(super) fn channel_blocks() -> Layout {
    Layout::blocked(4, 1, BLOCK)
}

/// Two constants of a list of two.
pub(super) fn pair(values: &[i64]) -> Option<[i64; 2]> {
    <[i64; 2]>::try_from(values).ok()
}

fn claim(site: &Site<'_>, seed: NodeId) -> Option<Claim<CpuCode>> {
    let (node, region) = region_at(site.graph, seed, "conv")?;
    let conv = Conv::from_attrs(&region.attrs).ok()?;
    let ([data, weight], [result]) = (node.operands.as_slice(), node.results.as_slice()) else { return None };
    let (x, w) = (f32_shape(site.graph, *data)?, f32_shape(site.graph, *weight)?);
    if conv.acc != DType::F32 || x.len() != 4 || (site.constants)(*weight).is_none() {
        return None;
    }
    let (kernel, strides, dilations) =
        ([w[2].as_const()?, w[3].as_const()?], pair(&conv.window.strides)?, pair(&conv.window.dilations)?);
    let (out_channels, group_channels) = (w[0].as_const()?, w[1].as_const()?);
    let channels = group_channels.checked_mul(conv.groups)?;
    let output = &conv.window.output;
    let sizes = |channel_sizes: &[i64]| {
        let mut sizes = vec![x[0].clone()];
        sizes.extend(channel_sizes.iter().map(|c| Dim::constant(*c)));
        sizes.extend([x[2].clone(), x[3].clone(), output[0].clone(), output[1].clone()]);
        sizes.extend(conv.window.pads_begin.iter().cloned());
        sizes
    };
    let blocked = Want::Layout(channel_blocks());
    let depthwise = group_channels == 1 && out_channels == conv.groups && conv.groups > 1;
    let plain = conv.groups == 1;
    let grouped = group_channels % BLOCK == 0 && (out_channels / conv.groups) % BLOCK == 0;
    let stem = plain && channels <= STEM;
    let (graph, want, workspace, sizes, code) = if depthwise {
        let mut sizes = sizes(&[channels]);
        sizes.extend(conv.window.pads_end.iter().cloned());
        let code = CpuCode::Depthwise(WindowCode { kernel, strides, dilations });
        (pack::depthwise(w).ok()?, blocked, Dim::constant(0), sizes, code)
    } else if stem {
        let reach = |d: usize| {
            let last = &(&output[d] - &Dim::constant(1)) * &Dim::constant(strides[d]);
            &last + &Dim::constant((kernel[d] - 1) * dilations[d] + 1)
        };
        let padded = Dim::product([&Dim::constant(channels), &reach(0), &reach(1), &Dim::constant(4)]);
        let code = CpuCode::Conv(ConvCode { kind: ConvKind::Stem, groups: 1, kernel, strides, dilations });
        (pack::stem(w).ok()?, Want::Dense, padded, sizes(&[channels, out_channels]), code)
    } else if plain || grouped {
        let code = CpuCode::Conv(ConvCode { kind: ConvKind::Blocks, groups: conv.groups, kernel, strides, dilations });
        (pack::conv(w, false).ok()?, blocked, Dim::constant(0), sizes(&[channels, out_channels]), code)
    } else {
        return None;
    };
    let work = Dim::product([&x[0], &w[0], &w[1], &w[2], &w[3], &output[0], &output[1]]);
    Some(Claim {
        nodes: vec![seed],
        operands: vec![ClaimOperand { value: *data, want }],
        derived: vec![Derived { name: "packed".to_string(), graph, inputs: vec![*weight] }],
        results: vec![*result],
        result_layout: Some(channel_blocks()),
        epilogue: true,
        sizes,
        workspace,
        cost: cost(site.symbols, &work),
        code,
    })
}

fn claim_transposed(site: &Site<'_>, seed: NodeId) -> Option<Claim<CpuCode>> {
    let (node, region) = region_at(site.graph, seed, "conv_transpose")?;
    let conv = ConvTranspose::from_attrs(&region.attrs).ok()?;
    let ([data, weight], [result]) = (node.operands.as_slice(), node.results.as_slice()) else { return None };
    let (x, w) = (f32_shape(site.graph, *data)?, f32_shape(site.graph, *weight)?);
    if conv.acc != DType::F32 || conv.groups != 1 || x.len() != 4 || (site.constants)(*weight).is_none() {
        return None;
    }
    let (kernel, strides, dilations) =
        ([w[2].as_const()?, w[3].as_const()?], pair(&conv.window.strides)?, pair(&conv.window.dilations)?);
    if conv.window.pads_begin.iter().any(|pad| site.symbols.range(pad).lo < 0) {
        return None;
    }
    let (channels, out_channels) = (w[0].as_const()?, w[1].as_const()?);
    let output = &conv.window.output;
    let mut sizes = vec![x[0].clone(), Dim::constant(channels), Dim::constant(out_channels)];
    sizes.extend([x[2].clone(), x[3].clone(), output[0].clone(), output[1].clone()]);
    sizes.extend(conv.window.pads_begin.iter().cloned());
    let work = Dim::product([&x[0], &w[0], &w[1], &w[2], &w[3], &x[2], &x[3]]);
    Some(Claim {
        nodes: vec![seed],
        operands: vec![ClaimOperand { value: *data, want: Want::Layout(channel_blocks()) }],
        derived: vec![Derived { name: "packed".to_string(), graph: pack::conv(w, true).ok()?, inputs: vec![*weight] }],
        results: vec![*result],
        result_layout: Some(channel_blocks()),
        epilogue: true,
        sizes,
        workspace: Dim::constant(0),
        cost: cost(site.symbols, &work),
        code: CpuCode::Conv(ConvCode { kind: ConvKind::Transposed, groups: 1, kernel, strides, dilations }),
    })
}

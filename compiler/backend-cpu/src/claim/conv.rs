//! Convolutions with constant weights over channel blocks, of one to three spatial dims: dense and grouped, depthwise, transposed,
//! and the stem of few channels.
//!
//! Groups of channels that fill no whole blocks are merged: a block of several groups is multiplied as a whole, with zeros between
//! them. So depthwise with several results a channel runs too, and 3-D depthwise.

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

/// `[N, C/16, spatial…, 16]`.
pub(super) fn channel_blocks(rank: usize) -> Layout {
    Layout::blocked(rank, 1, BLOCK)
}

/// Numbers of up to `N` spatial dims, with 1 for those in front that are lacking.
pub(super) fn spatial<const N: usize>(values: &[i64]) -> Option<[i64; N]> {
    let mut out = [1; N];
    out.get_mut(N.checked_sub(values.len())?..)?.copy_from_slice(values);
    Some(out)
}

/// The same with sizes.
pub(super) fn spatial_sizes(count: usize, values: &[Dim], lacking: i64) -> Vec<Dim> {
    let missing = count.saturating_sub(values.len());
    std::iter::repeat_n(Dim::constant(lacking), missing).chain(values.iter().cloned()).collect()
}

/// Most groups that become one.
const MERGED: i64 = 64;

/// How many neighbouring groups make one whose channels fill whole blocks: the fewest, or all of them.
fn merged_groups(groups: i64, inputs: i64, outputs: i64) -> Option<i64> {
    let whole = |merged: i64| inputs * merged % BLOCK == 0 && outputs * merged % BLOCK == 0;
    let fewest = (1..=groups.min(MERGED)).find(|merged| groups % merged == 0 && (whole(*merged) || *merged == groups));
    if groups == 1 { Some(1) } else { fewest }
}

fn claim(site: &Site<'_>, seed: NodeId) -> Option<Claim<CpuCode>> {
    let (node, region) = region_at(site.graph, seed, "conv")?;
    let conv = Conv::from_attrs(&region.attrs).ok()?;
    let ([data, weight], [result]) = (node.operands.as_slice(), node.results.as_slice()) else { return None };
    let (x, w) = (f32_shape(site.graph, *data)?, f32_shape(site.graph, *weight)?);
    if conv.acc != DType::F32 || !(3..=5).contains(&x.len()) || (site.constants)(*weight).is_none() {
        return None;
    }
    let (rank, output) = (x.len(), &conv.window.output);
    let taps: Vec<i64> = w.get(2..)?.iter().map(Dim::as_const).collect::<Option<_>>()?;
    let (out_channels, group_channels) = (w[0].as_const()?, w[1].as_const()?);
    let channels = group_channels.checked_mul(conv.groups)?;
    let sizes = |dims: usize, channel_sizes: &[i64]| {
        let mut sizes = vec![x[0].clone()];
        sizes.extend(channel_sizes.iter().map(|c| Dim::constant(*c)));
        sizes.extend(spatial_sizes(dims, &x[2..], 1));
        sizes.extend(spatial_sizes(dims, output, 1));
        sizes.extend(spatial_sizes(dims, &conv.window.pads_begin, 0));
        sizes
    };
    let blocked = Want::Layout(channel_blocks(rank));
    let depthwise = group_channels == 1 && out_channels == conv.groups && conv.groups > 1 && rank < 5;
    let stem = conv.groups == 1 && channels <= STEM && rank < 5;
    let code = |kind: ConvKind, groups: i64| {
        let (strides, dilations) = (spatial(&conv.window.strides)?, spatial(&conv.window.dilations)?);
        Some(CpuCode::Conv(ConvCode { kind, groups, kernel: spatial(&taps)?, strides, dilations }))
    };
    let mut work = Dim::product([&x[0], &w[0], &w[1]]);
    let (graph, want, workspace, sizes, code) = if depthwise {
        let mut sizes = sizes(2, &[channels]);
        sizes.extend(spatial_sizes(2, &conv.window.pads_end, 0));
        let (strides, dilations) = (spatial(&conv.window.strides)?, spatial(&conv.window.dilations)?);
        let code = CpuCode::Depthwise(WindowCode { kernel: spatial(&taps)?, strides, dilations });
        (pack::depthwise(w).ok()?, blocked, Dim::constant(0), sizes, code)
    } else if stem {
        let reach = |d: usize| {
            let last = &(&output[d] - &Dim::constant(1)) * &Dim::constant(conv.window.strides[d]);
            &last + &Dim::constant((taps[d] - 1) * conv.window.dilations[d] + 1)
        };
        let padded = &Dim::product(&(0..taps.len()).map(reach).collect::<Vec<_>>()) * &Dim::constant(channels * 4);
        let code = code(ConvKind::Stem, 1)?;
        (pack::stem(w).ok()?, Want::Dense, padded, sizes(3, &[channels, out_channels]), code)
    } else {
        let merged = merged_groups(conv.groups, group_channels, out_channels / conv.groups)?;
        let code = code(ConvKind::Blocks, conv.groups / merged)?;
        work = &work * &Dim::constant(merged);
        let packed = pack::conv(w, pack::Groups { count: conv.groups, merged }).ok()?;
        (packed, blocked, Dim::constant(0), sizes(3, &[channels, out_channels]), code)
    };
    let work = &(&work * &Dim::product(&w[2..])) * &Dim::product(output);
    Some(Claim {
        nodes: vec![seed],
        operands: vec![ClaimOperand { value: *data, want }],
        derived: vec![Derived { name: "packed".to_string(), graph, inputs: vec![*weight] }],
        results: vec![*result],
        result_layout: Some(channel_blocks(rank)),
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
    let rank = x.len();
    if conv.acc != DType::F32
        || conv.groups != 1
        || !(3..=5).contains(&rank)
        || (site.constants)(*weight).is_none()
        || conv.window.pads_begin.iter().any(|pad| site.symbols.range(pad).lo < 0)
    {
        return None;
    }
    let taps: Vec<i64> = w.get(2..)?.iter().map(Dim::as_const).collect::<Option<_>>()?;
    let (channels, out_channels) = (w[0].as_const()?, w[1].as_const()?);
    let mut sizes = vec![x[0].clone(), Dim::constant(channels), Dim::constant(out_channels)];
    sizes.extend(spatial_sizes(3, &x[2..], 1));
    sizes.extend(spatial_sizes(3, &conv.window.output, 1));
    sizes.extend(spatial_sizes(3, &conv.window.pads_begin, 0));
    let work = &Dim::product(w) * &Dim::product([&x[0], &Dim::product(&x[2..])]);
    let (strides, dilations) = (spatial(&conv.window.strides)?, spatial(&conv.window.dilations)?);
    let kernel = spatial(&taps)?;
    let graph = pack::conv_transpose(w).ok()?;
    Some(Claim {
        nodes: vec![seed],
        operands: vec![ClaimOperand { value: *data, want: Want::Layout(channel_blocks(rank)) }],
        derived: vec![Derived { name: "packed".to_string(), graph, inputs: vec![*weight] }],
        results: vec![*result],
        result_layout: Some(channel_blocks(rank)),
        epilogue: true,
        sizes,
        workspace: Dim::constant(0),
        cost: cost(site.symbols, &work),
        code: CpuCode::Conv(ConvCode { kind: ConvKind::Transposed, groups: 1, kernel, strides, dilations }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_groups_become_one_until_blocks_are_whole() {
        let check = |groups, inputs, outputs, expected| {
            assert_eq!(merged_groups(groups, inputs, outputs), expected, "{groups} {inputs} {outputs}");
        };
        check(1, 3, 5, Some(1));
        check(16, 16, 32, Some(1));
        check(32, 4, 4, Some(4));
        check(8, 8, 16, Some(2));
        check(6, 8, 24, Some(2));
        // All of them where none fill blocks, and the generic way where that would be too many.
        check(3, 10, 10, Some(3));
        check(997, 1, 2, None);
        check(48, 1, 2, Some(16));
    }

    #[test]
    fn lacking_dims_stand_in_front() {
        assert_eq!(spatial::<3>(&[5]), Some([1, 1, 5]));
        assert_eq!(spatial::<2>(&[5, 7]), Some([5, 7]));
        assert_eq!(spatial::<2>(&[1, 5, 7]), None);
    }
}

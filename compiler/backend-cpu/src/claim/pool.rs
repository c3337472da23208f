//! Maximum and average pools of one or two spatial dims over channel blocks.

use graph::dim::Dim;
use graph::graph::NodeId;
use graph::region::pool::{Mode, Pool};
use plan::claim::{Claim, ClaimOperand, Claimant, Site, Want};

use crate::claim::conv::{channel_blocks, spatial, spatial_sizes};
use crate::claim::{cost, f32_shape, region_at};
use crate::code::{CpuCode, PoolMode, WindowCode};

/// The family.
pub(super) struct Pools;

impl Claimant for Pools {
    type Code = CpuCode;

    fn name(&self) -> &'static str {
        "pool"
    }

    fn claims(&self, site: &Site<'_>, seed: NodeId) -> Vec<Claim<CpuCode>> {
        claim(site, seed).into_iter().collect()
    }
}

fn claim(site: &Site<'_>, seed: NodeId) -> Option<Claim<CpuCode>> {
    let (node, region) = region_at(site.graph, seed, "pool")?;
    let pool = Pool::from_attrs(&region.attrs).ok()?;
    let ([data], [result]) = (node.operands.as_slice(), node.results.as_slice()) else { return None };
    let x = f32_shape(site.graph, *data)?;
    let mode = match pool.mode {
        Mode::Max { indices: false } => PoolMode::Max,
        Mode::Average { count_padding } => PoolMode::Average { count_padding },
        Mode::Max { indices: true } | Mode::Lp { .. } => return None,
    };
    if !(3..=4).contains(&x.len()) || x[1].as_const().is_none() {
        return None;
    }
    let window = WindowCode {
        kernel: spatial(&pool.kernel)?,
        strides: spatial(&pool.window.strides)?,
        dilations: spatial(&pool.window.dilations)?,
    };
    let output = &pool.window.output;
    let mut sizes = vec![x[0].clone(), x[1].clone()];
    sizes.extend(spatial_sizes(2, &x[2..], 1));
    sizes.extend(spatial_sizes(2, output, 1));
    sizes.extend(spatial_sizes(2, &pool.window.pads_begin, 0));
    sizes.extend(spatial_sizes(2, &pool.window.pads_end, 0));
    let taps = Dim::constant(window.kernel[0] * window.kernel[1]);
    let work = Dim::product([&x[0], &x[1], &Dim::product(output), &taps]);
    Some(Claim {
        nodes: vec![seed],
        operands: vec![ClaimOperand { value: *data, want: Want::Layout(channel_blocks(x.len())) }],
        derived: Vec::new(),
        results: vec![*result],
        result_layout: Some(channel_blocks(x.len())),
        epilogue: true,
        sizes,
        workspace: Dim::constant(0),
        cost: cost(site.symbols, &work),
        code: CpuCode::Pool { window, mode },
    })
}

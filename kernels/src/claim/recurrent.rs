//! Recurrent layers with one product a step, over constant or computed weights that lie dense.

use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, Expr, ExprId, Exprs};
use graph::graph::{Graph, NodeId, ValueId};
use graph::node::{Compute, Op};
use graph::region::rnn::{Cell, Rnn};
use graph::symbol::Symbols;
use plan::claim::{Claim, ClaimOperand, Claimant, Site, Want};
use plan::tuning::{Problem, Variant};

use crate::claim::tuned::{self, Tuned};
use crate::claim::{region_at, typical};
use crate::code::{GpuCode, RecurrentCode};
use crate::device::Device;
use crate::fragment::Input;
use crate::recurrent::{Leaf, Recurrent, RecurrentVariant, check, variants};

/// The family.
pub struct Recurrences {
    pub device: Device,
}

impl Claimant for Recurrences {
    type Code = GpuCode;

    fn name(&self) -> &'static str {
        "recurrent"
    }

    fn claims(&self, site: &Site<'_>, seed: NodeId) -> Vec<Claim<GpuCode>> {
        claim(&self.device, site, seed).into_iter().collect()
    }

    fn problem(&self, claim: &Claim<GpuCode>) -> Option<Problem> {
        tuned::problem::<RecurrentCode>(claim)
    }

    fn variants(&self, symbols: &Symbols, claim: &Claim<GpuCode>, most: usize) -> Vec<Variant> {
        tuned::variants::<RecurrentCode>(&self.device, symbols, claim, most)
    }

    fn apply(&self, symbols: &Symbols, claim: &Claim<GpuCode>, variant: &str) -> Option<Claim<GpuCode>> {
        tuned::apply::<RecurrentCode>(&self.device, symbols, claim, variant)
    }
}

impl Tuned for RecurrentCode {
    const REVISION: u32 = 1;

    fn of(code: &GpuCode) -> Option<&RecurrentCode> {
        match code {
            GpuCode::Recurrent(code) => Some(code),
            GpuCode::Product(_) | GpuCode::Depthwise(_) | GpuCode::Attention(_) => None,
        }
    }

    fn into_code(self) -> GpuCode {
        GpuCode::Recurrent(self)
    }

    /// `f32 h128 4 gates with cell 27 expressions`: dtype of the weights, units, what a cell is.
    fn text(&self) -> String {
        let Recurrent { input, hidden, gates, cell, exprs, .. } = &self.problem;
        let kind = if *cell { "with cell" } else { "plain" };
        format!("{} h{hidden} {gates} gates {kind} {} expressions", input.name(), exprs.len())
    }

    fn variant(&self) -> String {
        self.variant.name()
    }

    fn candidates(&self, device: &Device, symbols: &Symbols, sizes: &[Dim]) -> Vec<(RecurrentCode, f64)> {
        let size = |d: usize| sizes.get(d).map_or(1.0, |size| typical(symbols, size));
        let (steps, batch) = (size(0), size(1));
        let cost = |variant: RecurrentVariant| estimate(device, &self.problem, &variant, steps, batch);
        variants().into_iter().map(|variant| (RecurrentCode { variant, ..self.clone() }, cost(variant))).collect()
    }

    fn runs(&self, device: &Device) -> bool {
        check(&self.problem, &self.variant, device.sm).is_ok()
    }
}

fn claim(device: &Device, site: &Site<'_>, seed: NodeId) -> Option<Claim<GpuCode>> {
    let (node, region) = region_at(site.graph, seed, "rnn_steps")?;
    let rnn = Rnn::from_attrs(&region.attrs).ok()?;
    let cell = matches!(rnn.cell, Cell::Lstm { .. });
    let mut rest = node.operands.iter().copied();
    let [pre, recurrent, state] = [rest.next()?, rest.next()?, rest.next()?];
    let mut next = |there: bool| if there { rest.next().map(Some) } else { Some(None) };
    let cell_value = next(cell)?;
    let bias = next(rnn.bias)?;
    let lengths = next(rnn.lengths)?;
    let peepholes = next(rnn.peepholes)?;
    let extra = match (bias, peepholes) {
        (Some(_), Some(_)) => return None,
        (one, other) => one.or(other),
    };
    let (t_pre, t_weight, t_state) =
        (site.graph.tensor(pre)?, site.graph.tensor(recurrent)?, site.graph.tensor(state)?);
    let input = match t_weight.dtype {
        DType::F32 => Input::F32,
        DType::F16 => Input::F16,
        DType::BF16 => Input::Bf16,
        _ => return None,
    };
    if t_pre.dtype != DType::F32 || t_state.dtype != DType::F32 {
        return None;
    }
    let hidden = u32::try_from(t_state.shape.get(1)?.as_const()?).ok()?;
    let gates = u32::try_from(rnn.cell.gates()).ok()?;
    let compute = step_of(&region.body)?;
    let problem = Recurrent {
        input,
        hidden,
        gates,
        cell,
        extra: extra.is_some(),
        lengths: lengths.is_some(),
        exprs: compute.exprs.clone(),
        outs: compute.outs.clone(),
        leaves: leaves(compute, hidden)?,
    };
    let dense = |value: ValueId| ClaimOperand { value, want: Want::Dense };
    let operands =
        [pre, recurrent, state].into_iter().chain(cell_value).chain(extra).chain(lengths).map(dense).collect();
    let sizes = vec![t_pre.shape.first()?.clone(), t_pre.shape.get(1)?.clone()];
    let variant = *variants().first()?;
    let code = RecurrentCode { problem, variant };
    let (code, cost) = tuned::by_cost(&code, device, site.symbols, &sizes).next()?;
    Some(Claim {
        nodes: vec![seed],
        operands,
        derived: Vec::new(),
        results: node.results.clone(),
        result_layout: None,
        epilogue: false,
        workspace: Dim::constant(0),
        sizes,
        cost,
        code: GpuCode::Recurrent(code),
    })
}

/// What a step makes of the one product that it has.
fn step_of(body: &Graph) -> Option<&Compute> {
    let scan = body.nodes.iter().find_map(|node| match &node.op {
        Op::Scan(scan) => Some(scan),
        _ => None,
    })?;
    let products: Vec<_> = scan.body.nodes.iter().filter(|node| matches!(node.op, Op::Region(_))).collect();
    let [product] = products[..] else { return None };
    let sum = product.results.first()?;
    let mut readers = scan.body.nodes.iter().filter(|node| node.operands.contains(sum));
    let (reader, None) = (readers.next()?, readers.next()) else { return None };
    match &reader.op {
        Op::Compute(compute) if reader.operands.get(1) == Some(sum) && compute.reduce.is_empty() => Some(compute),
        _ => None,
    }
}

/// The loads of a step: the input's part, the product, what was before, numbers of units.
fn leaves(compute: &Compute, hidden: u32) -> Option<Vec<(ExprId, Leaf)>> {
    let mut out = Vec::new();
    for (id, expr) in compute.exprs.iter() {
        let Expr::Load { operand, index, or: None } = expr else {
            if matches!(expr, Expr::Load { .. }) {
                return None;
            }
            continue;
        };
        let offset = offset(&compute.exprs, *index.last()?)?;
        let row = u32::try_from(offset).ok().filter(|o| o % hidden == 0)? / hidden;
        out.push((
            id,
            match (operand, index.len()) {
                (0, 2) => Leaf::Input(row),
                (1, 2) => Leaf::Product(row),
                (2, 2) if row == 0 => Leaf::Before,
                (3, 1) => Leaf::Extra(row),
                _ => return None,
            },
        ));
    }
    Some(out)
}

/// By how much an index is beyond the unit's.
fn offset(exprs: &Exprs, id: ExprId) -> Option<i64> {
    match exprs.get(id)? {
        Expr::Index(1) => Some(0),
        Expr::Binary(BinOp::Add, a, b) => {
            let constant = |id: &ExprId| match exprs.get(*id) {
                Some(Expr::Const(value)) => Some(value.as_i64()),
                Some(Expr::Dim(dim)) => dim.as_const(),
                _ => None,
            };
            match (constant(a), constant(b)) {
                (None, Some(more)) => Some(offset(exprs, *a)? + more),
                (Some(more), None) => Some(offset(exprs, *b)? + more),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Nanoseconds of a launch, and until the first step.
const START: f64 = 3500.0;
/// Nanoseconds of a barrier of a CTA, and of a cluster.
const BARRIER: f64 = 60.0;
const CLUSTER: f64 = 350.0;
/// Instructions of a step's expressions.
const POINT: f64 = 180.0;

fn estimate(device: &Device, problem: &Recurrent, variant: &RecurrentVariant, steps: f64, batch: f64) -> f64 {
    let (units, each) = variant.units(problem.hidden);
    let quads = f64::from(variant.quads(problem.hidden));
    let (rows, each, gates) = (f64::from(variant.rows), f64::from(each), f64::from(problem.gates));
    let products = each * rows * gates * quads * 4.0 + rows * quads * 2.0;
    let sums = each * rows * gates * f64::from(variant.lanes.ilog2()) * 3.0;
    let instructions = products + sums + each * rows * POINT;
    let warps = f64::from(variant.threads) / 32.0 / 4.0;
    // A lone warp waits for each result.
    let mut step = instructions * warps.max(2.5) / 1.7;
    if !variant.resident((problem.hidden, problem.gates)) {
        let bytes = f64::from(units * problem.gates * problem.hidden * problem.input.bytes());
        step += bytes / 90.0;
    }
    step += if variant.ctas > 1 { CLUSTER } else { BARRIER };
    let clusters = (batch / rows).ceil();
    let held = (f64::from(device.multiprocessors) / f64::from(variant.ctas)).floor().max(1.0);
    START + steps * step * (clusters / held).ceil()
}

//! Attention with operands as they lie: heads of 16 to 128 elements, one key head for each query head.

use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::NodeId;
use graph::region::attention;
use graph::region::contract::Maths;
use graph::symbol::Symbols;
use graph::ty::TensorType;
use plan::claim::{Claim, ClaimOperand, Claimant, Site, Strided, Want};
use plan::tuning::{Problem, Variant};

use crate::attention::{AttentionVariant, Mask, plain, tensor, wide};
use crate::claim::tuned::{self, Tuned};
use crate::claim::{region_at, typical, vector};
use crate::code::{AttentionCode, GpuCode};
use crate::device::Device;
use crate::fragment::Input;
use crate::lower::attention::{check, shared};

/// The family.
pub struct Attentions {
    pub device: Device,
}

impl Claimant for Attentions {
    type Code = GpuCode;

    fn name(&self) -> &'static str {
        "attention"
    }

    fn claims(&self, site: &Site<'_>, seed: NodeId) -> Vec<Claim<GpuCode>> {
        claim(&self.device, site, seed).into_iter().collect()
    }

    fn problem(&self, claim: &Claim<GpuCode>) -> Option<Problem> {
        tuned::problem::<AttentionCode>(claim)
    }

    fn variants(&self, symbols: &Symbols, claim: &Claim<GpuCode>, most: usize) -> Vec<Variant> {
        tuned::variants::<AttentionCode>(&self.device, symbols, claim, most)
    }

    fn apply(&self, symbols: &Symbols, claim: &Claim<GpuCode>, variant: &str) -> Option<Claim<GpuCode>> {
        tuned::apply::<AttentionCode>(&self.device, symbols, claim, variant)
    }
}

impl Tuned for AttentionCode {
    const REVISION: u32 = 2;

    fn of(code: &GpuCode) -> Option<&AttentionCode> {
        match code {
            GpuCode::Attention(code) => Some(code),
            GpuCode::Product(_) | GpuCode::Depthwise(_) | GpuCode::Recurrent(_) => None,
        }
    }

    fn into_code(self) -> GpuCode {
        GpuCode::Attention(self)
    }

    /// `f16 bshd,bthd,bthe->bshe d64 e64 mask f32 b..t causal`: dtype, order of dims, sizes of a head, masks.
    fn text(&self) -> String {
        let mut text = format!("{} {} d{} e{}", self.input.name(), self.labels, self.depth, self.width);
        if let Some((mask, labels)) = &self.mask {
            let name = match mask {
                Mask::F32 => "f32",
                Mask::F16 => "f16",
                Mask::Bf16 => "bf16",
                Mask::Bool { .. } => "bool",
            };
            text.push_str(&format!(" mask {name} {labels}"));
        }
        if self.causal {
            text.push_str(" causal");
        }
        text
    }

    fn variant(&self) -> String {
        self.variant.name()
    }

    fn candidates(&self, device: &Device, symbols: &Symbols, sizes: &[Dim]) -> Vec<(AttentionCode, f64)> {
        let variants: &[&[AttentionVariant]] = match self.input {
            Input::F32 | Input::Tf32 => &[plain::VARIANTS],
            Input::F16 | Input::Bf16 => &[tensor::VARIANTS, wide::VARIANTS],
        };
        let dims = self.batch().len();
        let size = |d: usize| sizes.get(d).map_or(1.0, |size| typical(symbols, size));
        let heads = typical(symbols, &Dim::product(sizes.iter().take(dims)));
        let extents = [heads, size(dims), size(dims + 1)];
        let codes =
            variants.iter().copied().flatten().map(|variant| AttentionCode { variant: *variant, ..self.clone() });
        codes.map(|code| (code.clone(), estimate(device, &code, extents))).collect()
    }

    fn runs(&self, device: &Device) -> bool {
        let most = device.shared - if device.sm.number() >= 80 { 1024 } else { 0 };
        shared(self) <= most && check(self, device.sm).is_ok()
    }
}

/// Queries that one launch can take: its grid's second extent times the smallest block.
const MOST_QUERIES: i64 = 65_535 * 16;

fn claim(device: &Device, site: &Site<'_>, seed: NodeId) -> Option<Claim<GpuCode>> {
    let (node, region) = region_at(site.graph, seed, "attention")?;
    let attention = attention::Attention::from_attrs(&region.attrs).ok()?;
    let ([q, k, v, rest @ ..], [result]) = (node.operands.as_slice(), node.results.as_slice()) else { return None };
    if attention.softcap.is_some() || attention.lengths || attention.precision != DType::F32 {
        return None;
    }
    let tensors = [q, k, v].map(|value| site.graph.tensor(*value));
    let [Some(tq), Some(tk), Some(tv)] = tensors else { return None };
    let input = match (tq.dtype, attention.maths) {
        (DType::F16, _) if device.sm.number() >= 80 => Input::F16,
        (DType::BF16, _) if device.sm.number() >= 80 => Input::Bf16,
        (DType::F32, Maths::Exact | Maths::Tf32) => Input::F32,
        _ => return None,
    };
    if [tk, tv].iter().any(|t| t.dtype != tq.dtype) {
        return None;
    }
    let labels = attention.labels.clone();
    let extent = |labels: &str, t: &TensorType, label: char| -> Option<Dim> {
        labels.chars().position(|l| l == label).and_then(|d| t.shape.get(d)).cloned()
    };
    let batch: Vec<char> = "bh".chars().filter(|l| labels.q.contains(*l)).collect();
    let mut sizes = batch.iter().map(|l| extent(&labels.q, tq, *l)).collect::<Option<Vec<Dim>>>()?;
    for (labels, t) in [(&labels.k, tk), (&labels.v, tv)] {
        let own = batch.iter().map(|l| extent(labels, t, *l)).collect::<Option<Vec<Dim>>>()?;
        if own != sizes {
            return None;
        }
    }
    let (queries, keys) = (extent(&labels.q, tq, 's')?, extent(&labels.k, tk, 't')?);
    let (depth, width) = (extent(&labels.q, tq, 'd')?, extent(&labels.v, tv, 'e')?);
    let [depth, width] = [depth, width].map(|d| d.as_const().and_then(|d| u32::try_from(d).ok()));
    let (depth, width) = (depth?, width?);
    // Heads lie together: what is copied and stored runs along them.
    let along = [(&labels.q, 'd'), (&labels.k, 'd'), (&labels.v, 'e'), (&labels.result, 'e')];
    if along.iter().any(|(labels, last)| !labels.ends_with(*last))
        || queries.as_const().is_some_and(|q| q > MOST_QUERIES)
    {
        return None;
    }
    let heads = Dim::product(&sizes);
    let shape: Vec<Dim> = sizes.iter().cloned().chain([queries.clone(), keys.clone()]).collect();
    let aligned = 16 / input.bytes();
    let strided = |value: graph::graph::ValueId, aligned| ClaimOperand {
        value,
        want: Want::Strided(Strided { contiguous_last: aligned > 1, multiple: i64::from(aligned), merged: Vec::new() }),
    };
    let mut operands = vec![strided(*q, aligned), strided(*k, aligned), strided(*v, aligned)];
    let mask = match (attention.mask, rest) {
        (false, []) => None,
        (true, [mask]) => {
            operands.push(strided(*mask, 1));
            Some(mask_of(site.graph.tensor(*mask)?, &labels.scores(), &shape, attention.fill.map(|f| f.as_f64()))?)
        }
        _ => return None,
    };
    let root = 1.0 / f64::from(depth).sqrt();
    let scale = attention.scale.map_or(root, |scale| scale.as_f64()) as f32;
    sizes.extend([queries, keys, attention.causal.clone().unwrap_or(Dim::constant(0))]);
    let code = AttentionCode {
        input,
        depth,
        width,
        labels,
        chunk: 16,
        scale,
        mask,
        causal: attention.causal.is_some(),
        zero_empty: attention.zero_empty,
        vector: vector(site.symbols, &Dim::constant(width.into())),
        variant: *plain::VARIANTS.first()?,
    };
    if heads.as_const().is_some_and(|heads| heads >= 1 << 31) || !scale.is_finite() {
        return None;
    }
    let (code, cost) = tuned::by_cost(&code, device, site.symbols, &sizes).next()?;
    Some(Claim {
        nodes: vec![seed],
        operands,
        derived: Vec::new(),
        results: vec![*result],
        result_layout: None,
        epilogue: true,
        workspace: Dim::constant(0),
        sizes,
        cost,
        code: GpuCode::Attention(code),
    })
}

/// How a mask is read: its dims are those of the scores, aligned at the end, or 1.
fn mask_of(mask: &TensorType, scores: &str, shape: &[Dim], fill: Option<f64>) -> Option<(Mask, String)> {
    let kind = match mask.dtype {
        DType::F32 => Mask::F32,
        DType::F16 => Mask::F16,
        DType::BF16 => Mask::Bf16,
        DType::Bool => Mask::Bool { fill: fill.unwrap_or(f64::NEG_INFINITY) as f32 },
        _ => return None,
    };
    let skip = shape.len().checked_sub(mask.shape.len())?;
    let mut labels = String::new();
    for ((extent, whole), label) in mask.shape.iter().zip(shape.iter().skip(skip)).zip(scores.chars().skip(skip)) {
        if extent == whole {
            labels.push(label);
        } else if extent.is(1) {
            labels.push('.');
        } else {
            return None;
        }
    }
    // A last dim of 1 is short, not repeated.
    (!labels.ends_with('.')).then_some((kind, labels))
}

/// Nanoseconds of a launch inside a graph, and of the way from memory to the first product.
const LAUNCH: f64 = 1200.0;
const START: f64 = 1200.0;

/// Nanoseconds more of a launch of warp groups: queries and keys must have arrived whole, results of teams are joined. Part of it comes
/// again with every CTA that waits for another's end.
const GROUPS_START: f64 = 1400.0;
const GROUPS_NEXT: f64 = 900.0;
/// Nanoseconds of a block of a warp group in which it waits, and in which it does what is neither product nor power.
const GROUPS_WAIT: f64 = 100.0;
const GROUPS_BLOCK: f64 = 40.0;

/// Nanoseconds of a multiprocessor with warp groups: a group's blocks one after the other, in each of which the first product
/// and the softmax follow each other; or what all groups ask of the tensor cores and of powers.
fn work_of_groups(device: &Device, code: &AttentionCode, (per_sm, keys): (f64, f64)) -> f64 {
    let AttentionVariant { queries, keys: step, stages, .. } = code.variant;
    let threads = f64::from(code.variant.threads());
    let (down, step) = (f64::from(queries) / 64.0, f64::from(step));
    let teams = threads / 128.0 / down;
    let blocks = keys / step;
    let products = 64.0 * step * f64::from(code.depth + code.width) / device.halves;
    let powers = 64.0 * step / (device.floats * 0.1);
    let alone = (blocks / teams).ceil() * (products / 2.0 + powers + GROUPS_WAIT);
    // Groups that meet at every block leave gaps.
    let filled = match (down > 1.0, stages > 3) {
        (true, false) => 0.75,
        (true, true) => 0.9,
        (false, _) => 0.85,
    };
    let together = per_sm * blocks * down * (products.max(powers) / filled + GROUPS_BLOCK);
    let registers = step * 0.75 + f64::from(code.width) / 2.0 + 40.0;
    let by_shared = f64::from(device.shared) / f64::from(shared(code) + 1024);
    let resident = (65_536.0 / (threads * registers)).min(by_shared).floor().max(1.0);
    alone.max(together) + ((per_sm / resident).ceil() - 1.0).max(0.0) * GROUPS_NEXT
}

/// Nanoseconds: a warp works through all keys of its queries, at most at its share of a multiprocessor's rate.
fn estimate(device: &Device, code: &AttentionCode, [heads, queries, keys]: [f64; 3]) -> f64 {
    let AttentionVariant { warps, queries: block, keys: step, .. } = code.variant;
    let (warps, block, step) = (f64::from(warps), f64::from(block), f64::from(step));
    let ctas = heads * (queries / block).ceil();
    let sms = f64::from(device.multiprocessors);
    let per_sm = (ctas / sms).ceil();
    let keys = (keys / step).ceil() * step;
    let row = f64::from(code.depth + code.width);
    let bytes = f64::from(code.input.bytes());
    let loads = ctas * keys * row * bytes / (device.l2 * (ctas / sms).min(1.0));
    if code.variant.wide {
        return LAUNCH + START + GROUPS_START + work_of_groups(device, code, (per_sm, keys)).max(loads);
    }
    // Of tensor cores a warp has a quarter, of which `mma.sync` and what stands around it use a third.
    let (rate, share, softmax) = match code.input {
        Input::F32 | Input::Tf32 => (device.floats * 0.45, 1.0 / 8.0, 1.0),
        Input::F16 | Input::Bf16 => (device.halves * 0.35, 1.0 / 4.0, 0.5),
    };
    let busy = (per_sm * warps * share).min(1.0);
    let products = per_sm * block * keys * row / (rate * busy);
    let powers = per_sm * block * keys * softmax / (device.floats * 0.1 * busy);
    let steps = keys / step * 250.0;
    LAUNCH + START + (products + powers).max(loads) + steps
}

#[cfg(test)]
mod tests {
    use graph::region::attention::Labels;
    use ptx::Sm;

    use super::*;

    /// Heads, queries and keys, elements of a head; and what is cheapest.
    fn check(sm: Sm, [heads, length, size]: [i64; 3], expected: &str) {
        let code = AttentionCode {
            input: Input::F16,
            depth: size as u32,
            width: size as u32,
            labels: Labels::parse("hsd,htd,hte->hse").unwrap(),
            chunk: 16,
            scale: 0.125,
            mask: None,
            causal: false,
            zero_empty: false,
            vector: 8,
            variant: plain::VARIANTS[0],
        };
        let sizes = [heads, length, length, 0].map(Dim::constant);
        let (cheapest, _) = tuned::by_cost(&code, &Device::of(sm), &Symbols::default(), &sizes).next().unwrap();
        assert_eq!(cheapest.variant(), expected, "{heads} heads, {length} keys of {size} on {sm}");
    }

    #[test]
    fn long_sequences_take_warp_groups() {
        check(Sm::Sm90a, [6, 1500, 64], "w128x128_8_4");
        check(Sm::Sm90a, [8, 4096, 64], "w128x128_8_4");
        check(Sm::Sm90a, [12, 512, 64], "w64x128_8_2");
        check(Sm::Sm90a, [12, 128, 64], "16x128_1_2");
        check(Sm::Sm90a, [192, 49, 32], "32x64_2_2");
        check(Sm::Sm80, [6, 1500, 64], "32x128_2_2");
    }
}

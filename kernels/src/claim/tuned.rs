//! Codes that come in variants which a cost model puts in order: what the planner asks of their families.

use graph::dim::Dim;
use graph::symbol::Symbols;
use plan::claim::Claim;
use plan::tuning::{Problem, Variant};

use crate::code::GpuCode;
use crate::device::Device;

/// Code of a family that runs in several variants.
pub(super) trait Tuned: Clone {
    /// Of the family's kernels: a change of their speed makes it another.
    const REVISION: u32;

    /// This code, if it is the family's.
    fn of(code: &GpuCode) -> Option<&Self>;

    fn into_code(self) -> GpuCode;

    /// All that is code but the variant, in few words.
    fn text(&self) -> String;

    /// The name of the variant.
    fn variant(&self) -> String;

    /// The code in all variants, with nanoseconds at typical values of a claim's sizes.
    fn candidates(&self, device: &Device, symbols: &Symbols, sizes: &[Dim]) -> Vec<(Self, f64)>;

    /// Whether the kernel of this variant can be emitted for the device.
    fn runs(&self, device: &Device) -> bool;
}

/// The code in all variants that run, the cheapest first; one that is not asked for is not looked at.
pub(super) fn by_cost<T: Tuned>(
    code: &T,
    device: &Device,
    symbols: &Symbols,
    sizes: &[Dim],
) -> impl Iterator<Item = (T, f64)> {
    let mut all = code.candidates(device, symbols, sizes);
    all.sort_by(|a, b| a.1.total_cmp(&b.1));
    all.into_iter().filter(|(code, _)| code.runs(device))
}

/// What is to be tuned of a claim.
pub(super) fn problem<T: Tuned>(claim: &Claim<GpuCode>) -> Option<Problem> {
    let code = T::of(&claim.code)?;
    Some(Problem { revision: T::REVISION, text: code.text(), chosen: code.variant() })
}

/// The cheapest variants of a claim.
pub(super) fn variants<T: Tuned>(
    device: &Device,
    symbols: &Symbols,
    claim: &Claim<GpuCode>,
    most: usize,
) -> Vec<Variant> {
    let Some(code) = T::of(&claim.code) else { return Vec::new() };
    let all = by_cost(code, device, symbols, &claim.sizes).take(most);
    all.map(|(code, cost)| Variant { name: code.variant(), cost }).collect()
}

/// A claim in the variant of this name.
pub(super) fn apply<T: Tuned>(
    device: &Device,
    symbols: &Symbols,
    claim: &Claim<GpuCode>,
    name: &str,
) -> Option<Claim<GpuCode>> {
    let all = T::of(&claim.code)?.candidates(device, symbols, &claim.sizes).into_iter();
    let (code, cost) = all.into_iter().find(|(code, _)| code.variant() == name && code.runs(device))?;
    Some(Claim { code: code.into_code(), cost, ..claim.clone() })
}

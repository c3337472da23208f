//! What planning asks of a target.

use graph::dim::Dim;
use nest::abstraction::Constants;
use nest::kernel::{Body, Kernel};

use crate::claim::Claimant;
use crate::tuning::Tuning;

/// Claimants of one target.
pub type Claimants<'a, C> = &'a [&'a dyn Claimant<Code = C>];

/// A target, as planning sees it.
pub struct Target<'a, C> {
    pub claimants: Claimants<'a, C>,
    /// Bytes of scratch that a kernel of the generic way needs, over the kernel's own parameters.
    pub workspace: &'a dyn Fn(&Kernel) -> Dim,
    /// Whether constant sizes of kernels are arguments or code.
    pub constants: Constants,
    /// Chooses variants of claims; `None`: all stay as their families made them.
    pub tuning: Option<Tuning<'a>>,
}

impl<'a, C> Target<'a, C> {
    /// A target that walks one line of a sort at a time, and prints kernels over any sizes.
    pub const fn lines(claimants: Claimants<'a, C>) -> Target<'a, C> {
        Target { claimants, workspace: &sorted_line, constants: Constants::Parameters, tuning: None }
    }
}

/// A sort orders the positions of one line at a time, 8 bytes each.
fn sorted_line(kernel: &Kernel) -> Dim {
    let extent = match &kernel.body {
        Body::Sort { axis, .. } => kernel.operands.first().and_then(|o| o.shape.get(*axis)),
        Body::Nest(_) | Body::Scatter(_) | Body::Compact | Body::Prefix { .. } => None,
    };
    // A line of no elements still takes a slice.
    let extent = extent.map(|d| if d.is(0) { Dim::constant(1) } else { d.clone() });
    extent.map_or(Dim::constant(0), |d| &d * &Dim::constant(8))
}

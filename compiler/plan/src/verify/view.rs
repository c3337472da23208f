//! P10 to P12: views.

use graph::dtype::DType;
use graph::eval::Bindings;

use crate::plan::{Place, View};
use crate::verify::Rule;
use crate::verify::checker::Checker;
use crate::verify::samples::Samples;

/// What a view is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Read,
    Write,
}

/// Checks a view; `what` says which. Yields whether its buffer exists and its parts agree.
pub(super) fn check<C>(c: &mut Checker<'_, C>, what: &str, view: &View, purpose: Use, samples: &Samples) -> bool {
    let Some(buffer) = c.buffer(view.buffer) else {
        c.report(Rule::Named, format!("{what}: buffer ^{} does not exist", view.buffer.0));
        return false;
    };
    let rank = view.shape.len();
    let mut good = true;
    let mut wrong = |c: &mut Checker<'_, C>, message: String| {
        c.report(Rule::Views, format!("{what}: {message}"));
        good = false;
    };
    if view.access.strides.len() != rank {
        wrong(c, format!("{} strides for rank {rank}", view.access.strides.len()));
    }
    if let Some(block) = view.access.block {
        if block.dim >= rank {
            wrong(c, format!("dim {} is blocked, the rank is {rank}", block.dim));
        }
        if block.factor < 1 {
            wrong(c, format!("blocks of {} elements", block.factor));
        }
    }
    if !good || buffer.dtype == DType::Str {
        return good;
    }
    for sample in &samples.0 {
        let Some((lowest, highest)) = addresses(view, sample) else { continue };
        // A growable buffer grows for what is written; what is not known yet cannot be compared.
        let elements = match buffer.place {
            Place::Growable if purpose == Use::Write => None,
            Place::Growable
            | Place::Arena { .. }
            | Place::Weight(_)
            | Place::Input(_)
            | Place::Output(_)
            | Place::State(_)
            | Place::Object(_) => sample.dim(&buffer.elements),
        };
        if lowest < 0 || elements.is_some_and(|n| highest >= i128::from(n)) {
            let (elements, id) = (c.show(&buffer.elements), view.buffer.0);
            let message = format!(
                "{what}: addresses {lowest} to {highest} of buffer ^{id}, which has {elements} elements{}",
                shown(c, sample)
            );
            c.report(Rule::Addresses, message);
            return true;
        }
    }
    true
}

/// The values of the symbols of an assignment, as words to add to a message.
pub(super) fn shown<C>(c: &Checker<'_, C>, sample: &Bindings) -> String {
    let values: Vec<String> = c
        .plan
        .symbols
        .iter()
        .filter_map(|(id, _)| sample.get(id).map(|value| format!("{} = {value}", c.spell(id))))
        .collect();
    if values.is_empty() { String::new() } else { format!(", where {}", values.join(", ")) }
}

/// Lowest and highest address; `None` if there is none, or a size is not known.
fn addresses(view: &View, sample: &Bindings) -> Option<(i128, i128)> {
    let offset = i128::from(sample.dim(&view.access.offset)?);
    let (mut lowest, mut highest) = (offset, offset);
    for (d, (extent, stride)) in view.shape.iter().zip(&view.access.strides).enumerate() {
        let last = i128::from(sample.dim(extent)?) - 1;
        if last < 0 {
            return None;
        }
        let stride = i128::from(sample.dim(stride)?);
        let (steps, within) = match view.access.block.filter(|b| b.dim == d) {
            Some(block) => (last / i128::from(block.factor), last.min(i128::from(block.factor) - 1)),
            None => (last, 0),
        };
        let reach = stride.saturating_mul(steps);
        lowest = lowest.saturating_add(reach.min(0));
        highest = highest.saturating_add(reach.max(0)).saturating_add(within);
    }
    Some((lowest, highest))
}

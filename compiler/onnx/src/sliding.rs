//! `kernel_shape`, `strides`, `dilations`, `pads` and `auto_pad`: the attributes that convolutions and pools share.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::region::window::Window;

use crate::operator::{AttrKind, AttrSpec, Ctx, attr};

/// The attributes.
pub const ATTRS: [AttrSpec; 5] = [
    attr("auto_pad", AttrKind::String),
    attr("dilations", AttrKind::Ints),
    attr("kernel_shape", AttrKind::Ints),
    attr("pads", AttrKind::Ints),
    attr("strides", AttrKind::Ints),
];

/// How the input is padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoPad {
    /// By `pads`.
    NotSet,
    Valid,
    SameUpper,
    SameLower,
}

/// The attribute `auto_pad`.
pub fn auto_pad(ctx: &Ctx<'_>) -> Result<AutoPad, BuildError> {
    match ctx.string("auto_pad") {
        None | Some("NOTSET" | "") => Ok(AutoPad::NotSet),
        Some("VALID") => Ok(AutoPad::Valid),
        Some("SAME_UPPER") => Ok(AutoPad::SameUpper),
        Some("SAME_LOWER") => Ok(AutoPad::SameLower),
        Some(other) => Err(BuildError::Attr {
            name: "auto_pad".to_string(),
            expected: "NOTSET, VALID, SAME_UPPER or SAME_LOWER".to_string(),
            found: other.to_string(),
        }),
    }
}

/// The attribute `kernel_shape`.
pub fn kernel_shape(ctx: &Ctx<'_>, rank: usize) -> Result<Vec<i64>, BuildError> {
    let found = ctx.ints("kernel_shape").unwrap_or_default();
    match found.len() == rank && found.iter().all(|k| *k > 0) {
        true => Ok(found.to_vec()),
        false => Err(mismatch("kernel_shape", &format!("{rank} positive numbers"), found)),
    }
}

/// An attribute with one positive number a spatial dim; without it, ones.
pub fn per_dim(ctx: &Ctx<'_>, name: &str, rank: usize) -> Result<Vec<i64>, BuildError> {
    match ctx.ints(name) {
        None | Some([]) => Ok(vec![1; rank]),
        Some(found) if found.len() == rank && found.iter().all(|v| *v > 0) => Ok(found.to_vec()),
        Some(found) => Err(mismatch(name, &format!("{rank} positive numbers"), found)),
    }
}

/// The attribute `pads`: what is added before and after each spatial dim.
pub fn pads(ctx: &Ctx<'_>, rank: usize) -> Result<(Vec<Dim>, Vec<Dim>), BuildError> {
    let sizes = |values: &[i64]| values.iter().map(|v| Dim::constant(*v)).collect::<Vec<_>>();
    match ctx.ints("pads") {
        None | Some([]) => Ok((vec![Dim::constant(0); rank], vec![Dim::constant(0); rank])),
        Some(found) if found.len() == 2 * rank => Ok((sizes(&found[..rank]), sizes(&found[rank..]))),
        Some(found) => Err(mismatch("pads", &format!("{} numbers", 2 * rank), found)),
    }
}

/// The windows that the attributes describe, over an input and a kernel of these spatial extents. With `ceil`, a last
/// window that starts inside but does not fit counts too.
pub fn window(ctx: &Ctx<'_>, input: &[Dim], kernel: &[Dim], ceil: bool) -> Result<Window, BuildError> {
    let rank = input.len();
    let auto = auto_pad(ctx)?;
    let symbols = &ctx.b.model().symbols;
    let (pads_begin, pads_end) = match auto {
        AutoPad::NotSet => pads(ctx, rank)?,
        AutoPad::Valid | AutoPad::SameUpper | AutoPad::SameLower => {
            (vec![Dim::constant(0); rank], vec![Dim::constant(0); rank])
        }
    };
    let strides = per_dim(ctx, "strides", rank)?;
    let dilations = per_dim(ctx, "dilations", rank)?;
    let mut window = Window { strides, dilations, pads_begin, pads_end, output: Vec::new() };
    for d in 0..rank {
        let extent = match auto {
            AutoPad::NotSet if ceil => window.ceil_extent(symbols, d, &input[d], &kernel[d]),
            AutoPad::NotSet | AutoPad::Valid => window.floor_extent(symbols, d, &input[d], &kernel[d]),
            AutoPad::SameUpper | AutoPad::SameLower => {
                let (zero, one) = (Dim::constant(0), Dim::constant(1));
                let stride = Dim::constant(window.strides[d]);
                let output = symbols.ceil_div(&input[d], &stride);
                let reach = &(&(&output - &one) * &stride) + &window.span(d, &kernel[d]);
                let total = symbols.max(&zero, &(&reach - &input[d]));
                let small = symbols.floor_div(&total, &Dim::constant(2));
                let large = &total - &small;
                let upper = auto == AutoPad::SameUpper;
                (window.pads_begin[d], window.pads_end[d]) = if upper { (small, large) } else { (large, small) };
                output
            }
        };
        window.output.push(extent);
    }
    Ok(window)
}

/// Splits `[N, C, spatial…]` into its three parts; there must be at least one spatial dim.
pub fn spatial(shape: &[Dim], what: &str) -> Result<Vec<Dim>, BuildError> {
    match shape {
        [_, _, spatial @ ..] if !spatial.is_empty() => Ok(spatial.to_vec()),
        _ => Err(BuildError::Rank { what: what.to_string(), expected: "3 or more".to_string(), found: shape.len() }),
    }
}

/// A list attribute that is not as it should be.
pub fn mismatch(name: &str, expected: &str, found: &[i64]) -> BuildError {
    BuildError::Attr { name: name.to_string(), expected: expected.to_string(), found: format!("{found:?}") }
}

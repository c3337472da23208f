//! What a schedule asks of a collapsed stage: sizes, strides along a dim, alignment, reach of addresses. Answers are
//! predicates over sizes, decided at compile time where they can be and by the host where not.

use graph::dim::{Dim, Pred};
use graph::symbol::Symbols;
use nest::layout::Access;

use graph::dtype::DType;

use crate::flat::{Check, Flat, Map, Sink, Way};

/// Sizes at which a kernel runs another way. Tests lower them to see every way at small sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Indices and addresses (in elements) up to this take 32 bits.
    pub narrow: i64,
    /// Bytes of kept values that a CTA holds in shared memory.
    pub kept: i64,
    /// Elements that a CTA sorts in shared memory.
    pub sorted: i64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { narrow: (1 << 31) - 1, kept: 40 << 10, sorted: 4096 }
    }
}

/// Bytes that one access moves at most.
pub const ACCESS_BYTES: u32 = 16;

/// How the elements of a port lie along a dim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    /// The same element everywhere.
    Same,
    /// One after the other.
    Next,
    /// Anything else.
    Apart,
}

/// The dim's stride as a kind.
pub fn along(access: &Access, dim: usize) -> Along {
    match access.strides.get(dim).map(Dim::as_const) {
        Some(Some(0)) | None => Along::Same,
        Some(Some(1)) => Along::Next,
        Some(_) => Along::Apart,
    }
}

/// All of them.
pub fn all(preds: impl IntoIterator<Item = Pred>, symbols: &Symbols) -> Pred {
    let mut out = Vec::new();
    for pred in preds {
        match symbols.prove(&pred) {
            Some(true) => {}
            Some(false) => return Pred::Const(false),
            None => match pred {
                Pred::And(parts) => out.extend(parts),
                other if out.contains(&other) => {}
                other => out.push(other),
            },
        }
    }
    match out.len() {
        0 => Pred::Const(true),
        1 => out.pop().unwrap_or(Pred::Const(true)),
        _ => Pred::And(out),
    }
}

/// `value <= limit`.
pub fn at_most(value: &Dim, limit: i64) -> Pred {
    Pred::Le(value.clone(), Dim::constant(limit))
}

/// `limit <= value`.
pub fn at_least(value: &Dim, limit: i64) -> Pred {
    Pred::Le(Dim::constant(limit), value.clone())
}

impl Flat {
    /// All extents: the parallel ones, then the bounds of the reductions.
    pub fn extents(&self) -> Vec<Dim> {
        self.parallel.iter().chain(self.reduce.iter().map(|e| &e.bound)).cloned().collect()
    }

    /// Loads that are maps of the domain: dtype and way.
    pub fn views(&self) -> impl Iterator<Item = View<'_>> {
        self.sources.iter().filter_map(|source| match &source.way {
            Way::View { map, checks, varies } => Some(View { dtype: source.dtype, map, checks, varies }),
            Way::Indexed { .. } => None,
        })
    }

    /// Where outputs go by strides, with the bits of an element.
    pub fn stores(&self) -> impl Iterator<Item = (&Access, u32)> {
        self.outs.iter().filter_map(|(_, sink)| match sink {
            Sink::Strided { access, dtype, .. } | Sink::Keep { access, dtype, .. } => Some((access, dtype.bits())),
            Sink::Indexed { .. } => None,
        })
    }

    /// Whether every index and every address fits 32 bits.
    pub fn fits_narrow(&self, symbols: &Symbols, limits: &Limits) -> Pred {
        let extents = self.extents();
        let most = limits.narrow;
        let mut preds = vec![at_most(&self.points(), most), at_most(&self.steps(), most)];
        preds.extend(extents.iter().map(|e| at_most(e, most)));
        preds.extend(self.sources.iter().map(|s| at_most(&s.last, most)));
        preds.extend(self.stores().map(|(access, _)| at_most(&last_address(access, &extents, symbols), most)));
        for check in self.views().flat_map(|v| v.checks) {
            preds.push(at_most(&check.extent, most));
            preds.push(at_most(&last_address(&check.map.access, &extents, symbols), most));
            preds.push(at_most(&-&first_address(&check.map.access, &extents, symbols), most));
        }
        all(preds, symbols)
    }
}

/// A load that is a map of the domain.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub dtype: DType,
    pub map: &'a Map,
    pub checks: &'a [Check],
    pub varies: &'a [bool],
}

impl View<'_> {
    /// How the elements lie along a dim; apart, if terms or checks depend on it.
    pub fn along(&self, dim: usize) -> Along {
        if self.varies.get(dim).copied().unwrap_or(false) { Along::Apart } else { along(&self.map.access, dim) }
    }

    /// As [`View::along`], for runs of `width` elements at multiples of `width`: checks that hold for all or none of a run do not part
    /// it.
    pub fn along_runs(&self, dim: usize, width: u32) -> Along {
        if is_steady(self.map, self.checks, self.varies, dim, width) {
            along(&self.map.access, dim)
        } else {
            Along::Apart
        }
    }

    /// Whether every access of `width` elements at multiples of `width` along `dim` is aligned.
    pub fn aligned(&self, dim: usize, width: u32, symbols: &Symbols) -> Pred {
        let terms = self.map.terms.iter().map(|(coef, _)| Pred::Divides(Dim::constant(i64::from(width)), coef.clone()));
        all(terms.chain([aligned(&self.map.access, dim, width, symbols)]), symbols)
    }
}

/// Whether terms are the same, and checks hold for all or none, of every run of `width` elements at multiples of `width` along a dim.
pub fn is_steady(map: &Map, checks: &[Check], varies: &[bool], dim: usize, width: u32) -> bool {
    if !varies.get(dim).copied().unwrap_or(false) {
        return true;
    }
    let divides = |size: &Dim| size.as_const().is_some_and(|n| n % i64::from(width) == 0);
    map.terms.is_empty()
        && checks.iter().all(|check| {
            let access = &check.map.access;
            let others = access.strides.iter().enumerate().filter(|(d, _)| *d != dim).all(|(_, s)| divides(s));
            match along(access, dim) {
                Along::Same => check.map.terms.is_empty(),
                Along::Next => {
                    check.map.terms.is_empty() && others && divides(&access.offset) && divides(&check.extent)
                }
                Along::Apart => false,
            }
        })
}

/// The highest address of a view.
pub fn last_address(access: &Access, extents: &[Dim], symbols: &Symbols) -> Dim {
    let zero = Dim::constant(0);
    let one = Dim::constant(1);
    access.strides.iter().zip(extents).fold(access.offset.clone(), |sum, (stride, extent)| {
        let stride = symbols.max(stride, &zero);
        let last = symbols.max(&(extent - &one), &zero);
        &sum + &(&stride * &last)
    })
}

/// The lowest address of a view.
pub fn first_address(access: &Access, extents: &[Dim], symbols: &Symbols) -> Dim {
    let zero = Dim::constant(0);
    let one = Dim::constant(1);
    access.strides.iter().zip(extents).fold(access.offset.clone(), |sum, (stride, extent)| {
        let stride = symbols.min(stride, &zero);
        let last = symbols.max(&(extent - &one), &zero);
        &sum + &(&stride * &last)
    })
}

/// Whether every access of `width` elements at multiples of `width` along `dim` is aligned.
pub fn aligned(access: &Access, dim: usize, width: u32, symbols: &Symbols) -> Pred {
    let width = Dim::constant(i64::from(width));
    let others = access.strides.iter().enumerate().filter(|(d, _)| *d != dim).map(|(_, s)| s);
    let sizes = others.chain([&access.offset]);
    all(sizes.map(|s| Pred::Divides(width.clone(), s.clone())), symbols)
}

/// Elements of a dtype that one access takes of a run of `count`.
pub fn access_width(bits: u32, count: u32) -> u32 {
    count.min(ACCESS_BYTES * 8 / bits.max(1)).max(1)
}

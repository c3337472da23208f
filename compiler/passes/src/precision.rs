//! Assigns the precision that the caller asks for to what tensor cores multiply, and to what is stored between kernels.
//!
//! - `tf32`: contractions and convolutions of f32 may round their operands ([`Maths::Tf32`]).
//! - `f16`, `bf16`: contractions, convolutions, attention and recurrent layers read 16-bit operands and sum in f32; constants
//!   among these are converted here. What kernels store for others on the way from one product to the next is 16 bit too;
//!   the arithmetic inside kernels stays f32, so a chain that fuses is rounded once, at its end.
//!
//! What f16 cannot hold becomes its largest number, of the same sign: the casts saturate, as f32 has numbers there and infinities
//! would become NaN. Infinities and NaN stay what they are, and so do casts of the model itself. Where an expression's range is within
//! f16 ([`bounds`]) nothing needs to saturate; bf16 has the range of f32.
//!
//! Untouched: types of the model's inputs and outputs, integers, bodies of control flow, what leads to no product any more (the
//! tail of a detector), and what [`choose`] calls delicate (exponentials, logarithms, powers, sums, numbers beyond the
//! type). A constant that a product reads and the type cannot hold is multiplied by a power of two, and the product divided by it.
//!
//! Before: the normal form, as no rule looks through the casts that this puts in. After: the same model up to rounding; every reader
//! of a rounded value reads the same rounded value. Runs once, when the rounds have settled; another series of rounds cleans up.
//!
//! ```text
//! %1 = conv (%0, f32 w) · %2 = max(%1 + b, 0) · %3 = conv (%2, f32 v)
//!   → %1 = cast f16 %0 saturate · %2 = conv (%1, f16 w) · %3 = cast f16 (max(%2 + b, 0)) saturate · %4 = conv (%3, f16 v)
//! ```

mod bounds;
mod choose;
mod constant;
mod groups;
mod point;

use std::collections::BTreeMap;

use graph::attrs::Attr;
use graph::builder::BuildError;
use graph::dtype::DType;
use graph::expr::{Expr, Rounding};
use graph::graph::{Model, ValueId};
use graph::node::{Node, Op, Region};
use graph::region::contract::Maths;

use crate::rewrite::{Patch, Rule, Site, rewrite};
use crate::{Changes, Ctx, Pass, PassError};
use choose::Choice;

pub(crate) const PASS: Pass = Pass {
    name: "precision",
    run,
    reason: "tensor cores multiply narrow types, and narrow values are half the traffic",
    after: &["merge_contractions", "dce"],
    before: &[],
};

/// In what numbers products are formed and intermediate values are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    #[default]
    F32,
    Tf32,
    F16,
    Bf16,
}

impl Precision {
    pub const ALL: [Precision; 4] = [Precision::F32, Precision::Tf32, Precision::F16, Precision::Bf16];

    /// Spelling in options and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Tf32 => "tf32",
            Precision::F16 => "f16",
            Precision::Bf16 => "bf16",
        }
    }

    /// The type that values are stored in between kernels, if it is not their own.
    pub const fn narrow(self) -> Option<DType> {
        match self {
            Precision::F32 | Precision::Tf32 => None,
            Precision::F16 => Some(DType::F16),
            Precision::Bf16 => Some(DType::BF16),
        }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    match ctx.options.precision {
        Precision::F32 => Ok(Changes(0)),
        Precision::Tf32 => rewrite(model, ctx, PASS.name, &mut crate::rewrite::Stateless(round_operands)),
        Precision::F16 => rewrite(model, ctx, PASS.name, &mut Narrow::to(DType::F16)),
        Precision::Bf16 => rewrite(model, ctx, PASS.name, &mut Narrow::to(DType::BF16)),
    }
}

/// Lets a product round its operands.
fn round_operands(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    let Op::Region(region) = &node.op else { return Ok(None) };
    let exact = Maths::from_attrs(&region.attrs).is_ok_and(|m| m == Maths::Exact);
    if !exact || !choose::is_product(site.old, node) {
        return Ok(None);
    }
    let attrs = region.attrs.clone().with("maths", Attr::Str(Maths::Tf32.name().to_string()));
    let operands = site.get_all(&node.operands)?;
    site.b.region(region.kind, attrs, &operands).map(Some)
}

/// Rewrites the model's own graph over 16-bit values.
struct Narrow {
    to: DType,
    /// Graphs entered.
    depth: usize,
    choice: Option<Choice>,
    /// New values of the narrow type for old values that keep theirs, and the other way around.
    halves: BTreeMap<ValueId, ValueId>,
    wides: BTreeMap<ValueId, ValueId>,
}

impl Rule for Narrow {
    fn enter(&mut self) {
        self.depth += 1;
        if self.depth == 1 {
            *self = Narrow { depth: 1, ..Narrow::to(self.to) };
        }
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    fn apply(&mut self, site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
        if self.depth != 1 {
            return Ok(None);
        }
        let to = self.to;
        let choice = self.choice.take().unwrap_or_else(|| Choice::of(site.old, site.facts, to));
        let patch = self.node(site, &choice, node);
        self.choice = Some(choice);
        patch
    }
}

impl Narrow {
    fn to(to: DType) -> Narrow {
        Narrow { to, depth: 0, choice: None, halves: BTreeMap::new(), wides: BTreeMap::new() }
    }

    fn node(&mut self, site: &mut Site<'_>, choice: &Choice, node: &Node) -> Result<Patch, BuildError> {
        let touched = node.operands.iter().chain(&node.results).any(|v| choice.is_narrow(*v));
        match &node.op {
            Op::Const(value) if touched => {
                let shape = node.results.first().and_then(|r| site.tensor(*r)).map(|t| t.shape.clone());
                let built = constant::narrowed(site.b, value, &shape.unwrap_or_default(), self.to)?;
                Ok(built.map(|value| vec![value]))
            }
            Op::Compute(compute) if touched => point::rebuild(site, choice, self.to, node, compute).map(Some),
            Op::Region(region) if touched || choice.factors(node) > 0 => {
                self.region(site, choice, node, region).map(Some)
            }
            Op::Const(_)
            | Op::Compute(_)
            | Op::Scatter(_)
            | Op::Sort(_)
            | Op::Compact(_)
            | Op::Prefix(_)
            | Op::Scan(_)
            | Op::If(_)
            | Op::Loop(_)
            | Op::Bind
            | Op::Host(_)
            | Op::Region(_) => Ok(None),
        }
    }

    fn region(
        &mut self,
        site: &mut Site<'_>,
        choice: &Choice,
        node: &Node,
        region: &Region,
    ) -> Result<Vec<ValueId>, BuildError> {
        let factors = match choose::keeps_elements(region) {
            true if node.operands.iter().all(|o| choice.is_narrow(*o)) => node.operands.len(),
            true | false => choice.factors(node),
        };
        let mut operands = Vec::with_capacity(node.operands.len());
        let mut exponent = 0;
        for (position, operand) in node.operands.iter().enumerate() {
            let value = match position < factors {
                true => {
                    exponent += self.exponent(site, *operand);
                    self.half(site, choice, *operand)?
                }
                false => self.wide(site, choice, *operand)?,
            };
            operands.push(value);
        }
        let results = site.b.region(region.kind, region.attrs.clone(), &operands)?;
        let mut out = Vec::with_capacity(results.len());
        for (old, mut new) in node.results.iter().zip(results) {
            if exponent != 0 {
                new = site.b.map(&[new], |p, v| {
                    let factor = p.number(p.dtype(v[0]), constant::power(-exponent).into());
                    p.mul(v[0], factor)
                })?;
            }
            let float = site.tensor(*old).is_some_and(|t| t.dtype == DType::F32);
            out.push(match (float, choice.is_narrow(*old)) {
                (true, true) => self.narrowed(site, new)?,
                (true, false) => site.b.cast(new, DType::F32)?,
                (false, _) => new,
            });
        }
        Ok(out)
    }

    /// The power of two that a constant is multiplied by when it becomes narrow.
    fn exponent(&self, site: &Site<'_>, old: ValueId) -> i32 {
        match site.definition(old).map(|(node, _)| &node.op) {
            Some(Op::Const(value)) => constant::exponent(value, self.to).unwrap_or(0),
            _ => 0,
        }
    }

    /// A value rounded to the narrow type, if it is not of it.
    fn narrowed(&self, site: &mut Site<'_>, value: ValueId) -> Result<ValueId, BuildError> {
        let to = self.to;
        if site.b.dtype(value)? == to {
            return Ok(value);
        }
        let (saturate, rounding) = (bounds::saturates(to), Rounding::Nearest);
        site.b.map(&[value], |p, v| p.add_expr(Expr::Cast { to, saturate, rounding, value: v[0] }))
    }

    /// The new value of the narrow type.
    fn half(&mut self, site: &mut Site<'_>, choice: &Choice, old: ValueId) -> Result<ValueId, BuildError> {
        if choice.is_narrow(old) {
            return site.get(old);
        }
        if let Some(known) = self.halves.get(&old) {
            return Ok(*known);
        }
        let constant = match site.definition(old).map(|(node, _)| &node.op) {
            Some(Op::Const(value)) => {
                let shape = site.tensor(old).map(|t| t.shape.clone()).unwrap_or_default();
                constant::narrowed(site.b, value, &shape, self.to)?
            }
            _ => None,
        };
        let value = match constant {
            Some(value) => value,
            None => {
                let value = site.get(old)?;
                self.narrowed(site, value)?
            }
        };
        self.halves.insert(old, value);
        Ok(value)
    }

    /// The new value of the old type.
    fn wide(&mut self, site: &mut Site<'_>, choice: &Choice, old: ValueId) -> Result<ValueId, BuildError> {
        let value = site.get(old)?;
        if !choice.is_narrow(old) {
            return Ok(value);
        }
        if let Some(known) = self.wides.get(&old) {
            return Ok(*known);
        }
        let value = site.b.cast(value, DType::F32)?;
        self.wides.insert(old, value);
        Ok(value)
    }
}

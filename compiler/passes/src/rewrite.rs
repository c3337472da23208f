//! Rewriting: the graph is built anew, node by node; a [`Rule`] is asked about each and may put others in its place.
//!
//! A rule sees the graph as it was, and builds into the new one, where constants and everything before the node stand already. What
//! nobody needs any more is left out. Bodies of `Scan`, `If` and `Loop` are rewritten the same way, those of regions are kept.
//! Sweeps repeat until one rewrites nothing; then the graph is exactly as it was before that sweep.

use std::collections::BTreeSet;

use graph::builder::{BuildError, Builder};
use graph::dim::{Dim, SymId};
use graph::graph::{Graph, Model, ValueId};
use graph::node::{Node, Op};
use graph::symbol::SymSource;
use graph::ty::{TensorType, Type};

use crate::facts::Facts;
use crate::liveness::{Liveness, bound_by, guard_symbols};
use crate::{Changes, Ctx, PassError};

/// New values for all results of a node, in order; `None` leaves the node alone.
pub(crate) type Patch = Option<Vec<ValueId>>;

/// A rule over single nodes.
pub(crate) trait Rule {
    /// A graph is entered; called for bodies inside it too.
    fn enter(&mut self) {}

    /// The graph is left.
    fn leave(&mut self) {}

    /// What stands in the node's place.
    fn apply(&mut self, site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError>;
}

/// A rule without state.
pub(crate) struct Stateless(pub(crate) fn(&mut Site<'_>, &Node) -> Result<Patch, BuildError>);

impl Rule for Stateless {
    fn apply(&mut self, site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
        (self.0)(site, node)
    }
}

/// No rule: what is dead goes.
pub(crate) struct Nothing;

impl Rule for Nothing {
    fn apply(&mut self, _: &mut Site<'_>, _: &Node) -> Result<Patch, BuildError> {
        Ok(None)
    }
}

/// Where a rule stands.
pub(crate) struct Site<'a> {
    /// Builds into the new graph.
    pub(crate) b: &'a mut Builder,
    /// The graph as it was.
    pub(crate) old: &'a Graph,
    pub(crate) facts: &'a Facts,
    pub(crate) ctx: &'a Ctx<'a>,
    /// For every old value, the new one.
    map: Vec<Option<ValueId>>,
    /// Bound symbols that nodes built here may mention.
    known: BTreeSet<SymId>,
    /// Whether this is the model's own graph.
    top: bool,
}

impl<'a> Site<'a> {
    /// The new value for an old one that is defined before the node.
    pub(crate) fn get(&self, old: ValueId) -> Result<ValueId, BuildError> {
        self.map.get(old.0 as usize).copied().flatten().ok_or(BuildError::NoValue { value: old.0 })
    }

    /// New values for old ones.
    pub(crate) fn get_all(&self, old: &[ValueId]) -> Result<Vec<ValueId>, BuildError> {
        old.iter().map(|v| self.get(*v)).collect()
    }

    /// The node that defines an old value, and the position among its results.
    pub(crate) fn definition(&self, old: ValueId) -> Option<(&'a Node, usize)> {
        self.facts.definition(self.old, old)
    }

    /// The tensor type of an old value.
    pub(crate) fn tensor(&self, old: ValueId) -> Option<&'a TensorType> {
        self.old.tensor(old)
    }

    /// Whether a new value that exists already may stand for an old one. Each output of a model is a value of its own, and
    /// none is an input.
    pub(crate) fn may_become(&self, old: ValueId, new: ValueId) -> bool {
        if !self.top || !self.facts.is_output(old) {
            return true;
        }
        let taken = |other: &ValueId| *other != old && self.get(*other).is_ok_and(|v| v == new);
        !self.b.graph().inputs.contains(&new) && !self.old.outputs.iter().any(taken)
    }

    /// Whether all symbols of a size may be mentioned here.
    pub(crate) fn knows(&self, dim: &Dim) -> bool {
        let mut all = true;
        let symbols = &self.b.model().symbols;
        dim.for_each_symbol(&mut |id| {
            let input = symbols.get(id).is_some_and(|s| s.source == SymSource::Input);
            all &= input || self.known.contains(&id);
        });
        all
    }
}

/// Applies a rule until nothing is left to do.
pub(crate) fn rewrite(
    model: &mut Model,
    ctx: &Ctx<'_>,
    pass: &'static str,
    rule: &mut dyn Rule,
) -> Result<Changes, PassError> {
    let mut total = 0;
    for _ in 0..ctx.options.sweeps {
        let swept = sweep(model, ctx, pass, rule, false)?;
        total += swept.rewrites;
        if swept.rewrites == 0 {
            return Ok(Changes(total));
        }
    }
    Err(PassError::Endless { pass, iterations: ctx.options.sweeps })
}

/// Leaves out what nothing needs.
pub(crate) fn drop_dead(model: &mut Model, ctx: &Ctx<'_>, pass: &'static str) -> Result<Changes, PassError> {
    sweep(model, ctx, pass, &mut Nothing, true).map(|swept| Changes(swept.dropped))
}

/// What a sweep did.
#[derive(Default)]
struct Swept {
    rewrites: usize,
    dropped: usize,
}

fn sweep(
    model: &mut Model,
    ctx: &Ctx<'_>,
    pass: &'static str,
    rule: &mut dyn Rule,
    drops: bool,
) -> Result<Swept, PassError> {
    let old = std::mem::take(&mut model.graph);
    let needed = guard_symbols(&model.guards);
    let bound = Liveness::of(&old, &needed).bound;
    let mut b = Builder::resume(std::mem::take(model), ctx.options.limits.clone());
    let mark = b.mark();
    let mut sweep = Sweep { ctx, rule, needed, bound, swept: Swept::default() };
    let outputs =
        sweep.graph(&mut b, &old, &BTreeSet::new(), true).map_err(|error| PassError::Build { pass, error })?;
    let swept = sweep.swept;
    if swept.rewrites == 0 && !(drops && swept.dropped > 0) {
        b.forget_since(mark);
        *model = b.finish();
        model.graph = old;
        return Ok(swept);
    }
    *model = b.finish();
    for (old_id, new_id) in old.outputs.iter().zip(outputs) {
        let name = old.value(*old_id).and_then(|v| v.name.clone());
        if let Some(value) = model.graph.values.get_mut(new_id.0 as usize) {
            value.name = name;
        }
    }
    Ok(swept)
}

struct Sweep<'a> {
    ctx: &'a Ctx<'a>,
    rule: &'a mut dyn Rule,
    /// Symbols that guards mention.
    needed: BTreeSet<SymId>,
    /// Symbols that something binds in what stays.
    bound: BTreeSet<SymId>,
    swept: Swept,
}

impl Sweep<'_> {
    /// Builds the graph anew in the builder's scope; yields its outputs.
    fn graph(
        &mut self,
        b: &mut Builder,
        old: &Graph,
        known: &BTreeSet<SymId>,
        top: bool,
    ) -> Result<Vec<ValueId>, BuildError> {
        let facts = Facts::of(old, Liveness::of(old, &self.needed));
        let mut known = known.clone();
        known.extend(&old.binds);
        let map = vec![None; old.values.len()];
        let mut site = Site { b, old, facts: &facts, ctx: self.ctx, map, known, top };
        self.rule.enter();
        for id in &old.inputs {
            let ty = old.value(*id).map(|v| v.ty.clone()).ok_or(BuildError::NoValue { value: id.0 })?;
            let new = site.b.input("", ty);
            self.settle(&mut site, *id, new);
        }
        // Constants first: a rule may read any of them.
        let (constants, others): (Vec<_>, Vec<_>) = old.iter().partition(|(_, n)| matches!(n.op, Op::Const(_)));
        for (id, node) in constants.into_iter().chain(others) {
            if facts.is_live(id) {
                self.node(&mut site, node)?;
            } else {
                self.swept.dropped += 1;
            }
        }
        self.rule.leave();
        let mut outputs: Vec<ValueId> = Vec::with_capacity(old.outputs.len());
        for id in &old.outputs {
            let mut new = site.get(*id)?;
            if top && (outputs.contains(&new) || site.b.graph().inputs.contains(&new)) && is_number(site.b.ty(new)?) {
                new = site.b.map(&[new], |_, v| v[0])?;
            }
            outputs.push(new);
            site.b.output(new);
        }
        Ok(outputs)
    }

    fn node(&mut self, site: &mut Site<'_>, node: &Node) -> Result<(), BuildError> {
        site.b.set_origins(node.origins.clone());
        match self.rule.apply(site, node)? {
            Some(values) if values.len() == node.results.len() => {
                self.swept.rewrites += 1;
                node.results.iter().zip(values).for_each(|(old, new)| self.settle(site, *old, new));
            }
            Some(values) => {
                return Err(BuildError::Results { expected: node.results.len(), found: values.len() });
            }
            None => self.copy(site, node)?,
        }
        Ok(())
    }

    fn copy(&mut self, site: &mut Site<'_>, node: &Node) -> Result<(), BuildError> {
        let mut op = node.op.clone();
        if !matches!(op, Op::Region(_)) {
            for body in op.bodies_mut() {
                site.b.begin_body()?;
                let built = self.graph(site.b, body, &site.known, false);
                let mut new = site.b.end_body();
                built?;
                new.binds = body.binds.clone();
                *body = new;
            }
            site.b.set_origins(node.origins.clone());
        }
        let operands = site.get_all(&node.operands)?;
        let types = node.results.iter().filter_map(|r| site.old.value(*r)).map(|v| v.ty.clone()).collect();
        let results = site.b.push(op, operands, types, node.binds.clone())?;
        site.known.extend(bound_by(node));
        node.results.iter().zip(results).for_each(|(old, new)| self.settle(site, *old, new));
        Ok(())
    }

    /// A new value takes the place of an old one, with its name and what is known of its contents.
    fn settle(&self, site: &mut Site<'_>, old: ValueId, new: ValueId) {
        if let Some(slot) = site.map.get_mut(old.0 as usize) {
            *slot = Some(new);
        }
        let Some(value) = site.old.value(old) else { return };
        if let Some(name) = &value.name {
            site.b.name_value(new, name);
        }
        if site.b.contents(new).is_none()
            && let Some(contents) = &value.contents
            && contents.iter().all(|dim| self.stays(site.b, dim))
        {
            site.b.set_contents(new, Some(contents.clone()));
        }
    }

    /// Whether all symbols of a size are still there.
    fn stays(&self, b: &Builder, dim: &Dim) -> bool {
        let mut all = true;
        dim.for_each_symbol(&mut |id| {
            let input = b.model().symbols.get(id).is_some_and(|s| s.source == SymSource::Input);
            all &= input || self.bound.contains(&id);
        });
        all
    }
}

fn is_number(ty: &Type) -> bool {
    ty.as_tensor().is_some_and(|t| t.dtype != graph::dtype::DType::Str)
}

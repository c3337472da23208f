//! Recognises attention that exporters spell out: a product of queries and keys, scaled, masked, its softmax, a product with values.
//!
//! Before: the normal form, so that transposes are labels of the contractions and factors stand behind the first. After: such a
//! chain, nothing of which is read elsewhere, is an `attention` region with the same labels. What is added to the scores, or selects
//! among them, becomes one mask of the smallest shape that has it: reshapes on the way are looked through. Roundings to narrower
//! floats between the two products are left out. Heads lie together: what is multiplied or mixed is the last dim of all four, by a
//! transpose where it was not, which the rounds after this pass take into what makes the operand; on the CPU, where no kernel has the
//! region whole, dims lie as the products have them. Runs once, when the rounds have settled.
//!
//! ```text
//! %2 = contract "bshd,bthd->bhst" (%q, %k) · %3 = %2 * 0.125 + %mask · %4 = softmax %3 · %5 = contract "bhst,bthe->bshe" (%4, %v)
//!   → %5 = region attention {labels = "bshd,bthd,bthe->bshe", scale, mask} (%q, %k, %v, %mask)
//! ```

use std::collections::BTreeMap;

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, Expr, ExprId, Exprs, Leaves, UnOp};
use graph::graph::{Model, ValueId};
use graph::node::{Compute, Node, Op};
use graph::region::attention::{Attention, Labels};
use graph::region::contract::{self, Contract};
use graph::region::softmax::{self, Softmax};
use graph::scalar::Scalar;

use crate::algebra::arena::reached;
use crate::algebra::space::Space;
use crate::pattern::Term;
use crate::rewrite::{Patch, Site, Stateless, rewrite};
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "recognise_attention",
    run,
    reason: "one kernel keeps the scores on the chip, which are most of the traffic",
    after: &["recognise_softmax", "scale_out", "relabel", "merge_contractions", "dce"],
    before: &["precision"],
};

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    rewrite(model, ctx, PASS.name, &mut Stateless(rule))
}

/// What was found before the second product.
struct Found<'a> {
    /// The first product.
    product: &'a Node,
    contract: Contract,
    scale: f64,
    /// In the arena of the search, over the dims of the scores.
    mask: Option<Mask>,
}

#[derive(Clone, Copy)]
enum Mask {
    /// Added to the scores.
    Added(ExprId),
    /// A truth value, or its contrary, and the score where it leaves a pair out.
    Chosen { takes_part: ExprId, fill: f64 },
}

fn rule(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    let Some(contract) = contract_of(node) else { return Ok(None) };
    let [x, y] = node.operands[..] else { return Ok(None) };
    let swapped = Contract { a: contract.b.clone(), b: contract.a.clone(), ..contract.clone() };
    for (weights, values, contract) in [(x, y, &contract), (y, x, &swapped)] {
        let Some((scores, zero_empty)) = behind_softmax(site, weights) else { continue };
        let Some(shape) = site.tensor(scores).map(|t| t.shape.clone()) else { continue };
        let mut search = Search { site, exprs: Exprs::default(), operands: Vec::new(), dtypes: Vec::new() };
        let Some(found) = search.from_scores(scores, &shape) else { continue };
        let Search { exprs, operands, .. } = search;
        let Some((mut labels, [q, k])) = labels(&found, contract) else { continue };
        let same = |v: ValueId| site.tensor(v).map(|t| t.dtype);
        if same(q) != same(k) || same(q) != same(values) || found.contract.maths != contract.maths {
            continue;
        }
        let Some(mask) = masked(site, found.mask, &shape, (&exprs, &operands))? else { continue };
        let mut all = site.get_all(&[q, k, values])?;
        let mut stored = None;
        if !site.ctx.options.cpu_kernels {
            let along = [(&mut labels.q, 'd'), (&mut labels.k, 'd'), (&mut labels.v, 'e')];
            for (operand, (labels, last)) in all.iter_mut().zip(along) {
                if let Some(perm) = moved_last(labels, last) {
                    *operand = site.b.transpose(*operand, &perm)?;
                }
            }
            stored = moved_last(&mut labels.result, 'e');
        }
        let attention = Attention {
            scale: Some(Scalar::from_f64(DType::F32, found.scale)),
            mask: mask.is_some(),
            labels,
            fill: match found.mask {
                Some(Mask::Chosen { fill, .. }) if fill > f64::NEG_INFINITY => Some(Scalar::from_f64(DType::F32, fill)),
                _ => None,
            },
            zero_empty,
            maths: contract.maths,
            ..Attention::plain(DType::F32)
        };
        all.extend(mask);
        let mut origins = found.product.origins.clone();
        origins.extend(node.origins.iter().filter(|o| !found.product.origins.contains(o)));
        site.b.set_origins(origins);
        let (mut result, _) = site.b.attention(&attention, &all)?;
        if let Some(perm) = stored {
            let back: Vec<usize> = (0..perm.len()).filter_map(|d| perm.iter().position(|p| *p == d)).collect();
            result = site.b.transpose(result, &back)?;
        }
        return Ok(Some(vec![site.b.cast(result, contract.acc)?]));
    }
    Ok(None)
}

fn contract_of(node: &Node) -> Option<Contract> {
    match &node.op {
        Op::Region(region) if region.kind == &contract::KIND => Contract::from_attrs(&region.attrs).ok(),
        _ => None,
    }
    .filter(|contract| contract.acc == DType::F32)
}

/// What the softmax along the last dim that a value is was taken of, and whether its NaNs are replaced by zeros.
fn behind_softmax(site: &Site<'_>, weights: ValueId) -> Option<(ValueId, bool)> {
    let mut value = weights;
    let mut readers = 1;
    let mut zero_empty = false;
    loop {
        let (node, _) = site.definition(value)?;
        if site.facts.is_output(value) || site.facts.uses(value) != readers {
            return None;
        }
        if let Op::Region(region) = &node.op {
            let softmax = Softmax::from_attrs(&region.attrs).ok().filter(|_| region.kind == &softmax::KIND)?;
            let rank = site.tensor(value)?.shape.len();
            return (!softmax.log && softmax.axis + 1 == rank).then_some((*node.operands.first()?, zero_empty));
        }
        let term = Term::of_node(node)?;
        let inner = match term.expr()? {
            Expr::Cast { to, value, .. } if to.is_float() => Term { id: *value, ..term },
            Expr::Select(test, zero, kept) if !zero_empty => {
                let (test, kept) = (Term { id: *test, ..term }, Term { id: *kept, ..term });
                let tested = test.unary(site, UnOp::IsNan)?;
                let one = kept.value(site).is_some() && tested.value(site) == kept.value(site);
                if (Term { id: *zero, ..term }).constant() != Some(0.0) || !one {
                    return None;
                }
                // A test in a node of its own is another reader.
                readers = 1 + usize::from(test.value(site).is_some());
                zero_empty = true;
                value = kept.value(site)?;
                continue;
            }
            _ => return None,
        };
        readers = 1;
        value = inner.value(site)?;
    }
}

/// Moves a label to the end; the permutation that does so to the dims, if it was not there.
fn moved_last(labels: &mut String, last: char) -> Option<Vec<usize>> {
    let at = labels.chars().position(|l| l == last).filter(|at| at + 1 < labels.len())?;
    let perm: Vec<usize> = (0..labels.len()).filter(|d| *d != at).chain([at]).collect();
    labels.remove(at);
    labels.push(last);
    Some(perm)
}

/// Labels of the region, and queries and keys.
fn labels(found: &Found<'_>, second: &Contract) -> Option<(Labels, [ValueId; 2])> {
    let first = &found.contract;
    let scores: Vec<char> = first.result.chars().collect();
    let (batch, [s, t]) = (scores.get(..scores.len().checked_sub(2)?)?, scores.get(scores.len() - 2..)?) else {
        return None;
    };
    let names: &[char] = match batch.len() {
        0 => &[],
        1 => &['b'],
        2 => &['b', 'h'],
        _ => return None,
    };
    let [x, y] = found.product.operands[..] else { return None };
    let (a, b, q, k) = match first.a.contains(*s) {
        true => (&first.a, &first.b, x, y),
        false => (&first.b, &first.a, y, x),
    };
    let depth: Vec<char> = a.chars().filter(|l| b.contains(*l) && !first.result.contains(*l)).collect();
    let [d] = depth[..] else { return None };
    let mut known: BTreeMap<char, char> = batch.iter().copied().zip(names.iter().copied()).collect();
    known.extend([(*s, 's'), (*t, 't'), (d, 'd')]);
    let named = |labels: &str, known: &BTreeMap<char, char>| -> Option<String> {
        labels.chars().map(|l| known.get(&l).copied()).collect()
    };
    let (q_labels, k_labels) = (named(a, &known)?, named(b, &known)?);
    // The second product's weights lie as the scores.
    let weights: Vec<char> = second.a.chars().collect();
    if weights.len() != scores.len() {
        return None;
    }
    let order = names.iter().copied().chain(['s', 't']);
    let mut after: BTreeMap<char, char> = weights.iter().copied().zip(order).collect();
    let own: Vec<char> = second.b.chars().filter(|l| !second.a.contains(*l)).collect();
    let [e] = own[..] else { return None };
    after.insert(e, 'e');
    let labels =
        Labels { q: q_labels, k: k_labels, v: named(&second.b, &after)?, result: named(&second.result, &after)? };
    (Labels::parse(&labels.to_string())? == labels).then_some((labels, [q, k]))
}

/// Looks from the scores back to the first product; expressions are over the dims of the scores.
struct Search<'a, 's> {
    site: &'s Site<'a>,
    exprs: Exprs,
    operands: Vec<ValueId>,
    dtypes: Vec<DType>,
}

impl<'a> Search<'a, '_> {
    fn from_scores(&mut self, scores: ValueId, shape: &[Dim]) -> Option<Found<'a>> {
        let at = (0..shape.len() as u32).map(|d| self.add(Expr::Index(d))).collect::<Option<Vec<_>>>()?;
        self.value(scores, &at, shape)
    }

    fn add(&mut self, expr: Expr) -> Option<ExprId> {
        self.exprs.add(expr, Leaves { operands: &self.dtypes, accs: &[] }).ok()
    }

    /// The chain behind a value, of which the element at an index is needed.
    fn value(&mut self, value: ValueId, at: &[ExprId], shape: &[Dim]) -> Option<Found<'a>> {
        if self.site.facts.is_output(value) || self.site.facts.uses(value) != 1 {
            return None;
        }
        let (node, _) = self.site.definition(value)?;
        if let Some(contract) = contract_of(node) {
            let own = &self.site.tensor(value)?.shape;
            return (own == shape && self.is_identity(at, shape)).then_some(Found {
                product: node,
                contract,
                scale: 1.0,
                mask: None,
            });
        }
        let term = Term::of_node(node)?;
        self.term(term, at, shape)
    }

    fn term(&mut self, term: Term<'a>, at: &[ExprId], shape: &[Dim]) -> Option<Found<'a>> {
        let part = |id: &ExprId| Term { id: *id, ..term };
        match term.expr()? {
            Expr::Load { operand, index, or: None } => {
                let value = *term.node.operands.get(*operand as usize)?;
                let index = index.iter().map(|i| self.moved(&term, *i, at)).collect::<Option<Vec<_>>>()?;
                self.value(value, &index, shape)
            }
            Expr::Cast { to, value, .. } if to.is_float() => self.term(part(value), at, shape),
            Expr::Binary(BinOp::Mul, a, b) => {
                let (inner, factor) = match (part(a).constant(), part(b).constant()) {
                    (None, Some(factor)) => (a, factor),
                    (Some(factor), None) => (b, factor),
                    _ => return None,
                };
                self.scaled(self_term(term, *inner), at, shape, factor)
            }
            Expr::Binary(BinOp::Div, a, b) => {
                let by = part(b).constant().filter(|by| *by != 0.0)?;
                self.scaled(part(a), at, shape, 1.0 / by)
            }
            Expr::Binary(BinOp::Add, a, b) => {
                [(a, b), (b, a)].into_iter().find_map(|(inner, mask)| self.added(&term, (*inner, *mask), at, shape))
            }
            Expr::Select(test, a, b) => {
                let (inner, fill, contrary) = match (part(a).constant(), part(b).constant()) {
                    (None, Some(fill)) => (a, fill, false),
                    (Some(fill), None) => (b, fill, true),
                    _ => return None,
                };
                let found = self.term(part(inner), at, shape).filter(|f| f.mask.is_none())?;
                let mut takes_part = self.moved(&term, *test, at)?;
                if contrary {
                    takes_part = self.add(Expr::Unary(UnOp::Not, takes_part))?;
                }
                Some(Found { mask: Some(Mask::Chosen { takes_part, fill }), ..found })
            }
            _ => None,
        }
    }

    fn scaled(&mut self, term: Term<'a>, at: &[ExprId], shape: &[Dim], factor: f64) -> Option<Found<'a>> {
        let found = self.term(term, at, shape).filter(|f| f.mask.is_none() && factor.is_finite())?;
        Some(Found { scale: found.scale * factor, ..found })
    }

    fn added(
        &mut self,
        term: &Term<'a>,
        (inner, mask): (ExprId, ExprId),
        at: &[ExprId],
        shape: &[Dim],
    ) -> Option<Found<'a>> {
        let found = self.term(Term { id: inner, ..*term }, at, shape)?;
        let mask = self.moved(term, mask, at)?;
        let mask = match found.mask {
            None => mask,
            Some(Mask::Added(before)) if self.exprs.dtype(before) == self.exprs.dtype(mask) => {
                self.add(Expr::Binary(BinOp::Add, before, mask))?
            }
            Some(Mask::Added(_) | Mask::Chosen { .. }) => return None,
        };
        Some(Found { mask: Some(Mask::Added(mask)), ..found })
    }

    /// An expression of a node over the dims of the scores: its index variables are `at`.
    fn moved(&mut self, term: &Term<'a>, id: ExprId, at: &[ExprId]) -> Option<ExprId> {
        let compute: &Compute = term.compute;
        let mut ids: BTreeMap<ExprId, ExprId> = BTreeMap::new();
        for old in reached(&compute.exprs, &[id]) {
            let expr = compute.exprs.get(old)?;
            let new = match expr {
                Expr::Index(k) => *at.get(*k as usize)?,
                Expr::Acc(_) => return None,
                other => {
                    let mut expr = other.map_children(&mut |child| ids.get(&child).copied().unwrap_or(child));
                    if let Expr::Load { operand, .. } = &mut expr {
                        *operand = self.operand(*term.node.operands.get(*operand as usize)?)?;
                    }
                    self.add(expr)?
                }
            };
            ids.insert(old, new);
        }
        ids.get(&id).copied()
    }

    fn operand(&mut self, value: ValueId) -> Option<u32> {
        if let Some(known) = self.operands.iter().position(|v| *v == value) {
            return Some(known as u32);
        }
        self.operands.push(value);
        self.dtypes.push(self.site.tensor(value)?.dtype);
        Some(self.operands.len() as u32 - 1)
    }

    /// Whether an index is that of the scores themselves.
    fn is_identity(&self, at: &[ExprId], shape: &[Dim]) -> bool {
        let space = Space::new(&self.site.b.model().symbols, shape.to_vec());
        let polynomials = space.polynomials(&self.exprs);
        let is = |(d, (id, extent)): (usize, (&ExprId, &Dim))| {
            let own = if extent.is(1) { Dim::constant(0) } else { space.index(d as u32) };
            polynomials.get(id.0 as usize).is_some_and(|p| p.as_ref() == Some(&own))
        };
        at.len() == shape.len() && at.iter().zip(shape).enumerate().all(is)
    }
}

fn self_term(term: Term<'_>, id: ExprId) -> Term<'_> {
    Term { id, ..term }
}

/// The mask as a value; `Some(None)` if there is none.
fn masked(
    site: &mut Site<'_>,
    mask: Option<Mask>,
    shape: &[Dim],
    (exprs, operands): (&Exprs, &[ValueId]),
) -> Result<Option<Option<ValueId>>, BuildError> {
    let id = match mask {
        None => return Ok(Some(None)),
        Some(Mask::Added(id) | Mask::Chosen { takes_part: id, .. }) => id,
    };
    let needed = reached(exprs, &[id]);
    let mut used: Vec<ValueId> = Vec::new();
    for id in &needed {
        if let Some(Expr::Load { operand, .. }) = exprs.get(*id)
            && let Some(value) = operands.get(*operand as usize)
            && !used.contains(value)
        {
            used.push(*value);
        }
    }
    let dtypes: Vec<DType> = used.iter().filter_map(|v| site.tensor(*v)).map(|t| t.dtype).collect();
    let (mut own, mut ids, mut dims) = (Exprs::default(), BTreeMap::new(), vec![false; shape.len()]);
    for old in needed {
        let Some(expr) = exprs.get(old) else { return Ok(None) };
        let mut expr = expr.map_children(&mut |child| ids.get(&child).copied().unwrap_or(child));
        match &mut expr {
            Expr::Load { operand, .. } => {
                let value = operands.get(*operand as usize).copied();
                *operand = used.iter().position(|v| Some(*v) == value).unwrap_or(0) as u32;
            }
            Expr::Index(k) => dims[*k as usize] = true,
            _ => {}
        }
        ids.insert(old, own.add(expr, Leaves { operands: &dtypes, accs: &[] })?);
    }
    // Keys behind the end of a mask take no part, so that it has one for each key even where they are equal.
    if let Some(last) = dims.last_mut() {
        *last = true;
    }
    let Some(out) = ids.get(&id).copied() else { return Ok(None) };
    let one = Dim::constant(1);
    let small = shape.iter().zip(&dims).map(|(extent, used)| if *used { extent.clone() } else { one.clone() });
    let compute = Compute { shape: small.collect(), reduce: Vec::new(), exprs: own, accs: Vec::new(), outs: vec![out] };
    let values = site.get_all(&used)?;
    if let ([value], Some(Expr::Load { index, or: None, .. })) = (&values[..], compute.exprs.get(out)) {
        let in_place = |(d, id): (usize, &ExprId)| match compute.exprs.get(*id) {
            Some(Expr::Index(k)) => *k as usize == d,
            Some(Expr::Const(zero)) => zero.as_i64() == 0,
            _ => false,
        };
        if index.len() == shape.len()
            && index.iter().enumerate().all(in_place)
            && site.b.shape(*value)? == compute.shape
        {
            return Ok(Some(Some(*value)));
        }
    }
    let made = site.b.add_compute(compute, values)?;
    Ok(made.first().copied().map(Some))
}

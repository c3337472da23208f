//! Computes that only move elements, and what their index maps say about memory.

use graph::dim::{Atom, Dim, Term};
use graph::expr::{Expr, ExprId};
use graph::graph::{Graph, ValueId};
use graph::node::{Compute, Node, Op};

use crate::algebra::space::Space;
use crate::facts::Facts;

/// A Compute with one result, each element of which is one element of its only operand.
#[derive(Clone, Copy)]
pub(crate) struct Map<'a> {
    pub(crate) node: &'a Node,
    pub(crate) compute: &'a Compute,
    /// What it moves.
    pub(crate) source: ValueId,
    /// Index into the source.
    pub(crate) index: &'a [ExprId],
}

/// The map that a node is.
pub(crate) fn of_node(node: &Node) -> Option<Map<'_>> {
    let Op::Compute(compute) = &node.op else { return None };
    let ([source], [out], true) = (&node.operands[..], &compute.outs[..], compute.reduce.is_empty()) else {
        return None;
    };
    match compute.exprs.get(*out)? {
        Expr::Load { operand: 0, index, or: None } => Some(Map { node, compute, source: *source, index }),
        _ => None,
    }
}

/// The map that defines a value.
pub(crate) fn of_value<'a>(graph: &'a Graph, facts: &Facts, value: ValueId) -> Option<Map<'a>> {
    facts.definition(graph, value).and_then(|(node, _)| of_node(node))
}

/// A part of an index variable, and how far apart in the source its steps are: `(i_k / below) mod extent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digit {
    pub(crate) k: u32,
    pub(crate) below: Dim,
    pub(crate) extent: Dim,
    pub(crate) stride: Dim,
}

impl Map<'_> {
    /// The digits that the linear position in the source is made of, and its constant part; `None` if it is not linear.
    pub(crate) fn digits(&self, space: &Space, source: &[Dim]) -> Option<(Vec<Digit>, Dim)> {
        let polynomials = space.polynomials(&self.compute.exprs);
        let (mut linear, mut stride) = (Dim::constant(0), Dim::constant(1));
        for (at, extent) in self.index.iter().zip(source).rev() {
            let polynomial = polynomials.get(at.0 as usize)?.as_ref()?;
            linear = &linear + &(polynomial * &stride);
            stride = &stride * extent;
        }
        let (mut digits, mut start) = (Vec::new(), Dim::constant(0));
        for term in linear.terms() {
            match digit(space, term)? {
                Some(digit) => digits.push(digit),
                None => start = &start + &Dim::from_terms(vec![term.clone()]),
            }
        }
        Some((digits, start))
    }

    /// Whether both move elements alike.
    pub(crate) fn is_same(&self, other: &Map<'_>) -> bool {
        let exprs = |map: &Map<'_>| map.compute.exprs.iter().map(|(_, e)| e.clone()).collect::<Vec<Expr>>();
        self.compute.shape == other.compute.shape && self.index == other.index && exprs(self) == exprs(other)
    }

    /// Whether every element of the source stands in exactly one place of the result.
    pub(crate) fn is_bijection(&self, space: &Space, source: &[Dim]) -> bool {
        let Some((digits, start)) = self.digits(space, source) else { return false };
        start.is(0) && covers(&self.compute.shape, &digits) && fills(&digits, &Dim::product(source))
    }

    /// Whether elements lie in the same order before and after, as those of a reshape do; for a bijection.
    pub(crate) fn keeps_order(&self, space: &Space, source: &[Dim]) -> bool {
        let Some((digits, _)) = self.digits(space, source) else { return false };
        digits.iter().filter(|d| !d.extent.is(1)).all(|digit| {
            let behind = self.compute.shape.iter().skip(digit.k as usize + 1);
            digit.stride == &Dim::product(behind) * &digit.below
        })
    }
}

/// The digit of a term; `Some(None)` for a term without index variables.
pub(crate) fn digit(space: &Space, term: &Term) -> Option<Option<Digit>> {
    let mentions = |a: &Atom| space.mentions_index(&Dim::atom(a.clone()));
    let (indices, sizes): (Vec<&Atom>, Vec<&Atom>) = term.factors.iter().partition(|a| mentions(a));
    let stride = Dim::from_terms(vec![Term { factors: sizes.into_iter().cloned().collect(), coef: term.coef }]);
    let [atom] = indices[..] else { return indices.is_empty().then_some(None) };
    let variable = |dim: &Dim| dim.as_symbol().and_then(|id| space.index_of(id));
    let one = Dim::constant(1);
    let (k, below, extent) = match atom {
        Atom::Sym(id) => {
            let k = space.index_of(*id)?;
            (k, one, space.extent(k)?.clone())
        }
        Atom::FloorDiv(x, by) => {
            let k = variable(x)?;
            let extent = space.symbols().floor_div(space.extent(k)?, by);
            (k, (**by).clone(), extent)
        }
        Atom::Mod(x, by) => match variable(x) {
            Some(k) => (k, one, (**by).clone()),
            None => match x.terms() {
                [Term { factors, coef: 1 }] => match factors.as_slice() {
                    [Atom::FloorDiv(x, below)] => (variable(x)?, (**below).clone(), (**by).clone()),
                    _ => return None,
                },
                _ => return None,
            },
        },
        Atom::CeilDiv(..) | Atom::Min(..) | Atom::Max(..) | Atom::Select(..) => return None,
    };
    Some(Some(Digit { k, below, extent, stride }))
}

/// Whether the digits of every variable make up the whole of it, once.
fn covers(shape: &[Dim], digits: &[Digit]) -> bool {
    shape.iter().enumerate().all(|(k, extent)| {
        let mut rest: Vec<&Digit> = digits.iter().filter(|d| d.k as usize == k).collect();
        let mut reached = Dim::constant(1);
        while let Some(position) = rest.iter().position(|d| d.below == reached) {
            reached = &reached * &rest.remove(position).extent;
        }
        rest.is_empty() && reached == *extent
    })
}

/// Whether the digits, by their strides, count through all elements without a gap.
fn fills(digits: &[Digit], count: &Dim) -> bool {
    let mut rest: Vec<&Digit> = digits.iter().filter(|d| !d.extent.is(1)).collect();
    let mut reached = Dim::constant(1);
    while let Some(position) = rest.iter().position(|d| d.stride == reached) {
        reached = &reached * &rest.remove(position).extent;
    }
    rest.is_empty() && reached == *count
}

/// Whether a step of one stride is certainly at least as long as that of another.
pub(crate) fn is_outer(space: &Space, a: &Dim, b: &Dim) -> bool {
    let symbols = space.symbols();
    let multiple = !b.is(0) && &symbols.floor_div(a, b) * b == *a;
    symbols.range(&(a - b)).lo >= 0 || (multiple && symbols.range(a).lo >= 0)
}

/// The Compute with its parallel dims in another order: dim `j` of the result is dim `order[j]`.
pub(crate) fn permuted(compute: &Compute, order: &[usize]) -> Compute {
    let mut exprs = graph::expr::Exprs::default();
    for (id, expr) in compute.exprs.iter() {
        let expr = match expr {
            Expr::Index(k) => Expr::Index(order.iter().position(|d| *d == *k as usize).unwrap_or(*k as usize) as u32),
            other => other.clone(),
        };
        exprs.push_raw(expr, compute.exprs.dtype(id));
    }
    let shape = order.iter().filter_map(|d| compute.shape.get(*d).cloned()).collect();
    Compute { shape, exprs, ..compute.clone() }
}

/// Whether a Compute loads an operand only at the index of the element that it computes.
pub(crate) fn reads_in_place(compute: &Compute, node: &Node, value: ValueId) -> bool {
    let identity = |(d, at): (usize, &ExprId)| match compute.exprs.get(*at) {
        Some(Expr::Index(k)) => *k as usize == d,
        Some(Expr::Const(zero)) => zero.as_i64() == 0 && compute.shape.get(d).is_some_and(|e| e.is(1)),
        _ => false,
    };
    compute.exprs.iter().all(|(_, expr)| match expr {
        Expr::Load { operand, index, or } if node.operands.get(*operand as usize) == Some(&value) => {
            or.is_none() && index.len() == compute.shape.len() && index.iter().enumerate().all(identity)
        }
        _ => true,
    })
}

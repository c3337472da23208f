//! Puts sizes in the place of symbols, in the whole model.

use std::collections::{BTreeMap, HashMap};

use graph::attrs::{Attr, Attrs};
use graph::dim::{Dim, SymId};
use graph::expr::{Expr, ExprId, Exprs};
use graph::graph::{Graph, Model};
use graph::node::Op;
use graph::scalar::Scalar;
use graph::symbol::Symbols;
use graph::ty::{TensorType, Type};

/// Replaces symbols by sizes that are known wherever the symbols are. Guards that become certain go.
pub(crate) fn rename(model: &mut Model, names: &BTreeMap<SymId, Dim>) {
    let Model { symbols, guards, graph, .. } = model;
    let renamer = Renamer { symbols, names };
    let old = std::mem::take(guards);
    for mut guard in old {
        guard.pred = symbols.substitute_pred(&guard.pred, &|id| names.get(&id).cloned());
        if symbols.prove(&guard.pred) != Some(true) && !guards.contains(&guard) {
            guards.push(guard);
        }
    }
    renamer.graph(graph);
}

struct Renamer<'a> {
    symbols: &'a Symbols,
    names: &'a BTreeMap<SymId, Dim>,
}

impl Renamer<'_> {
    fn dim(&self, dim: &mut Dim) {
        let mut found = false;
        dim.for_each_symbol(&mut |id| found |= self.names.contains_key(&id));
        if found {
            *dim = self.symbols.substitute(dim, &|id| self.names.get(&id).cloned());
        }
    }

    fn graph(&self, graph: &mut Graph) {
        for value in &mut graph.values {
            self.ty(&mut value.ty);
            if let Some(contents) = &mut value.contents {
                *contents = contents
                    .iter()
                    .cloned()
                    .map(|mut dim| {
                        self.dim(&mut dim);
                        dim
                    })
                    .collect();
            }
        }
        for node in &mut graph.nodes {
            self.op(&mut node.op);
            node.op.bodies_mut().into_iter().for_each(|body| self.graph(body));
        }
    }

    fn op(&self, op: &mut Op) {
        match op {
            Op::Compute(c) => {
                c.shape.iter_mut().for_each(|dim| self.dim(dim));
                c.reduce.iter_mut().for_each(|extent| self.dim(&mut extent.bound));
                let map = self.exprs(&mut c.exprs);
                let at = |id: &mut ExprId| *id = map.get(id.0 as usize).copied().unwrap_or(*id);
                c.reduce.iter_mut().filter_map(|extent| extent.size.as_mut()).for_each(at);
                c.accs.iter_mut().map(|acc| &mut acc.value).for_each(at);
                c.outs.iter_mut().for_each(at);
            }
            Op::Scatter(s) => {
                s.domain.iter_mut().for_each(|dim| self.dim(dim));
                let map = self.exprs(&mut s.exprs);
                let at = |id: &mut ExprId| *id = map.get(id.0 as usize).copied().unwrap_or(*id);
                s.index.iter_mut().for_each(at);
                at(&mut s.value);
            }
            Op::Sort(s) => s.limit.iter_mut().for_each(|dim| self.dim(dim)),
            Op::Compact(c) => self.dim(&mut c.bound),
            Op::Scan(s) => self.dim(&mut s.trip),
            Op::Host(host) => self.attrs(&mut host.attrs),
            Op::Region(region) => self.attrs(&mut region.attrs),
            Op::Const(_) | Op::Prefix(_) | Op::If(_) | Op::Loop(_) | Op::Bind => {}
        }
    }

    /// Expressions that become equal become one; for every old id, the new one.
    fn exprs(&self, exprs: &mut Exprs) -> Vec<ExprId> {
        let (mut out, mut map) = (Exprs::default(), Vec::with_capacity(exprs.len()));
        let mut known: HashMap<Expr, ExprId> = HashMap::new();
        for (id, expr) in exprs.iter() {
            let mut expr = expr.map_children(&mut |child| map.get(child.0 as usize).copied().unwrap_or(child));
            if let Expr::Dim(dim) = &mut expr {
                self.dim(dim);
                if let Some(value) = dim.as_const() {
                    expr = Expr::Const(Scalar::i64(value));
                }
            }
            let dtype = exprs.dtype(id);
            map.push(*known.entry(expr.clone()).or_insert_with(|| out.push_raw(expr, dtype)));
        }
        *exprs = out;
        map
    }

    fn attrs(&self, attrs: &mut Attrs) {
        for attr in attrs.0.values_mut() {
            if let Attr::Dims(dims) = attr {
                dims.iter_mut().for_each(|dim| self.dim(dim));
            }
        }
    }

    fn ty(&self, ty: &mut Type) {
        match ty {
            Type::Tensor(TensorType { shape, dtype: _ }) => shape.iter_mut().for_each(|dim| self.dim(dim)),
            Type::Seq(inner) | Type::Opt(inner) | Type::Map { value: inner, key: _ } => self.ty(inner),
            Type::Ragged { .. } => {}
        }
    }
}

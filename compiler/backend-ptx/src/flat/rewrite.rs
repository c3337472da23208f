//! The collapsed stage, written down: expressions over the new dims, sources, sinks.

use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{Expr, ExprId, Exprs, Leaves};
use graph::node::{Acc, Extent};
use nest::kernel::{Port, Target};
use nest::layout::Access;

use crate::error::PtxError;
use crate::facts::last_address;
use crate::flat::analysis::{Analysis, Sum};
use crate::flat::{Check, Flat, Map, Sink, Source, Way};

pub(super) struct Rewriter<'a> {
    analysis: &'a Analysis<'a>,
    groups: Vec<Vec<usize>>,
    /// New number of a dim that stands alone.
    renamed: Vec<Option<u32>>,
    parallel: usize,
    outer: usize,
    sources: Vec<Source>,
    dtypes: Vec<DType>,
    accs: Vec<DType>,
    exprs: Exprs,
    known: Vec<Option<ExprId>>,
}

impl<'a> Rewriter<'a> {
    pub fn new(analysis: &'a Analysis<'a>, groups: Vec<Vec<usize>>, old: usize, outer: usize) -> Rewriter<'a> {
        let mut renamed = vec![None; analysis.extents.len()];
        for (k, group) in groups.iter().enumerate() {
            if let [d] = group.as_slice() {
                renamed[*d] = Some(k as u32);
            }
        }
        let parallel = groups.iter().filter(|g| g.first().is_some_and(|d| *d < old)).count();
        let accs = analysis.stage.accs.iter().map(|a| a.dtype).collect();
        let known = vec![None; analysis.stage.exprs.len()];
        Rewriter {
            analysis,
            groups,
            renamed,
            parallel,
            outer,
            sources: Vec::new(),
            dtypes: Vec::new(),
            accs,
            exprs: Exprs::default(),
            known,
        }
    }

    pub fn run(mut self) -> Result<Flat, PtxError> {
        let stage = self.analysis.stage;
        let mut reduce = Vec::new();
        for group in self.groups.iter().skip(self.parallel).cloned().collect::<Vec<_>>() {
            let size = match group.as_slice() {
                [d] => stage.reduce.get(d + stage.reduce.len() - self.analysis.extents.len()).and_then(|e| e.size),
                _ => None,
            };
            let size = size.map(|e| self.expr(e)).transpose()?;
            reduce.push(Extent { bound: self.extent(&group), size });
        }
        let mut accs = Vec::with_capacity(stage.accs.len());
        for acc in &stage.accs {
            accs.push(Acc { value: self.expr(acc.value)?, ..acc.clone() });
        }
        let mut outs = Vec::with_capacity(stage.outs.len());
        let mut kept = self.analysis.reads.kept.len();
        for (k, out) in stage.outs.iter().enumerate() {
            let value = self.expr(out.value)?;
            let dtype = stage.exprs.dtype(out.value);
            let sink = match (&out.target, self.analysis.view_of(Err(k))) {
                (target, Some(view)) => {
                    let mut access = self.access(&view.map.affine);
                    access.strides.truncate(self.parallel);
                    match target {
                        Target::Keep => {
                            kept += 1;
                            Sink::Keep { kept: kept - 1, dtype, access }
                        }
                        Target::Store { result, .. } => Sink::Strided { result: *result, dtype, access },
                    }
                }
                (Target::Keep, None) => return Err(PtxError::Malformed("a kept output without an address")),
                (Target::Store { result, index }, None) => {
                    let port = self.analysis.results.get(*result).ok_or(PtxError::Malformed("no such result"))?;
                    let index = index.iter().map(|i| self.expr(*i)).collect::<Result<Vec<_>, _>>()?;
                    Sink::Indexed { result: *result, port: port.clone(), index }
                }
            };
            outs.push((value, sink));
        }
        let parallel = self.groups.iter().take(self.parallel).map(|g| self.extent(g)).collect();
        let Rewriter { outer, exprs, sources, .. } = self;
        Ok(Flat { parallel, outer, reduce, exprs, accs, outs, sources })
    }

    fn extent(&self, group: &[usize]) -> Dim {
        Dim::product(group.iter().filter_map(|d| self.analysis.extents.get(*d)))
    }

    /// Strides over the new dims: those of the last dim of each run.
    fn access(&self, map: &nest::index::Affine) -> Access {
        let last = |group: &Vec<usize>| group.last().and_then(|d| map.coefs.get(*d)).cloned().unwrap_or_default();
        Access { offset: map.constant.clone(), strides: self.groups.iter().map(last).collect(), block: None }
    }

    fn map(&mut self, sum: &Sum) -> Result<Map, PtxError> {
        let mut terms = Vec::with_capacity(sum.terms.len());
        for (coef, id) in &sum.terms {
            terms.push((coef.clone(), self.expr(*id)?));
        }
        Ok(Map { access: self.access(&sum.affine), terms })
    }

    /// Dims that terms and checks depend on.
    fn varies(&self, map: &Map, checks: &[Check]) -> Vec<bool> {
        let mut varies = vec![false; self.groups.len()];
        let mut stack: Vec<ExprId> = map.terms.iter().map(|(_, id)| *id).collect();
        for check in checks {
            stack.extend(check.map.terms.iter().map(|(_, id)| *id));
            for (slot, stride) in varies.iter_mut().zip(&check.map.access.strides) {
                *slot |= !stride.is(0);
            }
        }
        let mut seen = vec![false; self.exprs.len()];
        while let Some(id) = stack.pop() {
            match seen.get_mut(id.0 as usize) {
                Some(seen) if !*seen => *seen = true,
                Some(_) | None => continue,
            }
            match self.exprs.get(id) {
                Some(Expr::Index(k)) => varies.iter_mut().skip(*k as usize).take(1).for_each(|v| *v = true),
                Some(Expr::Load { operand, or, .. })
                    if let Some(Source { way: Way::View { map, varies: inner, .. }, .. }) =
                        self.sources.get(*operand as usize) =>
                {
                    stack.extend(or);
                    for ((slot, stride), inner) in varies.iter_mut().zip(&map.access.strides).zip(inner) {
                        *slot |= !stride.is(0) || *inner;
                    }
                }
                Some(other) => other.for_each_child(&mut |c| stack.push(c)),
                None => {}
            }
        }
        varies
    }

    fn source(&mut self, source: Source) -> u32 {
        let position = self.sources.iter().position(|s| *s == source).unwrap_or_else(|| {
            self.dtypes.push(source.dtype);
            self.sources.push(source);
            self.sources.len() - 1
        });
        position as u32
    }

    fn add(&mut self, expr: Expr) -> Result<ExprId, PtxError> {
        Ok(self.exprs.add(expr, Leaves { operands: &self.dtypes, accs: &self.accs })?)
    }

    fn expr(&mut self, id: ExprId) -> Result<ExprId, PtxError> {
        if let Some(Some(known)) = self.known.get(id.0 as usize) {
            return Ok(*known);
        }
        let expr = self.analysis.stage.exprs.get(id).ok_or(PtxError::Malformed("no such expression"))?.clone();
        let new = match expr {
            Expr::Index(k) => match self.renamed.get(k as usize).copied().flatten() {
                Some(k) => self.add(Expr::Index(k))?,
                None => return Err(PtxError::Malformed("an index variable without a dim")),
            },
            Expr::Load { operand, index, or } => {
                let (memory, port) = self.analysis.port(operand as usize)?;
                match self.analysis.view_of(Ok(id)) {
                    Some(view) => {
                        let shape: Vec<Dim> = self.groups.iter().map(|g| self.extent(g)).collect();
                        let map = self.map(&view.map)?;
                        let mut checks = Vec::with_capacity(view.checks.len());
                        for (sum, extent) in &view.checks {
                            checks.push(Check { map: self.map(sum)?, extent: extent.clone() });
                        }
                        let varies = self.varies(&map, &checks);
                        let last = if map.terms.is_empty() && checks.is_empty() {
                            last_address(&map.access, &shape, self.analysis.space.symbols())
                        } else {
                            last_address(&port.access, &port.shape, self.analysis.space.symbols())
                        };
                        let way = Way::View { map, checks, varies };
                        let operand = self.source(Source { memory, dtype: port.dtype, shape, way, last });
                        let dims = 0..self.groups.len() as u32;
                        let index = dims.map(|k| self.add(Expr::Index(k))).collect::<Result<Vec<_>, _>>()?;
                        let or = if view.checks.is_empty() { None } else { or };
                        let or = or.map(|e| self.expr(e)).transpose()?;
                        self.add(Expr::Load { operand, index, or })?
                    }
                    None => {
                        let Port { dtype, shape, access } = port;
                        let last = last_address(&access, &shape, self.analysis.space.symbols());
                        let operand = self.source(Source { memory, dtype, shape, way: Way::Indexed { access }, last });
                        let index = index.iter().map(|i| self.expr(*i)).collect::<Result<Vec<_>, _>>()?;
                        let or = or.map(|e| self.expr(e)).transpose()?;
                        self.add(Expr::Load { operand, index, or })?
                    }
                }
            }
            other => {
                let mut children = Vec::new();
                other.for_each_child(&mut |c| children.push(c));
                for child in &children {
                    self.expr(*child)?;
                }
                let mapped = other.map_children(&mut |c| self.known.get(c.0 as usize).copied().flatten().unwrap_or(c));
                self.add(mapped)?
            }
        };
        if let Some(slot) = self.known.get_mut(id.0 as usize) {
            *slot = Some(new);
        }
        Ok(new)
    }
}

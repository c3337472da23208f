//! Building kernels from graph nodes: a [`Fused`] group starts as one `Compute` and takes in its producers and readers.
//!
//! The substitution laws: `load(P, i)` becomes P's expression at `i`; `load(P, i) or e` becomes
//! `select(in_range(i), P(i), e)`, where the loads inside P get an `or` of their own, because `select` evaluates both sides.

mod from_polynomial;
mod straighten;

use std::collections::HashMap;

use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{Expr, ExprError, ExprId, Exprs, Leaves};
use graph::graph::{Graph, ValueId};
use graph::node::{Acc, Compute, Extent, OriginId};
use graph::scalar::Scalar;
use graph::symbol::Symbols;

use crate::index::IndexSpace;

/// An operand of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FusedOperand {
    pub value: ValueId,
    pub dtype: DType,
    pub shape: Vec<Dim>,
}

/// A group of Computes over one domain, as one Compute: `results[k]` is `outs[k]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fused {
    pub shape: Vec<Dim>,
    pub operands: Vec<FusedOperand>,
    pub reduce: Vec<Extent>,
    pub exprs: Exprs,
    pub accs: Vec<Acc>,
    pub outs: Vec<ExprId>,
    pub results: Vec<ValueId>,
    pub origins: Vec<OriginId>,
}

/// Copies expressions into a new arena, replacing some on the way.
struct Rewriter {
    exprs: Exprs,
    operands: Vec<FusedOperand>,
    dtypes: Vec<DType>,
    accs: Vec<DType>,
}

impl Rewriter {
    fn new(operands: Vec<FusedOperand>, accs: Vec<DType>) -> Rewriter {
        let dtypes = operands.iter().map(|o| o.dtype).collect();
        Rewriter { exprs: Exprs::default(), operands, dtypes, accs }
    }

    fn add(&mut self, expr: Expr) -> Result<ExprId, ExprError> {
        self.exprs.add(expr, Leaves { operands: &self.dtypes, accs: &self.accs })
    }

    fn operand(&mut self, operand: &FusedOperand) -> u32 {
        if let Some(position) = self.operands.iter().position(|o| o.value == operand.value) {
            return position as u32;
        }
        self.operands.push(operand.clone());
        self.dtypes.push(operand.dtype);
        (self.operands.len() - 1) as u32
    }

    fn int(&mut self, value: i64) -> Result<ExprId, ExprError> {
        self.add(Expr::Const(Scalar::i64(value)))
    }

    /// `0 <= index[d] < shape[d]` for all d; `None` if it always holds.
    fn in_range(
        &mut self,
        index: &[ExprId],
        shape: &[Dim],
        space: Option<&IndexSpace>,
    ) -> Result<Option<ExprId>, ExprError> {
        use graph::expr::{BinOp, CmpOp};
        let mut all = None;
        for (i, extent) in index.iter().zip(shape) {
            let polynomial = space.and_then(|s| s.polynomial(&self.exprs, *i));
            let low_holds = matches!((&polynomial, space), (Some(p), Some(s)) if s.nonnegative(p));
            let high = polynomial.as_ref().map(|p| &(extent - p) - &Dim::constant(1));
            let high_holds = matches!((&high, space), (Some(h), Some(s)) if s.nonnegative(h));
            let mut conditions = Vec::new();
            if !low_holds {
                let zero = self.int(0)?;
                conditions.push(self.add(Expr::Compare(CmpOp::Le, zero, *i))?);
            }
            if !high_holds {
                let extent = self.size(extent)?;
                conditions.push(self.add(Expr::Compare(CmpOp::Lt, *i, extent))?);
            }
            for condition in conditions {
                all = Some(match all {
                    None => condition,
                    Some(rest) => self.add(Expr::Binary(BinOp::And, rest, condition))?,
                });
            }
        }
        Ok(all)
    }

    fn size(&mut self, dim: &Dim) -> Result<ExprId, ExprError> {
        match dim.as_const() {
            Some(value) => self.int(value),
            None => self.add(Expr::Dim(dim.clone())),
        }
    }

    /// The expression of another arena at an index; its loads become loads of this group's operands. `guarded`: the index may
    /// be outside, so every load gets an `or`.
    fn instantiate(
        &mut self,
        from: &Fused,
        root: ExprId,
        index: &[ExprId],
        guarded: bool,
    ) -> Result<ExprId, ExprError> {
        let needed = reachable(&from.exprs, &[root]);
        let mut map: HashMap<ExprId, ExprId> = HashMap::new();
        for (id, expr) in from.exprs.iter() {
            if !needed[id.0 as usize] {
                continue;
            }
            let new = match expr {
                Expr::Index(k) => index.get(*k as usize).copied().ok_or(ExprError::Acc { acc: *k })?,
                Expr::Load { operand, index: at, or } => {
                    let source =
                        from.operands.get(*operand as usize).ok_or(ExprError::Operand { operand: *operand })?;
                    let position = self.operand(source);
                    let at: Vec<ExprId> = at.iter().filter_map(|e| map.get(e).copied()).collect();
                    let or = match or {
                        Some(e) => map.get(e).copied(),
                        None if guarded => Some(self.add(Expr::Const(Scalar::zero(source.dtype)))?),
                        None => None,
                    };
                    self.add(Expr::Load { operand: position, index: at, or })?
                }
                other => {
                    let copied = other.map_children(&mut |e| map.get(&e).copied().unwrap_or(e));
                    self.add(copied)?
                }
            };
            map.insert(id, new);
        }
        map.get(&root).copied().ok_or(ExprError::Order { id: root.0, to: root.0 })
    }
}

/// For each expression, whether a root needs it.
pub fn reachable(exprs: &Exprs, roots: &[ExprId]) -> Vec<bool> {
    let mut needed = vec![false; exprs.len()];
    for root in roots {
        if let Some(slot) = needed.get_mut(root.0 as usize) {
            *slot = true;
        }
    }
    for position in (0..exprs.len()).rev() {
        if needed[position]
            && let Some(expr) = exprs.get(ExprId(position as u32))
        {
            expr.for_each_child(&mut |child| {
                if let Some(slot) = needed.get_mut(child.0 as usize) {
                    *slot = true;
                }
            });
        }
    }
    needed
}

impl Fused {
    /// The group of one `Compute` node; `None` if an operand is not a tensor.
    pub fn new(graph: &Graph, compute: &Compute, operands: &[ValueId], results: &[ValueId]) -> Option<Fused> {
        let operands = operands
            .iter()
            .map(|v| {
                let t = graph.tensor(*v)?;
                Some(FusedOperand { value: *v, dtype: t.dtype, shape: t.shape.clone() })
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Fused {
            shape: compute.shape.clone(),
            operands,
            reduce: compute.reduce.clone(),
            exprs: compute.exprs.clone(),
            accs: compute.accs.clone(),
            outs: compute.outs.clone(),
            results: results.to_vec(),
            origins: Vec::new(),
        })
    }

    /// Index variables with their extents.
    pub fn space(&self, symbols: &Symbols) -> IndexSpace {
        let mut extents = self.shape.clone();
        extents.extend(self.reduce.iter().map(|e| e.bound.clone()));
        IndexSpace::new(symbols, &extents)
    }

    /// Number of the operand that is this value.
    pub fn operand_of(&self, value: ValueId) -> Option<usize> {
        self.operands.iter().position(|o| o.value == value)
    }

    /// Takes in the producer of operands: every load of one of its results becomes the producer's expression. The producer
    /// reduces nothing.
    pub fn inline(&mut self, producer: &Fused, symbols: &Symbols) -> Result<(), ExprError> {
        let space = self.space(symbols);
        self.rewrite(|rewriter, source, index, or| {
            let Some(k) = producer.results.iter().position(|r| *r == source.value) else { return Ok(None) };
            let root = producer.outs.get(k).copied().ok_or(ExprError::Operand { operand: k as u32 })?;
            let outside = match or {
                Some(_) => rewriter.in_range(index, &producer.shape, Some(&space))?,
                None => None,
            };
            let value = rewriter.instantiate(producer, root, index, outside.is_some())?;
            match (outside, or) {
                (Some(condition), Some(or)) => rewriter.add(Expr::Select(condition, value, or)).map(Some),
                _ => Ok(Some(value)),
            }
        })?;
        self.drop_unused();
        Ok(())
    }

    /// Replaces loads of a value that is one repeated element.
    pub fn inline_splat(&mut self, value: ValueId, element: Scalar, symbols: &Symbols) -> Result<(), ExprError> {
        let space = self.space(symbols);
        self.rewrite(|rewriter, source, index, or| {
            if source.value != value {
                return Ok(None);
            }
            let constant = rewriter.add(Expr::Const(element))?;
            let Some(or) = or else { return Ok(Some(constant)) };
            let shape = source.shape.clone();
            match rewriter.in_range(index, &shape, Some(&space))? {
                Some(condition) => rewriter.add(Expr::Select(condition, constant, or)).map(Some),
                None => Ok(Some(constant)),
            }
        })?;
        self.drop_unused();
        Ok(())
    }

    /// Takes in a pointwise reader over the same domain: its expressions, at the same index, replace `outs` and `results`
    /// that `keep` does not ask for.
    pub fn append(&mut self, reader: &Fused, keep: &[bool]) -> Result<(), ExprError> {
        let mut rewriter = Rewriter::new(self.operands.clone(), self.accs.iter().map(|a| a.dtype).collect());
        for (_, expr) in self.exprs.iter() {
            rewriter.add(expr.clone())?;
        }
        let needed = reachable(&reader.exprs, &reader.outs);
        let mut map: HashMap<ExprId, ExprId> = HashMap::new();
        for (id, expr) in reader.exprs.iter() {
            if !needed[id.0 as usize] {
                continue;
            }
            let new = match expr {
                Expr::Load { operand, index, or } => {
                    let source =
                        reader.operands.get(*operand as usize).ok_or(ExprError::Operand { operand: *operand })?;
                    match self.results.iter().position(|r| *r == source.value) {
                        Some(k) => self.outs.get(k).copied().ok_or(ExprError::Operand { operand: *operand })?,
                        None => {
                            let position = rewriter.operand(source);
                            let index = index.iter().filter_map(|e| map.get(e).copied()).collect();
                            let or = or.and_then(|e| map.get(&e).copied());
                            rewriter.add(Expr::Load { operand: position, index, or })?
                        }
                    }
                }
                other => {
                    let copied = other.map_children(&mut |e| map.get(&e).copied().unwrap_or(e));
                    rewriter.add(copied)?
                }
            };
            map.insert(id, new);
        }
        let mut outs = Vec::new();
        let mut results = Vec::new();
        for ((out, result), keep) in self.outs.iter().zip(&self.results).zip(keep) {
            if *keep {
                outs.push(*out);
                results.push(*result);
            }
        }
        for (out, result) in reader.outs.iter().zip(&reader.results) {
            outs.push(map.get(out).copied().ok_or(ExprError::Order { id: out.0, to: out.0 })?);
            results.push(*result);
        }
        self.exprs = rewriter.exprs;
        self.operands = rewriter.operands;
        (self.outs, self.results) = (outs, results);
        self.drop_unused();
        Ok(())
    }

    /// The same group over a list of operands that has all of its own, in any order, and possibly more.
    pub fn with_operands(&self, operands: Vec<FusedOperand>) -> Result<Fused, ExprError> {
        let mut rewriter = Rewriter::new(operands, self.accs.iter().map(|a| a.dtype).collect());
        let mut map: HashMap<ExprId, ExprId> = HashMap::new();
        for (id, expr) in self.exprs.iter() {
            let mut copied = expr.map_children(&mut |e| map.get(&e).copied().unwrap_or(e));
            if let Expr::Load { operand, .. } = &mut copied {
                let source = self.operands.get(*operand as usize).ok_or(ExprError::Operand { operand: *operand })?;
                *operand = rewriter.operand(source);
            }
            let new = rewriter.add(copied)?;
            map.insert(id, new);
        }
        let mut out = self.clone();
        out.install(rewriter, &map);
        Ok(out)
    }

    /// Takes over rewritten expressions.
    fn install(&mut self, rewriter: Rewriter, map: &HashMap<ExprId, ExprId>) {
        let mapped = |e: &ExprId| map.get(e).copied().unwrap_or(*e);
        self.outs = self.outs.iter().map(mapped).collect();
        self.accs.iter_mut().for_each(|a| a.value = mapped(&a.value));
        self.reduce.iter_mut().for_each(|r| r.size = r.size.as_ref().map(mapped));
        self.exprs = rewriter.exprs;
        self.operands = rewriter.operands;
    }

    /// Simplifies the indices of loads as polynomials and drops an `or` that can never be taken.
    pub fn simplify(&mut self, symbols: &Symbols) -> Result<(), ExprError> {
        let space = self.space(symbols);
        self.rewrite(|rewriter, source, index, or| {
            let mut simple = Vec::with_capacity(index.len());
            for i in index {
                simple.push(match space.polynomial(&rewriter.exprs, *i) {
                    Some(p) => rewriter.polynomial(&p, &space)?,
                    None => *i,
                });
            }
            let or = match or {
                Some(or) if rewriter.in_range(&simple, &source.shape, Some(&space))?.is_some() => Some(or),
                _ => None,
            };
            let operand = rewriter.operand(source);
            rewriter.add(Expr::Load { operand, index: simple, or }).map(Some)
        })?;
        self.drop_unused();
        Ok(())
    }

    /// Copies all expressions; `replace` may give another expression for a load (of an operand, at mapped indices).
    fn rewrite(
        &mut self,
        mut replace: impl FnMut(
            &mut Rewriter,
            &FusedOperand,
            &[ExprId],
            Option<ExprId>,
        ) -> Result<Option<ExprId>, ExprError>,
    ) -> Result<(), ExprError> {
        let mut rewriter = Rewriter::new(self.operands.clone(), self.accs.iter().map(|a| a.dtype).collect());
        let mut map: HashMap<ExprId, ExprId> = HashMap::new();
        for (id, expr) in self.exprs.iter() {
            let new = match expr {
                Expr::Load { operand, index, or } => {
                    let source =
                        self.operands.get(*operand as usize).ok_or(ExprError::Operand { operand: *operand })?;
                    let index: Vec<ExprId> = index.iter().filter_map(|e| map.get(e).copied()).collect();
                    let or = or.and_then(|e| map.get(&e).copied());
                    match replace(&mut rewriter, source, &index, or)? {
                        Some(new) => new,
                        None => rewriter.add(Expr::Load { operand: *operand, index, or })?,
                    }
                }
                other => {
                    let copied = other.map_children(&mut |e| map.get(&e).copied().unwrap_or(e));
                    rewriter.add(copied)?
                }
            };
            map.insert(id, new);
        }
        self.install(rewriter, &map);
        Ok(())
    }

    /// Roots of everything the group computes.
    pub fn roots(&self) -> Vec<ExprId> {
        let mut roots = self.outs.clone();
        roots.extend(self.accs.iter().map(|a| a.value));
        roots.extend(self.reduce.iter().filter_map(|r| r.size));
        roots
    }

    /// Drops expressions and operands that nothing needs.
    fn drop_unused(&mut self) {
        let needed = reachable(&self.exprs, &self.roots());
        let mut used = vec![false; self.operands.len()];
        for (id, expr) in self.exprs.iter() {
            if let (true, Expr::Load { operand, .. }) = (needed[id.0 as usize], expr)
                && let Some(slot) = used.get_mut(*operand as usize)
            {
                *slot = true;
            }
        }
        let mut position = vec![0u32; used.len()];
        let mut operands = Vec::new();
        for ((slot, used), operand) in position.iter_mut().zip(&used).zip(&self.operands) {
            if *used {
                *slot = operands.len() as u32;
                operands.push(operand.clone());
            }
        }
        let mut rewriter = Rewriter::new(operands, self.accs.iter().map(|a| a.dtype).collect());
        let mut map: HashMap<ExprId, ExprId> = HashMap::new();
        for (id, expr) in self.exprs.iter() {
            if !needed[id.0 as usize] {
                continue;
            }
            let mut copied = expr.map_children(&mut |e| map.get(&e).copied().unwrap_or(e));
            if let Expr::Load { operand, .. } = &mut copied {
                *operand = position[*operand as usize];
            }
            // The expression was typed before, so adding it to an arena with the same leaves cannot fail.
            if let Ok(new) = rewriter.add(copied) {
                map.insert(id, new);
            }
        }
        self.install(rewriter, &map);
    }
}

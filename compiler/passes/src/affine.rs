//! What pointwise work behind a region does to its result: `x * scale + shift`, with both made of constants.

use std::collections::BTreeSet;

use graph::builder::BuildError;
use graph::dtype::DType;
use graph::expr::{BinOp, Expr, ExprId, Exprs, Leaves, Rounding, UnOp};
use graph::graph::ValueId;
use graph::node::{Compute, Node, Op};
use graph::tensor::Tensor;

use crate::algebra::arena::reached;
use crate::map;
use crate::rewrite::Site;

/// Pointwise Computes between a region and a node, as one affine function of the region's result, element by element.
pub(crate) struct Affine<'a> {
    pub(crate) region: &'a Node,
    /// Pointwise nodes on the way.
    pub(crate) links: usize,
    pub(crate) scale: Option<ExprId>,
    pub(crate) shift: Option<ExprId>,
    /// Expressions of both, over the node's index variables and these constants.
    exprs: Exprs,
    operands: Vec<ValueId>,
    wide: DType,
}

/// Part of an expression.
#[derive(Clone, Copy)]
enum Part {
    Constant(ExprId),
    Linear { scale: Option<ExprId>, shift: Option<ExprId> },
}

struct Reader<'s, 'a> {
    site: &'s Site<'a>,
    exprs: Exprs,
    operands: Vec<ValueId>,
    dtypes: Vec<DType>,
    wide: DType,
    region: Option<&'a Node>,
    links: usize,
}

/// The affine function that a pointwise node ends, if everything from the region on is read by nothing else. Sums are in
/// `f32` or `f64`; casts to narrower floats on the way are ignored.
pub(crate) fn behind_region<'a>(site: &Site<'a>, node: &'a Node) -> Option<Affine<'a>> {
    let Op::Compute(compute) = &node.op else { return None };
    let ([out], [_]) = (&compute.outs[..], &node.results[..]) else { return None };
    let wide = if compute.exprs.dtype(*out) == DType::F64 { DType::F64 } else { DType::F32 };
    let (exprs, operands, dtypes) = (Exprs::default(), Vec::new(), Vec::new());
    let mut reader = Reader { site, exprs, operands, dtypes, wide, region: None, links: 0 };
    match reader.node(node)? {
        Part::Linear { scale, shift } => Some(Affine {
            region: reader.region?,
            links: reader.links,
            scale,
            shift,
            exprs: reader.exprs,
            operands: reader.operands,
            wide,
        }),
        Part::Constant(_) => None,
    }
}

impl<'a> Reader<'_, 'a> {
    fn node(&mut self, node: &'a Node) -> Option<Part> {
        let Op::Compute(compute) = &node.op else { return None };
        let ([out], true) = (&compute.outs[..], compute.reduce.is_empty()) else { return None };
        if self.links >= 8 || !compute.exprs.dtype(*out).is_float() {
            return None;
        }
        self.links += 1;
        let mut parts: Vec<Option<Part>> = vec![None; compute.exprs.len()];
        for id in reached(&compute.exprs, &[*out]) {
            let part = self.expr(node, compute, id, &parts);
            *parts.get_mut(id.0 as usize)? = part;
        }
        *parts.get(out.0 as usize)?
    }

    /// `None` for what is neither constant nor affine; that matters only if something reads it.
    fn expr(&mut self, node: &'a Node, compute: &Compute, id: ExprId, parts: &[Option<Part>]) -> Option<Part> {
        let part = |id: &ExprId| parts.get(id.0 as usize).copied().flatten();
        let expr = compute.exprs.get(id)?;
        let (mut constant, mut known) = (true, true);
        expr.for_each_child(&mut |child| {
            known &= part(&child).is_some();
            constant &= matches!(part(&child), Some(Part::Constant(_)));
        });
        if !known {
            return None;
        }
        if let Expr::Load { operand, .. } = expr {
            let value = *node.operands.get(*operand as usize)?;
            if !self.site.facts.is_const(self.site.old, value) {
                return if map::reads_in_place(compute, node, value) { self.main(compute, value) } else { None };
            }
        }
        if constant {
            return self.constant(node, expr, parts);
        }
        match *expr {
            Expr::Cast { to, value, .. } if to.is_float() => part(&value),
            Expr::Unary(UnOp::Neg, a) => {
                let Part::Linear { scale, shift } = part(&a)? else { return None };
                let minus = self.number(-1.0)?;
                let scale = self.times(scale, minus)?;
                let shift = self.product(shift, minus)?;
                Some(Part::Linear { scale: Some(scale), shift })
            }
            Expr::Binary(op, a, b) => self.binary(op, part(&a)?, part(&b)?),
            _ => None,
        }
    }

    /// The operand that leads to the region.
    fn main(&mut self, compute: &Compute, value: ValueId) -> Option<Part> {
        let same = self.site.tensor(value).is_some_and(|t| t.shape == compute.shape && t.dtype.is_float());
        let (node, _) = self.site.definition(value)?;
        if !same || self.site.facts.uses(value) != 1 || self.region.is_some() {
            return None;
        }
        match &node.op {
            Op::Region(_) if node.results.len() == 1 => {
                self.region = Some(node);
                Some(Part::Linear { scale: None, shift: None })
            }
            Op::Compute(_) => self.node(node),
            _ => None,
        }
    }

    fn constant(&mut self, node: &Node, expr: &Expr, parts: &[Option<Part>]) -> Option<Part> {
        let mut expr = expr.map_children(&mut |child| match parts.get(child.0 as usize) {
            Some(Some(Part::Constant(new))) => *new,
            _ => child,
        });
        if let Expr::Load { operand, .. } = &mut expr {
            let value = *node.operands.get(*operand as usize)?;
            let known = self.operands.iter().position(|v| *v == value);
            let position = match known {
                Some(position) => position,
                None => {
                    self.operands.push(value);
                    self.dtypes.push(self.site.tensor(value)?.dtype);
                    self.operands.len() - 1
                }
            };
            *operand = position as u32;
        }
        self.add(expr).map(Part::Constant)
    }

    fn binary(&mut self, op: BinOp, a: Part, b: Part) -> Option<Part> {
        match (a, b) {
            (Part::Linear { scale, shift }, Part::Constant(c)) => {
                let c = self.widened(c)?;
                match op {
                    BinOp::Add => Some(Part::Linear { scale, shift: Some(self.sum(shift, c)?) }),
                    BinOp::Sub => {
                        let minus = self.add(Expr::Unary(UnOp::Neg, c))?;
                        Some(Part::Linear { scale, shift: Some(self.sum(shift, minus)?) })
                    }
                    BinOp::Mul => {
                        Some(Part::Linear { scale: Some(self.times(scale, c)?), shift: self.product(shift, c)? })
                    }
                    BinOp::Div => {
                        let one = self.number(1.0)?;
                        let inverse = self.add(Expr::Binary(BinOp::Div, one, c))?;
                        let scale = self.times(scale, inverse)?;
                        Some(Part::Linear { scale: Some(scale), shift: self.product(shift, inverse)? })
                    }
                    _ => None,
                }
            }
            (Part::Constant(c), Part::Linear { scale, shift }) => match op {
                BinOp::Add | BinOp::Mul => self.binary(op, Part::Linear { scale, shift }, Part::Constant(c)),
                BinOp::Sub => {
                    let (minus, c) = (self.number(-1.0)?, self.widened(c)?);
                    let scale = self.times(scale, minus)?;
                    let shift = self.product(shift, minus)?;
                    Some(Part::Linear { scale: Some(scale), shift: Some(self.sum(shift, c)?) })
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn add(&mut self, expr: Expr) -> Option<ExprId> {
        self.exprs.add(expr, Leaves { operands: &self.dtypes, accs: &[] }).ok()
    }

    fn number(&mut self, value: f64) -> Option<ExprId> {
        self.add(Expr::Const(graph::scalar::Scalar::from_f64(self.wide, value)))
    }

    fn widened(&mut self, id: ExprId) -> Option<ExprId> {
        if self.exprs.dtype(id) == self.wide {
            return Some(id);
        }
        self.add(Expr::Cast { to: self.wide, saturate: false, rounding: Rounding::Nearest, value: id })
    }

    fn times(&mut self, scale: Option<ExprId>, by: ExprId) -> Option<ExprId> {
        match scale {
            None => Some(by),
            Some(scale) => self.add(Expr::Binary(BinOp::Mul, scale, by)),
        }
    }

    fn product(&mut self, shift: Option<ExprId>, by: ExprId) -> Option<Option<ExprId>> {
        match shift {
            None => Some(None),
            Some(shift) => self.add(Expr::Binary(BinOp::Mul, shift, by)).map(Some),
        }
    }

    fn sum(&mut self, shift: Option<ExprId>, by: ExprId) -> Option<ExprId> {
        match shift {
            None => Some(by),
            Some(shift) => self.add(Expr::Binary(BinOp::Add, shift, by)),
        }
    }
}

impl Affine<'_> {
    /// The dtype of scale and shift.
    pub(crate) fn dtype(&self) -> DType {
        self.wide
    }

    /// Parallel dims that an expression depends on.
    pub(crate) fn dims(&self, id: Option<ExprId>) -> BTreeSet<usize> {
        let roots: Vec<ExprId> = id.into_iter().collect();
        let index = |id: ExprId| match self.exprs.get(id) {
            Some(Expr::Index(k)) => Some(*k as usize),
            _ => None,
        };
        reached(&self.exprs, &roots).into_iter().filter_map(index).collect()
    }

    /// The value of an expression over some parallel dims, if it depends on no others.
    pub(crate) fn tensor(
        &self,
        site: &mut Site<'_>,
        id: ExprId,
        shape: &[graph::dim::Dim],
        dims: &[usize],
    ) -> Result<Option<Tensor>, BuildError> {
        let mut exprs = Exprs::default();
        let dtypes: Vec<DType> = self.operands.iter().filter_map(|v| site.tensor(*v)).map(|t| t.dtype).collect();
        let mut ids: Vec<ExprId> = vec![ExprId(0); self.exprs.len()];
        for id in reached(&self.exprs, &[id]) {
            let Some(expr) = self.exprs.get(id) else { continue };
            let mut expr = expr.map_children(&mut |child| ids.get(child.0 as usize).copied().unwrap_or(child));
            if let Expr::Index(k) = &mut expr {
                let Some(position) = dims.iter().position(|d| *d == *k as usize) else { return Ok(None) };
                *k = position as u32;
            }
            ids[id.0 as usize] = exprs.add(expr, Leaves { operands: &dtypes, accs: &[] })?;
        }
        let Some(out) = ids.get(id.0 as usize).copied() else { return Ok(None) };
        let shape = dims.iter().filter_map(|d| shape.get(*d).cloned()).collect();
        let compute = Compute { shape, reduce: Vec::new(), exprs, accs: Vec::new(), outs: vec![out] };
        let operands = site.get_all(&self.operands)?;
        let values = site.b.add_compute(compute, operands)?;
        Ok(values.first().and_then(|v| site.b.const_tensor(*v)))
    }
}

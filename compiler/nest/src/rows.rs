//! Kernels of several stages from fused groups that walk the same rows.
//!
//! A row is what the trailing dims of a shape span. A group reduces rows, has one element a row, or has one for every position; each
//! becomes a stage, and what a later one reads at its own place is kept.
//!
//! ```text
//! shape [B, C], rows of C        top = max over C of x         stage [], reduce [C]    keep
//!                                e = exp(x - top)              stage [C]               keep
//!                                total = sum over C of e       stage [], reduce [C]    keep
//!                                y = e / total                 stage [C]               store
//! ```

use std::collections::HashMap;

use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{Expr, ExprError, ExprId, Exprs, Leaves};
use graph::graph::ValueId;
use graph::node::Extent;
use graph::scalar::Scalar;

use crate::fuse::{Fused, FusedOperand, reachable};
use crate::kernel::{Body, Kernel, Nest, Out, Port, Stage, Target};
use crate::layout::Access;

/// The rows of a shape: its dims from `first` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowShape {
    pub shape: Vec<Dim>,
    pub first: usize,
}

/// What a group is to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// One element a row, combined over its positions.
    Reduction,
    /// One element a row.
    Single,
    /// One element a position.
    Spread,
}

impl RowShape {
    /// The rows that a group may be said to reduce, if it reduces any; those that an operand has as its shape come first.
    pub fn reduced_by(fused: &Fused) -> Vec<RowShape> {
        let extents: Vec<Dim> = fused.reduce.iter().filter(|e| e.size.is_none()).map(|e| e.bound.clone()).collect();
        if extents.is_empty() || extents.len() != fused.reduce.len() {
            return Vec::new();
        }
        let kept = fused.shape.len().checked_sub(extents.len());
        let kept = kept.filter(|first| fused.shape.iter().skip(*first).all(|d| d.is(1)));
        let of = |first: usize| {
            let mut shape: Vec<Dim> = fused.shape.iter().take(first).cloned().collect();
            shape.extend(extents.iter().cloned());
            RowShape { shape, first }
        };
        let mut out: Vec<RowShape> = kept.into_iter().chain([fused.shape.len()]).map(of).collect();
        out.sort_by_key(|rows| !rows.is_of_operand(fused));
        out
    }

    /// Whether an operand has the shape of all rows.
    pub fn is_of_operand(&self, fused: &Fused) -> bool {
        fused.operands.iter().any(|o| o.shape == self.shape)
    }

    fn outer(&self) -> &[Dim] {
        self.shape.get(..self.first).unwrap_or_default()
    }

    /// The extents of a row.
    pub fn row(&self) -> &[Dim] {
        self.shape.get(self.first..).unwrap_or_default()
    }

    /// Whether a shape has one element a row, its dims there left out or 1.
    fn is_one_a_row(&self, shape: &[Dim]) -> bool {
        let (outer, rest) = shape.split_at(self.first.min(shape.len()));
        let rest_fits = rest.is_empty() || (rest.len() == self.row().len() && rest.iter().all(|d| d.is(1)));
        outer == self.outer() && rest_fits
    }

    /// What a group is to these rows.
    pub fn role(&self, fused: &Fused) -> Option<Role> {
        if fused.reduce.is_empty() {
            return match (fused.accs.is_empty(), fused.shape == self.shape) {
                (false, _) => None,
                (true, true) => Some(Role::Spread),
                (true, false) => self.is_one_a_row(&fused.shape).then_some(Role::Single),
            };
        }
        let whole = fused.reduce.len() == self.row().len()
            && fused.reduce.iter().zip(self.row()).all(|(e, extent)| e.size.is_none() && e.bound == *extent);
        (whole && self.is_one_a_row(&fused.shape)).then_some(Role::Reduction)
    }

    /// Whether a group reads a value of a role at its own place only.
    pub fn reads_in_place(&self, reader: &Fused, role: Role, value: ValueId, of: Role) -> bool {
        let needed = reachable(&reader.exprs, &reader.roots());
        reader.exprs.iter().filter(|(id, _)| needed.get(id.0 as usize).copied().unwrap_or(false)).all(|(_, expr)| {
            let Expr::Load { operand, index, or } = expr else { return true };
            if reader.operands.get(*operand as usize).is_none_or(|o| o.value != value) {
                return true;
            }
            or.is_none() && index.iter().enumerate().all(|(d, i)| self.is_own(reader, role, of, d, *i))
        })
    }

    /// Whether index `d` of a load is the reader's own place along it.
    fn is_own(&self, reader: &Fused, role: Role, of: Role, d: usize, index: ExprId) -> bool {
        let zero = reader.exprs.get(index) == Some(&Expr::Const(Scalar::i64(0)));
        let own = if d < self.first || role == Role::Spread { d } else { reader.shape.len() + d - self.first };
        let is_own = reader.exprs.get(index) == Some(&Expr::Index(own as u32));
        let one = self.shape.get(d).is_some_and(|e| e.is(1));
        match (d < self.first, of, role) {
            (true, _, _) => is_own || (one && zero),
            (false, Role::Spread, Role::Spread | Role::Reduction) => is_own || (one && zero),
            (false, Role::Spread, Role::Single) => one && zero,
            (false, Role::Reduction | Role::Single, _) => zero,
        }
    }
}

/// Groups over the same rows, in an order in which they can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowGroup {
    pub rows: RowShape,
    pub stages: Vec<Fused>,
}

impl RowGroup {
    /// What the stages read that none of them makes.
    pub fn operands(&self) -> Vec<FusedOperand> {
        let mut out: Vec<FusedOperand> = Vec::new();
        for operand in self.stages.iter().flat_map(|s| &s.operands) {
            let own = self.stages.iter().any(|s| s.results.contains(&operand.value));
            if !own && !out.iter().any(|o| o.value == operand.value) {
                out.push(operand.clone());
            }
        }
        out
    }

    /// The extents of a row, as of a reduction.
    pub fn extents(&self) -> Vec<Extent> {
        self.rows.row().iter().map(|e| Extent { bound: e.clone(), size: None }).collect()
    }

    /// The kernel that stores `stored`. Accesses are those of [`RowGroup::operands`] and of `stored`.
    pub fn kernel(&self, operands: &[Access], stored: &[ValueId], results: &[Access]) -> Result<Kernel, ExprError> {
        let read = self.operands();
        let mut kept: Vec<(ValueId, DType, Role)> = Vec::new();
        let mut stages = Vec::with_capacity(self.stages.len());
        for (k, fused) in self.stages.iter().enumerate() {
            let role = self.rows.role(fused).ok_or(ExprError::Operand { operand: k as u32 })?;
            let mut dtypes: Vec<DType> = read.iter().map(|o| o.dtype).collect();
            dtypes.extend(kept.iter().map(|(_, dtype, _)| *dtype));
            let later = self.stages.get(k + 1..).unwrap_or_default();
            let mut writer = StageWriter {
                group: self,
                fused,
                role,
                read: &read,
                kept: &kept,
                dtypes,
                accs: fused.accs.iter().map(|a| a.dtype).collect(),
                exprs: Exprs::default(),
                map: HashMap::new(),
            };
            let stage = writer.stage(stored, later)?;
            stages.push(stage);
            for (out, value) in fused.outs.iter().zip(&fused.results) {
                if is_read(later, *value) {
                    kept.push((*value, fused.exprs.dtype(*out), role));
                }
            }
        }
        let port =
            |o: &FusedOperand, access: &Access| Port { dtype: o.dtype, shape: o.shape.clone(), access: access.clone() };
        let result = |(value, access): (&ValueId, &Access)| {
            self.stages.iter().find_map(|s| {
                let k = s.results.iter().position(|r| r == value)?;
                let dtype = s.exprs.dtype(*s.outs.get(k)?);
                Some(Port { dtype, shape: s.shape.clone(), access: access.clone() })
            })
        };
        Ok(Kernel {
            params: 0,
            operands: read.iter().zip(operands).map(|(o, a)| port(o, a)).collect(),
            results: stored.iter().zip(results).filter_map(result).collect(),
            body: Body::Nest(Nest { outer: self.rows.outer().to_vec(), stages }),
        })
    }
}

fn is_read(stages: &[Fused], value: ValueId) -> bool {
    stages.iter().any(|s| s.operands.iter().any(|o| o.value == value))
}

/// Rewrites a group as a stage.
struct StageWriter<'a> {
    group: &'a RowGroup,
    fused: &'a Fused,
    role: Role,
    read: &'a [FusedOperand],
    kept: &'a [(ValueId, DType, Role)],
    dtypes: Vec<DType>,
    accs: Vec<DType>,
    exprs: Exprs,
    map: HashMap<ExprId, ExprId>,
}

impl StageWriter<'_> {
    fn add(&mut self, expr: Expr) -> Result<ExprId, ExprError> {
        self.exprs.add(expr, Leaves { operands: &self.dtypes, accs: &self.accs })
    }

    /// The index variable `k` of the group.
    fn index(&mut self, k: usize) -> Result<ExprId, ExprError> {
        let (first, rank) = (self.group.rows.first, self.fused.shape.len());
        let expr = if k >= rank {
            Expr::Index((first + k - rank) as u32)
        } else if k < first || self.role == Role::Spread {
            Expr::Index(k as u32)
        } else {
            Expr::Const(Scalar::i64(0))
        };
        self.add(expr)
    }

    fn mapped(&self, id: ExprId) -> Result<ExprId, ExprError> {
        self.map.get(&id).copied().ok_or(ExprError::Order { id: id.0, to: id.0 })
    }

    fn stage(&mut self, stored: &[ValueId], later: &[Fused]) -> Result<Stage, ExprError> {
        let needed = reachable(&self.fused.exprs, &self.fused.roots());
        for (id, expr) in self.fused.exprs.iter() {
            if !needed.get(id.0 as usize).copied().unwrap_or(false) {
                continue;
            }
            let new = match expr {
                Expr::Index(k) => self.index(*k as usize)?,
                Expr::Load { operand, index, or } => self.load(*operand, index, *or)?,
                other => {
                    let copied = other.map_children(&mut |e| self.map.get(&e).copied().unwrap_or(e));
                    self.add(copied)?
                }
            };
            self.map.insert(id, new);
        }
        let mut place = Vec::with_capacity(self.fused.shape.len());
        for k in 0..self.fused.shape.len() {
            place.push(self.index(k)?);
        }
        let mut outs = Vec::new();
        for (out, value) in self.fused.outs.iter().zip(&self.fused.results) {
            let id = self.mapped(*out)?;
            if is_read(later, *value) {
                outs.push(Out { value: id, target: Target::Keep });
            }
            if let Some(result) = stored.iter().position(|s| s == value) {
                outs.push(Out { value: id, target: Target::Store { result, index: place.clone() } });
            }
        }
        let mut accs = self.fused.accs.clone();
        for acc in &mut accs {
            acc.value = self.mapped(acc.value)?;
        }
        let inner = if self.role == Role::Spread { self.group.rows.row().to_vec() } else { Vec::new() };
        let exprs = std::mem::take(&mut self.exprs);
        Ok(Stage { inner, reduce: self.fused.reduce.clone(), exprs, accs, outs })
    }

    fn load(&mut self, operand: u32, index: &[ExprId], or: Option<ExprId>) -> Result<ExprId, ExprError> {
        let refused = ExprError::Operand { operand };
        let source = self.fused.operands.get(operand as usize).ok_or(refused.clone())?;
        let mut at = index.iter().map(|i| self.mapped(*i)).collect::<Result<Vec<_>, _>>()?;
        let or = or.map(|e| self.mapped(e)).transpose()?;
        if let Some(k) = self.kept.iter().position(|(value, ..)| *value == source.value) {
            let role = self.kept.get(k).map(|(.., role)| *role);
            at =
                if role == Some(Role::Spread) { at.split_off(self.group.rows.first.min(at.len())) } else { Vec::new() };
            return self.add(Expr::Load { operand: (self.read.len() + k) as u32, index: at, or: None });
        }
        let k = self.read.iter().position(|o| o.value == source.value).ok_or(refused)?;
        self.add(Expr::Load { operand: k as u32, index: at, or })
    }
}

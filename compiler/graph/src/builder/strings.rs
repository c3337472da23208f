//! Movement of strings: a `Compute` that only loads, selects and passes strings becomes one over their numbers, and the host
//! picks the strings by number afterwards.
//!
//! ```text
//! %2 = compute str[n] { load %0[i + 1] or "" }
//! ```
//! becomes `%2 = compute i64[m] { i }`, `%3 = compute i64[n] { load %2[i + 1] or -1 }`, `%4 = host string_pick(%3, %0)`.

use crate::attrs::Attrs;
use crate::builder::{BuildError, Builder};
use crate::dim::Dim;
use crate::dtype::DType;
use crate::expr::{Expr, ExprId, Exprs, Leaves};
use crate::graph::ValueId;
use crate::host::HostOp;
use crate::node::Compute;
use crate::scalar::Scalar;

impl Builder {
    /// The host operator that picks strings: operand 0 numbers them over all further operands, row-major, one after the
    /// other; a number out of range stands for the empty string. Without one, a `Compute` on strings stays
    /// as it is, which only the evaluator runs.
    pub fn set_string_pick(&mut self, op: &'static HostOp) {
        self.string_pick = Some(op);
    }

    /// Adds a `Compute` that moves strings.
    pub(super) fn move_strings(
        &mut self,
        pick: &'static HostOp,
        compute: Compute,
        mut operands: Vec<ValueId>,
    ) -> Result<Vec<ValueId>, BuildError> {
        let mut strings = Vec::new();
        let mut base = Dim::constant(0);
        for operand in &mut operands {
            let ty = self.tensor(*operand)?.clone();
            if ty.dtype != DType::Str {
                continue;
            }
            strings.push(*operand);
            let start = base.clone();
            base = &base + &ty.count();
            *operand = self.compute(&[], ty.shape.clone(), |p| {
                let mut number = p.int(0);
                for (d, extent) in ty.shape.iter().enumerate() {
                    let (extent, index) = (p.dim(extent), p.index(d));
                    let scaled = p.mul(number, extent);
                    number = p.add(scaled, index);
                }
                let start = p.dim(&start);
                let number = p.add(number, start);
                p.out(number);
            })?;
        }
        let moved: Vec<bool> = compute.outs.iter().map(|o| compute.exprs.dtype(*o) == DType::Str).collect();
        let numbered = self.numbered(compute, &operands)?;
        let mut results = self.add_compute(numbered, operands)?;
        for (result, moved) in results.iter_mut().zip(moved) {
            if moved {
                let all: Vec<ValueId> = std::iter::once(*result).chain(strings.iter().copied()).collect();
                *result = super::one(&self.host(pick, Attrs::new(), &all)?)?;
            }
        }
        Ok(results)
    }

    /// The same `Compute` with numbers in place of strings.
    fn numbered(&self, compute: Compute, operands: &[ValueId]) -> Result<Compute, BuildError> {
        let dtypes = operands.iter().map(|v| self.dtype(*v)).collect::<Result<Vec<_>, _>>()?;
        let accs: Vec<DType> = compute.accs.iter().map(|a| a.dtype).collect();
        if accs.contains(&DType::Str) {
            return Err(unsupported("a reduction of strings"));
        }
        let mut exprs = Exprs::default();
        let mut renamed: Vec<ExprId> = Vec::with_capacity(compute.exprs.len());
        for (id, expr) in compute.exprs.iter() {
            let text = |e: &ExprId| compute.exprs.dtype(*e) == DType::Str;
            let passes = matches!(expr, Expr::Load { .. } | Expr::Select(..) | Expr::Const(_));
            let mut reads = false;
            expr.for_each_child(&mut |child| reads |= text(&child));
            if (reads || text(&id)) && !passes {
                return Err(unsupported("arithmetic or comparison of strings in a computation"));
            }
            let expr = match expr {
                Expr::Const(s) if s.dtype == DType::Str => Expr::Const(Scalar::i64(-1)),
                other => other.map_children(&mut |child| renamed.get(child.0 as usize).copied().unwrap_or(child)),
            };
            renamed.push(exprs.add(expr, Leaves { operands: &dtypes, accs: &accs })?);
        }
        let rename = |id: ExprId| renamed.get(id.0 as usize).copied().unwrap_or(id);
        let mut out = Compute { exprs, ..compute };
        out.outs.iter_mut().for_each(|o| *o = rename(*o));
        out.accs.iter_mut().for_each(|a| a.value = rename(a.value));
        out.reduce.iter_mut().for_each(|r| r.size = r.size.map(rename));
        Ok(out)
    }
}

fn unsupported(what: &str) -> BuildError {
    BuildError::Unsupported {
        what: what.to_string(),
        closest: "moving strings: shape, slice, gather, concat".to_string(),
    }
}

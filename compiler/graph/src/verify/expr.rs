//! V14 to V19: the expressions of one node.

use std::collections::BTreeMap;

use crate::dtype::{Class, DType};
use crate::expr::{Expr, ExprId, Exprs, Leaves};
use crate::scalar::Scalar;
use crate::text::expr::print_definition;
use crate::ty::Type;
use crate::verify::Rule;
use crate::verify::checker::Checker;

/// What surrounds the expressions of a node.
pub struct Domain<'a> {
    pub exprs: &'a Exprs,
    pub operands: &'a [&'a Type],
    /// Parallel dims.
    pub rank: usize,
    /// Reduction dims.
    pub reduce: usize,
    /// Dtypes of accumulators.
    pub accs: &'a [DType],
}

/// What an expression reads, itself or through its children.
#[derive(Clone, Copy, Default)]
pub struct Reads {
    pub acc: bool,
    pub reduction: bool,
}

/// Checks all expressions; yields what each reads.
pub(super) fn check(c: &mut Checker<'_>, domain: &Domain<'_>) -> Vec<Reads> {
    let mut first: BTreeMap<&Expr, ExprId> = BTreeMap::new();
    let mut found: Vec<(Rule, ExprId, String)> = Vec::new();
    for (id, expr) in domain.exprs.iter() {
        if let Some(same) = first.insert(expr, id) {
            found.push((Rule::ExprOrder, id, format!("e{} is the same expression", same.0)));
        }
    }
    let reads = check_all(domain, &mut |rule, id, message| found.push((rule, id, message)));
    found.sort_by_key(|(_, id, _)| *id);
    let dtypes = domain.dtypes();
    let leaves = Leaves { operands: &dtypes, accs: domain.accs };
    for (rule, id, message) in found {
        let context = print_definition(domain.exprs, id, leaves, &c.names);
        c.report_with(rule, context, format!("e{}: {message}", id.0));
    }
    reads
}

impl Domain<'_> {
    /// Dtypes of the operands; strings stand for what is not a tensor.
    fn dtypes(&self) -> Vec<DType> {
        self.operands.iter().map(|ty| ty.as_tensor().map_or(DType::Str, |t| t.dtype)).collect()
    }
}

/// Checks all expressions but for repetitions; yields what each reads.
pub fn check_all(domain: &Domain<'_>, report: &mut dyn FnMut(Rule, ExprId, String)) -> Vec<Reads> {
    let dtypes = domain.dtypes();
    let leaves = Leaves { operands: &dtypes, accs: domain.accs };
    let mut reads: Vec<Reads> = Vec::with_capacity(domain.exprs.len());
    for (id, expr) in domain.exprs.iter() {
        let mut found = Reads::default();
        let mut unordered = None;
        expr.for_each_child(&mut |child| match reads.get(child.0 as usize) {
            Some(r) => {
                found.acc |= r.acc;
                found.reduction |= r.reduction;
            }
            None => unordered = Some(child),
        });
        if let Some(child) = unordered {
            report(Rule::ExprOrder, id, format!("e{} is not before it", child.0));
        }
        match check_leaf(expr, domain, &mut found) {
            Err((rule, message)) => report(rule, id, message),
            Ok(()) if unordered.is_none() => {
                let stored = domain.exprs.dtype(id);
                match domain.exprs.infer(expr, leaves) {
                    Ok(_) if reckons_with_strings(expr, domain.exprs) => {
                        report(Rule::ExprTypes, id, "strings are loaded and selected, nothing else".to_string());
                    }
                    Ok(dtype) if dtype == stored => {}
                    Ok(dtype) => report(Rule::ExprTypes, id, format!("the dtype is {dtype}, not {stored}")),
                    Err(error) => report(Rule::ExprTypes, id, error.to_string()),
                }
            }
            Ok(()) => {}
        }
        reads.push(found);
    }
    reads
}

/// Whether an expression does anything with a string but select it.
fn reckons_with_strings(expr: &Expr, exprs: &Exprs) -> bool {
    let mut found = false;
    expr.for_each_child(&mut |child| found |= exprs.dtype(child) == DType::Str);
    found && !matches!(expr, Expr::Select(..) | Expr::Load { .. })
}

/// What a leaf refers to, and an element's bits. Adds what it reads.
fn check_leaf(expr: &Expr, domain: &Domain<'_>, reads: &mut Reads) -> Result<(), (Rule, String)> {
    match expr {
        Expr::Const(scalar) => check_scalar(*scalar).map_err(|message| (Rule::ExprConstants, message)),
        Expr::Index(k) => {
            let (variable, count) = (*k as usize, domain.rank.saturating_add(domain.reduce));
            reads.reduction |= variable >= domain.rank;
            if variable < count {
                return Ok(());
            }
            Err((Rule::IndexVariables, format!("index variable {k} does not exist; there are {count}")))
        }
        Expr::Acc(k) => {
            reads.acc = true;
            let count = domain.accs.len();
            if (*k as usize) < count {
                return Ok(());
            }
            Err((Rule::Accumulators, format!("accumulator {k} does not exist; there are {count}")))
        }
        Expr::Load { operand, index, or: _ } => match domain.operands.get(*operand as usize).map(|ty| ty.as_tensor()) {
            None => {
                Err((Rule::Loads, format!("operand {operand} does not exist; there are {}", domain.operands.len())))
            }
            Some(None) => Err((Rule::Loads, format!("operand {operand} is not a tensor"))),
            Some(Some(t)) if t.rank() != index.len() => Err((
                Rule::Loads,
                format!("{} indices into operand {operand}, which has rank {}", index.len(), t.rank()),
            )),
            Some(Some(_)) => Ok(()),
        },
        Expr::Dim(_)
        | Expr::Unary(..)
        | Expr::Binary(..)
        | Expr::Compare(..)
        | Expr::Select(..)
        | Expr::Fma(..)
        | Expr::Cast { .. }
        | Expr::Bitcast { .. } => Ok(()),
    }
}

/// V16, also for splats.
pub(super) fn check_scalar(scalar: Scalar) -> Result<(), String> {
    let width = match scalar.dtype.class() {
        Class::Str => return Err("a string cannot be an element of arithmetic".to_string()),
        Class::Bool => 1,
        Class::Float | Class::Signed | Class::Unsigned => scalar.dtype.bits(),
    };
    if width < 64 && scalar.bits >> width != 0 {
        return Err(format!("{:#x} has bits beyond the {width} of {}", scalar.bits, scalar.dtype));
    }
    Ok(())
}

/// V20 for one expression that a node names; its dtype and what it reads if it exists.
pub(super) fn check_root(
    c: &mut Checker<'_>,
    domain: &Domain<'_>,
    reads: &[Reads],
    what: &str,
    id: ExprId,
) -> Option<(DType, Reads)> {
    let found = reads.get(id.0 as usize).map(|r| (domain.exprs.dtype(id), *r));
    if found.is_none() {
        c.report(Rule::Roots, format!("{what} names e{}, which does not exist; there are {}", id.0, reads.len()));
    }
    found
}

/// V20 for an expression that must be an i64.
pub(super) fn expect_i64(c: &mut Checker<'_>, what: &str, id: ExprId, dtype: DType) {
    if dtype != DType::I64 {
        c.report(Rule::Roots, format!("{what} is e{} of dtype {dtype}, expected i64", id.0));
    }
}

/// V17 and V18 for an expression outside the accumulators. Accumulators count as no reduction variables.
pub(super) fn expect_parallel(c: &mut Checker<'_>, what: &str, id: ExprId, reads: Reads) {
    if reads.reduction {
        c.report(Rule::IndexVariables, format!("{what} reads a reduction's index variable through e{}", id.0));
    }
}

/// V18 for an expression that may not read accumulators.
pub(super) fn expect_no_acc(c: &mut Checker<'_>, what: &str, id: ExprId, reads: Reads) {
    if reads.acc {
        c.report(Rule::Accumulators, format!("{what} reads an accumulator through e{}; only results may", id.0));
    }
}

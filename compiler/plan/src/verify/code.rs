//! P05: kernels and epilogues.

use graph::expr::Expr;
use graph::scalar::Scalar;
use nest::kernel::{Body, Kernel};

use crate::plan::{Claimed, Code};
use crate::verify::Rule;
use crate::verify::checker::Checker;

pub(super) fn check<C>(c: &mut Checker<'_, C>) {
    for (index, code) in c.plan.codes.iter().enumerate() {
        c.path = format!("codes/{index}");
        let (kernel, claimed) = match code {
            Code::Kernel(kernel) => (Some(kernel), None),
            Code::Claimed(claimed) => (claimed.epilogue.as_ref(), Some(claimed)),
        };
        let Some(kernel) = kernel else { continue };
        match nest::verify::kernel(kernel) {
            Ok(()) => claimed.iter().for_each(|claimed| check_epilogue(c, claimed, kernel)),
            Err(violations) => {
                violations.iter().for_each(|v| c.report(Rule::Codes, format!("the kernel breaks {v}")));
            }
        }
    }
    c.path = String::new();
}

fn check_epilogue<C>(c: &mut Checker<'_, C>, claimed: &Claimed<C>, kernel: &Kernel) {
    let Body::Nest(nest) = &kernel.body else {
        return c.report(Rule::Codes, "an epilogue is not a nest".to_string());
    };
    let [stage] = nest.stages.as_slice() else {
        return c.report(Rule::Codes, format!("an epilogue has {} stages", nest.stages.len()));
    };
    if !nest.outer.is_empty() || !stage.reduce.is_empty() {
        c.report(Rule::Codes, "an epilogue has outer dims or reductions".to_string());
    }
    if kernel.operands.len() < claimed.results {
        let (found, results) = (kernel.operands.len(), claimed.results);
        c.report(Rule::Codes, format!("an epilogue of {found} operands for {results} results"));
    }
    for (id, expr) in stage.exprs.iter() {
        let Expr::Load { operand, index, or } = expr else { continue };
        let Some(port) = kernel.operands.get(*operand as usize).filter(|_| (*operand as usize) < claimed.results)
        else {
            continue;
        };
        let here = index.len() == stage.inner.len()
            && index.iter().enumerate().all(|(d, e)| match stage.exprs.get(*e) {
                Some(Expr::Index(k)) => *k as usize == d,
                Some(Expr::Const(zero)) => *zero == Scalar::i64(0) && port.shape.get(d).is_some_and(|s| s.is(1)),
                Some(_) | None => false,
            });
        if !here || or.is_some() {
            c.report(
                Rule::Codes,
                format!("e{} loads result {operand} of the claim elsewhere than at its own index", id.0),
            );
        }
    }
}

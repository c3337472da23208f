//! N05 to N17: expressions and bodies.

use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{Expr, ExprId, Exprs};
use graph::node::{Acc, Combiner, Extent, ScatterMode};
use graph::ty::Type;
use graph::verify::expr::{Domain, Reads, check_all};
use graph::verify::{Rule as GraphRule, is_defined_on};

use crate::kernel::{Body, Nest, Port, ScatterKernel, Stage, Target};
use crate::verify::Rule;
use crate::verify::checker::Checker;

pub(super) fn check(c: &mut Checker<'_>) {
    let kernel = c.kernel;
    match &kernel.body {
        Body::Nest(nest) => check_nest(c, nest),
        Body::Scatter(scatter) => check_scatter(c, scatter),
        Body::Sort { axis, descending: _ } => check_sort(c, *axis),
        Body::Compact => check_compact(c),
        Body::Prefix { axis, combiner, exclusive: _, reverse: _ } => check_prefix(c, *axis, *combiner),
    }
}

fn check_nest(c: &mut Checker<'_>, nest: &Nest) {
    let kernel = c.kernel;
    let mut stored = vec![0usize; kernel.results.len()];
    for (k, stage) in nest.stages.iter().enumerate() {
        c.place = format!("stage {k}");
        let ports = kernel.operands.iter().map(|o| Type::tensor(o.dtype, o.shape.clone()));
        let kept = nest.kept_before(k).into_iter().map(|(dtype, inner)| Type::tensor(dtype, inner));
        let operands: Vec<Type> = ports.chain(kept).collect();
        check_stage(c, nest, stage, &operands, &mut stored);
    }
    for (k, count) in stored.into_iter().enumerate().filter(|(_, count)| *count != 1) {
        c.place = format!("result {k}");
        c.report(Rule::Results, format!("stored {count} times"));
    }
}

fn check_stage(c: &mut Checker<'_>, nest: &Nest, stage: &Stage, operands: &[Type], stored: &mut [usize]) {
    let operands: Vec<&Type> = operands.iter().collect();
    let accs: Vec<DType> = stage.accs.iter().map(|acc| acc.dtype).collect();
    let rank = nest.outer.len() + stage.inner.len();
    let domain = Domain { exprs: &stage.exprs, operands: &operands, rank, reduce: stage.reduce.len(), accs: &accs };
    let reads = check_exprs(c, &domain);
    let root = Root { exprs: &stage.exprs, reads: &reads };
    for (k, Extent { bound: _, size }) in stage.reduce.iter().enumerate() {
        let Some(size) = *size else { continue };
        let what = format!("the size of reduction dim {k}");
        root.index(c, &what, size);
        root.parallel(c, &what, size);
        root.no_acc(c, &what, size);
    }
    for (k, acc) in stage.accs.iter().enumerate() {
        check_acc(c, &root, k, acc);
    }
    for (k, out) in stage.outs.iter().enumerate() {
        let what = format!("output {k}");
        let Some(dtype) = root.dtype(c, &what, out.value) else { continue };
        root.parallel(c, &what, out.value);
        let Target::Store { result, index } = &out.target else { continue };
        for (d, e) in index.iter().enumerate() {
            let what = format!("index {d} of output {k}");
            root.index(c, &what, *e);
            root.parallel(c, &what, *e);
            root.no_acc(c, &what, *e);
        }
        let count = stored.len();
        let (Some(times), Some(port)) = (stored.get_mut(*result), c.kernel.results.get(*result)) else {
            c.report(Rule::Stores, format!("output {k} goes to result {result}; there are {count}"));
            continue;
        };
        *times += 1;
        if index.len() != port.shape.len() {
            let (found, rank) = (index.len(), port.shape.len());
            c.report(Rule::Stores, format!("output {k} has {found} indices into result {result} of rank {rank}"));
        }
        let extents: Vec<&Dim> = nest.outer.iter().chain(&stage.inner).collect();
        for (d, (e, extent)) in index.iter().zip(&port.shape).enumerate() {
            let Some(Expr::Index(variable)) = stage.exprs.get(*e) else { continue };
            if extents.get(*variable as usize).is_some_and(|found| *found != extent) {
                c.report(Rule::Stores, format!("output {k} runs over another extent than dim {d} of result {result}"));
            }
        }
        if dtype != port.dtype {
            c.report(Rule::Stores, format!("output {k} is a {dtype}, result {result} holds {}", port.dtype));
        }
    }
}

/// N05 to N10.
fn check_exprs(c: &mut Checker<'_>, domain: &Domain<'_>) -> Vec<Reads> {
    check_all(domain, &mut |rule, id, message| {
        let rule = match rule {
            GraphRule::ExprOrder => Rule::ExprOrder,
            GraphRule::ExprConstants => Rule::ExprConstants,
            GraphRule::IndexVariables => Rule::IndexVariables,
            GraphRule::Accumulators => Rule::Accumulators,
            GraphRule::Loads => Rule::Loads,
            // The other rules are not about expressions.
            _ => Rule::ExprTypes,
        };
        c.report(rule, format!("e{}: {message}", id.0));
    })
}

/// Expressions that something names.
struct Root<'a> {
    exprs: &'a Exprs,
    reads: &'a [Reads],
}

impl Root<'_> {
    fn reads(&self, id: ExprId) -> Reads {
        self.reads.get(id.0 as usize).copied().unwrap_or_default()
    }

    fn dtype(&self, c: &mut Checker<'_>, what: &str, id: ExprId) -> Option<DType> {
        let count = self.exprs.len();
        if id.0 as usize >= count {
            c.report(Rule::Roots, format!("{what} names e{}, which does not exist; there are {count}", id.0));
            return None;
        }
        Some(self.exprs.dtype(id))
    }

    fn index(&self, c: &mut Checker<'_>, what: &str, id: ExprId) {
        if let Some(dtype) = self.dtype(c, what, id).filter(|dtype| *dtype != DType::I64) {
            c.report(Rule::Roots, format!("{what} is e{} of dtype {dtype}, expected i64", id.0));
        }
    }

    fn parallel(&self, c: &mut Checker<'_>, what: &str, id: ExprId) {
        if self.reads(id).reduction {
            c.report(Rule::IndexVariables, format!("{what} reads a reduction's index variable through e{}", id.0));
        }
    }

    fn no_acc(&self, c: &mut Checker<'_>, what: &str, id: ExprId) {
        if self.reads(id).acc {
            c.report(Rule::Accumulators, format!("{what} reads an accumulator through e{}", id.0));
        }
    }
}

fn check_acc(c: &mut Checker<'_>, root: &Root<'_>, k: usize, acc: &Acc) {
    let what = format!("the value of accumulator {k}");
    let Some(value) = root.dtype(c, &what, acc.value) else { return };
    root.no_acc(c, &what, acc.value);
    if !is_defined_on(acc.combiner, value) {
        c.report(Rule::Accumulators, format!("accumulator {k}: {} is not defined on {value}", acc.combiner.name()));
    }
    let expected = match acc.combiner {
        Combiner::ArgMax { last: _ } | Combiner::ArgMin { last: _ } => DType::I64,
        Combiner::Sum | Combiner::Prod | Combiner::Max | Combiner::Min | Combiner::Any | Combiner::All => value,
    };
    if acc.dtype != expected {
        c.report(Rule::Accumulators, format!("accumulator {k}: expected dtype {expected}, found {}", acc.dtype));
    }
}

fn check_scatter(c: &mut Checker<'_>, scatter: &ScatterKernel) {
    c.place = "scatter".to_string();
    let kernel = c.kernel;
    let types: Vec<Type> = kernel.operands.iter().map(|o| Type::tensor(o.dtype, o.shape.clone())).collect();
    let operands: Vec<&Type> = types.iter().collect();
    let domain =
        Domain { exprs: &scatter.exprs, operands: &operands, rank: scatter.domain.len(), reduce: 0, accs: &[] };
    let reads = check_exprs(c, &domain);
    let root = Root { exprs: &scatter.exprs, reads: &reads };
    for (k, id) in scatter.index.iter().enumerate() {
        root.index(c, &format!("index {k}"), *id);
    }
    let value = root.dtype(c, "the value", scatter.value);
    let Some(base) = kernel.operands.first() else {
        return c.report(Rule::Scatter, "expected the base as operand 0, found no operands".to_string());
    };
    if scatter.index.len() != base.shape.len() {
        let message = format!("{} indices into a base of rank {}", scatter.index.len(), base.shape.len());
        c.report(Rule::Scatter, message);
    }
    if let Some(dtype) = value.filter(|dtype| *dtype != base.dtype) {
        c.report(Rule::Scatter, format!("a value of dtype {dtype} for a base of dtype {}", base.dtype));
    }
    match scatter.mode {
        ScatterMode::Last => {}
        ScatterMode::Combine(combiner @ (Combiner::ArgMax { last: _ } | Combiner::ArgMin { last: _ })) => {
            c.report(Rule::Scatter, format!("updates cannot be combined by {}", combiner.name()));
        }
        ScatterMode::Combine(combiner) if !is_defined_on(combiner, base.dtype) => {
            c.report(Rule::Scatter, format!("{} is not defined on {}", combiner.name(), base.dtype));
        }
        ScatterMode::Combine(_) => {}
    }
    if c.expect_count(Rule::Scatter, "result", 1, kernel.results.len()) {
        expect_same_type(c, Rule::Scatter, "the base", base, &kernel.results);
    }
}

/// Whether two shapes may be the same: sizes with parameters may always be.
fn may_be_same(a: &[Dim], b: &[Dim]) -> bool {
    let constant = |a: &Dim, b: &Dim| a.as_const().zip(b.as_const()).is_none_or(|(a, b)| a == b);
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| constant(a, b))
}

fn expect_same_type(c: &mut Checker<'_>, rule: Rule, what: &str, expected: &Port, found: &[Port]) {
    if found.iter().any(|port| port.dtype != expected.dtype || !may_be_same(&port.shape, &expected.shape)) {
        c.report(rule, format!("the result has another type than {what}"));
    }
}

fn check_sort(c: &mut Checker<'_>, axis: usize) {
    c.place = "sort".to_string();
    let kernel = c.kernel;
    let Some(first) = kernel.operands.first() else {
        return c.report(Rule::Sort, "expected keys, found no operands".to_string());
    };
    if axis >= first.shape.len() {
        return c.report(Rule::Sort, format!("axis {axis} of rank {}", first.shape.len()));
    }
    if kernel.operands.iter().any(|key| !may_be_same(&key.shape, &first.shape)) {
        c.report(Rule::Sort, "the keys are not of one shape".to_string());
    }
    if !c.expect_count(Rule::Sort, "result", kernel.operands.len() + 1, kernel.results.len()) {
        return;
    }
    let dtypes = kernel.operands.iter().map(|key| key.dtype).chain([DType::I64]);
    for (k, (expected, result)) in dtypes.zip(&kernel.results).enumerate() {
        if result.dtype != expected {
            c.report(Rule::Sort, format!("result {k} is a {}, expected {expected}", result.dtype));
        }
        let mut shape = first.shape.clone();
        if let (Some(slot), Some(limit)) = (shape.get_mut(axis), kernel.results.first().and_then(|r| r.shape.get(axis)))
        {
            *slot = limit.clone();
        }
        if !may_be_same(&result.shape, &shape) {
            c.report(Rule::Sort, format!("result {k} differs from the keys or other results in more than the axis"));
        }
    }
}

fn check_compact(c: &mut Checker<'_>) {
    c.place = "compact".to_string();
    let kernel = c.kernel;
    if !c.expect_count(Rule::Compact, "operand", 1, kernel.operands.len())
        || !c.expect_count(Rule::Compact, "result", 2, kernel.results.len())
    {
        return;
    }
    let expected = [("operand 0", DType::Bool, 1), ("result 0", DType::I64, 1), ("result 1", DType::I64, 0)];
    for ((what, dtype, rank), port) in expected.into_iter().zip(kernel.operands.iter().chain(&kernel.results)) {
        if port.dtype != dtype || port.shape.len() != rank {
            let (found, of) = (port.dtype, port.shape.len());
            c.report(Rule::Compact, format!("{what} is {found} of rank {of}, expected {dtype} of rank {rank}"));
        }
    }
}

fn check_prefix(c: &mut Checker<'_>, axis: usize, combiner: Combiner) {
    c.place = "prefix".to_string();
    let kernel = c.kernel;
    let counts = c.expect_count(Rule::Prefix, "operand", 1, kernel.operands.len());
    let counts = c.expect_count(Rule::Prefix, "result", 1, kernel.results.len()) && counts;
    let Some(operand) = kernel.operands.first().filter(|_| counts) else { return };
    expect_same_type(c, Rule::Prefix, "the operand", operand, &kernel.results);
    if axis >= operand.shape.len() {
        c.report(Rule::Prefix, format!("axis {axis} of rank {}", operand.shape.len()));
    }
    let runs = !matches!(combiner, Combiner::ArgMax { last: _ } | Combiner::ArgMin { last: _ });
    if !runs || !is_defined_on(combiner, operand.dtype) {
        c.report(Rule::Prefix, format!("{} is not defined on {}", combiner.name(), operand.dtype));
    }
}

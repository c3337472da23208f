//! P13 to P20: what a step's parts must agree on.

use graph::dim::Dim;
use graph::dtype::DType;
use graph::eval::Bindings;
use graph::graph::{Graph, Model};
use graph::verify::Rule as GraphRule;
use nest::kernel::Port;

use crate::plan::{Action, BufferId, Claimed, Code, Condition, HostCall, Launch, LoopStep, View};
use crate::verify::Rule;
use crate::verify::checker::Checker;
use crate::verify::samples::Samples;
use crate::verify::view::{self, Use};

/// Checks a step, but for the blocks inside it and the order. `after` has the values of symbols after the step.
pub(super) fn check<C>(c: &mut Checker<'_, C>, action: &Action, before: &Samples, after: &Samples) {
    match action {
        Action::Launch(launch) => check_launch(c, launch, before),
        Action::Copy { from, to } => {
            if view::check(c, "from", from, Use::Read, before) & view::check(c, "to", to, Use::Write, before) {
                check_copy(c, from, to, before);
            }
            expect_apart(c, [from.buffer], [to.buffer]);
        }
        Action::Clear { buffer } => {
            if c.buffer(*buffer).is_none() {
                c.report(Rule::Named, format!("buffer ^{} does not exist", buffer.0));
            }
        }
        Action::Host(call) => check_host(c, call, before, after),
        Action::ReadBack { reads } => {
            reads.iter().for_each(|(from, _)| check_scalar(c, "what is read back", from, DType::I64, before));
        }
        Action::Let { .. } => {}
        Action::Check { guard } => {
            if *guard >= c.plan.guards.len() {
                c.report(Rule::Named, format!("guard {guard} does not exist"));
            }
        }
        Action::Loop(inner) => check_loop(c, inner, before),
        Action::If(inner) => {
            if let Condition::Value(view) = &inner.condition {
                check_scalar(c, "the condition", view, DType::Bool, before);
            }
        }
    }
}

fn expect_apart<C>(
    c: &mut Checker<'_, C>,
    reads: impl IntoIterator<Item = BufferId>,
    writes: impl IntoIterator<Item = BufferId>,
) {
    let writes: Vec<BufferId> = writes.into_iter().collect();
    for id in reads {
        if writes.contains(&id) {
            return c.report(Rule::Overwrites, format!("buffer ^{} is read and written", id.0));
        }
    }
}

fn check_launch<C>(c: &mut Checker<'_, C>, launch: &Launch, samples: &Samples) {
    let mut good = true;
    for (word, purpose, views) in [("read", Use::Read, &launch.reads), ("write", Use::Write, &launch.writes)] {
        for (k, v) in views.iter().enumerate() {
            good &= view::check(c, &format!("{word} {k}"), v, purpose, samples);
        }
    }
    launch.workspace.iter().for_each(|v| good &= view::check(c, "workspace", v, Use::Write, samples));
    let written = launch.writes.iter().chain(&launch.workspace).map(|v| v.buffer);
    expect_apart(c, launch.reads.iter().map(|v| v.buffer), written);
    let plan = c.plan;
    match plan.codes.get(launch.code.0 as usize) {
        None => c.report(Rule::Named, format!("code !{} does not exist", launch.code.0)),
        Some(Code::Kernel(kernel)) => {
            let counts = c.expect_count(Rule::LaunchCounts, "reads", kernel.operands.len(), launch.reads.len())
                & c.expect_count(Rule::LaunchCounts, "writes", kernel.results.len(), launch.writes.len())
                & c.expect_count(Rule::LaunchCounts, "sizes", kernel.params, launch.sizes.len());
            if launch.meaning.is_some() {
                c.report(Rule::Meaning, "a kernel has a meaning of its own".to_string());
            }
            if good && counts {
                let sizes = &launch.sizes;
                check_ports(c, "read", kernel.operands.iter().zip(&launch.reads), sizes, samples);
                check_ports(c, "write", kernel.results.iter().zip(&launch.writes), sizes, samples);
            }
        }
        Some(Code::Claimed(claimed)) => check_claimed(c, claimed, launch, good, samples),
    }
}

fn check_claimed<C>(c: &mut Checker<'_, C>, claimed: &Claimed<C>, launch: &Launch, good: bool, samples: &Samples) {
    let own = claimed.operands.saturating_add(claimed.derived);
    let (beyond, results, params) = match &claimed.epilogue {
        Some(e) => (e.operands.get(claimed.results..).unwrap_or_default(), e.results.len(), e.params),
        None => (&[][..], claimed.results, 0),
    };
    let reads = own.saturating_add(beyond.len());
    let counts = c.expect_count(Rule::LaunchCounts, "reads", reads, launch.reads.len())
        & c.expect_count(Rule::LaunchCounts, "writes", results, launch.writes.len())
        & c.expect_count(Rule::LaunchCounts, "sizes", claimed.sizes.saturating_add(params), launch.sizes.len());
    if !good || !counts {
        return;
    }
    match &claimed.epilogue {
        Some(epilogue) => {
            let sizes = launch.sizes.get(claimed.sizes..).unwrap_or_default();
            let read = launch.reads.get(own..).unwrap_or_default();
            check_ports(c, "epilogue read", beyond.iter().zip(read), sizes, samples);
            check_ports(c, "write", epilogue.results.iter().zip(&launch.writes), sizes, samples);
        }
        None => {
            for (k, write) in launch.writes.iter().enumerate().filter(|(_, v)| !v.access.is_dense(&v.shape)) {
                let id = write.buffer.0;
                c.report(Rule::Ports, format!("write {k} to ^{id} is not dense, and the code has no epilogue"));
            }
        }
    }
    match &launch.meaning {
        None => c.report(Rule::Meaning, "claimed code without a meaning".to_string()),
        Some(meaning) => check_meaning(c, claimed, launch, meaning),
    }
}

fn check_meaning<C>(c: &mut Checker<'_, C>, claimed: &Claimed<C>, launch: &Launch, meaning: &Graph) {
    let (symbols, guards, origins) = (c.plan.symbols.clone(), c.plan.guards.clone(), c.plan.origins.clone());
    let name = String::new();
    let model = Model { name, symbols, guards, origins, states: Vec::new(), graph: meaning.clone() };
    for violation in graph::verify::model(&model).err().unwrap_or_default() {
        // Symbols are known by what comes before, and the tables are checked by themselves.
        let elsewhere = [
            GraphRule::SymbolTable,
            GraphRule::Origins,
            GraphRule::SymbolsKnown,
            GraphRule::InputSymbols,
            GraphRule::Binds,
        ];
        if !elsewhere.contains(&violation.rule) {
            c.report(Rule::Meaning, format!("the meaning breaks {violation}"));
        }
    }
    let derived = claimed.operands..claimed.operands.saturating_add(claimed.derived);
    let reads: Vec<&View> =
        launch.reads.iter().enumerate().filter(|(k, _)| !derived.contains(k)).map(|r| r.1).collect();
    let writes: Vec<&View> = launch.writes.iter().collect();
    for (word, values, views) in [("inputs", &meaning.inputs, reads), ("outputs", &meaning.outputs, writes)] {
        if !c.expect_count(Rule::Meaning, &format!("{word} of the meaning"), views.len(), values.len()) {
            continue;
        }
        for (k, (value, v)) in values.iter().zip(views).enumerate() {
            let Some(tensor) = meaning.tensor(*value) else { continue };
            let dtype = c.buffer(v.buffer).map(|b| b.dtype);
            if dtype != Some(tensor.dtype) || tensor.rank() != v.shape.len() {
                c.report(Rule::Meaning, format!("{word}: number {k} has another dtype or rank than its view"));
            }
        }
    }
}

/// P14. Ports are over the code's parameters, whose values are `sizes`.
fn check_ports<'p, C>(
    c: &mut Checker<'_, C>,
    word: &str,
    pairs: impl Iterator<Item = (&'p Port, &'p View)>,
    sizes: &[Dim],
    samples: &Samples,
) {
    for (k, (port, v)) in pairs.enumerate() {
        let Some(buffer) = c.buffer(v.buffer) else { continue };
        if port.dtype != buffer.dtype {
            let (found, expected, id) = (buffer.dtype, port.dtype, v.buffer.0);
            c.report(Rule::Ports, format!("{word} {k}: buffer ^{id} holds {found}, the code takes {expected}"));
            continue;
        }
        if port.shape.len() != v.shape.len() || port.access.block != v.access.block {
            c.report(Rule::Ports, format!("{word} {k}: another rank or block than the code takes"));
            continue;
        }
        let wrong = samples.0.iter().find(|sample| differs(port, v, sizes, sample));
        if let Some(sample) = wrong {
            let shape = c.show_dims(&v.shape);
            let strides = c.show_dims(&v.access.strides);
            let at = view::shown(c, sample);
            c.report(
                Rule::Ports,
                format!("{word} {k}: extents {shape} with strides {strides} are not what the code takes{at}"),
            );
        }
    }
}

/// Whether extents, offset or strides have another value than the code takes. Strides of extents of 1 or less do not count.
fn differs(port: &Port, v: &View, sizes: &[Dim], sample: &Bindings) -> bool {
    let of_port = |dim: &Dim| dim.eval(&|id| sizes.get(id.0 as usize).and_then(|size| sample.dim(size)));
    let unequal = |a: &Dim, b: &Dim| of_port(a).zip(sample.dim(b)).is_some_and(|(a, b)| a != b);
    let extents = port.shape.iter().zip(&v.shape).any(|(a, b)| unequal(a, b));
    let strides = port.access.strides.iter().zip(&v.access.strides).zip(&v.shape);
    let mut strides = strides.filter(|(_, extent)| sample.dim(extent).is_none_or(|n| n > 1));
    extents || unequal(&port.access.offset, &v.access.offset) || strides.any(|((a, b), _)| unequal(a, b))
}

fn check_copy<C>(c: &mut Checker<'_, C>, from: &View, to: &View, samples: &Samples) {
    let dtypes = (c.buffer(from.buffer).map(|b| b.dtype), c.buffer(to.buffer).map(|b| b.dtype));
    if dtypes.0 != dtypes.1 {
        return c.report(Rule::Copies, "the dtypes differ".to_string());
    }
    if dtypes.0 == Some(DType::Str) {
        return;
    }
    let value = |dims: &[Dim], sample: &Bindings| dims.iter().map(|d| sample.dim(d)).collect::<Option<Vec<_>>>();
    let unequal = samples.0.iter().find(|s| {
        let (from, to) = (value(&from.shape, s), value(&to.shape, s));
        from.is_some() && to.is_some() && from != to
    });
    if from.shape.len() != to.shape.len() || unequal.is_some() {
        let (from, to) = (c.show_dims(&from.shape), c.show_dims(&to.shape));
        c.report(Rule::Copies, format!("the shapes differ: {from} and {to}"));
    }
    for (word, v) in [("from", from), ("to", to)] {
        if !v.access.is_dense(&v.shape) {
            c.report(Rule::Copies, format!("{word} is not dense"));
        }
    }
}

fn check_host<C>(c: &mut Checker<'_, C>, call: &HostCall, before: &Samples, after: &Samples) {
    let sides = [("operand", Use::Read, &call.operands, before), ("result", Use::Write, &call.results, after)];
    for (word, purpose, views, samples) in sides {
        for (k, v) in views.iter().enumerate() {
            if view::check(c, &format!("{word} {k}"), v, purpose, samples) && !v.access.is_dense(&v.shape) {
                c.report(Rule::Host, format!("{word} {k} is not dense"));
            }
        }
    }
    expect_apart(c, call.operands.iter().map(|v| v.buffer), call.results.iter().map(|v| v.buffer));
    if !c.expect_count(Rule::Host, "result types", call.results.len(), call.result_types.len()) {
        return;
    }
    for (k, (ty, v)) in call.result_types.iter().zip(&call.results).enumerate() {
        let Some(buffer) = c.buffer(v.buffer) else { continue };
        let dtype = ty.as_tensor().map_or(DType::Str, |t| t.dtype);
        if buffer.dtype != dtype {
            c.report(Rule::Host, format!("result {k} is {dtype}, buffer ^{} holds {}", v.buffer.0, buffer.dtype));
        }
    }
}

fn check_scalar<C>(c: &mut Checker<'_, C>, what: &str, v: &View, dtype: DType, samples: &Samples) {
    if !view::check(c, what, v, Use::Read, samples) {
        return;
    }
    let found = c.buffer(v.buffer).map_or(dtype, |b| b.dtype);
    if found != dtype || !v.shape.iter().all(|d| d.is(1)) {
        let shape = c.show_dims(&v.shape);
        c.report(Rule::Scalars, format!("{what} is {found}{shape}, expected a scalar of dtype {dtype}"));
    }
}

fn check_loop<C>(c: &mut Checker<'_, C>, inner: &LoopStep, samples: &Samples) {
    inner.limit.iter().for_each(|v| check_scalar(c, "the limit", v, DType::I64, samples));
    inner.condition.iter().for_each(|v| check_scalar(c, "the condition", v, DType::Bool, samples));
    if inner.trip.is_none() && inner.limit.is_none() && inner.condition.is_none() {
        c.report(Rule::Loops, "nothing ends the loop".to_string());
    }
    for (symbol, _) in &inner.next {
        if !inner.first.iter().any(|(first, _)| first == symbol) {
            c.report(Rule::Loops, format!("{} has a next value but no first one", c.spell(*symbol)));
        }
    }
}

/// P20 of what is carried, where the symbols of the body are known.
pub(super) fn check_carry<C>(c: &mut Checker<'_, C>, inner: &LoopStep, samples: &Samples) {
    for (k, moved) in inner.carry.iter().enumerate() {
        let from = view::check(c, &format!("carry {k} from"), &moved.from, Use::Read, samples);
        let to = view::check(c, &format!("carry {k} to"), &moved.to, Use::Write, samples);
        let dtype = |v: &View| c.buffer(v.buffer).map(|b| b.dtype);
        let (source, target) = (dtype(&moved.from), dtype(&moved.to));
        if from && to && source != target {
            c.report(Rule::Loops, format!("carry {k} is between unequal dtypes"));
        }
        let dense = |v: &View| v.access.is_dense(&v.shape);
        if target != Some(DType::Str) && !(dense(&moved.from) && dense(&moved.to)) {
            c.report(Rule::Loops, format!("carry {k} is not between dense views"));
        }
        // What an iteration reads has the extents that it is said to have, not those of what was written.
        let fixed = |v: &View| v.shape.iter().map(Dim::as_const).collect::<Option<Vec<i64>>>();
        if let (Some(source), Some(target)) = (fixed(&moved.from), fixed(&moved.to))
            && source != target
        {
            c.report(Rule::Loops, format!("carry {k} is between unequal extents"));
        }
    }
    let targets: Vec<BufferId> = inner.carry.iter().map(|m| m.to.buffer).collect();
    expect_apart(c, inner.carry.iter().map(|m| m.from.buffer), targets);
}

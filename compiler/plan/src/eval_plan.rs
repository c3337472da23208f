//! Runs a plan on the evaluator, bytes, layouts and aliases included: the check that planning broke nothing.
//!
//! Kernels run through the nest interpreter, claims through their meaning. With `poison` every buffer has bytes of its own,
//! filled with ones (NaN in floats) before the call, and must give equal results.

mod memory;

use graph::datum::Datum;
use graph::dim::{Dim, SymId};
use graph::eval::{Bindings, EvalError};
use graph::scalar::Scalar;
use graph::tensor::{Tensor, TensorError};
use graph::ty::Type;
use nest::interpret::InterpretError;
use nest::kernel::Kernel;

use crate::contents::Contents;
use crate::plan::{Action, Block, Code, Condition, HostCall, Launch, LoopStep, Plan, Source, View};
use memory::Memory;

/// How to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub poison: bool,
}

/// Why a plan cannot be run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvalPlanError {
    #[error("the plan has {expected} inputs, found {found}")]
    Inputs { expected: usize, found: usize },
    #[error("input {name}: expected {expected}, found {found}")]
    Input { name: String, expected: String, found: String },
    #[error("a size is needed before its symbols are known: {dim}")]
    UnknownSize { dim: String },
    #[error("guard failed: {what}")]
    Guard { what: String },
    #[error("symbol {symbol} takes {value}, outside {lo}..={hi}")]
    Range { symbol: String, value: i64, lo: i64, hi: String },
    #[error("step {step}: address {address} is outside the buffer's {elements} elements")]
    Address { step: &'static str, address: i64, elements: usize },
    #[error("the plan is malformed: {0}")]
    Malformed(&'static str),
    /// From what else runs kernels.
    #[error("{0}")]
    Kernel(String),
    #[error(transparent)]
    Interpret(#[from] InterpretError),
    #[error(transparent)]
    Eval(#[from] EvalError),
    #[error(transparent)]
    Host(#[from] graph::host::HostError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// What runs a kernel: for values of its parameters, on dense operands.
pub type KernelRunner<'a> = &'a dyn Fn(&Kernel, &[i64], &[Tensor]) -> Result<Vec<Tensor>, EvalPlanError>;

/// Runs a plan on its inputs' values.
pub fn eval_plan<C>(plan: &Plan<C>, inputs: &[Datum], options: Options) -> Result<Vec<Datum>, EvalPlanError> {
    eval_plan_with(plan, inputs, options, &|kernel, sizes, operands| Ok(nest::interpret::run(kernel, sizes, operands)?))
}

/// As [`eval_plan`], with something else that runs kernels.
pub fn eval_plan_with<C>(
    plan: &Plan<C>,
    inputs: &[Datum],
    options: Options,
    kernels: KernelRunner<'_>,
) -> Result<Vec<Datum>, EvalPlanError> {
    if inputs.len() != plan.inputs.len() {
        return Err(EvalPlanError::Inputs { expected: plan.inputs.len(), found: inputs.len() });
    }
    let mut run = Run { plan, kernels, bindings: Bindings::default(), memory: Memory::default() };
    for (border, datum) in plan.inputs.iter().zip(inputs) {
        run.bind_input(&border.name, &border.ty, datum)?;
    }
    run.memory = Memory::new(plan, &run.bindings, options.poison)?;
    for (border, datum) in plan.inputs.iter().zip(inputs) {
        run.write(&border.view, datum.clone())?;
    }
    for (index, weight) in plan.weights.iter().enumerate() {
        let tensor = weight_tensor(&weight.source)?;
        run.memory.set_weight(plan, index, &tensor)?;
    }
    run.block(&plan.body)?;
    plan.outputs.iter().map(|o| run.read(&o.view)).collect()
}

/// The contents of a weight.
pub fn weight_tensor(source: &Source) -> Result<Tensor, EvalPlanError> {
    Contents::of(source)?.to_tensor()
}

struct Run<'a, C> {
    plan: &'a Plan<C>,
    kernels: KernelRunner<'a>,
    bindings: Bindings,
    memory: Memory,
}

impl<C> Run<'_, C> {
    fn bind_input(&mut self, name: &str, ty: &Type, datum: &Datum) -> Result<(), EvalPlanError> {
        let (Some(ty), Some(tensor)) = (ty.as_tensor(), datum.as_tensor()) else { return Ok(()) };
        let wrong = || EvalPlanError::Input {
            name: name.to_string(),
            expected: format!("{}{:?}", ty.dtype, ty.shape),
            found: datum.describe(),
        };
        if ty.dtype != tensor.dtype() || ty.rank() != tensor.shape().len() {
            return Err(wrong());
        }
        for (dim, extent) in ty.shape.iter().zip(tensor.shape()) {
            let extent = *extent as i64;
            match dim.as_symbol() {
                Some(id) if self.bindings.get(id).is_none() => self.set(id, extent)?,
                _ if self.bindings.dim(dim).is_some_and(|v| v != extent) => return Err(wrong()),
                _ => {}
            }
        }
        Ok(())
    }

    fn set(&mut self, id: SymId, value: i64) -> Result<(), EvalPlanError> {
        if let Some(symbol) = self.plan.symbols.get(id)
            && (value < symbol.lo || symbol.hi.is_some_and(|hi| value > hi))
        {
            let hi = symbol.hi.map_or_else(String::new, |h| h.to_string());
            return Err(EvalPlanError::Range { symbol: symbol.name.clone(), value, lo: symbol.lo, hi });
        }
        self.bindings.set(id, value);
        Ok(())
    }

    fn size(&self, dim: &Dim) -> Result<i64, EvalPlanError> {
        self.bindings.dim(dim).ok_or_else(|| EvalPlanError::UnknownSize { dim: format!("{dim:?}") })
    }

    fn read(&self, view: &View) -> Result<Datum, EvalPlanError> {
        self.memory.read(self.plan, view, &self.bindings)
    }

    fn read_tensor(&self, view: &View) -> Result<Tensor, EvalPlanError> {
        self.read(view)?.as_tensor().cloned().ok_or(EvalPlanError::Malformed("a step reads a tensor, found an object"))
    }

    fn read_scalar(&self, view: &View) -> Result<i64, EvalPlanError> {
        let first = self.read_tensor(view)?.get(0);
        first.map(Scalar::as_i64).ok_or(EvalPlanError::Malformed("a scalar is empty"))
    }

    fn write(&mut self, view: &View, datum: Datum) -> Result<(), EvalPlanError> {
        self.memory.write(self.plan, view, datum, &self.bindings)
    }

    fn block(&mut self, block: &Block) -> Result<(), EvalPlanError> {
        block.steps.iter().try_for_each(|s| self.step(&s.action))
    }

    fn step(&mut self, action: &Action) -> Result<(), EvalPlanError> {
        match action {
            Action::Launch(launch) => self.launch(launch),
            Action::Copy { from, to } => {
                let value = self.read(from)?;
                self.write(to, value)
            }
            Action::Clear { buffer } => self.memory.clear(self.plan, *buffer, &self.bindings),
            Action::Host(call) => self.host(call),
            Action::ReadBack { reads } => {
                let values = reads.iter().map(|(from, _)| self.read_scalar(from)).collect::<Result<Vec<_>, _>>()?;
                reads.iter().zip(values).try_for_each(|((_, symbol), value)| self.set(*symbol, value))
            }
            Action::Let { symbol, value } => {
                let value = self.size(value)?;
                self.set(*symbol, value)
            }
            Action::Check { guard } => {
                let guard = self.plan.guards.get(*guard).ok_or(EvalPlanError::Malformed("no such guard"))?;
                match guard.pred.eval(&|s| self.bindings.get(s)) {
                    Some(true) => Ok(()),
                    Some(false) => Err(EvalPlanError::Guard { what: guard.what.clone() }),
                    None => Err(EvalPlanError::UnknownSize { dim: format!("{:?}", guard.pred) }),
                }
            }
            Action::Loop(step) => self.run_loop(step),
            Action::If(step) => {
                let found = match &step.condition {
                    Condition::Value(view) => self.read_scalar(view)?,
                    Condition::Size(size) => self.size(size)?,
                };
                if found != 0 { self.block(&step.then_block) } else { self.block(&step.else_block) }
            }
        }
    }

    fn launch(&mut self, launch: &Launch) -> Result<(), EvalPlanError> {
        let code = self.plan.codes.get(launch.code.0 as usize).ok_or(EvalPlanError::Malformed("no such code"))?;
        if launch.reads.iter().any(|r| launch.writes.iter().any(|w| w.buffer == r.buffer)) {
            return Err(EvalPlanError::Malformed("a launch reads a buffer that it writes"));
        }
        let results = match code {
            Code::Kernel(kernel) => {
                let sizes = launch.sizes.iter().map(|d| self.size(d)).collect::<Result<Vec<_>, _>>()?;
                let operands = launch.reads.iter().map(|v| self.read_tensor(v)).collect::<Result<Vec<_>, _>>()?;
                (self.kernels)(kernel, &sizes, &operands)?.into_iter().map(Datum::Tensor).collect()
            }
            Code::Claimed(claimed) => {
                let meaning = launch.meaning.as_ref().ok_or(EvalPlanError::Malformed("a claim without a meaning"))?;
                let derived = claimed.operands..claimed.operands + claimed.derived;
                let operands = launch
                    .reads
                    .iter()
                    .enumerate()
                    .filter(|(k, _)| !derived.contains(k))
                    .map(|(_, v)| self.read(v))
                    .collect::<Result<Vec<_>, _>>()?;
                graph::eval::graph(meaning, &operands, &mut self.bindings)?
            }
        };
        launch.writes.iter().zip(results).try_for_each(|(view, value)| self.write(view, value))
    }

    fn host(&mut self, call: &HostCall) -> Result<(), EvalPlanError> {
        let operands = call.operands.iter().map(|v| self.read(v)).collect::<Result<Vec<_>, _>>()?;
        let results = (call.op.eval)(&call.attrs, &operands)?;
        for (ty, value) in call.result_types.iter().zip(&results) {
            let (Some(ty), Some(tensor)) = (ty.as_tensor(), value.as_tensor()) else { continue };
            for (dim, extent) in ty.shape.iter().zip(tensor.shape()) {
                if let Some(symbol) = dim.as_symbol().filter(|s| call.binds.contains(s)) {
                    self.set(symbol, *extent as i64)?;
                }
            }
        }
        call.results.iter().zip(results).try_for_each(|(view, value)| self.write(view, value))
    }

    fn run_loop(&mut self, step: &LoopStep) -> Result<(), EvalPlanError> {
        let first =
            step.first.iter().map(|(s, d)| Ok((*s, self.size(d)?))).collect::<Result<Vec<_>, EvalPlanError>>()?;
        for (symbol, value) in first {
            self.set(symbol, value)?;
        }
        let trip = step.trip.as_ref().map(|d| self.size(d)).transpose()?;
        let limit = step.limit.as_ref().map(|v| self.read_scalar(v)).transpose()?;
        let end = trip.unwrap_or(i64::MAX).min(limit.unwrap_or(i64::MAX));
        let mut count = 0;
        while count < end {
            if let Some(condition) = &step.condition
                && self.read_scalar(condition)? == 0
            {
                break;
            }
            self.set(step.counter, count)?;
            self.block(&step.body)?;
            let moved = step.carry.iter().map(|c| self.read(&c.from)).collect::<Result<Vec<_>, _>>()?;
            let next =
                step.next.iter().map(|(s, d)| Ok((*s, self.size(d)?))).collect::<Result<Vec<_>, EvalPlanError>>()?;
            for (carry, value) in step.carry.iter().zip(moved) {
                self.write(&carry.to, value)?;
            }
            for (symbol, value) in next {
                self.set(symbol, value)?;
            }
            count += 1;
        }
        match step.count {
            Some(symbol) => self.set(symbol, count),
            None => Ok(()),
        }
    }
}

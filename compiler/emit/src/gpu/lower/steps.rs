//! Steps: blocks as spans of one list, those of loops and choices behind the step that they belong to.

use graph::dim::{Dim, SymId};
use graph::dtype::DType;
use graph::node::OriginId;
use plan::plan::{self as planned, Block, HostCall, IfStep, LoopStep, View};
use runtime_min::gpu::program::{Action, Assign, Bind, Condition, ReadScalar, Scalar, Set, Span, Step};

use super::buffers::buf;
use super::{HostEntry, Lowering};
use crate::error::EmitError;
use crate::names::one_line;
use crate::slots::is_object;

/// The steps of a block under construction.
#[derive(Default)]
pub(super) struct Lines {
    steps: Vec<Step>,
    /// The plan's steps that they stem from; those added last may have none yet.
    planned: Vec<u32>,
    /// Blocks inside: the step that they belong to.
    inner: Vec<(usize, Vec<Lines>)>,
}

impl Lines {
    pub fn push(&mut self, action: Action, node: u32) {
        self.steps.push(Step { action, node });
    }
}

impl<C> Lowering<'_, '_, '_, C> {
    /// Puts a block at the end of the list, and what is inside it behind.
    pub(super) fn place(&mut self, lines: Lines) -> Span {
        let start = self.steps.len();
        self.steps.extend(lines.steps);
        self.planned.extend(lines.planned);
        self.planned.resize(self.steps.len(), u32::MAX);
        let span = Span { start: start as u32, end: self.steps.len() as u32 };
        for (at, blocks) in lines.inner {
            let spans: Vec<Span> = blocks.into_iter().map(|b| self.place(b)).collect();
            let Some(step) = self.steps.get_mut(start + at) else { continue };
            match (&mut step.action, spans.as_slice()) {
                (Action::Loop { body, .. }, [only]) => *body = *only,
                (Action::If { then_block, else_block, .. }, [first, second]) => {
                    (*then_block, *else_block) = (*first, *second);
                }
                _ => {}
            }
        }
        span
    }

    pub(super) fn block(&mut self, block: &Block) -> Result<Lines, EmitError> {
        let mut lines = Lines::default();
        for step in &block.steps {
            let number = self.number;
            self.number += 1;
            self.step(&mut lines, step)?;
            lines.planned.resize(lines.steps.len(), number);
        }
        Ok(lines)
    }

    fn step(&mut self, lines: &mut Lines, step: &planned::Step) -> Result<(), EmitError> {
        let origins = step.origins.as_slice();
        match &step.action {
            planned::Action::Launch(launch) => {
                let node = self.node(origins, "launch");
                self.launch(lines, launch, node)
            }
            planned::Action::Copy { from, to } => self.copy(lines, from, to, origins),
            planned::Action::Clear { buffer } => self.clear(lines, *buffer, origins),
            planned::Action::Host(call) => self.host(lines, call, origins),
            planned::Action::ReadBack { reads } => {
                let node = self.node(origins, "read back");
                let mut values = Vec::with_capacity(reads.len());
                for (from, symbol) in reads {
                    let (from, scalar) = (self.start(from)?, self.scalar(from)?);
                    values.push(ReadScalar { from, scalar, set: self.set(*symbol) });
                }
                lines.push(Action::ReadBack { values: values.into() }, node);
                Ok(())
            }
            planned::Action::Let { symbol, value } => {
                let node = self.node(origins, "let");
                let values = self.assign(&[(*symbol, value.clone())])?;
                lines.push(Action::Let { values: values.into() }, node);
                Ok(())
            }
            planned::Action::Check { guard } => {
                let Some(known) = self.plan.guards.get(*guard) else { return Ok(()) };
                self.checked.push(*guard);
                // The others are checked when the sizes are prepared.
                if !self.sizes.pred_known_at_start(&known.pred) {
                    let node = self.node(known.origin.as_slice(), "check");
                    lines.push(Action::Check { guard: *guard as u32 }, node);
                }
                Ok(())
            }
            planned::Action::Loop(inner) => self.repeat(lines, inner, origins),
            planned::Action::If(inner) => self.choose(lines, inner, origins),
        }
    }

    pub(super) fn copy(
        &mut self,
        lines: &mut Lines,
        from: &View,
        to: &View,
        origins: &[OriginId],
    ) -> Result<(), EmitError> {
        let node = self.node(origins, "copy");
        let buffer = self.buffer(to.buffer)?;
        let dtype = buffer.dtype;
        if is_object(buffer) {
            lines.push(Action::CopyObject { from: buf(from.buffer), to: buf(to.buffer) }, node);
            return Ok(());
        }
        self.grow(lines, to, node)?;
        let bytes = self.packed_bytes(dtype, &Dim::product(&from.shape))?;
        let (from, to) = (self.start(from)?, self.start(to)?);
        lines.push(Action::Copy { from, to, bytes }, node);
        Ok(())
    }

    fn clear(&mut self, lines: &mut Lines, buffer: planned::BufferId, origins: &[OriginId]) -> Result<(), EmitError> {
        let node = self.node(origins, "clear");
        let (dtype, elements) = (self.buffer(buffer)?.dtype, self.buffer(buffer)?.elements.clone());
        let shape = vec![elements.clone()];
        let whole = View { buffer, access: nest::layout::Access::dense(&shape), shape };
        self.grow(lines, &whole, node)?;
        let bytes = self.packed_bytes(dtype, &elements)?;
        let to = self.start(&whole)?;
        lines.push(Action::Clear { to, bytes }, node);
        Ok(())
    }

    fn host(&mut self, lines: &mut Lines, call: &HostCall, origins: &[OriginId]) -> Result<(), EmitError> {
        let node = self.node(origins, "host");
        let number = self.host_entry(HostEntry::Operator { op: call.op, attrs: call.attrs.clone() });
        let operands = call.operands.iter().map(|v| self.host_view(v)).collect::<Result<Vec<_>, _>>()?;
        let mut binds = Vec::new();
        for symbol in &call.binds {
            let (result, axis) = self.source_of(call, *symbol)?;
            binds.push(Bind { result, axis, set: self.set(*symbol) });
        }
        let results = call.results.iter().map(|v| self.host_view(v)).collect::<Result<Vec<_>, _>>()?;
        let (operands, results, binds) = (operands.into(), results.into(), binds.into());
        lines.push(Action::Host { call: number, operands, results, binds }, node);
        Ok(())
    }

    /// The result and axis whose extent a symbol is.
    fn source_of(&self, call: &HostCall, symbol: SymId) -> Result<(u32, u32), EmitError> {
        for (k, ty) in call.result_types.iter().enumerate() {
            let shape = ty.as_tensor().map_or(&[][..], |t| t.shape.as_slice());
            if let Some(axis) = shape.iter().position(|d| d.as_symbol() == Some(symbol)) {
                return Ok((k as u32, axis as u32));
            }
        }
        let name = self.sizes.symbols().get(symbol).map_or_else(String::new, |s| s.name.clone());
        Err(EmitError::HostBind { op: call.op.name, symbol: name })
    }

    fn repeat(&mut self, lines: &mut Lines, step: &LoopStep, origins: &[OriginId]) -> Result<(), EmitError> {
        let node = self.node(origins, "loop");
        let mut body = self.block(&step.body)?;
        for carry in &step.carry {
            self.copy(&mut body, &carry.from, &carry.to, origins)?;
        }
        let action = Action::Loop {
            counter: self.set(step.counter),
            trip: step.trip.as_ref().map(|d| self.sizes.dim(d)).transpose()?,
            limit: step.limit.as_ref().map(|v| self.start(v)).transpose()?,
            condition: step.condition.as_ref().map(|v| self.start(v)).transpose()?,
            first: self.assign(&step.first)?.into(),
            body: Span::default(),
            next: self.assign(&step.next)?.into(),
            count: step.count.map(|c| self.set(c)),
        };
        lines.inner.push((lines.steps.len(), vec![body]));
        lines.push(action, node);
        Ok(())
    }

    fn choose(&mut self, lines: &mut Lines, step: &IfStep, origins: &[OriginId]) -> Result<(), EmitError> {
        let node = self.node(origins, "condition");
        let condition = match &step.condition {
            planned::Condition::Value(view) => Condition::Value(self.start(view)?),
            planned::Condition::Size(size) => Condition::Size(self.sizes.dim(size)?),
        };
        let blocks = vec![self.block(&step.then_block)?, self.block(&step.else_block)?];
        lines.inner.push((lines.steps.len(), blocks));
        let (then_block, else_block) = (Span::default(), Span::default());
        lines.push(Action::If { condition, then_block, else_block }, node);
        Ok(())
    }

    fn set(&mut self, symbol: SymId) -> Set {
        let texts = &mut self.kept.texts;
        self.sizes.set(symbol, &mut |text| texts.leak(&one_line(text)))
    }

    fn assign(&mut self, pairs: &[(SymId, Dim)]) -> Result<Vec<Assign>, EmitError> {
        pairs
            .iter()
            .map(|(symbol, value)| Ok(Assign { value: self.sizes.dim(value)?, set: self.set(*symbol) }))
            .collect()
    }

    /// The width of a scalar that is read back.
    fn scalar(&self, view: &View) -> Result<Scalar, EmitError> {
        Ok(match self.buffer(view.buffer)?.dtype {
            DType::Bool => Scalar::Bool,
            DType::I32 => Scalar::I32,
            _ => Scalar::I64,
        })
    }
}

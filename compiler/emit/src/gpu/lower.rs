//! A plan as the tables of a program.
//!
//! Sizes become straight-line code ([`sizes`]), buffers keep their numbers ([`buffers`]), steps become spans of one list
//! ([`steps`]), launches what the target says ([`launches`]). Everything is gone through twice: see [`sizes`].

mod buffers;
mod launches;
mod sizes;
mod steps;

use std::collections::BTreeMap;

use graph::attrs::Attrs;
use graph::dim::SymId;
use graph::host::HostOp;
use graph::symbol::SymSource;
use nest::kernel::Kernel as NestKernel;
use plan::plan::{Code, Place, Plan};
use runtime_min::error::Node;
use runtime_min::gpu::program::{
    Bound, Buffer, Guard, InputPort, Kernel, Memory, Module, OutputPort, Point, Program, Span, Step,
};

use crate::error::EmitError;
use crate::gpu::target::{GpuTarget, Kernels};
use crate::names::one_line;
use crate::size::SizeTable;
use crate::slots::Slot;
use crate::steps::describe;
use sizes::SizeCode;

/// A program, and what it needs from the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Lowered {
    pub program: Program,
    /// What `Host` steps call, by number.
    pub hosts: Vec<HostEntry>,
    /// Of each of the program's steps, the number of the plan's step that it stems from: those of a block in order, those
    /// inside a step behind it. `u32::MAX` where there is none.
    pub planned: Vec<u32>,
}

/// Something that the host runs.
#[derive(Clone, Debug, PartialEq)]
pub enum HostEntry {
    Operator {
        op: &'static HostOp,
        attrs: Attrs,
    },
    /// A kernel of constant sizes over strings. Operands and results that are no strings are whole buffers.
    Kernel(Box<NestKernel>),
}

/// Lowers a plan; `weights` are the places of its weights.
pub fn lower<C>(plan: &Plan<C>, target: &dyn GpuTarget<C>, weights: &[Slot]) -> Result<Lowered, EmitError> {
    let kernels = plan.codes.iter().map(|code| gpu_kernels(code, target)).collect::<Result<Vec<_>, _>>()?;
    let mut code = SizeCode::new(&plan.symbols, extents(plan));
    let mut kept = Kept::default();
    Lowering::new(plan, weights, &kernels, &mut code, &mut kept).run(target)?;
    code.settle();
    let mut lowered = Lowering::new(plan, weights, &kernels, &mut code, &mut kept).run(target)?;
    let (ops, prepared, slots) = code.finish();
    lowered.program.sizes = ops.into();
    lowered.program.prepared = prepared;
    lowered.program.slots = slots;
    lowered.program.verify().map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        EmitError::Program { problems: problems.join("; ") }
    })?;
    Ok(lowered)
}

/// The kernels of a code; none for what the host runs.
fn gpu_kernels<C>(code: &Code<C>, target: &dyn GpuTarget<C>) -> Result<Option<Kernels>, EmitError> {
    if runs_on_host(code) { Ok(None) } else { target.kernels(code).map(Some) }
}

/// Whether a code moves strings, and has no kernels.
pub fn runs_on_host<C>(code: &Code<C>) -> bool {
    let strings = |kernel: &NestKernel| {
        kernel.operands.iter().chain(&kernel.results).any(|p| p.dtype == graph::dtype::DType::Str)
    };
    matches!(code, Code::Kernel(kernel) if strings(kernel))
}

/// Where the values of input symbols are found.
fn extents<C>(plan: &Plan<C>) -> BTreeMap<SymId, (u32, u32)> {
    let mut out = BTreeMap::new();
    let mut given = 0;
    for border in &plan.inputs {
        let buffer = plan.buffers.get(border.view.buffer.0 as usize);
        if buffer.is_some_and(|b| matches!(b.place, Place::State(_))) {
            continue;
        }
        for (axis, dim) in border.ty.as_tensor().map_or(&[][..], |t| t.shape.as_slice()).iter().enumerate() {
            let symbol = dim.as_symbol();
            let input = |id: &SymId| plan.symbols.get(*id).is_some_and(|s| s.source == SymSource::Input);
            if let Some(id) = symbol.filter(input) {
                out.entry(id).or_insert((given, axis as u32));
            }
        }
        given += 1;
    }
    out
}

/// Texts of a program: they live as long as the process, as a program's errors do, and each is kept once.
#[derive(Default)]
struct Texts {
    known: BTreeMap<String, &'static str>,
}

impl Texts {
    fn leak(&mut self, text: &str) -> &'static str {
        if let Some(known) = self.known.get(text) {
            return known;
        }
        let leaked: &'static str = Box::leak(text.to_string().into_boxed_str());
        self.known.insert(text.to_string(), leaked);
        leaked
    }
}

/// What the first round of lowering leaves to the second.
#[derive(Default)]
struct Kept {
    texts: Texts,
    /// By the number of a step and of its kernel: whether the launch is ruled out.
    never: BTreeMap<(u32, usize), bool>,
}

/// The tables under construction.
struct Lowering<'a, 's, 'p, C> {
    plan: &'p Plan<C>,
    weights: &'a [Slot],
    codes: &'a [Option<Kernels>],
    sizes: &'a mut SizeCode<'s>,
    kept: &'a mut Kept,
    /// Names of sizes in texts.
    table: SizeTable<'p>,
    /// Number among the program's inputs, for inputs that are no states.
    given: BTreeMap<usize, u32>,
    buffers: Vec<Buffer>,
    objects: u32,
    constants: u32,
    /// Objects of states and outputs, so that all buffers of one place share one.
    object_places: BTreeMap<(bool, usize), u32>,
    modules: Vec<Module>,
    kernels: Vec<Kernel>,
    nodes: Vec<Node>,
    steps: Vec<Step>,
    planned: Vec<u32>,
    /// The next step of the plan.
    number: u32,
    hosts: Vec<HostEntry>,
    /// Guards that some step checks.
    checked: Vec<usize>,
}

impl<'a, 's, 'p, C> Lowering<'a, 's, 'p, C> {
    fn new(
        plan: &'p Plan<C>,
        weights: &'a [Slot],
        codes: &'a [Option<Kernels>],
        sizes: &'a mut SizeCode<'s>,
        kept: &'a mut Kept,
    ) -> Self {
        let mut given = BTreeMap::new();
        for (position, border) in plan.inputs.iter().enumerate() {
            let buffer = plan.buffers.get(border.view.buffer.0 as usize);
            if !buffer.is_some_and(|b| matches!(b.place, Place::State(_))) {
                given.insert(position, given.len() as u32);
            }
        }
        Lowering {
            plan,
            weights,
            codes,
            sizes,
            kept,
            table: SizeTable::new(&plan.symbols),
            given,
            buffers: Vec::new(),
            objects: 0,
            constants: 0,
            object_places: BTreeMap::new(),
            modules: Vec::new(),
            kernels: Vec::new(),
            nodes: Vec::new(),
            steps: Vec::new(),
            planned: Vec::new(),
            number: 0,
            hosts: Vec::new(),
            checked: Vec::new(),
        }
    }

    fn run(mut self, target: &dyn GpuTarget<C>) -> Result<Lowered, EmitError> {
        if !self.sizes.known_at_start(&self.plan.arena) {
            return Err(EmitError::Arena { size: self.table.text(&self.plan.arena) });
        }
        self.place_buffers()?;
        let bounds = self.bounds()?;
        let inputs = self.inputs()?;
        let outputs = self.outputs()?;
        let states = self.states()?;
        let arena = self.memory(&self.plan.arena.clone())?;
        let body = self.body()?;
        let guards = self.guards()?;
        let points = self.points(&inputs);
        let program = Program {
            name: self.kept.texts.leak(&one_line(&self.plan.name)),
            target: target.architecture(),
            sizes: Vec::new().into(),
            prepared: 0,
            slots: 0,
            bounds: bounds.into(),
            guards: guards.into(),
            inputs: inputs.into(),
            outputs: outputs.into(),
            states: states.into(),
            arena,
            buffers: self.buffers.into(),
            objects: self.objects,
            constants: self.constants,
            modules: self.modules.into(),
            kernels: self.kernels.into(),
            maps: Vec::new().into(),
            nodes: self.nodes.into(),
            steps: self.steps.into(),
            body,
            points: points.into(),
        };
        Ok(Lowered { program, hosts: self.hosts, planned: self.planned })
    }

    /// The number of a step's nodes.
    fn node(&mut self, origins: &[graph::node::OriginId], kind: &str) -> u32 {
        let (name, op) = describe(&self.plan.origins, origins, kind);
        let node = Node { name: self.kept.texts.leak(&name), op: self.kept.texts.leak(&op) };
        let known = self.nodes.iter().rposition(|n| *n == node);
        known.unwrap_or_else(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        }) as u32
    }

    /// Ranges of the symbols that inputs give.
    fn bounds(&mut self) -> Result<Vec<Bound>, EmitError> {
        let mut out = Vec::new();
        for id in extents(self.plan).keys() {
            let Some(symbol) = self.plan.symbols.get(*id) else { continue };
            let value = self.sizes.dim(&graph::dim::Dim::symbol(*id))?;
            let name = self.kept.texts.leak(&one_line(&symbol.name));
            out.push(Bound { symbol: name, value, lo: symbol.lo, hi: symbol.hi });
        }
        Ok(out)
    }

    fn guards(&mut self) -> Result<Vec<Guard>, EmitError> {
        let mut out = Vec::new();
        for (k, guard) in self.plan.guards.iter().enumerate() {
            if !self.sizes.pred_known_at_start(&guard.pred) && !self.checked.contains(&k) {
                return Err(EmitError::Unchecked { what: guard.what.clone() });
            }
            let holds = self.sizes.condition(&guard.pred)?;
            let what = self.kept.texts.leak(&one_line(&guard.what));
            let node = guard.origin.map(|origin| self.node(&[origin], "guard"));
            out.push(Guard { holds, what, node });
        }
        Ok(out)
    }

    fn inputs(&mut self) -> Result<Vec<InputPort>, EmitError> {
        let mut out = Vec::new();
        for position in self.given.keys().copied().collect::<Vec<_>>() {
            let Some(border) = self.plan.inputs.get(position) else { continue };
            let buffer = self.buffer(border.view.buffer)?.clone();
            let object = crate::slots::is_object(&buffer);
            let shape = border.ty.as_tensor().map_or(&[][..], |t| t.shape.as_slice());
            let dims = shape.iter().map(|d| self.sizes.dim(d)).collect::<Result<Vec<_>, _>>()?;
            let kind = border.ty.as_tensor().map_or_else(String::new, |t| format!("{} ", t.dtype));
            let text = format!("{kind}{}", crate::plan_file::type_text(&self.table, &border.ty));
            let memory = if object { Memory { bytes: None, most: None } } else { self.memory_of(&buffer)? };
            out.push(InputPort {
                name: self.kept.texts.leak(&one_line(&border.name)),
                expected: self.kept.texts.leak(&text),
                dtype: (!object).then(|| buffers::datum_dtype(buffer.dtype)),
                dims: dims.into(),
                memory,
            });
        }
        Ok(out)
    }

    fn outputs(&mut self) -> Result<Vec<OutputPort>, EmitError> {
        let mut out = Vec::new();
        for border in &self.plan.outputs {
            let buffer = self.buffer(border.view.buffer)?.clone();
            let object = crate::slots::is_object(&buffer);
            let dims = border.view.shape.iter().map(|d| self.sizes.dim(d)).collect::<Result<Vec<_>, _>>()?;
            let own = matches!(buffer.place, Place::Output(_)) && !object;
            if !object && !border.view.access.offset.is(0) {
                return Err(EmitError::Output { name: border.name.clone() });
            }
            out.push(OutputPort {
                name: self.kept.texts.leak(&one_line(&border.name)),
                dtype: (!object).then(|| buffers::datum_dtype(buffer.dtype)),
                dims: dims.into(),
                buffer: buffers::buf(border.view.buffer),
                memory: if own { self.memory_of(&buffer)? } else { Memory { bytes: None, most: Some(0) } },
            });
        }
        Ok(out)
    }

    fn states(&mut self) -> Result<Vec<Memory>, EmitError> {
        let mut out = Vec::new();
        for state in &self.plan.states {
            let border = self.plan.inputs.get(state.input);
            let id = border.map(|b| b.view.buffer);
            let id = id.ok_or(EmitError::NoBuffer { buffer: u32::MAX, count: self.plan.buffers.len() })?;
            let buffer = self.buffer(id)?.clone();
            let object = crate::slots::is_object(&buffer);
            out.push(if object { Memory { bytes: None, most: None } } else { self.memory_of(&buffer)? });
        }
        Ok(out)
    }

    /// The one shape that there is, where all extents are known.
    fn points(&self, inputs: &[InputPort]) -> Vec<Point> {
        let borders = self.given.keys().filter_map(|k| self.plan.inputs.get(*k));
        let shapes = borders.filter(|b| inputs.len() == self.given.len() && b.ty.as_tensor().is_some());
        let extents: Option<Vec<i64>> = shapes
            .flat_map(|b| b.ty.as_tensor().map_or(&[][..], |t| t.shape.as_slice()))
            .map(|d| d.as_const())
            .collect();
        extents.map(|dims| Point { dims: dims.into() }).into_iter().collect()
    }

    /// All steps: the plan's, then the moves of outputs that replace states.
    fn body(&mut self) -> Result<Span, EmitError> {
        let plan = self.plan;
        let mut block = self.block(&plan.body)?;
        for state in &plan.states {
            let (Some(input), Some(output)) = (plan.inputs.get(state.input), plan.outputs.get(state.output)) else {
                continue;
            };
            let mut to = input.view.clone();
            to.shape.clone_from(&output.view.shape);
            self.copy(&mut block, &output.view, &to, &[])?;
        }
        Ok(self.place(block))
    }
}

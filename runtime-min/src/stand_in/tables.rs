//! Programs under construction, for tests that write them by hand.

use std::borrow::Cow;

use crate::datum::DType;
use crate::error::Node;
use crate::gpu::program::{
    Action, Arg, Buf, Buffer, InputPort, Kernel, Memory, Module, OutputPort, Place, Program, Size, SizeOp, Span, Step,
    Target,
};

/// Tables under construction.
pub struct Build {
    pub program: Program,
    sizes: Vec<SizeOp>,
    buffers: Vec<Buffer>,
    steps: Vec<Step>,
}

/// No bytes but those that steps ask for.
pub const NONE: Memory = Memory { bytes: None, most: None };

impl Build {
    /// A program of these kernels, with two nodes.
    pub fn new(name: &'static str, target: Target, modules: Vec<Module>, kernels: Vec<Kernel>) -> Build {
        let program = Program {
            name,
            target,
            sizes: Cow::default(),
            prepared: 0,
            slots: 0,
            bounds: Cow::default(),
            guards: Cow::default(),
            inputs: Cow::default(),
            outputs: Cow::default(),
            states: Cow::default(),
            arena: NONE,
            buffers: Cow::default(),
            objects: 0,
            constants: 0,
            modules: modules.into(),
            kernels: kernels.into(),
            maps: Cow::default(),
            nodes: vec![Node { name: "n0", op: "First" }, Node { name: "n1", op: "Second" }].into(),
            steps: Cow::default(),
            body: Span::default(),
            points: Cow::default(),
        };
        Build { program, sizes: Vec::new(), buffers: Vec::new(), steps: Vec::new() }
    }

    /// The next size.
    pub fn size(&mut self, op: SizeOp) -> Size {
        self.sizes.push(op);
        Size(self.sizes.len() as u32 - 1)
    }

    /// A constant size.
    pub fn constant(&mut self, value: i64) -> Size {
        self.size(SizeOp::Const(value))
    }

    /// The next buffer.
    pub fn buffer(&mut self, bytes: Size, place: Place) -> Buf {
        self.buffers.push(Buffer { bytes, place });
        Buf(self.buffers.len() as u32 - 1)
    }

    /// An input of f32.
    pub fn input(&mut self, name: &'static str, dims: &[Size], memory: Memory) {
        let port = InputPort { name, expected: "f32 [n]", dtype: Some(DType::F32), dims: dims.to_vec().into(), memory };
        self.program.inputs.to_mut().push(port);
    }

    /// An output at the start of a buffer.
    pub fn output(&mut self, name: &'static str, dtype: DType, dims: &[Size], buffer: Buf, memory: Memory) {
        let port = OutputPort { name, dtype: Some(dtype), dims: dims.to_vec().into(), buffer, memory };
        self.program.outputs.to_mut().push(port);
    }

    /// The next step; the first is of node 0, the others of node 1.
    pub fn step(&mut self, action: Action) -> u32 {
        let node = u32::from(!self.steps.is_empty());
        self.steps.push(Step { action, node });
        self.steps.len() as u32 - 1
    }

    /// A launch of one CTA of the entry at this position.
    pub fn launch(&mut self, kernel: u32, one: Size, zero: Size, args: Vec<Arg>) -> u32 {
        self.step(Action::Launch { kernel, grid: [one; 3], shared: zero, args: args.into() })
    }

    /// All sizes so far need no slot.
    pub fn prepared(&mut self) {
        self.program.prepared = self.sizes.len() as u32;
    }

    /// The program, its body these steps.
    pub fn finish(mut self, body: Span) -> Program {
        self.program.body = body;
        self.program.sizes = self.sizes.into();
        self.program.buffers = self.buffers.into();
        self.program.steps = self.steps.into();
        self.program
    }
}

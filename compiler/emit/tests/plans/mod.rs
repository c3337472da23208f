//! Hand-built plans, and where their crates are built.

#![allow(dead_code, reason = "each test needs a part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use emit::{Options, WeightMode};
use graph::dim::{Dim, SymId};
use graph::dtype::DType;
use graph::graph::{Guard, Origin};
use graph::node::OriginId;
use graph::symbol::{SymSource, Symbols};
use graph::tensor::Tensor;
use graph::ty::Type;
use nest::kernel::{Body, Kernel};
use nest::layout::Access;
use plan::plan::{
    Action, Block, Border, Buffer, BufferId, Claimed, Code, CodeId, Condition, IfStep, Launch, LoopStep, Place, Plan,
    Source, Step, View, Weight,
};

/// Code of the tests: a function by name.
pub type Snippet = &'static str;

/// A plan under construction.
pub struct Builder {
    pub plan: Plan<Snippet>,
    codes: BTreeMap<Snippet, CodeId>,
    steps: Vec<Step>,
}

impl Builder {
    pub fn new(name: &str) -> Builder {
        let plan = Plan {
            name: name.into(),
            symbols: Symbols::default(),
            guards: Vec::new(),
            origins: vec![Origin { name: "layer/\"1\"".into(), op_type: "Add".into(), domain: String::new() }],
            states: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            weights: Vec::new(),
            buffers: Vec::new(),
            codes: Vec::new(),
            arena: Dim::constant(0),
            body: Block::default(),
        };
        Builder { plan, codes: BTreeMap::new(), steps: Vec::new() }
    }

    pub fn symbol(&mut self, name: &str, hi: Option<i64>, source: SymSource) -> (SymId, Dim) {
        let id = self.plan.symbols.add(name, 0, hi, source);
        (id, Dim::symbol(id))
    }

    pub fn view(&mut self, dtype: DType, shape: &[Dim], place: Place) -> View {
        let elements = Dim::product(shape);
        self.plan.buffers.push(Buffer { dtype, elements, place });
        let buffer = BufferId(self.plan.buffers.len() as u32 - 1);
        View { buffer, shape: shape.to_vec(), access: Access::dense(shape) }
    }

    pub fn arena(&mut self, dtype: DType, shape: &[Dim]) -> View {
        let offset = self.plan.arena.clone();
        let bytes = &Dim::product(shape) * &Dim::constant(i64::from(dtype.bits() / 8));
        let unit = Dim::constant(64);
        let rounded = &self.plan.symbols.ceil_div(&bytes, &unit) * &unit;
        self.plan.arena = &offset + &rounded;
        self.view(dtype, shape, Place::Arena { offset })
    }

    pub fn input(&mut self, name: &str, dtype: DType, shape: &[Dim]) -> View {
        let view = self.view(dtype, shape, Place::Input(self.plan.inputs.len()));
        self.plan.inputs.push(Border { name: name.into(), ty: Type::tensor(dtype, shape), view: view.clone() });
        view
    }

    pub fn output(&mut self, name: &str, dtype: DType, shape: &[Dim]) -> View {
        let view = self.view(dtype, shape, Place::Output(self.plan.outputs.len()));
        self.plan.outputs.push(Border { name: name.into(), ty: Type::tensor(dtype, shape), view: view.clone() });
        view
    }

    pub fn weight(&mut self, values: &[f32]) -> View {
        let tensor = Tensor::from_f32s(values);
        let shape = tensor.shape().to_vec();
        self.plan.weights.push(Weight { name: "w".into(), source: Source::Constant(tensor), dtype: DType::F32, shape });
        let index = self.plan.weights.len() - 1;
        self.view(DType::F32, &[Dim::from(values.len())], Place::Weight(index))
    }

    pub fn step(action: Action) -> Step {
        Step { action, after: Vec::new(), origins: vec![OriginId(0)] }
    }

    pub fn launched(&mut self, code: Snippet, reads: &[&View], write: &View, sizes: &[Dim]) -> Step {
        let epilogue = Kernel { params: 0, operands: Vec::new(), results: Vec::new(), body: Body::Compact };
        let plan = &mut self.plan;
        let id = *self.codes.entry(code).or_insert_with(|| {
            let claimed = Claimed { code, operands: 0, derived: 0, sizes: 0, results: 1, epilogue: Some(epilogue) };
            plan.codes.push(Code::Claimed(claimed));
            CodeId(plan.codes.len() as u32 - 1)
        });
        let reads = reads.iter().map(|v| (*v).clone()).collect();
        let (writes, sizes) = (vec![write.clone()], sizes.to_vec());
        Self::step(Action::Launch(Launch { code: id, reads, writes, sizes, workspace: None, meaning: None }))
    }

    pub fn launch(&mut self, code: Snippet, reads: &[&View], write: &View, sizes: &[Dim]) {
        let step = self.launched(code, reads, write, sizes);
        self.steps.push(step);
    }

    pub fn push(&mut self, action: Action) {
        self.steps.push(Self::step(action));
    }

    pub fn finish(mut self) -> Plan<Snippet> {
        self.plan.body = Block { steps: self.steps };
        self.plan
    }
}

pub fn options(name: &str) -> Options {
    Options {
        name: name.into(),
        source: "test.onnx".into(),
        tool_version: "0.1.0".into(),
        weights: WeightMode::Embed,
        report: "Nothing.".into(),
        golden: None,
    }
}

/// `relu(image + w) + w` over static extents.
pub fn fixed() -> Plan<Snippet> {
    let mut b = Builder::new("fixed");
    let shape = [Dim::constant(2), Dim::constant(3)];
    let (image, logits) = (b.input("image", DType::F32, &shape), b.output("logits", DType::F32, &shape));
    let weight = b.weight(&[1.0, -2.0, 3.0]);
    let (first, second) = (b.arena(DType::F32, &shape), b.arena(DType::F32, &shape));
    b.launch("add", &[&image, &weight], &first, &[]);
    b.launch("relu", &[&first], &second, &[]);
    b.launch("add", &[&second, &weight], &logits, &[]);
    b.finish()
}

/// The same over `batch` rows, then the positive elements, whose number is found while running.
pub fn dynamic() -> Plan<Snippet> {
    let mut b = Builder::new("dynamic");
    let (_, batch) = b.symbol("batch", Some(1000), SymSource::Input);
    let (_, width) = b.symbol("width", None, SymSource::Input);
    let (found_id, found) = b.symbol("found", None, SymSource::Bind);
    let shape = [batch.clone(), Dim::constant(3)];
    let (image, logits) = (b.input("image", DType::F32, &shape), b.output("logits", DType::F32, &shape));
    let _wide = b.input("wide", DType::I64, &[batch.clone(), Dim::constant(1), width.clone()]);
    let picked = b.output("picked", DType::F32, &[found.clone()]);
    let weight = b.weight(&[1.0, -2.0, 3.0]);
    let first = b.arena(DType::F32, &shape);
    let count = b.arena(DType::I64, &[]);
    b.launch("add", &[&image, &weight], &first, &[]);
    b.launch("relu", &[&first], &logits, &[]);
    b.launch("count_positive", &[&first], &count, &[]);
    b.push(Action::ReadBack { reads: vec![(count, found_id)] });
    let growing = b.view(DType::F32, &[found.clone()], Place::Growable);
    b.launch("positive", &[&first], &growing, &[found.clone()]);
    b.push(Action::Copy { from: growing, to: picked });
    b.plan.guards.push(Guard {
        pred: graph::dim::Pred::Divides(Dim::constant(2), batch.clone()),
        origin: Some(OriginId(0)),
        what: "batch is even".into(),
    });
    b.push(Action::Check { guard: 0 });
    b.finish()
}

/// `x + w` three times in a loop; then relu if anything is negative.
pub fn control() -> Plan<Snippet> {
    let mut b = Builder::new("control");
    let (counter, _) = b.symbol("iteration", Some(3), SymSource::Bind);
    let (count, _) = b.symbol("count", None, SymSource::Bind);
    let shape = [Dim::constant(2)];
    let (image, out) = (b.input("x", DType::F32, &shape), b.output("y", DType::F32, &shape));
    let weight = b.weight(&[-1.0, 1.0]);
    let (state, next) = (b.arena(DType::F32, &shape), b.arena(DType::F32, &shape));
    let flag = b.arena(DType::Bool, &[]);
    b.push(Action::Copy { from: image, to: state.clone() });
    let body = b.launched("add", &[&state, &weight], &next, &[]);
    b.push(Action::Loop(LoopStep {
        counter,
        trip: Some(Dim::constant(3)),
        limit: None,
        condition: None,
        first: Vec::new(),
        body: Block { steps: vec![body] },
        carry: vec![plan::plan::Carry { from: next, to: state.clone() }],
        next: Vec::new(),
        count: Some(count),
    }));
    b.launch("any_negative", &[&state], &flag, &[]);
    let then_step = b.launched("relu", &[&state], &out, &[]);
    let else_step = Builder::step(Action::Copy { from: state, to: out });
    b.push(Action::If(IfStep {
        condition: Condition::Value(flag),
        then_block: Block { steps: vec![then_step] },
        else_block: Block { steps: vec![else_step] },
    }));
    b.finish()
}

/// A scratch folder that is removed when dropped.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::env::var_os("KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

pub fn cargo(folder: &Path, target: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(args)
        .args(["--offline", "--quiet"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .env("RUSTFLAGS", "-Dwarnings")
        .env("CARGO_BUILD_JOBS", "1")
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "cargo {args:?} in {}:\n{text}", folder.display());
    text
}

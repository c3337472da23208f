//! Hand-built plans become crates that cargo compiles without warnings and runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use emit::{Call, EmitError, Options, SourceFile, TargetPrinter, WeightMode, emit_crate, emit_modules, write_crate};
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
    Action, Block, Border, Buffer, BufferId, Claimed, Code, CodeId, IfStep, Launch, LoopStep, Place, Plan, Source,
    Step, View, Weight,
};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

/// Code of the tests: a function by name.
type Snippet = &'static str;

/// A target whose kernels are these functions.
struct Snippets;

impl TargetPrinter<Snippet> for Snippets {
    fn name(&self) -> &'static str {
        "snippets"
    }

    fn kernels(&self, _plan: &Plan<Snippet>) -> Result<Vec<SourceFile>, EmitError> {
        let items = quote! {
            pub fn add(a: &[f32], b: &[f32], out: &mut [f32]) -> Result<(), &'static str> {
                if a.len() != out.len() { return Err("lengths differ"); }
                for ((o, a), b) in out.iter_mut().zip(a).zip(b.iter().cycle()) { *o = a + b; }
                Ok(())
            }
            pub fn relu(a: &[f32], out: &mut [f32]) -> Result<(), &'static str> {
                if a.len() != out.len() { return Err("lengths differ"); }
                for (o, a) in out.iter_mut().zip(a) { *o = a.max(0.0); }
                Ok(())
            }
            pub fn count_positive(a: &[f32], out: &mut [i64]) -> Result<(), &'static str> {
                let n = a.iter().filter(|a| **a > 0.0).count();
                for o in out { *o = n as i64; }
                Ok(())
            }
            pub fn positive(a: &[f32], out: &mut [f32], n: i64) -> Result<(), &'static str> {
                for (o, a) in out.iter_mut().zip(a.iter().filter(|a| **a > 0.0)).take(n as usize) { *o = *a; }
                Ok(())
            }
            pub fn any_negative(a: &[f32], out: &mut [u8]) -> Result<(), &'static str> {
                for o in out { *o = u8::from(a.iter().any(|a| *a < 0.0)); }
                Ok(())
            }
        };
        Ok(vec![SourceFile { name: "snippets".into(), items }])
    }

    fn call(&self, plan: &Plan<Snippet>, call: &Call<'_>) -> Result<TokenStream, EmitError> {
        let Code::Claimed(code) = &plan.codes[call.launch.code.0 as usize] else { panic!("no kernels here") };
        let name = format_ident!("{}", code.code);
        let (reads, writes) = (call.reads, call.writes);
        let sizes = call.launch.sizes.iter().map(call.size);
        Ok(quote!(kernels::snippets::#name(#(#reads,)* #(#writes,)* #(#sizes),*)))
    }

    fn runtime_files(&self, _plan: &Plan<Snippet>) -> Vec<&'static str> {
        Vec::new()
    }
}

/// A plan under construction.
struct Builder {
    plan: Plan<Snippet>,
    codes: BTreeMap<Snippet, CodeId>,
    steps: Vec<Step>,
}

impl Builder {
    fn new(name: &str) -> Builder {
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

    fn symbol(&mut self, name: &str, hi: Option<i64>, source: SymSource) -> (SymId, Dim) {
        let id = self.plan.symbols.add(name, 0, hi, source);
        (id, Dim::symbol(id))
    }

    fn view(&mut self, dtype: DType, shape: &[Dim], place: Place) -> View {
        let elements = Dim::product(shape);
        self.plan.buffers.push(Buffer { dtype, elements, place });
        let buffer = BufferId(self.plan.buffers.len() as u32 - 1);
        View { buffer, shape: shape.to_vec(), access: Access::dense(shape) }
    }

    fn arena(&mut self, dtype: DType, shape: &[Dim]) -> View {
        let offset = self.plan.arena.clone();
        let bytes = &Dim::product(shape) * &Dim::constant(i64::from(dtype.bits() / 8));
        let unit = Dim::constant(64);
        let rounded = &self.plan.symbols.ceil_div(&bytes, &unit) * &unit;
        self.plan.arena = &offset + &rounded;
        self.view(dtype, shape, Place::Arena { offset })
    }

    fn input(&mut self, name: &str, dtype: DType, shape: &[Dim]) -> View {
        let view = self.view(dtype, shape, Place::Input(self.plan.inputs.len()));
        self.plan.inputs.push(Border { name: name.into(), ty: Type::tensor(dtype, shape), view: view.clone() });
        view
    }

    fn output(&mut self, name: &str, dtype: DType, shape: &[Dim]) -> View {
        let view = self.view(dtype, shape, Place::Output(self.plan.outputs.len()));
        self.plan.outputs.push(Border { name: name.into(), ty: Type::tensor(dtype, shape), view: view.clone() });
        view
    }

    fn weight(&mut self, values: &[f32]) -> View {
        let tensor = Tensor::from_f32s(values);
        let shape = tensor.shape().to_vec();
        self.plan.weights.push(Weight { name: "w".into(), source: Source::Constant(tensor), dtype: DType::F32, shape });
        let index = self.plan.weights.len() - 1;
        self.view(DType::F32, &[Dim::from(values.len())], Place::Weight(index))
    }

    fn step(action: Action) -> Step {
        Step { action, after: Vec::new(), origins: vec![OriginId(0)] }
    }

    fn launched(&mut self, code: Snippet, reads: &[&View], write: &View, sizes: &[Dim]) -> Step {
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

    fn launch(&mut self, code: Snippet, reads: &[&View], write: &View, sizes: &[Dim]) {
        let step = self.launched(code, reads, write, sizes);
        self.steps.push(step);
    }

    fn push(&mut self, action: Action) {
        self.steps.push(Self::step(action));
    }

    fn finish(mut self) -> Plan<Snippet> {
        self.plan.body = Block { steps: self.steps };
        self.plan
    }
}

fn options(name: &str) -> Options {
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
fn fixed() -> Plan<Snippet> {
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
fn dynamic() -> Plan<Snippet> {
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
    b.push(Action::ReadBack { from: count, symbol: found_id });
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
fn control() -> Plan<Snippet> {
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
        condition: flag,
        then_block: Block { steps: vec![then_step] },
        else_block: Block { steps: vec![else_step] },
    }));
    b.finish()
}

/// A scratch folder that is removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
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

fn cargo(folder: &Path, target: &Path, args: &[&str]) -> String {
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

/// Emits a crate, adds a test of its API, and runs all of its tests.
fn check(plan: &Plan<Snippet>, name: &str, test: &str) {
    let scratch = Scratch::new(name);
    let folder = scratch.0.join("engine");
    let files = emit_crate(plan, &Snippets, &options(name)).unwrap();
    assert_eq!(files, emit_crate(plan, &Snippets, &options(name)).unwrap(), "emission is deterministic");
    write_crate(&folder, &files).unwrap();
    std::fs::write(folder.join("tests/api.rs"), test).unwrap();
    cargo(&folder, &scratch.0.join("target"), &["test", "--all-targets"]);
}

#[test]
fn static_plans_have_nested_arrays() {
    let test = r#"
        use fixed::{Engine, EngineOptions, Input, Inputs};

        #[test]
        fn contract() -> Result<(), fixed::Error> {
            let pixels = [[1.0f32, 1.0, 1.0], [-5.0, 0.0, 2.0]];
            let next = [[0.0f32; 3]; 2];
            let engine = Engine::load(EngineOptions::default())?;
            let mut session = engine.session()?;
            let image = Input::from_slice(&pixels)?;
            let out = session.infer(&Inputs { image })?;
            let scores: &[f32; 3] = &out.logits()[0];
            assert_eq!(scores, &[3.0, -2.0, 7.0]);
            assert_eq!(out.logits()[1], [1.0, -2.0, 8.0]);
            session.inputs_mut().image_mut().copy_from_slice(&next);
            let out = session.run()?;
            assert_eq!(out.logits()[0], [2.0, -2.0, 6.0]);
            Ok(())
        }

        #[test]
        fn too_little_memory_is_an_error() {
            let engine = Engine::load(EngineOptions::default().with_memory_limit(100)).unwrap();
            let mut session = engine.session().unwrap();
            let pixels = [[0.0f32; 3]; 2];
            let outcome = session.infer(&Inputs { image: Input::from_slice(&pixels).unwrap() });
            assert!(matches!(outcome, Err(fixed::Error::Memory { .. })), "{outcome:?}");
        }

        #[test]
        fn sessions_can_be_sent() {
            fn sent<T: Send + 'static>() {}
            fn shared<T: Send + Sync + 'static>() {}
            sent::<fixed::Session>();
            shared::<Engine>();
        }
    "#;
    check(&fixed(), "fixed", test);
}

#[test]
fn large_weights_are_assembled_in() {
    let mut b = Builder::new("large");
    let shape = [Dim::constant(300_000)];
    let (x, y) = (b.input("x", DType::F32, &shape), b.output("y", DType::F32, &shape));
    let weight = b.weight(&vec![1.5; 300_000]);
    b.launch("add", &[&x, &weight], &y, &[]);
    let test = r#"
        use large::{Engine, EngineOptions, Error};

        #[test]
        fn first_and_last() -> Result<(), Error> {
            let engine = Engine::load(EngineOptions::default())?;
            assert_eq!(engine.info().weight_bytes % 256, 0);
            let out = engine.session()?.run()?.y().to_vec();
            assert_eq!((out[0], out[299_999]), (1.5, 1.5));
            let missing = Engine::load(EngineOptions::default().with_weights("no-such-file.bin"));
            assert!(matches!(missing, Err(Error::Weights { .. })));
            Ok(())
        }
    "#;
    check(&b.finish(), "large", test);
}

#[test]
fn symbolic_extents_are_checked_once() {
    let test = r#"
        use dynamic::{Batch, Engine, EngineOptions, Error, Input, Inputs, Width};

        #[test]
        fn rows_of_any_number() -> Result<(), Error> {
            let mut session = Engine::load(EngineOptions::default())?.session()?;
            for rows in [2usize, 0, 6, 2] {
                let pixels = vec![[1.0f32, 1.0, 1.0]; rows];
                let values = vec![0i64; rows * 5];
                let image = Input::from_slice(&pixels)?;
                let wide = Input::with_dims(&values, (Batch(rows), Width(5)));
                let out = session.infer(&Inputs { image, wide })?;
                assert_eq!(out.logits(), vec![[2.0, 0.0, 4.0]; rows]);
                assert_eq!(out.picked(), [2.0, 4.0].repeat(rows));
            }
            session.resize(Batch(2), Width(1))?;
            session.inputs_mut().image_mut()[1] = [9.0; 3];
            assert_eq!(session.run()?.logits()[1], [10.0, 7.0, 12.0]);
            Ok(())
        }

        #[test]
        fn what_does_not_fit_is_refused() -> Result<(), Error> {
            let mut session = Engine::load(EngineOptions::default())?.session()?;
            let mut run = |rows: usize, batch: usize, count: usize| {
                let pixels = vec![[1.0f32; 3]; rows];
                let values = vec![0i64; count];
                let wide = Input::with_dims(&values, (Batch(batch), Width(5)));
                session.infer(&Inputs { image: Input::from_slice(&pixels)?, wide }).map(|_| ())
            };
            assert!(matches!(run(2, 2, 9), Err(Error::InputLength { input: "wide", .. })));
            assert!(matches!(run(2, 4, 20), Err(Error::InputShape { input: "wide", .. })));
            assert!(matches!(run(1002, 1002, 5010), Err(Error::Range { symbol: "batch", .. })));
            let odd = run(3, 3, 15).unwrap_err();
            assert_eq!(odd.to_string(), "sizes do not fit: batch is even, at Add \"layer/\"1\"\"");
            run(2, 2, 10)
        }
    "#;
    check(&dynamic(), "dynamic", test);
}

#[test]
fn loops_and_choices_run() {
    let test = r#"
        use control::{Engine, EngineOptions, Input, Inputs};

        #[test]
        fn both_ways() -> Result<(), control::Error> {
            let mut session = Engine::load(EngineOptions::default().with_profile())?.session()?;
            let out = session.infer(&Inputs { x: Input::from_slice(&[5.0, 0.0])? })?;
            assert_eq!(out.y(), &[2.0, 3.0]);
            let out = session.infer(&Inputs { x: Input::from_slice(&[1.0, 0.0])? })?;
            assert_eq!(out.y(), &[0.0, 3.0]);
            assert!(session.profile().iter().any(|(node, _)| node.op == "Add"));
            Ok(())
        }
    "#;
    check(&control(), "control", test);
}

#[test]
fn many_models_share_one_runtime() {
    let scratch = Scratch::new("many");
    let folder = scratch.0.join("models");
    let models = [("fixed".to_string(), fixed()), ("control/2".to_string(), control())];
    let files = emit_modules(&models, &Snippets, &options("models")).unwrap();
    write_crate(&folder, &files).unwrap();
    let test = r#"
        use models::runtime::datum::{Datum, DType, TensorDatum};

        #[test]
        fn by_name() {
            let (_, run) = models::MODELS.iter().find(|(name, _)| *name == "control/2").unwrap();
            let data: Vec<u8> = [5.0f32, 0.0].iter().flat_map(|v| v.to_le_bytes()).collect();
            let input = TensorDatum { dtype: DType::F32, shape: vec![2], data, strings: Vec::new() };
            let out = run(&[Datum::Tensor(input)]).unwrap();
            let bytes: Vec<u8> = [2.0f32, 3.0].iter().flat_map(|v| v.to_le_bytes()).collect();
            assert_eq!(out[0].tensor().unwrap().data, bytes);
            assert!(run(&[]).is_err());
        }
    "#;
    std::fs::create_dir_all(folder.join("tests")).unwrap();
    std::fs::write(folder.join("tests/api.rs"), test).unwrap();
    cargo(&folder, &scratch.0.join("target"), &["test", "--all-targets"]);
}

#[test]
fn a_launch_may_not_read_what_it_writes() {
    let mut b = Builder::new("shared");
    let shape = [Dim::constant(2)];
    let (image, _) = (b.input("x", DType::F32, &shape), b.output("y", DType::F32, &shape));
    let state = b.arena(DType::F32, &shape);
    b.launch("add", &[&image, &state], &state, &[]);
    let error = emit_crate(&b.finish(), &Snippets, &options("shared")).unwrap_err();
    assert_eq!(error, EmitError::Shared { buffer: 2 });
}

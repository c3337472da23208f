//! Hand-built plans become crates that cargo compiles without warnings and runs.

mod plans;

use emit::{Call, EmitError, SourceFile, TargetPrinter, emit_crate, emit_modules, write_crate};
use graph::dim::Dim;
use graph::dtype::DType;
use plan::plan::{Code, Plan};
use plans::{Builder, Scratch, Snippet, cargo, control, dynamic, fixed, options};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

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
    let values: Vec<f32> = (0..300_000u32).map(|k| k as f32).collect();
    let weight = b.weight(&values);
    b.launch("add", &[&x, &weight], &y, &[]);
    let test = r#"
        use large::{Engine, EngineOptions, Error};

        #[test]
        fn first_and_last() -> Result<(), Error> {
            let engine = Engine::load(EngineOptions::default())?;
            assert_eq!(engine.info().weight_bytes % 256, 0);
            let out = engine.session()?.run()?.y().to_vec();
            assert_eq!((out[0], out[299_999]), (0.0, 299_999.0));
            let missing = Engine::load(EngineOptions::default().with_weights("no-such-file.bin"));
            assert!(matches!(missing, Err(Error::Weights { .. })));
            Ok(())
        }
    "#;
    check(&b.finish(), "large", test);
}

#[test]
fn repeated_weights_are_made_at_load() {
    let mut b = Builder::new("repeated");
    let shape = [Dim::constant(300_000)];
    let (x, y) = (b.input("x", DType::F32, &shape), b.output("y", DType::F32, &shape));
    let weight = b.weight(&vec![1.5; 300_000]);
    b.launch("add", &[&x, &weight], &y, &[]);
    let test = r#"
        use repeated::{Engine, EngineOptions, Error};

        #[test]
        fn first_and_last() -> Result<(), Error> {
            let engine = Engine::load(EngineOptions::default().with_threads(2))?;
            assert!(engine.info().weight_bytes <= 1024);
            let out = engine.session()?.run()?.y().to_vec();
            assert_eq!((out[0], out[299_999]), (1.5, 1.5));
            Ok(())
        }
    "#;
    check(&b.finish(), "repeated", test);
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

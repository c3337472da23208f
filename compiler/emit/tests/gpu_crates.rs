//! Hand-built plans become crates for GPUs that cargo compiles without warnings; what needs no GPU is run.

mod plans;

use emit::gpu::{GpuArg, GpuKernel, GpuTarget, Kernels};
use emit::{EmitError, emit_gpu_crate, write_crate};
use graph::dim::Dim;
use plan::plan::{Code, Plan};
use plans::{Scratch, Snippet, cargo, control, dynamic, fixed, options};
use runtime_min::gpu::program::{Cubin, Target};

/// A target whose kernels have no body.
struct Empty {
    capability: u32,
    name: &'static str,
}

impl GpuTarget<Snippet> for Empty {
    fn name(&self) -> &'static str {
        self.name
    }

    fn architecture(&self) -> Target {
        Target { capability: self.capability, specific: self.name.ends_with('a') }
    }

    fn kernels(&self, code: &Code<Snippet>) -> Result<Kernels, EmitError> {
        let Code::Claimed(claimed) = code else { panic!("no kernels here") };
        let reads = claimed.operands + claimed.derived;
        let mut args: Vec<GpuArg> = (0..reads).map(GpuArg::Read).collect();
        args.extend((0..claimed.results).map(GpuArg::Write));
        args.extend((0..claimed.sizes).map(|k| GpuArg::Size64(Dim::symbol(graph::dim::SymId(k as u32)))));
        let one = || Dim::constant(1);
        let kernel = GpuKernel {
            name: claimed.code.to_string(),
            ptx: format!("// {}", claimed.code),
            cubins: vec![Cubin { capability: self.capability, specific: false, bytes: b"code".as_slice().into() }],
            entry: claimed.code.to_string(),
            grid: [one(), one(), one()],
            block: [128, 1, 1],
            cluster: [1, 1, 1],
            dynamic_shared: Dim::constant(1024),
            args,
            cooperative: false,
            dependent: false,
        };
        Ok(Kernels { launches: vec![kernel], workspace: Dim::default() })
    }
}

/// Emits a crate for two architectures, adds a test, and runs it.
fn check(plan: &Plan<Snippet>, name: &str, test: &str) {
    let scratch = Scratch::new(&format!("gpu_{name}"));
    let folder = scratch.0.join("engine");
    let (old, new) = (Empty { capability: 75, name: "sm_75" }, Empty { capability: 90, name: "sm_90a" });
    let plans: [(Plan<Snippet>, &dyn GpuTarget<Snippet>); 2] = [(plan.clone(), &old), (plan.clone(), &new)];
    let files = emit_gpu_crate(&plans, &options(name)).unwrap();
    assert_eq!(files, emit_gpu_crate(&plans, &options(name)).unwrap(), "emission is deterministic");
    let ptx = files.keys().filter(|path| path.ends_with(".ptx")).count();
    let cubins = files.keys().filter(|path| path.ends_with(".cubin")).count();
    assert!(ptx >= 2 && ptx == cubins, "{:?}", files.keys());
    write_crate(&folder, &files).unwrap();
    // The crate's own test needs a GPU.
    std::fs::write(folder.join("tests/golden.rs"), test).unwrap();
    cargo(&folder, &scratch.0.join("target"), &["check", "--all-targets"]);
    cargo(&folder, &scratch.0.join("target"), &["test", "--test", "golden"]);
}

#[test]
fn static_plans() {
    let test = r#"
        use fixed::{Engine, EngineOptions, Error, DeviceError, Input, Inputs};

        #[test]
        fn without_a_gpu_there_is_an_error() {
            let image = [[0f32; 3]; 2];
            let inputs = Inputs { image: Input::from_slice(&image).unwrap() };
            match Engine::load(EngineOptions::default().with_device(99)) {
                Ok(engine) => drop(engine.session().unwrap().infer(&inputs)),
                Err(Error::Device { source: DeviceError::Driver { .. } | DeviceError::Unfit { .. }, .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    "#;
    check(&fixed(), "fixed", test);
}

#[test]
fn sizes_of_inputs_and_found_ones() {
    let test = r#"
        use dynamic::{Engine, EngineOptions, Session, Batch, Width};

        fn resized(session: &mut Session) -> Result<usize, dynamic::Error> {
            session.resize(Batch(4), Width(2))?;
            session.inputs_mut().image_mut().fill([1.0; 3]);
            Ok(session.run()?.picked().len())
        }

        #[test]
        fn without_a_gpu_there_is_an_error() {
            let found = Engine::load(EngineOptions::default().with_device(99)).and_then(|e| e.session());
            assert!(found.and_then(|mut s| resized(&mut s)).is_err());
        }
    "#;
    check(&dynamic(), "dynamic", test);
}

#[test]
fn loops_and_choices() {
    let test = r#"
        #[test]
        fn session_crosses_threads() {
            fn sent<T: Send + 'static>() {}
            fn shared<T: Send + Sync>() {}
            sent::<control::Session>();
            shared::<control::Engine>();
        }
    "#;
    check(&control(), "control", test);
}

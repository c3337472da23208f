//! Generated GPU crates as cargo builds them, on the driver without a GPU: the same bits as in process, one graph launch an
//! inference, and nothing taken from host or device after a session is made.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use conformance::device;
use graph::datum::Datum;
use onnx2crate::crate_run::CrateRun;
use onnx2crate::target::Target;
use onnx2crate::{Compiler, datums};
use ptx::Sm;

/// Calls on the prepared shape and on others, counted by the allocator of the program; the model is digits with 1 to 64 images.
const CALLS: &str = r#"
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use digits::{Batch, Engine, EngineOptions, Input, Inputs};

    struct Counting;
    static COUNT: AtomicUsize = AtomicUsize::new(0);

    // SAFETY: passes everything on to the system's allocator.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            COUNT.fetch_add(1, Ordering::Relaxed);
            // SAFETY: as the caller promises.
            unsafe { System.alloc(layout) }
        }
        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            // SAFETY: as the caller promises.
            unsafe { System.dealloc(pointer, layout) }
        }
    }

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    fn main() {
        let rounds: usize = std::env::args().nth(1).unwrap().parse().unwrap();
        let mut session = Engine::load(EngineOptions::default()).unwrap().session().unwrap();
        session.prepare(Batch(2)).unwrap();
        let pixels = vec![[[[0.5f32; 8]; 8]; 1]; 4];
        let mut sum = 0.0;
        let before = COUNT.load(Ordering::Relaxed);
        for _ in 0..rounds {
            for rows in [2, 1] {
                let image = Input::from_slice(&pixels[..rows]).unwrap();
                sum += session.infer(&Inputs { image }).unwrap().logits()[0][0];
            }
        }
        assert_eq!(COUNT.load(Ordering::Relaxed), before, "{sum}");
    }
"#;

/// What a program is told where something is missing: it prints the error, or what came out.
const REFUSALS: &str = r#"
    use digits::{Engine, EngineOptions, Input, Inputs};

    fn scores(rows: usize) -> Result<usize, digits::Error> {
        let pixels = vec![[[[0.5f32; 8]; 8]; 1]; rows];
        let mut session = Engine::load(EngineOptions::default())?.session()?;
        Ok(session.infer(&Inputs { image: Input::from_slice(&pixels)? })?.logits().len())
    }

    fn main() {
        let rows = std::env::args().nth(1).unwrap().parse().unwrap();
        match scores(rows) {
            Ok(rows) => print!("{rows} rows"),
            Err(error) => print!("{error}"),
        }
    }
"#;

/// A folder where programs find the driver that stands in.
struct Driver(PathBuf);

impl Driver {
    fn new(name: &str) -> Driver {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let tests = std::env::current_exe().unwrap();
        let library = tests.parent().unwrap().join("libcuda_stand_in.so");
        assert!(library.exists(), "{} was not built", library.display());
        for name in ["libcuda.so", "libcuda.so.1"] {
            std::os::unix::fs::symlink(&library, folder.join(name)).unwrap();
        }
        Driver(folder)
    }
}

fn digits(batch: &str) -> Compiler {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits/digits.onnx");
    let compiler = Compiler::new(model).name("digits").targets(&[Target::Gpu(Sm::Sm90a)]);
    compiler.dim("batch", batch).unwrap()
}

/// A crate runs, and so does its plan in process; both give the same bits.
#[test]
fn a_crate_gives_the_bits_of_the_plan_in_process() {
    let driver = Driver::new("driver-bits");
    let compiler = digits("1..4");
    let compiled = compiler.compile().unwrap();
    let files = compiler.clone().golden(false).crate_files(&compiled).unwrap();
    let run = CrateRun::new("digits", &files).unwrap().variable("LD_LIBRARY_PATH", driver.0.as_os_str());
    run.build().unwrap();
    let (_, plan) = compiled.plans.for_gpu(90).unwrap();
    for seed in [7, 8] {
        let inputs = compiled.plans.sample_inputs(seed).unwrap();
        let expected = device::run_plan(plan, &inputs, Sm::Sm90a).unwrap();
        let found: Vec<Datum> = run.answer(&inputs).unwrap();
        assert_eq!(datums::to_bytes(&found), datums::to_bytes(&expected));
    }
}

/// What one program called, by the counts of its driver.
fn counts(program: &Path, driver: &Driver, rounds: usize) -> BTreeMap<String, u64> {
    let told = driver.0.join("counts");
    let output = Command::new(program)
        .arg(rounds.to_string())
        .env("LD_LIBRARY_PATH", &driver.0)
        .env("STAND_IN_COUNTS", &told)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(told).unwrap();
    let pair = |line: &str| line.split_once(' ').map(|(name, count)| (name.to_string(), count.parse().unwrap()));
    text.lines().filter_map(pair).collect()
}

/// Builds an example of the crate for 1 to 4 digits, in a folder of that name; yields the folder and the program.
fn example(name: &str, text: &str) -> (PathBuf, PathBuf) {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gpu-{name}"));
    let folder = root.join("digits");
    digits("1..4").emit_crate(&folder).unwrap();
    let text = format!("#![allow(unsafe_code, reason = \"counts allocations\")]\n{text}");
    std::fs::write(folder.join(format!("examples/{name}.rs")), text).unwrap();
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--example", name])
        .current_dir(&folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    (root, folder.join("target/debug/examples").join(name))
}

/// No driver, a driver too old, a GPU older than the target, memory too little, an input of another size: what was found and what
/// is needed, as the program of a user prints it.
#[test]
fn what_is_missing_is_said_by_a_crate() {
    let driver = Driver::new("driver-refusals");
    let (root, program) = example("refusals", REFUSALS);
    let none = root.join("no-driver");
    let says = |rows: &str, folder: &Path, variables: &[(&str, &str)]| {
        let mut command = Command::new(&program);
        command.arg(rows).env("LD_LIBRARY_PATH", folder).envs(variables.iter().copied());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(says("3", &driver.0, &[]), "3 rows");
    let found = says("3", &none, &[]);
    if found.ends_with(" rows") || found.contains("GPU") {
        println!("skipped: this machine has a driver, so none is missing: {found}");
    } else {
        let expected = "NVIDIA driver: found no driver library (libcuda.so.1 or nvcuda.dll), needed an NVIDIA driver for CUDA 12 or \
                        later; install or update the driver";
        assert_eq!(found, expected);
    }
    let found = says("3", &driver.0, &[("STAND_IN_VERSION", "11080")]);
    let expected = "NVIDIA driver: found a driver for CUDA 11.8, needed a driver for CUDA 12 or later; install or update the driver";
    assert_eq!(found, expected);
    let found = says("3", &driver.0, &[("STAND_IN_CAPABILITY", "80")]);
    let expected = "GPU: found Stand-in of compute capability 8.0, needed 9.0, as the crate was compiled for sm_90a";
    assert_eq!(found, expected);
    let found = says("3", &driver.0, &[("STAND_IN_MEMORY", "4096")]);
    assert!(found.ends_with(" bytes of GPU memory are needed, 4096 are free"), "{found}");
    assert_eq!(says("9", &driver.0, &[]), "size \"batch\" is 9, allowed are 1 to 4");
    let _ = std::fs::remove_dir_all(root);
}

#[test]
fn calls_of_a_crate_take_nothing_and_launch_one_graph() {
    let driver = Driver::new("driver-calls");
    let (root, program) = example("calls", CALLS);
    let (few, many) = (counts(&program, &driver, 1), counts(&program, &driver, 3));
    let more = |name: &str| many[name] - few[name];
    assert_eq!((more("allocations"), more("instantiations"), many["misuse"]), (0, 0, 0));
    // Of two calls a round one is at the prepared shape; each copies its input there and its output back.
    assert_eq!((more("graph_launches"), more("uploads"), more("downloads")), (2, 4, 4));
    assert!(more("launches") > 0, "{many:?}");
    let _ = std::fs::remove_dir_all(root);
}

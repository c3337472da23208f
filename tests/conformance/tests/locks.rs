//! Tuning and locks without a GPU: the stand-in driver links and loads, its kernels do nothing and take no time.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use emit::Files;
use gpu_checks::emulated::Emulated;
use graph::graph::Model;
use onnx2crate::gpu::Gpu;
use onnx2crate::linked::{self, Unused, Verified};
use onnx2crate::locked::Locked;
use onnx2crate::planned::Planned;
use onnx2crate::trial::Machine;
use onnx2crate::tuning::{self, Budget, Outcome};
use onnx2crate::{Compiler, Target, Targets};
use ptx::Sm;
use runtime_min::gpu::driver::Address;
use runtime_min::gpu::kernel_calls::LaunchShape;
use runtime_min::stand_in::{Executor, Script, StandIn};

/// An emulated device that starts no kernels, and whose registers do not suffice for those with this in their names.
#[derive(Default)]
struct Idle(Emulated, Option<&'static str>);

impl Executor for Idle {
    fn alloc(&mut self, bytes: usize) -> Address {
        self.0.alloc(bytes)
    }
    fn free(&mut self, address: Address) -> bool {
        self.0.free(address)
    }
    fn write(&mut self, address: Address, bytes: &[u8]) -> bool {
        self.0.write(address, bytes)
    }
    fn read(&mut self, address: Address, bytes: usize) -> Option<Vec<u8>> {
        // What no kernel wrote.
        self.0.read(address, bytes).or_else(|| Some(vec![0; bytes]))
    }
    fn load(&mut self, text: &str) -> Result<usize, String> {
        self.0.load(text)
    }
    fn parameters(&mut self, module: usize, entry: &str) -> Option<Vec<(usize, usize)>> {
        self.0.parameters(module, entry)
    }
    fn spilled(&mut self, _: usize, entry: &str) -> u32 {
        if self.1.is_some_and(|name| entry.contains(name)) { 8 } else { 0 }
    }
    fn launch(&mut self, _: usize, _: &str, _: &LaunchShape, _: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

const GPU: Gpu = Gpu { sm: Sm::Sm90a };

fn digits() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits/digits.onnx")
}

fn compiler() -> Compiler {
    Compiler::new(digits()).targets(&[Target::Gpu(Sm::Sm90a)]).dim("batch", "8").unwrap()
}

fn model() -> Model {
    let mut options = onnx::Options::default();
    options.dims.insert("batch".to_string(), "8".parse().unwrap());
    let mut model = onnx::import_file(&digits(), &options).unwrap().model;
    passes::run_pipeline(&mut model, &passes::Options::default()).unwrap();
    model
}

fn stand_in(spilling: Option<&'static str>) -> StandIn {
    StandIn::new(Box::new(Idle(Emulated::default(), spilling)), Script { capability: 90, ..Script::default() })
}

/// Tunes the example into a lock folder, and links its kernels.
fn tune_into(folder: &Path, seconds: u64, stopped: bool) -> Outcome {
    tune_where(folder, seconds, stopped, None)
}

/// The same where registers do not suffice for kernels with this in their names.
fn tune_where(folder: &Path, seconds: u64, stopped: bool, spilling: Option<&'static str>) -> Outcome {
    let driver = stand_in(spilling);
    let machine = Machine::open(driver.table(), 0).unwrap();
    let (model, stop) = (model(), AtomicBool::new(stopped));
    let mut locked = Locked::open(folder, false).unwrap();
    let budget = Budget { time: Duration::from_secs(seconds), stop: &stop };
    let outcome = tuning::tune(&model, GPU, &machine, &mut locked, budget, &mut |_| {}).unwrap();
    linked::keep(&machine, &gpus(&model, &locked), &locked).unwrap();
    drop(machine);
    assert_eq!(driver.leaks().misuse, Vec::<String>::new());
    outcome
}

fn gpus(model: &Model, locked: &Locked) -> Vec<(Gpu, plan::plan::Plan<kernels::GpuCode>)> {
    match Planned::locked(model, &Targets::Gpus(vec![GPU.sm]), locked).unwrap().0 {
        Planned::Gpus(list) => list,
        Planned::Cpu(_) => panic!("a CPU plan"),
    }
}

fn verify(folder: &Path) -> Verified {
    let driver = stand_in(None);
    let machine = Machine::open(driver.table(), 0).unwrap();
    let locked = Locked::open(folder, true).unwrap();
    linked::verify(&machine, &gpus(&model(), &locked), &locked).unwrap()
}

fn files(folder: &Path) -> Result<Files, String> {
    let compiler = compiler().lock(folder);
    let compiled = compiler.compile().map_err(|e| e.to_string())?;
    compiler.crate_files(&compiled).map_err(|e| e.to_string())
}

fn change(path: &Path, change: impl Fn(&str) -> String) {
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, change(&text)).unwrap();
}

#[test]
fn a_tuned_lock_gives_the_same_crate_without_a_driver() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("onnx2crate.lock");
    let outcome = tune_into(&folder, 600, false);
    assert!(outcome.report.timed > 1 && outcome.report.modelled == 0, "{:?}", outcome.report);
    assert_eq!(outcome.report.failures, Vec::<String>::new());
    let text = std::fs::read_to_string(folder.join("tuning.toml")).unwrap();
    assert!(text.contains("[[device]]\ntarget = \"sm_90a\"\n"), "{text}");

    let first = files(&folder).unwrap();
    assert_eq!(files(&folder).unwrap(), first);
    let cubins = first.keys().filter(|path| path.ends_with(".cubin")).count();
    let texts = first.keys().filter(|path| path.ends_with(".ptx")).count();
    assert!(cubins > 1 && cubins == texts, "{cubins} of {texts}");
    let report = format!("Machine code: {cubins} of {texts} kernels.");
    let shown = String::from_utf8(first["REPORT.md"].0.concat()).unwrap();
    assert!(shown.contains(&report) && shown.contains("0 from the cost model"), "{shown}");

    // Known answers are not asked again, and the lock stays as it is.
    let again = tune_into(&folder, 600, false);
    assert_eq!((again.report.timed, again.report.known), (0, outcome.report.timed));
    assert_eq!(std::fs::read_to_string(folder.join("tuning.toml")).unwrap(), text);

    // Without machine code, PTX alone is shipped.
    std::fs::remove_dir_all(folder.join("cubin")).unwrap();
    let bare = files(&folder).unwrap();
    assert!(!bare.keys().any(|path| path.ends_with(".cubin")));
    assert!(String::from_utf8(bare["REPORT.md"].0.concat()).unwrap().contains("PTX alone"));
}

#[test]
fn locks_that_lack_an_answer_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("lock");
    let refused = |expected: &str| {
        let error = files(&folder).unwrap_err();
        assert!(error.contains(expected) && error.contains("onnx2crate lock"), "{error}");
        compiler().lock(&folder).locked(false).compile().unwrap();
    };
    refused("the lock has no entry for");
    tune_into(&folder, 600, false);
    let toml = folder.join("tuning.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    change(&toml, |text| text.replace("\nrevision = ", "\nrevision = 9"));
    refused("is of revision 9");
    std::fs::write(&toml, &text).unwrap();
    change(&toml, |text| text.replace("variant = \"", "variant = \"no_"));
    refused("which the family does not offer");
    change(&toml, |_| "format = 1\n".to_string());
    refused("more entries are missing");
    change(&toml, |_| "format = 9\n".to_string());
    assert!(files(&folder).unwrap_err().contains("this tool reads format 1"));
}

#[test]
fn verification_finds_changed_machine_code() {
    let place = tempfile::tempdir().unwrap();
    tune_into(place.path(), 600, true);
    let verified = verify(place.path());
    assert!(verified.passed() && verified.same > 1 && verified.missing.is_empty(), "{verified:?}");
    let mut cubins: Vec<PathBuf> =
        std::fs::read_dir(place.path().join("cubin")).unwrap().map(|e| e.unwrap().path()).collect();
    cubins.sort();
    let mut bytes = std::fs::read(&cubins[0]).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&cubins[0], bytes).unwrap();
    std::fs::remove_file(&cubins[1]).unwrap();
    let verified = verify(place.path());
    assert_eq!((verified.different.len(), verified.missing.len()), (1, 1), "{}", verified.text());
    assert!(!verified.passed() && verified.text().contains("differs from what this driver makes"));
}

/// Machine code of kernels that are no more stays until somebody asks for less.
#[test]
fn unused_machine_code_is_told_then_deleted() {
    let place = tempfile::tempdir().unwrap();
    tune_into(place.path(), 600, true);
    let compiled = compiler().lock(place.path()).compile().unwrap();
    let files = || std::fs::read_dir(place.path().join("cubin")).unwrap().count();
    let needed = files();
    assert_eq!(linked::unused(&compiled, Unused::Tell).unwrap(), "");
    for name in ["sm_90a-0123.cubin", "sm_90a-4567.cubin", "sm_80-0123.cubin"] {
        std::fs::write(place.path().join("cubin").join(name), b"old").unwrap();
    }
    let told = linked::unused(&compiled, Unused::Tell).unwrap();
    assert!(told.starts_with("2 files of machine code for sm_90a belong to no kernel"), "{told}");
    assert_eq!(files(), needed + 3);
    let deleted = linked::unused(&compiled, Unused::Delete).unwrap();
    assert_eq!(deleted, "deleted 2 files of machine code for sm_90a\n");
    assert_eq!(files(), needed + 1);
}

/// A variant that keeps values in memory is not chosen, whatever it would take.
#[test]
fn candidates_that_spill_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let free = tune_into(&place.path().join("free"), 600, false);
    let names = |outcome: &Outcome| -> Vec<String> {
        outcome.report.rankings.iter().flat_map(|r| r.times.iter().map(|(name, _)| name.clone())).collect()
    };
    assert!(names(&free).iter().any(|name| name.starts_with("32x")), "{:?}", names(&free));
    let some = tune_where(&place.path().join("some"), 600, false, Some("_32x"));
    assert!(!names(&some).is_empty() && !names(&some).iter().any(|name| name.starts_with("32x")), "{some:?}");
    let refused = |why: &&String| why.contains("keeps 8 bytes of each thread in memory");
    assert!(some.report.failures.iter().filter(refused).count() > 1, "{:?}", some.report.failures);
}

/// Whoever stops the tuning has a lock that answers everything.
#[test]
fn an_interrupted_lock_is_whole() {
    let place = tempfile::tempdir().unwrap();
    let outcome = tune_into(place.path(), 600, true);
    assert!(outcome.report.timed == 0 && outcome.report.modelled > 1, "{:?}", outcome.report);
    files(place.path()).unwrap();
}

/// Targets that are not at hand have the cost model's answers.
#[test]
fn other_targets_are_completed() {
    let place = tempfile::tempdir().unwrap();
    tune_into(place.path(), 600, true);
    let both = compiler().targets(&[Target::Gpu(Sm::Sm80), Target::Gpu(Sm::Sm90a)]).lock(place.path());
    assert!(both.compile().unwrap_err().to_string().contains("on sm_80"));
    let mut locked = Locked::open(place.path(), false).unwrap();
    tuning::complete(&model(), Gpu { sm: Sm::Sm80 }, &mut locked).unwrap();
    let answers = both.compile().unwrap().answers;
    assert!(answers.len() == 2 && answers.iter().all(|a| a.known > 1 && a.modelled == 0), "{answers:?}");
}

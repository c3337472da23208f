//! The digits model from file to running crate: the contract program word for word, with a fixed and with a symbolic batch,
//! the same labels as ONNX Runtime, a module for build scripts, equal bytes twice.

use std::path::{Path, PathBuf};
use std::process::Command;

use onnx2crate::{Compiler, WeightMode};

/// The program of the design; only the number of classes is the model's.
const CONTRACT: &str = r#"
    use digits_engine::{Engine, EngineOptions, Input, Inputs};

    fn contract(pixels: [[[[f32; 8]; 8]; 1]; 1], next: [[[[f32; 8]; 8]; 1]; 1]) -> Result<(), digits_engine::Error> {
        let engine = Engine::load(EngineOptions::default())?;     // Send + Sync; device, weights, JIT allowed?, memory limit
        let mut session = engine.session()?;                      // Send + 'static; one execution context, its arena and graphs
        let image = Input::from_slice(&pixels)?;                  // &[[[[f32; 224]; 224]; 3]; 1]: no copy; NHWC data does not compile
        let out = session.infer(&Inputs { image })?;              // borrows the session's pinned memory
        let scores: &[f32; 10] = &out.logits()[0];
        assert!(scores.iter().all(|s| s.is_finite()));
        session.inputs_mut().image_mut().copy_from_slice(&next);  // zero-copy path: write in place,
        let out = session.run()?;                                 // run; `unsafe enqueue(stream, io)` for device pointers
        assert_ne!(out.logits()[0], [0.0; 10]);
        Ok(())
    }

    #[test]
    fn contract_runs() {
        contract([[[[0.5; 8]; 8]; 1]; 1], [[[[0.25; 8]; 8]; 1]; 1]).unwrap();
    }
"#;

const CLASSIFY: &str = r#"
    use digits_engine::{Engine, EngineOptions, Input, Inputs};

    #[test]
    fn labels_are_those_of_onnx_runtime() -> Result<(), digits_engine::Error> {
        let (images, labels, expected) = (&include_bytes!("images.bin")[..], include_bytes!("labels.bin"),
            include_bytes!("expected_labels.bin"));
        let pixels: Vec<f32> = images.iter().map(|b| f32::from(*b) / 16.0).collect();
        let mut session = Engine::load(EngineOptions::default())?.session()?;
        let best = |row: &[f32; 10]| (0..10).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap() as u8;
        let mut found = Vec::new();
        for chunk in pixels.chunks(64 * 50) {
            let out = session.infer(&Inputs { image: Input::from_flat(chunk)? })?;
            found.extend(out.logits().iter().map(best));
        }
        assert_eq!(found, expected);
        assert_eq!(found.iter().zip(labels).filter(|(a, b)| a == b).count(), 354);
        Ok(())
    }
"#;

const ALLOCATIONS: &str = r#"
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::cell::Cell;

    use digits_engine::{Engine, EngineOptions, Input, Inputs};

    struct Counting;

    std::thread_local! {
        // Of this thread: the one that waits for the test may allocate meanwhile.
        static COUNT: Cell<usize> = const { Cell::new(0) };
    }

    // SAFETY: passes everything on to the system's allocator.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            COUNT.with(|count| count.set(count.get() + 1));
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

    #[test]
    fn calls_after_the_first_do_not_allocate() {
        let mut session = Engine::load(EngineOptions::default()).unwrap().session().unwrap();
        let pixels = vec![[[[0.5f32; 8]; 8]; 1]; 64];
        let mut sum = 0.0;
        let mut run = |rows: usize| {
            let image = Input::from_slice(&pixels[..rows]).unwrap();
            sum += session.infer(&Inputs { image }).unwrap().logits()[0][0];
        };
        run(1);
        let before = COUNT.with(Cell::get);
        for rows in [64, 1, 3, 17, 64, 2] {
            run(rows);
        }
        assert_eq!(COUNT.with(Cell::get), before, "{sum}");
    }
"#;

fn digits() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits")
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
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn cargo(folder: &Path, args: &[&str]) {
    let output = Command::new(env!("CARGO"))
        .args(args)
        .args(["--offline", "--quiet"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("../target"))
        .env("RUSTFLAGS", "-Dwarnings")
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "cargo {args:?}:\n{text}");
}

/// Emits the crate, adds tests, runs all of them.
fn check(name: &str, compiler: Compiler, tests: &[(&str, &str)]) {
    let scratch = Scratch::new(name);
    let folder = scratch.0.join("digits_engine");
    compiler.emit_crate(&folder).unwrap();
    for file in ["images.bin", "labels.bin", "expected_labels.bin"] {
        std::fs::copy(digits().join(file), folder.join("tests").join(file)).unwrap();
    }
    for (test, text) in tests {
        let text = format!("#![allow(unsafe_code, reason = \"counts allocations\")]\n{text}");
        std::fs::write(folder.join(format!("tests/{test}.rs")), text).unwrap();
    }
    cargo(&folder, &["test", "--all-targets"]);
}

fn compiler() -> Compiler {
    Compiler::new(digits().join("digits.onnx"))
}

#[test]
fn contract_holds_for_a_fixed_batch() {
    check("digits-fixed", compiler().dim("batch", "1").unwrap(), &[("contract", CONTRACT)]);
}

#[test]
fn contract_and_labels_hold_for_any_batch() {
    let bounded = compiler().dim("batch", "1..64").unwrap().weights(WeightMode::File);
    let tests = [("contract", CONTRACT), ("classify", CLASSIFY), ("allocations", ALLOCATIONS)];
    check("digits-any", bounded, &tests);
}

#[test]
fn the_same_model_gives_the_same_bytes() {
    let files = || {
        let compiled = compiler().compile().unwrap();
        compiler().crate_files(&compiled).unwrap()
    };
    let (first, second) = (files(), files());
    assert_eq!(first, second);
    for (path, contents) in &first {
        let text = String::from_utf8_lossy(&contents.to_bytes()).into_owned();
        assert!(!text.contains(env!("CARGO_MANIFEST_DIR")), "{path} holds a path of this machine");
    }
}

#[test]
fn a_build_script_includes_the_module() {
    let scratch = Scratch::new("digits-module");
    let (folder, out) = (scratch.0.join("user"), scratch.0.join("out"));
    std::fs::create_dir_all(folder.join("src")).unwrap();
    std::fs::create_dir_all(&out).unwrap();
    let module = compiler().name("digits").emit_module(&out).unwrap();
    assert_eq!(module, out.join("digits.rs"));
    // A build script that puts the module there as the compiler would, without this crate compiled again.
    let manifest = "[package]\nname = \"user\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    let script = r#"
        use std::path::Path;
        fn copy(from: &Path, to: &Path) {
            std::fs::create_dir_all(to).unwrap();
            for entry in std::fs::read_dir(from).unwrap() {
                let path = entry.unwrap().path();
                let target = to.join(path.file_name().unwrap());
                if path.is_dir() { copy(&path, &target) } else { std::fs::copy(&path, &target).map(|_| ()).unwrap() }
            }
        }
        fn main() {
            copy(Path::new("../out"), Path::new(&std::env::var("OUT_DIR").unwrap()));
        }
    "#;
    std::fs::write(folder.join("build.rs"), script).unwrap();
    let main = r#"
        include!(concat!(env!("OUT_DIR"), "/digits.rs"));
        fn main() -> Result<(), digits::Error> {
            let mut session = digits::Engine::load(digits::EngineOptions::default())?.session()?;
            let image = digits::Input::from_slice(&[[[[0.5f32; 8]; 8]; 1]; 1])?;
            assert_eq!(session.infer(&digits::Inputs { image })?.logits().len(), 1);
            Ok(())
        }
    "#;
    std::fs::write(folder.join("src/main.rs"), main).unwrap();
    cargo(&folder, &["run"]);
}

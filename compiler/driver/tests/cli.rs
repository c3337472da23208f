//! The command line as users see it: what it prints, and its exit status.

use std::path::{Path, PathBuf};
use std::process::Command;

fn digits() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits/digits.onnx")
}

/// Runs the tool; checks the status, and that the answer or the messages hold each text.
fn check(args: &[&str], status: i32, expected: &[&str]) {
    let model = digits();
    let model = model.to_str().unwrap();
    let args: Vec<&str> = args.iter().map(|a| if *a == "MODEL" { model } else { a }).collect();
    let output = Command::new(env!("CARGO_BIN_EXE_onnx2crate")).args(&args).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{args:?}:\n{text}");
    for part in expected {
        assert!(text.contains(part), "{part:?} is not in the output of {args:?}:\n{text}");
    }
}

#[test]
fn inspect_shows_the_model() {
    let expected = ["input        image: f32[batch, 1, 8, 8]", "output       logits:", "Conv", "parameters", "flops"];
    check(&["inspect", "MODEL"], 0, &expected);
}

#[test]
fn what_is_no_model_is_refused() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-model.onnx");
    std::fs::write(&file, b"no model").unwrap();
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-crate");
    let (file, out) = (file.to_str().unwrap(), out.to_str().unwrap());
    check(&[file, "--out", out], 2, &["O2C0", "no-model.onnx", "1 problem"]);
    check(&["inspect", "no/such.onnx"], 2, &["no/such.onnx"]);
    assert!(!Path::new(out).exists());
}

#[test]
fn wrong_options_are_refused() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-crate-either");
    let out = out.to_str().unwrap();
    check(&["MODEL", "--out", out, "--dim", "batch=9..1"], 2, &["--dim batch", "LO..HI"]);
    check(&["MODEL", "--out", out, "--dim", "nothing=3"], 2, &["nothing"]);
    check(&["MODEL", "--out", out, "--weights", "nowhere"], 2, &["embed", "file"]);
    check(&["MODEL"], 2, &["--out"]);
}

#[test]
fn gpu_targets_share_a_crate() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gpu-crate");
    let folder = out.to_str().unwrap();
    check(&["MODEL", "--out", folder, "--target", "sm_80,sm_90a"], 0, &["For sm_80:", "For sm_90a:"]);
    let kernels: Vec<_> = std::fs::read_dir(out.join("src/kernels")).unwrap().map(|e| e.unwrap().path()).collect();
    for target in ["sm_80", "sm_90a"] {
        let line = format!(".target {target}\n");
        assert!(kernels.iter().any(|k| std::fs::read_to_string(k).unwrap().contains(&line)), "{target}");
    }
    let manifest = std::fs::read_to_string(out.join("Cargo.toml")).unwrap();
    assert!(manifest.contains("cudarc"), "{manifest}");
    let none = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-gpu-crate");
    let none = none.to_str().unwrap();
    check(&["MODEL", "--out", none, "--target", "cpu,sm_80"], 2, &["cpu alone"]);
    check(&["MODEL", "--out", none, "--target", "sm_42"], 2, &["sm_75", "sm_120a", "native"]);
}

/// Where there is a driver this is said of no GPU at most, or the command does what it is asked.
#[test]
fn a_driver_that_is_missing_is_said() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("native-crate");
    let command = |args: &[&str]| {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_onnx2crate"));
        let output =
            tool.arg(digits()).args(args).args(["--target", "native", "--tune-seconds", "0"]).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, said) = command(&["--out", out.to_str().unwrap()]);
    if !said.contains("no driver library") {
        println!("skipped: this machine has a driver: {said}");
        let _ = std::fs::remove_dir_all(&out);
        return;
    }
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("NVIDIA driver: found no driver library") && said.contains("needed an NVIDIA driver for CUDA 12"),
        "{said}"
    );
    assert!(!out.exists());
}

#[test]
fn a_folder_of_others_is_left_alone() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign");
    std::fs::create_dir_all(&out).unwrap();
    std::fs::write(out.join("notes.txt"), "mine").unwrap();
    check(&["MODEL", "--out", out.to_str().unwrap()], 2, &["was not made by onnx2crate"]);
    assert_eq!(std::fs::read_to_string(out.join("notes.txt")).unwrap(), "mine");
}

#[test]
fn verify_compares_with_the_evaluator() {
    check(&["verify", "MODEL", "--dim", "batch=1..8"], 0, &["random 0", "logits", "rel L2", "max ULP"]);
    check(&["verify", "MODEL", "--tolerance", "1e-30"], 1, &["FAILED"]);
}

#[test]
fn rows_need_an_axis_of_scores() {
    let expected = ["--ignore-row-order: expected scores [rows]", "--ignore-row-order=AXIS", "found logits f32["];
    check(&["verify", "MODEL", "--ignore-row-order"], 2, &expected);
    check(&["verify", "MODEL", "--ignore-row-order=last"], 2, &["the number of an axis, or `scores`"]);
    check(&["verify", "MODEL", "--ignore-row-order=0"], 0, &["elsewhere", "0/1"]);
}

#[test]
fn bench_ends_with_an_object() {
    let keys = ["median_ms", "p90_ms", "p99_ms", "per_second", "peak_bytes"].map(|k| format!("\"{k}\": "));
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    check(&["bench", "MODEL", "--json", "--seconds", "0.1"], 0, &keys);
}

#[test]
fn lab_says_what_its_files_are() {
    check(&["lab", "--help"], 0, &["[[job]]", "sizes = [[4096, 4096, 4096]]", "variants = \"all\"", "--json"]);
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("jobs.toml");
    std::fs::write(&file, "[[job]]\nop = \"sofmax\"\nsizes = [[1]]\n").unwrap();
    check(&["lab", file.to_str().unwrap()], 2, &["jobs.toml", "sofmax", "softmax"]);
    check(&["lab", "no/such.toml"], 2, &["no/such.toml"]);
}

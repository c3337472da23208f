//! Probes: every one runs without a fault, twice the same; what is recorded of real hardware is reproduced, the rest is listed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "only tests are here; one of them lists what is not recorded"
)]

use std::path::Path;

use ptx_emu::{Module, Probe};

/// Names and texts of all probes: description and kernel.
fn probes() -> Vec<(String, String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("probes");
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "probe") {
            let text = |p: &Path| std::fs::read_to_string(p).unwrap_or_else(|e| panic!("{}: {e}", p.display()));
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            out.push((name, text(&path), text(&path.with_extension("ptx"))));
        }
    }
    out.sort();
    out
}

#[test]
fn recorded_outputs_are_reproduced() {
    let (mut wrong, mut missing) = (Vec::new(), Vec::new());
    let probes = probes();
    for (name, text, kernel) in &probes {
        let probe = Probe::parse(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let module = Module::parse(kernel).unwrap_or_else(|e| panic!("{name}: {e}"));
        match probe.run(&module) {
            Err(faults) => wrong.push(format!("{name}: {}", faults[0])),
            Ok(out) if out.iter().all(|b| *b == 0) => wrong.push(format!("{name}: the output is all zero")),
            Ok(out) => wrong.extend(probe.difference(&out).map(|d| format!("{name}: {d}"))),
        }
        if probe.recorded.is_none() {
            missing.push(name.as_str());
        }
    }
    assert!(!probes.is_empty());
    println!("{} of {} probes are not recorded on hardware: {}", missing.len(), probes.len(), missing.join(", "));
    assert!(wrong.is_empty(), "{} probes:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn probe_texts() {
    let text = "# shows nothing\nsm 80\ngrid 1 1 1\nblock 32 1 1\ninput f16 2 seed 1\ninput iota 2 seed 0\noutput 4\nmatch f32 0.5\n";
    let probe = Probe::parse(text).unwrap();
    assert_eq!(probe.inputs()[1], [0, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(probe.inputs()[0], Probe::parse(text).unwrap().inputs()[0]);
    assert_eq!(probe.difference(&1f32.to_le_bytes()), None);
    let recorded = Probe::with_recorded(text, "a GPU", &2f32.to_le_bytes());
    let probe = Probe::parse(&recorded).unwrap();
    assert_eq!(probe.difference(&1f32.to_le_bytes()), None);
    assert!(probe.difference(&0f32.to_le_bytes()).unwrap().contains("element 0 is 0e0, on a GPU 2e0"));
    assert_eq!(Probe::with_recorded(&recorded, "a GPU", &2f32.to_le_bytes()), recorded);
    assert!(Probe::parse("grid 1 1").unwrap_err().contains("line 1"));
}

/// `record.py` makes the same inputs; these are the hashes (FNV-1a) of what it makes of 1000 elements with seed 7.
#[test]
fn inputs_are_those_of_the_recorder() {
    let expected = [
        ("f16", 0xa30d_fef7_8fee_19ffu64),
        ("bf16", 0xfc1f_5148_8712_5368),
        ("f32", 0x1b83_0324_4dd3_dfb6),
        ("e4m3", 0xdddf_8d84_2c15_41e1),
        ("e5m2", 0x0834_8ce8_1777_3aab),
        ("f64", 0x808f_d672_9a26_0c92),
        ("byte", 0x6763_b376_6117_4815),
        ("word", 0x3ab1_43fb_3780_0fc7),
    ];
    for (kind, hash) in expected {
        let probe = Probe::parse(&format!("input {kind} 1000 seed 7")).unwrap();
        let found = probe.inputs()[0]
            .iter()
            .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
        assert_eq!(found, hash, "{kind}");
    }
}

/// On an H200 a box whose innermost coordinate is no multiple of 16 bytes is an illegal instruction.
#[test]
fn a_box_at_an_odd_coordinate_is_refused() {
    let (_, text, kernel) = probes().into_iter().find(|(name, ..)| name == "tensor_1d").unwrap();
    let module = Module::parse(&kernel.replace("{72}", "{70}")).unwrap();
    let faults = Probe::parse(&text).unwrap().run(&module).unwrap_err();
    assert!(faults[0].to_string().contains("no multiple of 16 bytes"), "{}", faults[0]);
}

//! External data: what is read, and every way out of the model's folder that is refused.

mod build;

use std::fs;
use std::path::{Path, PathBuf};

use build::*;
use onnx::Options;
use onnx::proto::*;
use prost::Message;

/// A fresh folder with `model/` inside, which holds `w.bin` (16 bytes), and `secret.bin` beside it.
fn folder(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("external-{name}"));
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(root.join("model/sub")).unwrap();
    let bytes: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    for file in ["model/w.bin", "model/sub/w.bin", "secret.bin"] {
        fs::write(root.join(file), &bytes).unwrap();
    }
    root.join("model")
}

fn import(folder: &Path, model: &ModelProto, options: &Options) -> Result<onnx::Imported, onnx::Problems> {
    let path = folder.join("model.onnx");
    fs::write(&path, model.encode_to_vec()).unwrap();
    onnx::import_file(&path, options)
}

#[track_caller]
fn refused(folder: &Path, entries: &[(&str, &str)], expected: &str) {
    let problems = import(folder, &weight(external(entries)), &Options::default()).expect_err("a refusal");
    assert_eq!(problems.len(), 1, "{problems}");
    let problem = problems.iter().next().unwrap();
    let text = format!("{} {}", problem.fault.code.id(), problem.fault);
    assert!(text.contains(expected), "expected {expected}\nfound {text}");
}

#[track_caller]
fn contents(folder: &Path, entries: &[(&str, &str)], options: &Options) -> Vec<f64> {
    let imported = import(folder, &weight(external(entries)), options).unwrap_or_else(|e| panic!("{e}"));
    let constants = imported.model.graph.nodes.iter().filter_map(|n| match &n.op {
        graph::node::Op::Const(graph::node::Const::Inline(t)) => Some(t.to_f64s()),
        _ => None,
    });
    constants.flatten().collect()
}

#[test]
fn data_below_the_folder_are_read() {
    let folder = folder("read");
    let read = |entries: &[(&str, &str)]| contents(&folder, entries, &Options::default());
    assert_eq!(read(&[("location", "w.bin"), ("length", "8")]), [1.0, 2.0]);
    assert_eq!(read(&[("location", "w.bin"), ("offset", "8"), ("length", "8")]), [3.0, 4.0]);
    assert_eq!(read(&[("location", "./sub/w.bin"), ("offset", "4")]), [2.0, 3.0]);
    assert_eq!(read(&[("location", "w.bin"), ("checksum", "0"), ("basepath", "/elsewhere")]), [1.0, 2.0]);
}

#[test]
fn locations_that_leave_the_folder_are_refused() {
    let folder = folder("escape");
    let absolute = folder.parent().unwrap().join("secret.bin").display().to_string();
    refused(&folder, &[("location", &absolute)], "O2C0501 initializer \"w\": external data");
    refused(&folder, &[("location", &absolute)], "found an absolute path");
    refused(&folder, &[("location", "../secret.bin")], "found `..`");
    refused(&folder, &[("location", "sub/../../secret.bin")], "found `..`");
    refused(&folder, &[("location", "sub/../w.bin")], "found `..`");
    refused(&folder, &[("location", "..\\secret.bin")], "found a path with a backslash");
    refused(&folder, &[("location", "c:secret.bin")], "found a path with a backslash, colon");
    refused(&folder, &[("location", "sub//w.bin")], "found an empty component");
    refused(&folder, &[("location", "w.bin/")], "found an empty component");
    refused(&folder, &[("location", "")], "found an empty component");
    refused(&folder, &[("location", ".")], "found no file name");
    refused(&folder, &[("location", "w\0.bin")], "zero byte");
    refused(&folder, &[("location", "missing.bin")], "O2C0501");
    refused(&folder, &[("location", "sub")], "expected a regular file");
    refused(&folder, &[("location", "w.bin/w.bin")], "expected a folder, found \"w.bin\" is none");
}

#[cfg(unix)]
#[test]
fn links_are_refused_unless_allowed() {
    let folder = folder("links");
    let links = Options { allow_external_links: true, ..Options::default() };
    std::os::unix::fs::symlink("../secret.bin", folder.join("link.bin")).unwrap();
    std::os::unix::fs::symlink("..", folder.join("up")).unwrap();
    std::os::unix::fs::symlink("w.bin", folder.join("inside.bin")).unwrap();
    fs::hard_link(folder.parent().unwrap().join("secret.bin"), folder.join("hard.bin")).unwrap();
    for (location, expected) in [
        ("link.bin", "O2C0502 initializer \"w\": external data \"link.bin\": expected no symbolic link"),
        ("up/secret.bin", "found \"up\" is one"),
        ("inside.bin", "found \"inside.bin\" is one"),
        ("hard.bin", "expected a file with one hard link, found 2 links"),
    ] {
        refused(&folder, &[("location", location)], expected);
        assert_eq!(contents(&folder, &[("location", location)], &links), [1.0, 2.0], "{location}");
    }
    assert!(import(&folder, &weight(external(&[("location", "../secret.bin")])), &links).is_err());
}

#[cfg(unix)]
#[test]
fn special_files_are_refused() {
    let folder = folder("special");
    // A socket's name must be short: it is bound relative to nothing, so the path is that of the folder.
    match std::os::unix::net::UnixListener::bind(folder.join("s")) {
        Ok(_socket) => refused(&folder, &[("location", "s")], "expected a regular file, found something else"),
        Err(error) => println!("skipped: {error}"),
    }
}

#[test]
fn descriptions_and_bounds_are_checked() {
    let folder = folder("bounds");
    let file = ("location", "w.bin");
    refused(&folder, &[], "O2C0504 initializer \"w\": external data: expected a location, found none");
    refused(&folder, &[file, ("__class__", "x")], "O2C0504 initializer \"w\": external data: expected one of location");
    refused(&folder, &[file, file], "expected each key once");
    refused(&folder, &[file, ("offset", "-4")], "expected a number of 0 or more, found offset \"-4\"");
    refused(&folder, &[file, ("offset", "0x4")], "O2C0504");
    refused(&folder, &[file, ("offset", "99999999999999999999999")], "O2C0504");
    refused(&folder, &[file, ("offset", "12")], "O2C0503");
    refused(&folder, &[file, ("offset", "18446744073709551615")], "O2C0503");
    refused(&folder, &[file, ("length", "4")], "O2C0403");
    refused(&folder, &[file, ("length", "1125899906842624")], "O2C0403");
    let huge = TensorProto { dims: vec![1 << 38], ..external(&[file]) };
    let problems = import(&folder, &weight(huge), &Options::default()).unwrap_err().to_string();
    assert!(problems.contains("O2C0503"), "{problems}");
    let both = TensorProto { float_data: vec![1.0, 2.0], ..external(&[file]) };
    let problems = import(&folder, &weight(both), &Options::default()).unwrap_err().to_string();
    assert!(problems.contains("found external_data and float_data"), "{problems}");
}

#[test]
fn no_tensor_goes_around_the_check() {
    let folder = folder("around");
    let outside = || external(&[("location", "../secret.bin")]);
    let value = sparse(&[4], outside(), int64s(&[0, 1]));
    let constant = AttributeProto { sparse_tensor: Some(value.clone()), ..attr("sparse_value", 11) };
    let in_function = function("f", vec![attrs(node("Constant", "", "b"), vec![tensor_attr("value", outside())])]);
    let body = graph_with(vec![], |g| {
        let branch = |name| {
            let mut branch = graph_attr(name, vec![], "w");
            branch.g.as_mut().unwrap().initializer.push(outside());
            branch
        };
        g.input.push(build::value("c", 9, &[]));
        g.node.push(attrs(node("If", "c", "y"), vec![branch("then_branch"), branch("else_branch")]));
    });
    for model in [
        graph_with(vec![node("Add", "x w", "y")], |g| g.sparse_initializer.push(value)),
        model(vec![attrs(node("Constant", "", "y"), vec![constant])]),
        calling(vec![in_function]),
        body,
    ] {
        let problems = import(&folder, &model, &Options::default()).unwrap_err();
        assert!(problems.iter().any(|p| p.fault.to_string().contains("found `..`")), "{problems}");
    }
    assert!(build::import(&weight(external(&[("location", "w.bin")])), &Options::default()).is_err());
}

/// Only the user's own file and the one function for external data open files.
#[test]
fn only_two_places_open_files() {
    let mut openers = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                if ["File::open", "OpenOptions", "fs::read", "Mmap::map"].iter().any(|w| text.contains(w)) {
                    openers.push(path.file_name().unwrap().to_string_lossy().into_owned());
                }
            }
        }
    }
    openers.sort();
    assert_eq!(openers, ["external.rs", "load.rs", "mapped.rs"]);
}

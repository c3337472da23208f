//! Models that are wrong, one thing each, through the command line: the error has its code and its place, the exit status is 2,
//! nothing is written, what is there stays as it is, and no file outside the model's folder is read.

#[path = "../../onnx/tests/build/mod.rs"]
mod build;
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use build::*;
use onnx::proto::*;
use prost::Message;
use world::World;

/// Runs the tool in the folder: exit status, and what it says.
fn run(world: &World, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onnx2crate"));
    let output = command.args(args).current_dir(&world.root).env("TMPDIR", world.root.join("temporary")).output();
    let output = output.unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code(), said.concat())
}

/// A kind of bad input: the bytes of the model, and what the message must hold: the code and the place.
struct Kind {
    name: &'static str,
    bytes: Option<Vec<u8>>,
    code: &'static str,
    place: &'static str,
    options: &'static [&'static str],
}

fn kind(name: &'static str, model: ModelProto, code: &'static str, place: &'static str) -> Kind {
    Kind { name, bytes: Some(model.encode_to_vec()), code, place, options: &[] }
}

fn kind_of_bytes(name: &'static str, bytes: &[u8], code: &'static str) -> Kind {
    Kind { name, bytes: Some(bytes.to_vec()), code, place: "model.onnx", options: &[] }
}

fn relu() -> Vec<NodeProto> {
    vec![node("Relu", "x", "y")]
}

fn files_that_are_no_models() -> Vec<Kind> {
    let digits = include_bytes!("../../../examples/digits/digits.onnx");
    vec![
        Kind { bytes: None, ..kind_of_bytes("no such file", b"", "O2C0101") },
        kind_of_bytes("empty", b"", "O2C0105"),
        kind_of_bytes("not protobuf", b"not a model at all", "O2C0102"),
        kind_of_bytes("truncated", &digits[..digits.len() / 2], "O2C0102"),
        kind_of_bytes("a length beyond the end", &[0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], "O2C0102"),
        kind("unknown IR version", with(model(relu()), |m| m.ir_version = Some(99)), "O2C0103", "model.onnx"),
        kind("no graph", with(model(relu()), |m| m.graph = None), "O2C0105", "model.onnx"),
    ]
}

fn graphs() -> Vec<Kind> {
    let version = |v| with(model(relu()), move |m: &mut ModelProto| m.opset_import[0].version = Some(v));
    let old = |nodes| with(model(nodes), |m: &mut ModelProto| m.opset_import[0].version = Some(13));
    let circle = vec![node("Relu", "b", "a"), node("Relu", "a", "b"), node("Relu", "x", "y")];
    let twice = |g: &mut GraphProto| g.initializer.extend([floats(&[2], &[0.0; 2]), floats(&[2], &[0.0; 2])]);
    let condition = attrs(node("Constant", "", "c"), vec![tensor_attr("value", raw(9, &[], &[1]))]);
    let branch = |name, input| graph_attr(name, vec![node("Relu", input, "r")], "r");
    let choice = attrs(node("If", "c", "y"), vec![branch("then_branch", "ghost"), branch("else_branch", "x")]);
    let mut deep = vec![node("Relu", "x", "r")];
    for _ in 0..200 {
        deep = vec![attrs(node("If", "c", "r"), vec![graph_attr("then_branch", deep, "r")])];
    }
    vec![
        kind("unknown opset", version(1000), "O2C0104", "operator set ai.onnx"),
        kind("negative opset", version(i64::MIN), "O2C0104", "operator set ai.onnx"),
        kind("cyclic", model(circle), "O2C0203", "Relu \"Relu_"),
        kind(
            "a node after itself",
            model(vec![node("Relu", "a", "a"), node("Relu", "a", "y")]),
            "O2C0203",
            "\"Relu_0\"",
        ),
        kind("dangling", model(vec![node("Add", "x ghost", "y")]), "O2C0202", "Add \"Add_0\""),
        kind("dangling in a body", model(vec![condition, choice]), "O2C0202", "\"If_1/then_branch/Relu_0\""),
        kind("bodies without end", model(deep), "O2C0102", "model.onnx"),
        kind("no output", model(vec![node("Relu", "x", "z")]), "O2C0204", "output"),
        kind("a value twice", model(vec![node("Relu", "x", "y"), node("Abs", "x", "y")]), "O2C0201", "Abs \"Abs_1\""),
        kind("a weight twice", graph_with(relu(), twice), "O2C0201", "initializer \"w\""),
        kind("unknown operator", model(vec![node("Frobnicate", "x", "y")]), "O2C0301", "Frobnicate \"Frobnicate_0\""),
        kind("unknown domain", model(vec![in_domain("com.example", relu().remove(0))]), "O2C0301", "\"Relu_0\""),
        kind("operator of a later opset", old(vec![node("Gelu", "x", "y")]), "O2C0302", "Gelu \"Gelu_0\" (opset 13)"),
        kind("inputs too many", model(vec![node("Relu", "x x", "y")]), "O2C0303", "Relu \"Relu_0\""),
        kind("outputs too many", model(vec![node("Relu", "x", "y z")]), "O2C0304", "Relu \"Relu_0\""),
    ]
}

fn attributes_and_shapes() -> Vec<Kind> {
    let one = |op: &str, attributes| model(vec![attrs(node(op, "x", "y"), attributes)]);
    let perm = AttributeProto { ints: vec![0, 0, 7], ..attr("perm", 7) };
    let input = |info: ValueInfoProto| graph_with(relu(), |g| g.input[0] = info);
    let output = |info: ValueInfoProto| graph_with(relu(), |g| g.output[0] = info);
    let unfit = graph_with(vec![node("Add", "x w", "y")], |g| g.initializer.push(floats(&[3], &[0.0; 3])));
    let product = graph_with(vec![node("MatMul", "x w", "y")], |g| g.initializer.push(floats(&[3, 2], &[0.0; 6])));
    let strings = graph_with(relu(), |g| g.input[0] = value("x", 8, &["2"]));
    let scalar = graph_with(vec![node("MatMul", "x w", "y")], |g| g.initializer.push(floats(&[], &[0.0])));
    let two_dtypes = graph_with(vec![], |g| {
        let branch = |name, body| graph_attr(name, vec![body], "r");
        let cast = attrs(node("Cast", "x", "r"), vec![int("to", 7)]);
        let branches = vec![branch("then_branch", node("Relu", "x", "r")), branch("else_branch", cast)];
        g.input.push(value("c", 9, &[]));
        g.node.push(attrs(node("If", "c", "y"), branches));
    });
    let untyped = ValueInfoProto { r#type: None, ..value("x", 1, &["2"]) };
    vec![
        kind("unknown attribute", one("LeakyRelu", vec![float("beta", 1.0)]), "O2C0305", "\"LeakyRelu_0\""),
        kind("wrong type of attribute", one("LeakyRelu", vec![text("alpha", b"1")]), "O2C0306", "attribute `alpha`"),
        kind("missing attribute", one("Cast", vec![]), "O2C0307", "Cast \"Cast_0\""),
        kind("attribute not UTF-8", one("Gelu", vec![text("approximate", &[0xFF])]), "O2C0406", "Gelu \"Gelu_0\""),
        kind("wrong value of attribute", one("Gelu", vec![text("approximate", b"no")]), "O2C0308", "\"Gelu_0\""),
        kind("permutation of other rank", one("Transpose", vec![perm]), "O2C03", "Transpose \"Transpose_0\""),
        kind("contradictory shapes", unfit, "O2C0311", "Add \"Add_0\""),
        kind("contradictory product", product, "O2C0311", "MatMul \"MatMul_0\""),
        kind("wrong rank", scalar, "O2C0309", "MatMul \"MatMul_0\""),
        kind("a form that is not supported", two_dtypes, "O2C0312", "If \"If_0\""),
        kind("wrong dtype", strings, "O2C0310", "Relu \"Relu_0\""),
        kind("no type at the border", input(untyped), "O2C0701", "input \"x\""),
        kind("negative extent", input(value("x", 1, &["-1"])), "O2C0402", "input \"x\""),
        kind("huge extents", input(value("x", 1, &["n", "9223372036854775807", "2"])), "O2C0801", "input \"x\""),
        kind("too many dims", input(value("x", 1, &["1"; 33])), "O2C0801", "input \"x\""),
        kind("refuted output", output(value("y", 1, &["3"])), "O2C0702", "output \"y\""),
        Kind {
            options: &["--dim", "batch=4"],
            ..kind("a dim that is not there", model(relu()), "O2C0703", "--dim batch")
        },
    ]
}

fn tensors() -> Vec<Kind> {
    let place = "initializer \"w\"";
    let text = TensorProto { string_data: vec![vec![0xFF], vec![]], ..tensor(8, &[2]) };
    let positions = sparse(&[2], floats(&[2], &[1.0, 2.0]), int64s(&[0, 9]));
    let bomb = sparse(&[1 << 38], floats(&[2], &[1.0, 2.0]), int64s(&[0, 1]));
    let with_sparse =
        |tensor| graph_with(vec![node("Add", "x w", "y")], |g: &mut GraphProto| g.sparse_initializer.push(tensor));
    vec![
        kind("data too short", weight(raw(1, &[2], &[0; 7])), "O2C0403", place),
        kind("data too long", weight(raw(1, &[2], &[0; 12])), "O2C0403", place),
        kind("values too few", weight(floats(&[2], &[0.0])), "O2C0403", place),
        kind(
            "data of another dtype",
            weight(TensorProto { int64_data: vec![0; 2], ..tensor(1, &[2]) }),
            "O2C0404",
            place,
        ),
        kind("negative dims", weight(tensor(1, &[-1, 2])), "O2C0402", place),
        kind("huge dims", weight(tensor(1, &[1 << 41])), "O2C0801", place),
        kind("dims whose product overflows", weight(tensor(1, &[1 << 62, 1 << 62])), "O2C0801", place),
        kind("unknown dtype", weight(tensor(99, &[2])), "O2C0401", place),
        kind("strings not UTF-8", weight(text), "O2C0406", place),
        kind("sparse position outside", with_sparse(positions), "O2C0405", place),
        kind("sparse bomb", with_sparse(bomb), "O2C0801", place),
    ]
}

fn external_data() -> Vec<Kind> {
    let place = "initializer \"w\"";
    let at = |name, location, code| kind(name, weight(external(&[("location", location)])), code, place);
    let key =
        |name, key, value, code| kind(name, weight(external(&[("location", "w.bin"), (key, value)])), code, place);
    let huge = TensorProto { dims: vec![1 << 38], ..external(&[("location", "w.bin")]) };
    vec![
        at("missing data", "missing.bin", "O2C0501"),
        at("dots", "../secret/weights.bin", "O2C0501"),
        at("dots inside", "inside/../../secret/weights.bin", "O2C0501"),
        at("absolute", "/proc/self/environ", "O2C0501"),
        at("backslashes", "..\\secret\\weights.bin", "O2C0501"),
        at("a folder as data", "inside", "O2C0501"),
        at("hard link", "hard.bin", "O2C0502"),
        #[cfg(unix)]
        at("symbolic link", "link.bin", "O2C0502"),
        #[cfg(unix)]
        at("linked parent", "up/weights.bin", "O2C0502"),
        key("past the end", "offset", "12", "O2C0503"),
        key("offset that overflows", "offset", "18446744073709551615", "O2C0503"),
        key("negative offset", "offset", "-4", "O2C0504"),
        key("length that is not the tensor's", "length", "4", "O2C0403"),
        key("unknown key", "__class__", "x", "O2C0504"),
        kind("more than there is", weight(huge), "O2C0503", place),
    ]
}

fn functions() -> Vec<Kind> {
    let to = |name| vec![call(name, "a", "b")];
    let doubling: Vec<FunctionProto> = (0..30)
        .map(|i| {
            let next = if i == 29 { "end".to_string() } else { format!("f{}", i + 1) };
            let nodes = vec![call(&next, "a", "c"), call(&next, "c", "b")];
            function(&if i == 0 { "f".to_string() } else { format!("f{i}") }, nodes)
        })
        .chain([function("end", vec![node("Relu", "a", "b")])])
        .collect();
    let same = FunctionProto { input: vec!["a".into(), "a".into()], ..function("f", vec![node("Relu", "a", "b")]) };
    let circle = vec![function("f", to("g")), function("g", to("f"))];
    vec![
        kind("function cycle", calling(circle), "O2C0601", "f -> g -> f"),
        kind("expansion bomb", calling(doubling), "O2C0603", "model.onnx"),
        kind("malformed function", calling(vec![same]), "O2C0602", "function \"local::f\""),
        kind(
            "unknown in a function",
            calling(vec![function("f", vec![node("Nope", "a", "b")])]),
            "O2C0301",
            "\"f/Nope_0\"",
        ),
    ]
}

fn kinds() -> Vec<Kind> {
    let groups =
        [files_that_are_no_models(), graphs(), attributes_and_shapes(), tensors(), external_data(), functions()];
    groups.into_iter().flatten().collect()
}

#[test]
fn every_kind_has_its_code_and_place_and_writes_nothing() {
    let world = World::new("hostile");
    fs::write(world.root.join("model/model.onnx"), model(relu()).encode_to_vec()).unwrap();
    let (status, said) = run(&world, &["model/model.onnx", "--out", "engine"]);
    assert_eq!(status, Some(0), "{said}");
    let kinds = kinds();
    assert!(kinds.len() >= 60, "{}", kinds.len());
    let mut wrong = Vec::new();
    for Kind { name, bytes, code, place, options } in kinds {
        match bytes {
            Some(bytes) => fs::write(world.root.join("model/model.onnx"), bytes).unwrap(),
            None => fs::remove_file(world.root.join("model/model.onnx")).unwrap(),
        }
        let before = world.everything();
        for (out, target) in [("fresh", "cpu"), ("engine", "sm_90a")] {
            world.forget_reads();
            let args = [&["model/model.onnx", "--out", out, "--target", target], options].concat();
            let (status, said) = run(&world, &args);
            let was_read = world.sees_reads && world.was_read();
            let mut complain = |what: &str| wrong.push(format!("{name}, {target}: {what}\n{said}"));
            if status != Some(2) {
                complain(&format!("exit status {status:?}"));
            }
            if !said.contains(code) || !said.contains(place) || !said.contains("model/model.onnx") {
                complain(&format!("expected {code}, {place} and the file"));
            }
            if was_read {
                complain("a file outside the model's folder was read");
            }
            if world.everything() != before {
                complain("files were written, changed or removed");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    fs::remove_dir_all(&world.root).unwrap();
}

/// What stops writing in earnest: a path that cannot be, and a limit on the size of files that the first long one exceeds, as an
/// error and as a signal that ends the process. Only the last leaves something, and that beside the crate.
#[cfg(target_os = "linux")]
#[test]
fn a_crate_that_cannot_be_written_changes_nothing() {
    let world = World::new("unwritable");
    let model_file = world.root.join("model/model.onnx");
    fs::write(&model_file, model(relu()).encode_to_vec()).unwrap();
    let (status, said) = run(&world, &["model/model.onnx", "--out", "engine"]);
    assert_eq!(status, Some(0), "{said}");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits/digits.onnx"), &model_file).unwrap();
    let before = world.everything();
    for out in ["/proc/engine", "/dev/full/engine", "model/w.bin/engine", "model/w.bin", "model", "."] {
        let (status, said) = run(&world, &["model/model.onnx", "--out", out, "--name", "digits"]);
        assert!(matches!(status, Some(1 | 2)) && said.contains("error: "), "{out}: {status:?}\n{said}");
        assert!(world.everything() == before, "{out}");
    }
    let limited = |out: &str, first: &str| {
        let command = format!("{first}ulimit -f 8; exec \"$0\" model/model.onnx --out {out}");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).arg(env!("CARGO_BIN_EXE_onnx2crate")).current_dir(&world.root).output().unwrap()
    };
    for out in ["engine", "fresh", "some/where/fresh"] {
        let output = limited(out, "trap '' XFSZ; ");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains("error: ") && said.contains(".new-"), "{said}");
        assert!(world.everything() == before, "{out}");
        let output = limited(out, "");
        assert_eq!(output.status.code(), None, "the signal ends the process");
        let after = world.everything();
        let odd = |path: &Path| {
            !path.to_string_lossy().contains(".new-") && !path.ends_with("some") && !path.ends_with("where")
        };
        let kept = after.iter().filter(|(path, _)| odd(path));
        assert!(kept.eq(before.iter()), "{out}");
        for path in after.keys().filter(|path| !before.contains_key(*path) && path.is_dir()).collect::<Vec<_>>() {
            let _ = fs::remove_dir_all(path);
        }
    }
    fs::remove_dir_all(&world.root).unwrap();
}

/// Codes without a kind above: what is only warned of, and what only a fault of the compiler brings about.
const OTHERS: [&str; 5] = ["O2C0106", "O2C0205", "O2C0206", "O2C0313", "O2C0901"];

#[test]
fn every_code_has_a_kind() {
    let tried: BTreeSet<&str> = kinds().iter().map(|k| k.code).collect();
    let missing: Vec<&str> = onnx::problem::TABLE.iter().map(|row| row.id).filter(|id| !tried.contains(id)).collect();
    assert_eq!(missing, OTHERS);
}

/// The table for readers: this test writes it anew and fails once where it was not up to date.
#[test]
fn codes_are_listed_for_readers() {
    let mut text = String::from(
        "# Errors of models\n\n\
         What `onnx2crate` says about a model has a code, and the place: file, node, operator, operator set. All problems of a model are\n\
         shown at once; the exit status is 2, and nothing is written. A code keeps its meaning and is never given to another one.\n\n\
         | code | what it means | next step |\n|---|---|---|\n",
    );
    for row in &onnx::problem::TABLE {
        text.push_str(&format!("| {} | {} | {} |\n", row.id, row.title, row.help));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ERRORS.md");
    let current = fs::read_to_string(&path).unwrap_or_default();
    if current != text {
        fs::write(&path, text).unwrap();
        panic!("docs/ERRORS.md was not up to date and is written anew");
    }
}

//! Models that are wrong, one thing each: the problem has its code, its place and its words, and nothing panics.

mod build;

use build::*;
use bytes::Bytes;
use onnx::proto::*;
use onnx::{Options, Problems};

/// What is refused: problems as `CODE NODE text`, one for each expected line, which it must contain in order.
#[track_caller]
fn check(model: &ModelProto, expected: &[&str]) {
    check_with(model, &Options::default(), expected);
}

#[track_caller]
fn check_with(model: &ModelProto, options: &Options, expected: &[&str]) {
    match import(model, options) {
        Ok(_) => panic!("imported; expected {expected:?}"),
        Err(problems) => compare(&problems, expected),
    }
}

#[track_caller]
fn check_bytes(bytes: &[u8], expected: &[&str]) {
    let result = onnx::import_bytes(Bytes::copy_from_slice(bytes), None, &Options::default());
    compare(&result.expect_err("a refusal"), expected);
}

#[track_caller]
fn compare(problems: &Problems, expected: &[&str]) {
    let found: Vec<String> = problems
        .iter()
        .map(|p| {
            let node = p.node.as_ref().map_or(String::new(), |n| format!("{} ", n.name));
            format!("{} {node}{}", p.fault.code.id(), p.fault)
        })
        .collect();
    let matches = found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f.contains(e));
    assert!(matches, "expected {expected:#?}\nfound {found:#?}");
    assert!(!problems.to_string().is_empty());
}

fn relu() -> Vec<NodeProto> {
    vec![node("Relu", "x", "y")]
}

#[test]
fn files_that_are_no_models() {
    let digits = include_bytes!("../../../examples/digits/digits.onnx");
    check_bytes(b"", &["O2C0103 expected an IR version in 3..=13, found none", "O2C0104", "O2C0105"]);
    check_bytes(b"not a model at all", &["O2C0102 expected an ONNX model, found "]);
    check_bytes(&digits[..digits.len() / 2], &["O2C0102"]);
    check_bytes(&[0xFF; 64], &["O2C0102"]);
    check_bytes(&[0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], &["O2C0102"]);
}

#[test]
fn every_truncation_and_many_mutations_are_survived() {
    let digits = include_bytes!("../../../examples/digits/digits.onnx");
    for end in (0..2000).chain((2000..digits.len()).step_by(997)) {
        let _ = onnx::import_bytes(Bytes::copy_from_slice(&digits[..end]), None, &Options::default());
    }
    let mut state = 1u64;
    for _ in 0..1500 {
        let mut bytes = digits.to_vec();
        for _ in 0..4 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            // The front of the file is structure, the rest mostly weights.
            let at = (state >> 33) as usize % if state & 1 == 0 { bytes.len() } else { 1200 };
            bytes[at] = (state >> 20) as u8;
        }
        let _ = onnx::import_bytes(Bytes::from(bytes), None, &Options::default());
    }
}

#[test]
fn headers() {
    check(&with(model(relu()), |m| m.graph = None), &["O2C0105"]);
    check(&with(model(relu()), |m| m.ir_version = Some(2)), &["O2C0103 expected an IR version in 3..=13, found 2"]);
    check(&with(model(relu()), |m| m.ir_version = Some(14)), &["O2C0103"]);
    check(
        &with(model(relu()), |m| m.opset_import.clear()),
        &["O2C0104 expected an import of operator set ai.onnx", "O2C0104 Relu_0 expected an import"],
    );
    let version = |v| move |m: &mut ModelProto| m.opset_import[0].version = Some(v);
    check(&with(model(relu()), version(28)), &["O2C0104 operator set ai.onnx: expected a version in 1..=27, found 28"]);
    check(&with(model(relu()), version(0)), &["O2C0104 operator set ai.onnx", "O2C0302 Relu_0"]);
    check(&with(model(relu()), version(i64::MIN)), &["O2C0104 operator set ai.onnx", "O2C0302 Relu_0"]);
    let twice = |m: &mut ModelProto| {
        m.opset_import.push(OperatorSetIdProto { domain: Some("ai.onnx".into()), version: Some(21) });
    };
    check(&with(model(relu()), twice), &["O2C0104 operator set ai.onnx: expected one version, found two"]);
}

#[test]
fn names() {
    check(&model(vec![node("Relu", "b", "a"), node("Relu", "a", "b"), node("Relu", "x", "y")]), &["O2C0203 Relu_"]);
    check(&model(vec![node("Relu", "a", "a"), node("Relu", "a", "y")]), &["O2C0203 Relu_0"]);
    check(
        &model(vec![node("Add", "x ghost", "y")]),
        &["O2C0202 Add_0 input: expected a defined name, found \"ghost\""],
    );
    check(&model(vec![node("Relu", "x", "y"), node("Abs", "x", "y")]), &["O2C0201 Abs_1 value \"y\""]);
    check(&model(vec![node("Relu", "x", "x"), node("Relu", "x", "y")]), &["O2C0201 Relu_0 value \"x\"", "O2C0203"]);
    check(&model(vec![node("Relu", "x", "z")]), &["O2C0204 output: expected a defined name, found \"y\""]);
    let twice = |g: &mut GraphProto| g.input.push(value("x", 1, &["2"]));
    check(&graph_with(relu(), twice), &["O2C0201 graph input \"x\""]);
    let twice = |g: &mut GraphProto| g.initializer.extend([floats(&[2], &[0.0; 2]), floats(&[2], &[0.0; 2])]);
    check(&graph_with(relu(), twice), &["O2C0201 initializer \"w\""]);
    let unnamed = |g: &mut GraphProto| g.initializer.push(TensorProto { name: None, ..floats(&[2], &[0.0; 2]) });
    check(&graph_with(relu(), unnamed), &["O2C0202 initializer \"\""]);
}

#[test]
fn operators_and_arity() {
    check(&model(vec![node("Frobnicate", "x", "y")]), &["O2C0301 Frobnicate_0"]);
    check(&model(vec![in_domain("com.example", node("Relu", "x", "y"))]), &["O2C0301 Relu_0"]);
    let old = |m: &mut ModelProto| m.opset_import[0].version = Some(13);
    check(
        &with(model(vec![node("Gelu", "x", "y")]), old),
        &["O2C0302 Gelu_0 expected operator set 20 or newer, found 13"],
    );
    let scatter = model(vec![node("Scatter", "x x x", "y")]);
    check(&scatter, &["O2C0302 Scatter_0 expected operator set 10 or older, found 22"]);
    check(&model(vec![node("Relu", "x x", "y")]), &["O2C0303 Relu_0 expected 1 inputs, found 2"]);
    check(&model(vec![node("Relu", "", "y")]), &["O2C0303 Relu_0"]);
    check(&model(vec![node("Relu", "x", "y z")]), &["O2C0304 Relu_0 expected 1 outputs, found 2"]);
    check(&model(vec![node("", "x", "y")]), &["O2C0301 _0"]);
    let strings = graph_with(relu(), |g| g.input[0] = value("x", 8, &["2"]));
    check(&strings, &["O2C0310 Relu_0 expected a dtype on which max is defined, found str"]);
    let mixed = graph_with(vec![node("Add", "x w", "y")], |g| g.initializer.push(int64s(&[1, 2])));
    check(&mixed, &["O2C0310 Add_0"]);
}

#[test]
fn attributes() {
    let leaky = |attributes| model(vec![attrs(node("LeakyRelu", "x", "y"), attributes)]);
    check(&leaky(vec![float("beta", 1.0)]), &["O2C0305 LeakyRelu_0 expected one of alpha"]);
    check(
        &leaky(vec![text("alpha", b"1")]),
        &["O2C0306 LeakyRelu_0 attribute `alpha`: expected a float, found a string"],
    );
    check(&leaky(vec![AttributeProto { i: Some(1), ..float("alpha", 1.0) }]), &["found a float and an integer"]);
    check(
        &leaky(vec![AttributeProto { r#type: Some(2), ..float("alpha", 1.0) }]),
        &["expected an integer, found a float"],
    );
    check(&leaky(vec![attr("alpha", 99)]), &["expected an attribute type, found code 99"]);
    check(&leaky(vec![attr("alpha", 0)]), &["expected an attribute with a type, found none"]);
    check(&leaky(vec![attr("alpha", 9)]), &["found a list of tensors"]);
    check(&leaky(vec![float("alpha", 1.0), float("alpha", 2.0)]), &["O2C0201 LeakyRelu_0 attribute `alpha`"]);
    check(&leaky(vec![reference("alpha", "a", 1)]), &["O2C0602 LeakyRelu_0 attribute `alpha`"]);
    check(&model(vec![node("Cast", "x", "y")]), &["O2C0307 Cast_0 attribute `to`: expected an integer, found nothing"]);
    let gelu = |value: &[u8]| model(vec![attrs(node("Gelu", "x", "y"), vec![text("approximate", value)])]);
    check(&gelu(&[0xFF, 0xFE]), &["O2C0406 Gelu_0 attribute `approximate`: expected UTF-8"]);
    let constant = |attribute| model(vec![attrs(node("Constant", "", "w"), vec![attribute]), node("Add", "x w", "y")]);
    check(&constant(attr("value", 4)), &["O2C0306 Constant_0 attribute `value`: expected a tensor, found nothing"]);
    check(&constant(tensor_attr("value", raw(1, &[2], &[0; 7]))), &["O2C0403 Constant_0 attribute `value`"]);
    check(&constant(tensor_attr("value", external(&[("location", "../w")]))), &["O2C0501 Constant_0"]);
}

#[test]
fn tensors() {
    check(
        &weight(tensor(14, &[2])),
        &["O2C0401 initializer \"w\": expected a supported tensor dtype, found COMPLEX64"],
    );
    check(&weight(tensor(99, &[2])), &["O2C0401 initializer \"w\": expected a supported tensor dtype, found code 99"]);
    check(&weight(tensor(0, &[2])), &["O2C0401"]);
    check(&weight(tensor(1, &[-1, 2])), &["O2C0402 initializer \"w\": expected extents of 0 or more, found [-1, 2]"]);
    check(&weight(tensor(1, &[i64::MIN])), &["O2C0402"]);
    check(&weight(tensor(1, &[1 << 62, 1 << 62])), &["O2C0801 initializer \"w\": elements"]);
    check(&weight(tensor(1, &[1 << 62, 1 << 62, 0])), &["O2C0402"]);
    check(&weight(tensor(1, &[1 << 41])), &["O2C0801"]);
    check(&weight(tensor(1, &[1; 40])), &["O2C0801 initializer \"w\": rank: expected at most 32 dims, found 40"]);
    check(&weight(tensor(1, &[1 << 39])), &["O2C0403 initializer \"w\": expected 2199023255552 bytes"]);
    check(&weight(raw(1, &[2], &[0; 7])), &["O2C0403 initializer \"w\": expected 8 bytes for f32[2], found 7 bytes"]);
    check(&weight(raw(1, &[2], &[0; 12])), &["O2C0403"]);
    check(&weight(floats(&[2], &[0.0])), &["O2C0403 initializer \"w\": expected 2 elements in float_data, found 1"]);
    check(&weight(TensorProto { float_data: vec![0.0; 2], ..raw(1, &[2], &[0; 8]) }), &["O2C0404"]);
    check(&weight(TensorProto { int64_data: vec![0; 2], ..tensor(1, &[2]) }), &["expected float_data for dtype f32"]);
    check(
        &weight(TensorProto { int32_data: vec![0, 300], ..tensor(2, &[2]) }),
        &["expected values of dtype u8, found 300"],
    );
    check(
        &weight(TensorProto { uint64_data: vec![0, 1 << 32], ..tensor(12, &[2]) }),
        &["expected values of dtype u32"],
    );
    let segment = Some(tensor_proto::Segment { begin: Some(0), end: Some(1) });
    check(&weight(TensorProto { segment, ..floats(&[2], &[0.0; 2]) }), &["found a segment of one"]);
    check(&weight(TensorProto { string_data: vec![vec![0xFF], vec![]], ..tensor(8, &[2]) }), &["O2C0406"]);
    check(&weight(raw(8, &[2], &[0; 8])), &["expected string_data for dtype str, found raw_data"]);
}

#[test]
fn sparse_tensors() {
    let check_sparse = |tensor: SparseTensorProto, expected: &str| {
        check(&graph_with(vec![node("Add", "x w", "y")], |g| g.sparse_initializer.push(tensor)), &[expected]);
    };
    let two = || floats(&[2], &[1.0, 2.0]);
    check_sparse(sparse(&[2], two(), int64s(&[0, 2])), "O2C0405 initializer \"w\": expected rising positions");
    check_sparse(
        sparse(&[2], two(), int64s(&[-1, 1])),
        "O2C0405 initializer \"w\": expected indices inside [2], found -1",
    );
    check_sparse(sparse(&[2], two(), int64s(&[1, 0])), "O2C0405");
    check_sparse(sparse(&[2], two(), int64s(&[1, 1])), "O2C0405");
    check_sparse(sparse(&[2], two(), int64s(&[0])), "expected indices of shape [2] or [2, 1], found [1]");
    check_sparse(sparse(&[2], floats(&[1, 2], &[1.0, 2.0]), int64s(&[0, 1])), "expected values of rank 1");
    check_sparse(sparse(&[2], two(), floats(&[2], &[0.0, 1.0])), "expected indices of dtype i64");
    check_sparse(sparse(&[1 << 38], two(), int64s(&[0, 1])), "O2C0801 initializer \"w\": dense-bytes");
    check_sparse(sparse(&[i64::MAX, i64::MAX], two(), int64s(&[0, 1])), "O2C0801");
    check_sparse(sparse(&[-2], two(), int64s(&[0, 1])), "O2C0402");
    let pairs = TensorProto { dims: vec![2, 2], ..int64s(&[0, 0, 0, 5]) };
    check_sparse(sparse(&[2, 2], two(), pairs), "expected indices inside [2, 2], found 5");
}

#[test]
fn functions() {
    let to = |name| vec![call(name, "a", "b")];
    check(&calling(vec![function("f", to("f"))]), &["O2C0601 expected functions that end, found f -> f"]);
    check(
        &calling(vec![function("f", to("g")), function("g", to("f"))]),
        &["O2C0601 expected functions that end, found f -> g -> f"],
    );
    let relu = || vec![node("Relu", "a", "b")];
    check(&calling(vec![function("f", relu()), function("f", relu())]), &["O2C0201 function \"local::f\""]);
    let doubling: Vec<FunctionProto> = (0..30)
        .map(|i| {
            let next = if i == 29 { "end".to_string() } else { format!("f{}", i + 1) };
            let nodes = vec![call(&next, "a", "c"), call(&next, "c", "b")];
            function(&if i == 0 { "f".to_string() } else { format!("f{i}") }, nodes)
        })
        .chain([function("end", relu())])
        .collect();
    check(&calling(doubling), &["O2C0603 expected at most 1048576 nodes, found 3221225471"]);
    let chain = (0..5000)
        .map(|i| {
            let nodes = if i == 4999 { relu() } else { vec![call(&format!("f{}", i + 1), "a", "b")] };
            function(&if i == 0 { "f".to_string() } else { format!("f{i}") }, nodes)
        })
        .collect();
    check(
        &calling(chain),
        &["O2C0801 function \"local::f4967\": expected at most 32 functions inside each other, found 33"],
    );
    let many = |m: &mut ModelProto| m.graph.as_mut().unwrap().node = vec![call("f", "x x", "y")];
    check(&with(calling(vec![function("f", relu())]), many), &["O2C0303 f_0 expected at most 1 inputs, found 2"]);
    let many = |m: &mut ModelProto| m.graph.as_mut().unwrap().node = vec![call("f", "x", "y z")];
    check(&with(calling(vec![function("f", relu())]), many), &["O2C0304 f_0"]);
    let extra = |m: &mut ModelProto| m.graph.as_mut().unwrap().node[0].attribute = vec![int("q", 1)];
    check(&with(calling(vec![function("f", relu())]), extra), &["O2C0305 f_0"]);
    check(&calling(vec![function("f", vec![node("Relu", "x", "b")])]), &["O2C0202 f/Relu_0 input"]);
    check(
        &calling(vec![function("f", vec![node("Relu", "a", "c")])]),
        &["O2C0204 output: expected a defined name, found \"f/b\""],
    );
    check(&calling(vec![function("f", vec![node("Nope", "a", "b")])]), &["O2C0301 f/Nope_0"]);
    let twice = FunctionProto { input: vec!["a".into(), "a".into()], ..function("f", relu()) };
    check(&calling(vec![twice]), &["O2C0602 function \"local::f\": expected inputs with different names"]);
    let body = attrs(node("LeakyRelu", "a", "b"), vec![reference("alpha", "slope", 1)]);
    check(&calling(vec![function("f", vec![body.clone()])]), &["O2C0602 f/LeakyRelu_0 attribute `alpha`"]);
    let declared = FunctionProto { attribute: vec!["slope".into()], ..function("f", vec![body]) };
    let wrong = |m: &mut ModelProto| m.graph.as_mut().unwrap().node[0].attribute = vec![int("slope", 1)];
    check(
        &with(calling(vec![declared.clone()]), wrong),
        &["O2C0306 f_0/LeakyRelu_0 attribute `alpha`: expected a float, found an integer"],
    );
    let graph =
        |m: &mut ModelProto| m.graph.as_mut().unwrap().node[0].attribute = vec![graph_attr("slope", vec![], "x")];
    check(&with(calling(vec![declared]), graph), &["O2C0602 f_0 attribute `slope`"]);
}

#[test]
fn borders() {
    let input = |change: fn(&mut ValueInfoProto)| graph_with(relu(), |g| change(&mut g.input[0]));
    check(&input(|i| i.r#type = None), &["O2C0701 input \"x\": expected a declared type, found none"]);
    check(&input(|i| *i = ValueInfoProto { r#type: Some(TypeProto::default()), ..i.clone() }), &["O2C0701"]);
    check(&input(|i| *i = value("x", 14, &["2"])), &["O2C0401 input \"x\""]);
    check(&input(|i| *i = value("x", 1, &["-1"])), &["O2C0402 input \"x\": expected an extent of 0 or more, found -1"]);
    check(&input(|i| *i = value("x", 1, &["n", "9223372036854775807", "2"])), &["O2C0801 input \"x\""]);
    check(&input(|i| *i = value("x", 1, &["1"; 33])), &["O2C0801 input \"x\": rank"]);
    let shapeless = |i: &mut ValueInfoProto| {
        let tensor = type_proto::Tensor { elem_type: Some(1), shape: None };
        let value = Some(type_proto::Value::TensorType(tensor));
        i.r#type = Some(TypeProto { denotation: None, value });
    };
    check(&input(shapeless), &["O2C0701 input \"x\": expected a declared shape, found unknown rank"]);
    let sparse = |i: &mut ValueInfoProto| {
        let value = Some(type_proto::Value::SparseTensorType(type_proto::SparseTensor::default()));
        i.r#type = Some(TypeProto { denotation: None, value });
    };
    check(&input(sparse), &["O2C0701 input \"x\": expected a dense tensor, found a sparse tensor"]);
    let output = |declared: ValueInfoProto| graph_with(relu(), |g| g.output[0] = declared);
    check(&output(value("y", 7, &["2"])), &["O2C0702 output \"y\": expected f32[2], found dtype i64 declared"]);
    check(&output(value("y", 1, &["2", "1"])), &["O2C0702 output \"y\": expected f32[2], found rank 2 declared"]);
    check(&output(value("y", 1, &["3"])), &["O2C0702 output \"y\""]);
    let options = Options { dims: [("batch".to_string(), "4".parse().unwrap())].into(), ..Options::default() };
    check_with(&model(relu()), &options, &["O2C0703 expected no --dim, since no input dim of this model is open"]);
    let open = graph_with(relu(), |g| g.input[0] = value("x", 1, &["n"]));
    check_with(&open, &options, &["O2C0703 expected one of n, found --dim batch"]);
}

#[test]
fn bodies() {
    let branch = |op: &str| vec![node(op, "x", "r")];
    let choose = |a, b| {
        let condition = attrs(node("Constant", "", "c"), vec![tensor_attr("value", raw(9, &[], &[1]))]);
        let choice =
            attrs(node("If", "c", "y"), vec![graph_attr("then_branch", a, "r"), graph_attr("else_branch", b, "r")]);
        model(vec![condition, choice])
    };
    check(
        &choose(branch("No"), branch("Never")),
        &["O2C0301 If_1/then_branch/No_0", "O2C0301 If_1/else_branch/Never_0"],
    );
    check(&choose(vec![node("Relu", "ghost", "r")], branch("Relu")), &["O2C0202 If_1/then_branch/Relu_0 input"]);
    check(
        &choose(vec![node("Relu", "x", "q")], branch("Relu")),
        &["O2C0204 output: expected a defined name, found \"If_1/then_branch/r\""],
    );
    let data = |g: &mut GraphProto| {
        let body = g.node[1].attribute[0].g.as_mut().unwrap();
        body.initializer.push(raw(1, &[2], &[0; 3]));
    };
    let with_data = with(choose(branch("Relu"), branch("Relu")), |m| data(m.graph.as_mut().unwrap()));
    check(&with_data, &["O2C0403 initializer \"If_1/then_branch/w\""]);
    let mut nodes = branch("Relu");
    for _ in 0..60 {
        nodes = vec![attrs(node("If", "c", "r"), vec![graph_attr("then_branch", nodes, "r")])];
    }
    check(&choose(nodes, branch("Relu")), &["O2C0102"]);
}

/// Functions whose bodies hold bodies that call functions: nothing else bounds how deep that goes.
#[test]
fn functions_and_bodies_inside_each_other_do_not_exhaust_the_stack() {
    let nested = |function_count: usize, depth: usize, op: &str, condition: &str| {
        let functions = (0..function_count)
            .map(|i| {
                let last = i + 1 == function_count;
                let mut nodes = vec![if last { node(op, "a", "b") } else { call(&format!("f{}", i + 1), "a c", "b") }];
                for _ in 0..depth {
                    let branches = ["then_branch", "else_branch"].map(|name| graph_attr(name, nodes.clone(), "b"));
                    nodes = vec![attrs(node("If", "c", "b"), branches[..if last { 2 } else { 1 }].to_vec())];
                    if !last {
                        let other = graph_attr("else_branch", vec![node("Relu", "a", "b")], "b");
                        nodes[0].attribute.push(other);
                    }
                }
                let name = if i == 0 { "f".to_string() } else { format!("f{i}") };
                FunctionProto { input: vec!["a".into(), "c".into()], ..function(&name, nodes) }
            })
            .collect();
        with(calling(functions), |m| {
            let graph = m.graph.as_mut().unwrap();
            graph.node[0] = call("f", &format!("x {condition}"), "y");
            graph.input.push(value("run", 9, &[]));
            graph.initializer.push(raw(9, &[], &[1]));
        })
    };
    for condition in ["w", "run"] {
        assert!(import(&nested(30, 1, "Relu", condition), &Options::default()).is_ok(), "{condition}");
        let problems = import(&nested(30, 8, "Relu", condition), &Options::default()).unwrap_err();
        assert!(problems.iter().all(|p| p.fault.to_string().contains("nesting: expected at most")), "{problems}");
        assert_eq!(problems.len(), 1, "{problems}");
    }
}

#[test]
fn all_problems_are_shown_and_none_that_follows() {
    let nodes = vec![
        node("Frobnicate", "x", "a"),
        node("Add", "a x", "b"),
        node("Frobnicate", "b", "c"),
        attrs(node("LeakyRelu", "x", "d"), vec![text("alpha", b"1")]),
        node("Add", "d c", "e"),
        attrs(node("Transpose", "x", "f"), vec![AttributeProto { ints: vec![0, 0, 7], ..attr("perm", 7) }]),
        node("Relu", "f", "y"),
    ];
    let model = model(nodes);
    check(&model, &["O2C0301 Frobnicate_0", "O2C0301 Frobnicate_2", "O2C0306 LeakyRelu_3", "Transpose_5"]);
    let text = import(&model, &Options::default()).unwrap_err().to_string();
    assert!(text.contains("Frobnicate (opset 22): not supported; 2 nodes, first \"Frobnicate_0\""), "{text}");
    assert!(text.ends_with("4 problems"), "{text}");
}

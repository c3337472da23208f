//! Models that import: what becomes of inputs, sizes, constants, functions and bodies.

mod build;

use build::*;
use graph::datum::Datum;
use graph::tensor::Tensor;
use onnx::proto::*;
use onnx::{Imported, Options};

#[track_caller]
fn imported(model: &ModelProto) -> Imported {
    import(model, &Options::default()).unwrap_or_else(|e| panic!("{e}"))
}

/// The first output for `x = [1, -2]`.
#[track_caller]
fn run(model: &ModelProto) -> Vec<f64> {
    run_on(&imported(model), &[1.0, -2.0])
}

#[track_caller]
fn run_on(imported: &Imported, x: &[f32]) -> Vec<f64> {
    let outputs = graph::eval::model(&imported.model, &[Datum::Tensor(Tensor::from_f32s(x))]).unwrap();
    outputs[0].as_tensor().unwrap().to_f64s()
}

fn borders(imported: &Imported) -> Vec<String> {
    imported.info.inputs.iter().chain(&imported.info.outputs).map(|b| format!("{}: {}", b.name, b.ty)).collect()
}

fn warnings(imported: &Imported) -> Vec<&str> {
    imported.warnings.iter().map(|w| w.fault.code.id()).collect()
}

#[test]
fn nodes_are_sorted_with_a_remark() {
    let found = imported(&model(vec![node("Neg", "a", "y"), node("Relu", "x", "a")]));
    assert_eq!(warnings(&found), ["O2C0205"]);
    assert_eq!(run_on(&found, &[1.0, -2.0]), [-1.0, 0.0]);
}

#[test]
fn initializers_are_constants_even_as_inputs() {
    let default = |ir: i64| {
        let m = graph_with(vec![node("Add", "x w", "y")], |g| {
            g.initializer.push(floats(&[2], &[10.0, 20.0]));
            g.input.push(value("w", 1, &["2"]));
        });
        with(m, |m| m.ir_version = Some(ir))
    };
    let (old, new) = (imported(&default(3)), imported(&default(8)));
    assert_eq!((warnings(&old), warnings(&new)), (vec![], vec!["O2C0206"]));
    assert_eq!(borders(&new), ["x: f32[2]", "y: f32[2]"]);
    assert_eq!(run_on(&new, &[1.0, -2.0]), [11.0, 18.0]);
}

#[test]
fn named_and_unnamed_dims_become_symbols() {
    let open = |dims: &[&str]| {
        graph_with(vec![node("Relu", "x", "y")], |g| {
            g.input[0] = value("x", 1, dims);
            g.output[0] = value("y", 1, &["?", "elsewhere", "?"]);
        })
    };
    let found = imported(&open(&["batch size", "?", "3"]));
    assert_eq!(borders(&found)[0], "x: f32[\"batch size\", x_d1, 3]");
    let options = |text: &[(&str, &str)]| Options {
        dims: text.iter().map(|(n, r)| (n.to_string(), r.parse().unwrap())).collect(),
        ..Options::default()
    };
    let fixed = import(&open(&["n", "n", "m"]), &options(&[("n", "4"), ("m", "1..64")])).unwrap();
    assert_eq!(borders(&fixed)[0], "x: f32[4, 4, m]");
    let symbol = fixed.model.symbols.iter().next().unwrap().1;
    assert_eq!((symbol.lo, symbol.hi), (1, Some(64)));
}

#[test]
fn declared_sizes_are_checked_not_believed() {
    let found = imported(&graph_with(vec![node("Relu", "x", "y")], |g| {
        g.input[0] = value("x", 1, &["n"]);
        g.output[0] = value("y", 1, &["5"]);
    }));
    assert_eq!(borders(&found), ["x: f32[n]", "y: f32[n]"]);
    assert_eq!(found.model.guards.len(), 1);
    assert_eq!(found.model.guards[0].what, "declared size of output \"y\", dim 0");
}

#[test]
fn outputs_keep_their_names() {
    let found = imported(&graph_with(vec![node("Identity", "x", "y")], |g| {
        g.output.push(value("x", 1, &["2"]));
        g.output.push(value("y", 1, &["2"]));
    }));
    let names: Vec<_> = found.info.outputs.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["y", "x", "y"]);
    assert_eq!(found.model.graph.outputs.len(), 3);
    assert!(!found.model.graph.outputs.contains(&found.model.graph.inputs[0]));
}

#[test]
fn functions_take_attributes_defaults_and_fewer_inputs() {
    let body =
        vec![attrs(node("LeakyRelu", "a", "c"), vec![reference("alpha", "slope", 1)]), node("Clip", "c low", "b")];
    let f = FunctionProto {
        input: vec!["a".into(), "low".into()],
        attribute_proto: vec![float("slope", 0.5)],
        ..function("f", body)
    };
    assert_eq!(run(&calling(vec![f.clone()])), [1.0, -1.0]);
    let given = |m: &mut ModelProto| m.graph.as_mut().unwrap().node[0].attribute = vec![float("slope", 0.25)];
    assert_eq!(run(&with(calling(vec![f.clone()]), given)), [1.0, -0.5]);
    let low = |m: &mut ModelProto| {
        let graph = m.graph.as_mut().unwrap();
        graph.initializer.push(floats(&[], &[-0.75]));
        graph.node = vec![call("f", "x w", "y")];
    };
    assert_eq!(run(&with(calling(vec![f.clone()]), low)), [1.0, -0.75]);
    // Without a default, an attribute that is not given leaves the operator's own.
    let bare = FunctionProto { attribute_proto: vec![], attribute: vec!["slope".into()], ..f };
    let values = run(&calling(vec![bare]));
    assert!((values[1] + 0.02).abs() < 1e-6, "{values:?}");
}

#[test]
fn functions_are_found_by_overload_and_named_in_origins() {
    let overloaded = |overload: &str, op: &str| FunctionProto {
        overload: Some(overload.into()),
        ..function("f", vec![node(op, "a", "b")])
    };
    let m = with(calling(vec![overloaded("", "Neg"), overloaded("two", "Abs")]), |m| {
        m.graph.as_mut().unwrap().node[0].overload = Some("two".into());
    });
    let found = imported(&m);
    assert_eq!(run_on(&found, &[1.0, -2.0]), [1.0, 2.0]);
    assert_eq!(found.model.origins[0].name, "f_0/Abs_0");
}

#[test]
fn a_function_stands_in_for_an_operator_that_is_not_supported() {
    let mut f = function("NotYetThere", vec![node("Neg", "a", "b")]);
    f.domain = Some(String::new());
    let m = with(model(vec![node("NotYetThere", "x", "y")]), |m| m.functions.push(f));
    assert_eq!(run(&m), [-1.0, 2.0]);
}

#[test]
fn bodies_see_names_around_them_through_all_levels() {
    let inner = vec![node("Add", "x w", "r")];
    let middle = vec![attrs(
        node("If", "c", "r"),
        vec![graph_attr("then_branch", inner.clone(), "r"), graph_attr("else_branch", inner, "r")],
    )];
    let choice = attrs(
        node("If", "c", "y"),
        vec![graph_attr("then_branch", middle.clone(), "r"), graph_attr("else_branch", middle, "r")],
    );
    let m = graph_with(
        vec![attrs(node("Constant", "", "c"), vec![tensor_attr("value", raw(9, &[], &[1]))]), choice],
        |g| {
            g.initializer.push(floats(&[2], &[10.0, 20.0]));
        },
    );
    assert_eq!(run(&m), [11.0, 18.0]);
}

#[test]
fn inspect_counts_what_is_not_supported() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("inspect.onnx");
    let nodes = vec![node("Frob", "x", "a"), node("Frob", "a", "b"), node("Relu", "b", "y")];
    std::fs::write(&path, prost::Message::encode_to_vec(&model(nodes))).unwrap();
    let info = onnx::inspect(&path).unwrap();
    assert_eq!(info.unsupported().collect::<Vec<_>>(), [("", "Frob", 2)]);
    assert_eq!(info.operators[&(String::new(), "Relu".to_string())].nodes, 1);
    assert_eq!(info.inputs[0].ty, "f32[2]");
}

/// A model with `x: f32[n]` in and `y` out, whose sizes nobody has written down, and integer constants.
fn of_sizes(nodes: Vec<NodeProto>, constants: &[(&str, i64)]) -> ModelProto {
    graph_with(nodes, |g| {
        g.input[0] = value("x", 1, &["n"]);
        g.output[0] = value("y", 1, &["?"]);
        let named = |(name, v): &(&str, i64)| TensorProto { name: Some(name.to_string()), ..int64s(&[*v]) };
        g.initializer.extend(constants.iter().map(named));
    })
}

#[test]
fn padding_back_what_a_quotient_has_cut_off_needs_no_run_time_size() {
    let nodes = vec![
        node("Shape", "x", "all"),
        node("Div", "all two", "half"),
        node("Mul", "half two", "even"),
        node("Sub", "all even", "left"),
        node("Div", "left two", "before"),
        node("Sub", "left before", "after"),
        attrs(node("Concat", "before after", "pads"), vec![int("axis", 0)]),
        node("Pad", "x pads", "y"),
    ];
    let found = imported(&of_sizes(nodes, &[("two", 2)]));
    assert_eq!(borders(&found)[1], "y: f32[2*n - 2*floordiv(n, 2)]");
    assert_eq!(run_on(&found, &[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0, 0.0]);
}

#[test]
fn a_quotient_of_either_sign_is_rounded_to_zero() {
    let nodes = vec![
        node("Shape", "x", "all"),
        node("Sub", "all five", "short"),
        node("Div", "short two", "half"),
        node("Sub", "two half", "count"),
        node("ConstantOfShape", "count", "y"),
    ];
    let found = imported(&of_sizes(nodes, &[("two", 2), ("five", 5)]));
    assert_eq!(run_on(&found, &[0.0; 2]).len(), 3);
    assert_eq!(run_on(&found, &[0.0; 8]).len(), 1);
}

#[test]
fn sums_that_are_cut_layer_after_layer_stay_as_small_as_their_parts() {
    let mut nodes = Vec::new();
    let mut sum = "x".to_string();
    for k in 0..12 {
        let before = if k == 0 { "x".to_string() } else { format!("x{}", k - 1) };
        nodes.push(node("Slice", &format!("{before} one end"), &format!("x{k}")));
        nodes.push(node("Shape", &format!("x{k}"), &format!("all{k}")));
        nodes.push(node("Neg", &format!("all{k}"), &format!("from{k}")));
        nodes.push(node("Slice", &format!("{sum} from{k} end"), &format!("cut{k}")));
        let next = if k == 11 { "y".to_string() } else { format!("sum{k}") };
        nodes.push(node("Add", &format!("cut{k} x{k}"), &next));
        sum = next;
    }
    let found = imported(&of_sizes(nodes, &[("one", 1), ("end", i64::MAX)]));
    let size = &borders(&found)[1];
    assert!(size.len() < 200, "{size}");
}

#[test]
fn floats_that_count_to_a_size_are_as_many() {
    let nodes = vec![
        node("Shape", "x", "all"),
        node("Squeeze", "all", "one"),
        attrs(node("Cast", "one", "limit"), vec![int("to", 1)]),
        node("Range", "zero limit half", "y"),
    ];
    let scalar = |name: &str, v: f32| TensorProto { name: Some(name.into()), ..floats(&[], &[v]) };
    let counted = |step: f32| {
        let model = with(of_sizes(nodes.clone(), &[]), |m| {
            let initializers = &mut m.graph.as_mut().unwrap().initializer;
            initializers.extend([scalar("zero", 0.0), scalar("half", step)]);
        });
        imported(&model)
    };
    let found = counted(1.0);
    assert_eq!(borders(&found)[1], "y: f32[n]");
    assert_eq!(run_on(&found, &[0.0; 3]), [0.0, 1.0, 2.0]);
    assert_eq!(borders(&counted(2.0))[1], "y: f32[floordiv(n + 1, 2)]");
    assert_eq!(run_on(&counted(0.5), &[0.0; 2]), [0.0, 0.5, 1.0, 1.5]);
}

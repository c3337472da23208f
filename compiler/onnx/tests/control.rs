//! If, Loop, Scan, SequenceMap and run-time sequences: small models in text, run on the evaluator after verification.
//!
//! ```text
//! in n i64                     a model input: dtype and extents
//! k = f32[2] 1 2               a constant
//! y s = Loop n - k             a node; `-` is a missing input, `name=1` or `name=[1,2]` an attribute
//! | body i c a -> co ao so     a subgraph of the node above, up to `end`
//! co = Identity c
//! …
//! end
//! out y s
//! ```

mod build;

use build::{attrs, import, int};
use graph::datum::Datum;
use graph::dtype::DType;
use graph::node::Op;
use graph::scalar::Scalar;
use graph::tensor::Tensor;
use graph::verify;
use onnx::proto::*;
use onnx::{Imported, Options};

fn tensor(dtype: DType, shape: &[usize], values: &[f64]) -> Tensor {
    let scalars: Vec<Scalar> = values.iter().map(|v| Scalar::from_f64(dtype, *v)).collect();
    Tensor::from_scalars(dtype, shape.to_vec(), &scalars).unwrap()
}

fn f32s(shape: &[usize], values: &[f64]) -> Datum {
    tensor(DType::F32, shape, values).into()
}

fn number(value: i64) -> Datum {
    tensor(DType::I64, &[], &[value as f64]).into()
}

fn truth(value: bool) -> Datum {
    Tensor::scalar(Scalar::bool(value)).into()
}

fn value(name: &str, dtype: Option<i32>, dims: &[&str]) -> ValueInfoProto {
    match dtype {
        Some(dtype) => build::value(name, dtype, dims),
        None => ValueInfoProto { name: Some(name.into()), ..ValueInfoProto::default() },
    }
}

fn typed(word: &str) -> (DType, Vec<i64>) {
    let (dtype, dims) = word.split_once('[').unwrap_or((word, "]"));
    let dims = dims.trim_end_matches(']').split(',').filter(|d| !d.is_empty());
    (DType::from_name(dtype).unwrap(), dims.map(|d| d.parse().unwrap()).collect())
}

fn attribute(name: &str, text: &str) -> AttributeProto {
    match text.strip_prefix('[') {
        None => int(name, text.parse().unwrap()),
        Some(list) => {
            let ints = list.trim_end_matches(']').split(',').map(|v| v.parse().unwrap()).collect();
            AttributeProto { name: Some(name.into()), r#type: Some(7), ints, ..AttributeProto::default() }
        }
    }
}

fn node(outputs: &str, text: &str) -> NodeProto {
    let mut words = text.split_whitespace();
    let op = words.next().unwrap();
    if op.chars().next().unwrap().is_lowercase() {
        let (dtype, dims) = typed(op);
        let values: Vec<f64> = words.map(|w| w.parse().unwrap()).collect();
        let shape: Vec<usize> = dims.iter().map(|d| *d as usize).collect();
        let data = build::raw(dtype.properties().onnx, &dims, tensor(dtype, &shape, &values).bytes());
        let constant = NodeProto { op_type: Some("Constant".into()), ..NodeProto::default() };
        let constant = attrs(constant, vec![build::tensor_attr("value", data)]);
        return NodeProto { output: vec![outputs.trim().into()], ..constant };
    }
    let (attributes, inputs): (Vec<&str>, Vec<&str>) = words.partition(|w| w.contains('='));
    NodeProto {
        op_type: Some(op.into()),
        input: inputs.iter().map(|w| w.replace('-', "")).collect(),
        output: outputs.split_whitespace().map(String::from).collect(),
        attribute: attributes.iter().map(|a| a.split_once('=').map(|(n, v)| attribute(n, v)).unwrap()).collect(),
        ..NodeProto::default()
    }
}

fn graph<'a>(lines: &mut impl Iterator<Item = &'a str>) -> GraphProto {
    let mut g = GraphProto { name: Some("g".into()), ..GraphProto::default() };
    while let Some(line) = lines.next() {
        let line = line.trim();
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match first {
            "" => {}
            "end" => break,
            "in" => {
                let mut words = rest.split_whitespace();
                let (name, dtype) = (words.next().unwrap(), words.next().unwrap());
                let dtype = DType::from_name(dtype).unwrap().properties().onnx;
                g.input.push(value(name, Some(dtype), &words.collect::<Vec<_>>()));
            }
            "out" => g.output = rest.split_whitespace().map(|n| value(n, None, &[])).collect(),
            "|" => {
                let (names, outputs) = rest.split_once("->").unwrap();
                let mut names = names.split_whitespace();
                let attribute = names.next().unwrap();
                let inputs = names.map(|n| value(n, None, &[])).collect();
                let mut body = graph(lines);
                body.input = inputs;
                body.output = outputs.split_whitespace().map(|n| value(n, None, &[])).collect();
                let attribute = AttributeProto { g: Some(body), ..build::attr(attribute, 5) };
                g.node.last_mut().unwrap().attribute.push(attribute);
            }
            _ => {
                let (outputs, call) = line.split_once('=').unwrap();
                g.node.push(node(outputs, call));
            }
        }
    }
    g
}

fn model(text: &str, opset: i64) -> ModelProto {
    let opset = OperatorSetIdProto { domain: Some(String::new()), version: Some(opset) };
    let graph = Some(graph(&mut text.lines()));
    ModelProto { ir_version: Some(10), opset_import: vec![opset], graph, ..ModelProto::default() }
}

#[track_caller]
fn imported(text: &str) -> Imported {
    let imported = import(&model(text, 22), &Options::default()).unwrap_or_else(|e| panic!("{e}"));
    verify::model(&imported.model).unwrap_or_else(|e| panic!("{e:?}"));
    imported
}

#[track_caller]
fn check(text: &str, inputs: &[Datum], expected: &[Datum]) -> Vec<&'static str> {
    let imported = imported(text);
    let found = graph::eval::model(&imported.model, inputs).unwrap();
    assert_eq!(found, expected);
    imported.model.graph.nodes.iter().map(|n| n.op.name()).filter(|n| ["if", "loop", "scan"].contains(n)).collect()
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let problems = import(&model(text, 22), &Options::default()).err().expect("the model is refused").to_string();
    assert!(problems.contains(expected), "{problems}");
}

#[test]
fn a_trip_count_alone_becomes_a_scan() {
    let text = "
        in n i64
        in x f32 2
        y s = Loop n - x
        | body i c a -> co ao so
        co = Identity c
        f = CastLike i a
        ao = Add a f
        so = Mul a x
        end
        out y s";
    let nodes = check(
        text,
        &[number(2), f32s(&[2], &[1.0, 2.0])],
        &[f32s(&[2], &[2.0, 3.0]), f32s(&[2, 2], &[1.0, 4.0, 1.0, 4.0])],
    );
    assert_eq!(nodes, ["scan"]);
    check(text, &[number(-1), f32s(&[2], &[1.0, 2.0])], &[f32s(&[2], &[1.0, 2.0]), f32s(&[0, 2], &[])]);
}

#[test]
fn states_may_grow_while_a_condition_holds() {
    let text = "
        in limit i64
        in x f32 1 2
        y s = Loop - - x
        | body i c a -> co ao so
        ao = Concat a a axis=0
        n = Size ao
        co = Less n limit
        zero = i64[1] 0
        so = ReduceSum ao zero keepdims=0
        end
        out y s";
    let expected = [f32s(&[4, 2], &[1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0]), f32s(&[2, 2], &[2.0, 4.0, 4.0, 8.0])];
    assert_eq!(check(text, &[number(8), f32s(&[1, 2], &[1.0, 2.0])], &expected), ["loop"]);
}

#[test]
fn loops_nest_and_read_around() {
    let text = "
        in n i64
        in x f32 2
        k = Add x x
        y = Loop n - x
        | body i c a -> co ao
        co = Identity c
        ao = Loop i - a
        | body j d b -> do bo
        do = Identity d
        bo = Add b k
        end
        end
        out y";
    check(text, &[number(4), f32s(&[2], &[1.0, 2.0])], &[f32s(&[2], &[13.0, 26.0])]);
}

#[test]
fn few_iterations_over_a_sequence_are_written_out() {
    let text = "
        in x f32 2
        n = i64 3
        e = SequenceEmpty
        s = Loop n - e
        | body i c a -> co ao
        co = Identity c
        f = CastLike i x
        v = Add x f
        ao = SequenceInsert a v
        end
        last = i64 -1
        y = SequenceAt s last
        out y s";
    let items = [[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]].map(|v| f32s(&[2], &v));
    let nodes = check(text, &[f32s(&[2], &[1.0, 2.0])], &[f32s(&[2], &[3.0, 4.0]), Datum::Seq(items.to_vec())]);
    assert!(nodes.is_empty());
}

#[test]
fn sequences_of_unknown_length_are_carried_by_the_host() {
    let text = "
        in n i64
        in x f32 4
        e = SequenceEmpty
        s = Loop n - e
        | body i c a -> co ao
        co = Identity c
        zero = i64[1] 0
        one = i64[1] 1
        at = Reshape i one
        end1 = Add at one
        v = Slice x zero end1
        ao = SequenceInsert a v
        end
        y = ConcatFromSequence s axis=0
        l = SequenceLength s
        out y l";
    let inputs = [number(3), f32s(&[4], &[1.0, 2.0, 3.0, 4.0])];
    let expected = [f32s(&[6], &[1.0, 1.0, 2.0, 1.0, 2.0, 3.0]), number(3)];
    assert_eq!(check(text, &inputs, &expected), ["loop"]);
}

#[test]
fn a_loop_that_never_ends_or_changes_rank_is_refused() {
    let endless = "
        in x f32 2
        y = Loop - - x
        | body i c a -> co ao
        co = Identity c
        ao = Add a a
        end
        out y";
    refused(endless, "always true");
    let deeper = "
        in n i64
        in x f32 2
        y = Loop n - x
        | body i c a -> co ao
        co = Identity c
        zero = i64[1] 0
        ao = Unsqueeze a zero
        end
        out y";
    refused(deeper, "keep dtype and rank");
}

#[test]
fn branches_may_differ_in_size() {
    let text = "
        in c bool
        in x f32 3
        y z = If c
        | then_branch -> a b
        n = NonZero x
        m = Squeeze n
        a = Gather x m
        b = Neg x
        end
        | else_branch -> p q
        p = Concat x x axis=0
        q = Add x x
        end
        w = Add y y
        out w z";
    let x = f32s(&[3], &[1.0, 0.0, 3.0]);
    check(text, &[truth(true), x.clone()], &[f32s(&[2], &[2.0, 6.0]), f32s(&[3], &[-1.0, -0.0, -3.0])]);
    let doubled = f32s(&[6], &[2.0, 0.0, 6.0, 2.0, 0.0, 6.0]);
    check(text, &[truth(false), x], &[doubled, f32s(&[3], &[2.0, 0.0, 6.0])]);
}

#[test]
fn a_constant_condition_takes_one_branch() {
    let text = "
        in x f32 2
        c = bool 0
        y = If c
        | then_branch -> a
        a = MatMul x x
        end
        | else_branch -> b
        b = Neg x
        end
        out y";
    assert!(check(text, &[f32s(&[2], &[1.0, 2.0])], &[f32s(&[2], &[-1.0, -2.0])]).is_empty());
}

#[test]
fn branches_may_yield_sequences_of_unequal_length() {
    let text = "
        in c bool
        in x f32 2
        s = If c
        | then_branch -> a
        a = SequenceConstruct x x
        end
        | else_branch -> b
        b = SequenceEmpty
        end
        l = SequenceLength s
        out l s";
    let x = f32s(&[2], &[1.0, 2.0]);
    check(text, &[truth(true), x.clone()], &[number(2), Datum::Seq(vec![x.clone(), x.clone()])]);
    check(text, &[truth(false), x], &[number(0), Datum::Seq(Vec::new())]);
}

#[test]
fn branches_of_unequal_rank_are_refused() {
    let text = "
        in c bool
        in x f32 2 2
        y = If c
        | then_branch -> a
        k = i64[1] 4
        a = Reshape x k
        end
        | else_branch -> b
        b = Neg x
        end
        out y";
    refused(text, "branches of one dtype and rank");
}

#[test]
fn scans_run_along_any_axis_and_backwards() {
    let text = "
        in s f32 2
        in x f32 2 3
        y z = Scan s x num_scan_inputs=1 scan_input_axes=[1] scan_input_directions=[1] scan_output_axes=[-1] scan_output_directions=[1]
        | body a e -> ao zo
        ao = Add a e
        zo = Add ao s
        end
        out y z";
    let inputs = [f32s(&[2], &[0.0, 10.0]), f32s(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])];
    check(text, &inputs, &[f32s(&[2], &[6.0, 25.0]), f32s(&[2, 3], &[6.0, 5.0, 3.0, 35.0, 31.0, 26.0])]);
}

#[test]
fn a_scan_without_scan_inputs_is_refused() {
    let text = "
        in s f32 2
        y = Scan s num_scan_inputs=0
        | body a -> ao
        ao = Neg a
        end
        out y";
    refused(text, "num_scan_inputs");
}

#[test]
fn maps_over_sequences_known_or_not() {
    let text = |split: &str| {
        format!(
            "
            in x f32 4
            in n i64
            s = SplitToSequence x {split} axis=0
            m = SequenceMap s x
            | body e k -> r
            zero = i64[1] 0
            t = ReduceSum e zero keepdims=1
            r = Add t k
            end
            y = ConcatFromSequence m axis=0 new_axis=1
            out y"
        )
    };
    let inputs = [f32s(&[4], &[1.0, 2.0, 3.0, 4.0]), number(3)];
    let expected = [f32s(&[2, 4], &[7.0, 8.0, 9.0, 10.0, 5.0, 6.0, 7.0, 8.0])];
    assert_eq!(check(&text("n"), &inputs, &expected), ["loop"]);
    let known = text("k").replace("s = Split", "k = i64 3\n s = Split");
    assert!(check(&known, &inputs, &expected).is_empty());
}

#[test]
fn maps_over_unequal_lengths_are_refused() {
    let text = "
        in x f32 4
        s = SequenceConstruct x
        t = SequenceConstruct x x
        m = SequenceMap s t
        | body e k -> r
        r = Add e k
        end
        l = SequenceLength m
        out l";
    refused(text, "lengths of the sequences");
}

#[test]
fn every_body_is_closed() {
    let imported = imported(
        "
        in n i64
        in x f32 2
        k = Add x x
        y = Loop n - x
        | body i c a -> co ao
        co = Identity c
        ao = Add a k
        end
        out y",
    );
    let scan = imported.model.graph.nodes.iter().find_map(|n| match &n.op {
        Op::Scan(scan) => Some((n.operands.len(), scan.body.inputs.len())),
        _ => None,
    });
    assert_eq!(scan, Some((3, 3)));
}

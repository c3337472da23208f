//! Models whose products and convolutions the GPU's kernel families claim, from planning to a session on the emulator, against the
//! evaluator.

use conformance::device;
use graph::builder::{BuildError, Builder};
use graph::datum::Datum;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::BinOp;
use graph::graph::{Model, ValueId};
use graph::region::activation::Activation;
use graph::region::attention::{Attention, Labels};
use graph::region::contract::Maths;
use graph::region::conv::Conv;
use graph::region::rnn::{self, Cell, Rnn};
use graph::region::window::Window;
use graph::scalar::Scalar;
use graph::tensor::Tensor;
use graph::ty::Type;
use onnx2crate::gpu::Gpu;
use plan::plan::{Action, Code};
use ptx::Sm;

/// Numbers from -1 to 1, in sixteenths.
fn numbers(dtype: DType, shape: &[usize], seed: usize) -> Tensor {
    let count: usize = shape.iter().product();
    let value = |i: usize| ((i * 7919 + seed * 104_729) % 33) as f64 / 16.0 - 1.0;
    let values: Vec<Scalar> = (0..count).map(|i| Scalar::from_f64(dtype, value(i))).collect();
    Tensor::from_scalars(dtype, shape.to_vec(), &values).unwrap()
}

fn dims(shape: &[usize]) -> Vec<Dim> {
    shape.iter().map(|d| Dim::from(*d)).collect()
}

/// Plans the model with all its regions claimed, runs it, and compares within `tolerance`, relative to the largest result.
fn check(model: &Model, inputs: &[Tensor], sm: Sm, claims: usize, tolerance: f64) {
    let plan = Gpu { sm }.plan(model).unwrap();
    let claimed = plan.codes.iter().filter(|c| matches!(c, Code::Claimed(_))).count();
    let launches = plan.body.steps.iter().filter(|s| matches!(s.action, Action::Launch(_))).count();
    assert_eq!(claimed, claims, "of {launches} launches");
    let inputs: Vec<Datum> = inputs.iter().cloned().map(Datum::Tensor).collect();
    let expected = graph::eval::model(model, &inputs).unwrap();
    let found = device::run(model, &inputs, sm, true).unwrap();
    for (expected, found) in expected.iter().zip(&found) {
        let (Datum::Tensor(expected), Datum::Tensor(found)) = (expected, found) else { panic!("not a tensor") };
        assert_eq!((expected.shape(), expected.dtype()), (found.shape(), found.dtype()));
        let (expected, found) = (expected.to_f64s(), found.to_f64s());
        let largest = expected.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        for (at, (e, f)) in expected.iter().zip(&found).enumerate() {
            assert!((e - f).abs() <= tolerance * largest, "element {at} is {f}, not {e}");
        }
    }
}

/// `relu(a w + bias)` in a dtype, rows of `a` being all dims but the last.
fn dense_layer(dtype: DType, a: &[usize], columns: usize, sm: Sm, tolerance: f64) {
    let build = || -> Result<Model, BuildError> {
        let mut b = Builder::new("layer");
        let depth = a[a.len() - 1];
        let x = b.input("x", Type::tensor(dtype, dims(a)));
        let w = b.constant(numbers(dtype, &[depth, columns], 1))?;
        let bias = b.constant(numbers(dtype, &[columns], 2))?;
        let labels = if a.len() == 3 { "bij,jk->bik" } else { "ij,jk->ik" };
        let product = b.contract(labels, x, w)?;
        let bias = b.cast(bias, DType::F32)?;
        let sum = b.binary(BinOp::Add, product, bias)?;
        let zero = b.constant(Tensor::scalar(Scalar::from_f64(DType::F32, 0.0)))?;
        let positive = b.binary(BinOp::Max, sum, zero)?;
        let out = b.cast(positive, dtype)?;
        b.output(out);
        Ok(b.finish())
    };
    check(&build().unwrap(), &[numbers(dtype, a, 3)], sm, 1, tolerance);
}

#[test]
fn layers_of_weights() {
    dense_layer(DType::F32, &[37, 50], 20, Sm::Sm80, 1e-6);
    dense_layer(DType::F16, &[37, 64], 40, Sm::Sm80, 1e-3);
    dense_layer(DType::F16, &[2, 9, 33], 21, Sm::Sm90a, 1e-3);
    dense_layer(DType::BF16, &[5, 24], 16, Sm::Sm80, 8e-3);
    dense_layer(DType::F16, &[20, 40], 24, Sm::Sm75, 1e-3);
}

/// Rows in two dims, the inner one of extent 1: what steps of a sequence are for a single line, as recurrent layers read it.
#[test]
fn rows_of_a_single_line() {
    for (shape, perm) in [([1, 3, 40], [1, 0, 2]), ([3, 1, 40], [1, 0, 2]), ([1, 3, 40], [0, 1, 2])] {
        let mut b = Builder::new("line");
        let x = b.input("x", Type::tensor(DType::F32, dims(&shape)));
        let turned = b.transpose(x, &perm).unwrap();
        let w = b.constant(numbers(DType::F32, &[40, 64], 1)).unwrap();
        let product = b.contract("ijk,kl->ijl", turned, w).unwrap();
        b.output(product);
        check(&b.finish(), &[numbers(DType::F32, &shape, 3)], Sm::Sm80, 1, 1e-6);
    }
}

/// A sum so long that it is split.
#[test]
fn long_sums() {
    dense_layer(DType::F16, &[3, 2048], 16, Sm::Sm90a, 1e-3);
}

/// Two activations, with batch dims, and with the second one's last dim summed.
#[test]
fn products_of_activations() {
    for labels in ["bhik,bhjk->bhij", "bhij,bhjk->bhik", "bihk,bjhk->bhij"] {
        let shapes: [&[usize]; 2] = match labels {
            "bhik,bhjk->bhij" => [&[2, 3, 10, 16], &[2, 3, 12, 16]],
            "bhij,bhjk->bhik" => [&[2, 3, 10, 7], &[2, 3, 7, 24]],
            _ => [&[2, 10, 3, 16], &[2, 12, 3, 16]],
        };
        for dtype in [DType::F16, DType::F32] {
            let mut b = Builder::new("attention");
            let values: Vec<ValueId> = shapes.iter().map(|s| b.input("x", Type::tensor(dtype, dims(s)))).collect();
            let product = b.contract(labels, values[0], values[1]).unwrap();
            b.output(product);
            let inputs = [numbers(dtype, shapes[0], 1), numbers(dtype, shapes[1], 2)];
            check(&b.finish(), &inputs, Sm::Sm80, 1, 1e-5);
        }
    }
}

/// Two convolutions, the second strided, with a residual between: channels stay last.
fn convolutions(dtype: DType, channels: [usize; 3], sm: Sm, tolerance: f64) {
    let mut b = Builder::new("convolutions");
    let [c0, c1, c2] = channels;
    let x = b.input("x", Type::tensor(dtype, dims(&[2, c0, 7, 6])));
    let one = || vec![Dim::from(1_usize); 2];
    let layer = |b: &mut Builder, x: ValueId, extent: [usize; 2], filters: [usize; 2], stride: i64| {
        let w = b.constant(numbers(dtype, &[filters[1], filters[0], 3, 3], 4)).unwrap();
        let (extent, kernel) = (dims(&extent), dims(&[3, 3]));
        let window =
            Window::fitting(&b.model().symbols, (&extent, &kernel), (vec![stride; 2], vec![1; 2]), (one(), one()));
        let conv = Conv { window, groups: 1, acc: DType::F32, maths: Maths::Exact };
        b.conv(&conv, x, w).unwrap()
    };
    let first = layer(&mut b, x, [7, 6], [c0, c1], 1);
    let half = b.constant(Tensor::scalar(Scalar::from_f64(DType::F32, 0.25))).unwrap();
    let scaled = b.binary(BinOp::Mul, first, half).unwrap();
    let middle = b.cast(scaled, dtype).unwrap();
    let second = layer(&mut b, middle, [7, 6], [c1, c2], 2);
    let out = b.cast(second, dtype).unwrap();
    b.output(out);
    check(&b.finish(), &[numbers(dtype, &[2, c0, 7, 6], 5)], sm, 2, tolerance);
}

#[test]
fn convolutions_with_channels_last() {
    convolutions(DType::F16, [16, 24, 8], Sm::Sm80, 2e-3);
    convolutions(DType::F16, [3, 10, 5], Sm::Sm80, 2e-3);
    convolutions(DType::F32, [3, 12, 7], Sm::Sm80, 1e-5);
}

/// A convolution with a bias a channel and an activation, over any number of spatial dims.
struct Layer<'a> {
    dtype: DType,
    data: &'a [usize],
    weight: &'a [usize],
    groups: i64,
    stride: i64,
    dilation: i64,
    /// Before and after, along every dim.
    pads: [usize; 2],
}

fn layer(layer: &Layer<'_>, sm: Sm, claims: usize, tolerance: f64) {
    let Layer { dtype, data, weight, groups, stride, dilation, pads } = *layer;
    let spatial = data.len() - 2;
    let mut b = Builder::new("layer");
    let x = b.input("x", Type::tensor(dtype, dims(data)));
    let w = b.constant(numbers(dtype, weight, 4)).unwrap();
    let mut bias_shape = vec![1; data.len()];
    bias_shape[1] = weight[0];
    let bias = b.constant(numbers(dtype, &bias_shape, 6)).unwrap();
    let (extent, kernel) = (dims(&data[2..]), dims(&weight[2..]));
    let pads = pads.map(|pad| vec![Dim::from(pad); spatial]);
    let steps = (vec![stride; spatial], vec![dilation; spatial]);
    let window = Window::fitting(&b.model().symbols, (&extent, &kernel), steps, pads.into());
    let y = b.conv(&Conv { window, groups, acc: DType::F32, maths: Maths::Exact }, x, w).unwrap();
    let bias = b.cast(bias, DType::F32).unwrap();
    let y = b.binary(BinOp::Add, y, bias).unwrap();
    let zero = b.constant(Tensor::scalar(Scalar::from_f64(DType::F32, 0.0))).unwrap();
    let y = b.binary(BinOp::Max, y, zero).unwrap();
    let y = b.cast(y, dtype).unwrap();
    b.output(y);
    check(&b.finish(), &[numbers(dtype, data, 5)], sm, claims, tolerance);
}

#[test]
fn depthwise_convolutions() {
    let base = Layer {
        dtype: DType::F16,
        data: &[2, 16, 9, 7],
        weight: &[16, 1, 3, 3],
        groups: 16,
        stride: 1,
        dilation: 1,
        pads: [1, 1],
    };
    layer(&base, Sm::Sm90a, 1, 2e-3);
    layer(&Layer { stride: 2, pads: [0, 1], ..base }, Sm::Sm80, 1, 2e-3);
    layer(&Layer { dtype: DType::F32, weight: &[16, 1, 5, 5], pads: [2, 2], ..base }, Sm::Sm75, 1, 1e-5);
    layer(&Layer { weight: &[32, 1, 3, 3], dilation: 2, ..base }, Sm::Sm80, 1, 2e-3);
    layer(&Layer { dtype: DType::F32, data: &[3, 10, 21], weight: &[10, 1, 3], groups: 10, ..base }, Sm::Sm80, 1, 1e-5);
}

/// Groups of several channels, one spatial dim, and pixels by themselves.
#[test]
fn grouped_and_flat_convolutions() {
    let base = Layer {
        dtype: DType::F16,
        data: &[2, 32, 6, 5],
        weight: &[48, 8, 3, 3],
        groups: 4,
        stride: 1,
        dilation: 1,
        pads: [1, 1],
    };
    layer(&base, Sm::Sm80, 1, 2e-3);
    layer(&base, Sm::Sm90a, 1, 2e-3);
    layer(&Layer { weight: &[24, 4, 3, 3], groups: 8, stride: 2, ..base }, Sm::Sm90a, 1, 2e-3);
    layer(&Layer { dtype: DType::F32, weight: &[30, 16, 3, 3], groups: 2, ..base }, Sm::Sm80, 1, 1e-5);
    layer(&Layer { weight: &[40, 32, 1, 1], groups: 1, pads: [0, 0], ..base }, Sm::Sm90a, 1, 2e-3);
    layer(&Layer { dtype: DType::F32, weight: &[9, 32, 1, 1], groups: 1, pads: [0, 0], ..base }, Sm::Sm75, 1, 1e-5);
    layer(&Layer { weight: &[24, 32, 1, 1], groups: 1, pads: [1, 0], ..base }, Sm::Sm80, 1, 2e-3);
    let line = Layer { data: &[3, 16, 21], weight: &[24, 16, 5], groups: 1, pads: [2, 1], ..base };
    layer(&line, Sm::Sm80, 1, 2e-3);
    layer(&Layer { dtype: DType::F32, weight: &[10, 8, 3], groups: 2, stride: 2, ..line }, Sm::Sm80, 1, 1e-5);
    layer(&Layer { weight: &[24, 16, 1], pads: [0, 0], ..line }, Sm::Sm90a, 1, 2e-3);
}

/// Attention over queries, keys and values that are parts of one tensor `[B, S, 3 * H * D]`, with a mask of keys; one launch, as all
/// that stands around it are views.
fn attention(dtype: DType, [batch, length, heads, depth]: [usize; 4], causal: bool, sm: Sm, tolerance: f64) {
    let width = heads * depth;
    let build = || -> Result<Model, BuildError> {
        let mut b = Builder::new("attention");
        let packed = b.input("packed", Type::tensor(dtype, dims(&[batch, length, 3 * width])));
        let mask = b.input("mask", Type::tensor(DType::F32, dims(&[batch, 1, 1, length])));
        let mut parts = Vec::new();
        for n in 0..3 {
            let part = b.slice(packed, 2, &Dim::from(n * width), 1, Dim::from(width))?;
            parts.push(b.reshape(part, dims(&[batch, length, heads, depth]))?);
        }
        parts.push(mask);
        let attention = Attention {
            causal: causal.then(|| Dim::constant(0)),
            mask: true,
            labels: Labels::parse("bshd,bthd,bthe->bshe").unwrap(),
            ..Attention::plain(DType::F32)
        };
        let (result, _) = b.attention(&attention, &parts)?;
        b.output(result);
        Ok(b.finish())
    };
    let model = build().unwrap();
    let plan = Gpu { sm }.plan(&model).unwrap();
    assert_eq!(plan.body.steps.iter().filter(|s| matches!(s.action, Action::Launch(_))).count(), 1);
    let inputs = [numbers(dtype, &[batch, length, 3 * width], 1), numbers(DType::F32, &[batch, 1, 1, length], 2)];
    check(&model, &inputs, sm, 1, tolerance);
}

#[test]
fn attention_of_parts_of_one_product() {
    attention(DType::F32, [2, 19, 3, 32], false, Sm::Sm80, 2e-6);
    attention(DType::F32, [1, 9, 2, 16], true, Sm::Sm75, 2e-6);
    attention(DType::F16, [2, 19, 3, 32], true, Sm::Sm90a, 2e-3);
    attention(DType::BF16, [1, 40, 2, 80], false, Sm::Sm80, 1e-2);
}

/// A recurrent layer over `[T, B, I]`: a product for all steps, and the steps.
fn recurrent(dtype: DType, rnn: &Rnn, [steps, batch, input, hidden]: [usize; 4], sm: Sm, tolerance: f64) {
    let gates = rnn.cell.gates() as usize * hidden;
    let mut inputs = vec![numbers(dtype, &[steps, batch, input], 1)];
    let build = |inputs: &mut Vec<Tensor>| -> Result<Model, BuildError> {
        let mut b = Builder::new("recurrent");
        let x = b.input("x", Type::tensor(dtype, dims(&[steps, batch, input])));
        let mut operands = vec![x];
        operands.push(b.constant(numbers(dtype, &[gates, input], 2))?);
        operands.push(b.constant(numbers(dtype, &[gates, hidden], 3))?);
        let lstm = matches!(rnn.cell, Cell::Lstm { .. });
        for seed in 4..if lstm { 6 } else { 5 } {
            operands.push(b.input("", Type::tensor(dtype, dims(&[batch, hidden]))));
            inputs.push(numbers(dtype, &[batch, hidden], seed));
        }
        if rnn.bias {
            operands.push(b.constant(numbers(dtype, &[2 * gates], 6))?);
        }
        if rnn.lengths {
            operands.push(b.input("", Type::tensor(DType::I64, dims(&[batch]))));
            let lengths: Vec<Scalar> = (0..batch).map(|k| Scalar::i64((k * 2 % (steps + 1)) as i64)).collect();
            inputs.push(Tensor::from_scalars(DType::I64, vec![batch], &lengths).unwrap());
        }
        if rnn.peepholes {
            operands.push(b.constant(numbers(dtype, &[3 * hidden], 7))?);
        }
        let results = b.region(&rnn::KIND, rnn.to_attrs(), &operands)?;
        results.into_iter().for_each(|r| b.output(r));
        Ok(b.finish())
    };
    let model = build(&mut inputs).unwrap();
    check(&model, &inputs, sm, 2, tolerance);
}

fn layer_of(cell: Cell, activations: &[Activation]) -> Rnn {
    Rnn { cell, activations: activations.to_vec(), clip: None, bias: true, lengths: false, peepholes: false }
}

#[test]
fn recurrent_layers() {
    use Activation::{Sigmoid, Tanh};
    let lstm = layer_of(Cell::Lstm { input_forget: false }, &[Sigmoid, Tanh, Tanh]);
    recurrent(DType::F32, &lstm, [4, 3, 8, 20], Sm::Sm80, 4e-6);
    recurrent(DType::F32, &lstm, [4, 3, 8, 20], Sm::Sm90a, 4e-6);
    recurrent(DType::F32, &lstm, [3, 1, 8, 128], Sm::Sm90a, 4e-6);
    let all = Rnn { lengths: true, peepholes: true, clip: Some(Scalar::f32(1.5)), ..lstm.clone() };
    recurrent(DType::F32, &all, [5, 5, 8, 36], Sm::Sm90a, 4e-6);
    recurrent(DType::F32, &Rnn { lengths: true, bias: false, ..lstm.clone() }, [3, 2, 4, 12], Sm::Sm75, 4e-6);
    let gru = layer_of(Cell::Gru { linear_before_reset: true }, &[Sigmoid, Tanh]);
    recurrent(DType::F32, &gru, [4, 2, 8, 24], Sm::Sm90a, 4e-6);
    recurrent(DType::F32, &layer_of(Cell::Plain, &[Tanh]), [4, 2, 8, 24], Sm::Sm80, 4e-6);
    recurrent(DType::F16, &lstm, [4, 2, 8, 24], Sm::Sm90a, 2e-3);
}

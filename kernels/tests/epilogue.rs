//! Epilogues on the emulator: a bias and an activation, a residual and two results, rows of several dims, sizes as parameters.

#[allow(dead_code, reason = "each test uses its part")]
mod harness;

use graph::dim::{Dim, SymId};
use graph::dtype::DType;
use graph::expr::{BinOp, Expr, ExprId, Exprs, Leaves, Rounding};
use graph::scalar::Scalar;
use half::f16;
use harness::{Image, Post, Sizes, check_with};
use kernels::epilogue::{Axes, Epilogue};
use kernels::finish::{Finish, Stored};
use kernels::fragment::Input;
use kernels::image::Window;
use kernels::product::{Product, Side};
use kernels::simt::{SimtVariant, VARIANTS, emit};
use nest::kernel::{Body, Kernel, Nest, Out, Port, Stage, Target};
use nest::layout::{Access, Layout};
use ptx::Sm;

/// Expressions over sums and operands of these dtypes.
struct Text {
    exprs: Exprs,
    operands: Vec<DType>,
}

impl Text {
    fn new(operands: &[DType]) -> Text {
        let operands = std::iter::once(DType::F32).chain(operands.iter().copied()).collect();
        Text { exprs: Exprs::default(), operands }
    }

    fn add(&mut self, expr: Expr) -> ExprId {
        self.exprs.add(expr, Leaves { operands: &self.operands, accs: &[] }).unwrap()
    }

    fn index(&mut self, dims: &[u32]) -> Vec<ExprId> {
        dims.iter().map(|d| self.add(Expr::Index(*d))).collect()
    }

    fn load(&mut self, operand: u32, dims: &[u32]) -> ExprId {
        let index = self.index(dims);
        self.add(Expr::Load { operand, index, or: None })
    }

    fn cast(&mut self, to: DType, value: ExprId) -> ExprId {
        self.add(Expr::Cast { to, saturate: false, rounding: Rounding::Nearest, value })
    }

    fn binary(&mut self, op: BinOp, x: ExprId, y: ExprId) -> ExprId {
        self.add(Expr::Binary(op, x, y))
    }
}

fn port(dtype: DType, shape: &[Dim], access: Access) -> Port {
    Port { dtype, shape: shape.to_vec(), access }
}

fn dense(dtype: DType, shape: &[Dim]) -> Port {
    port(dtype, shape, Access::dense(shape))
}

fn kernel(params: usize, shape: &[Dim], text: Text, operands: Vec<Port>, results: Vec<(Port, ExprId)>) -> Kernel {
    let mut text = text;
    let index = text.index(&(0..shape.len() as u32).collect::<Vec<_>>());
    let outs = results
        .iter()
        .enumerate()
        .map(|(k, (_, value))| Out { value: *value, target: Target::Store { result: k, index: index.clone() } });
    let outs = outs.collect();
    let stage = Stage { inner: shape.to_vec(), reduce: Vec::new(), exprs: text.exprs, accs: Vec::new(), outs };
    let sums = dense(DType::F32, shape);
    Kernel {
        params,
        operands: std::iter::once(sums).chain(operands).collect(),
        results: results.into_iter().map(|(port, _)| port).collect(),
        body: Body::Nest(Nest { outer: Vec::new(), stages: vec![stage] }),
    }
}

fn product(columns: u32, depth: u32, batch_dims: u32, epilogue: Epilogue) -> Product {
    let side = Side { crossed: false, chunk: 4, weights: false };
    Product {
        input: Input::F32,
        columns: Some(columns),
        depth: Some(depth),
        batch_dims,
        a: side,
        b: side,
        finish: Finish::Epilogue(epilogue),
        window: None,
    }
}

fn halves(count: usize, value: impl Fn(usize) -> f64) -> Vec<u8> {
    (0..count).flat_map(|i| f16::from_f64(value(i)).to_le_bytes()).collect()
}

/// relu(sum + bias[n]) as f16; the rows are a size, the columns a constant.
fn bias_relu(columns: u32, vector: u32, splits: u32) {
    let shape = [Dim::symbol(SymId(0)), Dim::constant(i64::from(columns))];
    let mut text = Text::new(&[DType::F16]);
    let (sum, bias) = (text.load(0, &[0, 1]), text.load(1, &[1]));
    let bias = text.cast(DType::F32, bias);
    let moved = text.binary(BinOp::Add, sum, bias);
    let zero = text.add(Expr::Const(Scalar::from_f64(DType::F32, 0.0)));
    let value = text.binary(BinOp::Max, moved, zero);
    let value = text.cast(DType::F16, value);
    let operands = vec![dense(DType::F16, &shape[1..])];
    let kernel = kernel(1, &shape, text, operands, vec![(dense(DType::F16, &shape), value)]);
    let axes = Axes { batch: Vec::new(), rows: vec![0], column: 1, groups: None };
    let p = product(columns, 20, 0, Epilogue { kernel, axes, first_read: 2, vector });
    let bias = |n: usize| (n % 13) as f64 - 6.0;
    let post = Post {
        reads: vec![halves(columns as usize, bias)],
        sizes: vec![37],
        dtype: Stored::F16,
        value: &|_, _, n, sum| (sum + bias(n)).max(0.0),
        growth: 1.0,
    };
    let sizes = Sizes { rows: 37, columns: columns as usize, depth: 20, batch: Vec::new(), image: None };
    let v = SimtVariant { splits, ..VARIANTS[7] };
    check_with(&p, emit(&p, &v, Sm::Sm80).unwrap(), Sm::Sm80, &sizes, Some(&post));
}

#[test]
fn bias_and_activation() {
    bias_relu(40, 8, 1);
    bias_relu(40, 4, 1);
    bias_relu(40, 2, 3);
    bias_relu(33, 1, 1);
}

/// A batch of two dims whose result is stored with rows and heads exchanged.
#[test]
fn batch_into_another_order() {
    let (b, h, n) = (Dim::symbol(SymId(0)), Dim::constant(3), Dim::constant(8));
    let shape = [b.clone(), h.clone(), Dim::symbol(SymId(1)), n.clone()];
    let mut text = Text::new(&[]);
    let sum = text.load(0, &[0, 1, 2, 3]);
    let half = text.add(Expr::Const(Scalar::from_f64(DType::F32, 0.5)));
    let value = text.binary(BinOp::Mul, sum, half);
    let kernel = kernel(2, &shape, text, Vec::new(), vec![(dense(DType::F32, &shape), value)]);
    let axes = Axes { batch: vec![0, 1], rows: vec![2], column: 3, groups: None };
    let p = product(8, 5, 2, Epilogue { kernel, axes, first_read: 2, vector: 4 });
    let value = |_: usize, _: usize, _: usize, sum: f64| sum * 0.5;
    let post = Post { reads: Vec::new(), sizes: vec![2, 35], dtype: Stored::F32, value: &value, growth: 1.0 };
    let sizes = Sizes { rows: 35, columns: 8, depth: 5, batch: vec![2, 3], image: None };
    check_with(&p, emit(&p, &VARIANTS[7], Sm::Sm80).unwrap(), Sm::Sm80, &sizes, Some(&post));
}

/// A convolution whose result has its channels last, with a residual; batch, height and width are rows.
#[test]
fn convolution_with_residual() {
    let window = Window { channels: 4, kernel: [3, 3], strides: [1, 1], dilations: [1, 1], groups: 1 };
    let shape = [Dim::symbol(SymId(0)), Dim::constant(8), Dim::symbol(SymId(1)), Dim::constant(6)];
    let layout = Layout { order: vec![0, 2, 3, 1], block: None };
    let access = layout.access(&shape, &kernels::epilogue::symbols(2));
    let mut text = Text::new(&[DType::F32]);
    let (sum, residual) = (text.load(0, &[0, 1, 2, 3]), text.load(1, &[0, 1, 2, 3]));
    let value = text.binary(BinOp::Add, sum, residual);
    let operand = port(DType::F32, &shape, access.clone());
    let kernel = kernel(2, &shape, text, vec![operand], vec![(port(DType::F32, &shape, access), value)]);
    let axes = Axes { batch: Vec::new(), rows: vec![0, 2, 3], column: 1, groups: None };
    let mut p = product(8, window.depth(), 0, Epilogue { kernel, axes, first_read: 2, vector: 4 });
    p.window = Some(window);
    p.a.chunk = 16;
    let count = 2 * 5 * 6 * 8;
    let residual = |at: usize| (at % 17) as f64 * 0.25;
    let post = Post {
        reads: vec![(0..count).flat_map(|i| (residual(i) as f32).to_le_bytes()).collect()],
        sizes: vec![2, 5],
        dtype: Stored::F32,
        value: &|_, m, n, sum| sum + residual(m * 8 + n),
        growth: 1.0,
    };
    let image = Image { batch: 2, data: [5, 6], result: [5, 6], pads: [1, 1] };
    let sizes = Sizes { rows: 60, columns: 8, depth: 36, batch: Vec::new(), image: Some(image) };
    check_with(&p, emit(&p, &VARIANTS[7], Sm::Sm80).unwrap(), Sm::Sm80, &sizes, Some(&post));
}

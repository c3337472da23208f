//! The programs of the cases.

use std::borrow::Cow;

use runtime_min::datum::DType;
use runtime_min::gpu::program::{
    Action, Arg, Buf, Kernel, MapElement, MapShape, Memory, Module, Place, Point, Program, Promotion, ReadScalar,
    Scalar, Set, Size, SizeOp, Span, Swizzle, Target, TensorMap, View,
};
use runtime_min::stand_in::tables::{Build, NONE};

/// Kernels of every GPU since sm_80, and of those since sm_90.
pub const PLAIN: &str = include_str!("kernels/plain.ptx");
pub const HOPPER: &str = include_str!("kernels/hopper.ptx");
pub const TMA: &str = include_str!("kernels/tma.ptx");

const PLAIN_TARGET: Target = Target { capability: 80, specific: false };
const HOPPER_TARGET: Target = Target { capability: 90, specific: false };

/// A program of these entries, each of its own module; `(entry, cluster, cooperative, dependent)`.
fn build(name: &'static str, target: Target, entries: &[(&'static str, u32, bool, bool)]) -> Build {
    let mut modules: Vec<Module> = Vec::new();
    let mut kernels = Vec::new();
    for (k, (entry, cluster, cooperative, dependent)) in entries.iter().enumerate() {
        let defines = |text: &&&str| text.contains(&format!(".entry {entry}("));
        let ptx = [PLAIN, HOPPER, TMA].iter().find(defines).copied().unwrap_or_default();
        modules.push(Module { name: entry, ptx: Cow::Borrowed(ptx), cubins: Cow::Borrowed(&[]) });
        kernels.push(Kernel {
            module: k as u32,
            entry,
            block: [64, 1, 1],
            cluster: [*cluster, 1, 1],
            shared_limit: 0,
            cooperative: *cooperative,
            dependent: *dependent,
        });
    }
    Build::new(name, target, modules, kernels)
}

fn plain(name: &'static str, entries: &[&'static str]) -> Build {
    let entries: Vec<_> = entries.iter().map(|entry| (*entry, 1, false, false)).collect();
    build(name, PLAIN_TARGET, &entries)
}

fn row(b: &mut Build, kernel: u32, grid: [Size; 3], zero: Size, args: Vec<Arg>) {
    b.step(Action::Launch { kernel, grid, shared: zero, args: args.into() });
}

/// `y = 2 (2 (x + x))` over n elements; graphs at 100. With `dependent`, launches may begin early.
pub fn chain(dependent: bool) -> Program {
    let double = if dependent { "double_after" } else { "double" };
    let target = if dependent { HOPPER_TARGET } else { PLAIN_TARGET };
    let mut b = build("chain", target, &[("add", 1, false, false), (double, 1, false, dependent)]);
    let n = b.size(SizeOp::InputDim { input: 0, axis: 0 });
    let (four, zero, one, cta) = (b.constant(4), b.constant(0), b.constant(1), b.constant(64));
    let bytes = b.size(SizeOp::Mul(n, four));
    let ctas = b.size(SizeOp::CeilDiv(n, cta));
    let cta_bytes = b.constant(256);
    let start = b.size(SizeOp::Mul(ctas, cta_bytes));
    let arena = b.size(SizeOp::Add(start, start));
    b.prepared();
    let memory = Memory { bytes: Some(bytes), most: None };
    b.input("x", &[n], memory);
    b.program.arena = Memory { bytes: Some(arena), most: None };
    let x = b.buffer(bytes, Place::Input(0));
    let sum = b.buffer(bytes, Place::Arena { offset: zero });
    let twice = b.buffer(bytes, Place::Arena { offset: start });
    let y = b.buffer(bytes, Place::Output(0));
    b.output("y", DType::F32, &[n], y, memory);
    let at = |buffer: Buf| View { buffer, offset: zero };
    let grid = [ctas, one, one];
    b.step(Action::Clear { to: at(twice), bytes });
    row(&mut b, 0, grid, zero, vec![Arg::Read(at(x)), Arg::Read(at(x)), Arg::Write(at(sum)), Arg::Size64(n)]);
    row(&mut b, 1, grid, zero, vec![Arg::Read(at(sum)), Arg::Write(at(twice)), Arg::Size64(n)]);
    row(&mut b, 1, grid, zero, vec![Arg::Read(at(twice)), Arg::Write(at(sum)), Arg::Size64(n)]);
    b.step(Action::Copy { from: at(sum), to: at(y), bytes });
    b.program.points = vec![Point { dims: vec![100].into() }].into();
    b.finish(Span { start: 0, end: 5 })
}

/// The input doubled as often as it has positive elements; the output grows before the loop.
pub fn rounds() -> Program {
    let mut b = plain("rounds", &["positive", "double"]);
    let n = b.size(SizeOp::InputDim { input: 0, axis: 0 });
    let (four, zero, one, eight) = (b.constant(4), b.constant(0), b.constant(1), b.constant(8));
    let bytes = b.size(SizeOp::Mul(n, four));
    b.prepared();
    let count = b.size(SizeOp::Slot(0));
    let round = b.size(SizeOp::Slot(1));
    b.program.slots = 2;
    b.input("x", &[n], Memory { bytes: Some(bytes), most: None });
    b.program.arena = Memory { bytes: Some(eight), most: Some(8) };
    let x = b.buffer(bytes, Place::Input(0));
    let sum = b.buffer(eight, Place::Arena { offset: zero });
    let y = b.buffer(bytes, Place::Output(0));
    b.output("y", DType::F32, &[n], y, NONE);
    let at = |buffer: Buf| View { buffer, offset: zero };
    let set = |slot: u32, value: Size| {
        let then = Span { start: value.0, end: value.0 + 1 };
        Set { slot, symbol: "count", lo: 0, hi: None, then }
    };
    let grid = [one; 3];
    b.step(Action::Clear { to: at(sum), bytes: eight });
    row(&mut b, 0, grid, zero, vec![Arg::Read(at(x)), Arg::Write(at(sum)), Arg::Size64(n)]);
    let length = ReadScalar { from: at(sum), scalar: Scalar::I64, set: set(0, count) };
    b.step(Action::ReadBack { values: vec![length].into() });
    b.step(Action::Grow { buffer: y, bytes });
    b.step(Action::Copy { from: at(x), to: at(y), bytes });
    b.step(Action::Loop {
        counter: set(1, round),
        trip: Some(count),
        limit: None,
        condition: None,
        first: Cow::Borrowed(&[]),
        body: Span { start: 6, end: 8 },
        next: Cow::Borrowed(&[]),
        count: None,
    });
    row(&mut b, 1, grid, zero, vec![Arg::Read(at(y)), Arg::Write(at(y)), Arg::Size64(n)]);
    b.step(Action::Clear { to: at(sum), bytes: eight });
    b.finish(Span { start: 0, end: 6 })
}

/// Row k of y is x doubled k + 1 times, for sixteen rows; graphs at 100 elements.
pub fn turns() -> Program {
    let mut b = plain("turns", &["double"]);
    let n = b.size(SizeOp::InputDim { input: 0, axis: 0 });
    let (four, zero, one, rows) = (b.constant(4), b.constant(0), b.constant(1), b.constant(16));
    let (cta, line) = (b.constant(64), b.constant(256));
    let bytes = b.size(SizeOp::Mul(n, four));
    let whole = b.size(SizeOp::Mul(bytes, rows));
    let ctas = b.size(SizeOp::CeilDiv(n, cta));
    let second = b.size(SizeOp::Mul(ctas, line));
    let arena = b.size(SizeOp::Add(second, second));
    b.prepared();
    let turn = b.size(SizeOp::Slot(0));
    let start = b.size(SizeOp::Mul(turn, bytes));
    b.program.slots = 1;
    b.input("x", &[n], Memory { bytes: Some(bytes), most: None });
    b.program.arena = Memory { bytes: Some(arena), most: None };
    let x = b.buffer(bytes, Place::Input(0));
    let old = b.buffer(bytes, Place::Arena { offset: zero });
    let new = b.buffer(bytes, Place::Arena { offset: second });
    let y = b.buffer(whole, Place::Output(0));
    b.output("y", DType::F32, &[rows, n], y, Memory { bytes: Some(whole), most: None });
    let at = |buffer: Buf| View { buffer, offset: zero };
    b.step(Action::Copy { from: at(x), to: at(old), bytes });
    b.step(Action::Loop {
        counter: Set { slot: 0, symbol: "turn", lo: 0, hi: None, then: Span { start: turn.0, end: start.0 + 1 } },
        trip: Some(rows),
        limit: None,
        condition: None,
        first: Cow::Borrowed(&[]),
        body: Span { start: 2, end: 5 },
        next: Cow::Borrowed(&[]),
        count: None,
    });
    let grid = [ctas, one, one];
    row(&mut b, 0, grid, zero, vec![Arg::Read(at(old)), Arg::Write(at(new)), Arg::Size64(n)]);
    b.step(Action::Copy { from: at(new), to: View { buffer: y, offset: start }, bytes });
    b.step(Action::Copy { from: at(new), to: at(old), bytes });
    b.program.points = vec![Point { dims: vec![100].into() }].into();
    b.finish(Span { start: 0, end: 2 })
}

/// `y[i] = i / n + 5` over 1000 elements, for an input of n elements.
pub fn division() -> Program {
    let mut b = plain("division", &["divide"]);
    let n = b.size(SizeOp::InputDim { input: 0, axis: 0 });
    let (four, zero, one, many) = (b.constant(4), b.constant(0), b.constant(1), b.constant(1000));
    let (bytes, out) = (b.size(SizeOp::Mul(n, four)), b.constant(4000));
    let (five, ctas) = (b.constant(5), b.constant(16));
    b.prepared();
    b.input("x", &[n], Memory { bytes: Some(bytes), most: None });
    let y = b.buffer(out, Place::Output(0));
    b.output("y", DType::U32, &[many], y, Memory { bytes: Some(out), most: Some(4000) });
    let to = Arg::Write(View { buffer: y, offset: zero });
    let grid = [ctas, one, one];
    row(&mut b, 0, grid, zero, vec![to, Arg::Size64(many), Arg::Size32(five), Arg::Divisor(n)]);
    b.finish(Span { start: 0, end: 1 })
}

/// As many CTAs as the device holds at once wait for one another; y is their number.
pub fn together() -> Program {
    let mut b = build("together", PLAIN_TARGET, &[("together", 1, true, false)]);
    let n = b.size(SizeOp::InputDim { input: 0, axis: 0 });
    let (four, zero, one) = (b.constant(4), b.constant(0), b.constant(1));
    let ctas = b.size(SizeOp::Resident { kernel: 0 });
    b.prepared();
    b.input("x", &[n], Memory { bytes: Some(zero), most: None });
    let y = b.buffer(four, Place::Output(0));
    b.output("y", DType::U32, &[], y, Memory { bytes: Some(four), most: None });
    let to = View { buffer: y, offset: zero };
    b.step(Action::Clear { to, bytes: four });
    row(&mut b, 0, [ctas, one, one], zero, vec![Arg::Write(to), Arg::Size32(ctas)]);
    b.program.points = vec![Point { dims: vec![0].into() }].into();
    b.finish(Span { start: 0, end: 2 })
}

/// Eight CTAs in clusters of two; y has each one's rank.
pub fn ranks() -> Program {
    let mut b = build("ranks", HOPPER_TARGET, &[("ranks", 2, false, false)]);
    let n = b.size(SizeOp::InputDim { input: 0, axis: 0 });
    let (zero, one, eight, out) = (b.constant(0), b.constant(1), b.constant(8), b.constant(32));
    b.prepared();
    b.input("x", &[n], Memory { bytes: Some(zero), most: None });
    let y = b.buffer(out, Place::Output(0));
    b.output("y", DType::U32, &[eight], y, Memory { bytes: Some(out), most: None });
    row(&mut b, 0, [eight, one, one], zero, vec![Arg::Write(View { buffer: y, offset: zero })]);
    b.finish(Span { start: 0, end: 1 })
}

/// The tile of 8 rows and 8 columns from row 3 and column 28 on, of an input of rows of 32 elements: what is outside is 0.
pub fn tile() -> Program {
    let mut b = build("tile", HOPPER_TARGET, &[("tile", 1, false, false)]);
    let rows = b.size(SizeOp::InputDim { input: 0, axis: 0 });
    let columns = b.size(SizeOp::InputDim { input: 0, axis: 1 });
    let (four, zero, one, eight) = (b.constant(4), b.constant(0), b.constant(1), b.constant(8));
    let stride = b.size(SizeOp::Mul(columns, four));
    let bytes = b.size(SizeOp::Mul(stride, rows));
    let (out, first_column, first_row) = (b.constant(256), b.constant(28), b.constant(3));
    b.prepared();
    b.input("x", &[rows, columns], Memory { bytes: Some(bytes), most: None });
    let x = b.buffer(bytes, Place::Input(0));
    let y = b.buffer(out, Place::Output(0));
    b.output("y", DType::F32, &[eight, eight], y, Memory { bytes: Some(out), most: None });
    let map = TensorMap {
        view: View { buffer: x, offset: zero },
        element: MapElement::F32,
        extents: vec![columns, rows].into(),
        strides: vec![stride].into(),
        element_strides: vec![1, 1].into(),
        shape: MapShape::Tiled { tile: vec![8, 8].into() },
        swizzle: Swizzle::None,
        promotion: Promotion::None,
        nan_fill: false,
    };
    b.program.maps = vec![map].into();
    let args = vec![
        Arg::Map(0),
        Arg::Write(View { buffer: y, offset: zero }),
        Arg::Size32(first_column),
        Arg::Size32(first_row),
    ];
    row(&mut b, 0, [one; 3], zero, args);
    b.finish(Span { start: 0, end: 1 })
}

/// A store to an address where nothing is.
pub fn stray() -> Program {
    let mut b = plain("stray", &["stray"]);
    let n = b.size(SizeOp::InputDim { input: 0, axis: 0 });
    let (four, zero, one) = (b.constant(4), b.constant(0), b.constant(1));
    b.prepared();
    b.input("x", &[n], Memory { bytes: Some(zero), most: None });
    let y = b.buffer(four, Place::Output(0));
    b.output("y", DType::U32, &[], y, Memory { bytes: Some(four), most: None });
    row(&mut b, 0, [one; 3], zero, vec![Arg::Write(View { buffer: y, offset: zero })]);
    b.finish(Span { start: 0, end: 1 })
}

/// A program that asks for this many bytes of intermediate values.
pub fn large(bytes: u64) -> Program {
    let mut program = division();
    program.name = "large";
    program.arena = Memory { bytes: None, most: Some(bytes) };
    program
}

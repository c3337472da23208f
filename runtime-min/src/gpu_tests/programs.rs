//! Programs of the tests, built from tables as a generator would.

use std::borrow::Cow;

use crate::datum::DType;
use crate::gpu::program::*;
use crate::gpu_tests::kernels::TEXT;
pub use crate::stand_in::tables::{Build, NONE};

/// A program of the kernels in [`TEXT`].
pub fn build(name: &'static str) -> Build {
    let module = Module { name: "all", ptx: Cow::Borrowed(TEXT), cubins: Cow::Borrowed(&[]) };
    let entries = ["add", "double", "positive", "below", "trap", "divide", "mapped"];
    let kernels = entries.map(|entry| Kernel {
        module: 0,
        entry,
        block: [32, 1, 1],
        cluster: [1, 1, 1],
        shared_limit: 0,
        cooperative: false,
        dependent: true,
    });
    Build::new(name, Target { capability: 80, specific: false }, vec![module], kernels.to_vec())
}

pub const ADD: u32 = 0;
pub const DOUBLE: u32 = 1;
pub const POSITIVE: u32 = 2;
pub const BELOW: u32 = 3;
pub const TRAP: u32 = 4;
pub const DIVIDE: u32 = 5;
pub const MAPPED: u32 = 6;

/// `y = 2 (x + w)` over n elements, n from 0 to 16, in two launches, a clear and a copy. Graphs at 4 elements.
pub fn chain() -> Program {
    let mut b = build("chain");
    let n = b.size(SizeOp::InputDim { input: 0, axis: 0 });
    let (four, zero, one) = (b.constant(4), b.constant(0), b.constant(1));
    let bytes = b.size(SizeOp::Mul(n, four));
    let grid = b.size(SizeOp::Min(n, one));
    let second = b.constant(256);
    let arena = b.constant(512);
    b.prepared();
    let memory = Memory { bytes: Some(bytes), most: Some(64) };
    b.input("x", &[n], memory);
    b.program.bounds = vec![Bound { symbol: "n", value: n, lo: 0, hi: Some(16) }].into();
    b.program.arena = Memory { bytes: Some(arena), most: Some(512) };
    let x = b.buffer(bytes, Place::Input(0));
    let w = b.buffer(bytes, Place::Weight { offset: 256, bytes: 64 });
    let sum = b.buffer(bytes, Place::Arena { offset: zero });
    let twice = b.buffer(bytes, Place::Arena { offset: second });
    let y = b.buffer(bytes, Place::Output(0));
    b.output("y", DType::F32, &[n], y, memory);
    let at = |buffer| View { buffer, offset: zero };
    b.step(Action::Clear { to: at(twice), bytes });
    let args = vec![Arg::Read(at(x)), Arg::Read(at(w)), Arg::Write(at(sum)), Arg::Size64(n)];
    b.launch(ADD, grid, zero, args);
    let args = vec![Arg::Read(at(sum)), Arg::Write(at(twice)), Arg::Size64(n)];
    b.launch(DOUBLE, grid, zero, args);
    b.step(Action::Copy { from: at(twice), to: at(y), bytes });
    b.program.points = vec![Point { dims: Cow::Borrowed(&[4]) }].into();
    b.finish(Span { start: 0, end: 4 })
}

/// The weights of [`chain`]: 1, 2, 3 … behind a header.
pub fn weights() -> Vec<u8> {
    let mut out = vec![0; 256];
    out.extend((1..=16).flat_map(|k| (k as f32).to_le_bytes()));
    out
}

/// Counts the positive elements of x twice and reads both counts in one wait: as many elements of x are the output, doubled unless
/// the second count is 0.
pub fn pairs() -> Program {
    let mut b = build("pairs");
    let n = b.size(SizeOp::InputDim { input: 0, axis: 0 });
    let (four, zero, one, eight) = (b.constant(4), b.constant(0), b.constant(1), b.constant(8));
    let bytes = b.size(SizeOp::Mul(n, four));
    let (other, arena) = (b.constant(64), b.constant(128));
    b.prepared();
    let first = b.size(SizeOp::Slot(0));
    let length = b.size(SizeOp::Mul(first, four));
    let second = b.size(SizeOp::Slot(1));
    b.program.slots = 2;
    b.input("x", &[n], Memory { bytes: Some(bytes), most: None });
    b.program.arena = Memory { bytes: Some(arena), most: None };
    let x = b.buffer(bytes, Place::Input(0));
    let counts = [b.buffer(eight, Place::Arena { offset: zero }), b.buffer(eight, Place::Arena { offset: other })];
    let y = b.buffer(length, Place::Output(0));
    b.output("kept", DType::F32, &[first], y, NONE);
    let at = |buffer| View { buffer, offset: zero };
    for count in counts {
        b.launch(POSITIVE, one, zero, vec![Arg::Read(at(x)), Arg::Write(at(count)), Arg::Size64(n)]);
    }
    let read = |count: usize, symbol, start: Size, end: Size| {
        let then = Span { start: start.0, end: end.0 + 1 };
        let set = Set { slot: count as u32, symbol, lo: 0, hi: Some(12), then };
        ReadScalar { from: at(counts[count]), scalar: Scalar::I64, set }
    };
    let values = vec![read(0, "first", first, length), read(1, "second", second, second)];
    b.step(Action::ReadBack { values: values.into() });
    b.step(Action::Grow { buffer: y, bytes: length });
    b.step(Action::Copy { from: at(x), to: at(y), bytes: length });
    b.step(Action::If {
        condition: Condition::Size(second),
        then_block: Span { start: 6, end: 7 },
        else_block: Span { start: 7, end: 7 },
    });
    b.launch(DOUBLE, one, zero, vec![Arg::Read(at(y)), Arg::Write(at(y)), Arg::Size64(first)]);
    b.finish(Span { start: 0, end: 6 })
}

/// Doubles x in place of a growing output as often as x has positive elements, at most `limit` times and while its first
/// element is below 100; counts calls in a state. Outputs: the values, the number of rounds.
pub fn rounds() -> Program {
    let mut b = build("rounds");
    let n = b.size(SizeOp::InputDim { input: 0, axis: 0 });
    let (four, zero, one, eight) = (b.constant(4), b.constant(0), b.constant(1), b.constant(8));
    let bytes = b.size(SizeOp::Mul(n, four));
    let (flag, arena, hundred) = (b.constant(64), b.constant(128), b.constant(100));
    b.prepared();
    let positives = b.size(SizeOp::Slot(0));
    let length = b.size(SizeOp::Mul(positives, four));
    let round = b.size(SizeOp::Slot(1));
    let ran = b.size(SizeOp::Slot(2));
    let few = b.size(SizeOp::Le(round, eight));
    b.program.slots = 3;
    let memory = Memory { bytes: Some(bytes), most: None };
    b.input("x", &[n], memory);
    b.program.arena = Memory { bytes: Some(arena), most: None };
    b.program.guards = vec![Guard { holds: few, what: "at most 8 rounds", node: Some(1) }].into();
    b.program.states = vec![Memory { bytes: Some(four), most: Some(4) }].into();
    let x = b.buffer(bytes, Place::Input(0));
    let count = b.buffer(eight, Place::Arena { offset: zero });
    let go = b.buffer(one, Place::Arena { offset: flag });
    let grown = b.buffer(length, Place::Output(0));
    let calls = b.buffer(four, Place::State(0));
    b.output("kept", DType::F32, &[positives], grown, NONE);
    b.output("calls", DType::F32, &[], calls, NONE);
    let at = |buffer| View { buffer, offset: zero };
    let set = |slot, symbol, start: Size, end: Size| Set {
        slot,
        symbol,
        lo: 0,
        hi: Some(12),
        then: Span { start: start.0, end: end.0 + 1 },
    };
    b.launch(POSITIVE, one, zero, vec![Arg::Read(at(x)), Arg::Write(at(count)), Arg::Size64(n)]);
    let positive = set(0, "positives", positives, length);
    b.step(Action::ReadBack {
        values: vec![ReadScalar { from: at(count), scalar: Scalar::I64, set: positive }].into(),
    });
    b.step(Action::Grow { buffer: grown, bytes: length });
    b.step(Action::Copy { from: at(x), to: at(grown), bytes: length });
    // Before the loop its condition must be there.
    b.launch(BELOW, one, zero, vec![Arg::Read(at(x)), Arg::Write(at(go)), Arg::Size64(hundred)]);
    let looped = b.step(Action::Loop {
        counter: set(1, "round", round, few),
        trip: Some(positives),
        limit: None,
        condition: Some(at(go)),
        first: Cow::default(),
        body: Span { start: 8, end: 11 },
        next: Cow::default(),
        count: Some(Set { then: Span { start: ran.0, end: ran.0 + 1 }, ..set(2, "ran", ran, ran) }),
    });
    b.launch(ADD, one, zero, vec![Arg::Read(at(calls)), Arg::Read(at(x)), Arg::Write(at(calls)), Arg::Size64(one)]);
    let last = b.step(Action::Check { guard: 0 });
    assert_eq!((looped, last), (5, 7));
    b.step(Action::Check { guard: 0 });
    b.launch(DOUBLE, one, zero, vec![Arg::Read(at(grown)), Arg::Write(at(grown)), Arg::Size64(positives)]);
    b.launch(BELOW, one, zero, vec![Arg::Read(at(grown)), Arg::Write(at(go)), Arg::Size64(hundred)]);
    b.finish(Span { start: 0, end: 8 })
}

/// Row k of y is x doubled k + 1 times; three rows, n from 0 to 16, graphs at 4 elements. Where rows begin is handed from
/// iteration to iteration, how many there are is found by the loop.
pub fn turns() -> Program {
    let mut b = build("turns");
    let n = b.size(SizeOp::InputDim { input: 0, axis: 0 });
    let (four, zero, one, three) = (b.constant(4), b.constant(0), b.constant(1), b.constant(3));
    let bytes = b.size(SizeOp::Mul(n, four));
    let rows = b.size(SizeOp::Mul(bytes, three));
    let (second, arena) = (b.constant(64), b.constant(128));
    let grid = b.size(SizeOp::Min(n, one));
    b.prepared();
    let counter = b.size(SizeOp::Slot(0));
    let start = b.size(SizeOp::Slot(1));
    let next = b.size(SizeOp::Add(start, bytes));
    let ran = b.size(SizeOp::Slot(2));
    b.program.slots = 3;
    b.input("x", &[n], Memory { bytes: Some(bytes), most: Some(64) });
    b.program.bounds = vec![Bound { symbol: "n", value: n, lo: 0, hi: Some(16) }].into();
    b.program.arena = Memory { bytes: Some(arena), most: Some(128) };
    let x = b.buffer(bytes, Place::Input(0));
    let old = b.buffer(bytes, Place::Arena { offset: zero });
    let new = b.buffer(bytes, Place::Arena { offset: second });
    let y = b.buffer(rows, Place::Output(0));
    b.output("y", DType::F32, &[ran, n], y, Memory { bytes: Some(rows), most: Some(192) });
    let at = |buffer| View { buffer, offset: zero };
    let set = |slot, symbol, first: Size, last: Size| Set {
        slot,
        symbol,
        lo: 0,
        hi: None,
        then: Span { start: first.0, end: last.0 + 1 },
    };
    let row = set(1, "row", start, next);
    b.step(Action::Copy { from: at(x), to: at(old), bytes });
    b.step(Action::Loop {
        counter: set(0, "turn", counter, counter),
        trip: Some(three),
        limit: None,
        condition: None,
        first: vec![Assign { value: zero, set: row }].into(),
        body: Span { start: 2, end: 5 },
        next: vec![Assign { value: next, set: row }].into(),
        count: Some(set(2, "ran", ran, ran)),
    });
    b.launch(DOUBLE, grid, zero, vec![Arg::Read(at(old)), Arg::Write(at(new)), Arg::Size64(n)]);
    b.step(Action::Copy { from: at(new), to: View { buffer: y, offset: start }, bytes });
    b.step(Action::Copy { from: at(new), to: at(old), bytes });
    b.program.points = vec![Point { dims: vec![4].into() }].into();
    b.finish(Span { start: 0, end: 2 })
}

/// y is a buffer that nobody writes, in the place of another one that holds 2 x.
pub fn stale() -> Program {
    let mut program = chain();
    program.name = "stale";
    let sum = program.buffers[2];
    program.buffers.to_mut().push(sum);
    let unwritten = Buf(program.buffers.len() as u32 - 1);
    for step in program.steps.to_mut() {
        if let Action::Launch { kernel: DOUBLE, args, .. } = &mut step.action
            && let [Arg::Read(view), ..] = args.to_mut().as_mut_slice()
            && view.buffer == Buf(2)
        {
            view.buffer = unwritten;
        }
    }
    program
}

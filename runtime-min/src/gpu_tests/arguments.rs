//! What kernels are given: sizes of both widths, divisors, tensor maps; choices, host operators, objects, captures.

use std::borrow::Cow;
use std::sync::Arc;

use super::kernels::device;
use super::programs::*;
use super::runs::{bytes, floats, infer};
use crate::datum::{DType, Datum, TensorDatum};
use crate::gpu::engine::GpuEngine;
use crate::gpu::options::{EngineOptions, HostOps, NoHost};
use crate::gpu::program::*;
use crate::gpu::session::{DeviceInput, GpuSession, HostInput, HostValue};
use crate::stand_in::{Leaks, Script, StandIn};
use crate::weights::Weights;

fn session(driver: &StandIn, program: Program, host: Arc<dyn HostOps>) -> GpuSession {
    let engine = GpuEngine::load(driver.table(), program, Weights::none(), host, EngineOptions::default()).unwrap();
    engine.session().unwrap()
}

fn start() -> StandIn {
    StandIn::new(device(), Script::default())
}

/// `out[i] = i / n + addend` over 8 elements, for an input of n elements.
fn division(addend: i64) -> Program {
    let mut b = build("division");
    let n = b.size(SizeOp::InputDim { input: 0, axis: 0 });
    let (four, zero, one, eight) = (b.constant(4), b.constant(0), b.constant(1), b.constant(8));
    let (bytes, out, addend) = (b.size(SizeOp::Mul(n, four)), b.constant(32), b.constant(addend));
    b.prepared();
    b.input("x", &[n], Memory { bytes: Some(bytes), most: None });
    let y = b.buffer(out, Place::Output(0));
    b.output("y", DType::U32, &[eight], y, Memory { bytes: Some(out), most: None });
    let args =
        vec![Arg::Write(View { buffer: y, offset: zero }), Arg::Size64(eight), Arg::Size32(addend), Arg::Divisor(n)];
    b.launch(DIVIDE, one, zero, args);
    b.finish(Span { start: 0, end: 1 })
}

#[test]
fn divisors_and_narrow_sizes() {
    let driver = start();
    let run = |n: usize, addend: i64| {
        let mut session = session(&driver, division(addend), Arc::new(NoHost));
        let data = vec![0; n * 4];
        session.infer(&[HostInput { dims: &[n], value: HostValue::Bytes(&data) }])?;
        let found = session.output::<1>(0).unwrap().0.to_vec();
        Ok::<Vec<u32>, crate::error::Error>(
            found.chunks(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect(),
        )
    };
    assert_eq!(run(3, 10).unwrap(), [10, 10, 10, 11, 11, 11, 12, 12]);
    assert_eq!(run(1, 0).unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
    // Nothing is divided by an extent of 0; the parameter still has a meaning.
    assert_eq!(run(0, 1).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(run(1, -1).unwrap()[..2], [u32::MAX, 0]);
    let text = run(1, 1 << 32).unwrap_err().to_string();
    assert_eq!(text, "First \"n0\": 4294967296 is not a size that memory can hold");
}

/// The input, copied by a kernel that finds it through a tensor map.
pub fn mapped() -> Program {
    let mut b = build("mapped");
    let n = b.size(SizeOp::InputDim { input: 0, axis: 0 });
    let (four, zero, one) = (b.constant(4), b.constant(0), b.constant(1));
    let bytes = b.size(SizeOp::Mul(n, four));
    b.prepared();
    let memory = Memory { bytes: Some(bytes), most: None };
    b.input("x", &[n], memory);
    let x = b.buffer(bytes, Place::Input(0));
    let y = b.buffer(bytes, Place::Output(0));
    b.output("y", DType::F32, &[n], y, memory);
    let map = |shape| TensorMap {
        view: View { buffer: x, offset: zero },
        element: MapElement::F32,
        extents: vec![n].into(),
        strides: Cow::default(),
        element_strides: vec![1].into(),
        shape,
        swizzle: Swizzle::None,
        promotion: Promotion::B128,
        nan_fill: false,
    };
    b.program.maps = vec![map(MapShape::Tiled { tile: vec![4].into() })].into();
    b.step(Action::Clear { to: View { buffer: y, offset: zero }, bytes });
    b.launch(MAPPED, one, zero, vec![Arg::Map(0), Arg::Write(View { buffer: y, offset: zero })]);
    b.program.points = vec![Point { dims: vec![4].into() }].into();
    b.finish(Span { start: 0, end: 2 })
}

#[test]
fn tensor_maps_follow_their_tensor() {
    let driver = start();
    let mut session = session(&driver, mapped(), Arc::new(NoHost));
    let x = [1.0, 2.0, 3.0, 4.0];
    assert_eq!(infer(&mut session, &x).unwrap(), x);
    assert_eq!(driver.counts().encodings, 1);
    let (from, to) = driver.executor(|device| {
        let (from, to) = (device.alloc(16), device.alloc(16));
        device.write(from, &bytes(&[5.0; 4]));
        (from, to)
    });
    let inputs = [DeviceInput { dims: &[4], address: from }];
    // SAFETY: both are memory of the device, of 16 bytes.
    #[allow(unsafe_code, reason = "the function under test")]
    unsafe { session.enqueue(driver.foreign_stream(), &inputs, &[to]) }.unwrap();
    assert_eq!(infer(&mut session, &x[..3]).unwrap(), x[..3]);
    assert_eq!(floats(&driver.executor(|device| device.read(to, 16)).unwrap()), [5.0; 4]);
    drop(session);
    assert_eq!(driver.leaks().misuse, Vec::<String>::new());
}

/// A caller's capture takes the steps; what must be read back cannot be captured.
#[test]
fn steps_go_into_a_callers_capture() {
    let driver = start();
    let mut captured = session(&driver, mapped(), Arc::new(NoHost));
    let mut loops = session(&driver, rounds(), Arc::new(NoHost));
    loops.prepare(&[&[4]]).unwrap();
    let api = crate::gpu::calls::Api::new(driver.table());
    let stream = driver.foreign_stream();
    let (from, to) = driver.executor(|device| (device.alloc(16), device.alloc(16)));
    let context = crate::gpu::owned::Context::open(driver.table(), 0).unwrap();
    let entered = context.enter().unwrap();
    let handle = crate::gpu::driver::StreamHandle(stream);
    api.begin_capture(handle).unwrap();
    let inputs = [DeviceInput { dims: &[4], address: from }];
    // SAFETY: both are memory of the device, of 16 bytes.
    #[allow(unsafe_code, reason = "the function under test")]
    unsafe {
        captured.enqueue(stream, &inputs, &[to]).unwrap();
        let text = loops.enqueue(stream, &inputs, &[0, 0]).unwrap_err().to_string();
        assert_eq!(text, "a value is read back, which a caller's capture does not allow, at Second \"n1\"");
    }
    let graph = crate::gpu::owned::Graph::own(&context, api.end_capture(handle).unwrap());
    let exec = crate::gpu::owned::GraphExec::own(&context, api.instantiate(graph.handle()).unwrap());
    driver.executor(|device| assert!(device.write(from, &bytes(&[7.0; 4]))));
    api.launch_graph(exec.handle(), handle).unwrap();
    api.synchronize(handle).unwrap();
    assert_eq!(floats(&driver.executor(|device| device.read(to, 16)).unwrap()), [7.0; 4]);
    drop((entered, exec, graph, context, captured, loops));
    let leaks = driver.leaks();
    assert_eq!((leaks.misuse, leaks.handles), (Vec::new(), Vec::new()));
}

/// Host operators: 0 turns a tensor into a sequence of its elements, 1 keeps the positive ones of a sequence as a tensor.
#[derive(Debug)]
struct Host {
    constant: Datum,
}

impl HostOps for Host {
    fn call(&self, call: u32, operands: &[&Datum]) -> Result<Vec<Datum>, String> {
        let tensor = |values: Vec<f32>, shape: Vec<usize>| {
            let data = bytes(&values);
            Datum::Tensor(TensorDatum { dtype: DType::F32, shape, data, strings: Vec::new() })
        };
        match (call, operands) {
            (0, [Datum::Tensor(t), Datum::Seq(_)]) => {
                Ok(vec![Datum::Seq(floats(&t.data).into_iter().map(|v| tensor(vec![v], vec![])).collect())])
            }
            (1, [Datum::Seq(items)]) => {
                let values = items.iter().map(|item| floats(&item.tensor().unwrap().data)[0]);
                let kept: Vec<f32> = values.filter(|v| *v > 0.0).collect();
                let count = kept.len();
                Ok(vec![tensor(kept, vec![count])])
            }
            _ => Err(format!("operator {call} does not take {} operands like these", operands.len())),
        }
    }

    fn constant(&self, index: u32) -> Option<&Datum> {
        (index == 0).then_some(&self.constant)
    }
}

/// x, doubled if its first element is below 10, through a sequence; the positive elements, and the sequence itself.
pub fn hosted() -> Program {
    let mut b = build("hosted");
    let n = b.size(SizeOp::InputDim { input: 0, axis: 0 });
    let (four, zero, one, ten) = (b.constant(4), b.constant(0), b.constant(1), b.constant(10));
    let bytes = b.size(SizeOp::Mul(n, four));
    let (flag, arena) = (b.constant(256), b.constant(320));
    b.prepared();
    let kept = b.size(SizeOp::Slot(0));
    let length = b.size(SizeOp::Mul(kept, four));
    (b.program.slots, b.program.objects, b.program.constants) = (1, 2, 1);
    b.program.arena = Memory { bytes: Some(arena), most: None };
    b.input("x", &[n], Memory { bytes: Some(bytes), most: None });
    let x = b.buffer(bytes, Place::Input(0));
    let copy = b.buffer(bytes, Place::Arena { offset: zero });
    let below = b.buffer(one, Place::Arena { offset: flag });
    let list = b.buffer(zero, Place::Object(0));
    let again = b.buffer(zero, Place::Object(1));
    let constant = b.buffer(zero, Place::Constant(0));
    let y = b.buffer(length, Place::Growable);
    b.output("y", DType::F32, &[kept], y, NONE);
    b.program.outputs.to_mut().push(OutputPort {
        name: "list",
        dtype: None,
        dims: Cow::default(),
        buffer: again,
        memory: NONE,
    });
    let at = |buffer| View { buffer, offset: zero };
    let whole = |buffer, dims: Vec<Size>| HostView { buffer, dtype: DType::F32, dims: dims.into(), offset: zero };
    let set = Set { slot: 0, symbol: "kept", lo: 0, hi: None, then: Span { start: kept.0, end: length.0 + 1 } };
    b.launch(BELOW, one, zero, vec![Arg::Read(at(x)), Arg::Write(at(below)), Arg::Size64(ten)]);
    b.step(Action::If {
        condition: Condition::Value(at(below)),
        then_block: Span { start: 6, end: 7 },
        else_block: Span { start: 7, end: 8 },
    });
    b.step(Action::Host {
        call: 0,
        operands: vec![whole(copy, vec![n]), whole(constant, vec![])].into(),
        results: vec![whole(list, vec![])].into(),
        binds: Cow::default(),
    });
    b.step(Action::CopyObject { from: list, to: again });
    // The growable buffer is made ready for all elements: how many stay is not known before the call.
    b.step(Action::Grow { buffer: y, bytes });
    b.step(Action::Host {
        call: 1,
        operands: vec![whole(again, vec![])].into(),
        results: vec![whole(y, vec![kept])].into(),
        binds: vec![Bind { result: 0, axis: 0, set }].into(),
    });
    b.launch(DOUBLE, one, zero, vec![Arg::Read(at(x)), Arg::Write(at(copy)), Arg::Size64(n)]);
    b.step(Action::Copy { from: at(x), to: at(copy), bytes });
    b.finish(Span { start: 0, end: 6 })
}

#[test]
fn host_operators_choices_and_objects() {
    let driver = start();
    let mut session = session(&driver, hosted(), Arc::new(Host { constant: Datum::Seq(Vec::new()) }));
    assert_eq!(infer(&mut session, &[1.0, -2.0, 3.0]).unwrap(), [2.0, 6.0]);
    assert_eq!(infer(&mut session, &[11.0, -2.0, 3.0]).unwrap(), [11.0, 3.0]);
    let Some(Datum::Seq(items)) = session.output_object(1) else { panic!("no sequence") };
    assert_eq!(items.len(), 3);
    assert_eq!(session.output_datum(0).unwrap().tensor().unwrap().shape, [2]);
    drop(session);
    assert_eq!(driver.leaks(), Leaks::default());
    let host = Host { constant: Datum::Opt(None) };
    let engine =
        GpuEngine::load(driver.table(), hosted(), Weights::none(), Arc::new(host), EngineOptions::default()).unwrap();
    let text = infer(&mut engine.session().unwrap(), &[1.0]).unwrap_err().to_string();
    assert_eq!(text, "Second \"n1\": operator 0 does not take 2 operands like these");
}

#[test]
fn inputs_are_written_in_place() {
    let driver = start();
    let mut session = session(&driver, mapped(), Arc::new(NoHost));
    session.input_mut(0, 8).unwrap().copy_from_slice(&bytes(&[3.0, 4.0]));
    session.infer(&[HostInput { dims: &[2], value: HostValue::Staged }]).unwrap();
    assert_eq!(floats(session.output::<1>(0).unwrap().0), [3.0, 4.0]);
    let text = |input: HostInput<'_>, session: &mut GpuSession| session.infer(&[input]).unwrap_err().to_string();
    let short = HostInput { dims: &[2], value: HostValue::Bytes(&[0; 7]) };
    assert_eq!(text(short, &mut session), "input \"x\": expected 2 elements, found 1");
    let object = HostInput { dims: &[2], value: HostValue::Object(&Datum::Opt(None)) };
    assert_eq!(text(object, &mut session), "input \"x\": expected f32 [n], found an optional");
    let staged = HostInput { dims: &[9], value: HostValue::Staged };
    assert_eq!(text(staged, &mut session), "input \"x\": expected 9 elements, found 4");
    let flat = HostInput { dims: &[2, 1], value: HostValue::Bytes(&[0; 8]) };
    assert_eq!(text(flat, &mut session), "input \"x\": expected shape f32 [n], found [2, 1]");
    assert_eq!(session.infer(&[]).unwrap_err().to_string(), "the model has 1 inputs, 0 were given");
}

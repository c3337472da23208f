//! Every rule of the verifier: one program that breaks it, where, and what is said.

use std::borrow::Cow;

use super::arguments::{hosted, mapped};
use super::programs::{chain, rounds};
use crate::gpu::program::*;

const FAR: Size = Size(99);

fn check(mut program: Program, spoil: impl FnOnce(&mut Program), expected: &[&str]) {
    assert_eq!(program.verify(), Ok(()));
    spoil(&mut program);
    let found: Vec<String> = program.verify().unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

fn step(spoil: impl FnOnce(&mut Action), at: usize) -> impl FnOnce(&mut Program) {
    move |program| spoil(&mut program.steps.to_mut()[at].action)
}

#[test]
fn sizes() {
    let set = |at: usize, op: SizeOp| move |p: &mut Program| p.sizes.to_mut()[at] = op;
    check(chain(), |p| p.prepared = 90, &["prepared: more prepared sizes than sizes"]);
    check(chain(), set(4, SizeOp::Add(Size(0), Size(4))), &["sizes[4]: uses a value that comes later"]);
    check(chain(), set(4, SizeOp::Not(Size(5))), &["sizes[4]: uses a value that comes later"]);
    check(chain(), set(4, SizeOp::Select(Size(0), Size(1), Size(7))), &["sizes[4]: uses a value that comes later"]);
    let extent = SizeOp::InputDim { input: 0, axis: 1 };
    check(chain(), set(0, extent), &["sizes[0]: names no extent of an input"]);
    check(chain(), set(0, SizeOp::InputDim { input: 3, axis: 0 }), &["sizes[0]: names no extent of an input"]);
    check(chain(), set(7, SizeOp::Resident { kernel: 7 }), &["sizes[7]: kernel 7 of 7"]);
    check(rounds(), set(7, SizeOp::Slot(0)), &["sizes[7]: a slot among the prepared sizes"]);
    check(rounds(), set(9, SizeOp::Slot(3)), &["sizes[9]: slot 3 of 3"]);
}

#[test]
fn borders() {
    check(
        chain(),
        |p| p.bounds.to_mut()[0].value = FAR,
        &["bounds[0]: size 99 of 8", "bounds[0]: size 99 is not prepared"],
    );
    check(rounds(), |p| p.guards.to_mut()[0].node = Some(5), &["guards[0]: node 5 of 2"]);
    check(rounds(), |p| p.guards.to_mut()[0].holds = FAR, &["guards[0]: size 99 of 14"]);
    check(rounds(), |p| p.inputs.to_mut()[0].memory.bytes = Some(Size(9)), &["inputs[0]: size 9 is not prepared"]);
    let expected = &["inputs[0]: a tensor without a number of bytes"];
    check(chain(), |p| p.inputs.to_mut()[0].memory.bytes = None, expected);
    check(chain(), |p| p.outputs.to_mut()[0].buffer = Buf(5), &["outputs[0]: buffer 5 of 5"]);
    let expected = &["outputs[0]: an object with an element type, or a tensor without"];
    check(chain(), |p| p.outputs.to_mut()[0].dtype = None, expected);
    check(rounds(), |p| p.states.to_mut()[0].bytes = Some(Size(9)), &["states[0]: size 9 is not prepared"]);
    check(rounds(), |p| p.arena.bytes = Some(Size(9)), &["arena: size 9 is not prepared"]);
    let expected = &["points[0]: not one extent for every axis of the inputs"];
    check(chain(), |p| p.points.to_mut()[0].dims = Cow::Borrowed(&[4, 4]), expected);
}

#[test]
fn buffers() {
    let place = |at: usize, place: Place| move |p: &mut Program| p.buffers.to_mut()[at].place = place;
    let far = Place::Arena { offset: FAR };
    check(chain(), place(2, far), &["buffers[2]: size 99 of 8", "buffers[2]: size 99 is not prepared"]);
    let long = Place::Weight { offset: u64::MAX, bytes: 1 };
    check(chain(), place(1, long), &["buffers[1]: ends beyond 64 bits"]);
    check(chain(), place(0, Place::Input(1)), &["buffers[0]: input 1 of 1"]);
    let spoil = |p: &mut Program| p.inputs.to_mut()[0].dtype = None;
    check(chain(), spoil, &["buffers[0]: an object as a tensor, or a tensor as an object"]);
    check(chain(), place(4, Place::Output(1)), &["buffers[4]: output 1 of 1"]);
    check(rounds(), place(4, Place::State(1)), &["buffers[4]: state 1 of 1"]);
    check(hosted(), place(3, Place::Object(2)), &["buffers[3]: object 2 of 2"]);
    check(hosted(), place(5, Place::Constant(1)), &["buffers[5]: constant 1 of 1"]);
}

#[test]
fn kernels() {
    let kernel = |spoil: fn(&mut Kernel)| move |p: &mut Program| spoil(&mut p.kernels.to_mut()[1]);
    check(chain(), kernel(|k| k.module = 1), &["kernels[1]: module 1 of 1"]);
    let threads = "kernels[1]: a block of no or of more than 1024 threads";
    check(chain(), kernel(|k| k.block = [32, 32, 2]), &[threads]);
    check(chain(), kernel(|k| k.block = [0, 1, 1]), &[threads]);
    check(chain(), kernel(|k| k.cluster = [17, 1, 1]), &["kernels[1]: a cluster of no or of more than 16 CTAs"]);
    check(chain(), kernel(|k| k.entry = "a\0"), &["kernels[1]: a zero byte in the name"]);
    let ptx = |text: &'static str| move |p: &mut Program| p.modules.to_mut()[0].ptx = Cow::Borrowed(text);
    check(chain(), ptx("\0"), &["modules[0]: a zero byte in the PTX"]);
    check(chain(), ptx(""), &["modules[0]: neither PTX nor machine code"]);
}

#[test]
fn maps() {
    let map = |spoil: fn(&mut TensorMap)| move |p: &mut Program| spoil(&mut p.maps.to_mut()[0]);
    check(mapped(), map(|m| m.view.buffer = Buf(2)), &["maps[0]: buffer 2 of 2"]);
    check(mapped(), map(|m| m.view.offset = FAR), &["maps[0]: size 99 of 5"]);
    check(
        mapped(),
        map(|m| m.strides = vec![Size(0)].into()),
        &["maps[0]: not one stride for every dimension but the fastest"],
    );
    let expected = &["maps[0]: not one element stride for every dimension"];
    check(mapped(), map(|m| m.element_strides = vec![1, 1].into()), expected);
    let expected = &["maps[0]: an element stride beyond 1 to 8"];
    check(mapped(), map(|m| m.element_strides = vec![9].into()), expected);
    let tiled = |tile: &'static [u32]| MapShape::Tiled { tile: Cow::Borrowed(tile) };
    check(mapped(), |p| p.maps.to_mut()[0].shape = tiled(&[257]), &["maps[0]: a tile extent beyond 1 to 256"]);
    check(
        mapped(),
        |p| p.maps.to_mut()[0].shape = tiled(&[4, 4]),
        &["maps[0]: not one tile extent for every dimension"],
    );
    let im2col = |corner: &'static [i32], channels| MapShape::Im2col {
        lower: Cow::Borrowed(corner),
        upper: Cow::Borrowed(corner),
        channels,
        pixels: 64,
    };
    let cube = move |shape: MapShape| {
        move |p: &mut Program| {
            let map = &mut p.maps.to_mut()[0];
            (map.extents, map.strides) = (vec![Size(0); 4].into(), vec![Size(0); 3].into());
            (map.element_strides, map.shape) = (vec![1; 4].into(), shape);
        }
    };
    check(mapped(), cube(im2col(&[0], 64)), &["maps[0]: corners of another rank"]);
    check(mapped(), cube(im2col(&[0, 0], 257)), &["maps[0]: more than 256 channels or 1024 pixels in a copy"]);
    check(
        mapped(),
        map(|m| m.shape = MapShape::Im2col { lower: Cow::default(), upper: Cow::default(), channels: 1, pixels: 1 }),
        &["maps[0]: an im2col map of other than 3 to 5 dimensions", "maps[0]: corners of another rank"],
    );
}

#[test]
fn steps() {
    check(chain(), |p| p.body.end = 5, &["body: a block of steps that do not exist"]);
    check(chain(), |p| p.steps.to_mut()[0].node = 2, &["steps[0]: node 2 of 2"]);
    let launch = |spoil: fn(&mut u32, &mut Table<Arg>)| {
        step(
            move |action| match action {
                Action::Launch { kernel, args, .. } => spoil(kernel, args),
                _ => panic!("a launch is expected"),
            },
            1,
        )
    };
    check(chain(), launch(|kernel, _| *kernel = 9), &["steps[1]: kernel 9 of 7"]);
    check(chain(), launch(|_, args| args.to_mut()[3] = Arg::Size32(FAR)), &["steps[1]: size 99 of 8"]);
    check(chain(), launch(|_, args| args.to_mut()[0] = Arg::Map(0)), &["steps[1]: map 0 of 0"]);
    let weights = |_: &mut u32, args: &mut Table<Arg>| {
        args.to_mut()[2] = Arg::Write(View { buffer: Buf(1), offset: Size(2) });
    };
    check(chain(), launch(weights), &["steps[1]: writes weights or an input"]);
    let from = View { buffer: Buf(2), offset: Size(2) };
    let to = View { buffer: Buf(0), offset: Size(2) };
    let copy = Action::Copy { from, to, bytes: Size(2) };
    check(chain(), step(|a| *a = copy, 3), &["steps[3]: writes weights or an input"]);
    let objects = Action::CopyObject { from: Buf(2), to: Buf(4) };
    let bytes = "steps[3]: bytes where an object is needed";
    check(chain(), step(|a| *a = objects, 3), &[bytes, bytes]);
    let grow = Action::Grow { buffer: Buf(2), bytes: Size(2) };
    check(chain(), step(|a| *a = grow, 3), &["steps[3]: grows a buffer of fixed size"]);
    let object = Action::Clear { to: View { buffer: Buf(3), offset: Size(2) }, bytes: Size(2) };
    check(hosted(), step(|a| *a = object, 3), &["steps[3]: an object where bytes are needed"]);
    check(rounds(), step(|a| *a = Action::Check { guard: 1 }, 7), &["steps[7]: guard 1 of 1"]);
    let bind = |action: &mut Action| {
        if let Action::Host { binds, .. } = action {
            binds.to_mut()[0].result = 1;
        }
    };
    check(hosted(), step(bind, 5), &["steps[5]: result 1 of 1"]);
    let set = |spoil: fn(&mut Set)| {
        step(
            move |action| match action {
                Action::ReadBack { values } => spoil(&mut values.to_mut()[0].set),
                _ => panic!("a read-back is expected"),
            },
            1,
        )
    };
    check(rounds(), set(|s| s.slot = 3), &["steps[1]: slot 3 of 3"]);
    check(rounds(), set(|s| s.then.end = 15), &["steps[1]: a range of sizes that does not exist"]);
    check(rounds(), set(|s| s.then.start = 2), &["steps[1]: computes prepared sizes anew"]);
    let body = |action: &mut Action| {
        if let Action::Loop { body, .. } = action {
            body.start = 5;
        }
    };
    check(rounds(), step(body, 5), &["steps[5]: a block that does not lie behind its step"]);
    let branch = |action: &mut Action| {
        if let Action::If { else_block, .. } = action {
            else_block.start = 1;
        }
    };
    check(hosted(), step(branch, 1), &["steps[1]: a block that does not lie behind its step"]);
}

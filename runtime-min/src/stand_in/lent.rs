//! Calls on memory of the device as a program would make them, for tests: on any driver, and without `unsafe` code of theirs.
//!
//! The memory must have the sizes that the shapes say. Whatever was begun has ended when these functions return, or when the
//! graph has been launched by [`Captured::launch`].

use std::sync::Arc;

use crate::error::Error;
use crate::gpu::calls::Answer;
use crate::gpu::owned::{Context, DeviceMemory, Graph, GraphExec, Stream};
use crate::gpu::pinned::Pinned;
use crate::gpu::session::{DeviceInput, GpuSession};

/// An input of a call: extents and memory.
pub type Lent<'a> = (&'a [usize], &'a DeviceMemory);

/// Device memory with these bytes; the context is current.
pub fn memory(context: &Arc<Context>, bytes: &[u8]) -> Answer<DeviceMemory> {
    let memory = DeviceMemory::new(context, bytes.len() as u64)?;
    let stream = Stream::new(context)?;
    if !bytes.is_empty() {
        context.api.upload_now(memory.address(), bytes, stream.handle())?;
    }
    Ok(memory)
}

/// The first bytes of device memory; the context is current.
pub fn contents(context: &Arc<Context>, memory: &DeviceMemory, bytes: usize) -> Answer<Vec<u8>> {
    let stream = Stream::new(context)?;
    let mut page_locked = Pinned::new(context, bytes)?;
    page_locked.download(memory.address(), bytes, &stream)?;
    Ok(page_locked.bytes()?.to_vec())
}

/// Runs a session on a stream and waits for it. Outputs without memory stay in the session's.
pub fn enqueue(
    session: &mut GpuSession,
    stream: &Stream,
    inputs: &[Lent<'_>],
    outputs: &[Option<&DeviceMemory>],
) -> Result<(), Error> {
    give(session, stream, inputs, outputs)?;
    Ok(stream.synchronize()?)
}

/// What a stream captured of a session's call.
#[derive(Debug)]
pub struct Captured {
    exec: GraphExec,
    _graph: Graph,
}

/// A session's call as a graph; the context is current.
pub fn capture(
    session: &mut GpuSession,
    stream: &Stream,
    inputs: &[Lent<'_>],
    outputs: &[Option<&DeviceMemory>],
) -> Result<Captured, Error> {
    let context = Arc::clone(stream.context());
    context.api.begin_capture(stream.handle())?;
    let given = give(session, stream, inputs, outputs);
    let ended = context.api.end_capture(stream.handle()).map(|graph| Graph::own(&context, graph));
    given?;
    let graph = ended?;
    let exec = GraphExec::own(&context, context.api.instantiate(graph.handle())?);
    Ok(Captured { exec, _graph: graph })
}

impl Captured {
    /// Launches the graph and waits for it; the context is current.
    pub fn launch(&self, stream: &Stream) -> Answer<()> {
        stream.context().api.launch_graph(self.exec.handle(), stream.handle())?;
        stream.synchronize()
    }
}

fn give(
    session: &mut GpuSession,
    stream: &Stream,
    inputs: &[Lent<'_>],
    outputs: &[Option<&DeviceMemory>],
) -> Result<(), Error> {
    let inputs: Vec<DeviceInput<'_>> =
        inputs.iter().map(|(dims, memory)| DeviceInput { dims, address: memory.address() }).collect();
    let outputs: Vec<u64> = outputs.iter().map(|memory| memory.map_or(0, DeviceMemory::address)).collect();
    // SAFETY: a stream of the context, and memory that the caller made for these shapes and keeps until it has waited.
    unsafe { session.enqueue(stream.handle().0, &inputs, &outputs) }
}

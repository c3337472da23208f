//! Calls with inputs and outputs of the device, as work of a caller's stream.

use std::sync::Arc;

use super::super::error::{DeviceError, Error};
use super::driver::{Address, StreamHandle};
use super::session::{Call, DeviceInput, GpuSession};

impl GpuSession {
    /// Runs the program on memory of the device, as work of a caller's stream (0: the default stream). An output address of
    /// 0 leaves that output in the session's memory ([`GpuSession::output_address`]).
    ///
    /// Where the stream captures, the steps go into the capture, one by one; the session must then outlive the graph, and
    /// one call of session or graph must have ended before the next begins.
    ///
    /// # Safety
    /// The stream belongs to the engine's primary context. Inputs and outputs are memory of its device, of the sizes that
    /// these shapes say, and are left alone until the stream has done the work.
    #[allow(unsafe_code, reason = "a promise about addresses; nothing unsafe is done here")]
    pub unsafe fn enqueue(
        &mut self,
        stream: usize,
        inputs: &[DeviceInput<'_>],
        outputs: &[Address],
    ) -> Result<(), Error> {
        self.guarded(|session| session.enqueue_entered(StreamHandle(stream), inputs, outputs))
    }

    fn enqueue_entered(
        &mut self,
        stream: StreamHandle,
        inputs: &[DeviceInput<'_>],
        outputs: &[Address],
    ) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let (program, api) = (&shared.program, shared.context.api);
        let refused = |what: &str| Error::from(DeviceError::Refused { what: what.to_string() });
        if program.inputs.iter().any(|port| port.dtype.is_none()) {
            return Err(refused("an input that is no tensor cannot lie on the device; call infer"));
        }
        if outputs.len() != program.outputs.len() {
            return Err(refused("not one address for every output; 0 leaves an output in the session's memory"));
        }
        self.fetched = false;
        self.values.prepare(program, inputs.iter().map(|input| input.dims))?;
        let mut call = Call { capturing: api.is_capturing(stream)?, ..Call::new(stream) };
        if !call.capturing {
            api.wait_event(stream, self.last.handle())?;
        }
        for (k, input) in inputs.iter().enumerate() {
            self.memory.lend(shared.regions.input(k), input.address);
        }
        for (k, address) in outputs.iter().enumerate().filter(|(_, address)| **address != 0) {
            self.memory.lend(shared.regions.output(k), *address);
        }
        let done = self.ready(&call, program).and_then(|()| {
            call.graphs = if call.capturing { None } else { self.prepared_shape() };
            self.run_block(&mut call, program, program.body)
        });
        for k in 0..inputs.len() {
            self.memory.restore(shared.regions.input(k));
        }
        for k in 0..outputs.len() {
            self.memory.restore(shared.regions.output(k));
        }
        if !call.capturing {
            self.lent = true;
            api.record_event(self.last.handle(), stream)?;
        }
        done
    }

    /// Where the session keeps output `k` on the device; 0 if it has no memory for it.
    pub fn output_address(&self, k: usize) -> Address {
        let buffer = self.shared.program.outputs.get(k).map(|port| port.buffer);
        buffer.and_then(|buffer| self.place(buffer).ok()).map_or(0, |(address, _)| address)
    }
}

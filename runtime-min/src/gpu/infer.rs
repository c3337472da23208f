//! Calls with inputs of the host: copies to and from the device, and the results.

use std::sync::Arc;
use std::time::Duration;

use super::super::bridge::{byte_length, tensor};
use super::super::datum::Datum;
use super::super::error::{DeviceError, Error, StepError};
use super::super::sizes;
use super::calls::Answer;
use super::owned::Event;
use super::pinned::Pinned;
use super::program::{Buf, Program};
use super::regions::{Kind, Region};
use super::session::{Call, GpuSession, HostInput, HostValue};
use super::verify::is_object;

impl GpuSession {
    /// Runs the program on inputs of the host. Afterwards [`GpuSession::output`] has the results.
    pub fn infer(&mut self, inputs: &[HostInput<'_>]) -> Result<(), Error> {
        self.guarded(|session| session.infer_entered(inputs))
    }

    fn infer_entered(&mut self, inputs: &[HostInput<'_>]) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let program = &shared.program;
        self.fetched = false;
        self.values.prepare(program, inputs.iter().map(|input| input.dims))?;
        self.check_inputs(program, inputs)?;
        let stream = self.stream.handle();
        let mut call = Call { host_inputs: true, objects: inputs, ..Call::new(stream) };
        self.rejoin()?;
        self.ready(&call, program)?;
        self.send(inputs)?;
        call.graphs = self.prepared_shape();
        self.run_block(&mut call, program, program.body)?;
        self.fetch(program)?;
        self.stream.synchronize()?;
        self.fetched = true;
        Ok(())
    }

    /// Runs the steps `rounds` times on inputs of the host, which are copied to the device once. Yields the time that the
    /// device took for each round, copies of inputs and outputs left out. States go on from round to round.
    pub fn time(&mut self, inputs: &[HostInput<'_>], rounds: usize) -> Result<Vec<Duration>, Error> {
        self.infer(inputs)?;
        self.guarded(|session| {
            let shared = Arc::clone(&session.shared);
            let (program, api) = (&shared.program, shared.context.api);
            let stream = session.stream.handle();
            let mut events = Vec::with_capacity(rounds + 1);
            for _ in 0..=rounds {
                events.push(Event::new(&shared.context, true)?);
            }
            let graphs = session.prepared_shape();
            for (round, event) in events.iter().enumerate() {
                api.record_event(event.handle(), stream)?;
                if round < rounds {
                    let mut call = Call { host_inputs: true, objects: inputs, graphs, ..Call::new(stream) };
                    session.run_block(&mut call, program, program.body)?;
                }
            }
            session.stream.synchronize()?;
            let mut times = Vec::with_capacity(rounds);
            for (start, end) in events.iter().zip(events.iter().skip(1)) {
                let milliseconds = f64::from(api.elapsed(start.handle(), end.handle())?).max(0.0);
                times.push(Duration::from_secs_f64(milliseconds / 1000.0));
            }
            Ok(times)
        })
    }

    fn check_inputs(&self, program: &Program, inputs: &[HostInput<'_>]) -> Result<(), Error> {
        for (k, (port, input)) in program.inputs.iter().zip(inputs).enumerate() {
            let wrong = |found: &str| {
                let (input, expected) = (port.name, port.expected);
                Error::InputType { input, expected, found: found.to_string() }
            };
            match (port.dtype, input.value) {
                (Some(dtype), HostValue::Bytes(bytes)) => {
                    let expected = sizes::count(input.dims);
                    if bytes.len() != byte_length(dtype, expected) {
                        let found = bytes.len().saturating_mul(8) / dtype.bits().max(1);
                        return Err(Error::InputLength { input: port.name, expected, found });
                    }
                }
                (Some(dtype), HostValue::Staged) => {
                    let expected = sizes::count(input.dims);
                    let staged = self.staging.get(k).map_or(0, Pinned::len);
                    if staged < byte_length(dtype, expected) {
                        let found = staged.saturating_mul(8) / dtype.bits().max(1);
                        return Err(Error::InputLength { input: port.name, expected, found });
                    }
                }
                (None, HostValue::Object(_)) => {}
                (Some(_), HostValue::Object(datum)) => return Err(wrong(datum.kind())),
                (None, HostValue::Bytes(_) | HostValue::Staged) => return Err(wrong("a tensor")),
            }
        }
        Ok(())
    }

    /// Copies inputs to the device.
    pub(super) fn send(&mut self, inputs: &[HostInput<'_>]) -> Result<(), Error> {
        for (k, input) in inputs.iter().enumerate() {
            let Some(dtype) = self.shared.program.inputs.get(k).and_then(|p| p.dtype) else { continue };
            let bytes = byte_length(dtype, sizes::count(input.dims));
            self.need_staging(k, bytes)?;
            let Some(staged) = self.staging.get_mut(k) else { continue };
            if let HostValue::Bytes(given) = input.value
                && let Some(place) = staged.bytes_mut()?.get_mut(..given.len())
            {
                place.copy_from_slice(given);
            }
            let region = self.shared.regions.input(k);
            if !self.shared.is_of_host(region) {
                staged.upload(self.memory.address(region), bytes, &self.stream)?;
            }
        }
        Ok(())
    }

    pub(super) fn need_staging(&mut self, k: usize, bytes: usize) -> Answer<()> {
        if let Some(staged) = self.staging.get_mut(k).filter(|s| s.len() < bytes) {
            *staged = Pinned::new(&self.shared.context, bytes)?;
            self.host(self.shared.regions.input(k))?;
        }
        Ok(())
    }

    /// Copies outputs from the device.
    pub(super) fn fetch(&mut self, program: &Program) -> Result<(), Error> {
        for (k, port) in program.outputs.iter().enumerate() {
            let Some(bytes) = self.output_bytes(k).map_err(StepError::at_border)? else { continue };
            let from = self.address_at(port.buffer, 0, bytes as u64).map_err(StepError::at_border)?;
            self.need_result(k, bytes)?;
            let region = self.shared.regions.output(k);
            if self.shared.is_of_host(region) && self.shared.regions.of(port.buffer) == Some(region) {
                continue;
            }
            if let Some(result) = self.results.get_mut(k) {
                result.download(from, bytes, &self.stream)?;
            }
        }
        Ok(())
    }

    pub(super) fn need_result(&mut self, k: usize, bytes: usize) -> Answer<()> {
        if let Some(result) = self.results.get_mut(k).filter(|r| r.len() < bytes) {
            *result = Pinned::new(&self.shared.context, bytes)?;
            self.host(self.shared.regions.output(k))?;
        }
        Ok(())
    }

    /// Lets the device use the page-locked memory of an input or output in place, where the engine is to do so.
    pub(super) fn host(&mut self, region: Region) -> Answer<()> {
        if !self.shared.is_of_host(region) {
            return Ok(());
        }
        let page_locked = match self.shared.regions.kind(region) {
            Kind::Input(k) => self.staging.get(k),
            Kind::Output(k) => self.results.get(k),
            _ => None,
        };
        if let Some(memory) = page_locked {
            self.memory.host(region, memory.device_address()?, memory.len() as u64);
        }
        Ok(())
    }

    /// Bytes of output `k` of the last call; `None` for an object.
    pub(super) fn output_bytes(&self, k: usize) -> Result<Option<usize>, StepError> {
        let Some(port) = self.shared.program.outputs.get(k) else { return Ok(None) };
        let Some(dtype) = port.dtype else { return Ok(None) };
        let mut elements: usize = 1;
        for size in port.dims.iter() {
            elements = elements.saturating_mul(sizes::length(self.values.get(*size))?);
        }
        Ok(Some(byte_length(dtype, elements)))
    }

    /// The bytes of output `k` of the last `infer`, and its extents.
    pub fn output<const RANK: usize>(&self, k: usize) -> Result<(&[u8], [usize; RANK]), StepError> {
        let refused = |what: String| StepError::from(DeviceError::Refused { what });
        let port = self.shared.program.outputs.get(k);
        let port = port.ok_or_else(|| refused(format!("there is no output {k}")))?;
        let mut dims = [0; RANK];
        if port.dims.len() != RANK {
            return Err(refused(format!("output {k} has rank {}, asked for is rank {RANK}", port.dims.len())));
        }
        for (place, size) in dims.iter_mut().zip(port.dims.iter()) {
            *place = sizes::length(self.values.get(*size))?;
        }
        let bytes = self.output_bytes(k)?.ok_or_else(|| refused(format!("output {k} is no tensor")))?;
        let found =
            self.results.get(k).filter(|_| self.fetched).and_then(Pinned::settled).and_then(|all| all.get(..bytes));
        Ok((found.ok_or_else(|| refused(format!("output {k} has not been fetched; call infer first")))?, dims))
    }

    /// Output `k` of the last call, if it is an object of the session.
    pub fn output_object(&self, k: usize) -> Option<&Datum> {
        let buffer: Buf = self.shared.program.outputs.get(k)?.buffer;
        let place = self.shared.program.buffers.get(buffer.0 as usize)?.place;
        if !is_object(place) {
            return None;
        }
        self.object(&Call::new(self.stream.handle()), buffer).ok()
    }

    /// Output `k` of the last call as a datum.
    pub fn output_datum(&self, k: usize) -> Result<Datum, StepError> {
        let refused = |what: String| StepError::from(DeviceError::Refused { what });
        if let Some(object) = self.output_object(k) {
            return Ok(object.clone());
        }
        let port = self.shared.program.outputs.get(k);
        let port = port.ok_or_else(|| refused(format!("there is no output {k}")))?;
        let dtype = port.dtype.ok_or_else(|| refused(format!("output {k} is an object that has not been made")))?;
        let shape = port.dims.iter().map(|d| sizes::length(self.values.get(*d))).collect::<Result<Vec<_>, _>>()?;
        let bytes = byte_length(dtype, sizes::count(&shape));
        let found =
            self.results.get(k).filter(|_| self.fetched).and_then(Pinned::settled).and_then(|all| all.get(..bytes));
        let found = found.ok_or_else(|| refused(format!("output {k} has not been fetched; call infer first")))?;
        Ok(tensor(dtype, &shape, found))
    }

    /// The session's own memory for input `k`, of so many bytes, to be written in place.
    pub fn input_mut(&mut self, k: usize, bytes: usize) -> Result<&mut [u8], Error> {
        self.shared.check()?;
        let shared = Arc::clone(&self.shared);
        let _entered = shared.context.enter()?;
        self.need_staging(k, bytes)?;
        let refused = || DeviceError::Refused { what: format!("there is no input {k} that is a tensor") };
        let staged = self.staging.get_mut(k).ok_or_else(refused)?;
        Ok(staged.bytes_mut()?.get_mut(..bytes).ok_or_else(refused)?)
    }
}

//! Host operators: operands become datums, results go back to where they belong.

use super::super::bridge::byte_length;
use super::super::datum::{DType, Datum, TensorDatum};
use super::super::error::StepError;
use super::super::sizes::{count, length, size};
use super::program::{Bind, Buf, HostView, Place, Program, Size};
use super::session::{Call, GpuSession, HostInput};
use super::verify::is_object;

impl GpuSession {
    pub(super) fn host_call(
        &mut self,
        call: &mut Call<'_>,
        program: &Program,
        number: u32,
        operands: &[HostView],
        results: &[HostView],
        binds: &[Bind],
    ) -> Result<(), StepError> {
        let mut owned = Vec::with_capacity(operands.len());
        for view in operands {
            owned.push(if self.is_object(view.buffer) { None } else { Some(self.load(call, view)?) });
        }
        let mut list = Vec::with_capacity(operands.len());
        for (view, datum) in operands.iter().zip(&owned) {
            list.push(match datum {
                Some(datum) => datum,
                None => self.object(call, view.buffer)?,
            });
        }
        let found = self.shared.host.call(number, &list).map_err(|what| StepError::Host { what })?;
        if found.len() != results.len() {
            let what = format!("expected {} results, found {}", results.len(), found.len());
            return Err(StepError::Host { what });
        }
        for bind in binds {
            let none = || StepError::Host { what: format!("result {} has no axis {}", bind.result, bind.axis) };
            let tensor = found.get(bind.result as usize).ok_or_else(none)?;
            let tensor = tensor.tensor().map_err(|what| StepError::Host { what })?;
            let extent = tensor.shape.get(bind.axis as usize).ok_or_else(none)?;
            self.set(program, &bind.set, size(*extent))?;
        }
        for (view, datum) in results.iter().zip(found) {
            match self.shared.program.buffers.get(view.buffer.0 as usize).map(|b| b.place) {
                Some(Place::Object(k)) => {
                    if let Some(place) = self.objects.get_mut(k as usize) {
                        *place = datum;
                    }
                }
                _ => self.store(call, view, &datum)?,
            }
        }
        Ok(())
    }

    pub(super) fn copy_object(&mut self, call: &Call<'_>, from: Buf, to: Buf) -> Result<(), StepError> {
        let value = self.object(call, from)?.clone();
        let place = self.shared.program.buffers.get(to.0 as usize).map(|b| b.place);
        if let Some(Place::Object(k)) = place
            && let Some(slot) = self.objects.get_mut(k as usize)
        {
            *slot = value;
        }
        Ok(())
    }

    /// The object in a buffer.
    pub(super) fn object<'s>(&'s self, call: &Call<'s>, buffer: Buf) -> Result<&'s Datum, StepError> {
        let place = self.shared.program.buffers.get(buffer.0 as usize).map(|b| b.place);
        let found = match place {
            Some(Place::Object(k)) => self.objects.get(k as usize),
            Some(Place::InputObject(k)) => call.objects.get(k as usize).and_then(HostInput::object),
            Some(Place::Constant(k)) => self.shared.host.constant(k),
            _ => None,
        };
        found.ok_or_else(|| StepError::Host { what: format!("buffer {} holds no object", buffer.0) })
    }

    fn is_object(&self, buffer: Buf) -> bool {
        self.shared.program.buffers.get(buffer.0 as usize).is_some_and(|b| is_object(b.place))
    }

    fn shape(&self, dims: &[Size]) -> Result<Vec<usize>, StepError> {
        dims.iter().map(|d| length(self.values.get(*d))).collect()
    }

    /// A tensor of the device as a datum.
    fn load(&mut self, call: &mut Call<'_>, view: &HostView) -> Result<Datum, StepError> {
        let shape = self.shape(&view.dims)?;
        let bytes = byte_length(view.dtype, count(&shape));
        let mut data = Vec::with_capacity(bytes);
        if bytes > 0 {
            let start = start(self, view)?;
            self.read(call, view.buffer, start, bytes, |found| data.extend_from_slice(found))?;
        }
        Ok(Datum::Tensor(TensorDatum { dtype: view.dtype, shape, data, strings: Vec::new() }))
    }

    fn store(&mut self, call: &mut Call<'_>, view: &HostView, datum: &Datum) -> Result<(), StepError> {
        let tensor = datum.tensor().map_err(|what| StepError::Host { what })?;
        let expected = self.shape(&view.dims)?;
        if tensor.dtype != view.dtype || tensor.shape != expected || tensor.data.len() != bytes_of(tensor) {
            let (dtype, found) = (view.dtype, (tensor.dtype, &tensor.shape));
            let what = format!("expected {dtype:?} {expected:?}, found {:?} {:?}", found.0, found.1);
            return Err(StepError::Host { what });
        }
        if tensor.data.is_empty() {
            return Ok(());
        }
        let start = start(self, view)?;
        // How large a result is may be known only now.
        let place = self.shared.program.buffers.get(view.buffer.0 as usize).map(|b| b.place);
        if let (Some(Place::Growable | Place::Output(_) | Place::State(_)), Some(region)) =
            (place, self.shared.regions.of(view.buffer))
        {
            self.grow(call, region, (start + tensor.data.len()) as u64, true)?;
        }
        self.write(call, view.buffer, start, &tensor.data)
    }
}

/// First byte of a view.
fn start(session: &GpuSession, view: &HostView) -> Result<usize, StepError> {
    let offset = session.values.get(view.offset);
    let bits = length(offset)?.checked_mul(view.dtype.bits()).ok_or(StepError::Size { found: offset })?;
    if bits % 8 != 0 {
        let what = format!("a tensor of {:?} does not begin at a byte", view.dtype);
        return Err(StepError::Host { what });
    }
    Ok(bits / 8)
}

fn bytes_of(tensor: &TensorDatum) -> usize {
    if tensor.dtype == DType::Str { 0 } else { byte_length(tensor.dtype, count(&tensor.shape)) }
}

//! The shape program: values of all sizes from the extents of the inputs, facts of the device, and the slots that steps set.

use super::super::error::Error;
use super::super::sizes;
use super::program::{Program, Size, SizeOp};

/// The values of all sizes of a session.
#[derive(Clone, Debug, Default)]
pub struct Values {
    values: Vec<i64>,
    slots: Vec<i64>,
    /// Extents of all inputs, one after the other.
    dims: Vec<i64>,
    /// Where each input's extents begin.
    starts: Vec<usize>,
    /// Whether the prepared values are those of `dims`, and all that must hold for them does.
    ready: bool,
    multiprocessors: i64,
    /// CTAs of each kernel that the device holds at once.
    resident: Vec<i64>,
}

impl Values {
    /// Room for a program's sizes.
    pub fn new(program: &Program, multiprocessors: i64, resident: &[i64]) -> Values {
        let mut starts = Vec::with_capacity(program.inputs.len());
        let mut extents = 0;
        for input in program.inputs.iter() {
            starts.push(extents);
            extents += input.dims.len();
        }
        Values {
            values: vec![0; program.sizes.len()],
            slots: vec![0; program.slots as usize],
            dims: vec![0; extents],
            starts,
            ready: false,
            multiprocessors,
            resident: resident.to_vec(),
        }
    }

    /// The value of a size.
    pub fn get(&self, size: Size) -> i64 {
        self.values.get(size.0 as usize).copied().unwrap_or(0)
    }

    /// The extents that the values are of.
    pub fn dims(&self) -> &[i64] {
        &self.dims
    }

    /// Takes the extents of all inputs, computes what depends on them alone, and checks it; nothing if they are those of the
    /// last time.
    pub fn prepare<'a>(
        &mut self,
        program: &Program,
        shapes: impl Iterator<Item = &'a [usize]> + Clone,
    ) -> Result<(), Error> {
        let found = shapes.clone().count();
        if found != program.inputs.len() {
            return Err(Error::InputCount { expected: program.inputs.len(), found });
        }
        for (port, shape) in program.inputs.iter().zip(shapes.clone()) {
            if port.dims.len() != shape.len() {
                return Err(wrong_shape(program, port.name, shape));
            }
        }
        let given = || shapes.clone().flatten().map(|extent| sizes::size(*extent));
        if self.ready && given().eq(self.dims.iter().copied()) {
            return Ok(());
        }
        self.ready = false;
        self.dims.iter_mut().zip(given()).for_each(|(slot, extent)| *slot = extent);
        self.compute(program, 0, program.prepared);
        for (port, shape) in program.inputs.iter().zip(shapes) {
            if port.dims.iter().zip(shape).any(|(size, extent)| self.get(*size) != sizes::size(*extent)) {
                return Err(wrong_shape(program, port.name, shape));
            }
        }
        for bound in program.bounds.iter() {
            let value = sizes::in_range(bound.symbol, self.get(bound.value), bound.lo, bound.hi);
            value.map_err(super::super::error::StepError::at_border)?;
        }
        for guard in program.guards.iter().filter(|g| g.holds.0 < program.prepared) {
            let node = guard.node.and_then(|n| program.nodes.get(n as usize)).copied();
            sizes::guard_at(self.get(guard.holds) != 0, guard.what, node)?;
        }
        self.ready = true;
        Ok(())
    }

    /// Gives a slot a value; what depends on it is to be computed by [`Values::compute`].
    pub fn set(&mut self, slot: u32, value: i64) {
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = value;
        }
    }

    /// The value of a slot.
    pub fn slot(&self, slot: u32) -> i64 {
        self.slots.get(slot as usize).copied().unwrap_or(0)
    }

    /// Computes values `start..end`.
    pub fn compute(&mut self, program: &Program, start: u32, end: u32) {
        for k in start as usize..end as usize {
            let Some(op) = program.sizes.get(k) else { return };
            let value = self.value(op);
            if let Some(place) = self.values.get_mut(k) {
                *place = value;
            }
        }
    }

    fn value(&self, op: &SizeOp) -> i64 {
        let get = |size: Size| self.get(size);
        let truth = |holds: bool| i64::from(holds);
        match *op {
            SizeOp::Const(value) => value,
            SizeOp::InputDim { input, axis } => {
                let start = self.starts.get(input as usize).copied().unwrap_or(0);
                self.dims.get(start + axis as usize).copied().unwrap_or(0)
            }
            SizeOp::Slot(slot) => self.slots.get(slot as usize).copied().unwrap_or(0),
            SizeOp::Multiprocessors => self.multiprocessors,
            SizeOp::Resident { kernel } => self.resident.get(kernel as usize).copied().unwrap_or(0),
            SizeOp::Add(a, b) => get(a).wrapping_add(get(b)),
            SizeOp::Mul(a, b) => get(a).wrapping_mul(get(b)),
            SizeOp::FloorDiv(a, b) => sizes::floor_div(get(a), get(b)),
            SizeOp::CeilDiv(a, b) => sizes::ceil_div(get(a), get(b)),
            SizeOp::Mod(a, b) => sizes::floor_mod(get(a), get(b)),
            SizeOp::Min(a, b) => get(a).min(get(b)),
            SizeOp::Max(a, b) => get(a).max(get(b)),
            SizeOp::Eq(a, b) => truth(get(a) == get(b)),
            SizeOp::Le(a, b) => truth(get(a) <= get(b)),
            SizeOp::Divides(a, b) => truth(sizes::divides(get(a), get(b))),
            SizeOp::Not(a) => truth(get(a) == 0),
            SizeOp::And(a, b) => truth(get(a) != 0 && get(b) != 0),
            SizeOp::Or(a, b) => truth(get(a) != 0 || get(b) != 0),
            SizeOp::Select(condition, a, b) => sizes::select(get(condition) != 0, get(a), get(b)),
        }
    }
}

fn wrong_shape(program: &Program, input: &'static str, shape: &[usize]) -> Error {
    let port = program.inputs.iter().find(|p| p.name == input);
    Error::InputShape { input, expected: port.map_or("", |p| p.expected), found: shape.to_vec() }
}

//! Plans that run in this process, on a GPU or on what stands in for one.

use std::sync::Arc;

use emit::gpu::{GpuTarget, Lowered, lower};
use emit::slots::Slot;
use emit::weight_table::WeightTable;
use graph::datum::Datum;
use onnx::hosted::{from_datum, to_datum};
use plan::plan::Plan;
use runtime_min::datum as runtime;
use runtime_min::error::{Error as RunError, StepError};
use runtime_min::gpu::cudarc_table::driver;
use runtime_min::gpu::driver::DriverTable;
use runtime_min::gpu::engine::GpuEngine;
use runtime_min::gpu::options::EngineOptions;
use runtime_min::gpu::owned::device_facts;
use runtime_min::gpu::session::{GpuSession, HostInput, HostValue};
use runtime_min::memory::Memory;
use runtime_min::weights::Weights;

use crate::error::Error;
use crate::host::Host;
use crate::locked::Locked;
use crate::planned::Planned;

/// Loads the plan that fits the device of the options, of those there are, with the machine code of a lock.
pub fn open(plans: &Planned, lock: &Locked, options: EngineOptions) -> Result<GpuEngine, Error> {
    let driver = driver().map_err(RunError::from)?;
    let facts = device_facts(driver, options.device).map_err(RunError::from)?;
    let fitting = plans.for_gpu(facts.capability).ok_or_else(|| Error::Option {
        what: "--target".to_string(),
        expected: format!("native, or an architecture that {} runs", facts.name),
        found: "none".to_string(),
    })?;
    load(driver, &fitting.1, &lock.target(fitting.0), options)
}

/// Loads a plan on a device of a driver.
pub fn load<C>(
    driver: &'static DriverTable,
    plan: &Plan<C>,
    target: &dyn GpuTarget<C>,
    options: EngineOptions,
) -> Result<GpuEngine, Error> {
    Loadable::of(plan, target)?.load(driver, options)
}

/// What an engine is made of: a plan as a program, and its weights.
#[derive(Clone, Debug)]
pub struct Loadable {
    pub lowered: Lowered,
    pub weights: WeightTable,
}

impl Loadable {
    /// Writes the kernels of a plan.
    pub fn of<C>(plan: &Plan<C>, target: &dyn GpuTarget<C>) -> Result<Loadable, Error> {
        let Stored { table, places } = Stored::of(plan)?;
        Ok(Loadable { lowered: lower(plan, target, &places)?, weights: table })
    }

    /// Loads it on a device of a driver.
    pub fn load(self, driver: &'static DriverTable, options: EngineOptions) -> Result<GpuEngine, Error> {
        load_lowered(driver, self.lowered, &self.weights, options)
    }
}

/// Loads a plan whose weights are at hand.
pub fn load_stored<C>(
    driver: &'static DriverTable,
    (plan, target): (&Plan<C>, &dyn GpuTarget<C>),
    stored: &Stored,
    options: EngineOptions,
) -> Result<GpuEngine, Error> {
    load_lowered(driver, lower(plan, target, &stored.places)?, &stored.table, options)
}

fn load_lowered(
    driver: &'static DriverTable,
    lowered: Lowered,
    table: &WeightTable,
    options: EngineOptions,
) -> Result<GpuEngine, Error> {
    let weights = in_memory(table).map_err(StepError::at_border)?.filled(&table.fills())?;
    let host = Arc::new(Host::new(lowered.hosts, &table.strings));
    Ok(GpuEngine::load(driver, lowered.program, weights, host, options)?)
}

/// The weights of a plan, derived ones evaluated, with their places.
#[derive(Debug)]
pub struct Stored {
    table: WeightTable,
    places: Vec<Slot>,
}

impl Stored {
    /// Evaluates and lays out the weights of a plan.
    pub fn of<C>(plan: &Plan<C>) -> Result<Stored, Error> {
        let (table, places) = WeightTable::of_all([plan])?;
        Ok(Stored { table, places: places.into_iter().flatten().collect() })
    }
}

/// The weight file, in memory.
fn in_memory(table: &WeightTable) -> Result<Weights, StepError> {
    let pieces = table.pieces();
    let mut memory = Memory::zeroed(pieces.iter().map(|p| p.len()).sum())?;
    let mut rest = memory.bytes_mut();
    for piece in &pieces {
        let (place, after) = rest.split_at_mut(piece.len());
        place.copy_from_slice(piece);
        rest = after;
    }
    Ok(Weights::Read(memory))
}

/// Runs a loaded plan on inputs by position.
pub fn run(session: &mut GpuSession, outputs: usize, inputs: &[Datum]) -> Result<Vec<Datum>, Error> {
    let given = Given::new(inputs);
    session.infer(&given.inputs())?;
    fetched(session, outputs)
}

/// The outputs of the last call.
pub fn fetched(session: &GpuSession, outputs: usize) -> Result<Vec<Datum>, Error> {
    let mut out = Vec::with_capacity(outputs);
    for k in 0..outputs {
        let value = session.output_datum(k).map_err(StepError::at_border)?;
        out.push(from_datum(value).map_err(|e| Error::Answer { what: e.to_string() })?);
    }
    Ok(out)
}

/// Inputs by position, as sessions take them.
pub struct Given(Vec<runtime::Datum>);

impl Given {
    pub fn new(inputs: &[Datum]) -> Given {
        Given(inputs.iter().map(to_datum).collect())
    }

    pub fn inputs(&self) -> Vec<HostInput<'_>> {
        self.0.iter().map(host_input).collect()
    }
}

fn host_input(value: &runtime::Datum) -> HostInput<'_> {
    match value {
        runtime::Datum::Tensor(t) if t.dtype != runtime::DType::Str => {
            HostInput { dims: &t.shape, value: HostValue::Bytes(&t.data) }
        }
        runtime::Datum::Tensor(t) => HostInput { dims: &t.shape, value: HostValue::Object(value) },
        other => HostInput { dims: &[], value: HostValue::Object(other) },
    }
}

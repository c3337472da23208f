//! Tuning a model: its problems with their candidates, timed one by one, then whole networks against each other.
//!
//! 1. The network is planned as the lock and the cost model say; what the planner asks are the problems.
//! 2. Plan `k` gives every problem its `k`-th candidate; the launches that come out are linked and timed alone ([`tune::search`]).
//!    A candidate with a kernel for which registers do not suffice, as the driver tells, is refused.
//! 3. Finals: the network with all answers against the network of the cost model, then with the second of the heaviest problems,
//!    one after the other. What makes the network faster stays.
//!
//! The lock is saved after each problem, so that whoever stops the program leaves a valid one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use emit::gpu::GpuTarget;
use graph::graph::Model;
use kernels::GpuCode;
use plan::plan::Plan;
use plan::tuning::{Question, Tuning};
use runtime_min::error::Error as RunError;
use runtime_min::gpu::cudarc_table::driver;
use tune::search::{self, Candidate, Device, Limits, Problem, Ranking};
use tune::{DeviceFacts, Entry, ProblemKey};

use crate::error::Error;
use crate::gpu::Gpu;
use crate::in_process::Given;
use crate::locked::{Locked, Texts, WithCubins, kernel_texts, key_of, named, questions};
use crate::samples::sample_inputs;
use crate::target::Targets;
use crate::trial::{Machine, Running, alone, find, in_parallel, random_inputs};

/// Candidates of a problem that are timed.
const CANDIDATES: usize = 16;
/// The part of the time that problems may take; the rest is for the finals.
const SEARCH: f64 = 0.7;
/// The heaviest problems whose second is tried in the network.
const FINALISTS: usize = 8;
/// Timings of each network in a final.
const TURNS: usize = 5;
/// The part of a network's time by which a second must win.
const MARGIN: f64 = 0.003;

/// Tuning as a compilation is asked for it.
#[derive(Clone, Debug)]
pub struct Tune {
    pub time: Duration,
    /// Set from outside to end early, with what is known by then.
    pub stop: Arc<AtomicBool>,
    /// Whether it is an error that no GPU of this machine runs any of the targets; else nothing is tuned.
    pub required: bool,
}

impl Tune {
    /// This machine's first GPU, and the target that it runs best.
    pub fn machine(&self, targets: &Targets) -> Result<Option<(Machine, Gpu)>, Error> {
        let Targets::Gpus(list) = targets else { return Ok(None) };
        let opened = driver().map_err(RunError::from).map_err(Error::from).and_then(|table| Machine::open(table, 0));
        let machine = match opened {
            Ok(machine) => machine,
            Err(_) if !self.required => return Ok(None),
            Err(error) => return Err(error),
        };
        let capability = machine.facts().capability;
        let gpus = list.iter().map(|sm| Gpu { sm: *sm }).filter(|gpu| gpu.runs_on(capability));
        match gpus.max_by_key(|gpu| gpu.sm) {
            Some(gpu) => Ok(Some((machine, gpu))),
            None if !self.required => Ok(None),
            None => Err(Error::Option {
                what: "--tune-seconds".to_string(),
                expected: format!("a target that {} runs", machine.facts().name),
                found: "none".to_string(),
            }),
        }
    }
}

/// How far tuning goes.
#[derive(Clone, Copy, Debug)]
pub struct Budget<'a> {
    pub time: Duration,
    /// Set from outside to end early.
    pub stop: &'a AtomicBool,
}

/// What became of a model's problems.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub report: search::Report,
    /// Nanoseconds of the network as the cost model has it, and as it is now; where that was timed.
    pub network: Option<(f64, f64)>,
    /// Problems whose answer the finals changed.
    pub changed: usize,
    pub time: Duration,
}

/// Tunes a model for the machine's GPU, in the lock.
pub fn tune(
    model: &Model,
    gpu: Gpu,
    machine: &Machine,
    locked: &mut Locked,
    budget: Budget<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Outcome, Error> {
    let start = Instant::now();
    if budget.time.is_zero() {
        return Ok(Outcome::default());
    }
    progress("listing what is to be tuned");
    let (problems, candidates) = problems(model, gpu)?;
    let facts = machine.facts();
    let (major, minor) = (facts.driver / 1000, facts.driver % 1000 / 10);
    let device = DeviceFacts {
        name: facts.name.clone(),
        multiprocessors: facts.multiprocessors,
        driver: format!("{major}.{minor}"),
    };
    locked.lock.devices.insert(gpu.name().to_string(), device);
    let limits = Limits {
        time: budget.time.mul_f64(SEARCH).saturating_sub(start.elapsed()),
        candidates: CANDIDATES,
        again: false,
        stop: budget.stop,
    };
    let mut device = OnGpu { machine, gpu, candidates, start };
    let count = problems.len();
    let folder = locked.folder().cloned();
    let mut note = |done: usize, problem: &Problem, lock: &tune::Lock| {
        progress(&format!("tuning {} of {count}: {}", done + 1, problem.key.key));
        if let Some(folder) = &folder {
            // What cannot be written now is told at the end.
            let _ = folder.save(lock);
        }
    };
    let report = search::tune(&problems, &mut locked.lock, &mut device, &limits, &mut note);
    drop(device);
    let mut outcome = Outcome { report, ..Outcome::default() };
    locked.save()?;
    finals(model, gpu, machine, locked, (budget, start), progress, &mut outcome)?;
    locked.save()?;
    outcome.time = start.elapsed();
    Ok(outcome)
}

/// Puts the cost model's answers for a target that is not at hand into the lock, where it has none.
pub fn complete(model: &Model, gpu: Gpu, locked: &mut Locked) -> Result<(), Error> {
    let none = |_: &Question| None;
    let (_, asked) = gpu.plan_tuned(model, Tuning { choose: &none, variants: 0 })?;
    for (key, asked) in questions(gpu, &asked) {
        let Some(problem) = asked.first().map(|a| &a.question.problem) else { continue };
        if locked.entry(&key, problem.revision).is_none() {
            let entry = Entry { revision: problem.revision, variant: problem.chosen.clone(), nanoseconds: None };
            locked.lock.problems.insert(key, entry);
        }
    }
    locked.save()
}

/// The launches of a problem's candidates, each as a plan of its own.
type Candidates = BTreeMap<ProblemKey, Vec<Option<Plan<GpuCode>>>>;

/// What a model asks, with candidates.
fn problems(model: &Model, gpu: Gpu) -> Result<(Vec<Problem>, Candidates), Error> {
    let none = |_: &Question| None;
    let (plan, asked) = gpu.plan_tuned(model, Tuning { choose: &none, variants: CANDIDATES })?;
    let mut problems = Vec::new();
    for (key, asked) in questions(gpu, &asked) {
        let Some(first) = asked.first() else { continue };
        let Question { problem, variants, .. } = &first.question;
        let mut candidates: Vec<Candidate> =
            variants.iter().map(|v| Candidate { variant: v.name.clone(), cost: v.cost }).collect();
        // What the family chose is first among equals.
        candidates.sort_by_key(|c| c.variant != problem.chosen);
        let weight = asked.iter().filter_map(|a| find(&plan, a.code, &a.sizes)).map(|(_, count)| count).sum();
        problems.push(Problem { key, revision: problem.revision, weight, candidates });
    }
    let most = problems.iter().map(|p| p.candidates.len()).max().unwrap_or(0);
    let by_key: BTreeMap<&ProblemKey, &Problem> = problems.iter().map(|p| (&p.key, p)).collect();
    let numbers: Vec<usize> = (0..most).collect();
    let planned = in_parallel(&numbers, |k| {
        let choose = |question: &Question| {
            let problem = by_key.get(&key_of(gpu, question))?;
            problem.candidates.get(*k).map(|c| c.variant.clone())
        };
        gpu.plan_tuned(model, Tuning { choose: &choose, variants: 0 })
    });
    let mut plans: Candidates = problems.iter().map(|p| (p.key.clone(), vec![None; p.candidates.len()])).collect();
    for (k, result) in planned.into_iter().enumerate() {
        let (plan, asked) = result?;
        for asked in asked.iter().filter(|a| a.refused.is_none()) {
            let list = plans.get_mut(&key_of(gpu, &asked.question));
            if let (Some(slot), Some((launch, _))) =
                (list.and_then(|l| l.get_mut(k)), find(&plan, asked.code, &asked.sizes))
            {
                *slot = alone(&plan, launch);
            }
        }
    }
    Ok((problems, plans))
}

/// The device of the search.
struct OnGpu<'a> {
    machine: &'a Machine,
    gpu: Gpu,
    candidates: Candidates,
    start: Instant,
}

impl Device for OnGpu<'_> {
    type Linked = Running;

    fn link(&mut self, problem: &Problem, candidates: &[usize]) -> Vec<Result<Running, String>> {
        let (machine, gpu) = (self.machine, self.gpu);
        // Each problem's plans are needed once.
        let plans = self.candidates.remove(&problem.key).unwrap_or_default();
        let chosen: Vec<Option<&Plan<GpuCode>>> =
            candidates.iter().map(|k| plans.get(*k).and_then(Option::as_ref)).collect();
        let texts: Vec<Result<Texts, String>> = in_parallel(&chosen, |plan| {
            let plan = plan.ok_or("not offered for this launch")?;
            kernel_texts(plan, &WithCubins::none(gpu)).map_err(|e| e.to_string())
        });
        let all: Vec<(&str, &str)> = texts.iter().flatten().flat_map(named).collect();
        let results = machine.link(gpu.architecture(), gpu.name(), &all);
        let failed: BTreeMap<&str, &String> =
            all.iter().zip(&results).filter_map(|((_, ptx), r)| r.as_ref().err().map(|why| (*ptx, why))).collect();
        let linked = texts.iter().map(|texts| {
            let texts = texts.as_ref().map_err(Clone::clone)?;
            if let Some(why) = texts.keys().find_map(|ptx| failed.get(ptx.as_str())) {
                return Err((*why).clone());
            }
            match machine.spilling(gpu.name(), texts).map_err(|e| e.to_string())? {
                Some((text, bytes)) => Err(format!("{} keeps {bytes} bytes of each thread in memory", text.entry)),
                None => Ok(()),
            }
        });
        let given = chosen.iter().flatten().next().and_then(|plan| random_inputs(plan)).map(Arc::new);
        let load = |(plan, linked): (&Option<&Plan<GpuCode>>, Result<(), String>)| {
            linked?;
            let (Some(plan), Some(given)) = (plan, &given) else { return Err("no inputs".to_string()) };
            machine.load(plan, gpu, given, true).map_err(|e| e.to_string())
        };
        chosen.iter().zip(linked).map(load).collect()
    }

    fn time(&mut self, candidate: &mut Running) -> Result<f64, String> {
        candidate.time().map_err(|e| e.to_string())
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Variants by problem, over what the lock says.
type Changes = BTreeMap<ProblemKey, String>;

/// Whole networks against each other; what wins is in the lock.
fn finals(
    model: &Model,
    gpu: Gpu,
    machine: &Machine,
    locked: &mut Locked,
    (budget, start): (Budget<'_>, Instant),
    progress: &mut dyn FnMut(&str),
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let rankings = outcome.report.rankings.clone();
    let late = || start.elapsed() >= budget.time || budget.stop.load(Ordering::Relaxed);
    let differs = |r: &&Ranking| r.times.first().is_some_and(|(winner, _)| *winner != r.modelled);
    let back: Changes = rankings.iter().filter(differs).map(|r| (r.key.clone(), r.modelled.clone())).collect();
    if rankings.is_empty() || late() {
        return Ok(());
    }
    progress("the whole network, as tuned and as modelled");
    let network = |locked: &Locked, changes: &Changes| -> Result<Option<Running>, Error> {
        let plan = plan_with(model, gpu, locked, changes)?;
        let Some(inputs) = sample_inputs(&plan, 1) else { return Ok(None) };
        machine.link_plan(gpu, &plan)?;
        machine.load(&plan, gpu, &Arc::new(Given::new(&inputs)), false).map(Some)
    };
    let Some(mut current) = network(locked, &Changes::new())? else { return Ok(()) };
    let mut now = None;
    if !back.is_empty() {
        let Some(mut modelled) = network(locked, &back)? else { return Ok(()) };
        let (tuned, model_time) = duel(&mut current, &mut modelled)?;
        outcome.network = Some((model_time, tuned));
        now = Some(tuned);
        if model_time < tuned {
            apply(locked, &rankings, &back);
            outcome.changed += back.len();
            outcome.network = Some((model_time, model_time));
            (current, now) = (modelled, Some(model_time));
        }
    }
    for ranking in heaviest(&rankings) {
        if late() {
            break;
        }
        let Some(entry) = locked.lock.problems.get(&ranking.key) else { continue };
        let Some((second, _)) = ranking.times.iter().find(|(name, _)| *name != entry.variant) else { continue };
        progress(&format!("in the network: {} for {}", second, ranking.key.key));
        let change = Changes::from([(ranking.key.clone(), second.clone())]);
        let Some(mut other) = network(locked, &change)? else { break };
        let (old, new) = duel(&mut current, &mut other)?;
        if new < old * (1.0 - MARGIN) {
            apply(locked, &rankings, &change);
            outcome.changed += 1;
            (current, now) = (other, Some(new));
        }
    }
    if let (Some((_, tuned)), Some(now)) = (&mut outcome.network, now) {
        *tuned = now;
    }
    Ok(())
}

/// The network with the lock's answers but for some.
fn plan_with(model: &Model, gpu: Gpu, locked: &Locked, changes: &Changes) -> Result<Plan<GpuCode>, Error> {
    let choose = |question: &Question| {
        let key = key_of(gpu, question);
        let known = locked.entry(&key, question.problem.revision).map(|e| e.variant.clone());
        changes.get(&key).cloned().or(known)
    };
    Ok(gpu.plan_tuned(model, Tuning { choose: &choose, variants: 0 })?.0)
}

/// Puts variants that were timed into the lock.
fn apply(locked: &mut Locked, rankings: &[Ranking], changes: &Changes) {
    for (key, variant) in changes {
        let ranking = rankings.iter().find(|r| r.key == *key);
        let time = ranking.and_then(|r| r.times.iter().find(|(name, _)| name == variant));
        if let Some(entry) = locked.lock.problems.get_mut(key) {
            entry.variant.clone_from(variant);
            entry.nanoseconds = time.map(|(_, ns)| ns.round() as u64);
        }
    }
}

/// Problems in order of the time that they take in the network.
fn heaviest(rankings: &[Ranking]) -> Vec<&Ranking> {
    let share = |r: &Ranking| r.times.first().map_or(0.0, |(_, ns)| ns * r.weight);
    let mut order: Vec<&Ranking> = rankings.iter().collect();
    order.sort_by(|a, b| share(b).total_cmp(&share(a)).then_with(|| a.key.cmp(&b.key)));
    order.truncate(FINALISTS);
    order
}

/// Medians of two networks, timed in turn.
fn duel(one: &mut Running, other: &mut Running) -> Result<(f64, f64), Error> {
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        times.0.push(one.time()?);
        times.1.push(other.time()?);
    }
    Ok((tune::median(&times.0), tune::median(&times.1)))
}

//! The search: candidates in order of their modelled cost, the best few linked, timed in turn with the incumbent.
//!
//! 1. Problems in order of the time that they take in the network (weight times modelled cost), so that a short budget is spent
//!    where it counts.
//! 2. A round of [`QUICK`] timings each, in turn; who is [`HOPELESS`] times slower than the best leaves.
//! 3. A round of [`FULL`] timings each, in turn. The incumbent is what the cost model puts first, or the lock's old answer. A
//!    challenger wins by its median against the incumbent's of the same round, if it is [`MARGIN`] better.
//!
//! When time is up or somebody asks to stop, the other problems get the model's choice, and the lock is complete.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::lock::{Entry, Lock, ProblemKey};
use crate::statistics::median;

/// Timings of a candidate before the slow ones leave.
pub const QUICK: usize = 2;
/// Timings of a candidate that stayed.
pub const FULL: usize = 11;
/// How much slower than the best a candidate may be and stay.
pub const HOPELESS: f64 = 1.15;
/// The part of the incumbent's time by which a challenger must win.
pub const MARGIN: f64 = 0.02;

/// A way to run a problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Written out by the family; what the lock holds.
    pub variant: String,
    /// Nanoseconds by the family's model.
    pub cost: f64,
}

/// A question.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub key: ProblemKey,
    /// Of the family's code.
    pub revision: u32,
    /// How often the network asks.
    pub weight: f64,
    pub candidates: Vec<Candidate>,
}

/// Where candidates run.
pub trait Device {
    /// A linked candidate with its buffers.
    type Linked;

    /// Links candidates of a problem, in any number of threads. A failure is that candidate's own.
    fn link(&mut self, problem: &Problem, candidates: &[usize]) -> Vec<Result<Self::Linked, String>>;

    /// Runs a candidate, its result thrown away, and yields nanoseconds.
    fn time(&mut self, candidate: &mut Self::Linked) -> Result<f64, String>;

    /// Time since some moment.
    fn now(&self) -> Duration;
}

/// How far to go.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// For all problems together.
    pub time: Duration,
    /// Candidates of a problem that are linked.
    pub candidates: usize,
    /// Whether answers that the lock has are asked again.
    pub again: bool,
    /// Set from outside to end early.
    pub stop: &'a AtomicBool,
}

/// What became of the problems.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Timed now.
    pub timed: usize,
    /// What was timed, in the order in which it was.
    pub rankings: Vec<Ranking>,
    /// Answered by the lock.
    pub known: usize,
    /// Left to the cost model, as time was up.
    pub modelled: usize,
    /// Problems none of whose candidates ran, and candidates that failed: what, and why.
    pub failures: Vec<String>,
}

/// The variants of a problem that were timed to the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    pub key: ProblemKey,
    pub weight: f64,
    /// What the cost model puts first.
    pub modelled: String,
    /// Variants with nanoseconds: the winner, then the others, the fastest first.
    pub times: Vec<(String, f64)>,
}

impl Ranking {
    fn new(problem: &Problem, winner: &Entry, mut times: Vec<(String, f64)>) -> Ranking {
        times.sort_by(|a, b| (a.0 != winner.variant).cmp(&(b.0 != winner.variant)).then(a.1.total_cmp(&b.1)));
        let modelled = modelled(problem).map(|e| e.variant).unwrap_or_default();
        Ranking { key: problem.key.clone(), weight: problem.weight, modelled, times }
    }
}

/// Answers all problems, in the lock. `progress` hears of each before it is timed, with the answers so far.
pub fn tune<D: Device>(
    problems: &[Problem],
    lock: &mut Lock,
    device: &mut D,
    limits: &Limits<'_>,
    progress: &mut dyn FnMut(usize, &Problem, &Lock),
) -> Report {
    let mut report = Report::default();
    let start = device.now();
    let mut order: Vec<(usize, f64)> = problems.iter().map(|p| p.weight * cheapest(p)).enumerate().collect();
    order.sort_by(|(i, a), (j, b)| b.total_cmp(a).then(i.cmp(j)));
    for (done, (k, _)) in order.into_iter().enumerate() {
        let Some(problem) = problems.get(k) else { continue };
        let offered = |entry: &&Entry| problem.candidates.iter().any(|c| c.variant == entry.variant);
        let old = lock.answer(&problem.key, problem.revision).ok().flatten().filter(offered).cloned();
        if old.as_ref().is_some_and(|e| e.nanoseconds.is_some()) && !limits.again {
            report.known += 1;
            continue;
        }
        let late = device.now().saturating_sub(start) >= limits.time || limits.stop.load(Ordering::Relaxed);
        let entry = if late {
            report.modelled += 1;
            old.or_else(|| modelled(problem))
        } else {
            progress(done, problem, lock);
            let ranking = contest(problem, old.as_ref(), device, limits, &mut report.failures);
            let found = winner(problem, &ranking);
            match &found {
                Some(_) => report.timed += 1,
                None => report.modelled += 1,
            }
            if let Some(found) = &found {
                report.rankings.push(Ranking::new(problem, found, ranking));
            }
            found.or_else(|| modelled(problem))
        };
        match entry {
            Some(entry) => {
                lock.problems.insert(problem.key.clone(), entry);
            }
            None => report.failures.push(format!("{}: no candidate", problem.key)),
        }
    }
    report
}

fn cheapest(problem: &Problem) -> f64 {
    problem.candidates.iter().map(|c| c.cost).fold(f64::INFINITY, f64::min)
}

/// Positions of the candidates, the cheapest by the model first.
fn by_cost(problem: &Problem) -> Vec<usize> {
    let mut order: Vec<usize> = (0..problem.candidates.len()).collect();
    let cost = |k: &usize| problem.candidates.get(*k).map_or(f64::INFINITY, |c| c.cost);
    order.sort_by(|a, b| cost(a).total_cmp(&cost(b)).then(a.cmp(b)));
    order
}

/// The model's choice.
fn modelled(problem: &Problem) -> Option<Entry> {
    let best = by_cost(problem).first().and_then(|k| problem.candidates.get(*k))?;
    Some(Entry { revision: problem.revision, variant: best.variant.clone(), nanoseconds: None })
}

struct Runner<L> {
    variant: String,
    linked: L,
    times: Vec<f64>,
}

/// Times the best few of a problem: medians of those that ran to the end, the incumbent first if it did.
fn contest<D: Device>(
    problem: &Problem,
    old: Option<&Entry>,
    device: &mut D,
    limits: &Limits<'_>,
    failures: &mut Vec<String>,
) -> Vec<(String, f64)> {
    let mut chosen = by_cost(problem);
    let incumbent = old.and_then(|e| problem.candidates.iter().position(|c| c.variant == e.variant));
    if let Some(k) = incumbent {
        chosen.retain(|c| *c != k);
        chosen.insert(0, k);
    }
    chosen.truncate(limits.candidates.max(1));
    let linked = device.link(problem, &chosen);
    let mut runners = Vec::new();
    for (k, result) in chosen.iter().zip(linked) {
        let Some(candidate) = problem.candidates.get(*k) else { continue };
        match result {
            Ok(linked) => runners.push(Runner { variant: candidate.variant.clone(), linked, times: Vec::new() }),
            Err(why) => failures.push(failure(problem, &candidate.variant, &why)),
        }
    }
    round(problem, device, &mut runners, QUICK, failures);
    let best = runners.iter().map(|r| median(&r.times)).fold(f64::INFINITY, f64::min);
    runners.retain(|r| median(&r.times) <= best * HOPELESS);
    round(problem, device, &mut runners, FULL, failures);
    runners.into_iter().map(|r| (r.variant, median(&r.times))).collect()
}

/// The first, or the fastest of those that beat it by the margin.
fn winner(problem: &Problem, ranking: &[(String, f64)]) -> Option<Entry> {
    let mut winner = ranking.first()?;
    let first = winner.1;
    for runner in ranking {
        // Against the incumbent by the margin, among challengers by their medians.
        if runner.1 < first * (1.0 - MARGIN) && runner.1 < winner.1 {
            winner = runner;
        }
    }
    let nanoseconds = winner.1.is_finite().then_some(winner.1.round() as u64);
    Some(Entry { revision: problem.revision, variant: winner.0.clone(), nanoseconds })
}

/// Times all runners in turn, so that a change of clocks meets all of them; who fails leaves.
fn round<D: Device>(
    problem: &Problem,
    device: &mut D,
    runners: &mut Vec<Runner<D::Linked>>,
    count: usize,
    failures: &mut Vec<String>,
) {
    runners.iter_mut().for_each(|r| r.times.clear());
    for _ in 0..count {
        runners.retain_mut(|runner| match device.time(&mut runner.linked) {
            Ok(time) => {
                runner.times.push(time);
                true
            }
            Err(why) => {
                failures.push(failure(problem, &runner.variant, &why));
                false
            }
        });
    }
}

fn failure(problem: &Problem, variant: &str, why: &str) -> String {
    format!("{}, {variant}: {why}", problem.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Candidates take the time that their name says; names may ask for failures.
    struct Fake {
        clock: Duration,
        calls: usize,
    }

    impl Device for Fake {
        type Linked = String;

        fn link(&mut self, problem: &Problem, candidates: &[usize]) -> Vec<Result<String, String>> {
            let name = |k: &usize| problem.candidates[*k].variant.clone();
            candidates.iter().map(name).map(|n| if n == "unlinkable" { Err("no".to_string()) } else { Ok(n) }).collect()
        }

        fn time(&mut self, candidate: &mut String) -> Result<f64, String> {
            self.calls += 1;
            self.clock += Duration::from_millis(10);
            // A drift of 1 % a call: comparing the first's time with the last's would be wrong.
            let drift = 1.0 + 0.001 * self.calls as f64;
            candidate.parse::<f64>().map(|t| t * drift).map_err(|_| "does not run".to_string())
        }

        fn now(&self) -> Duration {
            self.clock
        }
    }

    fn problem(name: &str, candidates: &[(&str, f64)]) -> Problem {
        let candidate = |(variant, cost): &(&str, f64)| Candidate { variant: variant.to_string(), cost: *cost };
        Problem {
            key: ProblemKey { target: "t".to_string(), family: "f".to_string(), key: name.to_string() },
            revision: 1,
            weight: 1.0,
            candidates: candidates.iter().map(candidate).collect(),
        }
    }

    fn run(problems: &[Problem], lock: &mut Lock, time: Duration, stop: bool) -> Report {
        let stop = AtomicBool::new(stop);
        let limits = Limits { time, candidates: 3, again: false, stop: &stop };
        let mut device = Fake { clock: Duration::ZERO, calls: 0 };
        tune(problems, lock, &mut device, &limits, &mut |_, _, _| {})
    }

    fn check(candidates: &[(&str, f64)], expected: &str, failures: usize) {
        let mut lock = Lock::default();
        let problem = problem("p", candidates);
        let report = run(std::slice::from_ref(&problem), &mut lock, Duration::from_secs(100), false);
        assert_eq!(lock.problems[&problem.key].variant, expected);
        assert_eq!(report.failures.len(), failures, "{report:?}");
    }

    #[test]
    fn the_fastest_of_the_cheapest_wins() {
        check(&[("100", 1.0), ("50", 2.0), ("70", 3.0)], "50", 0);
        // Beyond the number of candidates that are linked.
        check(&[("100", 1.0), ("90", 2.0), ("95", 3.0), ("10", 4.0)], "90", 0);
    }

    #[test]
    fn a_win_by_less_than_the_margin_is_none() {
        check(&[("100", 1.0), ("99", 2.0)], "100", 0);
        check(&[("100", 1.0), ("97", 2.0)], "97", 0);
    }

    #[test]
    fn rankings_begin_with_the_winner() {
        let problem = problem("p", &[("100", 1.0), ("99", 2.0), ("110", 3.0)]);
        let report = run(&[problem], &mut Lock::default(), Duration::from_secs(9), false);
        let ranking = &report.rankings[0];
        assert_eq!(ranking.modelled, "100");
        // The second is faster, but not by the margin.
        let names: Vec<&str> = ranking.times.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["100", "99", "110"]);
    }

    #[test]
    fn failures_are_each_candidates_own() {
        check(&[("unlinkable", 1.0), ("broken", 2.0), ("30", 3.0)], "30", 2);
        check(&[("broken", 2.0)], "broken", 1);
    }

    #[test]
    fn when_time_is_up_the_model_chooses() {
        let problems = [problem("long", &[("90", 100.0), ("50", 200.0)]), problem("short", &[("9", 1.0), ("5", 2.0)])];
        let mut lock = Lock::default();
        let report = run(&problems, &mut lock, Duration::from_millis(50), false);
        assert_eq!((report.timed, report.modelled), (1, 1));
        assert_eq!(lock.problems[&problems[0].key].variant, "50");
        let rest = &lock.problems[&problems[1].key];
        assert_eq!((rest.variant.as_str(), rest.nanoseconds), ("9", None));
        // The next run goes on where this one ended.
        let report = run(&problems, &mut lock, Duration::from_secs(9), false);
        assert_eq!((report.timed, report.known), (1, 1));
        assert_eq!(lock.problems[&problems[1].key].variant, "5");
    }

    #[test]
    fn stopping_leaves_a_complete_lock() {
        let problems = [problem("a", &[("9", 1.0)]), problem("b", &[("9", 1.0)])];
        let mut lock = Lock::default();
        let report = run(&problems, &mut lock, Duration::from_secs(9), true);
        assert_eq!(report.modelled, 2);
        assert_eq!(lock.problems.len(), 2);
    }
}

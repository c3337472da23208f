//! All node tests on this machine's GPU.
//!
//! Several processes take the tests one by one, so that the driver compiles kernels on all cores; one whose GPU context a kernel has
//! lost, or that does not answer, is replaced.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ptx::Sm;
use runtime_min::gpu::cudarc_table;
use runtime_min::gpu::driver::DriverTable;
use runtime_min::gpu::owned::{Context, device_facts};

use crate::case;
use crate::stage::{Passed, Stage, run};

/// What a process that serves is started with.
pub const SERVE: &str = "serve";

/// Seconds after which a test counts as one that does not end.
const LIMIT: u64 = 20;

/// How the tests fared.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub device: String,
    pub passed: BTreeMap<String, Passed>,
    pub wrong: BTreeMap<String, String>,
    pub time: Duration,
}

/// GPU 0, the architecture that runs best on it, and its name.
fn open() -> Result<(&'static DriverTable, Sm, String), String> {
    let table = cudarc_table::driver().map_err(|e| e.to_string())?;
    let facts = device_facts(table, 0).map_err(|e| e.to_string())?;
    let (major, minor) = (facts.capability / 10, facts.capability % 10);
    let sm = Sm::for_capability(major, minor).ok_or_else(|| format!("{} is too old", facts.name))?;
    Ok((table, sm, facts.name))
}

/// Answers each name of a test on the standard input with a line of how it fared.
pub fn serve() -> ExitCode {
    let (table, sm) = match open() {
        Ok((table, sm, _)) => (table, sm),
        Err(_) => return ExitCode::FAILURE,
    };
    // Making a context takes longer than most tests, so that all of them share one.
    let Ok(_held) = Context::open(table, 0) else { return ExitCode::FAILURE };
    std::thread::spawn(watch);
    let folder = case::suite_folder();
    for name in std::io::stdin().lock().lines().map_while(Result::ok) {
        SINCE.store(now(), Ordering::Relaxed);
        let case = case::Case { folder: folder.join(&name), name };
        let answer = match run(&case, Stage::Gpu(table, sm)) {
            Ok(p) => format!("ok {} {} {}", p.ulp, p.programs, p.ran),
            Err(why) => format!("wrong {}", why.replace('\n', " / ")),
        };
        SINCE.store(0, Ordering::Relaxed);
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{answer}").and_then(|()| out.flush()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// When the running test began, in seconds of this process's clock; 0 between tests.
static SINCE: AtomicU64 = AtomicU64::new(0);

fn now() -> u64 {
    static START: Mutex<Option<Instant>> = Mutex::new(None);
    let mut start = START.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    start.get_or_insert_with(Instant::now).elapsed().as_secs() + 1
}

/// Ends the process when a test takes too long: nothing else ends a kernel that does not.
fn watch() {
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let since = SINCE.load(Ordering::Relaxed);
        if since > 0 && now() > since + LIMIT {
            std::process::exit(3);
        }
    }
}

/// Runs the tests whose names contain `filter` in so many processes of this program, and tells each that fails, and now and then how
/// far it is.
pub fn run_all(processes: usize, filter: &str, tell: &(dyn Fn(&str) + Sync)) -> Result<Report, String> {
    /// Tests between two lines on how far it is.
    const STEP: usize = 200;
    let (_, sm, device) = open()?;
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let start = Instant::now();
    let cases = case::all(&case::suite_folder());
    let names = cases.into_iter().map(|c| c.name).filter(|name| name.contains(filter));
    let queue: Mutex<VecDeque<String>> = Mutex::new(names.collect());
    let report = Mutex::new(Report { device: format!("{device}, {sm}"), ..Report::default() });
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop_front());
    let work = || {
        let mut server: Option<Server> = None;
        while let Some(name) = next() {
            let answer = server.take().map_or_else(|| Server::start(&program), Ok).and_then(|mut running| {
                let answer = running.ask(&name);
                // Later calls in a context that an error has made unusable would fail as well.
                if !answer.as_ref().is_ok_and(|answer| answer.contains("CUDA_ERROR")) && answer.is_ok() {
                    server = Some(running);
                }
                answer
            });
            let Ok(mut report) = report.lock() else { return };
            match answer.as_deref().map(passed) {
                Ok(Some(passed)) => drop(report.passed.insert(name, passed)),
                Ok(None) | Err(_) => {
                    let why = answer.unwrap_or_else(|why| why);
                    let why = why.strip_prefix("wrong ").unwrap_or(&why).to_string();
                    tell(&format!("{name}: {why}"));
                    report.wrong.insert(name, why);
                }
            }
            let done = report.passed.len() + report.wrong.len();
            if done % STEP == 0 {
                tell(&format!("{done} tests in {:.1?}", start.elapsed()));
            }
        }
    };
    std::thread::scope(|scope| (0..processes.max(1)).for_each(|_| drop(scope.spawn(work))));
    let mut report = report.into_inner().map_err(|_| "a thread ended early".to_string())?;
    report.time = start.elapsed();
    Ok(report)
}

/// The numbers of an answer.
fn passed(answer: &str) -> Option<Passed> {
    let numbers: Vec<f64> = answer.strip_prefix("ok ")?.split(' ').filter_map(|n| n.parse().ok()).collect();
    let [ulp, programs, ran] = numbers[..] else { return None };
    Some(Passed { ulp, programs: programs as usize, ran: ran as usize })
}

/// A process that answers.
struct Server {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Server {
    fn start(program: &std::path::Path) -> Result<Server, String> {
        let started = Command::new(program).arg(SERVE).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.map_err(|e| format!("{}: {e}", program.display()))?;
        let answers = child.stdout.take().ok_or("no answers")?;
        Ok(Server { child, answers: BufReader::new(answers) })
    }

    fn ask(&mut self, name: &str) -> Result<String, String> {
        let stdin = self.child.stdin.as_mut().ok_or("no questions")?;
        writeln!(stdin, "{name}").and_then(|()| stdin.flush()).map_err(|e| e.to_string())?;
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => {
                let status = self.child.wait().map_err(|e| e.to_string())?;
                let late =
                    if status.code() == Some(3) { format!(": no answer in {LIMIT} seconds") } else { String::new() };
                Err(format!("the process ended with {status}{late}"))
            }
            Ok(_) => Ok(line.trim_end().to_string()),
            Err(e) => Err(e.to_string()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

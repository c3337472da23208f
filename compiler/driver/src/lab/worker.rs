//! Cases in a process of their own: one that dies, hangs or spoils its GPU context loses the entrant that it ran, and another
//! process goes on behind it.
//!
//! ```text
//! {"begin":{"case":3,"variant":"64x64x64_2x2_4"}}      the worker's lines
//! {"end":{"case":3,"rows":[…]}}
//! ```

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use runtime_min::error::Error as RunError;
use runtime_min::gpu::cudarc_table::driver;
use runtime_min::gpu::driver::DriverTable;
use runtime_min::gpu::owned::Context;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::lab::jobs::Case;
use crate::lab::measure::{BATCH, Effort, Row};
use crate::lab::{Listener, compare_with_copy, run_cases};
use crate::target::Targets;

/// Where a worker begins, and what it leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    pub from: usize,
    /// Cases that are planned and linked together.
    pub batch: usize,
    /// Entrants by case.
    pub skip: Vec<(usize, String)>,
}

/// A line of a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Message {
    Begin {
        case: usize,
        variant: String,
    },
    End {
        case: usize,
        rows: Vec<Row>,
    },
    /// The context can be used no more; the row is of the entrant that did it.
    Lost {
        case: usize,
        row: Row,
    },
}

/// How long a worker may give no sign of life.
const PATIENCE: Duration = Duration::from_secs(180);

/// Runs all cases in workers; `each` gets every row when it is there.
pub fn supervise(
    cases: &[Case],
    command: &dyn Fn(&Start) -> Command,
    each: &mut dyn FnMut(&Row),
) -> Result<Vec<Row>, Error> {
    let mut watch = Watch { cases, rows: Vec::new(), copy: 0.0, each };
    let mut start = Start { from: 0, batch: BATCH, skip: Vec::new() };
    while start.from < cases.len() {
        let mut command = command(&start);
        let spawned = command.stdout(Stdio::piped()).spawn();
        let fail = |output: String| Error::Command { command: "lab's worker".to_string(), output };
        let mut child = spawned.map_err(|e| fail(e.to_string()))?;
        let ended = watch.follow(&mut child, &mut start)?;
        if let Ended::Over { silent: true, .. } = ended {
            let _ = child.kill();
        }
        let status = child.wait().map_err(|e| fail(e.to_string()))?;
        let Ended::Over { silent, begun } = ended else { continue };
        let why = match silent {
            true => format!("no sign of life for {} s", PATIENCE.as_secs()),
            false => format!("the process ended, {status}"),
        };
        match begun {
            Some((case, variant)) => {
                watch.failure(case, &variant, why);
                start.skip.push((case, variant));
            }
            None if start.from >= cases.len() => break,
            // Which case it was shows when they are planned one by one.
            None if start.batch > 1 => start.batch = 1,
            None => {
                watch.failure(start.from, "", why);
                (start.from, start.batch) = (start.from + 1, BATCH);
            }
        }
    }
    Ok(watch.rows)
}

/// How a worker ended.
enum Ended {
    /// It told that its context is lost.
    Told,
    /// Its lines ended, or none came, while this entrant ran.
    Over { silent: bool, begun: Option<(usize, String)> },
}

struct Watch<'a> {
    cases: &'a [Case],
    rows: Vec<Row>,
    copy: f64,
    each: &'a mut dyn FnMut(&Row),
}

impl Watch<'_> {
    /// Takes a worker's rows; `start` follows what is done.
    fn follow(&mut self, child: &mut Child, start: &mut Start) -> Result<Ended, Error> {
        let lines = lines(child);
        let mut begun = None;
        loop {
            let line = match lines.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => return Ok(Ended::Over { silent: true, begun }),
                Err(RecvTimeoutError::Disconnected) => return Ok(Ended::Over { silent: false, begun }),
            };
            let message = serde_json::from_str(&line).map_err(|e| Error::Answer { what: format!("{e}: {line}") })?;
            match message {
                Message::Begin { case, variant } => begun = Some((case, variant)),
                Message::End { case, rows } => {
                    begun = None;
                    self.row(case, rows);
                    start.from = case + 1;
                }
                Message::Lost { case, row } => {
                    start.skip.push((case, row.variant.clone()));
                    start.from = case;
                    self.row(case, vec![row]);
                    return Ok(Ended::Told);
                }
            }
        }
    }

    fn failure(&mut self, case: usize, variant: &str, why: String) {
        let name = self.cases.get(case).map(|c| c.name.clone()).unwrap_or_default();
        self.row(case, vec![Row { name, variant: variant.to_string(), failure: Some(why), ..Row::default() }]);
    }

    fn row(&mut self, case: usize, mut rows: Vec<Row>) {
        if let Some(case) = self.cases.get(case) {
            compare_with_copy(case, &mut rows, &mut self.copy);
        }
        rows.iter().for_each(|row| (self.each)(row));
        self.rows.extend(rows);
    }
}

/// A child's lines, read by a thread, so that waiting for one can end.
fn lines(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(out) = child.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

/// The worker: runs cases from a start on, and writes a line for whatever happens.
pub fn work(cases: &[Case], start: &Start, effort: &Effort, targets: &Targets) -> Result<(), Error> {
    let driver = driver().map_err(RunError::from)?;
    let mut voice = Voice { driver, start, lost: false };
    let rest = cases.get(start.from..).unwrap_or(&[]);
    run_cases(driver, targets, rest, effort, &mut voice)
}

struct Voice<'a> {
    driver: &'static DriverTable,
    start: &'a Start,
    lost: bool,
}

impl Voice<'_> {
    fn say(&self, message: &Message) {
        let text = serde_json::to_string(message).unwrap_or_default();
        let mut out = std::io::stdout().lock();
        // A supervisor that is gone needs no answer.
        let _ = writeln!(out, "{text}");
        let _ = out.flush();
    }

    /// Whether the device's context still answers.
    fn lives(&self) -> bool {
        Context::open(self.driver, 0).is_ok_and(|context| {
            let entered = context.enter();
            entered.is_ok() && context.api.memory_info().is_ok()
        })
    }
}

impl Listener for Voice<'_> {
    fn begin(&mut self, case: usize, variant: &str) {
        self.say(&Message::Begin { case: self.start.from + case, variant: variant.to_string() });
    }

    fn end(&mut self, case: usize, rows: &[Row]) -> bool {
        let case = self.start.from + case;
        let failed = rows.iter().find(|row| row.failure.is_some());
        self.lost = failed.is_some() && !self.lives();
        match failed.filter(|_| self.lost) {
            Some(row) => self.say(&Message::Lost { case, row: row.clone() }),
            None => self.say(&Message::End { case, rows: rows.to_vec() }),
        }
        !self.lost
    }

    fn skips(&self, case: usize, variant: &str) -> bool {
        self.start.skip.iter().any(|(c, v)| *c == self.start.from + case && v == variant)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::lab::jobs;

    /// Workers that are shell scripts, one after the other.
    fn check(scripts: &[&str], expected: &[(&str, &str, bool)]) {
        let text = "[[job]]\nop = \"copy\"\nsizes = [[1], [2]]\n";
        let cases = jobs::parse(text, Path::new("jobs.toml")).unwrap();
        let count = std::cell::Cell::new(0);
        let command = |_: &Start| {
            let mut command = Command::new("sh");
            command.arg("-c").arg(scripts[count.replace(count.get() + 1)]);
            command
        };
        let rows = supervise(&cases, &command, &mut |_| {}).unwrap();
        let found: Vec<(&str, &str, bool)> =
            rows.iter().map(|r| (r.name.as_str(), r.variant.as_str(), r.failure.is_some())).collect();
        assert_eq!(found, expected);
        assert_eq!(count.get(), scripts.len());
    }

    fn end(case: usize, name: &str) -> String {
        let rows = vec![Row { name: name.to_string(), us: 1.0, ..Row::default() }];
        format!("echo '{}'", serde_json::to_string(&Message::End { case, rows }).unwrap())
    }

    fn begin(case: usize, variant: &str) -> String {
        format!("echo '{}'", serde_json::to_string(&Message::Begin { case, variant: variant.to_string() }).unwrap())
    }

    #[test]
    fn a_worker_that_dies_loses_what_it_ran() {
        let dies = format!("{}; {}; kill -9 $$", end(0, "a"), begin(1, "v"));
        check(&[&dies, &end(1, "b")], &[("a", "", false), ("copy 2 f32", "v", true), ("b", "", false)]);
    }

    #[test]
    fn a_worker_that_dies_while_it_plans_is_asked_case_by_case() {
        let both = format!("{}; {}", end(0, "a"), end(1, "b"));
        check(&["exit 3", &both], &[("a", "", false), ("b", "", false)]);
        check(&["exit 3", "exit 3", &end(1, "b")], &[("copy 1 f32", "", true), ("b", "", false)]);
    }

    #[test]
    fn a_lost_context_costs_one_row() {
        let row = Row { name: "x".into(), variant: "w".into(), failure: Some("lost".into()), ..Row::default() };
        let lost = serde_json::to_string(&Message::Lost { case: 0, row }).unwrap();
        let both = format!("{}; {}", end(0, "a"), end(1, "b"));
        check(&[&format!("echo '{lost}'"), &both], &[("x", "w", true), ("a", "", false), ("b", "", false)]);
    }
}

//! Signs of life for what takes longer than a second: a spinner on a terminal, plain lines elsewhere.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Silent for so long.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between plain lines of short pieces of work.
const PAUSE: Duration = Duration::from_secs(3);

/// Work under way.
pub struct Progress {
    sender: RefCell<Option<Sender<String>>>,
    thread: RefCell<Option<JoinHandle<()>>>,
}

impl Progress {
    /// Work begins.
    pub fn start(what: &str) -> Progress {
        let (sender, receiver) = channel::<String>();
        let mut message = what.to_string();
        let thread = std::thread::spawn(move || {
            let terminal = std::io::stderr().is_terminal();
            let mut bar: Option<ProgressBar> = None;
            let mut shown = Instant::now();
            loop {
                match receiver.recv_timeout(PATIENCE) {
                    Ok(next) => {
                        message = next;
                        if let Some(bar) = &bar {
                            bar.set_message(message.clone());
                        } else if !terminal && shown.elapsed() > PAUSE {
                            plain(&message);
                            (message, shown) = (String::new(), Instant::now());
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {
                        if bar.is_none() && terminal {
                            bar = Some(spinner(&message));
                        } else if !terminal && !message.is_empty() {
                            plain(&message);
                            (message, shown) = (String::new(), Instant::now());
                        }
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
        });
        Progress { sender: RefCell::new(Some(sender)), thread: RefCell::new(Some(thread)) }
    }

    /// The next part of the work begins.
    pub fn next(&self, what: &str) {
        if let Some(sender) = &*self.sender.borrow() {
            let _ = sender.send(what.to_string());
        }
    }

    /// The work is done.
    pub fn end(self) {}
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.sender.borrow_mut().take();
        if let Some(thread) = self.thread.borrow_mut().take() {
            let _ = thread.join();
        }
    }
}

fn spinner(message: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(message.to_string());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

#[allow(clippy::print_stderr, reason = "progress goes to standard error")]
fn plain(message: &str) {
    eprintln!("{message} …");
}

//! The state of the stand-in: what is alive, what streams have yet to do, what went wrong.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::thread::ThreadId;

use super::{Executor, Script};
use crate::gpu::driver::{Address, Code};
use crate::gpu::kernel_calls::LaunchShape;

/// How often what was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub calls: u64,
    pub launches: u64,
    pub dependent_launches: u64,
    /// Nodes of launched graphs that may begin before the one ahead has ended.
    pub dependent_nodes: u64,
    pub graph_launches: u64,
    pub instantiations: u64,
    pub patched_nodes: u64,
    pub allocations: u64,
    pub synchronizations: u64,
    pub modules: u64,
    pub encodings: u64,
    pub uploads: u64,
    pub downloads: u64,
}

/// What is alive, and what was done wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaks {
    pub contexts: i64,
    pub pushed: i64,
    pub device_bytes: usize,
    pub host_bytes: usize,
    pub handles: Vec<(&'static str, usize)>,
    pub misuse: Vec<String>,
}

/// Work of a stream.
#[derive(Clone, Debug)]
pub enum Work {
    Upload { to: Address, from: usize, bytes: usize },
    Write { to: Address, bytes: Vec<u8> },
    Download { to: usize, from: Address, bytes: usize },
    Copy { to: Address, from: Address, bytes: usize },
    Fill { to: Address, word: u32, width: usize, count: usize },
    Launch { function: usize, shape: LaunchShape, params: Vec<u8> },
    Record { event: usize, turn: u64 },
    Wait { event: usize, turn: u64 },
}

/// A stream that captures.
pub struct Capture {
    pub thread: ThreadId,
    pub nodes: Nodes,
    /// Lent to callers who ask for the last node.
    pub last: Box<usize>,
}

/// Nodes of a graph in order.
pub type Nodes = Vec<(usize, Work)>;

#[derive(Default)]
pub struct Event {
    stream: usize,
    recorded: u64,
    done: u64,
}

#[derive(Clone, Debug)]
pub struct Function {
    pub module: usize,
    pub entry: String,
    pub params: Vec<(usize, usize)>,
    pub shared_limit: u32,
}

/// The driver's state.
pub struct World {
    pub executor: Box<dyn Executor>,
    pub script: Script,
    pub counts: Counts,
    pub failed: Option<&'static str>,
    /// The answer of every call since the context was lost.
    pub lost: Option<Code>,
    pub misuse: Vec<String>,
    pub contexts: i64,
    pub pushed: i64,
    pub streams: BTreeMap<usize, VecDeque<Work>>,
    foreign: BTreeSet<usize>,
    pub events: BTreeMap<usize, Event>,
    /// Handle to the executor's module.
    pub modules: BTreeMap<usize, usize>,
    pub functions: BTreeMap<usize, Function>,
    pub graphs: BTreeMap<usize, Nodes>,
    pub execs: BTreeMap<usize, Nodes>,
    /// Where the compiler's words go, and the machine code.
    pub links: BTreeMap<usize, (usize, Vec<u8>)>,
    /// The executor's module of each text that was linked.
    pub linked: BTreeMap<String, usize>,
    pub device: BTreeMap<Address, usize>,
    pub host: BTreeMap<usize, Box<[u8]>>,
    /// Where the device has page-locked memory that it was asked the address of.
    pub mirrors: BTreeMap<usize, Address>,
    /// By stream.
    pub captures: BTreeMap<usize, Capture>,
    next: usize,
}

static WORLD: Mutex<Option<World>> = Mutex::new(None);

thread_local! {
    /// The contexts of this thread, the current one last.
    pub static CONTEXTS: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    /// Whether this thread is in a function of the driver.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// This thread is in a function of the driver until it goes.
pub struct Inside;

impl Inside {
    pub fn new() -> Inside {
        INSIDE.set(true);
        Inside
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

/// Whether this thread is in a function of the driver: what it allocates there is not the caller's.
pub fn in_driver() -> bool {
    INSIDE.get()
}

/// The one context.
pub const CONTEXT: usize = 0xC0;

pub fn install(executor: Box<dyn Executor>, script: Script) {
    CONTEXTS.with_borrow_mut(Vec::clear);
    let world = World {
        executor,
        script,
        counts: Counts::default(),
        failed: None,
        lost: None,
        misuse: Vec::new(),
        contexts: 0,
        pushed: 0,
        streams: BTreeMap::from([(0, VecDeque::new())]),
        foreign: BTreeSet::from([0]),
        events: BTreeMap::new(),
        modules: BTreeMap::new(),
        functions: BTreeMap::new(),
        graphs: BTreeMap::new(),
        execs: BTreeMap::new(),
        links: BTreeMap::new(),
        linked: BTreeMap::new(),
        device: BTreeMap::new(),
        host: BTreeMap::new(),
        mirrors: BTreeMap::new(),
        captures: BTreeMap::new(),
        next: 0x1000,
    };
    *WORLD.lock().unwrap_or_else(PoisonError::into_inner) = Some(world);
}

pub fn remove() {
    *WORLD.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// Looks at the state; there is one while a `StandIn` lives.
pub fn with<T>(look: impl FnOnce(&mut World) -> T) -> T {
    let mut world = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    match world.as_mut() {
        Some(world) => look(world),
        None => std::process::abort(),
    }
}

impl World {
    pub fn handle(&mut self) -> usize {
        self.next += 16;
        self.next
    }

    pub fn foreign_stream(&mut self) -> usize {
        let stream = self.handle();
        self.streams.insert(stream, VecDeque::new());
        self.foreign.insert(stream);
        stream
    }

    pub fn wrong(&mut self, what: impl Into<String>) {
        self.misuse.push(what.into());
    }

    pub fn leaks(&self) -> Leaks {
        let streams = self.streams.keys().filter(|s| !self.foreign.contains(s)).count();
        let counted = [
            ("streams", streams),
            ("events", self.events.len()),
            ("modules", self.modules.len()),
            ("graphs", self.graphs.len()),
            ("graph execs", self.execs.len()),
            ("links", self.links.len()),
            ("captures", self.captures.len()),
        ];
        Leaks {
            contexts: self.contexts,
            pushed: self.pushed,
            device_bytes: self.device.values().sum(),
            host_bytes: self.host.values().map(|b| b.len()).sum(),
            handles: counted.into_iter().filter(|(_, count)| *count > 0).collect(),
            misuse: self.misuse.clone(),
        }
    }

    /// Gives work to a stream, or to the capture that it makes.
    pub fn give(&mut self, stream: usize, work: Work) -> Code {
        let node = self.handle();
        if let Some(capture) = self.captures.get_mut(&stream) {
            capture.nodes.push((node, work));
            *capture.last = node;
            return 0;
        }
        match self.streams.get_mut(&stream) {
            Some(queue) => {
                queue.push_back(work);
                0
            }
            None => {
                self.wrong(format!("work for stream {stream:#x}, which is not alive"));
                400
            }
        }
    }

    /// Whether these bytes of the host lie in page-locked memory that is alive.
    pub fn is_pinned(&self, start: usize, bytes: usize) -> bool {
        let block = self.host.range(..=start).next_back();
        block.is_some_and(|(at, block)| start + bytes <= at + block.len())
    }

    /// Does everything that a stream has been given.
    pub fn run(&mut self, stream: usize) -> Code {
        while let Some(work) = self.streams.get_mut(&stream).and_then(VecDeque::pop_front) {
            let code = self.perform(work);
            if code != 0 {
                // Nothing runs any more in a context that is lost.
                self.streams.values_mut().for_each(VecDeque::clear);
                self.lost = Some(code);
                return code;
            }
        }
        0
    }

    pub fn run_all(&mut self) -> Code {
        let streams: Vec<usize> = self.streams.keys().copied().collect();
        streams.into_iter().map(|stream| self.run(stream)).find(|code| *code != 0).unwrap_or(0)
    }

    pub fn record(&mut self, event: usize, stream: usize) -> Code {
        let Some(known) = self.events.get_mut(&event) else {
            self.wrong("an event that is not alive is recorded");
            return 400;
        };
        known.recorded += 1;
        known.stream = stream;
        let turn = known.recorded;
        self.give(stream, Work::Record { event, turn })
    }

    pub fn wait(&mut self, stream: usize, event: usize) -> Code {
        let turn = self.events.get(&event).map_or(0, |e| e.recorded);
        if turn == 0 { 0 } else { self.give(stream, Work::Wait { event, turn }) }
    }

    /// Runs until an event has happened.
    pub fn happen(&mut self, event: usize, turn: u64) -> Code {
        let Some((stream, done)) = self.events.get(&event).map(|e| (e.stream, e.done)) else { return 0 };
        if done >= turn { 0 } else { self.run(stream) }
    }

    pub fn event_turn(&self, event: usize) -> u64 {
        self.events.get(&event).map_or(0, |e| e.recorded)
    }

    /// The device's address of page-locked memory that begins here.
    pub fn mirror(&mut self, start: usize) -> Option<Address> {
        let bytes = self.host.get(&start)?.len();
        let executor = &mut self.executor;
        Some(*self.mirrors.entry(start).or_insert_with(|| executor.alloc(bytes)))
    }

    /// Does one thing. The device works on its own copies of page-locked memory, which are the host's before and after.
    fn perform(&mut self, work: Work) -> Code {
        for (start, mirror) in &self.mirrors {
            if let Some(block) = self.host.get(start) {
                self.executor.write(*mirror, block);
            }
        }
        let code = self.act(work);
        for (start, mirror) in &self.mirrors {
            if let Some(block) = self.host.get_mut(start)
                && let Some(found) = self.executor.read(*mirror, block.len())
            {
                block.copy_from_slice(&found);
            }
        }
        code
    }

    fn act(&mut self, work: Work) -> Code {
        let done = match work {
            Work::Upload { from: host, bytes, .. } | Work::Download { to: host, bytes, .. }
                if !self.is_pinned(host, bytes) =>
            {
                self.wrong("host memory is gone before a copy is done");
                false
            }
            Work::Write { to, bytes } => self.executor.write(to, &bytes),
            Work::Upload { to, from, bytes } => {
                // SAFETY: the bytes are alive, and whoever gave this work promised that nobody writes them.
                let bytes = unsafe { std::slice::from_raw_parts(from as *const u8, bytes) };
                self.executor.write(to, bytes)
            }
            Work::Download { to, from, bytes } => match self.executor.read(from, bytes) {
                Some(found) => {
                    // SAFETY: the bytes are alive, and whoever gave this work promised that nobody looks at them.
                    unsafe { std::ptr::copy_nonoverlapping(found.as_ptr(), to as *mut u8, bytes) };
                    true
                }
                None => false,
            },
            Work::Copy { to, from, bytes } => self.executor.copy(to, from, bytes),
            Work::Fill { to, word, width, count } => {
                let bytes = word.to_le_bytes();
                let pattern = bytes.get(..width).unwrap_or(&bytes);
                self.executor.write(to, &pattern.repeat(count))
            }
            Work::Launch { function, shape, params } => {
                let Some(function) = self.functions.get(&function) else {
                    self.wrong("a function of an unloaded module is launched");
                    return 400;
                };
                if let Err(what) = self.executor.launch(function.module, &function.entry, &shape, &params) {
                    self.wrong(what);
                    return 719;
                }
                true
            }
            Work::Record { event, turn } => {
                if let Some(known) = self.events.get_mut(&event) {
                    known.done = known.done.max(turn);
                }
                true
            }
            Work::Wait { event, turn } => return self.happen(event, turn),
        };
        if done { 0 } else { 700 }
    }
}

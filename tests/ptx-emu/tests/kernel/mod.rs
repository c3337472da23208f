//! Runs one hand-written body as a kernel. With `PTX_EMU_DUMP=FOLDER` every program is written there, to be given to an assembler.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests use this")]

use ptx_emu::{Device, Fault, FaultKind, Launch, Module, Options, Stats};

/// A kernel whose parameters are 64-bit pointers `p0`, `p1` …
pub struct Kernel {
    pub text: String,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub cluster: [u32; 3],
    pub dynamic: u32,
    pub cooperative: bool,
    pub options: Options,
    buffers: Vec<Vec<u8>>,
    /// Bytes that hold nothing at the start, at these places of `buffers`.
    empty: Vec<bool>,
    extra: Vec<u8>,
}

/// Registers that every body may use, and what is declared before the entry.
const REGISTERS: &str = ".reg .pred %p<16>; .reg .b16 %h<16>; .reg .b32 %r<64>; .reg .f32 %f<160>; \
                         .reg .b64 %rd<32>; .reg .f64 %fd<16>;";

impl Kernel {
    pub fn new(body: &str) -> Kernel {
        Kernel::with_globals("", body)
    }

    pub fn with_globals(globals: &str, body: &str) -> Kernel {
        Kernel {
            text: format!("{globals}\x01{body}"),
            grid: [1; 3],
            block: [32, 1, 1],
            cluster: [0; 3],
            dynamic: 0,
            cooperative: false,
            options: Options::default(),
            buffers: Vec::new(),
            empty: Vec::new(),
            extra: Vec::new(),
        }
    }

    pub fn threads(mut self, n: u32) -> Self {
        self.block = [n, 1, 1];
        self
    }

    pub fn ctas(mut self, n: u32) -> Self {
        self.grid = [n, 1, 1];
        self
    }

    pub fn cluster(mut self, n: u32) -> Self {
        self.cluster = [n, 1, 1];
        self
    }

    pub fn dynamic(mut self, bytes: u32) -> Self {
        self.dynamic = bytes;
        self
    }

    /// A 64-aligned parameter `map` of 128 bytes, after the pointers.
    pub fn map(mut self, bytes: [u8; 128]) -> Self {
        self.extra = bytes.to_vec();
        self
    }

    pub fn buffer(mut self, bytes: Vec<u8>) -> Self {
        self.buffers.push(bytes);
        self.empty.push(false);
        self
    }

    pub fn words(self, words: &[u32]) -> Self {
        self.buffer(words.iter().flat_map(|w| w.to_le_bytes()).collect())
    }

    pub fn floats(self, values: &[f32]) -> Self {
        self.buffer(values.iter().flat_map(|w| w.to_le_bytes()).collect())
    }

    pub fn doubles(self, values: &[u64]) -> Self {
        self.buffer(values.iter().flat_map(|w| w.to_le_bytes()).collect())
    }

    /// A buffer that holds nothing.
    pub fn empty(mut self, bytes: usize) -> Self {
        self.buffers.push(vec![0; bytes]);
        self.empty.push(true);
        self
    }

    fn ptx(&self) -> String {
        let (globals, body) = self.text.split_once('\x01').unwrap();
        let mut params: Vec<String> = (0..self.buffers.len()).map(|k| format!(".param .u64 p{k}")).collect();
        if !self.extra.is_empty() {
            params.push(".param .align 64 .b8 map[128]".to_string());
        }
        let params = params.join(", ");
        format!(
            ".version 8.6\n.target sm_90a\n.address_size 64\n{globals}\n.visible .entry k({params})\n{{\n{REGISTERS}\n{body}\nret;\n}}\n"
        )
    }

    /// Contents of all buffers after the run, or the faults.
    pub fn try_run(&self) -> Result<Vec<Vec<u8>>, Vec<Fault>> {
        self.try_run_with_stats().map(|(out, _)| out)
    }

    fn try_run_with_stats(&self) -> Result<(Vec<Vec<u8>>, Stats), Vec<Fault>> {
        let text = self.ptx();
        if let Ok(folder) = std::env::var("PTX_EMU_DUMP") {
            let name: u64 =
                text.bytes().fold(14695981039346656037, |h, b| (h ^ u64::from(b)).wrapping_mul(1099511628211));
            std::fs::write(format!("{folder}/{name:016x}.ptx"), &text).unwrap();
        }
        let module = Module::parse(&text).unwrap_or_else(|e| panic!("{e}"));
        let mut device = Device::new(self.options.clone());
        let mut addresses = Vec::new();
        for (bytes, empty) in self.buffers.iter().zip(&self.empty) {
            addresses.push(if *empty { device.alloc(bytes.len() as u64) } else { device.alloc_with(bytes) });
        }
        let mut params: Vec<u8> = addresses.iter().flat_map(|a| a.to_le_bytes()).collect();
        if !self.extra.is_empty() {
            params.resize(params.len().next_multiple_of(64), 0);
            let mut map = self.extra.clone();
            // A tensor map names its buffer by number until the buffers have addresses.
            let k = u64::from_le_bytes(map[8..16].try_into().unwrap()) as usize;
            map[8..16].copy_from_slice(&addresses[k].to_le_bytes());
            params.extend(map);
        }
        let launch = Launch {
            entry: "k",
            grid: self.grid,
            block: self.block,
            cluster: self.cluster,
            dynamic_shared: self.dynamic,
            cooperative: self.cooperative,
            params: &params,
        };
        let stats = device.launch(&module, &launch)?;
        let read = |(a, b): (&u64, &Vec<u8>)| device.read_any(*a, b.len() as u64).unwrap();
        Ok((addresses.iter().zip(&self.buffers).map(read).collect(), stats))
    }

    pub fn run(&self) -> Vec<Vec<u8>> {
        self.run_with_stats().0
    }

    pub fn run_with_stats(&self) -> (Vec<Vec<u8>>, Stats) {
        self.try_run_with_stats().unwrap_or_else(|faults| {
            panic!("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        })
    }

    /// The words of buffer `k` after the run.
    pub fn out(&self, k: usize) -> Vec<u32> {
        self.run()[k].chunks_exact(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect()
    }

    pub fn out_floats(&self, k: usize) -> Vec<f32> {
        self.out(k).into_iter().map(f32::from_bits).collect()
    }

    /// The run must end in a fault of a kind on the line that holds a text.
    #[track_caller]
    pub fn faults(&self, kind: FaultKind, line: &str) -> Fault {
        let faults = match self.try_run() {
            Ok(_) => panic!("no fault; {kind:?} was planted at `{line}`"),
            Err(faults) => faults,
        };
        let found = faults.iter().find(|f| f.kind == kind && f.text.contains(line));
        let all = || faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        found.unwrap_or_else(|| panic!("{kind:?} at `{line}` is not among\n{}", all())).clone()
    }
}

/// Address of this lane's word of buffer `k` in `%rd{k}`, and of the thread in `%r0`: the start of most bodies.
pub const WORDS: &str = "
    mov.u32 %r0, %tid.x;
    mul.wide.u32 %rd31, %r0, 4;
    ld.param.u64 %rd0, [p0];
    add.s64 %rd0, %rd0, %rd31;
    ld.param.u64 %rd1, [p1];
    add.s64 %rd1, %rd1, %rd31;
";

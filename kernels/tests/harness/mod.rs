//! Runs kernels on the emulator and compares with a product computed in f64, one term after the other.

use graph::dim::{Dim, SymId};
use half::{bf16, f16};
use kernels::finish::{Finish, Stored};
use kernels::fragment::Input;
use kernels::image::Window;
use kernels::launch::{Role, Tensor};
use kernels::product::Product;
use kernels::{TileKernel, split};
use ptx::{Entry, Module, Sm};
use ptx_emu::{Device, Launch, Options};

/// Extents of a convolution's data and result, and pads.
#[derive(Clone, Copy)]
pub struct Image {
    pub batch: usize,
    pub data: [usize; 2],
    pub result: [usize; 2],
    pub pads: [usize; 2],
}

/// Sizes of a product; `batch` has an extent per batch dim.
#[derive(Clone)]
pub struct Sizes {
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    pub batch: Vec<usize>,
    pub image: Option<Image>,
}

/// Numbers that are exact in every dtype, different everywhere.
pub fn number(seed: usize, at: usize) -> f64 {
    let x = (at as u64).wrapping_add(seed as u64 * 7919).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((x >> 40) % 63) as f64 / 16.0 - 2.0
}

pub fn encode(input: Input, value: f64) -> Vec<u8> {
    match input {
        Input::F16 => f16::from_f64(value).to_le_bytes().to_vec(),
        Input::Bf16 => bf16::from_f64(value).to_le_bytes().to_vec(),
        Input::Tf32 | Input::F32 => (value as f32).to_le_bytes().to_vec(),
    }
}

pub fn decode(stored: Stored, bytes: &[u8]) -> Vec<f64> {
    match stored {
        Stored::F16 => bytes.chunks(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f64()).collect(),
        Stored::Bf16 => bytes.chunks(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f64()).collect(),
        Stored::F32 => bytes.chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect(),
    }
}

pub fn divisor(d: u64) -> [u8; 8] {
    let s = 64 - (d - 1).leading_zeros();
    let m = (((1_u64 << s) - d) << 32) / d + 1;
    ((m & 0xFFFF_FFFF) | u64::from(s) << 32).to_le_bytes()
}

/// A matrix in memory: rows of `lead` elements, with a gap behind each that must not be read.
struct Stage {
    data: Vec<u8>,
    lead: usize,
    batch_strides: Vec<usize>,
    offset: usize,
}

/// An operand of every batch index, `at(z, outer, term)`, stored as the problem says.
fn stage(problem: &Product, n: usize, sizes: &Sizes, at: &dyn Fn(usize, usize, usize) -> f64) -> Stage {
    let side = [problem.a, problem.b][n];
    let outer = [sizes.rows, sizes.columns][n];
    let (rows, row) = if side.crossed { (sizes.depth, outer) } else { (outer, sizes.depth) };
    let bytes = problem.input.bytes() as usize;
    let unit = side.chunk as usize / bytes;
    let lead = row.div_ceil(unit) * unit + unit;
    let offset = 2 * unit;
    let zs: usize = sizes.batch.iter().product();
    let matrix = rows * lead;
    let mut data = vec![0_u8; (offset + zs * matrix) * bytes];
    for z in 0..zs {
        for i in 0..rows {
            for j in 0..row {
                let (o, k) = if side.crossed { (j, i) } else { (i, j) };
                let to = (offset + z * matrix + i * lead + j) * bytes;
                data[to..to + bytes].copy_from_slice(&encode(problem.input, at(z, o, k)));
            }
        }
    }
    data.truncate((offset + (zs - 1) * matrix + (rows - 1) * lead + row) * bytes);
    let mut batch_strides = vec![matrix; sizes.batch.len()];
    for d in (1..sizes.batch.len()).rev() {
        batch_strides[d - 1] = batch_strides[d] * sizes.batch[d];
    }
    Stage { data, lead, batch_strides, offset }
}

/// Images `[N][H][W][C]` and what the product's first operand is of them.
fn images(window: &Window, image: &Image) -> (usize, impl Fn(usize, usize, usize) -> f64 + use<>) {
    let (window, image) = (*window, *image);
    let [h, w] = image.data;
    let c = window.channels as usize;
    let at = move |_: usize, m: usize, k: usize| {
        let [p, q] = image.result;
        let (n, m) = (m / (p * q), m % (p * q));
        let (tap, channel) = (k / c, k % c);
        let place = |o: usize, t: usize, d: usize| {
            (o * window.strides[d] as usize + t * window.dilations[d] as usize).checked_sub(image.pads[d])
        };
        let y = place(m / q, tap / window.kernel[1] as usize, 0).filter(|y| *y < h);
        let x = place(m % q, tap % window.kernel[1] as usize, 1).filter(|x| *x < w);
        match (y, x) {
            (Some(y), Some(x)) => number(1, ((n * h + y) * w + x) * c + channel),
            _ => 0.0,
        }
    };
    (image.batch * h * w * c, at)
}

/// What an epilogue reads, and what it makes of a sum: of `[z][row][column]`, dense.
pub struct Post<'a> {
    pub reads: Vec<Vec<u8>>,
    pub sizes: Vec<i64>,
    pub dtype: Stored,
    pub value: &'a dyn Fn(usize, usize, usize, f64) -> f64,
    /// By how much an error of the sum grows.
    pub growth: f64,
}

/// Runs a product (and, if it is split, the addition) and checks every element: the error may be that of `depth` additions in f32
/// plus the rounding of the result.
pub fn check(problem: &Product, kernel: TileKernel, sm: Sm, sizes: &Sizes) {
    check_with(problem, kernel, sm, sizes, None);
}

/// As [`check`], with what an epilogue does.
pub fn check_with(problem: &Product, kernel: TileKernel, sm: Sm, sizes: &Sizes, post: Option<&Post<'_>>) {
    let dtype = match (&problem.finish, post) {
        (_, Some(post)) => post.dtype,
        (Finish::Store { dtype, .. }, None) => *dtype,
        (Finish::Epilogue(_), None) => panic!("an epilogue without its meaning"),
    };
    let (splits, cluster) = (kernel.grid.splits, kernel.grid.cluster);
    let (m, n) = (sizes.rows, sizes.columns);
    let zs: usize = sizes.batch.iter().product();
    let plain = move |z: usize, o: usize, k: usize| number(1, (z * 1009 + o) * 2003 + k);
    let second = move |z: usize, o: usize, k: usize| number(2, (z * 1013 + o) * 1999 + k);
    let (left, first): (Stage, Box<dyn Fn(usize, usize, usize) -> f64>) = match (&problem.window, &sizes.image) {
        (Some(window), Some(image)) => {
            let (count, at) = images(window, image);
            let data = (0..count).flat_map(|i| encode(problem.input, number(1, i))).collect();
            (Stage { data, lead: 0, batch_strides: Vec::new(), offset: 0 }, Box::new(at))
        }
        _ => (stage(problem, 0, sizes, &plain), Box::new(plain)),
    };
    let right = stage(problem, 1, sizes, &second);
    let out_bytes = dtype.bytes() as usize;
    let gap = if post.is_some() { 0 } else { problem.finish.vector() as usize };
    let lead = n + gap;
    let mut out_strides = vec![m * lead; sizes.batch.len()];
    for d in (1..sizes.batch.len()).rev() {
        out_strides[d - 1] = out_strides[d] * sizes.batch[d];
    }
    let mut device = Device::new(Options { races: m * n < 20_000, reverse: true, ..Options::default() });
    let a = device.alloc_with(&left.data);
    let b = device.alloc_with(&right.data);
    let out = device.alloc((zs * m * lead * out_bytes) as u64);
    let space = device.alloc((zs * m * n * 4 * splits as usize).max(4) as u64);
    let image = sizes.image;
    let extra: Vec<u64> =
        post.map_or(Vec::new(), |post| post.reads.iter().map(|bytes| device.alloc_with(bytes)).collect());
    let size = |dim: &Dim| dim.eval(&|SymId(k)| post?.sizes.get(k as usize).copied()).unwrap();
    let first_of = |base: u64, stage: &Stage| base + (stage.offset * problem.input.bytes() as usize) as u64;
    let value = |role: &Role| -> Vec<u8> {
        let stage = |t: &Tensor| if *t == Tensor::Read(0) { &left } else { &right };
        let wide = |v: usize| (v as u64).to_le_bytes().to_vec();
        let narrow = |v: usize| (v as u32).to_le_bytes().to_vec();
        match role {
            Role::Pointer(Tensor::Read(0)) => first_of(a, &left).to_le_bytes().to_vec(),
            Role::Pointer(Tensor::Read(k)) if *k >= 2 => extra[*k as usize - 2].to_le_bytes().to_vec(),
            Role::Pointer(Tensor::Read(_)) => first_of(b, &right).to_le_bytes().to_vec(),
            Role::Pointer(Tensor::Write(_)) => out.to_le_bytes().to_vec(),
            Role::Workspace => space.to_le_bytes().to_vec(),
            Role::BatchStride(Tensor::Write(_), d) => wide(out_strides[*d as usize]),
            Role::BatchStride(t, d) => wide(stage(t).batch_strides[*d as usize]),
            Role::Lead(Tensor::Write(_)) => wide(lead),
            Role::Lead(t) => wide(stage(t).lead),
            Role::Rows | Role::RowCount => narrow(m),
            Role::Columns => narrow(n),
            Role::Depth => narrow(sizes.depth),
            Role::BatchExtent(d) => narrow(sizes.batch[*d as usize]),
            Role::BatchDivisor(d) => divisor(sizes.batch[*d as usize] as u64).to_vec(),
            Role::Extent(d) => narrow(image.unwrap().data[*d as usize]),
            Role::Pixels => narrow(image.unwrap().result.iter().product()),
            Role::PixelsDivisor => divisor(image.unwrap().result.iter().product::<usize>() as u64).to_vec(),
            Role::ResultWidth => narrow(image.unwrap().result[1]),
            Role::ResultWidthDivisor => divisor(image.unwrap().result[1] as u64).to_vec(),
            Role::Size(dim) => size(dim).to_le_bytes().to_vec(),
            Role::SizeDivisor(dim) => divisor(size(dim) as u64).to_vec(),
            Role::Pad(d) => narrow(image.unwrap().pads[*d as usize]),
            Role::ResultHeight => narrow(image.unwrap().result[0]),
            Role::Tiles(_) | Role::TilesDivisor(_) | Role::Past => panic!("no role of a product"),
        }
    };
    let name = kernel.entry.name.clone();
    let mut launches = vec![kernel];
    if splits > cluster {
        launches.push(split::emit(problem, splits, sm).unwrap());
    }
    for kernel in launches {
        launch(&mut device, kernel, sm, &value, [m as u64, n as u64, zs as u64]);
    }
    let half_ulp = match dtype {
        Stored::F32 => 0.0,
        Stored::F16 => f64::powi(2.0, -11),
        Stored::Bf16 => f64::powi(2.0, -8),
    };
    for z in 0..zs {
        for i in 0..m {
            let address = out + ((z * m + i) * lead * out_bytes) as u64;
            let found = decode(dtype, &device.read(address, (n * out_bytes) as u64).unwrap());
            for (j, found) in found.iter().enumerate() {
                let terms = (0..sizes.depth).map(|k| first(z, i, k) * second(z, j, k));
                let (sum, size) = terms.fold((0.0, 0.0), |(s, a), t| (s + t, a + t.abs()));
                let (expected, growth) = post.map_or((sum, 1.0), |post| ((post.value)(z, i, j, sum), post.growth));
                let bound = growth * size * sizes.depth as f64 * f64::powi(2.0, -24) + expected.abs() * half_ulp;
                let sum = expected;
                assert!((found - sum).abs() <= bound, "{name}: [{z}][{i}][{j}] is {found}, not {sum}");
            }
        }
    }
}

fn launch(device: &mut Device, kernel: TileKernel, sm: Sm, value: &dyn Fn(&Role) -> Vec<u8>, sizes: [u64; 3]) {
    let [m, n, z] = sizes;
    let grid = kernel.grid.extents(m, n, z).map(|e| u32::try_from(e).unwrap());
    run_entry(device, (kernel.entry, &kernel.roles), sm, value, (grid, kernel.grid.cluster, kernel.shared));
}

/// Verifies an entry, prints it, and runs the text with the parameters' values.
pub fn run_entry(
    device: &mut Device,
    (entry, roles): (Entry, &[Role]),
    sm: Sm,
    value: &dyn Fn(&Role) -> Vec<u8>,
    (grid, cluster, shared): ([u32; 3], u32, u32),
) {
    let mut params = Vec::new();
    for role in roles {
        let bytes = value(role);
        params.resize(params.len().div_ceil(bytes.len()) * bytes.len(), 0);
        params.extend(bytes);
    }
    let (name, block) = (entry.name.clone(), entry.block.unwrap());
    let module = Module::new(sm, vec![entry]);
    if let Err(problems) = ptx::verify(&module) {
        panic!("{name}: {:?}", problems.first());
    }
    let module = ptx_emu::Module::parse(&ptx::print(&module)).unwrap_or_else(|e| panic!("{name}: {e:?}"));
    let launch =
        Launch { dynamic_shared: shared, cluster: [1, 1, cluster], ..Launch::new(&name, grid, block, &params) };
    if let Err(faults) = device.launch(&module, &launch) {
        panic!("{name}: {:#?}", faults.iter().take(3).collect::<Vec<_>>());
    }
}

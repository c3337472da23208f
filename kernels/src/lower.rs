//! From code and its epilogue to launches: the kernel, its grid and the values of its parameters as sizes of the code.

pub mod attention;
pub mod depthwise;
mod recurrent;

use graph::dim::{Dim, SymId};
use graph::symbol::Symbols;
use nest::kernel::Kernel;
use ptx::{Module, Sm};

use crate::code::{GpuCode, Label, ProductCode, Second, Variant};
use crate::epilogue::{Axes, Epilogue, symbols};
use crate::finish::{Finish, Stored};
use crate::launch::{KernelError, Role, Tensor, TileKernel};
use crate::product::{Product, Side};
use crate::{gemm, simt, split, wide};

/// Launches of a code, in order; each starts when the one before is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Lowered {
    pub launches: Vec<LoweredKernel>,
    /// Bytes of scratch.
    pub workspace: Dim,
}

/// One launch. Sizes are over the code's parameters: the claim's, then the epilogue's.
#[derive(Clone, Debug, PartialEq)]
pub struct LoweredKernel {
    /// One entry.
    pub module: Module,
    pub entry: String,
    pub grid: [Dim; 3],
    pub block: [u32; 3],
    /// CTAs of a cluster.
    pub cluster: [u32; 3],
    pub shared: u32,
    pub args: Vec<Argument>,
}

/// The value of a parameter. The address of an operand of the claim is that of its view's first element, all others are of
/// element 0 of the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    Read(usize),
    Write(usize),
    Workspace,
    Size64(Dim),
    Size32(Dim),
    /// Multiplier and shift.
    Divisor(Dim),
    /// Elements between neighbours along a dim of a read.
    Stride {
        read: usize,
        dim: usize,
    },
}

/// The launches of a claim's code with its epilogue, if it has one. `operands` are the claim's operands and derived constants.
pub fn lower(code: &GpuCode, operands: usize, epilogue: Option<&Kernel>, sm: Sm) -> Result<Lowered, KernelError> {
    let Some(epilogue) = epilogue else {
        return match code {
            GpuCode::Recurrent(code) => recurrent::lower(code, sm),
            GpuCode::Product(_) | GpuCode::Depthwise(_) | GpuCode::Attention(_) => {
                Err(KernelError::Epilogue { what: "kernels", found: 0, expected: 1 })
            }
        };
    };
    match code {
        GpuCode::Recurrent(_) => Err(KernelError::Epilogue { what: "kernels", found: 1, expected: 0 }),
        GpuCode::Product(code) => product(code, operands, epilogue, sm),
        GpuCode::Depthwise(code) => depthwise::lower(code, operands, epilogue, sm),
        GpuCode::Attention(code) => attention::lower(code, operands, epilogue, sm),
    }
}

/// Bytes of scratch of a code, over the claim's parameters.
pub fn workspace(code: &GpuCode, sm: Sm) -> Dim {
    match code {
        GpuCode::Product(code) if code.variant.has_parts(sm) => {
            let sizes = Sizes::new(code);
            let bytes = Dim::constant(4 * i64::from(code.variant.splits()));
            Dim::product([&sizes.batches(), &sizes.row_count(), &sizes.columns(), &bytes])
        }
        GpuCode::Product(_) | GpuCode::Depthwise(_) | GpuCode::Attention(_) | GpuCode::Recurrent(_) => Dim::constant(0),
    }
}

/// The parameters of a code, by name.
struct Sizes<'a> {
    code: &'a ProductCode,
    symbols: Symbols,
}

impl<'a> Sizes<'a> {
    fn new(code: &'a ProductCode) -> Sizes<'a> {
        Sizes { code, symbols: symbols(code.sizes()) }
    }

    fn at(&self, k: usize) -> Dim {
        Dim::symbol(SymId(k as u32))
    }

    fn extent(&self, label: Label) -> Dim {
        match label {
            Label::Batch(d) => self.at(d),
            Label::Row(d) => self.at(self.code.batch + d),
            Label::Column => self.columns(),
            Label::Depth => self.depth(),
        }
    }

    fn columns(&self) -> Dim {
        let given = self.code.columns.map(|n| Dim::constant(i64::from(n)));
        given.unwrap_or_else(|| self.at(self.code.batch + self.code.rows))
    }

    fn depth(&self) -> Dim {
        let given = self.code.depth.map(|k| Dim::constant(i64::from(k)));
        given.unwrap_or_else(|| self.at(self.code.batch + self.code.rows + 1))
    }

    fn image(&self, k: usize) -> Dim {
        self.at(self.code.batch + self.code.rows + 2 + k)
    }

    fn batches(&self) -> Dim {
        Dim::product(&(0..self.code.batch).map(|d| self.at(d)).collect::<Vec<_>>())
    }

    fn row_count(&self) -> Dim {
        Dim::product(&(0..self.code.rows).map(|d| self.extent(Label::Row(d))).collect::<Vec<_>>())
    }
}

/// Elements between neighbours along a dim of an operand; 0 along one that it does not have.
fn stride(read: usize, labels: &[Label], of: Label) -> Argument {
    match labels.iter().position(|l| *l == of) {
        Some(dim) => Argument::Stride { read, dim },
        None => Argument::Size64(Dim::constant(0)),
    }
}

/// Elements between the rows in which an operand lies.
fn lead(read: usize, labels: &[Label], outer: Label) -> Argument {
    stride(read, labels, if labels.last() == Some(&Label::Depth) { outer } else { Label::Depth })
}

/// Whether the kernel of a code can be emitted.
pub fn check(code: &ProductCode, sm: Sm) -> Result<(), KernelError> {
    let problem = problem(code, Finish::Store { dtype: Stored::F32, vector: code.vector.min(4) });
    emit(&problem, &code.variant, sm).map(|_| ())
}

fn emit(problem: &Product, variant: &Variant, sm: Sm) -> Result<TileKernel, KernelError> {
    match variant {
        Variant::Gemm(variant) => gemm::emit(problem, variant, sm),
        Variant::Simt(variant) => simt::emit(problem, variant, sm),
        Variant::Wide(variant) => wide::emit(problem, variant, sm),
    }
}

fn problem(code: &ProductCode, finish: Finish) -> Product {
    let crossed = |labels: &[Label]| labels.last().is_some_and(|l| *l != Label::Depth);
    let (b_crossed, weights) = match &code.b {
        Second::Packed { crossed, .. } => (*crossed, true),
        Second::Strided(labels) => (crossed(labels), false),
    };
    Product {
        input: code.input,
        columns: code.columns,
        depth: code.depth,
        batch_dims: code.batch as u32,
        a: Side { crossed: crossed(&code.a), chunk: code.a_chunk, weights: false },
        b: Side { crossed: b_crossed, chunk: code.b_chunk, weights },
        finish,
        window: code.window.filter(|_| !code.flat),
    }
}

fn product(code: &ProductCode, operands: usize, epilogue: &Kernel, sm: Sm) -> Result<Lowered, KernelError> {
    let position = |label| code.result.iter().position(|l| *l == label).unwrap_or(0);
    let axes = Axes {
        batch: (0..if code.groups().is_some() { 0 } else { code.batch }).map(|d| position(Label::Batch(d))).collect(),
        rows: (0..code.rows).map(|d| position(Label::Row(d))).collect(),
        column: position(Label::Column),
        groups: code.groups(),
    };
    let (kernel, first_read) = (epilogue.clone(), operands as u32);
    let problem = problem(code, Finish::Epilogue(Epilogue { kernel, axes, first_read, vector: code.vector }));
    let sizes = Sizes::new(code);
    let mut launches = vec![launch(&sizes, emit(&problem, &code.variant, sm)?, sm)];
    if code.variant.has_parts(sm) {
        launches.push(launch(&sizes, split::emit(&problem, code.variant.splits(), sm)?, sm));
    }
    Ok(Lowered { launches, workspace: workspace(&GpuCode::Product(code.clone()), sm) })
}

fn launch(sizes: &Sizes<'_>, kernel: TileKernel, sm: Sm) -> LoweredKernel {
    let TileKernel { entry, roles, threads, shared, grid } = kernel;
    let constant = |value: u32| Dim::constant(i64::from(value));
    let tiles = |extent: &Dim, by: u32| sizes.symbols.ceil_div(extent, &constant(by));
    let (down, across) = (tiles(&sizes.row_count(), grid.tile_rows), tiles(&sizes.columns(), grid.tile_columns));
    let cluster = [1, 1, grid.cluster];
    let grid = [
        &across * &constant(grid.group),
        sizes.symbols.ceil_div(&down, &constant(grid.group)),
        &sizes.batches() * &constant(grid.splits),
    ];
    LoweredKernel {
        entry: entry.name.clone(),
        block: entry.block.unwrap_or([threads, 1, 1]),
        module: Module::new(sm, vec![ptx::legalize(entry, sm)]),
        grid,
        cluster,
        shared,
        args: roles.iter().map(|role| argument(sizes, role)).collect(),
    }
}

fn argument(sizes: &Sizes<'_>, role: &Role) -> Argument {
    let code = sizes.code;
    let second = |d: Option<u32>| match (&code.b, d) {
        (Second::Packed { lead, .. }, None) => Argument::Size64(Dim::constant(i64::from(*lead))),
        (Second::Packed { .. }, Some(_)) => Argument::Size64(Dim::constant(0)),
        (Second::Strided(labels), None) => lead(1, labels, Label::Column),
        (Second::Strided(labels), Some(d)) => stride(1, labels, Label::Batch(d as usize)),
    };
    let last_row = Label::Row(code.rows.saturating_sub(1));
    let pixels = || Dim::product(&(1..code.rows).map(|d| sizes.extent(Label::Row(d))).collect::<Vec<_>>());
    let of_epilogue = |dim: &Dim| {
        let moved = |s: SymId| Some(Dim::symbol(SymId(s.0 + code.sizes() as u32)));
        Symbols::default().substitute(dim, &moved)
    };
    match role {
        Role::Pointer(Tensor::Read(k)) => Argument::Read(*k as usize),
        Role::Pointer(Tensor::Write(k)) => Argument::Write(*k as usize),
        Role::Workspace => Argument::Workspace,
        Role::BatchStride(Tensor::Read(n), _) if code.groups().is_some() => {
            let data = code.window.map_or(0, |window| window.channels);
            let weights = match (&code.b, code.columns) {
                (Second::Packed { crossed: true, lead }, _) => lead * code.depth.unwrap_or(0),
                (Second::Packed { crossed: false, lead }, columns) => lead * columns.unwrap_or(0),
                (Second::Strided(_), _) => 0,
            };
            Argument::Size64(Dim::constant(i64::from(if *n == 0 { data } else { weights })))
        }
        Role::BatchStride(Tensor::Read(0), d) => stride(0, &code.a, Label::Batch(*d as usize)),
        Role::BatchStride(_, d) => second(Some(*d)),
        Role::Lead(Tensor::Read(0)) if code.flat => {
            Argument::Size64(Dim::constant(code.window.map_or(0, |window| i64::from(window.pitch()))))
        }
        Role::Lead(Tensor::Read(0)) => lead(0, &code.a, last_row),
        Role::Lead(_) => second(None),
        Role::Rows | Role::RowCount => Argument::Size32(sizes.row_count()),
        Role::Columns => Argument::Size32(sizes.columns()),
        Role::Depth => Argument::Size32(sizes.depth()),
        Role::BatchExtent(d) => Argument::Size32(sizes.at(*d as usize)),
        Role::BatchDivisor(d) => Argument::Divisor(sizes.at(*d as usize)),
        Role::Extent(d) => Argument::Size32(sizes.image(*d as usize)),
        Role::Pad(d) => Argument::Size32(sizes.image(2 + *d as usize)),
        Role::Pixels => Argument::Size32(pixels()),
        Role::PixelsDivisor => Argument::Divisor(pixels()),
        Role::ResultWidth => Argument::Size32(sizes.extent(last_row)),
        Role::ResultWidthDivisor => Argument::Divisor(sizes.extent(last_row)),
        Role::ResultHeight => Argument::Size32(sizes.extent(Label::Row(1))),
        // Products have tiles of their own, and no order of rows.
        Role::Past => Argument::Size32(Dim::constant(0)),
        Role::Tiles(_) => Argument::Size32(Dim::constant(0)),
        Role::TilesDivisor(_) => Argument::Divisor(Dim::constant(1)),
        Role::Size(dim) => Argument::Size64(of_epilogue(dim)),
        Role::SizeDivisor(dim) => Argument::Divisor(of_epilogue(dim)),
    }
}

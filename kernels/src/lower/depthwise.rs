//! The launch of a depthwise convolution.

use graph::dim::{Dim, SymId};
use graph::symbol::Symbols;
use nest::kernel::Kernel;
use ptx::{Module, Sm};

use crate::code::DepthwiseCode;
use crate::depthwise::{Depthwise, DepthwiseKernel, emit};
use crate::epilogue::{Axes, Epilogue, symbols};
use crate::finish::{Finish, Stored};
use crate::launch::{KernelError, Role, Tensor};
use crate::lower::{Argument, Lowered, LoweredKernel};

/// Whether the kernel of a code can be emitted.
pub fn check(code: &DepthwiseCode, sm: Sm) -> Result<(), KernelError> {
    let finish = Finish::Store { dtype: Stored::F32, vector: code.variant.lanes };
    emit(&problem(code, finish), &code.variant, sm).map(|_| ())
}

fn problem(code: &DepthwiseCode, finish: Finish) -> Depthwise {
    let DepthwiseCode { input, columns, multiplier, window, .. } = *code;
    Depthwise { input, columns, multiplier, window, finish }
}

pub(super) fn lower(code: &DepthwiseCode, operands: usize, epilogue: &Kernel, sm: Sm) -> Result<Lowered, KernelError> {
    let axes =
        Axes { batch: Vec::new(), rows: [0].into_iter().chain(2..2 + code.spatial).collect(), column: 1, groups: None };
    let (kernel, first_read) = (epilogue.clone(), operands as u32);
    let finish = Finish::Epilogue(Epilogue { kernel, axes, first_read, vector: code.variant.lanes });
    let DepthwiseKernel { entry, roles, tile, channel_tiles } = emit(&problem(code, finish), &code.variant, sm)?;
    let sizes = Sizes { symbols: symbols(DepthwiseCode::SIZES), tile };
    let tiles = Dim::product([&Dim::constant(channel_tiles.into()), &sizes.tiles(0), &sizes.tiles(1), &sizes.at(0)]);
    let launch = LoweredKernel {
        entry: entry.name.clone(),
        block: entry.block.unwrap_or([1, 1, 1]),
        grid: [tiles, Dim::constant(1), Dim::constant(1)],
        cluster: [1, 1, 1],
        shared: 0,
        args: roles.iter().map(|role| sizes.argument(role)).collect(),
        module: Module::new(sm, vec![ptx::legalize(entry, sm)]),
    };
    Ok(Lowered { launches: vec![launch], workspace: Dim::constant(0) })
}

/// The parameters of a code, by name.
struct Sizes {
    symbols: Symbols,
    /// Pixels of a CTA.
    tile: [u32; 2],
}

impl Sizes {
    fn at(&self, k: u32) -> Dim {
        Dim::symbol(SymId(k))
    }

    fn result(&self, d: u32) -> Dim {
        self.at(1 + d)
    }

    fn tiles(&self, d: u32) -> Dim {
        let tile = self.tile[(d & 1) as usize];
        self.symbols.ceil_div(&self.result(d), &Dim::constant(tile.into()))
    }

    fn argument(&self, role: &Role) -> Argument {
        let of_epilogue = |dim: &Dim| {
            let moved = |s: SymId| Some(self.at(s.0 + DepthwiseCode::SIZES as u32));
            Symbols::default().substitute(dim, &moved)
        };
        match role {
            Role::Pointer(Tensor::Read(k)) => Argument::Read(*k as usize),
            Role::Pointer(Tensor::Write(k)) => Argument::Write(*k as usize),
            Role::Workspace => Argument::Workspace,
            Role::Extent(d) => Argument::Size32(self.at(3 + d)),
            Role::Pad(d) => Argument::Size32(self.at(5 + d)),
            Role::ResultHeight => Argument::Size32(self.result(0)),
            Role::ResultWidth => Argument::Size32(self.result(1)),
            Role::ResultWidthDivisor => Argument::Divisor(self.result(1)),
            Role::Pixels => Argument::Size32(&self.result(0) * &self.result(1)),
            Role::PixelsDivisor => Argument::Divisor(&self.result(0) * &self.result(1)),
            Role::Rows | Role::RowCount => {
                Argument::Size32(Dim::product([&self.at(0), &self.result(0), &self.result(1)]))
            }
            Role::Tiles(d) => Argument::Size32(self.tiles(*d)),
            Role::TilesDivisor(d) => Argument::Divisor(self.tiles(*d)),
            Role::Size(dim) => Argument::Size64(of_epilogue(dim)),
            Role::SizeDivisor(dim) => Argument::Divisor(of_epilogue(dim)),
            // Channels and strides are code; there are no batch dims.
            Role::BatchStride(..) | Role::Lead(_) => Argument::Size64(Dim::constant(0)),
            Role::Columns | Role::Depth | Role::Past | Role::BatchExtent(_) => Argument::Size32(Dim::constant(0)),
            Role::BatchDivisor(_) => Argument::Divisor(Dim::constant(1)),
        }
    }
}

//! The launch of an attention: a CTA for each block of queries of each head.

use graph::dim::{Dim, SymId};
use graph::symbol::Symbols;
use nest::kernel::Kernel;
use ptx::{Module, Sm};

use crate::attention::{Attention, plain, tensor, wide};
use crate::code::AttentionCode;
use crate::epilogue::{Axes, Epilogue, symbols};
use crate::finish::{Finish, Stored};
use crate::fragment::Input;
use crate::launch::{KernelError, Role, Tensor, TileKernel};
use crate::lower::{Argument, Lowered, LoweredKernel};

/// Whether the kernel of a code can be emitted.
pub fn check(code: &AttentionCode, sm: Sm) -> Result<(), KernelError> {
    emit(&problem(code, Finish::Store { dtype: Stored::F32, vector: code.vector.min(4) }), code, sm).map(|_| ())
}

/// Bytes of shared memory of a code's kernel.
pub fn shared(code: &AttentionCode) -> u32 {
    let problem = problem(code, Finish::Store { dtype: Stored::F32, vector: 1 });
    match code.input {
        Input::F16 | Input::Bf16 if code.variant.wide => wide::shared(&problem, &code.variant),
        Input::F16 | Input::Bf16 => tensor::shared(&problem, &code.variant),
        Input::F32 | Input::Tf32 => plain::shared(&problem, &code.variant),
    }
}

fn emit(problem: &Attention, code: &AttentionCode, sm: Sm) -> Result<TileKernel, KernelError> {
    match code.input {
        Input::F16 | Input::Bf16 if code.variant.wide => wide::emit(problem, &code.variant, sm),
        Input::F16 | Input::Bf16 => tensor::emit(problem, &code.variant, sm),
        Input::F32 | Input::Tf32 => plain::emit(problem, &code.variant, sm),
    }
}

fn problem(code: &AttentionCode, finish: Finish) -> Attention {
    Attention {
        input: code.input,
        batch_dims: code.batch().len() as u32,
        depth: code.depth,
        width: code.width,
        chunk: code.chunk,
        scale: code.scale,
        mask: code.mask.as_ref().map(|(mask, _)| *mask),
        causal: code.causal,
        zero_empty: code.zero_empty,
        finish,
    }
}

pub(super) fn lower(code: &AttentionCode, operands: usize, epilogue: &Kernel, sm: Sm) -> Result<Lowered, KernelError> {
    let position = |label| code.labels.result.chars().position(|l| l == label).unwrap_or(0);
    let axes = Axes {
        batch: code.batch().into_iter().map(position).collect(),
        rows: vec![position('s')],
        column: position('e'),
        groups: None,
    };
    let (kernel, first_read) = (epilogue.clone(), operands as u32);
    let finish = Finish::Epilogue(Epilogue { kernel, axes, first_read, vector: code.vector });
    let TileKernel { entry, roles, threads, shared, grid } = emit(&problem(code, finish), code, sm)?;
    let sizes = Sizes { code, symbols: symbols(code.sizes()) };
    let blocks = sizes.symbols.ceil_div(&sizes.queries(), &Dim::constant(grid.tile_rows.into()));
    let launch = LoweredKernel {
        entry: entry.name.clone(),
        block: entry.block.unwrap_or([threads, 1, 1]),
        grid: [sizes.heads(), blocks, Dim::constant(1)],
        cluster: [1, 1, 1],
        shared,
        args: roles.iter().map(|role| sizes.argument(role)).collect(),
        module: Module::new(sm, vec![ptx::legalize(entry, sm)]),
    };
    Ok(Lowered { launches: vec![launch], workspace: Dim::constant(0) })
}

/// The parameters of a code, by name.
struct Sizes<'a> {
    code: &'a AttentionCode,
    symbols: Symbols,
}

impl Sizes<'_> {
    fn at(&self, k: usize) -> Dim {
        Dim::symbol(SymId(k as u32))
    }

    fn batch_dims(&self) -> usize {
        self.code.batch().len()
    }

    fn heads(&self) -> Dim {
        Dim::product(&(0..self.batch_dims()).map(|d| self.at(d)).collect::<Vec<_>>())
    }

    fn queries(&self) -> Dim {
        self.at(self.batch_dims())
    }

    fn keys(&self) -> Dim {
        self.at(self.batch_dims() + 1)
    }

    /// Distance of neighbours along a label of an operand; 0 along one that it repeats.
    fn stride(&self, read: u32, label: Option<char>) -> Argument {
        let labels = &self.code.labels;
        let own = match read {
            0 => labels.q.as_str(),
            1 => labels.k.as_str(),
            2 => labels.v.as_str(),
            _ => self.code.mask.as_ref().map_or("", |(_, labels)| labels.as_str()),
        };
        match own.chars().position(|l| Some(l) == label) {
            Some(dim) => Argument::Stride { read: read as usize, dim },
            None => Argument::Size64(Dim::constant(0)),
        }
    }

    fn argument(&self, role: &Role) -> Argument {
        let of_epilogue = |dim: &Dim| {
            let moved = |s: SymId| Some(self.at(s.0 as usize + self.code.sizes()));
            Symbols::default().substitute(dim, &moved)
        };
        match role {
            Role::Pointer(Tensor::Read(k)) => Argument::Read(*k as usize),
            Role::Pointer(Tensor::Write(k)) => Argument::Write(*k as usize),
            Role::Workspace => Argument::Workspace,
            // Behind the batch dims of the mask come its keys.
            Role::BatchStride(Tensor::Read(k), d) => {
                self.stride(*k, Some(self.code.batch().get(*d as usize).copied().unwrap_or('t')))
            }
            Role::Lead(Tensor::Read(k @ (1 | 2))) => self.stride(*k, Some('t')),
            Role::Lead(Tensor::Read(k)) => self.stride(*k, Some('s')),
            Role::Rows | Role::RowCount => Argument::Size32(self.queries()),
            Role::Depth => Argument::Size32(self.keys()),
            Role::Past => Argument::Size32(self.at(self.batch_dims() + 2)),
            Role::Columns => Argument::Size32(Dim::constant(self.code.width.into())),
            Role::BatchExtent(d) => Argument::Size32(self.at(*d as usize)),
            Role::BatchDivisor(d) => Argument::Divisor(self.at(*d as usize)),
            Role::Size(dim) => Argument::Size64(of_epilogue(dim)),
            Role::SizeDivisor(dim) => Argument::Divisor(of_epilogue(dim)),
            // Results are stored by their epilogue; there are no images.
            Role::BatchStride(Tensor::Write(_), _) | Role::Lead(Tensor::Write(_)) => Argument::Size64(Dim::constant(0)),
            Role::Extent(_) | Role::Pad(_) | Role::Pixels | Role::ResultHeight | Role::ResultWidth | Role::Tiles(_) => {
                Argument::Size32(Dim::constant(0))
            }
            Role::PixelsDivisor | Role::ResultWidthDivisor | Role::TilesDivisor(_) => {
                Argument::Divisor(Dim::constant(1))
            }
        }
    }
}

//! Matrix products `C[z][m][n] = Σ over k of A[z][m][k] * B[z][k][n]`: the problem, and what every family of them begins with.

use ptx::{Builder, ParamRole, Reg, Special, Type};

use crate::finish::{Destination, Finish, Stored, To};
use crate::fragment::Input;
use crate::image::{ImageLoader, Pixels, Window};
use crate::launch::{Grid, KernelError, Params, Role, Tensor, batch_coordinates, tensor_base};
use crate::source::{Fill, Loader, Place, TileSource};
use crate::val::Val;

/// An operand in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// Whether rows (columns) of the result lie next to each other, instead of terms of the sum.
    pub crossed: bool,
    /// Bytes that may be copied at once: [`crate::source`] says when.
    pub chunk: u32,
    /// Whether no kernel of a run writes it.
    pub weights: bool,
}

/// What is to be computed. A size that is given is code; the others are arguments, as are rows, batch and strides.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    pub input: Input,
    pub columns: Option<u32>,
    pub depth: Option<u32>,
    pub batch_dims: u32,
    pub a: Side,
    pub b: Side,
    pub finish: Finish,
    /// The first operand is gathered from images; `a` says how its channels come, and the sum runs over taps and channels.
    pub window: Option<Window>,
}

/// What a CTA computes: first row and column, part of the sum, batch index.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub row: Val,
    pub column: Val,
    pub split: Val,
    pub batch: Val,
}

/// An operand for one batch index: address, and elements between its rows.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    pub base: Reg,
    pub lead: Val,
}

/// A product's parameters in registers.
#[derive(Debug)]
pub struct Opening {
    pub rows: Val,
    pub columns: Val,
    pub depth: Val,
    pub cell: Cell,
    pub operands: [Matrix; 2],
    pub finish: Finish,
    pub to: Destination,
    pub thread: Reg,
    /// Address of the shared memory.
    pub shared: Reg,
}

impl Opening {
    pub fn new(b: &mut Builder, params: &mut Params, problem: &Product, grid: &Grid) -> Result<Opening, KernelError> {
        let rows = params.u32(b, Role::Rows);
        let columns = size(b, params, problem.columns, Role::Columns);
        let depth = size(b, params, problem.depth, Role::Depth);
        let cell = grid_cell(b, grid, rows);
        let batch = batch_coordinates(b, params, problem.batch_dims, cell.batch);
        let operands = [(0, problem.a), (1, problem.b)].map(|(n, side)| {
            let kind = if side.weights { ParamRole::Weights } else { ParamRole::Data };
            let base = tensor_base(b, params, Tensor::Read(n), kind, &batch, problem.input.bytes());
            let gathered = n == 0 && problem.window.is_some();
            let lead = if gathered { Val::Const(0) } else { params.lead(b, Tensor::Read(n)) };
            Matrix { base, lead }
        });
        let (finish, to) = if grid.splits > grid.cluster {
            let finish = Finish::Store { dtype: Stored::F32, vector: problem.finish.vector().min(4) };
            (finish, partial(b, params, (rows, columns)))
        } else {
            let finish = problem.finish.clone();
            let to = finish.destination(b, params, &batch, (rows, columns))?;
            (finish, to)
        };
        let thread = b.special(Special::TidX);
        let shared = b.dynamic_shared(1024);
        let shared = b.mov(Type::U32, shared);
        Ok(Opening { rows, columns, depth, cell, operands, finish, to, thread, shared })
    }
}

impl Opening {
    /// The fills of both operands from a term of the sum on.
    pub fn fills(
        &self,
        b: &mut Builder,
        params: &mut Params,
        problem: &Product,
        [left, right]: [TileSource; 2],
        first: Val,
    ) -> [Box<dyn Fill>; 2] {
        let place = |Matrix { base, lead }, start, extent| Place {
            base,
            lead,
            start,
            extent,
            first,
            depth: self.depth,
            thread: self.thread,
        };
        let a: Box<dyn Fill> = match problem.window {
            None => Box::new(Loader::new(b, left, place(self.operands[0], self.cell.row, self.rows))),
            Some(window) => {
                let (base, start) = (self.operands[0].base, self.cell.row);
                let pixels = Pixels { base, start, rows: self.rows, first, thread: self.thread };
                Box::new(ImageLoader::new(b, params, left, window, pixels))
            }
        };
        let w = Loader::new(b, right, place(self.operands[1], self.cell.column, self.columns));
        [a, Box::new(w)]
    }
}

/// A size that is code, or a parameter.
pub fn size(b: &mut Builder, params: &mut Params, known: Option<u32>, role: Role) -> Val {
    match known {
        Some(value) => Val::Const(value),
        None => params.u32(b, role),
    }
}

/// The cell of this CTA in a grid.
pub fn grid_cell(b: &mut Builder, grid: &Grid, rows: Val) -> Cell {
    let x = Val::Reg(b.special(Special::CtaidX));
    let y = Val::Reg(b.special(Special::CtaidY));
    let z = Val::Reg(b.special(Special::CtaidZ));
    let (across, within) = x.div_rem(b, grid.group);
    let down = y.mul(b, grid.group).add(b, within);
    let row = down.mul(b, grid.tile_rows);
    if grid.group > 1 {
        let inside = row.less(b, rows);
        b.guarded_not(inside, Builder::exit);
    }
    let (batch, split) = z.div_rem(b, grid.splits);
    Cell { row, column: across.mul(b, grid.tile_columns), split, batch }
}

/// First tile and number of tiles along the sum for one of several CTAs; the number may be 0 or, as a signed one, below.
pub fn share(b: &mut Builder, tiles: Val, splits: u32, split: Val) -> (Val, Val) {
    if splits == 1 {
        return (Val::Const(0), tiles);
    }
    let per = tiles.ceil_div(b, splits);
    let first = split.mul(b, per);
    let end = first.add(b, per).min(b, tiles);
    (first, end.sub(b, first))
}

/// The workspace as destination of one part of the sum.
fn partial(b: &mut Builder, params: &mut Params, (rows, columns): (Val, Val)) -> Destination {
    let base = params.pointer(b, Role::Workspace, ParamRole::Data);
    let index = b.special(Special::CtaidZ);
    let (down, across) = (rows.reg(b), columns.mul(b, 4).reg(b));
    let bytes = b.mul_wide(Type::U32, down, across);
    let index = b.cvt(Type::U64, Type::U32, index);
    let base = b.mad(Type::U64, index, bytes, base);
    Destination { rows, columns, to: To::Matrix { base, lead: columns } }
}

//! The second half of a product whose sum was split: parts are added in order, then finished.
//!
//! `C[z][m][n] = finish(Σ over s, in order, of W[z][s][m][n])`. A thread adds `vector` neighbouring columns of one row; a CTA is 32
//! of these across and 8 rows down. No shared memory; each part is read once, each result written once.

use ptx::{Builder, Fetch, LoadCache, ParamRole, Reg, Sm, Special, Type, Vector};

use crate::launch::{Grid, KernelError, Params, Role, TileKernel, batch_coordinates};
use crate::product::{Product, size};
use crate::val::{Val, address};

/// Emits the kernel for parts of so many splits.
pub fn emit(problem: &Product, splits: u32, sm: Sm) -> Result<TileKernel, KernelError> {
    let finish = problem.finish.at_most(4);
    let mut builder = Builder::new(&format!("add_splits_{splits}"));
    let b = &mut builder;
    b.block([32, 8, 1]);
    let mut params = Params::default();
    let rows = params.u32(b, Role::Rows);
    let columns = size(b, &mut params, problem.columns, Role::Columns);
    let batch = Val::Reg(b.special(Special::CtaidZ));
    let coordinates = batch_coordinates(b, &mut params, problem.batch_dims, batch);
    let mut to = finish.destination(b, &mut params, &coordinates, (rows, columns))?;
    let parts = params.pointer(b, Role::Workspace, ParamRole::Data);
    let (x, y) = (Val::Reg(b.special(Special::TidX)), Val::Reg(b.special(Special::TidY)));
    let (across, down) = (Val::Reg(b.special(Special::CtaidX)), Val::Reg(b.special(Special::CtaidY)));
    let row = down.mul(b, 8).add(b, y);
    let column = across.mul(b, 32).add(b, x).mul(b, finish.vector());
    let (inside_rows, inside_columns) = (row.less(b, rows), column.less(b, columns));
    let inside = b.and(Type::Pred, inside_rows, inside_columns);
    b.guarded_not(inside, Builder::exit);
    let pitch = columns.mul(b, 4).reg(b);
    let rows_reg = rows.reg(b);
    let part = b.mul_wide(Type::U32, rows_reg, pitch);
    let first = batch.mul(b, splits).reg(b);
    let first = b.cvt(Type::U64, Type::U32, first);
    let base = b.mad(Type::U64, first, part, parts);
    let start = address(b, base, row, pitch);
    let mut at = address(b, start, column, 4);
    let vector = Vector::of(finish.vector() as usize).unwrap_or(Vector::One);
    let load = |b: &mut Builder, at: Reg| b.ld_cached(LoadCache::Nc, Fetch::Default, Type::F32, vector, at);
    let mut sums = load(b, at);
    for _ in 1..splits {
        at = b.add(Type::U64, at, part);
        let next = load(b, at);
        sums = sums.iter().zip(&next).map(|(x, y)| b.add(Type::F32, *x, *y)).collect();
    }
    finish.store(b, &mut params, sm, &mut to, (row, column), &sums)?;
    Ok(TileKernel {
        entry: builder.finish(),
        roles: params.finish(),
        threads: 256,
        shared: 0,
        grid: Grid { tile_rows: 8, tile_columns: 32 * finish.vector(), group: 1, splits: 1, cluster: 1 },
    })
}

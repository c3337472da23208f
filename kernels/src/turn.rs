//! From the registers of tensor cores to memory: each warp passes its sums through its own part of shared memory, so that
//! neighbouring lanes finish neighbouring columns.

use ptx::{Builder, Reg, Sm, Space, Type};

use crate::finish::{Destination, Finish};
use crate::fragment::{Accumulators, GROUP};
use crate::launch::{KernelError, Params};
use crate::val::Val;

/// How the sums of a warp lie.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Columns of a warp.
    pub columns: u32,
    /// Rows from one group of 16 rows to the next.
    pub spacing: u32,
    pub sm: Sm,
}

impl Turn {
    /// Floats between the rows that a warp passes its sums in: 8 more than a row has, so that the lanes' pairs fall into
    /// different banks.
    const fn pitch(&self) -> u32 {
        self.columns + 8
    }

    /// Bytes of shared memory of so many warps.
    pub const fn shared(&self, warps: u32) -> u32 {
        warps * GROUP * self.pitch() * 4
    }

    /// Stores sums, 16 rows at a time; `corner` is the first row and column of the warp's part of the tile at `(row, column)`. All
    /// threads must have met since shared memory was last read.
    pub fn store(
        &self,
        b: &mut Builder,
        params: &mut Params,
        sums: &Accumulators,
        (finish, to): (&Finish, &mut Destination),
        [(row, column), corner]: [(Val, Val); 2],
        (thread, base): (Reg, Reg),
    ) -> Result<(), KernelError> {
        let columns = self.columns;
        let pitch = self.pitch() * 4;
        let lane = Val::Reg(thread).and(b, 31);
        let warp = Val::Reg(thread).shr(b, 5);
        let (down, across) = corner;
        let region = warp.mul(b, GROUP * pitch).add(b, base);
        let (row_in, pair) = lane.div_rem(b, 4);
        let into = row_in.mul(b, pitch).add(b, region);
        let into = pair.mul(b, 8).add(b, into).reg(b);
        let per_row = columns / finish.vector();
        let (from_row, from_vector) = lane.div_rem(b, per_row.min(32));
        let from = from_row.mul(b, pitch).add(b, region);
        let from = from_vector.mul(b, finish.vector() * 4).add(b, from).reg(b);
        let row = row.add(b, down).add(b, from_row);
        let within = from_vector.mul(b, finish.vector());
        let column = column.add(b, across).add(b, within);
        for (g, group) in (0_u32..).zip(sums) {
            if g > 0 {
                b.warp_barrier();
            }
            for (n, four) in (0_i64..).zip(group) {
                for (half, pair) in (0_i64..).zip(four.chunks(2)) {
                    b.st_vector(Space::Shared, Type::F32, (into, n * 32 + half * 8 * i64::from(pitch)), pair);
                }
            }
            b.warp_barrier();
            let (rows_at_once, side) = (32_u32.div_ceil(per_row), per_row.div_ceil(32));
            for turn in 0..GROUP / rows_at_once * side {
                let (down, across) = (turn / side * rows_at_once, turn % side * 32);
                let at = (from, i64::from(down * pitch + across * finish.vector() * 4));
                let values = floats(b, at, finish.vector());
                let place = (row.add(b, g * self.spacing + down), column.add(b, across * finish.vector()));
                finish.store(b, params, self.sm, to, place, &values)?;
            }
        }
        Ok(())
    }
}

/// Neighbouring floats in shared memory.
fn floats(b: &mut Builder, (base, offset): (Reg, i64), count: u32) -> Vec<Reg> {
    let width = count.min(4);
    let vector = ptx::Vector::of(width as usize).unwrap_or(ptx::Vector::One);
    let parts = (0..i64::from(count / width)).map(|k| {
        let address = (base, offset + k * 16);
        if width == 1 {
            vec![b.ld(Space::Shared, Type::F32, address)]
        } else {
            b.ld_vector(Space::Shared, Type::F32, vector, address)
        }
    });
    parts.collect::<Vec<_>>().concat()
}

//! What becomes of sums: neighbouring columns of a row are rounded and stored together.

use ptx::{Builder, ParamRole, Reg, Sm, Space, Type};

use crate::launch::{Params, Role, Tensor, tensor_base};
use crate::val::{Val, address};

/// Dtype of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stored {
    F32,
    F16,
    Bf16,
}

impl Stored {
    pub const fn bytes(self) -> u32 {
        match self {
            Stored::F32 => 4,
            Stored::F16 | Stored::Bf16 => 2,
        }
    }
}

/// A store of sums, row by row. `vector` neighbouring columns lie together in memory at an address divisible by their size, and
/// it divides the number of columns: 1, 2, 4 or, of two bytes each, 8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    pub dtype: Stored,
    pub vector: u32,
}

/// Where a CTA's results go.
#[derive(Clone, Copy, Debug)]
pub struct Destination {
    pub base: Reg,
    /// Elements between rows.
    pub lead: Val,
    pub rows: Val,
    pub columns: Val,
}

impl Finish {
    /// The result's place for one batch index.
    pub fn destination(
        &self,
        b: &mut Builder,
        params: &mut Params,
        coordinates: &[Val],
        (rows, columns): (Val, Val),
    ) -> Destination {
        let tensor = Tensor::Write(0);
        let base = tensor_base(b, params, tensor, ParamRole::Data, coordinates, self.dtype.bytes());
        let lead = params.u32(b, Role::Lead(tensor));
        Destination { base, lead, rows, columns }
    }

    /// Stores `vector` sums from a row and column on, if these exist.
    pub fn store(&self, b: &mut Builder, sm: Sm, to: &Destination, (row, column): (Val, Val), sums: &[Reg]) {
        let inside_rows = row.less(b, to.rows);
        let inside_columns = column.less(b, to.columns);
        let inside = b.and(Type::Pred, inside_rows, inside_columns);
        let lead = to.lead.mul(b, self.dtype.bytes());
        let start = address(b, to.base, row, lead);
        let at = address(b, start, column, self.dtype.bytes());
        let values = self.rounded(b, sm, sums);
        let ty = if values.iter().any(|r| r.class.bits() == 16) { Type::B16 } else { Type::B32 };
        b.guarded(inside, |b| b.st_vector(Space::Global, ty, at, &values));
    }

    /// The sums in the result's dtype, in as few registers as hold them.
    fn rounded(&self, b: &mut Builder, sm: Sm, sums: &[Reg]) -> Vec<Reg> {
        let (narrow, pair) = match self.dtype {
            Stored::F32 => return sums.to_vec(),
            Stored::F16 => (Type::F16, Type::F16x2),
            Stored::Bf16 => (Type::Bf16, Type::Bf16x2),
        };
        let mut one = |sums: &[Reg]| match sums {
            [low, high] if sm.number() >= 80 => b.cvt_pair(pair, *low, *high),
            [low, high] => {
                let halves = [b.cvt(narrow, Type::F32, *low), b.cvt(narrow, Type::F32, *high)];
                b.pack(&halves)
            }
            [low] => b.cvt(narrow, Type::F32, *low),
            _ => b.reg(ptx::Class::B32),
        };
        if let [single] = sums { vec![one(&[*single])] } else { sums.chunks(2).map(&mut one).collect() }
    }
}

//! What becomes of sums: neighbouring columns of a row are finished together.

use ptx::{Builder, ParamRole, Reg, Sm, Space, Type};

use crate::epilogue::{Epilogue, Prepared};
use crate::launch::{KernelError, Params, Tensor, tensor_base};
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

/// What happens to sums. It is done for `vector` neighbouring columns at once, which divides the number of columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// They are rounded and stored to a strided matrix; `vector` columns lie together in memory at an address divisible by
    /// their size: 1, 2, 4 or, of two bytes each, 8.
    Store { dtype: Stored, vector: u32 },
    /// Pointwise work, and its results stored by views.
    Epilogue(Epilogue),
}

/// Where a CTA's results go.
#[derive(Clone, Debug)]
pub struct Destination {
    pub rows: Val,
    pub columns: Val,
    pub to: To,
}

#[derive(Clone, Debug)]
pub enum To {
    /// Address, and elements between rows.
    Matrix {
        base: Reg,
        lead: Val,
    },
    Views(Box<Prepared>),
}

impl Finish {
    pub const fn vector(&self) -> u32 {
        match self {
            Finish::Store { vector, .. } => *vector,
            Finish::Epilogue(epilogue) => epilogue.vector,
        }
    }

    /// The same with at most so many columns at once.
    pub fn at_most(&self, columns: u32) -> Finish {
        match self {
            Finish::Store { dtype, vector } => Finish::Store { dtype: *dtype, vector: (*vector).min(columns) },
            Finish::Epilogue(epilogue) => {
                Finish::Epilogue(Epilogue { vector: epilogue.vector.min(columns), ..epilogue.clone() })
            }
        }
    }

    /// The results' place for one batch index.
    pub fn destination(
        &self,
        b: &mut Builder,
        params: &mut Params,
        coordinates: &[Val],
        (rows, columns): (Val, Val),
    ) -> Result<Destination, KernelError> {
        let to = match self {
            Finish::Store { dtype, .. } => {
                let tensor = Tensor::Write(0);
                let base = tensor_base(b, params, tensor, ParamRole::Data, coordinates, dtype.bytes());
                To::Matrix { base, lead: params.lead(b, tensor) }
            }
            Finish::Epilogue(epilogue) => To::Views(Box::new(epilogue.prepare(b, params, coordinates)?)),
        };
        Ok(Destination { rows, columns, to })
    }

    /// Finishes `vector` sums from a row and column on, if these exist.
    pub fn store(
        &self,
        b: &mut Builder,
        params: &mut Params,
        sm: Sm,
        destination: &mut Destination,
        (row, column): (Val, Val),
        sums: &[Reg],
    ) -> Result<(), KernelError> {
        let inside_rows = row.less(b, destination.rows);
        let inside_columns = column.less(b, destination.columns);
        let inside = b.and(Type::Pred, inside_rows, inside_columns);
        self.store_if(b, params, sm, destination, (inside, (row, column)), sums)
    }

    /// Finishes `vector` sums from a row and column on, if `inside` holds.
    pub fn store_if(
        &self,
        b: &mut Builder,
        params: &mut Params,
        sm: Sm,
        destination: &mut Destination,
        (inside, (row, column)): (Reg, (Val, Val)),
        sums: &[Reg],
    ) -> Result<(), KernelError> {
        match (self, &mut destination.to) {
            (Finish::Store { dtype, .. }, To::Matrix { base, lead }) => {
                let lead = lead.mul(b, dtype.bytes());
                let start = address(b, *base, row, lead);
                let at = address(b, start, column, dtype.bytes());
                let values = rounded(b, sm, *dtype, sums);
                let ty = if values.iter().any(|r| r.class.bits() == 16) { Type::B16 } else { Type::B32 };
                b.guarded(inside, |b| b.st_vector(Space::Global, ty, at, &values));
                Ok(())
            }
            (Finish::Epilogue(epilogue), To::Views(prepared)) => {
                b.if_then(inside, |b| epilogue.store(b, params, sm, prepared, (row, column), sums))
            }
            (Finish::Store { .. }, To::Views(_)) | (Finish::Epilogue(_), To::Matrix { .. }) => {
                Err(KernelError::Epilogue { what: "destinations", found: 0, expected: 1 })
            }
        }
    }
}

/// Sums in a dtype, in as few registers as hold them.
fn rounded(b: &mut Builder, sm: Sm, dtype: Stored, sums: &[Reg]) -> Vec<Reg> {
    let (narrow, pair) = match dtype {
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

//! Fragments of a warp: from shared memory into the registers of `mma.sync`, and the products.
//!
//! Along the sum a step is 32 bytes: 16 halves, or 8 floats. One `ldmatrix.x4` gives the four 8x8 (8x4) quarters of a group of 16
//! rows (columns of the result) and one step; both operands take the same order, so that A needs no permutation and a group of B
//! is two columns of `mma` fragments:
//!
//! ```text
//!              step: first half   second half
//! rows 0..8          r0           r2              A: {r0, r1, r2, r3}
//! rows 8..16         r1           r3              B: {r0, r2} for columns 0..8, {r1, r3} for columns 8..16
//! ```

use ptx::{Builder, Class, Count, Form, Op, Reg, Trans, Type};

use crate::shared::{CHUNK, SharedTile};
use crate::val::Val;

/// Rows of a group.
pub const GROUP: u32 = 16;
/// Bytes along the sum that one step multiplies.
pub const STEP_BYTES: u32 = 32;

/// What is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    F16,
    Bf16,
    /// f32, rounded to 10 bits of mantissa (ties away from zero) when it is read from shared memory.
    Tf32,
    /// f32 as it is, without tensor cores.
    F32,
}

impl Input {
    pub const fn bytes(self) -> u32 {
        match self {
            Input::F16 | Input::Bf16 => 2,
            Input::Tf32 | Input::F32 => 4,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Input::F16 => "f16",
            Input::Bf16 => "bf16",
            Input::Tf32 => "tf32",
            Input::F32 => "f32",
        }
    }

    /// The lowest architecture that multiplies it.
    pub const fn least_sm(self) -> u32 {
        match self {
            Input::F16 | Input::F32 => 75,
            Input::Bf16 | Input::Tf32 => 80,
        }
    }
}

/// Fragments of one operand: two sets of registers, used in turns.
#[derive(Debug)]
pub struct Fragments {
    tile: SharedTile,
    crossed: bool,
    convert: bool,
    /// Per step (plain) or per group (crossed): offset within the slot.
    offsets: Vec<Val>,
    /// `[turn][group]`: the four quarters.
    regs: [Vec<Vec<Reg>>; 2],
}

/// Where a warp's part of a tile is.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub tile: SharedTile,
    pub crossed: bool,
    /// Offset of the tile in the slot.
    pub at: u32,
    /// The warp's first row (column) in the tile, and how many groups it has.
    pub start: Val,
    pub groups: u32,
    /// Steps that a tile holds.
    pub steps: u32,
    pub input: Input,
}

impl Fragments {
    pub fn new(b: &mut Builder, part: Part, lane: Reg) -> Fragments {
        let lane = Val::Reg(lane);
        let tile = part.tile;
        let offsets = if part.crossed {
            let low = lane.and(b, 7);
            let high = lane.shr(b, 4).mul(b, 8);
            let row = low.add(b, high);
            let side = lane.shr(b, 3).and(b, 1);
            let key = tile.key(b, row);
            let first = part.start.shr(b, 3).add(b, side);
            let mut offset = |g: u32| {
                let chunk = first.add(b, g * 2);
                tile.chunk(b, row, key, chunk).add(b, part.at)
            };
            (0..part.groups).map(&mut offset).collect()
        } else {
            let within = lane.and(b, GROUP - 1);
            let row = part.start.add(b, within);
            let half = lane.shr(b, 4);
            let key = tile.key(b, row);
            let mut offset = |step: u32| {
                let chunk = half.add(b, step * STEP_BYTES / CHUNK);
                tile.chunk(b, row, key, chunk).add(b, part.at)
            };
            (0..part.steps).map(&mut offset).collect()
        };
        let mut set = || (0..part.groups).map(|_| b.regs(Class::B32, 4)).collect();
        let regs = [set(), set()];
        Fragments { tile, crossed: part.crossed, convert: part.input == Input::Tf32, offsets, regs }
    }

    /// Loads a step of the tile in a slot into the registers of a turn.
    pub fn load(&self, b: &mut Builder, slot: Reg, step: u32, turn: usize) {
        self.load_into(b, slot, step, &self.regs[turn & 1]);
    }

    /// Loads a step into registers, four a group.
    pub fn load_into(&self, b: &mut Builder, slot: Reg, step: u32, to: &[Vec<Reg>]) {
        let trans = if self.crossed { Trans::Trans } else { Trans::No };
        let rows = self.tile.row_bytes * GROUP;
        let slot = Val::Reg(slot);
        for (g, regs) in (0_u32..).zip(to) {
            let (which, plus) = if self.crossed { (g, step * rows) } else { (step, g * rows) };
            let offset = self.offsets.get(which as usize).copied().unwrap_or(Val::Const(0));
            let at = slot.add(b, offset).reg(b);
            let form = Form::new(Op::LdMatrix, (Count::X4, trans));
            b.emit(form, [regs.as_slice().into(), ptx::Address::from((at, i64::from(plus))).into()]);
        }
    }

    /// Rounds what was loaded, where the instruction asks for it.
    pub fn round(&self, b: &mut Builder, turn: usize) {
        if self.convert {
            for reg in self.regs[turn & 1].iter().flatten() {
                b.emit(Form::new(Op::CvtF32ToTf32, ()), [(*reg).into(), (*reg).into()]);
            }
        }
    }
}

/// Accumulators of a warp: `[group of rows][8 columns]`, four registers each.
pub type Accumulators = Vec<Vec<Vec<Reg>>>;

/// Zeroed accumulators.
pub fn zeros(b: &mut Builder, groups: u32, columns: u32) -> Accumulators {
    let mut four = || (0..4).map(|_| b.mov(Type::F32, 0.0_f32)).collect();
    (0..groups).map(|_| (0..columns).map(|_| four()).collect()).collect()
}

/// Adds the products of one step. Every second group walks the columns backwards, so that neighbours share a fragment.
pub fn multiply(
    b: &mut Builder,
    (input, has_k16): (Input, bool),
    acc: &Accumulators,
    (left, right): (&Fragments, &Fragments),
    turn: usize,
) {
    for (g, (row, a)) in acc.iter().zip(&left.regs[turn & 1]).enumerate() {
        let mut columns: Vec<usize> = (0..row.len()).collect();
        if g % 2 == 1 {
            columns.reverse();
        }
        for n in columns {
            let (Some(sum), Some(quarters)) = (row.get(n), right.regs[turn & 1].get(n / 2)) else { continue };
            let pair: Vec<Reg> = quarters.iter().skip(n % 2).step_by(2).copied().collect();
            match input {
                Input::F16 if !has_k16 => {
                    let form = Form::new(Op::Mma1688, ());
                    for (a, pair) in a.chunks(2).zip(pair.chunks(1)) {
                        b.mma(form, sum, a, pair);
                    }
                }
                Input::F16 => b.mma(Form::new(Op::Mma16816, Type::F16), sum, a, &pair),
                Input::Bf16 => b.mma(Form::new(Op::Mma16816, Type::Bf16), sum, a, &pair),
                Input::Tf32 | Input::F32 => b.mma(Form::new(Op::Mma1688Tf32, ()), sum, a, &pair),
            }
        }
    }
}

/// Adds the products of one step for one group of rows, of which the fragments are given.
pub fn multiply_row(b: &mut Builder, input: Input, row: &[Vec<Reg>], a: &[Reg], (right, turn): (&Fragments, usize)) {
    let ty = if input == Input::Bf16 { Type::Bf16 } else { Type::F16 };
    for (n, sum) in row.iter().enumerate() {
        let Some(quarters) = right.regs[turn & 1].get(n / 2) else { continue };
        let pair: Vec<Reg> = quarters.iter().skip(n % 2).step_by(2).copied().collect();
        b.mma(Form::new(Op::Mma16816, ty), sum, a, &pair);
    }
}

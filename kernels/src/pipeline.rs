//! The loop over a sum on tensor cores: slots of shared memory are filled some tiles ahead, warps multiply what has arrived.
//!
//! ```text
//! slots    0   1   2   3      before: tiles 0 1 2 under way
//! tile t:  begin tile t+3 in the slot of t-1 │ step 0: fragments of step 1, products │ … │
//!          last step: tile t+1 has arrived, barrier, its first fragments, products
//! ```
//!
//! The barrier of a tile lies before its last products, so that loads from the next slot overlap them. A slot is filled again
//! only after the barrier that follows the last load from it.

use ptx::{Builder, Cmp, Form, Op, Reg, Sm, Type};

use crate::fragment::{Accumulators, Fragments, GROUP, Input, Part, STEP_BYTES, multiply, zeros};
use crate::launch::KernelError;
use crate::shared::SharedTile;
use crate::source::Fill;
use crate::turn::Turn;
use crate::val::Val;

/// A tile of a product, resolved for a target.
#[derive(Clone, Copy, Debug)]
pub struct Pipeline {
    pub family: &'static str,
    pub input: Input,
    /// Rows and columns of the result.
    pub tile: [u32; 2],
    /// Terms of the sum in a slot.
    pub depth: u32,
    pub warps: [u32; 2],
    pub stages: u32,
    /// The tiles of the operands, and whether their rows run along the sum.
    pub a: (SharedTile, bool),
    pub b: (SharedTile, bool),
    pub sm: Sm,
}

impl Pipeline {
    /// What every pipeline must satisfy.
    pub fn check(&self) -> Result<(), KernelError> {
        let refuse = |what, found, rule| Err(KernelError::Variant { family: self.family, what, found, rule });
        let least = self.input.least_sm();
        if self.sm.number() < least {
            return Err(KernelError::Target { family: self.family, what: self.input.name(), least, sm: self.sm });
        }
        if self.input == Input::F32 {
            return refuse("input bytes", self.input.bytes(), "f32 has no products on tensor cores");
        }
        let [rows, columns] = self.part();
        if rows % GROUP != 0 || columns % GROUP != 0 || rows == 0 || columns == 0 {
            return refuse("part of a warp", rows.min(columns), "it must be a multiple of 16");
        }
        if !self.steps().is_multiple_of(2) || self.steps() == 0 {
            return refuse("steps of a slot", self.steps(), "it must be even");
        }
        if self.stages < 2 {
            return refuse("stages", self.stages, "there must be at least 2");
        }
        if self.input == Input::Tf32 && (self.a.1 || self.b.1) {
            return refuse("depth", self.depth, "tf32 needs operands contiguous along the sum");
        }
        Ok(())
    }

    /// Rows and columns of a warp's part.
    const fn part(&self) -> [u32; 2] {
        [self.tile[0] / self.warps[0], self.tile[1] / self.warps[1]]
    }

    const fn steps(&self) -> u32 {
        self.depth * self.input.bytes() / STEP_BYTES
    }

    fn slot(&self) -> u32 {
        self.a.0.bytes() + self.b.0.bytes()
    }

    /// Bytes of shared memory.
    pub fn shared(&self) -> u32 {
        (self.slot() * self.stages).max(self.turn().shared(self.warps[0] * self.warps[1]))
    }

    /// How sums leave the registers.
    pub const fn turn(&self) -> Turn {
        Turn { columns: self.part()[1], spacing: GROUP, sm: self.sm }
    }

    /// First row and column of the warp's part of the tile.
    pub fn corner(&self, b: &mut Builder, thread: Reg) -> (Val, Val) {
        let warp = Val::Reg(thread).shr(b, 5);
        let (down, across) = warp.div_rem(b, self.warps[1]);
        let [rows, columns] = self.part();
        (down.mul(b, rows), across.mul(b, columns))
    }

    /// Adds up `count` tiles (none if that is 0 or negative). `fills` are A's and B's, at the first of them; `base` is the address
    /// of the shared memory. All threads have met since the last read from it.
    pub fn run(
        &self,
        b: &mut Builder,
        [mut a, mut w]: [Box<dyn Fill>; 2],
        count: Val,
        (thread, base): (Reg, Reg),
    ) -> Accumulators {
        let [rows, columns] = self.part();
        let lane = Val::Reg(thread).and(b, 31).reg(b);
        let (row, column) = self.corner(b, thread);
        let part = |(tile, crossed): (SharedTile, bool), at, start, extent: u32| Part {
            tile,
            crossed,
            at,
            start,
            groups: extent / GROUP,
            steps: self.steps(),
            input: self.input,
        };
        let left = Fragments::new(b, part(self.a, 0, row, rows), lane);
        let right = Fragments::new(b, part(self.b, self.a.0.bytes(), column, columns), lane);
        let sums = zeros(b, rows / GROUP, columns / 8);
        for stage in 0..self.stages - 1 {
            let exists = more(b, count, stage);
            let slot = Val::Reg(base).add(b, stage * self.slot());
            self.begin(b, [&mut *a, &mut *w], slot, exists);
        }
        let read = b.mov(Type::U32, base);
        let ahead = Val::Reg(base).add(b, (self.stages - 1) * self.slot());
        let fill = b.mov(Type::U32, ahead);
        let end = Val::Reg(base).add(b, self.stages * self.slot()).reg(b);
        let left_over = b.mov(Type::U32, count);
        let any = b.setp(Cmp::Gt, Type::S32, left_over, 0_i32);
        self.arrive(b, [&*a, &*w], read.into());
        let (head, done) = (b.label("K_LOOP"), b.label("K_DONE"));
        b.bra_unless(any, done);
        left.load(b, read, 0, 0);
        right.load(b, read, 0, 0);
        b.place(head);
        for step in 0..self.steps() {
            let turn = (step % 2) as usize;
            left.round(b, turn);
            right.round(b, turn);
            if step == 0 {
                let exists = b.setp(Cmp::Gt, Type::S32, left_over, self.stages - 1);
                self.begin(b, [&mut *a, &mut *w], fill.into(), Some(exists));
            }
            if step + 1 < self.steps() {
                left.load(b, read, step + 1, 1 - turn);
                right.load(b, read, step + 1, 1 - turn);
            } else {
                self.arrive(b, [&*a, &*w], fill.into());
                self.advance(b, read, base, end);
                self.advance(b, fill, base, end);
                let next = b.setp(Cmp::Gt, Type::S32, left_over, 1_i32);
                b.guarded(next, |b| {
                    left.load(b, read, 0, 1 - turn);
                    right.load(b, read, 0, 1 - turn);
                });
            }
            multiply(b, (self.input, self.sm.number() >= 80), &sums, (&left, &right), turn);
        }
        b.emit(Form::new(Op::Add, Type::S32), [left_over.into(), left_over.into(), (-1_i32).into()]);
        let again = b.setp(Cmp::Gt, Type::S32, left_over, 0_i32);
        b.bra_if(again, head);
        b.place(done);
        sums
    }

    /// Begins the copies of a tile to a slot.
    fn begin(&self, b: &mut Builder, fills: [&mut dyn Fill; 2], slot: Val, exists: Option<Reg>) {
        for (fill, at) in fills.into_iter().zip([0, self.a.0.bytes()]) {
            let slot = slot.add(b, at);
            fill.begin(b, slot, exists);
        }
        if self.sm.number() >= 80 {
            b.cp_async_commit();
        }
    }

    /// The next tile is in its slot, for all threads; `slot` is where copies through registers go.
    fn arrive(&self, b: &mut Builder, fills: [&dyn Fill; 2], slot: Val) {
        for (fill, at) in fills.into_iter().zip([0, self.a.0.bytes()]) {
            let slot = slot.add(b, at);
            fill.land(b, slot);
        }
        if self.sm.number() >= 80 {
            b.cp_async_wait(self.stages - 2);
        }
        b.barrier();
    }

    /// To the next slot, after the last the first.
    fn advance(&self, b: &mut Builder, slot: Reg, base: Reg, end: Reg) {
        b.emit(Form::new(Op::Add, Type::U32), [slot.into(), slot.into(), self.slot().into()]);
        let wrapped = b.setp(Cmp::Eq, Type::U32, slot, end);
        b.guarded(wrapped, |b| b.mov_to(Type::U32, slot, base));
    }
}

/// Whether there are more than so many tiles; `None` if that is known.
pub fn more(b: &mut Builder, count: Val, than: u32) -> Option<Reg> {
    if count.as_const().is_some_and(|count| count > than) {
        return None;
    }
    let count = count.reg(b);
    Some(b.setp(Cmp::Gt, Type::S32, count, than))
}

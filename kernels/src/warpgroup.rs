//! The loop over a sum with `wgmma`: groups of four warps multiply straight from shared memory.
//!
//! ```text
//! slots    0   1   2   3        tile t:  has arrived, fence, barrier │ products of t begin │ copy of t+2 begins │ products of t-1 are done
//! ```
//!
//! Products of one tile run while the copies of a later one are begun and the next one is waited for. With a lag of 1 they run on into
//! the next tile, as drawn, and a slot is filled two barriers after the products that read it began: when every group has waited
//! for them. Without lag it is filled one barrier after, so copies are one tile further ahead. A group has whole rows of 64 of the result; each
//! of its warps has 16 rows of them, in the registers that `mma.sync` would use.
//! - Shared memory: rows of 128 bytes along the sum, exchanged as [`crate::shared`] says, which is the swizzle of 128 bytes; slots
//!   begin at multiples of 1024.
//! - Limits: sm_90a; f16 and bf16; both operands contiguous along the sum; at least 2 slots, with lag 3.
//!
//! Source of the idea: the multistage pipelines for warp groups of CUTLASS 3.

use ptx::{Builder, Cmp, Form, Modifier, Op, Operand, Reg, Sm, Type};

use crate::fragment::{Accumulators, Input, zeros};
use crate::launch::KernelError;
use crate::pipeline::more;
use crate::source::Fill;
use crate::val::Val;

/// Rows of the result of one instruction, and of a warp of them.
pub const ROWS: u32 = 64;
/// Threads of a group.
pub const THREADS: u32 = 128;
/// Bytes of a row in shared memory, and of a step along the sum.
pub const ROW_BYTES: u32 = 128;
const STEP_BYTES: u32 = 32;
/// High half of descriptors: rows of 128 bytes, eight of them 1024 bytes apart, exchanged within 128 bytes.
pub const HIGH: u32 = 0x4000_0040;
/// Leading offset of exchanged rows along the sum, which has no meaning.
pub const EXCHANGED: u32 = 16;

/// A tile of a product.
#[derive(Clone, Copy, Debug)]
pub struct Groups {
    pub family: &'static str,
    pub input: Input,
    /// Rows and columns of the result.
    pub tile: [u32; 2],
    /// Warp groups down and across.
    pub groups: [u32; 2],
    pub stages: u32,
    /// Tiles whose products may be under way when the next one's begin: 0 or 1.
    pub lag: u32,
}

impl Groups {
    /// What must hold for every product.
    pub fn check(&self, sm: Sm) -> Result<(), KernelError> {
        let family = self.family;
        let refuse = |what, found, rule| Err(KernelError::Variant { family, what, found, rule });
        if sm != Sm::Sm90a {
            return Err(KernelError::Target { family, what: "a product of warp groups", least: 90, sm });
        }
        if !matches!(self.input, Input::F16 | Input::Bf16) {
            return refuse("input bytes", self.input.bytes(), "warp groups multiply f16 and bf16");
        }
        let [rows, columns] = self.part();
        if rows % ROWS != 0 || rows == 0 {
            return refuse("rows of a warp group", rows, "they must be a multiple of 64");
        }
        if columns % 8 != 0 || !(8..=256).contains(&columns) {
            return refuse("columns of a warp group", columns, "they must be a multiple of 8 up to 256");
        }
        if self.lag > 1 {
            return refuse("lag", self.lag, "it is 0 or 1");
        }
        if self.stages < 2 + self.lag {
            return refuse("stages", self.stages, "there must be at least 2, with lag 3");
        }
        Ok(())
    }

    /// Rows and columns of a warp group.
    const fn part(&self) -> [u32; 2] {
        [self.tile[0] / self.groups[0], self.tile[1] / self.groups[1]]
    }

    const fn slot(&self) -> u32 {
        (self.tile[0] + self.tile[1]) * ROW_BYTES
    }

    /// Bytes of shared memory of all slots.
    pub const fn shared(&self) -> u32 {
        self.slot() * self.stages
    }

    /// First row and column of the warp's part of the tile: its group's, and 16 rows a warp.
    pub fn corner(&self, b: &mut Builder, thread: Reg) -> (Val, Val) {
        let (group, within) = Val::Reg(thread).div_rem(b, THREADS);
        let (down, across) = group.div_rem(b, self.groups[1]);
        let [rows, columns] = self.part();
        let warp = within.shr(b, 5).mul(b, 16);
        (down.mul(b, rows).add(b, warp), across.mul(b, columns))
    }

    /// Adds up `count` tiles (none if that is 0 or negative). `fills` are A's and B's, at the first of them; `base` is the address
    /// of the shared memory, from which nothing is read any more. The sums are those of [`crate::fragment`], groups of rows [`ROWS`] apart.
    pub fn run(
        &self,
        b: &mut Builder,
        [mut a, mut w]: [Box<dyn Fill>; 2],
        count: Val,
        (thread, base): (Reg, Reg),
    ) -> Accumulators {
        let [rows, columns] = self.part();
        let sums = zeros(b, rows / ROWS, columns / 8);
        let [left, right] = self.descriptors(b, thread, base);
        let ahead = self.stages - 1 - self.lag;
        for stage in 0..ahead {
            let exists = more(b, count, stage);
            let slot = Val::Reg(base).add(b, stage * self.slot());
            self.begin(b, [&mut *a, &mut *w], slot, exists);
        }
        let read = b.mov(Type::U32, 0_u32);
        let first = Val::Reg(base).add(b, ahead * self.slot());
        let fill = b.mov(Type::U32, first);
        let end = Val::Reg(base).add(b, self.stages * self.slot()).reg(b);
        let left_over = b.mov(Type::U32, count);
        let always = b.setp(Cmp::Eq, Type::U32, base, base);
        let any = b.setp(Cmp::Gt, Type::S32, left_over, 0_i32);
        let (head, done) = (b.label("K_LOOP"), b.label("K_DONE"));
        b.bra_unless(any, done);
        b.place(head);
        b.cp_async_wait(ahead - 1);
        b.emit(Form::new(Op::FenceProxyAsyncShared, ()), []);
        b.barrier();
        b.emit(Form::new(Op::WgmmaFence, ()), []);
        self.multiply(b, &sums, ([left, right], read), always);
        b.emit(Form::new(Op::WgmmaCommit, ()), []);
        let exists = b.setp(Cmp::Gt, Type::S32, left_over, ahead);
        self.begin(b, [&mut *a, &mut *w], fill.into(), Some(exists));
        advance(b, read, 0_u32.into(), self.slot() >> 4, (self.stages * self.slot() >> 4).into());
        advance(b, fill, base.into(), self.slot(), end.into());
        b.emit(Form::new(Op::WgmmaWait, ()), [self.lag.into()]);
        b.emit(Form::new(Op::Add, Type::S32), [left_over.into(), left_over.into(), (-1_i32).into()]);
        let again = b.setp(Cmp::Gt, Type::S32, left_over, 0_i32);
        b.bra_if(again, head);
        b.place(done);
        if self.lag > 0 {
            b.emit(Form::new(Op::WgmmaWait, ()), [0_u32.into()]);
        }
        b.barrier();
        sums
    }

    /// Low halves of the descriptors of the group's rows of A and columns of B in the first slot.
    fn descriptors(&self, b: &mut Builder, thread: Reg, base: Reg) -> [Val; 2] {
        let group = Val::Reg(thread).shr(b, THREADS.trailing_zeros());
        let (down, across) = group.div_rem(b, self.groups[1]);
        let [rows, columns] = self.part();
        let mut low = |at: u32, index: Val, extent: u32| {
            let start = index.mul(b, extent * ROW_BYTES).add(b, base).add(b, at);
            low_descriptor(b, start, EXCHANGED)
        };
        [low(0, down, rows), low(self.tile[0] * ROW_BYTES, across, columns)]
    }

    /// Begins the products of the slot that lies `read` units of 16 bytes behind the first.
    fn multiply(&self, b: &mut Builder, sums: &Accumulators, (low, read): ([Val; 2], Reg), always: Reg) {
        let columns = self.part()[1];
        let ty = if self.input == Input::Bf16 { Type::Bf16 } else { Type::F16 };
        let form = Form::new(Op::Wgmma, (Modifier::Number(columns as u16), ty));
        let high = b.mov(Type::U32, HIGH);
        let [left, right] = low.map(|low| low.add(b, read));
        for step in 0..ROW_BYTES / STEP_BYTES {
            let mut descriptor = |low: Val, plus: u32| {
                let low = low.add(b, (plus + step * STEP_BYTES) >> 4).reg(b);
                b.pack(&[low, high])
            };
            let of_columns = descriptor(right, 0);
            let of_rows: Vec<Reg> = (0_u32..).zip(sums).map(|(m, _)| descriptor(left, m * ROWS * ROW_BYTES)).collect();
            for (rows, sums) in of_rows.into_iter().zip(sums) {
                b.wgmma(form, &sums.concat(), rows, of_columns, always, &[1, 1, 0, 0]);
            }
        }
    }

    /// Begins the copies of a tile to a slot.
    fn begin(&self, b: &mut Builder, fills: [&mut dyn Fill; 2], slot: Val, exists: Option<Reg>) {
        for (fill, at) in fills.into_iter().zip([0, self.tile[0] * ROW_BYTES]) {
            let slot = slot.add(b, at);
            fill.begin(b, slot, exists);
        }
        b.cp_async_commit();
    }
}

/// The low half of the descriptor of a tile at a shared address; `leading` is the field of the leading offset, in bytes.
pub fn low_descriptor(b: &mut Builder, start: Val, leading: u32) -> Val {
    start.shr(b, 4).add(b, leading >> 4 << 16)
}

/// Adds to a register, from the end on from the start again.
pub fn advance(b: &mut Builder, at: Reg, start: Operand, step: u32, end: Operand) {
    b.emit(Form::new(Op::Add, Type::U32), [at.into(), at.into(), step.into()]);
    let wrapped = b.setp(Cmp::Eq, Type::U32, at, end);
    b.guarded(wrapped, |b| b.mov_to(Type::U32, at, start));
}

//! What threads do together: barriers, exchanges within a warp, matrix products.

use super::Builder;
use crate::form::Form;
use crate::inst::{Address, Operand, Reg};
use crate::table::Op;
use crate::token::{Atomic, Count, Scope, Shuffle, Strength, Trans, Type, Vote};

/// All lanes of a warp.
pub const FULL_MASK: u32 = u32::MAX;

impl Builder {
    /// Waits for all threads of the CTA.
    pub fn barrier(&mut self) {
        self.emit(Form::new(Op::BarSync, ()), [0_u32.into()]);
    }

    /// Waits at barrier `id` for `threads` threads, a multiple of the warp's size.
    pub fn named_barrier(&mut self, id: impl Into<Operand>, threads: impl Into<Operand>) {
        self.emit(Form::new(Op::BarSyncSome, ()), [id.into(), threads.into()]);
    }

    pub fn warp_barrier(&mut self) {
        self.emit(Form::new(Op::BarWarp, ()), [FULL_MASK.into()]);
    }

    pub fn fence(&mut self, strength: Strength, scope: Scope) {
        let form = match scope {
            Scope::Cluster => Form::new(Op::FenceCluster, strength),
            Scope::Cta | Scope::Gpu | Scope::Sys => Form::new(Op::Fence, (strength, scope)),
        };
        self.emit(form, []);
    }

    /// A 32-bit value of another lane of the whole warp.
    pub fn shfl(&mut self, from: Shuffle, value: Reg, lane: impl Into<Operand>) -> Reg {
        self.shfl_within(from, value, lane, 32)
    }

    /// A 32-bit value of another lane of a segment of the warp, of a power of two of lanes.
    pub fn shfl_within(&mut self, from: Shuffle, value: Reg, lane: impl Into<Operand>, width: u32) -> Reg {
        let segment = 32_u32.saturating_sub(width) << 8;
        let clamp = if from == Shuffle::Up { 0 } else { 31 };
        let form = Form::new(Op::Shfl, from);
        self.value(form, [value.into(), lane.into(), (segment | clamp).into(), FULL_MASK.into()])
    }

    pub fn vote(&mut self, vote: Vote, pred: Reg) -> Reg {
        self.value(Form::new(Op::Vote, vote), [pred.into(), FULL_MASK.into()])
    }

    /// The lanes where the predicate holds, as bits.
    pub fn ballot(&mut self, pred: Reg) -> Reg {
        self.value(Form::new(Op::Ballot, ()), [pred.into(), FULL_MASK.into()])
    }

    /// A reduction of 32-bit integers over the warp.
    pub fn redux(&mut self, op: Atomic, ty: Type, value: Reg) -> Reg {
        let form = match op {
            Atomic::And | Atomic::Or | Atomic::Xor => Form::new(Op::ReduxLogic, op),
            Atomic::Add | Atomic::Min | Atomic::Max | Atomic::Inc | Atomic::Dec => Form::new(Op::Redux, (op, ty)),
        };
        self.value(form, [value.into(), FULL_MASK.into()])
    }

    /// A predicate that holds in one lane.
    pub fn elect(&mut self) -> Reg {
        let pred = self.reg_of(Type::Pred);
        self.emit(Form::new(Op::Elect, ()), [Operand::Sink, pred.into(), FULL_MASK.into()]);
        pred
    }

    /// Loads 8x8 matrices of 16-bit elements; lane l gives the address of row l.
    pub fn ldmatrix(&mut self, count: Count, trans: Trans, address: impl Into<Address>) -> Vec<Reg> {
        self.values(Form::new(Op::LdMatrix, (count, trans)), [Operand::Address(address.into())])
    }

    pub fn stmatrix(&mut self, count: Count, trans: Trans, address: impl Into<Address>, values: &[Reg]) {
        self.emit(Form::new(Op::StMatrix, (count, trans)), [Operand::Address(address.into()), values.into()]);
    }

    /// `acc += a * b` by a matrix form of a warp, with the accumulator's registers kept.
    pub fn mma(&mut self, form: Form, acc: &[Reg], a: &[Reg], b: &[Reg]) {
        self.emit(form, [acc.into(), a.into(), b.into(), acc.into()]);
    }
}

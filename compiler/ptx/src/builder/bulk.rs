//! Barriers in shared memory, bulk copies, products of warp groups: what sm_90 has for data on the move.

use super::Builder;
use crate::form::Form;
use crate::inst::{Address, Operand, Param, Reg};
use crate::table::Op;
use crate::token::{Modifier, Rank, Type};

impl Builder {
    /// The generic address of a parameter, which is where a tensor map is.
    pub fn param_address(&mut self, param: Param) -> Reg {
        let within = self.mov(Type::U64, param);
        self.value(Form::new(Op::CvtaParam, ()), [within.into()])
    }

    /// A barrier that completes a phase after so many arrivals.
    pub fn mbarrier_init(&mut self, barrier: impl Into<Address>, arrivals: impl Into<Operand>) {
        self.emit(Form::new(Op::MbarrierInit, ()), [Operand::Address(barrier.into()), arrivals.into()]);
    }

    /// Arrives, and has the phase wait for so many bytes of bulk copies.
    pub fn mbarrier_arrive_expect(&mut self, barrier: impl Into<Address>, bytes: impl Into<Operand>) {
        let operands = [Operand::Sink, Operand::Address(barrier.into()), bytes.into()];
        self.emit(Form::new(Op::MbarrierArriveExpect, ()), operands);
    }

    /// Arrives once.
    pub fn mbarrier_arrive(&mut self, barrier: impl Into<Address>) {
        self.value(Form::new(Op::MbarrierArrive, ()), [Operand::Address(barrier.into())]);
    }

    /// Waits for the end of the phase with this parity.
    pub fn mbarrier_wait(&mut self, barrier: impl Into<Address>, parity: impl Into<Operand>) {
        let (barrier, parity) = (barrier.into(), parity.into());
        let head = self.label("wait");
        self.place(head);
        let done = self.value(Form::new(Op::MbarrierTryParity, ()), [Operand::Address(barrier), parity]);
        self.bra_unless(done, head);
    }

    /// Begins to load the box at the coordinates, innermost first, whose arrival the barrier counts.
    pub fn tensor_load(&mut self, dst: impl Into<Address>, map: Reg, coordinates: &[Reg], barrier: impl Into<Address>) {
        let form = Form::new(Op::TensorLoad, rank(coordinates));
        let tensor = Operand::Tensor(map.into(), coordinates.to_vec());
        self.emit(form, [Operand::Address(dst.into()), tensor, Operand::Address(barrier.into())]);
    }

    /// As `tensor_load` through a map of the im2col kind; `offsets` are 16-bit registers, one per filter dimension.
    pub fn tensor_load_im2col(
        &mut self,
        dst: impl Into<Address>,
        map: Reg,
        coordinates: &[Reg],
        barrier: impl Into<Address>,
        offsets: &[Reg],
    ) {
        let form = Form::new(Op::TensorIm2col, rank(coordinates));
        let tensor = Operand::Tensor(map.into(), coordinates.to_vec());
        let operands = [Operand::Address(dst.into()), tensor, Operand::Address(barrier.into()), offsets.into()];
        self.emit(form, operands);
    }

    /// Begins to store a box; belongs to the next group that is committed.
    pub fn tensor_store(&mut self, map: Reg, coordinates: &[Reg], src: impl Into<Address>) {
        let form = Form::new(Op::TensorStore, rank(coordinates));
        self.emit(form, [Operand::Tensor(map.into(), coordinates.to_vec()), Operand::Address(src.into())]);
    }

    /// A product of a warp group into `acc`, which it adds to where `add` holds; A and B by descriptors of shared memory.
    /// Immediates of the form (signs, transpositions) follow in the row's order.
    pub fn wgmma(&mut self, form: Form, acc: &[Reg], a: impl Into<Operand>, b: Reg, add: Reg, immediates: &[i32]) {
        let operands = [acc.into(), a.into(), b.into(), add.into()];
        self.emit(form, operands.into_iter().chain(immediates.iter().map(|i| (*i).into())));
    }
}

fn rank(coordinates: &[Reg]) -> Modifier {
    let fitting = Rank::ALL.iter().find(|rank| rank.count() == coordinates.len());
    fitting.copied().unwrap_or(Rank::D5).into()
}

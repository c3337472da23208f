//! Control: guards, labels, branches, and the structured forms made of them.

use super::Builder;
use crate::form::Form;
use crate::inst::{Guard, Label, Operand, Reg, Stmt};
use crate::table::Op;
use crate::token::{Cmp, Type};

impl Builder {
    /// What the closure appends runs only where the predicate holds.
    pub fn guarded<R>(&mut self, pred: Reg, body: impl FnOnce(&mut Builder) -> R) -> R {
        self.under(Guard { reg: pred, negated: false }, body)
    }

    /// What the closure appends runs only where the predicate does not hold.
    pub fn guarded_not<R>(&mut self, pred: Reg, body: impl FnOnce(&mut Builder) -> R) -> R {
        self.under(Guard { reg: pred, negated: true }, body)
    }

    fn under<R>(&mut self, guard: Guard, body: impl FnOnce(&mut Builder) -> R) -> R {
        let outer = self.guard.replace(guard);
        let result = body(self);
        self.guard = outer;
        result
    }

    /// Puts a label here.
    pub fn place(&mut self, label: Label) {
        self.entry.body.push(Stmt::Label(label));
    }

    pub fn bra(&mut self, label: Label) {
        self.emit(Form::new(Op::Bra, ()), [Operand::Label(label)]);
    }

    pub fn bra_if(&mut self, pred: Reg, label: Label) {
        self.guarded(pred, |b| b.bra(label));
    }

    pub fn bra_unless(&mut self, pred: Reg, label: Label) {
        self.guarded_not(pred, |b| b.bra(label));
    }

    pub fn exit(&mut self) {
        self.emit(Form::new(Op::Exit, ()), []);
    }

    pub fn ret(&mut self) {
        self.emit(Form::new(Op::Ret, ()), []);
    }

    pub fn trap(&mut self) {
        self.emit(Form::new(Op::Trap, ()), []);
    }

    pub fn if_then<R>(&mut self, pred: Reg, then: impl FnOnce(&mut Builder) -> R) -> R {
        let end = self.label("end_if");
        self.bra_unless(pred, end);
        let result = then(self);
        self.place(end);
        result
    }

    pub fn if_not<R>(&mut self, pred: Reg, then: impl FnOnce(&mut Builder) -> R) -> R {
        let end = self.label("end_if");
        self.bra_if(pred, end);
        let result = then(self);
        self.place(end);
        result
    }

    pub fn if_else<R, S>(
        &mut self,
        pred: Reg,
        then: impl FnOnce(&mut Builder) -> R,
        otherwise: impl FnOnce(&mut Builder) -> S,
    ) -> (R, S) {
        let (other, end) = (self.label("else"), self.label("end_if"));
        self.bra_unless(pred, other);
        let first = then(self);
        self.bra(end);
        self.place(other);
        let second = otherwise(self);
        self.place(end);
        (first, second)
    }

    /// Runs the body with an index from `start` below `end`, in steps; not at all if there is none. The index is of `ty`, which
    /// also compares; `end + step` must not wrap.
    pub fn for_loop<R>(
        &mut self,
        ty: Type,
        start: impl Into<Operand>,
        end: impl Into<Operand>,
        step: impl Into<Operand>,
        body: impl FnOnce(&mut Builder, Reg) -> R,
    ) -> R {
        let (end, step) = (end.into(), step.into());
        let index = self.mov(ty, start);
        let (head, done) = (self.label("loop"), self.label("end_loop"));
        let none = self.setp(Cmp::Ge, ty, index, end.clone());
        self.bra_if(none, done);
        self.place(head);
        let result = body(self, index);
        self.emit(Form::new(Op::Add, ty), [index.into(), index.into(), step]);
        let more = self.setp(Cmp::Lt, ty, index, end);
        self.bra_if(more, head);
        self.place(done);
        result
    }

    /// Runs the body as long as the condition's predicate holds before it.
    pub fn while_loop<R>(
        &mut self,
        condition: impl FnOnce(&mut Builder) -> Reg,
        body: impl FnOnce(&mut Builder) -> R,
    ) -> R {
        let (head, done) = (self.label("loop"), self.label("end_loop"));
        self.place(head);
        let holds = condition(self);
        self.bra_unless(holds, done);
        let result = body(self);
        self.bra(head);
        self.place(done);
        result
    }

    /// Runs the body, which yields a predicate, until that does not hold.
    pub fn do_while(&mut self, body: impl FnOnce(&mut Builder) -> Reg) {
        let head = self.label("loop");
        self.place(head);
        let again = body(self);
        self.bra_if(again, head);
    }
}

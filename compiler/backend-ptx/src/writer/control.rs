//! Structured control. What is computed inside a block is not known behind it.

use std::collections::BTreeMap;

use ptx::{Cmp, Type};
use ptx_expr::{Value, Width};

use crate::error::PtxError;
use crate::index::Ix;
use crate::writer::{V, Writer};

impl Writer {
    fn block<R>(&mut self, body: impl FnOnce(&mut Writer) -> Result<R, PtxError>) -> Result<R, PtxError> {
        self.m.open();
        self.held.push(BTreeMap::new());
        let done = body(self);
        self.held.pop();
        self.m.close();
        done
    }

    /// Runs the body where a predicate holds.
    pub fn when(&mut self, pred: V, body: impl FnOnce(&mut Writer) -> Result<(), PtxError>) -> Result<(), PtxError> {
        match self.m.known(pred) {
            Some(0) => return Ok(()),
            Some(_) => return body(self),
            None => {}
        }
        let pred = self.pred(pred);
        let end = self.b().label("end_if");
        self.b().bra_unless(pred, end);
        self.block(body)?;
        self.b().place(end);
        Ok(())
    }

    pub fn when_some(
        &mut self,
        pred: Option<V>,
        body: impl FnOnce(&mut Writer) -> Result<(), PtxError>,
    ) -> Result<(), PtxError> {
        match pred {
            Some(pred) => self.when(pred, body),
            None => body(self),
        }
    }

    /// Runs the body with an index from `start` below `end`.
    pub fn count(
        &mut self,
        ix: Ix,
        start: V,
        end: V,
        step: V,
        body: impl FnOnce(&mut Writer, V) -> Result<(), PtxError>,
    ) -> Result<(), PtxError> {
        let (Some(start_known), Some(end_known), Some(step_known)) =
            (self.m.known(start), self.m.known(end), self.m.known(step))
        else {
            return self.count_loop(ix, start, end, step, body);
        };
        if start_known >= end_known {
            return Ok(());
        }
        if start_known + step_known >= end_known {
            return body(self, start);
        }
        self.count_loop(ix, start, end, step, body)
    }

    fn count_loop(
        &mut self,
        ix: Ix,
        start: V,
        end: V,
        step: V,
        body: impl FnOnce(&mut Writer, V) -> Result<(), PtxError>,
    ) -> Result<(), PtxError> {
        let index = self.var(ix.width(), start);
        let (head, done) = (self.b().label("loop"), self.b().label("end_loop"));
        let ty = if ix == Ix::Wide { Type::U64 } else { Type::U32 };
        let (counter, limit) = (self.reg(index, ty), self.operand_of(end));
        let none = self.b().setp(Cmp::Ge, ty, counter, limit.clone());
        self.b().bra_if(none, done);
        self.b().place(head);
        let step = self.operand_of(step);
        self.block(|w| {
            body(w, index)?;
            w.b().emit(ptx::Form::new(ptx::Op::Add, ty), [counter.into(), counter.into(), step]);
            let more = w.b().setp(Cmp::Lt, ty, counter, limit);
            w.b().bra_if(more, head);
            Ok(())
        })?;
        self.b().place(done);
        Ok(())
    }

    fn operand_of(&mut self, value: V) -> ptx::Operand {
        match value {
            Value::Const(Width::B32 | Width::B64, bits) => ptx::Operand::Imm(bits),
            Value::Const(Width::Pred, _) | Value::Reg(_) => self.m.register(value).into(),
        }
    }

    /// Runs the body as long as a predicate holds before it.
    pub fn while_loop(
        &mut self,
        condition: impl FnOnce(&mut Writer) -> Result<V, PtxError>,
        body: impl FnOnce(&mut Writer) -> Result<(), PtxError>,
    ) -> Result<(), PtxError> {
        let (head, done) = (self.b().label("loop"), self.b().label("end_loop"));
        self.b().place(head);
        self.block(|w| {
            let holds = condition(w)?;
            let holds = w.pred(holds);
            w.b().bra_unless(holds, done);
            body(w)?;
            w.b().bra(head);
            Ok(())
        })?;
        self.b().place(done);
        Ok(())
    }

    /// Runs the body, at least once, until what it yields does not hold.
    pub fn repeat(&mut self, body: impl FnOnce(&mut Writer) -> Result<V, PtxError>) -> Result<(), PtxError> {
        let head = self.b().label("loop");
        self.b().place(head);
        self.block(|w| {
            let again = body(w)?;
            let again = w.pred(again);
            w.b().bra_if(again, head);
            Ok(())
        })
    }
}

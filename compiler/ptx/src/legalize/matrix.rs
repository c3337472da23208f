//! Matrix products on sm_75, which has the smaller shapes only. Fragments of the larger shape are fragments of the smaller ones,
//! side by side.

use super::{fragment, regs};
use crate::builder::Builder;
use crate::form::Form;
use crate::inst::{Inst, Operand, Reg};
use crate::table::Op;
use crate::target::Sm;
use crate::token::{Modifier, Type};

/// m16n8k16 of f16 as two m16n8k8: registers 0 and 1 of A with 0 of B, then 2 and 3 with 1.
pub(super) fn halves(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    let form = match (inst.form.op, inst.form.modifier(0)) {
        (Op::Mma16816, Some(Modifier::Type(Type::F16))) => Form::new(Op::Mma1688, ()),
        (Op::Mma16816F16, _) => Form::new(Op::Mma1688F16, ()),
        _ => return None,
    };
    let ([a0, a1, a2, a3], [b0, b1]) = (fragment(inst, 1)?, fragment(inst, 2)?);
    let (dst, acc) = (regs(inst, 0)?, regs(inst, 3)?);
    let between = b.values(form, [[a0, a1].into(), [b0].into(), acc.into()]);
    b.emit(form, [dst.into(), [a2, a3].into(), [b1].into(), between.into()]);
    Some(())
}

/// m16n8k32 and m16n8k16 of bytes as m8n8k16: rows 0 to 7 and 8 to 15 apart, 16 columns of A at a time.
pub(super) fn bytes(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    let [Some(satfinite), Some(x), Some(y)] = [0, 1, 2].map(|slot| inst.form.modifier(slot)) else { return None };
    let steps: Vec<([Reg; 2], Reg)> = match inst.form.op {
        Op::Mma16832Int => {
            let ([a0, a1, a2, a3], [b0, b1]) = (fragment(inst, 1)?, fragment(inst, 2)?);
            vec![([a0, a1], b0), ([a2, a3], b1)]
        }
        Op::Mma16816Int => {
            let ([a0, a1], [b0]) = (fragment(inst, 1)?, fragment(inst, 2)?);
            vec![([a0, a1], b0)]
        }
        _ => return None,
    };
    let form = Form::new(Op::Mma8816Int, (satfinite, x, y));
    let ([d0, d1, d2, d3], [c0, c1, c2, c3]) = (fragment(inst, 0)?, fragment(inst, 3)?);
    let (mut upper, mut lower) = (vec![c0, c1], vec![c2, c3]);
    for ([first, second], factor) in steps {
        upper = b.values(form, [[first].into(), [factor].into(), upper.into()]);
        lower = b.values(form, [[second].into(), [factor].into(), lower.into()]);
    }
    for (dst, src) in [d0, d1, d2, d3].into_iter().zip(upper.into_iter().chain(lower)) {
        b.emit(Form::new(Op::Mov, Type::B32), [dst.into(), Operand::Reg(src)]);
    }
    Some(())
}

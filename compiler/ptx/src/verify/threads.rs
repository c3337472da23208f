//! What threads do together is where all of them get: P18 and P19.
//!
//! A value differs between threads if it is computed from the thread's number. What comes from memory is taken to be the same in
//! all, so that only what can be seen to differ is reported.

use std::collections::BTreeMap;

use super::{Fault, Place, Problem};
use crate::flow::Flow;
use crate::form::Effect;
use crate::inst::{Inst, Operand, Reg, Stmt, Varies};
use crate::module::Entry;
use crate::table::Op;

/// Lanes of a warp as a power of two.
const WARP_BITS: u64 = 5;

pub(super) fn check(entry: &Entry, flow: &Flow, problems: &mut Vec<Problem>) {
    let together =
        |inst: &Inst| matches!(inst.form.effect(), Effect::Barrier | Effect::Collective | Effect::ClusterBarrier);
    if !entry.instructions().any(together) {
        return;
    }
    let varies = variance(entry);
    let of_guard = |inst: &Inst| inst.guard.and_then(|g| varies.get(&g.reg).copied()).unwrap_or(Varies::No);
    // For each statement the widest parting that it is under, and the branch that parts.
    let mut parted: BTreeMap<usize, (Varies, usize)> = BTreeMap::new();
    let mut part = |at: usize, by: Varies, branch: usize| {
        let worst = parted.entry(at).or_insert((by, branch));
        if by > worst.0 {
            *worst = (by, branch);
        }
    };
    let joins = flow.joins();
    for block in &flow.order {
        let Some(info) = flow.block(*block) else { continue };
        for at in info.stmts.clone() {
            let Some(inst) = entry.body.get(at).and_then(Stmt::as_inst) else { continue };
            let by = of_guard(inst);
            if by == Varies::No {
                continue;
            }
            if !matches!(inst.form.effect(), Effect::Control | Effect::End) {
                part(at, by, at);
                continue;
            }
            let until = joins.get(*block).copied().flatten();
            for inside in flow.between(&info.next, until) {
                let stmts = flow.block(inside).map(|b| b.stmts.clone()).unwrap_or_default();
                stmts.for_each(|stmt| part(stmt, by, at));
            }
        }
    }
    for (at, (by, branch)) in parted {
        let Some(inst) = entry.body.get(at).and_then(Stmt::as_inst) else { continue };
        let fault = match inst.form.effect() {
            Effect::Barrier | Effect::ClusterBarrier => Fault::DivergentBarrier { branch },
            Effect::Collective if by == Varies::Lanes && !names_its_lanes(inst) => Fault::DivergentWarp { branch },
            _ => continue,
        };
        problems.push(Problem { place: Place::stmt(entry, at), fault });
    }
}

/// Whether the lanes that take part are those of a mask that is computed, or those that are there.
fn names_its_lanes(inst: &Inst) -> bool {
    let masked = matches!(
        inst.form.op,
        Op::Shfl
            | Op::ShflPred
            | Op::Vote
            | Op::Ballot
            | Op::MatchAny
            | Op::MatchAll
            | Op::Redux
            | Op::ReduxLogic
            | Op::ReduxFloat
            | Op::Elect
            | Op::BarWarp
    );
    inst.form.op == Op::Activemask || (masked && matches!(inst.operands.last(), Some(Operand::Reg(_))))
}

/// Over which threads registers may differ.
fn variance(entry: &Entry) -> BTreeMap<Reg, Varies> {
    let mut out: BTreeMap<Reg, Varies> = BTreeMap::new();
    let mut changed = true;
    while changed {
        changed = false;
        for inst in entry.instructions() {
            let value = result_varies(inst, &out);
            for reg in inst.writes() {
                let before = out.get(&reg).copied().unwrap_or(Varies::No);
                if value > before {
                    out.insert(reg, value);
                    changed = true;
                }
            }
        }
    }
    out
}

fn result_varies(inst: &Inst, known: &BTreeMap<Reg, Varies>) -> Varies {
    let of = |reg: &Reg| known.get(reg).copied().unwrap_or(Varies::No);
    let special =
        inst.operands.iter().filter_map(|o| if let Operand::Special(s) = o { Some(s.varies()) } else { None });
    let read = inst.reads().iter().map(of).chain(special).max().unwrap_or(Varies::No);
    match (inst.form.op, inst.form.effect()) {
        (Op::Elect, _) => Varies::Lanes,
        (Op::Shfl | Op::ShflPred, _) => match inst.operands.iter().rev().nth(2) {
            Some(Operand::Imm(_)) if is_broadcast(inst) => read.min(Varies::Warps),
            _ => read,
        },
        (Op::Vote | Op::Ballot | Op::MatchAll | Op::Redux | Op::ReduxLogic | Op::ReduxFloat | Op::Activemask, _) => {
            read.min(Varies::Warps)
        }
        (Op::Shr, _) => match inst.operands.last() {
            Some(Operand::Imm(by)) if *by >= WARP_BITS => read.min(Varies::Warps),
            _ => read,
        },
        (Op::Div, _) => match inst.operands.last() {
            Some(Operand::Imm(by)) if *by >= (1 << WARP_BITS) => read.min(Varies::Warps),
            _ => read,
        },
        (_, Effect::Pure) => read,
        _ => Varies::No,
    }
}

/// Whether all lanes get the value of one.
fn is_broadcast(inst: &Inst) -> bool {
    inst.form.modifiers().any(|m| m == crate::token::Shuffle::Idx.into())
}

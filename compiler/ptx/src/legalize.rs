//! Replaces forms that a target lacks by sequences of forms that it has.
//!
//! Before: any entry. After: the same results, in forms of the target as far as there is a rule; what has none stays and is
//! reported by the verifier (P11). Runs before `verify` and `print`. One function a rule; what a rule emits is looked at again, so that
//! rules may build on each other.
//!
//! ```
//! use ptx::{Builder, Sm, Space, Type, legalize};
//! let mut b = Builder::new("sum");
//! let p = b.pointer_param(ptx::ParamRole::Data);
//! let p = b.ld_param(Type::U64, p);
//! let x = b.ld(Space::Global, Type::Bf16, p);
//! let y = b.add(Type::Bf16, x, x);
//! b.st(Space::Global, Type::Bf16, p, y);
//! let entry = legalize(b.finish(), Sm::Sm80);
//! assert!(ptx::verify(&ptx::Module::new(Sm::Sm80, vec![entry])).is_ok());
//! ```

mod bf16;
mod convert;
mod copy;
mod matrix;
mod minmax;
mod warp;

use crate::builder::Builder;
use crate::inst::{Inst, Operand, Reg};
use crate::module::Entry;
use crate::target::Sm;

/// Appends what stands for an instruction, or yields `None` if the rule is not for it.
type Rule = fn(&mut Builder, &Inst, Sm) -> Option<()>;

/// All rules; each is for rows of its own, so their order is free.
const RULES: &[(&str, Rule)] = &[
    ("sums, differences and products of bf16 as fma", bf16::arithmetic_as_fma),
    ("arithmetic of bf16 through f32", bf16::arithmetic_through_f32),
    ("sign of bf16 by its bit", bf16::sign),
    ("comparison of bf16 through f32", bf16::compare),
    ("approximations of bf16 through f32", bf16::approximation),
    ("atomic sums of bf16 by compare-and-swap", bf16::atomic_sum),
    ("minimum and maximum where NaN wins", minmax::nan_wins),
    ("minimum and maximum of halves through f32", minmax::of_halves),
    ("fma with relu as fma and maximum", minmax::relu_of_fma),
    ("f32 to a half with relu as maximum and conversion", convert::f32_to_half_relu),
    ("bf16 to f32 by its bits", convert::bf16_to_f32),
    ("f32 to bf16 by its bits", convert::f32_to_bf16),
    ("f32 to a pair of halves, one by one", convert::f32_to_pair),
    ("f32 to tf32 by its bits", convert::f32_to_tf32),
    ("integers to bf16 through f32", convert::int_to_bf16),
    ("bf16 to integers through f32", convert::bf16_to_int),
    ("reductions over a warp by exchanges", warp::redux),
    ("the first lane is elected", warp::elect),
    ("stmatrix by stores", warp::stmatrix),
    ("parity is tested without waiting", warp::try_parity),
    ("dependent launch is no launch", warp::dependent_launch),
    ("asynchronous copies by loads and stores", copy::load_and_store),
    ("asynchronous copies with zeros by loads and stores", copy::load_zeros_and_store),
    ("groups of copies that are done", copy::groups),
    ("loads without a policy", copy::without_policy),
    ("products of 16 columns as two of 8", matrix::halves),
    ("products of bytes as products of 8 rows", matrix::bytes),
];

/// Rules build on rules this deep at most.
const ROUNDS: usize = 6;

/// The entry in forms of the target.
pub fn legalize(mut entry: Entry, target: Sm) -> Entry {
    for _ in 0..ROUNDS {
        if entry.instructions().all(|inst| inst.form.arch().has(target)) {
            break;
        }
        let body = std::mem::take(&mut entry.body);
        let mut b = Builder::resume(entry);
        for stmt in body {
            let replaced = stmt.as_inst().is_some_and(|inst| replace(&mut b, inst, target));
            if !replaced {
                b.push(stmt);
            }
        }
        entry = b.into_entry();
    }
    entry
}

fn replace(b: &mut Builder, inst: &Inst, target: Sm) -> bool {
    if inst.form.arch().has(target) {
        return false;
    }
    b.with_guard(inst.guard, |b| RULES.iter().any(|(_, rule)| rule(b, inst, target).is_some()))
}

/// Operand `at`, if it is a register.
fn reg(inst: &Inst, at: usize) -> Option<Reg> {
    match inst.operands.get(at)? {
        Operand::Reg(reg) => Some(*reg),
        _ => None,
    }
}

/// Operand `at`, if it is a list.
fn regs(inst: &Inst, at: usize) -> Option<&[Reg]> {
    match inst.operands.get(at)? {
        Operand::Vector(regs) => Some(regs),
        _ => None,
    }
}

/// Operand `at`, if it is a list of so many.
fn fragment<const N: usize>(inst: &Inst, at: usize) -> Option<[Reg; N]> {
    regs(inst, at)?.try_into().ok()
}

fn operand(inst: &Inst, at: usize) -> Option<Operand> {
    inst.operands.get(at).cloned()
}

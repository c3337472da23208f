//! Arithmetic, logic, shifts, comparison and selection.

use crate::decode::{Ctx, Decoded};
use crate::inst::{F, Op, Src};
use crate::types::{COMPARES, LOGICS, Logic, Mode, Round, Ty};

const NONE: Src = Src::Imm(0);

/// Opcodes whose modifiers are flags and a type: name, function, number of sources.
const PLAIN: &[(&str, F, usize)] = &[
    ("add", F::Add, 2),
    ("sub", F::Sub, 2),
    ("div", F::Div, 2),
    ("rem", F::Rem, 2),
    ("abs", F::Abs, 1),
    ("neg", F::Neg, 1),
    ("min", F::Min, 2),
    ("max", F::Max, 2),
    ("fma", F::Fma, 3),
    ("rcp", F::Rcp, 1),
    ("sqrt", F::Sqrt, 1),
    ("rsqrt", F::Rsqrt, 1),
    ("sin", F::Sin, 1),
    ("cos", F::Cos, 1),
    ("lg2", F::Lg2, 1),
    ("ex2", F::Ex2, 1),
    ("tanh", F::Tanh, 1),
    ("copysign", F::Copysign, 2),
    ("sad", F::Sad, 3),
    ("cnot", F::Cnot, 1),
    ("popc", F::Popc, 1),
    ("clz", F::Clz, 1),
    ("brev", F::Brev, 1),
    ("bfe", F::Bfe, 3),
    ("bfi", F::Bfi, 4),
    ("shl", F::Shl, 2),
    ("shr", F::Shr, 2),
    ("slct", F::Slct, 3),
];

const ROUNDS: &[(&str, Round)] =
    &[("rn", Round::Nearest), ("rz", Round::Zero), ("rm", Round::Down), ("rp", Round::Up), ("rna", Round::Away)];

/// Rounding of a float result, if the next modifier is one.
pub(super) fn round(ctx: &mut Ctx) -> Option<Round> {
    ctx.one_of(ROUNDS)
}

fn flags(ctx: &mut Ctx) -> Mode {
    let mut mode = Mode::default();
    loop {
        if let Some(found) = round(ctx) {
            mode.round = found;
        } else if ctx.eat("ftz") {
            mode.ftz = true;
        } else if ctx.eat("sat") {
            mode.sat = true;
        } else if ctx.eat("relu") {
            mode.relu = true;
        } else if ctx.eat_any(&["approx", "full"]) {
            mode.approx = true;
        } else {
            return mode;
        }
    }
}

pub(super) fn decode(ctx: &mut Ctx, mnemonic: &str) -> Decoded<Option<Op>> {
    if let Some((_, f, sources)) = PLAIN.iter().find(|(name, _, _)| *name == mnemonic) {
        return plain(ctx, *f, *sources).map(Some);
    }
    Ok(Some(match mnemonic {
        "mul" | "mad" => multiply(ctx, mnemonic == "mad")?,
        "and" | "or" | "xor" | "not" => logic(ctx, mnemonic)?,
        "lop3" => {
            ctx.need("b32")?;
            ctx.need_count(5..=5)?;
            let extra = ctx.constant(4)? as u8;
            alu(ctx, F::Lop3, Ty::B32, Mode { extra, ..Mode::default() }, 3)?
        }
        "shf" => {
            let f = if ctx.eat("l") { F::ShfL } else { F::ShfR };
            if f == F::ShfR {
                ctx.need("r")?;
            }
            let extra = u8::from(ctx.eat("wrap"));
            if extra == 0 {
                ctx.need("clamp")?;
            }
            ctx.need("b32")?;
            alu(ctx, f, Ty::B32, Mode { extra, ..Mode::default() }, 3)?
        }
        "bfind" => {
            let shift = ctx.eat("shiftamt");
            let ty = ctx.ty()?;
            alu(ctx, if shift { F::BfindShift } else { F::Bfind }, ty, Mode::default(), 1)?
        }
        "bmsk" => {
            let extra = u8::from(ctx.eat("wrap"));
            if extra == 0 {
                ctx.need("clamp")?;
            }
            ctx.need("b32")?;
            alu(ctx, F::Bmsk, Ty::B32, Mode { extra, ..Mode::default() }, 2)?
        }
        "prmt" => {
            ctx.need("b32")?;
            let modes = [("f4e", 1u8), ("b4e", 2), ("rc8", 3), ("ecl", 4), ("ecr", 5), ("rc16", 6)];
            let extra = ctx.one_of(&modes).unwrap_or(0);
            alu(ctx, F::Prmt, Ty::B32, Mode { extra, ..Mode::default() }, 3)?
        }
        "dp4a" => {
            let (a, b) = (ctx.ty()?, ctx.ty()?);
            let extra = u8::from(a == Ty::S32) | u8::from(b == Ty::S32) << 1;
            alu(ctx, F::Dp4a, Ty::B32, Mode { extra, ..Mode::default() }, 3)?
        }
        "setp" => setp(ctx)?,
        "set" => set(ctx)?,
        "testp" => {
            let classes =
                [("finite", 0u8), ("infinite", 1), ("number", 2), ("notanumber", 3), ("normal", 4), ("subnormal", 5)];
            let class = ctx.one_of(&classes).ok_or_else(|| ctx.error("a class of floats expected"))?;
            let ty = ctx.ty()?;
            Op::Testp { class, ty, d: ctx.pred(0)?, a: ctx.src(1, ty)? }
        }
        "selp" => {
            let ty = ctx.ty()?;
            ctx.need_count(4..=4)?;
            Op::Selp { d: ctx.reg(0)?, a: ctx.src(1, ty)?, b: ctx.src(2, ty)?, p: ctx.psrc(3)? }
        }
        _ => return Ok(None),
    }))
}

fn alu(ctx: &mut Ctx, f: F, ty: Ty, mode: Mode, sources: usize) -> Decoded<Op> {
    let mut s = [NONE; 4];
    for (k, slot) in s.iter_mut().enumerate().take(sources) {
        // Shift amounts, positions and lengths are 32-bit whatever the type.
        let small = match f {
            F::Shl | F::Shr => k == 1,
            F::Bfe => k >= 1,
            F::Bfi => k >= 2,
            _ => false,
        };
        *slot = ctx.src(k + 1, if small { Ty::U32 } else { ty })?;
    }
    Ok(Op::Alu { f, ty, mode, d: ctx.reg(0)?, s })
}

fn plain(ctx: &mut Ctx, f: F, sources: usize) -> Decoded<Op> {
    let mut mode = flags(ctx);
    let mut f = f;
    if matches!(f, F::Min | F::Max) {
        if ctx.eat("NaN") {
            f = if f == F::Min { F::MinNan } else { F::MaxNan };
        }
        if ctx.has("xorsign") {
            return Err(ctx.error("`.xorsign` is not executed"));
        }
        mode.relu |= ctx.eat("relu");
    }
    if f == F::Fma && ctx.has("oob") {
        return Err(ctx.error("`.oob` is not executed"));
    }
    let ty = ctx.ty()?;
    if f == F::Slct {
        let by = ctx.ty()?;
        mode.extra = u8::from(by == Ty::F32);
    }
    let known = match f {
        F::Sin | F::Cos | F::Lg2 => ty == Ty::F32,
        F::Rsqrt => matches!(ty, Ty::F32 | Ty::F64),
        F::Ex2 | F::Tanh => matches!(ty, Ty::F32 | Ty::F16 | Ty::F16x2 | Ty::Bf16 | Ty::Bf16x2),
        F::Rcp | F::Sqrt | F::Copysign => matches!(ty, Ty::F32 | Ty::F64),
        F::Fma => ty.float(),
        F::Popc | F::Clz | F::Brev | F::Shl | F::Cnot | F::Bfi => matches!(ty, Ty::B16 | Ty::B32 | Ty::B64),
        F::Rem | F::Sad | F::Bfe => ty.integer(),
        F::Div => ty.integer() || matches!(ty, Ty::F32 | Ty::F64),
        F::Shr | F::Slct => true,
        _ => ty.integer() || ty.float(),
    };
    if !known {
        return Err(ctx.error(format!("this operation has no type {ty:?}")));
    }
    if ty == Ty::F64 && mode.approx && !matches!(f, F::Rcp | F::Rsqrt) {
        return Err(ctx.error("this operation has no approximate f64"));
    }
    ctx.need_count(sources + 1..=sources + 1)?;
    alu(ctx, f, ty, mode, sources)
}

fn multiply(ctx: &mut Ctx, add: bool) -> Decoded<Op> {
    let mut mode = flags(ctx);
    let part = [("lo", 0), ("hi", 1), ("wide", 2)];
    let part = ctx.one_of(&part);
    mode.sat |= ctx.eat("sat");
    let ty = ctx.ty()?;
    let f = match (part, add) {
        (None, false) => F::Mul,
        (None, true) => F::Fma,
        (Some(0), false) => F::Mul,
        (Some(0), true) => F::Mad,
        (Some(1), false) => F::MulHi,
        (Some(1), true) => F::MadHi,
        (Some(_), false) => F::MulWide,
        (Some(_), true) => F::MadWide,
    };
    if part.is_some() != ty.integer() {
        return Err(ctx.error("integers multiply with .lo, .hi or .wide, floats without"));
    }
    let sources = 2 + usize::from(add);
    ctx.need_count(sources + 1..=sources + 1)?;
    let mut op = alu(ctx, f, ty, mode, sources)?;
    if let (F::MadWide, Op::Alu { s, .. }) = (f, &mut op) {
        s[2] = ctx.src(3, if ty.bits() == 16 { Ty::U32 } else { Ty::U64 })?;
        if let (Src::Imm(v), true) = (&mut s[2], ty == Ty::U32) {
            *v &= u64::MAX;
        }
    }
    Ok(op)
}

fn logic(ctx: &mut Ctx, mnemonic: &str) -> Decoded<Op> {
    let ty = ctx.ty()?;
    let not = mnemonic == "not";
    if ty == Ty::Pred {
        let f = LOGICS.iter().find(|(name, _)| *name == mnemonic).map_or(Logic::And, |(_, f)| *f);
        let d = ctx.pred(0)?;
        let mut a = ctx.psrc(1)?;
        let b = if not { a } else { ctx.psrc(2)? };
        if not {
            a.not = !a.not;
        }
        return Ok(Op::PLogic { f, d, a, b: if not { a } else { b } });
    }
    let f = match mnemonic {
        "and" => F::And,
        "or" => F::Or,
        "xor" => F::Xor,
        _ => F::Not,
    };
    alu(ctx, f, ty, Mode::default(), if not { 1 } else { 2 })
}

/// `.BoolOp`, when there is one, combines with a last predicate operand.
fn setp(ctx: &mut Ctx) -> Decoded<Op> {
    let cmp = ctx.one_of(COMPARES).ok_or_else(|| ctx.error("a comparison expected"))?;
    let logic = ctx.one_of(LOGICS);
    let ftz = ctx.eat("ftz");
    let ty = ctx.ty()?;
    ctx.need_count(3 + usize::from(logic.is_some())..=3 + usize::from(logic.is_some()))?;
    let (d, q) = ctx.pair(0)?;
    let d = ctx.pred_sink(&d)?;
    let q = match q {
        Some(q) => ctx.pred_sink(&q)?,
        None => None,
    };
    let with = match logic {
        Some(f) => Some((f, ctx.psrc(3)?)),
        None => None,
    };
    Ok(Op::Setp { cmp, ty, ftz, d, q, a: ctx.src(1, ty)?, b: ctx.src(2, ty)?, with })
}

fn set(ctx: &mut Ctx) -> Decoded<Op> {
    let cmp = ctx.one_of(COMPARES).ok_or_else(|| ctx.error("a comparison expected"))?;
    let logic = ctx.one_of(LOGICS);
    let ftz = ctx.eat("ftz");
    let (to, ty) = (ctx.ty()?, ctx.ty()?);
    let with = match logic {
        Some(f) => Some((f, ctx.psrc(3)?)),
        None => None,
    };
    Ok(Op::Set { cmp, ty, ftz, to, d: ctx.reg(0)?, a: ctx.src(1, ty)?, b: ctx.src(2, ty)?, with })
}

//! mov, cvt, cvta and questions about address spaces.

use crate::decode::{Ctx, Decoded, arith};
use crate::inst::{F, Op, Src};
use crate::raw::Arg;
use crate::types::{Logic, Mode, Round, SPACES, Space, Ty};

pub(super) fn decode(ctx: &mut Ctx, mnemonic: &str) -> Decoded<Option<Op>> {
    Ok(Some(match mnemonic {
        "mov" => mov(ctx)?,
        "cvt" => cvt(ctx)?,
        "cvta" => {
            let to_space = ctx.eat("to");
            let space = space(ctx)?;
            ctx.need("u64")?;
            Op::Cvta { space, to_space, d: ctx.reg(0)?, a: address_value(ctx)? }
        }
        "isspacep" => {
            let space = space(ctx)?;
            Op::IsSpace { space, d: ctx.pred(0)?, a: ctx.src(1, Ty::U64)? }
        }
        "mapa" => {
            let generic = !ctx.eat("shared::cluster");
            let ty = ctx.ty()?;
            ctx.need_count(3..=3)?;
            Op::Mapa { d: ctx.reg(0)?, a: ctx.src(1, ty)?, rank: ctx.src(2, Ty::U32)?, generic }
        }
        "getctarank" => {
            let generic = !ctx.eat("shared::cluster");
            let ty = ctx.ty()?;
            Op::CtaRank { d: ctx.reg(0)?, a: ctx.src(1, ty)?, generic }
        }
        "createpolicy" => {
            // A cache policy is a value that nothing depends on.
            while ctx.modifier().is_some_and(|m| m != "b64") {
                let word = ctx.modifier().unwrap_or_default().to_string();
                ctx.eat(&word);
            }
            ctx.need("b64")?;
            let d = ctx.reg(0)?;
            Op::Alu { f: F::Mov, ty: Ty::B64, mode: Mode::default(), d, s: [Src::Imm(0); 4] }
        }
        _ => return Ok(None),
    }))
}

fn space(ctx: &mut Ctx) -> Decoded<Space> {
    ctx.one_of(SPACES).ok_or_else(|| ctx.error("a state space expected"))
}

/// cvta takes a register or a variable, with an offset.
fn address_value(ctx: &mut Ctx) -> Decoded<Src> {
    ctx.src(1, Ty::U64)
}

fn mov(ctx: &mut Ctx) -> Decoded<Op> {
    let ty = ctx.ty()?;
    ctx.need_count(2..=2)?;
    if ty == Ty::Pred {
        let (d, a) = (ctx.pred(0)?, ctx.psrc(1)?);
        return Ok(Op::PLogic { f: Logic::And, d, a, b: a });
    }
    if matches!(ctx.arg(0)?, Arg::Vector(_)) {
        let d = ctx.sinks(0)?;
        let bits = part_bits(ctx, ty, d.len())?;
        return Ok(Op::Unpack { d, a: ctx.src(1, ty)?, bits });
    }
    if matches!(ctx.arg(1)?, Arg::Vector(_)) {
        let count = ctx.elements(1)?.len();
        let bits = part_bits(ctx, ty, count)?;
        let element = match bits {
            8 => Ty::B8,
            16 => Ty::B16,
            _ => Ty::B32,
        };
        return Ok(Op::Pack { d: ctx.reg(0)?, parts: ctx.srcs(1, element)?, bits });
    }
    let a = ctx.src(1, ty)?;
    Ok(Op::Alu { f: F::Mov, ty, mode: Mode::default(), d: ctx.reg(0)?, s: [a, Src::Imm(0), Src::Imm(0), Src::Imm(0)] })
}

/// Bits of each of the parts that a register is made of.
fn part_bits(ctx: &Ctx, ty: Ty, parts: usize) -> Decoded<u32> {
    let bits = ty.bits() / parts.max(1) as u32;
    if ty.bits() <= 64 && matches!(bits, 8 | 16 | 32) && bits as usize * parts == ty.bits() as usize {
        return Ok(bits);
    }
    Err(ctx.error(format!("{parts} parts of {} bits", ty.bits())))
}

fn cvt(ctx: &mut Ctx) -> Decoded<Op> {
    let integral_rounds = [("rni", Round::Nearest), ("rzi", Round::Zero), ("rmi", Round::Down), ("rpi", Round::Up)];
    let mut integral = false;
    let mut round = arith::round(ctx);
    if round.is_none() {
        round = ctx.one_of(&integral_rounds);
        integral = round.is_some();
    }
    let (mut ftz, mut sat, mut relu) = (false, false, false);
    loop {
        if ctx.eat("ftz") {
            ftz = true;
        } else if ctx.eat_any(&["sat", "satfinite"]) {
            sat = true;
        } else if ctx.eat("relu") {
            relu = true;
        } else {
            break;
        }
    }
    let (to, from) = (ctx.ty()?, ctx.ty()?);
    let packs = matches!(to, Ty::F16x2 | Ty::Bf16x2 | Ty::E4m3x2 | Ty::E5m2x2) && from == Ty::F32;
    ctx.need_count(2 + usize::from(packs)..=2 + usize::from(packs))?;
    let b = if packs { Some(ctx.src(2, from)?) } else { None };
    if to.float() && from.float() && to.bits() < from.bits() && round.is_none() {
        return Err(ctx.error("a narrowing conversion of floats needs a rounding"));
    }
    if to.integer() && from.float() && !integral {
        return Err(ctx.error("float to integer needs .rni, .rzi, .rmi or .rpi"));
    }
    if to.float() && from.integer() && round.is_none() {
        return Err(ctx.error("integer to float needs a rounding"));
    }
    Ok(Op::Cvt { to, from, round, integral, ftz, sat, relu, d: ctx.reg(0)?, a: ctx.src(1, from)?, b })
}

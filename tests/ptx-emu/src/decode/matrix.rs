//! Matrix fragments: ldmatrix, stmatrix, movmatrix, mma.sync, wgmma.

use crate::decode::{Ctx, Decoded};
use crate::inst::{Inst, Mma, Op, Src, Wgmma, WgmmaA};
use crate::raw::Arg;
use crate::types::{SPACES, Space, Ty};

pub(super) fn decode(ctx: &mut Ctx, mnemonic: &str) -> Decoded<Option<Op>> {
    Ok(Some(match mnemonic {
        "ldmatrix" => ldmatrix(ctx)?,
        "stmatrix" => stmatrix(ctx)?,
        "movmatrix" => {
            for word in ["sync", "aligned", "m8n8", "trans", "b16"] {
                ctx.need(word)?;
            }
            Op::MovMatrix { d: ctx.reg(0)?, a: ctx.src(1, Ty::B32)? }
        }
        "mma" => mma(ctx)?,
        "wgmma" => wgmma(ctx)?,
        _ => return Ok(None),
    }))
}

fn shape_of_matrices(ctx: &mut Ctx) -> Decoded<(u32, bool, Space)> {
    for word in ["sync", "aligned", "m8n8"] {
        ctx.need(word)?;
    }
    let number = ctx.one_of(&[("x1", 1), ("x2", 2), ("x4", 4)]).ok_or_else(|| ctx.error("`.x1`, `.x2` or `.x4`"))?;
    let transpose = ctx.eat("trans");
    let space = ctx.one_of(SPACES).unwrap_or(Space::Generic);
    ctx.need("b16")?;
    ctx.need_count(2..=2)?;
    Ok((number, transpose, space))
}

fn ldmatrix(ctx: &mut Ctx) -> Decoded<Op> {
    let (number, transpose, space) = shape_of_matrices(ctx)?;
    let d = ctx.regs(0)?;
    registers(ctx, "destination", number as usize, d.len())?;
    Ok(Op::LdMatrix { number, transpose, d, addr: ctx.addr(1)?, space })
}

fn stmatrix(ctx: &mut Ctx) -> Decoded<Op> {
    let (number, transpose, space) = shape_of_matrices(ctx)?;
    let s = ctx.srcs(1, Ty::B32)?;
    registers(ctx, "source", number as usize, s.len())?;
    Ok(Op::StMatrix { number, transpose, s, addr: ctx.addr(0)?, space })
}

fn registers(ctx: &Ctx, what: &str, wanted: usize, found: usize) -> Decoded<()> {
    if wanted == found {
        return Ok(());
    }
    Err(ctx.error(format!("{wanted} registers expected as {what}, found {found}")))
}

/// `m16n8k16` → its three sizes.
fn shape(ctx: &mut Ctx) -> Decoded<(u32, u32, u32)> {
    let word = ctx.modifier().unwrap_or_default();
    let parts: Vec<u32> = word.split(['m', 'n', 'k']).filter_map(|p| p.parse().ok()).collect();
    let [m, n, k] = parts[..] else { return Err(ctx.error(format!("`.{word}` is no shape"))) };
    ctx.eat(word);
    Ok((m, n, k))
}

/// Shapes of mma.sync by the type of A: m, n, k.
fn known_shape(aty: Ty, dty: Ty, m: u32, n: u32, k: u32) -> bool {
    match (aty, dty) {
        (Ty::F16, Ty::F16 | Ty::F32) | (Ty::Bf16, Ty::F32) => m == 16 && n == 8 && (k == 8 || k == 16),
        (Ty::Tf32, Ty::F32) => m == 16 && n == 8 && (k == 4 || k == 8),
        (Ty::F64, Ty::F64) => (m == 8 && n == 8 && k == 4) || (m == 16 && n == 8 && matches!(k, 4 | 8 | 16)),
        (Ty::S8 | Ty::U8, Ty::S32) => (m == 8 && n == 8 && k == 16) || (m == 16 && n == 8 && (k == 16 || k == 32)),
        (Ty::S4 | Ty::U4, Ty::S32) => (m == 8 && n == 8 && k == 32) || (m == 16 && n == 8 && (k == 32 || k == 64)),
        (Ty::E4m3 | Ty::E5m2, Ty::F32 | Ty::F16) => m == 16 && n == 8 && (k == 16 || k == 32),
        _ => false,
    }
}

fn mma(ctx: &mut Ctx) -> Decoded<Op> {
    ctx.need("sync")?;
    ctx.need("aligned")?;
    let (m, n, k) = shape(ctx)?;
    ctx.need("row")?;
    ctx.need("col")?;
    let sat = ctx.eat("satfinite");
    let [dty, aty, bty, cty] = [ctx.ty()?, ctx.ty()?, ctx.ty()?, ctx.ty()?];
    if !known_shape(aty, dty, m, n, k) || dty != cty || aty.bits() != bty.bits() || aty.float() != bty.float() {
        return Err(ctx.error(format!("no mma of m{m}n{n}k{k} with {dty:?} = {aty:?} × {bty:?} + {cty:?}")));
    }
    ctx.need_count(4..=4)?;
    let d = ctx.regs(0)?;
    let element = if aty == Ty::F64 { Ty::F64 } else { Ty::B32 };
    let (a, b) = (ctx.srcs(1, element)?, ctx.srcs(2, element)?);
    let c = ctx.srcs(3, if cty == Ty::F16 { Ty::B32 } else { cty })?;
    let per = |elements: u32, ty: Ty| (elements * ty.bits() / (if ty == Ty::F64 { 64 } else { 32 }) / 32) as usize;
    registers(ctx, "D", per(m * n, dty), d.len())?;
    registers(ctx, "A", per(m * k, aty), a.len())?;
    registers(ctx, "B", per(n * k, bty), b.len())?;
    registers(ctx, "C", per(m * n, cty), c.len())?;
    Ok(Op::Mma(Box::new(Mma { m, n, k, dty, aty, bty, cty, sat, d, a, b, c })))
}

fn wgmma(ctx: &mut Ctx) -> Decoded<Op> {
    let action = ctx.one_of(&[("fence", 0), ("commit_group", 1), ("wait_group", 2), ("mma_async", 3)]);
    ctx.need("sync")?;
    ctx.need("aligned")?;
    match action {
        Some(0) => return Ok(Op::WgmmaFence),
        Some(1) => return Ok(Op::WgmmaCommit),
        Some(2) => return Ok(Op::WgmmaWait { keep: ctx.constant(0)? as u32 }),
        Some(_) => {}
        None => return Err(ctx.error("an action of wgmma expected")),
    }
    let (m, n, k) = shape(ctx)?;
    let (dty, aty, bty) = (ctx.ty()?, ctx.ty()?, ctx.ty()?);
    let sat = ctx.eat("satfinite");
    let expected_k = match aty {
        Ty::F16 | Ty::Bf16 => 16,
        Ty::Tf32 => 8,
        Ty::S8 | Ty::U8 | Ty::E4m3 | Ty::E5m2 => 32,
        _ => 0,
    };
    let accumulates = match aty {
        Ty::F16 | Ty::E4m3 | Ty::E5m2 => matches!(dty, Ty::F16 | Ty::F32),
        Ty::Bf16 | Ty::Tf32 => dty == Ty::F32,
        _ => dty == Ty::S32,
    };
    let integer = aty.integer();
    let wide = n % 8 == 0 && (8..=256).contains(&n) && (!integer || n % 16 == 0 || n == 8 || n == 24);
    if m != 64 || k != expected_k || !wide || !accumulates || aty.bits() != bty.bits() {
        return Err(ctx.error(format!("no wgmma of m{m}n{n}k{k} with {dty:?} += {aty:?} × {bty:?}")));
    }
    let d = ctx.regs(0)?;
    registers(ctx, "D", (n / 8 * if dty == Ty::F16 { 2 } else { 4 }) as usize, d.len())?;
    let in_registers = matches!(ctx.arg(1)?, Arg::Vector(_));
    let a = if in_registers {
        let a = ctx.regs(1)?;
        registers(ctx, "A", 4, a.len())?;
        WgmmaA::Registers(a)
    } else {
        WgmmaA::Descriptor(ctx.src(1, Ty::B64)?)
    };
    let b: Src = ctx.src(2, Ty::B64)?;
    let transposes = matches!(aty, Ty::F16 | Ty::Bf16);
    let operands = if integer { 4 } else { 6 + if transposes { 2 - usize::from(in_registers) } else { 0 } };
    ctx.need_count(operands..=operands)?;
    let scale_d = ctx.psrc(3)?;
    let mut sign = |k: usize| -> Decoded<bool> {
        if integer {
            return Ok(false);
        }
        match ctx.constant(k)? as i64 {
            1 => Ok(false),
            -1 => Ok(true),
            other => Err(ctx.error(format!("1 or -1 expected as sign, found {other}"))),
        }
    };
    let (negate_a, negate_b) = (sign(4)?, sign(5)?);
    let (mut transpose_a, mut transpose_b) = (false, false);
    if transposes {
        transpose_a = !in_registers && ctx.constant(6)? != 0;
        transpose_b = ctx.constant(operands - 1)? != 0;
    }
    Ok(Op::Wgmma(Box::new(Wgmma {
        n,
        k,
        dty,
        aty,
        bty,
        sat,
        d,
        a,
        b,
        scale_d,
        negate_a,
        negate_b,
        transpose_a,
        transpose_b,
    })))
}

/// Registers that any wgmma of a body reads or writes, ascending.
pub(super) fn wgmma_registers(body: &[Inst]) -> Vec<u32> {
    let mut out = Vec::new();
    for inst in body {
        if let Op::Wgmma(w) = &inst.op {
            out.extend_from_slice(&w.d);
            if let WgmmaA::Registers(a) = &w.a {
                out.extend_from_slice(a);
            }
        }
    }
    out.sort_unstable();
    out.dedup();
    out
}

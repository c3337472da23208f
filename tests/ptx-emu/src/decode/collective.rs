//! Warp collectives and barriers of warps, CTAs and clusters.

use crate::decode::{Ctx, Decoded};
use crate::inst::{AtomOp, BarKind, Op, ShflMode, Src, VoteMode};
use crate::types::Ty;

pub(super) fn decode(ctx: &mut Ctx, mnemonic: &str) -> Decoded<Option<Op>> {
    Ok(Some(match mnemonic {
        "shfl" => shfl(ctx)?,
        "vote" => vote(ctx)?,
        "match" => matching(ctx)?,
        "redux" => redux(ctx)?,
        "elect" => {
            ctx.need("sync")?;
            ctx.need_count(2..=2)?;
            let (d, p) = ctx.pair(0)?;
            let d = ctx.sink(&d)?;
            let p = match p {
                Some(p) => ctx.pred_sink(&p)?,
                None => return Err(ctx.error("elect.sync writes `d|p`")),
            };
            Op::Elect { d, p, mask: ctx.src(1, Ty::B32)? }
        }
        "activemask" => {
            ctx.need("b32")?;
            Op::ActiveMask { d: ctx.reg(0)? }
        }
        "bar" | "barrier" => barrier(ctx, mnemonic == "bar")?,
        _ => return Ok(None),
    }))
}

fn shfl(ctx: &mut Ctx) -> Decoded<Op> {
    ctx.need("sync")?;
    let modes = [("up", ShflMode::Up), ("down", ShflMode::Down), ("bfly", ShflMode::Bfly), ("idx", ShflMode::Idx)];
    let mode = ctx.one_of(&modes).ok_or_else(|| ctx.error("a mode of shfl expected"))?;
    ctx.need("b32")?;
    ctx.need_count(5..=5)?;
    let (d, p) = ctx.pair(0)?;
    let d = ctx.sink(&d)?.ok_or_else(|| ctx.error("shfl needs a destination"))?;
    let p = match p {
        Some(p) => ctx.pred_sink(&p)?,
        None => None,
    };
    let [a, b, c, mask] = [ctx.src(1, Ty::B32)?, ctx.src(2, Ty::B32)?, ctx.src(3, Ty::B32)?, ctx.src(4, Ty::B32)?];
    Ok(Op::Shfl { mode, d, p, a, b, c, mask })
}

fn vote(ctx: &mut Ctx) -> Decoded<Op> {
    ctx.need("sync")?;
    let modes = [("all", VoteMode::All), ("any", VoteMode::Any), ("uni", VoteMode::Uni), ("ballot", VoteMode::Ballot)];
    let mode = ctx.one_of(&modes).ok_or_else(|| ctx.error("a mode of vote expected"))?;
    ctx.need_count(3..=3)?;
    let (mut d, mut p) = (0, 0);
    if mode == VoteMode::Ballot {
        ctx.need("b32")?;
        d = ctx.reg(0)?;
    } else {
        ctx.need("pred")?;
        p = ctx.pred(0)?;
    }
    Ok(Op::Vote { mode, d, p, a: ctx.psrc(1)?, mask: ctx.src(2, Ty::B32)? })
}

fn matching(ctx: &mut Ctx) -> Decoded<Op> {
    let all = ctx.eat("all");
    if !all {
        ctx.need("any")?;
    }
    ctx.need("sync")?;
    let ty = ctx.ty()?;
    ctx.need_count(3..=3)?;
    let (d, p) = ctx.pair(0)?;
    let d = ctx.sink(&d)?;
    let p = match p {
        Some(p) => ctx.pred_sink(&p)?,
        None => None,
    };
    Ok(Op::Match { all, d, p, a: ctx.src(1, ty)?, mask: ctx.src(2, Ty::B32)? })
}

fn redux(ctx: &mut Ctx) -> Decoded<Op> {
    ctx.need("sync")?;
    let ops = [
        ("add", AtomOp::Add),
        ("min", AtomOp::Min),
        ("max", AtomOp::Max),
        ("and", AtomOp::And),
        ("or", AtomOp::Or),
        ("xor", AtomOp::Xor),
    ];
    let op = ctx.one_of(&ops).ok_or_else(|| ctx.error("an operation of redux expected"))?;
    let ty = ctx.ty()?;
    if !matches!(ty, Ty::U32 | Ty::S32 | Ty::B32) {
        return Err(ctx.error(format!("redux has no type {ty:?}")));
    }
    ctx.need_count(3..=3)?;
    Ok(Op::Redux { op, signed: ty == Ty::S32, d: ctx.reg(0)?, a: ctx.src(1, ty)?, mask: ctx.src(2, Ty::B32)? })
}

/// `bar.sync` is `barrier.sync.aligned`.
fn barrier(ctx: &mut Ctx, short: bool) -> Decoded<Op> {
    if ctx.eat("warp") {
        ctx.need("sync")?;
        return Ok(Op::BarWarp { mask: ctx.src(0, Ty::B32)? });
    }
    if ctx.eat("cluster") {
        let wait = ctx.eat("wait");
        if !wait {
            ctx.need("arrive")?;
        }
        let releases = !ctx.eat("relaxed");
        ctx.eat_any(&["acquire", "release"]);
        let aligned = ctx.eat("aligned");
        return Ok(Op::BarCluster { wait, releases, aligned });
    }
    ctx.eat("cta");
    let (kind, mut p, mut to, mut to_pred) = if ctx.eat("sync") {
        (BarKind::Sync, None, None, None)
    } else if ctx.eat("arrive") {
        (BarKind::Arrive, None, None, None)
    } else {
        ctx.need("red")?;
        let kinds = [("popc", BarKind::RedPopc), ("and", BarKind::RedAnd), ("or", BarKind::RedOr)];
        let kind = ctx.one_of(&kinds).ok_or_else(|| ctx.error("an operation of bar.red expected"))?;
        (kind, None, None, None)
    };
    let mut aligned = short;
    aligned |= ctx.eat("aligned");
    if !matches!(kind, BarKind::Sync | BarKind::Arrive) {
        let last = ctx.count().saturating_sub(1);
        if kind == BarKind::RedPopc {
            ctx.need("u32")?;
            to = Some(ctx.reg(0)?);
        } else {
            ctx.need("pred")?;
            to_pred = Some(ctx.pred(0)?);
        }
        aligned |= ctx.eat("aligned");
        p = Some(ctx.psrc(last)?);
        ctx.need_count(3..=4)?;
        let count = if ctx.count() == 4 { Some(ctx.src(2, Ty::U32)?) } else { None };
        return Ok(Op::Bar { kind, id: ctx.src(1, Ty::U32)?, count, p, to, to_pred, aligned });
    }
    ctx.need_count(1..=2)?;
    let count = if ctx.count() == 2 { Some(ctx.src(1, Ty::U32)?) } else { None };
    if kind == BarKind::Arrive && count.is_none() {
        return Err(ctx.error("bar.arrive needs a thread count"));
    }
    let id: Src = ctx.src(0, Ty::U32)?;
    Ok(Op::Bar { kind, id, count, p, to, to_pred, aligned })
}

//! cp.async.bulk and cp.reduce.async.bulk, plain and of tensors.

use crate::decode::{Ctx, Decoded};
use crate::inst::{AtomOp, Bulk, Op, TensorPart};
use crate::raw::Arg;
use crate::types::{Space, Ty};

const REDUCTIONS: &[(&str, AtomOp)] = &[
    ("add", AtomOp::Add),
    ("min", AtomOp::Min),
    ("max", AtomOp::Max),
    ("inc", AtomOp::Inc),
    ("dec", AtomOp::Dec),
    ("and", AtomOp::And),
    ("or", AtomOp::Or),
    ("xor", AtomOp::Xor),
];

pub(super) fn decode(ctx: &mut Ctx, mnemonic: &str) -> Decoded<Option<Op>> {
    if mnemonic == "prefetch" || mnemonic != "cp" {
        return Ok(None);
    }
    let reduces = ctx.eat("reduce");
    ctx.need("async")?;
    ctx.need("bulk")?;
    if ctx.eat("commit_group") {
        return Ok(Some(Op::BulkCommit));
    }
    if ctx.eat("wait_group") {
        let read = ctx.eat("read");
        return Ok(Some(Op::BulkWait { keep: ctx.constant(0)? as u32, read }));
    }
    if ctx.eat("prefetch") {
        while let Some(word) = ctx.modifier() {
            ctx.eat(word);
        }
        return Ok(Some(Op::Nothing));
    }
    let rank = if ctx.eat("tensor") {
        let ranks = [("1d", 1), ("2d", 2), ("3d", 3), ("4d", 4), ("5d", 5)];
        Some(ctx.one_of(&ranks).ok_or_else(|| ctx.error("`.1d` to `.5d` expected"))?)
    } else {
        None
    };
    let spaces = [("global", Space::Global), ("shared::cta", Space::Shared), ("shared::cluster", Space::SharedCluster)];
    let to = ctx.one_of(&spaces).ok_or_else(|| ctx.error("the target's space expected"))?;
    let from = ctx.one_of(&spaces).ok_or_else(|| ctx.error("the source's space expected"))?;
    let mut bulk = Bulk {
        from,
        to,
        shared: None,
        plain: None,
        size: None,
        tensor: None,
        mbarrier: None,
        multicast: None,
        reduce: None,
    };
    let stores = to == Space::Global;
    if reduces && rank.is_none() {
        completion(ctx, stores)?;
    }
    let early = if reduces { Some(reduction(ctx)?) } else { None };
    let im2col = ctx.eat("im2col");
    if !im2col && rank.is_some() {
        ctx.eat("tile");
    }
    if !(reduces && rank.is_none()) {
        completion(ctx, stores)?;
    }
    let multicast = ctx.eat("multicast::cluster");
    let policies = ctx.hints();
    if let Some(op) = early {
        ctx.eat("noftz");
        let ty = if rank.is_none() { Some(ctx.ty()?) } else { None };
        bulk.reduce = Some((op, ty));
    }
    match rank {
        Some(rank) => tensor(ctx, &mut bulk, rank, im2col, stores)?,
        None => plain(ctx, &mut bulk, stores)?,
    }
    let mut wanted = match (rank.is_some(), stores) {
        (true, true) => 2,
        (true, false) => 3 + usize::from(im2col),
        (false, true) => 3,
        (false, false) => 4,
    };
    if multicast {
        bulk.multicast = Some(ctx.src(wanted, Ty::U16)?);
        wanted += 1;
    }
    ctx.need_count(wanted + policies..=wanted + policies)?;
    Ok(Some(Op::Bulk(Box::new(bulk))))
}

fn completion(ctx: &mut Ctx, stores: bool) -> Decoded<()> {
    ctx.need(if stores { "bulk_group" } else { "mbarrier::complete_tx::bytes" })
}

fn reduction(ctx: &mut Ctx) -> Decoded<AtomOp> {
    ctx.one_of(REDUCTIONS).ok_or_else(|| ctx.error("an operation of the reduction expected"))
}

fn plain(ctx: &mut Ctx, bulk: &mut Bulk, stores: bool) -> Decoded<()> {
    let (to, from) = (ctx.addr(0)?, ctx.addr(1)?);
    bulk.size = Some(ctx.src(2, Ty::U32)?);
    if stores {
        (bulk.plain, bulk.shared) = (Some(to), Some(from));
    } else {
        (bulk.shared, bulk.plain) = (Some(to), Some(from));
        bulk.mbarrier = Some(ctx.addr(3)?);
    }
    Ok(())
}

fn tensor(ctx: &mut Ctx, bulk: &mut Bulk, rank: usize, im2col: bool, stores: bool) -> Decoded<()> {
    let at = usize::from(!stores);
    let Arg::Address { base, offset, coords: Some(coords) } = ctx.arg(at)?.clone() else {
        return Err(ctx.error("`[tensor map, {coordinates}]` expected"));
    };
    if coords.len() != rank {
        return Err(ctx.error(format!("{rank} coordinates expected, found {}", coords.len())));
    }
    let map = ctx.addr_of(base, offset)?;
    let coords: Decoded<Vec<_>> = coords.iter().map(|c| ctx.src_of(c, Ty::S32)).collect();
    let mut offsets = None;
    if im2col && !stores {
        let list = ctx.srcs(3, Ty::U16)?;
        if list.len() + 2 != rank {
            return Err(ctx.error(format!("{} offsets expected, found {}", rank.saturating_sub(2), list.len())));
        }
        offsets = Some(list);
    } else if im2col {
        offsets = Some(Vec::new());
    }
    bulk.shared = Some(ctx.addr(1 - at)?);
    if !stores {
        bulk.mbarrier = Some(ctx.addr(2)?);
    }
    bulk.tensor = Some(TensorPart { map, coords: coords?, offsets });
    Ok(())
}

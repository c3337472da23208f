//! Loads, stores, atomics, fences, prefetches.

use crate::decode::{Ctx, Decoded};
use crate::inst::{Access, Atom, AtomOp, FenceKind, Op, Order};
use crate::types::{SPACES, Space, Ty};

const ATOM_OPS: &[(&str, AtomOp)] = &[
    ("add", AtomOp::Add),
    ("min", AtomOp::Min),
    ("max", AtomOp::Max),
    ("inc", AtomOp::Inc),
    ("dec", AtomOp::Dec),
    ("and", AtomOp::And),
    ("or", AtomOp::Or),
    ("xor", AtomOp::Xor),
    ("exch", AtomOp::Exch),
    ("cas", AtomOp::Cas),
];

pub(super) fn decode(ctx: &mut Ctx, mnemonic: &str) -> Decoded<Option<Op>> {
    Ok(Some(match mnemonic {
        "ld" | "ldu" => load(ctx)?,
        "st" => store(ctx)?,
        "atom" => atom(ctx, true)?,
        "red" => atom(ctx, false)?,
        "membar" => {
            if ctx.eat("proxy") {
                return Err(ctx.error("membar.proxy is not executed; use fence.proxy"));
            }
            if !ctx.eat_any(&["cta", "gl", "sys"]) {
                return Err(ctx.error("a scope expected"));
            }
            Op::Fence(FenceKind::Memory)
        }
        "fence" => fence(ctx)?,
        "prefetch" | "prefetchu" | "applypriority" | "discard" => {
            while let Some(word) = ctx.modifier() {
                ctx.eat(word);
            }
            ctx.addr(0)?;
            Op::Nothing
        }
        _ => return Ok(None),
    }))
}

/// `.volatile`, `.relaxed.gpu` and the like.
fn order(ctx: &mut Ctx) -> Order {
    let mut order = Order::default();
    loop {
        if ctx.eat_any(&["volatile", "relaxed", "mmio"]) {
            order.strong = true;
        } else if ctx.eat("acquire") {
            order = Order { strong: true, acquire: true, ..order };
        } else if ctx.eat("release") {
            order = Order { strong: true, release: true, ..order };
        } else if ctx.eat("acq_rel") {
            order = Order { strong: true, acquire: true, release: true };
        } else if !ctx.eat_any(&["weak", "cta", "cluster", "gpu", "sys"]) {
            return order;
        }
    }
}

/// Space and cache operators, in the orders that PTX has.
fn space(ctx: &mut Ctx) -> (Space, usize) {
    let mut space = Space::Generic;
    let mut policies = 0;
    loop {
        let hints = ctx.hints();
        policies += hints;
        if let Some(found) = ctx.one_of(SPACES) {
            space = found;
        } else if !ctx.eat_any(&["ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc"]) && hints == 0 {
            return (space, policies);
        }
    }
}

fn vector(ctx: &mut Ctx) -> usize {
    ctx.one_of(&[("v2", 2), ("v4", 4)]).unwrap_or(1)
}

fn element(ctx: &mut Ctx, wanted: usize, found: usize) -> Decoded<()> {
    if wanted == found {
        return Ok(());
    }
    Err(ctx.error(format!("{wanted} elements expected in the vector, found {found}")))
}

fn load(ctx: &mut Ctx) -> Decoded<Op> {
    let order = order(ctx);
    let (space, policies) = space(ctx);
    let wanted = vector(ctx);
    let ty = ctx.ty()?;
    ctx.need_count(2 + policies..=2 + policies)?;
    let to = ctx.sinks(0)?;
    element(ctx, wanted, to.len())?;
    Ok(Op::Ld(Box::new(Access { space, ty, order, addr: ctx.addr(1)?, to, from: Vec::new() })))
}

fn store(ctx: &mut Ctx) -> Decoded<Op> {
    let order = order(ctx);
    if ctx.has("async") {
        return Err(ctx.error("st.async is not executed"));
    }
    let (space, policies) = space(ctx);
    let wanted = vector(ctx);
    let ty = ctx.ty()?;
    ctx.need_count(2 + policies..=2 + policies)?;
    let from = ctx.srcs(1, ty)?;
    element(ctx, wanted, from.len())?;
    Ok(Op::St(Box::new(Access { space, ty, order, addr: ctx.addr(0)?, to: Vec::new(), from })))
}

fn atom(ctx: &mut Ctx, returns: bool) -> Decoded<Op> {
    if ctx.has("async") {
        return Err(ctx.error("red.async is not executed"));
    }
    let mut order = order(ctx);
    let (space, _) = space(ctx);
    let after = self::order(ctx);
    order.acquire |= after.acquire;
    order.release |= after.release;
    order.strong = true;
    let space = if space == Space::Generic { ctx.one_of(SPACES).unwrap_or(space) } else { space };
    let op = ctx.one_of(ATOM_OPS).ok_or_else(|| ctx.error("an atomic operation expected"))?;
    ctx.eat("noftz");
    let policies = ctx.hints();
    let mut wanted = vector(ctx);
    ctx.eat("noftz");
    let ty = ctx.ty()?;
    wanted += vector(ctx) - 1;
    let known = match op {
        AtomOp::Add => !matches!(ty, Ty::B8 | Ty::B16 | Ty::B32 | Ty::B64 | Ty::U8 | Ty::S8),
        AtomOp::Min | AtomOp::Max => ty.integer() || ty.bits() <= 32 && ty != Ty::F32,
        AtomOp::Inc | AtomOp::Dec => ty == Ty::U32,
        AtomOp::And | AtomOp::Or | AtomOp::Xor => matches!(ty, Ty::B32 | Ty::B64),
        AtomOp::Exch | AtomOp::Cas => matches!(ty, Ty::B16 | Ty::B32 | Ty::B64),
    };
    if !known {
        return Err(ctx.error(format!("this atomic operation has no type {ty:?}")));
    }
    let first = usize::from(returns);
    let operands = first + 2 + usize::from(op == AtomOp::Cas);
    ctx.need_count(operands..=operands + policies)?;
    let to = if returns { ctx.sinks(0)? } else { Vec::new() };
    let addr = ctx.addr(first)?;
    let from = ctx.srcs(first + 1, ty)?;
    element(ctx, wanted, from.len())?;
    let swap = if op == AtomOp::Cas { Some(ctx.src(first + 2, ty)?) } else { None };
    Ok(Op::Atom(Box::new(Atom { space, op, ty, order, addr, to, from, swap })))
}

fn fence(ctx: &mut Ctx) -> Decoded<Op> {
    if ctx.eat("proxy") {
        if ctx.eat("async") {
            ctx.eat_any(&["global", "shared::cta", "shared::cluster"]);
            return Ok(Op::Fence(FenceKind::ProxyAsync));
        }
        while let Some(word) = ctx.modifier() {
            ctx.eat(word);
        }
        return Ok(Op::Fence(FenceKind::ProxyOther));
    }
    if ctx.eat("mbarrier_init") {
        ctx.need("release")?;
        ctx.need("cluster")?;
        return Ok(Op::Fence(FenceKind::Memory));
    }
    ctx.eat_any(&["sc", "acq_rel", "acquire", "release"]);
    ctx.eat_any(&["sync_restrict::shared::cta", "sync_restrict::shared::cluster"]);
    if !ctx.eat_any(&["cta", "cluster", "gpu", "sys"]) {
        return Err(ctx.error("a scope expected"));
    }
    Ok(Op::Fence(FenceKind::Memory))
}

//! cp.async and mbarrier.

use crate::decode::{Ctx, Decoded};
use crate::inst::{Mbar, Op, Src};
use crate::raw::Arg;
use crate::types::{SPACES, Space, Ty};

pub(super) fn decode(ctx: &mut Ctx, mnemonic: &str) -> Decoded<Option<Op>> {
    Ok(Some(match mnemonic {
        "cp" if ctx.has("async") && !ctx.has("bulk") => cp_async(ctx)?,
        "mbarrier" => mbarrier(ctx)?,
        _ => return Ok(None),
    }))
}

fn cp_async(ctx: &mut Ctx) -> Decoded<Op> {
    ctx.need("async")?;
    if ctx.eat("commit_group") {
        return Ok(Op::CpAsyncCommit);
    }
    if ctx.eat("wait_all") {
        return Ok(Op::CpAsyncWait { keep: None });
    }
    if ctx.eat("wait_group") {
        return Ok(Op::CpAsyncWait { keep: Some(ctx.constant(0)? as u32) });
    }
    if ctx.eat("mbarrier") {
        ctx.need("arrive")?;
        let counted = ctx.eat("noinc");
        let space = ctx.one_of(SPACES).unwrap_or(Space::Generic);
        ctx.need("b64")?;
        return Ok(Op::Mbar { f: Mbar::AfterCopies { counted }, addr: ctx.addr(0)?, space });
    }
    let whole_lines = ctx.eat("cg");
    if !whole_lines {
        ctx.need("ca")?;
    }
    if !ctx.eat("shared::cta") {
        ctx.need("shared")?;
    }
    ctx.need("global")?;
    let policies = ctx.hints();
    let size = ctx.constant(2)?;
    if !(size == 16 || !whole_lines && (size == 4 || size == 8)) {
        return Err(ctx.error(format!("cp.async of {size} bytes: .cg copies 16, .ca 4, 8 or 16")));
    }
    ctx.need_count(3..=4 + policies)?;
    let (mut source_size, mut ignore) = (None, None);
    if ctx.count() == 4 + policies {
        if ctx.is_pred(3) {
            ignore = Some(ctx.psrc(3)?);
        } else {
            source_size = Some(ctx.src(3, Ty::U32)?);
        }
    }
    Ok(Op::CpAsync { to: ctx.addr(0)?, from: ctx.addr(1)?, size: size as u32, source_size, ignore })
}

fn mbarrier(ctx: &mut Ctx) -> Decoded<Op> {
    let actions = [
        ("init", 0),
        ("inval", 1),
        ("arrive", 2),
        ("arrive_drop", 3),
        ("expect_tx", 4),
        ("complete_tx", 5),
        ("test_wait", 6),
        ("try_wait", 7),
    ];
    let action = ctx.one_of(&actions).ok_or_else(|| ctx.error("an action of mbarrier expected"))?;
    let expects = action >= 2 && ctx.eat("expect_tx");
    let parity = action >= 6 && ctx.eat("parity");
    ctx.eat_any(&["release", "acquire", "relaxed"]);
    ctx.eat_any(&["cta", "cluster"]);
    let space = ctx.one_of(SPACES).unwrap_or(Space::Generic);
    ctx.need("b64")?;
    let (f, at) = match action {
        0 => {
            ctx.need_count(2..=2)?;
            (Mbar::Init { count: ctx.src(1, Ty::U32)? }, 0)
        }
        1 => (Mbar::Inval, 0),
        2 | 3 => return arrive(ctx, space, action == 3, expects),
        4 => (Mbar::ExpectTx { bytes: ctx.src(1, Ty::U32)? }, 0),
        5 => (Mbar::CompleteTx { bytes: ctx.src(1, Ty::U32)? }, 0),
        _ => {
            ctx.need_count(3..=4)?;
            let token = ctx.src(2, if parity { Ty::U32 } else { Ty::U64 })?;
            (Mbar::Wait { done: ctx.pred(0)?, token, parity }, 1)
        }
    };
    Ok(Op::Mbar { f, addr: ctx.addr(at)?, space })
}

/// The state may be left out where the barrier lies in another CTA.
fn arrive(ctx: &mut Ctx, space: Space, drop: bool, expects: bool) -> Decoded<Op> {
    let with_state = !ctx.is_addr(0);
    let at = usize::from(with_state);
    let state = match (with_state, ctx.arg(0)?.clone()) {
        (true, arg @ Arg::Word { .. }) => ctx.sink(&arg)?,
        _ => None,
    };
    ctx.need_count(at + 1..=at + 2)?;
    let last: Option<Src> = if ctx.count() == at + 2 { Some(ctx.src(at + 1, Ty::U32)?) } else { None };
    if expects && last.is_none() {
        return Err(ctx.error("the bytes to expect are missing"));
    }
    let (count, expect) = if expects { (None, last) } else { (last, None) };
    Ok(Op::Mbar { f: Mbar::Arrive { count, expect, state, drop }, addr: ctx.addr(at)?, space })
}

//! Reductions that several CTAs share: what each leaves in the scratch, and the launch that combines it.
//!
//! ```text
//! scratch: [register of a state][part][point], 8 bytes each
//! ```

use graph::dim::Dim;
use ptx::{Space, Type};
use ptx_expr::{Int, Relation, Width};

use crate::error::PtxError;
use crate::flat::Flat;
use crate::index::Ix;
use crate::point::{Place, Stage};
use crate::points::{Sinks, blocks};
use crate::reduce::{Share, combine, outputs, seat, states};
use crate::state::State;
use crate::writer::{V, Writer};

/// Bytes of scratch for the states of all parts.
pub fn parked_bytes(flat: &Flat, parts: u32) -> Dim {
    let slots: usize = flat.accs.iter().map(|a| crate::state::widths(a, flat.exprs.dtype(a.value)).len()).sum();
    &flat.points() * &Dim::constant(8 * i64::from(parts) * slots as i64)
}

/// Address of the states of one part of one point; the registers of a state lie `parts * points * 8` bytes apart.
fn parked(w: &mut Writer, flat: &Flat, ix: Ix, part: V, point: V) -> V {
    let base = w.workspace(&Dim::constant(0));
    let points = w.size(ix, &flat.points());
    let part = w.ix_from32(ix, part);
    let at = w.ix_mad(ix, part, points, point);
    w.global_address(base, ix, at, 8)
}

fn next_slot(w: &mut Writer, flat: &Flat, parts: u32, address: V) -> V {
    let bytes = &flat.points() * &Dim::constant(8 * i64::from(parts));
    let bytes = w.size(Ix::Wide, &bytes);
    w.ix_add(Ix::Wide, address, bytes)
}

pub(super) fn park(
    w: &mut Writer,
    flat: &Flat,
    ix: Ix,
    states: &[State],
    part: V,
    point: V,
    parts: u32,
) -> Result<(), PtxError> {
    let mut address = parked(w, flat, ix, part, point);
    for state in states {
        for (reg, width) in state.regs.iter().zip(state.widths()) {
            let ty = if width == Width::B64 { Type::B64 } else { Type::B32 };
            let (at, reg) = (w.address(address), w.reg(*reg, ty));
            w.b().st(Space::Global, ty, at, reg);
            address = next_slot(w, flat, parts, address);
        }
    }
    Ok(())
}

/// The second launch: one warp a point combines what the parts left.
pub fn emit_parts(
    w: &mut Writer,
    flat: &Flat,
    ix: Ix,
    parts: u32,
    places: Vec<Place>,
    sinks: &Sinks<'_>,
) -> Result<[Dim; 3], PtxError> {
    let share = Share { points: 4, lanes: 32, vector: 1, rows: true, parts: 1 };
    let stage = Stage::new(flat, ix, places);
    let seat = seat(w, flat, ix, share);
    let index = w.unravel(ix, seat.point, &flat.parallel);
    let states = states(w, flat)?;
    let (end, step) = (w.m.u32(parts), w.m.u32(share.lanes));
    w.count(Ix::Narrow, seat.lane, end, step, |w, part| {
        let mut address = parked(w, flat, ix, part, seat.point);
        for state in &states {
            let mut other = Vec::new();
            for width in state.widths() {
                let ty = if width == Width::B64 { Type::B64 } else { Type::B32 };
                let at = w.address(address);
                let reg = w.b().ld(Space::Global, ty, at);
                other.push(w.value_of(reg));
                address = next_slot(w, flat, parts, address);
            }
            state.merge(w, &other, None)?;
        }
        Ok(())
    })?;
    combine(w, &states, share, seat.lane)?;
    let zero = w.m.u32(0);
    let leads = w.m.icmp(Relation::Eq, Int::U32, seat.lane, zero);
    let writes = w.m.and(Width::Pred, leads, seat.valid);
    w.when(writes, |w| outputs(w, &stage, &index, &states, sinks))?;
    Ok([blocks(&flat.points(), share.points), Dim::constant(1), Dim::constant(1)])
}

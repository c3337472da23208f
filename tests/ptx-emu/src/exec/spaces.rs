//! Addresses: which memory they name, and the instructions that translate them.
//!
//! Generic addresses: global memory has its own; shared memory of rank r of the cluster begins at `SHARED + r * 2^24`; local memory and
//! parameters have one window each. A 32-bit shared address has rank + 1 in its upper byte after mapa, and 0 there for the own CTA.

use crate::block::Block;
use crate::decode::PARAM_BASE;
use crate::fault::FaultKind;
use crate::inst::{Inst, Op};
use crate::machine::Machine;
use crate::types::Space;
use crate::warp::{Warp, lanes};

const SHARED: u64 = 0x7f00_0000_0000;
const LOCAL: u64 = 0x7e00_0000_0000;
const WINDOW: u64 = 0x0100_0000_0000;
const RANK_SHIFT: u32 = 24;

/// A memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Global(usize),
    /// Of a resident CTA.
    Shared(usize),
    Local,
    Param,
}

/// Why an address is refused.
pub(crate) type Refused = (FaultKind, String);

impl Machine<'_> {
    /// Memory and offset of an access, within bounds and aligned.
    #[inline]
    pub fn locate(&self, space: Space, address: u64, bytes: u64) -> Result<(Place, usize), Refused> {
        if bytes > 1 && address & (bytes - 1) != 0 {
            return Err((FaultKind::Misaligned, format!("no multiple of {bytes}")));
        }
        let (place, offset) = self.place(space, address)?;
        let size = match place {
            Place::Global(k) => {
                let a = &self.global.list[k];
                if a.freed {
                    return Err((FaultKind::UseAfterFree, format!("allocation {k} is freed")));
                }
                a.size
            }
            Place::Shared(c) => self.ctas[c].shared.data.len() as u64,
            Place::Local => u64::from(self.entry.local_bytes),
            Place::Param => self.launch.params.len() as u64,
        };
        if offset.checked_add(bytes).is_some_and(|end| end <= size) {
            return Ok((place, offset as usize));
        }
        let what = match place {
            Place::Global(_) => self.global.describe(address),
            Place::Shared(_) => format!("shared memory has {size} bytes"),
            Place::Local => format!("local memory has {size} bytes"),
            Place::Param => format!("the parameters have {size} bytes"),
        };
        Err((FaultKind::OutOfBounds, format!("{bytes} bytes at {what}")))
    }

    #[inline]
    fn place(&self, space: Space, address: u64) -> Result<(Place, u64), Refused> {
        match space {
            Space::Shared => Ok((Place::Shared(self.cta), address & 0xffff_ffff)),
            Space::SharedCluster => {
                let address = address & 0xffff_ffff;
                let rank = (address >> RANK_SHIFT).checked_sub(1).unwrap_or(u64::from(self.ctas[self.cta].rank));
                self.of_rank(rank).map(|c| (Place::Shared(c), address & ((1 << RANK_SHIFT) - 1)))
            }
            Space::Local => Ok((Place::Local, address & 0xffff_ffff)),
            Space::Param => Ok((Place::Param, address.wrapping_sub(PARAM_BASE))),
            Space::Global | Space::Const => self.in_global(address),
            Space::Generic => {
                let within = |base: u64| (base..base + WINDOW).contains(&address);
                if within(SHARED) {
                    let offset = address - SHARED;
                    let c = self.of_rank(offset >> RANK_SHIFT)?;
                    Ok((Place::Shared(c), offset & ((1 << RANK_SHIFT) - 1)))
                } else if within(LOCAL) {
                    Ok((Place::Local, address - LOCAL))
                } else if within(PARAM_BASE) {
                    Ok((Place::Param, address - PARAM_BASE))
                } else {
                    self.in_global(address)
                }
            }
        }
    }

    #[inline]
    fn in_global(&self, address: u64) -> Result<(Place, u64), Refused> {
        match self.global.find(address) {
            Some(k) => Ok((Place::Global(k), address - self.global.list[k].start)),
            None => Err((FaultKind::OutOfBounds, "below every allocation".to_string())),
        }
    }

    /// The resident CTA of a rank in the running cluster.
    pub fn of_rank(&self, rank: u64) -> Result<usize, Refused> {
        let size: u32 = self.cluster.iter().product();
        if rank >= u64::from(size) {
            return Err((FaultKind::OutOfBounds, format!("rank {rank} in a cluster of {size} CTAs")));
        }
        Ok(self.ctas[self.cta].first + rank as usize)
    }

    /// The bytes of a place that has a block.
    #[inline]
    pub fn block(&mut self, place: Place) -> Option<&mut Block> {
        match place {
            Place::Global(k) => Some(&mut self.global.fresh(k).block),
            Place::Shared(c) => Some(&mut self.ctas[c].shared),
            Place::Local | Place::Param => None,
        }
    }

    /// cvta, isspacep, mapa, getctarank.
    pub fn address_question(&mut self, warp: &mut Warp, inst: &Inst, mask: u32) {
        let own = u64::from(self.ctas[self.cta].rank);
        match &inst.op {
            Op::Cvta { space, to_space, d, a } => {
                self.check1(warp, a, mask, inst.line);
                let base = match space {
                    Space::Shared => SHARED + (own << RANK_SHIFT),
                    Space::SharedCluster => SHARED,
                    Space::Local => LOCAL,
                    Space::Global | Space::Const | Space::Param | Space::Generic => 0,
                };
                let far = *space == Space::SharedCluster;
                let to_generic = |v: u64| match (far, v >> RANK_SHIFT) {
                    (true, 0) => base.wrapping_add((own << RANK_SHIFT).wrapping_add(v)),
                    (true, _) => base.wrapping_add(v).wrapping_sub(1 << RANK_SHIFT),
                    (false, _) => base.wrapping_add(v),
                };
                let to_space_of = |v: u64| {
                    if far { v.wrapping_sub(base).wrapping_add(1 << RANK_SHIFT) } else { v.wrapping_sub(base) }
                };
                let out = warp.copy(a).map(|v| if *to_space { to_space_of(v) } else { to_generic(v) });
                warp.put(*d, &out, mask);
            }
            Op::IsSpace { space, d, a } => {
                self.check1(warp, a, mask, inst.line);
                let holds = |v: u64| {
                    let shared = (SHARED..SHARED + WINDOW).contains(&v);
                    let local = (LOCAL..LOCAL + WINDOW).contains(&v);
                    let param = (PARAM_BASE..PARAM_BASE + WINDOW).contains(&v);
                    match space {
                        Space::Shared => shared && (v - SHARED) >> RANK_SHIFT == own,
                        Space::SharedCluster => shared,
                        Space::Local => local,
                        Space::Param => param,
                        Space::Global | Space::Const | Space::Generic => !(shared || local || param),
                    }
                };
                let values = warp.copy(a);
                let truth = (0..32).fold(0, |m, l| m | u32::from(holds(values[l])) << l);
                warp.put_pred(*d, truth, mask);
            }
            Op::Mapa { d, a, rank, generic } => {
                self.check1(warp, a, mask, inst.line);
                self.check1(warp, rank, mask, inst.line);
                let (values, ranks) = (warp.copy(a), warp.copy(rank));
                for lane in lanes(mask) {
                    if let Err((kind, detail)) = self.of_rank(ranks[lane]) {
                        self.fault(warp, lane as u32, kind, inst.line, None, &detail);
                    }
                }
                let low = (1u64 << RANK_SHIFT) - 1;
                let out = std::array::from_fn(|l| {
                    let offset = values[l] & low;
                    let rank = ranks[l] & 15;
                    if *generic { SHARED + (rank << RANK_SHIFT) + offset } else { ((rank + 1) << RANK_SHIFT) + offset }
                });
                warp.put(*d, &out, mask);
            }
            Op::CtaRank { d, a, generic } => {
                self.check1(warp, a, mask, inst.line);
                let out = warp.copy(a).map(|v| match (generic, v >> RANK_SHIFT) {
                    (true, _) => v.wrapping_sub(SHARED) >> RANK_SHIFT,
                    (false, 0) => own,
                    (false, rank) => rank - 1,
                });
                warp.put(*d, &out, mask);
            }
            _ => {}
        }
    }
}

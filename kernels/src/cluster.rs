//! Parts of a sum added up inside a cluster: the CTAs that have a tile's parts keep them in shared memory, and each adds and
//! finishes a share of the tile.
//!
//! ```text
//! CTA 0: sums ─► shared ─┐                     CTA r reads its share of the tile from
//! CTA 1: sums ─► shared ─┼─ barrier of the ──► CTA 0, 1, 2 … in this order, adds, finishes
//! CTA 2: sums ─► shared ─┘  cluster
//! ```
//!
//! One launch and no scratch; the order of the additions is that of [`crate::split`], so the bits are too. A second barrier keeps
//! shared memory alive until the last reader is done. From sm_90 on, for up to [`MOST`] parts.

use ptx::{ArriveOrder, Builder, Form, Op, Reg, Sm, Space, Type, Vector};

use crate::finish::{Destination, Finish};
use crate::fragment::Accumulators;
use crate::launch::{KernelError, Params};
use crate::val::Val;

/// Most CTAs of a cluster on every device that has clusters.
pub const MOST: u32 = 8;

/// Whether so many parts are added inside a cluster.
pub fn takes(sm: Sm, splits: u32) -> bool {
    sm.number() >= 90 && (2..=MOST).contains(&splits)
}

/// A tile whose parts lie in the shared memory of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    pub rows: u32,
    pub columns: u32,
    pub threads: u32,
    pub splits: u32,
    /// Rows from one group of 16 rows of a warp to the next.
    pub spacing: u32,
}

impl Parts {
    /// Floats between rows: 8 more than a row has, so that pairs fall into different banks.
    const fn pitch(&self) -> u32 {
        self.columns + 8
    }

    /// Bytes of shared memory of a CTA.
    pub const fn shared(&self) -> u32 {
        self.rows * self.pitch() * 4
    }

    /// Puts a warp's sums into the CTA's shared memory; `corner` is the first row and column of the warp's part.
    pub fn keep(&self, b: &mut Builder, sums: &Accumulators, corner: (Val, Val), (lane, base): (Val, Reg)) {
        let (row, pair) = lane.div_rem(b, 4);
        let row = corner.0.add(b, row).mul(b, self.pitch() * 4);
        let column = corner.1.mul(b, 4);
        let at = pair.mul(b, 8).add(b, column).add(b, row).add(b, base).reg(b);
        for (g, group) in (0_u32..).zip(sums) {
            for (n, four) in (0_u32..).zip(group) {
                for (half, pair) in (0_u32..).zip(four.chunks(2)) {
                    let offset = (g * self.spacing + half * 8) * self.pitch() * 4 + n * 32;
                    b.st_vector(Space::Shared, Type::F32, (at, i64::from(offset)), pair);
                }
            }
        }
    }

    /// Adds and finishes the CTA's share, after all have kept theirs. `corner` is the first row and column of the tile.
    pub fn finish(
        &self,
        b: &mut Builder,
        params: &mut Params,
        sm: Sm,
        (finish, to): (&Finish, &mut Destination),
        (row, column): (Val, Val),
        (thread, base, rank): (Reg, Reg, Val),
    ) -> Result<(), KernelError> {
        meet(b);
        let vector = finish.vector();
        let per_row = self.columns / vector;
        let all = self.rows * per_row;
        let share = all.div_ceil(self.splits);
        let peers: Vec<Reg> =
            (0..self.splits).map(|peer| b.value(Form::new(Op::Mapa, ()), [base.into(), peer.into()])).collect();
        let first = rank.mul(b, share);
        for turn in 0..share.div_ceil(self.threads) {
            let within = Val::Reg(thread).add(b, turn * self.threads);
            let chunk = first.add(b, within);
            let (in_share, in_tile) = (within.less(b, share), chunk.less(b, all));
            let exists = b.and(Type::Pred, in_share, in_tile);
            b.if_then(exists, |b| {
                let (down, across) = chunk.div_rem(b, per_row);
                let across = across.mul(b, vector);
                let offset = down.mul(b, self.pitch()).add(b, across).mul(b, 4);
                let mut sums: Vec<Reg> = Vec::new();
                let parts: Vec<Vec<Reg>> = peers.iter().map(|peer| floats(b, *peer, offset, vector)).collect();
                for part in parts {
                    sums = if sums.is_empty() {
                        part
                    } else {
                        sums.iter().zip(&part).map(|(x, y)| b.add(Type::F32, *x, *y)).collect()
                    };
                }
                let place = (row.add(b, down), column.add(b, across));
                finish.store(b, params, sm, to, place, &sums)
            })?;
        }
        meet(b);
        Ok(())
    }
}

/// All threads of the cluster wait for each other and see what was written.
fn meet(b: &mut Builder) {
    b.emit(Form::new(Op::ClusterArrive, ArriveOrder::Default), []);
    b.emit(Form::new(Op::ClusterWait, ()), []);
}

/// Neighbouring floats of a CTA of the cluster.
fn floats(b: &mut Builder, peer: Reg, offset: Val, count: u32) -> Vec<Reg> {
    let at = offset.add(b, peer).reg(b);
    let width = count.min(4);
    let vector = Vector::of(width as usize).unwrap_or(Vector::One);
    let parts = (0..i64::from(count / width)).map(|k| match vector {
        Vector::One => vec![b.ld(Space::Cluster, Type::F32, (at, k * 16))],
        _ => b.ld_vector(Space::Cluster, Type::F32, vector, (at, k * 16)),
    });
    parts.collect::<Vec<_>>().concat()
}

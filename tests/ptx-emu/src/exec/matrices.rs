//! ldmatrix, stmatrix, movmatrix: 8 × 8 matrices of 16-bit elements, rows of 16 bytes in shared memory.
//!
//! Lane l holds elements 2 (l mod 4) and the next of row l / 4; with `.trans`, of column l / 4.

use crate::exec::access::write_mark;
use crate::exec::spaces::Place;
use crate::inst::{Addr, Inst, Op};
use crate::machine::Machine;
use crate::race::View;
use crate::types::Space;
use crate::warp::{Lanes, Warp};

type Matrix = [[u16; 8]; 8];

impl Machine<'_> {
    pub fn matrices(&mut self, warp: &mut Warp, inst: &Inst, mask: u32) {
        let line = inst.line;
        self.whole_warp(warp, mask, line);
        match &inst.op {
            Op::LdMatrix { number, transpose, d, addr, space } => {
                let rows = self.rows(warp, *number, addr, *space, mask, line);
                for (k, d) in d.iter().enumerate() {
                    let mut matrix: Matrix = [[0; 8]; 8];
                    for (r, row) in matrix.iter_mut().enumerate() {
                        let Some(lane_row) = rows[k * 8 + r] else { continue };
                        let bytes = self.matrix_row(warp, k * 8 + r, lane_row, line);
                        for (c, e) in row.iter_mut().enumerate() {
                            *e = u16::from_le_bytes([bytes[2 * c], bytes[2 * c + 1]]);
                        }
                    }
                    warp.put(*d, &spread(&matrix, *transpose), mask);
                }
            }
            Op::StMatrix { number, transpose, s, addr, space } => {
                let rows = self.rows(warp, *number, addr, *space, mask, line);
                self.events += 1;
                for (k, s) in s.iter().enumerate() {
                    self.check1(warp, s, mask, line);
                    let matrix = gather(&warp.copy(s), *transpose);
                    for (r, row) in matrix.iter().enumerate() {
                        if let Some((place, at)) = rows[k * 8 + r] {
                            self.store_row(warp, k * 8 + r, place, at, row, line);
                        }
                    }
                }
            }
            Op::MovMatrix { d, a } => {
                self.check1(warp, a, mask, line);
                let matrix = gather(&warp.copy(a), false);
                warp.put(*d, &spread(&matrix, true), mask);
            }
            _ => {}
        }
    }

    /// The places of all rows; lane l gives the address of row l.
    fn rows(
        &mut self,
        warp: &Warp,
        number: u32,
        addr: &Addr,
        space: Space,
        mask: u32,
        line: u32,
    ) -> [Option<(Place, usize)>; 32] {
        let used = if number == 4 { u32::MAX } else { (1 << (8 * number)) - 1 };
        let addresses = self.addresses(warp, addr, mask & used, line);
        let mut out = [None; 32];
        for lane in crate::warp::lanes(mask & used) {
            match self.locate(space, addresses[lane], 16) {
                Ok(found) => out[lane] = Some(found),
                Err((kind, detail)) => self.fault(warp, lane as u32, kind, line, Some(addresses[lane]), &detail),
            }
        }
        out
    }

    fn matrix_row(&mut self, warp: &Warp, lane: usize, (place, at): (Place, usize), line: u32) -> [u8; 16] {
        let mut out = [0; 16];
        let view = View { clock: &warp.clock, lane: lane as u32, strong: false };
        let view = self.options.races.then_some(view);
        let mut wrong = None;
        if let Some(block) = self.block(place) {
            wrong = block.reads(at, 16, view.as_ref());
            out.copy_from_slice(&block.data[at..at + 16]);
        }
        if let Some(wrong) = wrong {
            self.wrong(warp, lane, line, at as u64, at, wrong);
        }
        out
    }

    fn store_row(&mut self, warp: &Warp, lane: usize, place: Place, at: usize, row: &[u16; 8], line: u32) {
        let view = View { clock: &warp.clock, lane: lane as u32, strong: false };
        let view = self.options.races.then_some(view);
        let mark = write_mark(warp, lane);
        let mut wrong = None;
        if let Some(block) = self.block(place) {
            for (c, e) in row.iter().enumerate() {
                let found = block.writes(at + 2 * c, 2, u64::from(*e), view.as_ref());
                wrong = wrong.or(found);
                block.poke(at + 2 * c, 2, u64::from(*e));
            }
            block.written_by(at, 16, mark);
        }
        if let Some(wrong) = wrong {
            self.wrong(warp, lane, line, at as u64, at, wrong);
        }
    }
}

/// A matrix into the lanes.
fn spread(matrix: &Matrix, transpose: bool) -> Lanes {
    let element = |r: usize, c: usize| u64::from(if transpose { matrix[c][r] } else { matrix[r][c] });
    std::array::from_fn(|l| element(l / 4, 2 * (l % 4)) | element(l / 4, 2 * (l % 4) + 1) << 16)
}

fn gather(values: &Lanes, transpose: bool) -> Matrix {
    let mut out: Matrix = [[0; 8]; 8];
    for (l, value) in values.iter().enumerate() {
        for (k, e) in [*value as u16, (*value >> 16) as u16].into_iter().enumerate() {
            let (r, c) = (l / 4, 2 * (l % 4) + k);
            if transpose { out[c][r] = e } else { out[r][c] = e }
        }
    }
    out
}

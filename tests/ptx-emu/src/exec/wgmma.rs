//! wgmma: each warp of a group of four computes its sixteen rows. Products happen at the wait; until then the accumulators hold no
//! value, and operands in registers and shared memory must stay as they are.

use crate::exec::descriptor::Descriptor;
use crate::exec::fragments::{Numbers, of_a, per_register};
use crate::exec::product::{multiply, pack, unpack};
use crate::exec::spaces::Place;
use crate::fault::FaultKind;
use crate::inst::{Op, Wgmma, WgmmaA};
use crate::machine::Machine;
use crate::types::Ty;
use crate::warp::{Lanes, Warp};

/// One product in flight.
#[derive(Debug)]
struct Flight {
    /// Index of the instruction.
    pc: u32,
    a: Option<Descriptor>,
    a_registers: Vec<Lanes>,
    b: Descriptor,
    accumulate: bool,
}

/// Products of a warp.
#[derive(Debug, Default)]
pub(crate) struct State {
    open: Vec<Flight>,
    groups: Vec<Vec<Flight>>,
    /// Values of the registers of wgmma at the last fence.
    fenced: Vec<Lanes>,
}

impl State {
    pub fn in_flight(&self) -> bool {
        !self.open.is_empty() || !self.groups.iter().all(Vec::is_empty)
    }
}

impl Machine<'_> {
    pub fn wgmma_fence(&mut self, warp: &mut Warp, mask: u32, line: u32) {
        self.whole_warp(warp, mask, line);
        warp.wgmma.fenced = self.entry.wgmma_regs.iter().map(|r| warp.regs[*r as usize]).collect();
    }

    pub fn wgmma_commit(&mut self, warp: &mut Warp, mask: u32, line: u32) {
        self.whole_warp(warp, mask, line);
        let group = std::mem::take(&mut warp.wgmma.open);
        warp.wgmma.groups.push(group);
    }

    pub fn wgmma(&mut self, warp: &mut Warp, w: &Wgmma, mask: u32, line: u32) {
        self.whole_warp(warp, mask, line);
        let unset = warp.pred_unset(&w.scale_d, mask) | warp.unset(&w.b, mask);
        if unset != 0 {
            self.unset_fault(warp, unset, line);
        }
        let scale = warp.pred(&w.scale_d) & mask;
        if scale != 0 && scale != mask {
            self.fault(warp, 0, FaultKind::Operand, line, None, "scale-d differs between the lanes");
        }
        let accumulate = scale == mask;
        let Some(b) = self.descriptor(warp, &w.b, mask, line) else { return };
        let (mut a, mut a_registers) = (None, Vec::new());
        match &w.a {
            WgmmaA::Descriptor(src) => {
                a = self.descriptor(warp, src, mask, line);
                if a.is_none() {
                    return;
                }
            }
            WgmmaA::Registers(registers) => {
                let unset = registers.iter().fold(0, |m, r| m | mask & !warp.set[*r as usize]);
                if unset != 0 {
                    self.unset_fault(warp, unset, line);
                }
                a_registers = registers.iter().map(|r| warp.regs[*r as usize]).collect();
            }
        }
        self.check_fence(warp, w, accumulate, line);
        let in_flight = self.written_in_flight(warp);
        for d in &w.d {
            if accumulate && warp.set[*d as usize] & mask != mask && !in_flight.contains(d) {
                self.unset_fault(warp, mask & !warp.set[*d as usize], line);
                break;
            }
        }
        w.d.iter().for_each(|d| warp.set[*d as usize] = 0);
        let flight = Flight { pc: warp.pc, a, a_registers, b, accumulate };
        for at in operand_rows(&flight, w, warp.index) {
            self.hold_row(warp, at, line);
        }
        warp.wgmma.open.push(flight);
    }

    fn descriptor(&mut self, warp: &Warp, src: &crate::inst::Src, mask: u32, line: u32) -> Option<Descriptor> {
        self.check1(warp, src, mask, line);
        let values = warp.copy(src);
        let bits = values[0];
        if values.iter().any(|v| *v != bits) {
            self.fault(warp, 0, FaultKind::Operand, line, None, "the descriptor differs between the lanes");
            return None;
        }
        match Descriptor::new(bits) {
            Ok(found) => Some(found),
            Err(detail) => {
                self.fault(warp, 0, FaultKind::Operand, line, None, &detail);
                None
            }
        }
    }

    /// Registers that were changed since the last wgmma.fence.
    fn check_fence(&mut self, warp: &Warp, w: &Wgmma, accumulate: bool, line: u32) {
        let mut read: Vec<u32> = if accumulate { w.d.clone() } else { Vec::new() };
        if let WgmmaA::Registers(a) = &w.a {
            read.extend_from_slice(a);
        }
        let known = &self.entry.wgmma_regs;
        let changed = warp.wgmma.fenced.is_empty()
            || read.iter().any(|r| {
                let k = known.binary_search(r).unwrap_or(0);
                warp.wgmma.fenced.get(k).is_none_or(|old| *old != warp.regs[*r as usize])
            });
        if changed {
            let detail = "no wgmma.fence between the last change of the registers and this";
            self.fault(warp, 0, FaultKind::MissingFence, line, None, detail);
        }
    }

    /// Accumulators of everything in flight.
    fn written_in_flight(&self, warp: &Warp) -> Vec<u32> {
        let flights = warp.wgmma.groups.iter().flatten().chain(&warp.wgmma.open);
        let products = flights.filter_map(|f| product_of(self.entry, f.pc));
        products.flat_map(|w| w.d.iter().copied()).collect()
    }

    fn hold_row(&mut self, warp: &Warp, at: u32, line: u32) {
        let size = self.ctas[self.cta].shared.data.len();
        if at as usize + 16 > size {
            let detail = format!("the descriptor reaches byte {} of {size} of shared memory", at + 16);
            return self.fault(warp, 0, FaultKind::OutOfBounds, line, Some(u64::from(at)), &detail);
        }
        self.begin_read(warp, 0, Place::Shared(self.cta), at as usize, 16, line);
    }

    pub fn wgmma_wait(&mut self, warp: &mut Warp, keep: u32, mask: u32, line: u32) {
        self.whole_warp(warp, mask, line);
        let ready = warp.wgmma.groups.len().saturating_sub(keep as usize);
        let groups: Vec<Vec<Flight>> = warp.wgmma.groups.drain(..ready).collect();
        let flights: Vec<Flight> = groups.into_iter().flatten().collect();
        let entry = self.entry;
        for flight in &flights {
            let Some(w) = product_of(entry, flight.pc) else { continue };
            let at = entry.body[flight.pc as usize].line;
            self.product(warp, flight, w, at);
        }
        // Registers of later groups stay without a value.
        let later = self.written_in_flight(warp);
        for w in flights.iter().filter_map(|f| product_of(entry, f.pc)) {
            for d in w.d.iter().filter(|d| !later.contains(d)) {
                warp.set[*d as usize] = u32::MAX;
            }
        }
    }

    fn product(&mut self, warp: &mut Warp, flight: &Flight, w: &Wgmma, line: u32) {
        if w.d.iter().any(|d| warp.set[*d as usize] != 0) {
            let detail = "an accumulator was written before the wait for its wgmma";
            self.fault(warp, 0, FaultKind::MissingWait, line, None, detail);
            w.d.iter().for_each(|d| warp.set[*d as usize] = 0);
        }
        if let WgmmaA::Registers(a) = &w.a
            && a.iter().zip(&flight.a_registers).any(|(r, old)| warp.regs[*r as usize] != *old)
        {
            let detail = "a register of operand A was changed before the wait for its wgmma";
            self.fault(warp, 0, FaultKind::MissingWait, line, None, detail);
        }
        let (n, k) = (w.n as usize, w.k as usize);
        let shared = &mut self.ctas[self.cta].shared;
        for at in operand_rows(flight, w, warp.index) {
            shared.unhold(at as usize, 16);
        }
        let data = &shared.data;
        let row = |at: u32| data.get(at as usize..at as usize + 16).unwrap_or(&[0; 16]);
        let mut a = vec![0.0; 16 * k];
        let numbers = Numbers::of(w.aty);
        let width = w.aty.bytes() as usize;
        match flight.a {
            Some(descriptor) => {
                let first = warp.index % 4 * 16;
                let put = |r: u32, c: u32, v: f64| a[r as usize * k + c as usize] = v;
                tile(descriptor, w.transpose_a, first, 16, w.k, width, numbers, &row, put);
            }
            None => {
                let per = per_register(w.aty);
                for (register, values) in flight.a_registers.iter().enumerate() {
                    for (lane, value) in values.iter().enumerate() {
                        for part in 0..per {
                            let (r, c) = of_a(16, per, lane, register, part);
                            let bits = value >> (part as u32 * w.aty.bits());
                            let low = u64::MAX >> (64 - w.aty.bits());
                            a[r * k + c] = numbers.value(bits & low);
                        }
                    }
                }
            }
        }
        let mut b = vec![0.0; k * n];
        let numbers = Numbers::of(w.bty);
        tile(flight.b, w.transpose_b, 0, w.n, w.k, width, numbers, &row, |r, c, v| b[c as usize * n + r as usize] = v);
        if w.negate_a != w.negate_b {
            a.iter_mut().for_each(|v| *v = -*v);
        }
        let mut sums = if flight.accumulate {
            let old: Vec<Lanes> = w.d.iter().map(|d| warp.regs[*d as usize]).collect();
            unpack(&old, w.dty, 16, n)
        } else {
            vec![0.0; 16 * n]
        };
        multiply(&mut sums, &a, &b, n, k);
        let known = &self.entry.wgmma_regs;
        for (d, values) in w.d.iter().zip(pack(&sums, w.dty, 16, n, w.sat && w.dty == Ty::S32)) {
            warp.regs[*d as usize] = values;
            // What wgmma itself writes needs no fence before the next one.
            if let (Ok(k), false) = (known.binary_search(d), warp.wgmma.fenced.is_empty()) {
                warp.wgmma.fenced[k] = values;
            }
        }
    }
}

fn product_of(entry: &crate::module::Entry, pc: u32) -> Option<&Wgmma> {
    match entry.body.get(pc as usize).map(|i| &i.op) {
        Some(Op::Wgmma(w)) => Some(w),
        _ => None,
    }
}

/// Addresses of all 16-byte rows that a warp's product reads.
fn operand_rows(flight: &Flight, w: &Wgmma, warp: u32) -> Vec<u32> {
    let mut out = Vec::new();
    let chunks = w.k * w.aty.bytes() / 16;
    let mut tile = |d: Descriptor, transposed: bool, first: u32, rows: u32| {
        if transposed {
            for k in 0..w.k {
                out.extend((first / 8..(first + rows) / 8).map(|c| d.along_mn(k, c)));
            }
        } else {
            for r in first..first + rows {
                out.extend((0..chunks).map(|c| d.along_k(r, c)));
            }
        }
    };
    if let Some(a) = flight.a {
        tile(a, w.transpose_a, warp % 4 * 16, 16);
    }
    tile(flight.b, w.transpose_b, 0, w.n);
    out
}

/// Elements of an operand's tile: rows along M or N from `first`, columns along K.
#[allow(clippy::too_many_arguments, reason = "a tile is all of this; both operands share it")]
fn tile<'d>(
    d: Descriptor,
    transposed: bool,
    first: u32,
    rows: u32,
    columns: u32,
    width: usize,
    numbers: Numbers,
    row: &impl Fn(u32) -> &'d [u8],
    mut put: impl FnMut(u32, u32, f64),
) {
    let per = (16 / width) as u32;
    let value = |bytes: &[u8]| {
        numbers.value(match bytes {
            [a, b] => u64::from(u16::from_le_bytes([*a, *b])),
            [a, b, c, d] => u64::from(u32::from_le_bytes([*a, *b, *c, *d])),
            _ => bytes.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b)),
        })
    };
    if transposed {
        for k in 0..columns {
            for c in first / 8..(first + rows) / 8 {
                for (e, bytes) in row(d.along_mn(k, c)).chunks_exact(width).enumerate() {
                    put(c * 8 - first + e as u32, k, value(bytes));
                }
            }
        }
        return;
    }
    for r in first..first + rows {
        for c in 0..columns / per {
            for (e, bytes) in row(d.along_k(r, c)).chunks_exact(width).enumerate() {
                put(r - first, c * per + e as u32, value(bytes));
            }
        }
    }
}

//! The weight file: every constant once, at multiples of 256 bytes behind the header; and the constants that are no bytes.
//!
//! Contents that repeat few lines of 64 bytes (splats, and what packing makes of them) are not in the file: an engine makes them
//! when it loads, behind the file's last byte.

use std::collections::BTreeMap;

use bytes::Bytes;
use graph::dtype::DType;
use graph::tensor::{Hash, Tensor};
use plan::contents::Contents;
use plan::eval_plan::EvalPlanError;
use plan::plan::Plan;
use runtime_min::weights::{Checksum, Fill, HEADER, LINE, Manifest, header};

use crate::error::EmitError;
use crate::slots::Slot;

/// Weights with their places in the file.
#[derive(Clone, Debug)]
pub struct WeightTable {
    slots: Vec<Slot>,
    known: BTreeMap<Hash, usize>,
    /// Distinct contents in file order, each with its offset.
    parts: Vec<(usize, Bytes)>,
    bytes: usize,
    /// Tensors of strings.
    pub strings: Vec<Tensor>,
    repeated: Repeated,
    /// Plans that were added.
    plans: usize,
}

/// What is made at load time.
#[derive(Clone, Debug, Default)]
struct Repeated {
    /// Distinct lines.
    lines: Vec<[u8; LINE]>,
    /// Copies and line, one after the other.
    runs: Vec<Run>,
    /// Offset of distinct contents among what is made.
    known: BTreeMap<Hash, usize>,
    bytes: usize,
    /// Slots, by plan and position, that lie among what is made.
    slots: Vec<(usize, usize)>,
}

/// So many copies of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    count: usize,
    line: usize,
}

impl Default for WeightTable {
    fn default() -> WeightTable {
        let (slots, known, parts, strings) = (Vec::new(), BTreeMap::new(), Vec::new(), Vec::new());
        WeightTable { slots, known, parts, bytes: HEADER, strings, repeated: Repeated::default(), plans: 0 }
    }
}

impl WeightTable {
    /// Evaluates what is derived, and stores equal contents once; repeated lines are left to the engine.
    pub fn of<C>(plan: &Plan<C>) -> Result<WeightTable, EmitError> {
        let (table, slots) = WeightTable::of_all([plan])?;
        Ok(table.placed(slots.into_iter().flatten().collect()))
    }

    /// With the slots of one plan to be asked for.
    pub fn placed(self, slots: Vec<Slot>) -> WeightTable {
        WeightTable { slots, ..self }
    }

    /// One table for several plans, and for each of them where its weights lie.
    pub fn of_all<'p, C: 'p>(
        plans: impl IntoIterator<Item = &'p Plan<C>>,
    ) -> Result<(WeightTable, Vec<Vec<Slot>>), EmitError> {
        let mut table = WeightTable::default();
        let mut slots = plans.into_iter().map(|plan| table.add(plan)).collect::<Result<Vec<_>, _>>()?;
        let repeated = &table.repeated;
        if !repeated.lines.is_empty() {
            let lines = Bytes::from(repeated.lines.concat());
            let start = table.bytes;
            table.bytes = start + lines.len().next_multiple_of(HEADER);
            table.parts.push((start, lines));
            for (plan, index) in &repeated.slots {
                if let Some(Slot::Weight { offset, .. }) = slots.get_mut(*plan).and_then(|list| list.get_mut(*index)) {
                    *offset += table.bytes;
                }
            }
        }
        Ok((table, slots))
    }

    /// What an engine adds behind the file when it loads.
    pub fn fills(&self) -> Vec<Fill> {
        let repeated = &self.repeated;
        let start = self.bytes - (repeated.lines.len() * LINE).next_multiple_of(HEADER);
        repeated.runs.iter().map(|r| Fill { lines: r.count, from: start + r.line * LINE }).collect()
    }

    /// Adds a plan's weights, and yields where each of them lies; repeated lines from the end of the file on.
    fn add<C>(&mut self, plan: &Plan<C>) -> Result<Vec<Slot>, EmitError> {
        let mut slots = Vec::with_capacity(plan.weights.len());
        for weight in &plan.weights {
            let failed = |e: EvalPlanError| EmitError::Derived { name: weight.name.clone(), what: e.to_string() };
            let evaluated = Contents::of(&weight.source).map_err(failed)?;
            if let Some(offset) = self.repeated.offset(&evaluated) {
                self.repeated.slots.push((self.plans, slots.len()));
                slots.push(Slot::Weight { offset, elements: evaluated.elements() });
                continue;
            }
            let tensor = evaluated.to_tensor().map_err(failed)?;
            if tensor.dtype() == DType::Str {
                slots.push(Slot::Constant(self.strings.len()));
                self.strings.push(tensor);
                continue;
            }
            let (contents, elements) = (tensor.bytes().clone(), elements(&tensor));
            let raw = Tensor::from_bytes(DType::U8, vec![contents.len()], contents.clone());
            let hash = raw.map(|t| t.hash()).unwrap_or_else(|_| tensor.hash());
            let offset = match self.known.get(&hash) {
                Some(offset) => *offset,
                None => {
                    let offset = self.bytes;
                    self.known.insert(hash, offset);
                    self.bytes = offset + contents.len().next_multiple_of(HEADER);
                    self.parts.push((offset, contents));
                    offset
                }
            };
            slots.push(Slot::Weight { offset, elements });
        }
        self.plans += 1;
        Ok(slots)
    }

    /// Where a weight lies.
    pub fn slot(&self, index: usize) -> Option<Slot> {
        self.slots.get(index).cloned()
    }

    /// Whether there are bytes at all.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Length and checksum of the file.
    pub fn manifest(&self) -> Manifest {
        let mut sum = Checksum::default();
        for (_, contents) in &self.parts {
            let (body, tail) = contents.split_at(contents.len() / 32 * 32);
            let zeros = padding(contents.len());
            // Blocks of 32 bytes are what the checksum takes.
            let mut block = [0; 32];
            for (slot, byte) in block.iter_mut().zip(tail) {
                *slot = *byte;
            }
            sum.add(body);
            sum.add(if tail.is_empty() { &[] } else { &block });
            sum.add(if tail.is_empty() { zeros } else { zeros.get(32 - tail.len()..).unwrap_or(&[]) });
        }
        Manifest { bytes: self.bytes, checksum: sum.finish() }
    }

    /// The file, header first, as pieces to be written one after the other.
    pub fn pieces(&self) -> Vec<Bytes> {
        let mut out = vec![Bytes::copy_from_slice(&header(self.manifest()))];
        for (_, contents) in &self.parts {
            out.push(contents.clone());
            out.push(Bytes::from_static(padding(contents.len())));
        }
        out
    }
}

/// Contents that are shorter stay in the file.
const LEAST: usize = 1 << 12;

impl Repeated {
    /// Where contents lie among what is made, if they repeat few lines.
    fn offset(&mut self, contents: &Contents) -> Option<usize> {
        if contents.bytes() < LEAST {
            return None;
        }
        let mut lines = Lines::default();
        contents.for_each_part(&mut |part| lines.push(part));
        let runs = lines.finish()?;
        let hash = contents.hash();
        if let Some(known) = self.known.get(&hash) {
            return Some(*known);
        }
        for (count, line) in runs {
            let known = self.lines.iter().position(|l| *l == line);
            let index = known.unwrap_or(self.lines.len());
            if known.is_none() {
                self.lines.push(line);
            }
            match self.runs.last_mut() {
                Some(last) if last.line == index => last.count += count,
                _ => self.runs.push(Run { count, line: index }),
            }
        }
        let offset = self.bytes;
        self.bytes += contents.bytes().next_multiple_of(HEADER);
        self.known.insert(hash, offset);
        Some(offset)
    }
}

/// Contents as copies of lines, for as long as they change no more often than every 16 lines.
#[derive(Default)]
struct Lines {
    runs: Vec<(usize, [u8; LINE])>,
    /// Whole lines so far.
    done: usize,
    /// Bytes of a line that is not whole yet.
    rest: Vec<u8>,
    changing: bool,
}

impl Lines {
    /// Adds bytes; `false` once the contents change too often.
    fn push(&mut self, mut bytes: &[u8]) -> bool {
        if !self.rest.is_empty() {
            let (head, after) = bytes.split_at(bytes.len().min(LINE - self.rest.len()));
            self.rest.extend_from_slice(head);
            bytes = after;
            if let Some(line) = self.rest.first_chunk::<LINE>().copied() {
                self.rest.clear();
                self.line(&line);
            }
        }
        let (whole, rest) = bytes.as_chunks::<LINE>();
        for line in whole {
            if self.changing {
                break;
            }
            self.line(line);
        }
        self.rest.extend_from_slice(rest);
        !self.changing
    }

    fn line(&mut self, line: &[u8; LINE]) {
        let limit = 8 + self.done / 16;
        match self.runs.last_mut() {
            Some((count, same)) if same == line => *count += 1,
            _ => self.runs.push((1, *line)),
        }
        self.done += 1;
        self.changing |= self.runs.len() > limit;
    }

    /// The lines, filled with zeros up to the next boundary; nothing if they change too often.
    fn finish(mut self) -> Option<Vec<(usize, [u8; LINE])>> {
        let bytes = self.done * LINE + self.rest.len();
        self.push(padding(bytes));
        (!self.changing).then_some(self.runs)
    }
}

/// Zeros up to the next boundary.
fn padding(length: usize) -> &'static [u8] {
    const ZEROS: [u8; HEADER] = [0; HEADER];
    ZEROS.get(..length.next_multiple_of(HEADER) - length).unwrap_or(&[])
}

/// Number of elements of the storage type.
fn elements(tensor: &Tensor) -> usize {
    match tensor.dtype().bits() {
        0 => 0,
        bits if bits < 8 => tensor.bytes().len(),
        bits => tensor.bytes().len() / (bits as usize / 8),
    }
}

#[cfg(test)]
mod tests {
    use graph::scalar::Scalar;
    use plan::plan::Source;

    use super::*;

    fn check(contents: &[u8], expected: Option<&[(usize, u8)]>) {
        for step in [contents.len(), 100] {
            let mut lines = Lines::default();
            let all = contents.chunks(step).all(|part| lines.push(part));
            let found = lines.finish().map(|r| r.iter().map(|(count, line)| (*count, line[0])).collect::<Vec<_>>());
            assert_eq!((found.as_deref(), all), (expected, expected.is_some()));
        }
    }

    #[test]
    fn repeated_lines_are_runs() {
        let mut contents = vec![7u8; LEAST];
        check(&contents, Some(&[(64, 7)]));
        contents.extend([0; LINE]);
        check(&contents, Some(&[(64, 7), (4, 0)]));
        contents.push(9);
        check(&contents, Some(&[(64, 7), (1, 0), (1, 9), (2, 0)]));
    }

    #[test]
    fn what_is_short_or_changes_is_stored() {
        let short = Source::Constant(Tensor::splat(Scalar::from_i64(DType::U8, 7), vec![LEAST - 1]).unwrap());
        assert_eq!(Repeated::default().offset(&Contents::of(&short).unwrap()), None);
        let changing: Vec<u8> = (0..LEAST).map(|k| (k / LINE) as u8).collect();
        check(&changing, None);
    }
}

//! The weight file: every constant once, at multiples of 256 bytes behind the header; and the constants that are no bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use graph::dtype::DType;
use graph::tensor::{Hash, Tensor};
use plan::eval_plan::weight_tensor;
use plan::plan::Plan;
use runtime_min::weights::{Checksum, HEADER, Manifest, header};

use crate::error::EmitError;
use crate::slots::Slot;

/// Weights with their places in the file.
#[derive(Debug)]
pub struct WeightTable {
    slots: Vec<Slot>,
    known: BTreeMap<Hash, usize>,
    /// Distinct contents in file order, each with its offset.
    parts: Vec<(usize, Bytes)>,
    bytes: usize,
    /// Tensors of strings.
    pub strings: Vec<Tensor>,
}

impl Default for WeightTable {
    fn default() -> WeightTable {
        let (slots, known, parts, strings) = (Vec::new(), BTreeMap::new(), Vec::new(), Vec::new());
        WeightTable { slots, known, parts, bytes: HEADER, strings }
    }
}

impl WeightTable {
    /// Evaluates what is derived, and stores equal contents once.
    pub fn of<C>(plan: &Plan<C>) -> Result<WeightTable, EmitError> {
        let mut table = WeightTable::default();
        table.slots = table.add(plan)?;
        Ok(table)
    }

    /// Adds a plan's weights, and yields where each of them lies.
    pub fn add<C>(&mut self, plan: &Plan<C>) -> Result<Vec<Slot>, EmitError> {
        let mut slots = Vec::with_capacity(plan.weights.len());
        for weight in &plan.weights {
            let tensor = weight_tensor(&weight.source)
                .map_err(|e| EmitError::Derived { name: weight.name.clone(), what: e.to_string() })?;
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

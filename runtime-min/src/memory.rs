//! Memory of sessions, and views of it. One of the few files with `unsafe` code; everything else goes through it.
//!
//! - [`Memory`]: zeroed bytes at a 64-byte boundary. [`Memory::split`] lends out many parts at once, after checking that
//!   none that is written overlaps another.
//! - [`typed`], [`typed_mut`], [`as_bytes`], [`bools`]: the same bytes as elements, after checking length and alignment.
//! - [`Nested`]: nested arrays as flat slices and back.

#![allow(unsafe_code, reason = "views of raw memory; each block says why it is sound")]

use std::alloc::{Layout, alloc_zeroed};
use std::slice;

use super::error::StepError;

/// Boundary that memory starts at.
pub const ALIGN: usize = 64;

/// Values without padding whose bytes may be read.
///
/// # Safety
/// No padding, no pointers, no interior mutability; all-zero bytes are a value.
pub unsafe trait Plain: Copy + Send + Sync + 'static {
    /// Whether these bytes are values.
    fn accepts(_bytes: &[u8]) -> bool {
        true
    }
}

/// Plain values of which every bit pattern is one.
///
/// # Safety
/// As it says.
pub unsafe trait Element: Plain {}

macro_rules! elements {
    ($($ty:ty)*) => {
        $(
            // SAFETY: a number without padding; every bit pattern is a value.
            unsafe impl Plain for $ty {}
            // SAFETY: as above.
            unsafe impl Element for $ty {}
            // SAFETY: one element.
            unsafe impl Nested for $ty {
                type Element = $ty;
                const COUNT: usize = 1;
            }
        )*
    };
}

elements!(f32 f64 i8 i16 i32 i64 u8 u16 u32 u64);

// SAFETY: one byte without padding; zero is `false`.
unsafe impl Plain for bool {
    fn accepts(bytes: &[u8]) -> bool {
        bytes.iter().all(|b| *b <= 1)
    }
}

// SAFETY: one element.
unsafe impl Nested for bool {
    type Element = bool;
    const COUNT: usize = 1;
}

/// An element, or arrays of arrays of one.
///
/// # Safety
/// Consists of exactly `COUNT` elements one after the other.
pub unsafe trait Nested: Copy + Send + Sync + 'static {
    /// What it is made of.
    type Element: Plain;
    /// How many.
    const COUNT: usize;
}

// SAFETY: arrays have no padding between elements.
unsafe impl<T: Nested, const N: usize> Nested for [T; N] {
    type Element = T::Element;
    const COUNT: usize = N * T::COUNT;
}

/// Zeroed bytes at a 64-byte boundary.
#[derive(Debug, Default)]
pub struct Memory {
    store: Vec<u8>,
    start: usize,
    len: usize,
}

/// What is left of a session's memory limit.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    left: Option<usize>,
}

impl Budget {
    /// So many bytes, or no limit.
    pub fn new(limit: Option<usize>) -> Budget {
        Budget { left: limit }
    }

    /// Whether so many bytes may be taken.
    pub fn allows(&self, bytes: usize) -> bool {
        self.left.is_none_or(|left| bytes <= left)
    }

    fn take(&mut self, bytes: usize) -> Result<(), StepError> {
        if !self.allows(bytes) {
            return Err(StepError::Memory { needed: bytes, left: self.left });
        }
        self.left = self.left.map(|left| left.saturating_sub(bytes));
        Ok(())
    }

    fn give(&mut self, bytes: usize) {
        self.left = self.left.map(|left| left.saturating_add(bytes));
    }
}

impl Memory {
    /// So many zero bytes.
    pub fn zeroed(bytes: usize) -> Result<Memory, StepError> {
        let refused = StepError::Memory { needed: bytes, left: None };
        if bytes == 0 {
            return Ok(Memory::default());
        }
        let capacity = bytes.checked_add(ALIGN).ok_or(refused.clone())?;
        let layout = Layout::array::<u8>(capacity).map_err(|_| refused.clone())?;
        // SAFETY: the layout's size is not zero.
        let pointer = unsafe { alloc_zeroed(layout) };
        if pointer.is_null() {
            return Err(refused);
        }
        // SAFETY: allocated just now by the global allocator for `capacity` bytes of alignment 1, all of them zero.
        let store = unsafe { Vec::from_raw_parts(pointer, capacity, capacity) };
        let start = store.as_ptr().align_offset(ALIGN);
        if start >= ALIGN {
            return Err(refused);
        }
        Ok(Memory { store, start, len: bytes })
    }

    /// Bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes sure that there are so many bytes. Growing keeps what is there and takes half as much again, so that a buffer
    /// that grows step by step is moved rarely.
    pub fn ensure(&mut self, bytes: i64, budget: &mut Budget) -> Result<(), StepError> {
        let bytes = usize::try_from(bytes).map_err(|_| StepError::Size { found: bytes })?;
        if bytes <= self.len {
            return Ok(());
        }
        let wide = bytes.max(self.len.saturating_add(self.len / 2)).saturating_add(ALIGN - 1) / ALIGN * ALIGN;
        let next = if budget.allows(wide) { wide } else { bytes };
        budget.take(next)?;
        let mut grown = Memory::zeroed(next).inspect_err(|_| budget.give(next))?;
        for (to, from) in grown.bytes_mut().iter_mut().zip(self.bytes()) {
            *to = *from;
        }
        budget.give(self.len);
        *self = grown;
        Ok(())
    }

    /// Takes so many bytes at once where limit and system allow; otherwise they are taken when a call needs them.
    pub fn reserve(&mut self, bytes: i64, budget: &mut Budget) -> Result<(), StepError> {
        match usize::try_from(bytes) {
            Ok(wanted) if budget.allows(wanted) => match self.ensure(bytes, budget) {
                Err(StepError::Memory { .. }) => Ok(()),
                outcome => outcome,
            },
            _ => Ok(()),
        }
    }

    /// Copies the first bytes of another memory.
    pub fn take(&mut self, from: &Memory, bytes: i64) -> Result<(), StepError> {
        let (target, source) = (self.slice_mut::<u8>(bytes)?, from.slice::<u8>(bytes)?);
        target.copy_from_slice(source);
        Ok(())
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        self.store.get(self.start..).and_then(|s| s.get(..self.len)).unwrap_or(&[])
    }

    /// All bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.store.get_mut(self.start..).and_then(|s| s.get_mut(..self.len)).unwrap_or(&mut [])
    }

    /// The first `count` elements.
    pub fn slice<T: Element>(&self, count: i64) -> Result<&[T], StepError> {
        let bytes = byte_count::<T>(count)?;
        typed(self.bytes().get(..bytes).ok_or(StepError::Span { start: 0, bytes, memory: self.len })?)
    }

    /// The first `count` elements, to be written.
    pub fn slice_mut<T: Element>(&mut self, count: i64) -> Result<&mut [T], StepError> {
        let (bytes, memory) = (byte_count::<T>(count)?, self.len);
        typed_mut(self.bytes_mut().get_mut(..bytes).ok_or(StepError::Span { start: 0, bytes, memory })?)
    }

    /// As many whole elements as there are.
    pub fn whole<T: Element>(&self) -> Result<&[T], StepError> {
        let bytes = self.len - self.len % size_of::<T>().max(1);
        typed(self.bytes().get(..bytes).unwrap_or(&[]))
    }

    /// As many whole elements as there are, to be written.
    pub fn whole_mut<T: Element>(&mut self) -> Result<&mut [T], StepError> {
        let bytes = self.len - self.len % size_of::<T>().max(1);
        typed_mut(self.bytes_mut().get_mut(..bytes).unwrap_or(&mut []))
    }

    /// Parts to read and parts to write, all at once, each by first byte and number of bytes.
    ///
    /// ```text
    /// let ([a, b], [c]) = arena.split([(0, 64), (64, 64)], [(128, 64)])?;
    /// ```
    #[allow(clippy::type_complexity, reason = "the two lists of parts, as lent out")]
    pub fn split<const R: usize, const W: usize>(
        &mut self,
        reads: [(i64, i64); R],
        writes: [(i64, i64); W],
    ) -> Result<([&[u8]; R], [&mut [u8]; W]), StepError> {
        let len = self.len;
        let (mut read, mut written) = ([Span::default(); R], [Span::default(); W]);
        for (span, (start, bytes)) in read.iter_mut().zip(reads).chain(written.iter_mut().zip(writes)) {
            *span = Span::checked(start, bytes, len)?;
        }
        for (k, span) in written.iter().enumerate() {
            if written.iter().skip(k + 1).chain(&read).any(|other| span.overlaps(other)) {
                return Err(StepError::Span { start: span.start, bytes: span.bytes, memory: len });
            }
        }
        let base = self.bytes_mut().as_mut_ptr();
        // SAFETY: every span lies within the `len` bytes at `base`, which stay borrowed mutably as long as the parts live;
        // no written span overlaps any other span, so no byte is reachable by a mutable part and another one.
        let reads = read.map(|s| unsafe { slice::from_raw_parts(base.add(s.start).cast_const(), s.bytes) });
        // SAFETY: as above.
        let writes = written.map(|s| unsafe { slice::from_raw_parts_mut(base.add(s.start), s.bytes) });
        Ok((reads, writes))
    }
}

#[derive(Clone, Copy, Default)]
struct Span {
    start: usize,
    bytes: usize,
}

impl Span {
    fn checked(start: i64, bytes: i64, memory: usize) -> Result<Span, StepError> {
        let start = usize::try_from(start).map_err(|_| StepError::Size { found: start })?;
        let bytes = usize::try_from(bytes).map_err(|_| StepError::Size { found: bytes })?;
        match start.checked_add(bytes) {
            Some(end) if end <= memory => Ok(Span { start, bytes }),
            _ => Err(StepError::Span { start, bytes, memory }),
        }
    }

    fn overlaps(&self, other: &Span) -> bool {
        self.bytes > 0
            && other.bytes > 0
            && self.start < other.start + other.bytes
            && other.start < self.start + self.bytes
    }
}

fn byte_count<T>(count: i64) -> Result<usize, StepError> {
    let size = StepError::Size { found: count };
    usize::try_from(count).ok().and_then(|n| n.checked_mul(size_of::<T>())).ok_or(size)
}

/// Bytes as elements.
pub fn typed<T: Element>(bytes: &[u8]) -> Result<&[T], StepError> {
    // SAFETY: every bit pattern is a value of an `Element`.
    let (before, elements, after) = unsafe { bytes.align_to::<T>() };
    if !before.is_empty() || !after.is_empty() {
        return Err(StepError::Span { start: before.len(), bytes: after.len(), memory: bytes.len() });
    }
    Ok(elements)
}

/// Bytes as elements, to be written.
pub fn typed_mut<T: Element>(bytes: &mut [u8]) -> Result<&mut [T], StepError> {
    let memory = bytes.len();
    // SAFETY: every bit pattern is a value of an `Element`, and an `Element` has no padding.
    let (before, elements, after) = unsafe { bytes.align_to_mut::<T>() };
    if !before.is_empty() || !after.is_empty() {
        return Err(StepError::Span { start: before.len(), bytes: after.len(), memory });
    }
    Ok(elements)
}

/// The bytes of values.
pub fn as_bytes<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: a `Plain` value has no padding, so all its bytes are initialised; bytes have no alignment.
    unsafe { slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// Bytes as truth values, if all are 0 or 1.
pub fn bools(bytes: &[u8]) -> Result<&[bool], StepError> {
    if let Some(found) = bytes.iter().find(|b| **b > 1) {
        return Err(StepError::Bool { found: *found });
    }
    // SAFETY: `bool` has size 1 and alignment 1, and every byte is 0 or 1.
    Ok(unsafe { slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) })
}

/// The elements of nested arrays, one after the other.
pub fn flat<T: Nested>(values: &[T]) -> &[T::Element] {
    // SAFETY: each value consists of exactly `COUNT` elements.
    unsafe { slice::from_raw_parts(values.as_ptr().cast(), values.len() * T::COUNT) }
}

/// Puts the values of these bytes in place; as many bytes as the values have.
pub fn fill<T: Nested>(values: &mut [T], bytes: &[u8]) -> Result<(), StepError> {
    let memory = size_of_val(values);
    if bytes.len() != memory || !T::Element::accepts(bytes) {
        return Err(StepError::Span { start: 0, bytes: bytes.len(), memory });
    }
    // SAFETY: the values have exactly so many bytes, the two do not overlap as one is borrowed mutably, and the bytes are
    // values of the element.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), values.as_mut_ptr().cast(), memory) };
    Ok(())
}

/// Elements as one nested array, if there are exactly as many.
pub fn one<T: Nested>(elements: &[T::Element]) -> Option<&T> {
    // SAFETY: the slice has exactly the `COUNT` elements that a value consists of; nested arrays align as their elements do.
    (elements.len() == T::COUNT).then(|| unsafe { &*elements.as_ptr().cast() })
}

/// Elements as `count` nested arrays, if there are exactly as many.
pub fn many<T: Nested>(elements: &[T::Element], count: usize) -> Option<&[T]> {
    let fits = count.checked_mul(T::COUNT) == Some(elements.len());
    // SAFETY: the slice has exactly the elements that `count` values consist of; nested arrays align as their elements do.
    fits.then(|| unsafe { slice::from_raw_parts(elements.as_ptr().cast(), count) })
}

/// Zero values on the heap.
pub fn zeroes<T: Nested>(count: usize) -> Result<Vec<T>, StepError> {
    let needed = count.saturating_mul(size_of::<T>());
    let refused = StepError::Memory { needed, left: None };
    let layout = Layout::array::<T>(count).map_err(|_| refused.clone())?;
    let mut values = Vec::new();
    if layout.size() == 0 {
        // SAFETY: values of size zero need no memory, and any number of them fits a vector.
        unsafe { values.set_len(if size_of::<T>() == 0 { count } else { 0 }) };
        return Ok(values);
    }
    // SAFETY: the layout's size is not zero.
    let pointer = unsafe { alloc_zeroed(layout) };
    if pointer.is_null() {
        return Err(refused);
    }
    // SAFETY: allocated just now with the layout of `count` values; zero bytes are a value of a `Plain` element.
    Ok(unsafe { Vec::from_raw_parts(pointer.cast(), count, count) })
}

/// One zero value on the heap.
pub fn zeroed<T: Nested>() -> Result<Box<[T; 1]>, StepError> {
    let refused = StepError::Memory { needed: size_of::<T>(), left: None };
    zeroes::<T>(1)?.into_boxed_slice().try_into().map_err(|_| refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_disjoint_or_refused() {
        let mut memory = Memory::zeroed(256).unwrap();
        let ([a, b], [c]) = memory.split([(0, 64), (0, 128)], [(128, 64)]).unwrap();
        assert_eq!((a.len(), b.len(), c.len()), (64, 128, 64));
        assert!(memory.split([(0, 65)], [(64, 64)]).is_err());
        assert!(memory.split([], [(0, 64), (63, 2)]).is_err());
        assert!(memory.split([(0, 257)], []).is_err());
        assert!(memory.split([(-1, 4)], []).is_err());
        assert!(memory.split([(64, 0)], [(0, 128)]).is_ok());
    }

    #[test]
    fn growing_keeps_contents_and_the_budget() {
        let mut budget = Budget::new(Some(300));
        let mut memory = Memory::default();
        memory.ensure(8, &mut budget).unwrap();
        memory.slice_mut::<i64>(1).unwrap()[0] = 7;
        memory.ensure(100, &mut budget).unwrap();
        assert_eq!(memory.slice::<i64>(1).unwrap(), &[7]);
        assert_eq!(memory.bytes().as_ptr().align_offset(ALIGN), 0);
        assert_eq!(memory.ensure(10_000, &mut budget), Err(StepError::Memory { needed: 10_000, left: Some(172) }));
    }

    #[test]
    fn nested_arrays_are_their_elements() {
        let values = [[[1f32, 2.0], [3.0, 4.0]]];
        assert_eq!(flat(&values), &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(many::<[f32; 2]>(flat(&values), 2), Some(&values[0][..]));
        assert_eq!(one::<[[f32; 2]; 2]>(flat(&values)), Some(&values[0]));
        assert_eq!(one::<[f32; 2]>(flat(&values)), None);
        assert_eq!(many::<[f32; 0]>(&[], 3).map(<[_]>::len), Some(3));
        assert_eq!(flat(&zeroes::<[bool; 3]>(2).unwrap()), &[false; 6]);
        assert_eq!(zeroes::<[f32; 0]>(5).unwrap().len(), 5);
    }

    #[test]
    fn bytes_other_than_0_and_1_are_no_bools() {
        assert_eq!(bools(&[0, 1]), Ok(&[false, true][..]));
        assert_eq!(bools(&[2]), Err(StepError::Bool { found: 2 }));
        assert!(typed::<f32>(&[0; 5]).is_err());
        let mut values = [[false; 2]];
        assert!(fill(&mut values, &[1, 2]).is_err());
        fill(&mut values, &[1, 0]).unwrap();
        assert_eq!(values, [[true, false]]);
    }
}

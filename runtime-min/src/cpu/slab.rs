//! A loop nest in slabs: threads share the outermost dim of its result.
//!
//! ```text
//!   result   ┌───────────┬───────────┐
//!            │ slab 0    │ slab 1    │   each runs the same loops over its own entries of one dim, and writes its own slice
//!            └───────────┴───────────┘
//! ```
//!
//! Values do not depend on the cut: every element is computed as it is in the whole.

use super::super::crew::{Axis, Crew, Cut, MOST, Role, Unfinished};
use super::KernelError;
use core::ops::Range;

/// The entries of one dim of its result that a nest runs over, all of the others, and where its slice begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slab {
    dim: usize,
    from: i64,
    to: i64,
    /// Position of the slice's first element in the buffer.
    pub start: i64,
}

impl Slab {
    /// The whole nest.
    pub const ALL: Slab = Slab { dim: usize::MAX, from: 0, to: i64::MAX, start: 0 };

    /// The entries of a dim of so many; a blocked dim counts in blocks.
    #[inline(always)]
    pub fn range(&self, dim: usize, extent: i64) -> Range<i64> {
        if dim == self.dim { self.from..self.to.min(extent) } else { 0..extent }
    }
}

/// Dims of a result that slabs are cut along, at most.
const DIMS: [Role; 6] = [Role::Dim(0), Role::Dim(1), Role::Dim(2), Role::Dim(3), Role::Dim(4), Role::Dim(5)];

/// Runs a nest with the threads of a session: `axes` are those of its result, `offset` the position of its first element,
/// `work` about the operations of all.
pub fn slabs<T: Send>(
    crew: &mut Crew,
    work: i64,
    axes: &[Axis],
    offset: i64,
    mut result: &mut [T],
    run: impl Fn(&Slab, &mut [T]) -> Result<(), KernelError> + Sync,
) -> Result<(), KernelError> {
    let cut = Cut::of(crew.parts(), work, &DIMS, &[axes]);
    let Some(Role::Dim(dim)) = cut.role() else { return run(&Slab::ALL, result) };
    let mut at = 0;
    let mut states: [_; MOST] =
        core::array::from_fn(|part| (cut.take(part, &mut result, &mut at, offset, axes), Ok(())));
    let states = states.get_mut(..cut.parts()).unwrap_or_default();
    let done = crew.each(states, 0, |part, ((start, own), done), _| {
        let entries = cut.range(Role::Dim(dim), part, usize::MAX);
        let [from, to] = [entries.start, entries.end].map(|v| i64::try_from(v).unwrap_or(i64::MAX));
        *done = run(&Slab { dim, from, to, start: *start }, own);
    });
    done.map_err(|Unfinished| KernelError::Shape { rule: "every thread of the session lives" })?;
    states.iter().try_for_each(|state| state.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the position of every element of `[d0, d1]` with these strides, in slabs along the dim that may be cut.
    fn check(threads: usize, dims: [i64; 2], strides: [i64; 2], cut: usize, expected_slabs: usize) {
        let role = |d: usize| if d == cut { Role::Dim(d) } else { Role::X };
        let axes = [0, 1].map(|d| Axis::dim(role(d), 1, 1, dims[d], strides[d]));
        let offset = 3;
        let mut result = vec![0i64; 3 + (dims[0] * dims[1]) as usize];
        let slabs_run = std::sync::atomic::AtomicUsize::new(0);
        let done = slabs(&mut Crew::new(threads), 1 << 20, &axes, offset, &mut result, |slab, own| {
            slabs_run.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            for i in slab.range(0, dims[0]) {
                for j in slab.range(1, dims[1]) {
                    let at = offset + i * strides[0] + j * strides[1];
                    own[(at - slab.start) as usize] += at;
                }
            }
            Ok(())
        });
        assert_eq!(done, Ok(()));
        assert!(result.iter().enumerate().skip(3).all(|(at, &v)| v == at as i64), "{result:?}");
        assert_eq!(slabs_run.into_inner(), expected_slabs);
    }

    #[test]
    fn every_element_is_written_once() {
        check(1, [5, 7], [7, 1], 0, 1);
        check(2, [5, 7], [7, 1], 0, 2);
        check(3, [5, 7], [1, 5], 1, 3);
        check(4, [3, 7], [7, 1], 0, 3);
    }

    #[test]
    fn a_dim_that_cannot_be_cut_is_whole() {
        check(2, [5, 7], [7, 1], 1, 1);
        check(2, [5, 1], [1, 5], 1, 1);
    }

    #[test]
    fn an_error_of_a_slab_is_the_nests() {
        let axes = [Axis::dim(Role::Dim(0), 1, 1, 4, 1)];
        let error = KernelError::Shape { rule: "no second half" };
        let failed = slabs(&mut Crew::new(2), 1 << 20, &axes, 0, &mut [0u8; 4], |slab, _| {
            if slab.range(0, 4).start == 2 { Err(error) } else { Ok(()) }
        });
        assert_eq!(failed, Err(error));
    }
}

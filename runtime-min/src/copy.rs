//! Dense copies between buffers.

use super::error::StepError;
use super::memory::Element;

/// Copies `count` elements from position `start` to position `target`.
pub fn copy<T: Element>(from: &[T], start: i64, to: &mut [T], target: i64, count: i64) -> Result<(), StepError> {
    let memory = to.len();
    let source = part(start, count, from.len())?;
    let target = part(target, count, memory)?;
    let refused = StepError::Span { start: target.start, bytes: target.len(), memory };
    let to = to.get_mut(target).ok_or(refused.clone())?;
    to.copy_from_slice(from.get(source).filter(|s| s.len() == to.len()).ok_or(refused)?);
    Ok(())
}

/// Copies `count` elements of `bits` (2 or 4) each, packed low bits first.
pub fn copy_packed(
    bits: usize,
    from: &[u8],
    start: i64,
    to: &mut [u8],
    target: i64,
    count: i64,
) -> Result<(), StepError> {
    let per_byte = 8 / bits.clamp(1, 8);
    let mask = ((1u16 << bits.min(8)) - 1) as u8;
    let source = part(start, count, from.len().saturating_mul(per_byte))?;
    let target = part(target, count, to.len().saturating_mul(per_byte))?;
    for (s, t) in source.zip(target) {
        let (shift, place) = ((s % per_byte) * bits, (t % per_byte) * bits);
        if let (Some(value), Some(slot)) = (from.get(s / per_byte), to.get_mut(t / per_byte)) {
            *slot = *slot & !(mask << place) | ((value >> shift) & mask) << place;
        }
    }
    Ok(())
}

/// The element at a position.
pub fn scalar<T: Element>(from: &[T], position: i64) -> Result<T, StepError> {
    let at = part(position, 1, from.len())?;
    from.get(at.start).copied().ok_or(StepError::Size { found: position })
}

/// `count` elements from `start` on, if there are so many.
fn part(start: i64, count: i64, len: usize) -> Result<std::ops::Range<usize>, StepError> {
    let size = |found: i64| usize::try_from(found).map_err(|_| StepError::Size { found });
    let (start, count) = (size(start)?, size(count)?);
    match start.checked_add(count) {
        Some(end) if end <= len => Ok(start..end),
        _ => Err(StepError::Span { start, bytes: count, memory: len }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_copied_or_refused() {
        let mut to = [0f32; 4];
        copy(&[1.0, 2.0, 3.0], 1, &mut to, 2, 2).unwrap();
        assert_eq!(to, [0.0, 0.0, 2.0, 3.0]);
        assert!(copy(&[1.0f32], 0, &mut to, 4, 1).is_err());
        assert!(copy(&[1.0f32], -1, &mut to, 0, 1).is_err());
        copy::<f32>(&[], 0, &mut to, 4, 0).unwrap();
        assert_eq!(scalar(&[7i64], 0), Ok(7));
        assert!(scalar(&[7i64], 1).is_err());
    }

    #[test]
    fn nibbles_move_one_by_one() {
        let mut to = [0u8; 2];
        copy_packed(4, &[0x21, 0x43], 1, &mut to, 0, 3).unwrap();
        assert_eq!(to, [0x32, 0x04]);
    }
}

//! Copies between strided views.

use super::error::StepError;
use super::memory::Element;

/// Extents and strides of a view, in elements.
#[derive(Clone, Copy, Debug)]
pub struct Strided<'a> {
    /// First element.
    pub offset: i64,
    /// Distance between neighbours in each dim.
    pub strides: &'a [i64],
}

/// Copies every element of `extents` from one view to the other.
pub fn copy<T: Element>(
    extents: &[i64],
    from: &[T],
    from_view: Strided<'_>,
    to: &mut [T],
    to_view: Strided<'_>,
) -> Result<(), StepError> {
    walk(extents, from_view, to_view, &mut |source, target, run, from_step, to_step| {
        if from_step == 1 && to_step == 1 {
            let source = source..source.saturating_add(run);
            let target = target..target.saturating_add(run);
            let (memory, start, bytes) = (to.len(), target.start, run);
            let refused = StepError::Span { start, bytes, memory };
            let target = to.get_mut(target).ok_or(refused.clone())?;
            target.copy_from_slice(from.get(source).filter(|s| s.len() == target.len()).ok_or(refused)?);
            return Ok(());
        }
        for k in 0..run {
            let (source, target) = (source.wrapping_add(k * from_step), target.wrapping_add(k * to_step));
            let memory = to.len();
            match (from.get(source), to.get_mut(target)) {
                (Some(value), Some(slot)) => *slot = *value,
                _ => return Err(StepError::Span { start: target, bytes: 1, memory }),
            }
        }
        Ok(())
    })
}

/// Copies every element, each `bits` (2 or 4) wide and packed low bits first.
pub fn copy_packed(
    bits: usize,
    extents: &[i64],
    from: &[u8],
    from_view: Strided<'_>,
    to: &mut [u8],
    to_view: Strided<'_>,
) -> Result<(), StepError> {
    let per_byte = 8 / bits.max(1);
    let mask = ((1u16 << bits) - 1) as u8;
    walk(extents, from_view, to_view, &mut |source, target, run, from_step, to_step| {
        for k in 0..run {
            let (source, target) = (source.wrapping_add(k * from_step), target.wrapping_add(k * to_step));
            let (shift, place) = ((source % per_byte) * bits, (target % per_byte) * bits);
            let memory = to.len();
            match (from.get(source / per_byte), to.get_mut(target / per_byte)) {
                (Some(value), Some(slot)) => *slot = *slot & !(mask << place) | ((value >> shift) & mask) << place,
                _ => return Err(StepError::Span { start: target, bytes: 1, memory }),
            }
        }
        Ok(())
    })
}

/// Calls `visit(source, target, run, source step, target step)` for every row of the innermost dim.
fn walk(
    extents: &[i64],
    from: Strided<'_>,
    to: Strided<'_>,
    visit: &mut dyn FnMut(usize, usize, usize, usize, usize) -> Result<(), StepError>,
) -> Result<(), StepError> {
    let (extent, rest) = match extents.split_first() {
        None => (1, extents),
        Some((extent, rest)) => (*extent, rest),
    };
    let step = |view: &Strided<'_>| view.strides.first().copied().unwrap_or(1);
    if rest.is_empty() {
        let size = |found: i64| usize::try_from(found).map_err(|_| StepError::Size { found });
        return visit(size(from.offset)?, size(to.offset)?, size(extent)?, size(step(&from))?, size(step(&to))?);
    }
    let inner = |view: &Strided<'_>| view.strides.get(1..).unwrap_or(&[]).len();
    if inner(&from) != rest.len() || inner(&to) != rest.len() {
        return Err(StepError::Size { found: extent });
    }
    for k in 0..extent {
        let at = |view: Strided<'_>| view.offset.wrapping_add(k.wrapping_mul(step(&view)));
        let inner_from = Strided { offset: at(from), strides: from.strides.get(1..).unwrap_or(&[]) };
        let inner_to = Strided { offset: at(to), strides: to.strides.get(1..).unwrap_or(&[]) };
        walk(rest, inner_from, inner_to, visit)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_block_is_copied() {
        let from: Vec<f32> = (0..6u8).map(f32::from).collect();
        let mut to = [0f32; 12];
        let (source, target) = (Strided { offset: 0, strides: &[3, 1] }, Strided { offset: 1, strides: &[6, 1] });
        copy(&[2, 3], &from, source, &mut to, target).unwrap();
        assert_eq!(to, [0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 3.0, 4.0, 5.0, 0.0, 0.0]);
        assert!(copy(&[3, 3], &from, source, &mut to, target).is_err());
    }

    #[test]
    fn scalars_and_empty_views_are_views() {
        let mut to = [0i64; 2];
        let (source, target) = (Strided { offset: 0, strides: &[] }, Strided { offset: 1, strides: &[] });
        copy(&[], &[5], source, &mut to, target).unwrap();
        assert_eq!(to, [0, 5]);
        copy::<i64>(
            &[0, 2],
            &[],
            Strided { offset: 0, strides: &[2, 1] },
            &mut to,
            Strided { offset: 0, strides: &[2, 1] },
        )
        .unwrap();
    }

    #[test]
    fn nibbles_move_one_by_one() {
        let mut to = [0u8; 2];
        let (source, target) = (Strided { offset: 1, strides: &[1] }, Strided { offset: 0, strides: &[1] });
        copy_packed(4, &[3], &[0x21, 0x43], source, &mut to, target).unwrap();
        assert_eq!(to, [0x32, 0x04]);
    }
}

//! Suppression of boxes that overlap better ones.
//!
//! ```text
//! scores ─► candidates (above the floor) ─► in stretches, best first ─► each against the boxes kept so far, 16 at a time ─► kept
//! ```
//!
//! Candidates are sorted as far as they are looked at, and each is compared with kept boxes alone: work grows with boxes times kept boxes
//! at most. Kept boxes lie in lanes (a slice for each coordinate); most pairs share no point, which four comparisons tell, and
//! only then the ratio is formed, in the operations that the region's meaning has.

use super::isa::{Isa, Work, vectorize};
use super::{BLOCK, KernelError, need, product};
use core::cmp::Ordering;

/// What is suppressed and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nms {
    /// Batches.
    pub batch: usize,
    /// Classes, each for itself over the same boxes.
    pub classes: usize,
    /// Boxes.
    pub count: usize,
    /// Boxes that a class keeps at most, and entries of its results.
    pub steps: usize,
    /// Whether boxes are (x, y, width, height) of their center; else (y1, x1, y2, x2) of two corners.
    pub centered: bool,
    /// A box dies if the ratio of intersection to union with a kept one is above this.
    pub threshold: f32,
    /// Scores of candidates are above this.
    pub floor: Option<f32>,
}

/// Elements of scratch for so many boxes and steps.
#[must_use]
pub fn scratch(count: usize, steps: usize) -> Option<usize> {
    let lanes = steps.checked_next_multiple_of(BLOCK)?.checked_mul(5)?;
    count.checked_mul(2)?.checked_add(lanes)
}

/// Threshold and floor out of scalar tensors.
pub fn limits(threshold: &[f32], floor: Option<&[f32]>) -> Result<(f32, Option<f32>), KernelError> {
    let missing = KernelError::Length { what: "threshold or floor", expected: 1, found: 0 };
    let one = |slice: &[f32]| slice.first().copied().ok_or(missing);
    Ok((one(threshold)?, floor.map(one).transpose()?))
}

/// Fills `best` with the boxes kept, by falling score, and `valid` with 1 for each; behind them both are 0.
pub fn nms(
    isa: Isa,
    nms: &Nms,
    boxes: &[f32],
    scores: &[f32],
    workspace: &mut [f32],
    best: &mut [i64],
    valid: &mut [u8],
) -> Result<(), KernelError> {
    let Nms { batch, classes, count, steps, .. } = *nms;
    let pairs = product(&[batch, classes]);
    let all = |each: usize| pairs.and_then(|pairs| pairs.checked_mul(each));
    if u32::try_from(count).is_err() {
        return Err(KernelError::Shape { rule: "the number of boxes fits u32" });
    }
    need("boxes", product(&[batch, count, 4]), boxes.len())?;
    need("scores", all(count), scores.len())?;
    need("best", all(steps), best.len())?;
    need("valid", all(steps), valid.len())?;
    let found = workspace.len();
    need("workspace", scratch(count, steps), found)?;
    best.fill(0);
    valid.fill(0);
    if pairs == Some(0) || count == 0 || steps == 0 {
        return Ok(());
    }
    let (candidates, lanes) = workspace.split_at_mut_checked(2 * count).ok_or(KernelError::Length {
        what: "workspace",
        expected: 2 * count,
        found,
    })?;
    let (candidates, _) = candidates.as_chunks_mut::<2>();
    let boxes = boxes.chunks_exact(4 * count).flat_map(|own| core::iter::repeat_n(own, classes));
    let results = best.chunks_exact_mut(steps).zip(valid.chunks_exact_mut(steps));
    for ((boxes, scores), (best, valid)) in boxes.zip(scores.chunks_exact(count)).zip(results) {
        vectorize(isa, Class { nms: *nms, boxes, scores, candidates, lanes: Lanes::empty(lanes, steps), best, valid });
    }
    Ok(())
}

/// A candidate: its score, and the bits of its index.
type Candidate = [f32; 2];

/// The better first, NaN before all numbers, of equal scores the lower index.
fn rank(a: &Candidate, b: &Candidate) -> Ordering {
    let ([a, i], [b, j]) = (a, b);
    b.total_cmp(a).then(i.to_bits().cmp(&j.to_bits()))
}

/// One class of one batch.
struct Class<'a> {
    nms: Nms,
    boxes: &'a [f32],
    scores: &'a [f32],
    candidates: &'a mut [Candidate],
    lanes: Lanes<'a>,
    best: &'a mut [i64],
    valid: &'a mut [u8],
}

impl Work for Class<'_> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let above = |score: f32| self.nms.floor.is_none_or(|floor| floor < score);
        let scores = self.scores.iter().zip(0u32..).filter(|(score, _)| above(**score));
        let mut live = 0;
        for (slot, (score, index)) in self.candidates.iter_mut().zip(scores) {
            // One NaN and one zero, so that the order of bits is that of scores.
            *slot = [if score.is_nan() { f32::NAN } else { score + 0.0 }, f32::from_bits(index)];
            live += 1;
        }
        let mut rest = self.candidates.get_mut(..live).unwrap_or_default();
        let mut stretch = self.nms.steps.saturating_mul(2).max(256);
        let mut free = self.best.iter_mut().zip(self.valid.iter_mut());
        let mut slot = free.next();
        while !rest.is_empty() {
            if stretch < rest.len() {
                rest.select_nth_unstable_by(stretch, rank);
            }
            let (next, others) = rest.split_at_mut(stretch.min(rest.len()));
            next.sort_unstable_by(rank);
            for [_, index] in &*next {
                let index = index.to_bits();
                let corners = self.boxes.get(4 * index as usize..).and_then(|b| b.first_chunk::<4>());
                let candidate = corners.map_or(Area::NONE, |c| Area::of(c, self.nms.centered));
                if self.lanes.overlap(&candidate, self.nms.threshold) {
                    continue;
                }
                let Some((best, valid)) = slot else { return };
                (*best, *valid) = (i64::from(index), 1);
                self.lanes.keep(&candidate);
                slot = free.next();
                if slot.is_none() {
                    return;
                }
            }
            rest = others;
            stretch = stretch.saturating_mul(2);
        }
    }
}

/// A box by its ends.
#[derive(Clone, Copy)]
struct Area {
    x: [f32; 2],
    y: [f32; 2],
    size: f32,
}

impl Area {
    /// Shares no point with any.
    const NONE: Area = Area { x: [f32::INFINITY, f32::NEG_INFINITY], y: [f32::INFINITY, f32::NEG_INFINITY], size: 0.0 };

    /// Empty boxes overlap nothing, as those of which a number is NaN.
    #[inline(always)]
    fn of(corners: &[f32; 4], centered: bool) -> Area {
        let [x, y] = if centered {
            let [x, y, width, height] = *corners;
            let span = |center: f32, size: f32| [center - size * 0.5, center + size * 0.5];
            [span(x, width), span(y, height)]
        } else {
            let [y1, x1, y2, x2] = *corners;
            let span = |a: f32, b: f32| if a < b { [a, b] } else { [b, a] };
            [span(x1, x2), span(y1, y2)]
        };
        let size = (x[1] - x[0]) * (y[1] - y[0]);
        if size > 0.0 { Area { x, y, size } } else { Area::NONE }
    }
}

/// Kept boxes, a slice for each number; the last block is filled up with boxes that overlap nothing.
struct Lanes<'a> {
    low: [&'a mut [f32]; 2],
    high: [&'a mut [f32]; 2],
    size: &'a mut [f32],
    kept: usize,
    any: bool,
}

impl<'a> Lanes<'a> {
    fn empty(space: &'a mut [f32], steps: usize) -> Lanes<'a> {
        let width = steps.next_multiple_of(BLOCK);
        let mut parts = space.chunks_exact_mut(width);
        let mut next = || parts.next().unwrap_or_default();
        let (low, high, size) = ([next(), next()], [next(), next()], next());
        Lanes { low, high, size, kept: 0, any: false }
    }

    #[inline(always)]
    fn keep(&mut self, area: &Area) {
        self.any = true;
        if area.size == 0.0 {
            return;
        }
        let at = self.kept;
        let [low_x, low_y] = &mut self.low;
        let [high_x, high_y] = &mut self.high;
        let places = [
            (low_x, area.x[0], f32::INFINITY),
            (low_y, area.y[0], f32::INFINITY),
            (high_x, area.x[1], f32::NEG_INFINITY),
            (high_y, area.y[1], f32::NEG_INFINITY),
            (&mut self.size, area.size, 0.0),
        ];
        for (slice, value, none) in places {
            if at.is_multiple_of(BLOCK) {
                slice.iter_mut().skip(at).take(BLOCK).for_each(|slot| *slot = none);
            }
            if let Some(slot) = slice.get_mut(at) {
                *slot = value;
            }
        }
        self.kept += 1;
    }

    /// Whether a kept box overlaps this one by more than the threshold.
    #[inline(always)]
    fn overlap(&self, area: &Area, threshold: f32) -> bool {
        if threshold < 0.0 {
            return self.any;
        }
        if area.size == 0.0 {
            return false;
        }
        let blocks = self.kept.div_ceil(BLOCK);
        let [low_x, low_y] = self.low.each_ref().map(|s| s.as_chunks::<BLOCK>().0);
        let [high_x, high_y] = self.high.each_ref().map(|s| s.as_chunks::<BLOCK>().0);
        let sizes = self.size.as_chunks::<BLOCK>().0;
        for (((low_x, high_x), (low_y, high_y)), sizes) in
            low_x.iter().zip(high_x).zip(low_y.iter().zip(high_y)).zip(sizes).take(blocks)
        {
            let (mut width, mut height) = ([0.0; BLOCK], [0.0; BLOCK]);
            let mut common = 0;
            for ((width, low), high) in width.iter_mut().zip(low_x).zip(high_x) {
                *width = lower(*high, area.x[1]) - higher(*low, area.x[0]);
            }
            for ((height, low), high) in height.iter_mut().zip(low_y).zip(high_y) {
                *height = lower(*high, area.y[1]) - higher(*low, area.y[0]);
            }
            for (width, height) in width.iter().zip(&height) {
                common |= u32::from(*width > 0.0) & u32::from(*height > 0.0);
            }
            if common == 0 {
                continue;
            }
            let mut dead = 0;
            for ((width, height), size) in width.iter().zip(&height).zip(sizes) {
                let inside = u32::from(*width > 0.0) & u32::from(*height > 0.0);
                let shared = width * height;
                let union = (area.size + size) - shared;
                let above = u32::from(shared / union > threshold) & u32::from(shared > 0.0) & u32::from(union > 0.0);
                dead |= inside & above;
            }
            if dead != 0 {
                return true;
            }
        }
        false
    }
}

#[inline(always)]
fn lower(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

#[inline(always)]
fn higher(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::noise::noise;

    /// What is suppressed, among what boxes.
    #[derive(Clone, Copy)]
    struct Case {
        nms: Nms,
        /// How many boxes lie side by side: the fewer, the more overlap.
        room: f32,
    }

    fn ratio(a: &[f32], b: &[f32], centered: bool) -> f32 {
        let span = |v: &[f32], dim: usize| match centered {
            true => (v[dim] - v[2 + dim] * 0.5, v[dim] + v[2 + dim] * 0.5),
            false => (v[1 - dim].min(v[3 - dim]), v[1 - dim].max(v[3 - dim])),
        };
        let common = |dim| (span(a, dim).1.min(span(b, dim).1) - span(a, dim).0.max(span(b, dim).0)).max(0.0);
        let area = |v: &[f32]| (span(v, 0).1 - span(v, 0).0) * (span(v, 1).1 - span(v, 1).0);
        let shared = common(0) * common(1);
        let union = area(a) + area(b) - shared;
        if area(a) > 0.0 && area(b) > 0.0 && union > 0.0 && shared > 0.0 { shared / union } else { 0.0 }
    }

    /// Again and again the best live box, of one class.
    fn taken(nms: &Nms, boxes: &[f32], scores: &[f32]) -> Vec<i64> {
        let mut live: Vec<bool> = scores.iter().map(|s| nms.floor.is_none_or(|f| *s > f)).collect();
        let mut taken = Vec::new();
        while taken.len() < nms.steps {
            let better = |best: Option<usize>, k: usize| match best {
                Some(b) if scores[b].is_nan() || scores[b] >= scores[k] => Some(b),
                _ => Some(k),
            };
            let Some(best) = (0..nms.count).filter(|k| live[*k]).fold(None, better) else { break };
            taken.push(best as i64);
            let own = |k: usize| &boxes[4 * k..4 * k + 4];
            for (k, live) in live.iter_mut().enumerate() {
                *live &= k != best && !(ratio(own(k), own(best), nms.centered) > nms.threshold);
            }
        }
        taken
    }

    fn check(case: Case, spoil: impl Fn(&mut [f32], &mut [f32])) {
        let Nms { batch, classes, count, steps, .. } = case.nms;
        let mut boxes = noise(batch * count * 4, 3);
        for corners in boxes.chunks_exact_mut(4) {
            let (x, y) = (corners[0] * case.room, corners[1] * case.room);
            corners.copy_from_slice(&match case.nms.centered {
                true => [x, y, corners[2].abs(), corners[3].abs()],
                false => [y, x, y + corners[2], x + corners[3]],
            });
        }
        // Few distinct scores: there are ties.
        let mut scores: Vec<f32> =
            noise(batch * classes * count, 5).iter().map(|s| (s * 64.0).round() / 64.0).collect();
        spoil(&mut boxes, &mut scores);
        for isa in Isa::LEVELS.iter().filter_map(|&level| Isa::with_level(level)) {
            let mut workspace = vec![f32::NAN; scratch(count, steps).unwrap()];
            let (mut best, mut valid) = (vec![7; batch * classes * steps], vec![7; batch * classes * steps]);
            nms(isa, &case.nms, &boxes, &scores, &mut workspace, &mut best, &mut valid).unwrap();
            for pair in 0..batch * classes {
                let own = &boxes[pair / classes * count * 4..][..count * 4];
                let mut expected = taken(&case.nms, own, &scores[pair * count..][..count]);
                let kept = expected.len();
                expected.resize(steps, 0);
                assert_eq!(best[pair * steps..][..steps], expected, "{isa:?}, pair {pair}");
                let marks: Vec<u8> = (0..steps).map(|k| u8::from(k < kept)).collect();
                assert_eq!(valid[pair * steps..][..steps], marks, "{isa:?}, pair {pair}");
            }
        }
    }

    const PLAIN: Nms =
        Nms { batch: 1, classes: 1, count: 700, steps: 700, centered: false, threshold: 0.3, floor: None };

    fn plain(nms: Nms) {
        for room in [0.5, 4.0, 60.0] {
            check(Case { nms, room }, |_, _| ());
        }
    }

    #[test]
    fn the_best_of_those_that_overlap_is_kept() {
        plain(PLAIN);
        plain(Nms { centered: true, ..PLAIN });
        plain(Nms { batch: 2, classes: 3, count: 45, steps: 20, floor: Some(-0.25), ..PLAIN });
        plain(Nms { steps: 5, ..PLAIN });
        plain(Nms { count: 1, steps: 1, ..PLAIN });
        plain(Nms { floor: Some(9.0), ..PLAIN });
    }

    #[test]
    fn thresholds_at_the_ends() {
        for threshold in [-0.5, 0.0, 1.0, f32::NAN] {
            plain(Nms { threshold, count: 60, steps: 40, ..PLAIN });
        }
    }

    #[test]
    fn numbers_that_are_none_and_empty_boxes() {
        let nms = Nms { count: 60, steps: 60, ..PLAIN };
        check(Case { nms, room: 1.0 }, |boxes, scores| {
            boxes.iter_mut().step_by(37).for_each(|v| *v = f32::NAN);
            boxes.iter_mut().step_by(41).for_each(|v| *v = f32::INFINITY);
            boxes.chunks_exact_mut(4).step_by(7).for_each(|b| b[2] = b[0]);
            scores.iter_mut().step_by(11).for_each(|v| *v = f32::NAN);
            scores.iter_mut().step_by(13).for_each(|v| *v = f32::NEG_INFINITY);
            scores.iter_mut().step_by(17).for_each(|v| *v = -0.0);
        });
    }

    #[test]
    fn short_slices_are_refused() {
        assert_eq!(limits(&[0.5], Some(&[0.25])), Ok((0.5, Some(0.25))));
        assert!(limits(&[], None).is_err() && limits(&[0.5], Some(&[])).is_err());
        let error = nms(Isa::portable(), &PLAIN, &[0.0; 4], &[], &mut [], &mut [], &mut []).unwrap_err();
        assert_eq!(error.to_string(), "`boxes` holds 4 elements, at least 2800 are needed");
    }
}

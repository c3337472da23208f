//! Detections as sets of rows: what stands at one index of all outputs of a set is a row, and the order of rows says nothing.
//!
//! Found and expected outputs → pairs of rows, and the outputs with found rows put where their partners stand. Rows of equal integers and
//! texts are paired first, the nearest before all others; a row is left over only where there are more on one side.
//! [`compare`](crate::compare) then measures the pairs as it measures whole outputs.
//!
//! ```text
//! boxes [200, 4], scores [200], labels [200]           200 rows of six values along axis 0
//! boxes [2, 100, 4], scores [2, 100], count [2]        twice 100 rows of five values along axis 1; `count` stays as it is
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::str::FromStr;

use graph::datum::Datum;
use graph::dtype::DType;
use graph::tensor::Tensor;

use crate::error::Error;

/// The option that asks for it.
pub const OPTION: &str = "--ignore-row-order";

/// Along which axis rows lie; axes before it are batches, whose rows stay among themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowAxis {
    /// The axis of scores: the first (of two) at which a float output of one number a row has the extents that another begins with.
    Scores,
    At(usize),
}

impl FromStr for RowAxis {
    type Err = String;

    fn from_str(text: &str) -> Result<RowAxis, String> {
        match text {
            "scores" => Ok(RowAxis::Scores),
            _ => text.parse().map(RowAxis::At).map_err(|_| "expected the number of an axis, or `scores`".to_string()),
        }
    }
}

/// Outputs that have their extents up to the row axis in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSet {
    /// Their positions.
    pub outputs: Vec<usize>,
    axis: usize,
}

/// How many rows there are, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub found: usize,
    pub expected: usize,
    /// Pairs whose rows stood at different places.
    pub elsewhere: usize,
    /// Rows of either side that no row of the other is left for.
    pub alone: usize,
}

/// The rows of a set that have partners: for each output `[pairs, …]`, in the expected order.
#[derive(Clone, Debug, PartialEq)]
pub struct Paired {
    pub found: Vec<Tensor>,
    pub expected: Vec<Tensor>,
    pub rows: Rows,
}

/// The sets among a model's outputs, each as `(name, value)`.
pub fn sets(outputs: &[(String, &Datum)], axis: RowAxis) -> Result<Vec<RowSet>, Error> {
    let shapes: Vec<Option<&[usize]>> = outputs.iter().map(|(_, d)| d.as_tensor().map(Tensor::shape)).collect();
    let (axis, fewest) = match axis {
        RowAxis::Scores => (axis_of_scores(outputs), 2),
        RowAxis::At(axis) => (Some(axis), 1),
    };
    let mut sets: BTreeMap<&[usize], RowSet> = BTreeMap::new();
    for (k, shape) in shapes.iter().enumerate() {
        if let (Some(axis), Some(shape)) = (axis, shape)
            && let Some(leading) = shape.get(..=axis)
        {
            sets.entry(leading).or_insert_with(|| RowSet { outputs: Vec::new(), axis }).outputs.push(k);
        }
    }
    let mut sets: Vec<RowSet> = sets.into_values().filter(|set| set.outputs.len() >= fewest).collect();
    sets.sort_by(|a, b| a.outputs.cmp(&b.outputs));
    if sets.is_empty() {
        let found: Vec<String> = outputs.iter().map(|(name, value)| format!("{name} {}", value.describe())).collect();
        return Err(Error::Option {
            what: OPTION.to_string(),
            expected: match axis {
                Some(axis) => format!("an output that has an axis {axis}"),
                None => format!(
                    "scores [rows] or [batch, rows] and another output that begins with these extents; name the axis of rows \
                     with {OPTION}=AXIS, or leave the option out"
                ),
            },
            found: found.join(", "),
        });
    }
    Ok(sets)
}

fn axis_of_scores(outputs: &[(String, &Datum)]) -> Option<usize> {
    let tensors: Vec<&Tensor> = outputs.iter().filter_map(|(_, d)| d.as_tensor()).collect();
    (0..2).find(|axis| {
        tensors.iter().enumerate().any(|(k, scores)| {
            let begins = |t: &Tensor| t.shape().get(..=*axis) == Some(scores.shape());
            let others = tensors.iter().enumerate().filter(|(other, _)| *other != k);
            scores.dtype().is_float() && others.into_iter().any(|(_, t)| begins(t))
        })
    })
}

impl RowSet {
    /// Pairs the rows; a text where what was found does not consist of such rows.
    pub fn pair(&self, found: &[Datum], expected: &[Datum]) -> Result<Paired, String> {
        let tensors = |values: &[Datum]| -> Option<Vec<Tensor>> {
            self.outputs.iter().map(|k| values.get(*k)?.as_tensor().cloned()).collect()
        };
        let (Some(found), Some(expected)) = (tensors(found), tensors(expected)) else {
            return Err("found something that is no tensor".to_string());
        };
        for (f, e) in found.iter().zip(&expected) {
            let others = |t: &Tensor| {
                let kept = t.shape().iter().enumerate().filter(|(k, _)| *k != self.axis).map(|(_, extent)| *extent);
                kept.collect::<Vec<usize>>()
            };
            if f.dtype() != e.dtype() || f.shape().len() != e.shape().len() || others(f) != others(e) {
                let (f, e) = (Datum::Tensor(f.clone()), Datum::Tensor(e.clone()));
                return Err(format!("found {}, expected {}", f.describe(), e.describe()));
            }
        }
        let count = |tensors: &[Tensor]| -> Option<usize> {
            let mut counts = tensors.iter().map(|t| t.shape().get(self.axis).copied());
            let first = counts.next()??;
            counts.all(|c| c == Some(first)).then_some(first)
        };
        let (Some(f), Some(e)) = (count(&found), count(&expected)) else {
            return Err(format!("found different extents along axis {} of outputs that share rows", self.axis));
        };
        let batches = expected.first().and_then(|t| t.shape().get(..self.axis)).map_or(1, |b| b.iter().product());
        let scales: Vec<f64> = expected.iter().map(scale).collect();
        let rows_of = |tensors: &[Tensor], count: usize| {
            let widths = tensors.iter().map(|t| self.width(t));
            table(tensors.iter().zip(widths).zip(&scales), batches * count)
        };
        let (found_rows, expected_rows) = (rows_of(&found, f), rows_of(&expected, e));
        let mut pairs = Vec::new();
        let mut rows = Rows { found: batches * f, expected: batches * e, ..Rows::default() };
        for batch in 0..batches {
            let side = |table, count: usize| Side { table, from: batch * count, count };
            let paired = pair_rows(&side(&found_rows, f), &side(&expected_rows, e));
            rows.elsewhere += paired.iter().filter(|(f, e)| f != e).count();
            rows.alone += f.abs_diff(e);
            pairs.extend(paired.into_iter().map(|(at, place)| (batch * f + at, batch * e + place)));
        }
        let pick = |tensors: &[Tensor], rows: &[usize]| {
            tensors.iter().map(|t| picked(t, self.width(t), rows)).collect::<Option<Vec<Tensor>>>()
        };
        let (at, places): (Vec<usize>, Vec<usize>) = pairs.into_iter().unzip();
        match (pick(&found, &at), pick(&expected, &places)) {
            (Some(found), Some(expected)) => Ok(Paired { found, expected, rows }),
            _ => Err("rows that cannot be taken apart".to_string()),
        }
    }

    /// Elements of an output in a row.
    fn width(&self, tensor: &Tensor) -> usize {
        tensor.shape().iter().skip(self.axis + 1).product()
    }
}

/// These rows of a tensor, each of so many elements.
fn picked(tensor: &Tensor, width: usize, rows: &[usize]) -> Option<Tensor> {
    let shape = vec![rows.len(), width];
    let elements = rows.iter().flat_map(|row| row * width..(row + 1) * width);
    if tensor.dtype() == DType::Str {
        let texts = elements.map(|k| tensor.strings().get(k).cloned()).collect::<Option<_>>()?;
        return Tensor::from_strings(shape, texts).ok();
    }
    let elements: Vec<_> = elements.map(|k| tensor.get(k)).collect::<Option<_>>()?;
    Tensor::from_scalars(tensor.dtype(), shape, &elements).ok()
}

/// What differences of an output are multiplied with, so that the sum of their squares is the square of its relative L2 error, and one
/// output weighs as much as another.
fn scale(expected: &Tensor) -> f64 {
    if !expected.dtype().is_float() {
        return 1.0;
    }
    let size: f64 = expected.scalars().map(|s| s.as_f64()).filter(|v| v.is_finite()).map(|v| v * v).sum();
    if size > 0.0 { size.sqrt().recip() } else { 1.0 }
}

/// Values of a row that must be equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Integer(i64),
    Text(String),
}

/// The rows of a set: keys and scaled floats, row after row.
struct Table {
    keys: Vec<Vec<Key>>,
    numbers: Vec<Vec<f64>>,
}

/// The table of tensors, each with its elements in a row and its scale.
fn table<'a>(tensors: impl Iterator<Item = ((&'a Tensor, usize), &'a f64)>, all: usize) -> Table {
    let mut table = Table { keys: vec![Vec::new(); all], numbers: vec![Vec::new(); all] };
    for ((tensor, width), scale) in tensors {
        let width = width.max(1);
        if tensor.dtype() == DType::Str {
            for (row, texts) in table.keys.iter_mut().zip(tensor.strings().chunks(width)) {
                row.extend(texts.iter().cloned().map(Key::Text));
            }
        } else if tensor.dtype().is_float() {
            let values = tensor.to_f64s();
            for (row, values) in table.numbers.iter_mut().zip(values.chunks(width)) {
                row.extend(values.iter().map(|v| if v.is_nan() { f64::NAN } else { v * scale }));
            }
        } else {
            let values = tensor.to_i64s();
            for (row, values) in table.keys.iter_mut().zip(values.chunks(width)) {
                row.extend(values.iter().copied().map(Key::Integer));
            }
        }
    }
    table
}

/// The rows of one batch.
struct Side<'a> {
    table: &'a Table,
    from: usize,
    count: usize,
}

impl<'a> Side<'a> {
    fn key(&self, row: usize) -> &'a [Key] {
        self.table.keys.get(self.from + row).map_or(&[], Vec::as_slice)
    }

    fn numbers(&self, row: usize) -> &'a [f64] {
        self.table.numbers.get(self.from + row).map_or(&[], Vec::as_slice)
    }
}

/// Pairs (found, expected), by the expected row.
fn pair_rows(found: &Side<'_>, expected: &Side<'_>) -> Vec<(usize, usize)> {
    let mut alike: BTreeMap<&[Key], (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for row in 0..found.count {
        alike.entry(found.key(row)).or_default().0.push(row);
    }
    for row in 0..expected.count {
        alike.entry(expected.key(row)).or_default().1.push(row);
    }
    let mut pairs = Vec::new();
    let mut rest = (Vec::new(), Vec::new());
    for (f, e) in alike.into_values() {
        let (f, e) = nearest_first(found, expected, f, e, &mut pairs);
        rest.0.extend(f);
        rest.1.extend(e);
    }
    rest.0.sort_unstable();
    rest.1.sort_unstable();
    nearest_first(found, expected, rest.0, rest.1, &mut pairs);
    pairs.sort_unstable_by_key(|(_, e)| *e);
    pairs
}

/// How far rows are apart: numbers of which only one is finite, then the sum of squares of the others.
type Far = (usize, f64);

fn gap(x: f64, y: f64) -> Far {
    if x == y || (x.is_nan() && y.is_nan()) {
        (0, 0.0)
    } else if x.is_finite() && y.is_finite() {
        (0, (x - y) * (x - y))
    } else {
        (1, 0.0)
    }
}

fn far(a: &[f64], b: &[f64]) -> Far {
    let gaps = a.iter().zip(b).map(|(x, y)| gap(*x, *y));
    gaps.fold((0, 0.0), |sum, gap| (sum.0 + gap.0, sum.1 + gap.1))
}

/// Pairs rows, the nearest two of all that are left first, of equally near ones those at one place. Yields what is left over of
/// the longer list.
fn nearest_first(
    found: &Side<'_>,
    expected: &Side<'_>,
    found_rows: Vec<usize>,
    mut expected_rows: Vec<usize>,
    pairs: &mut Vec<(usize, usize)>,
) -> (Vec<usize>, Vec<usize>) {
    if found_rows.is_empty() || expected_rows.is_empty() {
        return (found_rows, expected_rows);
    }
    let mut free = Free::new(found, found_rows, expected, &expected_rows);
    // The square as bits: of numbers that are not negative these are in the same order.
    let entry = |(unlike, square): Far, f: usize, e: usize| Reverse((unlike, square.to_bits(), f != e, e, f));
    let look = |free: &Free<'_>, e: usize| free.nearest(expected.numbers(e), e).map(|(far, f)| entry(far, f, e));
    let mut heap: BinaryHeap<_> = expected_rows.iter().filter_map(|e| look(&free, *e)).collect();
    let mut taken = Vec::new();
    while let Some(Reverse((_, _, _, e, f))) = heap.pop() {
        if free.take(f) {
            taken.push(e);
            pairs.push((f, e));
        } else {
            heap.extend(look(&free, e));
        }
    }
    taken.sort_unstable();
    expected_rows.retain(|e| taken.binary_search(e).is_err());
    let mut left: Vec<usize> = free.rows.into_iter().map(|(_, row)| row).collect();
    left.sort_unstable();
    (left, expected_rows)
}

/// Found rows without a partner, sorted by the column whose values are furthest apart, so that a search need not look at all.
struct Free<'a> {
    side: &'a Side<'a>,
    column: usize,
    rows: Vec<(f64, usize)>,
}

impl<'a> Free<'a> {
    fn new(side: &'a Side<'a>, rows: Vec<usize>, others: &Side<'_>, other_rows: &[usize]) -> Free<'a> {
        let width = rows.first().map_or(0, |row| side.numbers(*row).len());
        let spread = |column: usize| -> f64 {
            let own = rows.iter().filter_map(|row| side.numbers(*row).get(column));
            let values = own.chain(other_rows.iter().filter_map(|row| others.numbers(*row).get(column)));
            let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
            for value in values.filter(|v| v.is_finite()) {
                n += 1.0;
                sum += value;
                squares += value * value;
            }
            if n > 0.0 { squares - sum * sum / n } else { 0.0 }
        };
        let spreads: Vec<f64> = (0..width).map(spread).collect();
        let widest = spreads.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let column = widest.map_or(0, |(column, _)| column);
        let value = |row: usize| side.numbers(row).get(column).copied().unwrap_or(0.0);
        let mut rows: Vec<(f64, usize)> = rows.into_iter().map(|row| (value(row), row)).collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        Free { side, column, rows }
    }

    fn find(&self, value: f64, row: usize) -> Result<usize, usize> {
        self.rows.binary_search_by(|probe| probe.0.total_cmp(&value).then(probe.1.cmp(&row)))
    }

    fn place(&self, row: usize) -> Option<usize> {
        let value = self.side.numbers(row).get(self.column).copied().unwrap_or(0.0);
        self.find(value, row).ok()
    }

    /// Whether the row was free; it no longer is.
    fn take(&mut self, row: usize) -> bool {
        self.place(row).map(|place| self.rows.remove(place)).is_some()
    }

    /// The free row that is nearest to these numbers, and how far it is.
    fn nearest(&self, numbers: &[f64], place: usize) -> Option<(Far, usize)> {
        let value = numbers.get(self.column).copied().unwrap_or(0.0);
        let mut best: Option<(Far, bool, usize)> = None;
        let mut offer = |row: usize| {
            let offered = (far(self.side.numbers(row), numbers), row != place, row);
            if best.is_none_or(|best| offered < best) {
                best = Some(offered);
            }
            best
        };
        if self.place(place).is_some() {
            offer(place);
        }
        let middle = self.find(value, place).unwrap_or_else(|middle| middle);
        let (below, above) = self.rows.split_at_checked(middle)?;
        // Two rows are at least as far apart as their values in one column.
        let mut walk = |rows: &mut dyn Iterator<Item = &(f64, usize)>| {
            let mut best: Option<(Far, bool, usize)> = None;
            for (other, row) in rows {
                if best.is_some_and(|(far, _, _)| far == (0, 0.0) || gap(*other, value) > far) {
                    break;
                }
                best = offer(*row);
            }
        };
        walk(&mut above.iter());
        walk(&mut below.iter().rev());
        best.map(|(far, _, row)| (far, row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::distance;

    fn floats(shape: &[usize], values: impl IntoIterator<Item = f32>) -> Datum {
        let values: Vec<f32> = values.into_iter().collect();
        Tensor::from_f32s(&values).reshaped(shape.to_vec()).unwrap().into()
    }

    fn integers(shape: &[usize], values: impl IntoIterator<Item = i64>) -> Datum {
        let values: Vec<i64> = values.into_iter().collect();
        Tensor::from_i64s(&values).reshaped(shape.to_vec()).unwrap().into()
    }

    /// A detection: a corner, a score, a label.
    type Row = (f32, f32, i64);

    /// Boxes `[N, 2]`, labels `[N]`, scores `[N]`.
    fn detections(rows: &[Row]) -> Vec<Datum> {
        let n = rows.len();
        vec![
            floats(&[n, 2], rows.iter().flat_map(|r| [r.0, r.0 + 8.0])),
            integers(&[n], rows.iter().map(|r| r.2)),
            floats(&[n], rows.iter().map(|r| r.1)),
        ]
    }

    fn named(values: &[Datum]) -> Vec<(String, &Datum)> {
        values.iter().enumerate().map(|(k, value)| (format!("out{k}"), value)).collect()
    }

    /// How rows are paired, and the greatest absolute errors of boxes, labels and scores.
    fn check(found: &[Row], expected: &[Row], rows: Rows, errors: [f64; 3]) {
        let (found, expected) = (detections(found), detections(expected));
        let set = sets(&named(&expected), RowAxis::Scores).unwrap().remove(0);
        assert_eq!(set.outputs, [0, 1, 2]);
        let paired = set.pair(&found, &expected).unwrap();
        assert_eq!(paired.rows, rows);
        let both = paired.found.into_iter().zip(paired.expected);
        let distances = both.map(|(f, e)| distance(&f.into(), &e.into()).unwrap().max_abs);
        assert_eq!(distances.collect::<Vec<_>>(), errors);
    }

    /// As many rows on both sides, so many of them elsewhere.
    fn all(count: usize, elsewhere: usize) -> Rows {
        Rows { found: count, expected: count, elsewhere, alone: 0 }
    }

    const THREE: [Row; 3] = [(1.0, 0.75, 1), (2.0, 0.5, 1), (2.0, 0.25, 2)];

    #[test]
    fn permuted_rows_are_equal() {
        let [a, b, c] = THREE;
        check(&THREE, &THREE, all(3, 0), [0.0; 3]);
        check(&[c, a, b], &THREE, all(3, 3), [0.0; 3]);
        check(&[b, a, c], &THREE, all(3, 2), [0.0; 3]);
    }

    #[test]
    fn nearly_equal_scores_in_another_order() {
        let expected = [(1.0, 0.5, 1), (7.0, 0.5 + f32::EPSILON, 1)];
        let found = [(7.0, 0.5 - f32::EPSILON, 1), (1.0, 0.5, 1)];
        check(&found, &expected, all(2, 2), [0.0, 0.0, 2.0 * f64::from(f32::EPSILON)]);
    }

    #[test]
    fn a_changed_label_counts_as_one() {
        let [a, b, c] = THREE;
        check(&[c, (b.0, b.1, 7), a], &THREE, all(3, 2), [0.0, 6.0, 0.0]);
    }

    #[test]
    fn a_missing_row_is_alone() {
        let [a, b, c] = THREE;
        check(&[c, a], &THREE, Rows { found: 2, expected: 3, elsewhere: 2, alone: 1 }, [0.0; 3]);
        check(&THREE, &[b], Rows { found: 3, expected: 1, elsewhere: 1, alone: 2 }, [0.0; 3]);
        check(&[], &[b], Rows { found: 0, expected: 1, elsewhere: 0, alone: 1 }, [0.0; 3]);
        check(&[], &[], all(0, 0), [0.0; 3]);
    }

    #[test]
    fn ties_stay_in_place() {
        check(&[THREE[0]; 4], &[THREE[0]; 4], all(4, 0), [0.0; 3]);
        let [a, b, _] = THREE;
        check(&[a, b, a, a], &[a, a, b, a], all(4, 2), [0.0; 3]);
    }

    #[test]
    fn numbers_that_are_none_match_themselves_alone() {
        let (a, none) = ((1.0, f32::NAN, 1), (2.0, f32::NAN, 1));
        check(&[none, a], &[a, none], all(2, 2), [0.0; 3]);
        let far = f64::INFINITY;
        check(&[none, (1.0, 0.5, 1)], &[(1.0, 0.5, 1), (2.0, 0.25, 1)], all(2, 2), [0.0, 0.0, far]);
        check(&[(f32::INFINITY, 0.5, 1), THREE[1]], &[THREE[1], (3.0, 0.5, 1)], all(2, 2), [far, 0.0, 0.0]);
    }

    #[test]
    fn ten_thousand_rows() {
        let row = |k: usize| ((k * 7919 % 10_007) as f32, (k % 3) as f32, 1);
        let expected: Vec<Row> = (0..10_000).map(row).collect();
        let found: Vec<Row> = expected.iter().rev().map(|r| (r.0 + 0.25, r.1, r.2)).collect();
        check(&found, &expected, all(10_000, 10_000), [0.25, 0.0, 0.0]);
        let equal = vec![THREE[0]; 10_000];
        check(&equal, &equal, all(10_000, 0), [0.0; 3]);
    }

    /// The sets that an axis makes of floats of these shapes, or what is expected in place of none.
    fn check_sets(shapes: &[&[usize]], axis: RowAxis, expected: Result<&[&[usize]], &str>) {
        let values = shapes.iter().map(|shape| floats(shape, vec![0.0; shape.iter().product()]));
        let values: Vec<Datum> = values.collect();
        match (sets(&named(&values), axis), expected) {
            (Ok(found), expected) => {
                let found: Vec<Vec<usize>> = found.into_iter().map(|set| set.outputs).collect();
                assert_eq!(Ok(found), expected.map(|sets| sets.iter().map(|set| set.to_vec()).collect()));
            }
            (Err(error), expected) => {
                let text = error.to_string();
                assert!(expected.is_err_and(|part| text.contains(part)), "{text}");
            }
        }
    }

    #[test]
    fn rows_lie_along_the_axis_of_scores() {
        use RowAxis::{At, Scores};
        check_sets(&[&[5, 4], &[5], &[5], &[9, 2]], Scores, Ok(&[&[0, 1, 2]]));
        check_sets(&[&[1, 5, 4], &[1, 5], &[1, 1]], Scores, Ok(&[&[0, 1]]));
        check_sets(&[&[5], &[5, 17, 3], &[5, 17]], Scores, Ok(&[&[0, 1, 2]]));
        check_sets(&[&[5, 6]], At(0), Ok(&[&[0]]));
        check_sets(&[&[2, 5, 1], &[2, 5, 4], &[2]], At(1), Ok(&[&[0, 1]]));
        check_sets(&[&[1, 1000]], Scores, Err("--ignore-row-order: expected scores [rows]"));
        check_sets(&[&[1, 7, 768], &[1, 768]], Scores, Err("found out0 f32[1, 7, 768], out1 f32[1, 768]"));
        check_sets(&[&[5, 6]], At(2), Err("expected an output that has an axis 2"));
    }

    #[test]
    fn counts_of_a_batch_are_no_scores() {
        let values = [integers(&[2], [3, 3]), floats(&[2, 3, 4], vec![0.0; 24]), floats(&[2, 3], vec![0.0; 6])];
        let found = sets(&named(&values), RowAxis::Scores).unwrap();
        assert_eq!(found, [RowSet { outputs: vec![1, 2], axis: 1 }]);
    }

    #[test]
    fn rows_stay_in_their_batch() {
        let scores = |values: [f32; 4]| vec![floats(&[2, 2], values), integers(&[2, 2], [1; 4])];
        let set = RowSet { outputs: vec![0, 1], axis: 1 };
        let paired = set.pair(&scores([2.0, 1.0, 4.0, 3.0]), &scores([1.0, 2.0, 3.0, 4.0])).unwrap();
        assert_eq!((paired.rows, &paired.found), (all(4, 4), &paired.expected));
        let paired = set.pair(&scores([3.0, 4.0, 1.0, 2.0]), &scores([1.0, 2.0, 3.0, 4.0])).unwrap();
        assert_ne!(paired.found, paired.expected);
    }

    #[test]
    fn outputs_of_other_forms_are_told() {
        let set = RowSet { outputs: vec![0, 1], axis: 0 };
        let expected = [floats(&[2, 2], [0.0; 4]), floats(&[2], [0.0; 2])];
        let told = |found: [Datum; 2]| set.pair(&found, &expected).unwrap_err();
        assert_eq!(told([floats(&[2, 1], [0.0; 2]), expected[1].clone()]), "found f32[2, 1], expected f32[2, 2]");
        assert!(told([floats(&[1, 2], [0.0; 2]), expected[1].clone()]).contains("different extents along axis 0"));
    }
}

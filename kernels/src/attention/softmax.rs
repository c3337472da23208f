//! The softmax of a block of scores that lie as tensor cores leave them: four registers for every 8 keys, two rows of a warp's 16
//! in a lane.
//!
//! ```text
//! lane l: keys 8n + 2(l mod 4) and the next    row l / 4: registers 0, 1 of n    row l / 4 + 8: registers 2, 3
//! ```
//!
//! What is subtracted from a row's scores is not always their largest: it changes when powers would become too large, seldom after the
//! first blocks, and until then results need no scaling.
//!
//! A power is one multiply-add and one `ex2`: what products are multiplied by and the logarithm of e are one factor, unless
//! a mask stands between them. Which keys take part is asked only of blocks in which some do not.

use ptx::{Builder, Cmp, Ftz, Reg, Type, Vote};

use crate::attention::{Mask, MaskRow, Masks, Row, across};
use crate::val::Val;

/// Powers of two to which a row's powers may grow before what is subtracted changes: far below the largest f16.
const NEAR: f32 = 8.0;
/// Rows of a lane: scores of one lie over this many lanes.
const LANES: u32 = 4;

/// The rows of a lane.
pub(crate) struct Softmax<'a> {
    masks: &'a Masks,
    rows: [(MaskRow, Row); 2],
    /// Keys that take part for a row: those before this.
    ends: [Reg; 2],
    /// Keys that take part for all rows of the warp.
    all: Reg,
    /// Keys of a block, and the lane's first of them.
    keys: u32,
    column: Val,
    /// Whether scores are products as they are.
    raw: bool,
}

impl<'a> Softmax<'a> {
    /// For a warp with 16 queries from `first` on, and blocks of so many keys.
    pub fn new(b: &mut Builder, masks: &'a Masks, first: Val, keys: u32, lane: Val) -> Softmax<'a> {
        let query = lane.shr(b, 2).add(b, first);
        let queries = [0, 8].map(|more| query.add(b, more));
        let rows = queries.map(|query| (masks.row(b, query), Row::new(b)));
        let ends = queries.map(|query| masks.end(b, query));
        let all = masks.end(b, first);
        let column = lane.and(b, 3).mul(b, 2);
        // What is not a number or too small would turn infinite scores into NaN.
        let raw = masks.mask.is_none() && masks.scale > 0.0 && (masks.scale * std::f32::consts::LOG2_E).is_normal();
        Softmax { masks, rows, ends, all, keys, column, raw }
    }

    /// What the mask holds for the block at a key: of each row.
    pub fn load(&self, b: &mut Builder, start: Reg) -> [Vec<Reg>; 2] {
        if self.masks.mask.is_none() {
            return [Vec::new(), Vec::new()];
        }
        let column = self.column.add(b, start);
        let columns: Vec<Val> = (0..self.keys / 8).flat_map(|n| [n * 8, n * 8 + 1]).map(|c| column.add(b, c)).collect();
        [0, 1].map(|row| self.masks.load(b, &self.rows[row].0, &columns))
    }

    /// Turns the products of the block at a key into powers; yields by what the rows' earlier results are to be scaled.
    pub fn update(&self, b: &mut Builder, scores: &[Vec<Reg>], start: Reg, masked: &[Vec<Reg>; 2]) -> [Reg; 2] {
        let own = [0, 1].map(|row| {
            let four = scores.iter().flat_map(|four| four.iter().skip(row * 2).take(2));
            four.copied().collect::<Vec<Reg>>()
        });
        for (scores, masked) in own.iter().zip(masked) {
            self.score(b, scores, masked);
        }
        let end = b.add(Type::U32, start, self.keys);
        let partial = b.setp(Cmp::Gt, Type::U32, end, self.all);
        b.if_then(partial, |b| {
            let column = self.column.add(b, start).reg(b);
            for (scores, end) in own.iter().zip(self.ends) {
                let left = b.sub(Type::S32, end, column);
                for (n, score) in (0_u32..).zip(scores) {
                    let inside = b.setp(Cmp::Gt, Type::S32, left, n / 2 * 8 + n % 2);
                    let kept = b.selp(Type::F32, *score, f32::NEG_INFINITY, inside);
                    b.mov_to(Type::F32, *score, kept);
                }
            }
        });
        let unit = self.unit();
        let tops = [0, 1].map(|row| largest(b, self.rows[row].1.largest, &own[row]));
        [0, 1].map(|row| powers(b, &self.rows[row].1, tops[row], (&own[row], unit)))
    }

    /// Makes scores of products.
    fn score(&self, b: &mut Builder, products: &[Reg], masked: &[Reg]) {
        let scale = self.masks.scale;
        for (n, product) in products.iter().enumerate() {
            let score = match (self.masks.mask, masked.get(n)) {
                (Some((Mask::Bool { fill }, ..)), Some(masked)) => {
                    let takes_part = b.setp(Cmp::Ne, Type::U32, *masked, 0_u32);
                    let score = b.mul(Type::F32, *product, scale);
                    b.selp(Type::F32, score, fill, takes_part)
                }
                (Some(_), Some(masked)) => b.mad(Type::F32, *product, scale, *masked),
                _ if self.raw => continue,
                _ => b.mul(Type::F32, *product, scale),
            };
            b.mov_to(Type::F32, *product, score);
        }
    }

    /// What a score is multiplied by for a power of two.
    fn unit(&self) -> f32 {
        if self.raw { self.masks.scale * std::f32::consts::LOG2_E } else { std::f32::consts::LOG2_E }
    }

    /// Joins a row with the largest score and the sum of the same row's other keys; yields by what the results of both are to be scaled.
    pub fn join(&self, b: &mut Builder, row: usize, (largest, sum): (Reg, Reg)) -> (Reg, Reg) {
        let own = self.rows[row].1;
        let top = b.max(Type::F32, own.largest, largest);
        let origin = origin(b, top, self.unit());
        let factors = [own.largest, largest].map(|top| power(b, top, (self.unit(), origin)));
        b.mov_to(Type::F32, own.largest, top);
        let scaled = b.mul(Type::F32, own.sum, factors[0]);
        let sum = b.mad(Type::F32, sum, factors[1], scaled);
        b.mov_to(Type::F32, own.sum, sum);
        (factors[0], factors[1])
    }

    /// The rows' largest scores and sums so far.
    pub fn rows(&self) -> [Row; 2] {
        [self.rows[0].1, self.rows[1].1]
    }

    /// Of each row one over its sum, and whether it has one.
    pub fn inverses(&self, b: &mut Builder) -> [(Reg, Reg); 2] {
        self.rows().map(|row| row.inverse(b, LANES))
    }
}

/// The largest score of a row and of what came before.
fn largest(b: &mut Builder, before: Reg, scores: &[Reg]) -> Reg {
    // Two chains, which do not wait for each other.
    let (even, odd): (Vec<_>, Vec<_>) = scores.chunks(2).map(|two| (two.first(), two.get(1))).unzip();
    let chain = |b: &mut Builder, start: Reg, rest: Vec<Option<&Reg>>| {
        rest.into_iter().flatten().fold(start, |top, score| b.max(Type::F32, top, *score))
    };
    let first = chain(b, before, even);
    let second = chain(b, before, odd);
    let top = b.max(Type::F32, first, second);
    across(b, top, LANES, |b, x, y| b.max(Type::F32, x, y))
}

/// Turns the scores of a row into powers, given the largest, and brings the row up to date.
fn powers(b: &mut Builder, row: &Row, top: Reg, (scores, unit): (&[Reg], f32)) -> Reg {
    // Where that is little more than what was subtracted so far, this stays, and with it all results.
    let more = b.sub(Type::F32, top, row.largest);
    let far = b.setp(Cmp::Gt, Type::F32, more, NEAR / unit);
    let top = b.selp(Type::F32, top, row.largest, far);
    let origin = origin(b, top, unit);
    let factor = power(b, row.largest, (unit, origin));
    b.mov_to(Type::F32, row.largest, top);
    let sum = b.mul(Type::F32, row.sum, factor);
    b.mov_to(Type::F32, row.sum, sum);
    for score in scores {
        let value = power(b, *score, (unit, origin));
        b.mov_to(Type::F32, *score, value);
        let sum = b.add(Type::F32, row.sum, value);
        b.mov_to(Type::F32, row.sum, sum);
    }
    factor
}

/// What is added to exponents: nothing where nothing takes part yet.
fn origin(b: &mut Builder, top: Reg, unit: f32) -> Reg {
    let some = b.setp(Cmp::Ne, Type::F32, top, f32::NEG_INFINITY);
    let scaled = b.mul(Type::F32, top, -unit);
    b.selp(Type::F32, scaled, 0.0_f32, some)
}

fn power(b: &mut Builder, score: Reg, (unit, origin): (f32, Reg)) -> Reg {
    let exponent = b.mad(Type::F32, score, unit, origin);
    b.ex2_approx(Ftz::Ftz, exponent)
}

/// Scales results by the factors of their rows, if those of some row of the warp are not 1.
pub(crate) fn rescale(b: &mut Builder, results: &[Vec<Reg>], factors: [Reg; 2]) {
    let [first, second] = factors.map(|factor| b.setp(Cmp::Ne, Type::F32, factor, 1.0_f32));
    let either = b.or(Type::Pred, first, second);
    let any = b.vote(Vote::Any, either);
    b.if_then(any, |b| {
        for (n, value) in results.iter().flat_map(|four| four.iter().enumerate()) {
            let scaled = b.mul(Type::F32, *value, factors[n / 2 & 1]);
            b.mov_to(Type::F32, *value, scaled);
        }
    });
}

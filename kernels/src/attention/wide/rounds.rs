//! The rounds over blocks of keys.

use ptx::{Builder, Cmp, Form, Modifier, Op, Reg, Type};

use crate::attention::softmax::{Softmax, rescale};
use crate::attention::wide::layout::Layout;
use crate::attention::wide::teams::Team;
use crate::attention::{Attention, AttentionVariant, Opening, finished};
use crate::fragment::{GROUP, Input};
use crate::source::{Fill, Loader};
use crate::val::Val;
use crate::warpgroup::{EXCHANGED, HIGH, ROW_BYTES, ROWS, advance, low_descriptor};

/// Bytes of eight rows of a panel.
const EIGHT_ROWS: u32 = 8 * ROW_BYTES;

/// Offsets in a ring: of the slot that is multiplied with powers, the next, and those to which keys and values are copied.
struct Slots {
    now: Reg,
    next: Reg,
    keys: Reg,
    values: Reg,
}

/// Low halves of descriptors: of the group's queries, and of keys and values in the first slot.
struct Descriptors {
    queries: Val,
    keys: Val,
    values: Val,
    high: Reg,
    always: Reg,
    never: Reg,
}

/// The kernel of a CTA behind its opening.
pub struct Run<'a> {
    pub problem: &'a Attention,
    pub layout: Layout,
    pub keys: Loader,
    pub values: Loader,
    pub team: Team,
}

impl Run<'_> {
    /// The finished results of the first team: for every 8 columns four registers.
    pub fn all(
        &mut self,
        b: &mut Builder,
        open: &Opening,
        mut queries: Loader,
        variant: &AttentionVariant,
    ) -> Vec<Vec<Reg>> {
        let (problem, layout, team) = (self.problem, self.layout, self.team);
        let base = Val::Reg(open.shared);
        let ring = team.team.mul(b, layout.ring()).add(b, base).add(b, layout.query_bytes()).reg(b);
        let blocks = open.count(b, variant);
        let count = match team.team {
            Val::Const(_) => blocks,
            team => {
                let rest = Val::Const(layout.teams - 1).sub(b, team);
                let sum = blocks.add(b, rest).reg(b);
                b.div(Type::U32, sum, layout.teams).into()
            }
        };
        let left = b.mov(Type::U32, count);
        let is_first = match team.team {
            Val::Const(_) => None,
            team => Some(team.less(b, 1)),
        };
        queries.begin(b, base, is_first);
        let any = b.setp(Cmp::Gt, Type::S32, left, 0_i32);
        self.keys.begin(b, ring.into(), Some(any));
        b.cp_async_commit();
        let ahead = layout.ahead();
        for stage in 0..ahead - 1 {
            let (next, now) = (b.setp(Cmp::Gt, Type::S32, left, stage + 1), b.setp(Cmp::Gt, Type::S32, left, stage));
            let (after, at) = ((stage + 1) * layout.slot(), stage * layout.slot());
            let [after, at] = [after, at].map(|at| Val::Reg(ring).add(b, at));
            self.begin(b, (after, next), (at, now));
        }
        let descriptors = self.descriptors(b, base, ring);
        let lane = Val::Reg(open.thread).and(b, 31);
        let warp_first = team.within.mul(b, GROUP).add(b, open.first);
        let softmax = Softmax::new(b, &open.masks, warp_first, layout.keys, lane);
        let four = |b: &mut Builder| -> Vec<Reg> { (0..4).map(|_| b.mov(Type::F32, 0.0_f32)).collect() };
        let out: Vec<Vec<Reg>> = (0..problem.width / 8).map(|_| four(b)).collect();
        let scores: Vec<Vec<Reg>> = (0..layout.keys / 8).map(|_| four(b)).collect();
        let powers: Vec<Reg> = (0..layout.keys / 4).map(|_| b.mov(Type::B32, 0_u32)).collect();
        let key = b.mov(Type::U32, team.first);
        let slots = Slots {
            now: b.mov(Type::U32, 0_u32),
            next: b.mov(Type::U32, layout.slot()),
            keys: b.mov(Type::U32, ahead % layout.stages * layout.slot()),
            values: b.mov(Type::U32, (ahead - 1) * layout.slot()),
        };
        let meeting = self.meeting(b);
        b.cp_async_wait(ahead - 1);
        b.emit(Form::new(Op::FenceProxyAsyncShared, ()), []);
        b.barrier();
        let (head, last, done) = (b.label("KEYS"), b.label("KEYS_LAST"), b.label("KEYS_DONE"));
        b.bra_unless(any, done);
        let masked = softmax.load(b, key);
        b.emit(Form::new(Op::WgmmaFence, ()), []);
        self.score(b, &scores, &descriptors, slots.now);
        b.emit(Form::new(Op::WgmmaCommit, ()), []);
        b.emit(Form::new(Op::WgmmaWait, ()), [0_u32.into()]);
        self.announce(b, &meeting);
        let first = softmax.update(b, &scores, key, &masked);
        let factors = first.map(|factor| b.mov(Type::F32, factor));
        let more = b.setp(Cmp::Gt, Type::S32, left, 1_i32);
        b.bra_unless(more, last);
        b.place(head);
        self.settle(b, (&out, &powers), (&scores, factors), &meeting);
        self.score(b, &scores, &descriptors, slots.next);
        b.emit(Form::new(Op::WgmmaCommit, ()), []);
        self.add_up(b, (&out, &powers), &descriptors, slots.now);
        b.emit(Form::new(Op::WgmmaCommit, ()), []);
        let ahead = [ahead, ahead - 1].map(|than| b.setp(Cmp::Gt, Type::S32, left, than));
        let to = [slots.keys, slots.values].map(|slot| b.add(Type::U32, ring, slot).into());
        self.begin(b, (to[0], ahead[0]), (to[1], ahead[1]));
        b.emit(Form::new(Op::Add, Type::U32), [key.into(), key.into(), (layout.keys * layout.teams).into()]);
        let masked = softmax.load(b, key);
        b.emit(Form::new(Op::WgmmaWait, ()), [1_u32.into()]);
        self.turn_over(b, &meeting);
        self.announce(b, &meeting);
        for (factor, to) in softmax.update(b, &scores, key, &masked).into_iter().zip(factors) {
            b.mov_to(Type::F32, to, factor);
        }
        for slot in [slots.now, slots.next, slots.keys, slots.values] {
            advance(b, slot, 0_u32.into(), layout.slot(), layout.ring().into());
        }
        b.emit(Form::new(Op::Add, Type::S32), [left.into(), left.into(), (-1_i32).into()]);
        let again = b.setp(Cmp::Gt, Type::S32, left, 1_i32);
        b.bra_if(again, head);
        b.place(last);
        self.settle(b, (&out, &powers), (&scores, factors), &meeting);
        self.add_up(b, (&out, &powers), &descriptors, slots.now);
        b.emit(Form::new(Op::WgmmaCommit, ()), []);
        b.emit(Form::new(Op::WgmmaWait, ()), [0_u32.into()]);
        b.place(done);
        b.barrier();
        let inverses = self.merge(b, (&out, &softmax), base);
        let mut results: Vec<Vec<Reg>> = Vec::new();
        for four in &out {
            let values = four.iter().enumerate().map(|(n, value)| finished(b, problem, *value, inverses[n / 2 & 1]));
            results.push(values.collect());
        }
        let zero = b.mov(Type::F32, 0.0_f32);
        results.resize((problem.width.next_power_of_two() / 8) as usize, vec![zero; 4]);
        results
    }

    /// Begins the copies of a block of keys and of one of values to their slots, if they exist.
    fn begin(&mut self, b: &mut Builder, (of_keys, next): (Val, Reg), (of_values, now): (Val, Reg)) {
        self.keys.begin(b, of_keys, Some(next));
        let after = of_values.add(b, self.layout.key_bytes());
        self.values.begin(b, after, Some(now));
        b.cp_async_commit();
    }

    fn descriptors(&self, b: &mut Builder, base: Val, ring: Reg) -> Descriptors {
        let layout = self.layout;
        let queries = self.team.group.mul(b, ROWS * ROW_BYTES).add(b, base);
        let values = Val::Reg(ring).add(b, layout.key_bytes());
        let queries = low_descriptor(b, queries, EXCHANGED);
        let keys = low_descriptor(b, ring.into(), EXCHANGED);
        // Columns 64 apart lie in neighbouring panels.
        let values = low_descriptor(b, values, layout.keys * ROW_BYTES);
        let always = b.setp(Cmp::Eq, Type::U32, ring, ring);
        let never = b.setp(Cmp::Ne, Type::U32, ring, ring);
        let high = b.mov(Type::U32, HIGH);
        Descriptors { queries, keys, values, high, always, never }
    }

    fn form(&self, op: Op, columns: u32) -> Form {
        let ty = if self.problem.input == Input::Bf16 { Type::Bf16 } else { Type::F16 };
        Form::new(op, (Modifier::Number(columns as u16), ty))
    }

    /// Begins the products of queries with the keys in a slot.
    fn score(&self, b: &mut Builder, scores: &[Vec<Reg>], from: &Descriptors, slot: Reg) {
        let form = self.form(Op::Wgmma, self.layout.keys);
        let keys = Val::Reg(b.shr(Type::U32, slot, 4_u32)).add(b, from.keys);
        let scores = scores.concat();
        for step in 0..self.problem.depth / GROUP {
            let (panel, within) = (step / 4, step % 4 * GROUP * 2);
            let mut descriptor = |low: Val, rows: u32| {
                let low = low.add(b, (panel * rows * ROW_BYTES + within) >> 4).reg(b);
                b.pack(&[low, from.high])
            };
            let left = descriptor(from.queries, self.layout.queries);
            let right = descriptor(keys, self.layout.keys);
            let add = if step == 0 { from.never } else { from.always };
            b.wgmma(form, &scores, left, right, add, &[1, 1, 0, 0]);
        }
    }

    /// Begins the products of powers with the values in a slot, which are added to the results.
    fn add_up(&self, b: &mut Builder, (out, powers): (&[Vec<Reg>], &[Reg]), from: &Descriptors, slot: Reg) {
        let form = self.form(Op::WgmmaRegisters, self.problem.width);
        let values = Val::Reg(b.shr(Type::U32, slot, 4_u32)).add(b, from.values);
        let out = out.concat();
        for (step, powers) in (0_u32..).zip(powers.chunks(4)) {
            let low = values.add(b, step * 2 * EIGHT_ROWS >> 4).reg(b);
            let right = b.pack(&[low, from.high]);
            b.wgmma(form, &out, powers, right, from.always, &[1, 1, 1]);
        }
    }

    /// When the second product of the block before is done: scales the results, and rounds powers to the operands' type, in the order
    /// of the second product's first operand. This stands after a jump, so that the wait stays behind the softmax. Ends where the next
    /// keys and values have arrived and products may begin.
    fn settle(
        &self,
        b: &mut Builder,
        (out, powers): (&[Vec<Reg>], &[Reg]),
        (scores, factors): (&[Vec<Reg>], [Reg; 2]),
        meeting: &Option<[Reg; 2]>,
    ) {
        b.emit(Form::new(Op::WgmmaWait, ()), [0_u32.into()]);
        rescale(b, out, factors);
        let pair = if self.problem.input == Input::F16 { Type::F16x2 } else { Type::Bf16x2 };
        for (two, power) in scores.iter().flat_map(|four| four.chunks(2)).zip(powers) {
            if let [low, high] = two {
                let rounded = b.cvt_pair(pair, *low, *high);
                b.mov_to(Type::B32, *power, rounded);
            }
        }
        self.arrive(b, meeting);
        b.emit(Form::new(Op::WgmmaFence, ()), []);
    }
}

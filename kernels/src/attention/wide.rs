//! Attention with warp groups: 64 queries a group, both products with `wgmma`, sums and softmax in f32.
//!
//! ```text
//! block j:  values j-1 are done │ products of keys j+1 begin │ of values j begin │ copies begin │ keys j+1 are done: their softmax
//! ```
//!
//! Scores come from queries and keys in shared memory. They lie in the registers of a warp just as the second product wants its first
//! operand, so powers are rounded and multiplied without a detour, with values from shared memory, along whose rows the sum does not
//! run. The second product of a block runs beneath the softmax of the next.
//!
//! - Pairs: two groups with four slots do not meet at each block. A group announces that it copied its part of the next block and has
//!   read what it overwrites, before its softmax; so the other may begin to multiply meanwhile.
//! - Teams: the groups above each other share keys and values. Where there are more groups than rows of 64 queries, several teams
//!   take blocks of keys in turns, each with its own slots and barrier; at the end the first adds up what all of them have.
//! - Shared memory: panels of 128 bytes, exchanged as [`crate::shared`] says, at multiples of 1024; queries, then for each team slots of
//!   keys and values.
//! - Limits: sm_90a; f16 and bf16; heads of multiples of 16, at most 128.
//!
//! Source of the idea: FlashAttention 3.

use ptx::{Builder, Cmp, Form, Modifier, Op, Reg, Shuffle, Sm, Space, Type};

use crate::attention::softmax::{Softmax, rescale};
use crate::attention::{Attention, AttentionVariant, FAMILY, Opening, finished};
use crate::fragment::{GROUP, Input};
use crate::launch::{Grid, KernelError, Params, TileKernel};
use crate::shared::Placement;
use crate::source::{Fill, Loader, TileSource, Transport};
use crate::turn::Turn;
use crate::val::Val;
use crate::warpgroup::{EXCHANGED, HIGH, ROW_BYTES, ROWS, THREADS, advance, low_descriptor};

/// Registers that a thread may hold through a block of keys.
const MOST_HELD: u32 = 200;
/// Elements of a panel's row.
const PANEL: u32 = 64;
/// Named barriers of teams: from this on.
const FIRST_BARRIER: u32 = 1;
/// Named barriers of a pair, two for each group: from this on, an even number.
const PAIR_BARRIER: u32 = 4;
/// Slots from which on two groups are a pair.
const PAIR_STAGES: u32 = 4;
/// Bytes of eight rows of a panel.
const EIGHT_ROWS: u32 = 8 * ROW_BYTES;

const fn variant(queries: u32, keys: u32, teams: u32, stages: u32) -> AttentionVariant {
    AttentionVariant { warps: queries / GROUP * teams, queries, keys, stages, wide: true }
}

pub const VARIANTS: &[AttentionVariant] = &[
    variant(128, 128, 1, 2),
    variant(128, 64, 1, 2),
    variant(128, 64, 1, 3),
    variant(128, 128, 1, 4),
    variant(128, 64, 1, 4),
    variant(64, 128, 1, 2),
    variant(64, 64, 1, 2),
    variant(64, 128, 2, 2),
    variant(64, 64, 2, 2),
    variant(64, 64, 3, 2),
];

/// How shared memory and threads are dealt out.
#[derive(Clone, Copy)]
struct Layout {
    queries: u32,
    keys: u32,
    stages: u32,
    /// Panels of a query and of a value.
    depth: u32,
    width: u32,
    /// Groups of a team, and teams.
    groups: u32,
    teams: u32,
}

impl Layout {
    fn of(problem: &Attention, variant: &AttentionVariant) -> Layout {
        let groups = (variant.queries / ROWS).max(1);
        Layout {
            queries: variant.queries,
            keys: variant.keys,
            stages: variant.stages,
            depth: problem.depth.div_ceil(PANEL),
            width: problem.width.div_ceil(PANEL),
            groups,
            teams: variant.warps * 32 / THREADS / groups,
        }
    }

    const fn query_bytes(&self) -> u32 {
        self.queries * self.depth * ROW_BYTES
    }

    const fn key_bytes(&self) -> u32 {
        self.keys * self.depth * ROW_BYTES
    }

    /// Keys and values of a block.
    const fn slot(&self) -> u32 {
        self.keys * (self.depth + self.width) * ROW_BYTES
    }

    const fn ring(&self) -> u32 {
        self.slot() * self.stages
    }

    /// Whether two groups meet by turns instead of at once, so that one may be in its softmax while the other multiplies.
    const fn is_pair(&self) -> bool {
        self.groups == 2 && self.teams == 1 && self.stages >= PAIR_STAGES
    }

    /// How many blocks after the one whose values are multiplied keys are copied; values are one block behind them.
    const fn ahead(&self) -> u32 {
        if self.is_pair() { self.stages - 1 } else { self.stages }
    }

    const fn team_threads(&self) -> u32 {
        self.groups * THREADS
    }

    /// Floats that a thread of another team hands over.
    const fn handed(problem: &Attention) -> u32 {
        problem.width / 2 + 4
    }

    fn turn(&self, problem: &Attention, sm: Sm) -> Turn {
        Turn { columns: problem.width.next_power_of_two(), spacing: GROUP, sm }
    }

    /// Where other teams leave their results.
    fn handover(&self, problem: &Attention, sm: Sm) -> u32 {
        self.turn(problem, sm).shared(self.groups * 4)
    }
}

/// Bytes of shared memory of a variant.
pub fn shared(problem: &Attention, variant: &AttentionVariant) -> u32 {
    let layout = Layout::of(problem, variant);
    let others = (layout.teams - 1) * layout.team_threads() * Layout::handed(problem) * 4;
    let results = layout.handover(problem, Sm::Sm90a) + others;
    (layout.query_bytes() + layout.teams * layout.ring()).max(results)
}

fn check(problem: &Attention, variant: &AttentionVariant, sm: Sm) -> Result<(), KernelError> {
    let refuse = |what, found, rule| Err(KernelError::Variant { family: FAMILY, what, found, rule });
    if sm != Sm::Sm90a {
        return Err(KernelError::Target { family: FAMILY, what: "a product of warp groups", least: 90, sm });
    }
    if !matches!(problem.input, Input::F16 | Input::Bf16) {
        return refuse("input bytes", problem.input.bytes(), "warp groups multiply f16 and bf16");
    }
    for size in [problem.depth, problem.width] {
        if size == 0 || size % GROUP != 0 || size > 128 {
            return refuse("size of a head", size, "it must be a multiple of 16, at most 128");
        }
    }
    let layout = Layout::of(problem, variant);
    if layout.queries % ROWS != 0 || layout.teams * layout.groups * 4 != variant.warps {
        return refuse("queries", layout.queries, "each team has a group of warps for every 64");
    }
    if layout.keys % 16 != 0 || !(16..=256).contains(&layout.keys) {
        return refuse("keys", layout.keys, "they must be a multiple of 16 up to 256");
    }
    // Scores, powers and results; the mask of a block.
    let held = layout.keys * 3 / 4 + problem.width / 2;
    let registers = held + if problem.mask.is_some() { layout.keys / 2 } else { 0 };
    if registers > MOST_HELD {
        return refuse("registers", registers, "more leave none for the copies");
    }
    if problem.chunk < 4 || variant.stages < 2 {
        return refuse("stages", variant.stages, "copies run ahead, in chunks of 4 bytes or more");
    }
    Ok(())
}

/// Emits the kernel.
pub fn emit(problem: &Attention, variant: &AttentionVariant, sm: Sm) -> Result<TileKernel, KernelError> {
    check(problem, variant, sm)?;
    let layout = Layout::of(problem, variant);
    let threads = variant.threads();
    let source = |rows, panels: u32, crossed, threads, depth| TileSource {
        rows,
        row_bytes: panels * ROW_BYTES,
        placement: Placement::Panels { rows },
        element: problem.input.bytes(),
        chunk: problem.chunk,
        crossed,
        depth,
        threads,
        transport: Transport::Async,
    };
    let apart = layout.keys * layout.teams;
    let of_team = layout.team_threads();
    let sources = [
        source(layout.queries, layout.depth, false, of_team, layout.depth * PANEL),
        source(layout.keys, layout.depth, true, of_team, apart),
        source(layout.keys, layout.width, true, of_team, apart),
    ];
    if !sources.iter().all(TileSource::is_even) {
        let rule = "the chunks of a tile must spread evenly over them";
        return Err(KernelError::Variant { family: FAMILY, what: "threads", found: of_team, rule });
    }
    let name = format!("attention_{}_{}x{}_{}", problem.input.name(), problem.depth, problem.width, variant.name());
    let mut builder = Builder::new(&name);
    let b = &mut builder;
    b.block([threads, 1, 1]);
    let mut params = Params::default();
    let mut open = Opening::new(b, &mut params, problem, variant)?;
    let warp = Val::Reg(open.thread).shr(b, 5).reg(b);
    let warp = Val::Reg(b.shfl(Shuffle::Idx, warp, 0_u32));
    let (team, within) = if layout.teams == 1 { (Val::Const(0), warp) } else { warp.div_rem(b, layout.groups * 4) };
    let group = within.shr(b, 2);
    let thread = team.mul(b, of_team);
    let thread = Val::Reg(open.thread).sub(b, thread).reg(b);
    let missing = KernelError::Epilogue { what: "operands", found: open.operands.len(), expected: 3 };
    let first = team.mul(b, layout.keys);
    let queries = open.queries(b, problem, sources[0], thread).ok_or(missing.clone())?;
    let of_team = (first, thread);
    let keys = open.blocks_from(b, 1, sources[1], problem.depth, of_team).ok_or(missing.clone())?;
    let values = open.blocks_from(b, 2, sources[2], problem.width, of_team).ok_or(missing)?;
    let team = Team { team, group, within, thread, first };
    let mut run = Run { problem, layout, keys, values, team };
    let first_row = open.first;
    let results = run.all(b, &open, queries, variant);
    let turn = layout.turn(problem, sm);
    let own = within.mul(b, GROUP);
    let at = [(first_row, Val::Const(0)), (own, Val::Const(0))];
    let (thread, base) = (open.thread, open.shared);
    let mut store = |b: &mut Builder| {
        turn.store(b, &mut params, &vec![results.clone()], (&problem.finish, &mut open.to), at, (thread, base))
    };
    match team.team {
        Val::Const(_) => store(b)?,
        Val::Reg(team) => {
            let is_first = b.setp(Cmp::Eq, Type::U32, team, 0_u32);
            b.if_then(is_first, store)?;
        }
    }
    let grid = Grid { tile_rows: variant.queries, tile_columns: turn.columns, group: 1, splits: 1, cluster: 1 };
    let shared = shared(problem, variant);
    Ok(TileKernel { entry: builder.finish(), roles: params.finish(), threads, shared, grid })
}

/// Where a thread stands: its team, its group and warp in that, its number and the first key of the team.
#[derive(Clone, Copy)]
struct Team {
    team: Val,
    group: Val,
    within: Val,
    thread: Reg,
    first: Val,
}

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

struct Run<'a> {
    problem: &'a Attention,
    layout: Layout,
    keys: Loader,
    values: Loader,
    team: Team,
}

impl Run<'_> {
    /// The finished results of the first team: for every 8 columns four registers.
    fn all(
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
                if layout.teams == 1 { sum.into() } else { b.div(Type::U32, sum, layout.teams).into() }
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
        self.settle(b, (&out, &powers), &scores, factors);
        self.arrive(b, &meeting);
        b.emit(Form::new(Op::WgmmaFence, ()), []);
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
        self.settle(b, (&out, &powers), &scores, factors);
        self.arrive(b, &meeting);
        b.emit(Form::new(Op::WgmmaFence, ()), []);
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

    /// The barriers of a pair.
    fn meeting(&self, b: &mut Builder) -> Option<[Reg; 2]> {
        self.layout.is_pair().then(|| {
            let own = self.team.group.add(b, PAIR_BARRIER);
            let other = Val::Const(PAIR_BARRIER + 1).sub(b, self.team.group);
            [own, other].map(|id| b.mov(Type::U32, id))
        })
    }

    /// Of a pair: the next keys and values that this group copied are in their slots, and it reads no keys and values any more that
    /// stand where the next copies go.
    fn announce(&self, b: &mut Builder, meeting: &Option<[Reg; 2]>) {
        if let Some([_, other]) = meeting {
            b.cp_async_wait(self.layout.ahead() - 2);
            b.emit(Form::new(Op::FenceProxyAsyncShared, ()), []);
            b.emit(Form::new(Op::BarArrive, ()), [(*other).into(), (2 * THREADS).into()]);
        }
    }

    /// To the other barriers of a pair: it may announce a block before the other group has met it for the last one.
    fn turn_over(&self, b: &mut Builder, meeting: &Option<[Reg; 2]>) {
        for id in meeting.iter().flatten() {
            b.emit(Form::new(Op::Xor, Type::B32), [(*id).into(), (*id).into(), 2_u32.into()]);
        }
    }

    /// The next keys and values are in their slots, for the whole team.
    fn arrive(&self, b: &mut Builder, meeting: &Option<[Reg; 2]>) {
        if let Some([own, _]) = meeting {
            return b.named_barrier(*own, 2 * THREADS);
        }
        b.cp_async_wait(self.layout.ahead() - 2);
        b.emit(Form::new(Op::FenceProxyAsyncShared, ()), []);
        match self.team.team {
            Val::Const(_) => b.barrier(),
            team => {
                let id = team.add(b, FIRST_BARRIER);
                b.named_barrier(id, self.layout.team_threads());
            }
        }
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
    /// of the second product's first operand. This stands before a barrier and after a jump, so that the wait stays behind the softmax.
    fn settle(&self, b: &mut Builder, (out, powers): (&[Vec<Reg>], &[Reg]), scores: &[Vec<Reg>], factors: [Reg; 2]) {
        b.emit(Form::new(Op::WgmmaWait, ()), [0_u32.into()]);
        rescale(b, out, factors);
        let pair = if self.problem.input == Input::F16 { Type::F16x2 } else { Type::Bf16x2 };
        for (two, power) in scores.iter().flat_map(|four| four.chunks(2)).zip(powers) {
            if let [low, high] = two {
                let rounded = b.cvt_pair(pair, *low, *high);
                b.mov_to(Type::B32, *power, rounded);
            }
        }
    }

    /// Adds what other teams have to the results of the first; yields by what these are to be multiplied.
    fn merge(&self, b: &mut Builder, (out, softmax): (&[Vec<Reg>], &Softmax), base: Val) -> [(Reg, Reg); 2] {
        let Val::Reg(team) = self.team.team else { return softmax.inverses(b) };
        let layout = self.layout;
        let rows = softmax.rows();
        let state: Vec<Reg> = rows.iter().flat_map(|row| [row.largest, row.sum]).collect();
        let results: Vec<Reg> = out.concat();
        let distance = layout.team_threads() * 4;
        let region = Layout::handed(self.problem) * distance;
        let mine = Val::Reg(self.team.thread).mul(b, 4).add(b, base);
        let mine = mine.add(b, layout.handover(self.problem, Sm::Sm90a));
        let other = b.setp(Cmp::Ne, Type::U32, team, 0_u32);
        b.if_then(other, |b| {
            let before = Val::Reg(team).sub(b, 1);
            let at = before.mul(b, region).add(b, mine).reg(b);
            for (n, value) in (0_i64..).zip(state.iter().chain(&results)) {
                b.st(Space::Shared, Type::F32, (at, n * i64::from(distance)), *value);
            }
        });
        b.barrier();
        b.if_not(other, |b| {
            for team in 0..layout.teams - 1 {
                let at = mine.add(b, team * region).reg(b);
                let load =
                    |b: &mut Builder, n: usize| b.ld(Space::Shared, Type::F32, (at, n as i64 * i64::from(distance)));
                let theirs: Vec<Reg> = (0..state.len()).map(|n| load(b, n)).collect();
                let factors = [0, 1].map(|r| softmax.join(b, r, (theirs[r * 2], theirs[r * 2 + 1])));
                for (n, value) in results.iter().enumerate() {
                    let (own, their) = factors[n / 2 & 1];
                    let scaled = b.mul(Type::F32, *value, own);
                    let added = load(b, state.len() + n);
                    let sum = b.mad(Type::F32, added, their, scaled);
                    b.mov_to(Type::F32, *value, sum);
                }
            }
        });
        softmax.inverses(b)
    }
}

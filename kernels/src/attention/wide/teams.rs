//! Where groups meet, and how teams come to one result.

use ptx::{Builder, Cmp, Form, Op, Reg, Sm, Space, Type};

use crate::attention::softmax::Softmax;
use crate::attention::wide::layout::Layout;
use crate::attention::wide::rounds::Run;
use crate::val::Val;
use crate::warpgroup::THREADS;

/// Named barriers of teams: from this on.
const FIRST_BARRIER: u32 = 1;
/// Named barriers of a pair, two for each group: from this on, an even number.
const PAIR_BARRIER: u32 = 4;

/// Where a thread stands: its team, its group and warp in that, its number and the first key of the team.
#[derive(Clone, Copy)]
pub struct Team {
    pub team: Val,
    pub group: Val,
    pub within: Val,
    pub thread: Reg,
    pub first: Val,
}

impl Run<'_> {
    /// The barriers of a pair.
    pub fn meeting(&self, b: &mut Builder) -> Option<[Reg; 2]> {
        self.layout.is_pair().then(|| {
            let own = self.team.group.add(b, PAIR_BARRIER);
            let other = Val::Const(PAIR_BARRIER + 1).sub(b, self.team.group);
            [own, other].map(|id| b.mov(Type::U32, id))
        })
    }

    /// Of a pair: the next keys and values that this group copied are in their slots, and it reads no keys and values any more that
    /// stand where the next copies go.
    pub fn announce(&self, b: &mut Builder, meeting: &Option<[Reg; 2]>) {
        if let Some([_, other]) = meeting {
            b.cp_async_wait(self.layout.ahead() - 2);
            b.emit(Form::new(Op::FenceProxyAsyncShared, ()), []);
            b.emit(Form::new(Op::BarArrive, ()), [(*other).into(), (2 * THREADS).into()]);
        }
    }

    /// To the other barriers of a pair: it may announce a block before the other group has met it for the last one.
    pub fn turn_over(&self, b: &mut Builder, meeting: &Option<[Reg; 2]>) {
        for id in meeting.iter().flatten() {
            b.emit(Form::new(Op::Xor, Type::B32), [(*id).into(), (*id).into(), 2_u32.into()]);
        }
    }

    /// The next keys and values are in their slots, for the whole team.
    pub fn arrive(&self, b: &mut Builder, meeting: &Option<[Reg; 2]>) {
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

    /// Adds what other teams have to the results of the first; yields by what these are to be multiplied.
    pub fn merge(&self, b: &mut Builder, (out, softmax): (&[Vec<Reg>], &Softmax), base: Val) -> [(Reg, Reg); 2] {
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

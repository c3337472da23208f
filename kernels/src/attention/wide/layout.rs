//! How shared memory and threads are dealt out.

use ptx::Sm;

use crate::attention::wide::PANEL;
use crate::attention::{Attention, AttentionVariant};
use crate::fragment::GROUP;
use crate::turn::Turn;
use crate::warpgroup::{ROW_BYTES, ROWS, THREADS};

/// Slots from which on two groups are a pair.
const PAIR_STAGES: u32 = 4;

/// The sizes of a variant for a problem.
#[derive(Clone, Copy)]
pub struct Layout {
    pub queries: u32,
    pub keys: u32,
    pub stages: u32,
    /// Panels of a query and of a value.
    pub depth: u32,
    pub width: u32,
    /// Groups of a team, and teams.
    pub groups: u32,
    pub teams: u32,
}

impl Layout {
    pub fn of(problem: &Attention, variant: &AttentionVariant) -> Layout {
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

    pub const fn query_bytes(&self) -> u32 {
        self.queries * self.depth * ROW_BYTES
    }

    pub const fn key_bytes(&self) -> u32 {
        self.keys * self.depth * ROW_BYTES
    }

    /// Keys and values of a block.
    pub const fn slot(&self) -> u32 {
        self.keys * (self.depth + self.width) * ROW_BYTES
    }

    pub const fn ring(&self) -> u32 {
        self.slot() * self.stages
    }

    /// Whether two groups meet by turns instead of at once, so that one may be in its softmax while the other multiplies.
    pub const fn is_pair(&self) -> bool {
        self.groups == 2 && self.teams == 1 && self.stages >= PAIR_STAGES
    }

    /// How many blocks after the one whose values are multiplied keys are copied; values are one block behind them.
    pub const fn ahead(&self) -> u32 {
        if self.is_pair() { self.stages - 1 } else { self.stages }
    }

    pub const fn team_threads(&self) -> u32 {
        self.groups * THREADS
    }

    /// Floats that a thread of another team hands over.
    pub const fn handed(problem: &Attention) -> u32 {
        problem.width / 2 + 4
    }

    pub fn turn(&self, problem: &Attention, sm: Sm) -> Turn {
        Turn { columns: problem.width.next_power_of_two(), spacing: GROUP, sm }
    }

    /// Where other teams leave their results.
    pub fn handover(&self, problem: &Attention, sm: Sm) -> u32 {
        self.turn(problem, sm).shared(self.groups * 4)
    }
}
